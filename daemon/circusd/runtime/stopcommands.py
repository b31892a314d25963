"""Commands that stop processes: each is run as the process is, and has an end in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from circusd.config.launch import build_stop
from circusd.kernel import proc
from circusd.kernel.pidfd import ExitStatus
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import SpawnError
from circusd.schema.values import signal_name

from . import clock
from .notifications import one_line
from .sockets import is_program

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .watcher import Watcher

Failed = Callable[[str], None]
"""Told, in the arbiter's greenlet, why the command has not done what it should."""


class StopCommands:
    """All that are under way; everything here is called in the arbiter's greenlet."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self._children: dict[int, Child] = {}

    def run(self, watcher: Watcher, wid: int, pid: int, failed: Failed) -> None:
        """The watcher's ``stop_command`` is started for that process; ``failed`` is told unless it ends with 0."""
        try:
            watcher.output.beside(wid, partial(self._start, watcher, wid, pid, failed))
        except SpawnError as error:
            self._arbiter.post(watcher, failed, one_line(error.text))
        except OSError as error:
            self._arbiter.post(watcher, failed, f"no descriptor for its start: {error.strerror}")

    def close(self) -> None:
        """Those that still run are killed."""
        for child in self._children.values():
            self._arbiter.timers.cancel((id(self), child.pid))
            proc.kill_tree([child.identity])

    def _start(self, watcher: Watcher, wid: int, pid: int, failed: Failed, writing: int | None) -> int:
        services, who = self._arbiter.services, watcher.credentials
        launch = build_stop(
            watcher.config,
            wid,
            pid,
            base_env=services.base_env,
            base_dir=services.base_dir,
            is_program=is_program,
            sys_path=services.sys_path,
            uid=who.uid,
            gid=who.gid,
        )
        child = spawn(
            SpawnSpec(
                argv=launch.argv,
                executable=launch.executable,
                env=launch.env,
                cwd=launch.cwd,
                uid=who.uid,
                gid=who.gid,
                groups=who.groups,
                stdout=writing,
                stderr=writing,
                nofile=services.nofile,
                oom_score_adj=services.oom_score_adj,
            )
        )
        self._children[child.pid] = child
        ended = partial(self._arbiter.post, watcher, self._ended, watcher, wid, child.pid, failed)
        self._arbiter.reaper.watch(child.pid, child.pidfd, ended)
        over = partial(self._arbiter.post, watcher, self._over, child)
        self._arbiter.timers.arm(
            (id(self), child.pid), clock.now() + watcher.config.stop_command_timeout, over
        )
        return child.pid

    def _over(self, child: Child) -> None:
        if child.pid in self._children:
            self._arbiter.kill_trees([child.identity])

    def _ended(self, watcher: Watcher, wid: int, pid: int, failed: Failed, status: ExitStatus) -> None:
        del self._children[pid]
        self._arbiter.timers.cancel((id(self), pid))
        watcher.output.ended(wid, pid)
        if status.signal is not None:
            failed(f"it was ended by {signal_name(status.signal)}")
        elif status.code != 0:
            failed(f"it ended with exit code {status.code}")
