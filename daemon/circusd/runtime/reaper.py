"""Notices the end of processes: our own by pidfd, orphans that came to us by SIGCHLD; and that a stopped one goes on.

No child watcher of gevent and no ``waitpid(-1)`` exists in the daemon: either would take exit statuses that are
not meant for it.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Container
from typing import Any, TypeVar

import gevent

from circusd.kernel import pidfd
from circusd.kernel.pidfd import Ended, ExitStatus
from circusd.kernel.signals import SignalPipe

from . import clock
from .timers import LoopTimer

READ = 1
ORPHANS_A_TURN = 256
ORPHANS_SECONDS = 0.02
"""Orphans are looked for at most this often: where our own die in numbers, each look has to pass all of them."""

Told = TypeVar("Told")


class Reaper:
    """Owns the pidfds of all children of the daemon."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._watched: dict[int, tuple[int, Any, Callable[[], None]]] = {}
        self._held: set[int] = set()
        """Pids of those that have ended, and that a debugger keeps from being reaped."""
        self._stopped: dict[int, Callable[[], None]] = {}
        """By pid, whom to tell of those that stand still that they go on."""
        self._pipe: SignalPipe | None = None
        self._pause = LoopTimer()
        """The timer until orphans are looked for again, where that was not long ago."""
        self._looked = -math.inf
        """When orphans were looked for the last time (monotonic)."""
        self._io: Any = None
        self.handlers: dict[int, Callable[[int], None]] = {}
        """What to call, in the hub's turn, for signals other than SIGCHLD; one without is passed over."""

    @property
    def known(self) -> Container[int]:
        """Our own children, by pid."""
        return self._watched

    def listen(self, pipe: SignalPipe) -> None:
        """From now on orphans are reaped, and the signals of the pipe reach ``handlers``; it stays its maker's."""
        self._pipe = pipe
        self._io = self._loop.io(self._pipe.fd, READ)
        self._io.start(self._signalled)

    def _signalled(self) -> None:
        assert self._pipe is not None
        seen = self._pipe.read()
        for signum in dict.fromkeys(seen):
            if signum == signal.SIGCHLD:
                self._look_for_orphans()
            elif signum in self.handlers:
                self.handlers[signum](signum)

    def _look_for_orphans(self) -> None:
        if self._pause.is_set:
            return
        left = self._looked + ORPHANS_SECONDS - clock.now()
        if left > 0:
            self._pause.once(left, self._look_now)
        else:
            self._look_now()

    def _look_now(self) -> None:
        self._looked = clock.now()
        # After the pidfds of this turn: our own dead are then reaped, and do not hide orphans.
        self._loop.run_callback(self._reap_orphans)

    def _reap_orphans(self) -> None:
        held, self._held = self._held, set()
        for pid in held:
            if pid in self._watched:
                _, watcher, readable = self._watched[pid]
                watcher.start(readable)
        for pid, goes_on in list(self._stopped.items()):
            if pid in self._watched and pidfd.was_continued(self._watched[pid][0]):
                goes_on()
        if len(pidfd.reap_orphans(self._watched, ORPHANS_A_TURN)) >= ORPHANS_A_TURN:
            self._loop.run_callback(self._reap_orphans)

    def watch(self, pid: int, fd: int, ended: Callable[[ExitStatus], None]) -> None:
        """``ended`` is called once, in the hub's turn, when our child ``pid`` is gone; the pidfd is closed then."""
        self._watch(pid, fd, pidfd.reap, ended)

    def watch_counted(self, pid: int, fd: int, ended: Callable[[Ended], None]) -> None:
        """The same, and ``ended`` is told what the process has used."""
        self._watch(pid, fd, pidfd.reap_counted, ended)

    def _watch(
        self, pid: int, fd: int, reap: Callable[[int], Told | None], ended: Callable[[Told], None]
    ) -> None:
        watcher = self._loop.io(fd, READ)

        def readable() -> None:
            status = reap(fd)
            if status is None:
                # A debugger has to let it go first. Its pidfd stays readable, and to ask it again would never end: we
                # get a SIGCHLD then.
                watcher.stop()
                self._held.add(pid)
                return
            self._release(pid, fd, watcher)
            ended(status)

        self._watched[pid] = (fd, watcher, readable)
        watcher.start(readable)

    def watch_stopped(self, pid: int, goes_on: Callable[[], None]) -> None:
        """``goes_on`` is called, in the hub's turn, when our child ``pid``, which is about to be stopped, was made to go on by anybody.

        Until `leave_stopped`, or its end. Of a process that is not our child nobody tells us.
        """
        if pid in self._watched:
            pidfd.was_continued(self._watched[pid][0])  # what was before does not count
            self._stopped[pid] = goes_on

    def leave_stopped(self, pid: int) -> None:
        """Nobody is told any more when it goes on."""
        self._stopped.pop(pid, None)

    def watch_stranger(self, pid: int, gone: Callable[[], None]) -> Callable[[], None]:
        """``gone`` is called when a process that is not our child has ended; returns what cancels that."""
        try:
            fd = pidfd.open_pidfd(pid)
        except OSError:
            self._loop.run_callback(gone)
            return lambda: None
        watcher = self._loop.io(fd, READ)
        open_ = [True]

        def cancel() -> None:
            if open_:
                open_.clear()
                watcher.stop()
                watcher.close()
                os.close(fd)

        def readable() -> None:
            cancel()
            gone()

        watcher.start(readable)
        return cancel

    def send(self, pid: int, signum: int, *, wake: bool = False) -> bool:
        """Whether the signal reached our live child ``pid``; with ``wake`` a stopped one goes on to hear it."""
        entry = self._watched.get(pid)
        return entry is not None and pidfd.send(entry[0], signum, wake=wake)

    def _release(self, pid: int, fd: int, watcher: Any) -> None:
        if self._watched.get(pid, (None,))[0] == fd:
            del self._watched[pid]
            self._stopped.pop(pid, None)
        watcher.stop()
        watcher.close()
        os.close(fd)

    def close(self) -> None:
        """Nothing is watched any more."""
        for pid, (fd, watcher, _) in list(self._watched.items()):
            self._release(pid, fd, watcher)
        self._pause.stop()
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = self._pipe = None
