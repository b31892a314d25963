"""Sockets that each process has for itself, sockets named in the environment, and those that the service manager has opened."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import BIN, Daemon
from tests.faults.measures import descriptors
from tests.ports import free_port
from tests.waiting import environment, eventually

SERVE = """
import os, socket, sys
s = socket.socket(fileno=int(os.environ["SOCKET"]))
s.setblocking(True)
while True:
    c, _ = s.accept()
    c.sendall(str(os.getpid()).encode())
    c.close()
"""


def workers(tmp_path: Path, section: str, count: int = 2) -> str:
    (tmp_path / "serve.py").write_text(SERVE)
    return f"""
[watcher:web]
cmd = {sys.executable} {tmp_path}/serve.py
numprocesses = {count}

[env:web]
SOCKET = $(circus.sockets.web)
NUMBER = worker $(circus.wid)

[socket:web]
host = 127.0.0.1
{section}
"""


def said_at(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return client.recv(1000).decode()


def inodes(pid: int) -> set[str]:
    """The sockets that a process has."""
    return {name for name in descriptors(pid).values() if name.startswith("socket:")}


def test_a_socket_is_named_in_the_environment(tmp_path: Path) -> None:
    """It is inherited as one that the command names, and other names are replaced there too."""
    with Daemon(workers(tmp_path, "port = 0"), tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        assert said_at(port) in map(str, daemon.pids("web"))
        first, second = daemon.pids("web")
        assert {environment(pid)["NUMBER"] for pid in (first, second)} == {"worker 1", "worker 2"}
        assert inodes(first) & inodes(second)


def test_each_process_has_a_socket_of_its_own_at_one_port(tmp_path: Path) -> None:
    """Each gets its share of the connections; what nobody accepts from, the daemon's, takes none."""
    with Daemon(workers(tmp_path, "port = 0\nso_reuseport = true"), tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        first, second = daemon.pids("web")
        assert not inodes(first) & inodes(second)
        eventually(lambda: {said_at(port) for _ in range(20)} == {str(first), str(second)}, within=20)
        os.kill(first, 9)
        eventually(lambda: first not in daemon.pids("web") and len(daemon.pids("web")) == 2, within=10)
        eventually(lambda: {said_at(port) for _ in range(20)} == set(map(str, daemon.pids("web"))), within=20)
        before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        daemon.ctl("restart", "web", "--waiting")
        eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before, what="no descriptor is left")


def test_what_has_no_address_to_share_is_refused(tmp_path: Path) -> None:
    """so_reuseport is for streams with a port."""
    file = tmp_path / "circus.ini"
    file.write_text("[socket:x]\npath = /tmp/x.sock\nso_reuseport = true\n")
    daemon = Daemon(file.read_text(), tmp_path)
    daemon.start_only()
    assert daemon.popen is not None
    assert daemon.popen.wait(20) == 1
    assert "so_reuseport is for stream sockets" in daemon.log.read_text()


class ByManager(Daemon):
    """circusd as a service manager starts it: with listening sockets from descriptor 3 on, and their names."""

    def __init__(self, text: str, folder: Path, handed: dict[str, socket.socket]) -> None:
        super().__init__(text, folder)
        self.handed = handed
        self.pass_fds = tuple(sock.fileno() for sock in handed.values())

    def command(self) -> list[str]:
        starter = (
            "import os, sys\n"
            "names, *fds = sys.argv[1].split(',')\n"
            "high = [os.dup2(int(fd), 50 + n) for n, fd in enumerate(fds)]\n"
            "for n, fd in enumerate(high): os.dup2(fd, 3 + n)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)\n"
            "os.execv(sys.argv[2], sys.argv[2:])\n"
        )
        fds = map(str, self.pass_fds)
        return [sys.executable, "-c", starter, ",".join([":".join(self.handed), *fds]), *super().command()]


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Listening sockets that this process has opened, as the service manager would."""
    found = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    yield found
    for sock in found:
        sock.close()


def test_a_socket_of_the_service_manager_is_taken_by_its_name_or_address(
    tmp_path: Path, opened: list[socket.socket]
) -> None:
    """Nothing is bound anew, processes serve on it, and one that no section means is closed and told."""
    ports = [sock.getsockname()[1] for sock in opened]
    text = (
        workers(tmp_path, f"port = {free_port()}")
        + f"\n[socket:other]\nhost = 127.0.0.1\nport = {ports[1]}\n"
    )
    daemon = ByManager(text, tmp_path, {"web": opened[0], "unit.socket": opened[1], "stray": opened[2]})
    with daemon:
        assert said_at(ports[0]) in map(str, daemon.pids("web"))
        shown = {row["name"]: row["port"] for row in daemon.call("listsockets")["sockets"]}
        assert shown == {"web": ports[0], "other": ports[1]}
        assert "hands over 'stray'" in daemon.log.read_text()
        assert not {"LISTEN_FDS", "LISTEN_PID"} & set(environment(daemon.pids("web")[0]))


BY_LIBRARY = """
import ctypes, json, os, socket, sys
library = ctypes.CDLL("libsystemd.so.0")
names = ctypes.POINTER(ctypes.c_char_p)()
count = library.sd_listen_fds_with_names(1, ctypes.byref(names))
told = {names[n].decode(): 3 + n for n in range(count)}
is_socket = {name: library.sd_is_socket_inet(fd, socket.AF_INET, socket.SOCK_STREAM, 1, 0) for name, fd in told.items()}
s = socket.socket(fileno=told["web"])
s.setblocking(True)
while True:
    c, _ = s.accept()
    c.sendall(json.dumps([told, is_socket, sys.argv[1:]]).encode())
    c.close()
"""


def test_systemd_s_own_library_finds_the_sockets(tmp_path: Path) -> None:
    """Those that the watcher names, by their names, as listening sockets; and the command has the same numbers."""
    (tmp_path / "library.py").write_text(BY_LIBRARY)
    text = (
        f"[watcher:web]\ncmd = {sys.executable} {tmp_path}/library.py $(circus.sockets.web) $(circus.sockets.admin)\n"
        "listen_fds = True\ncopy_env = True\nnumprocesses = 2\nrlimit_core = 0\n"
        "[socket:admin]\nhost = 127.0.0.1\nport = 0\n[socket:never]\nhost = 127.0.0.1\nport = 0\n"
        "[socket:web]\nhost = 127.0.0.1\nport = 0\n"
    )
    with Daemon(text, tmp_path) as daemon:
        ports = {row["name"]: row["port"] for row in daemon.call("listsockets")["sockets"]}
        told, is_socket, words = json.loads(said_at(ports["web"]))
        assert told == {"web": 3, "admin": 4}
        assert is_socket == {"web": 1, "admin": 1}
        assert words == ["3", "4"]
        pids = daemon.pids("web")
        assert [environment(pid)["LISTEN_PID"] for pid in pids] == list(map(str, pids))
        os.kill(pids[0], 9)
        eventually(lambda: pids[0] not in daemon.pids("web") and len(daemon.pids("web")) == 2, within=10)
        eventually(
            lambda: {environment(pid)["LISTEN_PID"] == str(pid) for pid in daemon.pids("web")} == {True}
        )


def test_a_server_that_knows_the_protocol_needs_no_address(tmp_path: Path) -> None:
    """gunicorn takes what is handed to it, by TCP and by a unix socket; without the option it is told nothing."""
    (tmp_path / "my.py").write_text(
        "def app(environ, start):\n    start('200 OK', [('Content-Length', '5')])\n    return [b'hello']\n"
    )
    text = (
        f"[watcher:web]\ncmd = {BIN}/gunicorn -w 1 my:app\nuse_sockets = True\nlisten_fds = True\n"
        f"[env:web]\nPATH = /usr/bin:/bin\nHOME = {tmp_path}\n"
        f"[socket:web]\nhost = 127.0.0.1\nport = 0\n[socket:local]\npath = {tmp_path}/web.sock\n"
    )
    with Daemon(text, tmp_path) as daemon:
        port = next(row["port"] for row in daemon.call("listsockets")["sockets"] if row["name"] == "web")
        for address in (("127.0.0.1", port), f"{tmp_path}/web.sock"):
            with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
                client.settimeout(20)
                client.connect(address)
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.makefile("rb").read().endswith(b"hello")
        daemon.ctl("set", "web", "listen_fds", "false", "--waiting")
        eventually(lambda: not any(name.startswith("LISTEN") for name in environment(daemon.pids("web")[0])))


def test_what_can_not_be_handed_over_is_told_as_the_reason(tmp_path: Path) -> None:
    """A program that is not there is an error of the start, though a shell stands before it."""
    text = "[watcher:web]\ncmd = /no/such/program\nuse_sockets = True\nlisten_fds = True\nmax_retry = 0\n[socket:web]\nport = 0\n"
    with Daemon(text, tmp_path) as daemon:
        eventually(lambda: daemon.watcher("web")["state"] == "failed", within=10)
        assert "/no/such/program" in daemon.ctl("explain", "web").stdout


def test_standard_input_can_be_a_socket(tmp_path: Path) -> None:
    """As inetd's nowait=no: the listening socket is descriptor 0, and the command need not name it."""
    (tmp_path / "zero.py").write_text(SERVE.replace('int(os.environ["SOCKET"])', "0"))
    text = f"[watcher:web]\ncmd = {sys.executable} {tmp_path}/zero.py\nstdin_socket = Web\n[socket:web]\nhost = 127.0.0.1\nport = 0\n"
    with Daemon(text, tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        assert said_at(port) in map(str, daemon.pids("web"))
        assert daemon.watcher("web")["sockets"] == ["web"]
        refused = daemon.ctl("rmsocket", "web", check=False)
        assert "is named by web" in refused.stderr


def test_looking_at_a_socket_leaves_it_blocking_as_it_is(tmp_path: Path) -> None:
    """The flag is shared with the processes, and theirs to set."""
    with Daemon(workers(tmp_path, "port = 0"), tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        assert said_at(port)
        pids = daemon.pids("web")
        for _ in range(5):
            daemon.ctl("listsockets", "--details")
            assert said_at(port) in map(str, pids)
        assert daemon.pids("web") == pids


def test_who_asks_for_all_sockets_does_not_get_the_console_s(tmp_path: Path) -> None:
    """A worker could otherwise answer in its place."""
    text = (
        "[circus]\nhttpd = true\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n"
        "[watcher:all]\ncmd = sleep 1000\nuse_sockets = True\n[socket:web]\nhost = 127.0.0.1\nport = 0\n"
    )
    with Daemon(text, tmp_path) as daemon:
        assert daemon.watcher("all")["sockets"] == ["web"]
        assert len(inodes(daemon.pids("all")[0])) == 1
