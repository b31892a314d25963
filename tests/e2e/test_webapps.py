"""The examples of the page on web applications, run as they stand there, with real servers and a real nginx."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
from pathlib import Path

import pytest

from tests.daemon import BIN, Daemon
from tests.ports import free_port
from tests.waiting import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "webapps.rst").read_text()

MY = """
def app(environ, start_response):
    body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def blocks(language: str) -> list[str]:
    """The blocks of that language on the page."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", PAGE, re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE).strip() + "\n" for block in found]


EXAMPLES = {
    re.findall(r"cmd = (\S+(?: \S+\.py)?(?:.*--backend \S+)?)", block)[0]: block for block in blocks("ini")
}
BY_TCP = {name: block for name, block in EXAMPLES.items() if "port = 8000" in block}


def placed(block: str, folder: Path, port: int) -> str:
    """The example at a port of its own, with the application and the launchers in its folder."""
    (folder / "my.py").write_text(MY)
    for code in blocks("python"):
        (folder / ("serve_waitress.py" if "waitress" in code else "serve_tornado.py")).write_text(code)
    found = block.replace("port = 8000", f"port = {port}").replace("/run/shop", str(folder))
    found = found.replace("use_sockets = True", f"use_sockets = True\nworking_dir = {folder}")
    return f"{found}\n[env:web]\nPATH = {BIN}:/usr/bin:/bin\nPYTHONPATH = {folder}\n"


def said_at(port: int) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        except OSError:
            return b""


@pytest.mark.parametrize("name", BY_TCP)
def test_an_example_of_the_page_serves(name: str, tmp_path: Path) -> None:
    """Two workers, one socket; and it stops when it is told to, without being killed."""
    port = free_port()
    with Daemon(placed(BY_TCP[name], tmp_path, port), tmp_path) as daemon:
        eventually(lambda: said_at(port) == b"hello", within=30, what="an answer")
        assert len(daemon.pids("web")) == 2
        daemon.ctl("stop", "web", "--waiting", timeout=60)
        ends = [e for e in daemon.call("events", lines=500)["events"] if e["event"] == "process.exited"]
        assert len(ends) == 2, ends
        assert all(e.get("signal") in (None, "SIGTERM", 15) for e in ends), ends


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_nginx_in_front_reaches_the_workers(way: str, tmp_path: Path) -> None:
    """By a unix socket and by TCP; after a reload too."""
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    block = next(block for block in EXAMPLES.values() if "web.sock" in block)
    inner, outer = free_port(), free_port()
    if way == "tcp":
        block = re.sub(r"path = .*\n.*\n.*\n", f"host = 127.0.0.1\nport = {inner}\n", block)
    # nginx's own user has to get there.
    folder = Path("/tmp") / f"circus-{tmp_path.name}-{outer}"
    folder.mkdir(mode=0o755)
    try:
        server = (
            blocks("nginx")[0]
            .replace("127.0.0.1:8080", f"127.0.0.1:{outer}")
            .replace("/run/shop", str(folder))
        )
        if way == "tcp":
            server = re.sub(r"server unix:\S+", f"server 127.0.0.1:{inner}", server)
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\nworker_processes 1; user root;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
            f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{server}\n}}\n"
        )
        text = placed(block, folder, inner) + f"\n[watcher:nginx]\ncmd = {nginx} -c {conf}\n"
        with Daemon(text, tmp_path) as daemon:
            eventually(lambda: said_at(outer) == b"hello", within=30, what="an answer through nginx")
            daemon.ctl("reload", "web", "--waiting", timeout=60)
            for _ in range(20):
                assert said_at(outer) == b"hello"
    finally:
        shutil.rmtree(folder)


def test_every_server_of_the_page_is_run() -> None:
    """What the page shows is what these tests try."""
    servers = {name.split()[0] for name in BY_TCP}
    assert servers == {"chaussette", "gunicorn", "uvicorn", "hypercorn", "daphne", "python3"}
    assert len(BY_TCP) == 8
