"""The reverse proxies before the console: what they say of a request is believed, and what anybody else says is taken out.

Also below which path the console is, and for whom a trusted proxy speaks.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from circusd.schema.errors import CircusError, Denied, NoSession

from .auth import ADDRESS, PREFIX, PROXIED, Credential

CHECK_SECONDS = 5.0
"""A session that was made for a proxy's person is looked at this often: an admin may have ended it."""

SESSIONS = 1000
"""People for whom proxies speak at a time."""

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,10}")
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PREFIX")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Ask = Callable[[str, dict[str, Any], str], dict[str, Any]]
"""Asks circusd: the command, its properties, and the session (which also knows the address)."""


@dataclass(slots=True)
class _Named:
    session: str
    checked: float


@dataclass(slots=True)
class Proxies:
    """Who is trusted, and with what."""

    networks: tuple[Network, ...] = ()
    prefix: str = ""
    """The path of the console where no trusted proxy says another one."""
    header: str = ""
    """The header that names a person; nobody is named when empty."""
    role_header: str = ""
    ask: Ask | None = None
    now: Callable[[], float] = time.monotonic
    _sessions: OrderedDict[tuple[str, str], _Named] = field(default_factory=OrderedDict)

    def trusts(self, address: str) -> bool:
        """Whether that is the address of a trusted proxy."""
        found = _address(address)
        return found is not None and any(found in network for network in self.networks)

    def look_at(self, environ: dict[str, Any]) -> None:
        """The request says where it comes from, by which scheme, and below which path; all of it as far as that is believed."""
        peer = str(environ.get("REMOTE_ADDR", "")).removeprefix("::ffff:")
        said = {key: str(environ.pop(key, "")) for key in _FORWARDED}
        person, role = (
            environ.pop(key, "") if key else "" for key in map(_key, (self.header, self.role_header))
        )
        environ[ADDRESS], prefix = peer, self.prefix
        if self.trusts(peer):
            environ[ADDRESS] = self._first_stranger(said["HTTP_X_FORWARDED_FOR"], peer)
            if said["HTTP_X_FORWARDED_PROTO"].strip().lower() in ("http", "https"):
                environ["wsgi.url_scheme"] = said["HTTP_X_FORWARDED_PROTO"].strip().lower()
            told = said["HTTP_X_FORWARDED_PREFIX"].strip().rstrip("/")
            if _PREFIX.fullmatch(told) and not {".", ".."} & set(told.split("/")):
                prefix = told
            if person:
                environ[PROXIED] = (_text(person), _text(role))
        environ[PREFIX] = prefix
        path = str(environ.get("PATH_INFO", ""))
        # A proxy may pass the path on as it came, or without what is its own of it.
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"

    def _first_stranger(self, forwarded: str, peer: str) -> str:
        """The address nearest to us that is no trusted proxy's: what stands before it, anybody may have written."""
        for word in reversed(forwarded.split(",")):
            address = _address(word.strip())
            if address is None:
                break
            peer = str(address)
            if not self.trusts(peer):
                break
        return peer

    def name(self, environ: dict[str, Any]) -> None:
        """The request of a person whom a trusted proxy names has a session, which circusd has made. Raises CircusError."""
        named = environ.get(PROXIED)
        if not isinstance(named, tuple) or self.ask is None:
            return
        kept = self._sessions.get(named)
        if kept is None or not self._counts(kept):
            person, role = named
            if not person or "," in person:
                # Two headers, one of which is the browser's own.
                raise Denied("the proxy names no person, or more than one")
            asked = {"person": person, **({"role": role} if role else {})}
            reply = self.ask("admit", asked, Credential("", address=environ[ADDRESS]))
            kept = _Named(str(reply["session"]), self.now())
        self._sessions[named] = kept
        self._sessions.move_to_end(named)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        environ[PROXIED] = Credential(kept.session, kind="proxy", address=environ[ADDRESS])

    def _counts(self, kept: _Named) -> bool:
        if self.now() - kept.checked < CHECK_SECONDS:
            return True
        assert self.ask is not None
        try:
            self.ask("whoami", {}, kept.session)
        except CircusError as problem:
            if problem.code != NoSession.code:
                raise
            return False
        kept.checked = self.now()
        return True

    def forget(self, session: str) -> None:
        """That session is over, and the next request of the person begins another."""
        for named in [named for named, kept in self._sessions.items() if kept.session == session]:
            del self._sessions[named]


def networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks. Raises ValueError."""
    return tuple(ipaddress.ip_network(word.strip(), strict=False) for word in words if word.strip())


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").removeprefix("::ffff:"))
    except ValueError:
        return None


def _key(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}" if header else ""


def _text(header: str) -> str:
    """A header's bytes, which WSGI has as Latin-1, are UTF-8."""
    return header.encode("latin-1", "replace").decode("utf-8", "replace").strip()
