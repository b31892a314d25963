"""What changes in folders, as the kernel tells it: inotify by the C library, loaded where something is watched."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

CREATE, MOVED_FROM, MOVED_TO, CLOSE_WRITE, DELETE = 0x100, 0x40, 0x80, 0x8, 0x200
DELETE_SELF, MOVE_SELF, OVERFLOW, IGNORED, IS_FOLDER = 0x400, 0x800, 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS, _NOT_UNLINKED = 0x01000000, 0x04000000
WANTED: Final = (
    CREATE
    | MOVED_FROM
    | MOVED_TO
    | CLOSE_WRITE
    | DELETE
    | DELETE_SELF
    | MOVE_SELF
    | _ONLY_FOLDERS
    | _NOT_UNLINKED
)
"""A file counts when whoever has written it has closed it: what writes on and on, as a log does, is silent."""
SELF: Final = DELETE_SELF | MOVE_SELF | IGNORED
"""The folder itself is another one now, or none."""

_NO_LIMIT: Final = 1 << 62
READ_BYTES: Final = 64 << 10
_HEAD: Final = struct.Struct("iIII")


class Change(NamedTuple):
    """Something has happened in a folder."""

    watch: int
    """The number that `Inotify.add` gave; -1 where the kernel has lost some."""
    mask: int
    name: str
    """Empty where it has happened to the folder itself."""


class Inotify:
    """An instance of the kernel's; its descriptor becomes readable."""

    def __init__(self) -> None:
        """Raises OSError with words that say which limit is reached."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self.fd < 0:
            raise _error(ctypes.get_errno(), "instances")

    def add(self, folder: str) -> int:
        """The folder is watched; the number is the same again for the same one. Raises OSError, also with such words."""
        watch = self._libc.inotify_add_watch(self.fd, os.fsencode(folder), ctypes.c_uint32(WANTED))
        if watch < 0:
            raise _error(ctypes.get_errno(), "watches")
        return int(watch)

    def remove(self, watch: int) -> None:
        """It is not watched any more; the kernel may have seen to that before."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Change]:
        """What has happened, as far as one read gives it; nothing where nothing has."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        changes, at = [], 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            changes.append(Change(watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
            at += length
        return changes

    def close(self) -> None:
        """Nothing is watched any more."""
        os.close(self.fd)


def _error(number: int, what: str) -> OSError:
    reached = {"watches": errno.ENOSPC, "instances": errno.EMFILE}
    if number != reached[what]:
        return OSError(number, os.strerror(number))
    limits = {f"fs.inotify.max_user_{what}": _NO_LIMIT, f"user.max_inotify_{what}": _NO_LIMIT}
    for name in limits:
        with suppress(OSError, ValueError):
            limits[name] = int(Path("/proc/sys", *name.split(".")).read_text())
    name = min(limits, key=limits.__getitem__)
    return OSError(number, f"the limit {name} ({limits[name]}) is reached: raise it with sysctl")
