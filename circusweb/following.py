"""What can be followed by a plain HTTP request: events, logs, state and load, each as events with an id where it can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from circusd.schema.errors import NoSession, NotFound
from circusd.schema.wire import escape_name

from . import cursors
from .bridge import Bridge
from .cursors import Cursors
from .inputs import STREAM_LINES
from .live import STATE_CREDIT
from .outputs import CREDIT as OUTPUT_CREDIT
from .outputs import END
from .sending import Outbox

TOPICS_LIMIT = 256

ANEW = "circusd was started anew: what it had kept is gone, and numbers begin again"


class Following:
    """One follower of one daemon."""

    def __init__(self, bridge: Bridge, session: str, outbox: Outbox) -> None:
        self._bridge = bridge
        self._session = session
        self._outbox = outbox
        self._now = 0.0

    def events(self, asked: Mapping[str, Any], last_id: str) -> None:
        """What has happened, and what happens; by name of the event."""
        name, lines = str(asked.get("name") or ""), int(asked.get("lines", 0))
        if name:
            name = self._names(name, "simple")[0]
        epoch = self._epoch()
        seen_epoch, _, seen = last_id.rpartition(".")
        comes_again = bool(seen_epoch) and seen.isascii() and seen.isdigit() and len(seen) < 16
        last = int(seen) if comes_again and seen_epoch == epoch else 0
        early: list[tuple[dict[str, Any], int]] = []
        told = [last]
        is_open = [False]

        def tell(event: dict[str, Any], size: int) -> None:
            number = event.get("number")
            if not isinstance(number, int):
                self._outbox.put("gap", event, size=size)
            elif number > told[0]:
                told[0] = number
                self._outbox.put(str(event.get("event")), event, id_=f"{epoch}.{number}", size=size)
            else:
                self._outbox.owe(size)

        def take(event: dict[str, Any], size: int) -> None:
            if is_open[0]:
                tell(event, size)
            else:
                early.append((event, size))

        self._open((f"event.{escape_name(name)}." if name else "event.",), OUTPUT_CREDIT, take)
        if comes_again or lines:
            past = self._past(name, STREAM_LINES["events"] if comes_again else lines)
            if comes_again and seen_epoch != epoch:
                self._outbox.put("gap", {"skipped": None, "reason": ANEW})
            elif comes_again and not name and past and past[0]["number"] > last + 1:
                self._outbox.put("gap", {"skipped": past[0]["number"] - last - 1})
            for event in past:
                tell(event, 0)
        is_open[0] = True
        for event, size in early:
            tell(event, size)

    def _past(self, name: str, lines: int) -> list[dict[str, Any]]:
        properties: dict[str, Any] = {"lines": lines}
        if name:
            properties |= {"name": name, "match": "simple"}
        found = self._bridge.call("events", properties, session=self._session).get("events")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def logs(self, asked: Mapping[str, Any], last_id: str) -> None:
        """What processes write, line by line."""
        epoch = self._epoch()
        name = str(asked.get("name") or "")
        if name:
            topics = tuple(
                f"output.{escape_name(one)}." for one in self._names(name, str(asked.get("match", "glob")))
            )
        else:
            topics = ("output.",)
        if len(topics) > TOPICS_LIMIT:
            raise NotFound(
                f"{len(topics)} watchers match, and {TOPICS_LIMIT} can be followed at once",
                hint="without a name, all are followed",
            )
        before = cursors.read(last_id)
        lines = STREAM_LINES["logs"] if before is not None else int(asked.get("lines", 0))
        if before is not None and before.epoch != epoch:
            self._outbox.put("gap", {"skipped": None, "reason": ANEW})
            before = None
        writer = Lines(self._outbox, epoch, self._now, before)
        self._open(topics, OUTPUT_CREDIT, writer.take, lines=lines, stream=str(asked.get("stream") or ""))

    def state(self, asked: Mapping[str, Any], last_id: str) -> None:
        """First everything, then each watcher that has changed."""

        def take(data: dict[str, Any], size: int) -> None:
            kind = next((one for one in ("snapshot", "watcher", "removed") if one in data), "state")
            self._outbox.put(kind, data, size=size)

        self._open(("state.",), STATE_CREDIT, take)

    def load(self, asked: Mapping[str, Any], last_id: str) -> None:
        """CPU and memory, once a second."""
        self._open(("load.",), OUTPUT_CREDIT, lambda data, size: self._outbox.put("load", data, size=size))

    # -- the daemon --------------------------------------------------------------------------------------------------

    def _names(self, name: str, match: str) -> list[str]:
        reply = self._bridge.call("explain", {"name": name, "match": match}, session=self._session)
        return [str(row["name"]) for row in reply.get("watchers", ())] or [name]

    def _epoch(self) -> str:
        reply = self._bridge.call("ping", session=self._session)
        self._now = float(reply.get("time") or 0)
        return str(reply.get("epoch") or "0")

    def _open(
        self,
        topics: tuple[str, ...],
        credit: int,
        take: Callable[[dict[str, Any], int], None],
        lines: int = 0,
        stream: str = "",
    ) -> None:
        def pushed(topic: str, data: str, size: int) -> None:
            if topic == END:
                self._outbox.end(NoSession("the session is over"))
                return
            take(json.loads(data), size)

        follow = self._bridge.follow(
            topics,
            session=self._session,
            credit=credit,
            take=pushed,
            ended=self._outbox.end,
            lines=lines,
            stream=stream,
        )
        self._outbox.spent = follow.spent
        self._outbox.at_end.append(follow.close)


class Lines:
    """Turns pushes of output into one event for each line, with what the follower has seen left out and what is gone told."""

    def __init__(self, outbox: Outbox, epoch: str, now: float, before: Cursors | None) -> None:
        self._outbox = outbox
        self._before = before
        self._at = Cursors(epoch, now)
        if before is not None:
            self._at = Cursors(epoch, before.since, before.latest, dict(before.numbers))

    def take(self, data: dict[str, Any], size: int) -> None:
        """One push: lines of one process."""
        key = (str(data["watcher"]), int(data["wid"]), str(data["stream"]))
        head = {name: data[name] for name in ("watcher", "wid", "stream", "pid")}
        new = [
            row
            for row in data["lines"]
            if self._before is None or not self._before.has_seen(key, row[0], row[1])
        ]
        if not new:
            self._outbox.owe(size)
            return
        known = self._at.numbers.get(key)
        gone = int(data.get("skipped") or 0) if known is None else max(new[0][0] - known - 1, 0)
        if gone:
            self._outbox.put("gap", {**head, "skipped": gone})
        for row in new:
            number, time, text = row
            self._at.saw(key, number, time)
            is_last = row is new[-1]
            id_ = self._at.text if is_last or len(self._at.numbers) <= cursors.EACH_LINE else ""
            line = {**head, "number": number, "time": time, "text": text}
            self._outbox.put("line", line, id_=id_, size=size if is_last else 0)
