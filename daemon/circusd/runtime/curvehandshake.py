"""The first bytes of a peer on another machine, looked at on their way: CURVE, or nothing.

After the greetings come four commands in turn: HELLO of the client, WELCOME of the server, INITIATE of the client with
its key, and READY of the server, or ERROR for a key that is not known. What is in them is for libzmq to check; here it
is held to its form and its size, and libzmq meets nobody before there is a HELLO.
"""

from __future__ import annotations

from typing import Final

from circusd.schema.errors import ProtocolError

GREETING: Final = b"\xff" + bytes(7) + b"\x01\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
"""What libzmq's server says first, said in its place."""

INITIATE_LIMIT_BYTES: Final = 4096
"""Longest INITIATE that is passed on; libzmq's own has about 300."""

_SIGNATURE_BYTES: Final = 10
_VERSION_BYTES: Final = 11
_MECHANISM: Final = slice(12, 32)
_HELLO: Final = b"\x04\xc8\x05HELLO\x01\x00"
_HELLO_BYTES: Final = 202
_INITIATE: Final = b"\x08INITIATE"
_LONG, _COMMAND = 2, 4


class ClientSide:
    """Takes the bytes of a client until its INITIATE is whole."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered = 0
        self._said_hello = False

    def feed(self, data: bytes) -> None:
        """These have come; raises ProtocolError as soon as it can be no such handshake."""
        self._buffer += data
        if not self._said_hello:
            self._check_greeting(self._buffer)

    def answer(self) -> bytes:
        """What of our greeting is due now, each part once: a client goes on with its own only after the version of ours."""
        said = len(self._buffer) if not self._said_hello else len(GREETING)
        due = len(GREETING) if said >= len(GREETING) else _VERSION_BYTES if said >= _SIGNATURE_BYTES else 0
        part, self._answered = GREETING[self._answered : due], max(self._answered, due)
        return part

    def hello(self) -> bytes:
        """The client's greeting and its HELLO, once both are there; until then nothing."""
        whole = len(GREETING) + _HELLO_BYTES
        said = self._buffer[len(GREETING) : whole]
        if said[: len(_HELLO)] != _HELLO[: len(said)]:
            raise ProtocolError("its handshake does not begin as CURVE does")
        if len(self._buffer) < whole:
            return b""
        self._said_hello = True
        taken, self._buffer = self._buffer[:whole], self._buffer[whole:]
        return taken

    def initiate(self) -> bytes:
        """The INITIATE that follows a HELLO, once it is there; until then nothing."""
        buffer = self._buffer
        if len(buffer) < 2:
            return b""
        if buffer[0] not in (_COMMAND, _COMMAND | _LONG):
            raise ProtocolError("its handshake does not go on as CURVE does")
        head = 9 if buffer[0] & _LONG else 2
        if len(buffer) < head:
            return b""
        size = int.from_bytes(buffer[1:head], "big")
        if size > INITIATE_LIMIT_BYTES:
            raise ProtocolError("its handshake is too long")
        said = buffer[head : head + len(_INITIATE)]
        if said != _INITIATE[: len(said)] or len(buffer) > head + size:
            raise ProtocolError("its handshake does not go on as CURVE does")
        return buffer if len(buffer) == head + size else b""

    @staticmethod
    def _check_greeting(said: bytes) -> None:
        if (
            (said and said[0] != 0xFF)
            or (len(said) > 9 and not said[9] & 1)
            or (len(said) > 10 and said[10] < 3)
        ):
            raise ProtocolError("what connected does not speak ZMTP 3")
        mechanism = said[_MECHANISM]
        if mechanism != GREETING[_MECHANISM][: len(mechanism)]:
            raise ProtocolError("it comes from another machine, and without a key")


class ServerSide:
    """Counts what of the bytes of the server, after its greeting, belongs to the handshake."""

    def __init__(self) -> None:
        self.frames = 0
        """Commands that have begun: 1 is WELCOME, 2 is READY or ERROR."""
        self._head = b""
        self._left = 0

    @property
    def done(self) -> bool:
        """Whether the last command of the handshake has passed."""
        return self.frames == 2 and not self._left

    def feed(self, data: bytes) -> int:
        """How many of these bytes come after the handshake."""
        while data and not self.done:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                continue
            self._head, data = self._head + data[:1], data[1:]
            wanted = 9 if self._head[0] & _LONG else 2
            if len(self._head) == wanted:
                self.frames += 1
                self._left = int.from_bytes(self._head[1:], "big")
                self._head = b""
        return len(data)
