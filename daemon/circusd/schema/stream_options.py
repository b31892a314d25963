"""The option tables of streams: what may follow ``stdout_stream.`` and ``stderr_stream.``, for each class."""

from __future__ import annotations

from dataclasses import dataclass

from .option import Option
from .types import (
    BOOL,
    BYTES,
    COLOR,
    COMPRESSION,
    COUNT,
    OVERFLOW,
    PATH,
    ROTATE_WHEN,
    SYSLOG_ADDRESS,
    SYSLOG_FACILITY,
    SYSLOG_FORM,
    SYSLOG_SEVERITY,
    TEXT,
    ValueType,
)
from .values import json_text, read_dotted


@dataclass(frozen=True, slots=True)
class StreamClass:
    """One class of streams, with the options that only it has."""

    name: str
    doc: str
    options: tuple[Option, ...] = ()


_TIME_FORMAT = Option(
    "time_format",
    TEXT,
    None,
    "Each line begins with the time in this form of ``strftime``, the pid in brackets and a bar; ``iso`` is ISO 8601 with "
    "milliseconds. Nothing is put before the line when not given, and the file holds what the process wrote, byte for byte.",
    section="stream",
)


def _line_bytes(default: int, doc: str) -> Option:
    return Option("line_bytes", BYTES, default, doc, section="stream", unit="bytes")


_LINE_BYTES = _line_bytes(
    64 << 10,
    "With ``time_format``: a longer line is written as several, and those that continue it have a plus sign in place of the "
    "bar. 64 to 65536.",
)
_FILENAME = Option(
    "filename",
    PATH,
    None,
    "The file that is appended to. A temporary file when not given.",
    section="stream",
    role="admin",
    aka=("file", "path", "logfile"),
)
_MAX_BYTES = Option(
    "max_bytes",
    BYTES,
    0,
    "The file is rotated before it grows over this size; 0 for never. Needs ``backup_count`` or ``total_bytes``: without "
    "them the file grows, as nothing is thrown away that nobody has set a limit for.",
    section="stream",
    unit="bytes",
    aka=("maxbytes",),
)
_BACKUP_COUNT = Option(
    "backup_count",
    COUNT,
    0,
    "How many old files are kept; 0 for no limit of their number.",
    section="stream",
    aka=("backups",),
)
_KEPT = (
    Option(
        "total_bytes",
        BYTES,
        0,
        "The oldest files are deleted before the file and all old ones have more together; 0 for no limit.",
        section="stream",
        unit="bytes",
    ),
    Option(
        "compress",
        COMPRESSION,
        "none",
        "Old files are compressed, in the background, each as soon as it is put aside.",
        section="stream",
    ),
)
_SEVERITY = Option("severity", SYSLOG_SEVERITY, "info", "How important the lines are.", section="stream")
_IDENTIFIER = Option(
    "identifier",
    TEXT,
    None,
    "Who is told to have written; the watcher's name when not given.",
    section="stream",
)

STREAM_CLASSES: tuple[StreamClass, ...] = (
    StreamClass(
        "FileStream",
        "Appends to a file and starts a new one at a size. The class when only a ``filename`` is given.",
        (
            _FILENAME,
            _MAX_BYTES,
            _BACKUP_COUNT,
            *_KEPT,
            _TIME_FORMAT,
            _LINE_BYTES,
        ),
    ),
    StreamClass(
        "WatchedFileStream",
        "Appends to a file that another program rotates: it is opened again when it was moved away.",
        (_FILENAME, _TIME_FORMAT, _LINE_BYTES),
    ),
    StreamClass(
        "TimedRotatingFileStream",
        "Appends to a file and starts a new one after a time.",
        (
            _FILENAME,
            _BACKUP_COUNT,
            *_KEPT,
            _TIME_FORMAT,
            _LINE_BYTES,
            Option(
                "rotate_when",
                ROTATE_WHEN,
                "H",
                "The unit of the interval, midnight, or a day of the week.",
                section="stream",
            ),
            Option(
                "rotate_interval", COUNT, 1, "How many units are between two rotations.", section="stream"
            ),
            Option("utc", BOOL, False, "Times are UTC, not local.", section="stream"),
        ),
    ),
    StreamClass("StdoutStream", "Writes to circusd's own standard output."),
    StreamClass(
        "FancyStdoutStream",
        "Writes to circusd's own standard output, in colour and with the time.",
        (
            Option(
                "color",
                COLOR,
                None,
                "The colour of the lines; one of the seven by chance when not given.",
                section="stream",
            ),
            Option(
                "time_format",
                TEXT,
                "%Y-%m-%d %H:%M:%S",
                "The form of the time before each line, as for ``strftime``.",
                section="stream",
            ),
        ),
    ),
    StreamClass(
        "QueueStream",
        "Keeps the output in memory only: in the history, which every stream has, and where ``tail`` and the console read it.",
    ),
    StreamClass(
        "JsonFileStream",
        "Appends to a file one JSON object for each line: ``time``, ``watcher``, ``wid``, ``pid``, ``stream`` and ``message``; bytes "
        "that are no UTF-8 are written as ``\\xNN`` in it. What continues a line that was too long has ``continues`` as true.",
        (
            _FILENAME,
            _MAX_BYTES,
            _BACKUP_COUNT,
            *_KEPT,
            _line_bytes(64 << 10, "A longer line is written as several. 64 to 65536."),
            Option("utc", BOOL, False, "Times are UTC, not local.", section="stream"),
        ),
    ),
    StreamClass(
        "SyslogStream",
        "Sends each line to a syslog, of this machine or another one.",
        (
            Option(
                "address",
                SYSLOG_ADDRESS,
                "/dev/log",
                "Where it listens: the path of a unix socket, ``udp://HOST:PORT`` (port 514 when not given) or ``tcp://HOST:PORT`` (601).",
                section="stream",
                role="admin",
            ),
            Option(
                "form",
                SYSLOG_FORM,
                "rfc5424",
                "How messages are written: RFC 5424, or the older form, which some know only.",
                section="stream",
            ),
            Option("facility", SYSLOG_FACILITY, "daemon", "What kind of program writes.", section="stream"),
            _SEVERITY,
            _IDENTIFIER,
            _line_bytes(
                8 << 10,
                "A longer line is sent as several messages: many take no more than 8 KiB. 64 to 65536.",
            ),
        ),
    ),
    StreamClass(
        "JournalStream",
        "Sends each line to systemd's journal, with the watcher, its slot, pid and stream as fields of their own.",
        (
            Option(
                "address",
                PATH,
                "/run/systemd/journal/socket",
                "The journal's socket.",
                section="stream",
                role="admin",
            ),
            _SEVERITY,
            _IDENTIFIER,
            _line_bytes(48 << 10, "A longer line is sent as several. 64 to 65536."),
        ),
    ),
)
"""The classes that are known by a short name."""


def stream_class(name: str) -> StreamClass | None:
    """The class of that short name, or of the original's dotted path of it."""
    short = name.removeprefix("circus.stream.")
    for row in STREAM_CLASSES:
        if row.name == short:
            return row
    return None


def _class(text: str) -> str:
    name = text.strip()
    known = stream_class(name)
    if known is None and "." not in name and ":" not in name:
        raise ValueError("is no class of streams")
    return known.name if known else read_dotted(name)


_NAMES = tuple(row.name for row in STREAM_CLASSES)
CLASS = ValueType(
    "stream class",
    "text",
    "one of " + ", ".join(_NAMES) + ", or the dotted path of a class",
    _class,
    json_text(_class),
    str,
    _NAMES,
)
"""A class by its short name, by the original's dotted path of it, or any other by its dotted path."""

STREAM: tuple[Option, ...] = (
    Option(
        "class",
        CLASS,
        "FileStream",
        "What takes the output: one of the classes below by its short name, or the dotted path of one of your own.",
        section="stream",
        role="admin",
    ),
    Option(
        "queue_bytes",
        BYTES,
        1 << 20,
        "How much output waits in memory for a sink that is slower than the process.",
        section="stream",
        unit="bytes",
    ),
    Option(
        "overflow",
        OVERFLOW,
        "drop_oldest",
        "What happens when the queue is full: the oldest or the newest output is dropped and counted, or the process is no "
        "longer read until there is room (``block``: it then stops at its next write).",
        section="stream",
    ),
    Option(
        "refresh_time",
        TEXT,
        "",
        "From before version 0.4 of the original.",
        section="stream",
        legacy=True,
        note="accepted and without effect: output is read when it is there",
    ),
)
"""Options of every stream."""


def stream_option(name: str, classname: str = "") -> Option | None:
    """The row of a stream's option in that class, or in the first class that has it when no class is given."""
    for option in STREAM:
        if option.name == name:
            return option
    for row in STREAM_CLASSES:
        if not classname or row is stream_class(classname):
            for option in row.options:
                if option.name == name:
                    return option
    return None
