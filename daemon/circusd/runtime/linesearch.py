"""One page of lines: of the memory and of log files, merged by time, with the places where it begins and ends.

For a process of its own: see `searches` for who starts it, and `circusd.cli.searcher` for what runs in it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from .fileindex import Mark
from .history import History
from .linequery import DONE, Log, Position, Query, line_id, matcher, name_of
from .linerows import ROW_BYTES, Late, LogRows, Row, Told
from .unpacking import Unfinished

Give = Callable[[int], tuple[History, list[Mark]]]
"""The memory of a log's streams, and its index."""


class Search:
    """A page, read log by log: never more lines are held than twice what a page may have."""

    def __init__(
        self, query: Query, give: Give, report: Callable[[int], None], files: Unfinished | None = None
    ) -> None:
        """``report`` is told how many bytes of files were read, now and then; ``files`` are those that an earlier page has not
        read to their end. Raises BadRequest for a wrong pattern."""
        self._query = query
        self._give = give
        self._report = report
        self._files = files
        self._told = Told()
        self._began = time.monotonic()
        self._wanted = matcher(
            query.pattern, fixed=query.fixed, ignore_case=query.ignore_case, invert=query.invert
        )
        self._logs: dict[int, LogRows] = {}
        self._rows: dict[int, list[Row]] = {}
        """Of each log, the lines that are in the page and the one after them."""
        self._page: list[Row] = []
        self._unfinished: set[int] = set()
        """Logs of which there may be more than was read."""
        self._is_late = False

    def run(self) -> dict[str, Any]:
        """The reply."""
        for number in range(len(self._query.logs)):
            if self._is_late:
                break
            self._read(number)
        return self._reply()

    def _read(self, number: int) -> None:
        query = self._query
        history, marks = self._give(number)
        log = self._logs[number] = LogRows(
            number, query, self._wanted, (history, marks), self._told, self._tick, self._files
        )
        rows: list[Row] = []
        matches = size = 0
        try:
            for row in log.rows():
                rows.append(row)
                matches += row.is_match
                size += len(row.text) + ROW_BYTES
                if matches > query.limit or size > query.limit_bytes or self._is_beyond(row):
                    self._unfinished.add(number)
                    break
        except Late:
            self._is_late = True
            self._unfinished.add(number)
        finally:
            history.close()
        self._rows[number] = rows
        self._merge(rows)

    def _is_beyond(self, row: Row) -> bool:
        """Whether the page is full without lines such as this and what comes after it."""
        if not self._page or sum(r.is_match for r in self._page) < self._query.limit:
            return False
        last = self._page[-1].order
        return row.order < last if self._query.is_older else row.order > last

    def _merge(self, rows: list[Row]) -> None:
        query = self._query
        page = sorted([*self._page, *rows], key=lambda row: row.order, reverse=query.is_older)
        matches = size = 0
        self._page = []
        for row in page:
            matches += row.is_match
            size += len(row.text) + ROW_BYTES
            if self._page and (matches > query.limit or size > query.limit_bytes):
                break
            self._page.append(row)
        if query.limit == 0:
            self._page = []
        counts = Counter(row.log for row in self._page)
        for number, its in self._rows.items():
            if len(its) > counts[number]:
                self._unfinished.add(number)
                del its[counts[number] + 1 :]

    def _tick(self, count: int, may_end: bool) -> None:
        self._report(self._told.read_bytes)
        # Each page gets on by a chunk at least.
        is_on = self._told.read_bytes > count
        if may_end and is_on and time.monotonic() > self._began + self._query.seconds:
            raise Late

    # -- the reply ---------------------------------------------------------------------------------------------------

    def _reply(self) -> dict[str, Any]:
        query = self._query
        counts = Counter(row.log for row in self._page)
        # For those of which nothing was in a page yet, the time decides on.
        onwards = Position(query.position.direction, {}, {}, query.position.time)
        for number in range(len(query.logs)):
            self._go_on(number, counts[number], onwards)
        paths = [log.path for log in query.logs if log.path]
        back, forth = query.position.flipped(paths).encoded(), onwards.encoded()
        rows = self._page[::-1] if query.is_older else self._page
        return {
            "lines": self._shown(rows),
            "matches": sum(row.is_match for row in rows),
            "older": forth if query.is_older else back,
            "newer": back if query.is_older else forth,
            "more": bool(self._unfinished) or self._is_late,
            "searched": {
                "bytes": self._told.read_bytes,
                "files": self._told.files,
                "seconds": round(time.monotonic() - self._began, 3),
            },
            "complete": not self._is_late,
            "unsearched": [unread._asdict() for unread in self._told.unread],
            "notes": list(self._told.notes),
        }

    def _go_on(self, number: int, count: int, onwards: Position) -> None:
        """Where the next page goes on in one log of which so many lines are in this page."""
        query, log, position = self._query, self._query.logs[number], self._query.position
        names = [name_of(key) for key in log.keys]
        for name in names:
            if name in position.numbers:
                onwards.numbers[name] = position.numbers[name]
        if log.path in position.files:
            onwards.files[log.path] = position.files[log.path]
        if number not in self._logs:
            return
        its = self._rows[number]
        read = self._logs[number]
        if not query.is_older and any(row.place is None for row in its[:count]):
            self._into_memory(read, log, onwards)
        for row in its[:count]:
            if row.place is not None:
                onwards.files[log.path] = (row.place[0], row.place[1] if query.is_older else row.place[2])
            else:
                assert row.key is not None and row.number is not None
                onwards.numbers[name_of(row.key)] = row.number
                if not query.is_older and log.path:
                    onwards.files[log.path] = DONE
        following = its[count] if len(its) > count else None
        if number not in self._unfinished:
            self._all_read(log, read, onwards)
        elif following is None:
            if read.at is not None:
                onwards.files[log.path] = read.at
        elif count == 0 or (its[count - 1].place is None) is not (following.place is None):
            self._up_to(following, read, log, onwards)

    def _all_read(self, log: Log, read: LogRows, onwards: Position) -> None:
        if log.path:
            onwards.files[log.path] = DONE
        for name, first in read.first.items():
            if self._query.is_older:
                onwards.numbers[name] = min(first, onwards.numbers.get(name, first))
            else:
                onwards.numbers[name] = log.next.get(name, 1) - 1

    def _up_to(self, row: Row, read: LogRows, log: Log, onwards: Position) -> None:
        """What comes before a line that was read and did not fit is not read again."""
        if row.place is not None:
            onwards.files[log.path] = (
                row.place[0],
                row.place[1] + 1 if self._query.is_older else row.place[1],
            )
        elif not self._query.is_older:
            self._into_memory(read, log, onwards)

    def _into_memory(self, read: LogRows, log: Log, onwards: Position) -> None:
        """Forwards: the files are done, and of each stream it is known where its memory begins."""
        if log.path:
            onwards.files[log.path] = DONE
        if self._query.position.time is None:
            for name, low in read.low.items():
                onwards.numbers[name] = max(onwards.numbers.get(name, 0), low - 1)

    def _shown(self, rows: list[Row]) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        last: dict[int, Row] = {}
        tells = self._query.pattern is not None
        for row in rows:
            data = self._line(row)
            if tells:
                data["match"] = row.is_match
                before = last.get(row.log)
                if self._query.before or self._query.after:
                    is_apart = before is None or before.part != row.part or abs(row.step - before.step) != 1
                    data["gap"] = before is not None and is_apart
                last[row.log] = row
            shown.append(data)
        return shown

    def _line(self, row: Row) -> dict[str, Any]:
        log = self._query.logs[row.log]
        key, number = row.key, row.number
        if key is not None and number is not None and row.epoch:
            told = line_id(row.epoch, name_of(key), number)
        else:
            assert row.place is not None
            told = f"{row.place[0]}:{row.place[1]}"
        return {
            "id": told,
            "watcher": key.watcher if key else (log.watchers[0] if len(log.watchers) == 1 else None),
            "wid": key.wid if key else None,
            "pid": row.pid,
            "stream": key.stream if key else (log.streams[0] if len(log.streams) == 1 else None),
            "number": number,
            "time": row.time,
            "text": row.text.decode("utf-8", "backslashreplace"),
        }
