"""Which process a program has left in the background: a file names it, and it counts only if the kernel says that it is the program's."""

from __future__ import annotations

import os
import stat
from collections.abc import Container
from typing import Final

from circusd.kernel import pidfd, proc
from circusd.kernel.proc import Identity

MARK: Final = "CIRCUS_START"
"""A variable of the environment that the program is started with, and all that it starts have from it."""
MOST_BYTES: Final = 64
PID_DIGITS: Final = 11
ENVIRONMENT_BYTES: Final = 256 << 10


class NotYet(Exception):
    """Why the file names no process that counts, in words."""


def find(path: str, launcher: Identity, mark: str) -> Identity:
    """The process that the file names, if it is the launcher's; raises NotYet. To be called in a thread: a disk may hang."""
    pid = _read(path)
    row = proc.row(pid)
    if row is None or not row.is_alive:
        raise NotYet(f"{path} names process {pid}, which is not there")
    if row.start < launcher.start:
        raise NotYet(
            f"{path} names process {pid}, which is older than the program: the file is of an earlier start"
        )
    if row.identity == launcher or proc.is_below(row, launcher.pid):
        return row.identity
    if row.ppid != os.getpid():
        raise NotYet(f"{path} names process {pid}, which the program has not started")
    if not _may_have(pid, mark):
        raise NotYet(f"{path} names process {pid}, which another program has left behind")
    return row.identity


def left_behind(mark: str, known: Container[int]) -> list[Identity]:
    """Children of this process that are not in `known`, came to it when their parents ended, and bear that mark."""
    found: dict[Identity, None] = {}
    # Twice: one that ends between the list and the look at it leaves its own children to this process.
    for _ in range(2):
        rows = [proc.row(pid) for pid in list(pidfd.children()) if pid not in known]
        alive = [row for row in rows if row is not None and row.is_alive]
        found |= dict.fromkeys(row.identity for row in alive if _mark_of(row.pid) == mark)
    return list(found)


def _read(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        raise NotYet(f"{path} is not there") from None
    except (OSError, ValueError) as error:
        raise NotYet(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotYet(f"{path} is no file")
        text = os.read(fd, MOST_BYTES).split(b"\n", 1)[0].strip()
    except OSError as error:
        raise NotYet(f"{path} can't be read: {error.strerror}") from None
    finally:
        os.close(fd)
    # What else is in it is nobody's affair: it may be any file.
    if not (text.isdigit() and len(text) < PID_DIGITS and int(text) > 1):
        raise NotYet(f"{path} holds no pid")
    return int(text)


def _may_have(pid: int, mark: str) -> bool:
    """Whether a process bears the mark, or has written over its environment, as those do that change their titles."""
    found = _environment(pid)
    return _mark_in(found) == mark or b"=" not in found


def _mark_of(pid: int) -> str:
    return _mark_in(_environment(pid))


def _mark_in(environment: bytes) -> str:
    prefix = f"{MARK}=".encode()
    found = next((one for one in environment.split(b"\0") if one.startswith(prefix)), b"")
    return found.removeprefix(prefix).decode("ascii", "replace")


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read(ENVIRONMENT_BYTES)
    except OSError:
        return b""
