"""Sockets that each process has for itself, sockets named in the environment, and those that the service manager has opened."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

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
        return client.recv(100).decode()


def variables(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(line.decode().split("=", 1) for line in lines if line)


def inodes(pid: int) -> set[str]:
    """The sockets that a process has."""
    found = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return {name for name in found if name.startswith("socket:")}


def test_a_socket_is_named_in_the_environment(tmp_path: Path) -> None:
    """It is inherited as one that the command names, and other names are replaced there too."""
    with Daemon(workers(tmp_path, "port = 0"), tmp_path) as daemon:
        port = daemon.call("listsockets")["sockets"][0]["port"]
        assert said_at(port) in map(str, daemon.pids("web"))
        first, second = daemon.pids("web")
        assert {variables(pid)["NUMBER"] for pid in (first, second)} == {"worker 1", "worker 2"}
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
        assert not {"LISTEN_FDS", "LISTEN_PID"} & set(variables(daemon.pids("web")[0]))
