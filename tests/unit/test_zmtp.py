"""ZMTP from the standard library, held against libzmq and against peers that misbehave."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from circusd import zmtp
from circusd.schema.errors import ProtocolError, TimedOut, Unavailable

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"


Bind = Callable[[int], tuple[zmq.Socket[bytes], str]]


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    """Makes sockets of libzmq that listen: the socket and its endpoint."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def listen(kind: int) -> tuple[zmq.Socket[bytes], str]:
        listener = context.socket(kind)
        made.append(listener)
        listener.setsockopt(zmq.HEARTBEAT_IVL, 20)
        listener.setsockopt(zmq.HEARTBEAT_TIMEOUT, 200)
        endpoint = f"ipc://{tmp_path}/{len(made)}" if len(made) % 2 else "tcp://127.0.0.1:*"
        listener.bind(endpoint)
        return listener, listener.getsockopt_string(zmq.LAST_ENDPOINT)

    yield listen
    for listener in made:
        listener.close(0)
    context.term()


@contextmanager
def talking_to(*said: bytes, then_close: bool = False) -> Iterator[tuple[zmtp.Connection, socket.socket]]:
    """A DEALER connection whose peer has said these bytes."""
    ours, theirs = socket.socketpair()
    for data in said:
        theirs.sendall(data)
    if then_close:
        theirs.shutdown(socket.SHUT_WR)
    connection = zmtp.Connection(ours, "DEALER", where="the peer")
    try:
        yield connection, theirs
    finally:
        connection.close()
        theirs.close()


@pytest.mark.parametrize("transport", [0, 1])
def test_a_dealer_talks_with_a_router_of_libzmq(bind: Bind, transport: int) -> None:
    """Messages of one and of several frames, short and long, arrive whole in both directions."""
    for _ in range(transport):
        bind(zmq.PAIR)
    router, endpoint = bind(zmq.ROUTER)
    connection = zmtp.connect(endpoint, "DEALER", 5)
    try:
        for frames in ([b"a"], [b""], [b"x" * 255], [b"y" * 256, b"", b"z" * 300_000]):
            connection.send(frames, 5)
            peer, *received = router.recv_multipart()
            assert received == frames
            router.send_multipart([peer, *frames])
            assert connection.receive(5) == frames
    finally:
        connection.close()


def test_a_sub_gets_only_what_it_asked_for(bind: Bind) -> None:
    """A subscription reaches an XPUB of libzmq, and other topics do not come."""
    publisher, endpoint = bind(zmq.XPUB)
    connection = zmtp.connect(endpoint, "SUB", 5)
    try:
        connection.subscribe(["watcher.web."], 5)
        assert publisher.recv() == b"\x01watcher.web."
        publisher.send_multipart([b"watcher.db.start", b"{}"])
        publisher.send_multipart([b"watcher.web.start", b"{}"])
        assert connection.receive(5) == [b"watcher.web.start", b"{}"]
    finally:
        connection.close()


def test_a_ping_of_libzmq_is_answered(bind: Bind) -> None:
    """A router that drops peers which do not answer its heartbeats keeps this one."""
    router, endpoint = bind(zmq.ROUTER)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    connection = zmtp.connect(endpoint, "DEALER", 5)
    try:
        connection.send([b"hello"], 5)
        peer = router.recv_multipart()[0]
        with pytest.raises(TimedOut):
            connection.receive(0.6)
        router.send_multipart([peer, b"still there"])
        assert connection.receive(5) == [b"still there"]
    finally:
        connection.close()


def test_a_ping_gets_its_own_context_back() -> None:
    """The bytes after the time to live come back in the PONG, and the message behind the PING is delivered."""
    ping = zmtp.encode_frame(b"\x04PING\x00\x64" + b"sixteen bytes ok", command=True)
    with talking_to(GREETING, READY, ping, b"\x00\x02hi") as (connection, peer):
        connection.greet(5)
        assert connection.receive(5) == [b"hi"]
        sent = peer.recv(4096)
        assert sent.endswith(b"\x04\x15\x04PONGsixteen bytes ok")


@pytest.mark.parametrize(("kind", "peer"), [("SUB", zmq.ROUTER), ("DEALER", zmq.XPUB), ("DEALER", zmq.PUB)])
def test_the_wrong_endpoint_is_named(bind: Bind, kind: str, peer: int) -> None:
    """Whoever mixes up the endpoints of commands and events is told so at once."""
    _, endpoint = bind(peer)
    with pytest.raises((zmtp.WrongPeer, Unavailable)) as caught:
        zmtp.connect(endpoint, kind, 5).close()
    if isinstance(caught.value, zmtp.WrongPeer):
        assert "endpoint of" in str(caught.value)


def test_nothing_but_the_greeting_is_said_before_the_peer_speaks() -> None:
    """A peer that refuses by closing has learned nothing, and the refusal says who is obeyed."""
    with talking_to(then_close=True) as (connection, peer):
        with pytest.raises(Unavailable, match="obeys only the user it runs as"):
            connection.greet(5)
        assert peer.recv(4096) == GREETING


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".ljust(64), "does not speak ZMTP 3"),
        (GREETING.replace(b"NULL\0", b"CURVE"), "CURVE"),
        (GREETING[:10] + b"\x01" + GREETING[11:], "does not speak ZMTP 3"),
        (GREETING + b"\x04\x0c\x05ERROR\x05wrong", "refused the connection: wrong"),
        (GREETING + b"\x00\x02hi", "READY"),
        (GREETING + b"\x04\x0d\x05READY\x06foobar", "cut off"),
        (GREETING + b"\x06\x00\x00\x00\x01\x00\x00\x00\x00", "longer than"),
        (GREETING + b"\x08\x00", "no frame of ZMTP 3"),
    ],
)
def test_a_peer_that_breaks_the_handshake_is_refused(said: bytes, told: str) -> None:
    """What is no ZMTP, asks for another mechanism, or is cut off ends in a ProtocolError that says so."""
    with (
        talking_to(said, then_close=True) as (connection, _),
        pytest.raises(ProtocolError, match=told),
    ):
        connection.greet(5)


@pytest.mark.parametrize(
    "said",
    [
        b"\x02" + (1 << 40).to_bytes(8, "big"),
        b"\x01\x00" * 65 + b"\x00\x00",
        b"\xff\xff",
        b"\x05\x00",
    ],
)
def test_a_message_beyond_the_limits_is_refused(said: bytes) -> None:
    """Neither a size nor a number of frames makes this side keep what it does not want."""
    with talking_to(GREETING, READY, said) as (connection, _):
        connection.greet(5)
        with pytest.raises(ProtocolError):
            connection.receive(5)


def test_a_time_out_loses_nothing() -> None:
    """A message that came in part before a time-out is whole after it."""
    with talking_to(GREETING, READY, b"\x00\x05he") as (connection, peer):
        connection.greet(5)
        with pytest.raises(TimedOut):
            connection.receive(0.01)
        peer.sendall(b"llo")
        assert connection.receive(5) == [b"hello"]


def test_a_full_pipe_is_a_time_out_and_the_rest_follows() -> None:
    """What the peer did not take in time goes out before the next message, so that the frames stay in step."""
    with talking_to(GREETING, READY) as (connection, peer):
        connection.greet(5)
        with pytest.raises(TimedOut):
            connection.send([b"x" * 5_000_000], 0.05)
        got = bytearray()

        def read() -> None:
            while len(got) < 5_000_000 + 12 + 64:
                got.extend(peer.recv(1 << 20))

        reader = threading.Thread(target=read)
        reader.start()
        connection.send([b"y"], 5)
        reader.join(5)
        assert got.endswith(b"xx\x00\x01y")


def test_the_end_of_the_connection_is_told() -> None:
    """A peer that goes away while an answer is waited for is Unavailable, not a time-out."""
    with talking_to(GREETING, READY, then_close=True) as (connection, _):
        connection.greet(5)
        assert connection.at_end()
        with pytest.raises(Unavailable, match="closed the connection"):
            connection.receive(5)


def test_a_shut_down_wakes_who_reads() -> None:
    """Another thread can end a wait without a time limit."""
    with talking_to(GREETING, READY) as (connection, _):
        connection.greet(5)
        told: list[Exception] = []

        def read() -> None:
            try:
                connection.receive()
            except Unavailable as problem:
                told.append(problem)

        reader = threading.Thread(target=read)
        reader.start()
        connection.shut_down()
        reader.join(5)
        assert told


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("ipc:///nonexistent/socket", "there is no such socket"),
        ("ipc:///" + "d" * 200, "107 bytes"),
        ("tcp://127.0.0.1:1", "nothing listens there"),
        ("tcp://127.0.0.1", "is not an endpoint"),
        ("tcp://127.0.0.1:x", "is not an endpoint"),
        ("inproc://x", "is not an endpoint"),
        ("", "is not an endpoint"),
    ],
)
def test_an_endpoint_where_nobody_is_says_what_was_tried(endpoint: str, told: str) -> None:
    """The error names the endpoint and the reason."""
    with pytest.raises(Unavailable, match=told):
        zmtp.connect(endpoint, "DEALER", 5)


def test_a_socket_of_somebody_else_says_whose_it_is(tmp_path: Path) -> None:
    """By its file, or the closed folder above it that is all one can see."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    for path in (tmp_path, tmp_path / "closed" / "commands.sock"):
        advice = zmtp._advice(PermissionError(), f"ipc://{path}")
        assert advice == (
            "it is root's: use sudo" if me == "root" else f"it is {me}'s: run as {me}, or as root"
        )
    assert "daemon's user" in zmtp._advice(PermissionError(), "tcp://127.0.0.1:1")


def test_a_daemon_that_hangs_up_at_once_says_whom_it_obeys(tmp_path: Path) -> None:
    """Who listens at a unix socket is known, though not a byte was said."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        client = zmtp.Connection(zmtp.dial(f"ipc://{path}"), "DEALER", where="x")
        server.accept()[0].close()
        with pytest.raises(Unavailable) as told:
            client.greet(5)
        client.close()
    assert pwd.getpwuid(os.geteuid()).pw_name in told.value.hint
    assert "and root" in told.value.hint


def test_everywhere_means_this_machine() -> None:
    """An endpoint as a daemon's file has it, bound to all interfaces, can be connected to as it stands."""
    for endpoint in ("tcp://0.0.0.0:5555", "tcp://*:5555"):
        assert zmtp.resolve(endpoint)[0][1] == ("127.0.0.1", 5555)


def test_a_patched_process_waits_without_stopping_the_others(tmp_path: Path) -> None:
    """In a process that gevent has patched, other greenlets run while one waits for a message."""
    program = f"""
from gevent import monkey; monkey.patch_all()
import gevent, zmq.green as zmq
from circusd import zmtp
context = zmq.Context(); router = context.socket(zmq.ROUTER); router.bind("ipc://{tmp_path}/r")
def serve():
    peer, text = router.recv_multipart()
    gevent.sleep(0.05)
    router.send_multipart([peer, text * 2])
server = gevent.spawn(serve)
connection = zmtp.connect("ipc://{tmp_path}/r", "DEALER", 5)
connection.send([b"ab"], 5)
assert connection.receive(5) == [b"abab"]
server.get(); connection.close(); context.destroy(linger=0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@given(st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=5), max_size=6), st.integers(1, 700))
def test_frames_do_not_depend_on_how_the_bytes_were_cut(messages: list[list[bytes]], step: int) -> None:
    """The same messages come out whatever pieces the stream came in."""
    stream = b"".join(zmtp.encode_message(frames) for frames in messages)
    decoder = zmtp.Decoder()
    out: list[list[bytes]] = [[]]
    for start in range(0, len(stream), step):
        decoder.feed(stream[start : start + step])
        for flags, body in decoder.frames():
            out[-1].append(body)
            if not flags & 1:
                out.append([])
    assert out[:-1] == messages


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    """Whatever a peer sends is frames, not yet enough, or a ProtocolError."""
    decoder = zmtp.Decoder(limit=1000)
    decoder.feed(data)
    try:
        assert sum(len(body) for _, body in decoder.frames()) <= len(data)
    except ProtocolError:
        return
