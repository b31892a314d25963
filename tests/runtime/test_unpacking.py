"""Compressed files are unpacked once, however many pages are made of them; and not held longer than that."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from circusd.runtime import unpacking
from circusd.runtime.logfiles import LogFile, open_files
from circusd.runtime.unpacking import Unfinished, Unpacked

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}


def content(lines: int) -> bytes:
    return b"".join(b"line %d of the log %d\n" % (n, n * n * 7919) for n in range(lines))


def opened(path: Path, unfinished: Unfinished | None) -> LogFile:
    (file,) = [
        file for file in open_files(str(path), lambda told: pytest.fail(str(told)), unfinished) if file.kind
    ]
    return file


@pytest.mark.parametrize("kind", PACKERS)
def test_pages_of_a_compressed_file_unpack_it_once(tmp_path: Path, kind: str) -> None:
    """Each begins a little before the one before has ended, as pages do; all of it is there, and read once."""
    whole = content(30_000)
    packed = tmp_path / f"web.log.1.{kind}"
    packed.write_bytes(PACKERS[kind](whole))
    unfinished, read, found, at = Unfinished(), 0, b"", 0

    def tick(count: int) -> None:
        nonlocal read
        read += count

    while at < len(whole):
        file = opened(tmp_path / "web.log", unfinished)
        try:
            page = next(file.forwards(at, None, tick))
        finally:
            file.close()
        # The last line of a page is left for the next one.
        cut = page.data[:-1].rfind(b"\n") + 1 if page.end < len(whole) else 0
        cut = cut or len(page.data)
        found += page.data[:cut]
        at = page.start + cut
    assert found == whole
    assert read <= packed.stat().st_size
    with packed.open("rb") as still:
        unfinished.take(still.fileno(), kind, len(whole)).close()


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("room", ["enough", "little", "full"])
def test_pages_backwards_are_all_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, room: str
) -> None:
    """From the last one on, of two files in turn; where what is unpacked has room it is unpacked once, and else more often."""
    if room == "little":
        monkeypatch.setattr(unpacking, "WINDOW_BYTES", 300_000)
        monkeypatch.setattr(unpacking, "SPILL_BYTES", 1_100_000)
    whole = content(80_000)
    names = [tmp_path / f"web.log.{number}.{kind}" for number in (1, 2)]
    for name in names:
        name.write_bytes(PACKERS[kind](whole))
    unfinished, read, pages = Unfinished(), 0, 0
    ends, found = dict.fromkeys(names, len(whole)), dict.fromkeys(names, b"")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def tick(count: int) -> None:
        nonlocal read
        read += count

    def lines(file: LogFile, start: int, end: int) -> bytes:
        return b"".join(chunk.data for chunk in file.forwards(start, end, tick))

    try:
        if room == "full":
            # As on a disk on which there is room for a part of it.
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        while any(ends.values()):
            for file in open_files(
                str(tmp_path / "web.log"), lambda told: pytest.fail(str(told)), unfinished
            ):
                name, end = Path(file.path), ends[Path(file.path)]
                starts = file.lines_before(end)
                data = lines(file, starts[0], end)
                # Of what had to be read from the beginning on, a page has the last lines.
                cut = 0 if starts[0] or pages > 40 else data.rfind(b"\n", 0, max(0, len(data) - 100_000)) + 1
                found[name] = data[cut:] + found[name]
                ends[name] = starts[0] + cut
                pages += 1
                file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(found.values()) == {whole}
    size = sum(name.stat().st_size for name in names)
    if room == "enough":
        # What lies between two stops may be read twice.
        assert read <= size * (3 if kind == "gz" else 1)
    elif kind != "gz":
        assert read > size
    for name in names:
        with name.open("rb") as still:
            unfinished.take(still.fileno(), kind, len(whole)).close()


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_where_it_can_not_go_on_it_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A place that is out of the window, and a file that was written to; but of a gzip file it goes on at the stop before."""
    monkeypatch.setattr(unpacking, "WINDOW_BYTES", 1 << 20)
    whole = content(100_000)
    path = tmp_path / f"web.log.1.{kind}"
    path.write_bytes(PACKERS[kind](whole))
    with path.open("rb") as file:
        fd = file.fileno()
        first = Unpacked(fd, kind)
        while first.read(first.end):
            assert first.end - first.start <= (1 << 20) + unpacking.CHUNK_BYTES
        assert first.read(first.start) == whole[first.start :][: unpacking.CHUNK_BYTES]
        unfinished = Unfinished()
        unfinished.give_back(fd, first)
        again = unfinished.take(fd, kind, first.end - 10)
        assert again is first
        assert again.packed == path.stat().st_size
        unfinished.give_back(fd, again)
        early = unfinished.take(fd, kind, 1_100_000)
        assert (early is first) is (kind == "gz")
        assert early.end == (1 << 20 if kind == "gz" else 0)
        assert early.read(early.end) == whole[early.start :][: unpacking.CHUNK_BYTES]
        unfinished.give_back(fd, early)
        os.utime(path, (5, 5))
        other = unfinished.take(fd, kind, 0)
        assert other is not early
        other.close()
        early.close()


def test_gzip_files_of_several_members_are_unpacked_to_their_end(tmp_path: Path) -> None:
    """With zeros between them, as some tapes and devices leave them; of an empty one nothing is read."""
    for name, data in (("a", gzip.compress(b"one\n") + b"\0" * 70_000 + gzip.compress(b"two\n")), ("b", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with path.open("rb") as file:
            unpacked = Unpacked(file.fileno(), "gz")
            assert unpacked.read(0) == (b"one\ntwo\n" if data else b"")
            assert unpacked.read(unpacked.end) == b""
            unpacked.close()


def test_stops_of_a_large_file_are_as_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, and from each of them on there is what comes there."""
    monkeypatch.setattr(unpacking, "STOPS", 8)
    monkeypatch.setattr(unpacking, "CHUNK_BYTES", 5000)
    monkeypatch.setattr(unpacking, "STOP_BYTES", 10_000)
    monkeypatch.setattr(unpacking, "GZIP_WINDOW_BYTES", 1000)
    whole = b"".join(b"%d %s\n" % (n, b"x" * (n % 7 * 3000)) for n in range(100))
    path = tmp_path / "web.log.1.gz"
    path.write_bytes(gzip.compress(whole[:300_000]) + gzip.compress(whole[300_000:]))
    with path.open("rb") as file:
        unpacked = Unpacked(file.fileno(), "gz")
        for _ in range(2):
            while unpacked.read(unpacked.end):
                assert len(unpacked.stops) <= 8
            lines = unpacked.lines_before(1 << 62)
            assert len(lines) >= 4
            assert lines == sorted(set(lines), reverse=True)
            for line in lines:
                assert line == 0 or whole[line - 1 : line] == b"\n"
                assert unpacked.go_to(line)
                begin, data = unpacked.start, b""
                while len(data) < line - begin + 10 and (more := unpacked.read(begin + len(data))):
                    data += more
                assert data == whole[begin:][: len(data)]
        unpacked.close()
