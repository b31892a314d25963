"""The crash reports on disk, so that they outlive the daemon.

Lines of JSON: the first one has ``version``, each further one a report as `Kept` names its parts. A line that is none of ours is
passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from circusd.schema.wire import encode

from .statefile import Form, StateFile, StateFolder

FILE: Final = "crashes.jsonl"
VERSION: Final = 1

REPORT_BYTES: Final = 64 << 10
"""Of one report; a longer one has fewer lines of output."""
TOTAL_BYTES: Final = 2 << 20
"""Of all reports together."""

_NUMBER: Final = 1 << 53


class Kept(NamedTuple):
    """One report, as it is kept in memory and on disk."""

    watcher: str
    id: int
    """Counts from 1 for each watcher."""
    report: bytes
    """A JSON object: all that was found out when it was made."""
    alike: str
    """A hash of what further ends have to be like to be counted with it."""
    ends: int
    """How many it stands for."""
    last: float
    """Epoch seconds: when the last of these was."""
    last_pid: int | None
    next: str
    """What happened after that one,"""
    next_try: float | None
    """and when it was to be tried again (epoch seconds)."""
    others: int = 0
    """Failures after it that were too many to be looked at."""


def dump(rows: Sequence[Kept], now: float) -> bytes:
    """The file's content."""
    lines = [encode({"version": VERSION})]
    for row in rows:
        head = encode({**row._asdict(), "report": None})
        # The report is text of JSON already.
        lines.append(head.replace(b'"report":null', b'"report":' + row.report, 1))
    return b"\n".join(lines) + b"\n"


def parse(data: bytes, now: float) -> list[Kept]:
    """The reports of a file, oldest first. Raises ValueError if it is of another version."""
    lines = data.split(b"\n")
    first = _object(lines[0])
    if first.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}")
    return [row for row in map(_row, lines[1:]) if row is not None]


def _object(line: bytes) -> dict[str, Any]:
    try:
        # Words such as NaN, which Python takes, are no JSON to those who are told.
        found = json.loads(line, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _no_json(word: str) -> Any:
    raise ValueError(word)


def _row(line: bytes) -> Kept | None:
    found = _object(line)
    report = found.get("report")
    texts = ("watcher", "alike", "next")
    if not isinstance(report, dict) or not all(isinstance(found.get(key), str) for key in texts):
        return None
    for key, least in (("id", 1), ("ends", 1), ("last", 0), ("others", 0)):
        value = found.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < _NUMBER:
            return None
    pid, again = found.get("last_pid"), found.get("next_try")
    return Kept(
        found["watcher"],
        int(found["id"]),
        encode(report),
        found["alike"],
        int(found["ends"]),
        float(found["last"]),
        pid if isinstance(pid, int) else None,
        found["next"],
        float(again) if isinstance(again, int | float) else None,
        int(found["others"]),
    )


class CrashFile(StateFile[Kept]):
    """The file of one daemon."""

    def __init__(self, folder: StateFolder) -> None:
        super().__init__(folder, Form(FILE, 4 * TOTAL_BYTES, "crash reports", parse, dump))
