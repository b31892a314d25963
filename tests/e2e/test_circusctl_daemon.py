"""circusctl and circus-top with a real circusd: what is typed arrives, and what happens is seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client, running_daemons
from tests.daemon import BIN, Daemon
from tests.waiting import environment, eventually

CONFIGURATION = """
[watcher:web]
cmd = sleep 1000
numprocesses = 2
graceful_timeout = 30

[watcher:loud]
cmd = sh -c 'i=0; while true; do i=$((i+1)); echo line $i; echo bad $i >&2; sleep 0.1; done'
copy_env = true
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path_factory.mktemp("circusctl")) as running:
        yield running


@pytest.fixture(autouse=True)
def extra_watchers_are_gone(daemon: Daemon) -> Iterator[None]:
    """What a test added does not meet the next one."""
    yield
    for name in daemon.call("list")["watchers"]:
        if name not in ("web", "loud"):
            daemon.ctl("rm", name, "--waiting")


class Program:
    """A program that goes on; its lines are read as they come."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=daemon.environ,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def has(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in list(self.lines))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_tail_follows_several_streams_live(daemon: Daemon) -> None:
    """Lines of stdout and stderr of every process come as they are written, after those of the history."""
    eventually(lambda: "line 3" in daemon.ctl("tail", "loud").stdout)
    with Program(daemon, "circusctl", "tail", "-f", "-n", "1000", "-t") as tail:
        eventually(lambda: tail.has(r"loud\.1 \| line 1$"), what="the history comes first")
        seen = len(tail.lines)
        eventually(lambda: len(tail.lines) > seen + 6, what="lines come live")
        eventually(lambda: tail.has(r"^\d{4}-\d\d-\d\dT[\d:.]+ loud\.1 ! bad \d+$"))
    out = [int(found[1]) for line in tail.lines if (found := re.search(r"\| line (\d+)$", line))]
    assert out == list(range(1, len(out) + 1)), "none twice, none left out"
    only = daemon.ctl("--json", "tail", "loud", "--stream", "stderr", "-n", "2").stdout
    assert {json.loads(line)["stream"] for line in only.splitlines()} == {"stderr"}


def test_a_follower_that_is_slow_gets_all_the_same(daemon: Daemon) -> None:
    """Credit that is given back lets more come than the first window."""
    daemon.ctl("add", "--start", "--waiting", "burst", "sh", "-c", "seq 1 60000; exec sleep 1000")
    eventually(lambda: "60000" in daemon.ctl("tail", "burst", "-n", "1").stdout)
    got: list[str] = []
    with (
        Client(daemon.endpoint, timeout=20) as client,
        client.follow(["output.burst."], lines=5_000, credit=8192) as stream,
    ):
        while not got or got[-1] != "60000":
            _, data = stream.receive(10)
            assert not data.get("skipped")
            got += [text for _, _, text in data["lines"]]
    assert got == [str(n) for n in range(55_001, 60_001)]


def test_events_are_followed_live(daemon: Daemon) -> None:
    """What happens to a watcher is shown as it happens, in words."""
    with Program(daemon, "circusctl", "events", "-f", "-n", "1", "web") as events:
        eventually(lambda: events.lines, what="the last event")
        daemon.ctl("incr", "web", "--waiting")
        daemon.ctl("decr", "web", "--waiting")
        eventually(lambda: events.has(r" web process\.started "))
        eventually(lambda: events.has(r" web process\.exited "))
        assert not events.has(" loud ")


def test_a_daemon_that_ends_is_told_to_who_follows(tmp_path: Path) -> None:
    """tail -f ends with a code, instead of waiting for ever."""
    with Daemon(CONFIGURATION, tmp_path) as short, Program(short, "circusctl", "tail", "-f") as tail:
        eventually(lambda: tail.lines)
        short.stop()
        assert tail.process.wait(10) == 1


def test_listen_comes_back_with_the_daemon(tmp_path: Path) -> None:
    """A script that listens survives a restart of the daemon, as with the original."""
    short = Daemon(CONFIGURATION, tmp_path)
    with short, Program(short, "circusctl", "listen", "watcher.web.") as listening:

        def is_heard() -> bool:
            short.ctl("set", "web", "warmup_delay", "0")
            return listening.has(r"^b'watcher\.web\.updated': b'\{.*\}'$")

        eventually(is_heard, within=10)
        short.stop()
        listening.lines.clear()
        short.start()
        eventually(is_heard, within=10)


class Second(Daemon):
    """Another daemon beside one, in the same runtime folder under a name of its own."""

    def __init__(self, first: Daemon, folder: Path) -> None:
        super().__init__("[watcher:other]\ncmd = sleep 1000\n", folder, args=("--name", "second"))
        shutil.rmtree(self.runtime)
        self.own_folder = first.runtime / "second"
        self.environ = first.environ

    @property
    def endpoint(self) -> str:
        return f"ipc://{self.own_folder}/commands.sock"


def test_two_daemons_are_told_apart_by_name(daemon: Daemon, tmp_path: Path) -> None:
    """Alone it is found by itself; of two, the error lists the names and --name chooses."""
    assert daemon.ctl("list").stdout == "loud,web\n"
    with Second(daemon, tmp_path):
        assert set(running_daemons([str(daemon.runtime)])) == {"circus", "second"}
        done = daemon.ctl("list", check=False)
        assert done.returncode == 1
        assert "circus, second" in done.stderr
        assert daemon.ctl("--name", "second", "list").stdout == "other\n"
        assert daemon.ctl("list", "--name", "circus").stdout == "loud,web\n"
    eventually(lambda: daemon.ctl("list", check=False).stdout == "loud,web\n")


def test_an_environment_that_is_set_arrives_in_the_processes(daemon: Daemon) -> None:
    """The original's client died of this line."""
    daemon.ctl("add", "--start", "--waiting", "env", "sleep", "1000")
    daemon.ctl("set", "env", "env", "COLOR=red,SIZE=2", "--waiting")
    eventually(lambda: [environment(pid).get("COLOR") for pid in daemon.pids("env")] == ["red"])
    assert daemon.ctl("get", "env", "env").stdout == "env: COLOR=red,SIZE=2\n"


def test_the_quotes_of_an_added_command_are_kept(daemon: Daemon) -> None:
    """Words with spaces stay words; the original lost them."""
    daemon.ctl("add", "--start", "--waiting", "say", "sh", "-c", 'echo "a  b"; exec sleep 1000')
    eventually(lambda: "say.1 | a  b" in daemon.ctl("tail", "say").stdout)
    assert daemon.ctl("get", "say", "cmd").stdout == "cmd: sh -c 'echo \"a  b\"; exec sleep 1000'\n"


def test_what_add_was_given_is_what_the_processes_have(daemon: Daemon, tmp_path: Path) -> None:
    """Options given as flags are those of a file: where, as whom, with which variables and limits, writing whereto."""
    words = ["--numprocesses", "2", "--working-dir", str(tmp_path), "--env", "A=1", "--env", "B=x y,z"]
    words += ["--stdout-stream.filename", str(tmp_path / "out.log"), "--rlimit-nofile=99"]
    daemon.ctl(
        "add", "--start", "--waiting", *words, "full", "--", "sh", "-c", 'echo "$A  $B"; exec sleep 1000'
    )
    pids = daemon.pids("full")
    assert len(pids) == 2
    for pid in pids:
        assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path)
        assert environment(pid)["B"] == "x y,z"
        assert re.search(r"^Max open files +99 +99 ", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    eventually(lambda: (tmp_path / "out.log").read_text() == "1  x y,z\n" * 2)
    done = daemon.ctl("add", "--numproceses", "2", "more", "sleep", "1", check=False)
    assert (done.returncode, "did you mean --numprocesses?" in done.stderr) == (2, True)
    done = daemon.ctl("add", "--stdout-stream.filenam", "/x", "more", "sleep", "1", check=False)
    assert done.returncode == 3, done
    assert "filename" in done.stderr


def test_kill_has_its_signal_and_its_time(daemon: Daemon) -> None:
    """Both arrive: a process that ignores the signal is ended when the time given is over, not the watcher's."""
    daemon.ctl(
        "add", "--start", "--waiting", "deaf", "sh", "-c", "trap '' TERM USR1; while true; do sleep 0.1; done"
    )
    daemon.ctl("set", "deaf", "graceful_timeout", "60")
    (old,) = daemon.pids("deaf")
    daemon.ctl("kill", "deaf", "--signum", "USR1", "--graceful_timeout", "0.2", "--waiting", timeout=20)
    eventually(lambda: daemon.pids("deaf") and old not in daemon.pids("deaf"))
    texts = [event["text"] for event in daemon.call("events", name="deaf", lines=20)["events"]]
    assert any("SIGUSR1" in text for text in texts), texts
    daemon.ctl("kill", "deaf", "--graceful_timeout", "0.2", "--waiting")
    daemon.ctl("set", "deaf", "graceful_timeout", "0.2")


def test_rm_can_leave_the_processes_running(daemon: Daemon) -> None:
    """--nostop arrives, which the original's client dropped."""
    daemon.ctl("add", "--start", "--waiting", "kept", "sleep", "1000")
    (pid,) = daemon.pids("kept")
    daemon.ctl("rm", "kept", "--nostop", "--waiting")
    assert "kept" not in daemon.ctl("list").stdout
    try:
        assert Path(f"/proc/{pid}").exists()
    finally:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_an_interrupted_wait_does_not_interrupt_the_command(daemon: Daemon) -> None:
    """The daemon goes on with what was asked."""
    deaf = "trap '' TERM; echo deaf; while true; do sleep 0.1; done"
    daemon.ctl("add", "--start", "--waiting", "slow", "sh", "-c", deaf)
    daemon.ctl("set", "slow", "graceful_timeout", "3")
    eventually(lambda: daemon.call("output", names=["slow"])["lines"])
    process = subprocess.Popen(
        [str(BIN / "circusctl"), "stop", "slow", "--waiting"],
        env=daemon.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        eventually(lambda: daemon.watcher("slow")["status"] == "stopping")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "the daemon goes on with it" in err
    eventually(lambda: daemon.ctl("status", "slow").stdout == "stopped\n", within=20)


def test_strict_tells_more_by_its_code(daemon: Daemon) -> None:
    """5 for a name that is not there, 3 where something does not run."""
    assert daemon.ctl("--strict", "status", "nope", check=False).returncode == 5
    assert daemon.ctl("--strict", "status").returncode == 0
    daemon.ctl("add", "idle", "sleep", "1000")
    assert daemon.ctl("--strict", "status", check=False).returncode == 3
    assert daemon.ctl("status").returncode == 0


def test_top_shows_what_runs(daemon: Daemon) -> None:
    """Each process with its memory, by the daemon's own streams."""
    done = subprocess.run(
        [str(BIN / "circus-top"), "--once"],
        capture_output=True,
        text=True,
        env=daemon.environ,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    for pid in daemon.pids("web"):
        assert re.search(
            rf"^ *{pid} +\d+ +running +[\d.]+ +[\d.]+[KM]iB +\d+s +web$", done.stdout, re.MULTILINE
        ), done.stdout


def test_hostile_output_does_not_reach_the_terminal_as_it_is(daemon: Daemon) -> None:
    """What a process wrote can't ring, move the cursor or set a title."""
    daemon.ctl("add", "--start", "--waiting", "evil", "printf", r"\033]0;title\007\033[2Jx\n")
    shown = eventually(lambda: daemon.ctl("tail", "evil").stdout)
    assert "\x1b" not in shown
    assert r"\x1b]0;title\x07\x1b[2Jx" in shown
    raw: Any = json.loads(daemon.ctl("--json", "tail", "evil", "-n", "1").stdout)
    assert raw["text"] == "\x1b]0;title\x07\x1b[2Jx"


def test_a_wrong_name_is_told_with_the_nearest(daemon: Daemon) -> None:
    """To people in the text; the reason that programs compare is without it."""
    done = daemon.ctl("stop", "wbe", check=False)
    assert (done.returncode, done.stderr) == (3, "error: program wbe not found; did you mean web?\n")
    reply = json.loads(daemon.ctl("--json", "stop", "wbe").stdout)
    assert (reply["reason"], reply["error"]["hint"]) == ("program wbe not found", "did you mean web?")


def test_what_fails_unseen_is_told_in_the_log(tmp_path: Path) -> None:
    """A command that nobody waits for, and a user that is not there: one line each, and no traceback."""
    with Daemon(CONFIGURATION, tmp_path) as daemon:
        with daemon.config.open("a") as config:
            config.write("\n[watcher:wrong]\nnumprocesses = 1\n")
        daemon.ctl("reloadconfig")
        eventually(lambda: "command=reloadconfig failed: " in daemon.log.read_text(), within=10)
        done = daemon.ctl("set", "web", "uid", "nosuchuser", check=False)
        assert done.returncode == 3
        assert 'there is no user "nosuchuser"' in done.stderr
        assert daemon.call("options", name="web")["options"]["uid"] is None
        assert "Traceback" not in daemon.log.read_text()
