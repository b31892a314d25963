"""The backend ``eventlet``: eventlet's own server on an inherited socket."""

from __future__ import annotations

import eventlet
import eventlet.wsgi
from eventlet.green import socket
from eventlet.greenio import GreenSocket

from .job import Job, on_stop


def serve(job: Job) -> None:
    """Serve until told to stop; then what is under way is finished, in its time."""
    job.prepare()
    pool = eventlet.GreenPool(job.under_way)
    listening = GreenSocket(job.listening)
    serving = eventlet.spawn(
        eventlet.wsgi.server,
        listening,
        job.application,
        log=job.log,
        log_output=job.is_logged,
        custom_pool=pool,
    )
    # By a socket, as the loop sleeps on after a signal's handler has run.
    told, tell = socket.socketpair()
    on_stop(lambda: tell.send(b"."))
    job.ready()
    job.turn_by(eventlet.spawn_after)
    told.recv(1)
    # eventlet's hub has collected what came together with this. If somebody had just connected, it would wake the server, which
    # no longer waits for that, and it would take this for the end of all requests.
    eventlet.sleep(0)
    # To eventlet's server this is the order to stop: it closes what waits for a request, and waits for its pool.
    serving.kill(KeyboardInterrupt)
    with eventlet.Timeout(job.graceful_timeout, False):
        serving.wait()
