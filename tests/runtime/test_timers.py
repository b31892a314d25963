"""Timers by key: each fires once, at its moment, and what was cancelled never does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import gevent
import pytest

from circusd.runtime import clock
from circusd.runtime.timers import LoopTimer, Timers
from tests.gate import until


@pytest.fixture
def timers() -> Iterator[Timers]:
    """None is left afterwards."""
    made = Timers()
    yield made
    made.close()
    assert len(made) == 0


def test_each_fires_once_in_the_order_of_their_moments(timers: Timers) -> None:
    """Not before it, whatever else was armed, moved and cancelled meanwhile."""
    chance, began = random.Random(3), clock.now()
    fired: list[tuple[float, int]] = []
    wanted: dict[int, float] = {}

    def fire(key: int) -> None:
        assert clock.now() >= wanted[key]
        fired.append((wanted.pop(key), key))

    for _ in range(2000):
        key = chance.randrange(100)
        if chance.random() < 0.3:
            timers.cancel(key)
            wanted.pop(key, None)
        else:
            wanted[key] = began + 0.05 + chance.randrange(20) / 100
            timers.arm(key, wanted[key], partial(fire, key))
    # After all of them, those too that were cancelled or moved.
    wanted[100] = began + 0.3
    timers.arm(100, wanted[100], partial(fire, 100))
    expected = sorted(wanted.values())
    assert len(timers) == len(wanted) == len(expected)
    assert all(key in timers for key in wanted)
    until(lambda: any(key == 100 for _, key in fired))
    assert not wanted
    assert [at for at, _ in fired] == expected
    assert len({key for _, key in fired}) == len(fired)


def test_what_one_does_to_others_of_its_moment_counts(timers: Timers) -> None:
    """One that is cancelled by the one before it does not fire, and one that arms itself anew does so again."""
    fired: list[str] = []
    at = clock.now() + 0.02

    def first() -> None:
        fired.append("first")
        timers.cancel("second")
        if len(fired) < 3:
            timers.arm("first", clock.now() + 0.01, first)

    timers.arm("first", at, first)
    timers.arm("second", at, lambda: fired.append("second"))
    until(lambda: len(fired) == 3)
    assert fired == ["first"] * 3


def test_a_fault_of_one_does_not_keep_the_others_from_firing(timers: Timers) -> None:
    """It is told by the loop, as that of any callback."""
    fired: list[str] = []
    hub = gevent.get_hub()
    told: list[object] = []
    hub.handle_error, before = lambda *what: told.append(what[1]), hub.handle_error

    def fault() -> None:
        raise RuntimeError("a fault")

    try:
        at = clock.now() + 0.01
        timers.arm("fault", at, fault)
        timers.arm("other", at, lambda: fired.append("other"))
        until(lambda: fired)
    finally:
        hub.handle_error = before
    assert told == [RuntimeError]


def test_those_that_are_cancelled_wake_nobody_and_take_no_room(timers: Timers) -> None:
    """However often one is moved: what is left of it is no more than of a few."""
    timers.arm("late", clock.now() + 1000, lambda: None)
    for _ in range(10_000):
        timers.arm("moved", clock.now() + 500, lambda: None)
    assert len(timers._heap) < 100
    timers.cancel("moved")
    assert len(timers) == 1 and timers._wakes_at > clock.now() + 900
    timers.cancel("late")
    assert not timers._timer.is_set and not timers._heap


def test_one_of_the_loop_fires_once_or_until_it_is_stopped() -> None:
    """What is set takes the place of what was, and when it fires another may be set."""
    told: list[str] = []
    timer, other = LoopTimer(), LoopTimer()

    def go_on() -> None:
        assert not timer.is_set
        timer.every(0.001, partial(told.append, "again"))

    timer.once(0.0, told.append, "replaced")
    timer.once(0.0, go_on)
    until(lambda: len(told) >= 3)
    timer.stop()
    count = len(told)
    other.once(0.01, told.append, "other")
    until(lambda: not other.is_set)
    assert told == ["again"] * count + ["other"] and not timer.is_set
