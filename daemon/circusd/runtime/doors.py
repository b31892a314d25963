"""The doors: every connection is accepted here, and its peer known, before a byte of it reaches libzmq.

Whoever may not come in is closed before the greeting. Whoever may is carried to an inner endpoint in a folder that
is closed to others; the requests' inner sockets are apart by uid, so that the uid belongs to the connection and
never to a message.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import gevent
import gevent.socket
from gevent.hub import get_hub

from circusd.kernel import peer as kernel_peer
from circusd.kernel import sockets
from circusd.schema.commands import highest
from circusd.schema.errors import ConfigError

from .connections import GREETING_SECONDS, Connection, carry
from .listeners import PRIVATE, Listener, is_loopback, listen
from .publisher import CHANNELS
from .subscriptions import Subscriptions
from .sums import Sums
from .timers import LoopTimer

if TYPE_CHECKING:
    from .far import Far

log = logging.getLogger("circusd.doors")

Policy = Callable[[int, tuple[int, ...]], str | None]
"""From a uid, and the groups that are known of the peer, to the role that it has by itself; None for who is not let in."""

CONNECTIONS_PER_UID: Final = 256
CONNECTIONS: Final = 2048
_SUBSCRIBED: Final = {row.name for row in CHANNELS}
_ACCEPTS_PER_TURN = 32
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_BREATH_SECONDS = 0.5


def _give_away(listener: Listener, owner: int) -> None:
    assert listener.file is not None
    try:
        sockets.give_away(listener.file, owner)
    except OSError as error:
        listener.close()
        why = "only root may give files away" if error.errno == errno.EPERM else error.strerror
        raise ConfigError(
            [f"endpoint_owner: {listener.endpoint} can't be given to user {owner}: {why}"]
        ) from error


class Entrance(Protocol):
    """What lies behind the doors of one channel."""

    def enter(self, connection: Connection) -> str:
        """The path of the inner unix socket that the connection is carried to."""
        ...

    def left(self, connection: Connection) -> None:
        """The connection has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Connections that were not let in, told together."""

    door: str
    uid: int | None
    address: str
    reason: str
    count: int


def own_and_root(uid: int, groups: tuple[int, ...] = ()) -> str | None:
    """The policy where the file says nothing: the daemon's own user and root are obeyed, nobody else."""
    return "admin" if uid in (0, os.geteuid()) else None


class Doors:
    """All listening sockets of commands, events, stats and output."""

    def __init__(
        self,
        entrances: Mapping[str, Entrance],
        policy: Policy = own_and_root,
        refused: Callable[[Refusal], None] = lambda refusal: None,
        *,
        greeting_seconds: float = GREETING_SECONDS,
        per_uid: int = CONNECTIONS_PER_UID,
        whole: int = CONNECTIONS,
    ) -> None:
        """``entrances``: by name of the channel. ``refused`` is called in the hub, must not block, and gets sums."""
        self._entrances = dict(entrances)
        self._policy = policy
        self._greeting_seconds = greeting_seconds
        self._per_uid = per_uid
        self._whole = whole
        self._doors: dict[str, _Door] = {}
        self._owners: dict[str, tuple[int, str]] = {}
        self._connections: dict[Connection, gevent.Greenlet[..., None]] = {}
        self._by_uid: dict[int, int] = {}
        self._sums = Sums[Refusal](lambda refusal, count: refused(replace(refusal, count=count)))
        self.far: Far | None = None
        """Who lets peers on other machines in, where anybody does."""
        self.accepted = 0
        self.refusals = 0

    # -- opening and closing ---------------------------------------------------------------------------------------

    def open_door(
        self,
        name: str,
        endpoint: str,
        channel: str,
        *,
        mode: int = PRIVATE,
        owner: tuple[int, str] | None = None,
    ) -> str:
        """The endpoint is listened at; returns it as bound. Raises ConfigError, Conflict.

        ``mode`` is that of a unix socket's file; whoever gets through to it still has to be known to the policy. With
        ``owner``, a user and his role there, the file is his.
        """
        if name in self._doors:
            raise ValueError(f"a door {name!r} is open already")
        entrance = self._entrances[channel]
        listener = listen(name, endpoint, mode)
        if owner is not None and listener.file is not None:
            _give_away(listener, owner[0])
            self._owners[name] = owner
        self._doors[name] = _Door(
            listener, lambda sock, address: self._arrived(name, channel, entrance, sock, address)
        )
        return listener.endpoint

    def admit(self, policy: Policy) -> None:
        """The policy is another one from now on; who is in and would have another role now has to come in again."""
        self._policy = policy
        for connection in list(self._connections):
            uid, groups = connection.uid, connection.groups
            if uid is not None and self._role(connection.door, uid, groups) != connection.role:
                self.drop(connection, block=False)

    def _role(self, door: str, uid: int, groups: tuple[int, ...]) -> str | None:
        """What a peer may do there: by the policy, or as the owner of the door if that is more."""
        found = [self._policy(uid, groups)]
        if door in self._owners and self._owners[door][0] == uid:
            found.append(self._owners[door][1])
        return highest(found)

    def set_mode(self, name: str, mode: int) -> None:
        """The file of a door that is a unix socket has that mode; one that is not is left alone."""
        listener = self._doors[name].listener
        if listener.file is None:
            return
        try:
            sockets.set_mode(listener.file, mode)
        except OSError as problem:
            log.warning("%s: its mode can't be changed: %s", listener.endpoint, problem.strerror or problem)

    def adopt(self, sock: socket.socket, name: str, channel: str = "commands") -> Connection:
        """A connected unix stream socket is carried as a door of its own, whose requests have no role by themselves.

        The socket belongs to the doors from now on.
        """
        connection = Connection(name, channel, uid=None, pid=None, role=None, address="inherited")
        self._let_in(connection, sock, self._entrances[channel])
        return connection

    def drop(self, connection: Connection, *, block: bool = True) -> None:
        """The connection has ended, if it had not; unless `block`, it will in the next turn of the hub."""
        greenlet = self._connections.get(connection)
        if greenlet is not None:
            greenlet.kill(block=block)

    def close_door(self, name: str) -> None:
        """Nobody comes in there any more; who is in stays."""
        door = self._doors.pop(name, None)
        if door is not None:
            door.close()

    def close(self) -> None:
        """All doors are closed and all connections ended."""
        for name in list(self._doors):
            self.close_door(name)
        gevent.killall(list(self._connections.values()))
        self._sums.close()

    @property
    def endpoints(self) -> dict[str, str]:
        """Endpoints as bound, by name of the door."""
        return {name: door.listener.endpoint for name, door in self._doors.items()}

    @property
    def beyond(self) -> dict[str, str]:
        """Those endpoints that other machines can reach."""
        return {name: door.listener.endpoint for name, door in self._doors.items() if door.listener.beyond}

    def counters(self) -> dict[str, Any]:
        """How many are in, were let in and were refused."""
        return {"connections": len(self._connections), "accepted": self.accepted, "refused": self.refusals}

    def view(self, most: int) -> list[dict[str, Any]]:
        """Each door with who is in by it, ``most`` of them one by one; the inherited connections as a door of their own."""
        found: dict[str, list[Connection]] = {name: [] for name in self._doors}
        for connection in self._connections:
            found.setdefault(connection.door, []).append(connection)
        rows = []
        for name, connections in found.items():
            door = self._doors.get(name)
            channel = connections[0].channel if connections else name.partition(" ")[0]
            rows.append(
                {
                    "name": name,
                    "channel": channel,
                    "endpoint": "inherited" if door is None else door.listener.endpoint,
                    "count": len(connections),
                    "connections": [_row(connection) for connection in connections[:most]],
                }
            )
        return rows

    # -- who comes in ----------------------------------------------------------------------------------------------

    def _arrived(
        self,
        name: str,
        channel: str,
        entrance: Entrance,
        sock: socket.socket,
        address: object,
    ) -> None:
        """Decide about an accepted socket; runs in the hub and never waits."""
        uid: int | None = None
        pid: int | None = None
        groups: tuple[int, ...] = ()
        shown = _shown(address)
        try:
            if sock.family == socket.AF_UNIX:
                found = kernel_peer.peer_of_unix(sock)
                uid, pid = found.uid, found.pid
                groups = (found.gid, *kernel_peer.groups_of_unix(sock))
            elif _is_of_this_machine(sock, address):
                uid = kernel_peer.uid_of_loopback_peer(sock)
                if uid is None:
                    self._refuse(name, None, shown, "the owner of the connection could not be found", sock)
                    return
            else:
                self._arrived_from_afar(
                    Connection(name, channel, None, None, None, shown), address, sock, entrance
                )
                return
            role = self._role(name, uid, groups)
        except OSError as problem:
            self._refuse(
                name, uid, shown, f"its owner could not be found: {problem.strerror or problem}", sock
            )
            return
        reason = self._too_many(uid)
        if role is None:
            reason = "it belongs to another user"
        if reason:
            self._refuse(name, uid, shown, reason, sock)
            return
        self._let_in(Connection(name, channel, uid, pid, role, shown, groups), sock, entrance)

    def _arrived_from_afar(
        self, connection: Connection, address: Any, sock: socket.socket, entrance: Entrance
    ) -> None:
        far = self.far
        reason = "it comes from another machine" if far is None else far.arrived(connection, address[0])
        if reason:
            self._refuse(connection.door, None, connection.address, reason, sock)
        else:
            self._let_in(connection, sock, entrance)

    def _too_many(self, uid: int) -> str:
        if self._by_uid.get(uid, 0) >= self._per_uid:
            return f"its user has {self._per_uid} connections already"
        if len(self._connections) >= self._whole:
            return f"there are {self._whole} connections already"
        return ""

    def _let_in(self, connection: Connection, sock: socket.socket, entrance: Entrance) -> None:
        self.accepted += 1
        if connection.uid is not None:
            self._by_uid[connection.uid] = self._by_uid.get(connection.uid, 0) + 1
        green = gevent.socket.socket(fileno=sock.detach())
        self._connections[connection] = greenlet = gevent.Greenlet(self._carry, connection, green, entrance)
        # Before it has run at all, a kill would skip its own clean-up.
        greenlet.rawlink(lambda _: self._gone(connection, green, entrance))
        greenlet.start()

    def _carry(self, connection: Connection, sock: socket.socket, entrance: Entrance) -> None:
        if connection.arm is not None and self.far is not None:
            problem = self.far.carry(connection, sock, entrance.enter)
        else:
            path = entrance.enter(connection)
            says_topics = connection.channel in _SUBSCRIBED
            problem = carry(
                connection,
                sock,
                path,
                greeting_seconds=self._greeting_seconds,
                subscriptions=Subscriptions() if says_topics else None,
            )
        if problem:
            self._count_refusal(connection.door, connection.uid, connection.address, problem)

    def _gone(self, connection: Connection, sock: socket.socket, entrance: Entrance) -> None:
        sock.close()
        del self._connections[connection]
        if connection.uid is not None:
            left = self._by_uid[connection.uid] - 1
            if left:
                self._by_uid[connection.uid] = left
            else:
                del self._by_uid[connection.uid]
        if connection.arm is not None and self.far is not None:
            self.far.left(connection)
        entrance.left(connection)

    # -- who does not ----------------------------------------------------------------------------------------------

    def _refuse(self, door: str, uid: int | None, address: str, reason: str, sock: socket.socket) -> None:
        sock.close()
        self._count_refusal(door, uid, address, reason)

    def _count_refusal(self, door: str, uid: int | None, address: str, reason: str) -> None:
        self.refusals += 1
        self._sums.add((door, uid, reason), Refusal(door, uid, address, reason, 1))


def warn_of_reach(endpoints: Mapping[str, str]) -> None:
    """The log says that other machines can reach these endpoints for nothing, and what to do."""
    log.warning(
        "%s can be reached from other machines, and nobody there is obeyed, on this or any other endpoint: "
        "make a key for who may (circusctl keys add NAME), or let them come by ssh (circusctl --ssh USER@HOST)",
        ", ".join(dict.fromkeys(endpoints.values())),
    )


class _Door:
    """One listening socket; accepts in the hub."""

    def __init__(self, listener: Listener, arrived: Callable[[socket.socket, object], None]) -> None:
        self.listener = listener
        self._arrived = arrived
        loop = get_hub().loop
        self._watcher: Any = loop.io(listener.sock.fileno(), 1)
        self._breath = LoopTimer()
        self._starved = False
        """Descriptors were missing, and that is told."""
        self._watcher.start(self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = self.listener.sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as problem:
                # Out of descriptors, the listener stays readable: without a pause this would spin.
                if problem.errno in _NO_DESCRIPTORS and not self._starved:
                    self._starved = True
                    log.warning("%s: can't accept: %s", self.listener.endpoint, problem.strerror)
                self._watcher.stop()
                self._breath.once(_BREATH_SECONDS, self._again)
                return
            if self._starved:
                self._starved = False
                log.info("%s: accepts again", self.listener.endpoint)
            self._arrived(sock, address)

    def _again(self) -> None:
        self._watcher.start(self._accept)

    def close(self) -> None:
        self._breath.stop()
        self._watcher.stop()
        self._watcher.close()
        self.listener.close()


def _is_of_this_machine(sock: socket.socket, address: Any) -> bool:
    """Whether a TCP peer is on this machine: by loopback, or by the machine's own address."""
    return is_loopback(address[0]) or address[0] == sock.getsockname()[0]


def _row(connection: Connection) -> dict[str, Any]:
    return {
        "uid": connection.uid,
        "pid": connection.pid,
        "role": connection.role,
        "address": connection.address,
        "since": round(connection.since, 3),
        "sent": connection.passed,
        "queued": connection.queued,
    }


def _shown(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unix"
