"""The hour of what watchers took: sampled without a viewer, finer with one, bounded whatever happens."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest

from circusd.kernel import consumption, proc
from circusd.runtime.loadhistory import DAEMON, FINE_SAMPLES, LoadHistory, Ring, Sample
from tests.waiting import eventually

EPOCH = 1_700_000_000.0


@dataclass
class Slot:
    wid: int
    pid: int | None


@dataclass
class Planner:
    processes: dict[int, Slot]


@dataclass
class FakeWatcher:
    name: str
    pids: list[int | None] = field(default_factory=list)
    restarts_ever: int = 0
    kind: str = "watcher"

    @property
    def planner(self) -> Planner:
        return Planner({wid: Slot(wid, pid) for wid, pid in enumerate(self.pids, 1)})


@dataclass
class World:
    """Watchers with real processes, and a clock that goes only when it is told to."""

    watchers: dict[str, FakeWatcher] = field(default_factory=dict)
    sockets: Any = None
    time: float = 100.0
    set_back: float = 0.0
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return EPOCH + self.time - self.set_back

    def run(self, name: str, script: str = "import time; time.sleep(600)") -> int:
        child = subprocess.Popen([sys.executable, "-c", script])
        self.children.append(child)
        self.watchers.setdefault(name.lower(), FakeWatcher(name)).pids.append(child.pid)
        # Before its program has begun it has hardly any memory.
        eventually(lambda: (use := proc.use(child.pid)) and use.rss > 4 << 20)
        return child.pid

    def history(self, period: float = 60.0) -> LoadHistory:
        """One whose own greenlet never gets a turn: the test takes the samples."""
        return LoadHistory(self, period, now=self.now, wall=self.wall, sleep=lambda _: gevent.sleep(1e6))

    def pass_by(self, history: LoadHistory, seconds: float = 60.0) -> None:
        self.time += seconds
        history.take()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for child in world.children:
        child.kill()
        child.wait()


@pytest.fixture
def make(world: World) -> Iterator[Callable[..., LoadHistory]]:
    made: list[LoadHistory] = []

    def history(period: float = 60.0) -> LoadHistory:
        made.append(world.history(period))
        return made[-1]

    yield history
    for one in made:
        one.close()
    gevent.sleep(0)


def load(world: World, cpu: float, rss: int = 1 << 20) -> dict[str, Any]:
    """A message of the load, in which each watcher takes that."""
    watchers = {
        watcher.name: {"cpu": cpu, "rss": rss, "processes": {"1": [cpu, rss]}}
        for watcher in world.watchers.values()
    }
    return {"watchers": watchers, "daemon": {"cpu": 1.0, "rss": 2 << 20}}


def busy_for(pid: int, seconds: float) -> float:
    """The process has used so much of a processor; what it has used exactly, in seconds."""
    use = eventually(
        lambda: (found := proc.use(pid)) and found.ticks / proc.TICKS >= seconds and found, within=20
    )
    assert use
    return use.ticks / proc.TICKS


def test_samples_come_by_themselves(world: World) -> None:
    """One each period, while nobody asks; none any more after the end."""
    world.run("web")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.time += seconds
        gevent.sleep(0 if len(slept) < 5 else 1e6)

    history = LoadHistory(world, 60.0, now=world.now, wall=world.wall, sleep=sleep)
    eventually(lambda: history.coarse.count == 4, sleep=gevent.sleep)
    assert slept[:4] == [60.0] * 4
    history.close()
    gevent.sleep(0)
    assert history.coarse.count == 4


def test_an_hour_is_there(world: World, make: Callable[..., LoadHistory]) -> None:
    """Sixty samples of a minute; the oldest make room, and what is told ends with how it is now."""
    world.run("Web")
    history = make()
    for _ in range(70):
        world.pass_by(history)
    world.time += 30
    told = history.told(["Web"], 3600)
    assert len(told["times"]) == 61
    assert told["times"][-1] == world.wall()
    assert told["times"][0] == world.wall() - 30 - 59 * 60
    assert set(told["watchers"]) == {"Web"}
    for series in (told["watchers"]["Web"], told["daemon"]):
        assert {key: len(values) for key, values in series.items()} == dict.fromkeys(
            ("cpu", "rss", "processes", "restarts"), 61
        )
    assert min(told["watchers"]["Web"]["rss"]) > 1 << 20
    assert told["daemon"]["processes"][-1] == 1
    assert [len(history.told(["Web"], span)["times"]) for span in (600, 90, 0)] == [11, 3, 1]


def test_use_of_the_processor_is_the_mean_since_the_sample_before(
    world: World, make: Callable[..., LoadHistory]
) -> None:
    """Of what was used in between, and not since the start; processes of one watcher together."""
    pid = world.run("busy", "while True: pass")
    history = make()
    first = busy_for(pid, 0.2)
    world.pass_by(history, 10)
    world.time += 1
    mean = history.told(["busy"], 5)["watchers"]["busy"]["cpu"][0]
    assert first * 100 / 10 <= mean
    second = busy_for(pid, first + 0.3)
    world.children[0].send_signal(19)
    eventually(lambda: proc.row(pid).state == "T")  # type: ignore[union-attr]
    world.pass_by(history, 99)
    world.time += 1
    last = history.told(["busy"], 50)["watchers"]["busy"]["cpu"][0]
    assert (second - first) - 0.1 <= last <= busy_for(pid, 0)


def test_what_does_not_run_is_a_gap(world: World, make: Callable[..., LoadHistory]) -> None:
    """A watcher without a process, one that was not there yet, and one that is gone: null and never 0."""
    history = make()
    world.watchers["web"] = FakeWatcher("web")
    world.pass_by(history)
    world.watchers["late"] = FakeWatcher("late", restarts_ever=3)
    world.run("web")
    world.pass_by(history)
    world.time += 1
    told = history.told(["web", "late"], 3600)["watchers"]
    assert [rss is None for rss in told["web"]["rss"]] == [True, False, False]
    assert told["web"]["processes"] == [0, 1, 1]
    assert told["late"]["processes"] == [None, 0, 0]
    assert told["late"]["restarts"] == [None, 3, 3]
    history.forget("Web")
    assert history.told(["web"], 3600)["watchers"]["web"]["processes"] == [None, None, 1]


def test_finer_samples_while_somebody_looks(world: World, make: Callable[..., LoadHistory]) -> None:
    """Means of five seconds take the place of the coarse ones of that time, for five minutes at most, and go then."""
    world.run("web")
    history = make()
    for _ in range(3):
        world.pass_by(history)
    for second in range(120):
        world.time += 1
        history.look(load(world, cpu=float(second)))
        if second % 60 == 59:
            history.take()
    world.time += 1
    told = history.told(["web"], 3600)
    assert len(told["times"]) == 3 + 24 + 1
    assert told["watchers"]["web"]["cpu"][3:6] == [2.0, 7.0, 12.0]
    assert all(
        later - earlier == 5 for earlier, later in zip(told["times"][3:-2], told["times"][4:-1], strict=True)
    )
    for _ in range(600):
        world.time += 1
        history.look(load(world, cpu=1.0))
    assert len(history.fine.moments()) == FINE_SAMPLES
    world.pass_by(history, 400)
    assert history.fine.count == 0
    assert history.fine.bytes_kept < 1000


def test_nothing_is_kept_where_that_is_wished(world: World, make: Callable[..., LoadHistory]) -> None:
    """With a period of 0 there is no greenlet and no sample; how it is now can be asked all the same."""
    world.run("web")
    history = make(0)
    assert history._greenlet is None
    for _ in range(20):
        world.time += 1
        history.look(load(world, cpu=1.0))
    told = history.told(["web"], 3600)
    assert told["period"] == 0
    assert len(told["times"]) == 1
    assert told["watchers"]["web"]["processes"] == [1]


def test_a_watcher_costs_a_kibibyte(world: World, make: Callable[..., LoadHistory]) -> None:
    """Arrays that do not grow: an hour of 200 watchers takes 200 KiB, and as much again while somebody looks."""
    for number in range(200):
        world.watchers[f"w{number}"] = FakeWatcher(f"w{number}")
    history = make()
    for _ in range(3):
        world.pass_by(history)
    once = history.coarse.bytes_kept
    for _ in range(100):
        world.pass_by(history)
    assert history.coarse.bytes_kept == once <= 201 * 1024
    for _ in range(10):
        world.time += 1
        history.look(load(world, cpu=1.0))
    assert history.fine.bytes_kept <= 201 * 1024
    for number in range(200):
        history.forget(f"w{number}")
    assert history.coarse.bytes_kept + history.fine.bytes_kept < 4096


def test_the_least_period_bounds_the_memory(world: World, make: Callable[..., LoadHistory]) -> None:
    """Whatever the option says, there are no more than 3,600 samples, and not fewer than two."""
    assert make(1e-9).coarse.size == 3600
    assert make(1e9).coarse.size == 2


def test_a_clock_that_is_set_back_tells_nothing_of_the_future(
    world: World, make: Callable[..., LoadHistory]
) -> None:
    """Times are always in order, and the last one is now."""
    world.run("web")
    history = make()
    for _ in range(5):
        world.pass_by(history)
    world.set_back = 200
    world.pass_by(history)
    times = history.told(["web"], 3600)["times"]
    assert times == sorted(times)
    assert times[-1] == world.wall()


def test_a_ring_keeps_the_newest() -> None:
    """As many moments as it has room for, in their order; one that was not among the samples has a gap."""
    ring = Ring(3)
    for number in range(5):
        ring.add(float(number), {"a": Sample(number, 10.0, 1, 0)} if number != 3 else {})
    assert [(time, ring.sample("a", place).cpu) for time, place in ring.moments() if time != 3] == [
        (2, 2),
        (4, 4),
    ]
    assert math.isnan(ring.sample("a", ring.moments()[1][1]).cpu)
    assert math.isnan(ring.sample("b", 0).rss)
    assert DAEMON not in ring._rows


def test_a_sweep_of_many_lets_others_have_their_turns(
    world: World, make: Callable[..., LoadHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of processes that takes long to read is read in short turns."""
    own = consumption.own

    def slow(pid: int) -> consumption.Own | None:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        return own(pid)

    monkeypatch.setattr(consumption, "own", slow)
    pid = world.run("web")
    world.watchers["many"] = FakeWatcher("many", [pid] * 500)
    history = make()
    turns: list[float] = []

    def count() -> None:
        while True:
            turns.append(time.monotonic())
            gevent.sleep(0.0005)

    counter = gevent.spawn(count)
    gevent.sleep(0)
    before = len(turns)
    world.pass_by(history)
    after = len(turns)
    counter.kill()
    assert after > before
    assert history.told(["many"], 0)["watchers"]["many"]["processes"] == [500]
