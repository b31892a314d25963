"""Files of variables: their dialect, their place among the other variables, and what is told of wrong ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from circusd.config.envfile import parse
from circusd.config.model import watcher_from_options, with_options
from circusd.config.problems import Place, Report
from circusd.schema.errors import ConfigError
from circusd.schema.options import CIRCUS, WATCHER, find
from tests.inifiles import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def told(text: str) -> list[str]:
    report = Report()
    parse(text, Place("x.env"), report)
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A = b", "b"),
        ("  export A=b", "b"),
        ("export\tA = b", "b"),
        ("A=", ""),
        ("A= # only a comment", ""),
        ("A=#fff", "#fff"),
        ("A=b # comment", "b"),
        ("A=b\t# comment", "b"),
        ("A=b#c", "b#c"),
        ("A=b c  ", "b c"),
        ("A=b=c", "b=c"),
        ("A=it's", "it's"),
        ("A='b c'", "b c"),
        ("A='b' # comment", "b"),
        ("A='$HOME \\n \"x\"'", '$HOME \\n "x"'),
        ("A=\"$HOME `x` 'y'\"", "$HOME `x` 'y'"),
        (r'A="a\nb\tc\rd"', "a\nb\tc\rd"),
        (r'A="\"\\\$\`"', '"\\$`'),
        (r'A="\q"', "\\q"),
        (r"A=\n", "\\n"),
        ('A="one\ntwo"', "one\ntwo"),
        ('A="one\r\ntwo"\r\n', "one\ntwo"),
        ('A="one \\\ntwo"', "one two"),
        ("A='one\n# two'\n", "one\n# two"),
        ("A=${B} $(circus.env.HOME)", "${B} $(circus.env.HOME)"),
        ("A=ä€", "ä€"),
        ('A=""', ""),
    ],
)
def test_a_value_is_what_its_line_says(text: str, value: str) -> None:
    """Each rule of the dialect; nothing is replaced."""
    report = Report()
    assert parse(f"# head\n\n{text}", Place(), report) == {"A": value}
    assert report.problems == []


@pytest.mark.parametrize("name", ["A", "_", "a1", "A_B", "spring.port", "a-b", "export", "exported"])
def test_names_that_programs_use_are_taken(name: str) -> None:
    """Letters, digits and _, and the dots and dashes of some frameworks."""
    assert parse(f"{name}=1", Place(), Report()) == {name: "1"}


def test_a_problem_has_its_line_and_no_value() -> None:
    """All lines are read, whatever is wrong with one; what may be a secret is not shown."""
    text = "A=1\nsecret\n1A=secret\nB='x' secret\nC=\"a\nb\" secret\n=secret\nD=sec\0ret\nE='secret\nF=1\n"
    assert told(text) == [
        "x.env:2: error: has no =; expected NAME=VALUE, or a comment with #",
        "x.env:3: error: is no name of a variable; expected letters, digits and _, with no digit first",
        "x.env:4: error: has something behind the closing quote; expected a comment with #, or nothing",
        "x.env:6: error: has something behind the closing quote; expected a comment with #, or nothing",
        "x.env:7: error: is no name of a variable; expected letters, digits and _, with no digit first",
        "x.env:8: error: D holds a NUL byte",
        "x.env:9: error: has a ' that is not closed",
    ]


def test_of_two_values_the_last_is_kept_and_told() -> None:
    """As in a shell."""
    report = Report()
    assert parse("A=1\nB=2\nA=3\n", Place("x.env"), report) == {"A": "3", "B": "2"}
    (problem,) = report.problems
    assert str(problem) == "x.env:3: warning: A is given again, after line 1; this value is kept"


@pytest.mark.parametrize(
    "text", ["A=" + " " * 300_000 + "x", " " * 300_000, 'A="' + "\\" * 300_001, "A='" + "\n" * 300_000]
)
def test_no_text_takes_long(text: str) -> None:
    """The time grows with the text, and not with its square: that would be minutes."""
    before = time.process_time()
    parse(text, Place(), Report())
    assert time.process_time() - before < 5


# Which files, and what wins


def test_explicit_variables_win_over_files_and_later_files_over_earlier_ones(files: Files) -> None:
    """[circus] env_file < the watcher's < [env] < [env:NAME]; relative to the main file's folder."""
    files.write("conf/all.env", "A=all\nB=all\nC=all\nD=all\nE=all\n")
    files.write("conf/one.env", "B=one\nC=one\nD=one\nE=one\n")
    files.write("conf/two.env", "C=two\nD=two\nE=two\n")
    text = (
        "[circus]\nenv_file = conf/all.env\n[env]\nD = env\nE = env\n[env:w*]\nE = pattern\n"
        "[watcher:web]\ncmd = x\nenv_file = conf/one.env conf/two.env\n[watcher:db]\ncmd = x\n"
        "[plugin:p]\nuse = a.B\nenv_file = conf/one.env\n"
    )
    configuration = files.good(text)
    db, web = configuration.watchers
    assert web.env == {"A": "all", "B": "one", "C": "two", "D": "env", "E": "pattern"}
    assert web.env_file == ("conf/one.env", "conf/two.env")
    assert db.env == {"A": "all", "B": "all", "C": "all", "D": "env", "E": "env"}
    assert configuration.env == db.env
    assert configuration.plugins[0].env == {"A": "all", "B": "one", "C": "one", "D": "env", "E": "env"}


def test_variables_of_files_can_be_named_in_values(files: Files) -> None:
    """As those of [env] can; $NAME in them stays as it stands."""
    files.write("all.env", "PORT=8000\nRAW=$HOME\n")
    files.write("web.env", "APP=shop\n")
    text = (
        "[circus]\nenv_file = all.env\n[env]\nURL = http://$(circus.env.PORT)\n"
        "[watcher:web]\ncmd = run $(circus.env.APP) $(circus.env.PORT)\nenv_file = web.env\n"
        "working_dir = /srv/$(circus.env.APP)\n[socket:s]\nport = $(circus.env.PORT)\n"
    )
    configuration = files.good(text, {})
    (web,) = configuration.watchers
    assert web.env == {"PORT": "8000", "RAW": "$HOME", "APP": "shop", "URL": "http://8000"}
    assert (web.cmd, web.working_dir, configuration.sockets[0].port) == ("run shop 8000", "/srv/shop", 8000)


def test_a_dash_lets_a_file_be_missing_and_not_be_wrong(files: Files) -> None:
    """Without it a missing file is an error where it is named."""
    files.write("bad.env", "what\n")
    text = "[watcher:a]\ncmd = x\nenv_file = -none.env -bad.env none.env\n"
    assert files.problems(text) == [
        "circus.ini:3: error: [watcher:a] env_file: none.env can't be read: No such file or directory",
        "bad.env:1: error: has no =; expected NAME=VALUE, or a comment with #",
    ]


def test_a_file_that_many_name_is_told_once(files: Files) -> None:
    """With its own line, for each of its problems."""
    files.write("bad.env", "A=1\nwhat\n")
    text = "[watcher:a]\ncmd = x\nenv_file = bad.env\n[watcher:b]\ncmd = x\nenv_file = bad.env\n"
    assert files.problems(text) == ["bad.env:2: error: has no =; expected NAME=VALUE, or a comment with #"]


def test_a_pipe_a_folder_and_a_device_are_refused_without_waiting(files: Files) -> None:
    """A reload never stands still, and never reads without an end."""
    os.mkfifo(files.folder / "pipe.env")
    (files.folder / "folder.env").mkdir()
    text = "[watcher:a]\ncmd = x\nenv_file = pipe.env folder.env /dev/zero\n"
    place = "circus.ini:3: error: [watcher:a] env_file: "
    assert files.problems(text) == [
        f"{place}pipe.env can't be read: it is no regular file",
        f"{place}folder.env can't be read: Is a directory",
        f"{place}/dev/zero can't be read: it is no regular file",
    ]


def test_a_file_of_another_encoding_or_too_large_is_an_error(files: Files) -> None:
    """With the line of the byte; a byte order mark is none."""
    files.write("latin.env", b"A=1\nB=\xe9\n")
    files.write("large.env", b"A=" + b"x" * (5 << 20))
    files.write("bom.env", b"\xef\xbb\xbfA=1\n")
    text = "[watcher:a]\ncmd = x\nenv_file = latin.env large.env bom.env\n"
    assert files.problems(text) == [
        "latin.env:2: error: the byte 0xe9 is not UTF-8; expected text in UTF-8",
        "large.env: error: is too large; expected 4 MiB at most",
    ]


def test_it_is_an_admins_and_no_command_changes_it() -> None:
    """What it names is read with the files; values that are there already may be given back."""
    for table in (CIRCUS, WATCHER):
        row = find(table, "env_file")
        assert row is not None
        assert (row.role, row.file_only) == ("admin", True)
    watcher = watcher_from_options("web", {"cmd": "x", "env_file": []})
    assert with_options(watcher, {"env_file": []}) == watcher
    with pytest.raises(ConfigError, match="can't be changed by a command"):
        with_options(watcher, {"env_file": ["x.env"]})
    with pytest.raises(ConfigError, match="can't be changed by a command"):
        watcher_from_options("web", {"cmd": "x", "env_file": "x.env"})
