"""Plugin: a watcher whose processes take too much or too little again and again is restarted."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .compat import human2bytes
from .statsd import WATCHER, BaseObserver

log = logging.getLogger("circusd.plugin")

PARENT = "parent"

WORDS = {
    "over_cpu": "too much processor",
    "under_cpu": "too little processor",
    "over_memory": "too much memory",
    "under_memory": "too little memory",
    "over_health": "too much of processor and memory together",
}


class ResourceWatcher(BaseObserver):
    """See its options. The processes are judged together, by the one that takes most or least; children one by one."""

    name = "resource_watcher"
    table = "resource_watcher"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.watcher: str = self.settings["watcher"] or self.settings["service"] or ""
        if not self.watcher:
            raise ValueError("watcher is not given: the name of the watcher that is looked after")
        self.counts: dict[str | int, Counter[str]] = {}
        """By child's pid, or `PARENT`: how many times in a row it was so."""

    def look_after(self) -> None:
        """One round."""
        reply = self.call("stats", name=self.watcher)
        if reply.get("status") == "error":
            self.statsd.increment(f"_resource_watcher.{WATCHER}error", watcher=self.watcher)
            return
        processes = [info for info in reply["info"].values() if isinstance(info, dict)]
        seen: set[str | int] = set()
        if _measured(processes):
            seen.add(PARENT)
            self._judge(PARENT, processes)
        if self.settings["process_children"]:
            for parent, child in (
                (info["pid"], child) for info in processes for child in info.get("children", ())
            ):
                if _measured([child]):
                    seen.add(child["pid"])
                    self._judge(child["pid"], [child], parent)
        for index in self.counts.keys() - seen:
            del self.counts[index]

    def _judge(self, index: str | int, infos: list[dict[str, Any]], parent: int = 0) -> None:
        found = self.complaints(infos)
        counts = self.counts.setdefault(index, Counter())
        for kind in WORDS:
            if kind in found:
                counts[kind] += 1
                self.statsd.increment(f"_resource_watcher.{WATCHER}{kind}", watcher=self.watcher)
            else:
                counts[kind] = 0
        worst, times = counts.most_common(1)[0]
        if times > self.settings["max_count"]:
            del self.counts[index]
            self.statsd.increment(f"_resource_watcher.{WATCHER}restarting", watcher=self.watcher)
            self._act(index, parent, f"{WORDS[worst]}, {times} times in a row")

    def _act(self, index: str | int, parent: int, why: str) -> None:
        if index == PARENT:
            log.warning("%s is restarted: %s", self.watcher, why)
            self.cast("restart", name=self.watcher, match="simple")
            return
        signum = self.settings["child_signal"]
        log.warning("child %s of %s gets signal %s: %s", index, self.watcher, signum, why)
        self.cast("signal", name=self.watcher, signum=signum, pid=parent, childpid=index, match="simple")

    def complaints(self, infos: Iterable[Mapping[str, Any]]) -> set[str]:
        """What is wrong with these processes, as keys of `WORDS`."""
        limits = self.settings
        cpu, share, size = zip(*_measured(infos), strict=True)
        found = set()
        if limits["max_cpu"] and max(cpu) > limits["max_cpu"]:
            found.add("over_cpu")
        if limits["min_cpu"] is not None and min(cpu) <= limits["min_cpu"]:
            found.add("under_cpu")
        # A whole number is bytes, as the table reads it; a share has a point.
        most, least = limits["max_mem"], limits["min_mem"]
        if max(size if isinstance(most, int) else share) > most:
            found.add("over_memory")
        if least is not None and min(size if isinstance(least, int) else share) < least:
            found.add("under_memory")
        if limits["health_threshold"] and (max(cpu) + max(share)) / 2 > limits["health_threshold"]:
            found.add("over_health")
        return found


def _measured(infos: Iterable[Mapping[str, Any]]) -> list[tuple[float, float, int]]:
    """Processor and memory (percent), and memory (bytes), of each that could be looked at."""
    rows = []
    for info in infos:
        # A process that ended while it was looked at has "N/A".
        with contextlib.suppress(ValueError, TypeError, KeyError):
            rows.append((float(info["cpu"]), float(info["mem"]), human2bytes(info["mem_info1"])))
    return rows
