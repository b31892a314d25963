"""Real processes that take more than their watcher lets them: replaced one after the other, with the reason told everywhere."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

# Holds memory in a child of its own: first those that find the file, of each number once.
HOLDER = """
import os, pathlib, signal, subprocess, sys, time
if len(sys.argv) == 2:
    held = b"x" * (80 << 20)
    time.sleep(1000)
file = pathlib.Path(sys.argv[1], "hold-" + os.environ["CIRCUS_WID"])
if file.exists():
    file.unlink()
    child = subprocess.Popen([sys.executable, __file__, "hold"])
    signal.signal(signal.SIGTERM, lambda *_: (child.kill(), child.wait(), sys.exit(3)))
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that tests add watchers to."""
    with Daemon("", tmp_path_factory.mktemp("bounds")) as running:
        yield running


def events(daemon: Daemon, name: str) -> list[tuple[str, str]]:
    """What has happened to the watcher's processes: names of events, and their texts."""
    found = daemon.call("events", name=name, lines=100)["events"]
    return [(one["event"], one["text"]) for one in found if one["event"].startswith("process.")]


def test_those_that_hold_too_much_are_replaced_one_after_the_other(daemon: Daemon, tmp_path: Path) -> None:
    """What they have started counts; the others stay; why is told by explain, events and what the console gets."""
    (tmp_path / "holder.py").write_text(HOLDER)
    for wid in (1, 3):
        (tmp_path / f"hold-{wid}").write_text("")
    options = {"numprocesses": 3, "max_memory": "60M", "max_memory_for": 1, "start_limit_burst": 1}
    cmd = f"{sys.executable} {tmp_path}/holder.py {tmp_path} main"
    daemon.call("add", name="heavy", cmd=cmd, options=options, start=True, waiting=True)
    before = {p["wid"]: p["pid"] for p in daemon.watcher("heavy")["processes"]}

    def over() -> bool:
        after = {p["wid"]: p["pid"] for p in daemon.watcher("heavy")["processes"] if p["state"] == "running"}
        return {wid for wid in after if after[wid] != before[wid]} == {1, 3}

    eventually(over, within=30, what="both have been replaced")
    view = daemon.watcher("heavy")
    assert {p["wid"]: p["pid"] for p in view["processes"]}[2] == before[2]
    why = r"it held \d+ MiB for \d\.\d s, more than 60 MiB"
    assert re.search(rf"All 3 processes run\. Process [13] was replaced because {why}\.", view["explain"])
    assert [bool(re.fullmatch(why, p["replaced"])) for p in view["processes"]] == [True, False, True]
    assert re.search(f"was replaced because {why}", daemon.ctl("explain", "heavy").stdout)
    told = events(daemon, "heavy")
    kinds = [kind for kind, _ in told[told.index(next(t for t in told if "replaced" in t[0])) :]]
    turn = ["process.replaced", "process.signalled", "process.exited", "process.started"]
    assert kinds == turn * 2
    assert {
        bool(re.search(f"is replaced because {why}", text)) for kind, text in told if kind == turn[0]
    } == {True}


def test_one_that_takes_too_much_of_the_processor_is_replaced_without_a_back_off(daemon: Daemon) -> None:
    """It counts neither as a failure nor as an end of its own; what is set later counts, and a new start is a new life."""
    options = {"max_cpu": 10, "max_cpu_for": 1, "start_limit_burst": 1, "backoff": 60, "settle_time": 600}
    cmd = "sh -c 'while :; do :; done'"
    daemon.call("add", name="busy", cmd=cmd, options=options, start=True)
    eventually(lambda: sum("replaced" in kind for kind, _ in events(daemon, "busy")) > 1, within=30)
    daemon.call("set", name="busy", options={"max_cpu": 0}, waiting=True)
    view = eventually(lambda: (v := daemon.watcher("busy"))["state"] == "running" and v, within=20)
    assert re.search(
        r"replaced because it took \d+ % of a processor for [\d.]+ s, more than 10 %", view["explain"]
    )
    assert not {"process.backoff", "process.failed"} & {kind for kind, _ in events(daemon, "busy")}
    assert "max_cpu" in {
        e["key"] for e in daemon.call("events", name="busy", lines=9)["events"] if "key" in e
    }
    daemon.call("restart", name="busy", waiting=True)
    assert "replaced" not in daemon.watcher("busy")["explain"]
    daemon.call("rm", name="busy", waiting=True)
