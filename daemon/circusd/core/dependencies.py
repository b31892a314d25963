"""What a watcher needs before it is started: other watchers in certain states; pure, so that every order can be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .health import HEALTHY
from .process import UP, Process, State
from .reaching import ended_by_itself, hopeless
from .watcher import Planner
from .words import watcher_state

STARTED, READY = "started", "ready"
COMPLETED, COMPLETED_SUCCESSFULLY = "completed", "completed_successfully"

_AS_STATE: Mapping[str, str] = {
    STARTED: "running",
    READY: "ready",
    HEALTHY: "healthy",
    COMPLETED: "completed",
    COMPLETED_SUCCESSFULLY: "completed",
}
_WANTED: Mapping[str, str] = {
    STARTED: "to run",
    READY: "to be ready",
    HEALTHY: "to be found healthy",
    COMPLETED: "to end",
    COMPLETED_SUCCESSFULLY: "to end well",
}
_COUNTS: Mapping[str, Callable[[Process], bool]] = {
    STARTED: lambda process: process.state in UP,
    READY: lambda process: process.serves,
    HEALTHY: lambda process: process.is_well,
}
"""Whether a process is as it has to be, where all of a watcher have to be there."""


class Need(NamedTuple):
    """One watcher that another one needs, and in which state."""

    name: str
    condition: str = READY


def is_met(planner: Planner, condition: str) -> bool:
    """Whether a watcher is as another one needs it."""
    slots = planner.active
    if counts := _COUNTS.get(condition):
        if planner.asleep:
            return True  # its sockets listen, and whoever connects starts it
        enough = planner.wanted and len(slots) >= planner.policy.numprocesses
        return enough and all(map(counts, slots))
    if condition == COMPLETED:
        return ended_by_itself(planner)
    return ended_by_itself(planner) and all(p.state is State.COMPLETED for p in planner.processes.values())


CONDITIONS = (STARTED, READY, HEALTHY, COMPLETED, COMPLETED_SUCCESSFULLY)


def met_by(planner: Planner) -> list[str]:
    """The conditions that a watcher meets as it is."""
    return [condition for condition in CONDITIONS if is_met(planner, condition)]


def waits_for(need: Need, planner: Planner) -> str:
    """In words, without a clock."""
    return f"{need.name} {_WANTED[need.condition]}, which is {watcher_state(planner)}"


def lost(need: Need, planner: Planner, *, queued: bool, now: float) -> str:
    """Why a watcher will not be as it is needed unless somebody does something; nothing where it may."""
    if need.condition == COMPLETED and watcher_state(planner) != State.FAILED and not planner.policy.always:
        return ""
    why = hopeless(planner, _AS_STATE[need.condition], queued=queued, now=now)
    return f"{need.name}: {why.rstrip('.')}" if why else ""


def cycle(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of a ring in which each needs the next, the first one again at the end; empty when there is none."""
    left = {name: {other for other in others if other in needs} for name, others in needs.items()}
    users: dict[str, list[str]] = {}
    for name, others in left.items():
        for other in others:
            users.setdefault(other, []).append(name)
    free = [name for name, others in left.items() if not others]
    for name in free:
        del left[name]
        for user in users.get(name, ()):
            left[user].discard(name)
            if not left[user]:
                free.append(user)
    if not left:
        return []
    path = [min(left)]
    while path.count(path[-1]) == 1:
        path.append(min(left[path[-1]]))
    return path[path.index(path[-1]) :]


def closure(names: Iterable[str], needs: Mapping[str, Iterable[str]]) -> list[str]:
    """The names and all that they need, directly or not, each once."""
    found = list(dict.fromkeys(names))
    seen = set(found)
    for name in found:
        new = [other for other in needs.get(name, ()) if other not in seen]
        seen.update(new)
        found += new
    return found
