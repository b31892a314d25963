"""A timer on the clock on the wall: it goes off at a time of day, and also when that clock is set.

It counts while the machine sleeps, and goes off at once when a time has passed meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from typing import Final

_ABSOLUTE: Final = 1
_CANCEL_ON_SET: Final = 2
_NANO: Final = 1_000_000_000
_NEVER: Final = 1 << 33
"""Epoch seconds of a moment that no timer reaches: armed for that, only a clock that is set is told."""


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nano", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class WallTimer:
    """One timer as a descriptor, ``fd``, that is readable when it has gone off."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def arm(self, moment: float | None) -> None:
        """It goes off at that moment (epoch seconds; at once if that is over), or when the clock is set."""
        at = float(_NEVER) if moment is None else min(max(moment, 0.001), float(_NEVER))
        nano = int(at * _NANO)
        setting = _Setting(_Time(0, 0), _Time(*divmod(nano, _NANO)))
        flags = _ABSOLUTE | _CANCEL_ON_SET
        failed = self._libc.timerfd_settime(self.fd, flags, ctypes.byref(setting), None) < 0
        # The clock was set since it was armed the last time: it is armed all the same.
        if failed and ctypes.get_errno() != errno.ECANCELED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def take(self) -> None:
        """That it has gone off is told no more."""
        try:
            os.read(self.fd, 8)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECANCELED):
                raise

    def close(self) -> None:
        os.close(self.fd)
