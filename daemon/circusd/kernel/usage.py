"""What processes cost, as psutil tells it.

Apart from the process table, as psutil is loaded only when somebody asks: an idle daemon does without it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from typing import Any

import psutil

from circusd.kernel.proc import UNREADABLE, Row, Table, age, children, sweep
from circusd.kernel.users import user_name


def io_priority() -> tuple[int, int]:
    """Class and level of this process's main thread, as ``ioprio_get(2)`` has them; class 0 where none was given."""
    found = psutil.Process().ionice()
    return int(found.ioclass), int(found.value)


def set_io_priority(kind: int, level: int) -> None:
    """The main thread has that class and level, and what it starts from now on too. Raises OSError."""
    has_levels = kind in (psutil.IOPRIO_CLASS_RT, psutil.IOPRIO_CLASS_BE)
    try:
        psutil.Process().ionice(kind, level if has_levels else None)
    except psutil.AccessDenied:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM)) from None


class Sampler:
    """Processor and memory use, measured against this object's own last look: one object for each who looks."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._names: dict[int, str] = {}
        self._memory_total = psutil.virtual_memory().total

    def forget(self, pid: int) -> None:
        """Nothing is remembered of that pid; to be called when it has been reaped."""
        self._known.pop(pid, None)

    def sample(self, pids: Iterable[int]) -> dict[int, tuple[float, int]]:
        """For each process that still runs: per cent of one processor since the last call (first 0), RSS in bytes."""
        found: dict[int, tuple[float, int]] = {}
        for pid in pids:
            try:
                known = self._known.get(pid)
                if known is None:
                    known = self._known[pid] = _Known(psutil.Process(pid))
                with known.process.oneshot():
                    times = known.process.cpu_times()
                    resident = known.process.memory_info().rss
            except psutil.Error:
                self._known.pop(pid, None)
                continue
            found[pid] = (known.cpu_percent(times.user + times.system, time.monotonic()), resident)
        return found

    def info(self, pid: int, *, extended: bool = False) -> dict[str, Any] | None:
        """The original's process info with the direct children in it; None if there is no such process."""
        return self.infos([pid], extended=extended).get(pid)

    def infos(
        self, pids: Iterable[int], *, extended: bool = False, table: Table | None = None
    ) -> dict[int, dict[str, Any]]:
        """The process info of each of these that exists, at the cost of one sweep for all.

        What can't be read is ``N/A``; ``age`` and ``create_time`` are seconds. `extended` adds status, threads, fds.
        With a `table`, of these processes and their children, nothing is swept, and forgetting is left to the caller.
        """
        if table is None:
            table = sweep()
            for pid in [pid for pid in self._known if pid not in table]:
                self.forget(pid)
        wanted = [pid for pid in pids if pid in table]
        below = children(wanted, table)
        found: dict[int, dict[str, Any]] = {}
        for pid in wanted:
            info = self._info(table[pid], extended)
            if info is not None:
                nested = (self._info(table[child.pid], extended) for child in below[pid])
                found[pid] = info | {"children": [child for child in nested if child is not None]}
        return found

    def _info(self, one: Row, extended: bool) -> dict[str, Any] | None:
        try:
            known = self._known.get(one.pid)
            if known is None or known.start not in (0, one.start):
                known = self._known[one.pid] = _Known(psutil.Process(one.pid))
            known.start = one.start
            process = known.process
            with process.oneshot():
                memory = process.memory_info()
                times = process.cpu_times()
                info: dict[str, Any] = {
                    "mem_info1": _human(memory.rss),
                    "mem_info2": _human(memory.vms),
                    "cpu": known.cpu_percent(times.user + times.system, time.monotonic()),
                    "mem": round(memory.rss * 100 / self._memory_total, 3),
                    "ctime": _processor_time(sum(times)),
                    "pid": one.pid,
                    "username": self._user(process),
                    "nice": _nice(process) if one.is_alive else "Zombie",
                    "create_time": process.create_time(),
                    "age": age(one.start),
                    "cmdline": _program(process),
                    "children": [],
                }
                if extended:
                    info |= {
                        "status": process.status(),
                        "threads": process.num_threads(),
                        "fds": _descriptors(process),
                    }
        except psutil.NoSuchProcess:
            self.forget(one.pid)
            return None
        return info

    def _user(self, process: psutil.Process) -> str:
        try:
            uid = process.uids().real
        except psutil.AccessDenied:
            return UNREADABLE
        # A directory service may take its time: it is asked once for each user.
        if uid not in self._names:
            self._names[uid] = user_name(uid)
        return self._names[uid]


class _Known:
    """A process that was looked at before, and how much processor time it had used then."""

    __slots__ = ("busy", "process", "start", "when")

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.start = 0
        self.busy: float | None = None
        self.when = 0.0

    def cpu_percent(self, busy: float, now: float) -> float:
        before, then = self.busy, self.when
        self.busy, self.when = busy, now
        if before is None or now <= then:
            return 0.0
        # Never negative: the pid may have been given to another process that was not looked at before.
        return round(max(0.0, busy - before) * 100 / (now - then), 1)


def _human(amount: int) -> str:
    for power, letter in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if amount >= 1 << power:
            return f"{amount / (1 << power):.2f}{letter}"
    return f"{amount}B"


def _processor_time(seconds: float) -> str:
    """Minutes, seconds and hundredths; the original drops the hours."""
    hundredths = int(seconds * 100)
    return f"{hundredths // 6000 % 60}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def _nice(process: psutil.Process) -> int | str:
    try:
        return int(process.nice())
    except psutil.AccessDenied:
        return UNREADABLE


def _program(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except (psutil.AccessDenied, psutil.ZombieProcess):
        return UNREADABLE
    # A process may have overwritten its arguments with a title: its first word counts.
    return os.path.basename(words[0].split(" ", 1)[0]) if words else UNREADABLE


def _descriptors(process: psutil.Process) -> int | str:
    try:
        return int(process.num_fds())
    except (psutil.AccessDenied, psutil.ZombieProcess):
        return UNREADABLE
