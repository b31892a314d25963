"""Plugins: a class of the user's hears of events in a process of its own, and acts by commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from circusd.cli.plugin import parse_config
from circusd.plugins import CircusPlugin
from circusd.plugins.compat import bytes2human, human2bytes, to_bool
from tests.scripted import ScriptedDaemon, scripted_daemon
from tests.waiting import eventually

PLUGIN = """
import json, os, time
from circus.plugins import CircusPlugin

class Recorder(CircusPlugin):
    name = "recorder"

    def write(self, *words):
        with open(self.config["file"], "a") as file:
            print(*words, file=file)

    def handle_init(self):
        self.write("init", json.dumps(self.config, sort_keys=True))
        self.loop.add_timeout(time.time() + 0.05, self.write, "timer")

    def handle_stop(self):
        self.write("stop")

    def handle_recv(self, data):
        watcher, action, message = self.split_data(data)
        info = self.load_message(message)
        self.write("event", watcher, action, info["process_pid"])
        if action == "reap":
            self.write("reply", self.call("numprocesses", name=watcher)["numprocesses"])
            self.write("refusal", self.call("numprocesses", name="nobody")["reason"])
            self.cast("restart", name=watcher)
        if action == "kill":
            raise RuntimeError("not today")
        if action == "stop":
            self.stop()

class Asyncio(Recorder):
    def handle_init(self):
        self.loop.asyncio_loop.create_task(self.tick())

    async def tick(self):
        import asyncio
        await asyncio.sleep(0.01)
        self.write("ticked")

class Inner:
    class Nested(Recorder):
        pass

class NoReceive(CircusPlugin):
    pass

no_class = 1
"""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["command"] == "globaloptions":
        return {"options": {"pubsub_endpoint": os.environ["TEST_PUBSUB"]}}
    if request["properties"].get("name") == "nobody":
        return {"status": "error", "reason": "program nobody not found", "errno": 3}
    return {"numprocesses": 3}


class Stage:
    """A scripted daemon with events, and plugin processes."""

    def __init__(self, folder: Path, daemon: ScriptedDaemon) -> None:
        self.folder = folder
        self.daemon = daemon
        self.context = zmq.Context()
        self.pubsub = f"ipc://{folder}/events.sock"
        self.events = self.bind()
        self.file = folder / "recorded"
        self.file.touch()
        self.processes: list[subprocess.Popen[str]] = []
        folder.joinpath("myplugin.py").write_text(PLUGIN)

    def bind(self) -> zmq.Socket[bytes]:
        events = self.context.socket(zmq.XPUB)
        events.linger = 0
        events.bind(self.pubsub)
        return events

    def run(self, *words: str, endpoints: bool = True, **config: Any) -> subprocess.Popen[str]:
        given = ["--endpoint", self.daemon.endpoint, "--pubsub", self.pubsub] if endpoints else []
        config = {"file": str(self.file), **config}
        environ = {**os.environ, "CIRCUS_PLUGIN_CONFIG": json.dumps(config)}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "circusd.cli.plugin", *given, *words],
            env=environ, cwd=self.folder, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def await_subscriber(self) -> None:
        assert self.events.poll(10_000)
        assert self.events.recv() == b"\x01watcher."

    def tell(self, topic: str, **body: Any) -> None:
        self.events.send_multipart(
            [topic.encode(), json.dumps({"process_pid": 7, "time": 1.0, **body}).encode()]
        )

    def lines(self) -> list[str]:
        return self.file.read_text().splitlines()

    def await_line(self, line: str) -> None:
        eventually(lambda: line in self.lines(), what=line, within=10)

    def end(self, process: subprocess.Popen[str], signum: int | None = signal.SIGTERM) -> tuple[int, str]:
        if signum is not None:
            process.send_signal(signum)
        _, errors = process.communicate(timeout=10)
        return process.returncode, errors


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with scripted_daemon(tmp_path, answer) as daemon:
        stage = Stage(tmp_path, daemon)
        monkeypatch.setenv("TEST_PUBSUB", stage.pubsub)
        yield stage
        for process in stage.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        stage.context.destroy(linger=0)


def test_plugin_of_the_original_runs_unchanged(stage: Stage) -> None:
    """A class that imports circus.plugins hears events, asks, orders, and is told to stop by a signal."""
    process = stage.run("myplugin.Recorder", text='spaces and "quotes": too')
    stage.await_subscriber()
    assert json.loads(stage.lines()[0].partition(" ")[2])["text"] == 'spaces and "quotes": too'
    stage.tell("watcher.web.reap")
    stage.await_line("refusal program nobody not found")
    assert "event web reap 7" in stage.lines()
    assert "reply 3" in stage.lines()
    eventually(lambda: stage.daemon.asked("restart") == [{"name": "web"}])
    stage.await_line("timer")
    code, errors = stage.end(process)
    assert (code, errors) == (0, "")
    assert stage.lines()[-1] == "stop"


def test_events_of_a_burst_all_arrive_in_order(stage: Stage) -> None:
    """Eight hundred events that come at once are all received."""
    process = stage.run("myplugin.Recorder")
    stage.await_subscriber()
    for number in range(800):
        stage.tell("watcher.web.spawn", process_pid=number)
    eventually(lambda: len(stage.lines()) > 800, within=20)
    numbers = [int(line.split()[3]) for line in stage.lines() if line.startswith("event")]
    assert numbers == list(range(800))
    stage.end(process)


def test_failing_receiver_does_not_end_the_plugin(stage: Stage) -> None:
    """An exception in handle_recv is logged, and the next event is received."""
    process = stage.run("myplugin.Recorder")
    stage.await_subscriber()
    stage.tell("watcher.web.kill")
    stage.tell("watcher.web.spawn")
    stage.await_line("event web spawn 7")
    code, errors = stage.end(process)
    assert code == 0
    assert "RuntimeError: not today" in errors


def test_plugin_can_stop_itself(stage: Stage) -> None:
    """A call of stop() ends it in order."""
    process = stage.run("myplugin.Recorder")
    stage.await_subscriber()
    stage.tell("watcher.web.stop")
    assert stage.end(process, None) == (0, "")
    assert stage.lines()[-1] == "stop"


def test_config_of_the_command_line_comes_last(stage: Stage) -> None:
    """--config in the original's form works, and wins over the environment."""
    process = stage.run(
        "--config", "a:1:::b : x:y :::broken:::file:" + str(stage.file), "myplugin.Recorder", b="no", c="3"
    )
    stage.await_subscriber()
    config = json.loads(stage.lines()[0].partition(" ")[2])
    assert config == {"a": "1", "b": "x:y", "c": "3", "file": str(stage.file)}
    stage.end(process)


def test_lost_events_come_again(stage: Stage) -> None:
    """When the daemon's endpoint goes away and comes back, events do too."""
    process = stage.run("myplugin.Recorder")
    stage.await_subscriber()
    stage.events.close()
    stage.events = stage.bind()
    stage.await_subscriber()
    stage.tell("watcher.web.spawn")
    stage.await_line("event web spawn 7")
    code, errors = stage.end(process)
    assert code == 0
    assert "no events" in errors or errors == ""


def test_endpoint_of_events_is_asked_for(stage: Stage) -> None:
    """By hand, naming the endpoint of commands is enough."""
    process = stage.run("--endpoint", stage.daemon.endpoint, "myplugin.Inner.Nested", endpoints=False)
    stage.await_subscriber()
    assert stage.end(process)[0] == 0


def test_loop_is_shared_with_asyncio(stage: Stage) -> None:
    """Tasks of asyncio run in the plugin's loop."""
    process = stage.run("myplugin.Asyncio")
    stage.await_line("ticked")
    assert stage.end(process)[0] == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nosuch.Plugin", "could not import nosuch.Plugin: there is no module named nosuch"),
        ("myplugin.Nobody", "module 'myplugin' has no attribute 'Nobody'"),
        ("myplugin.no_class", "myplugin.no_class is not a class"),
        ("nodots", "'nodots' is not a dotted path"),
    ],
)
def test_class_that_is_not_there_is_told_in_one_line(stage: Stage, path: str, text: str) -> None:
    """A wrong ``use`` ends the program with 1 and a sentence."""
    code, errors = stage.end(stage.run(path), None)
    assert code == 1
    assert text in errors
    assert errors.count("\n") == 1


def test_inactive_plugin_does_not_run(stage: Stage) -> None:
    """``active = false`` is what it says."""
    code, errors = stage.end(stage.run("myplugin.Recorder", active="false"), None)
    assert code == 1
    assert "inactive" in errors
    assert stage.lines() == []


def test_program_without_a_class_shows_its_usage(stage: Stage) -> None:
    """As in the original, that is no failure."""
    assert stage.end(stage.run(), None) == (0, "")


def test_names_of_watchers_with_dots_are_whole() -> None:
    """What stands between the first and the last dot of a topic is the watcher."""
    assert CircusPlugin.split_data((b"watcher.my.site.reap", b"{}")) == ("my.site", "reap", b"{}")
    assert CircusPlugin.load_message(b'{"a": 1}') == {"a": 1}


def test_conversions_of_the_original() -> None:
    """Texts of a configuration become what plugins expect."""
    assert parse_config("a:b:::c:d:e:::nothing") == {"a": "b", "c": "d:e"}
    assert [to_bool(v) for v in ("yes", "ON", "1", True, "no", "0", False)] == [True] * 4 + [False] * 3
    with pytest.raises(ValueError, match="neither"):
        to_bool("maybe")
    assert [human2bytes(t) for t in ("250M", "1.5K", "12", "3GB", "7B")] == [250 << 20, 1536, 12, 3 << 30, 7]
    assert (bytes2human(1857000), bytes2human(12)) == ("1.77M", "12B")
