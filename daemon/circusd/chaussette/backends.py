"""The backends: which server serves the application, what it is good for, and what it needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

from .job import Job


class NoBackend(Exception):
    """The backend can't be used here; the text says what to choose or to install."""


class Backend(NamedTuple):
    """One row."""

    name: str
    doc: str
    module: str = ""
    """Where its ``serve`` is, in this package; empty for one that can't be had any more."""
    function: str = "serve"
    library: str = ""
    """What has to be importable for it, where that does not come with this package."""
    package: str = ""
    """What it is installed by."""
    patches: str = ""
    """``gevent`` or ``eventlet``: the standard library is made cooperative first, unless --no-monkey says no."""
    instead: str = ""
    """What to choose where it can't be had."""
    asgi: bool = False


BACKENDS = (
    Backend("wsgiref", "the standard library's: one request at a time, for trying things out", "plainserver"),
    Backend("gevent", "gevent's pywsgi, with an access log", "geventserver", patches="gevent"),
    Backend(
        "fastgevent",
        "the same without an access log and with less work for each request",
        "geventserver",
        "serve_fast",
        patches="gevent",
    ),
    Backend(
        "geventwebsocket",
        "gevent with WebSockets, by gevent-websocket",
        "geventserver",
        "serve_websocket",
        patches="gevent",
    ),
    Backend(
        "waitress",
        "threads; for applications that are not made for gevent",
        "waitressserver",
        library="waitress",
        package="waitress",
        instead="gevent",
    ),
    Backend(
        "eventlet",
        "eventlet's own server",
        "eventletserver",
        library="eventlet",
        package="eventlet",
        patches="eventlet",
        instead="gevent",
    ),
    Backend(
        "uvicorn",
        "ASGI applications",
        "asgiserver",
        library="uvicorn",
        package="uvicorn",
        instead="hypercorn by its own -b fd://N",
        asgi=True,
    ),
    Backend(
        "tornado",
        "Tornado's own server around a WSGI application",
        "tornadoserver",
        library="tornado",
        package="tornado",
        instead="gevent",
    ),
    Backend("meinheld", "was never made for this Python", instead="fastgevent"),
    Backend("bjoern", "was never made for this Python", instead="fastgevent"),
    Backend("geventws4py", "its library is not kept any more", instead="geventwebsocket"),
    Backend("socketio", "its library is not kept any more", instead="geventwebsocket with python-socketio"),
)
"""In the order in which help lists them."""


def names() -> list[str]:
    """What may stand after --backend."""
    return [row.name for row in BACKENDS]


def find(name: str) -> Backend:
    """The row of that name."""
    return next(row for row in BACKENDS if row.name == name)


def check(row: Backend) -> None:
    """Raises `NoBackend` with what to do if it can't be used here."""
    if not row.module:
        raise NoBackend(f"the backend {row.name} {row.doc}: take {row.instead}")
    if row.library:
        try:
            importlib.import_module(row.library)
        except ImportError as problem:
            raise NoBackend(
                f"the backend {row.name} needs the package {row.package}: pip install {row.package}, or take {row.instead} "
                f"({problem})"
            ) from None


def server(row: Backend) -> Callable[[Job], None]:
    """What serves a job."""
    found: Callable[[Job], None] = getattr(
        importlib.import_module(f"{__package__}.{row.module}"), row.function
    )
    return found
