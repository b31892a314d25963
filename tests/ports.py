"""A port that stays free until it is used, for programs that have to be told one."""

from __future__ import annotations

import random
import socket

# Below those that the system gives to whoever asks for any: a connection of somebody else could take one of them.
LOWEST, HIGHEST = 20_000, 32_000


def free_port() -> int:
    """A port of the loopback address that nobody listens at, and nobody is given without asking for it."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
