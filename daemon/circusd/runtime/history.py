"""The last output of every process, in memory: bounded, numbered by lines, and able to cross an exec.

Output is kept as it came, in blocks outside the Python heap; lines are split when they are read. A block holds bytes
from its bottom up and an index from its top down. An entry of the index says when the bytes from its offset on
arrived, from which process, and which line they begin in or with; it is part of what the bounds count, so that
a process which writes one byte at a time costs no more than another.

Blocks are what goes when a bound is reached: of one stream its oldest, of all streams the one that has not been
written to for the longest time.

Of what a loud process writes nearly all is gone again before anybody could look. It is loose at first, the very bytes
that were read: their lines are counted, and they are put into blocks when somebody reads that stream.
"""

from __future__ import annotations

import heapq
import os
import struct
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from .arena import BLOCK_BYTES, Arena
from .newlines import newlines

LONGEST_LINE: Final = 64 << 10
"""Bytes after which a line that goes on is cut, and goes on as the next line."""

_ENTRY: Final = struct.Struct("<dQIHH")  # time, line, pid, offset, flags
_ENTRY_BYTES: Final = _ENTRY.size
_FRESH: Final = 1
"""The entry's first byte begins a line; otherwise it goes on with the line."""
_CUT: Final = 2
"""The line before this entry was cut."""
_TOGETHER: Final = 0.010
"""Seconds within which bytes of one process count as having arrived together."""
_LOOSE_BYTES: Final = 4 << 10
"""What comes at once to a stream that has loose output, to be loose too."""
_LOOSE_PART: Final = 16
"""The part of all memory that may be loose."""
_SILENT: Final = 1.0
"""Seconds after which loose output makes room for that of others."""
_VERSION: Final = 1


class StreamKey(NamedTuple):
    """Where output comes from."""

    watcher: str
    wid: int
    stream: str
    """``stdout`` or ``stderr``."""


class Line(NamedTuple):
    """A line of output, as it was written."""

    number: int
    """Counts from 1 in its stream, and goes on when the process is replaced."""
    time: float
    """Epoch seconds at which its beginning arrived."""
    pid: int
    text: bytes
    """Without the newline."""
    partial: bool
    """It was too long, and goes on in the next line."""


class Page(NamedTuple):
    """Lines of one stream that follow each other."""

    lines: list[Line]
    first: int
    """The oldest line there is; when it is greater than ``after + 1``, those between were lost."""
    next: int
    """What to give as ``after`` to read on."""


class _Block:
    __slots__ = ("count", "line", "log", "slot", "used")

    def __init__(self, log: _Log, slot: int, line: int, used: int = 0, count: int = 0) -> None:
        self.log = log
        self.slot = slot
        self.line = line
        """The line that its first byte belongs to."""
        self.used = used
        self.count = count


class _Loose(NamedTuple):
    line: int
    """The line that its first byte belongs to."""
    open: int
    """How many bytes that line had before."""
    pid: int
    wall: float
    data: bytes


class _Log:
    __slots__ = ("blocks", "cut", "key", "line", "loose", "loose_bytes", "open", "pid", "renew", "time")

    def __init__(self, key: StreamKey) -> None:
        self.key = key
        self.blocks: deque[_Block] = deque()
        self.line = 1
        """The line that the next byte belongs to."""
        self.open = 0
        """How many bytes that line has already."""
        self.renew = True
        """The next byte needs an entry of its own."""
        self.cut = False
        self.time = 0.0
        self.pid = 0
        self.loose: deque[_Loose] = deque()
        """What comes after the blocks."""
        self.loose_bytes = 0


class History:
    """The last output of all streams of all watchers."""

    def __init__(
        self,
        limit_bytes: int = 256 << 20,
        stream_bytes: int = 1 << 20,
        *,
        fd: int | None = None,
        frozen: Mapping[str, Any] | None = None,
    ) -> None:
        """Keeps up to `stream_bytes` of each stream and `limit_bytes` of all, index included, in whole blocks of 64 KiB.

        A stream may have two blocks however little is asked for, and all streams together four. A sixteenth of what there
        is for all is for loose output. For what `freeze` gave see `thaw`.
        """
        self._most_loose = limit_bytes // _LOOSE_PART // BLOCK_BYTES * BLOCK_BYTES
        self._loose_bytes = 0
        # From the one that has not been written to for the longest time to the one that was written to last.
        self._loose: OrderedDict[StreamKey, _Log] = OrderedDict()
        limit = max(4, (limit_bytes - self._most_loose) // BLOCK_BYTES)
        self._most = min(limit, max(2, stream_bytes // BLOCK_BYTES))
        self._logs: dict[StreamKey, _Log] = {}
        # From the block that has not been written to for the longest time to the one that was written to last.
        self._order: OrderedDict[int, _Block] = OrderedDict()
        self._wakes: dict[str | None, tuple[Callable[[StreamKey], None], ...]] = {}
        held = self._restore(frozen) if frozen is not None else []
        self._arena = Arena(limit, fd, held)

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, key: StreamKey, pid: int, wall: float, data: bytes) -> None:
        """The bytes that process `pid` wrote at `wall` (epoch seconds) are the last of that stream; watchers are woken.

        A line that another process has left unfinished is closed first.
        """
        if not data:
            return
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = _Log(key)
        if log.pid != pid:
            self._close(log, cut=False)
        wakes = self._wakes.get(key.watcher, ()) + self._wakes.get(None, ())
        if len(data) >= _LOOSE_BYTES and not wakes and self._may_be_loose(log, wall, data):
            self._keep_loose(log, _Loose(log.line, log.open, pid, wall, data))
        else:
            if log.loose:
                self._settle(log)
            log.renew = log.renew or log.pid != pid or not 0 <= wall - log.time < _TOGETHER
            self._put(log, pid, wall, data)
        for wake in wakes:
            wake(key)

    def end(self, key: StreamKey) -> None:
        """The process of that stream is gone: its unfinished line is a line."""
        log = self._logs.get(key)
        if log is not None and log.open:
            self._close(log, cut=False)
            for wake in self._wakes.get(key.watcher, ()) + self._wakes.get(None, ()):
                wake(key)

    def _close(self, log: _Log, *, cut: bool) -> None:
        if log.open:
            log.line += 1
            log.open = 0
            log.renew = True
            log.cut = cut

    def _put(self, log: _Log, pid: int, wall: float, data: bytes) -> None:
        """Write what fits into the last block, and the rest into new ones; each part has the end of at most one long line."""
        start, end = 0, len(data)
        block = log.blocks[-1] if log.blocks else None
        while start < end:
            room = LONGEST_LINE - log.open
            # A newline may stand behind the last byte that has room.
            if end - start <= room or data.find(b"\n", start, start + room + 1) >= 0:
                stop = end
            elif room:
                stop = start + room
            else:
                self._close(log, cut=True)
                continue
            if block is None or block.used + _ENTRY_BYTES * (block.count + log.renew) + 1 > BLOCK_BYTES:
                block = self._new_block(log)
                log.renew = True
            if log.renew:
                self._enter(log, block, pid, wall)
            # What follows a newline in it has no longer line than a block.
            stop = min(stop, start + BLOCK_BYTES - block.used - _ENTRY_BYTES * block.count)
            part = data if stop - start == end else data[start:stop]
            at = block.slot * BLOCK_BYTES + block.used
            self._arena.map[at : at + len(part)] = part
            block.used += len(part)
            newline = part.rfind(b"\n")
            if newline >= 0:
                log.line += newlines(part)
                log.open = 0
            log.open += len(part) - newline - 1
            start = stop
        if block is not None:
            self._order.move_to_end(block.slot)

    def _enter(self, log: _Log, block: _Block, pid: int, wall: float) -> None:
        """The next byte of the block has an entry."""
        block.count += 1
        _ENTRY.pack_into(
            self._arena.map,
            (block.slot + 1) * BLOCK_BYTES - _ENTRY_BYTES * block.count,
            wall,
            log.line,
            pid & 0xFFFFFFFF,
            block.used,
            (0 if log.open else _FRESH) | (_CUT if log.cut else 0),
        )
        log.renew = log.cut = False
        log.time, log.pid = wall, pid

    def _may_be_loose(self, log: _Log, wall: float, data: bytes) -> bool:
        size, most = len(data), self._most * BLOCK_BYTES
        if size > most or (size < BLOCK_BYTES and not log.loose):
            return False
        if not _is_without_long_lines(log.open, data):
            return False
        while log.loose and log.loose_bytes - len(log.loose[0].data) + size >= most:
            self._drop_loose(log)
        if self._loose_bytes + size > self._most_loose and self._loose:
            silent = next(iter(self._loose.values()))
            if silent is not log and not 0 <= wall - silent.loose[-1].wall < _SILENT:
                self._settle(silent)
        return self._loose_bytes + size <= self._most_loose

    def _keep_loose(self, log: _Log, loose: _Loose) -> None:
        data = loose.data
        log.loose.append(loose)
        log.loose_bytes += len(data)
        self._loose_bytes += len(data)
        self._loose[log.key] = log
        self._loose.move_to_end(log.key)
        while log.blocks and len(log.blocks) * BLOCK_BYTES + log.loose_bytes > self._most * BLOCK_BYTES:
            self._drop(log.blocks[0])
        newline = data.rfind(b"\n")
        log.line += newlines(data)
        log.open = len(data) - newline - 1
        log.pid = loose.pid

    def _drop_loose(self, log: _Log) -> _Loose:
        loose = log.loose.popleft()
        log.loose_bytes -= len(loose.data)
        self._loose_bytes -= len(loose.data)
        if not log.loose:
            del self._loose[log.key]
        return loose

    def _settle(self, log: _Log) -> None:
        """All of it is in blocks."""
        if not log.loose:
            return
        after = log.line, log.open
        while log.loose:
            loose = self._drop_loose(log)
            # A line that was closed between two of them has left no other trace.
            log.line, log.open, log.renew = loose.line, loose.open, True
            self._put(log, loose.pid, loose.wall, loose.data)
        log.line, log.open = after
        log.renew = True

    def _settled(self, key: StreamKey) -> _Log | None:
        log = self._logs.get(key)
        if log is not None:
            self._settle(log)
        return log

    def _new_block(self, log: _Log) -> _Block:
        while len(log.blocks) >= self._most:
            self._drop(log.blocks[0])
        slot = self._arena.take()
        while slot is None:
            self._drop(next(iter(self._order.values())))
            slot = self._arena.take()
        block = _Block(log, slot, log.line)
        log.blocks.append(block)
        self._order[slot] = block
        return block

    def _drop(self, block: _Block) -> None:
        # The block written to least recently is the oldest of its own stream too.
        assert block.log.blocks[0] is block
        block.log.blocks.popleft()
        del self._order[block.slot]
        self._arena.give(block.slot)

    def forget(self, watcher: str) -> None:
        """Nothing is kept of that watcher, and its lines count from 1 again."""
        for key in self.keys(watcher):
            log = self._logs.pop(key)
            while log.loose:
                self._drop_loose(log)
            while log.blocks:
                self._drop(log.blocks[0])

    # -- reading -------------------------------------------------------------------------------------------------

    def keys(self, watcher: str | None = None) -> list[StreamKey]:
        """The streams that have ever had output, sorted; of one watcher if it is named."""
        return sorted(key for key in self._logs if watcher is None or key.watcher == watcher)

    def last_number(self, key: StreamKey) -> int:
        """The number of the last finished line; 0 when there was none."""
        log = self._logs.get(key)
        return log.line - 1 if log else 0

    def line_at(self, key: StreamKey) -> int:
        """The number of the line that the next byte of that stream belongs to."""
        log = self._logs.get(key)
        return log.line if log else 1

    def bounds(self, key: StreamKey) -> tuple[int, int]:
        """The number of the oldest line that is still there, and the one after the last finished line."""
        log = self._settled(key)
        return (self._first(log), log.line) if log else (1, 1)

    def line_counts(self) -> dict[str, int]:
        """By watcher, how many lines its streams have finished in all: what is gone counts too."""
        counts: dict[str, int] = {}
        for (watcher, _), count in self.stream_counts().items():
            counts[watcher] = counts.get(watcher, 0) + count
        return counts

    def stream_counts(self) -> dict[tuple[str, str], int]:
        """The same by watcher and stream."""
        counts: dict[tuple[str, str], int] = {}
        for key, log in self._logs.items():
            stream = key.watcher, key.stream
            counts[stream] = counts.get(stream, 0) + log.line - 1
        return counts

    def page(self, key: StreamKey, after: int, max_lines: int, max_bytes: int) -> Page:
        """The finished lines that follow line `after`, as many as the bounds allow but one at least when there is one."""
        log = self._settled(key)
        if log is None:
            return Page([], 1, after)
        first = self._first(log)
        lines: list[Line] = []
        size = 0
        for line in self._lines(log, max(after + 1, first)):
            size += len(line.text)
            if lines and (len(lines) >= max_lines or size > max_bytes):
                break
            lines.append(line)
        return Page(lines, first, lines[-1].number if lines else max(after, min(first, log.line) - 1))

    def tail(self, keys: Iterable[StreamKey], n: int) -> list[tuple[StreamKey, Line]]:
        """The last `n` finished lines of these streams together, oldest first."""
        if n <= 0:
            return []
        return list(islice(self.backwards(dict.fromkeys(keys)), n))[::-1]

    def backwards(self, bounds: Mapping[StreamKey, int | None]) -> Iterator[tuple[StreamKey, Line]]:
        """The finished lines of these streams, merged, newest first; of each those with a lower number than its bound."""
        streams = (self._backwards(key, bound) for key, bound in bounds.items())
        return heapq.merge(*streams, key=_when, reverse=True)

    def forwards(self, bounds: Mapping[StreamKey, int]) -> Iterator[tuple[StreamKey, Line]]:
        """The finished lines of these streams, merged, oldest first; of each those from the number of its bound on."""
        return heapq.merge(*(self._forwards(key, bound) for key, bound in bounds.items()), key=_when)

    def unfinished(self, key: StreamKey) -> Line | None:
        """The line that has begun and not ended, such as a question that waits for an answer."""
        log = self._settled(key)
        if log is None or not log.open or self._first(log) > log.line:
            return None
        return next(self._lines(log, log.line, unfinished=True), None)

    def is_followed(self, key: StreamKey) -> bool:
        """Whether somebody is woken when there is more of that stream."""
        return bool(self._wakes) and (key.watcher in self._wakes or None in self._wakes)

    def watch(self, watcher: str | None, wake: Callable[[StreamKey], None]) -> Callable[[], None]:
        """`wake` is called with the stream each time that there is more of that watcher (None: of any).

        It is called in the hub and must neither block nor raise. Returns what ends that.
        """
        self._wakes[watcher] = (*self._wakes.get(watcher, ()), wake)
        watching = [True]

        def cancel() -> None:
            if watching:
                watching.clear()
                left = list(self._wakes[watcher])
                left.remove(wake)
                if left:
                    self._wakes[watcher] = tuple(left)
                else:
                    del self._wakes[watcher]

        return cancel

    @property
    def held_bytes(self) -> int:
        """The memory that is in use, in bytes."""
        return self._arena.used * BLOCK_BYTES + self._loose_bytes

    def _entry(self, block: _Block, number: int) -> tuple[float, int, int, int, int]:
        at = (block.slot + 1) * BLOCK_BYTES - _ENTRY_BYTES * (number + 1)
        return _ENTRY.unpack_from(self._arena.map, at)

    def _first(self, log: _Log) -> int:
        """The oldest line whose beginning is still there, or will be the next to come."""
        if log.blocks:
            _, line, _, _, flags = self._entry(log.blocks[0], 0)
            return line if flags & _FRESH else line + 1
        return log.line + 1 if log.open else log.line

    def _place(self, log: _Log, number: int) -> tuple[int, int]:
        """The block and the entry in which line `number` begins, or ones before it."""
        at = len(log.blocks) - 1
        while at > 0 and not self._begins_by(log.blocks[at], 0, number):
            at -= 1
        block = log.blocks[at]
        low, high = 0, block.count - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._begins_by(block, middle, number):
                low = middle
            else:
                high = middle - 1
        return at, low

    def _begins_by(self, block: _Block, entry: int, number: int) -> bool:
        _, line, _, _, flags = self._entry(block, entry)
        return line < number or (line == number and bool(flags & _FRESH))

    def _lines(self, log: _Log, number: int, *, unfinished: bool = False) -> Iterator[Line]:
        """The finished lines from `number` on, which must not be older than the first; or the unfinished one."""
        if not log.blocks or number >= log.line + unfinished:
            return
        at, entry = self._place(log, number)
        parts: list[bytes] = []
        _, line, _, _, _ = self._entry(log.blocks[at], entry)
        time, pid = 0.0, 0
        for block in list(log.blocks)[at:]:
            base = block.slot * BLOCK_BYTES
            while entry < block.count:
                arrived, _, owner, offset, flags = self._entry(block, entry)
                entry += 1
                end = self._entry(block, entry)[3] if entry < block.count else block.used
                if flags & _FRESH and parts:
                    if line >= number:
                        yield Line(line, time, pid, b"".join(parts), bool(flags & _CUT))
                    parts.clear()
                    line += 1
                pieces = self._arena.map[base + offset : base + end].split(b"\n")
                last = pieces.pop()
                for piece in pieces:
                    if parts:
                        parts.append(piece)
                        if line >= number:
                            yield Line(line, time, pid, b"".join(parts), False)
                        parts.clear()
                    elif line >= number:
                        yield Line(line, arrived, owner, piece, False)
                    line += 1
                if last:
                    if not parts:
                        time, pid = arrived, owner
                    parts.append(last)
            entry = 0
        if parts and line >= number and bool(log.open) == unfinished:
            yield Line(line, time, pid, b"".join(parts), False)

    def _forwards(self, key: StreamKey, number: int) -> Iterator[tuple[StreamKey, Line]]:
        log = self._settled(key)
        if log is not None:
            for line in self._lines(log, max(number, self._first(log))):
                yield key, line

    def _backwards(self, key: StreamKey, below: int | None) -> Iterator[tuple[StreamKey, Line]]:
        log = self._settled(key)
        if log is None:
            return
        first = self._first(log)
        step, high = 16, log.line if below is None else min(below, log.line)
        while high > first:
            low = max(first, high - step)
            lines = []
            for line in self._lines(log, low):
                if line.number >= high:
                    break
                lines.append((key, line))
            yield from reversed(lines)
            step, high = 256, low

    # -- across an exec ------------------------------------------------------------------------------------------

    def freeze(self) -> tuple[int, dict[str, Any]]:
        """The descriptor of the memory (close-on-exec, still ours) and, as JSON data, what is where in it."""
        for log in self._logs.values():
            self._settle(log)
        logs = [_freeze_log(log) for log in self._logs.values()]
        return self._arena.fd, {"version": _VERSION, "order": list(self._order), "logs": logs}

    def copy(self, keys: Iterable[StreamKey]) -> tuple[int, dict[str, Any]]:
        """What `freeze` gives, of these streams alone and as a copy; the descriptor is the caller's. Raises OSError."""
        logs = [log for log in map(self._settled, keys) if log is not None]
        slots = [block.slot for log in logs for block in log.blocks]
        fd = os.memfd_create("circusd-history-copy", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, max(1, len(slots)) * BLOCK_BYTES)
            with memoryview(self._arena.map) as view:
                for number, slot in enumerate(slots):
                    with view[slot * BLOCK_BYTES : (slot + 1) * BLOCK_BYTES] as block:
                        os.pwrite(fd, block, number * BLOCK_BYTES)
        except BaseException:
            os.close(fd)
            raise
        place = {slot: number for number, slot in enumerate(slots)}
        frozen = [_freeze_log(log, place) for log in logs]
        return fd, {"version": _VERSION, "order": list(range(len(slots))), "logs": frozen}

    @classmethod
    def thaw(
        cls, fd: int, frozen: Mapping[str, Any], limit_bytes: int = 256 << 20, stream_bytes: int = 1 << 20
    ) -> History:
        """The history of `freeze`, which owns `fd` from then on; ValueError (and `fd` untouched) when they do not fit.

        Bounds that are lower than before take effect as output comes in.
        """
        return cls(limit_bytes, stream_bytes, fd=fd, frozen=frozen)

    def _restore(self, frozen: Mapping[str, Any]) -> list[int]:
        """Everything but the memory is as it was; returns the numbers of the blocks in use."""
        try:
            if frozen["version"] != _VERSION:
                raise ValueError("this history was written by another version")
            self._logs = {log.key: log for log in map(_thaw_log, frozen["logs"])}
            held = [block for log in self._logs.values() for block in log.blocks]
            blocks = {block.slot: block for block in held}
            self._order = OrderedDict((slot, blocks[slot]) for slot in frozen["order"])
        except (KeyError, TypeError, IndexError) as problem:
            raise ValueError(f"not a history: {problem!r}") from problem
        if len(held) != len(self._order):
            raise ValueError("blocks are missing, or in two places")
        return [block.slot for block in held]

    def close(self) -> None:
        """The memory is given back; nothing else may be called any more."""
        self._arena.close()


def _freeze_log(log: _Log, place: Mapping[int, int] | None = None) -> dict[str, Any]:
    return {
        "key": list(log.key),
        "line": log.line,
        "open": log.open,
        "cut": log.cut,
        "pid": log.pid,
        "blocks": [
            [block.slot if place is None else place[block.slot], block.used, block.count, block.line]
            for block in log.blocks
        ],
    }


def _thaw_log(frozen: Mapping[str, Any]) -> _Log:
    watcher, wid, stream = frozen["key"]
    log = _Log(StreamKey(str(watcher), int(wid), str(stream)))
    log.line, log.open, log.pid = int(frozen["line"]), int(frozen["open"]), int(frozen["pid"])
    log.cut = bool(frozen["cut"])
    for slot, used, count, line in frozen["blocks"]:
        if not 0 < used <= BLOCK_BYTES - _ENTRY_BYTES * count or count < 1:
            raise ValueError("a block holds more than it can")
        log.blocks.append(_Block(log, int(slot), int(line), int(used), int(count)))
    return log


def _when(item: tuple[StreamKey, Line]) -> float:
    return item[1].time


def _is_without_long_lines(open_: int, data: bytes) -> bool:
    """Not for certain when it says no: it looks for a newline in each half of the longest line's length, which takes no time."""
    half = LONGEST_LINE // 2
    return open_ <= half and all(
        data.find(b"\n", at, at + half) >= 0 for at in range(0, len(data) - half + 1, half)
    )
