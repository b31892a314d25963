"""Programs that go into the background: what each has left there is looked for by its pid file, and followed from then on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent

from circusd.core.process import PID_FILE, Happening, Kind, State
from circusd.kernel import pidfile
from circusd.kernel.pidfd import ExitStatus
from circusd.kernel.proc import Identity

if TYPE_CHECKING:
    from .watcher import Watcher


@dataclass(slots=True, eq=False)
class Pending:
    """A start whose process is not known yet."""

    path: str
    mark: str
    launcher: Identity | None = None
    """The process that was started, once it was."""
    looking: bool = False
    again: bool = False
    """What it looks at has changed meanwhile."""


class PidFiles:
    """Those of one watcher; everything here is called in the arbiter's greenlet."""

    def __init__(self, watcher: Watcher, follow: Callable[[int, Identity, Identity], bool]) -> None:
        self._watcher = watcher
        self._follow = follow
        self._pending: dict[int, Pending] = {}

    def expect(self, wid: int, path: str) -> dict[str, str]:
        """The next process of the slot goes into the background; the variables that mark what it starts."""
        mark = f"{wid}.{os.urandom(8).hex()}"
        self._pending[wid] = Pending(path, mark)
        return {pidfile.MARK: mark}

    def spawned(self, wid: int, launcher: Identity) -> None:
        """It has been started."""
        if wid in self._pending:
            self._pending[wid].launcher = launcher

    def leaves(self, wid: int, pid: int, status: ExitStatus) -> bool:
        """Whether the end of that process is the end of its start alone: what it has left is still looked for."""
        process, pending = self._watcher.planner.processes.get(wid), self._pending.get(wid)
        if pending is None or process is None or pending.launcher is None:
            return False
        if pending.launcher.pid != pid or process.pid != pid:
            return False
        return process.state is State.RUNNING and process.awaits == PID_FILE and status.code == 0

    def look(self, wid: int) -> None:
        """Answered by what was found: the process is followed, or the reason why not is told."""
        pending = self._pending.get(wid)
        if pending is None:
            return
        if pending.looking:
            pending.again = True
            return
        pending.looking = True
        gevent.spawn(self._find, wid, pending)

    def _find(self, wid: int, pending: Pending) -> None:
        assert pending.launcher is not None
        arguments = (pending.path, pending.launcher, pending.mark)
        found: Identity | str
        try:
            found = gevent.get_hub().threadpool.apply(_found, arguments)
        except (OSError, RuntimeError) as problem:
            # No thread can be had for it; it is looked at again.
            found = str(problem)
        self._watcher.arbiter.post(self._watcher, self._looked, wid, pending, found)

    def _looked(self, wid: int, pending: Pending, found: Identity | str) -> None:
        pending.looking = False
        if self._pending.get(wid) is not pending:
            return
        if pending.again:
            pending.again = False
            self.look(wid)
            return
        if isinstance(found, Identity):
            found = self._take(wid, pending, found)
        if found:
            self._watcher.happen(wid, Happening(Kind.PROBE_FAILED, text=found))

    def _take(self, wid: int, pending: Pending, found: Identity) -> str:
        """Why the process is not followed yet; nothing when it is."""
        process = self._watcher.planner.processes.get(wid)
        if process is None or process.awaits != PID_FILE:
            return ""
        if found == pending.launcher:
            # It stays in the foreground, and says so.
            del self._pending[wid]
            self._watcher.happen(wid, Happening(Kind.FOLLOWED, pid=found.pid))
            return ""
        if process.pid is not None:
            return f"process {process.pid} is still about to go into the background"
        if found.pid in self._watcher.arbiter.reaper.known:
            return f"{pending.path} names process {found.pid}, which circusd follows already"
        assert pending.launcher is not None
        if not self._follow(wid, pending.launcher, found):
            return f"{pending.path} names process {found.pid}, which has just ended"
        del self._pending[wid]
        return ""

    def drop(self, wid: int) -> Identity | None:
        """Nothing is looked for any more; what was left behind gets SIGKILL, as nobody knows what it is. The launcher."""
        pending = self._pending.pop(wid, None)
        if pending is None:
            return None
        known = self._watcher.arbiter.reaper.known
        self._watcher.arbiter.kill_trees(pidfile.left_behind(pending.mark, known))
        return pending.launcher


def _found(path: str, launcher: Identity, mark: str) -> Any:
    # Handed over and not raised: gevent's pool prints what its functions raise.
    try:
        return pidfile.find(path, launcher, mark)
    except pidfile.NotYet as problem:
        return str(problem)
