"""The base of plugins: programs that hear of everything that happens to watchers, and may act by commands.

A class that derives from `CircusPlugin` is run by a section ``[plugin:NAME]`` with ``use = dotted.path.of.Class``, in a
process of its own. ``from circus.plugins import CircusPlugin`` names the same class there.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from circusd.client import Client, Subscription, subscribe
from circusd.schema.errors import CircusError, TimedOut

from .compat import to_bool

if TYPE_CHECKING:
    from .loop import Loop

__all__ = ["CircusPlugin"]

log = logging.getLogger("circusd.plugin")

RETRY = 0.2
GIVE_UP = 30.0
"""Seconds without the daemon's events after which a plugin ends."""


def _carried_out(handler: Callable[..., None], *given: object) -> None:
    """What a plugin's own code raises is in its log, and does not keep it from what comes next."""
    try:
        handler(*given)
    except Exception:
        log.exception("%s failed", handler.__name__)


class CircusPlugin:
    """A plugin. Derived classes have a `name` and override ``handle_recv``, ``handle_init``, ``handle_stop``.

    ``config`` holds the options of the plugin's section as text, ``loop`` the loop that the plugin runs in.
    """

    name = ""
    topics: tuple[str, ...] = ("watcher.",)
    """What it hears: the beginnings of topics on the endpoint of events."""

    def __init__(
        self,
        endpoint: str,
        pubsub_endpoint: str,
        check_delay: float = 5.0,
        ssh_server: str | None = None,
        **config: Any,
    ) -> None:
        # asyncio takes its time to import, and processes that run hooks import this package too.
        from .loop import Loop

        self.endpoint = endpoint
        self.pubsub_endpoint = pubsub_endpoint
        self.check_delay = check_delay
        self.ssh_server = ssh_server
        self.config: Mapping[str, Any] = config
        self.active = to_bool(config.get("active", True))
        self.loop: Loop = Loop()
        self.running = False
        self.failed = ""
        """Why it ended by itself; empty if it was told to."""
        self.client = Client(endpoint)
        self._events: Subscription | None = None
        self._lost: float | None = None

    # -- to be overridden ------------------------------------------------------------------------------------------

    def handle_init(self) -> None:
        """Called before the plugin's loop starts."""

    def handle_stop(self) -> None:
        """Called when the plugin is told to stop."""

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """Called for each event with its topic and its JSON text; see `split_data` and `load_message`."""
        raise NotImplementedError

    def handle_subscribed(self) -> None:
        """Called when events begin to come, and when they come again after they were lost."""

    # -- for the plugin's use --------------------------------------------------------------------------------------

    def call(self, command: str, **props: Any) -> dict[str, Any]:
        """The daemon's reply to a command, be it ok or an error. Raises CircusError when there is none.

        With ``waiting=True`` it comes when the command has reached its end.
        """
        waiting = bool(props.pop("waiting", False))
        return self.client.request(command, props, waiting=waiting)

    def cast(self, command: str, **props: Any) -> None:
        """The command is sent; no reply comes."""
        self.client.cast(command, props)

    def hear_out(self, quiet: float = 0.3, most: float = 2.0) -> None:
        """Events that are on their way have been received: until none comes for ``quiet`` seconds, or ``most`` are over.

        For a `handle_stop` that wants to know of its reason.
        """
        until = time.monotonic() + most
        while self._events is not None and time.monotonic() < until:
            try:
                data = self._events.receive(quiet)
            except CircusError:
                return
            _carried_out(self.handle_recv, data)

    @staticmethod
    def split_data(data: tuple[bytes, bytes]) -> tuple[str, str, bytes]:
        """The watcher's name as it stands in topics, the event's name, and the JSON text."""
        topic, message = data
        watcher, _, event = topic.decode("utf-8", "replace").partition(".")[2].rpartition(".")
        return watcher, event, message

    @staticmethod
    def load_message(msg: bytes | str) -> Any:
        """What the JSON text says."""
        return json.loads(msg)

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs until `stop` is called, or SIGTERM or SIGINT comes. Raises ValueError for one that is not active."""
        if not self.active:
            raise ValueError("Will not start an inactive plugin")
        self.handle_init()
        self.running = True
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                self.loop.asyncio_loop.add_signal_handler(signum, self.stop)
        self.loop.add_callback(self.initialize)
        try:
            self.loop.start()
        finally:
            self._unsubscribe()
            self.client.close()
            self.loop.close()

    def stop(self) -> None:
        """The plugin's `handle_stop` is called and its loop ends; stopping again does nothing."""
        if not self.running:
            return
        self.running = False
        try:
            self.handle_stop()
        finally:
            self.loop.stop()

    def initialize(self) -> None:
        """Events come from now on; while there is no daemon it is tried again."""
        if not self.running:
            return
        try:
            self._events = subscribe(self.pubsub_endpoint, self.topics)
        except CircusError as problem:
            self._try_again(problem)
            return
        self._lost = None
        self.loop.asyncio_loop.add_reader(self._events.fileno(), self._read)
        _carried_out(self.handle_subscribed)

    def _try_again(self, problem: CircusError) -> None:
        now = time.monotonic()
        if self._lost is None:
            log.warning("no events: %s", problem)
            self._lost = now
        if now - self._lost > GIVE_UP:
            log.error("ends after %g s without the daemon", GIVE_UP)
            self.failed = str(problem)
            self.stop()
            return
        self.loop.call_later(RETRY, self.initialize)

    def _read(self) -> None:
        """All that has come: the connection may hold messages that the descriptor does not tell of any more."""
        while self._events is not None:
            try:
                data = self._events.receive(0)
            except TimedOut:
                return
            except CircusError as problem:
                self._unsubscribe()
                self._try_again(problem)
                return
            _carried_out(self.handle_recv, data)

    def _unsubscribe(self) -> None:
        if self._events is not None:
            self.loop.asyncio_loop.remove_reader(self._events.fileno())
            self._events.close()
            self._events = None
