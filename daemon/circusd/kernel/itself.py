"""What the kernel tells of this process: memory, processor time, threads, descriptors, limits."""

from __future__ import annotations

import os
import resource
from typing import Any, Final

from .limits import INFINITY, LIMITS

STATUS: Final = "/proc/self/status"


def usage() -> dict[str, Any]:
    """Memory in bytes, processor time in seconds since the start, and how many threads and descriptors there are."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = _status()
    return {
        "rss": told.get("VmRSS"),
        "peak": told.get("VmHWM"),
        "swap": told.get("VmSwap"),
        "threads": told.get("Threads"),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        # One of them is the listing's own.
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
        "descriptors_limit": None if soft == INFINITY else soft,
    }


def limits() -> list[dict[str, Any]]:
    """The resource limits of this process, soft and hard, with None for none."""
    rows = []
    for row in LIMITS:
        soft, hard = (None if value == INFINITY else value for value in resource.getrlimit(row.number))
        rows.append({"name": row.name, "doc": row.doc, "unit": row.unit, "soft": soft, "hard": hard})
    return rows


def _status() -> dict[str, int]:
    """The numbers of the status file; those of memory in bytes."""
    found: dict[str, int] = {}
    with open(STATUS, encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, text = line.partition(":")
            number, _, unit = text.strip().partition(" ")
            if number.isdigit():
                found[name] = int(number) * (1024 if unit == "kB" else 1)
    return found
