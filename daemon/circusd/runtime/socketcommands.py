"""The commands that add and remove managed sockets."""

from __future__ import annotations

from typing import Any

from circusd.config.sections import socket_from_options
from circusd.schema.errors import BadRequest, Conflict, NotFound
from circusd.schema.nearest import nearest

from .arbiter import Arbiter, in_background
from .requests import Context, Later, Reply, truthy
from .sockets import Sockets


class SocketCommands:
    """Opens and closes listening sockets."""

    arbiter: Arbiter
    daemon: Any

    def cmd_addsocket(self, p: dict[str, Any], c: Context) -> Reply:
        name, options = str(p["name"]), p.get("options") or {}
        if not isinstance(options, dict):
            raise BadRequest("options must be an object", field="options")
        config = socket_from_options(name, {k: v for k, v in options.items() if v is not None})
        sockets = self.arbiter.sockets

        def taken() -> None:
            if sockets.get(config.name) is not None:
                raise Conflict(f"socket {config.name} already exists")

        def run() -> dict[str, Any]:
            # A host is looked up in a thread: meanwhile another command may have come.
            entry = Sockets.prepare(config)
            try:
                taken()
            except Conflict:
                entry.close()
                raise
            sockets.take(entry)
            return {"socket": next(row for row in sockets.listing() if row["name"] == entry.name)}

        taken()
        return Later(in_background(run), lambda reply: reply)

    def cmd_rmsocket(self, p: dict[str, Any], c: Context) -> Reply:
        sockets, name = self.arbiter.sockets, str(p["name"]).lower()
        if sockets.get(name) is None:
            close = nearest(name, [entry.name for entry in sockets.entries()])
            raise NotFound(f"socket {p['name']} not found", hint=f"did you mean {close}?" if close else "")
        watchers = list(self.arbiter.watchers.values())
        holders = sorted(w.name for w in watchers if name in sockets.named_by(w.config))
        if any(w.kind == "httpd" and w.name in holders for w in watchers):
            raise Conflict(
                f"socket {name} is the console's", hint="switch it off by httpd = false in [circus]"
            )
        if holders and not truthy(p.get("force")):
            raise Conflict(
                f"socket {name} is named by {', '.join(holders)}",
                hint="change them first; with force it is closed here, and what runs keeps its own",
            )
        sockets.close(name)
        return {"held_by": holders}
