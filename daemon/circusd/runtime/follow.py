"""Followed streams: a request opens one, and messages with its id are pushed as far as the follower's credit goes.

Credit is counted in bytes of whole messages. A message goes out when it fits, or when half of the window is free: a
follower that gives back what it has used, at the latest when that is half of the window, is never stuck.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from circusd.schema import wire
from circusd.schema.errors import BadRequest, CircusError, Conflict

from . import clock
from .feeds import NEVER, EventFeed, Feed, LoadFeed, OutputFeed, StateFeed, World
from .history import History, StreamKey
from .outputreader import HISTORY_LINES_LIMIT, OutputReader
from .publisher import Publisher
from .scope import ALL, Scope
from .timers import LoopTimer

log = logging.getLogger("circusd.follow")

CREDIT_BYTES: Final = 1 << 18
"""The window when the request names none."""

LEAST_CREDIT_BYTES: Final = 4 << 10
MOST_CREDIT_BYTES: Final = 4 << 20
MESSAGE_BYTES: Final = 64 << 10
"""Output is pushed in messages of at most so many bytes, unless a single line is longer."""

FOLLOWS_PER_CONNECTION: Final = 1024
TOPICS_LIMIT: Final = 256
END: Final = "end."
"""Topic of the last push of a stream that the daemon itself ends."""

FULL_SECONDS: Final = 0.1
"""How long nothing is tried on a connection that took no more."""

_MESSAGES_PER_TURN = 4


class Follower(Protocol):
    """Who follows; see `controller.Caller`."""

    @property
    def connection(self) -> bytes: ...

    @property
    def send(self) -> Callable[[bytes], bool]: ...


class Named(Protocol):
    """A watcher, as far as its name goes."""

    @property
    def name(self) -> str: ...


class Follows:
    """All followed streams. Everything here is called in the hub or in a greenlet, and never waits."""

    def __init__(self, publisher: Publisher, history: History, world: World) -> None:
        """``world`` gives ``snapshot(scope)``, ``watcher_view(name)`` and ``lead(scope)``; see `feeds.World`."""
        self._publisher = publisher
        self._history = history
        self._world = world
        self._lines: dict[bytes, _Line] = {}
        self._states: dict[StateFeed, _Follow] = {}

    def open(
        self,
        caller: Follower,
        request_id: Any,
        topics: Sequence[str],
        *,
        credit: int = CREDIT_BYTES,
        lines: int = 0,
        stream: str | None = None,
        session: str = "",
        scope: Scope = ALL,
    ) -> dict[str, Any]:
        """The stream is open; returns the payload of the reply, and pushes begin when the loop has had its next turn.

        Topics: ``state.``, ``event.`` or ``event.NAME.``, ``load.``, ``output.`` or ``output.NAME.`` (NAME in any case,
        escaped or not). A push names the topic as it was asked for. ``lines`` of history come first (output);
        ``stream`` chooses ``stdout`` or ``stderr``; ``session`` is the `tokens.fingerprint` of the session that asked, and of
        what is not in its ``scope`` nothing is told. A second one with the same id on the same connection takes the place
        of the first. Raises BadRequest, Conflict.
        """
        if not isinstance(request_id, str | int):
            raise BadRequest("follow needs an id, a text or a whole number", field="id")
        if not topics or len(topics) > TOPICS_LIMIT:
            raise BadRequest(f"topics must be a list of 1 to {TOPICS_LIMIT}", field="topics")
        if (old := self._find(caller, request_id)) is not None:
            self._end(old)
        line = self._lines.get(caller.connection) or _Line()
        if len(line.streams) >= FOLLOWS_PER_CONNECTION:
            raise Conflict(f"{FOLLOWS_PER_CONNECTION} streams are open on this connection already")
        window = min(max(int(credit), LEAST_CREDIT_BYTES), MOST_CREDIT_BYTES)
        follow = _Follow(line, caller, request_id, window, session, scope)
        try:
            self._feed(follow, topics, min(max(int(lines), 0), HISTORY_LINES_LIMIT), stream)
        except CircusError:
            follow.close()
            raise
        self._lines[caller.connection] = line
        line.streams[request_id] = follow
        self._states.update((feed, follow) for feed in follow.feeds if isinstance(feed, StateFeed))
        follow.wake()
        return {"topics": list(topics), "credit": window}

    def credit(self, caller: Follower, followed: Any, count: int) -> None:
        """So many bytes more may be on their way; nothing happens if there is no such stream (any more)."""
        follow = self._find(caller, followed)
        if follow is not None and count > 0:
            follow.give(count)

    def unfollow(self, caller: Follower, followed: Any) -> None:
        """No message of that stream comes any more; nothing happens if there is none."""
        follow = self._find(caller, followed)
        if follow is not None:
            self._end(follow)

    def changed(self, watcher: Named | str) -> None:
        """The watcher may look different; its name if it is gone. Costs next to nothing when nobody follows states."""
        if self._states:
            name = watcher if isinstance(watcher, str) else watcher.name
            for feed, follow in self._states.items():
                if follow.scope.sees(name):
                    feed.changed(name)

    def left(self, connection: bytes) -> None:
        """The connection has ended, and its streams with it."""
        line = self._lines.get(connection)
        for follow in list(line.streams.values()) if line else ():
            self._end(follow)

    def end_session(self, session: str, reason: str = "the session is over") -> None:
        """The streams of that session (its `tokens.fingerprint`) have ended, and are told so by a last push."""
        for line in list(self._lines.values()):
            for follow in list(line.streams.values()):
                if session and follow.session == session:
                    follow.say_end(reason)
                    self._end(follow)

    def close(self) -> None:
        """All streams have ended."""
        for connection in list(self._lines):
            self.left(connection)

    def counters(self) -> dict[str, Any]:
        """How many are open."""
        return {"follows": sum(len(line.streams) for line in self._lines.values())}

    def _find(self, caller: Follower, followed: Any) -> _Follow | None:
        line = self._lines.get(caller.connection)
        if line is None or not isinstance(followed, str | int):
            return None
        return line.streams.get(followed)

    def _end(self, follow: _Follow) -> None:
        line = self._lines[follow.caller.connection]
        del line.streams[follow.id]
        if not line.streams:
            del self._lines[follow.caller.connection]
        for feed in follow.feeds:
            if isinstance(feed, StateFeed):
                del self._states[feed]
        follow.close()

    def _feed(self, follow: _Follow, topics: Sequence[str], lines: int, stream: str | None) -> None:
        outputs: list[str] = []
        for topic in dict.fromkeys(map(str, topics)):
            kind = topic.partition(".")[0] if topic.endswith(".") else ""
            follow.topic_bytes = max(follow.topic_bytes, len(wire.encode(topic)))
            feed: Feed
            if topic == "state.":
                feed = StateFeed(topic, self._world, follow.wake, follow.scope)
            elif kind == "event":
                feed = EventFeed(topic, self._publisher, follow.wake, follow.scope)
            elif topic == "load.":
                feed = LoadFeed(topic, self._publisher, follow.wake, follow.scope)
            elif kind == "output":
                outputs.append(topic)
                continue
            else:
                raise BadRequest(
                    f"{topic!r} is no topic to follow",
                    field="topics",
                    hint="expected state., event., event.NAME., load., output. or output.NAME.",
                )
            follow.feeds.append(feed)
        if outputs:
            names = _Names(outputs)
            reader = OutputReader(
                self._history,
                lambda key: (
                    stream in (None, key.stream) and names.match(key) and follow.scope.sees(key.watcher)
                ),
                lines,
            )
            follow.feeds.append(OutputFeed(reader, names.topic, follow.wake))


class _Line:
    """What the streams of one connection share."""

    def __init__(self) -> None:
        self.streams: dict[str | int, _Follow] = {}
        self.full_until = 0.0
        """The connection took no more; until then no stream makes messages that would lie here."""


class _Follow:
    """One stream: its window, its feeds, and at most one message that waits for room."""

    def __init__(
        self,
        line: _Line,
        caller: Follower,
        request_id: str | int,
        window: int,
        session: str,
        scope: Scope,
    ) -> None:
        self.caller = caller
        self.id = request_id
        self.session = session
        self.scope = scope
        self.feeds: list[Feed] = []
        self.topic_bytes = 0
        self._line = line
        self._head = b'{"id":' + wire.encode(request_id) + b',"push":'
        self._window = window
        self._available = window
        self._held: bytes | None = None
        self._timer = LoopTimer()
        self._due = NEVER
        self._closed = False

    def give(self, count: int) -> None:
        """The follower has used up so many bytes, or lets so many more come."""
        self._available = min(self._available + count, MOST_CREDIT_BYTES)
        self._window = max(self._window, self._available)
        self.wake()

    def wake(self) -> None:
        """Messages that are due go out in a later turn of the loop; those that are due later go out then."""
        if self._closed or not self._has_room():
            return
        due = 0.0 if self._held is not None else min((feed.due for feed in self.feeds), default=NEVER)
        due = max(due, self._line.full_until)
        if due >= self._due:
            return
        self._due = due
        self._timer.once(due - clock.now(), self._run)

    def _has_room(self) -> bool:
        """Whether the message that waits may go; when none does, any message of the usual length."""
        size = MESSAGE_BYTES if self._held is None else len(self._held)
        return self._available >= min(size, self._window // 2)

    def _run(self) -> None:
        self._due = NEVER
        try:
            for _ in range(_MESSAGES_PER_TURN):
                if not self._send_one():
                    break
        except Exception:
            # It is lost for this follower; the loop and the other followers are not.
            log.exception("a message of stream %r could not be made", self.id)
        self.wake()

    def _send_one(self) -> bool:
        """Whether there may be another one."""
        now = clock.now()
        if now < self._line.full_until:
            return False
        if self._held is None:
            self._held = self._make(now) if self._has_room() else None
        if self._held is None or not self._has_room():
            return False
        if not self.caller.send(self._held):
            self._line.full_until = now + FULL_SECONDS
            return False
        self._available -= len(self._held)
        self._held = None
        return True

    def _make(self, now: float) -> bytes | None:
        limit = min(MESSAGE_BYTES, self._window // 2) - len(self._head) - self.topic_bytes - len(b',"data":}')
        for feed in self.feeds:
            while feed.due <= now:
                found = feed.next(limit)
                if found is not None:
                    # Who was heard last comes last.
                    self.feeds.remove(feed)
                    self.feeds.append(feed)
                    topic, data = found
                    return self._head + wire.encode(topic) + b',"data":' + data + b"}"
        return None

    def say_end(self, reason: str) -> None:
        """The last push; it needs no credit."""
        self.caller.send(self._head + wire.encode(END) + b',"data":' + wire.encode({"reason": reason}) + b"}")

    def close(self) -> None:
        """Nothing is sent any more."""
        self._closed = True
        self._timer.stop()
        for feed in self.feeds:
            feed.close()
        self._held = None


class _Names:
    """Which of the topics of output a stream belongs to."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._all = "output." if "output." in topics else None
        self._topics = {topic.removeprefix("output.").removesuffix(".").lower(): topic for topic in topics}

    def match(self, key: StreamKey) -> bool:
        return self._all is not None or self._own(key.watcher) is not None

    def topic(self, watcher: str) -> str:
        return self._own(watcher) or self._all or "output."

    def _own(self, watcher: str) -> str | None:
        # As it stands, or escaped.
        return self._topics.get(watcher.lower()) or self._topics.get(wire.escape_name(watcher).lower())
