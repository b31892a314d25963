"""What holds for a line of ``circusctl`` and those after it: options, connections, how to print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from circusd.cli.terminal import Style, style_of
from circusd.client import FOREVER, TIMEOUT, Client, Follow, find_endpoint, refusal
from circusd.schema.errors import BadRequest


class Session:
    """Options, the connections made under them, and the two streams to print to."""

    def __init__(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.options = dict(options)
        self.environ = environ
        no_color = bool(options.get("no_color"))
        self.style: Style = style_of(sys.stdout, environ, no_color=no_color)
        self.error_style: Style = style_of(sys.stderr, environ, no_color=no_color)
        self._clients: dict[tuple[Any, ...], Client] = {}

    def with_options(self, options: Mapping[str, Any]) -> Session:
        """This session, or one with other options for one line."""
        if not options:
            return self
        other = Session({**self.options, **options}, self.environ)
        other._clients = self._clients
        return other

    @property
    def timeout(self) -> float | None:
        """Seconds, where the person gave them."""
        return self.options.get("timeout")

    def endpoint(self) -> str:
        """The endpoint that is meant; raises Unavailable."""
        if self.options.get("ssh"):
            raise BadRequest(
                "circusctl makes no tunnel of its own",
                hint=f"forward the endpoint with ssh -N -L 5555:127.0.0.1:5555 {self.options['ssh']} "
                "and give --endpoint tcp://127.0.0.1:5555",
            )
        endpoint: str = self.options.get("endpoint") or find_endpoint(self.options.get("name"), self.environ)
        return "ipc://" + endpoint if endpoint.startswith("/") else endpoint

    def client(self) -> Client:
        """The client of that endpoint; nothing is connected before it is asked something."""
        key = tuple(self.options.get(name) for name in ("endpoint", "name", "ssh", "timeout"))
        if key not in self._clients:
            # Who gave a time limit said how long a daemon on its way may take; the original always waits.
            patience = self.timeout or 0.0
            self._clients[key] = Client(self.endpoint(), timeout=self.timeout or TIMEOUT, patience=patience)
        return self._clients[key]

    def request(
        self, command: str, properties: Mapping[str, Any], *, waiting: bool = False
    ) -> dict[str, Any]:
        """The reply, be it an error; within the time given, or with ``waiting`` as long as it takes."""
        timeout = self.timeout if self.timeout is not None else FOREVER if waiting else TIMEOUT
        return self.client().request(command, properties, waiting=waiting, timeout=timeout)

    def call(self, command: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The ok reply; raises Refused."""
        reply = self.request(command, properties)
        if reply.get("status") == "error":
            raise refusal(reply)
        return reply

    def follow(self, topics: Sequence[str], **more: Any) -> Follow:
        """A stream of the daemon."""
        return self.client().follow(topics, **more)

    def out(self, text: str) -> None:
        """A line on standard output."""
        sys.stdout.write(text + "\n")

    def tell(self, text: str) -> None:
        """A line on standard error."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")

    def close(self) -> None:
        """No connection is left."""
        while self._clients:
            self._clients.popitem()[1].close()
