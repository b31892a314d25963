"""What is refused at the edge, before any page and before any WebSocket."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from circusweb.auth import Hosts, is_own_origin
from circusweb.gate import CONTENT_POLICY, FRAME_LIMIT_BYTES, unmasked
from tests.web.console import Console

BIG = 8 << 20


def frame(
    payload: bytes, *, opcode: int = 1, fin: bool = True, size: int | None = None, masked: bool = True
) -> bytes:
    """A frame as a browser sends it; ``size`` may lie."""
    size = len(payload) if size is None else size
    first, bit = opcode | (0x80 if fin else 0), 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size <= 0xFFFF:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    mask = os.urandom(4) if masked else b""
    return head + mask + (unmasked(payload, mask) if masked else payload)


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended it, after whatever it said before."""
    connection.settimeout(5)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "path", ["/", "/login", "/d/stage/", "/d/stage/api/v1/list", "/static/x/app.css", "/nothing"]
)
def test_foreign_host_is_refused_before_anything(console: Console, path: str) -> None:
    """A name that somebody else has pointed at us gets 421, whatever it asks for."""
    answer = console.get(path, headers={"Host": "evil.example"})
    assert answer.status == 421
    assert answer.headers["content-type"] == "application/problem+json"


def test_foreign_host_gets_no_websocket(console: Console) -> None:
    """A rebound name with an origin to match gets no handshake."""
    status, connection = console.upgrade(headers={"Host": "evil.example", "Origin": "http://evil.example"})
    with connection:
        assert status.startswith("HTTP/1.1 421")


def test_own_names_and_given_names_are_allowed(make_console: Callable[..., Console]) -> None:
    """This machine's names and those of --hosts work, with any port; others don't."""
    console = make_console("--hosts", "lab-4,Console.Example", "--hosts", "third")
    for host in (
        "localhost",
        "127.0.0.1:1",
        "[::1]:8080",
        "LAB-4:9",
        "console.example",
        "console.example.",
        "third:80",
    ):
        assert console.get("/login", headers={"Host": host}).status == 200, host
    for host in (
        "",
        "lab-4.evil.example",
        "evil.example",
        "127.0.0.1.evil.example",
        "[::2]",
        "a b",
        "lab-4@evil",
    ):
        assert console.get("/login", headers={"Host": host}).status in (400, 421), host


def test_address_of_arrival_is_allowed() -> None:
    """Bound to every address, the one that a connection has arrived at is a name of ours."""
    hosts = Hosts.of(["", " Lab-4 "])
    assert hosts.allow("192.0.2.7:8080", "192.0.2.7")
    assert not hosts.allow("192.0.2.8:8080", "192.0.2.7")
    assert hosts.allow("[2001:db8::1]", "2001:db8::1")
    assert hosts.allow("lab-4", "")


@pytest.mark.parametrize(
    ("origin", "site", "own"),
    [
        (None, None, True),
        ("http://localhost:80", None, True),
        ("https://localhost:80", "same-origin", True),
        ("http://evil.example", None, False),
        ("http://localhost:81", None, False),
        ("null", None, False),
        (None, "cross-site", False),
        ("http://localhost:80", "same-site", False),
    ],
)
def test_origin_is_ours_or_none(origin: str | None, site: str | None, own: bool) -> None:
    """Only our own pages count, and programs that know no origins."""
    environ = {"HTTP_HOST": "localhost:80", "HTTP_ORIGIN": origin, "HTTP_SEC_FETCH_SITE": site}
    assert is_own_origin({key: value for key, value in environ.items() if value is not None}) is own


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": ""}, 101),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Cookie": ""}, 401),
        ({"Cookie": "circus_session=session-of-nobody-at-all"}, 401),
    ],
)
def test_websocket_is_vetted_before_the_upgrade(
    console: Console, headers: dict[str, str], status: int
) -> None:
    """Origin and session are looked at before a handshake is completed."""
    line, connection = console.upgrade(headers=headers)
    with connection:
        assert line.startswith(f"HTTP/1.1 {status} ")


def test_websocket_elsewhere_is_refused(console: Console) -> None:
    """Only the live connection upgrades."""
    for path in ("/", "/d/stage/", "/d/other/live/", "/d/stage/api/v1/list"):
        line, connection = console.upgrade(path=path)
        with connection:
            assert line.startswith("HTTP/1.1 404"), path


def test_polling_is_vetted_too(console: Console) -> None:
    """Without a WebSocket the same rules hold, and a connection belongs to the session that began it."""
    path = "/d/stage/live/?EIO=4&transport=polling"
    assert console.get(path, headers={"Origin": "http://evil.example"}).status == 403
    assert console.get(path, session="").status == 401
    opened = console.get(path)
    assert opened.status == 200
    sid = opened.text.partition('"sid":"')[2].partition('"')[0]
    connected = console.ask("POST", f"{path}&sid={sid}", body=b"40", headers={"Origin": console.origin})
    assert connected.status == 200
    assert console.get(f"{path}&sid={sid}").status == 200
    assert console.get(f"{path}&sid={sid}", session="session-of-a-viewer").status == 401
    assert (
        console.ask("POST", f"{path}&sid={sid}", body=b"1", headers={"Origin": console.origin}).status == 200
    )


def test_long_frame_is_refused_by_its_header(console: Console) -> None:
    """A frame of 8 MiB ends its connection at once, and nobody else waits."""
    line, connection = console.upgrade()
    assert "101" in line
    with connection:
        slowest = [0.0]
        over = threading.Event()

        def ask() -> None:
            while not over.is_set():
                began = time.monotonic()
                assert console.get("/login").status == 200
                slowest[0] = max(slowest[0], time.monotonic() - began)

        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask)
            with contextlib.suppress(ConnectionError):
                connection.sendall(frame(b"", size=BIG) + bytes(BIG // 8))
            assert is_closed(connection)
            over.set()
            asking.result(10)
    assert slowest[0] < 1.0


@pytest.mark.parametrize(
    "sent",
    [
        frame(b"x" * 40_000, fin=False) + frame(b"x" * 40_000, opcode=0),
        frame(b"hello", masked=False),
        frame(b"x", opcode=0),
        frame(b"\xff\xfe"),
        frame(b"x", opcode=3),
    ],
    ids=["message too long", "not masked", "continues nothing", "not UTF-8", "unknown opcode"],
)
def test_wrong_frames_end_the_connection(console: Console, sent: bytes) -> None:
    """What no browser sends is not answered with anything else than the end."""
    line, connection = console.upgrade()
    assert "101" in line
    with connection:
        connection.sendall(sent)
        assert is_closed(connection)
    assert console.get("/login").status == 200


def test_unmasking_is_exact() -> None:
    """The long number gives byte for byte what a loop would."""
    chance = random.Random(7)
    for size in (0, 1, 3, 4, 5, 125, 126, 1000, FRAME_LIMIT_BYTES):
        payload, mask = chance.randbytes(size), chance.randbytes(4)
        assert unmasked(payload, mask) == bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def test_kept_connection_is_quick(console: Console) -> None:
    """200 requests on one connection take no 40 ms each."""
    connection = console.connect()
    began = time.monotonic()
    for _ in range(200):
        assert console.get("/login", connection=connection).status == 200
    took = time.monotonic() - began
    connection.close()
    assert took < 2.0, f"{took:.2f} s: the answers wait for acknowledgements"


def test_each_request_reads_itself(console: Console) -> None:
    """Ten requests that wait for the daemon at once are not taken for each other."""
    console.daemon.gather["whoami"] = 10
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(
                lambda i: console.get(f"/d/stage/w/name-{i}", session=f"session-of-nobody-{i}"), range(10)
            )
        )
    assert [answer.headers["location"] for answer in answers] == [
        f"/login?next=/d/stage/w/name-{i}" for i in range(10)
    ]


def test_every_answer_has_the_security_headers(console: Console) -> None:
    """Pages, files, the API, refusals and live connections: all have the policy."""
    asked = [
        console.get("/login"),
        console.get("/d/stage/"),
        console.get("/d/stage/api/v1/list"),
        console.get("/nothing"),
        console.get("/", headers={"Host": "evil.example"}),
        console.get("/d/stage/live/?EIO=4&transport=polling"),
        console.get("/static/x/app.css"),
    ]
    for answer in asked:
        assert answer.headers["content-security-policy"] == CONTENT_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "cache-control" in answer.headers
    assert "unsafe" not in CONTENT_POLICY
    assert "default-src 'none'" in CONTENT_POLICY


def test_console_ends_when_told(make_console: Callable[..., Console]) -> None:
    """SIGTERM ends it at once, also with pages and kept connections open."""
    console = make_console()
    kept = console.connect()
    assert console.get("/login", connection=kept).status == 200
    line, connection = console.upgrade()
    assert "101" in line
    began = time.monotonic()
    assert console.stop() == 0
    assert time.monotonic() - began < 2
    kept.close()
    connection.close()


def test_what_is_answered_at_the_end_is_answered_whole(make_console: Callable[..., Console]) -> None:
    """Who asks again and again when it is told to end has answers, and then none; never half of one, or a fault of ours."""
    for _ in range(3):
        console = make_console()
        asked = threading.Semaphore(0)

        def ask(console: Console = console, asked: threading.Semaphore = asked) -> set[int]:
            found = set()
            connection = console.connect()
            connection.auto_open = 0
            connection.connect()
            with contextlib.closing(connection), contextlib.suppress(ConnectionError):
                while True:
                    found.add(console.get("/d/stage/api/v1/list", connection=connection).status)
                    asked.release()
            return found

        with ThreadPoolExecutor(16) as pool:
            asking = [pool.submit(ask) for _ in range(16)]
            for _ in range(200):
                assert asked.acquire(timeout=10)
            assert console.stop() == 0
            assert [one.result(10) for one in asking] == [{200}] * 16
