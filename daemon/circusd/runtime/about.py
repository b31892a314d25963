"""The commands that tell of the daemon itself: its process and its doors, its plugins, and what is not in its files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from circusd.kernel import host, itself
from circusd.schema.options import PLUGIN, plugin_class, plugin_options
from circusd.schema.secrets import masked
from circusd.version import __version__

from .arbiter import Arbiter, in_background
from .requests import Context, Later, Reply

if TYPE_CHECKING:
    from .daemon import Daemon

SHOWN: Final = 200
"""Connections of one door that are told one by one."""


class About:
    """Nothing here changes anything."""

    arbiter: Arbiter
    daemon: Daemon

    _name_of: Callable[[int | None], str]

    def cmd_daemon(self, p: dict[str, Any], c: Context) -> Reply:
        daemon = self.daemon
        loop = daemon.loop_lag.view()
        doors = daemon.doors.view(SHOWN)
        whose = {pid: w.name for w in self.arbiter.watchers.values() for pid in w.planner.pids()}
        for door in doors:
            for row in door["connections"]:
                row["user"] = self._name_of(row["uid"])
                row["watcher"] = whose.get(row["pid"], "")
        return {
            "name": daemon.settings.name,
            "version": __version__,
            "pid": daemon.pid,
            "started": round(daemon.epoch, 3),
            "lag": loop["p99"],
            "loop": loop,
            "host": host.usage(),
            "usage": itself.usage(),
            "limits": itself.limits(),
            "doors": doors,
            "counters": daemon.doors.counters(),
            "configuration": {"path": daemon.settings.path, "files": list(daemon.configuration.files)},
        }

    def cmd_metrics(self, p: dict[str, Any], c: Context) -> Reply:
        return Later(in_background(partial(self.daemon.metrics.told, c.person.scope)), lambda reply: reply)

    def cmd_plugins(self, p: dict[str, Any], c: Context) -> Reply:
        heard = self.daemon.doors.view(SHOWN)
        rows = []
        for plugin in self.daemon.configuration.plugins:
            watcher = self.arbiter.watchers.get(plugin.watcher_name.lower())
            pids = [] if watcher is None else watcher.planner.pids()
            rows.append(
                {
                    "name": plugin.name,
                    "watcher": plugin.watcher_name if watcher is None else watcher.name,
                    "use": plugin.use,
                    "about": known.doc if (known := plugin_class(plugin.use)) else "",
                    "options": masked(dict(plugin.options), (*PLUGIN, *plugin_options(plugin.use))),
                    "status": "not there" if watcher is None else watcher.planner.status(),
                    "pids": pids,
                    "restarts": 0 if watcher is None else watcher.restarts_last_hour(),
                    "doors": [
                        {"door": door["name"], "channel": door["channel"], **row}
                        for door in heard
                        for row in door["connections"]
                        if row["pid"] is not None and row["pid"] in pids
                    ],
                }
            )
        return {"plugins": rows}

    def cmd_drift(self, p: dict[str, Any], c: Context) -> Reply:
        # Loaded when somebody asks, as `save` is.
        from .saving import drift

        return Later(in_background(lambda: drift(self.daemon)), lambda reply: reply)
