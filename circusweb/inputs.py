"""The properties of a request over HTTP: read from an address, and held against the rows of the table.

Stricter than the wire, where the original's clients may send what they always sent: a name that is not known here is a slip.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from circusd.schema.commands import WAITING, Command, Field
from circusd.schema.errors import BadJson, BadRequest
from circusd.schema.nearest import nearest
from circusd.schema.types import SIGNAL

INT_LIMIT = 1 << 53
"""Whole numbers beyond this are not the same in every program that reads JSON."""

SECONDS_LIMIT = 1e9
LONGEST_NAME = 100
"""Characters of a name that is looked up, for which the nearest right one is looked for, and that is shown."""

_MATCH = ("simple", "glob", "regex")
_TRUTH = {"true": True, "1": True, "": True, "false": False, "0": False}

STREAM_LINES: Mapping[str, int] = {"events": 2000, "logs": 10_000}
"""Of the past, that can come first."""

_NAME = Field("name", doc="only this watcher; in the address, after the name of the stream")
_STREAMS: Mapping[str, tuple[Field, ...]] = {
    "events": (
        _NAME,
        Field("lines", "int", "how many of the last come first", default=0),
    ),
    "logs": (
        Field(
            "name", doc="only this watcher, or those that match; in the address, after the name of the stream"
        ),
        Field("lines", "int", "how many of the last lines come first", default=0),
        Field("stream", doc="only this stream", choices=("stdout", "stderr")),
        Field("match", doc="how the name is read", default="glob", choices=_MATCH),
    ),
    "state": (),
    "load": (),
}

STREAMS: Mapping[str, Mapping[str, Field]] = {
    name: {field.name: field for field in fields} for name, fields in _STREAMS.items()
}
"""What can be followed, with what may be asked of each."""

STREAM_DOCS: Mapping[str, str] = {
    "events": "What happens, and before it some of what happened. Each event goes by its name, and its id is where to go on.",
    "logs": "What processes write, one ``line`` for each line. Its id is where to go on.",
    "state": "First a ``snapshot`` of everything, then each ``watcher`` that has changed, and the name of each that was ``removed``.",
    "load": "CPU, memory and lines a second of every watcher, once a second.",
}


def of_stream(what: str, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What is asked of a stream, from the address. Raises BadRequest."""
    asked = typed(STREAMS[what].values(), pairs, f"follow/{what}")
    if not 0 <= asked.get("lines", 0) <= STREAM_LINES.get(what, 0):
        raise BadRequest(f"lines must be a whole number, 0 to {STREAM_LINES[what]}", field="lines")
    return asked


def fields_of(row: Command) -> dict[str, Field]:
    """All that a request for the command may have."""
    own = [field for field in row.args if not field.local]
    return {field.name: field for field in (*own, *((WAITING,) if row.waits else ()))}


def from_query(row: Command, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The properties of a command from the address, typed as its row says. Raises BadRequest."""
    return typed(fields_of(row).values(), pairs, row.name)


def typed(fields: Iterable[Field], pairs: Iterable[tuple[str, str]], owner: str) -> dict[str, Any]:
    """Texts as the values that the fields want; each has been held against its field. Raises BadRequest."""
    known = {field.name: field for field in fields}
    found: dict[str, Any] = {}
    for key, text in pairs:
        field = known.get(key)
        if field is None:
            raise unknown(owner, key, known)
        if field.type != "strings" and key in found:
            raise BadRequest(f"{key} is there twice", field=key)
        try:
            value = _read(field, text)
        except (ValueError, KeyError, RecursionError):
            raise BadRequest(f"{text!r} is no value for {key} ({field.type})", field=key) from None
        found[key] = [*found.get(key, ()), *value] if field.type == "strings" else value
    for key, value in found.items():
        _check(known[key], value)
    return found


def _read(field: Field, text: str) -> Any:
    match field.type:
        case "int":
            # A sign and digits: Python's own way takes spaces and underscores as well.
            if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 20:
                raise ValueError(text)
            return int(text)
        case "seconds":
            number = float(text)
            return int(number) if number.is_integer() and math.isfinite(number) else number
        case "bool":
            return _TRUTH[text.lower()]
        case "strings":
            return [text]
        case "json" | "object":
            return from_json(text)
        case _:
            return text


def from_json(text: str) -> Any:
    """The value; what two readers could take for different ones is none. Raises BadJson, ValueError, RecursionError."""
    return json.loads(text, object_pairs_hook=_once_each, parse_constant=_constant, parse_float=_finite)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; where a key is there twice, two readers could take it for different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("the body is no JSON: a key is there twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def check(row: Command, properties: Mapping[str, Any]) -> None:
    """Raises BadRequest for a property that is none of the row's, or of another type. What is missing is the daemon's matter."""
    known = fields_of(row)
    for key, value in properties.items():
        if key not in known:
            raise unknown(row.name, key, known)
        _check(known[key], value)


def unknown(owner: str, key: str, known: Collection[str]) -> BadRequest:
    """The error for a name that is none of those."""
    hint = meant(key, known) or (f"known: {', '.join(known)}" if known else "it takes none")
    return BadRequest(f"{owner} has no property {key[:LONGEST_NAME]!r}", field=key[:LONGEST_NAME], hint=hint)


def meant(name: str, names: Iterable[str]) -> str:
    """The question after the name that was probably meant; empty where none is near."""
    near = nearest(name, names) if len(name) <= LONGEST_NAME else None
    return f"did you mean {near}?" if near else ""


def _check(field: Field, value: Any) -> None:
    if problem := problem_of(field, value):
        raise BadRequest(told(field, problem, value), field=field.name)


def told(field: Field, problem: str, value: Any) -> str:
    """What is said of a value that is not what its field wants."""
    if field.type == "secret":
        return f"{field.name} must be {problem}"
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}…"
    return f"{field.name} must be {problem}, not {shown}"


def problem_of(field: Field, value: Any) -> str:
    """What the value should be and is not; empty where it is."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    is_number = is_number or (isinstance(value, float) and math.isfinite(value))
    match field.type:
        case "json":
            return ""
        case "int":
            return "" if is_number and value == int(value) and abs(value) <= INT_LIMIT else "a whole number"
        case "seconds":
            return "" if is_number and 0 <= value <= SECONDS_LIMIT else "a number of seconds, 0 to 1e9"
        case "bool":
            return "" if isinstance(value, bool) else "true or false"
        case "strings":
            is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
            return "" if is_list else "a list of texts"
        case "object":
            return "" if isinstance(value, dict) else "an object"
        case "signal":
            return "" if _is_signal(value) else "a signal, by name or number"
        case _ if field.choices:
            return "" if value in field.choices else f"one of {', '.join(field.choices)}"
        case _:
            return "" if isinstance(value, str) else "a text"


def _is_signal(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    try:
        SIGNAL.from_json(value)
    except (ValueError, OverflowError):
        return False
    return True
