"""The planner of one watcher: what is wanted against what is there, and the command under way.

`Planner` is deterministic and touches nothing: commands, hook results, timers and what happened to processes go
in, each with the clock reading, and effects come out. One command is under way at a time; the runtime lines up
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import backoff
from .altered import altered
from .effects import ArmTimer, CallHook, CancelTimer, Effect, JobEnded, Publish, Signal, Vacate
from .lifecycle import step
from .outside import Asked
from .process import (
    ALIVE,
    GONE,
    SIGHUP,
    SOCKET,
    UNDECIDED,
    UP,
    Happening,
    Kind,
    Policy,
    Process,
    State,
    is_held,
    is_undecided,
)
from .starting import ended_well
from .words import ending


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
    why: str = ""
    """What has made circusd give the command, where nobody did: what follows "because"."""
    demanded: bool = False
    """Of start: what is waited for has come; otherwise what is ``on_demand`` or has a schedule begins to wait for that."""
    graceful: bool = True
    batch: int = 0
    """Of reload: how many are replaced at a time; 0 for all."""
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
    renewed: set[int] = field(default_factory=set)
    """Of reload: slots of new processes that have taken over."""
    error: str = ""


SUPERSEDES = frozenset({"stop"})
"""A stop does not wait for a start that may take long: it takes its place."""


TIMERS = {
    "backoff": Kind.BACKOFF_OVER,
    "grace": Kind.GRACE_OVER,
    "kill": Kind.KILL_OVER,
    "age": Kind.AGED,
    "start": Kind.START_OVER,
    "probe": Kind.PROBE_DUE,
    "watchdog": Kind.BEAT_MISSED,
    "alive": Kind.LOOK_DUE,
    "thaw": Kind.THAW,
}
"""Timers of a slot by their kind, and what it means to the process when one fires."""
WATCHER_TIMERS = ("warmup", "settle")
"""Timers of the watcher as a whole."""

LEAST_REST = 0.1
"""Seconds that a watcher without respawn waits before the next connection starts it, when it ended that soon after the last."""


class Planner:
    """State of one watcher, and the rules that move it."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.policy = policy
        self.processes: dict[int, Process] = {}
        self.wanted = False
        """Whether the watcher is meant to run."""
        self.asleep = False
        """Whether it is meant to run from the next connection on, or at the times of its schedule, and nothing runs before."""
        self.passing = False
        """Whether it runs once, as somebody has asked for, while its schedule is not in force."""
        self.next_run: Callable[[], tuple[str, float]] = lambda: ("", 0.0)
        """Says when the schedule has it run next, in words and in seconds from now, as the runtime knows it,"""
        self.last_run: Callable[[], str] = lambda: ""
        """and how its last run has ended."""
        self.ill_run = False
        """Whether that was not as it should be."""
        self.wakes_at = 0.0
        """While it is asleep: a connection starts it no sooner than that."""
        self.waits_at: tuple[str, ...] = ()
        """While it is asleep: the sockets at which it waits, as the runtime knows them."""
        self.job: Job | None = None
        self.failure = ""
        """Why it was given up, in words."""
        self.gate = ""
        """What has to come before a start, in words; nothing where nothing has to."""
        self.asked: tuple[Asked, ...] = ()
        """How it goes with the addresses outside that the start waits for."""
        self.leaving: set[int] = set()
        """Slots that vanish when their process is gone."""
        self.outgoing: set[int] = set()
        """Slots that a reload replaces."""
        self.last_spawn: float | None = None
        self.speaks = False
        """Since it was started, one of its processes has said by itself that it is ready."""
        self.setback = ""
        """Why the last reload was given up; nothing after one that was not, and after a start."""
        self.cause = ("", "")
        """The last command that started or stopped processes, and why circusd gave it by itself; nothing where somebody did."""
        self.blind = ""
        """Why it is not seen when its files change."""
        self._quick_ends = 0
        self._armed: dict[str, float] = {}
        """For when the watcher's own timers are armed."""
        self._effects: list[Effect] = []

    # -- what goes in --------------------------------------------------------------------------------------------

    def begin(self, job: Job, now: float) -> list[Effect]:
        """The command is under way; one that a stop takes the place of has ended with an error."""
        if self.job is not None:
            self._end_job(f"superseded by {job.command or job.kind}")
        self.job = job
        job.since = now
        if job.kind not in ("scale", "apply"):
            self.cause = (job.kind, job.why)
        return self._drive(now)

    def cannot_cancel(self) -> str:
        """Why the command under way can't be cancelled; nothing when it can."""
        job = self.job
        if job is None:
            return "it has ended"
        if job.phase in ("before_stop", "stopping", "after_stop", "after stop") or job.kind == "kill":
            return "its processes are being stopped already"
        if job.phase == "stopping new":
            return "it is being undone"
        if job.phase == "stopping old" and not job.queue:
            return "the new processes have taken over"
        if job.phase in ("after_start", "done") or job.kind == "apply":
            return "it is done, but for its last step"
        if job.kind == "scale" and (self.leaving or len(self.active) > self.policy.numprocesses):
            return "its processes are being stopped already"
        return ""

    @property
    def up(self) -> int:
        """How many processes run and are to stay."""
        return sum(p.state in UP for p in self.active)

    @property
    def awaited(self) -> list[Process]:
        """Those that run, are to stay, and are not ready yet."""
        return [p for p in self.active if p.is_awaited]

    @property
    def is_at_rest(self) -> bool:
        """It is meant to run, and neither a command nor the start or stop of a process is under way."""
        return (
            self.wanted
            and self.job is None
            and not any(
                p.state is State.STOPPING or is_undecided(p) or p.is_awaited for p in self.processes.values()
            )
        )

    def side(self, wid: int) -> str:
        """While a reload goes on, whether the process of the slot is an ``old`` or a ``new`` one; else nothing."""
        job = self.job
        if job is None or job.kind != "reload" or job.phase == "new":
            return ""
        if wid in job.renewed:
            return "new"
        if wid in self.outgoing or wid in job.queue:
            return "old"
        return (
            ("new" if wid in self.leaving else "old")
            if job.phase == "stopping new"
            else ("old" if wid in self.leaving else "new")
        )

    def cancel(self, why: str, now: float) -> list[Effect]:
        """The command under way ends with that error, where `cannot_cancel` says nothing.

        Of a start, what runs stays: ``numprocesses`` has to be as low as `up` before, unless nothing runs. Of a reload, the
        old processes stay that are not replaced yet.
        """
        job = self.job
        assert job is not None
        if job.phase == "starting new":
            self._keep_old(job, why, now)
        elif job.phase == "stopping old":
            job.queue = []
            job.error = f"{why}, {len(job.renewed)} of {job.total} processes are replaced"
        else:
            starting = job.phase == "filling"
            self._end_job(why)
            if self.policy.scheduled and not self.passing:
                if starting:
                    self.job = Job(0, "restart", command="cancel", since=now)
            elif (starting and self.wanted and not self.up) or (job.demanded and self.asleep):
                self.job = Job(0, "stop", command="cancel", since=now)
        return self._drive(now)

    @property
    def waits_for_others(self) -> bool:
        """Whether a start is under way that waits for others."""
        return self.job is not None and self.job.phase == "dependencies"

    def hold(self, why: str, now: float) -> list[Effect]:
        """A start waits until this is called without a reason."""
        if why != self.gate:
            self.gate = why
            if self.waits_for_others and why:
                self._effects.append(Publish("watcher.waiting", {"reason": why}))
        return self._drive(now)

    def forbid(self, why: str, now: float) -> list[Effect]:
        """The start that waits will not come about: what has to come before it can't."""
        if self.waits_for_others:
            self.failure = why
            self._effects.append(Publish("watcher.failed", {"reason": why}))
            self._end_job(why)
        return self._drive(now)

    def happen(self, wid: int, event: Happening, now: float) -> list[Effect]:
        """Something happened to a process; unknown slots are ignored."""
        if wid in self.processes:
            if event.kind is Kind.BECAME_READY and self.processes[wid].state in ALIVE:
                self.speaks = True
            self._step(wid, event, now)
        return self._drive(now)

    def hook_returned(
        self, hook: str, wid: int | None, ok: bool, text: str, now: float, chance: float = 0.5
    ) -> list[Effect]:
        """A hook has answered: truth lets things go on, anything else has the consequence of the original's table."""
        if wid is not None:
            # One that was asked about a process before it was stopped has nothing to say to what waits now.
            if wid in self.processes and not is_held(self.processes[wid]):
                if not ok:
                    refused = f"{hook} refused: {text}" if text else f"{hook} refused"
                    self._step(wid, Happening(Kind.FORBIDDEN, text=text, chance=chance), now)
                    job = self.job
                    if (
                        job is not None
                        and job.phase == "starting new"
                        and self.processes[wid] in self._new_ones(job)
                    ):
                        self._reload_failed(job, f"process {wid}: {refused}", now)
                    else:
                        self._give_up(refused, now)
                elif hook == "before_spawn":
                    self._step(wid, Happening(Kind.ALLOWED, chance=chance), now)
            return self._drive(now)
        job = self.job
        if job is not None and job.phase == hook:
            if hook == "before_start" and not ok and self.asleep and not self.policy.scheduled:
                self._give_up(f"before_start refused: {text}" if text else "before_start refused", now)
            elif hook == "before_start" and not ok:
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
            self._armed.pop(kind, None)
            return self._drive(now)
        return self.happen(wid, Happening(TIMERS[kind], chance=chance, pid=pid, text=text), now)

    # -- what can be read ----------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Process]:
        """The slots that count: neither leaving nor about to be replaced."""
        if not self.leaving and not self.outgoing:
            return list(self.processes.values())
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
        policy = self.policy
        if self.speaks and policy.ready == "auto":
            # Those before it have said it: one that doesn't is not what they were.
            policy = altered(policy, ready="notify")
        after, effects = step(before, event, now, policy)
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
                self._replace_ill(now)
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
        # A stop that takes the place of something else has no phase yet, and nothing is to be started or replaced any more.
        return self.job is not None and (
            self.job.kind == "stop" or self.job.phase in ("before_stop", "stopping", "after_stop")
        )

    def _vacate(self) -> None:
        for wid in [w for w in self.leaving if self.processes[w].state in GONE]:
            self.leaving.discard(wid)
            self.outgoing.discard(wid)
            del self.processes[wid]
            if self.job is not None:
                # Another process may get the number, and is none of those that the job knows.
                self.job.renewed.discard(wid)
                self.job.queue = [other for other in self.job.queue if other != wid]
            self._effects.append(Vacate(wid))

    def _want(self, now: float) -> None:
        if not self.wanted or self.asleep:
            self.wanted = True
            self.asleep = False
            self.failure = self.setback = ""
            self.speaks = False
            self._effects.append(Publish("watcher.started"))

    def _fall_asleep(self, now: float, rest: float = 0.0) -> None:
        """It is to run from the next connection on, or at the next time of its schedule."""
        self.wanted = self.asleep = True
        self.wakes_at = now + rest
        self.setback = ""
        if not self.policy.scheduled:
            self.failure = ""
        self._effects.append(Publish("watcher.waiting", {"reason": self._held_by}))

    @property
    def _held_by(self) -> str:
        return self.policy.held_by or SOCKET

    def _rest(self) -> float:
        """How long a connection has to wait for what has just ended by itself: only what ends soon could go on without end."""
        ends = [p.exit for p in self.active if p.exit is not None]
        if not any(end.lived is not None and end.lived < self.policy.settle_time for end in ends):
            self._quick_ends = 0
            return self.policy.restart_delay
        failed = not all(ended_well(end, self.policy) for end in ends)
        self._quick_ends = self._quick_ends + 1 if failed else 0
        wait = backoff.delay(self._quick_ends, self.policy.backoff, self.policy.backoff_max, 0.5)
        return max(LEAST_REST, wait, self.policy.restart_delay)

    def _fill(self, now: float) -> None:
        slots = self.active
        if self.asleep:
            for process in slots:
                self._step(process.wid, Happening(Kind.HOLD, text=self._held_by), now)
        target = self.policy.numprocesses
        if len(slots) > target:
            # Slots without a process go first, then those that serve not yet or no more, then the oldest; what a reload has
            # started and may yet have to give up goes before what it has not replaced.
            new = self._on_trial()
            order = sorted(
                slots,
                key=lambda p: (
                    p.state in ALIVE,
                    p.serves,
                    p.wid not in new,
                    not p.is_ill,
                    p.started or 0.0,
                    p.wid,
                ),
            )
            self._dismiss([p.wid for p in order[: len(slots) - target]], now)
        wid = 0
        for _ in range(target - len(slots)):
            if not (self.asleep or self._warm(now)):
                return
            wid += 1
            while wid in self.processes:
                wid += 1
            self.processes[wid] = Process(wid, since=now)
            event = Happening(Kind.HOLD, text=self._held_by) if self.asleep else Happening(Kind.START)
            self._step(wid, event, now)
            self._pace(wid, now)

    def _replace_ill(self, now: float) -> None:
        """Those that were found unhealthy are replaced, the longest so first, and no more at a time than the rules allow."""
        rules = self.policy.alive
        if rules is None or (self.job is not None and self.job.kind == "reload"):
            return
        slots = self.active
        ill = sorted((p.health.since, p.wid) for p in slots if p.is_ill and p.health is not None)
        free = rules.at_once - sum(p.is_coming for p in slots)
        for _, wid in ill[: max(0, free)]:
            self._step(wid, Happening(Kind.GIVEN_UP), now)

    def _warm(self, now: float) -> bool:
        """Whether the next start may come now; else a timer is armed for the moment."""
        if self.policy.warmup_delay <= 0 or self.last_spawn is None:
            return True
        at = self.last_spawn + self.policy.warmup_delay
        return self._is_past("warmup", at, now)

    def _is_past(self, kind: str, at: float, now: float) -> bool:
        """Whether it is that late; else a timer is armed for the moment."""
        if now >= at:
            return True
        if self._armed.get(kind) != at:
            self._armed[kind] = at
            self._effects.append(ArmTimer(None, kind, at))
        return False

    def _calm(self, *kinds: str) -> None:
        for kind in kinds:
            if self._armed.pop(kind, None) is not None:
                self._effects.append(CancelTimer(None, kind))

    def _pace(self, wid: int, now: float) -> None:
        # The start is on its way though its outcome is not known: the next one keeps its distance from this moment.
        if is_undecided(self.processes[wid]) and self.policy.warmup_delay > 0:
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
        self.wanted = self.asleep = self.passing = False
        self.outgoing.clear()
        self._calm(*WATCHER_TIMERS)
        for wid in sorted(self.processes):
            self._note_stop(wid)
            self._step(wid, Happening(Kind.STOP), now)

    def _give_up(self, reason: str, now: float) -> None:
        """A hook forbids it: everything is stopped, nothing comes by itself."""
        self.failure = reason
        self._effects.append(Publish("watcher.failed", {"reason": reason}))
        if self.job is not None and self.job.kind != "stop":
            self._end_job(reason)
        if not self.policy.scheduled:
            self._stop_all(now)
            return
        # That run is over; the next one is tried all the same.
        for wid in sorted(self.processes):
            self._note_stop(wid)
            self._step(wid, Happening(Kind.STOP), now)

    def _notice_end(self, now: float) -> None:
        """A watcher whose last process has ended, and is not started again, is stopped, or waits for the next connection."""
        if not self.wanted or self.asleep or self.policy.always or self._is_stopping():
            return
        if (
            len(self.active) < self.policy.numprocesses
            or (self.policy.numprocesses == 0 and not self.policy.scheduled)
            or self.job is not None
        ):
            return
        if not (self.processes or self.policy.scheduled):
            return
        if not all(p.is_final for p in self.processes.values()):
            return
        if self.policy.scheduled and not self.passing:
            self._fall_asleep(now)
        elif self.policy.held_by == SOCKET and not any(
            p.state is State.FAILED for p in self.processes.values()
        ):
            self._fall_asleep(now, self._rest())
        else:
            self.wanted = self.passing = False
            self._effects.append(Publish("watcher.stopped"))

    def _end_job(self, error: str = "") -> None:
        job = self.job
        assert job is not None
        self.job = None
        self.outgoing.clear()
        self._calm("settle")
        self._effects.append(
            JobEnded(
                job.id,
                error or job.error,
                tuple(job.started),
                tuple(job.kept),
                tuple(job.stopped),
                tuple(job.abandoned),
                undone=job.phase == "stopping new" and not job.renewed,
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
        return len(slots) >= self.policy.numprocesses and not any(
            is_undecided(p) or p.is_awaited for p in slots
        )

    @property
    def has_begun(self) -> bool:
        """Whether no process waits to be started by the command under way, be those that it has started ready or not."""
        job, slots = self.job, self.active
        if job is None:
            return True
        if job.phase not in ("filling", "done") or job.queue:
            return False
        return len(slots) >= self.policy.numprocesses and not any(is_undecided(p) for p in slots)

    def _advance_start(self, job: Job, now: float) -> None:
        fresh = self.asleep or not self.wanted
        if job.phase == "new":
            if fresh and self.policy.held_by and not job.demanded:
                if not self.asleep:
                    self.failure = ""
                    self._fall_asleep(now)
                return self._end_job()
            if not job.demanded:
                self.passing = False
            elif self.policy.scheduled:
                self.passing = not self.wanted
            elif not self.asleep:
                return self._end_job()
        if job.phase == "dependencies" and not self.gate:
            job.phase = "new"
        if job.phase == "new" and self.gate and fresh:
            job.phase = "dependencies"
            self._effects.append(Publish("watcher.waiting", {"reason": self.gate}))
        if job.phase == "new":
            job.total = self.policy.numprocesses
            job.kept = self.pids()
            if fresh and "before_start" in self.policy.hooks:
                job.phase = "before_start"
                self._effects.append(CallHook("before_start"))
                return None
            self._want(now)
            job.phase = "filling"
            job.queue = [
                p.wid for p in self.active if p.state in GONE or p.state is State.BACKOFF or is_held(p)
            ]
            if not fresh and not job.queue and self._decided():
                job.phase = "done"
        if job.phase == "filling":
            job.queue = [w for w in job.queue if w in self.processes] or [
                p.wid for p in self.active if p.state is State.STOPPED or is_held(p)
            ]
            while job.queue and self._warm(now):
                wid = job.queue.pop(0)
                self._step(wid, Happening(Kind.START), now)
                self._pace(wid, now)
            job.done = sum(p.serves for p in self.active)
            if job.queue or not self._decided():
                return None
            if job.started and "after_start" in self.policy.hooks:
                job.phase = "after_start"
                self._effects.append(CallHook("after_start"))
            else:
                job.phase = "done"
        if job.phase == "done":
            # What was to be added has been, as the original says too.
            self._end_job("" if job.command == "add" else self._refused())
        return None

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
            if self.asleep and not job.total:
                # Nothing of it runs: a hook has nothing to be asked about.
                self._effects.append(Publish("watcher.stopped"))
                job.phase = "after stop"
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
        elif (
            job.phase in ("dependencies", "before_start", "filling", "after_start", "done")
            and self.job is job
        ):
            self._advance_start(job, now)

    def _advance_scale(self, job: Job, now: float) -> None:
        if job.phase == "new":
            job.phase = "filling"
            job.total = self.policy.numprocesses
            self._drop_idle_slots()
            return
        job.done = sum(p.serves for p in self.active)
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
                comes_back = self.wanted and not self.asleep and not self.policy.scheduled
                again = comes_back and wid not in self.leaving
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
        if job.phase == "new" and (not (self.wanted and job.graceful) or self.policy.singleton):
            # Nothing to be gentle with, or no room for a second one: a hard reload is a restart, that of a stopped watcher
            # a start.
            job.kind = "restart" if self.wanted else "start"
            return self._advance(now)
        if job.phase == "new" and (self.asleep or self.policy.scheduled):
            # Nothing runs, or a run that is to come to its end; what is started next has everything that is new.
            return self._end_reload()
        if job.phase == "new" and self.policy.send_hup and not job.replaces:
            for process in self.active:
                if process.pid is not None:
                    job.kept.append(process.pid)
                    self._effects.append(Signal(process.wid, SIGHUP))
            return self._end_reload()
        if job.phase == "new":
            job.queue = sorted(p.wid for p in self.active)
            job.total = self.policy.numprocesses
            return self._next_batch(job)
        if job.phase == "starting new":
            return self._await_new(job, now)
        if self.leaving:
            return None
        if job.error or not job.queue:
            return self._end_reload()
        return self._next_batch(job)

    def _next_batch(self, job: Job) -> None:
        """The new ones are filled in by the next turn of the drive, beside the old ones that they replace."""
        job.phase = "starting new"
        size = job.batch or len(self.processes)
        there = [wid for wid in job.queue if wid in self.processes and wid not in self.leaving]
        self.outgoing, job.queue = set(there[:size]), there[size:]

    def _await_new(self, job: Job, now: float) -> None:
        """When all of the batch are ready, the old ones are told to go; when one will not be, the new ones are."""
        new = self._new_ones(job)
        fallen = [self.processes[wid] for wid in sorted(job.renewed) if wid in self.processes]
        for process in (*new, *(p for p in fallen if p.state in GONE or p.state is State.BACKOFF)):
            if process.exit is not None:
                return self._reload_failed(job, f"process {process.wid} {ending(process.exit)}", now)
        if len(self.active) >= self.policy.numprocesses and len(new) < len(self.outgoing):
            # Fewer are wanted by now: the rest of the old ones go on being counted, until which of all are too many is known.
            old = sorted(self.outgoing)
            self.outgoing = set(old[: len(new)])
            job.queue = sorted((*old[len(new) :], *job.queue))
            return None
        serving = sum(p.serves for p in new)
        job.done = len(job.renewed) + serving
        if not self._decided() or serving < len(new) or not self._have_settled(new, now):
            return None
        job.renewed |= {p.wid for p in new}
        gone, self.outgoing = sorted(self.outgoing), set()
        self._dismiss(gone, now)
        job.phase = "stopping old"
        return None

    def _have_settled(self, new: list[Process], now: float) -> bool:
        """Whether they can be counted on: each has said so, or has run for a while where nothing was to be said."""
        silent = [p.started for p in new if p.state is State.RUNNING and p.started is not None]
        return not silent or self._is_past("settle", max(silent) + self.policy.settle_time, now)

    def _new_ones(self, job: Job) -> list[Process]:
        """Those that the batch under way has started."""
        return [p for p in self.active if p.wid not in {*job.queue, *job.renewed}]

    def _on_trial(self) -> set[int]:
        """Slots of processes that a reload has started, and that have not taken over yet."""
        job = self.job
        if job is None or job.phase != "starting new":
            return set()
        return {process.wid for process in self._new_ones(job)}

    def _reload_failed(self, job: Job, why: str, now: float) -> None:
        self._keep_old(job, why, now)
        self.setback = job.error
        self._effects.append(Publish("watcher.reload_failed", {"reason": job.error}))

    def _keep_old(self, job: Job, why: str, now: float) -> None:
        """What a reload has started and is not ready is stopped again, and what it was to replace stays."""
        if job.renewed:
            job.error = f"{why}; {len(job.renewed)} of {job.total} processes are replaced, the other old processes stay"
        else:
            job.error = f"{why}; the old processes stay"
        new = [p.wid for p in self._new_ones(job)]
        self.outgoing = set()
        job.queue = []
        self._dismiss(new, now)
        job.phase = "stopping new"

    def _end_reload(self) -> None:
        assert self.job is not None
        if not self.job.error:
            self.setback = ""
            self._effects.append(Publish("watcher.reloaded"))
        self._end_job()
