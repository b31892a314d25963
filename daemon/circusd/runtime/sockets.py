"""The listening sockets that the daemon owns and hands down."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gevent

from circusd.config.records import SocketConfig, WatcherConfig
from circusd.config.references import inherited_sockets
from circusd.kernel import sockets as kernel
from circusd.schema.errors import CircusError, ConfigError, Conflict

from .journal import Journal

log = logging.getLogger("circusd.sockets")


@dataclass(slots=True)
class Entry:
    """One managed socket."""

    name: str
    config: SocketConfig
    sock: socket.socket
    file: kernel.SocketFile | None
    holds: bool = False
    """Whoever comes is kept waiting, as no process has a socket of its own yet."""

    @property
    def fd(self) -> int:
        return self.sock.fileno()

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        return kernel.address(self.sock)

    @property
    def backlog(self) -> int:
        return self.config.backlog

    def adjust(self, config: SocketConfig) -> None:
        """What can change while it listens is as in that configuration of it."""
        if self.file is not None and config.umask is not None and config.umask != self.config.umask:
            try:
                kernel.set_mode(self.file, 0o777 & ~config.umask)
            except OSError as error:
                log.warning("the mode of socket %s stays as it is: %s", self.name, error.strerror)
        self.config = config
        self.sock.setblocking(config.blocking)
        if self.sock.type in kernel.LISTENING and not config.so_reuseport:
            # Again: only its queue changes.
            self.sock.listen(config.backlog)

    def close_entrance(self) -> bool:
        """Nobody new comes into its queue; False if that can't be done."""
        closed = not self.config.so_reuseport and kernel.close_entrance(self.sock, self.file)
        if closed:
            self.file = None
        return closed

    def hold(self) -> None:
        """With ``so_reuseport``: nobody is refused until the first process has its own socket, or until `release`."""
        if self.config.so_reuseport:
            self.holds = kernel.hold(self.sock)

    def release(self) -> None:
        """Who comes where no process listens is refused again."""
        if self.holds:
            self.holds = False
            kernel.release(self.sock)

    def waiting(self) -> int:
        """How many connections are in its queue."""
        # Loaded when it is first wanted.
        from circusd.kernel.sockdiag import queue_of

        return queue_of(self.sock).waiting or 0

    def close(self) -> None:
        """It does not listen here any more; its file is gone if it is still ours."""
        self.sock.close()
        if self.file is not None:
            kernel.unlink(self.file)


def spec_of(config: SocketConfig) -> kernel.SocketSpec:
    """The kernel's form of a socket's configuration."""
    return kernel.SocketSpec(
        name=config.name,
        host=config.host,
        port=config.port,
        path=config.path,
        family=config.family,
        type=config.type,
        proto=config.proto,
        backlog=config.backlog,
        umask=config.umask,
        replace=config.replace,
        interface=config.interface,
        so_reuseport=config.so_reuseport,
        blocking=config.blocking,
    )


class Sockets:
    """All managed sockets, by lower-case name."""

    def __init__(self, journal: Journal, handed: Mapping[str, socket.socket] | None = None) -> None:
        """`handed` are sockets that the service manager has opened: they serve where the configuration means them."""
        self._journal = journal
        self._entries: dict[str, Entry] = {}
        self._handed = dict(handed or {})
        self.on_change: Callable[[], None] = lambda: None
        """Told when a socket has come or gone."""

    def open(self, config: SocketConfig) -> Entry:
        """The socket listens. Raises ConfigError or Conflict with a sentence; may switch greenlets to look up a host."""
        name = config.name.lower()
        if name in self._entries:
            raise Conflict(f"socket {name} already exists")
        entry = self._from_manager(config) or self.prepare(config)
        self.take(entry)
        return entry

    def _from_manager(self, config: SocketConfig) -> Entry | None:
        """The socket of that name or address that the service manager has opened: it stays the manager's to remove."""
        spec = spec_of(config)
        by_name = [name for name in self._handed if name.lower() == config.name.lower()]
        found = by_name or [name for name, sock in self._handed.items() if kernel.is_meant(sock, spec)]
        if not found:
            return None
        sock = self._handed.pop(found[0])
        sock.setblocking(config.blocking)
        log.info("socket %s at %s comes from the service manager", config.name, kernel.address(sock))
        return Entry(config.name.lower(), config, sock, None)

    @staticmethod
    def prepare(config: SocketConfig, beside_old: socket.socket | None = None) -> Entry:
        """A socket that listens and is not among these yet; see `kernel.sockets.open_socket`. Raises and switches as `open` does."""
        spec = spec_of(config)
        if config.path or kernel.is_number(config.host):
            sock = kernel.open_socket(spec, beside_old)
        else:
            sock = _opened(gevent.get_hub().threadpool.apply(_attempt, (spec, beside_old)))
        return Entry(config.name.lower(), config, sock, kernel.socket_file(sock))

    def take(self, entry: Entry) -> None:
        """A prepared socket is one of these; another one of its name, which a command has added, is closed."""
        self.close(entry.name)
        self._entries[entry.name] = entry
        self._journal.tell("socket.opened", socket=entry.name, address=entry.address)
        self.on_change()

    def open_all(self, configs: Iterable[SocketConfig]) -> None:
        """All of them listen, or none of them and one error names every problem."""
        opened: list[str] = []
        problems: list[str] = []
        for config in configs:
            try:
                opened.append(self.open(config).name)
            except (ConfigError, Conflict) as error:
                problems.append(str(error))
        if problems:
            for name in opened:
                self.close(name)
            raise ConfigError(problems)
        for name, sock in self._handed.items():
            log.warning(
                "the service manager hands over %r at %s, which no [socket:NAME] means: it is closed",
                name,
                kernel.address(sock),
            )
            sock.close()
        self._handed.clear()

    def close(self, name: str) -> None:
        """The socket does not listen here any more; its file is gone if it is still ours."""
        entry = self._entries.pop(name.lower(), None)
        if entry is not None:
            entry.close()
            self._journal.tell("socket.closed", socket=entry.name)
            self.on_change()

    def entries(self) -> list[Entry]:
        """All sockets, by descriptor."""
        return sorted(self._entries.values(), key=lambda e: e.fd)

    def get(self, name: str) -> Entry | None:
        """The socket of that name."""
        return self._entries.get(name.lower())

    def descriptors(self) -> dict[str, int]:
        """Descriptors by lower-case name."""
        return {name: entry.fd for name, entry in self._entries.items()}

    def named_by(self, config: WatcherConfig) -> list[str]:
        """The sockets that a watcher's processes inherit."""
        return list(inherited_sockets(config, self._entries))

    def for_process(self, config: WatcherConfig, stack: ExitStack) -> tuple[dict[str, int], dict[str, int]]:
        """Descriptors by name for a process that is about to be started, and those of them that it inherits, in order.

        With ``so_reuseport`` it gets a socket of its own, which `stack` closes here. Raises Conflict, ConfigError.
        """
        known = self.descriptors()
        named = self.named_by(config)
        for name in named:
            entry = self._entries[name]
            if entry.config.so_reuseport:
                own = kernel.beside(entry.sock, spec_of(entry.config))
                stack.callback(own.close)
                entry.release()
                known[name] = own.fileno()
        return known, {name: known[name] for name in named}

    def listing(self) -> list[dict[str, Any]]:
        """The original's ``listsockets``."""
        return [
            {"fd": e.fd, "name": e.name, "backlog": e.backlog, **kernel.describe(e.sock)}
            for e in self.entries()
        ]

    def close_all(self) -> None:
        """No managed socket is open any more."""
        for name in list(self._entries):
            self.close(name)


def _attempt(spec: kernel.SocketSpec, beside_old: socket.socket | None) -> socket.socket | CircusError:
    # The error is handed over and not raised: gevent's pool prints what its functions raise.
    try:
        return kernel.open_socket(spec, beside_old)
    except CircusError as error:
        return error


def _opened(attempt: socket.socket | CircusError) -> socket.socket:
    if isinstance(attempt, CircusError):
        raise attempt
    return attempt


def is_program(path: str) -> bool:
    """Whether the file can be executed by us; who it is run as is checked when it is run."""
    return os.path.isfile(path) and os.access(path, os.X_OK)
