"""The transport of commands: inner ROUTER sockets, one for each door, uid and role; requests in, replies and pushes out.

What a request means is not known here. A message is decoded, its caller is told from the socket that it came by, and
both are given to ``dispatch``; the caller's ``send`` takes the answer.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import gevent
import zmq
import zmq.green

from circusd.schema import commands, wire
from circusd.schema.errors import CircusError

from . import clock
from .connections import ID_BYTES, SEAL_BYTES, Connection
from .repeats import ID_LENGTH, Repeats

log = logging.getLogger("circusd.controller")

QUEUED_LIMIT_BYTES: Final = 8 << 20
"""Bytes that may lie in this process for one peer; what would come on top of them is lost, and counted."""

REQUESTS_PER_TURN: Final = 32
"""After so many requests in a row the loop gets its turn."""

IDLE_ROUTERS: Final = 64
"""Inner sockets that are kept though nobody uses them at present."""

# Longer requests up to this get an answer that says so; beyond it libzmq ends the connection.
_MESSAGE_LIMIT_BYTES: Final = 2 * wire.REQUEST_LIMIT_BYTES
_PENDING_REQUESTS: Final = 64
_BACKLOG: Final = 512


@dataclass(eq=False, slots=True, frozen=True)
class Caller:
    """Who sent a request, and the way back."""

    door: str
    uid: int | None
    role: str | None
    """What the uid or the key may do by itself; None behind a door whose requests carry sessions."""
    identity: bytes
    """The connection's id, then the identity that the client chose."""
    address: str
    """Where the connection comes from, as the doors name it."""
    pid: int | None
    """The process that made a unix connection, as the kernel knew it then."""
    send: Callable[[bytes], bool]
    """Queues a reply or a push for the peer and never waits; False if it was lost: the peer is gone or does not read."""
    push: Callable[[bytes], bool]
    """The same for what comes before the reply, and is not kept for who asks again."""
    key: str = ""
    """The name of the key of a peer on another machine; empty for one on this machine."""

    @property
    def connection(self) -> bytes:
        """The id of the connection; it is told to ``left`` when that ends."""
        return self.identity[:ID_BYTES]

    @property
    def peer(self) -> bytes:
        """The identity that the client chose, which it keeps over connections; else the connection's id."""
        return self.identity[ID_BYTES:] or self.identity


Dispatch = Callable[[wire.Request, Caller], None]


class Controller:
    """The entrance of the channel of commands.

    ``dispatch(request, caller)`` is called for each request, in the order of each connection; it must not wait, and
    answers by ``caller.send``, now or later. What it raises becomes an error reply. ``left(connection)`` is called with
    the id of each connection that has ended (`Caller.connection`).
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        folder: str,
        dispatch: Dispatch,
        left: Callable[[bytes], None] = lambda connection: None,
    ) -> None:
        """``context`` is a zmq.green one; ``folder`` is closed to others."""
        self._context = context
        self._folder = folder
        self._dispatch = dispatch
        self._left = left
        self._routers: dict[object, _Router] = {}
        self._idle: dict[object, None] = {}
        self._made = 0
        self._repeats = Repeats()
        self.connections: dict[bytes, Connection] = {}
        self.requests = 0
        self.lost = 0
        """Replies and pushes that a peer did not read, or left before."""

    def enter(self, connection: Connection) -> str:
        """The path of the ROUTER for such connections; see `doors.Entrance`."""
        self.connections[connection.id] = connection
        key = self._key(connection)
        router = self._routers.get(key)
        if router is None:
            router = self._routers[key] = self._make(connection)
        router.users += 1
        self._idle.pop(key, None)
        return router.path

    def _make(self, connection: Connection) -> _Router:
        if connection.arm is not None:
            path = os.path.join(self._folder, f"commands.far.{connection.number}")
            return _FarRouter(self, self._context, path, connection)
        self._made += 1
        return _Router(self, self._context, os.path.join(self._folder, f"commands.{self._made}"), connection)

    def left(self, connection: Connection) -> None:
        """The connection has ended; see `doors.Entrance`."""
        if self.connections.pop(connection.id, None) is None:
            return
        key = self._key(connection)
        router = self._routers.get(key)
        if router is not None:
            router.users -= 1
            if connection.uid is None:
                self._routers.pop(key).close()
            elif not router.users:
                self._rest(key)
        self._left(connection.id)

    def _rest(self, key: object) -> None:
        """A ROUTER that nobody uses stays for the next one, and for what it has not read yet; not as many as there are users."""
        self._idle[key] = None
        if len(self._idle) > IDLE_ROUTERS:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._routers.pop(oldest).close()

    @staticmethod
    def _key(connection: Connection) -> object:
        """Who shares a ROUTER: processes of one user can be in different groups, and so have different roles."""
        if connection.uid is None:
            return connection.id
        return connection.door, connection.uid, connection.role

    def flush(self, within: float = 1.0) -> bool:
        """Whether all replies have gone to the peers' sockets within that many seconds; called before the end."""
        deadline = clock.now() + within
        while any(connection.queued for connection in self.connections.values()):
            if clock.now() > deadline:
                return False
            gevent.sleep(0.002)
        return True

    def close(self) -> None:
        """No request comes any more, and no reply goes out."""
        for router in self._routers.values():
            router.close()
        self._routers.clear()

    def counters(self) -> dict[str, Any]:
        """Numbers since the start."""
        return {"requests": self.requests, "lost": self.lost, "remembered": len(self._repeats)}

    # -- for the routers -------------------------------------------------------------------------------------------

    def received(self, router: _Router, frames: list[bytes]) -> None:
        """One message: decode, recognise what came before, and hand on."""
        self.requests += 1
        identity = frames[0]

        def send(message: bytes) -> bool:
            return router.send(identity, message)

        try:
            request = wire.decode_request(frames[1:])
        except wire.NoReply:
            return
        except CircusError as problem:
            send(wire.error_reply(None, problem, clock.wall()))
            return
        connection = self.connections.get(identity[:ID_BYTES])
        address, pid = ("", None) if connection is None else (connection.address, connection.pid)
        peer = router.peer
        caller = Caller(peer.door, peer.uid, peer.role, identity, address, pid, send, send, peer.key)
        if _is_repeatable(request):
            remembered = self._remembering(caller, request)
            if remembered is None:
                return
            caller = remembered
        try:
            self._dispatch(request, caller)
        except CircusError as problem:
            if not request.cast:
                caller.send(wire.error_reply(request.id, problem, clock.wall()))
        except Exception:
            # One bad request must not end the others.
            fault = os.urandom(4).hex()
            log.exception("fault %s in command %s", fault, request.command)
            if not request.cast:
                error = CircusError(f"a fault of circusd itself; its log tells more under {fault}")
                caller.send(wire.error_reply(request.id, error, clock.wall()))

    def _remembering(self, caller: Caller, request: wire.Request) -> Caller | None:
        """A caller whose first answer is kept; None if the request has come before and needs nothing more."""
        peer = (caller.door, caller.uid, caller.role, caller.key, caller.peer)
        key = (request.id, request.session, request.command, request.cast)
        past, is_first = self._repeats.first(peer, key)
        if is_first:
            past.way_back = caller.send
        elif past.answered:
            if past.result is not None:
                caller.send(past.result)
            return None
        else:
            # Still at work: the answer goes to where the client is now.
            past.way_back = caller.send
            return None

        def send(message: bytes) -> bool:
            self._repeats.answered(past, message)
            return past.way_back(message)

        def push(message: bytes) -> bool:
            return past.way_back(message)

        return replace(caller, send=send, push=push)


class _Router:
    """One ROUTER with the greenlet that receives."""

    def __init__(
        self, controller: Controller, context: zmq.Context[Any], path: str, first: Connection
    ) -> None:
        self.peer = first
        """One of its connections: who they are is the same for all."""
        self.path = path
        self.users = 0
        """Connections that lead here."""
        self._controller = controller
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.BACKLOG, _BACKLOG)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MESSAGE_LIMIT_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, _PENDING_REQUESTS)
        # What lies here for a peer is bounded in bytes, by `send`; and it has to be known when a peer is gone.
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if first.arm is not None:
            first.arm(self._socket)
        self._socket.bind("ipc://" + path)
        self._greenlet = gevent.spawn(self._receive)

    def _receive(self) -> None:
        receive, received = self._receive_one, self._controller.received
        while not self._socket.closed:
            # Where requests are waiting, receiving does not give way to anybody.
            for _ in range(REQUESTS_PER_TURN):
                received(self, receive())
                if self._socket.closed:
                    # Closed by what was asked for.
                    return
            # Not 0: with that the hub does not look at descriptors.
            gevent.sleep(1e-6)

    def _receive_one(self) -> list[bytes]:
        frames: list[bytes] = self._socket.recv_multipart()
        return frames

    def _name(self, identity: bytes) -> bytes:
        """What libzmq knows a peer by."""
        return identity

    def _size(self, message: bytes) -> int:
        """How many bytes the message has on its way."""
        return len(message) + (2 if len(message) < 256 else 9)

    def send(self, identity: bytes, message: bytes) -> bool:
        """Never waits, so it is safe from any greenlet and from the hub."""
        connection = self._controller.connections.get(identity[:ID_BYTES])
        size = self._size(message)
        queued = 0 if connection is None else connection.queued
        if connection is None or self._socket.closed or (queued and queued + size > QUEUED_LIMIT_BYTES):
            self._controller.lost += 1
            return False
        try:
            self._socket.send_multipart((self._name(identity), message), zmq.NOBLOCK)
        except zmq.ZMQError:
            # No such peer (any more).
            self._controller.lost += 1
            return False
        connection.hand_over(size)
        return True

    def close(self) -> None:
        if self._greenlet is not gevent.getcurrent():
            self._greenlet.kill(block=False)
        self._socket.close()
        with contextlib.suppress(OSError):
            # libzmq leaves it.
            os.unlink(self.path)


class _FarRouter(_Router):
    """The ROUTER of one peer on another machine: its identity comes sealed, and gets the connection's id only here."""

    _theirs = b""

    def _receive_one(self) -> list[bytes]:
        frames = super()._receive_one()
        self._theirs = frames[0]
        # One that begins with 0 is of libzmq's own making.
        chosen = b"" if frames[0].startswith(b"\0") else frames[0]
        return [self.peer.id + chosen, *frames[1:]]

    def _name(self, identity: bytes) -> bytes:
        return self._theirs

    def _size(self, message: bytes) -> int:
        size = len(message) + SEAL_BYTES
        return size + (2 if size < 256 else 9)


def _is_repeatable(request: wire.Request) -> bool:
    """Whether its repetition must not do it again: it changes something, and has an id that is its own."""
    if not isinstance(request.id, str) or len(request.id) < ID_LENGTH:
        return False
    row = commands.find(request.command)
    return row is not None and row.effect != "read" and row.where == "daemon"
