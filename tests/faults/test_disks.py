"""Places of output that are full, slow or not there: no process stops for them, and what is lost is counted and told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from tests.daemon import Daemon
from tests.faults.measures import Pings, child, events, is_alive, leaves_nothing, report
from tests.waiting import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

LINE = 1000
STEADY = f"{LINE} 0.005"
"""A line of 1,000 bytes, 200 times a second: 64 KiB are full after a third of a second."""


class SmallDisk(Daemon):
    """A daemon that sees a file system of so many bytes at ``disk``, which nobody else sees and which ends with it."""

    bytes = 8 << 20

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def seen(self, name: str) -> Path:
        """A file of that disk, from outside."""
        return Path(f"/proc/{self.pid}/root{self.disk}/{name}")

    def command(self) -> list[str]:
        self.disk.mkdir(exist_ok=True)
        script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
        mounted = ["sh", "-c", script, "sh", str(self.bytes), str(self.disk), *super().command()]
        return ["unshare", "--mount", "--propagation", "private", *mounted]


def fill(path: Path) -> None:
    """A file takes all the room that is left on its file system."""
    with path.open("wb", buffering=0) as out:
        try:
            while out.write(bytes(4096)):
                continue
        except OSError:
            return


def taken(progress: Path) -> int:
    """How many lines have been taken from a steady child."""
    return int(progress.read_text() or 0) if progress.exists() else 0


def goes_on(progress: Path, lines: int = 100) -> None:
    """The child gets rid of so many more lines."""
    before = taken(progress)
    eventually(lambda: taken(progress) > before + lines, within=20, what="the child writes on")


def stream(daemon: Daemon, name: str) -> dict[str, Any]:
    """The counters of a watcher's standard output."""
    found: dict[str, Any] = daemon.watcher(name)["output"]["streams"]["stdout"]
    return found


@needs_root
def test_f39_a_full_disk_stops_nobody_and_is_told_once_when_it_begins_and_once_when_it_is_over(
    tmp_path: Path,
) -> None:
    """Output is lost by whole lines and counted to the byte; with room again, it is written without anybody's help."""
    progress = tmp_path / "progress"
    log = "disk/loud.log"
    ini = (
        f"[watcher:loud]\ncmd = {child('steady', progress, STEADY)}\n"
        f"stdout_stream.filename = {tmp_path}/{log}\nstdout_stream.queue_bytes = 65536\n"
        "[watcher:other]\ncmd = sleep 100000\n"
    )
    with SmallDisk(ini, tmp_path) as daemon:
        written = daemon.seen("loud.log")
        eventually(lambda: written.stat().st_size > 10 * LINE)
        fill(daemon.seen("ballast"))
        eventually(lambda: events(daemon, "output.dropped", "loud"), within=20)
        goes_on(progress, 500)
        with Pings(daemon) as pings:
            goes_on(progress)
        lost = eventually(lambda: stream(daemon, "loud")["dropped_bytes"])
        assert "space" in stream(daemon, "loud")["failing"]
        assert len(events(daemon, "output.dropped", "loud")) == 1
        assert not events(daemon, "output.recovered", "loud")
        size = written.stat().st_size
        began = time.monotonic()
        daemon.seen("ballast").unlink()
        eventually(lambda: written.stat().st_size > size + LINE, within=20)
        report(
            f"disk full: {lost >> 10} KiB lost, {pings}; written again {time.monotonic() - began:.1f} s later"
        )
        (told,) = eventually(lambda: events(daemon, "output.recovered", "loud"), within=20)
        assert len(events(daemon, "output.dropped", "loud")) == 1
        assert told["count"] == stream(daemon, "loud")["dropped_bytes"] >= lost
        daemon.call("stop", name="loud", waiting=True)
        eventually(lambda: not stream(daemon, "loud")["waiting_bytes"])
        lines = written.read_bytes().split(b"\n")
        assert lines.pop() == b""
        assert {len(line) for line in lines} == {LINE - 1}
        numbers = [int(line[:9]) for line in lines]
        assert numbers == sorted(set(numbers))
        counters = stream(daemon, "loud")
        assert len(lines) * LINE == counters["taken_bytes"] - counters["dropped_bytes"]
        assert "Traceback" not in daemon.log.read_text()


def test_f39_a_device_that_is_always_full_costs_nobody_anything(tmp_path: Path) -> None:
    """As file of two streams: one event for each, no more however long it lasts, and all of it is counted."""
    progress = tmp_path / "progress"
    ini = (
        f"[watcher:loud]\ncmd = {child('steady', progress, STEADY)}\n"
        "stdout_stream.filename = /dev/full\nstdout_stream.queue_bytes = 65536\n"
        "stderr_stream.filename = /dev/full\n"
        "[watcher:other]\ncmd = sleep 100000\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        goes_on(progress, 600)
        told = events(daemon, "output.dropped", "loud")
        assert sorted(e["stream"] for e in told) == ["stderr", "stdout"]
        assert not events(daemon, "output.recovered", "loud")

        def counted() -> int:
            counters = stream(daemon, "loud")
            return int(counters["dropped_bytes"] + counters["waiting_bytes"])

        eventually(lambda: counted() >= 600 * LINE)
        assert len(daemon.log.read_text().splitlines()) < 20
        daemon.call("stop", name="loud", waiting=True)


@needs_root
def test_f39_circusd_lives_on_when_its_own_log_has_no_room(tmp_path: Path) -> None:
    """Lines that can not be written are counted and told when they can be again, and not complained of one by one."""
    ini = "[watcher:web]\ncmd = sleep 100000\n"
    daemon = SmallDisk(ini, tmp_path, args=("--log-output", str(tmp_path / "disk/circusd.log")))
    with daemon:
        own = daemon.seen("circusd.log")
        eventually(lambda: "circusd runs" in own.read_text())
        fill(daemon.seen("ballast"))
        with Client(daemon.endpoint, timeout=20) as client:
            for _ in range(200):
                client.call("incr", {"name": "web", "nb": 0})
        assert len(daemon.log.read_text().splitlines()) <= 5
        daemon.seen("ballast").unlink()

        def told() -> bool:
            daemon.call("incr", name="web", nb=0)
            return "log lines were lost" in own.read_text()

        eventually(told, within=20)
        assert re.search(r"\b\d+ log lines were lost", own.read_text())
        assert "Traceback" not in daemon.log.read_text()


@contextmanager
def reader(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that reads a FIFO, to be stopped and continued."""
    with path.with_suffix(".read").open("wb") as out, subprocess.Popen(["cat", path], stdout=out) as popen:
        try:
            yield popen
        finally:
            popen.kill()


@pytest.mark.parametrize("absent", [True, False], ids=["absent", "stopped"])
def test_f40_a_log_that_nobody_reads_stops_neither_control_nor_other_streams(
    tmp_path: Path, absent: bool
) -> None:
    """A FIFO whose reader is stopped or was never there: its output is lost by policy, its process runs on."""
    fifo, progress, beside = tmp_path / "fifo", tmp_path / "progress", tmp_path / "beside.log"
    os.mkfifo(fifo)
    ini = (
        f"[watcher:loud]\ncmd = {child('steady', progress, STEADY)}\n"
        f"stdout_stream.filename = {fifo}\nstdout_stream.queue_bytes = 65536\n"
        f"[watcher:other]\ncmd = {child('clock', 0.01)}\nstdout_stream.filename = {beside}\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon), reader(fifo) as cat:
        if absent:
            cat.kill()
        else:
            eventually(lambda: fifo.with_suffix(".read").stat().st_size)
            cat.send_signal(signal.SIGSTOP)
        eventually(lambda: stream(daemon, "loud")["dropped_bytes"], within=20)
        with Pings(daemon) as pings:
            size = beside.stat().st_size
            goes_on(progress, 400)
        # The 400 lines take two seconds at least, in which a daemon that waits for the FIFO would not answer once.
        assert pings.share(1) < 1.5
        assert beside.stat().st_size > size
        report(f"a FIFO whose reader is {'absent' if absent else 'stopped'}: {pings}")
        assert len(events(daemon, "output.dropped", "loud")) == 1
        if not absent:
            cat.send_signal(signal.SIGCONT)
            eventually(lambda: events(daemon, "output.recovered", "loud"), within=20)
        daemon.call("stop", waiting=True)


def test_f40_circusd_starts_answers_and_ends_while_nobody_reads_its_own_log_and_output(
    tmp_path: Path,
) -> None:
    """Its standard error is a pipe that is full, and stays full: an ordered stop all the same, with exit code 0."""
    progress = tmp_path / "progress"
    ini = f"[watcher:loud]\ncmd = {child('steady', progress, STEADY)}\n"
    daemon = Daemon(ini, tmp_path)
    ours, its = os.pipe()
    try:
        daemon.popen = subprocess.Popen(
            daemon.command(), stdin=subprocess.DEVNULL, stdout=its, stderr=its, env=daemon.environ
        )
        eventually(daemon.is_up, within=20)
        goes_on(progress, 200)
        with Client(daemon.endpoint, timeout=20) as client:
            for _ in range(1000):
                client.call("incr", {"name": "loud", "nb": 0})
        goes_on(progress, 200)
        pids = daemon.pids("loud")
        began = time.monotonic()
        assert daemon.stop(within=30) == 0
        report(f"with a full pipe as its own log circusd ends after {time.monotonic() - began:.1f} s")
        assert not [pid for pid in pids if is_alive(pid)]
    finally:
        os.close(ours)
        os.close(its)
        daemon.__exit__(None, None, None)


def test_f40_a_fifo_without_a_reader_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """As the log of circusd itself; who reads later gets lines."""
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    with (
        Daemon("[watcher:web]\ncmd = sleep 100000\n", tmp_path, args=("--log-output", str(fifo))) as daemon,
        reader(fifo),
    ):
        daemon.call("stop", name="web", waiting=True)
        eventually(lambda: "command=stop" in fifo.with_suffix(".read").read_text())
