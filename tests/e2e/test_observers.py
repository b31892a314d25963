"""The plugins that look after a redis and a web server, with real ones."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.plugins import Statsd, count, said
from tests.ports import free_port
from tests.waiting import eventually

REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"


def redis_section(port: int, folder: Path, more: str = "") -> str:
    return (
        f"[watcher:redis]\ncmd = {REDIS} --port {port} --bind 127.0.0.1 --save '' --dir {folder} {more}\n"
        "stdout_stream.class = StdoutStream\n"
    )


def test_redis_is_told_of_and_restarted_when_it_does_not_answer(tmp_path: Path) -> None:
    """A real server, by the original's names; one that is stopped in its tracks does not answer."""
    port = free_port()
    with Statsd() as statsd:
        ini = (
            "[plugin:redis]\nuse = circus.plugins.redis_observer.RedisObserver\nloop_rate = 0.3\ntimeout = 1\n"
            f"redis_url = redis://127.0.0.1:{port}/0\nrestart_on_timeout = redis\n{statsd.options()}"
            + redis_section(port, tmp_path)
            + "graceful_timeout = 2\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            head = "circus.redis_observer.watcher.redis_stats."
            names = {
                "connected_clients",
                "used_memory",
                "uptime_in_seconds",
                "keyspace_hits",
                "mem_fragmentation_ratio",
            }
            eventually(
                lambda: {head + name for name in names} <= {t.partition(":")[0] for t in statsd.texts},
                within=20,
            )
            assert all(text.endswith(("|g", "|c")) for text in statsd.texts)
            before = count(daemon, "redis", "process.started")
            daemon.call("signal", name="redis", signum="STOP")
            eventually(lambda: count(daemon, "redis", "process.started") > before, within=20)
            eventually(lambda: "redis is restarted: redis does not answer" in said(daemon, "redis"))
            eventually(lambda: {f"{head}error:1|c", f"{head}restart_on_error:1|c"} <= set(statsd.texts))
            # Once it answers, it is left alone.
            eventually(lambda: "redis answers again" in said(daemon, "redis"), within=20)
            after, seen = count(daemon, "redis", "process.started"), len(statsd.texts)
            eventually(lambda: len(statsd.texts) > seen + 30, within=20)
            assert count(daemon, "redis", "process.started") == after


def test_redis_that_refuses_the_password_is_not_restarted(tmp_path: Path) -> None:
    """It is there: a restart would not make it better. The password is shown nowhere."""
    port = free_port()
    ini = (
        "[plugin:redis]\nuse = redis_observer\nloop_rate = 0.2\n"
        f"redis_url = redis://:wrong-password@127.0.0.1:{port}/0\nrestart_on_timeout = redis\n"
        + redis_section(port, tmp_path, "--requirepass right-password")
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: "invalid username-password" in said(daemon, "redis"), within=20)
        asked = daemon.call("output", names=["plugin:redis"])["lines"]
        assert len(asked) <= 2, "it is said once, and perhaps once that it was not up yet"
        assert count(daemon, "redis", "process.exited") <= 1
        assert "wrong-password" not in said(daemon, "redis")
        assert "wrong-password" not in str(daemon.call("plugins"))
        assert "wrong-password" not in daemon.log.read_text()


class Answers:
    """What a server answers, and how often it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.answer: Callable[[http.server.BaseHTTPRequestHandler], None] = self.fine

    @staticmethod
    def fine(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    @staticmethod
    def status(number: int, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(number)
            for key, value in headers.items():
                handler.send_header(key, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        return answer


@contextmanager
def web_server(answers: Answers, context: ssl.SSLContext | None = None) -> Iterator[Answers]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answers.asked.append(self.path)
            answers.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", answers.port), Handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        answers.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()


def drips(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever: no single read takes long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        handler.close_connection = True


def garbage(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\xff\x00 no HTTP\r\n\r\n")
    handler.close_connection = True


def flood(handler: http.server.BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000)
    handler.close_connection = True


def short(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    handler.close_connection = True


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        (Answers.status(500), 500, "status 500"),
        (Answers.status(404), 404, "status 404"),
        (Answers.status(302, Location="/"), 599, "more than 5 redirections"),
        (Answers.status(302, Location="file:///etc/passwd"), 599, "no address of the web"),
        (drips, 599, "no answer within 1 s"),
        (garbage, 599, "the answer is no HTTP"),
        (flood, 599, "longer than 65536 bytes"),
        (short, 599, "the page broke off"),
    ],
    ids=["500", "404", "loop", "elsewhere", "drips", "garbage", "flood", "short"],
)
def test_page_that_fails_restarts_its_watcher(
    tmp_path: Path, answer: Callable[[http.server.BaseHTTPRequestHandler], None], code: int, why: str
) -> None:
    """Whatever the server does instead of answering; before and after, the time that it took is sent."""
    with Statsd() as statsd, web_server(Answers()) as answers:
        ini = (
            "[plugin:web]\nuse = circus.plugins.http_observer.HttpObserver\nloop_rate = 0.2\ntimeout = 1\n"
            f"check_url = http://127.0.0.1:{answers.port}/page?q=1\nrestart_on_error = web\n{statsd.options()}"
            "[watcher:web]\ncmd = sleep 1000\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            head = "circus.http_observer.watcher.http_stats."
            eventually(lambda: any(t.startswith(f"{head}request_time:") for t in statsd.texts), within=20)
            assert set(answers.asked) == {"/page?q=1"}
            assert count(daemon, "web", "process.exited") == 0
            answers.answer = answer
            eventually(lambda: count(daemon, "web", "process.exited") > 0, within=20)
            eventually(lambda: why in said(daemon, "web"))
            told = {head + text for text in ("error:1|c", f"error.{code}:1|c", "restart_on_error:1|c")}
            eventually(lambda: told <= set(statsd.texts))
            answers.answer = Answers.fine
            eventually(lambda: "is fine again" in said(daemon, "web"), within=20)


def test_redirection_is_followed(tmp_path: Path) -> None:
    """To where the page is now."""
    with Statsd() as statsd, web_server(Answers()) as answers:

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            moved = Answers.status(301, Location="new/place")
            (moved if handler.path == "/old/" else Answers.fine)(handler)

        answers.answer = answer
        ini = (
            "[plugin:web]\nuse = http_observer\nloop_rate = 0.2\n"
            f"check_url = http://127.0.0.1:{answers.port}/old/\n{statsd.options()}"
        )
        with Daemon(ini, tmp_path) as daemon:
            eventually(lambda: any("request_time" in text for text in statsd.texts), within=20)
            assert answers.asked[:2] == ["/old/", "/old/new/place"]
            assert said(daemon, "web") == ""


def test_certificate_of_nobody_is_an_error(tmp_path: Path) -> None:
    """TLS is checked as a browser would; nobody listening is an error as well."""
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.socket() as nobody, web_server(Answers(), context) as answers:
        nobody.bind(("127.0.0.1", 0))
        ini = (
            f"[plugin:tls]\nuse = http_observer\nloop_rate = 0.2\ncheck_url = https://127.0.0.1:{answers.port}/\n"
            f"[plugin:none]\nuse = http_observer\nloop_rate = 0.2\ncheck_url = http://127.0.0.1:{nobody.getsockname()[1]}/\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in said(daemon, "tls"), within=20)
            eventually(lambda: "Connect call failed" in said(daemon, "none"), within=20)
