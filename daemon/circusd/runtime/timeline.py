"""The times of the last start of circusd, and of each watcher's last one: two small records for each, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from circusd.core.dependencies import COMPLETED, COMPLETED_SUCCESSFULLY, is_met
from circusd.core.health import HEALTHY
from circusd.core.reaching import ended_by_itself
from circusd.core.timeline import ENDED, HELD_UP, READY, UNTIL, Start, critical_chain
from circusd.schema.need_values import is_outside

from . import clock

if TYPE_CHECKING:
    from .watcher import Watcher


class Timeline:
    """The starts of one watcher."""

    __slots__ = ("boot", "last")

    def __init__(self) -> None:
        self.boot: Start | None = None
        """The one that came with the start of circusd."""
        self.last: Start | None = None

    def begin(self, start: Start, *, is_boot: bool) -> None:
        """The start is under way."""
        self.last = start
        if is_boot:
            self.boot = start

    def waited(self, after: str, seconds: float) -> None:
        """Its start has waited for that; a moment is nothing where its turn had come late for another one's sake."""
        if self.last is not None and after and (seconds >= HELD_UP or not self.last.after):
            self.last.after = after

    def freed(self) -> None:
        """Its first process is about to be started, or its first hook asked."""
        if self.last is not None and self.last.free is None and self.last.done is None:
            self.last.free = clock.now()

    def spawned(self) -> None:
        """A process of it runs."""
        if self.last is not None and self.last.spawned is None and self.last.done is None:
            self.last.spawned = clock.now()

    def done(self, error: str) -> None:
        """The start under way has come to its end."""
        if self.last is not None and self.last.done is None:
            self.last.done, self.last.error = clock.now(), error

    def well(self, watcher: Watcher) -> None:
        """A process was found healthy; that counts when all of them are."""
        if self.last is not None and self.last.well is None and is_met(watcher.planner, HEALTHY):
            self.last.well = clock.now()

    def ended(self, watcher: Watcher) -> None:
        """All of it has stopped; that counts where it did so by itself."""
        if self.last is not None and self.last.ended is None and ended_by_itself(watcher.planner):
            self.last.ended = clock.now()


def timeline(watchers: Iterable[Watcher], visible: Mapping[str, Watcher], *, of_boot: bool) -> dict[str, Any]:
    """The starts of these watchers, the dearest first, with the critical chain of the start of circusd.

    What one that is not ``visible`` was waited for is not told.
    """
    boots = {name: w.timeline.boot for name, w in visible.items() if w.timeline.boot is not None}
    chain = critical_chain(boots)
    needed = _needed(visible.values())
    rows = []
    for watcher in watchers:
        start = watcher.timeline.boot if of_boot else watcher.timeline.last
        if start is not None:
            view = _row(watcher, start, visible, until=needed.get(watcher.name.lower(), READY))
            rows.append({**view, "critical": of_boot and watcher.name.lower() in chain})
    rows.sort(key=lambda row: (-(row["took"] or 0.0), row["name"]))
    ends = [start.done for start in boots.values() if start.done is not None]
    asked = min((start.asked for start in boots.values()), default=None)
    return {
        "watchers": rows,
        "last": not of_boot,
        "chain": [visible[name].name for name in chain],
        "since": _epoch(asked),
        "took": None if asked is None or not ends else round(max(ends) - asked, 3),
        "under_way": sum(start.done is None for start in boots.values()),
    }


_UNTIL: Mapping[str, str] = {HEALTHY: HEALTHY, COMPLETED: ENDED, COMPLETED_SUCCESSFULLY: ENDED}


def _needed(watchers: Iterable[Watcher]) -> dict[str, str]:
    """By lower-case name the last of `UNTIL` that others need of a watcher; none of those that nobody needs."""
    found: dict[str, str] = {}
    for watcher in watchers:
        for name, condition in watcher.config.depends_on:
            now = (found.get(name.lower(), READY), _UNTIL.get(condition, READY))
            found[name.lower()] = max(now, key=UNTIL.index)
    return found


def _row(watcher: Watcher, start: Start, visible: Mapping[str, Watcher], *, until: str) -> dict[str, Any]:
    took = start.took(until)
    planner = watcher.planner
    return {
        "name": watcher.name,
        "command": start.command,
        "after": start.after
        if is_outside(start.after)
        else visible[start.after].name
        if start.after in visible
        else "",
        "asked": _epoch(start.asked),
        "begun": _epoch(start.free),
        "spawned": _epoch(start.spawned),
        "ready": None if start.error else _epoch(start.done),
        "failed": _epoch(start.done) if start.error else None,
        "healthy": _epoch(start.well),
        "ended": _epoch(start.ended),
        "waited": None if start.free is None else round(start.free - start.asked, 3),
        "took": None if took is None else round(took, 3),
        "until": until,
        "error": start.error,
        "waits": planner.gate if planner.waits_for_others and start.done is None else "",
    }


def _epoch(moment: float | None) -> float | None:
    return None if moment is None else round(clock.wall(moment), 3)
