"""The channels of events, stats and output, with the original's kind of subscriber."""

from __future__ import annotations

import json
import resource
from typing import Any

import pytest

from tests.gate import Gate, until


def never() -> dict[str, Any]:
    raise AssertionError("formatted for nobody")


def test_unmodified_subscriber_gets_events(gate: Gate) -> None:
    """A pyzmq SUB gets two frames, topic and JSON, of what it subscribed to and of nothing else."""
    endpoint = gate.door("events")
    script = "s = subscriber(sys.argv[1], 'watcher.web.')\nprint(*(f.decode() for f in s.recv_multipart()))"
    program = gate.client(script, endpoint)
    until(lambda: gate.publisher.wanted("events", "watcher.web.spawn"))
    gate.publisher.publish("events", "watcher.other.spawn", never)
    gate.publisher.publish("events", "watcher.web.spawn", lambda: {"process_pid": 7, "time": 2.0})
    topic, body = program.output().split(maxsplit=1)
    assert topic == "watcher.web.spawn"
    assert json.loads(body) == {"process_pid": 7, "time": 2.0}


def test_subscriber_of_everything_gets_everything(gate: Gate) -> None:
    """The empty prefix, with which the original's programs listen, takes each topic of its channel."""
    endpoint = gate.door("stats", "tcp://127.0.0.1:0")
    program = gate.client(
        "s = subscriber(sys.argv[1], '')\nfor _ in 'ab': print(s.recv_multipart()[0].decode())", endpoint
    )
    until(lambda: gate.publisher.wanted("stats", "stat.web"))
    assert not gate.publisher.wanted("events", "stat.web")
    for topic in ("stat.web.7", "stat.web"):
        gate.publisher.publish("stats", topic, {"cpu": 0})
    assert program.output().split() == ["stat.web.7", "stat.web"]


def test_nothing_is_formatted_for_nobody(gate: Gate) -> None:
    """Without a subscriber or listener a body is not even asked for."""
    for channel in ("events", "stats", "output"):
        assert not gate.publisher.wanted(channel, "watcher.web.spawn")
        gate.publisher.publish(channel, "watcher.web.spawn", never)
    assert gate.publisher.published == 0


def test_end_of_a_killed_subscriber_ends_the_demand(gate: Gate) -> None:
    """What is wanted is told when it changes: by a subscription, by its end, and by the end of a killed subscriber."""
    changes: list[bool] = []
    cancel = gate.publisher.on_demand(lambda: changes.append(gate.publisher.wanted_below("stats", "stat.")))
    endpoint = gate.door("stats")
    script = """
s = subscriber(sys.argv[1], 'stat.web'); t = subscriber(sys.argv[1], 'stat.web', 'stat.db')
sys.stdin.readline(); s.close(); t.unsubscribe('stat.web'); print(1, flush=True); sys.stdin.readline()
"""
    program = gate.client(script, endpoint)
    until(lambda: gate.publisher.wanted("stats", "stat.web.7") and gate.publisher.wanted("stats", "stat.db"))
    program.say("one goes")
    program.line()
    until(lambda: not gate.publisher.wanted("stats", "stat.web.7"))
    assert gate.publisher.wanted("stats", "stat.db")
    program.process.kill()
    until(lambda: not gate.publisher.wanted_below("stats", "stat."))
    assert changes[0] is True and changes[-1] is False
    cancel()


def test_demand_below_a_prefix_is_known(gate: Gate) -> None:
    """Whoever makes messages of many topics can ask whether any is wanted."""
    assert not gate.publisher.wanted_below("stats", "stat.")
    for prefix, is_below in (("stat.web.7", True), ("sta", True), ("", True), ("watcher.", False)):
        cancel = gate.publisher.listen([prefix], lambda topic, body: None)
        assert gate.publisher.wanted_below("stats", "stat.") is is_below
        cancel()


def test_listener_inside_gets_what_subscribers_get(gate: Gate) -> None:
    """A listener has topic and bytes of each message of its prefixes until it cancels, also if it does so meanwhile."""
    got: list[tuple[str, bytes]] = []

    def once(topic: str, body: bytes) -> None:
        got.append((topic, body))
        cancel()

    cancel = gate.publisher.listen(["event.web.", "event.db."], once)
    gate.publisher.publish("events", "event.other.", never)
    gate.publisher.publish("events", "event.db.", {"event": "process.exited"})
    gate.publisher.publish("events", "event.web.", never)
    assert got == [("event.db.", b'{"event":"process.exited"}')]
    cancel()


def test_burst_arrives_whole(gate: Gate) -> None:
    """A thousand events in one turn of the loop all reach a subscriber that reads."""
    endpoint = gate.door("events")
    program = gate.client(
        "s = subscriber(sys.argv[1], '')\n"
        "print([json.loads(s.recv_multipart()[1])['n'] for _ in range(1000)] == list(range(1000)))",
        endpoint,
    )
    until(lambda: gate.publisher.wanted("events", "x"))
    for n in range(1000):
        gate.publisher.publish("events", "watcher.web.spawn", {"n": n, "time": 1.0})
    assert program.output() == "True\n"


@pytest.mark.parametrize(("channel", "size"), [("events", 3000), ("stats", 7000), ("output", 60_000)])
def test_subscriber_that_does_not_read_costs_little(gate: Gate, channel: str, size: int) -> None:
    """A subscriber that stopped reading misses messages and holds up nobody; what waits for it stays below 5 MB."""
    endpoint = gate.door(channel)
    stuck = gate.client("s = subscriber(sys.argv[1], 'x')\ns.rcvhwm = 1\nsys.stdin.readline()", endpoint)
    stuck_raw = gate.client(
        "from circusd import zmtp\nc = zmtp.connect(sys.argv[1], 'SUB', 5); c.subscribe(['x'])\nsys.stdin.readline()",
        endpoint,
    )
    until(lambda: gate.publisher.wanted(channel, "x"))
    reader = gate.client(
        "s = subscriber(sys.argv[1], 'xx')\nwhile True:\n for _ in range(20): s.recv_multipart()\n print(flush=True)",
        endpoint,
    )
    until(lambda: "xx" in gate.publisher.entrance(channel).prefixes)
    body = b'"' + b"y" * size + b'"'
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(50_000_000 // size // 20):
        for _ in range(20):
            gate.publisher.publish(channel, "xx", body)
        # It has read all twenty.
        reader.line()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10
    for program in (stuck, stuck_raw, reader):
        program.end()


def test_long_texts_are_cut(gate: Gate) -> None:
    """A body beyond the channel's bound goes out with its texts cut; one that is still too long only to listeners inside."""
    program = gate.client(
        "s = subscriber(sys.argv[1], '')\nprint(len(s.recv_multipart()[1]), s.recv_multipart()[0])",
        gate.door("events"),
    )
    until(lambda: gate.publisher.wanted("events", "x"))
    got: list[bytes] = []
    cancel = gate.publisher.listen([""], lambda topic, body: got.append(body))
    gate.publisher.publish("events", "watcher.web.hook_failure", {"name": "x", "error": "y" * 100_000})
    assert json.loads(got[0]) == {"name": "x", "error": "y" * 512 + "…"}
    many = {"list": list(range(10_000))}
    gate.publisher.publish("events", "watcher.web.spawn", many)
    assert json.loads(got[1]) == many and gate.publisher.too_long == 1
    gate.publisher.publish("events", "watcher.web.kill", {})
    assert program.output() == f"{len(got[0])} b'watcher.web.kill'\n"
    cancel()
