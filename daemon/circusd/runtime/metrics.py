"""The figures for Prometheus: gathered when somebody asks, in short turns, and once for all who ask within a moment.

Nothing is counted for them while nobody asks, beside what is counted anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import AsyncResult

from circusd.core import words
from circusd.kernel import host, itself, proc
from circusd.kernel.consumption import Together, together
from circusd.kernel.figures import Transfer, figures
from circusd.schema.errors import CircusError
from circusd.schema.metrics import BY_NAME, LAG_STATISTICS, RESTART_REASONS, RUN_RESULTS, Group
from circusd.schema.wire import Encoded, encode
from circusd.version import __version__

from .arbiter import Arbiter
from .pace import Pace
from .scope import Scope
from .snapshot import sockets_view
from .socketcommands import with_queues
from .streams import STREAMS

if TYPE_CHECKING:
    from .daemon import Daemon

FRESH: Final = 1.0
"""For so many seconds what was gathered is told to whoever asks."""
CHUNK: Final = 200
"""Processes that the thread is asked for at once: others have looks to ask for, too."""
LONGEST_PLACE: Final = 200
"""Characters of the label that says where output goes."""
REMEMBERED: Final = 900.0
"""For so long after the last question it is known what each tree had taken."""

Rows = dict[str, list[list[Any]]]
"""By group; the first value of a row of a group that is not whole is a watcher's or a socket's name."""


class Metrics:
    """The figures of a daemon. Everything here is called in greenlets."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._arbiter: Arbiter = daemon.arbiter
        self._under_way: AsyncResult[Rows] | None = None
        self._grown = Grown()
        self._forgetting: gevent.Greenlet[[], None] | None = None

    def close(self) -> None:
        """Nothing is kept any more."""
        if self._forgetting is not None:
            self._forgetting.kill(block=False)
            self._forgetting = None

    def told(self, scope: Scope) -> dict[str, Any]:
        """The reply of the command ``metrics`` to one who sees that much."""
        rows = self._rows()
        pace = Pace()
        groups = []
        for name, group in BY_NAME.items():
            if name not in rows or (group.whole and not scope.is_all):
                continue
            seen = rows[name] if scope.is_all else self._seen(group, rows[name], scope)
            columns = [metric.name for metric in group.metrics]
            head = {"name": name, "labels": group.labels, "metrics": columns, "rows": []}
            parts = []
            for row in seen:
                parts.append(encode(row))
                pace.rest()
            groups.append(encode(head)[:-2] + b",".join(parts) + b"]}")
            pace.rest()
        return {"groups": Encoded(b"[" + b",".join(groups) + b"]"), "whole": scope.is_all}

    def _seen(self, group: Group, rows: list[list[Any]], scope: Scope) -> list[list[Any]]:
        """Those of watchers of the scope, and of sockets that these are given."""
        if group.labels[:1] == ("watcher",):
            return [row for row in rows if scope.sees(row[0])]
        if group.name == "socket":
            held = {row["name"] for row in sockets_view(self._arbiter, scope)}
            return [row for row in rows if row[0] in held]
        return rows

    def _rows(self) -> Rows:
        """All rows, gathered now or a moment ago; one gathers, and whoever asks meanwhile waits for that."""
        under_way = self._under_way
        if under_way is None:
            under_way = self._under_way = AsyncResult()
            gevent.spawn(self._gather, under_way)
        rows = under_way.get()
        assert rows is not None
        return rows

    def _gather(self, result: AsyncResult[Rows]) -> None:
        try:
            result.set(self._gathered())
        except Exception as error:  # noqa: BLE001 (raised where it is waited for)
            result.set_exception(error)
        if self._forgetting is not None:
            self._forgetting.kill(block=False)
        self._forgetting = gevent.spawn(self._forget)

    def _forget(self) -> None:
        gevent.sleep(FRESH)
        self._under_way = None
        gevent.sleep(REMEMBERED)
        self._grown = Grown()

    # -- gathering -------------------------------------------------------------------------------------------------

    def _gathered(self) -> Rows:
        pace = Pace()
        rows: Rows = {"build": [[__version__, 1]], "watcher": [], "restart": []}
        for watcher in list(self._arbiter.watchers.values()):
            planner = watcher.planner
            running = sum(process.pid is not None for process in planner.processes.values())
            rows["watcher"].append(
                [watcher.name, words.watcher_state(planner), running, planner.policy.numprocesses]
            )
            rows["restart"] += [
                [watcher.name, reason, watcher.restarts_by.get(reason, 0)] for reason in RESTART_REASONS
            ]
            pace.rest()
        rows["last_run"], rows["run"] = self._runs()
        rows["process"] = self._processes(pace)
        rows["log"], rows["sink"] = self._output(pace)
        rows["socket"] = [
            [row["name"], row.get("waiting"), row.get("limit"), row.get("connections")]
            for row in with_queues(self._arbiter.sockets, self._arbiter.sockets.listing())
        ]
        return rows | self._daemon_s() | _machine_s()

    def _runs(self) -> tuple[list[list[Any]], list[list[Any]]]:
        """How the last run of each watcher with a schedule went, and how many have ended how."""
        scheduled = [watcher for watcher in self._arbiter.watchers.values() if watcher.config.schedule]
        schedules = self._arbiter.schedules if scheduled else None
        if schedules is None:
            return [], []
        pasts = [(watcher.name, schedules.past(watcher)) for watcher in scheduled]
        counts = [
            [name, result, past.counts[result.replace("_", " ")]]
            for name, past in pasts
            for result in RUN_RESULTS
        ]
        return [[name, *past.figures()] for name, past in pasts], counts

    def _output(self, pace: Pace) -> tuple[list[list[Any]], list[list[Any]]]:
        """What was written to each stream, and what became of it in each place."""
        lines = self._daemon.history.stream_counts()
        streams, sinks = list[list[Any]](), list[list[Any]]()
        for watcher in list(self._arbiter.watchers.values()):
            name, output = watcher.name, watcher.output
            streams += [
                [name, stream, lines.get((name, stream), 0), output.read_bytes(stream)] for stream in STREAMS
            ]
            sinks += [[name, stream, of, *_sink(sink.counters())] for stream, of, sink in output.sinks()]
            pace.rest()
        return streams, sinks

    def _processes(self, pace: Pace) -> list[list[Any]]:
        slots = [
            (watcher.name, process.wid, process.pid)
            for watcher in self._arbiter.watchers.values()
            for process in watcher.planner.processes.values()
            if process.pid is not None
        ]
        trees = together((pid for _, _, pid in slots), pace.rest)
        transfers = self._transfers([pid for _, _, pid in slots])
        found = []
        for name, wid, pid in slots:
            tree = trees.get(pid)
            if tree is None:
                continue
            own, counts, moved = tree.own, figures(pid), transfers.get(pid)
            found.append(
                [
                    name,
                    wid,
                    round(proc.boot_time() + own.start / proc.TICKS, 2),
                    round(own.ticks / proc.TICKS, 2),
                    own.rss,
                    own.vms,
                    own.threads,
                    counts.descriptors,
                    None if moved is None else moved.read,
                    None if moved is None else moved.written,
                    counts.voluntary,
                    counts.involuntary,
                    tree.below,
                    round(self._grown.of(name, wid, tree) / proc.TICKS, 2),
                    tree.rss,
                ]
            )
            pace.rest()
        return found

    def _transfers(self, pids: list[int]) -> Mapping[int, Transfer]:
        """Read in a thread: a process in the middle of exec may be waited for, and all are left out then."""
        found: dict[int, Transfer] = {}
        for at in range(0, len(pids), CHUNK):
            try:
                found |= self._daemon.looks.transfers(pids[at : at + CHUNK])
            except CircusError:
                return {}
        return found

    def _daemon_s(self) -> Rows:
        daemon = self._daemon
        usage, lag = itself.usage(), daemon.loop_lag.view()
        doors = daemon.doors.counters()
        return {
            "daemon": [
                [
                    round(daemon.epoch, 3),
                    usage["cpu_seconds"],
                    usage["rss"],
                    usage["threads"],
                    usage["descriptors"],
                    usage["descriptors_limit"],
                    len(self._arbiter.watchers),
                    daemon.controller.counters()["requests"],
                    daemon.publisher.counters()["published"],
                    doors["connections"],
                    doors["accepted"],
                    doors["refused"],
                    daemon.loop_lag.histogram(),
                ]
            ],
            "lag": [[name, lag[name]] for name in LAG_STATISTICS],
        }


def _sink(counters: Mapping[str, Any]) -> list[Any]:
    return [
        counters["place"][:LONGEST_PLACE],
        counters["taken_bytes"],
        counters["written_bytes"],
        counters["dropped_bytes"],
        counters["dropped_lines"],
        counters["waiting_bytes"],
        counters["queue_bytes"],
        int(counters["state"] == "failing"),
    ]


class Grown:
    """Ticks of trees that only grow: of a descendant that has left its tree, what it had taken is not given back."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], tuple[int, int, int]] = {}
        """By watcher and slot: the start of the process, its ticks at the last look, and what they have grown to."""

    def of(self, watcher: str, wid: int, tree: Together) -> int:
        """The ticks to be told of that slot."""
        key = watcher.lower(), wid
        start, before, grown = self._seen.get(key, (0, 0, 0))
        if start != tree.own.start:
            before = grown = 0
        grown += max(0, tree.ticks - before)
        self._seen[key] = tree.own.start, tree.ticks, grown
        return grown


def _machine_s() -> Rows:
    told = host.usage()
    return {
        "host": [[told.get("memory_total"), told.get("memory_available"), *told["load"]]],
        "processor": [[mode, seconds] for mode, seconds in told["cpu_seconds"].items()],
    }
