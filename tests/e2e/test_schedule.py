"""Watchers that run at times of the clock: real runs, how they end, what is known of them, and that it outlives circusd."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from circusd.schema.errors import Refused
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

INI = """
[watcher:task]
cmd = sh -c 'echo begun; echo problem >&2; exit $(cat {folder}/code)'
schedule = @yearly
schedule_timezone = Europe/Berlin

[watcher:second]
cmd = sh -c 'echo tick >> {folder}/ticks'
schedule = * * * * * *
autostart = false

[watcher:long]
cmd = sh -c 'trap "echo asked; exit 0" TERM; echo waits; while true; do sleep 0.02; done'
schedule = @yearly
graceful_timeout = 5

[watcher:missing]
cmd = {folder}/no-such-program
schedule = @yearly

[watcher:plain]
cmd = sleep 1000

[watcher:again]
cmd = sh -c 'echo x >> {folder}/tries; test $(wc -l < {folder}/tries) -ge 3'
schedule = @yearly
respawn_on = failure
backoff = 0.01
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("schedule")
    (folder / "code").write_text("0")
    with Daemon(INI.format(folder=folder), folder) as running:
        yield running


def runs(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    """The newest first."""
    found: list[dict[str, Any]] = daemon.call("runs", name=name, lines=200)["runs"]
    return found


def view(daemon: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.watcher(name)["schedule"]
    return found


@pytest.mark.parametrize(("ends", "code"), [("0", 0), ("7", 7), ("$(kill -9 $$)", 137)])
def test_who_waits_for_a_run_has_its_exit_code(daemon: Daemon, ends: str, code: int) -> None:
    """128 and the signal's number where one has ended it; and the run is listed with its output."""
    (daemon.folder / "code").write_text(ends)
    if code == 137:
        daemon.ctl("set", "task", "cmd", "sh -c 'echo begun; echo problem >&2; kill -9 $$'", "--wait")
    assert daemon.ctl("run", "task", "--wait", check=False).returncode == code
    run = runs(daemon, "task")[0]
    assert run["result"] == ("failed" if code else "succeeded")
    assert (run["why"], bool(run["by"]), run["planned"]) == ("by hand", True, None)
    assert set(run["lines"]) == {"1.stdout", "1.stderr"}
    first, last = run["lines"]["1.stdout"]
    lines = daemon.call("output", name="task", lines=100)["lines"]
    mine = [line["text"] for line in lines if line["stream"] == "stdout" and first <= line["number"] <= last]
    assert mine == ["begun"]
    told = daemon.ctl("tail", "task", "--since", str(run["began"]), "--until", str(run["ended"])).stdout
    assert told.count("begun") == 1


def test_a_run_that_could_not_be_started_says_why_and_the_schedule_goes_on(daemon: Daemon) -> None:
    """There is no second try, and the next moment counts."""
    done = daemon.ctl("run", "missing", "--wait", check=False)
    assert done.returncode == 1
    assert "could not be started" in done.stdout
    assert [run["result"] for run in runs(daemon, "missing")] == ["failed"]
    shown = daemon.watcher("missing")
    assert (shown["status"], shown["state"], shown["schedule"]["in_force"]) == ("active", "exited", True)
    assert "Its last run failed" in daemon.ctl("explain", "missing").stdout


def test_one_that_fails_is_tried_again_within_its_run_where_that_is_asked_for(daemon: Daemon) -> None:
    """One run, three processes."""
    assert daemon.ctl("run", "again", "--wait").returncode == 0
    (run,) = runs(daemon, "again")
    assert (run["result"], run["code"]) == ("succeeded", 0)
    assert (daemon.folder / "tries").read_text() == "x\n" * 3


def test_a_schedule_is_in_force_from_start_to_stop_and_runs_by_itself(daemon: Daemon) -> None:
    """Each planned second at most once; after the stop none, and a run by hand leaves it so."""
    assert not view(daemon, "second")["in_force"]
    assert "not in force" in daemon.ctl("schedule", "second").stdout
    daemon.ctl("start", "second", "--wait")
    done = eventually(
        lambda: (
            [r for r in runs(daemon, "second") if r["result"] == "succeeded"][1:] and runs(daemon, "second")
        ),
        within=20,
    )
    planned = [run["planned"] for run in done]
    assert all(run["why"] == "planned" for run in done)
    assert len(set(planned)) == len(planned)
    assert all(moment == int(moment) <= run["began"] for moment, run in zip(planned, done, strict=True))
    assert daemon.watcher("second")["restarts"] == 0
    daemon.ctl("stop", "second", "--wait")
    number = len(runs(daemon, "second"))
    assert daemon.ctl("run", "second", "--wait").returncode == 0
    assert len(runs(daemon, "second")) == number + 1
    assert daemon.call("status", name="second")["status"] == "stopped"
    assert "is not in force until somebody starts it" in daemon.ctl("explain", "second").stdout


def test_a_run_goes_on_alone_waits_or_takes_the_place_of_another(daemon: Daemon) -> None:
    """As schedule_overlap says; who waits for one that was replaced is told so."""
    daemon.ctl("run", "long")
    eventually(lambda: "waits" in daemon.ctl("output", "long").stdout)
    refused = daemon.ctl("run", "long", check=False)
    assert (refused.returncode, "a run is under way" in refused.stderr) == (3, True)
    daemon.ctl("set", "long", "schedule_overlap", "queue", "--wait")
    daemon.ctl("run", "long")
    assert view(daemon, "long")["queued"]
    daemon.ctl("set", "long", "schedule_overlap", "replace", "--wait")
    with subprocess.Popen(
        [str(BIN / "circusctl"), "run", "long", "--wait"],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        eventually(
            lambda: [run["result"] for run in runs(daemon, "long")] == ["running", "skipped", "replaced"]
        )
        assert not view(daemon, "long")["queued"]
        daemon.ctl("restart", "long", "--wait")
        out, _ = waiting.communicate(timeout=20)
    # It ended well, and it did so because it was told to.
    assert (waiting.returncode, "stopped" in out) == (1, True)
    assert runs(daemon, "long")[0]["text"] == "by restart"
    assert view(daemon, "long")["in_force"]


def test_a_run_that_takes_too_long_is_asked_to_end_as_by_a_stop(daemon: Daemon) -> None:
    """With its stop signal and grace time, and it has failed though its exit code is 0."""
    daemon.ctl("set", "long", "run_timeout", "0.3", "--wait")
    done = daemon.ctl("run", "long", "--wait", check=False)
    assert (done.returncode, "timed out" in done.stdout) == (1, True)
    run = runs(daemon, "long")[0]
    assert (run["result"], run["code"], run["text"]) == ("timed out", 0, "it was not over after 0.3 s")
    assert "asked" in daemon.ctl("output", "long").stdout


def test_what_is_no_schedule_or_has_none_is_refused_with_a_way_out(daemon: Daemon) -> None:
    """Before anything changes."""
    refused = daemon.ctl("run", "plain", check=False)
    assert "plain has no schedule, and so no runs" in refused.stderr
    assert "circusctl start plain" in refused.stderr
    wrong = daemon.ctl("set", "task", "schedule", "0 3 * * MONDAY", check=False)
    assert "did you mean MON?" in wrong.stderr
    assert view(daemon, "task")["schedule"] == "@yearly"
    assert daemon.call("schedule", name="plain")["watchers"] == []


def test_events_and_the_table_tell_of_runs(daemon: Daemon) -> None:
    """With what they were for and how they ended."""
    daemon.ctl("run", "task", "--wait", check=False)
    told = daemon.call("events", name="task", kind="run")["events"][-2:]
    assert [event["event"] for event in told] == ["run.started", "run.ended"]
    assert told[0]["why"] == "by hand"
    assert told[1]["run"] == told[0]["run"]
    table = daemon.ctl("schedule").stdout
    assert "@yearly Europe/Berlin" in table
    assert "Europe/Berlin, in " in table
    assert "plain" not in table
    assert "next run" in daemon.watcher("task")["explain"]


def test_runs_outlive_circusd_and_what_passed_meanwhile_is_caught_up_once(tmp_path: Path) -> None:
    """One that was under way when circusd was killed is told as lost; one that has run is not run again."""
    # Far from any moment: one that is a minute late at most is not missed.
    minute = (datetime.now(UTC).minute + 30) % 60
    text = f"""
[watcher:hourly]
cmd = {sys.executable} -c "import time; time.sleep(1000)"
schedule = {minute} * * * *
schedule_timezone = UTC
schedule_catch_up = true

[watcher:forgetful]
cmd = true
schedule = {minute} * * * *
schedule_timezone = UTC
"""
    with Daemon(text, tmp_path) as daemon:
        daemon.ctl("run", "hourly")
        found = eventually(lambda: next(iter((tmp_path / "state").rglob("runs.json")), None))
        eventually(lambda: '"running"' in found.read_text())
    content = json.loads(found.read_text())
    for row in content["watchers"]:
        row["decided"] -= 3 * 3600
        if row["name"] == "hourly":
            row["runs"][-1].update(result="running", ended=None)
    found.write_text(json.dumps(content))
    with Daemon(text, tmp_path) as daemon:
        eventually(lambda: [run["result"] for run in runs(daemon, "hourly")] == ["running", "missed", "lost"])
        assert [run["why"] for run in runs(daemon, "hourly")][::2] == ["caught up", "by hand"]
        assert [run["result"] for run in runs(daemon, "forgetful")] == ["missed"]
        # Its number goes on, and who waits is told when the watcher goes.
        with Client(daemon.endpoint, timeout=20) as client, pytest.raises(Refused, match="under way"):
            client.call("run", {"name": "hourly"})
        daemon.ctl("rm", "hourly", "--wait")
        assert "not found" in daemon.ctl("runs", "hourly", check=False).stderr
