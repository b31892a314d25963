"""How long the loop lets others wait, told by how long its own turns take: no timer, and so nothing that would wake it.

What arrives while a turn lasts waits for its end. So the waiting times of all moments follow from the lengths of the
turns, and a turn that was too long is seen whenever it was, not only if a probe happened to fall into it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gevent.hub import get_hub

BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Seconds; turns are counted by the first of these that is not below them."""
SLICE: Final = 10.0
SLICES: Final = 6
"""So many slices of so many seconds are looked back on, the one under way among them."""


class _Slice:
    """The turns of some seconds."""

    __slots__ = ("began", "counts", "longest", "seconds")

    def __init__(self, began: float) -> None:
        self.began = began
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = [0.0] * (len(BOUNDS) + 1)
        self.longest = 0.0


class LoopLag:
    """Watches the loop of this thread until it is closed."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic, watch: bool = True) -> None:
        """Without ``watch``, `turn` has to be called for each turn."""
        self._now = now
        self._began = 0.0
        began = now()
        self._current = _Slice(began)
        self._slices = deque([self._current], maxlen=SLICES)
        self._until = began + SLICE
        self._counts = [0] * (len(BOUNDS) + 1)
        """How many turns there were since the start, those of the slice under way left out."""
        self._seconds = 0.0
        """What they took together."""
        self._watchers: list[Any] = []
        if watch:
            loop = get_hub().loop
            # Round everything else that is done in a turn: first after the wait, and last before the next one.
            watchers: tuple[tuple[Any, int, Callable[[], None]], ...] = (
                (loop.check(ref=False), 2, self._begin),
                (loop.prepare(ref=False), -2, self._end),
            )
            for watcher, priority, heard in watchers:
                watcher.priority = priority
                watcher.start(heard)
                self._watchers.append(watcher)

    def close(self) -> None:
        """The loop is not watched any more."""
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._watchers.clear()

    def _begin(self) -> None:
        self._began = self._now()

    def _end(self) -> None:
        if self._began:
            now = self._now()
            self.turn(now - self._began, now)

    def turn(self, took: float, now: float) -> None:
        """A turn of that many seconds has ended."""
        if now >= self._until:
            self._next_slice(now)
        current = self._current
        # There are thousands of short ones in a second: they cost no search.
        place = 0 if took <= BOUNDS[0] else bisect_left(BOUNDS, took)
        current.counts[place] += 1
        current.seconds[place] += took
        if took > current.longest:
            current.longest = took

    def _next_slice(self, now: float) -> None:
        ended = self._current
        self._counts = [sum(pair) for pair in zip(self._counts, ended.counts, strict=True)]
        self._seconds += sum(ended.seconds)
        self._current = _Slice(now)
        self._slices.append(self._current)
        self._until = now + SLICE

    def view(self) -> dict[str, float]:
        """What one who came at any moment of the last minute has waited for: in half of all moments, in all but one of a
        hundred, and the longest turn; with the seconds that are looked back on, all in seconds."""
        now = self._now()
        while len(self._slices) > 1 and self._slices[1].began < now - SLICE * SLICES:
            self._slices.popleft()
        # Long ago there may have been one last turn before a long sleep.
        recent = [one for one in self._slices if one.began >= now - SLICE * (SLICES + 1)]
        window = max(1e-9, min(now - self._slices[0].began, SLICE * SLICES))
        counts = [sum(one.counts[place] for one in recent) for place in range(len(BOUNDS) + 1)]
        seconds = [sum(one.seconds[place] for one in recent) for place in range(len(BOUNDS) + 1)]
        longest = max((one.longest for one in recent), default=0.0)
        return {
            "p50": round(_quantile(counts, seconds, longest, 0.5 * window), 4),
            "p99": round(_quantile(counts, seconds, longest, 0.01 * window), 4),
            "max": round(longest, 4),
            "window": round(window, 1),
        }

    def histogram(self) -> dict[str, Any]:
        """All turns since the start: ``le`` (bounds), ``counts`` (up to each, and all of them) and ``sum`` (seconds)."""
        counts, total = [], 0
        for earlier, count in zip(self._counts, self._current.counts, strict=True):
            total += earlier + count
            counts.append(total)
        seconds = self._seconds + sum(self._current.seconds)
        return {"le": list(BOUNDS), "counts": counts, "sum": round(seconds, 6)}


def _quantile(counts: list[int], seconds: list[float], longest: float, share: float) -> float:
    """The waiting time that is exceeded in that many seconds of the window: at a moment of a turn, its rest is waited for."""
    below, above = 0.0, sum(seconds)
    if above <= share:
        return 0.0
    for place, bound in enumerate(BOUNDS):
        # Of a turn that is longer than the bound, all moments but the last of it: there the rest is longer too.
        beyond = sum(seconds[place + 1 :]) - bound * sum(counts[place + 1 :])
        if beyond <= share:
            # In between it falls about evenly.
            return min(longest, below + (bound - below) * (above - share) / (above - beyond))
        below, above = bound, beyond
    return longest
