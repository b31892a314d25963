"""What happens again and again, told together: the first at once, then sums."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from . import clock
from .timers import LoopTimer

TOLD_EACH_SECONDS: Final = 10.0
"""One kind is told at most once in this time."""

KINDS: Final = 256
"""Different kinds that are remembered."""

Item = TypeVar("Item")


class Sums(Generic[Item]):
    """Counts things by kind; ``tell(item, count)`` is called in the hub, with the last one of its kind."""

    def __init__(self, tell: Callable[[Item, int], None]) -> None:
        self._tell = tell
        self._kinds: dict[Hashable, _Sum[Item]] = {}

    def add(self, kind: Hashable, item: Item) -> None:
        """It has happened once more."""
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= KINDS:
                self._kinds.pop(next(iter(self._kinds))).close()
            found = self._kinds[kind] = _Sum(self._tell)
        found.add(item)

    def close(self) -> None:
        """What was held back is told now."""
        for kind in self._kinds.values():
            kind.close()
        self._kinds.clear()


class _Sum(Generic[Item]):
    """One kind: the first is told at once, those of the next seconds together."""

    def __init__(self, tell: Callable[[Item, int], None]) -> None:
        self._tell = tell
        self._next = 0.0
        self._held: tuple[Item, int] | None = None
        self._timer = LoopTimer()

    def add(self, item: Item) -> None:
        now = clock.now()
        if self._held is None and now >= self._next:
            self._next = now + TOLD_EACH_SECONDS
            self._tell(item, 1)
            return
        self._held = (item, 1 if self._held is None else self._held[1] + 1)
        if not self._timer.is_set:
            self._timer.once(self._next - now, self._due)

    def _due(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._next = clock.now() + TOLD_EACH_SECONDS
            self._tell(*held)

    def close(self) -> None:
        """What was held back is told now."""
        self._timer.stop()
        self._due()
