"""The commands that make, show and revoke keys of other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import clock
from .arbiter import in_background
from .requests import Context, Later, Reply

if TYPE_CHECKING:
    from .daemon import Daemon


class KeyCommands:
    """Keys by which clients on other machines are known."""

    daemon: Daemon

    def cmd_keys(self, p: dict[str, Any], c: Context) -> Reply:
        def run() -> dict[str, Any]:
            far = self.daemon.endpoints.far
            far.keyring.read()
            here = far.connections()
            return {
                "keys": [
                    {
                        "name": key.name,
                        "role": key.role,
                        "connections": here.get(key.name, []),
                        "by": key.by,
                        "added": key.added,
                        "public": key.public,
                    }
                    for key in far.keyring.keys
                ],
                **self._server(),
            }

        return Later(in_background(run), lambda reply: reply)

    def cmd_addkey(self, p: dict[str, Any], c: Context) -> Reply:
        name, role, public = str(p["name"]), p["role"], str(p["public"])

        def run() -> dict[str, Any]:
            key = self.daemon.endpoints.far.keyring.add(name, role, public, c.person.name, clock.wall())
            return {"key": key._asdict(), **self._server()}

        return Later(in_background(run), lambda reply: reply)

    def cmd_rmkey(self, p: dict[str, Any], c: Context) -> Reply:
        name = str(p["name"])
        return Later(
            in_background(lambda: self.daemon.endpoints.far.keyring.remove(name)),
            lambda ended: {"ended": ended},
        )

    def _server(self) -> dict[str, Any]:
        """What a client has to know of this daemon: nothing of it is secret."""
        return {
            "server": self.daemon.endpoints.far.keyring.server,
            "endpoints": self.daemon.endpoints.remote()["endpoints"],
            "daemon": self.daemon.settings.name,
        }
