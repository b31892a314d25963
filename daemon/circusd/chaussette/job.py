"""What a backend is given: an application, a socket, and how it is told to stop."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY, socket
from types import FrameType
from typing import Any, TextIO

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What circusd sends to stop or to reload, and Ctrl-C."""

UNDER_WAY = 1000
"""Connections that one process serves at a time; more wait in the socket, where another process may take them."""

FIRST_SECONDS = 2.0
"""After the signal to stop, how long the first request of a connection that was accepted before is waited for."""

BEAT_AGAIN_SECONDS = 0.1
"""When a sign of life that could not be given is tried again."""

Application = Callable[..., Any]


@dataclass(slots=True)
class Job:
    """One application on one socket.

    A backend serves until it was told to stop, and returns when what was under way is finished or
    ``graceful_timeout`` seconds are over. It calls `ready` once it accepts, and never before; from then
    on its loop calls `turn` again and again, or has done so by `turn_by`.
    """

    application: Application
    listening: socket
    graceful_timeout: float
    under_way: int = UNDER_WAY
    log: TextIO = field(default_factory=lambda: sys.stderr)
    is_logged: bool = True
    """Whether each request is worth a line."""
    ready: Callable[[], None] = lambda: None
    name: str = ""
    """What the application is called on the command line."""
    beat: Callable[[], bool] = lambda: True
    """Gives one sign of life; False where it could not be given yet."""
    beat_seconds: float = 0.0
    """How often somebody is to be given one; 0 for never."""
    _beat_due: float = 0.0

    @property
    def is_tcp(self) -> bool:
        """Whether the socket has an Internet address."""
        return self.listening.family in (AF_INET, AF_INET6)

    def prepare(self) -> None:
        """The socket never blocks this process, and small answers go out at once.

        Accepted sockets inherit TCP_NODELAY on Linux. Without it each answer of two writes waits for the delayed
        acknowledgement of the first, 40 ms. Several processes wake for one connection, and only one gets it: the
        others must not wait in accept.
        """
        self.listening.setblocking(False)
        if self.is_tcp:
            self.listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def turn(self) -> None:
        """The backend's loop has come round: it gives a sign of life where one is due."""
        if self.beat_seconds and (now := time.monotonic()) >= self._beat_due:
            self._beat_due = now + (self.beat_seconds if self.beat() else BEAT_AGAIN_SECONDS)

    def turn_by(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        """The same now and from now on, by timers of the backend's loop, ``later(seconds, call)``: where that is stuck there is none."""
        if self.beat_seconds:
            told = self.beat()
            later(self.beat_seconds if told else BEAT_AGAIN_SECONDS, lambda: self.turn_by(later))


def on_stop(stop: Callable[[], None]) -> None:
    """`stop` is called at the first signal to stop; the second one ends the process as if it had no handler."""

    def told(number: int, frame: FrameType | None) -> None:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        stop()

    for signum in STOP_SIGNALS:
        signal.signal(signum, told)
