"""The channels of events, stats and output, with the original's kind of subscriber."""

from __future__ import annotations

import json

import gevent

from tests.gate import Gate
from tests.waiting import eventually


def listening(gate: Gate, channel: str, topic: str) -> None:
    """Wait until the subscription has come through."""
    eventually(lambda: gate.publisher.wanted(channel, topic), sleep=gevent.sleep)


def test_unmodified_subscriber_gets_events(gate: Gate) -> None:
    """A pyzmq SUB gets two frames, topic and JSON, of what it subscribed to and of nothing else."""
    endpoint = gate.door("events")
    program = gate.client(
        "s = subscriber(sys.argv[1], 'watcher.web.')\nprint(*(f.decode() for f in s.recv_multipart()))",
        endpoint,
    )
    listening(gate, "events", "watcher.web.spawn")
    gate.publisher.publish("events", "watcher.other.spawn", {"time": 1.0})
    gate.publisher.publish("events", "watcher.web.spawn", {"process_pid": 7, "time": 2.0})
    topic, body = program.output().split(maxsplit=1)
    assert topic == "watcher.web.spawn"
    assert json.loads(body) == {"process_pid": 7, "time": 2.0}
