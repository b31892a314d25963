"""Clients without keep-alive that ask as fast as they can, and count how each request has ended."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from types import TracebackType

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATIENCE = 30.0


class Clients:
    """So many threads with a connection for each request, from entering until leaving."""

    def __init__(self, port: int, number: int = 16) -> None:
        self.port = port
        self.outcomes: Counter[str] = Counter()
        """``ok``, or what went wrong: ``refused``, ``reset``, ``empty``, ``cut``, ``slow``, ``status NNN``."""
        self.bodies: Counter[bytes] = Counter()
        self.slowest = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(number)]

    @property
    def failed(self) -> dict[str, int]:
        """All outcomes but ``ok``."""
        with self._lock:
            return {outcome: n for outcome, n in self.outcomes.items() if outcome != "ok"}

    @property
    def answered(self) -> int:
        return self.outcomes["ok"]

    def _run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            outcome, body = ask(self.port)
            took = time.monotonic() - began
            with self._lock:
                self.outcomes[outcome] += 1
                self.bodies[body] += outcome == "ok"
                self.slowest = max(self.slowest, took)
            if outcome == "refused":
                # It would be all that this does.
                self._over.wait(0.01)

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE + 5)


def ask(port: int) -> tuple[str, bytes]:
    """How one request on a connection of its own has ended, and the body of the answer."""
    data = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(REQUEST)
            while chunk := sock.recv(65536):
                data += chunk
    except ConnectionRefusedError:
        return "refused", b""
    except (ConnectionResetError, BrokenPipeError):
        return "reset", b""
    except TimeoutError:
        return "slow", b""
    head, end, body = data.partition(b"\r\n\r\n")
    if not data:
        return "empty", b""
    status = head.split(b" ", 2)[1:2]
    if not end or not body:
        return "cut", b""
    return ("ok", body) if status == [b"200"] else (f"status {status}", b"")
