"""The commands that look at what watchers and their processes take and hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from circusd.core.process import Process
from circusd.kernel import proc
from circusd.schema.commands import reaches
from circusd.schema.errors import Denied, NotFound
from circusd.schema.options import WATCHER
from circusd.schema.secrets import masked

from . import clock, snapshot
from .arbiter import Arbiter, in_background
from .loadhistory import SPAN
from .looks import Looks
from .requests import Context, Later, Reply, as_int, as_seconds, truthy
from .selection import named, seen, select
from .watcher import Watcher

if TYPE_CHECKING:
    from .daemon import Daemon

EVENTS_LIMIT: Final = 500
ENDS_LIMIT: Final = 10
"""Of the last ends of a process."""


class Looking:
    """History, trees, single processes."""

    arbiter: Arbiter
    daemon: Daemon

    def cmd_history(self, p: dict[str, Any], c: Context) -> Reply:
        span = min(as_seconds(p.get("last", SPAN), "last"), SPAN)
        has_name = bool(p.get("name"))
        names = sorted(w.name for w in named(self.arbiter, p, c))

        def told() -> dict[str, Any]:
            reply: dict[str, Any] = self.daemon.load_history.told(names, span)
            return reply

        def payload(reply: dict[str, Any]) -> dict[str, Any]:
            since = clock.wall() - span
            if not c.person.scope.is_all:
                # These count the processes of all watchers.
                unknown = [None] * len(reply["times"])
                reply["daemon"] |= {"processes": unknown, "restarts": unknown}
            events = self.arbiter.journal.last(EVENTS_LIMIT, names) if has_name else []
            return {**reply, "events": [event for event in events if event["time"] >= since]}

        return Later(in_background(told), payload)

    def cmd_tree(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = named(self.arbiter, p, c)
        slots = {w.name: [s for _, s in sorted(w.planner.processes.items())] for w in watchers}
        roots = [slot.pid for listed in slots.values() for slot in listed if slot.pid is not None]
        looks: Looks = self.daemon.looks

        def gathered() -> dict[str, Any]:
            trees = looks.trees(roots)
            found = {}
            for name, listed in slots.items():
                found[name] = [_branch(slot, trees.own, trees.below) for slot in listed]
            return {"watchers": found, "left_out": trees.left_out}

        return Later(in_background(gathered), lambda reply: reply)

    def cmd_process(self, p: dict[str, Any], c: Context) -> Reply:
        (watcher,) = select(seen(self.arbiter, c), {"name": p["name"], "match": "simple"})
        wid = as_int(p["wid"], "wid")
        slot = watcher.planner.processes.get(wid)
        if slot is None:
            known = ", ".join(map(str, sorted(watcher.planner.processes)))
            raise NotFound(f"{watcher.name} has no process {wid}", hint=f"it has: {known or 'none'}")
        values = truthy(p.get("values"))
        if values and not reaches(c.person.role, "admin"):
            raise Denied(
                f"values of variables are for the role admin; {c.person.name or 'you'} has {c.person.role}"
            )
        return Later(in_background(lambda: self._process(watcher, slot, values)), lambda reply: reply)

    def _process(self, watcher: Watcher, slot: Process, values: bool) -> dict[str, Any]:
        reply: dict[str, Any] = {
            "watcher": watcher.name,
            "process": snapshot.process_view(slot),
            "ends": self._ends(watcher, slot.wid),
            "pid": slot.pid,
            "below": [],
            "left_out": 0,
        }
        row = None if slot.pid is None else proc.row(slot.pid)
        if slot.pid is None or row is None:
            return reply
        looks: Looks = self.daemon.looks
        details = looks.details(row.identity)
        if details is None:
            return reply
        trees = looks.trees([slot.pid])
        environment = details.pop("environment")
        if environment is not None:
            variables, whole = environment
            shown = variables if values else masked({"env": variables}, WATCHER)["env"]
            reply |= {"environment": shown, "environment_whole": whole}
        limits, files = details.pop("limits"), details.pop("files")
        reply |= {"stats": {**details, "cpu": trees.own.get(slot.pid, {}).get("cpu")}, "limits": limits}
        reply |= {"below": trees.below.get(slot.pid, []), "left_out": trees.left_out}
        if files is not None:
            reply["files"] = files
        return reply

    def cmd_crashes(self, p: dict[str, Any], c: Context) -> Reply:
        names = [w.name for w in named(self.arbiter, p, c)]
        crashes = self.daemon.crashes
        return Later(
            in_background(lambda: crashes.of(names)),
            lambda rows: {"crashes": rows, "problem": crashes.problem},
        )

    def cmd_crash(self, p: dict[str, Any], c: Context) -> Reply:
        (watcher,) = select(seen(self.arbiter, c), {"name": p["name"], "match": "simple"})
        number = None if p.get("id") is None else as_int(p["id"], "id")

        def found() -> dict[str, Any]:
            report: dict[str, Any] | None = self.daemon.crashes.report(watcher.name, number)
            if report is None:
                known = ", ".join(str(row["id"]) for row in self.daemon.crashes.of([watcher.name]))
                which = "" if number is None else f" {number}"
                raise NotFound(
                    f"{watcher.name} has no crash report{which}", hint=f"it has: {known}" if known else ""
                )
            return {"crash": report}

        return Later(in_background(found), lambda reply: reply)

    def _ends(self, watcher: Watcher, wid: int) -> list[dict[str, Any]]:
        """How the processes of a slot ended, the last ones, oldest first."""
        ends = [
            {key: event.get(key) for key in ("time", "pid", "code", "signal", "lived", "text")}
            for event in self.arbiter.journal.last(len(self.arbiter.journal.kept), [watcher.name])
            if event["event"] == "process.exited" and event.get("wid") == wid
        ]
        return ends[-ENDS_LIMIT:]


def _branch(
    slot: Process, own: dict[int, dict[str, Any]], below: dict[int, list[dict[str, Any]]]
) -> dict[str, Any]:
    pid = slot.pid or 0
    return {
        "wid": slot.wid,
        "pid": slot.pid,
        "state": slot.state.value,
        "started": None if slot.started is None else round(clock.wall(slot.started), 3),
        **own.get(pid, {"command": "", "cpu": None, "rss": None}),
        "below": below.get(pid, []),
    }
