"""``circusd``: reads the configuration, then runs what it says until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from circusd.config.forms import FORMS
from circusd.config.ini import Loaded, load
from circusd.config.problems import Problem
from circusd.schema.errors import CircusError, Conflict
from circusd.version import __version__

EXIT_OK, EXIT_ERROR, EXIT_USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The command line of circusd."""
    p = argparse.ArgumentParser(
        prog="circusd",
        description="Runs and watches the processes of a configuration, and owns their listening sockets.",
        epilog="Signals: TERM, INT and QUIT stop everything in order and end circusd; HUP reloads the processes that run.",
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
        "--name", help="the daemon's name, which tells two daemons of one user apart (default: circus)"
    )
    p.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error", "critical"), help="default: info"
    )
    p.add_argument(
        "--log-output", metavar="OUTPUT", help="- for standard error (default), a file, or syslog://[HOST]"
    )
    p.add_argument("--logger-config", metavar="FILE", help="not yet effective")
    p.add_argument("--daemon", action="store_true", help="go into the background")
    p.add_argument("--pidfile", metavar="FILE", help="a file that holds the pid while circusd runs")
    p.add_argument("--version", action="version", version=__version__)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the run: 0 after an ordered stop, 1 for what was wrong, 2 for a wrong command line."""
    arguments = parser().parse_args(argv)
    if arguments.config is None and arguments.convert:
        parser().error("--convert needs a configuration")
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
    loaded = load(arguments.config, os.environ)
    if arguments.check:
        return check(arguments.config, loaded)
    for problem in loaded.problems:
        print(f"circusd: {problem}", file=sys.stderr)
    if loaded.configuration is None:
        return EXIT_ERROR
    try:
        return _run(arguments, loaded)
    except Conflict as error:
        print(f"circusd: {error}", file=sys.stderr)
        return EXIT_ERROR
    except CircusError as error:
        print(f"circusd: {error}", file=sys.stderr)
        return EXIT_ERROR


def check(path: str, loaded: Loaded) -> int:
    """Every problem is printed; 1 when one of them is an error."""
    for problem in loaded.problems:
        print(problem)
    configuration = loaded.configuration
    if configuration is None:
        errors = sum(_is_error(p) for p in loaded.problems)
        print(f"{path}: {errors} error{'s' if errors != 1 else ''}, it would not be run")
        return EXIT_ERROR
    counts = (
        f"{len(configuration.watchers)} watchers, {len(configuration.sockets)} sockets, "
        f"{len(configuration.plugins)} plugins"
    )
    print(f"{path}: ok, {counts}")
    return EXIT_OK


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


def _run(arguments: argparse.Namespace, loaded: Loaded) -> int:
    configuration = loaded.configuration
    assert configuration is not None
    circus = configuration.circus
    if arguments.daemon:
        from circusd.kernel.daemonize import daemonize

        daemonize()
    # Everything heavy is imported after the configuration was found good: a mistake is told at once.
    from circusd.runtime.daemon import Daemon, Settings
    from circusd.runtime.logs import Log

    log = Log(arguments.log_level or circus.loglevel or "info", arguments.log_output or circus.logoutput)
    try:
        settings = Settings(
            path=os.path.abspath(arguments.config),
            name=arguments.name or circus.name or "circus",
            pidfile=arguments.pidfile or circus.pidfile,
        )
        return Daemon(configuration, settings).run()
    finally:
        log.close()


if __name__ == "__main__":
    sys.exit(main())
