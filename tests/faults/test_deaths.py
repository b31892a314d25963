"""Processes that die, one or all, while circusd looks or is stopped: each comes back, and none twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.measures import (
    events,
    leaves_nothing,
    offspring,
    processor_seconds,
    report,
    runs,
    spawns,
    state,
    states,
    wakeups,
    zombies,
)
from tests.waiting import eventually

COUNT = 500


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """500 processes, which come back at once when they die."""
    ini = f"[watcher:many]\ncmd = sleep 100000\nnumprocesses = {COUNT}\nsettle_time = 0\n"
    with Daemon(ini, tmp_path_factory.mktemp("many")) as daemon:
        yield daemon


def test_f02_one_of_500_that_is_killed_is_replaced_and_the_event_names_the_signal(many: Daemon) -> None:
    """The others are not touched."""
    before = set(runs(many, "many", COUNT))
    took = []
    for victim in sorted(before)[:20]:
        known = offspring(many.pid)
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda known=known: len(offspring(many.pid) - known) == 1, every=0.0005)
        took.append(time.monotonic() - began)
        (end,) = [e for e in events(many, "process.exited") if e["pid"] == victim]
        assert end["signal"] == signal.SIGKILL
    assert len(set(runs(many, "many", COUNT)) & before) == COUNT - 20
    report(
        f"one of {COUNT} is back after {1000 * sorted(took)[10]:.1f} ms (median), {1000 * max(took):.1f} (worst)"
    )
    assert sorted(took)[10] < 1


def test_f03_500_that_are_killed_at_once_are_all_back_and_none_twice(many: Daemon) -> None:
    """All are reaped, and each slot has one process."""
    before = runs(many, "many", COUNT)
    starts = spawns(many, "many")
    began = time.monotonic()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not set(before) & offspring(many.pid), within=20)
    reaped = time.monotonic() - began
    after = eventually(lambda: runs(many, "many", COUNT), within=20)
    report(
        f"{COUNT} killed: all reaped after {reaped:.2f} s, all back after {time.monotonic() - began:.2f} s"
    )
    assert not set(before) & set(after)
    assert spawns(many, "many") == starts + COUNT
    assert len(offspring(many.pid)) == COUNT


def test_f04_what_dies_while_circusd_is_stopped_is_seen_when_it_goes_on(many: Daemon) -> None:
    """100 ends and no signal that counts them: all are reaped and healed."""
    before = runs(many, "many", COUNT)
    os.kill(many.pid, signal.SIGSTOP)
    try:
        eventually(lambda: state(many.pid) == "T")
        for pid in before[:100]:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(zombies(many.pid)) == 100)
    finally:
        os.kill(many.pid, signal.SIGCONT)
    eventually(lambda: not zombies(many.pid))
    after = eventually(lambda: runs(many, "many", COUNT))
    assert set(before[100:]) < set(after)


def test_f31_after_being_stopped_for_seconds_circusd_goes_on_as_if_nothing_were(many: Daemon) -> None:
    """No process is stopped or started, and no burst of work that was missed is made up for."""
    before = runs(many, "many", COUNT)
    known = many.call("events", lines=1)["events"][-1]["number"]
    os.kill(many.pid, signal.SIGSTOP)
    # The one thing that can't be waited for: time that passes while the daemon does not see it.
    time.sleep(3)
    cpu = processor_seconds(many.pid)
    os.kill(many.pid, signal.SIGCONT)
    assert many.call("ping")["pong"]
    assert processor_seconds(many.pid) - cpu < 1
    assert runs(many, "many", COUNT) == before
    assert many.call("events", lines=1)["events"][-1]["number"] == known


def test_f31_a_timer_that_was_due_while_circusd_was_stopped_fires_once(tmp_path: Path) -> None:
    """Max_age, back-off: one step each, whatever the time that has passed."""
    ini = (
        "[watcher:flap]\ncmd = false\nbackoff = 0.5\nbackoff_max = 0.5\n"
        "[watcher:aging]\ncmd = sleep 1000\nmax_age = 1\nmax_age_variance = 0\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: states(daemon, "flap")["backoff"])
        before = _starts(daemon)
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(4)
        os.kill(daemon.pid, signal.SIGCONT)
        after = _starts(daemon)
        assert after["flap"] <= before["flap"] + 2
        assert after["aging"] <= before["aging"] + 2


def _starts(daemon: Daemon) -> dict[str, int]:
    return {name: spawns(daemon, name) for name in ("flap", "aging")}


def test_f05_50_processes_that_can_not_stay_up_cost_next_to_nothing(tmp_path: Path) -> None:
    """They are tried later and later, the next time is shown, and a start tries all at once."""
    ini = "[watcher:flap]\ncmd = /bin/false\nnumprocesses = 50\n[watcher:other]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        other = daemon.pids("other")
        eventually(lambda: all(p["attempts"] >= 6 for p in daemon.watcher("flap")["processes"]), within=20)
        eventually(lambda: states(daemon, "flap") == {"backoff": 50})
        began, cpu, tries = time.monotonic(), processor_seconds(daemon.pid), spawns(daemon, "flap")
        eventually(lambda: time.monotonic() - began > 5, within=10, every=1)
        cpu = processor_seconds(daemon.pid) - cpu
        view = daemon.watcher("flap")
        report(
            f"50 that flap: {spawns(daemon, 'flap') - tries} starts and {100 * cpu / 5:.2f} % of a core in 5 s"
        )
        assert all(p["starts"] <= 20 for p in view["processes"])
        assert cpu / 5 < 0.05
        waiting = [p for p in view["processes"] if p["state"] == "backoff"]
        assert waiting
        assert all(p["next_try"] is not None for p in waiting)
        daemon.call("start", name="flap", waiting=True)
        assert all(p["starts"] <= 22 for p in daemon.watcher("flap")["processes"])
        assert spawns(daemon, "flap") >= tries + 50
        assert daemon.pids("other") == other
        daemon.call("stop", name="flap", waiting=True)
        assert states(daemon, "flap") == {"stopped": 50}


def test_f37_100_processes_that_sleep_wake_circusd_not_at_all(many: Daemon) -> None:
    """Without a client and without an event there is nothing to do, and no clock that ticks."""
    runs(many, "many", COUNT)
    # What a request left behind (the connection that was closed) comes to rest first.
    eventually(lambda: _woken(many, 0.5) == 0, within=10)
    woken, cpu, began = wakeups(many.pid), processor_seconds(many.pid), time.monotonic()
    time.sleep(5)
    woken, cpu = wakeups(many.pid) - woken, processor_seconds(many.pid) - cpu
    lasted = time.monotonic() - began
    report(
        f"idle with {COUNT} processes: {woken / lasted:.2f} wake-ups/s, {100 * cpu / lasted:.4f} % of a core"
    )
    assert woken / lasted < 2
    assert cpu / lasted < 0.001


def _woken(daemon: Daemon, seconds: float) -> int:
    before = wakeups(daemon.pid)
    time.sleep(seconds)
    return wakeups(daemon.pid) - before
