"""The planner of one watcher: what is wanted against what is there, and the command under way.

`Planner` is deterministic and touches nothing: commands, hook results, timers and what happened to processes go
in, each with the clock reading, and effects come out. One command is under way at a time; the runtime lines up
the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .effects import ArmTimer, CallHook, CancelTimer, Effect, JobEnded, Publish, Signal, Vacate
from .lifecycle import ALIVE, GONE, SIGHUP, UNDECIDED, Happening, Kind, Policy, Process, State, step


@dataclass(slots=True)
class Job:
    """A command under way."""

    id: int
    kind: str
    """``start``, ``stop``, ``restart``, ``reload``, ``scale``, ``kill``, ``apply``."""
    command: str = ""
    """The command's name, as a person gave it."""
    order: int = 0
    """The request that it is part of."""
    since: float = 0.0
    number: int = 0
    """Of scale: the new number of processes."""
    graceful: bool = True
    sequential: bool = False
    replaces: bool = False
    """Of reload: the processes are replaced also where they would get SIGHUP."""
    wids: tuple[int, ...] | None = None
    """Of kill: which slots; all when None."""
    signum: int | None = None
    grace: float | None = None
    phase: str = "new"
    done: int = 0
    total: int = 0
    started: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    awaited: dict[int, int] = field(default_factory=dict)
    """Slots and the pids that must go first."""
    queue: list[int] = field(default_factory=list)
    error: str = ""


SUPERSEDES = frozenset({"stop"})
"""A stop does not wait for a start that may take long: it takes its place."""


TIMERS = {
    "backoff": Kind.BACKOFF_OVER,
    "grace": Kind.GRACE_OVER,
    "kill": Kind.KILL_OVER,
    "age": Kind.AGED,
}
"""Timers of a slot by their kind, and what it means to the process when one fires."""


class Planner:
    """State of one watcher, and the rules that move it."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.policy = policy
        self.processes: dict[int, Process] = {}
        self.wanted = False
        """Whether the watcher is meant to run."""
        self.job: Job | None = None
        self.failure = ""
        """Why it was given up, in words."""
        self.leaving: set[int] = set()
        """Slots that vanish when their process is gone."""
        self.outgoing: set[int] = set()
        """Slots that a reload replaces."""
        self.last_spawn: float | None = None
        self._warm_at: float | None = None
        """For when the warm-up timer is armed."""
        self._effects: list[Effect] = []

    # -- what goes in --------------------------------------------------------------------------------------------

    def begin(self, job: Job, now: float) -> list[Effect]:
        """The command is under way; one that a stop takes the place of has ended with an error."""
        if self.job is not None:
            self._end_job(f"superseded by {job.command or job.kind}")
        self.job = job
        job.since = now
        return self._drive(now)

    def cannot_cancel(self) -> str:
        """Why the command under way can't be cancelled; nothing when it can."""
        job = self.job
        if job is None:
            return "it has ended"
        if job.phase in ("before_stop", "stopping", "after_stop", "after stop") or job.kind == "kill":
            return "its processes are being stopped already"
        if job.phase in ("stopping old", "stopping new"):
            return (
                "the new processes have taken over" if job.phase == "stopping old" else "it is being undone"
            )
        if job.phase in ("after_start", "done") or job.kind == "apply":
            return "it is done, but for its last step"
        if job.kind == "scale" and (self.leaving or len(self.active) > self.policy.numprocesses):
            return "its processes are being stopped already"
        return ""

    @property
    def up(self) -> int:
        """How many processes run and are to stay."""
        return sum(p.state in (State.RUNNING, State.READY) for p in self.active)

    def cancel(self, why: str, now: float) -> list[Effect]:
        """The command under way ends with that error, where `cannot_cancel` says nothing.

        Of a start, what runs stays: ``numprocesses`` has to be as low as `up` before, unless nothing runs. Of a reload, the
        old processes stay.
        """
        job = self.job
        assert job is not None
        if job.phase == "starting new":
            self._keep_old(job, f"{why}, the old processes stay", now)
        elif job.phase == "one by one":
            job.queue = []
            job.error = f"{why}, {job.done + len(job.awaited)} of {job.total} processes are replaced"
        else:
            starting = job.phase == "filling"
            self._end_job(why)
            if starting and self.wanted and not self.up:
                self.job = Job(0, "stop", command="cancel", since=now)
        return self._drive(now)

    def happen(self, wid: int, event: Happening, now: float) -> list[Effect]:
        """Something happened to a process; unknown slots are ignored."""
        if wid in self.processes:
            self._step(wid, event, now)
        return self._drive(now)

    def hook_returned(
        self, hook: str, wid: int | None, ok: bool, text: str, now: float, chance: float = 0.5
    ) -> list[Effect]:
        """A hook has answered: truth lets things go on, anything else has the consequence of the original's table."""
        if wid is not None:
            if wid in self.processes:
                if not ok:
                    self._step(wid, Happening(Kind.FORBIDDEN, text=text, chance=chance), now)
                    self._give_up(f"{hook} refused: {text}" if text else f"{hook} refused", now)
                elif hook == "before_spawn":
                    self._step(wid, Happening(Kind.ALLOWED, chance=chance), now)
            return self._drive(now)
        job = self.job
        if job is not None and job.phase == hook:
            if hook == "before_start" and not ok:
                self.failure = f"before_start refused: {text}" if text else "before_start refused"
                self._effects.append(Publish("watcher.failed", {"reason": self.failure}))
                self._end_job(self.failure)
            elif hook == "after_start" and not ok:
                self._give_up(f"after_start refused: {text}" if text else "after_start refused", now)
            else:
                job.phase = {
                    "before_start": "filling",
                    "after_start": "done",
                    "before_stop": "stopping",
                    "after_stop": "after stop",
                }[hook]
                if hook == "before_start":
                    self._want(now)
                elif hook == "before_stop":
                    self._stop_all(now)
        return self._drive(now)

    def timer(
        self,
        wid: int | None,
        kind: str,
        now: float,
        chance: float = 0.5,
        *,
        pid: int | None = None,
        text: str = "",
    ) -> list[Effect]:
        """A timer has fired; of one of the kind ``kill``, with what is still there and why."""
        if wid is None:
            self._warm_at = None
            return self._drive(now)
        return self.happen(wid, Happening(TIMERS[kind], chance=chance, pid=pid, text=text), now)

    # -- what can be read ----------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Process]:
        """The slots that count: neither leaving nor about to be replaced."""
        return [p for w, p in self.processes.items() if w not in self.leaving and w not in self.outgoing]

    def pids(self) -> list[int]:
        """Pids of all live processes, the oldest first."""
        by_age = sorted(self.processes.values(), key=lambda process: (process.started or 0.0, process.wid))
        return [process.pid for process in by_age if process.pid is not None]

    def status(self) -> str:
        """The original's word: active, stopped, starting or stopping."""
        job = self.job
        if job is not None and job.phase in ("before_stop", "stopping", "after_stop"):
            return "stopping"
        if job is not None and job.kind in ("start", "restart"):
            return "starting"
        if not self.wanted:
            return "stopping" if any(p.state in ALIVE for p in self.processes.values()) else "stopped"
        slots = self.active
        if slots and all(p.state is State.FAILED and p.is_final for p in slots):
            return "stopped"
        return "active"

    # -- the rules -----------------------------------------------------------------------------------------------

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _step(self, wid: int, event: Happening, now: float) -> None:
        before = self.processes[wid]
        after, effects = step(before, event, now, self.policy)
        self.processes[wid] = after
        if after.starts != before.starts:
            self.last_spawn = now
            if self.job is not None and after.pid is not None:
                self.job.started.append(after.pid)
        if event.kind is Kind.KILL_OVER and after.left != before.left and self.job is not None:
            assert after.left is not None
            self.job.abandoned.append(after.left)
        self._effects.extend(effects)

    def _drive(self, now: float) -> list[Effect]:
        """Go on until nothing more changes by itself."""
        for _ in range(64 + 8 * (len(self.processes) + self.policy.numprocesses)):
            before = (self._mark(), len(self._effects))
            self._vacate()
            if self.wanted and not self._is_stopping():
                self._fill(now)
            self._notice_end(now)
            self._advance(now)
            if before == (self._mark(), len(self._effects)):
                return self._take()
        raise AssertionError(f"the plan of watcher {self.name} does not come to rest")

    def _mark(self) -> tuple[object, ...]:
        job = self.job
        return (
            self.wanted,
            len(self.processes),
            job and (job.id, job.phase, len(job.queue), len(job.awaited)),
        )

    def _is_stopping(self) -> bool:
        return self.job is not None and self.job.phase in ("before_stop", "stopping", "after_stop")

    def _vacate(self) -> None:
        for wid in [w for w in self.leaving if self.processes[w].state in GONE]:
            self.leaving.discard(wid)
            self.outgoing.discard(wid)
            del self.processes[wid]
            self._effects.append(Vacate(wid))

    def _want(self, now: float) -> None:
        if not self.wanted:
            self.wanted = True
            self.failure = ""
            self._effects.append(Publish("watcher.started"))

    def _fill(self, now: float) -> None:
        slots = self.active
        target = self.policy.numprocesses
        if len(slots) > target:
            # Slots without a process go first, then the oldest processes.
            order = sorted(slots, key=lambda p: (p.state in ALIVE, p.started or 0.0, p.wid))
            self._dismiss([p.wid for p in order[: len(slots) - target]], now)
        wid = 0
        for _ in range(target - len(slots)):
            if not self._warm(now):
                return
            wid += 1
            while wid in self.processes:
                wid += 1
            self.processes[wid] = Process(wid, since=now)
            self._step(wid, Happening(Kind.START), now)
            self._pace(wid, now)

    def _warm(self, now: float) -> bool:
        """Whether the next start may come now; else a timer is armed for the moment."""
        if self.policy.warmup_delay <= 0 or self.last_spawn is None:
            return True
        at = self.last_spawn + self.policy.warmup_delay
        if now >= at:
            return True
        if self._warm_at != at:
            self._warm_at = at
            self._effects.append(ArmTimer(None, "warmup", at))
        return False

    def _pace(self, wid: int, now: float) -> None:
        # The start is on its way though its outcome is not known: the next one keeps its distance from this moment.
        if self.processes[wid].state in UNDECIDED and self.policy.warmup_delay > 0:
            self.last_spawn = now

    def _dismiss(self, wids: Iterable[int], now: float) -> None:
        for wid in wids:
            self.leaving.add(wid)
            self._note_stop(wid)
            self._step(wid, Happening(Kind.STOP), now)

    def _note_stop(self, wid: int) -> None:
        pid = self.processes[wid].pid
        if self.job is not None and pid is not None:
            self.job.stopped.append(pid)

    def _stop_all(self, now: float) -> None:
        self.wanted = False
        self.outgoing.clear()
        if self._warm_at is not None:
            self._warm_at = None
            self._effects.append(CancelTimer(None, "warmup"))
        for wid in sorted(self.processes):
            self._note_stop(wid)
            self._step(wid, Happening(Kind.STOP), now)

    def _give_up(self, reason: str, now: float) -> None:
        """A hook forbids it: everything is stopped, nothing comes by itself."""
        self.failure = reason
        self._effects.append(Publish("watcher.failed", {"reason": reason}))
        if self.job is not None and self.job.kind != "stop":
            self._end_job(reason)
        self._stop_all(now)

    def _notice_end(self, now: float) -> None:
        """A watcher whose last process has ended, and is not started again, is stopped."""
        if not self.wanted or self.policy.always or self._is_stopping():
            return
        if (
            len(self.active) < self.policy.numprocesses
            or self.policy.numprocesses == 0
            or self.job is not None
        ):
            return
        if self.processes and all(p.is_final for p in self.processes.values()):
            self.wanted = False
            self._effects.append(Publish("watcher.stopped"))

    def _end_job(self, error: str = "") -> None:
        job = self.job
        assert job is not None
        self.job = None
        self.outgoing.clear()
        self._effects.append(
            JobEnded(
                job.id,
                error or job.error,
                tuple(job.started),
                tuple(job.kept),
                tuple(job.stopped),
                tuple(job.abandoned),
            )
        )

    # -- commands ------------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        job = self.job
        if job is None:
            return
        getattr(self, f"_advance_{job.kind}")(job, now)

    def _decided(self) -> bool:
        slots = self.active
        return len(slots) >= self.policy.numprocesses and not any(p.state in UNDECIDED for p in slots)

    def _advance_start(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.total = self.policy.numprocesses
            job.kept = self.pids()
            if not self.wanted and "before_start" in self.policy.hooks:
                job.phase = "before_start"
                self._effects.append(CallHook("before_start"))
                return
            fresh = not self.wanted
            self._want(now)
            job.phase = "filling"
            job.queue = [p.wid for p in self.active if p.state in GONE or p.state is State.BACKOFF]
            if not fresh and not job.queue and self._decided():
                job.phase = "done"
        if job.phase == "filling":
            job.queue = [w for w in job.queue if w in self.processes] or [
                p.wid for p in self.active if p.state is State.STOPPED
            ]
            while job.queue and self._warm(now):
                wid = job.queue.pop(0)
                self._step(wid, Happening(Kind.START), now)
                self._pace(wid, now)
            job.done = sum(p.state in ALIVE for p in self.active)
            if job.queue or not self._decided():
                return
            if job.started and "after_start" in self.policy.hooks:
                job.phase = "after_start"
                self._effects.append(CallHook("after_start"))
            else:
                job.phase = "done"
        if job.phase == "done":
            # What was to be added has been, as the original says too.
            self._end_job("" if job.command == "add" else self._refused())

    def _refused(self) -> str:
        """Why processes could not be started, in words; nothing when all of them could. They are tried again nevertheless."""
        slots = self.active
        lost = [p for p in slots if p.refusals and p.exit is not None]
        if not lost:
            return ""
        some = f"{len(lost)} of {len(slots)} processes: " if len(lost) < len(slots) else ""
        why = lost[0].exit.text if lost[0].exit is not None else ""
        return f"{some}{why or 'it could not be started'}"

    def _advance_stop(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.total = len(self.pids())
            self.failure = ""
            if self.wanted and job.total and "before_stop" in self.policy.hooks:
                job.phase = "before_stop"
                self._effects.append(CallHook("before_stop"))
                return
            job.kept = [] if self.wanted or job.total else [0]
            job.phase = "stopping"
            self._stop_all(now)
        if job.phase == "stopping":
            job.done = job.total - len(self.pids())
            if any(p.state not in GONE for p in self.processes.values()):
                return
            if not job.kept:
                self._effects.append(Publish("watcher.stopped"))
            if not job.kept and "after_stop" in self.policy.hooks:
                job.phase = "after_stop"
                self._effects.append(CallHook("after_stop"))
                return
            job.phase = "after stop"
        if job.phase == "after stop":
            job.kept = []
            if job.kind == "restart":
                job.phase = "again"
            else:
                self._end_job()

    def _advance_restart(self, job: Job, now: float) -> None:
        if job.phase in ("new", "before_stop", "stopping", "after_stop", "after stop"):
            self._advance_stop(job, now)
        if job.phase == "again":
            job.phase = "new start"
        if job.phase == "new start":
            job.phase = "new"
            stopped = job.stopped
            self._advance_start(job, now)
            job.stopped = stopped
            if job.phase == "new":
                return
        elif job.phase in ("before_start", "filling", "after_start", "done") and self.job is job:
            self._advance_start(job, now)

    def _advance_scale(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.phase = "filling"
            job.total = self.policy.numprocesses
            self._drop_idle_slots()
            return
        job.done = sum(p.state in ALIVE for p in self.active)
        if (
            not self.wanted or (self._decided() and len(self.active) <= self.policy.numprocesses)
        ) and not self.leaving:
            self._end_job()

    def _advance_apply(self, job: Job, now: float) -> None:
        """Options were changed before the job began: nothing else is to be done."""
        self._end_job()

    def _drop_idle_slots(self) -> None:
        """Of a stopped watcher, slots beyond the number wanted are forgotten."""
        if not self.wanted:
            for wid in sorted(self.processes)[self.policy.numprocesses :]:
                if self.processes[wid].state in GONE:
                    self.leaving.add(wid)

    def _advance_kill(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.phase = "killing"
            for wid in sorted(self.processes if job.wids is None else job.wids):
                process = self.processes.get(wid)
                if process is None or process.pid is None:
                    continue
                job.awaited[wid] = process.pid
                job.stopped.append(process.pid)
                again = self.wanted and wid not in self.leaving
                event = Happening(Kind.STOP, signum=job.signum, grace=job.grace, again=again)
                self._step(wid, event, now)
            job.total = len(job.awaited)
        for wid, pid in list(job.awaited.items()):
            process = self.processes.get(wid)
            if process is None or (process.pid != pid and process.state not in UNDECIDED | {State.STOPPING}):
                del job.awaited[wid]
        job.done = job.total - len(job.awaited)
        if not job.awaited:
            self._end_job()

    def _advance_reload(self, job: Job, now: float) -> None:
        if job.phase == "new" and not (self.wanted and job.graceful):
            # Nothing to be gentle with: a stopped watcher is started, a hard reload is a restart.
            job.kind = "restart" if self.wanted else "start"
            return self._advance(now)
        if job.phase == "new" and self.policy.send_hup and not job.replaces:
            for process in self.active:
                if process.pid is not None:
                    job.kept.append(process.pid)
                    self._effects.append(Signal(process.wid, SIGHUP))
            return self._end_reload()
        if job.sequential:
            self._advance_sequential(job, now)
        else:
            self._advance_graceful(job, now)
        return None

    def _advance_graceful(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.phase = "starting new"
            job.total = self.policy.numprocesses
            self.outgoing = {p.wid for p in self.active}
            return  # the new ones are filled in by the next turn of the drive
        if job.phase == "starting new":
            new = self.active
            job.done = sum(p.state in (State.RUNNING, State.READY) for p in new)
            if not self._decided():
                return
            ill = [p for p in new if p.state not in (State.RUNNING, State.READY)]
            if ill:
                why = (
                    ill[0].exit.text
                    if ill[0].exit and ill[0].exit.text
                    else f"process {ill[0].wid} did not stay up"
                )
                self._keep_old(job, f"reload given up, the old processes stay: {why}", now)
                return
            old, self.outgoing = sorted(self.outgoing), set()
            self._dismiss(old, now)
            job.phase = "stopping old"
        if not self.leaving:
            self._end_reload()

    def _keep_old(self, job: Job, why: str, now: float) -> None:
        """What a reload has started is stopped again, and what it was to replace stays."""
        job.error = why
        new = [p.wid for p in self.active]
        self.outgoing = set()
        self._dismiss(new, now)
        job.phase = "stopping new"

    def _advance_sequential(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.phase = "one by one"
            job.queue = sorted(p.wid for p in self.active)
            job.total = len(job.queue)
        if job.awaited:
            (wid,) = job.awaited
            process = self.processes.get(wid)
            if process is not None and process.state in UNDECIDED | {State.STOPPING}:
                return None
            job.awaited = {}
            job.done += 1
            if process is not None and process.state not in (State.RUNNING, State.READY):
                why = process.exit.text if process.exit and process.exit.text else "it did not stay up"
                job.error = f"reload stopped at process {wid}: {why}"
                return self._end_job()
        if not job.queue:
            return self._end_reload()
        if job.done and not self._warm(now):
            return None
        wid = job.queue.pop(0)
        if wid in self.processes:
            job.awaited = {wid: self.processes[wid].pid or 0}
            self._note_stop(wid)
            event = Kind.STOP if self.processes[wid].state in ALIVE else Kind.START
            self._step(wid, Happening(event, again=True), now)
        return None

    def _end_reload(self) -> None:
        assert self.job is not None
        if not self.job.error:
            self._effects.append(Publish("watcher.reloaded"))
        self._end_job()
