"""Endpoints as text (``ipc://PATH``, ``tcp://HOST:PORT``) into listening sockets."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

import gevent.socket

from circusd.kernel import sockets
from circusd.schema.errors import ConfigError

BACKLOG: Final = 512
SEND_BUFFER_BYTES: Final = 1 << 18
"""What the kernel keeps toward a TCP peer that does not read; left to itself it grows to megabytes."""

PRIVATE: Final = 0o600
"""The mode of a unix socket that is the daemon's own user's alone."""

PUBLIC: Final = 0o666
"""That of one where others are let in: the peer's credentials decide, not the file."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, not blocking, and the endpoint by which it is reached."""

    sock: socket.socket
    endpoint: str
    beyond: bool
    """Bound to an address that other machines may reach."""
    file: sockets.SocketFile | None = None

    def close(self) -> None:
        """Nobody listens any more, and the socket's file is gone if it is still ours."""
        if self.file is not None:
            sockets.unlink(self.file)
        self.sock.close()


def listen(name: str, endpoint: str, mode: int = PRIVATE) -> Listener:
    """A listening socket for an endpoint; a port of ``0`` or ``*`` is chosen by the system.

    A unix socket's file has that mode, and a file that a dead daemon left is replaced. ``name`` is for errors: ConfigError
    for what can't be, Conflict where somebody listens or something else is in the way. Looks host names up.
    """
    scheme, _, rest = endpoint.partition("://")
    if scheme in ("ipc", "unix") and rest:
        spec = sockets.SocketSpec(name=name, path=rest, umask=0o777 & ~mode, replace=True, backlog=BACKLOG)
        sock = sockets.open_socket(spec)
        return Listener(sock, f"ipc://{rest}", beyond=False, file=sockets.socket_file(sock))
    host, _, port = rest.rpartition(":")
    number = "0" if port == "*" else port
    if scheme != "tcp" or not (number.isascii() and number.isdigit() and int(number) < 65536):
        raise ConfigError(
            [f'{name}: "{endpoint}" is not an endpoint; expected ipc:///path/to/socket or tcp://host:port']
        )
    family, host = _look_up(name, endpoint, host.strip("[]"))
    spec = sockets.SocketSpec(name=name, host=host, port=int(number), family=family, backlog=BACKLOG)
    sock = sockets.open_socket(spec)
    # Inherited by every connection, as TCP_NODELAY is.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return Listener(sock, f"tcp://{sockets.address(sock)}", beyond=not is_loopback(sock.getsockname()[0]))


def _look_up(name: str, endpoint: str, host: str) -> tuple[str, str]:
    if host in ("", "*"):
        return "AF_INET", "0.0.0.0"
    # Its other meaning is ::1, where no client of the original looks.
    host = "127.0.0.1" if host == "localhost" else host
    try:
        family, _, _, _, address = gevent.socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as problem:
        raise ConfigError([f"{name}: the host of {endpoint} is not known: {problem}"]) from None
    return socket.AddressFamily(family).name, str(address[0])


def is_loopback(address: str) -> bool:
    """Whether an IP address means this machine by itself, also as IPv4 inside IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
