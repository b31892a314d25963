"""The backend ``waitress``: threads, for applications that are not made for an event loop."""

from __future__ import annotations

import time
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server

from .job import FIRST_SECONDS, Job, on_stop

THREADS = 8
LOOP_SECONDS = 1.0
"""How often the loop comes round at the least."""
POLL_SECONDS = 0.2
"""How soon the end of the last request is seen."""


class Channel(HTTPChannel):
    """One connection."""

    asked = False
    """Whether anything has come on it."""

    def received(self, data: bytes) -> bool:
        self.asked = True
        return bool(super().received(data))


def serve(job: Job) -> None:
    """Serve until told to stop; then what is under way is finished, in its time."""
    job.prepare()
    channels: dict[int, Any] = {}
    server: Any = create_server(
        job.application,
        map=channels,
        sockets=[job.listening],
        threads=THREADS,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class = Channel
    told: list[float] = []

    def stop() -> None:
        told.append(time.monotonic())
        # Wakes the loop, which may sleep.
        server.trigger.pull_trigger()

    on_stop(stop)
    job.ready()
    pause = min(LOOP_SECONDS, job.beat_seconds or LOOP_SECONDS)
    while not told:
        job.turn()
        wasyncore.loop(timeout=pause, map=channels, count=1, use_poll=True)
    server.del_channel()
    server.accepting = False
    waited = 0.0
    while waited < job.graceful_timeout and any(
        _is_busy(channel) or (waited < FIRST_SECONDS and not channel.asked)
        for channel in list(server.active_channels.values())
    ):
        job.turn()
        wasyncore.loop(timeout=POLL_SECONDS, map=channels, count=1, use_poll=True)
        waited = time.monotonic() - told[0]
    server.task_dispatcher.shutdown(timeout=0.1)


def _is_busy(channel: Any) -> bool:
    """Whether a request is under way, or an answer not gone out."""
    return bool(channel.requests or channel.total_outbufs_len or getattr(channel, "request", None))
