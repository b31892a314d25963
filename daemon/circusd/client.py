"""The client of circusd: requests with their replies, streams that the daemon pushes, and raw event endpoints.

One connection serves any number of threads or greenlets. There is no reader in the background: whoever waits first
reads for all, hands each message to the one it is for, and passes the turn on when its own has come.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import zmtp
from .schema.errors import ProtocolError, Refused, TimedOut, Unavailable

if TYPE_CHECKING:
    from .circusclient import AsyncCircusClient as AsyncCircusClient  # noqa: PLC0414 (exported)
    from .circusclient import CallError as CallError  # noqa: PLC0414 (exported)
    from .circusclient import CircusClient as CircusClient  # noqa: PLC0414 (exported)

TIMEOUT = 5.0
"""Seconds that a request may take when nothing else is said; the original's number."""

CREDIT_BYTES = 1 << 18
"""Bytes of a followed stream that may be on their way."""

FOREVER = float("inf")
"""A time limit that never comes."""

COMMAND_SOCKET = "commands.sock"
"""Name of the unix socket for commands in a daemon's runtime folder."""

ORIGINAL_ENDPOINT = "tcp://127.0.0.1:5555"
"""Where the original listens when its file names no endpoint."""

WAYS = zmtp.WAYS
"""Further ways to connect, by the scheme of the endpoint."""

is_here = zmtp.is_here

Item = tuple[dict[str, Any], int]

_RETRY = 0.05


def __getattr__(name: str) -> Any:
    """The original's clients, which are imported when somebody asks for them."""
    if name in ("AsyncCircusClient", "CallError", "CircusClient"):
        from . import circusclient

        return getattr(circusclient, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def runtime_bases(environ: Mapping[str, str], uid: int) -> list[str]:
    """The folders that may hold one folder for each daemon of that user; the daemon itself makes its own in the first."""
    if environ.get("CIRCUS_RUNTIME_DIR"):
        return [environ["CIRCUS_RUNTIME_DIR"]]
    if uid == 0:
        return ["/run/circus"]
    bases = [f"/run/user/{uid}/circus", f"/tmp/circus-{uid}"]  # noqa: S108 (looked at before it is trusted)
    if environ.get("XDG_RUNTIME_DIR"):
        bases.insert(0, os.path.join(environ["XDG_RUNTIME_DIR"], "circus"))
    else:
        bases.reverse()
    return list(dict.fromkeys(bases))


def running_daemons(bases: Iterable[str]) -> dict[str, str]:
    """Endpoints of the daemons in those folders that take connections, by the daemon's name."""
    found: dict[str, str] = {}
    for base in filter(_is_ours, bases):
        for name in sorted(os.listdir(base)):
            endpoint = f"ipc://{base}/{name}/{COMMAND_SOCKET}"
            if name not in found and _listens(endpoint):
                found[name] = endpoint
    return found


def find_endpoint(name: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The endpoint of the daemon that is meant.

    A name means the daemon of that name; without one the variable ``CIRCUSCTL_ENDPOINT`` counts, then the only daemon
    in the runtime folder, then the original's endpoint if something listens there. Raises Unavailable, with the names
    to choose from where there are several.
    """
    environ = os.environ if environ is None else environ
    if name is None and environ.get("CIRCUSCTL_ENDPOINT"):
        return environ["CIRCUSCTL_ENDPOINT"]
    bases = runtime_bases(environ, os.geteuid())
    daemons = running_daemons(bases)
    names = ", ".join(daemons)
    if name is not None:
        if name in daemons:
            return daemons[name]
        raise Unavailable(f"no daemon named {name!r} runs", hint=f"running: {names or 'none'}")
    if len(daemons) == 1:
        return next(iter(daemons.values()))
    if daemons:
        raise Unavailable(f"several daemons run: {names}", hint="choose one with --name or --endpoint")
    if _listens(ORIGINAL_ENDPOINT):
        return ORIGINAL_ENDPOINT
    hint = "start circusd, or name its endpoint with --endpoint or CIRCUSCTL_ENDPOINT"
    if os.geteuid() != 0 and os.path.isdir("/run/circus"):
        hint = "circusd may run as root here: then use sudo; or name an endpoint with --endpoint"
    raise Unavailable(f"no daemon runs: none in {bases[0]}, none at {ORIGINAL_ENDPOINT}", hint=hint)


class Client:
    """A connection to circusd, made at the first request and made anew after it broke.

    With ``sock``, an already connected socket is used as it is and never made anew. ``session`` is that of a person at
    the console's door; each request may have its own. ``patience`` is for how many seconds an endpoint where nobody
    listens yet is tried again.
    """

    def __init__(
        self,
        endpoint: str = "",
        *,
        sock: socket.socket | None = None,
        timeout: float = TIMEOUT,
        session: str = "",
        patience: float = 0.0,
    ) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self.session = session
        self._exchange = Exchange(endpoint, sock, patience)

    def call(
        self,
        command: str,
        properties: Mapping[str, Any] | None = None,
        *,
        waiting: bool = False,
        timeout: float | None = None,
        session: str = "",
    ) -> dict[str, Any]:
        """The ok reply of the daemon, as it came.

        ``waiting`` asks for the reply when the command has reached its end; that may take as long as it takes. Other
        requests have the client's time limit. ``timeout`` (seconds, or `FOREVER`) is one for this request. Raises
        Refused, TimedOut, Unavailable.
        """
        reply = self.request(command, properties, waiting=waiting, timeout=timeout, session=session)
        if reply.get("status") == "error":
            raise refusal(reply)
        return reply

    def request(
        self,
        command: str,
        properties: Mapping[str, Any] | None = None,
        *,
        waiting: bool = False,
        timeout: float | None = None,
        session: str = "",
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """The reply, be it ok or an error; otherwise as `call`. ``progress`` is told how far the command is until then."""
        if timeout is None:
            timeout = FOREVER if waiting else self.timeout
        deadline = time.monotonic() + timeout
        if waiting:
            properties = {**(properties or {}), "waiting": True}
        if progress is not None:
            properties = {**(properties or {}), "progress": True}
        inbox = self._exchange.open()
        try:
            self._send(inbox, command, properties, deadline, session)
            while "push" in (message := self._exchange.next(inbox, deadline)[0]):
                if progress is not None:
                    progress(message.get("data", {}))
            return message
        finally:
            self._exchange.forget(inbox)

    def cast(self, command: str, properties: Mapping[str, Any] | None = None, *, session: str = "") -> None:
        """The request is sent; no reply comes, not even of an error."""
        self._send(None, command, properties, time.monotonic() + self.timeout, session)

    def follow(
        self,
        topics: Sequence[str],
        *,
        lines: int = 0,
        credit: int = CREDIT_BYTES,
        stream: str = "",
        session: str = "",
    ) -> Follow:
        """An open stream of (topic, data); iterate over it and close it. Raises as `call`.

        Never more than ``credit`` bytes are on their way or kept here; what was consumed is given back by itself.
        """
        properties: dict[str, Any] = {"topics": list(topics), "lines": lines, "credit": credit}
        if stream:
            properties["stream"] = stream
        deadline = time.monotonic() + self.timeout
        inbox = self._exchange.open()
        try:
            self._send(inbox, "follow", properties, deadline, session)
            reply = self._exchange.next(inbox, deadline)[0]
            if reply.get("status") == "error":
                raise refusal(reply)
        except BaseException:
            self._exchange.forget(inbox)
            raise
        window = reply.get("credit")  # the daemon has limits of its own
        return Follow(self, self._exchange, inbox, window if isinstance(window, int) else credit, session)

    def close(self) -> None:
        """The connection is gone, and who waits on it gets Unavailable; closing again does nothing."""
        self._exchange.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(
        self,
        inbox: Inbox | None,
        command: str,
        properties: Mapping[str, Any] | None,
        deadline: float,
        session: str,
    ) -> None:
        request: dict[str, Any] = {"command": command, "properties": properties or {}}
        request.update({"id": inbox.id} if inbox is not None else {"msg_type": "cast"})
        if session or self.session:
            request["session"] = session or self.session
        self._exchange.send(json.dumps(request).encode("ascii"), deadline, inbox)


class Follow:
    """A stream that the daemon pushes: an iterator of (topic, data), closed by `close` or the end of a with block."""

    def __init__(self, client: Client, exchange: Exchange, inbox: Inbox, credit: int, session: str) -> None:
        self._client = client
        self._exchange = exchange
        self._inbox = inbox
        self._credit = credit
        self._session = session
        self._used = 0

    def receive(self, timeout: float | None = None) -> tuple[str, dict[str, Any]]:
        """The next topic and its data; raises TimedOut (a later call may have it) and Unavailable."""
        # What the caller got last time is consumed now that it asks again.
        if self._used * 2 >= self._credit:
            used, self._used = self._used, 0
            self._client.cast("credit", {"followed": self._inbox.id, "bytes": used}, session=self._session)
        deadline = FOREVER if timeout is None else time.monotonic() + timeout
        while True:
            message, size = self._exchange.next(self._inbox, deadline)
            if message.get("status") == "error":
                raise refusal(message)
            if message.get("push") == "end.":
                self._exchange.forget(self._inbox)
                raise Unavailable(f"circusd has ended the stream: {message.get('data', {}).get('reason')}")
            if "push" in message:
                self._used += size
                return message["push"], message.get("data", {})

    def close(self) -> None:
        """No more comes; the daemon is told if it can be. Closing again does nothing."""
        if self._exchange.forget(self._inbox):
            # Where this fails, the daemon learns of it by the end of the connection.
            with contextlib.suppress(Unavailable, TimedOut, ProtocolError):
                if self._exchange.connected:
                    self._client.cast("unfollow", {"followed": self._inbox.id}, session=self._session)

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return self

    def __next__(self) -> tuple[str, dict[str, Any]]:
        return self.receive()

    def __enter__(self) -> Follow:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Inbox:
    """What has come for one request. An item is a message with its size, or None: look whether to read."""

    def __init__(self, request_id: str) -> None:
        self.id = request_id
        self.items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self.waits = False
        self.line: Line | None = None
        self.ended: Exception | None = None
        """Why nothing more comes: the connection on which the request went is gone."""


class Line:
    """A connection, with a lock for those who send and one for the one who reads."""

    def __init__(self, connection: zmtp.Connection) -> None:
        self.connection = connection
        self.sending = threading.Lock()
        self.reading = threading.Lock()

    def hang_up(self, *, reader: bool = False) -> None:
        """The connection has ended; whoever reads from it learns so, and only then its descriptor is closed."""
        self.connection.shut_down()
        if reader:
            self.connection.close()
        elif self.reading.acquire(blocking=False):
            self.connection.close()
            self.reading.release()


class Exchange:
    """One connection that many wait on; each gets the messages with the id of its inbox, in their order."""

    def __init__(self, endpoint: str, sock: socket.socket | None, patience: float) -> None:
        self._endpoint = endpoint
        self._given = sock
        self._patience = patience
        self._line: Line | None = None
        self._closed = False
        self._connecting = threading.Lock()
        self._guard = threading.Lock()
        self._inboxes: dict[str, Inbox] = {}
        self._prefix = os.urandom(8).hex()
        self._count = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._line is not None

    def open(self) -> Inbox:
        """An inbox with an id that no other request of the daemon's clients has."""
        with self._guard:
            self._count += 1
            inbox = Inbox(f"{self._prefix}-{self._count}")
            self._inboxes[inbox.id] = inbox
        return inbox

    def forget(self, inbox: Inbox) -> bool:
        """What still comes for it is passed over; tells whether it was open."""
        with self._guard:
            return self._inboxes.pop(inbox.id, None) is not None

    def send(self, frame: bytes, deadline: float, inbox: Inbox | None) -> None:
        """The frame is with the kernel, and what answers it goes to the inbox; connects where need be."""
        with self._connecting:
            line = self._connected(deadline)
        if inbox is not None:
            inbox.line = line
        try:
            with line.sending:
                line.connection.send([frame], _left(deadline))
        except Unavailable as problem:
            self._drop(line, problem)
            raise

    def next(self, inbox: Inbox, deadline: float) -> Item:
        """The next message for this inbox and its size; reads for the others where nobody else does."""
        line = inbox.line
        if line is None:
            raise Unavailable("nothing was asked")
        inbox.waits = True
        try:
            while True:
                item = _take(inbox, None)
                if item is None and inbox.ended is not None:
                    raise inbox.ended
                if item is None and line.reading.acquire(blocking=False):
                    try:
                        self._read_for_all(line, inbox, deadline)
                    finally:
                        line.reading.release()
                    continue
                if item is None:
                    item = _take(inbox, deadline)
                if item is not None:
                    return item
                if time.monotonic() >= deadline:
                    raise self._late()
        finally:
            inbox.waits = False
            self._pass_on(line)

    def close(self) -> None:
        """As `Client.close`."""
        self._closed = True
        if self._line is not None:
            self._drop(self._line, Unavailable("the client was closed"))
        if self._given is not None:
            self._given.close()

    def _connected(self, deadline: float) -> Line:
        if self._closed:
            raise Unavailable("the client was closed")
        if self._line is not None and not self._has_ended(self._line):
            return self._line
        if self._endpoint:
            self._line = Line(self._dial(deadline))
            return self._line
        if self._given is None:
            raise Unavailable("the connection to circusd has ended")
        connection = zmtp.Connection(self._given, "DEALER", where="circusd")
        self._given = None
        try:
            connection.greet(_left(deadline))
        except BaseException:
            connection.close()
            raise
        self._line = Line(connection)
        return self._line

    def _dial(self, deadline: float) -> zmtp.Connection:
        until = min(time.monotonic() + self._patience, deadline)
        while True:
            try:
                return zmtp.connect(self._endpoint, "DEALER", _left(deadline))
            except Unavailable:
                if time.monotonic() + _RETRY > until:
                    raise
            time.sleep(_RETRY)

    def _has_ended(self, line: Line) -> bool:
        """Whether a kept connection was closed by the daemon since; who reads would have learned of it already."""
        if not line.reading.acquire(blocking=False):
            return False
        try:
            if not line.connection.at_end():
                return False
        finally:
            line.reading.release()
        self._drop(line, Unavailable("the connection to circusd has ended"))
        return True

    def _read_for_all(self, line: Line, inbox: Inbox, deadline: float) -> None:
        while inbox.ended is None and inbox.items.empty():
            try:
                frames = line.connection.receive(_left(deadline))
                message = _decoded(frames)
            except TimedOut:
                raise self._late() from None
            except (Unavailable, ProtocolError) as problem:
                self._drop(line, problem, reader=True)
                return
            receiver = self._inboxes.get(str(message.get("id")))
            if receiver is not None:
                receiver.items.put((message, len(frames[0])))

    def _drop(self, line: Line, problem: Exception, *, reader: bool = False) -> None:
        """End this connection and tell everybody who waits on it."""
        with self._guard:
            if line is self._line:
                self._line = None
            line.hang_up(reader=reader)
            for inbox in self._inboxes.values():
                if inbox.line is line and inbox.ended is None:
                    inbox.ended = problem
                    inbox.items.put(None)

    def _pass_on(self, line: Line) -> None:
        """Wake one who waits, if nobody reads: it then reads for all."""
        if line.reading.locked():
            return
        with self._guard:
            for inbox in self._inboxes.values():
                if inbox.waits and inbox.line is line:
                    inbox.items.put(None)
                    return

    def _late(self) -> TimedOut:
        return TimedOut(
            f"circusd at {self._endpoint or 'the inherited connection'} has not answered in time",
            hint="it may still be at work: raise --timeout, or give --waiting and no --timeout",
        )


class Subscription:
    """Raw messages of an endpoint of events or stats: an iterator of (topic, body)."""

    def __init__(self, connection: zmtp.Connection) -> None:
        self._connection = connection

    def receive(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """The next topic and body; raises TimedOut and Unavailable."""
        while True:
            frames = self._connection.receive(timeout)
            if len(frames) >= 2:
                return frames[0], frames[1]

    def fileno(self) -> int:
        """The descriptor, to wait on with others; `receive` until TimedOut when it is readable. -1 after `close`."""
        return self._connection.fileno()

    def close(self) -> None:
        """The connection is gone; closing again does nothing."""
        self._connection.close()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self

    def __next__(self) -> tuple[bytes, bytes]:
        return self.receive()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def subscribe(endpoint: str, topics: Sequence[str | bytes], timeout: float = TIMEOUT) -> Subscription:
    """A subscription to all messages whose topic begins with one of those given (all when none is given)."""
    connection = zmtp.connect(endpoint, "SUB", timeout)
    try:
        connection.subscribe(topics or [b""], timeout)
    except BaseException:
        connection.close()
        raise
    return Subscription(connection)


def raw_connection(endpoint: str, timeout: float = TIMEOUT) -> socket.socket:
    """A socket connected to the endpoint, on which nothing was said yet. Raises Unavailable, TimedOut."""
    return zmtp.dial(endpoint, timeout)


def refusal(reply: Mapping[str, Any]) -> Refused:
    """The error that an error reply tells of, with our code where the daemon gives one."""
    error = reply.get("error")
    told = error if isinstance(error, dict) else {}
    code, hint, number = told.get("code"), told.get("hint"), reply.get("errno")
    return Refused(
        str(reply.get("reason") or "the daemon gives no reason"),
        number if isinstance(number, int) else 0,
        code if isinstance(code, str) else "",
        reply.get("tb"),
        hint=hint if isinstance(hint, str) else "",
    )


def _take(inbox: Inbox, deadline: float | None) -> Item | None:
    """An item: what is there (no deadline), or what comes before it."""
    try:
        return inbox.items.get_nowait() if deadline is None else inbox.items.get(timeout=_left(deadline))
    except queue.Empty:
        return None


def _decoded(frames: list[bytes]) -> dict[str, Any]:
    try:
        message = json.loads(frames[0])
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ProtocolError("circusd sent what is no JSON object")
    return message


def _left(deadline: float) -> float | None:
    return None if deadline == FOREVER else max(deadline - time.monotonic(), 0.001)


def _is_ours(base: str) -> bool:
    """Whether nobody else can have filled the folder: below /tmp others may make one of that name."""
    try:
        found = os.lstat(base)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _listens(endpoint: str) -> bool:
    try:
        zmtp.dial(endpoint, 1.0).close()
    except (Unavailable, TimedOut):
        return False
    return True
