"""The text of configuration files: ini from a document, TOML from tables. YAML is written by its own module."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from circusd.schema.option import Option
from circusd.schema.types import BOOL

from .document import Document
from .forms import bare

Data: TypeAlias = "str | bool | int | float | list[str] | dict[str, Data]"
"""What a table holds."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?")
_NUMBERS = ("number", "duration", "bytes")
"""The form elements of options that are numbers in a file that knows numbers."""


def typed(option: Option | None, text: str) -> str | bool | int | float:
    """The value of an option as a number or a boolean where it is read back as the same text."""
    if option is not None and option.type is BOOL and text in ("true", "false"):
        return text == "true"
    if option is not None and option.type.widget in _NUMBERS and _NUMBER.fullmatch(text):
        number = float(text) if "." in text else int(text)
        return number if str(number) == text else text
    return text


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
    lines = [
        f"{bare(key)} = {toml_value(value)}" for key, value in table.items() if not isinstance(value, dict)
    ]
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    if path and (lines or not inner):
        yield [f"[{'.'.join(map(bare, path))}]", *lines]
    for key, value in inner.items():
        yield from _blocks(value, (*path, key))


def toml_value(value: Data) -> str:
    """The value as it stands behind the key."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    # JSON's texts and numbers are TOML's, but for the one control character that JSON lets stand
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
