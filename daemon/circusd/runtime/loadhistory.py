"""What watchers took in the last hour: a sample now and then while nobody looks, finer ones while somebody does.

Everything that is kept is numbers in arrays, some 1 KiB for a watcher and as much again for the finer ones; it begins with
the daemon and ends with it.
"""

from __future__ import annotations

import math
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import gevent

from circusd.kernel import proc
from circusd.kernel.consumption import together

from . import clock
from .pace import Pace
from .stats import HasWatchers, rows_of

SPAN: Final = 3600.0
"""Seconds that are kept."""
LEAST_PERIOD: Final = 1.0
FINE_PERIOD: Final = 5.0
"""Seconds that one of the finer samples is the mean of."""
FINE_SAMPLES: Final = 60
BETWEEN: Final = 2.0
"""Seconds after a sample within which the use of the processor can't be told well from its ticks."""

DAEMON: Final = ""
"""Under this name stands the daemon itself, with the number of all processes and starts."""

NAN: Final = math.nan


class Sample(NamedTuple):
    """One watcher at one moment, with what its processes have started; the processor and memory are NaN where nothing runs, or
    nothing is known."""

    cpu: float
    """Per cent of one processor, the mean since the sample before."""
    rss: float
    """Bytes."""
    processes: float
    restarts: float
    """How often a process was started again since the watcher was added."""


NOTHING: Final = Sample(NAN, NAN, NAN, NAN)
WIDTH: Final = len(Sample._fields)


class Ring:
    """Samples of all watchers at the same moments; the newest take the place of the oldest."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        """Moments since the beginning, those that are no more included."""
        self._times = array("d", bytes(8 * size))
        self._rows: dict[str, array[float]] = {}

    def add(self, time: float, samples: Mapping[str, Sample]) -> None:
        """One more moment; a watcher that is not among the samples has a gap there."""
        place = self.count % self.size
        self._times[place] = time
        for name in samples:
            if name not in self._rows:
                self._rows[name] = array("f", [NAN]) * (WIDTH * self.size)
        for name, row in self._rows.items():
            row[place * WIDTH : place * WIDTH + WIDTH] = array("f", samples.get(name, NOTHING))
        self.count += 1

    def forget(self, name: str) -> None:
        """Nothing is kept of that watcher any more."""
        self._rows.pop(name, None)

    def clear(self) -> None:
        """Nothing is kept of anything."""
        self.count = 0
        self._rows.clear()

    def moments(self) -> list[tuple[float, int]]:
        """The moments that are kept, oldest first, each with its place."""
        first = max(0, self.count - self.size)
        return [(self._times[n % self.size], n % self.size) for n in range(first, self.count)]

    def sample(self, name: str, place: int) -> Sample:
        """What was so of a watcher at a place that `moments` has told."""
        row = self._rows.get(name)
        return NOTHING if row is None else Sample(*row[place * WIDTH : place * WIDTH + WIDTH])

    @property
    def bytes_kept(self) -> int:
        """What the arrays take."""
        return sum(len(one) * one.itemsize for one in (self._times, *self._rows.values()))


class _Known:
    """Ticks of processes as they were at the last sample: three numbers for each, in one array."""

    def __init__(self, rows: Iterable[tuple[int, int, int]] = ()) -> None:
        self._numbers = array("q", [number for row in rows for number in row])

    def as_dict(self) -> dict[tuple[int, int], int]:
        """By pid and start."""
        numbers = iter(self._numbers)
        return {(pid, start): ticks for pid, start, ticks in zip(numbers, numbers, numbers, strict=True)}


class LoadHistory:
    """Samples of the watchers of an arbiter; with a period of 0 nothing is kept at all."""

    def __init__(
        self,
        arbiter: HasWatchers,
        period: float,
        *,
        now: Callable[[], float] = clock.now,
        wall: Callable[[], float] = clock.wall,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        """The first sample comes after one period, in a greenlet of its own; the clock and its sleep can be others."""
        self.period = max(LEAST_PERIOD, period) if period > 0 else 0.0
        self._arbiter = arbiter
        self._now, self._wall, self._sleep = now, wall, sleep
        self.coarse = Ring(max(2, math.ceil(SPAN / self.period)) if self.period else 1)
        self.fine = Ring(FINE_SAMPLES)
        self._looks: list[Mapping[str, Any]] = []
        """What was told of the load since the last of the finer samples."""
        self._look_at = -math.inf
        self._known = _Known()
        self._at = now()
        self._greenlet = gevent.spawn(self._run) if self.period else None

    def close(self) -> None:
        """No sample is taken any more."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    def forget(self, name: str) -> None:
        """The watcher was removed; one that is added under its name later has its own history."""
        for ring in (self.coarse, self.fine):
            ring.forget(name.lower())
        self._looks.clear()

    # -- keeping ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        at = self._at
        while True:
            # A sample that comes too late is not made up for.
            at = max(at + self.period, self._now())
            self._sleep(at - self._now())
            self.take()

    def take(self) -> None:
        """One of the coarse samples; others have their turns meanwhile."""
        samples, self._known, self._at = self._sweep(0.0)
        self.coarse.add(self._wall(), samples)
        if self.fine.count and self._at - self._look_at > FINE_PERIOD * FINE_SAMPLES:
            self.fine.clear()

    def look(self, load: Mapping[str, Any]) -> None:
        """Somebody looks: a message ``load.`` was made, and is a part of the next of the finer samples."""
        if not self.period:
            return
        if self._now() - self._look_at > FINE_PERIOD:
            self._looks.clear()
        self._look_at = self._now()
        self._looks.append(load)
        if len(self._looks) >= FINE_PERIOD:
            looks, self._looks = self._looks, []
            self.fine.add(self._wall(), self._mean(looks))

    def _mean(self, looks: list[Mapping[str, Any]]) -> dict[str, Sample]:
        """What the watchers took on average; those of which nothing runs at the end have none."""
        last = looks[-1]
        found: dict[str, Sample] = {}
        processes = 0
        for watcher in self._arbiter.watchers.values():
            told = [load["watchers"][watcher.name] for load in looks if watcher.name in load["watchers"]]
            running = [load for load in told if load["processes"]]
            number = len(last["watchers"].get(watcher.name, {}).get("processes", ()))
            processes += number
            cpu, rss = _mean_of(running, "cpu"), _mean_of(running, "rss")
            restarts = watcher.restarts_ever
            found[watcher.name.lower()] = (
                Sample(cpu, rss, number, restarts) if number else Sample(NAN, NAN, 0, restarts)
            )
        own = [load["daemon"] for load in looks]
        found[DAEMON] = Sample(_mean_of(own, "cpu"), _mean_of(own, "rss"), processes, self._restarts())
        return found

    def _restarts(self) -> int:
        return sum(watcher.restarts_ever for watcher in self._arbiter.watchers.values())

    def _sweep(self, least: float) -> tuple[dict[str, Sample], _Known, float]:
        """How it is now, with what the next sample is to be compared with; use of the processor after ``least`` seconds."""
        pace = Pace()
        began = self._now()
        passed = began - self._at
        before = self._known.as_dict()
        ticks: dict[str, int] = {}
        memory: dict[str, int] = {}
        numbers: dict[str, int] = {}
        rows: list[tuple[int, int, int]] = []
        processes = rows_of(self._arbiter)
        trees = together((pid for _, _, pid, _ in processes), pace.rest)
        uses = [
            (name.lower(), pid, tree.own.start, tree.ticks, tree.rss)
            for name, _, pid, _ in processes
            if (tree := trees.get(pid)) is not None
        ]
        if (use := proc.use(os.getpid())) is not None:
            uses.append((DAEMON, os.getpid(), use.start, use.ticks, use.rss))
        for key, pid, start, taken, rss in uses:
            rows.append((pid, start, taken))
            # Less than before where a descendant has left the tree.
            ticks[key] = ticks.get(key, 0) + max(0, taken - before.get((pid, start), 0))
            memory[key] = memory.get(key, 0) + rss
            numbers[key] = numbers.get(key, 0) + 1
        found: dict[str, Sample] = {}
        share = 100 / proc.TICKS / passed if passed > least else NAN
        for watcher in self._arbiter.watchers.values():
            key = watcher.name.lower()
            cpu = ticks.get(key, NAN) * share
            found[key] = Sample(cpu, memory.get(key, NAN), numbers.get(key, 0), watcher.restarts_ever)
        own = ticks.get(DAEMON, NAN) * share
        found[DAEMON] = Sample(own, memory.get(DAEMON, NAN), len(processes), self._restarts())
        return found, _Known(rows), began

    # -- telling ---------------------------------------------------------------------------------------------------

    def told(self, names: Iterable[str], span: float) -> dict[str, Any]:
        """The samples of these watchers and of the daemon within the last ``span`` seconds, and how it is now.

        To be called in a greenlet: others have their turns meanwhile.
        """
        present, _, _ = self._sweep(BETWEEN)
        time = self._wall()
        moments = self._moments(time, span)
        pace = Pace()
        watchers: dict[str, Any] = {}
        for name in names:
            watchers[name] = self._series(name.lower(), moments, present)
            pace.rest()
        return {
            "period": self.period,
            "times": [round(at, 3) for at, _, _ in moments] + [round(time, 3)],
            "watchers": watchers,
            "daemon": self._series(DAEMON, moments, present),
        }

    def kept(self, name: str, span: float) -> dict[str, list[Any]]:
        """The samples of one watcher within the last ``span`` seconds, and none of now: nothing is asked of the system."""
        moments = self._moments(self._wall(), span)
        samples = [ring.sample(name.lower(), place) for _, ring, place in moments]
        return {
            "times": [round(at, 3) for at, _, _ in moments],
            "cpu": [_number(sample.cpu, 1) for sample in samples],
            "rss": [_number(sample.rss, 0) for sample in samples],
        }

    def _moments(self, time: float, span: float) -> list[tuple[float, Ring, int]]:
        """The finer samples, and the coarse ones of times of which there are none; in the order of their times."""
        fine = [(at, self.fine, place) for at, place in self.fine.moments()]
        times = sorted(at for at, _, _ in fine)
        coarse = [
            (at, self.coarse, place)
            for at, place in self.coarse.moments()
            if bisect_right(times, at) == bisect_right(times, at - self.period)
        ]
        moments = sorted((*fine, *coarse), key=lambda moment: moment[0])
        # A clock that was set back leaves samples of a time that has not come yet.
        return [moment for moment in moments if time - span <= moment[0] < time]

    def _series(
        self, name: str, moments: list[tuple[float, Ring, int]], present: Mapping[str, Sample]
    ) -> dict[str, list[float | None]]:
        samples = [ring.sample(name, place) for _, ring, place in moments]
        now = present.get(name, NOTHING)
        if samples and math.isnan(now.cpu) and not math.isnan(now.rss):
            # Too soon after the last one to be told anew.
            now = now._replace(cpu=samples[-1].cpu)
        samples.append(now)
        return {
            "cpu": [_number(sample.cpu, 1) for sample in samples],
            "rss": [_number(sample.rss, 0) for sample in samples],
            "processes": [_number(sample.processes, 0) for sample in samples],
            "restarts": [_number(sample.restarts, 0) for sample in samples],
        }


def _mean_of(loads: list[Mapping[str, Any]], key: str) -> float:
    return sum(load[key] for load in loads) / len(loads) if loads else NAN


def _number(value: float, digits: int) -> float | None:
    if math.isnan(value):
        return None
    return round(value, digits) if digits else round(value)
