"""Plugin: processes that do not send a heartbeat by UDP are ended."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circusd.schema.errors import CircusError

from . import CircusPlugin
from .period import PeriodicCallback
from .settings import settings

log = logging.getLogger("circusd.plugin")

LONGEST = 1024
"""Bytes of a heartbeat that are looked at."""

IN_A_TURN = 256
"""Heartbeats that are read before others have their turn."""


@dataclass(slots=True)
class Monitored:
    """A process from which heartbeats are expected."""

    watcher: str
    last_activity: float
    """When it was last heard, or first seen; of the monotonic clock."""


class WatchDog(CircusPlugin):
    """See its options."""

    name = "watchdog"
    topics = ("event.",)

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.settings = settings(self.name, config)
        self.loop_rate: float = self.settings["loop_rate"]
        self.max_count: int = self.settings["max_count"]
        self.pid_status: dict[int, Monitored] = {}
        self.sock: socket.socket | None = None
        self.period = PeriodicCallback(self._turn, self.loop_rate * 1000, self.loop)
        self._watchers = re.compile(self.settings["watchers_regex"])
        self._message = re.compile(self.settings["msg_regex"])

    def handle_init(self) -> None:
        """It listens; raises ValueError when the address can't be had: a deaf watchdog would end everything."""
        address = self.settings["ip"], self.settings["port"]
        try:
            family, kind, protocol, _, found = socket.getaddrinfo(
                *address, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
            )[0]
            self.sock = socket.socket(family, kind, protocol)
            self.sock.setblocking(False)
            self.sock.bind(found)
        except OSError as problem:
            raise ValueError(f"can't listen at UDP {address[0]}:{address[1]}: {problem}") from problem
        self.loop.asyncio_loop.add_reader(self.sock, self._receive)
        self.period.start()

    def handle_stop(self) -> None:
        """It is deaf, and ends nothing any more."""
        self.period.stop()
        if self.sock is not None:
            self.loop.asyncio_loop.remove_reader(self.sock)
            self.sock.close()
            self.sock = None

    def handle_subscribed(self) -> None:
        """All processes are asked for."""
        self.discover()

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """Processes come and go."""
        event = self.load_message(data[1])
        if event["event"] == "process.started" and self.looks_after(event["watcher"]):
            self.pid_status[event["pid"]] = Monitored(event["watcher"], time.monotonic())
        elif event["event"] == "process.exited":
            self.pid_status.pop(event["pid"], None)

    def looks_after(self, name: str) -> bool:
        """Whether heartbeats are expected from the processes of that watcher."""
        return not name.startswith("plugin:") and self._watchers.match(name) is not None

    def discover(self) -> None:
        """The processes that run are known, and no others; those that are new have been heard just now."""
        now = time.monotonic()
        found: dict[int, Monitored] = {}
        for row in self.call("inspect").get("watchers", ()):
            if row["kind"] == "watcher" and self.looks_after(row["name"]):
                for pid in (process["pid"] for process in row["processes"] if process["pid"]):
                    known = self.pid_status.get(pid)
                    is_same = known is not None and known.watcher == row["name"]
                    found[pid] = known if known and is_same else Monitored(row["name"], now)
        self.pid_status = found

    def look_after(self) -> None:
        """Processes that were silent for too long are ended."""
        # An event may have been missed; whoever is no child of circusd any more must not be ended by his number.
        self.discover()
        too_old = time.monotonic() - self.loop_rate * self.max_count
        for pid, known in list(self.pid_status.items()):
            if known.last_activity < too_old:
                log.warning("%s: process %d sends no heartbeat and is ended", known.watcher, pid)
                self.cast("kill", name=known.watcher, pid=pid, match="simple", **self._how())
                del self.pid_status[pid]

    def _how(self) -> Mapping[str, Any]:
        chosen = {
            "signum": self.settings["watchers_stop_signal"],
            "graceful_timeout": self.settings["watchers_graceful_timeout"],
        }
        return {key: value for key, value in chosen.items() if value is not None}

    def _turn(self) -> None:
        # What has come while the plugin itself was held up counts.
        self._receive(many=True)
        try:
            self.look_after()
        except CircusError as problem:
            log.warning("%s", problem)

    def _receive(self, *, many: bool = False) -> None:
        for _ in range(100_000 if many else IN_A_TURN):
            if self.sock is None:
                return
            try:
                data = self.sock.recv(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as problem:
                log.warning("%s", problem)
                return
            self.heartbeat(data)

    def heartbeat(self, data: bytes) -> None:
        """A datagram from anybody: the process that it names has been heard."""
        found = self._message.match(data.decode("utf-8", "replace").strip())
        try:
            known = self.pid_status.get(int(found["pid"])) if found else None
        except (ValueError, TypeError):
            known = None
        if known is None:
            log.debug("a heartbeat of nobody: %r", data[:100])
        else:
            known.last_activity = time.monotonic()
