"""Compressed files, which can only be read forwards: where somebody has stopped, he goes on, and need not begin anew.

Of what was read last a window is kept. Of a gzip file there are stops too: the decompressor as it was there, so that reading
backwards unpacks what lies between two of them and not all that comes before.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from collections import deque
from io import FileIO
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

CHUNK_BYTES: Final = 256 << 10
WINDOW_BYTES: Final = 8 << 20
"""So much of what was read last can be read again: more than a page has, as of several logs each is read for a whole one."""
GZIP_WINDOW_BYTES: Final = 1 << 20
"""The same where what is before it can be had from a stop."""
STOP_BYTES: Final = 1 << 20
"""Between two stops at first; twice as much whenever there are too many."""
STOPS: Final = 64
"""Each takes 50 KB."""
_READ_BYTES: Final = 64 << 10
_FILES: Final = 2
"""Files that somebody can go on with: both streams of a watcher."""

Key = tuple[int, int, int, int]


class Stop(NamedTuple):
    """A place in a gzip file at which unpacking can go on."""

    at: int
    """How much of the content comes before it,"""
    line: int
    """and where the first line begins after that."""
    packed: int
    """The place in the file."""
    state: Any
    """The decompressor as it was there; None before the first byte."""


class Stream(Protocol):
    """What unpacks, from the beginning on."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, less at the end alone."""

    def close(self) -> None:
        """Nothing is read any more."""


class Unpacked:
    """The content of one compressed file, read from its beginning on. In constant memory."""

    def __init__(self, fd: int, kind: str) -> None:
        """Has a descriptor of its own. ``kind`` is ``gz``, ``xz`` or ``bz2``."""
        os.lseek(fd, 0, os.SEEK_SET)
        self._raw = FileIO(os.dup(fd), "rb")
        self._gzip = _Gunzip(self._raw) if kind == "gz" else None
        self._stream: Stream = self._gzip or _unpacked(self._raw, kind)
        self._window: deque[bytes] = deque()
        self._window_bytes = GZIP_WINDOW_BYTES if self._gzip else WINDOW_BYTES
        self.start = 0
        """From which byte of the content on it can be read,"""
        self.end = 0
        """and how far it was read."""
        self.stops = [Stop(0, 0, 0, None)] if self._gzip else []
        """In their order."""
        self._spacing = STOP_BYTES
        self._begun: Stop | None = None
        """A stop behind which no line has begun yet."""

    def read(self, at: int) -> bytes:
        """Some bytes from ``at`` on, which is between start and end; none at the end of the file. Raises as `damage` tells."""
        begin = self.start
        for block in self._window:
            if at < begin + len(block):
                return block[at - begin :]
            begin += len(block)
        if self._gzip is not None:
            self._stop(self._gzip)
        data = self._stream.read(CHUNK_BYTES)
        if data:
            self._window.append(data)
            if self._begun is not None and (cut := data.find(b"\n") + 1):
                self.stops.append(self._begun._replace(line=self.end + cut))
                self._begun = None
            self.end += len(data)
            while self.end - self.start - len(self._window[0]) > self._window_bytes:
                self.start += len(self._window.popleft())
        return data

    def _stop(self, stream: _Gunzip) -> None:
        """A stop is made here if it is time for one."""
        if self._begun is not None or self.end < self.stops[-1].at + self._spacing:
            return
        self._begun = Stop(self.end, 0, *stream.state)
        if len(self.stops) >= STOPS:
            del self.stops[1::2]
            self._spacing *= 2

    def go_to(self, at: int) -> bool:
        """Whether the content can be read from ``at`` on, with no more to be passed over than has to be."""
        if self._gzip is not None:
            stop = self.stops[bisect_right(self.stops, at, key=attrgetter("at")) - 1]
            if at < self.start or stop.at > self.end:
                self._gzip.go_to(stop.packed, stop.state)
                self._window.clear()
                self._begun = None
                self.start = self.end = stop.at
        return self.start <= at

    def lines_before(self, end: int) -> list[int]:
        """Beginnings of lines from which on it can be read without what comes before them, from the last one down to 0."""
        stops = self.stops[: bisect_left(self.stops, end, key=attrgetter("line"))]
        return [stop.line for stop in reversed(stops)] or [0]

    @property
    def packed(self) -> int:
        """How many bytes of the file were read."""
        return os.lseek(self._raw.fileno(), 0, os.SEEK_CUR)

    def close(self) -> None:
        """The descriptor is closed."""
        self._stream.close()
        self._raw.close()


class Unfinished:
    """The compressed files that were not read to their end, for who goes on with them."""

    def __init__(self) -> None:
        self._files: dict[Key, Unpacked] = {}

    def take(self, fd: int, kind: str, start: int) -> Unpacked:
        """The content of that file, from ``start`` on or from before; it has to be given back, or closed."""
        known = self._files.pop(_key(fd), None)
        if known is not None:
            if known.go_to(start):
                return known
            known.close()
        return Unpacked(fd, kind)

    def lines_before(self, fd: int, end: int) -> list[int]:
        """See `Unpacked.lines_before`."""
        known = self._files.get(_key(fd))
        return [0] if known is None else known.lines_before(end)

    def give_back(self, fd: int, content: Unpacked) -> None:
        """Somebody may go on with it; the file that was read longest ago is closed."""
        self._files[_key(fd)] = content
        while len(self._files) > _FILES:
            self._files.pop(next(iter(self._files))).close()


def _key(fd: int) -> Key:
    """Tells a file from others, and from itself when it was written to."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _Gunzip:
    """The content of a gzip file, of one member or several, from any place at which somebody has been."""

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw
        self._unpacker: Any = None
        self._given = b""
        """What was read of the file and not used yet."""

    def read(self, size: int, /) -> bytes:
        """See `Stream`. Raises zlib.error where it is damaged, EOFError where it is cut off."""
        parts: list[bytes] = []
        while size and (self._is_within or self._begin()):
            given = self._given or self._raw.read(_READ_BYTES)
            data = self._unpacker.decompress(given, size)
            self._given = self._unpacker.unused_data if self._unpacker.eof else self._unpacker.unconsumed_tail
            if not (data or given):
                raise EOFError("it is cut off")
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    @property
    def _is_within(self) -> bool:
        return self._unpacker is not None and not self._unpacker.eof

    def _begin(self) -> bool:
        """The next member begins, behind zeros perhaps; False at the end of the file."""
        data = self._given.lstrip(b"\0")
        while not data:
            read = self._raw.read(_READ_BYTES)
            if not read:
                self._given = b""
                return False
            data = read.lstrip(b"\0")
        self._given = data
        self._unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        return True

    @property
    def state(self) -> tuple[int, Any]:
        """The place in the file, and the decompressor there."""
        return self._raw.tell() - len(self._given), self._unpacker and self._unpacker.copy()

    def go_to(self, packed: int, unpacker: Any) -> None:
        """It is as it was in that state."""
        self._raw.seek(packed)
        self._given = b""
        self._unpacker = unpacker and unpacker.copy()

    def close(self) -> None:
        """See `Stream`."""
        self._unpacker, self._given = None, b""


def _unpacked(raw: FileIO, kind: str) -> Stream:
    # Loaded when there is such a file.
    if kind == "bz2":
        import bz2

        return bz2.BZ2File(raw, "rb")
    import lzma

    return lzma.LZMAFile(raw, "rb")


def damage(kind: str) -> tuple[type[Exception], ...]:
    """What reading a damaged file of that kind may raise."""
    found = (OSError, EOFError, ValueError, MemoryError)
    match kind:
        case "gz":
            return (*found, zlib.error)
        case "xz":
            import lzma

            return (*found, lzma.LZMAError)
        case _:
            return found
