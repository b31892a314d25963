"""The pure core against thousands of random histories, and the cases that people rely on."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from circusd.core.backoff import delay, moment
from circusd.core.effects import (
    ArmTimer,
    CancelTimer,
    JobEnded,
    KillTree,
    Publish,
    RunStopCommand,
    Signal,
    Spawn,
)
from circusd.core.health import Rules
from circusd.core.lifecycle import TABLE, step
from circusd.core.process import ALIVE, GONE, Exit, Happening, Kind, Policy, Process, State
from circusd.core.stopping import KILL_PATIENCE
from circusd.core.watcher import Job, Planner
from circusd.core.words import ending
from tests.fakes import World

HOOKS = ("before_start", "after_start", "before_spawn", "after_spawn", "before_stop", "after_stop")


def policy_by_chance(seed: int) -> Policy:
    """Some combination of options."""
    r = random.Random(seed * 7 + 1)
    return Policy(
        numprocesses=r.randrange(5),
        respawn=r.random() > 0.2,
        respawn_on=r.choice(("exit", "exit", "failure")),
        success=r.choice((frozenset({0}), frozenset({0, 1, -9}))),
        max_retry=r.choice((-1, 0, 2, 5)),
        restart_delay=r.choice((0.0, 0.0, 2.0)),
        start_limit_burst=r.choice((0, 0, 1, 3)),
        start_limit_interval=r.choice((1.0, 60.0)),
        retry_in=r.choice((0.0, 5.0)),
        graceful_timeout=r.choice((0.5, 30.0)),
        stop_ladder=r.choice(((), (), ((2, 1.0), (15, 2.0)), ((3, 1.0), (9, 0.0), (15, 1.0)))),
        stop_command=r.random() > 0.7,
        stop_command_timeout=r.choice((0.5, 5.0)),
        stop_children=r.random() > 0.6,
        send_hup=r.random() > 0.8,
        warmup_delay=r.choice((0.0, 0.0, 0.3)),
        max_age=r.choice((0.0, 0.0, 5.0)),
        backoff=r.choice((0.0, 0.1)),
        singleton=r.random() > 0.9,
        ready=r.choice(("auto", "started", "notify", "probe", "log", "fd")),
        start_timeout=r.choice((0.0, 2.0, 60.0)),
        watchdog=r.choice((0.0, 0.0, 0.7, 5.0)),
        alive=r.choice(
            (None, None, Rules(interval=0.5, failures=2), Rules(1.0, 1, 2, 3.0, 2), Rules(at_once=0))
        ),
        hooks=frozenset(h for h in HOOKS if r.random() > 0.75),
        on_demand=r.random() > 0.7,
        scheduled=r.random() > 0.8,
    )


@pytest.mark.parametrize("block", range(20))
def test_random_histories_keep_the_promises_and_a_stop_always_ends(block: int) -> None:
    """Whatever comes to pass in whatever order: one process a slot, no endless wait, and stop reaches stopped."""
    for seed in range(block * 100, block * 100 + 100):
        world = World(seed, policy_by_chance(seed), undying=seed % 3 / 5)
        for _ in range(60):
            world.turn()
        world.command("stop")
        world.settle()
        assert all(p.state in GONE for p in world.planner.processes.values()), world.tale(40)
        assert not world.live
        assert world.planner.status() == "stopped"
        world.hooks.clear()
        world.timers.clear()
        assert not any(isinstance(e, Spawn) for e in world.planner.timer(None, "warmup", world.now + 100))


@pytest.mark.parametrize("block", range(5))
def test_after_any_history_start_brings_up_exactly_the_wanted_number(block: int) -> None:
    """A start after a random history ends with numprocesses running, none more."""
    for seed in range(block * 100, block * 100 + 100):
        world = World(seed, policy_by_chance(seed), undying=seed % 3 / 5)
        for _ in range(50):
            world.turn()
        world.command("stop")
        world.settle()
        world.command("start")
        world.settle()
        if world.planner.policy.held_by:
            assert world.planner.asleep
            assert not world.live
            world.connect()
            world.settle()
        if world.planner.policy.always and not world.planner.policy.start_limit_burst:
            assert len(world.live) == world.planner.policy.numprocesses, world.tale(60)


def test_every_pair_of_state_and_event_is_decided() -> None:
    """No combination was forgotten."""
    assert set(TABLE) == set(itertools.product(State, Kind))


def test_every_job_gets_exactly_one_end() -> None:
    """Each command that was begun ends once."""
    for seed in range(300):
        world = World(seed, policy_by_chance(seed))
        for _ in range(60):
            world.turn()
        world.command("stop")
        world.settle()
        ids = [e.job for e in world.ended if e.job]  # 0: the stop of a start that was cancelled
        assert len(ids) == len(set(ids))


def running(**options: object) -> tuple[Process, Policy]:
    """A process that runs since the moment 0."""
    policy = Policy(**options)  # type: ignore[arg-type]
    return Process(1, State.RUNNING, pid=5, started=0.0), policy


def test_a_process_that_lived_is_back_at_once() -> None:
    """No back-off after a life longer than settle_time."""
    process, policy = running()
    after, effects = step(process, Happening(Kind.EXITED, signal=9), 3.0, policy)
    assert after.state is State.STARTING
    assert Spawn(1) in effects


def test_quick_deaths_wait_longer_and_longer_up_to_the_cap_and_never_give_up() -> None:
    """The back-off doubles, is capped, and an old failure is forgotten after a longer life."""
    process, policy = running(backoff=0.1, backoff_max=5.0, max_retry=5)
    now, waits = 0.0, []
    for _ in range(20):
        process, effects = step(process, Happening(Kind.EXITED, code=1), now, policy)
        (timer,) = [e for e in effects if isinstance(e, ArmTimer)]
        assert process.state is State.BACKOFF
        assert process.next_try == timer.at
        waits.append(timer.at - now)
        now = timer.at
        process, _ = step(process, Happening(Kind.BACKOFF_OVER), now, policy)
        process, _ = step(process, Happening(Kind.SPAWNED, pid=6), now, policy)
        now += 0.01
    assert waits[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8], rel=1 / 16)
    assert waits[-1] == pytest.approx(5.0, rel=1 / 16)
    process, _ = step(process, Happening(Kind.EXITED, code=1), now + 50, policy)
    assert process.attempts == 0


def test_one_that_has_ended_well_is_not_started_again_where_only_failures_count() -> None:
    """A code or a signal that counts as success completes it; any other end brings it back."""
    for end, comes_back in (
        ({"code": 0}, False),
        ({"code": 75}, False),
        ({"signal": 15}, False),
        ({"code": 1}, True),
    ):
        process, policy = running(respawn_on="failure", success=frozenset({0, 75, -15}))
        after, _ = step(process, Happening(Kind.EXITED, **end), 3.0, policy)  # type: ignore[arg-type]
        assert (after.state is State.STARTING) == comes_back
        assert comes_back or after.state is State.COMPLETED
    process, policy = running(respawn=False, success=frozenset({0}))
    after, _ = step(process, Happening(Kind.EXITED, code=75), 3.0, policy)
    assert after.state is State.EXITED


def test_a_pause_comes_before_each_start_where_it_is_asked_for() -> None:
    """Also after a long life; a back-off that is longer counts instead of it."""
    process, policy = running(restart_delay=5.0, backoff=0.1)
    after, effects = step(process, Happening(Kind.EXITED, code=0), 100.0, policy)
    assert (after.state, after.next_try, after.attempts) == (State.BACKOFF, 105.0, 0)
    assert ArmTimer(1, "backoff", 105.0) in effects
    process, policy = running(restart_delay=5.0, backoff=20.0)
    after, _ = step(process, Happening(Kind.EXITED, code=0), 0.1, policy)
    assert after.next_try == pytest.approx(20.1, rel=1 / 16)


def test_a_few_of_many_that_die_again_and_again_come_back_at_one_moment() -> None:
    """So that the daemon wakes up once for them; never all, none later than it should be, and none much sooner."""
    chance = random.Random(7).random
    for attempt in range(1, 12):
        moments = set()
        for number in range(50):
            now = 1000.0 + number * 0.0001
            least, wait, most = (delay(attempt, 0.1, 60.0, share) for share in (0.0, chance(), 1.0))
            at = moment(now, wait, least)
            assert now + least <= at <= now + wait <= now + most
            assert wait - (at - now) <= min(wait / 16, 0.5)
            moments.add(at)
        assert 5 <= len(moments) <= 40


def test_one_that_ends_too_often_is_given_up_and_tried_again_later() -> None:
    """So many ends by itself within the interval; stops that were asked for and older ends do not count."""
    policy = Policy(settle_time=0, start_limit_burst=3, start_limit_interval=60.0, retry_in=300.0)
    process, now, failed = Process(1, State.RUNNING, pid=5, started=0.0), 0.0, []
    for pause in (10.0, 100.0, 20.0, 30.0):
        now += pause
        process, effects = step(process, Happening(Kind.EXITED, code=1), now, policy)
        failed += [e for e in effects if isinstance(e, Publish) and e.event == "process.failed"]
        if process.state is State.STARTING:
            process, _ = step(process, Happening(Kind.SPAWNED, pid=6), now, policy)
    assert (process.state, now, process.next_try) == (State.FAILED, 160.0, 460.0)
    assert not process.is_final
    assert [e.fields["reason"] for e in failed] == ["it has ended 3 times within 60 s"]
    again, _ = step(process, Happening(Kind.BACKOFF_OVER), 460.0, policy)
    assert (again.state, again.deaths) == (State.STARTING, ())
    stopped, effects = step(process, Happening(Kind.STOP), 170.0, policy)
    assert (stopped.state, stopped.is_final) == (State.STOPPED, True)
    assert CancelTimer(1, "backoff") in effects
    process, _ = running()
    for at in (1.0, 2.0, 3.0):
        process, _ = step(process, Happening(Kind.STOP, again=True), at, policy)
        process, _ = step(process, Happening(Kind.EXITED, signal=15), at, policy)
        process, _ = step(process, Happening(Kind.SPAWNED, pid=7), at, policy)
    assert process.state is State.RUNNING


def test_signals_of_a_ladder_come_one_after_the_other_and_sigkill_last() -> None:
    """Each has its time; a stop with a signal or a time of its own does without it."""
    process, policy = running(stop_ladder=((3, 30.0), (15, 5.0)))
    process, effects = step(process, Happening(Kind.STOP), 10.0, policy)
    assert process.stop_by == 45.0
    assert effects[1:] == (ArmTimer(1, "grace", 40.0), Signal(1, 3, False))
    process, effects = step(process, Happening(Kind.GRACE_OVER), 40.0, policy)
    assert effects == (ArmTimer(1, "grace", 45.0), Signal(1, 15, False))
    process, effects = step(process, Happening(Kind.GRACE_OVER), 45.0, policy)
    assert KillTree(1) in effects
    process, policy = running(stop_ladder=((3, 30.0), (15, 5.0)))
    _, effects = step(process, Happening(Kind.STOP, signum=2), 10.0, policy)
    assert Signal(1, 2, False) in effects
    assert ArmTimer(1, "grace", 40.0) in effects
    killed, effects = step(
        replace(process, state=State.STOPPING, rungs=((15, 5.0),)),
        Happening(Kind.STOP, signum=9),
        1.0,
        policy,
    )
    assert (killed.rungs, effects[0]) == ((), KillTree(1))


def test_a_command_that_stops_has_its_time_before_the_first_signal() -> None:
    """Signals come at once when it fails, and when its time is over; a stop with a signal of its own comes in its place."""
    options = {"stop_command": True, "stop_command_timeout": 60.0, "graceful_timeout": 5.0}
    process, policy = running(**options)
    asked, effects = step(process, Happening(Kind.STOP), 10.0, policy)
    assert (asked.stop_by, RunStopCommand(1, 5) in effects) == (75.0, True)
    assert not any(isinstance(effect, Signal) for effect in effects)
    late, effects = step(asked, Happening(Kind.GRACE_OVER), 70.0, policy)
    assert (Signal(1, 15, False) in effects, late.stop_by) == (True, 75.0)
    failed, effects = step(asked, Happening(Kind.STOP_FAILED, text="exit code 1"), 20.0, policy)
    assert (Signal(1, 15, False) in effects, failed.stop_by) == (True, 25.0)
    assert step(failed, Happening(Kind.STOP_FAILED), 21.0, policy) == (failed, ())
    sooner, effects = step(asked, Happening(Kind.STOP, signum=2, grace=1.0), 20.0, policy)
    assert (Signal(1, 2, False) in effects, sooner.stop_by) == (True, 21.0)
    _, effects = step(process, Happening(Kind.STOP, signum=2), 10.0, policy)
    assert Signal(1, 2, False) in effects
    killed, effects = step(asked, Happening(Kind.STOP, signum=9), 20.0, policy)
    assert (killed.commanded, KillTree(1) in effects) == (False, True)


def test_a_program_that_cannot_be_started_is_given_up_after_max_retry() -> None:
    """max_retry tries again so many times, then the process has failed and says so."""
    policy = Policy(max_retry=2)
    process, now, told = Process(1, State.STARTING), 0.0, []
    for _ in range(3):
        process, effects = step(
            process, Happening(Kind.REFUSED, stage="exec", errno=2, text="no"), now, policy
        )
        told += [e.event for e in effects if isinstance(e, Publish)]
        if process.state is State.BACKOFF:
            now = process.next_try or 0.0
            process, _ = step(process, Happening(Kind.BACKOFF_OVER), now, policy)
    assert process.state is State.FAILED
    assert told.count("process.refused") == 3
    assert told[-1] == "process.failed"


def test_a_start_ends_with_why_processes_could_not_be_started() -> None:
    """Some or all of them; they are tried again all the same, and a start of those that could be ends without an error."""
    planner = Planner("web", Policy(numprocesses=2))
    planner.begin(Job(1, "start"), 0.0)
    planner.happen(1, Happening(Kind.SPAWNED, pid=5), 0.0)
    (told,) = [
        e
        for e in planner.happen(2, Happening(Kind.REFUSED, text="no such file"), 0.0)
        if isinstance(e, JobEnded)
    ]
    assert told == JobEnded(1, "1 of 2 processes: no such file", started=(5,))
    assert planner.processes[2].state is State.BACKOFF
    planner.begin(Job(2, "start"), 1.0)
    (told,) = [e for e in planner.happen(2, Happening(Kind.SPAWNED, pid=6), 1.0) if isinstance(e, JobEnded)]
    assert told == JobEnded(2, "", started=(6,), kept=(5,))


def test_stop_signals_then_kills_the_tree() -> None:
    """The stop signal first; SIGKILL for everything when the time is over."""
    process, policy = running(graceful_timeout=7.0, stop_signal=2, stop_children=True)
    process, effects = step(process, Happening(Kind.STOP), 10.0, policy)
    assert Signal(1, 2, True) in effects
    assert ArmTimer(1, "grace", 17.0) in effects
    process, effects = step(process, Happening(Kind.GRACE_OVER), 17.0, policy)
    assert effects == (KillTree(1), ArmTimer(1, "kill", 17.0 + KILL_PATIENCE))


def test_what_not_even_sigkill_ends_is_given_up_and_a_stop_is_over() -> None:
    """The event names pid and reason, the job's end the pid; a wish to have it again is fulfilled by another process."""
    process, policy = running()
    process, _ = step(process, Happening(Kind.STOP), 10.0, policy)
    process, _ = step(process, Happening(Kind.GRACE_OVER), 40.0, policy)
    # Killed again, it is waited for no longer.
    process, effects = step(process, Happening(Kind.STOP, signum=9), 45.0, policy)
    assert ArmTimer(1, "kill", 40.0 + KILL_PATIENCE) in effects
    process, effects = step(process, Happening(Kind.KILL_OVER, text="state D"), 50.0, policy)
    assert Publish("process.abandoned", {"wid": 1, "pid": 5, "reason": "state D"}) in effects
    assert (process.state, process.pid, process.left) == (State.STOPPED, None, 5)
    assert "not even by SIGKILL: state D" in ending(process.exit or Exit(0.0))
    process, effects = step(process, Happening(Kind.START), 60.0, policy)
    assert effects == (Spawn(1),)
    process, _ = step(process, Happening(Kind.SPAWNED, pid=6), 60.0, policy)
    process, effects = step(process, Happening(Kind.ENDED_LATE, pid=5, signal=9), 70.0, policy)
    assert (process.state, process.pid, process.left, effects) == (State.RUNNING, 6, None, ())


def test_a_stop_waits_once_for_all_that_nothing_ends() -> None:
    """Its end names them, and nothing else of the watcher is kept waiting by them later."""
    world = World(1, Policy(numprocesses=3, graceful_timeout=1.0))
    world.command("start")
    world.settle()
    pids = sorted(world.live.values())
    world.command("stop")
    # Nobody ends: SIGTERM and SIGKILL go unheard.
    while world.planner.job is not None:
        world.fire()
    assert world.now == pytest.approx(1.0 + KILL_PATIENCE)
    assert sorted(world.ended[-1].abandoned) == pids
    assert world.ended[-1].error == ""
    assert world.planner.status() == "stopped"


def test_graceful_reload_starts_new_ones_before_old_ones_go_and_flips_the_slots() -> None:
    """Slots go from 1..N to N+1..2N, and the old ones stop only when the new ones have run for settle_time."""
    world = World(1, Policy(numprocesses=2))
    world.command("start")
    world.settle()
    old = dict(world.live)
    world.command("reload")
    assert not world.told
    world.spawn()
    assert not world.told
    world.spawn()
    assert not world.told
    world.fire()
    assert set(world.told) == set(old)
    world.settle()
    assert set(world.live) == {3, 4}
    assert world.ended[-1].error == ""
    assert set(world.ended[-1].stopped) == set(old.values())


def test_reload_with_a_broken_program_keeps_the_old_processes() -> None:
    """A new version that can't be started doesn't cost the old one."""
    world = World(1, Policy(numprocesses=2))
    world.command("start")
    world.settle()
    old = dict(world.live)
    world.command("reload")
    world.spawn(ok=False)
    world.spawn(ok=False)
    world.settle()
    assert world.live == old
    assert "old processes stay" in world.ended[-1].error


@pytest.mark.parametrize("batch", [1, 2])
def test_a_reload_by_batches_has_few_more_processes_than_wanted_and_none_less(batch: int) -> None:
    """The new ones of a batch first, then the old ones whose place they take, then the next batch."""
    world = World(1, Policy(numprocesses=3, ready="notify"))
    world.command("start")
    world.settle()
    old = set(world.live.values())
    world.command("reload", batch=batch)
    while world.planner.job is not None:
        assert sum(p.serves for p in world.planner.processes.values()) >= 3
        assert len(world.live) + len(world.spawns) <= 3 + batch
        if world.spawns:
            world.spawn()
        elif world.planner.awaited:
            world.say(world.planner.awaited[0].wid)
        else:
            world.die(next(iter(world.told)), None, 15)
    assert len(world.live) == 3
    assert not old & set(world.live.values())


def test_decr_stops_the_oldest() -> None:
    """The process that has run longest goes first."""
    world = World(1, Policy(numprocesses=3))
    world.command("start")
    for _ in range(3):
        world.now += 1
        world.spawn()
    oldest = min(world.planner.processes.values(), key=lambda p: p.started or 0)
    world.command("scale", number=2)
    assert list(world.told) == [oldest.wid]


def test_stop_takes_the_place_of_a_start_that_takes_long() -> None:
    """A stop during a start with warm-up does not wait for it."""
    world = World(1, Policy(numprocesses=5, warmup_delay=10.0))
    world.command("start")
    world.spawn()
    world.command("stop")
    world.settle()
    assert not world.live
    assert "superseded" in world.ended[0].error


def test_without_respawn_the_watcher_is_stopped_when_the_last_process_has_ended() -> None:
    """As in the original: it becomes stopped, and start runs it again."""
    world = World(1, Policy(numprocesses=2, respawn=False))
    world.command("start")
    world.settle()
    for wid in list(world.live):
        world.die(wid, 0)
    assert world.planner.status() == "stopped"
    world.command("start")
    world.settle()
    assert len(world.live) == 2


def test_before_start_that_refuses_keeps_the_watcher_stopped() -> None:
    """Nothing is spawned, and the reason is kept."""
    world = World(1, Policy(hooks=frozenset({"before_start"})))
    world.command("start")
    world.answer(ok=False)
    assert not world.spawns
    assert world.planner.status() == "stopped"
    assert "before_start" in world.planner.failure


def test_after_spawn_that_refuses_kills_and_stops() -> None:
    """The process is killed at once and the watcher stopped."""
    world = World(1, Policy(hooks=frozenset({"after_spawn"})))
    world.command("start")
    world.spawn()
    world.answer(ok=False)
    world.settle()
    assert not world.live
    assert world.planner.status() == "stopped"
    assert world.planner.failure


def test_alive_and_gone_do_not_overlap() -> None:
    """The named groups of states are what they say."""
    assert not ALIVE & GONE


def lazy(**options: object) -> World:
    """A world whose watcher has been started and waits for a connection."""
    world = World(1, Policy(numprocesses=2, on_demand=True, **options))  # type: ignore[arg-type]
    world.command("start")
    world.settle()
    return world


def test_a_start_on_demand_waits_and_a_connection_starts_all_once() -> None:
    """The start has its end at once; hooks are asked when somebody comes."""
    world = lazy(hooks=frozenset({"before_start", "after_start"}))
    assert len(world.ended) == 1
    assert world.planner.asleep
    assert [(p.state, p.reason) for p in world.planner.processes.values()] == [(State.WAITING, "socket")] * 2
    assert not world.hooks
    world.connect()
    assert world.hooks[0].hook == "before_start"
    world.settle()
    assert len(world.live) == 2
    assert world.published.count("watcher.started") == 1
    world.command("start", demanded=True)
    assert len(world.live) == 2, "a second connection finds it running"


def test_a_hook_that_refuses_a_connection_is_not_asked_again_and_again() -> None:
    """It is given up until somebody starts it."""
    world = lazy(hooks=frozenset({"before_start"}))
    world.connect()
    world.answer(ok=False)
    assert not world.planner.asleep
    assert world.planner.status() == "stopped"
    world.command("start")
    world.settle()
    assert world.planner.asleep
    assert not world.planner.failure


def test_without_respawn_the_end_is_the_next_wait_and_quick_failures_wait_longer() -> None:
    """A visitor is waited for at once after a life, after a moment when it ended at once, and longer when it failed."""
    world = lazy(respawn=False)
    rests = []
    for code, lived in ((0, 5.0), (0, 0.01), (1, 0.01), (1, 0.01), (1, 5.0)):
        world.connect()
        world.settle()
        world.now += lived
        for wid in list(world.live):
            world.die(wid, code)
        assert world.planner.asleep
        rests.append(round(world.planner.wakes_at - world.now, 3))
    assert rests == [0, 0.1, 0.1, 0.2, 0]


def test_what_is_cancelled_before_it_has_begun_is_stopped() -> None:
    """Else the same connection would begin it again."""
    world = lazy(hooks=frozenset({"before_start"}))
    world.connect()
    world.cancel()
    world.settle()
    assert world.planner.status() == "stopped"
