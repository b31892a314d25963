"""The names under which users' code imports the original, answered by ours where it is not installed.

``from circus.plugins import CircusPlugin`` and the other names of `NAMES` work in the processes that run hooks and
plugins, where circusd calls a stream class of a user's, and in any program that calls `install`. An installed ``circus``
comes first.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

# Without the base classes of importlib.abc: they need a third of the time in which a process for hooks starts.

_COMPAT = "circusd.plugins.compat"

NAMES = (
    ("circus", _COMPAT),
    ("circus.arbiter", "circusd.library"),
    ("circus.client", _COMPAT),
    ("circus.consumer", _COMPAT),
    ("circus.exc", _COMPAT),
    ("circus.fixed_threading", "threading"),
    ("circus.green", _COMPAT),
    ("circus.green.arbiter", "circusd.library"),
    ("circus.green.client", _COMPAT),
    ("circus.green.consumer", _COMPAT),
    ("circus.plugins", "circusd.plugins"),
    ("circus.plugins._statsd", "circusd.plugins.statsd"),
    ("circus.plugins.command_reloader", "circusd.plugins.command_reloader"),
    ("circus.plugins.flapping", "circusd.plugins.flapping"),
    ("circus.plugins.http_observer", "circusd.plugins.http_observer"),
    ("circus.plugins.redis_observer", "circusd.plugins.redis_observer"),
    ("circus.plugins.resource_watcher", "circusd.plugins.resource_watcher"),
    ("circus.plugins.statsd", "circusd.plugins.statsd"),
    ("circus.plugins.watchdog", "circusd.plugins.watchdog"),
    ("circus.stream", "circusd.plugins.stream"),
    ("circus.stream.file_stream", "circusd.plugins.stream"),
    ("circus.util", _COMPAT),
    ("circus.watcher", "circusd.library"),
)
"""The original's modules, and where ours has what they are imported for."""


class _Loader:
    """Fills a module of the original's name with what ours has."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = importlib.import_module(self._target)
        names = {name: value for name, value in vars(ours).items() if not name.startswith("__")}
        module.__dict__.update(names, __doc__=ours.__doc__, __version__=getattr(ours, "__version__", ""))
        if found := getattr(ours, "__getattr__", None):
            # What takes its time to import is imported when it is asked for.
            module.__dict__["__getattr__"] = found


class _Finder:
    """Asked for a module when nobody else knows it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for name, ours in NAMES:
            if name == fullname:
                # A package may have modules below it, which this finder is asked for in turn.
                return ModuleSpec(fullname, cast("Loader", _Loader(ours)), is_package=True)
        return None


def install() -> None:
    """From now on the original's names can be imported in this process; doing it again changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
