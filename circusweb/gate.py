"""The HTTP server's edge: what is refused before any page, and before any WebSocket, sees it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import gevent
from gevent.lock import RLock
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read
from geventwebsocket.exceptions import FrameTooLargeException, ProtocolError, WebSocketError
from geventwebsocket.handler import WebSocketHandler
from geventwebsocket.websocket import Header, WebSocket

from circusd.schema.errors import CircusError

from .auth import Hosts, is_own_origin
from .bridge import status_of
from .proxies import Proxies

log = logging.getLogger("circushttpd.gate")

FRAME_LIMIT_BYTES = 1 << 16
"""Longest frame, and longest message, that a browser may send us; ours are acknowledgements of a few bytes."""

IDLE_SECONDS = 30.0
"""For how long a connection may neither send nor take a byte: longer than between two pings of the live connection."""

HEAD_SECONDS = 15.0
"""For how long a request may take to arrive with its headers."""

REST_LIMIT_BYTES = 1 << 21
REST_SECONDS = 5.0
"""So much of a body that nobody has read is read and thrown away, and for so long, before the connection is closed instead."""

SEND_BUFFER_BYTES = 1 << 17
"""What the kernel may hold of a response without an end for somebody who does not read; by itself it would take megabytes."""

CONNECTIONS = 1024
"""Open connections at most; more wait in the listening socket."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)

HEADERS = (
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""With every response, whoever makes it."""

STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=2592000")
"""With every response over a TLS of our own: a browser that has seen it asks this host without TLS no more, for a month."""

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """The refusal as a response."""
        code = int(self.status.partition(" ")[0])
        problem = {
            "type": "about:blank",
            "title": self.status.partition(" ")[2],
            "status": code,
            "detail": self.text,
        }
        body = json.dumps(problem).encode("ascii")
        headers = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
            *headers_for(environ),
        ]
        start_response(self.status, headers)
        return [body]


def headers_for(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The security headers of a response."""
    return (*HEADERS, STRICT_TRANSPORT) if environ.get("circus.tls") else HEADERS


def secured(app: Wsgi) -> Wsgi:
    """The application, with the security headers on each response and nothing kept in caches unless it says so."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in headers_for(environ) if name.lower() not in told]
            if "cache-control" not in told:
                headers.append(("Cache-Control", "no-store"))
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return app(environ, start)

    return wrapped


class Socket(WebSocket):  # type: ignore[misc]
    """A WebSocket with an end to the size of frames and messages, that unmasks in C, and that never mixes two frames."""

    __slots__ = ()

    def read_frame(self) -> tuple[Any, bytes]:
        """The next frame; one that is too long is refused by its header, before any of it is read."""
        header = Header.decode_header(self.stream)
        if header.flags:
            raise ProtocolError("reserved bits are set")
        if header.length > FRAME_LIMIT_BYTES:
            raise FrameTooLargeException(f"a frame of {header.length} bytes")
        if not header.mask:
            raise ProtocolError("a browser masks its frames")
        if not header.length:
            return header, b""
        payload = self.raw_read(header.length)
        if len(payload) != header.length:
            raise WebSocketError("the connection ended within a frame")
        return header, unmasked(payload, header.mask)

    def read_message(self) -> str | bytes | None:
        """The next text or bytes; control frames are answered on the way, None is the end."""
        opcode = 0
        parts: list[bytes] = []
        size = 0
        while True:
            header, payload = self.read_frame()
            if header.opcode == self.OPCODE_PING:
                self.handle_ping(header, payload)
                continue
            if header.opcode == self.OPCODE_PONG:
                continue
            if header.opcode == self.OPCODE_CLOSE:
                self.handle_close(header, payload)
                return None
            if header.opcode not in (self.OPCODE_TEXT, self.OPCODE_BINARY, self.OPCODE_CONTINUATION):
                raise ProtocolError(f"unexpected opcode {header.opcode}")
            if (header.opcode == self.OPCODE_CONTINUATION) != bool(opcode):
                raise ProtocolError("a continuation without a beginning, or a beginning within a message")
            opcode = opcode or header.opcode
            parts.append(payload)
            size += len(payload)
            if size > FRAME_LIMIT_BYTES:
                raise FrameTooLargeException(f"a message of more than {FRAME_LIMIT_BYTES} bytes")
            if header.fin:
                message = b"".join(parts)
                return message.decode("utf-8") if opcode == self.OPCODE_TEXT else message

    def receive(self) -> str | bytes | None:
        """The next message, or None when there will be none."""
        if self.closed:
            return None
        try:
            return self.read_message()
        except UnicodeDecodeError:
            self.close(1007)
        except FrameTooLargeException:
            self.close(1009)
        except ProtocolError:
            self.close(1002)
        except (OSError, ValueError):
            self.close()
        return None

    def send_frame(self, message: str | bytes, opcode: int) -> None:
        """The frame is with the kernel, whole, before another one begins."""
        # A pong is sent by who reads, messages by who writes: without the lock one could end up within the other.
        with self.handler.frame_lock:
            super().send_frame(message, opcode)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """The payload, XORed with the repeated mask as one long number: a loop over bytes would hold up everybody else."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class Handler(WebSocketHandler):  # type: ignore[misc]
    """One connection. Host, then origin and session of a live connection, are looked at before anything answers."""

    def run_application(self) -> None:
        """The request goes to the application, to a WebSocket, or no further."""
        try:
            self.vet()
        except Refused as refusal:
            self.server.refused(refusal, self.client_address)
            self.close_connection = True
            self.application = refusal
            WSGIHandler.run_application(self)
            self.pass_over_rest()
            return
        try:
            super().run_application()
        finally:
            self.pass_over_rest()

    def pass_over_rest(self) -> None:
        """The next request on this connection begins where it should, or there is none."""
        given = self.wsgi_input
        if not given.chunked_input and given.position >= (given.content_length or 0):
            return
        rest, step = REST_LIMIT_BYTES, 1 << 14
        # Who waits to be told to send it has sent none.
        given.send_100_continue_enabled = False
        with contextlib.suppress(OSError), gevent.Timeout(REST_SECONDS, TimeoutError):
            while rest > 0:
                read = len(given.read(step))
                if read < step and (given.chunked_input or not read):
                    return
                rest -= read
        # The base class would read all of it, however long that takes.
        given.content_length, given.chunked_input = given.position, False
        self.close_connection = True

    def vet(self) -> None:
        """Raises Refused."""
        self.environ["circus.tls"] = self.server.tls is not None
        if self.server.tls is not None:
            self.environ["wsgi.url_scheme"] = "https"
        self.server.proxies.look_at(self.environ)
        told = [line for line in self.headers.headers if line.lower().startswith("content-length:")]
        if len(told) > 1:
            raise Refused("400 Bad Request", "the length of the body is told more than once")
        encoding = self.environ.get("HTTP_TRANSFER_ENCODING")
        if encoding is not None:
            # A proxy before us may see its end elsewhere: what is a body to it must not be a request to us.
            self.close_connection = True
            if encoding.lower() != "chunked":
                raise Refused("501 Not Implemented", "of transfer encodings, only chunked is known")
        host = self.environ.get("HTTP_HOST", "")
        name = self.socket.getsockname()
        arrived_at = name[0].removeprefix("::ffff:") if isinstance(name, tuple) else ""
        if not self.server.hosts.allow(host, arrived_at):
            raise Refused(
                "421 Misdirected Request", f"there is no {host!r} here; allow the name with --hosts"
            )
        try:
            self.server.proxies.name(self.environ)
        except CircusError as problem:
            status = status_of(problem)
            raise Refused(f"{status} {HTTPStatus(status).phrase}", str(problem)) from None
        if self.environ.get("HTTP_UPGRADE") or self.server.is_live(self.environ):
            if not is_own_origin(self.environ):
                raise Refused("403 Forbidden", "a live connection is opened by our own page only")
            self.server.admit(self.environ)

    def upgrade_connection(self) -> Any:
        """The connection is a WebSocket of our own class."""
        result = super().upgrade_connection()
        websocket = getattr(self, "websocket", None)
        if websocket is not None:
            self.server.under_way.discard(self)
            self.frame_lock = RLock()
            # The handler makes its own class itself, and a second object would be closed by the first one's end.
            websocket.__class__ = Socket
        return result

    def get_environ(self) -> dict[str, Any]:
        """As ever, and by which connection the request came."""
        environ: dict[str, Any] = super().get_environ()
        environ["circus.connection"] = self
        return environ

    def goes_on(self) -> None:
        """The response has no end of its own: nobody waits for it, and the kernel holds little of it."""
        self.server.under_way.discard(self)
        self.close_connection = True
        if self.socket.family in (socket.AF_INET, socket.AF_INET6):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def when_left(self, left: Callable[[], None]) -> gevent.Greenlet[Any, Any]:
        """``left`` is called when the other side has closed the connection, unless the returned greenlet was killed before.

        Only while nothing is read from the connection. Nothing is told of who has begun a next request already: his end is seen
        when something is sent to him.
        """

        def watch() -> None:
            try:
                wait_read(self.socket.fileno())
                is_over = not self.socket.recv(1, socket.MSG_PEEK)
            except ValueError:
                # An encrypted connection has no peeking.
                return
            except OSError:
                is_over = True
            if is_over:
                left()

        return gevent.spawn(watch)

    def read_request(self, raw_requestline: str) -> Any:
        """The request's head; who sends it a byte at a time is not waited for."""
        late = gevent.Timeout(HEAD_SECONDS)
        try:
            with late:
                return super().read_request(raw_requestline)
        except gevent.Timeout as over:
            if over is not late:
                raise
            return False

    def handle_one_request(self) -> Any:
        """As ever, unless the server ends: what has come by then was the last."""
        if self.server.is_ending:
            return None
        try:
            return super().handle_one_request()
        finally:
            self.server.under_way.discard(self)

    def read_requestline(self) -> Any:
        """The first line of a request, for which it is waited; nothing when there is none."""
        self.server.waiting.add(self)
        try:
            line = super().read_requestline()
        finally:
            self.server.waiting.discard(self)
        if line:
            self.server.under_way.add(self)
        return line

    def wait_no_more(self) -> None:
        """A request that has come is read; if there is none, the connection is over."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.socket.fileno())) as same:
            # Not by the socket itself: an encrypted one would leave its encryption off.
            same.shutdown(socket.SHUT_RD)

    def log_request(self) -> None:
        """Nothing: a console asks for much, and what matters is in the daemon's events."""


class Server(WSGIServer):
    """The web server of the console."""

    handler_class = Handler

    def __init__(
        self,
        listener: socket.socket,
        application: Wsgi,
        *,
        hosts: Hosts,
        is_live: Callable[[Mapping[str, Any]], bool],
        admit: Callable[[dict[str, Any]], None],
        proxies: Proxies,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.hosts = hosts
        self.proxies = proxies
        self.tls = tls
        self.is_live = is_live
        self.admit = admit
        self.logger = logging.getLogger("circushttpd.websocket")
        self.waiting: set[Handler] = set()
        """Who waits for a request."""
        self.under_way: set[Handler] = set()
        """Who is at work on one that has an end."""
        self.is_ending = False
        self._told: dict[str, int] = {}
        # Given here, as pywsgi would ask the name service for it.
        environ = {"SERVER_NAME": "localhost"}
        super().__init__(
            listener, secured(application), spawn=Pool(CONNECTIONS), log=None, error_log=log, environ=environ
        )

    def handle(self, sock: Any, address: Any) -> None:
        """Serves one connection to its end."""
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Without it each answer of a kept-alive connection waits some 40 ms for the other side's acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            self._handle_encrypted(sock, address, self.tls)
            return
        sock.settimeout(IDLE_SECONDS)
        super().handle(sock, address)

    def _handle_encrypted(self, sock: Any, address: Any, tls: ssl.SSLContext) -> None:
        """The same with TLS; who does not come to the end of the handshake is not waited for."""
        sock.settimeout(HEAD_SECONDS)
        try:
            with gevent.Timeout(HEAD_SECONDS, TimeoutError):
                wrapped = tls.wrap_socket(sock, server_side=True)
        except (OSError, ValueError):
            # Plain HTTP, a probe, a browser that does not know the certificate: no fault of ours.
            return
        try:
            wrapped.settimeout(IDLE_SECONDS)
            super().handle(wrapped, address)
        finally:
            wrapped.close()

    def end(self, within: float) -> None:
        """No connection is left: requests that had come were answered, if that was possible ``within`` so many seconds."""
        self.stop_accepting()
        self.is_ending = True
        for handler in list(self.waiting):
            handler.wait_no_more()
        deadline = time.monotonic() + within
        while (self.waiting or self.under_way) and time.monotonic() < deadline:
            gevent.sleep(0.01)
        self.stop(timeout=0)

    def refused(self, refusal: Refused, address: Any) -> None:
        """Told in the log: the first of a kind, then each hundredth."""
        number = self._told.get(refusal.status, 0) + 1
        if refusal.status in self._told or len(self._told) < 64:
            self._told[refusal.status] = number
        if number == 1 or number % 100 == 0:
            log.warning(
                "refused a request from %s (%s, number %d): %s", address, refusal.status, number, refusal.text
            )
