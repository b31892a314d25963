"""What hooks and plugins import from the original beside its base class: a client, a logger, a few conversions."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from circusd.circusclient import (
    AsyncCircusClient,
    CallError,
    CircusClient,
    CircusConsumer,
    cast_message,
    make_json,
    make_message,
)
from circusd.schema.values import read_signal
from circusd.version import __version__

__all__ = [
    "DEFAULT_ENDPOINT_DEALER",
    "DEFAULT_ENDPOINT_MULTICAST",
    "DEFAULT_ENDPOINT_STATS",
    "DEFAULT_ENDPOINT_SUB",
    "AlreadyExist",
    "ArgumentError",
    "AsyncCircusClient",
    "CallError",
    "CircusClient",
    "CircusConsumer",
    "ConflictError",
    "MessageError",
    "__version__",
    "bytes2human",
    "cast_message",
    "human2bytes",
    "logger",
    "make_json",
    "make_message",
    "resolve_name",
    "to_bool",
    "to_bytes",
    "to_signum",
    "to_str",
]

DEFAULT_ENDPOINT_DEALER = "tcp://127.0.0.1:5555"
DEFAULT_ENDPOINT_SUB = "tcp://127.0.0.1:5556"
DEFAULT_ENDPOINT_STATS = "tcp://127.0.0.1:5557"
DEFAULT_ENDPOINT_MULTICAST = "udp://237.219.251.97:12027"

logger = logging.getLogger("circus")

_UNITS = "BKMGTPEZY"

_LATER = {
    "Arbiter": ("circusd.library", "Arbiter"),
    "AsyncPeriodicCallback": ("circusd.plugins.period", "PeriodicCallback"),
    "CircusPlugin": ("circusd.plugins", "CircusPlugin"),
    "ThreadedArbiter": ("circusd.library", "ThreadedArbiter"),
    "get_arbiter": ("circusd.library", "get_arbiter"),
}


class AlreadyExist(Exception):
    """A watcher is there already."""


class MessageError(Exception):
    """A message is none."""


class ArgumentError(Exception):
    """An argument is wrong or missing."""


class ConflictError(Exception):
    """Something else is under way."""


def __getattr__(name: str) -> Any:
    """What few need and what takes its time to import."""
    home = _LATER.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home[0]), home[1])


def to_bool(value: Any) -> bool:
    """The truth value that a text of a configuration stands for; raises ValueError for other text."""
    if isinstance(value, bool | int):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("1", "y", "yes", "t", "true", "on"):
        return True
    if text in ("0", "n", "no", "f", "false", "off", ""):
        return False
    raise ValueError(f"{value!r} is neither yes nor no")


def human2bytes(text: str) -> int:
    """The number of bytes that ``250M`` stands for; raises ValueError."""
    text = str(text).strip().upper()
    text = text[:-1] if len(text) > 1 and text[-1] == "B" and text[-2] in _UNITS else text
    if text and text[-1] in _UNITS:
        return int(float(text[:-1]) * 1024 ** _UNITS.index(text[-1]))
    return int(float(text))


def bytes2human(count: int) -> str:
    """A number of bytes in the largest unit that leaves it above one: ``1.77M``."""
    for power in range(len(_UNITS) - 1, 0, -1):
        if count >= 1024**power:
            return f"{count / 1024**power:.2f}{_UNITS[power]}"
    return f"{int(count)}B"


def to_signum(signum: Any) -> int:
    """The number of a signal that is given by number or name; raises ValueError."""
    return read_signal(str(signum))


def to_str(value: Any, encoding: str = "utf-8", errors: str = "replace") -> str:
    """Bytes as text; a text as it is."""
    return value.decode(encoding, errors) if isinstance(value, bytes) else str(value)


def to_bytes(value: Any, encoding: str = "utf-8") -> bytes:
    """Text as bytes; bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode(encoding)


def resolve_name(import_name: str, silent: bool = False, reload: bool = False) -> Any:
    """What a dotted path names; with ``silent`` None instead of an ImportError or AttributeError."""
    from .dotted import resolve

    try:
        return resolve(import_name)
    except (ImportError, AttributeError):
        if silent:
            return None
        raise
