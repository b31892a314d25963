"""What can be waited for, and when waiting has no hope: from histories of a watcher."""

from __future__ import annotations

import pytest

from circusd.core.process import Happening, Kind, Policy
from circusd.core.reaching import hopeless, reached
from circusd.core.watcher import Job, Planner
from circusd.schema.commands import WAIT_STATES


def planner(*events: Happening, respawn: bool = True, max_retry: int = 0, stop: bool = False) -> Planner:
    """One process that was started, and what happened to it."""
    found = Planner("w", Policy(respawn=respawn, max_retry=max_retry))
    found.begin(Job(1, "start"), 0.0)
    for number, event in enumerate(events, 1):
        found.happen(1, event, number / 10)
    if stop:
        found.begin(Job(2, "stop"), 9.0)
    return found


def ended() -> Planner:
    """A stop that has come to its end."""
    found = planner(SPAWNED, stop=True)
    found.happen(1, Happening(Kind.EXITED, signal=15), 10.0)
    return found


SPAWNED = Happening(Kind.SPAWNED, pid=7)
REFUSED = Happening(Kind.REFUSED, stage="exec", errno=2, text="no such file")
DONE, BROKEN = Happening(Kind.EXITED, code=0), Happening(Kind.EXITED, code=3)

HISTORIES = {
    "never started": (Planner("w", Policy()), {"stopped"}),
    "on its way": (planner(), {"starting"}),
    "up": (planner(SPAWNED), {"running", "ready", "active"}),
    "died young": (planner(SPAWNED, BROKEN), {"backoff", "active"}),
    "given up": (planner(REFUSED), {"failed", "stopped"}),
    "done": (planner(SPAWNED, DONE, respawn=False), {"completed", "stopped"}),
    "broken": (planner(SPAWNED, BROKEN, respawn=False), {"exited", "stopped"}),
    "told to end": (planner(SPAWNED, stop=True), {"stopping"}),
    "told, and ended": (ended(), {"stopped"}),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_watcher_is_in_these_states_and_no_others(name: str) -> None:
    """Each history with all states that count as reached."""
    found, states = HISTORIES[name]
    assert {state for state in WAIT_STATES if reached(found, state, queued=False)} == states


def test_a_command_that_waits_makes_a_state_of_rest_uncertain() -> None:
    """What was asked for before is carried out first."""
    up = planner(SPAWNED)
    assert not reached(up, "running", queued=True)
    assert not hopeless(planner(REFUSED), "running", queued=True, now=9.0)


@pytest.mark.parametrize(
    ("name", "state", "why"),
    [
        ("given up", "running", "It could not be started: no such file"),
        ("given up", "completed", "as respawn is on"),
        ("done", "running", "respawn is off"),
        ("done", "exited", "exited with code 0"),
        ("broken", "completed", "exited with code 3"),
        ("up", "completed", "as respawn is on"),
        ("never started", "running", ""),
        ("given up", "removed", ""),
        ("up", "failed", ""),
        ("died young", "running", ""),
        ("on its way", "completed", ""),
    ],
)
def test_no_hope_is_told_with_its_reason(name: str, state: str, why: str) -> None:
    """What a person could still do is hoped for only where nothing has gone wrong."""
    told = hopeless(HISTORIES[name][0], state, queued=False, now=9.0)
    assert why in told
    assert bool(told) == bool(why)
