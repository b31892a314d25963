"""One watcher at work: its planner's effects carried out, what happens to its processes fed back.

Everything here runs in the arbiter's greenlet; callbacks of the loop only post to the arbiter.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter, deque
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult, Event

from circusd.config.model import WatcherConfig, with_options
from circusd.core.altered import altered
from circusd.core.crash import is_crash, what_next
from circusd.core.effects import (
    ArmTimer,
    CallHook,
    CancelTimer,
    Effect,
    Freeze,
    JobEnded,
    KillTree,
    Probe,
    Publish,
    RunStopCommand,
    Signal,
    Spawn,
    Thaw,
    Vacate,
)
from circusd.core.process import PID_FILE, UP, Happening, Kind, State
from circusd.core.timeline import Start
from circusd.core.watcher import SUPERSEDES, TIMERS, WATCHER_TIMERS, Job, Planner
from circusd.kernel import proc
from circusd.kernel.freezing import Still, hold_still, let_go
from circusd.kernel.pidfd import Ended, ExitStatus, open_pidfd
from circusd.kernel.proc import Identity
from circusd.kernel.spawn import Child
from circusd.schema.errors import CircusError, Conflict, Failed, SpawnError

from . import clock
from .dependencies import BY_NEEDS
from .failures import Failure, failure_of
from .goodstarts import Health
from .hookcalls import HookCalls
from .launches import Launches
from .notifications import happenings
from .policies import policy_of
from .signalling import Signalling
from .timeline import Timeline
from .trees import Trees

if TYPE_CHECKING:
    from .arbiter import Arbiter
    from .inputs import Inputs
    from .pidfiles import PidFiles

log = logging.getLogger("circusd.watcher")

RESTARTS_KEPT = 1000
HOUR = 3600.0
LINE_LIMIT = 1000
"""So many commands may wait for their turn."""
PID_DIGITS = 11
AT_THIS_MOMENT = 1.0
"""Seconds in which the end of a process that is not there any more has been told."""
OUTSIDER = "somebody outside circusd"
_FINDINGS = {
    "ready": (Kind.PROBE_PASSED, Kind.PROBE_FAILED),
    "alive": (Kind.LOOK_PASSED, Kind.LOOK_FAILED),
}
"""What it means to the process when a look has passed, or not."""
_UNSEEN = (ArmTimer, CancelTimer, Probe)
"""Effects that nobody sees: a look that finds what was found before changes nothing."""


@dataclass(slots=True)
class Ticket:
    """A command on its way: waits in line, is under way, or has its result."""

    job: Job
    result: AsyncResult[Any] = field(default_factory=AsyncResult)
    prepare: Callable[[], None] | None = None
    """Done when the command's turn has come, before the planner hears of it; may raise a `CircusError`."""
    undo: Callable[[], None] | None = None
    """Takes back what was prepared, when the old processes have stayed."""
    begun: Event = field(default_factory=Event)
    """Set when none of its processes is yet to be started: all run, or could not be, and may have to become ready."""
    asked: float = 0.0
    """When it was wanted; it may be given later, in its turn."""
    after: str = ""
    """Of a start: the watcher (in lower case) whose turn came before."""
    is_boot: bool = False
    """Whether it comes with the start of circusd."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom the processes run as; None where nothing was asked for."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    error: SpawnError | None = None


class Watcher:
    """A watcher as the arbiter manages it."""

    def __init__(
        self, arbiter: Arbiter, config: WatcherConfig, credentials: Credentials, kind: str = "watcher"
    ) -> None:
        self.arbiter = arbiter
        self.config = config
        self.credentials = credentials
        self.kind = kind
        """``watcher``, ``plugin`` or ``httpd``."""
        self.planner = Planner(config.name, policy_of(config))
        self.output = arbiter.services.output(config)
        self.hooks = HookCalls(self)
        self.launches = Launches(self)
        self.trees = Trees(self)
        self.signalling = Signalling(self)
        self.timeline = Timeline()
        self.inputs: Inputs | None = None
        """Their standard inputs, from the first one that is a pipe on."""
        self.restarts: deque[float] = deque(maxlen=RESTARTS_KEPT)
        """When processes were started again (monotonic)."""
        self.restarts_ever = 0
        self.restarts_by: Counter[str] = Counter()
        """The same by why the process before had ended: `circusd.schema.metrics.RESTART_REASONS`."""
        self._starts_before: dict[int, int] = {}
        """By slot, how often something was started there in earlier runs."""
        self._ended: dict[int, str] = {}
        """That reason by slot, where nothing runs again yet."""
        self.last_event: dict[str, Any] | None = None
        self.fault = ""
        """An error of ours in this watcher; the others run on."""
        self.removed = False
        self._line: deque[Ticket] = deque()
        self._ticket: Ticket | None = None
        self._wids: dict[int, int] = {}
        """Slots by pid."""
        self.roots: dict[int, Child] = {}
        """Processes by pid, until they are reaped."""
        self.mains: dict[int, Identity] = {}
        """By pid of a process: the one below it that has the work, and gets its signals."""
        self._sessions: dict[int, int] = {}
        """By session: the pid of the process that it belongs to, which need not be its leader any more."""
        self.heads: dict[int, Identity] = {}
        """By pid of a process that has taken the place of another: the one that was started, whose session and output it has."""
        self._still: dict[int, Still] = {}
        """What stands still of the processes that are frozen, by slot."""
        self._freezes: Counter[int] = Counter()
        """How often something of a slot was frozen."""
        self._pid_files: PidFiles | None = None
        """Starts that go into the background, from the first one on."""
        self._abandoned: dict[int, float] = {}
        """When processes were started that were given up, by pid."""
        self.health = Health()

    @property
    def name(self) -> str:
        return self.config.name

    # -- commands ------------------------------------------------------------------------------------------------

    def submit(
        self,
        job: Job,
        prepare: Callable[[], None] | None = None,
        undo: Callable[[], None] | None = None,
        **more: Any,
    ) -> Ticket:
        """The command waits its turn; the ticket's result is the `JobEnded`, or the error it ended with.

        ``more`` are further fields of the `Ticket`.
        """
        ticket = Ticket(job, prepare=prepare, undo=undo, **{"asked": clock.now(), **more})
        ticket.result.rawlink(lambda result: ticket.begun.set())
        if self.removed:
            ticket.result.set_exception(Conflict(f"watcher {self.name} has been removed"))
            return ticket
        if self.arbiter.stopping and job.kind not in SUPERSEDES:
            # Nothing may be started behind the back of the ordered stop.
            ticket.result.set_exception(Conflict("circusd is stopping"))
            return ticket
        if len(self._line) >= LINE_LIMIT:
            ticket.result.set_exception(Conflict(f"{LINE_LIMIT} commands wait for {self.name} already"))
            return ticket
        if self.planner.waits_for_others and job.kind in ("scale", "apply"):
            # It may wait for long, and what is changed meanwhile counts when it begins.
            if self._prepare(ticket):
                ticket.result.set(JobEnded(job.id))
                self.arbiter.changed(self)
        elif job.kind in SUPERSEDES and not self._is_stopping():
            self._supersede_line(job)
            self._line.append(ticket)
            self.arbiter.post(self, self._begin_next, True)
        else:
            self._line.append(ticket)
            self.arbiter.post(self, self._begin_next)
        return ticket

    @property
    def is_on_its_way(self) -> bool:
        """Whether commands are under way, or wait for their turn."""
        return self.planner.job is not None or bool(self._line)

    def release(self, why: str, hopeless: str, after: str, waited: float) -> None:
        """A start that waits goes on where there is no reason (``why``) not to, and ends where there is no hope.

        ``after`` is what it waited for last, in lower case, and ``waited`` since when: so many seconds.
        """
        now = clock.now()
        self.timeline.waited(after, waited)
        self._carry_out(self.planner.forbid(hopeless, now) if hopeless else self.planner.hold(why, now))

    def _is_stopping(self) -> bool:
        """Whether a stop is under way or next in line: a second one has nothing to push aside."""
        jobs = [self.planner.job, *(t.job for t in self._line)]
        return any(job is not None and job.kind in SUPERSEDES for job in jobs)

    def _supersede_line(self, by: Job) -> None:
        """Commands that wait behind a stop would undo it: they end here. Settings among them still count."""
        waiting, self._line = self._line, deque()
        for ticket in waiting:
            if ticket.job.kind in ("scale", "apply") and self._prepare(ticket):
                ticket.result.set(JobEnded(ticket.job.id))
            elif not ticket.result.ready():
                ticket.result.set_exception(Conflict(f"superseded by {by.command or by.kind} of {self.name}"))

    def _prepare(self, ticket: Ticket) -> bool:
        if ticket.prepare is None:
            return True
        try:
            ticket.prepare()
        except CircusError as error:
            ticket.result.set_exception(error)
            return False
        return True

    def _begin_next(self, supersede: bool = False) -> None:
        while self._line and (self.planner.job is None or supersede):
            supersede = False
            ticket = self._line.popleft()
            if not self._prepare(ticket):
                self.arbiter.changed(self)
                continue
            before = self._ticket
            if ticket.job.kind in BY_NEEDS:
                self._note_start(ticket)
                self.planner.gate = self.arbiter.dependencies.before(self)
            effects = self.planner.begin(ticket.job, clock.now())
            self._ticket = ticket
            self._carry_out(effects, before)

    def _note_start(self, ticket: Ticket) -> None:
        # A start of what runs changes nothing, and what is known of the last one stays.
        kind, is_down = ticket.job.kind, not self.planner.wanted
        if kind == "restart" or is_down or (kind == "start" and self.planner.asleep):
            start = Start(ticket.job.command or ticket.job.kind, ticket.asked, ticket.after)
            self.timeline.begin(start, is_boot=ticket.is_boot)

    def jobs(self) -> list[tuple[Job, bool]]:
        """The job under way and those in line, each with whether it waits."""
        under_way = self.planner.job
        found = [] if under_way is None else [(under_way, False)]
        return [*found, *((ticket.job, True) for ticket in self._line)]

    def cancel(self, job: Job, by: str) -> str:
        """The job is dropped from the line or, under way, comes to an end; if it can't, the reason is returned."""
        why = f"cancelled by {by or 'somebody'}"
        for ticket in self._line:
            if ticket.job is job:
                self._line.remove(ticket)
                ticket.result.set_exception(Conflict(f"{self.name}: {job.command or job.kind} was {why}"))
                self.arbiter.changed(self)
                return ""
        if self.planner.job is not job:
            return "it has ended"
        refusal = self.planner.cannot_cancel()
        if refusal:
            return refusal
        number, before = self.planner.up, self.config.numprocesses
        if job.phase == "filling" and self.planner.wanted and 0 < number < before:
            # What has been started stays; more would come by itself as long as more are wanted.
            self.reconfigure(with_options(self.config, {"numprocesses": number}), self.credentials)
            self.tell("watcher.scaled", before=before, after=number)
            why += f", numprocesses is {number} now"
        self._carry_out(self.planner.cancel(why, clock.now()))
        return ""

    @property
    def waiting_commands(self) -> list[str]:
        """Names of the commands that wait in line."""
        return [t.job.command or t.job.kind for t in self._line]

    # -- what happens --------------------------------------------------------------------------------------------

    def happen(self, wid: int, event: Happening) -> None:
        """Something happened to the process of a slot."""
        event = altered(event, chance=random.random())
        self._carry_out(self.planner.happen(wid, event, clock.now()))

    def replace(self, wid: int, option: str, why: str) -> None:
        """Another process takes the place of that of the slot; ``why`` is told, after "because"."""
        self._ended[wid] = option
        self.happen(wid, Happening(Kind.UNFIT, text=why))

    def _carry_out(self, effects: list[Effect], before: Ticket | None = None) -> None:
        for effect in effects:
            match effect:
                case Spawn(wid):
                    self.timeline.freed()
                    self.arbiter.post(self, self._spawn, wid)
                case Signal(wid, signum, children):
                    self.signalling.send(wid, signum, children)
                case RunStopCommand(wid, pid):
                    self.signalling.run_stop_command(wid, pid)
                case KillTree(wid):
                    self._kill(wid)
                case Freeze(wid):
                    self._freeze(wid)
                case Thaw(wid):
                    self._thaw(wid)
                case ArmTimer(wid, kind, at):
                    fire = partial(self.arbiter.post, self, self._timer, wid, kind)
                    self.arbiter.timers.arm((id(self), wid, kind), at, fire)
                case CancelTimer(wid, kind):
                    self.arbiter.timers.cancel((id(self), wid, kind))
                case CallHook(hook, wid, pid):
                    if hook in ("before_start", "before_spawn"):
                        self.timeline.freed()
                    self._call_hook(hook, wid, pid)
                case Probe(wid, pid, what):
                    self._look(wid, pid, what)
                case Publish(event, fields):
                    self.tell(event, **fields)
                case JobEnded():
                    self._job_ended(effect, before)
                case Vacate(wid):
                    self._forget(wid)
        if not all(isinstance(effect, _UNSEEN) for effect in effects):
            self.arbiter.changed(self)
        else:
            # A slot that is given up while its process is being started asks for nothing, and others may wait for just that.
            self.arbiter.dependencies.changed()
        if self._ticket is not None and not self._ticket.begun.is_set() and self.planner.has_begun:
            self._ticket.begun.set()

    def _timer(self, wid: int | None, kind: str) -> None:
        if self.removed or (id(self), wid, kind) in self.arbiter.timers:
            return  # it fired while it was being armed anew: the later one counts
        if wid is not None and kind == "kill":
            self._kill_over(wid)
            return
        if wid is not None and kind == "age":
            self._ended[wid] = "max_age"
        self._carry_out(self.planner.timer(wid, kind, clock.now(), random.random()))

    def _job_ended(self, end: JobEnded, before: Ticket | None) -> None:
        for ticket in (before, self._ticket):
            if ticket is not None and ticket.job.id == end.job and not ticket.result.ready():
                if ticket.job.kind in BY_NEEDS:
                    self.timeline.done(end.error)
                text = f"{self.name}: {end.error}"
                if end.undone and ticket.undo is not None:
                    ticket.undo()
                    text += ", and what was set is taken back"
                if end.error:
                    hint = f"what the new ones wrote: circusctl tail {self.name}" if end.undone else ""
                    ticket.result.set_exception(Failed(text, hint=hint))
                else:
                    ticket.result.set(end)
                if ticket is self._ticket:
                    self._ticket = None
        self.arbiter.post(self, self._begin_next)

    def _forget(self, wid: int) -> None:
        self._ended.pop(wid, None)
        self._starts_before.pop(wid, None)
        for kind in TIMERS:
            self.arbiter.timers.cancel((id(self), wid, kind))
        self.launches.forget(wid)
        self._thaw(wid)
        self.trees.forget(wid)

    def tell(self, event: str, **fields: Any) -> None:
        """The event is told with this watcher's name, and shown as its last one."""
        if event == "watcher.stopped":
            self.timeline.ended(self)
        if event == "process.started":
            self.timeline.spawned()
            process = self.planner.processes.get(fields["wid"])
            if process is not None and process.starts > self._starts_before.get(process.wid, 0) + 1:
                self.restarts.append(clock.now())
                self.restarts_ever += 1
                self.restarts_by[self._ended.pop(fields["wid"], self._by_command())] += 1
                self.arbiter.dependencies.restarted(self)
        elif event == "process.healthy":
            self.timeline.well(self)
        elif event == "process.ready":
            self.arbiter.good_starts.look_soon(self)
        self.last_event = self.arbiter.journal.tell(event, self.name, **fields)

    def begins_anew(self) -> None:
        """What is started next takes nobody's place: no restart is counted."""
        self._starts_before = {wid: process.starts for wid, process in self.planner.processes.items()}

    def _by_command(self) -> str:
        return "files" if self.planner.cause[1] else "command"

    def restarts_last_hour(self) -> int:
        """How often a process was started again within the last hour."""
        since = clock.now() - HOUR
        while self.restarts and self.restarts[0] < since:
            self.restarts.popleft()
        return len(self.restarts)

    # -- starting ------------------------------------------------------------------------------------------------

    def _spawn(self, wid: int) -> None:
        process = self.planner.processes.get(wid)
        if self.removed or process is None or process.state is not State.STARTING:
            return  # it was given up while it waited for its turn
        try:
            child, spec = self.launches.launch(wid)
        except SpawnError as error:
            self._refused(wid, error)
        except CircusError as error:
            self._refused(wid, SpawnError("command", 0, self.config.cmd, str(error)))
        except OSError as error:
            text = f"no descriptor for its start: {error.strerror}"
            self._refused(wid, SpawnError("descriptors", error.errno or 0, self.config.cmd, text))
        else:
            self.launches.launched(wid, child.pid, partial(self._signed, child.pid))
            self._wids[child.pid] = wid
            self.roots[child.pid] = child
            self._sessions[child.pid] = child.pid
            self.arbiter.reaper.watch_counted(child.pid, child.pidfd, partial(self._exited, child.pid))
            self.arbiter.good_starts.begun(self, spec)
            if self._pid_files is not None:
                self._pid_files.spawned(wid, child.identity)
            self.happen(wid, Happening(Kind.SPAWNED, pid=child.pid))

    def _signed(self, pid: int, problem: str) -> None:
        """In the hub's turn: the process has given its sign that it is ready, or never will."""
        kind = Kind.PROBE_FAILED if problem else Kind.PROBE_PASSED
        self.arbiter.post(self, self._told, pid, Happening(kind, text=problem))

    def _refused(self, wid: int, error: SpawnError) -> None:
        event = Happening(Kind.REFUSED, stage=error.stage, errno=error.errno, text=error.text)
        failure = Failure(wid, None, None, clock.now(), event, self.config)
        self.happen(wid, event)
        self._report(failure)

    def stdin_of(self, wid: int) -> str | None:
        """Whether text can be sent to the slot's process: ``open``, ``closed``, or None where its standard input is no pipe."""
        return None if self.inputs is None else self.inputs.state(wid)

    def input_of(self, wid: int) -> int:
        """The standard input of the next process of that slot, a pipe."""
        if self.inputs is None:
            # Loaded with the first such watcher: most daemons have none.
            from .inputs import Inputs

            self.inputs = Inputs(self.name, partial(self.arbiter.changed, self))
        return self.inputs.attach(wid)

    def background(self, wid: int, path: str) -> Mapping[str, str]:
        """The next process of that slot goes into the background, and its pid into that file; what it is given to be known by."""
        if self._pid_files is None:
            # Loaded with the first such watcher: most daemons have none.
            from .pidfiles import PidFiles

            self._pid_files = PidFiles(self, self._follow)
        return self._pid_files.expect(wid, path)

    # -- becoming ready ------------------------------------------------------------------------------------------

    def has_process(self, pid: int) -> bool:
        """Whether that is the main process of one of its slots, not reaped yet."""
        return pid in self._wids

    def slot_of(self, pid: int) -> int | None:
        """The slot whose process that is, not reaped yet."""
        return self._wids.get(pid)

    def notified(self, pid: int, fields: Mapping[str, str]) -> None:
        """In the hub's turn: the process, or one below it, has told this of itself."""
        if "MAINPID" in fields:
            self.arbiter.post(self, self._take_main, pid, fields["MAINPID"])
        for event in happenings(fields):
            self.arbiter.post(self, self._told, pid, event)

    def process_of_session(self, session: int) -> int | None:
        """The pid of its process that the session belongs to, if there is one: of its slot, not reaped yet."""
        return self._sessions.get(session)

    def main_of(self, pid: int | None) -> int | None:
        """The pid of the process below that gets the signals in its place, if there is one."""
        main = None if pid is None else self.mains.get(pid)
        return None if main is None else main.pid

    def _take_main(self, pid: int, text: str) -> None:
        """A process says which one has the work; only one of its own counts."""
        if pid not in self._wids:
            return
        found = proc.row(int(text)) if text.isdecimal() and len(text) < PID_DIGITS else None
        if found is not None and found.pid == pid:
            self.mains.pop(pid, None)
        elif found is not None and (proc.is_below(found, pid) or self._sessions.get(found.session) == pid):
            self.mains[pid] = found.identity
        else:
            log.info("no process of its own is its main process watcher=%r pid=%d", self.name, pid)
            return
        self.arbiter.changed(self)

    def _told(self, pid: int, event: Happening) -> None:
        """Something about the readiness of a process, which may be gone by now."""
        wid = self._wids.get(pid)
        process = None if wid is None else self.planner.processes.get(wid)
        if self.removed or wid is None or process is None or process.pid != pid:
            return
        if event.kind is Kind.SAID and event.text == process.said:
            return
        self.happen(wid, event)
        after = self.planner.processes.get(wid)
        if after is not None and (after.said, after.health) != (process.said, process.health):
            self.arbiter.changed(self)

    def _look(self, wid: int, pid: int, what: str) -> None:
        if what == PID_FILE:
            if self._pid_files is not None:
                self._pid_files.look(wid)
            return
        passed, failed = _FINDINGS[what]
        freezes = self._freezes[wid]

        def done(problem: str) -> None:
            # One that stood still meanwhile is looked at again when it goes on.
            if self._freezes[wid] == freezes:
                kind = failed if problem else passed
                self.arbiter.post(self, self._told, pid, Happening(kind, text=problem))

        text, around = self.launches.looks[wid, what]
        config = self.config
        timeout = config.alive_timeout if what == "alive" else config.ready_timeout
        self.arbiter.services.probes.look(text, around, timeout, done)

    # -- ending --------------------------------------------------------------------------------------------------

    def _exited(self, pid: int, ended: Ended) -> None:
        """In the hub's turn: the process is gone."""
        self.arbiter.post(self, self._reaped, pid, ended)

    def _reaped(self, pid: int, ended: Ended) -> None:
        status = ended.status
        wid = self._wids.pop(pid, None)
        root = self.roots.pop(pid)
        main = self.mains.pop(pid, None)
        sent = self.signalling.take(pid)
        if wid is None:
            return
        if main is not None and pid not in self._abandoned and self._follow(wid, root.identity, main):
            return
        if self._pid_files is not None and self._pid_files.leaves(wid, pid, status):
            self.happen(wid, Happening(Kind.EXITED, code=0))
            return
        self._sessions = {session: held for session, held in self._sessions.items() if held != pid}
        head = self.heads.pop(pid, None)
        self.output.ended(wid, pid if head is None else head.pid)
        if self.inputs is not None and not self._is_of_another(wid, pid):
            self.inputs.ended(wid)
        if pid in self._abandoned:
            self._ended_late(wid, pid, root.identity, status)
            return
        process = self.planner.processes.get(wid)
        if self.removed or process is None or process.pid != pid:
            return
        if self._pid_files is not None:
            self._pid_files.drop(wid)
        self.hooks.tell("before_reap", process_pid=pid, time=clock.wall())
        stopping = process.state is State.STOPPING
        if not stopping:
            self._ended[wid] = "exited" if status.signal is None else "killed"
        elif process.amiss:
            self._ended[wid] = "unhealthy"
        code = status.code if status.signal is None else -status.signal
        # Asked for before the consequences: those may call after_stop, which comes last.
        self.hooks.tell(
            "after_reap", process_pid=pid, time=clock.wall(), exit_code=code, process_status="dead"
        )
        event = Happening(Kind.EXITED, code=status.code, signal=status.signal)
        failure = None
        if is_crash(process, event, self.planner.policy, [one.signum for one in sent]):
            failure = failure_of(self, process, event, ended, sent, aged=self._ended.get(wid) == "max_age")
        self.happen(wid, event)
        if failure is not None:
            self._report(failure)
        if stopping and self.config.stop_children:
            self.trees.look_after(wid, root.identity)

    def _follow(self, wid: int, ended: Identity, main: Identity) -> bool:
        """Whether the process that had the work in place of one that has ended is the slot's from now on."""
        process, pid = self.planner.processes.get(wid), ended.pid
        if self.removed or process is None or process.pid not in (None, pid):
            return False
        try:
            child = Child(main.pid, open_pidfd(main.pid))
        except OSError:
            return False
        # From here on the pidfd stands for one process; was it already another one when it was opened?
        found = proc.row(main.pid)
        if found is None or found.identity != main or not found.is_alive:
            os.close(child.pidfd)
            return False
        assert child.start == main.start
        self._wids[main.pid] = wid
        self.roots[main.pid] = child
        self.heads[main.pid] = self.heads.pop(pid, ended)
        self._sessions = {
            session: main.pid if held == pid else held for session, held in self._sessions.items()
        }
        self._sessions[found.session] = main.pid
        self.arbiter.reaper.watch_counted(main.pid, child.pidfd, partial(self._exited, main.pid))
        self.happen(wid, Happening(Kind.FOLLOWED, pid=main.pid))
        return True

    def _is_of_another(self, wid: int, pid: int) -> bool:
        """Whether another process has the slot by now."""
        process = self.planner.processes.get(wid)
        return process is not None and process.pid not in (None, pid)

    def _report(self, failure: Failure) -> None:
        """After the event: it is known what comes next."""
        self.arbiter.good_starts.failed(self, failure.ended)
        process = self.planner.processes.get(failure.wid)
        if process is not None:
            text = what_next(process, clock.now(), self.planner.policy)
            failure = altered(failure, next=text, next_try=process.next_try)
        elif self.planner.setback:
            failure = altered(failure, next="the reload was given up, and the old processes stay")
        self.arbiter.on_failure(self, failure)

    def _kill(self, wid: int) -> None:
        """Nothing may go on of the slot: its process, what that has started, and what it has left behind."""
        process = self.planner.processes.get(wid)
        if process is None or (process.pid is None and self._give_up_start(wid)):
            return
        roots = self.trees.all_of(wid)
        if process.pid is not None:
            roots.append(self.roots[process.pid].identity)
            if process.pid in self.heads:
                roots.append(self.heads[process.pid])
            self.signalling.note(process.pid, int(SIGKILL))
            self.tell("process.signalled", wid=wid, pid=process.pid, signum=int(SIGKILL))
        self.arbiter.kill_trees(roots)
        if process.pid is None:
            self.arbiter.post(self, self.trees.check, wid)

    def _give_up_start(self, wid: int) -> bool:
        """Whether it was one that has gone into the background, and what it has left there was still looked for."""
        launcher = self._pid_files.drop(wid) if self._pid_files is not None else None
        if launcher is None:
            return False
        self._sessions = {session: held for session, held in self._sessions.items() if held != launcher.pid}
        self.output.ended(wid, launcher.pid)
        if self.inputs is not None:
            self.inputs.ended(wid)
        return True

    def _kill_over(self, wid: int) -> None:
        """Not even SIGKILL has ended it in time: what is still there is given up, with the reason why it stays."""
        process = self.planner.processes.get(wid)
        if process is None or process.state is not State.STOPPING:
            return
        there = self.trees.members(wid) if process.pid is None else [self.roots[process.pid].identity]
        why = {one: text for one in there if (text := proc.why_it_stays(one.pid))}
        if not why:
            # It went at this moment, and that is about to be told.
            self._carry_out([ArmTimer(wid, "kill", clock.now() + AT_THIS_MOMENT)])
            if process.pid is None:
                self.happen(wid, Happening(Kind.TREE_GONE))
            return
        self.arbiter.abandoned.update((one, f"{self.name}: {text}") for one, text in why.items())
        for one, text in why.items():
            log.warning(
                "a process does not end, not even by SIGKILL watcher=%r wid=%d pid=%d: %s",
                self.name,
                wid,
                one.pid,
                text,
            )
        first, text = next(iter(why.items()))
        if process.pid is not None:
            self._abandoned[process.pid] = process.started or clock.now()
        else:
            text = f"a child that its parent has left behind: {text}"
        effects = self.planner.timer(wid, "kill", clock.now(), random.random(), pid=first.pid, text=text)
        self._carry_out(effects)

    def _ended_late(self, wid: int, pid: int, root: Identity, status: ExitStatus) -> None:
        """A process that was given up has ended after all."""
        lived = round(clock.now() - self._abandoned.pop(pid), 3)
        self.arbiter.abandoned.pop(root, None)
        log.info("a process that was given up has ended watcher=%r wid=%d pid=%d", self.name, wid, pid)
        self.tell("process.exited", wid=wid, pid=pid, code=status.code, signal=status.signal, lived=lived)
        self.happen(wid, Happening(Kind.ENDED_LATE, pid=pid, code=status.code, signal=status.signal))

    # -- standing still ------------------------------------------------------------------------------------------

    def freeze(self, pids: Container[int], by: str, seconds: float) -> list[int]:
        """Those processes stand still with all below them, for so many seconds (0: until `thaw`); the pids of those that do."""
        self.arbiter.before_freeze(self)
        frozen = self._each(pids, State.FROZEN, Happening(Kind.FREEZE, text=by, seconds=seconds))
        hold_still(self._still.values())
        return frozen

    def lasting_pids(self) -> list[int]:
        """The pids of its processes that run and are to stay."""
        slots = self.planner.processes.values()
        return [p.pid for p in slots if p.state in UP and p.pid is not None]

    def thaw(self, pids: Container[int], by: str) -> list[int]:
        """Those of the processes that are frozen go on; the pids of those that do."""
        frozen = {p.pid for p in self.planner.processes.values() if p.state is State.FROZEN and p.pid in pids}
        self._each(frozen, State.RUNNING, Happening(Kind.THAW, text=by))
        return [pid for pid in self.planner.pids() if pid in frozen]

    def _each(self, pids: Container[int | None], state: State, event: Happening) -> list[int]:
        for wid, process in sorted(self.planner.processes.items()):
            if process.pid in pids and process.pid is not None:
                self.happen(wid, event)
        there = self.planner.processes.values()
        return [p.pid for p in there if p.state is state and p.pid is not None and p.pid in pids]

    def _freeze(self, wid: int) -> None:
        process = self.planner.processes.get(wid)
        if process is None or process.pid is None:
            return
        self.arbiter.reaper.watch_stopped(
            process.pid, partial(self.arbiter.post, self, self._went_on, wid, process.pid)
        )
        if wid not in self._still:
            self._still[wid] = Still(self.roots[process.pid].identity)
            self._freezes[wid] += 1

    def _went_on(self, wid: int, pid: int) -> None:
        """Somebody else has sent it SIGCONT: it does not stand still any more, and neither does what is below it."""
        process = self.planner.processes.get(wid)
        if process is not None and process.pid == pid and process.state is State.FROZEN:
            self.happen(wid, Happening(Kind.THAW, text=OUTSIDER))

    def _thaw(self, wid: int) -> None:
        still = self._still.pop(wid, None)
        if still is not None:
            self.arbiter.reaper.leave_stopped(still.root.pid)
            let_go(still, self.arbiter.table())

    # -- hooks ---------------------------------------------------------------------------------------------------

    def _call_hook(self, hook: str, wid: int | None, pid: int | None) -> None:
        extra = {} if pid is None else {"pid": pid}

        def answered(ok: bool, error: str) -> None:
            process = self.planner.processes.get(wid) if wid is not None else None
            if pid is not None and (process is None or process.pid != pid):
                return  # the process that it was asked about is gone
            self._carry_out(self.planner.hook_returned(hook, wid, ok, error, clock.now(), random.random()))

        self.hooks.ask(hook, extra, answered)

    def identities(self) -> list[Identity]:
        """Its live processes."""
        return [self.roots[pid].identity for pid in self.planner.pids() if pid in self.roots]

    # -- changes -------------------------------------------------------------------------------------------------

    def reconfigure(self, config: WatcherConfig, credentials: Credentials) -> None:
        """The new options count from now on; processes that run keep what they were started with."""
        streams = (config.stdout_stream, config.stderr_stream) != (
            self.config.stdout_stream,
            self.config.stderr_stream,
        )
        hooks = config.hooks != self.config.hooks
        self.config, self.credentials = config, credentials
        self.planner.policy = policy_of(config)
        if streams:
            self.output.reconfigure(config)
        if hooks:
            self.arbiter.services.hooks.close(config.name)
            self.hooks.check()
        self.arbiter.changed(self)

    def fail(self, error_id: str) -> None:
        """An error of ours: this watcher is given up and says so, the rest runs on."""
        self.fault = f"an error inside circusd, see its log for {error_id}"
        self.planner.failure = self.fault
        if self._ticket is not None and not self._ticket.result.ready():
            self._ticket.result.set_exception(Failed(f"{self.name}: {self.fault}"))
            self._ticket = None
        self.planner.job = None
        self.tell("watcher.failed", reason=self.fault)
        self.arbiter.changed(self)
        self.arbiter.post(self, self._begin_next)

    def close(self, *, left_running: bool = False) -> None:
        """Nothing of it is held any more.

        With ``left_running`` its processes go on, no longer managed: their output is still taken, or it would end them.
        """
        self.removed = True
        for ticket in (self._ticket, *self._line):
            if ticket is not None and not ticket.result.ready():
                ticket.result.set_exception(Conflict(f"watcher {self.name} has been removed"))
        self._line.clear()
        for wid in list(self.planner.processes):
            self._forget(wid)
        for kind in WATCHER_TIMERS:
            self.arbiter.timers.cancel((id(self), None, kind))
        if not left_running:
            self.output.close()
        if self.inputs is not None:
            self.inputs.close()
        # They know this watcher.
        self.inputs = self._pid_files = None
        self.arbiter.services.hooks.close(self.name)
