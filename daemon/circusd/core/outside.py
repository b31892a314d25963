"""An address outside that a start waits for: how often it was looked at, and that in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Asked(NamedTuple):
    """How it goes with one address."""

    address: str
    problem: str
    """Why it does not answer; nothing before the first look is over."""
    times: int
    """How often it was looked at."""
    next: float | None
    """When it is looked at again (monotonic); None during a look."""


def waits_for_outside(address: str) -> str:
    """In words, without what changes with each look."""
    return f"{address} to answer"


def silent_now(address: str, problem: str) -> str:
    """A sentence on an address that does not answer, for a watcher whose start has gone on long since."""
    return f"{address}, which it depends on, does not answer now: {problem}."


def with_looks(gate: str, asked: Iterable[Asked], now: float, duration: Callable[[float], str]) -> str:
    """What a start waits for, in which each address has what its looks have told."""
    for one in asked:
        if one.problem:
            when = "is looked at now" if one.next is None else f"next in {duration(max(0.0, one.next - now))}"
            times = "once" if one.times == 1 else f"{one.times} times"
            told = f"{one.address}: {one.problem}, asked {times}, {when}"
            gate = gate.replace(waits_for_outside(one.address), told, 1)
    return gate
