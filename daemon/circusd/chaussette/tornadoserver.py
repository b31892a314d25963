"""The backend ``tornado``: Tornado's server around a WSGI application, which runs in threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.wsgi import WSGIContainer

from .job import FIRST_SECONDS, STOP_SIGNALS, Job

THREADS = 8
POLL_SECONDS = 0.05


def serve(job: Job) -> None:
    """Serve until told to stop; then what is under way is finished, in its time."""
    job.prepare()
    asyncio.run(_serve(job))


async def _serve(job: Job) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, told.set)
    with ThreadPoolExecutor(THREADS) as threads:
        under_way = 0
        idle = asyncio.Event()
        idle.set()

        class Container(WSGIContainer):
            """Counts what is under way."""

            async def handle_request(self, request):  # type: ignore[no-untyped-def]
                nonlocal under_way
                new.discard(request.connection.stream)
                under_way += 1
                idle.clear()
                try:
                    await super().handle_request(request)
                finally:
                    under_way -= 1
                    if not under_way:
                        idle.set()

        new: WeakSet[IOStream] = WeakSet()

        class Server(HTTPServer):
            """Knows on which connections no request has come yet."""

            def handle_stream(self, stream, address):  # type: ignore[no-untyped-def]
                new.add(stream)
                return super().handle_stream(stream, address)

        server = Server(Container(job.application, threads))
        server.add_sockets([job.listening])
        job.ready()
        job.turn_by(loop.call_later)
        await told.wait()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        server.stop()
        for _ in range(int(FIRST_SECONDS / POLL_SECONDS)):
            await asyncio.sleep(POLL_SECONDS)
            if all(stream.closed() for stream in new):
                break
        try:
            await asyncio.wait_for(idle.wait(), job.graceful_timeout)
            await asyncio.wait_for(server.close_all_connections(), 1)
        except TimeoutError:
            pass
