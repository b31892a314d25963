"""A UDP socket that hears what is sent to a multicast group, and nothing else."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

# Group, local address, interface.
_MEMBERSHIP: Final = struct.Struct("=4s4si")


def listen(group: str, port: int) -> socket.socket:
    """A socket that is in the group on each interface that takes part; not blocking. Raises OSError.

    It is bound to the group's address: what is sent to this machine alone is not heard.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Several daemons of one machine are asked at once.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((group, port))
        # All of them, and not just the first.
        joined = [_join(sock, socket.inet_aton(group), index) for index, _ in socket.if_nameindex()]
        if True not in joined:
            raise OSError(errno.ENODEV, "no interface of this machine takes part in the group")
    except BaseException:
        sock.close()
        raise
    return sock


def _join(sock: socket.socket, group: bytes, interface: int) -> bool:
    try:
        sock.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _MEMBERSHIP.pack(group, bytes(4), interface)
        )
    except OSError:
        # One that is down, has no address, or can't do it.
        return False
    return True
