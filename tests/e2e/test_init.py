"""``circusd --init``: the first process of a container, which ends when there is nothing left to do."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.container import InitDaemon, can_be_init
from tests.daemon import BIN, Daemon
from tests.faults.measures import offspring, zombies
from tests.waiting import eventually

ONCE = "[watcher:%s]\ncmd = sh -c 'exit %d'\nrespawn = 0\n"
WEB = "[watcher:web]\ncmd = sleep 1000\n"


def run_to_its_end(ini: str, folder: Path) -> tuple[int, str]:
    """The exit code of a circusd that ends by itself, and its log."""
    daemon = Daemon(ini, folder, args=("--init",))
    daemon.start_only()
    try:
        assert daemon.popen is not None
        return daemon.popen.wait(30), daemon.log.read_text()
    finally:
        daemon.__exit__(None, None, None)


def test_it_ends_with_0_when_all_have_completed(tmp_path: Path) -> None:
    """One after another, and its log goes to standard error whatever the file says."""
    log = tmp_path / "file.log"
    code, told = run_to_its_end(
        f"[circus]\nlogoutput = {log}\n" + ONCE % ("a", 0) + ONCE % ("b", 0), tmp_path
    )
    assert code == 0
    assert "nothing is left to do; failed: none" in told
    assert not log.exists()


def test_it_ends_with_1_when_one_has_failed(tmp_path: Path) -> None:
    """By its exit code, or because it could not be started; the log names it."""
    code, told = run_to_its_end(ONCE % ("good", 0) + ONCE % ("bad", 3), tmp_path)
    assert code == 1
    assert "failed: bad" in told
    missing = "[watcher:gone]\ncmd = /no/such/program\nmax_retry = 0\n"
    code, told = run_to_its_end(missing + ONCE % ("good", 0), tmp_path)
    assert code == 1
    assert "failed: gone" in told


def test_an_essential_watcher_ends_everything(tmp_path: Path) -> None:
    """The others are stopped in order."""
    code, told = run_to_its_end(WEB + ONCE % ("main", 0) + "essential = 1\n", tmp_path)
    assert code == 0
    code, told = run_to_its_end(WEB + ONCE % ("main", 9) + "essential = 1\n", tmp_path)
    assert code == 1
    assert "failed: main" in told


def test_what_runs_on_holds_it_and_a_person_does_not_end_it(tmp_path: Path) -> None:
    """A stop by command is no end of its own; SIGTERM is an ordered stop, with 0."""
    ini = WEB + ONCE % ("once", 1) + "[watcher:later]\ncmd = true\nautostart = 0\n"
    with Daemon(ini, tmp_path, args=("--init",)) as daemon:
        eventually(lambda: daemon.call("status", name="once")["status"] == "stopped")
        assert daemon.call("status", name="web")["status"] == "active"
        daemon.call("stop", name="web", waiting=True)
        assert daemon.call("status", name="web")["status"] == "stopped"
        daemon.call("start", name="web", waiting=True)
        assert daemon.stop() == 0


def test_it_does_not_go_into_the_background(tmp_path: Path) -> None:
    """A contradiction is a wrong command line."""
    done = subprocess.run(
        [BIN / "circusd", "--init", "--daemon", "x.ini"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--init stays in the foreground" in done.stderr


class InitInDaemon(InitDaemon):
    """The same with --init."""

    def command(self) -> list[str]:
        return [*super().command(), "--init"]


@pytest.mark.skipif(os.geteuid() != 0 or not can_be_init(), reason="needs root and namespaces")
def test_as_pid_1_it_reaps_hears_signals_and_ends_with_the_container(tmp_path: Path) -> None:
    """Orphans are reaped while it runs; when its one job has ended, so has the namespace."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    job = f"[watcher:job]\ncmd = sh -c '(sleep 0.05 &) && read line < {gate}; exit 4'\nrespawn = 0\n"
    with InitInDaemon(job, tmp_path) as daemon:
        assert daemon.call("ping")["pid"] == 1
        os.kill(daemon.pid, signal.SIGUSR2)
        eventually(lambda: "signal ignored signal=SIGUSR2" in daemon.log.read_text())
        eventually(lambda: daemon.call("status", name="job")["status"] == "active")
        eventually(lambda: len(offspring(daemon.pid)) == 1 and not zombies(daemon.pid))
        gate.write_text("go\n")
        assert daemon.popen is not None
        assert daemon.popen.wait(30) == 1
        assert "failed: job" in daemon.log.read_text()


@pytest.mark.skipif(os.geteuid() != 0 or not can_be_init(), reason="needs root and namespaces")
def test_as_pid_1_a_signal_of_the_first_moments_is_heard(tmp_path: Path) -> None:
    """The kernel gives PID 1 no default for it: from the first line of circusd on there is a handler."""
    daemon = InitInDaemon(WEB, tmp_path)
    daemon.start_only()
    try:
        assert daemon.popen is not None
        # As soon as it has a handler, which the kernel tells.
        eventually(lambda: caught(daemon.pid) >> (signal.SIGTERM - 1) & 1, within=20, every=0.0005)
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.popen.wait(30) == 0
    finally:
        daemon.popen.kill()
        daemon.popen.wait()
        daemon.__exit__(None, None, None)


def caught(pid: int) -> int:
    """The mask of the signals that a process has handlers for."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0], 16)
