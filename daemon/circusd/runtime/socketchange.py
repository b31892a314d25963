"""Brings the managed sockets from one configuration to another: all that can be opened is, before anything changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import gevent

from circusd.config.difference import Difference
from circusd.config.records import SocketConfig
from circusd.kernel import sockets as kernel
from circusd.schema.errors import CircusError, ConfigError, Conflict

from . import clock
from .arbiter import Arbiter
from .sockets import Entry, Sockets

PATIENCE: Final = 5.0
"""Seconds that processes have to accept who waits in the queue of a socket that is closed."""
LOOK: Final = 0.01


class SocketChange:
    """The sockets of one reload."""

    def __init__(
        self, arbiter: Arbiter, sockets: Sockets, old: Iterable[SocketConfig], plan: Difference
    ) -> None:
        """New sockets listen already. Raises ConfigError, with nothing changed, when one can't be opened.

        One whose address is taken by a socket that will be closed waits for that.
        """
        self._arbiter = arbiter
        self._sockets = sockets
        self._plan = plan
        self._closing = [s for s in old if s.name in plan.sockets_closed]
        self._prepared: list[Entry] = []
        self._shared: list[Entry] = []
        """Sockets that share their address with what comes in their place."""
        self._waiting: list[SocketConfig] = []
        self._stopped: list[str] = []
        self._lost: dict[str, SocketConfig | None] = {}
        """Sockets that could not be opened after all, and what is there in their place."""
        self._prepare()

    def _prepare(self) -> None:
        problems: list[str] = []
        freed = {_address(s) for s in self._closing}
        for config in self._plan.sockets_opened:
            before = self._before(config)
            try:
                if before is not None:
                    self._prepared.append(Sockets.prepare(config, before.sock))
                    self._shared.append(before)
                else:
                    self._prepared.append(Sockets.prepare(config))
            except CircusError as error:
                if isinstance(error, Conflict) and _address(config) in freed:
                    self._waiting.append(config)
                else:
                    problems.append(str(error))
        if problems:
            self.discard()
            raise ConfigError(problems)

    def _before(self, config: SocketConfig) -> Entry | None:
        """The socket that will be closed at the same address, where processes have or get their own there: both are open for a while."""
        for old in self._closing:
            if (
                _address(old) == _address(config)
                and not config.path
                and (old.so_reuseport or config.so_reuseport)
            ):
                return self._sockets.get(old.name)
        return None

    def discard(self) -> None:
        """What was opened for it is closed again."""
        for entry in self._prepared:
            entry.close()
        for entry in self._shared:
            kernel.share(entry.sock, to=entry.config.so_reuseport)

    def drain(self) -> None:
        """Connections in the queues of sockets that are about to be closed are with the processes that accept from them.

        For that nobody new comes in; it lasts no longer than `PATIENCE`, and no time where nothing runs.
        """
        served = {
            name
            for watcher in self._arbiter.watchers.values()
            if watcher.planner.up
            for name in self._sockets.named_by(watcher.config)
        }
        closing = [
            entry
            for name in self._plan.sockets_closed
            if name in served and (entry := self._sockets.get(name)) is not None and entry.close_entrance()
        ]
        until = clock.now() + PATIENCE
        while any(entry.waiting() for entry in closing) and clock.now() < until:
            gevent.sleep(LOOK)

    def carry_out(self) -> list[str]:
        """The sockets are those of the new configuration; what is not so, in sentences.

        Watchers whose processes hold an address that is wanted for another socket are stopped; see `start_again`. The file of
        a unix socket is nobody's to hold.
        """
        problems: list[str] = []
        held = {_address(s) for s in self._waiting if not s.path}
        if held:
            problems += self._stop_holders(held)
        if self._shared:
            # Before the old one goes: nobody is to find nobody.
            for entry in self._prepared:
                entry.hold()
        for name in self._plan.sockets_closed:
            self._sockets.close(name)
        for entry in self._prepared:
            self._sockets.take(entry)
        for config in self._waiting:
            try:
                self._sockets.open(config)
            except CircusError as error:
                problems.append(str(error))
                self._lost[config.name] = self._fall_back(config.name)
        for config in self._plan.sockets_adjusted:
            adjusted = self._sockets.get(config.name)
            if adjusted is not None:
                adjusted.adjust(config)
        return problems

    def _stop_holders(self, addresses: set[object]) -> list[str]:
        names = {s.name for s in self._closing if _address(s) in addresses}
        self._stopped = [
            name
            for name, watcher in self._arbiter.watchers.items()
            if watcher.planner.wanted and names & set(self._sockets.named_by(watcher.config))
        ]
        outcomes = self._arbiter.stop_all(self._stopped, "reloadconfig").get() or []
        return [str(outcome) for _, outcome in outcomes if isinstance(outcome, CircusError)]

    def _fall_back(self, name: str) -> SocketConfig | None:
        """The socket as it was, if that can be had."""
        for config in self._closing:
            if config.name == name:
                try:
                    self._sockets.open(config)
                except CircusError:
                    return None
                return config
        return None

    def start_again(self) -> list[str]:
        """Watchers that were stopped for the sockets run again, and nobody is kept waiting; what went wrong, in sentences."""
        there = [name for name in self._stopped if name in self._arbiter.watchers]
        outcomes = self._arbiter.start_all(there, "reloadconfig").get() or []
        for entry in self._prepared:
            entry.release()
        return [str(outcome) for _, outcome in outcomes if isinstance(outcome, CircusError)]

    def in_force(self, wanted: Iterable[SocketConfig]) -> tuple[SocketConfig, ...]:
        """The configurations that count, so that the next reload tries again what is missing."""
        found = (self._lost.get(s.name, s) for s in wanted)
        return tuple(s for s in found if s is not None)


def _address(config: SocketConfig) -> object:
    return config.path or (config.host, config.port)
