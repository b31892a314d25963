"""Watchers that are restarted when files change: told by the kernel, and compared with what the files were before."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent

from circusd.core.filepatterns import Patterns, patterns
from circusd.kernel.filetree import Look, Place, Tree, changed, matching, walk
from circusd.kernel.inotify import OVERFLOW, SELF, Change, Inotify
from circusd.schema.errors import Conflict

from . import clock
from .notifications import one_line
from .timers import LoopTimer
from .writer import Once, Thread, Writers

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

log = logging.getLogger("circusd.filewatch")

READ: Final = 1
GATHER: Final = 0.02
"""Seconds between two reads of what has changed: the kernel puts the same changes together meanwhile."""
LONGEST_WAIT: Final = 10.0
"""Times ``watch_delay`` that changes are waited for which come one after the other."""
WALK_SHARE: Final = 0.05
"""The most of the time that walks through the files of one watcher take, however often something changes."""
RETRY: Final = 60.0
"""Seconds until it is tried again to watch what could not be."""
OFTEN, WITHIN, AT_REST = 10, 60.0, 30.0
"""So many restarts within so many seconds are taken for those of a program that writes what is watched: the next one comes
after so many seconds at the soonest."""
SHOWN: Final = 5
"""Of the files that have changed, so many are named in the event."""

Key = tuple[tuple[str, ...], tuple[str, ...], str]


class Eye:
    """What is known of the files of one watcher."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.patterns: Patterns = patterns(*key)
        self.folders: dict[int, dict[str, list[Place]]] = {}
        self.seen: dict[str, Look] | None = None
        """The files as they were when they were last acted on; None before the first walk."""
        self.first: float | None = None
        """When the first of the changes was heard of that are still to be looked at."""
        self.last = 0.0
        self.walking = False
        self.heard = False
        """Something has changed since the walk began that is under way."""
        self.restarting = False
        """A restart of ours waits for its turn or is under way; what changes meanwhile is looked at after it."""
        self.cost = 0.0
        """Seconds that the last walk took."""
        self.closed = False
        self.restarts: deque[float] = deque(maxlen=OFTEN)

    def concerns(self, change: Change) -> bool:
        """Whether the change may be one of a file that counts."""
        paths = self.folders.get(change.watch)
        if paths is None:
            return False
        if change.mask & SELF or not change.name:
            return True
        return any(matching(places, self.patterns, path, change.name) for path, places in paths.items())

    def quiet_at(self, delay: float) -> float:
        """When the changes that were heard of are acted on, if nothing more comes; what goes on without end is not waited for."""
        assert self.first is not None
        delay = max(delay, self.cost / WALK_SHARE)
        longest = delay * LONGEST_WAIT
        if len(self.restarts) == OFTEN and self.first - self.restarts[0] < WITHIN:
            delay = longest = max(longest, AT_REST)
        return min(self.last + delay, self.first + longest)


class FileWatches:
    """All watchers of an arbiter that are to be restarted when files change; called in the arbiter's greenlet."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._eyes: dict[Watcher, Eye] = {}
        self._inotify: Inotify | None = None
        self._stale: set[int] = set()
        self._io: Any = None
        self._timer = LoopTimer()
        self._writers: Writers | None = None
        self._thread: Thread | None = None

    def follow(self, watcher: Watcher) -> None:
        """Files are watched for it as long as its options and its state ask for it."""
        config, planner = watcher.config, watcher.planner
        returns = planner.job is not None and planner.job.kind == "restart"
        wanted = (planner.wanted or returns) and not planner.asleep
        if not config.watch or not wanted or watcher.removed or self._arbiter.stopping:
            self.forget(watcher)
            return
        folder = os.path.join(self._arbiter.services.base_dir, config.working_dir or "")
        key = (config.watch, config.watch_ignore, folder.rstrip("/") or "/")
        eye = self._eyes.get(watcher)
        if eye is None or eye.key != key:
            self.forget(watcher)
            eye = self._eyes[watcher] = Eye(key)
            self._walk(watcher, eye)

    def forget(self, watcher: Watcher) -> None:
        """Nothing is watched for it any more."""
        eye = self._eyes.pop(watcher, None)
        if eye is None:
            return
        eye.closed = True
        watcher.planner.blind = ""
        self._arbiter.timers.cancel(_timer(watcher))
        self._let_go(eye.folders)
        if not self._eyes and self._inotify is not None:
            self._close_inotify()

    def watched(self, watcher: Watcher) -> dict[str, Any] | None:
        """How many files and folders are watched for the watcher; None where nothing is, or not yet."""
        eye = self._eyes.get(watcher)
        problem = watcher.planner.blind
        if eye is None or (eye.seen is None and not problem):
            return None
        return {"files": len(eye.seen or ()), "folders": len(eye.folders), "problem": problem}

    def close(self) -> None:
        """Nothing is watched for anybody."""
        for watcher in list(self._eyes):
            self.forget(watcher)
        if self._writers is not None:
            self._writers.close(timeout=0.5)

    # -- the kernel's word ---------------------------------------------------------------------------------------

    def _open_inotify(self) -> Inotify:
        if self._inotify is None:
            self._inotify = Inotify()
            self._io = gevent.get_hub().loop.io(self._inotify.fd, READ)
            self._io.start(self._readable)
        return self._inotify

    def _close_inotify(self) -> None:
        assert self._inotify is not None
        self._timer.stop()
        if self._io is not None:
            self._io.stop()
            self._io.close()
            self._io = None
        inotify, self._inotify = self._inotify, None
        self._stale.clear()
        # After what a walk that is under way still asks of it.
        assert self._thread is not None
        self._thread.put(Once(inotify.close))

    def _readable(self) -> None:
        """In the hub's turn."""
        assert self._inotify is not None
        changes = self._inotify.read()
        self._io.stop()
        self._timer.once(GATHER, self._read_on)
        self._arbiter.post(None, self._notice, changes)

    def _read_on(self) -> None:
        self._io.start(self._readable)

    def _notice(self, changes: list[Change]) -> None:
        now = clock.now()
        for watcher, eye in self._eyes.items():
            if eye.walking:
                # Which folder a number stands for that is new here is known when the walk is over.
                eye.heard |= any(
                    change.watch not in eye.folders or eye.concerns(change) for change in changes
                )
            elif any(change.mask & OVERFLOW or eye.concerns(change) for change in changes):
                eye.last = now
                if eye.first is None:
                    eye.first = now
                    self._look_later(watcher, eye)

    def _look_later(self, watcher: Watcher, eye: Eye) -> None:
        self._later(watcher, eye, eye.quiet_at(watcher.config.watch_delay), self._due)

    def _due(self, watcher: Watcher, eye: Eye) -> None:
        if eye.restarting:
            return  # looked at when the restart is over
        if eye.first is not None and clock.now() < eye.quiet_at(watcher.config.watch_delay):
            self._look_later(watcher, eye)
        else:
            self._walk(watcher, eye)

    def _later(self, watcher: Watcher, eye: Eye, at: float, act: Callable[[Watcher, Eye], None]) -> None:
        fire = partial(self._arbiter.post, watcher, self._if_it_lasts, watcher, eye, act)
        self._arbiter.timers.arm(_timer(watcher), at, fire)

    def _if_it_lasts(self, watcher: Watcher, eye: Eye, act: Callable[[Watcher, Eye], None]) -> None:
        if not eye.closed:
            act(watcher, eye)

    # -- looking -------------------------------------------------------------------------------------------------

    def _walk(self, watcher: Watcher, eye: Eye) -> None:
        """The files are looked at in a thread: a file server that does not answer holds up nothing else."""
        if eye.walking:
            eye.heard = True
            return
        eye.first, eye.heard = None, False
        try:
            inotify = self._open_inotify()
        except OSError as error:
            self._found(watcher, eye, Tree(problem=error.strerror or str(error)))
            return
        writers = self._writers = self._writers or Writers()
        thread = self._thread = self._thread or writers.own("files")
        eye.walking = True

        def work() -> None:
            began = clock.now()
            tree = walk(eye.patterns, inotify)
            eye.cost = clock.now() - began
            writers.tell(partial(self._arbiter.post, watcher, self._walked, watcher, eye, tree))

        thread.put(Once(work))

    def _walked(self, watcher: Watcher, eye: Eye, tree: Tree) -> None:
        eye.walking = False
        if eye.closed:
            self._let_go(tree.folders)
            return
        self._found(watcher, eye, tree)
        if eye.heard and not eye.closed:
            eye.first = eye.last = clock.now()
            self._look_later(watcher, eye)

    def _found(self, watcher: Watcher, eye: Eye, tree: Tree) -> None:
        before, eye.folders = eye.folders, tree.folders
        if tree.problem:
            eye.folders = {}
        self._let_go({**before, **tree.folders})
        self._tell_problem(watcher, tree.problem)
        if tree.problem:
            self._later(watcher, eye, clock.now() + RETRY, self._walk)
            return
        known = eye.seen
        if known is None:
            eye.seen = tree.files
            self._arbiter.on_change(watcher)
        elif tree.files and (files := changed(known, tree.files)):
            eye.seen = tree.files
            self._restart(watcher, eye, [one_line(eye.patterns.shown(path)) for path in files])
        # Where nothing is left of what is named, it is waited for what comes in its place.

    def _let_go(self, folders: dict[int, Any]) -> None:
        """Folders that nobody needs any more are not watched."""
        if self._inotify is None:
            return
        self._stale |= folders.keys()
        if any(eye.walking for eye in self._eyes.values()):
            return  # it may be about to need one of them
        needed = {watch for eye in self._eyes.values() for watch in eye.folders}
        for watch in self._stale - needed:
            self._inotify.remove(watch)
        self._stale.clear()

    def _tell_problem(self, watcher: Watcher, problem: str) -> None:
        if watcher.planner.blind == problem:
            return
        watcher.planner.blind = problem
        if problem:
            log.error("files are not watched watcher=%r: %s", watcher.name, problem)
            watcher.tell("watcher.watch_failed", reason=problem)
        self._arbiter.on_change(watcher)

    # -- acting --------------------------------------------------------------------------------------------------

    def _restart(self, watcher: Watcher, eye: Eye, files: list[str]) -> None:
        kind = self.action(watcher)
        count = len(files) - 1
        more = f" and {count} more file{'s' if count > 1 else ''}" if count else ""
        why = f"{files[0]}{more} changed"
        log.info("files have changed, %s watcher=%r: %s", kind, watcher.name, why)
        watcher.tell("watcher.files_changed", files=files[:SHOWN], count=len(files), action=kind)
        eye.restarting = True
        eye.restarts.append(clock.now())
        job = self._arbiter.job(kind, why=why)
        ticket = watcher.submit(job, partial(self._still_wanted, watcher, eye))
        over = partial(self._arbiter.post, watcher, self._if_it_lasts, watcher, eye, self._over)
        ticket.result.rawlink(lambda _: over())

    def _over(self, watcher: Watcher, eye: Eye) -> None:
        eye.restarting = False
        if eye.first is not None:
            self._look_later(watcher, eye)

    def _still_wanted(self, watcher: Watcher, eye: Eye) -> None:
        if eye.closed or not watcher.planner.wanted:
            raise Conflict(f"{watcher.name}: it is not meant to run any more")

    def action(self, watcher: Watcher) -> str:
        """``reload`` or ``restart``: what comes of a change of files."""
        config = watcher.config
        if config.watch_action != "auto":
            return config.watch_action
        # Beside an old process that has a socket of its own no new one could open it.
        return "reload" if config.send_hup or self._arbiter.sockets.named_by(config) else "restart"


def _timer(watcher: Watcher) -> tuple[int, None, str]:
    return id(watcher), None, "files"
