"""Reading the history with a cursor for each stream: what came since the last time, and how much of it is gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from circusd.schema import wire

from .history import History, Line, StreamKey

LINES_LIMIT: Final = 1000
"""Lines in one message."""

HISTORY_LINES_LIMIT: Final = 10_000
"""Lines of history that can come first."""

HISTORY_BYTES_LIMIT: Final = 4 << 20

# Number, time, brackets and quotes of a line, and the keys of a message.
_LINE_BYTES, _MESSAGE_BYTES = 40, 300
_IGNORED_LIMIT = 4096


class OutputReader:
    """The output of some streams, message by message; knows which of them have more.

    ``wake`` (an attribute, called in the hub) is told when there is something again.
    """

    def __init__(self, history: History, matches: Callable[[StreamKey], bool], lines: int = 0) -> None:
        """First come the last ``lines`` of all these streams together, then what is written from now on."""
        self.wake: Callable[[], None] = lambda: None
        self._history = history
        self._matches = matches
        keys = [key for key in history.keys() if matches(key)]  # noqa: SIM118 - no mapping
        self._cursors = {key: history.last_number(key) for key in keys}
        self._first = _within(history.tail(keys, min(lines, HISTORY_LINES_LIMIT)), HISTORY_BYTES_LIMIT)
        self._ignored: set[StreamKey] = set()
        # In the order in which they are read; who was read last comes last.
        self._more: dict[StreamKey, None] = {}
        self._cancel = history.watch(None, self._came)

    @property
    def pending(self) -> bool:
        """Whether `next` may find something."""
        return bool(self._first or self._more)

    def _came(self, key: StreamKey) -> None:
        if key in self._more:
            return
        if key not in self._cursors:
            if key in self._ignored:
                return
            if not self._matches(key):
                if len(self._ignored) >= _IGNORED_LIMIT:
                    self._ignored.clear()
                self._ignored.add(key)
                return
            self._cursors[key] = 0
        self._more[key] = None
        self.wake()

    def rematch(self) -> None:
        """What ``matches`` says has changed: streams that are new to it are read from here on, others no more."""
        self._ignored.clear()
        for key in [key for key in self._cursors if not self._matches(key)]:
            del self._cursors[key]
            self._more.pop(key, None)
        for key in self._history.keys():  # noqa: SIM118 - no mapping
            if key not in self._cursors and self._matches(key):
                self._cursors[key] = self._history.last_number(key)

    def next(self, limit: int) -> tuple[StreamKey, bytes] | None:
        """The next message as JSON and whose it is: lines of one process, of ``limit`` bytes in all or one line.

        None when there is nothing (the last line may not have ended yet).
        """
        if self._first:
            return self._next_of_history(limit)
        while self._more:
            key = next(iter(self._more))
            del self._more[key]
            found = self._next_of(key, limit)
            if found is not None:
                return key, found
        return None

    def _next_of(self, key: StreamKey, limit: int) -> bytes | None:
        history, cursor = self._history, self._cursors[key]
        last = history.last_number(key)
        if last < cursor:
            # Its watcher was removed and is there again: lines count from 1.
            cursor = 0
        lines = history.page(key, cursor, LINES_LIMIT, limit).lines
        if not lines:
            self._cursors[key] = cursor
            return None
        taken, message = _message(key, lines, lines[0].number - cursor - 1, limit)
        self._cursors[key] = lines[taken - 1].number
        if self._cursors[key] < last:
            self._more[key] = None
        return message

    def _next_of_history(self, limit: int) -> tuple[StreamKey, bytes]:
        key = self._first[0][0]
        lines: list[Line] = []
        for other, line in self._first:
            if other != key or len(lines) >= LINES_LIMIT:
                break
            lines.append(line)
        taken, message = _message(key, lines, 0, limit, past=True)
        for _ in range(taken):
            self._first.popleft()
        return key, message

    def close(self) -> None:
        """Nothing wakes it any more."""
        self._cancel()
        self._first.clear()
        self._more.clear()


def _within(lines: Sequence[tuple[StreamKey, Line]], limit: int) -> deque[tuple[StreamKey, Line]]:
    """The last ones, of so many bytes in all."""
    kept: deque[tuple[StreamKey, Line]] = deque()
    for item in reversed(lines):
        limit -= len(item[1].text)
        if limit < 0:
            break
        kept.appendleft(item)
    return kept


def _message(
    key: StreamKey, lines: Sequence[Line], skipped: int, limit: int, *, past: bool = False
) -> tuple[int, bytes]:
    """How many of the lines are in the message, and the message: those of the first process that fit, or one."""
    pid = lines[0].pid
    room = limit - _MESSAGE_BYTES
    count = 0
    for line in lines:
        room -= len(line.text) + _LINE_BYTES
        if count and (room < 0 or line.pid != pid):
            break
        count += 1
    while True:
        message = wire.encode(
            {
                "watcher": key.watcher,
                "wid": key.wid,
                "stream": key.stream,
                "pid": pid,
                "lines": [
                    [line.number, round(line.time, 3), line.text.decode("utf-8", "backslashreplace")]
                    for line in lines[:count]
                ],
                "skipped": skipped,
                # Last in the message: the console looks for it there.
                **({"past": True} if past else {}),
            }
        )
        if len(message) <= limit or count == 1:
            return count, message
        # Colours and what is not ASCII take more room in JSON.
        count = max(1, min(count - 1, count * limit // len(message)))
