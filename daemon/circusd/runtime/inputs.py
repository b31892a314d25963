"""What is sent to the standard input of processes: a pipe for each, and a queue before it that has an end."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import AsyncResult

from circusd.schema.errors import Conflict

WRITE: Final = 2
QUEUE_BYTES: Final = 64 << 10
"""That much may wait for a process that does not read, beside what its pipe holds."""
WRITE_BYTES: Final = 64 << 10
"""Of one write: a turn of the loop takes no longer for a process that reads all at once."""


class InputPipe:
    """The standard input of one process; everything here is called in the hub or the arbiter's greenlet, and never waits."""

    def __init__(self, label: str, closed: Callable[[], None]) -> None:
        """``closed`` is called when nothing more can be sent."""
        self._label = label
        self._closed = closed
        self.child_fd, self._fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        self._io: Any = gevent.get_hub().loop.io(self._fd, WRITE)
        self._queue: deque[bytes] = deque()
        self.waiting = 0
        """Bytes that it has not taken yet."""
        self._sent = self._taken = 0
        self._asked: deque[tuple[int, AsyncResult[None]]] = deque()
        """Who waits until so many bytes are taken."""
        self._ends = False
        self.why_closed = ""

    def check(self, size: int) -> None:
        """Raises Conflict where that many bytes can't be sent now."""
        if self.why_closed or self._ends:
            raise Conflict(f"{self._label}: {self.why_closed or 'the end of its input was sent'}")
        if self.waiting and self.waiting + size > QUEUE_BYTES:
            raise Conflict(
                f"{self._label} does not read what it is sent: {self.waiting} bytes wait, and {QUEUE_BYTES} may",
                hint="nothing of this was sent; try again when it has read",
            )

    def send(self, data: bytes, *, end: bool = False) -> AsyncResult[None]:
        """It is sent in this order, all of it; ``end`` closes the pipe behind it. The result is there when it was taken."""
        self.check(len(data))
        taken: AsyncResult[None] = AsyncResult()
        if data:
            self._queue.append(data)
            self.waiting += len(data)
            self._sent += len(data)
        self._ends = end
        self._asked.append((self._sent, taken))
        self._write()
        return taken

    def _write(self) -> None:
        budget = WRITE_BYTES
        while self._queue and budget > 0:
            piece = self._queue.popleft()
            try:
                count = os.write(self._fd, memoryview(piece)[:budget])
            except BlockingIOError:
                count = 0
            except OSError:
                self.close("nobody reads its standard input any more")
                return
            if count < len(piece):
                self._queue.appendleft(piece[count:])
            self.waiting -= count
            self._taken += count
            budget -= count
            if not count:
                break
        while self._asked and self._asked[0][0] <= self._taken:
            self._asked.popleft()[1].set(None)
        if self._queue:
            self._io.start(self._write)
        elif self._ends:
            self.close("the end of its input was sent")
        else:
            self._io.stop()

    def given(self) -> None:
        """The process has its end: ours of it is closed."""
        if self.child_fd >= 0:
            os.close(self.child_fd)
            self.child_fd = -1

    def close(self, why: str) -> None:
        """Nothing more is sent; what waits is lost, and who waits for it is told."""
        self.given()
        if self.why_closed:
            return
        self.why_closed = why
        self._io.stop()
        self._io.close()
        os.close(self._fd)
        self._queue.clear()
        self.waiting = 0
        while self._asked:
            self._asked.popleft()[1].set_exception(Conflict(f"{self._label}: {why}"))
        self._closed()


class Inputs:
    """The standard inputs of a watcher's processes, by slot."""

    def __init__(self, name: str, changed: Callable[[], None]) -> None:
        self._name = name
        self._changed = changed
        self._pipes: dict[int, InputPipe] = {}

    def attach(self, wid: int) -> int:
        """A descriptor for the next process of the slot; `given` is to be called when it has it. Raises OSError."""
        self.ended(wid)
        pipe = self._pipes[wid] = InputPipe(f"process {wid} of {self._name}", self._changed)
        return pipe.child_fd

    def given(self, wid: int) -> None:
        """The process has been started with it."""
        if wid in self._pipes:
            self._pipes[wid].given()

    def ended(self, wid: int) -> None:
        """The process is gone, or could not be started."""
        pipe = self._pipes.pop(wid, None)
        if pipe is not None:
            pipe.close("it has ended")

    def find(self, wid: int) -> InputPipe | None:
        """The pipe of the slot's process, if it was started with one."""
        return self._pipes.get(wid)

    def state(self, wid: int) -> str | None:
        """``open``, ``closed``, or None where it was started without."""
        pipe = self._pipes.get(wid)
        return None if pipe is None else "closed" if pipe.why_closed else "open"

    def close(self) -> None:
        """No pipe is left."""
        for wid in list(self._pipes):
            self.ended(wid)
