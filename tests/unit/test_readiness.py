"""When a process is ready, and what a reload makes of it: in the core, without a clock or a process."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circusd.core import words
from circusd.core.effects import CancelTimer, Signal, Thaw
from circusd.core.process import Happening, Kind, Policy, State
from circusd.runtime.signs import LineSign
from circusd.schema.probe_values import Target, read_ready, target_of
from tests.fakes import World


def started(**options: object) -> World:
    """A watcher whose processes have been spawned."""
    world = World(1, Policy(**options))  # type: ignore[arg-type]
    world.command("start")
    while world.spawns:
        world.spawn()
    return world


def states(world: World) -> list[str]:
    return [p.state.value for p in world.planner.processes.values()]


def test_a_start_waits_until_each_process_has_said_that_it_is_ready() -> None:
    """Meanwhile the watcher is on its way, and the sentence says what is missing and how long there is."""
    world = started(numprocesses=2, ready="notify", start_timeout=20)
    assert states(world) == ["running", "running"]
    assert words.watcher_state(world.planner) == "starting"
    world.happen(1, Happening(Kind.SAID, text="loading"))
    said = words.explain(world.planner, 5.0)
    assert "Process 1 is not ready yet, and has 15 s left: it has not said READY=1, but: loading." in said
    world.say(1)
    assert world.planner.job is not None
    world.say(2)
    assert world.planner.job is None
    assert states(world) == ["ready", "ready"]
    assert world.published.count("process.ready") == 2
    assert not world.timers


def test_a_process_that_is_not_ready_in_time_is_stopped_and_tried_again_later() -> None:
    """With the reason, and later each time."""
    world = started(ready="notify", start_timeout=20)
    waits = []
    for _ in range(3):
        world.fire()
        assert world.told
        world.die(1, None, 15)
        process = world.planner.processes[1]
        assert process.state is State.BACKOFF
        assert process.exit is not None
        assert words.ending(process.exit) == "was not ready within 20 s: it has not said READY=1"
        waits.append(world.timers[1, "backoff"] - world.now)
        world.fire()
        world.spawn()
    assert waits[0] < waits[1] < waits[2]
    assert world.published.count("process.unready") == 3


def test_probes_come_soon_at_first_and_then_at_their_interval_until_one_has_passed() -> None:
    """One at a time; what was found is told; the process's own word does not count."""
    world = started(ready="probe", ready_interval=0.5, start_timeout=0)
    moments = []
    for _ in range(5):
        world.fire()
        moments.append(world.now)
        assert len(world.probes) == 1
        world.say(1)
        world.look(ok=False)
    assert moments == pytest.approx([0.1, 0.3, 0.7, 1.2, 1.7])
    assert "its probe fails: refused" in words.explain(world.planner, world.now)
    world.fire()
    world.look()
    assert states(world) == ["ready"]
    assert not world.timers


def test_who_has_never_said_it_counts_once_it_runs() -> None:
    """By default; a reload gives it settle_time to show that it stays."""
    world = started(settle_time=1.0)
    assert world.planner.job is None
    world.command("reload")
    world.spawn()
    assert not world.told
    assert world.timers[None, "settle"] == 1.0
    world.die(2)
    assert "process 2 exited with code 1" in world.planner.setback
    assert world.live == {1: 101}


def test_a_successor_has_to_say_what_those_before_it_have_said() -> None:
    """By default; after a stop nobody has said anything."""
    world = started()
    world.say(1)
    world.command("reload")
    world.spawn()
    assert world.planner.processes[2].is_awaited
    world.say(2)
    assert world.told
    world.settle()
    world.command("stop")
    world.settle()
    world.command("start")
    world.spawn()
    assert world.planner.job is None


def test_one_that_reloads_itself_is_not_counted_on_until_it_is_ready_again() -> None:
    """RELOADING=1 and READY=1, as services of systemd say it; nobody ends it for that."""
    world = started(ready="notify")
    world.say(1)
    world.say(1, Kind.UNREADY)
    assert states(world) == ["running"]
    assert not world.timers
    assert "Process 1 says that it is reloading." in words.explain(world.planner, 0.0)
    world.say(1)
    assert states(world) == ["ready"]


def test_the_reload_of_a_singleton_never_has_two() -> None:
    """It is stopped first, as more than one is not allowed."""
    world = started(singleton=True, ready="notify")
    world.say(1)
    world.command("reload")
    assert list(world.told) == [1]
    world.die(1, None, 15)
    world.settle()
    assert len(world.live) == 1
    assert world.ended[-1].error == ""


def test_a_hook_that_refuses_a_new_process_undoes_the_reload() -> None:
    """The old one is not given up with it."""
    world = started(hooks=frozenset({"before_spawn"}))
    world.answer()
    world.spawn()
    assert states(world) == ["running"]
    world.command("reload")
    world.answer(ok=False)
    world.settle()
    assert world.live == {1: 101}
    assert "before_spawn refused" in world.ended[-1].error
    assert world.planner.status() == "active"


def test_a_reload_by_batches_that_fails_keeps_what_is_replaced_and_what_is_not() -> None:
    """The error says how many."""
    world = started(numprocesses=3, ready="notify")
    for wid in (1, 2, 3):
        world.say(wid)
    world.command("reload", batch=1)
    world.spawn()
    world.say(4)
    world.die(1, None, 15)
    world.spawn()
    world.die(1)
    world.settle()
    assert sorted(world.live) == [2, 3, 4]
    assert "1 of 3 processes are replaced, the other old processes stay" in world.ended[-1].error
    assert world.published[-1] == "watcher.reload_failed" or "watcher.reload_failed" in world.published


def test_a_new_version_that_dies_after_it_was_ready_stops_the_roll() -> None:
    """What has been replaced is started again as ever; what has not stays."""
    world = started(numprocesses=3, ready="notify")
    for wid in (1, 2, 3):
        world.say(wid)
    world.command("reload", batch=1)
    world.spawn()
    world.say(4)
    world.die(4)
    world.die(1, None, 15)
    assert "process 4 exited with code 1" in world.ended[-1].error
    assert sorted(world.live) == [2, 3]


def test_the_order_of_a_reload_is_never_the_other_way_round() -> None:
    """In each history of messages the signal to an old process comes after the word of a new one."""

    @settings(max_examples=150, deadline=None)
    @given(
        number=st.integers(1, 4),
        batch=st.integers(0, 4),
        ready=st.sampled_from(("notify", "probe", "started", "auto")),
        moves=st.lists(
            st.sampled_from(("spawn", "fail", "say", "look", "miss", "die new", "die old", "end", "time")),
            max_size=40,
        ),
    )
    def holds(number: int, batch: int, ready: str, moves: list[str]) -> None:
        world = World(3, Policy(numprocesses=number, ready=ready, start_timeout=30))
        world.command("start")
        world.settle()
        for wid in list(world.live):
            world.say(wid)
        assert world.serving() == number
        world.command("reload", batch=batch)
        for move in moves:
            if world.reload is None:
                break
            _move(world, move)
        if world.reload is None:
            # By deaths of the test's own alone are there fewer than before.
            assert world.serving() >= world.floor

    holds()


def _move(world: World, move: str) -> None:
    planner = world.planner
    new = [wid for wid in world.live if planner.side(wid) == "new" and wid not in world.told]
    old = [wid for wid in world.live if planner.side(wid) == "old" and wid not in world.told]
    match move:
        case "spawn" | "fail" if world.spawns:
            world.spawn(ok=move == "spawn")
        case "say" if new:
            world.say(new[0])
        case "look" | "miss" if world.probes:
            world.look(ok=move == "look")
        case "die new" if new:
            world.die(new[-1])
        case "die old" if old:
            world.die(old[-1])
        case "end" if world.told:
            world.die(next(iter(world.told)), None, 15)
        case "time" if world.timers:
            world.fire()


def test_signals_of_a_reload_go_only_to_those_that_it_replaces() -> None:
    """And to the new ones where it is undone."""
    world = started(numprocesses=2, ready="notify")
    world.say(1)
    world.say(2)
    effects = world.planner.happen(1, Happening(Kind.SAID, text="x"), 0.0)
    assert not any(isinstance(effect, Signal) for effect in effects)
    world.command("reload")
    world.spawn()
    world.spawn()
    world.cancel()
    assert sorted(world.told) == [3, 4]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://localhost", Target("http", "localhost", 80, "/")),
        ("http://[::1]:8000/up?full=1", Target("http", "::1", 8000, "/up?full=1")),
        ("tcp://127.0.0.1:6379", Target("tcp", "127.0.0.1", 6379)),
        ("unix:/run/a.sock", Target("unix", path="/run/a.sock")),
        ("unix:///run/a.sock", Target("unix", path="/run/a.sock")),
        ("exec:check --name 'a b'", Target("exec", words=("check", "--name", "a b"))),
        ("EXEC: true", Target("exec", words=("true",))),
    ],
)
def test_where_to_look_is_read(text: str, target: Target) -> None:
    """As it is written in the field."""
    assert target_of(text) == target
    assert read_ready(text) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "none of them"),
        ("soon", "none of them"),
        ("https://x/", "none of them"),
        ("tcp://127.0.0.1", "no port"),
        ("tcp://:80", "no host"),
        ("http://x:99999/", "no port"),
        ("http://x/a b", "a space"),
        ("unix:relative", "no absolute path"),
        ("log:", "no text"),
        ("log: ** ", "no text"),
        ("fd:", "no descriptor"),
        ("fd:2", "no descriptor"),
        ("fd:19", "no descriptor"),
        ("fd:\u0663", "no descriptor"),
        ("exec:", "no command"),
        ("exec:'a", "a quote"),
    ],
)
def test_what_can_not_be_looked_at_is_told_when_the_file_is_read(text: str, problem: str) -> None:
    """And not when the first process waits for it."""
    with pytest.raises(ValueError, match=problem):
        read_ready(text)


def test_a_sign_that_a_process_gives_is_waited_for_and_nothing_else_counts() -> None:
    """A line or a newline: READY=1 does not count before it, and what makes it impossible is told."""
    for ready, missing in (
        ("log", "no line of its output"),
        ("fd", "it has written no newline to its descriptor: it has closed it"),
    ):
        world = started(ready=ready, start_timeout=20)
        world.happen(1, Happening(Kind.BECAME_READY))
        assert states(world) == ["running"]
        world.happen(1, Happening(Kind.PROBE_FAILED, text="it has closed it"))
        assert missing in words.explain(world.planner, 1.0)
        assert set(world.timers) == {(1, "start")}
        world.happen(1, Happening(Kind.PROBE_PASSED))
        assert states(world) == ["ready"]
        assert not world.timers


@pytest.mark.parametrize(
    ("text", "chunks", "is_there"),
    [
        ("listens on * port", [b"x\nserver listens", b" on 127.0.0.1 port 80\n"], True),
        ("listens on", [b"listens on"], True),
        ("a*b", [b"a\nb\n", b"b a\n"], False),
        ("a*b", [b"b a\nxa..", b"..b"], True),
        ("*é*", [b"caf", "é".encode()], True),
        ("far", [b"." * 10_000 + b"far\n"], False),
        ("far", [b"." * 10_000, b"far\n", b"far\n"], True),
        ("a*b", [b"a\n" * 40_000, b"b"], False),
        ("(a+)+$", [b"a" * 60_000, b"b" * 60_000], False),
    ],
)
def test_a_line_is_found_however_it_comes(text: str, chunks: list[bytes], is_there: bool) -> None:
    """In pieces and without an end; not across lines, nor far back in a long one; and nothing that is written takes long."""
    told: list[str] = []
    sign = LineSign(text, told.append)
    assert any(sign.feed(chunk) for chunk in chunks) == is_there
    assert told == [""] * is_there


def test_names_may_stand_where_a_number_will_be() -> None:
    """The port of a process of its own."""
    assert read_ready("http://127.0.0.1:81$(circus.wid)/") == "http://127.0.0.1:81$(circus.wid)/"
    assert read_ready("Notify") == "notify"


def test_a_frozen_process_is_judged_by_nothing_and_goes_on_with_what_was_left() -> None:
    """Time to become ready and probes stand still with it; an age that is reached meanwhile counts when it goes on."""
    policy = Policy(ready="probe", start_timeout=10.0, max_age=30.0, max_age_variance=0.0)
    world = World(1, policy)
    world.command("start")
    world.spawn()
    world.now += 4
    world.happen(1, Happening(Kind.FREEZE, text="ada"))
    assert set(world.timers) == {(1, "age")}
    world.happen(1, Happening(Kind.START_OVER))
    world.happen(1, Happening(Kind.PROBE_FAILED, text="refused"))
    world.now += 100
    world.happen(1, Happening(Kind.AGED))
    assert world.planner.processes[1].state is State.FROZEN
    world.happen(1, Happening(Kind.THAW))
    # It was too old by then: it is stopped, and comes back.
    assert (world.planner.processes[1].state, world.planner.processes[1].again) == (State.STOPPING, True)

    world = World(1, replace(policy, max_age=0.0))
    world.command("start")
    world.spawn()
    world.now += 4
    by = world.planner.processes[1].ready_by
    world.happen(1, Happening(Kind.FREEZE, text="ada"))
    world.now += 100
    world.happen(1, Happening(Kind.THAW))
    assert world.timers[1, "start"] == (by or 0) + 100
    assert (1, "probe") in world.timers
    world.happen(1, Happening(Kind.PROBE_PASSED))
    assert world.planner.processes[1].state is State.READY
    world.happen(1, Happening(Kind.FREEZE, text="ada"))
    world.happen(1, Happening(Kind.THAW))
    assert world.planner.processes[1].state is State.READY


def test_what_was_late_already_when_it_was_frozen_is_late_when_it_goes_on() -> None:
    """No sooner, and in no other way, whatever the clock was at: no timer is armed for the past."""
    world = World(1, Policy(ready="notify", start_timeout=10.0, watchdog=3.0))
    for word, kind in ((False, "start"), (True, "watchdog")):
        world.command("stop")
        world.settle()
        world.command("start")
        world.spawn()
        if word:
            world.say(1)
        world.now += 11
        world.happen(1, Happening(Kind.FREEZE, text="ada"))
        world.now += 100
        world.happen(1, Happening(Kind.THAW))
        assert world.timers[1, kind] == world.now
        world.fire()
        assert world.planner.processes[1].state is State.STOPPING


def test_who_is_killed_while_frozen_has_not_died_young() -> None:
    """No back-off, no count towards being given up; a stop sends its signal first and then lets it go on."""
    world = World(1, Policy(settle_time=60.0, backoff=10.0, start_limit_burst=1))
    world.command("start")
    world.spawn()
    world.happen(1, Happening(Kind.FREEZE, text="ada", seconds=9.0))
    world.die(1, None, 9)
    assert world.planner.processes[1].state is State.STARTING
    assert not world.timers
    world.spawn()
    world.happen(1, Happening(Kind.FREEZE, text="ada", seconds=9.0))
    effects = world.planner.happen(1, Happening(Kind.STOP), world.now)
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Signal) < kinds.index(Thaw)
    assert CancelTimer(1, "thaw") in effects


def in_background(**options: object) -> World:
    """A watcher whose program has gone into the background, and whose file has not come."""
    world = World(1, Policy(pid_file=True, start_timeout=10.0, **options))  # type: ignore[arg-type]
    world.command("start")
    world.spawn()
    world.die(1, code=0)
    return world


def test_a_program_in_the_background_is_waited_for_by_its_pid_file() -> None:
    """The end of what was started is none; the start ends when the process is known, or ready where it has to say so."""
    world = in_background()
    process = world.planner.processes[1]
    assert (process.state, process.pid, process.awaits) == (State.RUNNING, None, "pid_file")
    assert (world.published.count("process.exited"), world.ended) == (0, [])
    assert words.explain(world.planner, world.now).endswith("its pid file has not been looked at.")
    world.happen(1, Happening(Kind.PROBE_FAILED, text="x.pid is not there"))
    assert "does not name its process: x.pid is not there" in words.explain(world.planner, world.now)
    world.live[1] = 500
    world.happen(1, Happening(Kind.FOLLOWED, pid=500))
    assert (world.planner.processes[1].pid, world.planner.processes[1].serves) == (500, True)
    assert [job.error for job in world.ended] == [""]
    assert not world.timers
    world.die(1, code=0)
    assert world.planner.processes[1].exit is not None

    world = in_background(ready="notify")
    world.happen(1, Happening(Kind.BECAME_READY))
    assert world.planner.processes[1].awaits == "pid_file"
    world.live[1] = 500
    world.happen(1, Happening(Kind.FOLLOWED, pid=500))
    assert world.planner.processes[1].state is State.READY

    world = in_background(ready="notify")
    world.live[1] = 500
    world.happen(1, Happening(Kind.FOLLOWED, pid=500))
    assert world.planner.processes[1].awaits == "notify"
    assert (1, "start") in world.timers


def test_a_pid_file_that_does_not_come_is_a_late_start() -> None:
    """Given up after ``start_timeout``, with the reason, and tried again later; a stop meanwhile is over at once."""
    world = in_background(backoff=5.0)
    world.now += 10
    world.happen(1, Happening(Kind.START_OVER))
    process = world.planner.processes[1]
    assert (process.state, process.attempts) == (State.BACKOFF, 1)
    assert process.exit is not None and process.exit.text.startswith("not ready within 10 s: its pid file")

    world = in_background()
    world.command("stop")
    assert world.planner.processes[1].state is State.STOPPED
    assert not world.timers
    assert world.planner.job is None
