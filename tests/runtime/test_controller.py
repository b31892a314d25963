"""The transport of commands, with the original's kind of client."""

from __future__ import annotations

import json
import logging
import resource

import gevent
import pytest

from circusd.runtime import controller
from circusd.runtime.controller import Caller
from circusd.schema import wire
from circusd.schema.errors import NotFound
from tests.gate import Gate, answer, until


def test_unmodified_dealer_gets_its_answer(gate: Gate) -> None:
    """A pyzmq DEALER as the original's clients make it is answered through the door."""
    endpoint = gate.door()
    program = gate.client("print(json.dumps(call(dealer(sys.argv[1]), 'LIST', name='web')))", endpoint)
    reply = json.loads(program.output())
    assert reply["status"] == "ok" and reply["command"] == "list" and reply["properties"] == {"name": "web"}
    assert reply["id"] == "0123456789abcdef0123"
    ((_, caller),) = gate.requests
    assert (caller.door, caller.role) == ("commands", "admin")


def test_ten_thousand_requests_come_in_order(gate: Gate) -> None:
    """A client that does not wait for answers gets all of them, in the order of its requests."""
    endpoint = gate.door()
    script = """
s = dealer(sys.argv[1]); s.sndhwm = s.rcvhwm = 0; s.connect(sys.argv[1])
for n in range(10000):
    s.send(json.dumps({"id": n, "command": "list"}).encode())
assert sorted(json.loads(s.recv())["id"] for n in range(10000)) == list(range(10000))
"""
    gate.client(script, endpoint).output(40)
    assert gate.controller.lost == 0
    for router in {caller.connection for _, caller in gate.requests}:
        ids = [request.id for request, caller in gate.requests if caller.connection == router]
        assert ids == sorted(ids)


def test_roles_of_one_user_never_share_a_socket_and_few_are_kept_for_later(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request has the role of its own connection; what nobody uses any more is closed, the oldest first."""
    monkeypatch.setattr(controller, "IDLE_ROUTERS", 1)
    endpoint = gate.door()
    roles = iter(("viewer", "operator", "admin", "viewer"))
    gate.policy = lambda uid, groups: next(roles)
    script = """
socks = []
for n in range(4):
    socks.append(dealer(sys.argv[1], b"same"))
    print(call(socks[-1], "stop", f"{n:020}")["status"])
    sys.stdin.readline()
"""
    program = gate.client(script, endpoint)
    for _ in range(4):
        assert program.line() == "ok"
        program.say("")
    program.output()
    assert [caller.role for _, caller in gate.requests] == ["viewer", "operator", "admin", "viewer"]
    until(lambda: not gate.controller.connections)
    assert len(gate.controller._routers) == 1
    gate.policy = lambda uid, groups: "admin"
    for _ in range(2):
        gate.client("call(dealer(sys.argv[1]), 'list')", endpoint).output()
    assert gate.requests[-1][1].role == "admin"


def test_silent_cases_of_the_original_stay_silent(gate: Gate) -> None:
    """Blank text, what is no object, a missing command and extra frames get no answer; the next request gets its own."""
    endpoint = gate.door()
    script = """
s = dealer(sys.argv[1])
for said in (b"", b"  ", b"[]", b"5", b"null", b"{}", b'{"command": 5}', b'{"command": ""}'):
    s.send(said)
s.send_multipart([b"", b'{"id": "x", "command": "list"}'])
s.send_multipart([b'{"id": "x", "command": "list"}', b""])
s.send(b'{"id": "x", "command": "list", "msg_type": "cast"}')
print(call(s, "list", "last")["id"])
"""
    assert gate.client(script, endpoint).output() == "last\n"
    assert [request.cast for request, _ in gate.requests] == [True, False]


@pytest.mark.parametrize(
    "said", ["b'{'", "b'\\xff\\xfe'", "b'[' * 100000", "b'{\"a\": \"' + b'x' * (1 << 20) + b'\"}'"]
)
def test_what_is_no_json_is_told(gate: Gate, said: str) -> None:
    """Text that is no JSON, too deep or too long gets the original's error number 1, without an id."""
    endpoint = gate.door()
    program = gate.client(f"s = dealer(sys.argv[1]); s.send({said}); print(s.recv().decode())", endpoint)
    reply = json.loads(program.output())
    assert (reply["status"], reply["errno"], reply["id"]) == ("error", 1, None)
    assert reply["reason"].startswith("json invalid")


def test_request_without_bound_ends_the_connection(gate: Gate) -> None:
    """A message far beyond the limit is not collected in memory."""
    endpoint = gate.door()
    program = gate.client(
        "s = dealer(sys.argv[1]); s.send(b'x' * (64 << 20)); s.rcvtimeo = 200\n"
        "try: s.recv()\nexcept zmq.Again: print('none')",
        endpoint,
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert program.output() == "none\n"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10
    assert gate.requests == []


def test_what_dispatch_raises_is_an_error_reply(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal keeps its text and number; a fault is logged under an id, which the reply names, and ends nothing."""

    def dispatch(request: wire.Request, caller: Caller) -> None:
        if request.command == "status":
            raise NotFound("program x not found")
        if request.command == "stats":
            raise ZeroDivisionError("secret value")
        answer(request, caller)

    gate.dispatch = dispatch
    endpoint = gate.door()
    script = "s = dealer(sys.argv[1])\nfor c in ('status', 'stats', 'list'): print(json.dumps(call(s, c, c)))"
    with caplog.at_level(logging.ERROR):
        refused, fault, fine = map(json.loads, gate.client(script, endpoint).output().splitlines())
    assert (refused["reason"], refused["errno"], refused["id"]) == ("program x not found", 3, "status")
    assert fault["errno"] == 5 and "secret" not in json.dumps(fault)
    (record,) = caplog.records
    assert str(record.args[0]) in fault["reason"]
    assert "ZeroDivisionError" in caplog.text
    assert fine["status"] == "ok"


def counting(gate: Gate) -> list[str]:
    """Let the gate answer with how many requests have been carried out so far."""
    done: list[str] = []

    def dispatch(request: wire.Request, caller: Caller) -> None:
        done.append(request.command)
        caller.send(wire.ok_reply(request.id, {"done": len(done)}, 0.0))

    gate.dispatch = dispatch
    return done


def test_repeated_request_is_not_done_twice(gate: Gate) -> None:
    """The same client that asks again under the same id, also on a new connection, gets the first result."""
    done = counting(gate)
    endpoint = gate.door()
    script = """
s = dealer(sys.argv[1], b"me")
print(call(s, "incr", name="web")["done"], call(s, "incr", name="web")["done"])
s.close()
s = dealer(sys.argv[1], b"me")
print(call(s, "incr", name="web")["done"], call(s, "incr", "fedcba9876543210fedc", name="web")["done"])
"""
    assert gate.client(script, endpoint).output() == "1 1\n1 2\n"
    assert done == ["incr", "incr"]


def test_request_that_is_still_at_work_answers_where_the_client_is_now(gate: Gate) -> None:
    """A client that lost its connection and asks again gets the answer of the first request, once."""
    ways: list[Caller] = []
    gate.dispatch = lambda request, caller: ways.append(caller)
    endpoint = gate.door()
    script = """
request = json.dumps({"id": 20 * "x", "command": "stop", "properties": {"waiting": True}}).encode()
s = dealer(sys.argv[1], b"me"); s.send(request)
print("sent", flush=True); sys.stdin.readline()
s.close(); s = dealer(sys.argv[1], b"me"); s.send(request)
print("again", flush=True)
print(json.loads(s.recv())["n"])
s.rcvtimeo = 100
try: s.recv()
except zmq.Again: print("no more")
"""
    program = gate.client(script, endpoint)
    program.line()
    until(lambda: ways)
    program.say("go")
    program.line()
    until(lambda: gate.controller.requests == 2)
    ways[0].send(wire.ok_reply(20 * "x", {"n": 1}, 0.0))
    assert program.output() == "1\nno more\n"
    assert len(ways) == 1


def test_other_requests_are_done_each_time(gate: Gate) -> None:
    """What only reads, has a short id or none, comes from another client or asks for something else is no repetition."""
    done = counting(gate)
    endpoint = gate.door()
    script = """
s = dealer(sys.argv[1], b"me")
for id in ("1", 7, None, None): call(s, "incr", id); call(s, "incr", id)
call(s, "list"); call(s, "list"); call(s, "incr"); call(s, "decr")
call(dealer(sys.argv[1]), "incr"); call(dealer(sys.argv[1]), "incr")
"""
    gate.client(script, endpoint).output()
    assert len(done) == 14


def test_memory_of_repetitions_is_bounded(gate: Gate) -> None:
    """Many requests of many clients are not remembered without end."""
    counting(gate)
    endpoint = gate.door()
    script = """
for client in range(60):
    s = dealer(sys.argv[1], b"%d" % client)
    for n in range(80): s.send(json.dumps({"id": "request number %d" % n, "command": "incr"}).encode())
    for n in range(80): s.recv()
    s.close()
"""
    gate.client(script, endpoint).output(40)
    assert gate.controller.counters()["remembered"] <= 2048


def test_client_that_does_not_read_loses_answers_and_nobody_else_does(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies here for one client is bounded in bytes; the others are answered as ever."""
    monkeypatch.setattr(controller, "QUEUED_LIMIT_BYTES", 1 << 20)
    endpoint = gate.door()
    program = gate.client(
        "from circusd import zmtp\nc = zmtp.connect(sys.argv[1], 'DEALER', 5)\n"
        'c.send([b\'{"id": 1, "command": "list"}\']); sys.stdin.readline()',
        endpoint,
    )
    until(lambda: gate.requests)
    caller = gate.requests[0][1]
    big = b"x" * 100_000
    taken = sum(caller.send(big) for _ in range(200))
    assert 10 <= taken <= 30 and gate.controller.lost == 200 - taken
    gate.client("call(dealer(sys.argv[1]), 'list')", endpoint).output()
    program.end()


def test_long_answer_arrives_whole(gate: Gate) -> None:
    """An answer that is longer than all buffers on its way arrives."""
    gate.dispatch = lambda request, caller: caller.send(
        wire.ok_reply(request.id, {"text": "x" * (20 << 20)}, 0.0)
    )
    endpoint = gate.door()
    program = gate.client("print(len(call(dealer(sys.argv[1]), 'list')['text']))", endpoint)
    assert program.output() == f"{20 << 20}\n"


def test_flush_waits_until_answers_have_gone(gate: Gate) -> None:
    """After a flush a client has what was sent, even if everything ends at once."""
    endpoint = gate.door()
    gate.dispatch = lambda request, caller: caller.send(
        wire.ok_reply(request.id, {"text": "x" * 150_000}, 0.0)
    )
    program = gate.client(
        "from circusd import zmtp\nc = zmtp.connect(sys.argv[1], 'DEALER', 5)\nprint('in', flush=True)\n"
        'c.send([b\'{"id": 1, "command": "quit"}\']); sys.stdin.readline(); print(len(c.receive(5)[0]) > 150000)',
        endpoint,
    )
    program.line()
    until(lambda: gate.requests)
    assert gate.controller.flush()
    gate.doors.close()
    gate.controller.close()
    program.say("read")
    assert program.output() == "True\n"


def test_flush_gives_up_on_who_does_not_read(gate: Gate) -> None:
    """A flush ends when its time is over."""
    endpoint = gate.door()
    program = gate.client(
        "s = dealer(sys.argv[1]); s.rcvhwm = 1; s.connect(sys.argv[1])\n"
        's.send(b\'{"id": 1, "command": "list"}\'); sys.stdin.readline()',
        endpoint,
    )
    until(lambda: gate.requests)
    for _ in range(40):
        gate.requests[0][1].send(b"x" * 100_000)
    with gevent.Timeout(2):
        assert gate.controller.flush(0.1) is False
    program.end()
