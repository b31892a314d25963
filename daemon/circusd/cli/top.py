"""``circus-top``: what the processes of a daemon take, live in a terminal or once on a pipe."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from circusd.cli.screen import Screen
from circusd.cli.session import FAR_TIMEOUT, endpoint_of
from circusd.cli.terminal import Style, clean, clean_message, columns, cut, size, span, style_of
from circusd.client import TIMEOUT, Client, Follow, Subscription, subscribe
from circusd.schema.errors import CircusError, ProtocolError, Refused, TimedOut, Unavailable
from circusd.version import __version__

_USAGE = "usage: circus-top [options]"
ABOUT = "Shows the CPU and memory of the processes that circusd runs. Keys: c, m, n sort by CPU, memory or name; q leaves."
OPTIONS = (
    ("-e, --endpoint ENDPOINT", "the daemon's endpoint, or one that stats are published at"),
    ("--name NAME", "the name of the daemon, where several run"),
    ("--ssh USER@HOST:PORT", "the daemon of another machine, by ssh and without a password"),
    ("--ssh_keyfile FILE", "the private key for it; otherwise what ssh itself would take"),
    (
        "--key FILE",
        "the key for a daemon on another machine, at --endpoint tcp://HOST:PORT; otherwise that of CIRCUSCTL_KEY",
    ),
    ("--once", "print one table and exit; so too when the output is no terminal"),
    ("--sort cpu|mem|name", "what is first (default cpu)"),
    (
        "--process-timeout SECONDS",
        "at an endpoint of stats: how long a process is shown that nothing is heard of (default 3)",
    ),
    ("--no-color", "no colours"),
    ("--version", "print the version and exit"),
    ("-h, --help", "print this"),
)
"""Each option as it is given, and what it does: for the help and the manual page."""

_SORTS = {"c": "cpu", "m": "mem", "n": "name"}
_LOOK_SECONDS = 0.2
_GATHER_SECONDS = 1.5
_THERE = ("ssh://", "curve://")
_PLUMBING = ("circusd-stats", "circushttpd")


class Usage(CircusError):
    """The line could not be read."""

    code = "bad_request"


class Row:
    """One process, or one watcher as a whole."""

    def __init__(self, label: str, wid: str, state: str, cpu: float, mem: float, age: float | None) -> None:
        self.label = label
        self.wid = wid
        self.state = state
        self.cpu = cpu
        self.mem = mem
        self.age = age


class DaemonLoad:
    """The daemon's own streams: what runs, and what it takes."""

    mem_title = "RSS"

    def __init__(self, stream: Follow) -> None:
        self._stream = stream
        self._watchers: dict[str, dict[str, Any]] = {}
        self._load: Mapping[str, Any] = {}
        self._daemon: Mapping[str, Any] = {}
        self.ready = False

    def look(self, timeout: float) -> bool:
        """Take what comes within the time; tells whether there is something new to show."""
        try:
            topic, data = self._stream.receive(timeout)
        except TimedOut:
            return False
        if topic == "load.":
            self._load = data
            self.ready = bool(self._daemon)
            return self.ready
        if "snapshot" in data:
            self._daemon = data["snapshot"].get("daemon", {})
            self._watchers = {w["name"].lower(): w for w in data["snapshot"].get("watchers", ())}
        elif "watcher" in data:
            self._watchers[data["watcher"]["name"].lower()] = data["watcher"]
        elif "removed" in data:
            self._watchers.pop(data["removed"].lower(), None)
        return False

    def title(self) -> str:
        """Which daemon, where, and since when."""
        where = f"{self._daemon.get('name', '')} on {self._daemon.get('host', '')}"
        started = self._daemon.get("started")
        up = f", up {span(self._now() - started)}" if started else ""
        return clean(f"{where}{up}")

    def mem_text(self, mem: float) -> str:
        """A memory cell."""
        return size(mem)

    def groups(self) -> list[tuple[Row, list[Row]]]:
        """Each watcher with its processes."""
        loads = {str(name).lower(): load for name, load in self._load.get("watchers", {}).items()}
        groups = []
        for key, watcher in self._watchers.items():
            load = loads.get(key, {})
            processes = load.get("processes", {})
            rows = []
            for process in watcher.get("processes", ()):
                if not process.get("pid"):
                    continue
                cpu, mem = processes.get(str(process["wid"]), (0.0, 0.0))
                started = process.get("started")
                age = self._now() - started if started else None
                rows.append(
                    Row(str(process["pid"]), str(process["wid"]), process["state"], cpu or 0, mem or 0, age)
                )
            status = ", ".join(filter(None, (watcher.get("status"), watcher.get("detail"))))
            whole = Row(watcher["name"], "", status, load.get("cpu") or 0, load.get("rss") or 0, None)
            groups.append((whole, rows))
        return groups

    def extra(self) -> list[list[str]]:
        """Nothing beside the processes."""
        return []

    def _now(self) -> float:
        return float(self._load.get("time") or self._daemon.get("time") or 0)


class PublishedStats:
    """The messages ``stat.…`` of an endpoint that stats are published at, the original's too."""

    mem_title = "MEM%"

    def __init__(self, messages: Subscription, endpoint: str, keep: float) -> None:
        self._messages = messages
        self._endpoint = endpoint.partition("?key=")[0]
        self._keep = keep
        self._stats: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
        self._since = time.monotonic()
        self._drawn = 0.0

    @property
    def ready(self) -> bool:
        """Whether all that is published each second was heard once."""
        return time.monotonic() - self._since > _GATHER_SECONDS

    def look(self, timeout: float) -> bool:
        """As `DaemonLoad.look`."""
        try:
            topic, body = self._messages.receive(timeout)
        except TimedOut:
            return False
        _, _, name = topic.decode("utf-8", "backslashreplace").partition(".")
        watcher, _, part = name.partition(".")
        try:
            stat = json.loads(body)
        except ValueError:
            return False
        now = time.monotonic()
        if isinstance(stat, dict):
            self._stats[watcher, part] = (now, stat)
        for key in [key for key, (seen, _) in self._stats.items() if now - seen > self._keep]:
            del self._stats[key]
        if now - self._drawn < 1:
            return False
        self._drawn = now
        return True

    def title(self) -> str:
        """Where it comes from."""
        return clean(self._endpoint)

    def mem_text(self, mem: float) -> str:
        """A memory cell."""
        return f"{mem:.1f}"

    def groups(self) -> list[tuple[Row, list[Row]]]:
        """As `DaemonLoad.groups`."""
        found: dict[str, tuple[Row, list[Row]]] = {}
        for (watcher, part), (_, stat) in sorted(self._stats.items()):
            if watcher in (*_PLUMBING, "sockets"):
                continue
            whole, rows = found.setdefault(watcher, (Row(watcher, "", "", 0.0, 0.0, None), []))
            if part:
                label = f"{stat.get('pid', part)}" + (f" ({stat['name']})" if stat.get("name") else "")
                row = Row(label, str(stat.get("wid", "")), "", *_three(stat))
                rows.append(row)
                whole.cpu += row.cpu
                whole.mem += row.mem
        return list(found.values())

    def extra(self) -> list[list[str]]:
        """The sockets with how often they were found readable."""
        return [
            [clean(str(stat.get("address"))), str(stat.get("reads"))]
            for (watcher, part), (_, stat) in sorted(self._stats.items())
            if watcher == "sockets" and part
        ]


Source = DaemonLoad | PublishedStats


def table(source: Source, style: Style, *, sort: str = "cpu", height: int = 0) -> list[str]:
    """What is shown, in lines; no more than ``height`` where it is given."""
    groups = source.groups()
    processes = sum(len(rows) for _, rows in groups)
    cpu, mem = sum(whole.cpu for whole, _ in groups), sum(whole.mem for whole, _ in groups)
    head = f"{len(groups)} watchers, {processes} processes, CPU {cpu:.1f} %, memory {source.mem_text(mem)}"
    head += "" if source.mem_title == "RSS" else " %"
    rows, colors = [], []
    for whole, members in sorted(groups, key=lambda group: _key(group[0], sort)):
        for row, is_whole in ((whole, True), *((member, False) for member in _in_order(members, sort))):
            label = clean(row.label) if is_whole else "  " + clean(row.label)
            age = "" if row.age is None else span(row.age)
            rows.append([label, row.wid, clean(row.state), f"{row.cpu:.1f}", source.mem_text(row.mem), age])
            colors.append(["bold" if is_whole else "", "dim", "", _hot(row.cpu), "", "dim"])
    header = ("WATCHER / PID", "WID", "STATE", "CPU%", source.mem_title, "AGE")
    lines = [style.paint(cut(f"{source.title()}: {head}", style.width), "bold")]
    lines += columns(rows, style, header=header, right=(1, 3, 4, 5), colors=colors)
    if source.extra():
        lines += ["", *columns(source.extra(), style, header=("SOCKET", "READS"), right=(1,))]
    if height and len(lines) > height:
        left = len(lines) - height + 1
        lines = [*lines[: height - 1], style.paint(f"… {left} more lines", "dim")]
    return lines


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
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


def _help() -> str:
    rows = [f"  {words:<25}  {text}" for words, text in OPTIONS]
    return "\n".join([_USAGE, "", ABOUT, "", "Options:", *rows])


def _run(options: Mapping[str, Any]) -> int:
    endpoint = endpoint_of(options, os.environ)
    if options.get("endpoint"):
        # Whoever names one may mean the original's endpoint of stats, which is what it takes there.
        try:
            return _show_published(endpoint, options)
        except ProtocolError:
            pass
        except Unavailable as problem:
            if "closed the connection" not in problem.text:
                raise
    with Client(endpoint, timeout=_limit(endpoint)) as client:
        try:
            stream = client.follow(["state.", "load."])
        except Refused as problem:
            if problem.code != "unknown_command":
                raise
            # The original's daemon: it has another program publish what it measures.
            published = client.call("globaloptions", {"option": "stats_endpoint"})["options"]
            return _show_published(_beside(str(published["stats_endpoint"]), endpoint), options)
        with stream:
            return _show(DaemonLoad(stream), options)


def _limit(endpoint: str) -> float:
    return FAR_TIMEOUT if endpoint.startswith(_THERE) else TIMEOUT


def _beside(told: str, reached: str) -> str:
    if reached.startswith(_THERE):
        from circusd.cli.remote import beside

        return beside(reached, told)
    return told


def _show_published(endpoint: str, options: Mapping[str, Any]) -> int:
    with subscribe(endpoint, ["stat."], _limit(endpoint)) as messages:
        keep = float(options.get("process-timeout", 3))
        return _show(PublishedStats(messages, endpoint, keep), options)


def _show(source: Source, options: Mapping[str, Any]) -> int:
    sort = options.get("sort", "cpu")
    style = style_of(sys.stdout, os.environ, no_color=bool(options.get("no-color")))
    # A terminal that can't be drawn on gets what a pipe gets.
    if options.get("once") or not style.terminal or os.environ.get("TERM", "dumb") == "dumb":
        deadline = time.monotonic() + TIMEOUT
        while not source.ready:
            source.look(_LOOK_SECONDS)
            if time.monotonic() > deadline:
                raise TimedOut("nothing was measured in time")
        print("\n".join(table(source, style, sort=sort)))
        return 0
    with Screen() as screen:
        screen.draw([style.paint("waiting for the first figures …", "dim")])
        while True:
            is_new = source.look(_LOOK_SECONDS)
            key = screen.key()
            if key in ("q", "Q", "\x1b"):
                return 0
            sort = _SORTS.get(key, sort)
            if source.ready and (is_new or key):
                style.width = screen.size.columns
                screen.draw(table(source, style, sort=sort, height=screen.size.lines))


def _read(words: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    rest = list(words)
    short = {"-e": "--endpoint", "-h": "--help"}
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        name = short.get(name, name)
        if name in ("--once", "--no-color", "--version", "--help") and not equals:
            options[name[2:]] = True
            continue
        if name not in (
            "--endpoint",
            "--name",
            "--sort",
            "--process-timeout",
            "--ssh",
            "--ssh_keyfile",
            "--key",
        ):
            raise Usage(f"unrecognized arguments: {name}", hint="circus-top --help lists the options")
        if not equals and not rest:
            raise Usage(f"{name} needs a value")
        options[name[2:]] = value if equals else rest.pop(0)
    if "ssh_keyfile" in options and "ssh" not in options:
        raise Usage("--ssh_keyfile without --ssh: which machine is it for?")
    if options.get("sort", "cpu") not in _SORTS.values():
        raise Usage(f"--sort: {options['sort']!r} is not one of cpu, mem, name")
    try:
        float(options.get("process-timeout", 3))
    except ValueError:
        raise Usage("--process-timeout needs a number of seconds") from None
    return options


def _three(stat: Mapping[str, Any]) -> tuple[float, float, float | None]:
    """CPU, memory and age; what could not be measured is published as "N/A"."""
    cpu, mem, age = (stat.get(key) for key in ("cpu", "mem", "age"))
    return (
        cpu if isinstance(cpu, int | float) else 0.0,
        mem if isinstance(mem, int | float) else 0.0,
        age if isinstance(age, int | float) else None,
    )


def _key(row: Row, sort: str) -> tuple[float, str]:
    return (-row.cpu if sort == "cpu" else -row.mem if sort == "mem" else 0.0, row.label.lower())


def _in_order(rows: Sequence[Row], sort: str) -> list[Row]:
    return sorted(rows, key=lambda row: _key(row, sort))


def _hot(cpu: float) -> str:
    return "red" if cpu >= 90 else "yellow" if cpu >= 50 else ""


if __name__ == "__main__":
    sys.exit(main())
