"""What has to be noted when a process fails, before it is forgotten: references and numbers, so that it costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from circusd.config.model import WatcherConfig
from circusd.core.process import Exit, Happening, Process, State
from circusd.kernel.pidfd import Ended

from . import clock

if TYPE_CHECKING:
    from resource import struct_rusage

    from .watcher import Watcher

SIGNALS_KEPT: Final = 8
"""Of those that one process was sent."""


class Sent(NamedTuple):
    """A signal that circusd has sent to a process."""

    signum: int
    at: float
    """Monotonic."""
    by: str
    """The person whose command it was; nothing where it was a part of a stop."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A process that has ended in a way that its policy calls a failure, or that could not be started."""

    wid: int
    pid: int | None
    started: float | None
    """Monotonic, as the end."""
    ended: float
    event: Happening
    config: WatcherConfig
    """That of the watcher then: a reload that it made fail takes its changes back."""
    core: bool = False
    usage: struct_rusage | None = None
    amiss: Exit | None = None
    """Why it was stopped, where it was not ready in time, or was not well."""
    sent: tuple[Sent, ...] = ()
    stop: str = ""
    """The command by which it was being stopped, or ``max_age``."""
    order: int = 0
    """The id of that command."""
    next: str = ""
    """What happens with its slot now."""
    next_try: float | None = None
    after: Mapping[str, int] = field(default_factory=dict)
    """By stream, the number of the line after its last one."""


def failure_of(
    watcher: Watcher, process: Process, event: Happening, ended: Ended, sent: tuple[Sent, ...], *, aged: bool
) -> Failure:
    """The failure of a process as it was before the event; ``aged`` says that it was replaced for its age."""
    job = watcher.planner.job
    stop, order = "", 0
    if process.state is State.STOPPING and not process.amiss:
        if aged:
            stop = "max_age"
        elif job is not None:
            stop, order = job.command or job.kind, job.order
    return Failure(
        process.wid,
        process.pid,
        process.started,
        clock.now(),
        event,
        watcher.config,
        ended.status.core,
        ended.usage,
        process.exit if process.amiss else None,
        sent,
        stop,
        order,
        after=watcher.output.lines_after(process.wid),
    )
