"""A log file that is appended to, for a thread that may wait for the disk."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

from circusd.kernel.files import open_log, open_private_log

from .clock import wall
from .rotation import SPLIT_BYTES, Rotation

ANOTHER_PROGRAM: Final = "another program rotates it"
_MOST_PARTS: Final = 1024  # IOV_MAX
_CALL_BYTES: Final = 64 << 10
"""What is written by one call, at most. For more the kernel takes larger pieces of memory, which many a virtual machine has to be given
by its host first: 500 MB took up to four times as much of a processor so."""
_RETRY: Final = 5.0
"""Seconds after which a rotation that failed is tried again."""
_PATIENCE: Final = 60.0
"""Seconds for which a file that is due waits for the end of a line."""


class NotAFileError(OSError):
    """What has this name is a FIFO or a device: `fd` is open without waiting, for the hub to write to."""

    def __init__(self, fd: int) -> None:
        super().__init__("not a file")
        self.fd = fd


class AppendFile:
    """A file by its name: opened when it is written to, again when it is gone, and put aside by a rule."""

    def __init__(
        self,
        path: str | None,
        rotation: Rotation | None = None,
        *,
        watched: bool = False,
        prefix: str = "circusd-",
        private: bool = False,
    ) -> None:
        """Without a path it is a temporary file of that prefix; `path` is then known when it is first written.

        When `watched`, it is opened again also if the name belongs to another file. When `private`, nobody but the
        daemon's user can read it.
        """
        self.path = path
        self._rotation = rotation
        self.rotations = 0
        self.reopenings = 0
        """How often it was opened again because somebody asked for it."""
        self.rotation_error = ""
        """Why the file could not be put aside the last time; empty when it could."""
        self._watched = watched
        self._prefix = prefix
        self._private = private
        self._fd = -1
        self._size = self._inode = self._device = 0
        self._open_line = False
        self._not_before = 0.0
        self._next_rotation: tuple[Rotation | None, bool] | None = None
        self._given = False
        """It came open, and its name can't be opened."""
        self._is_due = False
        """It is to be put aside with the end of the line that is open in it."""
        self.names = threading.Lock()
        """Held while files of this log get other names or are deleted."""

    @classmethod
    def of(cls, fd: int, name: str) -> AppendFile:
        """The regular file that is open as `fd`, which belongs to it from now on."""
        file = cls(name)
        file._fd = fd
        file._device = os.fstat(fd).st_dev
        file._given = True
        return file

    def configure(self, rotation: Rotation | None, *, watched: bool) -> None:
        """The rule is another from the next write on; may be called in another thread than that."""
        self._next_rotation = (rotation, watched)

    @property
    def is_given(self) -> bool:
        """It came open, without a name of which another one could be opened."""
        return self._given

    @property
    def device(self) -> int | None:
        """The file system that it is on; None when it is not open."""
        return self._device if self._fd >= 0 else None

    @property
    def state(self) -> tuple[int, int]:
        """The inode of the file that is open, and how many bytes it has."""
        return self._inode, self._size

    def write(self, parts: Sequence[bytes]) -> int:
        """As much of the parts as could be written is at the end of the file; returns how many bytes that are.

        It is not all of them only if the next call would raise. Raises OSError when it is not open and can't be opened or
        when nothing could be written, NotAFileError when it is none.
        """
        self.open()
        rotation = self._rotation
        if rotation is None:
            return self._write(parts)
        if self._is_due:
            return self._write_and_put_aside(b"".join(parts))
        now = wall()
        if rotation.is_due(now):
            if not self._size:
                rotation.begin(now)
            elif not self._open_line or rotation.is_due(now - _PATIENCE):
                self._put_aside()
        limit = rotation.max_bytes
        if not limit or self._size + sum(map(len, parts)) <= limit:
            return self._write(parts)
        return self._write_divided(b"".join(parts), limit)

    def _write_and_put_aside(self, data: bytes) -> int:
        cut = data.find(b"\n") + 1 if self._open_line else 0
        written = self._write((data[:cut],)) if cut else 0
        if written < cut:
            return written
        if cut or not self._open_line:
            self._is_due = False
            self._put_aside()
        if cut == len(data):
            return cut
        try:
            return cut + (self._write((data[cut:],)) if self._is_due else self.write((data[cut:],)))
        except OSError:
            if not cut:
                raise
            return cut

    def _write_divided(self, data: bytes, limit: int) -> int:
        at = 0
        while at < len(data):
            room = max(0, limit - self._size)
            cut = data.rfind(b"\n", at, at + room) + 1 if len(data) - at > room else len(data)
            if not cut and ((self._size and not self._open_line) or self._size >= limit + SPLIT_BYTES):
                if self._put_aside():
                    continue
                cut = len(data)
            elif not cut:
                # A line that is longer than a file may be, or that was begun in this file.
                cut = data.find(b"\n", at, at + SPLIT_BYTES) + 1 or min(len(data), at + SPLIT_BYTES)
            try:
                written = self._write((data[at:cut],))
            except OSError:
                if not at:
                    raise
                return at
            at += written
            if at < cut:
                return at
        return at

    def _write(self, parts: Sequence[bytes]) -> int:
        if len(parts) == 1:
            return self._write_one(parts[0])
        total = 0
        for some in _calls(parts):
            size = sum(map(len, some))
            try:
                written = os.writev(self._fd, some)
            except OSError:
                if not total:
                    raise
                return total
            if not written:
                return total
            total += written
            self._size += written
            left = written
            for part in some:
                if left <= len(part):
                    break
                left -= len(part)
            self._open_line = part[left - 1] != 10
            if written < size:
                return total
        return total

    def _write_one(self, data: bytes) -> int:
        # The way of a loud process's output, of which whatever is done for each call is a part that can be seen.
        view, size, total = memoryview(data), len(data), 0
        try:
            while total < size and (written := os.write(self._fd, view[total : total + _CALL_BYTES])):
                total += written
        except OSError:
            if not total:
                raise
        if total:
            self._size += total
            self._open_line = data[total - 1] != 10
        return total

    def rotate(self) -> bool:
        """The file is put aside now whatever its size, if it has something; False when that waits for the end of a line.

        Raises OSError with the reason when it can't be put aside, and NotAFileError.
        """
        self.open()
        if self._given or self._rotation is None:
            raise OSError(errno.EINVAL, ANOTHER_PROGRAM)
        if not self._size:
            return True
        self._is_due = self._open_line
        if self._is_due:
            return False
        self._not_before = 0.0
        if not self._put_aside():
            raise OSError(errno.EIO, self.rotation_error)
        return True

    def reopen(self) -> None:
        """The file that has the name now is the one that is open. Raises OSError when it can't be opened, and the old one
        stays open; NotAFileError."""
        if self._given:
            return
        self.reopenings += 1
        if self._fd < 0:
            self.open()
            return
        old, inode, is_open_line = self._fd, self._inode, self._open_line
        try:
            self._open()
        except NotAFileError:
            self.close()
            raise
        self._open_line = is_open_line and inode == self._inode
        os.close(old)

    @property
    def rotation(self) -> Rotation | None:
        """The rule by which it is put aside."""
        return self._next_rotation[0] if self._next_rotation is not None else self._rotation

    def open(self) -> None:
        """The file is open, and it is the one that has the name; raises as `write` does."""
        if self._next_rotation is not None:
            (self._rotation, self._watched), self._next_rotation = self._next_rotation, None
            if self._fd >= 0:
                self._begin(os.fstat(self._fd))
        if self._fd < 0:
            self._open()
            return
        status = os.fstat(self._fd)
        self._size = status.st_size
        if self._given:
            return
        if not status.st_nlink:
            # Nobody would ever find what is written there.
            self.close()
            self._open()
        elif self._watched and time.monotonic() >= self._not_before and self._moved(status):
            self._reopen()

    def _begin(self, status: os.stat_result) -> None:
        if self._rotation is not None:
            self._rotation.begin(status.st_mtime if status.st_size else wall())

    def _moved(self, status: os.stat_result) -> bool:
        assert self.path is not None
        try:
            there = os.stat(self.path)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino)

    def _open(self) -> None:
        if self.path is None:
            # Rarely needed, and not light.
            import tempfile

            self._fd, self.path = tempfile.mkstemp(prefix=self._prefix, suffix=".log")
        elif self._private:
            self._fd = open_private_log(self.path)
        else:
            fd, waits = open_log(self.path)
            if waits:
                raise NotAFileError(fd)
            self._fd = fd
        status = os.fstat(self._fd)
        self._size, self._inode, self._device = status.st_size, status.st_ino, status.st_dev
        self._open_line = False
        self._begin(status)

    def _reopen(self) -> None:
        """The name has a file again; if it can't be had the old one is written on, which is better than nothing."""
        old = self._fd
        try:
            self._open()
        except NotAFileError:
            self.close()
            raise
        except OSError:
            self._fd = old
            self._not_before = time.monotonic() + 1.0
            return
        os.close(old)

    def _put_aside(self) -> bool:
        if time.monotonic() < self._not_before:
            return False
        assert self._rotation is not None and self.path is not None
        try:
            if not self._moved(os.fstat(self._fd)):
                with self.names:
                    self._rotation.put_aside(self.path)
                self.rotations += 1
            old = self._fd
            self._open()
            os.close(old)
            with self.names:
                self._rotation.kept.prune(self._rotation.aside(self.path), self._rotation.max_bytes)
        except NotAFileError as error:
            os.close(error.fd)
            self._not_before = time.monotonic() + _RETRY
            self.rotation_error = error.args[0]
            return False
        except OSError as error:
            self._not_before = time.monotonic() + _RETRY
            self.rotation_error = error.strerror or str(error)
            return False
        self.rotation_error = ""
        return True

    def let_go(self) -> None:
        """The next write opens it anew, if it has a name."""
        if not self._given:
            self.close()

    def close(self) -> None:
        """It is not open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _calls(parts: Sequence[bytes]) -> Iterator[list[bytes | memoryview]]:
    """The parts in pieces for one call each."""
    some: list[bytes | memoryview] = []
    room = _CALL_BYTES
    for part in parts:
        rest: bytes | memoryview = part
        while len(rest) > room or len(some) == _MOST_PARTS:
            view = memoryview(rest)
            if len(some) < _MOST_PARTS and room:
                some.append(view[:room])
                rest = view[room:]
            yield some
            some, room = [], _CALL_BYTES
        if rest:
            some.append(rest)
            room -= len(rest)
    if some:
        yield some
