"""Leaving the terminal that started the daemon."""

from __future__ import annotations

import os
import stat
import sys


def daemonize() -> None:
    """This process runs in the background, in a session of its own, with the null device as standard input and output.

    To be called while there is one thread and before anything is opened; the parent's exit code is 0. Standard error
    is kept only if it is a file: whoever waits for the end of a pipe would wait as long as the daemon runs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        # Not the leader of the session any more: no terminal can become ours.
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1) if stat.S_ISREG(os.fstat(2).st_mode) else (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
