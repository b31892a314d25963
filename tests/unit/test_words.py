"""What is going on, in words that a person understands at once."""

from __future__ import annotations

import pytest

from circusd.core import words
from circusd.core.process import Exit, Happening, Kind, Policy, Process, State
from circusd.schema.events import EVENTS
from tests.fakes import World


def started(policy: Policy) -> World:
    """A watcher of that policy whose processes run."""
    world = World(1, policy)
    world.command("start")
    world.settle()
    return world


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (12, "12 s"),
        (119, "119 s"),
        (200, "3 min"),
        (7500, "2 h 05"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """Exact where it is short, rounded where it is long."""
    assert words.duration(seconds) == said


def test_a_watcher_that_is_well_says_so() -> None:
    """All processes run, and nothing needs a person."""
    world = started(Policy(numprocesses=3))
    assert words.explain(world.planner, world.now) == "All 3 processes run."
    assert words.watcher_state(world.planner) == "running"
    assert words.lead({"w": world.planner}, world.now)["level"] == "calm"


def test_a_backoff_says_how_it_ended_and_when_it_is_tried_again() -> None:
    """Why, what next, and when."""
    world = started(Policy(numprocesses=2, backoff=10.0))
    world.now += 0.2
    world.die(1, code=3)
    said = words.explain(world.planner, world.now)
    assert said.startswith("1 of 2 processes runs.")
    assert "Process 1 exited with code 3 after 0.2 s; it is tried again in" in said
    lead = words.lead({"w": world.planner}, world.now)
    assert lead["title"] == "One thing needs you"
    assert lead["text"].startswith("w: ")
    assert words.detail(world.planner) == "1 in backoff"


def test_of_many_in_backoff_the_next_one_to_be_tried_is_told() -> None:
    """It is the one that a page counts down for; the others are counted."""
    world = started(Policy(numprocesses=5, backoff=10.0))
    for wid in (4, 2, 5):
        world.now += 0.2
        world.die(wid, code=3)
    said = words.explain(world.planner, world.now)
    first = min((p for p in world.planner.processes.values() if p.next_try), key=lambda p: p.next_try or 0)
    assert said.startswith(f"2 of 5 processes run. Process {first.wid} exited with code 3 after")
    assert said.endswith(", try 2. 2 more are in backoff.")


def test_a_sentence_about_many_does_not_hold_each_against_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sentence costs grows with their number and not with its square: it is made again at each of their ends."""
    world = started(Policy(numprocesses=50, backoff=10.0))
    for wid in range(2, 50):
        world.die(wid, code=3)

    def compared(one: Process, other: object) -> bool:
        raise AssertionError(f"{one} is held against {other}")

    monkeypatch.setattr(Process, "__eq__", compared)
    said = words.explain(world.planner, world.now)
    assert said.startswith("2 of 50 processes run. Process ")
    assert said.endswith(", try 2. 47 more are in backoff.")


def test_a_given_up_watcher_says_that_nothing_more_happens_by_itself() -> None:
    """The stage and the reason, and who can help."""
    world = World(1, Policy(max_retry=0))
    world.command("start")
    world.spawn(ok=False)
    said = words.explain(world.planner, world.now)
    assert "could not be started: no such file" in said
    assert "until somebody starts it" in said
    assert words.watcher_state(world.planner) == "failed"


def test_a_stop_under_way_says_when_it_ends_at_the_latest() -> None:
    """What is left is ended with SIGKILL, and when."""
    world = started(Policy(graceful_timeout=30))
    world.command("stop")
    assert (
        words.explain(world.planner, world.now)
        == "1 process still to end; what is left in 30 s is ended with SIGKILL."
    )


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Exit(0.0, code=1, lived=0.4), "exited with code 1 after 0.4 s"),
        (Exit(0.0, signal=9, lived=70.0), "was ended by SIGKILL after 70 s"),
        (Exit(0.0, signal=70), "was ended by signal 70"),
        (Exit(0.0), "ended, its exit status is not known"),
        (Exit(0.0, stage="exec", text="no such file"), "could not be started: no such file"),
    ],
)
def test_endings_are_told_exactly(end: Exit, said: str) -> None:
    """Code, signal, or the stage that failed."""
    assert words.ending(end) == said


def test_the_worst_state_stands_for_all() -> None:
    """What needs a person comes first."""
    assert words.worst([State.RUNNING, State.BACKOFF, State.STOPPED]) is State.BACKOFF
    assert words.worst([]) is State.STOPPED


@pytest.mark.parametrize("name", [row.name for row in EVENTS])
def test_every_event_has_a_text(name: str) -> None:
    """No event is shown as nothing, whatever fields are missing."""
    assert words.event_text(name, {})


def test_a_frozen_process_says_by_whom_since_when_and_until_when() -> None:
    """In the sentence, beside the state, in the first line of all, and in the event."""
    world = started(Policy(numprocesses=2))
    world.happen(1, Happening(Kind.FREEZE, text="ada", seconds=300))
    world.now += 12
    assert words.explain(world.planner, world.now) == (
        "1 of 2 processes stands still. Process 1 has been frozen by ada for 12 s, and stands still for another 4 min."
    )
    assert (words.watcher_state(world.planner), words.detail(world.planner)) == ("frozen", "1 frozen")
    assert words.lead({"w": world.planner}, world.now)["text"] == (
        "2 processes of 1 watcher run. 1 process is frozen."
    )
    world.happen(2, Happening(Kind.FREEZE))
    world.happen(1, Happening(Kind.FREEZE, text="bob"))
    world.now += 1
    said = words.explain(world.planner, world.now)
    assert said.startswith(
        "2 of 2 processes stand still. Process 1 has been frozen by bob for 13 s, and stands still until "
    )
    assert "Process 2 has been frozen for 1.0 s, and stands still until somebody thaws it." in said
    assert words.event_text("process.frozen", {"wid": 1, "pid": 7, "by": "ada", "seconds": 30}) == (
        "1 frozen by ada for 30 s, pid 7"
    )
