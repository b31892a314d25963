"""The OpenAPI document of the HTTP API, made from the tables: commands, options, errors, and what can be followed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

from circusd.schema.commands import COMMANDS, JOB, Command, Field
from circusd.schema.errors import ERRORS
from circusd.schema.events import EVENTS
from circusd.schema.options import Option
from circusd.schema.types import SIGNAL
from circusd.version import __version__

from . import auth
from .inputs import INT_LIMIT, SECONDS_LIMIT, STREAM_DOCS, STREAM_LINES, STREAMS, fields_of
from .sending import EVENT_STREAM, JSON_LINES
from .tables import SECTIONS, shown

Json = dict[str, Any]

INTRODUCTION = """\
Every command of circusctl, as a request. Commands that only read take GET with a query, and POST; those that change something
take POST with a JSON object. Names are as in the reference of commands, and so are the replies.

A token goes into `Authorization: Bearer TOKEN`. A session's cookie counts too; a POST with it needs `X-CSRF-Token`.

A command that takes time is answered with 202 and the address of its job as soon as it is on its way; with `"waiting": true` the
reply comes when it is done, and with `Accept: text/event-stream` its progress before that. Errors are RFC 9457 problems whose
`code` is in the reference of errors. `Idempotency-Key` makes it safe to ask again.
"""

TAGS = {
    "daemon": "The daemon as a whole.",
    "watcher": "Watchers, by name, pattern or @TAG.",
    "process": "Single processes.",
    "socket": "Sockets that the daemon owns.",
    "streams": "What goes on until one side ends it: server-sent events, or JSON lines.",
}

TYPES: dict[str, Json] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "minimum": -INT_LIMIT, "maximum": INT_LIMIT},
    "seconds": {"type": "number", "minimum": 0, "maximum": SECONDS_LIMIT},
    "bool": {"type": "boolean"},
    "signal": {
        "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1, "maximum": 64}],
        "examples": [*SIGNAL.choices[:3], 15],
    },
    "strings": {"type": "array", "items": {"type": "string"}},
    "object": {"type": "object"},
    "secret": {"type": "string", "format": "password"},
    "json": {},
}
"""What a value of a field's type is in JSON."""

OPTION_TYPES: dict[str, tuple[str, ...]] = {
    "number": ("integer", "string"),
    "bytes": ("integer", "string"),
    "duration": ("number", "string"),
    "switch": ("boolean", "integer", "string"),
    "env": ("object", "string"),
    "command": ("string", "array"),
    "user": ("string", "integer"),
    "signal": ("string", "integer"),
}
"""What the value of an option may be in JSON, by its form element; a text for all others."""

REFUSALS = (400, 401, 403, 404, 409, 422, 500, 503, 504)
"""What any command may be answered; with a body 408, 413 and 415 too, and 429 where one may wait."""

WORDS = {
    405: "The method is not for this; `Allow` names those that are.",
    408: "The body has not come in time.",
    413: "The body is longer than the wire takes.",
    415: "The body is not JSON in UTF-8.",
    429: "Too many requests of this person wait or follow already; `throttled`: too many wrong tries.",
}


SECRET = "********"  # noqa: S105 (none)
"""Stands for a secret in an example."""


@cache
def as_json() -> bytes:
    """The document as it is served."""
    return json.dumps(document(), separators=(",", ":")).encode("ascii")


def document() -> Json:
    """The document."""
    paths: Json = {}
    for row in COMMANDS:
        if row.where == "daemon":
            paths[f"/{row.name}"] = path_of(row)
    paths["/jobs/{id}"] = _job()
    for name, fields in STREAMS.items():
        paths[f"/follow/{name}"] = {"get": _stream(name, fields, "")}
        if "name" in fields:
            paths[f"/follow/{name}/{{name}}"] = {"get": _stream(name, fields, "OfOne")}
    paths["/openapi.json"] = {
        "get": {
            "operationId": "openapi",
            "summary": "this document",
            "tags": ["daemon"],
            "security": [],
            "responses": {
                "200": {
                    "description": "The document.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "circusweb",
            "version": __version__,
            "summary": "Watchers, processes and sockets of one circusd.",
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Beside this document, under whatever prefix and for whichever daemon it was asked for.
        "servers": [{"url": "../v1", "description": "the daemon that this document was asked from"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": auth.COOKIE},
            },
            "schemas": {
                "Problem": _problem(),
                **{f"{kind.title()}Options": options_schema(rows) for kind, rows in SECTIONS.items()},
            },
            "responses": _refusals(),
            "headers": {
                "Allow": {"description": "The methods that are for this.", "schema": {"type": "string"}},
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
            },
        },
    }


# --- commands ---------------------------------------------------------------------------------------------------------


def path_of(row: Command) -> Json:
    """The operations of one command."""
    path: Json = {"post": _post(row)}
    if row.effect == "read":
        path["get"] = {
            **_operation(row, row.name),
            "parameters": [_parameter(field) for field in fields_of(row).values()],
            "responses": _responses(row, has_body=False),
        }
    return path


def _operation(row: Command, id_: str) -> Json:
    return {
        "operationId": id_,
        "summary": row.summary,
        "description": row.doc.replace("``", "`"),
        "tags": [row.scope],
        "x-role": row.role,
        "x-effect": row.effect,
        "x-line": row.example,
    }


def _post(row: Command) -> Json:
    fields = fields_of(row)
    schema: Json = {
        "type": "object",
        "properties": {name: schema_of(field, row) for name, field in fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, field in fields.items() if field.required]
    if required:
        schema["required"] = required
    content: Json = {"schema": schema}
    example = example_of(row)
    if example is not None:
        content["examples"] = {"case": {"summary": f"circusctl {row.case.argv}", "value": example}}
    post = {
        **_operation(row, row.name if row.effect != "read" else f"{row.name}ByPost"),
        "requestBody": {"required": bool(required), "content": {"application/json": content}},
        "responses": _responses(row, has_body=True),
    }
    if row.effect != "read":
        post["parameters"] = [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key with the same properties gets the first answer again, and nothing is done twice.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            }
        ]
    return post


def schema_of(field: Field, row: Command | None = None) -> Json:
    """What a value of the field has to be."""
    schema: Json = dict(TYPES.get(field.type, TYPES["string"]))
    if field.type == "object" and row is not None:
        schema = {"$ref": f"#/components/schemas/{(row.options or 'watcher').title()}Options"}
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.default is not None:
        schema["default"] = field.default
    if field.doc:
        schema["description"] = field.doc
    return schema


def _parameter(field: Field, where: str = "query") -> Json:
    schema = schema_of(field)
    parameter: Json = {"name": field.name, "in": where, "required": field.required or where == "path"}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    return {**parameter, "schema": schema}


def _responses(row: Command, *, has_body: bool) -> Json:
    properties: Json = {
        "status": {"type": "string"},
        "time": {"type": "number", "description": "epoch seconds"},
    }
    for field in row.reply:
        schema = schema_of(field)
        if field.type == "string":
            schema["type"] = ["string", "null"]
        properties[field.name] = schema
    done: Json = {
        "description": "The reply of the daemon.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": properties, "required": ["status", "time"]}
            }
        },
    }
    waits = row.waits or row.lasts
    if waits:
        done["content"] |= _stream_content("`progress` while it goes on, then `reply` or `problem`.")
    responses: Json = {"200": done}
    if row.waits and has_body:
        begun = {"status": {"type": "string"}, "time": {"type": "number"}, JOB.name: schema_of(JOB)}
        responses["202"] = {
            "description": "It is on its way.",
            "headers": {
                "Location": {
                    "description": "Its job.",
                    "schema": {"type": "string", "format": "uri-reference"},
                }
            },
            "content": {"application/json": {"schema": {"type": "object", "properties": begun}}},
        }
    guesses = any(field.type == "secret" for field in row.args)
    for status in (
        *REFUSALS,
        405,
        *((408, 413, 415) if has_body else ()),
        *((429,) if waits or guesses else ()),
    ):
        responses[str(status)] = {"$ref": f"#/components/responses/{_key(status)}"}
    return dict(sorted(responses.items()))


def _stream_content(text: str) -> Json:
    line = {
        "type": "object",
        "properties": {"event": {"type": "string"}, "id": {"type": "string"}, "data": {}},
        "required": ["event", "data"],
    }
    return {
        EVENT_STREAM: {"schema": {"type": "string", "description": f"Server-sent events: {text}"}},
        JSON_LINES: {
            "schema": {
                "type": "string",
                "description": f"One JSON object in each line: {text}",
                "x-line": line,
            }
        },
    }


def example_of(row: Command) -> Json | None:
    """The properties of the row's own case; None where they are known only at run time."""
    words = shlex.split(row.case.argv)[1:]
    if not row.case.argv or "{" in row.case.argv:
        return None
    fields = fields_of(row)
    flags = {field.flag or name: field for name, field in fields.items() if not field.positional}
    secrets = {f"{field.name}-file": field for field in row.args if field.type == "secret"}
    places = [field for field in row.args if field.positional]
    found: Json = {}
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            field = flags.get(word[2:])
            if word[2:] in secrets:
                # A file of the shell's; what is in it is nobody's to see.
                found[secrets[word[2:]].name] = SECRET
                words.pop(0)
            elif field is None:
                found.setdefault("options", {})[word[2:].replace("-", "_")] = _plain(words.pop(0))
            else:
                found[field.name] = True if field.type == "bool" else _value(field, words.pop(0))
        elif places and _is_for(places[0], word):
            field = places.pop(0)
            rest = [word, *words[: _length(words)]]
            del words[: len(rest) - 1]
            if field.type == "object":
                found[field.name] = dict(zip(rest[::2], map(_plain, rest[1::2]), strict=True))
            elif field.type == "strings":
                found[field.name] = rest
            elif not places:
                found[field.name] = _value(field, " ".join(rest))
            else:
                words = [*rest[1:], *words]
                found[field.name] = _value(field, word)
        elif places:
            places.pop(0)
            words.insert(0, word)
    return found


def _length(words: list[str]) -> int:
    """How many come before the next flag."""
    return next((number for number, word in enumerate(words) if word.startswith("--")), len(words))


def _is_for(field: Field, word: str) -> bool:
    return field.type != "int" or word.isdigit()


def _value(field: Field, word: str) -> Any:
    return int(word) if field.type == "int" else float(word) if field.type == "seconds" else word


def _plain(word: str) -> int | str:
    return int(word) if word.isdigit() else word


def options_schema(rows: Iterable[Option]) -> Json:
    """The options of a section as one object."""
    return {
        "type": "object",
        "description": "Options by name, each as a text or as what its type says.",
        "properties": {row.name: _option(row) for row in rows if shown(row)},
    }


def _option(row: Option) -> Json:
    types = OPTION_TYPES.get(row.type.widget, ("string",))
    told: Json = {
        "type": [*types, "null"],
        "description": f"{row.doc.replace('``', '`')} Takes {row.type.expected}.",
        "x-apply": row.apply,
        "x-role": row.role,
    }
    if row.default is not None:
        told["default"] = row.type.format(row.default)
    if row.unit:
        told["x-unit"] = row.unit
    if row.secret:
        told["writeOnly"] = True
    return told


# --- jobs, streams, problems ------------------------------------------------------------------------------------------


def _job() -> Json:
    cancel = next(row for row in COMMANDS if row.name == "cancel")
    shown_by = next(row for row in COMMANDS if row.name == "jobs")
    properties = {
        "id": {"type": "integer"},
        "command": {"type": "string"},
        "watcher": {"type": "string"},
        "by": {"type": "string"},
        "since": {"type": ["number", "null"]},
        "state": {"type": "string"},
        "done": {"type": "integer"},
        "total": {"type": "integer"},
        "unit": {"type": "string"},
        "parts": {"type": "array"},
    }
    get = {
        **_operation(shown_by, "job"),
        "summary": "show how far a command is",
        "description": "For as long as it is on its way; 404 afterwards.",
        "responses": _responses(shown_by, has_body=False),
    }
    get["responses"]["200"] = {
        "description": "The command.",
        "content": {
            "application/json": {"schema": {"type": "object", "properties": properties, "required": ["id"]}}
        },
    }
    delete = {**_operation(cancel, "cancelJob"), "responses": _responses(cancel, has_body=False)}
    id_ = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
    return {"parameters": [id_], "get": get, "delete": delete}


def _stream(name: str, fields: dict[str, Field] | Any, suffix: str) -> Json:
    parameters = [
        _parameter(field, "path" if suffix and field.name == "name" else "query")
        for field in fields.values()
        if suffix or field.name != "name"
    ]
    for parameter in parameters:
        if parameter["name"] == "lines":
            parameter["schema"] |= {"minimum": 0, "maximum": STREAM_LINES[name]}
    if name in STREAM_LINES:
        text = "The id of the last event that came: what has come since is sent first, and what is gone is told by a `gap`."
        parameters.append(
            {"name": "Last-Event-ID", "in": "header", "description": text, "schema": {"type": "string"}}
        )
    responses: Json = {
        "200": {
            "description": "Until one side ends it; where that is the daemon, the last event is `end` with the reason.",
            "content": _stream_content(STREAM_DOCS[name].replace("``", "`")),
        }
    }
    for status in (400, 401, 403, 404, 405, 429, 503, 504):
        responses[str(status)] = {"$ref": f"#/components/responses/{_key(status)}"}
    return {
        "operationId": f"follow{name.title()}{suffix}",
        "summary": f"follow {name}{' of some watchers' if suffix else ''}",
        "description": STREAM_DOCS[name].replace("``", "`"),
        "tags": ["streams"],
        "x-role": "viewer",
        "x-effect": "read",
        **({"x-events": [row.name for row in EVENTS]} if name == "events" else {}),
        "parameters": parameters,
        "responses": dict(sorted(responses.items())),
    }


def _problem() -> Json:
    texts = {"type": "string"}
    return {
        "type": "object",
        "description": "An error, as RFC 9457 has it.",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {**texts, "description": "what the status is called"},
            "status": {"type": "integer"},
            "detail": {**texts, "description": "what is wrong"},
            "code": {
                **texts,
                "enum": [row.code for row in ERRORS],
                "description": "to be compared by programs",
            },
            "hint": {**texts, "description": "what to do"},
            "field": {**texts, "description": "the property that is wrong"},
        },
        "required": ["type", "title", "status", "detail"],
    }


def _refusals() -> Json:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusals: Json = {}
    for status in sorted({*REFUSALS, *WORDS}):
        text = WORDS.get(status) or " ".join(
            f"`{row.code}`: {row.doc}" for row in ERRORS if row.http_status == status
        )
        refusals[_key(status)] = {"description": text, "content": content}
    for status, name in ((405, "Allow"), (429, "Retry-After"), (503, "Retry-After")):
        refusals[_key(status)]["headers"] = {name: {"$ref": f"#/components/headers/{name}"}}
    return refusals


def _key(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")
