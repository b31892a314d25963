"""Who changed what, from where, and with which result: one line for each changing command and for what was refused.

Keys are named and values never, but for numbers, signals and the like, which hold no secret. An audit that can't be
written stops nothing, and is told of.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from circusd.schema.commands import Command
from circusd.schema.errors import Denied, Throttled
from circusd.schema.wire import encode

from . import clock
from .auditfile import AuditFile
from .controller import Caller
from .doors import Refusal
from .requests import Person
from .sums import Sums

OFF: Final = "off"
"""The value of the option ``audit`` with which nothing is recorded."""

KEPT: Final = 1000
"""Entries of this run that can be shown when the file can't be read."""

READING_TOO: Final = ("redeem", "login", "admit", "logout")
"""Commands that the table calls reading ones, and that decide who is in."""

ENTERING: Final = ("redeem", "login", "admit")
"""Whose reply tells who has come in."""

UNFINISHED: Final = "unfinished"
"""The result of what was under way when circusd ended."""

NOT_OK: Final = "not_ok"
"""In a filter, every result but ``ok``."""

MOST_ENTRIES: Final = 20_000
"""So far back it can be asked for entry by entry."""

TEXT_LIMIT: Final = 200
KEYS_LIMIT: Final = 50
KEY_LIMIT: Final = 64

_WHOLE: Final = 1 << 53

_HARMLESS: Final = ("int", "seconds", "bool", "signal")
"""Types of arguments that are recorded with their values."""

_NAMED: Final = ("person", "token", "session")
"""What is named by arguments that are recorded with their values too."""

Entry = dict[str, Any]
Done = Callable[[str, Mapping[str, Any]], None]
"""Called with the result (``ok``, or the code of an error) and the reply's payload."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; what is empty or None lets all pass."""

    person: str = ""
    """In lower case: a person, or ``uid N``."""
    command: str = ""
    result: str = ""
    """``ok``, ``not_ok`` for all others, or the code of an error."""

    @property
    def is_empty(self) -> bool:
        """Whether it lets all pass."""
        return self == EntryFilter()

    def passes(self, entry: Entry) -> bool:
        """Whether the entry is one of these."""
        result = str(entry.get("result", ""))
        who = (str(entry.get("person", "")).lower(), f"uid {entry.get('uid')}")
        return (
            (not self.person or self.person in who)
            and (not self.command or str(entry.get("command", "")) == self.command)
            and (not self.result or (result != "ok" if self.result == NOT_OK else result == self.result))
        )


def is_recorded(row: Command) -> bool:
    """Whether a command changes something, or who may."""
    return row.effect != "read" or row.name in READING_TOO


class Audit:
    """The audit of one daemon."""

    def __init__(
        self,
        name: str,
        place: str | None,
        told: Callable[[str], None],
        refused: Callable[[Entry, int], None] = lambda entry, count: None,
    ) -> None:
        """``place`` is the option's value: a file, `OFF`, or None for the state folder of the daemon ``name``.

        ``told`` is called in the hub with each new problem of the file, and with nothing when it is over; ``refused`` with
        each refused command, sums of the same ones together.
        """
        self._file = None if place == OFF else AuditFile(name, place or "", told)
        self._kept: deque[Entry] = deque(maxlen=KEPT)
        self._open: dict[int, Entry] = {}
        self._begun = 0
        self._refused = refused
        self._denials = Sums[Entry](self._denied)
        self.recorded = 0

    def begin(self, row: Command, properties: Mapping[str, Any], caller: Caller, person: Person) -> Done:
        """What somebody may do is under way; the returned function is called once, when its result is known."""
        entry = {**_who(caller, person), **_what(row, properties)}
        self._begun += 1
        number = self._begun
        self._open[number] = entry

        def done(result: str, payload: Mapping[str, Any]) -> None:
            if self._open.pop(number, None) is None:
                return
            if row.name in ENTERING and result == "ok":
                entry.update(person=payload.get("person"), role=payload.get("role"))
            if result in (Denied.code, Throttled.code):
                # By what was in the request; as often as somebody likes.
                self._deny({**entry, "result": result})
            else:
                self._record({**entry, "result": result})

        return done

    def deny(
        self, row: Command, properties: Mapping[str, Any], caller: Caller, person: Person, result: str
    ) -> None:
        """Somebody asked for what he may not; the same again and again is recorded together."""
        self._deny({**_who(caller, person), **_what(row, properties), "result": result})

    def refuse(self, refusal: Refusal) -> None:
        """Connections were not let in."""
        entry: Entry = {"time": _now(), "uid": refusal.uid, "door": refusal.door, "from": refusal.address}
        self._record({**entry, "result": "refused", "reason": refusal.reason, "count": refusal.count})

    def last(self, count: int, which: EntryFilter | None = None, skip: int = 0) -> list[Entry]:
        """The last entries that pass the filter, oldest first, without the newest ``skip`` of them; of this run alone where
        the file can't be had. Waits, in a greenlet."""
        if count <= 0:
            return []
        passes = EntryFilter().passes if which is None else which.passes
        lines = None
        if self._file is not None and not self._file.problem:
            # What is looked at one by one is looked at in the thread.
            lines = self._file.last(
                count + skip, None if which is None or which.is_empty else _passes_line(passes)
            )
        if lines is None:
            found = [entry for entry in self._kept if passes(entry)]
        else:
            found = [entry for line in lines if (entry := _parsed(line)) is not None]
        end = len(found) - skip
        return found[max(0, end - count) : max(0, end)]

    def view(self) -> dict[str, Any]:
        """Where it is written, how much, and what went wrong, for ``inspect``."""
        if self._file is None:
            return {"file": None, "recorded": 0, "lost": 0, "problem": ""}
        return {
            "file": self._file.path,
            "recorded": self.recorded,
            "lost": self._file.lost,
            "problem": self._file.problem,
        }

    def close(self) -> None:
        """What was under way is recorded as that, and all is on disk as far as that can be had."""
        self._denials.close()
        for number in list(self._open):
            self._record({**self._open.pop(number), "result": UNFINISHED})
        if self._file is not None:
            self._file.close()

    def _deny(self, entry: Entry) -> None:
        kind = tuple(entry.get(key) for key in ("door", "uid", "person", "command", "result"))
        self._denials.add(kind, entry)

    def _denied(self, entry: Entry, count: int) -> None:
        self._record({**entry, "count": count})
        self._refused(entry, count)

    def _record(self, entry: Entry) -> None:
        if self._file is None:
            return
        self.recorded += 1
        self._kept.append(entry)
        self._file.append(encode(entry) + b"\n")


def _now() -> float:
    return round(clock.wall(), 3)


def _who(caller: Caller, person: Person) -> Entry:
    found = {
        "time": _now(),
        "person": _text(person.name),
        "uid": caller.uid,
        "role": person.role,
        "token": _text(person.token),
        "door": caller.door,
        "from": caller.address,
        "pid": caller.pid,
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _what(row: Command, properties: Mapping[str, Any]) -> Entry:
    entry: Entry = {"command": row.name}
    args: dict[str, Any] = {}
    for field in row.args:
        value = properties.get(field.name)
        if value is None or value == field.default:
            continue
        if field.type == "secret":
            continue
        if field.name == "name":
            entry["watcher"] = _text(value)
        elif field.type == "object" and isinstance(value, dict):
            entry["keys"] = sorted(_text(key, KEY_LIMIT) for key in list(value)[:KEYS_LIMIT])
        elif field.target in _NAMED or field.name == "watchers":
            args[field.name] = _text(value)
        elif field.type in _HARMLESS or value in field.choices:
            is_plain = isinstance(value, int | float) and abs(value) < _WHOLE
            args[field.name] = value if is_plain else _text(value)
    if args:
        entry["args"] = args
    return entry


def _text(value: object, limit: int = TEXT_LIMIT) -> str:
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"


def _passes_line(passes: Callable[[Entry], bool]) -> Callable[[bytes], bool]:
    def passes_line(line: bytes) -> bool:
        entry = _parsed(line)
        return entry is not None and passes(entry)

    return passes_line


def _parsed(line: bytes) -> Entry | None:
    """What a line says; None for one that is damaged, which is passed over."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
