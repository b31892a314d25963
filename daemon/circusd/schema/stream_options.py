"""The option tables of streams: what may follow ``stdout_stream.`` and ``stderr_stream.``, for each class."""

from __future__ import annotations

from dataclasses import dataclass

from .option import Option
from .types import BOOL, BYTES, COLOR, COUNT, OVERFLOW, PATH, ROTATE_WHEN, TEXT, ValueType
from .values import json_text, read_dotted


@dataclass(frozen=True, slots=True)
class StreamClass:
    """One class of streams, with the options that only it has."""

    name: str
    doc: str
    options: tuple[Option, ...] = ()
    effective: bool = True


_TIME_FORMAT = Option(
    "time_format",
    TEXT,
    None,
    "Each line begins with the time in this form of ``strftime``, the pid in brackets and a bar; nothing is put before the "
    "line when not given.",
    section="stream",
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
_BACKUP_COUNT = Option(
    "backup_count", COUNT, 0, "How many old files are kept.", section="stream", aka=("backups",)
)

STREAM_CLASSES: tuple[StreamClass, ...] = (
    StreamClass(
        "FileStream",
        "Appends to a file and starts a new one at a size. The class when only a ``filename`` is given.",
        (
            _FILENAME,
            Option(
                "max_bytes",
                BYTES,
                0,
                "The file is rotated before it grows over this size; 0 for never.",
                section="stream",
                unit="bytes",
                aka=("maxbytes",),
            ),
            _BACKUP_COUNT,
            _TIME_FORMAT,
        ),
    ),
    StreamClass(
        "WatchedFileStream",
        "Appends to a file that another program rotates: it is opened again when it was moved away.",
        (_FILENAME, _TIME_FORMAT),
    ),
    StreamClass(
        "TimedRotatingFileStream",
        "Appends to a file and starts a new one after a time.",
        (
            _FILENAME,
            _BACKUP_COUNT,
            _TIME_FORMAT,
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
    StreamClass("QueueStream", "Keeps the output in memory.", effective=False),
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
