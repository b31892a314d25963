"""How the start of watchers went: when each was asked for, could begin, ran and was ready, and which of them the whole waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READY, HEALTHY, ENDED = UNTIL = ("ready", "healthy", "ended")
"""What others may need of a watcher, each later than the one before."""


@dataclass(slots=True)
class Start:
    """One start of a watcher; moments are monotonic seconds, None where it has not come so far."""

    command: str
    asked: float
    """When it was to be started; at the start of circusd the moment at which that began."""
    after: str = ""
    """The watcher that it waited for last, in lower case; nothing where it did not wait for one."""
    free: float | None = None
    """When nothing was left to wait for, and its start began."""
    spawned: float | None = None
    """When its first process ran."""
    done: float | None = None
    """When all of them were ready (ran, where nothing tells it), or the start had failed."""
    well: float | None = None
    """When all of them had been found healthy."""
    ended: float | None = None
    """When it had ended by itself, as a task does."""
    error: str = ""
    """Why the start failed."""

    def took(self, until: str) -> float | None:
        """Seconds that it had to itself, once they are over: until that one of `UNTIL` which others need of it."""
        end = {READY: self.done, HEALTHY: self.well, ENDED: self.ended}[until]
        return None if end is None or self.free is None else end - self.free


def critical_chain(starts: Mapping[str, Start]) -> list[str]:
    """The lower-case names of those that the last one waited for, one after the other, and it at the end.

    Only what takes less time in one of these brings the whole to its end sooner.
    """
    over = [name for name, start in starts.items() if start.done is not None and start.free is not None]
    if not over:
        return []
    name = max(over, key=lambda name: (starts[name].done or 0.0, name))
    chain = [name]
    # What it waited for comes first, whatever a record that was made anew meanwhile may say.
    while (name := starts[name].after) in starts and name not in chain:
        chain.append(name)
    return chain[::-1]
