"""History, trees and processes as text: lines that rise and fall, columns for pipes, and nothing that could command a terminal."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.cli import render
from circusd.cli.figures import BARS, spark
from circusd.cli.terminal import Style

PIPE = Style()
TERMINAL = Style(terminal=True, color=True, width=100)
HOSTILE = "\x1b[2J\x07evil\n\u202e"

SERIES = {
    "cpu": [None, 1.5, 50.0],
    "rss": [None, 1 << 20, 3 << 20],
    "processes": [0, 1, 2],
    "restarts": [4, 4, 6],
}
HISTORY = {
    "times": [0.0, 60.0, 120.0],
    "watchers": {"web": SERIES},
    "daemon": SERIES,
    "period": 60,
    "events": [],
}
KIN = [
    {"pid": 11, "parent": 1, "depth": 1, "command": "a", "cpu": 1.0, "rss": 1 << 20},
    {"pid": 12, "parent": 11, "depth": 2, "command": "b", "cpu": None, "rss": None},
    {"pid": 13, "parent": 1, "depth": 1, "command": "c", "cpu": 2.0, "rss": 2 << 20},
]
TREE = {
    "watchers": {"web": [{"wid": 1, "pid": 1, "command": "x", "cpu": 3.0, "rss": 9, "below": KIN}]},
    "left_out": 5,
}
PROCESS: dict[str, Any] = {
    "watcher": "web",
    "pid": 1,
    "process": {"wid": 2, "state": "running"},
    "ends": [{"time": 0, "text": "2 exited with code 1 after 6 s"}],
    "stats": {"cpu": 12.5, "rss": 1 << 20, "age": 61, "cpu_time": 3.5, "command": "x", "swap": None},
    "below": KIN,
    "limits": [{"name": "Max open files", "soft": 1024, "hard": None, "unit": "files"}],
    "environment": {"A": "********"},
    "files": {
        "count": 2,
        "files": [{"fd": 0, "target": "/dev/null"}, {"fd": 3, "target": "socket:[1]", "socket": "tcp"}],
    },
}


@pytest.mark.parametrize(
    ("values", "cells", "text"),
    [
        ([0.0, 50.0, 100.0], 3, "▁▅█"),
        ([0.0, None, 100.0], 3, "▁ █"),
        ([0.0, 0.0], 2, "▁▁"),
        ([None, None], 2, "  "),
        ([1.0] * 100, 5, "█████"),
        ([0.0] * 50 + [8.0] + [0.0] * 49, 4, "▁▁█▁"),
        ([], 5, ""),
        ([1.0], 0, ""),
    ],
)
def test_values_as_bars(values: list[float | None], cells: int, text: str) -> None:
    """Each line by its own highest value; a short peak is not lost, and what is not known is a gap."""
    assert spark(values, cells) == text


@given(st.lists(st.none() | st.floats(0, 1e12)), st.integers(0, 60))
def test_bars_are_never_more_than_there_is_room_for(values: list[float | None], cells: int) -> None:
    """Whatever the values are."""
    line = spark(values, cells)
    assert len(line) == min(cells, len(values))
    assert set(line) <= {*BARS, " "}


def test_history_on_a_pipe_is_one_line_for_each_sample() -> None:
    """Time, name, per cent, bytes, processes, restarts; a dash where nothing ran."""
    lines = render.text_of("history", HISTORY, PIPE).split("\n")
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(0))
    assert lines[0] == f"{at}.000 web - - 0 4"
    assert lines[4].split()[1:] == ["web", "50.0", str(3 << 20), "2", "6"]
    assert lines[5].split()[1] == "circusd"


def test_history_on_a_terminal_fits_it() -> None:
    """One line for each watcher, with what is now, what was most, and restarts in that time."""
    shown = render.text_of("history", HISTORY, Style(terminal=True, width=100))
    (web,) = [line for line in shown.split("\n") if line.startswith("web")]
    for word in ("50.0 %", "3.0 MiB"):
        assert web.count(word) == 2
    assert web.split()[-2:] == ["2", "2"]
    assert all(len(line) <= 100 for line in shown.split("\n"))


def test_history_on_a_narrow_terminal_tells_how_it_is_now() -> None:
    """The figures of now are whole where there is no room for all."""
    shown = render.text_of("history", HISTORY, Style(terminal=True, width=40))
    (web,) = [line for line in shown.split("\n") if line.startswith("web")]
    assert "50.0 %" in web and web.endswith("3.0 MiB")
    assert all(len(line) <= 40 for line in shown.split("\n"))


def test_trees_show_who_is_below_whom() -> None:
    """The last one below its parent ends the line."""
    shown = render.text_of("tree", TREE, PIPE)
    ends = ("1 x", "    ├─ a", "       └─ b", "    └─ c")
    assert [line.endswith(end) for line, end in zip(shown.split("\n")[2:6], ends, strict=True)] == [True] * 4
    assert shown.endswith("and 5 more processes below them")


def test_a_process_is_shown_in_parts() -> None:
    """Each thing that is known of it, and nothing where nothing is."""
    shown = render.text_of("process", PROCESS, PIPE)
    for text in (
        "web 2: running, pid 1",
        "exited with code 1",
        "1024 / unlimited files",
        "A  ********",
        "Files: 2 open",
        "3  tcp",
    ):
        assert text in shown
    stopped = render.text_of(
        "process", {**PROCESS, "pid": None, "stats": None, "files": None, "limits": [], "below": []}, PIPE
    )
    assert "pid" not in stopped
    assert "Files" not in stopped


def planted(value: Any) -> Any:
    """The reply with hostile text for every text in it, names too."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [planted(one) for one in value]
    if isinstance(value, dict):
        names = {"web": HOSTILE, "A": HOSTILE, "command": "command"}
        return {names.get(key, key): planted(one) for key, one in value.items()}
    return value


@pytest.mark.parametrize("style", [PIPE, TERMINAL], ids=["pipe", "terminal"])
@pytest.mark.parametrize("command", ["history", "tree", "process"])
def test_nothing_commands_a_terminal(command: str, style: Style) -> None:
    """Whatever names, commands and variables hold."""
    reply = planted({"history": HISTORY, "tree": TREE, "process": PROCESS}[command])
    shown = render.text_of(command, reply, style)
    assert "evil" in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert "\x1b[2J" not in shown
