"""Changes of single options in the text of a YAML file."""

from __future__ import annotations

from collections.abc import Iterator

from .problems import Unwritable
from .treetext import Leaf, Path, TreeText
from .writing import Data
from .yamlfile import Part, parts_of, yaml_value

_STEP = 2
"""Columns by which a table is further in than the one around it, where the file does not show it."""


class YamlText(TreeText):
    """A YAML file while it is edited: tables by indentation and in braces. Aliases are never changed, nor what they stand for."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(path, text)
        self._read: tuple[str, Part] | None = None

    # -- reading -----------------------------------------------------------------------------------------------------

    def _root(self) -> Part:
        if self._read is None or self._read[0] is not self._text:
            self._read = (self._text, parts_of(self._text))
        return self._read[1]

    def _find(self, path: Path) -> tuple[Part, Part] | None:
        """Key and value."""
        part, found = self._root(), None
        for name in path:
            found = next((pair for pair in part.pairs or () if pair[0].text.strip() == name.strip()), None)
            if found is None:
                return None
            part = found[1]
        return found

    def _leaves(self) -> Iterator[Leaf]:
        yield from self._below((), self._root())

    def _below(self, path: Path, part: Part) -> Iterator[Leaf]:
        for key, value in part.pairs or ():
            inner = (*path, key.text)
            if value.pairs is not None:
                yield from self._below(inner, value)
            else:
                yield Leaf(inner, value.start, value.end, value.kind == "list")

    def _has_table(self, path: Path) -> bool:
        return self._find(path) is not None

    # -- changes -----------------------------------------------------------------------------------------------------

    def _replace(self, leaf: Leaf, data: Data) -> None:
        found = self._find(leaf.path)
        assert found is not None
        key, value = found
        if value.kind == "list" and not value.is_flow:
            if isinstance(data, list) and data:
                lines = [f"- {yaml_value(item)}" for item in data]
                self._cut(value.start, value.end, ("\n" + " " * value.column).join(lines))
            else:
                colon = self._text.index(":", key.end) + 1
                self._cut(colon, value.end, f" {yaml_value(data)}")
            return
        written = yaml_value(data, value.style if value.style in ("'", '"') else None)
        space = "" if value.start != value.end or self._text[value.start - 1].isspace() else " "
        self._cut(value.start, value.end, space + written)

    def _insert(self, path: Path, data: Data) -> None:
        part, depth = self._root(), 0
        while (found := self._find(path[: depth + 1])) is not None:
            key, part = found
            depth += 1
            if part.is_nothing:
                # The table has a name and nothing else.
                self._cut_in(self._line_end(key.end), key.column + self._step(), path[depth:], data)
                return
            if part.pairs is None:
                raise Unwritable(
                    f"has no place, as {'.'.join(path[:depth])} is no table that is written there"
                )
        if part.pairs is None:
            self._cut_in(len(self._text), 0, path, data)
        elif part.is_flow:
            written = _in_braces(path[depth:], data)
            if part.pairs:
                self._cut(part.pairs[-1][1].end, part.pairs[-1][1].end, f", {written}")
            else:
                self._cut(part.start, part.end, f"{{{written}}}")
        else:
            self._cut_in(self._line_end(part.end), part.pairs[0][0].column, path[depth:], data)

    def _cut_in(self, at: int, column: int, path: Path, data: Data) -> None:
        lines = [
            f"{' ' * (column + number * self._step())}{yaml_value(key)}:" for number, key in enumerate(path)
        ]
        before = "\n" if at and self._text[at - 1] != "\n" else ""
        self._cut(at, at, before + "\n".join(lines) + f" {yaml_value(data)}\n")

    def _step(self) -> int:
        """By how many columns tables are further in, in this file."""
        for key, value in self._root().pairs or ():
            if value.pairs and not value.is_flow:
                return max(1, value.column - key.column)
        return _STEP

    def _delete(self, path: Path) -> None:
        found = self._find(path)
        if found is None:
            return
        holder = self._find(path[:-1])
        part = holder[1] if holder else self._root()
        pairs = part.pairs or []
        if not part.is_flow:
            self._cut_lines(found[0].start, max(found[0].end, found[1].end))
            return
        at = pairs.index(found)
        if at:
            self._cut(pairs[at - 1][1].end, found[1].end)
        else:
            self._cut(found[0].start, pairs[1][0].start if len(pairs) > 1 else found[1].end)


def _in_braces(path: Path, data: Data) -> str:
    text = yaml_value(data)
    for number, key in enumerate(reversed(path)):
        text = f"{yaml_value(key)}: {text}" if not number else f"{yaml_value(key)}: {{{text}}}"
    return text
