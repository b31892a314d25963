"""The original's clients: a connection to the daemon's commands, and one to its events.

`circusd.client.CircusClient` is the same as the one here. Replies come as they are, errors too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .client import Client, Subscription, find_endpoint, subscribe
from .schema.errors import CircusError, TimedOut


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
    return json.dumps(make_message(command, **properties))


class CircusClient:
    """A connection to circusd's commands.

    Without an ``endpoint`` it is that of the daemon that `circusd.client.find_endpoint` finds. ``timeout`` is in seconds,
    also for a request that waits for its end. ``context`` is there for the original's sake.
    """

    def __init__(
        self,
        context: Any = None,
        endpoint: str | None = None,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
    ) -> None:
        if ssh_server is not None:
            raise CallError(
                "a daemon on another machine is reached by a key: see newkey and addkey, or by circusctl --ssh"
            )
        try:
            self.endpoint = endpoint or find_endpoint()
        except CircusError as problem:
            raise CallError(str(problem)) from problem
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

    def __enter__(self) -> CircusClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class AsyncCircusClient:
    """The same for coroutines: `call` and `send_message` are awaited."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._client = CircusClient(*args, **options)
        self.endpoint = self._client.endpoint
        self.timeout = self._client.timeout

    async def send_message(self, command: str, **properties: Any) -> dict[str, Any]:
        """As `call`, with the request's parts."""
        return await self.call(make_message(command, **properties))

    async def call(self, message: Mapping[str, Any] | str) -> dict[str, Any]:
        """The reply, be it ok or an error; raises CallError when there is none."""
        # It takes its time to import, and most users of this module do without.
        import asyncio

        return await asyncio.to_thread(self._client.call, message)

    def stop(self) -> None:
        """The connection is closed."""
        self._client.stop()


class CircusConsumer:
    """What happens, as pairs of topic and JSON text; to be iterated over.

    Without an ``endpoint`` it is that of the events of the daemon that `find_endpoint` finds. ``timeout`` is how long one
    look for a message takes (seconds).
    """

    def __init__(
        self,
        topics: Iterable[str | bytes],
        context: Any = None,
        endpoint: str | None = None,
        ssh_server: str | None = None,
        timeout: float = 1.0,
    ) -> None:
        self.topics = list(topics)
        self.timeout = timeout
        if endpoint is None:
            with CircusClient() as client:
                endpoint = client.send_message("globaloptions", option="pubsub_endpoint")["options"][
                    "pubsub_endpoint"
                ]
        self.endpoint = str(endpoint)
        self._subscription: Subscription | None = subscribe(self.endpoint, self.topics)

    def iter_messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Message after message, until `stop`."""
        while self._subscription is not None:
            try:
                yield self._subscription.receive(self.timeout)
            except TimedOut:
                continue

    def stop(self) -> None:
        """The connection is closed."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self.iter_messages()

    def __enter__(self) -> CircusConsumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
