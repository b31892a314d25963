"""Why a program could not be executed, in a sentence that says what to do about it."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from circusd.schema.errors import SpawnError

# As much of a first line as the kernel looks at.
FIRST_LINE_BYTES: Final = 256


def in_words(number: int | None) -> str:
    """The system's words for an errno, as part of a sentence."""
    words = os.strerror(number or errno.EIO)
    return words[:1].lower() + words[1:]


def foresee(program: str, cwd: str | None) -> SpawnError | None:
    """What an exec would fail with, as far as it can be seen before; None if nothing speaks against it."""
    path = os.path.join(cwd or "", program)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        # Another user may be allowed to look there: the exec itself will tell.
        if error.errno == errno.EACCES:
            return None
        return explain_exec(error.errno or errno.EIO, program, cwd, None)
    if not stat.S_ISREG(mode) or not mode & 0o111:
        return explain_exec(errno.EACCES, program, cwd, None)
    interpreter = _interpreter(path)
    if interpreter and not os.path.exists(os.path.join(cwd or "", interpreter)):
        return explain_exec(errno.ENOENT, program, cwd, None)
    return None


def explain_exec(number: int, program: str, cwd: str | None, uid: int | None) -> SpawnError:
    """Stage, errno and sentence of an exec that has failed with that errno, tried as that user (None: as ourselves)."""
    path = os.path.join(cwd or "", program)
    if number == errno.ENOENT:
        return _not_found(number, program, path)
    if number in (errno.EACCES, errno.EPERM):
        return _not_permitted(number, program, path, uid)
    if number == errno.EAGAIN:
        text = (
            f"could not execute {program}: its user already runs as many processes as the limit nproc allows"
        )
        return SpawnError("limits", number, program, text)
    why = {
        errno.ENOEXEC: "it is no program for this machine; a script needs a first line such as #!/bin/sh",
        errno.ETXTBSY: "the file is open for writing; try again when it is complete",
        errno.E2BIG: "its arguments and environment are longer than the system allows",
        errno.ENOMEM: "memory is short",
        errno.ELOOP: "the symbolic links of its path go in a circle, or its interpreters do",
        errno.ENOTDIR: "a part of its path is not a folder",
    }.get(number, in_words(number))
    return SpawnError("exec", number, program, f"could not execute {program}: {why}")


def _not_found(number: int, program: str, path: str) -> SpawnError:
    if not os.path.exists(path):
        if os.path.islink(path):
            why = f"it is a symbolic link to {os.readlink(path)}, which does not exist"
        elif not os.path.isdir(folder := os.path.dirname(path) or "."):
            why = f"there is no folder {folder}"
        else:
            why = "there is no such file"
        return SpawnError("exec", number, program, f"could not execute {program}: {why}")
    interpreter = _interpreter(path)
    if interpreter is None:
        why = "the loader that it was linked for is missing (a program for another system or C library)"
    elif interpreter.endswith("\r"):
        why = "its first line ends in a carriage return; save it with Unix line ends"
    else:
        why = f"its interpreter {interpreter or '(none named)'} does not exist"
    return SpawnError("interpreter", number, program, f"could not execute {program}: {why}")


def _not_permitted(number: int, program: str, path: str, uid: int | None) -> SpawnError:
    who = "this daemon's user" if uid is None else f"user {uid}"
    try:
        mode = os.stat(path).st_mode
    except OSError:
        text = f"may not execute {program}: {who} may not enter its folder"
        return SpawnError("permission", number, program, text)
    interpreter = _interpreter(path)
    if stat.S_ISDIR(mode):
        why = "it is a folder"
    elif not stat.S_ISREG(mode):
        why = "it is not a file"
    elif not mode & 0o111:
        why = "it is not marked as executable (chmod +x would do it)"
    elif interpreter and not os.access(interpreter, os.X_OK):
        text = f"could not execute {program}: its interpreter {interpreter} may not be executed"
        return SpawnError("interpreter", number, program, text)
    elif os.statvfs(path).f_flag & os.ST_NOEXEC:
        why = "its file system is mounted noexec"
    else:
        why = f"{who} may not execute it, or not enter one of the folders above it"
    return SpawnError("permission", number, program, f"may not execute {program}: {why}")


def _interpreter(path: str) -> str | None:
    """The interpreter that a script's first line names; None if the file is no script, or can't be read."""
    try:
        with open(path, "rb") as file:
            first = file.read(FIRST_LINE_BYTES)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    line = first[2:].split(b"\n", 1)[0].strip(b" \t")
    return os.fsdecode(line.split(b" ", 1)[0].split(b"\t", 1)[0])
