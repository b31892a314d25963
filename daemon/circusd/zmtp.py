"""ZMTP 3.0 with the NULL mechanism, client side, from the standard library: sockets DEALER and SUB.

A short program that asks one question need not load libzmq for it. The connection is a plain blocking socket with time
limits, so it does the same in a process that gevent has monkey-patched.

On the wire, after a greeting of 64 bytes each way: frames of one byte of flags (1 = more frames follow, 2 = the
size has eight bytes instead of one, 4 = a command and no part of a message), the size, and the body.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from .schema.errors import ProtocolError, TimedOut, Unavailable

FRAME_LIMIT_BYTES = 1 << 26
"""Longest message that is accepted from a peer; a daemon that shows 2,000 processes in full stays below a tenth."""

FRAMES_LIMIT = 64
"""Most frames that a message may have."""

COMMAND_LIMIT_BYTES = 1 << 16
"""Longest command (READY, PING, ERROR) that is accepted."""

PATH_LIMIT_BYTES = 107
"""Longest path of a unix socket that Linux takes."""

EVERYWHERE = ("*", "0.0.0.0", "[::]")
"""Hosts of an endpoint that mean every address of the machine where it is."""

WAYS: dict[str, Callable[[str, float | None], socket.socket]] = {}
"""Further ways to connect, by the scheme of the endpoint; a program that has one puts it here."""

_MORE, _LONG, _COMMAND = 1, 2, 4
_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_PEERS = {"DEALER": ("ROUTER", "DEALER", "REP"), "SUB": ("PUB", "XPUB")}


class WrongPeer(ProtocolError):
    """The endpoint is of another kind than the caller's socket can speak with; ``peer`` is its type."""

    def __init__(self, text: str, peer: str, *, hint: str = "") -> None:
        super().__init__(text, hint=hint)
        self.peer = peer


def encode_frame(body: bytes, *, more: bool = False, command: bool = False) -> bytes:
    """The bytes of one frame."""
    flags = (_MORE if more else 0) | (_COMMAND if command else 0)
    if len(body) < 256:
        return bytes((flags, len(body))) + body
    return bytes((flags | _LONG,)) + len(body).to_bytes(8, "big") + body


def encode_message(frames: Sequence[bytes]) -> bytes:
    """The bytes of a message of one or more frames."""
    last = len(frames) - 1
    return b"".join(encode_frame(body, more=index < last) for index, body in enumerate(frames))


class Decoder:
    """Bytes in, frames out; what is incomplete waits for more, what is beyond the limits raises ProtocolError."""

    def __init__(self, limit: int = FRAME_LIMIT_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Bytes as they came."""
        self._buffer += data

    def take(self, count: int) -> bytes | None:
        """The next raw bytes (of a greeting), or None until there are as many."""
        if len(self._buffer) < count:
            return None
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Flags and body of each frame that is complete."""
        while len(self._buffer) >= 2:
            flags = self._buffer[0]
            if flags > 7 or flags & (_COMMAND | _MORE) == (_COMMAND | _MORE):
                raise ProtocolError(f"a frame begins with 0x{flags:02x}, which no frame of ZMTP 3 does")
            head = 9 if flags & _LONG else 2
            if len(self._buffer) < head:
                return
            size = int.from_bytes(self._buffer[1:head], "big")
            limit = min(COMMAND_LIMIT_BYTES, self._limit) if flags & _COMMAND else self._limit
            if size > limit:
                raise ProtocolError(f"a frame of {size} bytes is longer than the {limit} that are accepted")
            if len(self._buffer) < head + size:
                return
            body = bytes(self._buffer[head : head + size])
            del self._buffer[: head + size]
            yield flags, body


class Connection:
    """One connection to a ROUTER (as DEALER) or a PUB (as SUB), after `greet`.

    Time limits are seconds; None waits for ever. A time-out loses nothing: the next call goes on where this one ended.
    """

    def __init__(
        self, sock: socket.socket, kind: str, *, where: str = "", limit: int = FRAME_LIMIT_BYTES
    ) -> None:
        # Never blocking: waiting is by poll, with a time limit of its own for each of those that share the socket.
        sock.settimeout(0)
        self._socket = sock
        self._kind = kind
        self._where = where or "the inherited connection"
        self._limit = limit
        self._decoder = Decoder(limit)
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._out = bytearray()

    def greet(self, timeout: float | None = None) -> None:
        """Both sides have told what they are; messages may follow.

        Raises Unavailable when the peer closes (a circusd closes before its greeting on whom it does not obey),
        `WrongPeer` or ProtocolError when it is not what is wanted, TimedOut.
        """
        deadline = _deadline(timeout)
        self._queue(_GREETING)
        self._flush(deadline, "its greeting")
        # A peer that refuses us must be able to close before we say more than the greeting.
        while (greeting := self._decoder.take(64)) is None:
            self._fill(deadline, "its greeting")
        self._check_greeting(greeting)
        self._queue(encode_frame(_ready(self._kind), command=True))
        self._flush(deadline)
        while True:
            for flags, body in self._decoder.frames():
                self._check_ready(flags, body)
                return
            self._fill(deadline, "the end of the handshake")

    def send(self, frames: Sequence[bytes], timeout: float | None = None) -> None:
        """The message is with the kernel, or (after TimedOut) the rest of it goes with the next one."""
        self._queue(encode_message(frames))
        self._flush(_deadline(timeout))

    def subscribe(self, topics: Iterable[bytes | str], timeout: float | None = None) -> None:
        """Messages whose first frame begins with one of the topics will come."""
        for topic in topics:
            self._queue(encode_frame(b"\x01" + (topic.encode() if isinstance(topic, str) else topic)))
        self._flush(_deadline(timeout))

    def receive(self, timeout: float | None = None) -> list[bytes]:
        """The next message; pings of the peer are answered on the way."""
        deadline = _deadline(timeout)
        while True:
            for flags, body in self._decoder.frames():
                if flags & _COMMAND:
                    self._command(body, deadline)
                    continue
                self._parts.append(body)
                self._parts_bytes += len(body)
                if len(self._parts) > FRAMES_LIMIT or self._parts_bytes > self._limit:
                    raise ProtocolError(f"{self._where} sent a message beyond the limits")
                if not flags & _MORE:
                    message, self._parts, self._parts_bytes = self._parts, [], 0
                    return message
            self._fill(deadline, "an answer")

    def at_end(self) -> bool:
        """Whether the peer has closed and nothing is left to read; never waits."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def fileno(self) -> int:
        """The descriptor; -1 after `close`."""
        return self._socket.fileno()

    def shut_down(self) -> None:
        """Whoever waits in `receive` gets Unavailable; the descriptor stays until `close`."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The connection is gone; closing again does nothing."""
        self._socket.close()

    def _queue(self, data: bytes) -> None:
        self._out += data

    def _flush(self, deadline: float | None, before: str = "") -> None:
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline, "takes no more bytes")
                continue
            except OSError as problem:
                raise self._ended(problem, before) from None
            del self._out[:sent]

    def _fill(self, deadline: float | None, what: str) -> None:
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline, f"has not sent {what} in time")
                continue
            except OSError as problem:
                # Closed with our greeting unread, which the kernel tells as a reset.
                raise self._ended(problem, what) from None
            if not data:
                raise self._ended(None, what)
            self._decoder.feed(data)
            return

    def _wait(self, event: int, deadline: float | None, late: str) -> None:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        poller = select.poll()
        try:
            poller.register(self._socket.fileno(), event)
        except (OSError, ValueError):
            raise Unavailable(f"the connection to {self._where} was closed here") from None
        if not poller.poll(None if left is None else math.ceil(left * 1000)) and left is not None:
            raise TimedOut(f"{self._where} {late}")

    def _ended(self, problem: OSError | None, what: str = "") -> Unavailable:
        # A socket that a program carries elsewhere may know more than that it has ended.
        why_ended = getattr(self._socket, "why_ended", None)
        if why_ended is not None and isinstance(why := why_ended(), Unavailable):
            return why
        text = f"{self._where} closed the connection"
        if what:
            text += f" before {what}"
        if problem is not None and not isinstance(problem, ConnectionResetError | BrokenPipeError):
            text = f"the connection to {self._where} broke: {problem.strerror or problem}"
        hint = ""
        if what == "its greeting":
            owner = _peer_of(self._socket)
            own = f", {owner}," if owner else ","
            hint = f"it obeys only the user it runs as{own} and root, unless its file lets in others (allow_viewer …)"
            if self._where.startswith("tcp://") and not is_here(self._where):
                hint = "from another machine it obeys who has a key (--key FILE; there: circusctl keys add NAME), or comes by --ssh"
        return Unavailable(text, hint=hint)

    def _command(self, body: bytes, deadline: float | None) -> None:
        name, rest = _named(body)
        if name == b"PING" and len(rest) >= 2:
            # Two bytes of time to live, then up to 16 that are sent back.
            self._queue(encode_frame(b"\x04PONG" + rest[2:18], command=True))
            self._flush(deadline)
        elif name == b"ERROR":
            raise ProtocolError(f"{self._where} refused the connection: {_reason(rest)}")

    def _check_greeting(self, greeting: bytes) -> None:
        if greeting[0] != 0xFF or not greeting[9] & 1 or greeting[10] < 3:
            hint = "something else than circusd may listen there"
            if hasattr(self._socket, "why_ended"):
                hint += ", or the login there prints something before circusctl runs"
            raise ProtocolError(f"{self._where} does not speak ZMTP 3", hint=hint)
        mechanism = greeting[12:32].rstrip(b"\0").decode("ascii", "backslashreplace")
        if mechanism != "NULL":
            raise ProtocolError(
                f"{self._where} asks for the security mechanism {mechanism}, which this client does not have"
            )

    def _check_ready(self, flags: int, body: bytes) -> None:
        name, rest = _named(body)
        if flags & _COMMAND and name == b"ERROR":
            raise ProtocolError(f"{self._where} refused the connection: {_reason(rest)}")
        if not flags & _COMMAND or name != b"READY":
            raise ProtocolError(f"{self._where} did not answer the handshake with READY")
        peer = metadata(rest).get("socket-type", b"").decode("ascii", "backslashreplace")
        if peer not in _PEERS[self._kind]:
            hint = ""
            if peer in _PEERS["SUB"]:
                hint = "that is an endpoint of events or stats; commands have one of their own"
            elif peer == "ROUTER":
                hint = "that is the endpoint of commands; events and stats have their own"
            text = f"{self._where} is a {peer} socket, which a {self._kind} socket can't speak with"
            raise WrongPeer(text, peer, hint=hint)


def connect(
    endpoint: str, kind: str, timeout: float | None = None, *, limit: int = FRAME_LIMIT_BYTES
) -> Connection:
    """A greeted connection to an endpoint ``ipc://PATH`` or ``tcp://HOST:PORT``.

    Raises Unavailable with what was tried and what to check, ProtocolError, TimedOut.
    """
    deadline = _deadline(timeout)
    connection = Connection(dial(endpoint, timeout), kind, where=endpoint, limit=limit)
    try:
        connection.greet(_left(deadline))
    except BaseException:
        connection.close()
        raise
    return connection


def dial(endpoint: str, timeout: float | None = None) -> socket.socket:
    """A connected stream socket for the endpoint; raises Unavailable or TimedOut."""
    if (way := WAYS.get(endpoint.partition("://")[0])) is not None:
        return way(endpoint, timeout)
    last: OSError | None = None
    deadline = _deadline(timeout)
    for family, address in resolve(endpoint):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_left(deadline))
            sock.connect(address)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as problem:
            sock.close()
            last = problem
            continue
        except BaseException:
            sock.close()
            raise
        return sock
    if isinstance(last, TimeoutError | BlockingIOError):
        raise TimedOut(f"{endpoint} did not take the connection in time")
    raise Unavailable(f"no daemon answers at {endpoint}: {_because(last)}", hint=_advice(last, endpoint))


def resolve(endpoint: str) -> list[tuple[int, str | tuple[str, int]]]:
    """Families and addresses of an endpoint, best first; raises Unavailable for one that can't be connected to."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc" and rest:
        if rest.startswith("@"):
            return [(socket.AF_UNIX, "\0" + rest[1:])]
        if len(rest.encode("utf-8", "surrogateescape")) > PATH_LIMIT_BYTES:
            text = f"the path of {endpoint} is longer than {PATH_LIMIT_BYTES} bytes"
            raise Unavailable(f"{text}, the most that a unix socket can have")
        return [(socket.AF_UNIX, rest)]
    host, _, port = rest.rpartition(":")
    if scheme == "tcp" and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        host = host.strip("[]")
        # "Every interface" is a place to listen at; whoever connects means this machine.
        host = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        try:
            found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError as problem:
            text = f"the host {host!r} of {endpoint} is not known: {problem.strerror}"
            raise Unavailable(text) from None
        return [(row[0], (str(row[4][0]), int(port))) for row in found]
    raise Unavailable(
        f"{endpoint!r} is not an endpoint", hint="expected ipc:///path/to/socket or tcp://host:port"
    )


def is_here(endpoint: str) -> bool:
    """Whether an endpoint ``tcp://…`` is one of this machine, by how it is written."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    return host.startswith("127.") or host in ("localhost", "[::1]", *EVERYWHERE)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    # Zero would make a socket non-blocking, which has errors of its own.
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


def _ready(kind: str) -> bytes:
    body = b"\x05READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind.encode()
    if kind == "DEALER":
        body += b"\x08Identity" + bytes(4)
    return body


def _named(body: bytes) -> tuple[bytes, bytes]:
    size = body[0] if body else 0
    return body[1 : 1 + size], body[1 + size :]


def _reason(rest: bytes) -> str:
    return _named(rest)[0].decode("utf-8", "backslashreplace") or "no reason given"


def metadata(rest: bytes) -> dict[str, bytes]:
    """The properties of a READY, by their names in lower case; raises ProtocolError."""
    found: dict[str, bytes] = {}
    while rest:
        name, rest = _named(rest)
        size = int.from_bytes(rest[:4], "big")
        if not name or len(rest) < 4 + size:
            raise ProtocolError("the metadata of the handshake is cut off")
        found[name.decode("ascii", "backslashreplace").lower()] = rest[4 : 4 + size]
        rest = rest[4 + size :]
    return found


def _because(problem: OSError | None) -> str:
    if isinstance(problem, FileNotFoundError):
        return "there is no such socket"
    if isinstance(problem, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(problem, PermissionError):
        return "this user may not connect to it"
    return "no address" if problem is None else str(problem.strerror or problem)


def _advice(problem: OSError | None, endpoint: str) -> str:
    if isinstance(problem, PermissionError):
        owner = _owner_of(endpoint.removeprefix("ipc://"))
        if owner == "root":
            return "it is root's: use sudo"
        who = owner or "the daemon's user"
        return f"it is {owner}'s: run as {who}, or as root" if owner else f"run as {who}, or as root"
    return "is circusd running, and is this its endpoint?"


def _owner_of(path: str) -> str:
    """The name of whom a path belongs to, or the closed folder above it; empty where that can't be seen."""
    while path not in ("", "/"):
        try:
            return _user_name(os.stat(path).st_uid)
        except OSError:
            path = os.path.dirname(path)
    return ""


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _peer_of(sock: socket.socket) -> str:
    """Who listens at the other end of a unix socket, by name; empty where that is not known."""
    try:
        if sock.family != socket.AF_UNIX or hasattr(sock, "why_ended"):
            return ""
        uid = int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
    except OSError:
        return ""
    return _user_name(uid)
