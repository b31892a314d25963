"""The daemon's own log: one event, one line, in the original's format, and never a reason to wait.

Lines go through a bounded queue to a thread of their own, so that a full disk or a terminal that nobody reads
stops nothing; what does not fit is counted, and the count is logged when there is room.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from circusd.schema.errors import ConfigError

FORMAT = "%(asctime)s circus[%(process)d] [%(levelname)s] %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
LEVELS = ("debug", "info", "warning", "error", "critical")
QUEUED_LINES = 10_000
SYSLOG_PORT = 514


class Escaped(logging.Formatter):
    """Control characters of names and texts that others chose are shown as ``\\xNN``; tracebacks keep their lines."""

    def format(self, record: logging.LogRecord) -> str:
        head, *rest = super().format(record).split("\n")
        return "\n".join([_escape(head), *("    " + _escape(line) for line in rest)])


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


class Bounded(logging.handlers.QueueHandler):
    """Puts records into a queue that has an end."""

    def __init__(self, lines: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(lines)
        self._lines = lines
        self.lost = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.lost and not self._lines.full():
                lost, self.lost = self.lost, 0
                note = logging.LogRecord(
                    "circus", logging.WARNING, "", 0, "%d log lines were lost", (lost,), None
                )
                self._lines.put_nowait(note)
            self._lines.put_nowait(record)
        except queue.Full:
            self.lost += 1


class Log:
    """The log as it was set up; closing it writes what is queued."""

    def __init__(self, level: str, output: str | None) -> None:
        self.level = level
        self._root = logging.getLogger("circusd")
        self._root.setLevel(level.upper())
        self._root.propagate = False
        target = open_output(output)
        target.setFormatter(Escaped(FORMAT, DATES))
        lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED_LINES)
        self._handler = Bounded(lines)
        self._listener = logging.handlers.QueueListener(lines, target)
        self._target = target
        self._root.addHandler(self._handler)
        self._listener.start()

    def close(self) -> None:
        """Everything that was logged is written; nothing more will be."""
        self._root.removeHandler(self._handler)
        self._listener.stop()
        self._target.close()


def open_output(output: str | None) -> logging.Handler:
    """The handler of ``logoutput``: ``-`` or nothing for standard error, ``syslog://…``, or a file that is reopened when rotated."""
    if output in (None, "", "-", "stdout"):
        return logging.StreamHandler(sys.stderr)
    assert output is not None
    if output.startswith("syslog://"):
        return _syslog(output)
    try:
        return logging.handlers.WatchedFileHandler(output)
    except OSError as error:
        raise ConfigError([f"logoutput {output}: {error.strerror}"]) from error


def _syslog(output: str) -> logging.Handler:
    parts = urlsplit(output)
    facility = parts.query or "user"
    names = logging.handlers.SysLogHandler.facility_names
    if facility not in names:
        raise ConfigError([f"logoutput {output}: there is no syslog facility {facility!r}"])
    try:
        if parts.hostname:
            address: tuple[str, int] | str = (parts.hostname, parts.port or SYSLOG_PORT)
        else:
            address = unquote(parts.path) or "/dev/log"
            if not Path(address).exists():
                raise ConfigError([f"logoutput {output}: there is no socket {address}"])
        return logging.handlers.SysLogHandler(address, facility=names[facility])
    except (OSError, ValueError) as error:
        raise ConfigError([f"logoutput {output}: {error}"]) from error
