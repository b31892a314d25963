"""What may stand before the console: a real nginx, and certificates."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.waiting import eventually

NGINX = "/usr/sbin/nginx"

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 404 "something else\\n"; }}
        {locations}
    }}
}}
"""

LOCATION = """
        location {path}/ {{
            proxy_pass http://127.0.0.1:{console}{passed};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 1h;
            {more}
        }}
"""


class Nginx:
    """Debian's nginx, as an ordinary process of the test."""

    def __init__(self, locations: str) -> None:
        """It serves these, and 404 elsewhere."""
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="nginx-"))
        self._locations = locations
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """One line for each request."""
        return (self.folder / "access.log").read_text()

    def __enter__(self) -> Nginx:
        path = self.folder / "nginx.conf"
        path.write_text(CONFIGURATION.format(folder=self.folder, port=self.port, locations=self._locations))
        self._process = subprocess.Popen([NGINX, "-c", str(path), "-e", str(self.folder / "error.log")])
        eventually(self._listens, within=10, what="nginx listens")
        return self

    def _listens(self) -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def location(console: int, path: str, *, passed: str = "/", more: str = "") -> str:
    """A console below a path; with ``passed`` empty the path goes on as it came."""
    return LOCATION.format(console=console, path=path, passed=passed, more=more)


def make_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate of its own making for this machine, and its key."""
    certificate, key = folder / "console.crt", folder / "console.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return certificate, key
