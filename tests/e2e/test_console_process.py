"""The console's process: nobody's, wherever its files lie, and nothing that the daemon depends on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
INI = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n[watcher:web]\ncmd = sleep 1000\n"


class FromFolder(Daemon):
    """circusd and its console from a copy of the sources."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "circusd.cli.circusd", str(self.config)]


def get(daemon: Daemon, path: str) -> str:
    """What the console answers to a GET, whatever its status."""
    address = daemon.call("inspect")["daemon"]["httpd"]
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def status_of(pid: int, field: str) -> list[str]:
    """A field of the process's status."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(field + ":"))


@pytest.mark.skipif(os.getuid() != 0, reason="there is no border to cross for an ordinary user")
def test_the_console_is_nobody_s_process_also_where_nobody_could_read_its_files(tmp_path: Path) -> None:
    """In a folder that is closed to others it serves everything, as an ordinary user without rights."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("circusweb", "static", "templates"):
        shutil.copytree(ROOT / name, closed / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "daemon" / "circusd", closed / "circusd", ignore=shutil.ignore_patterns("__pycache__")
    )
    with FromFolder(INI, tmp_path, environ={"PYTHONPATH": str(closed)}) as daemon:
        page = eventually(lambda: get(daemon, "/login"), within=20)
        (pid,) = daemon.pids("circushttpd")
        assert status_of(pid, "Uid") == ["65534"] * 4
        assert status_of(pid, "CapEff") == ["0000000000000000"]
        script = re.search(r'src="([^"]+login\.js)"', page)
        assert script is not None, page
        assert "token" in get(daemon, script[1])
        assert "not found" in get(daemon, "/no/such/page").lower()


def test_a_console_that_dies_harms_nothing_and_is_back(tmp_path: Path) -> None:
    """Its port stays the daemon's, processes run on, and sessions outlive it."""
    with Daemon(INI, tmp_path) as daemon:
        (web,) = daemon.pids("web")
        address = daemon.call("inspect")["daemon"]["httpd"]
        (console,) = daemon.pids("circushttpd")
        eventually(lambda: get(daemon, "/login"), within=20)
        os.kill(console, signal.SIGKILL)
        eventually(lambda: daemon.pids("circushttpd") not in ([], [console]), within=10)
        assert eventually(lambda: get(daemon, "/login"), within=20)
        assert daemon.call("inspect")["daemon"]["httpd"] == address
        assert daemon.pids("web") == [web]
