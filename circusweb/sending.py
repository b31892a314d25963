"""Responses without an end: server-sent events, or JSON lines, for who follows with ``curl`` or an ``EventSource``.

What is on its way to one of them is bounded by credit, as with a page (`live`): the daemon sends more only when the socket
has taken what was there.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from gevent.event import Event

from circusd.schema.errors import CircusError, Unavailable

from .exchange import Unfit

KEEP_ALIVE_SECONDS = 15.0
"""After so many seconds in which nothing was sent, something is that means nothing: so that a proxy keeps the connection, and
that who has left without a word is missed."""

CHUNK_BYTES = 1 << 15
"""About so much is given to the socket at once."""

BACKLOG_LIMIT_BYTES = 1 << 21
"""More than this is never kept for one follower, whatever the daemon sends."""

STREAMS = 256
STREAMS_PER_PERSON = 32
"""Responses that wait or follow at once: of all, and with one session or token."""

RETRY_MILLISECONDS = 2000

EVENT_STREAM = "text/event-stream"
JSON_LINES = "application/x-ndjson"
KINDS = (EVENT_STREAM, JSON_LINES)


class Places:
    """The responses that wait or follow at present."""

    def __init__(self) -> None:
        self._taken: dict[object, tuple[str, Callable[[CircusError], None]]] = {}

    def take(self, secret: str, end: Callable[[CircusError], None]) -> Callable[[], None]:
        """A place for who has that session or token, until the returned function is called; ``end`` ends it. Raises Unfit."""
        own = sum(one == secret for one, _ in self._taken.values())
        if own >= STREAMS_PER_PERSON or len(self._taken) >= STREAMS:
            raise Unfit(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"at most {STREAMS_PER_PERSON} requests of a person, and {STREAMS} of all, may wait or follow at once",
            )
        place = object()
        self._taken[place] = (secret, end)
        return lambda: self._taken.pop(place, None) and None

    def close(self) -> None:
        """Each is told that the console ends, as its last word."""
        for _, end in list(self._taken.values()):
            end(Unavailable("the console ends; what circusd was asked for goes on"))


class Outbox:
    """What goes to one follower; an iterator of bytes for WSGI, whose `close` ends it."""

    def __init__(self, kind: str) -> None:
        """``kind`` is one of `KINDS`."""
        self._text = _as_event if kind == EVENT_STREAM else _as_line
        self._begin = f"retry: {RETRY_MILLISECONDS}\n\n" if kind == EVENT_STREAM else "\n"
        self._nothing = ":\n\n" if kind == EVENT_STREAM else "\n"
        self._waiting: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._wake = Event()
        self._over = False
        self._closed = False
        self.spent: Callable[[int], None] = lambda size: None
        """Is told when so many bytes of what the daemon sent have been taken; to be set before the first is asked for."""
        self.at_end: list[Callable[[], None]] = []
        """Called once, when nothing more is sent."""

    def put(self, event: str, data: Any, *, id_: str = "", size: int = 0) -> None:
        """The event is on its way; ``size`` is what it cost of the credit. Never waits."""
        if self._over:
            return
        text = self._text(event, data, id_)
        self._waiting.append((text, size))
        self._bytes += len(text)
        self._wake.set()
        if self._bytes > BACKLOG_LIMIT_BYTES:
            self.leave()

    def owe(self, size: int) -> None:
        """A push of that size gave nothing to send. Paid in its turn: who calls this reads for everybody, and must not send."""
        if not self._over:
            self._waiting.append(("", size))
            self._wake.set()

    def end(self, problem: CircusError) -> None:
        """The last word is why."""
        self.put("end", problem.as_dict())
        self.finish()

    def finish(self) -> None:
        """What is there goes out, and nothing more comes."""
        self._over = True
        self._wake.set()

    def leave(self) -> None:
        """The other side is gone, or does not keep up at all: nothing goes out any more."""
        self._waiting.clear()
        self._bytes = 0
        self.finish()

    def __iter__(self) -> Iterator[bytes]:
        yield self._begin.encode("ascii")
        while True:
            text, size = self._take()
            if text or size:
                if text:
                    yield text.encode("ascii")
                # Asked for again: the socket has taken it.
                self.spent(size)
            elif self._over:
                return
            elif self._wake.wait(KEEP_ALIVE_SECONDS):
                self._wake.clear()
            else:
                yield self._nothing.encode("ascii")

    def _take(self) -> tuple[str, int]:
        texts: list[str] = []
        length = size = 0
        while self._waiting and length < CHUNK_BYTES:
            text, cost = self._waiting.popleft()
            texts.append(text)
            length += len(text)
            size += cost
        self._bytes -= length
        return "".join(texts), size

    def close(self) -> None:
        """Nothing more is sent; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.leave()
        for end in self.at_end:
            end()


def _as_event(event: str, data: Any, id_: str) -> str:
    told = f"id: {id_}\n" if id_ else ""
    return f"{told}event: {event}\ndata: {_json(data)}\n\n"


def _as_line(event: str, data: Any, id_: str) -> str:
    row: Mapping[str, Any] = {"event": event, **({"id": id_} if id_ else {}), "data": data}
    return _json(row) + "\n"


def _json(data: Any) -> str:
    # In ASCII, and so without any character that ends a line.
    return json.dumps(data, separators=(",", ":"))
