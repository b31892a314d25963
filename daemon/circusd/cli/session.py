"""What holds for a line of ``circusctl`` and those after it: options, connections, how to print."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from circusd.cli.terminal import Style, prose, style_of
from circusd.client import FOREVER, TIMEOUT, Client, Follow, find_endpoint, refusal

FAR_TIMEOUT = 15.0
"""Seconds that a request may take by ssh or a key when nothing else is said: machines and keys come before it."""


def endpoint_of(options: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The endpoint that is meant by ``endpoint``, ``name``, ``ssh``, ``ssh_keyfile`` and ``key``; raises Unavailable, BadRequest.

    What only the ways to other machines need is loaded for those.
    """
    named, name = options.get("endpoint") or "", options.get("name")
    server, keyfile, key = (options.get(option) for option in ("ssh", "ssh_keyfile", "key"))
    if server is not None or keyfile or key:
        from circusd.cli.remote import check_ways

        check_ways(ssh=server, keyfile=keyfile, key=key)
    if server is not None:
        from circusd.cli.remote import endpoint_there

        return endpoint_there(server, keyfile or "", named, name or "", environ)
    endpoint: str = named or find_endpoint(name, environ)
    if endpoint.startswith("ssh://"):
        from circusd.cli.remote import by_ssh

        return by_ssh(endpoint)
    endpoint = "ipc://" + endpoint if endpoint.startswith("/") else endpoint
    if key or endpoint.startswith(("tcp://", "curve://")):
        from circusd.cli.remote import by_key

        return by_key(endpoint, key or "", environ)
    return endpoint


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

    @property
    def limit(self) -> float:
        """Seconds that an answer may take: those given, or what is usual here or by ssh."""
        if self.timeout is not None:
            return self.timeout
        named = str(self.options.get("endpoint") or "")
        far = self.options.get("ssh") or self.options.get("key") or named.startswith(("ssh://", "curve://"))
        return FAR_TIMEOUT if far else TIMEOUT

    def endpoint(self) -> str:
        """The endpoint that is meant. Raises as `endpoint_of`."""
        return endpoint_of(self.options, self.environ)

    def client(self) -> Client:
        """The client of that endpoint; nothing is connected before it is asked something."""
        key = tuple(
            self.options.get(name) for name in ("endpoint", "name", "ssh", "ssh_keyfile", "key", "timeout")
        )
        if key not in self._clients:
            # Who gave a time limit said how long a daemon on its way may take; the original always waits.
            patience = self.timeout or 0.0
            endpoint = self.endpoint()
            if endpoint.startswith("ssh://"):
                # What ssh could not do it can't do a moment later either.
                patience = 0.0
            self._clients[key] = Client(endpoint, timeout=self.limit or TIMEOUT, patience=patience)
        return self._clients[key]

    def request(
        self,
        command: str,
        properties: Mapping[str, Any],
        *,
        waiting: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The reply, be it an error; within the time given, or with ``waiting`` as long as it takes.

        A person at a terminal sees meanwhile how far it is.
        """
        if timeout is None:
            timeout = FOREVER if waiting and self.timeout is None else self.limit
        if not self.error_style.terminal or not (waiting or timeout == FOREVER):
            return self.client().request(command, properties, waiting=waiting, timeout=timeout)
        from circusd.cli.progress import Progress

        with Progress(self.error_style) as progress:
            return self.client().request(
                command, properties, waiting=waiting, timeout=timeout, progress=progress.show
            )

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
        """A line on standard error; on a terminal it ends between words where it has to."""
        sys.stdout.flush()
        # What is painted was made for this width.
        shown = text if "\x1b" in text else prose(text, self.error_style)
        sys.stderr.write(shown + "\n")

    def close(self) -> None:
        """No connection is left."""
        while self._clients:
            self._clients.popitem()[1].close()
