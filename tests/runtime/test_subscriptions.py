"""Peers of this machine that subscribe to more than anybody needs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from circusd.runtime.subscriptions import SUBSCRIBED_BYTES, SUBSCRIPTIONS, TOPIC_LIMIT_BYTES, Subscriptions
from circusd.schema.errors import ProtocolError
from circusd.zmtp import encode_frame
from tests.gate import Gate, until

# Without a bound of its own libzmq's side of a subscriber drops what it can't send at once.
BEGIN = """
s = context.socket(zmq.SUB); s.sndhwm = 0; s.linger = 0; s.rcvtimeo = 20000; s.connect(sys.argv[1])
"""
STEADY = f"""{BEGIN}
for n in range(3000): s.subscribe(f'z{{n}}'); s.unsubscribe(f'z{{n}}')
s.subscribe('x')
print(s.recv_multipart()[0].decode())
"""
GREEDY = f"""{BEGIN}
for n in range(1001): s.subscribe(f'{{n}}.')
sys.stdin.readline()
"""

Frame = Callable[[bytes, bytes], bytes]


def message(sign: bytes, topic: bytes) -> bytes:
    return encode_frame(sign + topic)


def command(sign: bytes, topic: bytes) -> bytes:
    name = b"\x09SUBSCRIBE" if sign == b"\x01" else b"\x06CANCEL"
    frame = encode_frame(name + topic)
    return bytes((frame[0] | 4,)) + frame[1:]


@pytest.mark.parametrize("frame", [message, command])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_topics_that_are_left_do_not_count(frame: Frame, step: int) -> None:
    """However the bytes come: a thousand topics are taken, again after they were left, and one more is not."""
    found = Subscriptions()
    topics = [b"%d." % n * (40 if n % 100 == 0 else 1) for n in range(SUBSCRIPTIONS)]
    both = b"".join(frame(sign, topic) for sign in (b"\x01", b"\x01", b"\x00") for topic in topics)
    for data in (both, both, b"".join(frame(b"\x01", topic) for topic in topics)):
        for at in range(0, len(data), step):
            found.feed(data[at : at + step])
    with pytest.raises(ProtocolError, match="1000 topics"):
        found.feed(frame(b"\x01", b"one more"))


@pytest.mark.parametrize("frame", [message, command])
def test_topics_have_a_length(frame: Frame) -> None:
    """One topic, and all together."""
    found = Subscriptions()
    for number in range(SUBSCRIBED_BYTES // TOPIC_LIMIT_BYTES):
        found.feed(frame(b"\x01", b"%04d" % number * (TOPIC_LIMIT_BYTES // 4)))
    with pytest.raises(ProtocolError, match="256 KiB"):
        found.feed(frame(b"\x01", b"x"))
    with pytest.raises(ProtocolError, match="4096 bytes"):
        Subscriptions().feed(frame(b"\x01", b"x" * (TOPIC_LIMIT_BYTES + 100)))


def test_who_subscribes_to_too_much_is_let_go_with_the_reason(gate: Gate) -> None:
    """It loses its connection, not the others theirs; who changes his mind often loses nothing."""
    endpoint = gate.door("events")
    steady = gate.client(STEADY, endpoint)
    until(lambda: gate.publisher.wanted("events", "x"))
    gate.client(GREEDY, endpoint)
    until(lambda: gate.refusals)
    assert "more than 1000 topics" in gate.refusals[0].reason
    gate.publisher.publish("events", "x", {"a": 1})
    assert steady.output().strip() == "x"
