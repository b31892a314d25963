"""What the core asks to be done: plain data, carried out by the runtime, compared in tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the program of slot ``wid``; answered by `Spawned` or `SpawnRefused`."""

    wid: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Send ``signum`` to the process of slot ``wid``, and to its children where ``children`` says so."""

    wid: int
    signum: int
    children: bool = False


@dataclass(frozen=True, slots=True)
class RunStopCommand:
    """Run the command that stops the process of slot ``wid``; answered by ``STOP_FAILED`` when it fails."""

    wid: int
    pid: int


@dataclass(frozen=True, slots=True)
class KillTree:
    """SIGKILL to the process of slot ``wid`` and to all below it, until none is left."""

    wid: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """The process of slot ``wid`` and all below it stand still."""

    wid: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """What `Freeze` has made stand still goes on."""

    wid: int


@dataclass(frozen=True, slots=True)
class ArmTimer:
    """Send `TimerFired` of that kind at ``at`` (monotonic seconds); a second one of the same key replaces the first."""

    wid: int | None
    kind: str
    at: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer of that key, if there is one."""

    wid: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class CallHook:
    """Call the user's hook; answered by `HookReturned`."""

    hook: str
    wid: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Look whether the process of slot ``wid`` is ready or alive; answered by what `circusd.core.lifecycle` calls a probe, or a look, that
    has passed or failed."""

    wid: int
    pid: int
    what: str = "ready"
    """``ready``, ``alive``, or ``pid_file``: whether the file names its process. ``pid`` is 0 where the one before it has ended."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell the world: a row of the event table with its fields (times and texts are added by the publisher)."""

    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The command under way has come to its end; ``error`` is empty when it did what it should."""

    job: int
    error: str = ""
    started: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()
    stopped: tuple[int, ...] = ()
    abandoned: tuple[int, ...] = ()
    """Pids of processes that not even SIGKILL has ended, and that nobody waits for any more."""
    undone: bool = False
    """Of a reload: none of its new processes has taken the place of an old one."""


@dataclass(frozen=True, slots=True)
class Vacate:
    """Slot ``wid`` is no more: what the runtime holds for it (timers, pipes) can go."""

    wid: int


Effect = (
    Spawn
    | Signal
    | RunStopCommand
    | KillTree
    | Freeze
    | Thaw
    | ArmTimer
    | CancelTimer
    | CallHook
    | Probe
    | Publish
    | JobEnded
    | Vacate
)
