"""How watchers were when one of their processes was last known to be well: what a crash report compares with.

A process that has run for ``settle_time`` is well for now; how its watcher was then counts when nothing has failed for a while
since, or where there is nothing better. So a process that fails soon after a change is not compared with itself.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import gevent

from circusd.config.model import WatcherConfig
from circusd.core.process import State
from circusd.kernel.aftermath import MOST_FILES, Kills, Mark, kills, marks
from circusd.kernel.spawn import SpawnSpec

from . import clock

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

TIMER: Final = "good starts"
SOONEST: Final = 0.5
"""Seconds between two looks whether a watcher is well."""
TOGETHER: Final = 0.25
"""Seconds within which what is due is done in one go."""
PROVEN: Final = 60.0
"""Seconds without a failure after which a start was a good one."""
_WORDS: Final = 16
"""So many of the words of a command may be files."""


class GoodStart(NamedTuple):
    """A watcher as it was when it was well."""

    config: WatcherConfig
    at: float
    """Monotonic: when the process was started."""
    files: tuple[Mark, ...]


class Health:
    """What is remembered of one watcher."""

    __slots__ = ("crash", "failed_at", "good_start", "launched", "settled")

    def __init__(self) -> None:
        self.launched: tuple[WatcherConfig, tuple[str, ...]] | None = None
        """With what the last process was started, and from which files, until it is known whether that was a good start."""
        self.settled: GoodStart | None = None
        """How it was when a process had run for a while the last time."""
        self.failed_at = -math.inf
        """When a process has failed the last time (monotonic)."""
        self.good_start: GoodStart | None = None
        """How it was when all was well."""
        self.crash: dict[str, float] | None = None
        """The ``id`` and the ``time`` (epoch seconds) of the last crash report."""


class GoodStarts:
    """Looks after each start, when the process has had the time to fail; files are looked at by a thread."""

    def __init__(self, arbiter: Arbiter, folder: str) -> None:
        """``folder`` is that of the main file, which files of variables are relative to."""
        self._arbiter = arbiter
        self._folder = folder
        self._young: dict[Watcher, float] = {}
        """When it is to be looked whether they are well (monotonic)."""
        self._due: dict[Watcher, float] = {}
        """Those that are well, with the start of the process that tells it; their files are still to be looked at."""
        self._is_busy = False
        self.kills: tuple[float, Kills] | None = None
        """What was counted when it was looked last, and when that was (epoch seconds)."""

    def begun(self, watcher: Watcher, spec: SpawnSpec) -> None:
        """A process was started so."""
        words = [word for word in spec.argv[1:_WORDS] if word[:1] not in ("-", "")]
        paths = [os.path.join(spec.cwd or "", word) for word in words]
        watcher.health.launched = (watcher.config, (spec.executable or spec.argv[0], *paths))
        self.look_soon(watcher)

    def look_soon(self, watcher: Watcher) -> None:
        """It is looked whether it is well when the process has run for as long as a good one does."""
        if watcher.health.launched is None or watcher in self._young:
            return
        self._young[watcher] = clock.now() + max(SOONEST, watcher.config.settle_time)
        if len(self._young) == 1 or TIMER not in self._arbiter.timers:
            self._arm()

    def _arm(self) -> None:
        """One timer for all: a daemon with two thousand watchers would have as many at its start."""
        at = max(min(self._young.values()), clock.now() + TOGETHER)
        self._arbiter.timers.arm(TIMER, at, lambda: self._arbiter.post(None, self._look_at_young))

    def _look_at_young(self) -> None:
        now = clock.now()
        for watcher in [watcher for watcher, at in self._young.items() if at <= now + TOGETHER]:
            del self._young[watcher]
            self._look(watcher, now)
        if self._young:
            self._arm()

    def _look(self, watcher: Watcher, now: float) -> None:
        if watcher.removed or watcher.health.launched is None:
            return
        starts = [
            (p.started, p.state)
            for p in watcher.planner.processes.values()
            if p.serves and p.started is not None
        ]
        # A little less, as it is looked at those of a moment together.
        least = watcher.config.settle_time * 0.7
        well = [at for at, state in starts if state is State.READY or now - at >= least]
        if well:
            self._due[watcher] = max(well)
            if not self._is_busy:
                self._is_busy = True
                gevent.spawn(self._gather)
        elif starts:
            self.look_soon(watcher)

    def _gather(self) -> None:
        """The files of all that are due, in one go. A file system that never answers costs one thread, and these marks."""
        pool = gevent.get_hub().threadpool
        while self._due:
            due, self._due = self._due, {}
            wanted = [(w, started, *w.health.launched) for w, started in due.items() if w.health.launched]
            lists = [self._files(config, paths) for _, _, config, paths in wanted]
            try:
                found, counted = pool.apply(_look_at, (lists, self.kills is None))
            except (OSError, RuntimeError):
                # No thread, or no descriptor, can be had. Later starts are looked at again.
                break
            if counted is not None:
                self.kills = (clock.wall(), counted)
            for (watcher, started, config, paths), files in zip(wanted, found, strict=True):
                self._settled(watcher, GoodStart(config, started, files))
                if watcher.health.launched == (config, paths):
                    watcher.health.launched = None
        self._is_busy = False

    def _settled(self, watcher: Watcher, start: GoodStart) -> None:
        health = watcher.health
        self._prove(health, start.at)
        if health.settled is not None and health.settled.files == start.files:
            # Two thousand watchers have these in memory.
            start = start._replace(files=health.settled.files)
        health.settled = start
        if health.good_start is None:
            health.good_start = start

    @staticmethod
    def _prove(health: Health, until: float) -> None:
        """The last start that went well for a while counts as good, if nothing has failed since until that moment."""
        start = health.settled
        if start is not None and until - max(start.at, health.failed_at) >= PROVEN:
            health.good_start = start

    def failed(self, watcher: Watcher, at: float) -> None:
        """A process has failed at that moment."""
        self._prove(watcher.health, at)
        watcher.health.failed_at = at

    def _files(self, config: WatcherConfig, paths: tuple[str, ...]) -> list[tuple[str, str]]:
        variables = [name.removeprefix("-") for name in config.env_file]
        return [
            (paths[0], "executable"),
            *((os.path.join(self._folder, name), "env_file") for name in variables[: MOST_FILES // 2]),
            *((path, "argument") for path in paths[1:]),
        ]


def _look_at(
    lists: list[list[tuple[str, str]]], with_kills: bool
) -> tuple[list[tuple[Mark, ...]], Kills | None]:
    return [marks(files) for files in lists], kills() if with_kills else None
