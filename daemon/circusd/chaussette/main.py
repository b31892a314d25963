"""The program ``chaussette``: the command line of the original, on today's servers."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from circusd.kernel.notify import Notify
from circusd.version import __version__

from . import backends, listening, loading, reloading
from .backends import Backend, NoBackend
from .job import UNDER_WAY, Job

log = logging.getLogger("chaussette")

HELLO = "circusd.chaussette.loading.hello"
GRACEFUL_SECONDS = 30
"""As ``graceful_timeout`` of a watcher: when that is over circusd ends the process anyway."""
BACKLOG = 2048
TRIES, TRY_SECONDS = 100, 0.1
"""How often, and how long apart, the word that it serves is tried to be given."""
LEVELS = ("debug", "info", "warning", "error", "critical")

OK, FAILED, WRONG = 0, 1, 2
"""Exit codes: it was told to stop; it can't serve; the command line can't be right."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    rows = "\n".join(f"  {row.name:16} {row.doc}" for row in backends.BACKENDS if row.module)
    made = argparse.ArgumentParser(
        prog="chaussette",
        description="Serve a WSGI or ASGI application on a listening socket that circusd has opened.",
        epilog=f"backends:\n{rows}\n\nFor example, in circus.ini: cmd = chaussette --fd $(circus.sockets.web) --backend gevent my.app",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=__version__)
    where = made.add_mutually_exclusive_group()
    where.add_argument("--fd", type=int, metavar="N", help="an inherited listening socket")
    where.add_argument(
        "--host",
        default=None,
        metavar="HOST",
        help="where to listen without one: a name, an address, unix:PATH (localhost)",
    )
    made.add_argument("--port", type=int, default=8080, metavar="PORT", help="port of --host (%(default)s)")
    made.add_argument(
        "--backlog", type=int, default=BACKLOG, metavar="N", help="connections that may wait (%(default)s)"
    )
    made.add_argument(
        "--address-family", default="AF_INET", choices=sorted(listening.FAMILIES), help="of --host"
    )
    made.add_argument(
        "--socket-type", default="SOCK_STREAM", choices=sorted(listening.TYPES), help="of --host"
    )
    made.add_argument(
        "--backend",
        default="wsgiref",
        choices=backends.names(),
        metavar="NAME",
        help="the server; see below (%(default)s)",
    )
    made.add_argument(
        "--no-monkey",
        action="store_true",
        help="leave the standard library as it is, with gevent and eventlet",
    )
    made.add_argument(
        "--spawn",
        type=int,
        default=UNDER_WAY,
        metavar="N",
        help="connections that are served at a time (%(default)s)",
    )
    made.add_argument(
        "--graceful-timeout",
        type=float,
        default=GRACEFUL_SECONDS,
        metavar="SECONDS",
        help="for how long requests go on after the signal to stop (%(default)s)",
    )
    made.add_argument(
        "--pre-hook", metavar="NAME", help="a function that is called with the arguments before serving"
    )
    made.add_argument("--post-hook", metavar="NAME", help="a function that is called with them afterwards")
    made.add_argument(
        "--python-path",
        metavar="FOLDERS",
        help="where modules are looked for first; several with : or , between them",
    )
    made.add_argument("--use-reloader", action="store_true", help="start anew when a source file changes")
    made.add_argument(
        "--log-level",
        dest="loglevel",
        type=str.lower,
        default="info",
        choices=LEVELS,
        help="at info each request is a line (%(default)s)",
    )
    made.add_argument(
        "--log-output", dest="logoutput", default="-", metavar="FILE", help="- is standard error"
    )
    made.add_argument(
        "application",
        nargs="?",
        default=HELLO,
        metavar="APP",
        help="the application: package.module.attribute, module:attribute, or paste:FILE",
    )
    made.add_argument(
        "arguments", nargs="*", metavar="ARG", help="for the application, which finds them in sys.argv"
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code says whether that went well."""
    made = parser()
    arguments = made.parse_args(argv)
    environ = dict(os.environ)
    notify = Notify.take(os.environ)
    row = backends.find(arguments.backend)
    try:
        output = _log_to(arguments.logoutput, arguments.loglevel)
        backends.check(row)
        if not arguments.no_monkey:
            _patch(row)
        _set_path(arguments.python_path)
        serve = _serving(arguments, row, output, notify)
    except (NoBackend, loading.NotLoaded, listening.NoSocket, OSError) as problem:
        sys.stderr.write(f"chaussette: {problem}\n")
        return FAILED
    if arguments.use_reloader:
        reloading.watch(environ)
    serve()
    return OK


def _serving(
    arguments: argparse.Namespace, row: Backend, output: TextIO, notify: Notify
) -> Callable[[], None]:
    """All that can fail is done here; what is returned serves."""
    before = loading.load(arguments.pre_hook) if arguments.pre_hook else None
    after = loading.load(arguments.post_hook) if arguments.post_hook else None
    application = loading.load(arguments.application)
    sock = _socket(arguments)
    job = Job(
        application,
        sock,
        arguments.graceful_timeout,
        under_way=max(1, arguments.spawn),
        log=output,
        is_logged=arguments.loglevel in ("debug", "info"),
        ready=lambda: _ready(notify, row, sock),
        name=arguments.application,
        beat=lambda: notify.send(WATCHDOG=1),
        # As sd_watchdog_enabled(3) has it: half of the time that it may take.
        beat_seconds=(notify.watchdog_seconds or 0.0) / 2,
    )
    server = backends.server(row)

    def serve() -> None:
        if before is not None:
            log.info("running the pre-hook %s", arguments.pre_hook)
            before(arguments)
        try:
            server(job)
        except KeyboardInterrupt:
            pass
        finally:
            notify.send(STOPPING=1)
            if after is not None:
                log.info("running the post-hook %s", arguments.post_hook)
                after(arguments)

    return serve


def _ready(notify: Notify, row: Backend, sock: Any) -> None:
    log.info("%s serves at %s", row.name, _place(sock.getsockname()))
    for _ in range(TRIES):
        # Whoever reads may have much to read: unheard, this worker would never count as ready.
        if notify.send(READY=1, STATUS=f"serves by {row.name}"):
            return
        time.sleep(TRY_SECONDS)


def _place(address: Any) -> str:
    if isinstance(address, tuple):
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"http://{host}:{address[1]}"
    return f"unix:{address}"


def _socket(arguments: argparse.Namespace) -> Any:
    fd = arguments.fd
    if fd is None and arguments.host is None:
        fd = listening.from_systemd()
    if fd is not None and fd >= 0:
        return listening.inherited(fd)
    return listening.opened(
        arguments.host or "localhost",
        arguments.port,
        arguments.address_family,
        arguments.socket_type,
        arguments.backlog,
    )


def _log_to(output: str, level: str) -> TextIO:
    stream = sys.stderr if output == "-" else open(output, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s [%(process)d] [%(levelname)s] %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
        stream=stream,
    )
    return stream


def _patch(row: Backend) -> None:
    if row.patches == "gevent":
        from gevent import monkey

        monkey.patch_all()
    elif row.patches == "eventlet":
        import eventlet

        eventlet.monkey_patch()


def _set_path(folders: str | None) -> None:
    # As the original has it: last, so that an application hides nothing.
    sys.path.append(os.getcwd())
    for folder in reversed((folders or "").replace(",", os.pathsep).split(os.pathsep)):
        if folder:
            sys.path.insert(0, os.path.abspath(folder))


if __name__ == "__main__":
    sys.exit(main())
