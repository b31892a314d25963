"""The one connection to circusd: requests with their replies, and the streams that are followed for each person.

A single greenlet reads and hands each message to whoever it is for. Pushes are handed on as the text they came as:
between the daemon and the browser nobody needs to understand them.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore

from circusd import zmtp
from circusd.client import find_endpoint
from circusd.schema.errors import (
    ERRORS,
    BadJson,
    CircusError,
    NoSession,
    ProtocolError,
    TimedOut,
    Unavailable,
)
from circusd.schema.errors import kind as error_kind

from .auth import Credential
from .faults import alone

log = logging.getLogger("circushttpd.bridge")

CALL_TIMEOUT = 10.0
"""Seconds for a request that is answered at once."""

SEND_TIMEOUT = 5.0
"""Seconds after which a daemon that takes no bytes counts as one that does not answer."""

GREET_TIMEOUT = 5.0

RETRY_FIRST, RETRY_LAST = 0.1, 1.0
"""Seconds between two tries to reach an endpoint."""

FOUR_PARTS = 4

# As wire.push writes it. What does not look so is decoded as a whole: slower, and just as right.
_PUSH = re.compile(rb'\{"id":"([0-9a-f]+-[0-9]+)","push":("(?:[^"\\]|\\.)*"),"data":')


class DaemonRefused(CircusError):
    """An error reply of the daemon, with all that it said."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        told = reply.get("error")
        self.told: dict[str, Any] = dict(told) if isinstance(told, dict) else {}
        text = self.told.get("text") or reply.get("reason") or "circusd gives no reason"
        super().__init__(str(text), hint=str(self.told.get("hint") or ""))
        code = self.told.get("code")
        if not isinstance(code, str) or code not in {row.code for row in ERRORS}:
            number = reply.get("errno")
            code = next((row.code for row in ERRORS if row.errno == number), "failed")
        self.code = code

    def as_dict(self) -> dict[str, Any]:
        return {**self.told, "code": self.code, "text": self.text, "hint": self.hint}


class Gone(CircusError):
    """Who asked has left before the answer."""

    code = "unavailable"


class Follow:
    """A stream of one person. ``take`` gets topic (as JSON), data (as JSON) and the size of each push, ``ended`` the error that ended it.

    Both are called in the reading greenlet and must not wait. A fault in one of them ends this stream, and nothing else.
    """

    def __init__(
        self,
        bridge: Bridge,
        request_id: str,
        session: str,
        window: int,
        take: Callable[[str, str, int], None],
        ended: Callable[[CircusError], None],
    ) -> None:
        self._bridge = bridge
        self.id = request_id
        self._session = session
        self._window = window
        self._owed = 0
        self.take = take
        self.ended = ended

    def spent(self, size: int) -> None:
        """So many bytes have reached the person's page: as many more may come."""
        self._owed += size
        if self._owed * FOUR_PARTS >= self._window:
            owed, self._owed = self._owed, 0
            self._bridge.cast("credit", {"followed": self.id, "bytes": owed}, session=self._session)

    def close(self) -> None:
        """Nothing more comes; closing again does nothing."""
        if self._bridge.forget(self.id):
            self._bridge.cast("unfollow", {"followed": self.id}, session=self._session)


class Bridge:
    """The connection to one daemon, made anew when it breaks unless it was inherited."""

    def __init__(self, name: str, connect: Callable[[], zmtp.Connection], *, once: bool = False) -> None:
        self.name = name
        self.ended = Event()
        """Set when an inherited connection is over: there will be no other."""
        self.up = Event()
        self._connect = connect
        self._once = once
        self._connection: zmtp.Connection | None = None
        self._problem: CircusError = Unavailable("there is no connection to circusd yet")
        self._sending = BoundedSemaphore(1)
        self._replies: dict[str, AsyncResult[dict[str, Any]]] = {}
        self._follows: dict[str, Follow] = {}
        self._progress: dict[str, Callable[[str], None]] = {}
        self._prefix = secrets.token_hex(6)
        self._count = 0
        self._reader = gevent.spawn(self._run)

    # -- what others ask ---------------------------------------------------------------------------------------------

    def call(
        self,
        command: str,
        properties: Mapping[str, Any] | None = None,
        *,
        session: str = "",
        timeout: float = CALL_TIMEOUT,
        progress: Callable[[str], None] | None = None,
        left: Event | None = None,
    ) -> dict[str, Any]:
        """The ok reply of the daemon, without the request's id. Raises DaemonRefused, TimedOut, Unavailable.

        ``progress`` is called in the reading greenlet, and must not wait, with each progress (as JSON) of a command that tells of
        it, until a fault in it. When ``left`` is set nobody waits for the reply any more: Gone is raised, and what only waits in
        the daemon ends.
        """
        request_id = self._next_id()
        if progress is not None:
            properties = {**(properties or {}), "progress": True}
            self._progress[request_id] = progress
        try:
            reply = self._ask(request_id, command, properties, session, timeout, left)
        except (Gone, TimedOut):
            self.cast("unfollow", {"followed": request_id}, session=session)
            raise
        finally:
            self._progress.pop(request_id, None)
        reply.pop("id", None)
        return reply

    def cast(self, command: str, properties: Mapping[str, Any], *, session: str = "") -> None:
        """The request is sent if there is a connection; nobody answers."""
        request = {"command": command, "properties": properties, "msg_type": "cast", "session": session}
        try:
            self._send(request)
        except CircusError as problem:
            log.debug("a %s was not sent: %s", command, problem)

    def follow(
        self,
        topics: Sequence[str],
        *,
        session: str,
        credit: int,
        take: Callable[[str, str, int], None],
        ended: Callable[[CircusError], None],
        lines: int = 0,
        stream: str = "",
    ) -> Follow:
        """An open stream; pushes may have come before it returns. Raises as `call`."""
        request_id = self._next_id()
        follow = Follow(self, request_id, session, credit, take, ended)
        properties = {"topics": list(topics), "credit": credit, "lines": lines}
        if stream:
            properties["stream"] = stream
        self._follows[request_id] = follow
        try:
            self._ask(request_id, "follow", properties, session, CALL_TIMEOUT)
        except DaemonRefused:
            self._follows.pop(request_id, None)
            raise
        except BaseException:
            # Nobody waits any more (late, or the page is gone), but the daemon may have opened it.
            follow.close()
            raise
        return follow

    def forget(self, request_id: str) -> bool:
        """Pushes of that stream are passed over from now on; tells whether it was open."""
        return self._follows.pop(request_id, None) is not None

    def close(self) -> None:
        """The connection is gone, and who waits on it gets Unavailable."""
        self._once = True
        self._reader.kill()

    # -- sending and reading -----------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _ask(
        self,
        request_id: str,
        command: str,
        properties: Mapping[str, Any] | None,
        session: str,
        timeout: float,
        left: Event | None = None,
    ) -> dict[str, Any]:
        waiter: AsyncResult[dict[str, Any]] = AsyncResult()
        patience = timeout
        self._replies[request_id] = waiter
        request: dict[str, Any] = {"id": request_id, "command": command, "properties": properties or {}}
        if session:
            request["session"] = session
        if isinstance(session, Credential) and session.address:
            request["address"] = session.address
        try:
            self._send(request)
            if left is not None:
                gevent.wait((waiter, left), timeout, count=1)
                if left.is_set() and not waiter.ready():
                    raise Gone(f"nobody waits any more for {command}")
                timeout = 0
            reply: dict[str, Any] = waiter.get(timeout=timeout) or {}
        except gevent.Timeout:
            raise TimedOut(
                f"circusd has not answered {command} within {patience:g} s", hint="it may still be at work"
            ) from None
        finally:
            self._replies.pop(request_id, None)
        if reply.get("status") == "error":
            raise DaemonRefused(reply)
        return reply

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            frame = json.dumps(request, separators=(",", ":")).encode("ascii")
        except RecursionError:
            raise BadJson("what is asked for is nested too deep") from None
        connection = self._connection
        if connection is None:
            raise self._problem
        if not self._sending.acquire(timeout=SEND_TIMEOUT):
            raise TimedOut("circusd takes no more requests")
        try:
            connection.send([frame], SEND_TIMEOUT)
        finally:
            self._sending.release()

    def _run(self) -> None:
        delay = RETRY_FIRST
        try:
            while True:
                try:
                    self._serve(self._connect())
                except CircusError as problem:
                    if self._connection is not None:
                        delay = RETRY_FIRST
                    if self._lost(problem):
                        return
                gevent.sleep(delay)
                delay = min(delay * 2, RETRY_LAST)
        finally:
            if self._connection is not None:
                self._lost(Unavailable("the connection to circusd was closed here"))
            self.ended.set()

    def _serve(self, connection: zmtp.Connection) -> None:
        """Read until the connection ends, which raises."""
        self._connection = connection
        self.up.set()
        try:
            while True:
                self._dispatch(connection.receive())
        finally:
            connection.close()

    def _lost(self, problem: CircusError) -> bool:
        """Tell everybody who waits or follows; returns whether that was all."""
        if self._connection is not None or self._once:
            log.warning("no connection to circusd: %s", problem)
        self._connection = None
        self.up.clear()
        self._problem = problem if isinstance(problem, Unavailable) else Unavailable(str(problem))
        replies, self._replies = self._replies, {}
        for waiter in replies.values():
            waiter.set_exception(self._problem)
        follows, self._follows = self._follows, {}
        for follow in follows.values():
            self._end(follow, self._problem)
        return self._once

    def _dispatch(self, frames: list[bytes]) -> None:
        raw = frames[0]
        push = _PUSH.match(raw)
        if push is not None and raw.endswith(b"}"):
            self._pushed(push[1].decode(), push[2].decode(), raw[push.end() : -1].decode(), len(raw))
            return
        try:
            message = json.loads(raw)
        except (ValueError, RecursionError):
            raise ProtocolError("circusd sent what is no JSON") from None
        request_id = message.get("id") if isinstance(message, dict) else None
        if not isinstance(request_id, str):
            return
        if "push" in message:
            data = json.dumps(message.get("data"))
            self._pushed(request_id, json.dumps(message["push"]), data, len(raw))
        elif (waiter := self._replies.get(request_id)) is not None:
            waiter.set(message)
        elif message.get("status") == "error" and (follow := self._follows.pop(request_id, None)) is not None:
            self._end(follow, DaemonRefused(message))

    def _pushed(self, request_id: str, topic: str, data: str, size: int) -> None:
        """A push goes to whoever it is for."""
        if (follow := self._follows.get(request_id)) is not None:
            if problem := alone(f"push={topic}", follow.take, topic, data, size):
                follow.close()
                self._end(follow, problem)
        elif (progress := self._progress.get(request_id)) is not None and alone("progress", progress, data):
            self._progress.pop(request_id, None)

    @staticmethod
    def _end(follow: Follow, problem: CircusError) -> None:
        alone("end of a stream", follow.ended, problem)


def to_link(name: str, sock: Any) -> Bridge:
    """A bridge over an inherited, connected socket."""

    def connect() -> zmtp.Connection:
        connection = zmtp.Connection(sock, "DEALER", where="circusd")
        connection.greet(GREET_TIMEOUT)
        return connection

    return Bridge(name, connect, once=True)


def to_endpoint(name: str, endpoint: str) -> Bridge:
    """A bridge to an endpoint (``ipc://…``, ``tcp://…``), or to the daemon of that name where it is empty.

    It is used only where sessions are checked: at an endpoint that takes every request of ours for an admin's, the
    console would let everybody in.
    """

    def connect() -> zmtp.Connection:
        connection = zmtp.connect(endpoint or find_endpoint(name or None), "DEALER", GREET_TIMEOUT)
        try:
            _check_sessions_count(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    return Bridge(name, connect)


def _check_sessions_count(connection: zmtp.Connection) -> None:
    probe = {
        "id": secrets.token_hex(8),
        "command": "whoami",
        "properties": {},
        "session": secrets.token_hex(16),
    }
    connection.send([json.dumps(probe).encode("ascii")], SEND_TIMEOUT)
    while True:
        reply = json.loads(connection.receive(CALL_TIMEOUT)[0])
        if isinstance(reply, dict) and reply.get("id") == probe["id"]:
            break
    error = reply.get("error")
    if not isinstance(error, dict) or error.get("code") != NoSession.code:
        raise Unavailable(
            "this endpoint does not check sessions, so the console would let everybody in",
            hint="let circusd start the console with httpd = 1",
        )


def status_of(problem: CircusError) -> int:
    """The HTTP status that tells of an error."""
    return error_kind(problem.code).http_status
