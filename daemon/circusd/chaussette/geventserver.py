"""The backends ``gevent``, ``fastgevent`` and ``geventwebsocket``: gevent's pywsgi on an inherited socket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from email.utils import formatdate
from socket import SHUT_RD
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from .job import FIRST_SECONDS, STOP_SIGNALS, Job

JOINED_BYTES = 1 << 16
"""A body up to this size goes out with its headers: copying it costs less than another system call."""

LOG_SECONDS = 0.1
"""For how long lines of the access log are gathered, which makes one write of many."""


class Handler(WSGIHandler):
    """One connection."""

    asked = False
    """Whether a request has come on it."""
    server: Server
    # What pywsgi keeps is bytes by the time that headers are written, and two of its methods have no types.
    status: bytes  # type: ignore[assignment]
    response_headers: list[tuple[bytes, bytes]]  # type: ignore[assignment]
    _sendall: Callable[[bytes], None]
    _write: Callable[[bytes], None]

    def read_requestline(self) -> Any:
        """Waiting for a request that may never come: such a connection does not hold up a stop."""
        if self.server.stopping and self.asked:
            return ""
        self.server.waiting.add(self)
        try:
            return super().read_requestline()
        finally:
            self.asked = True
            self.server.waiting.discard(self)

    def finalize_headers(self) -> None:
        if self.provided_date is None:
            self.response_headers.append((b"Date", self.server.date()))
            self.provided_date = ""
        if self.server.stopping and not self.close_connection and self.code != 101:
            # The client learns that its next request needs another connection.
            self.close_connection = True
            self.response_headers.append((b"Connection", b"close"))
        super().finalize_headers()

    def _write_with_headers(self, data: bytes) -> None:
        self.headers_sent = True
        self.finalize_headers()
        head = b"".join(
            [
                b"HTTP/1.1 ",
                self.status,
                b"\r\n",
                *(b"%b: %b\r\n" % pair for pair in self.response_headers),
                b"\r\n",
            ]
        )
        if data and not self.response_use_chunked and len(data) <= JOINED_BYTES:
            self._sendall(head + data)
        else:
            self._sendall(head)
            self._write(data)


class FastHandler(Handler):
    """Without a line for each request, and without making one."""

    def log_request(self) -> None:
        pass


class Server(WSGIServer):
    """Serves until it is told to stop, and then finishes what is under way."""

    def __init__(self, job: Job, handler: type[WSGIHandler], log: Any) -> None:
        name = job.listening.getsockname()
        host, port = (name[0], name[1]) if isinstance(name, tuple) else ("localhost", 80)
        super().__init__(
            job.listening,
            job.application,
            spawn=Pool(job.under_way),
            log=log,
            handler_class=handler,
            # With several processes on one socket each takes one connection at a time, so that they share them out.
            # The name is told, as pywsgi would ask the network for it.
            environ={"wsgi.multiprocess": True, "SERVER_NAME": str(host), "SERVER_PORT": str(port)},
        )
        self.stopping = False
        self.waiting: set[Handler] = set()
        self._date = (0, b"")

    def date(self) -> bytes:
        """The header's value; made once a second."""
        now = int(time.monotonic())
        if self._date[0] != now:
            self._date = (now, formatdate(usegmt=True).encode("ascii"))
        return self._date[1]

    def finish(self, timeout: float) -> None:
        """Nothing new is accepted; connections that wait for nothing are closed, the others have until the time is over."""
        self.stopping = True
        self.hang_up([handler for handler in self.waiting if handler.asked])
        # On a connection that has just been accepted the first request is on its way.
        gevent.spawn_later(min(timeout, FIRST_SECONDS), lambda: self.hang_up(list(self.waiting)))
        self.stop(timeout=timeout)

    @staticmethod
    def hang_up(handlers: list[Handler]) -> None:
        """What has come on them is still read and answered; what has not come never will."""
        for handler in handlers:
            with contextlib.suppress(OSError):
                handler.socket.shutdown(SHUT_RD)


class AccessLog:
    """Lines that are written together."""

    def __init__(self, write: Callable[[str], Any], flush: Callable[[], Any]) -> None:
        self._write, self._flush = write, flush
        self._lines: list[str] = []
        self._due = False

    def write(self, line: str) -> None:
        """The line is written within `LOG_SECONDS`."""
        self._lines.append(line)
        if not self._due:
            self._due = True
            gevent.spawn_later(LOG_SECONDS, self.flush)

    def flush(self) -> None:
        """All lines are written."""
        self._due = False
        lines, self._lines = self._lines, []
        if lines:
            self._write("".join(lines))
            self._flush()


def serve(job: Job) -> None:
    """Serve with a line of the access log for each request."""
    log = AccessLog(job.log.write, job.log.flush) if job.is_logged else None
    _serve(job, Handler if log else FastHandler, log)
    if log:
        log.flush()


def serve_fast(job: Job) -> None:
    """Serve without one."""
    _serve(job, FastHandler, None)


def serve_websocket(job: Job) -> None:
    """Serve with WebSockets: the application finds one in ``wsgi.websocket``."""
    from geventwebsocket.handler import WebSocketHandler

    class Both(FastHandler, WebSocketHandler):  # type: ignore[misc]
        """A request of either kind."""

    _serve(job, Both, None)


def _serve(job: Job, handler: type[WSGIHandler], log: Any) -> None:
    job.prepare()
    server = Server(job, handler, log)
    told = Event()
    watching = [gevent.signal_handler(number, told.set) for number in STOP_SIGNALS]
    server.start()
    job.ready()
    job.turn_by(gevent.spawn_later)
    told.wait()
    for one in watching:
        # The second signal does what it would have done without us.
        one.cancel()
    server.finish(job.graceful_timeout)
