"""Where the figures of ``circus-top`` come from: a connection that is found, kept in a thread, and made anew when it broke."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from circusd.cli.loads import DaemonLoad, PublishedStats, published
from circusd.cli.session import FAR_TIMEOUT, endpoint_of
from circusd.client import FOREVER, TIMEOUT, Client, Follow, Subscription, refusal, subscribe
from circusd.schema.errors import CircusError, ProtocolError, Refused, TimedOut, Unavailable

LOOK_SECONDS = 1.0
"""How long a connection is waited on before something else may be done."""

STATUS_SECONDS = 3.0
"""How often the original's daemon, which tells of no change by itself, is asked for the states of its watchers."""

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between tries to reach a daemon that is gone; the last one counts from then on."""

MOST_ERRANDS = 8
"""Requests that may be on their way at once."""

_MOST_WAITING = 256
_FAR = ("ssh://", "curve://")
_TOPICS = ("state.", "load.")

Told = Callable[[dict[str, Any] | None, CircusError | None], None]


class DaemonLink:
    """The connection to a daemon of ours."""

    tells_progress = True

    def __init__(self, endpoint: str) -> None:
        self.source = DaemonLoad()
        self.endpoint = endpoint
        self.client: Client | None = None
        self._stream: Follow | None = None

    def open(self) -> Mapping[str, Any]:
        """It is connected and followed; returns what ``whoami`` tells. Raises CircusError."""
        self.client = Client(self.endpoint, timeout=limit_of(self.endpoint))
        try:
            self._stream = self.client.follow(_TOPICS)
            return self.client.call("whoami")
        except BaseException:
            self.close()
            raise

    def receive(self) -> tuple[str, Mapping[str, Any]] | None:
        """The next message, or None for now. Raises CircusError when the connection has ended."""
        if self._stream is None:
            raise Unavailable("not connected")
        try:
            return self._stream.receive(LOOK_SECONDS)
        except TimedOut:
            return None

    def close(self) -> None:
        """The connection is gone; closing again does nothing."""
        if self.client is not None:
            self.client.close()


class PublishedLink:
    """A subscription to stats, and the endpoint of commands beside it where that is known."""

    tells_progress = False

    def __init__(self, endpoint: str, keep: float, commands: str = "") -> None:
        self.source = PublishedStats(endpoint, keep)
        self.endpoint = endpoint
        self.client: Client | None = None
        self._commands = commands
        self._messages: Subscription | None = None
        self._asked = 0.0

    def open(self) -> Mapping[str, Any]:
        """As `DaemonLink.open`; nobody is told who he is here."""
        self._messages = subscribe(self.endpoint, ["stat."], limit_of(self.endpoint))
        if self._commands:
            self.client = Client(self._commands, timeout=limit_of(self._commands))
        return {}

    def receive(self) -> tuple[str, Mapping[str, Any]] | None:
        """As `DaemonLink.receive`."""
        if self._messages is None:
            raise Unavailable("not connected")
        if self.client is not None and time.monotonic() - self._asked > STATUS_SECONDS:
            self._asked = time.monotonic()
            statuses = self.client.call("status").get("statuses")
            return ("statuses", statuses) if isinstance(statuses, dict) else None
        try:
            return published(*self._messages.receive(LOOK_SECONDS))
        except TimedOut:
            return None

    def close(self) -> None:
        """As `DaemonLink.close`."""
        if self.client is not None:
            self.client.close()
        if self._messages is not None:
            self._messages.close()


Link = DaemonLink | PublishedLink


def limit_of(endpoint: str) -> float:
    """Seconds that an answer may take: here, or by ssh or a key."""
    return FAR_TIMEOUT if endpoint.startswith(_FAR) else TIMEOUT


def connected(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Link, Mapping[str, Any]]:
    """An open link to what the options mean, and what its `DaemonLink.open` has returned. Raises CircusError."""
    endpoint = endpoint_of(options, environ)
    keep = float(options.get("process-timeout", 3))
    link: Link
    if options.get("endpoint"):
        # Whoever names one may mean the original's endpoint of stats, which is what it takes there.
        link = PublishedLink(endpoint, keep)
        try:
            return link, link.open()
        except ProtocolError:
            pass
        except Unavailable as problem:
            if "closed the connection" not in problem.text:
                raise
    link = DaemonLink(endpoint)
    try:
        return link, link.open()
    except Refused as problem:
        if problem.code != "unknown_command":
            raise
    # The original's daemon: it has another program publish what it measures.
    with Client(endpoint, timeout=limit_of(endpoint)) as client:
        told = client.call("globaloptions", {"option": "stats_endpoint"})["options"]
    link = PublishedLink(_beside(str(told["stats_endpoint"]), endpoint), keep, endpoint)
    try:
        return link, link.open()
    except Unavailable as problem:
        hint = "Circus publishes what it measures only where its file says statsd = 1"
        raise Unavailable(problem.text, hint=hint) from None


def _beside(told: str, reached: str) -> str:
    if reached.startswith(_FAR):
        from circusd.cli.remote import beside

        return beside(reached, told)
    return told


class Feed:
    """Reads a link in a thread and hands on what comes; connects anew when it broke, for as long as the program runs.

    Everything that is told of is a call that `turn` makes, in the thread of whoever calls that.
    """

    def __init__(
        self,
        link: Link,
        wake: Callable[[], None],
        *,
        took: Callable[[bool], None],
        gone: Callable[[CircusError], None],
        back: Callable[[], None],
    ) -> None:
        """``wake`` is called, in any thread, when `turn` has something to do; ``took`` with whether there is something new."""
        self._link = link
        self._wake = wake
        self._took = took
        self._gone = gone
        self._back = back
        # Whoever does not come to take them gets no more of them: then the daemon passes over what is old.
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(_MOST_WAITING)
        self._errands = 0

    def start(self) -> None:
        """The link, which is open, is read from now on."""
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def turn(self) -> None:
        """What has come is handed on."""
        with contextlib.suppress(queue.Empty):
            for _ in range(_MOST_WAITING):
                self._waiting.get_nowait()()

    def ask(
        self,
        command: str,
        properties: Mapping[str, Any],
        told: Told,
        *,
        waiting: bool = False,
        progress: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> bool:
        """The request is on its way and ``told`` gets the reply or the error; False where too many are already."""
        client = self._link.client
        if client is None or self._errands >= MOST_ERRANDS:
            return False
        self._errands += 1
        listener = progress if self._link.tells_progress else None

        def run() -> None:
            reply: dict[str, Any] | None = None
            problem: CircusError | None = None
            try:
                tell = None if listener is None else lambda row: self._put(partial(listener, row))
                timeout = FOREVER if waiting else None
                found = client.request(command, properties, waiting=waiting, timeout=timeout, progress=tell)
                if found.get("status") == "error":
                    problem = refusal(found)
                else:
                    reply = found
            except CircusError as error:
                problem = error
            except Exception as fault:  # noqa: BLE001 (a thread hands it on)
                self._put(partial(_raise, fault))
                return
            self._put(partial(self._done, told, reply, problem))

        threading.Thread(target=run, name=command, daemon=True).start()
        return True

    def _done(self, told: Told, reply: dict[str, Any] | None, problem: CircusError | None) -> None:
        self._errands -= 1
        told(reply, problem)

    def _put(self, call: Callable[[], None]) -> None:
        self._waiting.put(call)
        self._wake()

    def _run(self) -> None:
        try:
            self._read()
        except Exception as fault:  # noqa: BLE001 (a thread hands it on)
            # Whoever has the terminal gives it back first, and then it is told.
            self._put(partial(_raise, fault))

    def _read(self) -> None:
        while True:
            try:
                message = self._link.receive()
            except CircusError as problem:
                self._put(partial(self._gone, problem))
                self._link.close()
                person = self._reopen()
                self._put(partial(self._begin, person))
                continue
            self._put(self._tick if message is None else partial(self._take, *message))

    def _reopen(self) -> Mapping[str, Any]:
        tries = 0
        while True:
            time.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
            tries += 1
            try:
                return self._link.open()
            except CircusError as problem:
                self._put(partial(self._gone, problem))

    def _begin(self, person: Mapping[str, Any]) -> None:
        self._link.source.begin(person)
        self._back()

    def _tick(self) -> None:
        if self._link.source.tick():
            self._took(True)

    def _take(self, topic: str, data: Mapping[str, Any]) -> None:
        try:
            is_new = self._link.source.take(topic, data)
        except (AttributeError, LookupError, TypeError, ValueError):
            raise ProtocolError(
                f"{self._link.endpoint} sent figures that can't be read",
                hint="circusd may be of another version: compare circusctl version with circus-top --version",
            ) from None
        self._took(is_new)


def _raise(fault: Exception) -> None:
    raise fault
