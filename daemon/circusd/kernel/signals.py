"""Signals of the daemon itself: dispositions as a child should inherit them, and a descriptor to wait for signals on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Final

# Python ignores these two and needs to (EPIPE, EFBIG instead of death); subprocess restores them in each child.
IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)


# What ends a daemon in order, and what it lives through from its first moment.
STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def end_at_once() -> None:
    """Until a `SignalPipe` takes the signals over, those of `STOP` end this process with 0, and `HARMLESS` do nothing.

    For a program that has not made anything yet. Without it the first process of a container would not hear them at
    all, and SIGINT would end in a traceback.
    """
    for signum in STOP:
        signal.signal(signum, lambda number, frame: os._exit(0))
    for signum in HARMLESS:
        signal.signal(signum, _nothing)


def as_usual(signums: Iterable[int] = (*STOP, *HARMLESS)) -> None:
    """These signals do what they do to any program."""
    for signum in signums:
        signal.signal(signum, signal.SIG_DFL)


def reset_dispositions() -> None:
    """No signal is blocked in this thread, and none is ignored that Python itself does not ignore.

    Both cross an exec: a daemon started under nohup would otherwise give each child an ignored SIGHUP.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in signal.valid_signals():
        if signum not in IGNORED_BY_PYTHON and signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)


class SignalPipe:
    """Signals as numbers to read: `fd` is readable as soon as one of them has arrived.

    Only the main thread may make or close one, and there can be one at a time.
    """

    def __init__(self, signums: Iterable[int]) -> None:
        self.fd, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signums = frozenset(signums)
        # A full pipe loses nothing that counts: 65,536 signals are waiting to be read by then.
        self._previous_fd = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._previous = {signum: signal.signal(signum, _nothing) for signum in self._signums}

    def read(self) -> list[int]:
        """The signals that have arrived since the last call, in order; empty if none has."""
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return []
        # The interpreter writes the number of every signal that has a Python handler, also of one set by others.
        return [signum for signum in data if signum in self._signums]

    def close(self, *, deaf: Iterable[int] = ()) -> None:
        """The handlers of before are back, but those signals are ignored, and both ends of the pipe are closed."""
        ignored = frozenset(deaf)
        for signum, handler in self._previous.items():
            if signum in ignored:
                signal.signal(signum, signal.SIG_IGN)
            else:
                signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._previous_fd)
        os.close(self.fd)
        os.close(self._write_end)


def _nothing(signum: int, frame: FrameType | None) -> None:
    """A handler has to be there for the number to be written; everything else happens in the loop."""
