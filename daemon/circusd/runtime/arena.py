"""Memory outside the Python heap: blocks of one size in an anonymous file, which can cross an exec."""

from __future__ import annotations

import heapq
import mmap
import os
from collections.abc import Iterable
from typing import Final

BLOCK_BYTES: Final = 64 << 10

_FIRST_GROWTH: Final = 16
_LARGEST_GROWTH: Final = 256


class Arena:
    """Blocks of `BLOCK_BYTES`, numbered from 0; the lowest free one is taken first, so that the file stays small.

    Pages that were never written cost nothing; the file grows by steps and never shrinks.
    """

    def __init__(self, limit: int, fd: int | None = None, used: Iterable[int] = ()) -> None:
        """An arena of at most `limit` blocks; with `fd`, one that was made before, with these blocks in use.

        Raises ValueError when the blocks in use are not in the file or not distinct.
        """
        self._limit = limit
        if fd is None:
            self.fd = os.memfd_create("circusd-history", os.MFD_CLOEXEC)
            self.size = min(_FIRST_GROWTH, limit)
            os.ftruncate(self.fd, self.size * BLOCK_BYTES)
        else:
            self.size = os.fstat(fd).st_size // BLOCK_BYTES
            self.fd = fd
        taken = list(used)
        if len(set(taken)) != len(taken) or any(not 0 <= slot < self.size for slot in taken):
            raise ValueError("the blocks in use are not those of this arena")
        self.map = mmap.mmap(self.fd, self.size * BLOCK_BYTES)
        """All blocks, one after the other; moves when the arena grows, so no view of it may be kept."""
        self._free = sorted(set(range(self.size)).difference(taken))

    def take(self) -> int | None:
        """The number of a block that is now in use; None when there is none left."""
        if not self._free:
            self._grow()
        return heapq.heappop(self._free) if self._free else None

    def give(self, slot: int) -> None:
        """The block is free."""
        heapq.heappush(self._free, slot)

    @property
    def used(self) -> int:
        """How many blocks are in use."""
        return self.size - len(self._free)

    def _grow(self) -> None:
        size = min(self._limit, self.size + min(self.size, _LARGEST_GROWTH))
        if size <= self.size:
            return
        try:
            self.map.resize(size * BLOCK_BYTES)
        except OSError:
            # No memory, or a limit on file sizes: what there is has to do.
            self._limit = self.size
            return
        self._free.extend(range(self.size, size))
        heapq.heapify(self._free)
        self.size = size

    def close(self) -> None:
        """The memory is given back, unless another descriptor of it is open."""
        self.map.close()
        os.close(self.fd)
