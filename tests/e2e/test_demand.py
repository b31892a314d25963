"""Watchers that are ``on_demand``: nothing runs until the first connection, none is lost, and what is idle is stopped again."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

SERVE = """
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
s.setblocking(True)
while True:
    c, _ = s.accept()
    c.sendall(str(os.getpid()).encode())
    if "once" in sys.argv:
        sys.exit(0)
    if "hold" in sys.argv:
        c.recv(1)
    c.close()
"""


def lazy(folder: Path, port: int, options: str = "", words: str = "", more: str = "") -> str:
    (folder / "serve.py").write_text(SERVE)
    return f"""
[watcher:lazy]
cmd = {sys.executable} -S {folder}/serve.py $(circus.sockets.web) {words}
on_demand = True
{options}

[watcher:other]
cmd = sleep 1000
autostart = False

[watcher:beside]
cmd = {sys.executable} -S {folder}/serve.py $(circus.sockets.beside)
on_demand = True

[socket:web]
host = 127.0.0.1
port = {port}

[socket:beside]
host = 127.0.0.1
port = 0
{more}
"""


def said_at(port: int, within: float = 20) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=within) as client:
        return client.recv(100).decode()


def state(daemon: Daemon, name: str = "lazy") -> str:
    found: str = daemon.watcher(name)["state"]
    return found


def falls_asleep(daemon: Daemon, name: str = "lazy") -> None:
    eventually(lambda: state(daemon, name) == "waiting", within=20, what="it waits for a connection")


def told(daemon: Daemon, name: str = "lazy") -> list[str]:
    return [e["event"] for e in daemon.call("events", lines=500)["events"] if e.get("watcher") == name]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def daemon(tmp_path: Path, port: int) -> Iterator[Daemon]:
    with Daemon(lazy(tmp_path, port, "numprocesses = 2"), tmp_path) as running:
        yield running


def test_the_first_connection_starts_exactly_that_watcher_and_is_answered(daemon: Daemon, port: int) -> None:
    """Before it nothing runs, and everybody is told what it waits for."""
    seen = daemon.watcher("lazy")
    assert (seen["state"], seen["status"], seen["detail"]) == ("waiting", "active", "waits for a connection")
    assert [(p["state"], p["reason"], p["pid"]) for p in seen["processes"]] == [
        ("waiting", "socket", None)
    ] * 2
    assert (
        f"It waits for a connection to socket web (127.0.0.1:{port})" in daemon.ctl("explain", "lazy").stdout
    )
    assert "waits for a connection" in daemon.ctl("inspect", "lazy").stdout
    assert daemon.call("inspect")["lead"]["title"] == "All is well"
    assert not daemon.pids("lazy")
    assert said_at(port) in map(str, daemon.pids("lazy"))
    eventually(lambda: len(daemon.pids("lazy")) == 2)
    assert state(daemon, "beside") == "waiting"
    assert state(daemon, "other") == "stopped"
    assert "process.started" not in told(daemon, "beside")


def test_connections_that_come_together_are_all_answered(daemon: Daemon, port: int) -> None:
    """They wait in the queue while the processes start."""
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: said_at(port), range(200)))
    assert len(answers) == 200
    assert set(answers) <= set(map(str, daemon.pids("lazy")))


def test_commands_on_a_watcher_that_waits_start_nothing(daemon: Daemon, port: int) -> None:
    """As in the original a start waits; a stop ends that, and connections wait until somebody starts it again."""
    for words in (
        "start lazy",
        "restart lazy",
        "reload lazy",
        "reload lazy --terminate",
        "kill lazy",
        "signal lazy HUP",
        "incr lazy",
    ):
        daemon.ctl(*words.split(), *(["--waiting"] if "signal" not in words else []))
        assert state(daemon) == "waiting", words
    assert not daemon.pids("lazy")
    assert len(daemon.watcher("lazy")["processes"]) == 3
    daemon.ctl("stop", "lazy", "--waiting")
    assert daemon.ctl("status", "lazy").stdout.strip() == "stopped"
    assert {p["state"] for p in daemon.watcher("lazy")["processes"]} == {"stopped"}
    with socket.create_connection(("127.0.0.1", port), timeout=20) as early:
        daemon.call("ping")
        assert state(daemon) == "stopped"
        daemon.ctl("start", "lazy")
        assert early.recv(100).decode() in map(str, daemon.pids("lazy"))
    eventually(lambda: len(daemon.pids("lazy")) == 3)
    before = daemon.pids("lazy")
    daemon.ctl("reload", "lazy", "--waiting")
    assert len(daemon.pids("lazy")) == 3
    assert not set(before) & set(daemon.pids("lazy"))
    daemon.ctl("restart", "lazy", "--waiting")
    falls_asleep(daemon)
    daemon.ctl("rm", "lazy", "--waiting")
    with socket.create_connection(("127.0.0.1", port), timeout=20):
        daemon.call("ping")
    assert "lazy" not in daemon.ctl("list").stdout


def test_one_that_is_idle_is_stopped_and_started_again(tmp_path: Path, port: int) -> None:
    """A connection that is open keeps it; when the last is gone it waits again, and the daemon with it."""
    options = "idle_timeout = 0.4\nnumprocesses = 2"
    with Daemon(lazy(tmp_path, port, options, "hold"), tmp_path) as daemon:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            pid = int(client.recv(100))
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                assert state(daemon) == "running"
            # Half of it is closed: the other half can go on to send, so it is open.
            client.shutdown(socket.SHUT_WR)
        falls_asleep(daemon)
        assert not os.path.exists(f"/proc/{pid}")
        assert "no connection for 0.4 s" in daemon.log.read_text()
        again = int(said_at(port))
        assert again != pid
        falls_asleep(daemon)
        assert told(daemon).count("watcher.started") == 2
        assert "process.backoff" not in told(daemon)


def test_visitors_at_any_moment_are_answered_while_it_is_stopped_again_and_again(
    tmp_path: Path, port: int
) -> None:
    """Also those who come in the middle of a stop."""
    with Daemon(lazy(tmp_path, port, "idle_timeout = 0.1"), tmp_path):
        pids = set()
        for n in range(25):
            pids.add(said_at(port))
            # Nothing is waited for: each comes at another moment of what goes on.
            time.sleep(0.05 + 0.02 * (n % 8))
        assert "" not in pids
        assert len(pids) > 2, "it was stopped in between"


def test_a_process_that_ends_after_each_visitor_is_started_for_each(tmp_path: Path, port: int) -> None:
    """Without respawn the end of the last process is the beginning of the next wait."""
    with Daemon(lazy(tmp_path, port, "respawn = False", "once"), tmp_path) as daemon:
        pids = set()
        for _ in range(5):
            pids.add(said_at(port))
            falls_asleep(daemon)
        assert len(pids) == 5


def test_a_program_that_can_not_serve_does_not_spin(tmp_path: Path, port: int) -> None:
    """One that ends at once waits longer and longer, one that is not there is given up."""
    text = lazy(tmp_path, port, "respawn = False").replace(f"{tmp_path}/serve.py", "-c 'raise SystemExit(1)'")
    with Daemon(text, tmp_path) as daemon, socket.create_connection(("127.0.0.1", port)):
        eventually(lambda: told(daemon).count("process.exited") >= 3, within=20)
        starts = [
            e["time"] for e in daemon.call("events", lines=500)["events"] if e["event"] == "process.started"
        ]
        assert starts[2] - starts[0] >= 0.25
        daemon.ctl("stop", "lazy", "--waiting")
        daemon.ctl("set", "lazy", "cmd", "/no/such $(circus.sockets.web)")
        daemon.ctl("set", "lazy", "max_retry", "0")
        daemon.ctl("start", "lazy")
        eventually(lambda: state(daemon) == "failed", within=20)
        assert "could not be started" in daemon.ctl("explain", "lazy").stdout


def test_a_hook_is_asked_when_the_connection_comes(tmp_path: Path, port: int) -> None:
    """And one that refuses has the watcher given up, once."""
    (tmp_path / "myhooks.py").write_text(
        "import os\ndef decide(*args, **kwargs):\n    return os.path.exists('yes')\n"
    )
    text = (
        lazy(tmp_path, port, "hooks.before_start = myhooks.decide") + f"[env:lazy]\nPYTHONPATH = {tmp_path}\n"
    )
    with Daemon(text, tmp_path) as daemon:
        assert "hook.failed" not in told(daemon)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            eventually(lambda: state(daemon) == "failed", within=20)
            assert told(daemon).count("hook.failed") == 1
            (tmp_path / "yes").write_text("")
            daemon.ctl("start", "lazy")
            assert client.recv(100).decode() in map(str, daemon.pids("lazy"))


def test_a_reload_changes_what_waits_and_starts_nothing(tmp_path: Path, port: int) -> None:
    """Its command, its socket's address, and whether it waits at all."""
    with Daemon(lazy(tmp_path, port), tmp_path) as daemon:
        elsewhere = free_port()
        daemon.config.write_text(lazy(tmp_path, elsewhere, "numprocesses = 3"))
        daemon.ctl("reloadconfig", "--waiting")
        assert (state(daemon), daemon.pids("lazy")) == ("waiting", [])
        assert f"127.0.0.1:{elsewhere}" in daemon.ctl("explain", "lazy").stdout
        assert said_at(elsewhere)
        eventually(lambda: len(daemon.pids("lazy")) == 3)
        daemon.config.write_text(
            lazy(tmp_path, elsewhere, "numprocesses = 3").replace("on_demand = True", "")
        )
        daemon.ctl("reloadconfig", "--waiting")
        eventually(
            lambda: state(daemon, "beside") == "running", within=10, what="it is started as others are"
        )


def test_options_change_while_it_waits(daemon: Daemon, port: int) -> None:
    """Switched off it starts; switched on it waits from the next start on."""
    daemon.ctl("set", "lazy", "on_demand", "false")
    eventually(lambda: len(daemon.pids("lazy")) == 2, within=10)
    daemon.ctl("set", "lazy", "on_demand", "true")
    assert state(daemon) == "running"
    daemon.ctl("restart", "lazy", "--waiting")
    falls_asleep(daemon)
    assert said_at(port)


def test_a_socket_that_is_added_later_counts(tmp_path: Path) -> None:
    """Without one it waits for good, and says so; the check of the file warns."""
    (tmp_path / "serve.py").write_text(SERVE)
    text = f"[watcher:late]\ncmd = {sys.executable} {tmp_path}/serve.py 3\nuse_sockets = True\nlisten_fds = True\non_demand = True\n"
    with Daemon(text, tmp_path) as daemon:
        assert "no connection can start it, as it uses no socket" in daemon.log.read_text()
        assert "there is no socket that it names" in daemon.ctl("explain", "late").stdout
        reply: dict[str, Any] = daemon.call("addsocket", name="web", options={"host": "127.0.0.1", "port": 0})
        assert said_at(reply["socket"]["port"]) in map(str, daemon.pids("late"))
        daemon.ctl("restart", "late", "--waiting")
        falls_asleep(daemon, "late")
        daemon.ctl("rmsocket", "web", "--force")
        eventually(lambda: "there is no socket" in daemon.ctl("explain", "late").stdout)


@pytest.mark.parametrize("kind", ["unix", "datagram", "reuseport"])
def test_other_kinds_of_sockets_start_it_too(kind: str, tmp_path: Path) -> None:
    """A unix socket, a datagram, and one of which each process has its own: for that it is not waited."""
    (tmp_path / "serve.py").write_text(SERVE)
    (tmp_path / "echo.py").write_text(
        "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\ns.setblocking(True)\n"
        "while True:\n    data, who = s.recvfrom(100)\n    s.sendto(data, who)\n"
    )
    section = {
        "unix": f"path = {tmp_path}/s",
        "datagram": "host = 127.0.0.1\nport = 0\ntype = SOCK_DGRAM",
        "reuseport": "host = 127.0.0.1\nport = 0\nso_reuseport = True",
    }[kind]
    program = "echo.py" if kind == "datagram" else "serve.py"
    text = f"[watcher:lazy]\ncmd = {sys.executable} {tmp_path}/{program} $(circus.sockets.web)\non_demand = True\nidle_timeout = 0.4\n"
    with Daemon(f"{text}[socket:web]\n{section}\n", tmp_path) as daemon:
        (row,) = daemon.call("listsockets")["sockets"]
        if kind == "reuseport":
            eventually(lambda: state(daemon) == "running", within=10)
            assert said_at(row["port"])
            return
        assert state(daemon) == "waiting"
        for _ in range(2):
            family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM if kind == "unix" else socket.SOCK_DGRAM) as client:
                client.settimeout(20)
                client.connect(row["path"] if kind == "unix" else ("127.0.0.1", row["port"]))
                client.send(b"hello")
                assert client.recv(100)
            falls_asleep(daemon)


def test_a_daemon_whose_watchers_wait_does_nothing(daemon: Daemon, port: int) -> None:
    """No look at the sockets while nobody is there: it sleeps as any other, and holds one descriptor for each that waits."""
    falls_asleep(daemon)
    daemon.ctl("stop", "beside", "--waiting")

    def switches() -> int:
        text = Path(f"/proc/{daemon.pid}/status").read_text()
        return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[0])

    def quiet() -> bool:
        before = switches()
        time.sleep(1)
        return switches() - before <= 2

    eventually(quiet, within=20, what="a second without a wake-up")
    fds = Path(f"/proc/{daemon.pid}/fd")
    before = len(list(fds.iterdir()))
    daemon.ctl("stop", "lazy", "--waiting")
    eventually(lambda: len(list(fds.iterdir())) == before - 1, what="its descriptor is gone")


def test_first_connections_to_fresh_daemons_are_answered(tmp_path: Path, port: int) -> None:
    """A few of those that tests/soak makes a hundred of."""
    for n in range(3):
        folder = tmp_path / str(n)
        folder.mkdir()
        with Daemon(lazy(folder, port), folder):
            assert said_at(port)
