"""Searches under way: each in a process of its own that is started for it, answered what it asks for, and ended.

See `circusd.cli.searcher` for the other side. How many there are is bounded, for all and for each client; one whose client
is gone, whose session has ended or that was cancelled is killed at once. Where a client has named the search by a key and
there is more to read, its process waits a while for the next page: it knows its place in compressed files.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.socket import socket as green_socket

from circusd.kernel import pidfd
from circusd.kernel.pidfd import ExitStatus
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import BadRequest, CircusError, Conflict, Failed, SpawnError, TimedOut
from circusd.schema.wire import Encoded

from .fileindex import Mark
from .history import History
from .linequery import Query
from .orders import Order
from .reaper import Reaper

log = logging.getLogger("circusd.searches")

AT_ONCE: Final = 4
"""Searching processes; further searches wait for their turn,"""
SEARCHES: Final = 32
"""of which there are so many in all,"""
SEARCHES_PER_CLIENT: Final = 2
"""and so many of one session or connection."""
KEPT: Final = 4
"""Processes that wait for the next page,"""
KEPT_SECONDS: Final = 30.0
"""and for so long."""
PATIENCE: Final = 60.0
"""Seconds after which a process is killed that has not answered though its own time is over."""
MESSAGE_LIMIT: Final = 64 << 20
"""Bytes of the longest answer."""
_KILL: Final = 9


@dataclass(slots=True, eq=False)
class Search:
    """One under way."""

    owner: str
    """Whose it is: a session, or a connection."""
    connection: bytes
    key: str
    queries: Sequence[Query]
    result: AsyncResult[Any] = field(default_factory=AsyncResult)
    greenlet: Any = None
    read: int = 0
    of: int = 0


class Searches:
    """All searches of one daemon."""

    def __init__(
        self,
        history: History,
        reaper: Reaper,
        env: Mapping[str, str],
        index: Callable[[], str],
        pending: Callable[[str], list[Mark]],
        *,
        nofile: tuple[int, int] | None = None,
        oom_score_adj: int | None = None,
    ) -> None:
        """``index`` tells the state folder, ``pending`` what a log's index there does not have yet."""
        self._history = history
        self._reaper = reaper
        self._env = dict(env)
        self._index = index
        self._pending = pending
        self._nofile = nofile
        self._oom_score_adj = oom_score_adj
        self._turns = BoundedSemaphore(AT_ONCE)
        self._searches: dict[Search, None] = {}
        self._kept: dict[tuple[str, str], _Kept] = {}
        """By client and key, that which was used last at the end."""

    def begin(
        self, queries: Sequence[Query], order: Order, connection: bytes, session: str, key: str
    ) -> AsyncResult[Any]:
        """Its result is there when all of the queries are answered, one reply each. Raises Conflict where there are too many.

        ``session`` is the `accounts.fingerprint` of the session that asks; one of the same client with the same key ends.
        """
        owner = session or connection.hex()
        self._supersede(owner, key)
        if len(self._searches) >= SEARCHES:
            raise Conflict(
                f"{SEARCHES} searches are under way or wait already", hint="circusctl jobs lists them"
            )
        if sum(search.owner == owner for search in self._searches) >= SEARCHES_PER_CLIENT:
            raise Conflict(
                f"{SEARCHES_PER_CLIENT} searches of yours are under way already",
                hint="wait for one, or cancel it",
            )
        search = Search(owner, connection, key, queries)
        order.cancel = lambda by: self._end(
            search, Conflict(f"the search was cancelled by {by or 'somebody'}")
        )
        order.measure = lambda: (search.read, search.of, "byte")
        self._searches[search] = None
        search.greenlet = gevent.spawn(self._run, search, order)
        return search.result

    def replace(self, owner: str, key: str) -> None:
        """The search of that client with that key, if there is a key, has ended, and nothing waits for its next page."""
        self._supersede(owner, key)
        self._drop([kept for kept in self._kept.values() if (kept.owner, kept.key) == (owner, key)])

    def _supersede(self, owner: str, key: str) -> None:
        for search in list(self._searches):
            if key and search.owner == owner and search.key == key:
                self._end(search, Conflict("another search has taken its place"))

    def left(self, connection: bytes) -> None:
        """The connection has ended, and the searches that were asked for on it with it."""
        for search in list(self._searches):
            if search.connection == connection:
                self._end(search, Conflict("the connection has ended"))
        self._drop([kept for kept in self._kept.values() if kept.connection == connection])

    def end_session(self, session: str) -> None:
        """The session (its `accounts.fingerprint`) has ended, and its searches with it."""
        for search in list(self._searches):
            if session and search.owner == session:
                self._end(search, Conflict("the session is over"))
        self._drop([kept for kept in self._kept.values() if session and kept.owner == session])

    def close(self) -> None:
        """No searching process is left."""
        for search in list(self._searches):
            self._end(search, Conflict("circusd is stopping"))
        self._drop(list(self._kept.values()))

    def _end(self, search: Search, error: CircusError) -> None:
        if self._searches.pop(search, self) is None:
            search.result.set_exception(error)
            search.greenlet.kill(block=False)

    def _run(self, search: Search, order: Order) -> None:
        try:
            with self._turns:
                answer: Any = self._answer(search, order)
        except CircusError as problem:
            answer = problem
        except Exception as problem:
            log.exception("a search could not be carried out")
            answer = Failed(f"the search failed: {problem}")
        if self._searches.pop(search, self) is None:
            if isinstance(answer, CircusError):
                search.result.set_exception(answer)
            else:
                search.result.set(answer)

    # -- processes that wait for the next page -----------------------------------------------------------------------

    def _take(self, search: Search) -> _Process:
        """The process that has answered the page before, if it still waits; else a new one."""
        kept = self._kept.pop((search.owner, search.key), None) if search.key else None
        if kept is None:
            return _Process(self._start, self._reaper)
        kept.timer.kill(block=False)
        if not kept.process.has_ended:
            return kept.process
        kept.process.end()
        return _Process(self._start, self._reaper)

    def _keep(self, search: Search, process: _Process) -> None:
        kept = _Kept(search.owner, search.key, search.connection, process)
        kept.timer = gevent.spawn_later(KEPT_SECONDS, self._drop, [kept])
        self._kept[search.owner, search.key] = kept
        self._drop(list(self._kept.values())[:-KEPT])

    def _drop(self, those: Iterable[_Kept]) -> None:
        for kept in those:
            del self._kept[kept.owner, kept.key]
            kept.process.end()
            if kept.timer is not gevent.getcurrent():
                kept.timer.kill(block=False)

    def _answer(self, search: Search, order: Order) -> list[dict[str, Any]]:
        process = self._take(search)
        is_kept = False
        limit = sum(query.seconds for query in search.queries) + PATIENCE
        try:
            with gevent.Timeout(limit, TimedOut("the searching process does not answer")):
                process.send({"queries": search.queries, "index": self._index()})
                turn = 0
                while True:
                    told = process.receive()
                    if "give" in told:
                        if told["give"] == 0 and turn < len(search.queries):
                            turn += 1
                        self._give(process, search.queries[turn - 1], int(told["give"]))
                    elif "read" in told:
                        search.read, search.of = int(told["read"]), int(told["of"])
                        order.moved.set()
                    elif "error" in told:
                        raise _error(told["error"])
                    else:
                        replies = process.replies(told)
                        break
            if search.key and search in self._searches and any(reply["more"] for reply in replies):
                self._keep(search, process)
                is_kept = True
            return replies
        finally:
            if not is_kept:
                process.end()

    def _give(self, process: _Process, query: Query, number: int) -> None:
        """The memory of a log's streams, as a copy, so that nothing can change it meanwhile."""
        log_ = query.logs[number]
        fd, frozen = self._history.copy(log_.keys)
        try:
            process.send({"history": frozen, "marks": self._pending(log_.path) if log_.path else []}, fd)
        finally:
            os.close(fd)

    def _start(self, fd: int) -> Child:
        # -P: a module that lies in the folder from which the daemon was started must not pass for one of the library.
        return spawn(
            SpawnSpec(
                argv=(sys.executable, "-P", "-m", "circusd.cli.searcher", str(fd)),
                executable=sys.executable,
                env=self._env,
                pass_fds=(fd,),
                nofile=self._nofile,
                oom_score_adj=self._oom_score_adj,
            )
        )


@dataclass(slots=True, eq=False)
class _Kept:
    """A process that waits for the next page of what it has read."""

    owner: str
    key: str
    connection: bytes
    process: _Process
    timer: Any = None


class _Process:
    """One searching process, and the socket to it."""

    def __init__(self, start: Callable[[int], Child], reaper: Reaper) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._child = start(theirs.fileno())
        except (SpawnError, OSError) as problem:
            ours.close()
            raise Failed(f"the searching process could not be started: {problem}") from problem
        finally:
            theirs.close()
        self._status: ExitStatus | None = None
        self._socket = green_socket(ours.family, ours.type, fileno=ours.detach())
        reaper.watch(self._child.pid, self._child.pidfd, self._ended)

    def _ended(self, status: ExitStatus) -> None:
        self._status = status

    @property
    def has_ended(self) -> bool:
        """Whether nothing answers any more."""
        return self._status is not None

    def send(self, message: dict[str, Any], fd: int = -1) -> None:
        """The message is on its way, with a copy of the descriptor. Raises Failed."""
        body = json.dumps(message, separators=(",", ":")).encode("ascii")
        head = len(body).to_bytes(4, "big")
        try:
            if fd >= 0:
                socket.send_fds(self._socket, [head], [fd])
            else:
                self._socket.sendall(head)
            self._socket.sendall(body)
        except OSError:
            raise Failed("the searching process has ended") from None

    def receive(self) -> dict[str, Any]:
        """The next message. Raises Failed when the process ends without one."""
        size = int.from_bytes(self._exactly(4), "big")
        if size > MESSAGE_LIMIT:
            raise Failed(f"an answer of {size} bytes is too long")
        message: dict[str, Any] = json.loads(self._exactly(size))
        return message

    def replies(self, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The replies, with their lines as they came."""
        if sum(told["sizes"]) > MESSAGE_LIMIT:
            raise Failed(f"an answer of {sum(told['sizes'])} bytes is too long")
        pairs = zip(told["replies"], told["sizes"], strict=True)
        return [{**reply, "lines": Encoded(self._exactly(size))} for reply, size in pairs]

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            try:
                data = self._socket.recv(min(1 << 18, count - len(parts)))
            except OSError:
                data = b""
            if not data:
                raise Failed(
                    "the searching process has ended without an answer: it took too long or too much memory"
                )
            parts += data
        return bytes(parts)

    def end(self) -> None:
        """The process is killed if it has not ended; the socket is closed."""
        if self._status is None:
            pidfd.send(self._child.pidfd, _KILL)
        self._socket.close()


def _error(told: Mapping[str, Any]) -> CircusError:
    if told.get("code") == BadRequest.code:
        return BadRequest(
            str(told.get("text")), field=str(told.get("field") or ""), hint=str(told.get("hint") or "")
        )
    return Failed(str(told.get("text")), hint=str(told.get("hint") or ""))
