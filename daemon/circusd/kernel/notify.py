"""What the service manager is told: datagrams of ``KEY=VALUE`` lines to the socket that it has named, as systemd reads them."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
VALUE_CHARACTERS: Final = 1000
MICRO: Final = 1_000_000


@dataclass(slots=True)
class Notify:
    """The way to the service manager; without one, everything here does nothing."""

    address: str = ""
    watchdog_usec: str = ""
    watchdog_pid: str = ""
    _socket: socket.socket | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notify:
        """From the environment, which has the variables no more: they are not meant for processes that we start."""
        address, usec, pid = (environ.pop(name, "") for name in VARIABLES)
        return cls(address, usec, pid)

    @property
    def is_there(self) -> bool:
        """Whether somebody wants to be told, at an address that we can reach."""
        return self.address[:1] in ("/", "@")

    @property
    def watchdog_seconds(self) -> float | None:
        """How long the manager waits for a sign of life of this very process; None if it does not."""
        if not self.is_there or not (self.watchdog_usec.isdigit() and int(self.watchdog_usec)):
            return None
        if self.watchdog_pid not in ("", str(os.getpid())):
            return None
        return int(self.watchdog_usec) / MICRO

    def send(self, **fields: str | int) -> bool:
        """Never waits; False if the manager's queue is full, and then it was not told."""
        if not self.is_there:
            return True
        if self._socket is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)
        where = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        text = "\n".join(f"{key}={_line(value)}" for key, value in fields.items())
        try:
            self._socket.sendto(text.encode("utf-8", "backslashreplace"), where)
        except BlockingIOError:
            return False
        except OSError:
            # It is gone, or never was: nothing that would be better after another try.
            return True
        return True

    def close(self) -> None:
        """Nothing more is told."""
        self.address = ""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def monotonic_usec() -> int:
    """The moment, on the clock that the manager compares with its own."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def _line(value: str | int) -> str:
    """On one line, whatever names are in it, and short enough for one datagram."""
    return " ".join(str(value)[:VALUE_CHARACTERS].split())
