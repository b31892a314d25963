"""When a daemon that runs a container's processes has nothing more to do, and with which exit code it ends."""

from __future__ import annotations

from collections.abc import Iterable

from .process import State
from .watcher import Planner

OK, FAILED = 0, 1


def is_over(planner: Planner) -> bool:
    """Nothing of the watcher runs, and nothing will come by itself."""
    if planner.job is not None or not all(p.is_final for p in planner.processes.values()):
        return False
    return not planner.wanted or len(planner.active) >= planner.policy.numprocesses


def has_failed(planner: Planner) -> bool:
    """It was given up, or a process of it has ended with another code than 0 and is not started again."""
    ill = (State.FAILED, State.EXITED)
    return bool(planner.failure) or any(p.state in ill for p in planner.processes.values())


def has_ended(planner: Planner) -> bool:
    """It is over, and by itself: not stopped by a person, nor never started."""
    completed = any(p.state is State.COMPLETED for p in planner.processes.values())
    return is_over(planner) and (completed or has_failed(planner))


def verdict(watchers: Iterable[tuple[Planner, bool]]) -> int | None:
    """The daemon's exit code if it is to end: all watchers are over, or an essential one has ended; None if not.

    Each watcher comes with whether it is essential. Where a person has stopped everything nothing ends.
    """
    rows = list(watchers)
    # An essential one decides alone: what became of the others is of no account then.
    decisive = [planner for planner, essential in rows if essential and has_ended(planner)]
    if not decisive and all(is_over(planner) for planner, _ in rows):
        decisive = [planner for planner, _ in rows if has_ended(planner)]
    if not decisive:
        return None
    return FAILED if any(has_failed(planner) for planner in decisive) else OK
