"""What outlives the daemon, one file for each kind: read once, written whole by a thread, so that no disk stops the hub."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

import gevent
from gevent.event import AsyncResult

from circusd.kernel import files

from . import clock
from .timers import LoopTimer
from .writer import Once, Thread, Writers

PATIENCE: Final = 2.0
"""Seconds that anybody waits for the disk; then the daemon goes on as if there were none."""

_LATEST: Final = 1e11
"""Epoch seconds that no clock shows: some thousand years on."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Form(Generic[Row]):
    """One kind of file."""

    file: str
    limit_bytes: int
    """A longer file was not written by us."""
    what: str
    """What is in it, in words: ``sessions``."""
    parse: Callable[[bytes, float], list[Row]]
    """The rows of a file as they count at a moment. Raises ValueError, with what is wrong, if anything is."""
    dump: Callable[[Sequence[Row], float], bytes]
    """The file's content, written at a moment."""
    key: Callable[[Row], str] | None = None
    """What tells a row from others, where one that has ended must not come back: rather than that, the file is removed.

    None where the rows are not to be lost: a file that can't be read is left as it is, and what comes late still counts.
    """


class Outcome(NamedTuple):
    """What became of reading or writing: why it went wrong (empty if it did not), and whether an ended row is still there."""

    problem: str = ""
    revives: bool = False


def read_json(data: bytes, version: int, rows: str) -> dict[str, Any]:
    """The object of a file of that version, which has a list under that name. Raises ValueError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(content, dict) or content.get("version") != version:
        raise ValueError(f"its version is not {version}")
    if not isinstance(content.get(rows), list):
        raise ValueError(f"it has no list of {rows}")
    return content


def written(moment: float) -> float:
    """A moment as a file has it."""
    # Before 1970 is where a machine without a clock may believe to have been.
    return round(max(0.0, moment), 3)


def moment_of(row: dict[str, Any], name: str) -> float:
    """A moment in a file. Raises ValueError."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError(f"{name} in it is no time")
    return float(value)


class StateFolder:
    """The state folder of one daemon, made when something is kept there, and nobody else's meanwhile; for any thread."""

    def __init__(self, name: str) -> None:
        """``name`` is the daemon's."""
        self.path = files.state_path(name)
        self._name = name
        self._mutex = threading.Lock()
        self._lock: files.Lock | None = None
        self._users: set[object] = set()

    def open(self, user: object) -> str:
        """The folder's path: it is there, safe, and no other daemon's until all users have closed. Raises CircusError, OSError."""
        with self._mutex:
            folder = files.state_folder(self._name)
            if self._lock is not None and not _is_at(self._lock):
                # Somebody has removed the folder, and it was made anew.
                self._release()
            if self._lock is None:
                self._lock = files.Lock.acquire(folder)
            self._users.add(user)
            return folder

    @property
    def is_ours(self) -> bool:
        """Whether it is this daemon's at present."""
        return self._lock is not None

    def close(self, user: object) -> None:
        """This user needs it no longer."""
        with self._mutex:
            self._users.discard(user)
            if not self._users:
                self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class StateFile(Generic[Row]):
    """One file of one daemon. Its folder is made when there is something to keep, and the thread when there is work.

    Everything here is called in the hub; what touches the disk is in `_Disk`, and is the thread's.
    """

    def __init__(self, folder: StateFolder, form: Form[Row]) -> None:
        self.problem = ""
        """Why it is not kept at present; empty when it is, or when there was nothing to keep yet."""
        self._folder = folder
        self._form = form
        self._log = logging.getLogger(f"circusd.{form.what}")
        self._disk = _Disk(folder, form)
        self._writers = Writers()
        self._thread: Thread | None = None
        self._timer = LoopTimer()
        self._last = Outcome()
        self._next: list[Row] | None = None
        self._pending: AsyncResult[Outcome] | None = None
        self._at_work: AsyncResult[Outcome] | None = None
        self._closed = False

    def read(self, then: Callable[[list[Row] | None], None]) -> None:
        """``then`` is called in the hub with what the file holds, or after `PATIENCE` with None.

        What must not be lost comes later all the same, by another call.
        """

        def came(found: list[Row] | None, outcome: Outcome) -> None:
            is_late = not self._timer.is_set
            if self._closed or (is_late and self._form.key is not None):
                return
            self._timer.stop()
            tell(found, outcome)

        def tell(found: list[Row] | None, outcome: Outcome) -> None:
            self._note(outcome, f"{self._form.what} of before are not taken over")
            then(found)

        self._timer.once(PATIENCE, tell, None, Outcome(self._silence()))

        def run() -> None:
            found, outcome = self._disk.read(clock.wall())
            self._writers.tell(lambda: came(found, outcome))

        self._put(run)

    def write(self, rows: list[Row]) -> None:
        """The file will hold exactly these. While it is being written, only the latest call counts."""
        self._next = rows
        if self._pending is None:
            self._pending = AsyncResult()
        self._begin()

    def _begin(self) -> None:
        if self._at_work is not None or self._next is None:
            return
        rows, self._next = self._next, None
        self._at_work, self._pending = self._pending, None

        def run() -> None:
            outcome = self._disk.write(rows, clock.wall())
            self._writers.tell(lambda: self._done(outcome))

        self._put(run)

    def _done(self, outcome: Outcome) -> None:
        done, self._at_work = self._at_work, None
        self._last = outcome
        self._note(outcome, f"{self._form.what} will not outlive circusd")
        if done is not None:
            done.set(outcome)
        self._begin()

    def settle(self) -> Outcome:
        """Wait, in a greenlet and for `PATIENCE` at most, until what was to be written is; tells what became of it."""
        latest = self._at_work if self._pending is None else self._pending
        if latest is None:
            return self._last
        try:
            return latest.get(timeout=PATIENCE) or Outcome()
        except gevent.Timeout:
            silent = Outcome(self._silence(), revives=True)
            self._note(silent, f"{self._form.what} will not outlive circusd")
            return silent

    def close(self) -> bool:
        """What was to be written is, and another daemon may have the folder; False if the disk does not answer."""
        self._closed = True
        self._timer.stop()
        silent = self.settle().problem == self._silence()
        if self._thread is not None:
            self._put(self._disk.close)
        return self._writers.close(0.0 if silent else PATIENCE)

    def _silence(self) -> str:
        return f"the disk of the state folder {self._folder.path} does not answer"

    def _put(self, run: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = self._writers.own(self._form.what)
        self._thread.put(Once(run))

    def _note(self, outcome: Outcome, consequence: str) -> None:
        if outcome.problem and outcome.problem != self.problem:
            self._log.warning("%s: %s", consequence, outcome.problem)
        elif self.problem and not outcome.problem:
            self._log.info("%s are kept again", self._form.what)
        self.problem = outcome.problem


class _Disk(Generic[Row]):
    """What the thread does, and what only it knows."""

    def __init__(self, folder: StateFolder, form: Form[Row]) -> None:
        self._folder = folder
        self._form = form
        self._there: frozenset[str] = frozenset()
        """Keys of the rows that the file holds."""
        self._unread = ""
        """Why the file, which is not to be lost, could not be read."""

    def read(self, now: float) -> tuple[list[Row], Outcome]:
        """The rows that are there. Nothing is made that was not there."""
        try:
            if not os.path.lexists(self._folder.path):
                return [], Outcome()
            path = self._open()
            files.remove_drafts(path)
            data = files.private_read(path, self._form.limit_bytes)
            found = [] if data is None else self._form.parse(data, now)
        except Exception as error:  # noqa: BLE001 (the thread goes on whatever is on the disk)
            words = files.why(self._path(), error)
            self._unread = words if self._form.key is None else ""
            return [], Outcome(words)
        self._there = self._keys(found)
        return found, Outcome()

    def write(self, rows: Sequence[Row], now: float) -> Outcome:
        """The file holds these. If that can't be had, none that has ended is left there, which can fail as well."""
        keys = self._keys(rows)
        try:
            if not rows and not os.path.lexists(self._folder.path):
                return Outcome()
            path = self._open()
            if self._unread and os.path.lexists(path):
                return Outcome(self._unread)
            self._unread = ""
            files.atomic_write(path, self._form.dump(rows, now), private=True)
        except Exception as error:  # noqa: BLE001 (as in `read`)
            return Outcome(files.why(self._path(), error), revives=not self._without(self._there - keys))
        self._there = keys
        return Outcome()

    def _keys(self, rows: Sequence[Row]) -> frozenset[str]:
        key = self._form.key
        return frozenset() if key is None else frozenset(map(key, rows))

    def _without(self, ended: frozenset[str]) -> bool:
        """Whether none of these is in the file; a full disk still lets it be removed as a whole."""
        if ended and self._folder.is_ours:
            try:
                files.private_remove(self._path())
            except OSError:
                return False
            self._there = frozenset()
        return True

    def close(self) -> None:
        """Another daemon may have the folder."""
        self._folder.close(self)

    def _path(self) -> str:
        return os.path.join(self._folder.path, self._form.file)

    def _open(self) -> str:
        """The path of the file, in a folder that is there, safe, and no other daemon's."""
        return os.path.join(self._folder.open(self), self._form.file)


def _is_at(lock: files.Lock) -> bool:
    """Whether the lock's file still has its name."""
    try:
        return os.path.samestat(os.fstat(lock.fd), os.stat(lock.path))
    except OSError:
        return False
