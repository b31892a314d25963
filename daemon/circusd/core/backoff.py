"""When a process that ended is tried again."""

from __future__ import annotations

import math

SIGKILL = 9

GRAIN = 1 / 32
"""Of the power of two that is next above a wait: how far apart the moments are at which such waits may end."""
COARSEST = 0.5
"""Seconds between two such moments, at most."""


def delay(attempts: int, base: float, cap: float, chance: float) -> float:
    """Seconds to wait before the next try, after ``attempts`` failures in a row (1 or more).

    Doubles from ``base`` up to ``cap``, spread by ± 20 % through ``chance`` (0 to 1), so that processes that died
    together do not come back together. 0 when ``base`` is 0: back-off is switched off.
    """
    if base <= 0 or attempts <= 0:
        return 0.0
    plain = min(cap, base * 2.0 ** min(attempts - 1, 60))
    return min(cap, plain * (0.8 + 0.4 * chance))


def moment(now: float, wait: float, least: float) -> float:
    """When is tried again what is to wait so long (seconds), and ``least`` at least.

    It may be a little earlier than the wait says: such moments stand in a grid, which is the coarser the longer the wait. So of many
    that fail again and again a few come back at a time, and the daemon wakes up once for them.
    """
    grain = min(math.ldexp(GRAIN, math.frexp(wait)[1]), COARSEST)
    at = math.floor((now + wait) / grain) * grain
    return at if at >= now + least else now + wait


def gives_up(attempts: int, max_retry: int) -> bool:
    """Whether a program that could not be started ``attempts`` times in a row is left alone; -1 never gives up."""
    return max_retry >= 0 and attempts > max_retry
