"""How often managed sockets became readable: a new connection or datagram, while somebody wants to know."""

from __future__ import annotations

import select
from collections.abc import Iterable, Mapping
from typing import Any, Final

import gevent

from .timers import LoopTimer

READ: Final = 1
GATHER: Final = 0.01
"""Seconds in which any number of arrivals counts once, as in the original: a busy socket costs no more than that."""


class SocketReads:
    """Counts for the sockets that were named last; costs nothing until `watch` names one."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._counts: dict[int, int] = {}
        self._epoll: select.epoll | None = None
        self._io: Any = None
        self._timer = LoopTimer()

    def watch(self, sockets: Mapping[int, str]) -> None:
        """From now on these are counted, names by descriptor; nothing is when it is empty."""
        if dict(sockets) == self._names:
            return
        self.close()
        self._names = dict(sockets)
        if not sockets:
            return
        # Edge-triggered: a socket that nobody accepts from does not wake us again and again. Made anew at each change:
        # a descriptor that was closed here lives on in children, and an old entry could not be taken out any more.
        self._epoll = select.epoll()
        for fd in sockets:
            self._register(self._epoll, fd)
        loop = gevent.get_hub().loop
        self._io = loop.io(self._epoll.fileno(), READ)
        self._io.start(self._arrived)

    def take(self) -> dict[int, int]:
        """The counts since the last call, by descriptor."""
        counts = {fd: self._counts.get(fd, 0) for fd in self._names}
        self._counts.clear()
        return counts

    def close(self) -> None:
        """Nothing is counted any more."""
        self._timer.stop()
        if self._io is not None:
            self._io.stop()
            self._io.close()
        if self._epoll is not None:
            self._epoll.close()
        self._io = self._epoll = None
        self._names = {}
        self._counts.clear()

    @staticmethod
    def _register(epoll: select.epoll, fd: int) -> None:
        try:
            epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        except OSError:
            # Closed meanwhile: the next look at the sockets leaves it out.
            return

    def _arrived(self) -> None:
        assert self._epoll is not None
        self._count(fd for fd, mask in self._epoll.poll(0) if mask & select.EPOLLIN)
        self._io.stop()
        self._timer.once(GATHER, self._go_on)

    def _go_on(self) -> None:
        self._io.start(self._arrived)

    def _count(self, fds: Iterable[int]) -> None:
        for fd in fds:
            self._counts[fd] = self._counts.get(fd, 0) + 1
