"""The commands of the console's door: who comes in and goes, and the streams of those who are in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from circusd.schema.errors import BadRequest, Denied, Failed

from .arbiter import in_background
from .requests import Context, Later, Reply, as_int
from .tokens import NAME_LIMIT

if TYPE_CHECKING:
    from .daemon import Daemon

WRONG = "the name or the password is wrong"


class DoorCommands:
    """Links, logins, sessions, followed streams."""

    daemon: Daemon

    def cmd_weblink(self, p: dict[str, Any], c: Context) -> Reply:
        role, person = p.get("role") or "admin", p.get("person") or c.person.name
        if not isinstance(person, str):
            raise BadRequest("person must be a text", field="person")
        link, expires = self.daemon.console.new_link(role, person, p.get("watchers"))
        return {"link": link, "expires": expires}

    def cmd_redeem(self, p: dict[str, Any], c: Context) -> Reply:
        accounts = self.daemon.accounts
        reply: dict[str, Any] = accounts.redeem(p["token"], c.request.address)
        # A disk that does not take it is no reason to keep somebody out; the log and `inspect` tell of it.
        return Later(in_background(accounts.settle), lambda problem: reply)

    def cmd_login(self, p: dict[str, Any], c: Context) -> Reply:
        # Nobody has a longer one, and tries are remembered by it.
        name = p["person"][: NAME_LIMIT + 1]
        run = partial(self._log_in, name, p["password"], c.request.address)
        return Later(in_background(run), lambda reply: reply)

    def _log_in(self, name: str, password: str, address: str) -> dict[str, Any]:
        accounts = self.daemon.accounts
        accounts.throttle.begin(name, address)
        account = accounts.people.find(name)
        known = "" if account is None or account.disabled else account.password
        if not accounts.passwords.is_right(known, password):
            raise Denied(WRONG, hint="an admin can give a one-time link: circusctl weblink")
        accounts.throttle.right(name, address)
        # What has happened meanwhile counts: he may be gone, or have another password.
        account = accounts.people.find(name)
        if account is None or account.password != known:
            raise Denied(WRONG)
        reply: dict[str, Any] = accounts.begin(account, address)
        accounts.settle()
        return reply

    def cmd_admit(self, p: dict[str, Any], c: Context) -> Reply:
        circus, accounts = self.daemon.configuration.circus, self.daemon.accounts
        if not circus.httpd_proxy_header:
            raise Denied("no proxy may speak for anybody here", hint="see httpd_proxy_header")
        account = accounts.people.find(p["person"])
        if account is not None:
            return dict(accounts.begin(account, c.request.address))
        if not circus.httpd_proxy_role_header or not p.get("role"):
            raise Denied(
                f"{p['person']} has no account here", hint="an admin can add one: circusctl addperson"
            )
        return dict(accounts.begin_stranger(p["person"], p["role"], c.request.address))

    def cmd_whoami(self, p: dict[str, Any], c: Context) -> Reply:
        person = c.person
        session = self.daemon.accounts.check(person.session) if person.session else None
        return {
            "person": person.name,
            "role": person.role,
            "expires": None if session is None else session.expires,
            "account": bool(person.account),
            "token": person.token,
            "watchers": [list(patterns) for patterns in person.scope.lists],
        }

    def cmd_logout(self, p: dict[str, Any], c: Context) -> Reply:
        accounts = self.daemon.accounts
        accounts.logout(c.person.session)
        # Whoever has the reply can rely on it, whatever becomes of circusd in the next moment.
        return Later(in_background(accounts.settle), logged_out)

    def cmd_follow(self, p: dict[str, Any], c: Context) -> Reply:
        reply: dict[str, Any] = self.daemon.follow(p, c)
        return reply

    def cmd_credit(self, p: dict[str, Any], c: Context) -> Reply:
        self.daemon.follows.credit(c.caller, p["followed"], as_int(p["bytes"], "bytes"))
        return {}

    def cmd_unfollow(self, p: dict[str, Any], c: Context) -> Reply:
        self.daemon.follows.unfollow(c.caller, p["followed"])
        self.daemon.waits.take_back(c.caller.connection, p["followed"])
        return {}


def logged_out(problem: str) -> dict[str, Any]:
    """The reply when a session is over; raises Failed where it may be back."""
    if problem:
        raise Failed(
            f"logged out, but the session may be back after a restart of circusd: {problem}",
            hint="remove sessions.json from its state folder",
        )
    return {}
