"""What ``circus-top`` shows, as lines of the width and number that a terminal has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from circusd.cli.figures import spark
from circusd.cli.loads import ALIVE, Process, Source
from circusd.cli.render import STATE_COLORS
from circusd.cli.terminal import Style, clean, cut, size, span, width_of
from circusd.cli.toprows import Row, View

NAME_CELLS = (12, 44)
"""The least and the most that names get."""

TREND_CELLS = 20
"""The most that a line of the last seconds gets."""

NOTE_CELLS = 32
"""The most that what is to be said of a state gets where there is a command beside it."""

_LATELY = "LATELY"
_LEAST_CPU = 10.0
_LEAST_SHOWN = 0.05
_HOT, _WARM = 90.0, 50.0
_KERNEL_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "on disk",
    "Z": "zombie",
    "T": "stopped",
    "t": "traced",
    "I": "idle",
}
_LEVELS = {"needs": ("yellow", "bold"), "busy": ("cyan",)}


class Sight(NamedTuple):
    """All that a page is made from."""

    source: Source
    view: View
    rows: Sequence[Row]
    style: Style
    width: int
    height: int
    is_old: bool = False
    """Whether nothing new comes at present."""


class Column(NamedTuple):
    """One column of the table, as wide as it is at least."""

    name: str
    title: str
    cells: int
    text: Callable[[Sight, Row], str]
    color: Callable[[Sight, Row], str] = lambda sight, row: ""
    right: bool = False
    order: str = ""
    """The order that goes by it."""


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """The text in exactly so many cells; nothing in it commands the terminal."""
    # However long a name is, no more of it is looked at than could be seen.
    shown = cut(clean(text[: 4 * cells + 4]), cells)
    pad = " " * (cells - width_of(shown))
    return pad + shown if right else shown + pad


def head(sight: Sight) -> list[str]:
    """The lines above the table: which daemon, what it takes in all, and what it says of its watchers."""
    source, style, width = sight.source, sight.style, sight.width
    lines = [_title(sight)]
    groups = source.groups
    cpu, mem = sum(group.cpu for group in groups), sum(group.mem for group in groups)
    running = sum(process.pid is not None for group in groups for process in group.processes)
    is_wide = width >= 76
    counts = _count(len(groups), "watcher") + (f", {_count(running, 'process')}" if is_wide else "")
    told = [
        (f"CPU {percent(sight, cpu)}{_of_all(sight) if is_wide else ''}", "bold"),
        (spark(source.past.of()[-12:], 12, least=_LEAST_CPU).rjust(12) if is_wide else "", "cyan"),
        (_memory_of_all(sight, mem) if is_wide else _memory(source, mem), "bold"),
        (counts, ""),
    ]
    lines.append(_joined(told, style, width))
    level, text = source.lead()
    if text and sight.height >= 14:
        lines.append(style.paint(fit(text, width).rstrip(), *_LEVELS.get(level, ("dim",))))
    return lines


def _title(sight: Sight) -> str:
    source, style, width = sight.source, sight.style, sight.width
    up = source.up()
    itself = source.itself()
    right = ""
    if itself is not None and width >= 70:
        cpu, mem, lag = itself
        right = f"circusd {cpu:.1f} %, {size(mem)}" + (f", {lag * 1000:.0f} ms late" if lag >= 0.05 else "")
    left = fit(source.title(), max(0, min(60, width - len(right) - 16))).rstrip()
    since = f"  up {up}" if up else ""
    room = width - width_of(left) - len(since) - len(right)
    if room < 1:
        return style.paint(fit(source.title(), width).rstrip(), "bold")
    return style.paint(left, "bold") + style.paint(since, "dim") + " " * room + style.paint(right, "dim")


def _joined(parts: Sequence[tuple[str, str]], style: Style, width: int) -> str:
    """The parts side by side, as many as there is room for."""
    shown, left = [], width
    for text, color in parts:
        if text and width_of(text) <= left:
            shown.append(style.paint(text, *filter(None, (color,))))
            left -= width_of(text) + 2
    return "  ".join(shown)


def table(sight: Sight, rows: Sequence[Row]) -> list[str]:
    """The header and these rows."""
    columns = layout(sight)
    current = sight.view.current(sight.rows)
    return [_header(sight, columns), *(_line(sight, columns, row, is_current=row is current) for row in rows)]


def layout(sight: Sight) -> list[tuple[Column, int]]:
    """The columns that there is room for, in their order, each with its cells."""
    gap = gap_of(sight)
    longest = min(max((_label_cells(row) for row in sight.rows), default=0), NAME_CELLS[1])
    longest += len(MARKED) if sight.view.marked else 0
    cells = {"name": max(NAME_CELLS[0], min(longest, sight.width * 3 // 10))}
    cells |= {name: _COLUMNS[name].cells for name in _ALWAYS}
    left = sight.width - sum(cells.values()) - gap * (len(cells) - 1)
    for name in _more(sight):
        if left >= _COLUMNS[name].cells + gap:
            cells[name] = _COLUMNS[name].cells
            left -= cells[name] + gap
    for name, most in (("name", longest), ("note", NOTE_CELLS), ("trend", TREND_CELLS)):
        if name in cells and left > 0:
            more = min(left, max(0, most - cells[name]))
            cells[name] += more
            left -= more
    flexible = next((name for name in ("command", "note") if name in cells), "name")
    cells[flexible] += max(left, 0)
    return [(_COLUMNS[name], cells[name]) for name in _COLUMNS if name in cells]


def gap_of(sight: Sight) -> int:
    """Cells between two columns."""
    return 1 if sight.width < 100 else 2


def _more(sight: Sight) -> tuple[str, ...]:
    if sight.width < _PID_FROM:
        return ()
    if sight.source.mem_title != "RSS":
        return ("pid", "age", "trend")
    return ("pid", "age", "trend", "note", "lines", "restarts", "command")


def _header(sight: Sight, columns: Sequence[tuple[Column, int]]) -> str:
    parts = []
    for column, cells in columns:
        title = sight.source.mem_title if column.name == "mem" else column.title
        is_first = column.order == sight.view.sort
        if is_first:
            title += "▲" if sight.view.reverse else "▼"
        parts.append(
            sight.style.paint(fit(title, cells, right=column.right), *(("bold",) if is_first else ("dim",)))
        )
    return (" " * gap_of(sight)).join(parts)


def _line(sight: Sight, columns: Sequence[tuple[Column, int]], row: Row, *, is_current: bool) -> str:
    gap = " " * gap_of(sight)
    texts = []
    for column, cells in columns:
        text = column.text(sight, row)
        # Of the past the end counts.
        text = text[-cells:] if column.title == _LATELY else text
        texts.append((column, fit(text, cells, right=column.right)))
    if is_current:
        return sight.style.paint(fit(gap.join(text for _, text in texts), sight.width), "reverse")
    if sight.is_old:
        return sight.style.paint(gap.join(text for _, text in texts), "dim")
    return gap.join(
        sight.style.paint(text, *filter(None, (column.color(sight, row),))) for column, text in texts
    )


def percent(sight: Sight, cpu: float) -> str:
    """The use of the processor, in per cent of what was chosen."""
    return f"{_share(sight, cpu):.1f} %"


def _share(sight: Sight, cpu: float) -> float:
    return cpu / sight.source.cores if sight.view.of_machine and sight.source.cores else cpu


def _of_all(sight: Sight) -> str:
    cores = sight.source.cores
    if not cores:
        return ""
    return f" of {_count(cores, 'processor')}" if sight.view.of_machine else f" of {100 * cores} %"


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def _memory_of_all(sight: Sight, mem: float) -> str:
    total = sight.source.mem_total if sight.width >= 92 else 0
    return f"memory {_memory(sight.source, mem)}" + (f" of {size(total)}" if total else "")


def _memory(source: Source, mem: float) -> str:
    return size(mem) if source.mem_title == "RSS" else f"{mem:.1f} %"


# --- cells ---------------------------------------------------------------------------------------------------------


MARKED = "✓ "


def _label(sight: Sight, row: Row) -> str:
    return _gutter(sight, row) + row.mark + _plain_label(sight, row)


def _gutter(sight: Sight, row: Row) -> str:
    """Which rows are marked, where there are any."""
    if not sight.view.marked:
        return ""
    return MARKED if row.key in sight.view.marked else " " * len(MARKED)


def _plain_label(sight: Sight, row: Row) -> str:
    if row.below is not None:
        return str(row.below.get("command") or "?")
    if row.process is None:
        return row.group.name
    pid = str(row.process.pid or "")
    name = row.process.wid or pid
    shows_pid = sight.width < _PID_FROM and row.process.wid
    if sight.view.view == "flat":
        return f"{pid} {row.group.name} {name}" if shows_pid else f"{row.group.name} {name}"
    return f"{name}  {pid}" if shows_pid else name


def _label_cells(row: Row) -> int:
    if row.below is not None:
        return len(row.mark) + min(len(str(row.below.get("command") or "")), NAME_CELLS[1])
    return len(row.mark) + min(len(row.group.name), NAME_CELLS[1]) + (4 if row.process else 0)


def _pid(sight: Sight, row: Row) -> str:
    if row.below is not None:
        return str(row.below.get("pid") or "")
    if row.process is not None:
        return str(row.process.pid or "-")
    alive = sum(_is_alive(process) for process in row.group.processes)
    return str(alive) if row.group.wanted is None else f"{alive}/{row.group.wanted}"


def _is_alive(process: Process) -> bool:
    return process.pid is not None and process.state in ("", *ALIVE)


def _state(sight: Sight, row: Row) -> str:
    if row.below is not None:
        state = str(row.below.get("state") or "")
        return _KERNEL_STATES.get(state, state)
    return row.process.state if row.process is not None else row.group.state


def _state_color(sight: Sight, row: Row) -> str:
    return "" if row.below is not None else STATE_COLORS.get(_state(sight, row), "")


def _figure(row: Row, key: str) -> float:
    if row.below is not None:
        value = row.below.get("rss" if key == "mem" else key)
        return float(value) if isinstance(value, int | float) else 0.0
    found: float = getattr(row.process or row.group, key)
    return found


def _runs(row: Row) -> bool:
    """Whether there are figures of it."""
    if row.process is not None:
        return row.process.pid is not None
    return any(process.pid is not None for process in row.group.processes)


def _cpu(sight: Sight, row: Row) -> str:
    return "" if not _runs(row) else f"{_share(sight, _figure(row, 'cpu')):.1f}"


def _cpu_color(sight: Sight, row: Row) -> str:
    cpu = _figure(row, "cpu")
    if cpu < _WARM:
        return "" if cpu >= _LEAST_SHOWN else "dim"
    return "red" if cpu >= _HOT else "yellow"


def _mem(sight: Sight, row: Row) -> str:
    if not _runs(row):
        return ""
    mem = _figure(row, "mem")
    return size(mem) if sight.source.mem_title == "RSS" else f"{mem:.1f}"


def _age(sight: Sight, row: Row) -> str:
    age: Any = row.below.get("age") if row.below is not None else (row.process or row.group).age
    return span(age) if isinstance(age, int | float) else ""


def _trend(sight: Sight, row: Row) -> str:
    if row.below is not None:
        return ""
    key = (row.group.key,) if row.process is None else (row.group.key, row.process.key)
    values = sight.source.past.of(*key)[-TREND_CELLS:]
    # A row of nothing but dots of ink would hide those who do something.
    return spark(
        [value if value >= _LEAST_SHOWN else None for value in values], len(values), least=_LEAST_CPU
    )


def _note(sight: Sight, row: Row) -> str:
    return "" if row.below is not None else (row.process or row.group).note


def _note_color(sight: Sight, row: Row) -> str:
    return "yellow" if row.process is None else "dim"


def _restarts(sight: Sight, row: Row) -> str:
    return "" if row.process is not None or not row.group.restarts else str(row.group.restarts)


def _lines(sight: Sight, row: Row) -> str:
    return "" if row.process is not None or not row.group.lines else f"{row.group.lines:.0f}"


def _command(sight: Sight, row: Row) -> str:
    return "" if row.process is not None else str(row.group.view.get("cmd") or "")


def _dim(sight: Sight, row: Row) -> str:
    return "dim"


def _name_color(sight: Sight, row: Row) -> str:
    return "bold" if row.process is None else ""


_COLUMNS = {
    column.name: column
    for column in (
        Column("name", "WATCHER", NAME_CELLS[0], _label, _name_color, order="name"),
        Column("pid", "PID", 7, _pid, _dim, right=True),
        Column("state", "STATE", 9, _state, _state_color, order="state"),
        Column("cpu", "CPU%", 6, _cpu, _cpu_color, right=True, order="cpu"),
        Column(
            "trend",
            _LATELY,
            8,
            _trend,
            lambda sight, row: "cyan",
            right=True,
        ),
        Column("mem", "RSS", 8, _mem, right=True, order="mem"),
        Column("age", "AGE", 8, _age, _dim, right=True, order="age"),
        Column("lines", "LINES/s", 8, _lines, right=True, order="lines"),
        Column(
            "restarts", "RESTARTS", 9, _restarts, lambda sight, row: "yellow", right=True, order="restarts"
        ),
        Column("note", "", 16, _note, _note_color),
        Column("command", "COMMAND", 20, _command, _dim),
    )
}
_ALWAYS = ("state", "cpu", "mem")
_PID_FROM = 48
