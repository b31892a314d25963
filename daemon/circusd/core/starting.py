"""The way up: starts, what holds them or refuses them, and ends that nobody has ordered, with what comes after them."""

from __future__ import annotations

from dataclasses import replace

from . import backoff
from .altered import altered
from .effects import (
    ArmTimer,
    CallHook,
    CancelTimer,
    Effect,
    Probe,
    Publish,
    Spawn,
)
from .expecting import LOOKED_FOR, UNATTENDED, awaited_from, look_after, next_probe, nothing_expected
from .process import PID_FILE, Exit, Happening, Policy, Process, Result, State, is_held


def ignore(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The event changes nothing in this state."""
    return p, ()


def launch(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """On the way up: by way of the hook that may forbid it."""
    calm = (CancelTimer(p.wid, "backoff"),) if p.next_try is not None else ()
    hook = "before_spawn" in policy.hooks
    state, reason = (State.WAITING, "hook") if hook else (State.STARTING, "")
    effect = CallHook("before_spawn", p.wid) if hook else Spawn(p.wid)
    up = altered(p, state=state, since=now, next_try=None, again=False, reason=reason)
    return up, (*calm, effect)


def start_anew(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """Somebody wants it started, or it is time to try once more: earlier failures count no more."""
    return launch(replace(p, attempts=0, refusals=0, deaths=()), e, now, policy)


def tried_again(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It had been given up for a while."""
    return start_anew(p, e, now, policy) if p.next_try is not None else (p, ())


def hold(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It is to be started, and something has to come first that may take as long as it likes."""
    calm = (CancelTimer(p.wid, "backoff"),) if p.next_try is not None else ()
    return replace(p, state=State.WAITING, since=now, reason=e.text, next_try=None, again=False), calm


def release(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """What it waited for has come; a hook is waited for by its answer alone."""
    return start_anew(p, e, now, policy) if is_held(p) else (p, ())


def allowed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return replace(p, state=State.STARTING, since=now, reason=""), (Spawn(p.wid),)


def forbidden(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """A hook said no: the process stays down."""
    ended = Exit(at=now, stage="hook", text=e.text)
    return replace(p, state=State.FAILED, since=now, reason="", exit=ended), ()


def spawned(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    effects: list[Effect] = []
    if policy.max_age > 0:
        life = policy.max_age + policy.max_age_variance * e.chance
        effects.append(ArmTimer(p.wid, "age", now + life))
    effects.append(Publish("process.started", {"wid": p.wid, "pid": e.pid}))
    if "after_spawn" in policy.hooks:
        effects.append(CallHook("after_spawn", p.wid, e.pid))
    awaits = PID_FILE if policy.pid_file else awaited_from(policy)
    up = altered(
        p,
        state=State.RUNNING,
        since=now,
        pid=e.pid,
        started=now,
        starts=p.starts + 1,
        next_try=None,
        refusals=0,
        reason="",
        awaits=awaits,
        ready_by=now + policy.start_timeout if awaits and policy.start_timeout > 0 else None,
        probes=0,
        said="",
        watchdog=policy.watchdog,
        beat_by=None,
        was_well=False,
        has_said=False,
        health=None,
    )
    if up.ready_by is not None:
        effects.append(ArmTimer(p.wid, "start", up.ready_by))
    if awaits in LOOKED_FOR:
        effects.append(next_probe(up, now, policy))
    if awaits:
        return up, tuple(effects)
    up, more = look_after(up, now, policy)
    return up, (*effects, *more)


def refused(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The program could not be started: tried again, later and later, ``max_retry`` times."""
    attempts, refusals = p.attempts + 1, p.refusals + 1
    ended = Exit(at=now, stage=e.stage, errno=e.errno, text=e.text)
    told = Publish("process.refused", {"wid": p.wid, "stage": e.stage, "errno": e.errno, "reason": e.text})
    down = replace(p, attempts=attempts, refusals=refusals, exit=ended, pid=None, since=now)
    if backoff.gives_up(refusals, policy.max_retry):
        lost, effects = give_up(down, e.text, now, policy)
        return lost, (told, *effects)
    later, effects = back_off(down, e, now, policy, never_at_once=True)
    return later, (told, *effects)


def back_off(p: Process, e: Happening, now: float, policy: Policy, never_at_once: bool) -> Result:
    """It is tried again, after the pause that comes next."""
    # A program that can't be started would spin: without a back-off of the user's, ours is the least.
    floor = max(policy.restart_delay, 0.1 if never_at_once else 0.0)
    least, wait = (
        max(floor, backoff.delay(p.attempts, policy.backoff, policy.backoff_max, chance))
        for chance in (0.0, e.chance)
    )
    if wait <= 0:
        return launch(p, e, now, policy)
    at = backoff.moment(now, wait, least)
    told = Publish("process.backoff", {"wid": p.wid, "delay": at - now, "attempt": p.attempts})
    return altered(p, state=State.BACKOFF, since=now, next_try=at), (told, ArmTimer(p.wid, "backoff", at))


def give_up(p: Process, why: str, now: float, policy: Policy) -> Result:
    """It has failed: for good, or until it is tried again after ``retry_in``."""
    told = Publish("process.failed", {"wid": p.wid, "reason": why, "retry_in": policy.retry_in or None})
    if policy.retry_in <= 0:
        return replace(p, state=State.FAILED, next_try=None), (told,)
    at = now + policy.retry_in
    return replace(p, state=State.FAILED, next_try=at), (told, ArmTimer(p.wid, "backoff", at))


def ended_well(e: Happening | Exit, policy: Policy) -> bool:
    """Whether a process has ended as one that has done its work."""
    status = e.code if e.signal is None else -e.signal
    return status in policy.success


def comes_back(e: Happening, policy: Policy) -> bool:
    """Whether a process that has ended like that is started again."""
    return policy.always or (policy.respawn and not ended_well(e, policy))


def too_often(deaths: tuple[float, ...], policy: Policy) -> bool:
    """Whether it has ended more often than it may."""
    return 0 < policy.start_limit_burst <= len(deaths)


def exited(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It ended by itself: back at once if it had lived, later if it died young, never if nobody wants it."""
    if p.awaits == PID_FILE and e.code == 0:
        # As it should: what it has left in the background is what is wanted.
        return replace(p, pid=None), (Probe(p.wid, 0, PID_FILE),)
    lived = now - p.started if p.started is not None else 0.0
    ended = Exit(at=now, code=e.code, signal=e.signal, lived=lived)
    told: tuple[Effect, ...] = (told_of_end(p, e, lived), *nothing_expected(p))
    back = comes_back(e, policy)
    lasted = lived >= policy.settle_time and not p.is_awaited
    down = altered(
        p,
        pid=None,
        started=None,
        exit=ended,
        since=now,
        reason="",
        replaced="",
        attempts=p.attempts + 1 if back and not lasted else 0,
        deaths=recent_deaths(p, now, policy) if back else (),
        **UNATTENDED,
    )
    if not back:
        return replace(down, state=State.COMPLETED if ended_well(e, policy) else State.EXITED), told
    later, effects = after_end(down, e, now, policy, never_at_once=False)
    return later, (*told, *effects)


def after_end(p: Process, e: Happening, now: float, policy: Policy, never_at_once: bool) -> Result:
    """It has ended and nobody asked for that: it is started again, at once or later, or given up where that is too often."""
    if too_often(p.deaths, policy):
        why = f"it has ended {len(p.deaths)} times within {policy.start_limit_interval:g} s"
        return give_up(replace(p, reason=why), why, now, policy)
    return back_off(p, e, now, policy, never_at_once)


def recent_deaths(p: Process, now: float, policy: Policy) -> tuple[float, ...]:
    """The last ends that may count, this one among them."""
    if policy.start_limit_burst <= 0:
        return ()
    since = now - policy.start_limit_interval
    recent = (*(at for at in p.deaths if at > since), now)
    return recent[-policy.start_limit_burst :]


def told_of_end(p: Process, e: Happening, lived: float) -> Publish:
    """The event that it has ended, `lived` seconds after its start."""
    fields = {"wid": p.wid, "pid": p.pid, "code": e.code, "signal": e.signal, "lived": round(lived, 3)}
    return Publish("process.exited", fields)
