"""One row of an option table, and how rows are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .nearest import nearest
from .types import ValueType

APPLIES = ("live", "process", "watcher", "daemon")
"""When a changed value takes effect: at its next use, by replacing processes one by one, by a restart of the
watcher, or by a restart of the daemon."""


@dataclass(frozen=True, slots=True)
class Option:
    """One row: everything that is known of an option."""

    name: str
    """As written in the file; a pattern's name ends in ``NAME`` (``hooks.NAME``)."""
    type: ValueType
    default: Any
    doc: str
    since: str = "0.1"
    apply: str = "live"
    section: str = "watcher"
    role: str = "operator"
    """Who may change it: ``admin`` for whatever decides which code runs or as whom."""
    secret: bool = False
    """Its values (of `env`: not the names) are masked wherever they are shown."""
    pattern: bool = False
    effective: bool = True
    """False: accepted, checked and kept, and `note` says what becomes of it."""
    file_only: bool = False
    """Only a file can give it, as what it means is worked out when files are read; a command can't change it."""
    note: str = ""
    unit: str = ""
    legacy: bool = False
    """A key of old files that has no meaning any more; it has no attribute in the model."""
    aka: tuple[str, ...] = ()
    """Names that other programs have for it: told as the right one when written instead."""

    @property
    def prefix(self) -> str:
        """What a key of this pattern begins with."""
        return self.name.removesuffix("NAME") if self.pattern else self.name

    @property
    def told(self) -> str:
        """What a person who sets it is told, or nothing."""
        if self.note:
            return self.note
        if self.legacy:
            return "accepted and without effect"
        return "" if self.effective else "accepted, not yet effective"


def find(table: Iterable[Option], name: str) -> Option | None:
    """The row of that key, a pattern's row included (``rlimit_nofile`` finds ``rlimit_NAME``)."""
    for option in table:
        if option.pattern:
            if len(name) > len(option.prefix) and name.startswith(option.prefix):
                return option
        elif option.name == name:
            return option
    return None


def near_miss(table: Iterable[Option], name: str) -> str | None:
    """The key that was probably meant by an unknown one, or None when it looks like a key of one's own.

    A key with a dot belongs to somebody else's family (``flapping.window``) unless the part before the dot is
    nearly that of a pattern (``hook.before_start``).
    """
    rows = tuple(table)
    for option in rows:
        if name in option.aka:
            return option.name
    for option in rows:
        if option.pattern:
            stem = option.prefix[:-1]
            for mark in "._" if "." in name else "_":
                head, found, tail = name.partition(mark)
                if found and tail and nearest(head, (stem,)):
                    return option.prefix + tail
    if "." in name:
        return None
    return nearest(name, (option.name for option in rows if not option.pattern and not option.legacy))
