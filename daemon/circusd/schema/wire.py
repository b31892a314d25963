"""The wire format: requests, replies and pushes as bytes, with their limits.

A request is one ZeroMQ frame that holds a JSON object (the original's format, version 0.19): ``id`` (any JSON,
echoed), ``command``, ``properties``, and ``msg_type: "cast"`` for no reply at all. Our additions: ``session`` and
``address`` (at the console's door: whose request it is, and where his browser is) and pushes, messages with the id of a
``follow`` request and a key ``push``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

from .errors import BadJson, CircusError

VERSION = 1
"""Version of our additions; the original's clients need none."""

REQUEST_LIMIT_BYTES = 1 << 20
"""Longest request that is decoded."""

ADDRESS_LIMIT = 64
"""Letters of an address; what is longer is cut."""


class NoReply(CircusError):
    """A message that the original leaves without any reply, and so do we."""

    code = "bad_request"


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded request."""

    id: Any
    command: str
    properties: dict[str, Any] = field(default_factory=dict)
    cast: bool = False
    session: str = ""
    address: str = ""


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        # It would come back in the reply as a word that is not JSON.
        raise ValueError(f"{text} is too large")
    return value


def decode_request(frames: list[bytes]) -> Request:
    """The request of one message.

    Raises `NoReply` where the original answers nothing (extra frames, blank text, no object, no command name) and
    `BadJson` for what is no JSON, is longer than `REQUEST_LIMIT_BYTES`, too deep for the parser, or has an infinite number.
    """
    if len(frames) != 1 or not frames[0].strip():
        raise NoReply("a request is one frame of JSON")
    raw = frames[0]
    if len(raw) > REQUEST_LIMIT_BYTES:
        raise BadJson(f"json invalid: longer than {REQUEST_LIMIT_BYTES} bytes")
    try:
        data = json.loads(raw.decode("utf-8"), parse_constant=_constant, parse_float=_float)
    except (ValueError, RecursionError):
        raise BadJson("json invalid") from None
    if not isinstance(data, dict) or not isinstance(data.get("command"), str) or not data["command"]:
        raise NoReply("a request is an object with a command")
    properties = data.get("properties")
    session, address = data.get("session"), data.get("address")
    return Request(
        id=data.get("id"),
        command=data["command"].lower(),
        properties=properties if isinstance(properties, dict) else {},
        cast=data.get("msg_type") == "cast",
        session=session if isinstance(session, str) else "",
        address=address[:ADDRESS_LIMIT] if isinstance(address, str) else "",
    )


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=str)


def encode(data: Any) -> bytes:
    """JSON text as bytes; lone surrogates (undecodable bytes of the system) come out escaped."""
    return _ENCODER.encode(data).encode("ascii")


class Encoded(bytes):
    """A value that is JSON already, made where it takes nobody's time; of a payload, not deeper."""


def ok_reply(request_id: Any, payload: dict[str, Any], now: float) -> bytes:
    """An ok reply as the original forms it: the payload is merged and may overwrite ``status``."""
    made = {key: value for key, value in payload.items() if isinstance(value, Encoded)}
    rest = {key: value for key, value in payload.items() if key not in made} if made else payload
    reply = encode({"status": "ok", "time": now, **rest, "id": request_id})
    if not made:
        return reply
    return b"".join([reply[:-1], *(b"," + encode(key) + b":" + value for key, value in made.items()), b"}"])


def error_reply(request_id: Any, error: CircusError, now: float, traceback: str | None = None) -> bytes:
    """An error reply: the original's keys, and ``error`` with our code, text and hint.

    ``reason`` is without the hint: scripts compare it with the original's texts.
    """
    return encode(
        {
            "status": "error",
            "reason": error.text,
            "tb": traceback,
            "time": now,
            "errno": error.kind.errno,
            "error": error.as_dict(),
            "id": request_id,
        }
    )


def push(request_id: Any, topic: str, data: dict[str, Any]) -> bytes:
    """A message of a stream that a ``follow`` opened."""
    return encode({"id": request_id, "push": topic, "data": data})


def escape_name(name: str) -> str:
    """A watcher's name inside a topic: lower case, spaces as in the original, dots and percent signs escaped."""
    return name.lower().replace(" ", "_").replace("%", "%25").replace(".", "%2E")


def event_topic(watcher: str, original: str) -> str:
    """The original's topic of an event: ``watcher.NAME.EVENT`` (name in lower case, spaces as ``_``)."""
    return f"watcher.{watcher.lower().replace(' ', '_')}.{original}"
