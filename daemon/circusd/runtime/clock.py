"""The two clocks: monotonic time decides, wall time is shown."""

from __future__ import annotations

import time


def now() -> float:
    """Monotonic seconds: what timers, states and back-off count in; setting the clock does not move it."""
    return time.monotonic()


def wall(moment: float | None = None) -> float:
    """Epoch seconds of now, or of a monotonic moment; for display and messages only."""
    epoch = time.time()
    return epoch if moment is None else epoch + (moment - time.monotonic())


def utc_offset() -> int:
    """By how many seconds the clock on this machine's wall is ahead of UTC now."""
    return time.localtime().tm_gmtoff


def of_day(moment: float) -> str:
    """Epoch seconds as the clock on this machine's wall shows them: ``14:05:09``."""
    return time.strftime("%H:%M:%S", time.localtime(moment))
