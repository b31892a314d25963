"""The original's stream classes, for users' classes that derive from them or call them.

circusd writes by writers of its own where one of these stands in a configuration.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import random
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

Data = Mapping[str, Any]
"""``data`` (bytes or text), ``pid``, ``name``, and perhaps ``timestamp`` (epoch seconds)."""

_SUFFIXES = {"S": "%Y%m%d%H%M%S", "M": "%Y%m%d%H%M", "H": "%Y%m%d%H"}
_DIGITS = {"S": 14, "M": 12, "H": 10}


def text_of(data: Data) -> str:
    """What was written."""
    found = data["data"]
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def prefixed(data: Data, time_format: str) -> str:
    """The same with time and pid before each line."""
    moment = time.strftime(time_format, time.localtime(data.get("timestamp")))
    return "".join(f"{moment} [{data['pid']}] | {line}\n" for line in text_of(data).split("\n") if line)


class _HandlerStream:
    """Writes by a handler of the standard library, which knows when to rotate."""

    def __init__(self, handler: logging.StreamHandler[Any], time_format: str | None) -> None:
        self._time_format = time_format
        self._handler = handler
        handler.terminator = ""
        handler.handleError = _raise  # type: ignore[method-assign]
        handler.setFormatter(logging.Formatter("%(message)s"))

    def __call__(self, data: Data) -> None:
        text = prefixed(data, self._time_format) if self._time_format else text_of(data)
        self._handler.emit(logging.makeLogRecord({"msg": text}))

    def open(self) -> None:
        """Nothing has to be done: it is open."""

    def close(self) -> None:
        """The file is closed."""
        self._handler.close()


class FileStream(_HandlerStream):
    """Appends to a file, and starts a new one before it has ``max_bytes``."""

    def __init__(
        self,
        filename: str | None = None,
        max_bytes: int | str = 0,
        backup_count: int | str = 0,
        time_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            logging.handlers.RotatingFileHandler(
                filename or _temporary(),
                maxBytes=int(max_bytes),
                backupCount=int(backup_count),
                encoding="utf-8",
                errors="backslashreplace",
            ),
            time_format,
        )


class WatchedFileStream(_HandlerStream):
    """Appends to a file that another program rotates."""

    def __init__(self, filename: str | None = None, time_format: str | None = None, **kwargs: Any) -> None:
        handler = logging.handlers.WatchedFileHandler(
            filename or _temporary(), encoding="utf-8", errors="backslashreplace"
        )
        super().__init__(handler, time_format)


class TimedRotatingFileStream(_HandlerStream):
    """Appends to a file, and starts a new one after a time."""

    def __init__(
        self,
        filename: str | None = None,
        backup_count: int | str = 0,
        time_format: str | None = None,
        rotate_when: str = "H",
        rotate_interval: int | str = 1,
        utc: bool = False,
        **kwargs: Any,
    ) -> None:
        handler = logging.handlers.TimedRotatingFileHandler(
            filename or _temporary(),
            when=rotate_when,
            interval=int(rotate_interval),
            backupCount=int(backup_count),
            encoding="utf-8",
            utc=utc,
            errors="backslashreplace",
        )
        # The original's names of old files have no dashes.
        handler.suffix = _SUFFIXES.get(rotate_when.upper(), "%Y%m%d")
        handler.extMatch = re.compile(rf"\d{{{_DIGITS.get(rotate_when.upper(), 8)}}}", re.ASCII)
        super().__init__(handler, time_format)


class StdoutStream:
    """Writes to standard output."""

    def __init__(self, **kwargs: Any) -> None:
        pass

    def __call__(self, data: Data) -> None:
        sys.stdout.write(text_of(data))
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing has to be done."""


class FancyStdoutStream(StdoutStream):
    """The same, in a colour and with time and pid before each line."""

    colors = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")

    def __init__(self, color: str | None = None, time_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.time_format = time_format or "%Y-%m-%d %H:%M:%S"
        chosen = color if color in self.colors else random.choice(self.colors)
        self.color_code = self.colors.index(chosen) + 1

    def __call__(self, data: Data) -> None:
        for line in prefixed(data, self.time_format).splitlines():
            sys.stdout.write(f"\033[0;3{self.color_code};40m{line}\033[0m\n")
        sys.stdout.flush()


class QueueStream(queue.Queue[Data]):
    """Keeps what was written, for who takes it out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()

    def __call__(self, data: Data) -> None:
        self.put(data)

    def close(self) -> None:
        """Nothing has to be done."""


def _raise(record: logging.LogRecord) -> None:
    """Whoever writes is told what went wrong; called while the exception is handled."""
    problem = sys.exception()
    assert problem is not None
    raise problem


def _temporary() -> str:
    with tempfile.NamedTemporaryFile(prefix="circus-", delete=False) as file:
        return file.name
