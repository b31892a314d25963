"""A watcher in a world of chance, whose back-off and readiness are held against what they promise."""

from __future__ import annotations

from typing import Final, TypeVar

from circusd.core.backoff import delay
from circusd.core.effects import ArmTimer, Effect, JobEnded, Publish
from circusd.core.process import Happening, Kind, Policy, State
from circusd.core.watcher import Job
from tests.fakes import World

W = TypeVar("W", bound=World)

TURNS: Final = 60
EPSILON: Final = 1e-9


class Watched(World):
    """A watcher whose back-off and readiness are held against what they promise, at each thing that comes to pass."""

    def __init__(self, seed: int, policy: Policy) -> None:
        super().__init__(seed, policy)
        self.words: set[int] = set()
        """Pids of processes that have said, or were found, to be ready."""
        self.kinds: dict[int, str] = {}

    def begin(self, job: Job) -> None:
        self.kinds[job.id] = job.kind
        super().begin(job)

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish("process.backoff", fields):
                    self.check_delay(fields["attempt"], fields["delay"])
                case Publish("process.failed", fields):
                    self.check_failure(fields["wid"], fields["reason"])
                case ArmTimer(_, kind, at):
                    assert at >= self.now - EPSILON, f"a timer {kind} for the past"
                case JobEnded(job, error) if not error and self.kinds.get(job) == "start":
                    late = [p for p in self.planner.active if p.is_awaited]
                    assert not (self.planner.wanted and late), f"a start is over before all are ready: {late}"
        super().carry_out(effects)

    def check_delay(self, attempts: int, wait: float) -> None:
        policy = self.planner.policy
        least, most = (delay(attempts, policy.backoff, policy.backoff_max, chance) for chance in (0.0, 1.0))
        assert (
            max(policy.restart_delay, least) - EPSILON
            <= wait
            <= max(policy.restart_delay, most, 0.1) + EPSILON
        )

    def check_failure(self, wid: int, why: str) -> None:
        policy, process = self.planner.policy, self.planner.processes.get(wid)
        if process is None or process.state is not State.FAILED:
            return  # the same moment has ended that
        if why.startswith("it has ended"):
            assert 0 < policy.start_limit_burst <= len(process.deaths)
        else:
            assert 0 <= policy.max_retry < process.refusals
        assert (process.next_try is not None) == (policy.retry_in > 0)

    def happen(self, wid: int, event: Happening) -> None:
        before = self.planner.processes.get(wid)
        super().happen(wid, event)
        after = self.planner.processes.get(wid)
        if before is None or after is None or event.kind is not Kind.EXITED or after.state is State.STOPPING:
            return
        told = before.state is State.STOPPING and not before.amiss
        lived = before.started is not None and self.now - before.started >= self.planner.policy.settle_time
        if told or (lived and not before.is_awaited and not before.amiss):
            assert after.attempts == 0, f"it counts as a failure: {before} -> {after}"

    def say(self, wid: int, kind: Kind = Kind.BECAME_READY) -> None:
        if kind is Kind.BECAME_READY:
            self.words.add(self.live[wid])
        super().say(wid, kind)

    def look(self, ok: bool = True) -> None:
        if ok:
            self.words.add(self.probes[0].pid)
        super().look(ok)

    def fire(self) -> None:
        wid, kind = min(self.timers, key=lambda key: self.timers[key])
        pid = self.planner.processes[wid].pid if wid in self.planner.processes else None
        super().fire()
        process = self.planner.processes.get(wid) if wid is not None else None
        if kind == "start" and process is not None and process.pid == pid is not None:
            assert process.state is State.STOPPING, f"it was not ready in time, and goes on: {process}"

    def check(self) -> None:
        super().check()
        silent = self.planner.policy.ready in ("notify", "probe")
        for process in self.planner.processes.values():
            if process.state is State.READY or (silent and process.serves):
                assert process.pid in self.words, f"it counts as ready, and nobody has said so: {process}"


def played(world: W, turns: int = TURNS) -> W:
    """So many turns by chance; then it is stopped, and started again."""
    for _ in range(turns):
        world.turn()
    world.command("stop")
    world.settle()
    assert not world.live
    assert world.planner.status() == "stopped"
    world.command("start")
    world.settle()
    if world.planner.asleep:
        world.connect()
        world.settle()
    if world.planner.policy.always and not world.planner.policy.start_limit_burst:
        assert len(world.live) == world.planner.policy.numprocesses, world.tale(60)
        assert all(p.attempts == 0 or p.refusals == 0 for p in world.planner.processes.values())
    return world
