"""The files of one log: which there are, and their lines forwards or backwards, compressed or not, in constant memory.

For a process that may wait for the disk. What lies in a folder of logs may have been put there by whoever writes the
logs: links, FIFOs and files of other users are not read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from circusd.kernel.diagnosis import in_words

from .fileindex import Mark
from .history import LONGEST_LINE
from .newlines import newlines
from .unpacking import CHUNK_BYTES, Unfinished, Unpacked

FILES_LIMIT: Final = 512
"""Files of one log that are looked at; the newest ones."""

_ROUNDS: Final = 4
_SUFFIX: Final = re.compile(r"[.-]\d{1,14}(?:[._-]\d{1,9}){0,3}(\.[a-z0-9]{1,5})?")
"""As rotation here and logrotate (with ``dateext`` or without) put a file aside."""
_PACKED: Final = ("gz", "xz", "bz2")
_OTHERS: Final = ("zst", "lz4", "lzo", "zip")
"""Put aside too, in a form that is not read."""

T = TypeVar("T")

Tick = Callable[[int], None]
"""Told how many bytes of files were read; may raise to end the reading."""


class Unread(NamedTuple):
    """A file that is not read, and why."""

    file: str
    reason: str


class Chunk(NamedTuple):
    """Whole lines of a file that follow each other."""

    start: int
    """Where they begin, in bytes of the content."""
    data: bytes

    @property
    def end(self) -> int:
        """Where they end."""
        return self.start + len(self.data)

    def forwards(self) -> Iterator[tuple[int, bytes]]:
        """Where each line begins, and the line without its newline."""
        at = self.start
        for line in self.data.removesuffix(b"\n").split(b"\n"):
            yield at, line
            at += len(line) + 1

    def backwards(self) -> Iterator[tuple[int, bytes]]:
        """The same from the last one."""
        at = self.end + (not self.data.endswith(b"\n"))
        for line in reversed(self.data.removesuffix(b"\n").split(b"\n")):
            at -= len(line) + 1
            yield at, line


class LogFile:
    """One open file of a log."""

    def __init__(
        self, path: str, fd: int, kind: str, *, grows: bool = False, unfinished: Unfinished | None = None
    ) -> None:
        """Owns the descriptor. ``kind`` is ``gz``, ``xz``, ``bz2``, or empty for plain text; of a file that grows, a line
        that has no end is none yet."""
        status = os.fstat(fd)
        self.path = path
        self.fd = fd
        self.kind = kind
        self.unfinished = unfinished
        self._grows = grows
        self.id = -status.st_ino if kind else status.st_ino
        """Tells the file from others of the log, also when it is compressed later: the inode that it was written as. Of a
        compressed one, below 0 as long as that is not known: its own inode may be that of a file that is gone."""
        self.size = status.st_size
        self.mtime = status.st_mtime
        self.mtime_ns = status.st_mtime_ns
        self.latest = status.st_mtime
        """No line in it came later."""
        self.marks: list[Mark] = []
        """What is known of it, by offset."""
        self.shrunk = False
        """It was truncated while it was read."""
        self._known: tuple[Mark | None, int, int] = (None, 0, 0)

    def close(self) -> None:
        """The descriptor is closed."""
        os.close(self.fd)

    # -- lines -------------------------------------------------------------------------------------------------------

    def forwards(self, start: int, end: int | None, tick: Tick) -> Iterator[Chunk]:
        """The lines that begin at ``start`` or after it and before ``end``, from the first. Raises OSError and what
        the modules of compression raise (OSError, EOFError, ValueError or their own error)."""
        end = self.end if end is None else end
        with _Source(self, start, tick) as source:
            at = source.skip()
            rest = b""
            while at < end and (data := source.read(at + len(rest))):
                data = rest + data
                cut = data.rfind(b"\n") + 1
                if not cut and len(data) < LONGEST_LINE:
                    rest = data
                    continue
                cut = cut or len(data)
                rest = data[cut:]
                chunk = Chunk(at, data[:cut])
                yield chunk if chunk.end <= end else _before(chunk, end)
                at += cut
            if rest and at < end and not self._grows:
                yield Chunk(at, rest)

    def lines_before(self, end: int | None) -> list[int]:
        """Of a compressed file, beginnings of lines from which on it is read without what comes before them, from the last
        one before ``end`` down to 0; more of them when it was read already."""
        if self.unfinished is None:
            return [0]
        return self.unfinished.lines_before(self.fd, self.end if end is None else end)

    def backwards(self, end: int | None, tick: Tick) -> Iterator[Chunk]:
        """The lines that begin before ``end``, from the last chunk to the first; of a plain file."""
        at = self._last_end() if end is None else self.line_end(min(end, self.end))
        rest = b""
        while at > 0:
            start = max(0, at - CHUNK_BYTES)
            data = os.pread(self.fd, at - start, start)
            tick(len(data))
            if len(data) < at - start:
                self.shrunk = True
                return
            data += rest
            cut = 0 if start == 0 else data.find(b"\n", 0, len(data) - 1) + 1
            if start and not cut and len(data) < LONGEST_LINE:
                rest, at = data, start
                continue
            rest = data[:cut] if cut else b""
            yield Chunk(start + cut, data[cut:])
            at = start + cut - len(rest)

    @property
    def end(self) -> int:
        """Where its content ends: of a compressed file, somewhere beyond any offset."""
        return 1 << 62 if self.kind else self.size

    def _last_end(self) -> int:
        if not self._grows or self.has_end_of_line(self.size - 1):
            return self.end
        start = max(0, self.size - LONGEST_LINE)
        return start + os.pread(self.fd, self.size - start, start).rfind(b"\n") + 1

    def has_end_of_line(self, offset: int) -> bool:
        """Whether the line in which that byte is has an end."""
        return bool(self.kind) or b"\n" in os.pread(self.fd, LONGEST_LINE, max(0, offset))

    def line_end(self, offset: int) -> int:
        """The end of the line in which the byte before ``offset`` is; of a plain file."""
        if offset <= 0 or os.pread(self.fd, 1, offset - 1) == b"\n":
            return offset
        found = os.pread(self.fd, LONGEST_LINE, offset).find(b"\n") + 1
        return min(self.size, offset + (found or LONGEST_LINE))

    def skip_last(self, lines: int) -> int:
        """The offset before the last so many lines; of a plain file."""
        at = self.size
        while at > 0 and lines > 0:
            start = max(0, at - CHUNK_BYTES)
            data = os.pread(self.fd, at - start, start)
            count = newlines(data[:-1] if at == self.size else data)
            if count < lines:
                lines -= count
                at = start
                continue
            cut = len(data) - (at == self.size)
            for _ in range(lines):
                cut = data.rfind(b"\n", 0, cut)
            return start + cut + 1
        return at

    # -- what the index knows ----------------------------------------------------------------------------------------

    def time_at(self, start: int) -> float | None:
        """About when the line that begins there came, epoch seconds: no earlier than it did; None if unknown."""
        after = _first_from(self.marks, start + 1)
        if after == len(self.marks):
            return self.latest if self.marks else None
        if self.marks[after].lines:
            return self.marks[after].time
        # Another circusd began to write there, much later perhaps.
        return self.marks[after - 1].time if after else None

    def owner_at(self, start: int) -> tuple[str, str, int] | None:
        """Epoch and stream (``wid/stream/watcher``) of the line that begins there, and its number there; None if not known,
        as where several streams go to the file. Counts lines from what is known nearby."""
        at = _first_from(self.marks, start + 1)
        before = self.marks[at - 1] if at else None
        after = self.marks[at] if at < len(self.marks) else None
        same = before is not None and after is not None and before.epoch == after.epoch
        if before is not None and not before.lines and not same:
            return None
        near = before if before is not None and before.lines else after
        if near is None or len(near.lines) != 1 or self.kind:
            return None
        if same and before and after and before.lines and before.lines.keys() != after.lines.keys():
            return None
        ((key, number),) = near.lines.items()
        return near.epoch, key, self._number(near, number, start)

    def _number(self, mark: Mark, number: int, start: int) -> int:
        """The number of the line at ``start``, by a mark or by the line that was asked for last."""
        known_mark, known, known_number = self._known
        if known_mark is mark and abs(start - known) < abs(start - mark.offset):
            between = self._newlines(min(start, known), max(start, known))
            found = known_number + (between if start >= known else -between)
        elif mark.offset <= start:
            # Of a mark in the middle of a line, the number is that of the next one.
            found = number + self._newlines(mark.offset, start) - (mark.torn and start > mark.offset)
        else:
            found = number - self._newlines(start, mark.offset) - mark.torn
        self._known = (mark, start, found)
        return found

    def _newlines(self, start: int, end: int) -> int:
        count = 0
        while start < end and (data := os.pread(self.fd, min(CHUNK_BYTES, end - start), start)):
            count += newlines(data)
            start += len(data)
        return count


class _Source:
    """The content of a file from some place on; in a with block."""

    def __init__(self, file: LogFile, start: int, tick: Tick) -> None:
        self._file = file
        self._start = start
        self._tick = tick
        self._content: Unpacked | None = None
        self._told = 0

    def __enter__(self) -> _Source:
        if self._file.kind:
            if self._file.unfinished is not None:
                self._content = self._file.unfinished.take(self._file.fd, self._file.kind, self._start)
            else:
                self._content = Unpacked(self._file.fd, self._file.kind)
            self._told = self._content.packed
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._content is None:
            return
        if self._file.unfinished is not None and kind in (None, GeneratorExit):
            self._file.unfinished.give_back(self._file.fd, self._content)
        else:
            self._content.close()

    def skip(self) -> int:
        """What is before the place is passed over; returns where that leads."""
        content = self._content
        if content is None:
            return self._start
        while content.end < self._start and content.read(content.end):
            self._tell()
        return min(self._start, content.end)

    def read(self, at: int) -> bytes:
        """Some bytes from ``at`` on; none at the end."""
        if self._content is not None:
            data = self._content.read(at)
            self._tell()
            return data
        data = os.pread(self._file.fd, max(0, min(CHUNK_BYTES, self._file.size - at)), at)
        self._file.shrunk = self._file.shrunk or (not data and at < self._file.size)
        self._tick(len(data))
        return data

    def _tell(self) -> None:
        assert self._content is not None
        read = self._content.packed
        self._tick(max(0, read - self._told))
        self._told = max(self._told, read)


def _before(chunk: Chunk, end: int) -> Chunk:
    """The chunk without the lines that begin at ``end`` or after it."""
    last = chunk.data.find(b"\n", max(0, end - chunk.start - 1)) + 1
    return Chunk(chunk.start, chunk.data[: last or len(chunk.data)])


def _first_from(marks: list[Mark], offset: int) -> int:
    """The place of the first mark at that offset or behind it."""
    return bisect_left(marks, offset, key=attrgetter("offset"))


def open_files(
    path: str, refused: Callable[[Unread], None], unfinished: Unfinished | None = None
) -> list[LogFile]:
    """The files of the log that is written at ``path``, open, the newest first; those that can't be read are told."""
    found: dict[int, LogFile] = {}
    tried: set[tuple[str, int]] = set()
    for _ in range(_ROUNDS):
        # A rotation may go on meanwhile: what has another name by now is found under it in the next round.
        before = len(tried)
        refuse = refused if not tried else lambda _: None
        for name in _newest(_names(path, refuse), path, refuse):
            _try(name, path, found, (tried, unfinished), refused)
        if len(tried) == before:
            break
    _forget_copies(found)
    # Of two that had the log's own name, one round after the other, the later one is the newer.
    files = [file for file in reversed(found.values()) if file.path == path]
    aside = (file for file in found.values() if file.path != path)
    files += _newest_first(aside, path, lambda file: (file.path, file.mtime))
    for file in files[FILES_LIMIT:]:
        file.close()
    return files[:FILES_LIMIT]


def _forget_copies(found: dict[int, LogFile]) -> None:
    """Of a file that is just being compressed, only one form is left."""
    plain = {file.mtime_ns: file for file in found.values() if not file.kind}
    for packed in [file for file in found.values() if file.kind == "gz"]:
        file = plain.get(packed.mtime_ns)
        if file is None:
            continue
        # Rare, and who reads is to be small.
        from .rotation import is_same_content

        if is_same_content(os.fstat(file.fd), os.fstat(packed.fd), packed.fd):
            found.pop(packed.id).close()


def _newest(names: list[str], path: str, refused: Callable[[Unread], None]) -> list[str]:
    """Those that are looked at: no more files are opened than that."""
    if len(names) <= FILES_LIMIT:
        return names
    aside = _newest_first(names[1:], path, lambda name: (name, _time_of(name)))
    shown, left = aside[: FILES_LIMIT - 1], aside[FILES_LIMIT - 1 :]
    older = f", as are {len(left) - 1} more" if len(left) > 1 else ""
    refused(Unread(left[0], f"it is older than the newest {FILES_LIMIT} files of the log{older}"))
    return [path, *shown]


def _newest_first(those: Iterable[T], path: str, told: Callable[[T], tuple[str, float]]) -> list[T]:
    """Files that were put aside, of which ``told`` has name and time: by number, or by time where not all have one."""
    rows = [(*told(one), one) for one in those]
    if all(_number(name, path) for name, _, _ in rows):
        rows.sort(key=lambda row: _number(row[0], path))
    else:
        rows.sort(key=lambda row: (row[1], row[0]), reverse=True)
    return [one for _, _, one in rows]


def _time_of(name: str) -> float:
    try:
        return os.lstat(name).st_mtime
    except OSError:
        # It has another name by now, or none.
        return 0.0


def _names(path: str, refused: Callable[[Unread], None]) -> list[str]:
    """The path, and what was put aside beside it."""
    folder, name = os.path.split(path)
    try:
        entries = os.listdir(folder)
    except OSError as problem:
        if problem.errno != errno.ENOENT:
            refused(Unread(folder, _why(problem)))
        return [path]
    stem, ending = os.path.splitext(name)
    found = [path]
    for entry in entries:
        rest = entry.removeprefix(name) if entry.startswith(name) else ""
        if not rest and ending and entry.startswith(stem):
            # logrotate with ``extension``: out-20260301.log.gz
            rest = entry.removeprefix(stem).replace(ending, "", 1)
        if rest and (match := _SUFFIX.fullmatch(rest)):
            kind = (match[1] or "").removeprefix(".")
            if not kind or kind in _PACKED or kind.isdecimal():
                found.append(os.path.join(folder, entry))
            elif kind in _OTHERS:
                refused(Unread(os.path.join(folder, entry), f".{kind} can't be read; gz, xz and bz2 can"))
    return found


def _try(
    name: str,
    path: str,
    found: dict[int, LogFile],
    known: tuple[set[tuple[str, int]], Unfinished | None],
    refused: Callable[[Unread], None],
) -> None:
    tried, unfinished = known
    try:
        status = os.lstat(name)
    except OSError as problem:
        if problem.errno != errno.ENOENT and (name, 0) not in tried:
            tried.add((name, 0))
            refused(Unread(name, _why(problem)))
        return
    if (name, status.st_ino) in tried or status.st_ino in found:
        return
    tried.add((name, status.st_ino))
    try:
        file = _open(name, unfinished, is_current=name == path)
    except FileNotFoundError:
        return
    except OSError as problem:
        refused(Unread(name, _why(problem)))
        return
    if file.id in found:
        file.close()
    else:
        found[file.id] = file


def _open(name: str, unfinished: Unfinished | None, *, is_current: bool) -> LogFile:
    """Raises OSError, with a reason, for what is not read."""
    # As where it is written: links of the administrator lead to logs, those of others anywhere.
    status = os.lstat(name)
    follow = is_current and stat.S_ISLNK(status.st_mode) and status.st_uid in (0, os.geteuid())
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(name, flags)
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from None
        raise
    status = os.fstat(fd)
    problem_ = ""
    if not stat.S_ISREG(status.st_mode):
        problem_ = "it is no regular file"
    elif status.st_nlink > 1 and os.geteuid() == 0:
        # Who may write to the folder could have given a second name to any file.
        problem_ = "it has a second name"
    if problem_:
        os.close(fd)
        raise OSError(errno.EINVAL, problem_)
    kind = name.rpartition(".")[2]
    packed = kind if kind in _PACKED and not is_current else ""
    return LogFile(name, fd, packed, grows=is_current, unfinished=unfinished)


def _number(name: str, path: str) -> int:
    """Of files that were put aside by number, the number: the higher the older; 0 for others."""
    rest = name.removeprefix(path).removeprefix(".").partition(".")[0]
    return int(rest) if rest.isdecimal() and len(rest) < 8 else 0


def _why(problem: OSError) -> str:
    return problem.strerror or in_words(problem.errno or 0)


def size_of(path: str) -> int:
    """About how many bytes the files of a log have."""
    size = 0
    for name in _names(path, lambda _: None):
        try:
            size += os.lstat(name).st_size
        except OSError:
            continue
    return size
