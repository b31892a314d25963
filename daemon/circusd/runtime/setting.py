"""The command ``set``: options of watchers that run, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from circusd.config.model import with_options
from circusd.core.effects import JobEnded
from circusd.core.watcher import Job
from circusd.core.words import count
from circusd.schema.commands import reaches
from circusd.schema.errors import BadRequest, Conflict, Denied
from circusd.schema.nearest import nearest
from circusd.schema.options import WATCHER, Option, watcher_option

from . import endpointowner
from .arbiter import Arbiter, in_background, resolve_credentials
from .dependencies import forbid_outside
from .requests import Context, Later, Person, Reply, as_int, truthy
from .selection import chosen, several
from .watcher import Credentials, Watcher

_STOP, _FAILURE, _START = "at the next stop", "at the next failure", "at the next start"
_END = "when a process ends"
_LOOK = "at the next look"
_NEXT_USE: Mapping[str, str] = {
    "autostart": "when circusd is started",
    "depends_on": _START,
    "restart_with_dependencies": _START,
    "outside_interval": _START,
    "outside_timeout": _START,
    "priority": "at the next start or stop of several watchers",
    "graceful_timeout": _STOP,
    "stop_signal": _STOP,
    "stop_children": _STOP,
    "send_hup": "at the next reload",
    "warmup_delay": _START,
    "stop_ladder": _STOP,
    "respawn": _END,
    "respawn_on": _END,
    "success_exit_codes": _END,
    "restart_delay": _END,
    "start_limit_burst": _END,
    "start_limit_interval": _END,
    "retry_in": _FAILURE,
    "on_demand": _START,
    "schedule_overlap": "at the next run",
    "run_timeout": "at the next run",
    "max_retry": _FAILURE,
    "backoff": _FAILURE,
    "backoff_max": _FAILURE,
    "settle_time": _FAILURE,
    "ready": _START,
    "start_timeout": _START,
    "ready_interval": _START,
    "ready_timeout": _START,
    "watchdog_signal": "at the next missing sign of life",
    "alive_interval": _LOOK,
    "alive_timeout": _LOOK,
    "alive_failures": _LOOK,
    "alive_successes": _LOOK,
    "alive_start_period": _START,
    "alive_replace": _LOOK,
}
"""When options that are looked up as they are needed count."""


_DECIDING = frozenset({"alive", "schedule"})
"""Options that say whether what others need of a watcher can ever be had."""


class Setting:
    """Sets options."""

    arbiter: Arbiter

    def cmd_set(self, p: dict[str, Any], c: Context) -> Reply:
        watchers, options = chosen(self.arbiter, p, c), p["options"]
        if not isinstance(options, dict):
            raise BadRequest("'options' property should be an object", field="options")
        rows = option_rows(options)
        if c.person.owner is not None:
            endpointowner.check_set(rows)
        for key, row in rows.items():
            if not reaches(c.person.role, row.role):
                raise Denied(f"{key} is for the role {row.role}, as it decides what code runs or as whom")
        for watcher in watchers:  # all problems at once, before anything is done
            _check(watcher, options, c.person)
        report = truthy(p.get("report"))

        def set_one(watcher: Watcher) -> Reply:
            job = self.arbiter.job("apply", "set", order=c.order)
            change = _Change(watcher, job, options, rows)

            def payload(ended: JobEnded) -> dict[str, Any]:
                return {"applied": _applied(watcher, job, rows, ended)} if report else {}

            if {"uid", "gid"} & set(options):
                return Later(
                    in_background(lambda: _as_user(change, payload, c.waiting)),
                    lambda done: done,
                    at_once=False,
                )
            return Later(watcher.submit(job, change.prepare, change.undo).result, payload)

        return several(watchers, set_one)


def option_rows(options: object) -> dict[str, Option]:
    """The row of each key; an unknown key is an error that names the nearest.

    An object such as ``hooks`` has the rows of what is in it, and that of the family, as it may take away what is not.
    """
    if not isinstance(options, Mapping):
        raise BadRequest("'options' property should be an object", field="options")
    rows: dict[str, Option] = {}
    for key, value in options.items():
        for name in _keys(str(key), value):
            row = watcher_option(name)
            if row is None:
                close = nearest(name, [row.name for row in WATCHER])
                raise BadRequest(
                    f"unknown key {name!r}", field=name, hint=f"did you mean {close}?" if close else ""
                )
            rows[name] = row
    return rows


def _keys(key: str, value: object) -> Iterable[str]:
    prefix = "rlimit_" if key == "rlimits" else f"{key}."
    if not any(row.prefix == prefix for row in WATCHER):
        return [key]
    within = value if isinstance(value, Mapping) else ()
    return [f"{prefix}*", *(f"{prefix}{name}" for name in within)]


def _check(watcher: Watcher, options: Mapping[str, Any], person: Person) -> None:
    """Raises unless the watcher can have these options."""
    number = options.get("numprocesses")
    stays_single = watcher.config.singleton and "singleton" not in options
    if number is not None and stays_single and as_int(number, "numprocesses") > 1:
        raise Conflict("Singleton watcher has a single process", hint="set singleton to false first")
    config = with_options(watcher.config, options)
    if "depends_on" in options:
        watcher.arbiter.dependencies.check(config, person.scope, watcher.config)
        if not reaches(person.role, "admin"):
            forbid_outside(config, watcher.config)
    if not _DECIDING.isdisjoint(options):
        watcher.arbiter.dependencies.check_users(config, person.scope)


class _Change:
    """Options that are set when the command's turn has come, and taken back when no process can be started with them."""

    def __init__(
        self, watcher: Watcher, job: Job, options: Mapping[str, Any], rows: Mapping[str, Option]
    ) -> None:
        self.watcher, self.job, self.options = watcher, job, options
        self.credentials: Credentials | None = None
        """Whom the processes are to run as, where that changes."""
        self._replaces = any(row.apply in ("process", "watcher") for row in rows.values())
        self._before = (watcher.config, watcher.credentials)

    def prepare(self) -> None:
        """The options count; which job that takes is with the job."""
        watcher, job = self.watcher, self.job
        self._before = before, _ = watcher.config, watcher.credentials
        config = with_options(before, self.options)
        watcher.reconfigure(config, self.credentials or watcher.credentials)
        self._tell()
        if config.numprocesses != before.numprocesses:
            watcher.tell("watcher.scaled", before=before.numprocesses, after=config.numprocesses)
            job.kind = "scale"
        if self._replaces and watcher.planner.wanted:
            # SIGHUP would leave the processes with what they were started with.
            job.kind, job.replaces = "reload", True

    def undo(self) -> None:
        """The options are as before."""
        self.watcher.reconfigure(*self._before)
        self._tell()

    def _tell(self) -> None:
        for key in self.options:
            self.watcher.tell("watcher.updated", key=key)


def _as_user(change: _Change, payload: Callable[[JobEnded], dict[str, Any]], waiting: bool) -> dict[str, Any]:
    watcher = change.watcher
    credentials = resolve_credentials(with_options(watcher.config, change.options))
    if credentials.error is not None:
        raise BadRequest(credentials.error.text, field="uid")
    change.credentials = credentials
    ticket = watcher.submit(change.job, change.prepare, change.undo)
    if not waiting:
        return {}
    ended: Any = ticket.result.get()
    return payload(ended)


def _applied(watcher: Watcher, job: Job, rows: Mapping[str, Option], ended: JobEnded) -> dict[str, str]:
    """What became of each option, in words."""
    applied: dict[str, str] = {}
    for key, row in rows.items():
        if row.legacy or not row.effective:
            applied[key] = row.told
        elif not watcher.planner.wanted and (key == "numprocesses" or row.apply != "live"):
            applied[key] = "counts when the watcher is started"
        elif key == "numprocesses":
            applied[key] = f"counts: {count(len(watcher.planner.pids()), 'process')} now"
        elif row.apply != "live":
            number = len(ended.stopped)
            applied[key] = f"counts: {count(number, 'process')} replaced" if number else _still(watcher)
        else:
            applied[key] = f"counts {_NEXT_USE.get(row.name, 'from now on')}"
    return applied


def _still(watcher: Watcher) -> str:
    return (
        "counts for the processes to come"
        if watcher.planner.pids()
        else "counts: no process had to be replaced"
    )
