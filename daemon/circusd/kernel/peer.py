"""Who is at the other end of a connection: the kernel is asked, never the peer."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Final, NamedTuple

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
NLMSG_ERROR: Final = 2
NLM_F_REQUEST: Final = 1
ESTABLISHED: Final = 1
ALL_STATES: Final = 0xFFFFFFFF
NO_COOKIE: Final = b"\xff" * 8

HEADER: Final = struct.Struct("=LHHLL")
# Family, protocol, extensions, padding, states; then who is looked for.
REQUEST: Final = struct.Struct("=BBBxL")
# Both ports in network order, both addresses in 16 bytes each, interface, cookie.
TUPLE: Final = struct.Struct("!HH16s16s4s8s")
# Family, state, timer, retransmissions; the tuple; then expires, both queues, uid, inode.
ANSWER_HEAD: Final = struct.Struct("=BBBB")
ANSWER_TAIL: Final = struct.Struct("=LLLLL")

CREDENTIALS: Final = struct.Struct("=iII")
# Python has no name for it; the same number on all but PA-RISC and SPARC.
SO_PEERGROUPS: Final = 59
# The most that Python asks for: 256 groups.
GROUPS_BYTES: Final = 1024


class Peer(NamedTuple):
    """The process that made the other end of a unix connection, as it was then."""

    pid: int
    uid: int
    gid: int


def peer_of_unix(sock: socket.socket) -> Peer:
    """The peer of a connected unix socket (SO_PEERCRED); pid 0 if it lives in a pid namespace that we can't see."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return Peer(*CREDENTIALS.unpack(data))


def groups_of_unix(sock: socket.socket) -> tuple[int, ...]:
    """The groups beside its main one that the peer of a unix socket had when it connected; none where that can't be known."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_BYTES)
    except OSError:
        # An old kernel, or somebody with more groups than can be asked for.
        return ()
    return struct.unpack(f"={len(data) // 4}I", data)


def uid_of_loopback_peer(sock: socket.socket) -> int | None:
    """The user who owns the other end of a TCP connection within this machine; None where that is not certain.

    Only a row of exactly this connection in state ESTABLISHED counts: a socket that its owner has closed is listed
    with uid 0. None also for peers on other machines or in other network namespaces. Takes some 10 microseconds.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return None
    try:
        remote, local = sock.getpeername(), sock.getsockname()
        # The row wanted is the peer's: its own address is our remote one.
        source, target = _address(remote[0]), _address(local[0])
        return _owner(source, remote[1], target, local[1])
    except (OSError, ValueError):
        return None


def _owner(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address,
    source_port: int,
    target: ipaddress.IPv4Address | ipaddress.IPv6Address,
    target_port: int,
) -> int | None:
    if source.version != target.version:
        return None
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    wanted = TUPLE.pack(
        source_port,
        target_port,
        source.packed.ljust(16, b"\0"),
        target.packed.ljust(16, b"\0"),
        bytes(4),
        NO_COOKIE,
    )
    body = REQUEST.pack(family, socket.IPPROTO_TCP, 0, ALL_STATES) + wanted
    header = HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as diag:
        # The kernel answers within the call that asks: without an answer by now there will be none.
        diag.sendto(header + body, (0, 0))
        answer, sender = diag.recvfrom(1024, socket.MSG_DONTWAIT)
    if sender[0] != 0 or len(answer) < HEADER.size:
        return None
    _, kind, _, _, _ = HEADER.unpack_from(answer)
    if kind != SOCK_DIAG_BY_FAMILY or len(answer) < HEADER.size + 4 + TUPLE.size + ANSWER_TAIL.size:
        return None
    _, state, _, _ = ANSWER_HEAD.unpack_from(answer, HEADER.size)
    ports = struct.unpack_from("!HH", answer, HEADER.size + ANSWER_HEAD.size)
    _, _, _, uid, _ = ANSWER_TAIL.unpack_from(answer, HEADER.size + ANSWER_HEAD.size + TUPLE.size)
    # Without a connection the kernel offers the listening socket of that port: not this connection's owner.
    if state != ESTABLISHED or ports != (source_port, target_port):
        return None
    return int(uid)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.ip_address(text.split("%", 1)[0])
    # A v4 client of a v6 listener: its own socket is a v4 one, and is found as such only.
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
