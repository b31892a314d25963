"""Where a follower of lines is: a text that he sends back when he comes again, and that tells what he has seen already."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, unquote

EACH_LINE = 16
"""With more streams than this, an id stands at the last line of each message only: it would be longer than the line."""

MOST = 200
"""With more streams than this it tells a moment only, and what was written within `AGAIN_SECONDS` before comes twice."""

AGAIN_SECONDS = 1.0
LONGEST = 8192
"""Characters of an id that is looked at."""

LETTERS = {"stdout": "o", "stderr": "e"}
STREAMS = {letter: stream for stream, letter in LETTERS.items()}

Key = tuple[str, int, str]
"""Watcher, slot and stream."""


@dataclass(slots=True)
class Cursors:
    """The number of the last line of each stream, in one life of the daemon."""

    epoch: str
    since: float
    """Of a stream that has none, lines after this moment are new."""
    latest: float = 0.0
    """The moment of the newest line."""
    numbers: dict[Key, int] = field(default_factory=dict)

    def has_seen(self, key: Key, number: int, time: float) -> bool:
        """Whether the line was there before."""
        known = self.numbers.get(key)
        if known is None:
            return time <= self.since
        # A watcher that was removed and is there again counts from 1.
        return number <= known and time <= self.latest

    def saw(self, key: Key, number: int, time: float) -> None:
        self.numbers[key] = number
        self.latest = max(self.latest, time)

    @property
    def text(self) -> str:
        """As it is sent; printable ASCII without spaces."""
        head = f"{quote(self.epoch, safe='')};{_stamp(self.since)};{_stamp(self.latest)};"
        if len(self.numbers) > MOST:
            return head + "*"
        return head + ",".join(
            f"{quote(watcher, safe='')}/{wid}{LETTERS.get(stream, 'o')}{number}"
            for (watcher, wid, stream), number in self.numbers.items()
        )


def read(text: str) -> Cursors | None:
    """What `Cursors.text` has written; None where it is anything else."""
    try:
        epoch, since, latest, rest = text[:LONGEST].split(";")
        cursors = Cursors(unquote(epoch), _moment(since), _moment(latest))
        if rest == "*":
            cursors.since = cursors.latest - AGAIN_SECONDS
            return cursors
        for part in filter(None, rest.split(",")):
            name, _, numbers = part.partition("/")
            letter = "e" if "e" in numbers else "o"
            wid, number = numbers.split(letter)
            cursors.numbers[unquote(name), int(wid), STREAMS[letter]] = int(number)
    except ValueError:
        return None
    return cursors


def _stamp(moment: float) -> str:
    return f"{moment * 1000:.0f}"


def _moment(text: str) -> float:
    # Exact: lines have moments of whole milliseconds, too.
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ValueError(text)
    return round(int(text) / 1000, 3)
