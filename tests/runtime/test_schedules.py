"""Runs of scheduled watchers on a clock that the test moves: a real planner, processes that end when they are told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from gevent.event import AsyncResult
from hypothesis import given, settings
from hypothesis import strategies as st

from circusd.config.model import watcher_from_options
from circusd.core.effects import JobEnded, Spawn
from circusd.core.process import Happening, Kind, State
from circusd.core.watcher import Job, Planner
from circusd.runtime import clock
from circusd.runtime.policies import policy_of
from circusd.runtime.runfile import Kept, dump, parse
from circusd.runtime.schedules import Schedules
from circusd.schema.errors import CircusError, Conflict

START = 1_780_000_000.0


class World:
    """An arbiter with one watcher, its state file, and both clocks."""

    def __init__(self, patch: pytest.MonkeyPatch, kept: list[Kept] | None = None, **options: object) -> None:
        self.monotonic, self.wall = 1000.0, START
        patch.setattr(clock, "now", lambda: self.monotonic)
        patch.setattr(clock, "wall", lambda moment=None: self.wall)
        self.posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.armed: dict[Any, tuple[float, Callable[[], None]]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.written: list[Kept] = []
        self.ids = iter(range(1, 1_000_000))
        self.lives = 0
        self.stopping = False
        self.options = {"cmd": "true", "schedule": "* * * * *", "schedule_timezone": "UTC", **options}
        self.watcher = Watcher(self)
        self.timers = SimpleNamespace(arm=self._arm, cancel=lambda key: self.armed.pop(key, None))
        file = SimpleNamespace(read=lambda then: then(kept or []), write=self._write, close=lambda: None)
        history = SimpleNamespace(last_number=lambda key: 0)
        self.schedules = Schedules(self, file, history, "life")  # type: ignore[arg-type]
        self.watcher.command("start")
        self.drain()

    def _arm(self, key: Any, moment: float, fire: Callable[[], None]) -> None:
        self.armed[key] = (moment, fire)

    def _write(self, rows: list[Kept]) -> None:
        # What is written can be read again.
        self.written = parse(dump(rows, self.wall), self.wall)

    def post(self, watcher: object, act: Callable[..., None], *args: Any) -> None:
        self.posted.append((act, args))

    def on_change(self, watcher: object) -> None:
        pass

    def changed(self, watcher: Any) -> None:
        self.schedules.follow(watcher)

    def job(self, kind: str, command: str = "", **values: Any) -> Job:
        return Job(next(self.ids), kind, command=command or kind, **values)

    def drain(self) -> None:
        """All that was posted has been done."""
        while self.posted:
            act, args = self.posted.popleft()
            act(*args)

    def pass_time(self, seconds: float, *, jump: float = 0.0) -> None:
        """Both clocks go on; somebody may set the one on the wall."""
        self.monotonic += seconds
        self.wall += seconds + jump
        for key, (moment, fire) in list(self.armed.items()):
            if moment <= self.monotonic and self.armed.pop(key, None):
                fire()
        self.schedules._fired()
        self.drain()

    def close(self) -> None:
        self.schedules.close()

    def runs(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return self.schedules.rows(self.watcher)[::-1]  # type: ignore[arg-type]

    def planned(self) -> list[float]:
        """For which moments something has run."""
        return [f["planned"] for name, f in self.events if name == "run.started" and f["planned"] is not None]


class Watcher:
    """One watcher: its planner is real, its processes are numbers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.config = watcher_from_options("w", world.options)
        self.planner = Planner("w", policy_of(self.config))
        self.removed = False
        self.tickets: dict[int, Any] = {}
        self.line: deque[Job] = deque()
        self.pid = 100

    name = "w"

    def tell(self, event: str, **fields: Any) -> None:
        self.world.events.append((event, fields))

    def begins_anew(self) -> None:
        pass

    def cancel(self, job: Job, by: str) -> str:
        self.carry_out(self.planner.cancel(by, self.world.monotonic))
        return ""

    def command(self, kind: str, **values: Any) -> None:
        self.submit(self.world.job(kind, **values))
        self.world.drain()

    def submit(self, job: Job) -> Any:
        ticket = SimpleNamespace(job=job, result=AsyncResult())
        self.tickets[job.id] = ticket
        if job.kind == "stop":
            # As the runtime has it: what waits behind a stop would undo it.
            while self.line:
                waiting = self.tickets.pop(self.line.popleft().id)
                waiting.result.set_exception(Conflict("superseded by stop"))
        self.line.append(job)
        self.world.post(self, self.begin)
        return ticket

    def begin(self) -> None:
        while self.line and (self.planner.job is None or self.line[0].kind == "stop"):
            self.carry_out(self.planner.begin(self.line.popleft(), self.world.monotonic))

    def carry_out(self, effects: list[Any]) -> None:
        for effect in effects:
            match effect:
                case Spawn(wid):
                    self.world.post(self, self.spawn, wid)
                case JobEnded():
                    ticket = self.tickets.pop(effect.job, None)
                    if ticket is not None and effect.error:
                        ticket.result.set_exception(CircusError(effect.error))
                    elif ticket is not None:
                        ticket.result.set(effect)
                    if ticket is not None:
                        # Links of a result are told by the hub, which does not run here.
                        self.world.post(self, self.world.schedules.follow, self)
                    self.world.post(self, self.begin)
        self.world.changed(self)

    def spawn(self, wid: int) -> None:
        process = self.planner.processes.get(wid)
        if process is not None and process.state is State.STARTING:
            self.pid += 1
            self.carry_out(
                self.planner.happen(wid, Happening(Kind.SPAWNED, pid=self.pid), self.world.monotonic)
            )
            alive = [p for p in self.planner.processes.values() if p.pid is not None]
            assert len(alive) <= 1, "two runs at once"

    def end(self, code: int = 0, signum: int | None = None) -> None:
        """What runs of it ends."""
        for wid, process in list(self.planner.processes.items()):
            if process.pid is not None:
                event = Happening(Kind.EXITED, code=None if signum else code, signal=signum)
                self.carry_out(self.planner.happen(wid, event, self.world.monotonic))
        self.world.drain()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    worlds: list[World] = []

    def make(kept: list[Kept] | None = None, **options: object) -> World:
        worlds.append(World(monkeypatch, kept, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


def test_a_run_begins_at_its_moment_and_ends_with_its_process(made: Any) -> None:
    """It is known for when it was planned, how it ended and how long it took; then the next one is waited for."""
    world = made()
    assert world.watcher.planner.asleep
    world.pass_time(59.0)
    assert len(world.planned()) == 1
    assert world.runs()[-1]["result"] == "running"
    world.pass_time(2.0)
    world.watcher.end(code=3)
    (run,) = world.runs()
    assert (run["result"], run["code"], run["took"], run["why"]) == ("failed", 3, 2.0, "planned")
    assert run["planned"] % 60 == 0
    assert world.watcher.planner.asleep
    assert "failed 0.0 s ago: exited with code 3" in world.watcher.planner.last_run()
    assert world.written[0].runs[-1] == run


def test_what_comes_while_a_run_goes_on_is_left_out_and_told_together(made: Any) -> None:
    """With ``skip``, the standard; a run by hand is refused with the reason."""
    world = made()
    for _ in range(4):
        world.pass_time(60.0)
    assert [(run["result"], run["times"]) for run in world.runs()] == [("running", 1), ("skipped", 3)]
    with pytest.raises(Conflict, match="a run is under way"):
        world.schedules.start(world.watcher, "ada")
    world.watcher.end()
    world.pass_time(60.0)
    assert [run["result"] for run in world.runs()] == ["succeeded", "skipped", "running"]


def test_one_at_most_waits_for_the_end_of_a_run(made: Any) -> None:
    """With ``queue`` it begins then, and those beyond it are left out."""
    world = made(schedule_overlap="queue")
    for _ in range(4):
        world.pass_time(60.0)
    assert [run["result"] for run in world.runs()] == ["running", "skipped"]
    assert world.schedules.view(world.watcher)["queued"]
    world.watcher.end()
    assert [run["result"] for run in world.runs()] == ["succeeded", "skipped", "running"]
    assert not world.schedules.view(world.watcher)["queued"]
    world.watcher.end()
    assert world.watcher.planner.asleep


def test_a_later_run_takes_the_place_of_one_that_goes_on(made: Any) -> None:
    """With ``replace`` the first is stopped as by a stop, and the next begins when it has ended."""
    world = made(schedule_overlap="replace")
    world.pass_time(60.0)
    world.pass_time(60.0)
    assert [run["result"] for run in world.runs()] == ["running"]
    assert world.watcher.planner.processes[1].state is State.STOPPING
    world.watcher.end(signum=15)
    assert [(run["result"], run["signal"]) for run in world.runs()] == [("replaced", 15), ("running", None)]


def test_a_run_that_takes_too_long_is_stopped_and_the_schedule_goes_on(made: Any) -> None:
    """The time limit is one of the run, by the clock that nobody sets."""
    world = made(run_timeout=30, schedule="0 * * * *")
    world.schedules.start(world.watcher, "ada")
    world.drain()
    world.pass_time(29.0, jump=-5000)
    assert world.watcher.planner.processes[1].state is State.RUNNING
    world.pass_time(2.0)
    assert world.watcher.planner.processes[1].state is State.STOPPING
    world.watcher.end(signum=15)
    (run,) = world.runs()
    assert (run["result"], run["by"], run["text"]) == ("timed out", "ada", "it was not over after 30 s")
    assert world.watcher.planner.asleep


def test_a_stop_pauses_the_schedule_and_a_run_by_hand_does_not_put_it_in_force(made: Any) -> None:
    """What passes meanwhile is not missed; the start goes on from its own moment."""
    world = made(schedule_catch_up=True)
    world.pass_time(60.0)
    world.watcher.command("stop")
    world.watcher.end(signum=15)
    (run,) = world.runs()
    assert (run["result"], run["text"]) == ("stopped", "by stop")
    assert not world.schedules.view(world.watcher)["in_force"]
    assert world.written[0].decided is None
    for _ in range(5):
        world.pass_time(600.0)
    assert len(world.planned()) == 1
    world.schedules.start(world.watcher, "ada")
    world.drain()
    world.watcher.end()
    assert world.runs()[-1]["result"] == "succeeded"
    assert not world.watcher.planner.wanted
    world.watcher.command("start")
    assert len(world.planned()) == 1
    world.pass_time(60.0)
    assert len(world.planned()) == 2


def test_what_passed_while_circusd_was_away_is_caught_up_once_or_told_as_missed(made: Any) -> None:
    """By what the file says; a run that was under way is told as lost."""
    row = {
        "number": 7, "why": "planned", "by": "", "planned": START - 9000.0, "began": START - 9000.0, "ended": None, "took": None,
        "result": "running", "code": None, "signal": None, "text": "", "times": 1, "lines": {}, "life": "before",
    }  # fmt: skip
    kept = [Kept("w", START - 9000.0, (row,))]
    caught = made(kept, schedule="0 * * * *", schedule_catch_up=True)
    assert [(run["number"], run["result"], run["why"]) for run in caught.runs()] == [
        (7, "lost", "planned"),
        (8, "missed", ""),
        (9, "running", "caught up"),
    ]
    missed = made([Kept("w", START - 9000.0, ())], schedule="0 * * * *")
    assert [run["result"] for run in missed.runs()] == ["missed"]
    assert missed.watcher.planner.asleep
    assert made([Kept("w", None, ())], schedule_catch_up=True).runs() == []


def test_a_clock_that_jumps_makes_no_storm_and_no_second_run(made: Any) -> None:
    """Forward by a day all but the last moment are missed; back by an hour nothing that has run runs again."""
    world = made()
    world.pass_time(60.0)
    world.watcher.end()
    world.pass_time(1.0, jump=86400.0)
    assert [run["result"] for run in world.runs()] == ["succeeded", "missed", "running"]
    world.watcher.end()
    world.pass_time(1.0, jump=-3600.0)
    before = len(world.planned())
    world.pass_time(1800.0)
    assert len(world.planned()) == before
    world.pass_time(1900.0)
    assert len(world.planned()) == before + 1


def test_a_changed_schedule_counts_at_once(made: Any) -> None:
    """Its next moment is the new one's."""
    world = made(schedule="0 0 1 1 *")
    assert world.schedules.view(world.watcher)["next"] - START > 86400
    world.watcher.config = watcher_from_options("w", {**world.options, "schedule": "* * * * *"})
    world.changed(world.watcher)
    assert world.schedules.view(world.watcher)["next"] - START <= 60


STEP = st.tuples(
    st.sampled_from(
        ("time", "time", "time", "jump", "end", "fail", "run", "stop", "start", "restart", "kill")
    ),
    st.floats(1, 400),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEP, max_size=40),
    st.sampled_from(("skip", "queue", "replace")),
    st.booleans(),
    st.sampled_from((0, 50)),
    st.sampled_from(("exit", "failure")),
)
def test_no_two_runs_go_on_at_once_and_no_moment_runs_twice(
    steps: list[tuple[str, float]], overlap: str, catch_up: bool, limit: int, respawn_on: str
) -> None:
    """Whatever people do and whatever the clock shows."""
    with pytest.MonkeyPatch.context() as patch:
        world = World(
            patch,
            schedule_overlap=overlap,
            schedule_catch_up=catch_up,
            run_timeout=limit,
            respawn_on=respawn_on,
        )
        highest = world.wall
        for what, number in steps:
            match what:
                case "time":
                    world.pass_time(number)
                case "jump":
                    world.pass_time(1.0, jump=max(number * 20 - 3000, highest - 4000 - world.wall))
                case "end" | "fail":
                    world.watcher.end(code=int(what == "fail"))
                case "run":
                    try:
                        world.schedules.start(world.watcher, "ada")  # type: ignore[arg-type]
                    except Conflict:
                        assert overlap == "skip" or world.schedules.view(world.watcher)["queued"]  # type: ignore[arg-type]
                    world.drain()
                case _:
                    world.watcher.command(what)
            highest = max(highest, world.wall)
            running = [run for run in world.runs() if run["result"] == "running"]
            assert len(running) <= 1
            planned = world.planned()
            assert len(planned) == len(set(planned))
            numbers = [run["number"] for run in world.runs()]
            assert numbers == sorted(set(numbers))
        world.watcher.command("stop")
        world.watcher.end(signum=15)
        assert not [run for run in world.runs() if run["result"] == "running"], (steps, overlap, limit)
        world.close()
