"""The file of a client's key: its pair, and the public key of the server that it is for.

The form is that of ZeroMQ's certificates, so that ``zmq.auth.load_certificate`` reads it too. It is closed to others as
a key of ssh is, and one that is not is refused.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

from .schema.errors import BadRequest

LIMIT_BYTES = 1 << 16

_ENTRY = re.compile(r"\s*([a-z-]+)\s*=\s*([\"'])(.*)\2\s*")
_FIELDS = {"name": "name", "public-key": "public", "secret-key": "secret", "server-key": "server"}
_KEY = re.compile(r"[0-9A-Za-z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


class KeyFile(NamedTuple):
    """What it holds; keys are texts of 40 letters."""

    name: str = ""
    """What the server calls the client."""
    public: str = ""
    secret: str = ""
    server: str = ""
    """The server's public key; empty where it is not known yet."""


def is_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def read(path: str) -> KeyFile:
    """The key of a file; raises BadRequest for one that is not there, open to others, or no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as problem:
        raise BadRequest(f"the key {path} can't be read: {problem.strerror}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise BadRequest(f"the key {path} is no regular file")
        if mode & 0o077:
            text = f"the key {path} is not taken, as others may read it (mode {stat.S_IMODE(mode):04o})"
            raise BadRequest(text, hint=f"chmod 600 {path}; if somebody has read it, make another")
        data = os.read(fd, LIMIT_BYTES)
    finally:
        os.close(fd)
    found = {}
    for line in data.decode("utf-8", "replace").splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry and entry[1] in _FIELDS:
            found[_FIELDS[entry[1]]] = entry[3]
    key = KeyFile(**found)
    if not is_key(key.public) or not is_key(key.secret) or not (key.server == "" or is_key(key.server)):
        raise BadRequest(f"{path} is no key of circusctl", hint="circusctl keys new NAME makes one")
    return key


def dump(key: KeyFile) -> bytes:
    """The text of the file."""
    lines = [
        "# A key by which a circusd on another machine knows its holder: keep it secret.",
        "metadata",
        f'    name = "{key.name}"',
        "curve",
        f'    public-key = "{key.public}"',
        f'    secret-key = "{key.secret}"',
    ]
    if key.server:
        lines.append(f'    server-key = "{key.server}"')
    return "\n".join([*lines, ""]).encode()


def create(path: str) -> int:
    """A descriptor of a new file that only its owner can read; raises BadRequest where something has that name."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BadRequest(f"{path} is there already", hint="name another file with --out") from None
    except OSError as problem:
        raise BadRequest(f"{path} can't be made: {problem.strerror}") from None
