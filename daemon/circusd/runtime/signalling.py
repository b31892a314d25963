"""Signals to the processes of one watcher: hooks are asked, the one that has the work gets them, and the last ones are remembered."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from signal import SIGCONT, SIGKILL
from typing import TYPE_CHECKING

from circusd.core.process import Happening, Kind, State
from circusd.kernel import proc
from circusd.kernel.proc import Identity

from . import clock
from .failures import SIGNALS_KEPT, Sent
from .part import Part

if TYPE_CHECKING:
    from .watcher import Watcher


class Signalling(Part):
    """What is sent to one watcher's processes, by its planner and by people."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__(watcher)
        self._sent: dict[int, tuple[Sent, ...]] = {}
        """The last signals of processes, by pid."""

    def send(self, wid: int, signum: int, children: bool, by: str = "") -> None:
        """The slot's process gets the signal if its hook allows it, and with ``children`` those below it, whose ends are seen."""
        watcher = self._watcher
        process = watcher.planner.processes.get(wid)
        if process is None:
            return
        if process.pid is None:
            # What its parent has left behind is still waited for, and hears the next signal of the stop too.
            if children:
                self._send_to_children(wid, watcher.trees.members(wid), signum)
            return
        pid = process.pid
        if children:
            watcher.trees.track(wid, watcher.roots[pid].identity)
        if "before_signal" in watcher.config.hooks and signum != SIGKILL:
            watcher.hooks.ask(
                "before_signal",
                {"pid": pid, "signum": signum},
                lambda ok, _: self._send(wid, pid, signum, children, by) if ok else None,
            )
        else:
            # Nothing may stand in the way of SIGKILL.
            watcher.hooks.tell("before_signal", pid=pid, signum=signum)
            self._send(wid, pid, signum, children, by)

    def send_by_hand(self, signum: int, pids: Iterable[int], by: str = "") -> None:
        """A signal that a person, ``by``, sends to processes: hooks are asked, nothing else changes."""
        for pid in pids:
            wid = self._watcher.slot_of(pid)
            if wid is None:
                continue
            process = self._watcher.planner.processes.get(wid)
            if signum == SIGCONT and process is not None and process.state is State.FROZEN:
                self._watcher.happen(wid, Happening(Kind.THAW, text=by))
            else:
                self.send(wid, signum, children=False, by=by)

    def run_stop_command(self, wid: int, pid: int) -> None:
        """The command that is to stop the process runs; should it fail, the planner hears of it."""
        watcher = self._watcher
        if watcher.config.stop_children:
            watcher.trees.track(wid, watcher.roots[pid].identity)
        failed = partial(self._stop_failed, wid, pid)
        watcher.arbiter.stop_commands().run(watcher, wid, watcher.main_of(pid) or pid, failed)

    def _stop_failed(self, wid: int, pid: int, why: str) -> None:
        process = self._watcher.planner.processes.get(wid)
        if not self._watcher.removed and process is not None and process.pid == pid:
            self._watcher.happen(wid, Happening(Kind.STOP_FAILED, text=why))

    def _send(self, wid: int, pid: int, signum: int, children: bool, by: str = "") -> None:
        watcher = self._watcher
        main = watcher.mains.get(pid)
        process = watcher.planner.processes.get(wid)
        # A frozen one hears it when it goes on.
        wake = process is None or process.state is not State.FROZEN
        if main is not None and proc.signal_process(main, signum):
            if wake:
                proc.signal_process(main, SIGCONT)
            told, receiver = True, main.pid
        else:
            told, receiver = watcher.arbiter.reaper.send(pid, signum, wake=wake), pid
        if told:
            self.note(pid, signum, by)
            watcher.tell("process.signalled", wid=wid, pid=receiver, signum=signum)
            watcher.hooks.tell("after_signal", pid=pid, signum=signum)
        if children:
            self._send_to_children(wid, proc.children([pid], watcher.arbiter.table())[pid], signum)

    def _send_to_children(self, wid: int, children: Iterable[Identity], signum: int) -> None:
        for child in children:
            if proc.signal_process(child, signum):
                proc.signal_process(child, SIGCONT)
                self._watcher.tell("process.signalled", wid=wid, pid=child.pid, signum=signum)

    def note(self, pid: int, signum: int, by: str = "") -> None:
        """It was sent to that process."""
        self._sent[pid] = (*self._sent.get(pid, ()), Sent(signum, clock.now(), by))[-SIGNALS_KEPT:]

    def take(self, pid: int) -> tuple[Sent, ...]:
        """The last signals of a process that has ended, which are forgotten here."""
        return self._sent.pop(pid, ())
