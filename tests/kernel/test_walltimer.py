"""The timer on the clock on the wall: it goes off at its moment, at once for one that is over, and never without one."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pytest

from circusd.kernel.walltimer import WallTimer
from tests.waiting import eventually


@pytest.fixture
def timer() -> Iterator[WallTimer]:
    made = WallTimer()
    yield made
    made.close()


def has_gone_off(timer: WallTimer) -> bool:
    poll = select.poll()
    poll.register(timer.fd, select.POLLIN)
    return bool(poll.poll(0))


def test_it_goes_off_at_its_moment_and_once(timer: WallTimer) -> None:
    """What was taken is told no more."""
    moment = time.time() + 0.1
    timer.arm(moment)
    eventually(lambda: has_gone_off(timer))
    assert time.time() >= moment
    timer.take()
    assert not has_gone_off(timer)
    timer.take()


@pytest.mark.parametrize("moment", [-5.0, 0.0, 1.0])
def test_a_moment_that_is_over_is_told_at_once(timer: WallTimer, moment: float) -> None:
    """However long it is over, and whatever the clock showed."""
    timer.arm(moment)
    assert has_gone_off(timer)


@pytest.mark.parametrize("moment", [None, 1e18, float("inf")])
def test_without_a_moment_nothing_is_told(timer: WallTimer, moment: float | None) -> None:
    """Nor for one that no clock will show; what was armed before counts no more."""
    timer.arm(time.time() - 1)
    timer.arm(moment)
    assert not has_gone_off(timer)
