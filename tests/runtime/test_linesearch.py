"""Pages of lines from memory and log files: each line once and in its place, whatever has become of the files."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import math
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.runtime import logfiles, unpacking
from circusd.runtime.fileindex import INDEX_BYTES, Mark, append, read_index
from circusd.runtime.fileindex import name_of as name_of_index
from circusd.runtime.history import LONGEST_LINE, History, StreamKey
from circusd.runtime.linequery import NEWER, OLDER, Log, Position, Query, name_of
from circusd.runtime.linesearch import Search
from circusd.runtime.logfiles import CHUNK_BYTES, LogFile, open_files
from circusd.runtime.streams import Output, OutputServices
from circusd.runtime.unpacking import Unfinished
from circusd.schema.errors import BadRequest
from tests.outputs import config, until

EPOCH = "1-1"


class Logs:
    """The output of a watcher that goes to a file and an index, and is read back as a search does."""

    def __init__(self, folder: Path, epoch: str = EPOCH, **options: Any) -> None:
        self.folder = folder
        self.epoch = epoch
        self.is_open = True
        self.path = folder / "web.log"
        self.history = History(stream_bytes=1)
        self.services = OutputServices.make(
            self.history, lambda *event: None, epoch=epoch, state_folder=lambda: str(folder)
        )
        given = {"stdout_stream__class": "FileStream", "stdout_stream__filename": self.path, **options}
        self.output = Output(config("web", **given), self.services)
        self.pipes: dict[tuple[int, str], int] = {}

    def write(self, text: str, wid: int = 1, stream: str = "stdout") -> None:
        """A process has written it, and it was read."""
        if (wid, stream) not in self.pipes:
            ends = self.output.attach(wid)
            for name in ("stdout", "stderr"):
                fd = getattr(ends, name)
                assert fd is not None
                self.pipes[wid, name] = os.dup(fd)
            self.output.spawned(wid, 1000 + wid)
        data = text.encode()
        for start in range(0, len(data), 16384):
            wanted = self._read(stream) + len(data[start : start + 16384])
            os.write(self.pipes[wid, stream], data[start : start + 16384])
            until(lambda wanted=wanted: self._read(stream) >= wanted, what="it is read")

    def _read(self, stream: str) -> int:
        count: int = self.output.counters()[stream]["read_bytes"]
        return count

    def flush(self) -> None:
        """What was read is in the files."""
        until(self.services.sinks.drained, what="all is written")

    def reply(self, **more: Any) -> dict[str, Any]:
        """A page of the file and the memory, as the searching process makes it; with the cursor of an earlier reply."""
        keys = self.history.keys("web")
        streams = more.pop("streams", ["stdout"])
        keys = [key for key in keys if key.stream in streams]
        after = {name_of(key): self.history.bounds(key)[1] for key in keys}
        cursor, direction = more.pop("cursor", ""), more.pop("direction", OLDER)
        unfinished = more.pop("unfinished", None)
        start = Position(OLDER, dict(after), {}) if direction == OLDER else Position(NEWER, {}, {})
        position = Position.decoded(cursor) if cursor else start
        log = Log(["web"], streams, keys, after, more.pop("path", str(self.path)))
        query = Query.of(json.loads(json.dumps(Query(self.epoch, [log], position, **more))))

        def give(number: int) -> tuple[History, Any]:
            fd, frozen = self.history.copy(query.logs[number].keys)
            marks = read_index(str(self.folder), log.path, self.services.pending_marks(log.path))
            return History.thaw(fd, frozen, stream_bytes=1 << 30), marks

        return Search(query, give, lambda read: None, unfinished).run()

    def all(self, direction: str = OLDER, **more: Any) -> list[dict[str, Any]]:
        """All lines, read page by page, oldest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            reply = self.reply(direction=direction, cursor=cursor, **more)
            found = reply["lines"] + found if direction == OLDER else found + reply["lines"]
            if not reply["more"]:
                return found
            cursor = reply[direction]

    def close(self) -> None:
        """Nothing is open, and the index is on the disk."""
        if not self.is_open:
            return
        self.is_open = False
        for fd in self.pipes.values():
            os.close(fd)
        self.output.close()
        self.services.close()
        self.history.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    """Makes `Logs`, which are closed afterwards."""
    made: list[Logs] = []

    class Make:
        folder = tmp_path

        def __call__(self, **options: Any) -> Logs:
            made.append(Logs(tmp_path, **options))
            return made[-1]

    yield Make()
    for logs in made:
        logs.close()


def numbered(start: int, end: int, width: int = 90) -> str:
    return "".join(f"line {number} {'x' * (number % width)}\n" for number in range(start, end))


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [int(line["text"].split()[1]) for line in lines]


ROTATED = {"stdout_stream__max_bytes": 100_000, "stdout_stream__backup_count": 20}


def pack(path: Path, ending: str) -> None:
    """As logrotate does: compressed beside it, with its time, and then removed."""
    status = path.stat()
    data = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[ending](path.read_bytes())
    packed = path.with_name(f"{path.name}.{ending}")
    packed.write_bytes(data)
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


@pytest.mark.parametrize("direction", [OLDER, NEWER])
@pytest.mark.parametrize("limit", [77, 1000, 20_000])
def test_memory_files_put_aside_and_compressed_ones_are_one_log(
    make: Any, direction: str, limit: int
) -> None:
    """Every line once, in order, with its number and id where a plain file or the memory has it."""
    logs = make(**ROTATED)
    for start in range(0, 12_000, 100):
        logs.write(numbered(start, start + 100))
    logs.flush()
    for number, ending in ((3, "gz"), (4, "xz"), (5, "bz2")):
        pack(Path(f"{logs.path}.{number}"), ending)
    assert logs.history.bounds(StreamKey("web", 1, "stdout"))[0] > 1000, "the memory has all of it"
    found = logs.all(direction, limit=limit)
    assert numbers(found) == list(range(12_000))
    known = [line for line in found if line["number"] is not None]
    assert len(known) > 6000
    assert all(line["number"] == int(line["text"].split()[1]) + 1 for line in known)
    assert all(line["id"] == f"{EPOCH}/{line['number']}/1/stdout/web" for line in known)
    times = [line["time"] for line in found]
    assert None not in times
    assert times == sorted(times)


@pytest.mark.parametrize(("kind", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_pages_back_through_a_compressed_file_unpack_it_once(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pack: Any
) -> None:
    """Where a process is asked for one after the other; and they are the same as those of one who begins anew each time."""
    monkeypatch.setattr(unpacking, "STOP_BYTES", unpacking.CHUNK_BYTES)
    drawn = random.Random(7)
    text = "".join(f"line {n} {drawn.randbytes(drawn.randrange(60)).hex()}\n" for n in range(20_000))
    text += f"line 20000 {'y' * 5 * LONGEST_LINE}\n" + numbered(20_001, 21_000)
    packed = tmp_path / f"web.log.1.{kind}"
    packed.write_bytes(pack(text.encode(), 1))
    os.utime(packed, (1000, 1000))
    logs = make(**ROTATED)
    logs.write(numbered(21_000, 21_100))
    logs.flush()
    for wanted in ({"limit": 2000}, {"limit": 200, "pattern": "7 "}):
        unfinished, cursor, read = Unfinished(), "", 0
        found: list[dict[str, Any]] = []
        for page in range(100):
            reply = logs.reply(cursor=cursor, unfinished=unfinished, **wanted)
            if page in (3, 4):
                assert reply["lines"] == logs.reply(cursor=cursor, **wanted)["lines"]
            found = reply["lines"] + found
            read += reply["searched"]["bytes"]
            cursor = reply["older"]
            if not reply["more"]:
                break
        assert page > 8
        assert read < 2.5 * packed.stat().st_size
        with packed.open("rb") as still:
            unfinished.take(still.fileno(), kind, 0).close()
        known = numbers([line for line in found if line["text"].startswith("line")])
        assert known == [n for n in range(21_100) if "pattern" not in wanted or n % 10 == 7]


def test_a_page_in_between_is_reached_from_both_sides(make: Any) -> None:
    """``newer`` of a page that was reached backwards has what the page before it had."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 6000))
    logs.flush()
    first = logs.reply(limit=2000)
    second = logs.reply(limit=2000, cursor=first["older"])
    again = logs.reply(limit=2000, cursor=second["newer"])
    assert numbers(again["lines"]) == numbers(first["lines"])
    third = logs.reply(limit=2000, cursor=second["older"])
    again = logs.reply(limit=2000, cursor=third["newer"])
    assert numbers(again["lines"]) == numbers(second["lines"])


def test_what_comes_meanwhile_is_newer_and_never_between(make: Any) -> None:
    """Pages that are read while the log grows and is rotated have no line twice and none left out."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 4000))
    found: list[int] = []
    newest = cursor = ""
    written = 4000
    while True:
        reply = logs.reply(limit=300, cursor=cursor)
        newest = newest or reply["newer"]
        found = numbers(reply["lines"]) + found
        if not reply["more"]:
            break
        cursor = reply["older"]
        logs.write(numbered(written, written + 150))
        written += 150
    assert found == list(range(4000))
    later: list[int] = []
    while True:
        reply = logs.reply(limit=300, cursor=newest)
        later += numbers(reply["lines"])
        newest = reply["newer"]
        if not reply["more"]:
            break
    assert later == list(range(4000, written))


def test_several_processes_on_one_file_are_each_whole(make: Any) -> None:
    """Of lines that do not say whose they are, each comes once, those of one process in their order."""
    logs = make(**ROTATED)
    drawn = random.Random(5)
    counts = {1: 0, 2: 0, 3: 0}
    for _ in range(400):
        wid = drawn.choice(list(counts))
        more = drawn.randrange(1, 40)
        text = "".join(
            f"line {n} of {wid} {'y' * (n % 50)}\n" for n in range(counts[wid], counts[wid] + more)
        )
        logs.write(text, wid)
        counts[wid] += more
    logs.flush()
    for direction in (OLDER, NEWER):
        found = logs.all(direction, limit=500)
        for wid, count in counts.items():
            own = [line for line in found if f" of {wid} " in line["text"]]
            assert numbers(own) == list(range(count)), (direction, wid)


def test_a_log_that_another_circusd_began_goes_on(make: Any) -> None:
    """What was in the file before is there, with the id that it had then."""
    before = make(epoch="1-1")
    before.write(numbered(0, 3000))
    before.flush()
    before.close()
    after = make(epoch="2-2")
    after.write(numbered(3000, 6000))
    after.flush()
    found = after.all(limit=700)
    assert numbers(found) == list(range(6000))
    assert [line["id"] for line in found[:3000]] == [f"1-1/{n}/1/stdout/web" for n in range(1, 3001)]
    assert [line["id"] for line in found[3000:]] == [f"2-2/{n}/1/stdout/web" for n in range(1, 3001)]
    assert numbers(after.all(NEWER, limit=700)) == list(range(6000))


@pytest.mark.parametrize("direction", [OLDER, NEWER])
def test_a_file_without_an_index_is_read_all_the_same(make: Any, direction: str, tmp_path: Path) -> None:
    """And the reply says that times are not known."""
    logs = make(**ROTATED)
    (tmp_path / "web.log.7").write_text(numbered(0, 500))
    os.utime(tmp_path / "web.log.7", (1000, 1000))
    logs.write(numbered(500, 2500))
    logs.flush()
    found = logs.all(direction, limit=600)
    assert numbers(found) == list(range(2500))
    assert {line["time"] for line in found[:500]} == {None}
    notes = logs.reply(limit=20_000)["notes"]
    assert any("web.log.7" in note and "times" in note for note in notes), notes


def test_files_that_are_not_read_are_told(make: Any, tmp_path: Path) -> None:
    """A link, a folder and a damaged archive are named with the reason; everything else is found."""
    logs = make(**ROTATED)
    (tmp_path / "secret").write_text("line 1 secret\n")
    (tmp_path / "web.log.8").symlink_to(tmp_path / "secret")
    (tmp_path / "web.log.9").mkdir()
    (tmp_path / "web.log.10.gz").write_bytes(gzip.compress(numbered(0, 100).encode())[:-20])
    (tmp_path / "web.log.11.xz").write_bytes(b"no archive")
    (tmp_path / "web.log.12.zst").write_bytes(b"of another kind")
    logs.write(numbered(100, 200))
    logs.flush()
    reply = logs.reply(limit=20_000, pattern="line")
    assert "secret" not in str(reply["lines"])
    assert set(range(100, 200)) <= set(numbers(reply["lines"]))
    told = {Path(one["file"]).name: one["reason"] for one in reply["unsearched"]}
    assert told.keys() >= {f"web.log.{rest}" for rest in ("8", "9", "10.gz", "11.xz", "12.zst")}, told
    assert "link" in told["web.log.8"]
    assert "regular" in told["web.log.9"]


def test_a_file_that_is_truncated_is_read_from_its_new_beginning(make: Any) -> None:
    """As by ``copytruncate``: what the file has now is found once, numbers and all."""
    logs = make()
    logs.write(numbered(0, 3000))
    logs.flush()
    os.truncate(logs.path, 0)
    logs.write(numbered(3000, 6000))
    logs.flush()
    found = numbers(logs.all(OLDER, limit=500))
    assert found == list(range(found[0], 6000))
    assert found[0] <= 3000


def test_what_matches_comes_with_its_surroundings(make: Any) -> None:
    """Before and after, also inverted and in any case of letters; gaps are marked."""
    logs = make()
    logs.write("".join(f"{'Red' if n % 10 == 5 else 'blue'} {n}\n" for n in range(3000)))
    logs.flush()
    for direction in (OLDER, NEWER):
        lines = logs.all(direction, limit=50, pattern="red", ignore_case=True, before=2, after=1)
        matches = [int(line["text"].split()[1]) for line in lines if line["match"]]
        assert matches == list(range(5, 3000, 10)), direction
        around = {int(line["text"].split()[1]) for line in lines}
        assert {3, 4, 5, 6} <= around
        assert not {0, 1, 2, 7, 8, 9} & around
    reply = logs.reply(limit=3, pattern="red", ignore_case=True, before=1)
    assert [line.get("gap", False) for line in reply["lines"]] == [False, False, True, False, True, False]
    assert not logs.reply(limit=10, pattern="red")["lines"]
    inverted = logs.reply(limit=4, pattern="blue", invert=True)
    assert numbers(inverted["lines"]) == [2965, 2975, 2985, 2995]
    assert numbers(logs.reply(limit=9, pattern="e 2[0-9]9$")["lines"]) == list(range(219, 300, 10))


def test_time_bounds_what_is_read(make: Any) -> None:
    """Lines of a span of time are those of their entries in the index and the memory."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 6000))
    logs.flush()
    everything = logs.all(limit=20_000)
    times = sorted({line["time"] for line in everything})
    low, high = times[len(times) // 3], times[2 * len(times) // 3]
    expected = [int(line["text"].split()[1]) for line in everything if low <= line["time"] <= high]
    assert expected
    for direction in (OLDER, NEWER):
        assert numbers(logs.all(direction, limit=500, since=low, until=high)) == expected, direction
    middle = Position(OLDER, {}, {}, low)
    earlier = logs.reply(limit=10, cursor=middle.encoded())
    assert all(line["time"] < low for line in earlier["lines"])
    assert len(earlier["lines"]) == 10


def test_a_page_is_bounded_in_bytes(make: Any) -> None:
    """However long lines are, and it can be gone on from."""
    logs = make()
    logs.write("".join(f"line {n} {'z' * 30_000}\n" for n in range(60)))
    logs.flush()
    reply = logs.reply(limit=1000, limit_bytes=200_000)
    assert 0 < len(reply["lines"]) <= 7
    assert numbers(logs.all(limit=1000, limit_bytes=200_000)) == list(range(60))


@pytest.mark.parametrize("pattern", ["(", "*", "a{99999999999}", "(?P<x", "[z-a]", "(?<=a*)b"])
def test_a_wrong_pattern_is_refused(make: Any, pattern: str) -> None:
    """With what is wrong."""
    with pytest.raises(BadRequest, match="pattern"):
        make().reply(pattern=pattern)


@pytest.mark.parametrize("cursor", ["x", "e30=", "AAAA", "eJyrrgUAAXUA-Q==", "z" * 100_000, "\x00"])
def test_a_cursor_of_somebody_else_is_refused(cursor: str) -> None:
    """And nothing else happens."""
    with pytest.raises(BadRequest, match="cursor"):
        Position.decoded(cursor)


@pytest.mark.parametrize(
    "data",
    [
        {"n": {"1/stdout/web": math.inf}},
        {"f": {"web.log": [math.inf, 1]}},
        {"f": {"web.log": [1, math.inf]}},
        {"t": 10**400},
    ],
)
def test_a_cursor_with_no_numbers_is_refused(data: dict[str, Any]) -> None:
    """What Python reads as a number and can't count by is no error of circusd."""
    text = json.dumps({"d": OLDER, "n": {}, "f": {}, "t": None, **data})
    with pytest.raises(BadRequest, match="cursor"):
        Position.decoded(base64.urlsafe_b64encode(zlib.compress(text.encode())).decode())


def test_both_streams_in_one_file_are_each_whole(make: Any) -> None:
    """Standard output and error of one process: every line once, in the order of its stream."""
    path = make.folder / "web.log"
    logs = make(stderr_stream__class="FileStream", stderr_stream__filename=path, **ROTATED)
    for start in range(0, 6000, 60):
        logs.write(numbered(start, start + 50).replace("line", "out"))
        logs.write(numbered(start, start + 10).replace("line", "err"), stream="stderr")
    logs.flush()
    for direction in (OLDER, NEWER):
        found = logs.all(direction, limit=500, streams=["stdout", "stderr"])
        out = numbers([line for line in found if line["text"].startswith("out")])
        err = numbers([line for line in found if line["text"].startswith("err")])
        assert out == [n for start in range(0, 6000, 60) for n in range(start, start + 50)], direction
        assert err == [n for start in range(0, 6000, 60) for n in range(start, start + 10)], direction


def test_a_file_without_permission_is_told(make: Any) -> None:
    """And the others are read."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 4000))
    logs.flush()
    closed = Path(f"{logs.path}.1")
    closed.chmod(0)
    logs.folder.chmod(0o755)
    for folder in logs.folder.parents[:2]:
        folder.chmod(0o755)
    uid = os.geteuid()
    if uid == 0:
        # Root may read everything.
        os.seteuid(65534)
    try:
        reply = logs.reply(limit=20_000)
    finally:
        os.seteuid(uid)
        closed.chmod(0o644)
    assert {"file": str(closed), "reason": "Permission denied"} in reply["unsearched"]
    assert 3999 in numbers(reply["lines"])
    assert 0 in numbers(reply["lines"])


@pytest.mark.parametrize("direction", [OLDER, NEWER])
def test_a_file_that_shrinks_while_it_is_read_ends_there(tmp_path: Path, direction: str) -> None:
    """What was read stays, and it is told."""
    path = tmp_path / "web.log"
    path.write_text(numbered(0, 40_000))
    (file,) = open_files(str(path), lambda unread: None)
    try:
        chunks = (
            file.backwards(None, lambda n: None)
            if direction == OLDER
            else file.forwards(0, None, lambda n: None)
        )
        assert next(chunks).data
        os.truncate(path, 1000)
        assert sum(len(chunk.data) for chunk in chunks) <= 1000 + CHUNK_BYTES
        assert file.shrunk
    finally:
        file.close()


def test_a_line_without_an_end_is_read_in_pieces(tmp_path: Path) -> None:
    """A file that is one line costs no more memory than another, forwards and backwards."""
    path = tmp_path / "web.log"
    path.write_bytes(b"x" * 3_000_000)
    path.rename(f"{path}.1")
    path.write_bytes(b"")
    current, old = open_files(str(path), lambda unread: None)
    try:
        for chunks in (
            list(old.forwards(0, None, lambda n: None)),
            list(old.backwards(None, lambda n: None))[::-1],
        ):
            assert b"".join(chunk.data for chunk in chunks) == b"x" * 3_000_000
            assert max(len(chunk.data) for chunk in chunks) <= CHUNK_BYTES + LONGEST_LINE
        assert not list(current.forwards(0, None, lambda n: None))
    finally:
        current.close()
        old.close()


def test_an_index_that_can_not_be_kept_is_told_once(
    make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is written all the same, and the lines are found."""
    (tmp_path / "index").write_text("a file stands in its place")
    logs = make()
    for start in (1, 4, 7):
        logs.write("".join(f"line {n}\n" for n in range(start, start + 3)))
        logs.flush()
    logs.close()
    told = [record.message for record in caplog.records if "no index of log files" in record.message]
    assert len(told) == 1 and str(tmp_path / "index") in told[0]
    assert logs.path.read_text().count("line") == 9


def test_an_index_has_an_end_to_its_size(tmp_path: Path) -> None:
    """The older half goes; what is left is read, and a damaged entry is passed over."""
    (tmp_path / "index").mkdir()
    name = tmp_path / "index" / name_of_index("/var/log/web.log")
    for start in range(0, 20_000, 500):
        marks = [
            Mark(EPOCH, 7, offset * 1000, float(offset), {"1/stdout/web": offset}, False)
            for offset in range(start, start + 500)
        ]
        append(str(name), marks)
    assert name.stat().st_size <= INDEX_BYTES
    with name.open("ab") as file:
        file.write(b'["half an ent\n[1,2]\n{"a":1}\n')
    found = read_index(str(tmp_path), "/var/log/web.log", [])
    assert found[-1].offset == 19_999_000
    assert [mark.offset for mark in found] == sorted(mark.offset for mark in found)
    assert len(found) > 1000
    assert read_index(str(tmp_path), "/var/log/other.log", []) == []


@pytest.mark.parametrize("seed", range(40))
def test_any_cursor_and_any_bounds_are_answered(make: Any, seed: int) -> None:
    """With lines of the log or none: whatever a client makes up, nothing is raised and every bound is kept."""
    drawn = random.Random(seed)
    logs = make(**ROTATED)
    logs.write(numbered(0, 3000))
    logs.flush()
    odd = [0, 1, -1, 77, 1500, 2999, 3000, 3001, 1 << 62, -(1 << 70), 10**40]
    inodes = [os.stat(path).st_ino for path in logs.folder.glob("web.log*")]
    position = Position(
        drawn.choice([OLDER, NEWER]),
        {"1/stdout/web": drawn.choice(odd), "x": 5} if drawn.random() < 0.6 else {},
        {str(logs.path): (drawn.choice([*inodes, *odd]), drawn.choice(odd))} if drawn.random() < 0.6 else {},
        drawn.choice([None, None, 0.0, 1e18, float("inf"), float("nan"), -5.0]),
    )
    reply = logs.reply(
        cursor=position.encoded(),
        limit=drawn.choice([1, 7, 5000]),
        limit_bytes=drawn.choice([1, 1000, 1 << 22]),
        pattern=drawn.choice([None, "9", ".", "$"]),
        before=drawn.choice([0, 3]),
        after=drawn.choice([0, 100]),
        since=drawn.choice([None, 0.0, 1e18]),
        until=drawn.choice([None, 0.0, 1e18]),
    )
    found = numbers(reply["lines"])
    assert found == sorted(set(found))
    assert set(found) <= set(range(3000))
    for cursor in (reply["older"], reply["newer"]):
        assert Position.decoded(cursor).direction in (OLDER, NEWER)


@pytest.mark.parametrize("direction", [OLDER, NEWER])
def test_a_search_that_is_late_goes_on_where_it_was(make: Any, direction: str) -> None:
    """Pages for which there is no time have what was found, and nothing is left out or comes twice."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 9000))
    logs.flush()
    pack(Path(f"{logs.path}.2"), "gz")
    found: list[int] = []
    cursor, replies = "", 0
    while True:
        reply = logs.reply(direction=direction, cursor=cursor, limit=20_000, pattern="[05] ", seconds=0.0)
        replies += 1
        page = numbers(reply["lines"])
        found = page + found if direction == OLDER else found + page
        assert reply["complete"] is not reply["more"]
        if not reply["more"]:
            break
        cursor = reply[direction]
    assert found == [n for n in range(9000) if n % 10 in (0, 5)]
    assert replies > 3


def test_files_with_numbers_are_in_their_order_whatever_their_times(make: Any) -> None:
    """A program that compresses may not keep the time."""
    logs = make(**ROTATED)
    logs.write(numbered(0, 9000))
    logs.flush()
    for number in (2, 3):
        pack(Path(f"{logs.path}.{number}"), "gz")
        os.utime(f"{logs.path}.{number}.gz")
    assert numbers(logs.all(limit=900)) == list(range(9000))
    assert numbers(logs.all(NEWER, limit=900)) == list(range(9000))


@pytest.mark.parametrize("name", ["web.log.{}", "web.log-2026{:04}"])
def test_of_very_many_files_the_newest_are_opened_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A folder with years of them takes no more descriptors, and what is left out is told."""
    monkeypatch.setattr(logfiles, "FILES_LIMIT", 4)
    opened: list[str] = []

    def made(path: str, *args: Any, **more: Any) -> LogFile:
        opened.append(path)
        return LogFile(path, *args, **more)

    monkeypatch.setattr(logfiles, "LogFile", made)
    names = ["web.log", *(name.format(number) for number in range(1, 9))]
    for age, one in enumerate(names):
        (tmp_path / one).write_text(f"{age}\n")
        os.utime(tmp_path / one, (1000 - age, 1000 - age))
    unread: list[logfiles.Unread] = []
    files = open_files(str(tmp_path / "web.log"), unread.append)
    for file in files:
        file.close()
    assert [os.path.basename(file.path) for file in files] == names[:4]
    assert sorted(opened) == sorted(file.path for file in files)
    assert [(os.path.basename(one.file), one.reason) for one in unread] == [
        (names[4], "it is older than the newest 4 files of the log, as are 4 more")
    ]


def test_a_rotation_while_files_are_opened_keeps_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that has the log's name when it is looked at again is the newer one."""
    path = tmp_path / "web.log"
    path.write_text("older\n")
    found = logfiles._names
    calls: list[str] = []

    def names(*args: Any) -> list[str]:
        calls.append("")
        if len(calls) == 2:
            path.rename(f"{path}.1")
            path.write_text("newer\n")
        return found(*args)

    monkeypatch.setattr(logfiles, "_names", names)
    files = open_files(str(path), lambda unread: None)
    try:
        assert [os.pread(file.fd, 100, 0) for file in files] == [b"newer\n", b"older\n"]
    finally:
        for file in files:
            file.close()


def test_the_process_that_searches_loads_no_more_than_it_needs() -> None:
    """It is started for each search: what it loads is waited for, and is its memory."""
    program = "import sys, circusd.cli.searcher; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"gevent", "inspect", "threading", "zmq"} & set(done.stdout.split())
