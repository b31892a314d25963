"""What counts as a crash, and what is said of one: what its signal or exit code usually means, and what happens next."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from circusd.schema.values import signal_name

from .process import GONE, Happening, Kind, Policy, Process, State
from .starting import ended_well
from .words import duration, signal_word

SIGKILL: Final = 9

MEANINGS: Final[Mapping[str, str]] = {
    "SIGABRT": "the program ended itself, as something in it was wrong: a failed assertion, memory that was freed twice",
    "SIGBUS": "it used memory that can't be had: a mapped file became shorter, or an address was wrong",
    "SIGFPE": "it divided by zero, or a number was too large",
    "SIGHUP": "its terminal was closed, or somebody asked it to read its configuration again and it does not know how",
    "SIGILL": "it came upon an instruction that this processor does not have, or that is none",
    "SIGINT": "somebody pressed Ctrl C, or sent that",
    "SIGPIPE": "it wrote to a pipe or connection that nobody reads any more",
    "SIGQUIT": "somebody asked for it to end with a core dump",
    "SIGSEGV": "it used memory that is not its own: a fault in the program or in a library of it",
    "SIGSYS": "it made a system call that is forbidden to it (seccomp)",
    "SIGTERM": "somebody asked it to end",
    "SIGTRAP": "it came upon a breakpoint; many runtimes end so when they find a fault of their own",
    "SIGUSR1": "it got a signal that it has no use for",
    "SIGUSR2": "it got a signal that it has no use for",
    "SIGALRM": "a timer that it had set was over, and nothing was there to be told",
    "SIGXCPU": "it used more processor time than its limit (rlimit_cpu)",
    "SIGXFSZ": "it wrote a file larger than its limit (rlimit_fsize)",
}
_CODES: Final[Mapping[int, str]] = {
    126: "a shell's word for a program that it may not execute",
    127: "a shell's word for a program that it did not find",
}
SHELLS_SIGNALS: Final = 128
"""Shells tell by an exit code of so many more that what they ran was ended by a signal."""

_VARYING: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")


def is_crash(process: Process, event: Happening, policy: Policy, sent: Collection[int]) -> bool:
    """Whether the event, which comes to the process as it is now, is a failure by its policy.

    ``sent`` are the signals that circusd has sent to the process: one that is being stopped may end by these as it likes.
    """
    if event.kind is Kind.REFUSED:
        return True
    if process.amiss:
        return True
    if process.state is State.STOPPING:
        return event.signal is not None and event.signal not in sent and not ended_well(event, policy)
    return not ended_well(event, policy)


def meaning(code: int | None, signum: int | None) -> str:
    """What that end usually means; nothing where it means nothing in general."""
    if signum is not None:
        return MEANINGS.get(signal_word(signum), "")
    if code is None:
        return ""
    if code > SHELLS_SIGNALS and signal_name(code - SHELLS_SIGNALS).startswith("SIG"):
        what = signal_word(code - SHELLS_SIGNALS)
        return f"a shell's word for a program that was ended by {what}"
    return _CODES.get(code, "")


def killed_by(kills: Iterable[tuple[str, int]], since: str) -> str:
    """What is known of a SIGKILL that circusd has not sent, by where kills were looked for and how many were counted.

    ``since`` says since when, in words. Nothing more is said than the counters tell.
    """
    told = list(kills)
    for where, count in told:
        if count > 0:
            times = "once" if count == 1 else f"{count} times"
            return (
                f"circusd did not send it; the kernel's out-of-memory killer has struck {times} in {where} since {since}, "
                "probably here"
            )
    if told:
        where = " and ".join(where for where, _ in told)
        return (
            f"circusd did not send it; the kernel's out-of-memory killer has not struck in {where} since {since}, so probably "
            "somebody else has sent it"
        )
    return "circusd did not send it: perhaps the kernel's out-of-memory killer"


def what_next(process: Process, now: float, policy: Policy) -> str:
    """What happens with the slot now, as a sentence about it."""
    if process.state is State.BACKOFF and process.next_try is not None:
        return f"it is started again in {duration(process.next_try - now)}"
    if process.state is State.FAILED and process.next_try is not None:
        return f"it was given up, and is tried again in {duration(process.next_try - now)}"
    if process.state is State.FAILED:
        return "it was given up: nothing more happens until somebody starts it"
    if process.state is State.EXITED:
        why = "respawn is off" if not policy.respawn else f"respawn_on is {policy.respawn_on}"
        return f"it is not started again, as {why}"
    if process.state in GONE:
        return "it was being stopped, and stays so"
    if process.state is State.STOPPING:
        return "what it has left behind is being ended"
    return "it is started again at once"


def alike(exactly: str, lines: Iterable[str]) -> str:
    """Two ends for which this is the same are counted as one: what they wrote differs in nothing but numbers."""
    return "\n".join((exactly, _VARYING.sub("#", "\n".join(lines))))


def differences(
    was: Mapping[str, Any], now: Mapping[str, Any], within: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Any, Any]]:
    """What differs between two mappings: the keys that lead to each value, outermost first, its value before and after."""
    found: list[tuple[tuple[str, ...], Any, Any]] = []
    for key in {**was, **now}:
        before, after = was.get(key), now.get(key)
        if before == after:
            continue
        if all(one is None or isinstance(one, Mapping) for one in (before, after)):
            found += differences(before or {}, after or {}, (*within, key))
        else:
            found.append(((*within, key), before, after))
    return found
