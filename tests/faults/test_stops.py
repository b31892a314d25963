"""Stops of processes that will not, and commands that come all at once and in any order."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.client import Client
from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.faults.measures import (
    Pings,
    child,
    events,
    is_alive,
    leaves_nothing,
    offspring,
    report,
    runs,
    state,
    states,
)
from tests.waiting import eventually

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that tests add watchers to."""
    with Daemon("[watcher:web]\ncmd = sleep 100000\n", tmp_path_factory.mktemp("stops")) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """The shared daemon, whose other watchers are gone after the test, with all that they held."""
    with leaves_nothing(shared):
        yield shared
        for name in shared.call("list")["watchers"]:
            if name != "web":
                shared.call("rm", name=name, waiting=True)


def add(daemon: Daemon, name: str, cmd: str, **options: object) -> None:
    """The watcher is added, and its processes run."""
    daemon.call("add", name=name, cmd=cmd, options=options, start=True, waiting=True)


def test_f09_who_ignores_the_stop_signal_is_killed_at_the_end_of_his_time(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Not before, and the events say both signals."""
    ready = tmp_path / "ready"
    add(daemon, "deaf", child("deaf", ready), numprocesses=3, graceful_timeout=0.5)
    eventually(lambda: len(ready.read_text().split()) == 3)
    began = time.monotonic()
    daemon.call("stop", name="deaf", waiting=True)
    took = time.monotonic() - began
    report(f"3 that ignore SIGTERM are gone after {took:.2f} s of 0.5 s")
    assert took >= 0.45
    sent = [e["signum"] for e in events(daemon, "process.signalled", "deaf")]
    assert sorted(sent) == [9] * 3 + [15] * 3
    assert [e["signal"] for e in events(daemon, "process.exited", "deaf")] == [9] * 3


def test_f10_grandchildren_in_sessions_of_their_own_do_not_survive_with_stop_children(
    daemon: Daemon, tmp_path: Path
) -> None:
    """One has its parent gone, one loses it by the stop itself: what SIGTERM does not end, SIGKILL does."""
    pids = tmp_path / "pids"
    add(daemon, "family", child("forks", pids), stop_children=True, graceful_timeout=0.5)
    eventually(lambda: len(pids.read_text().split()) == 4)
    daemon.call("stop", name="family", waiting=True)
    left = [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def test_f11_a_process_that_is_stopped_by_sigstop_ends_in_time(daemon: Daemon) -> None:
    """It is woken to hear the signal, long before its time is over."""
    add(daemon, "frozen", "sleep 100000", numprocesses=3, graceful_timeout=30)
    for pid in daemon.pids("frozen"):
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda pid=pid: state(pid) == "T")
    daemon.call("stop", name="frozen", waiting=True)
    assert {e["signal"] for e in events(daemon, "process.exited", "frozen")} == {15}


def test_f14_restarts_and_stops_of_ten_clients_at_once_come_to_an_end(daemon: Daemon) -> None:
    """Nobody gets "already running", and what was asked last is what is so."""
    add(daemon, "busy", "sleep 100000", numprocesses=2)
    refused: list[str] = []

    def ask(number: int) -> None:
        chance = random.Random(number)
        with Client(daemon.endpoint, timeout=60) as client:
            for _ in range(10):
                command = chance.choice(("restart", "restart", "reload", "stop", "start"))
                try:
                    client.call(command, {"name": "busy"}, waiting=True, timeout=60)
                except Refused as error:
                    refused.append(str(error))

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(10)]
    with Pings(daemon) as pings:
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    report(f"100 commands by 10 clients, {len(refused)} superseded by a stop; meanwhile {pings}")
    assert [text for text in refused if "superseded" not in text] == []
    daemon.call("start", name="busy", waiting=True)
    runs(daemon, "busy", 2)
    daemon.call("stop", name="busy")
    daemon.call("start", name="busy", waiting=True)
    runs(daemon, "busy", 2)
    daemon.call("start", name="busy")
    daemon.call("stop", name="busy", waiting=True)
    assert states(daemon, "busy") == {"stopped": 2}


def test_f14_a_stop_is_not_kept_waiting_by_a_start_that_takes_long(daemon: Daemon) -> None:
    """The start of many with warm-up between them ends when a stop comes, and says why."""
    add(daemon, "slow", "sleep 100000", numprocesses=0, warmup_delay=5)
    with Client(daemon.endpoint, timeout=20) as starter:
        daemon.call("set", name="slow", options={"numprocesses": 100}, waiting=False)
        refused: list[Refused] = []

        def start() -> None:
            try:
                starter.call("restart", {"name": "slow"}, waiting=True, timeout=20)
            except Refused as error:
                refused.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        eventually(lambda: "restart" in [job["command"] for job in daemon.call("jobs")["jobs"]])
        daemon.call("stop", name="slow", waiting=True)
        thread.join()
    assert "superseded" in str(refused[0])
    assert daemon.pids("slow") == []


def test_f15_a_random_walk_of_scaling_and_killing_ends_with_the_right_number(daemon: Daemon) -> None:
    """1,000 steps; at no time are there more processes than asked for and those that stop."""
    add(daemon, "walk", "sleep 100000", numprocesses=5, settle_time=0)
    chance = random.Random(15)
    wanted = 5
    with Client(daemon.endpoint, timeout=20) as client:
        for step in range(1000):
            dice = chance.random()
            if dice < 0.4:
                # Reflected at both ends; sometimes of several at once.
                change = chance.choice((-2, -1, 1, 2))
                if not 0 <= wanted + change <= 12:
                    change = -change
                wanted += change
                client.call("incr" if change > 0 else "decr", {"name": "walk", "nb": abs(change)})
            elif dice < 0.8:
                pids = client.call("list", {"name": "walk"})["pids"]
                if pids:
                    _kill(chance.choice(pids))
            else:
                view = client.call("inspect", {"name": "walk"})["watchers"][0]
                up = [p for p in view["processes"] if p["state"] in ("starting", "running", "ready")]
                assert len(up) <= view["numprocesses"], (step, view)
    eventually(lambda: runs(daemon, "walk", wanted))
    assert daemon.call("numprocesses", name="walk")["numprocesses"] == wanted
    report(f"random walk of 1,000 steps: {wanted} wanted, {len(daemon.pids('walk'))} running")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize("seed", range(4))
def test_f24_signals_in_any_order_and_twice_stop_everything_once(tmp_path: Path, seed: int) -> None:
    """The stop stays ordered, its time is not shortened, and a HUP meanwhile changes nothing."""
    chance = random.Random(seed)
    ready = tmp_path / "ready"
    ini = (
        f"[watcher:deaf]\ncmd = {child('deaf', ready)}\ngraceful_timeout = 0.7\n"
        "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 5\npriority = 9\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(ready.exists)
        pids = [*daemon.pids("deaf"), *daemon.pids("web")]
        assert daemon.popen is not None
        began = time.monotonic()
        storm = [*STOPS, *STOPS, signal.SIGHUP, signal.SIGHUP]
        chance.shuffle(storm)
        if seed % 2:
            # The reload begins first, and the stop does not wait for it.
            storm.sort(key=lambda signum: signum != signal.SIGHUP)
        for signum in storm:
            daemon.popen.send_signal(signum)
        assert daemon.popen.wait(20) == 0
        assert time.monotonic() - began >= 0.65
        assert not [pid for pid in pids if is_alive(pid)]
        told = daemon.log.read_text()
        assert told.count("circusd is stopping reason=") == 1
        assert "Traceback" not in told


def test_f24_a_stop_in_the_middle_of_the_start_leaves_nothing(tmp_path: Path) -> None:
    """The signal comes while processes are being started."""
    ini = "".join(f"[watcher:w{n}]\ncmd = sleep 98765\nnumprocesses = 20\n" for n in range(20))
    daemon = Daemon(ini, tmp_path)
    with daemon.log.open("ab") as out:
        daemon.popen = subprocess.Popen(
            daemon.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=daemon.environ
        )
    try:
        eventually(lambda: len(offspring(daemon.pid)) > 20, within=20, every=0.002)
        known = offspring(daemon.pid)
        assert daemon.stop() == 0
        assert not [pid for pid in known if is_alive(pid)]
        found = subprocess.run(["pgrep", "-fx", "sleep 98765"], capture_output=True, text=True, check=False)
        assert found.stdout == ""
        assert "Traceback" not in daemon.log.read_text()
    finally:
        daemon.__exit__(None, None, None)
