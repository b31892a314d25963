"""Those who wait for a state of watchers: each is answered when all are there, when one can't get there, or in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gevent.event import AsyncResult

from circusd.core.reaching import hopeless, reached
from circusd.core.words import explain
from circusd.schema.errors import CircusError, Conflict, Failed, TimedOut

from . import clock
from .arbiter import Arbiter
from .orders import Order
from .watcher import Watcher

WAITS: Final = 1000
"""So many may wait at once,"""
WAITS_PER_CONNECTION: Final = 100
"""and so many on one connection."""
TOLD: Final = 3
"""Watchers of which a time-out tells what was seen last."""


@dataclass(slots=True)
class Wait:
    """One who waits."""

    id: int
    connection: bytes
    request: Any
    """The id of the request, by which who asked can take it back."""
    state: str
    watchers: tuple[Watcher, ...]
    timeout: float | None
    since: float
    result: AsyncResult[Any] = field(default_factory=AsyncResult)


class Waits:
    """All who wait; told of changes by the arbiter, so nobody asks from time to time."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._waits: dict[int, Wait] = {}

    def begin(
        self,
        watchers: Sequence[Watcher],
        state: str,
        timeout: float | None,
        connection: bytes,
        order: Order,
        request: Any = None,
    ) -> AsyncResult[Any]:
        """Its result is there when all these watchers are in the state; else it is a `Failed` or a `TimedOut`."""
        if len(self._waits) >= WAITS:
            raise Conflict(f"{WAITS} wait already")
        if sum(wait.connection == connection for wait in self._waits.values()) >= WAITS_PER_CONNECTION:
            raise Conflict(f"{WAITS_PER_CONNECTION} wait on this connection already")
        wait = Wait(order.id, connection, request, state, tuple(watchers), timeout, clock.now())
        order.cancel = lambda by: self._end(wait, Conflict(f"the wait was cancelled by {by or 'somebody'}"))
        order.count = lambda: sum(_is_there(w, state) for w in watchers)
        self._waits[wait.id] = wait
        if timeout is not None:
            self._arbiter.timers.arm(("wait", wait.id), wait.since + timeout, lambda: self._late(wait))
        # In its turn: what was asked for before has reached its watcher's line then.
        self._arbiter.post(None, self._look, wait)
        return wait.result

    def changed(self, watcher: Watcher | str) -> None:
        """The watcher may look different; its name if it is gone. Costs next to nothing when nobody waits."""
        for wait in list(self._waits.values()):
            if any(w is watcher or w.name == watcher for w in wait.watchers):
                self._look(wait)

    def left(self, connection: bytes) -> None:
        """The connection has ended: who waited on it does so no longer."""
        for wait in list(self._waits.values()):
            if wait.connection == connection:
                self._end(wait, Conflict("the connection has ended"))

    def take_back(self, connection: bytes, request: object) -> None:
        """Who asked by that request on that connection waits no longer; nothing happens if nobody does."""
        for wait in list(self._waits.values()):
            if wait.connection == connection and request is not None and wait.request == request:
                self._end(wait, Conflict("who waited has taken it back"))

    def _look(self, wait: Wait) -> None:
        if wait.id not in self._waits:
            return
        if all(_is_there(w, wait.state) for w in wait.watchers):
            self._end(wait, None)
            return
        for watcher in wait.watchers:
            why = self._why_never(watcher, wait.state)
            if why:
                self._end(wait, Failed(f"{watcher.name} does not get to {wait.state}: {why}"))
                return

    def _why_never(self, watcher: Watcher, state: str) -> str:
        if state == "removed" or _is_there(watcher, state):
            return ""
        if watcher.removed:
            return "it has been removed"
        if self._arbiter.stopping and state not in ("stopped", "stopping"):
            return "circusd is stopping"
        return hopeless(watcher.planner, state, queued=bool(watcher.waiting_commands), now=clock.now())

    def _late(self, wait: Wait) -> None:
        """In the hub's turn: the time is over."""
        missing = [w for w in wait.watchers if not _is_there(w, wait.state)]
        seen = [f"{w.name}: {explain(w.planner, clock.now())}" for w in missing[:TOLD]]
        if len(missing) > TOLD:
            seen.append(f"and {len(missing) - TOLD} more.")
        self._end(wait, TimedOut(f"not {wait.state} after {wait.timeout:g} s. {' '.join(seen)}"))

    def _end(self, wait: Wait, error: CircusError | None) -> None:
        if self._waits.pop(wait.id, None) is None:
            return
        self._arbiter.timers.cancel(("wait", wait.id))
        if error is not None:
            wait.result.set_exception(error)
        else:
            wait.result.set([w.name for w in wait.watchers])


def _is_there(watcher: Watcher, state: str) -> bool:
    if watcher.removed or state == "removed":
        return watcher.removed and state == "removed"
    return reached(watcher.planner, state, queued=bool(watcher.waiting_commands))
