"""The option tables: whole, without contradictions, and the same as the typed model."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from circusd.config.records import CircusConfig, PluginConfig, SocketConfig, WatcherConfig
from circusd.schema.options import (
    APPLIES,
    CIRCUS,
    PLUGIN,
    SOCKET,
    STREAM,
    STREAM_CLASSES,
    TABLES,
    WATCHER,
    Option,
    find,
    near_miss,
    stream_class,
    stream_option,
    watcher_option,
)

ROWS = [
    *(option for table in TABLES.values() for option in table),
    *(option for row in STREAM_CLASSES for option in row.options),
]


def by_id(option: Option) -> str:
    return f"{option.section}.{option.name}"


@pytest.mark.parametrize("option", ROWS, ids=by_id)
def test_every_option_is_documented_and_complete(option: Option) -> None:
    """Each row has a text, a known way to take effect, a role, and a section that has its table."""
    assert option.doc.endswith(".")
    assert option.apply in APPLIES
    assert option.role in ("operator", "admin")
    assert option.section in TABLES
    assert option.since


@pytest.mark.parametrize("option", ROWS, ids=by_id)
def test_defaults_are_values_of_their_type(option: Option) -> None:
    """A default that is given can be written as text and is read back from it."""
    if option.default is not None and not option.legacy:
        assert option.type.parse(option.type.format(option.default)) == option.default


@pytest.mark.parametrize("option", [row for row in ROWS if row.legacy or not row.effective], ids=by_id)
def test_options_without_effect_say_so(option: Option) -> None:
    """Whoever sets such an option is told what becomes of it."""
    assert "accepted" in option.told


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_no_name_stands_twice_in_a_table(table: tuple[Option, ...]) -> None:
    """Names and the names of other programs are unique, and none is both."""
    names = [option.name for option in table]
    other = [name for option in table for name in option.aka]
    assert len({*names, *other}) == len(names) + len(other)


def defaults(model: type) -> dict[str, Any]:
    """Names and defaults of a dataclass."""
    return {
        field.name: field.default_factory()
        if field.default_factory is not dataclasses.MISSING
        else None
        if field.default is dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(model)
    }


@pytest.mark.parametrize(
    ("table", "model", "own"),
    [
        (CIRCUS, CircusConfig, set()),
        (SOCKET, SocketConfig, {"name"}),
        (WATCHER, WatcherConfig, {"name", "rlimits", "hooks", "stdout_stream", "stderr_stream", "extras"}),
        (PLUGIN, PluginConfig, {"name", "options", "watcher_options", "env"}),
    ],
    ids=["circus", "socket", "watcher", "plugin"],
)
def test_the_model_has_the_options_of_the_table(
    table: tuple[Option, ...], model: type, own: set[str]
) -> None:
    """Each option is an attribute with the same default, and each attribute an option."""
    rows = {option.name: option.default for option in table if not option.legacy and not option.pattern}
    attributes = {name: value for name, value in defaults(model).items() if name not in own}
    assert attributes == rows


def test_what_decides_which_code_runs_is_an_admins() -> None:
    """The options that a broken console must not be able to set belong to the role admin."""
    admins = (
        "cmd args shell shell_args executable working_dir uid gid env copy_env copy_path virtualenv hooks.before_start "
        "stdout_stream.class stdout_stream.filename stderr_stream.filename stdout_stream.what_ever"
    ).split()
    operators = "numprocesses graceful_timeout max_retry stop_signal priority stdout_stream.max_bytes rlimit_nofile".split()
    roles = {name: getattr(watcher_option(name), "role", None) for name in (*admins, *operators)}
    assert roles == {**dict.fromkeys(admins, "admin"), **dict.fromkeys(operators, "operator")}


def test_values_of_the_environment_are_secret() -> None:
    """Masking is by the table, and the environment is in it."""
    assert [option.name for option in WATCHER if option.secret] == ["env"]


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("cmd", "cmd"),
        ("rlimit_nofile", "rlimit_NAME"),
        ("hooks.before_start", "hooks.NAME"),
        ("stdout_stream.class", "stdout_stream.NAME"),
        ("rlimit_", None),
        ("hooks.", None),
        ("Cmd", None),
        ("flapping.window", None),
    ],
)
def test_a_key_finds_its_row(key: str, row: str | None) -> None:
    """Patterns match what follows their prefix; names keep their case."""
    option = find(WATCHER, key)
    assert (option.name if option else None) == row


def test_a_streams_key_finds_the_row_of_the_stream() -> None:
    """Type, role and text of ``stdout_stream.max_bytes`` are those of the stream's own option."""
    option = watcher_option("stderr_stream.max_bytes")
    assert option is not None
    assert (option.name, option.section, option.unit) == ("stderr_stream.max_bytes", "watcher", "bytes")
    assert stream_option("color", "FileStream") is None
    assert stream_option("color", "circus.stream.FancyStdoutStream") is not None
    assert stream_class("my.own.Stream") is None
    assert {option.name for option in STREAM} >= {"class", "queue_bytes", "overflow"}


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("working_directory", "working_dir"),
        ("workingdir", "working_dir"),
        ("command", "cmd"),
        ("user", "uid"),
        ("numproceses", "numprocesses"),
        ("Numprocesses", "numprocesses"),
        ("hook.before_start", "hooks.before_start"),
        ("stdout_streams.filename", "stdout_stream.filename"),
        ("stdout_steam.class", "stdout_stream.class"),
        ("rlimits_nofile", "rlimit_nofile"),
        ("rlimit.nofile", "rlimit_nofile"),
        ("flapping.window", None),
        ("flapping.max_retry", None),
        ("my.cmd", None),
        ("color", None),
        ("team", None),
        ("respawn_budget_per_hour", None),
        ("pid", None),
        ("x_working_dir_hint", None),
    ],
)
def test_near_misses_are_hinted_and_free_keys_left_alone(key: str, near: str | None) -> None:
    """A slip of a known name is found; keys for plugins and for oneself are not."""
    assert near_miss(WATCHER, key) == near
