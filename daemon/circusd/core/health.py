"""Whether a process is alive, by looks that are counted: how often in a row it has passed, or has not."""

from __future__ import annotations

from dataclasses import dataclass, replace

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
"""What can be known of it: not enough yet, or one of the two."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a watcher's options decides it; seconds where it is a time."""

    interval: float = 10.0
    failures: int = 3
    """So many in a row make it unhealthy."""
    successes: int = 1
    """So many in a row make it healthy."""
    start_period: float = 0.0
    """Failures do not count before that, or before it has passed for the first time."""
    at_once: int = 1
    """So many are replaced at a time; 0 for none."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one process."""

    since: float
    state: str = STARTING
    text: str = ""
    """What was found when it was looked last; nothing where it has passed."""
    failures: int = 0
    """In a row, as far as they count,"""
    successes: int = 0
    """and the same of successes."""
    spared_until: float = 0.0


def begun(now: float, rules: Rules) -> Health:
    """It is looked after from now on."""
    return Health(now, spared_until=now + rules.start_period)


def passed(health: Health, now: float, rules: Rules) -> Health:
    """It has passed a look."""
    after = replace(health, text="", failures=0, successes=health.successes + 1, spared_until=0.0)
    if health.state != HEALTHY and after.successes >= rules.successes:
        return replace(after, state=HEALTHY, since=now)
    return after


def failed(health: Health, text: str, now: float, rules: Rules) -> Health:
    """It has not; the text says why."""
    after = replace(health, text=text, successes=0)
    if now < health.spared_until:
        return after
    after = replace(after, failures=health.failures + 1)
    if health.state != UNHEALTHY and after.failures >= rules.failures:
        return replace(after, state=UNHEALTHY, since=now)
    return after
