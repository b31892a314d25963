"""Random histories by their number: back-off, readiness, health, and applications of several watchers, with what must hold in each."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from circusd.config.model import watcher_from_options
from circusd.core.dependencies import Need, is_met, lost
from circusd.core.effects import Effect, Publish
from circusd.core.health import HEALTHY, Rules
from circusd.core.order import stop_groups
from circusd.core.process import GONE, Policy, Process, State
from circusd.core.watcher import Job
from circusd.core.words import explain
from circusd.runtime.dependencies import BY_NEEDS, Dependencies
from tests.fakes import World
from tests.looked import of_health
from tests.watched import TURNS, Watched, played


def of_backoff(seed: int) -> World:
    """Deaths, refusals and commands by chance; whatever came, a stop ends, and a start counts from the beginning."""
    r = random.Random(seed)
    policy = Policy(
        numprocesses=r.randrange(1, 4),
        respawn=r.random() > 0.1,
        respawn_on=r.choice(("exit", "exit", "failure")),
        max_retry=r.choice((-1, 0, 2, 5)),
        backoff=r.choice((0.0, 0.1, 3.0)),
        backoff_max=r.choice((1.0, 60.0)),
        settle_time=r.choice((0.0, 1.0, 5.0)),
        restart_delay=r.choice((0.0, 0.0, 2.0)),
        start_limit_burst=r.choice((0, 0, 1, 3)),
        start_limit_interval=r.choice((1.0, 60.0)),
        retry_in=r.choice((0.0, 5.0)),
        warmup_delay=r.choice((0.0, 0.3)),
        ready="started",
    )
    return played(Watched(seed, policy))


def of_readiness(seed: int) -> World:
    """Words, probes, lateness and reloads by chance."""
    r = random.Random(seed)
    policy = Policy(
        numprocesses=r.randrange(1, 4),
        ready=r.choice(("auto", "notify", "notify", "probe", "probe")),
        start_timeout=r.choice((0.0, 2.0, 60.0)),
        ready_interval=r.choice((0.1, 1.0)),
        start_limit_burst=r.choice((0, 0, 3)),
        retry_in=r.choice((0.0, 5.0)),
        stop_children=r.random() > 0.7,
        on_demand=r.random() > 0.8,
    )
    return played(Watched(seed, policy))


# --- applications -----------------------------------------------------------------------------------------------------


class Member(Watched):
    """A watcher of an application, as the runtime has one."""

    removed = False

    def __init__(
        self, app: Application, name: str, needs: dict[str, str], policy: Policy, cascades: bool
    ) -> None:
        self.app = app
        self.name = name
        self.config = watcher_from_options(
            name, {"cmd": "x", "depends_on": needs, "restart_with_dependencies": cascades}
        )
        super().__init__(app.random.randrange(1 << 30), policy)
        self.planner.name = name

    def __hash__(self) -> int:
        return id(self)

    @property
    def is_on_its_way(self) -> bool:
        return self.planner.job is not None or bool(self.queue)

    @property
    def is_task(self) -> bool:
        return not self.planner.policy.respawn

    @property
    def can_be(self) -> tuple[str, ...]:
        """The conditions in which it may be needed; the last one says most."""
        if self.is_task:
            return "completed", "completed_successfully"
        return ("started", "ready", "healthy") if self.planner.policy.alive else ("started", "ready")

    def begin(self, job: Job) -> None:
        if job.kind in BY_NEEDS:
            self.planner.gate = self.app.dependencies.before(self)  # type: ignore[arg-type]
        was_down = not self.planner.wanted
        super().begin(job)
        if job.kind == "start" and was_down and self.planner.job is job and not self.planner.waits_for_others:
            self.has_all()

    def release(self, why: str, hopeless: str, after: str, waited: float) -> None:
        waited = self.planner.waits_for_others
        effects = self.planner.forbid(hopeless, self.now) if hopeless else self.planner.hold(why, self.now)
        if waited and not self.planner.waits_for_others and not hopeless:
            self.has_all()
        self.carry_out(effects)

    def has_all(self) -> None:
        """It has begun: what it needs has to be there."""
        for other, condition in self.needs():
            assert is_met(other.planner, condition), f"{self.name} has begun without {other.name} {condition}"

    def needs(self) -> list[tuple[Member, str]]:
        return [(self.app.watchers[name.lower()], condition) for name, condition in self.config.depends_on]

    def submit(self, job: Job) -> None:
        self.command(job.kind)

    def command(self, kind: str, **values: object) -> None:
        super().command(kind, **values)
        # It may have other options now, of which the runtime tells.
        self.app.dependencies.changed()

    def cancel(self) -> None:
        super().cancel()
        self.app.dependencies.changed()

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish) and effect.event == "process.started":
                process = self.planner.processes.get(effect.fields["wid"])
                if process is not None and process.starts > 1:
                    self.app.dependencies.restarted(self)  # type: ignore[arg-type]
        super().carry_out(effects)
        self.app.dependencies.changed()


def is_due(process: Process) -> bool:
    """Whether it goes on by itself, after some time."""
    unknown = process.health is not None and process.health.state != HEALTHY
    return process.state is State.BACKOFF or process.is_awaited or unknown


class Application:
    """Watchers that need each other, never in a ring, with the runtime's own `Dependencies` between them."""

    def __init__(self, seed: int) -> None:
        self.random = r = random.Random(seed)
        self.watchers: dict[str, Member] = {}
        self.posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.dependencies = Dependencies(self)  # type: ignore[arg-type]
        for number in range(r.randrange(2, 8)):
            respawn = r.random() > 0.25
            policy = Policy(
                numprocesses=r.randrange(1, 3),
                respawn=respawn,
                alive=r.choice((None, Rules(0.5, r.randrange(1, 3), at_once=r.randrange(2))))
                if respawn
                else None,
                ready=r.choice(("auto", "started", "notify", "probe")),
                start_timeout=r.choice((0.0, 60.0)),
                max_retry=r.choice((0, 5)),
            )
            needs = {}
            for other in r.sample(sorted(self.watchers), min(len(self.watchers), r.randrange(4))):
                needs[other] = r.choice(self.watchers[other].can_be)
            name = f"w{number}"
            self.watchers[name] = Member(self, name, needs, policy, r.random() > 0.6)

    # What the dependencies use of an arbiter.

    def post(self, watcher: object, act: Callable[..., None], *args: Any) -> None:
        self.posted.append((act, args))

    def job(self, kind: str, command: str = "") -> Job:
        return Job(0, kind, command=command)

    # What comes to pass.

    def drain(self) -> None:
        """The queue of the runtime is empty, and nobody waits for what is there, or for what can't come."""
        while self.posted:
            act, args = self.posted.popleft()
            act(*args)
        for member in self.watchers.values():
            if not member.planner.waits_for_others:
                continue
            missing = [(m, c) for m, c in member.needs() if not is_met(m.planner, c)]
            assert missing, f"{member.name} waits though all is there: {member.planner.gate}"
            for other, condition in missing:
                need = Need(other.name, condition)
                why = lost(need, other.planner, queued=other.is_on_its_way, now=other.now)
                assert not why, f"{member.name} waits for what can't come: {why}"

    def turn(self) -> None:
        """One thing comes to pass in one of them."""
        self.random.choice(list(self.watchers.values())).turn()
        self.drain()

    def order(self, kind: str, names: Iterable[str]) -> None:
        """A command for several, side by side."""
        for name in names:
            self.watchers[name].command(kind)
        self.drain()

    def settle(self) -> None:
        """All goes well: what is started is ready, and tasks end."""
        for _ in range(1000):
            moved = False
            for member in self.watchers.values():
                moved |= self._go_on(member)
                self.drain()
            if not moved:
                return
        raise AssertionError("it does not come to rest")

    def _go_on(self, member: Member) -> bool:
        planner = member.planner
        awaited = next(
            (p for p in planner.processes.values() if p.awaits == "notify" and p.state is State.RUNNING), None
        )
        if member.spawns:
            member.spawn()
        elif member.probes:
            member.look()
        elif awaited is not None:
            member.say(awaited.wid)
        elif member.told:
            member.die(next(iter(member.told)), None, 15)
        elif member.is_task and member.live and planner.job is None:
            member.die(next(iter(member.live)), 0)
        elif member.timers and (
            planner.job is not None or any(is_due(p) for p in planner.processes.values())
        ):
            if planner.waits_for_others:
                return False
            member.fire()
        else:
            return False
        return True


def of_dependencies(seed: int) -> Application:
    """Anything by chance; then stopped in order, started, one process killed, each with what must come of it."""
    app = Application(seed)
    for _ in range(2 * TURNS):
        app.turn()
    _stop(app)
    for member in app.watchers.values():
        member.planner.policy = replace(member.planner.policy, numprocesses=app.random.randrange(1, 3))
    app.order("start", app.watchers)
    app.settle()
    for member in app.watchers.values():
        assert is_met(member.planner, member.can_be[-1]), (
            f"{member.name} is not up: {explain(member.planner, member.now)}"
        )
    _kill_one(app)
    _stop(app)
    return app


def _stop(app: Application) -> None:
    """What needs others has ended before they are told to."""
    needs = app.dependencies.needs()
    for group in stop_groups(dict.fromkeys(app.watchers, 0), app.watchers, needs):
        for name in group:
            users = [user for user, others in needs.items() if name in others]
            assert not any(app.watchers[user].live for user in users), f"{name} is stopped before {users}"
        app.order("stop", group)
        for member in (app.watchers[name] for name in group):
            member.settle()
            app.drain()
    for member in app.watchers.values():
        assert all(p.state in GONE for p in member.planner.processes.values())


def _kill_one(app: Application) -> None:
    """Those that asked for it are restarted with it, and those that asked to be with these; nobody else is touched."""
    running = [member for member in app.watchers.values() if member.live]
    if not running:
        return
    victim = app.random.choice(running)
    before = {member.name: sorted(member.live.values()) for member in running}
    expected, found = {victim.name}, [victim.name]
    for name in found:
        for member in app.watchers.values():
            asks = member.config.restart_with_dependencies and member.planner.wanted
            if asks and member.name not in expected and name in [other.name for other, _ in member.needs()]:
                expected.add(member.name)
                found.append(member.name)
    victim.now += 100
    victim.die(next(iter(victim.live)), None, 9)
    app.drain()
    app.settle()
    changed = {name for name, pids in before.items() if sorted(app.watchers[name].live.values()) != pids}
    assert changed == expected & set(before), f"killed {victim.name}: {changed} changed, not {expected}"


KINDS: Final[dict[str, Callable[[int], object]]] = {
    "back-off": of_backoff,
    "readiness": of_readiness,
    "health": of_health,
    "dependencies": of_dependencies,
}
