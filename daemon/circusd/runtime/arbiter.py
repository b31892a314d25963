"""The owner of all watchers: one greenlet that takes what happened from a queue, and acts.

Callbacks of the loop and commands only post to it, so nothing is changed in the middle of something else. An error
of ours in one watcher ends with that watcher being given up; supervision goes on.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.event import AsyncResult, Event

from circusd.config.model import WatcherConfig
from circusd.core.effects import JobEnded
from circusd.core.order import start_groups, start_order, stop_groups
from circusd.core.timeline import Turns
from circusd.core.watcher import Job
from circusd.kernel import proc, users
from circusd.schema.errors import CircusError, Conflict, NotFound, SpawnError

from . import clock
from .dependencies import Dependencies
from .failures import Failure
from .goodstarts import GoodStarts
from .journal import Journal
from .probes import Surroundings
from .reaper import Reaper
from .sockets import Sockets
from .timers import Timers
from .watcher import Credentials, Ticket, Watcher

if TYPE_CHECKING:
    from .bounds import Bounded
    from .demand import Demand
    from .filewatch import FileWatches
    from .schedules import Schedules
    from .stopcommands import StopCommands

log = logging.getLogger("circusd.arbiter")

TURN = 0.004
"""Seconds of work after which others get their turn."""

HOOKS_OF_STARTS = ("before_start", "before_spawn", "after_spawn", "after_start")


class CallsHooks(Protocol):
    """What the arbiter needs of the hooks."""

    def call(
        self,
        snapshot: dict[str, Any],
        hook: str,
        config: Any,
        extra: dict[str, Any],
        timeout: float,
        done: Callable[[Any], None],
    ) -> None: ...

    def check(self, watcher: str, hooks: Mapping[str, Any]) -> dict[str, str]: ...

    def close(self, watcher: str) -> None: ...


class Looks(Protocol):
    """What watchers need of the probes."""

    def look(self, text: str, around: Surroundings, timeout: float, done: Callable[[str], None]) -> None: ...


class Begins(Protocol):
    """What the arbiter needs of an order: a request that may be for several watchers."""

    id: int
    total: int
    begun: int
    cancelled: str


@dataclass(slots=True)
class Services:
    """What watchers use of the rest of the daemon."""

    output: Callable[[WatcherConfig], Any]
    hooks: CallsHooks
    probes: Looks
    notify_address: Callable[[], str]
    """Gives where processes say that they are ready."""
    base_env: Mapping[str, str]
    base_dir: str
    sys_path: Sequence[str] = ()
    config_folder: str = ""
    """That of the main file."""
    nofile: tuple[int, int] | None = None
    oom_score_adj: int | None = None
    schedules: Callable[[Arbiter], Schedules] | None = None
    """Makes what runs watchers at times of the clock."""
    forgotten: Callable[[str], None] = field(default=lambda name: None)
    """Called with the name of a watcher that was removed."""
    look_at: Callable[[Bounded | None], None] = field(default=lambda bounded: None)
    """Called with those whose processes are to be looked at from now on, or None for nobody's."""


class Arbiter:
    """All watchers, by lower-case name."""

    def __init__(self, services: Services, journal: Journal, reaper: Reaper, sockets: Sockets) -> None:
        self.services = services
        self.journal = journal
        self.reaper = reaper
        self.sockets = sockets
        self.timers = Timers()
        self.watchers: dict[str, Watcher] = {}
        self.warmup_delay = 0.0
        self.on_change: Callable[[Watcher | str], None] = lambda watcher: None
        """Told, in the arbiter's greenlet, of each watcher that may look different now (its name if it is gone)."""
        self.on_failure: Callable[[Watcher, Failure], None] = lambda watcher, failure: None
        """Told, in the arbiter's greenlet, of each process that has failed; must cost next to nothing."""
        self.stopping = False
        self._jobs = itertools.count(1)
        self._posted: deque[tuple[Watcher | None, Callable[..., None], tuple[Any, ...]]] = deque()
        self.abandoned: dict[proc.Identity, str] = {}
        """Whose they are and why they stay: processes that not even SIGKILL has ended, and that nobody waits for any more."""
        self._left: list[Watcher] = []
        """Removed watchers whose processes were left running."""
        self._demand: Demand | None = None
        self._schedules: Schedules | None = None
        self._bounded: Bounded | None = None
        self._files: FileWatches | None = None
        self._stop_commands: StopCommands | None = None
        self._table: proc.Table | None = None
        self._to_kill: set[proc.Identity] = set()
        self._wake = Event()
        self.dependencies = Dependencies(self)
        self.good_starts = GoodStarts(self, services.config_folder)
        self._greenlet = gevent.spawn(self._run)

    # -- the queue -----------------------------------------------------------------------------------------------

    def post(self, watcher: Watcher | None, act: Callable[..., None], *args: Any) -> None:
        """``act`` is called in the arbiter's greenlet, in the order of posting; safe from the hub's callbacks."""
        self._posted.append((watcher, act, args))
        if len(self._posted) == 1:
            self._wake.set()

    def _run(self) -> None:
        posted = self._posted
        while True:
            if not posted:
                self._wake.clear()
                self._wake.wait()
            until = clock.now() + TURN
            while posted:
                watcher, act, args = posted[0]
                try:
                    act(*args)
                except Exception as error:  # noqa: BLE001 (the border of one watcher: the rest runs on)
                    self._fault(watcher, act, error)
                finally:
                    posted.popleft()
                if clock.now() >= until:
                    break
            if posted:
                # Not 0: the hub goes round with such up to a thousand times before it looks at descriptors again, and
                # a ping during the start of 400 processes waited for all of it (280 ms; with this 35).
                gevent.sleep(1e-6)

    def _fault(self, watcher: Watcher | None, act: Callable[..., None], error: Exception) -> None:
        error_id = os.urandom(4).hex()
        name = watcher.name if watcher is not None else "-"
        place = getattr(act, "__name__", act)
        log.error("unexpected error watcher=%r in=%s id=%s", name, place, error_id, exc_info=error)
        if watcher is not None:
            try:
                watcher.fail(error_id)
            except Exception:
                log.exception("the watcher could not be given up watcher=%r id=%s", name, error_id)

    # -- process trees -------------------------------------------------------------------------------------------

    def table(self) -> proc.Table:
        """The process table, read at most once in a turn: many watchers that stop together share it."""
        if self._table is None:
            self._table = proc.sweep()
            gevent.get_hub().loop.run_callback(self._forget_table)
        return self._table

    def _forget_table(self) -> None:
        self._table = None

    def kill_trees(self, roots: Iterable[proc.Identity]) -> None:
        """These processes and all below them get SIGKILL, together with others of the same turn."""
        if not self._to_kill:
            self.post(None, self._kill_now)
        self._to_kill.update(roots)

    def _kill_now(self) -> None:
        roots, self._to_kill = self._to_kill, set()
        proc.kill_tree(roots)

    def changed(self, watcher: Watcher | str) -> None:
        """Whoever watches is told that the watcher may look different."""
        if isinstance(watcher, Watcher):
            waits = watcher.planner.asleep and not watcher.planner.policy.scheduled
            if watcher.config.on_demand or waits or self._demand is not None:
                self._see_to_demand(watcher)
            if watcher.config.schedule or (self._schedules is not None and watcher in self._schedules):
                self._see_to_schedule(watcher)
            if self._bounded is not None or watcher.config.max_memory or watcher.config.max_cpu:
                self._see_to_bounds(watcher)
            if self._files is not None or watcher.config.watch:
                self._see_to_files(watcher)
        self.on_change(watcher)
        self.dependencies.changed()

    def _see_to_demand(self, watcher: Watcher) -> None:
        if self._demand is None:
            # Loaded with the first such watcher: most daemons have none.
            from .demand import Demand

            self._demand = Demand(self)
        self._demand.follow(watcher)

    def _see_to_schedule(self, watcher: Watcher) -> None:
        if self.schedules is not None:
            self.schedules.follow(watcher)

    @property
    def schedules(self) -> Schedules | None:
        """Made with the first watcher that has a schedule: most daemons have none."""
        if self._schedules is None and self.services.schedules is not None:
            self._schedules = self.services.schedules(self)
        return self._schedules

    def _see_to_bounds(self, watcher: Watcher) -> None:
        if self._bounded is None:
            # Loaded with the first such watcher.
            from .bounds import Bounded

            self._bounded = Bounded(self)
        self._bounded.follow(watcher)

    def _see_to_files(self, watcher: Watcher) -> None:
        if self._files is None:
            # Loaded with the first such watcher, and the C library's functions with it.
            from .filewatch import FileWatches

            self._files = FileWatches(self)
        self._files.follow(watcher)

    def stop_commands(self) -> StopCommands:
        """The commands under way that stop processes."""
        if self._stop_commands is None:
            # Loaded with the first one.
            from .stopcommands import StopCommands

            self._stop_commands = StopCommands(self)
        return self._stop_commands

    def watched(self, watcher: Watcher) -> dict[str, Any] | None:
        """How many files and folders are watched for the watcher; None where it is not asked for, or not done yet."""
        return None if self._files is None else self._files.watched(watcher)

    def before_freeze(self, watcher: Watcher) -> None:
        """What was made to stand still for a moment, to look whether the watcher is idle, goes on."""
        if self._demand is not None:
            self._demand.forget(watcher)

    # -- finding -------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Watcher:
        """The watcher of that name, in any case of letters."""
        watcher = self.watchers.get(str(name).lower())
        if watcher is None:
            raise NotFound(f"program {name} not found")
        return watcher

    def next_id(self) -> int:
        """A number that no command of this daemon has had."""
        return next(self._jobs)

    def job(self, kind: str, command: str = "", *, order: Begins | None = None, **values: Any) -> Job:
        """A new job with an id of its own, as a part of that order."""
        if order is not None:
            order.begun += 1
        return Job(
            next(self._jobs), kind, command=command or kind, order=0 if order is None else order.id, **values
        )

    # -- adding and removing -------------------------------------------------------------------------------------

    def add(
        self, config: WatcherConfig, kind: str = "watcher", credentials: Credentials | None = None
    ) -> Watcher:
        """The watcher is there, not started. Raises `Conflict` if the name is taken.

        May switch greenlets: users and groups are looked up in a thread.
        """
        if config.name.lower() in self.watchers:
            raise Conflict(f"watcher {config.name} already exists")
        found = credentials or resolve_credentials(config)
        if config.name.lower() in self.watchers:
            raise Conflict(f"watcher {config.name} already exists")
        watcher = Watcher(self, config, found, kind)
        self.watchers[config.name.lower()] = watcher
        watcher.tell("watcher.added")
        watcher.hooks.check()
        self.changed(watcher)
        return watcher

    def remove(self, watcher: Watcher, *, left_running: bool = False) -> None:
        """The watcher is forgotten; with ``left_running`` its processes go on without being managed."""
        if self.watchers.pop(watcher.name.lower(), None) is None:
            return
        watcher.tell("watcher.removed")
        watcher.close(left_running=left_running)
        if self._demand is not None:
            self._demand.forget(watcher)
        if self._schedules is not None:
            self._schedules.forget(watcher)
        if self._bounded is not None:
            self._bounded.forget(watcher)
        if self._files is not None:
            self._files.forget(watcher)
        if left_running:
            self._left.append(watcher)
        else:
            self.services.forgotten(watcher.name)
        self.changed(watcher.name)

    # -- all at once ---------------------------------------------------------------------------------------------

    def start_all(
        self,
        names: Iterable[str] | None = None,
        command: str = "start",
        order: Begins | None = None,
        *,
        to_the_end: bool = True,
        is_boot: bool = False,
    ) -> AsyncResult[Any]:
        """Watchers are started by priority, with ``warmup_delay`` between; by default those with autostart.

        Within one priority one follows the other as soon as that has its processes, and they become ready side by side; a lower
        priority begins when all of the higher one are ready. Those that depend on others, or that others depend on, hold nobody
        up: each begins as soon as what it needs is there. The result is a list of names with their `JobEnded` or error; unless
        ``to_the_end``, without these, as some of them may wait for a person.
        """
        if names is None:
            names = [n for n, w in self.watchers.items() if w.config.autostart]
        priorities = {n: self.watchers[n].config.priority for n in names}
        queue = start_order(priorities)
        _count(order, queue)
        asked = clock.now()

        def run() -> list[tuple[str, JobEnded | CircusError]]:
            results: list[tuple[str, JobEnded | CircusError]] = []
            side_by_side: list[tuple[str, Ticket]] = []
            later: list[tuple[str, Ticket]] = []
            entangled = self.dependencies.entangled()
            turns = Turns(self.warmup_delay)
            level, level_since = None, asked
            for i, name in enumerate(queue):
                if priorities[name] != level:
                    if side_by_side:
                        results += [(n, _outcome(ticket)) for n, ticket in side_by_side]
                        turns.ready(self._last_of(side_by_side), clock.now() - level_since)
                        side_by_side = []
                    level, level_since = priorities[name], clock.now()
                watcher = self.watchers.get(name)
                if watcher is None or self.stopping:
                    continue
                if _is_cancelled(order):
                    results.append((name, Conflict(f"{name}: not begun, {command} was cancelled")))
                    continue
                if i and self.warmup_delay > 0:
                    gevent.sleep(self.warmup_delay)
                job = self.job("start", command, order=order)
                ticket = watcher.submit(job, asked=asked, after=turns.turn(), is_boot=is_boot)
                if name not in entangled:
                    since = clock.now()
                    ticket.begun.wait()
                    side_by_side.append((name, ticket))
                    turns.begun(name, clock.now() - since, by_itself=_takes_time(watcher.config))
                elif to_the_end:
                    later.append((name, ticket))
            return [*results, *((name, _outcome(ticket)) for name, ticket in (*side_by_side, *later))]

        return in_background(run)

    def _last_of(self, tickets: Sequence[tuple[str, Ticket]]) -> str:
        """Which of these starts was over last."""
        ends = {}
        for name, _ in tickets:
            start = self.watchers[name].timeline.last if name in self.watchers else None
            ends[name] = (start.done if start is not None else None) or 0.0
        return max(ends, key=lambda name: ends[name])

    def stop_all(
        self, names: Iterable[str] | None = None, command: str = "stop", order: Begins | None = None
    ) -> AsyncResult[Any]:
        """Watchers are stopped in the reverse order of their start: groups of one priority together, the lowest first."""
        chosen = list(self.watchers if names is None else names)
        priorities = {n: self.watchers[n].config.priority for n in chosen}
        groups = stop_groups(priorities, chosen, self.dependencies.needs())
        _count(order, chosen)

        def run() -> list[tuple[str, JobEnded | CircusError]]:
            results: list[tuple[str, JobEnded | CircusError]] = []
            for group in groups:
                there = [self.watchers[n] for n in group if n in self.watchers]
                if _is_cancelled(order):
                    results += [
                        (w.name, Conflict(f"{w.name}: not begun, {command} was cancelled")) for w in there
                    ]
                    continue
                tickets = [(w.name, w.submit(self.job("stop", command, order=order))) for w in there]
                results += [(name, _outcome(ticket)) for name, ticket in tickets]
            return results

        return in_background(run)

    def each(self, names: Iterable[str], submit: Callable[[Watcher], Ticket]) -> AsyncResult[Any]:
        """The command is given to all these watchers side by side; the result lists how each ended."""
        tickets = [(n, submit(self.watchers[n])) for n in names]
        return in_background(lambda: [(n, _outcome(t)) for n, t in tickets])

    def in_turn(
        self,
        names: Iterable[str],
        submit: Callable[[Watcher], Ticket],
        order: Begins | None = None,
        *,
        only_wanted: bool = False,
    ) -> AsyncResult[Any]:
        """The command is given to watchers of one priority together, the highest first, each group after the one before.

        With ``only_wanted``, one that does not run when its turn has come is passed over.
        """
        chosen = list(names)
        priorities = {n: self.watchers[n].config.priority for n in chosen}
        groups = start_groups(priorities, chosen, self.dependencies.needs())
        _count(order, chosen)

        def run() -> list[tuple[str, JobEnded | CircusError]]:
            results: list[tuple[str, JobEnded | CircusError]] = []
            for group in groups:
                there = [self.watchers[n] for n in group if n in self.watchers and not self.stopping]
                if _is_cancelled(order):
                    results += [
                        (w.name, Conflict(f"{w.name}: not begun, the command was cancelled")) for w in there
                    ]
                    continue
                tickets = [(w.name, submit(w)) for w in there if w.planner.wanted or not only_wanted]
                results += [(name, _outcome(ticket)) for name, ticket in tickets]
            return results

        return in_background(run)

    def hook_snapshot(self, watcher: Watcher) -> dict[str, Any]:
        """What a hook may look at of its watcher and the others."""
        from .snapshot import hook_view

        return hook_view(self, watcher)

    def close(self) -> None:
        """The greenlet, the timers and the outputs are no more; what was written is with its sinks."""
        if self._demand is not None:
            self._demand.close()
        if self._schedules is not None:
            self._schedules.close()
        self.dependencies.close()
        if self._files is not None:
            self._files.close()
        if self._stop_commands is not None:
            self._stop_commands.close()
        self.timers.close()
        for watcher in (*self.watchers.values(), *self._left):
            watcher.output.close()
        self._greenlet.kill()


def _count(order: Begins | None, names: Sequence[str]) -> None:
    if order is not None:
        order.total = len(names)


def _is_cancelled(order: Begins | None) -> bool:
    return order is not None and bool(order.cancelled)


def resolve_credentials(config: WatcherConfig) -> Credentials:
    """Who the watcher's processes run as; looked up in a thread, as name services can take seconds."""
    if config.uid is None and config.gid is None:
        return Credentials()
    found: Credentials = gevent.get_hub().threadpool.apply(_look_up, (config.uid, config.gid))
    return found


def _look_up(uid: str | int | None, gid: str | int | None) -> Credentials:
    # The error is handed over and not raised: gevent's pool prints what its functions raise.
    try:
        found = users.resolve(uid, gid)
    except CircusError as error:
        return Credentials(error=SpawnError("user", 0, str(uid), str(error)))
    return Credentials() if found is None else Credentials(found.uid, found.gid, found.groups)


def _takes_time(config: WatcherConfig) -> bool:
    """Whether its start has hooks, or pauses between processes, that the next one has to wait for."""
    return any(name in config.hooks for name in HOOKS_OF_STARTS) or (
        config.warmup_delay > 0 and config.numprocesses > 1
    )


def _outcome(ticket: Ticket) -> JobEnded | CircusError:
    try:
        ended: Any = ticket.result.get()
    except CircusError as error:
        return error
    assert isinstance(ended, JobEnded)
    return ended


def in_background(run: Callable[[], Any]) -> AsyncResult[Any]:
    """What a greenlet returns, or the error that it ended with."""
    result: AsyncResult[Any] = AsyncResult()

    def work() -> None:
        # Not by a link to the greenlet: gevent prints the traceback of what one ends with, and a refusal is no fault.
        try:
            result.set(run())
        except Exception as error:  # noqa: BLE001 (whoever waits for the result has it)
            result.set_exception(error)

    gevent.spawn(work)
    return result
