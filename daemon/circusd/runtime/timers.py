"""Timers by key, on the loop's monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

import gevent


class Timers:
    """At most one timer for each key; arming it again moves it."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._timers: dict[Hashable, Any] = {}

    def arm(self, key: Hashable, at: float, fire: Callable[[], None]) -> None:
        """``fire`` is called in the hub's turn at ``at`` (monotonic seconds); it must not block."""
        self.cancel(key)
        timer = self._loop.timer(max(0.0, at - time.monotonic()))

        def fired() -> None:
            self._drop(key, timer)
            fire()

        self._timers[key] = timer
        timer.start(fired)

    def cancel(self, key: Hashable) -> None:
        """The timer of that key does not fire any more."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.stop()
            timer.close()

    def _drop(self, key: Hashable, timer: Any) -> None:
        if self._timers.get(key) is timer:
            del self._timers[key]
        timer.stop()
        timer.close()

    def close(self) -> None:
        """No timer fires any more."""
        for key in list(self._timers):
            self.cancel(key)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._timers

    def __len__(self) -> int:
        return len(self._timers)
