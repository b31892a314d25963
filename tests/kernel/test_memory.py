"""Freed memory is kept where the C library can be told so."""

from __future__ import annotations

import platform

from circusd.kernel import memory


def test_the_c_library_of_gnu_takes_the_setting() -> None:
    """Others are left as they are."""
    assert memory.keep_freed() == (platform.libc_ver()[0] == "glibc")
