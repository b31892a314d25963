"""Hooks that hang, raise, exit or fork: their watcher bears it, nobody else notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.faults.measures import Pings, events, leaves_nothing, offspring, report, runs
from tests.waiting import eventually

MODULE = """
import os, sys, threading, time

def hang(*args, **kwargs):
    time.sleep(1000)

def spin(*args, **kwargs):
    while True:
        pass

def crash(*args, **kwargs):
    raise RuntimeError("no \\ud800 database")

def leave(*args, **kwargs):
    sys.exit(3)

def vanish(*args, **kwargs):
    os._exit(4)

def die(*args, **kwargs):
    os.kill(os.getpid(), 9)

def fork_and_hang(*args, **kwargs):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    time.sleep(1000)

def flood(*args, **kwargs):
    os.write(1, b"x" * 20_000_000)
    return False
"""

KINDS = ("hang", "spin", "crash", "leave", "vanish", "die", "fork_and_hang", "flood")


def test_f16_each_bad_hook_ends_in_time_is_told_and_stops_its_own_watcher_only(tmp_path: Path) -> None:
    """All at once, while others start, stop and answer."""
    (tmp_path / "badhooks.py").write_text(MODULE)
    ini = f"[env]\nPYTHONPATH = {tmp_path}\n[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
    ini += "".join(
        f"[watcher:{kind}]\ncmd = sleep 100000\nautostart = false\nhook_timeout = 2\n"
        f"hooks.before_start = badhooks.{kind}\n"
        for kind in KINDS
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        before = daemon.pids("web")
        with Pings(daemon) as pings:
            for kind in KINDS:
                daemon.call("start", name=kind)
            daemon.call("restart", name="web", waiting=True)
            after = runs(daemon, "web", 3)
            for kind in KINDS:
                eventually(lambda kind=kind: events(daemon, "hook.failed", kind), within=40)
                eventually(lambda kind=kind: daemon.call("status", name=kind)["status"] == "stopped")
        report(f"{len(KINDS)} bad hooks at once; meanwhile {pings}")
        assert not set(before) & set(after)
        assert runs(daemon, "web", 3) == after
        for kind in KINDS:
            assert daemon.pids(kind) == []
            view = daemon.watcher(kind)
            assert "before_start" in view["explain"]
            error = events(daemon, "hook.failed", kind)[-1]["error"]
            if kind in ("hang", "spin", "fork_and_hang"):
                assert "did not come back" in error
        with pytest.raises(Refused, match="before_start"):
            daemon.call("start", name="crash", waiting=True)
        for kind in KINDS:
            daemon.call("rm", name=kind, waiting=True)
        # What a hook forked went with it.
        eventually(lambda: offspring(daemon.pid) == set(after), within=10)


def test_f16_circusd_ends_though_a_hook_hangs_for_ever(tmp_path: Path) -> None:
    """A stop that waits for its hook is cut short when the hook's time is over, and the daemon ends."""
    (tmp_path / "badhooks.py").write_text(MODULE)
    ini = (
        f"[env]\nPYTHONPATH = {tmp_path}\n[watcher:web]\ncmd = sleep 100000\nhook_timeout = 1\n"
        "hooks.before_stop = badhooks.hang\nhooks.after_stop = badhooks.fork_and_hang\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        runs(daemon, "web", 1)
        known = offspring(daemon.pid)
        assert daemon.stop() == 0
        assert not [pid for pid in known if Path(f"/proc/{pid}").exists()]
