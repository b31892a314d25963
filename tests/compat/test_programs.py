"""The original's programs that go on, as they are installed: listen, circus-top, circus-plugin; and its asynchronous client.

By ``-m slow``, with the original's own daemon.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.compat.original import BOTH, COMMANDS, EVENTS, FILES, STATS, Ours, program
from tests.daemon import BIN
from tests.waiting import eventually
from tests.window import Window


@pytest.fixture(scope="module", params=BOTH)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    folder = tmp_path_factory.mktemp("programs")
    shutil.copy(FILES / "recorder.py", folder)
    with request.param(
        (FILES / "programs.ini").read_text(), folder, environ={"here": str(folder)}
    ) as running:
        yield running


@contextmanager
def running(daemon: Ours, *words: str, **files: Any) -> Iterator[subprocess.Popen[bytes]]:
    """One of the original's programs in the daemon's network; ended as from a keyboard."""
    environ = {**daemon.environ, "PYTHONPATH": str(daemon.folder), "PYTHONUNBUFFERED": "1", "TERM": "xterm"}
    process = subprocess.Popen(
        [*daemon.entering(), program(words[0]), *words[1:]], env=environ, cwd=daemon.folder, **files
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def ctl(daemon: Ours, *words: str) -> str:
    """One run of the original's circusctl as it is installed."""
    done = subprocess.run(
        [*daemon.entering(), program("circusctl"), *words],
        env=daemon.environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout


def test_circusctl_finds_the_endpoint_that_the_file_names(daemon: Ours) -> None:
    """The installed program, told nothing, with the original's default."""
    assert ctl(daemon, "status", "victim") == "active\n"


def test_listen_prints_events_as_ever(daemon: Ours) -> None:
    """Topic and JSON as bytes; only those topics that were asked for; from the endpoint given, and from the default."""
    output = daemon.folder / "listened"
    with (
        output.open("w") as file,
        running(daemon, "circusctl", "--endpoint", EVENTS, "listen", "watcher.victim.", stdout=file),
    ):

        def is_heard() -> bool:
            ctl(daemon, "restart", "victim", "--waiting")
            return re.search(r"^b'watcher\.victim\.spawn'", output.read_text(), re.MULTILINE) is not None

        eventually(is_heard, within=20)
        ctl(daemon, "stop", "victim", "--waiting")
        ctl(daemon, "start", "victim", "--waiting")
        names = ("stop", "kill", "reap", "spawn", "start")
        eventually(lambda: all(f".victim.{name}'" in output.read_text() for name in names), within=10)
    lines = output.read_text().splitlines()
    messages = {}
    for line in lines:
        found = re.fullmatch(r"b'watcher\.victim\.(\w+)': b'(\{.*\})'", line)
        assert found, line
        messages[found[1]] = json.loads(found[2])
    assert set(messages["spawn"]) >= {"process_pid", "time"}
    assert set(messages["kill"]) >= {"process_pid", "time"}
    assert messages["reap"]["exit_code"] == -signal.SIGTERM
    assert isinstance(messages["stop"]["time"], float)


def test_listen_without_a_word_hears_all(daemon: Ours) -> None:
    """The default endpoint is that of the file."""
    output = daemon.folder / "all"
    with output.open("w") as file, running(daemon, "circusctl", "listen", stdout=file):

        def is_heard() -> bool:
            ctl(daemon, "restart", "counted", "--waiting")
            ctl(daemon, "set", "busy", "warmup_delay", "0", "--waiting")
            text = output.read_text()
            return "b'watcher.counted.start'" in text and "b'watcher.busy.updated'" in text

        eventually(is_heard, within=20)


def test_circus_top_shows_what_runs(daemon: Ours) -> None:
    """For some rounds: processes with their CPU, the daemon itself, sockets; a new process comes and the killed one goes."""
    outer, inner = pty.openpty()
    screen = Screen(outer)
    try:
        with running(daemon, "circus-top", stdin=inner, stdout=inner, stderr=inner, start_new_session=True):
            os.close(inner)
            pid = ctl(daemon, "list", "victim").strip()
            shown = (
                r"Circus Top",
                r"victim",
                r"CPU \(%\)",
                rf"{pid}",
                r"busy",
                rf"{daemon.pid} \(circusd\)",
                r"ADDRESS",
                r"127\.0\.0\.1:8099",
                r"HITS",
            )
            screen.until(*shown)
            busy = ctl(daemon, "list", "busy").strip()
            screen.until(rf"{busy}")
            ctl(daemon, "restart", "victim", "--waiting")
            other = ctl(daemon, "list", "victim").strip()
            screen.until(rf"{other}")
    finally:
        screen.close()


def test_our_circus_top_shows_and_commands_either_daemon(daemon: Ours) -> None:
    """At the endpoint of commands with states and actions, at that of stats with figures only."""
    ours = [*daemon.entering(), str(BIN / "circus-top")]
    environ = {**daemon.environ, "TERM": "xterm"}
    for endpoint in (COMMANDS, STATS):
        with Window(
            [*ours, "--endpoint", endpoint], environ, columns=100, lines=40, cwd=daemon.folder
        ) as window:
            window.see(r"^▾ busy +\d\S* ")
            pid = ctl(daemon, "list", "victim").strip()
            window.see(rf"^ +\d+ +{pid} ")
            window.press("/victim\r\x1b[B" + "r")
            if endpoint == STATS:
                window.see(r"here are only figures")
                continue
            window.see(r"^Restart victim\? 1 process")
            window.press("y")
            window.see(r"^restart victim: ")
            eventually(lambda old=pid: ctl(daemon, "list", "victim").strip() not in ("", old), within=20)


class Screen:
    """What a program draws on a terminal."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.text = ""
        # Room for all: circus-top leaves out what does not fit.
        termios.tcsetwinsize(fd, (100, 120))
        os.set_blocking(fd, False)

    def until(self, *patterns: str) -> None:
        """All patterns have been drawn since the start."""

        def is_drawn() -> bool:
            with suppress(BlockingIOError):
                self.text += os.read(self._fd, 65536).decode(errors="replace")
            return all(re.search(pattern, self.text) for pattern in patterns)

        eventually(is_drawn, within=20, what=f"{patterns} on the screen", every=0.05)

    def close(self) -> None:
        os.close(self._fd)


class Record:
    """What the plugin of tests/fixtures/original/recorder.py has written down."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def rows(self, *head: object) -> list[list[Any]]:
        rows = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [row for row in rows if row[: len(head)] == list(head)]


def it_hears_asks_and_acts(daemon: Ours, record: Record) -> None:
    """The plugin has got the events of a death, its questions were answered, its orders carried out."""
    ctl(daemon, "stop", "helper", "--waiting")

    def is_heard() -> bool:
        ctl(daemon, "signal", "victim", "KILL")
        return bool(record.rows("numprocesses"))

    eventually(lambda: record.rows("init"), within=20)
    eventually(is_heard, within=20, every=0.3)
    assert set(record.rows("init")[0][1]) - {"__name__", "name"} == {"text"}
    eventually(lambda: record.rows("event", "victim", "spawn"))
    assert set(record.rows("event", "victim", "reap")[0][3]) >= {"exit_code", "process_pid", "time"}
    assert record.rows("answer")[0][1] in ("active", "starting")
    assert record.rows("error")[0][1] == "program nope not found"
    if daemon.is_original:
        # It may refuse what changes something, as it is about to replace the process that died.
        return
    assert record.rows("numprocesses")[0][1] > 1
    eventually(lambda: ctl(daemon, "numprocesses", "helper") == "1\n")
    eventually(lambda: record.rows("event", "helper", "start"))


def test_a_plugin_of_the_original_run_by_its_own_program(daemon: Ours) -> None:
    """Its circus-plugin, its base class, its message loop, our endpoints."""
    record = Record(daemon.folder / "by-hand")
    with running(
        daemon,
        "circus-plugin",
        "--config",
        f"file:{record.file}:::text:plain",
        "recorder.Recorder",
        stderr=subprocess.DEVNULL,
    ) as process:
        it_hears_asks_and_acts(daemon, record)
    assert process.returncode == 0
    assert record.rows("stop")


def test_the_same_plugin_run_by_ours(daemon: Ours) -> None:
    """By its section, with our base class under the original's name."""
    record = Record(daemon.folder / "by-section")
    it_hears_asks_and_acts(daemon, record)
    assert "name" in record.rows("init")[0][1], "its watcher's name is among its options"
    ctl(daemon, "stop", "plugin:recorder", "--waiting")
    # The original ends it by SIGTERM before it can know.
    assert record.rows("stop") or daemon.is_original
    ctl(daemon, "start", "plugin:recorder", "--waiting")


def test_the_asynchronous_client_gets_its_replies(daemon: Ours) -> None:
    """One after another, an error as well."""
    with daemon.driver() as driver:
        said = driver.ask(
            "calls",
            endpoint=COMMANDS,
            commands=[["status", {"name": "victim"}], ["numwatchers", {}], ["nosuch", {}]],
        )
    first, second, third = json.loads(said.out)
    assert first["status"] == "active"
    assert second["numwatchers"] == (6 if daemon.is_original else 5), "with circusd-stats, or without"
    assert (third["status"], third["errno"]) == ("error", 2)
