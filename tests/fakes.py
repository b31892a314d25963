"""A world for the pure core: it carries out effects by chance, and checks what must always hold."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

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
from circusd.core.process import ALIVE, GONE, UP, Happening, Kind, Policy, State, is_held
from circusd.core.watcher import SUPERSEDES, Job, Planner

SAYINGS = (
    *(Kind.BECAME_READY, Kind.BECAME_READY, Kind.UNREADY, Kind.SAID, Kind.BEAT, Kind.BEAT),
    *(Kind.TRIGGERED, Kind.WATCHDOG_CHANGED, Kind.EXTENDED),
)


SIGNS = ("notify", "log", "fd")


class World:
    """One watcher in a world where starts, deaths, timers and hooks come in any order."""

    def __init__(self, seed: int, policy: Policy, undying: float = 0.0) -> None:
        """``undying``: how many of the processes not even SIGKILL ends, 0 to 1."""
        self.random = random.Random(seed)
        self.undying = undying
        self.now = 0.0
        self.planner = Planner("w", policy)
        self.live: dict[int, int] = {}
        self.told: dict[int, int] = {}
        """Slots of processes that have the stop signal."""
        self.commands: dict[int, int] = {}
        """Slots of processes that a command is about to stop."""
        self.stuck: dict[int, int] = {}
        """Slots of processes that not even SIGKILL ends; they are live."""
        self.left: list[int] = []
        """Pids that were given up."""
        self.trees: set[int] = set()
        self.spawns: list[int] = []
        self.timers: dict[tuple[int | None, str], float] = {}
        self.hooks: list[CallHook] = []
        self.probes: list[Probe] = []
        self.queue: list[Job] = []
        self.ended: list[JobEnded] = []
        self.published: list[str] = []
        self.jobs = 0
        self.reload: Job | None = None
        self.floor = 0
        """While a gentle reload is under way: how many processes serve but for those that stopped doing so by themselves."""
        self.still: set[int] = set()
        """Slots whose processes stand still."""
        self.next_pid = 100
        self.history: list[str | Effect] = []
        """What has come to pass, each with what came of it; made into text only where it is read."""

    # -- effects -------------------------------------------------------------------------------------------------

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the planner asks for."""
        for effect in effects:
            self.history.append(effect)
            match effect:
                case Spawn(wid):
                    assert wid not in self.live, f"two processes in slot {wid}"
                    if wid not in self.spawns:
                        self.spawns.append(wid)
                case Probe():
                    self.probes.append(effect)
                case Signal(wid, _, _):
                    if wid in self.live and wid not in self.stuck:
                        self.told[wid] = self.live[wid]
                case RunStopCommand(wid, pid):
                    assert self.live[wid] == pid
                    self.commands[wid] = pid
                case KillTree(wid):
                    if wid in self.live and wid not in self.stuck and self.random.random() < self.undying:
                        self.told.pop(wid, None)
                        self.stuck[wid] = self.live[wid]
                    elif wid in self.live and wid not in self.stuck:
                        self.told[wid] = self.live[wid]
                    elif self.planner.processes[wid].state is State.STOPPING:
                        self.trees.add(wid)
                case Freeze(wid):
                    self.still.add(wid)
                    # What a look that is under way finds does not count.
                    self.probes = [probe for probe in self.probes if probe.wid != wid]
                case Thaw(wid):
                    self.still.discard(wid)
                case ArmTimer(wid, kind, at):
                    self.timers[wid, kind] = at
                case CancelTimer(wid, kind):
                    self.timers.pop((wid, kind), None)
                case CallHook():
                    self.hooks.append(effect)
                case JobEnded():
                    self.ended.append(effect)
                case Vacate(wid):
                    assert wid not in self.live
                case Publish(event):
                    self.published.append(event)
        self.check()
        if self.planner.job is None and self.queue:
            self.begin(self.queue.pop(0))

    def happen(self, wid: int, event: Happening) -> None:
        self.history.append(f"{self.now:.2f} {wid} {event.kind}")
        if event.kind in (Kind.EXITED, Kind.UNREADY, Kind.TRIGGERED, Kind.FREEZE):
            self.lose(wid)
        self.carry_out(self.planner.happen(wid, replace(event, chance=self.random.random()), self.now))

    def lose(self, wid: int) -> None:
        """A process serves no more, and no reload is to blame."""
        process = self.planner.processes.get(wid)
        self.floor -= process is not None and process.serves

    # -- what can come to pass -----------------------------------------------------------------------------------

    def command(self, kind: str, **values: object) -> None:
        """A person gives a command; it waits its turn as in the runtime."""
        self.jobs += 1
        job = Job(self.jobs, kind, command=kind)
        for key, value in values.items():
            setattr(job, key, value)
        if kind == "scale":
            self.planner.policy = replace(self.planner.policy, numprocesses=job.number)
            self.floor = min(self.floor, job.number)
        self.history.append(f"{self.now:.2f} command {kind} {values}")
        if kind in SUPERSEDES:
            self.queue.clear()
            self.begin(job)
        elif self.planner.job is None:
            self.begin(job)
        else:
            self.queue.append(job)

    def begin(self, job: Job) -> None:
        """The command's turn has come."""
        self.reload = job if job.kind == "reload" else None
        self.floor = min(self.serving(), self.planner.policy.numprocesses)
        effects = self.planner.begin(job, self.now)
        if job.kind != "reload":
            self.reload = None
        self.carry_out(effects)

    def serving(self) -> int:
        """How many processes can be counted on."""
        return sum(p.serves for p in self.planner.processes.values())

    def connect(self) -> None:
        """What is waited for comes, as the runtime is told of it: a connection, or a time; or somebody wants it to run once."""
        if self.planner.asleep or self.planner.policy.scheduled:
            self.command("start", demanded=True)

    def cancel(self) -> None:
        """The command under way is cancelled where it can be, as the runtime does it."""
        planner = self.planner
        if planner.cannot_cancel():
            return
        assert planner.job is not None
        if planner.job.phase == "filling" and planner.wanted and 0 < planner.up < planner.policy.numprocesses:
            planner.policy = replace(planner.policy, numprocesses=planner.up)
            self.floor = min(self.floor, planner.up)
        self.history.append(f"{self.now:.2f} cancel {planner.job.kind} {planner.job.phase}")
        self.carry_out(planner.cancel("cancelled by somebody", self.now))

    def spawn(self, ok: bool = True) -> None:
        wid = self.spawns.pop(self.random.randrange(len(self.spawns)))
        process = self.planner.processes.get(wid)
        if process is None or process.state is not State.STARTING:
            return
        if ok:
            self.next_pid += 1
            self.live[wid] = self.next_pid
            self.happen(wid, Happening(Kind.SPAWNED, pid=self.next_pid))
        else:
            self.happen(wid, Happening(Kind.REFUSED, stage="exec", errno=2, text="no such file"))

    def die(self, wid: int, code: int | None = 1, signal: int | None = None) -> None:
        del self.live[wid]
        self.told.pop(wid, None)
        self.commands.pop(wid, None)
        if self.planner.policy.stop_children:
            self.trees.add(wid)
        self.happen(wid, Happening(Kind.EXITED, code=code, signal=signal))

    def end_late(self) -> None:
        """A process that was given up ends; whichever slot it was in."""
        pid = self.left.pop()
        for wid in list(self.planner.processes):
            self.happen(wid, Happening(Kind.ENDED_LATE, pid=pid, signal=9))

    def end_command(self, wid: int, ok: bool = True) -> None:
        """A command that was to stop a process has done so, or has failed."""
        pid = self.commands.pop(wid)
        if self.live.get(wid) != pid:
            return
        if ok and wid not in self.stuck:
            self.told[wid] = pid
        else:
            self.happen(wid, Happening(Kind.STOP_FAILED, text="exit code 1"))

    def lose_tree(self, wid: int) -> None:
        self.trees.discard(wid)
        if wid not in self.live:
            self.happen(wid, Happening(Kind.TREE_GONE))

    def fire(self) -> None:
        key = min(self.timers, key=lambda k: self.timers[k])
        self.now = max(self.now, self.timers.pop(key))
        self.history.append(f"{self.now:.2f} timer {key}")
        wid, kind = key
        process = None if wid is None else self.planner.processes.get(wid)
        missed = process is not None and process.beat_by is not None and process.beat_by <= self.now
        if wid is not None and (kind == "age" or (kind == "watchdog" and missed)):
            self.lose(wid)
        if kind == "kill" and wid is not None:
            # What did not end in time is not waited for: it is out of this world, and may end at any later time.
            pid = self.live.pop(wid, None)
            self.told.pop(wid, None)
            self.stuck.pop(wid, None)
            self.trees.discard(wid)
            self.left.append(pid or 1)
            self.carry_out(self.planner.timer(wid, kind, self.now, pid=pid or 1, text="state D"))
            return
        self.carry_out(self.planner.timer(*key, self.now, self.random.random()))

    def answer(self, ok: bool = True) -> None:
        hook = self.hooks.pop(0)
        self.history.append(f"{self.now:.2f} hook {hook.hook} {hook.wid} {ok}")
        if hook.hook == "after_spawn" and self.live.get(hook.wid or 0) != hook.pid:
            return
        self.carry_out(
            self.planner.hook_returned(hook.hook, hook.wid, ok, "", self.now, self.random.random())
        )

    def look(self, ok: bool = True) -> None:
        """A probe comes back."""
        probe = self.probes.pop(0)
        passed, failed = {
            "ready": (Kind.PROBE_PASSED, Kind.PROBE_FAILED),
            "alive": (Kind.LOOK_PASSED, Kind.LOOK_FAILED),
        }[probe.what]
        if self.live.get(probe.wid) == probe.pid:
            self.happen(probe.wid, Happening(passed if ok else failed, text="" if ok else "refused"))

    def say(self, wid: int, kind: Kind = Kind.BECAME_READY) -> None:
        """A process tells something of itself, in the way that it is waited for."""
        process = self.planner.processes.get(wid)
        if kind is Kind.BECAME_READY and process is not None and process.awaits in ("log", "fd"):
            kind = Kind.PROBE_PASSED
        self.happen(wid, Happening(kind, text="reloading", seconds=self.random.choice((0.0, 0.5, 4.0))))

    def replace(self, wid: int) -> None:
        """It was found to take too much, as the runtime finds it: when nothing is under way."""
        process = self.planner.processes[wid]
        if self.planner.is_at_rest and process.state in (State.RUNNING, State.READY):
            self.happen(wid, Happening(Kind.UNFIT, text="it held 2 GiB"))

    def turn(self) -> None:
        """One thing comes to pass, by chance."""
        r, moves = self.random, []
        self.now += r.choice((0.0, 0.001, 0.5, 3.0))
        if self.spawns:
            moves += [lambda: self.spawn(r.random() > 0.15)] * 4
        if self.hooks:
            moves += [lambda: self.answer(r.random() > 0.1)] * 4
        if self.timers:
            moves += [self.fire] * 2
        if self.probes:
            moves += [lambda: self.look(r.random() > 0.3)] * 3
        if self.live:
            moves += [lambda: self.say(r.choice(list(self.live)), r.choice(SAYINGS))] * 3
            moves += [lambda: self.replace(r.choice(list(self.live)))]
        if self.told:
            moves += [lambda: self.die(r.choice(list(self.told)), None, 15)] * 4
        if self.commands:
            moves += [lambda: self.end_command(r.choice(list(self.commands)), r.random() > 0.4)] * 3
        if self.left:
            moves += [self.end_late]
        if self.trees:
            moves += [lambda: self.lose_tree(r.choice(list(self.trees)))] * 3
        if self.live:
            free = [wid for wid in self.live if wid not in self.stuck]
            moves += [lambda: self.die(r.choice(free), r.choice((0, 1)))] * 2 if free else []
        moves += [self.order] * 2
        r.choice(moves)()

    def order(self) -> None:
        """Some command, as a careless person would give it."""
        r = self.random
        kinds = ("start", "start", "stop", "restart", "reload", "scale", "scale", "kill", "cancel", "connect")
        kind = r.choice((*kinds, "freeze", "thaw"))
        match kind:
            case "freeze" | "thaw" if self.live:
                seconds = r.choice((0.0, 5.0))
                event = Happening(Kind(kind), text="ada", seconds=seconds)
                self.happen(r.choice(list(self.live)), event)
            case "freeze" | "thaw":
                pass
            case "connect":
                self.connect()
            case "cancel":
                self.cancel()
            case "scale":
                self.command("scale", number=r.randrange(5))
            case "reload":
                self.command("reload", graceful=r.random() > 0.2, batch=r.randrange(3))
            case "kill":
                self.command("kill", signum=r.choice((None, 9, 2)), grace=r.choice((None, 0.5)))
            case _:
                self.command(kind)

    def settle(self, turns: int = 2000) -> None:
        """Everything goes well from now on, until nothing is under way."""
        for _ in range(turns):
            if self.still:
                self.happen(min(self.still), Happening(Kind.THAW))
            elif self.hooks:
                self.answer()
            elif self.spawns:
                self.spawn()
            elif self.probes:
                self.look()
            elif any(p.awaits in SIGNS and not p.reason for p in self.planner.processes.values()):
                self.say(
                    next(p.wid for p in self.planner.processes.values() if p.awaits in SIGNS and not p.reason)
                )
            elif self.commands:
                self.end_command(next(iter(self.commands)))
            elif self.told:
                self.die(next(iter(self.told)), None, 15)
            elif self.trees:
                self.lose_tree(next(iter(self.trees)))
            elif self.timers and (self.planner.job is not None or self.queue):
                self.now = max(self.now, min(self.timers.values()))
                for process in list(self.planner.processes.values()):
                    if process.beat_by is not None:
                        self.say(process.wid, Kind.BEAT)
                self.fire()
            elif self.planner.job is None and not self.queue:
                return
            else:
                raise AssertionError(f"stuck: {self.planner.job}\n" + self.tale(60))
        raise AssertionError("it does not come to rest\n" + self.tale(60))

    def check_health(self) -> None:
        """Of those that are unhealthy as many are replaced as may be, and none more."""
        planner, rules = self.planner, self.planner.policy.alive
        if rules is None or planner.job is not None or not planner.wanted or planner.asleep:
            return
        ill = [p for p in planner.active if p.is_ill]
        coming = sum(p.is_coming for p in planner.active)
        assert not ill or coming >= rules.at_once, "one waits to be replaced for nothing\n" + self.tale(40)

    # -- what must always hold -----------------------------------------------------------------------------------

    def tale(self, last: int) -> str:
        """The last lines of what has come to pass."""
        return "\n".join(one if isinstance(one, str) else f"  -> {one}" for one in self.history[-last:])

    def story(self, wid: int) -> str:
        """How a slot has come to be as it is."""
        return f"slot {wid}: {self.planner.processes[wid]}\n" + self.tale(40)

    def check(self) -> None:
        planner = self.planner
        processes = planner.processes
        for wid, process in processes.items():
            why = partial(self.story, wid)
            if process.state is State.BACKOFF:
                assert (wid, "backoff") in self.timers, f"a backoff without an end, {why()}"
            if (
                process.state is State.STOPPING
                and wid in self.live
                and wid
                not in {
                    *self.told,
                    *self.stuck,
                    *self.commands,
                }
            ):
                raise AssertionError(f"it stops but nobody told it, {why()}")
            if wid in self.stuck:
                assert (wid, "kill") in self.timers, f"it is waited for without an end, {why()}"
            if (wid, "kill") in self.timers or (wid, "grace") in self.timers:
                assert process.state is State.STOPPING, f"a timer was forgotten, {why()}"
            if process.state in GONE or process.state is State.BACKOFF:
                assert wid not in self.live, f"a process runs that should not, {why()}"
            assert (process.state is State.FROZEN) == (wid in self.still), f"it stands still or not, {why()}"
            if (wid, "thaw") in self.timers:
                assert process.state is State.FROZEN, f"a timer was forgotten, {why()}"
            if process.state in UP:
                assert self.live.get(wid) == process.pid, f"a process is taken for alive, {why()}"
            watched = process.beat_by is not None
            if process.state is State.FROZEN:
                judging = {kind for of, kind in self.timers if of == wid} - {"age", "thaw"}
                assert not judging, f"it is judged while it stands still, {why()}"
            elif watched or (wid, "watchdog") in self.timers:
                assert watched and process.state in (State.RUNNING, State.READY), (
                    f"nobody is watched, {why()}"
                )
                assert self.timers[wid, "watchdog"] <= (process.beat_by or 0.0), (
                    f"a beat is not missed, {why()}"
                )
            if process.state in (State.RUNNING, State.READY) and not process.is_awaited:
                assert watched == (process.watchdog > 0), f"it is not watched, {why()}"
            looked = [probe for probe in self.probes if probe.pid == process.pid and probe.what == "alive"]
            assert len(looked) + ((wid, "alive") in self.timers) <= 1, (
                f"it is looked at twice at a time, {why()}"
            )
            if process.health is not None and process.state is not State.FROZEN:
                assert process.state in (State.RUNNING, State.READY), f"it is looked after in vain, {why()}"
                assert looked or (wid, "alive") in self.timers, f"nobody looks whether it is alive, {why()}"
            elif (wid, "alive") in self.timers:
                raise AssertionError(f"a timer was forgotten, {why()}")
            awaited = process.is_awaited
            if (wid, "start") in self.timers or (wid, "probe") in self.timers:
                assert awaited, f"a timer was forgotten, {why()}"
            if awaited and process.ready_by is not None:
                assert self.timers[wid, "start"] == process.ready_by, f"it is awaited without an end, {why()}"
            if awaited and process.awaits == "probe":
                probed = any(probe.pid == process.pid and probe.what == "ready" for probe in self.probes)
                assert probed or (wid, "probe") in self.timers, f"nobody looks whether it is ready, {why()}"
            if process.state is State.STARTING:
                assert wid in self.spawns, f"a start that nobody carries out, {why()}"
            if is_held(process):
                job = planner.job
                changes = job is not None and (job.kind == "stop" or job.phase in ("filling", "before_start"))
                assert planner.asleep or changes or wid in planner.leaving, f"nobody listens for it, {why()}"
            elif process.state is State.WAITING:
                assert any(h.wid == wid for h in self.hooks), f"it waits for nothing, {why()}"
        if self.reload is not None:
            if planner.wanted:
                # When it is over, one that is unhealthy has its turn to be replaced at the same moment.
                ill = sum(p.amiss and p.since == self.now for p in processes.values())
                assert self.serving() + ill >= self.floor, "a reload has cost processes\n" + self.tale(60)
            if planner.job is not self.reload:
                self.reload = None
        assert set(self.live) <= set(processes), "a live process is forgotten"
        self.check_health()
        if planner.asleep:
            assert planner.wanted and planner.policy.held_by, "it sleeps though nobody wants it to"
            up = [p for p in processes.values() if p.state in {State.STARTING, *UP}]
            assert not up, "it runs and sleeps\n" + self.tale(40)
        counted = [p for p in planner.active if p.state in ALIVE and p.state is not State.STOPPING]
        if planner.job is None and planner.wanted:
            assert len(counted) <= planner.policy.numprocesses, "more processes than wanted\n" + self.tale(40)
