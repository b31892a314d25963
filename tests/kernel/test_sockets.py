"""Sockets as their sections say, and what is told when they can't be."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from circusd.kernel import sockets
from circusd.kernel.sockets import SocketFile, SocketSpec, open_socket
from circusd.schema.errors import CircusError, ConfigError, Conflict
from tests.kernel.conftest import NOBODY, AsNobody, Run


class Sockets:
    """Opens sockets that are closed when the test ends."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def open(self, **what: Any) -> socket.socket:
        spec = SocketSpec(**{"name": "web", "port": 0, "host": "127.0.0.1", **what})
        return self.stack.enter_context(open_socket(spec))

    def refused(self, **what: Any) -> CircusError:
        with pytest.raises(CircusError) as caught:
            self.open(**what)
        assert "socket web" in str(caught.value)
        return caught.value


@pytest.fixture
def opened() -> Iterator[Sockets]:
    """Opens sockets that are closed when the test ends."""
    with ExitStack() as stack:
        yield Sockets(stack)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- inet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "host", "bound"),
    [
        ("AF_INET", "127.0.0.1", "127.0.0.1"),
        ("AF_INET", "localhost", "127.0.0.1"),
        ("AF_INET", "", "0.0.0.0"),
        ("AF_INET6", "::1", "::1"),
    ],
)
def test_stream_socket_listens_where_its_section_says(
    opened: Sockets, family: str, host: str, bound: str
) -> None:
    """Port 0 becomes a real one, connections are taken, and descriptions agree."""
    sock = opened.open(family=family, host=host)
    where = sockets.describe(sock)
    assert where["host"] == bound
    assert where["port"] > 0
    text = f"[{bound}]" if family == "AF_INET6" else bound
    assert sockets.address(sock) == f"{text}:{where['port']}"
    target = {"0.0.0.0": "127.0.0.1"}.get(bound, bound)
    with socket.create_connection((target, where["port"]), timeout=5):
        sock.accept()[0].close()


def test_accepted_connections_have_tcp_nodelay(opened: Sockets) -> None:
    """The option is set once, on the listening socket, and each connection has it."""
    sock = opened.open()
    with socket.create_connection(sock.getsockname()), sock.accept()[0] as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_blocking_is_as_asked_for(opened: Sockets) -> None:
    """Not blocking by default, as the original's."""
    assert not opened.open().getblocking()
    assert opened.open(blocking=True).getblocking()


def test_socket_is_inherited_only_by_name(opened: Sockets, run: Run) -> None:
    """It is closed on exec, and under its number where it is passed."""
    sock = opened.open()
    fd = sock.fileno()
    assert not sock.get_inheritable()
    target = f"socket:[{os.fstat(fd).st_ino}]"
    child = run.start("/bin/sleep", "1000", pass_fds=(fd,))
    assert os.readlink(f"/proc/{child.pid}/fd/{fd}") == target
    other = run.start("/bin/sleep", "1000")
    assert str(fd) not in os.listdir(f"/proc/{other.pid}/fd")


def test_datagram_socket_is_bound_and_does_not_listen(opened: Sockets) -> None:
    """UDP takes datagrams; its port can't be shared by a stranger."""
    sock = opened.open(type="SOCK_DGRAM")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", sock.getsockname())
    assert sock.recv(10) == b"hello"
    port = sock.getsockname()[1]
    assert isinstance(opened.refused(type="SOCK_DGRAM", port=port), Conflict)


def test_port_can_be_bound_again_right_after_a_restart(opened: Sockets) -> None:
    """Connections that linger do not keep a new socket from the port."""
    sock = opened.open()
    port = sock.getsockname()[1]
    client = socket.create_connection(sock.getsockname())
    connection, _ = sock.accept()
    connection.close()
    client.close()
    sock.close()
    assert opened.open(port=port).getsockname()[1] == port


def test_reuseport_lets_several_share_a_port(opened: Sockets) -> None:
    """Each process can have a socket of its own on one port."""
    port = opened.open(so_reuseport=True).getsockname()[1]
    assert opened.open(so_reuseport=True, port=port).getsockname()[1] == port


def test_port_in_use_is_a_conflict_that_says_how_to_look(opened: Sockets) -> None:
    """The address is named, and how to find out who has it."""
    port = opened.open().getsockname()[1]
    error = opened.refused(port=port)
    assert isinstance(error, Conflict)
    assert f"127.0.0.1:{port}" in str(error)
    assert "ss -l" in error.hint


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"host": "no.such.host.invalid"}, 'host "no.such.host.invalid" has no address for AF_INET'),
        ({"host": "::1"}, "has no address for AF_INET"),
        ({"host": "192.0.2.1"}, "no interface of this machine has this address"),
        ({"port": 65536}, "port 65536 is not between"),
        ({"port": -1}, "port -1 is not between"),
        ({"family": "AF_APPLETALK"}, 'family "AF_APPLETALK" is not one of AF_INET, AF_INET6, AF_UNIX'),
        ({"type": "STREAM"}, 'type "STREAM" is not one of SOCK_STREAM'),
        ({"family": "AF_UNIX"}, "family AF_UNIX needs a path"),
        ({"proto": "nonsense"}, 'there is no protocol "nonsense"'),
        ({"proto": "udp"}, "could not be made: protocol not supported"),
        ({"interface": "eth-none"}, 'could not be bound to interface "eth-none": there is no such'),
        ({"interface": "a-much-too-long-name"}, "is longer than 15 bytes"),
        ({"host": "a" * 300}, "has no address for AF_INET"),
        ({"host": "a..b"}, "has no address for AF_INET"),
    ],
)
def test_what_can_t_be_is_told(opened: Sockets, what: dict[str, object], words: str) -> None:
    """A ConfigError with the socket's name, the value and the reason."""
    error = opened.refused(**what)
    assert isinstance(error, ConfigError)
    assert words in str(error)


def test_protocol_can_be_named(opened: Sockets) -> None:
    """By name or number."""
    assert opened.open(proto="tcp").proto == socket.IPPROTO_TCP
    assert opened.open(proto="6").proto == opened.open(proto=6).proto == socket.IPPROTO_TCP


def test_low_port_is_told_to_ordinary_users(as_nobody: AsNobody) -> None:
    """What to look for when port 80 is refused."""

    def attempt() -> str:
        try:
            open_socket(SocketSpec(name="web", host="127.0.0.1", port=1)).close()
        except ConfigError as error:
            return str(error)
        return "opened"

    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 1:
        pytest.skip("every port is free for all here")
    assert as_nobody(attempt).endswith("port 1 is kept for root")


def test_interface_restricts_a_socket(opened: Sockets, root: None) -> None:
    """A socket bound to the loopback device says so."""
    sock = opened.open(interface="lo")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"


@pytest.mark.parametrize(
    ("host", "known"), [("127.0.0.1", True), ("::1", True), ("", True), ("localhost", False)]
)
def test_it_is_known_whether_a_host_has_to_be_looked_up(host: str, known: bool) -> None:
    """Only names need a thread."""
    assert sockets.is_number(host) is known


def test_failed_socket_leaves_no_descriptor(opened: Sockets, tmp_path: Path) -> None:
    """Each kind of failure closes what it had opened."""
    before = os.listdir("/proc/self/fd")
    for what in ({"host": "192.0.2.1"}, {"interface": "none"}, {"path": str(tmp_path / "no" / "s")}):
        opened.refused(**what)
    assert os.listdir("/proc/self/fd") == before


# --- unix ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_path_makes_a_unix_socket(opened: Sockets, tmp_path: Path, kind: str) -> None:
    """Whatever family is named, and of each type."""
    path = tmp_path / "s"
    sock = opened.open(path=str(path), type=kind)
    assert (sock.family, sock.type) == (socket.AF_UNIX, getattr(socket, kind))
    assert sockets.describe(sock) == {"path": str(path)}
    assert sockets.address(sock) == str(path)
    with socket.socket(socket.AF_UNIX, sock.type) as client:
        client.connect(str(path))


@pytest.mark.parametrize("ours", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("umask", "wanted"), [(0o077, 0o700), (0o117, 0o660), (0o000, 0o777), (0o177, 0o600)]
)
def test_umask_of_the_section_alone_decides(
    opened: Sockets, tmp_path: Path, ours: int, umask: int, wanted: int
) -> None:
    """The file's mode is 777 less the socket's umask, whatever this process's is, and that one stays."""
    path = tmp_path / "s"
    before = os.umask(ours)
    try:
        opened.open(path=str(path), umask=umask)
    finally:
        assert os.umask(before) == ours
    assert mode(path) == wanted


def test_without_a_umask_the_daemon_s_counts(opened: Sockets, tmp_path: Path) -> None:
    """As for every other file."""
    before = os.umask(0o027)
    try:
        opened.open(path=str(tmp_path / "s"))
    finally:
        os.umask(before)
    assert mode(tmp_path / "s") == 0o750


def test_owner_is_given(opened: Sockets, root: None, tmp_path: Path) -> None:
    """The file belongs to whom it was asked for, with its mode."""
    path = tmp_path / "s"
    opened.open(path=str(path), owner=(NOBODY, -1), umask=0o077)
    status = path.stat()
    assert (status.st_uid, status.st_gid, mode(path)) == (NOBODY, os.getegid(), 0o700)


def test_file_left_by_a_crash_is_replaced_if_asked_for(opened: Sockets, tmp_path: Path) -> None:
    """Without `replace` the error says that it exists and what to set; with it the socket works."""
    path = tmp_path / "s"
    opened.open(path=str(path)).close()
    error = opened.refused(path=str(path))
    assert isinstance(error, Conflict)
    assert "replace = true" in str(error)
    opened.open(path=str(path), replace=True)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_socket_that_somebody_serves_is_never_replaced(opened: Sockets, tmp_path: Path, kind: str) -> None:
    """A live one stays, of whatever type it is and is asked for."""
    path = tmp_path / "s"
    live = opened.open(path=str(path), type=kind)
    for wanted in ("SOCK_STREAM", "SOCK_DGRAM"):
        error = opened.refused(path=str(path), type=wanted, replace=True)
        assert isinstance(error, Conflict)
        # The one that listens is known; of other types it is not.
        by = f" (pid {os.getpid()})" if kind == wanted == "SOCK_STREAM" else ""
        assert f"another process{by} serves" in str(error)
    assert sockets.socket_file(live) is not None


def test_socket_with_a_full_backlog_counts_as_served(opened: Sockets, tmp_path: Path) -> None:
    """A server that is too busy to accept is alive."""
    path = tmp_path / "s"
    opened.open(path=str(path), backlog=0)
    last = 0
    with ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            last = client.connect_ex(str(path))
        assert last == errno.EAGAIN
        assert sockets.is_served(str(path))


def test_file_that_is_no_socket_is_never_replaced(opened: Sockets, tmp_path: Path) -> None:
    """A file, a folder and a link stay as they are."""
    for name, make in (
        ("file", Path.touch),
        ("folder", Path.mkdir),
        ("link", lambda p: p.symlink_to("/etc")),
    ):
        path = tmp_path / name
        make(path)
        assert "is no socket" in str(opened.refused(path=str(path), replace=True))
        assert path.exists()


def test_socket_of_another_user_is_not_replaced(root: None, as_nobody: AsNobody, shared_folder: Path) -> None:
    """An ordinary user's daemon leaves files of others alone, also where it could unlink them."""
    path = shared_folder / "s"
    with open_socket(SocketSpec(name="web", path=str(path))):
        pass

    def attempt() -> str:
        try:
            open_socket(SocketSpec(name="web", path=str(path), replace=True)).close()
        except ConfigError as error:
            return str(error)
        return "replaced"

    assert "belongs to user 0" in as_nobody(attempt)
    assert path.exists()


def test_path_that_is_too_long_is_told(opened: Sockets, tmp_path: Path) -> None:
    """107 bytes are the limit, and it is named; bytes count, not letters."""
    short = "/tmp/" + "x" * (107 - len("/tmp/"))
    try:
        opened.open(path=short)
    finally:
        os.unlink(short)
    assert "has 108 bytes, and a unix socket's can have 107" in str(opened.refused(path=short + "x"))
    assert "bytes" in str(opened.refused(path="/tmp/" + "ü" * 55))


@pytest.mark.parametrize(
    ("name", "words"), [("missing/s", "there is no folder"), ("file/s", "is not a folder")]
)
def test_folder_that_is_not_there_is_told(opened: Sockets, tmp_path: Path, name: str, words: str) -> None:
    """The folder is named."""
    (tmp_path / "file").touch()
    error = opened.refused(path=str(tmp_path / name))
    assert words in str(error)
    assert str((tmp_path / name).parent) in str(error)


def test_own_file_is_unlinked_and_nobody_else_s(opened: Sockets, tmp_path: Path) -> None:
    """At the end the file goes, unless it was replaced by another in the meantime."""
    path = tmp_path / "s"
    first = sockets.socket_file(opened.open(path=str(path)))
    assert first is not None
    assert first == SocketFile(str(path), path.stat().st_dev, path.stat().st_ino)
    path.rename(tmp_path / "kept")
    second = sockets.socket_file(opened.open(path=str(path)))
    assert second is not None
    assert not sockets.unlink(first)
    assert path.exists()
    assert sockets.unlink(second)
    assert not path.exists()
    assert not sockets.unlink(second)


def test_inet_sockets_have_no_file(opened: Sockets) -> None:
    """Nothing to unlink."""
    assert sockets.socket_file(opened.open()) is None
