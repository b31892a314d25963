"""What differs between the configuration that was read and what is in force, as options of a file's sections."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from circusd.schema.options import SOCKET, WATCHER, Option, find, watcher_option
from circusd.schema.types import ARGS

from .records import SocketConfig, WatcherConfig
from .streams import describe_stream

_STREAMS = ("stdout_stream", "stderr_stream")


@dataclass(frozen=True, slots=True)
class Drift:
    """One section and what has to become of it."""

    section: str
    """``watcher:web`` or ``socket:api``."""
    options: Mapping[str, str | None] = field(default_factory=dict)
    """Texts by option; None takes the option away, as it has its default."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of the watcher."""
    added: bool = False
    removed: bool = False

    def __str__(self) -> str:
        what = self.section.replace(":", " ", 1)
        if self.added or self.removed:
            return f"{what} {'added' if self.added else 'removed'}"
        keys = [*self.options, *(["env"] if self.env else [])]
        return f"{what} changed ({', '.join(keys)})"


def watcher_drift(before: WatcherConfig | None, after: WatcherConfig | None) -> Drift | None:
    """From the watcher as it was read (None: not at all) to the one in force; None when they are the same."""
    name = after.name if after is not None else before.name if before is not None else ""
    section = f"watcher:{name if before is None else before.name}"
    if after is None:
        return None if before is None else Drift(section, removed=True)
    old = {} if before is None else _texts(before)
    new = _texts(after)
    options = {key: new.get(key) for key in {**new, **old} if new.get(key) != old.get(key)}
    was = {} if before is None else dict(before.env)
    env = {key: after.env.get(key) for key in {**was, **after.env} if after.env.get(key) != was.get(key)}
    if before is not None and not options and not env:
        return None
    return Drift(section, options, env, added=before is None)


def socket_drift(before: SocketConfig | None, after: SocketConfig | None) -> Drift | None:
    """The same for a socket."""
    if before == after:
        return None
    name = after.name if after is not None else before.name if before is not None else ""
    if after is None:
        return Drift(f"socket:{name}", removed=True)
    old = {} if before is None else _plain(before, SOCKET)
    new = _plain(after, SOCKET)
    if after.path:
        for key in ("host", "port", "family"):
            new.pop(key, None)
    options = {key: new.get(key) for key in {**new, **old} if new.get(key) != old.get(key)}
    return Drift(f"socket:{name}", options, added=before is None)


def same(one: Any, other: Any) -> bool:
    """Whether two values of an option mean the same: arguments may be a text or its words."""
    if isinstance(one, tuple) != isinstance(other, tuple) and isinstance(one, str | tuple):
        return _words(one) == _words(other)
    return bool(one == other)


def _words(value: Any) -> list[str] | None:
    try:
        return shlex.split(value) if isinstance(value, str) else list(value)
    except (TypeError, ValueError):
        return None


def _texts(watcher: WatcherConfig) -> dict[str, str]:
    """Each option that has not its default, as a file has it, without variables and keys of one's own."""
    texts = _plain(watcher, WATCHER)
    texts.pop("env", None)
    for name, limit in watcher.rlimits.items():
        texts[f"rlimit_{name}"] = "" if limit is None else str(limit)
    for name, hook in watcher.hooks.items():
        texts[f"hooks.{name}"] = f"{hook.path},true" if hook.ignore_failure else hook.path
    for stream in _STREAMS:
        for key, value in describe_stream(getattr(watcher, stream)).items():
            option = watcher_option(f"{stream}.{key}")
            texts[f"{stream}.{key}"] = str(value) if option is None else _text(option, value)
    return texts


def _plain(record: WatcherConfig | SocketConfig, table: tuple[Option, ...]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for attribute in fields(record):
        option = find(table, attribute.name)
        value = getattr(record, attribute.name)
        if option is not None and not option.pattern and value != option.default:
            texts[option.name] = "" if value is None else _text(option, value)
    return texts


def _text(option: Option, value: Any) -> str:
    if isinstance(value, list):
        value = tuple(value)
    if option.type is ARGS and isinstance(value, tuple):
        return shlex.join(value)
    return option.type.format(value)
