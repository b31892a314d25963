"""The way down: signals, patience, SIGKILL, and what may still come when it is over."""

from __future__ import annotations

from dataclasses import replace

from . import backoff
from .effects import (
    ArmTimer,
    CancelTimer,
    Effect,
    KillTree,
    Publish,
    RunStopCommand,
    Signal,
)
from .expecting import nothing_expected, unattended
from .process import COMMAND, HEALTH, Exit, Happening, Kind, Policy, Process, Result, State
from .starting import after_end, launch, recent_deaths, told_of_end

KILL_PATIENCE = 10.0
"""Seconds that a process has to end after SIGKILL. The kernel needs milliseconds, or a few seconds to give back hundreds of
gigabytes; what is there after that waits for a device, a file server, a freezer or a debugger, and may do so for ever."""

LONGEST_STOP = 3600.0
"""Seconds for which a process may put off SIGKILL by saying that it needs longer."""


def late_spawn(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It came up after somebody had it stopped: it is stopped like any other."""
    up = replace(
        p, state=State.RUNNING, since=now, pid=e.pid, started=now, starts=p.starts + 1, next_try=None
    )
    return stop(up, Happening(Kind.STOP), now, policy)


def stop(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.pid is None:
        # What it has left in the background is not known: nothing can be asked to end.
        gone = replace(unattended(p), again=e.again, reason="")
        down, effects = down_at_last(gone, e, now, policy)
        return down, (*nothing_expected(p), KillTree(p.wid), *effects)
    rungs = _rungs(e, policy)
    by = now + sum(seconds for _, seconds in rungs)
    down = replace(
        unattended(p),
        state=State.STOPPING,
        since=now,
        stop_by=by,
        again=e.again,
        rungs=rungs,
        reason="",
        replaced="",
    )
    down, effects = _climb(down, now, policy)
    return down, (*nothing_expected(p), *effects)


def _rungs(e: Happening, policy: Policy) -> tuple[tuple[int, float], ...]:
    """The signals of a stop up to SIGKILL, and how long each is waited for. What is asked for in a stop itself counts first."""
    if e.signum is None and e.grace is None and policy.stop_ladder:
        rungs = policy.stop_ladder
    else:
        signum = policy.stop_signal if e.signum is None else e.signum
        rungs = ((signum, policy.graceful_timeout if e.grace is None else e.grace),)
    kill = next((at for at, (signum, _) in enumerate(rungs) if signum == backoff.SIGKILL), len(rungs))
    first = ((COMMAND, policy.stop_command_timeout),) if _by_command(e, policy) else ()
    return (*first, *rungs[:kill])


def _by_command(e: Happening, policy: Policy) -> bool:
    return policy.stop_command and e.signum is None and e.grace is None


def _climb(p: Process, now: float, policy: Policy) -> Result:
    """The next signal of the stop, or SIGKILL after the last one."""
    if not p.rungs:
        return kill(p, now)
    (signum, seconds), *rest = p.rungs
    if signum == COMMAND and p.pid is not None:
        asked = Publish("process.asked", {"wid": p.wid, "pid": p.pid})
        up = ArmTimer(p.wid, "grace", now + seconds)
        return replace(p, rungs=tuple(rest), commanded=True), (up, asked, RunStopCommand(p.wid, p.pid))
    return replace(p, rungs=tuple(rest), commanded=False), (
        ArmTimer(p.wid, "grace", now + seconds),
        Signal(p.wid, signum, policy.stop_children),
    )


def stop_more(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """Stopped while it is stopping: the later wish decides whether it comes back; a shorter time counts."""
    if e.signum == backoff.SIGKILL:
        return kill(replace(p, again=e.again), now)
    if p.commanded and (e.signum is not None or e.grace is not None):
        # It has not had a signal yet, and is to end sooner or by another one.
        rungs = _rungs(e, policy)
        by = now + sum(seconds for _, seconds in rungs)
        return _climb(replace(p, again=e.again, rungs=rungs, stop_by=by), now, policy)
    by = now + (policy.graceful_timeout if e.grace is None else e.grace)
    if p.stop_by is not None and by < p.stop_by:
        return replace(p, again=e.again, stop_by=by, rungs=()), (ArmTimer(p.wid, "grace", by),)
    return replace(p, again=e.again), ()


def start_after_stop(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return replace(p, again=True), ()


def stopped(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The process that was told to stop is gone."""
    lived = now - p.started if p.started is not None else 0.0
    ended = Exit(at=now, code=e.code, signal=e.signal, lived=lived)
    if p.amiss and p.exit is not None:
        ended = replace(p.exit, code=e.code, signal=e.signal, lived=lived)
    down = replace(p, pid=None, started=None, exit=ended)
    if policy.stop_children:
        # What is left of its children has until the end of the grace time.
        return down, (told_of_end(p, e, lived),)
    over, effects = tree_gone(down, e, now, policy)
    return over, (told_of_end(p, e, lived), *effects)


def tree_gone(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.pid is not None:
        return p, ()
    return down_at_last(p, e, now, policy)


def down_at_last(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    calm = (CancelTimer(p.wid, "grace"), CancelTimer(p.wid, "kill"))
    down = replace(
        p,
        state=State.STOPPED,
        since=now,
        attempts=0,
        refusals=0,
        deaths=(),
        stop_by=None,
        rungs=(),
        commanded=False,
        kill_by=None,
        amiss=False,
        replaced=p.replaced if p.again else "",
    )
    if p.again and p.amiss:
        later, effects = _replaced(replace(down, again=False), p, e, now, policy)
        return later, (*calm, *effects)
    if p.again:
        up, effects = launch(down, e, now, policy)
        return up, (*calm, *effects)
    return down, calm


def _replaced(down: Process, p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It was stopped as something was amiss: tried again later and later, or at once where it had been well for a while."""
    ill = p.exit is not None and p.exit.stage == HEALTH
    if ill and not policy.respawn:
        return replace(down, state=State.EXITED), ()
    lived = p.exit.lived if p.exit is not None else None
    lasted = ill and p.was_well and lived is not None and lived >= policy.settle_time
    fallen = replace(down, attempts=0 if lasted else p.attempts + 1, deaths=recent_deaths(p, now, policy))
    return after_end(fallen, e, now, policy, never_at_once=not lasted)


def grace_over(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.commanded and p.pid is not None:
        late = f"it has not ended the process within {policy.stop_command_timeout:g} s"
        return stop_failed(p, replace(e, text=late), now, policy)
    return _climb(p, now, policy)


def stop_failed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The command that was to stop it has failed, or has had its time: the signals come."""
    if not p.commanded or p.pid is None:
        return p, ()
    told = Publish("process.stop_failed", {"wid": p.wid, "pid": p.pid, "reason": e.text})
    by = now + sum(seconds for _, seconds in p.rungs)
    down, effects = _climb(replace(p, stop_by=by), now, policy)
    return down, (told, *effects)


def kill(p: Process, now: float) -> Result:
    """SIGKILL, and an end to the waiting for what not even that ends; asked for again, it is waited for no longer."""
    by = now + KILL_PATIENCE if p.kill_by is None else max(now, p.kill_by)
    return replace(p, kill_by=by, rungs=(), commanded=False), (KillTree(p.wid), ArmTimer(p.wid, "kill", by))


def kill_over(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """Not even SIGKILL has ended it: nobody waits for it any more, and its slot is free."""
    pid = e.pid if p.pid is None else p.pid
    lived = now - p.started if p.started is not None else None
    ended = Exit(at=now, text=e.text, lived=lived)
    told = Publish("process.abandoned", {"wid": p.wid, "pid": pid, "reason": e.text})
    down, effects = down_at_last(replace(p, pid=None, started=None, left=pid, exit=ended), e, now, policy)
    return down, (told, *effects)


def ended_late(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """A process that was given up has ended after all; that the runtime tells it is all that comes of it."""
    if p.left is None or p.left != e.pid:
        return p, ()
    if p.exit is not None and p.exit.text and not p.exit.stage:
        return replace(p, left=None, exit=Exit(at=now, code=e.code, signal=e.signal)), ()
    return replace(p, left=None), ()


def stay_down(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """Nothing runs: the plan to start it is given up."""
    calm: tuple[Effect, ...] = (CancelTimer(p.wid, "backoff"),) if p.next_try is not None else ()
    if e.again and p.state is State.BACKOFF:
        up, effects = launch(p, e, now, policy)
        return up, (*calm, *effects)
    down = replace(
        p, state=State.STOPPED, since=now, next_try=None, reason="", attempts=0, refusals=0, deaths=()
    )
    return down, calm


def stop_extended(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It needs so much time more to end: the signal that is waited for has longer, and what comes after it comes later."""
    if p.stop_by is None or p.kill_by is not None:
        return p, ()
    due = p.stop_by - sum(seconds for _, seconds in p.rungs)
    more = min(now + e.seconds, max(due, p.since + LONGEST_STOP)) - due
    if more <= 0:
        return p, ()
    return replace(p, stop_by=p.stop_by + more), (ArmTimer(p.wid, "grace", due + more),)


def aged(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return stop(p, replace(e, again=True), now, policy)


def unfit(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """There is a reason not to let it go on: another one takes its place."""
    told = Publish("process.replaced", {"wid": p.wid, "pid": p.pid, "reason": e.text})
    down, effects = stop(p, replace(e, again=True), now, policy)
    return replace(down, replaced=e.text), (told, *effects)


def after_spawn_forbidden(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The after_spawn hook said no: the process is killed at once."""
    return stop(p, replace(e, signum=backoff.SIGKILL, again=False), now, policy)
