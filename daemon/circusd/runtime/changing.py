"""The commands that change watchers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from circusd.config.model import watcher_from_options, with_options
from circusd.core.effects import JobEnded
from circusd.core.process import State
from circusd.kernel import proc
from circusd.schema.errors import BadRequest, CircusError, Conflict, Denied

from . import endpointowner
from .arbiter import Arbiter, in_background
from .dependencies import forbid_outside
from .requests import (
    Context,
    Later,
    Reply,
    abandoned,
    all_done,
    as_int,
    as_seconds,
    one,
    to_signum,
    truthy,
)
from .selection import chosen, named, seen, select, several
from .setting import option_rows
from .watcher import Ticket, Watcher

if TYPE_CHECKING:
    from .daemon import Daemon

RENEWED = ("stopped", "started", "kept")
"""What the reply to a restart or a reload tells, as lists of pids."""


class Changing:
    """Start, stop, scale, kill, signal, add, remove."""

    arbiter: Arbiter
    daemon: Daemon

    # -- watchers ------------------------------------------------------------------------------------------------

    def cmd_start(self, p: dict[str, Any], c: Context) -> Reply:
        if not p.get("name"):
            those = self._those(c)
            if those is not None:
                those = [name for name in those if self.arbiter.watchers[name].config.autostart]
            return Later(self.arbiter.start_all(those, order=c.order), all_done)
        watchers = select(seen(self.arbiter, c), p)
        names = _names(watchers)
        needed = [n for n in self.arbiter.dependencies.to_start(names) if n in seen(self.arbiter, c).watchers]
        if len(watchers) > 1:
            return Later(self.arbiter.start_all([*names, *needed], order=c.order), all_done)
        if needed:
            self.arbiter.start_all(needed, f"start for {watchers[0].name}")
        return one(watchers[0].submit(self.arbiter.job("start", order=c.order)), ("started", "kept"))

    def cmd_stop(self, p: dict[str, Any], c: Context) -> Reply:
        if not p.get("name"):
            return Later(self.arbiter.stop_all(self._those(c), order=c.order), all_done)
        watchers = select(seen(self.arbiter, c), p)
        if len(watchers) > 1:
            return Later(self.arbiter.stop_all(_names(watchers), order=c.order), all_done)
        return one(watchers[0].submit(self.arbiter.job("stop", order=c.order)), ())

    def _those(self, c: Context) -> list[str] | None:
        """The names of all watchers that who asks may see, where they are not all that there are."""
        return None if c.person.scope.is_all else list(seen(self.arbiter, c).watchers)

    def cmd_restart(self, p: dict[str, Any], c: Context) -> Reply:
        return self._renew(p, c, lambda w: w.submit(self.arbiter.job("restart", order=c.order)), all_done)

    def cmd_reload(self, p: dict[str, Any], c: Context) -> Reply:
        graceful = truthy(p.get("graceful", True)) and not truthy(p.get("terminate"))
        batch = _batch(p)

        def submit(w: Watcher) -> Ticket:
            job = self.arbiter.job("reload", order=c.order, graceful=graceful, batch=batch)
            return w.submit(job)

        return self._renew(p, c, submit, _results if p.get("name") else all_done)

    def _renew(
        self,
        p: dict[str, Any],
        c: Context,
        submit: Callable[[Watcher], Ticket],
        done: Callable[[Any], dict[str, Any]],
    ) -> Reply:
        """Without a name all that run, the highest priority first: never what is stopped, and never the daemon."""
        if not p.get("name"):
            running = [n for n, w in seen(self.arbiter, c).watchers.items() if w.planner.wanted]
            return Later(self.arbiter.in_turn(running, submit, c.order, only_wanted=True), done)
        watchers = select(seen(self.arbiter, c), p)
        if len(watchers) > 1:
            return Later(self.arbiter.in_turn(_names(watchers), submit, c.order), done)
        return one(submit(watchers[0]), RENEWED)

    def cmd_incr(self, p: dict[str, Any], c: Context) -> Reply:
        return self._scale(p, c, +1)

    def cmd_decr(self, p: dict[str, Any], c: Context) -> Reply:
        return self._scale(p, c, -1)

    def _scale(self, p: dict[str, Any], c: Context, sign: int) -> Reply:
        nb = as_int(p.get("nb", 1), "nb")
        if nb < 0:
            raise BadRequest("nb must not be negative", field="nb")
        return several(chosen(self.arbiter, p, c), lambda w: self._scale_one(w, sign * nb, c))

    def _scale_one(self, watcher: Watcher, by: int, c: Context) -> Reply:
        if watcher.config.singleton:
            return {"numprocesses": watcher.config.numprocesses, "singleton": True}
        job = self.arbiter.job("scale", c.order.row.name, order=c.order)

        def prepare() -> None:
            # Counted when its turn has come: two commands in a row add up.
            self._rescale(watcher, max(0, watcher.config.numprocesses + by))

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
        if not c.person.scope.sees(name):
            raise Denied(
                f"{name} is none of the watchers that {c.person.name} may see", hint="choose a name that is"
            )
        options = p.get("options") or {}
        owner = c.person.owner
        if owner is not None:
            options = endpointowner.check_add(options, owner, (c.person.name, self.daemon.endpoints.owner))
        option_rows(options)
        given: dict[str, Any] = {**options, "cmd": p["cmd"]}
        if p.get("args") is not None:
            given["args"] = p["args"]
        config = watcher_from_options(
            name, {k: v for k, v in given.items() if v is not None or k.startswith("rlimit_")}
        )
        self.arbiter.dependencies.check(config, c.person.scope)
        self.arbiter.dependencies.check_users(config, c.person.scope)
        if owner is not None:
            endpointowner.check_command(config)
            forbid_outside(config)
        start = truthy(p.get("start"))
        if name.lower() in self.arbiter.watchers:
            raise Conflict(f"watcher {name} already exists")

        def run() -> dict[str, Any]:
            watcher = self.arbiter.add(config)
            if not start:
                return {}
            ended: Any = watcher.submit(self.arbiter.job("start", "add", order=c.order)).result.get()
            return {"started": list(ended.started), "kept": list(ended.kept)}

        if config.uid is None and config.gid is None:
            # Nobody has to be looked up: the watcher is there before the reply, as scripts expect.
            watcher = self.arbiter.add(config)
            if not start:
                return {}
            return one(
                watcher.submit(self.arbiter.job("start", "add", order=c.order)),
                ("started", "kept"),
                flat=True,
            )
        return Later(in_background(run), lambda payload: payload)

    def cmd_rm(self, p: dict[str, Any], c: Context) -> Reply:
        left_running = truthy(p.get("nostop"))
        return several(chosen(self.arbiter, p, c), lambda w: self._remove(w, c, left_running=left_running))

    def _remove(self, watcher: Watcher, c: Context, *, left_running: bool) -> Reply:
        if left_running:
            self.arbiter.remove(watcher, left_running=True)
            return {}
        ticket = watcher.submit(self.arbiter.job("stop", "rm", order=c.order))

        def run() -> dict[str, Any]:
            ended = ticket.result.get()
            self.arbiter.remove(watcher)
            return abandoned([ended])

        return Later(in_background(run), lambda payload: payload)

    def cmd_kill(self, p: dict[str, Any], c: Context) -> Reply:
        signum = None if p.get("signum") is None else to_signum(p["signum"])
        grace = p.get("graceful_timeout")
        seconds = None if grace is None else as_seconds(grace, "graceful_timeout")
        return several(chosen(self.arbiter, p, c), lambda w: self._kill_one(w, p, c, signum, seconds))

    def _kill_one(
        self, watcher: Watcher, p: Mapping[str, Any], c: Context, signum: int | None, grace: float | None
    ) -> Reply:
        wids: tuple[int, ...] | None = None
        if p.get("pid") is not None:
            pid = as_int(p["pid"], "pid")
            wids = tuple(w for w, process in watcher.planner.processes.items() if process.pid == pid)
        job = self.arbiter.job("kill", order=c.order, wids=wids, signum=signum, grace=grace)
        ticket = watcher.submit(job)
        return Later(ticket.result, lambda ended: abandoned([ended]))

    def cmd_signal(self, p: dict[str, Any], c: Context) -> Reply:
        signum = to_signum(p["signum"])
        if p.get("childpid", p.get("child_pid")) is not None and p.get("pid") is None:
            raise BadRequest("cannot specify childpid without pid", field="childpid")
        return several(
            select(seen(self.arbiter, c), p), lambda w: self._signal_one(w, p, signum, c.person.name)
        )

    def _signal_one(self, watcher: Watcher, p: Mapping[str, Any], signum: int, by: str) -> Reply:
        pids = watcher.planner.pids()
        if p.get("pid") is not None:
            pid = as_int(p["pid"], "pid")
            pids = [x for x in pids if x == pid]
        children, recursive = truthy(p.get("children")), truthy(p.get("recursive"))
        childpid = p.get("childpid", p.get("child_pid"))
        if childpid is not None:
            self._signal_child(pids, as_int(childpid, "childpid"), signum)
            return {}
        if not children:
            watcher.signalling.send_by_hand(signum, pids, by)
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

    def cmd_freeze(self, p: dict[str, Any], c: Context) -> Reply:
        if self.arbiter.stopping:
            raise Conflict("circusd is stopping")
        seconds = 0.0 if p.get("seconds") is None else as_seconds(p["seconds"], "seconds")
        watchers = select(seen(self.arbiter, c), p)
        pid = None if p.get("pid") is None else as_int(p["pid"], "pid")
        chosen = {w: [x for x in w.lasting_pids() if pid in (None, x)] for w in watchers}
        if not any(chosen.values()):
            raise Conflict(f"nothing of {p['name']} runs" if pid is None else f"no such process: {pid}")
        if c.person.session and any(w.kind == "httpd" and pids for w, pids in chosen.items()):
            raise Conflict(
                "the console would freeze itself, and nobody could thaw it there",
                hint="circusctl freeze does it",
            )
        return several(watchers, lambda w: {"frozen": w.freeze(chosen[w], c.person.name, seconds)})

    def cmd_thaw(self, p: dict[str, Any], c: Context) -> Reply:
        pid = None if p.get("pid") is None else as_int(p["pid"], "pid")

        def thaw(watcher: Watcher) -> Reply:
            return {
                "thawed": watcher.thaw([x for x in watcher.planner.pids() if pid in (None, x)], c.person.name)
            }

        watchers = named(self.arbiter, p, c)
        frozen = [w for w in watchers if any(x.state is State.FROZEN for x in w.planner.processes.values())]
        return several(watchers if p.get("name") else frozen, thaw)


def _batch(p: Mapping[str, Any]) -> int:
    """How many processes a reload replaces at a time; 0 for all."""
    if p.get("batch") is None:
        return 1 if truthy(p.get("sequential")) else 0
    batch = as_int(p["batch"], "batch")
    if batch < 1:
        raise BadRequest("batch must be 1 or more", field="batch")
    return batch


def _names(watchers: Iterable[Watcher]) -> list[str]:
    return [watcher.name.lower() for watcher in watchers]


def _results(outcomes: list[tuple[str, JobEnded | CircusError]]) -> dict[str, Any]:
    """What was done to each watcher of several; raises Failed when one of them did not come to its end."""
    all_done(outcomes)
    return {
        "results": {
            name: {"info": {key: list(getattr(ended, key)) for key in RENEWED}} for name, ended in outcomes
        }
    }
