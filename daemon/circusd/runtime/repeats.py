"""Requests that come twice: a client that lost its connection asks again, and what it asked for must not be done twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IDS_PER_PEER: Final = 64
REQUESTS: Final = 2048
"""Requests that are remembered, of all peers together."""

RESULT_LIMIT_BYTES: Final = 1 << 12
"""Longest result that is remembered; of a longer one it is known that it was sent, and no more."""

ID_LENGTH: Final = 16
"""Shorter ids are taken for numbers or constants, which clients use again for other requests."""


@dataclass(slots=True)
class Past:
    """A request that has come before."""

    result: bytes | None = None
    """The first message that answered it; None while there is none (or it was too long)."""
    answered: bool = False
    way_back: Callable[[bytes], bool] = lambda message: False
    """Where the answer goes: to the connection by which the request came last."""


class Repeats:
    """The last requests of each peer with their first results; bounded in peers, ids and bytes."""

    def __init__(self) -> None:
        self._peers: OrderedDict[object, OrderedDict[object, Past]] = OrderedDict()
        self._count = 0

    def first(self, peer: object, key: object) -> tuple[Past, bool]:
        """What is known of that request of that peer, and whether this is the first time that it comes."""
        ids = self._peers.setdefault(peer, OrderedDict())
        self._peers.move_to_end(peer)
        past = ids.get(key)
        if past is not None:
            return past, False
        past = ids[key] = Past()
        self._count += 1
        if len(ids) > IDS_PER_PEER:
            ids.popitem(last=False)
            self._count -= 1
        while self._count > REQUESTS:
            _, forgotten = self._peers.popitem(last=False)
            self._count -= len(forgotten)
        return past, True

    @staticmethod
    def answered(past: Past, message: bytes) -> None:
        """The first message for it is remembered; later ones are not."""
        if not past.answered:
            past.answered = True
            past.result = message if len(message) <= RESULT_LIMIT_BYTES else None

    def __len__(self) -> int:
        return self._count
