"""What processes cost, in the form of the original's messages and of its command ``stats``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, Final

from circusd.kernel import proc
from circusd.kernel.figures import descriptors
from circusd.kernel.proc import PAGE_BYTES, TICKS, UNREADABLE, Row, Table, age, children, sweep
from circusd.kernel.users import user_name

FRESH: Final = 30.0
"""For so long a process is believed to have the name and the user that it had, if its program seems to be the same."""
_MEMORY: Final = os.sysconf("SC_PHYS_PAGES") * PAGE_BYTES
_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "T": "stopped",
    "t": "tracing-stop",
    "Z": "zombie",
    "X": "dead",
    "x": "dead",
    "K": "wake-kill",
    "W": "waking",
    "I": "idle",
    "P": "parked",
}


class Sampler:
    """Processor and memory use, measured against this object's own last look: one object for each who looks."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._names: dict[int, str] = {}

    def forget(self, pid: int) -> None:
        """Nothing is remembered of that pid; to be called when it has been reaped."""
        self._known.pop(pid, None)

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
        info = self.alone(one.pid)
        if info is not None and extended:
            info |= {
                "status": _STATES.get(one.state, one.state),
                "threads": int((proc.fields(one.pid, 18) or [b"0"] * 18)[17]),
                "fds": UNREADABLE if (count := descriptors(one.pid)) is None else count,
            }
        return info

    def alone(self, pid: int) -> dict[str, Any] | None:
        """The info of one process, its children left out; None if there is none."""
        line = proc.line(pid)
        if line is None:
            self.forget(pid)
            return None
        end = line.rindex(b")")
        name, fields = line[line.index(b"(") + 1 : end], line[end + 2 :].split(None, 40)
        start, now = int(fields[19]), time.monotonic()
        known = self._known.get(pid)
        if known is None or known.start != start:
            known = self._known[pid] = _Known(start)
        if known.name != name or now >= known.fresh_until:
            known.program, known.user = _program(pid), self._user(pid)
            # In the middle of exec it has its new name and no arguments yet.
            known.name, known.fresh_until = name, now + FRESH * (known.program != UNREADABLE)
        busy, rss = int(fields[11]) + int(fields[12]), int(fields[21]) * PAGE_BYTES
        # With what was waited for and what the disk took, as the original has it.
        whole = busy + int(fields[13]) + int(fields[14]) + int(fields[39])
        return {
            "mem_info1": _human(rss),
            "mem_info2": _human(int(fields[20])),
            "cpu": known.cpu_percent(busy / TICKS, now),
            "mem": round(rss * 100 / _MEMORY, 3),
            "ctime": _processor_time(whole / TICKS),
            "pid": pid,
            "username": known.user,
            "nice": "Zombie" if fields[0] in (b"Z", b"X", b"x") else int(fields[16]),
            "create_time": proc.boot_time() + start / TICKS,
            "age": age(start),
            "cmdline": known.program,
            "children": [],
        }

    def _user(self, pid: int) -> str:
        uid = _real_uid(pid)
        if uid is None:
            return UNREADABLE
        # A directory service may take its time: it is asked once for each user.
        if uid not in self._names:
            self._names[uid] = user_name(uid)
        return self._names[uid]


class _Known:
    """A process that was looked at before, and how much processor time it had used then."""

    __slots__ = ("busy", "fresh_until", "name", "program", "start", "user", "when")

    def __init__(self, start: int) -> None:
        self.start = start
        self.name = b""
        self.program = self.user = UNREADABLE
        self.fresh_until = 0.0
        self.busy: float | None = None
        self.when = 0.0

    def cpu_percent(self, busy: float, now: float) -> float:
        before, then = self.busy, self.when
        self.busy, self.when = busy, now
        if before is None or now <= then:
            return 0.0
        return round((busy - before) * 100 / (now - then), 1)


def _human(amount: int) -> str:
    for power, letter in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if amount >= 1 << power:
            return f"{amount / (1 << power):.2f}{letter}"
    return f"{amount}B"


def _processor_time(seconds: float) -> str:
    """Minutes, seconds and hundredths; the original drops the hours."""
    hundredths = int(seconds * 100)
    return f"{hundredths // 6000 % 60}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def _real_uid(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"Uid:")), None)
    except OSError:
        return None


def _program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            words = file.read(4096)
    except OSError:
        return UNREADABLE
    # A process may have overwritten its arguments with a title: its first word counts.
    first = words.split(b"\0", 1)[0].split(b" ", 1)[0]
    return os.fsdecode(os.path.basename(first)) or UNREADABLE
