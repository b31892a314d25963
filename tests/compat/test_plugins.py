"""The original's own plugins, run by its own program against ours through the wire."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.compat.original import Ours, program
from tests.waiting import eventually

INI = """
[circus]
endpoint = tcp://127.0.0.1:5555
pubsub_endpoint = tcp://127.0.0.1:5556
[watcher:web]
cmd = sleep 1000
[watcher:bad]
cmd = sh -c "sleep 0.1; exit 3"
autostart = false
[watcher:script]
cmd = {folder}/script
autostart = false
"""

SCRIPT = "#!/bin/sh\nexec sleep 1000\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    folder = tmp_path_factory.mktemp("plugins")
    script = folder / "script"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    with Ours(INI.format(folder=folder), folder) as running:
        yield running


@contextmanager
def plugin(daemon: Ours, use: str, **config: Any) -> Iterator[Path]:
    """The original's circus-plugin with this class and these options, in the daemon's network; its log."""
    log = daemon.folder / f"{use}.log"
    options = ":::".join(f"{key}:{value}" for key, value in config.items())
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*daemon.entering(), program("circus-plugin"), "--config", options, f"circus.plugins.{use}"],
            env={**daemon.environ, "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        yield log
        assert process.poll() is None, log.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)


def ends(daemon: Ours, name: str) -> int:
    """How many processes of the watcher have ended."""
    events = daemon.call("events", lines=2000)["events"]
    return sum(e["event"] == "process.exited" and e.get("watcher") == name for e in events)


def test_flapping_stops_and_tries_again(daemon: Ours) -> None:
    """Its own flapping, with the events of ours."""
    with plugin(daemon, "flapping.Flapping", attempts=2, window=1, retry_in=1, max_retry=1) as log:
        daemon.call("start", name="bad")
        eventually(lambda: "bad: flapping detected: retry in" in log.read_text(), within=30)
        eventually(lambda: "bad: flapping detected: reached max retry limit" in log.read_text(), within=30)
        eventually(lambda: daemon.call("status", name="bad")["status"] == "stopped", within=10)
    daemon.call("stop", name="bad", waiting=True)


def test_command_reloader_restarts(daemon: Ours) -> None:
    """For a watcher whose command is one path, as it wants it."""
    script = daemon.folder / "script"
    for name in ("web", "bad"):
        # It takes the whole command for a path, and fails for those with arguments.
        daemon.call("stop", name=name, waiting=True)
        daemon.call("set", name=name, options={"cmd": "/bin/cat"}, waiting=True)
    try:
        daemon.call("start", name="script", waiting=True)
        with plugin(daemon, "command_reloader.CommandReloader", loop_rate=1, name="reloader"):

            def changed() -> bool:
                os.utime(script)
                return ends(daemon, "script") > 0

            eventually(changed, within=30, every=1.5)
    finally:
        daemon.call("stop", name="script", waiting=True)
        daemon.call("set", name="web", options={"cmd": "sleep 1000"}, waiting=True)
        daemon.call("start", name="web", waiting=True)
        daemon.call("set", name="bad", options={"cmd": 'sh -c "sleep 0.1; exit 3"'}, waiting=True)


def test_resource_watcher_restarts(daemon: Ours) -> None:
    """By the figures of our stats."""
    before = ends(daemon, "web")
    with plugin(
        daemon, "resource_watcher.ResourceWatcher", watcher="web", loop_rate=1, max_mem="1K", max_count=1
    ):
        eventually(lambda: ends(daemon, "web") > before, within=30)


RECEIVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    print(sock.recv(65536).decode(), flush=True)
"""


@pytest.mark.parametrize(
    ("use", "messages"),
    [
        ("statsd.StatsdEmitter", ["circus.shop.watcher.web.reap:1|c", "circus.shop.watcher.web.spawn:1|c"]),
        (
            "statsd.FullStats",
            ["circus.shop.watcher._stats.web.watchers_num:1|g", "circus.shop.watcher._stats.web.cpu_max:"],
        ),
    ],
)
def test_statsd_gets_events_and_figures(daemon: Ours, use: str, messages: list[str]) -> None:
    """As its own daemon would have sent them."""
    got = daemon.folder / f"{use}.got"
    with got.open("wb") as file:
        receiver = subprocess.Popen(
            [*daemon.entering(), sys.executable, "-c", RECEIVER, "8125"], stdout=file, env=daemon.environ
        )
    try:
        with plugin(daemon, use, application_name="shop", loop_rate=1):

            def heard() -> bool:
                daemon.call("restart", name="web", waiting=True)
                return all(message in got.read_text() for message in messages)

            eventually(heard, within=40, every=0.5)
    finally:
        receiver.terminate()
        receiver.wait(10)


def test_watchdog_ends_a_silent_process(daemon: Ours) -> None:
    """It finds the processes by our list, and its kill is carried out."""
    before = ends(daemon, "web")
    with plugin(daemon, "watchdog.WatchDog", watchers_regex="web", loop_rate=1, max_count=1) as log:
        eventually(lambda: ends(daemon, "web") > before, within=40)
        assert "is not responding. Kill it" in log.read_text()
