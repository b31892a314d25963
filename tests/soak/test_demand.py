"""First connections to fresh daemons: each finds nothing running, and is answered."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.faults.measures import report
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(230)]

BLOCKS, DAEMONS = 10, 10
AT_ONCE = 5

SERVE = """
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
s.setblocking(True)
while True:
    c, _ = s.accept()
    c.sendall(str(os.getpid()).encode())
    c.close()
"""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_hundred_first_connections_to_a_hundred_fresh_daemons_are_answered(
    block: int, tmp_path: Path
) -> None:
    """Half of them with several clients at the same moment; none is refused, reset or left without an answer."""
    (tmp_path / "serve.py").write_text(SERVE)
    waits, answers = [], 0
    for n in range(DAEMONS):
        folder = tmp_path / str(n)
        folder.mkdir()
        port = free_port()
        text = (
            f"[watcher:lazy]\ncmd = {sys.executable} -S {tmp_path}/serve.py $(circus.sockets.web)\non_demand = True\n"
            f"numprocesses = {1 + n % 3}\n[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
        )
        with Daemon(text, folder) as daemon:
            assert not daemon.pids("lazy")
            began = time.monotonic()
            clients = [
                socket.create_connection(("127.0.0.1", port), timeout=30)
                for _ in range(AT_ONCE if n % 2 else 1)
            ]
            said = [client.recv(100).decode() for client in clients]
            waits.append(time.monotonic() - began)
            for client in clients:
                client.close()
            assert set(said) <= set(map(str, daemon.pids("lazy")))
            answers += len(said)
    waits.sort()
    report(
        f"block {block}: {DAEMONS} fresh daemons, {answers} first connections, all answered; "
        f"median {waits[DAEMONS // 2] * 1000:.0f} ms, longest {waits[-1] * 1000:.0f} ms"
    )
