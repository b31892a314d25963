"""Looks at single processes, in a thread: what the kernel tells of a process can wait for that process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final, TypeVar

import gevent
from gevent.event import AsyncResult

from circusd.kernel import details
from circusd.kernel.figures import Transfer, transfer
from circusd.kernel.proc import Identity
from circusd.schema.errors import Conflict, Failed

from . import clock
from .writer import Once, Thread, Writers

PATIENCE: Final = 3.0
"""Seconds that anybody waits for a look."""
MOST_WAITING: Final = 32
"""Looks that wait for the thread."""
MOST_THREADS: Final = 4
"""Threads that may be stuck in a look; then there are no more looks."""
BETWEEN: Final = 0.25
"""Seconds between two looks that tell the use of the processor, where nobody has looked before."""

T = TypeVar("T")


class Looks:
    """The thread is made when somebody looks for the first time; everything here is called in a greenlet."""

    def __init__(self) -> None:
        self._writers: Writers | None = None
        self._thread: Thread | None = None
        self._below = details.Below()
        self._begun: dict[int, float] = {}
        """When those looks were asked for that have not ended, by a number of their own."""
        self._number = 0
        self._stuck: set[Thread] = set()

    def close(self) -> None:
        """The thread has ended, unless it is stuck."""
        if self._writers is not None:
            self._writers.close(timeout=0.5)
            self._writers = self._thread = None

    def trees(self, roots: Collection[int]) -> details.Trees:
        """These processes and all below them. Raises as `_run` does."""
        trees = self._run(lambda: self._below.look(roots, clock.now()))
        if not trees.is_known:
            gevent.sleep(BETWEEN)
            trees = self._run(lambda: self._below.look(roots, clock.now()))
        return trees

    def details(self, identity: Identity) -> dict[str, Any] | None:
        """What that process is and holds; None if it is gone. Raises as `_run` does."""
        return self._run(lambda: details.all_of(identity))

    def transfers(self, pids: Collection[int]) -> dict[int, Transfer]:
        """What these processes have read and written, as far as that may be read. Raises as `_run` does."""
        return self._run(lambda: {pid: moved for pid in pids if (moved := transfer(pid)) is not None})

    def _run(self, look: Callable[[], T]) -> T:
        """What the look returns. Raises Failed if it does not within `PATIENCE`, Conflict if too many wait already."""
        writers = self._writers = self._writers or Writers()
        self._replace_if_stuck(writers)
        if len(self._begun) >= MOST_WAITING:
            raise Conflict("too many looks at processes wait already")
        thread = self._thread = self._thread or writers.own("looks")
        self._number += 1
        number = self._number
        self._begun[number] = clock.now()
        result: AsyncResult[Callable[[], T]] = AsyncResult()

        def ended(answer: Callable[[], T]) -> None:
            self._begun.pop(number, None)
            self._stuck.discard(thread)
            result.set(answer)

        thread.put(Once(lambda: writers.tell(partial(ended, _tried(look)))))
        try:
            answer = result.get(timeout=PATIENCE)
        except gevent.Timeout:
            raise Failed(f"the kernel has not told within {PATIENCE:g} s what the process holds") from None
        assert answer is not None
        return answer()

    def _replace_if_stuck(self, writers: Writers) -> None:
        oldest = min(self._begun.values(), default=clock.now())
        if self._thread is None or clock.now() - oldest < PATIENCE:
            return
        if len(self._stuck) >= MOST_THREADS:
            raise Failed("looks at processes are stuck in the kernel", hint="a process may hang in state D")
        self._stuck.add(self._thread)
        self._thread.end()
        self._thread = None
        self._below = details.Below()
        self._begun.clear()


def _tried(look: Callable[[], T]) -> Callable[[], T]:
    """What gives the result of the look, or raises what it has raised: for who has asked, while the thread goes on."""
    try:
        value = look()
    except Exception as error:  # noqa: BLE001 (raised again)
        return partial(_raise, error)
    return lambda: value


def _raise(error: Exception) -> Any:
    raise error
