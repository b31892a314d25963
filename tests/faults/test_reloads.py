"""Configurations that are wrong or changed while circusd runs, and daemons that meet what others left."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circusd.schema.errors import Refused
from tests.daemon import BIN, Daemon
from tests.faults.measures import is_alive, leaves_nothing, runs
from tests.waiting import eventually

COUNT = 100


def stack(count: int = COUNT) -> str:
    """A configuration of many watchers."""
    return "".join(f"[watcher:w{n}]\ncmd = sleep {100000 + n}\nnumprocesses = 2\n" for n in range(count))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with 100 watchers."""
    with Daemon(stack(), tmp_path_factory.mktemp("reloads")) as running:
        yield running


def pids(daemon: Daemon) -> dict[str, list[int]]:
    """All processes, by watcher."""
    return {w["name"]: [p["pid"] for p in w["processes"]] for w in daemon.call("inspect")["watchers"]}


BAD: dict[str, tuple[Callable[[str], str], str]] = {
    "a line that is none": (lambda ini: ini + "[watcher:new]\nthis is no option\n", "circus.ini:302"),
    "a wrong value": (lambda ini: ini.replace("numprocesses = 2", "numprocesses = many", 1), "circus.ini:3"),
    "a section that is not closed": (lambda ini: ini + "[watcher:new\ncmd = x\n", "circus.ini:301"),
    "no command": (lambda ini: ini + "[watcher:new]\nnumprocesses = 1\n", "cmd"),
    "an unknown stream class": (
        lambda ini: ini + "[watcher:new]\ncmd = x\nstdout_stream.class = NoSuchStream\n",
        "NoSuchStream",
    ),
    "bytes that are no text": (lambda ini: ini + "[watcher:new]\ncmd = \udcff\udcfe\n", "circus.ini"),
}


@pytest.mark.parametrize("kind", BAD)
def test_f25_a_reload_of_a_wrong_file_changes_nothing_and_names_the_place(daemon: Daemon, kind: str) -> None:
    """The exit code tells too."""
    before = pids(daemon)
    options = daemon.call("options", name="w0")["options"]
    change, words = BAD[kind]
    good = daemon.config.read_bytes()
    # A change that is right stands beside it: not even that one is made.
    text = change(stack()).replace("sleep 100050", "sleep 200050")
    daemon.config.write_bytes(text.encode("utf-8", "surrogateescape"))
    try:
        done = daemon.ctl("reloadconfig", "--waiting", check=False)
        assert done.returncode != 0
        assert words in done.stdout + done.stderr
    finally:
        daemon.config.write_bytes(good)
    assert pids(daemon) == before
    assert daemon.call("options", name="w0")["options"] == options


def test_f25_all_problems_of_a_file_are_told_at_once(daemon: Daemon) -> None:
    """Three problems, three lines."""
    good = daemon.config.read_bytes()
    bad = "[watcher:a]\ncmd = x\nnumprocesses = many\nstop_signal = NONE\n[watcher:b]\ncmd = y\ngraceful_timeout = z\n"
    daemon.config.write_text(bad)
    try:
        told = daemon.ctl("reloadconfig", "--waiting", check=False)
        for line in (3, 4, 7):
            assert f"circus.ini:{line}:" in told.stdout + told.stderr
    finally:
        daemon.config.write_bytes(good)


def test_f25_a_file_that_is_gone_or_can_not_be_read_changes_nothing(daemon: Daemon) -> None:
    """The file itself, and one that it includes."""
    before = pids(daemon)
    good = daemon.config.read_bytes()
    aside = daemon.config.with_suffix(".aside")
    daemon.config.rename(aside)
    try:
        with pytest.raises(Refused, match=r"circus\.ini"):
            daemon.call("reloadconfig", waiting=True)
        daemon.config.mkdir()
        with pytest.raises(Refused, match=r"circus\.ini"):
            daemon.call("reloadconfig", waiting=True)
        daemon.config.rmdir()
    finally:
        aside.rename(daemon.config)
    part = daemon.folder / "part.ini"
    part.write_text("[watcher:broken]\ncmd = x\nnumprocesses = many\n")
    daemon.config.write_text("[circus]\ninclude = part.ini\n" + stack())
    try:
        with pytest.raises(Refused, match=r"part\.ini:3"):
            daemon.call("reloadconfig", waiting=True)
    finally:
        daemon.config.write_bytes(good)
    assert pids(daemon) == before


def test_f26_a_reload_that_changes_one_of_100_leaves_the_other_99_alone(daemon: Daemon) -> None:
    """They keep all pids; the changed one has new ones."""
    before = pids(daemon)
    daemon.config.write_text(stack().replace("sleep 100050", "sleep 200050"))
    with leaves_nothing(daemon):
        summary = daemon.call("reloadconfig", waiting=True)["summary"]
        after = pids(daemon)
        assert {n for n in after if after[n] != before[n]} == {"w50"}
        assert not set(after["w50"]) & set(before["w50"])
        assert "w50" in summary
        daemon.config.write_text(stack())
        daemon.call("reloadconfig", waiting=True)
        again = pids(daemon)
        assert {n for n in again if again[n] != after[n]} == {"w50"}


def test_f26_a_reload_without_a_change_touches_nothing(daemon: Daemon) -> None:
    """Not a process, and not what was set at run time."""
    before = pids(daemon)
    daemon.call("set", name="w3", options={"numprocesses": 3}, waiting=True)
    daemon.call("reloadconfig", waiting=True)
    after = pids(daemon)
    assert len(after["w3"]) == 3
    assert {n: p for n, p in after.items() if n != "w3"} == {n: p for n, p in before.items() if n != "w3"}
    daemon.call("set", name="w3", options={"numprocesses": 2}, waiting=True)


def test_f67_an_address_in_use_refuses_the_reload_and_says_which(daemon: Daemon) -> None:
    """Nothing of the file is applied, and when the address is free it is."""
    before = pids(daemon)
    good = daemon.config.read_bytes()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        changed = (
            stack().replace("sleep 100050", "sleep 200050")
            + f"[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
        )
        daemon.config.write_text(changed)
        try:
            with pytest.raises(Refused, match=str(port)):
                daemon.call("reloadconfig", waiting=True)
            assert pids(daemon) == before
            assert daemon.call("listsockets")["sockets"] == []
            taken.close()
            daemon.call("reloadconfig", waiting=True)
            assert [s["name"] for s in daemon.call("listsockets")["sockets"]] == ["web"]
            assert pids(daemon)["w50"] != before["w50"]
        finally:
            daemon.config.write_bytes(good)
            daemon.call("reloadconfig", waiting=True)
    assert daemon.call("listsockets")["sockets"] == []


def ended(daemon: Daemon, *, within: float = 20) -> tuple[int, str]:
    """A daemon that can't start: its exit code and what it said."""
    done = subprocess.run(
        daemon.command(), capture_output=True, text=True, env=daemon.environ, timeout=within, check=False
    )
    return done.returncode, done.stderr


def test_f67_an_address_in_use_at_the_start_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    """The exit code is 1, the message names the socket and the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ini = f"[watcher:w]\ncmd = touch {tmp_path}/started\n[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
        daemon = Daemon(ini, tmp_path)
        try:
            code, text = ended(daemon)
        finally:
            daemon.__exit__(None, None, None)
    assert code == 1
    assert str(port) in text
    assert "Traceback" not in text
    assert not (tmp_path / "started").exists()


def test_f28_a_second_daemon_on_any_of_the_firsts_things_is_refused_and_the_first_runs_on(
    tmp_path: Path,
) -> None:
    """The same name, the same endpoint under another name, the same pidfile: each refused, and each says by whom."""
    pidfile = tmp_path / "circusd.pid"
    endpoint = f"ipc://{tmp_path}/own.sock"
    ini = f"[circus]\nendpoint = {endpoint}\npidfile = {pidfile}\n[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n"
    with Daemon(ini, tmp_path) as first:
        before = first.pids("web")
        assert int(pidfile.read_text()) == first.pid
        other = tmp_path / "other"
        other.mkdir()
        cases = {
            "name": ini,
            "endpoint": ini.replace(str(pidfile), str(other / "pid")),
            "pidfile": ini.replace(endpoint, f"ipc://{other}/own.sock"),
        }
        for what, text in cases.items():
            second = Daemon(text, other)
            environ = first.environ if what == "name" else second.environ
            try:
                second.environ = environ
                code, told = ended(second)
            finally:
                second.__exit__(None, None, None)
            assert code == 1, (what, told)
            assert str(first.pid) in told, (what, told)
            assert "Traceback" not in told
            assert first.call("ping")["pid"] == first.pid
            assert int(pidfile.read_text()) == first.pid
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(endpoint.removeprefix("ipc://"))
        assert first.pids("web") == before


@pytest.mark.parametrize("whose", ["nobody", "somebody"])
def test_f29_what_a_power_failure_left_is_no_obstacle_and_nobody_is_signalled(
    tmp_path: Path, whose: str
) -> None:
    """A pidfile with the pid of a process that is no more or is another program; sockets that nobody listens at."""
    pidfile, endpoint = tmp_path / "circusd.pid", tmp_path / "own.sock"
    ini = f"[circus]\nendpoint = ipc://{endpoint}\npidfile = {pidfile}\n[watcher:web]\ncmd = sleep 100000\n"
    with subprocess.Popen(["sleep", "100000"]) as stranger:
        try:
            first = Daemon(ini, tmp_path)
            with first:
                web = first.pids("web")
                assert first.popen is not None
                first.popen.kill()
                first.popen.wait()
                for pid in web:
                    os.kill(pid, 9)
                assert endpoint.exists()
                assert pidfile.exists()
                if whose == "somebody":
                    pidfile.write_text(f"{stranger.pid}\n")
                with Daemon(ini, tmp_path, runtime=first.runtime) as second:
                    runs(second, "web", 1)
                    assert int(pidfile.read_text()) == second.pid
                assert not pidfile.exists()
                assert not endpoint.exists()
            assert is_alive(stranger.pid)
        finally:
            stranger.kill()


@pytest.mark.parametrize("content", ["", "x", "-1", "0", "1", "9" * 400, "\0" * 100])
def test_f29_nonsense_in_the_pidfile_is_no_obstacle(tmp_path: Path, content: str) -> None:
    """It is written over."""
    pidfile = tmp_path / "circusd.pid"
    pidfile.write_text(content)
    with Daemon(f"[circus]\npidfile = {pidfile}\n[watcher:web]\ncmd = sleep 100000\n", tmp_path) as daemon:
        assert int(pidfile.read_text()) == daemon.pid
    assert not pidfile.exists()


def test_f29_a_file_in_the_place_of_the_endpoint_is_not_removed(tmp_path: Path) -> None:
    """Only a socket that nobody listens at gives way."""
    place = tmp_path / "own.sock"
    place.write_text("precious")
    daemon = Daemon(f"[circus]\nendpoint = ipc://{place}\n[watcher:web]\ncmd = sleep 100000\n", tmp_path)
    try:
        code, told = ended(daemon)
    finally:
        daemon.__exit__(None, None, None)
    assert code == 1
    assert str(place) in told
    assert "Traceback" not in told
    assert place.read_text() == "precious"


def test_f25_circusd_check_tells_what_a_reload_would(tmp_path: Path) -> None:
    """Without a daemon."""
    path = tmp_path / "bad.ini"
    path.write_text("[watcher:a]\ncmd = x\nnumprocesses = many\n")
    done = subprocess.run(
        [str(BIN / "circusd"), "--check", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bad.ini:3" in done.stdout
    eventually(lambda: "many" in done.stdout)
