"""What a sink makes of output before it is written: whole lines where several write, and lines with a heading."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

LONGEST_LINE: Final = 64 << 10
"""Bytes of a line that are kept back at most, waiting for its end."""
SHORTEST_LIMIT: Final = 64
"""Bytes of a line that are written as one, whatever limit is asked for."""

COLORS: Final = ("red", "green", "yellow", "blue", "magenta", "cyan", "white")

ISO: Final = "iso"
"""The time format that is ISO 8601 with milliseconds and the offset from UTC."""


class Strand:
    """What one process writes to a place."""

    __slots__ = ("carry", "form", "is_divided", "limit", "pid", "wid")

    def __init__(self, pid: int, form: Form | None = None, wid: int = 0, limit: int = LONGEST_LINE) -> None:
        """With a form, lines of more than ``limit`` bytes are divided."""
        self.pid = pid
        self.wid = wid
        self.form = form
        self.limit = max(SHORTEST_LIMIT, min(limit, LONGEST_LINE))
        self.carry = b""
        """Bytes that have come and not been written."""
        self.is_divided = False
        """What comes next continues a line of which a part was written as a line of its own."""

    def formed(self, wall: float, data: bytes) -> bytes:
        """Whole lines in their form, those that are too long as several."""
        assert self.form is not None
        if len(data) <= self.limit or max(map(len, data.split(b"\n"))) <= self.limit:
            divided, self.is_divided = self.is_divided, False
            return self.form(self, wall, data, divided)
        found: list[bytes] = []
        for line in data[:-1].split(b"\n"):
            found += self._parts(wall, line)
            found.append(self.form(self, wall, self.carry + b"\n", self.is_divided))
            self.carry, self.is_divided = b"", False
        return b"".join(found)

    def begun(self, wall: float, line: bytes) -> bytes:
        """Of a line that has no end yet and is too long, all but the last part in its form; that part is in `carry`."""
        return b"".join(self._parts(wall, line))

    def _parts(self, wall: float, line: bytes) -> list[bytes]:
        assert self.form is not None
        limit = self.limit
        found: list[bytes] = []
        at = 0
        while len(line) - at > limit:
            cut = at + limit
            # Not within a letter of UTF-8, if it is one.
            cut -= next((back for back in range(4) if line[cut - back] & 0xC0 != 0x80), 0)
            found.append(self.form(self, wall, line[at:cut] + b"\n", self.is_divided))
            self.is_divided = True
            at = cut
        self.carry = line[at:]
        return found


Form = Callable[[Strand, float, bytes, bool], bytes]
"""Turns whole lines of a process (with epoch seconds, in bytes that end in a newline) into what is written; the last value
tells that the first of them continues a line that was divided."""


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
        self._waiting = b""
        """Whole lines that come after that line."""

    @property
    def is_behind(self) -> bool:
        """Whole lines wait for the end of another process's line."""
        return bool(self._waiting)

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
        mine = self._pen is strand
        if not data and not mine:
            return b""
        if strand.form is not None:
            return self._whole(strand.formed(wall, data + b"\n")) if data else b""
        alone = len(self._strands) == 1 and not self._waiting
        if data.endswith(b"\n") or (alone and self._pen in (None, strand)):
            return self._write(data, strand if mine else None, continues=mine) if data else b""
        return self._write(data + b"\n", continues=True) if mine else self._whole(data + b"\n")

    def feed(self, strand: Strand, wall: float, data: bytes) -> bytes:
        """What to write now that the process has written this; nothing when its line has to wait for its end."""
        data, strand.carry = strand.carry + data if strand.carry else data, b""
        mine = self._pen is strand
        if strand.form is None and len(self._strands) == 1 and (mine or self._pen is None):
            return self._write(data, strand, continues=mine)
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if strand.form is not None:
            done = strand.formed(wall, data[:cut]) if cut else b""
            if len(rest) > strand.limit:
                done += strand.begun(wall, rest)
            else:
                strand.carry = rest
            return self._whole(done) if done else b""
        if len(rest) > LONGEST_LINE or (mine and not cut):
            return self._write(data, strand, continues=mine)
        strand.carry = rest
        if not cut:
            return b""
        return self._write(data[:cut], continues=True) if mine else self._whole(data[:cut])

    def _whole(self, data: bytes) -> bytes:
        """Whole lines are written, or wait for the end of the line that another process has open."""
        if self._pen is None:
            return self._write(data)
        self._waiting += data
        # An end that does not come is not waited for.
        return self._write(b"") if len(self._waiting) > LONGEST_LINE else b""

    def _write(self, data: bytes, pen: Strand | None = None, *, continues: bool = False) -> bytes:
        if self._waiting:
            at = data.find(b"\n") + 1 if continues else 0
            if at or not continues:
                data = data[:at] + self._waiting + data[at:]
                self._waiting = b""
        if not data:
            return data
        if self._open and not continues:
            data = b"\n" + data
        self._open = not data.endswith(b"\n")
        self._pen = pen if self._open else None
        return data


class Moments:
    """Times as text, in a form of ``strftime`` or in `ISO`."""

    def __init__(self, time_format: str, *, utc: bool = False) -> None:
        self._is_iso = time_format.lower() == ISO
        self._format = "%Y-%m-%dT%H:%M:%S" if self._is_iso else time_format
        self._utc = utc
        self._fine = "%f" in time_format
        self._last: tuple[int, str, str] = (-1, "", "")

    def __call__(self, wall: float) -> str:
        """The moment of that time, epoch seconds."""
        second, millis = divmod(int(wall * 1000 + 1e-4), 1000)
        if self._fine or self._last[0] != second:
            moment = datetime.fromtimestamp(wall, UTC)
            moment = moment if self._utc else moment.astimezone()
            zone = moment.strftime("%z") if self._is_iso else ""
            self._last = (second, moment.strftime(self._format), f"{zone[:3]}:{zone[3:5]}")
        _, text, zone = self._last
        return f"{text}.{millis:03d}{zone}" if self._is_iso else text


class Heading:
    """Lines that begin with time and pid: ``TIME [PID] | ``, and ``TIME [PID] + `` for the rest of a line that was divided."""

    def __init__(self, time_format: str, *, utc: bool = False) -> None:
        self._time = Moments(time_format, utc=utc)

    def __call__(self, strand: Strand, wall: float, data: bytes, divided: bool) -> bytes:
        time = f"{self._time(wall)} [{strand.pid}]".encode("utf-8", "backslashreplace")
        first = time + (b" + " if divided else b" | ")
        return first + data[:-1].replace(b"\n", b"\n" + time + b" | ") + b"\n"


class FancyHeading:
    """Lines for a terminal: time, pid and the watcher's name in its colour; nothing in the line can do harm there.

    A line keeps its own colours; other control characters are shown as ``\\xNN``.
    """

    def __init__(self, name: str, color: str | None, time_format: str) -> None:
        self._time = Moments(time_format)
        self._name = plain(name)
        code = COLORS.index(color) if color else zlib.crc32(name.encode()) % len(COLORS)
        self._color = f"\x1b[3{code + 1}m"

    def __call__(self, strand: Strand, wall: float, data: bytes, divided: bool) -> bytes:
        heading = f"{self._color}{plain(self._time(wall))} [{strand.pid}] {self._name} "
        text = data.decode("utf-8", "backslashreplace")
        lines = [plain(line.removesuffix("\r")) for line in text[:-1].split("\n")]
        bars = ["+" if divided else "|"] + ["|"] * (len(lines) - 1)
        return "".join(
            f"{heading}{bar}\x1b[0m {line}\x1b[0m\n" for bar, line in zip(bars, lines, strict=True)
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
