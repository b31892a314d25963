"""Watchers whose processes may take so much and no more: these are looked at now and then, and replaced one by one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from circusd.core.bounds import LONGEST_PERIOD, Bounds, Over, Verdict, judge, look, next_look
from circusd.core.process import State

from . import clock

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

log = logging.getLogger("circusd.bounds")


class Bounded:
    """The watchers of an arbiter that have such options and of which something runs."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._bounds: dict[Watcher, Bounds] = {}
        self._over: dict[int, Over] = {}
        """By pid."""

    def follow(self, watcher: Watcher) -> None:
        """The watcher's processes are looked at as long as its options and its state ask for it."""
        config = watcher.config
        bounds = Bounds(config.max_memory, config.max_memory_for, config.max_cpu, config.max_cpu_for)
        if not bounds or watcher.removed or self._arbiter.stopping or not watcher.planner.pids():
            self.forget(watcher)
            return
        if self._bounds.get(watcher) != bounds:
            for pid in watcher.planner.pids():
                self._over.pop(pid, None)
            before, self._bounds[watcher] = bool(self._bounds), bounds
            if not before:
                self._arbiter.services.look_at(self)

    def forget(self, watcher: Watcher) -> None:
        """Its processes are not looked at any more; where that was the last one, nothing is."""
        if self._bounds.pop(watcher, None) is not None and not self._bounds:
            self._over.clear()
            self._arbiter.services.look_at(None)

    def pids(self) -> list[int]:
        """Which processes are to be looked at now."""
        return [pid for watcher in self._bounds for pid in watcher.planner.pids()]

    def seen(self, samples: Mapping[int, tuple[float, int]]) -> float:
        """What they take, per cent of a processor and bytes: who has taken too much is replaced. Gives seconds to the next look."""
        now, before, self._over = clock.now(), self._over, {}
        wait = LONGEST_PERIOD
        for watcher, bounds in self._bounds.items():
            for pid in watcher.planner.pids():
                if pid not in samples:
                    continue
                over = self._over[pid] = look(before.get(pid), bounds, *samples[pid], now)
                wait = min(wait, next_look(over, bounds))
                verdict = judge(over, bounds, samples[pid][1])
                if verdict is not None:
                    self._arbiter.post(watcher, self._replace, watcher, pid, verdict)
        return wait

    def _replace(self, watcher: Watcher, pid: int, verdict: Verdict) -> None:
        # Otherwise its turn comes with a later look: one after the other, and never into a command.
        if watcher.removed or not watcher.planner.is_at_rest:
            return
        for process in watcher.planner.processes.values():
            if process.pid == pid and process.state in (State.RUNNING, State.READY):
                log.warning(
                    "a process is replaced watcher=%r wid=%d pid=%d: %s",
                    watcher.name,
                    process.wid,
                    pid,
                    verdict.why,
                )
                watcher.replace(process.wid, verdict.option, verdict.why)
                return
