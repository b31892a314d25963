"""What a part of a watcher knows of it: the way to it, by which it is not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from .watcher import Watcher


class Part:
    """Something that a watcher has, and that acts on it.

    A watcher and its parts that kept each other would stay in memory, once the watcher was removed, until Python looks for such
    rings, which is after hundreds of them.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._found = ref(watcher)

    @property
    def _watcher(self) -> Watcher:
        """Whose part it is. Whoever comes back to a part later holds the watcher until then, as `Arbiter.post` does."""
        watcher = self._found()
        assert watcher is not None
        return watcher
