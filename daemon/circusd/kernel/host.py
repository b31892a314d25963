"""What the whole machine takes: its processors, its memory, its load."""

from __future__ import annotations

import os
from typing import Any, Final

from .proc import TICKS

MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""What a processor can spend its time with, in the kernel's order."""
IDLE: Final = ("idle", "iowait")

_MEMORY: Final = {
    b"MemTotal": "memory_total",
    b"MemAvailable": "memory_available",
    b"SwapTotal": "swap_total",
    b"SwapFree": "swap_free",
}


def usage() -> dict[str, Any]:
    """``cpu_seconds`` by mode of all processors since the machine was started, bytes of memory and swap, and ``load`` (of 1, 5
    and 15 minutes); what the kernel does not tell is missing."""
    found: dict[str, Any] = {"load": [round(value, 2) for value in os.getloadavg()]}
    words = _read("/proc/stat", 4096).split(b"\n", 1)[0].split()[1:]
    found["cpu_seconds"] = {mode: int(word) / TICKS for mode, word in zip(MODES, words, strict=False)}
    for line in _read("/proc/meminfo", 4096).splitlines():
        key, _, value = line.partition(b":")
        if key in _MEMORY:
            found[_MEMORY[key]] = int(value.split()[0]) * 1024
    return found


class Host:
    """The use of all processors together, measured against this object's own last look."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def look(self) -> dict[str, Any]:
        """``cpu``: per cent of all processors since the last look (None at the first); ``memory``: bytes that are in use; ``load``."""
        told = usage()
        before, now = self._before, told["cpu_seconds"]
        self._before = now
        passed = {mode: max(0.0, seconds - before.get(mode, 0.0)) for mode, seconds in now.items()}
        whole = sum(passed.values())
        busy = whole - sum(passed.get(mode, 0.0) for mode in IDLE)
        return {
            "cpu": round(100 * busy / whole, 1) if before and whole else None,
            "memory": max(0, told.get("memory_total", 0) - told.get("memory_available", 0)),
            "load": told["load"],
        }


def _read(path: str, limit: int) -> bytes:
    """The beginning of a file of the kernel; nothing where it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)
