"""The far side of ``--ssh``: standard input and output are joined to an endpoint of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

from circusd.client import TIMEOUT, raw_connection
from circusd.schema.errors import BadRequest

_CHUNK_BYTES = 1 << 16


def join(endpoint: str, timeout: float = TIMEOUT) -> int:
    """Bytes go both ways until the daemon ends the connection, or nobody reads any more; 0. Raises Unavailable.

    An endpoint of yet another machine is refused: two that name each other would go back and forth without end.
    """
    if endpoint.startswith("ssh://"):
        raise BadRequest(
            f"{endpoint} is on another machine", hint="name that one with --ssh in the first place"
        )
    with raw_connection(endpoint, timeout) as sock:
        sock.settimeout(None)
        # A thread for each way: neither waits for the other. It never holds the program up at its end.
        threading.Thread(target=_send, args=(sock,), daemon=True).start()
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            while data := sock.recv(_CHUNK_BYTES):
                _write(sys.stdout.fileno(), data)
    return 0


def _send(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
            sock.sendall(data)
    # The daemon sees the end, and ends its side.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
