"""A program that uses the HTTP API of a real circusd: with a token of its own, and with streams that it reads."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.daemon import Daemon
from tests.web.console import COOKIE, Answer


@dataclass
class Event:
    """One event of a stream."""

    name: str
    data: Any
    id: str = ""


@dataclass
class ApiClient:
    """Asks the API at an address, with a token."""

    port: int
    token: str = ""
    base: str = "/api/v1"

    @classmethod
    def of(cls, daemon: Daemon, role: str = "admin") -> ApiClient:
        """One with a session that a one-time link gave."""
        address, _, token = daemon.call("weblink", role=role)["link"].partition("/login#token=")
        client = cls(urlsplit(address).port or 0)
        body = json.dumps({"token": token}).encode()
        answer = client.ask("POST", "/login", body, {"Content-Type": "application/json"})
        found = re.match(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"])
        assert found is not None
        client.token = found[1]
        return client

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("localhost", self.port, timeout=timeout)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request at an address as it stands."""
        connection = self.connect()
        try:
            connection.request(method, path, body, {**self.authorization, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", self.base + path, None, headers)

    def post(self, path: str, properties: Any = None, headers: dict[str, str] | None = None) -> Answer:
        body = json.dumps(properties if properties is not None else {}).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        return self.ask("POST", self.base + path, body, sent)

    def follow(self, path: str, headers: dict[str, str] | None = None, **request: Any) -> Stream:
        """The stream at that address, which has begun."""
        return Stream(self, self.base + path, headers or {}, **request)


@dataclass
class Stream:
    """An open stream."""

    client: ApiClient
    path: str
    headers: dict[str, str]
    method: str = "GET"
    body: bytes | None = None
    timeout: float = 30
    last_id: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.connection = self.client.connect(self.timeout)
        sent = {**self.client.authorization, **self.headers}
        self.connection.request(self.method, self.path, self.body, sent)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.kind = self.response.getheader("Content-Type", "").partition(";")[0]

    def __enter__(self) -> Stream:
        assert self.status == 200, self.response.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.response.close()
        self.connection.close()

    def lines(self) -> Iterator[str]:
        """The text as it comes, to the end of the stream."""
        while line := self.response.readline():
            yield line.decode("ascii").removesuffix("\n")

    def events(self) -> Iterator[Event]:
        """The events to the end of the stream."""
        if self.kind == "application/x-ndjson":
            for line in filter(None, self.lines()):
                row = json.loads(line)
                yield self._noted(Event(row["event"], row["data"], row.get("id", "")))
            return
        told: dict[str, str] = {}
        for line in self.lines():
            name, _, value = line.partition(": ")
            if line:
                told[name] = value
                continue
            if "event" in told:
                yield self._noted(Event(told["event"], json.loads(told["data"]), told.get("id", "")))
            told = {}

    def _noted(self, event: Event) -> Event:
        self.last_id = event.id or self.last_id
        return event

    def next(self, name: str) -> Event:
        """The next event of that name; others are passed over."""
        return next(event for event in self.events() if event.name == name)
