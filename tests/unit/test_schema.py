"""The JSON schema for editors: it takes what circusd takes, and nothing that is plainly wrong."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings

from circusd.config.convert import convert
from circusd.config.ini import load
from circusd.schema.options import CIRCUS, HOOKS, PLUGIN, SOCKET, STREAM, STREAM_CLASSES, WATCHER, Option
from circusd.schema.values import RLIMITS
from tests.inifiles import ENVIRON
from tests.unit.configurations import CONFIGURATIONS, as_json, as_toml, as_yaml
from tests.unit.test_convert import EXAMPLES
from tests.unit.test_forms import TOML, YAML

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/reference/circus.schema.json").read_text("utf-8"))
CHECK = jsonschema.Draft7Validator(SCHEMA)


def wrong(data: object) -> list[str]:
    """What the schema has against it: where, and what."""
    return [f"{error.json_path}: {error.message[:200]}" for error in CHECK.iter_errors(data)]


def parsed(text: str, form: str) -> Any:
    """As an editor reads it, which knows nothing of circusd."""
    return tomllib.loads(text) if form == "toml" else yaml.safe_load(text)


def test_the_schema_is_one() -> None:
    """Of the draft that it names."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("form", ["toml", "yaml"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name + path.name)
def test_converted_examples_fit(tmp_path: Path, example: Path, form: str) -> None:
    """Real configurations as circusd writes them."""
    text = convert(str(example), form, ENVIRON).text
    assert text is not None
    assert wrong(parsed(text, form)) == []


def test_files_written_by_hand_fit() -> None:
    """With native types and with texts."""
    assert wrong(parsed(TOML, "toml")) == []
    assert wrong(parsed(YAML, "yaml")) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(tables=CONFIGURATIONS)
def test_whatever_circusd_takes_fits(tables: dict[str, Any]) -> None:
    """Random configurations as they were written, and as they were converted."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.yaml")
        Path(path).write_text(as_json(tables), "utf-8")
        assume(load(path, ENVIRON).configuration is not None)
        assert wrong(tables) == []
        for form in ("toml", "yaml"):
            text = convert(path, form, ENVIRON).text
            assert text is not None
            assert wrong(parsed(text, form) or {}) == []


GOOD: dict[str, Any] = {
    "circus": {"httpd": True, "loglevel": "info", "umask": 18, "endpoint": "ipc:///x", "include": ["a", "b"]},
    "env": {"A": 1, "w*": {"B": "x"}},
    "socket": {"web": {"port": 80, "family": "AF_INET6"}},
    "watcher": {
        "web": {
            "cmd": "x",
            "numprocesses": "$(circus.env.N)",
            "stop_signal": "QUIT",
            "max_age": 1.5,
            "hooks": {"before_start": "a.b", "after_start": {"path": "a.b", "ignore_failure": True}},
            "rlimits": {"nofile": 5, "CORE": None},
            "stdout_stream": {"class": "FileStream", "max_bytes": "5M", "overflow": "block"},
            "mine": 5,
            "of": {"my": "own"},
        },
        "empty": None,
    },
    "plugin": {"p": {"use": "a.B", "loop_rate": 5, "priority": 3}},
    "x-anything": [1],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("watchers", {}),
        ("circus.htpd", True),
        ("circus.httpd", "perhaps"),
        ("circus.httpd_port", 99999),
        ("circus.loglevel", "loud"),
        ("circus.endpoint", "http://x"),
        ("circus.umask", "999"),
        ("circus.include", {"a": 1}),
        ("env.A", [1]),
        ("env.w*", [1]),
        ("socket.web.port", -1),
        ("socket.web.family", "AF_X"),
        ("socket.web.prot", 80),
        ("watcher.web.cmd", ["a"]),
        ("watcher.web.cmd", ""),
        ("watcher.web.numprocesses", -1),
        ("watcher.web.numprocesses", 1.5),
        ("watcher.web.numprocesses", "two"),
        ("watcher.web.autostart", 2),
        ("watcher.web.max_age", "soon enough"),
        ("watcher.web.stop_signal", 99),
        ("watcher.web.args", [["a"]]),
        ("watcher.web.hooks.before_stopp", "a.b"),
        ("watcher.web.hooks.after_start", {"paths": "a.b"}),
        ("watcher.web.rlimits.nofil", 5),
        ("watcher.web.rlimits.nofile", 1.5),
        ("watcher.web.stdout_stream.max_bytes", "many"),
        ("watcher.web.stdout_stream.overflow", "never"),
        ("watcher.web.stdout_stream.class", "Filestream"),
        ("watcher.empty", {"numprocesses": 1}),
        ("plugin.p", {"loop_rate": 5}),
    ],
)
def test_a_mistake_is_underlined(path: str, value: object) -> None:
    """Where it stands, in an editor."""
    assert wrong(GOOD) == []
    bad = copy.deepcopy(GOOD)
    *tables, key = path.split(".")
    inner = bad
    for name in tables:
        inner = inner[name]
    inner[key] = value
    assert wrong(bad) != []


def section(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = SCHEMA["definitions"][name]["properties"]
    return properties


@pytest.mark.parametrize(
    ("name", "table"),
    [("circus", CIRCUS), ("socket", SOCKET), ("watcher", WATCHER), ("plugin", PLUGIN), ("stream", STREAM)],
)
def test_every_option_is_offered_with_its_text_and_default(name: str, table: tuple[Option, ...]) -> None:
    """From the tables, and so complete."""
    for option in table:
        if option.pattern:
            continue
        offered = section(name)[option.name]
        assert option.doc.replace("``", "") in offered["description"]
        assert offered.get("deprecated", False) == option.legacy
        assert ("default" in offered) == (option.default is not None and not option.legacy)


def test_families_are_offered_by_their_names() -> None:
    """Hooks, limits, and the options of every class of streams."""
    assert set(section("hooks")) == set(HOOKS)
    assert set(section("rlimits")) == set(RLIMITS)
    assert {option.name for row in STREAM_CLASSES for option in row.options} <= set(section("stream"))
    assert {"stdout_stream", "stderr_stream", "hooks", "rlimits", "env"} <= set(section("watcher"))


def test_toml_and_yaml_of_one_configuration_are_one_to_the_schema() -> None:
    """The writers of these tests agree too: otherwise they would test two things."""
    tables = {"watcher": {"web": {"cmd": "x", "args": ["a", "b"], "env": {"A": "no"}}}}
    assert parsed(as_toml(tables), "toml") == parsed(as_yaml(tables), "yaml") == tables
