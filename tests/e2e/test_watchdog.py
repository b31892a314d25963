"""Signs of life as services of systemd give them, by libsystemd's own functions, and what becomes of one that gives none."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

SERVICE = """
import ctypes, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1]) / os.environ["CIRCUS_WATCHER"]
library = ctypes.CDLL("libsystemd.so.0")

def tell(text):
    assert library.sd_notify(0, text.encode()) > 0

def end(signum, frame):
    tell("EXTEND_TIMEOUT_USEC=60000000")
    # Longer than it has without a word.
    time.sleep(1)
    (folder / "ended").write_text("by itself")
    os._exit(0)

if sys.argv[2:] == ["slow"]:
    signal.signal(signal.SIGTERM, end)
if sys.argv[2:] == ["forking"]:
    if os.fork():
        while not (folder / "leave").exists():
            time.sleep(0.01)
        os._exit(0)
    os.setsid()
    tell(f"MAINPID={os.getpid()}")
    print("speaks for itself", flush=True)
usec = ctypes.c_uint64()
told = library.sd_watchdog_enabled(0, ctypes.byref(usec))
(folder / "told").write_text(f"{told} {usec.value}")
tell("READY=1\\nSTATUS=serves")
beats = 0
while True:
    for path in sorted(folder.glob("say-*")):
        text = path.read_text()
        path.unlink()
        tell(text)
    tell("WATCHDOG=1")
    beats += 1
    (folder / ".beats").write_text(str(beats))
    (folder / ".beats").rename(folder / "beats")
    time.sleep(0.02)
"""

INI = """
[watcher:web]
cmd = {service}
ready = notify
watchdog = 2
autostart = no
[watcher:plain]
cmd = {service}
ready = notify
autostart = no
[watcher:slow]
cmd = {service} slow
ready = notify
graceful_timeout = 0.5
autostart = no
[watcher:fork]
cmd = {service} forking
ready = notify
autostart = no
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Path]]:
    """One daemon, and the folder in which each service has one of its own."""
    folder = tmp_path_factory.mktemp("watchdog")
    (folder / "service.py").write_text(SERVICE)
    for name in ("web", "plain", "slow", "fork"):
        (folder / name).mkdir()
    with Daemon(INI.format(service=f"{sys.executable} {folder}/service.py {folder}"), folder) as daemon:
        yield daemon, folder


def first(daemon: Daemon, name: str) -> dict[str, Any]:
    found: dict[str, Any] = daemon.watcher(name)["processes"][0]
    return found


def say(folder: Path, name: str, text: str) -> None:
    """The service of that name is told to say so."""
    new = folder / name / ".say"
    new.write_text(text)
    new.rename(folder / name / "say-1")


def is_again_ready(daemon: Daemon, name: str, before: int) -> bool:
    process = first(daemon, name)
    return process["state"] == "ready" and process["pid"] != before


def test_a_service_is_ready_watched_and_replaced_when_it_hangs(rig: tuple[Daemon, Path]) -> None:
    """It is told how often, its beats keep it, and when they fail to come it gets SIGABRT and another takes its place."""
    daemon, folder = rig
    daemon.ctl("start", "web", "--waiting")
    process = first(daemon, "web")
    assert (process["state"], process["said"]) == ("ready", "serves")
    assert (folder / "web" / "told").read_text() == "1 2000000"
    # Longer than it may be silent.
    eventually(lambda: int((folder / "web" / "beats").read_text()) > 120, within=60)
    assert first(daemon, "web")["starts"] == 1
    os.kill(process["pid"], signal.SIGSTOP)
    eventually(lambda: is_again_ready(daemon, "web", process["pid"]), within=60)
    ended = first(daemon, "web")["exit"]
    assert (ended["signal"], ended["text"]) == (6, "was unhealthy: it has not said WATCHDOG=1 for 2 s")
    told = {e["event"]: e["text"] for e in daemon.call("events", name="web")["events"]}
    assert told["process.unhealthy"] == "1 is unhealthy: it has not said WATCHDOG=1 for 2 s"
    assert "is unhealthy" in daemon.ctl("events", "web").stdout


def test_a_process_ends_itself_by_the_watchdog_and_changes_it(rig: tuple[Daemon, Path]) -> None:
    """Also where the option asks for none: by WATCHDOG=trigger, and by WATCHDOG_USEC."""
    daemon, folder = rig
    daemon.ctl("start", "plain", "--waiting")
    assert (folder / "plain" / "told").read_text() == "0 0"
    before = first(daemon, "plain")["pid"]
    say(folder, "plain", "WATCHDOG=trigger")
    eventually(lambda: is_again_ready(daemon, "plain", before), within=60)
    assert first(daemon, "plain")["exit"]["text"] == "was unhealthy: it has said WATCHDOG=trigger"
    before = first(daemon, "plain")["pid"]
    say(folder, "plain", "WATCHDOG_USEC=1500000\nSTATUS=changed")
    eventually(lambda: first(daemon, "plain")["said"] == "changed", within=60)
    os.kill(before, signal.SIGSTOP)
    eventually(lambda: is_again_ready(daemon, "plain", before), within=60)
    assert first(daemon, "plain")["exit"]["text"] == "was unhealthy: it has not said WATCHDOG=1 for 1.5 s"


def test_a_stop_that_takes_longer_says_so_and_is_waited_for(rig: tuple[Daemon, Path]) -> None:
    """By EXTEND_TIMEOUT_USEC; SIGKILL would have come long before."""
    daemon, folder = rig
    daemon.ctl("start", "slow", "--waiting")
    daemon.ctl("stop", "slow", "--waiting", timeout=60)
    assert (folder / "slow" / "ended").read_text() == "by itself"


def test_the_process_that_has_the_work_is_followed_when_its_parent_has_ended(
    rig: tuple[Daemon, Path],
) -> None:
    """It is the watcher's, writes to its log, is stopped with it, and is replaced when it dies, with its exit status."""
    daemon, folder = rig
    daemon.ctl("start", "fork", "--waiting")
    process = first(daemon, "fork")
    main = process["main_pid"]
    assert main not in (None, process["pid"])
    (folder / "fork" / "leave").touch()
    eventually(lambda: first(daemon, "fork")["pid"] == main, within=60)
    (folder / "fork" / "leave").unlink()
    after = first(daemon, "fork")
    assert (after["state"], after["starts"], after["main_pid"]) == ("ready", 1, None)
    assert "speaks for itself" in daemon.ctl("tail", "fork").stdout
    say(folder, "fork", "STATUS=still heard")
    eventually(lambda: first(daemon, "fork")["said"] == "still heard", within=60)
    os.kill(main, signal.SIGUSR1)
    eventually(lambda: first(daemon, "fork")["starts"] == 2, within=60)
    assert first(daemon, "fork")["exit"]["signal"] == signal.SIGUSR1
    eventually(lambda: first(daemon, "fork")["state"] == "ready", within=60)
    again = first(daemon, "fork")
    (folder / "fork" / "leave").touch()
    eventually(lambda: first(daemon, "fork")["pid"] == again["main_pid"], within=60)
    daemon.ctl("stop", "fork", "--waiting", timeout=60)
    assert not Path(f"/proc/{again['main_pid']}").exists()
    events = json.loads(daemon.ctl("--json", "events", "fork").stdout)["events"]
    assert f"1 is pid {main} now, in place of pid {process['pid']}, which has ended" in [
        e["text"] for e in events
    ]
