"""Who a peer on another machine is: libzmq asks by its protocol ZAP, and the keys answer.

The domain in a question is the id of the connection, so that the answer belongs to that connection and to no other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import gevent
import zmq
import zmq.green
from gevent.event import AsyncResult

from .connections import Connection
from .keyring import Key, Keyring

ENDPOINT: Final = "inproc://zeromq.zap.01"
"""Where libzmq asks, by its specification."""

UNKNOWN: Final = "its key is not known"

_FRAMES: Final = 9
_VERSION: Final = b"1.0"
_YES, _NO = b"200", b"400"
_QUESTIONS_PER_TURN: Final = 16

Admit = Callable[[Connection, Key], str]
"""Why that connection is not let in with that key; empty if it is."""


class Guard:
    """Answers for one context; the socket for it is there once it is needed."""

    def __init__(self, context: zmq.Context[Any], keys: Keyring, admit: Admit) -> None:
        """``context`` is a zmq.green one. ``admit`` is called in a greenlet and must not wait."""
        self._context = context
        self._keys = keys
        self._admit = admit
        self._expected: dict[bytes, tuple[Connection, AsyncResult[str]]] = {}
        self._socket: Any = None
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def expect(self, connection: Connection, seconds: float) -> AsyncResult[str]:
        """The connection's handshake is to come; the result is there when its key was looked at: a reason, or nothing.

        It is armed from then on: its inner socket speaks CURVE, and ends a handshake that takes longer.
        """
        if self._greenlet is None:
            self._socket = self._context.socket(zmq.ROUTER)
            self._socket.setsockopt(zmq.LINGER, 0)
            self._socket.bind(ENDPOINT)
            self._greenlet = gevent.spawn(self._answer)
        verdict: AsyncResult[str] = AsyncResult()
        self._expected[connection.id] = connection, verdict
        connection.arm = partial(self._arm, connection.id, int(seconds * 1000))
        return verdict

    def forget(self, connection: Connection) -> None:
        """No key is taken for this connection any more."""
        self._expected.pop(connection.id, None)

    def close(self) -> None:
        """No question is answered any more."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._socket.close()

    def _arm(self, domain: bytes, milliseconds: int, sock: Any) -> None:
        sock.setsockopt(zmq.CURVE_SERVER, 1)
        sock.setsockopt(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        sock.setsockopt(zmq.ZAP_DOMAIN, domain)
        sock.setsockopt(zmq.HANDSHAKE_IVL, milliseconds)

    def _answer(self) -> None:
        while True:
            for _ in range(_QUESTIONS_PER_TURN):
                frames = self._socket.recv_multipart()
                code, name = self._decide(frames)
                # The number of the question comes back with the answer; after it code, text, user and metadata.
                self._socket.send_multipart((*frames[:2], _VERSION, frames[3], code, b"", name, b""))
            # Not 0: with that the hub does not look at descriptors.
            gevent.sleep(1e-6)

    def _decide(self, frames: list[bytes]) -> tuple[bytes, bytes]:
        connection, verdict = self._expected.pop(frames[4], (None, None))
        if connection is None or verdict is None:
            return _NO, b""
        key = self._keys.find(frames[8]) if len(frames) == _FRAMES and frames[7] == b"CURVE" else None
        reason = UNKNOWN if key is None else self._admit(connection, key)
        if reason or key is None:
            verdict.set(reason)
            return _NO, b""
        connection.key, connection.role = key.name, key.role
        verdict.set("")
        return _YES, key.name.encode()
