"""The HTTP API: every command of the table, streams for ``curl``, and the document that describes both.

What a request may be is told by the row of its command; what it does, and whether the person may, is the daemon's matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

import gevent
from bottle import HTTPResponse, request
from gevent.event import Event
from gevent.queue import Queue

from circusd.schema.commands import COMMANDS, Command, find
from circusd.schema.errors import BadRequest, CircusError, NotFound, UnknownCommand

from . import auth, inputs, openapi
from .bridge import Bridge
from .exchange import (
    Unfit,
    accepts,
    as_json,
    header,
    json_body,
    need_credential,
    need_proof,
    problem_of,
    query,
)
from .following import Following
from .inputs import LONGEST_NAME
from .repeats import Repeats
from .sending import EVENT_STREAM, JSON_LINES, KINDS, Outbox, Places

WAIT_TIMEOUT = 3600.0
"""Seconds for a command that is waited for: a stop of many processes takes as long as the slowest of them."""

_JOB = re.compile(r"\d{1,15}", re.ASCII)


class Daemons(Protocol):
    """Who is behind the console."""

    @property
    def first(self) -> Bridge: ...

    @property
    def places(self) -> Places: ...

    def bridge(self, name: str) -> Bridge: ...


class Api:
    """The routes below ``…/api/v1/``, with and without the name of a daemon."""

    def __init__(self, daemons: Daemons) -> None:
        self._daemons = daemons
        self._places = daemons.places
        self._repeats = Repeats()

    def routes(self) -> Iterable[tuple[str, Callable[..., HTTPResponse]]]:
        """The address of each with what answers, whatever the method."""
        for base in ("/api/v1", "/d/<name>/api/v1"):
            yield f"{base}/openapi.json", self.document
            yield f"{base}/follow/<what>", self.follow
            yield f"{base}/follow/<what>/<watcher:path>", self.follow
            yield f"{base}/jobs/<number>", self.job
            yield f"{base}/<command>", self.command

    def _bridge(self, name: str) -> Bridge:
        return self._daemons.bridge(name) if name else self._daemons.first

    # -- commands ----------------------------------------------------------------------------------------------------

    def command(self, command: str, name: str = "") -> HTTPResponse:
        """One command of the table."""
        bridge, row = self._bridge(name), self._row(command)
        methods = ("GET", "HEAD", "POST") if row.effect == "read" else ("POST",)
        if (answer := preflight(*methods)) is not None:
            return answer
        credential = need_credential()
        if request.method == "POST":
            need_proof(credential)
            properties = json_body()
            if query():
                raise BadRequest("the properties of a POST are in its body", field=query()[0][0])
        else:
            properties = inputs.from_query(row, query())
        inputs.check(row, properties)
        if row.effect != "read" and "HTTP_IDEMPOTENCY_KEY" in request.environ:
            key = header("Idempotency-Key")
            return self._repeats.first_answer(
                (bridge.name, credential, row.name, key),
                properties,
                lambda: self._answer(bridge, row, properties, credential),
            )
        return self._answer(bridge, row, properties, credential)

    @staticmethod
    def _row(command: str) -> Command:
        row = find(command) if len(command) <= LONGEST_NAME else None
        if row is not None and row.where == "daemon":
            return row
        names = [row.name for row in COMMANDS if row.where == "daemon"]
        hint = inputs.meant(command, names) or "openapi.json lists them"
        if row is not None and row.where == "client":
            hint = {"tail": "follow/logs/NAME does it", "listen": "follow/events does it"}.get(row.name, hint)
        raise UnknownCommand(f"there is no command {command[:LONGEST_NAME]!r} here", hint=hint)

    def _answer(
        self, bridge: Bridge, row: Command, properties: dict[str, Any], credential: auth.Credential
    ) -> HTTPResponse:
        if not (row.lasts or (row.waits and properties.get("waiting") is True)):
            if not row.waits:
                return as_json(bridge.call(row.name, properties, session=credential))
            return begun(bridge.call(row.name, {**properties, "progress": True}, session=credential))
        waiting = _Waiting()
        waiting.at_end.append(self._places.take(credential, waiting.end))
        try:
            waiting.begin(bridge, row, properties, credential)
            return waiting.answer(stream_kind() if accepts(EVENT_STREAM) or accepts(JSON_LINES) else "")
        except BaseException:
            waiting.close()
            raise

    # -- jobs --------------------------------------------------------------------------------------------------------

    def job(self, number: str, name: str = "") -> HTTPResponse:
        """A command on its way: how far it is, or, by DELETE, no further."""
        bridge = self._bridge(name)
        if (answer := preflight("GET", "HEAD", "DELETE")) is not None:
            return answer
        credential = need_credential()
        id_ = int(number) if _JOB.fullmatch(number) else 0
        if request.method == "DELETE":
            need_proof(credential)
            return as_json(bridge.call("cancel", {"id": id_}, session=credential))
        for row in bridge.call("jobs", session=credential).get("jobs", ()):
            if row.get("id") == id_:
                return as_json(row)
        raise NotFound(
            f"no command with the id {number[:LONGEST_NAME]} is under way",
            hint="it has ended, or there was none; jobs lists them",
        )

    # -- streams -----------------------------------------------------------------------------------------------------

    def follow(self, what: str, watcher: str = "", name: str = "") -> HTTPResponse:
        """A stream that goes on until one side ends it."""
        bridge = self._bridge(name)
        rows = inputs.STREAMS
        if what not in rows:
            raise NotFound(
                f"there is no stream {what[:LONGEST_NAME]!r} here",
                hint=inputs.meant(what, rows) or f"known: {', '.join(rows)}",
            )
        if watcher and "name" not in rows[what]:
            raise NotFound(f"{what} is of all watchers", hint=f"follow/{what}")
        if (answer := preflight("GET", "HEAD")) is not None:
            return answer
        credential = need_credential()
        given = [*query(), *([("name", watcher)] if watcher else ())]
        asked = inputs.of_stream(what, given)
        kind = stream_kind()
        if request.method == "HEAD":
            bridge.call("ping", session=credential)
            return HTTPResponse("", 200, stream_headers(kind))
        outbox = Outbox(kind)
        outbox.at_end.append(self._places.take(credential, outbox.end))
        try:
            following = Following(bridge, credential, outbox)
            getattr(following, what)(asked, header("Last-Event-ID"))
            return streamed(outbox, kind)
        except BaseException:
            outbox.close()
            raise

    # -- the document ------------------------------------------------------------------------------------------------

    def document(self, name: str = "") -> HTTPResponse:
        """All of this as OpenAPI has it; no secret, and so for everybody."""
        if name:
            self._daemons.bridge(name)
        if (answer := preflight("GET", "HEAD")) is not None:
            return answer
        return HTTPResponse(
            openapi.as_json(), 200, {"Content-Type": "application/json", "Cache-Control": "no-cache"}
        )


class _Waiting:
    """A command that is waited for, for as long as somebody does."""

    def __init__(self) -> None:
        self._left = Event()
        self._told: Queue[tuple[str, Any]] = Queue()
        self.at_end: list[Callable[[], None]] = []

    def begin(self, bridge: Bridge, row: Command, properties: Mapping[str, Any], secret: str) -> None:
        """It is on its way, until its end or until who asked has left."""
        watch = request.environ["circus.connection"].when_left(self._left.set)
        self.at_end.append(lambda: watch.kill(block=False))
        gevent.spawn(self._ask, bridge, row, dict(properties), secret)

    def _ask(self, bridge: Bridge, row: Command, properties: dict[str, Any], secret: str) -> None:
        try:
            reply = bridge.call(
                row.name,
                properties,
                session=secret,
                timeout=WAIT_TIMEOUT,
                progress=lambda data: self._told.put(("progress", json.loads(data))),
                left=self._left,
            )
            self._told.put(("reply", reply))
        except CircusError as problem:
            self._told.put(("problem", problem))

    def end(self, problem: CircusError) -> None:
        """That is what is answered."""
        self._told.put(("problem", problem))

    def close(self) -> None:
        """Nobody waits any more; closing again does nothing."""
        self._left.set()
        while self.at_end:
            self.at_end.pop()()

    def answer(self, kind: str) -> HTTPResponse:
        """What came of it; where a kind of stream is asked for, with the progress before it."""
        event, data = self._told.get()
        while event == "progress" and not kind:
            event, data = self._told.get()
        if event == "problem":
            # Known before anything was sent: it has a status of its own.
            raise data
        if not kind:
            self.close()
            return as_json(data)
        outbox = Outbox(kind)
        feeder = gevent.spawn(self._feed, outbox, event, data)
        outbox.at_end += [self.close, lambda: feeder.kill(block=False)]
        return streamed(outbox, kind)

    def _feed(self, outbox: Outbox, event: str, data: Any) -> None:
        while event == "progress":
            outbox.put(event, data)
            event, data = self._told.get()
        outbox.put(event, json.loads(problem_of(data).body) if event == "problem" else data)
        outbox.finish()


def begun(reply: dict[str, Any]) -> HTTPResponse:
    """A command that is on its way now, and where it can be looked after."""
    number = reply.get("job")
    if not isinstance(number, int):
        # It has nothing that would take time.
        return as_json(reply)
    return as_json(reply, int(HTTPStatus.ACCEPTED), headers={"Location": f"jobs/{number}"})


def preflight(*methods: str) -> HTTPResponse | None:
    """The answer to OPTIONS; raises Unfit for a method that is none of these."""
    allow = ", ".join((*methods, "OPTIONS"))
    if request.method == "OPTIONS":
        return HTTPResponse("", int(HTTPStatus.NO_CONTENT), {"Allow": allow})
    if request.method not in methods:
        told = "it changes something: use POST" if methods == ("POST",) else f"use {' or '.join(methods)}"
        raise Unfit(
            HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method[:20]} is not for this; {told}", allow=allow
        )
    return None


def stream_kind() -> str:
    """The kind that is asked for; events where nothing is said."""
    return JSON_LINES if accepts(JSON_LINES) and not accepts(EVENT_STREAM) else EVENT_STREAM


def stream_headers(kind: str) -> dict[str, str]:
    assert kind in KINDS
    # A proxy that gathers what it passes on would keep the newest lines for itself.
    return {"Content-Type": f"{kind}; charset=utf-8", "X-Accel-Buffering": "no"}


def streamed(outbox: Outbox, kind: str) -> HTTPResponse:
    """The response that goes on until the outbox is over, or who asked is gone."""
    connection = request.environ["circus.connection"]
    connection.goes_on()
    watch = connection.when_left(outbox.leave)
    outbox.at_end.append(lambda: watch.kill(block=False))
    return HTTPResponse(outbox, 200, stream_headers(kind))
