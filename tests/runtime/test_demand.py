"""When a watcher that connections start counts as idle: by what the kernel tells, and never by what it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from circusd.kernel import sockdiag
from circusd.runtime.demand import _is_in_use
from tests.waiting import eventually


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_socket_is_in_use_from_the_first_connection_to_the_end_of_the_last(listening: socket.socket) -> None:
    """While one waits in the queue, and while one that was accepted is open."""
    assert not _is_in_use(listening)
    with socket.create_connection(listening.getsockname()):
        eventually(lambda: _is_in_use(listening))
        accepted, _ = listening.accept()
        assert _is_in_use(listening)
        accepted.close()
    eventually(lambda: not _is_in_use(listening))


def test_what_the_kernel_does_not_tell_counts_as_in_use(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its tables may not be read nobody is cut off for that."""
    with monkeypatch.context() as patch:
        patch.setattr(sockdiag, "connections_of", lambda sock: None)
        assert _is_in_use(listening)
    monkeypatch.setattr(sockdiag, "queue_of", lambda sock: sockdiag.Queue(None, None, None))
    assert _is_in_use(listening)


def test_datagrams_that_wait_are_what_counts_of_their_socket() -> None:
    """There are no connections to it."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        sock.bind(("127.0.0.1", 0))
        assert not _is_in_use(sock)
        other.sendto(b"x", sock.getsockname())
        eventually(lambda: _is_in_use(sock))
        assert sock.recv(10) == b"x"
        assert not _is_in_use(sock)
