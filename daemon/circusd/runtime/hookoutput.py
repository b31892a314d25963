"""What hooks print: read without end, told line by line, never faster than a person could be told."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import gevent

from . import clock

READ: Final = 1
CHUNK: Final = 1 << 16
LINE_LIMIT: Final = 8192
"""Bytes after which a line is told in parts."""
LINES_A_SECOND: Final = 200
"""More are counted, not told."""


class HookOutput:
    """Owns the reading end of a pipe; ``tell`` gets each line without its end, in the hub's turn."""

    def __init__(self, fd: int, tell: Callable[[bytes], None]) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._tell = tell
        self._rest = b""
        self._second = 0.0
        self._told = 0
        self._passed_over = 0
        self._watcher = gevent.get_hub().loop.io(fd, READ)
        self._watcher.start(self._readable)

    def finish(self) -> None:
        """What is there is told, and the pipe is closed, even if somebody still holds its other end."""
        if self._fd >= 0:
            # A pipe holds 1 MiB at most; a child that a hook left behind could write for ever.
            for _ in range(16):
                if not self._read():
                    break
            self._close()

    def _readable(self) -> None:
        if self._read() is False:
            self._close()

    def _read(self) -> bool | None:
        """True after bytes, False at the end, None where there is nothing now."""
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return False
        if data:
            self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        now = clock.now()
        if now - self._second >= 1.0:
            self._tell_passed_over()
            self._second, self._told = now, 0
        if self._told >= LINES_A_SECOND:
            head, end, tail = data.rpartition(b"\n")
            self._passed_over += head.count(b"\n") + bool(end)
            self._rest = (tail if end else self._rest + tail)[-LINE_LIMIT:]
            return
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell_line(line)
        while len(rest) > LINE_LIMIT:
            self._tell_line(rest[:LINE_LIMIT])
            rest = rest[LINE_LIMIT:]
        self._rest = rest

    def _tell_line(self, line: bytes) -> None:
        if self._told >= LINES_A_SECOND:
            self._passed_over += 1
            return
        self._told += 1
        while len(line) > LINE_LIMIT:
            self._tell(line[:LINE_LIMIT])
            line = line[LINE_LIMIT:]
        self._tell(line)

    def _tell_passed_over(self) -> None:
        if self._passed_over:
            self._tell(b"(%d more lines)" % self._passed_over)
            self._passed_over = 0

    def _close(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        os.close(self._fd)
        self._fd = -1
        if self._rest:
            self._tell_line(self._rest)
            self._rest = b""
        self._tell_passed_over()
