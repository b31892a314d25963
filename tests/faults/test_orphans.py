"""Processes that lose their parent and come to circusd: reaped, without harm to its own children."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.container import InitDaemon, can_be_init
from tests.daemon import Daemon
from tests.faults.measures import (
    CHILD,
    PYTHON,
    Pings,
    child,
    events,
    is_alive,
    leaves_nothing,
    offspring,
    report,
    runs,
    zombies,
)
from tests.waiting import eventually

OWN = (
    "[watcher:own]\ncmd = sh -c 'sleep 0.05; exit 7'\nnumprocesses = 4\nbackoff = 0.01\nbackoff_max = 0.01\n"
)


def test_f13_1000_orphans_are_reaped_and_the_codes_of_own_children_are_right(tmp_path: Path) -> None:
    """Their ends and those of the watchers' processes come mixed."""
    done = tmp_path / "done"
    ini = OWN + f"[watcher:parent]\ncmd = {child('orphans', done, 1000)}\n"
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        with Pings(daemon) as pings:
            eventually(done.exists, within=30)
            daemon.call("stop", name="own", waiting=True)
            eventually(lambda: len(offspring(daemon.pid)) == 1 and not zombies(daemon.pid), within=10)
        report(f"1,000 orphans reaped; meanwhile {pings}")
        ends = [e for e in events(daemon, "process.exited", "own") if e["signal"] is None]
        assert len(ends) > 10
        assert {e["code"] for e in ends} == {7}
        daemon.call("stop", waiting=True)
        daemon.call("start", name="own", waiting=True)
        daemon.call("stop", name="own", waiting=True)


@pytest.mark.skipif(os.geteuid() != 0 or not can_be_init(), reason="needs root and namespaces")
def test_f13_as_pid_1_it_reaps_everything_and_ends_in_order(tmp_path: Path) -> None:
    """As the first process of a container: orphans, deaths, and a SIGTERM that has no default there."""
    done = tmp_path / "done"
    ini = OWN + f"[watcher:parent]\ncmd = {child('orphans', done, 300)}\n[watcher:web]\ncmd = sleep 10000\n"
    with InitDaemon(ini, tmp_path) as daemon:
        assert daemon.call("ping")["pid"] == 1
        eventually(done.exists, within=30)
        # A shell that somebody runs in the container, and its child that outlives it.
        entered = ["nsenter", f"--target={daemon.pid}", "--pid", "--mount"]
        subprocess.run([*entered, "sh", "-c", "sleep 0.1 & exit 0"], check=True)
        daemon.call("stop", name="own", waiting=True)
        eventually(lambda: len(offspring(daemon.pid)) == 2 and not zombies(daemon.pid), within=10)
        ends = [e for e in events(daemon, "process.exited", "own") if e["signal"] is None]
        assert {e["code"] for e in ends} == {7}
        known = offspring(daemon.pid)
        assert daemon.stop() == 0
        assert not [pid for pid in known if is_alive(pid)]
        assert "Traceback" not in daemon.log.read_text()


def test_f13_an_orphan_is_not_taken_for_a_process_of_a_watcher(tmp_path: Path) -> None:
    """A process that comes under circusd is neither stopped nor counted with anybody's."""
    pidfile = tmp_path / "pid"
    ini = "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
    with Daemon(ini, tmp_path) as daemon:
        before = runs(daemon, "web", 3)
        script = (
            f"import os,sys;sys.argv[1:]=['note'];exec(open({str(CHILD)!r}).read().split('if __name__')[0])"
        )
        script += f"\nif os.fork() == 0:\n if os.fork() == 0:\n  os.setsid(); note({str(pidfile)!r}); time.sleep(100)"
        daemon.call(
            "add", name="once", cmd=PYTHON, args=["-c", script], options={"respawn": False}, start=True
        )
        orphan = int(eventually(lambda: pidfile.read_text()))
        eventually(lambda: orphan in offspring(daemon.pid))
        eventually(lambda: daemon.call("status", name="once")["status"] == "stopped")
        assert runs(daemon, "web", 3) == before
        assert daemon.call("numprocesses")["numprocesses"] == 3
        os.kill(orphan, signal.SIGKILL)
        eventually(lambda: not is_alive(orphan) and orphan not in offspring(daemon.pid))
