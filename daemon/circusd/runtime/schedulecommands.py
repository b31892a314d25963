"""The commands about watchers that run at times of the clock: when they do, how that went, and one run now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circusd.core.schedule import KEPT_EACH
from circusd.schema.errors import BadRequest, Conflict

from .arbiter import Arbiter
from .requests import Context, Later, Reply, as_int
from .selection import chosen, named, seen, select, several
from .watcher import Watcher

if TYPE_CHECKING:
    from .schedules import Schedules


class ScheduleCommands:
    """Shows schedules and runs, and starts a run."""

    arbiter: Arbiter

    def cmd_schedule(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = [w for w in named(self.arbiter, p, c) if w.config.schedule]
        if not watchers:
            return {"watchers": []}
        schedules = self._schedules()
        return {"watchers": [{"name": w.name, **schedules.view(w)} for w in watchers]}

    def cmd_runs(self, p: dict[str, Any], c: Context) -> Reply:
        (watcher,) = self._one(p, c)
        lines = min(max(as_int(p.get("lines", 20), "lines"), 0), KEPT_EACH)
        rows = self.arbiter.schedules.rows(watcher) if self.arbiter.schedules is not None else []
        return {"watcher": watcher.name, "runs": rows[:lines], "more": len(rows) > lines}

    def _one(self, p: dict[str, Any], c: Context) -> list[Watcher]:
        watchers = select(seen(self.arbiter, c), p)
        if len(watchers) > 1:
            raise BadRequest(f"{len(watchers)} watchers match; the runs of one are shown", field="name")
        return watchers

    def cmd_run(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = chosen(self.arbiter, p, c)
        for watcher in watchers:
            if not watcher.config.schedule:
                raise Conflict(
                    f"{watcher.name} has no schedule, and so no runs",
                    hint=f"start it: circusctl start {watcher.name}; or give it the option schedule",
                )
        return several(watchers, lambda watcher: self._run_one(watcher, c))

    def _run_one(self, watcher: Watcher, c: Context) -> Reply:
        run = self._schedules().start(watcher, c.person.name)
        return Later(run.result, lambda row: {"watcher": watcher.name, "run": row})

    def _schedules(self) -> Schedules:
        schedules = self.arbiter.schedules
        assert schedules is not None
        return schedules
