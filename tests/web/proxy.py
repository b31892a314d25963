"""A network between a browser and a console that can lose connections without telling either end."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType


class Proxy:
    """Passes bytes on to a port of this machine, on a port of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silent: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Proxy:
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(10)
        for sock in (self._listening, *self._peers, *self._silent):
            sock.close()
        self._selector.close()

    def lose(self) -> int:
        """Nothing passes on the connections that are open now, and neither end is told; new ones are as before."""
        with self._lock:
            lost = list(self._peers)
            for sock in lost:
                self._selector.unregister(sock)
            self._silent += lost
            self._peers.clear()
        return len(lost)

    def _run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj in self._peers:
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        far = socket.create_connection(("127.0.0.1", self._to))
        for one, other in ((near, far), (far, near)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, sock: socket.socket) -> None:
        peer = self._peers[sock]
        try:
            data = sock.recv(1 << 16)
            if data:
                peer.sendall(data)
                return
        except OSError:
            pass
        for one in (sock, peer):
            del self._peers[one]
            self._selector.unregister(one)
            one.close()
