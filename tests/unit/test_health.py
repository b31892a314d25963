"""What becomes of a process that gives no sign of life: in the core, without a clock or a process."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circusd.core import health, words
from circusd.core.health import HEALTHY, STARTING, UNHEALTHY, Rules
from circusd.core.process import Happening, Kind, Policy, State
from circusd.core.reaching import hopeless, reached
from circusd.core.stopping import LONGEST_STOP
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


# -- looks -----------------------------------------------------------------------------------------------------------


def looked_at(**rules: object) -> World:
    """Three processes that run, and at which it is looked."""
    return started(numprocesses=3, alive=Rules(**rules), settle_time=0.0)  # type: ignore[arg-type]


def find(world: World, wid: int, ok: bool) -> None:
    """It is looked at that process, once."""
    kind = Kind.LOOK_PASSED if ok else Kind.LOOK_FAILED
    world.happen(wid, Happening(kind, text="" if ok else "refused"))


def states(world: World) -> list[str]:
    return [p.health.state if p.health is not None else "" for p in world.planner.processes.values()]


def test_looks_come_one_after_the_other_from_when_it_is_ready() -> None:
    """The first soon, each other one so long after the answer to the one before; none before it is ready, and none when it ends."""
    world = started(ready="notify", start_timeout=0, alive=Rules(interval=10.0))
    assert not world.timers
    world.say(1)
    assert world.timers == {(1, "alive"): 1.0}
    world.fire()
    assert [probe.what for probe in world.probes] == ["alive"]
    assert not world.timers
    world.now = 14.0
    world.look()
    assert world.timers == {(1, "alive"): 24.0}
    assert world.published[-1] == "process.healthy"
    world.command("stop")
    assert (1, "alive") not in world.timers


def test_the_next_has_its_turn_when_it_is_known_how_the_new_one_is() -> None:
    """The one that has been unhealthy longest comes first; those that wait may become healthy by themselves."""
    world = looked_at(failures=2)
    for wid in (2, 1, 3):
        find(world, wid, ok=False)
    for wid in (2, 3, 1):
        world.now += 1
        find(world, wid, ok=False)
    assert list(world.told) == [2]
    assert states(world) == [UNHEALTHY, "", UNHEALTHY]
    said = words.explain(world.planner, world.now)
    assert (
        "Process 3 has been unhealthy for 1.0 s: refused; it is replaced once it is known how process 2 is."
        in said
    )
    assert "1 more process is unhealthy." in said
    assert words.watcher_state(world.planner) == UNHEALTHY
    world.die(2, None, 15)
    if not world.spawns:
        world.fire()
    world.spawn()
    assert not world.told
    find(world, 1, ok=True)
    assert states(world) == [HEALTHY, STARTING, UNHEALTHY]
    find(world, 2, ok=True)
    assert list(world.told) == [3]


def test_a_script_can_wait_for_health() -> None:
    """All of them have to be; and where nobody looks it is told at once."""
    world = looked_at()
    for wid in (1, 2):
        find(world, wid, ok=True)
    assert not reached(world.planner, HEALTHY, queued=False)
    assert hopeless(world.planner, HEALTHY, queued=False, now=0.0) == ""
    find(world, 3, ok=True)
    assert reached(world.planner, HEALTHY, queued=False)
    assert "alive is not set" in hopeless(started().planner, HEALTHY, queued=False, now=0.0)


def test_a_reload_goes_before_and_a_person_s_word_too() -> None:
    """While new ones take over nobody is replaced for his health; what is stopped stays so."""
    world = looked_at(failures=1)
    world.command("reload")
    find(world, 1, ok=False)
    assert not world.told
    world.cancel()
    world.settle()
    assert world.planner.job is None
    world.command("stop")
    world.settle()
    assert not world.live


def test_what_a_person_stops_has_not_ended_for_its_health() -> None:
    """Also where a reload had kept it, unhealthy as it was, until the stop took the reload's place."""
    world = looked_at(failures=1)
    world.command("reload")
    find(world, 1, ok=False)
    world.command("stop")
    world.settle()
    first = world.planner.processes[1].exit
    assert first is not None
    assert (first.signal, first.text, first.stage) == (15, "", "")


def test_one_that_says_that_it_stops_itself_is_not_judged() -> None:
    """It answers no more, and nobody wonders."""
    world = looked_at(failures=1)
    world.happen(1, Happening(Kind.UNREADY, text="stopping"))
    find(world, 1, ok=False)
    assert states(world)[0] == STARTING
    assert not world.told


def test_what_is_known_follows_from_the_last_looks_alone() -> None:
    """In each history: so many failures in a row, those of the start period left out, or so many successes."""

    @settings(max_examples=300, deadline=None)
    @given(
        failures=st.integers(1, 4),
        successes=st.integers(1, 3),
        period=st.sampled_from((0.0, 3.0, 50.0)),
        looks=st.lists(st.tuples(st.sampled_from((0.5, 2.0)), st.booleans()), max_size=30),
    )
    def holds(failures: int, successes: int, period: float, looks: list[tuple[float, bool]]) -> None:
        rules = Rules(failures=failures, successes=successes, start_period=period)
        known, now, state = health.begun(0.0, rules), 0.0, STARTING
        counted: list[bool] = []
        for wait, ok in looks:
            now += wait
            known = health.passed(known, now, rules) if ok else health.failed(known, "x", now, rules)
            spared = not ok and now < period and not any(counted)
            counted = [*counted, ok] if not spared else counted
            if len(counted) >= successes and all(counted[-successes:]):
                state = HEALTHY
            elif len(counted) >= failures and not any(counted[-failures:]):
                state = UNHEALTHY
            assert known.state == state
            assert known.text == ("" if ok else "x")

    holds()


def test_no_more_are_away_for_their_health_than_may_be() -> None:
    """In each history of looks, deaths and starts; and no one waits where there is room."""

    @settings(max_examples=150, deadline=None)
    @given(
        at_once=st.integers(0, 3),
        ready=st.sampled_from(("started", "notify")),
        moves=st.lists(
            st.tuples(st.sampled_from(("pass", "fail", "end", "spawn", "say", "time")), st.integers(0, 4)),
            max_size=60,
        ),
    )
    def holds(at_once: int, ready: str, moves: list[tuple[str, int]]) -> None:
        rules = Rules(failures=1, at_once=at_once)
        world = World(5, Policy(numprocesses=5, ready=ready, start_timeout=0, settle_time=0.0, alive=rules))
        world.command("start")
        world.settle()
        for move, which in moves:
            _move(world, move, which)
            away = [p for p in world.planner.processes.values() if p.is_coming]
            assert len(away) <= at_once

    holds()


def _move(world: World, move: str, which: int) -> None:
    live = sorted(wid for wid in world.live if wid not in world.told)
    match move:
        case "pass" | "fail" if live:
            find(world, live[which % len(live)], ok=move == "pass")
        case "end" if world.told:
            world.die(sorted(world.told)[which % len(world.told)], None, 15)
        case "spawn" if world.spawns:
            world.spawn()
        case "say" if live:
            world.say(live[which % len(live)])
        case "time" if any(kind == "backoff" for _, kind in world.timers):
            world.fire()
