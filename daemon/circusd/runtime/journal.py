"""Tells events: keeps the last ones, publishes them in our form and in the original's."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from circusd.core.words import event_text
from circusd.schema.events import EventFilter, event_kind
from circusd.schema.wire import escape_name, event_topic

from . import clock

log = logging.getLogger("circusd.events")

KEPT_EVENTS = 2000

_ORIGINAL_KEYS = {"pid": "process_pid", "hook": "name", "error": "error"}


class Publishes(Protocol):
    """What the journal needs of the publisher."""

    def publish(self, channel: str, topic: str, body: Callable[[], Mapping[str, Any]]) -> None: ...


class Journal:
    """The events of this daemon's life, numbered from 1."""

    def __init__(self, publisher: Publishes) -> None:
        self._publisher = publisher
        self._number = 0
        self.kept: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)

    def tell(self, event: str, watcher: str = "", **fields: Any) -> dict[str, Any]:
        """The event is kept and published to whoever listens; returns it as it is kept."""
        row = event_kind(event)
        self._number += 1
        record: dict[str, Any] = {
            "event": event,
            "number": self._number,
            "time": clock.wall(),
            "level": row.level,
        }
        if watcher:
            record["watcher"] = watcher
        record.update(fields)
        record["text"] = event_text(event, fields)
        self.kept.append(record)
        log.debug("event=%s watcher=%r %s", event, watcher, record["text"])
        self._publisher.publish("events", f"event.{escape_name(watcher)}.", lambda: record)
        if row.original and watcher:
            self._publisher.publish("events", event_topic(watcher, row.original), lambda: _original(record))
        return record

    def last(
        self, count: int, watchers: Iterable[str] | None = None, which: EventFilter | None = None
    ) -> list[dict[str, Any]]:
        """The last events, oldest first; of some watchers if they are named, and only those that pass the filter."""
        found: list[dict[str, Any]] = []
        wanted = None if watchers is None else {name.lower() for name in watchers}
        for record in reversed(self.kept):
            if len(found) >= count:
                break
            is_named = wanted is None or str(record.get("watcher", "")).lower() in wanted
            if is_named and (which is None or which.passes(record)):
                found.append(record)
        return found[::-1]


def _original(record: Mapping[str, Any]) -> dict[str, Any]:
    """The payload as the original's subscribers know it."""
    payload: dict[str, Any] = {"time": record["time"]}
    for ours, theirs in _ORIGINAL_KEYS.items():
        if ours in record:
            payload[theirs] = record[ours]
    if record["event"] == "process.exited":
        signal = record.get("signal")
        payload["exit_code"] = -signal if signal is not None else record.get("code")
    return payload
