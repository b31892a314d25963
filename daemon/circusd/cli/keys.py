"""What circusctl does for a key by itself: its pair, and the file that holds it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from circusd import keyfile
from circusd.cli.arguments import WrongArguments
from circusd.cli.session import Session
from circusd.keyfile import KeyFile
from circusd.schema.errors import BadRequest

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")


def add(properties: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """The daemon's reply to ``addkey``, with the name of the file as ``file`` where one was written.

    The secret key goes into that file and nowhere else; where the daemon refuses, there is no file.
    """
    asked = {key: value for key, value in properties.items() if key != "out"}
    if "public" in asked:
        if properties.get("out"):
            raise WrongArguments("--out goes without --public: where the pair was made, its file is already")
        return session.request("addkey", asked)
    from circusd.curve import new_pair

    public, secret = new_pair()
    path = _path(properties)
    key = KeyFile(str(properties["name"]), public, secret)
    with _Made(path) as file:
        # What can't be written must not be let in.
        file.write(key)
        reply = session.request("addkey", {**asked, "public": public})
        if reply.get("status") == "error":
            return reply
        file.write(key._replace(server=str(reply.get("server", ""))))
        file.is_whole = True
        return {**reply, "file": path}


def new(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A pair in a new file, or the server's public key in one that was made before: ``name``, ``public``, ``file``, ``server``."""
    path, server = _path(properties), properties.get("server") or ""
    if server and not keyfile.is_key(server):
        raise WrongArguments("--server: this is no public key, which has 40 letters, digits and signs")
    is_made = not (server and os.path.exists(path))
    if not is_made:
        key = keyfile.read(path)
        if key.server not in ("", server):
            raise WrongArguments(f"{path} is for another server already", hint="name another file with --out")
        key = key._replace(server=server)
        from circusd.kernel.files import atomic_write

        try:
            atomic_write(os.path.abspath(path), keyfile.dump(key), private=True)
        except OSError as problem:
            raise _unwritten(path, problem) from None
    else:
        from circusd.curve import new_pair

        key = KeyFile(str(properties["name"]), *new_pair(), server)
        with _Made(path) as file:
            file.write(key)
            file.is_whole = True
    return {"name": key.name, "public": key.public, "file": path, "server": key.server, "made": is_made}


def _path(properties: Mapping[str, Any]) -> str:
    name = str(properties["name"])
    if not _PLAIN.fullmatch(name):
        raise WrongArguments(f"{name[:80]!r} can't be the name of a key: up to 64 of A-Z a-z 0-9 _ . @ -")
    return str(properties.get("out") or f"{name}.key")


class _Made:
    """A new file, which is gone again unless it is said to be whole."""

    def __init__(self, path: str) -> None:
        self.is_whole = False
        self._path = path
        self._fd = keyfile.create(path)

    def write(self, key: KeyFile) -> None:
        """It holds this key, which says more than the one before; raises BadRequest."""
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            with open(self._fd, "wb", closefd=False) as file:
                file.write(keyfile.dump(key))
            os.fsync(self._fd)
        except OSError as problem:
            raise _unwritten(self._path, problem) from None

    def __enter__(self) -> _Made:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if not self.is_whole:
            os.unlink(self._path)


def _unwritten(path: str, problem: OSError) -> BadRequest:
    return BadRequest(f"{path} can't be written: {problem.strerror}")
