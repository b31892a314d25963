"""Going into the background, while the caller waits until the daemon runs or has failed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import time
from typing import Final, NoReturn

from . import listenfds, signals

START_SECONDS: Final = 60.0
"""So long the caller waits for a daemon that has neither opened everything nor failed."""

MESSAGE_BYTES: Final = 1 << 16
_RUNS, _FAILED = b"+", b"-"


class Report:
    """The way back to the caller: one message, of what became of the start."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def runs(self, text: str = "") -> None:
        """The caller's command ends with 0; the text is shown to whoever gave it."""
        self._send(_RUNS, text)

    def failed(self, text: str) -> None:
        """The caller's command ends with 1 and this message, unless it was told that the daemon runs."""
        self._send(_FAILED, text)

    def _send(self, kind: bytes, text: str) -> None:
        if self._fd < 0:
            return
        data = (kind + text.encode("utf-8", "backslashreplace"))[:MESSAGE_BYTES]
        # A caller that was ended does not wait any more.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]
        os.close(self._fd)
        self._fd = -1


def daemonize(patience: float = START_SECONDS) -> Report:
    """This process goes on in the background, in a session of its own, with nothing that the caller has open.

    To be called while there is one thread and before anything is opened. The caller's process does not return from it:
    it ends when the report is given. Standard input and output are the null device; standard error is kept only if it is
    a file, as whoever waits for the end of a pipe would wait as long as the daemon runs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    first = os.fork()
    if first:
        os.close(writer)
        _wait(reader, first, patience)
    os.setsid()
    if os.fork():
        # Not the leader of the session any more: no terminal can become the daemon's.
        os._exit(0)
    os.write(writer, b"%d\n" % os.getpid())
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1) if stat.S_ISREG(os.fstat(2).st_mode) else (0, 1, 2):
        os.dup2(null, fd)
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd != writer:
            # One of them is that of the folder itself, closed already.
            with contextlib.suppress(OSError):
                os.close(fd)
    return Report(listenfds.above(writer))


def _wait(reader: int, first: int, patience: float) -> NoReturn:
    """The caller's process: it ends when the daemon runs, has failed, or takes too long."""
    signals.as_usual()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    deadline = time.monotonic() + patience
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    told, data, ended = "", b"", False
    try:
        os.waitpid(first, 0)
        while not ended and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            data += (piece := os.read(reader, MESSAGE_BYTES))
            ended = not piece
    except KeyboardInterrupt:
        told = "interrupted"
        # Whom to end is the first that the background says.
        if not data and poll.poll(1000):
            data = os.read(reader, MESSAGE_BYTES)
    number, _, message = data.partition(b"\n")
    pid = int(number) if number.isdigit() else 0
    if not ended:
        told = told or f"after {patience:g} s it has not opened its endpoints, sockets and files"
        # Not left half started: whoever reads that it has failed will start it again.
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        told = f"circusd: {told}; the process in the background{f' ({pid})' if pid else ''} was told to end"
    elif message[:1] in (_RUNS, _FAILED):
        told = message[1:].decode("utf-8", "replace")
    else:
        told = f"circusd: the process in the background ({pid}) has ended before it ran"
    if told:
        sys.stderr.write(told.rstrip("\n") + "\n")
        sys.stderr.flush()
    os._exit(0 if ended and message[:1] == _RUNS else 1)
