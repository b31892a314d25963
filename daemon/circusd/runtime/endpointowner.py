"""The option ``endpoint_owner``: another user who commands at the file's ``ipc://`` endpoint, and may add what runs as himself.

He is an operator there, and what he adds must give him nothing that he does not have: it runs as him, with no code,
file, socket or limit of the daemon's. So of the options that decide what runs, only the harmless ones are his.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from circusd.config.interpolate import references
from circusd.config.records import WatcherConfig
from circusd.config.references import start_texts
from circusd.schema.commands import reaches
from circusd.schema.errors import Denied
from circusd.schema.options import watcher_option

ROLE: Final = "operator"

HIS: Final = ("cmd", "args", "shell", "shell_args", "executable", "working_dir", "env", "uid")
"""An admin's options that count for him, as they change what is done and not as whom."""

NOT_HIS: Final = ("use_sockets", "stdin_socket", "rlimit_")
"""Options of an operator, who decides no code; with code of one's own they would be a way to what is the daemon's."""


def check_set(keys: Iterable[str]) -> None:
    """Raises Denied if one of these options, families spelt out, is not for the owner of an endpoint to set."""
    for key in keys:
        if key.startswith(NOT_HIS):
            raise Denied(f"{key} is not for the owner of an endpoint, as it gives what is the daemon's")


def check_add(options: Mapping[str, Any], uid: int, names: tuple[object, ...]) -> dict[str, Any]:
    """The options with which he may add a watcher: as given, and as his own user. Raises Denied.

    ``names`` are those that his uid goes by.
    """
    check_set(options)
    for key in options:
        row = watcher_option(key)
        if row is None or not (reaches(ROLE, row.role) or key in HIS):
            raise Denied(f"{key} is for the role admin: the owner of an endpoint may not give it")
    if options.get("uid") is not None and str(options["uid"]) not in [str(uid), *map(str, names)]:
        raise Denied(f"uid must be your own ({uid}): the owner of an endpoint adds what runs as himself")
    return {**options, "uid": uid}


def check_command(config: WatcherConfig) -> None:
    """Raises Denied if the command would be given a socket of the daemon's."""
    for key, text in start_texts(config):
        for name, written in references(text):
            if name.startswith("sockets."):
                raise Denied(f"{key}: {written} is not for the owner of an endpoint, as it is the daemon's")
