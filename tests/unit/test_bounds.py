"""When what a process takes is too much for too long."""

from __future__ import annotations

import pytest

from circusd.core.bounds import LONGEST_PERIOD, SHORTEST_PERIOD, Bounds, Over, judge, look, next_look
from circusd.core.words import size

MIB = 1 << 20


def after(bounds: Bounds, *looks: tuple[float, float, int]) -> tuple[Over, str]:
    """What is known after looks (time, per cent, MiB), and what is said at the last."""
    over = None
    for now, cpu, rss in looks:
        over = look(over, bounds, cpu, rss * MIB, now)
    assert over is not None
    verdict = judge(over, bounds, looks[-1][2] * MIB)
    return over, f"{verdict.option}: {verdict.why}" if verdict else ""


def test_memory_counts_when_it_was_too_much_for_the_whole_time() -> None:
    """From the first look at which it was; one look below begins the time anew; the bound itself is not too much."""
    bounds = Bounds(memory=512 * MIB, memory_for=30)
    assert after(bounds, (0, 0, 600), (20, 0, 600))[1] == ""
    said = after(bounds, (0, 0, 600), (20, 0, 600), (30, 0, 612))[1]
    assert said == "max_memory: it held 612 MiB for 30 s, more than 512 MiB"
    assert after(bounds, (0, 0, 600), (20, 0, 512), (30, 0, 612))[1] == ""
    assert after(Bounds(memory=MIB), (0, 0, 2))[1] == "max_memory: it held 2 MiB, more than 1 MiB"


def test_processor_counts_by_the_mean_of_the_time_and_not_by_the_first_look() -> None:
    """What the first look tells compares with nothing; a pause between two looks begins the time anew."""
    bounds = Bounds(cpu=100, cpu_for=60)
    assert after(bounds, (0, 900, 1), (30, 120, 1))[0].cpu == 0
    said = after(bounds, (0, 0, 1), (30, 120, 1), (60, 160, 1))[1]
    assert said == "max_cpu: it took 140 % of a processor for 60 s, more than 100 %"
    assert after(bounds, (0, 0, 1), (30, 120, 1), (40, 90, 1), (90, 160, 1))[1] == ""
    assert after(Bounds(memory=MIB, memory_for=9), (0, 0, 1), (30, 900, 1))[1] == ""


@pytest.mark.parametrize(
    ("bounds", "period"),
    [
        (Bounds(memory=1, memory_for=0), SHORTEST_PERIOD),
        (Bounds(memory=1, memory_for=30), 6),
        (Bounds(memory=1, memory_for=30, cpu=1, cpu_for=10), 2),
        (Bounds(cpu=1, cpu_for=3600), LONGEST_PERIOD),
    ],
)
def test_it_is_looked_as_often_as_the_time_asks_for(bounds: Bounds, period: float) -> None:
    """Some times within it, never more than each second, and at its end."""
    assert bounds.period == period
    assert next_look(Over(100.0), bounds) == period
    assert not Bounds(memory_for=30)


def test_the_last_look_comes_when_the_time_is_over() -> None:
    """Not up to a period later."""
    bounds = Bounds(memory=1, memory_for=30)
    assert next_look(Over(28.0, memory=0.0), bounds) == 2.0
    assert next_look(Over(40.0, memory=0.0), bounds) == SHORTEST_PERIOD


def test_sizes_are_said_as_people_say_them() -> None:
    """In the unit that leaves at most three digits."""
    sizes = (0, 900, 1024, 1.5 * MIB, 612 * MIB, 1010 * MIB, 5 << 40)
    assert [size(n) for n in sizes] == ["0 B", "900 B", "1 KiB", "1.5 MiB", "612 MiB", "1 GiB", "5120 GiB"]
