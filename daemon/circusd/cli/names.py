"""``circusctl --names``: what there is in a running daemon, one name a line, for the completion of shells.

Asked at each press of Tab: it imports next to nothing, gives up soon, and never says what went wrong.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circusd.client import Client, find_endpoint, running_daemons, runtime_bases
from circusd.schema.errors import CircusError

LISTED = {
    "watchers": ("list", "watchers", ""),
    "sockets": ("listsockets", "sockets", "name"),
    "people": ("people", "people", "person"),
    "tokens": ("tokens", "tokens", "id"),
    "keys": ("keys", "keys", "name"),
    "sessions": ("sessions", "sessions", "id"),
}
"""By the kind of names the command that lists them, where they are in its reply, and what of each row is the name."""

TIMEOUT = 0.5
"""Seconds until a shell gets nothing: who has pressed Tab waits for it."""


def main(words: Sequence[str]) -> int:
    """Print the names; 0, with nothing printed where nobody answers."""
    asked, options = _read(words)
    with contextlib.suppress(CircusError, OSError, KeyboardInterrupt):
        for name in safe(names(asked, options)):
            sys.stdout.buffer.write(name.encode() + b"\n")
        sys.stdout.flush()
    return 0


def names(asked: Sequence[str], options: dict[str, str]) -> list[str]:
    """Daemons, what is in `LISTED`, or with the name of a watcher its processes; raises CircusError."""
    kind = asked[0] if asked else ""
    if kind == "daemons":
        return list(running_daemons(runtime_bases(os.environ, os.geteuid())))
    name = asked[1] if len(asked) > 1 else ""
    if kind == "processes" and not name:
        return []
    endpoint = options.get("--endpoint") or find_endpoint(options.get("--name"))
    if endpoint.startswith("/"):
        endpoint = "ipc://" + endpoint
    with Client(endpoint, timeout=TIMEOUT) as client:
        if kind == "processes":
            return [str(pid) for pid in client.call("list", {"name": name})["pids"]]
        if kind in LISTED:
            return listed(kind, client.call(LISTED[kind][0]))
    return []


def listed(kind: str, reply: Mapping[str, Any]) -> list[str]:
    """The names of that kind in the reply of the command that lists them."""
    _, place, column = LISTED[kind]
    return [str(row[column] if column else row) for row in reply.get(place) or ()]


def safe(found: Iterable[object]) -> Iterable[str]:
    """Those that a shell can show and a person can type: no control characters, no empty line."""
    return (name for name in found if isinstance(name, str) and name and name.isprintable())


def _read(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    asked: list[str] = []
    options: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("--endpoint", "--name") and rest:
            options[word] = rest.pop(0)
        else:
            asked.append(word)
    return asked, options
