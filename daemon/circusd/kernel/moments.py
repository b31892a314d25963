"""Moments as people write them: ``10 min ago``, ``yesterday``, ``14:05``, ``2026-03-01 14:05:09``, epoch seconds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

FORMS: Final = "10 min ago, yesterday, 14:05, 2026-03-01 14:05, or seconds since 1970"
"""Examples for a message."""

_UNITS: Final = {
    "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86400, "day": 86400, "w": 604800, "week": 604800,
}  # fmt: skip
_PART: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]+)")
_NUMBER: Final = re.compile(r"@?(\d{1,12}(?:\.\d{1,9})?)")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_DAYS: Final = {"today": 0, "yesterday": -1}
_LONGEST: Final = 64


def moment(text: str, now: float) -> float:
    """Epoch seconds of a moment, as seen at `now` in the time zone of this process. Raises ValueError, with what was expected."""
    words = text.strip().lower()
    if len(words) > _LONGEST:
        raise ValueError(f"is no moment; expected such as {FORMS}")
    if found := _NUMBER.fullmatch(words):
        return float(found[1])
    if words == "now":
        return now
    try:
        for parse in (_ago, _clock, _date):
            told = parse(words, now)
            if told is not None:
                return told
    except (ValueError, OverflowError, OSError):
        pass
    raise ValueError(f"is no moment; expected such as {FORMS}")


def _ago(words: str, now: float) -> float | None:
    """``10 min ago``, ``1 h 30 min ago``, or the same with a minus before it."""
    is_ago = words.endswith(" ago")
    if not is_ago and not words.startswith("-"):
        return None
    rest = words.removesuffix("ago").removeprefix("-").strip()
    seconds, at = 0.0, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        unit = None if found is None else _UNITS.get(found[2]) or _UNITS.get(found[2].removesuffix("s"))
        if found is None or unit is None:
            return None
        seconds += float(found[1]) * unit
        at = found.end()
    return now - seconds if rest else None


def _clock(words: str, now: float) -> float | None:
    """A time of today, or the beginning of a day by its name."""
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 (the person's own zone)
    if words in _DAYS:
        return (midnight + timedelta(days=_DAYS[words])).timestamp()
    found = _CLOCK.fullmatch(words)
    if found is None:
        return None
    return midnight.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 0)).timestamp()


def _date(words: str, now: float) -> float | None:
    """A date, with a time or without, with a zone or in that of this process."""
    return datetime.fromisoformat(words.upper()).timestamp()
