"""Answers those who look for a daemon in the network, where the file asks for it: one small datagram for one.

Whoever sends to the group is told the endpoint and no more; to be let in there is another matter. As the sender's address
of a datagram can be false, answers are few, short, and never go to the port of a service.
"""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict
from typing import Any, Final

from gevent.hub import get_hub

from circusd.kernel import multicast
from circusd.schema.wire import encode

from . import clock

log = logging.getLogger("circusd.discovery")

ANSWERS_PER_SECOND: Final = 10.0
"""Answers to all together; what asks beyond it gets none."""

EACH_SECONDS: Final = 1.0
"""One address is answered once in this time."""

ADDRESSES: Final = 256
"""Addresses that are remembered for it."""

FACTOR: Final = 5
"""An answer has at most so many times the bytes of what was asked, headers included."""

_HEADERS_BYTES = 28
_SERVICE_PORTS = 1024
_DATAGRAM_BYTES = 1024
_DATAGRAMS_PER_TURN = 32


class Discovery:
    """The socket of the group."""

    def __init__(self, endpoint: str, told: str) -> None:
        """It listens at ``endpoint`` (``udp://GROUP:PORT``) and answers with ``told``; raises OSError."""
        group, _, port = endpoint.removeprefix("udp://").rpartition(":")
        self._sock = multicast.listen(group, int(port))
        self._answer = encode({"endpoint": told})
        self._left = ANSWERS_PER_SECOND
        self._at = clock.now()
        self._answered: OrderedDict[str, float] = OrderedDict()
        self.answers = 0
        self.passed_over = 0
        self._watcher: Any = get_hub().loop.io(self._sock.fileno(), 1)
        self._watcher.start(self._readable)

    def close(self) -> None:
        """Nobody is answered any more."""
        self._watcher.stop()
        self._watcher.close()
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                asked, sender = self._sock.recvfrom(_DATAGRAM_BYTES)
            except OSError:
                # Read to the end, or something that the next datagram does not have.
                return
            if not self._is_answered(len(asked), sender):
                self.passed_over += 1
                continue
            try:
                self._sock.sendto(self._answer, socket.MSG_DONTWAIT, sender)
                self.answers += 1
            except OSError as error:
                log.debug("no answer to %s: %s", sender[0], error.strerror or error)

    def _is_answered(self, size: int, sender: tuple[str, int]) -> bool:
        address, port = sender
        if port < _SERVICE_PORTS or len(self._answer) + _HEADERS_BYTES > FACTOR * (size + _HEADERS_BYTES):
            return False
        now = clock.now()
        if now - self._answered.get(address, -EACH_SECONDS) < EACH_SECONDS:
            return False
        self._left = min(ANSWERS_PER_SECOND, self._left + (now - self._at) * ANSWERS_PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        self._answered[address] = now
        self._answered.move_to_end(address)
        if len(self._answered) > ADDRESSES:
            self._answered.popitem(last=False)
        return True
