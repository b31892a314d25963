"""What watchers and processes take, as text: lines that rise and fall, trees, one process in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from circusd.cli.render import clock_of
from circusd.cli.terminal import Style, clean, columns, size, span

Reply = Mapping[str, Any]

BARS = "▁▂▃▄▅▆▇█"
GAP = " "
LINE_CELLS = 30

_HISTORY = ("NAME", "CPU", "NOW", "MOST", "MEMORY", "NOW", "MOST", "RUN", "RESTARTS")
_HISTORY_COLORS = ("", "cyan", "", "dim", "magenta", "", "dim", "", "")
_SHOWN = range(len(_HISTORY))
_SHOWN_NARROW = (0, 1, 2, 5)
_WHOLE_FROM = 78
"""Cells from which all columns of a history are seen; where there are fewer, how it is now matters most."""

NONE = "-"


def spark(values: Sequence[float | None], cells: int, *, least: float = 0.0) -> str:
    """The values as bars of eighths, each line with its own scale from 0; gaps where nothing ran.

    The scale reaches at least to ``least``, so that what is next to nothing does not look like much.
    """
    if not values or cells < 1:
        return ""
    count = min(cells, len(values))
    points = []
    for i in range(count):
        part = [v for v in values[i * len(values) // count : (i + 1) * len(values) // count] if v is not None]
        points.append(max(part) if part else None)
    top = max((point for point in points if point is not None), default=0)
    top = max(top, least)
    last = len(BARS) - 1
    return "".join(
        GAP if point is None else BARS[0] if top <= 0 else BARS[min(last, int(point / top * last + 0.5))]
        for point in points
    )


def history(reply: Reply, style: Style) -> str:
    """The reply of ``history``: for people a line for each watcher, on a pipe one for each sample."""
    times = [float(time) for time in reply.get("times", ())]
    watchers = dict(reply.get("watchers") or {})
    if not style.terminal:
        return "\n".join(_samples(times, watchers, reply.get("daemon") or {}))
    cells = max(8, min(LINE_CELLS, (style.width - 62) // 2))
    rows = [_history_row(clean(str(name)), series, cells) for name, series in watchers.items()]
    rows.append(_history_row("circusd", reply.get("daemon") or {}, cells))
    shown = _SHOWN if style.width >= _WHOLE_FROM else _SHOWN_NARROW
    titles = _HISTORY if shown is _SHOWN else ("NAME", "", "CPU", "", "", "MEMORY")
    lines = columns(
        [[row[i] for i in shown] for row in rows],
        style,
        header=[titles[i] for i in shown],
        right=[place for place, i in enumerate(shown) if i not in (0, 1, 4)],
        colors=[[_HISTORY_COLORS[i] for i in shown]] * len(rows),
    )
    if len(times) > 1:
        lines.append(style.paint(f"{len(times)} samples of the last {span(times[-1] - times[0])}", "dim"))
    return "\n".join(lines)


def _history_row(name: str, series: Mapping[str, Any], cells: int) -> list[str]:
    cpu, rss = list(series.get("cpu", ())), list(series.get("rss", ()))
    counts = [count for count in series.get("restarts", ()) if count is not None]
    processes = [count for count in series.get("processes", ()) if count is not None]
    return [
        name,
        spark(cpu, cells),
        _percent(cpu[-1] if cpu else None),
        _percent(_most(cpu)),
        spark(rss, cells),
        _size(rss[-1] if rss else None),
        _size(_most(rss)),
        str(processes[-1]) if processes else NONE,
        str(counts[-1] - counts[0]) if counts else NONE,
    ]


def _samples(times: Sequence[float], watchers: Mapping[str, Any], daemon: Mapping[str, Any]) -> Iterable[str]:
    rows = [(clean(str(name)), series) for name, series in watchers.items()]
    for i, time in enumerate(times):
        for name, series in (*rows, ("circusd", daemon)):
            cells = [series.get(key, ())[i] for key in ("cpu", "rss", "processes", "restarts")]
            yield " ".join([clock_of(time), name, *(NONE if cell is None else str(cell) for cell in cells)])


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f} %"


def _size(value: float | None) -> str:
    return NONE if value is None else size(value)


def tree(reply: Reply, style: Style) -> str:
    """The reply of ``tree``."""
    lines = []
    for name, processes in (reply.get("watchers") or {}).items():
        lines.append(style.paint(clean(str(name)), "bold") + ("" if processes else ": no processes"))
        rows = [row for process in processes for row in _branch(process)]
        if rows:
            header = ("PID", "CPU", "MEMORY", "COMMAND")
            lines += columns(rows, style, header=header, right=(0, 1, 2), indent="  ")
    if reply.get("left_out"):
        lines.append(style.paint(f"and {reply['left_out']} more processes below them", "dim"))
    return "\n".join(lines)


def graph(reply: Reply, style: Style) -> str:
    """The reply of ``graph``."""
    if reply.get("mermaid"):
        return "\n".join(clean(line) for line in str(reply["mermaid"]).split("\n"))
    rows = [
        [
            clean(str(watcher.get("name"))),
            clean(str(watcher.get("state"))),
            ", ".join(_need(need) for need in watcher.get("needs", ())),
        ]
        for watcher in reply.get("watchers") or ()
    ]
    return "\n".join(columns(rows, style, header=("WATCHER", "STATE", "NEEDS"))) if rows else "no watchers"


def _need(need: Mapping[str, Any]) -> str:
    missing = "" if need.get("met") else " (not yet)"
    how = "" if need.get("outside") else f" {clean(str(need.get('condition')))}"
    return f"{clean(str(need.get('name')))}{how}{missing}"


def _branch(process: Mapping[str, Any]) -> Iterable[list[str]]:
    command = clean(str(process.get("command") or f"({process.get('state')})"))
    yield [*_cells(process), f"{process.get('wid')} {command}"]
    yield from _below(process.get("below", ()))


def _below(listed: Sequence[Mapping[str, Any]]) -> Iterable[list[str]]:
    for one, branch in branches(listed):
        yield [*_cells(one), "  " + branch + clean(str(one.get("command")))]


def branches(listed: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each with the branch of the tree that leads to it."""
    depths = [_depth(one) for one in listed]
    # From the end: the next one that is not deeper tells whether this one is the last below its parent.
    is_last = [True] * len(listed)
    after: set[int] = set()
    for i in range(len(listed) - 1, -1, -1):
        is_last[i] = depths[i] not in after
        after = {depth for depth in after if depth < depths[i]} | {depths[i]}
    for one, depth, last in zip(listed, depths, is_last, strict=True):
        yield one, "   " * (depth - 1) + ("└─ " if last else "├─ ")


def _depth(one: Mapping[str, Any]) -> int:
    depth = one.get("depth")
    return min(max(depth, 1), 20) if isinstance(depth, int) else 1


def _cells(one: Mapping[str, Any]) -> list[str]:
    cpu, rss = one.get("cpu"), one.get("rss")
    return [str(one.get("pid") or NONE), _percent(cpu), _size(rss)]


def process(reply: Reply, style: Style) -> str:
    """The reply of ``process``."""
    shown = reply.get("process") or {}
    head = clean(f"{reply.get('watcher')} {shown.get('wid')}: {shown.get('state')}")
    lines = [style.paint(head, "bold") + clean(f", pid {reply['pid']}" if reply.get("pid") else "")]
    stats = reply.get("stats") or {}
    lines += _table("", [(key, _figure(key, value)) for key, value in stats.items()], style)
    lines += _table(
        "Last ends",
        [(_clock(end.get("time")), clean(str(end.get("text")))) for end in reply.get("ends", ())],
        style,
    )
    below = list(_below(reply.get("below") or ()))
    if below:
        lines += ["", style.paint("Below it", "bold"), *columns(below, style, right=(0, 1, 2), indent="  ")]
    limits = [
        (
            clean(str(row.get("name"))),
            f"{_limit(row.get('soft'))} / {_limit(row.get('hard'))} {clean(str(row.get('unit')))}".rstrip(),
        )
        for row in reply.get("limits", ())
    ]
    lines += _table("Limits (soft / hard)", limits, style)
    variables = reply.get("environment")
    if isinstance(variables, Mapping):
        pairs = [(clean(str(key)), clean(str(value))) for key, value in variables.items()]
        lines += _table("Environment at its start", pairs, style)
    files = reply.get("files") or {}
    if files:
        pairs = [
            (str(one.get("fd")), clean(str(one.get("socket") or one.get("target"))))
            for one in files.get("files", ())
        ]
        lines += _table(f"Files: {files.get('count')} open", pairs, style)
    return "\n".join(lines)


def _table(title: str, pairs: Sequence[tuple[str, str]], style: Style) -> list[str]:
    if not pairs:
        return []
    lines = ["", style.paint(title, "bold")] if title else []
    return lines + columns(pairs, style, colors=[("cyan", "")] * len(pairs), indent="  ", whole=True)


def _clock(time: Any) -> str:
    return clock_of(float(time or 0))


def _limit(value: Any) -> str:
    return "unlimited" if value is None else str(value)


def _figure(key: str, value: Any) -> str:
    if value is None:
        return NONE
    if key in ("rss", "pss", "vms", "swap", "rss_peak", "rchar", "wchar", "read_bytes", "write_bytes"):
        return size(value)
    if key == "cpu":
        return _percent(value)
    if key in ("age", "cpu_time"):
        return span(value) if key == "age" else f"{value} s"
    return clean(str(value))
