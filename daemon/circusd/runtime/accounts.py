"""Who is at the console: one-time links, and sessions by them, by passwords or by a trusted proxy.

Links and sessions are known only by their hash. Sessions outlive the daemon, by a file; links do not.
"""

from __future__ import annotations

import hmac
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, CircusError, Denied, Throttled, Unavailable

from . import clock
from .passwords import Passwords
from .people import Account, People, lower_role, scope_of
from .scope import ALL, Scope
from .sessionfile import PERSON_LIMIT, Kept, SessionFile
from .throttle import Throttle, Tries
from .timers import LoopTimer
from .tokens import LONGEST, TOKEN_PREFIX, fingerprint

TOKEN_BYTES: Final = 32
LINK_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 12 * 3600.0
ABSOLUTE_SECONDS: Final = 7 * 24 * 3600.0

LINKS: Final = 100
"""Links that are open at a time; beyond it the oldest is void."""

SESSIONS: Final = 1000
"""Sessions at a time; beyond it the one that was not used for the longest time ends."""

ACCOUNT_SESSIONS: Final = 50
"""Of one account at a time; beyond it the one that was not used for the longest time ends, and nobody else's."""

TRIES: Final = 10
"""Wrong tokens that may come from one source before it has to wait."""

TRY_SECONDS: Final = 6.0
"""After this time a source has one try more."""

SOURCES: Final = 1024

USED_SECONDS: Final = 300.0
"""That sessions are used is written down this often at most: pages that ask all the time cost no disk."""

WAITING: Final = 256
"""Requests that wait at most until the file is read."""

SHOWN_LETTERS: Final = 12
"""Of a session's fingerprint, as its id where sessions are listed."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody at the console, or a program that comes in with a token of his."""

    person: str
    role: str
    expires: float | None
    """Epoch seconds: when it ends even if it is used; None for a token without an end."""
    scope: Scope = ALL
    account: str = ""
    """The name of the person's account; empty when he came by a link, or by a proxy without an account."""
    token: str = ""
    """The name of the token."""


@dataclass(slots=True)
class _Link:
    person: str
    role: str
    ends: float
    watchers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Record:
    person: str
    role: str
    ends: float
    used: float
    began: float = field(default_factory=clock.now)
    address: str = ""
    watchers: tuple[str, ...] = ()
    account: bool = False
    """Role and patterns are those of the person's account at that moment."""


class Accounts:
    """Links and sessions of one daemon; all moments are monotonic inside and epoch seconds outside.

    Where there is a file, everything about sessions is for when it was read: see `when_ready`.
    """

    def __init__(
        self,
        on_end: Callable[[str], None] = lambda session: None,
        file: SessionFile | None = None,
        people: People | None = None,
        limits: Callable[[], tuple[float, float]] = lambda: (IDLE_SECONDS, ABSOLUTE_SECONDS),
    ) -> None:
        """``on_end`` (an attribute) is called in the hub or by `logout` with the fingerprint of each session that ended.

        ``file`` is where sessions are kept, and belongs to these accounts from now on, as ``people`` do; without one they
        end with the daemon. ``limits`` tells the seconds without use, and in all, after which a session ends.
        """
        self.on_end = on_end
        self.people = people or People()
        self.people.on_change = self._changed
        self.people.on_token_end = self._token_ended
        self.passwords = Passwords()
        self.throttle = Throttle()
        self._limits = limits
        self.sparing = ""
        """The session (its token) of somebody who changes his own password: it goes on."""
        self._file = file
        self._waiting: list[Callable[[CircusError | None], None]] | None = None
        self._written = clock.now()
        self._links: OrderedDict[str, _Link] = OrderedDict()
        # The one that was used last is the last.
        self._sessions: OrderedDict[str, _Record] = OrderedDict()
        self._tries = Tries(TRIES, TRY_SECONDS, SOURCES)
        self._timer = LoopTimer()
        self._is_read = file is None
        if file is not None:
            self._waiting = []
            self.people.when_read(self._look)
            file.read(self._take_over)

    # -- links -----------------------------------------------------------------------------------------------------

    def new_link(self, role: str, person: str = "", watchers: tuple[str, ...] = ()) -> tuple[str, float]:
        """A token that `redeem` takes once within ten minutes, and when it ends (epoch seconds). Raises BadRequest."""
        if role not in ROLES:
            raise BadRequest(f"there is no role {role!r}", field="role", hint="expected " + ", ".join(ROLES))
        if len(person) > PERSON_LIMIT:
            raise BadRequest(f"person may have {PERSON_LIMIT} characters", field="person")
        now = clock.now()
        while self._links and (next(iter(self._links.values())).ends <= now or len(self._links) >= LINKS):
            self._links.popitem(last=False)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._links[fingerprint(token)] = _Link(person or role, role, now + LINK_SECONDS, watchers)
        return token, round(clock.wall(now + LINK_SECONDS), 3)

    def redeem(self, token: str, source: str = "") -> dict[str, Any]:
        """A new session for a link's token, which is used up: ``session`` (the token), ``person``, ``role``, ``expires``.

        Raises Denied; the text is the same for used, expired and unknown tokens. Raises Throttled when too many wrong ones
        came from ``source``. A right one is never kept waiting: nobody can guess it, and nobody can lock others out.
        """
        now = clock.now()
        key, link = self._match(token)
        if link is not None:
            del self._links[key]
        if link is None or link.ends <= now:
            self._count_wrong(source)
            raise Denied(
                "this link is used up, expired or wrong", hint="get another one with circusctl weblink"
            )
        return self._begin(_Record(link.person, link.role, 0.0, now, now, source, link.watchers))

    def begin(self, account: Account, address: str) -> dict[str, Any]:
        """A new session of a person who has shown that he is the one; as `redeem`. Raises Denied for one who is disabled."""
        if account.disabled:
            raise Denied(f"{account.name} is disabled", hint="an admin can change that: setperson")
        now = clock.now()
        return self._begin(_Record(account.name, account.role, 0.0, now, now, address, (), account=True))

    def begin_stranger(self, person: str, role: str, address: str) -> dict[str, Any]:
        """A new session of a person without an account, for whom a trusted proxy speaks; as `redeem`. Raises BadRequest."""
        if role not in ROLES or not person or len(person) > PERSON_LIMIT:
            raise BadRequest("the proxy names no person, or no role that there is")
        now = clock.now()
        return self._begin(_Record(person, role, 0.0, now, now, address))

    def _begin(self, record: _Record) -> dict[str, Any]:
        record.ends = record.began + self._limits()[1]
        session = secrets.token_urlsafe(TOKEN_BYTES)
        own = [
            key for key, other in self._sessions.items() if other.account and other.person == record.person
        ]
        if record.account and len(own) >= ACCOUNT_SESSIONS:
            self._forget(own[0])
        while len(self._sessions) >= SESSIONS:
            self._forget(next(iter(self._sessions)))
        self._sessions[fingerprint(session)] = record
        self._arm()
        self._write()
        return {
            "session": session,
            "person": record.person,
            "role": record.role,
            "expires": round(clock.wall(record.ends), 3),
        }

    def _end_of(self, record: _Record) -> float:
        return min(record.ends, record.used + self._limits()[0])

    def _match(self, token: str) -> tuple[str, _Link | None]:
        if len(token) > LONGEST:
            return "", None
        given = fingerprint(token)
        # Each is compared in constant time, whatever was given.
        found = [key for key in self._links if hmac.compare_digest(key, given)]
        return (found[0], self._links[found[0]]) if found else ("", None)

    def _count_wrong(self, source: str) -> None:
        if wait := self._tries.wait(source):
            raise Throttled("too many wrong links", math.ceil(wait))
        self._tries.use(source)

    # -- sessions --------------------------------------------------------------------------------------------------

    def check(self, token: str) -> Session | None:
        """Whose session or token it is, which counts as used now; None for one that is unknown or over. Raises Unavailable."""
        if token.startswith(TOKEN_PREFIX):
            return self._check_token(token)
        if not token or len(token) > LONGEST:
            return None
        key = fingerprint(token)
        record = self._sessions.get(key)
        now = clock.now()
        if record is None:
            return None
        if self._end_of(record) <= now:
            self._forget(key)
            self._write()
            return None
        record.used = now
        self._sessions.move_to_end(key)
        if now - self._written >= USED_SECONDS:
            self._write()
        return self._session_of(record)

    def _session_of(self, record: _Record) -> Session | None:
        expires = round(clock.wall(record.ends), 3)
        if not record.account:
            return Session(record.person, record.role, expires, Scope.of(record.watchers))
        account = self.people.find(record.person)
        if account is None or account.disabled:
            return None
        return Session(account.name, account.role, expires, scope_of(account), account.name)

    def _check_token(self, text: str) -> Session | None:
        found = self.people.by_token(text) if len(text) <= LONGEST else None
        if found is None:
            return None
        account, token = found
        role = lower_role(account.role, token.role)
        return Session(account.name, role, token.expires, scope_of(account, token), account.name, token.name)

    def logout(self, token: str) -> bool:
        """The session is over; False if there was none. When `settle` has returned, it is also after a restart."""
        key = fingerprint(token)
        if key not in self._sessions:
            return False
        self._forget(key)
        self._write()
        return True

    def _token_ended(self, key: str) -> None:
        self.on_end(key)

    def _changed(self, person: str) -> None:
        """What bears that person's name is over."""
        spared = fingerprint(self.sparing) if self.sparing else ""
        name = person.casefold()
        for key in [k for k, link in self._links.items() if link.person.casefold() == name]:
            del self._links[key]
        self._end_those(lambda key, record: record.person.casefold() == name and key != spared)

    def rows(self, person: str | None = None, own: str = "") -> list[dict[str, Any]]:
        """The sessions that there are, or those of a person: what may be shown; ``own`` is the token of who asks."""
        mine = fingerprint(own) if own else ""
        return [
            {
                "id": key[:SHOWN_LETTERS],
                "person": record.person,
                "role": found.role,
                "by": "account" if record.account else "link",
                "address": record.address,
                "began": round(clock.wall(record.began), 3),
                "used": round(clock.wall(record.used), 3),
                "ends": round(clock.wall(self._end_of(record)), 3),
                "own": key == mine,
            }
            for key, record in self._sessions.items()
            if (person is None or record.person == person) and (found := self._session_of(record)) is not None
        ]

    def end_one(self, id_: str, person: str | None = None) -> bool:
        """The session with that id, of that person if one is given, is over; False if there is none."""
        return bool(
            self._end_those(
                lambda key, record: key[:SHOWN_LETTERS] == id_ and person in (None, record.person)
            )
        )

    def _end_those(self, meant: Callable[[str, _Record], bool]) -> int:
        keys = [key for key, record in self._sessions.items() if meant(key, record)]
        for key in keys:
            self._forget(key)
        if keys:
            self._write()
        return len(keys)

    def end_all(self, person: str | None = None) -> int:
        """All sessions and links, or those of a person, are over; returns how many sessions there were."""
        for key in [k for k, link in self._links.items() if person in (None, link.person)]:
            del self._links[key]
        return self._end_those(lambda key, record: person in (None, record.person))

    def counters(self) -> dict[str, Any]:
        """How many links and sessions there are, and why they will not outlive the daemon (empty when they will)."""
        return {"links": len(self._links), "sessions": len(self._sessions), "problem": self.problem}

    def close(self) -> None:
        """No timer and no thread is left; sessions are forgotten without a word here, and kept in the file."""
        self._timer.stop()
        self.people.close()
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
        return ("" if self._file is None else self._file.problem) or self.people.problem

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

    def _take_over(self, kept: list[Kept] | None) -> None:
        now, wall = clock.now(), clock.wall()
        for session in sorted(kept or (), key=lambda session: session.used)[-SESSIONS:]:
            # Whatever the clocks have done, none lasts longer than a new one would.
            ends = now + min(session.ends - wall, self._limits()[1])
            record = _Record(
                session.person,
                session.role,
                ends,
                now + min(session.used - wall, 0.0),
                now + min(session.began - wall, 0.0),
                session.address,
                session.watchers,
                session.account,
            )
            if self._end_of(record) > now:
                self._sessions[session.key] = record
        self._arm()
        self._is_read = True
        self._look()

    def _look(self) -> None:
        """Who has waited goes on, when sessions and people are read."""
        if self._is_read and self.people.is_read:
            waiting, self._waiting = self._waiting or [], None
            for then in waiting:
                then(None)

    def _write(self) -> None:
        if self._file is not None:
            self._written = clock.now()
            self._file.write(
                [
                    Kept(
                        key,
                        r.person,
                        r.role,
                        clock.wall(r.ends),
                        clock.wall(r.used),
                        clock.wall(r.began),
                        r.address,
                        r.watchers,
                        r.account,
                    )
                    for key, r in self._sessions.items()
                ]
            )

    # -- the end of time -------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """One timer, for the session that ends first as things are: streams of a session must not outlive it."""
        if self._timer.is_set or not self._sessions:
            return
        first = min(self._end_of(record) for record in self._sessions.values())
        self._timer.once(first - clock.now(), self._due)

    def _due(self) -> None:
        now = clock.now()
        over = [k for k, record in self._sessions.items() if self._end_of(record) <= now]
        for key in over:
            self._forget(key)
        if over:
            self._write()
        self._arm()
