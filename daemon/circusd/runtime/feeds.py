"""What a followed stream is made of: state, events, load, output. A feed knows what is due and makes one message at a time.

Feeds never send. They are asked for the next message when there is room for it, so a follower that does not keep up
costs nothing: state and load are made anew from what is then, events are kept up to a bound, output stays in the history.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, Protocol

import gevent

from circusd.schema import wire

from . import clock
from .outputreader import OutputReader
from .publisher import Publisher
from .scope import ALL, Scope

log = logging.getLogger("circusd.follow")

NEVER: Final = float("inf")

STATE_SECONDS: Final = 0.05
"""Changes of a watcher within this time are told together."""

REST_OF_EACH: Final = 0.005
"""One that goes on changing is told again after so many seconds for each of its processes, all of which are told each time,"""
LONGEST_REST: Final = 0.5
"""but after this long at the latest."""

EVENT_SECONDS: Final = STATE_SECONDS
"""Events within this time go out together, and with the state of what they have happened to: a follower is woken once."""
EVENT_REST: Final = 0.2
"""Where events come again and again, those within this time do."""

LEAD_SECONDS: Final = 0.5
"""While changes of many watchers wait, the sentence above all of them, which is made from all, comes this often."""

OUTPUT_SECONDS: Final = 0.02
"""Output is looked for this long after it came."""

EVENTS_KEPT: Final = 256
"""Events that wait for a follower."""


class World(Protocol):
    """What state is made of."""

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        """All of ``inspect`` that is of the scope; called in a greenlet, and may take its time."""
        ...

    def watcher_view(self, name: str) -> dict[str, Any] | None:
        """One watcher as ``inspect`` shows it; None when it is gone."""
        ...

    def lead(self, scope: Scope) -> dict[str, str]:
        """The sentence that stands above all watchers of the scope."""
        ...


class Feed(Protocol):
    """One kind of message of a follower."""

    due: float
    """The moment (monotonic) at which there is a message to be made; `NEVER` while there is none."""

    def next(self, limit: int) -> tuple[str, bytes] | None:
        """Topic and data (JSON) of one message of about ``limit`` bytes at most; sets ``due`` anew."""
        ...

    def close(self) -> None:
        """It listens to nothing any more."""
        ...


class StateFeed:
    """First everything, then each watcher that changed, as it is when it is sent."""

    def __init__(self, topic: str, world: World, wake: Callable[[], None], scope: Scope = ALL) -> None:
        """Everything is gathered from now on; ``wake`` is called when it is there."""
        self.due = NEVER
        self._topic = topic
        self._world = world
        self._scope = scope
        self._wake = wake
        self._first: bytes | None = None
        self._begun = False
        self._lead_at = 0.0
        self._changed: dict[str, str] = {}
        """Those that are to be told, by name in lower case: the name as it is written."""
        self._moments: list[tuple[float, str]] = []
        """A heap: when each of them may be told."""
        self._rests: dict[str, float] = {}
        """Until when those that were told lately, and have many processes, are not told again."""
        self._gathering = gevent.spawn(self._gather)

    def _gather(self) -> None:
        try:
            self._first = wire.encode({"snapshot": self._world.snapshot(self._scope)})
        except Exception:
            # It is lost for this follower; the others are not.
            log.exception("the state could not be gathered")
            return
        self.due = clock.now()
        self._wake()

    def changed(self, name: str) -> None:
        """The watcher may look different, or be gone; also while everything is being gathered."""
        key = name.lower()
        if key not in self._changed:
            at = max(clock.now() + STATE_SECONDS, self._rests.pop(key, 0.0))
            self._changed[key] = name
            heappush(self._moments, (at, key))
            if self._begun and at < self.due:
                self.due = at
                self._wake()

    def next(self, limit: int) -> tuple[str, bytes] | None:
        if self._first is not None:
            first, self._first = self._first, None
            self._begun = True
            self._find_due()
            return self._topic, first
        now = clock.now()
        if not self._moments or self._moments[0][0] > now:
            self._find_due()
            return None
        _, key = heappop(self._moments)
        data = self._of(key, self._changed.pop(key), now)
        self._find_due()
        if not self._changed or now >= self._lead_at + LEAD_SECONDS:
            self._lead_at = now
            data["lead"] = self._world.lead(self._scope)
        return self._topic, wire.encode(data)

    def _of(self, key: str, name: str, now: float) -> dict[str, Any]:
        view = self._world.watcher_view(key)
        if view is None:
            return {"removed": name}
        rest = min(REST_OF_EACH * len(view.get("processes", ())), LONGEST_REST)
        if rest > STATE_SECONDS:
            self._rests[key] = now + rest
        return {"watcher": view}

    def _find_due(self) -> None:
        self.due = self._moments[0][0] if self._moments else NEVER

    def close(self) -> None:
        self._gathering.kill(block=False)
        self._changed.clear()
        self._moments.clear()


class EventFeed:
    """Inner events as they are published; where too many wait, the oldest are passed over and counted."""

    def __init__(
        self, topic: str, publisher: Publisher, wake: Callable[[], None], scope: Scope = ALL
    ) -> None:
        """Of a scope that is not all, only events that are a watcher's are told."""
        self.due = NEVER
        self._topic = topic
        self._wake = wake
        self._scope = scope
        self._kept: deque[bytes] = deque()
        self._skipped = 0
        self._rests_until = 0.0
        self._cancel = publisher.listen(_prefixes(topic), self._came)

    def _came(self, topic: str, body: bytes) -> None:
        if not self._scope.is_all and not self._scope.sees(json.loads(body).get("watcher", "")):
            return
        self._kept.append(body)
        if len(self._kept) > EVENTS_KEPT:
            self._kept.popleft()
            self._skipped += 1
        is_many = len(self._kept) >= EVENTS_KEPT // 2
        at = 0.0 if is_many else max(clock.now() + EVENT_SECONDS, self._rests_until)
        if at < self.due:
            self.due = at
            self._wake()

    def next(self, limit: int) -> tuple[str, bytes] | None:
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            return self._topic, wire.encode({"skipped": skipped})
        body = self._kept.popleft() if self._kept else None
        if not self._kept:
            self.due = NEVER
            self._rests_until = clock.now() + EVENT_REST
        return None if body is None else (self._topic, body)

    def close(self) -> None:
        self._cancel()
        self._kept.clear()


class LoadFeed:
    """The last sample; one that was not sent in time is replaced by the next."""

    def __init__(
        self, topic: str, publisher: Publisher, wake: Callable[[], None], scope: Scope = ALL
    ) -> None:
        self.due = NEVER
        self._topic = topic
        self._wake = wake
        self._scope = scope
        self._last = b""
        self._cancel = publisher.listen([topic], self._came)

    def _came(self, topic: str, body: bytes) -> None:
        self._last = body
        self.due = 0.0
        self._wake()

    def next(self, limit: int) -> tuple[str, bytes] | None:
        self.due = NEVER
        body, self._last = self._last, b""
        if body and not self._scope.is_all:
            body = wire.encode(_of_scope(json.loads(body), self._scope))
        return (self._topic, body) if body else None

    def close(self) -> None:
        self._cancel()


class OutputFeed:
    """Output: some lines of history merged by time, then what comes; made from the history when there is room."""

    def __init__(
        self, reader: OutputReader, topic_of: Callable[[str], str], wake: Callable[[], None]
    ) -> None:
        """``topic_of`` tells the topic for a watcher's output."""
        self.due = 0.0 if reader.pending else NEVER
        self._reader = reader
        self._topic_of = topic_of
        self._wake = wake
        reader.wake = self._came

    def _came(self) -> None:
        if self.due == NEVER:
            self.due = clock.now() + OUTPUT_SECONDS
            self._wake()

    def next(self, limit: int) -> tuple[str, bytes] | None:
        found = self._reader.next(limit)
        if not self._reader.pending:
            self.due = NEVER
        return None if found is None else (self._topic_of(found[0].watcher), found[1])

    def close(self) -> None:
        self._reader.close()


def _of_scope(load: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """A sample with what is of the scope; of the daemon itself nothing that counts all watchers, and nothing of the machine."""
    load.pop("host", None)
    watchers = {name: row for name, row in load["watchers"].items() if scope.sees(name)}
    lines = sum(row.get("lines", 0) for row in watchers.values())
    return {**load, "watchers": watchers, "daemon": {**load["daemon"], "lines": lines}}


def _prefixes(topic: str) -> list[str]:
    """The topics that are meant by one: a name in it may be written as it stands or escaped."""
    kind, _, rest = topic.partition(".")
    if not rest:
        return [topic]
    return sorted({topic, f"{kind}.{wire.escape_name(rest.removesuffix('.'))}."})
