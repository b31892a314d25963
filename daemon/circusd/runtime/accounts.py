"""Accounts of the console: one-time links, and the sessions that they turn into. Tokens are known only by their hash."""

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
from circusd.schema.errors import BadRequest, Denied

from . import clock

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
    """Links and sessions of one daemon; all moments are monotonic inside and epoch seconds outside."""

    def __init__(self, on_end: Callable[[str], None] = lambda session: None) -> None:
        """``on_end`` (an attribute) is called in the hub or by `logout` with the fingerprint of each session that ended."""
        self.on_end = on_end
        self._links: OrderedDict[str, _Link] = OrderedDict()
        # The one that was used last is the last.
        self._sessions: OrderedDict[str, _Record] = OrderedDict()
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._timer: Any = None

    # -- links -----------------------------------------------------------------------------------------------------

    def new_link(self, role: str, person: str = "") -> tuple[str, float]:
        """A token that `redeem` takes once within ten minutes, and when it ends (epoch seconds). Raises BadRequest."""
        if role not in ROLES:
            raise BadRequest(f"there is no role {role!r}", field="role", hint="expected " + ", ".join(ROLES))
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
            self._end(next(iter(self._sessions)))
        record = _Record(link.person, link.role, now + ABSOLUTE_SECONDS, now)
        self._sessions[fingerprint(session)] = record
        self._arm()
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
            self._end(key)
            return None
        record.used = now
        self._sessions.move_to_end(key)
        return Session(record.person, record.role, round(clock.wall(record.ends), 3))

    def logout(self, token: str) -> bool:
        """The session is over; False if there was none."""
        key = fingerprint(token)
        if key not in self._sessions:
            return False
        self._end(key)
        return True

    def end_all(self, person: str | None = None) -> int:
        """All sessions and links, or those of a person, are over; returns how many sessions there were."""
        for key in [k for k, link in self._links.items() if person in (None, link.person)]:
            del self._links[key]
        keys = [k for k, record in self._sessions.items() if person in (None, record.person)]
        for key in keys:
            self._end(key)
        return len(keys)

    def counters(self) -> dict[str, Any]:
        """How many links and sessions there are."""
        return {"links": len(self._links), "sessions": len(self._sessions)}

    def close(self) -> None:
        """No timer is left; sessions are forgotten without a word."""
        self._stop_timer()
        self._sessions.clear()
        self._links.clear()

    def _end(self, key: str) -> None:
        del self._sessions[key]
        self.on_end(key)

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
        for key in [k for k, record in self._sessions.items() if record.end <= now]:
            self._end(key)
        self._arm()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
