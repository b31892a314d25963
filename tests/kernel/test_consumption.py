"""What processes take with all that they have started: real trees, real processor time."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from circusd.kernel import consumption, pidfd, proc
from circusd.kernel.consumption import Meter, together
from tests.kernel.conftest import Run
from tests.waiting import eventually

BUSY = ("/bin/sh", "-c", "while :; do :; done")
BUSY_BELOW = ("/bin/sh", "-c", "sh -c 'while :; do :; done' & wait")
# Its grandchild is busy for as long as the child between the two is there: nobody of them waits for the grandchild.
LEAVES = """
import os, signal, time
if not (child := os.fork()):
    parent = os.getpid()
    if not os.fork():
        while os.getppid() == parent:
            pass
        os._exit(0)
    signal.pause()
os.waitpid(child, 0)
time.sleep(1000)
"""


def test_share_is_measured_between_looks(run: Run) -> None:
    """The first look is 0; then per cent of one processor since the last, and the memory in bytes."""
    busy, idle = run.start(*BUSY), run.start("/bin/sleep", "1000")
    # What is only being executed has no memory yet.
    eventually(lambda: Meter().look([busy.pid])[busy.pid][1] > 100_000)
    meter = Meter()
    first = meter.look([busy.pid, idle.pid])
    assert [share for share, _ in first.values()] == [0, 0]
    assert first[busy.pid][1] > 100_000
    eventually(lambda: meter.look([busy.pid, idle.pid])[busy.pid][0] > 0, every=0.1, within=20)
    assert meter.look([idle.pid])[idle.pid][0] == 0


def test_two_who_look_do_not_disturb_each_other(run: Run) -> None:
    """Each meter measures since its own last look."""
    busy = run.start(*BUSY)
    one, other = Meter(), Meter()
    one.look([busy.pid])
    other.look([busy.pid])
    eventually(lambda: one.look([busy.pid])[busy.pid][0] > 0, every=0.1, within=20)
    eventually(lambda: other.look([busy.pid])[busy.pid][0] > 0, every=0.1, within=20)


def test_what_a_process_has_started_counts_for_it(run: Run) -> None:
    """A shell that waits for its busy child is as busy as that, and has the memory of both."""
    shell = run.start(*BUSY_BELOW)
    eventually(lambda: together([shell.pid])[shell.pid].below == 1)
    meter = Meter()
    meter.look([shell.pid])
    eventually(lambda: meter.look([shell.pid])[shell.pid][0] > 0, every=0.1, within=20)
    taken = together([shell.pid])[shell.pid]
    assert taken.rss > taken.own.rss > 0
    eventually(lambda: together([shell.pid])[shell.pid].ticks > 5, within=20)
    assert together([shell.pid])[shell.pid].own.ticks <= 2


def test_what_ended_children_took_is_not_lost(run: Run) -> None:
    """Children that come and go between two looks are in what their parent has waited for."""
    shell = run.start("/bin/sh", "-c", "while :; do python3 -c 'sum(range(10**6))'; done")
    meter = Meter()
    meter.look([shell.pid])
    eventually(lambda: meter.look([shell.pid])[shell.pid][0] > 0, every=0.5, within=20)
    eventually(lambda: together([shell.pid])[shell.pid].own.waited > 0, within=20)


def test_descendant_that_leaves_takes_nothing_back(run: Run) -> None:
    """A child that was killed and has taken much is gone from the sum before it is waited for: no share is negative."""
    shell = run.start(sys.executable, "-c", LEAVES)
    meter = Meter()
    seen: list[float] = []

    def look() -> float:
        seen.append(meter.look([shell.pid])[shell.pid][0])
        return seen[-1]

    eventually(lambda: together([shell.pid])[shell.pid].below == 2, within=20)
    eventually(lambda: look() > 0, every=0.05, within=20)
    (child,) = proc.children([shell.pid])[shell.pid]
    os.kill(child.pid, signal.SIGKILL)
    eventually(lambda: together([shell.pid])[shell.pid].below == 0)
    eventually(lambda: look() == 0)
    assert min(seen) >= 0


def test_process_that_is_gone_is_no_part_of_a_look(run: Run) -> None:
    """It is left out, and nothing of it is kept."""
    child = run.start("/bin/sleep", "1000")
    meter = Meter()
    assert set(meter.look([child.pid])) == {child.pid}
    pidfd.send(child.pidfd, signal.SIGKILL)
    run.wait(child)
    assert meter.look([child.pid]) == {}
    assert together([child.pid]) == {}
    assert consumption.own(child.pid) is None


def test_large_table_of_others_is_not_read_at_each_look(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps take a bounded share of a processor; between two of them only what is ours is read, and new ones at once."""
    one, other = run.start("/bin/sleep", "1000"), run.start("/bin/sleep", "1000")
    reads: list[int] = []
    own = consumption.own
    monkeypatch.setattr(consumption, "own", lambda pid: reads.append(pid) or own(pid))
    meter = Meter()
    monkeypatch.setattr(consumption, "SWEEP_SHARE", 1e-9)
    meter.look([one.pid])
    assert len(reads) > 3
    reads.clear()
    assert set(meter.look([one.pid])) == {one.pid}
    assert reads == [one.pid]
    assert set(meter.look([one.pid, other.pid])) == {one.pid, other.pid}


def test_strangers_are_not_read_at_each_sweep(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that belongs to nobody here is believed to stay so for some seconds; a new descendant is found at once."""
    go = tmp_path / "go"
    os.mkfifo(go)
    shell = run.start("/bin/sh", "-c", f"read _ < {go}; sleep 1000 & wait")
    reads: list[int] = []
    own = consumption.own
    monkeypatch.setattr(consumption, "own", lambda pid: reads.append(pid) or own(pid))
    monkeypatch.setattr(consumption, "SWEEP_SHARE", 1e9)
    monkeypatch.setattr(consumption, "STRANGERS_SECONDS", 1000)
    meter = Meter()
    alone = meter.look([shell.pid])[shell.pid][1]
    others = set(reads) - {shell.pid}
    reads.clear()
    go.write_text("\n")
    eventually(lambda: meter.look([shell.pid])[shell.pid][1] > alone + 200_000)
    assert others
    assert not others & set(reads)


def test_others_have_their_turn_in_a_sweep(run: Run) -> None:
    """Whoever sweeps is asked after each process whether somebody else should go on."""
    child = run.start("/bin/sleep", "1000")
    asked: list[int] = []
    together([child.pid], lambda: asked.append(1))
    assert len(asked) > 3
