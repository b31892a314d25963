"""Log files that are put aside while processes write and die: nothing is lost, nothing twice, and no line torn."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

from tests.daemon import Daemon
from tests.faults.measures import MEGABYTE, Pings, child, events, leaves_nothing, report
from tests.waiting import eventually

LINE = re.compile(rb"(\d{9}) (\.*)")


def numbers(data: bytes) -> list[int]:
    """The numbers of the lines, each of which has to be whole."""
    lines = data.split(b"\n")
    assert lines.pop() == b""
    found = []
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, f"a torn line: {line!r}"
        assert len(match[2]) == int(match[1]) % 80, f"a torn line: {line!r}"
        found.append(int(match[1]))
    return found


def noted(path: Path) -> int:
    """How many lines a child says that it has written."""
    return int(path.read_text() or 0)


def backups(log: Path) -> list[Path]:
    """The old files, oldest first."""
    found = log.parent.glob(log.name + ".*")
    return sorted(found, key=lambda path: -int(path.name.rpartition(".")[2]))


def drained(daemon: Daemon, name: str) -> None:
    """What the watcher's processes have written is in their files."""
    eventually(lambda: not daemon.watcher(name)["output"]["streams"]["stdout"]["waiting_bytes"], within=20)


def test_f42_300000_lines_through_rotations_and_deaths_are_all_there_once_and_in_order(
    tmp_path: Path,
) -> None:
    """The process ends every 10,000 lines by SIGKILL, and the file is put aside with each megabyte."""
    count, each = 300_000, 10_000
    progress, log = tmp_path / "progress", tmp_path / "lines.log"
    ini = (
        f"[watcher:lines]\ncmd = {child('numbers', progress, each)}\nsettle_time = 0\nautostart = false\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 1M\nstdout_stream.backup_count = 100\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        began = time.monotonic()
        with Pings(daemon) as pings:
            daemon.call("start", name="lines")
            eventually(lambda: noted(progress) >= count, within=120, every=0.1)
            daemon.call("stop", name="lines", waiting=True)
        took = time.monotonic() - began
        drained(daemon, "lines")
        counters = daemon.watcher("lines")["output"]["streams"]["stdout"]
        files = backups(log)
        whole = b"".join(path.read_bytes() for path in [*files, log])
        found = numbers(whole)
        report(
            f"{len(found):,} lines in {took:.1f} s, {len(files)} rotations, "
            f"{len(events(daemon, 'process.exited', 'lines'))} deaths; meanwhile {pings}"
        )
        # The last life was ended at any moment: between its line and the note of it.
        written = noted(progress)
        assert found == list(range(len(found)))
        assert written <= len(found) <= written + 1
        assert counters["dropped_bytes"] == 0
        assert counters["taken_bytes"] == len(whole)
        assert len(files) >= len(whole) // MEGABYTE - 1
        assert all(path.stat().st_size <= MEGABYTE for path in files)
        assert not events(daemon, "output.dropped", "lines")


def test_f42_who_is_killed_from_outside_loses_no_line_that_he_had_written(tmp_path: Path) -> None:
    """SIGKILL at any moment: each life's lines are there without a gap, up to the one that was written last."""
    log, notes = tmp_path / "lines.log", tmp_path / "notes"
    notes.mkdir()
    script = f"exec {child('numbers_for_ever', f'{notes}/$$')}"
    ini = (
        f"[watcher:lines]\ncmd = sh -c '{script}'\nsettle_time = 0\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 1M\nstdout_stream.backup_count = 300\n"
    )
    chance = random.Random(42)
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        for _ in range(8):
            (pid,) = eventually(lambda: daemon.pids("lines"))
            wanted = chance.randrange(1, 20_000)
            note = notes / str(pid)
            eventually(lambda note=note, wanted=wanted: noted(note) > wanted, within=20, every=0.001)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda pid=pid: daemon.pids("lines") not in ([pid], []))
        daemon.call("stop", name="lines", waiting=True)
        drained(daemon, "lines")
        found = numbers(b"".join(path.read_bytes() for path in [*backups(log), log]))
    lives = [position for position, number in enumerate(found) if number == 0]
    ends = []
    for begin, end in zip(lives, [*lives[1:], len(found)], strict=True):
        assert found[begin:end] == list(range(end - begin))
        ends.append(end - begin)
    # Pids may be given again: what each life noted is what some life has, give or take the last line.
    said = [noted(note) for note in notes.iterdir()]
    for written in said:
        assert written in ends or written + 1 in ends
    report(f"{len(ends)} lives ended by SIGKILL, {len(found):,} lines, none missing")


def test_f43_a_folder_in_the_way_of_a_rotation_is_told_and_the_file_is_written_on(tmp_path: Path) -> None:
    """Nothing is lost; when the way is free the next rotation works by itself, and that is told too."""
    progress, log = tmp_path / "progress", tmp_path / "lines.log"
    obstacle = tmp_path / "lines.log.1" / "full"
    ini = (
        f"[watcher:lines]\ncmd = {child('steady', progress, 1000, 0.002)}\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 20000\nstdout_stream.backup_count = 1\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        eventually(lambda: (tmp_path / "lines.log.1").stat().st_size)
        eventually(lambda: _made(obstacle))
        told = eventually(lambda: events(daemon, "output.dropped", "lines"), within=20)
        assert "rotated" in told[0]["reason"]
        eventually(lambda: log.stat().st_size > 100_000, within=20)
        assert len(events(daemon, "output.dropped", "lines")) == 1
        assert "rotated" in daemon.watcher("lines")["output"]["streams"]["stdout"]["failing"]
        obstacle.rmdir()
        obstacle.parent.rmdir()
        eventually(lambda: (tmp_path / "lines.log.1").is_file(), within=20)
        (over,) = eventually(lambda: events(daemon, "output.recovered", "lines"), within=20)
        assert over["count"] == 0
        assert daemon.watcher("lines")["output"]["streams"]["stdout"]["dropped_bytes"] == 0
        daemon.call("stop", name="lines", waiting=True)


def _made(folder: Path) -> bool:
    """The folder is there, where a file may be in the way once more."""
    if folder.parent.is_file():
        folder.parent.unlink()
    folder.mkdir(parents=True)
    return True


def test_f43_an_old_file_of_that_name_is_kept_as_the_older_one(tmp_path: Path) -> None:
    """What was there before circusd is a backup like any other: the oldest goes, and not the newest."""
    progress, log = tmp_path / "progress", tmp_path / "lines.log"
    log.write_text("from before\n")
    (tmp_path / "lines.log.1").write_text("older\n")
    (tmp_path / "lines.log.2").write_text("oldest\n")
    ini = (
        f"[watcher:lines]\ncmd = {child('steady', progress, 1000, 1000)}\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 1005\nstdout_stream.backup_count = 2\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: log.stat().st_size == 1000)
        assert (tmp_path / "lines.log.1").read_text() == "from before\n"
        assert (tmp_path / "lines.log.2").read_text() == "older\n"
        assert not (tmp_path / "lines.log.3").exists()
        assert not events(daemon, "output.dropped")


def test_f43_without_backups_and_with_a_size_of_one_byte_nothing_is_lost(tmp_path: Path) -> None:
    """backup_count 0 lets the file grow; max_bytes 1 makes a file of each line, and keeps as many as asked for."""
    grown, each = tmp_path / "grown.log", tmp_path / "each.log"
    ini = (
        f"[watcher:grown]\ncmd = {child('numbers', tmp_path / 'a', 2000)}\nrespawn = false\n"
        f"stdout_stream.filename = {grown}\nstdout_stream.max_bytes = 1\n"
        f"[watcher:each]\ncmd = {child('numbers', tmp_path / 'b', 200)}\nrespawn = false\n"
        f"stdout_stream.filename = {each}\nstdout_stream.max_bytes = 1\nstdout_stream.backup_count = 500\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        for name in ("grown", "each"):
            eventually(lambda name=name: daemon.call("status", name=name)["status"] == "stopped", within=20)
            drained(daemon, name)
        assert numbers(grown.read_bytes()) == list(range(2000))
        files = [*backups(each), each]
        assert len(files) == 200
        assert numbers(b"".join(path.read_bytes() for path in files)) == list(range(200))
