"""How the processes of one watcher are started: what they are given, and how they are to show that they are ready."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from circusd.config.launch import Launch, build
from circusd.core.altered import altered
from circusd.kernel.scheduling import Scheduling
from circusd.kernel.sockets import FIRST_OF_MANAGER
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import SpawnError
from circusd.schema.probe_values import WORDS, sign_of

from .part import Part
from .probes import Surroundings
from .signs import LineSign, Newline
from .sockets import is_program

if TYPE_CHECKING:
    from .watcher import Watcher


class Launches(Part):
    """The starts of one watcher's processes."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(watcher)
        self.before_spawn: Callable[[], dict[str, int]] | None = None
        """Makes descriptors for the next process, by name; they are closed here once it has them."""
        self.looks: dict[tuple[int, str], tuple[str, Surroundings]] = {}
        """How to look whether the process of a slot is ``ready``, where it does not say so itself, or ``alive``."""
        self._signs: dict[int, Newline] = {}
        """Where the process of a slot is waited for to write a newline."""
        self._sign_ends: dict[int, int] = {}
        """Our end of the pipe for that, of a process that is being started."""
        self._texts: dict[int, str] = {}
        """What a line of the process of a slot has to have, where that shows that it is ready."""

    def launch(self, wid: int) -> tuple[Child, SpawnSpec]:
        """A process of that slot runs, and with what it was started; `launched` is to follow.

        Raises CircusError (SpawnError among them), and OSError when there are no descriptors; then nothing is left of it.
        """
        watcher = self._watcher
        if watcher.credentials.error is not None:
            raise watcher.credentials.error
        with ExitStack() as stack:
            extra = self.before_spawn() if self.before_spawn is not None else {}
            for fd in extra.values():
                stack.callback(os.close, fd)
            self._drop_sign(wid)
            spec = self._spec(wid, extra, stack)
            ends = watcher.output.attach(wid)
            if watcher.inputs is not None:
                stack.callback(watcher.inputs.given, wid)
            try:
                return spawn(altered(spec, stdout=ends.stdout, stderr=ends.stderr)), spec
            except BaseException:
                watcher.output.abandon(wid)
                self._drop_sign(wid)
                if watcher.inputs is not None:
                    watcher.inputs.ended(wid)
                raise

    def launched(self, wid: int, pid: int, told: Callable[[str], None]) -> None:
        """What the process writes is read. ``told`` is called in the hub's turn when it has given its sign that it is ready, where
        it is to give one, or with why it never will."""
        text = self._texts.get(wid)
        self._watcher.output.spawned(wid, pid, None if text is None else lambda: LineSign(text, told).feed)
        end = self._sign_ends.pop(wid, None)
        if end is not None:
            self._signs[wid] = Newline(end, told)

    def forget(self, wid: int) -> None:
        """Nothing is waited for of a process of that slot."""
        for what in ("ready", "alive"):
            self.looks.pop((wid, what), None)
        self._drop_sign(wid)

    def _drop_sign(self, wid: int) -> None:
        self._texts.pop(wid, None)
        sign, end = self._signs.pop(wid, None), self._sign_ends.pop(wid, None)
        if sign is not None:
            sign.close()
        if end is not None:
            os.close(end)

    def _spec(self, wid: int, extra: Mapping[str, int], stack: ExitStack) -> SpawnSpec:
        watcher = self._watcher
        config, services, credentials = watcher.config, watcher.arbiter.services, watcher.credentials
        sockets, named = watcher.arbiter.sockets.for_process(config, stack)
        listen = named if config.listen_fds else {}
        told = {**sockets, **{name: FIRST_OF_MANAGER + n for n, name in enumerate(listen)}}
        launch = build(
            config,
            wid,
            {**told, **extra},
            base_env=services.base_env,
            base_dir=services.base_dir,
            is_program=is_program,
            sys_path=services.sys_path,
            uid=credentials.uid,
            gid=credentials.gid,
        )
        stdin = self._stdin(wid, sockets, stack)
        env = launch.env
        if config.ready != "started" or config.watchdog > 0:
            env = {"NOTIFY_SOCKET": services.notify_address(), **env}
        if config.watchdog > 0:
            env = {**env, "WATCHDOG_USEC": str(max(1, round(config.watchdog * 1e6)))}
        at = self._expect(wid, launch, env, stack)
        if launch.pid_file:
            env = {**env, **watcher.background(wid, os.path.join(launch.cwd, launch.pid_file))}
        limits = {k: (-1, -1) if v is None else (v, v) for k, v in config.rlimits.items()}
        return SpawnSpec(
            argv=launch.argv,
            executable=launch.executable,
            env=env,
            cwd=launch.cwd,
            uid=credentials.uid,
            gid=credentials.gid,
            groups=credentials.groups,
            limits=limits,
            stdin=stdin,
            pass_fds=(*(() if listen else named.values()), *extra.values()),
            listen=listen,
            at=at,
            pid_variables=("WATCHDOG_PID",) if config.watchdog > 0 else (),
            nofile=services.nofile,
            oom_score_adj=services.oom_score_adj if config.oom_score_adj is None else config.oom_score_adj,
            scheduling=Scheduling(
                config.nice,
                frozenset(config.cpu_affinity) or None,
                config.io_priority,
            ),
        )

    def _stdin(self, wid: int, sockets: Mapping[str, int], stack: ExitStack) -> int | None:
        config = self._watcher.config
        if config.stdin_socket:
            return sockets.get(config.stdin_socket.lower())
        if config.stdin_pipe:
            return self._watcher.input_of(wid)
        if config.close_child_stdin:
            return None
        own = os.dup(0)
        stack.callback(os.close, own)
        return own

    def _expect(self, wid: int, launch: Launch, env: Mapping[str, str], stack: ExitStack) -> dict[int, int]:
        """How it will show that it is ready and alive is known; returns the descriptor that it gets for that, by its number there."""
        config, credentials = self._watcher.config, self._watcher.credentials
        around = Surroundings(env, launch.cwd, credentials)
        if config.alive:
            self.looks[wid, "alive"] = (launch.alive, around)
        if config.ready in WORDS:
            return {}
        try:
            sign = sign_of(launch.ready)
        except ValueError as problem:
            # What names in it stand for is known only now.
            text = f"ready of {self._watcher.name} {problem}: {launch.ready}"
            raise SpawnError("command", errno.EINVAL, launch.ready, text) from problem
        if sign is None:
            self.looks[wid, "ready"] = (launch.ready, around)
        elif sign[0] == "fd":
            self._sign_ends[wid], its = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, its)
            return {int(sign[1]): its}
        else:
            self._texts[wid] = sign[1]
        return {}
