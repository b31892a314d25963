"""The line of circusctl: what the original's scripts say is understood, and what is wrong is told."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from circusd.cli import arguments
from circusd.cli import help as texts
from circusd.cli.arguments import Usage, WrongArguments
from circusd.cli.terminal import Style
from circusd.schema.commands import COMMANDS
from circusd.schema.errors import BadRequest, CircusError
from circusd.schema.options import WATCHER


def properties(line: str) -> dict[str, Any]:
    return arguments.read(shlex.split(line)).properties


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("status", {}),
        ("STATUS web", {"name": "web"}),
        ("incr web", {"name": "web"}),
        ("incr web 3", {"name": "web", "nb": 3}),
        ("get web numprocesses env", {"name": "web", "keys": ["numprocesses", "env"]}),
        ("kill web 12", {"name": "web", "pid": 12}),
        ("kill web --signum 9 --graceful_timeout 2.5", {"name": "web", "signum": 9, "graceful_timeout": 2.5}),
        ("kill web --graceful-timeout=2", {"name": "web", "graceful_timeout": 2.0}),
        ("rm web --nostop", {"name": "web", "nostop": True}),
        ("reload web --terminate", {"name": "web", "graceful": False}),
        ("reload --sequential", {"sequential": True}),
        ("reload --seq", {"sequential": True}),
        ("stats web 12 --extended", {"name": "web", "process": 12, "extended": True}),
        ("restart --match regex 'w.*'", {"name": "w.*", "match": "regex"}),
        ("tail -fn5 -t web db", {"names": ["web", "db"], "follow": True, "lines": 5, "timestamps": True}),
        ("listen watcher.web.", {"topic": ["watcher.web."]}),
    ],
)
def test_a_line_becomes_the_properties_of_the_request(line: str, expected: dict[str, Any]) -> None:
    """Words and flags end up under the names that the wire has for them."""
    assert properties(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "signal web 12 HUP --children --recursive",
        "signal --children web 12 HUP --recursive",
        "signal web --recursive 12 --children HUP",
        "signal web 12 -HUP --children --recursive",
    ],
)
def test_flags_of_signal_may_stand_anywhere(line: str) -> None:
    """The original refused a flag between the words."""
    assert properties(line) == {
        "name": "web",
        "pid": 12,
        "signum": "HUP",
        "children": True,
        "recursive": True,
    }


def test_one_word_before_the_signal_is_no_pid() -> None:
    """The signal is what must be there; the pid is what may stand between."""
    assert properties("signal web 9") == {"name": "web", "signum": 9}
    assert properties("signal web -9") == {"name": "web", "signum": 9}


@pytest.mark.parametrize(
    ("line", "cmd", "start"),
    [
        ("add w 'sleep 5 && true'", "sleep 5 && true", None),
        ("add w sh -c 'echo \"a b\"; sleep 1'", "sh -c 'echo \"a b\"; sleep 1'", None),
        ("add --start w gunicorn --bind fd://3 --json -e x", "gunicorn --bind fd://3 --json -e x", True),
        ("add w 'python app.py' --start", "python app.py", True),
        ("add w sleep 5 --start", "sleep 5", True),
        ("add w -- server --start", "server --start", None),
        ("add w server --help", "server --help", None),
    ],
)
def test_the_command_to_run_is_kept_as_it_was_quoted(line: str, cmd: str, start: bool | None) -> None:
    """Words stay words, options behind the command are the command's, and a flag of ours may stand last."""
    got = properties(line)
    assert got["cmd"] == cmd
    assert got.get("start") is start


def test_waiting_has_two_names_and_is_no_property() -> None:
    """--wait is --waiting, and the request gets it where it belongs."""
    for flag in ("--wait", "--waiting"):
        line = arguments.read(["stop", flag, "web"])
        assert line.waiting
        assert line.properties == {"name": "web"}


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        ("keys", "keys", {}),
        ("keys --json", "keys", {}),
        ("keys add laptop --role operator", "addkey", {"name": "laptop", "role": "operator"}),
        ("KEYS Rm laptop", "rmkey", {"name": "laptop"}),
        ("addkey laptop", "addkey", {"name": "laptop"}),
        ("--key a.key keys new rm --out b.key", "newkey", {"name": "rm", "out": "b.key"}),
    ],
)
def test_two_words_may_name_a_command(line: str, name: str, expected: dict[str, Any]) -> None:
    """``keys add`` is ``addkey``; a word that makes no other command of ``keys`` is told with those that do."""
    found = arguments.read(line.split())
    assert found.row is not None
    assert (found.row.name, found.properties) == (name, expected)
    with pytest.raises(WrongArguments, match=r"keys \[add\|new\|rm \.\.\.\]"):
        arguments.read(["keys", "list"])


def test_options_of_circusctl_may_stand_before_or_behind() -> None:
    """Scripts put them before, people behind."""
    for words in (["--json", "--timeout", "3", "reload"], ["reload", "--json", "--timeout=3"]):
        assert arguments.read(words).options == {"json": True, "timeout": 3.0}


def test_values_of_set_are_typed_by_the_option_table() -> None:
    """Numbers, switches, signals and environments go as what they are, not as text."""
    assert properties(
        "set web NUMPROCESSES 3 max_age 60 send_hup yes stop_signal QUIT env A=1,B=2 uid www"
    ) == {
        "name": "web",
        "options": {
            "numprocesses": 3,
            "max_age": 60,
            "send_hup": True,
            "stop_signal": 3,
            "env": {"A": "1", "B": "2"},
            "uid": "www",
        },
    }
    assert properties("set web hooks before_start:a.b,after_stop:c.d")["options"] == {
        "hooks.before_start": "a.b",
        "hooks.after_stop": "c.d",
    }


@pytest.mark.parametrize(
    ("line", "kind", "told"),
    [
        ("statuss", Usage, "did you mean status"),
        ("statu", Usage, "did you mean status"),
        ("--tmeout 3 list", Usage, "did you mean --timeout"),
        ("list --nope", Usage, "list has no option --nope"),
        ("list -z", Usage, "list has no option -z"),
        ("kill web --signum", Usage, "--signum needs a value"),
        ("list --json=1", Usage, "takes no value"),
        ("follow x", Usage, "no command is named"),
        ("list a b", WrongArguments, "Invalid number of arguments"),
        ("get web", WrongArguments, "Invalid number of arguments"),
        ("add web", WrongArguments, "Invalid number of arguments"),
        ("set web a", WrongArguments, "Invalid number of arguments|key/values"),
        ("set web a b c", WrongArguments, "key/values"),
        ("incr web many", WrongArguments, "'many' is not a whole number"),
        ("kill web --graceful_timeout soon", WrongArguments, "'soon' is not a number of seconds"),
        ("stop web --match golb", WrongArguments, "did you mean glob"),
        ("set web numproceses 3", BadRequest, "did you mean numprocesses"),
        ("set web numprocesses many", BadRequest, "expected a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_what_was_probably_meant(
    line: str, kind: type[CircusError], told: str
) -> None:
    """Unknown names come with the nearest one, wrong values with what is expected."""
    with pytest.raises(kind, match=told):
        properties(line)


def test_stop_passes_over_more_names_as_the_original_and_says_so() -> None:
    """A script that has them goes on as before; a person learns that they did nothing."""
    line = arguments.read(["stop", "web", "db"])
    assert line.properties == {"name": "web"}
    assert "db" in line.notes[0]


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.where != "door"], ids=lambda row: row.name)
def test_every_example_is_a_line_that_is_understood(row: Any) -> None:
    """The examples of the table can be typed as they stand, and help has them."""
    words = shlex.split(row.example)
    assert words[0] == "circusctl"
    assert arguments.read(words[1:]).row is row
    help_text = texts.of_command(row, Style())
    assert row.example in help_text
    for field in row.args:
        if field.type == "bool" and field.default is True:
            continue
        if field.positional or field.type not in ("json", "object"):
            assert (field.metavar or field.flag or field.name) in help_text


def test_the_overview_has_every_command() -> None:
    """Commands of people are listed with their summaries, those of programs are not."""
    overview = texts.overview(Style())
    for row in COMMANDS:
        assert (row.summary in overview) == (row.where != "door")


@pytest.mark.parametrize(
    ("line", "cmd", "options"),
    [
        (
            "add --numprocesses 3 --working-dir /srv --env A=1 --env B=x,y=z web sleep 9",
            "sleep 9",
            {"numprocesses": 3, "working_dir": "/srv", "env": {"A": "1", "B": "x,y=z"}},
        ),
        (
            "add web --stdout-stream.filename /x/y --stderr_stream.max-bytes=5M --graceful_timeout 2m sleep 9",
            "sleep 9",
            {"stdout_stream.filename": "/x/y", "stderr_stream.max_bytes": 5 << 20, "graceful_timeout": 120},
        ),
        ("add web 'sleep 9' --copy-env --no-respawn", "sleep 9", {"copy_env": True, "respawn": False}),
        (
            "add web 'sleep 9' --copy_env=no --rlimit-nofile 99",
            "sleep 9",
            {"copy_env": False, "rlimit_nofile": 99},
        ),
        (
            "add --stop-signal INT web -- sh -c 'echo \"a  b\"' --numprocesses 3",
            "sh -c 'echo \"a  b\"' --numprocesses 3",
            {"stop_signal": 2},
        ),
        ("add web redis-server --numprocesses 3", "redis-server --numprocesses 3", None),
        (
            "add --hooks.before-start mod.function,true web x",
            "x",
            {"hooks.before_start": "mod.function,true"},
        ),
    ],
)
def test_every_option_of_a_watcher_is_a_flag_of_add(line: str, cmd: str, options: Any) -> None:
    """In both spellings, typed by the option table; behind the command they are the command's, unless it is one line."""
    found = properties(line)
    assert found["cmd"] == cmd
    assert found.get("options") == options


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("add web ./server --numprocesses 3", "--numprocesses"),
        ("add web ./server --start --no-respawn --start -v --copy_env", "--start --no-respawn --copy_env"),
        ("add web ./server --start", ""),
        ("add web -- ./server --numprocesses 3", ""),
        ("add web './server -v' --numprocesses 3", ""),
        ("add --numprocesses 3 web gunicorn --bind :80 --workers 4 --help", ""),
    ],
)
def test_arguments_of_a_command_that_could_be_ours_are_named(line: str, named: str) -> None:
    """They are the command's all the same; nothing is said where it was said whose they are, or nobody else could have them."""
    read = arguments.read(shlex.split(line))
    if not named:
        assert read.notes == []
        return
    (note,) = read.notes
    assert re.match(f"behind ./server, {named} (is|are) its own argument", note)
    assert note.split(" before ")[1].startswith("web ")
    assert "options" not in read.properties
    assert all(word in read.properties["cmd"] for word in named.split())


def test_each_row_of_the_option_table_is_offered() -> None:
    """The help of add names every option that a file can have."""
    shown = texts.of_command(arguments.command_named("add"), Style())
    for option in WATCHER:
        if not (option.legacy or option.file_only or option.name == "cmd"):
            assert f"{option.name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("add --numproceses 3 web x", "did you mean --numprocesses?"),
        ("add --directory x web x", "did you mean --working-dir?"),
        ("add --numprocesses many web x", "--numprocesses: 'many' is not a whole number"),
        ("add --env A web x", "'A' is not NAME=VALUE"),
        ("add --copy-env=maybe web x", "expected yes, true, on, 1 or no"),
        ("add web --numprocesses", "--numprocesses needs a value"),
    ],
)
def test_a_wrong_option_of_add_is_told_as_in_a_file(line: str, text: str) -> None:
    """With what was expected, or the nearest right name."""
    with pytest.raises((Usage, WrongArguments)) as caught:
        properties(line)
    assert text in str(caught.value)
