"""The daemon's own log: one event, one line, in the original's format, and never a reason to wait.

Lines go through a bounded queue to a thread of their own, so that a full disk or a terminal that nobody reads
stops nothing; what does not fit is counted, and the count is logged when there is room. In that thread too run the
handlers of a ``loggerconfig``.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import queue
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from circusd.schema.errors import ConfigError

from .loggerconfig import ByFile, escaped, handlers

FORMAT = "%(asctime)s circus[%(process)d] [%(levelname)s] %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
LEVELS = ("debug", "info", "warning", "error", "critical")
QUEUED_LINES = 10_000
SYSLOG_PORT = 514
_REOPEN = logging.makeLogRecord({"name": "circusd.reopen"})


class Escaped(logging.Formatter):
    """Control characters of names and texts that others chose are shown as ``\\xNN``; tracebacks keep their lines."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


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


class Thread(logging.handlers.QueueListener):
    """The thread that writes what is in the queue."""

    def handle(self, record: logging.LogRecord) -> None:
        if record is _REOPEN:
            for handler in handlers():
                _reopen(handler)
            for handler in self.handlers:
                _reopen(handler)
        else:
            super().handle(record)


class Log:
    """The log as it was set up; closing it writes what is queued."""

    def __init__(self, level: str, output: str | None, config: str | None = None) -> None:
        """By ``level`` and ``output``, or by the file ``config`` instead of both; raises ConfigError."""
        self._root = logging.getLogger("circusd")
        self._root.propagate = False
        if config in (None, "", "default"):
            target = open_output(output)
            target.setFormatter(Escaped(FORMAT, DATES))
            self._root.setLevel(level.upper())
        else:
            assert config is not None
            target = ByFile(config)
            self._root.setLevel(target.least_level)
        self._lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED_LINES)
        self._handler = Bounded(self._lines)
        self._listener = Thread(self._lines, target)
        self._target = target
        self._root.addHandler(self._handler)
        self._listener.start()

    def reopen(self) -> None:
        """Files that were moved away are soon written under their names again."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(_REOPEN)

    def close(self) -> None:
        """Everything that was logged is written; nothing more will be."""
        self._root.removeHandler(self._handler)
        self._listener.stop()
        self._target.close()


def _reopen(handler: logging.Handler) -> None:
    """A file handler whose file is not the one of that name any more opens that; others are left alone."""
    if not isinstance(handler, logging.FileHandler):
        return
    handler.acquire()
    try:
        if handler.stream is None or _is_same_file(handler):
            return
        handler.stream.close()
        # Opened at the next line, as one that was to be opened late; a folder that is gone is told then.
        handler.stream = None
    finally:
        handler.release()


def _is_same_file(handler: logging.FileHandler) -> bool:
    try:
        named = os.stat(handler.baseFilename)
    except OSError:
        return False
    return handler.stream is not None and os.path.samestat(named, os.fstat(handler.stream.fileno()))


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
