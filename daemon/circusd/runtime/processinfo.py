"""The process information that the commands ``stats`` and ``dstats`` show, gathered in short turns."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from circusd.kernel import proc

from . import clock
from .pace import Pace

if TYPE_CHECKING:
    from circusd.kernel.usage import Sampler


class Slot(Protocol):
    """What is needed of a process of a watcher."""

    @property
    def wid(self) -> int: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def started(self) -> float | None: ...


class ProcessInfo:
    """Looks at processes when a command asks; processor use is that since the command before."""

    def __init__(self) -> None:
        self._sampler: Sampler | None = None
        self._seen: set[int] = set()

    def of(
        self, groups: Mapping[str, Sequence[Slot]], *, extended: bool = False
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """The original's information by group and pid (as text), with slot and start and the direct children.

        Processes that are gone are left out. Others have their turns meanwhile: to be called in a greenlet.
        """
        pace = Pace()
        sampler = self._ready()
        table, below = self._table(pace, {s.pid for slots in groups.values() for s in slots if s.pid})
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for name, slots in groups.items():
            infos = found[name] = {}
            for slot in slots:
                if slot.pid is None or slot.pid not in table:
                    continue
                part = {row.pid: row for row in (table[slot.pid], *below.get(slot.pid, ()))}
                info = sampler.infos([slot.pid], extended=extended, table=part).get(slot.pid)
                if info is not None:
                    infos[str(slot.pid)] = info | {"wid": slot.wid, "started": clock.wall(slot.started)}
                self._seen.update(part)
                pace.rest()
        for pid in [pid for pid in self._seen if pid not in table]:
            sampler.forget(pid)
            self._seen.discard(pid)
        return found

    def of_daemon(self) -> dict[str, Any]:
        """This process; its children are the watchers' processes, and left out."""
        pid = os.getpid()
        row = proc.row(pid)
        return self._ready().infos([pid], table={pid: row}).get(pid, {}) if row else {}

    def _ready(self) -> Sampler:
        if self._sampler is None:
            # Loaded when somebody asks for the first time.
            from circusd.kernel.usage import Sampler

            self._sampler = Sampler()
        return self._sampler

    @staticmethod
    def _table(pace: Pace, pids: Collection[int]) -> tuple[dict[int, proc.Row], dict[int, list[proc.Row]]]:
        """The process table, and the children of these."""
        table: dict[int, proc.Row] = {}
        below: dict[int, list[proc.Row]] = {}
        for row in _rows(pace):
            table[row.pid] = row
            if row.ppid in pids:
                below.setdefault(row.ppid, []).append(row)
        return table, below


def _rows(pace: Pace) -> Iterator[proc.Row]:
    for name in _numbers(os.listdir("/proc")):
        row = proc.row(name)
        if row is not None:
            yield row
        pace.rest()


def _numbers(names: Iterable[str]) -> Iterator[int]:
    return (int(name) for name in names if name.isdigit())
