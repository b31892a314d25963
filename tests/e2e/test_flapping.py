"""The plugin flapping beside a real circusd: what it stops, what it spares, and when it gives up."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.daemon import Daemon
from tests.plugins import count, said, until_it_hears
from tests.waiting import eventually

DIES = 'sh -c "sleep 0.05; exit 3"'


def test_flapping_watcher_is_stopped_tried_again_and_given_up(tmp_path: Path) -> None:
    """By the original's dotted name and keys; a watcher's own values win."""
    ini = (
        "[plugin:flap]\nuse = circus.plugins.flapping.Flapping\nattempts = 3\nwindow = 1\nretry_in = 0.3\nmax_retry = 2\n"
        f"[watcher:bad]\ncmd = {DIES}\n[watcher:own]\ncmd = {DIES}\nflapping.retry_in = 1000\n"
        f"[watcher:left]\ncmd = {DIES}\nflapping.active = false\n[watcher:good]\ncmd = sleep 1000\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: "bad flaps: stopped for good" in said(daemon, "flap"), within=30)
        text = said(daemon, "flap")
        assert [f"bad flaps: stopped, and tried again in 0.3 s, try {n} of 2" in text for n in (1, 2, 3)] == [
            True,
            True,
            False,
        ]
        eventually(lambda: daemon.watcher("own")["status"] == "stopped", within=10)
        eventually(
            lambda: "own flaps: stopped, and tried again in 1000 s, try 1 of 2" in said(daemon, "flap")
        )
        statuses = daemon.call("status")["statuses"]
        assert (statuses["bad"], statuses["own"], statuses["good"]) == ("stopped", "stopped", "active")
        assert statuses["left"] != "stopped"
        # It was tried as often as was said: three deaths each time.
        assert count(daemon, "bad", "watcher.started") == 3
        # Who starts it by hand does not want to wait, and it is judged anew.
        daemon.call("start", name="own")
        eventually(lambda: count(daemon, "own", "watcher.stopped") == 2, within=10)


def test_commanded_stops_do_not_count(tmp_path: Path) -> None:
    """Restarts in quick succession are no flapping."""
    ini = "[plugin:flap]\nuse = flapping\nattempts = 2\nwindow = 60\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        until_it_hears(daemon, "flap")
        for _ in range(5):
            daemon.call("restart", name="web", waiting=True)
        # Two real deaths are.
        for deaths in (1, 2):
            eventually(lambda: daemon.pids("web"))
            os.kill(daemon.pids("web")[0], signal.SIGKILL)
            eventually(lambda wanted=deaths: count(daemon, "web", "process.exited") == 5 + wanted)
        eventually(lambda: daemon.watcher("web")["status"] == "stopped")
        eventually(lambda: said(daemon, "flap").count("web flaps: stopped") == 1)


def test_healthy_processes_are_not_stopped_with_one_that_flaps(tmp_path: Path) -> None:
    """Each process is judged by itself; when the last one that is well begins to flap, the watcher is stopped."""
    script = tmp_path / "script"
    script.write_text(
        f'#!/bin/sh\nif test "$CIRCUS_WID" = 1 || test -e {tmp_path}/go; then sleep 0.05; exit 3; fi\nexec sleep 1000\n'
    )
    script.chmod(0o755)
    ini = (
        "[plugin:flap]\nuse = flapping\nattempts = 2\nwindow = 0.5\nmax_retry = 0\n"
        f"[watcher:web]\ncmd = {script}\nnumprocesses = 3\nbackoff = 0.2\nbackoff_max = 0.2\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        until_it_hears(daemon, "flap")
        eventually(lambda: "web: process 1 flaps" in said(daemon, "flap"), within=15)
        deaths = count(daemon, "web", "process.exited")
        eventually(lambda: count(daemon, "web", "process.exited") >= deaths + 3, within=15)
        assert daemon.watcher("web")["status"] == "active"
        (tmp_path / "go").touch()
        for pid in daemon.pids("web"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: daemon.watcher("web")["status"] == "stopped", within=15)
        eventually(lambda: "web flaps: stopped for good" in said(daemon, "flap"))
