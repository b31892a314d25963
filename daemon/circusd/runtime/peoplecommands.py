"""The commands about people: accounts, passwords, tokens, sessions. An admin's for all, everybody's for himself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from circusd.schema.commands import reaches
from circusd.schema.errors import BadRequest, Conflict, Denied, NotFound

from .arbiter import in_background
from .doorcommands import logged_out
from .requests import Context, Later, Person, Reply, as_int, as_seconds
from .scope import patterns

if TYPE_CHECKING:
    from .accounts import Accounts
    from .daemon import Daemon
    from .people import Account


class PeopleCommands:
    """Accounts, and what comes in with them."""

    daemon: Daemon

    @property
    def _accounts(self) -> Accounts:
        accounts: Accounts = self.daemon.accounts
        return accounts

    # -- people ------------------------------------------------------------------------------------------------------

    def cmd_people(self, p: dict[str, Any], c: Context) -> Reply:
        return {"people": [account.as_dict() for account in self._accounts.people.rows()]}

    def cmd_addperson(self, p: dict[str, Any], c: Context) -> Reply:
        people = self._accounts.people
        watchers, password = as_patterns(p.get("watchers")), p.get("password") or ""

        def run() -> Account:
            hashed = self._accounts.passwords.hash(password) if password else ""
            account = people.add(p["person"], p["role"], watchers, hashed)
            people.settle()
            return account

        return Later(in_background(run), lambda account: account.as_dict())

    def cmd_setperson(self, p: dict[str, Any], c: Context) -> Reply:
        people = self._accounts.people
        account = people.get(p["person"])
        values: dict[str, Any] = {}
        if p.get("role") is not None:
            values["role"] = p["role"]
        if p.get("watchers") is not None:
            given = as_patterns(p["watchers"])
            values["watchers"] = () if "*" in given else given
        if p.get("disabled") is not None:
            values["disabled"] = p["disabled"] in ("yes", True)
        changed = people.change(account, **values)
        return Later(in_background(people.settle), lambda _: changed.as_dict())

    def cmd_rmperson(self, p: dict[str, Any], c: Context) -> Reply:
        people = self._accounts.people
        people.remove(people.get(p["person"]))
        return Later(in_background(people.settle), lambda _: {})

    def cmd_password(self, p: dict[str, Any], c: Context) -> Reply:
        account = self._meant(p["person"], c.person)
        if not p.get("password"):
            raise BadRequest("a password is needed", field="password")
        run = partial(self._set_password, account, p["password"], p.get("current"), c)
        return Later(in_background(run), lambda _: {})

    def _set_password(self, account: Account, password: str, current: str | None, c: Context) -> None:
        people = self._accounts.people
        if _is_own(account, c.person) and account.password:
            # Whoever has found a page open does not keep the person out for good.
            self._accounts.throttle.begin(account.name, c.request.address)
            if not self._accounts.passwords.is_right(account.password, current or ""):
                raise BadRequest("the password of before is wrong", field="current")
            self._accounts.throttle.right(account.name, c.request.address)
        hashed = self._accounts.passwords.hash(password)
        latest = people.find(account.name)
        if latest is None or latest.password != account.password:
            raise Conflict(f"{account.name} was changed meanwhile", hint="try again")
        # The session that asks goes on; all others of the person end.
        self._accounts.sparing = c.person.session
        try:
            people.change(latest, password=hashed)
        finally:
            self._accounts.sparing = ""
        people.settle()

    # -- tokens ------------------------------------------------------------------------------------------------------

    def cmd_tokens(self, p: dict[str, Any], c: Context) -> Reply:
        people = self._accounts.people
        if p.get("person"):
            return {"tokens": people.tokens([self._meant(p["person"], c.person)])}
        if _is_over_all(c.person):
            return {"tokens": people.tokens(people.rows())}
        own = people.find(c.person.account) if c.person.account else None
        return {"tokens": people.tokens([own] if own is not None else [])}

    def cmd_addtoken(self, p: dict[str, Any], c: Context) -> Reply:
        people = self._accounts.people
        account = self._meant(p["person"], c.person)
        life = None if p.get("expires") is None else as_seconds(p["expires"], "expires")
        text, token = people.add_token(
            account, p["token"], p.get("role") or account.role, as_patterns(p.get("watchers")), life
        )
        reply = {"secret": text, "id": token.id, "expires": token.expires}
        return Later(in_background(people.settle), lambda _: reply)

    def cmd_rmtoken(self, p: dict[str, Any], c: Context) -> Reply:
        people, id_ = self._accounts.people, as_int(p["id"], "id")
        account, token = people.find_token(id_)
        if not _is_over_all(c.person) and not _is_own(account, c.person):
            raise NotFound(f"there is no token with the id {id_}", hint="circusctl tokens lists them")
        people.remove_token(account, token)
        return Later(in_background(people.settle), lambda _: {})

    # -- sessions ----------------------------------------------------------------------------------------------------

    def cmd_sessions(self, p: dict[str, Any], c: Context) -> Reply:
        return {"sessions": self._accounts.rows(_whose(c.person), c.person.session)}

    def cmd_endsession(self, p: dict[str, Any], c: Context) -> Reply:
        accounts = self._accounts
        if not accounts.end_one(p["session"], _whose(c.person)):
            raise NotFound(f"there is no session {p['session']!r}", hint="circusctl sessions lists them")
        return Later(in_background(accounts.settle), logged_out)

    def _meant(self, name: str, person: Person) -> Account:
        """The account of that name, if it is his own or he is an admin of all. Raises Denied, NotFound."""
        if _is_over_all(person):
            return self._accounts.people.get(name)
        account = self._accounts.people.find(name)
        if account is None or not _is_own(account, person):
            raise Denied(
                "others are for an admin who may see all watchers; yourself, with an account and not by a token"
            )
        return account


def _is_over_all(person: Person) -> bool:
    return reaches(person.role, "admin") and person.scope.is_all


def _whose(person: Person) -> str | None:
    """Whose sessions are his to see and end: all people's (None), his own, or nobody's."""
    if _is_over_all(person):
        return None
    # A user of the machine is not the person of the console who has the same name, and a program has no sessions.
    return person.name if person.session and not person.token else ""


def _is_own(account: Account, person: Person) -> bool:
    """Whether somebody is that person himself: at the console, with his account, and not a program of his."""
    return bool(person.account) and not person.token and person.account == account.name


def as_patterns(given: Any) -> tuple[str, ...]:
    """Patterns of watchers as clients send them. Raises BadRequest."""
    try:
        return patterns(given)
    except ValueError as problem:
        raise BadRequest(str(problem), field="watchers") from None
