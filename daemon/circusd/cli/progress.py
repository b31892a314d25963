"""A line on the terminal that says how far a command is, rewritten in place and gone at its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from circusd.cli.terminal import Style, clean, cut

_BEGINNING_OF_LINE, _REST_OF_LINE = "\r", "\x1b[K"


class Progress:
    """Shows the rows that the daemon pushes, on standard error; to be used in a with block."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._shown = False

    def show(self, row: Mapping[str, Any]) -> None:
        """The line is that of this row."""
        # One cell stays free: a terminal that is full goes on below, where nothing is taken away.
        text = cut(line_of(row), max(1, self._style.width - 1))
        sys.stderr.write(_BEGINNING_OF_LINE + self._style.paint(text, "dim") + _REST_OF_LINE)
        sys.stderr.flush()
        self._shown = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write(_BEGINNING_OF_LINE + _REST_OF_LINE)
            sys.stderr.flush()


def line_of(row: Mapping[str, Any]) -> str:
    """A command on its way in one line: ``reload web: 1 of 3, process 5 is not ready yet: it has not said READY=1``."""
    what = clean(" ".join(filter(None, (str(row.get("command")), str(row.get("watcher") or "")))))
    counted = ""
    if row.get("total"):
        unit = " watchers" if row.get("unit") == "watcher" and row["total"] != 1 else ""
        counted = f"{row.get('done')} of {row['total']}{unit}"
    if row.get("state") == "waiting":
        counted = ", ".join(filter(None, ("waiting", counted if row.get("done") else "")))
    told = ", ".join(filter(None, (counted, clean(str(row.get("text") or "")))))
    return f"{what}: {told}" if told else what
