"""What a process says and what is found when it is looked at: whether it is ready, and whether it is well."""

from __future__ import annotations

from dataclasses import replace

from . import health
from .effects import (
    ArmTimer,
    Effect,
    Probe,
    Publish,
)
from .expecting import (
    LOOKED_FOR,
    awaited_from,
    look_after,
    next_look,
    next_probe,
    no_more_waiting,
    watch_signs,
)
from .process import (
    HEALTH,
    PID_FILE,
    READY,
    SHOWN,
    STOPPING_ITSELF,
    Exit,
    Happening,
    Policy,
    Process,
    Result,
    State,
)
from .stopping import stop


def said(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return replace(p, said=e.text), ()


def became_ready(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It says so itself; where something else is to tell, its word does not count until that has."""
    if p.awaits == PID_FILE:
        return replace(p, has_said=True), ()
    if p.awaits in SHOWN:
        return p, ()
    return _ready(p, now, policy)


def probe_passed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return _ready(replace(p, said=""), now, policy) if p.awaits in SHOWN else (p, ())


def _ready(p: Process, now: float, policy: Policy) -> Result:
    after = round(now - p.started, 3) if p.started is not None else 0.0
    told = Publish("process.ready", {"wid": p.wid, "pid": p.pid, "after": after})
    up = replace(p, state=State.READY, since=now, awaits="", ready_by=None, reason="")
    up, effects = look_after(up, now, policy)
    return up, (*no_more_waiting(p), told, *effects)


def probe_due(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.awaits not in LOOKED_FOR:
        return p, ()
    what = PID_FILE if p.awaits == PID_FILE else "ready"
    return replace(p, probes=p.probes + 1), (Probe(p.wid, p.pid or 0, what),)


def probe_failed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.awaits not in (*SHOWN, PID_FILE):
        return p, ()
    # Of a sign that can't come any more nothing but why is left to be told.
    return replace(p, said=e.text), (next_probe(p, now, policy),) if p.awaits in LOOKED_FOR else ()


def unready(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It says that it reloads or stops itself: it runs on, and is not counted on until it says that it is ready."""
    if p.is_awaited:
        return p, ()
    return replace(p, state=State.RUNNING, since=now, awaits="notify", reason=e.text), ()


def start_over(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It was not ready in time: it is stopped, and another one is tried after a while."""
    if not p.is_awaited:
        return p, ()
    within = f" within {policy.start_timeout:g} s"
    why = f"not ready{within}: {missing(p)}"
    told = Publish("process.unready", {"wid": p.wid, "pid": p.pid, "reason": why})
    late = replace(p, amiss=True, exit=Exit(at=now, stage=READY, text=why))
    down, effects = stop(late, replace(e, again=True), now, policy)
    return down, (told, *effects)


def beat(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """A sign of life. The timer is left as it is, and looks when it fires whether another has come since."""
    if p.beat_by is None:
        return replace(p, was_well=True), ()
    return replace(p, was_well=True, beat_by=max(p.beat_by, now + p.watchdog)), ()


def beat_missed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The moment has come by which there should have been a sign of life."""
    if p.beat_by is None:
        return p, ()
    if now < p.beat_by:
        return p, (ArmTimer(p.wid, "watchdog", p.beat_by),)
    why = f"it has not said WATCHDOG=1 for {p.watchdog:g} s"
    return _fallen_ill(p, why, e, now, policy, policy.watchdog_signal)


def triggered(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It says itself that it can't go on: as if it had missed a beat."""
    return _fallen_ill(p, "it has said WATCHDOG=trigger", e, now, policy, policy.watchdog_signal)


def _fallen_ill(
    p: Process, why: str, e: Happening, now: float, policy: Policy, signum: int | None = None
) -> Result:
    down, effects = _end_ill(p, why, e, now, policy, signum)
    return down, (_unhealthy(p, why), *effects)


def _unhealthy(p: Process, why: str) -> Publish:
    return Publish("process.unhealthy", {"wid": p.wid, "pid": p.pid, "reason": why})


def _end_ill(p: Process, why: str, e: Happening, now: float, policy: Policy, signum: int | None) -> Result:
    lived = now - p.started if p.started is not None else None
    down, effects = stop(p, replace(e, again=True, signum=signum), now, policy)
    ended = Exit(at=now, stage=HEALTH, text=f"unhealthy: {why}", lived=lived)
    return replace(down, amiss=True, exit=ended), effects


def look_due(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.health is None or p.pid is None:
        return p, ()
    return p, (Probe(p.wid, p.pid, "alive"),)


def look_passed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.health is None or policy.alive is None:
        return p, ()
    after = health.passed(p.health, now, policy.alive)
    told: tuple[Effect, ...] = ()
    if after.state != p.health.state:
        told = (Publish("process.healthy", {"wid": p.wid, "pid": p.pid}),)
    return replace(p, health=after, was_well=True), (*told, next_look(p, now, policy.alive))


def look_failed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """One more failure; the planner decides when one that is unhealthy is replaced, as it knows of the others."""
    if p.health is None or policy.alive is None:
        return p, ()
    again = next_look(p, now, policy.alive)
    if p.reason == STOPPING_ITSELF:
        return p, (again,)
    after = health.failed(p.health, e.text, now, policy.alive)
    told = (_unhealthy(p, e.text),) if after.state != p.health.state else ()
    return replace(p, health=after), (*told, again)


def given_up(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It is unhealthy, and its turn to be replaced has come."""
    if p.health is None or p.health.state != health.UNHEALTHY:
        return p, ()
    return _end_ill(p, p.health.text, e, now, policy, None)


def watchdog_changed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It says how often it gives a sign of life from now on, or, before it is ready, from then on."""
    changed = replace(p, watchdog=e.seconds)
    return (changed, ()) if p.is_awaited else watch_signs(changed, now)


def extended(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It needs so much time more from now on: to become ready, or to its next sign of life. It never gets less than it had."""
    by = now + e.seconds
    if p.ready_by is not None and by > p.ready_by:
        return replace(p, ready_by=by), (ArmTimer(p.wid, "start", by),)
    if p.beat_by is not None:
        return replace(p, beat_by=max(p.beat_by, by)), ()
    return p, ()


def followed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It has ended, and another one that it had started and named has the work: that is the process of the slot now."""
    told = Publish("process.followed", {"wid": p.wid, "pid": e.pid, "before": p.pid})
    if p.awaits != PID_FILE:
        return replace(p, pid=e.pid), (told,)
    effects = (told, *no_more_waiting(p))
    up = replace(p, pid=e.pid, awaits=awaited_from(policy), probes=0, said="")
    if up.awaits == "notify" and p.has_said:
        then, more = _ready(up, now, policy)
        return then, (*effects, *more)
    if not up.awaits:
        up, more = look_after(replace(up, ready_by=None), now, policy)
        return up, (*effects, *more)
    if up.ready_by is not None:
        effects = (*effects, ArmTimer(p.wid, "start", up.ready_by))
    return up, (*effects, next_probe(up, now, policy)) if up.awaits == "probe" else effects


def missing(p: Process) -> str:
    """What it is waited for: as a sentence about it."""
    if p.awaits == PID_FILE:
        return (
            f"its pid file does not name its process: {p.said}"
            if p.said
            else "its pid file has not been looked at"
        )
    if p.awaits == "notify":
        return f"it has not said READY=1, but: {p.said}" if p.said else "it has not said READY=1"
    if p.awaits == "log":
        return "no line of its output has had the text that ready names"
    if p.awaits == "fd":
        return f"it has written no newline to its descriptor{': ' if p.said else ''}{p.said}"
    return f"its probe fails: {p.said}" if p.said else "its probe has not passed"
