"""The publisher: events, stats and output to whoever listens, and to nobody else.

An inner XPUB for each channel tells which topics are wanted; what nobody wants is not even formatted. Listeners inside
the daemon (followed streams, the journal of the console) are served from the same call.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import gevent
import zmq
import zmq.green

from circusd.schema import wire

from .connections import Connection
from .subscriptions import SUBSCRIPTIONS, TOPIC_LIMIT_BYTES

log = logging.getLogger("circusd.publisher")

Body = Mapping[str, Any] | bytes | Callable[[], Mapping[str, Any]]
Wake = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Channel:
    """What a subscriber of a channel may have waiting: so many messages of at most so many bytes, 4 MiB in all."""

    name: str
    messages: int
    longest: int


CHANNELS: Final = (
    Channel("events", messages=1024, longest=4 << 10),
    Channel("stats", messages=512, longest=8 << 10),
    Channel("output", messages=60, longest=68 << 10),
)

_BACKLOG: Final = 512
_SUBSCRIPTIONS_PER_TURN: Final = 64
_CUT = "…"


class Publisher:
    """The channels ``events``, ``stats`` and ``output``."""

    def __init__(self, context: zmq.Context[Any], folder: str) -> None:
        """``context`` is a zmq.green one; ``folder`` is closed to others. The sockets are open after it."""
        self._channels = {row.name: Outlet(row, context, folder, self._demand) for row in CHANNELS}
        self._listeners: dict[object, tuple[tuple[str, ...], Wake]] = {}
        self._watchers: dict[object, Callable[[], None]] = {}
        self.published = 0
        """Messages that somebody wanted."""
        self.too_long = 0

    def entrance(self, channel: str) -> Outlet:
        """What the doors of that channel lead to; see `doors.Entrance`."""
        return self._channels[channel]

    def wanted(self, channel: str, topic: str) -> bool:
        """Whether somebody gets messages of that topic."""
        return self._channels[channel].wants(topic) or any(
            topic.startswith(prefixes) for prefixes, _ in self._listeners.values()
        )

    def wanted_below(self, channel: str, prefix: str) -> bool:
        """Whether somebody gets messages of any topic that begins so: to be asked before they are made."""
        subscribed = list(self._channels[channel].prefixes)
        for prefixes, _ in self._listeners.values():
            subscribed += prefixes
        return any(found.startswith(prefix) or prefix.startswith(found) for found in subscribed)

    def publish(self, channel: str, topic: str, body: Body) -> None:
        """Who wants it has it on the way; never waits, and calls ``body`` (if it is callable) only if somebody does.

        A subscriber that does not keep up misses messages. Texts of a body that is too long for the channel are cut; one
        that is too long all the same reaches only listeners inside.
        """
        xpub = self._channels[channel]
        goes_out = xpub.wants(topic)
        wakes = [wake for prefixes, wake in self._listeners.values() if topic.startswith(prefixes)]
        if not goes_out and not wakes:
            return
        payload = _payload(xpub.row, body)
        self.published += 1
        if goes_out and self._fits(xpub.row, topic, payload):
            xpub.send(topic, payload)
        # Whoever listens inside has no backlog here that would have to be bounded.
        for wake in wakes:
            wake(topic, payload)

    def listen(self, prefixes: Sequence[str], wake: Wake) -> Callable[[], None]:
        """``wake(topic, body)`` is called for all messages of these prefixes until the returned function is called.

        It is called from `publish` and must not wait.
        """
        key = object()
        self._listeners[key] = (tuple(prefixes), wake)
        self._demand()

        def cancel() -> None:
            if self._listeners.pop(key, None) is not None:
                self._demand()

        return cancel

    def on_demand(self, wake: Callable[[], None]) -> Callable[[], None]:
        """``wake()`` is called when what is wanted may have changed, until the returned function is called."""
        key = object()
        self._watchers[key] = wake

        def cancel() -> None:
            self._watchers.pop(key, None)

        return cancel

    def close(self) -> None:
        """Nothing is published any more."""
        for xpub in self._channels.values():
            xpub.close()
        self._listeners.clear()
        self._watchers.clear()

    def counters(self) -> dict[str, Any]:
        """Numbers since the start."""
        return {"published": self.published, "too_long": self.too_long}

    def _demand(self) -> None:
        for wake in list(self._watchers.values()):
            wake()

    def _fits(self, row: Channel, topic: str, payload: bytes) -> bool:
        if len(payload) + len(topic) <= row.longest:
            return True
        self.too_long += 1
        if self.too_long == 1:
            log.warning(
                "a message of %d bytes is too long for the channel %s: %s", len(payload), row.name, topic
            )
        return False


class Outlet:
    """The inner sockets of one channel: one that all on this machine share, and one for each peer on another."""

    def __init__(
        self, row: Channel, context: zmq.Context[Any], folder: str, changed: Callable[[], None]
    ) -> None:
        self.row = row
        self.prefixes: tuple[str, ...] = ()
        self._context = context
        self._path = os.path.join(folder, row.name)
        self._changed = changed
        self._far: dict[bytes, _Xpub] = {}
        self._shared = _Xpub(row, context, self._path, self._heard)

    def enter(self, connection: Connection) -> str:
        """The path of the inner socket; all of this machine who get through the doors share it."""
        if connection.arm is None:
            return self._path
        path = f"{self._path}.far.{connection.number}"
        self._far[connection.id] = _Xpub(self.row, self._context, path, self._heard, connection.arm)
        return path

    def left(self, connection: Connection) -> None:
        """libzmq takes its subscriptions back; those of a peer on another machine end with its socket."""
        xpub = self._far.pop(connection.id, None)
        if xpub is not None:
            xpub.close()
            self._heard()

    def wants(self, topic: str) -> bool:
        """Whether a subscriber gets messages of that topic."""
        return topic.startswith(self.prefixes)

    def send(self, topic: str, payload: bytes) -> None:
        """The message is on its way to all whose backlog is not full."""
        frames = (topic.encode("utf-8", "surrogateescape"), payload)
        self._shared.send(frames)
        for xpub in self._far.values():
            if topic.startswith(tuple(xpub.subscribed)):
                xpub.send(frames)

    def _heard(self) -> None:
        found = set(self._shared.subscribed)
        for xpub in self._far.values():
            found |= xpub.subscribed
        self.prefixes = tuple(found)
        self._changed()

    def close(self) -> None:
        for xpub in (self._shared, *self._far.values()):
            xpub.close()
        self._far.clear()
        self.prefixes = ()


class _Xpub:
    """One XPUB, with the greenlet that hears of subscriptions."""

    def __init__(
        self,
        row: Channel,
        context: zmq.Context[Any],
        path: str,
        heard: Callable[[], None],
        arm: Callable[[Any], None] | None = None,
    ) -> None:
        self.subscribed: set[str] = set()
        self._path = path
        self._heard = heard
        self._limit = None if arm is None else SUBSCRIPTIONS
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.BACKLOG, _BACKLOG)
        self._socket.setsockopt(zmq.SNDHWM, row.messages)
        self._socket.setsockopt(zmq.MAXMSGSIZE, TOPIC_LIMIT_BYTES)
        if arm is not None:
            arm(self._socket)
        self._socket.bind("ipc://" + path)
        self._greenlet = gevent.spawn(self._hear)

    def send(self, frames: tuple[bytes, bytes]) -> None:
        # XPUB never waits: whose backlog is full is passed over.
        self._socket.send_multipart(frames, zmq.NOBLOCK)

    def _hear(self) -> None:
        while not self._socket.closed:
            self._take(self._socket.recv())
            for _ in range(_SUBSCRIPTIONS_PER_TURN):
                try:
                    self._take(self._socket.recv(zmq.NOBLOCK))
                except zmq.Again:
                    break
            if self._limit is not None and len(self.subscribed) > self._limit:
                # The peer learns it by the end of its connection.
                self.subscribed.clear()
                self._socket.close()
            # Once for all of a turn: to put together what everybody wants takes as long as that is long.
            self._heard()
            # Not 0: with that the hub does not look at descriptors.
            gevent.sleep(1e-6)

    def _take(self, frame: bytes) -> None:
        # Only the first subscription to a topic and the end of the last one are told.
        prefix = frame[1:].decode("utf-8", "surrogateescape")
        if frame[:1] == b"\x01":
            self.subscribed.add(prefix)
        elif frame[:1] == b"\x00":
            self.subscribed.discard(prefix)

    def close(self) -> None:
        self.subscribed.clear()
        self._greenlet.kill(block=False)
        self._socket.close()
        with contextlib.suppress(OSError):
            # libzmq leaves it.
            os.unlink(self._path)


def _payload(row: Channel, body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    found = body() if callable(body) else body
    payload = wire.encode(found)
    return payload if len(payload) <= row.longest else wire.encode(_shortened(found, row.longest // 8))


def _shortened(body: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The body with its long texts cut."""
    return {
        key: value[:limit] + _CUT if isinstance(value, str) and len(value) > limit else value
        for key, value in body.items()
    }
