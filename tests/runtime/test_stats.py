"""Stats: sampled while somebody wants them, in the original's shapes and ours, without holding the loop up."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq.green

from circusd.runtime.history import History, StreamKey
from circusd.runtime.looplag import LoopLag
from circusd.runtime.publisher import Publisher
from circusd.runtime.socketreads import SocketReads
from circusd.runtime.stats import LineRates, Stats, aggregate
from tests.waiting import eventually


@dataclass
class Slot:
    wid: int
    pid: int | None


@dataclass
class FakeWatcher:
    name: str
    pids: list[int | None]
    kind: str = "watcher"

    @property
    def planner(self) -> Any:
        @dataclass
        class Planner:
            processes: dict[int, Slot]

        return Planner({wid: Slot(wid, pid) for wid, pid in enumerate(self.pids, 1)})


@dataclass
class Entry:
    fd: int
    address: str


@dataclass
class World:
    """What stats look at: watchers with real processes, real sockets, a real publisher."""

    publisher: Publisher
    history: History = field(default_factory=History)
    watchers: dict[str, FakeWatcher] = field(default_factory=dict)
    listening: list[Entry] = field(default_factory=list)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def sockets(self) -> Any:
        return self

    def entries(self) -> list[Entry]:
        return self.listening

    def run(self, name: str, *scripts: str, kind: str = "watcher") -> list[int]:
        new = [subprocess.Popen([sys.executable, "-c", script]) for script in scripts]
        self.children += new
        self.watchers[name.lower()] = FakeWatcher(name, [child.pid for child in new], kind)
        return [child.pid for child in new]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    context = zmq.green.Context()
    publisher = Publisher(context, str(tmp_path))
    world = World(publisher)
    yield world
    for child in world.children:
        child.kill()
        child.wait()
    publisher.close()
    world.history.close()
    gevent.sleep(0)
    context.destroy(linger=0)


@pytest.fixture
def stats(world: World) -> Iterator[Stats]:
    lag = LoopLag()
    stats = Stats(world.publisher, world, world.history, loop=lag.view)
    yield stats
    stats.close()
    lag.close()
    gevent.sleep(0)


class Ear:
    """A listener inside the daemon."""

    def __init__(self, world: World, *prefixes: str) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.cancel = world.publisher.listen(prefixes, lambda t, b: self.heard.append((t, json.loads(b))))

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [body for heard, body in self.heard if heard == topic]

    def first(self, topic: str) -> dict[str, Any]:
        return eventually(lambda: self.of(topic), sleep=gevent.sleep, within=10)[0]


SLEEP = "import time; time.sleep(600)"
BUSY = "while True: pass"
BUSY_BELOW = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""For as long as its parent is there."""


def test_nothing_is_sampled_without_a_wish(world: World, stats: Stats) -> None:
    """No greenlet and no timer before the first listener, between, and after the last."""
    assert not stats.running
    first, second = Ear(world, "load."), Ear(world, "stat.web.1")
    assert stats.running
    first.cancel()
    assert stats.running
    second.cancel()
    assert not stats.running
    other = Ear(world, "event.")
    assert not stats.running
    other.cancel()


@dataclass
class Judge:
    """Who has bounds for one process, and wants to look again soon."""

    pid: int
    looks: list[tuple[float, int]] = field(default_factory=list)

    def pids(self) -> list[int]:
        return [self.pid]

    def seen(self, samples: Any) -> float:
        self.looks.append(samples[self.pid])
        return 0.01


def test_bounded_processes_are_looked_at_while_nobody_else_looks(world: World, stats: Stats) -> None:
    """These alone, as often as is asked for, and no more once nobody has bounds."""
    judge = Judge(os.getpid())
    stats.look_at(judge)
    assert stats.running
    eventually(lambda: len(judge.looks) > 2, sleep=gevent.sleep)
    assert all(rss > 0 for _, rss in judge.looks)
    stats.look_at(None)
    assert not stats.running


def test_load_is_by_watcher_and_slot(world: World, stats: Stats) -> None:
    """One message each second: per cent of a processor and bytes, summed for each watcher, and for the daemon."""
    world.run("Web", BUSY, SLEEP)
    world.watchers["idle"] = FakeWatcher("idle", [None])
    ear = Ear(world, "load.")
    started = time.monotonic()
    eventually(lambda: len(ear.heard) >= 3, sleep=gevent.sleep, within=15)
    assert 1.9 < time.monotonic() - started < 8
    ear.cancel()
    (topic, load) = ear.heard[-1]
    assert topic == "load."
    assert abs(load["time"] - time.time()) < 5
    assert set(load["watchers"]) == {"Web"}
    web = load["watchers"]["Web"]
    assert set(web["processes"]) == {"1", "2"}
    assert web["processes"]["1"][0] > 10
    assert web["processes"]["2"][0] < 10
    assert web["rss"] == sum(rss for _, rss in web["processes"].values()) > 1 << 20
    assert web["cpu"] == pytest.approx(sum(cpu for cpu, _ in web["processes"].values()), abs=0.15)
    assert load["daemon"]["rss"] > 1 << 20
    loop = load["daemon"]["loop"]
    assert 0 <= loop["p50"] <= load["daemon"]["lag"] == loop["p99"] <= loop["max"]
    assert 0 <= load["host"]["cpu"] <= 100
    assert load["host"]["memory"] > 1 << 20
    assert len(load["host"]["load"]) == 3


def test_load_has_the_lines_of_output(world: World, stats: Stats) -> None:
    """Lines a second of each watcher, also of one of which nothing runs any more, and of all together."""
    world.run("web", SLEEP)
    world.watchers["quiet"] = FakeWatcher("quiet", [world.children[0].pid])
    world.history.append(StreamKey("web", 1, "stdout"), 1, time.time(), b"from before somebody looked\n" * 50)
    ear = Ear(world, "load.")
    first = ear.first("load.")
    assert first["watchers"]["web"]["lines"] == first["daemon"]["lines"] == 0
    for name, wid, stream in (("web", 1, "stdout"), ("web", 2, "stderr"), ("gone", 1, "stdout")):
        world.history.append(StreamKey(name, wid, stream), 1, time.time(), b"line\n" * 1000)
    load = eventually(
        lambda: [load for load in ear.of("load.") if load["daemon"]["lines"]], sleep=gevent.sleep, within=10
    )[0]
    ear.cancel()
    lines = {name: told["lines"] for name, told in load["watchers"].items()}
    assert lines["web"] == pytest.approx(2 * lines["gone"], abs=0.2)
    assert lines["quiet"] == 0
    assert load["daemon"]["lines"] == pytest.approx(lines["web"] + lines["gone"], abs=0.2)
    assert load["watchers"]["gone"]["processes"] == {}


def test_rates_are_of_the_time_between_looks(world: World) -> None:
    """What came before the first look is not counted, nor what was there when nobody looked; numbers never fall below 0."""
    rates = LineRates(world.history)
    key = StreamKey("web", 1, "stdout")
    world.history.append(key, 1, 0.0, b"a\n" * 10)
    assert rates.take(100.0) == {}
    world.history.append(key, 1, 0.0, b"a\n" * 30)
    assert rates.take(102.0) == {"web": 15.0}
    assert rates.take(103.0) == {}
    world.history.append(key, 1, 0.0, b"a\n" * 7)
    rates.forget()
    assert rates.take(200.0) == {}
    world.history.forget("web")
    world.history.append(key, 1, 0.0, b"a\n")
    assert rates.take(201.0) == {}
    world.history.append(key, 1, 0.0, b"a\nb\nno end yet")
    assert rates.take(202.0) == {"web": 2.0}


def test_load_of_many_processes_arrives_whole(world: World, stats: Stats) -> None:
    """Five hundred processes are one message."""
    (pid,) = world.run("one", SLEEP)
    world.watchers["many"] = FakeWatcher("many", [pid] * 500)
    ear = Ear(world, "load.")
    load = ear.first("load.")
    ear.cancel()
    assert len(load["watchers"]["many"]["processes"]) == 500


INFO_KEYS = {
    "pid", "age", "create_time", "cmdline", "username", "nice", "cpu", "mem", "mem_info1", "mem_info2", "ctime",
    "children", "subtopic", "name",
}  # fmt: skip


def test_messages_have_the_original_shapes(world: World, stats: Stats) -> None:
    """Process info by pid, an aggregate by watcher, the daemon's own processes under ``circus``."""
    web = world.run("Web App", BUSY, SLEEP)
    (console,) = world.run("circushttpd", SLEEP, kind="httpd")
    ear = Ear(world, "stat.")
    one = ear.first(f"stat.web_app.{web[0]}")
    assert set(one) == INFO_KEYS
    assert (one["subtopic"], one["pid"], one["name"]) == (web[0], web[0], None)
    whole = ear.first("stat.web_app")
    assert set(whole) == {"pid", "cpu", "mem", "age"}
    assert sorted(whole["pid"]) == sorted(web)
    assert ear.first(f"stat.circus.{os.getpid()}")["name"] == "circusd"
    assert ear.first(f"stat.circus.{console}")["name"] == "circushttpd"
    assert sorted(ear.first("stat.circus")["pid"]) == sorted([os.getpid(), console])
    assert one["children"] == []
    eventually(lambda: ear.of(f"stat.web_app.{web[0]}")[-1]["cpu"] > 10, sleep=gevent.sleep, within=10)
    ear.cancel()


def test_what_a_process_has_started_counts_for_its_load(world: World, stats: Stats) -> None:
    """A parent that only waits is as busy as the child that it waits for."""
    busy = f"[sys.executable, '-c', {BUSY_BELOW!r}, str(os.getpid())]"
    world.run("parent", f"import os, subprocess, sys; subprocess.run({busy})")
    ear = Ear(world, "load.")
    eventually(
        lambda: ear.heard and ear.heard[-1][1]["watchers"]["parent"]["cpu"] > 0, sleep=gevent.sleep, within=20
    )
    ear.cancel()


def test_aggregate_says_when_it_can_not_know() -> None:
    """The mean of processor use, the sum of memory, the greatest age; N/A where one of them is."""
    one, two = {"cpu": 10.0, "mem": 1.5, "age": 5.0}, {"cpu": 30.0, "mem": 0.5, "age": 9.0}
    assert aggregate({1: one, 2: two}) == {"pid": [1, 2], "cpu": 20.0, "mem": 2.0, "age": 9.0}
    assert aggregate({1: one, 2: {**two, "cpu": "N/A"}})["cpu"] == "N/A"


def test_only_what_is_wanted_is_looked_at(
    world: World, stats: Stats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription to one watcher costs the look at its processes alone."""
    web, (db,) = world.run("web", SLEEP, SLEEP), world.run("db", SLEEP)
    looked: set[int] = set()
    from circusd.kernel import usage

    alone = usage.Sampler.alone

    def spy(self: usage.Sampler, pid: int) -> Any:
        looked.add(pid)
        return alone(self, pid)

    monkeypatch.setattr(usage.Sampler, "alone", spy)
    ear = Ear(world, "stat.web")
    ear.first("stat.web")
    ear.cancel()
    assert looked == set(web)
    assert db not in looked
    assert {topic for topic, _ in ear.heard} == {"stat.web", *(f"stat.web.{pid}" for pid in web)}


def test_process_that_ends_is_left_out(world: World, stats: Stats) -> None:
    """A pid that is gone before it is looked at is no error."""
    web = world.run("web", SLEEP, SLEEP)
    world.children[0].kill()
    world.children[0].wait()
    ear = Ear(world, "stat.", "load.")
    assert ear.first("stat.web")["pid"] == [web[1]]
    assert set(ear.first("load.")["watchers"]["web"]["processes"]) == {"2"}
    ear.cancel()


def test_looking_at_many_keeps_the_loop_free(world: World, stats: Stats) -> None:
    """While 500 rows are looked at in full, a timer of the loop waits for a few turns at most."""
    pids = world.run("few", *[SLEEP] * 10)
    for n in range(50):
        world.watchers[f"w{n}"] = FakeWatcher(f"w{n}", list(pids))
    ear = Ear(world, "stat.", "load.")
    turns: list[float] = []
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        # Processor time: how busy the machine is with others is not the question.
        before = time.thread_time()
        gevent.sleep(0.002)
        turns.append(time.thread_time() - before)
    ear.cancel()
    turns.sort()
    assert sum(turns) > 0.05
    assert turns[int(len(turns) * 0.99)] < 0.02
    assert len(ear.of("stat.w49")) >= 1


def test_reads_count_arrivals_not_waiting(world: World, stats: Stats) -> None:
    """Connections to a managed socket are counted, one that nobody accepts not again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd, port = server.fileno(), server.getsockname()[1]
        world.listening = [Entry(fd, f"127.0.0.1:{port}")]
        ear = Ear(world, "stat.sockets")
        eventually(lambda: ear.of("stat.sockets"), sleep=gevent.sleep, within=10)
        made = []
        for _ in range(3):
            made.append(socket.create_connection(("127.0.0.1", port)))
            gevent.sleep(0.05)
        eventually(
            lambda: sum(b["reads"] for b in ear.of(f"stat.sockets.{fd}")) == 3, sleep=gevent.sleep, within=10
        )
        count = len(ear.of("stat.sockets"))
        eventually(lambda: len(ear.of("stat.sockets")) >= count + 2, sleep=gevent.sleep, within=10)
        ear.cancel()
        assert sum(b["reads"] for b in ear.of("stat.sockets")) == 3
        one = ear.of(f"stat.sockets.{fd}")[-1]
        assert one == {"fd": fd, "subtopic": fd, "reads": 0, "address": f"127.0.0.1:{port}"}
        assert ear.of("stat.sockets")[-1] == {"addresses": [f"127.0.0.1:{port}"], "reads": 0}
        for each in made:
            each.close()


def test_reads_follow_a_changed_set_of_sockets() -> None:
    """A socket that was closed is not counted any more, also if its number is used again."""
    reads = SocketReads()
    a, b = socket.socketpair()
    other = os.dup(a.fileno())
    reads.watch({a.fileno(): "a"})
    b.send(b"x")
    eventually(lambda: reads.take() == {a.fileno(): 1}, sleep=gevent.sleep)
    fd = a.fileno()
    a.close()
    reads.watch({})
    c, d = socket.socketpair()
    reads.watch({c.fileno(): "c"})
    b.send(b"x")
    gevent.sleep(0.05)
    assert reads.take() == {c.fileno(): 0}
    assert c.fileno() == fd
    reads.close()
    os.close(other)
    for each in (b, c, d):
        each.close()
