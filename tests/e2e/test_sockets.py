"""Sockets that come and go by command: they listen, are handed down, and leave nothing behind."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

CONFIGURATION = """
[watcher:web]
cmd = sleep 1000
"""

ANSWERS = (
    "import socket,sys; s=socket.socket(fileno=int(sys.argv[1]))\n"
    "while True: c,_=s.accept(); c.sendall(b'here'); c.close()"
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path_factory.mktemp("sockets")) as running:
        yield running


def opened(daemon: Daemon, *words: str) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(daemon.ctl("--json", "addsocket", *words).stdout)
    assert reply["status"] == "ok", reply
    found: dict[str, Any] = reply["socket"]
    return found


def said_at(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return client.recv(10)


def test_a_socket_that_was_added_is_served_by_a_watcher_that_names_it(daemon: Daemon) -> None:
    """It listens at once, is handed down, is shown with its real port, and can't be taken from under the watcher."""
    found = opened(daemon, "Front", "--host", "127.0.0.1", "--port", "0", "--backlog", "17", "--blocking")
    assert (found["name"], found["backlog"]) == ("front", 17)
    assert f"socket 'front' at 127.0.0.1:{found['port']}" in daemon.ctl("listsockets").stdout
    with socket.create_connection(("127.0.0.1", found["port"])):
        pass
    command = [sys.executable, "-c", ANSWERS, "$(circus.sockets.front)"]
    daemon.ctl("add", "--start", "--waiting", "--use-sockets", "serve", "--", *command)
    assert said_at(found["port"]) == b"here"
    done = daemon.ctl("rmsocket", "front", check=False)
    assert done.returncode == 3
    assert "socket front is named by serve" in done.stderr
    assert said_at(found["port"]) == b"here"
    reply = json.loads(daemon.ctl("--json", "rmsocket", "FRONT", "--force").stdout)
    assert reply["held_by"] == ["serve"]
    assert said_at(found["port"]) == b"here", "what runs keeps what it has inherited"
    daemon.ctl("rm", "serve", "--waiting")
    with pytest.raises(ConnectionRefusedError):
        said_at(found["port"])
    names = [e["event"] for e in daemon.call("events", lines=200)["events"] if e.get("socket") == "front"]
    assert names == ["socket.opened", "socket.closed"]


def test_a_unix_socket_is_gone_with_its_file(daemon: Daemon) -> None:
    """Removed by us it leaves no file, and no descriptor."""
    path = daemon.runtime / "x.sock"
    fds = Path(f"/proc/{daemon.pid}/fd")
    before = len(list(fds.iterdir()))
    assert opened(daemon, "local", "--path", str(path), "--umask", "077")["path"] == str(path)
    assert path.is_socket()
    assert path.stat().st_mode & 0o777 == 0o700
    daemon.ctl("rmsocket", "local")
    assert not path.exists()
    eventually(lambda: len(list(fds.iterdir())) <= before, what="no descriptor more than before")


def test_what_can_not_be_opened_is_told_and_leaves_nothing(daemon: Daemon) -> None:
    """A taken address, a taken name, an unknown option, a name that no command could say."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = daemon.ctl("addsocket", "twice", "--host", "127.0.0.1", "--port", port, check=False)
        assert done.returncode == 3
        assert port in done.stderr
    assert "twice" not in daemon.ctl("listsockets").stdout
    opened(daemon, "once", "--host", "127.0.0.1", "--port", "0")
    again = daemon.ctl("addsocket", "once", "--host", "127.0.0.1", "--port", "0", check=False)
    assert "socket once already exists" in again.stderr
    wrong = daemon.ctl("addsocket", "a/b", "--host", "127.0.0.1", check=False)
    assert "can't be a socket's name" in wrong.stderr
    flag = daemon.ctl("addsocket", "x", "--bcklog", "3", check=False)
    assert (flag.returncode, "did you mean --backlog?" in flag.stderr) == (2, True)
    unix = daemon.ctl("addsocket", "x", "--family", "AF_UNIX", check=False)
    assert "AF_UNIX without a path" in unix.stderr
    gone = daemon.ctl("rmsocket", "onec", check=False)
    assert "socket onec not found; did you mean once?" in gone.stderr
    daemon.ctl("rmsocket", "once")
    assert daemon.ctl("listsockets").stdout == "\n"


def test_a_socket_of_the_file_takes_the_place_of_one_that_was_added(tmp_path: Path) -> None:
    """A reload leaves one socket of that name, and not a second one that nobody knows of."""
    with Daemon(CONFIGURATION, tmp_path) as daemon:
        old = opened(daemon, "late", "--host", "127.0.0.1", "--port", "0")
        daemon.config.write_text(CONFIGURATION + "\n[socket:late]\nhost = 127.0.0.1\nport = 0\n")
        daemon.ctl("reloadconfig", "--waiting")
        (new,) = daemon.call("listsockets")["sockets"]
        assert new["port"] != old["port"]
        with pytest.raises(ConnectionRefusedError):
            said_at(old["port"])


def test_the_sockets_of_the_console_are_its_own(tmp_path: Path) -> None:
    """It is not closed below it, not even by force."""
    with Daemon("[circus]\nhttpd = true\nhttpd_port = 0\n" + CONFIGURATION, tmp_path) as daemon:
        done = daemon.ctl("rmsocket", "circushttpd", "--force", check=False)
        assert done.returncode == 3
        assert "is the console's" in done.stderr
