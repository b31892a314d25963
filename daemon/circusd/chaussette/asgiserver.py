"""The backend ``uvicorn``: ASGI applications."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from .job import FIRST_SECONDS, Job, on_stop

POLL_SECONDS = 0.05


class Server(uvicorn.Server):
    """Says when it accepts, and is told to stop by the signals that every backend knows."""

    def __init__(self, config: uvicorn.Config, job: Job) -> None:
        super().__init__(config)
        self._job = job

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._job.ready()
            self._job.turn_by(asyncio.get_running_loop().call_later)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own closes connections on which no request has come yet: those that were just accepted wait for theirs."""
        for server in self.servers:
            server.close()
        for _ in range(int(FIRST_SECONDS / POLL_SECONDS)):
            await asyncio.sleep(POLL_SECONDS)
            if not any(getattr(one, "cycle", one) is None for one in self.server_state.connections):
                break
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Instead of uvicorn's own, which sends itself the signal again and so ends by it."""
        on_stop(self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def serve(job: Job) -> None:
    """Serve until told to stop; then what is under way is finished, in its time. Raises SystemExit if it could not start."""
    job.prepare()
    config = uvicorn.Config(
        job.application,
        access_log=job.is_logged,
        log_level="info" if job.is_logged else "warning",
        timeout_graceful_shutdown=max(1, round(job.graceful_timeout)),
        lifespan="auto",
    )
    server = Server(config, job)
    server.run(sockets=[job.listening])
    if not server.started:
        raise SystemExit(3)
