"""When a log file is put aside, under which name, and which of those that were put aside are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

SPLIT_BYTES: Final = 64 << 10
"""How much longer than its size a file grows for the sake of a line; a longer line is divided."""
PACKED: Final = ".gz"
"""The end of the name of a compressed one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of the files that were put aside; the newest ones."""

    count: int = 0
    """So many at most; 0 for no limit."""
    total_bytes: int = 0
    """So much on the disk at most, with the file that is written; 0 for no limit."""
    compress: bool = False

    def prune(self, names: Sequence[str], reserved: int) -> None:
        """Of these files, newest first, those are gone that are too many or too much beside so many bytes. Raises OSError."""
        left = self.total_bytes - reserved
        for number, name in enumerate(names, 1):
            if self.total_bytes:
                left -= _size(name)
            if (self.count and number > self.count) or (self.total_bytes and left < 0):
                os.unlink(name)


class Rotation(Protocol):
    """A rule."""

    @property
    def kept(self) -> Kept:
        """What is kept."""

    @property
    def max_bytes(self) -> int:
        """The file does not grow over it; 0 if its size does not matter."""

    def is_due(self, wall: float) -> bool:
        """Whether the file has to be put aside at that time (epoch seconds) whatever its size."""

    def begin(self, wall: float) -> None:
        """A file is begun, or was at that time."""

    def put_aside(self, path: str) -> None:
        """The file has another name. Raises OSError, and then it has its own."""

    def aside(self, path: str) -> list[str]:
        """The files that were put aside by a rule of this kind, the newest first. Raises OSError."""


@dataclass
class SizeRotation:
    """The file is put aside before it grows over a size: as ``.1``, what was there before as ``.2`` and so on."""

    max_bytes: int
    kept: Kept

    def is_due(self, wall: float) -> bool:
        """Never."""
        return False

    def begin(self, wall: float) -> None:
        """Time does not matter."""

    def put_aside(self, path: str) -> None:
        """See `Rotation`."""
        found = _numbered(path, self.kept.count)
        last = len(found) if self.kept.count and len(found) == self.kept.count else len(found) + 1
        for number in range(last, 1, -1):
            for end in found[number - 2]:
                os.replace(f"{path}.{number - 1}{end}", f"{path}.{number}{end}")
        os.replace(path, f"{path}.1")
        # The oldest one is written over, which another form of its name would not be.
        for end in found[last - 1] if last == len(found) else ():
            if end not in (found[last - 2] if last > 1 else ("",)):
                os.unlink(f"{path}.{last}{end}")

    def aside(self, path: str) -> list[str]:
        """See `Rotation`."""
        return [f"{path}.{number}{end}" for number, ends in enumerate(_numbered(path), 1) for end in ends]


def _numbered(path: str, most: int = 0) -> list[list[str]]:
    """Of each number from 1 on how the names go on: compressed or not, or, for a moment, both; what comes after a gap is
    not of our making."""
    found: list[list[str]] = []
    while not most or len(found) < most:
        name = f"{path}.{len(found) + 1}"
        ends = [end for end in ("", PACKED) if os.path.lexists(name + end)]
        if not ends:
            break
        found.append(ends)
    return found


_UNITS: Final = {
    "S": (1, "%Y%m%d%H%M%S"),
    "M": (60, "%Y%m%d%H%M"),
    "H": (3600, "%Y%m%d%H"),
    "D": (86400, "%Y%m%d"),
}
_DATED: Final = re.compile(r"\.(\d{8,14})(?:\.(\d+))?(\.gz)?")


class TimedRotation:
    """The file is put aside after a time, with the time of its beginning at the end of its name."""

    max_bytes = 0

    def __init__(self, when: str, interval: int, kept: Kept, *, utc: bool = False) -> None:
        """`when` is S, M, H, D, MIDNIGHT or W0 (Monday) to W6; of the last two kinds the interval counts days or weeks."""
        self._when = when.upper()
        self._interval = max(1, interval)
        self.kept = kept
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
        while os.path.lexists(target) or os.path.lexists(target + PACKED):
            # A clock that was set back, or a restart: no backup is written over.
            number += 1
            target = f"{name}.{number}"
        os.replace(path, target)

    def aside(self, path: str) -> list[str]:
        """See `Rotation`."""
        found = sorted(_beside(path, _DATED), key=lambda match: (match[1], int(match[2] or 0)), reverse=True)
        return [path + match[0] for match in found]


def _beside(path: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """The ends of the names of other files that begin with that name, as far as they are of the pattern."""
    folder, name = os.path.split(path)
    return [
        match
        for entry in os.listdir(folder or ".")
        if entry.startswith(name) and (match := pattern.fullmatch(entry, len(name)))
    ]


def is_same_content(plain: os.stat_result, packed: os.stat_result, fd: int) -> bool:
    """Whether the one has what the other, which is open as `fd`, holds compressed, by time and size."""
    if plain.st_mtime_ns != packed.st_mtime_ns or packed.st_size < 18:
        return False
    return int.from_bytes(os.pread(fd, 4, packed.st_size - 4), "little") == plain.st_size & 0xFFFFFFFF


def _size(name: str) -> int:
    try:
        return os.lstat(name).st_size
    except OSError:
        return 0
