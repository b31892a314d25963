"""A program in a terminal of its own: what it shows is read, keys are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Terminal:
    """A process with a terminal as its input and output, ended by leaving."""

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        *,
        columns: int = 200,
        lines: int = 50,
        cwd: Path | None = None,
    ) -> None:
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._outer = outer
        self.shown = ""
        self.process = subprocess.Popen(
            list(words),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=dict(environ),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(inner)

    def press(self, keys: str) -> None:
        """The keys are typed."""
        os.write(self._outer, keys.encode())

    def until(self, text: str, *, within: float = 30.0) -> str:
        """What was shown up to and with that text, since the last call; the rest is kept for the next one."""
        deadline = time.monotonic() + within
        while text not in self.shown:
            left = deadline - time.monotonic()
            readable, _, _ = select.select([self._outer], [], [], max(left, 0))
            data = self._read() if readable else b""
            assert data, f"{text!r} was not shown, but: {self.shown!r}"
            self.shown += data.decode("utf-8", "backslashreplace")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def insist(self, keys: str, text: str, *, within: float = 30.0) -> str:
        """The keys are typed, and again, until the text is shown.

        Python may miss a Ctrl-C that comes in the moment between the prompt and its wait for a key, until the next key.
        """
        deadline = time.monotonic() + within
        while text not in self.shown and time.monotonic() < deadline:
            self.press(keys)
            readable, _, _ = select.select([self._outer], [], [], 0.5)
            while readable and (data := self._read()):
                self.shown += data.decode("utf-8", "backslashreplace")
                readable, _, _ = select.select([self._outer], [], [], 0.1)
        return self.until(text, within=0.1)

    def end(self, *, within: float = 30.0) -> tuple[str, int]:
        """What was shown until the process ended by itself, and its exit code."""
        deadline = time.monotonic() + within
        while True:
            readable, _, _ = select.select([self._outer], [], [], max(deadline - time.monotonic(), 0))
            assert readable, f"it goes on; shown: {self.shown!r}"
            data = self._read()
            if not data:
                break
            self.shown += data.decode("utf-8", "backslashreplace")
        return self.shown, self.process.wait(10)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._outer)

    def _read(self) -> bytes:
        try:
            return os.read(self._outer, 1 << 16)
        except OSError:
            return b""  # the other end of a terminal that nobody has any more


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
