"""Samples what processes take, only while somebody wants it: each second for those who look, now and then for bounds.

Two forms are published on the channel ``stats``: the original's messages (``stat.NAME.PID``, ``stat.NAME``,
``stat.circus``, ``stat.sockets``) and ours (``load.``: processor, memory and lines of output of everything in one message).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import gevent

from circusd.kernel.proc import UNREADABLE
from circusd.schema.wire import escape_name

from . import clock
from .pace import Pace
from .socketreads import SocketReads

if TYPE_CHECKING:
    from circusd.kernel.consumption import Meter
    from circusd.kernel.host import Host
    from circusd.kernel.usage import Sampler

PERIOD: Final = 1.0
FIRST: Final = 0.25
"""Seconds from the first look, which only gives what later ones compare with, to the first message."""

PATIENCE: Final = 15.0
"""Seconds until it is looked for bounds again, when it could not be."""

CHANNEL: Final = "stats"
CIRCUS: Final = "circus"
"""The original's name for the daemon and its own processes."""


class Publishes(Protocol):
    """What is needed of the publisher."""

    def wanted(self, channel: str, topic: str) -> bool: ...
    def wanted_below(self, channel: str, prefix: str) -> bool: ...
    def publish(self, channel: str, topic: str, body: Mapping[str, Any]) -> None: ...
    def on_demand(self, wake: Callable[[], None]) -> Callable[[], None]: ...


class SocketRow(Protocol):
    """What is needed of a managed socket."""

    @property
    def fd(self) -> int: ...
    @property
    def address(self) -> str: ...


Row = tuple[str, int, int, str]
"""A process: its watcher's name, slot, pid, and the kind of watcher."""


class HasSockets(Protocol):
    """What is needed of the managed sockets."""

    def entries(self) -> Iterable[SocketRow]: ...


class HasWatchers(Protocol):
    """What is needed of the arbiter."""

    @property
    def watchers(self) -> Mapping[str, Any]: ...
    @property
    def sockets(self) -> HasSockets: ...


class CountsLines(Protocol):
    """What is needed of the history."""

    def line_counts(self) -> Mapping[str, int]: ...


class Judges(Protocol):
    """Who has bounds for what some processes take; see `circusd.runtime.bounds`."""

    def pids(self) -> list[int]: ...
    def seen(self, samples: Mapping[int, tuple[float, int]]) -> float: ...


def _meter() -> Meter:
    # Loaded when somebody looks for the first time, as the others.
    from circusd.kernel.consumption import Meter

    return Meter()


def _machine() -> Host:
    from circusd.kernel.host import Host

    return Host()


def _sampler() -> Sampler:
    from circusd.kernel.usage import Sampler

    return Sampler()


def rows_of(arbiter: HasWatchers) -> list[Row]:
    """The processes that run now."""
    return [
        (watcher.name, process.wid, process.pid, watcher.kind)
        for watcher in arbiter.watchers.values()
        for process in watcher.planner.processes.values()
        if process.pid is not None
    ]


class Stats:
    """The schedule, for the processes and sockets of an arbiter, and the output that a history has seen."""

    def __init__(
        self,
        publisher: Publishes,
        arbiter: HasWatchers,
        history: CountsLines,
        looked: Callable[[Mapping[str, Any]], None] = lambda load: None,
        loop: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """``looked`` is told each message ``load.``; ``loop`` tells how long the loop lets others wait."""
        self._loop = loop
        self._publisher = publisher
        self._arbiter = arbiter
        self._looked = looked
        self._lines = LineRates(history)
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._judging: gevent.Greenlet[[Judges], None] | None = None
        self._load: Meter | None = None
        self._host: Host | None = None
        self._stat: Sampler | None = None
        self._seen: set[int] = set()
        self._reads = SocketReads()
        self._pace = Pace()
        self._cancel = publisher.on_demand(self.wanted_changed)
        self.wanted_changed()

    @property
    def running(self) -> bool:
        """Whether anything is sampled."""
        return self._greenlet is not None or self._judging is not None

    def wanted_changed(self) -> None:
        """Sampling starts or ends with the wish for it; without one there is neither timer nor greenlet."""
        wanted = any(self._publisher.wanted_below(CHANNEL, prefix) for prefix in ("stat.", "load."))
        if wanted and self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
        elif not wanted and self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self._forget()

    def look_at(self, judges: Judges | None) -> None:
        """From now on these processes are looked at too, whoever else looks, as often as it is asked for; None: no more."""
        if self._judging is not None:
            self._judging.kill(block=False)
            self._judging = None
        if judges is not None:
            self._judging = gevent.spawn(self._judge, judges)

    def close(self) -> None:
        """Nothing is sampled any more."""
        self._cancel()
        self.look_at(None)
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
        self._forget()

    def _forget(self) -> None:
        self._load = self._stat = self._host = None
        self._lines.forget()
        self._seen.clear()
        self._reads.close()

    # -- the schedule ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._look(publish=False)
        at = clock.now() + FIRST
        while True:
            gevent.sleep(max(0.0, at - clock.now()))
            self._look(publish=True)
            # A look that took too long is not made up for.
            at = max(at + PERIOD, clock.now())

    def _judge(self, judges: Judges) -> None:
        # A meter of its own: what is judged is the mean from one of these looks to the next, whoever looks meanwhile.
        meter, pace = _meter(), Pace()
        while True:
            pace.begin()
            try:
                wait = judges.seen(meter.look(judges.pids(), pace.rest))
            except OSError:
                wait = PATIENCE  # no descriptor was left to look with
            gevent.sleep(wait)

    def _look(self, *, publish: bool) -> None:
        self._pace.begin()
        rows = rows_of(self._arbiter)
        if self._publisher.wanted_below(CHANNEL, "load."):
            self._look_at_load(rows, publish)
        else:
            self._load = None
            self._lines.forget()
        if self._publisher.wanted_below(CHANNEL, "stat."):
            self._look_at_stats(rows, publish)
        else:
            self._stat = None
            self._reads.close()

    # -- load ------------------------------------------------------------------------------------------------------

    def _look_at_load(self, rows: list[Row], publish: bool) -> None:
        meter = self._load = self._load or _meter()
        machine = self._host = self._host or _machine()
        found = meter.look([pid for _, _, pid, _ in rows], self._pace.rest)
        own, host = meter.look_at_itself(), machine.look()
        lines = self._lines.take(clock.now())
        if publish:
            message = load_message(rows, found, own, self._loop(), lines) | {"host": host}
            self._publisher.publish(CHANNEL, "load.", message)
            self._looked(message)

    # -- the original's --------------------------------------------------------------------------------------------

    def _look_at_stats(self, rows: list[Row], publish: bool) -> None:
        sampler = self._stat = self._stat or _sampler()
        groups = self._wanted_groups(rows)
        infos = self._infos(sampler, {pid for pids in groups.values() for pid in pids})
        if publish:
            for name, pids in groups.items():
                self._publish_group(name, {pid: infos[pid] for pid in pids if pid in infos}, pids)
                self._pace.rest()
        self._look_at_sockets(publish)

    def _wanted_groups(self, rows: list[Row]) -> dict[str, dict[int, str | None]]:
        """The processes whose messages somebody gets, by their name in topics, with the program's name in CIRCUS."""
        groups: dict[str, dict[int, str | None]] = {}
        for name, _, pid, _ in rows:
            groups.setdefault(escape_name(name), {})[pid] = None
        own: dict[int, str | None] = {os.getpid(): "circusd"}
        own.update((pid, "circushttpd") for _, _, pid, kind in rows if kind == "httpd")
        groups[CIRCUS] = {**groups.get(CIRCUS, {}), **own}
        wanted = self._publisher.wanted
        return {
            name: pids
            for name, pids in groups.items()
            if wanted(CHANNEL, f"stat.{name}") or any(wanted(CHANNEL, f"stat.{name}.{pid}") for pid in pids)
        }

    def _infos(self, sampler: Sampler, pids: set[int]) -> dict[int, dict[str, Any]]:
        """The process info of each, read in turns; without children, as in the original's messages."""
        found: dict[int, dict[str, Any]] = {}
        seen: set[int] = set()
        for pid in pids:
            if (info := sampler.alone(pid)) is not None:
                found[pid] = info
                seen.add(pid)
            self._pace.rest()
        for pid in self._seen - seen:
            sampler.forget(pid)
        self._seen = seen
        return found

    def _publish_group(
        self, name: str, infos: dict[int, dict[str, Any]], programs: Mapping[int, str | None]
    ) -> None:
        for pid, info in infos.items():
            body = {**info, "subtopic": pid, "name": programs[pid]}
            self._publisher.publish(CHANNEL, f"stat.{name}.{pid}", body)
        if infos:
            self._publisher.publish(CHANNEL, f"stat.{name}", aggregate(infos))

    def _look_at_sockets(self, publish: bool) -> None:
        if not self._publisher.wanted_below(CHANNEL, "stat.sockets"):
            self._reads.close()
            return
        addresses = {entry.fd: entry.address for entry in self._arbiter.sockets.entries()}
        self._reads.watch(addresses)
        if not publish or not addresses:
            return
        counts = self._reads.take()
        for fd, address in addresses.items():
            body = {"fd": fd, "subtopic": fd, "reads": counts.get(fd, 0), "address": address}
            self._publisher.publish(CHANNEL, f"stat.sockets.{fd}", body)
        whole = {"addresses": list(addresses.values()), "reads": sum(counts.values())}
        self._publisher.publish(CHANNEL, "stat.sockets", whole)


def load_message(
    rows: Iterable[Row],
    samples: Mapping[int, tuple[float, int]],
    daemon: tuple[float, int],
    loop: Mapping[str, float],
    lines: Mapping[str, float],
) -> dict[str, Any]:
    """The message ``load.``: per cent of one processor and resident bytes, by watcher and slot, and lines a second.

    What a process has started counts for it. A watcher of which nothing runs is in it only if it has written.
    """
    watchers: dict[str, dict[str, Any]] = {}
    for name, wid, pid, _ in rows:
        if pid not in samples:
            continue
        cpu, rss = samples[pid]
        load = watchers.setdefault(name, _no_load())
        load["cpu"] = round(load["cpu"] + cpu, 1)
        load["rss"] += rss
        load["processes"][str(wid)] = [cpu, rss]
    for name, rate in lines.items():
        watchers.setdefault(name, _no_load())["lines"] = rate
    cpu, rss = daemon
    own = {"cpu": cpu, "rss": rss, "lag": loop.get("p99", 0.0), "loop": dict(loop)}
    return {
        "time": round(clock.wall(), 3),
        "watchers": watchers,
        "daemon": {**own, "lines": round(sum(lines.values()), 1)},
    }


def _no_load() -> dict[str, Any]:
    return {"cpu": 0.0, "rss": 0, "lines": 0.0, "processes": {}}


class LineRates:
    """How many lines a second each watcher has written since the last look; nothing is counted for it in between."""

    def __init__(self, history: CountsLines) -> None:
        self._history = history
        self._at = 0.0
        self._counts: Mapping[str, int] | None = None

    def take(self, now: float) -> dict[str, float]:
        """By watcher, where there were any; the first look only gives what later ones compare with."""
        before, counts, passed = self._counts, self._history.line_counts(), now - self._at
        self._at, self._counts = now, counts
        if before is None or passed <= 0:
            return {}
        # One that was removed and is there again counts from 1: at most a second of it is not seen.
        new = {name: count - before.get(name, 0) for name, count in counts.items()}
        return {name: round(more / passed, 1) for name, more in new.items() if more > 0}

    def forget(self) -> None:
        """The next look is the first one."""
        self._counts = None


def aggregate(infos: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The original's message about a watcher: mean processor use, sum of memory, age of the oldest; or ``N/A``."""
    count = max(1, len(infos))
    return {
        "pid": list(infos),
        "cpu": _over(infos, "cpu", lambda values: round(sum(values) / count, 2)),
        "mem": _over(infos, "mem", lambda values: round(sum(values), 3)),
        "age": _over(infos, "age", max),
    }


def _over(
    infos: Mapping[int, Mapping[str, Any]], key: str, combine: Callable[[list[float]], float]
) -> float | str:
    values = [info[key] for info in infos.values()]
    return UNREADABLE if UNREADABLE in values else combine(values)
