"""A terminal whose screen is read as a person sees it: what a program draws is carried out, and the letters are looked at."""

from __future__ import annotations

import fcntl
import re
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte

from tests.terminal import Terminal


class Window(Terminal):
    """A process in a terminal of that size."""

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        *,
        columns: int = 80,
        lines: int = 24,
        cwd: Path | None = None,
    ) -> None:
        super().__init__(words, environ, columns=columns, lines=lines, cwd=cwd)
        self.screen = pyte.Screen(columns, lines)
        self.drawn = b""
        """All that the program has written."""
        self._stream = pyte.ByteStream(self.screen)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, line by line, without blanks at the ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """The same in one."""
        return "\n".join(self.lines)

    def see(self, pattern: str, *, within: float = 30.0) -> re.Match[str]:
        """The pattern is on the screen; ``^`` and ``$`` are the ends of a line."""
        deadline = time.monotonic() + within
        while (found := re.search(pattern, self.text, re.MULTILINE)) is None:
            assert self._take(max(deadline - time.monotonic(), 0)), f"{pattern!r} is not seen:\n{self.text}"
        return found

    def see_no(self, pattern: str, *, within: float = 30.0) -> None:
        """The pattern is on the screen no more."""
        deadline = time.monotonic() + within
        while re.search(pattern, self.text, re.MULTILINE) is not None:
            assert self._take(max(deadline - time.monotonic(), 0)), f"{pattern!r} is still seen:\n{self.text}"

    def until_over(self, *, within: float = 30.0) -> int:
        """The program has ended by itself; its exit code."""
        deadline = time.monotonic() + within
        while self._take(max(deadline - time.monotonic(), 0)):
            pass
        return self.process.wait(10)

    def resize(self, columns: int, lines: int) -> None:
        """The window has another size, and the program is told so by the terminal."""
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def forget(self) -> None:
        """What is on the screen does not count any more; only what is drawn from now on."""
        self.screen.reset()

    @property
    def modes(self) -> list[Any]:
        """How the terminal deals with what is typed."""
        return termios.tcgetattr(self._outer)

    def _take(self, timeout: float) -> bool:
        """What comes within the time is drawn; False when nothing came, or nothing will."""
        readable, _, _ = select.select([self._outer], [], [], timeout)
        data = self._read() if readable else b""
        self.drawn += data
        self._stream.feed(data)
        return bool(data)
