"""Random valid configurations, as tables of texts, and how each form writes them when the product is not asked."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

from circusd.schema.options import CIRCUS, HOOKS, SOCKET, WATCHER, Option
from circusd.schema.types import ARGS, COMMAND, PATH, PATHS, TEXT, WORDS
from circusd.schema.values import RLIMITS

Tables = dict[str, Any]

# What some reader takes for something else than a text.
ODD = (
    *"no yes null ~ true 1.10 007 0x1F 1e3 .5 2026-01-01 - = <<".split(),
    *(
        "- x",
        "a: b",
        "[x]",
        "{x}",
        "&a",
        "*a",
        "!t",
        "@x",
        "`x`",
        "%x",
        "x #y",
        "#x",
        "x;y",
        "50%",
        "| x",
        "> x",
    ),
    *(
        'say "x"',
        "it's",
        "a\\b",
        "$HOME/x",
        "${HOME}",
        "$(circus.env.HOME)",
        "((circus.env.nobody))",
        "ä€😀",
        "\x85",
        "\ufeffx",
    ),
)
LETTERS = string.ascii_letters + string.digits + " -_./:;,#=$%&*!?@[]{}()'\"\\|<>~^`äß€😀"
WORD = st.text(string.ascii_letters + string.digits + "_-./", min_size=1, max_size=8)
NAME = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
FREE = st.one_of(st.sampled_from(ODD), st.text(LETTERS, max_size=12), st.text(LETTERS + "\n\t", max_size=12))
COMMANDS = st.one_of(
    st.sampled_from(
        ("run", "run $(circus.wid)", "sh -c 'a; b'", "sh -c 'a ; b'", 'run "a  b" ; c', "run -x=1 #y")
    ),
    st.lists(WORD, min_size=1, max_size=3).map(" ".join),
)

BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.sampled_from(("true", "false", "yes", "Off", "1", "0")),
    "number": st.integers(-5, 99).map(str),
    "count": st.integers(0, 99).map(str),
    "processes": st.integers(0, 10_000).map(str),
    "retries": st.integers(-1, 9).map(str),
    "port": st.integers(0, 65535).map(str),
    "seconds": st.sampled_from(("0", "1", "0.5", "1.50", "2m", "1 h", ".5", "007")),
    "bytes": st.sampled_from(("0", "1024", "10M", "1.5k")),
    "signal": st.sampled_from(("15", "TERM", "SIGRTMIN+1", "quit")),
    "user": st.sampled_from(("1000", "nobody", "www-data")),
    "group": st.sampled_from(("1000", "users")),
    "endpoint": st.sampled_from(("tcp://127.0.0.1:5555", "ipc:///tmp/a b")),
    "octal": st.sampled_from(("022", "22", "0o17", "0")),
    "level": st.sampled_from(("debug", "WARN")),
    "family": st.sampled_from(("AF_INET", "inet6")),
    "socket type": st.sampled_from(("SOCK_STREAM", "dgram")),
    "name": WORD,
    "networks": st.sampled_from(("127.0.0.1", "10.0.0.0/8, ::1", "")),
    "header": st.sampled_from(("Remote-User", "X-Forwarded-User")),
    "prefix": st.sampled_from(("/tools/circus", "/a")),
    "nice value": st.integers(-20, 19).map(str),
    "score": st.integers(-1000, 1000).map(str),
    "processors": st.sampled_from(("0", "0-3,6", "1 2", "")),
    "input-output priority": st.sampled_from(("idle", "best-effort 7", "realtime")),
    "dependencies": st.sampled_from(("", "tcp://db.example:5432 unix:/run/a.sock")),
    "starts": st.integers(0, 1000).map(str),
    "schedule": st.sampled_from(("0 3 * * 1-5", "@daily", "*/10 0 0 1 JAN MON#1")),
    "time zone": st.sampled_from(("UTC", "Europe/Berlin")),
    "overlap": st.sampled_from(("skip", "Queue", "replace")),
    "watch action": st.sampled_from(("auto", "Reload", "restart")),
    "occasion": st.sampled_from(("exit", "failure")),
    "statuses": st.sampled_from(("0", "0 75", "0, TERM", "SIGHUP")),
    "ladder": st.sampled_from(("QUIT 30, TERM 5", "int 0.5", "")),
    "readiness": st.sampled_from(
        (
            "auto",
            "Notify",
            "tcp://[::1]:80",
            "http://localhost:80$(circus.wid)/up",
            "exec:sh -c 'exit 0'",
            "unix:/run/a.sock",
            "log:listens on * port",
            "fd:3",
        )
    ),
    "liveness": st.sampled_from(
        ("", "tcp://localhost:80$(circus.wid)", "http://localhost/alive", "exec:true")
    ),
    "times": st.integers(1, 1000).map(str),
    "limit": st.sampled_from(("", "100", "infinity", "-1")),
}


def value(option: Option) -> st.SearchStrategy[Any]:
    """Values that the option takes: texts, and lists where it takes those."""
    if option.name == "multicast_endpoint":
        return st.just("udp://237.219.251.97:12027")
    if option.type is COMMAND:
        return COMMANDS
    if option.type is ARGS:
        return st.one_of(
            COMMANDS,
            st.lists(st.one_of(WORD, st.sampled_from(("a b", "", "it's", "$(circus.wid)"))), max_size=3),
        )
    if option.type in (PATHS, WORDS):
        return st.one_of(st.lists(WORD, max_size=3), st.lists(WORD, max_size=3).map(" ".join))
    if option.type is TEXT:
        return WORD
    if option.type is PATH:
        return st.one_of(WORD, st.sampled_from(("/srv/$(circus.env.HOME)", "/a b/c;d")))
    return BY_TYPE[option.type.name]


def options(table: tuple[Option, ...], *without: str) -> st.SearchStrategy[Tables]:
    """Some options of the table."""
    rows = [
        row
        for row in table
        if not row.pattern and not row.legacy and row.name not in (*without, "include", "env_file")
    ]
    return st.fixed_dictionaries({}, optional={row.name: value(row) for row in rows})


def few(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Tables]:
    return st.dictionaries(NAME, strategy, max_size=3)


ENV = st.dictionaries(st.text(string.ascii_letters + "_", min_size=1, max_size=5), FREE, max_size=4)
STREAMS = st.fixed_dictionaries(
    {"filename": WORD}, optional={"max_bytes": BY_TYPE["bytes"], "backup_count": BY_TYPE["count"]}
)
FAMILIES = {
    "rlimits": st.dictionaries(st.sampled_from(RLIMITS), BY_TYPE["limit"], max_size=2),
    "hooks": st.dictionaries(st.sampled_from(HOOKS), st.sampled_from(("a.b", "a.b,true")), max_size=2),
    "stdout_stream": STREAMS,
    "env": ENV,
}


def with_families(own: tuple[Tables, ...]) -> Tables:
    return {key: value for part in own for key, value in part.items()}


WATCHERS = st.tuples(
    options(WATCHER, "cmd", "env", "singleton", "stdin_socket", "use_sockets", "on_demand", "schedule"),
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"on_demand": BY_TYPE["boolean"]}),
        st.fixed_dictionaries({"schedule": BY_TYPE["schedule"]}),
    ),
    st.fixed_dictionaries({"cmd": COMMANDS}),
    st.fixed_dictionaries({}, optional={**FAMILIES, "mine": FREE, "my.own": WORD}),
).map(with_families)
SOCKETS = options(SOCKET, "family", "path", "proto")
PLUGINS = st.fixed_dictionaries(
    {"use": st.just("a.B")},
    optional={"loop_rate": WORD, "x": FREE, "priority": BY_TYPE["number"], "env": ENV},
)
ENVIRONMENTS = st.tuples(ENV, st.dictionaries(st.sampled_from(("*", "a*", "web,a?")), ENV, max_size=2)).map(
    lambda layers: {
        **layers[0],
        **{name: table for name, table in layers[1].items() if name not in layers[0]},
    }
)

CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "circus": options(CIRCUS, "include_dir"),
        "env": ENVIRONMENTS,
        "watcher": few(WATCHERS),
        "socket": few(SOCKETS),
        "plugin": few(PLUGINS),
    },
)


def as_yaml(tables: Mapping[str, Any]) -> str:
    """As PyYAML writes it."""
    text: str = yaml.safe_dump(dict(tables), allow_unicode=True)
    return text


def as_json(tables: Mapping[str, Any]) -> str:
    """JSON is YAML too."""
    return json.dumps(tables)


def as_toml(tables: Mapping[str, Any]) -> str:
    """Everything in tables of one line."""
    return "".join(f"{json.dumps(key)} = {_toml(table)}\n" for key, table in tables.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
