"""Processes by descriptor: a pid can be given to another process, a pidfd can't."""

from __future__ import annotations

import os
import resource
import select
import signal
from collections.abc import Container, Iterator
from typing import Final, NamedTuple

PR_SET_CHILD_SUBREAPER: Final = 36


class ExitStatus(NamedTuple):
    """How a process ended: by exit with `code`, or by `signal`; both None where nobody could tell us."""

    code: int | None
    signal: int | None
    core: bool


UNKNOWN: Final = ExitStatus(None, None, core=False)


class Ended(NamedTuple):
    """How a process ended, and what it and the children that it has waited for have used; None where that is not known."""

    status: ExitStatus
    usage: resource.struct_rusage | None


class Orphan(NamedTuple):
    """A process that was not ours, became our child when its parent died, and has ended."""

    pid: int
    status: ExitStatus


def open_pidfd(pid: int) -> int:
    """A descriptor, closed on exec, that stands for that process until it is closed; readable once it has ended.

    Raises ProcessLookupError if there is no such process, OSError (EMFILE) if there is no descriptor left.
    """
    return os.pidfd_open(pid)


def send(pidfd: int, signum: int, *, wake: bool = False) -> bool:
    """The process has been sent the signal; False if it has ended and been reaped.

    With `wake` a SIGCONT follows, because a stopped process acts on no signal but SIGKILL before it is continued.
    """
    try:
        signal.pidfd_send_signal(pidfd, signum)
        if wake and signum not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGCONT):
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except ProcessLookupError:
        return False
    return True


def reap(pidfd: int) -> ExitStatus | None:
    """The exit status of a process that has ended, which is then no zombie any more; None while it lives.

    Of a process that is not our child (adopted, or reaped by somebody else) only the end can be known: `UNKNOWN`.
    """
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return UNKNOWN if poll.poll(0) else None
    return None if result is None else _status(result)


def reap_counted(pidfd: int) -> Ended | None:
    """As `reap`, with what the process has used."""
    try:
        seen = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        status = reap(pidfd)
        return None if status is None else Ended(status, None)
    if seen is None:
        return None
    # Only the older call tells the usage, and it knows no pidfd; until then the zombie keeps its pid from others.
    pid, _, usage = os.wait4(seen.si_pid, os.WNOHANG)
    return Ended(_status(seen), usage) if pid else None


def was_continued(pidfd: int) -> bool:
    """Whether our stopped child was made to go on since this was asked last, and was not stopped again; False of one that is not ours."""
    try:
        return os.waitid(os.P_PIDFD, pidfd, os.WCONTINUED | os.WNOHANG) is not None
    except ChildProcessError:
        return False


def reap_orphans(known: Container[int], limit: int = 256) -> list[Orphan]:
    """Up to `limit` ended children that are not in `known` are reaped; those in it are left to their pidfds.

    To be called after a SIGCHLD. Each child that anything in this process has started has to be in `known`.
    """
    found: list[Orphan] = []
    while len(found) < limit:
        try:
            result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return found
        if result is None:
            return found
        if result.si_pid in known:
            # Without being reaped it would be shown again and again, and hide the orphans behind it.
            return found + _orphans_among_children(known, limit - len(found))
        found += _reap_pid(result.si_pid)
    return found


def is_init() -> bool:
    """Whether this is PID 1 of its namespace: every orphan there becomes its child, and no signal has a default."""
    return os.getpid() == 1


def become_subreaper() -> bool:
    """Orphans of our children become our children instead of init's; False if the system refuses.

    It outlives an exec; children don't inherit it.
    """
    if is_init():
        return True
    # Not needed by those who import this module for a pidfd alone.
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    arguments = [ctypes.c_ulong(value) for value in (1, 0, 0, 0)]
    return int(prctl(PR_SET_CHILD_SUBREAPER, *arguments)) == 0


def children() -> Iterator[int]:
    """The pids of this process's children, zombies among them, as the system lists them."""
    try:
        for task in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{task}/children", "rb") as file:
                yield from map(int, file.read().split())
    except FileNotFoundError:
        # A kernel without these lists, or a thread that ended meanwhile: the whole table, which is slower.
        import circusd.kernel.proc as proc

        ours = os.getpid()
        yield from (pid for pid, row in proc.sweep().items() if row.ppid == ours)


def _orphans_among_children(known: Container[int], limit: int) -> list[Orphan]:
    found: list[Orphan] = []
    for pid in list(children()):
        if pid not in known:
            found += _reap_pid(pid)
            if len(found) >= limit:
                break
    return found


def _reap_pid(pid: int) -> list[Orphan]:
    try:
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return []
    return [] if result is None else [Orphan(pid, _status(result))]


def _status(result: os.waitid_result) -> ExitStatus:
    if result.si_code == os.CLD_EXITED:
        return ExitStatus(result.si_status, None, core=False)
    return ExitStatus(None, result.si_status, core=result.si_code == os.CLD_DUMPED)
