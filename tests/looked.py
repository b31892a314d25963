"""A watcher at whose processes it is looked by chance, held against a second account of what its looks and signs of life mean."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from circusd.core.dependencies import CONDITIONS, is_met
from circusd.core.effects import ArmTimer, Effect, Publish
from circusd.core.expecting import FIRST_LOOK, SOONEST_PROBE
from circusd.core.health import HEALTHY, STARTING, UNHEALTHY, Rules
from circusd.core.process import HEALTH, STOPPING_ITSELF, Happening, Kind, Policy, Process, State
from tests.watched import EPSILON, TURNS, Watched, played

ROUNDED: Final = 0.01
"""By so much a time that is told with an event may differ."""
BY_ITSELF: Final = ("it has not said WATCHDOG=1", "it has said WATCHDOG=trigger")
LOOKS: Final = (Kind.LOOK_PASSED, Kind.LOOK_FAILED)
QUIET: Final = 0.6
"""How often nothing comes to pass but that time goes on and processes are looked at."""
HEALED: Final = 2000
"""Steps within which everything is healthy where every look passes."""


class Looked(Watched):
    """Some processes pass nearly every look, some nearly none."""

    def __init__(self, seed: int, policy: Policy, rules: Rules) -> None:
        super().__init__(seed, policy)
        self.rules = rules
        self.by_chance = False
        self.moods: dict[int, float] = {}
        """By pid: how likely it passes a look."""
        self.begun: dict[int, float] = {}
        """By pid: since when it is looked at."""
        self.looks: dict[int, list[tuple[float, bool]]] = {}
        """By pid: each look with what came of it."""
        self.told_of: dict[int, str] = {}
        """By pid: what events have said of it last."""
        self.signs: dict[int, float] = {}
        """By pid: its last sign of life; the time in which it stood still is none."""
        self.ended_itself: set[int] = set()
        """Pids of those whose signs have stayed away, or that have said that they can't go on."""
        self.before: dict[int, Process] = {}
        """By slot, as it was at the last check."""
        self.replaced = 0
        """How many were found unhealthy by looks and ended for that."""

    # -- what comes to pass --------------------------------------------------------------------------------------

    def turn(self) -> None:
        self.by_chance = True
        if self.random.random() > QUIET or not (self.probes or self.timers):
            super().turn()
        elif self.probes:
            self.look()
        else:
            self.fire()
        self.by_chance = False

    def look(self, ok: bool = True) -> None:
        probe = self.probes[0]
        if self.by_chance and probe.what == "alive":
            mood = self.moods.setdefault(probe.pid, self.random.choice((1.0, 0.7, 0.15)))
            ok = self.random.random() < mood
        super().look(ok)

    def happen(self, wid: int, event: Happening) -> None:
        if event.kind is Kind.UNREADY and self.random.random() > 0.5:
            event = replace(event, text=STOPPING_ITSELF)
        process = self.planner.processes.get(wid)
        if process is not None and process.pid is not None:
            self.note(process, process.pid, event)
        super().happen(wid, event)

    def note(self, process: Process, pid: int, event: Happening) -> None:
        is_up = process.state in (State.RUNNING, State.READY)
        judged = event.kind is Kind.LOOK_PASSED or process.reason != STOPPING_ITSELF
        if event.kind in LOOKS and is_up and judged and pid in self.begun:
            self.looks.setdefault(pid, []).append((self.now, event.kind is Kind.LOOK_PASSED))
        if event.kind is Kind.BEAT and process.state in (State.RUNNING, State.READY, State.FROZEN):
            self.signs[pid] = self.now
        if event.kind is Kind.WATCHDOG_CHANGED and not process.is_awaited:
            self.signs[pid] = process.since if process.state is State.FROZEN else self.now

    # -- what must hold ------------------------------------------------------------------------------------------

    def verdict(self, pid: int) -> str:
        """What is known of a process, from all its looks: so many in a row, without failures that do not count yet."""
        state, counted = STARTING, list[bool]()
        for at, ok in self.looks.get(pid, ()):
            if not ok and at < self.begun[pid] + self.rules.start_period and not any(counted):
                continue
            counted.append(ok)
            if ok and len(counted) >= self.rules.successes and all(counted[-self.rules.successes :]):
                state = HEALTHY
            if not ok and len(counted) >= self.rules.failures and not any(counted[-self.rules.failures :]):
                state = UNHEALTHY
        return state

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ArmTimer(wid, "alive", at):
                    wait = max(self.rules.interval, SOONEST_PROBE)
                    if self.planner.processes[wid].pid not in self.begun:
                        wait = min(wait, FIRST_LOOK)
                    assert abs(at - self.now - wait) < EPSILON, (
                        f"it is looked at in {at - self.now}, not {wait}"
                    )
                case Publish("process.started", fields):
                    self.signs[fields["pid"]] = self.now
                case Publish("process.ready", fields) if fields["pid"] not in self.begun:
                    self.signs[fields["pid"]] = self.now
                case Publish("process.thawed", fields):
                    self.signs[fields["pid"]] += fields["after"]
                case Publish("process.healthy", fields):
                    self.check_told(fields["pid"], HEALTHY)
                case Publish("process.unhealthy", fields) if fields["reason"].startswith(BY_ITSELF):
                    self.check_sign(fields["wid"], fields["pid"], fields["reason"])
                case Publish("process.unhealthy", fields):
                    self.check_told(fields["pid"], UNHEALTHY)
        super().carry_out(effects)

    def check_told(self, pid: int, state: str) -> None:
        """An event tells of a change, once, and of one that its looks have brought about."""
        assert self.told_of.get(pid) != state, f"it is told twice that {pid} is {state}"
        assert self.verdict(pid) == state, f"{pid} is told to be {state}, and is {self.verdict(pid)}"
        self.told_of[pid] = state

    def check_sign(self, wid: int, pid: int, why: str) -> None:
        """Nobody is ended who has given his sign of life in time."""
        self.ended_itself.add(pid)
        if why.startswith(BY_ITSELF[0]):
            silent = self.now - self.signs[pid]
            assert silent >= self.planner.processes[wid].watchdog - ROUNDED, (
                f"{pid} was silent for {silent} alone"
            )

    def check(self) -> None:
        super().check()
        for wid, process in self.planner.processes.items():
            if process.state in (State.RUNNING, State.READY):
                assert (process.health is not None) != process.is_awaited, (
                    f"looked at too soon, {self.story(wid)}"
                )
            if process.health is not None and process.pid is not None:
                self.check_known(process, process.pid)
            self.check_end(wid, process)
        met = [is_met(self.planner, condition) for condition in CONDITIONS[:3]]
        assert met == sorted(met, reverse=True), f"healthy is not ready, or ready not started: {met}"
        self.before = dict(self.planner.processes)

    def check_known(self, process: Process, pid: int) -> None:
        """What is known of it follows from its looks, from when it was first looked after."""
        assert process.health is not None
        if pid not in self.begun:
            assert process.health.state == STARTING
            self.begun[pid] = self.now
        assert process.health.state == self.verdict(pid), (
            f"known as {process.health}, {self.story(process.wid)}"
        )
        assert (process.is_well and process.serves) == (process.serves and self.verdict(pid) == HEALTHY)

    def check_end(self, wid: int, process: Process) -> None:
        """Who is ended for his health was unhealthy, and no more are away for theirs than may be."""
        before = self.before.get(wid)
        is_ended = process.amiss and process.state is State.STOPPING and process.exit is not None
        if before is None or not is_ended or before.state is State.STOPPING or before.pid != process.pid:
            return
        if process.exit is None or process.exit.stage != HEALTH or process.pid in self.ended_itself:
            return
        self.replaced += 1
        assert process.pid is not None
        assert self.verdict(process.pid) == UNHEALTHY, f"it was well, {self.story(wid)}"
        job = self.planner.job
        assert job is None or job.kind != "reload", (
            f"it is replaced while new ones take over, {self.story(wid)}"
        )
        away = sum(p.is_coming for p in self.planner.active)
        assert away <= self.rules.at_once, f"{away} are away at a time, {self.story(wid)}"

    # -- where all goes well -------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Every look passes: all of them are healthy at some point, and nothing brings them there but looks and time."""
        for _ in range(HEALED):
            slots = self.planner.active
            if self.planner.job is None and all(process.is_well for process in slots):
                return
            if self.probes:
                self.look()
            else:
                self.now = max(self.now, min(self.timers.values()))
                for process in slots:
                    if process.beat_by is not None:
                        self.say(process.wid, Kind.BEAT)
                self.fire()
            self.settle()
        raise AssertionError("they do not become healthy\n" + self.tale(60))


def of_health(seed: int) -> Looked:
    """Looks, signs of life, deaths, freezes and commands by chance; then all are started, pass every look, and are healthy."""
    r = random.Random(seed)
    rules = Rules(
        interval=r.choice((0.0, 0.5, 2.0)),
        failures=r.randrange(1, 4),
        successes=r.randrange(1, 4),
        start_period=r.choice((0.0, 0.0, 3.0, 50.0)),
        at_once=r.randrange(4),
    )
    policy = Policy(
        numprocesses=r.randrange(1, 5),
        respawn=r.random() > 0.1,
        backoff=r.choice((0.0, 0.1)),
        settle_time=r.choice((0.0, 1.0)),
        ready=r.choice(("auto", "started", "notify", "probe", "log")),
        start_timeout=r.choice((0.0, 60.0)),
        watchdog=r.choice((0.0, 0.0, 2.0)),
        stop_children=r.random() > 0.8,
        alive=rules,
    )
    world = played(Looked(seed, policy, rules), 2 * TURNS)
    if world.planner.wanted and world.planner.policy.numprocesses:
        world.heal()
    return world
