"""The worker: every backend serves on a socket of circusd's, finishes what is under way, and says what it lacks."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.chaussette.backends import BACKENDS
from circusd.chaussette.job import Job
from tests.daemon import BIN, Daemon
from tests.e2e.test_init import caught
from tests.ports import free_port
from tests.waiting import eventually

APPLICATION = """
import asyncio, os, pathlib, time

here = pathlib.Path(__file__).parent

def app(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        (here / "fifo").read_text()
    if environ["PATH_INFO"] == "/slow":
        (here / "begun").touch()
        while not (here / "go").exists():
            time.sleep(0.01)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        (here / "begun").touch()
        while not (here / "go").exists():
            await asyncio.sleep(0.01)
    body = str(os.getpid()).encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

def before(arguments):
    (here / "before").write_text(arguments.backend)

def after(arguments):
    (here / "after").write_text(arguments.application)

class Holder:
    app = staticmethod(app)

def make_paste(global_conf, **conf):
    return app
"""

HERE = [row for row in BACKENDS if row.module]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an application."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "shop.py").write_text(APPLICATION)
    return folder


class Worker:
    """chaussette on a socket that was opened here, as circusd would have."""

    def __init__(self, folder: Path, *args: str, environ: dict[str, str] | None = None) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.log = folder / "log"
        fd = self.listening.fileno()
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(
                [str(BIN / "chaussette"), "--fd", str(fd), *args],
                pass_fds=[fd],
                cwd=folder,
                stderr=out,
                stdout=out,
                env={**os.environ, **(environ or {})},
            )

    def __enter__(self) -> Worker:
        try:
            eventually(self.serves, within=20, what="the worker serves")
        except BaseException:
            self.__exit__()
            raise
        return self

    def serves(self) -> bool:
        assert self.popen.poll() is None, self.log.read_text()
        return "serves at" in self.log.read_text()

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self.listening.close()

    def get(self, path: str = "/") -> str:
        return get(self.port, path)

    def is_cut_off(self) -> None:
        # By an error of the server where it still has the time for one.
        with pytest.raises((OSError, http.client.HTTPException, AssertionError)):
            self.get("/slow")


def get(port: int, path: str = "/") -> str:
    """One request on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()


def hear(manager: socket.socket, word: bytes) -> None:
    """Nothing else than signs of life comes before that word."""
    while word not in (said := manager.recv(1000).split(b"\n")):
        assert said == [b"WATCHDOG=1"]


def waiting_in(listening: socket.socket) -> int:
    """How many connections have not been accepted yet."""
    info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 24)[0])


def is_told(pid: int) -> bool:
    """Whether no signal waits for the process any more."""
    status = Path(f"/proc/{pid}/status").read_text()
    return not re.search(r"^(?:Shd|Sig)Pnd:\s*0*[1-9a-f]", status, re.MULTILINE)


def words(name: str) -> list[str]:
    return ["--backend", name, f"shop.{'asgi' if name == 'uvicorn' else 'app'}"]


@pytest.mark.parametrize("name", [row.name for row in HERE])
def test_what_is_under_way_is_finished_and_nothing_is_refused(name: str, site: Path) -> None:
    """After SIGTERM the request that runs is answered whole; the socket stays open for the next worker; the exit code is 0."""
    with Worker(site, *words(name)) as worker:
        assert worker.get() == str(worker.popen.pid)
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(worker.get("/slow")))
        asking.start()
        eventually(lambda: (site / "begun").exists(), within=10)
        worker.popen.send_signal(signal.SIGTERM)
        # Whoever comes now waits in the socket for another worker.
        with socket.create_connection(("127.0.0.1", worker.port), timeout=5):
            assert not answers
            (site / "go").touch()
            asking.join(20)
        assert answers == [str(worker.popen.pid)], worker.log.read_text()
        assert worker.popen.wait(20) == 0, worker.log.read_text()


@pytest.mark.parametrize("name", [row.name for row in HERE if row.name != "wsgiref"])
def test_a_connection_that_waits_for_nothing_does_not_hold_up_a_stop(name: str, site: Path) -> None:
    """It is closed, long before the graceful timeout is over."""
    with (
        Worker(site, "--graceful-timeout", "600", *words(name)) as worker,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", worker.port, timeout=20)) as idle,
    ):
        idle.request("GET", "/")
        assert idle.getresponse().read() == str(worker.popen.pid).encode()
        worker.popen.send_signal(signal.SIGTERM)
        assert worker.popen.wait(30) == 0, worker.log.read_text()


@pytest.mark.parametrize("name", [row.name for row in HERE if row.name != "eventlet"])
def test_a_connection_that_was_accepted_before_a_stop_is_answered(name: str, site: Path) -> None:
    """Its first request comes after the signal; eventlet's server closes such a connection, and can't be told otherwise."""
    with (
        Worker(site, *words(name)) as worker,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", worker.port, timeout=20)) as early,
    ):
        early.connect()
        eventually(lambda: not waiting_in(worker.listening), within=10, what="the connection is accepted")
        worker.popen.send_signal(signal.SIGTERM)
        eventually(lambda: is_told(worker.popen.pid), within=10, what="the signal is taken")
        early.request("GET", "/")
        assert early.getresponse().read() == str(worker.popen.pid).encode()
        assert worker.popen.wait(30) == 0, worker.log.read_text()


@pytest.mark.parametrize("name", ["gevent", "fastgevent", "waitress", "uvicorn"])
def test_the_time_for_it_is_over_at_some_point(name: str, site: Path) -> None:
    """What never ends is cut off."""
    with Worker(site, "--graceful-timeout", "1", *words(name)) as worker:
        asking = threading.Thread(target=worker.is_cut_off)
        asking.start()
        eventually(lambda: (site / "begun").exists(), within=10)
        worker.popen.send_signal(signal.SIGTERM)
        worker.popen.wait(20)
        asking.join(20)


def test_a_second_signal_ends_it(site: Path) -> None:
    """Whoever is in a hurry need not wait."""
    with Worker(site, "--graceful-timeout", "600", *words("gevent")) as worker:
        asking = threading.Thread(target=worker.is_cut_off)
        asking.start()
        eventually(lambda: (site / "begun").exists(), within=10)
        worker.popen.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.popen.wait(0.5)
        eventually(lambda: not caught(worker.popen.pid) >> (signal.SIGTERM - 1) & 1, within=20)
        worker.popen.send_signal(signal.SIGTERM)
        assert worker.popen.wait(20) == -signal.SIGTERM
        asking.join(20)


def test_small_answers_are_not_held_back() -> None:
    """What is accepted sends at once, also where an answer is two writes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        Job(lambda *_: [], listening, 1.0).prepare()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_readiness_is_told_once_it_serves(site: Path, tmp_path: Path) -> None:
    """The datagram of systemd's protocol comes when the application is loaded, and the end is told too."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(20)
        with Worker(site, *words("gevent"), environ={"NOTIFY_SOCKET": str(path)}) as worker:
            assert b"READY=1" in manager.recv(1000).split(b"\n")
            assert worker.get() == str(worker.popen.pid)
            worker.popen.terminate()
            assert b"STOPPING=1" in manager.recv(1000)


@pytest.mark.parametrize("name", [row.name for row in HERE])
def test_a_change_of_the_source_is_served(name: str, site: Path, tmp_path: Path) -> None:
    """With --use-reloader: by the same process, on the same socket, and who asked is told again that it is ready, and that it lives."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(20)
        asked = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        with Worker(site, "--use-reloader", *words(name), environ=asked) as worker:
            assert b"READY=1" in manager.recv(1000).split(b"\n")
            for _ in range(2):
                hear(manager, b"WATCHDOG=1")
            assert worker.get() == str(worker.popen.pid)
            anew = APPLICATION.replace("str(os.getpid())", "f'{os.getpid()} anew'")
            assert anew != APPLICATION
            (site / "shop.py").write_text(anew)
            hear(manager, b"READY=1")
            hear(manager, b"WATCHDOG=1")
            assert worker.get() == f"{worker.popen.pid} anew"
            worker.popen.terminate()
            assert worker.popen.wait(20) == 0


WATCHED = """
[circus]
httpd = 0
[watcher:stuck]
cmd = {bin}/chaussette --fd $(circus.sockets.stuck) --backend gevent shop.app
use_sockets = true
working_dir = {site}
ready = notify
watchdog = 2
[socket:stuck]
host = 127.0.0.1
port = {stuck}
[watcher:threads]
cmd = {bin}/chaussette --fd $(circus.sockets.threads) --backend waitress shop.app
use_sockets = true
working_dir = {site}
ready = notify
watchdog = 2
[socket:threads]
host = 127.0.0.1
port = {threads}
"""


def test_a_worker_whose_loop_is_stuck_is_replaced_and_others_live_on(site: Path, tmp_path: Path) -> None:
    """With ``watchdog``: its loop gives no sign of life. One whose loop goes on beside a request that hangs does give them."""
    os.mkfifo(site / "fifo")
    ports = {"stuck": free_port(), "threads": free_port()}
    with Daemon(WATCHED.format(bin=BIN, site=site, **ports), tmp_path) as daemon:
        before = {name: eventually(lambda name=name: daemon.pids(name), within=20) for name in ports}
        for name, port in ports.items():
            assert [int(get(port))] == before[name]
        with contextlib.ExitStack() as stack:
            for port in ports.values():
                asking = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                asking.sendall(b"GET /stuck HTTP/1.1\r\nHost: shop\r\n\r\n")
            eventually(lambda: daemon.pids("stuck") not in ([], before["stuck"]), within=30)
            assert [int(get(ports["stuck"]))] == daemon.pids("stuck")
            (process,) = daemon.watcher("stuck")["processes"]
            assert process["exit"]["text"] == "was unhealthy: it has not said WATCHDOG=1 for 2 s"
            assert [int(get(ports["threads"]))] == before["threads"] == daemon.pids("threads")
            # The thread that waits is let go, so that its worker has nothing under way when it is told to stop.
            (site / "fifo").write_text("")


def test_hooks_get_the_arguments_and_modules_are_found(site: Path, tmp_path: Path) -> None:
    """--pre-hook before serving, --post-hook after it, --python-path before the folder that it runs in."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    hooks = ["--pre-hook", "shop.before", "--post-hook", "shop:after", "--python-path", str(site)]
    with Worker(elsewhere, *hooks, "--backend", "gevent", "shop:Holder.app", "an", "argument") as worker:
        assert (site / "before").read_text() == "gevent"
        assert worker.get() == str(worker.popen.pid)
        worker.popen.terminate()
        assert worker.popen.wait(20) == 0
    assert (site / "after").read_text() == "shop:Holder.app"


def test_paste_files_name_the_application(site: Path) -> None:
    """As ``paste:FILE``, by PasteDeploy."""
    (site / "shop.conf").write_text("[app:main]\npaste.app_factory = shop:make_paste\n")
    with Worker(site, "--backend", "gevent", "paste:shop.conf", environ={"PYTHONPATH": str(site)}) as worker:
        assert worker.get() == str(worker.popen.pid)


def failed(folder: Path, *args: str, code: int = 1) -> str:
    done = subprocess.run(
        [str(BIN / "chaussette"), *args], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1 or code == 2, done.stderr
    return done.stderr


def test_what_is_wrong_is_said_in_a_line(site: Path) -> None:
    """What was looked for, what was meant, what to do."""
    assert "there is no module 'shopp'" in failed(site, "shopp.app")
    assert "shop has no 'befor'; did you mean before?" in failed(site, "shop.befor")
    assert "names no object" in failed(site, "shop")
    assert "take fastgevent" in failed(site, "--backend", "meinheld", "shop.app")
    assert "descriptor 77 is no socket" in failed(site, "--fd", "77", "shop.app")
    assert "invalid choice: 'gevnet'" in failed(site, "--backend", "gevnet", "shop.app", code=2)
    assert "HTTP is not spoken over SOCK_DGRAM" in failed(site, "--socket-type", "SOCK_DGRAM", "shop.app")
    assert "there is no file 'no.ini'" in failed(site, "paste:no.ini")


@pytest.mark.parametrize("name", ["mall.web:app", "mall.web.app"])
def test_a_package_that_is_there_and_fails_says_why(site: Path, name: str) -> None:
    """Not that there is no such module: what it raises is shown."""
    (site / "mall").mkdir()
    (site / "mall" / "__init__.py").write_text("import nosuchlibrary\n")
    (site / "mall" / "web.py").write_text("app = None\n")
    done = subprocess.run(
        [str(BIN / "chaussette"), name], cwd=site, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "No module named 'nosuchlibrary'" in done.stderr
    assert "there is no module" not in done.stderr


def test_a_library_that_is_missing_is_named(site: Path) -> None:
    """With what installs it and what to take instead."""
    code = "import sys; sys.modules['waitress'] = None; from circusd.chaussette.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--backend", "waitress", "shop.app"],
        cwd=site,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install waitress, or take gevent" in done.stderr


def test_it_listens_by_itself_too(site: Path) -> None:
    """At an address and port, or at a path, over what a dead process has left there."""
    path = site / "shop.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))
    popen = subprocess.Popen(
        [str(BIN / "chaussette"), "--host", f"unix:{path}", "--backend", "gevent", "shop.app"],
        cwd=site,
        stderr=subprocess.DEVNULL,
    )
    try:
        body = eventually(lambda: ask_at(path), within=20)
        assert body.endswith(str(popen.pid).encode())
    finally:
        popen.terminate()
        assert popen.wait(20) == 0


def ask_at(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        try:
            client.connect(str(path))
        except OSError:
            return b""
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.recv(1000), b""))


@pytest.fixture
def served(site: Path, tmp_path: Path) -> Iterator[Daemon]:
    """Three workers of circusd on one socket."""
    text = f"""
[watcher:web]
cmd = {BIN}/chaussette --fd $(circus.sockets.web) --backend gevent shop.app
use_sockets = True
numprocesses = 3
working_dir = {site}
copy_env = True

[socket:web]
host = 127.0.0.1
port = 0
"""
    with Daemon(text, tmp_path) as daemon:
        yield daemon


def test_workers_of_circusd_share_one_socket(served: Daemon) -> None:
    """Each of them answers, and what one has begun another need not know of."""
    port = served.call("listsockets")["sockets"][0]["port"]
    eventually(lambda: {get(port) for _ in range(30)} == set(map(str, served.pids("web"))), within=20)
