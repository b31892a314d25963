"""Plugin: a watcher whose processes die again and again is stopped, tried again later, and given up in the end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from circusd.schema.errors import CircusError

from . import CircusPlugin
from .ends import AskedFor
from .settings import own_settings, settings

log = logging.getLogger("circusd.plugin")


@dataclass(slots=True)
class _Watched:
    """What is known of one watcher."""

    options: Mapping[str, Any]
    lives: dict[int, deque[float]] = field(default_factory=dict)
    """By slot, how long its last processes ran (seconds)."""
    unwell: set[int] = field(default_factory=set)
    """Slots that flap."""
    tries: int = 0
    timer: asyncio.TimerHandle | None = None


class Flapping(CircusPlugin):
    """See its options; a death counts unless it was asked for."""

    name = "flapping"
    topics = ("event.",)

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.settings = settings(self.name, config)
        self.watched: dict[str, _Watched] = {}
        self._ends = AskedFor()

    def handle_subscribed(self) -> None:
        """What was missed may have changed anything but the timers that run."""
        for name in [name for name, watched in self.watched.items() if watched.timer is None]:
            del self.watched[name]

    def handle_stop(self) -> None:
        """Watchers that wait stay stopped."""
        for watched in self.watched.values():
            self._cancel(watched)

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """One event."""
        event = self.load_message(data[1])
        name, kind = event.get("watcher", ""), event["event"]
        was_asked_for = self._ends.hear(event)
        if kind == "process.exited" and not was_asked_for:
            self._died(name, event["wid"], float(event["lived"]))
        elif kind == "watcher.removed":
            watched = self.watched.pop(name, None)
            if watched is not None:
                self._cancel(watched)
        elif kind == "watcher.started":
            # Whoever started it does not want to wait.
            if name in self.watched:
                self._cancel(self.watched[name])
        elif kind == "watcher.updated" and name in self.watched:
            self.watched[name].options = self._options(name)

    def _died(self, name: str, wid: int, lived: float) -> None:
        watched = self.watched.get(name)
        if watched is None:
            watched = self.watched[name] = _Watched(self._options(name))
        options = watched.options
        attempts = max(1, options["attempts"])
        lives = watched.lives.get(wid)
        if lives is None or lives.maxlen != attempts:
            lives = watched.lives[wid] = deque(lives or (), maxlen=attempts)
        lives.append(lived)
        if not options["active"] or len(lives) < attempts:
            return
        # The first of them may have run for years; what counts is what came after.
        if sum(list(lives)[1:]) > options["window"]:
            watched.unwell.discard(wid)
            watched.tries = 0
            return
        if wid not in watched.unwell:
            log.warning("%s: process %d flaps", name, wid)
        watched.unwell.add(wid)
        self._judge(name, watched)

    def _judge(self, name: str, watched: _Watched) -> None:
        """The watcher is stopped unless one of its processes is well, or it is a plugin or the console."""
        reply = self.call("inspect", name=name)
        if reply.get("status") != "ok" or reply["watchers"][0]["kind"] != "watcher":
            return
        rows = reply["watchers"][0]["processes"]
        long_ago = reply["time"] - watched.options["window"] - 1
        for row in rows:
            if row["pid"] is not None and row["started"] is not None and row["started"] < long_ago:
                watched.unwell.discard(row["wid"])
        if not {row["wid"] for row in rows} <= watched.unwell:
            return
        watched.lives.clear()
        watched.unwell.clear()
        most, wait = watched.options["max_retry"], watched.options["retry_in"]
        if most >= 0 and watched.tries >= most:
            watched.tries = 0
            log.warning("%s flaps: stopped for good, after it was tried again %d times", name, most)
            self.cast("stop", name=name, match="simple")
            return
        watched.tries += 1
        limit = "" if most < 0 else f" of {most}"
        log.warning("%s flaps: stopped, and tried again in %g s, try %d%s", name, wait, watched.tries, limit)
        self.cast("stop", name=name, match="simple")
        watched.timer = self.loop.call_later(wait, self._start, name, watched)

    def _start(self, name: str, watched: _Watched) -> None:
        watched.timer = None
        self.cast("start", name=name, match="simple")

    @staticmethod
    def _cancel(watched: _Watched) -> None:
        if watched.timer is not None:
            watched.timer.cancel()
            watched.timer = None

    def _options(self, name: str) -> Mapping[str, Any]:
        try:
            own = own_settings(self.name, self.call("options", name=name).get("options", {}))
        except (CircusError, ValueError) as problem:
            log.warning("%s: its own options do not count: %s", name, problem)
            own = {}
        return {**self.settings, **own}
