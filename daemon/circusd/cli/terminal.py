"""What a terminal is shown and how: colours, tables, spans of time, and nothing that could command it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TextIO

COLORS = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "dim": "2",
    "bold": "1",
    "reverse": "7",
}

ATTRIBUTES = ("dim", "bold", "reverse")

LEAST_CELLS = 8
"""A name is not cut shorter than this to make room."""

NAME_COLORS = ("cyan", "yellow", "green", "magenta", "blue")
"""For names that stand side by side; red is for what went wrong."""

# Control characters, what turns the direction of writing, other line ends, and bytes that are no UTF-8.
_UNSAFE = "\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_IN_NAME = re.compile(f"[\t{_UNSAFE}]")
_IN_LINE = re.compile(f"[{_UNSAFE}]")
_COLORED = re.compile(r"(\x1b\[[0-9;:]*m)")


class Style:
    """How to write to one stream: whether a person looks at it, whether in colours, how wide it is."""

    def __init__(
        self, *, terminal: bool = False, color: bool = False, width: int = 80, attributes: bool = False
    ) -> None:
        """``attributes``: what is no colour (bold, dim, reverse) is shown also where colours are not wanted."""
        self.terminal = terminal
        self.color = color
        self.width = width
        self.attributes = attributes

    def paint(self, text: str, *colors: str) -> str:
        """The text in those colours, if there are any."""
        if not self.color:
            colors = tuple(color for color in colors if color in ATTRIBUTES) if self.attributes else ()
        if not text or not colors:
            return text
        return f"\x1b[{';'.join(COLORS[color] for color in colors)}m{text}\x1b[0m"


def style_of(stream: TextIO, environ: Mapping[str, str], *, no_color: bool = False) -> Style:
    """The style for a stream: ``NO_COLOR`` and ``TERM=dumb`` switch colours off, ``CLICOLOR_FORCE`` on."""
    terminal = stream.isatty()
    color = terminal and environ.get("TERM") != "dumb"
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        color = True
    if no_color or environ.get("NO_COLOR"):
        color = False
    return Style(terminal=terminal, color=color, width=_width(stream, environ) if terminal else 80)


def clean(text: str) -> str:
    """The text on one line, with everything escaped that would not be shown as it stands."""
    return _IN_NAME.sub(_escape, text)


def clean_message(problem: object) -> str:
    """A message that may hold words of others: its lines stay lines, everything else is escaped."""
    return "\n".join(map(clean, str(problem).split("\n")))


def clean_line(text: str, *, color: bool = False) -> str:
    """A line that a process wrote: tabs stay, and its colours where they are wanted; the rest is escaped."""
    if _IN_LINE.search(text) is None:
        return text
    if not color:
        return _IN_LINE.sub(_escape, _COLORED.sub("", text))
    parts = _COLORED.split(text)
    shown = "".join(part if i % 2 else _IN_LINE.sub(_escape, part) for i, part in enumerate(parts))
    return shown + "\x1b[0m" if len(parts) > 1 else shown


def prose(text: str, style: Style) -> str:
    """A text for people: where their terminal is narrower, its lines end between words. On a pipe it is as it stands."""
    if not style.terminal or len(text) <= style.width:
        return text
    import textwrap

    return "\n".join(
        part
        for line in text.split("\n")
        for part in textwrap.wrap(line, max(20, style.width), break_long_words=False, break_on_hyphens=False)
        or [""]
    )


def columns(
    rows: Sequence[Sequence[str]],
    style: Style,
    *,
    header: Sequence[str] = (),
    right: Sequence[int] = (),
    colors: Sequence[Sequence[str]] = (),
    indent: str = "",
    whole: bool = False,
) -> list[str]:
    """The rows in aligned columns, cut at the width of the terminal unless ``whole``.

    ``right`` names the columns that are aligned to the right; ``colors`` has a colour (or "") for each cell.
    """
    cuts = style.terminal and not whole
    table = [list(header), *rows] if header else list(rows)
    if not table:
        return []
    count = max(len(row) for row in table)
    widths = [max((width_of(row[i]) for row in table if i < len(row)), default=0) for i in range(count)]
    if cuts:
        _make_room(widths, style.width - len(indent), right)
    lines = []
    for number, row in enumerate(table):
        is_header = bool(header) and number == 0
        paints = colors[number - bool(header)] if colors and not is_header else ()
        left = style.width - len(indent)
        cells = []
        for i, cell in enumerate(row):
            text = cut(cell, min(left, widths[i])) if cuts else cell
            pad = " " * (widths[i] - width_of(text))
            painted = style.paint(text, *(["dim"] if is_header else [c for c in paints[i : i + 1] if c]))
            cells.append(pad + painted if i in right else painted + (pad if i < len(row) - 1 else ""))
            left -= widths[i] + 2
            if left <= 0 and cuts:
                break
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def _make_room(widths: list[int], width: int, right: Sequence[int]) -> None:
    """Long names give way where the terminal is narrow, so that what is known of them is seen beside them.

    Numbers stay whole. The last column has what is left: it is where long texts stand.
    """
    last = len(widths) - 1
    names = [i for i in range(last) if i not in right]
    room = width - 2 * last - (widths[last] if last in right else min(widths[last], LEAST_CELLS))
    while names and sum(widths[:last]) > room:
        widest = max(names, key=lambda i: widths[i])
        if widths[widest] <= LEAST_CELLS:
            return
        widths[widest] -= 1


def width_of(text: str) -> int:
    """How many cells of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def cut(text: str, width: int) -> str:
    """The text in no more than that many cells; an ellipsis stands for the rest."""
    if width_of(text) <= width:
        return text
    if width < 1:
        return ""
    kept, left = 0, width - 1
    while (cells := _cells(text[kept])) <= left:
        left -= cells
        kept += 1
    return text[:kept] + "…"


def _cells(character: str) -> int:
    if character.isascii():
        return 1
    import unicodedata

    # What goes onto the character before it, and what is not seen at all.
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def span(seconds: float) -> str:
    """A time span in few letters: ``4 s``, ``12 min``, ``3 h 05``, ``2 d 7 h``."""
    if seconds < 120:
        return f"{max(0, round(seconds))} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d}"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def size(number: float) -> str:
    """A number of bytes in few letters: ``812 B``, ``9.4 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def color_of(name: str) -> str:
    """A colour that the same name always has."""
    return NAME_COLORS[sum(name.encode("utf-8", "backslashreplace")) % len(NAME_COLORS)]


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _width(stream: TextIO, environ: Mapping[str, str]) -> int:
    if environ.get("COLUMNS", "").isdecimal() and int(environ["COLUMNS"]) > 0:
        return int(environ["COLUMNS"])
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
