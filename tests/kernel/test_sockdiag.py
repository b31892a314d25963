"""What the kernel tells of listening sockets, asked of the real one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from circusd.kernel import itself, sockdiag
from tests.waiting import eventually


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def listening(stack: ExitStack, family: int, address: object, backlog: int) -> socket.socket:
    """A socket that listens until the test is over."""
    sock = stack.enter_context(socket.socket(family))
    sock.bind(address)
    sock.listen(backlog)
    return sock


def connected(stack: ExitStack, sock: socket.socket, family: int = 0) -> socket.socket:
    """A client of the socket, which nobody has accepted yet."""
    client = stack.enter_context(socket.socket(family or sock.family))
    client.connect(sock.getsockname())
    return client


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def listener(request: pytest.FixtureRequest, stack: ExitStack) -> socket.socket:
    """A listening socket of each family, with room for three."""
    if request.param == "unix":
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="circus-")))
        return listening(stack, socket.AF_UNIX, str(folder / "s"), 3)
    if request.param == "tcp6":
        return listening(stack, socket.AF_INET6, ("::1", 0), 3)
    return listening(stack, socket.AF_INET, ("127.0.0.1", 0), 3)


def test_who_waits_and_who_is_in_are_counted_apart(stack: ExitStack, listener: socket.socket) -> None:
    """A connection waits until it is accepted, and is open until it is closed."""
    assert (sockdiag.queue_of(listener).waiting, sockdiag.queue_of(listener).limit) == (0, 3)
    connected(stack, listener)
    client = connected(stack, listener)
    eventually(lambda: sockdiag.queue_of(listener).waiting == 2, within=5, what="two wait")
    assert sockdiag.connections_of(listener) == 0
    accepted, _ = listener.accept()
    with accepted:
        assert sockdiag.queue_of(listener).waiting == 1
        assert sockdiag.connections_of(listener) == 1
    client.close()
    eventually(lambda: sockdiag.connections_of(listener) == 0, within=5, what="none is open")


def test_a_queue_that_is_full_turns_others_away(stack: ExitStack) -> None:
    """What it turned away is counted."""
    listener = listening(stack, socket.AF_INET, ("127.0.0.1", 0), 1)
    for _ in range(8):
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    eventually(lambda: (sockdiag.queue_of(listener).dropped or 0) > 0, within=10, what="some are turned away")


def test_sockets_that_share_an_address_are_told_together(stack: ExitStack) -> None:
    """One that only keeps the address has no queue of its own: those of the processes count."""

    def bound(address: tuple[str, int]) -> socket.socket:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        return sock

    keeper = bound(("127.0.0.1", 0))
    others = [bound(keeper.getsockname()) for _ in range(2)]
    for other in others:
        other.listen(4)
    assert (sockdiag.queue_of(keeper).waiting, sockdiag.queue_of(keeper).limit) == (0, 8)
    for _ in range(3):
        connected(stack, keeper)
    eventually(lambda: sockdiag.queue_of(keeper).waiting == 3, within=5, what="three wait")


def test_another_address_with_the_same_port_is_not_counted(stack: ExitStack) -> None:
    """Two sockets of one port, each at an address of its own."""
    one = listening(stack, socket.AF_INET, ("127.0.0.1", 0), 3)
    other = listening(stack, socket.AF_INET, ("127.0.0.2", one.getsockname()[1]), 3)
    connected(stack, other)
    with other.accept()[0]:
        assert (sockdiag.connections_of(one), sockdiag.connections_of(other)) == (0, 1)


def test_datagrams_have_bytes_that_wait_and_no_connections(stack: ExitStack) -> None:
    """Until somebody reads them."""
    sock = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    sock.bind(("127.0.0.1", 0))
    assert sockdiag.queue_of(sock).waiting == 0
    sock.sendto(b"x" * 100, sock.getsockname())
    eventually(lambda: (sockdiag.queue_of(sock).waiting or 0) >= 100, within=5, what="it has come")
    assert sockdiag.connections_of(sock) is None


def test_this_process_is_told_as_it_is(stack: ExitStack) -> None:
    """One descriptor more is one more; limits have their names."""
    before = itself.usage()
    stack.enter_context(socket.socket())
    after = itself.usage()
    assert after["descriptors"] == before["descriptors"] + 1
    assert after["rss"] > 1 << 20
    assert after["threads"] >= 1
    limits = {row["name"]: row for row in itself.limits()}
    assert limits["nofile"]["soft"] == after["descriptors_limit"]
