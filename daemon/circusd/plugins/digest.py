"""What of the events is told, when, and in which words: decisions of `notify` that need no clock and no network."""

from __future__ import annotations

import string
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from circusd.schema.events import EVENTS, LEVELS

from .ends import AskedFor

MOST_LINES: Final = 50
"""Events that one message tells one by one; more are counted."""

LONGEST_LINE: Final = 500
"""Characters."""

MOST_KNOWN: Final = 5000
"""Events of watchers that are kept from being repeated; when there are more, the oldest may be."""

TITLE_FIELDS: Final = ("daemon", "host", "count", "level", "summary")
LINE_FIELDS: Final = (
    "time",
    "about",
    "event",
    "level",
    "text",
    "number",
    "daemon",
    "host",
    *dict.fromkeys(name for kind in EVENTS for name in kind.fields),
)


class Template:
    """A text with ``{names}`` in it; raises ValueError for one with names that are not known."""

    def __init__(self, option: str, text: str, fields: Iterable[str]) -> None:
        names = tuple(fields)
        try:
            self._parts = [
                (literal, name, form, conversion)
                for literal, name, form, conversion in string.Formatter().parse(text.replace("\\n", "\n"))
            ]
        except ValueError as problem:
            raise ValueError(f"{option}: {text!r}: {problem}; a brace is written as {{{{ or }}}}") from None
        for _, name, form, conversion in self._parts:
            if name is not None and (name not in names or form or conversion):
                raise ValueError(f"{option}: {{{name}}} is not known; known are {', '.join(names)}")

    def filled(self, values: Mapping[str, Any]) -> str:
        """The text with these values; a name without one is empty."""
        parts = []
        for literal, name, _, _ in self._parts:
            value = None if name is None else values.get(name)
            parts.append(literal + ("" if value is None else plain(str(value))))
        return "".join(parts)


def plain(text: str) -> str:
    """On one line, not too long, and without characters that a terminal or a mail would obey."""
    text = "".join(
        letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text[: LONGEST_LINE + 1]
    )
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"


@dataclass(slots=True)
class Known:
    """An event of a watcher that was told lately."""

    until: float
    count: int = 0
    """How often it has come again since."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    events: tuple[Mapping[str, Any], ...]
    """Told one by one."""
    counted: int
    """Further ones that are only counted."""
    again: tuple[tuple[str, str, int], ...]
    """Watcher, event, and how many more times it came than was told."""

    @property
    def count(self) -> int:
        """All events that it is about."""
        return len(self.events) + self.counted + sum(count for _, _, count in self.again)

    @property
    def level(self) -> str:
        """That of the worst event."""
        levels = [LEVELS.index(event["level"]) for event in self.events]
        return LEVELS[max(levels, default=0)]

    @property
    def summary(self) -> str:
        """In a few words."""
        if len(self.events) == 1 and self.count == 1:
            return about(self.events[0])
        names = list(
            dict.fromkeys(
                [
                    *(e["watcher"] for e in self.events if e.get("watcher")),
                    *(w for w, _, _ in self.again if w),
                ]
            )
        )
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return f"{self.count} events" + (f" of {shown}" if names else "")


def about(event: Mapping[str, Any]) -> str:
    """The event's text, after the watcher's name if it has one."""
    watcher = event.get("watcher")
    return f"{watcher}: {event['text']}" if watcher else str(event["text"])


@dataclass(slots=True)
class Digest:
    """Events go in by `take`, messages come out by `message`; times are seconds of any one clock."""

    level: str
    events: tuple[str, ...]
    watchers: tuple[str, ...]
    gather: float
    repeat: float
    rate: int
    per: float
    _pending: list[Mapping[str, Any]] = field(default_factory=list)
    _counted: int = 0
    _since: float | None = None
    """When the first of those that wait came."""
    _known: OrderedDict[tuple[str, str], Known] = field(default_factory=OrderedDict)
    _again: list[tuple[str, str, int]] = field(default_factory=list)
    _sent: deque[float] = field(default_factory=deque)
    _ends: AskedFor = field(default_factory=AskedFor)

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """The event will be told, or counted, or is of no interest."""
        event = self._judged(event)
        if not self._wanted(event):
            return
        key = str(event.get("watcher", "")), str(event["event"])
        known = self._known.get(key)
        if known is not None and now < known.until:
            known.count += 1
            return
        if known is not None:
            self._expire(key, known)
        if self.repeat:
            self._known[key] = Known(now + self.repeat)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        self._add(now)
        if len(self._pending) < MOST_LINES:
            self._pending.append(event)
        else:
            self._counted += 1

    def wake_at(self) -> float | None:
        """When `message` may have something to say; None for not before another event."""
        times = [known.until for known in self._known.values() if known.count]
        if self._since is not None:
            times.append(max(self._since + self.gather, self._free_at()))
        return min(times, default=None)

    def message(self, now: float, *, at_once: bool = False) -> Message | None:
        """What is to be sent now, which counts as sent; ``at_once`` does not wait for more."""
        for key, known in [(key, known) for key, known in self._known.items() if known.until <= now]:
            del self._known[key]
            if known.count:
                self._expire(key, known)
                self._add(now)
        if self._since is None or self._free_at() > now or (now < self._since + self.gather and not at_once):
            return None
        message = Message(tuple(self._pending), self._counted, tuple(self._again))
        self._pending, self._counted, self._again, self._since = [], 0, [], None
        if self.rate:
            self._sent.append(now)
        return message

    def _judged(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The end of a process that was asked for is nothing to worry about."""
        return {**event, "level": "info"} if self._ends.hear(event) else event

    def _wanted(self, event: Mapping[str, Any]) -> bool:
        watcher, kind = event.get("watcher"), str(event["event"])
        if self.watchers and watcher and not any(fnmatchcase(watcher, pattern) for pattern in self.watchers):
            return False
        named = any(kind == name or kind.startswith(f"{name}.") for name in self.events)
        return named or LEVELS.index(event["level"]) >= LEVELS.index(self.level)

    def _expire(self, key: tuple[str, str], known: Known) -> None:
        if known.count:
            self._again.append((*key, known.count))
            known.count = 0

    def _add(self, now: float) -> None:
        if self._since is None:
            self._since = now

    def _free_at(self) -> float:
        """When the next message may go out."""
        if not self.rate or len(self._sent) < self.rate:
            return 0.0
        while len(self._sent) > self.rate:
            self._sent.popleft()
        return self._sent[0] + self.per
