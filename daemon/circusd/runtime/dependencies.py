"""Starts that wait for other watchers: opened when what they need is there, ended when it will not come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from circusd.config.dependencies import needs_of
from circusd.config.model import WatcherConfig
from circusd.core.dependencies import Need, closure, cycle, is_met, lost, waits_for
from circusd.core.order import start_groups
from circusd.core.words import watcher_state
from circusd.schema.errors import BadRequest
from circusd.schema.nearest import nearest

from . import clock

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

BY_NEEDS = ("start", "restart")
"""Kinds of jobs that wait for what a watcher needs."""


class Dependencies:
    """What the watchers of one arbiter need of each other."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._begun: dict[Watcher, str] = {}
        """Whose start may wait, with what it waits for, in lower case: of several the last one of its list."""
        self._is_due = False

    def needs(self) -> dict[str, list[str]]:
        """The lower-case names of what each watcher needs, by its own; of those that need nothing no entry."""
        return {
            name: [other.lower() for other, _ in watcher.config.depends_on]
            for name, watcher in self._arbiter.watchers.items()
            if watcher.config.depends_on
        }

    def entangled(self) -> set[str]:
        """The lower-case names of all that need others or are needed."""
        needs = self.needs()
        return {*needs, *(other for others in needs.values() for other in others)}

    def to_start(self, names: Iterable[str]) -> list[str]:
        """What has to be started beside these (lower-case names) so that they can be."""
        chosen = set(names)
        found = []
        for name in closure(chosen, self.needs()):
            watcher = self._arbiter.watchers.get(name)
            if name not in chosen and watcher is not None and not watcher.is_on_its_way:
                found.append(name)
        return [name for name in found if not self._is_enough(name, {*chosen, *found})]

    def _is_enough(self, name: str, users: set[str]) -> bool:
        """Whether a watcher is already as all of these need it."""
        planner = self._arbiter.watchers[name].planner
        wanted = [
            condition
            for user in users
            if user in self._arbiter.watchers
            for other, condition in self._arbiter.watchers[user].config.depends_on
            if other.lower() == name
        ]
        return bool(wanted) and all(is_met(planner, condition) for condition in wanted)

    def before(self, watcher: Watcher) -> str:
        """What has to come before a start of the watcher, in words; nothing where it may begin.

        For as long as its start or restart is under way it is told when that changes.
        """
        why, _, name = self._missing(watcher)
        if watcher.config.depends_on:
            self._begun[watcher] = name
            self._look_soon()
        return why

    def changed(self) -> None:
        """Some watcher may look different: those that wait are looked at, together with other changes of this turn."""
        if self._begun and not self._is_due:
            self._look_soon()

    def restarted(self, watcher: Watcher) -> None:
        """A process of the watcher was started again: those that are to be restarted with it are."""
        low = watcher.name.lower()
        users = [
            other
            for other in self._arbiter.watchers.values()
            if other.config.restart_with_dependencies and other.planner.wanted and not other.is_on_its_way
            if any(name.lower() == low for name, _ in other.config.depends_on)
        ]
        for other in users:
            # In a ring (of a file and what was added at run time) there would be no end to it.
            if other.name.lower() not in closure([low], self.needs()):
                other.submit(self._arbiter.job("restart", f"restart with {watcher.name}"))

    def graph(self, names: Iterable[str], visible: Mapping[str, Watcher]) -> list[dict[str, Any]]:
        """These watchers (lower-case names) and all that they need, as far as it is visible: what is needed comes first."""
        needs = {
            name: [other for other in others if other in visible]
            for name, others in self.needs().items()
            if name in visible
        }
        chosen = closure(names, needs)
        groups = start_groups(dict.fromkeys(chosen, 0), chosen, needs)
        return [self._row(visible[name], visible) for group in groups for name in group]

    def _row(self, watcher: Watcher, visible: Mapping[str, Watcher]) -> dict[str, Any]:
        return {
            "name": watcher.name,
            "state": watcher_state(watcher.planner),
            "status": watcher.planner.status(),
            "needs": [
                {
                    "name": visible[name.lower()].name,
                    "condition": condition,
                    "met": is_met(visible[name.lower()].planner, condition),
                }
                for name, condition in watcher.config.depends_on
                if name.lower() in visible
            ],
        }

    def check(self, config: WatcherConfig) -> None:
        """Raises BadRequest if a watcher can't depend on what this configuration of it says."""
        others = {name: watcher.config for name, watcher in self._arbiter.watchers.items()}
        others[config.name.lower()] = config
        for name, _ in config.depends_on:
            if name.lower() not in others:
                near = nearest(name, [watcher.name for watcher in others.values()])
                raise BadRequest(
                    f"there is no watcher {name}",
                    field="depends_on",
                    hint=f"did you mean {near}?" if near else "",
                )
        ring = cycle(needs_of(others.values())) if config.depends_on else []
        if ring:
            shown = " → ".join(others[name].name for name in ring)
            raise BadRequest(
                f"none of these could be started, as each waits for the next: {shown}", field="depends_on"
            )

    def _look_soon(self) -> None:
        self._is_due = True
        self._arbiter.post(None, self._look)

    def _look(self) -> None:
        self._is_due = False
        for watcher in list(self._begun):
            job = watcher.planner.job
            if watcher.removed or job is None or job.kind not in BY_NEEDS:
                del self._begun[watcher]
                continue
            why, hopeless, name = self._missing(watcher)
            if hopeless or why != watcher.planner.gate:
                last, self._begun[watcher] = self._begun[watcher], name
                watcher.release(why, hopeless, last)

    def _missing(self, watcher: Watcher) -> tuple[str, str, str]:
        """What is not as the watcher needs it, in words, why that will not change by itself, and the last of those; each may be
        empty."""
        waiting, last = [], ""
        for name, condition in watcher.config.depends_on:
            need, other = Need(name, condition), self._arbiter.watchers.get(name.lower())
            if other is None:
                return name, f"there is no watcher {name}, which it depends on", name
            if is_met(other.planner, condition):
                continue
            waiting.append(waits_for(need, other.planner))
            last = name.lower()
            if why := lost(need, other.planner, queued=other.is_on_its_way, now=clock.now()):
                return waiting[-1], f"what it depends on can't be had: {why}", last
        return ", and for ".join(waiting), "", last
