"""The listening socket: inherited from circusd, or one of this process's own."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

FAMILIES = {"AF_INET": socket.AF_INET, "AF_INET6": socket.AF_INET6, "AF_UNIX": socket.AF_UNIX}
TYPES = {
    name: getattr(socket, name)
    for name in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET")
}
UNIX = "unix:"


class NoSocket(Exception):
    """There is nothing to listen at; the text says why and what to do."""


def inherited(fd: int) -> socket.socket:
    """The socket behind a descriptor, whatever its family. Raises `NoSocket`."""
    try:
        found = socket.socket(fileno=fd)
    except OSError as problem:
        raise NoSocket(
            f"descriptor {fd} is no socket ({problem.strerror}): write --fd $(circus.sockets.NAME) and use_sockets = "
            "true, so that circusd hands one over"
        ) from None
    if found.type != socket.SOCK_STREAM or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.detach()
        raise NoSocket(f"nobody can connect to descriptor {fd}: it is no listening stream socket")
    return found


def from_systemd() -> int | None:
    """The first descriptor that a service manager hands over to this very process; None if there is none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not os.environ.get("LISTEN_FDS", "").isdecimal():
        return None
    return 3 if int(os.environ["LISTEN_FDS"]) else None


def opened(host: str, port: int, family: str, kind: str, backlog: int) -> socket.socket:
    """A socket at an address: of a machine, or ``unix:PATH``. Raises `NoSocket`."""
    if TYPES[kind] != socket.SOCK_STREAM:
        raise NoSocket(f"HTTP is not spoken over {kind}: leave out --socket-type")
    if host.startswith(UNIX) or family == "AF_UNIX":
        return _at_path(host.removeprefix(UNIX).removeprefix("//"), backlog)
    is_six = ":" in host or family == "AF_INET6"
    try:
        address = socket.getaddrinfo(
            host or None,
            port,
            socket.AF_INET6 if is_six else socket.AF_INET,
            socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0][4]
        return socket.create_server(
            (str(address[0]), port), family=socket.AF_INET6 if is_six else socket.AF_INET, backlog=backlog
        )
    except OSError as problem:
        hint = ": something listens there already" if problem.errno == errno.EADDRINUSE else ""
        raise NoSocket(f"can't listen at {host}:{port}: {problem.strerror}{hint}") from None


def _at_path(path: str, backlog: int) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # What a process before us has left; anything that is no socket, or still answers, stays.
        if _is_dead_socket(path):
            os.unlink(path)
        server.bind(path)
        server.listen(backlog)
    except OSError as problem:
        server.close()
        raise NoSocket(f"can't listen at {path!r}: {problem.strerror}") from None
    return server


def _is_dead_socket(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except OSError:
        return False
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
