"""Compressed files, which can only be read forwards: where somebody has stopped, he goes on, and need not begin anew.

Of what was read last a window is kept. Of a gzip file there are stops too: the decompressor as it was there, so that reading
backwards unpacks what lies between two of them and not all that comes before. The decompressors of the others can't be copied:
for who reads backwards what they give is put aside in a file of bounded size.
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
SPILL_BYTES: Final = 128 << 20
"""What is put aside of a file that is read backwards, where there is room for it,"""
SPILL_FOLDER: Final = "/var/tmp"  # noqa: S108 (the file has no name there)
"""Where, if TMPDIR does not say so; ``/tmp`` may be in memory."""
SPILL_SHARE: Final = 32
"""and no more than this part of what is free there: some such files may be read at once."""
STOP_BYTES: Final = 1 << 20
"""Between two stops at first; twice as much whenever there are too many."""
STOPS: Final = 64
"""Each takes 50 KB."""
_READ_BYTES: Final = 64 << 10
_FILES: Final = 2
"""Files that somebody can go on with: both streams of a watcher."""

Key = tuple[int, int, int, int]


class Stop(NamedTuple):
    """A place in a file at which reading can go on: of what is not gzip, as long as it is there what was put aside."""

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


class Kept(Protocol):
    """What was read last of some content."""

    start: int
    """From which byte on it is there,"""
    end: int
    """and up to which."""

    def put(self, data: bytes) -> None:
        """What comes next is there too, and what is too much at the beginning is not. May raise OSError."""

    def get(self, at: int) -> bytes:
        """Some bytes from ``at`` on, which is between start and end. May raise OSError."""

    def close(self) -> None:
        """Nothing is held any more."""


class Unpacked:
    """The content of one compressed file, read from its beginning on. In constant memory."""

    def __init__(self, fd: int, kind: str, *, backwards: bool = False) -> None:
        """Has a descriptor of its own. ``kind`` is ``gz``, ``xz`` or ``bz2``; ``backwards``: what comes earlier is asked for later."""
        os.lseek(fd, 0, os.SEEK_SET)
        self._raw = FileIO(os.dup(fd), "rb")
        self._gzip = _Gunzip(self._raw) if kind == "gz" else None
        self._stream: Stream = self._gzip or _unpacked(self._raw, kind)
        spill = _spill() if backwards and self._gzip is None else None
        self._kept: Kept = spill or _Window(0, GZIP_WINDOW_BYTES if self._gzip else WINDOW_BYTES)
        self.stops = [Stop(0, 0, 0, None)] if self._gzip or spill else []
        """In their order."""
        self._spacing = STOP_BYTES
        self._begun: Stop | None = None
        """A stop behind which no line has begun yet."""

    def read(self, at: int) -> bytes:
        """Some bytes from ``at`` on, which is between start and end; none at the end of the file. Raises as `damage` tells."""
        if at < self.end:
            return self._kept.get(at)
        self._stop()
        data = self._stream.read(CHUNK_BYTES)
        if data:
            if self._begun is not None and (cut := data.find(b"\n") + 1):
                self.stops.append(self._begun._replace(line=self.end + cut))
                self._begun = None
            self._keep(data)
        return data

    @property
    def start(self) -> int:
        """From which byte of the content on it can be read."""
        return self._kept.start

    @property
    def end(self) -> int:
        """How far it was read."""
        return self._kept.end

    def _keep(self, data: bytes) -> None:
        at = self.end
        try:
            self._kept.put(data)
        except OSError:
            # There is no room any more.
            self._kept.close()
            self._kept = _Window(at, WINDOW_BYTES)
            self._kept.put(data)
        if self._gzip is None:
            while len(self.stops) > 1 and self.stops[1].at < self.start:
                del self.stops[1]

    def _stop(self) -> None:
        """A stop is made here if it is time for one."""
        if not self.stops or self._begun is not None or self.end < self.stops[-1].at + self._spacing:
            return
        self._begun = Stop(self.end, 0, *(self._gzip.state if self._gzip else (0, None)))
        if len(self.stops) >= STOPS:
            del self.stops[1::2]
            self._spacing *= 2

    def go_to(self, at: int) -> bool:
        """Whether the content can be read from ``at`` on, with no more to be passed over than has to be."""
        if self._gzip is not None:
            stop = self.stops[bisect_right(self.stops, at, key=attrgetter("at")) - 1]
            if at < self.start or stop.at > self.end:
                self._gzip.go_to(stop.packed, stop.state)
                self._kept = _Window(stop.at, GZIP_WINDOW_BYTES)
                self._begun = None
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
        self._kept.close()


class Unfinished:
    """The compressed files that were not read to their end, for who goes on with them."""

    def __init__(self) -> None:
        self._files: dict[Key, Unpacked] = {}
        self._backwards: set[Key] = set()
        """Files that are read backwards."""

    def take(self, fd: int, kind: str, start: int) -> Unpacked:
        """The content of that file, from ``start`` on or from before; it has to be given back, or closed."""
        key = _key(fd)
        known = self._files.pop(key, None)
        if known is not None:
            if known.go_to(start):
                return known
            known.close()
        return Unpacked(fd, kind, backwards=key in self._backwards)

    def lines_before(self, fd: int, end: int) -> list[int]:
        """See `Unpacked.lines_before`; for who is about to read them backwards."""
        key = _key(fd)
        self._backwards.add(key)
        known = self._files.get(key)
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


class _Window:
    """In memory."""

    def __init__(self, at: int, size: int) -> None:
        self.start = self.end = at
        self._size = size
        self._blocks: deque[bytes] = deque()

    def put(self, data: bytes) -> None:
        """See `Kept`."""
        self._blocks.append(data)
        self.end += len(data)
        while self.end - self.start - len(self._blocks[0]) > self._size:
            self.start += len(self._blocks.popleft())

    def get(self, at: int) -> bytes:
        """See `Kept`."""
        begin = self.start
        for block in self._blocks:
            if at < begin + len(block):
                return block[at - begin :]
            begin += len(block)
        return b""

    def close(self) -> None:
        """See `Kept`."""
        self._blocks.clear()


class _Spill:
    """In a file without a name, written round and round."""

    def __init__(self, file: FileIO, size: int) -> None:
        self.start = self.end = 0
        self._file = file
        self._size = size

    def put(self, data: bytes) -> None:
        """See `Kept`."""
        view = memoryview(data)
        while view:
            at = self.end % self._size
            count = os.pwrite(self._file.fileno(), view[: self._size - at], at)
            self.end += count
            self.start = max(self.start, self.end - self._size)
            view = view[count:]

    def get(self, at: int) -> bytes:
        """See `Kept`."""
        place = at % self._size
        count = min(CHUNK_BYTES, self.end - at, self._size - place)
        return os.pread(self._file.fileno(), count, place)

    def close(self) -> None:
        """See `Kept`."""
        self._file.close()


def _spill() -> _Spill | None:
    """A place for what is unpacked, nothing where there is little room."""
    # Rare, and who reads is to be small.
    import tempfile

    try:
        file = tempfile.TemporaryFile(buffering=0, dir=os.environ.get("TMPDIR") or SPILL_FOLDER)  # noqa: SIM115 (it has an owner)
    except OSError:
        return None
    free = os.fstatvfs(file.fileno())
    size = min(SPILL_BYTES, free.f_bavail * free.f_frsize // SPILL_SHARE)
    if size < 2 * WINDOW_BYTES:
        file.close()
        return None
    return _Spill(file, size)


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
