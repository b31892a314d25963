"""The audit log on disk: lines appended by a thread of its own, put aside by size, and read back from the end."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import gevent
from gevent.event import AsyncResult

from circusd.kernel import files

from .appendfile import AppendFile
from .rotation import Kept, SizeRotation
from .writer import Once, Thread, Writers

FILE: Final = "audit.log"

FILE_BYTES: Final = 4 << 20
BACKUPS: Final = 4
"""Files beside the one that is written: 20 MiB in all."""

WAITING_BYTES: Final = 1 << 20
"""What waits for the disk at most; what would come on top of it is lost, and counted."""

READ_BYTES: Final = 1 << 20
"""As much of each file is read at most to show the last lines."""

PATIENCE: Final = 2.0
"""Seconds that anybody waits for the disk."""


class AuditFile:
    """The file of one daemon; its thread, its folder and itself are made when there is the first line to write.

    Everything here is called in the hub; what touches the disk is in `_Disk`, and is the thread's.
    """

    def __init__(self, name: str, path: str, told: Callable[[str], None]) -> None:
        """``path`` is empty for the place in the state folder of the daemon ``name``. ``told`` is called in the hub with
        each new problem, and with nothing when lines are written again."""
        self.problem = ""
        """Why lines are not written at present; empty when they are, or when there was none yet."""
        self.lost = 0
        self._told = told
        self._disk = _Disk(name, path)
        self._writers = Writers()
        self._thread: Thread | None = None
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._is_due = False

    @property
    def path(self) -> str:
        """Where the lines are; empty if there is no place for them."""
        return self._disk.path

    def append(self, line: bytes) -> None:
        """The line will be at the end of the file, if the disk takes it; never waits."""
        if self._waiting + len(line) > WAITING_BYTES:
            self.lost += 1
            self._note(f"the disk of {self.path} does not answer")
            return
        self._waiting += len(line)
        self._lines.append(line)
        if not self._is_due:
            self._is_due = True
            self._put(self._write)

    def last(self, count: int, which: Callable[[bytes], bool] | None = None) -> list[bytes] | None:
        """The last lines of the files, oldest first; with ``which``, which is asked in the thread, those that it wants.

        Waits, in a greenlet; None if the disk does not answer.
        """
        result: AsyncResult[list[bytes]] = AsyncResult()

        def run() -> None:
            lines = self._disk.read(count, which)
            self._writers.tell(lambda: result.set(lines))

        self._put(run)
        try:
            return result.get(timeout=PATIENCE)
        except gevent.Timeout:
            return None

    def close(self) -> bool:
        """What could be written is, and the file is closed; False if the disk does not answer."""
        if self._thread is None:
            return True
        self._put(self._disk.close)
        return self._writers.close(PATIENCE)

    def _put(self, run: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = self._writers.own("audit")
        self._thread.put(Once(run))

    def _write(self) -> None:
        """In the thread: all that waits is written, or kept for the next time."""
        # Before the lines are taken: one that comes now is taken with them, or makes work of its own.
        self._is_due = False
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        lost, problem = self._disk.write(lines)
        size = sum(map(len, lines))
        self._writers.tell(lambda: self._written(size, lost, problem))

    def _written(self, size: int, lost: int, problem: str) -> None:
        self._waiting -= size
        self.lost += lost
        self._note(problem)

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._told(problem)


class _Disk:
    """What the thread does, and what only it knows."""

    def __init__(self, name: str, path: str) -> None:
        self._name = "" if path else name
        state = files.state_path(name)
        self.path = path or (os.path.join(state, FILE) if state else "")
        self._file = AppendFile(self.path, SizeRotation(FILE_BYTES, Kept(BACKUPS)), private=True)
        self._left = b""
        """What the disk has not taken yet."""

    def write(self, lines: Sequence[bytes]) -> tuple[int, str]:
        """How many lines were lost, and why something could not be written; nothing if all was."""
        lost = 0
        for line in lines:
            if len(self._left) + len(line) > WAITING_BYTES:
                lost += 1
            else:
                self._left += line
        try:
            if self._name:
                files.state_folder(self._name)
            while self._left:
                self._left = self._left[self._file.write((self._left,)) :]
        except Exception as error:  # noqa: BLE001 (the thread goes on whatever is on the disk)
            return lost, files.why(self.path, error)
        finally:
            # Commands are rare: nothing is held meanwhile, and a file that was moved is made anew.
            self._file.let_go()
        return lost, ""

    def read(self, count: int, which: Callable[[bytes], bool] | None = None) -> list[bytes]:
        """The last lines, of as many files as it takes; what can't be read is as if it were not there."""
        found: list[bytes] = []
        for path in (self.path, *(f"{self.path}.{number}" for number in range(1, BACKUPS + 1))):
            if len(found) >= count:
                break
            found = [line for line in _tail(path) if which is None or which(line)] + found
        return found[-count:] if count else []

    def close(self) -> None:
        """The last try for what is left."""
        self.write(())


def _tail(path: str) -> list[bytes]:
    """The whole lines at the end of a file; whatever else has the name by now, nothing waits for it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return []
        start = max(0, status.st_size - READ_BYTES)
        lines = os.pread(fd, READ_BYTES, start).splitlines()
    except OSError:
        return []
    finally:
        os.close(fd)
    return lines[1:] if start else lines
