"""One connection through a door: who the peer is, and the two greenlets that carry its bytes to and fro."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
import gevent.socket

from circusd.schema.errors import ProtocolError

from . import clock
from .handshake import Handshake
from .subscriptions import Subscriptions

READ_BYTES: Final = 1 << 16
_SUBSCRIBING_BYTES: Final = 4 << 10
"""A read of subscriptions: thousands of frames at most, which are looked at in one go."""

ID_BYTES: Final = 9
"""Length of a connection's id, with which its identity at a ROUTER begins."""

SEAL_BYTES: Final = 33
"""What a message to another machine is longer by on its way than in the clear: a name, a nonce, a seal and flags."""

GREETING_SECONDS: Final = 10.0
"""A peer that has not ended its handshake by then is let go."""

_DRAIN_SECONDS: Final = 2.0
_CONNECT_TRIES: Final = 50

_ids = itertools.count(1)


def _next_id() -> bytes:
    # A first byte of 0 is libzmq's own sign.
    return b"C%08x" % (next(_ids) & 0xFFFFFFFF)


@dataclass(eq=False, slots=True)
class Connection:
    """A peer that was let in: who it is, and how many bytes went to it."""

    door: str
    channel: str
    uid: int | None
    """None for an inherited connection, whose requests carry sessions, and for a peer on another machine."""
    pid: int | None
    role: str | None
    """What the uid or the key may do by itself; None where only a session can say."""
    address: str = ""
    groups: tuple[int, ...] = ()
    """The groups that a process at a unix socket is in."""
    arm: Callable[[Any], None] | None = None
    """For a peer on another machine: makes the inner socket, which is then its alone, one that knows it by its key."""
    key: str = ""
    """The name of that key, once the peer has shown it."""
    number: int = 0
    """For a peer on another machine: one that no other such peer has at the time."""
    since: float = field(default_factory=clock.wall)
    """When it was let in, in epoch seconds."""
    id: bytes = field(default_factory=_next_id)
    sent: int = 0
    """Bytes that were handed to libzmq for this peer."""
    passed: int = 0
    """Bytes that the peer's socket took, the handshake not counted."""

    def hand_over(self, size: int) -> None:
        """A message of so many bytes is with libzmq."""
        # Beside messages, answers to pings have passed: nobody gets room for more of the ones by asking for the others.
        self.passed = min(self.passed, self.sent)
        self.sent += size

    @property
    def queued(self) -> int:
        """How many bytes lie in this process for the peer."""
        return max(0, self.sent - self.passed)


def connect_inner(path: str) -> socket.socket:
    """A gevent socket that is connected to an inner endpoint; raises OSError."""
    inner = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        for _ in range(_CONNECT_TRIES):
            try:
                inner.connect(path)
                return inner
            except BlockingIOError:
                # The backlog is full, which no descriptor tells the end of.
                gevent.sleep(0.01)
        raise ConnectionRefusedError(f"{path} does not accept")
    except BaseException:
        inner.close()
        raise


def carry(
    connection: Connection,
    outer: socket.socket,
    path: str,
    *,
    greeting_seconds: float = GREETING_SECONDS,
    open_inner: Callable[[str], socket.socket] = connect_inner,
    subscriptions: Subscriptions | None = None,
) -> str:
    """Bytes have gone to and fro until one side ended; both sockets are closed. The greenlet of the connection.

    With ``subscriptions`` what the peer subscribes to is bounded. Returns why a peer was let go, before its handshake was
    over or for what came then; empty for one that got through.
    """
    down: gevent.Greenlet[..., None] | None = None
    inner: socket.socket | None = None
    try:
        inner = open_inner(path)
        handshake = Handshake(connection.id)
        down = gevent.spawn(_down, connection, handshake, outer, inner)
        problem = _greet(handshake, outer, inner, greeting_seconds)
        if problem or subscriptions is None:
            if not problem:
                upwards(outer, inner)
            return problem
        return _subscribing(subscriptions, handshake, outer, inner)
    except OSError as error:
        return "" if inner is not None else f"no way in: {error.strerror or error}"
    finally:
        end_both(outer, inner, down)


def _greet(handshake: Handshake, outer: socket.socket, inner: socket.socket, seconds: float) -> str:
    timeout = gevent.Timeout.start_new(seconds)
    try:
        while not handshake.done:
            data = outer.recv(READ_BYTES)
            if not data:
                # It looked whether somebody listens, or was killed: no refusal.
                break
            data = handshake.feed(data)
            if data:
                inner.sendall(data)
    except ProtocolError as problem:
        return problem.text
    except gevent.Timeout as late:
        if late is not timeout:
            raise
        return f"no handshake within {seconds:g} s"
    finally:
        timeout.close()
    return ""


def upwards(outer: socket.socket, inner: socket.socket) -> None:
    """What the peer says goes to libzmq until it ends."""
    receive, send = outer.recv, inner.sendall
    while data := receive(READ_BYTES):
        send(data)


def _subscribing(
    subscriptions: Subscriptions, handshake: Handshake, outer: socket.socket, inner: socket.socket
) -> str:
    """As `upwards`, for a peer that says what it subscribes to; why it is let go, or nothing."""
    data = handshake.after
    try:
        subscriptions.feed(data)
        while data := outer.recv(_SUBSCRIBING_BYTES):
            subscriptions.feed(data)
            inner.sendall(data)
    except ProtocolError as problem:
        return problem.text
    return ""


def _down(connection: Connection, handshake: Handshake, outer: socket.socket, inner: socket.socket) -> None:
    receive, send = inner.recv, outer.sendall
    head = b""
    size = None
    try:
        while size is None and (data := receive(READ_BYTES)):
            send(data)
            head += data
            size = handshake.server_bytes(head)
        connection.passed += len(head) - (size or 0)
        while data := receive(READ_BYTES):
            send(data)
            connection.passed += len(data)
        # libzmq has closed; the other greenlet waits for the peer and learns it by this.
        outer.shutdown(socket.SHUT_RDWR)
    except OSError:
        shut_down(outer, socket.SHUT_RDWR)


def end_both(
    outer: socket.socket, inner: socket.socket | None, down: gevent.Greenlet[..., None] | None
) -> None:
    """Nothing is left of the connection: libzmq has read what was sent, or its time is over, and `down` has carried what it
    said to that. ``inner`` and ``down`` are there as far as it came."""
    try:
        if inner is not None and down is not None:
            # Told the end, libzmq still reads what was sent, and then closes its side, which ends the other greenlet.
            shut_down(inner, socket.SHUT_WR)
            # May be cut short by a kill.
            down.join(_DRAIN_SECONDS)
    finally:
        if down is not None:
            down.kill(block=False)
        if inner is not None:
            inner.close()
        outer.close()


def shut_down(sock: socket.socket, how: int) -> None:
    """As the method, also for a socket that has ended."""
    try:
        sock.shutdown(how)
    except OSError:
        # The other side was quicker.
        return
