"""Several rows of ``circus-top`` at once: which are marked, what is asked before something is done to them, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from circusd.cli.loadfeed import Feed
from circusd.cli.topactions import Action, Deed, counts_of, failure_of
from circusd.cli.toprows import Row
from circusd.schema.errors import CircusError

AT_ONCE = 4
"""Requests that are on their way at the same time."""

_NAMES = 6
"""So many are named in a question."""


class Many(NamedTuple):
    """What is to be done to several rows."""

    deeds: Sequence[Deed]
    rows: Sequence[Row]
    """Those that it is done to."""
    left_out: Sequence[str]
    """Why it can't be done to others."""


def many(rows: Sequence[Row], deed: Callable[[Row], Deed | str]) -> Many:
    """The deed for each of the rows, once where it is the same for several; a process is one of its watcher, where that is
    among them."""
    whole = {row.group.key for row in rows if row.process is None}
    deeds: list[Deed] = []
    done: list[Row] = []
    left_out: list[str] = []
    for row in rows:
        if row.process is not None and row.group.key in whole:
            continue
        found = deed(row)
        if isinstance(found, str):
            left_out.append(found)
            continue
        done.append(row)
        if not any((found.command, found.properties) == (other.command, other.properties) for other in deeds):
            deeds.append(found)
    return Many(deeds, done, left_out)


def count_of(rows: Sequence[Row]) -> str:
    """How many that are, such as ``2 watchers and 1 process``."""
    processes = sum(row.process is not None for row in rows)
    counts = ((len(rows) - processes, "watcher", "watchers"), (processes, "process", "processes"))
    return " and ".join(f"{count} {one if count == 1 else more}" for count, one, more in counts if count)


def names_of(rows: Sequence[Row]) -> str:
    """Who they are, the first of them."""
    names = [row.group.name if row.process is None else f"{row.group.name} {row.process.wid}" for row in rows]
    left = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {left} more" if left > 0 else "")


def question_of(action: Action, meant: Many) -> str:
    """Asked once for all of them."""
    running = len(
        {
            process.pid
            for row in meant.rows
            for process in ([row.process] if row.process is not None else row.group.processes)
            if process.pid is not None
        }
    )
    run = "1 process runs" if running == 1 else f"{running} processes run"
    ends = f" {run} now." if action.ends else ""
    left = ""
    if meant.left_out:
        left = f" Left out: {meant.left_out[0]}"
        left += f", and {len(meant.left_out) - 1} more." if len(meant.left_out) > 1 else "."
    return f"{action.many.format(count_of(meant.rows))}: {names_of(meant.rows)}?{ends}{left}"


class Batch:
    """Deeds that are done one after the other, some at a time; what came of them is told when all are over."""

    def __init__(self, what: str, deeds: Sequence[Deed], feed: Feed, say: Callable[[str, str], None]) -> None:
        self._what = what
        self._left = list(deeds)
        self._feed = feed
        self._say = say
        self._under_way = 0
        self._of = len(deeds)
        self._replies: dict[str, int] = {}
        self._problems: list[str] = []
        self.go_on()

    def go_on(self) -> None:
        """As much is on its way as may be."""
        while self._left and self._under_way < AT_ONCE:
            deed = self._left[0]

            def told(reply: dict[str, Any] | None, problem: CircusError | None, deed: Deed = deed) -> None:
                self._told(deed, reply, problem)

            if not self._feed.ask(deed.command, deed.properties, told, waiting=deed.command != "signal"):
                if not self._under_way:
                    self._problems.append(f"{len(self._left)} not done: too much is on its way already")
                    self._left.clear()
                    self._tell()
                return
            del self._left[0]
            self._under_way += 1
        if self._under_way or self._left:
            over = self._of - self._under_way - len(self._left)
            self._say(f"{self._what}: {over} of {self._of} done …", "cyan")

    def _told(self, deed: Deed, reply: dict[str, Any] | None, problem: CircusError | None) -> None:
        self._under_way -= 1
        if problem is not None:
            self._problems.append(failure_of(deed, problem))
        else:
            for key, count in counts_of(reply or {}).items():
                self._replies[key] = self._replies.get(key, 0) + count
        self.go_on()
        if not (self._under_way or self._left):
            self._tell()

    def _tell(self) -> None:
        found = ", ".join(f"{count} {key}" for key, count in self._replies.items())
        if not self._problems:
            self._say(f"{self._what}: {found or 'done'}", "green")
            return
        more = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
        self._say(f"{self._what}: {found + '; ' if found else ''}{self._problems[0]}{more}", "red")
