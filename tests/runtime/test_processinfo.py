"""What ``stats`` shows: gathered in one look at the process table, in short turns."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import gevent

from circusd.runtime.processinfo import ProcessInfo
from tests.waiting import eventually


@dataclass
class Slot:
    wid: int
    pid: int | None
    started: float | None = 0.0


def test_processes_are_shown_with_slot_start_and_children() -> None:
    """Each process of each group by its pid as text; what is gone is left out."""
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(100)'])"
    family = subprocess.Popen([sys.executable, "-c", parent])
    gone = subprocess.Popen(["true"])
    gone.wait()
    info = ProcessInfo()
    now = time.monotonic()
    groups = {"web": [Slot(1, family.pid, now), Slot(2, gone.pid), Slot(3, None)], "idle": []}
    eventually(lambda: info.of(groups)["web"][str(family.pid)]["children"])
    found = info.of(groups)
    child = found["web"][str(family.pid)]["children"][0]
    family.kill()
    family.wait()
    os.kill(child["pid"], 9)
    assert set(found) == {"web", "idle"}
    assert set(found["web"]) == {str(family.pid)}
    assert (found["web"][str(family.pid)]["wid"], child["children"]) == (1, [])
    assert abs(found["web"][str(family.pid)]["started"] - time.time()) < 30
    assert info.of(groups)["web"] == {}


def test_daemon_is_shown_without_the_processes_it_runs() -> None:
    """Its children are what the other commands show."""
    child = subprocess.Popen(["sleep", "100"])
    own = ProcessInfo().of_daemon()
    child.kill()
    child.wait()
    assert (own["pid"], own["children"]) == (os.getpid(), [])


def test_others_have_their_turns_meanwhile() -> None:
    """A look at thousands of rows does not hold up who waits for a timer."""
    info = ProcessInfo()
    info.of_daemon()
    groups = {f"w{n}": [Slot(1, os.getpid())] * 10 for n in range(400)}
    look = gevent.spawn(info.of, groups)
    late: list[float] = []
    while not look.ready():
        before = time.monotonic()
        gevent.sleep(0.001)
        late.append(time.monotonic() - before)
    assert len(look.get()) == 400
    assert len(late) > 5
