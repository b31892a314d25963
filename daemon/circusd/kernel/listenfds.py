"""Sockets handed to a child by systemd's protocol: descriptors from 3 on, and variables that say so, its own pid among them.

The numbers from 3 on are kept free of everything else in this process, so that a socket can stand there while a child is
started. The pid is not known before there is a child: a shell, compiled and tiny, is executed before the program and tells it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from circusd.kernel.sockets import FIRST_OF_MANAGER as FIRST
from circusd.schema.errors import SpawnError

MOST: Final = 16
"""So many sockets can be handed to a child."""

# Never looked for in a child's PATH: they run with this daemon's rights.
SHELL: Final = "/bin/sh"
BASH: Final = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")
SHELLS: Final = (SHELL, *BASH)

LISTEN_PID: Final = "LISTEN_PID"
KEPT_FOLDER: Final = "PWD=$1; shift;"
NO_FOLDER: Final = "unset PWD; shift;"

IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SHELL_S_OWN: Final = frozenset(
    "BASH BASHOPTS BASHPID BASH_ARGV0 BASH_VERSION COMP_WORDBREAKS EPOCHREALTIME EPOCHSECONDS HISTCMD IFS LINENO OPTERR OPTIND "
    "PPID PS1 PS2 PS4 RANDOM SECONDS SHELLOPTS SRANDOM".split()
)
"""The state of whichever shell has exported them: no other one keeps their values, and some end over a wrong one."""

# As systemd has it: what is no name that can be told.
NAMELESS: Final = "unknown"
LONGEST_NAME: Final = 255


def reserve() -> None:
    """From now on nothing of this process is given the descriptors that a child's sockets have; to be called early."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        for fd in range(FIRST, FIRST + MOST):
            if not _is_open(fd):
                os.dup2(null, fd, inheritable=False)
    finally:
        if null >= FIRST + MOST:
            os.close(null)


def above(fd: int) -> int:
    """The same file with a number that no child's socket needs; the one given is closed."""
    if fd >= FIRST + MOST:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST + MOST)
    os.close(fd)
    return moved


@contextmanager
def placed(places: Mapping[int, int], program: str) -> Iterator[tuple[int, ...]]:
    """The descriptors are there a second time, at the numbers that they stand under, until the context is left; raises SpawnError."""
    targets = tuple(places)
    if any(target >= FIRST + MOST for target in targets):
        text = f"could not hand {len(places)} sockets to {program}: listen_fds is for {MOST} at most"
        raise SpawnError("descriptors", errno.EMFILE, program, text)
    # What keeps the places, or what this process was started with and does not use.
    before: list[int] = []
    try:
        for target, fd in places.items():
            before.append(fcntl.fcntl(target, fcntl.F_DUPFD_CLOEXEC, FIRST + MOST))
            os.dup2(fd, target, inheritable=False)
        yield targets
    finally:
        for target, kept in zip(targets, before, strict=False):
            os.dup2(kept, target, inheritable=False)
            os.close(kept)


def variables(names: Sequence[str]) -> dict[str, str]:
    """What tells a child of its sockets, but for its pid."""
    told = (name if _is_name(name) else NAMELESS for name in names)
    return {"LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(told)}


def by_shell(
    env: Mapping[str, str], program: str, of_pid: Sequence[str] = (LISTEN_PID,)
) -> tuple[list[str], dict[str, str]]:
    """The words that come before the program's, and the environment to start them with.

    The program has that environment and its own pid in the variables `of_pid`, less what a shell exports of its own state.
    Raises SpawnError where no shell passes it on.
    """
    odd = sorted(name for name in env if not IDENTIFIER.fullmatch(name))
    before, pwd = (KEPT_FOLDER, env["PWD"]) if "PWD" in env else (NO_FOLDER, "")
    told = " ".join(f"{name}=$$; export {name};" for name in of_pid)
    script = f'{before} {told} exec "$@"'
    passed = {name: value for name, value in env.items() if name not in SHELL_S_OWN}
    if not odd:
        return [SHELL, "-c", script, SHELL, pwd], passed
    for bash in BASH:
        if os.access(bash, os.X_OK):
            # Functions that it would import would be exported in another form.
            return [bash, "-p", "-c", script, bash, pwd], passed
    text = (
        f"could not tell {program} its own pid in {of_pid[0]}: {SHELL} does not pass on the variable {odd[0]}; take it out of the "
        f"environment, set {'listen_fds to false' if of_pid[0] == LISTEN_PID else 'watchdog to 0'}, or install bash"
    )
    raise SpawnError("environment", errno.EINVAL, program, text)


def _is_name(name: str) -> bool:
    return (
        bool(name) and len(name) <= LONGEST_NAME and name.isascii() and name.isprintable() and ":" not in name
    )


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True
