"""What circusd tells of itself: its process and doors, its sockets in detail, its plugins, and what is not in its files."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.waiting import eventually

PLUGIN = """
from circus.plugins import CircusPlugin

class Notes(CircusPlugin):
    name = "notes"

    def handle_recv(self, data):
        pass
"""

INI = """
[env]
PYTHONPATH = {folder}

[plugin:notes]
use = notes.Notes
api_token = not-to-be-seen
every = 30 s
graceful_timeout = 5

[plugin:broken]
use = nosuchmodule.Plugin
backoff = 30

[socket:web]
host = 127.0.0.1
port = 0
backlog = 7

[watcher:holder]
cmd = sleep 1000
numprocesses = 2
use_sockets = true

[watcher:other]
cmd = sleep 1000
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("about")
    (folder / "notes.py").write_text(PLUGIN)
    with Daemon(INI.format(folder=folder), folder) as running:
        yield running


def socket_row(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.call("listsockets", details=True)["sockets"][0]
    return found


def test_a_socket_tells_who_has_it_and_who_waits(daemon: Daemon) -> None:
    """With its real port; nobody accepts here, so that a client waits in its queue."""
    row = socket_row(daemon)
    assert row["watchers"] == ["holder"]
    assert [process["pid"] for process in row["processes"]] == daemon.pids("holder")
    assert (row["waiting"], row["limit"], row["connections"]) == (0, 7, 0)
    with socket.create_connection((row["host"], row["port"])):
        eventually(lambda: socket_row(daemon)["waiting"] == 1, within=5, what="one waits")
        shown = daemon.ctl("listsockets", "--details").stdout
        assert f"web 127.0.0.1:{row['port']} {row['fd']} 1/7 0" in shown
    assert set(daemon.call("listsockets")["sockets"][0]) == {"fd", "name", "backlog", "host", "port"}


def test_plugins_are_told_with_what_they_listen_to_and_without_secrets(daemon: Daemon) -> None:
    """The one that runs has a process that hears events; the one that can't run says so."""

    def notes() -> dict[str, Any]:
        return next(row for row in daemon.call("plugins")["plugins"] if row["name"] == "notes")

    eventually(lambda: notes()["doors"], within=20, what="the plugin hears events")
    row = notes()
    assert row["pids"] == daemon.pids("plugin:notes")
    assert row["doors"][0]["channel"] == "events"
    assert (row["use"], row["options"]["every"]) == ("notes.Notes", "30 s")
    text = daemon.ctl("plugins").stdout
    assert "notes: active, pid" in text
    assert "connected to events" in text
    assert "broken: " in text
    assert "not-to-be-seen" not in text + json.dumps(row)


def test_the_daemon_tells_who_is_connected(daemon: Daemon) -> None:
    """A connection of ours stands at its door, with whose it is, until it ends."""

    def mine() -> list[dict[str, Any]]:
        doors = {door["name"]: door for door in daemon.call("daemon")["doors"]}
        return [row for row in doors["commands"]["connections"] if row["pid"] is not None]

    with Client(daemon.endpoint) as client:
        client.call("ping", {})
        # This one, and the one that asks; those of before may just be going.
        rows = eventually(lambda: len(found := mine()) == 2 and found, within=5, what="two are connected")
        assert {row["role"] for row in rows} == {"admin"}
        assert all(row["user"] and row["since"] > 1e9 for row in rows)
    eventually(lambda: len(mine()) == 1, within=5, what="it is gone")
    told = daemon.call("daemon")
    assert told["pid"] == daemon.pid
    assert told["usage"]["rss"] > 1 << 20
    assert 0 < told["usage"]["descriptors"] < told["usage"]["descriptors_limit"]
    assert told["counters"]["connections"] >= 1
    assert f"pid {daemon.pid}" in daemon.ctl("daemon").stdout


def test_all_options_of_the_daemon_can_be_seen(daemon: Daemon) -> None:
    """Those of the original stand as before where nobody asks for more."""
    assert "history_limit" not in daemon.call("globaloptions")["options"]
    assert daemon.call("globaloptions", all=True)["options"]["history_limit"] == 256 << 20
    assert "history_limit: 268435456" in daemon.ctl("globaloptions", "--all").stdout


def test_drift_names_what_is_not_in_the_files(tmp_path: Path) -> None:
    """What was changed at run time, what was changed on disk, and what is wrong with it there."""
    with Daemon("[watcher:web]\ncmd = sleep 1000\n", tmp_path) as daemon:
        assert daemon.ctl("drift").stdout == "what is in force is what the files say\n"
        daemon.ctl("set", "web", "env", "TOKEN=not-to-be-seen", "--waiting")
        daemon.ctl("incr", "web", "--waiting")
        assert daemon.ctl("drift").stdout == "~ watcher web changed (numprocesses, env)\n"
        daemon.config.write_text("[watcher:web]\ncmd = sleep 2000\n")
        assert daemon.call("drift")["on_disk"] is True
        assert "circusctl reloadconfig" in daemon.ctl("drift").stdout
        daemon.config.write_text("[watcher:web]\ncmd = sleep 2000\nnumprocesses = many\n")
        told = daemon.call("drift")
        assert told["on_disk"] is True
        assert "numprocesses" in " ".join(told["problems"])


def test_events_can_be_asked_for_by_kind_level_and_text(daemon: Daemon) -> None:
    """And page by page into the past: none twice, none left out."""
    for _ in range(3):
        daemon.ctl("restart", "other", "--waiting")
    everything = daemon.call("events", lines=2000)
    assert everything["more"] is False
    last = everything["events"][-1]["number"]
    for kind in ("process", "process.started"):
        # The plugin that can't run may be tried again at any moment.
        told = daemon.call("events", kind=kind, lines=2000, before=last + 1)["events"]
        assert told == [event for event in everything["events"] if event["event"].startswith(kind)]
        assert told
    warnings = daemon.call("events", level="warning", lines=2000)["events"]
    assert warnings
    assert {event["level"] for event in warnings} <= {"warning", "error"}
    told = daemon.call("events", text="OTHER", lines=2000)["events"]
    assert {event.get("watcher") for event in told} == {"other"}
    pages: list[dict[str, Any]] = []
    before = last + 1
    more = True
    while more:
        reply = daemon.call("events", lines=5, before=before)
        pages = reply["events"] + pages
        before, more = pages[0]["number"], reply["more"]
    assert pages == everything["events"]
    with pytest.raises(Refused, match="level"):
        daemon.call("events", level="loud")


def test_events_that_are_followed_pass_the_filter_too(daemon: Daemon) -> None:
    """What comes is as what was: of a restart, a death is a warning and a start is none."""
    line = [daemon.program("circusctl"), "events", "-f", "-n", "0", "--level", "warning", "--text", "other"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=daemon.environ) as process:
        assert process.stdout is not None
        reader = process.stdout
        try:
            # Repeated until it listens: nothing tells when that is.
            found = threading.Event()
            lines: list[str] = []
            thread = threading.Thread(target=lambda: (lines.append(reader.readline()), found.set()))
            thread.start()
            eventually(lambda: daemon.ctl("restart", "other", "--waiting") and found.is_set(), within=20)
            thread.join(10)
        finally:
            process.send_signal(signal.SIGINT)
            reader.read()
    assert " other process.exited " in lines[0]


def test_the_audit_can_be_asked_for_by_person_command_and_result(daemon: Daemon) -> None:
    """Of what lies on the disk too, and page by page into the past."""
    daemon.ctl("set", "other", "max_age", "0", "--waiting")
    daemon.ctl("start", "nosuchwatcher", check=False)
    daemon.ctl("signal", "other", "CONT")
    told = json.loads(daemon.ctl("--json", "audit", "--command", "set").stdout)
    assert {entry["command"] for entry in told["entries"]} == {"set"}
    ill = daemon.call("audit", result="not_ok")["entries"]
    assert ill
    assert {entry["result"] for entry in ill} & {"ok"} == set()
    assert all(entry["result"] == "ok" for entry in daemon.call("audit", result="ok")["entries"])
    person = ill[0]["person"]
    assert daemon.call("audit", person=person.upper())["entries"]
    assert daemon.call("audit", person="nobody at all")["entries"] == []
    last = daemon.call("audit", lines=1)["entries"][0]
    entries = daemon.call("audit", lines=100)["entries"]
    assert entries[-1] == last
    assert daemon.call("audit", lines=100, skip=1)["entries"] == entries[:-1]
    assert daemon.call("audit", lines=1, skip=1)["entries"] == entries[-2:-1]
    assert daemon.call("audit", lines=1, skip=1000)["entries"] == []
