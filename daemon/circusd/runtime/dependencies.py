"""Starts that wait for other watchers: opened when what they need is there, ended when it will not come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circusd.config.dependencies import needs_of, never
from circusd.config.model import WatcherConfig
from circusd.core.dependencies import READY, Need, closure, cycle, is_met, lost, waits_for
from circusd.core.order import start_groups
from circusd.core.outside import Asked, waits_for_outside
from circusd.core.words import watcher_state
from circusd.schema.errors import BadRequest, Denied
from circusd.schema.nearest import nearest
from circusd.schema.need_values import is_outside

from . import clock
from .scope import Scope

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .outside import Outside
    from .watcher import Watcher

BY_NEEDS = ("start", "restart", "reload")
"""Kinds of jobs that wait for what a watcher needs; a reload does where it becomes one of the others."""


def forbid_outside(config: WatcherConfig, before: WatcherConfig | None = None) -> None:
    """Raises Denied if it waits for an address outside that it did not wait for before."""
    known = {name for name, _ in before.depends_on} if before is not None else set()
    for name, _ in config.depends_on:
        if is_outside(name) and name not in known:
            raise Denied(f"{name} in depends_on is for the role admin, as circusd itself connects to it")


def _traits(configs: Mapping[str, WatcherConfig]) -> tuple[set[str], set[str]]:
    """The names of those with a schedule, and of those at which nobody looks."""
    return (
        {name for name, config in configs.items() if config.schedule},
        {name for name, config in configs.items() if not config.alive},
    )


@dataclass(slots=True)
class _Waiting:
    """A start that may wait."""

    since: float
    last: str = ""
    """What it waits for, in lower case; of several the last one of its list."""


class Dependencies:
    """What the watchers of one arbiter need of each other."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._begun: dict[Watcher, _Waiting] = {}
        """Whose start may wait."""
        self._is_due = False
        self._outside: Outside | None = None
        """Loaded with the first address: most daemons have none."""

    def close(self) -> None:
        """Nothing is looked at any more."""
        if self._outside is not None:
            self._outside.close()

    def needs(self) -> dict[str, list[str]]:
        """The lower-case names of what each watcher needs, by its own; of those that need nothing no entry."""
        return {
            name: others
            for name, watcher in self._arbiter.watchers.items()
            if (others := [n.lower() for n, _ in watcher.config.depends_on if not is_outside(n)])
        }

    def entangled(self) -> set[str]:
        """The lower-case names of all that need something or are needed."""
        ties = {name for name, watcher in self._arbiter.watchers.items() if watcher.config.depends_on}
        return {*ties, *(other for others in self.needs().values() for other in others)}

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
        if not watcher.config.depends_on:
            return ""
        waiting = self._begun[watcher] = _Waiting(clock.now())
        for name, _ in watcher.config.depends_on:
            if is_outside(name):
                self._ask(name, watcher.config)
        why, _, waiting.last = self._missing(watcher)
        self._look_soon()
        return why

    def _ask(self, address: str, config: WatcherConfig) -> None:
        self._addresses().begin(address, config.outside_interval, config.outside_timeout)

    def _addresses(self) -> Outside:
        if self._outside is None:
            from .outside import Outside

            self._outside = Outside(self._looked)
        return self._outside

    def _looked(self) -> None:
        """There is something new about an address: those that wait for it look different, and may go on."""
        self._arbiter.post(None, self._show_looks)

    def _show_looks(self) -> None:
        for watcher in list(self._begun):
            if watcher.planner.asked:
                self._arbiter.changed(watcher)
        self.changed()

    def silent(self, watchers: Iterable[Watcher]) -> dict[str, str]:
        """The addresses outside that running watchers of these depend on and that do not answer now, and why: each is looked at once.

        Blocks the greenlet for as long as that takes: two seconds at most.
        """
        limits = {
            name: watcher.config.outside_timeout
            for watcher in watchers
            for name, _ in watcher.config.depends_on
            if is_outside(name) and watcher.planner.wanted and not watcher.planner.waits_for_others
        }
        return self._addresses().silent(limits) if limits else {}

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
        rows = [self._row(visible[name], visible) for group in groups for name in group]
        outside = {need["name"]: need for row in rows for need in row["needs"] if need.get("outside")}
        return [*(_outside_row(need) for need in outside.values()), *rows]

    def _row(self, watcher: Watcher, visible: Mapping[str, Watcher]) -> dict[str, Any]:
        return {
            "name": watcher.name,
            "state": watcher_state(watcher.planner),
            "status": watcher.planner.status(),
            "needs": [
                self._outside_view(name)
                if is_outside(name)
                else {
                    "name": visible[name.lower()].name,
                    "condition": condition,
                    "met": is_met(visible[name.lower()].planner, condition),
                }
                for name, condition in watcher.config.depends_on
                if is_outside(name) or name.lower() in visible
            ],
        }

    def check(self, config: WatcherConfig, scope: Scope, before: WatcherConfig | None = None) -> None:
        """Raises BadRequest if a watcher can't depend on what this configuration of it says.

        To one who does not see them all, a watcher that is none of the ``scope`` is not there, unless it was needed ``before``.
        """
        others = self._configs(config)
        known = {name.lower() for name, _ in before.depends_on} if before is not None else set()
        seen = {name: other.name for name, other in others.items() if name in known or scope.sees(name)}
        for name, condition in config.depends_on:
            if name.lower() not in seen and not is_outside(name):
                near = nearest(name, seen.values())
                raise BadRequest(
                    f"there is no watcher {name}",
                    field="depends_on",
                    hint=f"did you mean {near}?" if near else "",
                )
            if why := never(name, condition, *_traits(others)):
                raise BadRequest(why, field="depends_on")
        ring = cycle(needs_of(others.values())) if config.depends_on else []
        if ring:
            shown = " → ".join(seen.get(name, "…") for name in ring)
            raise BadRequest(
                f"none of these could be started, as each waits for the next: {shown}", field="depends_on"
            )

    def check_users(self, config: WatcherConfig, scope: Scope) -> None:
        """Raises BadRequest if what others need of a watcher can't be had with this configuration of it."""
        others = self._configs(config)
        low = config.name.lower()
        users = [
            (user.name, *need) for user in others.values() if user is not config for need in user.depends_on
        ]
        for user, name, condition in users:
            if name.lower() == low and (why := never(name, condition, *_traits(others))):
                raise BadRequest(f"{user if scope.sees(user) else 'another watcher'} depends on it: {why}")

    def _configs(self, config: WatcherConfig) -> dict[str, WatcherConfig]:
        """Those of all watchers by their lower-case names, with this one in its place."""
        others = {name: watcher.config for name, watcher in self._arbiter.watchers.items()}
        return {**others, config.name.lower(): config}

    def _look_soon(self) -> None:
        self._is_due = True
        self._arbiter.post(None, self._look)

    def _look(self) -> None:
        self._is_due = False
        for watcher, waiting in list(self._begun.items()):
            job = watcher.planner.job
            if watcher.removed or job is None or job.kind not in BY_NEEDS:
                del self._begun[watcher]
                watcher.planner.asked = ()
                continue
            why, hopeless, name = self._missing(watcher)
            # One that has begun is not taken back, and must not be asked about again and again.
            hopeless = hopeless if watcher.planner.waits_for_others else ""
            if hopeless or why != watcher.planner.gate:
                last, waiting.last = waiting.last, name
                watcher.release(why, hopeless, last, clock.now() - waiting.since)
        if self._outside is not None:
            self._outside.want({one.address for w in self._begun for one in w.planner.asked})
            self._outside.keep(n for w in self._arbiter.watchers.values() for n, _ in w.config.depends_on)

    def _missing(self, watcher: Watcher) -> tuple[str, str, str]:
        """What is not as the watcher needs it, in words, why that will not change by itself, and the last of those; each may be
        empty."""
        waiting, last, asked = [], "", []
        for name, condition in watcher.config.depends_on:
            if is_outside(name):
                if not self._answers(name, watcher):
                    waiting.append(waits_for_outside(name))
                    asked.append(self._asked(name))
                    last = name
                continue
            need, other = Need(name, condition), self._arbiter.watchers.get(name.lower())
            if other is None:
                return name, f"there is no watcher {name}, which it depends on", name
            if is_met(other.planner, condition):
                continue
            waiting.append(waits_for(need, other.planner))
            last = name.lower()
            if why := lost(need, other.planner, queued=other.is_on_its_way, now=clock.now()):
                return waiting[-1], f"what it depends on can't be had: {why}", last
        watcher.planner.asked = tuple(asked)
        return ", and for ".join(waiting), "", last

    def _answers(self, address: str, watcher: Watcher) -> bool:
        """Whether it has answered since the start of the watcher began."""
        since = self._begun[watcher].since if watcher in self._begun else 0.0
        return self._outside is not None and self._outside.has_answered(address, since)

    def _asked(self, address: str) -> Asked:
        return Asked(address, "", 0, None) if self._outside is None else self._outside.asked(address)

    def view(self, watcher: Watcher) -> list[dict[str, Any]]:
        """What the watcher needs, as a snapshot has it; of a watcher, whether it is so is told with that one."""
        return [
            self._outside_view(name) if is_outside(name) else {"name": name, "condition": condition}
            for name, condition in watcher.config.depends_on
        ]

    def _outside_view(self, address: str) -> dict[str, Any]:
        asked = self._asked(address)
        answered = None if self._outside is None else self._outside.answered(address)
        return {
            "name": address,
            "condition": READY,
            "outside": True,
            "met": answered is not None and not asked.problem,
            "problem": asked.problem,
            "asked": asked.times,
            "next": None if asked.next is None else round(clock.wall(asked.next), 3),
            "answered": None if answered is None else round(clock.wall(answered), 3),
        }


def _outside_row(need: Mapping[str, Any]) -> dict[str, Any]:
    """An address as a row of the graph."""
    state = "answered" if need["met"] else need["problem"] or "not asked"
    return {"name": need["name"], "state": state, "status": "outside", "needs": []}
