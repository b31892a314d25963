"""Very many watchers: everything stays in its order, nothing is linear that need not be, and commands are answered meanwhile."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from circusd.client import Client
from circusd.schema.errors import CircusError
from tests.daemon import Daemon
from tests.faults.measures import events, is_alive
from tests.waiting import eventually


class Asking(threading.Thread):
    """Asks again and again how many processes there are; keeps what it was answered, each number once."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.daemon_ = daemon
        self.seen: list[int] = []
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.is_set():
            try:
                with Client(self.daemon_.endpoint, timeout=30, patience=0) as client:
                    while not self._enough.wait(0.002):
                        number = client.call("numprocesses", {})["numprocesses"]
                        if [number] != self.seen[-1:]:
                            self.seen.append(number)
            except CircusError:
                # Not there yet, or not any more.
                self._enough.wait(0.01)

    def __enter__(self) -> Asking:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self.join()


@pytest.mark.parametrize(
    "number",
    [300, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_many_watchers_are_started_changed_and_stopped_while_commands_are_answered(
    number: int, tmp_path: Path
) -> None:
    """In order of their names, as everything else has the same priority; a reload without a change touches none."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4 * number:
        pytest.skip("needs more descriptors than the hard limit allows")
    names = [f"w{i:04}" for i in range(number)]
    ini = "".join(f"[watcher:{name}]\ncmd = sleep 100000\n" for name in names)
    daemon = Daemon(ini, tmp_path)
    with Asking(daemon) as starting:
        daemon.start_only()
        try:
            daemon.wait_until_up(within=300)
        except BaseException:
            daemon.__exit__(None, None, None)
            raise
    # Answered in the middle of it, and more than once.
    assert len([n for n in starting.seen if 0 < n < number]) > 2, starting.seen
    with_pids = daemon.call("inspect")["watchers"]
    try:
        assert [w["name"] for w in with_pids] == names
        pids = [w["processes"][0]["pid"] for w in with_pids]
        # As far back as events are kept.
        started = [e["watcher"] for e in events(daemon, "process.started")]
        assert len(started) >= 300
        assert started == names[-len(started) :]
        status = daemon.ctl("status", timeout=120).stdout.splitlines()
        assert status == [f"{name}: active" for name in names]
        daemon.ctl("reloadconfig", "--waiting", timeout=120)
        assert [w["processes"][0]["pid"] for w in daemon.call("inspect")["watchers"]] == pids
        daemon.config.write_text(ini + "[watcher:x]\ncmd = sleep 100000\n")
        told = json.loads(daemon.ctl("--json", "reloadconfig", "--waiting", timeout=120).stdout)
        assert told["summary"].startswith("x is added")
        with Asking(daemon) as stopping:
            eventually(lambda: number + 1 in stopping.seen)
            os.kill(daemon.pid, signal.SIGTERM)
            assert daemon.stop(within=300) == 0
        assert not [pid for pid in pids if is_alive(pid)]
        assert "Traceback" not in daemon.log.read_text()
    finally:
        daemon.__exit__(None, None, None)
