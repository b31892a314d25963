"""What is searched for: the pattern, the bounds, and where an earlier reply has ended."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from circusd.schema.errors import BadRequest

from .history import StreamKey

CURSOR_LIMIT: Final = 64 << 10
"""Characters of a cursor."""
_CURSOR_BYTES: Final = 1 << 20
_COLOR: Final = re.compile(rb"\x1b\[[0-9;:]*m")
_PLAIN: Final = re.compile(r"[\w\s\-/:,;=\"'<>@%&!~`]*", re.ASCII)
"""A regular expression that means itself."""

OLDER: Final = "older"
NEWER: Final = "newer"

DONE: Final = (0, 0)
"""A place in files: nothing of them is left."""

Place = tuple[int, int]
"""A file's id, and an offset in it."""


class Wanted(NamedTuple):
    """What decides about a line; see `matcher`."""

    line: Callable[[bytes], bool]
    """Whether it is one."""
    chunk: Callable[[bytes], bool]
    """Whether one may be among these lines; looks at all of them at once."""


def name_of(key: StreamKey) -> str:
    """A stream in one word: ``wid/stream/watcher``."""
    return f"{key.wid}/{key.stream}/{key.watcher}"


def line_id(epoch: str, stream: str, number: int) -> str:
    """A line in one word, for good: ``epoch/number/wid/stream/watcher``."""
    return f"{epoch}/{number}/{stream}"


def read_line_id(text: str, field_name: str) -> tuple[str, int, StreamKey]:
    """Epoch, number and stream of a line's id; raises BadRequest."""
    try:
        epoch, number, wid, stream, watcher = text.split("/", 4)
        return epoch, int(number), StreamKey(watcher, int(wid), stream)
    except ValueError:
        raise BadRequest(
            f"{text[:100]!r} is no id of a line",
            field=field_name,
            hint="a line that has no number has no such id",
        ) from None


def matcher(pattern: str | None, *, fixed: bool, ignore_case: bool, invert: bool) -> Wanted:
    """What a line is held against; without a pattern every line is one. Raises BadRequest for a pattern that is none.

    Matching may take for ever: it belongs into a process that somebody can end.
    """
    if pattern is None:
        return Wanted(lambda line: not invert, lambda data: True)
    is_plain = fixed or _PLAIN.fullmatch(pattern) is not None
    try:
        search = re.compile(
            re.escape(pattern) if fixed else pattern, re.IGNORECASE if ignore_case else 0
        ).search
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRequest(
            f"the pattern is wrong: {error}", field="pattern", hint="with fixed it is plain text"
        ) from None

    def line(data: bytes) -> bool:
        if b"\x1b" in data:
            data = _COLOR.sub(b"", data)
        return (search(data.decode("utf-8", "backslashreplace")) is not None) is not invert

    needle = pattern.encode("utf-8", "backslashreplace")
    if not is_plain or invert or not needle or not pattern.isascii():
        return Wanted(line, lambda data: True)
    if ignore_case:
        needle = needle.lower()
        # A few letters beyond ASCII have small forms within it.
        return Wanted(line, lambda data: b"\x1b" in data or needle in data.lower() or not data.isascii())
    return Wanted(line, lambda data: b"\x1b" in data or needle in data)


class Position(NamedTuple):
    """Where reading goes on, in one direction."""

    direction: str
    """``older`` or ``newer``."""
    numbers: dict[str, int]
    """For each stream the line that was read last."""
    files: dict[str, Place]
    """For each log: ``older`` goes on before it, ``newer`` at it; `DONE` when nothing of its files is left to be read."""
    time: float | None = None
    """For streams and logs without either: this time (epoch seconds) decides. Without it there is nothing older of them,
    and all of them is newer."""

    def flipped(self, paths: Iterable[str]) -> Position:
        """What is on the other side of it; ``paths`` are those of the logs that have files."""
        older = self.direction == OLDER
        numbers = {key: number - 1 if older else number + 1 for key, number in self.numbers.items()}
        files: dict[str, Place] = {}
        for path in paths:
            # Before the memory come the files, so what is at the end of one is at the beginning of the other.
            place = self.files.get(path)
            if place is None:
                if self.time is None:
                    files[path] = DONE
            elif place != DONE:
                files[path] = place
        return Position(NEWER if older else OLDER, numbers, files, self.time)

    def encoded(self) -> str:
        """As text, for a reply."""
        import base64

        data = {"d": self.direction, "n": self.numbers, "f": self.files, "t": self.time}
        packed = zlib.compress(json.dumps(data, separators=(",", ":")).encode("ascii"))
        return base64.urlsafe_b64encode(packed).decode("ascii")

    @classmethod
    def decoded(cls, text: str) -> Position:
        """What `encoded` gave; raises BadRequest for anything else."""
        # Not needed before somebody reads pages.
        import base64

        try:
            if len(text) > CURSOR_LIMIT:
                raise ValueError("too long")
            unpack = zlib.decompressobj()
            raw = unpack.decompress(base64.b64decode(text, altchars=b"-_", validate=True), _CURSOR_BYTES)
            data = json.loads(raw)
            files = {str(key): (int(place[0]), int(place[1])) for key, place in data["f"].items()}
            numbers = {str(key): int(number) for key, number in data["n"].items()}
            if data["d"] not in (OLDER, NEWER):
                raise ValueError("no direction")
            return cls(data["d"], numbers, files, None if data["t"] is None else float(data["t"]))
        except (
            ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, zlib.error,
        ):  # fmt: skip
            raise BadRequest(
                "the cursor is none of ours", field="cursor", hint="give it as it came"
            ) from None


class Log(NamedTuple):
    """What belongs together: a stream in memory, or the streams that go to one file, with its files."""

    watchers: list[str]
    streams: list[str]
    """``stdout``, ``stderr``: those that it holds."""
    keys: list[StreamKey]
    """Those of them that the memory knows."""
    next: dict[str, int]
    """For each of the keys, the number that its next line has."""
    path: str = ""
    """The file; empty when only the memory is read."""

    @classmethod
    def of(cls, data: Sequence[Any]) -> Log:
        """From JSON, in which it is a list."""
        log = cls(*data)
        return log._replace(keys=[StreamKey(*key) for key in log.keys])


class Query(NamedTuple):
    """One page to be read; plain data, for the process that reads it."""

    epoch: str
    """Of this circusd."""
    logs: list[Log]
    position: Position
    pattern: str | None = None
    fixed: bool = False
    ignore_case: bool = False
    invert: bool = False
    before: int = 0
    after: int = 0
    limit: int = 100
    limit_bytes: int = 4 << 20
    since: float | None = None
    until: float | None = None
    seconds: float = 60.0
    """The page is replied as it is then."""

    @property
    def is_older(self) -> bool:
        """Whether the newest lines come first."""
        return self.position.direction == OLDER

    @classmethod
    def of(cls, data: Sequence[Any]) -> Query:
        """From JSON, in which it is a list."""
        query = cls(*data)
        position = Position(*query.position)
        files = {key: (place[0], place[1]) for key, place in position.files.items()}
        return query._replace(
            position=position._replace(files=files), logs=[Log.of(log) for log in query.logs]
        )


Pair = tuple[Any, bytes]
"""Where a line is, and the line."""


class Found(NamedTuple):
    """A line that goes into the page."""

    step: int
    """Counts all lines in the order in which they were read."""
    where: Any
    text: bytes
    is_match: bool


def walk(pairs: Iterator[Pair], matches: Callable[[bytes], bool], first: int, then: int) -> Iterator[Found]:
    """The lines that match, with so many of those read before each and after it."""
    recent: list[tuple[int, Any, bytes]] = []
    left = 0
    for step, (where, text) in enumerate(pairs):
        if matches(text):
            for line in recent:
                yield Found(*line, False)
            recent.clear()
            yield Found(step, where, text, True)
            left = then
        elif left:
            left -= 1
            yield Found(step, where, text, False)
        elif first:
            recent.append((step, where, text))
            if len(recent) > first:
                del recent[0]
