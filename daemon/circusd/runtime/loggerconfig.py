"""The option ``loggerconfig``: a file that sets up Python's logging, as the original takes it.

Its loggers are named as there: ``circus``, and below it ``circus.daemon``, ``circus.watcher`` and so on. The file can
name any class to be called, so it is the administrator's like the configuration itself.
"""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any, Final

from circusd.schema.errors import ConfigError

KINDS: Final = (".ini", ".json", ".yaml", ".yml")
OURS, THEIRS = "circusd", "circus"


class ByFile(logging.Handler):
    """Hands records to the loggers that a file has set up, under the original's names."""

    def __init__(self, path: str) -> None:
        """Raises ConfigError, with the file's name and what is wrong with it."""
        super().__init__()
        apply(path)
        names = [name for name in logging.root.manager.loggerDict if _is_below(name, THEIRS)]
        self.least_level = min(logging.getLogger(name).getEffectiveLevel() for name in (THEIRS, *names))
        """What none of its loggers wants need not be made."""

    def emit(self, record: logging.LogRecord) -> None:
        record.name = THEIRS + record.name.removeprefix(OURS)
        record.msg = escaped(str(record.msg))
        record.message = record.msg
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)

    def close(self) -> None:
        """What the file's handlers hold is written, and their files are closed."""
        for handler in handlers():
            handler.close()
        super().close()


def apply(path: str) -> None:
    """Python's logging is as the file says; raises ConfigError."""
    kind = next((kind for kind in KINDS if path.lower().endswith(kind)), None)
    if kind is None:
        raise ConfigError(
            [f"loggerconfig {path}: expected a file that ends in {', '.join(KINDS)}, or default"]
        )
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError([f"loggerconfig {path}: {problem}"]) from error
    try:
        if kind == ".ini":
            logging.config.fileConfig(path, disable_existing_loggers=False, encoding="utf-8")
        else:
            logging.config.dictConfig(_mapping(path, kind, text))
    except ConfigError:
        raise
    except Exception as error:
        # It names classes to be called with any arguments, which may raise anything.
        raise ConfigError([f"loggerconfig {path}: {_in_words(error)}"]) from error
    for name in (OURS, *logging.root.manager.loggerDict):
        if not _is_below(name, OURS):
            continue
        logger = logging.getLogger(name)
        logger.disabled = False
        if logger.handlers:
            problem = f"it sets up the logger {name}; here it is named {THEIRS}{name.removeprefix(OURS)}"
            raise ConfigError([f"loggerconfig {path}: {problem}, as in Circus"])


def handlers() -> Iterator[logging.Handler]:
    """The handlers of all loggers but ours."""
    for name in ("", *logging.root.manager.loggerDict):
        if not _is_below(name, OURS):
            yield from logging.getLogger(name or None).handlers


def escaped(text: str) -> str:
    """Control characters of names and texts that others chose are shown as ``\\xNN``; lines after the first are set in."""
    head, *rest = text.split("\n")
    return "\n".join([_escape(head), *("    " + _escape(line) for line in rest)])


def _escape(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)


def _mapping(path: str, kind: str, text: str) -> dict[str, Any]:
    if kind == ".json":
        found = json.loads(text)
    else:
        # Its library is not needed by those who have no such file.
        from circusd.config.yamlfile import plain

        found = plain(text)
    if not isinstance(found, dict):
        raise ConfigError([f"loggerconfig {path}: expected a mapping, with version: 1"])
    return {"disable_existing_loggers": False, **found}


def _in_words(error: BaseException) -> str:
    """What was raised, and what that came of: logging.config wraps the cause in "Unable to configure handler"."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 3:
        text = " ".join(str(seen).split())
        parts.append(f"there is no {text}" if isinstance(seen, KeyError) else text or type(seen).__name__)
        seen = seen.__cause__
    return ": ".join(parts)


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(top + ".")
