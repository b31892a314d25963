"""The commands that add and remove managed sockets."""

from __future__ import annotations

import socket
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent

from circusd.config.sections import socket_from_options
from circusd.kernel.sockets import again
from circusd.schema.errors import BadRequest, Conflict, NotFound
from circusd.schema.nearest import nearest

from . import snapshot
from .arbiter import Arbiter, in_background
from .requests import Context, Later, Reply, truthy
from .sockets import Sockets

if TYPE_CHECKING:
    from .daemon import Daemon


class SocketCommands:
    """Opens and closes listening sockets."""

    arbiter: Arbiter
    daemon: Daemon

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

    def cmd_listsockets(self, p: dict[str, Any], c: Context) -> Reply:
        mine = {row["name"] for row in snapshot.sockets_view(self.arbiter, c.person.scope)}
        rows = [row for row in self.arbiter.sockets.listing() if row["name"] in mine]
        if not truthy(p.get("details")):
            return {"sockets": rows}
        holders = [
            (w.name, w.planner, set(self.arbiter.sockets.named_by(w.config)))
            for w in c.person.scope.of_those(self.arbiter.watchers).values()
        ]
        for row in rows:
            held = [(name, planner) for name, planner, named in holders if row["name"] in named]
            row["watchers"] = sorted(name for name, _ in held)
            row["awaited_by"] = sorted(name for name, planner in held if planner.asleep)
            row["processes"] = [
                {"watcher": name, "wid": wid, "pid": slot.pid}
                for name, planner in sorted(held, key=lambda one: one[0])
                for wid, slot in sorted(planner.processes.items())
                if slot.pid is not None
            ]
        return Later(in_background(partial(with_queues, self.arbiter.sockets, rows)), _listed)

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


def _listed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sockets": rows}


def with_queues(sockets: Sockets, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with what the kernel tells of each; it is asked in a thread, as it walks its tables for that."""
    # Copies: the thread's are there also when a socket is closed meanwhile.
    kept = {entry.name: again(entry.sock) for entry in sockets.entries()}
    try:
        told = gevent.get_hub().threadpool.apply(_told, (kept,))
    finally:
        for sock in kept.values():
            sock.close()
    return [{**row, **told.get(row["name"], {})} for row in rows]


def _told(socks: dict[str, socket.socket]) -> dict[str, dict[str, Any]]:
    # Loaded when somebody asks: most daemons are never asked.
    from circusd.kernel import sockdiag

    return {
        name: {
            "family": sock.family.name,
            "type": sock.type.name,
            **asdict(sockdiag.queue_of(sock)),
            "connections": sockdiag.connections_of(sock),
        }
        for name, sock in socks.items()
    }
