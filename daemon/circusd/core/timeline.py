"""How the start of watchers went: when each was asked for, could begin, ran and was ready, and which of them the whole waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

READY, HEALTHY, ENDED = UNTIL = ("ready", "healthy", "ended")
"""What others may need of a watcher, each later than the one before."""
HELD_UP = 0.05
"""Seconds from which on a wait for hooks, pauses or a priority is one that is told."""
SLOW = 1.0
"""The same of one for nothing but the start of processes: under load the next one's turn comes a little late, whoever it is."""


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


class Turns:
    """Whom each of several waited for whose turns come one after the other: nobody, as long as they only follow each other.

    All names are in lower case.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        """Seconds between two turns: ``warmup_delay``."""
        self._held_by = self._before = ""

    def turn(self) -> str:
        """Whom the one waited for whose turn has come."""
        if self._pause > 0:
            self._held_by = self._before
        return self._held_by

    def begun(self, name: str, took: float, *, by_itself: bool) -> None:
        """The processes of one are there, after so many seconds; ``by_itself``: it has hooks, or pauses between them."""
        self._before = name
        if took >= (HELD_UP if by_itself else SLOW):
            self._held_by = name

    def ready(self, last: str, took: float) -> None:
        """A lower priority begins, as all of the one before count as started: so many seconds after its first turn, ``last`` last."""
        self._before = last
        if took >= HELD_UP:
            self._held_by = last


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
