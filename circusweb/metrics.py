"""The door of Prometheus: the figures of a daemon as text, in the format that is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import gevent
from bottle import HTTPResponse

from circusd.schema.errors import ProtocolError
from circusd.schema.exposition import OPENMETRICS, PROMETHEUS, exposition

from .api import preflight
from .bridge import Bridge
from .exchange import header, need_credential, weights

PIECE_BYTES: Final = 1 << 15
"""Text is sent in pieces of about this size, and others have their turns between them."""
GATHER_SECONDS: Final = 30.0
"""For the daemon to gather its figures; it takes a second for some thousands of processes on a busy machine."""

_OPEN: Final = "application/openmetrics-text"


class Daemons(Protocol):
    """Who is behind the console."""

    @property
    def first(self) -> Bridge: ...

    def bridge(self, name: str) -> Bridge: ...


class Door:
    """The routes ``/metrics`` and ``/d/NAME/metrics``."""

    def __init__(self, daemons: Daemons, pages: Callable[[], int]) -> None:
        """``pages`` tells how many pages are open."""
        self._daemons = daemons
        self._pages = pages

    def routes(self) -> Iterable[tuple[str, Callable[..., HTTPResponse]]]:
        """The address of each with what answers, whatever the method."""
        yield "/metrics", self.told
        yield "/d/<name>/metrics", self.told

    def told(self, name: str = "") -> HTTPResponse:
        """What who asks may see. Raises CircusError."""
        bridge = self._daemons.bridge(name) if name else self._daemons.first
        if (answer := preflight("GET", "HEAD")) is not None:
            return answer
        reply = bridge.call("metrics", session=need_credential(), timeout=GATHER_SECONDS)
        groups = reply.get("groups")
        if not isinstance(groups, list):
            raise ProtocolError("circusd has told no metrics")
        if reply.get("whole") is True:
            groups.append(self._own())
        kind = chosen(weights())
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"}
        pieces = joined(exposition(groups, openmetrics=kind == OPENMETRICS))
        if "gzip" in header("Accept-Encoding").lower():
            headers["Content-Encoding"] = "gzip"
            pieces = packed(pieces)
        return HTTPResponse(turns(pieces), 200, headers)

    def _own(self) -> Mapping[str, Any]:
        """What this process knows."""
        return {"labels": [], "metrics": ["circus_ws_clients"], "rows": [[self._pages()]]}


def chosen(wanted: Mapping[str, float]) -> str:
    """The type of the answer: OpenMetrics where it is named and nothing else is liked better, and Prometheus's own otherwise."""
    openly = wanted.get(_OPEN, 0.0)
    plain = wanted.get("text/plain", 0.0)
    return OPENMETRICS if openly > 0 and openly >= plain else PROMETHEUS


def joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth sending."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        if part:
            waiting.append(part)
            size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same as gzip has it."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def turns(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces that have something in them; others have their turn after each."""
    for piece in pieces:
        gevent.sleep(0)
        if piece:
            yield piece
