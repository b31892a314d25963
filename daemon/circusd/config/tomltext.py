"""Changes of single options in the text of a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

from .forms import bare
from .problems import Unwritable
from .tomlfile import Pair, Scan
from .treetext import Leaf, Path, TreeText
from .writing import Data, toml_value


class TomlText(TreeText):
    """A TOML file while it is edited: tables under headings and in braces, keys with dots, each as it is written there."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(path, text)
        self._read: Scan | None = None

    def _scan(self) -> Scan:
        if self._read is None or self._read.text is not self._text:
            try:
                # The scan takes it for granted that it is TOML.
                tomllib.loads(self._text)
                self._read = Scan(self._text)
            except RecursionError:
                raise ValueError("is nested too deeply") from None
        return self._read

    def _leaves(self) -> Iterator[Leaf]:
        for pair in self._scan().pairs:
            keys = _texts(pair.path)
            if keys and self._text[pair.value] != "{":
                yield Leaf(keys, pair.value, pair.end, self._text[pair.value] == "[")

    def _has_table(self, path: Path) -> bool:
        scan = self._scan()
        paths = [*(heading.path for heading in scan.headings), *(pair.path for pair in scan.pairs)]
        return any(_is_below(found, path) for found in paths)

    def _replace(self, leaf: Leaf, data: Data) -> None:
        self._cut(leaf.start, leaf.end, self._written(data, self._text[leaf.start]))

    @staticmethod
    def _written(data: Data, mark: str) -> str:
        """In the same quotes as before where they can hold it."""
        if isinstance(data, str) and mark == "'" and "'" not in data and data.isprintable():
            return f"'{data}'"
        return toml_value(data)

    def _insert(self, path: Path, data: Data) -> None:
        """Into the innermost table that is there; what is left of the path is a key with dots."""
        for length in range(len(path) - 1, 1, -1):
            if self._insert_into(path[:length], path[length:], toml_value(data)):
                return
        self._new_heading(path[:2])
        self._insert_into(path[:2], path[2:], toml_value(data))

    def _insert_into(self, table: Path, keys: Path, value: str) -> bool:
        scan = self._scan()
        braces = next((p for p in scan.pairs if p.path == table and self._text[p.value] == "{"), None)
        if braces is not None:
            self._into_braces(braces, keys, value)
            return True
        number = next((n for n, heading in enumerate(scan.headings) if heading.path == table), None)
        if number is not None:
            ends = [p.end for p in scan.pairs if p.heading == number and p.inline is None]
            at = self._line_end(max([*ends, scan.headings[number].end]))
            self._cut(at, at, f"{_dotted(keys)} = {value}\n")
            return True
        # Keys with dots, under the heading of a table that this one lies in; its own tables may have headings.
        dotted = [
            (pair, above)
            for pair in scan.pairs
            if _is_below(pair.path, table) and pair.inline is None
            if _is_below(table, above := scan.headings[pair.heading].path if pair.heading >= 0 else ())
        ]
        if not dotted:
            return self._into_dotted_braces(table, keys, value)
        last, above = dotted[-1]
        start, end = self._line_start(last.start), self._line_end(last.end)
        indent = self._text[start : last.start]
        whole = (*table[len(above) :], *keys)
        self._cut(end, end, f"{indent if not indent.strip() else ''}{_dotted(whole)} = {value}\n")
        return True

    def _into_dotted_braces(self, table: Path, keys: Path, value: str) -> bool:
        """``{ web.cmd = "…" }``, or braces around what is to have a new table."""
        for pair in reversed(self._scan().pairs):
            inside = _texts(pair.path)
            if inside and self._text[pair.value] == "{" and _is_below(table, inside):
                self._into_braces(pair, (*table[len(inside) :], *keys), value)
                return True
        return False

    def _into_braces(self, braces: Pair, keys: Path, value: str) -> None:
        inner = [p.end for p in self._scan().pairs if p.inline == braces.path]
        written = f"{_dotted(keys)} = {value}"
        if inner:
            self._cut(max(inner), max(inner), f", {written}")
        else:
            self._cut(braces.value, braces.end, f"{{ {written} }}")

    def _new_heading(self, table: Path) -> None:
        """Before the first table in this one, else at the end of the file."""
        line = f"[{_dotted(table)}]\n"
        for heading in self._scan().headings:
            if _is_below(heading.path, table):
                at = self._line_start(heading.start)
                self._cut(at, at, f"{line}\n")
                return
        self._text = self._text.rstrip("\n")
        self._text += f"\n\n{line}" if self._text else line

    def _delete(self, path: Path) -> None:
        while (found := self._first_of(path)) is not None:
            start, end, pair = found
            if pair is None or pair.inline is None:
                self._cut_lines(start, end)
                continue
            inner = [p for p in self._scan().pairs if p.inline == pair.inline]
            at = inner.index(pair)
            if at:
                self._cut(inner[at - 1].end, end)
            else:
                self._cut(start, inner[1].start if len(inner) > 1 else end)

    def _first_of(self, path: Path) -> tuple[int, int, Pair | None] | None:
        """A part of what is to go: a heading with what stands under it, or a pair."""
        scan = self._scan()
        for number, heading in enumerate(scan.headings):
            if _is_below(heading.path, path):
                ends = [p.end for p in scan.pairs if p.heading == number and p.inline is None]
                return heading.start, max([*ends, heading.end]), None
        for pair in scan.pairs:
            if _is_below(pair.path, path) and (pair.inline is None or not _is_below(pair.inline, path)):
                return pair.start, pair.end, pair
        return None


def _texts(path: tuple[str | int, ...]) -> Path:
    """The path; nothing where a list is on the way."""
    keys = tuple(key for key in path if isinstance(key, str))
    return keys if len(keys) == len(path) else ()


def _is_below(path: tuple[str | int, ...], table: tuple[str | int, ...]) -> bool:
    """Whether it is that table, or something in it."""
    return path[: len(table)] == table


def _dotted(keys: Path) -> str:
    if not keys:
        raise Unwritable("has no name")
    return ".".join(map(bare, keys))
