"""circusd for a program that uses it as a library: it ends with that program, and tells it why it could not start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from typing import Any

from . import circusd

KEPT = 8 << 10
"""Characters of standard error that are told."""


class _Copy:
    """Standard error, of which the last is kept."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.kept = ""

    def write(self, text: str) -> int:
        """Written, and kept."""
        self.kept = (self.kept + text)[-KEPT:]
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main(argv: list[str] | None = None) -> int:
    """As circusd's, with the descriptor of a connection to the program as the first word."""
    words = sys.argv[1:] if argv is None else argv
    link = socket.socket(fileno=int(words[0]))
    os.set_inheritable(link.fileno(), False)
    # A thread of the system: whatever the loop does, the program's end is noticed.
    threading.Thread(target=_end_with, args=(link,), name="program", daemon=True).start()
    errors = sys.stderr
    copy = _Copy(errors)
    sys.stderr = copy
    try:
        code = circusd.main(words[1:])
    finally:
        sys.stderr = errors
    if code:
        with contextlib.suppress(OSError):
            link.sendall(copy.kept.encode("utf-8", "backslashreplace"))
    return code


def _end_with(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while link.recv(1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
