"""A daemon that answers by a script, on real sockets of libzmq: for tests of clients, before and beside the real one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

Answer = Callable[[dict[str, Any]], "dict[str, Any] | list[dict[str, Any]] | None"]


class ScriptedDaemon:
    """A ROUTER that hands each request to ``answer`` and sends what comes back (None: nothing), in a thread."""

    def __init__(self, endpoint: str, answer: Answer) -> None:
        self.endpoint = endpoint
        self.requests: list[dict[str, Any]] = []
        self._answer = answer
        self._context = zmq.Context()
        self._ready = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="scripted daemon")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(5)

    def stop(self) -> None:
        self._over.set()
        self._thread.join(5)
        self._context.destroy(linger=0)

    def asked(self, command: str) -> list[dict[str, Any]]:
        """Properties of the requests for that command, in their order."""
        return [row.get("properties", {}) for row in list(self.requests) if row["command"] == command]

    def _serve(self) -> None:
        router = self._context.socket(zmq.ROUTER)
        router.bind(self.endpoint)
        if self.endpoint.endswith(":*"):
            self.endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._ready.set()
        while not self._over.is_set():
            if not router.poll(20):
                continue
            peer, *frames = router.recv_multipart()
            request = json.loads(frames[0])
            self.requests.append(request)
            answers = self._answer(request)
            for answer in answers if isinstance(answers, list) else [answers]:
                if answer is not None:
                    filled = {"status": "ok", "time": time.time(), "id": request.get("id"), **answer}
                    router.send_multipart([peer, json.dumps(filled).encode()])
        router.close(0)


@contextmanager
def scripted_daemon(folder: Path, answer: Answer) -> Iterator[ScriptedDaemon]:
    """A running scripted daemon on a unix socket in the folder."""
    daemon = ScriptedDaemon(f"ipc://{folder}/scripted.sock", answer)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
