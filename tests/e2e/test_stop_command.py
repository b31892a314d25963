"""Real processes that a command stops: it has the process's pid, an end in time, and signals behind it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

# Ends when its file is there; what it hears of signals is written down.
ENDS = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: ((folder / "heard").write_text("TERM"), sys.exit()))
(folder / f"up-{os.getpid()}").touch()
while not (folder / f"end-{os.getpid()}").exists():
    time.sleep(0.01)
sys.exit(7)
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that tests add watchers to."""
    with Daemon("", tmp_path_factory.mktemp("stop")) as running:
        yield running


def add(daemon: Daemon, name: str, folder: Path, stop: str, **options: Any) -> int:
    """A watcher with that ``stop_command``, and the pid of its process, which hears signals."""
    (folder / "ends.py").write_text(ENDS)
    cmd = f"{sys.executable} {folder}/ends.py {folder}"
    chosen = {"stop_command": stop, "stop_command_timeout": 3600, "working_dir": str(folder), **options}
    daemon.call("add", name=name, cmd=cmd, options=chosen, start=True, waiting=True)
    (pid,) = daemon.pids(name)
    eventually((folder / f"up-{pid}").exists, within=20)
    return pid


def told(daemon: Daemon, name: str) -> list[str]:
    """What was done to end processes of the watcher, as texts of events."""
    events = daemon.call("events", name=name, lines=100)["events"]
    kinds = ("process.asked", "process.stop_failed", "process.signalled")
    return [event["text"] for event in events if event["event"] in kinds]


def test_command_stops_what_it_is_told_the_pid_of(daemon: Daemon, tmp_path: Path) -> None:
    """In arguments and environment, in the process's folder; no signal is sent, and its output is the process's standard error."""
    script = "echo out $PID $CIRCUS_WID $CIRCUS_WATCHER $COLOR; echo err >&2; touch end-$1"
    stop = f"sh -c {shlex.quote(script)} x $(circus.pid)"
    pid = add(daemon, "web", tmp_path, stop, env={"COLOR": "blue"})
    daemon.call("restart", name="web", waiting=True)
    assert told(daemon, "web") == [f"1 is to end by its stop_command, pid {pid}"]
    assert not (tmp_path / "heard").exists()
    (new,) = daemon.pids("web")
    assert new != pid
    eventually((tmp_path / f"up-{new}").exists, within=20)
    daemon.call("stop", name="web", waiting=True)
    assert "exited with code 7" in [e["text"] for e in daemon.call("events", name="web")["events"]][-2]
    lines = [line["text"] for line in daemon.call("output", name="web", stream="stderr")["lines"]]
    assert lines == [f"out {pid} 1 web blue", "err", f"out {new} 1 web blue", "err"]
    daemon.call("rm", name="web", waiting=True)


@pytest.mark.parametrize(
    ("stop", "timeout", "why"),
    [
        ("sh -c 'exit 3'", 3600, "it ended with exit code 3"),
        ("sh -c 'kill -KILL $$'", 3600, "it was ended by SIGKILL"),
        ("no-such-program", 3600, "there is no program no-such-program on its PATH"),
        ("echo 'not closed", 3600, "a quote is not closed"),
        ("sleep 77123", 0.2, "it has not ended the process within 0.2 s"),
        ("true", 0.2, "it has not ended the process within 0.2 s"),
    ],
)
def test_signals_come_when_the_command_does_not_do_it(
    daemon: Daemon, tmp_path: Path, stop: str, timeout: float, why: str
) -> None:
    """It fails, can't be started, hangs or does nothing: the reason is told, and nothing of it is left."""
    pid = add(daemon, "web", tmp_path, stop, stop_command_timeout=timeout)
    daemon.call("stop", name="web", waiting=True)
    asked, failed, signalled = told(daemon, "web")[-3:]
    assert asked == f"1 is to end by its stop_command, pid {pid}"
    assert failed.startswith("1: stop_command: ")
    assert why in failed
    assert signalled == f"1 got SIGTERM, pid {pid}"
    assert (tmp_path / "heard").read_text() == "TERM"
    eventually(
        lambda: not any("77123" in p.cmdline() for p in psutil.Process(daemon.pid).children(recursive=True)),
        within=20,
    )
    daemon.call("rm", name="web", waiting=True)


def test_stop_with_a_signal_of_its_own_does_without_it(daemon: Daemon, tmp_path: Path) -> None:
    """And a signal that somebody sends while the command is under way is sent."""
    pid = add(daemon, "own", tmp_path, "sleep 1000")
    daemon.ctl("kill", "own", "--signum", "TERM", "--waiting")
    assert told(daemon, "own") == [f"1 got SIGTERM, pid {pid}"]
    (pid,) = eventually(lambda: daemon.pids("own"), within=20)
    eventually((tmp_path / f"up-{pid}").exists, within=20)
    daemon.ctl("stop", "own")
    eventually(lambda: "stop_command" in told(daemon, "own")[-1], within=20)
    assert "1 process still to end by stop_command; what is left in" in daemon.watcher("own")["explain"]
    daemon.ctl("signal", "own", "KILL")
    eventually(lambda: daemon.watcher("own")["status"] == "stopped", within=20)
    daemon.call("rm", name="own", waiting=True)
