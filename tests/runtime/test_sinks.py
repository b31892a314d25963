"""Sinks: files hold what was written, in whole lines, and no place can stop a process or the hub."""

from __future__ import annotations

import itertools
import os
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from circusd.runtime import backlog, places
from circusd.runtime.appendfile import AppendFile
from circusd.runtime.rotation import Kept, SizeRotation, TimedRotation
from circusd.runtime.writer import Once, Thread, device_of
from tests.outputs import LAG, Lag, Outputs, until

FLOOD = r"""
import os, sys
for start in range(0, int(sys.argv[1]), 1000):
    os.write(1, b"".join(b"%099d\n" % i for i in range(start, start + 1000)))
"""
TAGGED = r"""
import os, random, sys, time
tag, n = sys.argv[1].encode(), int(sys.argv[2])
r = random.Random(tag)
rest = b""
for i in range(n):
    rest += b"%s %06d %s\n" % (tag, i, b"x" * r.randrange(150))
    cut = r.randrange(len(rest) + 1)
    os.write(1, rest[:cut]); rest = rest[cut:]
    if r.random() < 0.01: time.sleep(0.001)
os.write(1, rest)
"""


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs()
    yield made
    made.close()


class OwnOutput:
    """Pipes that stand for the daemon's standard output and error, and what came through them."""

    def __init__(self) -> None:
        self._out, self._err = os.pipe(), os.pipe()
        for reading, _ in (self._out, self._err):
            os.set_blocking(reading, False)
        self.outputs = Outputs((self._out[1], self._err[1]))

    def read(self, stream: str = "stdout") -> bytes:
        try:
            return os.read((self._out if stream == "stdout" else self._err)[0], 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.outputs.close()
        for fd in (*self._out, *self._err):
            os.close(fd)


@pytest.fixture
def own() -> Iterator[OwnOutput]:
    made = OwnOutput()
    yield made
    made.close()


def numbers(*files: Path) -> list[int]:
    return [int(line) for file in files for line in file.read_bytes().splitlines()]


# -- files -----------------------------------------------------------------------------------------------------------


def test_file_holds_just_what_the_process_wrote(outputs: Outputs, tmp_path: Path) -> None:
    """Without options for lines a file gets the bytes as they came, also if they are no text, and is appended to."""
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    output = outputs.make(stdout_stream__filename=log)
    data = random.Random(1).randbytes(300_000)
    source = tmp_path / "data"
    source.write_bytes(data)
    outputs.wait(output, outputs.start(output, ["/bin/cat", str(source)]))
    outputs.flush()
    assert log.read_bytes() == b"before\n" + data
    assert output.counters()["stdout"]["place"] == str(log)


def test_flood_into_a_file_loses_nothing(outputs: Outputs, tmp_path: Path) -> None:
    """A process that writes as fast as it can, with the default policy, finds every line in its file."""
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log)
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, FLOOD, 1, 400_000))
        outputs.flush()
    assert numbers(log) == list(range(400_000))
    assert not outputs.events
    assert lag.worst < LAG


def test_file_is_there_before_the_first_line(outputs: Outputs, tmp_path: Path) -> None:
    """The file is made with the watcher, so that one can follow it, and a wrong folder is told of."""
    outputs.make(stdout_stream__filename=tmp_path / "log")
    until((tmp_path / "log").exists)


def test_first_line_is_written_at_once(outputs: Outputs, tmp_path: Path) -> None:
    """Who follows the file of a quiet process sees a line without delay."""
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log)
    until(log.exists)
    gevent.sleep(0.15)
    delays = []
    for _ in range(3):
        process = outputs.run(output, "import os, time; os.write(1, b'%.6f\\n' % time.time()); time.sleep(5)")
        size = log.stat().st_size
        until(lambda size=size: log.stat().st_size > size)
        delays.append(time.time() - float(log.read_bytes().splitlines()[-1]))
        process.kill()
        outputs.wait(output, process)
        gevent.sleep(0.15)
    assert min(delays) < 0.05


def test_time_format_heads_each_line(outputs: Outputs, tmp_path: Path) -> None:
    """With a time format each line begins with time, pid and a bar, also lines that come in pieces."""
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log, stdout_stream__time_format="%Y-%m-%d %H:%M:%S")
    code = "import os, time\nos.write(1, b'one\\ntw')\ntime.sleep(0.05)\nos.write(1, b'o\\n\\nlast')"
    process = outputs.run(output, code)
    outputs.wait(output, process)
    outputs.flush()
    lines = log.read_text().split("\n")
    found = [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[(\d+)\] \| (.*)", line) for line in lines[:-1]]
    assert [(int(match[1]), match[2]) for match in found if match] == [
        (process.pid, "one"),
        (process.pid, "two"),
        (process.pid, ""),
        (process.pid, "last"),
    ]
    assert lines[-1] == ""


def test_processes_and_watchers_share_a_file_in_whole_lines(outputs: Outputs, tmp_path: Path) -> None:
    """Several processes, both streams, two watchers: one file, one writer, and no line within another."""
    log = tmp_path / "log"
    one = outputs.make("one", stdout_stream__filename=log, stderr_stream__filename=log)
    two = outputs.make("two", stdout_stream__filename=tmp_path / "x" / ".." / "log")
    processes = [
        (output, outputs.run(output, TAGGED, wid, f"{name}{wid}", 2000), wid)
        for name, output in (("one", one), ("two", two))
        for wid in (1, 2, 3)
    ]
    for output, process, wid in processes:
        outputs.wait(output, process, wid)
    outputs.flush()
    seen: dict[bytes, int] = {}
    for line in log.read_bytes().splitlines():
        match = re.fullmatch(rb"(\w+) (\d{6}) x*", line)
        assert match, line
        assert int(match[2]) == seen.get(match[1], 0)
        seen[match[1]] = int(match[2]) + 1
    assert set(seen.values()) == {2000}
    assert len(seen) == 6
    assert len(outputs.services.sinks.writers) == 1


def test_line_without_its_end_does_not_swallow_the_next(outputs: Outputs, tmp_path: Path) -> None:
    """What a process leaves unfinished is a line of its own as soon as the next process writes."""
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log)
    for n in range(3):
        outputs.wait(output, outputs.run(output, f"import os; os.write(1, b'last words {n}')"))
    outputs.flush()
    assert log.read_bytes() == b"last words 0\nlast words 1\nlast words 2"


# -- rotation --------------------------------------------------------------------------------------------------------


def test_rotation_keeps_sizes_and_loses_no_line(outputs: Outputs, tmp_path: Path) -> None:
    """Every line is in one of the files, in order and whole, and no file is longer than it may be."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__overflow="block",
        stdout_stream__filename=log,
        stdout_stream__max_bytes=100_000,
        stdout_stream__backup_count=500,
    )
    for _ in range(2):
        outputs.wait(output, outputs.run(output, FLOOD, 1, 100_000))
    outputs.flush()
    files = sorted(tmp_path.glob("log*"), key=lambda file: -int(file.suffix[1:] or 0))
    assert numbers(*files) == [*range(100_000), *range(100_000)]
    assert max(file.stat().st_size for file in files) <= 100_000
    assert 200 <= len(files) <= 205
    # Two hundred rotations within a second or so are one event.
    assert 1 <= len(outputs.named("output.rotated")) <= 3
    assert outputs.named("output.rotated")[0]["file"] == str(log)


def test_rotation_survives_the_death_of_processes(outputs: Outputs, tmp_path: Path) -> None:
    """Processes that are killed while they write leave whole lines in whole files."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__overflow="block",
        stdout_stream__filename=log,
        stdout_stream__max_bytes=200_000,
        stdout_stream__backup_count=1000,
    )
    code = "import os\nn = 0\nwhile True:\n    os.write(1, b'%d %09d\\n' % (os.getpid(), n)); n += 1"
    pids = []
    for _ in range(5):
        process = outputs.run(output, code)
        pids.append(process.pid)
        until(lambda pid=process.pid: sum(line.pid == pid for line in outputs.lines()) > 5000)
        process.kill()
        outputs.wait(output, process)
    outputs.flush()
    files = sorted(tmp_path.glob("log*"), key=lambda file: -int(file.suffix[1:] or 0))
    lines = [line.split() for file in files for line in file.read_bytes().splitlines()]
    for pid in pids:
        mine = [int(number) for who, number in lines if int(who) == pid]
        assert mine == list(range(len(mine)))
        assert len(mine) > 5000
    assert not outputs.named("output.dropped")


def test_only_so_many_backups_are_kept(outputs: Outputs, tmp_path: Path) -> None:
    """The oldest backup goes when there is one too many."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__max_bytes=10_000, stdout_stream__backup_count=2
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 1000))
    outputs.flush()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert numbers(tmp_path / "log.2", tmp_path / "log.1", log) == list(range(700, 1000))


@pytest.mark.parametrize(("size", "backups"), [(1000, 0), (1, 3)])
def test_rotation_that_would_lose_or_tear_does_not(
    outputs: Outputs, tmp_path: Path, size: int, backups: int
) -> None:
    """Without backups a file grows, as in the original; a line longer than the size has a file to itself."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__max_bytes=size, stdout_stream__backup_count=backups
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 1000))
    outputs.flush()
    files = sorted(tmp_path.glob("log*"), key=lambda file: -int(file.suffix[1:] or 0))
    if backups:
        assert numbers(*files) == [996, 997, 998, 999]
    else:
        assert files == [log]
        assert numbers(log) == list(range(1000))


def test_rotation_that_fails_is_told_and_the_file_is_written_on(outputs: Outputs, tmp_path: Path) -> None:
    """When the backup's name is taken by a folder, nothing is lost and one event says why the file grows."""
    log = tmp_path / "log"
    (tmp_path / "log.1").mkdir()
    (tmp_path / "log.1" / "x").touch()
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__max_bytes=10_000, stdout_stream__backup_count=1
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 3000))
    outputs.flush()
    assert numbers(log) == list(range(3000))
    until(lambda: outputs.named("output.dropped"))
    (told,) = outputs.named("output.dropped")
    assert "rotated" in told["reason"]
    assert told["count"] == 0


def test_endless_line_is_rotated_all_the_same(tmp_path: Path) -> None:
    """A process that never ends a line can't make a file grow without bound."""

    file = AppendFile(str(tmp_path / "log"), SizeRotation(100_000, Kept(50)))
    for _ in range(40):
        assert file.write([b"x" * 50_000]) == 50_000
    file.close()
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 250_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 2_000_000


@pytest.mark.parametrize(
    ("when", "interval", "began", "due"),
    [
        ("S", 30, 1_700_000_000, 1_700_000_030),
        ("H", 2, 1_700_000_000, 1_700_007_200),
        ("MIDNIGHT", 1, 1_700_000_000, 1_700_006_400),
        ("MIDNIGHT", 2, 1_700_000_000, 1_700_092_800),
        # 2023-11-14 was a Tuesday; W1 is Tuesday, so the end of that day is a week away, and Monday (W0) six days.
        ("W1", 1, 1_700_000_000, 1_700_524_800),
        ("W0", 1, 1_700_000_000, 1_700_438_400),
    ],
)
def test_times_of_rotation(when: str, interval: int, began: float, due: float) -> None:
    """Intervals count from the beginning of the file, days and weekdays by the calendar."""
    rotation = TimedRotation(when, interval, Kept(), utc=True)
    rotation.begin(began)
    assert not rotation.is_due(due - 1)
    assert rotation.is_due(due)


def test_file_is_rotated_by_time_and_old_backups_go(outputs: Outputs, tmp_path: Path) -> None:
    """Each second a new file, named by when it was begun; of the old ones the configured number is left."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__class="TimedRotatingFileStream",
        stdout_stream__filename=log,
        stdout_stream__rotate_when="S",
        stdout_stream__backup_count=1,
    )
    code = "import os, time\nfor n in range(26): os.write(1, b'%d\\n' % n); time.sleep(0.1)"
    outputs.wait(output, outputs.run(output, code))
    outputs.flush()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert re.fullmatch(r"log\.20\d{12}", files[1].name)
    assert numbers(files[1], files[0]) == list(range(numbers(files[1])[0], 26))


@pytest.mark.parametrize("name", ["WatchedFileStream", "FileStream"])
def test_file_that_was_taken_away_is_opened_anew(outputs: Outputs, tmp_path: Path, name: str) -> None:
    """A watched file may be moved, and any file removed, while it is written."""
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__class=name, stdout_stream__filename=log)
    process = outputs.run(output, "import os\nwhile os.read(0, 1): os.write(1, b'line\\n')")
    process.kill()
    outputs.wait(output, process)
    for step in range(2):
        outputs.wait(output, outputs.run(output, f"import os; os.write(1, b'line {step}\\n')"))
        outputs.flush()
        if name == "WatchedFileStream":
            log.rename(tmp_path / f"moved{step}")
        else:
            assert log.read_bytes() == b"line %d\n" % step
            log.unlink()
    outputs.wait(output, outputs.run(output, "import os; os.write(1, b'line 2\\n')"))
    outputs.flush()
    assert log.read_bytes() == b"line 2\n"


# -- places in trouble -----------------------------------------------------------------------------------------------


def test_full_disk_does_not_stop_the_process(outputs: Outputs, tmp_path: Path) -> None:
    """With no space left the process runs on, one event tells it, one the end of it with what was lost; lines are whole."""
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    output = outputs.make(stdout_stream__filename=log, stdout_stream__queue_bytes=100_000)
    with Lag() as lag:
        process = outputs.run(output, FLOOD, 1, 100_000)
        outputs.wait(output, process)
    assert process.returncode == 0
    (told,) = outputs.named("output.dropped")
    assert "No space left" in told["reason"]
    assert (told["watcher"], told["stream"]) == ("web", "stdout")
    assert lag.worst < LAG
    log.unlink()
    started = time.monotonic()
    until(lambda: log.exists() and log.stat().st_size, within=6)
    assert time.monotonic() - started < 5.5
    until(lambda: outputs.named("output.recovered"))
    (over,) = outputs.named("output.recovered")
    left = numbers(log)
    assert left == list(range(100_000 - len(left), 100_000))
    assert over["count"] == (100_000 - len(left)) * 100
    assert output.counters()["stdout"]["dropped_bytes"] == over["count"]
    assert len(outputs.named("output.dropped")) == 1


def test_missing_folder_is_told_at_once_and_waited_for(outputs: Outputs, tmp_path: Path) -> None:
    """A file whose folder is not there yet gets everything as soon as the folder is made."""
    log = tmp_path / "later" / "log"
    output = outputs.make(stdout_stream__filename=log)
    until(lambda: outputs.named("output.dropped"), what="it is told before anything is written")
    assert "No such file" in outputs.named("output.dropped")[0]["reason"]
    outputs.wait(output, outputs.run(output, FLOOD, 1, 1000))
    log.parent.mkdir()
    outputs.flush()
    assert numbers(log) == list(range(1000))
    until(lambda: outputs.named("output.recovered"))
    assert outputs.named("output.recovered")[0]["count"] == 0


class Disk:
    """A disk that can be made slow or be stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.works = threading.Event()
        self.works.set()
        self.delay = 0.0
        write = AppendFile.write

        def slow(file: AppendFile, parts: list[bytes]) -> int:
            time.sleep(self.delay)
            self.works.wait(20)
            return write(file, parts)

        monkeypatch.setattr(AppendFile, "write", slow)


def test_frozen_disk_stops_neither_process_nor_hub(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write does not return, the process ends, the hub answers, and the newest lines are kept for later."""
    disk = Disk(monkeypatch)
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log, stdout_stream__queue_bytes=200_000)
    until(log.exists)
    disk.works.clear()
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, FLOOD, 1, 200_000))
    assert lag.worst < LAG
    assert len(outputs.named("output.dropped")) == 1
    assert outputs.texts()[-1] == b"%099d" % 199_999
    disk.works.set()
    outputs.flush()
    got = numbers(log)
    gaps = [after - before for before, after in itertools.pairwise([-1, *got]) if after != before + 1]
    assert len(gaps) == 1
    assert got[-1] == 199_999
    until(lambda: outputs.named("output.recovered"))
    assert outputs.named("output.recovered")[0]["count"] == (200_000 - len(got)) * 100


def test_slow_disk_that_gets_on_loses_nothing(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is slowed down to the pace of its disk, with the default policy too."""
    disk = Disk(monkeypatch)
    disk.delay = 0.03
    log = tmp_path / "log"
    output = outputs.make(stdout_stream__filename=log, stdout_stream__queue_bytes=200_000)
    outputs.wait(output, outputs.run(output, FLOOD, 1, 50_000))
    outputs.flush()
    assert numbers(log) == list(range(50_000))
    assert not outputs.events


def test_policy_block_waits_as_long_as_it_takes(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the policy ``block`` the process stands still while its disk does, and nothing is lost."""
    disk = Disk(monkeypatch)
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__queue_bytes=200_000, stdout_stream__overflow="block"
    )
    until(log.exists)
    disk.works.clear()
    process = outputs.run(output, FLOOD, 1, 50_000)
    gevent.sleep(0.6)
    assert process.poll() is None
    disk.works.set()
    outputs.wait(output, process)
    outputs.flush()
    assert numbers(log) == list(range(50_000))
    assert output.counters()["stdout"]["dropped_bytes"] == 0


def test_policy_drop_newest_keeps_the_first_lines(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the policy ``drop_newest`` what came first is kept."""
    disk = Disk(monkeypatch)
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__queue_bytes=200_000, stdout_stream__overflow="drop_newest"
    )
    until(log.exists)
    disk.works.clear()
    outputs.wait(output, outputs.run(output, FLOOD, 1, 50_000))
    disk.works.set()
    outputs.flush()
    outputs.wait(output, outputs.run(output, "import os; os.write(1, b'%d\\n' % 7)"))
    outputs.flush()
    got = numbers(log)
    assert got[-1] == 7
    assert got[:-1] == list(range(len(got) - 1))
    assert output.counters()["stdout"]["dropped_bytes"] == (50_000 - len(got) + 1) * 100


def test_fifo_whose_reader_stopped_stops_nobody(outputs: Outputs, tmp_path: Path) -> None:
    """A FIFO is written as far as it takes; the rest waits, then is dropped, and goes on when it is read again."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output = outputs.make(stdout_stream__filename=fifo, stdout_stream__queue_bytes=200_000)
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, FLOOD, 1, 50_000))
    assert lag.worst < LAG
    assert len(outputs.named("output.dropped")) == 1
    got: list[bytes] = []

    def read() -> bool:
        with suppress(BlockingIOError):
            got.append(os.read(reading, 1 << 20))
        return outputs.services.sinks.drained()

    until(read)
    read()
    os.close(reading)
    found = [int(line) for line in b"".join(got).splitlines()]
    assert found == sorted(set(found))
    assert found[-1] == 49_999
    until(lambda: outputs.named("output.recovered"))


def test_threads_are_made_when_there_is_something_to_write(own: OwnOutput, tmp_path: Path) -> None:
    """Without sinks that are files there is no writing thread; with many on one file system there is one."""
    plain = own.outputs.make("plain")
    own.outputs.wait(plain, own.outputs.run(plain, "print('x')"))
    assert len(own.outputs.services.sinks.writers) == 0
    for n in range(12):
        output = own.outputs.make(f"w{n}", stdout_stream__filename=tmp_path / str(n))
        own.outputs.wait(output, own.outputs.run(output, "print('x')"))
    own.outputs.flush()
    assert len(own.outputs.services.sinks.writers) == 1
    assert device_of(str(tmp_path / "1")) == os.stat(tmp_path).st_dev


def test_a_work_that_fails_leaves_its_thread_to_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong is in the log, and what waits behind it is done."""
    done: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    thread = Thread("writer")
    thread.put(Once(fail))
    thread.put(Once(lambda: done.append("the next one")))
    thread.end()
    until(lambda: not thread.is_alive, what="the thread has come to its end")
    thread.join()
    assert done == ["the next one"]
    assert "a work of writing is given up" in caplog.text and "ZeroDivisionError" in caplog.text


# -- the daemon's own output -----------------------------------------------------------------------------------------


def test_streams_without_a_sink_are_passed_on_byte_for_byte(own: OwnOutput) -> None:
    """What has no sink comes out of circusd's own standard output and error, unchanged, and is in the history."""
    output = own.outputs.make()
    code = "import os; os.write(1, bytes(range(256))); os.write(2, b'\\xff no line')"
    own.outputs.wait(output, own.outputs.run(output, code))
    own.outputs.flush()
    assert own.read() == bytes(range(256))
    assert own.read("stderr") == b"\xff no line"
    assert own.outputs.texts("stderr") == [b"\xff no line"]


def test_own_output_that_is_not_read_stops_nobody(own: OwnOutput) -> None:
    """When nobody reads circusd's output any more, processes run on; what still fits is whole lines."""
    output = own.outputs.make()
    own.outputs.wait(output, own.outputs.run(output, FLOOD, 1, 50_000))
    assert own.outputs.history.last_number(own.outputs.history.keys("web")[0]) == 50_000
    assert len(own.outputs.named("output.dropped")) == 1
    got = b""

    def read() -> bool:
        nonlocal got
        got += own.read()
        return own.outputs.services.sinks.drained()

    until(read)
    got += own.read()
    found = [int(line) for line in got.splitlines()]
    assert found == sorted(set(found))
    assert found[-1] == 49_999


def test_own_output_stays_blocking_for_others(own: OwnOutput) -> None:
    """The shell that shares the terminal or pipe with circusd does not find it changed."""
    output = own.outputs.make()
    own.outputs.wait(output, own.outputs.run(output, "print('x')"))
    own.outputs.flush()
    assert os.get_blocking(own.outputs.services.sinks.own_fds[0])


def test_own_output_may_be_a_socket_or_a_file(tmp_path: Path) -> None:
    """The journal's socket and a redirected file are written too, without making either non-blocking."""
    left, right = socket.socketpair()
    with left, right, (tmp_path / "err").open("wb") as file:
        outputs = Outputs((left.fileno(), file.fileno()))
        output = outputs.make()
        outputs.wait(
            output,
            outputs.run(
                output, "import os; os.write(1, b'to the socket\\n'); os.write(2, b'to the file\\n')"
            ),
        )
        outputs.flush()
        assert right.recv(100) == b"to the socket\n"
        assert left.getblocking()
        assert (tmp_path / "err").read_bytes() == b"to the file\n"
        outputs.close()


def test_own_output_by_the_name_of_a_file(own: OwnOutput) -> None:
    """``/dev/stderr`` as a file name is circusd's own standard error."""
    output = own.outputs.make(stdout_stream__filename="/dev/stderr", stdout_stream__time_format="T")
    process = own.outputs.run(output, "print('x')")
    own.outputs.wait(output, process)
    own.outputs.flush()
    assert own.read("stderr") == b"T [%d] | x\n" % process.pid


def test_both_own_outputs_on_one_pipe_share_whole_lines(tmp_path: Path) -> None:
    """With ``2>&1`` the two streams are one place."""
    reading, writing = os.pipe()
    outputs = Outputs((writing, writing))
    output = outputs.make()
    code = "import os\nfor n in range(200):\n    for fd in 1, 2: os.write(fd, b'%d ' % fd); os.write(fd, b'%d\\n' % n)"
    outputs.wait(output, outputs.run(output, code))
    outputs.flush()
    os.set_blocking(reading, False)
    lines = os.read(reading, 1 << 20).splitlines()
    for stream in (b"1", b"2"):
        assert [line for line in lines if line.startswith(stream)] == [
            b"%s %d" % (stream, n) for n in range(200)
        ]
    assert len(lines) == 400
    outputs.close()
    os.close(reading)
    os.close(writing)


def test_fancy_lines_can_do_no_harm_to_a_terminal(own: OwnOutput) -> None:
    """A line has time, pid, name and its own colours; what else a terminal would act upon is shown instead."""
    output = own.outputs.make(stdout_stream__class="FancyStdoutStream", stdout_stream__color="green")
    hostile = (
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x9b2J \xc2\x9b2J \r over \x08 \tok\n"
        b"\xe2\x80\xae reversed \xff\r\n"
    )
    process = own.outputs.run(output, f"import os; os.write(1, {hostile!r})")
    own.outputs.wait(output, process)
    own.outputs.flush()
    got = own.read().decode()
    head = rf"\x1b\[32m\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \[{process.pid}\] web \|\x1b\[0m "
    first, second, rest = got.split("\n")
    assert re.match(head, first), first
    assert re.match(head, second), second
    assert re.sub(head, "", first) == (
        "\x1b[31mred\x1b[0m \\x1b]0;title\\x07 \\x1b[2J \\x9b2J \\x9b2J \\x0d over \\x08 \tok\x1b[0m"
    )
    assert re.sub(head, "", second) == "\\u202e reversed \\xff\x1b[0m"
    assert rest == ""


def test_fancy_colour_is_always_that_of_the_watcher(own: OwnOutput) -> None:
    """Without a colour in the file a watcher has one of its own, the same each time."""
    output = own.outputs.make("a", stdout_stream__class="FancyStdoutStream")
    for _ in range(2):
        own.outputs.wait(output, own.outputs.run(output, "print('x')"))
    own.outputs.flush()
    one, two = own.read().splitlines()
    assert one[:5] == two[:5]
    assert re.match(rb"\x1b\[3[1-7]m", one)


# -- classes of users ------------------------------------------------------------------------------------------------

CLASS = """
import threading
class Keeps:
    made = []
    def __init__(self, level=None):
        self.level, self.opened, self.calls, self.closed = level, False, [], False
        self.thread = threading.current_thread()
        Keeps.made.append(self)
    def open(self): self.opened = True
    def __call__(self, data):
        if b"bad" in data["data"]: raise ValueError("bad data")
        self.calls.append(data)
    def close(self): self.closed = True
"""


@pytest.fixture
def user_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "their_stream.py").write_text(CLASS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "their_stream.Keeps"
    sys.modules.pop("their_stream", None)


def test_class_of_a_user_is_called_off_the_hub(outputs: Outputs, user_class: str) -> None:
    """It is made with its options in a thread, opened, called with data, pid and name, and closed."""
    output = outputs.make(stderr_stream__class=user_class, stderr_stream__level="high")
    process = outputs.run(output, "import os; os.write(2, b'hello\\n')")
    outputs.wait(output, process)
    outputs.flush()
    (made,) = sys.modules["their_stream"].Keeps.made
    assert made.level == "high"
    assert made.opened
    assert made.thread is not threading.main_thread()
    assert made.calls == [{"data": b"hello\n", "pid": process.pid, "name": "stderr"}]
    output.close()
    until(lambda: made.closed)


def test_class_of_a_user_that_fails_harms_nobody(outputs: Outputs, user_class: str) -> None:
    """What it raises is told by one event and counted; its thread goes on with the next data."""
    output = outputs.make(stdout_stream__class=user_class)
    missing = outputs.make("other", stdout_stream__class="no_such_module.Class")
    for text in ("bad", "bad", "good"):
        outputs.wait(output, outputs.run(output, f"import os; os.write(1, b'{text}\\n')"))
    outputs.wait(missing, outputs.run(missing, "import os; os.write(1, b'x\\n')"))
    outputs.flush()
    until(lambda: len(outputs.named("output.dropped")) == 2)
    reasons = {told["watcher"]: told["reason"] for told in outputs.named("output.dropped")}
    assert reasons["web"] == "ValueError: bad data"
    assert "no_such_module" in reasons["other"]
    assert output.counters()["stdout"]["dropped_bytes"] == 8
    assert [call["data"] for call in sys.modules["their_stream"].Keeps.made[0].calls] == [b"good\n"]


# -- the end ---------------------------------------------------------------------------------------------------------


def test_closed_watcher_may_come_back_at_once(outputs: Outputs, tmp_path: Path) -> None:
    """A file that is being closed is taken up again by whoever names it, and nothing is lost or doubled."""
    log = tmp_path / "log"
    for n in range(5):
        output = outputs.make(stdout_stream__filename=log)
        outputs.wait(output, outputs.run(output, f"import os; os.write(1, b'{n}\\n')"))
        output.close()
    outputs.flush()
    assert numbers(log) == [0, 1, 2, 3, 4]


def test_place_that_takes_nothing_is_given_up_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing waits neither for a FIFO without a reader nor for a full disk longer than it may."""
    monkeypatch.setattr(places, "LAST_WAIT", 0.1)
    outputs = Outputs()
    os.mkfifo(tmp_path / "fifo")
    for name, path in (("a", tmp_path / "fifo"), ("b", Path("/dev/full"))):
        output = outputs.make(name, stdout_stream__filename=path, stdout_stream__queue_bytes=100_000)
        outputs.wait(output, outputs.run(output, FLOOD, 1, 5000))
    started = time.monotonic()
    outputs.close()
    assert time.monotonic() - started < 1.5


def test_stuck_write_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing says so when a write does not return, and does not wait for it."""
    disk = Disk(monkeypatch)
    outputs = Outputs()
    output = outputs.make(stdout_stream__filename=tmp_path / "log")
    until((tmp_path / "log").exists)
    disk.works.clear()
    outputs.wait(output, outputs.run(output, "print('x')"))
    output.close()
    started = time.monotonic()
    assert not outputs.services.close(timeout=0.3)
    assert time.monotonic() - started < 1
    disk.works.set()
    outputs.history.close()
    os.close(outputs._null)


def test_patience_is_short() -> None:
    """The longest time for which a pipe is left unread, by default, is what the documentation says."""
    assert backlog.PATIENCE <= 1.0
