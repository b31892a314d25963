"""A web application with two versions, served by chaussette, that is deployed again and again while clients ask."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.clients import Clients
from tests.daemon import BIN, Daemon
from tests.ports import free_port
from tests.waiting import eventually

VERSION = """
def app(environ, start_response):
    body = b"{version}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
BROKEN = "raise RuntimeError('no such table: products')\n"

INI = """
[watcher:web]
cmd = {bin}/chaussette --fd $(circus.sockets.web) --backend {backend} --log-level warning shop.app
use_sockets = True
numprocesses = {workers}
working_dir = {folder}
copy_env = True

[socket:web]
host = 127.0.0.1
port = {port}

[socket:other]
host = 127.0.0.1
port = {other}
"""


class Site:
    """The application on disk and the daemon's file; the daemon is started by whoever wants it."""

    def __init__(self, folder: Path, backend: str = "fastgevent", workers: int = 2) -> None:
        self.folder = folder
        self.port = free_port()
        self._backend, self._workers = backend, workers
        self.write(1)
        self.daemon = Daemon(self._ini(free_port()), folder)

    def _ini(self, other: int) -> str:
        return INI.format(
            bin=BIN,
            folder=self.folder,
            backend=self._backend,
            workers=self._workers,
            port=self.port,
            other=other,
        )

    def write(self, version: int) -> None:
        """That version is on disk."""
        self._replace(VERSION.format(version=version))

    def break_it(self) -> None:
        """What is on disk can't be imported."""
        self._replace(BROKEN)

    def _replace(self, text: str) -> None:
        new = self.folder / "shop.py.new"
        new.write_text(text)
        os.replace(new, self.folder / "shop.py")

    def move_other_socket(self) -> None:
        """The file has the other socket at another port, and is read again."""
        self.daemon.config.write_text(self._ini(free_port()))
        self.daemon.ctl("reloadconfig", "--waiting", timeout=120)

    def serves(self, number: int) -> bool:
        """Whether so many workers are ready."""
        states = [p["state"] for p in self.daemon.watcher("web")["processes"]]
        return states == ["ready"] * number

    def wait_until_it_serves(self, number: int) -> None:
        eventually(lambda: self.serves(number), within=60, what=f"{number} workers are ready")


def deploys(site: Site, clients: Clients, number: int, *words: str) -> None:
    """So many versions one after the other; each is served in the end."""
    for version in range(2, 2 + number):
        site.write(version)
        site.daemon.ctl("reload", "web", "--waiting", *words, timeout=120)
        served(clients, version)


def served(clients: Clients, version: int) -> None:
    """The version answers."""
    body = str(version).encode()
    eventually(lambda: clients.bodies[body] > 0, within=30, what=f"version {version} answers")


def goes_on(clients: Clients) -> None:
    """As many requests more are answered as there are clients."""
    wanted = clients.answered + 16
    eventually(lambda: clients.answered >= wanted, within=30, what="requests are answered")


def scaled(site: Site, clients: Clients, numbers: tuple[int, ...]) -> None:
    """More and fewer workers."""
    for number in numbers:
        site.daemon.ctl("set", "web", "numprocesses", str(number), "--waiting", timeout=120)
        goes_on(clients)


def times(number: int, act: Callable[[], object], clients: Clients) -> None:
    for _ in range(number):
        act()
        goes_on(clients)
