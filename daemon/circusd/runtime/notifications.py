"""What processes tell of themselves: that they are ready, live, reload or stop, and their state in words.

Whoever can reach the socket can send; a message counts for the process that the kernel names as its sender, and for
those above it, where one of them is the main process of a slot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import gevent

from circusd.core.process import Happening, Kind
from circusd.kernel import proc
from circusd.kernel.notifysocket import Message, NotifySocket

from . import clock
from .timers import LoopTimer

if TYPE_CHECKING:
    from .watcher import Watcher

log = logging.getLogger("circusd.notify")

READ: Final = 1
A_TURN: Final = 32
"""Messages that are read before others get their turn,"""
PAUSE: Final = 0.05
"""and seconds until more are read then: one process that sends without end costs no more than that."""
STATUS_CHARACTERS: Final = 200
QUIET_SECONDS: Final = 60.0
"""Messages of strangers are told once in that time."""
LONGEST: Final = 1e9
"""Seconds of the longest time that a process can ask for: more is taken for that, and nobody lives to see it."""
DIGITS: Final = 20
"""A number of microseconds has no more."""


class Notifications:
    """Owns the socket, which is there from when its address is first wanted."""

    def __init__(self, watchers: Callable[[], Iterable[Watcher]]) -> None:
        self._watchers = watchers
        self._socket: NotifySocket | None = None
        self._io: Any = None
        self._timer = LoopTimer()
        self._strangers = 0
        self._told = -QUIET_SECONDS

    def address(self) -> str:
        """What ``NOTIFY_SOCKET`` is to say. Raises OSError if we have no descriptor left."""
        if self._socket is None:
            self._socket = NotifySocket()
            self._io = gevent.get_hub().loop.io(self._socket.fileno(), READ)
            self._io.start(self._readable)
        return self._socket.address

    def close(self) -> None:
        """Nothing is read any more."""
        self._timer.stop()
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- reading, in the hub's turn ------------------------------------------------------------------------------

    def _readable(self) -> None:
        assert self._socket is not None
        for _ in range(A_TURN):
            message = self._socket.receive()
            if message is None:
                return
            try:
                self._take(message)
            finally:
                message.close()
        self._io.stop()
        self._timer.once(PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._io.start(self._readable)

    def _take(self, message: Message) -> None:
        if not message.fields:
            return
        found = self._find(message.pid)
        if found is None:
            self._stranger(message.pid)
            return
        watcher, pid = found
        watcher.notified(pid, message.fields)

    def _find(self, pid: int) -> tuple[Watcher, int] | None:
        """The watcher that the sender belongs to, and its main process, which is the sender itself or above it."""
        session = 0
        for _ in range(proc.GENERATIONS):
            if pid <= 1:
                break
            for watcher in self._watchers():
                if watcher.has_process(pid):
                    return watcher, pid
            row = proc.row(pid)
            if row is None:
                break
            session = session or row.session
            pid = row.ppid
        # Those above it are gone; which session it is in it has from them, and can't choose.
        for watcher in self._watchers() if session else ():
            main = watcher.process_of_session(session)
            if main is not None:
                return watcher, main
        return None

    def _stranger(self, pid: int) -> None:
        self._strangers += 1
        now = clock.now()
        if now - self._told >= QUIET_SECONDS:
            self._told = now
            log.info(
                "a process that no watcher has started says something of itself, and is not heard pid=%d count=%d",
                pid,
                self._strangers,
            )
            self._strangers = 0


def happenings(fields: dict[str, str] | Any) -> list[Happening]:
    """What a message means for its process, in order."""
    found: list[Happening] = []
    if "STATUS" in fields:
        found.append(Happening(Kind.SAID, text=one_line(fields["STATUS"])))
    if fields.get("RELOADING") == "1":
        found.append(Happening(Kind.UNREADY, text="reloading"))
    if fields.get("READY") == "1":
        found.append(Happening(Kind.BECAME_READY))
    if fields.get("STOPPING") == "1":
        found.append(Happening(Kind.UNREADY, text="stopping"))
    if (seconds := _seconds(fields.get("EXTEND_TIMEOUT_USEC"))) is not None:
        found.append(Happening(Kind.EXTENDED, seconds=seconds))
    if fields.get("WATCHDOG") == "1":
        found.append(Happening(Kind.BEAT))
    elif fields.get("WATCHDOG") == "trigger":
        found.append(Happening(Kind.TRIGGERED))
    if (seconds := _seconds(fields.get("WATCHDOG_USEC"))) is not None:
        found.append(Happening(Kind.WATCHDOG_CHANGED, seconds=seconds))
    return found


def _seconds(microseconds: str | None) -> float | None:
    """What such a number means; None where it is none."""
    if microseconds is None or len(microseconds) > DIGITS:
        return None
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return min(int(microseconds) / 1e6, LONGEST)


def one_line(text: str) -> str:
    """On one line, without what a terminal would obey, and short."""
    return "".join(c if c.isprintable() else " " for c in text[:STATUS_CHARACTERS]).strip()
