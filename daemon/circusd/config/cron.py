"""Schedules as crontabs have them, in a time zone: which moments there are, and what is wrong with one.

cronsim knows the rules of Debian's cron. This module is imported where a watcher has a schedule, and by nobody else.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from circusd.schema.nearest import nearest

from .problems import Place, Report, quoted

NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LOCAL: Final = "/etc/localtime"
LONGEST: Final = 1000
"""Characters of a schedule."""
FORM: Final = "minute hour day-of-month month day-of-week, such as 0 3 * * 1-5, or @daily"

_FIELDS: Final = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")
_RANGES: Final = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L (the last) or LW (the last working day)",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT (0 and 7 are Sunday), such as MON#1 for the first and 5L for the last of a month",
}
_WORDS: Final = {
    "month": ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
    "day-of-week": ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
}
_LONG: Final = {
    **{
        name[:3].upper(): name for name in ("january", "february", "march", "april", "june", "july", "august")
    },
    **{name[:3].upper(): name for name in ("september", "october", "november", "december")},
    **{name[:3].upper(): name for name in ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday")},
    "SAT": "saturday",
}
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Cron:
    """The moments of one schedule in one time zone, in epoch seconds."""

    def __init__(self, text: str, zone: str) -> None:
        """Raises ValueError, in words, for a schedule or a zone that is none."""
        problem, _ = wrong(text)
        if problem:
            raise ValueError(problem)
        self.zone = zone_of(zone)
        self._line = NICKNAMES.get(text.strip().lower(), text)

    def after(self, moment: float) -> float | None:
        """The first moment later than that; None where there is none in the next 50 years."""
        moments = CronSim(self._line, self._at(moment))
        # In an hour that comes twice the library begins with the first of them, which is over.
        return next((at for found in moments if (at := found.timestamp()) > moment), None)

    def last(self, moment: float) -> float | None:
        """The last moment not later than that; None where there was none in the 50 years before."""
        moments = CronSim(self._line, self._at(moment + 1), reverse=True)
        return next((at for found in moments if (at := found.timestamp()) <= moment), None)

    def _at(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self.zone)

    def words(self, moment: float, now: float) -> str:
        """The moment as people say it: ``today at 03:00``, ``tomorrow at 03:00``, ``Mon 7 Dec at 03:00``."""
        at, today = self._at(moment), self._at(now).date()
        clock = at.strftime("%H:%M:%S" if at.second else "%H:%M")
        days = (at.date() - today).days
        near = {0: "today", 1: "tomorrow", -1: "yesterday"}.get(days)
        if near is None:
            near = f"{at:%a} {at.day} {at:%b}" + (f" {at.year}" if at.year != today.year else "")
        return f"{near} at {clock} {self.zone_name}"

    @property
    def zone_name(self) -> str:
        """As the zone is called where it is shown."""
        return self.zone.key or "local time"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, or this machine's own where there is none. Raises ValueError."""
    if not name:
        return _own_zone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{quoted(name)} is no time zone") from None


def _own_zone() -> ZoneInfo:
    """What ``TZ`` says, or the file that says it for the machine; UTC where nothing does."""
    told = os.environ.get("TZ", "").lstrip(":")
    linked = os.path.realpath(LOCAL).partition("/zoneinfo/")[2]
    for name in (told, linked if not told else ""):
        if name:
            try:
                return ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                continue
    try:
        with open(LOCAL, "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return ZoneInfo("UTC")


def check(schedule: str, zone: str, at: Place, zone_at: Place, report: Report) -> None:
    """What is wrong with a schedule or with its zone goes to the report."""
    problem, hint = wrong(schedule)
    if problem:
        report.error(at, problem, FORM, hint)
    try:
        zone_of(zone)
    except ValueError as error:
        near = nearest(zone, available_timezones())
        hint = f"did you mean {near}?" if near else ""
        report.error(zone_at, str(error), "a name such as Europe/Berlin or UTC", hint)


def wrong(text: str) -> tuple[str, str]:
    """What is wrong with a schedule, and what was probably meant; both may be empty."""
    line = text.strip()
    if line.startswith("@"):
        return _wrong_nickname(line)
    parts = line.split()
    if len(line) > LONGEST or len(parts) not in (5, 6):
        return f"has {len(parts)} fields and not 5, or 6 with seconds first", ""
    for name, part in zip(_FIELDS[-len(parts) :], parts, strict=True):
        fields = ["*"] * 6
        fields[_FIELDS.index(name)] = part
        if not _is_read(" ".join(fields)):
            return f"{quoted(part)} is no {name}, which is {_RANGES[name]}", _meant(name, part)
    if not _is_read(line) or next(CronSim(line, _START), None) is None:
        return f"{quoted(line)} never comes", ""
    return "", ""


def _wrong_nickname(line: str) -> tuple[str, str]:
    if line.lower() in NICKNAMES:
        return "", ""
    if line.lower() == "@reboot":
        return "@reboot is no time", "what is to run when circusd starts has autostart and no schedule"
    near = nearest(line, NICKNAMES)
    known = ", ".join(NICKNAMES)
    return f"{quoted(line)} is none of {known}", f"did you mean {near}?" if near else ""


def _is_read(line: str) -> bool:
    try:
        CronSim(line, _START)
    except (CronSimError, ValueError, TypeError, AssertionError):
        return False
    return True


def _meant(name: str, part: str) -> str:
    for word in re.findall(r"[^\W\d_]+", part):
        if word.upper() in _WORDS.get(name, ()):
            continue
        long = nearest(word.lower(), (_LONG[short] for short in _WORDS.get(name, ()) if short in _LONG))
        near = long[:3].upper() if long else nearest(word.upper(), _WORDS.get(name, ()))
        if near:
            return f"did you mean {near}?"
    return ""
