"""A socket that takes messages, a syslog's or the journal's: written by a thread of its own, which may wait for it."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from .backlog import Backlog, Piece
from .places import Closed, failure
from .writer import Thread, Writers

BATCH_BYTES: Final = 64 << 10
_CONNECT_SECONDS: Final = 2.0
_SEND_SECONDS: Final = 2.0
"""What one message waits at most for whoever does not read."""
_REFUSAL_SECONDS: Final = 0.1
"""What a refusal of a datagram that was sent takes at most to come back, nearby."""


class Link:
    """The socket, open or not."""

    def __init__(self, kind: str, host: str, port: int = 0) -> None:
        """``unix`` with a path, ``udp`` or ``tcp``."""
        self._kind = kind
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._is_doubtful = False
        """The last message was refused."""

    def send(self, messages: list[bytes]) -> int:
        """How many of the messages the other side, or the system on the way to it, has taken: not all only if the next call
        would raise. Raises OSError."""
        if self._socket is None:
            self._socket = self._connected()
        sock = self._socket
        if sock.type == socket.SOCK_STREAM:
            self._check_open(sock)
            return self._send_stream(sock, messages)
        sent = 0
        for message in messages:
            try:
                sock.send(message)
                if self._is_doubtful:
                    self._wait_for_refusal(sock)
            except OSError:
                self._is_doubtful = True
                if not sent:
                    raise
                return sent
            sent += 1
        return sent

    def _connected(self) -> socket.socket:
        if self._kind == "tcp":
            sock = socket.create_connection((self._host, self._port), timeout=_CONNECT_SECONDS)
        elif self._kind == "udp":
            sock = self._udp()
        else:
            sock = self._local(socket.SOCK_DGRAM)
        sock.settimeout(_SEND_SECONDS)
        return sock

    def _udp(self) -> socket.socket:
        family, kind, number, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[
            0
        ]
        sock = socket.socket(family, kind, number)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    def _local(self, kind: int) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(_CONNECT_SECONDS)
        try:
            sock.connect(self._host)
        except OSError as error:
            sock.close()
            if error.errno == errno.EPROTOTYPE and kind == socket.SOCK_DGRAM:
                return self._local(socket.SOCK_STREAM)
            raise
        return sock

    def _check_open(self, sock: socket.socket) -> None:
        """What is sent to somebody who has gone is taken by the system all the same, once."""
        sock.setblocking(False)
        try:
            gone = not sock.recv(1024)
        except BlockingIOError:
            gone = False
        finally:
            sock.settimeout(_SEND_SECONDS)
        if gone:
            self.close()
            self._socket = self._connected()

    def _send_stream(self, sock: socket.socket, messages: list[bytes]) -> int:
        sock = self._socket or sock
        if self._kind == "tcp":
            frames = [b"%d %s" % (len(message), message) for message in messages]
        else:
            frames = [message + b"\n" for message in messages]
        data = memoryview(b"".join(frames))
        at = 0
        try:
            while at < len(data):
                at += sock.send(data[at:])
        except OSError:
            whole = _whole(frames, at)
            if not whole:
                raise
            # The rest of the one that was cut off would be read as another's beginning.
            self.close()
            return whole
        return len(messages)

    def _wait_for_refusal(self, sock: socket.socket) -> None:
        time.sleep(_REFUSAL_SECONDS)
        if problem := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))
        self._is_doubtful = False

    def close(self) -> None:
        """It is not open; the next message opens it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _whole(frames: list[bytes], count: int) -> int:
    """How many of the frames are within so many bytes."""
    for number, frame in enumerate(frames):
        count -= len(frame)
        if count < 0:
            return number
    return len(frames)


class MessagePlace:
    """Sends each line that waits as a message."""

    device = 0

    def __init__(
        self,
        backlog: Backlog,
        link: Link,
        writers: Writers,
        closed: Closed,
        encode: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """`encode` makes a message of a line; `closed` is called in the hub when the backlog has ended."""
        self.backlog = backlog
        self._link = link
        self._writers = writers
        self._closed = closed
        self._encode = encode
        self._thread: Thread | None = None
        self._failing = False
        backlog.wake = self._wake

    @property
    def name(self) -> str:
        """See `Place`."""
        return self.backlog.name

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = self._writers.own(f"stream {self.name}"[:32])
        self._thread.put(self)

    def work(self) -> bool:
        """See `Work`."""
        batch = self.backlog.take(BATCH_BYTES)
        if not batch:
            if self.backlog.ended:
                self._link.close()
                assert self._thread is not None
                self._thread.end()
                self._writers.tell(self._closed)
            return False
        written = 0
        try:
            for piece in batch:
                sent = self._send(piece)
                written += sent
                if sent < len(piece.data):
                    break
        except OSError as error:
            self._fail(batch, written, error)
            return False
        tell, more = self.backlog.finish(batch, written)
        if tell:
            self._writers.tell(self.backlog.room)
        if self._failing:
            self._failing = False
            self._writers.tell(self.backlog.worked)
        return more

    def _send(self, piece: Piece) -> int:
        """How many bytes of the piece were sent; all of it, but if the next call would raise."""
        lines = piece.data.split(b"\n")
        messages = [self._encode(line) for line in lines if line]
        try:
            sent = self._link.send(messages) if messages else 0
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            # It never will be.
            sent = 1
            self._lose(piece, next(line for line in lines if line), error)
        return self._length(lines, sent, len(piece.data))

    @staticmethod
    def _length(lines: list[bytes], sent: int, size: int) -> int:
        length = 0
        for line in lines:
            if line and not sent:
                return length
            sent -= bool(line)
            length += len(line) + 1
        return size

    def _lose(self, piece: Piece, line: bytes, error: OSError) -> None:
        lose = partial(self.backlog.lose, piece.tally, line + b"\n", failure(error))
        self._writers.tell(lose)

    def _fail(self, batch: list[Piece], written: int, error: OSError) -> None:
        closing = self.backlog.is_closing
        self.backlog.finish(batch, written, stop=not closing)
        self._failing = True
        with suppress(OSError):
            self._link.close()
        self._writers.tell(self._give_up if closing else partial(self.backlog.fail, failure(error)))

    def _give_up(self) -> None:
        """It is closed and nobody takes it."""
        self.backlog.abandon()
        self._wake()

    def close(self) -> None:
        """See `Place`."""
        self.backlog.close()

    def reopen(self) -> bool:
        """See `Place`."""
        return self.backlog.reopen()
