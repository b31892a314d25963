"""The options of a shipped plugin as values, by its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.schema.option import Option, find
from circusd.schema.plugin_options import plugin_options


def settings(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each option of that plugin, from texts or from values; defaults where nothing is given.

    Raises ValueError with a sentence for a value that is none.
    """
    return {row.name: value_of(row, config.get(row.name)) for row in plugin_options(name)}


def value_of(row: Option, given: Any) -> Any:
    """The option's value; its default for nothing."""
    if given is None or given == "":
        return row.default
    try:
        return row.type.parse(given) if isinstance(given, str) else row.type.from_json(given)
    except ValueError as problem:
        shown = "the value" if row.secret else repr(given)
        raise ValueError(f"{row.name}: {shown} {problem}; expected {row.type.expected}") from None


def own_settings(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a watcher has of its own for that plugin: its keys ``NAME.OPTION``; wrong ones raise ValueError."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        head, dot, option = key.partition(".")
        row = find(plugin_options(name), option) if dot and head == name else None
        if row is not None:
            found[row.name] = value_of(row, value)
    return found
