"""Peers on other machines: known by a key or not at all, and bounded in time, bytes and number until they are.

What they say first is answered here in libzmq's place. Only a peer that has begun a handshake of CURVE in the right form
gets an inner socket, of its own, and only one whose key is known is heard.
"""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import gevent
import zmq
from gevent.event import AsyncResult, Event

from circusd.schema.errors import CircusError, ProtocolError

from .connections import (
    GREETING_SECONDS,
    READ_BYTES,
    Connection,
    connect_inner,
    end_both,
    shut_down,
    upwards,
)
from .curvehandshake import GREETING, ClientSide, ServerSide
from .doors import warn_of_reach
from .guard import Guard
from .keyring import Key, Keyring
from .throttle import Tries, network

log = logging.getLogger("circusd.doors")

CONNECTIONS: Final = 128
"""From other machines, those included that have not shown a key yet."""

PER_ADDRESS: Final = 32
PER_KEY: Final = 32

HANDSHAKES: Final = 32
"""That may be under way; a new one ends the oldest, so that nobody can keep others out by waiting."""

HANDSHAKES_PER_ADDRESS: Final = 8

TRIES: Final = 60
"""Connections that may come from one address and show no key, before it has to wait."""

TRY_SECONDS: Final = 0.1
"""After this time an address has one try more: a program there without a key, which tries for ever, leaves room for one with."""

ADDRESSES: Final = 1024
"""Addresses whose tries are remembered."""

_ALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A machine that has gone without a word is noticed in two minutes, and not in two hours."""

_OUSTED: Final = "others have come while it showed no key"
_ANSWER_SECONDS: Final = 1.0
"""For the word that a key is not known."""


class Far:
    """All peers on other machines, at all doors."""

    def __init__(
        self,
        context: zmq.Context[Any],
        name: str,
        drop: Callable[[Connection], None],
        *,
        seconds: float = GREETING_SECONDS,
        tries: float = TRIES,
    ) -> None:
        """``name`` is the daemon's; ``drop`` ends a connection in the next turn of the hub."""
        self.keyring = Keyring(name, self.revoke)
        self._guard = Guard(context, self.keyring, self._admit)
        self._drop = drop
        self._seconds = seconds
        self._tries = Tries(tries, TRY_SECONDS, ADDRESSES)
        """Of addresses from which no key is shown."""
        self._there: dict[Connection, str] = {}
        """Who is here, with the address as it is counted."""
        self._unknown: OrderedDict[Connection, AsyncResult[str]] = OrderedDict()

    # -- keys --------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is anybody who could come in."""
        return bool(self.keyring.keys)

    def connections(self) -> dict[str, list[str]]:
        """Where those who are in come from, by the name of their key."""
        found: dict[str, list[str]] = {}
        for connection in self._there:
            if connection.key:
                found.setdefault(connection.key, []).append(connection.address)
        return found

    def revoke(self, name: str) -> int:
        """The connections of that key end; how many there were."""
        ended = [connection for connection in self._there if connection.key == name]
        for connection in ended:
            # What it has asked for and nobody has looked at yet is not done either.
            connection.role = None
            self._drop(connection)
        return len(ended)

    def announce(self, endpoints: Mapping[str, str]) -> None:
        """The keys are read, and the log tells who may come to these endpoints that other machines can reach. Waits."""
        shown = ", ".join(dict.fromkeys(endpoints.values()))
        try:
            self.keyring.read()
        except CircusError as problem:
            log.warning(
                "%s can be reached from other machines, and nobody there is let in: %s", shown, problem
            )
            return
        if not self.is_open:
            warn_of_reach(endpoints)
            return
        log.info("%s can be reached from other machines, with one of %d keys", shown, len(self.keyring.keys))

    # -- who comes ---------------------------------------------------------------------------------------------------

    def arrived(self, connection: Connection, host: str) -> str:
        """Why a connection from there is not listened to; empty if it is, until `left`."""
        address = network(host)
        here = [other for other, where in self._there.items() if where == address]
        if not self.is_open:
            return "it comes from another machine"
        if self._tries.wait(address):
            return "too many from its address have shown no key"
        if len(here) >= PER_ADDRESS:
            return f"its address has {PER_ADDRESS} connections already"
        if sum(other in self._unknown for other in here) >= HANDSHAKES_PER_ADDRESS:
            return f"its address has {HANDSHAKES_PER_ADDRESS} handshakes under way"
        if len(self._there) >= CONNECTIONS and not self._unknown:
            return f"there are {CONNECTIONS} connections from other machines already"
        if len(self._unknown) >= HANDSHAKES or len(self._there) >= CONNECTIONS:
            self._drop(next(iter(self._unknown)))
            self._unknown.popitem(last=False)
        numbers = {other.number for other in self._there}
        connection.number = next(n for n in range(len(numbers) + 1) if n not in numbers)
        self._there[connection] = address
        self._unknown[connection] = self._guard.expect(connection, self._seconds)
        return ""

    def left(self, connection: Connection) -> None:
        """The connection has ended."""
        self._guard.forget(connection)
        self._unknown.pop(connection, None)
        address = self._there.pop(connection, None)
        if address is not None and not connection.key:
            self._tries.use(address)

    def close(self) -> None:
        """Nobody comes in any more, and no thread is left."""
        self._guard.close()
        self.keyring.close()

    def _admit(self, connection: Connection, key: Key) -> str:
        if sum(other.key == key.name for other in self._there) >= PER_KEY:
            return f"its key has {PER_KEY} connections already"
        self._unknown.pop(connection, None)
        return "" if connection in self._there else "it has left"

    # -- one connection ----------------------------------------------------------------------------------------------

    def carry(self, connection: Connection, outer: socket.socket, enter: Callable[[Connection], str]) -> str:
        """Bytes have gone to and fro until one side ended; both sockets are closed. The greenlet of the connection.

        Returns why the peer was let go before it was known; empty for one that was, or that went by itself.
        """
        verdict = self._unknown.get(connection)
        if verdict is None:
            outer.close()
            return _OUSTED
        line = _Line(connection, outer, verdict)
        try:
            for option, value in _ALIVE:
                outer.setsockopt(socket.IPPROTO_TCP, option, value)
            problem = line.introduce(enter, self._seconds)
            if not problem and line.inner is not None:
                upwards(outer, line.inner)
            return problem
        except gevent.GreenletExit:
            if connection.key or connection in self._unknown:
                raise
            return _OUSTED
        except (OSError, zmq.ZMQError) as error:
            return "" if line.inner is not None else f"no way in: {error.strerror or error}"
        finally:
            line.close()


class _Line:
    """The two sockets of one connection, and the greenlet that carries what comes from libzmq."""

    def __init__(self, connection: Connection, outer: socket.socket, verdict: AsyncResult[str]) -> None:
        self.inner: socket.socket | None = None
        self._connection = connection
        self._outer = outer
        self._verdict = verdict
        self._client = ClientSide()
        self._server = ServerSide()
        self._answered = Event()
        self._down: gevent.Greenlet[..., None] | None = None

    def introduce(self, enter: Callable[[Connection], str], seconds: float) -> str:
        """The peer has shown a key that is known, or the reason why it is let go. Where it went by itself there is none."""
        timeout = gevent.Timeout.start_new(seconds)
        try:
            hello = self._said(self._client.hello)
            if not hello:
                return ""
            self.inner = connect_inner(enter(self._connection))
            self.inner.sendall(hello)
            self._pass_over_greeting(self.inner)
            self._down = gevent.spawn(self._downwards, self.inner)
            initiate = self._said(self._client.initiate)
            if not initiate:
                return "its handshake is not for the key of this daemon" if self._down.dead else ""
            self.inner.sendall(initiate)
            reason = self._verdict.get()
            if reason:
                # So that whoever it is learns what is wrong.
                self._answered.wait(_ANSWER_SECONDS)
            return str(reason)
        except ProtocolError as problem:
            return problem.text
        except gevent.Timeout as late:
            if late is not timeout:
                raise
            return f"no handshake within {seconds:g} s"
        finally:
            timeout.close()

    def _said(self, whole: Callable[[], bytes]) -> bytes:
        """What the client says, once it is whole; nothing if it has left before, or libzmq has closed."""
        while not (said := whole()):
            try:
                data = self._outer.recv(READ_BYTES)
                self._client.feed(data)
                if due := self._client.answer():
                    self._outer.sendall(due)
            except OSError:
                # Reset by the peer, or shut down here as libzmq has closed.
                data = b""
            if not data:
                return b""
        return said

    @staticmethod
    def _pass_over_greeting(inner: socket.socket) -> None:
        left = len(GREETING)
        while left and (data := inner.recv(left)):
            left -= len(data)

    def _downwards(self, inner: socket.socket) -> None:
        receive, send = inner.recv, self._outer.sendall
        try:
            while not self._server.done and (data := receive(READ_BYTES)):
                after = self._server.feed(data)
                send(data)
                self._connection.passed += after
            self._answered.set()
            while data := receive(READ_BYTES):
                send(data)
                self._connection.passed += len(data)
        except OSError:
            # The other greenlet learns it by the end of the outer socket.
            pass
        finally:
            if not self._verdict.ready():
                self._verdict.set("its handshake did not come to its end")
            self._answered.set()
            shut_down(self._outer, socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing is left of the connection."""
        end_both(self._outer, self.inner, self._down)
