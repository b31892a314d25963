"""The program ``circushttpd``: the console and the HTTP API, in a process of their own."""

# Bottle keeps its request in a thread-local: unpatched, greenlets would read each other's. Before anything else is
# imported, and without what would reap the children of others.
from gevent import monkey

monkey.patch_all(subprocess=False, signal=False, os=False)

import argparse  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import pwd  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from circusd.version import __version__  # noqa: E402

from . import app, bridge  # noqa: E402
from .assets import Assets, Templates  # noqa: E402
from .auth import Hosts  # noqa: E402
from .certificate import server_context  # noqa: E402
from .gate import Server  # noqa: E402
from .live import Live  # noqa: E402
from .proxies import Proxies, networks  # noqa: E402

log = logging.getLogger("circushttpd")

STOP_SECONDS = 2.0
"""For how long requests under way may go on when the program is told to end."""

START_SECONDS = 3.0
"""For how long the first connection to circusd is waited for."""

BACKLOG = 128


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="circushttpd",
        description="The web console of circusd. circusd starts it by itself where the configuration says httpd = 1.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--name", default="circus", metavar="NAME", help="name of the daemon, as the addresses show it"
    )
    parser.add_argument("--fd", type=int, metavar="N", help="an inherited listening socket")
    parser.add_argument("--link", type=int, metavar="N", help="an inherited connection to circusd")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (%(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=8080, metavar="PORT", help="port to listen at (%(default)s)"
    )
    parser.add_argument("--endpoint", default="", metavar="ENDPOINT", help="circusd's endpoint for consoles")
    parser.add_argument(
        "--hosts",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name (or several, with commas) by which the console may be asked for; may be repeated",
    )
    parser.add_argument("--prefix", default="", metavar="PATH", help="the path below which the console is")
    parser.add_argument(
        "--certificate", default="", metavar="FILE", help="speak TLS with the certificate in this file"
    )
    parser.add_argument(
        "--key", default="", metavar="FILE", help="its private key, where that is a file of its own"
    )
    parser.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="NETWORK",
        help="an address or network of reverse proxies whose X-Forwarded-… headers count; may be repeated",
    )
    parser.add_argument(
        "--proxy-header", default="", metavar="NAME", help="the header in which they name the person"
    )
    parser.add_argument(
        "--proxy-role-header", default="", metavar="NAME", help="the header in which they name the role"
    )
    parser.add_argument(
        "--user",
        default="",
        metavar="USER",
        help="become this user before the first byte is read from anybody",
    )
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=("debug", "info", "warning", "error"),
        help="how much is told on standard error (%(default)s)",
    )
    return parser


def listener(fd: int | None, host: str, port: int) -> socket.socket:
    """The listening socket: the inherited one, or one of our own. Raises OSError."""
    if fd is None:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    inherited = socket.socket(fileno=fd)
    inherited.set_inheritable(False)
    if not inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OSError(f"descriptor {fd} is no listening socket")
    inherited.setblocking(False)
    return inherited


def link(fd: int) -> socket.socket:
    """The inherited connection. Raises OSError."""
    inherited = socket.socket(fileno=fd)
    inherited.set_inheritable(False)
    if inherited.type != socket.SOCK_STREAM:
        raise OSError(f"descriptor {fd} is no stream socket")
    return inherited


def become(user: str) -> None:
    """This process is that user's from now on, for good, with no further groups.

    Done here and not by whoever starts us: the program may lie in a folder that the user can't enter (root's home).
    Everything that is needed of the disk is in memory by now. Raises OSError.
    """
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise OSError(f"there is no user {user!r}") from None
    os.setgroups([entry.pw_gid])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.chdir("/")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, or until the circusd that has started us is gone."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
        format="%(asctime)s %(name)s [%(levelname)s] %(message)s",
        stream=sys.stderr,
    )
    try:
        listening = listener(arguments.fd, arguments.host, arguments.port)
        if arguments.link is not None:
            daemon = bridge.to_link(arguments.name, link(arguments.link))
        else:
            daemon = bridge.to_endpoint(arguments.name, arguments.endpoint)
    except OSError as problem:
        log.error("circushttpd can't start: %s", problem.strerror or problem)  # noqa: TRY400
        return 1
    try:
        tls = server_context(arguments.certificate, arguments.key) if arguments.certificate else None
        proxies = Proxies(
            networks(arguments.trusted_proxy),
            arguments.prefix.rstrip("/"),
            arguments.proxy_header,
            arguments.proxy_role_header,
        )
    except (OSError, ValueError) as problem:
        log.error("circushttpd can't start: %s", problem)  # noqa: TRY400
        return 1
    names = [name for names in arguments.hosts for name in names.split(",")]
    return serve(listening, daemon, names, proxies, tls, arguments.user)


def serve(
    listening: socket.socket,
    daemon: bridge.Bridge,
    hosts: Sequence[str],
    proxies: Proxies,
    tls: ssl.SSLContext | None = None,
    user: str = "",
) -> int:
    """As `main`, with the sockets in hand."""
    assets = Assets.load()
    if missing := assets.missing():
        log.error("the console is not in this build, only the HTTP API: %s", ", ".join(missing))
    bridges = {daemon.name: daemon}
    live = Live(bridges, app.person_of, assets.version)
    proxies.ask = lambda command, properties, session: daemon.call(command, properties, session=session)
    console = app.Console(bridges, assets, Templates(assets), live, proxies)
    server = Server(
        listening,
        app.application(console),
        hosts=Hosts.of(hosts),
        is_live=Live.is_live,
        admit=live.admit,
        proxies=proxies,
        tls=tls,
    )
    if user:
        try:
            become(user)
        except OSError as problem:
            log.error("circushttpd can't become %s: %s", user, problem.strerror or problem)  # noqa: TRY400
            return 1
    told = Event()
    handlers = [gevent.signal_handler(number, told.set) for number in (signal.SIGTERM, signal.SIGINT)]
    daemon.ended.rawlink(lambda _: told.set())
    # Whoever comes meanwhile waits in the listening socket, and is not told that there is no daemon.
    daemon.up.wait(START_SECONDS)
    server.start()
    log.info("the console listens at %s", server.address)
    told.wait()
    for handler in handlers:
        handler.cancel()
    server.stop_accepting()
    live.close()
    console.places.close()
    server.end(STOP_SECONDS)
    gone = daemon.ended.is_set()
    daemon.close()
    if gone:
        log.warning("circusd is gone; so is its console")
    return 0


if __name__ == "__main__":
    sys.exit(main())
