"""Streams of the HTTP API before a staged daemon: what no real one does when it is wanted."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from circusweb.sending import KEEP_ALIVE_SECONDS
from tests.waiting import eventually
from tests.web.apiclient import ApiClient
from tests.web.console import Console
from tests.web.staged import ADMIN, watcher

WEB = "output.web."


def client(console: Console) -> ApiClient:
    """A program with a session of the stage."""
    return ApiClient(console.port, ADMIN)


@pytest.fixture
def api(console: Console) -> Iterator[ApiClient]:
    """At its end nobody follows."""
    console.daemon.answers["explain"] = lambda p: {"watchers": [{"name": p["name"]}]}
    console.daemon.answers["ping"] = lambda p: {"pong": True, "epoch": "1-1"}
    yield client(console)
    eventually(lambda: not console.daemon.streams, within=10, what="nobody follows")


def test_what_is_missing_is_told(console: Console, api: ApiClient) -> None:
    """Numbers that are passed over are a gap with their count, before the line that comes after them."""
    with api.follow("/follow/logs/web") as stream:
        eventually(lambda: console.daemon.streams, what="it is followed")
        console.daemon.write("web", [(1, "one"), (2, "two")])
        console.daemon.write("web", [(7, "seven")])
        told = [next(stream.events()) for _ in range(4)]
    assert [(event.name, event.data.get("number", event.data.get("skipped"))) for event in told] == [
        ("line", 1), ("line", 2), ("gap", 4), ("line", 7),
    ]  # fmt: skip
    with api.follow("/follow/logs/web", {"Last-Event-ID": told[1].id}) as again:
        eventually(lambda: console.daemon.streams, what="it is followed")
        second, now = told[1].data, told[3].data["time"]
        lines = [[2, round(second["time"], 3), "two"], [5, now + 1, "five"]]
        head = {name: second[name] for name in ("watcher", "wid", "stream", "pid")}
        console.daemon.push(WEB, {**head, "skipped": 0, "lines": lines})
        later = [next(again.events()) for _ in range(2)]
    assert [(event.name, event.data.get("number", event.data.get("skipped"))) for event in later] == [
        ("gap", 2),
        ("line", 5),
    ]


def test_credit_is_given_back_for_all_that_came(console: Console, api: ApiClient) -> None:
    """Also for what was known already and is not sent, and for what came before the stream had begun."""
    lines = [[number, 1000.0 + number, "x" * 1000] for number in range(1, 201)]
    push = {"watcher": "web", "wid": 1, "stream": "stdout", "pid": 20001, "skipped": 0, "lines": lines}
    console.daemon.history["web"] = [push]
    with api.follow("/follow/logs/web", {"Last-Event-ID": "1-1;0;1200000;web/1o200"}) as stream:
        eventually(lambda: console.daemon.streams, what="it is followed")
        (followed,) = console.daemon.streams
        eventually(lambda: followed.credit > 200_000, what="it may be sent more")
        console.daemon.write("web", [(201, "new")])
        assert next(stream.events()).data["number"] == 201


def test_end_of_the_daemon_is_the_last_word(own_console: Console) -> None:
    """The reason stands there, and the connection is closed."""
    with client(own_console).follow("/follow/events") as stream:
        own_console.daemon.stop()
        (last,) = stream.events()
        assert (last.name, last.data["code"]) == ("end", "unavailable")
    own_console.daemon.start()


def test_end_of_the_console_is_the_last_word(own_console: Console) -> None:
    """Nobody is waited for, and each is told; whoever waits for a command, too."""
    own_console.daemon.answers["wait"] = lambda p: None
    asked = f"GET /api/v1/wait?name=web HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    with (
        client(own_console).follow("/follow/state") as stream,
        socket.create_connection(("127.0.0.1", own_console.port), timeout=10) as waiting,
    ):
        assert next(stream.events()).name == "snapshot"
        waiting.sendall(asked.encode())
        eventually(lambda: own_console.daemon.asked("wait"), what="it waits")
        assert own_console.stop() == 0
        last = list(stream.events())[-1]
        assert (last.name, last.data["code"]) == ("end", "unavailable")
        assert waiting.recv(1 << 16).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(("kind", "nothing"), [("text/event-stream", ":"), ("application/x-ndjson", "")])
def test_silence_is_broken_by_nothing(console: Console, api: ApiClient, kind: str, nothing: str) -> None:
    """A proxy that closes what is silent sees something now and then; it means nothing."""
    with api.follow("/follow/events", {"Accept": kind}, timeout=KEEP_ALIVE_SECONDS * 2) as stream:
        lines = stream.lines()
        first = [next(lines), next(lines)] if kind == "text/event-stream" else [next(lines)]
        assert first == (["retry: 2000", ""] if kind == "text/event-stream" else [""])
        assert next(lines) == nothing


def test_push_that_is_none_ends_it_for_who_gets_it(console: Console, api: ApiClient) -> None:
    """One reads for everybody: what can't be passed on to one is told to him with an id of the log, and the others go on."""
    with api.follow("/follow/logs/web") as stream, api.follow("/follow/state") as other:
        eventually(lambda: len(console.daemon.streams) == 2, what="both are followed")
        assert next(other.events()).name == "snapshot"
        console.daemon.push(WEB, {"lines": "none"})
        (last,) = stream.events()
        assert (last.name, last.data["code"]) == ("end", "internal")
        assert "its log has more under" in last.data["text"]
        eventually(lambda: len(console.daemon.streams) == 1, what="it is followed no more")
        console.daemon.change(watcher("web", detail="seen"))
        assert next(other.events()).data["watcher"]["detail"] == "seen"
    assert console.get("/api/v1/list").status == 200


def test_hostile_text_stays_text(console: Console, api: ApiClient) -> None:
    """What a process writes can neither end an event nor begin one."""
    text = 'a\r\nevent: end\ndata: {}\n\n\u2028\x00\x1b]0;x\x07<img src=x onerror=alert(1)>"\\\ud800'
    for kind in ("text/event-stream", "application/x-ndjson"):
        with api.follow("/follow/logs/web", {"Accept": kind}) as stream:
            eventually(lambda: console.daemon.streams, what="it is followed")
            console.daemon.write("web", [(1, text), (2, "after")])
            told = [next(stream.events()) for _ in range(2)]
        assert [event.name for event in told] == ["line", "line"]
        assert [event.data["text"] for event in told] == [text, "after"]
        eventually(lambda: not console.daemon.streams, within=10, what="nobody follows")
