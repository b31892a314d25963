"""Watchers from options and back: ``add``, ``set`` and ``options``."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.config.model import (
    HookConfig,
    PluginConfig,
    WatcherConfig,
    describe,
    plugin_watcher,
    watcher_from_options,
    with_options,
)
from circusd.schema.errors import ConfigError
from circusd.schema.options import WATCHER

WEB = WatcherConfig("web", "run --fast")


def refusal(options: Mapping[str, object], watcher: WatcherConfig = WEB) -> list[str]:
    """What `set` answers to these changes, with the section cut off."""
    with pytest.raises(ConfigError) as caught:
        with_options(watcher, options)
    return [str(problem).removeprefix("[watcher:web] ") for problem in caught.value.problems]


def test_a_watcher_is_made_of_json_options() -> None:
    """Numbers, texts, lists and objects, as clients of the original send them."""
    watcher = watcher_from_options(
        "web",
        {
            "cmd": "run",
            "args": ["--port", 80],
            "numprocesses": "3",
            "warmup_delay": 0.5,
            "stop_signal": "INT",
            "env": {"A": "1"},
            "rlimit_nofile": 500,
            "rlimit_core": None,
            "hooks": {"before_start": "a.b"},
            "hooks.after_stop": "a.c,true",
            "stdout_stream": {"class": "FileStream", "filename": "/log", "max_bytes": 100},
            "stderr_stream.class": "StdoutStream",
            "use_sockets": True,
            "retry_in": 3,
        },
    )
    assert (watcher.name, watcher.cmd, watcher.args) == ("web", "run", ("--port", "80"))
    assert (watcher.numprocesses, watcher.warmup_delay, watcher.stop_signal) == (3, 0.5, 2)
    assert watcher.rlimits == {"nofile": 500, "core": None}
    assert watcher.hooks == {
        "before_start": HookConfig("a.b"),
        "after_stop": HookConfig("a.c", ignore_failure=True),
    }
    assert watcher.stdout_stream is not None
    assert watcher.stdout_stream.options["max_bytes"] == 100
    assert watcher.stderr_stream is not None
    assert watcher.stderr_stream.classname == "StdoutStream"
    assert watcher.extras == {}


def test_all_problems_of_a_command_are_raised_at_once() -> None:
    """In the words of a file's problems."""
    with pytest.raises(ConfigError) as caught:
        watcher_from_options("web", {"numprocesses": "many", "working_directory": "/", "stop_signal": "KIL"})
    assert str(caught.value).split("\n") == [
        '[watcher:web] numprocesses: "many" is not a whole number; expected a whole number, 0 to 10000',
        "[watcher:web] working_directory: unknown key 'working_directory'; did you mean working_dir?",
        (
            '[watcher:web] stop_signal: "KIL" is not a signal; expected a signal\'s name or number, such as TERM, SIGQUIT, '
            "15 or SIGRTMIN+1; did you mean SIGKILL?"
        ),
        "[watcher:web] cmd: is missing; expected the command to run",
    ]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b"])
def test_a_watcher_needs_a_name_that_can_be_shown(name: str) -> None:
    """Nothing is accepted and then not made."""
    with pytest.raises(ConfigError):
        watcher_from_options(name, {"cmd": "run"})


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("numprocesses", 7, 7),
        ("numprocesses", "0", 0),
        ("graceful_timeout", "1.5", 1.5),
        ("max_retry", -1, -1),
        ("respawn", False, False),
        ("singleton", "true", True),
        ("copy_env", True, True),
        ("close_child_stdout", True, True),
        ("max_age", 60, 60),
        ("priority", -5, -5),
        ("uid", "1000", 1000),
        ("uid", None, None),
        ("working_dir", "/srv", "/srv"),
        ("working_dir", "", None),
        ("env", "A=1,B=2", {"A": "1", "B": "2"}),
        ("backoff", 2, 2),
        ("hook_timeout", "1m", 60),
        ("args", "x 'y z'", "x 'y z'"),
    ],
)
def test_every_option_can_be_set(key: str, value: object, stored: object) -> None:
    """None is answered ok and then ignored."""
    assert getattr(with_options(WEB, {key: value}), key) == stored


def test_what_is_not_changed_stays() -> None:
    """`set` gives the same watcher but for the keys of the command."""
    before = watcher_from_options(
        "web", {"cmd": "x", "hooks.before_start": "a.b", "stdout_stream.filename": "/l"}
    )
    after = with_options(before, {"numprocesses": 2})
    assert with_options(after, {"numprocesses": 1}) == before
    assert with_options(before, {}) == before


def test_hooks_and_limits_are_set_one_by_one_or_together() -> None:
    """By their own keys, as an object, and as the original's command line writes several; nothing takes one away."""
    watcher = with_options(WEB, {"hooks.before_start": "a.b", "rlimit_NOFILE": "9"})
    assert watcher.rlimits == {"nofile": 9}
    watcher = with_options(watcher, {"hooks": "before_spawn:a.c,after_spawn:a.d"})
    assert set(watcher.hooks) == {"before_start", "before_spawn", "after_spawn"}
    assert set(with_options(watcher, {"hooks.before_start": ""}).hooks) == {"before_spawn", "after_spawn"}
    assert with_options(watcher, {"hooks": None}).hooks == {}


def test_a_stream_is_changed_option_by_option() -> None:
    """The class stays when only the file changes; a new class keeps what it has too; a whole object replaces all."""
    watcher = with_options(
        WEB, {"stdout_stream.class": "TimedRotatingFileStream", "stdout_stream.filename": "/a/b"}
    )
    watcher = with_options(watcher, {"stdout_stream.filename": "/a/c", "stdout_stream.backup_count": "3"})
    assert watcher.stdout_stream is not None
    assert watcher.stdout_stream.classname == "TimedRotatingFileStream"
    assert watcher.stdout_stream.options["filename"] == "/a/c"
    changed = with_options(watcher, {"stdout_stream.class": "FileStream"})
    assert changed.stdout_stream is not None
    assert changed.stdout_stream.options["backup_count"] == 3
    assert "rotate_when" not in changed.stdout_stream.options
    whole = with_options(watcher, {"stdout_stream": {"filename": "/d"}})
    assert whole.stdout_stream is not None
    assert (whole.stdout_stream.classname, whole.stdout_stream.options["backup_count"]) == ("FileStream", 0)
    assert with_options(watcher, {"stdout_stream": None}).stdout_stream is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "red"}, "colour: unknown key 'colour'"),
        ({"name": "other"}, "name: unknown key 'name'"),
        ({"cmd": ""}, "cmd: is missing; expected the command to run"),
        ({"cmd": "a 'b"}, "cmd: has a quote that is not closed; \\' stands for one"),
        (
            {"numprocesses": True},
            'numprocesses: "True" is not a whole number; expected a whole number, 0 to 10000',
        ),
        (
            {"numprocesses": 2, "singleton": True},
            "numprocesses: 2 processes of a singleton; expected 0 or 1, or singleton off",
        ),
        (
            {"warmup_delay": None},
            'warmup_delay: "None" is not given; expected a number of seconds, such as 30, 0.5 or 2m',
        ),
        ({"stdout_stream.max_bytes": 5}, None),
        ({"stdout_stream": 5}, "stdout_stream: is not an object; expected an object of options"),
        ({"stdout_stream.filename": "/x", "stdout_stream.maxbytes": 5}, None),
        ({"hooks.before_strat": "a.b"}, None),
        ({"hooks": 5}, None),
        ({"rlimit_files": 5}, None),
        ({"env": {"A": []}}, None),
    ],
)
def test_a_wrong_change_is_refused_in_words(changes: dict[str, object], words: str | None) -> None:
    """Unknown keys, wrong values, and values that don't go together; one problem each."""
    (told,) = refusal(changes)
    if words is not None:
        assert told == words


def test_a_secret_value_is_not_in_the_problem() -> None:
    """The environment's values are masked where they are wrong, too."""
    (told,) = refusal({"env": "A=1,hunter2"})
    assert "***" in told
    assert "hunter2" not in told


def test_options_are_described_as_json() -> None:
    """Every option of the table by its name, whole numbers as such, families by their keys, free keys as they are."""
    watcher = watcher_from_options(
        "web",
        {
            "cmd": "x",
            "args": ["a", "b"],
            "hooks.before_start": "a.b,true",
            "rlimit_nofile": 9,
            "stdout_stream.filename": "/l",
            "stdout_stream.max_bytes": "1K",
            "max_age": 60,
        },
    )
    shown = describe(watcher)
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) >= {option.name for option in WATCHER if not option.pattern and not option.legacy}
    assert json.dumps([shown["graceful_timeout"], shown["max_age"], shown["warmup_delay"]]) == "[30.0, 60, 0]"
    assert shown["args"] == ["a", "b"]
    assert (shown["hooks.before_start"], shown["rlimit_nofile"]) == ("a.b,true", 9)
    assert shown["stdout_stream_conf"] == {"class": "FileStream", "filename": "/l", "max_bytes": 1024}
    assert (shown["stdout_stream.max_bytes"], shown["stderr_stream_conf"]) == (1024, {})
    assert "name" not in shown
    assert "__name__" not in shown


def test_what_is_described_can_be_set_again() -> None:
    """`options` and `set` speak the same language."""
    watcher = watcher_from_options(
        "web",
        {"cmd": "x", "env": {"A": "1"}, "hooks.after_stop": "a.b", "stderr_stream.filename": "/l", "uid": 5},
    )
    shown = {key: value for key, value in describe(watcher).items() if not key.endswith("_conf")}
    assert with_options(watcher, shown) == watcher
    assert watcher_from_options("web", shown) == watcher


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(
    [
        *(option.name for option in WATCHER),
        "hooks",
        "rlimits",
        "stdout_stream",
        "stdout_stream.class",
        "stdout_stream.filename",
        "stderr_stream.max_bytes",
        "hooks.before_start",
        "rlimit_nofile",
        "anything",
    ]
)


@given(changes=st.dictionaries(keys, json_values, max_size=4))
def test_whatever_is_sent_the_only_refusal_is_a_config_error(changes: dict[str, object]) -> None:
    """No value of any kind breaks `set`, and what it takes can be described."""
    try:
        watcher = with_options(WEB, changes)
    except ConfigError:
        return
    json.dumps(describe(watcher))


def test_a_plugin_is_a_watcher_with_the_originals_options() -> None:
    """One process, started early, with the daemon's environment and path; its own options on top."""
    plugin = PluginConfig("p", "m.P", {"priority": "9", "k": "v"}, {"priority": "9"}, {"A": "1"})
    watcher = plugin_watcher(plugin, "circus-plugin", ["--config", "k v", "m.P"])
    assert (watcher.name, watcher.cmd, watcher.args) == (
        "plugin:p",
        "circus-plugin",
        ("--config", "k v", "m.P"),
    )
    assert (watcher.singleton, watcher.copy_env, watcher.copy_path, watcher.priority) == (True, True, True, 9)
    assert (watcher.close_child_stdout, watcher.close_child_stderr, watcher.env) == (True, False, {"A": "1"})
    assert not plugin_watcher(plugin, "x", debug=True).close_child_stdout
