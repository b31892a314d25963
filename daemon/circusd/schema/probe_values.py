"""What tells that a process is ready, or alive, read from text: a word, or where and how to look."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from .values import read_text

WORDS = ("auto", "started", "notify")
"""What needs no look: see the option ``ready``."""
SCHEMES = ("http", "tcp", "unix", "exec")
"""Where it is looked from outside."""
SIGNS = ("log", "fd")
"""What a process gives by itself."""
NUMBERS = range(3, 19)
"""Descriptors that a process can be given a pipe at."""

_REFERENCE = re.compile(r"\$\(circus\.[\w.-]+\)|\(\(circus\.[\w.-]+\)\)", re.I)


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to look."""

    scheme: str
    """One of `SCHEMES`."""
    host: str = ""
    port: int = 0
    path: str = ""
    """Of ``unix`` the socket's, of ``http`` what is asked for."""
    words: tuple[str, ...] = ()
    """Of ``exec`` the program with its arguments."""


def target_of(text: str) -> Target:
    """What ``http://HOST:PORT/PATH``, ``tcp://HOST:PORT``, ``unix:PATH`` or ``exec:COMMAND`` means; ValueError with words."""
    scheme, colon, rest = text.strip().partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        raise ValueError("is none of them")
    if scheme == "exec":
        return _command(rest)
    if scheme == "unix":
        path = rest.removeprefix("//")
        if not path.startswith("/"):
            raise ValueError("has no absolute path")
        return Target("unix", path=path)
    return _address(scheme, text.strip())


def sign_of(text: str) -> tuple[str, str] | None:
    """What ``log:TEXT`` or ``fd:NUMBER`` means: one of `SIGNS` and what follows it; None for anything else, ValueError with words."""
    scheme, colon, rest = text.strip().partition(":")
    scheme, rest = scheme.lower(), rest.strip()
    if not colon or scheme not in SIGNS:
        return None
    if scheme == "log" and not rest.strip("*"):
        raise ValueError("has no text to look for")
    if scheme == "fd" and not (rest.isascii() and rest.isdigit() and len(rest) < 3 and int(rest) in NUMBERS):
        raise ValueError(f"has no descriptor from {NUMBERS[0]} to {NUMBERS[-1]}")
    return scheme, rest


def _command(text: str) -> Target:
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("has a quote that is not closed") from None
    if not words:
        raise ValueError("has no command")
    return Target("exec", words=words)


def _address(scheme: str, text: str) -> Target:
    # Few have such a value, and every program reads the table.
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("has no port from 1 to 65535") from None
    if not host:
        raise ValueError("has no host")
    if port is None and scheme == "http":
        port = 80
    if not port:
        raise ValueError("has no port from 1 to 65535")
    if any(not "!" <= letter <= "~" for letter in text):
        raise ValueError("has a space or another letter that an address can't have")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme, host, port, path if scheme == "http" else "")


def read_ready(text: str) -> str:
    """A word, or a `Target` as text, in which names are yet to be replaced."""
    text = read_text(text).strip()
    if text.lower() in WORDS:
        return text.lower()
    return text if sign_of(text) else _target_text(text)


def read_alive(text: str) -> str:
    """A `Target` as text, in which names are yet to be replaced; empty for none."""
    text = read_text(text).strip()
    return _target_text(text) if text else ""


def _target_text(text: str) -> str:
    # What a process has as its number is not known yet; as part of a port or of a path any number will do.
    target_of(_REFERENCE.sub("1", text))
    return text
