"""Schedules and runs as text: when a watcher runs next, and how its runs have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.cli.render import clock_of
from circusd.cli.terminal import Style, clean, columns
from circusd.core.words import duration

Reply = Mapping[str, Any]

NONE = "-"
COLORS: Mapping[str, str] = {
    "succeeded": "green",
    "failed": "red",
    "timed out": "red",
    "lost": "red",
    "running": "cyan",
    "skipped": "yellow",
    "missed": "yellow",
}
"""Of results; others are told plainly."""


def schedules(reply: Reply, style: Style) -> str:
    """The reply of ``schedule``."""
    now = float(reply.get("time") or 0)
    rows, colors = [], []
    for row in reply.get("watchers") or ():
        last = row.get("running") or row.get("last") or {}
        result = str(last.get("result") or NONE)
        zone = f" {row['timezone']}" if row.get("timezone") else ""
        rows.append(
            [
                clean(str(row.get("name"))),
                clean(f"{row.get('schedule')}{zone}"),
                _next(row, now),
                moment(last.get("began")),
                clean(result),
            ]
        )
        colors.append(("bold", "", "", "dim", COLORS.get(result, "")))
    header = ("WATCHER", "SCHEDULE", "NEXT RUN", "LAST RUN", "RESULT")
    if not rows:
        return "no watcher has a schedule"
    return "\n".join(columns(rows, style, header=header, colors=colors))


def _next(row: Mapping[str, Any], now: float) -> str:
    if not row.get("next"):
        return "never" if row.get("in_force") else "not in force"
    left = f", in {duration(max(0.0, float(row['next']) - now))}" if now else ""
    return clean(f"{row.get('next_text')}{left}")


def runs(reply: Reply, style: Style) -> str:
    """The reply of ``runs``."""
    rows, colors = [], []
    for row in reply.get("runs") or ():
        result = str(row.get("result"))
        why = f"by {row['by']}" if row.get("by") else str(row.get("why") or NONE)
        rows.append(
            [
                str(row.get("number")),
                moment(row.get("planned")),
                moment(row.get("began")) if result not in ("skipped", "missed") else NONE,
                duration(float(row["took"])) if isinstance(row.get("took"), int | float) else NONE,
                clean(result + (f" ×{row['times']}" if int(row.get("times") or 1) > 1 else "")),
                _code(row),
                clean(why),
                clean(str(row.get("text") or "")),
            ]
        )
        colors.append(("", "dim", "", "", COLORS.get(result, ""), "", "dim", ""))
    header = ("RUN", "PLANNED", "BEGAN", "TOOK", "RESULT", "EXIT", "WHY", "")
    if not rows:
        return f"{clean(str(reply.get('watcher')))} has not run yet"
    return "\n".join(columns(rows, style, header=header, right=(0, 3), colors=colors))


def run(reply: Reply, style: Style) -> str:
    """The reply of ``run``: how it has ended, where that was waited for."""
    told = reply.get("results") or {reply.get("watcher"): reply}
    return "\n".join(_ended(str(name), one.get("run"), style) for name, one in told.items())


def _ended(name: str, row: Mapping[str, Any] | None, style: Style) -> str:
    if not row:
        return "ok"
    result = str(row.get("result"))
    why = f": {row['text']}" if row.get("text") else ""
    took = f" after {duration(float(row['took']))}" if isinstance(row.get("took"), int | float) else ""
    painted = style.paint(clean(result), COLORS.get(result, ""))
    return f"{clean(name)}: run {row.get('number')} {painted}{clean(took + why)}"


def exit_code(reply: Reply) -> int | None:
    """That of what was run: its own, 128 and more for a signal; None where nothing tells one."""
    row = reply.get("run")
    if not isinstance(row, Mapping):
        return None
    if row.get("signal"):
        return 128 + int(row["signal"])
    if row.get("code") is None or (row.get("result") != "succeeded" and not row["code"]):
        return None if row.get("result") == "succeeded" else 1
    return int(row["code"])


def moment(value: Any) -> str:
    """A moment as the clock of this machine shows it."""
    return NONE if value is None else clock_of(float(value), "%Y-%m-%d %H:%M:%S").partition(".")[0]


def _code(row: Mapping[str, Any]) -> str:
    if row.get("signal"):
        return f"signal {row['signal']}"
    return NONE if row.get("code") is None else str(row["code"])
