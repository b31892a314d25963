"""The runs of scheduled watchers on disk, so that they outlive the daemon.

The format is JSON: ``version``, ``written``, and for each watcher its ``name``, up to when the moments of its schedule are
``decided`` (null while it is not in force), and its ``runs``, the oldest first, as the command ``runs`` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from circusd.core.schedule import KEPT_EACH
from circusd.schema.wire import encode

from .statefile import Form, StateFile, StateFolder, moment_of, read_json, written

FILE: Final = "runs.json"
VERSION: Final = 1

LIMIT_BYTES: Final = 32 << 20
"""A longer file was not written by us."""
KEPT_ALL = 5000
"""Runs of all watchers together."""
TEXT_LIMIT: Final = 300
"""Characters of a sentence, and of a name."""
LOGS: Final = 8
"""Streams of one run whose lines are known."""

PLAIN: Final[dict[str, tuple[type, ...]]] = {
    "number": (int,),
    "why": (str,),
    "by": (str,),
    "planned": (int, float, type(None)),
    "began": (int, float),
    "ended": (int, float, type(None)),
    "took": (int, float, type(None)),
    "result": (str,),
    "code": (int, type(None)),
    "signal": (int, type(None)),
    "text": (str,),
    "times": (int,),
    "lines": (dict,),
    "life": (str,),
}
"""What is known of a run, and of which types it is."""


class Kept(NamedTuple):
    """One watcher as the file has it."""

    name: str
    """In lower case."""
    decided: float | None
    runs: tuple[dict[str, Any], ...]


def dump(watchers: Sequence[Kept], now: float) -> bytes:
    """The file's content, written at `now`."""
    rows = [
        {"name": w.name, "decided": None if w.decided is None else written(w.decided), "runs": w.runs}
        for w in watchers
    ]
    return encode({"version": VERSION, "written": written(now), "watchers": rows}) + b"\n"


def parse(data: bytes, now: float) -> list[Kept]:
    """The watchers of a file. Raises ValueError, with what is wrong, if anything is."""
    return [_kept(row) for row in read_json(data, VERSION, "watchers")["watchers"]]


def _kept(row: Any) -> Kept:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ValueError("a watcher in it has no name")
    runs = row.get("runs")
    if not isinstance(runs, list):
        raise ValueError("a watcher in it has no list of runs")
    decided = None if row.get("decided") is None else moment_of(row, "decided")
    return Kept(row["name"], decided, tuple(_run(run) for run in runs[-KEPT_EACH:]))


def _run(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError("a run in it is no object")
    for name, types in PLAIN.items():
        if not isinstance(row.get(name), types) or isinstance(row.get(name), bool):
            raise ValueError(f"{name} of a run in it is wrong")
    for name in ("planned", "began", "ended"):
        if row[name] is not None:
            moment_of(row, name)
    lines = row["lines"]
    if len(lines) > LOGS or not all(_is_span(span) for span in lines.values()):
        raise ValueError("the lines of a run in it are wrong")
    return {name: row[name][:TEXT_LIMIT] if isinstance(row[name], str) else row[name] for name in PLAIN}


def _is_span(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(type(number) is int for number in span)


FORM: Final = Form(FILE, LIMIT_BYTES, "runs", parse, dump, key=lambda watcher: watcher.name)


def runs_in(folder: StateFolder) -> StateFile[Kept]:
    """The runs that are kept in this folder."""
    return StateFile(folder, FORM)
