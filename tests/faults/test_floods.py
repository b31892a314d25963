"""Who writes without end, and who never reads: memory has a bound, and everybody else gets what is his in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from circusd import zmtp
from circusd.client import Client, subscribe
from tests.daemon import Daemon
from tests.faults.measures import MEGABYTE, Pings, child, events, leaves_nothing, report, rss
from tests.waiting import eventually

FLOOD = 300 * MEGABYTE


class Clock:
    """How late lines of a child that writes the time reach who follows it; read by a thread of this process."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        self.delays: list[float] = []
        self.lines = 0
        self.skipped = 0
        self._client = Client(daemon.endpoint, timeout=20)
        self._follow = self._client.follow([f"output.{name}."])
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            _, data = self._follow.receive(30)
            now = time.monotonic()
            self.skipped += data["skipped"]
            for _, _, text in data["lines"]:
                self.lines += 1
                if text == "over":
                    return
                self.delays.append(now - float(text))

    def __enter__(self) -> Clock:
        self._thread.start()
        eventually(lambda: self.lines, within=20)
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(60)
        self._client.close()

    def __str__(self) -> str:
        late = sorted(self.delays)
        return (
            f"{len(late)} lines, median/worst {1000 * late[len(late) // 2]:.0f}/{1000 * late[-1]:.0f} ms late"
        )


@contextmanager
def highest(pid: int) -> Iterator[list[int]]:
    """The list's one item is the most memory that the process had during the block."""
    most = [rss(pid)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            most[0] = max(most[0], rss(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def test_f41_300_megabytes_at_full_speed_cost_neither_memory_nor_the_lines_of_others(tmp_path: Path) -> None:
    """All of it passes through history and file; another process's lines arrive, and control answers meanwhile.

    What counts loud output fast is loaded for it, and not before.
    """
    over, log = tmp_path / "over", tmp_path / "loud.log"
    ini = (
        f"[watcher:loud]\ncmd = {child('flood', FLOOD)}\nautostart = false\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 20M\nstdout_stream.backup_count = 1\n"
        f"[watcher:clock]\ncmd = {child('clock_until', 0.01, over)}\nclose_child_stderr = true\nrespawn = false\n"
        "stdout_stream.class = QueueStream\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        before = rss(daemon.pid)
        maps = Path(f"/proc/{daemon.pid}/maps")
        assert "stringzilla" not in maps.read_text()

        def read() -> int:
            found: int = daemon.watcher("loud")["output"]["streams"]["stdout"]["read_bytes"]
            return found

        with Clock(daemon, "clock") as clock:
            began = time.monotonic()
            with highest(daemon.pid) as most, Pings(daemon) as pings:
                daemon.call("start", name="loud", waiting=True)
                eventually(lambda: read() == FLOOD, within=120, every=0.1)
            took = time.monotonic() - began
            over.touch()
        grown = most[0] - before
        report(
            f"{FLOOD >> 20} MB in {took:.1f} s, circusd grew by {grown / MEGABYTE:.1f} MB; meanwhile {pings}"
        )
        report(f"beside it {clock}")
        assert grown < 32 * MEGABYTE
        assert ("stringzilla" in maps.read_text()) == (find_spec("stringzilla") is not None)
        assert clock.skipped == 0
        assert sorted(clock.delays)[len(clock.delays) // 2] < 1
        assert pings.share(0.5) < 0.5
        daemon.call("stop", waiting=True)


def test_f49_subscribers_that_never_read_cost_a_bounded_memory_and_nobody_else_a_message(
    tmp_path: Path,
) -> None:
    """On events, stats and output, and of followed streams; the one who reads gets every event in order."""
    ini = (
        f"[watcher:loud]\ncmd = {child('flood', 100 * MEGABYTE)}\nautostart = false\n"
        "stdout_stream.class = QueueStream\n"
        "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 20\n"
    )
    rounds, each = 30, 200
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon), ExitStack() as stack:
        endpoints = daemon.call("inspect")["daemon"]["endpoints"]
        assert daemon.call("events")["events"]
        before = rss(daemon.pid)
        for channel in ("events", "stats", "output"):
            for _ in range(3):
                stuck = zmtp.connect(endpoints[channel], "SUB", 5)
                stack.callback(stuck.close)
                stuck.subscribe([b""])
        for topics in (["state.", "event."], ["load."], ["output."]):
            client = stack.enter_context(Client(daemon.endpoint, timeout=20))
            client.follow(topics)
        good = stack.enter_context(subscribe(endpoints["events"], ["event."]))
        caller = stack.enter_context(Client(daemon.endpoint, timeout=20))
        caller.call("incr", {"name": "web"})
        numbers = [json.loads(good.receive(20)[1])["number"]]
        with highest(daemon.pid) as most, Pings(daemon) as pings:
            daemon.call("start", name="loud", waiting=True)
            for number in range(rounds):
                for step in range(each):
                    caller.cast("set", {"name": "web", "options": {"warmup_delay": number * each + step + 1}})
                # Not faster than the reader: its own backlog has an end too.
                while len(numbers) <= (number + 1) * each:
                    numbers.append(json.loads(good.receive(20)[1])["number"])
            eventually(
                lambda: daemon.watcher("loud")["output"]["streams"]["stdout"]["read_bytes"] == 100 * MEGABYTE,
                within=60,
                every=0.1,
            )
        grown = most[0] - before
        report(
            f"9 subscribers and 3 followers that never read, {len(numbers):,} events and 100 MB of output: "
            f"circusd grew by {grown / MEGABYTE:.1f} MB; meanwhile {pings}"
        )
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        # 4 MiB for each subscriber, and as much of a credit for each follower.
        assert grown < (12 * 4 + 16) * MEGABYTE
        stack.close()
        assert not events(daemon, "client.refused")
        daemon.call("stop", waiting=True)
