"""What the kernel tells of a listening socket: who waits in its queue, what was turned away, how many are connected."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .peer import (
    ANSWER_HEAD,
    ANSWER_TAIL,
    ESTABLISHED,
    HEADER,
    NETLINK_SOCK_DIAG,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    NO_COOKIE,
    REQUEST,
    SOCK_DIAG_BY_FAMILY,
    TUPLE,
)
from .sockets import LISTENING

NLM_F_DUMP: Final = 0x300
NLMSG_DONE: Final = 3
LISTEN: Final = 10
FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING = 4, 5, 8, 9, 11
OPEN: Final = (ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING)
"""One side may have closed its half: the other can go on to send."""

# Family, protocol, padding, states, inode, what is to be told, cookie.
UNIX_REQUEST: Final = struct.Struct("=BBxxLLL8s")
# Family, type, state, padding, inode, cookie.
UNIX_ANSWER: Final = struct.Struct("=BBBxL8s")
ATTRIBUTE: Final = struct.Struct("=HH")
UNIX_DIAG_NAME: Final = 0
UNIX_DIAG_RQLEN: Final = 4
SHOW_NAME: Final = 0x01
SHOW_QUEUE: Final = 0x10

# State and seven bytes more, then 32-bit numbers, of which a listening socket has its queue and its length.
TCP_INFO_BYTES: Final = 104
TCP_INFO_WAITING: Final = 24
SO_MEMINFO: Final = 55
MEMINFO: Final = struct.Struct("=9I")

MOST: Final = 100_000
"""Connections that are counted at most: a table of that size is read in some 50 ms."""

READ_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Queue:
    """What a socket holds at this moment; None where the kernel does not tell it."""

    waiting: int | None
    """Connections that nobody has accepted yet; of a datagram socket, bytes that nobody has read."""
    limit: int | None
    """How many may wait: the backlog, or less where the system allows less."""
    dropped: int | None
    """Connections or datagrams that were turned away since it listens, as the queue was full."""


def queue_of(sock: socket.socket) -> Queue:
    """Of this socket; of one that only keeps its address for those of processes (``SO_REUSEPORT``), of these together.

    Walks tables of the kernel in that case: to be called in a thread.
    """
    memory = _memory(sock)
    dropped = None if memory is None else memory[8]
    if sock.type not in LISTENING:
        return Queue(None if memory is None else memory[0], None, dropped)
    if sock.family == socket.AF_UNIX:
        waiting, limit = _unix_queue(os.fstat(sock.fileno()).st_ino)
        return Queue(waiting, limit, None)
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            rows = list(_tcp_sockets(sock, LISTEN))
            return Queue(sum(row[0] for row in rows), sum(row[1] for row in rows), None)
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        waiting, limit = struct.unpack_from("=II", info, TCP_INFO_WAITING)
    except (OSError, struct.error):
        return Queue(None, None, dropped)
    return Queue(waiting, limit, dropped)


def connections_of(sock: socket.socket) -> int | None:
    """How many accepted connections to its address are open, whoever has them; None where that is not told.

    No more than `MOST` are counted. Walks tables of the kernel: to be called in a thread.
    """
    if sock.type not in LISTENING:
        return None
    try:
        if sock.family == socket.AF_UNIX:
            return sum(1 for _ in _unix_connections(os.fsencode(sock.getsockname())))
        # One without an inode waits in the queue still, or is no process's any more.
        return sum(1 for _, _, inode in _tcp_sockets(sock, *OPEN) if inode)
    except OSError:
        return None


def _memory(sock: socket.socket) -> tuple[int, ...] | None:
    try:
        return MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
    except (OSError, struct.error):
        return None


def _unix_queue(inode: int) -> tuple[int | None, int | None]:
    request = UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0xFFFFFFFF, inode & 0xFFFFFFFF, SHOW_QUEUE, NO_COOKIE)
    try:
        for body in _asked(request, 0):
            attributes = _attributes(body, UNIX_ANSWER.size)
            if UNIX_DIAG_RQLEN in attributes:
                waiting, limit = struct.unpack("=II", attributes[UNIX_DIAG_RQLEN])
                return waiting, limit
    except (OSError, struct.error):
        return None, None
    return None, None


def _unix_connections(path: bytes) -> Iterator[None]:
    request = UNIX_REQUEST.pack(socket.AF_UNIX, 0, 1 << ESTABLISHED, 0, SHOW_NAME, NO_COOKIE)
    # What was accepted has the name of the socket that it came by; the other ends have none.
    for body in _asked(request, NLM_F_DUMP):
        if _attributes(body, UNIX_ANSWER.size).get(UNIX_DIAG_NAME, b"").rstrip(b"\0") == path:
            yield


def _tcp_sockets(sock: socket.socket, *states: int) -> Iterator[tuple[int, int, int]]:
    """Those in these states with the address of this one: what is queued in either direction, and the inode."""
    host, port = sock.getsockname()[:2]
    address = socket.inet_pton(sock.family, str(host).split("%", 1)[0])
    wanted = TUPLE.pack(port, 0, bytes(16), bytes(16), bytes(4), NO_COOKIE)
    request = REQUEST.pack(sock.family, socket.IPPROTO_TCP, 0, sum(1 << state for state in states)) + wanted
    for body in _asked(request, NLM_F_DUMP):
        if len(body) < ANSWER_HEAD.size + TUPLE.size + ANSWER_TAIL.size:
            continue
        (source_port, _, source, *_) = TUPLE.unpack_from(body, ANSWER_HEAD.size)
        _, waiting, limit, _, inode = ANSWER_TAIL.unpack_from(body, ANSWER_HEAD.size + TUPLE.size)
        if source_port == port and (not any(address) or source[: len(address)] == address):
            yield waiting, limit, inode


def _asked(request: bytes, flags: int) -> Iterator[bytes]:
    """The bodies of the kernel's answers, `MOST` at most; raises OSError."""
    header = HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | flags, 1, 0)
    count = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as diag:
        diag.sendto(header + request, (0, 0))
        while True:
            # The kernel answers within the calls that ask: nothing is waited for.
            answer = diag.recv(READ_BYTES, socket.MSG_DONTWAIT)
            at = 0
            while at + HEADER.size <= len(answer):
                size, kind, *_ = HEADER.unpack_from(answer, at)
                if kind == NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", answer, at + HEADER.size)
                    raise OSError(-number or errno.EIO, os.strerror(-number or errno.EIO))
                if kind == NLMSG_DONE or size < HEADER.size or count >= MOST:
                    return
                yield answer[at + HEADER.size : at + size]
                count += 1
                at += (size + 3) & ~3
            if not flags:
                return


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + ATTRIBUTE.size <= len(body):
        size, kind = ATTRIBUTE.unpack_from(body, at)
        if size < ATTRIBUTE.size:
            break
        found[kind] = body[at + ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    return found
