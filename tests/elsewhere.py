"""The far side of a connection between two machines, as the programs of the project meet it."""

from __future__ import annotations

import os
from pathlib import Path

PLUGIN = """
from circusd.plugins import CircusPlugin

class Told(CircusPlugin):
    name = "told"

    def handle_init(self):
        print("watchers", self.call("list")["watchers"], flush=True)

    def handle_recv(self, data):
        watcher, action, _ = self.split_data(data)
        print("told", watcher, action, flush=True)
"""
"""One that prints what it asks the daemon, and what it is told by it."""


def without_daemon(folder: Path) -> dict[str, str]:
    """The environment of a machine on which no daemon runs, and where none is named."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CIRCUS")}
    return {**kept, "CIRCUS_RUNTIME_DIR": str(folder / "none")}
