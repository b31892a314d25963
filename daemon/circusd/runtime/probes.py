"""Looking whether a process is ready, or alive: a request, a connection, or a command; each in a greenlet, with an end in time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent import socket
from gevent.event import AsyncResult

from circusd.config.launch import find_program
from circusd.kernel import proc
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import SpawnError
from circusd.schema.probe_values import Target, target_of
from circusd.schema.values import signal_name

from .hookoutput import HookOutput
from .notifications import one_line
from .reaper import Reaper
from .sockets import is_program

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from .watcher import Credentials

GOOD: Final = range(200, 400)
"""Statuses of HTTP that say yes."""
REASON_BYTES: Final = 400
REASON_SECONDS: Final = 0.5
"""Of what a server says beside another status: so much is read, and so long is waited for it."""

Done = Callable[[str], None]
"""Told, in a greenlet of its own, what is wrong; nothing when the process is ready."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command that looks is started with: what the process was."""

    env: Mapping[str, str]
    cwd: str
    credentials: Credentials


class Probes:
    """All looks that are under way."""

    def __init__(self, reaper: Reaper, nofile: tuple[int, int] | None, oom_score_adj: int | None) -> None:
        self._reaper = reaper
        self._nofile = nofile
        self._oom_score_adj = oom_score_adj
        self._children: dict[int, Child] = {}

    def look(self, text: str, around: Surroundings, timeout: float, done: Done) -> None:
        """One look at what the option ``ready`` or ``alive`` says, with its names replaced; ``done`` is told within the time."""
        gevent.spawn(self._look, text, around, timeout, done)

    def close(self) -> None:
        """Commands that still look are killed."""
        for child in self._children.values():
            proc.kill_tree([child.identity])

    def _look(self, text: str, around: Surroundings, timeout: float, done: Done) -> None:
        done(one_line(self._problem(text, around, timeout)))

    def _problem(self, text: str, around: Surroundings, timeout: float) -> str:
        try:
            target = target_of(text)
        except ValueError as problem:
            return f"{text} {problem}"
        if target.scheme == "exec":
            return _within(timeout, partial(self._run, target, around))
        return reached(target, timeout, _connect)

    def _run(self, target: Target, around: Surroundings) -> str:
        lines: list[bytes] = []

        def keep(line: bytes) -> None:
            if line.strip():
                lines[:] = [line]

        ended: AsyncResult[Any] = AsyncResult()
        reading, writing = os.pipe()
        try:
            child = self._start(target, around, writing)
        except SpawnError as error:
            os.close(reading)
            return error.text
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        output = HookOutput(reading, keep)
        self._children[child.pid] = child
        self._reaper.watch(child.pid, child.pidfd, ended.set)
        try:
            status: Any = ended.get()
        finally:
            if not ended.ready():
                proc.kill_tree([child.identity])
            self._children.pop(child.pid, None)
            output.finish()
        if status.signal is None and status.code == 0:
            return ""
        how = f"exit code {status.code}" if status.signal is None else signal_name(status.signal)
        return ": ".join([how, *(line.decode("utf-8", "replace") for line in lines)])

    def _start(self, target: Target, around: Surroundings, writing: int) -> Child:
        who = around.credentials
        program = find_program(target.words[0], around.cwd, around.env, is_program)
        return spawn(
            SpawnSpec(
                argv=target.words,
                executable=program,
                env=around.env,
                cwd=around.cwd,
                uid=who.uid,
                gid=who.gid,
                groups=who.groups,
                stdout=writing,
                stderr=writing,
                nofile=self._nofile,
                oom_score_adj=self._oom_score_adj,
            )
        )


def reached(target: Target, timeout: float, connect: Callable[[Target], Any]) -> str:
    """What is wrong with something that is to answer; nothing when it does. ``connect`` gives a socket, or raises OSError."""
    look = _answer if target.scheme == "http" else _connection
    return _within(timeout, partial(look, target, connect))


def _within(timeout: float, look: Callable[[], str]) -> str:
    """What a look has found, or what has kept it from that."""
    over = gevent.Timeout(timeout)
    over.start()
    try:
        return look()
    except gevent.Timeout as end:
        if end is not over:
            raise
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    except ValueError as error:
        # A host's name that no name can be.
        return str(error)
    finally:
        over.close()


def connected(family: int, address: Any) -> Any:
    """A socket that is connected to there."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(target: Target) -> Any:
    if target.scheme != "unix":
        return socket.create_connection((target.host, target.port))
    return connected(socket.AF_UNIX, target.path)


def _connection(target: Target, connect: Callable[[Target], Any]) -> str:
    connect(target).close()
    return ""


def _answer(target: Target, connect: Callable[[Target], Any]) -> str:
    # Only where somebody asks by HTTP: it takes more memory than all the rest of this.
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(target.host, target.port)
    connection.sock = connect(target)
    try:
        connection.request("GET", target.path, headers={"User-Agent": "circusd", "Connection": "close"})
        response = connection.getresponse()
        if response.status in GOOD:
            return ""
        return ": ".join(filter(None, (f"status {response.status}", _reason(response))))
    except HTTPException as error:
        return f"no answer of HTTP: {str(error) or type(error).__name__}"
    finally:
        connection.close()


def _reason(response: HTTPResponse) -> str:
    """The first line of what a server says to a status that is no good, where that is made to be read."""
    kind = response.headers.get_content_type()
    if kind != "text/plain" and not kind.endswith("json"):
        return ""
    data = b""
    over = gevent.Timeout(REASON_SECONDS)
    over.start()
    try:
        data = response.read1(REASON_BYTES)
    except gevent.Timeout as end:
        if end is not over:
            raise
    finally:
        over.close()
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else ""
