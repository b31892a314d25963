"""How much crash reports may take: each, those of one watcher, and all; whatever is on the disk or was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.kernel import files
from circusd.runtime.crashes import OF_ONE, Crashes
from circusd.runtime.crashfile import FILE, REPORT_BYTES, TOTAL_BYTES, Kept, dump
from circusd.runtime.crashreport import packed
from circusd.runtime.statefile import StateFolder
from tests.waiting import eventually


def row(watcher: str, number: int, size: int) -> Kept:
    report = json.dumps({"how": f"{watcher} {number}", "lines": [{"text": "x" * size}]}).encode()
    return Kept(watcher, number, report, f"{watcher}{number}", 1, float(number), None, "", None)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The reports of a daemon whose file holds some rows."""
    monkeypatch.setenv("CIRCUS_STATE_DIR", str(tmp_path / "state"))
    made: list[Crashes] = []

    def reports(rows: list[Kept]) -> Crashes:
        folder = Path(files.state_folder("kept"))
        files.atomic_write(str(folder / FILE), dump(rows, 0.0), private=True)
        nothing: Any = None
        made.append(Crashes(nothing, nothing, nothing, StateFolder("kept"), lambda order: ""))
        return made[-1]

    yield reports
    for crashes in made:
        crashes.close()


def test_who_fails_often_takes_nothing_from_others(kept: Any) -> None:
    """Of each watcher the newest are kept; when all are too many, the oldest of who has most go first."""
    rows = [row("quiet", number, 10) for number in range(1, 4)]
    rows += [row(f"loud{n}", number, 30_000) for n in range(6) for number in range(1, 31)]
    crashes = kept(rows)
    quiet = crashes.of(["quiet"])
    assert [one["id"] for one in quiet] == [3, 2, 1]
    told = {n: crashes.of([f"LOUD{n}"]) for n in range(6)}
    assert all(0 < len(one) <= OF_ONE for one in told.values())
    assert all(one[0]["id"] == 30 for one in told.values())
    assert sum(len(one) for one in told.values()) * 30_000 <= TOTAL_BYTES
    assert crashes.report("quiet", None)["how"] == "quiet 3"
    assert crashes.report("quiet", 2)["how"] == "quiet 2"
    assert crashes.report("quiet", 9) is None


def test_removed_watcher_has_no_reports_on_the_disk_either(kept: Any, tmp_path: Path) -> None:
    """Also where it is removed before the file was read."""
    crashes = kept([row("gone", 1, 10), row("stays", 1, 10)])
    crashes.forget("gone")
    (file,) = (tmp_path / "state").rglob(FILE)
    assert crashes.of(["gone"]) == []
    assert len(crashes.of(["stays"])) == 1
    eventually(lambda: b"gone" not in file.read_bytes(), within=10)
    assert b"stays" in file.read_bytes()


def test_report_has_an_end_whatever_was_written() -> None:
    """Signs that are long in JSON cost lines, the oldest first."""
    lines = [{"number": n, "text": "\0" * 2000} for n in range(80)]
    data = packed({"how": "x", "lines": lines})
    assert len(data) <= REPORT_BYTES
    left = json.loads(data)["lines"]
    assert left
    assert left[-1]["number"] == 79
