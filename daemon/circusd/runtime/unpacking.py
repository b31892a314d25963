"""Compressed files, which can only be read forwards: where somebody has stopped, he goes on, and has the last of it once more."""

from __future__ import annotations

import os
from collections import deque
from io import BufferedReader, FileIO
from typing import Final

CHUNK_BYTES: Final = 256 << 10
WINDOW_BYTES: Final = 8 << 20
"""So much of what was read last can be read again: more than a page has, as of several logs each is read for a whole one."""
_FILES: Final = 2
"""Files that somebody can go on with: both streams of a watcher."""

Key = tuple[int, int, int, int]


class Unpacked:
    """The content of one compressed file, read from its beginning on. In constant memory."""

    def __init__(self, fd: int, kind: str) -> None:
        """Has a descriptor of its own. ``kind`` is ``gz``, ``xz`` or ``bz2``."""
        os.lseek(fd, 0, os.SEEK_SET)
        self._raw = FileIO(os.dup(fd), "rb")
        self._stream = _unpacked(self._raw, kind)
        self._window: deque[bytes] = deque()
        self.start = 0
        """From which byte of the content on it can be read,"""
        self.end = 0
        """and how far it was read."""

    def read(self, at: int) -> bytes:
        """Some bytes from ``at`` on, which is between start and end; none at the end of the file. Raises as `damage` tells."""
        begin = self.start
        for block in self._window:
            if at < begin + len(block):
                return block[at - begin :]
            begin += len(block)
        data = self._stream.read(CHUNK_BYTES)
        if data:
            self._window.append(data)
            self.end += len(data)
            while self.end - self.start - len(self._window[0]) > WINDOW_BYTES:
                self.start += len(self._window.popleft())
        return data

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
            if known.start <= start:
                return known
            known.close()
        return Unpacked(fd, kind)

    def give_back(self, fd: int, content: Unpacked) -> None:
        """Somebody may go on with it; the file that was read longest ago is closed."""
        self._files[_key(fd)] = content
        while len(self._files) > _FILES:
            self._files.pop(next(iter(self._files))).close()


def _key(fd: int) -> Key:
    """Tells a file from others, and from itself when it was written to."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _unpacked(raw: FileIO, kind: str) -> BufferedReader:
    # Loaded when there is such a file.
    match kind:
        case "gz":
            import gzip

            return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
        case "bz2":
            import bz2

            return bz2.BZ2File(raw, "rb")  # type: ignore[return-value]
        case _:
            import lzma

            return lzma.LZMAFile(raw, "rb")  # type: ignore[return-value]


def damage(kind: str) -> tuple[type[Exception], ...]:
    """What reading a damaged file of that kind may raise."""
    found = (OSError, EOFError, ValueError, MemoryError)
    match kind:
        case "gz":
            import zlib

            return (*found, zlib.error)
        case "xz":
            import lzma

            return (*found, lzma.LZMAError)
        case _:
            return found
