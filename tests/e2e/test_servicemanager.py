"""circusd under a service manager: what is told over the socket that systemd names, and when."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.waiting import environment, eventually

WEB = "[watcher:web]\ncmd = sleep 1000\ncopy_env = 1\n"


class Manager:
    """Reads what circusd tells."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="circus-")
        self.address = f"{self.folder.name}/notify"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.address)
        self.sock.settimeout(20)

    def next(self, *without: str) -> dict[str, str]:
        """The next message that has more than the fields that are passed over."""
        while True:
            message = dict(line.split("=", 1) for line in self.sock.recv(1 << 16).decode().split("\n"))
            if not message.keys() <= set(without):
                return message

    def until(self, field: str) -> dict[str, str]:
        """The next message with that field."""
        while field not in (message := self.next()):
            continue
        return message

    def drain(self) -> None:
        """Nothing is left of what was told until now."""
        while select.select([self.sock], [], [], 0)[0]:
            self.sock.recv(1 << 16)

    def close(self) -> None:
        self.sock.close()
        self.folder.cleanup()


@pytest.fixture
def manager() -> Iterator[Manager]:
    """A service manager."""
    found = Manager()
    yield found
    found.close()


def under(manager: Manager, ini: str, folder: Path, **environ: str) -> Daemon:
    return Daemon(ini, folder, environ={"NOTIFY_SOCKET": manager.address, **environ})


def test_ready_reloading_and_stopping_are_told_in_their_order(manager: Manager, tmp_path: Path) -> None:
    """As systemd's Type=notify and notify-reload want it; the status is in words."""
    with under(manager, WEB, tmp_path) as daemon:
        first = manager.next()
        assert first["READY"] == "1"
        assert first["STATUS"].startswith("Starting: ")
        eventually(lambda: manager.until("STATUS")["STATUS"] == "1 process of 1 watcher run.")
        for reload in (
            lambda: daemon.call("reloadconfig", waiting=True),
            lambda: os.kill(daemon.pid, signal.SIGHUP),
        ):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            reload()
            begun = manager.next("STATUS")
            assert begun["RELOADING"] == "1"
            assert int(begun["MONOTONIC_USEC"]) >= before
            assert manager.next("STATUS")["READY"] == "1"
        assert daemon.stop() == 0
        assert manager.next("STATUS")["STOPPING"] == "1"


def test_a_reload_that_fails_ends_as_ready_too(manager: Manager, tmp_path: Path) -> None:
    """Otherwise the manager would wait for its end."""
    with under(manager, WEB, tmp_path) as daemon:
        manager.until("READY")
        daemon.config.write_text("[watcher:web]\nnumprocesses = many\n")
        assert daemon.ctl("reloadconfig", "--waiting", check=False).returncode == 3
        assert manager.until("RELOADING")
        assert manager.until("READY")


def test_a_long_stop_asks_for_more_time(manager: Manager, tmp_path: Path) -> None:
    """At once, and as long as it goes on."""
    ini = "[watcher:slow]\ncmd = sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done'\ngraceful_timeout = 60\n"
    with under(manager, ini, tmp_path) as daemon:
        eventually(lambda: "up" in daemon.ctl("tail", "slow", "--lines", "1").stdout)
        pids = daemon.pids("slow")
        os.kill(daemon.pid, signal.SIGTERM)
        assert manager.until("STOPPING")["STATUS"] == "Stopping: 1 process still to end."
        assert int(manager.until("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"]) >= 10_000_000
        os.kill(pids[0], signal.SIGKILL)
        assert daemon.stop() == 0


def test_signs_of_life_come_from_the_loop(manager: Manager, tmp_path: Path) -> None:
    """Twice in the time that the manager waits; a process that is held still sends none."""
    with under(manager, WEB, tmp_path, WATCHDOG_USEC="200000") as daemon:
        for _ in range(3):
            assert manager.until("WATCHDOG")["WATCHDOG"] == "1"
        assert "watchdog seconds=0.2" in daemon.log.read_text()
        os.kill(daemon.pid, signal.SIGSTOP)
        stat = Path(f"/proc/{daemon.pid}/stat")
        try:
            eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            manager.drain()
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        assert manager.until("WATCHDOG")


def test_no_signs_of_life_are_sent_for_another_process(manager: Manager, tmp_path: Path) -> None:
    """WATCHDOG_PID is somebody else: there is no timer, and no message."""
    with under(manager, WEB, tmp_path, WATCHDOG_USEC="1000", WATCHDOG_PID="1") as daemon:
        assert "READY" in manager.next()
        daemon.call("ping")
        assert daemon.stop() == 0
        assert "STOPPING" in manager.next("STATUS")
        assert "watchdog" not in daemon.log.read_text()


def test_processes_do_not_get_the_way_to_the_manager(manager: Manager, tmp_path: Path) -> None:
    """Not even with copy_env: they would speak in circusd's name."""
    with under(manager, WEB, tmp_path, WATCHDOG_USEC="60000000", LANG="C") as daemon:
        variables = environment(daemon.pids("web")[0])
        assert variables["LANG"] == "C"
        assert manager.address not in str(variables)
        assert "WATCHDOG" not in str(variables)


def test_in_the_background_it_is_told_by_the_one_that_stays(manager: Manager, tmp_path: Path) -> None:
    """With --daemon: READY has been sent when the command returns."""
    daemon = under(manager, WEB, tmp_path)
    words = [*daemon.command(), "--daemon", "--pidfile", str(tmp_path / "pid")]
    subprocess.run(words, env=daemon.environ, check=True, stderr=subprocess.DEVNULL, timeout=30)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert manager.next()["READY"] == "1"
    finally:
        os.kill(pid, signal.SIGTERM)
        assert manager.until("STOPPING")
        eventually(lambda: not (tmp_path / "pid").exists(), within=10)
        daemon.__exit__(None, None, None)
