"""What a backend is given: an application, a socket, and how it is told to stop."""

from __future__ import annotations

import signal
import sys
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

Application = Callable[..., Any]


@dataclass(slots=True)
class Job:
    """One application on one socket.

    A backend serves until it was told to stop, and returns when what was under way is finished or
    ``graceful_timeout`` seconds are over. It calls `ready` once it accepts, and never before.
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


def on_stop(stop: Callable[[], None]) -> None:
    """`stop` is called at the first signal to stop; the second one ends the process as if it had no handler."""

    def told(number: int, frame: FrameType | None) -> None:
        for signum in STOP_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        stop()

    for signum in STOP_SIGNALS:
        signal.signal(signum, told)
