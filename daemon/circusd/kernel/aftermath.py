"""What the system tells after a process has died: its core dump, kills for want of memory, and whether its files are others."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

PATTERN: Final = "/proc/sys/kernel/core_pattern"
USES_PID: Final = "/proc/sys/kernel/core_uses_pid"
MOST_FILES: Final = 8
"""Files of one start that are looked at."""
LONGEST_PATH: Final = 4096
_READ_BYTES: Final = 64 << 10
_NAME_BYTES: Final = 15
"""The kernel keeps no more of a program's name."""

_HANDLERS: Final = {
    "systemd-coredump": "coredumpctl info {pid}",
    "apport": "ls /var/crash",
    "abrt-hook-ccpp": "abrt list",
}
"""Programs that take core dumps by a pipe, and how to ask for one that they have taken."""


class Mark(NamedTuple):
    """What tells one state of a file from another."""

    path: str
    what: str
    """``executable``, ``argument`` or ``env_file``."""
    modified: float
    """Epoch seconds."""
    size: int
    inode: int


class Kills(NamedTuple):
    """How many processes the kernel has ended for want of memory; None where that can't be read."""

    group: int | None
    """In circusd's own control group."""
    machine: int | None


class Died(NamedTuple):
    """What has to be known of a process to find its core dump."""

    pid: int
    program: str
    """Path of its program file."""
    cwd: str
    uid: int
    gid: int
    signum: int
    at: float
    """Epoch seconds."""


# -- files -----------------------------------------------------------------------------------------------------------


def marks(files: Iterable[tuple[str, str]]) -> tuple[Mark, ...]:
    """The marks of those pairs of path and kind that are regular files; for a thread, as a file system may not answer."""
    found: list[Mark] = []
    for path, what in files:
        if len(found) >= MOST_FILES:
            break
        if len(path) > LONGEST_PATH:
            continue
        try:
            known = os.stat(path)
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(known.st_mode):
            found.append(Mark(path, what, known.st_mtime, known.st_size, known.st_ino))
    return tuple(found)


def changed(before: Iterable[Mark]) -> list[dict[str, Any]]:
    """Which of these files are others now, each with what it was and is; ``now`` is None for one that is gone."""
    found = []
    for mark in before:
        now = next(iter(marks([(mark.path, mark.what)])), None)
        if now != mark:
            found.append(
                {
                    "file": mark.path,
                    "what": mark.what,
                    "was": _shown(mark),
                    "now": None if now is None else _shown(now),
                }
            )
    return found


def _shown(mark: Mark) -> dict[str, Any]:
    return {"modified": round(mark.modified, 3), "size": mark.size, "inode": mark.inode}


# -- the core dump ---------------------------------------------------------------------------------------------------


def core_dump(died: Died, pattern: str | None = None, uses_pid: bool | None = None) -> dict[str, Any]:
    """Where a core that was dumped is: ``{path, size, handler, hint}``, of which what is not known is empty or None.

    By default it is the kernel that says where they go; what it says is checked where it names a file.
    """
    told = _text(PATTERN).strip("\n") if pattern is None else pattern
    found: dict[str, Any] = {"path": "", "size": None, "handler": "", "hint": ""}
    if told.startswith("|"):
        words = told[1:].split()
        name = os.path.basename(words[0]) if words else ""
        return {**found, "handler": name, "hint": _HANDLERS.get(name, "").format(pid=died.pid)}
    if not told:
        return found
    if uses_pid is None:
        uses_pid = _text(USES_PID).strip() == "1"
    # The kernel has written the time of its own clock, in whole seconds, at some moment before the end was seen.
    seconds = (0, 1, 2) if "%t" in told else (0,)
    paths = [os.path.join(died.cwd, _filled(told, died, int(died.at) - second)) for second in seconds]
    if uses_pid and "%p" not in told:
        paths = [f"{path}.{died.pid}" for path in paths]
    there = next(((path, size) for path in paths if (size := _size(path)) is not None), (paths[0], None))
    return {**found, "path": there[0], "size": there[1]}


def _size(path: str) -> int | None:
    try:
        known = os.lstat(path)
    except (OSError, ValueError):
        return None
    return known.st_size if stat.S_ISREG(known.st_mode) else None


def _filled(pattern: str, died: Died, second: int) -> str:
    """The path that the kernel makes of its pattern; a star for what can't be known here."""
    name = os.fsencode(os.path.basename(died.program))[:_NAME_BYTES]
    known = {
        "%": "%",
        "p": str(died.pid),
        "P": str(died.pid),
        "i": str(died.pid),
        "I": str(died.pid),
        "u": str(died.uid),
        "g": str(died.gid),
        "s": str(died.signum),
        "t": str(second),
        "h": os.uname().nodename,
        "e": os.fsdecode(name),
        "f": os.path.basename(died.program),
        "E": died.program.replace("/", "!"),
    }
    parts, at = [], 0
    while at < len(pattern):
        letter = pattern[at]
        if letter == "%" and at + 1 < len(pattern):
            parts.append(known.get(pattern[at + 1], "*"))
            at += 2
        else:
            parts.append("" if letter == "%" else letter)
            at += 1
    return "".join(parts)


# -- memory ----------------------------------------------------------------------------------------------------------


def kills() -> Kills:
    """How often the out-of-memory killer has struck until now."""
    machine = _counter(_text("/proc/vmstat"), "oom_kill")
    for row in _text("/proc/self/cgroup").split("\n"):
        number, _, rest = row.partition(":")
        controllers, _, path = rest.partition(":")
        if ".." in path.split("/"):
            continue
        if number == "0" and not controllers:
            group = _counter(_text(f"/sys/fs/cgroup{path}/memory.events"), "oom_kill")
        elif "memory" in controllers.split(","):
            group = _counter(_text(f"/sys/fs/cgroup/memory{path}/memory.oom_control"), "oom_kill")
        else:
            continue
        if group is not None:
            return Kills(group, machine)
    return Kills(None, machine)


def _counter(text: str, name: str) -> int | None:
    for row in text.split("\n"):
        key, _, value = row.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return None


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_READ_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
