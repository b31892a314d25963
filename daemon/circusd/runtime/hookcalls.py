"""The hooks of one watcher: asked and told in its turn, and what they have set on it counts afterwards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent

from circusd.config.model import HookConfig, with_options
from circusd.schema.errors import ConfigError

from .part import Part

if TYPE_CHECKING:
    from .hooks import HookResult
    from .watcher import Watcher

log = logging.getLogger("circusd.watcher")


class HookCalls(Part):
    """Calls come back by the arbiter, in the order in which the hooks have ended."""

    def tell(self, hook: str, **extra: Any) -> None:
        """The hook, where there is one, is called with these arguments, whatever it says."""
        if hook in self._watcher.config.hooks:
            self.ask(hook, extra, lambda ok, error: None)

    def ask(self, hook: str, extra: Mapping[str, Any], answered: Callable[[bool, str], None]) -> None:
        """`answered` is called with whether all may go on and with what went wrong; where there is no such hook, all may."""
        watcher = self._watcher
        arbiter, config = watcher.arbiter, watcher.config.hooks.get(hook)
        if config is None:
            arbiter.post(watcher, answered, True, "")
            return

        def done(result: HookResult) -> None:
            arbiter.post(watcher, finished, result)

        def finished(result: HookResult) -> None:
            # A failure that is to be ignored is told all the same.
            if result.ok and not result.error:
                watcher.tell("hook.succeeded", hook=hook)
            else:
                watcher.tell("hook.failed", hook=hook, error=result.error)
            self._adopt(result.changed)
            answered(result.ok, result.error)

        snapshot = arbiter.hook_snapshot(watcher)
        timeout = watcher.config.hook_timeout
        arbiter.services.hooks.call(snapshot, hook, config, dict(extra), timeout, done)

    def _adopt(self, changed: Mapping[str, Any]) -> None:
        """What a hook set on its watcher counts from now on, as when it ran inside the daemon."""
        watcher = self._watcher
        options = dict(changed.get("options") or {})
        variables: Mapping[str, str | None] = changed.get("env") or {}
        if variables:
            env = {**watcher.config.env, **variables}
            options["env"] = {name: value for name, value in env.items() if value is not None}
        if not options:
            return
        try:
            watcher.reconfigure(with_options(watcher.config, options), watcher.credentials)
        except ConfigError as error:
            log.warning("what a hook has set is wrong watcher=%r: %s", watcher.name, error)
            return
        for key in options:
            watcher.tell("watcher.updated", key=key)

    def check(self) -> None:
        """A hook that can't be imported is told of soon, not when it is needed."""
        if self._watcher.config.hooks:
            gevent.spawn(_check, self._watcher, self._watcher.config.hooks)


def _check(watcher: Watcher, hooks: Mapping[str, HookConfig]) -> None:
    if watcher.removed:
        return
    for hook, problem in watcher.arbiter.services.hooks.check(watcher.name, hooks).items():
        log.warning("a hook can't be called watcher=%r hook=%s: %s", watcher.name, hook, problem)
        watcher.arbiter.post(watcher, partial(watcher.tell, "hook.failed", hook=hook, error=problem))
