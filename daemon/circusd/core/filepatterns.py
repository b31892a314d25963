"""Which files count, by paths, folders and patterns: matched name by name, so that nobody looks into a folder in vain."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

ANY_DEPTH: Final = "**"
_MAGIC: Final = frozenset("*?[")

States = frozenset[int]
"""How far a path has come in the parts of a pattern: in several ways at once where ``**`` is among them."""
BELOW: Final[States] = frozenset({-1})
"""Everything below this folder counts."""


def is_pattern(part: str) -> bool:
    return not _MAGIC.isdisjoint(part)


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the words: a folder that is looked into, and what counts below it, part by part."""

    base: str
    """Absolute."""
    parts: tuple[str, ...]

    def begin(self) -> States:
        """In the base itself."""
        return self._closed({0})

    def step(self, states: States, name: str) -> States:
        """One name further down; nothing where that leads nowhere."""
        if states == BELOW:
            return BELOW
        found: set[int] = set()
        for at in states:
            if at == len(self.parts):
                continue
            part = self.parts[at]
            if part == ANY_DEPTH:
                found.add(at)
            elif fnmatchcase(name, part):
                found.add(at + 1)
        return self._closed(found)

    def is_whole(self, states: States) -> bool:
        """Whether what was come to counts: a file, or a folder with all below it."""
        return states == BELOW or len(self.parts) in states

    def names(self, states: States, name: str) -> bool:
        """Whether it is there by its own name, and not by a pattern."""
        return any(0 <= at < len(self.parts) and self.parts[at] == name for at in states)

    def _closed(self, states: set[int]) -> States:
        todo = list(states)
        while todo:
            at = todo.pop()
            if at < len(self.parts) and self.parts[at] == ANY_DEPTH and at + 1 not in states:
                states.add(at + 1)
                todo.append(at + 1)
        return frozenset(states)


@dataclass(frozen=True, slots=True)
class Patterns:
    """What counts for one watcher, and what does not."""

    folder: str
    """What the words are relative to; absolute."""
    entries: tuple[Entry, ...]
    ignored: tuple[str, ...]

    def ignores(self, path: str) -> bool:
        """Whether what was found by a pattern does not count: by its name, or by its path where a word has a slash."""
        name = posixpath.basename(path)
        return any(fnmatchcase(self.shown(path) if "/" in word else name, word) for word in self.ignored)

    def shown(self, path: str) -> str:
        """The path as a person would write it."""
        return path.removeprefix(self.folder.rstrip("/") + "/")


def patterns(words: Iterable[str], ignored: Iterable[str], folder: str) -> Patterns:
    """What the options ``watch`` and ``watch_ignore`` mean in that folder."""
    return Patterns(
        folder, tuple(_entry(word, folder) for word in words), tuple(w.rstrip("/") for w in ignored)
    )


def _entry(word: str, folder: str) -> Entry:
    parts = [part for part in posixpath.normpath(posixpath.join(folder, word)).split("/") if part]
    fixed = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts) - 1)
    # The last part is looked for in its folder, also where it is no pattern: it may be gone and come again.
    return Entry("/" + "/".join(parts[:fixed]), tuple(parts[fixed:]))
