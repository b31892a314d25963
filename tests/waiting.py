"""Waiting for a state with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T],
    *,
    within: float = 5.0,
    what: str = "",
    every: float = 0.01,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return the predicate's first true value; when the deadline passes, fail and show its last one.

    An OSError, a LookupError or a failed assertion in the predicate means "not yet" and counts as its value: files,
    sockets and rows are asked for before they are there. A test whose hub has to go on meanwhile passes gevent.sleep.
    """
    started = time.monotonic()
    tries = 0
    while True:
        tries += 1
        last: object
        try:
            value = predicate()
            if value:
                return value
            last = value
        except (OSError, LookupError, AssertionError) as problem:
            last = problem
        waited = time.monotonic() - started
        if waited >= within:
            wanted = what or getattr(predicate, "__name__", "the predicate")
            raise AssertionError(
                f"not within {within:g} s: {wanted}; last seen after {tries} tries: {last!r}"
            )
        sleep(min(every, within - waited))
