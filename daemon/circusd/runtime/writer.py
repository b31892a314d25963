"""Threads that write files, so that no disk can stop the hub: at most eight, one for each file system."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Protocol

import gevent

from .timers import LoopTimer

log = logging.getLogger("circusd.files")

MOST_THREADS: Final = 8
LATER: Final = 0.1
"""Seconds that a few lines wait at most for more of them, after the first."""
SOON: Final = 0.005
"""The same of what is little after much: nearly always the end of it."""


class Work(Protocol):
    """Something to be written."""

    device: int
    """The file system, as in ``st_dev``; may change, and counts when the work is begun the next time."""

    def work(self) -> bool:
        """Do a bounded part of it, in a thread; whether there is more."""


@dataclass(slots=True)
class Once:
    """A work that is done in one go."""

    run: Callable[[], None]
    device: int = 0

    def work(self) -> bool:
        """See `Work`."""
        self.run()
        return False


class Thread:
    """One writing thread; it does the works that it is given in turns."""

    def __init__(self, name: str) -> None:
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
        # Without gevent's thread pool: ten stuck writes there stop the look-up of names too.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Work) -> None:
        """It will be done."""
        self._inbox.put(work)

    def _run(self) -> None:
        ending = False
        while True:
            try:
                work = self._inbox.get(block=not ending)
            except Empty:
                return
            if work is None:
                # What has begun before is brought to its end.
                ending = True
            elif self._has_more(work):
                # At the end of the line: one loud process does not hold up the others.
                self._inbox.put(work)

    @staticmethod
    def _has_more(work: Work) -> bool:
        try:
            return work.work()
        except Exception:
            # A fault of ours in one work: the others have the same thread.
            log.exception("a work of writing is given up")
            return False

    def end(self) -> None:
        """The thread ends when it comes to it."""
        self._inbox.put(None)

    @property
    def is_alive(self) -> bool:
        """It has not ended; one that is stuck in a write does not."""
        return self._thread.is_alive()

    def join(self) -> None:
        """The thread, which is not alive any more, has left nothing behind."""
        self._thread.join()


class _Delayed:
    """Works that are begun together, so many seconds after the first of them was added."""

    def __init__(self, seconds: float, begin: Callable[[Work], None]) -> None:
        self._seconds = seconds
        self._begin = begin
        self._works: dict[Work, None] = {}
        self._timer = LoopTimer()

    def add(self, work: Work) -> None:
        """It is begun then, once."""
        self._works[work] = None
        if not self._timer.is_set:
            self._timer.once(self._seconds, self.now)

    def take(self, work: Work) -> bool:
        """Whether it was among them; it is not any more."""
        if work not in self._works:
            return False
        del self._works[work]
        return True

    def now(self) -> None:
        """All are begun."""
        self._timer.stop()
        works, self._works = self._works, {}
        for work in works:
            self._begin(work)


class Writers:
    """All writing threads; a thread is made when there is something to write, and none before."""

    def __init__(self) -> None:
        self._loop = gevent.get_hub().loop
        self._threads: dict[int, Thread] = {}
        self._due: list[Work] = []
        self._own: list[Thread] = []
        self._later = _Delayed(LATER, self.begin)
        self._soon = _Delayed(SOON, self.begin)

    def begin(self, work: Work) -> None:
        """The work is done by the thread of its file system, from the end of this turn of the hub on.

        Until the end of the turn, because to wake a thread costs more than to write a line: one wakes for all.
        """
        if not self._due:
            self._loop.run_callback(self._hand_over)
        self._due.append(work)

    def begin_later(self, work: Work) -> None:
        """The same within `LATER`: little of it is there, and more will come."""
        self._later.add(work)

    def begin_soon(self, work: Work) -> None:
        """The same within `SOON`: much of it has just been there, and it may have come to its end."""
        self._soon.add(work)

    def hurry(self, work: Work) -> None:
        """What was begun for later is begun now."""
        if self._later.take(work) or self._soon.take(work):
            self.begin(work)

    def _hand_over(self) -> None:
        due, self._due = self._due, []
        for work in due:
            self._thread(work.device).put(work)

    def _thread(self, device: int) -> Thread:
        thread = self._threads.get(device)
        if thread is None:
            distinct = list(dict.fromkeys(self._threads.values()))
            if len(distinct) < MOST_THREADS:
                distinct.append(Thread(f"writer-{len(distinct) + 1}"))
                thread = distinct[-1]
            else:
                thread = distinct[device % MOST_THREADS]
            self._threads[device] = thread
        return thread

    def own(self, name: str) -> Thread:
        """A thread for something that may take as long as it likes; ends with the others or before."""
        thread = Thread(name)
        self._own = [other for other in self._own if other.is_alive]
        self._own.append(thread)
        return thread

    def tell(self, callback: Callable[[], None]) -> None:
        """From a thread: the callback is called in the hub."""
        self._loop.run_callback_threadsafe(callback)

    def __len__(self) -> int:
        """How many threads there are."""
        return len(set(self._threads.values())) + len(self._own)

    def close(self, timeout: float = 2.0) -> bool:
        """The threads have ended; False if one is still stuck in a write after `timeout` seconds. Other greenlets run."""
        self._later.now()
        self._soon.now()
        self._hand_over()
        threads = [*dict.fromkeys(self._threads.values()), *self._own]
        self._threads.clear()
        self._own = []
        for thread in threads:
            thread.end()
        deadline = time.monotonic() + timeout
        pause = 0.0005
        while any(thread.is_alive for thread in threads) and time.monotonic() < deadline:
            gevent.sleep(pause)
            pause = min(0.02, pause * 2)
        stuck = False
        for thread in threads:
            if thread.is_alive:
                stuck = True
            else:
                thread.join()
        return not stuck


def device_of(path: str) -> int:
    """The file system that a path is on, by the table of mounts alone: a dead network file system is not asked.

    A link elsewhere is not noticed; 0 when nothing is known.
    """
    found, longest = 0, -1
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            rows = table.readlines()
    except OSError:
        return 0
    for row in rows:
        fields = row.split(" ", 5)
        point = fields[4]
        if "\\" in point:
            for code in ("040", "011", "012", "134"):
                point = point.replace(f"\\{code}", chr(int(code, 8)))
        within = path == point or path.startswith(point if point.endswith("/") else point + "/")
        # Of two on one point the later one covers the other.
        if within and len(point) >= longest:
            major, _, minor = fields[2].partition(":")
            found, longest = os.makedev(int(major), int(minor)), len(point)
    return found
