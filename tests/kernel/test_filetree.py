"""Files that count, found and watched in one walk of real folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.core.filepatterns import patterns
from circusd.kernel import filetree
from circusd.kernel.filetree import Tree, changed, walk
from circusd.kernel.inotify import CLOSE_WRITE, IS_FOLDER, Change, Inotify


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    made = Inotify()
    yield made
    made.close()


def files(tree: Tree, folder: Path) -> list[str]:
    """The paths that were found, relative to the folder."""
    assert not tree.problem
    return sorted(os.path.relpath(path, folder) for path in tree.files)


def test_walk_finds_what_counts_and_watches_no_other_folder(tmp_path: Path, inotify: Inotify) -> None:
    """Folders that nothing can count in are neither read nor watched; what is named is found though a pattern ignores it."""
    for name in ("app/a.py", "app/x/b.py", "app/x/c.txt", "app/.git/d.py", "docs/e.py", ".env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    tree = walk(patterns(("app/**/*.py", ".env"), (".*",), str(tmp_path)), inotify)
    assert files(tree, tmp_path) == [".env", "app/a.py", "app/x/b.py"]
    watched = {os.path.relpath(path, tmp_path) for paths in tree.folders.values() for path in paths}
    assert {path for path in watched if not path.startswith("..")} == {".", "app", "app/x"}
    inotify.read()
    (tmp_path / "app" / "x" / "b.py").write_text("1")
    (tmp_path / "docs" / "e.py").write_text("1")
    (tmp_path / "app" / "y").mkdir()
    told = [change for change in inotify.read() if change.mask & (CLOSE_WRITE | IS_FOLDER)]
    numbers = {path: number for number, paths in tree.folders.items() for path in paths}
    assert told == [
        Change(numbers[f"{tmp_path}/app/x"], CLOSE_WRITE, "b.py"),
        Change(numbers[f"{tmp_path}/app"], 0x100 | IS_FOLDER, "y"),
    ]


def test_links_are_followed_where_they_are_named(tmp_path: Path, inotify: Inotify) -> None:
    """What a program makes may lead anywhere, and in circles; such a link counts as what it is. What is no file is passed over."""
    (tmp_path / "app" / "x").mkdir(parents=True)
    (tmp_path / "app" / "a.py").write_text("")
    (tmp_path / "app" / "x" / "self").symlink_to("self")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.py").write_text("")
    (tmp_path / "app" / "link").symlink_to("../other")
    (tmp_path / "app" / "x" / "round").symlink_to("..")
    os.mkfifo(tmp_path / "app" / "pipe")
    found = files(walk(patterns(("app",), (), str(tmp_path)), inotify), tmp_path)
    assert found == ["app/a.py", "app/link", "app/x/round", "app/x/self"]
    found = files(walk(patterns(("app/link",), (), str(tmp_path)), inotify), tmp_path)
    assert found == ["app/link/b.py"]
    found = files(walk(patterns(("app/**/round/**/*.py",), (), str(tmp_path)), inotify), tmp_path)
    assert found == ["app/x/round/a.py"]


def test_bounds_are_said_in_words(tmp_path: Path, inotify: Inotify, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many folders, too many files: nothing is half watched in silence."""
    for n in range(6):
        (tmp_path / "app" / str(n)).mkdir(parents=True)
        (tmp_path / "app" / f"{n}.py").write_text("")
    wanted = patterns(("app",), (), str(tmp_path))
    monkeypatch.setattr(filetree, "MOST_FILES", 5)
    assert "more than 5 files" in walk(wanted, inotify).problem
    monkeypatch.setattr(filetree, "MOST_FILES", 50)
    monkeypatch.setattr(filetree, "MOST_FOLDERS", 4)
    assert "more than 4 folders" in walk(wanted, inotify).problem


def test_changed_names_what_is_new_gone_or_another(tmp_path: Path, inotify: Inotify) -> None:
    """By what the file is, not by what happened to it."""
    for name in "abc":
        (tmp_path / name).write_text("1")
    wanted = patterns(("?",), (), str(tmp_path))
    before = walk(wanted, inotify).files
    (tmp_path / "a").write_text("22")
    (tmp_path / "b").unlink()
    (tmp_path / "c").touch()
    os.utime(tmp_path / "c", ns=(0, before[f"{tmp_path}/c"][3]))
    (tmp_path / "d").write_text("")
    assert changed(before, walk(wanted, inotify).files) == [f"{tmp_path}/{name}" for name in "abd"]
