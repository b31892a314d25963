"""Watchers that run at times of the clock: their moments, their runs, and what is known of those of before.

One timer goes off for all of them, at the moment that comes next and when somebody sets the clock. Everything here is called in
the arbiter's greenlet.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent

from circusd.config.cron import Cron
from circusd.core.process import State, is_held
from circusd.core.schedule import BY_HAND, QUEUE, REPLACE, SKIP, Agenda, Due, meets, stable
from circusd.core.words import duration
from circusd.kernel.walltimer import WallTimer
from circusd.schema.errors import Conflict

from . import clock
from .history import History
from .runfile import KEPT_ALL, Kept
from .runs import (
    LOST,
    MISSED,
    REPLACED,
    RUNNING,
    SKIPPED,
    STOPPED,
    TIMED_OUT,
    Past,
    Run,
    close_lines,
    lines_from,
)
from .statefile import StateFile

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

log = logging.getLogger("circusd.schedule")

READ: Final = 1
STEP: Final = 1.0
"""Seconds by which the two clocks may drift apart before that counts as a clock that was set."""
_KEYS: Final = ("schedule", "schedule_timezone", "schedule_jitter", "schedule_catch_up")
_ENDED: Final = {
    TIMED_OUT: "was stopped as it took too long",
    STOPPED: "was stopped",
    REPLACED: "was replaced",
    LOST: "was lost",
}
_ENDS: Final = ("stop", "restart", "kill")
"""Kinds of jobs that end a run."""


@dataclass(slots=True, eq=False)
class Entry:
    """What there is of one watcher."""

    past: Past
    key: tuple[Any, ...] = ()
    """The options that its moments follow from."""
    cron: Cron | None = None
    agenda: Agenda | None = None
    """While its schedule is in force."""
    decided: float | None = None
    """Until it is: up to when an earlier circusd has had it in force."""
    run: Run | None = None
    waits: Run | None = None
    """The one that begins when that has ended."""


class Schedules:
    """All watchers of one arbiter that have a schedule."""

    def __init__(self, arbiter: Arbiter, file: StateFile[Kept], history: History, life: str) -> None:
        self._arbiter = arbiter
        self._file = file
        self._history = history
        self._life = life
        self._entries: dict[Watcher, Entry] = {}
        self._before: dict[str, Kept] = {}
        """What the file has of watchers that were not seen yet."""
        self._is_loaded = False
        self._later: list[tuple[Watcher, Run]] = []
        """Runs that were asked for before it was known what the file has."""
        self._ahead = clock.wall() - clock.now()
        """By how much one clock is ahead of the other."""
        self._is_due = self._is_closed = False
        self._timer = WallTimer()
        self._io: Any = gevent.get_hub().loop.io(self._timer.fd, READ)
        self._io.start(self._fired)
        file.read(lambda found: arbiter.post(None, self._load, found))

    # -- what is told of watchers --------------------------------------------------------------------------------

    def __contains__(self, watcher: Watcher) -> bool:
        return watcher in self._entries

    def follow(self, watcher: Watcher) -> None:
        """The watcher may look different: its schedule comes into force or goes out, its run may have ended."""
        entry = self._entries.get(watcher)
        if entry is None:
            kept = self._before.pop(watcher.name.lower(), None)
            entry = self._entries[watcher] = Entry(Past())
            self._take_over(watcher, entry, kept)
        if not self._is_loaded:
            return
        self._settle(watcher, entry)
        self._look_at_run(watcher, entry)

    def forget(self, watcher: Watcher) -> None:
        """It is removed, and its runs with it."""
        entry = self._entries.pop(watcher, None)
        if entry is None:
            return
        for run in (entry.run, entry.waits):
            if run is not None and not run.result.ready():
                run.result.set_exception(Conflict(f"watcher {watcher.name} has been removed"))
        self._arbiter.timers.cancel((id(watcher), "run"))
        self._write()

    def close(self) -> None:
        """Nothing is run any more, and what was to be written is."""
        self._is_closed = True
        self._io.stop()
        self._io.close()
        self._timer.close()
        self._file.close()

    def _load(self, found: list[Kept] | None) -> None:
        if self._is_loaded:
            return
        self._is_loaded = True
        self._before = {kept.name: kept for kept in found or ()}
        for watcher, entry in list(self._entries.items()):
            self._take_over(watcher, entry, self._before.pop(watcher.name.lower(), None))
            self._settle(watcher, entry)
            self._arbiter.on_change(watcher)
        later, self._later = self._later, []
        for watcher, run in later:
            if not watcher.removed:
                self._arbiter.post(watcher, self._meet, watcher, self._entries[watcher], run)

    def _take_over(self, watcher: Watcher, entry: Entry, kept: Kept | None) -> None:
        if kept is not None:
            entry.past, entry.decided = Past(kept.runs), kept.decided
        watcher.planner.last_run = partial(self._last_words, entry)
        watcher.planner.ill_run = entry.past.is_ill

    def _settle(self, watcher: Watcher, entry: Entry) -> None:
        """Its schedule is in force or not, as the watcher's state and options say."""
        planner, config = watcher.planner, watcher.config
        if self._arbiter.stopping:
            # Not a pause: what passes from now on can be caught up.
            return
        renewed = planner.job is not None and planner.job.kind == "restart" and entry.agenda is not None
        in_force = bool(config.schedule) and ((planner.wanted and not planner.passing) or renewed)
        key = tuple(getattr(config, name) for name in _KEYS)
        if in_force and (entry.agenda is None or entry.key != key):
            entry.key = key
            entry.cron = Cron(config.schedule or "", config.schedule_timezone or "")
            offset = stable(_digest(config.name), config.schedule_jitter)
            entry.agenda = Agenda(entry.cron, offset, catch_up=config.schedule_catch_up)
            planner.next_run = partial(self._next_words, entry)
            decided, entry.decided = entry.decided, None
            self._take(watcher, entry, entry.agenda.begin(clock.wall(), decided))
            self._write()
            self._arm_soon()
        elif not in_force and entry.agenda is not None:
            entry.agenda = entry.cron = None
            planner.next_run = lambda: ("", 0.0)
            self._write()
            self._arm_soon()

    # -- time ----------------------------------------------------------------------------------------------------

    def _fired(self) -> None:
        """In the hub's turn: a moment has come, or the clock was set."""
        self._timer.take()
        self._arbiter.post(None, self._look)

    def _look(self) -> None:
        now = clock.wall()
        ahead = now - clock.now()
        was_set = abs(ahead - self._ahead) > STEP
        self._ahead = ahead
        for watcher, entry in list(self._entries.items()):
            due = entry.agenda.due if entry.agenda is not None else None
            if was_set or (due is not None and due <= now):
                self._arbiter.post(watcher, self._look_at, watcher, entry)
        self._arm_soon()

    def _look_at(self, watcher: Watcher, entry: Entry) -> None:
        if entry.agenda is None or watcher.removed or self._arbiter.stopping:
            return
        self._take(watcher, entry, entry.agenda.look(clock.wall()))
        self._write()
        self._arbiter.changed(watcher)

    def _take(self, watcher: Watcher, entry: Entry, due: Due | None) -> None:
        if due is None:
            return
        if due.missed_from is not None:
            reason = "circusd did not run, the machine slept, or the clock was set"
            watcher.tell("run.missed", planned=due.missed_from, reason=reason)
            entry.past.add(due.missed_from, "", MISSED, text=reason)
        if due.why:
            self._meet(watcher, entry, Run(due.planned, due.why))

    def _arm_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._arbiter.post(None, self._arm)

    def _arm(self) -> None:
        self._is_due = False
        if self._is_closed:
            return
        dues = [e.agenda.due for e in self._entries.values() if e.agenda is not None]
        self._timer.arm(min((due for due in dues if due is not None), default=None))

    # -- runs ----------------------------------------------------------------------------------------------------

    def start(self, watcher: Watcher, by: str) -> Run:
        """Somebody wants it to run now. Raises Conflict where it can't, as a run is under way."""
        self.follow(watcher)
        entry, run = self._entries[watcher], Run(None, BY_HAND, by)
        if not self._is_loaded:
            self._later.append((watcher, run))
        elif self._fate(watcher, entry) == SKIP:
            raise Conflict(
                f"{watcher.name}: a run is under way",
                hint="schedule_overlap says what becomes of a run that begins meanwhile",
            )
        else:
            self._meet(watcher, entry, run)
        return run

    def _fate(self, watcher: Watcher, entry: Entry) -> str:
        planner = watcher.planner
        is_running = entry.run is not None or bool(planner.pids()) or (planner.wanted and not planner.asleep)
        return meets(watcher.config.schedule_overlap, is_running=is_running, waits=entry.waits is not None)

    def _meet(self, watcher: Watcher, entry: Entry, run: Run) -> None:
        """The run begins, waits, takes the place of another, or is left out."""
        fate = self._fate(watcher, entry)
        if fate == SKIP:
            self._skip(watcher, entry, run, "the run before it goes on")
        elif fate in (QUEUE, REPLACE):
            if entry.waits is not None:
                self._skip(watcher, entry, entry.waits, "a later one takes its place")
            entry.waits = run
            if fate == REPLACE:
                self._end_early(watcher, entry, REPLACED, "the next one has taken its place")
        else:
            self._begin(watcher, entry, run)

    def _skip(self, watcher: Watcher, entry: Entry, run: Run, why: str) -> None:
        row = entry.past.add(run.planned, run.why, SKIPPED, run.by, why)
        watcher.tell("run.skipped", planned=run.planned, reason=why)
        run.result.set(dict(row))

    def _begin(self, watcher: Watcher, entry: Entry, run: Run) -> None:
        config = watcher.config
        entry.run = run
        run.began = clock.now()
        run.row = entry.past.add(run.planned, run.why, RUNNING, run.by)
        run.row["life"] = self._life
        run.row["lines"] = lines_from(self._history, config.name, range(1, config.numprocesses + 1))
        watcher.tell("run.started", run=run.row["number"], planned=run.planned, why=run.why, by=run.by)
        watcher.begins_anew()
        run.ticket = watcher.submit(self._arbiter.job("start", "run", demanded=True))
        run.ticket.result.rawlink(lambda _: self._arbiter.post(watcher, self.follow, watcher))
        if config.run_timeout > 0:
            late = partial(self._arbiter.post, watcher, self._late, watcher, entry, run)
            self._arbiter.timers.arm((id(watcher), "run"), run.began + config.run_timeout, late)
        self._write()

    def _late(self, watcher: Watcher, entry: Entry, run: Run) -> None:
        if entry.run is run and not watcher.removed:
            text = f"it was not over after {duration(watcher.config.run_timeout)}"
            self._end_early(watcher, entry, TIMED_OUT, text)

    def _end_early(self, watcher: Watcher, entry: Entry, cause: str, text: str) -> None:
        """What runs of it is stopped as by a stop; the schedule goes on."""
        run, planner = entry.run, watcher.planner
        if run is not None and not run.cause:
            run.cause, run.text = cause, text
        kind = "stop" if planner.passing or not watcher.config.schedule else "restart"
        job = planner.job
        if job is not None and run is not None and run.ticket is not None and job is run.ticket.job:
            watcher.cancel(job, cause)
        watcher.submit(self._arbiter.job(kind, cause))

    def _look_at_run(self, watcher: Watcher, entry: Entry) -> None:
        """The run is over when nothing of it is left, and nothing more comes by itself."""
        run, planner = entry.run, watcher.planner
        job = planner.job
        if (
            job is not None
            and job.kind in _ENDS
            and (run is None or job.command not in (TIMED_OUT, REPLACED))
        ):
            text = "circusd was stopped" if self._arbiter.stopping else f"by {job.command}"
            self._stopped(watcher, entry, text, and_next=job.kind == "stop")
        if run is None or run.ticket is None:
            self._begin_next(watcher, entry)
            return
        at_rest = all(p.is_final or is_held(p) for p in planner.processes.values())
        if not run.ticket.result.ready() or planner.pids() or not at_rest:
            return
        if planner.asleep or not planner.wanted:
            if not planner.asleep and any(p.state is State.STOPPED for p in planner.processes.values()):
                # The stop was over before anybody was told of it, as nothing ran at that moment.
                self._stopped(watcher, entry, "by stop")
            self._over(watcher, entry, run)
            self._begin_next(watcher, entry)

    def _stopped(self, watcher: Watcher, entry: Entry, text: str, *, and_next: bool = True) -> None:
        """Somebody stops it: that is how its run ends, and what waits for that end does not begin."""
        run, waits = entry.run, entry.waits
        if run is not None and not run.cause:
            run.cause, run.text = STOPPED, text
        if waits is not None and and_next:
            entry.waits = None
            self._skip(watcher, entry, waits, "the watcher was stopped")

    def _over(self, watcher: Watcher, entry: Entry, run: Run) -> None:
        entry.run = None
        self._arbiter.timers.cancel((id(watcher), "run"))
        run.verdict((p.exit for p in watcher.planner.processes.values() if p.exit), watcher.planner.policy)
        entry.past.counts[run.row["result"]] += 1
        watcher.planner.ill_run = entry.past.is_ill
        close_lines(self._history, watcher.name, run.row["lines"])
        told = {name: run.row[name] for name in ("result", "code", "signal", "took", "text")}
        reason = told.pop("text")
        watcher.tell("run.ended", run=run.row["number"], reason=reason, **told)
        run.result.set(dict(run.row))
        self._write()

    def _begin_next(self, watcher: Watcher, entry: Entry) -> None:
        if entry.waits is None or self._fate_now(watcher, entry) != "run":
            return
        waits, entry.waits = entry.waits, None
        self._begin(watcher, entry, waits)

    def _fate_now(self, watcher: Watcher, entry: Entry) -> str:
        waits, entry.waits = entry.waits, None
        try:
            return self._fate(watcher, entry)
        finally:
            entry.waits = waits

    # -- what is shown -------------------------------------------------------------------------------------------

    def view(self, watcher: Watcher) -> dict[str, Any]:
        """The schedule of one watcher, when it runs next, and how its last run has ended."""
        entry, config = self._entries.get(watcher), watcher.config
        agenda = None if entry is None else entry.agenda
        run = None if entry is None else entry.run
        return {
            "schedule": config.schedule,
            "timezone": entry.cron.zone_name if entry and entry.cron else config.schedule_timezone or "",
            "overlap": config.schedule_overlap,
            "in_force": agenda is not None,
            "next": None if agenda is None else agenda.due,
            "next_text": "" if entry is None else self._next_words(entry)[0],
            "running": None if run is None else dict(run.row),
            "queued": entry is not None and entry.waits is not None,
            "last": None if entry is None or (last := entry.past.last()) is None else dict(last),
        }

    def rows(self, watcher: Watcher) -> list[dict[str, Any]]:
        """Its runs, the newest first."""
        entry = self._entries.get(watcher)
        return [] if entry is None else [dict(row) for row in reversed(entry.past.rows)]

    def past(self, watcher: Watcher) -> Past:
        """What is known of its runs."""
        entry = self._entries.get(watcher)
        return Past() if entry is None else entry.past

    @staticmethod
    def _next_words(entry: Entry) -> tuple[str, float]:
        if entry.agenda is None or entry.cron is None or entry.agenda.due is None:
            return "", 0.0
        now, due = clock.wall(), entry.agenda.due
        return entry.cron.words(due, now), max(0.0, due - now)

    @staticmethod
    def _last_words(entry: Entry) -> str:
        last = entry.past.last()
        if last is None:
            return ""
        since = clock.wall() - (last["ended"] or last["began"])
        why = f": {last['text']}" if last["text"] else ""
        return f"{_ENDED.get(last['result'], last['result'])} {duration(max(0.0, since))} ago{why}"

    def _write(self) -> None:
        if not self._is_loaded:
            return
        each = max(1, KEPT_ALL // max(1, len(self._entries) + len(self._before)))
        rows = [
            Kept(
                watcher.name.lower(),
                entry.decided if entry.agenda is None else entry.agenda.decided,
                tuple(map(dict, list(entry.past.rows)[-each:])),
            )
            for watcher, entry in self._entries.items()
        ]
        gone = [kept._replace(runs=kept.runs[-each:]) for kept in self._before.values()]
        self._file.write([*rows, *gone][:KEPT_ALL])


def _digest(name: str) -> int:
    """A number that belongs to a watcher of that name on this machine."""
    text = f"{socket.gethostname()}\0{name}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "big")
