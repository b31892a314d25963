"""What hooks and plugins import from the original beside its base class: a client, a logger, a few conversions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from circusd.client import Client, find_endpoint
from circusd.schema.errors import CircusError
from circusd.version import __version__

__all__ = [
    "DEFAULT_ENDPOINT_DEALER",
    "DEFAULT_ENDPOINT_SUB",
    "CallError",
    "CircusClient",
    "__version__",
    "bytes2human",
    "cast_message",
    "human2bytes",
    "logger",
    "make_json",
    "make_message",
    "to_bool",
]

DEFAULT_ENDPOINT_DEALER = "tcp://127.0.0.1:5555"
DEFAULT_ENDPOINT_SUB = "tcp://127.0.0.1:5556"

logger = logging.getLogger("circus")

_UNITS = "BKMGTPEZY"


class CallError(Exception):
    """A request had no answer."""


def make_message(command: str, **properties: Any) -> dict[str, Any]:
    """A request for `CircusClient.call`."""
    return {"command": command, "properties": properties}


def cast_message(command: str, **properties: Any) -> dict[str, Any]:
    """A request that gets no reply."""
    return {**make_message(command, **properties), "msg_type": "cast"}


def make_json(command: str, **properties: Any) -> str:
    """A request as text."""
    import json

    return json.dumps(make_message(command, **properties))


class CircusClient:
    """The original's client: a connection to the daemon's commands; replies come as they are, errors too."""

    def __init__(
        self,
        context: Any = None,
        endpoint: str | None = None,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
    ) -> None:
        if ssh_server is not None:
            raise CallError("ssh is not for clients inside plugins and hooks: they run beside the daemon")
        self.endpoint = endpoint or find_endpoint()
        self.timeout = timeout
        self._client = Client(self.endpoint, timeout=timeout)

    def send_message(self, command: str, **properties: Any) -> dict[str, Any]:
        """As `call`, with the request's parts."""
        return self.call(make_message(command, **properties))

    def call(self, message: Mapping[str, Any] | str) -> dict[str, Any]:
        """The reply, be it ok or an error; raises CallError when there is none."""
        if isinstance(message, str):
            message = make_message(message)
        try:
            properties = message.get("properties", {})
            if message.get("msg_type") == "cast":
                self._client.cast(message["command"], properties)
                return {}
            # Who asks to wait for the end has said how long by `timeout`.
            return self._client.request(message["command"], properties, timeout=self.timeout)
        except CircusError as problem:
            raise CallError(str(problem)) from problem

    def stop(self) -> None:
        """The connection is closed."""
        self._client.close()


def to_bool(value: Any) -> bool:
    """The truth value that a text of a configuration stands for; raises ValueError for other text."""
    if isinstance(value, bool | int):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("1", "y", "yes", "t", "true", "on"):
        return True
    if text in ("0", "n", "no", "f", "false", "off", ""):
        return False
    raise ValueError(f"{value!r} is neither yes nor no")


def human2bytes(text: str) -> int:
    """The number of bytes that ``250M`` stands for; raises ValueError."""
    text = str(text).strip().upper()
    text = text[:-1] if len(text) > 1 and text[-1] == "B" and text[-2] in _UNITS else text
    if text and text[-1] in _UNITS:
        return int(float(text[:-1]) * 1024 ** _UNITS.index(text[-1]))
    return int(float(text))


def bytes2human(count: int) -> str:
    """A number of bytes in the largest unit that leaves it above one: ``1.77M``."""
    for power in range(len(_UNITS) - 1, 0, -1):
        if count >= 1024**power:
            return f"{count / 1024**power:.2f}{_UNITS[power]}"
    return f"{int(count)}B"
