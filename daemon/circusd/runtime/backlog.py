"""What waits to be written to one place: bounded, with a policy for when the place is too slow.

The default policy drops the oldest output, and yet a process that writes faster than a disk for a moment loses nothing:
when the backlog is full, its pipes are left unread for at most `PATIENCE`, as long as the writer gets on; each part that
it has written makes room. Only when it has written nothing for so long, or fails, output is dropped (and from then on
without any waiting, until half of the backlog is written). So a process is slowed down to the pace of a disk that works,
and never stopped by one that does not; with the policy ``block`` it waits as long as it takes.

A backlog is filled in the hub and emptied by the hub or by one thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from . import clock
from .lines import LONGEST_LINE
from .newlines import newlines
from .timers import Timers

PATIENCE: Final = 1.0
"""Seconds that a pipe is left unread at most while the writer writes nothing.

A disk that works can be as slow: where much is dirty, Linux holds a writer back for up to 0.2 s in each call.
"""
LEAST_BYTES: Final = 64 << 10
"""A backlog has room for one read, however little is asked for."""
BATCH_BYTES: Final = 512 << 10
HURRY_BYTES: Final = 256 << 10
"""So much is not kept waiting for more."""
CALM: Final = 1.0
"""Seconds without a loss after which the trouble is over."""
RETRIES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between the attempts to write where it failed; the last one from then on."""

OnEvent = Callable[[str, str, dict[str, Any]], None]
"""Called in the hub with an event's name, the watcher's and the other fields."""


class Tally:
    """What became of the output of one stream of one watcher."""

    __slots__ = ("dropped", "dropped_lines", "policy", "stream", "taken", "watcher", "written")

    def __init__(self, watcher: str, stream: str, policy: str = "drop_oldest") -> None:
        self.watcher = watcher
        self.stream = stream
        self.policy = policy
        """``drop_oldest``, ``drop_newest`` or ``block``."""
        self.taken = 0
        """Bytes that were put into a backlog."""
        self.dropped = 0
        """Bytes of them that were not written and never will be."""
        self.dropped_lines = 0
        """Ends of lines among these."""
        self.written = 0
        """Bytes that the place took; changed by who writes."""


Mark = tuple[int, int, float]
"""The slot of a process, the number of the line that it is in or begins after the bytes, and when they came (epoch seconds)."""


class Piece(NamedTuple):
    """Bytes that were put at once."""

    tally: Tally
    pid: int
    data: bytes
    mark: Mark | None = None
    """What is known of their end."""


class Backlog:
    """The pieces that wait for one place, and whether the place is in trouble.

    In trouble: it can't be written, or something was dropped. Each stream that it concerns is told of by one event when it
    begins (``output.dropped``, with what is lost already, which may be nothing) and one when it is over
    (``output.recovered``, with all that was lost).
    """

    def __init__(self, name: str, limit: int, on_event: OnEvent) -> None:
        """`name` is what a person calls the place; `limit` is in bytes, what is being written included."""
        self.name = name
        self.limit = max(limit, LEAST_BYTES)
        self.wake: Callable[[], None] = lambda: None
        """Called in the hub when there is something to write and nobody writes."""
        self.hurry: Callable[[], None] = lambda: None
        """Called in the hub when it is not little any more."""
        self.members: list[Tally] = []
        """Whose output comes here."""
        self._on_event = on_event
        # Guards what the writer changes too; held for microseconds, never during a write.
        self._lock = threading.Lock()
        self._queue: deque[Piece] = deque()
        self.held = 0
        """Bytes that wait or are being written."""
        self.written = 0
        self._busy = False
        """Somebody writes, and will look for more before he stops."""
        self._torn = self._was_torn = False
        """What was taken last does not end in a newline; what was taken before."""
        self._watched = False
        """The hub wants to know when half of it is written."""
        self._closing = False
        self.ended = False
        """It is closed, and the writer has found nothing more in it."""
        # From here on the hub's alone.
        self.failing = ""
        """Why it can't be written, in words; empty when it can."""
        self._complaints: dict[str, str] = {}
        self.dropping = False
        self.since = 0.0
        """When the trouble began, epoch seconds; 0 when there is none."""
        self._gap = False
        """What came last was dropped."""
        self._gap_torn = False
        """It did not end in a newline."""
        self._skipped = 0
        """How much of the line in which it ended was dropped already."""
        self._waiting: dict[Callable[[], None], Tally] = {}
        self._attempts = 0
        self._lost: dict[Tally, int] = {}
        self._told: dict[Tally, None] = {}
        """Who was told of this trouble."""
        self._last_loss = 0.0
        self._timers = Timers()
        self._mark = 0

    # -- the hub's side: filling -----------------------------------------------------------------------------------

    def put(self, tally: Tally, pid: int, data: bytes, mark: Mark | None = None) -> bool:
        """The bytes wait to be written, or something is dropped by the stream's policy.

        False when the pipe should be left unread; see `wait`.
        """
        tally.taken += len(data)
        drops = tally.policy != "block"
        with self._lock:
            if self.failing and drops and self.held + len(data) > self.limit:
                self.dropping = True
            if self.dropping and drops and self.held + len(data) > self.limit:
                data = self._make_room(tally, data)
            elif self._gap:
                data = self._after_gap(tally, data)
            if data:
                self._queue.append(Piece(tally, pid, data, mark))
                self.held += len(data)
            wake = bool(self._queue) and not self._busy and not self.failing
            self._busy = self._busy or wake
            self._watched = self._watched or self.dropping or self.held > self.limit
            room = self.held <= self.limit
            hurry = self.held > HURRY_BYTES
        if wake:
            self.wake()
        if hurry:
            self.hurry()
        if self._lost and self._lost.keys() - self._told.keys():
            self._tell_trouble(self.failing or "it is too slow", tuple(self._lost))
        return room or (self.dropping and drops)

    def _after_gap(self, tally: Tally, data: bytes) -> bytes:
        """The data, without the rest of a line whose beginning was dropped."""
        if self._gap_torn:
            cut = data.find(b"\n") + 1
            if not cut and self._skipped + len(data) <= LONGEST_LINE:
                return self._drop(tally, data)
            self._lose(tally, data[:cut])
            data = data[cut:]
            self._gap_torn = False
        if data:
            torn = not self._queue[-1].data.endswith(b"\n") if self._queue else self._torn
            data = b"\n" + data if torn else data
            self._gap, self._skipped = False, 0
        return data

    def _drop(self, tally: Tally, data: bytes, *, begun: bool = False) -> bytes:
        """All of the data is dropped; if its beginning is the end of a line that was begun, all but that."""
        kept = data[: data.find(b"\n") + 1] if begun else b""
        if len(kept) < len(data):
            self._lose(tally, data[len(kept) :])
            cut = data.rfind(b"\n") + 1
            self._skipped = len(data) - cut + (0 if cut else self._skipped)
            self._gap, self._gap_torn = True, cut < len(data)
        return kept

    def _make_room(self, tally: Tally, data: bytes) -> bytes:
        """Drop by the policy, whole lines if there are lines; returns what is left of the data itself."""
        if tally.policy == "drop_newest":
            if not self._gap and self._drop_fragment():
                return self._drop(tally, data, begun=True)
            return self._drop(tally, data)
        rest = self._rest_of_line() if self._torn else []
        if self._torn and not rest:
            return self._drop(tally, data, begun=not self._gap)
        last = b""
        while self._queue and self.held + len(data) > self.limit:
            last = self._drop_head()
        if not last and len(data) > self.limit:
            data = self._drop(tally, data)
        elif last and not last.endswith(b"\n"):
            self._drop_line()
        self._queue.extendleft(reversed(rest))
        return self._after_gap(tally, data) if data and self._gap else data

    def _rest_of_line(self) -> list[Piece]:
        """The end of the line that is half written, out of the queue, in which it belongs to the front; nothing if it has
        no end there."""
        found: list[Piece] = []
        while self._queue:
            piece = self._queue.popleft()
            cut = piece.data.find(b"\n") + 1
            if 0 < cut < len(piece.data):
                self._queue.appendleft(piece._replace(data=piece.data[cut:]))
                piece = piece._replace(data=piece.data[:cut], mark=None)
            found.append(piece)
            if cut:
                return found
        self._queue.extend(found)
        return []

    def _drop_head(self) -> bytes:
        piece = self._queue.popleft()
        self.held -= len(piece.data)
        self._lose(piece.tally, piece.data)
        return piece.data

    def _drop_line(self) -> None:
        """The line whose beginning was dropped is dropped to its end; where no end is to be seen it is no line."""
        skipped = 0
        while self._queue and skipped <= LONGEST_LINE:
            piece = self._queue[0]
            cut = piece.data.find(b"\n") + 1
            if not cut:
                skipped += len(self._drop_head())
                continue
            self._queue[0] = piece._replace(data=piece.data[cut:])
            self.held -= cut
            self._lose(piece.tally, piece.data[:cut])
            if cut == len(piece.data):
                self._queue.popleft()
            return
        if skipped <= LONGEST_LINE:
            self._gap, self._gap_torn, self._skipped = True, True, skipped

    def _drop_fragment(self) -> bool:
        """The newest line is not begun if its end is going to be dropped; whether that was too late."""
        fragment: list[Piece] = []
        while self._queue and not (piece := self._queue[-1]).data.endswith(b"\n"):
            cut = piece.data.rfind(b"\n") + 1
            if cut:
                self._queue[-1] = piece._replace(data=piece.data[:cut], mark=None)
                fragment.append(piece._replace(data=piece.data[cut:]))
            else:
                fragment.append(self._queue.pop())
        if not self._queue and self._torn:
            self._queue.extend(reversed(fragment))
            return True
        for piece in fragment:
            self.held -= len(piece.data)
            self._lose(piece.tally, piece.data)
        return False

    def _lose(self, tally: Tally, data: bytes) -> None:
        if data:
            tally.dropped += len(data)
            tally.dropped_lines += newlines(data)
            self._lost[tally] = self._lost.get(tally, 0) + len(data)
            self._last_loss = clock.now()

    def wait(self, tally: Tally, resume: Callable[[], None]) -> None:
        """`resume` is called in the hub, once, when the pipe should be read again."""
        self._waiting[resume] = tally
        if len(self._waiting) == 1:
            self._mark = self.written
            self._timers.arm("patience", clock.now() + PATIENCE, self._out_of_patience)

    def forget(self, resume: Callable[[], None]) -> None:
        """It is not called any more."""
        self._waiting.pop(resume, None)

    def _out_of_patience(self) -> None:
        if self.written == self._mark:
            self._start_dropping()
        elif self.held <= self.limit:
            self._release(lambda _: True)
        if self._waiting:
            self._mark = self.written
            self._timers.arm("patience", clock.now() + PATIENCE, self._out_of_patience)

    def _start_dropping(self) -> None:
        if any(tally.policy != "block" for tally in self._waiting.values()):
            with self._lock:
                if self.held > self.limit // 2:
                    self.dropping = self._watched = True
            self._release(lambda tally: tally.policy != "block")

    def _release(self, which: Callable[[Tally], bool]) -> None:
        for resume, tally in list(self._waiting.items()):
            if which(tally) and self._waiting.pop(resume, None) is not None:
                resume()
        if not self._waiting:
            self._timers.cancel("patience")

    # -- the writer's side, in the hub or in a thread ----------------------------------------------------------------

    def take(self, most: int = BATCH_BYTES) -> list[Piece]:
        """The oldest pieces, about so many bytes together; they are still held. Nothing: whoever writes stops now."""
        batch: list[Piece] = []
        size = 0
        with self._lock:
            while self._queue and (not batch or size + len(self._queue[0].data) <= most):
                piece = self._queue.popleft()
                batch.append(piece)
                size += len(piece.data)
            if batch:
                self._was_torn = self._torn
                self._torn = not batch[-1].data.endswith(b"\n")
            else:
                # Nobody wakes a writer any more who has found the end.
                self.ended = self._busy = self._closing
        return batch

    def finish(self, batch: Sequence[Piece], written: int, *, stop: bool = False) -> tuple[bool, bool]:
        """So many bytes of what was taken are written, the rest waits again.

        Returns whether the hub has to be told (`room`), and whether there is more; if not, or with `stop`, whoever writes
        stops now.
        """
        with self._lock:
            self.written += written
            self.held -= written
            if batch:
                rest: list[Piece] = []
                left = written
                torn = self._was_torn
                for piece in batch:
                    size = len(piece.data)
                    piece.tally.written += min(left, size)
                    if left:
                        torn = piece.data[min(left, size) - 1] != 10
                    if left < size:
                        rest.append(piece._replace(data=piece.data[left:]) if left else piece)
                    left = max(0, left - size)
                self._torn = torn
                self._queue.extendleft(reversed(rest))
            more = not stop and (bool(self._queue) or self._closing)
            if batch and not more:
                self._busy = False
            tell = self._watched and self.held <= self.limit // 2
            if tell:
                self._watched = False
        return tell, more

    # -- the hub's side: what the writer tells -----------------------------------------------------------------------

    def room(self) -> None:
        """Half of the backlog is written: pipes are read again."""
        self.dropping = False
        self._release(lambda _: True)
        self._settle()

    def fail(self, reason: str) -> None:
        """It could not be written; it is tried again after a while, and whoever writes has stopped."""
        self.failing = reason
        delay = RETRIES[min(self._attempts, len(RETRIES) - 1)]
        self._attempts += 1
        self._timers.arm("retry", clock.now() + delay, self.nudge)
        self._tell_trouble(reason, self.members)
        self._start_dropping()

    def nudge(self) -> None:
        """Whoever writes looks after the place, also when there is nothing to write."""
        with self._lock:
            wake = not self._busy
            self._busy = True
        if wake:
            self.wake()

    def worked(self) -> None:
        """It can be written again."""
        self.failing = ""
        self._attempts = 0
        self._settle()

    def lose(self, tally: Tally, data: bytes, reason: str) -> None:
        """The place took bytes and could not use them."""
        self._lose(tally, data)
        self._tell_trouble(reason, (tally,))
        self._settle()

    @property
    def complaint(self) -> str:
        """What else is wrong."""
        return next(iter(self._complaints.values()), "")

    def complain(self, about: str, reason: str) -> None:
        """Something is wrong that does not keep it from being written; an empty reason when that is right again."""
        if reason:
            self._complaints[about] = reason
            self._tell_trouble(reason, self.members)
        elif self._complaints.pop(about, None) is not None:
            self._settle()

    @property
    def state(self) -> str:
        """``failing`` when it can't be written, ``dropping`` when it is too slow, ``behind`` when pipes are left unread for it,
        ``recovering`` when it has written again for a moment only, else ``ok``."""
        if self.failing or self.complaint:
            return "failing"
        if self.dropping:
            return "dropping"
        if self._told:
            return "recovering"
        return "behind" if self._waiting else "ok"

    def _tell_trouble(self, reason: str, tallies: Iterable[Tally]) -> None:
        self.since = self.since or clock.wall()
        for tally in tallies:
            if tally not in self._told:
                self._told[tally] = None
                self._tell("output.dropped", tally, reason=reason)

    def _settle(self) -> None:
        if self._told and not (self.failing or self.dropping or self.complaint):
            self._timers.arm("calm", max(clock.now(), self._last_loss) + CALM, self._calm)

    def _calm(self) -> None:
        if self.failing or self.dropping or self.complaint:
            return
        if clock.now() < self._last_loss + CALM:
            self._settle()
            return
        self.since = 0.0
        told, self._told = self._told, {}
        for tally in told:
            self._tell("output.recovered", tally)
        self._lost.clear()

    def _tell(self, event: str, tally: Tally, **fields: Any) -> None:
        fields |= {"stream": tally.stream, "count": self._lost.get(tally, 0), "place": self.name}
        self._on_event(event, tally.watcher, fields)

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing is put any more; what is held is tried once more, and then it has `ended`."""
        self._release(lambda _: True)
        self._timers.close()
        with self._lock:
            self._closing = True
            wake = not self._busy
            self._busy = True
        if wake:
            self.wake()

    def reopen(self) -> bool:
        """It is as if it had never been closed; False if it has ended."""
        with self._lock:
            if self.ended:
                return False
            self._closing = False
        return True

    @property
    def is_closing(self) -> bool:
        """It is closed, and what can't be written now never will be."""
        with self._lock:
            return self._closing

    def abandon(self) -> None:
        """In the hub: what is held and not being written is lost, and counted."""
        with self._lock:
            pieces, self._queue = list(self._queue), deque()
            self.held -= sum(len(piece.data) for piece in pieces)
        for piece in pieces:
            self._lose(piece.tally, piece.data)
