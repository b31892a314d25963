"""Syslogs that are away or asleep, folders that vanish, old files that are compressed: nobody stops, and every byte is accounted for."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.faults.measures import Pings, child, events, leaves_nothing, report
from tests.faults.test_disks import LINE, STEADY, goes_on
from tests.faults.test_rotations import drained, noted, numbers
from tests.waiting import eventually

SYSLOG = """
import signal, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
# What was sent before is read still: it was told to be taken.
signal.signal(signal.SIGTERM, lambda *_: server.shutdown(socket.SHUT_RD))
out = open(sys.argv[2], "ab", buffering=0)
while message := server.recv(1 << 20):
    out.write(message + b"\\n")
"""


@contextmanager
def syslog(address: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A syslog that writes what it gets; its socket is gone with it."""
    with subprocess.Popen([sys.executable, "-c", SYSLOG, address, out]) as popen:
        try:
            eventually(address.exists)
            yield popen
        finally:
            popen.send_signal(signal.SIGCONT)
            popen.terminate()
            popen.wait()
            address.unlink(missing_ok=True)


def place(daemon: Daemon, name: str = "loud") -> dict[str, Any]:
    """Where the watcher's standard output goes, and how it does there."""
    rows = daemon.call("sinks", name=name)["sinks"]
    return next(row for row in rows if row["stream"] == "stdout")


def told(daemon: Daemon) -> tuple[int, int]:
    """How often trouble and its end were told."""
    return len(events(daemon, "output.dropped", "loud")), len(events(daemon, "output.recovered", "loud"))


def ini_of(progress: Path, *options: str) -> str:
    """A watcher that writes a line of 1,000 bytes 200 times a second, and another one."""
    lines = "\n".join(f"stdout_stream.{option}" for option in options)
    return (
        f"[watcher:loud]\ncmd = {child('steady', progress, STEADY)}\n{lines}\n"
        f"[watcher:other]\ncmd = sleep 100000\n"
    )


@pytest.mark.parametrize("how", ["away", "asleep"])
def test_f45_a_syslog_that_is_away_or_asleep_stops_nobody_and_what_is_lost_is_counted(
    tmp_path: Path, how: str
) -> None:
    """Told once when it begins and once when it is over; what it got and what is counted as lost is all that was written."""
    progress, address, out = tmp_path / "progress", tmp_path / "log.sock", tmp_path / "messages"
    ini = ini_of(
        progress, "class = SyslogStream", f"address = {address}", "queue_bytes = 65536", "line_bytes = 2000"
    )
    with ExitStack() as stack:
        first = stack.enter_context(syslog(address, out))
        daemon = stack.enter_context(Daemon(ini, tmp_path))
        stack.enter_context(leaves_nothing(daemon))
        eventually(lambda: out.exists() and out.stat().st_size > 10 * LINE)
        assert place(daemon)["state"] == "ok"
        if how == "asleep":
            first.send_signal(signal.SIGSTOP)
            broken(daemon, progress, how)
            first.send_signal(signal.SIGCONT)
        else:
            first.terminate()
            first.wait()
            address.unlink()
            broken(daemon, progress, how)
            stack.enter_context(syslog(address, out))
        mended(daemon, out)


def broken(daemon: Daemon, progress: Path, how: str) -> None:
    """Output is lost, and that is told; all else goes on."""
    eventually(lambda: place(daemon)["dropped_bytes"], within=30)
    with Pings(daemon) as pings:
        goes_on(progress, 300)
    report(f"a syslog that is {how}: {pings}")
    assert place(daemon)["state"] in ("failing", "dropping")
    assert told(daemon) == (1, 0)
    assert len(daemon.log.read_text().splitlines()) < 30


def mended(daemon: Daemon, out: Path) -> None:
    """It is written again, that is told, and every byte is accounted for."""
    eventually(lambda: told(daemon) == (1, 1), within=20)
    daemon.call("stop", name="loud", waiting=True)
    eventually(lambda: not place(daemon)["waiting_bytes"])
    counters = place(daemon)
    assert events(daemon, "output.recovered", "loud")[0]["count"] == counters["dropped_bytes"]
    # The syslog may not have read its socket yet.
    eventually(lambda: out.stat().st_size == counters["taken_bytes"] - counters["dropped_bytes"], within=20)
    found = [int(match[1]) for match in re.finditer(rb"\] (\d{9}) \.{989}\n", out.read_bytes())]
    assert len(found) == len(out.read_bytes().splitlines())
    assert found == sorted(set(found))


def test_f39_a_folder_that_vanishes_is_told_and_written_to_when_it_is_back(tmp_path: Path) -> None:
    """Nothing goes into a file without a name: what does not fit the queue is lost and counted, the rest comes later."""
    progress, log = tmp_path / "progress", tmp_path / "logs" / "loud.log"
    log.parent.mkdir()
    with (
        Daemon(ini_of(progress, f"filename = {log}", "queue_bytes = 65536"), tmp_path) as daemon,
        leaves_nothing(daemon),
    ):
        eventually(lambda: log.stat().st_size > 10 * LINE)
        shutil.rmtree(log.parent)
        eventually(lambda: place(daemon)["dropped_bytes"], within=20)
        with Pings(daemon) as pings:
            goes_on(progress, 300)
        report(f"a folder that is gone: {pings}")
        assert (place(daemon)["state"], told(daemon)) == ("failing", (1, 0))
        assert "No such file" in place(daemon)["failing"]
        log.parent.mkdir()
        eventually(lambda: told(daemon) == (1, 1), within=20)
        daemon.call("stop", name="loud", waiting=True)
        eventually(lambda: not place(daemon)["waiting_bytes"])
        lines = log.read_bytes().splitlines(keepends=True)
        assert {len(line) for line in lines} == {LINE}
        found = [int(line[:9]) for line in lines]
        assert found == sorted(set(found))
        assert events(daemon, "output.recovered", "loud")[0]["count"] == place(daemon)["dropped_bytes"]


def test_f42_100000_lines_are_there_once_and_in_order_while_old_files_are_compressed(tmp_path: Path) -> None:
    """With a death every 10,000, a rotation each 200 KB, one by command now and then, and a second place for all."""
    count, each = 100_000, 10_000
    progress, log, other = tmp_path / "progress", tmp_path / "lines.log", tmp_path / "other.log"
    ini = (
        f"[watcher:lines]\ncmd = {child('numbers', progress, each)}\nsettle_time = 0\nautostart = false\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 200000\nstdout_stream.total_bytes = 1G\n"
        f"stdout_stream.compress = gz\nstdout_stream.other.filename = {other}\n"
    )
    with Daemon(ini, tmp_path) as daemon, leaves_nothing(daemon):
        daemon.call("start", name="lines")

        def is_over() -> bool:
            daemon.call("rotate", name="lines")
            return noted(progress) >= count

        eventually(is_over, within=120, every=0.5)
        daemon.call("stop", name="lines", waiting=True)
        drained(daemon, "lines")
        for path, least in ((log, count * 50 // 200_000), (other, 1)):
            files = aside(path)
            whole = b"".join(map(content, [*files, path]))
            assert numbers(whole) == list(range(whole.count(b"\n")))
            assert noted(progress) <= whole.count(b"\n") <= noted(progress) + 1
            assert len(files) >= least
        eventually(lambda: all(path.suffix == ".gz" for path in aside(log)), within=60)
        assert not events(daemon, "output.dropped", "lines")


def aside(log: Path) -> list[Path]:
    """The old files, oldest first; of one that is being compressed, and has two names for a moment, the first."""
    found = sorted(log.parent.glob(log.name + ".[0-9]*"), reverse=True)
    by_number = {int(path.name.removeprefix(log.name).split(".")[1]): path for path in found}
    return [path for _, path in sorted(by_number.items(), reverse=True)]


def content(path: Path) -> bytes:
    """What was written to the file; by its name before or after it is compressed."""
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        return gzip.decompress(Path(f"{path}.gz").read_bytes())


def test_logs_are_moved_away_by_another_program_without_a_loss(tmp_path: Path) -> None:
    """As logrotate does it: the file is renamed, and circusd told by a command or a signal."""
    progress, log = tmp_path / "progress", tmp_path / "loud.log"
    with (
        Daemon(ini_of(progress, f"filename = {log}"), tmp_path) as daemon,
        leaves_nothing(daemon),
    ):
        for turn in (1, 2):
            eventually(lambda: log.stat().st_size > 10 * LINE)
            log.rename(tmp_path / f"loud.log.{turn}")
            if turn == 1:
                assert daemon.call("reopen", name="loud")["reopened"] == [str(log)]
            else:
                os.kill(daemon.pid, signal.SIGUSR1)
            eventually(log.exists)
        eventually(lambda: log.stat().st_size > 10 * LINE)
        daemon.call("stop", name="loud", waiting=True)
        eventually(lambda: not place(daemon)["waiting_bytes"])
        data = b"".join(path.read_bytes() for path in (*(tmp_path / f"loud.log.{n}" for n in (1, 2)), log))
        lines = data.splitlines()
        assert [int(line[:9]) for line in lines] == list(range(len(lines)))
        assert len(data) == place(daemon)["taken_bytes"]


def test_a_rotated_and_compressed_log_is_searched_as_one(tmp_path: Path) -> None:
    """Each line is found once, in order, whatever is in memory, in plain files and in compressed ones."""
    log = tmp_path / "lines.log"
    ini = (
        "[circus]\nhistory_bytes = 65536\n"
        f"[watcher:lines]\ncmd = {child('numbers', tmp_path / 'progress', 20_000)}\nrespawn = false\n"
        f"stdout_stream.filename = {log}\nstdout_stream.max_bytes = 100000\nstdout_stream.total_bytes = 1G\n"
        "stdout_stream.compress = gz\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: daemon.call("status", name="lines")["status"] == "stopped", within=30)
        drained(daemon, "lines")
        eventually(lambda: aside(log) and all(path.suffix == ".gz" for path in aside(log)), within=30)
        found = daemon.ctl("grep", "--files", "-F", "7 .", "lines").stdout.splitlines()
        wanted = [number for number in range(20_000) if number % 10 == 7 and number % 80]
        assert [int(re.findall(r"\d{9}", line)[-1]) for line in found] == wanted


def test_a_socket_of_a_syslog_is_not_left_behind(tmp_path: Path) -> None:
    """When the place is taken away, its socket and its thread are gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = ("class = SyslogStream", f"address = tcp://127.0.0.1:{port}")
        with Daemon(ini_of(tmp_path / "progress", *options), tmp_path) as daemon:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100)
                daemon.call("set", name="loud", options={"stdout_stream": None}, waiting=True)
                connection.settimeout(20)
                while connection.recv(1 << 16):
                    continue
            assert place(daemon)["place"].startswith("circusd's own")
