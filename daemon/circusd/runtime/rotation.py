"""When a log file is put aside, and under which name."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

SPLIT_BYTES: Final = 64 << 10
"""How much longer than its size a file grows for the sake of a line; a longer line is divided."""


class Rotation(Protocol):
    """A rule."""

    @property
    def max_bytes(self) -> int:
        """The file does not grow over it; 0 if its size does not matter."""

    def is_due(self, wall: float) -> bool:
        """Whether the file has to be put aside at that time (epoch seconds) whatever its size."""

    def begin(self, wall: float) -> None:
        """A file is begun, or was at that time."""

    def put_aside(self, path: str) -> None:
        """The file has another name, and backups over the number are gone. Raises OSError, and then it has its own."""


@dataclass
class SizeRotation:
    """The file is put aside before it grows over a size: as ``.1``, what was there before as ``.2`` and so on."""

    max_bytes: int
    backup_count: int
    """At least 1: without backups nothing could be put aside without being lost."""

    def is_due(self, wall: float) -> bool:
        """Never."""
        return False

    def begin(self, wall: float) -> None:
        """Time does not matter."""

    def put_aside(self, path: str) -> None:
        """See `Rotation`."""
        last = 1
        while last < self.backup_count and os.path.lexists(f"{path}.{last}"):
            last += 1
        for number in range(last, 1, -1):
            os.replace(f"{path}.{number - 1}", f"{path}.{number}")
        os.replace(path, f"{path}.1")


_UNITS: Final = {
    "S": (1, "%Y%m%d%H%M%S"),
    "M": (60, "%Y%m%d%H%M"),
    "H": (3600, "%Y%m%d%H"),
    "D": (86400, "%Y%m%d"),
}
_BACKUP: Final = re.compile(r"\.\d{8,14}(\.\d+)?$")


class TimedRotation:
    """The file is put aside after a time, with the time of its beginning at the end of its name."""

    max_bytes = 0

    def __init__(self, when: str, interval: int, backup_count: int, *, utc: bool = False) -> None:
        """`when` is S, M, H, D, MIDNIGHT or W0 (Monday) to W6; of the last two kinds the interval counts days or weeks."""
        self._when = when.upper()
        self._interval = max(1, interval)
        self._backups = backup_count
        self._utc = utc
        self._seconds, self._suffix = _UNITS.get(self._when, _UNITS["D"])
        self._began = 0.0
        self._due = 0.0

    def is_due(self, wall: float) -> bool:
        """See `Rotation`."""
        return bool(self._due) and wall >= self._due

    def begin(self, wall: float) -> None:
        """See `Rotation`."""
        self._began = wall
        if self._when in _UNITS:
            self._due = wall + self._seconds * self._interval
            return
        moment = self._moment(wall)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        days = self._interval
        if self._when.startswith("W"):
            until = (int(self._when[1]) - moment.weekday() - 1) % 7 + 1
            days = until + 7 * (self._interval - 1)
        # By the calendar: the day on which the clock changes has 23 or 25 hours.
        due = (midnight.replace(tzinfo=None) + timedelta(days=days)).replace(
            tzinfo=UTC if self._utc else None
        )
        self._due = due.timestamp()

    def _moment(self, wall: float) -> datetime:
        moment = datetime.fromtimestamp(wall, UTC)
        return moment if self._utc else moment.astimezone()

    def put_aside(self, path: str) -> None:
        """See `Rotation`."""
        name = f"{path}.{self._moment(self._began).strftime(self._suffix)}"
        number, target = 0, name
        while os.path.lexists(target):
            # A clock that was set back, or a restart: no backup is written over.
            number += 1
            target = f"{name}.{number}"
        os.replace(path, target)
        if self._backups:
            found = [
                name for name in glob.glob(f"{glob.escape(path)}.*") if _BACKUP.fullmatch(name[len(path) :])
            ]
            found.sort(key=lambda name: [int(part) for part in name[len(path) + 1 :].split(".")])
            for name in found[: -self._backups]:
                os.unlink(name)
