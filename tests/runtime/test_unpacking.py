"""Compressed files are unpacked once, however many pages are made of them; and not held longer than that."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
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


def test_where_it_can_not_go_on_it_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that is out of the window, and a file that was written to."""
    monkeypatch.setattr(unpacking, "WINDOW_BYTES", 1 << 20)
    whole = content(100_000)
    path = tmp_path / "web.log.1.gz"
    path.write_bytes(gzip.compress(whole))
    with path.open("rb") as file:
        fd = file.fileno()
        first = Unpacked(fd, "gz")
        while first.read(first.end):
            assert first.end - first.start <= (1 << 20) + unpacking.CHUNK_BYTES
        assert first.read(first.start) == whole[first.start :][: unpacking.CHUNK_BYTES]
        unfinished = Unfinished()
        unfinished.give_back(fd, first)
        again = unfinished.take(fd, "gz", first.end - 10)
        assert again is first
        unfinished.give_back(fd, again)
        fresh = unfinished.take(fd, "gz", 0)
        assert fresh is not first
        assert fresh.read(0) == whole[: unpacking.CHUNK_BYTES]
        unfinished.give_back(fd, fresh)
        os.utime(path, (5, 5))
        other = unfinished.take(fd, "gz", 0)
        assert other is not fresh
        other.close()
        fresh.close()
