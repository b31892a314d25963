"""Processes with all below them that stand still, and go on later; what somebody else had stopped stays so."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from circusd.kernel import proc
from circusd.kernel.proc import Identity

MOST_ROUNDS: Final = 12
"""Each finds what was forked during the one before; what stands still forks nothing, so two do."""
STOPPED: Final = "Tt"


@dataclass(slots=True)
class Still:
    """A process that stands still with all below it."""

    root: Identity
    held: dict[Identity, None] = field(default_factory=dict)
    """Those that were stopped for it, parents before their children."""
    before: set[Identity] = field(default_factory=set)
    """Those that somebody else had stopped."""


def hold_still(trees: Iterable[Still]) -> None:
    """The processes and all below them are stopped, and noted there; the table is read again until nobody new is found.

    What had been held before, and was made to go on by somebody, is stopped again. Those that we may not signal are left out.
    """
    waiting = {id(still): still for still in trees}
    tried: set[Identity] = set()
    for _ in range(MOST_ROUNDS):
        table = proc.sweep() if waiting else {}
        for key, still in list(waiting.items()):
            # Parents come first: one that looks after its children sees none of them stop.
            new = [one for one in proc.tree([still.root, *still.held], table) if one not in tried]
            for one in new:
                _hold(still, one, table[one.pid].state)
            tried.update(new)
            if not new:
                del waiting[key]


def _hold(still: Still, one: Identity, state: str) -> None:
    if state in STOPPED:
        if one not in still.held:
            still.before.add(one)
    elif _signal(one, signal.SIGSTOP):
        still.before.discard(one)
        still.held[one] = None


def let_go(still: Still, table: proc.Table) -> None:
    """What was stopped goes on, children before their parents; the table may be older than the stop."""
    found = dict.fromkeys([*still.held, *proc.tree([still.root, *still.held], table)])
    for one in reversed(found):
        if one not in still.before:
            _signal(one, signal.SIGCONT)


def _signal(identity: Identity, signum: int) -> bool:
    try:
        return proc.signal_process(identity, signum)
    except OSError:
        return False
