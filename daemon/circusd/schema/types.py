"""The types of option values, one row each: readers, writer, words for a message, form element.

The readers are in `values`; they raise ``ValueError`` with words that stand after the quoted value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .need_values import format_needs, json_needs, read_needs
from .probe_values import read_alive, read_ready
from .syslog_values import SYSLOG_FACILITIES, SYSLOG_SEVERITIES, read_syslog_address
from .values import (
    NO,
    SIGNALS,
    YES,
    format_args,
    format_bytes,
    format_cpus,
    format_env,
    format_hook,
    format_io_priority,
    format_ladder,
    format_number,
    format_statuses,
    format_words,
    json_args,
    json_bool,
    json_cpus,
    json_env,
    json_hook,
    json_io_priority,
    json_ladder,
    json_limit,
    json_octal,
    json_seconds,
    json_signal,
    json_statuses,
    json_text,
    json_user,
    json_whole,
    json_words,
    read_bool,
    read_bytes,
    read_cpus,
    read_dotted,
    read_endpoint,
    read_env,
    read_filled,
    read_hook,
    read_io_priority,
    read_ladder,
    read_limit,
    read_octal,
    read_paths,
    read_seconds,
    read_signal,
    read_statuses,
    read_text,
    read_user,
    read_whole,
    read_words,
    signal_name,
)
from .web_values import json_networks, read_header, read_networks, read_prefix


@dataclass(frozen=True, slots=True)
class ValueType:
    """One type of value."""

    name: str
    widget: str
    """Form element: text number switch select textarea duration bytes signal user path env command."""
    expected: str
    """What is expected, in words that follow "expected"."""
    parse: Callable[[str], Any]
    """The value of a text; raises ValueError with words."""
    from_json: Callable[[Any], Any]
    """The value of JSON data, the value itself or its text; raises ValueError with words."""
    format: Callable[[Any], str]
    """The text that `parse` reads as that value."""
    choices: tuple[str, ...] = ()
    """The names that may be given, where they can be listed."""
    is_told_as_text: bool = False
    """Whether a reply has the value as that text, and not as JSON data of its own."""


def _choice(name: str, choices: tuple[str, ...], shape: Callable[[str], str] = str) -> ValueType:
    def parse(text: str) -> str:
        word = shape(text.strip())
        if word not in choices:
            raise ValueError("is none of them")
        return word

    return ValueType(name, "select", "one of " + ", ".join(choices), parse, json_text(parse), str, choices)


def _socket_word(prefix: str) -> Callable[[str], str]:
    return lambda word: word.upper() if word.upper().startswith(prefix) else prefix + word.upper()


def _number_type(name: str, expected: str, parse: Callable[[str], int]) -> ValueType:
    return ValueType(name, "number", expected, parse, json_whole(parse), format_number)


TEXT = ValueType("text", "text", "a text", read_text, json_text(read_text), str)
NAME = ValueType("name", "text", "a text that is not empty", read_filled, json_text(read_filled), str)
COMMAND = ValueType("command", "command", "a command line", read_filled, json_text(read_filled), str)
ARGS = ValueType("args", "command", "arguments, as a text or a list", read_text, json_args, format_args)
PATH = ValueType("path", "path", "a path", read_filled, json_text(read_filled), str)
PATHS = ValueType(
    "paths", "text", "paths with spaces between them", read_paths, json_words(read_paths), format_words
)
WORDS = ValueType(
    "words",
    "text",
    "words with spaces or commas between them",
    read_words,
    json_words(read_words),
    format_words,
)
NETWORKS = ValueType(
    "networks",
    "text",
    "addresses and networks such as 127.0.0.1, 10.0.0.0/8 or fd00::/8, with spaces or commas between them",
    read_networks,
    json_networks,
    format_words,
)
HEADER = ValueType(
    "header",
    "text",
    "the name of an HTTP header, such as X-Forwarded-User",
    read_header,
    json_text(read_header),
    str,
)
PREFIX = ValueType(
    "prefix",
    "text",
    "a path such as /tools/circus, without a slash at its end",
    read_prefix,
    json_text(read_prefix),
    str,
)
BOOL = ValueType(
    "boolean",
    "switch",
    "yes, true, on, 1 or no, false, off, 0",
    read_bool,
    json_bool,
    lambda v: "true" if v else "false",
    (*YES, *NO),
)
NUMBER = _number_type("number", "a whole number", read_whole())
COUNT = _number_type("count", "a whole number, 0 or more", read_whole(0))
MOST_PROCESSES = 10_000
"""Of one watcher: more than a machine has room for, and little enough to be planned for at once."""
PROCESSES = _number_type("processes", f"a whole number, 0 to {MOST_PROCESSES}", read_whole(0, MOST_PROCESSES))
RETRIES = _number_type("retries", "a whole number, or -1 for no limit", read_whole(-1))
TIMES = _number_type("times", "a whole number, 1 to 1000", read_whole(1, 1000))
STARTS = _number_type("starts", "a whole number, 0 to 1000", read_whole(0, 1000))
NICE = _number_type("nice value", "a whole number, -20 to 19", read_whole(-20, 19))
OOM_SCORE = _number_type("score", "a whole number, -1000 to 1000", read_whole(-1000, 1000))
PORT = _number_type("port", "a port, 0 to 65535", read_whole(0, 65535))
SECONDS = ValueType(
    "seconds",
    "duration",
    "a number of seconds, such as 30, 0.5 or 2m",
    read_seconds,
    json_seconds,
    format_number,
)
BYTES = ValueType(
    "bytes",
    "bytes",
    "a number of bytes, such as 65536, 512K or 10M",
    read_bytes,
    json_whole(read_bytes),
    format_bytes,
)
SIGNAL = ValueType(
    "signal",
    "signal",
    "a signal's name or number, such as TERM, SIGQUIT, 15 or SIGRTMIN+1",
    read_signal,
    json_signal,
    signal_name,
    tuple(SIGNALS),
)
USER = ValueType("user", "user", "a user's name or number", read_user, json_user, str)
GROUP = ValueType("group", "user", "a group's name or number", read_user, json_user, str)
ENV = ValueType(
    "env", "env", "variables, as an object or as NAME=VALUE,NAME2=VALUE2", read_env, json_env, format_env
)
ENDPOINT = ValueType(
    "endpoint", "text", "tcp://HOST:PORT or ipc://PATH", read_endpoint, json_text(read_endpoint), str
)
OCTAL = ValueType(
    "octal", "text", "an octal number, such as 022", read_octal, json_octal, lambda v: f"{v:03o}"
)
DOTTED = ValueType(
    "dotted", "text", "a dotted path, such as package.module.Class", read_dotted, json_text(read_dotted), str
)
HOOK = ValueType(
    "hook",
    "text",
    "a dotted path, and after a comma true to ignore its failures",
    read_hook,
    json_hook,
    format_hook,
)
READY = ValueType(
    "readiness",
    "text",
    "auto, started, notify, log:TEXT, fd:NUMBER, or where to look: http://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH, exec:COMMAND",
    read_ready,
    json_text(read_ready),
    str,
)
ALIVE = ValueType(
    "liveness",
    "text",
    "where to look: http://HOST:PORT/PATH, tcp://HOST:PORT, unix:PATH, exec:COMMAND, or nothing",
    read_alive,
    json_text(read_alive),
    str,
)
LIMIT = ValueType(
    "limit",
    "number",
    "a whole number, or nothing for no limit",
    read_limit,
    json_limit,
    lambda v: "" if v is None else str(v),
)
LEVEL = _choice(
    "level",
    ("debug", "info", "warning", "error", "critical"),
    lambda word: "warning" if word.lower() == "warn" else word.lower(),
)
EVENT_LEVEL = _choice("event level", ("info", "warning", "error"), str.lower)
SCHEDULE = ValueType(
    "schedule",
    "text",
    "minute hour day-of-month month day-of-week, such as 0 3 * * 1-5, or @daily",
    read_text,
    json_text(read_text),
    str,
    ("@hourly", "@daily", "@weekly", "@monthly", "@yearly"),
)
ZONE = ValueType(
    "time zone", "text", "a name such as Europe/Berlin or UTC", read_text, json_text(read_text), str
)
OVERLAP = _choice("overlap", ("skip", "queue", "replace"), str.lower)
OVERFLOW = _choice("overflow", ("drop_oldest", "drop_newest", "block"), str.lower)
FAMILY = _choice("family", ("AF_INET", "AF_INET6", "AF_UNIX"), _socket_word("AF_"))
SOCKET_TYPE = _choice(
    "socket type",
    ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET"),
    _socket_word("SOCK_"),
)
NEEDS = ValueType(
    "dependencies",
    "text",
    "names of watchers with spaces or commas between them, each with a colon and started, ready, healthy, completed or "
    "completed_successfully behind it where it is not ready; tcp://HOST:PORT, http://HOST:PORT/PATH or unix:/PATH for what is no watcher",
    read_needs,
    json_needs,
    format_needs,
    is_told_as_text=True,
)
CPUS = ValueType(
    "processors",
    "text",
    "numbers of processors such as 0, 2 or 0-3, with spaces or commas between them",
    read_cpus,
    json_cpus,
    format_cpus,
    is_told_as_text=True,
)
IO_PRIORITY = ValueType(
    "input-output priority",
    "text",
    "idle, best-effort with a level of 0 to 7, or realtime with one",
    read_io_priority,
    json_io_priority,
    format_io_priority,
    is_told_as_text=True,
)
RESPAWN_ON = _choice("occasion", ("exit", "failure"), str.lower)
WATCH_ACTION = _choice("watch action", ("auto", "restart", "reload"), str.lower)
STATUSES = ValueType(
    "statuses",
    "text",
    "exit codes of 0 to 255 and names of signals, with spaces or commas between them",
    read_statuses,
    json_statuses,
    format_statuses,
    is_told_as_text=True,
)
LADDER = ValueType(
    "ladder",
    "text",
    "signals with seconds after each, such as QUIT 30, TERM 5",
    read_ladder,
    json_ladder,
    format_ladder,
    is_told_as_text=True,
)
COLOR = _choice("color", ("red", "green", "yellow", "blue", "magenta", "cyan", "white"), str.lower)
ROTATE_WHEN = _choice(
    "rotation time", ("S", "M", "H", "D", "MIDNIGHT", "W0", "W1", "W2", "W3", "W4", "W5", "W6"), str.upper
)
COMPRESSION = _choice("compression", ("none", "gz"), str.lower)
SYSLOG_FORM = _choice("syslog form", ("rfc5424", "rfc3164"), str.lower)
SYSLOG_FACILITY = _choice("syslog facility", tuple(SYSLOG_FACILITIES), str.lower)
SYSLOG_SEVERITY = _choice("syslog severity", SYSLOG_SEVERITIES, str.lower)
SYSLOG_ADDRESS = ValueType(
    "syslog address",
    "text",
    "the path of a socket, udp://HOST:PORT or tcp://HOST:PORT",
    read_syslog_address,
    json_text(read_syslog_address),
    str,
)

TYPES: tuple[ValueType, ...] = (
    TEXT,
    NAME,
    COMMAND,
    ARGS,
    PATH,
    PATHS,
    WORDS,
    NETWORKS,
    HEADER,
    PREFIX,
    BOOL,
    NUMBER,
    COUNT,
    RETRIES,
    STARTS,
    TIMES,
    NICE,
    OOM_SCORE,
    PORT,
    SECONDS,
    BYTES,
    SIGNAL,
    USER,
    GROUP,
    ENV,
    ENDPOINT,
    OCTAL,
    DOTTED,
    HOOK,
    READY,
    ALIVE,
    LIMIT,
    LEVEL,
    EVENT_LEVEL,
    OVERFLOW,
    FAMILY,
    SOCKET_TYPE,
    NEEDS,
    CPUS,
    IO_PRIORITY,
    RESPAWN_ON,
    OVERLAP,
    SCHEDULE,
    ZONE,
    WATCH_ACTION,
    STATUSES,
    LADDER,
    COLOR,
    ROTATE_WHEN,
    COMPRESSION,
    SYSLOG_FORM,
    SYSLOG_FACILITY,
    SYSLOG_SEVERITY,
    SYSLOG_ADDRESS,
)
