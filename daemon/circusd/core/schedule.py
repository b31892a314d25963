"""When a scheduled watcher is to run, and what becomes of a moment that comes while a run goes on, late, or again.

Pure: a calendar tells which moments there are, the caller tells what the clock on the wall shows. That clock can be set, and
it stands still while the machine sleeps; the rules here hold whatever it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SKIP, QUEUE, REPLACE = "skip", "queue", "replace"
OVERLAPS = (SKIP, QUEUE, REPLACE)
"""What ``schedule_overlap`` may say."""

PLANNED, CAUGHT_UP, BY_HAND = "planned", "caught up", "by hand"
"""Why a run was started."""

KEPT_EACH = 200
"""Runs that are kept of one watcher."""

LATE = 60.0
"""Seconds after which a moment counts as missed: the machine slept, the clock was set, or circusd did not run."""
CORRECTION = 3 * 3600.0
"""Seconds. A clock that is set back by more has been wrong: what it showed does not count. As crond has it."""


class Calendar(Protocol):
    """The moments of a schedule, in epoch seconds."""

    def after(self, moment: float) -> float | None:
        """The first one later than that; None where there is none any more."""

    def last(self, moment: float) -> float | None:
        """The last one not later than that."""


@dataclass(frozen=True, slots=True)
class Due:
    """A planned moment has come: it is to run, or was missed."""

    planned: float
    why: str = ""
    """`PLANNED` or `CAUGHT_UP`; nothing where it is not to run any more."""
    missed_from: float | None = None
    """The first of the moments that were missed, of which the last may be ``planned`` itself."""


class Agenda:
    """The moments of one watcher while its schedule is in force: each is decided at most once."""

    def __init__(self, calendar: Calendar, offset: float = 0.0, *, catch_up: bool = False) -> None:
        self._calendar = calendar
        self._offset = offset
        """Seconds by which each run begins later than planned."""
        self._catch_up = catch_up
        self.decided = 0.0
        """All moments up to this one have been decided."""
        self.next: float | None = None
        """The planned moment that comes next."""

    @property
    def due(self) -> float | None:
        """When the clock has to be looked at again."""
        return None if self.next is None else self.next + self._offset

    def begin(self, now: float, decided: float | None = None) -> Due | None:
        """It is in force from now on; or has been since ``decided``, which an earlier circusd has left."""
        self.decided = now - self._offset if decided is None else decided
        return self.look(now)

    def look(self, now: float) -> Due | None:
        """What has come by now, whatever the clock has shown before."""
        reached = now - self._offset
        if self.decided - reached > CORRECTION:
            self.decided = reached
        first = self.next = self._calendar.after(self.decided)
        if first is None or first > reached:
            return None
        last = max(first, self._calendar.last(reached) or first)
        self.decided = last
        self.next = self._calendar.after(last)
        is_late = reached - last > LATE
        earlier = first if first < last else None
        if not is_late:
            return Due(last, PLANNED, earlier)
        return Due(last, CAUGHT_UP, earlier) if self._catch_up else Due(last, "", first)


def meets(overlap: str, *, is_running: bool, waits: bool) -> str:
    """What becomes of a run that is to begin: ``run``, or one of `OVERLAPS`; at most one waits in the queue."""
    if not is_running and not waits:
        return "run"
    if overlap == QUEUE:
        return SKIP if waits else QUEUE
    return overlap


def stable(digest: int, jitter: float) -> float:
    """Of a number of 32 bits that belongs to one watcher on one machine: by how many seconds its runs begin later."""
    return round(jitter * (digest & 0xFFFFFFFF) / 0x100000000, 3)
