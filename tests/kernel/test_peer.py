"""Who is at the other end of a connection."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.kernel.peer import peer_of_unix, uid_of_loopback_peer
from tests.kernel.conftest import NOBODY
from tests.waiting import eventually

HOSTS = [
    (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
    (socket.AF_INET, "127.8.9.10", "127.8.9.10"),
    (socket.AF_INET6, "::1", "::1"),
    # A listener for both versions sees a v4 client as ::ffff:127.0.0.1.
    (socket.AF_INET6, "::", "127.0.0.1"),
    (socket.AF_INET6, "::", "::1"),
    (socket.AF_INET6, "::", "::ffff:127.0.0.1"),
]


class Client:
    """A process of another user that connects, and closes or ends when it is told to."""

    def __init__(self, family: int, target: tuple[str, int] | str, uid: int) -> None:
        told, self.tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.tell)
                if uid:
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                sock = socket.socket(family)
                sock.connect(target)
                os.read(told, 1)
                sock.close()
                os.read(told, 1)
            finally:
                os._exit(0)
        os.close(told)

    def close(self) -> None:
        os.write(self.tell, b"x")

    def end(self) -> None:
        os.close(self.tell)
        os.waitpid(self.pid, 0)


@pytest.fixture
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, host, _ = request.param
    with socket.socket(family) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, 0))
        sock.listen()
        yield sock


@pytest.mark.parametrize("uid", [0, NOBODY])
@pytest.mark.parametrize(("listener", "target"), [(row, row[2]) for row in HOSTS], indirect=["listener"])
def test_user_of_a_loopback_connection_is_known(
    root: None, listener: socket.socket, target: str, uid: int
) -> None:
    """For both versions of IP, and a v4 client of a v6 listener, the owner of the other end is told."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    client = Client(family, (target, listener.getsockname()[1]), uid)
    try:
        connection, _ = listener.accept()
        with connection:
            assert uid_of_loopback_peer(connection) == uid
    finally:
        client.end()


@pytest.mark.parametrize("listener", [HOSTS[0], HOSTS[2]], indirect=True)
def test_connection_that_its_owner_closed_is_nobody_s(root: None, listener: socket.socket) -> None:
    """A socket that was closed is listed with uid 0: it must never count as root's."""
    client = Client(listener.family, listener.getsockname()[:2], NOBODY)
    try:
        connection, _ = listener.accept()
        with connection:
            client.close()
            # The end of the stream shows that it is closed over there.
            assert connection.recv(1) == b""
            assert uid_of_loopback_peer(connection) is None
    finally:
        client.end()


@pytest.mark.parametrize("listener", [HOSTS[0]], indirect=True)
def test_reset_connection_is_nobody_s(root: None, listener: socket.socket) -> None:
    """A peer that is gone altogether gives None, not the owner of the listening socket."""
    client = socket.create_connection(listener.getsockname())
    connection, _ = listener.accept()
    with connection:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert uid_of_loopback_peer(connection) is None


def test_socket_without_a_peer_is_nobody_s() -> None:
    """Listening, unconnected and other sockets give None."""
    with socket.socket() as sock:
        assert uid_of_loopback_peer(sock) is None
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        assert uid_of_loopback_peer(sock) is None
    one, other = socket.socketpair()
    with one, other:
        assert uid_of_loopback_peer(one) is None


def test_one_of_many_connections_is_found_exactly(root: None) -> None:
    """Connections of two users to one port are told apart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clients = []
        found = []
        for index in range(20):
            uid = NOBODY if index % 2 else 0
            clients.append(Client(socket.AF_INET, listener.getsockname(), uid))
            found.append((listener.accept()[0], uid))
        try:
            for connection, uid in found:
                assert uid_of_loopback_peer(connection) == uid
        finally:
            for connection, _ in found:
                connection.close()
            # Later ones hold a copy of the earlier ones' pipes.
            for client in reversed(clients):
                client.end()


def test_asking_is_quick_and_leaves_nothing_open() -> None:
    """A question costs microseconds, so each new connection can be asked about."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        started = time.perf_counter()
        for _ in range(200):
            assert uid_of_loopback_peer(connection) == os.geteuid()
        assert (time.perf_counter() - started) / 200 < 0.002


def test_peer_of_a_unix_connection_is_known(root: None, shared_folder: Path) -> None:
    """Pid, uid and gid as they were when it connected."""
    path = shared_folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        client = Client(socket.AF_UNIX, str(path), NOBODY)
        try:
            connection, _ = listener.accept()
            with connection:
                assert peer_of_unix(connection) == (client.pid, NOBODY, NOBODY)
                client.close()
                eventually(lambda: connection.recv(1) == b"")
                assert peer_of_unix(connection).uid == NOBODY
        finally:
            client.end()
