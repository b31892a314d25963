"""The sessions on disk: read once, written whole by a thread, so that they outlive the daemon and no disk stops the hub.

The format is JSON: ``version``, ``written``, and for each session the hash of its token (``key``), ``person``, ``role``,
``ends`` and ``used``. All moments are epoch seconds.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import gevent
from gevent.event import AsyncResult

from circusd.kernel import files
from circusd.kernel.diagnosis import in_words
from circusd.schema.commands import ROLES
from circusd.schema.errors import CircusError
from circusd.schema.wire import encode

from . import clock
from .writer import Once, Thread, Writers

log = logging.getLogger("circusd.sessions")

FILE: Final = "sessions.json"
VERSION: Final = 1

LIMIT_BYTES: Final = 4 << 20
"""A longer file was not written by us: a thousand sessions of the longest names are shorter."""

PERSON_LIMIT: Final = 200
"""Characters of a person's name."""

PATIENCE: Final = 2.0
"""Seconds that anybody waits for the disk; then the daemon goes on as if there were none."""

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_LATEST: Final = 1e11
"""Epoch seconds that no clock shows: some thousand years on."""


class Kept(NamedTuple):
    """One session as the file has it."""

    key: str
    """The fingerprint of its token."""
    person: str
    role: str
    ends: float
    used: float


class Outcome(NamedTuple):
    """What became of reading or writing: why it went wrong (empty if it did not), and whether an ended session is still there."""

    problem: str = ""
    revives: bool = False


def dump(sessions: Sequence[Kept], now: float) -> bytes:
    """The file's content, written at `now`."""
    rows = [{**s._asdict(), "ends": _written(s.ends), "used": _written(s.used)} for s in sessions]
    return encode({"version": VERSION, "written": _written(now), "sessions": rows}) + b"\n"


def _written(moment: float) -> float:
    # Before 1970 is where a machine without a clock may believe to have been.
    return round(max(0.0, moment), 3)


def parse(data: bytes, now: float) -> list[Kept]:
    """The sessions of a file, as they count at `now`. Raises ValueError, with what is wrong, if anything is.

    When the clock shows less than when it was written, it was set back: no session gets longer by that.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("sessions"), list):
        raise ValueError("it has no list of sessions")
    if content.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    back = max(0.0, _moment(content, "written") - now)
    return [_kept(row, back) for row in content["sessions"]]


def _kept(row: Any, back: float) -> Kept:
    if not isinstance(row, dict):
        raise ValueError("a session in it is no object")
    key, person, role = (row.get(name) for name in ("key", "person", "role"))
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError("a session in it has no hash")
    if not isinstance(person, str) or len(person) > PERSON_LIMIT:
        raise ValueError("a session in it has no person")
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError("a session in it has no role")
    return Kept(key, person, role, _moment(row, "ends") - back, _moment(row, "used") - back)


def _moment(row: dict[str, Any], name: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError(f"{name} in it is no time")
    return float(value)


class SessionFile:
    """The file of one daemon. Its folder is made when there is something to keep, and the thread when there is work.

    Everything here is called in the hub; what touches the disk is in `_Disk`, and is the thread's.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the daemon's."""
        self.problem = ""
        """Why sessions are not kept at present; empty when they are, or when there was nothing to keep yet."""
        self._name = name
        self._disk = _Disk(name)
        self._writers = Writers()
        self._thread: Thread | None = None
        self._timer: Any = None
        self._last = Outcome()
        self._next: list[Kept] | None = None
        self._pending: AsyncResult[Outcome] | None = None
        self._at_work: AsyncResult[Outcome] | None = None

    def read(self, then: Callable[[list[Kept]], None]) -> None:
        """``then`` is called in the hub with what the file holds, at the latest after `PATIENCE`: then with nothing."""

        def tell(found: list[Kept], outcome: Outcome) -> None:
            if self._timer is None:
                # Too late, or closed.
                return
            self._stop_timer()
            self._note(outcome, "sessions of before are not taken over")
            then(found)

        self._timer = gevent.get_hub().loop.timer(PATIENCE)
        # From now on, and not from when the loop looked at the clock the last time.
        self._timer.start(tell, [], Outcome(self._silence()), update=True)

        def run() -> None:
            found, outcome = self._disk.read(clock.wall())
            self._writers.tell(lambda: tell(found, outcome))

        self._put(run)

    def write(self, sessions: list[Kept]) -> None:
        """The file will hold exactly these. While it is being written, only the latest call counts."""
        self._next = sessions
        if self._pending is None:
            self._pending = AsyncResult()
        self._begin()

    def _begin(self) -> None:
        if self._at_work is not None or self._next is None:
            return
        sessions, self._next = self._next, None
        self._at_work, self._pending = self._pending, None

        def run() -> None:
            outcome = self._disk.write(sessions, clock.wall())
            self._writers.tell(lambda: self._done(outcome))

        self._put(run)

    def _done(self, outcome: Outcome) -> None:
        done, self._at_work = self._at_work, None
        self._last = outcome
        self._note(outcome, "sessions will not outlive circusd")
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
            self._note(silent, "sessions will not outlive circusd")
            return silent

    def close(self) -> bool:
        """What was to be written is, and another daemon may have the folder; False if the disk does not answer."""
        self._stop_timer()
        silent = self.settle().problem == self._silence()
        if self._thread is not None:
            self._put(self._disk.close)
        return self._writers.close(0.0 if silent else PATIENCE)

    def _silence(self) -> str:
        return f"the disk of the state folder {files.state_path(self._name)} does not answer"

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _put(self, run: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = self._writers.own("sessions")
        self._thread.put(Once(run))

    def _note(self, outcome: Outcome, consequence: str) -> None:
        if outcome.problem and outcome.problem != self.problem:
            log.warning("%s: %s", consequence, outcome.problem)
        elif self.problem and not outcome.problem:
            log.info("sessions are kept again")
        self.problem = outcome.problem


class _Disk:
    """What the thread does, and what only it knows."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock: files.Lock | None = None
        self._there: frozenset[str] = frozenset()
        """Keys of the sessions that the file holds."""

    def read(self, now: float) -> tuple[list[Kept], Outcome]:
        """The sessions that are there. Nothing is made that was not there."""
        try:
            if not os.path.lexists(files.state_path(self._name)):
                return [], Outcome()
            path = self._open()
            files.remove_drafts(path)
            data = files.private_read(path, LIMIT_BYTES)
            found = [] if data is None else parse(data, now)
        except Exception as error:  # noqa: BLE001 (the thread goes on whatever is on the disk)
            return [], Outcome(self._words(error))
        self._there = frozenset(session.key for session in found)
        return found, Outcome()

    def write(self, sessions: Sequence[Kept], now: float) -> Outcome:
        """The file holds these. If that can't be had, none that has ended is left there, which can fail as well."""
        keys = frozenset(session.key for session in sessions)
        try:
            if not sessions and not os.path.lexists(files.state_path(self._name)):
                return Outcome()
            files.atomic_write(self._open(), dump(sessions, now), private=True)
        except Exception as error:  # noqa: BLE001 (as in `read`)
            return Outcome(self._words(error), revives=not self._without(self._there - keys))
        self._there = keys
        return Outcome()

    def _without(self, ended: frozenset[str]) -> bool:
        """Whether none of these is in the file; a full disk still lets it be removed as a whole."""
        if ended and self._lock is not None:
            try:
                files.private_remove(self._path())
            except OSError:
                return False
            self._there = frozenset()
        return True

    def close(self) -> None:
        """Another daemon may have the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _path(self) -> str:
        return os.path.join(files.state_path(self._name), FILE)

    def _open(self) -> str:
        """The path of the file, in a folder that is there, safe, and no other daemon's."""
        folder = files.state_folder(self._name)
        if self._lock is not None and not _is_at(self._lock):
            # Somebody has removed the folder, and it was made anew.
            self.close()
        if self._lock is None:
            self._lock = files.Lock.acquire(folder)
        return os.path.join(folder, FILE)

    def _words(self, error: Exception) -> str:
        if isinstance(error, OSError):
            # Words of our own, or of the system; not the name in it, which may be a draft's.
            words = error.strerror or in_words(error.errno)
            return f"{self._path()}: {words[:1].lower()}{words[1:]}"
        return str(error) if isinstance(error, CircusError) else f"{self._path()}: {error}"


def _is_at(lock: files.Lock) -> bool:
    """Whether the lock's file still has its name."""
    try:
        return os.path.samestat(os.fstat(lock.fd), os.stat(lock.path))
    except OSError:
        return False
