"""TOML with the line of every key: the standard library reads it, and a scan of the keys finds where they stand."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from .problems import Place, Report
from .tree import MOST_LEVELS, Node

Path = tuple[str | int, ...]

_AT = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")

# tomllib takes time with the square of the number of parts that a key has. This may find a text with very many dots,
# which then has to be written otherwise.
_LONG_KEY = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MOST_LEVELS}}}"""
)

# only single characters are possessive here: Python 3.11 has a fault with groups that are
_SPACE = re.compile(r"[ \t\r\n]*+(?:#[^\n]*+[ \t\r\n]*+)*")
_BLANK = re.compile(r"[ \t]*+")
_KEY = re.compile(r"""[A-Za-z0-9_-]++|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"|'[^'\n]*+'""")
_STRING = re.compile(
    r"""'{3}[^']*+(?:'(?!'')[^']*+)*'{3,5}|"{3}[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*"{3,5}"""
    r"""|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"|'[^'\n]*+'""",
    re.S,
)
# a date and its time may have a space between them
_BARE = re.compile(r"[^\s,\]}#]++(?:[ ][0-9][^\s,\]}#]*+)?")


def read_toml(text: str, file: str, report: Report) -> Node | None:
    """The tables of the text, each with its line; None after what can't be read went to the report."""
    if match := _LONG_KEY.search(text):
        line = text.count("\n", 0, match.start()) + 1
        report.error(Place(file, line), f"a key has more than {MOST_LEVELS} parts")
        return None
    try:
        tables = tomllib.loads(text)
        places = Scan(text).places
    except RecursionError:
        report.error(Place(file), "is nested too deeply", f"{MOST_LEVELS} levels at most")
        return None
    except ValueError as problem:
        told = str(problem)
        at = _AT.search(told)
        line = int(at[1]) if at and at[1] else text.count("\n") + 1 if at else 0
        report.error(Place(file, line), f"is no TOML: {_AT.sub('', told)}")
        return None
    return _node(tables, (), 1, places, file, report)


def _node(
    value: Any, path: Path, line: int, places: dict[Path, tuple[int, str]], file: str, report: Report
) -> Node:
    line, token = places.get(path, (line, ""))
    if isinstance(value, (dict, list)) and len(path) >= MOST_LEVELS:
        report.error(Place(file, line), "is nested too deeply", f"{MOST_LEVELS} levels at most")
        return Node({} if isinstance(value, dict) else [], line)
    if isinstance(value, dict):
        inner = {key: _node(item, (*path, key), line, places, file, report) for key, item in value.items()}
        return Node(inner, line)
    if isinstance(value, list):
        items = [
            _node(item, (*path, number), line, places, file, report) for number, item in enumerate(value)
        ]
        return Node(items, line)
    if isinstance(value, str):
        return Node(value, line)
    # 0o22 and 1.10 as they stand there; what is a number anyway without its underscores
    return Node(token.replace("_", "") if isinstance(value, (int, float)) else token, line)


class Heading(NamedTuple):
    """A line ``[…]``."""

    path: Path
    start: int
    end: int


class Pair(NamedTuple):
    """A key with its value."""

    path: Path
    heading: int
    """The number of the heading that it stands under; -1 if under none."""
    inline: Path | None
    """The table in braces that it stands in."""
    start: int
    value: int
    """Where its value begins."""
    end: int


class Scan:
    """Where each key of a text stands that is known to be TOML, and the token of each value that is no text or table."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.headings: list[Heading] = []
        self.pairs: list[Pair] = []
        self.position = 0
        self.starts = [match.end() for match in re.finditer("\n", text)]
        self.places: dict[Path, tuple[int, str]] = {}
        self.counts: dict[Path, int] = {}
        self._read()

    def _read(self) -> None:
        table: Path = ()
        while self._skip(_SPACE) < len(self.text):
            if self.text.startswith("[", self.position):
                line, start = self._line(), self.position
                is_array = self.text.startswith("[[", self.position)
                self.position += 2 if is_array else 1
                table = self._resolved(tuple(self._keys()))
                if is_array:
                    number = self.counts.get(table, -1) + 1
                    self.counts[table] = number
                    self.places.setdefault(table, (line, ""))
                    table = (*table, number)
                self.position += 2 if is_array else 1
                self.headings.append(Heading(table, start, self.position))
                self._note(table, line)
            else:
                self._pair(table)

    def _resolved(self, keys: Path) -> Path:
        """The path with the last number of each array of tables on the way."""
        path: Path = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            if path in self.counts and number < len(keys) - 1:
                path = (*path, self.counts[path])
        return path

    def _note(self, path: Path, line: int, token: str = "") -> None:
        """The line of the path, and of what it lies in where that has none yet."""
        for length in range(1, len(path)):
            self.places.setdefault(path[:length], (line, ""))
        if token or path not in self.places:
            self.places[path] = (line, token)

    def _pair(self, table: Path, inline: Path | None = None) -> None:
        line, start = self._line(), self.position
        path = (*table, *self._keys())
        self.position += 1
        self._skip(_BLANK)
        self._note(path, line)
        value = self.position
        self._value(path, line)
        self.pairs.append(Pair(path, len(self.headings) - 1, inline, start, value, self.position))

    def _keys(self) -> Iterator[str]:
        """The parts of a dotted key; afterwards the position is at what follows it."""
        while True:
            self._skip(_BLANK)
            part = _KEY.match(self.text, self.position)
            assert part is not None
            self.position = part.end()
            yield tomllib.loads(f"x={part[0]}")["x"] if part[0][0] in "\"'" else part[0]
            self._skip(_BLANK)
            if not self.text.startswith(".", self.position):
                return
            self.position += 1

    def _value(self, path: Path, line: int) -> None:
        mark = self.text[self.position]
        if mark in "[{":
            self._container(path, mark)
        elif mark in "\"'":
            self._skip(_STRING)
        else:
            start = self.position
            self._skip(_BARE)
            self._note(path, line, self.text[start : self.position])

    def _container(self, path: Path, mark: str) -> None:
        self.position += 1
        number = 0
        while self.text[self._skip(_SPACE)] not in "]}":
            if mark == "{":
                self._pair(path, path)
            else:
                line = self._line()
                self._note((*path, number), line)
                self._value((*path, number), line)
                number += 1
            if self.text[self._skip(_SPACE)] == ",":
                self.position += 1
        self.position += 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return self.position

    def _line(self) -> int:
        return bisect_right(self.starts, self.position) + 1
