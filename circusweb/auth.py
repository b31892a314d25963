"""Who may come in: allowed hosts and origins, what a request shows of who it is, and the proof that it comes from our page.

People, links, tokens and sessions are circusd's. What is kept here is nothing; what is passed on is the session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

COOKIE = "circus_session"

ADDRESS, PREFIX, PROXIED = "circus.address", "circus.prefix", "circus.proxied"
"""Keys of a request's environ: where the browser is, below which path the console is for it, and for whom a proxy speaks."""

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_TOKEN = re.compile(r"[\w.~-]{8,512}", re.ASCII)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::(\d{1,5}))?")
_CSRF_LABEL = b"circus console: a request from our own page"


class Credential(str):
    """What a request shows of who it is, as circusd takes it for a session; empty for nothing. Whether it counts is circusd's to say."""

    __slots__ = ("address", "kind")

    kind: str
    """``session`` (by cookie), ``token`` (by Authorization: Bearer) or ``proxy`` (a trusted proxy names the person)."""
    address: str
    """Where the browser is."""

    def __new__(cls, text: str, *, kind: str = "session", address: str = "") -> Credential:
        """The credential of that text."""
        made = super().__new__(cls, text)
        made.kind = kind
        made.address = address
        return made

    @property
    def by_itself(self) -> bool:
        """Whether a browser sends it by itself, also when a page of another site has made it send something."""
        return self.kind != "token"


@dataclass(frozen=True, slots=True)
class Person:
    """Who a session belongs to, as circusd has said."""

    name: str
    role: str
    session: Credential
    account: bool = False
    """Whether there is an account, and so a password to change and tokens to make."""
    scope: tuple[tuple[str, ...], ...] = ()
    """Lists of patterns of the only watchers that this person may see, which match one of each list; empty for all."""

    @property
    def watchers(self) -> str:
        """The patterns, to be read."""
        return " ".join(pattern for patterns in self.scope for pattern in patterns)

    @property
    def csrf(self) -> str:
        """What a POST of this session has to carry."""
        return csrf_token(self.session)


def host_of(header: str) -> str | None:
    """The name or address in a Host header, in lower case and without the port; None when it is none."""
    match = _HOST.fullmatch(header.strip())
    return (match[1] or match[2]).lower().rstrip(".") if match else None


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names by which the console may be asked for.

    A page of another site can make its own name point at us ("DNS rebinding"); its requests then carry that name.
    """

    names: frozenset[str]

    @classmethod
    def of(cls, *groups: Iterable[str]) -> Hosts:
        """This machine's own names, and those given."""
        return cls(
            LOCAL_HOSTS
            | {name.strip().strip("[]").lower() for group in groups for name in group if name.strip()}
        )

    def allow(self, header: str, arrived_at: str) -> bool:
        """Whether the Host header is one of the names, or the address at which the connection has arrived."""
        host = host_of(header)
        return host is not None and (host in self.names or host == arrived_at.lower())


def is_own_origin(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes from a page of ours, or from a program that is no browser and says nothing of origins.

    Call it only after the Host header was found allowed.
    """
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none"):
        return False
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return True
    parts = urlsplit(origin)
    return (
        parts.scheme in ("http", "https")
        and parts.netloc.lower() == str(environ.get("HTTP_HOST", "")).lower()
    )


def credential_of(environ: Mapping[str, Any]) -> Credential:
    """What the request shows: a token, or else the session of `session_of`. This is what goes to circusd as the session."""
    scheme, _, rest = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if scheme.lower() != "bearer":
        return session_of(environ)
    text = rest.strip() if _TOKEN.fullmatch(rest.strip()) else ""
    return Credential(text, kind="token", address=address_of(environ))


def session_of(environ: Mapping[str, Any]) -> Credential:
    """The session of the person for whom a trusted proxy speaks, else the one that the cookie carries; empty without one."""
    proxied = environ.get(PROXIED)
    if isinstance(proxied, Credential):
        return proxied
    return Credential(_cookie_of(environ), address=address_of(environ))


def address_of(environ: Mapping[str, Any]) -> str:
    """Where the browser is, as far as that is known."""
    return str(environ.get(ADDRESS) or environ.get("REMOTE_ADDR") or "")


def _cookie_of(environ: Mapping[str, Any]) -> str:
    try:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie is not None and _TOKEN.fullmatch(cookie.value) else ""


def session_cookie(session: str, expires: float | None, *, secure: bool, prefix: str = "") -> str:
    """The Set-Cookie header for a session; with an empty one, it forgets it. ``prefix`` is the path of the console."""
    if not session:
        return f"{COOKIE}=; Path={prefix}/; HttpOnly; SameSite=Strict; Max-Age=0"
    if not _TOKEN.fullmatch(session):
        raise ValueError("not a session")
    until = f"; Expires={formatdate(expires, usegmt=True)}" if expires is not None else ""
    return (
        f"{COOKIE}={session}; Path={prefix}/; HttpOnly; SameSite=Strict{until}{'; Secure' if secure else ''}"
    )


def csrf_token(session: str) -> str:
    """The token that goes with a session; it does not tell the session, and outlives a restart of the console."""
    return hmac.new(session.encode(), _CSRF_LABEL, hashlib.sha256).hexdigest()


def is_csrf_token(session: str, given: str) -> bool:
    """Whether it is the token of that session."""
    return bool(session) and hmac.compare_digest(
        csrf_token(session).encode(), given.encode("utf-8", "replace")
    )
