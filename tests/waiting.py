"""Waiting for a state with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
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


def environment(pid: int) -> dict[str, str]:
    """The environment with which circusd has started that process; raises LookupError when it is gone.

    Linux shows it a moment after the program has begun to run, and before that none, or circusd's.
    """

    def shown() -> bytes | LookupError:
        try:
            # A zombie has an environment that is empty, and no program.
            os.readlink(f"/proc/{pid}/exe")
            data = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return LookupError(f"process {pid} is gone")
        return data if b"CIRCUS_WATCHER=" in data else b""

    found = eventually(shown, within=20)
    if isinstance(found, LookupError):
        raise found
    pairs = (line.partition("=") for line in os.fsdecode(found).split("\0") if line)
    return {name: value for name, _, value in pairs}
