"""The priority that this process's reads and writes have, as psutil asks the kernel for it: loaded where a watcher has one.

Apart from the rest of scheduling for the sake of what the library costs.
"""

from __future__ import annotations

import errno
import os

import psutil


def io_priority() -> tuple[int, int]:
    """Class and level of this process's main thread, as ``ioprio_get(2)`` has them; class 0 where none was given."""
    found = psutil.Process().ionice()
    return int(found.ioclass), int(found.value)


def set_io_priority(kind: int, level: int) -> None:
    """The main thread has that class and level, and what it starts from now on too. Raises OSError."""
    has_levels = kind in (psutil.IOPRIO_CLASS_RT, psutil.IOPRIO_CLASS_BE)
    try:
        psutil.Process().ionice(kind, level if has_levels else None)
    except psutil.AccessDenied:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None
