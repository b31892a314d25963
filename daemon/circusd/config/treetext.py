"""Changes of single options in the text of a TOML or YAML file: where each stands, and what is secret; the form does the rest.

Every other line stays as it is, comments and order included, which no library that writes such files promises.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from circusd.schema.option import Option
from circusd.schema.options import TABLES, find, watcher_option
from circusd.schema.secrets import is_secret_name
from circusd.schema.types import ARGS, PATHS, WORDS

from .document import KINDS
from .problems import Unwritable
from .writing import Data, typed

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is no table: where it stands in the text, and whether it is a list."""

    path: Path
    start: int
    end: int
    is_list: bool = False


class TreeText(ABC):
    """The text of one file while it is edited; options go by the section that they would stand in in an ini file."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._ending = "\r\n" if "\r\n" in text else "\n"
        self._text = text.replace("\r\n", "\n")

    @property
    def text(self) -> str:
        """As it is now."""
        return self._text.replace("\n", self._ending)

    @property
    def lines(self) -> list[str]:
        """Without their ends."""
        return self._text.split("\n")

    def has(self, section: str, option: str = "") -> bool:
        """Whether the section (and the option in it) stands in this file."""
        path = self._section(section)
        return bool(self._standing(path, option)) if option else self._has_table(path)

    def set(self, section: str, option: str, value: str) -> None:
        """The option has that value: where it stands, else as the last one of its section. Raises Unwritable."""
        path = self._section(section)
        standing = self._standing(path, option)
        row = _row(path[0], option)
        data: Data = typed(row, value)
        if row is not None and row.type in (PATHS, WORDS):
            data = list(row.type.parse(value))
        elif row is not None and row.type is ARGS and any(leaf.is_list for leaf in standing):
            with suppress(ValueError):
                data = shlex.split(value)
        self._put(standing, (*path, *self._parts(path, option)), data)

    def take_away(self, section: str, option: str) -> None:
        """The option does not stand in this file's section. Raises Unwritable."""
        self._drop(self._standing(self._section(section), option))

    def remove(self, section: str) -> None:
        """Nothing is left of that section, its variables neither. Raises Unwritable."""
        path = self._section(section)
        for table in (path, ("env", path[1])) if path[0] == "watcher" else (path,):
            if self._has_table(table):
                self._delete(table)

    def has_variables(self, watcher: str) -> bool:
        """Whether this file has variables that are for that watcher alone."""
        return any(self._has_table(table) for table in _tables(watcher))

    def set_variable(self, watcher: str, name: str, value: str) -> None:
        """The watcher has that variable: where it stands, else as the last one of its own. Raises Unwritable."""
        tables = [table for table in _tables(watcher) if self._has_table(table)] or _tables(watcher)
        self._put(self._variables(watcher, name), (*tables[0], name), value)

    def take_variable(self, watcher: str, name: str) -> None:
        """Nothing that is for that watcher alone has the variable. Raises Unwritable."""
        self._drop(self._variables(watcher, name))

    def secrets(self) -> list[str | None]:
        """Of each line that holds a secret, what may be seen of it; None for the others.

        A secret is a variable's value, what the name of its option says is one, and whatever stands outside of sections.
        """
        told: list[str | None] = [None] * len(self.lines)
        try:
            spans = [(leaf.start, leaf.end) for leaf in self._leaves() if _is_secret(leaf.path)]
        except ValueError:
            return [" " if line.strip() else None for line in self.lines]
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        for number, line in enumerate(self.lines):
            begin, end = starts[number], starts[number + 1]
            inside = [start for start, stop in spans if start < end and stop > begin]
            if inside and line.strip():
                told[number] = line[: max(0, min(inside) - begin)] or "    "
        return told

    # -- what stands where -------------------------------------------------------------------------------------------

    def _section(self, name: str) -> Path:
        """The path of a section, with its name as the file has it."""
        kind, _, title = name.partition(":")
        for leaf in self._leaves():
            if len(leaf.path) > 1 and leaf.path[0] == kind and leaf.path[1].strip() == title:
                return leaf.path[:2]
        return (kind, title)

    def _standing(self, section: Path, option: str) -> list[Leaf]:
        return [
            leaf
            for leaf in self._leaves()
            if leaf.path[:2] == section and len(leaf.path) > 2 and _option(leaf.path[2:]) == option
        ]

    def _variables(self, watcher: str, name: str) -> list[Leaf]:
        wanted = {(*table, name) for table in _tables(watcher)}
        return [leaf for leaf in self._leaves() if leaf.path in wanted]

    def _parts(self, section: Path, option: str) -> Path:
        """The keys of an option that does not stand there yet."""
        family, dot, name = option.partition(".")
        if section[0] == "watcher" and option.startswith("rlimit_"):
            return ("rlimits", option.removeprefix("rlimit_"))
        return (family, name) if dot and name else (option,)

    def _put(self, standing: list[Leaf], path: Path, data: Data) -> None:
        if len(standing) == 1 and (standing[0].path == path or standing[0].path[-1] == ".".join(path[2:])):
            self._replace(standing[0], data)
            return
        # A hook that is written as a table has two.
        self._drop(standing)
        self._insert(path, data)

    def _drop(self, leaves: list[Leaf]) -> None:
        for leaf in leaves:
            self._delete(leaf.path)

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """Behind the end of the line; a last line without one gets it."""
        end = self._text.find("\n", at)
        if end < 0:
            self._text += "\n"
            end = len(self._text) - 1
        return end + 1

    def _cut(self, start: int, end: int, text: str = "") -> None:
        self._text = self._text[:start] + text + self._text[end:]

    def _cut_lines(self, start: int, end: int) -> None:
        """Whole lines go; the blank ones around them would add up."""
        begin = self._line_start(start)
        if self._text[begin:start].strip():
            raise Unwritable("stands in a line with something else")
        self._cut(begin, self._line_end(end))
        before = self._text[:begin]
        if before.endswith("\n\n") or not before:
            while self._text[begin : begin + 1] == "\n":
                self._cut(begin, begin + 1)

    # -- what the form does ------------------------------------------------------------------------------------------

    @abstractmethod
    def _leaves(self) -> Iterator[Leaf]:
        """All values that are no tables. Raises ValueError where the text can't be read."""

    @abstractmethod
    def _has_table(self, path: Path) -> bool:
        """Whether there is a table, or something in it."""

    @abstractmethod
    def _replace(self, leaf: Leaf, data: Data) -> None:
        """The value is another one."""

    @abstractmethod
    def _insert(self, path: Path, data: Data) -> None:
        """A value that did not stand there, as the last one of its table, which is made if need be."""

    @abstractmethod
    def _delete(self, path: Path) -> None:
        """The value or table is gone."""


def _tables(watcher: str) -> list[Path]:
    return [("watcher", watcher, "env"), ("env", watcher)]


def _option(keys: Path) -> str:
    """The option that a value below its section is of; nothing for a variable."""
    if keys[0] == "env" and len(keys) > 1:
        return ""
    if keys[0] == "rlimits" and len(keys) == 2:
        return f"rlimit_{keys[1]}"
    is_hook = keys[0] == "hooks" and len(keys) == 3 and keys[2] in ("path", "ignore_failure")
    return ".".join(keys[:2] if is_hook else keys)


def _row(kind: str, option: str) -> Option | None:
    return watcher_option(option) if kind == "watcher" else find(TABLES.get(kind, ()), option)


def _is_secret(path: Path) -> bool:
    kind, *keys = path
    if kind not in KINDS or kind == "env":
        return True
    keys = keys if kind == "circus" else keys[1:]
    if not keys or keys[0] == "env":
        return True
    option = _option(tuple(keys))
    row = find(TABLES[kind], option)
    is_known = row is not None and not row.pattern
    return row.secret if row is not None and is_known else is_secret_name(option)
