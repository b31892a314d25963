"""Clients that speak nonsense, at every endpoint: answered or dropped, and nobody else notices."""

from __future__ import annotations

import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from circusd import zmtp
from circusd.client import Client
from circusd.schema.commands import COMMANDS
from circusd.schema.errors import CircusError, Refused
from circusd.schema.options import WATCHER
from tests.daemon import Daemon
from tests.faults.measures import MEGABYTE, Pings, events, leaves_nothing, report, rss, runs
from tests.waiting import eventually

CHANNELS = ("commands", "events", "stats", "output")
LONG_NAME = "a-watcher-with-quite-a-long-name"
INI = f"[watcher:web]\ncmd = sleep 100000\nnumprocesses = 3\n[watcher:{LONG_NAME}]\ncmd = sleep 100000\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that hears a lot."""
    with Daemon(INI, tmp_path_factory.mktemp("malformed")) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """The shared daemon: whatever is said to it, its processes are those of before, and nothing is left of the talk."""
    before = runs(shared, "web", 3)
    with leaves_nothing(shared):
        yield shared
    assert runs(shared, "web", 3) == before
    assert "Traceback" not in shared.log.read_text()
    assert "unexpected error" not in shared.log.read_text()


def asked(command: str, **properties: Any) -> bytes:
    """A request as it should be."""
    return json.dumps({"id": "x", "command": command, "properties": properties}).encode()


def answer(client: Client, command: str, properties: dict[str, Any]) -> str:
    """The code of the error that a request is answered with, when it has come to its end; nothing if there is none."""
    try:
        client.call(command, properties, waiting=True)
    except Refused as error:
        return error.code
    return ""


def nonsense(chance: random.Random) -> list[list[bytes]]:
    """One message of each sort, as frames."""
    deep = 20_000
    noise = chance.randbytes(chance.randrange(1, 3000))
    whole = asked("list", name="web")
    cut = chance.randrange(1, len(whole))
    return [
        [b""],
        [b" \n\t "],
        [b"", b""],
        [whole, whole],
        [whole, b""],
        [b"", whole],
        [noise],
        [b"x" * 9 for _ in range(40)],
        [whole[:cut]],
        [whole[cut:]],
        [whole + b"}"],
        [whole.decode().encode("utf-16")],
        [b"\xff\xfe" + whole],
        [b"null"],
        [b"[]"],
        [b'"list"'],
        [b"12"],
        [b"{}"],
        [b'{"id": "x"}'],
        [b'{"id": "x", "command": null}'],
        [b'{"id": "x", "command": ["list"]}'],
        [b'{"id": "x", "command": ""}'],
        [b'{"id": "x", "command": "list", "properties": 7}'],
        [b'{"id": "x", "command": "list", "properties": [1]}'],
        [b'{"id": "x", "command": "\\ud800"}'],
        [b'{"id": "\\udfff", "command": "list"}'],
        [b'{"id": "x", "command": "list", "properties": {"name": "\\ud800\\u0000\\u001b[2J"}}'],
        [b'{"id": NaN, "command": "list"}'],
        [b'{"id": 1e999, "command": "list"}'],
        [b'{"id": -1e999, "command": "list"}'],
        [b'{"id": ' + b"9" * 4000 + b', "command": "list"}'],
        [b'{"id": ' + b"9" * 40_000 + b', "command": "list"}'],
        [b"[" * deep + b"]" * deep],
        [b'{"id": ' + b"[" * deep + b"]" * deep + b', "command": "list"}'],
        [b'{"a":' * deep + b"1" + b"}" * deep],
        [asked("x" * 100_000)],
        [asked("list", name="n" * 500_000)],
        [asked("list", **{"k" * 100_000: 1})],
        [asked("list", name="web") + b" " * (1 << 20)],
        [b'{"id":"x","id":"y","command":"nothing","command":"list"}'],
    ]


def test_f48_a_thousand_malformed_messages_are_answered_or_dropped_and_cost_nobody_else_anything(
    daemon: Daemon,
) -> None:
    """Every answer is JSON, few lines are logged, memory stays, and the connection is good for a right request."""
    chance = random.Random(48)
    logged = len(daemon.log.read_text().splitlines())
    path = daemon.endpoint.removeprefix("ipc://")
    daemon.call("list")
    before, answers, sent = rss(daemon.pid), 0, 0
    began = time.monotonic()
    with Pings(daemon) as pings:
        while sent < 1000:
            connection = zmtp.connect(f"ipc://{path}", "DEALER", 20)
            try:
                for frames in nonsense(chance):
                    connection.send(frames, 20)
                    sent += 1
                connection.send([asked("ping").replace(b'"x"', b'"the last"')], 20)
                while True:
                    (answer,) = connection.receive(20)
                    found = json.loads(answer, parse_constant=pytest.fail)
                    if found["id"] == "the last":
                        assert found["pong"]
                        break
                    answers += 1
            finally:
                connection.close()
    report(
        f"{sent} malformed messages in {time.monotonic() - began:.1f} s, {answers} answers; meanwhile {pings}; "
        f"circusd grew by {(rss(daemon.pid) - before) / MEGABYTE:.1f} MB"
    )
    assert answers >= sent // 4
    assert pings.share(0.5) < 1
    assert rss(daemon.pid) - before < 16 * MEGABYTE
    assert len(daemon.log.read_text().splitlines()) - logged <= 20


@pytest.mark.parametrize("channel", CHANNELS)
def test_f48_garbage_instead_of_a_greeting_and_after_it_ends_that_connection_only(
    daemon: Daemon, channel: str
) -> None:
    """200 connections with bytes by chance at each stage: all are closed, and told of together."""
    chance = random.Random(channel)
    endpoint = daemon.call("inspect")["daemon"]["endpoints"][channel]
    logged = len(daemon.log.read_text().splitlines())
    ready = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
    if channel == "commands":
        ready = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
    starts = [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        zmtp._GREETING[:11],
        zmtp._GREETING,
        zmtp._GREETING + ready,
        zmtp._GREETING + b"\x06" + (1 << 40).to_bytes(8, "big"),
        zmtp._GREETING + b"\x06" + chance.randrange(5000, 1 << 30).to_bytes(8, "big"),
        zmtp._GREETING + ready + b"\x02" + ((1 << 64) - 1).to_bytes(8, "big"),
        zmtp._GREETING + ready + b"\x02" + (1 << 31).to_bytes(8, "big"),
        zmtp._GREETING + ready + b"\x01\x00" * 2000,
    ]
    with Pings(daemon) as pings:
        for number in range(200):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(endpoint.removeprefix("ipc://"))
                try:
                    sock.sendall(starts[number % len(starts)] + chance.randbytes(chance.randrange(200, 2000)))
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(65536):
                        continue
                except OSError:
                    # It was closed before all was said.
                    continue
    report(f"200 connections full of garbage at {channel}; meanwhile {pings}")
    assert pings.share(0.5) < 1
    assert len(daemon.log.read_text().splitlines()) - logged <= 20


NASTY: tuple[Any, ...] = (
    True,
    -1,
    0,
    1e308,
    1 << 70,
    -(1 << 70),
    1 << 52,
    "",
    "x" * 100_000,
    "\ud800",
    "\0",
    [],
    [[[]]],
    ["web", 1, None],
    {},
    {"a": {"b": []}},
    "__class__",
    "*a" * 5000,
    "%(x)s %s {0.__class__} $(circus.env.PATH)",
    "../../../../etc/passwd",
    "web",
)
SPARED = ("quit", "reloadconfig", "rm", "stop", "start", "restart", "reload", "kill", "signal")
"""Said of a watcher that is there, in a right form they would do what they are for."""


def test_f48_wrong_types_in_every_property_of_every_command_are_refused_with_a_reason(daemon: Daemon) -> None:
    """No request is answered by a fault of circusd's own, and all are answered in time."""
    chance = random.Random(4)
    wrong: Counter[str] = Counter()
    with Client(daemon.endpoint, timeout=20) as client, Pings(daemon) as pings:
        for row in COMMANDS:
            if row.where != "daemon" or row.name in ("quit", "reloadconfig", "follow", "weblink"):
                continue
            for field in row.args:
                for value in NASTY:
                    properties: dict[str, Any] = {other.name: chance.choice(NASTY) for other in row.args}
                    if any(other.name == "name" for other in row.args):
                        properties["name"] = "nobody" if row.name in SPARED else chance.choice(("web", "x"))
                    properties[field.name] = value
                    if row.name in SPARED and properties["name"] in ("", "web", "*a" * 5000):
                        continue
                    if row.name in ("set", "add", "incr", "decr") and properties["name"] == "web":
                        properties["name"] = "x"
                    code = answer(client, row.name, properties)
                    assert code != "internal", (row.name, properties)
                    wrong[code] += 1
        for name in client.call("list")["watchers"]:
            if name not in ("web", LONG_NAME):
                client.call("rm", {"name": name}, waiting=True)
    report(f"nasty values: {dict(wrong)}; meanwhile {pings}")
    assert pings.share(0.5) < 1


def test_f48_nasty_values_of_every_option_are_refused_or_taken_and_the_watcher_can_be_removed(
    daemon: Daemon,
) -> None:
    """On a watcher that is stopped and on one that runs: what is taken is shown, started, stopped; nothing is a fault."""
    refused = 0
    with Client(daemon.endpoint, timeout=20) as client, Pings(daemon) as pings:
        client.call("add", {"name": "victim", "cmd": "sleep 100000", "options": {"graceful_timeout": 1}})
        for row in WATCHER:
            for value in NASTY:
                code = answer(client, "set", {"name": "victim", "options": {row.name: value}})
                assert code in ("", "bad_request", "config", "conflict", "failed"), (row.name, value, code)
                refused += bool(code)
            client.call("options", {"name": "victim"})
        client.cast("start", {"name": "victim"})
        client.call("inspect", {"name": "victim"})
        client.call("rm", {"name": "victim"}, waiting=True, timeout=60)
    report(f"{len(WATCHER) * len(NASTY)} nasty options, {refused} refused; meanwhile {pings}")


def test_f48_numbers_that_no_machine_has_room_for_are_refused(daemon: Daemon) -> None:
    """One command does not make circusd plan for a million processes."""
    for command, properties in (
        ("incr", {"name": "web", "nb": 1 << 40}),
        ("incr", {"name": "web", "nb": 1_000_000}),
        ("set", {"name": "web", "options": {"numprocesses": 1 << 40}}),
        ("add", {"name": "huge", "cmd": "sleep 1", "options": {"numprocesses": 10_000_000}}),
    ):
        with pytest.raises(Refused, match="numprocesses"):
            daemon.call(command, **properties, waiting=True)


@pytest.mark.parametrize(
    "pattern",
    [".*" * 60 + "!", "(.?)" * 40 + "!", "(a|a|.)*" * 10 + "!", "(.*)*!", "(((.+)+)+)+!"],
    ids=["stars", "optional", "branches", "nested", "tower"],
)
def test_f48_a_pattern_that_would_take_for_ever_is_given_up(daemon: Daemon, pattern: str) -> None:
    """Such a regular expression is refused, while others are answered as always."""
    with Pings(daemon) as pings, pytest.raises(Refused, match="pattern"):
        daemon.call("restart", name=pattern, match="regex")
    report(f"a pattern without an end; meanwhile {pings}")
    assert pings.share(1) < 5
    assert daemon.call("list")["watchers"]


WALKS = (
    "__class__",
    "__init__",
    "_row",
    "dispatch",
    "daemon.stop",
    "arbiter",
    "cmd_quit",
    "handlers.cmd_quit",
    "daemon.quit",
    "list.__globals__",
    "__class__.__mro__",
    "quit\0",
    "../quit",
    "os.system",
)


def test_f50_names_of_attributes_are_no_commands_options_or_fields(daemon: Daemon) -> None:
    """Commands and options are found in tables: whatever is no row there is unknown, and nothing is looked up by it."""
    with Client(daemon.endpoint, timeout=20) as client:
        before = client.call("options", {"name": "web"})["options"]
        for walk in WALKS:
            with pytest.raises(Refused) as unknown:
                client.call(walk, {"name": "web"})
            assert unknown.value.code == "unknown_command", walk
            for command, properties in (
                ("set", {"name": "web", "options": {walk: "x"}}),
                ("set", {"name": "web", "options": {f"hooks.{walk}": "os.system"}}),
                ("set", {"name": "web", "options": {f"rlimit_{walk}": 1}}),
                ("set", {"name": "web", "options": {"stdout_stream": {walk: "x"}}}),
                ("set", {"name": "web", "options": {"stdout_stream": {"class": walk.split(".")[0]}}}),
                ("get", {"name": "web", "keys": [walk]}),
                ("globaloptions", {"option": walk}),
                ("add", {"name": "new", "cmd": "true", "options": {walk: "x"}}),
                ("status", {"name": walk}),
                ("inspect", {"name": walk}),
                ("signal", {"name": "web", "signum": walk}),
                ("follow", {"topics": [walk]}),
            ):
                with pytest.raises(CircusError) as refused:
                    client.call(command, properties)
                assert isinstance(refused.value, Refused)
                assert refused.value.code in ("bad_request", "config", "not_found"), (command, properties)
        assert client.call("options", {"name": "web"})["options"] == before
        assert "new" not in client.call("list")["watchers"]
    assert not events(daemon, "hook.failed")
    eventually(lambda: daemon.call("ping")["pong"])
