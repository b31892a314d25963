"""The service manager above circusd (systemd): told when circusd runs, reloads and stops, and that its loop goes round.

Without a ``NOTIFY_SOCKET`` nothing here makes a timer or sends a byte. All signs of life come from the loop itself,
so that a loop that hangs is noticed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from circusd.kernel.notify import MICRO, Notify, monotonic_usec

from .timers import LoopTimer

log = logging.getLogger("circusd.daemon")

STATUS_SECONDS: Final = 1.0
"""The status in words is told at most this often."""
EXTENSION_SECONDS: Final = 30.0
"""How much more time a stop asks for, again and again while it goes on."""
AGAIN_SECONDS: Final = 0.1
"""When a message that found no room is sent again."""


class ServiceManager:
    """What circusd has to say about itself to who started it."""

    def __init__(self, notify: Notify, words: Callable[[], str]) -> None:
        """``words`` gives the status as a sentence."""
        self._notify = notify
        self._words = words
        self._reloads = 0
        self._is_ready = self._is_stopping = False
        self._beats = LoopTimer()
        self._extensions = LoopTimer()
        self._status = LoopTimer()
        self._again = LoopTimer()
        self._unsent: deque[dict[str, str | int]] = deque(maxlen=32)

    def ready(self) -> None:
        """circusd runs; from now on its signs of life are sent, if the manager wants them."""
        if not self._notify.is_there:
            return
        self._is_ready = True
        self._send(READY=1, STATUS=self._words())
        wanted = self._notify.watchdog_seconds
        if wanted is not None:
            log.info("watchdog seconds=%g", wanted)
            self._alive()
            self._beats.every(wanted / 2, self._alive)

    def reloading(self) -> None:
        """A reload begins; each is to be followed by `reloaded`."""
        self._reloads += 1
        if self._is_ready and not self._is_stopping:
            self._send(RELOADING=1, MONOTONIC_USEC=monotonic_usec())

    def reloaded(self) -> None:
        """A reload has ended, well or not; after the last of those under way circusd is ready again."""
        self._reloads -= 1
        if self._is_ready and not self._is_stopping and not self._reloads:
            self._send(READY=1, STATUS=self._words())

    def changed(self) -> None:
        """The status may be another one; it is told soon."""
        if self._is_ready and not self._status.is_set:
            self._status.once(STATUS_SECONDS, lambda: self._send(STATUS=self._words()))

    def stopping(self) -> None:
        """The ordered stop begins; as long as it goes on, the manager is asked for more time."""
        if not self._notify.is_there or self._is_stopping:
            return
        self._is_stopping = True
        self._send(STOPPING=1, STATUS=self._words())
        self._extend()
        self._extensions.every(EXTENSION_SECONDS / 2, self._extend)

    def close(self) -> None:
        """Nothing more is told."""
        for timer in (self._beats, self._extensions, self._status, self._again):
            timer.stop()
        self._notify.close()

    # -- sending -------------------------------------------------------------------------------------------------

    def _alive(self) -> None:
        # Not kept for later: the next one comes in time.
        self._notify.send(WATCHDOG=1)

    def _extend(self) -> None:
        self._notify.send(EXTEND_TIMEOUT_USEC=int(EXTENSION_SECONDS * MICRO))

    def _send(self, **fields: str | int) -> None:
        self._unsent.append(fields)
        self._flush()

    def _flush(self) -> None:
        while self._unsent:
            if not self._notify.send(**self._unsent[0]):
                if not self._again.is_set:
                    self._again.once(AGAIN_SECONDS, self._flush)
                return
            self._unsent.popleft()
