"""A terminal that is drawn on as a whole, and given back as it was, however the program ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

from circusd.cli.keyboard import ESCAPE_SECONDS, Keyboard

# The other screen, no cursor, no new line at the right edge, and pastes marked as such.
_TAKE = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[0m\x1b[2J"
_GIVE_BACK = "\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_NOTED = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
_READ_BYTES = 4096


class Screen:
    """The other screen of the terminal, without a cursor, keys read one by one; left at the end of the with block.

    Ctrl-Z gives the terminal back too, until the program goes on. Signals that end a program raise SystemExit.
    """

    def __init__(self) -> None:
        self.columns = 80
        self.lines = 24
        self._out = sys.stdout.fileno()
        self._keys = -1
        self._opened = -1
        self._saved: list[Any] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._keyboard = Keyboard()
        self._drawn: list[str] = []
        self._stop = False
        self.is_stale = True
        """Whether what was drawn is not what is to be seen: the size is another one, or somebody has written over it."""
        self._again = False
        self._continued = False
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_waker = -1

    def __enter__(self) -> Screen:
        self._keys = self._find_keys()
        for number in (*_ENDS, *_NOTED):
            handler = _leave if number in _ENDS else self._note
            self._handlers[number] = signal.signal(number, handler)
        self._old_waker = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever presses Ctrl-C twice gets his terminal back all the same.
        self._handlers[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in _ENDS:
            signal.signal(number, signal.SIG_IGN)
        self._give_back()
        signal.set_wakeup_fd(self._old_waker)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for fd in (self._woken, self._waker, self._opened):
            if fd >= 0:
                os.close(fd)

    def draw(self, lines: Sequence[str]) -> None:
        """The lines stand on the screen, and nothing else; each is as wide as the screen at most.

        Only those that differ from what is there are written, in one piece, so that nothing flickers.
        """
        changed = [
            f"\x1b[{number + 1};1H\x1b[0m\x1b[2K{line}\x1b[0m"
            for number, line in enumerate(lines)
            if number >= len(self._drawn) or self._drawn[number] != line
        ]
        if len(lines) < len(self._drawn):
            changed.append(f"\x1b[{len(lines) + 1};1H\x1b[J")
        self._drawn = list(lines)
        self.is_stale = False
        if changed:
            self._write("".join(changed))

    def clear(self) -> None:
        """Everything is drawn anew next time, whatever others have written on the terminal."""
        self._drawn = []
        self.is_stale = True
        self._write("\x1b[2J")

    def wait(self, timeout: float | None) -> list[str]:
        """The keys that were pressed, as `Keyboard.feed` names them; [] after the time, a resize, or `wake`.

        Raises EOFError when the terminal is gone.
        """
        if self._keyboard.waits:
            timeout = ESCAPE_SECONDS
        poller = select.poll()
        poller.register(self._woken, select.POLLIN)
        if self._keys >= 0:
            poller.register(self._keys, select.POLLIN)
        ready = dict(poller.poll(None if timeout is None else timeout * 1000))
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._woken, _READ_BYTES):
                    pass
        if self._stop:
            self._suspend()
        if self._continued:
            # Whoever has stopped it from outside may have set the terminal for himself meanwhile.
            self._continued = False
            self._take()
        if self._again:
            self._again = False
            self._measure()
            self.clear()
        if self._keys in ready:
            return self._read()
        return self._keyboard.flush() if not ready and self._keyboard.waits else []

    def wake(self) -> None:
        """`wait` returns; may be called by any thread."""
        # Where the pipe is full it wakes anyhow.
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._waker, b"\0")

    def _find_keys(self) -> int:
        """Where keys come from: standard input, or the terminal itself where that is something else."""
        if sys.stdin is not None and sys.stdin.isatty():
            return sys.stdin.fileno()
        with contextlib.suppress(OSError):
            self._opened = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        return self._opened

    def _take(self) -> None:
        if self._keys >= 0:
            import termios
            import tty

            if self._saved is None:
                self._saved = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._measure()
        self._drawn = []
        self.is_stale = True
        self._write(_TAKE)

    def _give_back(self) -> None:
        # A terminal that is gone needs nothing.
        with contextlib.suppress(OSError, EOFError):
            self._write(_GIVE_BACK)
        if self._saved is not None:
            import termios

            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._saved)
            self._saved = None

    def _suspend(self) -> None:
        self._stop = False
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # It goes on: in the foreground again, or else the terminal stops it once more.
        signal.signal(signal.SIGTSTP, self._note)
        self._continued = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._stop |= number == signal.SIGTSTP
        self._continued |= number == signal.SIGCONT
        self._again |= number == signal.SIGWINCH

    def _measure(self) -> None:
        try:
            columns, lines = os.get_terminal_size(self._out)
        except OSError:
            columns, lines = 0, 0
        # Some terminals do not know how large they are.
        self.columns, self.lines = columns or 80, lines or 24

    def _read(self) -> list[str]:
        try:
            data = os.read(self._keys, _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise EOFError("the terminal is gone")
        return self._keyboard.feed(data)

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                raise EOFError("the terminal is gone") from None


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
