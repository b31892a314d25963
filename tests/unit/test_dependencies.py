"""What watchers need of each other: met or not, in which order, and never in a ring."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.core.dependencies import Need, closure, cycle, is_met, lost, waits_for
from circusd.core.effects import JobEnded, Publish, Spawn
from circusd.core.health import Rules
from circusd.core.order import start_groups, stop_groups
from circusd.core.process import Happening, Kind, Policy, State
from circusd.core.watcher import Job, Planner
from circusd.core.words import explain, watcher_state

NAMES = [f"w{n}" for n in range(12)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4), max_size=12)
PRIORITIES = st.fixed_dictionaries({name: st.integers(-2, 2) for name in NAMES})


def has_path(needs: dict[str, list[str]], start: str, end: str) -> bool:
    """Whether one needs the other, directly or not."""
    return end in closure(needs.get(start, []), needs)


@given(GRAPHS)
def test_a_ring_is_found_where_there_is_one(needs: dict[str, list[str]]) -> None:
    """And it is one: each name needs the next, and the last is the first."""
    ring = cycle(needs)
    if ring:
        assert ring[0] == ring[-1]
        assert all(after in needs[before] for before, after in itertools.pairwise(ring))
        assert len(set(ring)) == len(ring) - 1
    else:
        assert not any(has_path(needs, name, name) for name in needs)


def test_a_long_chain_costs_no_stack() -> None:
    """Of as many watchers as a machine has."""
    needs = {f"w{n}": [f"w{n + 1}"] for n in range(20_000)}
    assert len(closure(["w0"], needs)) == 20_001
    assert cycle(needs | {"w20000": ["w0"]})[-1] == "w0"


@given(GRAPHS, PRIORITIES)
def test_what_is_needed_is_stopped_after_what_needs_it(
    needs: dict[str, list[str]], priorities: dict[str, int]
) -> None:
    """Whatever the priorities say; everything is stopped once, and the start is the reverse."""
    groups = stop_groups(priorities, NAMES, needs)
    assert sorted(name for group in groups for name in group) == sorted(NAMES)
    assert [sorted(g) for g in reversed(groups)] == start_groups(priorities, NAMES, needs)
    if cycle(needs):
        return
    turn = {name: at for at, group in enumerate(groups) for name in group}
    for name, others in needs.items():
        assert all(turn[name] < turn[other] for other in others)


@given(PRIORITIES)
def test_without_needs_the_priority_alone_decides(priorities: dict[str, int]) -> None:
    """The lowest first, those of one priority together."""
    groups = stop_groups(priorities, NAMES)
    assert [{priorities[name] for name in group} for group in groups] == [
        {p} for p in sorted(set(priorities.values()))
    ]


def planner(*events: Happening, start: bool = True, **options: object) -> Planner:
    """A watcher to whose only process all that has happened."""
    found = Planner("db", Policy(**options))  # type: ignore[arg-type]
    if start:
        found.begin(Job(1, "start"), 0.0)
    for at, event in enumerate(events, 1):
        found.happen(1, event, float(at))
    return found


UP = Happening(Kind.SPAWNED, pid=5)
WELL, ILL = Happening(Kind.EXITED, code=0), Happening(Kind.EXITED, code=3)
PASSED, FAILED = Happening(Kind.LOOK_PASSED), Happening(Kind.LOOK_FAILED, text="refused")
ALONE = Rules(failures=1, at_once=0)
STATES = {
    "never started": planner(start=False),
    "starting": planner(),
    "up": planner(UP),
    "up, not ready": planner(UP, ready="notify"),
    "ready": planner(UP, Happening(Kind.BECAME_READY), ready="notify"),
    "done": planner(UP, WELL, respawn=False),
    "broken": planner(UP, ILL, respawn=False),
    "given up": planner(Happening(Kind.REFUSED, stage="exec", text="no such file"), max_retry=0),
    "given up for a while": planner(Happening(Kind.REFUSED, stage="exec"), max_retry=0, retry_in=5.0),
    "died young": planner(UP, ILL),
    "not looked at": planner(UP, alive=ALONE),
    "healthy": planner(UP, PASSED, alive=ALONE),
    "unhealthy": planner(UP, PASSED, FAILED, alive=ALONE),
    "healthy again": planner(UP, FAILED, PASSED, alive=ALONE),
    "healthy, reloading": planner(UP, PASSED, Happening(Kind.UNREADY, text="reloading"), alive=ALONE),
}
LOOKED_AT = {"not looked at", "healthy", "unhealthy", "healthy again"}


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("started", {"up", "up, not ready", "ready", *LOOKED_AT, "healthy, reloading"}),
        ("ready", {"up", "ready", *LOOKED_AT}),
        ("healthy", {"healthy", "healthy again"}),
        ("completed", {"done", "broken"}),
        ("completed_successfully", {"done"}),
    ],
)
def test_each_condition_is_met_by_its_states_alone(condition: str, met: set[str]) -> None:
    """One without a sign of readiness counts from its start; one that is healthy is ready too."""
    assert {name for name, found in STATES.items() if is_met(found, condition)} == met


def test_one_that_a_connection_starts_can_be_counted_on_while_it_sleeps() -> None:
    """Who needs it connects, and is served; nobody has to wait for somebody else to do so."""
    lazy = planner(on_demand=True)
    assert (lazy.asleep, watcher_state(lazy)) == (True, "waiting")
    assert is_met(lazy, "started")
    assert is_met(lazy, "ready")
    assert is_met(planner(on_demand=True, alive=ALONE), "healthy")
    assert not is_met(lazy, "completed")


@pytest.mark.parametrize(
    ("condition", "hopeless"),
    [
        ("started", {"done", "broken", "given up"}),
        ("ready", {"done", "broken", "given up"}),
        ("healthy", {"done", "broken", "given up", "up"}),
        ("completed", {"up", "died young", "given up", "given up for a while", "never started", "starting"}),
        ("completed_successfully", {"up", "broken", "died young", "given up", "never started", "starting"}),
    ],
)
def test_no_hope_is_seen_where_nothing_will_come_by_itself(condition: str, hopeless: set[str]) -> None:
    """What runs for ever never completes, and what was given up never runs, unless somebody does something."""
    for name in hopeless & {"done", "broken", "given up", "up"}:
        assert lost(Need("db", condition), STATES[name], queued=False, now=9.0), name
    for name in ("starting", "given up for a while", "never started"):
        if condition in ("started", "ready"):
            assert not lost(Need("db", condition), STATES[name], queued=False, now=9.0), name


def test_health_is_waited_for_while_somebody_looks() -> None:
    """One that is unhealthy may become healthy by itself, or by being replaced."""
    need = Need("db", "healthy")
    for name in ("not looked at", "unhealthy", "healthy, reloading"):
        assert not lost(need, STATES[name], queued=False, now=9.0), name
    assert "alive is not set" in lost(need, STATES["up"], queued=False, now=9.0)


def held(why: str = "db to be ready, which is starting") -> Planner:
    """A watcher whose start waits."""
    found = Planner("web", Policy(numprocesses=2))
    found.gate = why
    found.begin(Job(1, "start"), 0.0)
    return found


def test_a_held_start_starts_nothing_and_says_what_it_waits_for() -> None:
    """Until it is released; then it is a start like any other."""
    web = held()
    assert (web.waits_for_others, web.status(), watcher_state(web), web.processes) == (
        True,
        "starting",
        "waiting",
        {},
    )
    assert explain(web, 1.0) == "It is to be started, and waits for db to be ready, which is starting."
    told = web.hold("db to be ready, which is backoff", 2.0)
    assert told == [Publish("watcher.waiting", {"reason": "db to be ready, which is backoff"})]
    assert [e for e in web.hold("", 3.0) if isinstance(e, Spawn)] == [Spawn(1), Spawn(2)]
    assert not web.waits_for_others


def test_a_held_start_ends_when_there_is_no_hope_or_it_is_stopped_or_cancelled() -> None:
    """Its command fails with the reason."""
    web = held()
    effects = web.forbid("what it depends on can't be had: db: no such file", 1.0)
    assert [e.error for e in effects if isinstance(e, JobEnded)] == [web.failure]
    assert watcher_state(web) == State.FAILED
    web = held()
    assert web.cannot_cancel() == ""
    assert [e.error for e in web.cancel("cancelled by ann", 1.0) if isinstance(e, JobEnded)] == [
        "cancelled by ann"
    ]
    web = held()
    effects = web.begin(Job(2, "stop", command="stop"), 1.0)
    assert [e.error for e in effects if isinstance(e, JobEnded)] == ["superseded by stop", ""]
    assert web.status() == "stopped"


def test_a_restart_stops_first_and_waits_then() -> None:
    """What it needs may have gone meanwhile."""
    web = Planner("web", Policy())
    web.begin(Job(1, "start"), 0.0)
    web.happen(1, UP, 1.0)
    web.gate = "db to be ready, which is starting"
    web.begin(Job(2, "restart"), 2.0)
    web.happen(1, Happening(Kind.EXITED, signal=15), 3.0)
    assert web.waits_for_others
    assert Spawn(1) in web.hold("", 4.0)
    web.happen(1, Happening(Kind.SPAWNED, pid=6), 5.0)
    assert (web.job, web.status()) == (None, "active")


def test_what_is_waited_for_is_said_in_words() -> None:
    """The name, what it is to be, and what it is."""
    assert waits_for(Need("db"), STATES["up, not ready"]) == "db to be ready, which is starting"
    assert (
        waits_for(Need("db", "healthy"), STATES["not looked at"])
        == "db to be found healthy, which is running"
    )
    assert waits_for(Need("db", "completed_successfully"), STATES["up"]) == "db to end well, which is running"
