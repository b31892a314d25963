"""A real circushttpd in front of a staged daemon, and a client that says exactly what a test wants said."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import circusweb
from tests.waiting import eventually
from tests.web.staged import ADMIN, StagedDaemon

ROOT = Path(circusweb.__file__).parent.parent
COOKIE = "circus_session"


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Console:
    """The program, its port, and the daemon behind it."""

    daemon: StagedDaemon
    args: tuple[str, ...] = ()
    session: str = ADMIN
    process: subprocess.Popen[bytes] | None = None
    listening: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128)
    )

    @property
    def port(self) -> int:
        port: int = self.listening.getsockname()[1]
        return port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, answers: int = 200) -> Console:
        """It answers, and has a connection to its daemon."""
        # The socket stays ours: its port is never free for another, also while the program is started anew.
        os.set_inheritable(self.listening.fileno(), True)
        words = [
            "--fd",
            str(self.listening.fileno()),
            "--endpoint",
            self.daemon.endpoint,
            "--name",
            "stage",
            *self.args,
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "circusweb.server", *words],
            stdin=subprocess.DEVNULL,
            pass_fds=[self.listening.fileno()],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'daemon'}"},
        )
        eventually(lambda: self.get("/session").status == answers, within=15, what="the console answers")
        return self

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """It has ended; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Console:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing of it is left."""
        if self.process is not None:
            self.stop()
        self.listening.close()

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        session: str | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """One request; ``session`` is put into its cookie (none when empty)."""
        given = session if session is not None else self.session
        sent = {**({"Cookie": f"{COOKIE}={given}"} if given else {}), **(headers or {})}
        own = connection or self.connect()
        try:
            own.request(method, path, body, sent)
            response = own.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            if connection is None:
                own.close()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(
        self,
        path: str,
        data: Any = None,
        *,
        csrf: str | None = None,
        headers: dict[str, str] | None = None,
        session: str | None = None,
    ) -> Answer:
        """A POST as our own page sends it; ``csrf`` takes another token than the right one."""
        token = csrf if csrf is not None else self.csrf(session if session is not None else self.session)
        sent = {
            "Content-Type": "application/json",
            "Origin": self.origin,
            "X-CSRF-Token": token,
            **(headers or {}),
        }
        body = json.dumps(data if data is not None else {}).encode()
        return self.ask("POST", path, body=body, headers=sent, session=session)

    def csrf(self, session: str) -> str:
        """The token that the page of this session carries."""
        found = re.search(r'data-csrf="(\w+)"', self.get("/d/stage/", session=session).text)
        return found[1] if found else ""

    def upgrade(
        self, *, headers: dict[str, str] | None = None, path: str = "/d/stage/live/"
    ) -> tuple[str, socket.socket]:
        """The status line of the answer to a WebSocket handshake, and its connection."""
        sent = {
            "Host": f"127.0.0.1:{self.port}",
            "Origin": self.origin,
            "Cookie": f"{COOKIE}={self.session}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **(headers or {}),
        }
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
        connection.sendall(f"GET {path}?EIO=4&transport=websocket HTTP/1.1\r\n{lines}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(1)):
            head += data
        return head.partition(b"\r\n")[0].decode(), connection


class Folder:
    """A folder with a path that is short enough for a unix socket."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="console-"))
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
