"""Where output goes as text: a line for each place, and below it what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from circusd.cli.terminal import Style, clean, columns, size, span

Reply = Mapping[str, Any]

_COLORS: Final = {"ok": "green", "failing": "red", "dropping": "red", "none": "dim"}
_SIGNS: Final = {"ok": "●", "failing": "▲", "dropping": "▲", "none": "○"}
_OTHER: Final = ("yellow", "◐")
_HEADER: Final = ("WATCHER", "STREAM", "STATE", "TAKEN", "WAITS", "OF", "LOST", "GOES TO")
_AMOUNTS: Final = (3, 4, 5, 6)
_QUEUE: Final = 5
WIDE: Final = 100
"""Cells of a terminal that has room for all columns."""


def sinks(reply: Reply, style: Style) -> str:
    """The reply of ``sinks``; the state by a sign and a word, never by its colour alone."""
    rows = list(reply.get("sinks", ()))
    kept = [at for at in range(len(_HEADER)) if at != _QUEUE or not style.terminal or style.width >= WIDE]

    def shown(cells: Sequence[str]) -> list[str]:
        return [cells[at] for at in kept]

    lines = columns(
        [shown(_row(row)) for row in rows],
        style,
        header=shown(_HEADER) if style.terminal and rows else (),
        right=[kept.index(at) for at in kept if at in _AMOUNTS],
        colors=[shown(_colors(row)) for row in rows],
    )
    now = float(reply.get("time") or 0)
    for row in rows:
        if row.get("failing"):
            lines.append(style.paint(clean(_trouble(row, now)), "red"))
    return "\n".join(lines) or "no watchers"


def _row(row: Mapping[str, Any]) -> list[str]:
    state = str(row.get("state"))
    amounts = [
        size(row[key]) if isinstance(row.get(key), int) else "-"
        for key in ("taken_bytes", "waiting_bytes", "queue_bytes", "dropped_bytes")
    ]
    return [
        clean(str(row.get("watcher"))),
        clean(_stream(row)),
        clean(f"{_SIGNS.get(state, _OTHER[1])} {state}"),
        *amounts,
        clean(str(row.get("place") or "the history only")),
    ]


def _stream(row: Mapping[str, Any]) -> str:
    return f"{row.get('stream')}.{row['name']}" if row.get("name") else str(row.get("stream"))


def _colors(row: Mapping[str, Any]) -> list[str]:
    state = _COLORS.get(str(row.get("state")), _OTHER[0])
    return ["", "", state, "", "dim", "dim", "red" if row.get("dropped_bytes") else "dim", ""]


def _trouble(row: Mapping[str, Any], now: float) -> str:
    since = row.get("since")
    ago = f" for {span(now - since)}" if isinstance(since, int | float) and now else ""
    return f"{row.get('watcher')} {_stream(row)}, {row.get('place')}: {row.get('failing')}{ago}"


def files(reply: Reply, style: Style) -> str:
    """The reply of ``rotate`` and ``reopen``."""
    done = "rotated" if "rotated" in reply else "reopened"
    lines = [clean(f"{done} {path}") for path in reply.get(done, ())]
    why = "with the end of the line that is open in it" if done == "rotated" else "when its disk answers"
    lines += [clean(f"{path} will be {done} {why}") for path in reply.get("pending", ())]
    return "\n".join(lines) or f"no file is to be {done}"
