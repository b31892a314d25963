"""Sockets that are added, changed and removed while clients come at full speed: nobody who was let in is left without an answer."""

from __future__ import annotations

import errno
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest

from tests.daemon import BIN, Daemon
from tests.ports import free_port
from tests.waiting import eventually

CLIENTS = 8
APP = (
    "def app(environ, start_response):\n"
    "    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '5')])\n"
    "    return [b'hello']\n"
)
Address = tuple[str, int] | str


class Clients:
    """Clients without keep-alive, at full speed: each asks at the first address that somebody listens at."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = addresses
        self.counts: Counter[str] = Counter()
        self.going = True
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        self.answered(50)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.going = False
        for thread in self._threads:
            thread.join()

    def answered(self, more: int) -> None:
        """So many more have been answered."""
        before = self.counts["answered"]
        eventually(lambda: self.counts["answered"] >= before + more, within=60, what="answers")

    def all_well(self) -> None:
        """Nobody was reset, left without an answer, or found nobody anywhere."""
        self.going = False
        for thread in self._threads:
            thread.join()
        assert set(self.counts) == {"answered"}, self.counts

    def _run(self) -> None:
        while self.going:
            said = self._ask()
            with self._lock:
                self.counts[said] += 1

    def _ask(self) -> str:
        for address in self.addresses:
            with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
                client.settimeout(30)
                try:
                    client.connect(address)
                except OSError as problem:
                    if problem.errno in (errno.ECONNREFUSED, errno.ENOENT):
                        continue
                    return f"connect: {problem}"
                try:
                    client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                    whole = client.makefile("rb").read()
                except OSError as problem:
                    return f"answer: {problem}"
                return "answered" if whole.endswith(b"hello") else f"answer: {whole!r}"
        return "nobody listens"


class Comers:
    """Somebody new comes each moment and goes as soon as he is let in, also while others before him have to try again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.errors: Counter[int] = Counter()
        self._going = True
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Comers:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._going = False
        self._thread.join()

    def _run(self) -> None:
        coming: dict[int, socket.socket] = {}
        poll = select.poll()
        while self._going or coming:
            if self._going and len(coming) < 500:
                client = socket.socket()
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", self.port))
                coming[client.fileno()] = client
                poll.register(client, select.POLLOUT)
            for fd, _ in poll.poll(1):
                client = coming.pop(fd)
                poll.unregister(fd)
                self.errors[client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)] += 1
                client.close()


def text(folder: Path, section: str, more: str = "") -> str:
    (folder / "my.py").write_text(APP)
    return (
        f"[watcher:web]\ncmd = {BIN}/chaussette --fd $(circus.sockets.web) --backend gevent --log-level critical my.app\n"
        f"use_sockets = True\nnumprocesses = 2\n[env:web]\nPYTHONPATH = {folder}\nPATH = /usr/bin:/bin\n"
        f"[socket:web]\n{section}\n{more}"
    )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def daemon(tmp_path: Path, port: int) -> Iterator[Daemon]:
    with Daemon(text(tmp_path, at(port)), tmp_path) as running:
        yield running


def at(port: int) -> str:
    return f"host = 127.0.0.1\nport = {port}"


def reloader(daemon: Daemon) -> Callable[[str], list[str]]:
    """Puts a file into force; what was done about sockets, in words."""

    def reload(ini: str) -> list[str]:
        daemon.config.write_text(ini)
        reply = daemon.call("reloadconfig", waiting=True)
        return [row["text"] for row in reply["plan"] if "socket" in row["text"]]

    return reload


def test_others_that_come_and_go_by_command_disturb_nobody(daemon: Daemon, port: int) -> None:
    """Added and removed again and again."""
    pids = daemon.pids("web")
    with Clients(("127.0.0.1", port)) as clients:
        for _ in range(10):
            daemon.call("addsocket", name="other", options={"host": "127.0.0.1", "port": 0})
            daemon.call("rmsocket", name="other")
        clients.answered(50)
        clients.all_well()
    assert daemon.pids("web") == pids


def test_others_that_come_change_and_go_by_a_reload_disturb_nobody(
    daemon: Daemon, port: int, tmp_path: Path
) -> None:
    """A socket and its watcher are added, moved and removed."""
    reload, pids = reloader(daemon), daemon.pids("web")
    other = "[watcher:other]\ncmd = sleep 1000 $(circus.sockets.other)\n[socket:other]\n"
    with Clients(("127.0.0.1", port)) as clients:
        for more in (other + at(free_port()), other + at(free_port()), ""):
            assert reload(text(tmp_path, at(port), more))
            clients.answered(20)
        clients.all_well()
    assert daemon.pids("web") == pids


def test_what_can_change_while_it_listens_does(daemon: Daemon, port: int, tmp_path: Path) -> None:
    """The length of its queue: the processes stay."""
    reload, pids = reloader(daemon), daemon.pids("web")
    with Clients(("127.0.0.1", port)) as clients:
        for backlog in (64, 512, 128):
            assert reload(text(tmp_path, f"{at(port)}\nbacklog = {backlog}"))
            clients.answered(20)
        clients.all_well()
    assert daemon.pids("web") == pids
    (row,) = daemon.call("listsockets", details=True)["sockets"]
    assert (row["backlog"], row["limit"]) == (128, 128)


def test_who_came_by_the_old_port_is_answered_when_it_moves(
    daemon: Daemon, port: int, tmp_path: Path
) -> None:
    """Everybody else finds the new one; nobody finds neither for longer than it takes to look again."""
    reload, new = reloader(daemon), free_port()
    with Clients(("127.0.0.1", port), ("127.0.0.1", new), ("127.0.0.1", port), ("127.0.0.1", new)) as clients:
        for there in (new, port, new):
            reload(text(tmp_path, at(there)))
            clients.answered(50)
        clients.all_well()


def test_one_that_is_opened_anew_at_its_address_refuses_nobody(
    daemon: Daemon, port: int, tmp_path: Path
) -> None:
    """Whoever comes in between is let in by the new one."""
    reload = reloader(daemon)
    with Clients(("127.0.0.1", port)) as clients:
        for proto in ("proto = tcp", "", "proto = tcp"):
            reload(text(tmp_path, f"{at(port)}\n{proto}"))
            clients.answered(50)
        clients.all_well()


def test_one_of_which_each_process_gets_its_own_refuses_nobody_either(
    daemon: Daemon, port: int, tmp_path: Path
) -> None:
    """There and back: until the first process listens, TCP tries again."""
    reload, own = reloader(daemon), f"{at(port)}\nso_reuseport = true"
    with Comers(port) as comers:
        for section in (own, f"{own}\nproto = tcp", at(port), own):
            pids = daemon.pids("web")
            assert reload(text(tmp_path, section))
            assert not set(pids) & set(daemon.pids("web"))
    # What is in the queue of a process that goes may be reset, as ever with such sockets.
    assert comers.errors[0] and set(comers.errors) <= {0, errno.ECONNRESET}, comers.errors
    # With nobody there it is as ever.
    daemon.call("stop", name="web", waiting=True)
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_unix_sockets_change_and_move_too(tmp_path: Path) -> None:
    """Their mode while they listen, and their path as a port."""
    old, new = str(tmp_path / "a.sock"), str(tmp_path / "b.sock")
    with Daemon(text(tmp_path, f"path = {old}\numask = 077"), tmp_path) as daemon:
        reload, pids = reloader(daemon), daemon.pids("web")
        with Clients(old, new, old, new) as clients:
            reload(text(tmp_path, f"path = {old}\numask = 007"))
            assert Path(old).stat().st_mode & 0o777 == 0o770
            assert daemon.pids("web") == pids
            clients.answered(20)
            for path in (new, old):
                reload(text(tmp_path, f"path = {path}\numask = 007"))
                clients.answered(50)
            clients.all_well()
        assert not Path(new).exists()


def test_who_was_let_in_is_answered_when_the_socket_goes_with_its_watcher(
    daemon: Daemon, port: int, tmp_path: Path
) -> None:
    """Then nobody listens there any more."""
    reload = reloader(daemon)
    with Clients(("127.0.0.1", port)) as clients:
        reload("[watcher:other]\ncmd = sleep 1000\n")
        clients.going = False
    assert set(clients.counts) <= {"answered", "nobody listens"}, clients.counts
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
