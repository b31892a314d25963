"""Watchers and the daemon as objects, with the names that the original's have; what hooks and programs get.

What can be looked at is asked of the daemon when it is looked at. What acts is a command that is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from circusd.client import Client
from circusd.schema.errors import NotFound, Refused


class ProcessView:
    """A process of a watcher: its ``pid`` and ``wid``."""

    def __init__(self, watcher: WatcherView, pid: int, wid: int) -> None:
        self.pid = pid
        self.wid = wid
        self.name = watcher.name
        self._watcher = watcher

    def send_signal(self, signum: int) -> None:
        """As the watcher's."""
        self._watcher.send_signal(self.pid, signum)

    def info(self) -> dict[str, Any]:
        """The process information of the ``stats`` command."""
        reply = self._watcher.daemon.call("stats", {"name": self.name, "process": self.pid})
        return dict(reply["info"])

    def __repr__(self) -> str:
        return f"<process {self.pid}, slot {self.wid} of {self.name}>"


class WatcherView:
    """A watcher of a running daemon."""

    def __init__(self, daemon: Client, name: str) -> None:
        self.daemon = daemon
        self.name = name

    # -- looking -------------------------------------------------------------------------------------------------

    def __getattr__(self, key: str) -> Any:
        """An option of the watcher, as it was when it was first looked at."""
        if key.startswith("_"):
            raise AttributeError(key)
        options = self._options()
        if key not in options:
            raise AttributeError(f"a watcher has no {key!r}")
        self.__dict__[key] = options[key]
        return options[key]

    @property
    def res_name(self) -> str:
        """The name as it stands in the topics of events."""
        return self.name.lower().replace(" ", "_")

    @property
    def processes(self) -> dict[int, ProcessView]:
        """The processes that run, by pid."""
        return {pid: ProcessView(self, pid, wid) for pid, wid in self._slots().items()}

    @property
    def pids(self) -> _Pids:
        """The pids of `processes`; can be called, too."""
        return _Pids(self.processes)

    def get_active_processes(self) -> list[ProcessView]:
        """The values of `processes`."""
        return list(self.processes.values())

    def status(self) -> str:
        """``active``, ``stopped``, ``starting`` or ``stopping``."""
        return str(self.daemon.call("status", {"name": self.name})["status"])

    def is_active(self) -> bool:
        """Whether `status` says so."""
        return self.status() == "active"

    def is_stopped(self) -> bool:
        """Whether `status` says so."""
        return self.status() == "stopped"

    def is_stopping(self) -> bool:
        """Whether `status` says so."""
        return self.status() == "stopping"

    def options(self, *_: object) -> list[tuple[str, Any]]:
        """All options with their values, those of one's own too."""
        return sorted(self._options().items())

    def _options(self) -> dict[str, Any]:
        return dict(self.daemon.call("options", {"name": self.name})["options"])

    def _slots(self) -> dict[int, int]:
        rows = self._inspect()["processes"]
        return {row["pid"]: row["wid"] for row in rows if row["pid"] is not None}

    def _inspect(self) -> dict[str, Any]:
        view: dict[str, Any] = self.daemon.call("inspect", {"name": self.name})["watchers"][0]
        return view

    # -- acting --------------------------------------------------------------------------------------------------

    def send_signal(self, pid: int, signum: int) -> None:
        """The process of this watcher will be sent the signal; raises NotFound for one that it has not."""
        if pid not in self.processes:
            raise NotFound(f"process {pid} of {self.name} not found")
        self._tell("signal", pid=pid, signum=int(signum))

    def send_signal_processes(self, signum: int) -> None:
        """As `send_signal`, for each process."""
        for pid in self.processes:
            self.send_signal(pid, signum)

    def spawn_process(self) -> None:
        """One more process will run: a missing one, or one more than ``numprocesses`` was."""
        wanted = self._inspect()
        running = sum(row["pid"] is not None for row in wanted["processes"])
        if running < wanted["numprocesses"]:
            self._tell("start")
        else:
            self._tell("incr", nb=1)

    def kill_process(self, process: ProcessView, *_: object) -> None:
        """The process will be stopped, and started again if it should run."""
        self._tell("kill", pid=process.pid)

    def kill_processes(self, *_: object) -> None:
        """All processes will be stopped, and started again if they should run."""
        self._tell("kill")

    def start(self) -> None:
        """The watcher will be started."""
        self._tell("start", match="simple")

    def stop(self) -> None:
        """The watcher will be stopped."""
        self._tell("stop", match="simple")

    def restart(self) -> None:
        """The watcher will be restarted."""
        self._tell("restart", match="simple")

    def reload(self, graceful: bool = True, sequential: bool = False) -> None:
        """The watcher's processes will be replaced."""
        self._tell("reload", graceful=graceful, sequential=sequential)

    def incr(self, nb: int = 1) -> None:
        """So many more processes will run."""
        self._tell("incr", nb=nb)

    def decr(self, nb: int = 1) -> None:
        """So many fewer processes will run."""
        self._tell("decr", nb=nb)

    def set_numprocesses(self, np: int) -> None:
        """So many processes will run."""
        self.set_opt("numprocesses", np)

    def set_opt(self, key: str, val: Any) -> None:
        """The option will have that value."""
        self._tell("set", options={key: val})

    def _tell(self, command: str, **properties: Any) -> None:
        self.daemon.call(command, {"name": self.name, **properties})

    def __repr__(self) -> str:
        return f"<watcher {self.name}>"


class _Pids(list[int]):
    """The original had a method here, its stats a list."""

    def __call__(self) -> list[int]:
        return list(self)


class ArbiterView:
    """A running daemon."""

    def __init__(self, daemon: Client) -> None:
        self._daemon = daemon

    @property
    def daemon(self) -> Client:
        """The connection to its commands."""
        return self._daemon

    @property
    def endpoint(self) -> str:
        """Where the daemon takes commands."""
        return self.daemon.endpoint

    @property
    def watchers(self) -> list[WatcherView]:
        """All watchers, by name."""
        return list(self.iter_watchers())

    def iter_watchers(self, reverse: bool = False) -> Iterator[WatcherView]:
        """All watchers, by name."""
        names = self.daemon.call("list")["watchers"]
        return iter([self._view(name) for name in sorted(names, reverse=reverse)])

    def get_watcher(self, name: str) -> WatcherView:
        """The watcher of that name, in any case of letters; raises KeyError."""
        try:
            self.daemon.call("status", {"name": name})
        except Refused as problem:
            raise KeyError(name) from problem
        return self._view(name)

    def _view(self, name: str) -> WatcherView:
        return WatcherView(self.daemon, name)

    def numwatchers(self) -> int:
        """How many watchers there are."""
        return int(self.daemon.call("numwatchers")["numwatchers"])

    def numprocesses(self) -> int:
        """How many processes there are."""
        return int(self.daemon.call("numprocesses")["numprocesses"])

    def statuses(self) -> dict[str, str]:
        """The status of each watcher, by name."""
        return dict(self.daemon.call("status")["statuses"])

    def add_watcher(self, name: str, cmd: str, **options: Any) -> WatcherView:
        """The watcher is there, not started; raises `Refused` if it can't be added."""
        self.daemon.call("add", {"name": name, "cmd": cmd, "options": options})
        return self._view(name)

    def rm_watcher(self, name: str, nostop: bool = False) -> None:
        """The watcher will be stopped and removed."""
        self.daemon.call("rm", {"name": name, "nostop": nostop})

    def start_watcher(self, watcher: WatcherView) -> None:
        """As the watcher's `start`."""
        watcher.start()

    def start_watchers(self, *_: object, **__: object) -> None:
        """All watchers that start by themselves will be started."""
        self.daemon.call("start")

    def stop_watchers(self, *_: object, **__: object) -> None:
        """All watchers will be stopped."""
        self.daemon.call("stop")
