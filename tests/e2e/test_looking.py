"""History, trees and single processes: asked of a real circusd, by who may, and told by circusctl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from circusd.schema.errors import CircusError
from tests.daemon import BIN, Daemon
from tests.e2e.test_sessions import in_session, login
from tests.terminal import Terminal
from tests.waiting import eventually

INI = """
[circus]
httpd = 1
httpd_host = 127.0.0.1
httpd_port = 0
stats_history = 1

[watcher:web]
cmd = sh -c "sleep 1000 & exec sleep 1000"
numprocesses = 2
graceful_timeout = 5
stop_children = true

[env:web]
DB_PASSWORD = hush

[watcher:idle]
cmd = sleep 1000
autostart = false
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(INI, tmp_path_factory.mktemp("looking")) as running:
        yield running


def as_viewer(daemon: Daemon, command: str, properties: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """What the console's API answers to a viewer."""
    return in_session(daemon, login(daemon, "vera", "viewer"), command, properties)


def kill_with_children(pid: int) -> None:
    """Nobody looks after what a process leaves behind that ends by itself."""
    process = psutil.Process(pid)
    for one in (*process.children(), process):
        one.kill()


def test_samples_come_without_a_viewer(daemon: Daemon) -> None:
    """Each second here, as the option says; with what has happened to the watcher, and as lines of circusctl."""
    told = eventually(
        lambda: (reply := daemon.call("history", name="web")) and len(reply["times"]) > 3 and reply, within=20
    )
    assert told["period"] == 1
    web = told["watchers"]["web"]
    assert web["processes"][-1] == 2
    assert web["rss"][-1] > 1 << 16
    assert told["times"] == sorted(told["times"])
    assert "process.started" in {event["event"] for event in told["events"]}
    assert told["daemon"]["rss"][-1] > 1 << 20
    everything = daemon.call("history")
    assert set(everything["watchers"]) == {"web", "idle", "circushttpd"}
    assert set(everything["watchers"]["idle"]["rss"]) == {None}
    assert everything["events"] == []
    assert len(daemon.call("history", last=0)["times"]) == 1
    lines = daemon.ctl("history", "web", "--last", "2").stdout.splitlines()
    assert re.fullmatch(r"\S+T[\d:.]+ web \d+\.\d \d+ 2 \d+", lines[-2]), lines
    assert lines[-1].split()[1] == "circusd"
    assert json.loads(daemon.ctl("--json", "history", "web").stdout)["watchers"]["web"]["processes"][-1] == 2


def test_restarts_are_counted_up(daemon: Daemon) -> None:
    """A process that ends by itself and comes again is one more, for good."""
    before = daemon.call("history", name="web", last=0)["watchers"]["web"]["restarts"][-1]
    kill_with_children(daemon.pids("web")[0])
    eventually(
        lambda: daemon.call("history", name="web", last=0)["watchers"]["web"]["restarts"][-1] == before + 1,
        within=20,
    )


def test_a_removed_watcher_leaves_no_history(daemon: Daemon) -> None:
    """One that is added under its name begins anew."""
    daemon.call("add", name="short", cmd="sleep 1000", start=True, waiting=True)
    eventually(
        lambda: len([v for v in daemon.call("history", name="short")["watchers"]["short"]["rss"] if v]) > 2,
        within=20,
    )
    daemon.call("rm", name="short", waiting=True)
    daemon.call("add", name="short", cmd="sleep 1000")
    assert set(daemon.call("history", name="short")["watchers"]["short"]["rss"]) == {None}
    daemon.call("rm", name="short", waiting=True)


def test_a_tree_is_told_with_what_is_below(daemon: Daemon) -> None:
    """Each process of the watcher with its descendants; what does not run is there without."""
    told = eventually(
        lambda: (
            (reply := daemon.call("tree", name="web"))
            and all(one["below"] for one in reply["watchers"]["web"])
            and reply
        )
    )
    first, second = told["watchers"]["web"]
    assert [first["wid"], second["wid"]] == [1, 2]
    assert first["command"] == "sleep 1000"
    (child,) = first["below"]
    assert (child["parent"], child["depth"], child["command"]) == (first["pid"], 1, "sleep 1000")
    assert child["cpu"] is not None
    assert told["left_out"] == 0
    text = daemon.ctl("tree", "web").stdout
    assert "└─ sleep 1000" in text
    assert daemon.ctl("tree", "idle").stdout == "idle: no processes\n"


def test_a_process_is_told_in_full(daemon: Daemon) -> None:
    """State, what it takes, what it holds, and how those before it ended."""
    kill_with_children(daemon.watcher("web")["processes"][1]["pid"])
    eventually(lambda: daemon.call("process", name="WEB", wid=2)["ends"], within=20)
    told = eventually(
        lambda: (reply := daemon.call("process", name="web", wid="2")) and reply.get("stats") and reply
    )
    assert told["watcher"] == "web"
    assert told["process"]["state"] == "running"
    assert told["ends"][-1]["signal"] == 9
    assert told["stats"]["rss"] > 1 << 16
    assert told["environment"]["DB_PASSWORD"] == "********"
    assert {row["name"] for row in told["limits"]} >= {"Max open files"}
    assert told["files"]["count"] >= 3
    values = daemon.call("process", name="web", wid=2, values=True)["environment"]
    assert values["DB_PASSWORD"] == "hush"
    assert "hush" not in daemon.ctl("process", "web", "2").stdout
    assert "hush" in daemon.ctl("process", "web", "2", "--values").stdout


def test_a_slot_that_is_not_there_is_told(daemon: Daemon) -> None:
    """With those that are; a wrong number is wrong, and nothing runs where nothing was started."""
    with pytest.raises(CircusError, match="web has no process 7; it has: 1, 2"):
        daemon.call("process", name="web", wid=7)
    with pytest.raises(CircusError, match="whole number"):
        daemon.call("process", name="web", wid="one")
    with pytest.raises(CircusError, match="not found"):
        daemon.call("process", name="we*", wid=1)
    with pytest.raises(CircusError, match="between 0"):
        daemon.call("history", last=-1)


def test_a_viewer_sees_no_value(daemon: Daemon) -> None:
    """The names of variables, all else, and a refusal that says who may."""
    status, told = as_viewer(daemon, "process", {"name": "web", "wid": 1})
    assert status == 200
    assert set(told["environment"].values()) == {"********"}
    assert told["files"]["count"] >= 3
    status, told = as_viewer(daemon, "process", {"name": "web", "wid": 1, "values": True})
    assert (status, told["code"]) == (403, "denied")
    assert "admin" in told["detail"]
    for command in ("history", "tree"):
        assert as_viewer(daemon, command, {"name": "web"})[0] == 200


def test_what_was_changed_is_told_with_what_the_file_says(daemon: Daemon) -> None:
    """Of options, only those that differ; variables hidden from viewers; nothing where all is as it was read."""
    assert "changed" not in daemon.call("options", name="idle")
    daemon.call("set", name="idle", options={"graceful_timeout": 3, "env": {"NEW": "hush"}}, waiting=True)
    daemon.call("incr", name="idle", waiting=True)
    assert daemon.call("options", name="idle")["changed"] == {
        "env": {},
        "graceful_timeout": 30.0,
        "numprocesses": 1,
    }
    daemon.call("set", name="web", options={"env": {}}, waiting=True)
    assert daemon.call("options", name="web")["changed"]["env"] == {"DB_PASSWORD": "hush"}
    assert as_viewer(daemon, "options", {"name": "web"})[1]["changed"]["env"] == {"DB_PASSWORD": "********"}
    daemon.call("reloadconfig", waiting=True)


def test_a_terminal_shows_lines_that_rise_and_fall(daemon: Daemon) -> None:
    """One line for each watcher and circusd, within the width."""
    eventually(lambda: len(daemon.call("history")["times"]) > 5, within=20)
    words = [str(BIN / "circusctl"), "--no-color", "history"]
    with Terminal(words, {**daemon.environ, "TERM": "xterm"}, columns=100, cwd=daemon.folder) as terminal:
        shown, code = terminal.end()
    assert code == 0
    assert re.search(r"web +\S*[▁▂▃▄▅▆▇█]", shown), shown
    assert "samples of the last" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100
