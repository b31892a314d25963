"""The life of one process: states, events, and a table that says what each event means in each state.

`step` is pure: it gets a process, an event and the clock reading that comes with it, and returns the new process
and what is to be done. Every pair of state and event stands in `TABLE`; a test holds it complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from . import backoff, health
from .altered import altered
from .effects import (
    ArmTimer,
    CallHook,
    CancelTimer,
    Effect,
    Freeze,
    KillTree,
    Probe,
    Publish,
    RunStopCommand,
    Signal,
    Spawn,
    Thaw,
)


class State(StrEnum):
    """What a process (one slot of a watcher) is doing."""

    STOPPED = "stopped"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    READY = "ready"
    FROZEN = "frozen"
    STOPPING = "stopping"
    EXITED = "exited"
    BACKOFF = "backoff"
    FAILED = "failed"
    COMPLETED = "completed"


ALIVE = frozenset({State.RUNNING, State.READY, State.FROZEN, State.STOPPING})
"""A process of the OS may be there."""
UP = frozenset({State.RUNNING, State.READY, State.FROZEN})
"""A process is there, and is to stay."""
GONE = frozenset({State.STOPPED, State.EXITED, State.FAILED, State.COMPLETED})
"""Nothing is there and nothing will come by itself."""
UNDECIDED = frozenset({State.WAITING, State.STARTING})
"""A start is under way and its outcome is not known yet."""

EXIT, FAILURE = "exit", "failure"
"""What ``respawn_on`` may say."""

SHOWN = ("probe", "log", "fd")
"""What shows that a process is ready, whatever it says: a look that it passes, a line of its output, a newline at a descriptor."""
AWAITED = ("notify", *SHOWN)

SOCKET = "socket"
"""What a process waits for that the first connection starts; until then this is where it is meant to be."""

SCHEDULE = "schedule"
"""What one waits for that runs at times of the clock; until then this is where it is meant to be."""
HELD = frozenset({SOCKET, SCHEDULE})
"""What is waited for while nothing is under way."""

WAITING_REASONS = ("hook", "dependency", "budget", "socket", "schedule")


class Kind(StrEnum):
    """What can happen to a process."""

    START = "start"
    HOLD = "hold"
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"
    SPAWNED = "spawned"
    REFUSED = "refused"
    BECAME_READY = "became ready"
    PROBE_PASSED = "probe passed"
    PROBE_FAILED = "probe failed"
    PROBE_DUE = "probe due"
    UNREADY = "unready"
    SAID = "said"
    BEAT = "beat"
    BEAT_MISSED = "beat missed"
    TRIGGERED = "triggered"
    WATCHDOG_CHANGED = "watchdog changed"
    EXTENDED = "extended"
    FOLLOWED = "followed"
    LOOK_DUE = "look due"
    LOOK_PASSED = "look passed"
    LOOK_FAILED = "look failed"
    GIVEN_UP = "given up"
    START_OVER = "start over"
    EXITED = "exited"
    TREE_GONE = "tree gone"
    STOP = "stop"
    STOP_FAILED = "stop failed"
    GRACE_OVER = "grace over"
    KILL_OVER = "kill over"
    ENDED_LATE = "ended late"
    BACKOFF_OVER = "backoff over"
    AGED = "aged"
    UNFIT = "unfit"
    FREEZE = "freeze"
    THAW = "thaw"


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of one process, with what it carries."""

    kind: Kind
    pid: int | None = None
    code: int | None = None
    signal: int | None = None
    stage: str = ""
    errno: int = 0
    text: str = ""
    """Of a hold: what has to come first, one of `WAITING_REASONS`. Of one that is unfit: what follows "because". Of a freeze, and of
    its end: who wants it."""
    again: bool = False
    """Of a stop: the process is wanted again afterwards."""
    signum: int | None = None
    grace: float | None = None
    seconds: float = 0.0
    """What a process asks for: how often it is to give a sign of life, or how much longer it takes. Of a freeze: how long it lasts; 0
    until somebody thaws it."""
    chance: float = 0.5
    """A random number of 0 to 1, drawn by the caller (jitter)."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How the process ended last, or why it could not be started."""

    at: float
    code: int | None = None
    signal: int | None = None
    stage: str = ""
    errno: int = 0
    text: str = ""
    lived: float | None = None
    """Seconds between start and end."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What of a watcher's options the core decides by; seconds where it is a time."""

    numprocesses: int = 1
    singleton: bool = False
    respawn: bool = True
    respawn_on: str = EXIT
    """`EXIT`, or `FAILURE`: a process that has ended well is not started again."""
    success: frozenset[int] = frozenset({0})
    """Exit codes with which a process has ended well, and signals as negative numbers."""
    max_retry: int = 5
    graceful_timeout: float = 30.0
    stop_signal: int = 15
    stop_ladder: tuple[tuple[int, float], ...] = ()
    """Signals and how long each is waited for, in place of the one above."""
    stop_command: bool = False
    """A command is run before any signal is sent."""
    stop_command_timeout: float = 30.0
    stop_children: bool = False
    send_hup: bool = False
    warmup_delay: float = 0.0
    max_age: float = 0.0
    max_age_variance: float = 30.0
    backoff: float = 0.1
    backoff_max: float = 60.0
    settle_time: float = 1.0
    restart_delay: float = 0.0
    start_limit_burst: int = 0
    start_limit_interval: float = 60.0
    retry_in: float = 0.0
    ready: str = "auto"
    """What tells that a process is ready: ``auto``, ``started``, or one of `AWAITED`."""
    ready_interval: float = 1.0
    start_timeout: float = 60.0
    """0 for no end."""
    watchdog: float = 0.0
    """A process that has not given a sign of life for so long is replaced; 0 for no such rule."""
    watchdog_signal: int = 6
    pid_file: bool = False
    """The program goes into the background, and a file names the process that it has left there."""
    alive: health.Rules | None = None
    """Where it is looked whether a process is alive: how that is judged."""
    hooks: frozenset[str] = frozenset()
    on_demand: bool = False
    scheduled: bool = False

    @property
    def held_by(self) -> str:
        """What has to come before each run, one of `HELD`; nothing where it runs from its start on."""
        return SCHEDULE if self.scheduled else SOCKET if self.on_demand else ""

    @property
    def always(self) -> bool:
        """Whether a process is started again however it has ended."""
        return self.respawn and self.respawn_on == EXIT


@dataclass(frozen=True, slots=True)
class Process:
    """One slot of a watcher."""

    wid: int
    state: State = State.STOPPED
    since: float = 0.0
    reason: str = ""
    pid: int | None = None
    started: float | None = None
    starts: int = 0
    attempts: int = 0
    """Failures in a row: quick deaths and refused starts."""
    refusals: int = 0
    """Of these, refused starts in a row: what ``max_retry`` counts."""
    deaths: tuple[float, ...] = ()
    """When it ended by itself, as far as that counts for ``start_limit_burst``."""
    next_try: float | None = None
    stop_by: float | None = None
    again: bool = False
    """While stopping: it is started again afterwards."""
    rungs: tuple[tuple[int, float], ...] = ()
    """While stopping: the signals that are still to come before SIGKILL, and how long each is waited for."""
    commanded: bool = False
    """While stopping: a command was run for that, and has the time of its rung."""
    kill_by: float | None = None
    """While stopping: it got SIGKILL, and is given up at that moment."""
    left: int | None = None
    """Pid of a process that did not end even by SIGKILL and was given up."""
    exit: Exit | None = None
    amiss: bool = False
    """While stopping: it is, because it was not ready in time, or is not well."""
    awaits: str = ""
    """While running: what has yet to tell that it is ready, one of `AWAITED`; nothing where that counts from the start. Before that
    `PID_FILE`, where a file has to name the process."""
    ready_by: float | None = None
    """While it is awaited: when it is given up."""
    probes: int = 0
    replaced: str = ""
    """Why it is being replaced by circusd itself, or why the one before it was: what follows "because"."""
    said: str = ""
    """The last that it said of itself, or that was found when it was looked whether it is ready."""
    watchdog: float = 0.0
    """How often it has to give a sign of life; 0 for never."""
    beat_by: float | None = None
    """While it has to: when the next sign of life has to have come."""
    was_well: bool = False
    """It has given a sign of life, or has passed a look."""
    health: health.Health | None = None
    """While it runs, and it is looked whether it is alive."""
    frozen_by: str = ""
    """While frozen: who wanted it."""
    thaw_at: float | None = None
    """While frozen: when it goes on by itself."""
    was_ready: bool = False
    """While frozen: what it goes back to."""
    has_said: bool = False
    """While its pid file is waited for: it has said that it is ready."""
    overdue: bool = False
    """While frozen: it has reached ``max_age``."""

    @property
    def serves(self) -> bool:
        """It runs, and nothing is missing for it to be counted on."""
        return self.state is State.READY or (self.state is State.RUNNING and not self.awaits)

    @property
    def is_awaited(self) -> bool:
        """It runs, and is not ready yet for the first time."""
        return self.state is State.RUNNING and bool(self.awaits) and not self.reason

    @property
    def is_ill(self) -> bool:
        """It runs, and was found unhealthy."""
        return (
            self.state is not State.FROZEN
            and self.health is not None
            and self.health.state == health.UNHEALTHY
        )

    @property
    def is_well(self) -> bool:
        """It can be counted on, and looks have found it healthy."""
        return self.serves and self.health is not None and self.health.state == health.HEALTHY

    @property
    def is_coming(self) -> bool:
        """It is not there to be counted on, but is on its way, or is yet to show that it is better than the one before it."""
        if self.state in (State.RUNNING, State.READY):
            ill_before = self.exit is not None and self.exit.stage == HEALTH
            unknown = self.health is not None and self.health.state == health.STARTING
            return self.is_awaited or (ill_before and unknown)
        return self.state is not State.FROZEN and self.state not in GONE and not is_held(self)

    @property
    def is_final(self) -> bool:
        """Nothing of it runs, and nothing will by itself."""
        return self.state in GONE and self.next_try is None


def is_held(process: Process) -> bool:
    """Whether it waits for a connection or for its time: nothing is under way."""
    return process.state is State.WAITING and process.reason in HELD


def is_undecided(process: Process) -> bool:
    """Whether a start of it is under way."""
    return process.state in UNDECIDED and not is_held(process)


Result = tuple[Process, tuple[Effect, ...]]
Cell = Callable[[Process, Happening, float, Policy], Result]

SIGHUP = 1
COMMAND = 0
"""Stands for the command among the signals of a stop."""

KILL_PATIENCE = 10.0
"""Seconds that a process has to end after SIGKILL. The kernel needs milliseconds, or a few seconds to give back hundreds of
gigabytes; what is there after that waits for a device, a file server, a freezer or a debugger, and may do so for ever."""

LONGEST_STOP = 3600.0
"""Seconds for which a process may put off SIGKILL by saying that it needs longer."""

STOPPING_ITSELF = "stopping"
"""Why a process is not to be counted on that says that it ends by itself: nobody wonders then that it answers no more."""

PID_FILE = "pid_file"
"""What a process awaits that goes into the background."""
_LOOKED_FOR = ("probe", PID_FILE)
"""What has to be looked for again and again."""

READY, HEALTH = "ready", "health"
"""Stages at which a process is stopped that runs: it was not ready in time, or is not well."""

SOONEST_PROBE = 0.1
"""Seconds after the start that it is first looked whether a process is ready; each next time twice as long, up to
``ready_interval``."""

FIRST_LOOK = 1.0
"""Seconds after it is ready that it is first looked whether a process is alive, or sooner: somebody may wait for that."""


def step(process: Process, event: Happening, now: float, policy: Policy) -> Result:
    """The process after the event, and what is to be done."""
    return TABLE[process.state, event.kind](process, event, now, policy)


# -- cells ------------------------------------------------------------------------------------------------------


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
    awaits = PID_FILE if policy.pid_file else _awaits(policy)
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
    if awaits in _LOOKED_FOR:
        effects.append(_next_probe(up, now, policy))
    if awaits:
        return up, tuple(effects)
    up, more = _look_after(up, now, policy)
    return up, (*effects, *more)


def _awaits(policy: Policy) -> str:
    return policy.ready if policy.ready in AWAITED else ""


def _next_probe(p: Process, now: float, policy: Policy) -> ArmTimer:
    wait = min(policy.ready_interval, SOONEST_PROBE * 2.0 ** min(p.probes, 30))
    return ArmTimer(p.wid, "probe", now + max(wait, SOONEST_PROBE))


def _look_after(p: Process, now: float, policy: Policy) -> Result:
    """It can be counted on: from now on it is noticed when it can't be any more."""
    up, effects = _watch(p, now) if p.beat_by is None else (p, ())
    if policy.alive is None or p.health is not None:
        return up, effects
    return replace(up, health=health.begun(now, policy.alive)), (
        *effects,
        _next_look(p, now, policy.alive, FIRST_LOOK),
    )


def _next_look(p: Process, now: float, rules: health.Rules, longest: float = math.inf) -> ArmTimer:
    return ArmTimer(p.wid, "alive", now + max(min(rules.interval, longest), SOONEST_PROBE))


def _watch(p: Process, now: float) -> Result:
    """From now on signs of life are expected."""
    if p.watchdog <= 0:
        if p.beat_by is None:
            return p, ()
        return replace(p, beat_by=None), (CancelTimer(p.wid, "watchdog"),)
    by = now + p.watchdog
    return replace(p, beat_by=by), (ArmTimer(p.wid, "watchdog", by),)


def _nothing_expected(p: Process) -> tuple[Effect, ...]:
    """It ends, or is to: no timer of its life counts any more."""
    calm: tuple[Effect, ...] = (CancelTimer(p.wid, "age"), *_no_more_waiting(p))
    if p.beat_by is not None:
        calm = (*calm, CancelTimer(p.wid, "watchdog"))
    return (*calm, CancelTimer(p.wid, "alive")) if p.health is not None else calm


_UNATTENDED: Final = {"awaits": "", "ready_by": None, "beat_by": None, "health": None}
"""The same in the fields of a process."""


def _unattended(p: Process) -> Process:
    """Nothing is expected of it any more."""
    return altered(p, **_UNATTENDED)


def _no_more_waiting(p: Process) -> tuple[Effect, ...]:
    """What was to tell of its readiness counts no more."""
    start = (CancelTimer(p.wid, "start"),) if p.ready_by is not None else ()
    return (*start, CancelTimer(p.wid, "probe")) if p.awaits in _LOOKED_FOR else start


def late_spawn(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It came up after somebody had it stopped: it is stopped like any other."""
    up = replace(
        p, state=State.RUNNING, since=now, pid=e.pid, started=now, starts=p.starts + 1, next_try=None
    )
    return stop(up, Happening(Kind.STOP), now, policy)


def refused(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The program could not be started: tried again, later and later, ``max_retry`` times."""
    attempts, refusals = p.attempts + 1, p.refusals + 1
    ended = Exit(at=now, stage=e.stage, errno=e.errno, text=e.text)
    told = Publish("process.refused", {"wid": p.wid, "stage": e.stage, "errno": e.errno, "reason": e.text})
    down = replace(p, attempts=attempts, refusals=refusals, exit=ended, pid=None, since=now)
    if backoff.gives_up(refusals, policy.max_retry):
        lost, effects = _give_up(down, e.text, now, policy)
        return lost, (told, *effects)
    later, effects = _back_off(down, e, now, policy, never_at_once=True)
    return later, (told, *effects)


def _back_off(p: Process, e: Happening, now: float, policy: Policy, never_at_once: bool) -> Result:
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


def _give_up(p: Process, why: str, now: float, policy: Policy) -> Result:
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
    return 0 < policy.start_limit_burst <= len(deaths)


def exited(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It ended by itself: back at once if it had lived, later if it died young, never if nobody wants it."""
    if p.awaits == PID_FILE and e.code == 0:
        # As it should: what it has left in the background is what is wanted.
        return replace(p, pid=None), (Probe(p.wid, 0, PID_FILE),)
    lived = now - p.started if p.started is not None else 0.0
    ended = Exit(at=now, code=e.code, signal=e.signal, lived=lived)
    told: tuple[Effect, ...] = (_reaped(p, e, lived), *_nothing_expected(p))
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
        deaths=_deaths(p, now, policy) if back else (),
        **_UNATTENDED,
    )
    if not back:
        return replace(down, state=State.COMPLETED if ended_well(e, policy) else State.EXITED), told
    later, effects = _fallen(down, e, now, policy, never_at_once=False)
    return later, (*told, *effects)


def _fallen(p: Process, e: Happening, now: float, policy: Policy, never_at_once: bool) -> Result:
    """It has ended and nobody asked for that: it is started again, at once or later, or given up where that is too often."""
    if too_often(p.deaths, policy):
        why = f"it has ended {len(p.deaths)} times within {policy.start_limit_interval:g} s"
        return _give_up(replace(p, reason=why), why, now, policy)
    return _back_off(p, e, now, policy, never_at_once)


def _deaths(p: Process, now: float, policy: Policy) -> tuple[float, ...]:
    """The last ends that may count, this one among them."""
    if policy.start_limit_burst <= 0:
        return ()
    since = now - policy.start_limit_interval
    recent = (*(at for at in p.deaths if at > since), now)
    return recent[-policy.start_limit_burst :]


def _reaped(p: Process, e: Happening, lived: float) -> Publish:
    fields = {"wid": p.wid, "pid": p.pid, "code": e.code, "signal": e.signal, "lived": round(lived, 3)}
    return Publish("process.exited", fields)


def stop(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.pid is None:
        # What it has left in the background is not known: nothing can be asked to end.
        gone = replace(_unattended(p), again=e.again, reason="")
        down, effects = down_at_last(gone, e, now, policy)
        return down, (*_nothing_expected(p), KillTree(p.wid), *effects)
    rungs = _rungs(e, policy)
    by = now + sum(seconds for _, seconds in rungs)
    down = replace(
        _unattended(p),
        state=State.STOPPING,
        since=now,
        stop_by=by,
        again=e.again,
        rungs=rungs,
        reason="",
        replaced="",
    )
    down, effects = _climb(down, now, policy)
    return down, (*_nothing_expected(p), *effects)


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
        return down, (_reaped(p, e, lived),)
    over, effects = tree_gone(down, e, now, policy)
    return over, (_reaped(p, e, lived), *effects)


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
    fallen = replace(down, attempts=0 if lasted else p.attempts + 1, deaths=_deaths(p, now, policy))
    return _fallen(fallen, e, now, policy, never_at_once=not lasted)


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
    up, effects = _look_after(up, now, policy)
    return up, (*_no_more_waiting(p), told, *effects)


def probe_due(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.awaits not in _LOOKED_FOR:
        return p, ()
    what = PID_FILE if p.awaits == PID_FILE else "ready"
    return replace(p, probes=p.probes + 1), (Probe(p.wid, p.pid or 0, what),)


def probe_failed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    if p.awaits not in (*SHOWN, PID_FILE):
        return p, ()
    # Of a sign that can't come any more nothing but why is left to be told.
    return replace(p, said=e.text), (_next_probe(p, now, policy),) if p.awaits in _LOOKED_FOR else ()


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
    return replace(p, health=after, was_well=True), (*told, _next_look(p, now, policy.alive))


def look_failed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """One more failure; the planner decides when one that is unhealthy is replaced, as it knows of the others."""
    if p.health is None or policy.alive is None:
        return p, ()
    again = _next_look(p, now, policy.alive)
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
    return (changed, ()) if p.is_awaited else _watch(changed, now)


def extended(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It needs so much time more from now on: to become ready, or to its next sign of life. It never gets less than it had."""
    by = now + e.seconds
    if p.ready_by is not None and by > p.ready_by:
        return replace(p, ready_by=by), (ArmTimer(p.wid, "start", by),)
    if p.beat_by is not None:
        return replace(p, beat_by=max(p.beat_by, by)), ()
    return p, ()


def stop_extended(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It needs so much time more to end: the signal that is waited for has longer, and what comes after it comes later."""
    if p.stop_by is None or p.kill_by is not None:
        return p, ()
    due = p.stop_by - sum(seconds for _, seconds in p.rungs)
    more = min(now + e.seconds, max(due, p.since + LONGEST_STOP)) - due
    if more <= 0:
        return p, ()
    return replace(p, stop_by=p.stop_by + more), (ArmTimer(p.wid, "grace", due + more),)


def followed(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It has ended, and another one that it had started and named has the work: that is the process of the slot now."""
    told = Publish("process.followed", {"wid": p.wid, "pid": e.pid, "before": p.pid})
    if p.awaits != PID_FILE:
        return replace(p, pid=e.pid), (told,)
    effects = (told, *_no_more_waiting(p))
    up = replace(p, pid=e.pid, awaits=_awaits(policy), probes=0, said="")
    if up.awaits == "notify" and p.has_said:
        then, more = _ready(up, now, policy)
        return then, (*effects, *more)
    if not up.awaits:
        up, more = _look_after(replace(up, ready_by=None), now, policy)
        return up, (*effects, *more)
    if up.ready_by is not None:
        effects = (*effects, ArmTimer(p.wid, "start", up.ready_by))
    return up, (*effects, _next_probe(up, now, policy)) if up.awaits == "probe" else effects


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


def aged(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    return stop(p, replace(e, again=True), now, policy)


def unfit(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """There is a reason not to let it go on: another one takes its place."""
    told = Publish("process.replaced", {"wid": p.wid, "pid": p.pid, "reason": e.text})
    down, effects = stop(p, replace(e, again=True), now, policy)
    return replace(down, replaced=e.text), (told, *effects)


def freeze(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """It stands still with all below it, and nothing is judged meanwhile: its age, whether it is ready, whether it is well."""
    still = replace(
        p, state=State.FROZEN, since=now, frozen_by=e.text, was_ready=p.state is State.READY, overdue=False
    )
    told = {"wid": p.wid, "pid": p.pid, "by": e.text, "seconds": e.seconds or None}
    still, limit = _limit_freeze(still, e, now)
    return still, (*_no_more_judging(p), Freeze(p.wid), Publish("process.frozen", told), *limit)


def _no_more_judging(p: Process) -> tuple[Effect, ...]:
    watched = (CancelTimer(p.wid, "watchdog"),) if p.beat_by is not None else ()
    looked = (CancelTimer(p.wid, "alive"),) if p.health is not None else ()
    return (*_no_more_waiting(p), *watched, *looked)


def _judged_again(p: Process, now: float, policy: Policy) -> Result:
    """What is expected of it is so again, from where it was left."""
    effects: list[Effect] = []
    if p.is_awaited and p.ready_by is not None:
        effects.append(ArmTimer(p.wid, "start", p.ready_by))
    if p.is_awaited and p.awaits in _LOOKED_FOR:
        effects.append(_next_probe(p, now, policy))
    if p.beat_by is not None:
        effects.append(ArmTimer(p.wid, "watchdog", p.beat_by))
    if p.health is not None and policy.alive is not None:
        effects.append(_next_look(p, now, policy.alive))
    if p.is_awaited:
        return p, tuple(effects)
    p, more = _look_after(p, now, policy)
    return p, (*effects, *more)


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
    then, more = aged(up, e, now, policy) if p.overdue else _judged_again(up, now, policy)
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


def after_spawn_forbidden(p: Process, e: Happening, now: float, policy: Policy) -> Result:
    """The after_spawn hook said no: the process is killed at once."""
    return stop(p, replace(e, signum=backoff.SIGKILL, again=False), now, policy)


_S, _K = State, Kind
_DOWN: dict[Kind, Cell] = {
    _K.START: start_anew,
    _K.HOLD: hold,
    _K.ALLOWED: ignore,
    _K.FORBIDDEN: ignore,
    _K.SPAWNED: late_spawn,
    _K.REFUSED: ignore,
    _K.BECAME_READY: ignore,
    _K.PROBE_PASSED: ignore,
    _K.PROBE_FAILED: ignore,
    _K.PROBE_DUE: ignore,
    _K.UNREADY: ignore,
    _K.SAID: ignore,
    _K.BEAT: ignore,
    _K.BEAT_MISSED: ignore,
    _K.TRIGGERED: ignore,
    _K.WATCHDOG_CHANGED: ignore,
    _K.EXTENDED: ignore,
    _K.FOLLOWED: ignore,
    _K.LOOK_DUE: ignore,
    _K.LOOK_PASSED: ignore,
    _K.LOOK_FAILED: ignore,
    _K.GIVEN_UP: ignore,
    _K.START_OVER: ignore,
    _K.EXITED: ignore,
    _K.TREE_GONE: ignore,
    _K.STOP: ignore,
    _K.STOP_FAILED: ignore,
    _K.GRACE_OVER: ignore,
    _K.KILL_OVER: ignore,
    _K.ENDED_LATE: ended_late,
    _K.BACKOFF_OVER: ignore,
    _K.AGED: ignore,
    _K.UNFIT: ignore,
    _K.FREEZE: ignore,
    _K.THAW: ignore,
}
_UP: dict[Kind, Cell] = {
    _K.START: ignore,
    _K.HOLD: ignore,
    _K.ALLOWED: ignore,
    _K.FORBIDDEN: after_spawn_forbidden,
    _K.SPAWNED: ignore,
    _K.REFUSED: ignore,
    _K.BECAME_READY: became_ready,
    _K.PROBE_PASSED: probe_passed,
    _K.PROBE_FAILED: probe_failed,
    _K.PROBE_DUE: probe_due,
    _K.UNREADY: unready,
    _K.SAID: said,
    _K.BEAT: beat,
    _K.BEAT_MISSED: beat_missed,
    _K.TRIGGERED: triggered,
    _K.WATCHDOG_CHANGED: watchdog_changed,
    _K.EXTENDED: extended,
    _K.FOLLOWED: followed,
    _K.LOOK_DUE: look_due,
    _K.LOOK_PASSED: look_passed,
    _K.LOOK_FAILED: look_failed,
    _K.GIVEN_UP: given_up,
    _K.START_OVER: start_over,
    _K.EXITED: exited,
    _K.TREE_GONE: ignore,
    _K.STOP: stop,
    _K.STOP_FAILED: ignore,
    _K.GRACE_OVER: ignore,
    _K.KILL_OVER: ignore,
    _K.ENDED_LATE: ended_late,
    _K.BACKOFF_OVER: ignore,
    _K.AGED: aged,
    _K.UNFIT: unfit,
    _K.FREEZE: freeze,
    _K.THAW: ignore,
}
_ROWS: dict[State, dict[Kind, Cell]] = {
    _S.STOPPED: _DOWN,
    _S.EXITED: {**_DOWN, _K.STOP: stay_down},
    _S.COMPLETED: {**_DOWN, _K.STOP: stay_down},
    _S.FAILED: {**_DOWN, _K.BACKOFF_OVER: tried_again, _K.STOP: stay_down},
    _S.BACKOFF: {**_DOWN, _K.HOLD: ignore, _K.BACKOFF_OVER: launch, _K.STOP: stay_down},
    _S.WAITING: {
        **_DOWN,
        _K.START: release,
        _K.HOLD: ignore,
        _K.ALLOWED: allowed,
        _K.FORBIDDEN: forbidden,
        _K.STOP: stay_down,
    },
    _S.STARTING: {
        **_DOWN,
        _K.START: ignore,
        _K.HOLD: ignore,
        _K.SPAWNED: spawned,
        _K.REFUSED: refused,
        _K.STOP: stay_down,
    },
    _S.RUNNING: _UP,
    _S.READY: {**_UP, _K.BECAME_READY: ignore},
    _S.FROZEN: {
        **_UP,
        _K.FORBIDDEN: forbidden_frozen,
        _K.BECAME_READY: ready_frozen,
        _K.PROBE_PASSED: sign_frozen,
        _K.PROBE_FAILED: sign_lost_frozen,
        _K.PROBE_DUE: ignore,
        _K.UNREADY: ignore,
        _K.BEAT_MISSED: ignore,
        _K.TRIGGERED: ignore,
        _K.WATCHDOG_CHANGED: watchdog_changed_frozen,
        _K.EXTENDED: ignore,
        _K.LOOK_DUE: ignore,
        _K.LOOK_PASSED: ignore,
        _K.LOOK_FAILED: ignore,
        _K.GIVEN_UP: ignore,
        _K.START_OVER: ignore,
        _K.EXITED: ended_frozen,
        _K.STOP: stop_frozen,
        _K.AGED: overdue,
        _K.UNFIT: ignore,
        _K.FREEZE: freeze_more,
        _K.THAW: thaw,
    },
    _S.STOPPING: {
        _K.START: start_after_stop,
        _K.HOLD: ignore,
        _K.ALLOWED: ignore,
        _K.FORBIDDEN: ignore,
        _K.SPAWNED: ignore,
        _K.REFUSED: ignore,
        _K.BECAME_READY: ignore,
        _K.PROBE_PASSED: ignore,
        _K.PROBE_FAILED: ignore,
        _K.PROBE_DUE: ignore,
        _K.UNREADY: ignore,
        _K.SAID: said,
        _K.BEAT: ignore,
        _K.BEAT_MISSED: ignore,
        _K.TRIGGERED: ignore,
        _K.WATCHDOG_CHANGED: ignore,
        _K.EXTENDED: stop_extended,
        _K.FOLLOWED: followed,
        _K.LOOK_DUE: ignore,
        _K.LOOK_PASSED: ignore,
        _K.LOOK_FAILED: ignore,
        _K.GIVEN_UP: ignore,
        _K.START_OVER: ignore,
        _K.EXITED: stopped,
        _K.TREE_GONE: tree_gone,
        _K.STOP: stop_more,
        _K.STOP_FAILED: stop_failed,
        _K.GRACE_OVER: grace_over,
        _K.KILL_OVER: kill_over,
        _K.ENDED_LATE: ended_late,
        _K.BACKOFF_OVER: ignore,
        _K.AGED: ignore,
        _K.UNFIT: ignore,
        _K.FREEZE: ignore,
        _K.THAW: ignore,
    },
}

TABLE: dict[tuple[State, Kind], Cell] = {
    (state, kind): cell for state, row in _ROWS.items() for kind, cell in row.items()
}
