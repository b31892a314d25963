"""Applies a new reading of the configuration to the running daemon."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from circusd.config.difference import Difference, applies_live, difference
from circusd.config.records import CircusConfig, Configuration, WatcherConfig
from circusd.schema.errors import CircusError, Failed

from .arbiter import resolve_credentials
from .socketchange import SocketChange
from .watcher import Credentials, Watcher

if TYPE_CHECKING:
    from .daemon import Daemon


def apply(daemon: Daemon, new: Configuration) -> str:
    """The difference between the file as it was and as it is now is in force; what it was, in words.

    Watchers that did not change keep their processes and what was set at run time. To be called in a greenlet. Raises
    with nothing changed when a socket can't be opened, and `Failed` when some of the changes have failed.
    """
    old = daemon.configuration
    before = {w.name.lower(): w for w, _ in daemon.file_watchers(old)}
    after = {w.name.lower(): (w, kind) for w, kind in daemon.file_watchers(new)}
    plan = difference(old, new, before, {n: w for n, (w, _) in after.items()})
    problems: list[str] = []
    sockets = SocketChange(daemon.arbiter, daemon.sockets, old.sockets, plan)
    _remove(daemon, plan, problems)
    problems += sockets.carry_out()
    _change(daemon, plan, problems)
    for config in plan.added:
        try:
            watcher = daemon.add(config, after[config.name.lower()][1])
            if config.autostart:
                watcher.submit(daemon.arbiter.job("start", "reloadconfig")).result.get()
        except CircusError as error:
            problems.append(f"{config.name}: {error}")
    problems += sockets.start_again()
    kept = sockets.in_force(new.sockets)
    daemon.configuration = replace(new, circus=_circus(old.circus, new.circus), sockets=kept)
    daemon.arbiter.warmup_delay = daemon.configuration.circus.warmup_delay
    if problems:
        raise Failed("; ".join(problems))
    return plan.summary()


def _circus(old: CircusConfig, new: CircusConfig) -> CircusConfig:
    """Options that need a restart of the daemon keep the value that is in force, so that they are told again."""
    kept = {k: getattr(old, k) for k in CircusConfig.__dataclass_fields__ if not applies_live(k)}
    return replace(new, **kept)


def _remove(daemon: Daemon, plan: Difference, problems: list[str]) -> None:
    there = [w.name.lower() for w in plan.removed if w.name.lower() in daemon.arbiter.watchers]
    for _, outcome in daemon.arbiter.stop_all(there, "reloadconfig").get() or []:
        if isinstance(outcome, CircusError):
            problems.append(str(outcome))
    for name in there:
        watcher = daemon.arbiter.watchers.get(name)
        if watcher is not None:
            daemon.arbiter.remove(watcher)


def _change(daemon: Daemon, plan: Difference, problems: list[str]) -> None:
    tickets = []
    for change in plan.changed:
        watcher = daemon.arbiter.watchers.get(change.new.name.lower())
        if watcher is None:
            continue
        credentials = resolve_credentials(change.new)
        # What was changed at run time and not in the file stays as it is.
        drifted = {k: getattr(change.new, k) for k in change.keys}
        config = replace(watcher.config, **drifted)
        kind = "restart" if change.restart and watcher.planner.wanted else "scale"

        def prepare(
            watcher: Watcher = watcher,
            credentials: Credentials = credentials,
            config: WatcherConfig = config,
            keys: tuple[str, ...] = change.keys,
        ) -> None:
            watcher.reconfigure(config, credentials)
            for key in keys:
                watcher.tell("watcher.updated", key=key)

        tickets.append((watcher, watcher.submit(daemon.arbiter.job(kind, "reloadconfig"), prepare)))
    for name in plan.restarted:
        watcher = daemon.arbiter.watchers.get(name.lower())
        if watcher is not None and watcher.planner.wanted:
            tickets.append((watcher, watcher.submit(daemon.arbiter.job("restart", "reloadconfig"))))
    for watcher, ticket in tickets:
        try:
            ticket.result.get()
        except CircusError as error:
            problems.append(f"{watcher.name}: {error}")
