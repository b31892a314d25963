"""What the steps of the tour are made of: who says it, and what is answered.

Patterns match the whole text. ``%NAME%`` in words, patterns and replies stands for what a group ``(?P<NAME>…)`` of an
earlier row of the chapter found, ``%here%`` for the folder of the daemon's file. Where the original answers otherwise, the row
has its answer too, and ``why`` is the reason that `docs/circus.rst` gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Of circusctl: its exit code, and patterns of stdout and stderr."""

    out: str = ""
    code: int = 0
    err: str = ""


OK = Answer(r"ok\n")


def error(text: str) -> Answer:
    """The daemon said no."""
    return Answer(code=3, err=rf"error: {text}\n")


def refused(text: str) -> Answer:
    """The client said no by itself."""
    return Answer(code=1, err=rf"{text}\n")


@dataclass(frozen=True)
class Ctl:
    """One run of the original's circusctl; tried again until the answer is right if something is awaited by it."""

    words: str
    answer: Answer = OK
    theirs: Answer | None = None
    why: str = ""
    stdin: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    awaits: bool = False


@dataclass(frozen=True)
class Call:
    """One request by the original's CircusClient. In replies, a type or a predicate stands for values of its kind."""

    command: str
    properties: Any
    reply: Mapping[str, Any]
    theirs: Mapping[str, Any] | None = None
    why: str = ""
    cast: bool = False


@dataclass(frozen=True)
class Raw:
    """A message of these frames, and the replies to it that come before that of a later question."""

    frames: tuple[str, ...]
    replies: tuple[Mapping[str, Any], ...] = ()
    theirs: tuple[Mapping[str, Any], ...] | str | None = None
    """A text is what is told when the later question is not answered either."""
    why: str = ""


@dataclass(frozen=True)
class Edit:
    """The daemon's file is changed: lines are put to its end, or it is as it was."""

    added: str = ""


Step = Ctl | Call | Raw | Edit
Predicate = Callable[[Any], bool]


def pids(count: int) -> Predicate:
    """So many process ids."""

    def holds(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(isinstance(pid, int) for pid in value)

    return holds


def matches(pattern: str) -> Predicate:
    """A text that matches as a whole."""
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.S) is not None


def no(errno: int, reason: str | Predicate) -> dict[str, Any]:
    """An error reply."""
    return {"status": "error", "reason": reason, "errno": errno, "tb": lambda tb: tb is None}


def broken(text: str) -> dict[str, Any]:
    """An error reply of the original's that holds the raw request and a traceback."""
    reason = matches(rf"command b'.*': {text}")
    return {"status": "error", "reason": reason, "errno": 5, "tb": lambda tb: "Traceback" in tb}


def fits(expected: Any, value: Any) -> bool:
    """Whether the value is what a row expects."""
    if isinstance(expected, Mapping):
        return (
            isinstance(value, Mapping)
            and set(expected) == set(value)
            and all(fits(expected[key], value[key]) for key in expected)
        )
    if isinstance(expected, type):
        return isinstance(value, expected) or (expected is float and type(value) is int)
    return bool(expected(value)) if callable(expected) else bool(expected == value)
