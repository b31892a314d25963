"""The people on disk, with the hashes of their passwords and tokens. What is damaged is left as it is, and lets nobody in.

The format is JSON: ``version``, ``written`` and ``people``, each with the values of `people.Account`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from circusd.schema.commands import ROLES
from circusd.schema.wire import encode

from .people import Account, People, Token
from .scope import patterns
from .statefile import Form, StateFile, StateFolder, moment_of, read_json, written
from .tokens import NAME_LIMIT

FILE: Final = "people.json"
VERSION: Final = 1
LIMIT_BYTES: Final = 256 << 20
"""More than a thousand people with all tokens that they may have."""

HASH_LIMIT: Final = 256

_KEY: Final = re.compile(r"[0-9a-f]{64}")


def dump(people: Sequence[Account], now: float) -> bytes:
    """The file's content, written at `now`."""
    return (
        encode({"version": VERSION, "written": written(now), "people": [asdict(one) for one in people]})
        + b"\n"
    )


def parse(data: bytes, now: float) -> list[Account]:
    """The people of a file. Raises ValueError, with what is wrong, if anything is."""
    del now
    content = read_json(data, VERSION, "people")
    found = [_account(row) for row in content["people"]]
    if len({one.name.casefold() for one in found}) != len(found):
        raise ValueError("a person in it is there twice")
    return found


def _account(row: Any) -> Account:
    if not isinstance(row, dict) or not isinstance(row.get("tokens"), list):
        raise ValueError("a person in it is no object with tokens")
    return Account(
        _text(row, "name", NAME_LIMIT),
        _role(row),
        patterns(row.get("watchers")),
        _text(row, "password", HASH_LIMIT),
        _flag(row, "disabled"),
        moment_of(row, "created"),
        moment_of(row, "changed"),
        tuple(_token(token) for token in row["tokens"]),
    )


def _token(row: Any) -> Token:
    if not isinstance(row, dict):
        raise ValueError("a token in it is no object")
    id_, key = row.get("id"), row.get("key")
    if not isinstance(id_, int) or isinstance(id_, bool) or not 0 < id_ < 1 << 53:
        raise ValueError("a token in it has no id")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ValueError("a token in it has no hash")
    expires = None if row.get("expires") is None else moment_of(row, "expires")
    used = None if row.get("used") is None else moment_of(row, "used")
    created, name = moment_of(row, "created"), _text(row, "name", NAME_LIMIT)
    return Token(id_, name, key, _role(row), patterns(row.get("watchers")), created, expires, used)


def _text(row: Mapping[str, Any], name: str, limit: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"{name} in it is no text of at most {limit} letters")
    return value


def _flag(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} in it is not true or false")
    return value


def _role(row: Mapping[str, Any]) -> str:
    role = row.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError("somebody in it has no role")
    return role


FORM: Final = Form(FILE, LIMIT_BYTES, "people", parse, dump)


def people_in(folder: StateFolder) -> People:
    """The people of one daemon."""
    return People(StateFile(folder, FORM))
