"""Looks that tell whether a process is alive: what becomes of one that fails them, and of several at once; with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

SERVER = """
import http.server, pathlib, sys
ill = pathlib.Path(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"" if not ill.exists() else ill.read_bytes()
        self.send_response(503 if body else 200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

WAITS = re.compile("is replaced once it is known how process [123] is")

INI = """
[watcher:web]
cmd = {python} {folder}/server.py {port} {folder}/ill-web
alive = http://127.0.0.1:{port}/alive
alive_interval = 0.1
alive_timeout = 1
alive_failures = 2
alive_start_period = 60
settle_time = 0.1
[watcher:several]
cmd = sleep 1000
numprocesses = 3
alive = exec:{folder}/look $(circus.wid)
alive_interval = 0.1
alive_failures = 2
working_dir = {folder}
[watcher:told]
cmd = sleep 1000
alive = unix:{folder}/no-such
alive_interval = 0.1
alive_replace = 0
[watcher:young]
cmd = sleep 1000
alive = tcp://127.0.0.1:{closed}
alive_interval = 0.1
alive_failures = 1
alive_start_period = 1000
[watcher:once]
cmd = sleep 1000
alive = tcp://127.0.0.1:{closed}
alive_interval = 0.1
alive_failures = 1
respawn = no
autostart = no
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Path]]:
    """One daemon with a watcher for each promise, and the folder where a file makes a process ill."""
    folder = tmp_path_factory.mktemp("alive")
    (folder / "server.py").write_text(SERVER)
    (folder / "look").write_text(
        '#!/bin/sh\n[ -e ill-$1 ] || exit 0\nprintf "cache of $1 is \\033[2Jdown\\n"\nexit 4\n'
    )
    (folder / "look").chmod(0o755)
    values = {"python": sys.executable, "folder": folder, "port": free_port(), "closed": free_port()}
    with Daemon(INI.format(**values), folder) as daemon:
        yield daemon, folder


def processes(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.watcher(name)["processes"]
    return found


def health(daemon: Daemon, name: str) -> list[str]:
    return [(one["health"] or {}).get("state", "") for one in processes(daemon, name)]


def told(daemon: Daemon, name: str) -> list[str]:
    events = json.loads(daemon.ctl("--json", "events", name).stdout)["events"]
    return [event["text"] for event in events]


def test_one_that_fails_its_looks_is_replaced_with_the_reason(rig: tuple[Daemon, Path]) -> None:
    """After so many in a row, by what its server says; and one that does not answer by that."""
    daemon, folder = rig
    eventually(lambda: health(daemon, "web") == ["healthy"], within=60)
    (before,) = processes(daemon, "web")
    assert before["starts"] == 1
    (folder / "ill-web").write_text("database is \x1b[31mdown" + "!" * 1000 + "\nand more")
    eventually(lambda: processes(daemon, "web")[0]["starts"] > 1, within=60)
    (folder / "ill-web").unlink()
    eventually(lambda: health(daemon, "web") == ["healthy"], within=60)
    why = next(text for text in told(daemon, "web") if "unhealthy" in text)
    assert why.startswith("1 is unhealthy: status 503: database is  [31mdown!!!")
    assert len(why) < 250
    assert "1 is healthy" in told(daemon, "web")
    (now,) = processes(daemon, "web")
    os.kill(now["pid"], signal.SIGSTOP)
    eventually(lambda: processes(daemon, "web")[0]["pid"] not in (now["pid"], None), within=60)
    eventually(lambda: health(daemon, "web") == ["healthy"], within=60)
    assert processes(daemon, "web")[0]["exit"]["text"] == "was unhealthy: no answer within 1 s"


def at_a_time(events: list[dict[str, Any]]) -> int:
    """How many processes were at most on their way between their stop and the finding about the next one in their place."""
    out: set[int] = set()
    most = 0
    for event in events:
        if event["event"] == "process.signalled":
            out.add(event["wid"])
        elif event["event"] in ("process.healthy", "process.unhealthy"):
            out.discard(event["wid"])
        most = max(most, len(out))
    return most


def test_of_several_that_fall_ill_together_one_is_replaced_at_a_time(rig: tuple[Daemon, Path]) -> None:
    """The others run on until it is known how the new one is; all say so meanwhile."""
    daemon, folder = rig
    eventually(lambda: health(daemon, "several") == ["healthy"] * 3, within=60)
    for wid in (1, 2, 3):
        (folder / f"ill-{wid}").touch()
    eventually(lambda: all(one["starts"] > 1 for one in processes(daemon, "several")), within=60)
    assert eventually(lambda: daemon.watcher("several")["state"] == "unhealthy", within=60)
    explained = eventually(
        lambda: next(filter(WAITS.search, [daemon.ctl("explain", "several").stdout]), ""),
        within=60,
    )
    assert "exit code 4: cache of" in explained
    assert "\x1b" not in explained
    for wid in (1, 2, 3):
        (folder / f"ill-{wid}").unlink()
    eventually(lambda: health(daemon, "several") == ["healthy"] * 3, within=60)
    events = json.loads(daemon.ctl("--json", "events", "several").stdout)["events"]
    assert at_a_time(events) == 1
    assert daemon.watcher("several")["state"] == "running"


def test_what_is_only_to_be_told_is_only_told(rig: tuple[Daemon, Path]) -> None:
    """Without replacing, within the start period, and where nothing is started again."""
    daemon, _ = rig
    eventually(lambda: health(daemon, "told") == ["unhealthy"], within=60)
    said = daemon.ctl("explain", "told").stdout
    assert "No such file or directory; as alive_replace is 0, nobody replaces it." in said
    assert processes(daemon, "told")[0]["starts"] == 1
    eventually(lambda: (processes(daemon, "young")[0]["health"] or {}).get("text"), within=60)
    assert health(daemon, "young") == ["starting"]
    assert "left in which that does not count: Connection refused" in daemon.ctl("explain", "young").stdout
    daemon.ctl("start", "once")
    eventually(lambda: processes(daemon, "once")[0]["state"] == "exited", within=60)
    assert processes(daemon, "once")[0]["exit"]["text"] == "was unhealthy: Connection refused"
