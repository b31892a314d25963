"""Counts newlines: of loud output it is most of what circusd itself does with each byte."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

_LEAST_BYTES: Final = 16 << 10
"""Less is counted as fast without the library."""
_PART_BYTES: Final = 128 << 10
"""What is counted at a time: what is made of it stays in the processor's cache."""
_ONES: Final = bytes(byte == 0x0A for byte in range(256))
"""A newline becomes 1, and everything else 0."""

_wide: Final[list[Callable[[bytes], int]]] = []
"""What counts with the processor's widest registers, once `make_fast` has found it."""


def newlines(data: bytes) -> int:
    """How many newlines there are.

    ``bytes.count`` looks at one byte after the other (20 us for 64 KiB); ``bytes.replace`` leaps from one newline to the next
    (8 us where lines have 100 bytes) but is slow where they are short: the first bytes tell what to expect. After
    `make_fast`, large data takes a third of the shorter time, whatever is in it.
    """
    if _wide and len(data) >= _LEAST_BYTES:
        return _wide[0](data)
    if data.count(b"\n", 0, 256) <= 8:
        return len(data) - len(data.replace(b"\n", b""))
    return data.count(b"\n")


@cache
def make_fast() -> bool:
    """Large data is counted by a library from now on, where there is one that counts right; whether that is so.

    It takes as long as the library takes to load, which it does only here: whoever never has much to count goes without.
    """
    with suppress(ImportError):
        from stringzilla import bytesum, translate

        def wide(data: bytes) -> int:
            count = 0
            for start in range(0, len(data), _PART_BYTES):
                count += bytesum(translate(data, _ONES, start=start, end=min(start + _PART_BYTES, len(data))))
            return count

        # The library picks its code by the processor at hand: all numbers of lines hang on its being right there.
        sample = bytes(range(256)) * (_LEAST_BYTES // 256) + b"\n\r\n"
        if wide(sample) == sample.count(b"\n"):
            _wide.append(wide)
    return bool(_wide)


@cache
def soon_make_fast() -> None:
    """`make_fast` is called in a thread of its own, so that nobody waits for a disk."""
    # Those that only search have no use for it.
    import threading

    # Where there are no threads left, it stays as it is.
    with suppress(RuntimeError):
        threading.Thread(target=make_fast, name="newlines", daemon=True).start()
