"""The loop that a plugin runs in: asyncio's, with the names by which the original's plugins know theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any


class Loop:
    """Timers and callbacks in one thread; what is built on asyncio (tornado too) runs in the same loop."""

    def __init__(self) -> None:
        self.asyncio_loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.asyncio_loop)

    def start(self) -> None:
        """Runs until `stop`; what was left to do can be gone on with by a later start."""
        self.asyncio_loop.run_forever()

    def stop(self) -> None:
        """The loop ends after what is due now; may be called from any thread and from signal handlers."""
        self.asyncio_loop.call_soon_threadsafe(self.asyncio_loop.stop)

    def close(self) -> None:
        """Nothing runs in it any more."""
        asyncio.set_event_loop(None)
        self.asyncio_loop.close()

    def time(self) -> float:
        """What `add_timeout` counts in: epoch seconds, as in the original."""
        return time.clock_gettime(time.CLOCK_REALTIME)

    def add_callback(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Called in the loop's thread soon; may be asked for from any thread."""
        self.asyncio_loop.call_soon_threadsafe(lambda: callback(*args, **kwargs))

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        """Called after so many seconds; returns what `remove_timeout` takes."""
        return self.asyncio_loop.call_later(max(0.0, delay), lambda: callback(*args, **kwargs))

    def add_timeout(
        self, deadline: float | timedelta, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        """Called at that time (of `time`), or after that time span."""
        delay = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline - self.time()
        return self.call_later(delay, callback, *args, **kwargs)

    call_at = add_timeout

    def remove_timeout(self, timeout: asyncio.TimerHandle) -> None:
        """It is not called any more."""
        timeout.cancel()

    def add_handler(self, fd: int, handler: Callable[[int, int], Any], events: int = 1) -> None:
        """Called with the descriptor and 1 when there is something to read; other ``events`` are not told."""
        self.asyncio_loop.add_reader(fd, lambda: handler(fd, 1))

    def remove_handler(self, fd: int) -> None:
        """It is not called any more."""
        self.asyncio_loop.remove_reader(fd)

    def every(self, seconds: float, callback: Callable[[], Any]) -> Callable[[], None]:
        """Called again and again with so many seconds between; the returned function ends that."""
        handle: asyncio.TimerHandle | None = None

        def due() -> None:
            nonlocal handle
            handle = self.call_later(seconds, due)
            callback()

        def cancel() -> None:
            if handle is not None:
                handle.cancel()

        handle = self.call_later(seconds, due)
        return cancel
