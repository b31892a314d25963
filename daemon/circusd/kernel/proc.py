"""The process table: who descends from whom, killing a tree of processes whole, what each costs.

A process is identified by its pid and its start time: a pid alone may have been given to another by now.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Final, NamedTuple

TICKS: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

# Each round of `kill_tree` finds what was forked during the one before. Frozen processes fork nothing, so two do
# unless somebody works against us.
MOST_ROUNDS: Final = 12

UNREADABLE: Final = "N/A"
"""Stands for what may not be read of a process."""


class Identity(NamedTuple):
    """One process and no other that gets its pid later; `start` in clock ticks since boot."""

    pid: int
    start: int


class Row(NamedTuple):
    """What one line of the process table tells; `state` is a letter, Z for a zombie, T for a stopped process."""

    pid: int
    ppid: int
    session: int
    state: str
    start: int

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.start)

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZX"


Table = Mapping[int, Row]


class Use(NamedTuple):
    """What a process has taken: `ticks` of processor time since its start, and bytes of memory now."""

    start: int
    ticks: int
    rss: int


def row(pid: int) -> Row | None:
    """That process's line of the table; None if there is none that we may see. OSError if we have no descriptor left."""
    found = fields(pid, 20)
    if found is None:
        return None
    return Row(pid, int(found[1]), int(found[3]), chr(found[0][0]), int(found[19]))


GENERATIONS: Final = 32
"""So far above a process another one is looked for."""


def is_below(process: Row, pid: int) -> bool:
    """Whether the process has `pid` among those above it."""
    found: Row | None = process
    for _ in range(GENERATIONS):
        if found is None or found.ppid <= 1:
            return False
        if found.ppid == pid:
            return True
        found = row(found.ppid)
    return False


def use(pid: int) -> Use | None:
    """What that process has taken, at the same cost as its `row`; None if there is none. OSError as there."""
    found = fields(pid, 22)
    if found is None:
        return None
    return Use(int(found[19]), int(found[11]) + int(found[12]), int(found[21]) * PAGE_BYTES)


def fields(pid: int, count: int) -> list[bytes] | None:
    """That many fields of the process's line, from its state on; None and OSError as of its `row`."""
    data = line(pid)
    # The name in parentheses may hold spaces and parentheses of its own: count from the last one.
    return None if data is None else data[data.rindex(b")") + 2 :].split(None, count)


def line(pid: int) -> bytes | None:
    """The process's line as the kernel writes it; None and OSError as of its `row`."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            # That it could not be looked at must not be taken for its end.
            raise
        return None
    try:
        return os.read(fd, 4096)
    except OSError:
        # It ended between the two calls.
        return None
    finally:
        os.close(fd)


def start_time(pid: int) -> int | None:
    """When that process was started, in clock ticks since boot; None if there is none."""
    found = row(pid)
    return None if found is None else found.start


def why_it_stays(pid: int) -> str:
    """Why a process is still there that SIGKILL should have ended, in words; empty if it is not there any more."""
    found = row(pid)
    if found is None:
        return ""
    tracer = _field(pid, "TracerPid")
    if found.state in "ZX":
        return (
            f"it has ended, but process {tracer}, which traces it, has not let it go" if tracer != "0" else ""
        )
    if _is_frozen(pid):
        return f"its control group is frozen (state {found.state})"
    where = _text(f"/proc/{pid}/wchan")
    place = f", in the kernel at {where}" if where not in ("", "0") else ""
    sort = {"D": "it is in uninterruptible sleep", "T": "it is stopped", "t": "it is being traced"}
    return f"{sort.get(found.state, 'it runs on')} (state {found.state}){place}"


def is_at_rest(pid: int) -> bool:
    """Whether no thread of it goes on: each is stopped, or there is none any more."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return True
    stats = (_text(f"/proc/{pid}/task/{task}/stat") for task in tasks)
    return all(stat.rpartition(")")[2].strip()[:1] in ("", "T", "t", "Z", "X") for stat in stats)


def _field(pid: int, name: str) -> str:
    for line in _text(f"/proc/{pid}/status").splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    return "0"


def _is_frozen(pid: int) -> bool:
    for line in _text(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            return _text(f"/sys/fs/cgroup/freezer{path}/freezer.state").strip() in ("FROZEN", "FREEZING")
        if not controllers and "frozen 1" in _text(f"/sys/fs/cgroup{path}/cgroup.events"):
            return True
    return False


def _text(path: str) -> str:
    """What a small file of the kernel says; nothing where it is not there or not for us."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


@cache
def boot_time() -> float:
    """When the machine was started, in epoch seconds as everybody else tells it; the same as long as this process runs."""
    with open("/proc/stat", encoding="ascii") as file:
        return next((float(row.split()[1]) for row in file if row.startswith("btime")), 0.0)


def age(start: int) -> float:
    """Seconds since a start time."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start / TICKS)


def sweep() -> dict[int, Row]:
    """The whole process table, read once: some 6 microseconds a process."""
    rows = (row(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {found.pid: found for found in rows if found is not None}


def children(pids: Iterable[int], table: Table | None = None) -> dict[int, list[Identity]]:
    """The direct children of each of these processes, oldest first."""
    by_parent = _by_parent(sweep() if table is None else table)
    return {pid: [child.identity for child in by_parent.get(pid, ())] for pid in pids}


def descendants(pids: Iterable[int], table: Table | None = None) -> dict[int, list[Identity]]:
    """All descendants of each of these processes, parents before their children."""
    by_parent = _by_parent(sweep() if table is None else table)
    return {pid: [found.identity for found in _below([pid], by_parent)] for pid in pids}


def members_of_sessions(sids: Collection[int], table: Table | None = None) -> list[Identity]:
    """The living processes of these sessions, also those whose parents are gone.

    A session has the pid of the process that we started; the number is not given to another session before the last
    member has gone. Ask before the dead leader is reaped, or at once afterwards.
    """
    rows = sweep() if table is None else table
    return [found.identity for found in rows.values() if found.session in sids and found.is_alive]


def tree(roots: Iterable[Identity], table: Table | None = None) -> list[Identity]:
    """The living processes among these, their descendants, and the members of their sessions with descendants.

    Parents come before their children. This process, its own session and init are never among them. A root may be
    gone already: its session is looked for, unless its pid is in use again.
    """
    return [found.identity for found in _tree(roots, sweep() if table is None else table, frozenset())]


def signal_process(identity: Identity, signum: int) -> bool:
    """That process, and no later one with its pid, has been sent the signal; False if it is gone."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        # From here on the pidfd stands for one process; was it already another one when it was opened?
        if start_time(identity.pid) != identity.start:
            return False
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def kill_tree(roots: Iterable[Identity], signum: int = signal.SIGKILL) -> list[Identity]:
    """Every process of the trees of `roots` (see `tree`) has been sent the signal once, and is named in the result.

    The table is read again until nobody new is found. Before a SIGKILL all are stopped, so that none forks while the
    others are killed; those whose parents died meanwhile are found by their sessions. After any other signal stopped
    processes are continued, or they would not act on it. Those that we may not signal are left out. Costs two
    sweeps: give it all the roots at once.
    """
    wanted = tuple(roots)
    reached: dict[Identity, bool] = {}
    sessions: set[int] = set()
    fatal = signum == signal.SIGKILL
    for _ in range(MOST_ROUNDS):
        found = _tree((*wanted, *reached), sweep(), sessions)
        new = [one for one in found if one.identity not in reached]
        if not new:
            break
        sessions.update(one.session for one in new)
        for one in new:
            reached[one.identity] = _try(one.identity, signal.SIGSTOP if fatal else signum)
            if not fatal and one.state == "T" and signum not in (signal.SIGSTOP, signal.SIGCONT):
                _try(one.identity, signal.SIGCONT)
    return [one for one, allowed in reached.items() if allowed and (not fatal or _try(one, signum))]


def _try(identity: Identity, signum: int) -> bool:
    try:
        return signal_process(identity, signum)
    except PermissionError:
        return False


def _by_parent(table: Table) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for one in sorted(table.values(), key=lambda one: one.start):
        found.setdefault(one.ppid, []).append(one)
    return found


def _below(pids: Iterable[int], by_parent: Mapping[int, list[Row]]) -> list[Row]:
    found: list[Row] = []
    waiting = list(pids)
    # Two reads of a moving table could show a circle: nobody is looked at twice.
    seen = set(waiting)
    for pid in waiting:
        for one in by_parent.get(pid, ()):
            if one.pid not in seen:
                seen.add(one.pid)
                found.append(one)
                waiting.append(one.pid)
    return found


def _tree(roots: Iterable[Identity], table: Table, sessions: Collection[int]) -> list[Row]:
    ours = os.getpid()
    own = table.get(ours)
    barred = {0, 1, ours, own.session if own else 0}
    sids = set(sessions)
    first: list[Row] = []
    for root in roots:
        now = table.get(root.pid)
        if now is None:
            sids.add(root.pid)
        elif now.start == root.start:
            sids.add(root.pid)
            first.append(now)
    sids -= barred
    there = {one.pid for one in first}
    first += [one for one in table.values() if one.session in sids and one.pid not in there]
    first.sort(key=lambda one: one.start)
    below = _below([one.pid for one in first], _by_parent(table))
    return [one for one in first + below if one.is_alive and one.pid not in barred]
