"""The text of configuration files: ini from a document, TOML from tables. YAML is written by its own module."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from .document import Document
from .forms import bare

Data: TypeAlias = "str | bool | int | float | list[str] | dict[str, Data]"
"""What a table holds."""


def write_ini(document: Document) -> str:
    """The sections one after another; further lines of a value are indented."""
    blocks = []
    for section in document.sections.values():
        lines = [f"[{section.name}]"]
        for key, entry in section.entries.items():
            value = entry.value if isinstance(entry.value, str) else " ".join(entry.value)
            lines.append(f"{key} = {value}".rstrip(" ").replace("\n", "\n    "))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def write_toml(tables: Mapping[str, Data]) -> str:
    """The tables with their headings, each value before the tables beside it."""
    return "\n\n".join("\n".join(block) for block in _blocks(tables, ())) + "\n"


def _blocks(table: Mapping[str, Data], path: tuple[str, ...]) -> Iterator[Sequence[str]]:
    lines = [f"{bare(key)} = {_toml(value)}" for key, value in table.items() if not isinstance(value, dict)]
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    if path and (lines or not inner):
        yield [f"[{'.'.join(map(bare, path))}]", *lines]
    for key, value in inner.items():
        yield from _blocks(value, (*path, key))


def _toml(value: Data) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's texts and numbers are TOML's, but for the one control character that JSON lets stand
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
