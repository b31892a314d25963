"""What becomes of a process that gives no sign of life: in the core, without a clock or a process."""

from __future__ import annotations

import pytest

from circusd.core import words
from circusd.core.lifecycle import LONGEST_STOP, Happening, Kind, Policy, State
from circusd.runtime.notifications import LONGEST, happenings
from tests.fakes import World


def started(**options: object) -> World:
    """A watcher whose processes have been spawned."""
    world = World(1, Policy(**options))  # type: ignore[arg-type]
    world.command("start")
    while world.spawns:
        world.spawn()
    return world


def beat(world: World, wid: int = 1) -> None:
    """It says WATCHDOG=1."""
    world.happen(wid, Happening(Kind.BEAT))


def test_signs_of_life_are_expected_once_it_is_ready_and_cost_no_timer_each() -> None:
    """A beat moves nothing; the one timer looks when it fires whether another beat has come since."""
    world = started(ready="notify", watchdog=3.0, start_timeout=0)
    assert (1, "watchdog") not in world.timers
    world.say(1)
    assert world.timers[1, "watchdog"] == 3.0
    for _ in range(100):
        world.now += 0.1
        if world.now > world.timers[1, "watchdog"]:
            world.fire()
        before = dict(world.timers)
        beat(world)
        assert world.timers == before
    assert world.planner.processes[1].state is State.READY
    assert not world.told


def test_a_missing_sign_of_life_ends_it_by_the_signal_and_another_is_started() -> None:
    """At once where it had been well for a while; the reason is told and kept."""
    world = started(watchdog=3.0, watchdog_signal=6)
    world.now = 2.5
    beat(world)
    world.fire()
    assert not world.told
    world.fire()
    assert (world.now, world.told) == (5.5, {1: 101})
    assert (
        "Process 1 was unhealthy: it has not said WATCHDOG=1 for 3 s; it is being stopped."
        in words.explain(world.planner, world.now)
    )
    assert world.timers[1, "grace"] == 5.5 + 30
    world.die(1, None, 6)
    process = world.planner.processes[1]
    assert process.state is State.STARTING
    assert process.exit is not None
    assert (process.exit.signal, process.exit.code) == (6, None)
    assert words.ending(process.exit) == "was unhealthy: it has not said WATCHDOG=1 for 3 s"
    assert "process.unhealthy" in world.published


def test_one_that_was_never_well_is_tried_again_later_and_later() -> None:
    """As one that can't be started; and is given up where that is too often."""
    world = started(watchdog=3.0, start_limit_burst=3, start_limit_interval=600.0)
    waits = []
    for _ in range(2):
        world.fire()
        world.die(1, None, 6)
        waits.append(world.timers[1, "backoff"] - world.now)
        world.fire()
        world.spawn()
    assert waits[0] < waits[1]
    world.fire()
    world.die(1, None, 6)
    assert world.planner.processes[1].state is State.FAILED


def test_without_respawn_it_is_ended_and_stays_so() -> None:
    """With what was amiss, and the signal that it was ended by."""
    world = started(watchdog=3.0, respawn=False)
    world.fire()
    world.die(1, None, 6)
    assert world.planner.processes[1].state is State.EXITED
    assert "It was unhealthy: it has not said WATCHDOG=1 for 3 s, and is not started again" in words.explain(
        world.planner, world.now
    )


def test_a_process_says_itself_that_it_can_not_go_on() -> None:
    """Also where no signs of life are expected; a stop that a person asks for meanwhile counts."""
    world = started()
    world.happen(1, Happening(Kind.TRIGGERED))
    assert world.told
    world.command("stop")
    world.settle()
    assert world.planner.processes[1].state is State.STOPPED
    assert world.planner.status() == "stopped"


def test_it_says_how_often_it_gives_a_sign_of_life() -> None:
    """More often, less often, or not at all any more; before it is ready it counts from then on."""
    world = started(ready="notify", watchdog=3.0, start_timeout=0)
    world.happen(1, Happening(Kind.WATCHDOG_CHANGED, seconds=7.0))
    assert not world.timers
    world.say(1)
    assert world.timers[1, "watchdog"] == 7.0
    world.now = 1.0
    world.happen(1, Happening(Kind.WATCHDOG_CHANGED, seconds=2.0))
    assert world.timers[1, "watchdog"] == 3.0
    world.happen(1, Happening(Kind.WATCHDOG_CHANGED, seconds=0.0))
    assert not world.timers
    assert world.planner.processes[1].beat_by is None


def test_a_start_that_needs_longer_says_so_and_gets_no_less() -> None:
    """What it asks for counts from then on, and only where it is later than it would have been."""
    world = started(ready="notify", start_timeout=20.0)
    world.happen(1, Happening(Kind.EXTENDED, seconds=5.0))
    assert world.timers[1, "start"] == 20.0
    world.now = 18.0
    world.happen(1, Happening(Kind.EXTENDED, seconds=30.0))
    assert world.timers[1, "start"] == 48.0
    assert "has 30 s left" in words.explain(world.planner, 18.0)
    world.fire()
    assert world.told


def test_a_stop_that_needs_longer_says_so_and_not_without_end() -> None:
    """The signals that come after it come later; who wants it gone at once gets that."""
    world = started(stop_ladder=((15, 10.0), (3, 5.0)))
    world.command("stop")
    world.now = 9.0
    world.happen(1, Happening(Kind.EXTENDED, seconds=11.0))
    process = world.planner.processes[1]
    assert (world.timers[1, "grace"], process.stop_by) == (20.0, 25.0)
    world.happen(1, Happening(Kind.EXTENDED, seconds=1.0))
    assert world.timers[1, "grace"] == 20.0
    world.happen(1, Happening(Kind.EXTENDED, seconds=1e9))
    assert world.timers[1, "grace"] == LONGEST_STOP
    world.command("kill", signum=9)
    world.command("stop", signum=9)
    world.planner.happen(1, Happening(Kind.STOP, signum=9), world.now)
    assert world.planner.processes[1].kill_by is not None
    world.happen(1, Happening(Kind.EXTENDED, seconds=1.0))


def test_the_process_that_has_the_work_is_the_slot_s_when_its_parent_has_ended() -> None:
    """It is neither started again nor judged by its parent's end."""
    world = started(watchdog=3.0)
    world.live[1] = 777
    world.happen(1, Happening(Kind.FOLLOWED, pid=777))
    process = world.planner.processes[1]
    assert (process.pid, process.state, process.starts) == (777, State.RUNNING, 1)
    assert world.planner.pids() == [777]
    assert world.published[-1] == "process.followed"


@pytest.mark.parametrize(
    ("fields", "means"),
    [
        ({"WATCHDOG": "1"}, [(Kind.BEAT, 0.0)]),
        ({"WATCHDOG": "trigger"}, [(Kind.TRIGGERED, 0.0)]),
        ({"WATCHDOG": "0"}, []),
        ({"WATCHDOG_USEC": "2500000"}, [(Kind.WATCHDOG_CHANGED, 2.5)]),
        ({"WATCHDOG_USEC": "0"}, [(Kind.WATCHDOG_CHANGED, 0.0)]),
        ({"WATCHDOG_USEC": str(2**64 - 1)}, [(Kind.WATCHDOG_CHANGED, LONGEST)]),
        ({"WATCHDOG_USEC": "9" * 5000}, []),
        ({"WATCHDOG_USEC": "-1"}, []),
        ({"WATCHDOG_USEC": "\u0663"}, []),
        ({"WATCHDOG_USEC": "1e9"}, []),
        ({"EXTEND_TIMEOUT_USEC": "1000000"}, [(Kind.EXTENDED, 1.0)]),
        ({"EXTEND_TIMEOUT_USEC": ""}, []),
        ({"READY": "1", "WATCHDOG": "1"}, [(Kind.BECAME_READY, 0.0), (Kind.BEAT, 0.0)]),
    ],
)
def test_what_a_message_means(fields: dict[str, str], means: list[tuple[Kind, float]]) -> None:
    """Numbers that are none, or that nobody could mean, are nobody's."""
    assert [(event.kind, event.seconds) for event in happenings(fields)] == means
