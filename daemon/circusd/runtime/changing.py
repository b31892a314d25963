"""The commands that change watchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from circusd.config.model import watcher_from_options, with_options
from circusd.kernel import proc
from circusd.schema.commands import reaches
from circusd.schema.errors import BadRequest, Conflict, Denied
from circusd.schema.nearest import nearest
from circusd.schema.options import WATCHER, Option, watcher_option

from . import endpointowner
from .arbiter import Arbiter, in_background, resolve_credentials
from .requests import (
    Context,
    Later,
    Reply,
    abandoned,
    all_done,
    as_int,
    as_seconds,
    find_watcher,
    matching_glob,
    matching_regex,
    one,
    to_signum,
    truthy,
)
from .watcher import Ticket, Watcher

MATCHES = ("simple", "glob", "regex")


class Changing:
    """Start, stop, scale, set, kill, signal, add, remove."""

    arbiter: Arbiter
    daemon: Any

    # -- watchers ------------------------------------------------------------------------------------------------

    def _matching(self, properties: Mapping[str, Any]) -> list[str]:
        """Names (lower case) that the request means, for commands with ``match``."""
        name, match = str(properties["name"]), properties.get("match") or "glob"
        if match not in MATCHES:
            raise BadRequest(
                f"unknown match method {match}", field="match", hint=f"expected one of {', '.join(MATCHES)}"
            )
        wanted = name.lower()
        names = sorted(self.arbiter.watchers)
        if match == "simple":
            found = [n for n in names if n == wanted]
        elif match == "glob":
            found = [wanted] if wanted in self.arbiter.watchers else matching_glob(wanted, names)
        else:
            found = matching_regex(wanted, names)
        if not found:
            find_watcher(self.arbiter, name)
        return found

    def cmd_start(self, p: dict[str, Any], c: Context) -> Reply:
        if not p.get("name"):
            return Later(self.arbiter.start_all(), all_done)
        names = self._matching(p)
        return self._one_orall_done(names, lambda w: w.submit(self.arbiter.job("start")), ("started", "kept"))

    def cmd_stop(self, p: dict[str, Any], c: Context) -> Reply:
        names = self._matching(p) if p.get("name") else None
        if names is not None and len(names) == 1:
            return one(self.arbiter.find(names[0]).submit(self.arbiter.job("stop")), ())
        return Later(self.arbiter.stop_all(names), all_done)

    def cmd_restart(self, p: dict[str, Any], c: Context) -> Reply:
        names = self._matching(p) if p.get("name") else self._running()
        submit = lambda w: w.submit(self.arbiter.job("restart"))  # noqa: E731
        if not p.get("name"):
            return Later(self.arbiter.each(names, submit), all_done)
        return self._one_orall_done(names, submit, ("stopped", "started", "kept"))

    def cmd_reload(self, p: dict[str, Any], c: Context) -> Reply:
        graceful = truthy(p.get("graceful", True)) and not truthy(p.get("terminate"))
        sequential = truthy(p.get("sequential"))

        def submit(w: Watcher) -> Ticket:
            return w.submit(self.arbiter.job("reload", graceful=graceful, sequential=sequential))

        if p.get("name"):
            return one(submit(find_watcher(self.arbiter, p["name"])), ("stopped", "started", "kept"))
        return Later(self.arbiter.each(self._running(), submit), all_done)

    def _running(self) -> list[str]:
        return [n for n, w in self.arbiter.watchers.items() if w.planner.wanted]

    def _one_orall_done(
        self, names: list[str], submit: Callable[[Watcher], Ticket], keys: tuple[str, ...]
    ) -> Later:
        if len(names) == 1:
            return one(submit(self.arbiter.find(names[0])), keys)
        return Later(self.arbiter.each(names, submit), all_done)

    def cmd_incr(self, p: dict[str, Any], c: Context) -> Reply:
        return self._scale(p, +1, "incr")

    def cmd_decr(self, p: dict[str, Any], c: Context) -> Reply:
        return self._scale(p, -1, "decr")

    def _scale(self, p: dict[str, Any], sign: int, command: str) -> Reply:
        watcher, nb = find_watcher(self.arbiter, p["name"]), as_int(p.get("nb", 1), "nb")
        if nb < 0:
            raise BadRequest("nb must not be negative", field="nb")
        if watcher.config.singleton:
            return {"numprocesses": watcher.config.numprocesses, "singleton": True}
        job = self.arbiter.job("scale", command)

        def prepare() -> None:
            # Counted when its turn has come: two commands in a row add up.
            self._rescale(watcher, max(0, watcher.config.numprocesses + sign * nb))

        ticket = watcher.submit(job, prepare)
        return Later(ticket.result, lambda ended: {"numprocesses": watcher.config.numprocesses})

    def _rescale(self, watcher: Watcher, number: int) -> None:
        before = watcher.config.numprocesses
        config = with_options(watcher.config, {"numprocesses": number})
        watcher.reconfigure(config, watcher.credentials)
        if number != before:
            watcher.tell("watcher.scaled", before=before, after=number)

    def cmd_add(self, p: dict[str, Any], c: Context) -> Reply:
        name = p["name"]
        if not isinstance(name, str) or not name.strip():
            raise BadRequest("name must not be empty", field="name")
        options = p.get("options") or {}
        owner = c.person.owner
        if owner is not None:
            options = endpointowner.check_add(options, owner, (c.person.name, self.daemon.endpoint_owner))
        _option_rows(options)
        given: dict[str, Any] = {**options, "cmd": p["cmd"]}
        if p.get("args") is not None:
            given["args"] = p["args"]
        config = watcher_from_options(
            name, {k: v for k, v in given.items() if v is not None or k.startswith("rlimit_")}
        )
        if owner is not None:
            endpointowner.check_command(config)
        start = truthy(p.get("start"))
        if name.lower() in self.arbiter.watchers:
            raise Conflict(f"watcher {name} already exists")

        def run() -> dict[str, Any]:
            watcher = self.arbiter.add(config)
            if not start:
                return {}
            ended: Any = watcher.submit(self.arbiter.job("start", "add")).result.get()
            return {"started": list(ended.started), "kept": list(ended.kept)}

        if config.uid is None and config.gid is None:
            # Nobody has to be looked up: the watcher is there before the reply, as scripts expect.
            watcher = self.arbiter.add(config)
            if not start:
                return {}
            return one(watcher.submit(self.arbiter.job("start", "add")), ("started", "kept"), flat=True)
        return Later(in_background(run), lambda payload: payload)

    def cmd_rm(self, p: dict[str, Any], c: Context) -> Reply:
        watcher = find_watcher(self.arbiter, p["name"])
        if truthy(p.get("nostop")):
            self.arbiter.remove(watcher, left_running=True)
            return {}
        ticket = watcher.submit(self.arbiter.job("stop", "rm"))

        def run() -> dict[str, Any]:
            ended = ticket.result.get()
            self.arbiter.remove(watcher)
            return abandoned([ended])

        return Later(in_background(run), lambda payload: payload)

    def cmd_set(self, p: dict[str, Any], c: Context) -> Reply:
        watcher, options = find_watcher(self.arbiter, p["name"]), p["options"]
        if not isinstance(options, dict):
            raise BadRequest("'options' property should be an object", field="options")
        rows = _option_rows(options)
        if c.person.owner is not None:
            endpointowner.check_set(rows)
        for key, row in rows.items():
            if not reaches(c.person.role, row.role):
                raise Denied(f"{key} is for the role {row.role}, as it decides what code runs or as whom")
        number = options.get("numprocesses")
        stays_single = watcher.config.singleton and "singleton" not in options
        if number is not None and stays_single and as_int(number, "numprocesses") > 1:
            raise Conflict("Singleton watcher has a single process", hint="set singleton to false first")
        with_options(watcher.config, options)  # all problems at once, before anything is done
        restarts = any(row.apply in ("process", "watcher") for row in rows.values())
        job = self.arbiter.job("apply", "set")

        def prepare() -> None:
            config = with_options(watcher.config, options)
            before = watcher.config
            watcher.reconfigure(config, watcher.credentials)
            for key in options:
                watcher.tell("watcher.updated", key=key)
            if config.numprocesses != before.numprocesses:
                watcher.tell("watcher.scaled", before=before.numprocesses, after=config.numprocesses)
                job.kind = "scale"
            if restarts and watcher.planner.wanted:
                job.kind = "reload"

        if {"uid", "gid"} & set(options):
            return Later(
                in_background(lambda: self._set_as_user(watcher, options, job, prepare, c.waiting)),
                lambda payload: payload,
                at_once=False,
            )
        ticket = watcher.submit(job, prepare)
        return Later(ticket.result, lambda ended: {})

    def _set_as_user(
        self, watcher: Watcher, options: Any, job: Any, prepare: Callable[[], None], waiting: bool
    ) -> dict[str, Any]:
        credentials = resolve_credentials(with_options(watcher.config, options))
        if credentials.error is not None:
            raise BadRequest(credentials.error.text, field="uid")

        def with_user() -> None:
            watcher.credentials = credentials
            prepare()

        ticket = watcher.submit(job, with_user)
        if waiting:
            ticket.result.get()
        return {}

    def cmd_kill(self, p: dict[str, Any], c: Context) -> Reply:
        watcher = find_watcher(self.arbiter, p["name"])
        wids: tuple[int, ...] | None = None
        if p.get("pid") is not None:
            pid = as_int(p["pid"], "pid")
            wids = tuple(w for w, process in watcher.planner.processes.items() if process.pid == pid)
        grace = p.get("graceful_timeout")
        job = self.arbiter.job(
            "kill",
            wids=wids,
            signum=None if p.get("signum") is None else to_signum(p["signum"]),
            grace=None if grace is None else as_seconds(grace, "graceful_timeout"),
        )
        ticket = watcher.submit(job)
        return Later(ticket.result, lambda ended: abandoned([ended]))

    def cmd_signal(self, p: dict[str, Any], c: Context) -> Reply:
        watcher, signum = find_watcher(self.arbiter, p["name"]), to_signum(p["signum"])
        pids = watcher.planner.pids()
        if p.get("pid") is not None:
            pid = as_int(p["pid"], "pid")
            pids = [x for x in pids if x == pid]
        children, recursive = truthy(p.get("children")), truthy(p.get("recursive"))
        childpid = p.get("childpid", p.get("child_pid"))
        if childpid is not None:
            if p.get("pid") is None:
                raise BadRequest("cannot specify childpid without pid", field="childpid")
            self._signal_child(pids, as_int(childpid, "childpid"), signum)
            return {}
        if not children:
            watcher.signal_processes(signum, pids)
        if children or recursive:
            table = proc.sweep()
            below = proc.descendants(pids, table) if recursive else proc.children(pids, table)
            for pid in pids:
                for child in below[pid]:
                    proc.signal_process(child, signum)
        return {}

    def _signal_child(self, pids: list[int], childpid: int, signum: int) -> None:
        for pid, children in proc.descendants(pids).items():
            for child in children:
                if child.pid == childpid:
                    proc.signal_process(child, signum)
                    return
            del pid
        raise Conflict(f"process {childpid} is not a child of the process named")


def _option_rows(options: Mapping[str, Any]) -> dict[str, Option]:
    """The row of each key; an unknown key is an error that names the nearest.

    An object such as ``hooks`` has the rows of what is in it, and that of the family, as it may take away what is not.
    """
    rows: dict[str, Option] = {}
    for key, value in options.items():
        prefix = "rlimit_" if key == "rlimits" else f"{key}."
        names = [key]
        if any(row.prefix == prefix for row in WATCHER):
            within = value if isinstance(value, Mapping) else ()
            names = [f"{prefix}*", *(f"{prefix}{name}" for name in within)]
        for name in names:
            row = watcher_option(name)
            if row is None:
                close = nearest(name, [row.name for row in WATCHER])
                raise BadRequest(
                    f"unknown key {name!r}", field=name, hint=f"did you mean {close}?" if close else ""
                )
            rows[name] = row
    return rows
