"""Resource limits by name, the descriptors that are left, and the score of the out-of-memory killer."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Final

from circusd.schema.errors import ConfigError

INFINITY: Final = resource.RLIM_INFINITY

# Containers hand out hard limits of a thousand million; a table of that size helps nobody.
MOST_DESCRIPTORS: Final = 1 << 20

OOM_SCORE: Final = "/proc/self/oom_score_adj"


@dataclass(frozen=True, slots=True)
class Limit:
    """One resource limit of Linux: its name in options (``rlimit_NAME``), its number, what it counts."""

    name: str
    number: int
    unit: str
    doc: str


LIMITS: tuple[Limit, ...] = (
    Limit("as", resource.RLIMIT_AS, "bytes", "address space"),
    Limit("core", resource.RLIMIT_CORE, "bytes", "size of a core file"),
    Limit("cpu", resource.RLIMIT_CPU, "seconds", "processor time"),
    Limit("data", resource.RLIMIT_DATA, "bytes", "data segment"),
    Limit("fsize", resource.RLIMIT_FSIZE, "bytes", "size of a file that is written"),
    # Python's module has no name for this one.
    Limit("locks", 10, "locks", "file locks (without effect since Linux 2.4.25)"),
    Limit("memlock", resource.RLIMIT_MEMLOCK, "bytes", "memory locked into RAM"),
    Limit("msgqueue", resource.RLIMIT_MSGQUEUE, "bytes", "POSIX message queues"),
    Limit("nice", resource.RLIMIT_NICE, "levels", "ceiling of the nice value, as 20 less it"),
    Limit("nofile", resource.RLIMIT_NOFILE, "descriptors", "open files"),
    Limit("nproc", resource.RLIMIT_NPROC, "processes", "processes of the user"),
    Limit("rss", resource.RLIMIT_RSS, "bytes", "resident set (without effect on Linux)"),
    Limit("rtprio", resource.RLIMIT_RTPRIO, "levels", "real-time priority"),
    Limit("rttime", resource.RLIMIT_RTTIME, "microseconds", "real-time processor time without a pause"),
    Limit("sigpending", resource.RLIMIT_SIGPENDING, "signals", "queued signals"),
    Limit("stack", resource.RLIMIT_STACK, "bytes", "stack"),
)


def find(name: str) -> Limit:
    """The limit of that name in any case, with or without ``RLIMIT_``; a ConfigError names all there are."""
    wanted = name.lower().removeprefix("rlimit_")
    for limit in LIMITS:
        if limit.name == wanted:
            return limit
    raise ConfigError([f'there is no resource limit "{name}"; there are {", ".join(x.name for x in LIMITS)}'])


def in_words(value: int) -> str:
    """A limit's value for people and for prlimit: a whole number, or ``unlimited``."""
    return "unlimited" if value == INFINITY else str(value)


def is_lower(value: int, than: int) -> bool:
    """Whether one limit allows less than another, either of which may be unlimited."""
    return value != INFINITY and (than == INFINITY or value < than)


def raise_nofile() -> tuple[int, int]:
    """The soft limit on descriptors is as high as the hard one allows; returns the (soft, hard) of before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == INFINITY else min(hard, MOST_DESCRIPTORS)
    if is_lower(soft, wanted):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, hard


def free_descriptors() -> int:
    """How many more descriptors this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if soft == INFINITY else soft
    # One of them is the listing's own; those above a limit that was lowered take no room.
    taken = sum(int(fd) < most for fd in os.listdir("/proc/self/fd")) - 1
    return max(0, most - taken)


def oom_score_adj() -> int:
    """This process's adjustment of the out-of-memory score, -1000 to 1000."""
    with open(OOM_SCORE, "rb") as file:
        return int(file.read())


def set_oom_score_adj(value: int) -> bool:
    """This process and what it starts from now on has that adjustment; False if the system refuses it."""
    try:
        with open(OOM_SCORE, "wb", buffering=0) as file:
            file.write(b"%d" % value)
    except OSError:
        return False
    return True
