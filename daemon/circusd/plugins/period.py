"""What is done again and again in a plugin's loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

log = logging.getLogger("circusd.plugin")


class PeriodicCallback:
    """Calls a function each so many milliseconds, from `start` to `stop`; the original's name and unit.

    A function that returns something to be awaited is called again when that has ended; an exception is logged and ends
    nothing.
    """

    def __init__(self, callback: Callable[[], Any], callback_time: float, io_loop: Any = None) -> None:
        self.callback = callback
        self.callback_time = callback_time
        self._loop: asyncio.AbstractEventLoop | None = getattr(io_loop, "asyncio_loop", None)
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        """It is called for the first time when the time has passed once."""
        self.stop()
        self._loop = self._loop or asyncio.get_event_loop()
        self._schedule()

    def stop(self) -> None:
        """It is not called any more; what is under way goes on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def is_running(self) -> bool:
        """Whether it is started."""
        return self._timer is not None

    def _schedule(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(self.callback_time / 1000, self._due)

    def _due(self) -> None:
        assert self._loop is not None
        self._schedule()
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(_carried_out(self.callback))


async def _carried_out(callback: Callable[[], Any]) -> None:
    try:
        result = callback()
        if inspect.isawaitable(result):
            await result
    except Exception:
        log.exception("%s failed", getattr(callback, "__qualname__", repr(callback)))
