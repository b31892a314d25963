"""What a test process holds at one moment: descriptors, threads, children, greenlets."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import greenlet

SELF = Path("/proc/self")


@dataclass(frozen=True)
class Holdings:
    """Each kind as a dict from what identifies a thing to what a person would call it."""

    descriptors: dict[tuple[int, str], str]
    threads: dict[int, str]
    children: dict[int, str]
    greenlets: dict[int, str]
    # Idle workers of gevent's own pool stay for the next call, and one may take the place of another: they are known, and
    # no threads here. Those that began before `know_workers` can't be told from other threads, but counted.
    pooled: int

    def more_than(self, before: Holdings) -> list[str]:
        """What is here and was not there, a line each; empty if nothing has leaked."""
        found = [
            f"descriptor {what}" for key, what in self.descriptors.items() if key not in before.descriptors
        ]
        threads = [f"thread {what}" for key, what in self.threads.items() if key not in before.threads]
        if len(threads) > self.pooled - before.pooled:
            found += threads
        found += [f"child {what}" for key, what in self.children.items() if key not in before.children]
        found += [f"greenlet {what}" for key, what in self.greenlets.items() if key not in before.greenlets]
        return found


def holdings(*, green: bool) -> Holdings:
    """What this process holds now; greenlets only if asked for, because finding them walks the heap."""
    pooled = 0
    if "gevent" in sys.modules:
        import gevent

        know_workers()
        # Made now if it was not yet: it stays, with its descriptors, and would look like a leak of the first user.
        pooled = gevent.get_hub().threadpool.size - len(_WORKERS)
    return Holdings(
        descriptors=dict(descriptors()),
        threads=dict(threads()),
        children=dict(children()),
        greenlets=dict(greenlets()) if green else {},
        pooled=pooled,
    )


_WORKERS: set[int] = set()
"""The thread ids of workers of gevent's pools."""


def know_workers() -> None:
    """From now on each thread that is a worker of one of gevent's pools is known as such, for as long as it lives."""
    from gevent.threadpool import ThreadPool, _WorkerGreenlet

    class Known(_WorkerGreenlet):
        def _begin(self) -> None:
            number = threading.get_native_id()
            _WORKERS.add(number)
            try:
                super()._begin()
            finally:
                _WORKERS.discard(number)

    if ThreadPool._WorkerGreenlet is _WorkerGreenlet:
        ThreadPool._WorkerGreenlet = Known


def descriptors() -> Iterator[tuple[tuple[int, str], str]]:
    for name in os.listdir(SELF / "fd"):
        try:
            target = os.readlink(SELF / "fd" / name)
        except FileNotFoundError:
            # The descriptor by which the folder was listed.
            continue
        yield (int(name), target), f"{name} -> {target}"


def threads() -> Iterator[tuple[int, str]]:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for task in (SELF / "task").iterdir():
        try:
            comm = (task / "comm").read_text().strip()
        except OSError:
            # It ended meanwhile: ENOENT or, if its entry was already open, ESRCH.
            continue
        tid = int(task.name)
        if tid not in _WORKERS:
            yield tid, f"{tid} ({names.get(tid) or _of_c(task, comm)})"


def _of_c(task: Path, comm: str) -> str:
    """A thread that Python does not know: what it waits for in the kernel, and how long ago it began."""
    try:
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        waits = (task / "wchan").read_text()
    except OSError:
        return f"{comm}, which has just ended"
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return f"{comm}, {fields[0]} in {waits or '?'}, {age:.2f} s old"


def children() -> Iterator[tuple[int, str]]:
    for task in (SELF / "task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue
        for pid in pids:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                command = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            yield int(pid), f"{pid} (zombie)" if state == "Z" else f"{pid} ({command.strip()})"


def greenlets() -> Iterator[tuple[int, str]]:
    """Those of this thread; those of others go with their threads."""
    if "greenlet" not in sys.modules:
        return
    import greenlet

    own = root(greenlet.getcurrent())
    for thing in gc.get_objects():
        # True for a greenlet that has been started and has not ended.
        if not isinstance(thing, greenlet.greenlet) or not thing:
            continue
        # The thread's own greenlet and gevent's hub are there for good.
        if thing is not own and root(thing) is own and type(thing).__name__ != "Hub":
            yield id(thing), repr(thing)


def root(thing: greenlet.greenlet) -> greenlet.greenlet:
    """The greenlet of the thread that this one runs in."""
    while thing.parent is not None:
        thing = thing.parent
    return thing
