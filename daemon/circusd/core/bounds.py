"""When a process has taken too much for too long: what it was seen to take, held against what the watcher lets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from .words import duration, size

SHORTEST_PERIOD: Final = 1.0
"""Seconds between two looks, at least: the kernel counts processor time in ticks of 10 ms."""
LONGEST_PERIOD: Final = 15.0
LOOKS: Final = 5
"""How often within the time that is looked over a process is looked at."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each process of a watcher may take, and for how long it may take more (seconds)."""

    memory: int = 0
    """Bytes; 0 for no bound."""
    memory_for: float = 0.0
    cpu: float = 0.0
    """Per cent of one processor; 0 for no bound."""
    cpu_for: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.memory or self.cpu)

    @property
    def period(self) -> float:
        """Seconds between two looks."""
        spans = [span for bound, span in self._pairs() if bound]
        return min(max(min(spans) / LOOKS, SHORTEST_PERIOD), LONGEST_PERIOD)

    def _pairs(self) -> tuple[tuple[float, float], ...]:
        return (self.memory, self.memory_for), (self.cpu, self.cpu_for)


class Over(NamedTuple):
    """Since when a process is above its bounds without a break, as far as it is."""

    seen: float
    """When it was looked at last."""
    memory: float | None = None
    cpu: float | None = None
    taken: float = 0.0
    """Per cent of a processor times seconds, since it is above that bound."""


class Verdict(NamedTuple):
    """A process is to be replaced."""

    option: str
    why: str
    """What follows "because": ``it held 612 MiB for 30 s, more than 512 MiB``."""


def look(before: Over | None, bounds: Bounds, cpu: float, rss: int, now: float) -> Over:
    """What is known after a look; ``cpu`` is the mean since the look before, and means nothing in the first."""
    memory = None
    if bounds.memory and rss > bounds.memory:
        memory = now if before is None or before.memory is None else before.memory
    if before is None or not bounds.cpu or cpu <= bounds.cpu:
        return Over(now, memory)
    more = cpu * (now - before.seen)
    if before.cpu is None:
        return Over(now, memory, before.seen, more)
    return Over(now, memory, before.cpu, before.taken + more)


def judge(over: Over, bounds: Bounds, rss: int) -> Verdict | None:
    """Whether that was for too long, and in words what."""
    if over.memory is not None and over.seen - over.memory >= bounds.memory_for:
        held = f"it held {size(rss)}{_span(over.seen - over.memory)}"
        return Verdict("max_memory", f"{held}, more than {size(bounds.memory)}")
    if over.cpu is not None and over.seen - over.cpu >= bounds.cpu_for:
        span = over.seen - over.cpu
        took = f"it took {over.taken / span:.0f} % of a processor{_span(span)}"
        return Verdict("max_cpu", f"{took}, more than {bounds.cpu:g} %")
    return None


def next_look(over: Over, bounds: Bounds) -> float:
    """Seconds until it is looked at again: sooner where its time would be over before."""
    ends = [
        since + span - over.seen
        for since, span in ((over.memory, bounds.memory_for), (over.cpu, bounds.cpu_for))
        if since is not None
    ]
    return max(min([bounds.period, *ends]), SHORTEST_PERIOD)


def _span(seconds: float) -> str:
    return f" for {duration(seconds)}" if seconds > 0 else ""
