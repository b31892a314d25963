"""Options of a section as flags of a command: ``--working-dir /srv`` is what ``working_dir = /srv`` is in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from circusd.schema.errors import CircusError
from circusd.schema.option import Option, find, near_miss
from circusd.schema.options import TABLES, watcher_option
from circusd.schema.types import BOOL, ENV, WORDS

LEFT_OUT = ("cmd",)
"""Options that the command takes by position."""


class WrongValue(CircusError):
    """The value is none for that option."""

    code = "bad_request"


class OptionFlags:
    """The options that were given on one line, as the property ``options`` has them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values: dict[str, Any] = {}

    def is_one(self, word: str) -> bool:
        """Whether the word is a flag for an option."""
        return word.startswith("--") and self._row(word[2:].partition("=")[0]) is not None

    def take(self, word: str, next_word: Callable[[], str]) -> None:
        """The option and its value are among those given; raises WrongValue with what was expected."""
        written, has_value, text = word[2:].partition("=")
        found = self._row(written)
        assert found is not None
        key, row, negated = found
        if row.type is BOOL and not has_value:
            self.values[key] = not negated
            return
        if negated:
            raise WrongValue(f"--{written} takes no value")
        text = text if has_value else next_word()
        if row.type is ENV:
            name, equals, value = text.partition("=")
            if not equals or not name.strip():
                raise WrongValue(f"--{written}: {text!r} is not NAME=VALUE")
            self.values.setdefault(key, {})[name.strip()] = value
            return
        if row.type is WORDS and key in self.values:
            text = f"{self.values[key]} {text}"
        self.values[key] = typed(f"--{written}", row, text)

    def near(self, word: str) -> str | None:
        """The flag that was probably meant by one that is none."""
        near = near_miss(TABLES[self.kind], word.removeprefix("--").replace("-", "_"))
        return None if near is None or near in LEFT_OUT else flag_of(near)

    def _row(self, written: str) -> tuple[str, Option, bool] | None:
        """The option's key, its row, and whether the flag switches it off."""
        key = written.replace("-", "_")
        row = _find(self.kind, key)
        if row is not None:
            return key, row, False
        row = _find(self.kind, key.removeprefix("no_"))
        return (row.name, row, True) if row is not None and row.type is BOOL else None


def typed(what: str, row: Option, text: str) -> Any:
    """The value as JSON has it; raises WrongValue with what was expected for one that is none."""
    try:
        value = row.type.parse(text)
    except ValueError as problem:
        raise WrongValue(f"{what}: {text!r} {problem}; expected {row.type.expected}") from None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # What JSON has no form for goes as its text, which the daemon reads in the same way.
    return text if isinstance(value, tuple) else value


def rows(kind: str) -> Iterator[tuple[str, Option]]:
    """Each flag as it is written, with its option."""
    for row in TABLES[kind]:
        if row.legacy or row.file_only or row.name in LEFT_OUT:
            continue
        if row.type is BOOL:
            yield flag_of(f"no_{row.name}" if row.default else row.name), row
        else:
            value = "NAME=VALUE" if row.type is ENV else row.type.name.upper().replace(" ", "_")
            yield f"{flag_of(row.name)} {value}", row


def flag_of(name: str) -> str:
    """The flag of an option."""
    return "--" + name.replace("_", "-")


def _find(kind: str, key: str) -> Option | None:
    row = watcher_option(key) if kind == "watcher" else find(TABLES[kind], key)
    return None if row is None or row.legacy or row.file_only or row.name in LEFT_OUT else row
