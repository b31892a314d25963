"""The tables that the console's buttons and forms are made from, as text for the page; and what is wrong with values by them.

Whatever stands in a row of a table appears in the console by itself: names, help, types, choices, defaults, who may, and
when a change counts. Only how options are grouped on the page is said here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from circusd.schema.commands import COMMANDS, ROLES, WAITING, Command, Field
from circusd.schema.option import find, near_miss
from circusd.schema.options import (
    CIRCUS,
    PLUGIN_CLASSES,
    SOCKET,
    WATCHER,
    Option,
    PluginClass,
    watcher_option,
)
from circusd.schema.plugin_options import ORIGINAL
from circusd.schema.types import SIGNAL

from . import inputs

SECTIONS: dict[str, tuple[Option, ...]] = {"watcher": WATCHER, "socket": SOCKET, "circus": CIRCUS}

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Often used",
        (
            "cmd",
            "args",
            "numprocesses",
            "working_dir",
            "env",
            "uid",
            "autostart",
            "graceful_timeout",
            "tags",
            "host",
            "port",
            "path",
        ),
    ),
    (
        "Command",
        (
            "shell",
            "shell_args",
            "executable",
            "gid",
            "copy_env",
            "copy_path",
            "virtualenv",
            "virtualenv_py_ver",
            "pid_file",
        ),
    ),
    (
        "What it may take",
        (
            "max_memory",
            "max_memory_for",
            "max_cpu",
            "max_cpu_for",
            "nice",
            "cpu_affinity",
            "io_priority",
            "oom_score_adj",
        ),
    ),
    ("Processes", ("singleton", "warmup_delay", "max_age", "max_age_variance", "priority", "essential")),
    ("When files change", ("watch", "watch_ignore", "watch_delay", "watch_action")),
    ("What it needs", ("depends_on", "restart_with_dependencies", "outside_interval", "outside_timeout")),
    ("Readiness", ("ready", "start_timeout", "ready_interval", "ready_timeout")),
    (
        "Health",
        (
            "alive",
            "alive_interval",
            "alive_timeout",
            "alive_failures",
            "alive_successes",
            "alive_start_period",
            "alive_replace",
            "watchdog",
            "watchdog_signal",
        ),
    ),
    (
        "After a death",
        (
            "respawn",
            "respawn_on",
            "success_exit_codes",
            "max_retry",
            "backoff",
            "backoff_max",
            "settle_time",
            "restart_delay",
            "start_limit_burst",
            "start_limit_interval",
            "retry_in",
        ),
    ),
    (
        "Schedule",
        (
            "schedule",
            "schedule_timezone",
            "schedule_overlap",
            "schedule_jitter",
            "schedule_catch_up",
            "run_timeout",
        ),
    ),
    (
        "Stopping",
        (
            "stop_signal",
            "stop_ladder",
            "stop_command",
            "stop_command_timeout",
            "stop_children",
            "send_hup",
            "hook_timeout",
        ),
    ),
    (
        "Input, output and sockets",
        (
            "use_sockets",
            "on_demand",
            "idle_timeout",
            "listen_fds",
            "stdin_socket",
            "stdin_pipe",
            "close_child_stdin",
            "close_child_stdout",
            "close_child_stderr",
        ),
    ),
)
"""Options in the order in which a page shows them; those that no group names stand last, as "More"."""


MOST_OPTIONS = 200
"""Of one request that asks what is wrong; nobody types more, and each is looked up among all that are known."""


def as_json() -> bytes:
    """All tables, as the page reads them."""
    told = {
        "roles": ROLES,
        "commands": [row.as_data() for row in COMMANDS if row.where != "door"],
        "waiting": WAITING._asdict(),
        "sections": {name: [option(row) for row in rows if shown(row)] for name, rows in SECTIONS.items()},
        "families": {name: [family(row) for row in rows if row.pattern] for name, rows in SECTIONS.items()},
        "plugins": [plugin(row) for row in PLUGIN_CLASSES],
        "groups": GROUPS,
        "signals": SIGNAL.choices,
    }
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def as_module() -> bytes:
    """The rows of what can be done to watchers, without their help: what the first view needs of the tables, as a module."""
    rows = [
        quick(row) for row in COMMANDS if row.where == "daemon" and row.effect != "read" and _watchers(row)
    ]
    told = {"rows": rows, "waiting": _given(WAITING)}
    return "".join(
        f"export const {name} = {json.dumps(value, separators=(',', ':'))};\n" for name, value in told.items()
    ).encode("ascii")


def quick(row: Command) -> dict[str, Any]:
    """A command as a button needs it; what is nothing is left out."""
    told = {
        "role": row.role,
        "effect": row.effect,
        "scope": row.scope,
        "waits": row.waits,
        "icon": row.icon,
        "key": row.key,
    }
    return {
        "name": row.name,
        "args": [_given(one) for one in row.args],
        **{k: v for k, v in told.items() if v},
    }


def _given(field: Field) -> dict[str, Any]:
    told = field._asdict()
    del told["doc"]
    return {key: value for key, value in told.items() if value or key == "default"}


def _watchers(row: Command) -> bool:
    return any(field.target == "watcher" for field in row.args)


def shown(row: Option) -> bool:
    """Whether a form has a place for it: of a family, any key can be written by hand."""
    return not (row.legacy or row.file_only or row.pattern)


def option(row: Option) -> dict[str, Any]:
    """An option with what its form element needs."""
    return {
        "name": row.name,
        "type": row.type.name,
        "widget": row.type.widget,
        "expected": row.type.expected,
        "choices": row.type.choices if row.type.widget in ("select", "signal") else (),
        "default": "" if row.default is None else row.type.format(row.default),
        "doc": row.doc,
        "apply": row.apply,
        "role": row.role,
        "secret": row.secret,
        "unit": row.unit,
        "told": row.told,
    }


def family(row: Option) -> dict[str, Any]:
    """What holds for all keys that begin so."""
    return {"prefix": row.prefix, "name": row.name, "apply": row.apply, "secret": row.secret, "doc": row.doc}


def plugin(row: PluginClass) -> dict[str, Any]:
    """A plugin that comes with circusd: what it does, and its options."""
    return {
        "name": row.name,
        "uses": [row.name, row.use, *([ORIGINAL + row.path] if row.original else ())],
        "doc": row.doc,
        "needs": row.needs,
        "extra": row.extra,
        "options": [
            {
                key: value
                for key, value in option(one).items()
                if key in ("name", "default", "doc", "secret", "unit")
            }
            for one in row.options
        ],
    }


# --- what is wrong ----------------------------------------------------------------------------------------------------


def problems(row: Command, properties: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What the daemon would refuse in these properties, by name of the field or option; in the daemon's words."""
    found: dict[str, dict[str, str]] = {}
    for field in row.args:
        value = properties.get(field.name)
        if value is None:
            continue
        if field.type == "object" and isinstance(value, dict):
            kind = row.options or "watcher"
            found.update(option_problems(kind, value))
        elif text := field_problem(field, value):
            found[field.name] = {"text": text, "hint": _near(value, field.choices)}
    return found


def field_problem(field: Field, value: Any) -> str:
    """What is wrong with the value of a property, in the API's words; empty when nothing is. A form's numbers are texts."""
    problem = inputs.problem_of(field, _number(value) if field.type in ("int", "seconds") else value)
    return inputs.told(field, problem, value) if problem else ""


def option_problems(kind: str, options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What is wrong with options of a section of that kind."""
    found: dict[str, dict[str, str]] = {}
    rows = SECTIONS[kind]
    for key, value in islice(options.items(), MOST_OPTIONS):
        row = watcher_option(key) if kind == "watcher" else find(rows, key)
        if row is None:
            near = near_miss(rows, key) if len(key) <= inputs.LONGEST_NAME else None
            found[key] = {"text": f"unknown key {key!r}", "hint": f"did you mean {near}?" if near else ""}
            continue
        if value is None:
            continue
        try:
            row.type.from_json(value)
        except ValueError as error:
            text = f"{json.dumps(value)} {error}; expected {row.type.expected}"
            found[key] = {"text": text, "hint": _near(value, row.type.choices)}
    return found


def _number(value: Any) -> Any:
    """The number that a text says; anything else as it is."""
    if not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value


def _near(value: Any, choices: Iterable[str]) -> str:
    return inputs.meant(value, choices) if isinstance(value, str) else ""
