"""How the values of the console's own options are read from text and from JSON; as `values`."""

from __future__ import annotations

import re
from typing import Any

from .values import json_words, read_words

_NETWORK = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(/\d{1,3})?")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){1,10}")


def read_networks(text: str) -> tuple[str, ...]:
    """Addresses and networks. Names are none: who answers for a name could let himself in."""
    found = read_words(text)
    for word in found:
        if not _NETWORK.fullmatch(word):
            raise ValueError(f"has {word!r}, which is no address and no network")
    return found


def json_networks(value: Any) -> tuple[str, ...]:
    """The same, as a list of texts or one text."""
    return read_networks(" ".join(json_words(read_words)(value)))


def read_header(text: str) -> str:
    """The name of a header, or nothing."""
    text = text.strip()
    if text and not _HEADER.fullmatch(text):
        raise ValueError("is no name of a header")
    return text


def read_prefix(text: str) -> str:
    """A path without a slash at its end, or nothing."""
    text = text.strip().rstrip("/")
    if text and (not _PREFIX.fullmatch(text) or set(text.split("/")) & {".", ".."} or len(text) > 200):
        raise ValueError(
            "is no path that begins with a slash, of letters, digits and . _ ~ - between slashes"
        )
    return text
