"""Peers on other machines: who comes in by a key, who does not, and that strangers cost nothing that lasts.

That a peer comes from elsewhere is told here by a replaced question; tests/e2e/test_keys.py has a network for it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.green

from circusd.kernel import files
from circusd.runtime import doors, far, keyring
from circusd.runtime.curvehandshake import GREETING
from circusd.runtime.far import Far
from circusd.schema.errors import BadRequest, Conflict, Failed, NotFound
from tests.gate import Gate, Program, answer, until

FAR = """
server, public, secret = (word.encode() for word in sys.argv[2:5])

def armed(sock, server=server, public=public, secret=secret):
    sock.curve_serverkey, sock.curve_publickey, sock.curve_secretkey = server, public, secret
    return sock

def far(kind, endpoint=sys.argv[1], **more):
    sock = armed(context.socket(kind), **more)
    sock.linger = 0
    sock.rcvtimeo = 5000
    sock.connect(endpoint)
    return sock

def lost(sock):
    # Whether the connection ends, and is not made anew within the time.
    monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
    return bool(monitor.poll(8000))
"""


class There:
    """Doors that take every peer for one on another machine, with keys."""

    def __init__(self, gate: Gate, context: zmq.green.Context[Any], **bounds: Any) -> None:
        self.gate = gate
        self.context = context
        self.far = Far(context, "circus", partial(gate.doors.drop, block=False), **bounds)
        gate.doors.far = self.far
        self.endpoint = gate.door(endpoint="tcp://127.0.0.1:0")
        self.pairs: dict[str, tuple[str, str]] = {}

    def key(self, name: str, role: str = "operator") -> tuple[str, str]:
        """The public and the secret key of a client that may come in."""
        public, secret = (half.decode() for half in zmq.curve_keypair())
        self.far.keyring.add(name, role, public, "root", 1e9)
        self.pairs[name] = public, secret
        return public, secret

    def client(self, script: str, *pair: str, endpoint: str = "", **options: Any) -> Program:
        """A client in a process of its own, with that pair."""
        words = (endpoint or self.endpoint, self.far.keyring.server, *pair)
        return self.gate.client(FAR + script, *words, **options)

    @property
    def reasons(self) -> list[str]:
        """Why who was not let in was not, each once."""
        return list(dict.fromkeys(refusal.reason for refusal in self.gate.refusals))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CIRCUS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state" / "circus"


@pytest.fixture
def make_there(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., There]]:
    monkeypatch.setattr(doors, "_is_of_this_machine", lambda sock, address: False)
    context = zmq.green.Context()
    made: list[There] = []

    def make(**bounds: Any) -> There:
        gate = Gate(tmp_path, answer)
        gate.open(context)
        made.append(There(gate, context, **bounds))
        return made[-1]

    yield make
    for there in made:
        there.gate.close()
        there.far.close()
    context.destroy(linger=0)


@pytest.fixture
def there(make_there: Callable[..., There]) -> There:
    return make_there()


# -- who comes in -----------------------------------------------------------------------------------------------------


def test_who_has_a_key_is_known_by_it(there: There) -> None:
    """An unmodified client of libzmq: role and name are the key's, the address is its own, the identity what it chose."""
    pair = there.key("laptop")
    there.client(
        """
sock = armed(context.socket(zmq.DEALER))
sock.setsockopt(zmq.IDENTITY, b"me")
sock.linger, sock.rcvtimeo = 0, 5000
sock.connect(sys.argv[1])
assert call(sock, "list", at="once")["properties"] == {"at": "once"}
assert call(far(zmq.DEALER), "list", id="x")["id"] == "x"
""",
        *pair,
    ).output()
    (_, first), (_, second) = there.gate.requests
    assert (first.uid, first.role, first.key, first.peer) == (None, "operator", "laptop", b"me")
    assert first.address.startswith("127.0.0.1:")
    assert second.peer == second.identity != first.identity
    until(lambda: there.gate.doors.counters()["connections"] == 0)
    assert there.gate.refusals == []


def test_long_messages_come_through_in_their_order(there: There) -> None:
    """Requests and replies of any size, many on one connection; what lies here for a peer is counted as it is on the wire."""
    pair = there.key("laptop")
    program = there.client(
        """
sock = far(zmq.DEALER)
for n in range(300):
    sock.send(json.dumps({"id": n, "command": "list", "properties": {"x": "y" * (n * 997 % 50000)}}).encode())
for n in range(300):
    reply = json.loads(sock.recv())
    assert (reply["id"], len(reply["properties"]["x"])) == (n, n * 997 % 50000)
print("all", flush=True)
sys.stdin.readline()
""",
        *pair,
    )
    assert program.line() == "all"
    (connection,) = there.gate.controller.connections.values()
    assert connection.queued == 0
    assert connection.passed == connection.sent
    program.say("end")
    program.output()


def test_subscribers_come_in_too(there: There) -> None:
    """Each channel is told to who subscribes with a key, and wanted only as long; others hear the same."""
    pair = there.key("screen", "viewer")
    events = there.gate.door("events", "tcp://127.0.0.1:0")
    publisher = there.gate.publisher
    assert not publisher.wanted("events", "watcher.web.spawn")
    program = there.client(
        """
sock = far(zmq.SUB)
sock.setsockopt(zmq.SUBSCRIBE, b"watcher.")
print(sock.recv_multipart(), flush=True)
sys.stdin.readline()
sock.setsockopt(zmq.UNSUBSCRIBE, b"watcher.")
sys.stdin.readline()
""",
        *pair,
        endpoint=events,
    )
    until(lambda: publisher.wanted("events", "watcher.web.spawn"))
    publisher.publish("events", "other.", b"{}")
    publisher.publish("events", "watcher.web.spawn", b'{"pid":1}')
    assert program.line() == str([b"watcher.web.spawn", b'{"pid":1}'])
    assert there.far.connections() == {"screen": [next(iter(there.far.connections()["screen"]))]}
    program.say("unsubscribe")
    until(lambda: not publisher.wanted("events", "watcher.web.spawn"))
    program.say("end")
    program.output()
    until(lambda: there.far.connections() == {})


def test_a_subscriber_that_goes_is_forgotten(there: There) -> None:
    """Killed while it is subscribed, it leaves nothing that somebody would be thought to want."""
    pair = there.key("screen", "viewer")
    events = there.gate.door("events", "tcp://127.0.0.1:0")
    program = there.client(
        "sock = far(zmq.SUB); sock.setsockopt(zmq.SUBSCRIBE, b''); sys.stdin.readline()",
        *pair,
        endpoint=events,
    )
    until(lambda: there.gate.publisher.wanted("events", "x"))
    program.process.kill()
    until(lambda: not there.gate.publisher.wanted("events", "x"))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("sock = dealer(sys.argv[1])", "it comes from another machine, and without a key"),
        (
            "sock = context.socket(zmq.DEALER); sock.linger = 0; sock.plain_username = b'root'; sock.connect(sys.argv[1])",
            "it comes from another machine, and without a key",
        ),
        (
            "p, s = zmq.curve_keypair(); sock = far(zmq.DEALER, public=p, secret=s)",
            "its key is not known",
        ),
        (
            "p, s = zmq.curve_keypair(); sock = far(zmq.DEALER, server=p)",
            "its handshake is not for the key of this daemon",
        ),
    ],
    ids=["no key", "a password", "an unknown key", "another server"],
)
def test_who_has_no_such_key_is_not_heard(there: There, script: str, told: str) -> None:
    """Whatever is wrong with it is told here, and no request of it arrives."""
    pair = there.key("laptop")
    program = there.client(f"{script}\nassert lost(sock)", *pair)
    until(lambda: told in there.reasons, within=15)
    program.output()
    assert there.gate.requests == []
    assert there.reasons == [told]


def test_without_keys_nobody_is_greeted(there: There) -> None:
    """As before there were any: closed without a byte, and nothing is made for it."""
    there.gate.client("assert raw(sys.argv[1]).recv(100) == b''", there.endpoint).output()
    assert there.reasons == ["it comes from another machine"]


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_cut_off_at_once(there: There) -> None:
    """Its connections of all channels end, it does not come in again, and others are not touched."""
    pair, other = there.key("laptop"), there.key("desk")
    events = there.gate.door("events", "tcp://127.0.0.1:0")
    script = "sock = far(zmq.DEALER); call(sock, 'list'); print('in', flush=True); assert lost(sock)"
    cut = there.client(script, *pair)
    heard = there.client(
        "sock = far(zmq.SUB); sock.setsockopt(zmq.SUBSCRIBE, b'e'); print('in', flush=True); assert lost(sock)",
        *pair,
        endpoint=events,
    )
    stays = there.client(
        "sock = far(zmq.DEALER); call(sock, 'list'); print('in', flush=True)\n"
        "sys.stdin.readline(); call(sock, 'list', id='again')",
        *other,
    )
    for program in (cut, heard, stays):
        assert program.line() == "in"
    until(lambda: there.gate.publisher.wanted("events", "event"))
    assert there.far.keyring.remove("laptop") == 2
    cut.output()
    heard.output()
    there.client("assert lost(far(zmq.DEALER))", *pair).output()
    assert there.reasons == ["its key is not known"]
    stays.say("go on")
    stays.output()


def test_keys_outlive_the_daemon(there: There, state: Path) -> None:
    """The pair of the server and the keys are in one file, which is its owner's alone, and count again after a restart."""
    public, _ = there.key("laptop", "viewer")
    path = state / files.KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = keyring.Keyring("circus", lambda name: 0)
    again.read()
    assert [(key.name, key.role, key.public) for key in again.keys] == [("laptop", "viewer", public)]
    assert (again.server, again.secret) == (there.far.keyring.server, there.far.keyring.secret)
    assert again.find(keyring.raw(public)) == again.keys[0]
    assert again.remove("laptop") == 0
    again.close()
    third = keyring.Keyring("circus", lambda name: 0)
    third.read()
    assert (third.keys, third.server) == ((), there.far.keyring.server)
    third.close()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.chmod(0o640), "others may read it (mode 0640)"),
        (lambda path: path.write_bytes(b"{"), "it is no JSON"),
        (lambda path: path.write_bytes(b'{"version":2}'), "its version is not 1"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"viewer", b"master")), "has no role"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "symbolic links"),
    ],
    ids=["open to others", "no JSON", "another version", "an unknown role", "a link"],
)
def test_a_doubtful_file_lets_nobody_in(
    there: There, state: Path, spoil: Callable[[Path], object], told: str
) -> None:
    """It is told, no key counts, and the file is not written over."""
    public, _ = there.key("laptop", "viewer")
    spoil(state / files.KEYS)
    before = (state / files.KEYS).read_bytes()
    again = Far(there.context, "circus", lambda connection: None)
    with pytest.raises(Failed, match=r"keys\.json in the state folder") as failed:
        again.keyring.read()
    assert told in str(failed.value) and told in again.keyring.problem
    with pytest.raises(Failed):
        again.keyring.add("other", "admin", public, "root", 1.0)
    assert not again.is_open
    assert (state / files.KEYS).read_bytes() == before
    again.close()


def test_what_can_not_be_written_does_not_count(there: There, state: Path) -> None:
    """A key that the disk does not take is not let in; one that it does not give up is not either, and that is told."""
    there.key("laptop")
    path = state / files.KEYS
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(Failed):
        there.key("other")
    assert [key.name for key in there.far.keyring.keys] == ["laptop"]
    with pytest.raises(Failed, match="may be after a restart"):
        there.far.keyring.remove("laptop")
    assert there.far.keyring.keys == ()
    (path / "in the way").unlink()
    path.rmdir()
    path.write_bytes(kept)


def test_names_and_keys_are_checked(there: There) -> None:
    """A name or key that is taken or is none is refused, with what to do."""
    public, _ = there.key("laptop")
    ring = there.far.keyring
    fresh = zmq.curve_keypair()[0].decode()
    with pytest.raises(Conflict, match="circusctl keys rm laptop"):
        ring.add("laptop", "viewer", fresh, "root", 1.0)
    with pytest.raises(Conflict, match="known already, as laptop"):
        ring.add("other", "viewer", public, "root", 1.0)
    with pytest.raises(Conflict, match="of circusd itself"):
        ring.add("other", "viewer", ring.server, "root", 1.0)
    for name in ("", "../x", "a b", "-x", "x" * 65, "é", "a\n"):
        with pytest.raises(BadRequest, match="name of a key"):
            ring.add(name, "viewer", fresh, "root", 1.0)
    for bad in ("", "short", "x" * 41, "~" * 40, "'" * 40, "#" * 40, "é" * 40):
        with pytest.raises(BadRequest, match="no public key"):
            ring.add("other", "viewer", bad, "root", 1.0)
    with pytest.raises(NotFound, match="did you mean laptop"):
        ring.remove("laptpo")


# -- bounds -----------------------------------------------------------------------------------------------------------


def descriptors() -> int:
    """How many there are, without the pipes to the programs of a test."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += not os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")
    return found


def test_a_thousand_half_open_handshakes_cost_nothing(there: There) -> None:
    """Few of one address are waited for, the others are closed at once; who has a key gets in from another one meanwhile."""
    pair = there.key("laptop")
    before = descriptors()
    program = there.gate.client(
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for n in range(1000):
    sock = raw(sys.argv[1])
    sock.sendall((b"", b"\\xff", bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[2])[:20])[n % 4])
    held.append(sock)
print("held", flush=True)
sys.stdin.readline()
""",
        there.endpoint,
        GREETING.hex(),
    )
    assert program.line(within=30) == "held"
    until(lambda: there.gate.doors.counters()["accepted"] + there.gate.doors.refusals >= 1000, within=20)
    assert there.gate.doors.counters()["connections"] <= far.HANDSHAKES_PER_ADDRESS
    assert descriptors() - before <= 3 * far.HANDSHAKES_PER_ADDRESS
    # From elsewhere: the bounds of an address are its own.
    elsewhere = "sock = armed(context.socket(zmq.DEALER)); sock.linger, sock.rcvtimeo = 0, 5000\n"
    elsewhere += "sock.connect(sys.argv[1].replace('tcp://', 'tcp://127.0.0.9:0;')); call(sock, 'list')"
    there.client(elsewhere, *pair).output()
    assert len(there.gate.requests) == 1
    program.end()
    until(lambda: there.gate.doors.counters()["connections"] == 0)
    assert len(there.gate.refusals) <= 20


def test_handshakes_that_wait_make_room_for_others(
    make_there: Callable[..., There], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When many addresses hold one open, the oldest is ended: nobody is kept out by those who wait."""
    monkeypatch.setattr(far, "HANDSHAKES", 4)
    there = make_there()
    pair = there.key("laptop")
    holder = there.gate.client(
        """
held = []
for n in range(20):
    sock = socket.socket()
    sock.bind((f"127.0.0.{50 + n}", 0))
    sock.connect(("127.0.0.1", int(sys.argv[1].rpartition(":")[2])))
    held.append(sock)
print("held", flush=True)
sys.stdin.readline()
ended = 0
for sock in held:
    sock.settimeout(0.2)
    try:
        ended += sock.recv(100) == b""
    except TimeoutError:
        pass
print(ended)
""",
        there.endpoint,
    )
    assert holder.line() == "held"
    until(lambda: there.gate.doors.accepted == 20 and there.gate.doors.counters()["connections"] == 4)
    there.client("assert call(far(zmq.DEALER), 'list')", *pair).output()
    holder.say("look")
    assert holder.output() == "17\n"
    assert there.reasons == ["others have come while it showed no key"]


def test_who_tries_without_end_is_not_listened_to(make_there: Callable[..., There]) -> None:
    """An address that shows no key again and again is closed before a greeting; its tries come back with the time."""
    there = make_there(tries=5)
    pair = there.key("laptop")
    script = """
for n in range(30):
    sock = raw(sys.argv[1]); sock.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    try:
        while sock.recv(100): pass
    except ConnectionResetError:
        pass
"""
    there.gate.client(script, there.endpoint).output()
    assert there.reasons == [
        "what connected does not speak ZMTP 3",
        "too many from its address have shown no key",
    ]
    there.client("assert call(far(zmq.DEALER), 'list')", *pair).output()


GARBAGE = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x01\x00",
    bytes(64),
    GREETING[:10] + b"\x00" + GREETING[11:],
    GREETING + b"\x04\xc8\x05HELLO\x01\x00" + bytes(193),
    GREETING + b"\x04\xc8\x05HELLO\x02\x00" + bytes(193),
    GREETING + b"\x04\x05READY",
    GREETING + b"\x06" + b"\xff" * 8,
    GREETING + b"\x00\xff" * 40000,
    GREETING + os.urandom(202),
    GREETING
    + b"\x04\xc8\x05HELLO\x01\x00"
    + os.urandom(193)
    + b"\x06\x00\x00\x00\x00\x00\x00\xff\xff\x08INITIATE",
    GREETING + b"\x04\xc8\x05HELLO\x01\x00" + os.urandom(193) + b"\x04\x20\x08INITIATE" + os.urandom(5000),
]


def test_garbage_ends_its_own_connection(make_there: Callable[..., There]) -> None:
    """Whatever comes instead of a handshake, whole or cut: the connection ends, no descriptor is left, others go on."""
    there = make_there(seconds=0.5, tries=1e9)
    pair = there.key("laptop")
    steady = there.client(
        "sock = far(zmq.DEALER); print(call(sock, 'list')['command'], flush=True)\n"
        "sys.stdin.readline(); print(call(sock, 'list', id='2')['command'])",
        *pair,
    )
    assert steady.line() == "list"
    before = descriptors()
    program = there.gate.client(
        """
for said in map(bytes.fromhex, sys.stdin.readline().split()):
    for cut in (len(said), 11, 65, 150):
        sock = raw(sys.argv[1]); sock.settimeout(10)
        try:
            sock.sendall(said[:cut])
            while sock.recv(65536): pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        sock.close()
""",
        there.endpoint,
    )
    program.say(" ".join(said.hex() for said in GARBAGE))
    program.output(within=60)
    until(lambda: there.gate.doors.counters()["connections"] == 1)
    until(lambda: descriptors() <= before)
    steady.say("go on")
    steady.output()
    assert len(there.gate.requests) == 2


def test_a_key_has_so_many_connections(there: There) -> None:
    """What is beyond is refused by name; the first ones stay."""
    pair = there.key("laptop")
    program = there.client(
        f"""
socks = []
for n in range({far.PER_KEY}):
    sock = armed(context.socket(zmq.DEALER)); sock.linger, sock.rcvtimeo = 0, 5000
    sock.connect(sys.argv[1].replace("tcp://", f"tcp://127.0.1.{{n + 1}}:0;"))
    call(sock, "list", id=str(n))
    socks.append(sock)
more = armed(context.socket(zmq.DEALER)); more.linger = 0
more.connect(sys.argv[1].replace("tcp://", "tcp://127.0.2.1:0;"))
assert lost(more)
assert all(call(sock, "list", id="again") for sock in socks)
""",
        *pair,
    )
    program.output(within=40)
    assert there.reasons == [f"its key has {far.PER_KEY} connections already"]


def test_a_subscriber_is_bounded(there: There) -> None:
    """With more topics than it may have its connection ends, and nothing of them is left."""
    pair = there.key("screen", "viewer")
    events = there.gate.door("events", "tcp://127.0.0.1:0")
    there.client(
        "sock = armed(context.socket(zmq.SUB)); sock.linger, sock.sndhwm = 0, 0; sock.connect(sys.argv[1])\n"
        "for n in range(1500): sock.setsockopt(zmq.SUBSCRIBE, b't%d' % n)\n"
        "assert lost(sock)\nsock.close()",
        *pair,
        endpoint=events,
    ).output()
    until(lambda: there.gate.publisher.entrance("events").prefixes == ())


def test_who_does_not_read_loses_what_is_beyond_the_bound(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies for a peer that takes none are kept up to a bound of bytes, pings or not; others are answered."""
    from circusd.runtime import controller

    monkeypatch.setattr(controller, "QUEUED_LIMIT_BYTES", 1 << 20)
    pair = there.key("laptop")
    program = there.client(
        """
sock = armed(context.socket(zmq.DEALER))
sock.linger, sock.rcvhwm, sock.rcvbuf = 0, 1, 4096
sock.connect(sys.argv[1])
for n in range(40):
    sock.send(json.dumps({"id": n, "command": "list", "properties": {"x": "y" * 500000}}).encode())
print("sent", flush=True)
sys.stdin.readline()
""",
        *pair,
    )
    assert program.line() == "sent"
    until(lambda: len(there.gate.requests) == 40, within=20)
    until(lambda: there.gate.controller.lost > 0)
    (connection,) = there.gate.controller.connections.values()
    assert connection.queued <= 1 << 20
    there.client("assert call(far(zmq.DEALER), 'list')", *pair).output()
    program.end()


TAMPERED = """
import threading

def relay(at):
    # The endpoint of a wire on which one byte of what the client says, or what is behind it, is another one.
    listener = socket.create_server(("127.0.0.1", 0))
    def copy(source, target, at):
        passed = 0
        try:
            while data := source.recv(65536):
                if at is not None and passed <= at < passed + len(data):
                    data = bytearray(data)
                    data[at - passed] ^= 0x55
                passed += len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    def carry():
        near, _ = listener.accept()
        far_end = raw(sys.argv[1])
        threading.Thread(target=copy, args=(far_end, near, None), daemon=True).start()
        copy(near, far_end, at)
    threading.Thread(target=carry, daemon=True).start()
    return "tcp://127.0.0.1:%d" % listener.getsockname()[1]
"""


def test_what_was_changed_on_its_way_is_no_request(make_there: Callable[..., There]) -> None:
    """A byte of the greeting, of each step of the handshake or of a request: the connection ends, and others go on."""
    there = make_there(tries=1e9)
    pair = there.key("laptop")
    # In the greeting: signature and mechanism. Then HELLO, INITIATE (its size, its name, its box), the first request.
    places = (0, 14, 64, 70, 150, 260, 268, 276, 400, 540, 567, 570, 590, 610)
    program = there.client(
        TAMPERED
        + f"""
for at in {places}:
    sock = armed(context.socket(zmq.DEALER))
    sock.linger, sock.rcvtimeo, sock.reconnect_ivl = 0, 5000, -1
    monitor = sock.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    sock.connect(relay(at))
    sock.send(json.dumps({{"id": "1", "command": "list", "properties": {{"x": "y" * 100}}}}).encode())
    assert monitor.poll(8000), at
    assert not sock.poll(0), at
    sock.disable_monitor()
    sock.close()
assert call(far(zmq.DEALER), "list")
""",
        *pair,
    )
    program.output(within=60)
    assert len(there.gate.requests) == 1
