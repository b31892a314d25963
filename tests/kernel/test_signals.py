"""Signals of the daemon itself."""

from __future__ import annotations

import os
import re
import select
import signal

import pytest

from circusd.kernel.signals import SignalPipe, interrupted_after, reset_dispositions
from tests.kernel.conftest import LIBC_SIGNALS, Run, status_field


def test_signals_arrive_as_numbers_in_order() -> None:
    """The descriptor becomes readable, and the numbers are read once."""
    pipe = SignalPipe([signal.SIGUSR1, signal.SIGUSR2])
    try:
        assert pipe.read() == []
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR1)
        poll = select.poll()
        poll.register(pipe.fd, select.POLLIN)
        assert poll.poll(5000)
        assert pipe.read() == [signal.SIGUSR2, signal.SIGUSR1]
        assert pipe.read() == []
    finally:
        pipe.close()


def test_a_storm_of_signals_blocks_nobody() -> None:
    """More signals than the pipe holds are no error and no wait."""
    pipe = SignalPipe([signal.SIGUSR1])
    try:
        for _ in range(70_000):
            signal.raise_signal(signal.SIGUSR1)
        assert set(pipe.read()) == {signal.SIGUSR1}
    finally:
        pipe.close()


def test_handlers_of_before_come_back() -> None:
    """Closing gives back the handlers and the wake-up descriptor."""
    before = signal.getsignal(signal.SIGUSR1), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before[1])
    SignalPipe([signal.SIGUSR1]).close()
    after = signal.getsignal(signal.SIGUSR1), signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(after[1])
    assert before == after


def test_children_of_a_daemon_under_nohup_hear_sighup(run: Run) -> None:
    """Signals that were ignored or blocked when the daemon was started are not so in its children."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        reset_dispositions()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
        status = run.report("/proc/self/status")
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    assert int(status_field(status, "SigIgn")[0], 16) & ~LIBC_SIGNALS == 0
    assert int(status_field(status, "SigBlk")[0], 16) == 0


def test_pipe_is_not_inherited(run: Run) -> None:
    """Neither end reaches a child."""
    pipe = SignalPipe([signal.SIGUSR1])
    try:
        child = run.start("/bin/sleep", "1000")
        assert sorted(os.listdir(f"/proc/{child.pid}/fd")) == ["0", "1", "2"]
    finally:
        pipe.close()


@pytest.mark.parametrize("signum", [signal.SIGCHLD])
def test_end_of_a_child_wakes(run: Run, signum: int) -> None:
    """SIGCHLD is told like any other, also that of an orphan."""
    pipe = SignalPipe([signum])
    try:
        child = run.start("/bin/true")
        poll = select.poll()
        poll.register(pipe.fd, select.POLLIN)
        assert poll.poll(5000)
        assert pipe.read() == [signum]
        run.wait(child)
    finally:
        pipe.close()


def test_a_match_without_an_end_is_interrupted() -> None:
    """A regular expression that backtracks for years raises TimeoutError; one that is quick is none the wiser."""
    with pytest.raises(TimeoutError), interrupted_after(0.05):
        re.match("(.*)*" * 4 + "!", "a" * 60)
    with interrupted_after(5):
        assert re.match("a+", "aaa")
    # Neither later nor elsewhere: the timer is off.
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    signal.raise_signal(signal.SIGVTALRM)
