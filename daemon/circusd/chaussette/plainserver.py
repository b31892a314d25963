"""The backend ``wsgiref``: the standard library's server, one request at a time."""

from __future__ import annotations

import socket
import threading
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from .job import Job, on_stop

POLL_SECONDS = 0.1
"""How soon a stop is seen where nobody connects."""


class Handler(WSGIRequestHandler):
    """One connection with one request."""

    def setup(self) -> None:
        # Accepted sockets inherit nothing of the listening one's being non-blocking on Linux; this says so in Python.
        self.request.settimeout(None)
        super().setup()

    def address_string(self) -> str:
        return self.client_address[0]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        job = self.server.job  # type: ignore[attr-defined]
        if job.is_logged:
            job.log.write(f"{self.address_string()} - - [{self.log_date_time_string()}] {format % args}\n")
            job.log.flush()


class Server(WSGIServer):
    """Around a socket that is there already."""

    def __init__(self, job: Job) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = job.listening
        self.job = job
        name = job.listening.getsockname()
        self.server_name, self.server_port = (
            (name[0], name[1]) if isinstance(name, tuple) else ("localhost", 80)
        )
        self.setup_environ()
        self.set_app(job.application)

    def service_actions(self) -> None:
        """After each look for a connection."""
        self.job.turn()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        # A unix socket's peer has no address.
        return connection, address or ("-", 0)


def serve(job: Job) -> None:
    """Serve until told to stop; the request under way is finished."""
    job.prepare()
    server = Server(job)
    on_stop(lambda: threading.Thread(target=server.shutdown, daemon=True).start())
    job.ready()
    server.serve_forever(POLL_SECONDS)
    server.server_close()
