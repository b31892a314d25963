"""The daemon's own log: one event, one line, in the original's format, and never a reason to wait.

Lines go through a bounded queue to a thread of their own, so that a full disk or a terminal that nobody reads
stops nothing; what does not fit or can't be written is counted, and the count is logged when there is room. In that
thread too run the handlers of a ``loggerconfig``.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import queue
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from circusd.schema.errors import ConfigError

from . import clock
from .appendfile import AppendFile, NotAFileError
from .loggerconfig import ByFile, escaped, handlers

FORMAT = "%(asctime)s circus[%(process)d] [%(levelname)s] %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"
LEVELS = ("debug", "info", "warning", "error", "critical")
QUEUED_LINES = 10_000
SYSLOG_PORT = 514
_REOPEN = logging.makeLogRecord({"name": "circusd.reopen"})
LAST_LINES_PATIENCE = 2.0
"""Seconds that the lines which wait have at the end; nobody may read them where they go."""


class Escaped(logging.Formatter):
    """Control characters of names and texts that others chose are shown as ``\\xNN``; tracebacks keep their lines."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


class Bounded(logging.handlers.QueueHandler):
    """Puts records into a queue that has an end."""

    def __init__(self, lines: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__(lines)
        self._lines = lines
        self.lost = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self.lost and not self._lines.full():
                lost, self.lost = self.lost, 0
                self._lines.put_nowait(_loss(lost))
            self._lines.put_nowait(record)
        except queue.Full:
            self.lost += 1


def _loss(lines: int) -> logging.LogRecord:
    return logging.LogRecord("circus", logging.WARNING, "", 0, "%d log lines were lost", (lines,), None)


class Counting(logging.Handler):
    """What it can't write is counted, and the count is told before the next line that it can."""

    lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        lost = self.lost
        if lost:
            self.write(_loss(lost))
            if self.lost > lost:
                return
            self.lost -= lost
        self.write(record)

    def write(self, record: logging.LogRecord) -> None:
        """The record is written, or `handleError` called."""
        raise NotImplementedError

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Not told where it happens, as logging does: there would be a traceback for each line."""
        self.lost += 1


class Lines(Counting):
    """Writes lines to a file, a FIFO or whatever standard error is, without a buffer of Python's.

    A buffer would have a lock, and the interpreter could not end while a thread is stuck in it.
    """

    def __init__(self, file: AppendFile) -> None:
        super().__init__()
        self._file = file
        self._torn = b""

    def write(self, record: logging.LogRecord) -> None:
        """See `Counting`."""
        try:
            data = self._torn + (self.format(record) + "\n").encode("utf-8", "backslashreplace")
            written = self._file.write((data,))
            if written < len(data):
                self._torn = b"\n"
                raise OSError("cut off")
            self._torn = b""
        except Exception:  # noqa: BLE001 (as in logging: no line is worth an end of the thread)
            self.handleError(record)

    def reopen(self) -> None:
        """The next line goes to the file of that name."""
        self._file.let_go()


class Syslog(Counting):
    """Sends lines to a syslog."""

    def __init__(self, address: tuple[str, int] | str, facility: int) -> None:
        super().__init__()
        self._handler = logging.handlers.SysLogHandler(address, facility=facility)
        self._handler.handleError = self.handleError  # type: ignore[method-assign]

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 (logging's name)
        self._handler.setFormatter(fmt)

    def write(self, record: logging.LogRecord) -> None:
        """See `Counting`."""
        self._handler.emit(record)

    def close(self) -> None:
        self._handler.close()
        super().close()


class Log:
    """The log as it was set up; closing it writes what is queued."""

    def __init__(self, level: str, output: str | None, config: str | None = None) -> None:
        """By ``level`` and ``output``, or by the file ``config`` instead of both; raises ConfigError."""
        self._root = logging.getLogger("circusd")
        self._root.propagate = False
        self._target: logging.Handler
        if config in (None, "", "default"):
            self._target = open_output(output)
            self._target.setFormatter(Escaped(FORMAT, DATES))
            self._root.setLevel(level.upper())
        else:
            assert config is not None
            self._target = by_file = ByFile(config)
            self._root.setLevel(by_file.least_level)
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUED_LINES)
        self._handler = Bounded(self._lines)
        self._root.addHandler(self._handler)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (record := self._lines.get()) is not None:
            if record is _REOPEN:
                self._open_again()
            else:
                # Not by `handle`: its lock would be waited for at the end of the interpreter.
                self._target.emit(record)

    def _open_again(self) -> None:
        if isinstance(self._target, Lines):
            self._target.reopen()
        elif isinstance(self._target, ByFile):
            for handler in handlers():
                _reopen(handler)

    def reopen(self) -> None:
        """Files that were moved away are soon written under their names again."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(_REOPEN)

    def close(self) -> None:
        """Everything that was logged is written, if it could be within `LAST_LINES_PATIENCE`; nothing more will be."""
        self._root.removeHandler(self._handler)
        until = clock.now() + LAST_LINES_PATIENCE
        try:
            self._lines.put(None, timeout=LAST_LINES_PATIENCE)
        except queue.Full:
            return
        self._thread.join(max(0.0, until - clock.now()))
        if not self._thread.is_alive():
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


def open_output(output: str | None) -> Counting:
    """The handler of ``logoutput``: ``-`` or nothing for standard error, ``syslog://…``, or a file that is reopened when rotated."""
    if output in (None, "", "-", "stdout"):
        return Lines(AppendFile.of(_standard_error(), "standard error"))
    assert output is not None
    if output.startswith("syslog://"):
        return _syslog(output)
    file = AppendFile(os.path.abspath(output), watched=True)
    try:
        file.open()
    except NotAFileError as found:
        return Lines(AppendFile.of(found.fd, output))
    except OSError as error:
        raise ConfigError([f"logoutput {output}: {error.strerror}"]) from error
    return Lines(file)


def _standard_error() -> int:
    try:
        return os.dup(2)
    except OSError:
        # It was closed by who started us.
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def _syslog(output: str) -> Counting:
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
        return Syslog(address, names[facility])
    except (OSError, ValueError) as error:
        raise ConfigError([f"logoutput {output}: {error}"]) from error
