"""Standing still: what a process that is frozen may be asked, and how it goes on."""

from __future__ import annotations

from dataclasses import replace

from . import backoff
from .effects import (
    ArmTimer,
    CancelTimer,
    Effect,
    Freeze,
    Publish,
    Thaw,
)
from .expecting import judged_again, no_more_judging
from .process import PID_FILE, SHOWN, Happening, Policy, Process, Result, State
from .starting import exited
from .stopping import aged, stop


def freeze(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It stands still with all below it, and nothing is judged meanwhile: its age, whether it is ready, whether it is well."""
    still = replace(
        p, state=State.FROZEN, since=now, frozen_by=e.text, was_ready=p.state is State.READY, overdue=False
    )
    told = {"wid": p.wid, "pid": p.pid, "by": e.text, "seconds": e.seconds or None}
    still, limit = _limit_freeze(still, e, now)
    return still, (*no_more_judging(p), Freeze(p.wid), Publish("process.frozen", told), *limit)


def freeze_more(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It stands still already: whoever said it last decides for how long; what it has started since is frozen too."""
    still, limit = _limit_freeze(replace(p, frozen_by=e.text), e, now)
    return still, (Freeze(p.wid), *limit)


def _limit_freeze(p: Process, e: Happening, now: float) -> tuple[Process, tuple[Effect, ...]]:
    if e.seconds > 0:
        at = now + e.seconds
        return replace(p, thaw_at=at), (ArmTimer(p.wid, "thaw", at),)
    return replace(p, thaw_at=None), _no_more_limit(p)


def _no_more_limit(p: Process) -> tuple[Effect, ...]:
    return (CancelTimer(p.wid, "thaw"),) if p.thaw_at is not None else ()


def _thawed(p: Process) -> Process:
    return replace(p, frozen_by="", thaw_at=None, was_ready=False, overdue=False)


def thaw(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It goes on as it was; the time in which it stood still counts for nothing that it has to do in time."""
    stood = now - p.since
    up = replace(
        _thawed(p),
        state=State.READY if p.was_ready else State.RUNNING,
        since=now,
        ready_by=_put_off(p.ready_by, stood, now),
        beat_by=_put_off(p.beat_by, stood, now),
    )
    told = Publish("process.thawed", {"wid": p.wid, "pid": p.pid, "after": round(stood, 3), "by": e.text})
    effects = (*_no_more_limit(p), Thaw(p.wid), told)
    then, more = aged(up, e, now, policy) if p.overdue else judged_again(up, now, policy)
    return then, (*effects, *more)


def _put_off(moment: float | None, stood: float, now: float) -> float | None:
    # What had passed already when it was frozen, with its timer still on the way, is told now and not in the past.
    return None if moment is None else max(now, moment + stood)


def stop_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It gets its signal while it stands still, and then goes on, so that this is the first that it does."""
    down, effects = stop(p, e, now, policy)
    return _thawed(down), (*_no_more_limit(p), *effects, Thaw(p.wid))


def ended_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """Somebody has ended it with SIGKILL. That says nothing of how long it lives: it counts as one that had lived long."""
    patient = replace(policy, settle_time=0.0, start_limit_burst=0)
    down, effects = exited(_thawed(p), e, now, patient)
    # What it has started stands still too, and nobody would think of it any more.
    return replace(down, deaths=p.deaths), (*_no_more_limit(p), Thaw(p.wid), *effects)


def forbidden_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return stop_frozen(p, replace(e, signum=backoff.SIGKILL, again=False), now, policy)


def watchdog_changed_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It counts from when it goes on."""
    by = p.since + e.seconds if p.beat_by is not None and e.seconds > 0 else None
    return replace(p, watchdog=e.seconds, beat_by=by), ()


def sign_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """A sign that it had given before it was stopped comes but once: it counts when it goes on."""
    if p.awaits not in ("log", "fd"):
        return p, ()
    return replace(p, was_ready=True, awaits="", ready_by=None), ()


def sign_lost_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return (replace(p, said=e.text), ()) if p.awaits in ("log", "fd") else (p, ())


def overdue(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return replace(p, overdue=True), ()


def ready_frozen(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """What it had said before it was stopped counts when it goes on."""
    if p.awaits == PID_FILE:
        return replace(p, has_said=True), ()
    if p.awaits in SHOWN:
        return p, ()
    return replace(p, was_ready=True, awaits="", ready_by=None, reason=""), ()
