"""Processes that not even SIGKILL ends: shown, given up after a bounded wait with the reason, and told of when they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from circusd.core.stopping import KILL_PATIENCE
from tests.daemon import Daemon
from tests.faults.measures import (
    PYTHON,
    Pings,
    events,
    is_alive,
    leaves_nothing,
    offspring,
    processor_seconds,
    report,
    runs,
    state,
)
from tests.waiting import eventually

FREEZER = Path("/sys/fs/cgroup/freezer")
needs_freezer = pytest.mark.skipif(
    os.geteuid() != 0 or not os.access(FREEZER / "cgroup.procs", os.W_OK),
    reason="needs root and a freezer of control groups v1; that of v2 lets SIGKILL through",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to trace processes")

TRACER = """
import ctypes, sys
seized = ctypes.CDLL(None, use_errno=True).ptrace(0x4206, int(sys.argv[1]), None, None)
print(seized, flush=True)
sys.stdin.read()
"""


@contextmanager
def frozen(pid: int) -> Iterator[Path]:
    """The process is in a frozen control group, whose file of the state is given."""
    folder = FREEZER / f"circus-faults-{pid}"
    folder.mkdir()
    control = folder / "freezer.state"
    try:
        (folder / "cgroup.procs").write_text(str(pid))
        control.write_text("FROZEN")
        eventually(lambda: control.read_text().strip() == "FROZEN")
        yield control
    finally:
        control.write_text("THAWED")
        eventually(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


@contextmanager
def traced(pid: int) -> Iterator[subprocess.Popen[str]]:
    """The process is traced by another one that never does anything with it: stopped by each signal, and kept when dead."""
    words = [PYTHON, "-c", TRACER, str(pid)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "0\n"
        yield tracer
        tracer.kill()


INI = (
    "[watcher:ice]\ncmd = sleep 100000\ngraceful_timeout = 0.5\n"
    "[watcher:held]\ncmd = sleep 100000\ngraceful_timeout = 0.5\n"
    "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
)


@needs_root
def test_f12_a_dead_process_that_a_debugger_keeps_is_given_up_and_costs_no_processor(tmp_path: Path) -> None:
    """Stopping is shown, others are not delayed; when it is let go it is reaped, and that is told."""
    with Daemon(INI, tmp_path) as daemon, leaves_nothing(daemon), ThreadPoolExecutor() as pool:
        (pid,) = daemon.pids("held")
        with traced(pid):
            began = time.monotonic()
            stop = pool.submit(daemon.ctl, "stop", "held", "--waiting", timeout=60)
            eventually(lambda: state(pid) == "Z", within=20)
            assert daemon.call("status", name="held")["status"] == "stopping"
            cpu = processor_seconds(daemon.pid)
            with Pings(daemon, every=0.1) as pings:
                daemon.call("restart", name="web", waiting=True)
                assert not stop.done()
                done = stop.result()
            took, cpu = time.monotonic() - began, processor_seconds(daemon.pid) - cpu
            report(f"given up after {took:.1f} s, {cpu:.2f} s of processor; meanwhile {pings}")
            assert took >= KILL_PATIENCE
            # It would be as long as it took, if the end that can't be reaped were asked for again and again.
            assert cpu < took / 3
            assert done.stdout == "ok\n"
            assert f"process {pid} does not end" in done.stderr
            (told,) = events(daemon, "process.abandoned", "held")
            assert told["pid"] == pid
            assert "traces it" in told["reason"]
            assert "traces it" in daemon.watcher("held")["explain"]
            assert not events(daemon, "process.exited", "held")
            # The slot is free for another.
            daemon.call("start", name="held", waiting=True)
            (other,) = runs(daemon, "held", 1)
            assert other != pid
        (end,) = eventually(lambda: events(daemon, "process.exited", "held"))
        assert (end["pid"], end["signal"]) == (pid, 9)
        assert pid not in offspring(daemon.pid)
        assert runs(daemon, "held", 1) == [other]
        assert "Traceback" not in daemon.log.read_text()
        daemon.call("stop", waiting=True)
    assert daemon.popen is not None
    assert daemon.popen.returncode == 0


@needs_freezer
def test_f12_circusd_ends_though_processes_are_frozen_and_says_so(tmp_path: Path) -> None:
    """A main process, and a child of one that has ended: the others are stopped at once; quit answers, the log names the
    pids, the exit code is 1. Thawed, they end."""
    family = "[watcher:family]\ncmd = sh -c '/bin/sleep 100001 & wait'\nstop_children = true\ngraceful_timeout = 0.5\n"
    daemon = Daemon(INI + family, tmp_path).start()
    try:
        (pid,) = daemon.pids("ice")
        (parent,) = daemon.pids("family")
        (orphan,) = eventually(lambda: offspring(parent))
        others = [*daemon.pids("held"), *daemon.pids("web")]
        with frozen(pid) as control, frozen(orphan) as other_control, ThreadPoolExecutor() as pool:
            began = time.monotonic()
            quit_ = pool.submit(daemon.ctl, "quit", "--waiting", timeout=60)
            eventually(lambda: not any(map(is_alive, [*others, parent])))
            eventually(lambda: daemon.call("status", name="ice")["status"] == "stopping")
            eventually(lambda: "given up" in daemon.watcher("ice")["explain"])
            # Asked again it is waited for no longer.
            os.kill(daemon.pid, signal.SIGTERM)
            done = quit_.result()
            assert daemon.popen is not None
            assert daemon.popen.wait(30) == 1
            report(f"circusd with a frozen process ends after {time.monotonic() - began:.1f} s")
            told = daemon.log.read_text()
            for who, name in ((pid, "ice"), (orphan, "family")):
                assert f"process {who} does not end" in done.stderr
                assert (
                    f"circusd ends, and process {who} does not, of {name}: its control group is frozen"
                    in told
                )
                assert is_alive(who)
            assert "Traceback" not in told
            control.write_text("THAWED")
            other_control.write_text("THAWED")
            eventually(lambda: not is_alive(pid) and not is_alive(orphan))
    finally:
        daemon.stop()
        shutil.rmtree(daemon.runtime)


@needs_freezer
def test_f12_a_process_that_is_thawed_in_time_is_stopped_like_any_other(tmp_path: Path) -> None:
    """The signal that it got while it was frozen ends it; nothing is given up."""
    with Daemon(INI, tmp_path) as daemon, leaves_nothing(daemon), ThreadPoolExecutor() as pool:
        (pid,) = daemon.pids("ice")
        with frozen(pid) as control:
            stop = pool.submit(daemon.call, "stop", name="ice", waiting=True)
            eventually(lambda: 9 in [e["signum"] for e in events(daemon, "process.signalled", "ice")])
            daemon.call("restart", name="web", waiting=True)
            control.write_text("THAWED")
            assert "abandoned" not in stop.result()
        assert not events(daemon, "process.abandoned")
        daemon.call("stop", waiting=True)
