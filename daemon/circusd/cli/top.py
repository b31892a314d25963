"""``circus-top``: what the processes of a daemon take, live in a terminal, or as text and JSON on a pipe."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from circusd.cli.loadfeed import Link, connected, limit_of
from circusd.cli.loads import Process, Source
from circusd.cli.terminal import Style, clean, clean_message, columns, size, span, style_of
from circusd.cli.toprows import ORDER_NAMES, Row, View
from circusd.schema.errors import CircusError, TimedOut
from circusd.version import __version__

_USAGE = "usage: circus-top [options]"
ABOUT = (
    "Shows what the watchers and processes of circusd take, second by second, and restarts, stops, starts and signals them. "
    "On a pipe it prints one table. The key ? lists all keys; q leaves."
)
OPTIONS = (
    ("-e, --endpoint ENDPOINT", "the daemon's endpoint, or one that stats are published at"),
    ("--name NAME", "the name of the daemon, where several run"),
    ("--ssh USER@HOST:PORT", "the daemon of another machine, by ssh and without a password"),
    ("--ssh_keyfile FILE", "the private key for it; otherwise what ssh itself would take"),
    (
        "--key FILE",
        "the key for a daemon on another machine, at --endpoint tcp://HOST:PORT; otherwise that of CIRCUSCTL_KEY",
    ),
    (
        "-b, --batch",
        "print tables, one after the other, and draw nothing; so too when the output is no terminal",
    ),
    ("-n, --iterations NUMBER", "print so many tables and exit; endless with -b, otherwise 1"),
    ("--once", "the same as -b -n 1"),
    ("--json", "print each table as one line of JSON"),
    ("-d, --delay SECONDS", "seconds from one table to the next (default 1, which is the least)"),
    (f"--sort {'|'.join(ORDER_NAMES)}", "what is first (default cpu)"),
    (
        "--process-timeout SECONDS",
        "at an endpoint of stats: how long a process is shown that nothing is heard of (default 3)",
    ),
    ("--no-color", "no colours, as with NO_COLOR in the environment"),
    ("--version", "print the version and exit"),
    ("-h, --help", "print this"),
)
"""Each option as it is given, and what it does: for the help and the manual page."""

HEADER = ("PID", "WID", "STATE", "CPU%", "RSS", "AGE", "NAME")
"""The columns on a pipe. Names, in which there may be spaces, come last; nothing else has any."""

ON_A_PIPE = (
    "A table begins with a line that starts with ``#``. Then come the header and a line for each watcher, which has no PID, and each of "
    "its processes: ``PID``, ``WID`` (the number of the slot), ``STATE``, ``CPU%`` (of one processor), ``RSS``, ``AGE`` and ``NAME``. "
    "What is not known is ``-``. At an endpoint of stats ``MEM%`` stands in place of ``RSS``. An empty line is between two tables."
)
"""What is printed for programs, in words."""

NONE = "-"

_SHORT = {"-e": "--endpoint", "-h": "--help", "-b": "--batch", "-n": "--iterations", "-d": "--delay"}
_FLAGS = ("batch", "once", "json", "no-color", "version", "help")
_WITH_VALUE = (
    "endpoint",
    "name",
    "ssh",
    "ssh_keyfile",
    "key",
    "iterations",
    "delay",
    "sort",
    "process-timeout",
)


class Usage(CircusError):
    """The line could not be read."""

    code = "bad_request"


def main(argv: Sequence[str] | None = None) -> int:
    """Show it until q or the end; returns the exit code."""
    sys.stdout.reconfigure(errors="backslashreplace") if hasattr(sys.stdout, "reconfigure") else None
    try:
        options = _read(sys.argv[1:] if argv is None else argv)
        if options.get("help") or options.get("version"):
            print(_help() if options.get("help") else __version__)
            return 0
        return _run(options)
    except Usage as problem:
        print(f"{_USAGE}\ncircus-top: {clean_message(problem)}", file=sys.stderr)
        return 2
    except CircusError as problem:
        print(f"circus-top: {clean_message(problem)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads any more; nor will anybody read what Python writes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, EOFError):
        return 0


def _help() -> str:
    rows = [f"  {words:<25}  {text}" for words, text in OPTIONS]
    return "\n".join([_USAGE, "", ABOUT, "", "Options:", *rows])


def _run(options: Mapping[str, Any]) -> int:
    style = style_of(sys.stdout, os.environ, no_color=bool(options.get("no-color")))
    # A terminal that can't be drawn on gets what a pipe gets.
    draws = style.terminal and os.environ.get("TERM", "dumb") != "dumb"
    is_batch = any(options.get(name) for name in ("batch", "once", "json", "iterations"))
    link, person = connected(options, os.environ)
    link.source.begin(person)
    if is_batch or not draws:
        return _print(link, options)
    from circusd.cli.toplive import Live

    style.attributes = True
    Live(link, style, sort=options.get("sort", "cpu"), delay=options.get("delay", 1.0)).run()
    return 0


def _print(link: Link, options: Mapping[str, Any]) -> int:
    endless = options.get("batch") and not options.get("once")
    left = options.get("iterations") or (0 if endless else 1)
    sort, source = options.get("sort", "cpu"), link.source
    is_first = True
    for _ in _samples(link, options.get("delay", 1.0)):
        if options.get("json"):
            print(json.dumps(as_data(source, sort)), flush=True)
        else:
            print("\n".join([*([] if is_first else [""]), *plain(source, sort)]), flush=True)
        is_first = False
        left -= 1
        if not left:
            return 0
    return 0


def _samples(link: Link, delay: float) -> Iterator[None]:
    """Each time that something new is to be printed. Raises CircusError, TimedOut where nothing comes."""
    printed = 0.0
    heard = time.monotonic()
    # What comes each second comes a little earlier or later.
    least = max(0.0, delay - 0.2)
    while True:
        message = link.receive()
        now = time.monotonic()
        is_new = link.source.tick() if message is None else link.source.take(*message)
        if not is_new or (message is not None and message[0] == "state."):
            if now - heard > limit_of(link.endpoint):
                raise TimedOut("nothing was measured in time")
            continue
        heard = now
        if now - printed >= least:
            printed = now
            yield


def plain(source: Source, sort: str = "cpu") -> list[str]:
    """A table for a pipe: a line that begins with ``#`` and tells of all, the header, a line for each watcher and process."""
    groups = source.groups
    count = sum(process.pid is not None for group in groups for process in group.processes)
    cpu, mem = sum(group.cpu for group in groups), sum(group.mem for group in groups)
    unit = "" if source.mem_title == "RSS" else " %"
    about = [clean(source.title()), f"up {source.up()}" if source.up() else ""]
    about += [
        f"watchers {len(groups)}",
        f"processes {count}",
        f"CPU {cpu:.1f} %",
        f"memory {_mem(source, mem)}{unit}",
    ]
    rows = []
    for row in View(sort).rows(source, {}):
        one = row.process or row.group
        age = NONE if one.age is None else span(one.age).replace(" ", "")
        pid = wid = NONE
        if row.process is not None:
            pid, wid = str(row.process.pid or NONE), clean(row.process.wid) or NONE
        state = clean(one.state).replace(" ", "_") or NONE
        rows.append([pid, wid, state, f"{one.cpu:.1f}", _mem(source, one.mem), age, _name(row)])
    header = tuple(source.mem_title if title == "RSS" else title for title in HEADER)
    table = columns(rows, Style(), header=header, right=(0, 1, 3, 4, 5), whole=True)
    return ["# " + ", ".join(filter(None, about)), *table, *_sockets(source)]


def _sockets(source: Source) -> list[str]:
    """The sockets with how often they were found readable, where that is told."""
    rows = [(clean(address), clean(reads)) for address, reads in source.sockets]
    return ["", *columns(rows, Style(), header=("SOCKET", "READS"), right=(1,))] if rows else []


def _name(row: Row) -> str:
    told = row.process.note if row.process is not None and not row.process.state else ""
    return clean(row.group.name) + (f" ({clean(told)})" if told else "")


def _mem(source: Source, mem: float) -> str:
    return size(mem).replace(" ", "") if source.mem_title == "RSS" else f"{mem:.1f}"


def as_data(source: Source, sort: str = "cpu") -> dict[str, Any]:
    """What is shown, for a program: CPU in per cent of one processor, memory in bytes (``rss``) or per cent (``mem``)."""
    key = "rss" if source.mem_title == "RSS" else "mem"
    watchers = []
    for row in View(sort).rows(source, {}):
        if row.process is None:
            group = row.group
            told: dict[str, Any] = {"name": group.name, "state": group.state, "note": group.note}
            told |= {"cpu": round(group.cpu, 1), key: _mem_data(group.mem, key), "numprocesses": group.wanted}
            told |= {"restarts": group.restarts, "lines": group.lines, "processes": []}
            watchers.append(told)
        else:
            watchers[-1]["processes"].append(_process_data(row.process, key))
    itself = source.itself()
    daemon = None if itself is None else {"cpu": itself[0], "rss": int(itself[1]), "lag": itself[2]}
    sockets = [{"address": address, "reads": reads} for address, reads in source.sockets]
    return {
        "title": source.title(),
        "time": source.time,
        "daemon": daemon,
        "watchers": watchers,
        "sockets": sockets,
    }


def _mem_data(mem: float, key: str) -> float:
    return int(mem) if key == "rss" else round(mem, 3)


def _process_data(process: Process, key: str) -> dict[str, Any]:
    age = None if process.age is None else round(process.age, 1)
    told = {"wid": process.wid, "pid": process.pid, "state": process.state, "note": process.note}
    return {**told, "cpu": round(process.cpu, 1), key: _mem_data(process.mem, key), "age": age}


def _read(words: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        name = _SHORT.get(name, name)
        if name[:2] == "--" and name[2:] in _FLAGS and not equals:
            options[name[2:]] = True
            continue
        if name[:2] != "--" or name[2:] not in _WITH_VALUE:
            raise Usage(f"unrecognized arguments: {name}", hint="circus-top --help lists the options")
        if not equals and not rest:
            raise Usage(f"{name} needs a value")
        options[name[2:]] = value if equals else rest.pop(0)
    if "ssh_keyfile" in options and "ssh" not in options:
        raise Usage("--ssh_keyfile without --ssh: which machine is it for?")
    if options.get("sort", "cpu") not in ORDER_NAMES:
        raise Usage(f"--sort: {options['sort']!r} is not one of {', '.join(ORDER_NAMES)}")
    for name in ("process-timeout", "delay"):
        if name in options:
            options[name] = _seconds(name, options[name])
    if "iterations" in options:
        text = options["iterations"]
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 1_000_000_000):
            raise Usage(f"--iterations: {text!r} is not a number of tables, 1 or more")
        options["iterations"] = int(text)
    return options


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise Usage(f"--{name} needs a number of seconds, up to a day")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
