"""Which values are secrets, and how they are hidden: by the option table, and by the names of keys that are in no table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .option import Option, find

MASK: Final = "********"

_WORDS: Final = re.compile(r"[._\-]+|(?<=[a-z])(?=[A-Z])")
_SECRET: Final = frozenset(
    "pass passwd password passphrase pwd secret secrets token tokens key apikey credential credentials auth dsn".split()
)
"""A key of one's own with one of these words in it (``db_password``, ``apiToken``) holds a secret."""


def is_secret_name(key: str) -> bool:
    """Whether a key that is in no table is taken for one of a secret."""
    return any(word.lower() in _SECRET for word in _WORDS.split(key))


def masked(options: Mapping[str, Any], table: Iterable[Option]) -> dict[str, Any]:
    """The options as they are shown to somebody who may not know secrets; of a mapping such as `env`, the names stay."""
    rows = tuple(table)
    return {key: _shown(key, value, rows) for key, value in options.items()}


def _shown(key: str, value: Any, rows: tuple[Option, ...]) -> Any:
    row = find(rows, key)
    # Behind a pattern may be anybody's key: the options of a stream class of one's own.
    is_known = row is not None and not row.pattern
    if row.secret if row is not None and is_known else is_secret_name(key):
        return hidden(value)
    if isinstance(value, Mapping):
        return {name: _shown(f"{key}.{name}", item, ()) for name, item in value.items()}
    return value


def hidden(value: Any) -> Any:
    """In place of a secret; nothing stays nothing."""
    if isinstance(value, Mapping):
        return dict.fromkeys(value, MASK)
    return value if value in (None, "") else MASK
