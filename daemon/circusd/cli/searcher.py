"""The process that searches the memory and the log files for a request, page by page; see `circusd.runtime.searches`.

It is a process because nothing else can be ended: a regular expression may match for ever, and a disk may never answer.
Frames go both ways over a socket: four bytes of length, then JSON; behind the answer come the lines of its replies, JSON too,
which the daemon passes on as they are.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any, Final, NoReturn

from circusd.runtime.fileindex import Mark, read_index
from circusd.runtime.history import History
from circusd.runtime.linequery import Query
from circusd.runtime.linesearch import Search
from circusd.runtime.logfiles import size_of
from circusd.runtime.unpacking import Unfinished
from circusd.schema.errors import BadRequest, CircusError

NICE: Final = 10
MEMORY_BYTES: Final = 2 << 30
CPU_SECONDS: Final = 600
MATCH_SECONDS: Final = 3.0
"""Processor time for the lines that are read at once, which usually take a hundredth of that."""
REPORT_SECONDS: Final = 0.2


class TooSlow(Exception):
    """The pattern takes too long."""


class Searcher:
    """One search, asked for over a socket and answered there."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reported = 0.0
        self._total = 0
        self._files = Unfinished()

    def run(self) -> NoReturn:
        """One answer after the other, or errors, were sent; the process ends when nobody asks any more."""
        while True:
            task, _ = self._receive()
            _let_compute(CPU_SECONDS)
            self._answer(task)

    def _answer(self, task: dict[str, Any]) -> None:
        lines: list[bytes] = []
        try:
            queries = [Query.of(data) for data in task["queries"]]
            self._total = sum(size_of(log.path) for log in queries[0].logs if log.path)
            replies = [self._one(task["index"], query) for query in queries]
            lines = [_encoded(reply.pop("lines")) for reply in replies]
            answer: dict[str, Any] = {"replies": replies, "sizes": list(map(len, lines))}
        except TooSlow:
            error = BadRequest(
                "the pattern takes too long",
                field="pattern",
                hint="less of * and + within and after each other helps; with fixed it is plain text",
            )
            answer = {"error": error.as_dict()}
        except CircusError as problem:
            answer = {"error": problem.as_dict()}
        except MemoryError:
            answer = {"error": BadRequest("the search takes too much memory", field="pattern").as_dict()}
        self._arm(0.0)
        self._send(answer)
        self._socket.sendall(b"".join(lines))

    def _one(self, folder: str, query: Query) -> dict[str, Any]:
        def give(number: int) -> tuple[History, list[Mark]]:
            self._arm(0.0)
            self._send({"give": number})
            given, fd = self._receive()
            path = query.logs[number].path
            marks = read_index(folder, path, given["marks"]) if path and folder else []
            history = History.thaw(fd, given["history"], stream_bytes=MEMORY_BYTES)
            self._arm(MATCH_SECONDS)
            return history, marks

        # Compiling may take for ever too.
        self._arm(MATCH_SECONDS)
        return Search(query, give, self._report, self._files).run()

    def _report(self, read: int) -> None:
        self._arm(MATCH_SECONDS)
        now = time.monotonic()
        if now >= self._reported + REPORT_SECONDS:
            self._reported = now
            self._send({"read": read, "of": self._total})

    @staticmethod
    def _arm(seconds: float) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    def _send(self, message: dict[str, Any]) -> None:
        body = _encoded(message)
        self._socket.sendall(len(body).to_bytes(4, "big") + body)

    def _receive(self) -> tuple[dict[str, Any], int]:
        """A message, and the descriptor that came with it or -1."""
        head, fds, _, _ = socket.recv_fds(self._socket, 4, 1)
        size = int.from_bytes(head + self._exactly(4 - len(head)), "big")
        message: dict[str, Any] = json.loads(self._exactly(size))
        return message, fds[0] if fds else -1

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            data = self._socket.recv(count - len(parts))
            if not data:
                # Nobody waits for it any more.
                os._exit(1)
            parts += data
        return parts


def _encoded(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode("ascii")


def _too_slow(signum: int, frame: FrameType | None) -> NoReturn:
    raise TooSlow


def _limit(limit: int, most: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _let_compute(seconds: int) -> None:
    """From now on so many seconds of the processor are left."""
    _limit(resource.RLIMIT_CPU, int(time.process_time()) + seconds)


def main() -> None:
    """Search as the socket says, whose descriptor is the only argument: what reads arguments for people takes memory, too."""
    fd = int(sys.argv[1])
    os.nice(NICE)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    signal.signal(signal.SIGVTALRM, _too_slow)
    # An interrupt at the terminal of a circusd in the foreground is for circusd.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=fd) as sock:
        Searcher(sock).run()


if __name__ == "__main__":
    main()
