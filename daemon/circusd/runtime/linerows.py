"""The lines of one log that are wanted, from its memory and its files, in the order of reading: each once, wherever they meet."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from .fileindex import SPACING_SECONDS, Mark, by_file
from .history import LONGEST_LINE, History, Line, StreamKey
from .linequery import DONE, Found, Pair, Place, Query, Wanted, name_of, walk
from .logfiles import Chunk, LogFile, Unread, open_files
from .unpacking import Unfinished, damage

ROW_BYTES: Final = 200
"""What a line takes in a reply beside its text."""
UNPACK_SECONDS: Final = 45.0
"""For one file: a small one may have no end when it is unpacked."""
_NOTES: Final = 100
_FOREVER: Final = float("inf")


class Late(Exception):
    """The time for this page is over."""


class Row(NamedTuple):
    """A line of the page."""

    order: float
    """Its time; never earlier than that of one that comes before it in its log, nor unknown."""
    log: int
    part: int
    """Lines of one part of a log, memory or file, are counted together."""
    step: int
    is_match: bool
    text: bytes
    time: float | None
    key: StreamKey | None
    pid: int | None
    number: int | None
    epoch: str
    place: tuple[int, int, int] | None
    """Its file, and where it begins and ends in it; None if it is of the memory."""


class Told:
    """What a search tells beside its lines."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.files = 0
        self.unread: list[Unread] = []
        self.notes: dict[str, None] = {}

    def refuse(self, unread: Unread) -> None:
        """A file is not read."""
        if unread not in self.unread and len(self.unread) < _NOTES:
            self.unread.append(unread)

    def note(self, text: str) -> None:
        """Something is not exact."""
        if len(self.notes) < _NOTES:
            self.notes[text] = None


class Border(NamedTuple):
    """Where the files of a log end and its memory begins: what is in both counts once."""

    file: int | None
    """None when all of the files comes before the memory."""
    offset: int
    lines: dict[str, int]
    """The line from which on a stream's lines are taken from memory."""


Tick = Callable[[int, bool], None]
"""Told how many bytes were read of files, and whether it may raise Late."""


class LogRows:
    """The lines of one log that are wanted, in the order of reading; each call of `rows` begins anew."""

    def __init__(
        self,
        number: int,
        query: Query,
        wanted: Wanted,
        given: tuple[History, list[Mark]],
        told: Told,
        tick: Tick,
        unfinished: Unfinished | None = None,
    ) -> None:
        self.at: Place | None = None
        """How far its files are read."""
        self.low: dict[str, int] = {}
        """From which line on the memory is read."""
        self.first = {name_of(key): given[0].bounds(key)[0] for key in query.logs[number].keys}
        """The oldest line that the memory has."""
        self._number = number
        self._query = query
        self._log = query.logs[number]
        self._wanted = wanted
        self._history, self._marks = given
        self._told = told
        self._tick = tick
        self._unfinished = unfinished
        self._part = 0
        self._unpacked_by = 0.0
        self._order = _FOREVER if query.is_older else 0.0
        self._numbers = query.position.numbers
        self._place = query.position.files.get(self._log.path) if self._log.path else None
        if self._place is None and not query.is_older and any(name in self._numbers for name in self.first):
            # It was in the memory, which comes after the files.
            self._place = DONE
        self._by_number = False
        """Whether lines of files are told by their numbers from those that are in memory or in an earlier page."""
        self._target: dict[str, int] = {}
        """From which line on they are."""
        self._with_context = bool(query.before or query.after)

    def rows(self) -> Iterator[Row]:
        """Raises Late."""
        query, log = self._query, self._log
        files = (
            open_files(log.path, self._told.refuse, self._unfinished)
            if log.path and (query.is_older or self._reads_files())
            else []
        )
        try:
            self._tell_marks(files)
            border = self._border(files)
            if query.is_older:
                if self._place is None:
                    yield from self._of_memory(border)
                if self._place != DONE:
                    yield from self._of_files(files, border)
            else:
                yield from self._of_files(files[::-1], border)
                yield from self._of_memory(border)
        finally:
            for file in files:
                file.close()

    def _reads_files(self) -> bool:
        """Forwards: whether there is something in files before the memory begins."""
        if self._place != DONE:
            return True
        # The memory may have lost lines since they were to be the next.
        return any(
            self._history.bounds(key)[0] > self._numbers[name_of(key)] + 1
            for key in self._log.keys
            if name_of(key) in self._numbers
        )

    def _tell_marks(self, files: list[LogFile]) -> None:
        known = by_file(self._marks)
        after = {
            mark.file: other
            for mark, other in pairwise(self._marks)
            if other.lines and other.file != mark.file
        }
        used = {file.id for file in files}
        # Who compresses a file keeps the time of its last change: that is between its last entry and the first of the next.
        distances = sorted(
            (_distance(file.mtime, marks[-1].written, after[inode].written), number, inode)
            for number, file in enumerate(files)
            if file.kind
            for inode, marks in known.items()
            if inode in after
        )
        for distance, number, inode in distances:
            if distance <= SPACING_SECONDS and inode not in used and files[number].id < 0:
                files[number].id = inode
                used.add(inode)
        for file in files:
            file.marks = known.get(file.id, [])
            if file.id in after:
                file.latest = after[file.id].time

    # -- where memory and files meet ---------------------------------------------------------------------------------

    def _border(self, files: list[LogFile]) -> Border:
        if not files:
            return Border(None, 0, {})
        older = self._query.is_older
        # Of the lines that are to be read, the memory has those from here on.
        held = {name: min(n, self._numbers.get(name, n) if older else n) for name, n in self.first.items()}
        if not held:
            return Border(None, 0, {})
        known = {file.id: file for file in files}
        ours = [mark for mark in self._marks if mark.epoch == self._query.epoch and mark.file in known]
        best: Mark | None = None
        for mark in reversed(ours):
            if mark.torn and not known[mark.file].has_end_of_line(mark.offset):
                # The file will have that line; now only the memory has.
                continue
            if any(mark.lines.get(name, 1) < number for name, number in held.items()):
                break
            if best is not None and any(best.lines.get(name, 1) < n for name, n in mark.lines.items()):
                # A watcher was removed and is there again: its lines count from 1.
                break
            best = mark
        if best is None and not (ours and len(held) == 1):
            return self._guessed_border(files)
        lines = held if best is None else {name: best.lines.get(name, 1) for name in held}
        self._target = {name: min(n, self._numbers.get(name, n) if older else n) for name, n in lines.items()}
        self._by_number = best is None or self._target != lines or (not older and self._place == DONE)
        return Border(None, 0, lines) if best is None else Border(best.file, best.offset, lines)

    def _guessed_border(self, files: list[LogFile]) -> Border:
        """Without an index, or with one that has not come so far: the end of the file is what the memory has."""
        bounds = [self._history.bounds(key) for key in self._log.keys]
        count = sum(after - first for first, after in bounds)
        newest = files[0]
        if not count or newest.kind:
            return Border(None, 0, {})
        self._told.note(f"{newest.path}: where the file goes over into memory is not known exactly")
        return Border(newest.id, newest.skip_last(count), {})

    # -- the memory --------------------------------------------------------------------------------------------------

    def _of_memory(self, border: Border) -> Iterator[Row]:
        query, position = self._query, self._query.position
        bounds: dict[StreamKey, int] = {}
        for key in self._log.keys:
            name = name_of(key)
            low = border.lines.get(name, 1)
            if query.is_older:
                bound = self._numbers.get(name)
                if bound is None:
                    if position.time is None:
                        continue
                    bound = self._log.next.get(name, 1)
                bounds[key] = bound
            else:
                low = max(low, self._numbers.get(name, 0) + 1)
                bounds[key] = low
            self.low[name] = low
        self._part += 1
        pairs = self._memory_pairs(bounds)
        for found in self._walked(pairs):
            key, line = found.where
            yield self._row(found, line.time, key, line.pid, line.number, query.epoch, None)

    def _memory_pairs(self, bounds: dict[StreamKey, int]) -> Iterator[Pair]:
        query = self._query
        low = {key: self.low[name_of(key)] for key in bounds}
        lines: Iterator[tuple[StreamKey, Line]]
        lines = self._history.backwards(dict(bounds)) if query.is_older else self._history.forwards(bounds)
        for key, line in lines:
            if line.number >= low[key] and self._is_in_time(line.time, name_of(key)):
                yield (key, line), line.text

    def _is_in_time(self, when: float | None, name: str = "") -> bool:
        query, limit = self._query, self._query.position.time
        if when is None:
            return True
        is_bounded = limit is not None and name not in self._numbers and self._place in (None, DONE)
        if is_bounded and limit is not None and (when < limit) is not query.is_older:
            return False
        return (query.since is None or when >= query.since) and (query.until is None or when <= query.until)

    # -- files -------------------------------------------------------------------------------------------------------

    def _of_files(self, files: list[LogFile], border: Border) -> Iterator[Row]:
        """The files in the order of reading, each from where or to where it is wanted."""
        query = self._query
        chosen = self._chosen(files, border)
        for file, start, end in chosen:
            if query.since is not None and file.latest < query.since:
                if query.is_older:
                    return
                continue
            self.at = (file.id, (file.end if end is None else end) if query.is_older else start)
            self._tick(0, True)
            self._told.files += 1
            self._part += 1
            self._unpacked_by = time.monotonic() + UNPACK_SECONDS
            if not file.marks:
                self._told.note(
                    f"{file.path}: circusd has no index of it, so the times of its lines are not known"
                )
            try:
                yield from self._of_file(file, start, end)
            except damage(file.kind) as problem:
                self._refuse(file, str(problem) or "it takes too much memory")
            if file.shrunk:
                self._told.refuse(Unread(file.path, "it was truncated while it was read"))

    def _refuse(self, file: LogFile, problem: str) -> None:
        self._told.refuse(Unread(file.path, f"it can't be read to its end: {problem}"))

    def _chosen(self, files: list[LogFile], border: Border) -> list[tuple[LogFile, int, int | None]]:
        """The files that are wanted, with the offsets between which they are; None for their end."""
        if not files:
            return []
        older, place = self._query.is_older, self._place
        ids = [file.id for file in files]
        ends: dict[int, int | None] = dict.fromkeys(ids)
        if border.file in ids:
            at = ids.index(border.file)
            files = files[at:] if older else files[: at + 1]
            ends[border.file] = border.offset
        if place is None:
            return [(file, 0, ends[file.id]) for file in files]
        if place == DONE:
            place = self._lost_since(files)
        if place is None or place[0] not in ids:
            self._told.note(
                f"{self._log.path}: the file in which an earlier page ended is not there any more"
            )
            return []
        at = next((i for i, file in enumerate(files) if file.id == place[0]), len(files))
        left = files[at:]
        if not left:
            return []
        if older:
            return [(file, 0, place[1] if file.id == place[0] else None) for file in left]
        # An entry of the index may be in the middle of a line, which was read before.
        start = place[1] if left[0].kind else left[0].line_end(place[1])
        return [(file, start if file is left[0] else 0, ends[file.id]) for file in left]

    def _lost_since(self, files: list[LogFile]) -> Place | None:
        """Forwards: where in the files the lines are that the memory has lost since they were to be the next."""
        ids = {file.id for file in files}
        read = {name: self._numbers[name] for name in self.first if name in self._numbers}
        for mark in reversed(self._marks):
            is_ours = mark.epoch == self._query.epoch and mark.file in ids
            if is_ours and all(mark.lines.get(name, 1) <= n + 1 for name, n in read.items()):
                return mark.file, mark.offset
        return None

    def _of_file(self, file: LogFile, start: int, end: int | None) -> Iterator[Row]:
        query = self._query
        if not query.is_older:
            for found in self._walked(self._forward_pairs(file, start, end)):
                yield self._file_row(file, found)
        elif not file.kind:
            for found in self._walked(self._backward_pairs(file, end)):
                yield self._file_row(file, found)
        else:
            for found in self._last_of(file, end):
                yield self._file_row(file, found)

    def _last_of(self, file: LogFile, end: int | None) -> Iterator[Found]:
        """Of a compressed file, which can only be read forwards: the last lines that are wanted, from the last one on."""
        # What stands before a match may be on the other side of where a part begins.
        starts = [0] if self._with_context else file.lines_before(end)
        for start in starts:
            yield from self._last_between(file, start, end)
            end = start
            self.at = (file.id, start)
            self._part += 1
            self._tick(0, True)

    def _last_between(self, file: LogFile, start: int, end: int | None) -> Iterator[Found]:
        query = self._query
        kept: deque[Found] = deque()
        matches = size = 0
        pairs = self._forward_pairs(file, start, end)
        for found in walk(pairs, self._wanted.line, query.before, query.after):
            kept.append(found)
            matches += found.is_match
            size += len(found.text) + ROW_BYTES
            while matches > query.limit + 1 or size > 2 * query.limit_bytes:
                gone = kept.popleft()
                matches -= gone.is_match
                size -= len(gone.text) + ROW_BYTES
        yield from reversed(kept)

    def _forward_pairs(self, file: LogFile, start: int, end: int | None) -> Iterator[Pair]:
        for chunk in file.forwards(start, end, lambda count: self._count(file, count)):
            yield from self._chunk_pairs(file, chunk, chunk.forwards)
            if not self._query.is_older:
                self.at = (file.id, chunk.end)

    def _backward_pairs(self, file: LogFile, end: int | None) -> Iterator[Pair]:
        since = self._query.since
        for chunk in file.backwards(end, lambda count: self._count(file, count)):
            latest = file.time_at(chunk.end - 1)
            if since is not None and latest is not None and latest < since:
                return
            yield from self._chunk_pairs(file, chunk, chunk.backwards)
            self.at = (file.id, chunk.start)

    def _chunk_pairs(
        self, file: LogFile, chunk: Chunk, lines: Callable[[], Iterator[tuple[int, bytes]]]
    ) -> Iterator[Pair]:
        if not self._with_context and not self._wanted.chunk(chunk.data):
            return
        is_bounded = self._query.since is not None or self._query.until is not None
        is_bounded = is_bounded or (self._query.position.time is not None and self._place is None)
        by_number = self._by_number and not file.kind and bool(file.marks)
        for start, text in lines():
            if is_bounded and not self._is_in_time(file.time_at(start)):
                continue
            if by_number and not self._is_new(file, start):
                continue
            yield start, text

    def _is_new(self, file: LogFile, start: int) -> bool:
        """Whether the line is neither in memory nor in an earlier page, as far as its number tells."""
        owner = file.owner_at(start)
        if owner is None or owner[0] != self._query.epoch or owner[1] not in self._target:
            return True
        _, name, number = owner
        is_unread = self._query.is_older or self._place != DONE or number > self._numbers.get(name, 0)
        return number < self._target[name] and is_unread

    def _count(self, file: LogFile, count: int) -> None:
        self._told.read_bytes += count
        # A compressed file can't be gone on with in its middle.
        self._tick(count, not file.kind)
        if file.kind and time.monotonic() > self._unpacked_by:
            raise TimeoutError(f"to unpack it takes more than {UNPACK_SECONDS:g} s")

    # -- rows --------------------------------------------------------------------------------------------------------

    def _walked(self, pairs: Iterator[Pair]) -> Iterator[Found]:
        query = self._query
        around = (query.after, query.before) if query.is_older else (query.before, query.after)
        return walk(pairs, self._wanted.line, *around)

    def _file_row(self, file: LogFile, found: Found) -> Row:
        start = found.where
        end = start + len(found.text) + 1
        owner = file.owner_at(start)
        key, number, epoch = None, None, ""
        if owner is not None:
            wid, stream, watcher = owner[1].split("/", 2)
            epoch, key, number = owner[0], StreamKey(watcher, int(wid), stream), owner[2]
        return self._row(
            found, file.time_at(start), key, None, number, epoch, (file.id, start, end), file.latest
        )

    def _row(
        self,
        found: Found,
        when: float | None,
        key: StreamKey | None,
        pid: int | None,
        number: int | None,
        epoch: str,
        place: tuple[int, int, int] | None,
        latest: float = _FOREVER,
    ) -> Row:
        if self._query.is_older:
            self._order = min(self._order, latest if when is None else when)
        elif when is not None:
            self._order = max(self._order, when)
        text = found.text[:LONGEST_LINE]
        return Row(
            self._order, self._number, self._part, found.step, found.is_match, text, when, key, pid, number, epoch, place
        )  # fmt: skip


def _distance(when: float, start: float, end: float) -> float:
    """How far a moment is from a span of time."""
    return max(0.0, start - when, when - end)
