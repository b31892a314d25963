"""Frozen processes: whole trees stand still, nothing is judged meanwhile, and whatever ends the freeze finds them whole."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.kernel import proc
from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

PORT = free_port()
TREE = """
import os, signal, sys, time

folder, count = sys.argv[1:]
def note(name):
    def heard(*_):
        open(os.path.join(folder, name), "a").write("x")
        if name == "ended":
            os._exit(7)
    return heard
signal.signal(signal.SIGTERM, note("ended"))
signal.signal(signal.SIGUSR1, note("usr1"))
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        # Somebody who forks all the time.
        if os.fork() == 0:
            time.sleep(0.02)
            os._exit(0)
        os.wait()
number = 0
while True:
    number += 1
    open(os.path.join(folder, count), "w").write(str(number))
    time.sleep(0.01)
"""
ACCEPT = """
import socket, sys
front = socket.socket(fileno=int(sys.argv[1]))
front.setblocking(True)
while True:
    front.accept()[0].close()
"""
INI = f"""
[watcher:tree]
cmd = {{python}} {{folder}}/tree.py {{folder}} count
stop_children = true
graceful_timeout = 10

[watcher:aged]
cmd = sleep 1000
max_age = 1
max_age_variance = 0

[watcher:late]
cmd = sleep 1000
ready = notify
start_timeout = 1.5
backoff = 60
autostart = false

[watcher:idle]
cmd = {{python}} {{folder}}/accept.py $(circus.sockets.front)
use_sockets = true
on_demand = true
idle_timeout = 0.4

[watcher:pair]
cmd = sleep 1000
numprocesses = 2
settle_time = 60
backoff = 60

[socket:front]
host = 127.0.0.1
port = {PORT}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("freeze")
    (folder / "tree.py").write_text(TREE)
    (folder / "accept.py").write_text(ACCEPT)
    with Daemon(INI.format(python=sys.executable, folder=folder), folder) as running:
        yield running


def counted(daemon: Daemon) -> str:
    return (daemon.folder / "count").read_text()


def below(pid: int) -> list[proc.Identity]:
    return [proc.Identity(pid, proc.start_time(pid) or 0), *proc.descendants([pid])[pid]]


def slot(daemon: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.watcher(name)["processes"][0]
    return found


def is_there(one: proc.Identity) -> bool:
    found = proc.row(one.pid)
    return found is not None and found.identity == one and found.is_alive


def is_still(pid: int) -> bool:
    found = proc.row(pid)
    return found is not None and found.state == "T"


def test_freeze_stops_all_that_is_below_and_is_told_everywhere(daemon: Daemon) -> None:
    """One that forks without end in a session of its own too; who has done it, and since when, is said."""
    eventually(lambda: counted(daemon) and len(below(daemon.pids("tree")[0])) > 1, within=20)
    (pid,) = daemon.pids("tree")
    told = daemon.call("freeze", name="tree")
    assert told["frozen"] == [pid]
    eventually(lambda: all(proc.is_at_rest(one.pid) for one in below(pid)))
    kin = below(pid)
    assert len(kin) >= 2
    seen = counted(daemon)
    assert {one.pid for one in below(pid)} == {one.pid for one in kin}
    assert counted(daemon) == seen
    process = slot(daemon, "tree")
    assert (process["state"], process["pid"]) == ("frozen", pid)
    by = process["frozen_by"]
    assert by
    assert f"has been frozen by {by} for" in daemon.watcher("tree")["explain"]
    assert daemon.call("status", name="tree")["status"] == "active"
    assert f"frozen by {by}" in daemon.ctl("explain", "tree").stdout
    assert f"by {by}" in daemon.ctl("inspect", "tree").stdout
    event = [e for e in daemon.call("events", lines=200)["events"] if e["event"] == "process.frozen"][-1]
    assert (event["pid"], event["by"], event["level"]) == (pid, by, "warning")

    # What it is sent it hears when it goes on, and asking for CONT is asking for that.
    daemon.call("signal", name="tree", signum="USR1")
    assert is_still(pid) and not (daemon.folder / "usr1").exists()
    daemon.call("signal", name="tree", signum="CONT")
    eventually(lambda: counted(daemon) != seen and (daemon.folder / "usr1").exists())
    assert slot(daemon, "tree")["state"] == "running"
    assert not any(is_still(one.pid) for one in kin)


def test_what_somebody_else_had_stopped_stays_so(daemon: Daemon) -> None:
    """A thaw lets go on what the freeze has stopped, and nothing else; a second freeze changes nothing."""
    (pid,) = daemon.pids("tree")
    child = proc.children([pid])[pid][0].pid
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: is_still(child))
    daemon.call("freeze", name="tree")
    daemon.call("freeze", name="tree")
    assert daemon.call("thaw")["thawed"] == [pid]
    seen = counted(daemon)
    eventually(lambda: counted(daemon) != seen)
    assert is_still(child)
    os.kill(child, signal.SIGCONT)


def test_a_frozen_process_obeys_a_stop(daemon: Daemon) -> None:
    """It goes on with the signal, and ends as it does at any other time."""
    (daemon.folder / "ended").unlink(missing_ok=True)
    (pid,) = daemon.pids("tree")
    kin = below(pid)
    daemon.call("freeze", name="tree", seconds=60)
    daemon.call("restart", name="tree", waiting=True)
    assert (daemon.folder / "ended").exists()
    ends = [e for e in daemon.call("events", lines=200)["events"] if e["event"] == "process.exited"]
    assert [e["code"] for e in ends if e["pid"] == pid] == [7]
    eventually(lambda: not any(is_there(one) for one in kin))
    process = slot(daemon, "tree")
    assert (process["state"], process["thaw_at"], process["frozen_by"]) == ("running", None, "")


def test_a_freeze_ends_when_somebody_else_lets_it_go_on(daemon: Daemon) -> None:
    """``kill -CONT`` from any shell: the state says so, and so does an event; what is below it goes on with it. It is no earlier thaw
    that ends a later freeze."""
    eventually(lambda: (daemon.folder / "count").exists() and counted(daemon), within=20)
    (pid,) = daemon.pids("tree")
    for _ in range(3):
        daemon.call("freeze", name="tree")
        assert daemon.call("thaw", name="tree")["thawed"] == [pid]
    daemon.call("freeze", name="tree", seconds=600)
    # Somebody dies meanwhile: circusd looks at its children.
    daemon.call("restart", name="pair", waiting=True)
    assert slot(daemon, "tree")["state"] == "frozen"
    eventually(lambda: all(proc.is_at_rest(one.pid) for one in below(pid)))
    kin, seen = below(pid), counted(daemon)
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: slot(daemon, "tree")["state"] == "running")
    eventually(lambda: counted(daemon) != seen and not any(is_still(one.pid) for one in kin))
    process = slot(daemon, "tree")
    assert (process["pid"], process["thaw_at"], process["frozen_by"]) == (pid, None, "")
    assert "frozen" not in daemon.watcher("tree")["explain"]
    told = [e for e in daemon.call("events", lines=200)["events"] if e["event"] == "process.thawed"]
    assert (told[-1]["pid"], told[-1]["by"]) == (pid, "somebody outside circusd")
    assert "thawed by somebody outside circusd" in told[-1]["text"]
    assert told[-2]["by"] not in ("", told[-1]["by"])


def test_a_freeze_with_an_end_ends_by_itself(daemon: Daemon) -> None:
    """The time that is left is told; a later freeze without one lasts."""
    (pid,) = daemon.pids("tree")
    daemon.ctl("freeze", "tree", str(pid), "--for", "0.5s")
    assert slot(daemon, "tree")["thaw_at"]
    eventually(lambda: slot(daemon, "tree")["state"] == "running")
    eventually(lambda: not is_still(pid))


def test_neither_age_nor_readiness_is_judged(daemon: Daemon) -> None:
    """Both count again when it goes on: of the time to become ready, what was left."""
    daemon.call("start", name="late")
    eventually(lambda: daemon.pids("late"))
    daemon.call("restart", name="aged", waiting=True)
    pids = {name: daemon.call("freeze", name=name)["frozen"] for name in ("aged", "late")}
    frozen = slot(daemon, "late")
    # Longer than either has.
    since = frozen["since"]
    eventually(lambda: daemon.call("inspect")["daemon"]["time"] > since + 2.5, within=10)
    assert {name: daemon.pids(name) for name in pids} == pids
    daemon.call("thaw", name="*")
    thawed = slot(daemon, "late")
    assert thawed["pid"] == pids["late"][0]
    assert thawed["ready_by"] > frozen["ready_by"] + 2.4
    # The one is too old by now, the other has its rest of the time.
    eventually(lambda: daemon.pids("aged") and daemon.pids("aged") != pids["aged"])
    eventually(lambda: slot(daemon, "late")["state"] == "backoff")


def test_one_that_is_killed_while_frozen_is_started_again_at_once(daemon: Daemon) -> None:
    """Somebody's SIGKILL says nothing of the program: no back-off; and the other one stays frozen."""
    first, second = daemon.pids("pair")
    daemon.call("freeze", name="pair")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: first not in daemon.pids("pair") and len(daemon.pids("pair")) == 2)
    states = {p["pid"]: p["state"] for p in daemon.watcher("pair")["processes"]}
    assert states.pop(second) == "frozen"
    assert list(states.values()) == ["running"]
    assert "1 frozen" in daemon.watcher("pair")["detail"]
    daemon.call("thaw", name="pair", pid=second)


def test_what_is_frozen_is_not_taken_for_idle(daemon: Daemon) -> None:
    """A watcher that sleeps without connections is left alone while it is frozen, and sleeps afterwards."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=10):
        eventually(lambda: daemon.pids("idle"), within=20)
        (pid,) = daemon.call("freeze", name="idle")["frozen"]
    since = slot(daemon, "idle")["since"]
    eventually(lambda: daemon.call("inspect")["daemon"]["time"] > since + 1.5, within=10)
    assert daemon.pids("idle") == [pid] and is_still(pid)
    daemon.call("thaw", name="idle")
    eventually(
        lambda: not daemon.pids("idle") and "waits for a connection" in daemon.watcher("idle")["detail"]
    )


def test_nothing_to_freeze_is_an_error(daemon: Daemon) -> None:
    """With the reason; a thaw of what is not frozen does nothing."""
    refused = daemon.ctl("freeze", "tree", "1", check=False)
    assert refused.returncode != 0 and "no such process: 1" in refused.stderr
    assert daemon.call("thaw", name="pair")["thawed"] == []


def test_the_end_of_circusd_ends_frozen_processes_as_usual(tmp_path: Path) -> None:
    """They go on, obey the signal, and nothing stays behind."""
    (tmp_path / "tree.py").write_text(TREE)
    text = INI.format(python=sys.executable, folder=tmp_path).partition("[watcher:aged]")[0]
    with Daemon(text, tmp_path) as daemon:
        eventually(lambda: (tmp_path / "count").exists() and len(below(daemon.pids("tree")[0])) > 1)
        (pid,) = daemon.pids("tree")
        kin = below(pid)
        daemon.call("freeze", name="tree")
    assert (tmp_path / "ended").exists()
    assert not any(is_there(one) for one in kin)
