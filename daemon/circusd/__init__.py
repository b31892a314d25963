"""The process and socket manager: its daemon, its client and its command-line programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .library import get_arbiter as get_arbiter


def __getattr__(name: str) -> Any:
    """`get_arbiter`, which is imported when somebody asks for it: every program of ours imports this package."""
    if name == "get_arbiter":
        from .library import get_arbiter

        return get_arbiter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
