"""Accounts of the console: one-time links, and the sessions that they turn into. Tokens are known only by their hash.

Sessions outlive the daemon, by a file; links do not.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gevent.hub import get_hub

from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, CircusError, Denied, Unavailable

from . import clock
from .sessionfile import PERSON_LIMIT, Kept, SessionFile

TOKEN_BYTES: Final = 32
LINK_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 12 * 3600.0
ABSOLUTE_SECONDS: Final = 7 * 24 * 3600.0

LINKS: Final = 100
"""Links that are open at a time; beyond it the oldest is void."""

SESSIONS: Final = 1000
"""Sessions at a time; beyond it the one that was not used for the longest time ends."""

TRIES: Final = 10
"""Wrong tokens that may come from one source before it has to wait."""

TRY_SECONDS: Final = 6.0
"""After this time a source has one try more."""

SOURCES: Final = 1024

USED_SECONDS: Final = 300.0
"""That sessions are used is written down this often at most: pages that ask all the time cost no disk."""

WAITING: Final = 256
"""Requests that wait at most until the file is read."""

_TOKEN_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at the console."""

    person: str
    role: str
    expires: float
    """Epoch seconds: when it ends even if it is used."""


@dataclass(slots=True)
class _Link:
    person: str
    role: str
    ends: float


@dataclass(slots=True)
class _Record:
    person: str
    role: str
    ends: float
    used: float

    @property
    def end(self) -> float:
        return min(self.ends, self.used + IDLE_SECONDS)


@dataclass(slots=True)
class _Tries:
    left: float
    at: float


def fingerprint(token: str) -> str:
    """By what a token is known here."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Accounts:
    """Links and sessions of one daemon; all moments are monotonic inside and epoch seconds outside.

    Where there is a file, everything about sessions is for when it was read: see `when_ready`.
    """

    def __init__(
        self, on_end: Callable[[str], None] = lambda session: None, file: SessionFile | None = None
    ) -> None:
        """``on_end`` (an attribute) is called in the hub or by `logout` with the fingerprint of each session that ended.

        ``file`` is where sessions are kept, and belongs to these accounts from now on; without one they end with the daemon.
        """
        self.on_end = on_end
        self._file = file
        self._waiting: list[Callable[[CircusError | None], None]] | None = None
        self._written = clock.now()
        self._links: OrderedDict[str, _Link] = OrderedDict()
        # The one that was used last is the last.
        self._sessions: OrderedDict[str, _Record] = OrderedDict()
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._timer: Any = None
        if file is not None:
            self._waiting = []
            file.read(self._take_over)

    # -- links -----------------------------------------------------------------------------------------------------

    def new_link(self, role: str, person: str = "") -> tuple[str, float]:
        """A token that `redeem` takes once within ten minutes, and when it ends (epoch seconds). Raises BadRequest."""
        if role not in ROLES:
            raise BadRequest(f"there is no role {role!r}", field="role", hint="expected " + ", ".join(ROLES))
        if len(person) > PERSON_LIMIT:
            raise BadRequest(f"person may have {PERSON_LIMIT} characters", field="person")
        now = clock.now()
        while self._links and (next(iter(self._links.values())).ends <= now or len(self._links) >= LINKS):
            self._links.popitem(last=False)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._links[fingerprint(token)] = _Link(person or role, role, now + LINK_SECONDS)
        return token, round(clock.wall(now + LINK_SECONDS), 3)

    def redeem(self, token: str, source: str = "") -> dict[str, Any]:
        """A new session for a link's token, which is used up: ``session`` (the token), ``person``, ``role``, ``expires``.

        Raises Denied; the text is the same for used, expired and unknown tokens, and another one when too many wrong ones
        came from ``source``. A right one is never kept waiting: nobody can guess it, and nobody can lock others out.
        """
        now = clock.now()
        key, link = self._match(token)
        if link is not None:
            del self._links[key]
        if link is None or link.ends <= now:
            self._count_wrong(source, now)
            raise Denied(
                "this link is used up, expired or wrong", hint="get another one with circusctl weblink"
            )
        session = secrets.token_urlsafe(TOKEN_BYTES)
        while len(self._sessions) >= SESSIONS:
            self._forget(next(iter(self._sessions)))
        record = _Record(link.person, link.role, now + ABSOLUTE_SECONDS, now)
        self._sessions[fingerprint(session)] = record
        self._arm()
        self._write()
        return {
            "session": session,
            "person": record.person,
            "role": record.role,
            "expires": round(clock.wall(record.ends), 3),
        }

    def _match(self, token: str) -> tuple[str, _Link | None]:
        if len(token) > _TOKEN_LIMIT:
            return "", None
        given = fingerprint(token)
        # Each is compared in constant time, whatever was given.
        found = [key for key in self._links if hmac.compare_digest(key, given)]
        return (found[0], self._links[found[0]]) if found else ("", None)

    def _count_wrong(self, source: str, now: float) -> None:
        tries = self._tries.setdefault(source, _Tries(float(TRIES), now))
        self._tries.move_to_end(source)
        while len(self._tries) > SOURCES:
            self._tries.popitem(last=False)
        tries.left = min(float(TRIES), tries.left + (now - tries.at) / TRY_SECONDS)
        tries.at = now
        if tries.left < 1:
            wait = math.ceil((1 - tries.left) * TRY_SECONDS)
            raise Denied("too many wrong links", hint=f"try again in {wait} s")
        tries.left -= 1

    # -- sessions --------------------------------------------------------------------------------------------------

    def check(self, token: str) -> Session | None:
        """Whose session it is, which counts as used now; None for one that is unknown or over."""
        if not token or len(token) > _TOKEN_LIMIT:
            return None
        key = fingerprint(token)
        record = self._sessions.get(key)
        now = clock.now()
        if record is None:
            return None
        if record.end <= now:
            self._forget(key)
            self._write()
            return None
        record.used = now
        self._sessions.move_to_end(key)
        if now - self._written >= USED_SECONDS:
            self._write()
        return Session(record.person, record.role, round(clock.wall(record.ends), 3))

    def logout(self, token: str) -> bool:
        """The session is over; False if there was none. When `settle` has returned, it is also after a restart."""
        key = fingerprint(token)
        if key not in self._sessions:
            return False
        self._forget(key)
        self._write()
        return True

    def end_all(self, person: str | None = None) -> int:
        """All sessions and links, or those of a person, are over; returns how many sessions there were."""
        for key in [k for k, link in self._links.items() if person in (None, link.person)]:
            del self._links[key]
        keys = [k for k, record in self._sessions.items() if person in (None, record.person)]
        for key in keys:
            self._forget(key)
        if keys:
            self._write()
        return len(keys)

    def counters(self) -> dict[str, Any]:
        """How many links and sessions there are, and why they will not outlive the daemon (empty when they will)."""
        return {"links": len(self._links), "sessions": len(self._sessions), "problem": self.problem}

    def close(self) -> None:
        """No timer and no thread is left; sessions are forgotten without a word here, and kept in the file."""
        self._stop_timer()
        if self._file is not None:
            if self._sessions:
                # When each was used last.
                self._write()
            self._file.close()
        self._sessions.clear()
        self._links.clear()
        self._waiting = None

    def _forget(self, key: str) -> None:
        del self._sessions[key]
        self.on_end(key)

    # -- the file --------------------------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why sessions are not kept at present; empty when they are."""
        return "" if self._file is None else self._file.problem

    def when_ready(self, then: Callable[[CircusError | None], None]) -> bool:
        """Whether sessions can be asked for now; if not, ``then`` is called in the hub when they can, with None.

        Where too many wait already it is called at once, with the error that says so.
        """
        if self._waiting is None:
            return True
        if len(self._waiting) >= WAITING:
            then(Unavailable("circusd still reads its sessions", hint="try again"))
        else:
            self._waiting.append(then)
        return False

    def settle(self) -> str:
        """Wait, in a greenlet, until what has happened to sessions is in the file, as far as that can be had.

        Tells why a session that has ended may be back after a restart; empty when none is.
        """
        outcome = None if self._file is None else self._file.settle()
        return outcome.problem if outcome is not None and outcome.revives else ""

    def _take_over(self, kept: list[Kept]) -> None:
        now, wall = clock.now(), clock.wall()
        for session in sorted(kept, key=lambda session: session.used)[-SESSIONS:]:
            # Whatever the clocks have done, none lasts longer than a new one would.
            ends = now + min(session.ends - wall, ABSOLUTE_SECONDS)
            record = _Record(session.person, session.role, ends, now + min(session.used - wall, 0.0))
            if record.end > now:
                self._sessions[session.key] = record
        self._arm()
        waiting, self._waiting = self._waiting or [], None
        for then in waiting:
            then(None)

    def _write(self) -> None:
        if self._file is not None:
            self._written = clock.now()
            self._file.write(
                [
                    Kept(key, r.person, r.role, clock.wall(r.ends), clock.wall(r.used))
                    for key, r in self._sessions.items()
                ]
            )

    # -- the end of time -------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """One timer, for the session that ends first as things are: streams of a session must not outlive it."""
        if self._timer is not None or not self._sessions:
            return
        first = min(record.end for record in self._sessions.values())
        self._timer = get_hub().loop.timer(max(0.0, first - clock.now()))
        self._timer.start(self._due)

    def _due(self) -> None:
        self._stop_timer()
        now = clock.now()
        over = [k for k, record in self._sessions.items() if record.end <= now]
        for key in over:
            self._forget(key)
        if over:
            self._write()
        self._arm()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
