"""circusd as a program: its command line, its signals, its files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from circusd.client import Client
from circusd.version import __version__
from tests.daemon import BIN, Daemon
from tests.faults.measures import is_alive
from tests.waiting import eventually


def circusd(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One run that ends by itself."""
    return subprocess.run(
        [str(BIN / "circusd"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=env,
    )


def test_check_tells_every_problem_with_file_and_line_and_runs_nothing(tmp_path: Path) -> None:
    """All mistakes at once, the nearest right name, and an exit code."""
    ini = tmp_path / "circus.ini"
    ini.write_text(
        "[watcher:web]\ncmd = sleep 1\nnumprocesses = many\nworking_directory = /tmp\nstop_signal = NOSIG\n"
        "[watcher:none]\nnumprocesses = 1\n[socket:s]\nport = 99999\n[watcher:fd]\ncmd = x $(circus.sockets.ss)\n"
    )
    done = circusd("--check", ini)
    assert done.returncode == 1
    for words in (
        f"{ini}:3: error",
        f"{ini}:4: warning",
        "did you mean working_dir",
        f"{ini}:5: error",
        f"{ini}:9: error",
        f"{ini}:11: error",
        "cmd",
    ):
        assert words in done.stdout, done.stdout


def test_check_looks_up_whom_the_file_lets_in(tmp_path: Path) -> None:
    """A user or group that is not there is an error with its line, as at a start and a reload."""
    ini = tmp_path / "circus.ini"
    text = "[circus]\nendpoint = ipc:///tmp/x.sock\nallow_viewer = root, @root\nallow_admin = {}\n[watcher:web]\ncmd = x\n"
    ini.write_text(text.format("nobody-of-that-name, @no-such-group"))
    done = circusd("--check", ini)
    assert done.returncode == 1
    for word in ('there is no user "nobody-of-that-name"', 'there is no group "no-such-group"'):
        assert f"{ini}:4: error: [circus] allow_admin: {word}" in done.stdout
    assert done.stdout.splitlines()[-1] == f"{ini}: 2 errors, it would not be run"
    ini.write_text(text.format("root"))
    assert circusd("--check", ini).returncode == 0


def test_a_good_file_is_ok(tmp_path: Path) -> None:
    """Exit code 0, and what would be run."""
    ini = tmp_path / "circus.ini"
    ini.write_text("[watcher:web]\ncmd = sleep 1\n")
    done = circusd("--check", ini)
    assert done.returncode == 0
    assert "1 watchers" in done.stdout


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """With its name, and the original's exit code."""
    done = circusd(tmp_path / "nothing.ini")
    assert done.returncode == 1
    assert "nothing.ini" in done.stderr


def test_version_and_help() -> None:
    """Both end with 0."""
    assert circusd("--version").stdout.strip() == __version__
    assert "--check" in circusd("--help").stdout


def test_an_occupied_port_is_not_success(tmp_path: Path) -> None:
    """The exit code tells, and the message names the address."""
    ini = "[circus]\n[socket:s]\nport = 0\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        other = tmp_path / "other.ini"
        other.write_text(f"[socket:s]\nhost = 127.0.0.1\nport = {port}\n[watcher:web]\ncmd = sleep 1000\n")
        done = circusd("--name", "other", other, env=daemon.environ)
        assert done.returncode == 1
        assert str(port) in done.stderr


@contextmanager
def in_the_background(daemon: Daemon, *words: object) -> Iterator[tuple[int, str]]:
    """The pid of a circusd that was started with --daemon, and what that printed; it is ended afterwards."""
    done = circusd("--daemon", "--pidfile", daemon.folder / "pid", *words, daemon.config, env=daemon.environ)
    assert done.returncode == 0, done.stderr
    pid = int((daemon.folder / "pid").read_text())
    try:
        yield pid, done.stderr
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not (daemon.folder / "pid").exists(), within=10)
        eventually(lambda: not is_alive(pid), within=10)
        daemon.__exit__(None, None, None)


def test_in_the_background_it_answers_when_the_command_returns(tmp_path: Path) -> None:
    """--daemon: endpoints, sockets and pidfile are there at once, and the pidfile goes with it."""
    log = tmp_path / "circusd.log"
    daemon = Daemon("[socket:s]\npath = s.sock\n[watcher:web]\ncmd = sleep 1000\n", tmp_path)
    daemon.config.write_text(daemon.config.read_text().replace("s.sock", str(tmp_path / "s.sock")))
    with in_the_background(daemon, "--log-output", log) as (pid, told):
        # No waiting: what is not there now was promised too early.
        assert (tmp_path / "s.sock").is_socket()
        with Client(daemon.endpoint, timeout=20, patience=0) as client:
            assert client.call("ping")["pid"] == pid
        assert told == ""
        assert os.getsid(pid) != os.getsid(0)
        fds = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.name in {"0", "1", "2"}}
        assert fds == {os.devnull}
    assert "circusd ends" in log.read_text()


def test_in_the_background_without_a_log_it_says_so(tmp_path: Path) -> None:
    """Once, to whoever started it."""
    daemon = Daemon("[watcher:web]\ncmd = sleep 1000\n", tmp_path)
    with in_the_background(daemon) as (_, told):
        assert told == "circusd: its log goes nowhere; name a file for it by --log-output or logoutput\n"


@pytest.mark.parametrize(
    ("ini", "words", "told"),
    [
        ("[circus]\nlogoutput = %s/x.log\n", (), "logoutput"),
        ("[circus]\nendpoint = ipc://%s/x.sock\n", (), "x.sock"),
        ("[circus]\npidfile = %s/x.pid\n", (), "there is no folder"),
        ("", ("--name", "a b"), "a b"),
    ],
)
@pytest.mark.parametrize("how", [(), ("--daemon",)], ids=["foreground", "background"])
def test_what_stands_in_the_way_of_a_start_is_told_and_exits_with_1(
    ini: str, words: tuple[str, ...], told: str, how: tuple[str, ...], tmp_path: Path
) -> None:
    """Also from the background: on the standard error of whoever started it."""
    ini = ini.replace("%s", str(tmp_path / "missing"))
    daemon = Daemon(ini + "[watcher:web]\ncmd = sleep 1000\n", tmp_path)
    log = () if "logoutput" in ini else ("--log-output", tmp_path / "log")
    done = circusd(*how, *words, *log, daemon.config, env=daemon.environ)
    assert done.returncode == 1
    assert done.stderr.startswith("circusd: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    daemon.__exit__(None, None, None)


def test_everything_that_stands_in_the_way_is_told_at_once(tmp_path: Path) -> None:
    """Endpoints and sockets that can't be opened, each in a line of its own; what could be is closed again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ini = f"[circus]\nendpoint = tcp://127.0.0.1:{port}\npubsub_endpoint = ipc://{tmp_path}/missing/x.sock\n"
        ini += f"[socket:a]\nhost = 127.0.0.1\nport = {port}\n[socket:b]\npath = {tmp_path}/b.sock\n"
        ini += f"[socket:c]\npath = {tmp_path}/missing/c.sock\n[watcher:web]\ncmd = sleep 1000\n"
        daemon = Daemon(ini, tmp_path)
        done = circusd(daemon.config, env=daemon.environ)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("circusd: ")]
    assert len(lines) == 4
    for line, words in zip(lines, (str(port), "missing/x.sock", str(port), "missing/c.sock"), strict=True):
        assert words in line
    assert not (tmp_path / "b.sock").exists()
    daemon.__exit__(None, None, None)


def test_exit_codes_and_signals_stand_in_the_help() -> None:
    """For people who have no manual at hand; wrong flags exit with 2."""
    told = circusd("--help").stdout
    assert "exit codes:" in told
    assert "USR1" in told
    assert circusd("--no-such-flag").returncode == 2


def test_two_daemons_of_one_user_are_told_apart_by_name(tmp_path: Path) -> None:
    """circusctl takes the only one, asks which when there are two, and --name chooses."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Daemon("[watcher:one]\ncmd = sleep 1000\n", tmp_path / "a") as first:
        assert first.ctl("list").stdout == "one\n"
        second = Daemon("[watcher:two]\ncmd = sleep 1000\n", tmp_path / "b", args=("--name", "second"))
        second.environ["CIRCUS_RUNTIME_DIR"] = str(first.runtime)
        second.runtime, second.name = first.runtime, "second"
        with second:
            refused = first.ctl("list", check=False)
            assert refused.returncode == 1
            assert "circus" in refused.stderr
            assert "second" in refused.stderr
            assert first.ctl("--name", "second", "list").stdout == "two\n"
            assert first.ctl("--name", "circus", "list").stdout == "one\n"
            second.stop()
        assert first.ctl("list").stdout == "one\n"


def test_an_endpoint_of_the_file_is_honoured_beside_the_private_one(tmp_path: Path) -> None:
    """Old clients find the daemon where the file says; circusctl finds it without flags."""
    ini = "[circus]\nendpoint = tcp://127.0.0.1:0\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        endpoint = daemon.call("globaloptions")["options"]["endpoint"]
        assert endpoint.startswith("tcp://127.0.0.1:")
        assert daemon.ctl("--endpoint", endpoint, "status", "web").stdout == "active\n"
        assert daemon.ctl("status", "web").stdout == "active\n"


def test_a_daemon_that_does_not_come_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tests' own: one that is not up in time has started processes all the same."""
    daemon = Daemon(f"[watcher:web]\ncmd = sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000'\n", tmp_path)
    daemon.start_only()
    pid = int(eventually((tmp_path / "pid").read_text, within=20))
    monkeypatch.setattr(daemon, "is_up", lambda: False)
    with pytest.raises(AssertionError, match="circusd is up"):
        daemon.wait_until_up(within=0.1)
    assert not is_alive(pid)
