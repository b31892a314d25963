"""From one raw value (text of a file, JSON of a command) to the value of an option."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circusd.schema.options import Option
from circusd.schema.secrets import MASK, is_secret_name
from circusd.schema.types import SIGNAL

from .problems import Place, Report, did_you_mean, quoted


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it came."""

    value: object
    place: Place
    from_file: bool = False


class _Missing:
    """The mark of a value that was wrong and has been reported."""


MISSING = _Missing()


def read(option: Option, raw: Raw, report: Report) -> Any:
    """The value for that option; `MISSING` after the problem went to the report.

    Nothing (an empty text, JSON null) means the default where the default is "not given".
    """
    value = raw.value
    if option.default is None and (value is None or value == "") and not option.pattern:
        return None
    try:
        if raw.from_file and isinstance(value, str):
            return option.type.parse(value)
        if value is None and not option.pattern:
            raise ValueError("is not given")
        return option.type.from_json(value)
    except ValueError as problem:
        hint = _hint(option, value) if isinstance(value, str) else ""
        shown = quoted(MASK if option.secret or is_secret_name(option.name) else value)
        report.error(raw.place, f"{shown} {problem}", option.type.expected, hint)
        return MISSING


def _hint(option: Option, text: str) -> str:
    hint = did_you_mean(text, option.type.choices)
    if not hint and option.type is SIGNAL:
        hint = did_you_mean(f"SIG{text}", option.type.choices)
    return hint


def as_json(option: Option, value: Any) -> Any:
    """The value as JSON data: whole numbers without a point unless the option's default has one."""
    if isinstance(value, float) and value.is_integer() and isinstance(option.default, int):
        return int(value)
    if option.type.is_told_as_text and value is not None:
        return option.type.format(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value
