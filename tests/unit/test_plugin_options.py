"""The table of the shipped plugins: whole, true to the original's keys, and what a file is held against."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from circusd.config.ini import load
from circusd.config.model import plugin_watcher
from circusd.plugins.settings import own_settings, settings
from circusd.schema.options import APPLIES, PLUGIN, Option, plugin_class, plugin_options
from circusd.schema.plugin_options import PLUGIN_CLASSES, PluginClass
from circusd.schema.secrets import MASK, masked

ROWS = [(row, option) for row in PLUGIN_CLASSES for option in row.options]


def by_id(value: object) -> str:
    return value.name if isinstance(value, (PluginClass, Option)) else str(value)


@pytest.mark.parametrize(("row", "option"), ROWS, ids=by_id)
def test_every_option_is_documented_and_complete(row: PluginClass, option: Option) -> None:
    """Each has a text, a known way to take effect, and a default that is read back from its own text."""
    assert option.doc.endswith(".")
    assert option.apply in APPLIES
    assert option.section == "plugin"
    if option.default is not None:
        assert option.type.parse(option.type.format(option.default)) == option.default


@pytest.mark.parametrize("row", PLUGIN_CLASSES, ids=by_id)
def test_no_name_stands_twice(row: PluginClass) -> None:
    """Names of options and the names that others have for them are unique, and what is needed is an option."""
    names = [option.name for option in row.options]
    other = [name for option in row.options for name in option.aka]
    assert len({*names, *other}) == len(names) + len(other)
    assert {*row.needs} <= {*names}


@pytest.mark.parametrize("row", PLUGIN_CLASSES, ids=by_id)
def test_every_class_is_there_under_each_of_its_names(row: PluginClass) -> None:
    """Short name, dotted path, and the original's dotted path are one class."""
    module, _, name = row.use.rpartition(".")
    assert getattr(importlib.import_module(module), name).__doc__
    originals = [f"circus.plugins.{row.path}"] if row.original else []
    assert [plugin_class(use) for use in (row.name, row.use, *originals)] == [row] * (2 + len(originals))
    assert plugin_class(f"my.{row.path}") is None
    assert plugin_options("my.own.Plugin") == ()


ORIGINAL = {
    "flapping": "attempts window retry_in max_retry active",
    "command_reloader": "loop_rate",
    "resource_watcher": "watcher service loop_rate max_cpu min_cpu max_mem min_mem health_threshold max_count process_children "
    "child_signal application_name host port sample_rate",
    "statsd": "application_name host port sample_rate",
    "full_stats": "application_name host port sample_rate loop_rate",
    "redis_observer": "redis_url timeout restart_on_timeout application_name host port sample_rate loop_rate",
    "http_observer": "check_url timeout restart_on_error application_name host port sample_rate loop_rate",
    "watchdog": "loop_rate watchers_regex msg_regex max_count ip port watchers_stop_signal watchers_graceful_timeout",
}


@pytest.mark.parametrize(("name", "keys"), ORIGINAL.items(), ids=ORIGINAL)
def test_the_keys_of_the_original_are_all_there(name: str, keys: str) -> None:
    """A section that was written for the original is read without a word."""
    assert set(keys.split()) <= {option.name for option in plugin_options(name)}


def problems(folder: Path, text: str, file: str = "circus.ini") -> list[str]:
    path = folder / file
    path.write_text(text)
    return [str(problem).removeprefix(f"{path}:") for problem in load(str(path), {}).problems]


def test_a_file_is_held_against_the_table(tmp_path: Path) -> None:
    """Each wrong value and each misspelt key is told with its line and with what was probably meant."""
    found = problems(
        tmp_path,
        "[plugin:a]\nuse = flapping\natempts = 3\nwindow = soon\nmax_retry = -1\ngraceful_timeout = 3\nnumprocs = 2\n"
        "[plugin:b]\nuse = circus.plugins.resource_watcher.ResourceWatcher\nmax_mem = 250Q\n"
        "[plugin:c]\nuse = watchdog\nmsg_regex = ^(.*)$\nwatchers_regex = (\n"
        "[plugin:d]\nuse = my.own.Plugin\natempts = whatever\n"
        "[plugin:e]\nuse = flaping\n"
        "[plugin:f]\nuse = http_observer\ncheck_url = file:///etc/passwd\n",
    )
    told = "\n".join(found)
    for line in (
        "3: warning: [plugin:a] atempts: is no option of flapping, and has no effect; did you mean attempts?",
        '4: error: [plugin:a] window: "soon" is not a number of seconds',
        "7: warning: [plugin:a] numprocs: is no option of flapping, and has no effect; did you mean numprocesses?",
        "8: error: [plugin:b] has no watcher, which resource_watcher needs",
        '10: error: [plugin:b] max_mem: "250Q" is not a size',
        "has no group named pid",
        "is not a regular expression",
        '"flaping" is no class of plugins',
        "did you mean flapping?",
        '"file:///etc/passwd" is no address of the web',
    ):
        assert line in told
    assert not [line for line in found if "plugin:d" in line]
    assert len(found) == 9


def test_lists_may_be_lists_in_toml(tmp_path: Path) -> None:
    """Wherever ``use`` stands in the table."""
    text = '[plugin.tell]\nurls = ["json://a?to=x,y", "json://b"]\nwatchers = ["web*"]\nuse = "notify"\nrate = 5\n'
    assert problems(tmp_path, text, "circus.toml") == []
    (plugin,) = load(str(tmp_path / "circus.toml"), {}).configuration.plugins  # type: ignore[union-attr]
    values = settings("notify", plugin.options)
    assert (values["urls"], values["watchers"], values["rate"]) == (
        ("json://a?to=x,y", "json://b"),
        ("web*",),
        5,
    )


def test_addresses_may_have_commas() -> None:
    """Several are parted by spaces, or by commas before the next address."""
    read = settings("notify", {"urls": "mailto://a@b?to=x@y,z@w, json://c json://d,json://e"})["urls"]
    assert read == ("mailto://a@b?to=x@y,z@w", "json://c", "json://d", "json://e")
    with pytest.raises(ValueError, match="the value is not a list of addresses"):
        settings("notify", {"urls": "secret-without-a-scheme"})


def test_missing_library_is_told_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the plugin fails to start."""
    monkeypatch.setattr("circusd.config.pluginoptions.find_spec", lambda name: None)
    (told,) = problems(tmp_path, "[plugin:a]\nuse = notify\nurls = json://a\n")
    assert "needs the library apprise, which is not installed; pip install 'circusweb[notify]'" in told


def test_addresses_with_passwords_are_secrets() -> None:
    """They are not shown where options are."""
    for use, key in (("notify", "urls"), ("circus.plugins.redis_observer.RedisObserver", "redis_url")):
        shown = masked({"use": use, key: "redis://:secret@host"}, (*PLUGIN, *plugin_options(use)))
        assert shown == {"use": use, key: MASK}
    shown = masked({"use": "otlp", "headers": "X-Key=secret"}, (*PLUGIN, *plugin_options("otlp")))
    assert shown == {"use": "otlp", "headers": MASK}


def test_headers_are_names_with_values() -> None:
    """A value may have spaces and signs of its own; what could begin another header is none."""
    read = settings("otlp", {"headers": "Authorization=Bearer a=b==, X-Key = c"})["headers"]
    assert read == (("Authorization", "Bearer a=b=="), ("X-Key", "c"))
    for text in ("nothing", "=value", "a b=c", "X=a\r\nY: b", "\x00=a", "X=é"):
        with pytest.raises(ValueError, match="NAME=VALUE"):
            settings("otlp", {"headers": text})


def test_values_are_read_by_the_table() -> None:
    """From texts, with units; of a watcher's own keys only those of the plugin; a size differs from a share."""
    values = settings("flapping", {"window": "2m", "attempts": "3", "other": "x", "retry_in": ""})
    assert values == {"active": True, "attempts": 3, "window": 120.0, "retry_in": 7, "max_retry": 5}
    assert own_settings("flapping", {"flapping.window": "3", "flapping.x": 1, "cmd": "y"}) == {"window": 3.0}
    limits = [settings("resource_watcher", {"max_mem": text})["max_mem"] for text in ("80", "80.5", "250M")]
    assert limits == [80.0, 80.5, 250 << 20]
    assert [type(limit) for limit in limits] == [float, float, int]
    with pytest.raises(ValueError, match="attempts: 'many' is not a whole number; expected"):
        settings("flapping", {"attempts": "many"})


def test_options_of_the_plugin_are_not_its_watchers(tmp_path: Path) -> None:
    """Where both have one of that name it is the plugin's; a class of one's own shares them, as in the original, but for names
    that plugins have had before watchers."""
    path = tmp_path / "circus.ini"
    path.write_text(
        "[plugin:a]\nuse = flapping\nmax_retry = 0\nmax_age = 3\n[plugin:b]\nuse = my.own.Plugin\nmax_retry = 0\n"
        "max_cpu = 0.5\nwatch = a b\n"
    )
    loaded = load(str(path), {}).configuration
    assert loaded is not None
    first, second = (plugin_watcher(plugin, "circus-plugin") for plugin in loaded.plugins)
    assert (first.max_retry, first.max_age, second.max_retry) == (5, 3, 0)
    assert (second.max_cpu, second.watch) == (0, ())
    assert loaded.plugins[0].options["max_retry"] == "0"
    assert loaded.plugins[1].options["max_cpu"] == "0.5"


def test_inactive_plugin_is_not_started(tmp_path: Path) -> None:
    """``active = false`` is what it says, for anybody's plugin."""
    path = tmp_path / "circus.ini"
    path.write_text("[plugin:a]\nuse = my.own.Plugin\nactive = False\n[plugin:b]\nuse = my.own.Plugin\n")
    loaded = load(str(path), {}).configuration
    assert loaded is not None
    watchers = [plugin_watcher(plugin, "circus-plugin") for plugin in loaded.plugins]
    assert [watcher.autostart for watcher in watchers] == [False, True]
