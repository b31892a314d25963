"""One run of a scheduled watcher, from what starts it to how it has ended; and the last ones of a watcher."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gevent.event import AsyncResult

from circusd.core import words
from circusd.core.process import Exit, Policy
from circusd.core.schedule import KEPT_EACH
from circusd.core.starting import ended_well
from circusd.schema.errors import CircusError

from . import clock
from .history import History, StreamKey
from .runfile import LOGS, TEXT_LIMIT

if TYPE_CHECKING:
    from .watcher import Ticket

RUNNING, SUCCEEDED, FAILED, TIMED_OUT = "running", "succeeded", "failed", "timed out"
STOPPED, REPLACED, SKIPPED, MISSED, LOST = "stopped", "replaced", "skipped", "missed", "lost"
ILL: Final = (FAILED, TIMED_OUT, LOST)
"""Results that a person is needed for."""
UNKNOWN: Final = "circusd ended before it"
BY_SIGNAL: Final = 128
"""What a shell adds to the number of the signal that has ended a command."""


@dataclass(slots=True, eq=False)
class Run:
    """A run that is under way, or waits for the one before it."""

    planned: float | None
    why: str
    by: str = ""
    row: dict[str, Any] = field(default_factory=dict)
    """What is kept of it, once it has begun."""
    began: float = 0.0
    """Monotonic."""
    ticket: Ticket | None = None
    cause: str = ""
    """Why it ends, where that is not its own doing: a result."""
    text: str = ""
    """That in words."""
    result: AsyncResult[dict[str, Any]] = field(default_factory=AsyncResult)
    """The row, when it is over."""

    def verdict(self, exits: Iterable[Exit], policy: Policy) -> None:
        """The row says how it has ended, by the ends of its processes."""
        mine = [end for end in exits if end.at >= self.began]
        ill = [end for end in mine if end.stage or end.text or not ended_well(end, policy)]
        worst = next(iter(ill or mine), None)
        result, text = (FAILED if ill else SUCCEEDED), ""
        if worst is None:
            result, text = FAILED, self._refusal()
        elif ill:
            text = words.ending(worst)
        if self.cause:
            result, text = self.cause, self.text
        self.row.update(
            result=result,
            text=text[:TEXT_LIMIT],
            code=None if worst is None else worst.code,
            signal=None if worst is None else worst.signal,
            # Its last line was read before.
            ended=math.ceil(clock.wall() * 1000) / 1000,
            took=round(clock.now() - self.began, 3),
        )

    def _refusal(self) -> str:
        """Why nothing of it was started."""
        ticket = self.ticket
        error = ticket.result.exception if ticket is not None and ticket.result.ready() else None
        return str(error) if isinstance(error, CircusError) else "no process was started"


class Past:
    """The last runs of one watcher, the oldest first, numbered from 1."""

    def __init__(self, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.rows: deque[dict[str, Any]] = deque(rows, maxlen=KEPT_EACH)
        self.counts = Counter[str]()
        """By result: how many have come to it since circusd was started."""
        for row in self.rows:
            if row["result"] == RUNNING:
                row.update(result=LOST, text=UNKNOWN)
                self.counts[LOST] += 1

    def add(
        self, planned: float | None, why: str, result: str, by: str = "", text: str = ""
    ) -> dict[str, Any]:
        """One more; of those that are left out one after the other, the last stands for all."""
        if result != RUNNING:
            self.counts[result] += 1
        last = self.rows[-1] if self.rows else None
        if last is not None and result in (SKIPPED, MISSED) and last["result"] == result:
            last.update(planned=planned, began=round(clock.wall(), 3), times=last["times"] + 1, text=text)
            return last
        row: dict[str, Any] = {
            "number": last["number"] + 1 if last is not None else 1,
            "why": why,
            "by": by[:TEXT_LIMIT],
            "planned": planned,
            "began": math.floor(clock.wall() * 1000) / 1000,
            "ended": None,
            "took": None,
            "result": result,
            "code": None,
            "signal": None,
            "text": text[:TEXT_LIMIT],
            "times": 1,
            "lines": {},
            "life": "",
        }
        self.rows.append(row)
        return row

    def figures(self) -> list[float | None]:
        """When the last one began, when the last one that is over ended, with which status, and when one last ended well."""
        began = next(
            (row["began"] for row in reversed(self.rows) if row["result"] not in (SKIPPED, MISSED)), None
        )
        well = next((row["ended"] for row in reversed(self.rows) if row["result"] == SUCCEEDED), None)
        last = self.last()
        over = (None, None) if last is None else (last["ended"], _status(last))
        return [began, *over, well]

    @property
    def is_ill(self) -> bool:
        """Whether the last one was not as it should be."""
        last = self.last()
        return last is not None and last["result"] in ILL

    def last(self) -> dict[str, Any] | None:
        """The last one that has run and is over."""
        return next((r for r in reversed(self.rows) if r["result"] not in (RUNNING, SKIPPED, MISSED)), None)


def _status(row: dict[str, Any]) -> int | None:
    code: int | None = row["code"]
    return code if row["signal"] is None else BY_SIGNAL + int(row["signal"])


def lines_from(history: History, name: str, wids: Iterable[int]) -> dict[str, list[int]]:
    """For each stream (``1.stdout``) the number of the next line that it has, as a span that is still empty."""
    keys = [StreamKey(name, wid, stream) for wid in wids for stream in ("stdout", "stderr")]
    return {f"{key.wid}.{key.stream}": [history.last_number(key) + 1, 0] for key in keys[:LOGS]}


def close_lines(history: History, name: str, lines: dict[str, list[int]]) -> None:
    """The spans end where the streams are now; those without a line are gone."""
    for label in list(lines):
        wid, _, stream = label.partition(".")
        lines[label][1] = history.last_number(StreamKey(name, int(wid), stream))
        if lines[label][1] < lines[label][0]:
            del lines[label]
