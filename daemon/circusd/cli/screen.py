"""A terminal that is drawn on as a whole, and given back as it was."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any


class Screen:
    """The other screen of the terminal, without a cursor, keys read one by one; left at the end of the with block."""

    def __init__(self) -> None:
        self._keys = -1
        self._saved: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Screen:
        if sys.stdin.isatty():
            import termios
            import tty

            self._keys = sys.stdin.fileno()
            self._saved = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _leave)
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._saved is not None:
            import termios

            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now."""
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, lines = 0, 0
        # Some terminals do not know how large they are.
        return os.terminal_size((columns or 80, lines or 24))

    def draw(self, lines: Sequence[str]) -> None:
        """The lines stand on the screen, and nothing else; there must not be more of them than it has."""
        body = "".join(f"{line}\x1b[K\r\n" for line in lines[:-1]) + f"{lines[-1] if lines else ''}\x1b[K"
        # In one piece, and without clearing first, so that nothing flickers.
        sys.stdout.write(f"\x1b[H{body}\x1b[J")
        sys.stdout.flush()

    def key(self) -> str:
        """A key that was pressed, or ""; never waits."""
        if self._keys < 0 or not select.select([self._keys], [], [], 0)[0]:
            return ""
        return os.read(self._keys, 32).decode("ascii", "replace")[:1]


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
