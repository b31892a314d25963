"""The commands that only read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult

from circusd.config.model import WatcherConfig, describe
from circusd.core.outside import silent_now
from circusd.core.process import Process
from circusd.core.words import mermaid
from circusd.schema.commands import reaches
from circusd.schema.errors import BadRequest, NotFound
from circusd.schema.events import EventFilter
from circusd.schema.nearest import nearest
from circusd.schema.options import WATCHER
from circusd.schema.secrets import masked
from circusd.version import __version__

from . import snapshot
from .arbiter import Arbiter, in_background
from .audit import MOST_ENTRIES, EntryFilter
from .journal import KEPT_EVENTS
from .processinfo import ProcessInfo
from .requests import Context, Later, Reply, as_int, as_seconds, truthy
from .selection import chosen, named, seen, select, several
from .timeline import timeline
from .watcher import Watcher

if TYPE_CHECKING:
    from .daemon import Daemon


class Reading:
    """Lists, states, options, statistics, output."""

    arbiter: Arbiter
    daemon: Daemon

    process_info: ProcessInfo

    # -- reading -------------------------------------------------------------------------------------------------

    def cmd_list(self, p: dict[str, Any], c: Context) -> Reply:
        if p.get("name"):
            return several(select(seen(self.arbiter, c), p), lambda w: {"pids": w.planner.pids()})
        return {"watchers": sorted(seen(self.arbiter, c).watchers)}

    def cmd_status(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = named(self.arbiter, p, c)
        if p.get("name") and len(watchers) == 1:
            return {"status": watchers[0].planner.status()}
        return {"statuses": {w.name: w.planner.status() for w in watchers}}

    def cmd_numprocesses(self, p: dict[str, Any], c: Context) -> Reply:
        watchers = named(self.arbiter, p, c)
        if not p.get("name"):
            return {"numprocesses": sum(len(w.planner.pids()) for w in watchers)}
        if len(watchers) == 1:
            return {"numprocesses": len(watchers[0].planner.pids()), "watcher_name": p["name"]}
        results = {w.name: {"numprocesses": len(w.planner.pids())} for w in watchers}
        return {"numprocesses": sum(r["numprocesses"] for r in results.values()), "results": results}

    def cmd_numwatchers(self, p: dict[str, Any], c: Context) -> Reply:
        return {"numwatchers": len(seen(self.arbiter, c).watchers)}

    def cmd_options(self, p: dict[str, Any], c: Context) -> Reply:
        def of(watcher: Watcher) -> Reply:
            options = self._options(watcher.config, c)
            reply = {"options": {key: options[key] for key in sorted(options)}}
            changed = self._changed(watcher, c)
            return {**reply, "changed": changed} if changed else reply

        return several(select(seen(self.arbiter, c), p), of)

    def _changed(self, watcher: Watcher, c: Context) -> dict[str, Any]:
        """What the configuration says of options that are not so any more; None for one that is not in it."""
        read = {w.name.lower(): w for w in self.daemon.configuration.watchers}.get(watcher.name.lower())
        if read is None or read == watcher.config:
            return {}
        was, now = describe(read), describe(watcher.config)
        keys = [key for key in {**now, **was} if was.get(key) != now.get(key)]
        shown = self._options(read, c)
        return {key: shown.get(key) for key in sorted(keys)}

    def cmd_get(self, p: dict[str, Any], c: Context) -> Reply:
        keys = p["keys"]
        if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys):
            raise BadRequest("keys must be a list of names", field="keys")

        def of(watcher: Watcher) -> Reply:
            options = self._options(watcher.config, c)
            for key in keys:
                if key not in options:
                    close = nearest(key, list(options))
                    raise BadRequest(
                        f"{key!r} option not found",
                        field=key,
                        hint=f"did you mean {close}?" if close else "",
                    )
            return {"options": {key: options[key] for key in keys}}

        return several(select(seen(self.arbiter, c), p), of)

    def _options(self, config: WatcherConfig, c: Context) -> dict[str, Any]:
        """All options; secret values are for those who decide what runs."""
        options = describe(config)
        # As in the original, the folder that it is when none was given.
        options["working_dir"] = options["working_dir"] or self.arbiter.services.base_dir
        if reaches(c.person.role, "admin"):
            return options
        return masked(options, WATCHER)

    def cmd_globaloptions(self, p: dict[str, Any], c: Context) -> Reply:
        options = self.daemon.global_options()
        if truthy(p.get("all")):
            options = {**self.daemon.file_options(), **options}
        name = p.get("option")
        if name:
            if name not in options:
                raise BadRequest(f"{name!r} not an existing option", field="option")
            return {"options": {name: options[name]}}
        return {"options": options}

    def cmd_stats(self, p: dict[str, Any], c: Context) -> Reply:
        extended = truthy(p.get("extended"))
        watchers = named(self.arbiter, p, c)
        if not p.get("name") or len(watchers) > 1:
            groups = {w.name: _running(w) for w in watchers}
            return Later(in_background(lambda: self.process_info.of(groups)), lambda infos: {"infos": infos})
        (watcher,) = watchers
        slots = _running(watcher)
        if p.get("process") is not None:
            pid = as_int(p["process"], "process")
            slots = [slot for slot in slots if slot.pid == pid]
            if not slots:
                raise NotFound(f"process {pid} not found in {p['name']!r}")
            return Later(
                in_background(lambda: self._stats_of(watcher, slots, False)),
                lambda infos: {"process": pid, "info": infos.get(str(pid), {})},
            )
        return Later(
            in_background(lambda: self._stats_of(watcher, slots, extended)),
            lambda infos: {"name": p["name"], "info": infos},
        )

    def _stats_of(self, watcher: Watcher, slots: list[Process], extended: bool) -> dict[str, Any]:
        infos = self.process_info.of({watcher.name: slots}, extended=extended)[watcher.name]
        if extended and "extended_stats" in watcher.config.hooks:
            self._extend(watcher, infos)
        return infos

    def _extend(self, watcher: Watcher, infos: dict[str, Any]) -> None:
        config = watcher.config.hooks["extended_stats"]
        for pid, info in infos.items():
            answer: AsyncResult[Any] = AsyncResult()
            extra = {"pid": int(pid), "stats": info}
            view = self.arbiter.hook_snapshot(watcher)
            self.arbiter.services.hooks.call(
                view, "extended_stats", config, extra, watcher.config.hook_timeout, answer.set
            )
            result: Any = answer.get()
            if result.error:
                # A success is not told: it would be an event for each process at each look.
                failed = partial(watcher.tell, "hook.failed", hook="extended_stats", error=result.error)
                self.arbiter.post(watcher, failed)
            if result.ok and isinstance(result.changed.get("stats"), dict):
                infos[pid] = result.changed["stats"]

    def cmd_dstats(self, p: dict[str, Any], c: Context) -> Reply:
        return {"info": self.process_info.of_daemon(), "loop": self.daemon.loop_lag.view()}

    def cmd_inspect(self, p: dict[str, Any], c: Context) -> Reply:
        if not p.get("name"):
            gather = partial(self.daemon.snapshot, c.person.scope)
            return Later(in_background(gather), self._with_counters)
        names = [w.name for w in select(seen(self.arbiter, c), p)]
        return Later(
            in_background(lambda: snapshot.inspect(self.arbiter, self.daemon.view(), names)),
            self._with_counters,
        )

    def _with_counters(self, reply: dict[str, Any]) -> dict[str, Any]:
        for view in reply["watchers"]:
            # Not in what pages follow: it changes all the time, and they are sent what has changed.
            watcher = self.arbiter.watchers.get(view["name"].lower())
            if watcher is not None:
                view["output"]["streams"] = watcher.output.counters()
        return reply

    def cmd_explain(self, p: dict[str, Any], c: Context) -> Reply:
        asked = select(seen(self.arbiter, c), p) if p.get("name") else None
        names = None if asked is None else [w.name for w in asked]
        keys = ("name", "state", "status", "explain", "crash")

        def run() -> Reply:
            # Only where somebody asks for these: an address outside may take seconds.
            silent = self.arbiter.dependencies.silent(asked or ())
            views = snapshot.inspect(self.arbiter, {}, names, c.person.scope)["watchers"]
            for view in views:
                needs = [need["name"] for need in view["needs"] if need["name"] in silent]
                view["explain"] = " ".join([view["explain"], *(silent_now(n, silent[n]) for n in needs)])
            return {"watchers": [{key: view[key] for key in keys} for view in views]}

        return Later(in_background(run), lambda reply: reply)

    def cmd_graph(self, p: dict[str, Any], c: Context) -> Reply:
        mine = seen(self.arbiter, c).watchers
        names = [w.name.lower() for w in select(seen(self.arbiter, c), p)] if p.get("name") else list(mine)
        rows = self.arbiter.dependencies.graph(names, mine)
        return {"watchers": rows, **({"mermaid": mermaid(rows)} if truthy(p.get("mermaid")) else {})}

    def cmd_timeline(self, p: dict[str, Any], c: Context) -> Reply:
        mine = seen(self.arbiter, c)
        return timeline(named(self.arbiter, p, c), mine.watchers, of_boot=not truthy(p.get("last")))

    def cmd_wait(self, p: dict[str, Any], c: Context) -> Reply:
        timeout = None if p.get("timeout") is None else as_seconds(p["timeout"], "timeout")
        state = p["state"]
        watchers = chosen(self.arbiter, p, c)
        result = self.daemon.waits.begin(watchers, state, timeout, c.caller.connection, c.order, c.request.id)
        return Later(result, lambda names: {"state": state, "watchers": names})

    def cmd_events(self, p: dict[str, Any], c: Context) -> Reply:
        names = [w.name for w in select(seen(self.arbiter, c), p)] if p.get("name") else []
        # Events of watchers that are gone, and of no watcher, are for who may see all.
        wanted = None if c.person.scope.is_all else list(seen(self.arbiter, c).watchers)
        lines = min(max(as_int(p.get("lines", 20), "lines"), 0), KEPT_EVENTS)
        before = None if p.get("before") is None else as_int(p["before"], "before")
        which = EventFilter(
            before,
            str(p.get("kind") or "").lower(),
            str(p.get("level") or ""),
            str(p.get("text") or "").lower(),
        )
        # One more than is asked for tells whether there are older ones.
        events = self.arbiter.journal.last(lines + 1, names or wanted, which)
        more = len(events) > lines
        return {"events": events[1:] if more else events, "watchers": names, "more": more}

    def cmd_audit(self, p: dict[str, Any], c: Context) -> Reply:
        count = min(max(as_int(p.get("lines", 20), "lines"), 0), 1000)
        skip = min(max(as_int(p.get("skip", 0), "skip"), 0), MOST_ENTRIES)
        which = EntryFilter(
            str(p.get("person") or "").lower(),
            str(p.get("command") or "").lower(),
            str(p.get("result") or ""),
        )
        audit = self.daemon.audit
        return Later(
            in_background(partial(audit.last, count, which, skip)),
            lambda entries: {"entries": entries, **audit.view()},
        )

    def cmd_ping(self, p: dict[str, Any], c: Context) -> Reply:
        return {"pong": True, "version": __version__, "pid": self.daemon.pid, "epoch": self.daemon.life}

    def cmd_version(self, p: dict[str, Any], c: Context) -> Reply:
        return {"version": __version__}

    def cmd_ipython(self, p: dict[str, Any], c: Context) -> Reply:
        return {
            "shell": False,
            "msg": "there is no IPython kernel in circusd: a client could run any code in it",
        }


def _running(watcher: Watcher) -> list[Process]:
    return [process for _, process in sorted(watcher.planner.processes.items()) if process.pid is not None]
