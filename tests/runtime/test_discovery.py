"""Who looks for a daemon is answered, and nobody can be flooded by it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import gevent
import gevent.socket
import pytest

from circusd.runtime import clock, discovery
from circusd.runtime.discovery import Discovery
from tests.gate import until

GROUP = "237.219.251.97"
TOLD = "tcp://127.0.0.1:5555"


def asker() -> socket.socket:
    """A socket of somebody on this machine who asks the group."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.fixture
def port() -> int:
    """A port of this machine that is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        found: int = sock.getsockname()[1]
        return found


@pytest.fixture
def answering(port: int) -> Iterator[Discovery]:
    """One that answers."""
    try:
        found = Discovery(f"udp://{GROUP}:{port}", TOLD)
    except OSError as error:
        pytest.skip(f"no interface here takes part in a multicast group: {error}")
    yield found
    found.close()


def answer(sock: socket.socket) -> bytes:
    """The next datagram."""
    with gevent.Timeout(5, AssertionError("no answer")):
        gevent.socket.wait_read(sock.fileno())
    return sock.recv(2000)


def test_a_datagram_to_the_group_is_answered_with_the_endpoint(answering: Discovery, port: int) -> None:
    """Whatever is in it, as the original does."""
    with asker() as sock:
        sock.sendto(b'""', (GROUP, port))
        assert json.loads(answer(sock)) == {"endpoint": TOLD}


def test_one_who_asks_again_and_again_is_answered_once_a_second(
    answering: Discovery, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is passed over and counted."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    with asker() as sock:
        for _ in range(50):
            sock.sendto(b'""', (GROUP, port))
        until(lambda: answering.answers + answering.passed_over == 50)
        assert answering.answers == 1
        now += discovery.EACH_SECONDS
        sock.sendto(b'""', (GROUP, port))
        until(lambda: answering.answers == 2)


def test_answers_to_all_together_are_bounded_and_small(answering: Discovery) -> None:
    """With as many false addresses as one likes; none to the port of a service, and none that is much longer than what
    was asked."""
    answered = [answering._is_answered(2, (f"10.0.{n // 250}.{n % 250}", 5000)) for n in range(5000)]
    assert discovery.ANSWERS_PER_SECOND <= sum(answered) < 5000 / 10
    assert len(answering._answered) <= discovery.ADDRESSES
    answering._left = 10
    assert not answering._is_answered(2, ("10.9.0.1", 53))
    answering._answer = b"x" * 200
    assert not answering._is_answered(2, ("10.9.0.2", 5000))
    assert answering._is_answered(20, ("10.9.0.3", 5000))


def test_two_daemons_of_one_machine_both_answer(answering: Discovery, port: int) -> None:
    """They share the group's port."""
    other = Discovery(f"udp://{GROUP}:{port}", "tcp://127.0.0.1:6666")
    with asker() as sock:
        sock.sendto(b'""', (GROUP, port))
        found = {json.loads(answer(sock))["endpoint"] for _ in range(2)}
    other.close()
    assert found == {TOLD, "tcp://127.0.0.1:6666"}


def test_what_is_sent_to_the_machine_alone_is_not_heard(answering: Discovery, port: int) -> None:
    """Nobody elsewhere can make it answer: groups are not carried through the internet."""
    with asker() as sock:
        sock.connect(("127.0.0.1", port))
        sock.send(b'""')
        with pytest.raises(ConnectionRefusedError):
            answer(sock)
    assert answering.answers == 0
