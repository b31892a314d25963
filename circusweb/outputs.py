"""Logs that pages follow: each by a stream of its own until it has caught up, and then by one that all who read the same share.

So circusd makes each push once, however many look at it. A page that does not keep up is passed over, and gets a stream of
its own again as soon as it can take more: by it the page sees what it has missed.

A stream is shared by those whom circusd has told to see the same watchers, whoever they are: what is on it depends on nothing
else. Nobody gets anything of it before circusd has opened, and filled, a stream for his own session; and whoever is changed or
logged out loses his sessions and with them the stream of states that each page has for itself, which ends the page's logs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.lock import BoundedSemaphore

from circusd.schema.errors import CircusError, NoSession, Unavailable

from .auth import Person
from .bridge import Bridge, Follow

CREDIT = 1 << 18
"""Bytes of a log on their way to one page."""

WINDOW = 1 << 20
"""The same where the stream is shared, which does not wait for the page."""

SHARED_CREDIT = 1 << 20
"""Bytes on their way here on a stream that is shared; given back as they come."""

FIRST_PAUSE, LAST_PAUSE = 0.2, 10.0
"""Seconds until a page that did not keep up is told what it has missed; longer each time, as that costs what is short."""

CALM_SECONDS = 30.0
"""After so long without that it begins anew."""

WAITING_BYTES = 1 << 22
"""What waits for one page to catch up; all that wait have the same pushes, which are there once."""

AGAIN_LINES = 1000
"""Lines of history with which a stream begins that takes the place of another."""

END = '"end."'
"""Topic of the last push of a stream that the daemon itself ends, as it does with the session."""

_PAST = '"past":true}'
"""The end of a push with lines of before."""

Take = Callable[[str, str, int], None]
Scope = tuple[tuple[str, ...], ...]
"""Of a person, as circusd has told it."""


class Shared:
    """The logs of the same watchers, and the stream that they share; there is one as soon as there are two of them."""

    def __init__(self, bridge: Bridge, topics: Sequence[str]) -> None:
        self.logs: set[Log] = set()
        self._bridge = bridge
        self._topics = topics
        self._follow: Follow | None = None
        self._opening = BoundedSemaphore(1)

    def open(self, session: str) -> None:
        """There is a stream if it can be had; without one, all go on with their own."""
        if len(self.logs) < 2:
            return
        with self._opening:
            if self.is_open:
                return
            try:
                self._follow = self._bridge.follow(
                    self._topics, session=session, credit=SHARED_CREDIT, take=self._take, ended=self._ended
                )
            except CircusError:
                return
        for log in list(self.logs):
            log.shared_opened()
        if not self.logs:
            self._close()

    @property
    def is_open(self) -> bool:
        return self._follow is not None

    def leave(self, log: Log) -> None:
        """One less; the last one closes the stream."""
        self.logs.discard(log)
        if not self.logs:
            self._close()

    def _close(self) -> None:
        follow, self._follow = self._follow, None
        if follow is not None:
            follow.close()

    def _take(self, topic: str, data: str, size: int) -> None:
        follow = self._follow
        if topic == END:
            if follow is not None:
                self._bridge.forget(follow.id)
            self._ended(NoSession("the session of the shared stream is over"))
            return
        if follow is not None:
            follow.spent(size)
        for log in list(self.logs):
            log.from_shared(topic, data, size)

    def _ended(self, problem: CircusError) -> None:
        self._follow = None
        for log in list(self.logs):
            log.shared_ended()


class Log:
    """The log that one page follows."""

    def __init__(
        self, shared: Shared, bridge: Bridge, topics: Sequence[str], session: str, take: Take,
        ended: Callable[[CircusError], None],
    ) -> None:  # fmt: skip
        self._shared = shared
        self._bridge = bridge
        self._topics = topics
        self._session = session
        self._take = take
        self._ended = ended
        self._own: Follow | None = None
        self._outstanding = 0
        self._closed = False
        self._waiting: list[tuple[str, str, int]] | None = None
        """What the shared stream has brought since before the own one was opened; None: it is not waited for."""
        self._waiting_bytes = 0
        self._is_alone = False
        """Its own stream was opened when there was no other."""
        self._timer: gevent.Greenlet[[], None] | None = None
        self._is_behind = False
        """It could not take something, and gets nothing until it can."""
        self._pause = FIRST_PAUSE
        self._caught_up = 0.0

    # -- one's own stream ------------------------------------------------------------------------------------------------

    def open(self, lines: int) -> None:
        """The last lines come, and those that are written from now on. Raises CircusError."""
        box: list[Follow] = []
        early: list[tuple[str, str, int]] = []

        def take(topic: str, data: str, size: int) -> None:
            if not box:
                early.append((topic, data, size))
            elif self._own is box[0]:
                self._from_own(topic, data, size)

        def ended(problem: CircusError) -> None:
            if not box or self._own is box[0]:
                self._over(problem)

        self._check_is_there()
        self._leave_own()
        self._shared.logs.add(self)
        self._shared.open(self._session)
        self._check_is_there()
        # From here on, before the daemon is asked: nothing is written between the two.
        self._waiting = [] if self._shared.is_open else None
        self._is_alone = not self._shared.is_open
        self._is_behind = False
        self._waiting_bytes = 0
        follow = self._bridge.follow(
            self._topics, session=self._session, credit=CREDIT, take=take, ended=ended, lines=lines
        )
        if self._closed:
            follow.close()
        self._check_is_there()
        self._leave_own()
        self._own = follow
        box.append(follow)
        for push in early:
            take(*push)

    def _check_is_there(self) -> None:
        if self._closed:
            raise Unavailable("the page is gone")

    def _from_own(self, topic: str, data: str, size: int) -> None:
        if topic == END:
            if self._own is not None:
                self._bridge.forget(self._own.id)
            self._over(NoSession("the session is over"))
            return
        if self._waiting is not None and not data.endswith(_PAST):
            # All lines of before are there, and what follows is in the other stream too. What the page gets twice it shows once.
            self._leave_own()
            waiting, self._waiting = self._waiting, None
            for push in waiting:
                self.from_shared(*push)
            return
        self._send(topic, data, size)

    def _leave_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def _over(self, problem: CircusError) -> None:
        self._own = None
        self._shared.leave(self)
        self._ended(problem)

    def spent(self, size: int) -> None:
        """So many bytes have reached the page."""
        self._outstanding -= size
        if self._own is not None:
            self._own.spent(size)
        if self._is_behind and self._outstanding < CREDIT // 2:
            self.begin_again(self._next_pause())

    def close(self) -> None:
        """Nothing comes any more; closing again does nothing."""
        self._closed = True
        self._shared.leave(self)
        self._leave_own()

    # -- the shared one ----------------------------------------------------------------------------------------------------

    def from_shared(self, topic: str, data: str, size: int) -> None:
        """A push of the shared stream."""
        if self._waiting is not None:
            self._waiting.append((topic, data, size))
            self._waiting_bytes += size
            if self._waiting_bytes > WAITING_BYTES:
                self._waiting = None
                self.begin_again(self._next_pause())
        elif self._own is None and not self._is_behind:
            if self._outstanding + size <= WINDOW:
                self._send(topic, data, size)
            else:
                self._is_behind = True

    def shared_opened(self) -> None:
        """There is such a stream now."""
        if self._is_alone:
            self.begin_again()

    def shared_ended(self) -> None:
        """The stream is no more: whoever went by it gets one of his own."""
        self._waiting = None
        if self._own is None:
            self.begin_again()

    def begin_again(self, pause: float = 0.0) -> None:
        """After the pause, a stream of one's own is opened anew; it is left again as soon as it has caught up."""
        if self._timer is None and not self._closed:
            self._timer = gevent.spawn_later(pause * random.uniform(1, 1.5), self._open_again)

    def _next_pause(self) -> float:
        now = time.monotonic()
        self._pause = (
            FIRST_PAUSE if now > self._caught_up + CALM_SECONDS else min(self._pause * 2, LAST_PAUSE)
        )
        self._caught_up = now + self._pause
        return self._pause

    def _open_again(self) -> None:
        self._timer = None
        if self._closed or (self._own is not None and not self._shared.is_open):
            return
        try:
            self.open(AGAIN_LINES)
        except CircusError as problem:
            if not self._closed:
                self._over(problem)

    def _send(self, topic: str, data: str, size: int) -> None:
        self._outstanding += size
        self._take(topic, data, size)


class Outputs:
    """All logs that are followed."""

    def __init__(self) -> None:
        self._shared: dict[tuple[Bridge, Scope, tuple[str, ...]], Shared] = {}

    def log(
        self,
        bridge: Bridge,
        person: Person,
        topics: Sequence[str],
        take: Take,
        ended: Callable[[CircusError], None],
    ) -> Log:
        """A log that is not open yet. It has a stream together with those of people who may see exactly the same watchers."""
        wanted = tuple(sorted(topics))
        key = (bridge, person.scope, wanted)
        self._shared = {known: shared for known, shared in self._shared.items() if shared.logs}
        shared = self._shared.setdefault(key, Shared(bridge, wanted))
        return Log(shared, bridge, wanted, person.session, take, ended)
