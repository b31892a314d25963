"""What processes take together with all that they have started, from one sweep of the process table.

What a descendant took that has ended counts too, once its parent has waited for it: the kernel adds it there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from circusd.kernel import proc

SWEEP_SHARE: Final = 0.01
"""The most of one processor that sweeps take where many processes are nobody's concern here."""
STRANGERS_SECONDS: Final = 10.0
"""For so long a process that was nobody's concern is believed to be none: it can't become a descendant, but its pid another's."""

Rest = Callable[[], object]
"""Called after each small piece of work."""

_Reading = tuple[int, int, float]
"""The start of a process, the ticks that it has taken, and when that was read."""


class Own(NamedTuple):
    """One process: what its line of the process table tells; ticks are of processor time since its start."""

    pid: int
    ppid: int
    start: int
    ticks: int
    waited: int
    """Ticks of its descendants that have ended and were waited for."""
    threads: int
    vms: int
    rss: int


class Together(NamedTuple):
    """A process with all that it has started."""

    own: Own
    ticks: int
    rss: int
    below: int
    """Descendants."""


def own(pid: int) -> Own | None:
    """What that process takes; None if there is none. OSError if we have no descriptor left."""
    fields = proc.fields(pid, 22)
    if fields is None:
        return None
    return Own(
        pid,
        int(fields[1]),
        int(fields[19]),
        int(fields[11]) + int(fields[12]),
        int(fields[13]) + int(fields[14]),
        int(fields[17]),
        int(fields[20]),
        int(fields[21]) * proc.PAGE_BYTES,
    )


def together(roots: Iterable[int], rest: Rest = bool) -> dict[int, Together]:
    """Each of these processes that is there, with all below it: one sweep for all."""
    trees, _ = _sweep(set(roots), rest, frozenset())
    return _sums(trees)


class Meter:
    """The use of the processor, measured against this object's own last look: one object for each who looks."""

    def __init__(self) -> None:
        self._last: dict[int, _Reading] = {}
        self._itself: _Reading | None = None
        self._members: dict[int, list[Own]] = {}
        self._sweep_at = self._meet_at = 0.0
        self._strangers: frozenset[int] = frozenset()

    def look(self, roots: Collection[int], rest: Rest = bool) -> dict[int, tuple[float, int]]:
        """For each that runs, with all below it: per cent of one processor since the last look (first 0), RSS in bytes."""
        began = time.monotonic()
        if began >= self._sweep_at or not self._members.keys() >= set(roots):
            busy = time.thread_time()
            if began >= self._meet_at:
                self._strangers, self._meet_at = frozenset(), began + STRANGERS_SECONDS
            self._members, listed = _sweep(set(roots), rest, self._strangers)
            self._strangers = listed - {one.pid for tree in self._members.values() for one in tree}
            # Of a large table with little that is ours, not every look reads all.
            self._sweep_at = began + (time.thread_time() - busy) / SWEEP_SHARE
        else:
            self._members = {pid: _again(self._members[pid], rest) for pid in roots}
        now = time.monotonic()
        found, last = {}, {}
        for pid, taken in _sums(self._members).items():
            last[pid] = taken.own.start, taken.ticks, now
            found[pid] = _share(self._last.get(pid), last[pid]), taken.rss
        self._last = last
        return found

    def look_at_itself(self) -> tuple[float, int]:
        """The same of the process that this runs in, and of nothing below it."""
        row = own(os.getpid())
        assert row is not None
        now = time.monotonic()
        before, self._itself = self._itself, (row.start, row.ticks, now)
        return _share(before, self._itself), row.rss


def _share(before: _Reading | None, after: _Reading) -> float:
    """Per cent of one processor; 0 where nothing is known from before."""
    if before is None or before[0] != after[0] or after[2] <= before[2]:
        return 0.0
    # Less than before where a descendant has left the tree: what it had taken is not given back.
    return round(max(0, after[1] - before[1]) * 100 / proc.TICKS / (after[2] - before[2]), 1)


def _sweep(
    roots: set[int], rest: Rest, strangers: frozenset[int]
) -> tuple[dict[int, list[Own]], frozenset[int]]:
    """Each root, and behind it all below it; and the pids of all that there are. Strangers are not looked at."""
    # The children of these are no descendants of a root; of a machine's processes they are most.
    others = {0, 1, 2, os.getpid()}
    first: dict[int, list[Own]] = {}
    by_parent: dict[int, list[Own]] = {}
    listed = frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in listed - (strangers - roots):
        row = own(pid)
        rest()
        if row is None:
            continue
        if row.pid in roots:
            first[row.pid] = [row]
        elif row.ppid not in others:
            by_parent.setdefault(row.ppid, []).append(row)
    for members in first.values():
        for member in members:
            # Taken out: two reads of a moving table could show a circle.
            members.extend(by_parent.pop(member.pid, ()))
    return first, listed


def _again(members: list[Own], rest: Rest) -> list[Own]:
    """Those of the same processes that are there, as they are now; none without the first of them."""
    found = []
    for member in members:
        row = own(member.pid)
        rest()
        if row is not None and row.start == member.start:
            found.append(row)
        elif member is members[0]:
            return []
    return found


def _sums(trees: dict[int, list[Own]]) -> dict[int, Together]:
    return {
        pid: Together(
            members[0],
            sum(one.ticks + one.waited for one in members),
            sum(one.rss for one in members),
            len(members) - 1,
        )
        for pid, members in trees.items()
        if members
    }
