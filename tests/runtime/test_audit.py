"""The audit's file: bounded, patient with the disk, and read back from the end."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from circusd.runtime import auditfile
from circusd.runtime.audit import Audit
from circusd.runtime.auditfile import AuditFile
from circusd.runtime.controller import Caller
from circusd.runtime.requests import Person
from circusd.schema.commands import find
from tests.gate import until

ADA = Person("ada", "operator", "")
CALLER = Caller(
    "commands", 7, "operator", b"C00000001", "unix", 42, lambda message: True, lambda message: True
)


@pytest.fixture
def problems() -> list[str]:
    """What was told of the file."""
    return []


@pytest.fixture
def file(tmp_path: Path, problems: list[str]) -> Iterator[AuditFile]:
    """One with a place of its own."""
    opened = AuditFile("circus", str(tmp_path / "audit.log"), problems.append)
    yield opened
    opened.close()


def test_it_grows_to_a_bound_and_the_last_lines_are_found_over_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problems: list[str]
) -> None:
    """However much is recorded; the oldest goes first, and each file is the daemon's user's alone."""
    monkeypatch.setattr(auditfile, "FILE_BYTES", 4096)
    file = AuditFile("circus", str(tmp_path / "audit.log"), problems.append)
    for number in range(2000):
        file.append(json.dumps({"number": number}).encode() + b"\n")
        if not number % 100:
            gevent.sleep(0)
    last = file.last(300) or []
    assert [json.loads(line)["number"] for line in last] == list(range(2000 - 300, 2000))
    file.close()
    found = sorted(tmp_path.iterdir())
    assert len(found) == 1 + auditfile.BACKUPS
    assert sum(path.stat().st_size for path in found) <= 4096 * (1 + auditfile.BACKUPS)
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert problems == []


def test_lines_that_could_not_be_written_are_written_later(tmp_path: Path, problems: list[str]) -> None:
    """The problem is told once, and its end; nothing is lost meanwhile."""
    place = tmp_path / "later" / "audit.log"
    file = AuditFile("circus", str(place), problems.append)
    for number in range(3):
        file.append(b"%d\n" % number)
        until(lambda: problems)
    assert len(problems) == 1 and "no such file or directory" in problems[0]
    place.parent.mkdir()
    file.append(b"3\n")
    until(lambda: len(problems) == 2)
    assert problems[1] == "" and file.problem == ""
    file.close()
    assert place.read_bytes() == b"0\n1\n2\n3\n"
    assert file.lost == 0


def test_a_file_that_was_moved_or_removed_is_made_anew(tmp_path: Path, file: AuditFile) -> None:
    """Whoever puts logs aside need not tell circusd; nothing is held open."""
    place = tmp_path / "audit.log"
    for number in range(3):
        file.append(b"%d\n" % number)
        until(lambda number=number: place.exists() and place.read_bytes() == b"%d\n" % number)
        until(lambda: str(place) not in opened())
        place.rename(tmp_path / f"moved-{number}")


def opened() -> set[str]:
    """The files that this process holds open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return found


def test_what_waits_for_the_disk_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: AuditFile, problems: list[str]
) -> None:
    """What would come on top of it is lost, and counted; the daemon does not wait."""
    monkeypatch.setattr(auditfile, "WAITING_BYTES", 100)
    for _ in range(50):
        # Not given way to: nothing is written meanwhile as far as the hub knows.
        file.append(b"123456789\n")
    assert file.lost == 40
    assert "does not answer" in problems[0]
    until(lambda: file.problem == "")
    assert len(file.last(100) or []) == 10


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_only_a_regular_file_is_written_to(tmp_path: Path, problems: list[str], kind: str) -> None:
    """Whatever else has the name stays as it is, and nothing waits for it."""
    place, target = tmp_path / "audit.log", tmp_path / "target"
    target.write_text("mine")
    make = {"link": lambda: place.symlink_to(target), "folder": place.mkdir, "fifo": lambda: os.mkfifo(place)}
    make[kind]()
    file = AuditFile("circus", str(place), problems.append)
    assert file.last(5) == []
    file.append(b"line\n")
    until(lambda: problems)
    assert str(place) in problems[0]
    file.close()
    assert target.read_text() == "mine"


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    """Whatever somebody has put into the file."""
    place = tmp_path / "audit.log"
    place.write_bytes(
        b'{"command": "stop"}\n{"torn\n[1]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"command": "rm"}\n'
    )
    audit = Audit("circus", str(place), lambda problem: None)
    assert [entry["command"] for entry in audit.last(10)] == ["stop", "rm"]
    audit.close()


def test_what_is_under_way_at_the_end_is_recorded_as_unfinished(tmp_path: Path) -> None:
    """And what has its result is recorded once."""
    place = tmp_path / "audit.log"
    audit = Audit("circus", str(place), lambda problem: None)
    row = find("stop")
    assert row is not None
    done = audit.begin(row, {"name": "one"}, CALLER, ADA)
    audit.begin(row, {"name": "two"}, CALLER, ADA)
    done("ok", {})
    done("failed", {})
    audit.close()
    entries = [json.loads(line) for line in place.read_bytes().splitlines()]
    assert [(e["watcher"], e["result"]) for e in entries] == [("one", "ok"), ("two", "unfinished")]


def test_what_a_handler_denies_is_recorded_in_sums_too(tmp_path: Path) -> None:
    """Options that are not for the role, wrong links: whoever tries them all does not push others out of the file."""
    place = tmp_path / "audit.log"
    told: list[int] = []
    audit = Audit("circus", str(place), lambda problem: None, lambda entry, count: told.append(count))
    row = find("set")
    assert row is not None
    for number in range(500):
        audit.begin(row, {"name": "web", "options": {"cmd": number}}, CALLER, ADA)("denied", {})
    audit.close()
    entries = [json.loads(line) for line in place.read_bytes().splitlines()]
    assert sum(entry["count"] for entry in entries) == sum(told) == 500
    assert len(entries) < 50


def test_hostile_text_is_bounded(tmp_path: Path) -> None:
    """Names and keys of any length, kind and number; an entry stays one line."""
    place = tmp_path / "audit.log"
    audit = Audit("circus", str(place), lambda problem: None)
    row = find("set")
    assert row is not None
    hostile = {"name": "x\n" * 100_000, "options": {f"k{n}\n" + "y" * 10_000: 1 for n in range(500)}}
    audit.begin(row, hostile, CALLER, ADA)("bad_request", {})
    audit.begin(row, {"name": ["x"], "options": "x"}, CALLER, ADA)("bad_request", {})
    scale = find("incr")
    assert scale is not None
    for number in (10**4000, float("nan"), float("inf"), {"a": 1}):
        audit.begin(scale, {"name": "web", "nb": number}, CALLER, ADA)("bad_request", {})
    audit.close()
    data = place.read_bytes()
    assert data.count(b"\n") == 6
    assert all(isinstance(json.loads(line), dict) for line in data.splitlines())
    assert b"NaN" not in data and b"Infinity" not in data
    assert len(data) < 20_000
