"""Old log files are compressed, in a thread of its own that gives way to all others, one after the other."""

from __future__ import annotations

import os
import stat
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from .appendfile import AppendFile
from .rotation import PACKED, is_same_content
from .writer import Thread, Writers

DRAFT: Final = ".packing"
"""The end of the name of what is not yet whole; what a crash has left is written over."""
_CHUNK_BYTES: Final = 256 << 10
_LEVEL: Final = 6
_GZIP: Final = 31
"""zlib's word for its largest window and the form of gzip."""
_NICE: Final = 10

Done = Callable[[str], None]
"""Called in the hub with what is wrong, or with an empty text."""


class _StoppedError(Exception):
    """There is no time left."""


class Packer:
    """Compresses what was put aside of logs; made with nothing, and a thread when there is something to do."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers
        self._thread: Thread | None = None
        self._due: dict[AppendFile, bool] = {}
        """Whose old files are compressed now or soon, and whether it was asked for once more since."""
        self._is_closed = False

    def begin(self, file: AppendFile, done: Done) -> None:
        """All old files of that log will be compressed; `done` is called then."""
        if self._is_closed:
            return
        if file in self._due:
            # It may have been looked for such files for the last time already.
            self._due[file] = True
            return
        self._due[file] = False
        if self._thread is None:
            self._thread = self._writers.own("packer")
        self._thread.put(_Packing(file, self, done))

    def close(self) -> None:
        """What is not done stays as it is."""
        self._is_closed = True

    def run(self, file: AppendFile, done: Done) -> None:
        """In the thread: see `begin`."""
        # Of this thread alone: Linux gives each its own.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        problem: str | None = None
        try:
            self._pack_all(file)
            problem = ""
        except _StoppedError:
            return
        except OSError as error:
            problem = error.strerror or str(error)
        finally:
            self._writers.tell(partial(self._ended, file, done, problem))

    def _ended(self, file: AppendFile, done: Done, problem: str | None) -> None:
        once_more = self._due.pop(file, False)
        if problem is not None:
            done(problem)
        if once_more:
            self.begin(file, done)

    def _pack_all(self, file: AppendFile) -> None:
        refused: set[int] = set()
        while (found := _next(file, refused)) is not None:
            fd, path = found
            try:
                if not self._pack(file, fd, path):
                    refused.add(os.fstat(fd).st_ino)
            finally:
                os.close(fd)

    def _pack(self, file: AppendFile, fd: int, path: str) -> bool:
        """The file is compressed and gone; False when it is not there any more, or was packed already."""
        status = os.fstat(fd)
        with file.names:
            if _is_at(path, status) and _is_packed(fd, path + PACKED):
                # circusd has ended between the two steps.
                os.unlink(path)
                return False
        draft = f"{file.path}{DRAFT}"
        with suppress(FileNotFoundError):
            os.unlink(draft)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        out = os.open(draft, flags, 0o600)
        try:
            self._write(fd, out)
            os.fchown(out, status.st_uid, status.st_gid)
            os.fchmod(out, stat.S_IMODE(status.st_mode) & 0o666)
            # By it the index knows which file this was; see `logfiles`.
            os.utime(out, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(out)
            with file.names:
                return _replace(file, status, draft)
        finally:
            os.close(out)
            with suppress(FileNotFoundError):
                os.unlink(draft)

    def _write(self, fd: int, out: int) -> None:
        packed = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        while data := os.read(fd, _CHUNK_BYTES):
            if self._is_closed:
                raise _StoppedError
            _write_all(out, packed.compress(data))
        _write_all(out, packed.flush())


class _Packing:
    """The work for one log."""

    device = 0

    def __init__(self, file: AppendFile, packer: Packer, done: Done) -> None:
        self._file = file
        self._packer = packer
        self._done = done

    def work(self) -> bool:
        """See `writer.Work`."""
        self._packer.run(self._file, self._done)
        return False


def _next(file: AppendFile, refused: set[int]) -> tuple[int, str] | None:
    """The oldest file that is not compressed, open, and its name; None if there is none, or none is wanted."""
    rotation = file.rotation
    if rotation is None or not rotation.kept.compress or file.path is None:
        return None
    with file.names:
        for name in reversed(rotation.aside(file.path)):
            if name.endswith(PACKED):
                continue
            try:
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue
            status = os.fstat(fd)
            # A link may have been put there by whoever may write to the folder.
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_ino not in refused:
                return fd, name
            os.close(fd)
    return None


def _replace(file: AppendFile, status: os.stat_result, draft: str) -> bool:
    """The compressed file is there in place of the other, whatever that is called by now; False if it is gone."""
    rotation = file.rotation
    if rotation is None or file.path is None:
        return False
    for name in rotation.aside(file.path):
        if _is_at(name, status):
            os.rename(draft, name + PACKED)
            os.unlink(name)
            return True
    return False


def _is_at(name: str, status: os.stat_result) -> bool:
    """Whether that file has the name."""
    try:
        return os.path.samestat(os.lstat(name), status)
    except FileNotFoundError:
        return False


def _is_packed(fd: int, packed: str) -> bool:
    """Whether that file is what was made of the one that is open: of the same time, and of as many bytes."""
    try:
        other = os.open(packed, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_same_content(os.fstat(fd), os.fstat(other), other)
    finally:
        os.close(other)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
