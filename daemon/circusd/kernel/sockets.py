"""Listening sockets that the daemon opens once and hands to the processes of its watchers."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from circusd.kernel.diagnosis import in_words
from circusd.kernel.files import check_socket_path
from circusd.kernel.peer import peer_of_unix
from circusd.schema.errors import CircusError, ConfigError, Conflict

FAMILIES: Final = ("AF_INET", "AF_INET6", "AF_UNIX")
TYPES: Final = ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET")
LISTENING: Final = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)

# IFNAMSIZ less the byte at the end.
LONGEST_INTERFACE: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSpec:
    """A socket as the options of its section say; family and type by their names, ``proto`` a name or a number.

    ``umask`` (None: the daemon's) and ``owner`` (uid, gid; -1 keeps one) are for the file of a unix socket.
    """

    name: str
    host: str = "localhost"
    port: int = 8080
    path: str | None = None
    family: str = "AF_INET"
    type: str = "SOCK_STREAM"
    proto: str | int | None = None
    backlog: int = 2048
    umask: int | None = None
    owner: tuple[int, int] | None = None
    replace: bool = False
    interface: str | None = None
    so_reuseport: bool = False
    blocking: bool = False


MANAGER_VARIABLES: Final = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
FIRST_OF_MANAGER: Final = 3


def from_manager(environ: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """The sockets that a service manager hands to this very process, by its names for them, as systemd's protocol has it.

    The environment has its variables no more. What is no socket, or was meant for another process, is left alone.
    """
    count, pid, names = (environ.pop(name, "") for name in MANAGER_VARIABLES)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return {}
    found: dict[str, socket.socket] = {}
    told = names.split(":") if names else []
    for number in range(int(count)):
        fd = FIRST_OF_MANAGER + number
        try:
            sock = socket.socket(fileno=fd)
        except OSError:
            continue
        sock.set_inheritable(False)
        name = told[number] if number < len(told) else ""
        # Several of one name, as of one unit with several addresses, are told apart by their numbers.
        found[name if name and name not in found else f"{name}#{number}"] = sock
    return found


def is_meant(sock: socket.socket, spec: SocketSpec) -> bool:
    """Whether that socket is at the address that the spec names: same family, type, port or path."""
    try:
        family, kind, _ = _kind_of(spec)
    except ConfigError:
        return False
    if (sock.family, sock.type) != (family, kind):
        return False
    if family == socket.AF_UNIX:
        return os.path.abspath(_path_of(sock)) == os.path.abspath(spec.path or "")
    return spec.port != 0 and int(sock.getsockname()[1]) == spec.port


class SocketFile(NamedTuple):
    """The file of a unix socket, by its inode: whoever made another file there since owns that one."""

    path: str
    device: int
    inode: int


def open_socket(spec: SocketSpec, beside_old: socket.socket | None = None) -> socket.socket:
    """A socket, bound and listening as the spec says, closed on exec; TCP ones have TCP_NODELAY.

    Accepted connections inherit that option. With ``so_reuseport`` it only holds the address, and takes no connection:
    `beside` makes the ones that do. Raises ConfigError for what can't be, Conflict where somebody else has
    the address, both with a sentence. A host name is looked up: to be called in a thread unless the host is a number.

    ``beside_old`` is one of ours that has the address still: it shares it from now on, until `share` says otherwise.
    """
    try:
        family, kind, proto = _kind_of(spec)
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise ConfigError([f"socket {spec.name}: could not be made: {in_words(error.errno)}"]) from error
    with _or_closed(sock, spec):
        if spec.interface:
            _bind_to_interface(sock, spec)
        if beside_old is not None:
            share(sock, to=True)
            share(beside_old, to=True)
        if family == socket.AF_UNIX:
            _bind_unix(sock, spec)
        else:
            _bind_inet(sock, spec)
        if kind in LISTENING and not spec.so_reuseport:
            sock.listen(spec.backlog)
        if beside_old is not None:
            # Not earlier: who begins to listen is asked once more whether he may have the address.
            share(sock, to=spec.so_reuseport)
        sock.setblocking(spec.blocking)
    return sock


def share(sock: socket.socket, *, to: bool) -> None:
    """Whether others of this user may have its address, too, if they say the same."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, to)


def hold(held: socket.socket) -> bool:
    """Who comes to an address that is only held is not refused, but has to try again, as TCP does by itself; see `release`."""
    if not close_entrance(held, None):
        return False
    held.listen(1)
    return True


def release(held: socket.socket) -> None:
    """The address is only held again."""
    with contextlib.suppress(OSError):
        held.shutdown(socket.SHUT_RD)


def beside(held: socket.socket, spec: SocketSpec) -> socket.socket:
    """A listening socket at the address that another one holds by ``so_reuseport``, for one process; raises Conflict."""
    sock = socket.socket(held.family, held.type, held.proto)
    with _or_closed(sock, spec):
        if spec.interface:
            _bind_to_interface(sock, spec)
        _set_options(sock, spec)
        sock.bind(held.getsockname())
        sock.listen(spec.backlog)
        sock.setblocking(spec.blocking)
    return sock


def again(sock: socket.socket) -> socket.socket:
    """The same socket by a second descriptor; raises OSError.

    Not by its ``dup``, which makes it blocking or not as Python has noted it here: processes that share it have chosen since.
    """
    return socket.socket(fileno=os.dup(sock.fileno()))


SO_ATTACH_FILTER: Final = 26
# A classic BPF program: of what has SYN and not ACK among its flags nothing is taken, of everything else all.
ONLY_WHO_IS_COMING: Final = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


def close_entrance(sock: socket.socket, file: SocketFile | None) -> bool:
    """Nobody new comes into the queue of this listening socket, whoever has it; who is in it or on his way stays.

    Others are not answered by TCP, so that they try again in a second; a unix socket's file is gone. False where that can't
    be done.
    """
    if file is not None:
        return unlink(file)
    if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    import ctypes  # for a moment that most daemons never see

    code = b"".join(struct.pack("=HBBI", *line) for line in ONLY_WHO_IS_COMING)
    kept = ctypes.create_string_buffer(code, len(code))
    try:
        program = struct.pack("@HP", len(ONLY_WHO_IS_COMING), ctypes.addressof(kept))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _or_closed(sock: socket.socket, spec: SocketSpec) -> Iterator[None]:
    """What is done with the socket succeeds, or it is closed and what the system says is told in a sentence."""
    try:
        yield
    except OSError as error:
        sock.close()
        raise _refusal(error, spec) from error
    except BaseException:
        sock.close()
        raise


def is_number(host: str) -> bool:
    """Whether the host is an address, or empty, and so is found without asking anybody."""
    try:
        socket.getaddrinfo(host or None, 0, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return True


def describe(sock: socket.socket) -> dict[str, Any]:
    """Where a socket is bound, as ``listsockets`` shows it: host and port, or path."""
    if sock.family == socket.AF_UNIX:
        return {"path": _path_of(sock)}
    host, port = sock.getsockname()[:2]
    return {"host": host, "port": port}


def address(sock: socket.socket) -> str:
    """Where a socket is bound, for people: 127.0.0.1:8080, [::1]:8080 or a path."""
    if sock.family == socket.AF_UNIX:
        return _path_of(sock)
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


def socket_file(sock: socket.socket) -> SocketFile | None:
    """The file that a socket has just been bound to; None if it is not a unix socket. To be asked right after opening."""
    if sock.family != socket.AF_UNIX:
        return None
    path = os.path.abspath(_path_of(sock))
    status = os.lstat(path)
    return SocketFile(path, status.st_dev, status.st_ino)


def set_mode(file: SocketFile, mode: int) -> None:
    """The socket's file has that mode, if it is still the one that was bound; raises OSError."""
    with _as_bound(file) as path:
        os.chmod(path, mode)


def give_away(file: SocketFile, uid: int) -> None:
    """The socket's file belongs to that user, if it is still the one that was bound; raises OSError."""
    with _as_bound(file) as path:
        os.chown(path, uid, -1)


@contextlib.contextmanager
def _as_bound(file: SocketFile) -> Iterator[str]:
    """A path of exactly the file that was bound; raises OSError if another one has its name.

    By descriptor: whoever may write in the folder could put something else in its place.
    """
    fd = os.open(file.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        is_same = (status.st_dev, status.st_ino) == (file.device, file.inode)
        if not (is_same and stat.S_ISSOCK(status.st_mode) and status.st_nlink == 1):
            raise OSError(errno.ESTALE, "another file is in its place", file.path)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def unlink(file: SocketFile) -> bool:
    """That file is gone, if it is still the same one; False if it was not there or is somebody else's by now."""
    try:
        status = os.lstat(file.path)
        if (status.st_dev, status.st_ino) != (file.device, file.inode):
            return False
        os.unlink(file.path)
    except FileNotFoundError:
        return False
    return True


def is_served(path: str, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether some process has that unix socket open; where that can't be found out, it counts as served."""
    return _server_of(path, kind) is not None


def _server_of(path: str, kind: int) -> int | None:
    """The pid of the process that began to listen at that unix socket, 0 if it isn't known; None if none serves it."""
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        number = probe.connect_ex(path)
        # A file that no socket is bound to refuses. Any other answer (a full backlog, another type) is a live one's.
        if number in (errno.ECONNREFUSED, errno.ENOENT):
            return None
        return peer_of_unix(probe).pid or 0 if not number and kind in LISTENING else 0


def _kind_of(spec: SocketSpec) -> tuple[int, int, int]:
    family = "AF_UNIX" if spec.path else spec.family
    for value, names, option in ((family, FAMILIES, "family"), (spec.type, TYPES, "type")):
        if value not in names:
            raise ConfigError([f'socket {spec.name}: {option} "{value}" is not one of {", ".join(names)}'])
    if spec.so_reuseport and (family == "AF_UNIX" or spec.type != "SOCK_STREAM"):
        raise ConfigError(
            [
                f"socket {spec.name}: so_reuseport is for stream sockets with a host and a port, of which each process gets one"
            ]
        )
    if family == "AF_UNIX" and not spec.path:
        raise ConfigError([f"socket {spec.name}: family AF_UNIX needs a path"])
    proto = spec.proto or 0
    if isinstance(proto, str):
        try:
            proto = int(proto) if proto.isdigit() else socket.getprotobyname(proto)
        except OSError:
            raise ConfigError([f'socket {spec.name}: there is no protocol "{proto}"']) from None
    return int(getattr(socket, family)), int(getattr(socket, spec.type)), proto


def _bind_to_interface(sock: socket.socket, spec: SocketSpec) -> None:
    name = os.fsencode(spec.interface or "")
    if len(name) > LONGEST_INTERFACE:
        raise ConfigError(
            [f'socket {spec.name}: interface "{spec.interface}" is longer than {LONGEST_INTERFACE} bytes']
        )
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name)
    except OSError as error:
        why = "there is no such network interface" if error.errno == errno.ENODEV else in_words(error.errno)
        raise ConfigError(
            [f'socket {spec.name}: could not be bound to interface "{spec.interface}": {why}']
        ) from error


def _set_options(sock: socket.socket, spec: SocketSpec) -> None:
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.proto in (0, socket.IPPROTO_TCP):
            # Two small writes of an answer otherwise wait for the client's delayed acknowledgement, 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if spec.so_reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _bind_inet(sock: socket.socket, spec: SocketSpec) -> None:
    _set_options(sock, spec)
    if not 0 <= spec.port <= 65535:
        raise ConfigError([f"socket {spec.name}: port {spec.port} is not between 0 and 65535"])
    try:
        found = socket.getaddrinfo(
            spec.host or None, spec.port, sock.family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise ConfigError(
            [f'socket {spec.name}: host "{spec.host}" has no address for {spec.family}: {why}']
        ) from error
    sock.bind(found[0][4])


def _bind_unix(sock: socket.socket, spec: SocketSpec) -> None:
    path = spec.path or ""
    try:
        check_socket_path(path)
    except ConfigError as error:
        raise ConfigError([f"socket {spec.name}: {error}"]) from error
    if spec.umask is not None:
        # The file gets the mode of the socket less the process's umask: it is never open wider than it will be, and the
        # umask that all threads share stays as it is.
        os.fchmod(sock.fileno(), 0o777 & ~spec.umask)
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not spec.replace:
            raise
        _remove_stale(path, spec, sock.type)
        sock.bind(path)
    if spec.umask is not None or spec.owner is not None:
        _adjust(path, spec)


def _remove_stale(path: str, spec: SocketSpec, kind: int) -> None:
    status = os.lstat(path)
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError([f"socket {spec.name}: {path} exists and is no socket; it is not replaced"])
    if os.geteuid() not in (0, status.st_uid):
        raise ConfigError([f"socket {spec.name}: {path} belongs to user {status.st_uid}; it is not replaced"])
    if (server := _server_of(path, kind)) is not None:
        who = f" (pid {server})" if server else ""
        raise Conflict(
            f"socket {spec.name}: another process{who} serves {path}",
            hint="stop that one first, or choose another path",
        )
    unlink(SocketFile(path, status.st_dev, status.st_ino))


def _adjust(path: str, spec: SocketSpec) -> None:
    """Owner and mode of the file just made, by a descriptor: in a shared folder the path may already be another's."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
            raise ConfigError([f"socket {spec.name}: {path} was replaced by somebody else while it was made"])
        itself = f"/proc/self/fd/{fd}"
        if spec.owner is not None:
            os.chown(itself, *spec.owner)
        if spec.umask is not None and status.st_mode & 0o777 != (mode := 0o777 & ~spec.umask):
            os.chmod(itself, mode)
    finally:
        os.close(fd)


def _path_of(sock: socket.socket) -> str:
    name = sock.getsockname()
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _refusal(error: OSError, spec: SocketSpec) -> CircusError:
    where = spec.path or f"{spec.host or '*'}:{spec.port}"
    head = f"socket {spec.name}: could not be bound to {where}"
    if error.errno == errno.EADDRINUSE:
        if spec.path:
            return Conflict(
                f"{head}: the file exists",
                hint="remove it, or set replace = true if it may be one that a crash has left",
            )
        return Conflict(
            f"{head}: another process has this address", hint=f"see which: ss -lntup | grep {spec.port}"
        )
    folder = os.path.dirname(spec.path or "") or "."
    why = {
        errno.EADDRNOTAVAIL: "no interface of this machine has this address",
        errno.ENOENT: f"there is no folder {folder}",
        errno.ENOTDIR: f"{folder} is not a folder",
    }.get(error.errno or 0, in_words(error.errno))
    if error.errno == errno.EACCES:
        why = f"may not write to {folder}" if spec.path else f"port {spec.port} is kept for root"
    return ConfigError([f"{head}: {why}"])
