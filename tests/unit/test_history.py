"""The history of the prompt: what is kept, where, and how much of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from circusd.cli.history import LINES, History, history_file, is_kept


@pytest.mark.parametrize(
    "line",
    [
        "set web env A=1",
        "set web numprocesses 2 ENV A=1",
        "set web env.DB_HOST x",
        "add x curl https://me:word@host/",
        "add --env A=b x sleep 1",
        "add x serve --token=1",
        "add x sh -c 'PGPASSWORD=x exec psql'",
        "set web api_key 1",
        " status",
        "",
        "two\nlines",
        "bad\x1b[31m",
        "x" * 5000,
    ],
)
def test_what_could_be_a_secret_is_not_kept(line: str) -> None:
    """Nor what a person began with a space, what is too long, and what is no line."""
    assert not is_kept(line)


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "set web numprocesses 2",
        "restart passenger",
        "tail -f environment",
        "list authors",
        "get wéb cmd",
    ],
)
def test_ordinary_lines_are_kept(line: str) -> None:
    """Words that only look alike are no reason."""
    assert is_kept(line)


def test_lines_come_back_and_only_their_person_can_read_them(tmp_path: Path) -> None:
    """In a folder and a file that are made closed, whatever the umask; a file that was open is closed."""
    path = tmp_path / "state" / "circus" / "history"
    before = os.umask(0)
    try:
        assert History(str(path)).lines() == []
        assert History(str(path)).add("status web")
        assert History(str(path)).add("liste é")
    finally:
        os.umask(before)
    assert History(str(path)).lines() == ["status web", "liste é"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    History(str(path)).lines()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_has_an_end(tmp_path: Path) -> None:
    """The newest lines stay."""
    path = tmp_path / "history"
    path.write_text("".join(f"line {number}\n" for number in range(3 * LINES)))
    history = History(str(path))
    assert history.lines()[-1] == f"line {3 * LINES - 1}"
    history.trim()
    assert path.read_text().splitlines() == [f"line {number}" for number in range(2 * LINES, 3 * LINES)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["history"]
    history.add("newest")
    history.trim()
    assert len(path.read_text().splitlines()) == LINES + 1


def test_what_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    """A link, a pipe, a folder, one that can't be made: the prompt works without."""
    target = tmp_path / "target"
    target.write_text("theirs\n")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "target/below"):
        history = History(str(tmp_path / name))
        assert history.lines() == []
        assert not history.add("status")
        history.trim()
    assert target.read_text() == "theirs\n"


def test_lines_of_another_hand_are_passed_over(tmp_path: Path) -> None:
    """What is in the file is shown in a terminal: nothing in it commands that."""
    (tmp_path / "history").write_bytes(b"status\n\x1b]0;x\x07\n\xff\n\nlist\n")
    assert History(str(tmp_path / "history")).lines() == ["status", "\ufffd", "list"]


def test_it_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As XDG has it; a relative path counts as none."""
    monkeypatch.setenv("HOME", "/home-of-me")
    assert history_file({"XDG_STATE_HOME": "/s"}) == "/s/circus/circusctl.history"
    for environ in ({}, {"XDG_STATE_HOME": "relative"}):
        assert history_file(environ) == "/home-of-me/.local/state/circus/circusctl.history"
