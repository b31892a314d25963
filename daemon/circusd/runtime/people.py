"""The people who may use the console, and their tokens. Passwords and tokens are known only by their hashes.

They outlive the daemon by a file. Whoever is changed is told of by ``on_change``: his sessions and streams are to end.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, Conflict, Failed, NotFound, Unavailable
from circusd.schema.nearest import nearest

from . import clock, statefile
from .scope import Scope
from .timers import LoopTimer
from .tokens import NAME_LIMIT, TOKEN_PREFIX, fingerprint

PEOPLE: Final = 1000
TOKENS: Final = 20
"""Of one person."""
TOKEN_BYTES: Final = 32
LONGEST_LIFE: Final = 10 * 365 * 86400.0
"""Seconds for which a token may be good."""
USED_SECONDS: Final = 300.0
"""That tokens are used is written down this often at most."""

_NAME: Final = re.compile(r"[\w@+]([\w.@+ -]*[\w.@+-])?")


@dataclass(frozen=True, slots=True)
class Token:
    """What a program comes in with, in the name of a person."""

    id: int
    name: str
    key: str
    """The fingerprint of its text."""
    role: str
    watchers: tuple[str, ...]
    created: float
    expires: float | None
    """Epoch seconds."""
    used: float | None = None
    """When it was last, as far as that is written down."""


@dataclass(frozen=True, slots=True)
class Account:
    """One person."""

    name: str
    role: str
    watchers: tuple[str, ...] = ()
    password: str = ""
    """Its hash; empty while there is none, and nobody comes in by it."""
    disabled: bool = False
    created: float = 0.0
    changed: float = 0.0
    tokens: tuple[Token, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What may be shown."""
        return {
            "person": self.name,
            "role": self.role,
            "watchers": list(self.watchers),
            "password": bool(self.password),
            "disabled": self.disabled,
            "created": round(self.created, 3),
            "changed": round(self.changed, 3),
            "tokens": len(self.tokens),
        }


@dataclass(slots=True)
class People:
    """All accounts of one daemon; moments are epoch seconds. Everything is called in the hub or in a greenlet."""

    file: statefile.StateFile[Account] | None = None
    """Belongs to these people from now on; without one they end with the daemon."""
    on_change: Callable[[str], None] = lambda name: None
    """Is called with the name of a person who has less, other or no rights now, or another password."""
    on_token_end: Callable[[str], None] = lambda key: None
    """Is called with the fingerprint of a token that is good no longer."""
    _accounts: dict[str, Account] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)
    """Names of the people, by fingerprint of the token."""
    _used: dict[str, float] = field(default_factory=dict)
    is_read: bool = False
    """Whether people can be asked for: the file is read, or the disk does not answer."""
    _readers: list[Callable[[], None]] = field(default_factory=list)
    _is_there: bool = False
    _next_id: int = 1
    _written: float = 0.0
    _timer: LoopTimer = field(default_factory=LoopTimer)

    def __post_init__(self) -> None:
        if self.file is None:
            self._is_there = self.is_read = True
        else:
            self.file.read(self._take_over)

    def _take_over(self, found: list[Account] | None) -> None:
        if found is not None:
            self._is_there = True
            for account in found:
                self._put(account)
        self.is_read = True
        readers, self._readers = self._readers, []
        for then in readers:
            then()

    def when_read(self, then: Callable[[], None]) -> None:
        """``then`` is called when people can be asked for: at once, or in the hub."""
        if self.is_read:
            then()
        else:
            self._readers.append(then)

    def _need(self) -> None:
        if not self._is_there:
            raise Unavailable("circusd can't read its accounts: the disk does not answer", hint="try again")

    @property
    def problem(self) -> str:
        """Why people are not kept at present; empty when they are."""
        return "" if self.file is None else self.file.problem

    # -- asking ------------------------------------------------------------------------------------------------------

    def rows(self) -> list[Account]:
        """All, by name. Raises Unavailable."""
        self._need()
        return sorted(self._accounts.values(), key=lambda account: account.name.casefold())

    def find(self, name: str) -> Account | None:
        """The account of that name, in any case of letters. Raises Unavailable."""
        self._need()
        return self._accounts.get(name.casefold())

    def get(self, name: str) -> Account:
        """The same; raises NotFound with the nearest name."""
        account = self.find(name)
        if account is None:
            close = nearest(name, [one.name for one in self._accounts.values()])
            raise NotFound(f"there is no person {name!r}", hint=f"did you mean {close}?" if close else "")
        return account

    def has_credentials(self) -> bool:
        """Whether anybody can come in by a password or a token."""
        self._need()
        now = clock.wall()
        return any(
            not one.disabled and (one.password or any(_is_good(token, now) for token in one.tokens))
            for one in self._accounts.values()
        )

    def by_token(self, text: str) -> tuple[Account, Token] | None:
        """Whose token it is, which counts as used now; None for one that is unknown, over, or of a disabled person."""
        self._need()
        key = fingerprint(text)
        account = self._accounts.get(self._tokens.get(key, ""))
        if account is None or account.disabled:
            return None
        token = next(one for one in account.tokens if one.key == key)
        now = clock.wall()
        if not _is_good(token, now):
            return None
        self._used[key] = now
        if abs(now - self._written) >= USED_SECONDS:
            self._write()
        return account, token

    def tokens(self, accounts: Iterable[Account]) -> list[dict[str, Any]]:
        """What may be shown of their tokens."""
        return [
            {
                "id": token.id,
                "person": account.name,
                "token": token.name,
                "role": token.role,
                "watchers": list(token.watchers),
                "created": round(token.created, 3),
                "expires": token.expires,
                "used": self._used.get(token.key),
            }
            for account in accounts
            for token in account.tokens
        ]

    # -- changing ----------------------------------------------------------------------------------------------------

    def add(self, name: str, role: str, watchers: tuple[str, ...], password: str = "") -> Account:
        """A new account; ``password`` is a hash. Raises BadRequest, Conflict."""
        self._need()
        if len(name) > NAME_LIMIT or not _NAME.fullmatch(name):
            raise BadRequest(
                f"{name!r} can't be the name of a person",
                field="person",
                hint=f"letters, digits, . @ + - _ and spaces within, {NAME_LIMIT} at most",
            )
        _check_role(role)
        if self.find(name) is not None:
            raise Conflict(f"there is a person {name} already")
        if len(self._accounts) >= PEOPLE:
            raise Conflict(f"there are {PEOPLE} people already")
        now = clock.wall()
        account = Account(name, role, watchers, password, created=now, changed=now)
        self._put(account)
        self._write()
        return account

    def change(self, account: Account, **values: Any) -> Account:
        """The account has these values of `Account`. Raises BadRequest."""
        self._need()
        _check_role(values.get("role", account.role))
        changed = replace(account, **values)
        if changed != account:
            changed = replace(changed, changed=clock.wall())
            self._put(changed)
            self._write()
            self._end(changed)
        return changed

    def remove(self, account: Account) -> None:
        """The account is gone, with its tokens."""
        self._need()
        del self._accounts[account.name.casefold()]
        for token in account.tokens:
            self._tokens.pop(token.key, None)
            self._used.pop(token.key, None)
        self._write()
        self._end(account)

    def add_token(
        self, account: Account, name: str, role: str, watchers: tuple[str, ...], life: float | None
    ) -> tuple[str, Token]:
        """A token for that many seconds: its text, which is known to nobody afterwards, and what is kept. Raises BadRequest, Conflict."""
        self._need()
        if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
            raise BadRequest(f"a token needs a name of 1 to {NAME_LIMIT} letters", field="token")
        _check_role(role)
        if ROLES.index(role) > ROLES.index(account.role):
            raise BadRequest(f"the token's role can't be above that of {account.name}", field="role")
        if life is not None and not 0 < life <= LONGEST_LIFE:
            raise BadRequest("a token is good for more than 0 seconds and at most ten years", field="expires")
        if any(one.name == name for one in account.tokens):
            raise Conflict(f"{account.name} has a token {name!r} already", hint="choose another name")
        if len(account.tokens) >= TOKENS:
            raise Conflict(f"{account.name} has {TOKENS} tokens already", hint="remove one with rmtoken")
        text = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        now = clock.wall()
        expires = None if life is None else round(now + life, 3)
        token = Token(self._next_id, name, fingerprint(text), role, watchers, now, expires)
        self._put(replace(account, tokens=(*account.tokens, token)))
        self._write()
        return text, token

    def find_token(self, id_: int) -> tuple[Account, Token]:
        """The token of that id, and whose it is. Raises NotFound, Unavailable."""
        self._need()
        for account in self._accounts.values():
            for token in account.tokens:
                if token.id == id_:
                    return account, token
        raise NotFound(f"there is no token with the id {id_}", hint="circusctl tokens lists them")

    def remove_token(self, account: Account, token: Token) -> None:
        """The token is good no longer."""
        self._need()
        self._put(replace(account, tokens=tuple(one for one in account.tokens if one is not token)))
        self._tokens.pop(token.key, None)
        self._used.pop(token.key, None)
        self._write()
        self.on_token_end(token.key)

    def settle(self) -> None:
        """Wait, in a greenlet, until what was changed is on disk. Raises Failed where it is not."""
        problem = "" if self.file is None else self.file.settle().problem
        if problem:
            raise Failed(f"this counts, but will not outlive circusd: {problem}")

    def close(self) -> None:
        """Nothing of it is left but the file."""
        self._timer.stop()
        if self.file is not None:
            if self._written and self._used:
                self._write()
            self.file.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _put(self, account: Account) -> None:
        key = account.name.casefold()
        self._accounts[key] = account
        for token in account.tokens:
            self._tokens[token.key] = key
            if token.used is not None:
                self._used.setdefault(token.key, token.used)
            self._next_id = max(self._next_id, token.id + 1)
        self._arm()

    def _end(self, account: Account) -> None:
        for token in account.tokens:
            # Those that are still good begin anew, with what they may now.
            self.on_token_end(token.key)
        self.on_change(account.name)

    def _write(self) -> None:
        if self.file is not None:
            self._written = clock.wall()
            self.file.write([self._with_uses(one) for one in self._accounts.values()])

    def _with_uses(self, account: Account) -> Account:
        tokens = tuple(replace(token, used=self._used.get(token.key)) for token in account.tokens)
        return replace(account, tokens=tokens)

    def _arm(self) -> None:
        """One timer, for the token that ends first: its streams must not outlive it."""
        self._timer.stop()
        now = clock.wall()
        ends = [
            token.expires
            for account in self._accounts.values()
            for token in account.tokens
            if token.expires is not None and token.expires > now
        ]
        if ends:
            self._timer.once(min(min(ends) - now, 86400.0), self._due)

    def _due(self) -> None:
        now = clock.wall()
        for account in list(self._accounts.values()):
            for token in account.tokens:
                if not _is_good(token, now):
                    self.on_token_end(token.key)
        self._arm()


def scope_of(account: Account, token: Token | None = None) -> Scope:
    """Which watchers the person may see, and with that token."""
    return Scope.of(account.watchers, token.watchers if token is not None else ())


def lower_role(one: str, other: str) -> str:
    """The less of two roles."""
    return min(one, other, key=ROLES.index)


def _is_good(token: Token, now: float) -> bool:
    return token.expires is None or token.expires > now


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise BadRequest(f"there is no role {role!r}", field="role", hint="expected " + ", ".join(ROLES))
