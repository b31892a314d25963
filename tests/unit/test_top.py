"""circus-top without a terminal: keys from bytes, rows in their order, pages of any size, figures from messages."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.cli import topactions
from circusd.cli.figures import branches
from circusd.cli.keyboard import Keyboard, Paste
from circusd.cli.loads import DaemonLoad, PublishedStats, published
from circusd.cli.terminal import Style, width_of
from circusd.cli.tophelp import help_lines
from circusd.cli.toplayers import Line, Menu, Question, keys_line, wrapped
from circusd.cli.topmany import Batch, many, names_of, question_of
from circusd.cli.toppage import Sight, fit, head, table
from circusd.cli.toprows import ORDER_NAMES, VIEWS, Row, View
from circusd.schema.commands import find
from circusd.schema.errors import NotFound

# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~\x1b[6~\x1b[1~\x1b[F", ["pageup", "pagedown", "home", "end"]),
        (b"\x1b[1;5C\x1b[Z", ["right", "backtab"]),
        (b"\r\t\x7f\x0c", ["enter", "tab", "backspace", "ctrl-l"]),
        ("é日".encode(), ["é", "日"]),
        (b"\x1bx", ["escape", "x"]),
        (b"\x00\x01", []),
        (b"\x1b[99~\x1b[?1;2c", []),
        (b"\x1b[200~xy\x1b[A\x1b[201~q", ["xy\x1b[A", "q"]),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    """Whole keys have names; what no key sends is passed over."""
    assert Keyboard().feed(data) == keys


@given(st.lists(st.integers(0, 40), max_size=8))
def test_keys_may_come_in_any_pieces(cuts: list[int]) -> None:
    """However a terminal's bytes are parted, they are the same keys."""
    data = "\x1b[A\x1b[200~pasté\x1b[201~é\x1bOH\x1b[1;5D".encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    keyboard = Keyboard()
    pieces = pairwise(places)
    assert [key for a, b in pieces for key in keyboard.feed(data[a:b])] == [
        "up",
        "pasté",
        "é",
        "home",
        "left",
    ]


def test_an_escape_byte_alone_is_a_key_once_nothing_follows() -> None:
    """Until then it may begin something."""
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b") == [] and keyboard.waits
    assert keyboard.flush() == ["escape"] and not keyboard.waits


def test_a_paste_has_an_end() -> None:
    """What is pasted is one thing, and no more of it is kept than anybody needs."""
    keyboard = Keyboard()
    keyboard.feed(b"\x1b[200~")
    for _ in range(100):
        assert keyboard.feed(b"x" * 1000) == []
    (paste,) = keyboard.feed(b"\x1b[201~")
    assert isinstance(paste, Paste) and len(paste) == 1000


@given(st.binary(max_size=60))
def test_any_bytes_are_read(data: bytes) -> None:
    """Whatever comes, the keys are characters, names or pastes."""
    keyboard = Keyboard()
    for key in [*keyboard.feed(data), *keyboard.flush()]:
        assert isinstance(key, Paste) or key.isprintable()


# --- rows ----------------------------------------------------------------------------------------------------------


def watcher(name: str, *pids: int | None, **more: Any) -> dict[str, Any]:
    slots = [
        {
            "wid": i + 1,
            "pid": pid,
            "state": "running" if pid else "stopped",
            "started": 40.0 + i if pid else None,
        }
        for i, pid in enumerate(pids)
    ]
    return {
        "name": name,
        "state": "running",
        "status": "active",
        "numprocesses": len(pids),
        "processes": slots,
        **more,
    }


def loaded(*watchers: dict[str, Any], **cpu: float) -> DaemonLoad:
    """What circus-top knows of these watchers, each process with so much of the processor."""
    source = DaemonLoad()
    source.begin({"role": "admin"})
    daemon = {
        "name": "circus",
        "host": "here",
        "time": 100.0,
        "started": 40.0,
        "cores": 4,
        "memory_total": 8 << 30,
    }
    source.take("state.", {"snapshot": {"daemon": daemon, "watchers": list(watchers), "lead": {}}})
    loads = {}
    for one in watchers:
        each = cpu.get(one["name"], 0.0)
        processes = {str(slot["wid"]): [each, 1 << 20] for slot in one["processes"] if slot["pid"]}
        loads[one["name"]] = {
            "cpu": each * len(processes),
            "rss": len(processes) << 20,
            "processes": processes,
        }
    assert source.take(
        "load.", {"time": 101.0, "watchers": loads, "daemon": {"cpu": 1.0, "rss": 1 << 20, "lag": 0.0}}
    )
    return source


def keys_of(rows: list[Row]) -> list[str]:
    return ["/".join(row.key) for row in rows]


def test_the_busiest_come_first_and_names_decide_between_equals() -> None:
    """Watchers by what they take in all, their processes likewise, slots by their numbers."""
    source = loaded(watcher("b", 1, 2), watcher("a", 3), watcher("c", 4), c=50.0)
    assert keys_of(View().rows(source, {})) == ["c", "c/1", "a", "a/1", "b", "b/1", "b/2"]
    view = View("name")
    view.order_by("name")
    assert keys_of(view.rows(source, {})) == ["c", "c/1", "b", "b/2", "b/1", "a", "a/1"]


@pytest.mark.parametrize("order", ORDER_NAMES)
@pytest.mark.parametrize("kind", VIEWS)
def test_every_order_shows_the_same_rows(order: str, kind: str) -> None:
    """In each view, whatever is missing of the figures."""
    source = loaded(
        watcher("a", 1, None), watcher("b"), watcher("c", 3, restarts=None, state="failed"), a=1.0
    )
    view, other = View(order), View()
    view.view = other.view = kind
    assert sorted(keys_of(view.rows(source, {}))) == sorted(keys_of(other.rows(source, {})))


def test_what_is_ill_comes_first_where_that_is_asked_for() -> None:
    """By state: those that need somebody, then those on their way, then the rest."""
    source = loaded(
        watcher("a", 1), watcher("b", None, state="failed"), watcher("c", None, status="starting")
    )
    assert [key for key in keys_of(View("state").rows(source, {})) if "/" not in key] == ["b", "c", "a"]


def test_the_selection_is_a_thing_and_no_place() -> None:
    """Wherever it goes it stays selected; when it is gone, nothing is, and not what stands there then."""
    view = View("name")
    rows = view.rows(loaded(watcher("a", 1), watcher("b", 2)), {})
    view.move_to(-1, rows)
    rows = view.rows(loaded(watcher("b", 2), watcher("c", 3)), {})
    current = view.current(rows)
    assert current is not None and current.key == ("b", "1")
    rows = view.rows(loaded(watcher("c", 3), watcher("d", 4)), {})
    assert view.current(rows) is None


def test_the_selected_row_is_seen() -> None:
    """However few rows there is room for, and wherever it is."""
    source = loaded(*(watcher(f"w{i:03}", i + 1) for i in range(100)))
    view = View("name")
    for height in (1, 2, 7, 50):
        for step in (1, 1, 30, 500, -3, -500):
            rows = view.rows(source, {})
            view.move(step, rows)
            _, seen = view.window(rows, height)
            assert view.current(rows) in seen and len(seen) == height


def test_a_tree_shows_who_is_below_whom() -> None:
    """The last below each parent ends its branch."""
    listed = [{"depth": depth, "pid": i} for i, depth in enumerate((1, 2, 3, 2, 1))]
    assert [branch for _, branch in branches(listed)] == ["├─ ", "   ├─ ", "      └─ ", "   └─ ", "└─ "]
    view = View("name")
    view.view = "tree"
    rows = view.rows(loaded(watcher("a", 1)), {("a", "1"): listed})
    assert keys_of(rows) == ["a", "a/1", "a/1/0", "a/1/1", "a/1/2", "a/1/3", "a/1/4"]
    view.move_to(1, rows)
    view.close(rows[1])
    assert keys_of(view.rows(loaded(watcher("a", 1)), {("a", "1"): listed})) == ["a", "a/1"]


# --- pages ---------------------------------------------------------------------------------------------------------

PLAIN = Style(terminal=True)
STRANGE = st.text(max_size=80) | st.sampled_from(["日本語" * 30, "e" + "\u0301" * 300, "\x1b[2J" * 9, "a\tb"])


@given(STRANGE, st.integers(0, 120))
def test_a_cell_is_exactly_as_wide_as_it_is_to_be(text: str, cells: int) -> None:
    """Whatever stands in it."""
    assert width_of(fit(text, cells)) == width_of(fit(text, cells, right=True)) == cells


@given(
    st.lists(STRANGE, min_size=1, max_size=4, unique_by=str.lower),
    st.integers(40, 300),
    st.sampled_from(VIEWS),
)
def test_no_line_is_wider_than_the_terminal(names: list[str], width: int, kind: str) -> None:
    """For names and texts of any kind, in every view, at every width."""
    source = loaded(*(watcher(name, 1, None, detail=name, cmd=name, tags=[name]) for name in names))
    view = View()
    view.view = kind
    rows = view.rows(source, {})
    view.move(1, rows)
    sight = Sight(source, view, rows, PLAIN, width, 24)
    for line in [*head(sight), *table(sight, rows)]:
        assert width_of(line) <= width and "\x1b" not in line


@pytest.mark.parametrize("width", [40, 60, 80, 300])
def test_help_and_keys_fit(width: int) -> None:
    """At every width, with no line cut."""
    lines = help_lines(PLAIN, width)
    assert all(width_of(line) <= width for line in lines) and "…" not in "".join(lines)
    assert width_of(keys_line([("key", "words")] * 50, PLAIN, width)) <= width
    assert all(width_of(line) <= width for line in wrapped("日本語 " * 200, width))


def test_figures_are_of_one_processor_or_of_the_machine() -> None:
    """200 % of one are 50 % of four."""
    source, view = loaded(watcher("a", 1), a=200.0), View()
    rows = view.rows(source, {})
    assert "200.0 % of 400 %" in head(Sight(source, view, rows, PLAIN, 80, 24))[1]
    view.of_machine = True
    assert "50.0 % of 4 processors" in head(Sight(source, view, rows, PLAIN, 80, 24))[1]


# --- layers and actions --------------------------------------------------------------------------------------------


def test_only_y_means_yes() -> None:
    """Enter, a paste and anything else do nothing."""
    said: list[str] = []
    for key in ("enter", "n", "escape", "q", " ", "r", Paste("y"), "up"):
        Question("Stop it?", lambda: said.append("yes")).press(key)
    assert said == []
    assert Question("Stop it?", lambda: said.append("yes")).press("y") is False
    assert said == ["yes"]


def test_a_choice_is_found_by_its_beginning() -> None:
    """Letters go to the first that begins so; Enter takes it, Escape none."""
    chosen: list[str] = []
    menu = Menu("Which?", [("TERM", ""), ("HUP", ""), ("USR1", ""), ("USR2", "")], chosen.append)
    for key in "usr2":
        assert menu.press(key)
    assert not menu.press("enter")
    assert not menu.press("escape")
    assert chosen == ["USR2"]


def test_a_line_is_typed_and_taken_back() -> None:
    """Each change counts at once, and has an end; Escape brings back what was there."""
    texts: list[str] = []
    line = Line("Filter:", "old", texts.append)
    for key in ("x", "backspace", "ctrl-u", Paste("a\nb" * 1000), "ctrl-w", "escape"):
        line.press(key)
    assert texts[0] == "oldx" and texts[1] == "old" and texts[2] == "" and texts[-1] == "old"
    assert max(map(len, texts)) == 200


@pytest.mark.parametrize("action", topactions.ACTIONS)
def test_actions_are_commands_of_the_table(action: topactions.Action) -> None:
    """Whatever is offered is a row with the properties that are sent, and names are never patterns."""
    group, process = View("name").rows(loaded(watcher("w*b", 7)), {})
    below = process._replace(below={"pid": 9})
    for row in (group, process, below):
        deed = action.deed(row)
        if isinstance(deed, str):
            continue
        command = find(deed.command)
        assert command is not None and deed.command in action.commands
        assert set(deed.properties) <= {field.name for field in command.args}
        assert deed.properties["name"] == "w*b" and deed.properties["match"] == "simple"
        asks = (topactions.RESTART, topactions.STOP, topactions.FREEZE, topactions.DECR)
        assert bool(deed.question) == (action in asks)


def test_a_question_says_what_ends() -> None:
    """How many processes; or that there will be no other try, where none runs."""
    source = loaded(
        watcher("a", 1, 2), watcher("b", None, state="failed"), watcher("c", None, status="stopped")
    )
    rows = {row.group.name: row for row in View("name").rows(source, {}) if row.process is None}
    deeds = {name: topactions.STOP.deed(row) for name, row in rows.items()}
    assert isinstance(deeds["a"], topactions.Deed) and "2 processes will be stopped" in deeds["a"].question
    assert isinstance(deeds["b"], topactions.Deed) and "It will not be tried again" in deeds["b"].question
    assert deeds["c"] == "c is stopped already"


def test_what_is_marked_is_a_thing_and_no_place() -> None:
    """It stays marked in any order and view and behind a filter, is told to be, and is forgotten when it is gone."""
    source = loaded(watcher("a", 1, 2), watcher("b", 3), watcher("c", None, status="stopped"))
    view = View("name")
    rows = {row.key: row for row in view.rows(source, {})}
    for key in (("c",), ("a", "2"), ("b",), ("a",), ("a",)):
        view.mark(rows[key])
    assert list(view.marked) == [("c",), ("a", "2"), ("b",)]
    sight = Sight(source, view, list(rows.values()), PLAIN, 80, 24, False)
    shown = {line[:12].rstrip() for line in table(sight, list(rows.values()))}
    assert shown >= {"✓ ▾ c", "✓     2", "✓ ▾ b", "  ▾ a", "      1"}
    view.reverse, view.view, view.filter = True, "flat", "b"
    view.rows(source, {})
    assert [row.key for row in view.marked_rows(source)] == [("c",), ("a", "2"), ("b",)]
    view.rows(loaded(watcher("b", 3), watcher("a", 1)), {})
    assert list(view.marked) == [("b",)]


def test_one_question_is_for_all_that_are_marked() -> None:
    """It says how many of which kind, who they are, how many processes run, and whom it can't be done to; the same once."""
    source = loaded(*(watcher(f"w{n}", n + 1) for n in range(8)), watcher("off", None, status="stopped"))
    rows = View("name").rows(source, {})
    groups = [row for row in rows if row.process is None]
    meant = many(groups, topactions.STOP.deed)
    assert len(meant.deeds) == 8
    assert question_of(topactions.STOP, meant) == (
        "Stop 8 watchers: w0, w1, w2, w3, w4, w5 and 2 more? 8 processes run now. Left out: off is stopped already."
    )
    by_key = {row.key: row for row in rows}
    first, of_first, of_other = by_key["w0",], by_key["w0", "1"], by_key["w1", "1"]
    meant = many([of_first, of_other, first], topactions.RESTART.deed)
    assert [deed.command for deed in meant.deeds] == ["kill", "restart"]
    question = question_of(topactions.RESTART, meant)
    assert question == "Restart 1 watcher and 1 process: w1 1, w0? 2 processes run now."
    assert len(many([of_first, of_other, of_first], topactions.INCR.deed).deeds) == 2
    assert many([of_first], topactions.STOP.deed).deeds == []
    assert names_of([first, of_other]) == "w0, w1 1"


class Asking:
    """Takes so many requests at a time, and answers when it is told to."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.waiting: list[tuple[str, Any]] = []

    def ask(
        self, command: str, properties: Any, told: Any, *, waiting: bool = False, progress: Any = None
    ) -> bool:
        if len(self.waiting) >= self.room:
            return False
        self.waiting.append((properties["name"], told))
        return True


@pytest.mark.parametrize("room", [0, 1, 3, 100])
def test_what_came_of_all_is_told_in_one_line(room: int) -> None:
    """However many may be on their way: each is asked for once, what failed is named, and the rest is counted."""
    rows = View("name").rows(loaded(*(watcher(f"w{n}", n + 1) for n in range(7))), {})
    deeds = many([row for row in rows if row.process is None], topactions.RESTART.deed).deeds
    feed, said, asked = Asking(room), list[tuple[str, str]](), list[str]()
    Batch("restart 7 watchers", deeds, feed, lambda *told: said.append(told))  # type: ignore[arg-type]
    while feed.waiting:
        assert len(feed.waiting) <= 4
        name, told = feed.waiting.pop(0)
        asked.append(name)
        if name == "w3":
            told(None, NotFound("there is no watcher w3"))
        else:
            told({"started": [1, 2], "stopped": [3]}, None)
    assert sorted(asked) == ([f"w{n}" for n in range(7)] if room else [])
    if room:
        assert said[-1] == (
            "restart 7 watchers: 12 started, 6 stopped; restart w3: there is no watcher w3",
            "red",
        )
        assert len(said) <= 8
    else:
        assert said == [("restart 7 watchers: 7 not done: too much is on its way already", "red")]


def test_a_role_is_offered_what_it_may() -> None:
    """A viewer nothing; where the role is not known the daemon decides."""
    for role, may in (("viewer", False), ("operator", True), ("admin", True), ("", True)):
        assert all(topactions.is_allowed(action, role) is may for action in topactions.ACTIONS)


# --- what the daemon sends ---


def test_a_daemon_that_is_back_begins_anew() -> None:
    """What was known stays until all of it is told once more; old figures are not laid over a new daemon's watchers."""
    source = loaded(watcher("a", 1), a=50.0)
    source.begin({"role": "viewer"})
    load = {"time": 201.0, "watchers": {}, "daemon": {}}
    assert not source.take("load.", load)
    assert source.title() == "circus on here" and [group.name for group in source.groups] == ["a"]
    daemon = {"name": "circus", "host": "there", "time": 200.0}
    assert source.take("state.", {"snapshot": {"daemon": daemon, "watchers": [watcher("b", 2)]}})
    source.settle()
    assert source.title() == "circus on there" and [group.name for group in source.groups] == ["b"]
    assert source.role == "viewer"


def test_what_needs_somebody_is_told_as_it_is_now() -> None:
    """Moments are counted from the last figures; a few are told one by one, the others counted."""
    slots = [{"wid": 1, "pid": None, "state": "backoff", "next_try": 131.0}]
    ill = [
        {**watcher(f"w{i}"), "state": "backoff", "processes": slots, "detail": "1 in backoff"}
        for i in range(5)
    ]
    source = loaded(*ill)
    source.take(
        "state.",
        {"watcher": ill[0], "lead": {"level": "needs", "title": "5 things need you", "text": "in 60 s"}},
    )
    source.settle()
    level, text = source.lead()
    assert level == "needs"
    assert text.startswith("5 things need you: w0: 1 in backoff, next try in 30 s; w1: ")
    assert text.endswith("; and 2 more") and "w3" not in text


# --- what is published ---------------------------------------------------------------------------------------------


def test_published_stats_are_gathered_by_watcher() -> None:
    """Names with dots are whole, one name in two spellings is one watcher, and circusd's own helpers are left out."""
    source = PublishedStats("tcp://127.0.0.1:5557", 60.0)
    source.ready = True
    for topic, stat in (
        ("stat.my.app.7", {"pid": 7, "subtopic": 7, "cpu": 1.5, "mem": 0.5, "age": 3}),
        ("stat.My.App.8", {"pid": 8, "subtopic": 8, "cpu": "N/A", "mem": 1e400, "age": "N/A"}),
        ("stat.my.app", {"pid": [7, 8], "cpu": 0.8, "mem": 0.5, "age": 3}),
        ("stat.circusd-stats.9", {"pid": 9, "subtopic": 9, "cpu": 1.0, "mem": 0.1, "age": 3}),
        ("stat.sockets.5", {"fd": 5, "subtopic": 5, "address": "127.0.0.1:80", "reads": 4}),
    ):
        source._gathered = -1e9
        assert source.take(topic, stat)
    (group,) = source.groups
    assert (group.key, len(group.processes), group.cpu, group.age) == ("my.app", 2, 1.5, 3)
    assert source.sockets == [("127.0.0.1:80", "4")]


def test_the_states_of_the_original_give_the_names_back() -> None:
    """Topics are in small letters and without spaces; the daemon's own answer has the names to command by."""
    source = PublishedStats("tcp://127.0.0.1:5557", 60.0)
    source.ready = True
    source.take("statuses", {"My App": "active", "off": "stopped"})
    source.take("stat.my_app.7", {"pid": 7, "subtopic": 7, "cpu": 1.5, "mem": 0.5, "age": 3})
    assert {(group.name, group.state, len(group.processes)) for group in source.groups} == {
        ("My App", "active", 1),
        ("off", "stopped", 0),
    }


@given(
    st.binary(max_size=80)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_any_message_is_read_or_passed_over(body: bytes) -> None:
    """Nothing that is published ends the table."""
    found = published(b"stat.\xff.1", body)
    if found is not None:
        PublishedStats("x", 3.0).take(*found)


def test_numbers_beyond_all_bounds_are_none() -> None:
    """A figure that no machine has is shown as 0."""
    message = published(
        b"stat.a.1", b'{"pid": 1, "subtopic": 1, "cpu": 1' + b"0" * 400 + b', "mem": NaN, "age": 1}'
    )
    assert message is not None
    source = PublishedStats("x", 60.0)
    source.ready = True
    source.take(*message)
    assert source.groups[0].cpu == source.groups[0].mem == 0.0
    assert re.search("a", source.groups[0].name)
