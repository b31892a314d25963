"""The way to a circusd on another machine by a key: ``curve://HOST:PORT?key=FILE``, a connection that libzmq seals.

`circusd.zmtp` speaks without a key only, and needs no library for it. So a thread stands between: to the program it is
a server like any other, by a pair of sockets; to the daemon it is libzmq, whose bytes are carried over a connection that
was made here, so that it can be told at which step a handshake has ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from typing import NamedTuple

import zmq

from . import keyfile, zmtp
from .keyfile import KeyFile
from .schema.errors import BadRequest, CircusError, Unavailable

SCHEME = "curve"

_CHUNK_BYTES = 1 << 16
_END_SECONDS = 2.0
_GREETING_BYTES = 64
_NULL = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_KINDS = {b"DEALER": (zmq.DEALER, b"ROUTER"), b"SUB": (zmq.XSUB, b"XPUB")}


class There(NamedTuple):
    """A daemon on another machine, and the file of the key for it."""

    server: str
    """``HOST:PORT``."""
    path: str

    def __str__(self) -> str:
        """The endpoint as text, which `read` reads."""
        from urllib.parse import quote

        return f"{SCHEME}://{self.server}?key={quote(self.path, safe='/')}"


def new_pair() -> tuple[str, str]:
    """A public and a secret key, as texts."""
    _check_library()
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def read(endpoint: str) -> There:
    """What an endpoint ``curve://…`` means; raises BadRequest."""
    from urllib.parse import parse_qsl

    server, _, query = endpoint.removeprefix(f"{SCHEME}://").partition("?")
    more = dict(parse_qsl(query, keep_blank_values=True))
    if not server or set(more) != {"key"} or not more["key"]:
        raise BadRequest(f"{endpoint!r} can't be read", hint=f"expected {SCHEME}://HOST:PORT?key=FILE")
    return There(server, more["key"])


def with_key(endpoint: str, path: str) -> str:
    """The endpoint ``tcp://HOST:PORT``, reached with the key of a file; raises BadRequest for any other."""
    if not endpoint.startswith("tcp://"):
        hint = "name the daemon on the other machine: --endpoint tcp://HOST:PORT"
        raise BadRequest(f"--key is for a tcp:// endpoint, not for {endpoint}", hint=hint)
    return str(There(endpoint.removeprefix("tcp://"), os.path.abspath(os.path.expanduser(path))))


def beside(reached: str, told: str) -> str:
    """Another endpoint of a daemon, as it told of it, reached by the same way; raises Unavailable where it can't be."""
    there = read(reached)
    host, _, port = told.removeprefix("tcp://").rpartition(":")
    if host in zmtp.EVERYWHERE:
        host = there.server.rpartition(":")[0]
    elif not told.startswith("tcp://") or zmtp.is_here(told):
        hint = "its file has to name one that can: pubsub_endpoint or stats_endpoint = tcp://…"
        raise Unavailable(f"{told} can be reached only from the machine of {there.server}", hint=hint)
    return str(There(f"{host}:{port}", there.path))


def dial(endpoint: str, timeout: float | None = None) -> socket.socket:
    """A socket whose other end is carried to the endpoint, sealed; raises BadRequest, Unavailable, TimedOut."""
    _check_library()
    there = read(endpoint)
    key = keyfile.read(there.path)
    if not key.server:
        hint = f"on that machine, circusctl keys shows it; then here: circusctl keys new {key.name} --out {there.path} --server KEY"
        raise BadRequest(f"{there.path} does not say the public key of the server", hint=hint)
    far = zmtp.dial(f"tcp://{there.server}", timeout)
    far.settimeout(None)
    ours, theirs = socket.socketpair()
    return Tunnel(ours, _Carrier(far, theirs, there, key))


class Tunnel(socket.socket):
    """The near end of a connection that is sealed on its way."""

    def __init__(self, end: socket.socket, carrier: _Carrier) -> None:
        super().__init__(end.family, end.type, end.proto, end.detach())
        self._carrier = carrier

    def why_ended(self) -> Unavailable | None:
        """At which step the handshake ended, and what that means; None for a connection that came to be."""
        return self._carrier.why_ended()

    def close(self) -> None:
        """The connection and what carried it are gone."""
        super().close()
        self._carrier.end()


class _Handshake:
    """The server's side of the handshake, as its bytes pass."""

    def __init__(self, *, is_here: bool) -> None:
        self.is_here = is_here
        """The server is on this machine."""
        self.mechanism = ""
        self.said = ""
        """Its last command: WELCOME, then READY or ERROR."""
        self._decoder = zmtp.Decoder()

    def feed(self, data: bytes) -> None:
        if self.said == "READY":
            return
        self._decoder.feed(data)
        if not self.mechanism:
            greeting = self._decoder.take(_GREETING_BYTES)
            if greeting is None:
                return
            self.mechanism = greeting[12:32].rstrip(b"\0").decode("ascii", "replace") or "none"
        for _, body in self._decoder.frames():
            self.said = body[1 : 1 + body[0]].decode("ascii", "replace") if body else ""
            if self.said == "READY":
                return

    def why_ended(self, there: There, key: KeyFile) -> Unavailable:
        """What it means that the connection ended at this point."""
        if self.mechanism != "CURVE" and (self.mechanism or self.is_here):
            hint = "who is on the machine of circusd is known there without one: leave --key out"
            return Unavailable(f"{there.server} takes no key here", hint=hint)
        if not self.mechanism:
            hint = "it may have no key for this machine yet (circusctl keys, on that one), or too many tries from here were wrong"
            return Unavailable(f"{there.server} closed the connection before its greeting", hint=hint)
        if not self.said:
            hint = f"on that machine, circusctl keys shows it; what is in {there.path} is {key.server}"
            return Unavailable(f"{there.server} has another key than the one of {there.path}", hint=hint)
        if self.said == "ERROR":
            hint = f"on that machine: circusctl keys add {key.name} --public '{key.public}'"
            return Unavailable(
                f"{there.server} does not know the key {there.path}, or does not take it any more", hint=hint
            )
        return Unavailable(f"{there.server} closed the connection before the end of the handshake")


class _Carrier:
    """The thread between the program and the daemon, and the two that carry libzmq's bytes."""

    def __init__(self, far: socket.socket, near: socket.socket, there: There, key: KeyFile) -> None:
        self._far, self._near = far, near
        self._there, self._key = there, key
        self._handshake = _Handshake(is_here=_is_here(far))
        self._settled = threading.Event()
        """The handshake has come to its end, be it good or bad."""
        self._thread = threading.Thread(target=self._run, name="curve", daemon=True)
        self._thread.start()

    def why_ended(self) -> Unavailable | None:
        """As `Tunnel.why_ended`."""
        self._settled.wait(_END_SECONDS)
        return None if self._handshake.said == "READY" else self._handshake.why_ended(self._there, self._key)

    def end(self) -> None:
        """The program has closed its end, and nothing is left of this one."""
        _shut_down(self._far)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        # The program sees the end of its socket, and asks why.
        with contextlib.suppress(OSError, zmq.ZMQError, CircusError), self._near, self._far:
            try:
                kind, peer = _KINDS[self._greet()]
                with zmq.Context() as context:
                    self._carry(context, kind, peer)
            finally:
                self._settled.set()
                _shut_down(self._near)

    def _greet(self) -> bytes:
        """The kind of the program's socket, as it says by its READY; it is not answered yet."""
        decoder = zmtp.Decoder()
        while True:
            data = self._near.recv(_CHUNK_BYTES)
            decoder.feed(data or _nothing())
            if decoder.take(_GREETING_BYTES) is not None:
                break
        self._near.sendall(_NULL)
        while True:
            for _, body in decoder.frames():
                return zmtp.metadata(body[6:])["socket-type"]
            decoder.feed(self._near.recv(_CHUNK_BYTES) or _nothing())

    def _carry(self, context: zmq.Context[zmq.Socket[bytes]], kind: int, peer: bytes) -> None:
        with context.socket(kind) as sock:
            sock.linger = 0
            sock.setsockopt(zmq.RECONNECT_IVL, -1)
            sock.setsockopt(zmq.MAXMSGSIZE, zmtp.FRAME_LIMIT_BYTES)
            sock.curve_serverkey = self._key.server.encode()
            sock.curve_publickey = self._key.public.encode()
            sock.curve_secretkey = self._key.secret.encode()
            with sock.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor, _joined(sock) as inner:
                ways = [
                    threading.Thread(target=self._downwards, args=(inner,), daemon=True),
                    threading.Thread(target=_copy, args=(inner, self._far), daemon=True),
                ]
                for way in ways:
                    way.start()
                try:
                    self._settled.wait()
                    if self._handshake.said == "READY":
                        ready = b"\x05READY\x0bSocket-Type" + len(peer).to_bytes(4, "big") + peer
                        self._near.sendall(zmtp.encode_frame(ready, command=True))
                        _Exchange(sock, monitor, self._near).run()
                finally:
                    sock.disable_monitor()
                    for end in (inner, self._far):
                        _shut_down(end)
                    for way in ways:
                        way.join()

    def _downwards(self, inner: socket.socket) -> None:
        with contextlib.suppress(OSError, CircusError):
            while data := self._far.recv(_CHUNK_BYTES):
                self._handshake.feed(data)
                inner.sendall(data)
                if self._handshake.said == "READY":
                    self._settled.set()
        self._settled.set()
        # libzmq reads what has come, and tells of the end after it.
        with contextlib.suppress(OSError):
            inner.shutdown(socket.SHUT_WR)


class _Exchange:
    """Messages between a socket of libzmq and one that speaks ZMTP without a key; one thread, neither side waits."""

    def __init__(self, sock: zmq.Socket[bytes], monitor: zmq.Socket[bytes], near: socket.socket) -> None:
        self._sock, self._monitor, self._near = sock, monitor, near
        self._decoder = zmtp.Decoder()
        self._parts: list[bytes] = []
        self._out = bytearray()
        self._unsent: list[list[bytes]] = []
        near.setblocking(False)

    def run(self) -> None:
        """Until one side has ended; what the daemon has said before it ended is with the program."""
        while True:
            poller = zmq.Poller()
            poller.register(self._monitor, zmq.POLLIN)
            poller.register(self._near, _events(take=not self._unsent, give=bool(self._out)))
            poller.register(self._sock, _events(take=not self._out, give=bool(self._unsent)))
            ready = dict(poller.poll())
            self._take()
            if self._monitor in ready:
                # It is told behind all that came before it.
                self._take(float("inf"))
                self._near.setblocking(True)
                self._near.settimeout(_END_SECONDS)
                self._near.sendall(self._out)
                return
            if self._near.fileno() in ready and not self._listen():
                return
            self._flush()

    def _take(self, limit: float = _CHUNK_BYTES) -> None:
        with contextlib.suppress(zmq.Again):
            while len(self._out) < limit:
                self._out += zmtp.encode_message(self._sock.recv_multipart(zmq.NOBLOCK))

    def _listen(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            data = self._near.recv(_CHUNK_BYTES)
            if not data:
                return False
            self._decoder.feed(data)
            for flags, body in self._decoder.frames():
                self._parts.append(body)
                if not flags & 1:
                    self._unsent.append(self._parts)
                    self._parts = []
        return True

    def _flush(self) -> None:
        with contextlib.suppress(zmq.Again):
            while self._unsent:
                self._sock.send_multipart(self._unsent[0], zmq.NOBLOCK)
                del self._unsent[0]
        with contextlib.suppress(BlockingIOError):
            while self._out:
                del self._out[: self._near.send(self._out)]


def _check_library() -> None:
    if not zmq.has("curve"):
        raise BadRequest("the libzmq here has no CURVE", hint="install pyzmq from a wheel, which has it")


def _events(*, take: bool, give: bool) -> int:
    """What a side is looked at for: more is not taken from it than the other one takes."""
    return (zmq.POLLIN if take else 0) | (zmq.POLLOUT if give else 0)


def _joined(sock: zmq.Socket[bytes]) -> socket.socket:
    """The other end of a connection that a socket of libzmq makes to nobody but us."""
    name = f"circusctl-{os.getpid()}-{os.urandom(16).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("\0" + name)
        listener.listen(1)
        sock.connect(f"ipc://@{name}")
        while True:
            inner, _ = listener.accept()
            pid, _, _ = struct.unpack("3i", inner.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if pid == os.getpid():
                return inner
            inner.close()


def _is_here(sock: socket.socket) -> bool:
    """Whether a connection is to this very machine; False for one that has ended already."""
    with contextlib.suppress(OSError):
        return bool(sock.getpeername()[0] == sock.getsockname()[0])
    return False


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK_BYTES):
            target.sendall(data)
    _shut_down(target)


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _nothing() -> bytes:
    raise Unavailable("the program has left")
