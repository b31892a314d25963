"""Signals to circusd, at any moment of its life: it ends in order and once, and leaves no files."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from circusd.schema.errors import CircusError
from tests.container import InitDaemon, can_be_init
from tests.daemon import Daemon
from tests.waiting import eventually

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
INI = (
    "[circus]\nendpoint = ipc://%s/own.sock\n[socket:s]\npath = %s/s.sock\n[watcher:web]\ncmd = sleep 1000\n"
)


class Launched(Daemon):
    """A daemon that is not waited for."""

    def __init__(self, folder: Path, ini: str = "") -> None:
        super().__init__(
            ini or INI % (folder, folder), folder, args=("--pidfile", str(folder / "circusd.pid"))
        )

    def start(self) -> Daemon:
        """It is being started."""
        self.start_only()
        return self

    def left(self) -> set[str]:
        """The files that a daemon makes and should take with it: sockets and the pidfile."""
        found = {str(self.folder / "circusd.pid")} if (self.folder / "circusd.pid").exists() else set()
        for top in (self.runtime, self.folder):
            found |= {str(p) for p in top.rglob("*") if stat.S_ISSOCK(p.lstat().st_mode)}
        return found


def started(daemon: Daemon) -> set[str]:
    """The watchers of which a process has been started; none while nobody answers."""
    try:
        events = daemon.call("events")["events"]
    except CircusError:
        return set()
    return {e["watcher"] for e in events if e["event"] == "process.started"}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT], ids=lambda s: s.name)
def test_a_stop_in_the_first_moments_leaves_nothing(signum: int, tmp_path: Path) -> None:
    """Wherever in its start it is met: it ends with 0, or by the signal while it is still Python that starts."""
    ends = set()
    for step in range(12):
        with Launched(tmp_path) as daemon:
            # Not a wait for something: the moment is what is tried out.
            time.sleep(step * 0.03)
            ends.add(daemon.stop(signum))
            assert daemon.left() == set()
            assert "Traceback" not in daemon.log.read_text()
    assert ends <= {0, -signum}


@pytest.mark.parametrize("signum", ENDS, ids=lambda s: s.name)
def test_from_its_first_file_on_it_ends_with_0(signum: int, tmp_path: Path) -> None:
    """As soon as there is something to clean up, a signal is heard and not died of."""
    with Launched(tmp_path) as daemon:
        eventually((daemon.runtime / daemon.name / "lock").exists, within=20, every=0.001)
        os.kill(daemon.pid, signal.SIGHUP)
        os.kill(daemon.pid, signum)
        assert daemon.stop(signum) == 0
        assert daemon.left() == set()
        assert "Traceback" not in daemon.log.read_text()


def test_signals_in_any_order_and_again_stop_once(tmp_path: Path) -> None:
    """From the first one to the last moment of the process."""
    with Launched(tmp_path) as daemon:
        daemon.wait_until_up()
        assert len(daemon.left()) > 2
        for signum in (signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH, signal.SIGUSR1):
            os.kill(daemon.pid, signum)
        rounds = 0
        assert daemon.popen is not None
        while daemon.popen.poll() is None:
            for signum in (*ENDS, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                daemon.popen.send_signal(signum)
            rounds += 1
            time.sleep(0.0005)
        assert daemon.popen.returncode == 0
        assert rounds > 1
        assert daemon.left() == set()
        told = daemon.log.read_text()
        assert told.count("circusd is stopping reason=") == 1
        assert "Traceback" not in told


def test_a_stop_ends_a_start_that_takes_long(tmp_path: Path) -> None:
    """What has not been started yet is not."""
    ini = "[circus]\nwarmup_delay = 3600\n" + "".join(f"[watcher:w{i}]\ncmd = sleep 1000\n" for i in range(3))
    with Launched(tmp_path, ini) as daemon:
        eventually(lambda: started(daemon) == {"w0"}, within=20)
        assert daemon.stop() == 0


def test_nothing_is_started_behind_the_back_of_a_stop(tmp_path: Path) -> None:
    """Commands that would start something are refused from then on."""
    ini = "[watcher:slow]\ncmd = sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done'\n"
    ini += "graceful_timeout = 60\npriority = 0\n[watcher:web]\ncmd = sleep 1000\nautostart = 0\n"
    with Launched(tmp_path, ini) as daemon:
        daemon.wait_until_up()
        eventually(lambda: "up" in daemon.ctl("tail", "slow", "--lines", "1").stdout)
        pids = daemon.pids("slow")
        os.kill(daemon.pid, signal.SIGTERM)
        eventually(lambda: daemon.call("inspect")["daemon"]["stopping"])
        refused = daemon.ctl("start", "web", "--waiting", check=False)
        assert refused.returncode == 3
        assert "circusd is stopping" in refused.stderr + refused.stdout
        os.kill(pids[0], signal.SIGKILL)
        assert daemon.stop() == 0


# A name server that hears the question and never answers.
SILENT = """
import pathlib, socket, sys, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
pathlib.Path(sys.argv[1], "listens").touch()
server.recv(512)
pathlib.Path(sys.argv[1], "asked").touch()
time.sleep(1000)
"""

# In namespaces of its own: a network, and a resolver that asks there.
SETTING = """
ip link set lo up
mount --bind "$1/resolv.conf" /etc/resolv.conf
"$2" "$1/silent.py" "$1" &
while [ ! -e "$1/listens" ]; do sleep 0.01; done
shift 2
exec "$@"
"""


class Unanswered(InitDaemon):
    """A daemon whose endpoint has a name that nobody tells it the address of."""

    def command(self) -> list[str]:
        (self.folder / "silent.py").write_text(SILENT)
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        return [*unshare, "sh", "-c", SETTING, "sh", str(self.folder), sys.executable, *self.words()]

    def words(self) -> list[str]:
        """The command line of circusd itself."""
        return [self.program("circusd"), *self.args, str(self.config)]


@pytest.mark.skipif(
    os.geteuid() != 0 or not can_be_init() or shutil.which("ip") is None,
    reason="needs root, namespaces and the program ip",
)
def test_a_stop_is_heard_while_a_name_is_looked_up(tmp_path: Path) -> None:
    """The start waits for a name server; the signal does not."""
    ini = f"[circus]\nendpoint = tcp://name.example:0\npidfile = {tmp_path}/pid\n[watcher:web]\ncmd = sleep 1000\n"
    daemon = Unanswered(ini, tmp_path)
    daemon.start_only()
    try:
        eventually((tmp_path / "asked").exists, within=20)
        assert (tmp_path / "pid").exists()
        os.kill(daemon.pid, signal.SIGTERM)
        assert daemon.popen is not None
        assert daemon.popen.wait(20) == 0
        assert not (tmp_path / "pid").exists()
        assert "circusd ends before it ran" in daemon.log.read_text()
    finally:
        assert daemon.popen is not None
        daemon.popen.kill()
        daemon.popen.wait()
        daemon.__exit__(None, None, None)
