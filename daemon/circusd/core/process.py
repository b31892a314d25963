"""What a process is: its states, what can happen to it, by which policy it is judged, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from . import health
from .effects import (
    Effect,
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

STOPPING_ITSELF = "stopping"
"""Why a process is not to be counted on that says that it ends by itself: nobody wonders then that it answers no more."""

PID_FILE = "pid_file"
"""What a process awaits that goes into the background."""

READY, HEALTH = "ready", "health"
"""Stages at which a process is stopped that runs: it was not ready in time, or is not well."""
