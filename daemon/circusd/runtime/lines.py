"""What a sink makes of output before it is written: whole lines where several write, and lines with a heading."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

LONGEST_LINE: Final = 64 << 10
"""Bytes of a line that are kept back at most, waiting for its end."""

COLORS: Final = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")

Form = Callable[[int, float, bytes], bytes]
"""Turns whole lines of a process (pid, epoch seconds, bytes that end in a newline) into what is written."""


class Strand:
    """What one process writes to a place."""

    __slots__ = ("carry", "form", "pid")

    def __init__(self, pid: int, form: Form | None = None) -> None:
        self.pid = pid
        self.form = form
        self.carry = b""
        """Bytes that have come and not been written."""


class Weaver:
    """The order in which processes write to one place: a line of one is never inside a line of another.

    As long as there is only one process its bytes are passed on as they come. With several, and wherever lines get
    a heading, a line is kept back until it is whole or `LONGEST_LINE` long. A process whose line is open when
    a second one joins may finish it first. The line that a process leaves unfinished is closed before another's begins.
    """

    def __init__(self) -> None:
        self._strands: list[Strand] = []
        self._pen: Strand | None = None
        """Whose line is open in the place."""
        self._open = False
        """The place does not end in a newline."""

    def join(self, strand: Strand) -> None:
        """The strand may be fed from now on."""
        self._strands.append(strand)

    def leave(self, strand: Strand, wall: float = 0.0) -> bytes:
        """The strand is no more; returns what is to be written on that account."""
        data = self.flush(strand, wall)
        if strand in self._strands:
            self._strands.remove(strand)
        if self._pen is strand:
            self._pen = None
        return data

    def flush(self, strand: Strand, wall: float = 0.0) -> bytes:
        """What to write when the process has ended: what was kept back, as a line if others write too."""
        data, strand.carry = strand.carry, b""
        if strand.form is not None:
            return self._write(strand.form(strand.pid, wall, data + b"\n")) if data else b""
        mine = self._pen is strand
        if (
            (data or mine)
            and not data.endswith(b"\n")
            and (len(self._strands) > 1 or self._pen not in (None, strand))
        ):
            data += b"\n"
        if not data:
            return b""
        return self._write(data, continues=mine) + (self._released() if mine else b"")

    def feed(self, strand: Strand, wall: float, data: bytes) -> bytes:
        """What to write now that the process has written this; nothing when its line has to wait for its end."""
        if strand.form is not None:
            return self._feed_form(strand, strand.form, wall, data)
        if strand.carry:
            data = strand.carry + data
            strand.carry = b""
        if len(self._strands) == 1:
            return self._write(data, strand, continues=self._pen is strand)
        if self._pen is not None and self._pen is not strand:
            # Another's line is open, from the time when it was alone.
            if len(data) <= LONGEST_LINE:
                strand.carry = data
                return b""
            self._pen = None
        continues = self._pen is strand
        cut = data.rfind(b"\n") + 1
        if not cut and (continues or len(data) > LONGEST_LINE):
            return self._write(data, strand, continues=continues)
        if not cut:
            strand.carry = data
            return b""
        strand.carry = data[cut:]
        written = self._write(data[:cut], continues=continues)
        return written + self._released() if continues else written

    def _feed_form(self, strand: Strand, form: Form, wall: float, data: bytes) -> bytes:
        cut = data.rfind(b"\n") + 1
        if not cut and len(strand.carry) + len(data) <= LONGEST_LINE:
            strand.carry += data
            return b""
        whole = strand.carry + (data[:cut] if cut else data + b"\n")
        strand.carry = data[cut:] if cut else b""
        return self._write(form(strand.pid, wall, whole))

    def _released(self) -> bytes:
        """The whole lines of those who waited for a line of another to end."""
        found = b""
        for strand in self._strands:
            if strand.form is None and (cut := strand.carry.rfind(b"\n") + 1):
                found += strand.carry[:cut]
                strand.carry = strand.carry[cut:]
        return found

    def _write(self, data: bytes, pen: Strand | None = None, *, continues: bool = False) -> bytes:
        if self._open and not continues:
            data = b"\n" + data
        self._open = not data.endswith(b"\n")
        self._pen = pen if self._open else None
        return data


class Heading:
    """Lines that begin with time and pid: ``TIME [PID] | ``."""

    def __init__(self, time_format: str, *, utc: bool = False) -> None:
        self._format = time_format
        self._utc = utc
        self._fine = "%f" in time_format
        self._last: tuple[int, str] = (-1, "")

    def time(self, wall: float) -> str:
        """The moment in the configured form."""
        second = int(wall)
        if not self._fine and self._last[0] == second:
            return self._last[1]
        moment = datetime.fromtimestamp(wall, UTC)
        text = (moment if self._utc else moment.astimezone()).strftime(self._format)
        self._last = (second, text)
        return text

    def __call__(self, pid: int, wall: float, data: bytes) -> bytes:
        heading = f"{self.time(wall)} [{pid}] | ".encode()
        return heading + data[:-1].replace(b"\n", b"\n" + heading) + b"\n"


class FancyHeading:
    """Lines for a terminal: time, pid and the watcher's name in its colour; nothing in the line can do harm there.

    A line keeps its own colours; other control characters are shown as ``\\xNN``.
    """

    def __init__(self, name: str, color: str | None, time_format: str) -> None:
        self._heading = Heading(time_format)
        self._name = plain(name)
        code = COLORS.index(color) if color else zlib.crc32(name.encode()) % len(COLORS)
        self._color = f"\x1b[3{code + 1}m"

    def __call__(self, pid: int, wall: float, data: bytes) -> bytes:
        heading = f"{self._color}{plain(self._heading.time(wall))} [{pid}] {self._name} |\x1b[0m "
        text = data.decode("utf-8", "backslashreplace")
        return "".join(
            f"{heading}{plain(line.removesuffix(chr(13)))}\x1b[0m\n" for line in text[:-1].split("\n")
        ).encode("utf-8", "backslashreplace")


# Colours as they are, then what a terminal would act upon: controls (but the tabulator), also those above 0x7f, and what
# changes the direction of writing.
_ACTS: Final = re.compile(
    "(\x1b\\[[0-9;:]*m)|[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    """The text with every character escaped that a terminal would act upon, but for colours (SGR sequences)."""
    return _ACTS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    if found[1]:
        return found[1]
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
