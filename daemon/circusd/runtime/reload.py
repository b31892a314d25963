"""A new reading of the configuration on its way to be in force: everything is looked up and tried first, then applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gevent.pool import Pool

from circusd.config.difference import applies_live, difference
from circusd.config.plan import Running, kept, steps
from circusd.config.records import CircusConfig, Configuration, HookConfig, WatcherConfig
from circusd.schema.errors import CircusError, ConfigError, Failed

from .arbiter import resolve_credentials
from .console import file_sockets
from .endpoints import look_up_access
from .socketchange import SocketChange
from .watcher import Credentials, Watcher

if TYPE_CHECKING:
    from .daemon import Daemon

_AT_ONCE = 8
"""Look-ups of users and of hooks that go on side by side."""


class Reload:
    """The way from the configuration that is in force to another one; made, then either `apply` or `discard`.

    Watchers that do not change keep their processes, and what was set at run time stays where the file says the same as
    before. To be used in a greenlet.
    """

    def __init__(self, daemon: Daemon, new: Configuration) -> None:
        """Users are looked up, hooks imported by a process, and new sockets listen. Raises ConfigError with nothing
        changed and every problem that was found."""
        self._daemon = daemon
        self._new = new
        old = daemon.configuration
        arbiter = daemon.arbiter
        written = {w.name.lower(): w for w, _ in daemon.file_watchers(old)}
        self._after = {w.name.lower(): (w, kind) for w, kind in daemon.file_watchers(new)}
        wanted = {name: w for name, (w, _) in self._after.items()}
        # One that was added by a command and stands in the file now is changed to what the file says.
        came = {n: w.config for n, w in arbiter.watchers.items() if n in wanted and n not in written}
        sockets = (file_sockets(old), file_sockets(new))
        self._plan = difference(old.circus, new.circus, ({**written, **came}, wanted), sockets)
        running = {
            n: Running(w.config, len(w.planner.pids()), w.planner.wanted) for n, w in arbiter.watchers.items()
        }
        self.steps = steps(self._plan, running)
        """What is going to be done."""
        self.kept = kept(self._plan, wanted, running)
        """What is going to stay, though the file has it otherwise."""
        self._credentials: dict[str, Credentials] = {}
        self._look_up()
        self._access = look_up_access(new)
        self._sockets = SocketChange(arbiter, daemon.sockets, sockets[0], self._plan)

    def _look_up(self) -> None:
        """The users of whatever will be started, and its hooks; raises ConfigError."""
        changed = [(c.new, c.old.hooks if c.old.hooks == c.new.hooks else {}) for c in self._plan.changed]
        checked: list[tuple[WatcherConfig, Mapping[str, HookConfig]]] = [
            *changed,
            *((w, {}) for w in self._plan.added),
        ]
        problems: list[str] = []

        def look_up(row: tuple[WatcherConfig, Mapping[str, HookConfig]]) -> None:
            config, known = row
            found = self._credentials[config.name.lower()] = resolve_credentials(config)
            if found.error is not None:
                problems.append(f"watcher {config.name}: {found.error.text}")
            if config.hooks and not known:
                problems.extend(self._hook_problems(config))

        pool = Pool(_AT_ONCE)
        for _ in pool.imap_unordered(look_up, checked):
            pass
        if problems:
            raise ConfigError(sorted(problems))

    def _hook_problems(self, config: WatcherConfig) -> list[str]:
        # Not in the process that the watcher's hooks have now: that one has imported the modules as they were.
        trial = f"reloadconfig {config.name}"
        hooks = self._daemon.hooks
        try:
            found = hooks.check(trial, config.hooks)
        finally:
            hooks.close(trial)
        return [f"watcher {config.name}: hook {name}: {problem}" for name, problem in found.items()]

    def discard(self) -> None:
        """Nothing has changed, and nothing that was opened stays open."""
        self._sockets.discard()

    def apply(self) -> None:
        """The configuration is in force. Raises Failed when some of it could not be done; the rest is."""
        daemon = self._daemon
        problems: list[str] = []
        self._sockets.drain()
        self._remove(problems)
        problems += self._sockets.carry_out()
        self._change(problems)
        self._add(problems)
        problems += self._sockets.start_again()
        own = {s.name for s in self._new.sockets}
        in_force = [s for s in self._sockets.in_force(file_sockets(self._new)) if s.name in own]
        daemon.configuration = replace(
            self._new, circus=_circus(daemon.configuration.circus, self._new.circus), sockets=tuple(in_force)
        )
        daemon.apply_live()
        daemon.endpoints.admit(self._access)
        if problems:
            raise Failed("; ".join(problems))

    def _remove(self, problems: list[str]) -> None:
        arbiter = self._daemon.arbiter
        there = [w.name.lower() for w in self._plan.removed if w.name.lower() in arbiter.watchers]
        for _, outcome in arbiter.stop_all(there, "reloadconfig").get() or []:
            if isinstance(outcome, CircusError):
                problems.append(str(outcome))
        for name in there:
            watcher = arbiter.watchers.get(name)
            if watcher is not None:
                arbiter.remove(watcher)

    def _change(self, problems: list[str]) -> None:
        arbiter = self._daemon.arbiter
        tickets = []
        for change in self._plan.changed:
            watcher = arbiter.watchers.get(change.new.name.lower())
            if watcher is None:
                continue
            credentials = self._credentials[change.new.name.lower()]
            # What was changed at run time and not in the file stays as it is.
            config = replace(watcher.config, **{k: getattr(change.new, k) for k in change.keys})
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

            tickets.append((watcher, watcher.submit(arbiter.job(kind, "reloadconfig"), prepare)))
        for name in self._plan.restarted:
            watcher = arbiter.watchers.get(name.lower())
            if watcher is not None and watcher.planner.wanted:
                tickets.append((watcher, watcher.submit(arbiter.job("restart", "reloadconfig"))))
        for watcher, ticket in tickets:
            try:
                ticket.result.get()
            except CircusError as error:
                problems.append(f"{watcher.name}: {error}")

    def _add(self, problems: list[str]) -> None:
        """By priority, as at the start of circusd."""
        daemon, added = self._daemon, []
        for config in self._plan.added:
            name = config.name.lower()
            try:
                daemon.add(config, self._after[name][1], self._credentials[name])
            except CircusError as error:
                problems.append(f"{config.name}: {error}")
            else:
                added.append(name)
        starting = [name for name in added if self._after[name][0].autostart]
        for name, outcome in daemon.arbiter.start_all(starting, "reloadconfig").get() or []:
            if isinstance(outcome, CircusError):
                problems.append(f"{name}: {str(outcome).removeprefix(f'{name}: ')}")


def _circus(old: CircusConfig, new: CircusConfig) -> CircusConfig:
    """Options that need a restart of the daemon keep the value that is in force, so that they are told again."""
    kept = {k: getattr(old, k) for k in CircusConfig.__dataclass_fields__ if not applies_live(k)}
    return replace(new, **kept)
