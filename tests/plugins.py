"""What tests of plugins need: whether one hears, what it says, and a statsd that writes down what it gets."""

from __future__ import annotations

import socket
from typing import Self

from tests.daemon import Daemon
from tests.waiting import eventually


def until_it_hears(daemon: Daemon, *names: str) -> None:
    """These plugins are subscribed to events, and have got one."""

    def sent(name: str) -> int | None:
        for row in daemon.call("plugins")["plugins"]:
            if row["name"] == name:
                return sum(door["sent"] for door in row["doors"] if door["channel"] == "events")
        return None

    def hears(name: str) -> bool:
        before = sent(name)
        # An event that is of no interest to anybody.
        daemon.call("set", name=f"plugin:{name}", options={"priority": 1}, waiting=True)
        return before is not None and (sent(name) or 0) > before

    for name in names:
        eventually(lambda name=name: hears(name), within=30, every=0.1, what=f"{name} hears")  # type: ignore[misc]


def said(daemon: Daemon, name: str) -> str:
    """What the plugin has written to standard error."""
    lines = daemon.call("output", names=[f"plugin:{name}"], lines=1000)["lines"]
    return "\n".join(line["text"] for line in lines)


def count(daemon: Daemon, watcher: str, kind: str) -> int:
    """How often that happened to the watcher."""
    events = daemon.call("events", lines=2000)["events"]
    return sum(event["event"] == kind and event.get("watcher") == watcher for event in events)


class Statsd:
    """A UDP socket; `texts` is what has come so far."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._texts: list[str] = []

    @property
    def texts(self) -> list[str]:
        while True:
            try:
                self._texts.append(self._socket.recv(65536).decode())
            except BlockingIOError:
                return self._texts

    def options(self) -> str:
        """Lines for a section."""
        return f"host = 127.0.0.1\nport = {self.port}\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
