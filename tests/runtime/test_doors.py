"""Who comes in, who does not, and that nothing is left of either."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from circusd.runtime import doors
from circusd.runtime.handshake import Handshake
from circusd.schema.errors import ConfigError, Conflict
from tests.gate import Gate, until

NOBODY = 65534

# An interpreter that every user can run.
ANY_PYTHON = "/usr/bin/python3"


def greeting(mechanism: bytes) -> bytes:
    """The greeting of ZMTP 3."""
    return b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0") + bytes(32)


def test_peer_of_a_unix_door_is_known(gate: Gate) -> None:
    """The socket's file is its owner's alone, and a request comes with the uid and role of its connection."""
    endpoint = gate.door()
    assert stat.S_IMODE(os.stat(endpoint.removeprefix("ipc://")).st_mode) == 0o600
    gate.client("call(dealer(sys.argv[1]), 'list')", endpoint).output()
    ((_, caller),) = gate.requests
    assert (caller.door, caller.uid, caller.role) == ("commands", os.getuid(), "admin")


def test_owner_of_a_loopback_connection_is_obeyed(gate: Gate) -> None:
    """Over TCP the uid is that of the socket's owner; IPv4, IPv6 and both in one."""
    for host in ("127.0.0.1", "localhost", "[::1]", "[::]", "*"):
        endpoint = gate.doors.open_door(host, f"tcp://{host}:0", "commands")
        endpoint = endpoint.replace("0.0.0.0", "127.0.0.1").replace("[::]", "127.0.0.1")
        script = "call(dealer(sys.argv[1]), 'list')"
        gate.client(script, endpoint).output()
        assert (gate.requests[-1][1].door, gate.requests[-1][1].uid) == (host, os.getuid())


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists(ANY_PYTHON),
    reason="only root can start a program as another user",
)
def test_other_user_is_refused_before_the_greeting(gate: Gate) -> None:
    """Another user's connection to a TCP door is closed without a byte, and told with its uid."""
    port = gate.door(endpoint="tcp://127.0.0.1:0").rpartition(":")[2]
    script = f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 5); print(s.recv(100))"
    program = gate.client(script, python=ANY_PYTHON, prelude="", user=NOBODY, cwd="/")
    assert program.output() == "b''\n"
    assert [(r.uid, r.count) for r in gate.refusals] == [(NOBODY, 1)]
    assert gate.requests == []


def test_handshake_may_come_in_any_pieces() -> None:
    """Wherever the bytes of a handshake are cut, the same ones go on, with the door's number before the client's identity."""
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me\x03X-A\0\0\0\x01a"
    said = greeting(b"NULL") + b"\x04" + bytes([len(ready)]) + ready + b"\0\x02hi"
    whole = Handshake(b"C1").feed(said)
    assert whole.startswith(greeting(b"NULL")) and b"\x08Identity\0\0\0\x04C1me" in whole
    assert whole.count(b"Identity") == 1 and b"DEALER" in whole and whole.endswith(b"a\0\x02hi")
    for cut in range(len(said) + 1):
        handshake = Handshake(b"C1")
        assert handshake.feed(said[:cut]) + handshake.feed(said[cut:]) == whole
        assert handshake.done
    single = Handshake(b"C1")
    assert b"".join(single.feed(bytes([byte])) for byte in said) == whole


def test_refused_peer_gets_no_byte(gate: Gate) -> None:
    """Whom the policy does not know is closed before the greeting, and many such are told together."""
    gate.policy = lambda uid, groups: None
    endpoint = gate.door()
    script = "for _ in range(20):\n s = raw(sys.argv[1])\n assert s.recv(100) == b''"
    gate.client(script, endpoint).output()
    (refusal,) = gate.refusals
    assert (refusal.uid, refusal.count, refusal.reason) == (os.getuid(), 1, "it belongs to another user")
    gate.doors.close()
    assert [r.count for r in gate.refusals] == [1, 19]
    assert gate.doors.refusals == 20


def test_other_machine_is_refused_before_the_greeting(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not on this machine is closed without a byte."""
    monkeypatch.setattr(doors, "_is_of_this_machine", lambda sock, address: False)
    endpoint = gate.door(endpoint="tcp://127.0.0.1:0")
    gate.client("assert raw(sys.argv[1]).recv(100) == b''", endpoint).output()
    assert [(r.uid, r.reason) for r in gate.refusals] == [(None, "it comes from another machine")]


def test_open_address_is_warned_of_once(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """Which doors other machines can reach is known, and one warning of them says what to do instead."""
    gate.doors.open_door("here", "tcp://127.0.0.1:0", "commands")
    assert gate.doors.beyond == {}
    gate.doors.open_door("commands", "tcp://0.0.0.0:0", "commands")
    gate.doors.open_door("events", "tcp://0.0.0.0:0", "events")
    assert list(gate.doors.beyond) == ["commands", "events"]
    doors.warn_of_reach(gate.doors.beyond)
    (record,) = caplog.records
    for word in ("circusctl keys add", "--ssh", *gate.doors.beyond.values()):
        assert word in record.getMessage()


def test_who_says_nothing_is_let_go(make_gate: Callable[..., Gate]) -> None:
    """A connection without a handshake is closed when the time is over, and so is one that stops half-way."""
    gate = make_gate(greeting_seconds=0.2)
    endpoint = gate.door()
    script = """
for start in (b"", b"\\xff", b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00NULL"):
    s = raw(sys.argv[1]); s.settimeout(5); s.sendall(start)
    while s.recv(1000): pass
"""
    gate.client(script, endpoint).output()
    until(lambda: gate.doors.counters() == {"connections": 0, "accepted": 3, "refused": 3})


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x01\x00",  # ZMTP 1
        b"\xff" + bytes(8) + b"\x7f\x00",
        greeting(b"CURVE"),
        greeting(b"NULL") + b"\x00\x05hello",
        greeting(b"NULL") + b"\x06" + b"\xff" * 8,
        greeting(b"NULL") + b"\x04\x05HELLO",
        greeting(b"NULL") + b"\x04\x0a\x05READY\x08Ide",
    ],
)
def test_what_is_no_handshake_ends_the_connection(gate: Gate, said: bytes) -> None:
    """Bytes that no client of ours sends never reach libzmq."""
    endpoint = gate.door()
    script = "s = raw(sys.argv[1]); s.settimeout(5); s.sendall(bytes.fromhex(sys.argv[2]))\nwhile s.recv(1000): pass"
    gate.client(script, endpoint, said.hex()).output()
    until(lambda: gate.doors.refusals == 1)


def test_old_protocol_is_still_spoken(gate: Gate) -> None:
    """A client of ZMTP 2, byte by byte, is answered."""
    endpoint = gate.door()
    script = """
s = raw(sys.argv[1]); s.settimeout(5)
def exactly(n):
    data = b""
    while len(data) < n:
        data += s.recv(n - len(data))
    return data
for byte in b"\\xff" + bytes(8) + b"\\x7f": s.sendall(bytes([byte]))
assert exactly(10)[0] == 0xff
s.sendall(b"\\x01\\x05")  # version 2.0, DEALER
assert exactly(2)[1] == 6  # ROUTER
s.sendall(b"\\x00\\x02me")
assert exactly(2) == b"\\0\\0"
message = json.dumps({"id": 1, "command": "list"}).encode()
s.sendall(bytes([0, len(message)]) + message)
flags, size = exactly(2)
print(exactly(size).decode())
"""
    assert json.loads(gate.client(script, endpoint).output())["command"] == "list"
    assert gate.requests[0][1].peer == b"me"


def test_nobody_can_pose_as_another(gate: Gate) -> None:
    """Two clients that chose the same identity each get their own answers."""
    endpoint = gate.door()
    script = """
a, b = dealer(sys.argv[1], b"same"), dealer(sys.argv[1], b"same")
a.send(b'{"id": "a", "command": "list"}'); b.send(b'{"id": "b", "command": "list"}')
print(json.loads(a.recv())["id"], json.loads(b.recv())["id"])
"""
    assert gate.client(script, endpoint).output() == "a b\n"
    one, two = (caller for _, caller in gate.requests)
    assert one.peer == two.peer == b"same" and one.connection != two.connection


def test_connections_of_a_user_are_bounded(make_gate: Callable[..., Gate]) -> None:
    """Beyond the bound a connection is closed; when one has ended there is room again."""
    gate = make_gate(per_uid=3)
    endpoint = gate.door()
    script = """
held = [dealer(sys.argv[1]) for _ in range(3)]
for s in held: call(s, "list")
assert raw(sys.argv[1]).recv(100) == b""
held.pop().close()
print("closed", flush=True)
sys.stdin.readline()
call(dealer(sys.argv[1]), "list")
"""
    program = gate.client(script, endpoint)
    assert program.line() == "closed"
    until(lambda: gate.doors.counters()["connections"] == 2)
    program.say("go on")
    program.output()


def test_connections_are_bounded_as_a_whole(make_gate: Callable[..., Gate]) -> None:
    """Beyond the bound of all doors together a connection is closed."""
    gate = make_gate(whole=1)
    commands, events = gate.door(), gate.door("events")
    script = "call(s := dealer(sys.argv[1]), 'list'); assert raw(sys.argv[2]).recv(100) == b''"
    gate.client(script, commands, events).output()
    assert gate.doors.refusals == 1


def test_inherited_connection_has_no_role_by_itself(gate: Gate) -> None:
    """One end of a socket pair is a door of its own: its requests carry no uid, and its end is told."""
    ours, theirs = socket.socketpair()
    connection = gate.doors.adopt(ours, "web")
    script = """
from circusd import zmtp
c = zmtp.Connection(socket.socket(fileno=int(sys.argv[1])), "DEALER"); c.greet(5)
c.send([b'{"id": "x", "command": "whoami", "session": "secret"}'])
print(c.receive(5)[0].decode(), flush=True)
sys.stdin.readline()
"""
    with theirs:
        program = gate.client(script, str(theirs.fileno()), pass_fds=[theirs.fileno()])
        assert json.loads(program.line())["command"] == "whoami"
    ((request, caller),) = gate.requests
    assert (caller.door, caller.uid, caller.role, request.session) == ("web", None, None, "secret")
    assert caller.connection == connection.id
    inner = os.listdir(gate.folder / "inner")
    program.say("end")
    program.output()
    until(lambda: gate.ended == [connection.id])
    until(lambda: len(os.listdir(gate.folder / "inner")) == len(inner) - 1)


def test_end_of_a_killed_client_is_told(gate: Gate) -> None:
    """Also a client that is killed has left, and what is sent to it afterwards is lost, not kept."""
    endpoint = gate.door()
    program = gate.client(
        "call(dealer(sys.argv[1]), 'list'); print(1, flush=True); sys.stdin.readline()", endpoint
    )
    program.line()
    caller = gate.requests[0][1]
    program.process.send_signal(signal.SIGKILL)
    until(lambda: gate.ended == [caller.connection])
    assert caller.send(b"{}") is False


def test_last_words_arrive(gate: Gate) -> None:
    """A client that sends a cast and closes at once is heard."""
    endpoint = gate.door()
    script = """
s = dealer(sys.argv[1]); s.linger = 5000
for n in range(100): s.send(json.dumps({"command": "list", "msg_type": "cast", "properties": {"n": n}}).encode())
s.close(); context.term()
"""
    gate.client(script, endpoint).output()
    until(lambda: [r.properties["n"] for r, _ in gate.requests] == list(range(100)))


def test_file_of_a_dead_daemon_is_replaced(gate: Gate) -> None:
    """A socket's file without a listener is no obstacle, and is removed at the end."""
    path = gate.folder / "commands.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    endpoint = gate.door()
    gate.client("call(dealer(sys.argv[1]), 'list')", endpoint).output()
    gate.doors.close()
    assert not path.exists()


def test_endpoint_in_use_is_refused(gate: Gate, tmp_path: Path) -> None:
    """Where somebody listens, or there is something else, the door does not open and nothing is taken over."""
    with socket.socket(socket.AF_UNIX) as other, socket.socket() as tcp:
        other.bind(str(tmp_path / "used"))
        other.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        (tmp_path / "file").write_text("precious")
        for endpoint in (f"ipc://{tmp_path}/used", f"tcp://127.0.0.1:{tcp.getsockname()[1]}"):
            with pytest.raises(Conflict):
                gate.door(endpoint=endpoint)
        with pytest.raises(ConfigError, match="no socket"):
            gate.door(endpoint=f"ipc://{tmp_path}/file")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    "endpoint",
    ["", "5555", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "http://127.0.0.1:1", "ipc:///" + 108 * "x"],
)
def test_wrong_endpoint_is_told(gate: Gate, endpoint: str) -> None:
    """What is no endpoint, or too long for a unix socket, is refused with a sentence."""
    with pytest.raises(ConfigError):
        gate.door(endpoint=endpoint or "nothing")


def test_thousand_connections_leave_nothing(gate: Gate) -> None:
    """After a thousand connections, clean and killed, there are as many descriptors, and as much memory, as after a hundred."""
    endpoint = gate.door()
    script = """
from circusd import zmtp
request = json.dumps({"id": "x", "command": "list"}).encode()
for n in range(int(sys.argv[2])):
    if n % 10 == 0:
        raw(sys.argv[1]).close()
        continue
    c = zmtp.connect(sys.argv[1], "DEALER", 5)
    c.send([request]); c.receive(5)
    c.close()
"""

    def held() -> int:
        until(lambda: gate.doors.counters()["connections"] == 0)
        until(lambda: gate.controller.connections == {})
        gate.requests.clear()
        gate.ended.clear()
        return len(os.listdir("/proc/self/fd"))

    def connect(times: int) -> None:
        program = gate.client(script, endpoint, str(times))
        program.output(60)
        program.end()

    connect(100)
    descriptors, peak = held(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    connect(1000)
    # libzmq closes its ends in a thread of its own.
    until(lambda: held() <= descriptors)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 4096


def test_door_that_ran_out_of_descriptors_opens_again(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no descriptor left the door rests, and accepts when there are some again."""
    monkeypatch.setattr(doors, "_BREATH_SECONDS", 0.05)
    endpoint = gate.door()
    spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(4)]
    program = gate.client("sys.stdin.readline(); call(dealer(sys.argv[1]), 'list')", endpoint)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
    try:
        program.say("go")
        while True:
            try:
                spare.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        gevent.sleep(0.3)
        assert gate.requests == []
    finally:
        for fd in spare:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    program.output()
