"""How the start of watchers went: who waited for whom, and which of them the whole waited for."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from circusd.cli.starts import timeline
from circusd.cli.terminal import Style
from circusd.core.timeline import HELD_UP, SLOW, UNTIL, Start, Turns, critical_chain

NAMES = [f"w{n}" for n in range(8)]


def start(free: float, done: float, after: str = "") -> Start:
    return Start("start", 0.0, after, free=free, spawned=free, done=done)


def test_the_chain_leads_from_the_first_to_the_last_that_was_ready() -> None:
    """By what each has waited for last; what takes long beside it does not belong to it."""
    starts = {
        "db": start(0, 4),
        "cache": start(0, 5),
        "migrate": start(4, 6, "db"),
        "web": start(6, 6.5, "migrate"),
        "lost": Start("start", 0.0, "web"),
    }
    assert critical_chain(starts) == ["db", "migrate", "web"]
    assert critical_chain({}) == critical_chain({"lost": starts["lost"]}) == []


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.builds(start, st.floats(0, 9), st.floats(0, 9), st.sampled_from([*NAMES, "gone", ""])),
        min_size=1,
    )
)
def test_the_chain_has_an_end_whatever_the_records_say(starts: dict[str, Start]) -> None:
    """Each once, each after the one that it waited for, the last one at its end."""
    chain = critical_chain(starts)
    assert len(set(chain)) == len(chain) >= 1
    assert starts[chain[-1]].done == max(one.done for one in starts.values() if one.done is not None)
    assert all(starts[after].after == before for before, after in itertools.pairwise(chain))


def test_who_only_stood_before_it_was_not_waited_for() -> None:
    """Processes of one priority that are started one after the other on a busy machine are no chain; what took time by design is."""
    turns, after = Turns(0.0), {}
    for name, took, by_itself in (
        ("quick", 0.001, False),
        ("busy", SLOW / 2, False),
        ("hook", HELD_UP, True),
        ("next", 0.2, False),
        ("stuck", SLOW, False),
    ):
        after[name] = turns.turn()
        turns.begun(name, took, by_itself=by_itself)
    after["same"] = turns.turn()
    turns.ready("next", HELD_UP / 2)
    after["lower"] = turns.turn()
    turns.ready("lower", 3.0)
    after["lowest"] = turns.turn()
    assert after == {
        "quick": "",
        "busy": "",
        "hook": "",
        "next": "hook",
        "stuck": "hook",
        "same": "stuck",
        "lower": "stuck",
        "lowest": "lower",
    }


def test_pauses_between_watchers_are_waited_for() -> None:
    """With ``warmup_delay`` each comes after the one before it, and the first of a lower priority after the last that was ready."""
    turns, after = Turns(0.5), []
    for name in "abc":
        after.append(turns.turn())
        turns.begun(name, 0.001, by_itself=False)
    turns.ready("b", 1.2)
    after.append(turns.turn())
    assert after == ["", "a", "b", "b"]


def test_each_takes_until_it_is_as_others_need_it() -> None:
    """What has not come so far is no figure."""
    task = Start("start", 0.0, free=1.0, done=1.5)
    assert [task.took(until) for until in UNTIL] == [0.5, None, None]
    task.ended, task.well = 4.0, 2.0
    assert [task.took(until) for until in UNTIL] == [0.5, 1.0, 3.0]


def test_it_is_told_as_a_table() -> None:
    """The chain is marked, and what waits or has failed says why; a name can do nothing to the terminal."""
    row = {"command": "start", "after": "", "waited": 0.0, "took": 1.5, "ready": 101.5, "critical": True}
    reply = {
        "since": 100.0,
        "took": 3.25,
        "under_way": 1,
        "chain": ["db", "web\x1b[2J"],
        "watchers": [
            {**row, "name": "db"},
            {**row, "name": "web\x1b[2J", "after": "db", "until": "ended", "ended": 103.25},
            {"name": "late", "critical": False, "waits": "db to be ready"},
            {
                **row,
                "name": "bad",
                "ready": None,
                "failed": 100.5,
                "error": "no such program",
                "critical": False,
            },
        ],
    }
    text = timeline(reply, Style(width=200))
    assert text.startswith("The start took 3.25 s, 1 on the way yet\nCritical chain: db → web")
    lines = [line.split() for line in text.split("\n")[4:]]
    assert lines[0] == ["*", "db", "1.50", "s", "0.00", "s", "+1.50", "s"]
    assert "+3.25" in lines[1]
    assert text.rstrip().endswith("failed: no such program")
    assert "waits for db to be ready" in text
    assert "\x1b" not in text
