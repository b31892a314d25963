"""Three configurations of 2013, letter for letter but for their paths, run with real programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import BIN, Daemon
from tests.namespace import InNamespace
from tests.waiting import eventually

FILES = Path(__file__).parent.parent / "fixtures" / "ini"

WORKER = """
import sys, time
n = 0
while True:
    n += 1
    print(f"{sys.argv[1]} out {n}", flush=True)
    print(f"{sys.argv[1]} err {n}", file=sys.stderr, flush=True)
    time.sleep(0.05)
"""

WSGI = """
import os, socket, sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

def app(environ, start_response):
    print("served by", os.getpid(), flush=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

if "--fd" in sys.argv:
    class Inherited(WSGIServer):
        def server_bind(self):
            self.socket.close()
            self.socket = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
            self.socket.setblocking(True)
            self.server_name, self.server_port = "x", 0
            self.setup_environ()
        def server_activate(self):
            pass
    server = Inherited(("", 0), WSGIRequestHandler)
    server.set_app(app)
else:
    server = make_server("127.0.0.1", 0, app)
print("ready", flush=True)
server.serve_forever()
"""


def program(path: Path, code: str, *first: str) -> Path:
    """An executable script that runs this code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".py")
    source.write_text(code)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -u {source} {" ".join(first)} "$@"\n')
    path.chmod(0o755)
    return path


def is_replaced(daemon: Daemon, name: str, pid: int, count: int) -> bool:
    """Whether the watcher has so many processes, and that one is not among them."""
    pids = daemon.pids(name)
    return len(pids) == count and pid not in pids


def heals(daemon: Daemon, name: str) -> None:
    """Each process of the watcher is replaced after a kill -9."""
    for pid in daemon.pids(name):
        eventually(
            lambda: all(p["started"] < time.time() - 1 for p in daemon.watcher(name)["processes"]), within=10
        )
        others = set(daemon.pids(name)) - {pid}
        os.kill(pid, signal.SIGKILL)
        eventually(partial(is_replaced, daemon, name, pid, len(others) + 1), within=5)


def test_the_django_stack_runs_with_redis_and_console(tmp_path: Path) -> None:
    """One web application, a real redis, five workers, the console on; every process is healed."""
    redis = shutil.which("redis-server") or pytest.fail("redis-server is not installed")
    program(tmp_path / "bin" / "pserve", WSGI)
    program(tmp_path / "retools-worker", WORKER, "worker")
    conf = tmp_path / "redis.conf"
    conf.write_text(f"dir {tmp_path}\nsave ''\n")
    ini = (FILES / "django-stack.ini").read_text()
    ini = ini.replace("bin/pserve", str(tmp_path / "bin" / "pserve"))
    ini = ini.replace("/usr/local/bin/redis-server", redis).replace("/usr/local/etc/redis.conf", str(conf))
    ini = ini.replace("/var/myapp/bin/", f"{tmp_path}/")
    with InNamespace(ini, tmp_path) as daemon:
        assert daemon.call("numprocesses", name="retools-workers")["numprocesses"] == 5
        eventually(lambda: "PONG" in daemon.inside(PING), within=10)
        for name in ("django", "redis", "retools-workers"):
            heals(daemon, name)
        eventually(lambda: "PONG" in daemon.inside(PING), within=10)
        eventually(lambda: "worker out" in daemon.ctl("tail", "retools-workers").stdout)
        page = eventually(lambda: daemon.inside(GET.format(port=8080)), within=15)
        assert "circus" in page.lower()


PING = """
import socket
s = socket.create_connection(("127.0.0.1", 6379), 5)
s.sendall(b"PING\\r\\n")
print(s.recv(64))
"""

GET = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:{port}/", timeout=5).read().decode())
"""


APPLICATION = """
import os

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def wsgi_socket(folder: Path) -> str:
    """The example with a real application beside it; only the program's path is ours."""
    (folder / "my.py").write_text(APPLICATION)
    return (FILES / "wsgi-socket.ini").read_text().replace("chaussette", str(BIN / "chaussette"))


def test_the_wsgi_workers_accept_on_one_socket(tmp_path: Path) -> None:
    """Five workers share the socket that circusd owns, and it outlives each of them."""
    with InNamespace(wsgi_socket(tmp_path), tmp_path) as daemon:
        assert len(daemon.pids("web")) == 5
        eventually(lambda: daemon.inside(GET.format(port=8000)).strip().isdigit(), within=20)
        heals(daemon, "web")
        answered = int(eventually(lambda: daemon.inside(GET.format(port=8000)).strip(), within=20))
        assert answered in daemon.pids("web")


NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream app {{ server {server} fail_timeout=0; }}
    server {{
        listen 127.0.0.1:8080;
        location / {{ proxy_pass http://app; proxy_set_header Host $http_host; }}
    }}
}}
"""

MANY = """
import urllib.request
said = {urllib.request.urlopen("http://127.0.0.1:8080/", timeout=20).read().decode() for _ in range(100)}
print(*said)
"""


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_nginx_stands_in_front_of_the_wsgi_workers(way: str, tmp_path: Path) -> None:
    """Debian's nginx, by TCP to the example as it is, and by a unix socket; all is answered, also while workers are replaced."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx") or pytest.fail("nginx is not installed")
    folder = Path(tempfile.mkdtemp(prefix="circus-nginx-"))
    ini, server = wsgi_socket(tmp_path), "127.0.0.1:8000"
    if way == "unix":
        ini = ini.replace("host = 0.0.0.0\nport = 8000", f"path = {folder}/web.sock")
        server = f"unix:{folder}/web.sock"
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, server=server, user=user))
    try:
        with InNamespace(
            f"{ini}\n[watcher:nginx]\ncmd = {nginx} -c {folder}/nginx.conf\n", tmp_path
        ) as daemon:
            eventually(lambda: daemon.inside(GET.format(port=8080)).strip().isdigit(), within=30)
            before = set(daemon.pids("web"))
            assert set(map(int, daemon.inside(MANY).split())) <= before
            reload = subprocess.Popen(
                [daemon.program("circusctl"), "reload", "web", "--waiting", "--timeout", "60"],
                env=daemon.environ,
                stdout=subprocess.DEVNULL,
            )
            try:
                while reload.poll() is None:
                    daemon.inside(MANY)
            finally:
                assert reload.wait(60) == 0
            assert not before & set(map(int, daemon.inside(MANY).split()))
    finally:
        shutil.rmtree(folder)


def test_the_insight_stack_writes_its_files(tmp_path: Path) -> None:
    """Output of an interface and three consumers goes to their files, whole lines only, also after a kill."""
    program(tmp_path / "bin" / "insight_api", WORKER, "api")
    program(tmp_path / "bin" / "insight", WORKER, "consumer")
    ini = (FILES / "insight.ini").read_text().replace("/var/log/", f"{tmp_path}/")
    with Daemon(ini, tmp_path) as daemon:
        assert len(daemon.pids("insight_consumer")) == 3
        api, consumer = tmp_path / "insight_api.log", tmp_path / "insight_consummer.log"
        eventually(lambda: "api out 3\n" in api.read_text(), within=10)
        eventually(lambda: "consumer out 3\n" in consumer.read_text(), within=10)
        heals(daemon, "insight_api")
        heals(daemon, "insight_consumer")
        # The files name no sink for stderr; it is captured all the same.
        eventually(lambda: "api err" in daemon.ctl("tail", "insight_api").stdout)
    for line in consumer.read_text().splitlines():
        assert line.startswith("consumer out "), line


def test_tail_follows_what_is_written(tmp_path: Path) -> None:
    """circusctl tail -f shows the history, then what comes, with the name of the watcher."""
    program(tmp_path / "bin" / "insight_api", WORKER, "api")
    program(tmp_path / "bin" / "insight", WORKER, "consumer")
    ini = (FILES / "insight.ini").read_text().replace("/var/log/", f"{tmp_path}/")
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: "api out" in daemon.ctl("tail", "insight_api").stdout)
        tail = subprocess.Popen(
            [daemon.program("circusctl"), "tail", "-f", "insight_api", "insight_consumer"],
            stdout=subprocess.PIPE,
            env=daemon.environ,
            text=True,
        )
        assert tail.stdout is not None
        try:
            seen: set[str] = set()
            for line in tail.stdout:
                seen.add(" ".join(line.split()[-3:-1]))
                if {"api out", "api err", "consumer out", "consumer err"} <= seen:
                    break
        finally:
            tail.terminate()
            tail.wait(10)
            tail.stdout.close()
