"""What is where in the log files: at some offsets the time, and the next line of each process; kept in the state folder.

One index for each log, whatever its files are called by now. An entry, one JSON line, says of a file that it ended at that
offset at that time, and for each stream that was written to it since circusd started, which line comes next. An index
is never needed: without it files are searched all the same, and times and line numbers are not known.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakValueDictionary

from circusd.schema.errors import CircusError

from .clock import wall

if TYPE_CHECKING:
    from .backlog import Piece
    from .writer import Writers


FOLDER: Final = "index"
SPACING_BYTES: Final = 64 << 10
"""An entry comes after so many bytes,"""
SPACING_SECONDS: Final = 10.0
"""or with what is written so long after the last one."""
INDEX_BYTES: Final = 512 << 10
"""The older half of an index that has grown to this goes."""
INDEXES: Final = 1000
"""So many there are at most; those of logs that were not written for the longest time go."""
PENDING: Final = 4096
"""Entries that wait for the disk at most."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.-]+", re.ASCII)


class Mark(NamedTuple):
    """A file at one moment."""

    epoch: str
    """The circusd that wrote it; see ``inspect``."""
    file: int
    """The file's inode."""
    offset: int
    """Where the file ended."""
    time: float
    """When the last of it came, epoch seconds."""
    lines: dict[str, int]
    """For each stream, as ``wid/stream/watcher``: the number of the first line that begins there or later."""
    torn: bool
    """The file ended in the middle of a line."""
    written: float = 0.0
    """When it was written, epoch seconds."""


class FileIndex:
    """The index of one log: told of what was written, in the thread that writes it."""

    def __init__(self, path: str, indexes: FileIndexes) -> None:
        self.path = path
        self._indexes = indexes
        self._lines: dict[tuple[object, int], tuple[str, int]] = {}
        self._file = self._offset = -1
        self._time = 0.0
        self.latest: Mark | None = None
        """The file as it was written last: not yet in the index, if it is not due."""

    def begins(self, file: int, size: int) -> None:
        """What the file of that inode has is by others, or by an earlier circusd; the first `wrote` is to come."""
        self._put(Mark(self._indexes.epoch, file, size, 0.0, {}, False))

    @property
    def has_begun(self) -> bool:
        """Whether that was told."""
        return self._file >= 0

    def wrote(self, file: int, size: int, batch: Sequence[Piece]) -> None:
        """The batch is written, and the file of that inode has ``size`` bytes now."""
        last = batch[-1].mark
        for tally, _, data, mark in batch:
            if mark is not None:
                wid, line, _ = mark
                known = self._lines.get((tally, wid))
                name = known[0] if known else f"{wid}/{tally.stream}/{tally.watcher}"
                self._lines[tally, wid] = (name, line + (not data.endswith(b"\n")))
        if last is None:
            return
        torn = not batch[-1].data.endswith(b"\n")
        self.latest = Mark(self._indexes.epoch, file, size, last[2], dict(self._lines.values()), torn, wall())
        if self._is_due(file, size, last[2]):
            self._put(self.latest)

    def _is_due(self, file: int, size: int, now: float) -> bool:
        if file != self._file or size < self._offset:
            return True
        return size - self._offset >= SPACING_BYTES or now - self._time >= SPACING_SECONDS

    def _put(self, mark: Mark) -> None:
        self._file, self._offset, self._time = mark.file, mark.offset, mark.time
        self._indexes.put(self.path, mark)


class FileIndexes:
    """All indexes of one daemon. Nothing is made before there is something to write."""

    device = 0

    def __init__(self, epoch: str, folder: Callable[[], str], writers: Writers) -> None:
        """``folder`` makes the state folder in a thread and tells its path; it may raise."""
        self.epoch = epoch
        self._folder = folder
        self._writers = writers
        self._pending: deque[tuple[str, Mark]] = deque(maxlen=PENDING)
        self._writing: list[tuple[str, Mark]] = []
        self._logs: WeakValueDictionary[str, FileIndex] = WeakValueDictionary()
        self._is_begun = False
        self._is_tidy = False
        self._problem = ""

    def of(self, path: str) -> FileIndex:
        """The index of the log that is written at that path."""
        index = self._logs[path] = FileIndex(path, self)
        return index

    def put(self, path: str, mark: Mark) -> None:
        """In a thread that writes logs: the entry will be in the index, soon and without waiting for it."""
        self._pending.append((path, mark))
        if not self._is_begun:
            self._is_begun = True
            self._writers.tell(self._begin)

    def _begin(self) -> None:
        # By another thread than those of the logs, whose disks may work when this one does not.
        self._writers.begin_later(self)

    def pending(self, path: str) -> list[Mark]:
        """In the hub: the entries that are not in the index yet, or were put there a moment ago, and the latest of all."""
        index = self._logs.get(path)
        latest = None if index is None else index.latest
        marks = [mark for of, mark in (*self._writing, *tuple(self._pending)) if of == path]
        return marks if latest is None or latest in marks else [*marks, latest]

    def work(self) -> bool:
        """See `writer.Work`."""
        self._is_begun = False
        self._writing = [self._pending.popleft() for _ in range(len(self._pending))]
        try:
            folder = os.path.join(self._folder(), FOLDER)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if not self._is_tidy:
                self._is_tidy = True
                _tidy(folder)
            self.device = os.stat(folder).st_dev
            for path in dict.fromkeys(path for path, _ in self._writing):
                append(os.path.join(folder, name_of(path)), [m for p, m in self._writing if p == path])
        except (OSError, CircusError) as error:
            self._tell(str(error))
        else:
            self._tell("")
        return False

    def _tell(self, problem: str) -> None:
        """Once when it begins: an index is never needed, and a search tells what it could not know."""
        if problem and problem != self._problem:
            # Not where the index is read: that process is to be small.
            import logging

            log = logging.getLogger("circusd.files")
            log.warning("no index of log files is kept, so lines found there may have no time: %s", problem)
        self._problem = problem


def name_of(path: str) -> str:
    """The file name of a log's index: the end of the path as far as a name can have it, and sums of all of it."""
    raw = os.fsencode(path)
    return f"{_UNSAFE.sub('_', path)[-60:]}.{zlib.crc32(raw):08x}{zlib.adler32(raw):08x}"


def append(path: str, marks: Iterable[Mark]) -> None:
    """The entries are the last of the index; of one that grows too large, the older half is gone. Raises OSError."""
    data = b"".join(json.dumps(mark, separators=(",", ":")).encode("ascii") + b"\n" for mark in marks)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size + len(data) > INDEX_BYTES:
            kept = os.pread(fd, INDEX_BYTES // 2, max(0, size - INDEX_BYTES // 2))
            os.ftruncate(fd, 0)
            data = kept[kept.find(b"\n") + 1 :] + data
        os.write(fd, data)
    finally:
        os.close(fd)


def _tidy(folder: str) -> None:
    """No more indexes are there than may be."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime)
    for entry in entries[: max(0, len(entries) - INDEXES)]:
        os.unlink(entry.path)


def read_index(folder: str, path: str, pending: Iterable[Sequence[Any]]) -> list[Mark]:
    """The entries of a log's index in the order of their making, with those that were not written yet; never raises."""
    lines: list[bytes] = []
    try:
        fd = os.open(os.path.join(folder, FOLDER, name_of(path)), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            lines = os.read(fd, INDEX_BYTES * 2).splitlines()
        finally:
            os.close(fd)
    except OSError:
        # There is none (yet).
        pass
    marks: list[Mark] = []
    for entry in (*map(_decoded, lines), *pending):
        try:
            epoch, file, offset, time, numbers, torn, written = entry
            mark = Mark(
                str(epoch), int(file), int(offset), float(time), dict(numbers), bool(torn), float(written)
            )
        except (TypeError, ValueError):
            continue
        marks.append(mark)
    # One that is in the index may be told again as pending, and the latest may be older than what came there since.
    marks = list({(m.epoch, m.file, m.offset, m.time): m for m in marks}.values())
    at = len(marks) - 1
    while at > 0 and marks[at - 1].epoch == marks[-1].epoch and marks[at - 1].time > marks[-1].time:
        at -= 1
    return marks[:at] + marks[-1:] + marks[at:-1]


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def by_file(marks: Iterable[Mark]) -> dict[int, list[Mark]]:
    """The entries of each file by their offsets; those of before it was truncated, or of an earlier file with its inode, are
    left out."""
    found: dict[int, list[Mark]] = {}
    last = -1
    for mark in marks:
        known = found.setdefault(mark.file, [])
        if known and (mark.offset < known[-1].offset or mark.file != last):
            known.clear()
        known.append(mark)
        last = mark.file
    return found
