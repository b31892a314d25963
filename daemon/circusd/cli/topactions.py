"""What can be done in ``circus-top``: which command that is, what is asked before, and how its end is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from circusd.cli.toprows import Row
from circusd.schema.commands import find, reaches
from circusd.schema.errors import CircusError

SIGNAL_WORDS = {
    "TERM": "asks it to end",
    "HUP": "reads its files anew, with most servers",
    "INT": "as Ctrl-C",
    "QUIT": "ends it, with a core dump if that is allowed",
    "KILL": "ends it at once; it can do nothing any more",
    "USR1": "what the program makes of it",
    "USR2": "what the program makes of it",
    "STOP": "stands still until CONT",
    "CONT": "goes on",
    "WINCH": "ends workers, with some servers",
    "ABRT": "ends it with a core dump",
    "ALRM": "a timer is over",
    "TTIN": "one worker more, with some servers",
    "TTOU": "one worker less, with some servers",
    "CHLD": "a child has ended",
    "PIPE": "nobody reads any more",
    "TRAP": "a stop for a debugger",
    "URG": "urgent data",
}
"""Signals that people send, by their short names, with what comes of them."""


class Deed(NamedTuple):
    """One thing to be done to what a row shows."""

    command: str
    properties: Mapping[str, Any]
    what: str
    """In words, such as ``restart web``."""
    question: str = ""
    """Asked before; empty where nothing is lost."""


class Action(NamedTuple):
    """A key with what it does to the selected row."""

    key: str
    name: str
    deed: Callable[[Row], Deed | str]
    """What is to be done; or, as text, why that can't be done to such a row."""
    commands: tuple[str, ...]
    many: str
    """The question for several, where ``{}`` says how many."""
    ends: bool = False
    """Processes end by it."""


def is_allowed(action: Action, role: str) -> bool:
    """Whether somebody of that role may; where the role is not known, the daemon decides."""
    return not role or all(reaches(role, needed_role(command)) for command in action.commands)


def needed_role(command: str) -> str:
    """The role that the command is for."""
    row = find(command)
    return row.role if row is not None else "admin"


def result_of(deed: Deed, reply: Mapping[str, Any]) -> str:
    """What came of it, in a line."""
    told = [f"{count} {key}" for key, count in counts_of(reply).items()]
    number = reply.get("numprocesses")
    told += [f"{number} wanted now"] if isinstance(number, int) else []
    return f"{deed.what}: {', '.join(told) or 'done'}"


def counts_of(reply: Mapping[str, Any]) -> dict[str, int]:
    """How many processes were started, stopped and so on."""
    found = reply.get("info")
    reply = found if isinstance(found, Mapping) else reply
    pids = {key: reply.get(key) for key in ("started", "stopped", "kept", "abandoned", "frozen", "thawed")}
    return {key: len(some) for key, some in pids.items() if isinstance(some, list) and some}


def failure_of(deed: Deed, problem: CircusError) -> str:
    """Why nothing, or not all, came of it."""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{deed.what}: {problem.text}{hint}"


def signal_deed(row: Row, name: str) -> Deed:
    """That signal for what the row shows."""
    properties: dict[str, Any] = {**_named(row), "signum": name}
    if row.process is not None:
        properties["pid"] = row.process.pid
    if row.below is not None:
        properties["childpid"] = row.below.get("pid")
    return Deed("signal", properties, f"SIG{name} to {what_of(row)}")


def what_of(row: Row) -> str:
    """What a row shows, in words."""
    name = row.group.name
    if row.below is not None:
        return f"pid {row.below.get('pid')} below {name}"
    if row.process is None:
        return name
    slot = f"{name} {row.process.wid}".rstrip()
    return f"{slot} (pid {row.process.pid})"


def running(row: Row) -> int:
    """How many processes of the watcher run."""
    return sum(process.pid is not None for process in row.group.processes)


def _named(row: Row) -> dict[str, Any]:
    # What stands in a name is never a pattern here.
    return {"name": row.group.name, "match": "simple"}


def _processes(count: int) -> str:
    return f"{count} process" if count == 1 else f"{count} processes"


def _restart(row: Row) -> Deed | str:
    if row.below is not None:
        return "what a process has started is not restarted by circusd: choose the process above it"
    if row.process is None:
        question = (
            f"Restart {row.group.name}? {_processes(running(row))} will be stopped, then started again."
        )
        return Deed("restart", _named(row), f"restart {row.group.name}", question if running(row) else "")
    if row.process.pid is None:
        return f"process {row.process.wid} of {row.group.name} does not run"
    question = f"Restart {what_of(row)}? It will be stopped, and another is started in its place."
    properties = {**_named(row), "pid": row.process.pid}
    return Deed("kill", properties, f"restart {what_of(row)}", question)


def _stop(row: Row) -> Deed | str:
    if row.process is not None:
        return f"circusd would start it again: stop {row.group.name} as a whole, or send a signal"
    if not running(row) and row.group.state == "stopped":
        return f"{row.group.name} is stopped already"
    count = running(row)
    ends = f"{_processes(count)} will be stopped, and stay so" if count else "it will not be tried again"
    question = f"Stop {row.group.name}? {ends[:1].upper()}{ends[1:]}."
    return Deed("stop", _named(row), f"stop {row.group.name}", question)


def _start(row: Row) -> Deed | str:
    return Deed("start", _named(row), f"start {row.group.name}")


def _signal(row: Row) -> Deed | str:
    if row.process is not None and row.process.pid is None:
        return f"process {row.process.wid} of {row.group.name} does not run"
    if not running(row):
        return f"nothing of {row.group.name} runs"
    return signal_deed(row, "TERM")


def _freeze(row: Row) -> Deed | str:
    if row.below is not None:
        return "processes are frozen with all below them: choose the process above it"
    slots = row.group.processes if row.process is None else [row.process]
    frozen = [slot for slot in slots if slot.state == "frozen"]
    there = [slot for slot in slots if slot.pid is not None]
    if not there:
        return f"nothing of {what_of(row)} runs"
    properties = _named(row) if row.process is None else {**_named(row), "pid": row.process.pid}
    if frozen:
        return Deed("thaw", properties, f"thaw {what_of(row)}")
    question = f"Freeze {what_of(row)}? {_processes(len(there))} will stand still until thawed."
    return Deed("freeze", properties, f"freeze {what_of(row)}", question)


def _incr(row: Row) -> Deed | str:
    return Deed("incr", _named(row), f"one process more of {row.group.name}")


def _decr(row: Row) -> Deed | str:
    name, wanted = row.group.name, row.group.wanted
    if wanted is not None and wanted < 1:
        return f"{name} is to have no process already"
    now = f" It is to have {_processes(wanted - 1)} then." if wanted is not None else ""
    what = f"one process fewer of {name}"
    ends = "The oldest one is stopped."
    question = f"One process fewer of {name}? {ends}{now}" if running(row) else ""
    return Deed("decr", _named(row), what, question)


RESTART = Action("r", "restart", _restart, ("restart", "kill"), "Restart {}", ends=True)
STOP = Action("x", "stop", _stop, ("stop",), "Stop {}", ends=True)
START = Action("s", "start", _start, ("start",), "Start {}")
SIGNAL = Action("k", "signal", _signal, ("signal",), "Send a signal to {}")
INCR = Action("+", "more", _incr, ("incr",), "One process more for {}")
DECR = Action("-", "fewer", _decr, ("decr",), "One process fewer for {}")
FREEZE = Action("z", "freeze", _freeze, ("freeze", "thaw"), "Freeze or thaw {}")
ACTIONS = (RESTART, STOP, START, SIGNAL, FREEZE, INCR, DECR)
