"""``circusd``: reads the configuration, then runs what it says until it is told to stop."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence

from circusd.config.forms import FORMS
from circusd.config.ini import Loaded, load
from circusd.config.problems import Problem
from circusd.config.records import CircusConfig, Configuration
from circusd.kernel import listenfds, signals
from circusd.kernel.daemonize import Report, daemonize
from circusd.kernel.notify import Notify
from circusd.kernel.sockets import from_manager
from circusd.schema.errors import CircusError, ConfigError
from circusd.version import __version__

from .unit import programs, unit

EXIT_OK, EXIT_ERROR, EXIT_USAGE = 0, 1, 2

EPILOG = """\
signals:
  TERM, INT, QUIT  stop everything in order, then end
  HUP              reload the processes that run
  USR1             open the log file again

exit codes:
  0  an ordered stop; with --daemon: circusd runs in the background;
     with --check: the configuration would be run
  1  it could not start, and standard error says why: the configuration, a port
     or file that is taken, another circusd of that name, a folder, a user, the
     log. With --init: a watcher has failed
  2  a wrong flag
"""


def parser() -> argparse.ArgumentParser:
    """The command line of circusd."""
    p = argparse.ArgumentParser(
        prog="circusd",
        description="Runs and watches the processes of a configuration, and owns their listening sockets.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("config", nargs="?", metavar="CONFIG", help="the configuration: an ini, TOML or YAML file")
    p.add_argument(
        "--check", action="store_true", help="only read the configuration, tell every problem, and exit"
    )
    p.add_argument(
        "--convert",
        action="store_true",
        help="only write the configuration in another form, to standard output",
    )
    p.add_argument(
        "--to",
        choices=FORMS,
        help="the form (default: that of --output by its ending, else toml, and ini for a toml file)",
    )
    p.add_argument(
        "-o", "--output", metavar="FILE", help="the file that --convert writes, which must not be there"
    )
    p.add_argument("--force", action="store_true", help="--output may be there, and is replaced")
    p.add_argument(
        "--print-unit",
        action="store_true",
        help="print a unit by which systemd runs this configuration, and exit",
    )
    p.add_argument(
        "--name", help="the daemon's name, which tells two daemons of one user apart (default: circus)"
    )
    p.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error", "critical"), help="default: info"
    )
    p.add_argument(
        "--log-output", metavar="OUTPUT", help="- for standard error (default), a file, or syslog://[HOST]"
    )
    p.add_argument(
        "--logger-config",
        metavar="FILE",
        help="a .ini, .json or .yaml that sets up Python's logging, instead of the two above; or default",
    )
    p.add_argument(
        "--daemon",
        action="store_true",
        help="go into the background; returns when circusd runs there, or has failed",
    )
    p.add_argument(
        "--init",
        action="store_true",
        help="for containers: log to standard error, and end when all watchers have ended by themselves",
    )
    p.add_argument("--pidfile", metavar="FILE", help="a file that holds the pid while circusd runs")
    p.add_argument("--version", action="version", version=__version__)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the run: 0 after an ordered stop, 1 for what was wrong, 2 for a wrong command line."""
    arguments = parser().parse_args(argv)
    if arguments.config and not (arguments.check or arguments.convert or arguments.print_unit):
        # Not for what only reads: there an end with 0 would say that all is well.
        signals.end_at_once()
    if arguments.config is None and arguments.convert:
        parser().error("--convert needs a configuration")
    if arguments.init and arguments.daemon:
        parser().error("--init stays in the foreground, so it can't go with --daemon")
    if arguments.config is None:
        parser().print_usage(sys.stderr)
        print("circusd: name a configuration, such as circus.ini", file=sys.stderr)
        # The original's exit code for this, which start scripts may test.
        return EXIT_OK
    if arguments.convert:
        from .convert import convert_file

        return convert_file(arguments.config, arguments.to, arguments.output, force=arguments.force)
    if arguments.to or arguments.output or arguments.force:
        parser().error("--to, --output and --force go with --convert")
    # Taken before the configuration is read, which may pass on what is in the environment.
    notify = Notify.take(os.environ)
    handed = from_manager(os.environ)
    loaded = load(arguments.config, os.environ)
    if arguments.check:
        return check(arguments.config, loaded)
    for problem in loaded.problems:
        print(f"circusd: {problem}", file=sys.stderr)
    if loaded.configuration is None:
        return EXIT_ERROR
    if arguments.print_unit:
        name = arguments.name or loaded.configuration.circus.name
        print(unit(programs(), os.path.abspath(arguments.config), name), end="")
        return EXIT_OK
    report = daemonize() if arguments.daemon else None
    try:
        return _run(arguments, loaded, notify, handed, report)
    except CircusError as error:
        told = "\n".join(f"circusd: {line}" for line in str(error).splitlines())
        if report is None:
            print(told, file=sys.stderr)
        else:
            report.failed(told)
        return EXIT_ERROR
    except Exception:
        if report is not None:
            report.failed(f"circusd: an error of its own\n{traceback.format_exc()}")
        raise


def check(path: str, loaded: Loaded) -> int:
    """Every problem is printed, also of users and groups that are not there; 1 when one of them is an error."""
    configuration = loaded.configuration
    unknown = [] if configuration is None else _unknown(configuration)
    for problem in (*loaded.problems, *unknown):
        print(problem)
    if configuration is None or unknown:
        errors = sum(_is_error(p) for p in loaded.problems) + len(unknown)
        print(f"{path}: {errors} error{'s' if errors != 1 else ''}, it would not be run")
        return EXIT_ERROR
    counts = (
        f"{len(configuration.watchers)} watchers, {len(configuration.sockets)} sockets, "
        f"{len(configuration.plugins)} plugins"
    )
    print(f"{path}: ok, {counts}")
    return EXIT_OK


def _unknown(configuration: Configuration) -> Sequence[object]:
    """Whom the configuration would let in and can't, as a start or a reload would say it."""
    from circusd.runtime.access import resolve

    try:
        resolve(configuration)
    except ConfigError as error:
        return error.problems
    return []


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


def _run(
    arguments: argparse.Namespace,
    loaded: Loaded,
    notify: Notify,
    handed: Mapping[str, socket.socket],
    report: Report | None,
) -> int:
    configuration = loaded.configuration
    assert configuration is not None
    circus = configuration.circus
    # Before anything is opened that stays open.
    handed = {name: socket.socket(fileno=listenfds.above(sock.detach())) for name, sock in handed.items()}
    listenfds.reserve()
    # Everything heavy is imported after the configuration was found good: a mistake is told at once.
    from circusd.runtime.daemon import Daemon, Settings
    from circusd.runtime.logs import Log

    # The log of a container is what its first process writes.
    output = arguments.log_output or (None if arguments.init else circus.logoutput)
    config = arguments.logger_config or circus.loggerconfig
    log = Log(arguments.log_level or log_level(circus), output, config)
    try:
        settings = Settings(
            path=os.path.abspath(arguments.config),
            name=arguments.name or circus.name or "circus",
            pidfile=arguments.pidfile or circus.pidfile,
            notify=notify,
            handed=handed,
            reopen_log=log.reopen,
            init=arguments.init,
        )
        if report is not None:
            told = whereabouts(output, config)
            settings.runs = lambda: report.runs(told)
        return Daemon(configuration, settings).run()
    finally:
        log.close()


def log_level(circus: CircusConfig) -> str:
    """The least level that is logged, by the configuration."""
    return circus.loglevel or ("debug" if circus.debug else "info")


def whereabouts(output: str | None, config: str | None) -> str:
    """Where the log of a daemon in the background goes, if nobody has said it."""
    if config not in (None, "", "default") or output not in (None, "", "-", "stdout"):
        return ""
    if os.fstat(2).st_rdev == os.stat(os.devnull).st_rdev:
        return "circusd: its log goes nowhere; name a file for it by --log-output or logoutput"
    return "circusd: its log goes to the file that standard error was"


if __name__ == "__main__":
    sys.exit(main())
