"""Gathering the figures for Prometheus: bounded whatever there is, and never a reason for others to wait."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from circusd.core.process import Policy, Process, State
from circusd.core.watcher import Planner
from circusd.kernel.consumption import Own, Together
from circusd.kernel.figures import Transfer
from circusd.runtime import metrics
from circusd.runtime.looks import Looks
from circusd.runtime.looplag import LoopLag
from circusd.runtime.metrics import Grown, Metrics
from circusd.runtime.runs import Past
from circusd.runtime.scope import ALL, Scope
from circusd.schema.errors import Failed
from circusd.schema.exposition import exposition
from circusd.schema.metrics import BY_NAME, METRICS, RUN_RESULTS
from circusd.schema.wire import ok_reply
from tests.waiting import eventually


@dataclass
class FakeWatcher:
    """A watcher with a real planner, whose slots hold real processes."""

    name: str
    planner: Planner
    restarts_by: Counter[str] = field(default_factory=Counter)
    config: Any = field(default_factory=lambda: SimpleNamespace(schedule="@daily"))
    output: FakeOutput = field(default_factory=lambda: FakeOutput())


class FakeOutput:
    """Writes one stream to one place."""

    def read_bytes(self, stream: str) -> int:
        return 50

    def sinks(self) -> list[tuple[str, str, Any]]:
        counters = {
            "place": "/var/log/" + "x" * 1000,
            "state": "failing",
            "taken_bytes": 50,
            "written_bytes": 20,
            "dropped_bytes": 10,
            "dropped_lines": 2,
            "waiting_bytes": 20,
            "queue_bytes": 65536,
        }
        return [("stdout", "", SimpleNamespace(counters=lambda: counters))]


RUN = {"result": "failed", "began": 50.0, "ended": 51.5, "code": None, "signal": 9}
"""The last run of each; it has begun again since, and has been left out once."""


class FakeSchedules:
    def past(self, watcher: FakeWatcher) -> Past:
        good = {**RUN, "result": "succeeded", "began": 10.0, "ended": 11.0, "code": 0, "signal": None}
        lost = {**RUN, "result": "running", "began": 60.0, "ended": None, "signal": None}
        return Past([good, lost, RUN, {**RUN, "result": "skipped", "began": 70.0}])


class FakeSockets:
    def entries(self) -> list[Any]:
        return []

    def listing(self) -> list[dict[str, Any]]:
        return []

    def named_by(self, config: Any) -> list[str]:
        return []


@dataclass
class World:
    """What figures are gathered of."""

    children: list[subprocess.Popen[bytes]]
    looks: Any
    loop_lag: LoopLag
    watchers: dict[str, FakeWatcher] = field(default_factory=dict)

    def add(self, name: str, slots: int) -> None:
        planner = Planner(name, Policy(numprocesses=slots))
        planner.wanted = True
        for wid in range(1, slots + 1):
            pid = self.children[wid % len(self.children)].pid
            planner.processes[wid] = Process(wid, state=State.RUNNING, pid=pid, started=time.monotonic())
        self.watchers[name] = FakeWatcher(name, planner)

    def metrics(self) -> Metrics:
        counts = SimpleNamespace(counters=lambda: Counter[str]())
        return Metrics(
            SimpleNamespace(
                arbiter=SimpleNamespace(
                    watchers=self.watchers, sockets=FakeSockets(), schedules=FakeSchedules()
                ),
                history=SimpleNamespace(
                    stream_counts=lambda: {(name, "stdout"): 5 for name in self.watchers}
                ),
                looks=self.looks,
                loop_lag=self.loop_lag,
                doors=counts,
                controller=counts,
                publisher=counts,
                epoch=1.7e9,
            )
        )


@pytest.fixture
def world() -> Iterator[World]:
    looks, lag = Looks(), LoopLag()
    made = World([subprocess.Popen(["/bin/sleep", "1000"]) for _ in range(10)], looks, lag)
    yield made
    for child in made.children:
        child.kill()
        child.wait()
    looks.close()
    lag.close()
    gevent.sleep(0)


@pytest.fixture
def figures(world: World) -> Iterator[Metrics]:
    made = world.metrics()
    yield made
    made.close()
    gevent.sleep(0)


def read(reply: dict[str, Any]) -> dict[str, Any]:
    """As it comes over the wire, by group."""
    groups = json.loads(ok_reply(1, reply, 0))["groups"]
    return {group["name"]: group for group in groups}


def test_reply_is_what_the_table_says(world: World, figures: Metrics) -> None:
    """Groups in the table's order, each row with its labels and a value for each metric; the text can be made of it."""
    world.add("web", 2)
    found = read(figures.told(ALL))
    assert list(found) == [name for name in BY_NAME if name != "console"]
    for name, group in found.items():
        known = BY_NAME[name]
        assert group["labels"] == list(known.labels)
        assert group["metrics"] == [metric.name for metric in known.metrics]
        assert {len(row) for row in group["rows"]} <= {len(known.labels) + len(known.metrics)}
    assert found["last_run"]["rows"] == [["web", 50.0, 51.5, 137, 11.0]]
    assert [row[1:] for row in found["run"]["rows"] if row[2]] == [["lost", 1]]
    assert [row[1] for row in found["run"]["rows"]] == list(RUN_RESULTS)
    assert [row[:2] for row in found["process"]["rows"]] == [["web", 1], ["web", 2]]
    assert found["log"]["rows"] == [["web", "stdout", 5, 50], ["web", "stderr", 0, 50]]
    ((*labels, place, taken, written, dropped, lines, waiting, limit, failing),) = found["sink"]["rows"]
    assert labels == ["web", "stdout", ""]
    assert len(place) == metrics.LONGEST_PLACE
    assert (taken, written, dropped, lines, waiting, limit, failing) == (50, 20, 10, 2, 20, 65536, 1)
    text = b"".join(exposition(found.values(), openmetrics=True)).decode()
    assert all(name in text for name in METRICS if name not in ("circus_ws_clients", "circus_build_info"))


def test_scope_leaves_out_what_is_not_seen(world: World, figures: Metrics) -> None:
    """Rows of other watchers, and every group that counts all."""
    world.add("web", 1)
    world.add("vault", 1)
    reply = figures.told(Scope((("w*",),)))
    assert reply["whole"] is False
    found = read(reply)
    assert set(found) == {name for name, group in BY_NAME.items() if not group.whole}
    assert "vault" not in json.dumps(found)
    assert len(found["process"]["rows"]) == 1


def test_who_ask_together_get_what_was_gathered_once(
    world: World, figures: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who asks a moment later; afterwards it is gathered anew, and in between nothing is kept."""
    world.add("web", 1)
    sweeps: list[int] = []
    together = metrics.together
    monkeypatch.setattr(metrics, "together", lambda *given: sweeps.append(1) or together(*given))
    monkeypatch.setattr(metrics, "FRESH", 0.05)
    asked = [gevent.spawn(figures.told, ALL) for _ in range(20)]
    gevent.joinall(asked, raise_error=True)
    assert sweeps == [1]
    eventually(lambda: figures.told(ALL) and sweeps == [1, 1], sleep=gevent.sleep)


def test_one_that_fails_fails_for_those_who_wait(
    world: World, figures: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is told, and the next question is a new one."""
    monkeypatch.setattr(metrics, "FRESH", 0.01)
    with monkeypatch.context() as patch:
        patch.setattr(metrics.itself, "usage", lambda: 1 / 0)
        asked = [gevent.spawn(_problem, figures) for _ in range(3)]
        gevent.joinall(asked, raise_error=True)
        assert [one.value for one in asked] == ["ZeroDivisionError"] * 3
    eventually(lambda: _problem(figures) == "", sleep=gevent.sleep)


def _problem(figures: Metrics) -> str:
    try:
        figures.told(ALL)
    except ArithmeticError as problem:
        return type(problem).__name__
    return ""


def test_process_that_the_kernel_waits_for_costs_its_transfers_alone(world: World, figures: Metrics) -> None:
    """Everything else is told all the same."""

    class Stuck:
        def transfers(self, pids: list[int]) -> dict[int, Transfer]:
            raise Failed("looks at processes are stuck in the kernel")

        def close(self) -> None:
            pass

    world.looks = Stuck()
    world.add("web", 1)
    made = world.metrics()
    ((name, wid, *values),) = read(made.told(ALL))["process"]["rows"]
    made.close()
    columns = dict(zip((metric.name for metric in BY_NAME["process"].metrics), values, strict=True))
    assert (name, wid) == ("web", 1)
    missing = {name for name, value in columns.items() if value is None}
    assert missing == {"circus_process_read_bytes_total", "circus_process_written_bytes_total"}


def test_gathering_of_many_keeps_the_loop_free(world: World, figures: Metrics) -> None:
    """500 watchers with 2,000 processes: meanwhile a timer of the loop waits for a few turns at most."""
    for number in range(500):
        world.add(f"w{number}", 4)
    asked = gevent.spawn(figures.told, ALL)
    turns: list[float] = []
    # The heap that other tests have left is not the question.
    gc.disable()
    try:
        while not asked.ready():
            # Processor time, as how busy the machine is with others is none either.
            before = time.thread_time()
            gevent.sleep(0.001)
            turns.append(time.thread_time() - before)
    finally:
        gc.enable()
    assert len(read(asked.get())["process"]["rows"]) == 2000
    turns.sort()
    assert sum(turns) > 0.02
    assert turns[int(len(turns) * 0.95)] < 0.02


def tree(start: int, ticks: int) -> Together:
    return Together(Own(os.getpid(), 1, start, 0, 0, 1, 0, 0), ticks, 0, 0)


def test_ticks_of_a_tree_never_fall() -> None:
    """What a descendant that has left had taken is not given back; a new process begins anew; slots are apart."""
    grown = Grown()
    told = [grown.of("web", 1, tree(7, ticks)) for ticks in (10, 15, 4, 6, 20)]
    assert told == [10, 15, 15, 17, 31]
    assert grown.of("web", 1, tree(8, 3)) == 3
    assert grown.of("WEB", 2, tree(7, 5)) == 5
