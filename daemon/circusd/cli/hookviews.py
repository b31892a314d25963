"""What a hook function gets as ``watcher`` and ``arbiter``: the names that the original's objects have.

What can be looked at comes with the call, or is asked of the daemon when it is looked at. What acts is a command that
is not waited for: the daemon may be waiting for the hook.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from circusd import views
from circusd.client import Client
from circusd.schema.errors import NotFound

LOOKED_AT = ("name", "cmd", "args", "numprocesses", "working_dir")
"""What of a snapshot is an attribute of the watcher as it stands; hooks may set these."""


@cache
def daemon() -> Client:
    """The connection to the daemon's commands, made when a hook needs it."""
    return Client(os.environ.get("CIRCUSCTL_ENDPOINT", ""))


class _Seen(views.WatcherView):
    """A watcher, whose processes are the daemon's children as the hook's own process is."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon(), name)

    def send_signal(self, pid: int, signum: int) -> None:
        """The process of this watcher is sent the signal now; its signal hooks are not called for it."""
        # Brings psutil, which few hooks need.
        from circusd.kernel import proc

        row = proc.row(pid)
        if pid not in self.processes or row is None or row.ppid != os.getppid():
            raise NotFound(f"process {pid} of {self.name} not found")
        proc.signal_process(row.identity, signum)


class WatcherView(_Seen):
    """The watcher whose hook is called, as it was then."""

    def __init__(self, snapshot: Mapping[str, Any]) -> None:
        super().__init__(str(snapshot["name"]))
        self._snapshot = snapshot
        self.__dict__.update({key: copy.deepcopy(snapshot.get(key)) for key in LOOKED_AT})
        # With copy_env the processes see the daemon's variables too, as this process does.
        base = dict(os.environ) if snapshot.get("copy_env") else {}
        self.env: dict[str, str] = {**base, **snapshot.get("env", {})}
        self._before = {key: copy.deepcopy(self.__dict__[key]) for key in (*LOOKED_AT, "env")}

    @classmethod
    def of_snapshot(cls, snapshot: Mapping[str, Any]) -> WatcherView:
        """The watcher whose hook is called."""
        return cls(snapshot)

    def changes(self) -> dict[str, Any]:
        """What was set since the call: ``env`` by name (None for what is gone), ``options``."""
        found: dict[str, Any] = {}
        before = self._before["env"]
        env = {key: str(value) for key, value in self.env.items() if before.get(key) != value}
        env_changes = {**env, **{key: None for key in before if key not in self.env}}
        if env_changes:
            found["env"] = env_changes
        options = {
            key: value
            for key, value in self._before.items()
            if key not in ("env", "name") and self.__dict__[key] != value
        }
        if options:
            found["options"] = {key: self.__dict__[key] for key in options}
        return found

    def __getattr__(self, key: str) -> Any:
        """An option of the watcher that did not come with the call."""
        extras: Mapping[str, Any] = {} if key.startswith("_") else self._snapshot.get("extras", {})
        return extras[key] if key in extras else super().__getattr__(key)

    def status(self) -> str:
        """``active``, ``stopped``, ``starting`` or ``stopping``."""
        return str(self._snapshot.get("status", ""))

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), **self._snapshot.get("extras", {})}

    def _slots(self) -> dict[int, int]:
        return {int(pid): int(wid) for pid, wid in self._snapshot.get("processes", {}).items()}


class ArbiterView(views.ArbiterView):
    """The daemon, as the hook of a watcher sees it."""

    def __init__(self, watcher: WatcherView) -> None:
        self._own = watcher

    @property
    def daemon(self) -> Client:
        """The connection to its commands."""
        return daemon()

    def get_watcher(self, name: str) -> views.WatcherView:
        """The watcher of that name, in any case of letters; raises KeyError."""
        return self._own if name.lower() == self._own.name.lower() else super().get_watcher(name)

    def _view(self, name: str) -> views.WatcherView:
        return self._own if name.lower() == self._own.name.lower() else _Seen(name)
