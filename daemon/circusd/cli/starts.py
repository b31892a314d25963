"""How the last start went, as text: what each watcher waited for and took, the critical chain marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.cli.render import clock_of
from circusd.cli.terminal import Style, clean, columns

Reply = Mapping[str, Any]

NONE = "-"
_HEADER = ("", "WATCHER", "TOOK", "WAITED", "READY AT", "AFTER")
_COLORS = ("bold", "", "cyan", "", "", "dim")


def timeline(reply: Reply, style: Style) -> str:
    """The reply of ``timeline``."""
    rows = reply.get("watchers") or ()
    if not rows:
        return "nothing was started"
    lines = [style.paint(_heading(reply), "bold")]
    chain = [clean(str(name)) for name in reply.get("chain") or ()]
    if len(chain) > 1:
        lines.append(f"Critical chain: {' → '.join(chain)}")
    cells = [_cells(row, None if reply.get("last") else reply.get("since")) for row in rows]
    return "\n".join(
        [*lines, "", *columns(cells, style, header=_HEADER, right=(2, 3, 4), colors=[_COLORS] * len(cells))]
    )


def _heading(reply: Reply) -> str:
    took = reply.get("took")
    parts = [f"The start took {_seconds(took)}" if took is not None else "The start goes on"]
    if reply.get("under_way"):
        parts.append(f"{reply['under_way']} on the way yet")
    return ", ".join(parts)


def _cells(row: Mapping[str, Any], since: Any) -> list[str]:
    at = row.get("failed") or row.get(row.get("until") or "ready")
    when = NONE if at is None else clock_of(at) if since is None else f"+{_seconds(at - since)}"
    note = clean(str(row.get("after") or ""))
    if row.get("error"):
        note = f"failed: {clean(str(row['error']))}"
    elif row.get("waits"):
        note = f"waits for {clean(str(row['waits']))}"
    return [
        "*" if row.get("critical") else "",
        clean(str(row.get("name"))),
        _seconds(row.get("took")),
        _seconds(row.get("waited")),
        when,
        note,
    ]


def _seconds(value: Any) -> str:
    return NONE if value is None else f"{max(0.0, value):.2f} s"
