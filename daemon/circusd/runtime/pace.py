"""Long work of one greenlet in short turns."""

from __future__ import annotations

from typing import Final

import gevent

from . import clock

TURN: Final = 0.003
"""Seconds of work after which others get their turn."""


class Pace:
    """Asked after each small piece of work whether others should have a turn now."""

    def __init__(self) -> None:
        self._since = clock.now()

    def begin(self) -> None:
        """A turn begins now."""
        self._since = clock.now()

    def rest(self) -> None:
        """Others have had their turn if this one was long."""
        if clock.now() - self._since >= TURN:
            # Not 0: the hub goes round with such up to a thousand times before it looks at timers and descriptors.
            gevent.sleep(1e-4)
            self._since = clock.now()
