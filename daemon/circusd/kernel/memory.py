"""How the C library deals with memory that was freed."""

from __future__ import annotations

import functools
from typing import Final

# malloc.h of glibc; the call is nowhere else.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
KEPT_BYTES: Final = 16 << 20
LARGEST_BYTES: Final = 4 << 20


@functools.cache
def keep_freed() -> bool:
    """Freed memory, up to `KEPT_BYTES` of it, is kept for the next blocks of up to `LARGEST_BYTES`; whether that could be set.

    For whoever takes and frees such blocks all the time: each was given back to the system and taken anew, page by
    page, which cost a tenth of the whole way of output from a pipe to a file.
    """
    # Loaded for those that need it alone.
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGEST_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
