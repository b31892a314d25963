"""Commands on their way: they are listed, say how far they are, and can be cancelled where that is sane."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

CONFIGURATION = """
[watcher:web]
cmd = sleep 1000
numprocesses = 2

[watcher:slow]
cmd = sleep 1000
numprocesses = 4
warmup_delay = 600
autostart = false
priority = 9

[watcher:deaf]
cmd = sh -c 'trap "" TERM; echo up; while true; do sleep 0.1; done'
copy_env = true
graceful_timeout = 600
autostart = false
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path) as running:
        yield running
        # What does not hear the signal is ended now, and not after ten minutes.
        for pid in running.pids("deaf"):
            os.kill(pid, signal.SIGKILL)


class Line:
    """A line of circusctl that goes on meanwhile."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self._daemon = daemon
        self.process = subprocess.Popen(
            [str(BIN / "circusctl"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=daemon.environ,
        )

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it printed."""
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, out, err


def jobs(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.call("jobs")["jobs"]
    return found


def job(daemon: Daemon, command: str, *, state: str = "under way", done: int = 0) -> dict[str, Any]:
    """The job of that command, once there is one in that state."""

    def find() -> dict[str, Any] | None:
        rows = [
            j for j in jobs(daemon) if (j["command"], j["state"]) == (command, state) and j["done"] >= done
        ]
        return rows[0] if rows else None

    return eventually(find, what=f"{command} is {state}")


def started_deaf(daemon: Daemon) -> None:
    daemon.ctl("start", "deaf", "--waiting")
    eventually(lambda: "up" in daemon.ctl("tail", "deaf").stdout, what="it does not hear SIGTERM")


def test_what_waits_is_listed_and_its_caller_told_when_it_is_cancelled(daemon: Daemon) -> None:
    """With its id, who asked for it and how far it is; the one under way goes on."""
    daemon.ctl("start", "slow")
    first = job(daemon, "start", done=1)
    assert (first["watcher"], first["done"], first["total"], first["unit"]) == ("slow", 1, 4, "process")
    assert first["by"]
    waiting = Line(daemon, "incr", "slow", "--waiting")
    second = job(daemon, "incr", state="waiting")
    shown = daemon.ctl("jobs").stdout
    assert f"{first['id']} start slow: 1 of 4\n" in shown
    assert f"{second['id']} incr slow: waiting\n" in shown
    assert daemon.ctl("cancel", str(second["id"])).stdout == "ok\n"
    code, _, err = waiting.end()
    assert code == 3
    assert re.fullmatch(r"error: slow: incr was cancelled by .+\n", err)
    assert [j["id"] for j in jobs(daemon)] == [first["id"]]
    done = daemon.ctl("cancel", str(second["id"]), check=False)
    assert (done.returncode, f"no command with the id {second['id']}" in done.stderr) == (3, True)


def test_the_rest_of_a_start_that_is_cancelled_is_not_started(daemon: Daemon) -> None:
    """What runs stays, and no more comes by itself."""
    starting = Line(daemon, "start", "slow", "--waiting")
    number = job(daemon, "start", done=1)["id"]
    (pid,) = daemon.pids("slow")
    daemon.ctl("cancel", str(number))
    code, _, err = starting.end()
    assert code == 3
    assert re.fullmatch(r"error: slow: cancelled by .+, numprocesses is 1 now\n", err)
    view = daemon.watcher("slow")
    assert (daemon.pids("slow"), view["numprocesses"], view["status"]) == ([pid], 1, "active")
    assert jobs(daemon) == []


def test_a_reload_that_is_cancelled_leaves_the_old_processes(daemon: Daemon) -> None:
    """The new ones are stopped again; when they have taken over, it is too late."""
    old = daemon.pids("web")
    daemon.ctl("set", "web", "warmup_delay", "600", "--waiting")
    reloading = Line(daemon, "reload", "web", "--waiting")
    number = job(daemon, "reload")["id"]
    daemon.ctl("cancel", str(number))
    code, _, err = reloading.end()
    assert (code, "the old processes stay" in err) == (3, True)
    assert daemon.pids("web") == old


def test_what_is_being_stopped_can_not_be_kept(daemon: Daemon) -> None:
    """The reason is told, and the stop goes on; nor can the end of circusd or a new configuration be stopped half-way."""
    started_deaf(daemon)
    daemon.ctl("stop", "deaf")
    number = job(daemon, "stop")["id"]
    done = daemon.ctl("cancel", str(number), check=False)
    assert (done.returncode, done.stderr) == (3, "error: deaf: its processes are being stopped already\n")
    assert job(daemon, "stop")["id"] == number


def test_of_a_command_for_all_what_is_not_begun_is_not_begun(daemon: Daemon) -> None:
    """One id for the whole; its caller is told what was left out."""
    daemon.ctl("stop", "--waiting")
    daemon.ctl("set", "slow", "autostart", "true", "--waiting")
    starting = Line(daemon, "start", "--waiting")
    whole = eventually(lambda: next((j for j in jobs(daemon) if j["parts"] and j["parts"][0]["done"]), None))
    assert (whole["command"], whole["watcher"], whole["unit"]) == ("start", "", "watcher")
    assert (whole["done"], whole["total"]) == (0, 2)
    assert [(p["watcher"], p["state"]) for p in whole["parts"]] == [("slow", "under way")]
    daemon.ctl("cancel", str(whole["id"]))
    code, _, err = starting.end()
    assert code == 3
    assert "web: not begun, start was cancelled" in err
    assert daemon.ctl("status", "web").stdout == "stopped\n"
    assert len(daemon.pids("slow")) == 1


def test_a_wait_is_listed_and_ends_with_its_connection_or_by_command(daemon: Daemon) -> None:
    """Nobody is left waiting for a client that has gone."""
    waiting, leaving = Line(daemon, "wait", "slow"), Line(daemon, "wait", "deaf")
    eventually(
        lambda: {(j["command"], j["watcher"]) for j in jobs(daemon)} == {("wait", "slow"), ("wait", "deaf")}
    )
    leaving.process.kill()
    leaving.end()
    eventually(lambda: [j["watcher"] for j in jobs(daemon)] == ["slow"], what="who has left waits no more")
    daemon.ctl("cancel", str(jobs(daemon)[0]["id"]))
    code, _, err = waiting.end()
    assert (code, "the wait was cancelled by" in err) == (3, True)


def test_a_watcher_that_is_removed_ends_the_wait(daemon: Daemon) -> None:
    """With that said; unless it was waited for."""
    waiting, gone = Line(daemon, "wait", "slow"), Line(daemon, "wait", "slow", "--for", "removed")
    eventually(lambda: len(jobs(daemon)) == 2)
    daemon.ctl("rm", "slow")
    code, _, err = waiting.end()
    assert (code, err) == (3, "error: slow does not get to running: it has been removed\n")
    assert gone.end() == (0, "slow: removed\n", "")


def on_a_terminal(daemon: Daemon, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """A line of circusctl whose standard error is a terminal, and the other side of it."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", 0) as terminal:
        process = subprocess.Popen(
            [str(BIN / "circusctl"), *words],
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            env={**daemon.environ, "TERM": "xterm"},
        )
    return process, ours


def test_progress_is_shown_on_a_terminal_and_gone_at_the_end(daemon: Daemon) -> None:
    """One line, rewritten in place; on a pipe nothing, and a client that does not ask for it gets one message."""
    process, screen = on_a_terminal(daemon, "start", "slow", "--waiting")
    try:
        seen = b""

        def reads(text: bytes) -> bool:
            nonlocal seen
            while select.select([screen], [], [], 0)[0]:
                try:
                    seen += os.read(screen, 4096)
                except OSError:  # the other side is closed
                    break
            return text in seen

        eventually(lambda: reads(b"start slow: 1 of 4"), what="progress")
        daemon.ctl("stop", "slow", "--waiting")
        assert process.wait(20) == 3
        eventually(lambda: reads(b"superseded by stop"), what="the error")
        assert b"\r\x1b[K" in seen
        assert b"\n" not in seen.partition(b"superseded")[0].replace(b"error: ", b"")
    finally:
        process.kill()
        process.wait()
        os.close(screen)
    piped = Line(daemon, "start", "slow", "--waiting")
    job(daemon, "start")
    daemon.ctl("stop", "slow", "--waiting")
    assert piped.end()[2] == "error: slow: superseded by stop\n"


def test_progress_comes_before_the_reply_and_only_where_it_is_asked_for(daemon: Daemon) -> None:
    """As pushes with the id of the request; they are not taken for its result when the request is repeated."""
    told: list[dict[str, Any]] = []
    with Client(daemon.endpoint, timeout=20) as client:
        reply = client.request("restart", {"name": "web"}, waiting=True, progress=told.append)
        assert set(reply["info"]) == {"started", "stopped", "kept"}
        plain = client.request("restart", {"name": "web"}, waiting=True)
        assert "push" not in plain
    assert told
    assert {(row["command"], row["watcher"]) for row in told} == {("restart", "web")}


def test_nothing_is_kept_of_what_has_ended(daemon: Daemon) -> None:
    """However it ended."""
    for words in (("restart", "--waiting"), ("start", "nope"), ("set", "web", "max_age", "0"), ("stats",)):
        daemon.ctl(*words, check=False)
    eventually(lambda: jobs(daemon) == [])
