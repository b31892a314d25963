"""Processes by descriptor: signals, exit statuses, orphans."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path

import pytest

from circusd.kernel import pidfd, proc
from circusd.kernel.pidfd import UNKNOWN, ExitStatus
from tests.kernel.conftest import Run, ended
from tests.waiting import eventually


def test_exit_code_is_told_once(run: Run) -> None:
    """None while the process lives, then its code; it is no zombie any more."""
    child = run.start("/bin/sh", "-c", "read x; exit 3", stdin=(pipe := os.pipe())[0])
    os.close(pipe[0])
    assert pidfd.reap(child.pidfd) is None
    os.close(pipe[1])
    assert run.wait(child) == ExitStatus(3, None, core=False)
    assert proc.row(child.pid) is None


def test_death_by_signal_is_told(run: Run) -> None:
    """The signal that killed it, and no code."""
    child = run.start("/bin/sleep", "1000")
    assert pidfd.send(child.pidfd, signal.SIGKILL)
    assert run.wait(child) == ExitStatus(None, signal.SIGKILL, core=False)


def test_core_dump_is_told(run: Run, tmp_path: Path) -> None:
    """An end by a fault that left a core says so."""
    child = run.start("/bin/sh", "-c", "kill -SEGV $$", limits={"core": (0, 0)}, cwd=str(tmp_path))
    status = run.wait(child)
    assert (status.code, status.signal) == (None, signal.SIGSEGV)


def test_signal_to_a_reaped_process_reaches_nobody(run: Run) -> None:
    """A pidfd outlives its process and stands for no later one with that pid."""
    child = run.start("/bin/true")
    spare = os.dup(child.pidfd)
    run.wait(child)
    assert not pidfd.send(spare, signal.SIGTERM)
    os.close(spare)


def test_stopped_process_hears_a_signal_that_wakes(run: Run) -> None:
    """A stopped process ends on SIGTERM if it is woken, and not before."""
    child = run.start("/bin/sleep", "1000")
    pidfd.send(child.pidfd, signal.SIGSTOP)
    eventually(lambda: (row := proc.row(child.pid)) and row.state == "T")
    pidfd.send(child.pidfd, signal.SIGTERM)
    assert pidfd.reap(child.pidfd) is None
    pidfd.send(child.pidfd, signal.SIGTERM, wake=True)
    assert run.wait(child).signal == signal.SIGTERM


def test_end_of_a_stranger_is_seen_without_its_status(run: Run) -> None:
    """A process that is not our child ends as unknown, and is alive until then."""
    shell = run.start("/bin/sh", "-c", "sleep 1000 & wait")
    (sleeper,) = eventually(lambda: proc.children([shell.pid])[shell.pid])
    fd = pidfd.open_pidfd(sleeper.pid)
    try:
        assert pidfd.reap(fd) is None
        pidfd.send(fd, signal.SIGKILL)
        assert eventually(lambda: pidfd.reap(fd)) == UNKNOWN
    finally:
        os.close(fd)


def test_missing_process_has_no_pidfd() -> None:
    """Opening one raises ProcessLookupError."""
    with pytest.raises(ProcessLookupError):
        pidfd.open_pidfd(2**22 - 1)


def test_orphans_are_reaped_and_our_own_are_left_alone(run: Run, inherits_orphans: None) -> None:
    """As a subreaper we get a child's orphans; they are reaped while our own dead wait, and their statuses stay."""
    before = set(pidfd.children())
    own = run.start("/bin/sh", "-c", "exit 9")
    eventually(lambda: (row := proc.row(own.pid)) and not row.is_alive)
    reader, writer = os.pipe()
    # Ten that wait for the pipe to close and then end by themselves or by a signal; then their parent leaves them.
    jobs = "exec 3<&0; for i in 1 2 3 4 5; do (read x <&3; exit 4) & (read x <&3; kill -9 0) & done"
    parent = run.start("/usr/bin/setsid", "-w", "/bin/sh", "-c", f"{jobs}; exit 0", stdin=reader)
    os.close(reader)
    known = {*before, own.pid, parent.pid}
    eventually(lambda: (row := proc.row(parent.pid)) and not row.is_alive)
    os.close(writer)
    found: list[pidfd.Orphan] = []

    def none_left() -> bool:
        found.extend(pidfd.reap_orphans(known, limit=3))
        return set(pidfd.children()) <= known

    eventually(none_left)
    assert len(found) >= 10
    assert {orphan.status for orphan in found} <= {
        ExitStatus(4, None, core=False),
        ExitStatus(None, signal.SIGKILL, core=False),
    }
    assert run.wait(own).code == 9
    assert run.wait(parent).code == 0


def test_a_thousand_orphans_leave_no_zombie(run: Run, inherits_orphans: None) -> None:
    """Orphans that die all at once, behind a dead child of ours, are all reaped within two seconds."""
    before = set(pidfd.children())
    own = run.start("/bin/sh", "-c", "exit 9")
    eventually(lambda: (row := proc.row(own.pid)) and not row.is_alive)
    reader, writer = os.pipe()
    jobs = "exec 3<&0; i=0; while [ $i -lt 1000 ]; do (read x <&3; exit 4) & i=$((i+1)); done; exit 0"
    parent = run.start("/bin/sh", "-c", jobs, stdin=reader)
    os.close(reader)
    known = {*before, own.pid, parent.pid}
    eventually(lambda: (row := proc.row(parent.pid)) and not row.is_alive, within=20)
    os.close(writer)
    started = time.monotonic()
    found: list[pidfd.Orphan] = []

    def none_left() -> bool:
        while some := pidfd.reap_orphans(known, limit=100):
            assert len(some) <= 100
            found.extend(some)
        return set(pidfd.children()) <= known

    eventually(none_left)
    assert time.monotonic() - started < 2
    assert [orphan.status for orphan in found] == [ExitStatus(4, None, core=False)] * 1000
    assert run.wait(own).code == 9
    assert run.wait(parent).code == 0


def test_living_orphans_are_not_waited_for(run: Run, inherits_orphans: None) -> None:
    """Reaping returns at once while orphans and children live."""
    shell = run.start("/bin/sh", "-c", "sleep 1000 & exit 0")
    eventually(lambda: (row := proc.row(shell.pid)) and not row.is_alive)
    known = {shell.pid}
    (sleeper,) = eventually(lambda: proc.members_of_sessions({shell.pid}))
    assert pidfd.reap_orphans(known) == []
    assert proc.signal_process(sleeper, signal.SIGKILL)
    assert eventually(lambda: pidfd.reap_orphans(known)) == [
        pidfd.Orphan(sleeper.pid, ExitStatus(None, signal.SIGKILL, core=False))
    ]
    run.wait(shell)


def test_children_are_listed_with_zombies(run: Run) -> None:
    """The list has the living and the dead that are not reaped."""
    living, dead = run.start("/bin/sleep", "1000"), run.start("/bin/true")
    eventually(lambda: (row := proc.row(dead.pid)) and not row.is_alive)
    assert {living.pid, dead.pid} <= set(pidfd.children())


def test_being_init_is_known() -> None:
    """The test runner is not PID 1, or knows that it is."""
    assert pidfd.is_init() == (os.getpid() == 1)


def test_five_hundred_deaths_are_reaped_at_once(run: Run) -> None:
    """All of 500 children killed at the same moment are reaped well within 200 ms, each with its signal."""
    children = [run.start("/bin/sleep", "1000") for _ in range(500)]
    poll = select.poll()
    waiting = {child.pidfd: child for child in children}
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    started = time.monotonic()
    for child in children:
        pidfd.send(child.pidfd, signal.SIGKILL)
    while waiting:
        for fd, _ in poll.poll(5000):
            poll.unregister(fd)
            child = waiting.pop(fd)
            del run.children[child.pid]
            assert ended(child).signal == signal.SIGKILL
    assert time.monotonic() - started < 1
