"""Which ends of processes were asked for: those of processes that circusd had sent a signal to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

MOST: Final = 5000
"""Processes that got a signal and have not ended; of those that never do, the oldest are forgotten."""

ENDING: Final = frozenset((2, 3, 9, 15))
"""SIGINT, SIGQUIT, SIGKILL and SIGTERM: whoever sends them wants an end."""


class AskedFor:
    """Hears events, and tells of each end of a process whether it was asked for."""

    def __init__(self) -> None:
        self._signals: OrderedDict[int, int] = OrderedDict()

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Whether this is the end of a process that was asked for; to be called with each event, once.

        After another signal than `ENDING` only a clean end, or one by that signal, was.
        """
        pid = event.get("pid")
        if event["event"] == "process.signalled":
            self._signals[event["pid"]] = event["signum"]
            while len(self._signals) > MOST:
                self._signals.popitem(last=False)
        elif event["event"] == "process.exited" and pid in self._signals:
            signum = self._signals.pop(event["pid"])
            return signum in ENDING or signum == event.get("signal") or event.get("code") == 0
        return False
