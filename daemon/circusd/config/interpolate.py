"""``$(circus.NAME)`` and ``((circus.NAME))`` in values, and ``$NAME`` in variables of the environment.

It happens twice: when the files are read (variables of the environment, everywhere) and when a process is started (its
wid, its sockets, the options of its watcher; only in the command and its arguments). What nobody knows is left as it
stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

_REFERENCE = re.compile(r"\$\((circus\.[\w.-]+)\)|\(\((circus\.[\w.-]+)\)\)", re.I)
_DOLLAR = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")

Lookup = Callable[[str], str | None]
"""The text for a name in lower case without its ``circus.``, or None when it is not known."""


def expand(text: str, lookup: Lookup) -> str:
    """The text with each name that the lookup knows replaced; names are the same in any case of letters."""
    if "circus." not in text.lower():
        return text

    def one(match: re.Match[str]) -> str:
        value = lookup(_name(match))
        return match[0] if value is None else value

    return _REFERENCE.sub(one, text)


def references(text: str) -> Iterator[tuple[str, str]]:
    """Each reference in the text: its name in lower case without ``circus.``, and how it is written."""
    for match in _REFERENCE.finditer(text):
        yield _name(match), match[0]


def _name(match: re.Match[str]) -> str:
    return (match[1] or match[2]).lower().removeprefix("circus.")


def from_env(env: Mapping[str, str]) -> Lookup:
    """A lookup that knows ``env.NAME``, with the name of the variable in any case of letters."""
    lower: dict[str, str] = {}

    def lookup(name: str) -> str | None:
        if not name.startswith("env."):
            return None
        # made on first use: most values refer to nothing
        if not lower:
            lower.update((key.lower(), value) for key, value in env.items())
        return lower.get(name.removeprefix("env."))

    return lookup


def expand_dollars(text: str, environ: Mapping[str, str]) -> str:
    """The value of a variable with each upper-case ``$NAME`` replaced from that environment, by nothing if not there."""
    return _DOLLAR.sub(lambda match: environ.get(match[1], ""), text)
