"""The way back from a save: what the files said before is kept beside the daemon's state until they are changed again."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from circusd.config.editing import Text, text_of
from circusd.kernel import files
from circusd.schema.errors import CircusError, Conflict, NotFound
from circusd.schema.secrets import MASK

FILE: Final = "save-undo.json"
LIMIT_BYTES: Final = 32 << 20
BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Kept:
    """What one save has changed."""

    time: float
    files: Mapping[str, tuple[bytes, str]]
    """By path: the content before, and the hash of what the save wrote."""


def keep(name: str, time: float, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
    """What these files said can be had back. Touches the disk: to be called in a thread. Raises OSError, ConfigError."""
    rows = [
        {"path": path, "before": base64.b64encode(old[path]).decode("ascii"), "wrote": _hash(data)}
        for path, data in new.items()
    ]
    data = json.dumps({"time": round(time, 3), "files": rows}).encode("ascii")
    # In a folder that is closed to others, and of mode 0600: files of the configuration hold secrets.
    files.atomic_write(os.path.join(files.state_folder(name), FILE), data, private=True)


def kept(name: str) -> Kept | None:
    """The last save that there is a way back from, if any. Touches the disk."""
    path = _path(name)
    try:
        data = files.private_read(path, LIMIT_BYTES) if path else None
        told = json.loads(data) if data else None
        if not told:
            return None
        rows = {
            str(row["path"]): (base64.b64decode(row["before"], validate=True), str(row["wrote"]))
            for row in told["files"]
        }
        return Kept(float(told["time"]), rows)
    except (OSError, ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        # A file that is damaged or doubtful counts as none.
        return None


def view(name: str) -> dict[str, Any] | None:
    """The last save as ``drift`` shows it: when, which files, and why there is no way back if there is none."""
    found = kept(name)
    if found is None:
        return None
    changed = [path for path, (_, wrote) in found.files.items() if _hash(_read(path)) != wrote]
    problem = f"changed since: {', '.join(changed)}" if changed else ""
    return {"time": found.time, "files": sorted(found.files), "problem": problem}


def undo(name: str, *, dry_run: bool, digest: str = "") -> dict[str, Any]:
    """The files say what they said before the last save, or what that would change is told. Touches the disk.

    Raises NotFound where there is no save to undo; Conflict when a file has changed since, or the difference is another
    than that of ``digest``, and then nothing was written.
    """
    found = kept(name)
    if found is None:
        raise NotFound("there is no save to undo")
    now = {path: _read(path) for path in found.files}
    for path, (_, wrote) in found.files.items():
        if _hash(now[path]) != wrote:
            raise Conflict(
                f"{path} has changed since the save",
                hint="what stands there now would be lost: edit it by hand",
            )
    before = {path: data for path, (data, _) in found.files.items()}
    reply = {
        "changes": [f"{path} as it was before the save" for path in sorted(before)],
        "files": sorted(before),
        "diff": "".join(difference(path, now[path], before[path]) for path in before),
        "left": [],
        "digest": _hash(b"".join(_hash(now[path] + before[path]).encode() for path in sorted(before)))[:32],
    }
    if dry_run:
        return {**reply, "dry_run": True}
    if digest and digest != reply["digest"]:
        raise Conflict("the changes are no longer those that were shown", hint="look at them again")
    write_all(now, before)
    files.private_remove(_path(name))
    return reply


def write_all(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> None:
    """All of the files hold what is new; raises Conflict, and then all of them hold what they held."""
    done: list[str] = []
    try:
        for path, data in new.items():
            if _read(path) != old[path]:
                raise Conflict(f"{path} has changed on disk in this moment", hint="try again")
            files.atomic_write(path, data)
            done.append(path)
    except (OSError, CircusError) as error:
        for path in done:
            files.atomic_write(path, old[path])
        if isinstance(error, OSError):
            raise Conflict(f"{error.filename or path} can't be written: {error.strerror}") from None
        raise


def difference(path: str, old: bytes, new: bytes) -> str:
    """The unified difference of two contents of a file, with secrets hidden."""
    before, after = (text_of(path, data.removeprefix(BOM).decode("utf-8", "replace")) for data in (old, new))
    lines = difflib.unified_diff(_masked(before), _masked(after), path, path, lineterm="")
    return "".join(line.partition("\0")[0] + "\n" for line in lines)


def _masked(text: Text) -> list[str]:
    """The lines with secrets hidden; a hash behind a NUL byte keeps those apart that differ."""
    shown = []
    for line, seen in zip(text.lines, text.secrets(), strict=True):
        known = hashlib.sha256(line.encode()).hexdigest()
        shown.append(line if seen is None else f"{seen}{MASK}\0{known}")
    return shown


def _path(name: str) -> str:
    folder = files.state_path(name)
    return os.path.join(folder, FILE) if folder else ""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: str) -> bytes:
    """What the file holds; nothing where it can't be read, which is never what a save wrote."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
