"""circusd as a program: its command line, its signals, its files."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from circusd.client import Client
from circusd.version import __version__
from tests.daemon import BIN, Daemon
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


def test_in_the_background_it_answers_and_its_pidfile_goes_with_it(tmp_path: Path) -> None:
    """--daemon returns at once; the pidfile holds the pid while circusd runs."""
    pidfile, log = tmp_path / "circusd.pid", tmp_path / "circusd.log"
    daemon = Daemon("[watcher:web]\ncmd = sleep 1000\n", tmp_path)
    done = circusd("--daemon", "--pidfile", pidfile, "--log-output", log, daemon.config, env=daemon.environ)
    assert done.returncode == 0
    eventually(lambda: pidfile.read_text().strip().isdigit())
    pid = int(pidfile.read_text())
    try:
        with Client(daemon.endpoint, timeout=5, patience=5) as client:
            assert client.call("ping")["pid"] == pid
        assert os.getsid(pid) != os.getsid(0)
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pidfile.exists(), within=10)
        eventually(lambda: not Path(f"/proc/{pid}").exists(), within=10)
    assert "circusd ends" in log.read_text()


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
