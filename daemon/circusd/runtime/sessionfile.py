"""The sessions on disk, so that they outlive the daemon.

The format is JSON: ``version``, ``written``, and for each session the hash of its token (``key``), ``person``, ``role``,
``watchers`` (patterns), ``account`` (whether it is one of a person's account, which then has role and patterns), ``address``,
``began``, ``ends`` and ``used``. All moments are epoch seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from circusd.schema.commands import ROLES
from circusd.schema.wire import ADDRESS_LIMIT, encode

from .scope import patterns
from .statefile import Form, StateFile, StateFolder, moment_of, read_json, written

FILE: Final = "sessions.json"
VERSION: Final = 2

LIMIT_BYTES: Final = 16 << 20
"""A longer file was not written by us: a thousand sessions of the longest names and patterns are shorter."""

PERSON_LIMIT: Final = 200
"""Characters of a person's name."""

_KEY: Final = re.compile(r"[0-9a-f]{64}")


class Kept(NamedTuple):
    """One session as the file has it."""

    key: str
    """The fingerprint of its token."""
    person: str
    role: str
    ends: float
    used: float
    began: float = 0.0
    address: str = ""
    watchers: tuple[str, ...] = ()
    account: bool = False


def dump(sessions: Sequence[Kept], now: float) -> bytes:
    """The file's content, written at `now`."""
    moments = ("ends", "used", "began")
    rows = [{**s._asdict(), **{name: written(getattr(s, name)) for name in moments}} for s in sessions]
    return encode({"version": VERSION, "written": written(now), "sessions": rows}) + b"\n"


def parse(data: bytes, now: float) -> list[Kept]:
    """The sessions of a file, as they count at `now`. Raises ValueError, with what is wrong, if anything is.

    When the clock shows less than when it was written, it was set back: no session gets longer by that.
    """
    content = read_json(data, VERSION, "sessions")
    back = max(0.0, moment_of(content, "written") - now)
    return [_kept(row, back) for row in content["sessions"]]


def _kept(row: Any, back: float) -> Kept:
    if not isinstance(row, dict):
        raise ValueError("a session in it is no object")
    key, person, role, address = (row.get(name) for name in ("key", "person", "role", "address"))
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError("a session in it has no hash")
    if not isinstance(person, str) or len(person) > PERSON_LIMIT:
        raise ValueError("a session in it has no person")
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError("a session in it has no role")
    if not isinstance(address, str) or len(address) > ADDRESS_LIMIT:
        raise ValueError("a session in it has no address")
    if not isinstance(row.get("account"), bool):
        raise ValueError("a session in it does not say whose it is")
    ends, used, began = (moment_of(row, name) - back for name in ("ends", "used", "began"))
    return Kept(key, person, role, ends, used, began, address, patterns(row.get("watchers")), row["account"])


FORM: Final = Form(FILE, LIMIT_BYTES, "sessions", parse, dump, key=lambda session: session.key)


class SessionFile(StateFile[Kept]):
    """The sessions of one daemon."""

    def __init__(self, folder: StateFolder) -> None:
        super().__init__(folder, FORM)
