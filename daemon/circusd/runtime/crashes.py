"""The crash reports of all watchers: made when a process fails, the same ones counted together, kept over the daemon's end.

At the end of a process a few references are noted and nothing else. A greenlet makes the reports, not more than some a second; what
fails oftener is counted.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import gevent
from gevent.event import Event

from circusd.core.crash import alike

from . import clock
from .arbiter import Arbiter
from .crashfile import TOTAL_BYTES, CrashFile, Kept
from .crashreport import (
    LOAD_SECONDS,
    begun,
    changes,
    died,
    killer,
    last_lines,
    looked_up,
    packed,
    was_killed,
)
from .failures import Failure
from .history import History
from .loadhistory import LoadHistory
from .statefile import StateFolder
from .watcher import Watcher

log = logging.getLogger("circusd.crashes")

OF_ONE: Final = 20
"""Reports that are kept of one watcher."""
TOGETHER: Final = 10.0
"""Seconds within which ends of one watcher by the same signal, code or reason are counted without a look."""
BURST: Final = 5
"""Reports of one watcher within that time; further failures are counted."""
WAITING: Final = 50
"""Failures that wait to be looked at."""
PAUSE: Final = 0.05
"""Seconds between two reports."""
PATIENCE: Final = 2.0
"""Seconds that a report waits for the system, or for those of before."""
LATER: Final = 30.0
"""Seconds after which counts are written that have grown."""


class _Fresh:
    """A kind of end that there is a report of since a moment ago, or soon will be."""

    __slots__ = ("at", "last", "more", "number")

    def __init__(self, at: float) -> None:
        self.at = at
        self.number = 0
        """Id of the report; 0 while it is being made."""
        self.more = 0
        """Ends that came meanwhile,"""
        self.last: Failure | None = None
        """and the last of them."""


class Crashes:
    """The reports of one daemon. All is called in the arbiter's greenlet or another one, and never from a thread."""

    def __init__(
        self,
        arbiter: Arbiter,
        history: History,
        load: LoadHistory,
        folder: StateFolder,
        by: Callable[[int], str],
    ) -> None:
        """``by`` tells whose command an id is of."""
        self._arbiter, self._history, self._load, self._by = arbiter, history, load, by
        self._kept: dict[str, list[Kept]] = {}
        """By lower-case name of the watcher, oldest first."""
        self._queue: deque[tuple[Watcher, Failure, str]] = deque()
        self._fresh: dict[tuple[str, Any], _Fresh] = {}
        """By watcher and kind of end."""
        self._made: dict[str, deque[float]] = {}
        """When the last reports of a watcher were begun."""
        self._forgotten: set[str] = set()
        """Watchers that were removed before those of before were read."""
        self._file = CrashFile(folder)
        self._is_read = Event()
        self._worker: gevent.Greenlet[..., None] | None = None
        self._writer: gevent.Greenlet[..., None] | None = None
        self._is_stuck = False
        """A look at the system has not come back: there are no more of them."""
        self._is_closing = False
        self._file.read(self._read)

    def _read(self, found: list[Kept] | None) -> None:
        """Those of before come first, also where they come late: then newer ones have other numbers from now on."""
        before: dict[str, list[Kept]] = {}
        for row in found or ():
            if row.watcher.lower() not in self._forgotten:
                before.setdefault(row.watcher.lower(), []).append(row)
        for name, rows in before.items():
            newer = [row._replace(id=row.id + rows[-1].id) for row in self._kept.get(name, ())]
            self._kept[name] = [*rows, *newer]
        self._prune()
        self._is_read.set()
        if self._forgotten:
            self._write()

    # -- what happens ----------------------------------------------------------------------------------------------

    def note(self, watcher: Watcher, failure: Failure) -> None:
        """A process has failed: there will be a report of it, or it is counted."""
        name, now = watcher.name.lower(), clock.now()
        how = (name, _how(failure))
        fresh = self._fresh.get(how)
        if fresh is not None and (not fresh.number or now - fresh.at < TOGETHER):
            if fresh.number:
                self._count(name, fresh.number, failure, 1)
            else:
                fresh.more += 1
                fresh.last = failure
            return
        made = self._made.setdefault(name, deque(maxlen=BURST))
        if len(self._queue) >= WAITING or (len(made) == BURST and now - made[0] < TOGETHER):
            self._pass_over(name)
            return
        made.append(now)
        if len(self._fresh) > 4 * WAITING:
            self._fresh = {
                key: one for key, one in self._fresh.items() if not one.number or now - one.at < TOGETHER
            }
        self._fresh[how] = _Fresh(now)
        self._queue.append((watcher, failure, self._by(failure.order)))
        if self._worker is None:
            self._worker = gevent.spawn(self._work)

    def _count(self, name: str, number: int, failure: Failure, more: int) -> None:
        """So many more of the ends that the report stands for, the last of them this one."""
        rows = self._kept.get(name, [])
        place = next((at for at, row in enumerate(rows) if row.id == number), None)
        if place is not None:
            rows[place] = rows[place]._replace(
                ends=rows[place].ends + more,
                last=round(clock.wall(failure.ended), 3),
                last_pid=failure.pid,
                next=failure.next,
                next_try=_next_try(failure),
            )
            self._write_later()

    def _pass_over(self, name: str) -> None:
        """One more failure after the last report."""
        rows = self._kept.get(name)
        if rows:
            rows[-1] = rows[-1]._replace(others=rows[-1].others + 1)
            self._write_later()

    def _write_later(self) -> None:
        if self._writer is None:
            self._writer = gevent.spawn_later(LATER, self._write)

    def _work(self) -> None:
        self._is_read.wait(PATIENCE)
        while self._queue:
            watcher, failure, by = self._queue.popleft()
            try:
                self._make(watcher, failure, by)
            except Exception:
                # A fault of ours in one report: supervision and the other reports go on.
                log.exception("a crash report could not be made watcher=%r wid=%d", watcher.name, failure.wid)
            fresh = self._fresh.get((watcher.name.lower(), _how(failure)))
            if fresh is not None and not fresh.number:
                # There is none of it: the next end is looked at again.
                del self._fresh[watcher.name.lower(), _how(failure)]
            gevent.sleep(1e-4 if self._is_closing else PAUSE)
        self._worker = None

    # -- one report ------------------------------------------------------------------------------------------------

    def _make(self, watcher: Watcher, failure: Failure, by: str) -> None:
        if watcher.removed:
            return
        good = watcher.health.good_start
        report = begun(watcher, failure, by)
        report["lines"] = last_lines(self._history, watcher.name, failure)
        report["load"] = self._load.kept(watcher.name, LOAD_SECONDS)
        report["since"] = None if good is None else round(clock.wall(good.at), 3)
        report["changes"] = changes(failure.config, good)
        base = self._arbiter.services.base_dir
        found = self._look(died(watcher, failure, base), good, counts=was_killed(failure))
        report["core_dump"], report["files"], kills = (None, [], None) if found is None else found
        starts = self._arbiter.good_starts
        report["killer"] = killer(starts.kills, kills) if was_killed(failure) else ""
        if kills is not None:
            starts.kills = (clock.wall(), kills)
        if not watcher.removed:
            self._keep(watcher, failure, report)

    def _look(self, dead: Any, good: Any, *, counts: bool) -> Any:
        """What the system tells, from a thread; None if it does not answer."""
        if dead is None and not counts and (good is None or not good.files):
            return None, [], None
        if self._is_stuck:
            return None
        self._is_stuck = True
        pool = gevent.get_hub().threadpool
        try:
            task = pool.spawn(looked_up, dead, good, counts)
        except (OSError, RuntimeError) as problem:
            log.warning("a crash report is made without what the system tells: %s", problem)
            self._is_stuck = False
            return None
        try:
            found = task.get(timeout=PATIENCE)
            self._is_stuck = False
            return found
        except gevent.Timeout:
            task.rawlink(self._came_back)
            log.warning("a crash report is made without what the system does not tell within %g s", PATIENCE)
            return None

    def _came_back(self, task: Any) -> None:
        self._is_stuck = False

    def _keep(self, watcher: Watcher, failure: Failure, report: dict[str, Any]) -> None:
        name = watcher.name.lower()
        rows = self._kept.setdefault(name, [])
        # Not what varies by chance: how long it has lived, and what it has used.
        exactly = json.dumps([_how(failure), report["changes"], report["files"], report["stop"]])
        same = alike(exactly, [line["stream"] + line["text"] for line in report["lines"]])
        digest = hashlib.sha256(same.encode("utf-8", "replace")).hexdigest()[:16]
        known = next((row.id for row in reversed(rows) if row.alike == digest), 0)
        number = known or (rows[-1].id + 1 if rows else 1)
        if known:
            self._count(name, number, failure, 1)
        else:
            at = report["ended"]
            data = packed({"id": number, **report})
            rows.append(
                Kept(watcher.name, number, data, digest, 1, at, failure.pid, failure.next, _next_try(failure))
            )
        self._made_known(name, number, failure)
        watcher.health.crash = {"id": number, "time": report["ended"]}
        if not known:
            self._prune()
            self._write()
            self._arbiter.journal.tell(
                "process.crashed",
                watcher.name,
                wid=failure.wid,
                pid=failure.pid,
                report=number,
                reason=report["how"],
            )
        self._arbiter.changed(watcher)

    def _made_known(self, name: str, number: int, failure: Failure) -> None:
        """Ends like that one are counted from now on, with those that came while the report was made."""
        fresh = self._fresh.get((name, _how(failure)))
        if fresh is not None:
            fresh.at, fresh.number = clock.now(), number
            if fresh.last is not None:
                self._count(name, number, fresh.last, fresh.more)
                fresh.last = None

    # -- keeping ---------------------------------------------------------------------------------------------------

    def _prune(self) -> None:
        for rows in self._kept.values():
            del rows[:-OF_ONE]
        sizes = {name: sum(len(row.report) for row in rows) for name, rows in self._kept.items()}
        total = sum(sizes.values())
        while total > TOTAL_BYTES:
            # The oldest of who has most: what fails all the time takes nothing from the others.
            name = max(sizes, key=lambda one: sizes[one])
            gone = len(self._kept[name].pop(0).report)
            sizes[name] -= gone
            total -= gone
        self._kept = {name: rows for name, rows in self._kept.items() if rows}

    def _write(self) -> None:
        if self._writer is not None and self._writer is not gevent.getcurrent():
            self._writer.kill(block=False)
        self._writer = None
        self._file.write([row for rows in self._kept.values() for row in rows])

    def forget(self, name: str) -> None:
        """The watcher was removed; one that is added under its name later has its own reports."""
        name = name.lower()
        self._made.pop(name, None)
        self._fresh = {key: one for key, one in self._fresh.items() if key[0] != name}
        if not self._is_read.is_set():
            self._forgotten.add(name)
        if self._kept.pop(name, None) is not None:
            self._write()

    def close(self) -> None:
        """What was to be reported is, as far as that can be known at once, and all is on disk unless the disk does not answer."""
        self._is_closing = True
        worker = self._worker
        if worker is not None:
            worker.join(PATIENCE)
            worker.kill(block=False)
        if self._writer is not None:
            self._write()
        self._file.close()

    # -- telling ---------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why reports will not outlive circusd; empty when they will."""
        return self._file.problem

    def of(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The reports of these watchers, newest first, each in short. To be called in a greenlet: waits for those of before."""
        self._is_read.wait(PATIENCE)
        rows = [row for name in names for row in self._kept.get(name.lower(), ())]
        return [_short(row) for row in sorted(rows, key=lambda row: row.last, reverse=True)]

    def report(self, name: str, number: int | None) -> dict[str, Any] | None:
        """The report of that number, or the last one, whole; None if there is none. To be called in a greenlet."""
        self._is_read.wait(PATIENCE)
        rows = [row for row in self._kept.get(name.lower(), ()) if number in (None, row.id)]
        if not rows:
            return None
        row = max(rows, key=lambda row: row.last)
        report: dict[str, Any] = json.loads(row.report)
        return {**report, **_counts(row)}


def _how(failure: Failure) -> tuple[Any, ...]:
    event = failure.event
    return (
        event.code,
        event.signal,
        event.stage,
        event.text,
        failure.amiss and (failure.amiss.stage, failure.amiss.text),
        failure.core,
    )


def _next_try(failure: Failure) -> float | None:
    return None if failure.next_try is None else round(clock.wall(failure.next_try), 3)


_IN_SHORT: Final = (
    "wid", "pid", "started", "ended", "lived", "code", "signal", "signal_name", "stage", "core", "how", "means",
)  # fmt: skip


def _counts(row: Kept) -> dict[str, Any]:
    return {
        "watcher": row.watcher,
        "id": row.id,
        "count": row.ends,
        "last": row.last,
        "last_pid": row.last_pid,
        "next": row.next,
        "next_try": row.next_try,
        "others": row.others,
    }


def _short(row: Kept) -> dict[str, Any]:
    report = json.loads(row.report)
    return {**{key: report.get(key) for key in _IN_SHORT}, **_counts(row)}
