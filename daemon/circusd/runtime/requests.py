"""What handlers share: who asks, values as clients send them, and replies that come later."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gevent.event import AsyncResult

from circusd.core.effects import JobEnded
from circusd.schema import wire
from circusd.schema.errors import BadRequest, CircusError, Failed, NotFound
from circusd.schema.nearest import nearest
from circusd.schema.types import SIGNAL

from .arbiter import Arbiter
from .controller import Caller
from .watcher import Ticket, Watcher


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: a user of the machine, or the person of a session."""

    name: str
    role: str
    session: str
    owner: int | None = None
    """The uid, where it is of interest: he owns the endpoint, and may add what runs as himself."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler may know beside the properties."""

    request: wire.Request
    caller: Caller
    person: Person
    waiting: bool


@dataclass(slots=True)
class Later:
    """A reply that comes when ``result`` is there; ``payload`` makes it from the value."""

    result: AsyncResult[Any]
    payload: Callable[[Any], dict[str, Any]]
    at_once: bool = True
    """Who does not wait for it is told "ok" at once."""


Reply = dict[str, Any] | Later


def truthy(value: Any) -> bool:
    return bool(value)


def as_int(value: Any, field: str) -> int:
    """A whole number as the original's clients send it."""
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise BadRequest(f"{field} must be a whole number, not {value!r}", field=field)
    try:
        number = int(value)
    except (ValueError, OverflowError):
        raise BadRequest(f"{field} must be a whole number, not {value!r}", field=field) from None
    if abs(number) > 1 << 53:
        raise BadRequest(f"{field} is out of range", field=field)
    return number


def to_signum(value: Any) -> int:
    """A signal's number from its number or name."""
    try:
        return int(SIGNAL.from_json(value))
    except ValueError as error:
        raise BadRequest(f"{value!r} {error}", field="signum") from None


def as_seconds(value: Any, field: str) -> float:
    """A time span; the original's client sends it as text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise BadRequest(f"{field} must be a number of seconds, not {value!r}", field=field) from None
    if not 0 <= seconds <= 1e9:
        raise BadRequest(f"{field} must be between 0 and 1e9 seconds", field=field)
    return seconds


def matching_regex(pattern: str, names: list[str]) -> list[str]:
    # Patterns come from clients and can take exponential time: names are short, and so must the pattern be.
    if len(pattern) > 200:
        raise BadRequest("the pattern is longer than 200 characters", field="name")
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError) as error:
        raise BadRequest(f"the pattern is wrong: {error}", field="name") from None
    return [n for n in names if compiled.match(n)]


def one(ticket: Ticket, keys: tuple[str, ...], flat: bool = False) -> Later:
    def payload(ended: JobEnded) -> dict[str, Any]:
        if not keys:
            return {"info": None}
        info = {key: list(getattr(ended, key)) for key in keys}
        return info if flat else {"info": info}

    return Later(ticket.result, payload)


def all_done(results: list[tuple[str, JobEnded | CircusError]]) -> dict[str, Any]:
    errors = [str(e) for _, e in results if isinstance(e, CircusError)]
    if errors:
        raise Failed("; ".join(errors))
    return {}


def find_watcher(arbiter: Arbiter, name: Any) -> Watcher:
    """The watcher of that name; the error names the nearest one."""
    if not isinstance(name, str):
        raise BadRequest(f"name must be a text, not {name!r}", field="name")
    try:
        return arbiter.find(name)
    except NotFound:
        close = nearest(name.lower(), list(arbiter.watchers))
        raise NotFound(f"program {name} not found", hint=f"did you mean {close}?" if close else "") from None
