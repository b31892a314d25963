"""How watchers were when one of their processes was last known to be well: what a crash report compares with.

A process that has run for ``settle_time`` is well for now; how its watcher was then counts when nothing has failed for a while
since, or where there is nothing better. So a process that fails soon after a change is not compared with itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import gevent

from circusd.config.model import WatcherConfig
from circusd.core.lifecycle import State
from circusd.kernel.aftermath import MOST_FILES, Kills, Mark, kills, marks
from circusd.kernel.spawn import SpawnSpec

from . import clock

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

TIMER: Final = "good"
SOONEST: Final = 0.5
"""Seconds between two looks whether a watcher is well."""
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


class GoodStarts:
    """Looks after each start, when the process has had the time to fail; files are looked at by a thread."""

    def __init__(self, arbiter: Arbiter, folder: str) -> None:
        """``folder`` is that of the main file, which files of variables are relative to."""
        self._arbiter = arbiter
        self._folder = folder
        self._due: dict[Watcher, float] = {}
        self._is_busy = False
        self.kills: tuple[float, Kills] | None = None
        """What was counted when it was looked last, and when that was (epoch seconds)."""

    def begun(self, watcher: Watcher, spec: SpawnSpec) -> None:
        """A process was started so."""
        words = [word for word in spec.argv[1:_WORDS] if word[:1] not in ("-", "")]
        paths = [os.path.join(spec.cwd or "", word) for word in words]
        watcher.launched = (watcher.config, (spec.executable or spec.argv[0], *paths))
        self.look_soon(watcher)

    def look_soon(self, watcher: Watcher) -> None:
        """It is looked whether it is well when the process has run for as long as a good one does."""
        key = (id(watcher), None, TIMER)
        if watcher.launched is not None and key not in self._arbiter.timers:
            at = clock.now() + max(SOONEST, watcher.config.settle_time)
            self._arbiter.timers.arm(key, at, lambda: self._arbiter.post(watcher, self._look, watcher))

    def _look(self, watcher: Watcher) -> None:
        if watcher.removed or watcher.launched is None:
            return
        now = clock.now()
        serving = [p for p in watcher.planner.processes.values() if p.serves and p.started is not None]
        # A little less, as timers are not exact.
        least = watcher.config.settle_time * 0.9
        well = [
            p.started
            for p in serving
            if p.started is not None and (p.state is State.READY or now - p.started >= least)
        ]
        if well:
            self._due[watcher] = max(well)
            if not self._is_busy:
                self._is_busy = True
                gevent.spawn(self._gather)
        elif serving:
            self.look_soon(watcher)

    def _gather(self) -> None:
        """The files of all that are due, in one go. A file system that never answers costs one thread, and these marks."""
        pool = gevent.get_hub().threadpool
        while self._due:
            due, self._due = self._due, {}
            wanted = [(w, started, *w.launched) for w, started in due.items() if w.launched is not None]
            lists = [self._files(config, paths) for _, _, config, paths in wanted]
            found, counted = pool.apply(_look_at, (lists, self.kills is None))
            if counted is not None:
                self.kills = (clock.wall(), counted)
            for (watcher, started, config, paths), files in zip(wanted, found, strict=True):
                self._settled(watcher, GoodStart(config, started, files))
                if watcher.launched == (config, paths):
                    watcher.launched = None
        self._is_busy = False

    def _settled(self, watcher: Watcher, start: GoodStart) -> None:
        self.prove(watcher, start.at)
        before = watcher.settled
        if before is not None and before.files == start.files:
            # Two thousand watchers have these in memory.
            start = start._replace(files=before.files)
        watcher.settled = start
        if watcher.good_start is None:
            watcher.good_start = start

    @staticmethod
    def prove(watcher: Watcher, until: float) -> None:
        """The last start that went well for a while counts as good, if nothing has failed since until that moment."""
        start = watcher.settled
        if start is not None and until - max(start.at, watcher.failed_at) >= PROVEN:
            watcher.good_start = start

    def failed(self, watcher: Watcher, at: float) -> None:
        """A process has failed at that moment."""
        self.prove(watcher, at)
        watcher.failed_at = at

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
