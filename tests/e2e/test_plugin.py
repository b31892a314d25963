"""Plugins of a real circusd: a section runs a class of the user's, which hears, asks and acts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

MODULE = """
import json, os
from circus.plugins import CircusPlugin

class Recorder(CircusPlugin):
    name = "recorder"

    def handle_init(self):
        self.write("config", self.config)

    def handle_stop(self):
        self.write("stop", os.getpid())

    def handle_recv(self, data):
        watcher, action, message = self.split_data(data)
        self.write(watcher, action, self.load_message(message))
        if (watcher, action) == ("victim", "reap"):
            self.write("status", self.call("status", name="victim")["status"])
            self.cast("start", name="helper")

    def write(self, *words):
        with open(self.config["file"], "a") as file:
            print(json.dumps(words), file=file)
"""

INI = """
[env]
PYTHONPATH = {folder}

[plugin:recorder]
use = recorder.Recorder
file = {folder}/recorded
text = with spaces, "quotes" and a : colon
graceful_timeout = 5
max_age = 0

[plugin:broken]
use = nosuchmodule.Plugin
file = none
backoff = 30

[watcher:victim]
cmd = sleep 1000

[watcher:helper]
cmd = sleep 1000
autostart = false
"""


class Stage:
    """The daemon, and what its plugin has recorded."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.file = daemon.folder / "recorded"

    def rows(self) -> list[list[Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def of(self, *head: str) -> list[list[Any]]:
        return [row for row in self.rows() if tuple(row[: len(head)]) == head]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("plugins")
    folder.joinpath("recorder.py").write_text(MODULE)
    with Daemon(INI.format(folder=folder), folder) as daemon:
        yield Stage(daemon)


def test_plugin_is_a_watcher_of_its_own(stage: Stage) -> None:
    """It is listed as plugin:NAME, runs one process, and has the options of its section."""
    assert "plugin:recorder" in stage.daemon.call("list")["watchers"]
    shown = stage.daemon.watcher("plugin:recorder")
    assert (shown["kind"], shown["numprocesses"], shown["singleton"]) == ("plugin", 1, True)
    options = stage.daemon.call("options", name="plugin:recorder")["options"]
    assert options["graceful_timeout"] == 5


def test_options_reach_the_plugin_whole(stage: Stage) -> None:
    """Every key but ``use``, spaces and quotes included."""
    eventually(lambda: stage.of("config"), within=10)
    config = stage.of("config")[0][1]
    assert config["text"] == 'with spaces, "quotes" and a : colon'
    assert config["file"] == str(stage.file)
    assert "use" not in config


def test_plugin_hears_asks_and_acts(stage: Stage) -> None:
    """The death of a process reaches it; its questions are answered and its orders carried out."""
    eventually(lambda: stage.of("config"), within=10)
    # Subscribing takes its time: until it hears, something is made to happen again and again.
    eventually(
        lambda: stage.daemon.call("signal", name="victim", signum="KILL") and stage.of("victim", "reap"),
        within=10,
        every=0.2,
    )
    reaped = stage.of("victim", "reap")[0][2]
    assert reaped["exit_code"] == -signal.SIGKILL
    assert {"process_pid", "time", "exit_code"} <= set(reaped)
    eventually(lambda: stage.of("status"))
    assert stage.of("status")[0][1] in ("active", "starting")
    eventually(lambda: stage.daemon.pids("helper"))
    eventually(lambda: stage.of("victim", "spawn"))
    eventually(lambda: stage.of("helper", "start"))


def test_plugin_that_can_not_run_says_why(stage: Stage) -> None:
    """A class that is not there is a line of the plugin's output, and a process that is tried again later."""
    view = stage.daemon.watcher("plugin:broken")
    assert view["processes"][0]["state"] in ("backoff", "starting", "running")
    eventually(lambda: stage.daemon.watcher("plugin:broken")["processes"][0]["state"] == "backoff", within=10)
    lines = stage.daemon.call("output", names=["plugin:broken"])["lines"]
    assert any("there is no module named nosuchmodule" in line["text"] for line in lines)


def test_plugin_is_told_to_stop(stage: Stage) -> None:
    """A stop calls its handle_stop, and it ends by itself with 0."""
    eventually(lambda: stage.daemon.pids("plugin:recorder"))
    (pid,) = stage.daemon.pids("plugin:recorder")
    eventually(lambda: stage.of("config"), within=10)
    stage.daemon.call("stop", name="plugin:recorder", waiting=True)
    assert stage.of("stop")[-1] == ["stop", pid]
    exit_ = stage.daemon.watcher("plugin:recorder")["processes"]
    assert not [p for p in exit_ if p["pid"]]
    events = stage.daemon.call("events", lines=2000)["events"]
    (exited,) = [e for e in events if e["event"] == "process.exited" and e["pid"] == pid]
    assert (exited["code"], exited["signal"]) == (0, None)


def test_plugin_finds_its_class_in_its_folder(tmp_path: Path) -> None:
    """As in the original, a module in the folder where the plugin runs is found without PYTHONPATH."""
    work = tmp_path / "work"
    work.mkdir()
    work.joinpath("nearby.py").write_text(MODULE)
    ini = f"[plugin:near]\nuse = nearby.Recorder\nfile = {tmp_path}/recorded\nworking_dir = {work}\n"
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: Stage(daemon).of("config"), within=10)


def test_plugin_by_hand(stage: Stage) -> None:
    """circus-plugin runs beside the daemon that it finds by itself."""
    import subprocess

    from tests.daemon import BIN

    own = stage.daemon.folder / "byhand"
    environ = {**stage.daemon.environ, "PYTHONPATH": str(stage.daemon.folder)}
    process = subprocess.Popen(
        [str(BIN / "circus-plugin"), "--config", f"file:{own}", "recorder.Recorder"],
        env={**environ, "CIRCUSCTL_ENDPOINT": stage.daemon.endpoint},
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(
            lambda: stage.daemon.call("signal", name="victim", signum="KILL") and '"reap"' in own.read_text(),
            within=10,
            every=0.2,
        )
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert json.loads(own.read_text().splitlines()[-1]) == ["stop", process.pid]
    assert not os.path.exists(f"/proc/{process.pid}")


def test_stream_class_of_the_original_can_be_derived_from(tmp_path: Path) -> None:
    """A user's class that imports circus.stream writes what processes write."""
    tmp_path.joinpath("mystream.py").write_text(
        "from circus.stream import FileStream\n"
        "class Loud(FileStream):\n"
        "    def __call__(self, data):\n"
        "        super().__call__({**data, 'data': data['data'].upper()})\n"
    )
    ini = (
        f"[watcher:web]\ncmd = sh -c 'echo hello; exec sleep 1000'\nstdout_stream.class = mystream.Loud\n"
        f"stdout_stream.filename = {tmp_path}/out\n"
    )
    with Daemon(ini, tmp_path, environ={"PYTHONPATH": str(tmp_path)}):
        eventually(lambda: (tmp_path / "out").read_text() == "HELLO\n", within=10)
