"""The JSON schema of TOML and YAML configurations, for editors, made from the option tables.

It is of draft 7, which the language servers of both know. It takes whatever circusd takes: a number or its text, a boolean
or one of its words, and a text with ``$(circus.env.NAME)`` in it for anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from circusd.schema.options import (
    CIRCUS,
    HOOKS,
    PLUGIN,
    PLUGIN_CLASSES,
    SOCKET,
    STREAM,
    STREAM_CLASSES,
    WATCHER,
    Option,
)
from circusd.schema.probe_values import SCHEMES as READY_SCHEMES
from circusd.schema.probe_values import SIGNS as READY_SIGNS
from circusd.schema.probe_values import WORDS as READY_WORDS
from circusd.schema.types import BOOL, FAMILY, LEVEL, MOST_PROCESSES, SIGNAL, SOCKET_TYPE, TYPES, ValueType
from circusd.schema.values import RLIMITS

Schema = dict[str, Any]

_NUMERAL = r"^\s*[+-]?[0-9]+\s*$"
_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_FILLED: Schema = {"type": ["string", "number", "boolean"], "minLength": 1}
_LIST: Schema = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
_USER: list[Schema] = [{"type": "integer", "minimum": 0}, _FILLED]
_DOTTED: Schema = {"type": "string", "pattern": r"[.:]"}
_REFERENCE: Schema = {"type": "string", "pattern": r"[$(]\([Cc][Ii][Rr][Cc][Uu][Ss]\."}


def _number(least: int | None = None, most: int | None = None, text: str = _NUMERAL) -> list[Schema]:
    number: Schema = {"type": "integer"}
    if least is not None:
        number["minimum"] = least
    if most is not None:
        number["maximum"] = most
    return [number, {"type": "string", "pattern": text}]


def _any_case(words: Iterable[str]) -> str:
    """A pattern of these words in any case of letters."""
    letters = ("".join(f"[{a.lower()}{a.upper()}]" if a.isalpha() else a for a in word) for word in words)
    return rf"^\s*(?:{'|'.join(letters)})\s*$"


def _choice(kind: ValueType, *others: str) -> list[Schema]:
    return [
        {"enum": list(kind.choices)},
        {"type": "string", "pattern": _any_case([*kind.choices, *others])},
    ]


def _short(kind: ValueType) -> list[str]:
    """The choices without their ``AF_`` or ``SOCK_``."""
    return [word.partition("_")[2] for word in kind.choices]


_READ: dict[str, list[Schema]] = {
    "text": [_SCALAR],
    "name": [_FILLED],
    "command": [_FILLED],
    "args": [_SCALAR, _LIST],
    "path": [_FILLED],
    "paths": [_SCALAR, _LIST],
    "words": [_SCALAR, _LIST],
    "boolean": [{"type": "boolean"}, {"enum": [0, 1]}, *_choice(BOOL)],
    "number": _number(),
    "count": _number(0),
    "processes": _number(0, MOST_PROCESSES),
    "retries": _number(-1),
    "port": _number(0, 65535),
    "seconds": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9.]+\s*[A-Za-z]*\s*$"},
    ],
    "bytes": _number(0, text=r"^\s*[0-9][0-9.]*\s*[kKmMgGtT]?(?:[iI]?[bB])?\s*$"),
    "signal": [
        {"type": "integer", "minimum": 1, "maximum": 64},
        {"enum": list(SIGNAL.choices)},
        {"type": "string", "pattern": r"^\s*[A-Za-z0-9]+\s*(?:[+-]\s*[0-9]{1,2})?\s*$"},
    ],
    "user": _USER,
    "group": _USER,
    "env": [{"type": ["object", "null"], "additionalProperties": _SCALAR}],
    "schedule": [{"type": "string", "pattern": r"^\s*(?:@[A-Za-z]+|\S+(?:\s+\S+){4,5})\s*$"}],
    "time zone": [{"type": "string", "pattern": r"^[A-Za-z0-9_+/-]*$"}],
    "networks": [_SCALAR, _LIST],
    "header": [{"type": "string", "pattern": r"^\s*([A-Za-z][A-Za-z0-9-]{0,63})?\s*$"}],
    "prefix": [{"type": "string", "pattern": r"^\s*(/[A-Za-z0-9._~/-]*)?$"}],
    "endpoint": [{"type": "string", "pattern": r"^\s*(?:tcp|udp|ipc)://"}],
    "octal": _number(0, 777, r"^\s*(?:0o)?[0-7]{1,4}\s*$"),
    "dotted": [_DOTTED],
    "hook": [
        _DOTTED,
        {
            "type": "object",
            "properties": {
                "path": _DOTTED,
                "ignore_failure": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, *_choice(BOOL)]},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        {"enum": ["", None]},
    ],
    "readiness": [
        {"type": "string", "pattern": _any_case(READY_WORDS)},
        {"type": "string", "pattern": _any_case((*READY_SCHEMES, *READY_SIGNS)).removesuffix(r"\s*$") + ":."},
    ],
    "liveness": [
        {"type": "string", "pattern": _any_case(READY_SCHEMES).removesuffix(r"\s*$") + ":."},
        {"enum": [""]},
    ],
    "times": _number(1, 1000),
    "limit": [
        {"type": ["integer", "null"], "minimum": -1},
        {"type": "string", "pattern": r"^\s*(?:-1|[0-9]*|[A-Za-z]+)\s*$"},
    ],
    "dependencies": [{"type": "string"}, _LIST],
    "starts": _number(0, 1000),
    "nice value": _number(-20, 19),
    "score": _number(-1000, 1000),
    "processors": [{"type": "integer", "minimum": 0}, {"type": "string"}, _LIST],
    "input-output priority": [{"type": "string", "pattern": r"^\s*[A-Za-z-]+(?:\s+[0-7])?\s*$"}],
    "statuses": [{"type": "integer", "minimum": 0, "maximum": 255}, {"type": "string"}, _LIST],
    "ladder": [
        {"type": "string"},
        {"type": "array", "maxItems": 10, "items": {"type": "array", "minItems": 2, "maxItems": 2}},
    ],
    "level": _choice(LEVEL, "warn"),
    "family": _choice(FAMILY, *_short(FAMILY)),
    "socket type": _choice(SOCKET_TYPE, *_short(SOCKET_TYPE)),
    "syslog address": [_FILLED],
    "stream class": [{"enum": [row.name for row in STREAM_CLASSES]}, _DOTTED],
    "plugin class": [{"enum": [row.name for row in PLUGIN_CLASSES]}, _DOTTED],
}
"""What a value of each type may be in a file, where that is more than its choices; by the name of the type."""


def schema() -> str:
    """The text of the schema's file."""
    free = {"anyOf": [_SCALAR, {"type": "object", "additionalProperties": {"$ref": "#/definitions/free"}}]}
    root = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": "Generated by tools/gendocs.py from daemon/circusd/schema: edit that, not this file.",
        "title": "Configuration of circusd in TOML or YAML",
        "type": "object",
        "properties": {
            "circus": _described({"$ref": "#/definitions/circus"}, "The daemon itself."),
            "env": _described(
                {"$ref": "#/definitions/env"},
                "Variables for all watchers; a table in it has those for the watchers whose names fit its own name.",
            ),
            "watcher": _named("watcher", "Commands that are kept running, by name."),
            "socket": _named("socket", "Listening sockets that the daemon owns, by name."),
            "plugin": _named("plugin", "Classes that run beside the daemon, by name."),
        },
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "definitions": {
            **{_key(kind): _type(kind) for kind in _types()},
            "free": free,
            "circus": _section(CIRCUS),
            "env": {
                "type": ["object", "null"],
                "additionalProperties": {
                    "anyOf": [_SCALAR, {"type": "object", "additionalProperties": _SCALAR}]
                },
            },
            "socket": _section(SOCKET),
            "watcher": _watcher(WATCHER, "cmd"),
            "plugin": _watcher(
                (*PLUGIN, *(row for row in WATCHER if row.name not in ("cmd", "args") and not row.legacy)),
                "use",
            ),
            "stream": _stream(),
            "hooks": {
                "type": ["object", "null"],
                "properties": {name: {"$ref": "#/definitions/hook"} for name in HOOKS},
                "additionalProperties": False,
            },
            "rlimits": {
                "type": ["object", "null"],
                "properties": {name: {"$ref": "#/definitions/limit"} for name in RLIMITS},
                "patternProperties": {_any_case(RLIMITS): {"$ref": "#/definitions/limit"}},
                "additionalProperties": False,
            },
        },
    }
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"


def _types() -> Iterable[ValueType]:
    """Every type that an option has: those of the table, and what one option has to itself."""
    own = (row.type for table in (CIRCUS, SOCKET, WATCHER, PLUGIN, *_stream_tables()) for row in table)
    return {kind.name: kind for kind in (*TYPES, *own)}.values()


def _stream_tables() -> Iterable[tuple[Option, ...]]:
    return (STREAM, *(row.options for row in STREAM_CLASSES))


def _key(kind: ValueType) -> str:
    return {"env": "variables"}.get(kind.name, kind.name.replace(" ", "-"))


def _type(kind: ValueType) -> Schema:
    # a type without choices and without its row above is a KeyError, and no wrong guess
    read = _choice(kind) if kind.choices and kind.name not in _READ else _READ[kind.name]
    takes_any_text = any(part is _SCALAR or part is _FILLED for part in read)
    return {
        "description": f"Expected: {kind.expected}.",
        "anyOf": read if takes_any_text else [*read, _REFERENCE],
    }


def _described(what: Schema, text: str) -> Schema:
    # beside a $ref, draft 7 lets nothing count
    return {"description": text, "allOf": [what]}


def _named(kind: str, text: str) -> Schema:
    return {
        "description": text,
        "type": ["object", "null"],
        "additionalProperties": {"$ref": f"#/definitions/{kind}"},
    }


def _section(table: tuple[Option, ...]) -> Schema:
    return {
        "type": ["object", "null"],
        "properties": {option.name: _option(option) for option in table if not option.pattern},
        "additionalProperties": False,
    }


def _watcher(table: tuple[Option, ...], needed: str) -> Schema:
    """A section that takes families of options as tables, and keys of one's own."""
    streams = {
        family: _described({"$ref": "#/definitions/stream"}, _plain(option))
        for option in table
        if (family := option.prefix[:-1]) in ("stdout_stream", "stderr_stream")
    }
    return {
        **_section(table),
        "required": [needed],
        "properties": {
            **_section(table)["properties"],
            **streams,
            needed: next(_option(option, needed=True) for option in table if option.name == needed),
            "hooks": {"$ref": "#/definitions/hooks"},
            "rlimits": {"$ref": "#/definitions/rlimits"},
        },
        "patternProperties": {"^rlimit_.": {"$ref": "#/definitions/limit"}},
        "additionalProperties": {"$ref": "#/definitions/free"},
    }


def _stream() -> Schema:
    """The options of every class of streams; a class of one's own takes others too."""
    properties: dict[str, Schema] = {}
    for table in _stream_tables():
        for option in table:
            properties.setdefault(option.name, _option(option))
    return {
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": {"$ref": "#/definitions/free"},
    }


def _option(option: Option, *, needed: bool = False) -> Schema:
    kind: Schema = {"$ref": f"#/definitions/{_key(option.type)}"}
    # nothing stands for "not given"
    what = kind if needed or option.default is not None else {"anyOf": [kind, {"enum": ["", None]}]}
    if option.legacy:
        return {"description": f"{_plain(option)} {option.told}.", "deprecated": True, **_SCALAR}
    described = _described(what, _plain(option))
    if option.default is not None:
        described["default"] = _default(option)
    return described


def _default(option: Option) -> Any:
    if option.type is SIGNAL:
        return SIGNAL.format(option.default)
    return list(option.default) if isinstance(option.default, tuple) else option.default


def _plain(option: Option) -> str:
    return option.doc.replace("``", "")
