"""Watchers that the first connection starts: listening for it while nothing of them runs, and stopping them when idle."""

from __future__ import annotations

import contextlib
import logging
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent

from circusd.core.process import State
from circusd.kernel import proc
from circusd.kernel.sockets import LISTENING, again
from circusd.schema.errors import Conflict

from . import clock
from .sockets import Entry

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

log = logging.getLogger("circusd.demand")

READ: Final = 1
RETRY: Final = 1.0
"""Seconds until the next try, when no descriptor was left to listen or to look with."""
REST: Final = 0.1
"""Seconds until the next try, when a watcher could not be started for a connection that is still there."""
LOOKS: Final = 4
"""How often within ``idle_timeout`` it is looked whether connections are still open, while there are some."""
LONGEST_LOOK: Final = 60.0
PATIENCE, PAUSE = 0.25, 0.0005
"""Seconds that processes have to come to rest for the last look, and how often it is seen whether they have."""
_ASKED_BEFORE: Final = frozenset({"before_stop", "before_signal"})
Looked = Callable[..., None]


class Arrival:
    """Tells once, in the hub's turn, that one of some sockets has a connection or datagram; there may be one already."""

    def __init__(self, socks: Iterable[socket.socket], arrived: Callable[[], None]) -> None:
        # An epoll of its own: a descriptor that is closed here lives on in children, and could not be taken out of the loop's.
        self._epoll = select.epoll()
        for sock in socks:
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._arrived = arrived
        self._io: Any = gevent.get_hub().loop.io(self._epoll.fileno(), READ)
        self._io.start(self._fired)

    def _fired(self) -> None:
        # Not looked at again: a worker that was quicker may have accepted it by now, and it has been there all the same.
        self.close()
        self._arrived()

    def close(self) -> None:
        """Nothing is told any more."""
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = None
            self._epoll.close()


@dataclass(slots=True, eq=False)
class Vigil:
    """What is being done for one watcher; it is over when its state is another."""

    asleep: bool
    arrival: Arrival | None = None
    listening: list[Entry] = field(default_factory=list)
    woken: bool = False
    """A start is on its way."""
    quiet_since: float | None = None
    """Of one that runs: since when there is no connection."""
    held: list[proc.Identity] = field(default_factory=list)
    """Processes that are stopped for the moment of the last look."""
    timer: tuple[Any, ...] = field(default=())


class Demand:
    """All watchers that are ``on_demand``; everything here is called in the arbiter's greenlet."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._vigils: dict[Watcher, Vigil] = {}
        arbiter.sockets.on_change = lambda: arbiter.post(None, self._sockets_changed)

    def follow(self, watcher: Watcher) -> None:
        """What is done for the watcher is what its state asks for: listen, look whether it is idle, or nothing."""
        planner, config = watcher.planner, watcher.config
        vigil = self._vigils.get(watcher)
        is_asleep = planner.asleep and not planner.failure and not planner.policy.scheduled
        # Of what is frozen connections stay open or wait, and nobody is told that it is idle.
        frozen = any(p.state is State.FROZEN for p in planner.processes.values())
        is_bounded = config.on_demand and config.idle_timeout > 0 and bool(planner.pids()) and not frozen
        wanted = is_asleep or (is_bounded and planner.wanted and planner.job is None)
        if watcher.removed or self._arbiter.stopping or not wanted:
            self.forget(watcher)
            return
        if vigil is None or vigil.asleep != is_asleep:
            self.forget(watcher)
            vigil = self._vigils[watcher] = Vigil(is_asleep)
            if not is_asleep:
                self._look_later(watcher, vigil)
        if is_asleep:
            self._listen(watcher, vigil)

    def forget(self, watcher: Watcher) -> None:
        """Nothing is done for it any more."""
        vigil = self._vigils.pop(watcher, None)
        if vigil is not None:
            self._calm(vigil)
            watcher.planner.waits_at = ()

    def close(self) -> None:
        """Nothing is done for any watcher."""
        for watcher in list(self._vigils):
            self.forget(watcher)

    def _calm(self, vigil: Vigil) -> None:
        if vigil.arrival is not None:
            vigil.arrival.close()
            vigil.arrival = None
        if vigil.timer:
            self._arbiter.timers.cancel(vigil.timer)
            vigil.timer = ()
        held, vigil.held = vigil.held, []
        for member in held:
            with contextlib.suppress(OSError):
                proc.signal_process(member, signal.SIGCONT)

    def _sockets_changed(self) -> None:
        for watcher in list(self._vigils):
            self.forget(watcher)
            self.follow(watcher)
            self._arbiter.on_change(watcher)

    def _later(
        self, watcher: Watcher, vigil: Vigil, at: float, act: Callable[[Watcher, Vigil], None]
    ) -> None:
        vigil.timer = (id(watcher), None, "demand")
        self._arbiter.timers.arm(vigil.timer, at, partial(self._post, watcher, vigil, act))

    def _post(self, watcher: Watcher, vigil: Vigil, act: Callable[[Watcher, Vigil], None]) -> None:
        self._arbiter.post(watcher, self._if_it_lasts, watcher, vigil, act)

    def _if_it_lasts(self, watcher: Watcher, vigil: Vigil, act: Callable[[Watcher, Vigil], None]) -> None:
        if self._vigils.get(watcher) is vigil:
            act(watcher, vigil)

    def _sockets_of(self, watcher: Watcher) -> list[Entry]:
        sockets = self._arbiter.sockets
        return [e for name in sockets.named_by(watcher.config) if (e := sockets.get(name)) is not None]

    # -- asleep --------------------------------------------------------------------------------------------------

    def _listen(self, watcher: Watcher, vigil: Vigil) -> None:
        entries = self._sockets_of(watcher)
        watcher.planner.waits_at = tuple(f"{e.name} ({e.address})" for e in entries)
        is_wanted = watcher.config.on_demand
        if vigil.woken or (is_wanted and vigil.listening == entries and (vigil.timer or vigil.arrival)):
            return
        self._calm(vigil)
        vigil.listening = entries
        if not is_wanted or any(e.config.so_reuseport for e in entries):
            # Where each process has a socket of its own nobody but a process can take a connection: it is as always asked for.
            self._wake(watcher, vigil)
        elif watcher.planner.wakes_at > clock.now():
            self._later(watcher, vigil, watcher.planner.wakes_at, self._listen_now)
        elif entries:
            try:
                arrived = partial(self._post, watcher, vigil, self._wake)
                vigil.arrival = Arrival((e.sock for e in entries), arrived)
            except OSError as error:
                log.warning(
                    "can't listen for its first connection watcher=%r: %s", watcher.name, error.strerror
                )
                self._later(watcher, vigil, clock.now() + RETRY, self._listen_now)

    def _listen_now(self, watcher: Watcher, vigil: Vigil) -> None:
        vigil.timer = ()
        self._listen(watcher, vigil)

    def _wake(self, watcher: Watcher, vigil: Vigil) -> None:
        self._calm(vigil)
        vigil.woken = True
        ticket = watcher.submit(self._arbiter.job("start", "connection", demanded=True))
        ticket.result.rawlink(lambda _: self._post(watcher, vigil, self._tried))

    def _tried(self, watcher: Watcher, vigil: Vigil) -> None:
        """It sleeps still: another command has come first, or could not be got past."""
        vigil.woken = False
        watcher.planner.wakes_at = max(watcher.planner.wakes_at, clock.now() + REST)
        self.follow(watcher)

    # -- idle ----------------------------------------------------------------------------------------------------

    def _look_later(self, watcher: Watcher, vigil: Vigil) -> None:
        vigil.quiet_since = None
        step = min(watcher.config.idle_timeout / LOOKS, LONGEST_LOOK)
        self._later(watcher, vigil, clock.now() + step, self._look)

    def _look(self, watcher: Watcher, vigil: Vigil, told: Looked | None = None) -> None:
        vigil.timer = ()
        try:
            # Copies: they are there also when a socket is closed meanwhile.
            socks = [again(e.sock) for e in self._sockets_of(watcher)]
        except OSError:
            self._calm(vigil)
            self._later(watcher, vigil, clock.now() + RETRY, self._look)
            return
        gevent.spawn(self._count, watcher, vigil, socks, told or self._looked)

    def _count(self, watcher: Watcher, vigil: Vigil, socks: list[socket.socket], told: Looked) -> None:
        # Unless it is seen to be idle: whatever goes wrong, processes must not be held for it.
        is_busy = True
        try:
            is_busy = gevent.get_hub().threadpool.apply(_is_busy, (socks, vigil.held))
        finally:
            for sock in socks:
                sock.close()
            self._post(watcher, vigil, partial(told, is_busy=is_busy))

    def _looked(self, watcher: Watcher, vigil: Vigil, *, is_busy: bool) -> None:
        idle = watcher.config.idle_timeout
        entries = self._sockets_of(watcher)
        if is_busy or not entries or any(e.config.so_reuseport for e in entries):
            self._look_later(watcher, vigil)
        elif vigil.quiet_since is None:
            vigil.quiet_since = clock.now()
            vigil.arrival = Arrival(
                (e.sock for e in entries), partial(self._post, watcher, vigil, self._stir)
            )
            self._later(watcher, vigil, vigil.quiet_since + idle, self._look)
        else:
            self._calm(vigil)
            self._hold_still(watcher, vigil)
            self._look(watcher, vigil, self._looked_last)

    def _hold_still(self, watcher: Watcher, vigil: Vigil) -> None:
        """Its processes are stopped for a moment: whoever one of them accepted now would be answered by none."""
        if _ASKED_BEFORE & set(watcher.config.hooks):
            # A hook may have to do with the processes.
            return
        try:
            vigil.held = proc.tree(watcher.identities(), self._arbiter.table())
        except OSError:
            return  # no descriptor is left to look with
        for member in vigil.held:
            with contextlib.suppress(OSError):
                proc.signal_process(member, signal.SIGSTOP)

    def _looked_last(self, watcher: Watcher, vigil: Vigil, *, is_busy: bool) -> None:
        if is_busy:
            self._stir(watcher, vigil)
            return
        idle = watcher.config.idle_timeout
        log.info("no connection for %g s, it is stopped until the next one watcher=%r", idle, watcher.name)
        # They go on with the stop signal, and so not as before: see `_calm`.
        watcher.submit(self._arbiter.job("restart", "idle"), partial(self._still_idle, watcher, vigil))

    def _stir(self, watcher: Watcher, vigil: Vigil) -> None:
        self._calm(vigil)
        self._look_later(watcher, vigil)

    def _still_idle(self, watcher: Watcher, vigil: Vigil) -> None:
        if self._vigils.get(watcher) is not vigil or not watcher.config.on_demand:
            raise Conflict(f"{watcher.name}: not idle any more")


def _is_busy(socks: Iterable[socket.socket], held: Iterable[proc.Identity]) -> bool:
    """Whether a connection is open or waits, or a datagram, or one of those processes still goes on.

    Asks the kernel, in a thread as it walks its tables for that.
    """
    until = time.monotonic() + PATIENCE
    while not all(proc.is_at_rest(member.pid) for member in held):
        if time.monotonic() > until:
            return True
        time.sleep(PAUSE)
    return any(map(_is_in_use, socks))


def _is_in_use(sock: socket.socket) -> bool:
    """Whether somebody is connected to it or waits; what the kernel does not tell counts as that, as nobody may be cut off."""
    # Loaded when it is first wanted: most daemons have no such watcher.
    from circusd.kernel import sockdiag

    waiting = sockdiag.queue_of(sock).waiting
    connected = sockdiag.connections_of(sock) if sock.type in LISTENING else 0
    return waiting is None or connected is None or bool(waiting or connected)
