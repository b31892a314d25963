"""Commands on their way: each request that takes time has an id, says how far it is, and can be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event

from circusd.core import words
from circusd.core.watcher import Job
from circusd.schema.commands import Command, find, reaches
from circusd.schema.errors import Conflict, Denied, NotFound

from . import clock
from .arbiter import Arbiter
from .scope import ALL, Scope
from .watcher import Watcher

PROGRESS_SECONDS: Final = 0.2
"""Who asked for progress is told of it no more often."""

_LEFT_ALONE = {
    "quit": "everything is being stopped, and circusd ends",
    "reloadconfig": "the difference is being applied, and half of one is no configuration",
}


@dataclass(slots=True, eq=False)
class Order:
    """One request on its way."""

    id: int
    row: Command
    target: str
    """What it named: a watcher, a pattern; nothing for all."""
    by: str
    since: float
    scope: Scope = ALL
    """Which watchers it can be for."""
    total: int = 1
    """How many watchers it is for,"""
    begun: int = 0
    """and of how many it has reached the line."""
    cancelled: str = ""
    """By whom; what it has not begun yet is not begun."""
    cancel: Callable[[str], None] | None = None
    """Ends it where it is nothing in the lines of watchers."""
    count: Callable[[], int] | None = None
    """How many watchers are done, where nothing of it is in their lines."""
    measure: Callable[[], tuple[int, int, str]] | None = None
    """How much is done, of how much, and in which unit, where it is nothing that is counted in watchers."""
    ended: bool = False
    moved: Event = field(default_factory=Event)
    """Set when there may be progress to tell."""


class Orders:
    """All requests that are on their way, and all jobs of watchers."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._orders: dict[int, Order] = {}
        self._watched: set[Order] = set()

    def begin(self, row: Command, target: str, by: str, scope: Scope = ALL) -> Order:
        """A request that may take time; `follow` or `end` is told of its end."""
        order = Order(self._arbiter.next_id(), row, target, by, clock.now(), scope)
        self._orders[order.id] = order
        return order

    def follow(self, order: Order, result: AsyncResult[Any]) -> None:
        """The order is on its way until the result is there."""
        result.rawlink(lambda _: self.end(order))

    def end(self, order: Order) -> None:
        """It is on its way no longer."""
        order.ended = True
        order.moved.set()
        self._watched.discard(order)
        self._orders.pop(order.id, None)

    def by(self, number: int) -> str:
        """Whose request that is; nothing where it is on its way no longer, or nobody's."""
        order = self._orders.get(number)
        return "" if order is None else order.by

    def changed(self) -> None:
        """Some watcher may look different. Costs next to nothing when nobody watches progress."""
        for order in self._watched:
            order.moved.set()

    def tell(self, order: Order, push: Callable[[dict[str, Any]], object]) -> None:
        """Each progress of the order is pushed until it ends; how it ended is not."""

        def run() -> None:
            last: dict[str, Any] = {}
            while not order.ended:
                order.moved.clear()
                row = self._row(order)
                if row != last:
                    push(row)
                    last = row
                gevent.sleep(PROGRESS_SECONDS)
                order.moved.wait()

        self._watched.add(order)
        gevent.spawn(run)

    # -- what is shown -------------------------------------------------------------------------------------------

    def rows(self, scope: Scope = ALL) -> list[dict[str, Any]]:
        """What is under way and what waits for the watchers of the scope, by the time when it was asked for."""
        rows = [
            self._row(o)
            for o in self._orders.values()
            if (o.row.waits or o.row.lasts) and self._is_within(o, scope)
        ]
        for watcher in self._arbiter.watchers.values():
            for job, waits in watcher.jobs():
                if job.order not in self._orders and scope.sees(watcher.name):
                    rows.append(_row_of(watcher, job, waits))
        return sorted(rows, key=lambda row: row["id"])

    def _row(self, order: Order) -> dict[str, Any]:
        parts = self._parts(order)
        done, total, unit, text = order.begun - len(parts), order.total, "watcher", ""
        if total == 1 and len(parts) == 1:
            watcher, job, _ = parts[0]
            done, total, unit, text = job.done, job.total, "process", _text(watcher, job)
        if order.count is not None:
            done = order.count()
        if order.measure is not None:
            done, total, unit = order.measure()
        waits = bool(parts) and all(waits for _, _, waits in parts) and order.begun == order.total
        return {
            "id": order.id,
            "command": order.row.name,
            "watcher": order.target,
            "by": order.by,
            "since": round(clock.wall(order.since), 3),
            "state": "waiting" if waits or order.count is not None else "under way",
            "done": done,
            "total": total,
            "unit": unit,
            "text": text,
            "parts": [_part(*part) for part in parts] if order.total > 1 else [],
        }

    def _is_within(self, order: Order, scope: Scope) -> bool:
        """Whether it is for no other watcher, be it by name or because it has come to it."""
        if scope.is_all:
            return True
        named = order.target.lower() in self._arbiter.watchers and scope.sees(order.target)
        # What somebody of the same scope asks for comes to no other watcher, also where it is for several or for none yet.
        return (named or order.scope == scope) and all(scope.sees(w.name) for w, _, _ in self._parts(order))

    def _parts(self, order: Order) -> list[tuple[Watcher, Job, bool]]:
        watchers = self._arbiter.watchers.values()
        return [(w, job, waits) for w in watchers for job, waits in w.jobs() if job.order == order.id]

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel(self, id_: int, by: str, role: str, scope: Scope = ALL) -> dict[str, Any]:
        """What waits is dropped, and what is under way is stopped where that is sane.

        Raises NotFound, Denied, and Conflict with the reason where nothing of it can be cancelled.
        """
        order = self._orders.get(id_)
        if order is not None and not self._is_within(order, scope):
            order = None
        if order is None:
            parts = [
                (w, j, waits)
                for w in scope.of_those(self._arbiter.watchers).values()
                for j, waits in w.jobs()
                if j.id == id_
            ]
            if not parts:
                raise NotFound(f"no command with the id {id_} is under way", hint="circusctl jobs lists them")
            row = find(parts[0][1].command)
        else:
            parts, row = self._parts(order), order.row
        if row is not None and not reaches(role, row.role):
            raise Denied(f"cancelling {row.name} is for the role {row.role}")
        if row is not None and row.name in _LEFT_ALONE:
            raise Conflict(f"{row.name} can't be cancelled: {_LEFT_ALONE[row.name]}")
        if order is not None and order.cancel is not None:
            order.cancel(by)
            return {"cancelled": [], "kept": {}}
        kept = {w.name: why for w, job, _ in parts if (why := w.cancel(job, by))}
        rest = order is not None and order.begun < order.total
        if order is not None:
            order.cancelled = by
        if len(kept) == len(parts) and not rest:
            raise Conflict(
                "; ".join(f"{name}: {why}" for name, why in kept.items()) or "it can't be cancelled any more"
            )
        return {"cancelled": [w.name for w, _, _ in parts if w.name not in kept], "kept": kept}


def _row_of(watcher: Watcher, job: Job, waits: bool) -> dict[str, Any]:
    """A job that no request has asked for."""
    return {
        "id": job.id,
        "command": job.command or job.kind,
        "watcher": watcher.name,
        "by": "",
        "since": None if waits else round(clock.wall(job.since), 3),
        "state": "waiting" if waits else "under way",
        "done": job.done,
        "total": job.total,
        "unit": "process",
        "text": _text(watcher, job),
        "parts": [],
    }


def _part(watcher: Watcher, job: Job, waits: bool) -> dict[str, Any]:
    return {
        "watcher": watcher.name,
        "state": "waiting" if waits else "under way",
        "done": job.done,
        "total": job.total,
        "text": _text(watcher, job),
    }


def _text(watcher: Watcher, job: Job) -> str:
    """What the job waits for, where it is the one under way."""
    return words.progress(watcher.planner) if watcher.planner.job is job else ""
