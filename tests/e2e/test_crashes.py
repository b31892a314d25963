"""Crash reports of a real circusd: what they tell, what is counted, what is no crash, and that they outlive it."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.cli.render import status_table
from circusd.cli.terminal import Style
from circusd.client import Client
from circusd.schema.errors import CircusError
from tests.daemon import Daemon
from tests.waiting import eventually

INI = """
[circus]
stats_history = 1

[watcher:web]
cmd = sh web.sh
copy_env = true
env_file = web.env
settle_time = 0.2
working_dir = {folder}

[env:web]
PASSWORD = geheim
COLOR = red

[watcher:keeper]
cmd = sh -c 'echo kept; exec sleep 1000'
graceful_timeout = 5
settle_time = 0.1

[watcher:stubborn]
cmd = sh -c 'trap "" TERM; echo deaf; while true; do sleep 0.1; done'
graceful_timeout = 0.2

[watcher:crasher]
cmd = sh -c 'trap "kill -SEGV $$" TERM; echo ready; while true; do sleep 0.05; done'

[watcher:none]
cmd = {folder}/no-such-program
max_retry = 1

[watcher:late]
cmd = sleep 1000
ready = notify
start_timeout = 0.3
autostart = false

[watcher:flapping]
cmd = sh -c 'echo $$ fails; exit 3'
numprocesses = 20
backoff = 0
autostart = false

[watcher:varied]
cmd = sh -c 'exit $(($$ %% 100 + 20))'
numprocesses = 8
backoff = 0
autostart = false

[watcher:done]
cmd = true
respawn = false
"""

WEB = 'printf "\\033[31mbad\\033[0m \\033]0;owned\\007 line\\n" >&2\necho "<b>last</b>"\nif [ "$BAD" ]; then exit 4; fi\nexec sleep 1000\n'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all; each test has watchers of its own."""
    folder = tmp_path_factory.mktemp("crashes")
    (folder / "web.sh").write_text(WEB)
    (folder / "web.env").write_text("FROM_FILE=1\n")
    with Daemon(INI.format(folder=folder).replace("%%", "%"), folder) as running:
        yield running


def reports(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.call("crashes", name=name)["crashes"]
    return found


def last(daemon: Daemon, name: str, number: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = daemon.call("crash", name=name, id=number)["crash"]
    return found


def events(daemon: Daemon, name: str, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.call("events", name=name, kind=kind, lines=2000)["events"]
    return found


def had_a_good_start(daemon: Daemon, name: str) -> set[int]:
    """A start has been looked at in which all was well; pids of the processes that were killed to find out."""
    killed: set[int] = set()
    signals = iter(signal.valid_signals() - {*range(1, 10), *range(11, 34)})

    def is_known() -> bool:
        if any(last(daemon, name, row["id"])["since"] for row in reports(daemon, name)):
            return True
        for process in daemon.watcher(name)["processes"]:
            if process["pid"] and time.time() - process["started"] > 1:
                # Each by another signal, so that there is a report of each.
                os.kill(process["pid"], next(signals))
                killed.add(process["pid"])
        return False

    eventually(is_known, within=20, what="a good start is known")
    eventually(lambda: daemon.pids(name), within=10)
    return killed


def test_report_tells_what_is_different_since_the_last_good_start(daemon: Daemon) -> None:
    """Options with secrets hidden, the script and the file of variables; the last lines of both streams, and what it used."""
    good = had_a_good_start(daemon, "web")
    (daemon.folder / "web.sh").write_text(WEB + "# deployed\n")
    os.utime(daemon.folder / "web.env", (1, 1))
    daemon.call("set", name="web", options={"env": {"PASSWORD": "neu", "BAD": "1"}, "graceful_timeout": 7})
    report = eventually(lambda: next((r for r in reports(daemon, "web") if r["code"] == 4), None), within=15)
    report = last(daemon, "web", report["id"])
    assert report["how"] == "exited with code 4"
    changed = {one["option"]: (one["was"], one["now"]) for one in report["changes"]}
    assert changed["env.PASSWORD"] == ("********", "********")
    assert changed["env.BAD"] == (None, "********")
    assert changed["env.COLOR"] == ("********", None)
    assert changed["graceful_timeout"] == ("30.0", "7.0")
    files = {(Path(one["file"]).name, one["what"]) for one in report["files"]}
    assert files == {("web.sh", "argument"), ("web.env", "env_file")}
    assert "geheim" not in json.dumps(report)
    assert "neu" not in json.dumps(report["changes"])
    lines = {(line["stream"], line["text"]) for line in report["lines"]}
    assert ("stdout", "<b>last</b>") in lines
    assert ("stderr", "\x1b[31mbad\x1b[0m \x1b]0;owned\x07 line") in lines
    assert all(report["started"] - 1 < line["time"] <= report["ended"] for line in report["lines"])
    assert report["usage"]["minor_faults"] > 0
    assert report["pid"] not in good
    assert report["next"] == "the reload was given up, and the old processes stay"
    shown = daemon.ctl("crash", "web", str(report["id"])).stdout
    assert "<b>last</b>" in shown
    assert "\x1b" not in shown
    assert f"Its last crash: circusctl crash web {report['id']}" in daemon.ctl("explain", "web").stdout


def test_signal_of_a_stranger_is_told_from_one_of_a_command(daemon: Daemon) -> None:
    """A kill that nobody of us has sent is not put down to anybody; one by command names the person; the load before is there."""
    eventually(lambda: daemon.call("output", names=["keeper"], lines=5)["lines"], within=10)
    samples = lambda: daemon.call("history", name="keeper")["watchers"]["keeper"]["rss"]  # noqa: E731
    eventually(lambda: sum(value is not None for value in samples()) > 2, within=10)
    (pid,) = daemon.pids("keeper")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: reports(daemon, "keeper"), within=10)
    report = last(daemon, "keeper")
    assert (report["pid"], report["signal_name"], report["sent"]) == (pid, "SIGKILL", [])
    assert report["killer"].startswith("circusd did not send it")
    assert any(report["load"]["rss"])
    assert len(report["load"]["times"]) == len(report["load"]["cpu"]) == len(report["load"]["rss"])
    assert daemon.watcher("keeper")["crash"]["id"] == report["id"]
    (told,) = events(daemon, "keeper", "process.crashed")
    assert (told["report"], told["pid"], told["wid"]) == (report["id"], pid, report["wid"])
    eventually(lambda: daemon.pids("keeper"), within=10)
    daemon.ctl("signal", "keeper", "ABRT")
    eventually(lambda: len(reports(daemon, "keeper")) == 2, within=10)
    report = last(daemon, "keeper")
    assert report["signal_name"] == "SIGABRT"
    assert [one["signal"] for one in report["sent"]] == ["SIGABRT"]
    assert report["sent"][0]["by"]
    assert "something in it was wrong" in report["means"]
    assert report["next"] == "it is started again at once" or "is started again in" in report["next"]


def test_stops_are_no_crashes_but_a_crash_in_a_stop_is_one(daemon: Daemon) -> None:
    """Neither a SIGKILL after the time is over nor a good end; of what crashes while it is stopped it is told who stopped it."""
    for name, line in (("stubborn", "deaf"), ("crasher", "ready")):
        eventually(lambda name=name, line=line: line in daemon.ctl("output", name).stdout, within=10)
    daemon.ctl("stop", "stubborn", "--waiting")
    daemon.ctl("stop", "crasher", "--waiting")
    eventually(lambda: reports(daemon, "crasher"), within=10)
    report = last(daemon, "crasher")
    assert report["signal_name"] == "SIGSEGV"
    assert report["stop"]["command"] == "stop"
    assert report["stop"]["by"]
    assert [one["signal"] for one in report["sent"]] == ["SIGTERM"]
    assert report["next"] == "it was being stopped, and stays so"
    assert reports(daemon, "stubborn") == reports(daemon, "done") == []


def test_starts_that_fail_have_reports_too(daemon: Daemon) -> None:
    """One that can't be executed, and one that is not ready in time; the next step is that after the last of them."""
    eventually(lambda: daemon.watcher("none")["state"] == "failed", within=10)
    eventually(lambda: reports(daemon, "none")[0]["count"] == 2, within=10)
    report_of_none = last(daemon, "none")
    told = [report_of_none[key] for key in ("pid", "stage", "lines")]
    assert told == [None, "exec", []]
    assert report_of_none["next"].startswith("it was given up")
    daemon.ctl("start", "late")
    eventually(lambda: reports(daemon, "late"), within=10)
    report = last(daemon, "late")
    assert report["how"] == "was not ready within 0.3 s: it has not said READY=1"
    assert (report["stage"], report["signal_name"]) == ("ready", "SIGTERM")
    daemon.ctl("stop", "late", "--waiting")
    table = status_table(daemon.call("inspect"), Style(terminal=True))
    assert f"1 failed, crash {report_of_none['id']}" in table


def test_same_ends_are_counted_and_others_are_bounded(daemon: Daemon) -> None:
    """Twenty processes that fail again and again make one report; of eight with ever other codes some are counted."""
    daemon.ctl("start", "flapping", "--waiting", check=False)
    eventually(lambda: sum(row["count"] for row in reports(daemon, "flapping")) > 100, within=20)
    daemon.ctl("stop", "flapping", "--waiting")
    (row,) = reports(daemon, "flapping")
    assert row["how"] == "exited with code 3"
    assert len(events(daemon, "flapping", "process.crashed")) == 1
    daemon.ctl("start", "varied", "--waiting", check=False)
    eventually(lambda: sum(row["others"] for row in reports(daemon, "varied")) > 100, within=20)
    daemon.ctl("stop", "varied", "--waiting")
    assert 1 < len(reports(daemon, "varied")) <= 20


def test_what_is_not_there_is_said(daemon: Daemon) -> None:
    """A watcher without a report, a number that no report has, a number that is none."""
    with Client(daemon.endpoint, timeout=20) as client:
        for given, words in (
            ({"name": "done"}, "done has no crash report"),
            ({"name": "done", "id": 7}, "done has no crash report 7"),
            ({"name": "done", "id": "x"}, "whole number"),
            ({"name": "nobody"}, "not found"),
        ):
            with pytest.raises(CircusError, match=words):
                client.call("crash", given)


def test_reports_outlive_circusd_and_go_with_their_watcher(tmp_path: Path) -> None:
    """In a file of its user alone, of which damaged lines are passed over; what was removed has none when it is added again."""
    text = "[watcher:deaf]\ncmd = sh -c 'trap \"\" TERM; echo deaf; while true; do sleep 0.1; done'\ngraceful_timeout = 60\n"
    text += "[watcher:none]\ncmd = /no/such-program\nmax_retry = 0\n[env:none]\nPASSWORD = geheim\n"
    with Daemon(text, tmp_path) as daemon:
        daemon.ctl("add", "--start", "--no-respawn", "short", "sh", "-c", "exit 9")
        eventually(lambda: reports(daemon, "short") and reports(daemon, "none"), within=10)
        eventually(lambda: "deaf" in daemon.ctl("output", "deaf").stdout, within=10)
        (deaf,) = daemon.pids("deaf")
        os.kill(daemon.pid, signal.SIGTERM)
        eventually(lambda: daemon.call("inspect")["daemon"]["stopping"], within=10)
        # The last moments of circusd are in time for a report.
        os.kill(deaf, signal.SIGKILL)
        assert daemon.stop() == 0
        (file,) = daemon.state.rglob("crashes.jsonl")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "geheim" not in file.read_text()
        with file.open("ab") as damaged:
            damaged.write(b'{"watcher": "none", "id": \n\xff\n')
        daemon.start()
        daemon.ctl("set", "deaf", "graceful_timeout", "0.1", "--waiting")
        assert last(daemon, "deaf")["stop"]["command"] == "quit"
        # The same end as before is counted with it.
        eventually(lambda: reports(daemon, "none")[0]["count"] == 2, within=10)
        assert len(reports(daemon, "none")) == 1
        daemon.ctl("add", "--start", "--no-respawn", "short", "sh", "-c", "exit 8")
        eventually(lambda: len(reports(daemon, "short")) == 2, within=10)
        assert last(daemon, "short")["how"] == "exited with code 8"
        daemon.ctl("rm", "short", "--waiting")
        daemon.ctl("add", "short", "true")
        assert reports(daemon, "short") == []
