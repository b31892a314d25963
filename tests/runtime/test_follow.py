"""Followed streams: what comes, in which order, and how much of it may be on its way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
import zmq.green

from circusd.runtime.controller import Caller
from circusd.runtime.follow import MESSAGE_BYTES, Follows
from circusd.runtime.history import History, StreamKey
from circusd.runtime.outputchannel import OutputChannel
from circusd.runtime.publisher import Publisher
from circusd.runtime.scope import ALL, Scope
from circusd.runtime.tokens import fingerprint
from circusd.schema import wire
from circusd.schema.errors import BadRequest
from tests.gate import Gate, until

WEB = StreamKey("Web", 1, "stdout")


@dataclass
class Watchers:
    """The world that is followed."""

    names: dict[str, int] = field(default_factory=lambda: {"Web": 0})
    asked: int = 0
    leads: int = 0
    processes: dict[str, int] = field(default_factory=dict)

    def snapshot(self, scope: Scope = ALL) -> dict[str, Any]:
        return {"watchers": [self.watcher_view(name) for name in self.names]}

    def watcher_view(self, name: str) -> dict[str, Any] | None:
        self.asked += 1
        found = {key.lower(): (key, value) for key, value in self.names.items()}.get(name.lower())
        if found is None:
            return None
        processes = self.processes.get(found[0])
        more = {} if processes is None else {"processes": [{}] * processes}
        return {"name": found[0], "value": found[1], **more}

    def lead(self, scope: Scope = ALL) -> dict[str, str]:
        self.leads += 1
        return {"title": "all is well"}


@dataclass
class Follower:
    """One who follows, inside this process."""

    connection: bytes = b"C00000001"
    got: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    takes: bool = True

    def send(self, message: bytes) -> bool:
        if self.takes:
            self.got.append(json.loads(message))
            self.sizes.append(len(message))
        return self.takes

    def data(self, topic: str) -> list[dict[str, Any]]:
        return [message["data"] for message in self.got if message["push"] == topic]

    def lines(self) -> list[str]:
        return [line[2] for message in self.got for line in message["data"].get("lines", [])]


@dataclass
class House:
    """What follows need."""

    publisher: Publisher
    history: History
    watchers: Watchers
    follows: Follows

    def write(self, data: bytes, key: StreamKey = WEB, pid: int = 7, wall: float = 1000.0) -> None:
        self.history.append(key, pid, wall, data)


@pytest.fixture
def house(tmp_path: Any) -> Iterator[House]:
    """Follows with a publisher, a history and a world."""
    context = zmq.green.Context()
    publisher = Publisher(context, str(tmp_path))
    history = History(limit_bytes=4 << 20, stream_bytes=1 << 20)
    watchers = Watchers()
    follows = Follows(publisher, history, watchers)
    yield House(publisher, history, watchers, follows)
    follows.close()
    history.close()
    publisher.close()
    gevent.sleep(0)
    context.destroy(0)


@pytest.fixture
def follower() -> Follower:
    """One who follows."""
    return Follower()


def quiet() -> None:
    """Everything that was going to be sent by now has been."""
    gevent.sleep(0.12)


def test_state_begins_with_everything_and_goes_on_with_changes(house: House, follower: Follower) -> None:
    """First the whole, then each watcher that changed or is gone; many changes at once are one message."""
    reply = house.follows.open(follower, "f", ["state."])
    assert reply == {"topics": ["state."], "credit": 1 << 18}
    assert follower.got == []
    until(lambda: follower.got)
    assert follower.got == [
        {"id": "f", "push": "state.", "data": {"snapshot": {"watchers": [{"name": "Web", "value": 0}]}}}
    ]
    for value in range(1, 100):
        house.watchers.names["Web"] = value
        house.follows.changed("Web")
    house.watchers.names["db"] = 0
    house.follows.changed("db")
    until(lambda: len(follower.got) == 3)
    quiet()
    lead = {"title": "all is well"}
    assert follower.data("state.")[1:] == [
        {"watcher": {"name": "Web", "value": 99}, "lead": lead},
        {"watcher": {"name": "db", "value": 0}, "lead": lead},
    ]
    del house.watchers.names["db"]
    house.follows.changed("db")
    until(lambda: follower.data("state.")[-1] == {"removed": "db", "lead": lead})


def test_state_without_credit_is_as_it_is_when_it_goes_out(house: House, follower: Follower) -> None:
    """A follower that gave nothing back gets the last state of each watcher, once, when it does."""
    house.follows.open(follower, "f", ["state."], credit=4096)
    house.watchers.names = {f"watcher-{n:03}": 0 for n in range(200)}
    until(lambda: follower.got)
    for value in range(3):
        for name in house.watchers.names:
            house.watchers.names[name] = value
            house.follows.changed(name)
        quiet()
    assert len(follower.got) == 1, "longer than the window, and the only one"
    while len(follower.got) < 201:
        house.follows.credit(follower, "f", sum(follower.sizes))
        follower.sizes.clear()
        until(lambda: follower.sizes)
    assert {message["watcher"]["value"] for message in follower.data("state.")[1:]} == {2}


def test_the_sentence_above_all_is_not_made_for_each_of_many_changes(
    house: House, follower: Follower
) -> None:
    """It is made from all watchers; the last change has it, so that it is right when all is quiet."""
    house.watchers.names = {f"watcher-{n:03}": 0 for n in range(500)}
    house.follows.open(follower, "f", ["state."], credit=1 << 20)
    until(lambda: follower.got)
    for name in house.watchers.names:
        house.follows.changed(name)
    until(lambda: len(follower.got) == 501)
    assert "lead" in follower.data("state.")[-1]
    assert 0 < house.watchers.leads < 250


def test_a_large_watcher_that_goes_on_changing_is_told_less_often(house: House, follower: Follower) -> None:
    """All its processes are told each time; a small one beside it is told as before, and the last state of both comes."""
    house.watchers.names = {"large": 0, "small": 0}
    house.watchers.processes = {"large": 80}
    house.follows.open(follower, "f", ["state."], credit=4 << 20)
    until(lambda: follower.got)

    def told(name: str) -> list[int]:
        views = [data["watcher"] for data in follower.data("state.")[1:]]
        return [view["value"] for view in views if view["name"] == name]

    values = list(range(1, 31))
    for value in values:
        for name in house.watchers.names:
            house.watchers.names[name] = value
            house.follows.changed(name)
        until(lambda value=value: told("small")[-1:] == [value])
    until(lambda: told("large")[-1] == values[-1])
    assert told("small") == values
    assert 2 <= len(told("large")) < len(values) / 2
    assert told("large")[0] == 1, "the first change waits for nothing"


def test_nobody_is_asked_when_nobody_follows(house: House, follower: Follower) -> None:
    """Changes, events and output cost nothing without a follower, nor after its end."""
    house.follows.open(follower, "f", ["state.", "event.", "load.", "output."])
    until(lambda: follower.got)
    house.follows.unfollow(follower, "f")
    asked = house.watchers.asked
    house.follows.changed("Web")
    house.publisher.publish("events", "event.web.", lambda: pytest.fail("asked"))
    house.publisher.publish("stats", "load.", lambda: pytest.fail("asked"))
    house.write(b"line\n")
    quiet()
    assert house.watchers.asked == asked and len(follower.got) == 1
    assert house.follows.counters() == {"follows": 0}


def test_events_come_as_they_are_published(house: House, follower: Follower) -> None:
    """All events, or those of a watcher by its name as it stands."""
    other = Follower(b"C00000002")
    house.follows.open(follower, 1, ["event."])
    house.follows.open(other, 1, ["event.My.App."])
    for watcher in ("web", "my%2Eapp"):
        house.publisher.publish(
            "events", f"event.{watcher}.", {"event": "process.exited", "watcher": watcher}
        )
    house.publisher.publish("events", "watcher.web.reap", lambda: pytest.fail("asked"))
    until(lambda: len(follower.got) == 2 and other.got)
    quiet()
    assert [d["watcher"] for d in follower.data("event.")] == ["web", "my%2Eapp"]
    assert [d["watcher"] for d in other.data("event.My.App.")] == ["my%2Eapp"]


def test_events_of_a_moment_go_out_together(house: House, follower: Follower) -> None:
    """None is missing, and their order is kept; a follower is not woken for each of them."""
    turns: list[int] = []
    send = follower.send

    def count(message: bytes) -> bool:
        turns.append(turn)
        return send(message)

    follower.send = count  # type: ignore[method-assign]
    house.follows.open(follower, "f", ["event."], credit=4 << 20)
    for turn in range(100):
        house.publisher.publish("events", "event.web.", {"number": turn})
        # All that the loop has to do now is done: what goes out at once has gone.
        gevent.idle()
    until(lambda: len(follower.got) == 100)
    assert [data["number"] for data in follower.data("event.")] == list(range(100))
    assert len(set(turns)) < 50


def test_events_that_had_to_wait_are_counted_where_they_are_lost(house: House, follower: Follower) -> None:
    """Without credit the last ones are kept; how many were passed over is told before them."""
    house.follows.open(follower, "f", ["event."], credit=4096)
    for n in range(1000):
        house.publisher.publish("events", "event.web.", {"number": n, "text": "x" * 100})
        gevent.sleep(0)
    quiet()
    while follower.sizes:
        returned, follower.sizes = sum(follower.sizes), []
        house.follows.credit(follower, "f", returned)
        quiet()
    data = follower.data("event.")
    assert [d for d in data if "skipped" in d]
    expected = 0
    for told in data:
        expected += told.get("skipped", 0)
        if "number" in told:
            assert told["number"] == expected
            expected += 1
    assert expected == 1000


def test_load_is_the_last_one(house: House, follower: Follower) -> None:
    """A sample that could not be sent is replaced by the next."""
    house.follows.open(follower, "f", ["load."])
    for n in range(10):
        house.publisher.publish("stats", "load.", {"time": n})
    until(lambda: follower.got)
    quiet()
    assert follower.data("load.") == [{"time": 9}]


def test_history_comes_first_then_what_is_written(house: House, follower: Follower) -> None:
    """The last lines of all streams in the order of their times, then each new line, none twice and none missing."""
    err, other = StreamKey("Web", 2, "stderr"), StreamKey("db", 1, "stdout")
    for n in range(20):
        house.write(b"out %d\n" % n, wall=1000.0 + n)
        house.write(b"err %d\n" % n, err, 8, wall=1000.5 + n)
        house.write(b"not this\n", other)
    reply = house.follows.open(follower, "f", ["output.web."], lines=3)
    assert reply["topics"] == ["output.web."]
    house.write(b"new 1\nbegun", wall=2000.0)
    until(lambda: len(follower.lines()) == 4)
    house.write(b" and ended\n")
    house.write(b"not this\n", other)
    until(lambda: len(follower.lines()) == 5)
    assert follower.lines() == ["err 18", "out 19", "err 19", "new 1", "begun and ended"]
    assert follower.got[0] == {
        "id": "f",
        "push": "output.web.",
        "data": {
            "watcher": "Web",
            "wid": 2,
            "stream": "stderr",
            "pid": 8,
            "lines": [[19, 1018.5, "err 18"]],
            "skipped": 0,
            "past": True,
        },
    }
    assert all(data["skipped"] == 0 for data in follower.data("output.web."))


def test_only_the_stream_asked_for_comes(house: House, follower: Follower) -> None:
    """With ``stream`` the other one stays away, from history and from now on."""
    err = StreamKey("Web", 1, "stderr")
    house.write(b"old out\n")
    house.write(b"old err\n", err)
    house.follows.open(follower, "f", ["output."], lines=10, stream="stderr")
    house.write(b"new out\n")
    house.write(b"new err\n", err)
    until(lambda: len(follower.lines()) == 2)
    quiet()
    assert follower.lines() == ["old err", "new err"]


def test_watcher_that_comes_later_is_followed_from_its_first_line(house: House, follower: Follower) -> None:
    """What had no output yet, or was removed and is there again, is read from line 1."""
    house.follows.open(follower, "f", ["output.later.", "output.web."])
    later = StreamKey("later", 1, "stdout")
    house.write(b"one\n", later)
    until(lambda: follower.lines() == ["one"])
    house.write(b"two\nthree\n", later)
    until(lambda: len(follower.lines()) == 3)
    house.history.forget("later")
    house.write(b"again\n", later)
    until(lambda: follower.lines()[-1] == "again")
    assert {data["skipped"] for data in follower.data("output.later.")} == {0}


def test_names_may_be_escaped(house: House, follower: Follower) -> None:
    """A watcher with dots and spaces in its name is found by it, and by its form in topics."""
    key = StreamKey("my app.v2", 1, "stdout")
    second = Follower(b"C00000002")
    house.follows.open(follower, "f", ["output.my app.v2."])
    house.follows.open(second, "f", [f"output.{wire.escape_name(key.watcher)}."])
    house.write(b"here\n", key)
    until(lambda: follower.lines() == second.lines() == ["here"])
    assert second.got[0]["push"] == "output.my_app%2Ev2."


def test_bursts_are_gathered(house: House, follower: Follower) -> None:
    """Many small writes become few messages."""
    house.follows.open(follower, "f", ["output."])
    for n in range(500):
        house.write(b"line %d\n" % n)
        if n % 50 == 0:
            gevent.sleep(0.001)
    until(lambda: len(follower.lines()) == 500)
    assert len(follower.got) <= 10


def test_messages_are_bounded(house: House, follower: Follower) -> None:
    """Neither colours nor foreign letters make a message longer than 64 KiB; a single long line comes alone."""
    house.follows.open(follower, "f", ["output."], credit=4 << 20)
    colour, foreign = b"\x1b[31m\xe2\x82\xac\x1b[0m" * 5 + b"\n", b"\xff\xfe\x00" * 20 + b"\n"
    for text in (colour, foreign):
        for _ in range(40):
            house.write(text * 100)
            gevent.sleep(0.001)
    house.write(b"x" * 70_000 + b"\n")
    until(lambda: len(follower.lines()) == 8002)
    assert max(follower.sizes[:-2]) <= MESSAGE_BYTES
    assert [len(line) for line in follower.lines()[-2:]] == [65536, 70_000 - 65536]
    assert follower.lines()[0] == colour[:-1].decode() and follower.lines()[4000] == "\\xff\\xfe\0" * 20


def test_follower_that_does_not_keep_up_learns_what_it_missed(house: House, follower: Follower) -> None:
    """Never more than the credit is on its way; afterwards lines and skipped ones add up to all that were written."""
    window = 64 << 10
    house.follows.open(follower, "f", ["output."], credit=window)
    written = 0
    for _ in range(300):
        house.write(b"".join(b"%08d %s\n" % (written + n, b"x" * 100) for n in range(100)))
        written += 100
        gevent.sleep(0.0005)
    quiet()
    assert 0 < sum(follower.sizes) <= window
    while follower.sizes:
        returned, follower.sizes = sum(follower.sizes), []
        house.follows.credit(follower, "f", returned)
        quiet()
        assert sum(follower.sizes) <= window
    data = follower.data("output.")
    seen = sum(len(d["lines"]) for d in data)
    assert seen + sum(d["skipped"] for d in data) == written
    assert sum(d["skipped"] for d in data) > 0
    expected = 0
    for d in data:
        expected += d["skipped"]
        for number, _, text in d["lines"]:
            expected += 1
            assert number == expected and int(text[:8]) == number - 1


@pytest.mark.parametrize("window", [1, 5000, 20_000, 64 << 10, 1 << 18])
def test_follower_that_gives_back_late_is_never_stuck(house: House, follower: Follower, window: int) -> None:
    """With any window it is enough to give back when half of it is used up."""
    granted = house.follows.open(follower, "f", ["output."], credit=window)["credit"]
    used = 0

    def consume() -> bool:
        nonlocal used
        used += sum(follower.sizes)
        follower.sizes.clear()
        if used * 2 >= granted:
            house.follows.credit(follower, "f", used)
            used = 0
        return len(follower.lines()) == 400

    for n in range(400):
        house.write(b"%d %s\n" % (n, b"y" * (n * 37 % 3000)))
        if n % 5 == 0:
            gevent.sleep(0.001)
        consume()
    until(consume)


def test_quiet_stream_comes_between_loud_ones(house: House, follower: Follower) -> None:
    """Streams take turns: a line of one arrives while another has much more to say than the credit lets through."""
    house.follows.open(follower, "f", ["output."], credit=64 << 10)
    loud = StreamKey("loud", 1, "stdout")
    house.write(b"x" * 100 + b"\n", loud)
    until(lambda: follower.got)
    for _ in range(20):
        house.write((b"x" * 100 + b"\n") * 500, loud)
    house.write(b"quiet\n")
    turns = 0
    while "quiet" not in follower.lines():
        returned, follower.sizes = sum(follower.sizes), []
        house.follows.credit(follower, "f", returned)
        quiet()
        turns += 1
    assert turns <= 3


def test_connection_that_is_full_is_tried_again(house: House, follower: Follower) -> None:
    """What a connection did not take is neither lost nor made again and again; it goes out when there is room."""
    for n in range(50):
        house.follows.open(follower, n, ["output."])
    follower.takes = False
    house.write(b"line\n")
    quiet()
    held = [f for line in house.follows._lines.values() for f in line.streams.values() if f._held is not None]
    assert len(held) <= 3
    follower.takes = True
    until(lambda: len(follower.lines()) == 50)


def test_end_of_the_connection_ends_its_streams(house: House, follower: Follower) -> None:
    """When a client has left, nothing is made for it any more; others go on."""
    other = Follower(b"C00000002")
    for who in (follower, other):
        house.follows.open(who, "a", ["output."])
        house.follows.open(who, "b", ["state."])
    house.follows.left(follower.connection)
    assert house.follows.counters() == {"follows": 2}
    house.write(b"line\n")
    until(lambda: other.lines() == ["line"])
    assert follower.got == []
    house.follows.left(other.connection)
    house.follows.left(b"unknown")
    assert house.history._wakes == {} and house.follows._states == {}


def test_end_of_a_session_ends_its_streams_and_says_so(house: House, follower: Follower) -> None:
    """Streams of a session that is over get one last message; those of others on the connection go on."""
    house.follows.open(follower, "mine", ["output."], session=fingerprint("token"))
    house.follows.open(follower, "other", ["output."], session=fingerprint("else"))
    house.follows.open(follower, "none", ["output."])
    house.follows.end_session(fingerprint("token"))
    assert follower.got == [{"id": "mine", "push": "end.", "data": {"reason": "the session is over"}}]
    house.follows.end_session("")
    house.write(b"line\n")
    until(lambda: len(follower.got) == 3)
    assert {message["id"] for message in follower.got[1:]} == {"other", "none"}


def test_same_id_takes_the_place_of_the_first(house: House, follower: Follower) -> None:
    """Following again under one id leaves one stream."""
    house.follows.open(follower, "f", ["output."])
    house.follows.open(follower, "f", ["output."])
    house.write(b"line\n")
    until(lambda: follower.lines())
    quiet()
    assert follower.lines() == ["line"]


@pytest.mark.parametrize(
    "topics", [[], ["nothing."], ["output"], ["state.web."], [""], [5], ["state."] * 300]
)
def test_what_is_no_topic_opens_nothing(house: House, follower: Follower, topics: list[Any]) -> None:
    """A wrong topic is an error, and leaves no listener behind."""
    with pytest.raises(BadRequest):
        house.follows.open(follower, "f", ["output.", "event.", *topics] if topics else [])
    with pytest.raises(BadRequest):
        house.follows.open(follower, None, ["state."])
    assert house.follows.counters() == {"follows": 0}
    assert house.history._wakes == {} and not house.publisher.wanted("events", "event.web.")


def test_fault_in_one_message_does_not_end_the_stream(
    house: House, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    """A view that can't be made is logged, and the next change is told."""
    house.follows.open(follower, "f", ["state."])
    until(lambda: follower.got)
    view: Callable[[str], Any] = house.watchers.watcher_view
    house.watchers.watcher_view = lambda name: 1 / 0  # type: ignore[assignment,return-value]
    house.follows.changed("Web")
    until(lambda: "ZeroDivisionError" in caplog.text)
    house.watchers.watcher_view = view  # type: ignore[method-assign]
    house.follows.changed("Web")
    until(lambda: len(follower.got) == 2)


def test_client_follows_through_the_door(gate: Gate, house: House) -> None:
    """The project's client opens a stream on a real connection, gives credit back by itself, and gets every line."""

    def dispatch(request: wire.Request, caller: Caller) -> None:
        p = request.properties
        if request.command == "follow":
            reply = house.follows.open(caller, request.id, p["topics"], credit=p["credit"], lines=p["lines"])
            caller.send(wire.ok_reply(request.id, reply, 0.0))
        elif request.command == "credit":
            house.follows.credit(caller, p["followed"], p["bytes"])
        elif request.command == "unfollow":
            house.follows.unfollow(caller, p["followed"])

    gate.dispatch = dispatch
    endpoint = gate.door()
    house.write(b"before\n")
    script = """
from circusd.client import Client
with Client(sys.argv[1]) as client, client.follow(["output."], lines=5, credit=65536) as stream:
    lines = []
    for topic, data in stream:
        assert topic == "output." and data["skipped"] == 0
        lines += [line[2] for line in data["lines"]]
        if len(lines) == 1: print("ready", flush=True)
        if len(lines) == 20001: break
    assert lines == ["before"] + [str(n) + "x" * 50 for n in range(20000)]
print("done", flush=True)
sys.stdin.readline()
"""
    program = gate.client(script, endpoint)
    assert program.line() == "ready"
    for n in range(200):
        house.write(b"".join(b"%d%s\n" % (n * 100 + k, b"x" * 50) for k in range(100)))
        gevent.sleep(0.005)
    assert program.line(20) == "done"
    until(lambda: house.follows.counters() == {"follows": 0})
    assert gate.controller.lost == 0
    program.end()


def test_killed_client_leaves_no_stream(gate: Gate, house: House) -> None:
    """The streams of a client that was killed end with its connection."""
    gate.dispatch = lambda request, caller: house.follows.open(caller, request.id, ["output.", "state."])
    gate.controller._left = house.follows.left
    program = gate.client("s = dealer(sys.argv[1]); call(s, 'follow'); sys.stdin.readline()", gate.door())
    until(lambda: house.follows.counters() == {"follows": 1})
    program.process.kill()
    until(lambda: house.follows.counters() == {"follows": 0})


def test_output_channel_reads_only_for_subscribers(gate: Gate, house: House) -> None:
    """Live output reaches a SUB with the topics it asked for; without one nothing is read."""
    channel = OutputChannel(gate.publisher, house.history)
    house.write(b"to nobody\n")
    assert house.history._wakes == {}
    endpoint = gate.door("output")
    script = """
s = subscriber(sys.argv[1], "output.web.")
for _ in range(2):
    topic, body = s.recv_multipart()
    print(topic.decode(), [line[2] for line in json.loads(body)["lines"]], flush=True)
    s.setsockopt(zmq.SUBSCRIBE, b"output.my%2Edb.")
"""
    program = gate.client(script, endpoint)
    db = StreamKey("my.db", 1, "stdout")
    until(lambda: house.history._wakes)
    house.write(b"not this\n", db)
    house.write(b"line\n")
    assert program.line() == "output.web. ['line']"
    until(lambda: gate.publisher.wanted("output", "output.my%2Edb."))
    house.write(b"now this\n", db)
    assert program.line() == "output.my%2Edb. ['now this']"
    program.output()
    until(lambda: house.history._wakes == {})
    channel.close()
