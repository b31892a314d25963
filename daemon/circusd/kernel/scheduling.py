"""What the scheduler is told of a process: its nice value, its processors, the priority of its reads and writes.

A child inherits all of them from the thread that starts it, so they are taken on for the moment of its start: it has them from
its first instruction on, and no helper runs before it.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from circusd.kernel import users
from circusd.kernel.diagnosis import in_words
from circusd.schema.errors import SpawnError

CAP_SYS_NICE: Final = 23


class Scheduling(NamedTuple):
    """None is "as this process", everywhere."""

    nice: int | None = None
    """-20 to 19, the higher the less it gets."""
    cpus: frozenset[int] | None = None
    """The numbers of the processors that it may run on."""
    io: tuple[int, int] | None = None
    """Class (1 real-time, 2 best effort, 3 idle) and level (0 to 7, the lower the sooner), as ``ioprio_set(2)`` has them."""


AS_HERE: Final = Scheduling()


@contextmanager
def taken_on(wanted: Scheduling, program: str) -> Iterator[None]:
    """What this thread starts meanwhile has it; afterwards the thread is as before. Raises SpawnError (scheduling).

    Not the nice value where this process could not take it back: see `give_nice`.
    """
    with ExitStack() as stack:
        if wanted.cpus is not None and wanted.cpus != (before := os.sched_getaffinity(0)):
            _try(lambda: os.sched_setaffinity(0, wanted.cpus or ()), program, _processors(wanted.cpus))
            stack.callback(os.sched_setaffinity, 0, before)
        if wanted.io is not None:
            _take_io(wanted.io, program, stack)
        nice, ours = wanted.nice, _nice()
        if nice is not None and (nice < ours or (nice > ours and _may_have(ours))):
            _try(lambda: os.setpriority(os.PRIO_PROCESS, 0, nice), program, f"a nice value of {nice}")
            stack.callback(os.setpriority, os.PRIO_PROCESS, 0, ours)
        yield


def give_nice(pid: int, wanted: Scheduling) -> None:
    """A child that has just been started gets the higher nice value that this process could not have taken back."""
    if wanted.nice is not None and wanted.nice > (ours := _nice()) and not _may_have(ours):
        try:
            os.setpriority(os.PRIO_PGRP, pid, wanted.nice)
        except ProcessLookupError:
            return  # it has ended already, and nobody has reaped it


def _nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _may_have(value: int) -> bool:
    """Whether this process could go to that nice value from a higher one."""
    ceiling, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return users.has_capability(CAP_SYS_NICE) or ceiling == resource.RLIM_INFINITY or ceiling >= 20 - value


def _take_io(wanted: tuple[int, int], program: str, stack: ExitStack) -> None:
    from circusd.kernel import ioprio

    before = ioprio.io_priority()
    what = f"the I/O priority {('', 'realtime', 'best-effort', 'idle')[wanted[0]]} {wanted[1]}"
    _try(lambda: ioprio.set_io_priority(*wanted), program, what)
    stack.callback(ioprio.set_io_priority, *before)


def _processors(cpus: frozenset[int]) -> str:
    return f"the processor{'s' if len(cpus) != 1 else ''} {', '.join(map(str, sorted(cpus)))}"


def _try(change: Callable[[], object], program: str, what: str) -> None:
    try:
        change()
    except OSError as error:
        number = error.errno or errno.EIO
        why = in_words(number)
        if number == errno.EINVAL:
            why = f"there are only {', '.join(map(str, sorted(os.sched_getaffinity(0))))} here"
        elif number in (errno.EPERM, errno.EACCES):
            why = "only a privileged daemon may"
        raise SpawnError("scheduling", number, program, f"could not give {program} {what}: {why}") from error
