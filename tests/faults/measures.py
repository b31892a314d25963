"""What a running daemon holds and takes, read from the system and not from itself."""

from __future__ import annotations

import json
import math
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circusd.client import Client
from tests.daemon import Daemon
from tests.waiting import eventually

HERE = Path(__file__).parent
PYTHON = sys.executable
CHILD = HERE / "child.py"
MEGABYTE = 1 << 20


def child(*words: object) -> str:
    """Command line of a child that misbehaves, for a configuration."""
    return " ".join([PYTHON, str(CHILD), *map(str, words)])


def rss(pid: int) -> int:
    """Resident bytes of a process, without what it shares with others through a file in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return (int(fields["VmRSS"].split()[0]) - int(fields["RssShmem"].split()[0])) << 10


def descriptors(pid: int) -> dict[str, str]:
    """What each open descriptor of a process is."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
    return found


def offspring(pid: int) -> set[int]:
    """Pids of the children of a process, its zombies among them."""
    found: set[int] = set()
    for task in os.listdir(f"/proc/{pid}/task"):
        found.update(map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()))
    return found


def children(pid: int) -> dict[int, str]:
    """States (R, S, Z and so on) of the children of a process."""
    found = {}
    for child_pid in offspring(pid):
        try:
            found[child_pid] = state(child_pid)
        except OSError:
            continue
    return found


def state(pid: int) -> str:
    """State of a process, as one letter."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_alive(pid: int) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return state(pid) not in "ZX"
    except OSError:
        return False


def zombies(pid: int) -> list[int]:
    """Children of a process that have ended and were not reaped."""
    return [child for child, letter in children(pid).items() if letter == "Z"]


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))


def processor_seconds(pid: int) -> float:
    """Time on a processor of all threads of a process."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def wakeups(pid: int) -> int:
    """How often the threads of a process went to sleep of themselves, and so were woken."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def spawns(daemon: Daemon, name: str) -> int:
    """How many processes of a watcher have been started."""
    return sum(p["starts"] for p in daemon.watcher(name)["processes"])


def events(daemon: Daemon, kind: str, name: str | None = None) -> list[dict[str, Any]]:
    """The last events of one kind, oldest first."""
    found = daemon.call("events", lines=2000, **({} if name is None else {"name": name}))["events"]
    return [event for event in found if event["event"] == kind]


def states(daemon: Daemon, name: str) -> Counter[str]:
    """How many processes of a watcher are in each state."""
    return Counter(p["state"] for p in daemon.watcher(name)["processes"])


def runs(daemon: Daemon, name: str, count: int) -> list[int]:
    """The pids of a watcher if it is just so many, all alive and each once; else an AssertionError."""
    pids = daemon.pids(name)
    assert len(pids) == len(set(pids)) == count, f"{len(pids)} processes, {len(set(pids))} of them different"
    assert set(states(daemon, name)) <= {"running", "ready"}
    there = children(daemon.pid)
    assert set(pids) <= there.keys()
    assert not [pid for pid in pids if there[pid] == "Z"]
    return pids


@contextmanager
def leaves_nothing(daemon: Daemon) -> Iterator[None]:
    """After the block, and what it started is stopped, the daemon holds no more than before; its memory aside."""

    def holds() -> tuple[Counter[str], int, dict[int, str]]:
        found = [what.split(":")[0] for what in descriptors(daemon.pid).values()]
        # The state folder is held from the first thing on that is kept there, such as a crash report.
        kinds = Counter(what for what in found if not what.endswith("/circus/lock"))
        return kinds, threads(daemon.pid), children(daemon.pid)

    # Once before measuring: what is opened at the first request, and for the first process, stays.
    daemon.watcher(daemon.call("list")["watchers"][0])
    daemon.call("people")
    daemon.call("add", name="first", cmd="sleep 1000", start=True, waiting=True)
    daemon.call("rm", name="first", waiting=True)
    fds, tasks, offspring = eventually(holds)
    yield

    def nothing_more() -> bool:
        now, tasks_now, offspring_now = holds()
        assert not now - fds, f"more descriptors: {now - fds}"
        # Others may stand in the place of those that were there.
        assert len(offspring_now) <= len(offspring), f"more children: {offspring_now} after {offspring}"
        assert "Z" not in offspring_now.values(), f"zombies: {offspring_now}"
        # A thread for each file system that is written to stays, and gevent keeps a few.
        assert tasks_now <= tasks + 4
        return True

    eventually(nothing_more, within=10)


class Pings:
    """How long the control channel took to answer, asked again and again by a thread of this process."""

    def __init__(self, daemon: Daemon, every: float = 0.01) -> None:
        self.seconds: list[float] = []
        self.errors: list[BaseException] = []
        self._daemon = daemon
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with Client(self._daemon.endpoint, timeout=30) as client:
                while not self._over.wait(self._every):
                    began = time.monotonic()
                    client.call("ping")
                    self.seconds.append(time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 (told by the test)
            self.errors.append(error)

    def share(self, part: float) -> float:
        """Seconds within which this part of the answers came: 0.5 is the median."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)]

    def __enter__(self) -> Pings:
        self._thread.start()
        eventually(lambda: self.seconds or self.errors, within=30)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        if error[0] is None and self.errors:
            raise self.errors[0]

    def __str__(self) -> str:
        if not self.seconds:
            return "no answer"
        shown = (f"{1000 * self.share(part):.1f}" for part in (0.5, 0.99, 1))
        return f"{len(self.seconds)} answers, median/p99/worst {'/'.join(shown)} ms"


@dataclass(frozen=True)
class Seen:
    """What an observed daemon says of itself."""

    greenlets: int
    objects: int
    timers: int


class ObservedDaemon(Daemon):
    """A daemon with a thread in it that counts its greenlets when asked."""

    @property
    def _window(self) -> str:
        return str(self.runtime / "window")

    def command(self) -> list[str]:
        program = str(HERE / "observed.py")
        return [PYTHON, program, self._window, *self.args, str(self.config)]

    def look(self) -> Seen:
        """How much there is in the daemon, its garbage not counted."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(self._window)
            with sock.makefile("rb") as file:
                return Seen(**json.loads(file.read()))


def report(fact: str) -> None:
    """A figure for whoever runs the tests with -s."""
    print(f"\n  {fact}")
