"""A million lines, and every kind of trouble at once: all is there once and in order, or counted to the byte."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.measures import MEGABYTE, Pings, child, events, leaves_nothing, report, rss
from tests.faults.test_disks import LINE, STEADY, SmallDisk, fill, needs_root, taken
from tests.faults.test_rotations import drained, noted, numbers
from tests.faults.test_sinks import aside, content, syslog
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("compress", ["none", "gz"])
def test_f42_a_million_lines_through_rotations_and_deaths(tmp_path: Path, compress: str) -> None:
    """Rotated every megabyte, killed each 10,000 lines: no gap, no line twice, none torn, and flat memory."""
    count, each = 1_000_000, 10_000
    progress, log = tmp_path / "progress", tmp_path / "lines.log"
    ini = (
        f"[watcher:lines]\ncmd = {child('numbers', progress, each)}\nsettle_time = 0\nautostart = false\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 1M\nstdout_stream.backup_count = 200\n"
        f"stdout_stream.compress = {compress}\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        began = time.monotonic()
        with Pings(daemon) as pings:
            daemon.call("start", name="lines")
            eventually(lambda: noted(progress) >= count // 10, within=300, every=0.1)
            memory = rss(daemon.pid)
            eventually(lambda: noted(progress) >= count, within=900, every=0.1)
            grown = rss(daemon.pid) - memory
            daemon.call("stop", name="lines", waiting=True)
        took = time.monotonic() - began
        drained(daemon, "lines")
        if compress == "gz":
            eventually(lambda: all(path.suffix == ".gz" for path in aside(log)), within=300)
        files = aside(log)
        found = numbers(b"".join(map(content, [*files, log])))
        report(
            f"{len(found):,} lines in {took:.0f} s, {len(files)} rotations, compress = {compress}, "
            f"{grown >> 10} KiB more memory; meanwhile {pings}"
        )
        assert found == list(range(len(found)))
        assert noted(progress) <= len(found) <= noted(progress) + 1
        assert not events(daemon, "output.dropped", "lines")
        assert grown < 16 * MEGABYTE


@needs_root
def test_every_kind_of_trouble_at_once(tmp_path: Path) -> None:
    """A device that is full, a full disk, a FIFO without a reader, a folder that is gone, a syslog that is away: ten seconds
    of each together. All processes run on; each is told once, and what can get well does, with the count of what was lost."""
    fifo, folder, address = tmp_path / "a.fifo", tmp_path / "a.folder", tmp_path / "log.sock"
    os.mkfifo(fifo)
    folder.mkdir()
    places = {
        "device": "filename = /dev/full",
        "small": f"filename = {tmp_path}/disk/log",
        "fifo": f"filename = {fifo}",
        "folder": f"filename = {folder}/log",
        "syslog": f"class = SyslogStream\nstdout_stream.address = {address}",
    }
    ini = "".join(
        f"[watcher:{name}]\ncmd = {child('steady', tmp_path / name, STEADY)}\n"
        f"stdout_stream.{option}\nstdout_stream.queue_bytes = 65536\n"
        for name, option in places.items()
    )
    with ExitStack() as stack:
        daemon = stack.enter_context(SmallDisk(ini, tmp_path))
        eventually(lambda: daemon.seen("log").stat().st_size > 10 * LINE)
        eventually(lambda: (folder / "log").stat().st_size > 10 * LINE)
        fill(daemon.seen("ballast"))
        (folder / "log").unlink()
        folder.rmdir()

        def rows() -> dict[str, dict[str, Any]]:
            found = daemon.call("sinks")["sinks"]
            return {row["watcher"]: row for row in found if row["stream"] == "stdout"}

        eventually(lambda: all(rows()[name]["dropped_bytes"] for name in places), within=60)
        before = {name: taken(tmp_path / name) for name in places}
        with Pings(daemon) as pings:
            eventually(
                lambda: all(taken(tmp_path / n) > before[n] + 1500 for n in places), within=120, every=0.1
            )
        report(f"every kind of trouble at once: {pings}")
        for name in places:
            assert len(events(daemon, "output.dropped", name)) == 1
            assert not events(daemon, "output.recovered", name)
        daemon.seen("ballast").unlink()
        folder.mkdir()
        stack.enter_context(syslog(address, tmp_path / "messages"))
        for name in ("small", "folder", "syslog"):
            (over,) = eventually(lambda name=name: events(daemon, "output.recovered", name), within=60)
            assert over["count"] == rows()[name]["dropped_bytes"]
            assert len(events(daemon, "output.dropped", name)) == 1
