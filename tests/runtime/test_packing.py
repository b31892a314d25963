"""Old log files: compressed and deleted in the background, and not a line of what is kept is missing or there twice."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.runtime import packing
from circusd.runtime.appendfile import AppendFile
from circusd.runtime.logfiles import open_files
from circusd.runtime.packing import DRAFT
from circusd.runtime.places import FilePlace
from circusd.runtime.rotation import Kept, SizeRotation, TimedRotation, is_same_content
from circusd.runtime.streams import Output
from tests.outputs import LAG, Lag, Outputs, until

FLOOD = r"""
import os, sys
for start in range(0, int(sys.argv[1]), 1000):
    os.write(1, b"".join(b"%099d\n" % i for i in range(start, start + 1000)))
"""


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs()
    yield made
    made.close()


def order(log: Path) -> list[Path]:
    """The files of a log, oldest first."""
    aside = log.parent.glob(log.name + ".*")
    return [*sorted(aside, key=lambda path: -int(path.name.split(".")[1])), log]


def content(path: Path) -> bytes:
    """What was written to the file."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def is_packed(log: Path) -> bool:
    """All old files are compressed, and nothing is on its way."""
    return all(path.suffix == ".gz" for path in log.parent.glob(log.name + ".*"))


def test_every_line_is_in_one_file_while_old_ones_are_compressed(outputs: Outputs, tmp_path: Path) -> None:
    """Rotation goes on meanwhile: names move below the compressor, and each file is found whole under its last one."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__overflow="block",
        stdout_stream__filename=log,
        stdout_stream__max_bytes=100_000,
        stdout_stream__backup_count=200,
        stdout_stream__compress="gz",
    )
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, FLOOD, 1, 100_000))
        outputs.flush()
        until(lambda: is_packed(log))
    data = b"".join(content(path) for path in order(log))
    assert [int(line) for line in data.splitlines()] == list(range(100_000))
    assert len(order(log)) == 100
    assert not outputs.named("output.dropped")
    assert lag.worst < LAG


def test_what_is_compressed_keeps_its_owner_mode_and_time(outputs: Outputs, tmp_path: Path) -> None:
    """Who could read the file can read it afterwards, and by the time of its last line it is found again."""
    log = tmp_path / "log"
    log.write_text("old\n")
    log.chmod(0o640)
    os.utime(log, ns=(10**18, 10**18 + 12345))
    output = outputs.make(
        stdout_stream__filename=log, stdout_stream__compress="gz", stdout_stream__backup_count=2
    )
    rotate(output)
    packed = tmp_path / "log.1.gz"
    until(packed.exists)
    status = packed.stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18 + 12345)
    assert (status.st_uid, status.st_gid) == (log.stat().st_uid, log.stat().st_gid)
    assert content(packed) == b"old\n"


def rotate(output: Output) -> None:
    """The output's files are put aside."""
    told: list[str | None] = []
    for _, _, sink in output.sinks():
        if isinstance(sink.place, FilePlace):
            sink.place.rotate(told.append)
    until(lambda: told)
    assert told == [""]


def test_the_oldest_files_go_before_all_have_more_than_the_total(outputs: Outputs, tmp_path: Path) -> None:
    """At no time is there more on the disk than that, and no less is kept than has room."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__overflow="block",
        stdout_stream__filename=log,
        stdout_stream__max_bytes=10_000,
        stdout_stream__total_bytes=55_000,
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 3000))
    outputs.flush()
    files = order(log)
    assert [path.name for path in files] == ["log.4", "log.3", "log.2", "log.1", "log"]
    assert sum(path.stat().st_size for path in files) <= 55_000
    data = b"".join(map(content, files))
    assert [int(line) for line in data.splitlines()] == list(range(2500, 3000))


def test_a_total_counts_compressed_files_as_they_are(outputs: Outputs, tmp_path: Path) -> None:
    """So there are many more of them."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__overflow="block",
        stdout_stream__filename=log,
        stdout_stream__max_bytes=50_000,
        stdout_stream__total_bytes=400_000,
        stdout_stream__compress="gz",
    )
    for _ in range(10):
        outputs.wait(output, outputs.run(output, FLOOD, 1, 2000))
        outputs.flush()
        until(lambda: is_packed(log))
    assert sum(path.stat().st_size for path in order(log)) <= 400_000
    assert len(order(log)) == 40


def test_a_file_that_was_half_compressed_at_a_crash_is_there_once(outputs: Outputs, tmp_path: Path) -> None:
    """Whole in one form when circusd comes back; a draft that was left is nothing."""
    log = tmp_path / "log"
    (tmp_path / "log.1").write_bytes(b"one\n" * 1000)
    (tmp_path / "log.2").write_bytes(b"two\n" * 1000)
    (tmp_path / "log.2.gz").write_bytes(gzip.compress(b"two\n" * 1000))
    shutil.copystat(tmp_path / "log.2", tmp_path / "log.2.gz")
    (tmp_path / f"log{DRAFT}").write_bytes(b"half")
    outputs.make(stdout_stream__filename=log, stdout_stream__compress="gz", stdout_stream__backup_count=9)
    until(lambda: is_packed(log))
    until(log.exists)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1.gz", "log.2.gz"]
    assert content(tmp_path / "log.1.gz") == b"one\n" * 1000
    assert content(tmp_path / "log.2.gz") == b"two\n" * 1000


def test_what_is_read_while_it_is_compressed_is_read_once(tmp_path: Path) -> None:
    """Between the two steps there are both; a reader takes one. Two that are not the same are both taken."""
    (tmp_path / "log.1").write_bytes(b"one\n" * 1000)
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(b"one\n" * 1000))
    (tmp_path / "log").write_bytes(b"")
    shutil.copystat(tmp_path / "log.1", tmp_path / "log.1.gz")

    def names() -> list[str]:
        files = open_files(str(tmp_path / "log"), lambda _: None)
        for file in files:
            file.close()
        return [file.path.rpartition("/")[2] for file in files]

    assert names() == ["log", "log.1"]
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(b"other\n" * 1000))
    shutil.copystat(tmp_path / "log.1", tmp_path / "log.1.gz")
    assert sorted(names()) == ["log", "log.1", "log.1.gz"]


def test_a_link_in_the_folder_is_not_compressed(outputs: Outputs, tmp_path: Path) -> None:
    """Neither a symbolic one nor a second name: what they lead to may be another's, and stays."""
    log, secret = tmp_path / "log", tmp_path / "secret"
    secret.write_text("secret\n")
    os.link(secret, tmp_path / "log.1")
    (tmp_path / "log.2").symlink_to(secret)
    (tmp_path / "log.3").write_text("mine\n")
    outputs.make(stdout_stream__filename=log, stdout_stream__compress="gz", stdout_stream__backup_count=9)
    until((tmp_path / "log.3.gz").exists)
    until(lambda: not (tmp_path / "log.3").exists())
    until(log.exists)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.3.gz", "secret"]


def test_a_disk_without_room_for_the_compressed_file_keeps_the_old_one(
    outputs: Outputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, and once when it works again; the log is written on all the while."""

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    log = tmp_path / "log"
    monkeypatch.setattr(packing, "_write_all", full)
    output = outputs.make(
        stdout_stream__filename=log,
        stdout_stream__compress="gz",
        stdout_stream__backup_count=9,
        stdout_stream__max_bytes=10_000,
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 1000))
    until(lambda: outputs.named("output.dropped"))
    outputs.flush()
    assert "compressed: No space left" in output.counters()["stdout"]["failing"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", *(f"log.{n}" for n in range(1, 10))]
    monkeypatch.undo()
    outputs.wait(output, outputs.run(output, FLOOD, 1, 1000))
    until(lambda: outputs.named("output.recovered"))
    until(lambda: is_packed(log))
    assert len(outputs.named("output.dropped")) == 1
    assert output.counters()["stdout"]["dropped_bytes"] == 0


def test_what_is_asked_for_during_the_last_look_is_looked_at_again(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is put aside when the compressor has found no more is not left as it is."""
    looks: list[str] = []
    goes_on = threading.Event()

    def none_left(*_: object) -> None:
        looks.append("a look")
        assert goes_on.wait(10)

    monkeypatch.setattr(packing, "_next", none_left)
    packer = packing.Packer(outputs.services.sinks.writers)
    file = AppendFile(None)
    ended: list[str] = []
    packer.begin(file, ended.append)
    until(lambda: looks)
    packer.begin(file, ended.append)
    packer.begin(file, ended.append)
    goes_on.set()
    until(lambda: len(ended) == 2)
    assert (len(looks), ended) == (2, ["", ""])


@pytest.mark.parametrize("seed", range(20))
def test_shifting_names_keeps_every_file_that_is_wanted(tmp_path: Path, seed: int) -> None:
    """With some compressed and some not, in any order: the newest ones stay, each with its own content."""
    r = random.Random(seed)
    count = r.choice([0, 1, 3])
    path = str(tmp_path / "log")
    rotation = SizeRotation(0, Kept(count))
    for turn in range(8):
        Path(path).write_text(str(turn))
        rotation.put_aside(path)
        rotation.kept.prune(rotation.aside(path), 0)
        wanted = [str(n) for n in range(turn, -1, -1)][: count or None]
        assert [content(Path(name)).decode() for name in rotation.aside(path)] == wanted
        for name in rotation.aside(path):
            if not name.endswith(".gz") and r.random() < 0.5:
                Path(name + ".gz").write_bytes(gzip.compress(Path(name).read_bytes()))
                os.unlink(name)


def test_dated_files_are_compressed_and_deleted_too(tmp_path: Path) -> None:
    """Those of a time; what is beside them stays."""
    path = str(tmp_path / "log")
    rotation = TimedRotation("S", 1, Kept(2, compress=True), utc=True)
    others = ("log.conf", "log.2024", "log.20240101.txt", "log.old.gz")
    for name in others:
        (tmp_path / name).write_text("not ours")
    for turn in range(4):
        Path(path).write_text(str(turn))
        rotation.begin(1_700_000_000 + turn)
        rotation.put_aside(path)
        if turn == 2:
            newest = rotation.aside(path)[0]
            Path(newest + ".gz").write_bytes(gzip.compress(Path(newest).read_bytes()))
            os.unlink(newest)
    rotation.kept.prune(rotation.aside(path), 0)
    assert [content(Path(name)) for name in rotation.aside(path)] == [b"3", b"2"]
    assert {path.name for path in tmp_path.iterdir()} > set(others)
    Path(path).write_text("again")
    rotation.begin(1_700_000_002)
    rotation.put_aside(path)
    assert len(rotation.aside(path)) == 3


def test_sameness_is_told_by_time_and_size(tmp_path: Path) -> None:
    """A file of another time, or of another size, is another one."""
    plain, packed = tmp_path / "log", tmp_path / "log.gz"
    plain.write_bytes(b"x" * 5000)
    packed.write_bytes(gzip.compress(b"x" * 5000))
    with packed.open("rb") as file:
        assert not is_same_content(plain.stat(), packed.stat(), file.fileno())
        os.utime(packed, ns=(0, plain.stat().st_mtime_ns))
        assert is_same_content(plain.stat(), packed.stat(), file.fileno())
        plain.write_bytes(b"x" * 5001)
        os.utime(plain, ns=(0, packed.stat().st_mtime_ns))
        assert not is_same_content(plain.stat(), packed.stat(), file.fileno())


# -- by command --------------------------------------------------------------------------------------------------------


def test_a_file_is_put_aside_at_once_or_at_the_end_of_its_line(tmp_path: Path) -> None:
    """A line that is open is not torn; an empty file stays."""
    log = tmp_path / "log"
    file = AppendFile(str(log), SizeRotation(0, Kept()))
    assert file.rotate()
    assert not (tmp_path / "log.1").exists()
    file.write([b"one\n", b"tw"])
    assert not file.rotate()
    file.write([b"o"])
    assert not (tmp_path / "log.1").exists()
    assert file.write([b".\nthr", b"ee\n"]) == 8
    assert (tmp_path / "log.1").read_bytes() == b"one\ntwo.\n"
    assert log.read_bytes() == b"three\n"
    assert file.rotate()
    assert log.read_bytes() == b""
    assert (tmp_path / "log.1").read_bytes() == b"three\n"
    assert (tmp_path / "log.2").read_bytes() == b"one\ntwo.\n"
    file.close()


def test_a_file_of_another_program_is_not_put_aside(tmp_path: Path) -> None:
    """It says whose it is."""
    file = AppendFile(str(tmp_path / "log"), None, watched=True)
    file.write([b"one\n"])
    with pytest.raises(OSError, match="another program"):
        file.rotate()
    file.close()


def test_a_file_that_was_moved_is_opened_anew_when_it_is_asked_for(tmp_path: Path) -> None:
    """Until then it is written on; where the new one can't be had, the old one is."""
    log = tmp_path / "folder" / "log"
    log.parent.mkdir()
    file = AppendFile(str(log), SizeRotation(0, Kept()))
    file.write([b"one\n"])
    log.rename(tmp_path / "moved")
    file.write([b"two\n"])
    file.reopen()
    file.write([b"three\n"])
    assert (tmp_path / "moved").read_bytes() == b"one\ntwo\n"
    assert log.read_bytes() == b"three\n"
    log.rename(tmp_path / "again")
    log.parent.rmdir()
    with pytest.raises(FileNotFoundError):
        file.reopen()
    file.write([b"four\n"])
    assert (tmp_path / "again").read_bytes() == b"three\nfour\n"
    file.close()
