"""The lag of the loop: told by its own turns, at no cost while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import pytest
from gevent.hub import get_hub

from circusd.runtime.looplag import BOUNDS, SLICE, SLICES, LoopLag
from tests.waiting import eventually


class Clock:
    """A clock that goes as it is told."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def run(lag: LoopLag, clock: Clock, turns: list[tuple[float, float]]) -> None:
    """Turns, each a wait and the seconds that it takes."""
    for wait, took in turns:
        clock.time += wait + took
        lag.turn(took, clock.time)


def turns(lag: LoopLag) -> int:
    """How many have been counted."""
    count: int = lag.histogram()["counts"][-1]
    return count


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> LoopLag:
    return LoopLag(now=clock, watch=False)


@pytest.fixture
def watching() -> Iterator[LoopLag]:
    lag = LoopLag()
    yield lag
    lag.close()
    gevent.sleep(0)


def test_loop_that_sleeps_lets_nobody_wait(lag: LoopLag, clock: Clock) -> None:
    """Without turns, and with a few short ones, half of all moments and all but one of a hundred see no wait at all."""
    clock.time += 5
    assert lag.view() == {"p50": 0, "p99": 0, "max": 0, "window": 5}
    run(lag, clock, [(1.0, 0.0004)] * 5)
    view = lag.view()
    assert (view["p50"], view["p99"], view["max"]) == (0, 0, 0.0004)


def test_waiting_times_are_those_of_all_moments(lag: LoopLag, clock: Clock) -> None:
    """A loop that is busy for 100 ms of each 200 ms: half of the moments wait, evenly up to 100 ms, so p99 is 98 ms."""
    run(lag, clock, [(0.1, 0.1)] * 40)
    view = lag.view()
    assert view["max"] == 0.1
    assert view["p50"] == pytest.approx(0, abs=0.001)
    assert view["p99"] == pytest.approx(0.098, abs=0.003)


def test_seldom_stall_is_in_the_maximum_alone(lag: LoopLag, clock: Clock) -> None:
    """One turn of 300 ms in a minute lies in less than a hundredth of all moments."""
    run(lag, clock, [(0.02, 0.001)] * 1000)
    run(lag, clock, [(0.02, 0.3)])
    run(lag, clock, [(0.02, 0.001)] * 1000)
    view = lag.view()
    assert view["max"] == 0.3
    assert view["p99"] < 0.02


def test_loop_that_never_rests_is_late_half_the_time_by_half_a_turn(lag: LoopLag, clock: Clock) -> None:
    """Turn upon turn of 40 ms: one who comes waits for what is left of one."""
    run(lag, clock, [(0.0, 0.04)] * 1000)
    view = lag.view()
    assert view["p50"] == pytest.approx(0.02, abs=0.005)
    assert view["p99"] == pytest.approx(0.0396, abs=0.005)


def test_what_was_is_forgotten_after_a_minute(lag: LoopLag, clock: Clock) -> None:
    """A stall is told for a minute and at most a slice more, and no longer, also where nothing happens after it."""
    run(lag, clock, [(0.1, 2.0)])
    clock.time += SLICE * SLICES - SLICE
    assert lag.view()["max"] == 2.0
    clock.time += 2 * SLICE
    assert lag.view()["max"] == 0
    run(lag, clock, [(0.5, 0.001)] * 10)
    view = lag.view()
    assert (view["max"], view["window"]) == (0.001, SLICE * SLICES)


def test_histogram_counts_every_turn(lag: LoopLag, clock: Clock) -> None:
    """Counts go up to each bound and never down, as Prometheus has them; the sum is of all seconds."""
    run(lag, clock, [(0, 0.0001), (0, 0.003), (0, 0.003), (0, 9.0)])
    told = lag.histogram()
    assert told["le"] == list(BOUNDS)
    assert len(told["counts"]) == len(BOUNDS) + 1
    assert told["counts"][BOUNDS.index(0.0005)] == 1
    assert told["counts"][BOUNDS.index(0.005)] == 3
    assert told["counts"][-2:] == [3, 4]
    assert told["sum"] == pytest.approx(9.0061)
    clock.time += 10 * SLICE
    run(lag, clock, [(0, 0.003)])
    told = lag.histogram()
    assert told["counts"][-2:] == [4, 5]
    assert told["sum"] == pytest.approx(9.0091)


@pytest.mark.parametrize("how", ["timer", "greenlets", "callback", "spawned"])
def test_turn_of_the_real_loop_is_seen_whoever_takes_it(watching: LoopLag, how: str) -> None:
    """A timer, greenlets that pass the turn on, a callback of the loop, a greenlet that was started: all are in a turn."""
    gevent.sleep(0.01)
    before = watching.view()["max"]

    def busy(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    def passing_on() -> None:
        for _ in range(5):
            busy(0.03)
            gevent.sleep(0)

    loop = get_hub().loop
    timer = loop.timer(0.001)
    if how == "timer":
        timer.start(busy, 0.15)
    elif how == "callback":
        loop.run_callback(busy, 0.15)
    else:
        gevent.spawn(passing_on if how == "greenlets" else busy, *(() if how == "greenlets" else (0.15,)))
    eventually(lambda: watching.view()["max"] > before + 0.1, sleep=gevent.sleep)
    timer.close()


def test_watching_wakes_nobody(watching: LoopLag) -> None:
    """While nothing happens there are no turns: the loop sleeps as if nobody watched it."""
    gevent.sleep(0.05)
    before = turns(watching)
    gevent.sleep(0.5)
    assert turns(watching) - before <= 3


def test_closing_ends_the_watch() -> None:
    """No turn is counted after it, and closing again does nothing."""
    lag = LoopLag()
    gevent.sleep(0.01)
    lag.close()
    before = turns(lag)
    for _ in range(5):
        gevent.sleep(0.001)
    assert turns(lag) == before
    lag.close()
