"""Several files are written all or none, and what they said before is kept where only its owner reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from circusd.runtime import undo
from circusd.schema.errors import Conflict


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("CIRCUS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    """One that can't be written takes back those before it."""
    first, lost = tmp_path / "first.ini", tmp_path / "nowhere" / "lost.ini"
    first.write_bytes(b"old")
    old = {str(first): b"old", str(lost): b""}
    with pytest.raises(Conflict, match="can't be written"):
        undo.write_all(old, {str(first): b"new", str(lost): b"new"})
    assert first.read_bytes() == b"old"
    with pytest.raises(Conflict, match="has changed on disk"):
        undo.write_all({str(first): b"something else"}, {str(first): b"new"})
    assert first.read_bytes() == b"old"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"time": 1}', '{"time": 1, "files": [{"path": "x"}]}', "[" * 5000]
)
def test_a_damaged_file_counts_as_none(state: Path, tmp_path: Path, text: str) -> None:
    """Whatever stands in it."""
    target = tmp_path / "a.ini"
    target.write_bytes(b"new")
    undo.keep("x", 1.0, {str(target): b"old"}, {str(target): b"new"})
    assert undo.kept("x") is not None
    (file,) = state.rglob(undo.FILE)
    file.write_text(text)
    assert undo.kept("x") is None
    assert undo.view("x") is None


def test_any_bytes_come_back(state: Path, tmp_path: Path) -> None:
    """Also those that are no text."""
    target = tmp_path / "a.ini"
    before, after = b"\xef\xbb\xbf[circus]\r\n; \xff\xfe\r\n", b"[circus]\n"
    target.write_bytes(after)
    undo.keep("x", 1.0, {str(target): before}, {str(target): after})
    undo.undo("x", dry_run=False)
    assert target.read_bytes() == before
