"""Which watchers somebody may see and command: all, or those that his patterns match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

PATTERNS: Final = 20
LETTERS: Final = 500
"""Of all patterns of somebody together."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Scope:
    """Lists of patterns, each of which has to match: those of a person, and those of his token. Without any, all is seen."""

    lists: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, *lists: tuple[str, ...]) -> Scope:
        """An empty list holds nothing back."""
        return cls(tuple(patterns for patterns in lists if patterns))

    @property
    def is_all(self) -> bool:
        return not self.lists

    def sees(self, name: str) -> bool:
        """Whether a watcher of that name is one of them, in any case of letters."""
        name = name.lower()
        return all(any(fnmatchcase(name, pattern) for pattern in patterns) for patterns in self.lists)

    def of_those(self, watchers: Mapping[str, Value]) -> Mapping[str, Value]:
        """The watchers that are seen, by name in lower case."""
        if self.is_all:
            return watchers
        return {name: watcher for name, watcher in watchers.items() if self.sees(name)}


ALL: Final = Scope()


def patterns(given: Any) -> tuple[str, ...]:
    """Patterns in the one form in which they are kept. Raises ValueError, with what is wrong."""
    if given is None:
        return ()
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ValueError("watchers must be a list of patterns")
    found = tuple(dict.fromkeys(one.strip().lower() for one in given if one.strip()))
    if len(found) > PATTERNS or sum(map(len, found)) > LETTERS:
        raise ValueError(f"watchers may be {PATTERNS} patterns with {LETTERS} letters in all")
    return found
