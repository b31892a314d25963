"""The HTTP API: what a request may say, what it is answered, and what no request can do."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from bottle import request

from circusd.schema.commands import COMMANDS, Command
from circusd.schema.errors import ERRORS
from circusweb import auth, openapi
from circusweb.api import Api
from circusweb.exchange import BODY_SECONDS
from circusweb.sending import STREAMS_PER_PERSON, Places
from tests.waiting import eventually
from tests.web.console import Answer, Console
from tests.web.staged import ADMIN, VIEWER, refused

BASES = ("/api/v1", "/d/stage/api/v1")
ROWS = [row for row in COMMANDS if row.where == "daemon"]
READING = [row for row in ROWS if row.effect == "read"]
BEARER = {"Authorization": f"Bearer {ADMIN}"}
JSON = {"Content-Type": "application/json"}


def example(row: Command) -> dict[str, Any]:
    """The properties of the row's case."""
    found = openapi.example_of(row)
    if found is not None:
        return found
    # What is only known at run time.
    return {field.name: 17 if field.type == "int" else "17" for field in row.args if field.required}


def post(console: Console, path: str, body: bytes, **headers: str) -> Answer:
    """A POST with a token, and with that body."""
    sent = {**BEARER, **JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return console.ask("POST", path, body=body, headers=sent, session="")


def talk(console: Console, text: bytes) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", console.port), timeout=30) as connection:
        connection.sendall(text)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def statuses_of(told: bytes) -> list[int]:
    """The statuses of the answers in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", told)]


def is_problem(answer: Answer, status: int, code: str) -> bool:
    """Whether it is that error, as RFC 9457 has it."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    told = answer.json
    assert told["status"] == answer.status
    assert told["title"]
    assert told["detail"]
    assert told["code"] in {row.code for row in ERRORS}
    return (answer.status, told["code"]) == (status, code)


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_every_command_of_the_daemon_is_served(console: Console, base: str) -> None:
    """Each row with where=daemon goes to the daemon with the properties of its case and the person's session; no other does."""
    for row in COMMANDS:
        answer = console.post(f"{base}/{row.name}", example(row))
        if row.where != "daemon":
            assert is_problem(answer, 404, "unknown_command"), row.name
            continue
        assert answer.status == 200, (row.name, answer)
        sent = next(one for one in reversed(console.daemon.requests) if one["command"] == row.name)
        assert sent["session"] == ADMIN
        properties = {name: value for name, value in sent["properties"].items() if name != "progress"}
        assert properties == example(row)


def test_get_only_reads(console: Console) -> None:
    """What changes something is refused as GET, whatever proof comes with it."""
    for row in ROWS:
        for base in BASES:
            answer = console.get(
                f"{base}/{row.name}", headers={"X-CSRF-Token": auth.csrf_token(ADMIN), **BEARER}
            )
            assert answer.status == (200 if row.effect == "read" else 405), row.name
        if row.effect != "read":
            assert answer.headers["allow"] == "POST, OPTIONS"
            assert is_problem(answer, 405, "bad_request")
            assert console.daemon.asked(row.name) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_other_methods_are_named(console: Console, method: str) -> None:
    """405 says which methods there are."""
    for path, allow in (
        ("list", "GET, HEAD, POST, OPTIONS"),
        ("stop", "POST, OPTIONS"),
        ("openapi.json", "GET, HEAD, OPTIONS"),
        ("follow/state", "GET, HEAD, OPTIONS"),
    ):
        answer = console.ask(method, f"/api/v1/{path}")
        assert is_problem(answer, 405, "bad_request")
        assert answer.headers["allow"] == allow
    assert console.daemon.requests == []


def test_head_and_options_are_sane(console: Console) -> None:
    """HEAD has the headers of GET and no body, OPTIONS the methods; neither changes anything or begins a stream."""
    answer = console.ask("HEAD", "/api/v1/list")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/json"
    streamed = console.ask("HEAD", "/api/v1/follow/events")
    assert (streamed.status, streamed.body) == (200, b"")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    asked = console.ask("OPTIONS", "/api/v1/stop", session="")
    assert (asked.status, asked.body) == (204, b"")
    assert asked.headers["allow"] == "POST, OPTIONS"
    assert not [name for name in asked.headers if name.startswith("access-control")]
    assert console.daemon.streams == []


def test_query_is_typed_by_the_table(console: Console) -> None:
    """The properties of a GET are numbers, lists and truth values as the row says."""
    console.get("/d/stage/api/v1/output?names=web&names=lo%C3%BCd&lines=7")
    # It may read files, which takes time, and so its progress is asked for.
    assert console.daemon.requests[-1]["properties"] == {
        "names": ["web", "loüd"],
        "lines": 7,
        "progress": True,
    }
    console.get("/api/v1/stats?extended=true&name=a%2Fb")
    assert console.daemon.requests[-1]["properties"] == {"extended": True, "name": "a/b"}
    for query, field in (
        ("lines=many", "lines"), ("lines=1_0", "lines"), ("lines=9" + "0" * 18, "lines"), ("lines=1&lines=2", "lines"),
        ("colour=red", "colour"), ("stream=stdin", "stream"), ("match=near", "match"),
    ):  # fmt: skip
        answer = console.get(f"/d/stage/api/v1/output?{query}")
        assert is_problem(answer, 400, "bad_request"), query
        assert answer.json["field"] == field
    for text in ("1e999", "NaN", "[-Infinity]", "%5B" * 2000, "x"):
        answer = console.get(f"/d/stage/api/v1/grep?pattern=x&text={text}")
        assert is_problem(answer, 400, "bad_request"), text
        assert answer.json["field"] == "text"
    assert not console.daemon.asked("grep")
    assert console.get("/api/v1/list?" + "&".join("name=x" for _ in range(200))).status == 400


@pytest.mark.parametrize(
    ("command", "properties", "field"),
    [
        ("stop", {"nam": "web"}, "nam"),
        ("stop", {"name": 7}, "name"),
        ("stop", {"name": None}, "name"),
        ("stop", {"name": "web", "waiting": "yes"}, "waiting"),
        ("stop", {"name": "web", "progress": True}, "progress"),
        ("stop", {"name": "web", "match": "near"}, "match"),
        ("incr", {"name": "web", "nb": True}, "nb"),
        ("incr", {"name": "web", "nb": 1.5}, "nb"),
        ("incr", {"name": "web", "nb": 10**30}, "nb"),
        ("set", {"name": "web", "options": ["max_age", 1]}, "options"),
        ("signal", {"name": "web", "signum": "NONE"}, "signum"),
        ("kill", {"name": "web", "graceful_timeout": -1}, "graceful_timeout"),
        ("output", {"names": ["web", 7]}, "names"),
    ],
)
def test_wrong_properties_are_named(
    console: Console, command: str, properties: dict[str, Any], field: str
) -> None:
    """A slip in a name or a value of another type is told by field, and nothing goes to the daemon."""
    answer = post(console, f"/api/v1/{command}", json.dumps(properties).encode())
    assert is_problem(answer, 400, "bad_request")
    assert answer.json["field"] == field
    assert console.daemon.asked(command) == []


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("lst", "did you mean list?"),
        ("restrat", "did you mean restart?"),
        ("tail", "follow/logs/NAME does it"),
        ("follow", "openapi.json lists them"),
        ("follow/event", "did you mean events?"),
        ("follow/state/web", "follow/state"),
        ("x" * 5000, "openapi.json lists them"),
        ("%2e%2e%2f%2e%2e%2fetc%2fpasswd", ""),
        ("..%2f..%2fstatic%2fx%2fapp.css", ""),
        ("%00", "openapi.json lists them"),
        ("%ff%fe", ""),
    ],
)
def test_what_is_not_there_names_the_nearest(console: Console, path: str, hint: str) -> None:
    """404 with the name that was probably meant; no address leads out of the API."""
    answer = console.get(f"/api/v1/{path}")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json.get("hint", "") == hint or not hint


def test_refusals_of_the_daemon_are_problems(console: Console) -> None:
    """An error reply becomes problem+json with the daemon's code, text and hint, and the status of the table."""
    for row in ERRORS:
        console.daemon.answers["stop"] = lambda p, code=row.code: {
            **refused(code, "it is being removed"),
            "error": {
                "code": code,
                "text": "it is being removed",
                "hint": "wait",
                "field": "name",
                "status": 1,
            },
        }
        answer = console.post("/d/stage/api/v1/stop", {"name": "web"})
        assert is_problem(answer, row.http_status, row.code)
        assert answer.json["type"] == "about:blank"
        assert answer.json["detail"] == "it is being removed"
        assert answer.json["hint"] == "wait"
        assert answer.json["field"] == "name"
        assert ("retry-after" in answer.headers) == (row.http_status in (429, 503))
        assert ("www-authenticate" in answer.headers) == (row.http_status == 401)


# --- who asks ---------------------------------------------------------------------------------------------------------


def test_token_needs_no_proof_and_a_cookie_does(console: Console) -> None:
    """A browser never adds a token by itself, and adds a cookie for every site that asks."""
    assert post(console, "/api/v1/stop", b"{}").status == 200
    by_cookie = console.ask("POST", "/api/v1/stop", body=b"{}", headers=JSON)
    assert is_problem(by_cookie, 403, "denied")
    both = console.ask(
        "POST", "/api/v1/stop", body=b"{}", headers={**JSON, "Authorization": "Bearer nobodys-token"}
    )
    assert is_problem(both, 401, "no_session")
    asked = [one["session"] for one in console.daemon.requests if one["command"] == "stop"]
    assert asked == [ADMIN, "nobodys-token"]


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer x", "Bearer a b c d e f g", "Bearer " + "x" * 600, "Basic YTpi"]
)
def test_without_a_token_it_says_what_is_needed(console: Console, given: str) -> None:
    """401 with WWW-Authenticate, for commands and streams; nothing goes to the daemon."""
    for path in ("/api/v1/list", "/d/stage/api/v1/stop", "/api/v1/follow/logs/web", "/api/v1/jobs/1"):
        method = "POST" if path.endswith("stop") else "GET"
        answer = console.ask(method, path, headers={"Authorization": given} if given else {}, session="")
        assert is_problem(answer, 401, "no_session")
        assert answer.headers["www-authenticate"] == 'Bearer realm="circus"'
    assert console.daemon.requests == []


def test_document_is_for_everybody(console: Console) -> None:
    """The description of the API needs no session, and is the same at each address."""
    first, second = (console.get(f"{base}/openapi.json", session="") for base in BASES)
    assert first.headers["content-type"] == "application/json"
    assert first.body == second.body == openapi.as_json()
    assert console.get("/d/other/api/v1/openapi.json").status == 404


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b"[1]", "application/json", 400, "bad_request"),
        (b'"x"', "application/json", 400, "bad_request"),
        (b"\x0c", "application/json", 400, "bad_json"),
        (b"[" * 100_000, "application/json", 400, "bad_json"),
        (b'{"name":' * 50_000, "application/json", 400, "bad_json"),
        (b'{"name": "web", "name": "other"}', "application/json", 400, "bad_json"),
        (b'{"graceful_timeout": NaN}', "application/json", 400, "bad_json"),
        (b'{"graceful_timeout": -Infinity}', "application/json", 400, "bad_json"),
        (b'{"graceful_timeout": 1e999}', "application/json", 400, "bad_json"),
        (b'{"nb": ' + b"9" * 10_000 + b"}", "application/json", 400, "bad_json"),
        (b'{"name": "\xff"}', "application/json", 400, "bad_json"),
        (b'{"name": "web"}', "application/json; charset=latin-1", 415, "bad_request"),
        (b'{"name": "web"}', "text/plain", 415, "bad_request"),
        (b"name=web", "application/x-www-form-urlencoded", 415, "bad_request"),
        (b'{"name": "web"}', "", 415, "bad_request"),
    ],
    ids=[
        "no JSON", "a list", "a text", "blank", "too deep", "too deep objects", "a key twice", "NaN", "Infinity", "too large",
        "too many digits", "not UTF-8", "another charset", "another type", "a form", "no type",
    ],
)  # fmt: skip
def test_wrong_bodies_are_told(console: Console, body: bytes, kind: str, status: int, code: str) -> None:
    """A body that two readers could take for different things goes no further."""
    answer = post(console, "/d/stage/api/v1/kill", body, Content_Type=kind)
    assert is_problem(answer, status, code)
    assert ("accept-post" in answer.headers) == (status == 415)
    assert console.daemon.asked("kill") == []


def test_depth_is_no_fault(console: Console) -> None:
    """However deep a body is nested: what can be read and not be passed on is refused, too."""
    seen = set()
    for depth in range(900, 1000):
        body = b'{"name": "x", "cmd": "y", "args": ' + b"[" * depth + b"]" * depth + b"}"
        answer = post(console, "/api/v1/add", body)
        seen.add(answer.status)
        assert answer.status == 200 or is_problem(answer, 400, "bad_json"), depth
    assert seen == {200, 400}


def test_body_may_be_said_to_be_utf_8(console: Console) -> None:
    """With its charset, in any case of letters; and there may be none at all."""
    assert (
        post(
            console, "/api/v1/stop", b'{"name": "w\xc3\xa4b"}', Content_Type="Application/JSON; Charset=UTF-8"
        ).status
        == 200
    )
    assert console.daemon.asked("stop") == [{"name": "wäb", "progress": True}]
    assert post(console, "/api/v1/stop", b"", Content_Type="").status == 200


def test_body_has_a_limit(console: Console) -> None:
    """More than the wire takes is refused, whether its length is told or not; nothing of it is kept."""
    body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    answer = post(console, "/d/stage/api/v1/stop", body)
    assert is_problem(answer, 413, "bad_request")
    assert "longer" in answer.json["detail"]
    assert answer.headers["connection"] == "close"
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:700_000], body[700_000:]))
        + b"0\r\n\r\n"
    )
    head = (
        f"POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert talk(console, head.encode() + chunks).startswith(b"HTTP/1.1 413 ")
    endless = head.replace("Transfer-Encoding: chunked", f"Content-Length: {1 << 40}")
    assert talk(console, endless.encode() + bytes(1 << 20)).startswith(b"HTTP/1.1 413 ")
    assert console.daemon.asked("stop") == []


@pytest.mark.parametrize(
    ("length", "rest", "status"),
    [
        ("Content-Length: -5", b"{}", 400),
        ("Content-Length: five", b"{}", 400),
        ("Content-Length: 2\r\nContent-Length: 5", b"{}", 400),
        ("Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n{}", 400),
        ("Transfer-Encoding: chunked, gzip", b"0\r\n\r\nGET /login HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked",
            b"0\r\n\r\nGET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
            200,
        ),
    ],
    ids=["negative", "no number", "two", "no chunk", "endless chunk", "unknown encoding", "two ways"],
)
def test_wrong_lengths_end_the_connection(console: Console, length: str, rest: bytes, status: int) -> None:
    """What two servers could cut at different places is refused, and nothing behind it is taken for a request."""
    head = (
        f"POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", console.port), timeout=30) as connection:
        connection.sendall(head.encode() + rest)
        connection.shutdown(socket.SHUT_WR)
        told = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert statuses_of(told) == [status]
    assert console.get("/session").status == 200


def test_slow_body_is_not_waited_for(console: Console) -> None:
    """Who sends a byte now and then is told so, and others are answered meanwhile."""
    head = (
        f"POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", console.port), timeout=BODY_SECONDS * 3) as connection:
        connection.sendall(head.encode() + b'{"name":')
        assert console.get("/api/v1/list").status == 200
        told = connection.recv(1 << 16)
        assert told.startswith(b"HTTP/1.1 408 ")
    assert console.daemon.asked("stop") == []


def test_pipelined_requests_are_answered_in_order(console: Console) -> None:
    """Also behind one whose body was not read; each gets its own answer."""
    head = f"Host: localhost\r\nAuthorization: Bearer {ADMIN}\r\n"
    body = "GET /evil HTTP/1.1\r\nX: 1\r\n\r\n"
    wrong = f"POST /api/v1/stop HTTP/1.1\r\n{head}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    words = ("list", "numwatchers", "nothing", "list?lines=1")
    asked = "".join(f"GET /api/v1/{word} HTTP/1.1\r\n{head}\r\n" for word in words)
    last = f"GET /api/v1/ping HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    told = talk(console, (wrong + asked + last).encode())
    assert statuses_of(told) == [415, 200, 200, 404, 400, 200]


# --- commands that take time ------------------------------------------------------------------------------------------


def test_what_is_begun_has_a_job(console: Console) -> None:
    """202 with the address of the job, where one sees how far it is; by DELETE it goes no further."""
    console.daemon.answers["restart"] = lambda p: {"job": 17}
    console.daemon.answers["jobs"] = lambda p: {
        "jobs": [{"id": 17, "command": "restart", "done": 1, "total": 2}]
    }
    answer = console.post("/d/stage/api/v1/restart", {"name": "web"})
    assert (answer.status, answer.headers["location"]) == (202, "jobs/17")
    assert console.get("/d/stage/api/v1/jobs/17").json["done"] == 1
    assert is_problem(console.get("/api/v1/jobs/18"), 404, "not_found")
    assert is_problem(console.get("/api/v1/jobs/x"), 404, "not_found")
    assert console.ask("DELETE", "/api/v1/jobs/17").status == 403
    assert console.ask("DELETE", "/api/v1/jobs/17", headers=BEARER).status == 200
    assert console.daemon.asked("cancel") == [{"id": 17}]


def test_who_leaves_waits_no_longer(console: Console) -> None:
    """A wait ends in the daemon when the client has gone, and its place is free again."""
    console.daemon.answers["wait"] = lambda p: None
    request = (
        f"GET /api/v1/wait?name=web HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    )
    for _ in range(STREAMS_PER_PERSON + 2):
        before = len(console.daemon.asked("unfollow"))
        with socket.create_connection(("127.0.0.1", console.port), timeout=10) as connection:
            count = len(console.daemon.asked("wait"))
            connection.sendall(request.encode())
            eventually(
                lambda count=count: len(console.daemon.asked("wait")) > count, what="the daemon is asked"
            )
        eventually(
            lambda before=before: len(console.daemon.asked("unfollow")) > before, what="it is taken back"
        )


def test_few_wait_at_once(console: Console) -> None:
    """One more is told to come later, and nobody else is; those that wait are answered."""
    console.daemon.gather["wait"] = STREAMS_PER_PERSON
    with ThreadPoolExecutor(STREAMS_PER_PERSON) as pool:
        waiting = [pool.submit(console.get, "/api/v1/wait?name=web") for _ in range(STREAMS_PER_PERSON - 1)]
        eventually(lambda: console.daemon.waiting == STREAMS_PER_PERSON - 1, what="all of them wait")
        with socket.create_connection(("127.0.0.1", console.port), timeout=10) as connection:
            head = f"Host: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
            connection.sendall(f"GET /api/v1/follow/load HTTP/1.1\r\n{head}".encode())
            eventually(lambda: console.daemon.streams, what="it is followed")
            late = console.get("/api/v1/wait?name=web")
            assert is_problem(late, 429, "bad_request")
            assert late.headers["retry-after"] == "1"
            assert console.get("/api/v1/follow/state").status == 429
            assert console.get("/api/v1/list").status == 200
            assert console.get("/api/v1/wait?name=web", session=VIEWER).status == 200
        assert [one.result(10).status for one in waiting] == [200] * (STREAMS_PER_PERSON - 1)


def test_asking_again_does_nothing_twice(console: Console) -> None:
    """With the same key the first answer comes again, for who asked first; other properties want another key."""
    console.daemon.answers["incr"] = lambda p: {"numprocesses": 3}
    keyed = {"Idempotency_Key": "a-key"}
    first = post(console, "/api/v1/incr", b'{"name": "web"}', **keyed)
    again = post(console, "/api/v1/incr", b'{ "name":"web" }', **keyed)
    assert (first.status, first.body) == (again.status, again.body)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(console.daemon.asked("incr")) == 1
    assert is_problem(post(console, "/api/v1/incr", b'{"name": "loud"}', **keyed), 422, "bad_request")
    assert post(console, "/api/v1/decr", b'{"name": "web"}', **keyed).status == 200
    assert post(console, "/api/v1/incr", b'{"name": "web"}', Idempotency_Key="x" * 256).status == 400
    other = console.ask(
        "POST", "/api/v1/incr", body=b'{"name": "web"}', session="",
        headers={**JSON, "Authorization": f"Bearer {VIEWER}", "Idempotency-Key": "a-key"},
    )  # fmt: skip
    assert "idempotency-replayed" not in other.headers
    assert len(console.daemon.asked("incr")) == 2


def test_key_is_for_one_daemon() -> None:
    """The same request to another daemon is another one, and done."""
    asked: list[str] = []

    def bridge(name: str) -> Any:
        return SimpleNamespace(name=name, call=lambda *given, **more: asked.append(name) or {"status": "ok"})

    daemons: Any = SimpleNamespace(places=Places(), bridge=bridge)
    api = Api(daemons)
    for name in ("one", "two", "one"):
        body = {"wsgi.input": io.BytesIO(b'{"name": "web"}'), "CONTENT_TYPE": "application/json"}
        bearer = f"Bearer {ADMIN}"
        request.bind(
            {"REQUEST_METHOD": "POST", **body, "HTTP_AUTHORIZATION": bearer, "HTTP_IDEMPOTENCY_KEY": "a"}
        )
        assert api.command("incr", name).status_code == 200
    assert asked == ["one", "two"]


def test_asking_again_meanwhile_waits_for_the_first(console: Console) -> None:
    """Two at once with one key: one is done, both are answered, and a refusal is the answer of both."""
    console.daemon.answers["stop"] = lambda p: refused("conflict", "it is being removed")
    console.daemon.gather["stop"] = 2
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(post, console, "/api/v1/stop", b"{}", Idempotency_Key="one") for _ in range(2)]
        eventually(lambda: console.daemon.waiting == 1, what="the first is asked")
        assert post(console, "/api/v1/stop", b"{}", Idempotency_Key="two").status == 409
        assert [one.result(10).status for one in both] == [409, 409]
    assert len(console.daemon.asked("stop")) == 2


def test_daemon_that_is_not_there_can_be_asked_again(own_console: Console) -> None:
    """503 with Retry-After; with the same key, what was never heard of is done then."""
    own_console.daemon.stop()
    answer = post(own_console, "/api/v1/stop", b"{}", Idempotency_Key="one")
    assert is_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    own_console.daemon.start()
    eventually(
        lambda: post(own_console, "/api/v1/stop", b"{}", Idempotency_Key="one").status == 200,
        within=10,
        what="it is done",
    )


def test_hostile_names_stay_names(console: Console, make_console: Callable[..., Console]) -> None:
    """Dots, slashes, markup and control characters reach the daemon as they are, and come back as JSON."""
    for name in (
        "../../etc/passwd",
        "<img onerror=alert(1)>",
        "a\x00b",
        "\u202e\ud800",
        "a\r\nSet-Cookie: x=y",
    ):
        body = json.dumps({"name": name}).encode()
        console.daemon.answers["status"] = lambda p: {"status": p["name"]}
        answer = post(console, "/api/v1/status", body)
        assert answer.status == 200
        assert answer.json["status"] == name
        assert answer.headers["content-type"] == "application/json"
        assert "set-cookie" not in answer.headers
