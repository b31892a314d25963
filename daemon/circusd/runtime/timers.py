"""Timers by key, on the loop's monotonic clock.

They are a heap, and the loop has one timer, for the first of them: what is due at one moment costs one wake-up, and what is armed and
cancelled again costs the loop nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heappush
from typing import Any, Final

import gevent

from . import clock

_SPARE: Final = 64
"""So many more than twice the armed ones may be in the heap, as those that were cancelled stay there for a while."""


class LoopTimer:
    """One timer of the loop, or none. Each time a new one: a timer that has fired would fire again at once."""

    __slots__ = ("_timer",)

    def __init__(self) -> None:
        self._timer: Any = None

    @property
    def is_set(self) -> bool:
        """Something will be called."""
        return self._timer is not None

    def once(self, seconds: float, fire: Callable[..., None], *args: Any) -> None:
        """``fire`` is called in the hub's turn, so many seconds from now, and nothing is set then; nor is what was set before."""
        self.stop()
        self._timer = gevent.get_hub().loop.timer(max(0.0, seconds))
        # From now on, and not from when the loop looked at the clock the last time.
        self._timer.start(self._fired, fire, args, update=True)

    def every(self, seconds: float, fire: Callable[[], None]) -> None:
        """``fire`` is called again and again, until `stop`."""
        self.stop()
        self._timer = gevent.get_hub().loop.timer(seconds, seconds)
        self._timer.start(fire, update=True)

    def _fired(self, fire: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.stop()
        fire(*args)

    def stop(self) -> None:
        """Nothing will be called."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


class Timers:
    """At most one timer for each key; arming it again moves it."""

    def __init__(self) -> None:
        self._armed: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        """By key, the number of its place in the heap, and what is called."""
        self._heap: list[tuple[float, int, Hashable]] = []
        """The first one is always of an armed timer."""
        self._number = 0
        self._timer = LoopTimer()
        self._wakes_at = 0.0
        """While there is a timer of the loop: when that fires."""

    def arm(self, key: Hashable, at: float, fire: Callable[[], None]) -> None:
        """``fire`` is called in the hub's turn at ``at`` (monotonic seconds); it must not block."""
        self._number += 1
        self._armed[key] = (self._number, fire)
        heappush(self._heap, (at, self._number, key))
        if len(self._heap) > 2 * len(self._armed) + _SPARE:
            self._heap = [row for row in self._heap if self._is_armed(row)]
            heapify(self._heap)
        self._settle()

    def cancel(self, key: Hashable) -> None:
        """The timer of that key does not fire any more."""
        if self._armed.pop(key, None) is not None:
            self._settle()

    def _is_armed(self, row: tuple[float, int, Hashable]) -> bool:
        armed = self._armed.get(row[2])
        return armed is not None and armed[0] == row[1]

    def _settle(self) -> None:
        """The loop wakes us for the first of them, and for nothing else."""
        while self._heap and not self._is_armed(self._heap[0]):
            heappop(self._heap)
        if not self._heap:
            self._timer.stop()
        elif not self._timer.is_set or self._wakes_at != self._heap[0][0]:
            self._wakes_at = self._heap[0][0]
            self._timer.once(self._wakes_at - clock.now(), self._due)

    def _due(self) -> None:
        now = clock.now()
        try:
            while self._heap and self._heap[0][0] <= now:
                row = heappop(self._heap)
                if self._is_armed(row):
                    self._armed.pop(row[2])[1]()
        finally:
            self._settle()

    def close(self) -> None:
        """No timer fires any more."""
        self._armed.clear()
        self._settle()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._armed

    def __len__(self) -> int:
        return len(self._armed)
