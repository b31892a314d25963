"""Whether a watcher is in a state that somebody waits for, and whether it can still get there by itself."""

from __future__ import annotations

from .health import HEALTHY
from .process import FAILURE, GONE, UP, State
from .watcher import Planner
from .words import explain, watcher_state

_ENDED = frozenset({State.EXITED, State.COMPLETED})
_BY_STARTING = frozenset({"running", "ready", HEALTHY, "active", "starting", "waiting", "backoff"})


def reached(planner: Planner, state: str, *, queued: bool) -> bool:
    """Whether the watcher is there; while commands are under way or wait (``queued``) it is in no state of rest."""
    states = [process.state for process in planner.processes.values()]
    match state:
        case "starting" | "stopping":
            return planner.status() == state or State(state) in states
        case "waiting" if planner.waits_for_others:
            return True
        case "waiting" | "backoff" | "frozen":
            return State(state) in states
    if queued or planner.job is not None:
        return False
    match state:
        case "running" | "ready" | "healthy":
            slots = planner.active
            enough = planner.wanted and len(slots) == planner.policy.numprocesses
            if state == "ready":
                return enough and all(process.serves for process in slots)
            if state == HEALTHY:
                return enough and all(process.is_well for process in slots)
            return enough and all(process.state in UP for process in slots)
        case "active" | "stopped":
            return planner.status() == state
        case "failed":
            return watcher_state(planner) == State.FAILED
        case "completed":
            return ended_by_itself(planner) and all(s is State.COMPLETED for s in states)
        case "exited":
            return ended_by_itself(planner) and State.EXITED in states
    return False


def hopeless(planner: Planner, state: str, *, queued: bool, now: float) -> str:
    """Why the watcher does not get there unless somebody starts or changes it; nothing while it may."""
    if queued or planner.job is not None or any(p.next_try is not None for p in planner.processes.values()):
        return ""
    if state == HEALTHY and planner.policy.alive is None:
        return "nobody looks whether its processes are alive, as alive is not set"
    if state in ("completed", "exited"):
        if planner.policy.always:
            return "its processes are started again when they end, as respawn is on"
        if state == "exited" and planner.policy.respawn:
            return f"its processes are started again when they fail, as respawn_on is {FAILURE}"
        if watcher_state(planner) == State.FAILED or ended_by_itself(planner):
            return explain(planner, now)
    if state in _BY_STARTING and (watcher_state(planner) == State.FAILED or ended_by_itself(planner)):
        return explain(planner, now)
    return ""


def ended_by_itself(planner: Planner) -> bool:
    """Whether it is down because its processes have ended by themselves."""
    states = [process.state for process in planner.processes.values()]
    return not planner.wanted and bool(set(states) & _ENDED) and all(s in GONE for s in states)
