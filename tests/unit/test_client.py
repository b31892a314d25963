"""The client: which daemon is meant, replies and refusals, many callers on one connection, streams with credit."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from circusd import client as client_module
from circusd.client import Client, find_endpoint, subscribe
from circusd.kernel import files
from circusd.schema.errors import CircusError, ProtocolError, Refused, TimedOut, Unavailable
from tests.scripted import scripted_daemon
from tests.waiting import eventually


@contextmanager
def listening(path: Path) -> Iterator[str]:
    """A unix socket that takes connections."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"ipc://{path}"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of this test alone, with nothing in it; nothing listens where the original does."""
    folder = tmp_path / "circus"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(client_module, "runtime_bases", lambda environ, uid: [str(folder)])
    monkeypatch.setattr(client_module, "ORIGINAL_ENDPOINT", f"ipc://{tmp_path}/original")
    return folder


def test_the_variable_names_the_endpoint(base: Path) -> None:
    """CIRCUSCTL_ENDPOINT is taken as it stands, as with the original."""
    assert find_endpoint(environ={"CIRCUSCTL_ENDPOINT": "tcp://10.0.0.1:5555"}) == "tcp://10.0.0.1:5555"


def test_the_only_daemon_is_found(base: Path) -> None:
    """One that runs is meant; a folder that a dead one left does not count."""
    with listening(base / "dead" / "commands.sock"):
        pass
    with listening(base / "web" / "commands.sock") as endpoint:
        assert find_endpoint(environ={}) == endpoint


def test_several_daemons_are_listed(base: Path) -> None:
    """Where a choice is to be made, the error has the names, and a name makes it."""
    with listening(base / "one" / "commands.sock"), listening(base / "two" / "commands.sock") as two:
        with pytest.raises(Unavailable, match=r"one, two.*--name"):
            find_endpoint(environ={})
        assert find_endpoint("two", {}) == two
        with pytest.raises(Unavailable, match=r"no daemon named 'three'.*one, two"):
            find_endpoint("three", {})


def test_the_original_endpoint_is_the_last_try(base: Path, tmp_path: Path) -> None:
    """A daemon of an old file, at the original's endpoint, is found without a word."""
    with pytest.raises(Unavailable, match="no daemon runs"):
        find_endpoint(environ={})
    with listening(tmp_path / "original") as endpoint:
        assert find_endpoint(environ={}) == endpoint


def test_a_folder_that_others_can_write_is_not_trusted(base: Path) -> None:
    """A socket that somebody else may have put there gets no commands."""
    with listening(base / "web" / "commands.sock"):
        base.chmod(0o777)
        with pytest.raises(Unavailable):
            find_endpoint(environ={})


@pytest.mark.parametrize(
    "environ", [{}, {"XDG_RUNTIME_DIR": "/run/user/7"}, {"CIRCUS_RUNTIME_DIR": "/somewhere"}]
)
@pytest.mark.parametrize("uid", [0, 7])
def test_daemons_are_looked_for_where_they_are_made(
    environ: dict[str, str], uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client knows the same folders as the daemon, which makes them."""
    for name in ("XDG_RUNTIME_DIR", "CIRCUS_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert client_module.runtime_bases(environ, uid) == files.runtime_bases()


def test_a_reply_comes_whole(tmp_path: Path) -> None:
    """The envelope is the original's, and a status in the payload is no error."""
    with scripted_daemon(tmp_path, lambda request: {"status": "active"}) as daemon:
        with Client(daemon.endpoint, session="secret") as client:
            assert client.call("status", {"name": "web"})["status"] == "active"
        (request,) = daemon.requests
        assert request["properties"] == {"name": "web"}
        assert request["session"] == "secret"


def test_a_refusal_has_reason_and_code(tmp_path: Path) -> None:
    """An error reply becomes Refused, with our code or, from the original's daemon, one by its number."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        ours = {"error": {"code": "not_found"}} if request["command"] == "ours" else {}
        return {"status": "error", "reason": "program x not found", "errno": 3, "tb": None, **ours}

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint) as client:
        with pytest.raises(Refused, match="program x not found") as caught:
            client.call("ours")
        assert caught.value.code == "not_found"
        with pytest.raises(Refused) as caught:
            client.call("theirs")
        assert caught.value.code == "bad_request"


def test_no_answer_in_time_is_told_and_the_late_one_passed_over(tmp_path: Path) -> None:
    """A reply that comes after its time-out is not taken for the answer to the next request."""
    held: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> Any:
        if request["command"] == "slow":
            held.append(request)
            return None
        return [{"n": 2}]

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint, timeout=5) as client:
        with pytest.raises(TimedOut, match="has not answered"):
            client.call("slow", timeout=0.05)
        assert client.call("quick")["n"] == 2


def test_waiting_takes_as_long_as_it_takes(tmp_path: Path) -> None:
    """With waiting and no time limit given, the client's own one does not count."""
    gate = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        gate.wait(5)
        return {"waited": request["properties"].get("waiting")}

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint, timeout=0.01) as client:
        threading.Timer(0.1, gate.set).start()
        assert client.call("stop", waiting=True)["waited"] is True


def test_a_cast_has_no_reply(tmp_path: Path) -> None:
    """A cast is marked as the original marks it."""
    with scripted_daemon(tmp_path, lambda request: {}) as daemon, Client(daemon.endpoint) as client:
        client.cast("stop", {"name": "web"})
        client.call("ping")
        assert daemon.requests[0]["msg_type"] == "cast"
        assert "id" not in daemon.requests[0]


def test_many_callers_share_one_connection(tmp_path: Path) -> None:
    """Each of many threads gets the answers to its own requests."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        return {"echo": request["properties"]["n"]}

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint) as client:
        wrong: list[Any] = []

        def ask(start: int) -> None:
            got = [client.call("echo", {"n": n})["echo"] for n in range(start, start + 40)]
            if got != list(range(start, start + 40)):
                wrong.append(got)

        threads = [threading.Thread(target=ask, args=(k * 1000,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert wrong == []
        assert len(daemon.requests) == 320


def test_one_who_waits_reads_on_when_the_reader_leaves(tmp_path: Path) -> None:
    """A stream that reads for all may time out; who waits behind it still gets the answer."""
    gate = threading.Event()

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "slow":
            gate.wait(5)
        return {"done": request["command"]}

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint) as client:
        stream = client.follow(["event."])
        got: list[dict[str, Any]] = []
        reader_left = threading.Event()

        def read() -> None:
            with pytest.raises(TimedOut):
                stream.receive(0.1)
            reader_left.set()

        reader = threading.Thread(target=read)
        reader.start()
        caller = threading.Thread(target=lambda: got.append(client.call("slow")))
        caller.start()
        assert reader_left.wait(5)
        gate.set()
        caller.join(5)
        reader.join(5)
        assert got
        assert got[0]["done"] == "slow"
        stream.close()


def test_credit_is_given_back_as_it_is_used(tmp_path: Path) -> None:
    """What the caller consumed is returned in parts, and all of it in the end."""
    push = {"push": "output.web.", "data": {"lines": ["x" * 400]}}

    def answer(request: dict[str, Any]) -> Any:
        return [{}] + [push] * 20 if request["command"] == "follow" else None

    with scripted_daemon(tmp_path, answer) as daemon, Client(daemon.endpoint) as client:
        with client.follow(["output.web."], lines=5, credit=2000) as stream:
            for _, (topic, data) in zip(range(20), stream, strict=False):
                assert topic == "output.web."
                assert len(data["lines"][0]) == 400
            with pytest.raises(TimedOut):
                stream.receive(0.01)
        given = eventually(lambda: daemon.asked("unfollow") and daemon.asked("credit"))
        assert given
        assert 18 * 400 < sum(row["bytes"] for row in given) < 20 * 600
        assert daemon.asked("follow") == [{"topics": ["output.web."], "lines": 5, "credit": 2000}]
        assert daemon.asked("unfollow")[0]["followed"] == given[0]["followed"]


def test_a_refused_stream_is_told_at_once(tmp_path: Path) -> None:
    """follow raises; it is not the first step of the iterator that does."""
    refused = {"status": "error", "reason": "no", "errno": 5}
    with (
        scripted_daemon(tmp_path, lambda request: refused) as daemon,
        Client(daemon.endpoint) as client,
        pytest.raises(Refused),
    ):
        client.follow(["state."])


def test_a_stream_that_the_daemon_ends_says_why(tmp_path: Path) -> None:
    """The last push has the reason."""
    end = {"push": "end.", "data": {"reason": "the session is over"}}
    with (
        scripted_daemon(tmp_path, lambda request: [{"credit": 4096}, end]) as daemon,
        Client(daemon.endpoint) as client,
        client.follow(["state."], credit=1) as stream,
        pytest.raises(Unavailable, match="the session is over"),
    ):
        stream.receive(5)


def test_a_client_connects_anew_after_the_daemon_was_replaced(tmp_path: Path) -> None:
    """The next request goes to the new daemon; a stream of the old one ends instead of waiting for ever."""
    with scripted_daemon(tmp_path, lambda request: {"n": 1}) as daemon:
        client = Client(daemon.endpoint)
        stream = client.follow(["state."])
        assert client.call("ping")["n"] == 1
    with scripted_daemon(tmp_path, lambda request: {"n": 2}), closing(client):
        assert client.call("ping")["n"] == 2
        with pytest.raises(Unavailable):
            stream.receive(5)


def test_patience_waits_for_a_daemon_that_is_on_its_way(tmp_path: Path) -> None:
    """With patience an endpoint is tried until somebody listens; without, the error comes at once."""
    endpoint = f"ipc://{tmp_path}/scripted.sock"
    with pytest.raises(Unavailable), Client(endpoint) as hasty:
        hasty.call("ping")
    got: list[Any] = []
    with Client(endpoint, patience=10) as client:
        caller = threading.Thread(target=lambda: got.append(client.call("ping", timeout=10)))
        caller.start()
        with scripted_daemon(tmp_path, lambda request: {}):
            caller.join(10)
    assert got


def test_a_daemon_that_talks_nonsense_is_a_protocol_error(tmp_path: Path) -> None:
    """Messages that are no JSON objects end the connection with a word."""
    ours, theirs = socket.socketpair()
    with ours, theirs, Client(sock=ours) as client:
        theirs.sendall(
            b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
            + b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER" + b"\x00\x02[]"
        )  # fmt: skip
        with pytest.raises(ProtocolError):
            client.call("ping")
        with pytest.raises(Unavailable, match="has ended"):
            client.call("ping")


def test_closing_ends_the_waits(tmp_path: Path) -> None:
    """Who waits without a time limit learns that the client was closed."""
    with scripted_daemon(tmp_path, lambda request: {} if request["command"] == "follow" else None) as daemon:
        client = Client(daemon.endpoint)
        stream = client.follow(["state."])
        told: list[CircusError] = []

        def wait() -> None:
            try:
                stream.receive()
            except CircusError as problem:
                told.append(problem)

        waiter = threading.Thread(target=wait)
        waiter.start()
        eventually(lambda: stream._inbox.waits)
        client.close()
        waiter.join(5)
        assert told


def test_greenlets_share_one_inherited_socket(tmp_path: Path) -> None:
    """In a patched process, calls and a stream run side by side on a socket that was handed down by number."""
    with scripted_daemon(tmp_path, _answer_to_greenlets) as daemon:
        program = f"""
from gevent import monkey; monkey.patch_all()
import gevent, socket
from circusd.client import Client
from circusd.schema.errors import Unavailable
inherited = socket.socket(socket.AF_UNIX); inherited.connect({daemon.endpoint.removeprefix("ipc://")!r})
client = Client(sock=socket.socket(fileno=inherited.detach()))
stream = client.follow(["state."])
reader = gevent.spawn(lambda: next(stream))
jobs = [gevent.spawn(client.call, "echo", {{"n": n}}) for n in range(50)]
killed = gevent.spawn(client.call, "never", timeout=30); gevent.sleep(0.01); killed.kill()
gevent.joinall(jobs, timeout=10)
assert [job.value["echo"] for job in jobs] == list(range(50))
client.call("push")
assert reader.get(timeout=5) == ("state.", {{"x": 1}})
waits = gevent.spawn(stream.receive)
gevent.sleep(0.01); client.close()
try: waits.get(timeout=5)
except Unavailable: pass
"""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env=environment,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


_followed: list[Any] = []


def _answer_to_greenlets(request: dict[str, Any]) -> Any:
    if request["command"] == "follow":
        _followed.append(request["id"])
    if request["command"] == "never":
        return None
    if request["command"] == "push":
        return [{"id": _followed[-1], "push": "state.", "data": {"x": 1}}, {}]
    return {"echo": request["properties"].get("n")}


def test_raw_endpoints_are_read_by_topic(tmp_path: Path) -> None:
    """subscribe gives topic and body of what begins with one of the topics."""
    import zmq

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.bind(f"ipc://{tmp_path}/events")
    try:
        with subscribe(f"ipc://{tmp_path}/events", ["watcher.web."]) as messages:
            assert publisher.recv() == b"\x01watcher.web."
            publisher.send_multipart([b"watcher.web.start", json.dumps({"time": 1}).encode()])
            assert next(messages) == (b"watcher.web.start", b'{"time": 1}')
    finally:
        publisher.close(0)
        context.term()
