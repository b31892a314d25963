"""What a peer of this machine is subscribed to, counted on its way to libzmq, which would take as much as it is told."""

from __future__ import annotations

from typing import Final

from circusd.schema.errors import ProtocolError

TOPIC_LIMIT_BYTES: Final = 4096
"""Longest topic."""

SUBSCRIPTIONS: Final = 1000
"""Topics that one peer may be subscribed to at a time; the connection of one that goes beyond is ended."""

SUBSCRIBED_BYTES: Final = 256 << 10
"""Length of all these topics together."""

_LONG, _COMMAND = 2, 4
_SUBSCRIBE, _CANCEL = b"\x09SUBSCRIBE", b"\x06CANCEL"


class Subscriptions:
    """Reads the frames of a subscriber, after its handshake, as they come (ZMTP 2, 3.0 and 3.1)."""

    def __init__(self) -> None:
        self._buffer = b""
        self._topics: set[bytes] = set()
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """These bytes are the next of the peer; raises ProtocolError when a frame or all topics together are too much."""
        buffer = self._buffer + data
        at = 0
        while (head := _head(buffer, at)) is not None:
            start, size = head
            if size > TOPIC_LIMIT_BYTES + len(_SUBSCRIBE):
                raise ProtocolError(f"a topic may have {TOPIC_LIMIT_BYTES} bytes")
            if len(buffer) < start + size:
                break
            self._frame(buffer[at], buffer[start : start + size])
            at = start + size
        self._buffer = buffer[at:]

    def _frame(self, flags: int, body: bytes) -> None:
        if not flags & _COMMAND:
            sign, topic = body[:1], body[1:]
        elif body.startswith(_SUBSCRIBE):
            sign, topic = b"\x01", body[len(_SUBSCRIBE) :]
        elif body.startswith(_CANCEL):
            sign, topic = b"\x00", body[len(_CANCEL) :]
        else:
            return
        if sign == b"\x01" and topic not in self._topics:
            self._topics.add(topic)
            self._bytes += len(topic)
            if len(self._topics) > SUBSCRIPTIONS or self._bytes > SUBSCRIBED_BYTES:
                raise ProtocolError(
                    f"it subscribes to more than {SUBSCRIPTIONS} topics, or {SUBSCRIBED_BYTES >> 10} KiB of them; a topic "
                    "stands for all that begin with it"
                )
        elif sign == b"\x00" and topic in self._topics:
            self._topics.remove(topic)
            self._bytes -= len(topic)


def _head(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the frame begins, and its length; None if it takes more to know."""
    if len(buffer) < at + 2:
        return None
    if not buffer[at] & _LONG:
        return at + 2, buffer[at + 1]
    return (at + 9, int.from_bytes(buffer[at + 1 : at + 9], "big")) if len(buffer) >= at + 9 else None
