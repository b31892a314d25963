"""The files that count, as they are, while their folders are watched: one walk, within bounds, for a thread."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from circusd.core.filepatterns import BELOW, Entry, Patterns, States

from .inotify import Inotify

MOST_FOLDERS: Final = 4096
"""Of one watcher: half of what many machines let one user watch."""
MOST_FILES: Final = 50_000

Place = tuple[Entry, States]
"""Where in one of the entries a folder stands."""
Look = tuple[int, int, int, int]
"""Device, inode, size and time of change (ns) of a file."""


@dataclass(slots=True)
class Tree:
    """What a walk has found."""

    files: dict[str, Look] = field(default_factory=dict)
    """By absolute path."""
    folders: dict[int, dict[str, list[Place]]] = field(default_factory=dict)
    """By the number of its watch, the paths by which a folder was come to, and what counts in each."""
    problem: str = ""
    """Why not all is watched; nothing where all is."""


def walk(patterns: Patterns, inotify: Inotify) -> Tree:
    """All files that count, each folder watched before it is read: nothing is missed that changes meanwhile."""
    tree = Tree()
    todo: dict[str, list[Place]] = {}
    try:
        for entry in patterns.entries:
            _add_base(entry, todo, tree, inotify)
        seen: set[tuple[int, int]] = set()
        while todo:
            path, places = todo.popitem()
            _look_into(path, places, patterns, tree, inotify, todo, seen)
    except OSError as error:
        tree.problem = error.strerror or str(error)
    return tree


def _add_base(entry: Entry, todo: dict[str, list[Place]], tree: Tree, inotify: Inotify) -> None:
    folder, rest = "/", [part for part in entry.base.split("/") if part]
    while rest:
        # Each folder above tells when the next one goes, comes, or gives its place to another.
        above = Entry(folder, (*rest, *entry.parts))
        _keep(folder, [(above, above.begin())], tree, inotify)
        folder = os.path.join(folder, rest.pop(0))
        if not os.path.isdir(folder):
            return
    todo.setdefault(entry.base, []).append((entry, entry.begin()))


def _keep(path: str, places: list[Place], tree: Tree, inotify: Inotify) -> bool:
    """The folder is watched, if it is there still."""
    try:
        watch = inotify.add(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    tree.folders.setdefault(watch, {}).setdefault(path, []).extend(places)
    if len(tree.folders) > MOST_FOLDERS:
        raise OSError(
            0,
            f"there are more than {MOST_FOLDERS} folders in what watch names: name fewer, or add to watch_ignore",
        )
    return True


def _look_into(
    path: str,
    places: list[Place],
    patterns: Patterns,
    tree: Tree,
    inotify: Inotify,
    todo: dict[str, list[Place]],
    seen: set[tuple[int, int]],
) -> None:
    if not _keep(path, places, tree, inotify):
        return
    try:
        with os.scandir(path) as rows:
            for row in rows:
                below = matching(places, patterns, path, row.name)
                if below:
                    named = any(entry.names(states, row.name) for entry, states in places)
                    _take(row, below, named, tree, todo, seen)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return


def _take(
    row: os.DirEntry[str],
    places: list[Place],
    named: bool,
    tree: Tree,
    todo: dict[str, list[Place]],
    seen: set[tuple[int, int]],
) -> None:
    try:
        # A link that is named is followed. Of others nobody knows who has made them, nor where they lead.
        found = row.stat(follow_symlinks=named)
    except OSError:
        return
    whole = any(entry.is_whole(states) for entry, states in places)
    if not stat.S_ISDIR(found.st_mode):
        if whole and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            tree.files[row.path] = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            if len(tree.files) > MOST_FILES:
                raise OSError(
                    0,
                    f"there are more than {MOST_FILES} files in what watch names: name fewer, or add to watch_ignore",
                )
        return
    if row.is_symlink():
        # Links can go round in circles: each folder is come to by a link once at most.
        if (found.st_dev, found.st_ino) in seen:
            return
        seen.add((found.st_dev, found.st_ino))
    deeper = [(entry, BELOW if entry.is_whole(states) else states) for entry, states in places]
    todo.setdefault(row.path, []).extend(deeper)


def matching(places: list[Place], patterns: Patterns, folder: str, name: str) -> list[Place]:
    """Where that name of the folder leads in each entry, as far as it counts or something below it may."""
    found = []
    ignored: bool | None = None
    for entry, states in places:
        below = entry.step(states, name)
        if not below:
            continue
        if not entry.names(states, name):
            if ignored is None:
                ignored = patterns.ignores(os.path.join(folder, name))
            if ignored:
                continue
        found.append((entry, below))
    return found


def changed(before: Mapping[str, Look], after: Mapping[str, Look]) -> list[str]:
    """The files that are new, gone, or others than before, in the order of their names."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
