"""The first bytes of a client, looked at and rewritten on their way to libzmq.

ZMTP 3: a greeting of 64 bytes, then a READY command with the properties of the socket. ZMTP 2: a greeting of 12
bytes, then a frame with the identity. The identity is what a ROUTER knows a connection by; it becomes the number that
the door gave to the connection, followed by what the client chose, so that no client can pose as another.
"""

from __future__ import annotations

from circusd.schema.errors import ProtocolError

COMMAND_LIMIT_BYTES = 4096
"""Longest READY command that is passed on; libzmq's own has about 50."""

IDENTITY_LIMIT_BYTES = 255
"""Longest identity that ZMTP allows."""

_GREETING_3, _GREETING_2 = 64, 12
_LONG, _COMMAND = 2, 4


class Handshake:
    """Takes the bytes of a client until its handshake is over; ``done`` tells when."""

    def __init__(self, prefix: bytes) -> None:
        """``prefix`` is put before the client's identity."""
        self.done = False
        self.after = b""
        """What came after it in the same bytes."""
        self._prefix = prefix
        self._greeting = b""
        self._size = _GREETING_3
        self._buffer = b""

    def server_bytes(self, head: bytes) -> int | None:
        """How many bytes of the server, which begin with ``head``, are its handshake; None if it takes more to know."""
        size = self._size
        if len(head) < size + 2:
            return None
        if not head[size] & _LONG:
            return size + 2 + head[size + 1]
        return size + 9 + int.from_bytes(head[size + 1 : size + 9], "big") if len(head) >= size + 9 else None

    def feed(self, data: bytes) -> bytes:
        """What of the bytes given so far may be passed on now; raises ProtocolError at what is no such handshake."""
        if self.done:
            return data
        out = b""
        if len(self._greeting) < self._size:
            out, data = self._greet(data)
        if data:
            self._buffer += data
            out += self._first_frame()
        return out

    def _greet(self, data: bytes) -> tuple[bytes, bytes]:
        # The server's greeting comes in parts, each after a part of the client's: nothing may be kept back here.
        before = len(self._greeting)
        greeting = (self._greeting + data)[:_GREETING_3]
        if (greeting and greeting[0] != 0xFF) or (len(greeting) > 9 and not greeting[9] & 1):
            raise ProtocolError("what connected does not speak ZMTP 2 or 3")
        if len(greeting) > 10:
            if not greeting[10]:
                raise ProtocolError("ZMTP 1 is not spoken here")
            self._size = _GREETING_2 if greeting[10] < 3 else _GREETING_3
        self._greeting = greeting[: self._size]
        if len(self._greeting) == _GREETING_3 and self._greeting[12:32].rstrip(b"\0") != b"NULL":
            raise ProtocolError("only the mechanism NULL is spoken here")
        taken = len(self._greeting) - before
        return data[:taken], data[taken:]

    def _first_frame(self) -> bytes:
        buffer = self._buffer
        if len(buffer) < 2:
            return b""
        old = self._size == _GREETING_2
        wanted = 0 if old else _COMMAND
        if buffer[0] not in (wanted, wanted | _LONG):
            raise ProtocolError("the handshake does not go on as ZMTP does")
        head = 9 if buffer[0] & _LONG else 2
        if len(buffer) < head:
            return b""
        size = int.from_bytes(buffer[1:head], "big")
        if size > COMMAND_LIMIT_BYTES:
            raise ProtocolError(f"a handshake longer than {COMMAND_LIMIT_BYTES} bytes")
        if len(buffer) < head + size:
            return b""
        body, rest = buffer[head : head + size], buffer[head + size :]
        self.done = True
        self._buffer = b""
        self.after = rest
        return _frame(wanted, self._identity(body) if old else self._ready(body)) + rest

    def _identity(self, chosen: bytes) -> bytes:
        return (self._prefix + chosen)[:IDENTITY_LIMIT_BYTES]

    def _ready(self, body: bytes) -> bytes:
        if not body.startswith(b"\x05READY"):
            raise ProtocolError("the handshake has no READY")
        chosen = b""
        kept = b""
        rest = body[6:]
        while rest:
            name_end = 1 + rest[0]
            value_start = name_end + 4
            size = int.from_bytes(rest[name_end:value_start], "big")
            end = value_start + size
            if name_end < 2 or len(rest) < end:
                raise ProtocolError("the properties of the handshake are cut off")
            if rest[1:name_end].lower() == b"identity":
                chosen = rest[value_start:end]
            else:
                kept += rest[:end]
            rest = rest[end:]
        identity = self._identity(chosen)
        return b"\x05READY\x08Identity" + len(identity).to_bytes(4, "big") + identity + kept


def _frame(flags: int, body: bytes) -> bytes:
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | _LONG,)) + len(body).to_bytes(8, "big") + body
