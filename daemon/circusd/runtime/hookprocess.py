"""One process that runs hooks: started, asked over a socket, ended; see `circusd.cli.hookrunner` for its side."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIGKILL
from typing import Any, Final

import gevent
from gevent.socket import socket as green_socket

from circusd.kernel import proc
from circusd.kernel.pidfd import ExitStatus
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import SpawnError

from . import clock
from .hookoutput import HookOutput
from .reaper import Reaper

END_LIMIT: Final = 5.0
"""Seconds that a process has to end in after it was told that there is nothing more to do."""

MESSAGE_LIMIT: Final = 4 << 20
"""Bytes of the longest answer."""


class Broken(Exception):
    """The process did not answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What each process for hooks starts with."""

    reaper: Reaper
    base_env: Mapping[str, str]
    python_path: tuple[str, ...]
    endpoint: Callable[[], str]
    nofile: tuple[int, int] | None
    oom_score_adj: int | None
    output: Callable[[str, bytes], None]


class HookProcess:
    """One process that carries out hooks, with the socket to it and the pipe of what it prints."""

    def __init__(self, around: Surroundings, watcher: str, ended: Callable[[HookProcess], None]) -> None:
        self._on_end = ended
        self._buffer = b""
        self._number = 0
        self._asked = False
        self._killer: gevent.Greenlet[..., None] | None = None
        self._status: ExitStatus | None = None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            self.child = _start(around, watcher, theirs.fileno(), writing)
        except (SpawnError, OSError) as problem:
            ours.close()
            os.close(reading)
            raise Broken(f"the process for hooks could not be started: {problem}") from problem
        finally:
            theirs.close()
            os.close(writing)
        self._socket = green_socket(ours.family, ours.type, fileno=ours.detach())
        self._output = HookOutput(reading, lambda line: around.output(watcher, line))
        around.reaper.watch(self.child.pid, self.child.pidfd, self._ended)

    @property
    def unusable(self) -> bool:
        """Whether it can't be asked any more."""
        return self._status is not None or self._socket.fileno() < 0

    def await_hello(self) -> dict[str, Any]:
        """The process is ready for a call; raises `Broken` when it ends first."""
        with self._listening():
            return self._receive()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a message; raises `Broken` when the process ends first."""
        self._number += 1
        body = json.dumps({**message, "number": self._number}, default=str).encode("ascii")
        with self._listening():
            try:
                self._socket.sendall(len(body).to_bytes(4, "big") + body)
            except OSError:
                raise Broken(self._ending()) from None
            answer = self._receive()
            while answer.get("number") != self._number:
                answer = self._receive()
            return answer

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Meanwhile the end of the process leaves the socket open, for what was sent before."""
        self._asked = True
        try:
            yield
        finally:
            self._asked = False
            if self._status is not None:
                self._socket.close()

    def dismiss(self) -> None:
        """Told that there is nothing more to do; killed if that takes long. What hooks left running goes on."""
        if self._killer is None and self._status is None:
            self._socket.close()
            self._killer = gevent.spawn_later(END_LIMIT, self._kill_alone)

    def kill(self) -> None:
        """The process and everything that runs in its session or below it is killed."""
        if self._status is None:
            proc.kill_tree([self.child.identity])
        self._socket.close()

    def _kill_alone(self) -> None:
        proc.signal_process(self.child.identity, SIGKILL)

    def _receive(self) -> dict[str, Any]:
        size = int.from_bytes(self._take(4), "big")
        if size > MESSAGE_LIMIT:
            self.kill()
            raise Broken(f"an answer of {size} bytes is longer than {MESSAGE_LIMIT}")
        body = self._take(size)
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            raise Broken("its process answered something that is no JSON object")
        return answer

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                raise Broken(self._ending())
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _ending(self) -> str:
        # The socket may tell of the end before the process has been reaped.
        until = clock.now() + 1.0
        while (status := self._status) is None:
            if clock.now() >= until:
                self.kill()
                return "its process closed the connection"
            gevent.sleep(0.005)
        if status.signal is not None:
            return f"its process was ended by signal {status.signal}"
        return f"its process ended with code {status.code}"

    def _ended(self, status: ExitStatus) -> None:
        """In the hub's turn: the process is gone."""
        self._status = status
        if self._killer is not None:
            self._killer.kill(block=False)
        if self._asked and self._socket.fileno() >= 0:
            # What it answered before its end can still be read; a child that it forked may hold the other end open.
            self._socket.shutdown(socket.SHUT_RD)
        else:
            self._socket.close()
        self._output.finish()
        self._on_end(self)


def _start(around: Surroundings, watcher: str, fd: int, output: int) -> Child:
    env = dict(around.base_env)
    path = [*around.python_path, *filter(None, env.get("PYTHONPATH", "").split(":"))]
    if path:
        env["PYTHONPATH"] = ":".join(dict.fromkeys(path))
    if endpoint := around.endpoint():
        env["CIRCUSCTL_ENDPOINT"] = endpoint
    # -P: a module that lies in the folder from which the daemon was started must not pass for one of the library.
    command = (sys.executable, "-P", "-m", "circusd.cli.hookrunner", "--fd", str(fd), watcher)
    spec = SpawnSpec(
        argv=command,
        executable=sys.executable,
        env=env,
        stdout=output,
        stderr=output,
        pass_fds=(fd,),
        nofile=around.nofile,
        oom_score_adj=around.oom_score_adj,
    )
    return spawn(spec)
