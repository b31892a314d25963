"""Signs that a process is ready, as it gives them without a library: a newline at a descriptor, or a line of its output."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import gevent

READ: Final = 1
READ_BYTES: Final = 4096
MOST_BYTES: Final = 64 << 10
"""Of what comes before the newline: more is no sign."""
LINE_BYTES: Final = 8 << 10
"""Of a line: what stands further back is not looked at."""
LINES: Final = 1000
"""Lines of one read that are looked at closely: a flood of those that have the first words and not the others costs no more."""

Told = Callable[[str], None]
"""Called once, in the hub's turn, with what is wrong; with nothing when the sign was given."""


class Newline:
    """Waits at our end of a pipe, as s6 does, for a newline; what comes before it does not matter."""

    def __init__(self, fd: int, told: Told) -> None:
        """The descriptor is closed by this."""
        self._fd = fd
        self._told = told
        self._left = MOST_BYTES
        os.set_blocking(fd, False)
        self._io: Any = gevent.get_hub().loop.io(fd, READ)
        self._io.start(self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        self._left -= len(data)
        if b"\n" in data:
            self._end("")
        elif not data:
            self._end("it has closed it")
        elif self._left <= 0:
            self._end(f"it has written {MOST_BYTES} other bytes")

    def _end(self, problem: str) -> None:
        self.close()
        self._told(problem)

    def close(self) -> None:
        """Nobody waits any more."""
        if self._fd >= 0:
            self._io.stop()
            self._io.close()
            os.close(self._fd)
            self._fd = -1


class LineSign:
    """Looks into what a process writes to one stream for a line with certain words, in that order."""

    def __init__(self, text: str, told: Told) -> None:
        """The words stand in ``text`` with ``*`` between them."""
        self._words = [part.encode() for part in text.split("*") if part]
        self._told = told
        self._carry = b""

    def feed(self, data: bytes) -> bool:
        """Whether the line is there: in what came now, or with what came before of a line that has no end yet."""
        data = self._carry + data
        self._carry = data[data.rfind(b"\n") + 1 :][:LINE_BYTES]
        if not self._is_in(data):
            return False
        self._told("")
        return True

    def _is_in(self, data: bytes) -> bool:
        first = self._words[0]
        if not all(word in data for word in self._words):
            return False
        end = -1
        for _ in range(LINES):
            at = data.find(first, end + 1)
            if at < 0:
                return False
            start = data.rfind(b"\n", 0, at) + 1
            end = data.find(b"\n", at)
            line = data[start : min(start + LINE_BYTES, end if end >= 0 else len(data))]
            if self._matches(line):
                return True
            if end < 0:
                return False
        return False

    def _matches(self, line: bytes) -> bool:
        at = 0
        for word in self._words:
            at = line.find(word, at)
            if at < 0:
                return False
            at += len(word)
        return True
