"""The machine, and counts of single processes: what psutil tells is what is told here."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from circusd.kernel import host, pidfd
from circusd.kernel.figures import figures, transfer
from tests.kernel.conftest import AsNobody, Run
from tests.waiting import eventually


def test_machine_is_told_as_others_tell_it() -> None:
    """Memory, swap, load, and what the processors did."""
    told, memory = host.usage(), psutil.virtual_memory()
    assert told["memory_total"] == memory.total
    assert told["memory_available"] == pytest.approx(memory.available, rel=0.2)
    assert told["swap_total"] == psutil.swap_memory().total
    assert len(told["load"]) == 3
    times = psutil.cpu_times()
    for mode in ("user", "system", "idle", "steal"):
        assert told["cpu_seconds"][mode] == pytest.approx(getattr(times, mode), rel=0.05, abs=5)


def test_share_of_the_processors_is_that_between_two_looks() -> None:
    """Not known at first; then of all processors, at most the whole of them."""
    one = host.Host()
    assert one.look()["cpu"] is None
    share = eventually(lambda: one.look()["cpu"], every=0.1)
    assert 0 < share <= 100


def test_counts_of_a_process_are_those_of_others(run: Run) -> None:
    """Descriptors and context switches, as psutil reads them."""
    child = run.start("/bin/sleep", "1000")
    eventually(lambda: psutil.Process(child.pid).name() == "sleep")
    told, other = figures(child.pid), psutil.Process(child.pid)
    assert told.descriptors == other.num_fds() == 3
    switches = other.num_ctx_switches()
    assert (told.voluntary, told.involuntary) == (switches.voluntary, switches.involuntary)


def test_own_descriptors_are_counted() -> None:
    """Also of a process with many."""
    before = figures(os.getpid()).descriptors
    assert before is not None
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
    try:
        assert figures(os.getpid()).descriptors == before + 100
    finally:
        for fd in opened:
            os.close(fd)


def test_what_went_to_a_disk_is_counted(run: Run) -> None:
    """Bytes that were read and written, never those that only went through pipes."""
    child = run.start("/bin/sh", "-c", "while :; do echo x; done >/dev/null")
    moved = transfer(child.pid)
    assert moved is not None
    assert (moved.read >= 0, moved.written) == (True, 0)
    counters = psutil.Process(os.getpid()).io_counters()
    own = transfer(os.getpid())
    assert own is not None
    assert (own.read, own.written) == (counters.read_bytes, counters.write_bytes)


def test_nothing_is_told_of_a_process_that_is_gone(run: Run) -> None:
    """No error, and no number."""
    child = run.start("/bin/sleep", "1000")
    pidfd.send(child.pidfd, signal.SIGKILL)
    run.wait(child)
    assert figures(child.pid) == (None, None, None)
    assert transfer(child.pid) is None


def test_what_may_not_be_read_is_not_known(as_nobody: AsNobody, run: Run) -> None:
    """Another user's descriptors and transfers; his context switches are everybody's."""
    child = run.start("/bin/sleep", "1000")
    told, moved = as_nobody(lambda: (list(figures(child.pid)), transfer(child.pid)))
    assert told[0] is None
    assert told[1] >= 0
    assert moved is None
