"""Limits that only the child may have: prlimit of util-linux, compiled and tiny, is executed before the program.

Whatever is executed before a program is waited for here, prlimit or a shell.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from typing import Final

from circusd.kernel import pidfd as pidfds
from circusd.kernel.diagnosis import explain_exec
from circusd.schema.errors import SpawnError

# Never looked for in a child's PATH: it runs with this daemon's rights.
PRLIMIT: Final = ("/usr/bin/prlimit", "/bin/prlimit", "/usr/local/bin/prlimit")

# prlimit needs about a millisecond; on a machine too busy for that nobody is kept waiting any longer.
PATIENCE: Final = 0.05
PAUSE: Final = 0.0002

# Exit codes of prlimit: it failed itself, it could not execute the program, there is no program.
FAILED: Final = 1
NOT_EXECUTED: Final = 126
NOT_FOUND: Final = 127


def find_prlimit(program: str) -> str:
    """The path of prlimit; SpawnError (limits) if this system has none."""
    for path in PRLIMIT:
        if os.access(path, os.X_OK):
            return path
    raise SpawnError(
        "limits",
        errno.ENOENT,
        program,
        f"could not set limits for {program}: prlimit is not installed; it is part of util-linux",
    )


def await_exec(
    pid: int, pidfd: int, helpers: Sequence[str], program: str, cwd: str | None, uid: int | None
) -> None:
    """The process runs the program and none of the helpers any more, or it is too early to tell after `PATIENCE`.

    If one of them ended without having executed it, the process is reaped, the pidfd closed and the SpawnError raised
    that an exec without them would have led to.
    """
    own = {_identity(helper) for helper in helpers}
    if _identity(os.path.join(cwd or "", program)) in own:
        return
    deadline = time.monotonic() + PATIENCE
    while (running := _identity(f"/proc/{pid}/exe")) in own - {None}:
        if time.monotonic() > deadline:
            return
        time.sleep(PAUSE)
    comm = _comm(pid)
    if running is not None or comm not in map(os.path.basename, helpers):
        return
    # It is ending, and it still has a helper's name: the program was never reached.
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    if result is None or result.si_code != os.CLD_EXITED:
        return
    code = result.si_status
    is_prlimit = comm == os.path.basename(PRLIMIT[0])
    if code not in (NOT_EXECUTED, NOT_FOUND) and not (is_prlimit and code == FAILED):
        return
    pidfds.reap(pidfd)
    os.close(pidfd)
    if code == FAILED:
        text = f"could not set the limits for {program}: prlimit was refused"
        raise SpawnError("limits", errno.EPERM, program, text)
    raise explain_exec(errno.ENOENT if code == NOT_FOUND else errno.EACCES, program, cwd, uid)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file that is; None for none, and (0, 0) where one may not look: a set-uid program, so not prlimit."""
    try:
        status = os.stat(path)
    except PermissionError:
        return 0, 0
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _comm(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:
        return ""
