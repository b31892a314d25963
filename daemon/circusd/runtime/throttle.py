"""What keeps those out who try again and again: so many tries for each source, and for passwords waits that get longer.

Who guesses passwords waits by address and by the name that he guesses for; nobody is locked out. An address from which a
person has come in before does not wait for what others try with his name, and no delay is longer than a minute.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from circusd.schema.errors import Throttled

from . import clock

ADDRESS_FREE: Final = 5
"""Tries of an address before it has to wait; of all addresses for one name,"""
PERSON_FREE: Final = 10
ADDRESS_MOST: Final = 60.0
PERSON_MOST: Final = 30.0
"""Seconds."""
QUIET: Final = 900.0
"""After so many seconds without a wrong try, the tries of before count no longer."""
ROWS: Final = 4096
PLACES: Final = 16
"""Addresses that are remembered of each person."""


@dataclass(slots=True)
class _Left:
    tries: float
    at: float


class Tries:
    """So many tries for each source, and one more each time that a span is over; the sources of last are remembered."""

    def __init__(self, most: float, seconds: float, sources: int) -> None:
        self._most, self._seconds, self._sources = most, seconds, sources
        self._rows: OrderedDict[str, _Left] = OrderedDict()

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._rows)

    def wait(self, source: str) -> float:
        """Seconds until the source has a try; 0 when it has one."""
        return max(0.0, (1 - self._left(source, clock.now())) * self._seconds)

    def use(self, source: str) -> None:
        """It has one try less, or still none."""
        now = clock.now()
        self._rows[source] = _Left(max(0.0, self._left(source, now) - 1), now)
        self._rows.move_to_end(source)
        _bound(self._rows, self._sources)

    def _left(self, source: str, now: float) -> float:
        row = self._rows.get(source)
        return self._most if row is None else min(self._most, row.tries + (now - row.at) / self._seconds)


@dataclass(slots=True)
class _Row:
    tries: int = 0
    at: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class Throttle:
    """The tries of the last minutes; in memory, and bounded."""

    now: Callable[[], float] = clock.now
    _addresses: OrderedDict[str, _Row] = field(default_factory=OrderedDict)
    _people: OrderedDict[str, _Row] = field(default_factory=OrderedDict)
    _places: OrderedDict[str, OrderedDict[str, None]] = field(default_factory=OrderedDict)

    def begin(self, person: str, address: str) -> None:
        """A try is made, and counts as a wrong one until `right` is called. Raises Throttled, and then it counts for nothing."""
        now, person, address = self.now(), person.casefold(), network(address)
        rows = [(_row(self._addresses, address), ADDRESS_FREE, ADDRESS_MOST)]
        if address not in self._places.get(person, ()):
            rows.append((_row(self._people, person), PERSON_FREE, PERSON_MOST))
        wait = max(row.until for row, _, _ in rows) - now
        if wait > 0:
            raise Throttled("too many wrong passwords", math.ceil(wait))
        for row, free, most in rows:
            if now - row.at > QUIET:
                row.tries = 0
            row.tries += 1
            row.at = now
            if row.tries > free:
                row.until = now + min(most, 2.0 ** (row.tries - free - 1))

    def right(self, person: str, address: str) -> None:
        """The try that was begun last was a right one."""
        person, address = person.casefold(), network(address)
        self._people.pop(person, None)
        row = self._addresses.get(address)
        if row is not None:
            # Not forgotten: else one who has an account could guess for others without end.
            row.tries = max(0, row.tries - 1)
            row.until = 0.0
        places = self._places.setdefault(person, OrderedDict())
        places[address] = None
        places.move_to_end(address)
        _bound(places, PLACES)
        self._places.move_to_end(person)
        _bound(self._places, ROWS)


def network(address: str) -> str:
    """What counts as one address: of IPv6 the first half, as the other half is anybody's own to choose."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _row(rows: OrderedDict[str, _Row], key: str) -> _Row:
    row = rows.setdefault(key, _Row())
    rows.move_to_end(key)
    _bound(rows, ROWS)
    return row


def _bound(rows: OrderedDict[str, Any], limit: int) -> None:
    while len(rows) > limit:
        rows.popitem(last=False)
