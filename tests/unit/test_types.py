"""The types of option values: what they read, what they refuse and in which words, what they write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.schema import types
from circusd.schema.nearest import nearest
from circusd.schema.types import TYPES, ValueType
from circusd.schema.values import SIGNALS, signal_name

WIDGETS = set("text number switch select textarea duration bytes signal user path env command".split())


def by_id(row: ValueType) -> str:
    return row.name


@pytest.mark.parametrize("row", TYPES, ids=by_id)
def test_every_type_says_what_it_expects_and_how_it_is_edited(row: ValueType) -> None:
    """A message can name what was expected, and a form can show a widget, for every type."""
    assert row.expected
    assert row.widget in WIDGETS


def test_names_of_types_differ() -> None:
    """A type is found by its name."""
    assert len({row.name for row in TYPES}) == len(TYPES)


@pytest.mark.parametrize(
    ("row", "text", "value"),
    [
        (types.BOOL, "yes", True),
        (types.BOOL, "True", True),
        (types.BOOL, "ON", True),
        (types.BOOL, "1", True),
        (types.BOOL, "no", False),
        (types.BOOL, "FALSE", False),
        (types.BOOL, "off", False),
        (types.BOOL, "0", False),
        (types.COUNT, "3", 3),
        (types.NUMBER, "-5", -5),
        (types.RETRIES, "-1", -1),
        (types.PORT, "0", 0),
        (types.SECONDS, "30", 30.0),
        (types.SECONDS, "0.5", 0.5),
        (types.SECONDS, "250ms", 0.25),
        (types.SECONDS, "2m", 120.0),
        (types.SECONDS, "1.5 hours", 5400.0),
        (types.BYTES, "65536", 65536),
        (types.BYTES, "10M", 10 << 20),
        (types.BYTES, "1.5 KiB", 1536),
        (types.SIGNAL, "15", 15),
        (types.SIGNAL, "TERM", 15),
        (types.SIGNAL, "sigquit", 3),
        (types.SIGNAL, "SIGRTMIN+1", 35),
        (types.SIGNAL, "RTMAX-2", 62),
        (types.NICE, "-20", -20),
        (types.OOM_SCORE, "1000", 1000),
        (types.CPUS, "6, 0-3 2", (0, 1, 2, 3, 6)),
        (types.CPUS, "", ()),
        (types.IO_PRIORITY, "Idle", (3, 0)),
        (types.IO_PRIORITY, "best-effort 7", (2, 7)),
        (types.IO_PRIORITY, "realtime", (1, 4)),
        (types.STATUSES, "0", (0,)),
        (types.STATUSES, "75, term 0,0", (0, 75, -15)),
        (types.STATUSES, "", ()),
        (types.LADDER, "QUIT 30, term 2m,", ((3, 30.0), (15, 120.0))),
        (types.LADDER, "", ()),
        (types.USER, "www-data", "www-data"),
        (types.USER, "1000", 1000),
        (types.ENV, "A=1, B=2=3,", {"A": "1", "B": "2=3"}),
        (types.ENDPOINT, "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        (types.ENDPOINT, "tcp://[::1]:5555", "tcp://[::1]:5555"),
        (types.ENDPOINT, "tcp://*:5555", "tcp://*:5555"),
        (types.ENDPOINT, "ipc:///run/circus.sock", "ipc:///run/circus.sock"),
        (types.OCTAL, "022", 0o022),
        (types.OCTAL, "77", 0o77),
        (types.HOOK, "a.b.c", ("a.b.c", False)),
        (types.HOOK, "a.b.c,true", ("a.b.c", True)),
        (types.HOOK, "a.b:c, False", ("a.b:c", False)),
        (types.LIMIT, "", None),
        (types.LIMIT, "1024", 1024),
        (types.FAMILY, "inet6", "AF_INET6"),
        (types.SOCKET_TYPE, "SOCK_DGRAM", "SOCK_DGRAM"),
        (types.LEVEL, "INFO", "info"),
        (types.LEVEL, "warn", "warning"),
        (types.WORDS, "a.example, b.example c", ("a.example", "b.example", "c")),
        (types.PATHS, "conf.d/*.ini  more.ini", ("conf.d/*.ini", "more.ini")),
    ],
)
def test_a_text_is_read_as_its_value(row: ValueType, text: str, value: object) -> None:
    """Every form that files use is understood."""
    assert row.parse(text) == value


@pytest.mark.parametrize(
    ("row", "text", "words"),
    [
        (types.BOOL, "maybe", "neither yes nor no"),
        (types.BOOL, "", "neither yes nor no"),
        (types.COUNT, "many", "not a whole number"),
        (types.COUNT, "1_000", "not a whole number"),
        (types.COUNT, "٣", "not a whole number"),
        (types.COUNT, "-1", "less than 0"),
        (types.RETRIES, "-2", "less than -1"),
        (types.PORT, "65536", "more than 65535"),
        (types.SECONDS, "-1", "not a number of seconds"),
        (types.SECONDS, "nan", "not a number of seconds"),
        (types.SECONDS, "inf", "not a number of seconds"),
        (types.SECONDS, "3 weeks", "not a number of seconds"),
        (types.BYTES, "ten", "not a size"),
        (types.SIGNAL, "SIGTREM", "not a signal"),
        (types.SIGNAL, "0", "not a signal"),
        (types.SIGNAL, "65", "not a signal"),
        (types.SIGNAL, "32", "not a signal"),
        (types.SIGNAL, "TERM+1", "only SIGRTMIN and SIGRTMAX"),
        (types.SIGNAL, "RTMAX+1", "not a signal"),
        (types.USER, "no such user", "neither a name nor a number"),
        (types.USER, "-1", "neither a name nor a number"),
        (types.ENV, "A", "without ="),
        (types.ENV, "=1", "for a variable's name"),
        (types.ENDPOINT, "127.0.0.1:5555", "not an endpoint"),
        (types.ENDPOINT, "tcp://127.0.0.1", "not an endpoint"),
        (types.ENDPOINT, "tcp://127.0.0.1:99999", "a port above 65535"),
        (types.OCTAL, "089", "not an octal number"),
        (types.OCTAL, "7777", "more than 0777"),
        (types.DOTTED, "module", "not a dotted path"),
        (types.HOOK, "os.system('x')", "not a dotted path"),
        (types.HOOK, "a.b,perhaps", "neither yes nor no"),
        (types.LIMIT, "-7", "not a limit"),
        (types.FAMILY, "AF_X25", "none of them"),
        (types.OVERFLOW, "drop", "none of them"),
        (types.PATH, "a\0b", "a NUL byte"),
        (types.NICE, "20", "is more than 19"),
        (types.CPUS, "3-1", "is no list of processors"),
        (types.CPUS, "0-9000", "has one above 8191"),
        (types.IO_PRIORITY, "idle 3", "is no I/O priority"),
        (types.IO_PRIORITY, "best-effort 8", "is no I/O priority"),
        (types.STATUSES, "256", "holds an exit code above 255"),
        (types.STATUSES, "FOO", "is not a signal"),
        (types.LADDER, "TERM", "has a step that is not a signal with seconds"),
        (types.LADDER, ",".join(["TERM 1"] * 11), "has more than 10 steps"),
    ],
)
def test_a_wrong_text_is_refused_in_words(row: ValueType, text: str, words: str) -> None:
    """The words of the error follow the quoted value in a sentence."""
    with pytest.raises(ValueError, match=words):
        row.parse(text)


@pytest.mark.parametrize(
    ("row", "value", "read"),
    [
        (types.BOOL, True, True),
        (types.BOOL, 0, False),
        (types.BOOL, "yes", True),
        (types.COUNT, 3, 3),
        (types.COUNT, 3.0, 3),
        (types.COUNT, "3", 3),
        (types.SECONDS, 3, 3.0),
        (types.SECONDS, "2.5", 2.5),
        (types.SIGNAL, 9, 9),
        (types.SIGNAL, "QUIT", 3),
        (types.USER, 33, 33),
        (types.ENV, {"A": "1", "B": 2}, {"A": "1", "B": "2"}),
        (types.ENV, "A=1,B=2", {"A": "1", "B": "2"}),
        (types.ARGS, ["--port", 8080], ("--port", "8080")),
        (types.ARGS, "--port 8080", "--port 8080"),
        (types.LIMIT, None, None),
        (types.LIMIT, 100, 100),
        (types.LIMIT, "100", 100),
        (types.HOOK, ["a.b", True], ("a.b", True)),
        (types.HOOK, {"path": "a.b"}, ("a.b", False)),
        (types.OCTAL, 18, 0o22),
        (types.TEXT, 5, "5"),
        (types.WORDS, ["a", "b"], ("a", "b")),
        (types.BYTES, "2K", 2048),
        (types.CPUS, [0, "2-3"], (0, 2, 3)),
        (types.CPUS, 5, (5,)),
        (types.STATUSES, [75, "TERM", 0], (0, 75, -15)),
        (types.STATUSES, 3, (3,)),
        (types.LADDER, [["QUIT", 30], [15, "5"]], ((3, 30.0), (15, 5.0))),
    ],
)
def test_json_is_read_as_clients_send_it(row: ValueType, value: object, read: object) -> None:
    """A command takes the value itself or its text."""
    assert row.from_json(value) == read


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (types.COUNT, True),
        (types.COUNT, 1.5),
        (types.COUNT, None),
        (types.SECONDS, float("nan")),
        (types.SECONDS, float("inf")),
        (types.SECONDS, -1),
        (types.SECONDS, True),
        (types.BOOL, 2),
        (types.BOOL, None),
        (types.SIGNAL, True),
        (types.SIGNAL, []),
        (types.USER, -1),
        (types.ENV, {"A": ["x"]}),
        (types.ENV, {"A=B": "x"}),
        (types.ENV, ["A=1"]),
        (types.ARGS, [["nested"]]),
        (types.ARGS, 5),
        (types.TEXT, {}),
        (types.TEXT, None),
        (types.WORDS, [1]),
        (types.HOOK, {}),
        (types.LIMIT, 1.5),
        (types.OCTAL, 0o1000),
    ],
)
def test_json_of_another_kind_is_refused(row: ValueType, value: object) -> None:
    """Whatever a client sends, the only exception is a ValueError with words."""
    with pytest.raises(ValueError, match=r"\w"):
        row.from_json(value)


@pytest.mark.parametrize("row", TYPES, ids=by_id)
@given(text=st.text(max_size=30))
def test_what_is_written_is_read_back(row: ValueType, text: str) -> None:
    """For any text a type reads, its own way of writing the value reads as the same value."""
    try:
        value: Any = row.parse(text)
    except ValueError:
        return
    assert row.parse(row.format(value)) == value


@pytest.mark.parametrize(
    ("row", "value", "text"),
    [
        (types.SECONDS, 30.0, "30"),
        (types.SECONDS, 0.1, "0.1"),
        (types.BYTES, 256 << 20, "256M"),
        (types.BYTES, 1000, "1000"),
        (types.SIGNAL, 15, "SIGTERM"),
        (types.SIGNAL, 36, "SIGRTMIN+2"),
        (types.OCTAL, 0o22, "022"),
        (types.ARGS, ("a b", "it's", "-x"), "'a b' 'it'\"'\"'s' -x"),
        (types.HOOK, ("a.b", True), "a.b,true"),
        (types.LIMIT, None, ""),
        (types.CPUS, (0, 1, 2, 4, 6, 7), "0-2,4,6-7"),
        (types.IO_PRIORITY, (2, 7), "best-effort 7"),
        (types.IO_PRIORITY, (3, 0), "idle"),
        (types.STATUSES, (0, 75, -15), "0 75 SIGTERM"),
        (types.LADDER, ((3, 30.0), (15, 0.5)), "SIGQUIT 30, SIGTERM 0.5"),
    ],
)
def test_values_are_written_as_people_write_them(row: ValueType, value: object, text: str) -> None:
    """Forms and files show the usual spelling."""
    assert row.format(value) == text


def test_every_signal_has_a_name_that_reads_back() -> None:
    """From 1 to 64 each number's name is read as that number."""
    for number in set(range(1, 65)) - {32, 33}:
        assert types.SIGNAL.parse(signal_name(number)) == number
    assert signal_name(SIGNALS["SIGTERM"]) == "SIGTERM"


@pytest.mark.parametrize(
    ("name", "names", "near"),
    [
        ("working_directory", ("working_dir", "cmd"), "working_dir"),
        ("numproceses", ("numprocesses", "cmd"), "numprocesses"),
        ("num_processes", ("numprocesses",), "numprocesses"),
        ("Cmd", ("cmd", "uid"), "cmd"),
        ("cdm", ("cmd", "uid", "gid"), "cmd"),
        ("SIGTREM", ("SIGTERM", "SIGTRAP"), "SIGTERM"),
        ("pid", ("uid", "gid", "cmd"), None),
        ("colour_of_roof", ("color", "cmd"), None),
        ("", ("cmd",), None),
        ("db", ("web", "api"), None),
    ],
)
def test_the_nearest_name_is_found_or_none(name: str, names: tuple[str, ...], near: str | None) -> None:
    """A slip finds its name; a name of one's own finds nothing."""
    assert nearest(name, names) == near
