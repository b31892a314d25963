"""The console as a watcher of circusd's own: whether it may be opened, what runs it, its connection, and the links that lead to it."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gevent.event import Event

from circusd.config.records import CircusConfig, Configuration, SocketConfig, WatcherConfig
from circusd.schema.errors import CircusError, ConfigError

from . import consoleaccess
from .arbiter import Arbiter, in_background
from .doors import Doors
from .sockets import Sockets

if TYPE_CHECKING:
    from .accounts import Accounts

log = logging.getLogger("circusd.daemon")

HTTPD: Final = "circushttpd"
LINK: Final = "circusd-link"


class Console:
    """Nothing of it runs or is open before the watcher that `watcher` gives is started."""

    def __init__(
        self,
        name: str,
        circus: Callable[[], CircusConfig],
        arbiter: Arbiter,
        sockets: Sockets,
        doors: Doors,
        accounts: Callable[[], Accounts],
    ) -> None:
        """For the daemon of that name. `circus` tells the options in force; `accounts` is called when somebody logs in, or is
        to be able to."""
        self.refusal = ""
        """Why it is not opened, though the file has it on."""
        self._name = name
        self._options = circus
        self._arbiter = arbiter
        self._sockets = sockets
        self._doors = doors
        self._accounts = accounts
        self._certificate: tuple[object, ...] = ()

    @property
    def address(self) -> str | None:
        """Where it listens; None when it is off."""
        socket_ = self._sockets.get(HTTPD)
        return None if socket_ is None else socket_.address

    def allow(self, configuration: Configuration) -> tuple[Configuration, str]:
        """The configuration, and why its console is not opened (empty when it is, or is not wanted): then it is off in it."""
        circus = configuration.circus
        if not circus.httpd or consoleaccess.is_open_to_nobody_else(circus):
            return configuration, ""
        try:
            has_credentials = in_background(self._somebody_can_log_in).get()
            refusal = "" if has_credentials else consoleaccess.REFUSAL.format(host=circus.httpd_host)
        except CircusError as problem:
            refusal = f"the console is not opened at {circus.httpd_host}: {problem}"
        if not refusal:
            return configuration, ""
        return replace(configuration, circus=replace(circus, httpd=False)), refusal

    def _somebody_can_log_in(self) -> bool:
        people, read = self._accounts().people, Event()
        people.when_read(read.set)
        read.wait()
        return people.has_credentials()

    def watcher(self, circus: CircusConfig) -> WatcherConfig:
        """What runs it."""
        words = [sys.executable, "-P", "-m", "circusweb.server"]
        words += ["--fd", f"$(circus.sockets.{HTTPD})", "--link", f"$(circus.sockets.{LINK})"]
        words += ["--name", self._name]
        for host in circus.httpd_hosts:
            words += ["--hosts", host]
        words += consoleaccess.arguments(circus)
        if os.geteuid() == 0 and circus.httpd_user not in (None, "", "root", "0", 0):
            # It becomes that user by itself, once it has read its files: they may lie where only root can read.
            words += ["--user", str(circus.httpd_user)]
        return WatcherConfig(
            name=HTTPD,
            cmd=" ".join(w if w.startswith("$(") else shlex.quote(w) for w in words),
            singleton=True,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", **_own_path()},
            priority=1000,
            graceful_timeout=5.0,
            extras={"httpd_host": circus.httpd_host},
        )

    def connect(self) -> dict[str, int]:
        """One end of a new connection for a process that starts; the other is carried like any client's, but has no role."""
        self._certificate = consoleaccess.certificate_of(self._options())
        ours, theirs = socket.socketpair()
        self._doors.adopt(ours, "web")
        return {LINK: theirs.detach()}

    def renew(self) -> None:
        """It is started anew when its certificate's file is another one: it may not be allowed to read it itself."""
        watcher = self._arbiter.watchers.get(HTTPD)
        if watcher is None or not watcher.planner.wanted:
            return
        if self._certificate and consoleaccess.certificate_of(self._options()) != self._certificate:
            log.info("the console's certificate has changed, and the console is restarted")
            watcher.submit(self._arbiter.job("restart", "reloadconfig"))

    def new_link(self, role: str, person: str, watchers: Any = None) -> tuple[str, float]:
        """A one-time address, and when it ends (epoch seconds). Raises ConfigError when the console is off."""
        from .peoplecommands import as_patterns

        console = self._sockets.get(HTTPD)
        if console is None:
            raise ConfigError([self.refusal or "the console is not on: set httpd = 1 in [circus]"])
        token, expires = self._accounts().new_link(role, person, as_patterns(watchers))
        circus = self._options()
        host = "127.0.0.1" if circus.httpd_host in ("", "0.0.0.0") else circus.httpd_host
        port = console.sock.getsockname()[1]
        scheme = "https" if circus.httpd_certificate else "http"
        place = f"{f'[{host}]' if ':' in host else host}:{port}{circus.httpd_prefix}"
        return f"{scheme}://{place}/login#token={token}", expires


def file_sockets(configuration: Configuration) -> tuple[SocketConfig, ...]:
    """The sockets that a configuration asks for: its own, and the console's."""
    circus = configuration.circus
    if not circus.httpd:
        return configuration.sockets
    own = SocketConfig(name=HTTPD, host=circus.httpd_host, port=circus.httpd_port, backlog=128)
    return (*configuration.sockets, own)


def _own_path() -> dict[str, str]:
    """Where circusd was told to find its modules, for those of its programs that get nothing else of its environment."""
    return {k: os.environ[k] for k in ("PYTHONPATH",) if k in os.environ}
