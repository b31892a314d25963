"""Replies as text: the original's on pipes, tables for people, and nothing that could command a terminal."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.cli import help as help_texts
from circusd.cli import render
from circusd.cli.arguments import usage
from circusd.cli.progress import Progress
from circusd.cli.terminal import (
    Style,
    clean,
    clean_line,
    clean_message,
    columns,
    cut,
    prose,
    size,
    span,
    style_of,
    width_of,
)
from circusd.schema.commands import COMMANDS
from circusd.schema.errors import Unavailable

PIPE = Style()
TERMINAL = Style(terminal=True, color=True, width=80)
PLAIN_TERMINAL = Style(terminal=True, width=80)

INFO = {
    "pid": 7,
    "wid": 1,
    "started": 1.0,
    "age": 2.0,
    "cmdline": "sleep",
    "username": "root",
    "nice": 0,
    "mem_info1": "1.67M",
    "mem_info2": "2.53M",
    "cpu": 0.0,
    "mem": 0.007,
    "ctime": "0:00.0",
    "children": [],
}


@pytest.mark.parametrize(
    ("command", "reply", "text"),
    [
        ("status", {"statuses": {"web": "active", "Loud": "stopped"}}, "Loud: stopped\nweb: active"),
        ("status", {"status": "active"}, "active"),
        ("list", {"watchers": ["loud", "web"]}, "loud,web"),
        ("list", {"pids": [1, 2]}, "1,2"),
        ("numprocesses", {"numprocesses": 4}, "4"),
        ("numwatchers", {"numwatchers": 2}, "2"),
        ("incr", {"numprocesses": 5}, "5"),
        ("incr", {}, "ok"),
        (
            "decr",
            {"numprocesses": 1, "singleton": True},
            "This watcher is a Singleton - not changing the number of processes",
        ),
        (
            "get",
            {"options": {"numprocesses": 2, "uid": None, "shell": False, "env": {"B": "2", "A": "1"}}},
            "numprocesses: 2\nuid: \nshell: False\nenv: A=1,B=2",
        ),
        ("globaloptions", {"options": {"check_delay": 5.0}}, "check_delay: 5.0"),
        (
            "listsockets",
            {
                "sockets": [
                    {"fd": 6, "name": "a", "host": "127.0.0.1", "port": 80, "backlog": 1},
                    {"fd": 7, "name": "b", "path": "/x", "backlog": 1},
                ]
            },
            "6:socket 'a' at 127.0.0.1:80\n7:socket 'b' at /x",
        ),
        (
            "stats",
            {"name": "web", "info": {"7": INFO}},
            "web:\n7: 7  sleep root 0 1.67M 2.53M 0.0 0.007 0:00.0",
        ),
        ("stats", {"infos": {"web": {"7": "gone"}, "x": {}}}, "web:\n7: gone\nx:"),
        ("stats", {"process": 7, "info": INFO}, "7: 7  sleep root 0 1.67M 2.53M 0.0 0.007 0:00.0\n"),
        (
            "stats",
            {"name": "web", "info": {"7": {**INFO, "children": [{**INFO, "pid": 8}]}}},
            "web:\n7: 7  sleep root 0 1.67M 2.53M 0.0 0.007 0:00.0\n   8  sleep root 0 1.67M 2.53M 0.0 0.007 0:00.0",
        ),
        ("dstats", {"info": INFO}, "Main Process:\n    7  sleep root 0 1.67M 2.53M 0.0 0.007 0:00.0"),
        ("ipython", {"shell": False, "msg": "no"}, "error: Could not start ipython kernel"),
        ("start", {"info": {"started": [1], "kept": []}}, "ok"),
        ("stop", {"info": None}, "ok"),
        ("ping", {"pong": True}, "pong"),
    ],
)
def test_on_a_pipe_the_text_is_the_original_one(command: str, reply: dict[str, Any], text: str) -> None:
    """Scripts that read the original's output read ours."""
    assert render.text_of(command, {"status": "ok", "time": 1.0, "id": 1, **reply}, PIPE) == text


def test_errors_read_as_the_original_ones() -> None:
    """With a prefix, save the one that never had it."""
    assert render.error_of("rm", "program x not found", PIPE) == "error: program x not found"
    assert (
        render.error_of("globaloptions", "'x' not an existing option", PIPE) == "'x' not an existing option"
    )


def inspected(**changes: Any) -> dict[str, Any]:
    process = {"wid": 1, "pid": 7, "state": "running", "since": 40.0, "started": 40.0, "starts": 1}
    watcher = {
        "name": "web",
        "state": "running",
        "status": "active",
        "detail": "",
        "explain": "The process runs.",
        "numprocesses": 2,
        "job": None,
        "processes": [process, {**process, "wid": 2, "pid": 8}],
        **changes,
    }
    return {"daemon": {"time": 100.0}, "watchers": [watcher], "lead": {"level": "calm"}}


def test_the_status_of_people_is_a_table() -> None:
    """One line for each watcher: state, how many run of how many, since when."""
    header, line = render.status_table(inspected(), PLAIN_TERMINAL).split("\n")
    assert header.split() == ["NAME", "STATE", "RUN", "SINCE"]
    assert line.split() == ["web", "active", "2/2", "60", "s"]


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        ("completed", "stopped", "completed"),
        ("exited", "stopped", "exited"),
        ("exited", "active", "active"),
        ("stopped", "stopped", "stopped"),
        ("failed", "stopped", "failed"),
        ("backoff", "active", "backoff"),
        ("waiting", "active", "waiting"),
        ("waiting", "starting", "starting"),
    ],
)
def test_our_word_stands_where_it_says_more(state: str, status: str, word: str) -> None:
    """That one has ended by itself, or waits, is told; of one that runs in part the original's word is."""
    reply = inspected(state=state, status=status)
    assert render.status_table(reply, PLAIN_TERMINAL).split("\n")[1].split()[1] == word
    assert render.watcher_text(reply, PLAIN_TERMINAL).startswith(f"web: {word}\n")


def test_a_watcher_in_trouble_says_what_comes_next() -> None:
    """The state, the detail, the next try, and the sentence of the daemon stand where they are seen."""
    failing = {"wid": 1, "pid": None, "state": "backoff", "since": 90.0, "next_try": 104.0, "starts": 3}
    reply = inspected(
        state="backoff",
        detail="1 in backoff",
        processes=[{**failing, "exit": {"text": "exited with code 1 after 0.4 s"}}],
        explain="Process 1 exited with code 1 after 0.4 s; it is tried again in 4 s.",
    )
    reply["lead"] = {"level": "needs", "title": "One thing needs you", "text": "web: it fails"}
    table = render.status_table(reply, PLAIN_TERMINAL)
    assert table.startswith("One thing needs you: web: it fails\n")
    assert "backoff" in table
    assert "1 in backoff, next try in 4 s" in table
    one = render.watcher_text(reply, PLAIN_TERMINAL)
    assert "it is tried again in 4 s." in one
    assert "exited with code 1 after 0.4 s, next try in 4 s" in one


def test_what_was_done_to_which_process_is_told_to_people() -> None:
    """A pipe gets ok as ever."""
    reply = {"info": {"stopped": [1], "started": [2, 3], "kept": []}}
    assert render.text_of("restart", reply, PLAIN_TERMINAL) == "ok (stopped 1; started 2, 3)"


HOSTILE = "a\x1b]0;x\x07\x1b[2J\nb\x9b31m\u202ec\udc80\x7f\t"


@pytest.mark.parametrize("style", [PIPE, TERMINAL])
@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("status", {"statuses": {HOSTILE: HOSTILE}}),
        ("status", {"status": HOSTILE}),
        ("list", {"watchers": [HOSTILE]}),
        ("get", {"options": {HOSTILE: HOSTILE, "env": {HOSTILE: HOSTILE}}}),
        ("listsockets", {"sockets": [{"fd": 1, "name": HOSTILE, "path": HOSTILE}]}),
        ("stats", {"infos": {HOSTILE: {HOSTILE: {**INFO, "cmdline": HOSTILE}, "8": HOSTILE}}}),
        ("stats", {"process": HOSTILE, "info": {**INFO, "username": HOSTILE, "children": [INFO]}}),
        ("dstats", {"info": {**INFO, "cmdline": HOSTILE}}),
        ("events", {"events": [{"time": 1, "event": HOSTILE, "watcher": HOSTILE, "text": HOSTILE}]}),
        (
            "output",
            {"lines": [{"time": 1, "watcher": HOSTILE, "wid": 1, "text": HOSTILE, "stream": "stderr"}]},
        ),
        (
            "sinks",
            {
                "time": 9.0,
                "sinks": [
                    dict.fromkeys(("watcher", "stream", "name", "place", "state", "failing"), HOSTILE)
                    | {"since": 1.0, "taken_bytes": 1}
                ],
            },
        ),
        ("rotate", {"rotated": [HOSTILE], "pending": [HOSTILE]}),
        ("reopen", {"reopened": [HOSTILE], "pending": []}),
        ("ping", {"version": HOSTILE, "pid": 1}),
        ("version", {"version": HOSTILE}),
        ("weblink", {"link": HOSTILE, "expires": 1}),
        ("numprocesses", {"numprocesses": HOSTILE}),
        ("incr", {"numprocesses": HOSTILE}),
        ("ipython", {"msg": HOSTILE}),
        (
            "keys",
            {"keys": [dict.fromkeys(("name", "role", "by", "public"), HOSTILE) | {"connections": [HOSTILE]}]},
        ),
        ("keys", {"keys": [{}], "server": HOSTILE}),
        (
            "addkey",
            {
                "key": {"name": HOSTILE, "role": HOSTILE},
                "server": HOSTILE,
                "endpoints": {"commands": HOSTILE},
            },
        ),
        ("addkey", {"key": {"name": HOSTILE}, "file": HOSTILE, "endpoints": {"commands": HOSTILE}}),
        ("newkey", {"name": HOSTILE, "file": HOSTILE, "public": HOSTILE, "made": True}),
        ("rmkey", {"ended": 2}),
    ],
)
def test_nothing_from_outside_commands_the_terminal(
    command: str, reply: dict[str, Any], style: Style
) -> None:
    """Escape sequences, line ends and characters that turn the text around come out as visible text."""
    assert_harmless(render.text_of(command, reply, style))


def test_tables_and_errors_command_nothing_either() -> None:
    """The tables of status, and the reason of an error."""
    reply = inspected(name=HOSTILE, detail=HOSTILE, explain=HOSTILE)
    reply["lead"] = {"level": "needs", "title": HOSTILE, "text": HOSTILE}
    reply["watchers"][0]["processes"][0]["state"] = "failed"
    reply["watchers"][0]["processes"][0]["exit"] = {"text": HOSTILE}
    for text in (
        render.status_table(reply, TERMINAL),
        render.watcher_text(reply, TERMINAL),
        render.error_of("rm", HOSTILE, TERMINAL),
    ):
        assert_harmless(text)


def assert_harmless(text: str) -> None:
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", bare), ascii(bare)


@given(st.text())
def test_a_clean_text_is_one_line_without_control(text: str) -> None:
    """Whatever the text, it can be printed, and letters stay as they are."""
    cleaned = clean(text)
    assert "\n" not in cleaned
    assert_harmless(cleaned)
    if text.isascii() and text.isprintable():
        assert cleaned == text


def test_a_line_keeps_its_colours_where_they_are_wanted() -> None:
    """Colours of a program pass on to a terminal that shows colours, and are taken out elsewhere."""
    line = "\x1b[31mred\x1b[0m\tplain\x1b[2J"
    assert clean_line(line, color=True) == "\x1b[31mred\x1b[0m\tplain\\x1b[2J\x1b[0m"
    assert clean_line(line) == "red\tplain\\x1b[2J"


def test_sentences_end_their_lines_between_words() -> None:
    """On a terminal that is narrower; on a pipe nothing is changed, and a long word stays whole."""
    text = "the connection to ipc:///run/circus/circus/commands.sock was closed before an answer"
    narrow = Style(terminal=True, width=40)
    assert prose(text, Style()) == text
    assert prose(text, narrow).split() == text.split()
    assert max(map(len, prose(text, narrow).split("\n"))) <= 40
    assert "x" * 90 in prose("x" * 90, narrow)
    assert render.error_of("stop", "a " * 40, narrow).startswith("error: a a")
    assert all(len(line) <= 40 for line in render.error_of("stop", "a " * 40, narrow).split("\n"))


def test_the_progress_of_a_long_name_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Wide letters count for the two cells that they take."""
    row = {"command": "restart", "watcher": "日本語" * 30, "done": 1, "total": 3}
    Progress(Style(terminal=True, width=40)).show(row)
    shown = capsys.readouterr().err
    assert shown.startswith("\rrestart 日本語") and shown.endswith("\x1b[K")
    assert width_of(shown.removeprefix("\r").removesuffix("\x1b[K")) < 40


def test_columns_align_and_are_cut_at_the_width() -> None:
    """Wide characters count twice, and no line is wider than the terminal."""
    assert columns([("a", "1"), ("long", "22")], PIPE, right=(1,)) == ["a      1", "long  22"]
    lines = columns([("名前", "x" * 100), ("ab", "y")], Style(terminal=True, width=20))
    assert all(width_of(line) <= 20 for line in lines)
    assert lines[1] == "ab    y"


def test_on_a_narrow_terminal_names_give_way_to_what_is_known_of_them() -> None:
    """State and numbers are seen beside a long name, and no line is wider than the terminal."""
    rows = [
        ["watcher-with-a-name-" * 3, "backoff", "10/12", "3 h 05", "exit code 1, and a long text"],
        ["名前" * 20, "active", "1/1", "4 s", ""],
    ]
    style = Style(terminal=True, width=40)
    lines = columns(rows, style, header=("NAME", "STATE", "RUN", "SINCE", ""), right=(2, 3))
    assert all(width_of(line) <= 40 for line in lines)
    assert "backoff  10/12  3 h 05" in lines[1]
    assert "active" in lines[2]
    assert lines[1].startswith("watch")


def test_a_message_keeps_its_lines_and_nothing_that_commands() -> None:
    """Errors hold words of daemons, peers and other machines."""
    problem = Unavailable("one\x1b[2J\ntwo", hint="\u202ethree")
    assert clean_message(problem) == "one\\x1b[2J\ntwo; \\u202ethree"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_help_fits_the_terminal(width: int) -> None:
    """Of circusctl and of each command; on a pipe a form is one line."""
    style = Style(terminal=True, width=width)
    rows = [row for row in COMMANDS if row.where != "door"]
    for text in (help_texts.overview(style), *(help_texts.of_command(row, style) for row in rows)):
        # An example is to be copied and stays as it is.
        lines = text.partition("\nExample:")[0].splitlines()
        assert [line for line in lines if width_of(line) > width] == []
    for row in rows:
        assert help_texts.of_command(row, PIPE).splitlines()[0] == f"usage: circusctl {usage(row)}"
        assert help_texts.as_data(row)["name"] == row.name
    json.dumps(help_texts.as_data(None))


def test_spans_and_sizes_are_short() -> None:
    """What a person reads at a glance."""
    assert [span(s) for s in (-1, 4, 119, 121, 7199, 11_100, 200_000)] == [
        "0 s",
        "4 s",
        "119 s",
        "2 min",
        "119 min",
        "3 h 05",
        "2 d 7 h",
    ]
    assert [size(n) for n in (0, 999, 1024, 9_800_000, 5e9, 5e12)] == [
        "0 B",
        "999 B",
        "1.0 KiB",
        "9.3 MiB",
        "4.7 GiB",
        "4.5 TiB",
    ]
    assert cut("abcdef", 4) == "abc…"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "no_color", "color"),
    [
        (Terminal(), {}, False, True),
        (Terminal(), {"NO_COLOR": "1"}, False, False),
        (Terminal(), {"TERM": "dumb"}, False, False),
        (Terminal(), {}, True, False),
        (io.StringIO(), {}, False, False),
        (io.StringIO(), {"CLICOLOR_FORCE": "1"}, False, True),
        (io.StringIO(), {"CLICOLOR_FORCE": "0"}, False, False),
        (io.StringIO(), {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours_are_where_they_are_wanted(
    stream: io.StringIO, environ: dict[str, str], no_color: bool, color: bool
) -> None:
    """A terminal has them unless it, the person or the environment says no; a pipe only when forced."""
    style = style_of(stream, environ, no_color=no_color)
    assert style.color is color
    assert style.terminal is isinstance(stream, Terminal)
