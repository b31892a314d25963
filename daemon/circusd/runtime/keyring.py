"""The keys of other machines: the server's own pair, and which key is whose with which role. Read once, written whole.

The file is JSON: ``version``, ``server`` with ``public`` and ``secret``, and for each key of a client ``name``, ``role``,
``public``, ``added`` (epoch seconds) and ``by``. Of clients only public keys are known here.
"""

from __future__ import annotations

import logging
import os
import re
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import gevent
import zmq
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from zmq.utils import z85

from circusd.kernel import files
from circusd.kernel.diagnosis import in_words
from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, CircusError, Conflict, Failed, NotFound
from circusd.schema.nearest import nearest
from circusd.schema.wire import encode

from .statefile import moment_of, read_json
from .writer import Once, Thread, Writers

log = logging.getLogger("circusd.keys")

FILE: Final = files.KEYS
VERSION: Final = 1
KEYS: Final = 1000
"""Keys of clients at most."""

LIMIT_BYTES: Final = 1 << 20
PATIENCE: Final = 5.0
"""Seconds that anybody waits for the disk."""

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_BY_LIMIT: Final = 200


class Key(NamedTuple):
    """The key of a client."""

    name: str
    role: str
    public: str
    """As text, of 40 letters."""
    added: float
    by: str


class Content(NamedTuple):
    """What the file holds."""

    public: str = ""
    secret: str = ""
    """The server's pair; empty where none was made yet."""
    keys: tuple[Key, ...] = ()


def raw(text: object) -> bytes:
    """The 32 bytes of a key from its text; raises ValueError."""
    if not isinstance(text, str) or len(text) != 40 or not text.isascii():
        raise ValueError("a key has 40 letters, digits and signs")
    try:
        return z85.decode(text.encode())
    except (KeyError, struct.error, ValueError):
        # A sign that is none of the 85; five of them that are more than 32 bits; what else it may come to call wrong.
        raise ValueError("it holds a sign that no key has, or is no key") from None


def dump(content: Content) -> bytes:
    """The file's content."""
    server = {"public": content.public, "secret": content.secret}
    keys = [key._asdict() for key in content.keys]
    return encode({"version": VERSION, "server": server, "keys": keys}) + b"\n"


def parse(data: bytes) -> Content:
    """What a file holds. Raises ValueError, with what is wrong, if anything is."""
    content = read_json(data, VERSION, "keys")
    server, rows = content.get("server"), content["keys"]
    if not isinstance(server, dict):
        raise ValueError("it has no pair of the server")
    if len(rows) > KEYS:
        raise ValueError(f"it has more than {KEYS} keys")
    public, secret = str(server.get("public")), str(server.get("secret"))
    raw(public), raw(secret)
    try:
        is_pair = zmq.curve_public(secret.encode()) == public.encode()
    except zmq.ZMQError as error:
        raise ValueError(f"libzmq can't use it: {error.strerror}") from None
    if not is_pair:
        raise ValueError("the keys of the server in it are no pair")
    keys = tuple(_key(row) for row in rows)
    if len({key.name for key in keys}) < len(keys) or len({key.public for key in keys}) < len(keys):
        raise ValueError("a key in it is there twice")
    return Content(public, secret, keys)


def _key(row: Any) -> Key:
    if not isinstance(row, dict):
        raise ValueError("a key in it is no object")
    name, role, by = (row.get(field) for field in ("name", "role", "by"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("a key in it has no name")
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError("a key in it has no role")
    if not isinstance(by, str) or len(by) > _BY_LIMIT:
        raise ValueError("a key in it was made by nobody")
    added = moment_of(row, "added")
    raw(row.get("public"))
    return Key(name, role, row["public"], added, by)


class Keyring:
    """The keys of one daemon. What waits for the disk waits in its own greenlet, and not for ever."""

    def __init__(self, name: str, revoked: Callable[[str], int]) -> None:
        """``name`` is the daemon's. ``revoked`` ends the connections of the key of that name, and tells how many."""
        self.problem = ""
        """Why no key counts; empty when they do."""
        self._name = name
        self._revoked = revoked
        self._content: Content | None = None
        self._by_public: dict[bytes, Key] = {}
        self._turn = BoundedSemaphore(1)
        self._writers = Writers()
        self._thread: Thread | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of clients, by name; none until the file is read."""
        return () if self._content is None else self._content.keys

    @property
    def server(self) -> str:
        """The server's public key; empty until there is one, and it is read."""
        return "" if self._content is None else self._content.public

    @property
    def secret(self) -> str:
        """The server's secret key, for libzmq alone."""
        return "" if self._content is None else self._content.secret

    def find(self, public: bytes) -> Key | None:
        """Whose key of 32 bytes it is; None for one that is not known."""
        return self._by_public.get(public)

    def read(self) -> None:
        """The file is read, if it was not; raises Failed, and then no key counts."""
        with self._turn:
            if self._content is not None:
                return
            try:
                self._take(self._by_the_disk(lambda: _read(self._name)))
            except CircusError as error:
                self.problem = error.text
                raise
            self.problem = ""

    def add(self, name: str, role: str, public: str, by: str, now: float) -> Key:
        """The key counts, and will after a restart; raises BadRequest, Conflict, Failed, and then it does not."""
        if not NAME.fullmatch(name):
            raise BadRequest(
                f'"{name[:80]}" can\'t be the name of a key',
                field="name",
                hint="up to 64 of A-Z a-z 0-9 _ . @ -",
            )
        try:
            raw(public)
        except ValueError as problem:
            raise BadRequest(f"this is no public key: {problem}", field="public") from None
        self.read()
        with self._turn:
            content = self._loaded()
            self._check_free(content, name, public)
            key = Key(name, role, public, round(now, 3), by[:_BY_LIMIT])
            keys = tuple(sorted((*content.keys, key), key=lambda row: row.name))
            changed = (content if content.public else _new_pair())._replace(keys=keys)
            try:
                self._by_the_disk(lambda: _write(self._name, changed))
            except CircusError:
                # One that was only late must not be there after a restart.
                self._put(lambda: _write_if_it_can(self._name, content))
                raise
            self._take(changed)
        return key

    def remove(self, name: str) -> int:
        """The key counts no more and its connections have ended, how many is returned; raises NotFound.

        Raises Failed when the file still has it: then it is not let in now, and may be after a restart.
        """
        self.read()
        with self._turn:
            content = self._loaded()
            left = tuple(key for key in content.keys if key.name != name)
            if len(left) == len(content.keys):
                close = nearest(name, [key.name for key in content.keys])
                raise NotFound(f"no key is named {name[:80]}", hint=f"did you mean {close}?" if close else "")
            changed = content._replace(keys=left)
            self._take(changed)
            ended = self._revoked(name)
            try:
                self._by_the_disk(lambda: _write(self._name, changed))
            except CircusError as error:
                raise Failed(
                    f"{name} is not let in any more, but may be after a restart of circusd: {error.text}",
                    hint=f"see to the disk, then remove it from {FILE} in the state folder",
                ) from None
        return ended

    def _check_free(self, content: Content, name: str, public: str) -> None:
        for key in content.keys:
            if key.name == name:
                raise Conflict(f"there is a key named {name}", hint=f"first: circusctl keys rm {name}")
            if key.public == public:
                raise Conflict(f"this key is known already, as {key.name}")
        if public == content.public:
            raise Conflict("this is the public key of circusd itself, not of a client")
        if len(content.keys) >= KEYS:
            raise Conflict(f"there are {KEYS} keys already")

    def _loaded(self) -> Content:
        assert self._content is not None
        return self._content

    def _take(self, content: Content) -> None:
        self._content = content
        self._by_public = {raw(key.public): key for key in content.keys}

    def _by_the_disk(self, run: Callable[[], Content]) -> Content:
        """What the thread of the file returns; raises Failed with the words for what went wrong."""
        result: AsyncResult[Content | str] = AsyncResult()

        def work() -> None:
            found = _in_words(run)
            self._writers.tell(lambda: result.set(found))

        self._put(work)
        try:
            found = result.get(timeout=PATIENCE)
        except gevent.Timeout:
            found = f"the disk of {files.state_path(self._name)} does not answer"
        if isinstance(found, Content):
            return found
        raise Failed(str(found))

    def _put(self, run: Callable[[], None]) -> None:
        # One thread, so that what is written late is never written over what came after it.
        if self._thread is None:
            self._thread = self._writers.own("keys")
        self._thread.put(Once(run))

    def close(self) -> None:
        """No thread is left, unless the disk holds it."""
        self._writers.close(PATIENCE)


def _in_words(run: Callable[[], Content]) -> Content | str:
    """In the thread, which goes on whatever is on the disk."""
    try:
        return run()
    except OSError as error:
        return f"{FILE} in the state folder: {error.strerror or in_words(error.errno)}"
    except CircusError as error:
        return error.text
    except ValueError as error:
        return f"{FILE} in the state folder: {error}"


def _read(name: str) -> Content:
    folder = files.state_path(name)
    if not folder or not os.path.lexists(os.path.join(folder, FILE)):
        return Content()
    data = files.private_read(os.path.join(files.state_folder(name), FILE), LIMIT_BYTES, secret=True)
    return Content() if data is None else parse(data)


def _write(name: str, content: Content) -> Content:
    if not content.public and not os.path.lexists(files.state_path(name)):
        return content
    path = os.path.join(files.state_folder(name), FILE)
    files.remove_drafts(path)
    files.atomic_write(path, dump(content), private=True)
    return content


def _write_if_it_can(name: str, content: Content) -> None:
    _in_words(lambda: _write(name, content))


def _new_pair() -> Content:
    if not zmq.has("curve"):
        raise Failed("the libzmq below circusd has no CURVE", hint="install pyzmq from a wheel, which has it")
    public, secret = zmq.curve_keypair()
    return Content(public.decode(), secret.decode())
