"""What handlers share: who asks, values as clients send them, and replies that come later."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gevent.event import AsyncResult

from circusd.core.effects import JobEnded
from circusd.kernel.signals import interrupted_after
from circusd.schema import wire
from circusd.schema.errors import BadRequest, CircusError, Failed
from circusd.schema.types import SIGNAL

from .controller import Caller
from .orders import Order
from .watcher import Ticket

PATTERN_LIMIT = 200
"""Characters of a pattern for names."""
MATCH_SECONDS = 0.1
"""Processor time for all names; a pattern that is right takes microseconds."""


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
    order: Order
    """The request on its way: jobs that are done for it belong to it."""


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


def matching_glob(pattern: str, names: list[str]) -> list[str]:
    """The names that match; of a pattern of others, which is bounded as it is remembered."""
    _check_length(pattern)
    return fnmatch.filter(names, pattern)


def matching_regex(pattern: str, names: list[str]) -> list[str]:
    """The names that match; raises BadRequest for a pattern that is none, or that takes too long (some take for ever)."""
    _check_length(pattern)
    try:
        with interrupted_after(MATCH_SECONDS):
            compiled = re.compile(pattern, re.IGNORECASE)
            return [n for n in names if compiled.match(n)]
    except TimeoutError:
        raise BadRequest(
            "the pattern takes too long",
            field="name",
            hint="less of * and + within and after each other helps",
        ) from None
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRequest(f"the pattern is wrong: {error}", field="name") from None


def _check_length(pattern: str) -> None:
    if len(pattern) > PATTERN_LIMIT:
        raise BadRequest(f"the pattern is longer than {PATTERN_LIMIT} characters", field="name")


def one(ticket: Ticket, keys: tuple[str, ...], flat: bool = False) -> Later:
    def payload(ended: JobEnded) -> dict[str, Any]:
        left = abandoned([ended])
        if not keys:
            return {"info": None, **left}
        info = {key: list(getattr(ended, key)) for key in keys}
        return {**info, **left} if flat else {"info": info, **left}

    return Later(ticket.result, payload)


def all_done(results: list[tuple[str, JobEnded | CircusError]]) -> dict[str, Any]:
    errors = {name: str(e) for name, e in results if isinstance(e, CircusError)}
    if errors:
        failed = {name: text.removeprefix(f"{name}: ") for name, text in errors.items()}
        raise Failed("; ".join(errors.values()), failed=failed)
    return abandoned(ended for _, ended in results)


def abandoned(results: Iterable[Any]) -> dict[str, Any]:
    """What a reply says of processes that did not end; nothing, as with the original, when all did."""
    pids = [pid for ended in results if isinstance(ended, JobEnded) for pid in ended.abandoned]
    return {"abandoned": pids} if pids else {}
