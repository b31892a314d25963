"""Commands that mean several watchers: by patterns, by tags, or all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

CONFIGURATION = """
[watcher:web-1]
cmd = sleep 1000
numprocesses = 2
priority = 5
tags = front, critical

[watcher:web-2]
cmd = sleep 1000
priority = 9

[watcher:worker]
cmd = sh -c 'while true; do echo tick; sleep 0.1; done'
copy_env = true
tags = critical

[watcher:off]
cmd = sleep 1000
autostart = false
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path_factory.mktemp("several")) as daemon:
        yield daemon


@pytest.fixture
def daemon(running: Daemon) -> Daemon:
    """The daemon with every watcher as its file has it."""
    running.call("set", name="web-*", options={"numprocesses": 1}, waiting=True)
    running.call("set", name="web-1", options={"numprocesses": 2}, waiting=True)
    running.call("stop", name="off", waiting=True)
    running.call("start", name="w*", waiting=True)
    return running


def reply_of(daemon: Daemon, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daemon.ctl("--json", *words).stdout)
    return found


def test_reading_commands_take_patterns(daemon: Daemon) -> None:
    """Each answers for all that match, by name; of a single match the reply is that for its name."""
    assert daemon.ctl("status", "web-*").stdout == "web-1: active\nweb-2: active\n"
    assert daemon.ctl("status", "wor*").stdout == "active\n"
    assert set(reply_of(daemon, "list", "WEB-?")["results"]) == {"web-1", "web-2"}
    pids = daemon.pids("web-2")
    assert daemon.ctl("list", "web-[2]").stdout == f"{pids[0]}\n"
    shown = daemon.ctl("numprocesses", "web", "--match", "regex").stdout
    assert shown == "web-1: 2\nweb-2: 1\n"
    assert reply_of(daemon, "numprocesses", "web-*")["numprocesses"] == 3
    assert daemon.ctl("get", "web-*", "numprocesses").stdout == (
        "web-1: numprocesses: 2\nweb-2: numprocesses: 1\n"
    )
    assert set(reply_of(daemon, "options", "w*")["results"]) == {"web-1", "web-2", "worker"}
    assert set(reply_of(daemon, "stats", "web-*")["infos"]) == {"web-1", "web-2"}
    assert [w["name"] for w in reply_of(daemon, "inspect", "web-*")["watchers"]] == ["web-1", "web-2"]
    events = reply_of(daemon, "events", "web-*", "-n", "500")["events"]
    assert {event["watcher"] for event in events} == {"web-1", "web-2"}
    eventually(lambda: "tick" in daemon.ctl("tail", "work*").stdout)
    assert "tick" in daemon.ctl("output", "^wo", "web-1", "--match", "regex").stdout


def test_changing_commands_take_patterns(daemon: Daemon) -> None:
    """Each is done to all that match, and to no other."""
    assert reply_of(daemon, "incr", "web-*", "--waiting")["results"] == {
        "web-1": {"numprocesses": 3},
        "web-2": {"numprocesses": 2},
    }
    assert daemon.ctl("decr", "web-*", "--waiting").stdout == "web-1: 2\nweb-2: 1\n"
    before = {name: daemon.pids(name) for name in ("web-1", "web-2", "worker")}
    daemon.ctl("kill", "web-*", "--waiting")
    after = {name: daemon.pids(name) for name in before}
    assert after["worker"] == before["worker"]
    for name in ("web-1", "web-2"):
        assert not set(after[name]) & set(before[name])
    results = reply_of(daemon, "reload", "web-*", "--waiting")["results"]
    assert {name: sorted(result["info"]["stopped"]) for name, result in results.items()} == {
        name: sorted(after[name]) for name in ("web-1", "web-2")
    }
    daemon.ctl("set", "web-*", "graceful_timeout", "7", "--waiting")
    assert {daemon.ctl("get", name, "graceful_timeout").stdout for name in ("web-1", "web-2")} == {
        "graceful_timeout: 7.0\n"
    }
    old = {name: daemon.pids(name) for name in ("web-1", "web-2")}
    daemon.ctl("signal", "web-*", "KILL")
    for name, pids in old.items():
        eventually(lambda name=name, pids=pids: not set(daemon.pids(name)) & set(pids))


def test_one_value_that_is_wrong_for_one_of_them_changes_none(daemon: Daemon) -> None:
    """All are checked before anything is done."""
    daemon.ctl("set", "web-2", "singleton", "true", "--waiting")
    try:
        done = daemon.ctl("set", "web-*", "numprocesses", "4", "--waiting", check=False)
        assert done.returncode == 3
        assert "Singleton watcher has a single process" in done.stderr
        assert len(daemon.pids("web-1")) == 2
    finally:
        daemon.ctl("set", "web-2", "singleton", "false", "--waiting")


def test_a_tag_means_all_that_have_it(daemon: Daemon) -> None:
    """From the file or set while running; with every command, and shown."""
    assert daemon.ctl("status", "@Critical").stdout == "web-1: active\nworker: active\n"
    assert daemon.ctl("list", "@front").stdout == daemon.ctl("list", "web-1").stdout
    before = {name: daemon.pids(name) for name in ("web-1", "web-2", "worker")}
    daemon.ctl("restart", "@critical", "--waiting")
    assert daemon.pids("web-2") == before["web-2"]
    for name in ("web-1", "worker"):
        assert not set(daemon.pids(name)) & set(before[name])
    kept = daemon.pids("web-2")
    daemon.ctl("set", "web-2", "tags", "late,Critical", "--waiting")
    assert daemon.pids("web-2") == kept
    assert daemon.ctl("get", "web-2", "tags").stdout == "tags: late, Critical\n"
    assert daemon.watcher("web-2")["tags"] == ["late", "Critical"]
    assert set(reply_of(daemon, "status", "@critical")["statuses"]) == {"web-1", "web-2", "worker"}
    daemon.ctl("set", "web-2", "tags", "", "--waiting")
    done = daemon.ctl("restart", "@late", check=False)
    assert (done.returncode, done.stderr) == (3, "error: no watcher has the tag late\n")
    done = daemon.ctl("set", "web-2", "tags", "a/b", check=False)
    assert "letters, digits, _, . and -" in done.stderr


def test_a_list_means_those_that_it_names(daemon: Daemon) -> None:
    """Each once, in any case of letters; where one of them is not there, none is touched."""
    before = {name: daemon.pids(name) for name in ("web-1", "web-2", "worker")}
    daemon.ctl("restart", "--match", "list", "WORKER,web-2,worker", "--waiting")
    assert daemon.pids("web-1") == before["web-1"]
    for name in ("web-2", "worker"):
        assert not set(daemon.pids(name)) & set(before[name])
    before = {name: daemon.pids(name) for name in before}
    done = daemon.ctl("restart", "--match", "list", "web-1,wroker", "--waiting", check=False)
    assert (done.returncode, done.stderr) == (3, "error: program wroker not found; did you mean worker?\n")
    assert {name: daemon.pids(name) for name in before} == before


def test_rm_takes_patterns(daemon: Daemon) -> None:
    """What matches is stopped and gone."""
    for name in ("gone-1", "gone-2"):
        daemon.ctl("add", "--start", "--waiting", name, "sleep", "1000")
    daemon.ctl("rm", "gone-?", "--waiting")
    assert daemon.ctl("list").stdout == "off,web-1,web-2,worker\n"


@pytest.mark.parametrize("command", ["restart", "reload"])
def test_without_a_name_all_that_run_are_renewed_by_priority(daemon: Daemon, command: str) -> None:
    """The highest first, each when the one before is done; what is stopped stays so, and circusd runs on."""
    before = {name: daemon.pids(name) for name in ("web-1", "web-2", "worker")}
    last = daemon.call("events", lines=1)["events"][-1]["number"]
    daemon.ctl(command, "--waiting")
    for name, pids in before.items():
        assert len(daemon.pids(name)) == len(pids)
        assert not set(daemon.pids(name)) & set(pids)
    assert daemon.ctl("status", "off").stdout == "stopped\n"
    assert daemon.call("ping")["pid"] == daemon.pid
    events = [e for e in daemon.call("events", lines=200)["events"] if e["number"] > last]
    spans = {
        name: [e["number"] for e in events if e.get("watcher") == name and e["event"].startswith("process.")]
        for name in before
    }
    assert max(spans["web-2"]) < min(spans["web-1"]) <= max(spans["web-1"]) < min(spans["worker"])


@pytest.mark.parametrize(
    "words",
    [
        ("status", "wbe-1"),
        ("reload", "wbe-1*"),
        ("rm", "wbe-1"),
        ("tail", "wbe-1"),
        ("incr", "wbe-1", "--match", "simple"),
    ],
)
def test_what_matches_nothing_names_the_nearest(daemon: Daemon, words: tuple[str, ...]) -> None:
    """The original's text, and what was probably meant."""
    done = daemon.ctl(*words, check=False)
    assert done.returncode == 3
    assert f"program {words[1]} not found; did you mean web-1?" in done.stderr
