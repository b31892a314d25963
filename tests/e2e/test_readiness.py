"""What tells that a process is ready: its own word, as the kernel knows the speaker, or a look; with real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import BIN, Daemon
from tests.ports import free_port
from tests.waiting import environment, eventually

SPEAKER = """
import os, pathlib, socket, subprocess, sys, time
folder, wid = pathlib.Path(sys.argv[1]), os.environ["CIRCUS_WID"]

def tell(*lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("\\n".join(lines).encode(), "\\0" + os.environ["NOTIFY_SOCKET"][1:])

if len(sys.argv) > 2 and sys.argv[2] == "below":
    tell("READY=1", "STATUS=said by a child of a child")
    sys.exit()
(folder / f"address-{wid}").write_text(os.environ["NOTIFY_SOCKET"])
while True:
    for path in sorted(folder.glob(f"say-{wid}-*")):
        tell(*path.read_text().splitlines())
        path.unlink()
    if (folder / "below").exists():
        (folder / "below").unlink()
        subprocess.run(["sh", "-c", f"{sys.executable} {__file__} {folder} below; true"])
    if (folder / "flood").exists():
        while True:
            tell("STATUS=" + str(time.time()))
    time.sleep(0.01)
"""


@pytest.fixture
def speaker(tmp_path: Path) -> str:
    """A command that says what it is told to say, by files."""
    (tmp_path / "speaker.py").write_text(SPEAKER)
    return f"{sys.executable} {tmp_path}/speaker.py {tmp_path}"


def say(folder: Path, *lines: str, wid: int = 1) -> None:
    """The process of that number is told to say so."""
    new = folder / f".{wid}-{time.monotonic_ns()}"
    new.write_text("\n".join(lines))
    new.rename(folder / f"say-{wid}-{time.monotonic_ns()}")


def first(daemon: Daemon, name: str = "web") -> dict[str, Any]:
    found: dict[str, Any] = daemon.watcher(name)["processes"][0]
    return found


def test_a_start_waits_for_the_word_and_shows_what_is_said_meanwhile(tmp_path: Path, speaker: str) -> None:
    """By circusctl, by explain and by what the console gets; wait --for ready waits for the same."""
    with Daemon(f"[watcher:web]\ncmd = {speaker}\nready = notify\nautostart = no\n", tmp_path) as daemon:
        daemon.ctl("start", "web")
        say(tmp_path, "STATUS=loading\x1b[2J 7 of 9")
        eventually(lambda: first(daemon)["said"] == "loading [2J 7 of 9", within=20)
        assert first(daemon)["awaits"] == "notify"
        assert "it has not said READY=1, but: loading [2J 7 of 9" in daemon.ctl("explain", "web").stdout
        assert daemon.watcher("web")["job"]["command"] == "start"
        assert daemon.ctl("wait", "web", "--for", "ready", "--timeout", "0.2", check=False).returncode != 0
        say(tmp_path, "READY=1", "STATUS=serves")
        daemon.ctl("wait", "web", "--for", "ready", "--timeout", "20")
        assert (first(daemon)["state"], first(daemon)["said"]) == ("ready", "serves")
        say(tmp_path, "RELOADING=1")
        eventually(lambda: first(daemon)["reason"] == "reloading", within=20)
        say(tmp_path, "READY=1")
        eventually(lambda: first(daemon)["state"] == "ready", within=20)


def test_only_the_process_itself_and_what_is_below_it_is_heard(tmp_path: Path, speaker: str) -> None:
    """Not who else of this machine sends to the socket, nor a process of another watcher; a child's child is."""
    ini = (
        f"[watcher:web]\ncmd = {speaker}\nready = notify\nautostart = no\n[watcher:other]\ncmd = sleep 1000\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        daemon.ctl("start", "web")
        address = eventually((tmp_path / "address-1").read_text, within=20)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            for text in (
                b"READY=1",
                f"READY=1\nMAINPID={daemon.pids('web')[0]}".encode(),
                b"",
                b"\xff" * 5000,
            ):
                sock.sendto(text, "\0" + address[1:])
        eventually(lambda: "is not heard" in daemon.log.read_text(), within=20)
        assert first(daemon)["state"] == "running"
        (tmp_path / "below").touch()
        eventually(lambda: first(daemon)["state"] == "ready", within=20)
        assert first(daemon)["said"] == "said by a child of a child"


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_a_process_of_another_user_is_heard(tmp_path: Path, speaker: str) -> None:
    """Who may not enter the daemon's folders reaches its socket all the same."""
    code = (
        "import os, socket, time; s = socket.socket(1, 2); "
        "s.sendto(b'READY=1', chr(0) + os.environ['NOTIFY_SOCKET'][1:]); time.sleep(1000)"
    )
    ini = (
        f'[watcher:web]\ncmd = /usr/bin/python3 -c "{code}"\nworking_dir = /\nuid = nobody\nready = notify\n'
    )
    with Daemon(ini, tmp_path) as daemon:
        assert first(daemon)["state"] == "ready"


def test_a_process_that_says_things_without_end_delays_nobody_for_long(tmp_path: Path, speaker: str) -> None:
    """Others are heard, and circusd answers."""
    ini = (
        f"[watcher:web]\ncmd = {speaker}\n[watcher:other]\ncmd = {speaker}\nautostart = no\nready = notify\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        (tmp_path / "flood").touch()
        eventually(lambda: first(daemon)["said"], within=20)
        (tmp_path / "flood").unlink()
        daemon.ctl("start", "other")
        say(tmp_path, "READY=1")
        eventually(lambda: first(daemon, "other")["state"] == "ready", within=20)
        before = first(daemon)["said"]
        eventually(lambda: first(daemon)["said"] != before, within=20)


def test_the_stop_signal_goes_to_the_process_that_has_the_work(tmp_path: Path, speaker: str) -> None:
    """A shell that passes nothing on says who is below it; a process that is not below it is none of its own."""
    script = tmp_path / "around"
    script.write_text(
        f"#!/bin/sh\ntrap : TERM\nsh -c 'trap \"echo ended > {tmp_path}/ended; exit\" TERM; while :; do sleep 0.05; done' &\n"
        f"echo MAINPID=$! > {tmp_path}/main\n{speaker} &\nwait %1\nkill -9 $!\n"
    )
    script.chmod(0o755)
    with Daemon(f"[watcher:web]\ncmd = {script}\n[watcher:other]\ncmd = sleep 1000\n", tmp_path) as daemon:
        eventually((tmp_path / "address-1").exists, within=20)
        say(tmp_path, f"MAINPID={daemon.pids('other')[0]}")
        eventually(lambda: "no process of its own" in daemon.log.read_text(), within=20)
        main = (tmp_path / "main").read_text().strip()
        say(tmp_path, main)
        eventually(lambda: f"MAINPID={first(daemon)['main_pid']}" == main, within=20)
        daemon.ctl("stop", "web", "--waiting", timeout=60)
        assert (tmp_path / "ended").read_text() == "ended\n"
        assert len(daemon.pids("other")) == 1


def test_one_that_is_late_is_stopped_and_tried_again_and_told(tmp_path: Path, speaker: str) -> None:
    """By an event with the reason."""
    ini = f"[watcher:web]\ncmd = {speaker}\nready = notify\nstart_timeout = 0.5\nautostart = no\n"
    with Daemon(ini, tmp_path) as daemon:
        daemon.ctl("start", "web")

        def told() -> list[str]:
            events = daemon.call("events", name="web")["events"]
            return [e["text"] for e in events if e["event"] == "process.unready"]

        assert eventually(told, within=20)[0] == "1 is not ready within 0.5 s: it has not said READY=1"
        eventually(lambda: first(daemon)["starts"] > 1, within=20)
        assert "was not ready within 0.5 s" in first(daemon)["exit"]["text"]


@pytest.mark.parametrize("ready", ["auto", "started", "http://127.0.0.1:1/"])
def test_who_is_told_where_to_speak(tmp_path: Path, ready: str) -> None:
    """All but those whose word does not count; and a variable of one's own stays as it is."""
    ini = (
        f"[watcher:web]\ncmd = sleep 1000\nready = {ready}\nautostart = no\n"
        f"[watcher:own]\ncmd = sleep 1000\nready = {ready}\nautostart = no\n[env:own]\nNOTIFY_SOCKET = /run/mine\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        daemon.ctl("start", "web")
        daemon.ctl("start", "own")
        web, own = (environment(daemon.pids(name)[0]) for name in ("web", "own"))
        assert web.get("NOTIFY_SOCKET", "").startswith("@circus/") is (ready != "started")
        assert own["NOTIFY_SOCKET"] == "/run/mine"


SERVER = """
import http.server, pathlib, socket, sys
kind, where, folder = sys.argv[1:]
folder = pathlib.Path(folder)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if (folder / "healthy").exists() else 503)
        self.end_headers()
while not (folder / "open").exists():
    pass
if kind == "unix":
    s = socket.socket(socket.AF_UNIX)
    s.bind(where)
    s.listen()
    while True: s.accept()
http.server.HTTPServer(("127.0.0.1", int(where)), Handler).serve_forever()
"""


@pytest.mark.parametrize("kind", ["tcp", "unix", "http", "exec"])
def test_a_look_tells_it_and_what_is_wrong_until_then(tmp_path: Path, kind: str) -> None:
    """By a connection, a request, or a command that is run as the process is; with names replaced."""
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "check").write_text(
        '#!/bin/sh\n[ "$COLOR" = red ] || exit 9\n[ -e healthy ] && exit 0\necho "not healthy"\nexit 4\n'
    )
    (tmp_path / "check").chmod(0o755)
    port = free_port()
    where = str(tmp_path / "s") if kind == "unix" else str(port)
    ready, wrong = {
        "tcp": (f"tcp://localhost:{port}", "Connection refused"),
        "unix": (f"unix:{tmp_path}/s", "No such file or directory"),
        "http": (f"http://127.0.0.1:{port}/$(circus.wid)", "status 503"),
        "exec": ("exec:./check $(circus.wid)", "exit code 4: not healthy"),
    }[kind]
    ini = (
        f"[watcher:web]\ncmd = {sys.executable} {tmp_path}/server.py {kind} {where} {tmp_path}\nready = {ready}\n"
        f"ready_interval = 0.1\nautostart = no\nworking_dir = {tmp_path}\n[env:web]\nCOLOR = red\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        if kind in ("http", "exec"):
            (tmp_path / "open").touch()
        daemon.ctl("start", "web")
        eventually(lambda: first(daemon)["said"] == wrong, within=20)
        assert f"its probe fails: {wrong}" in daemon.ctl("explain", "web").stdout
        (tmp_path / "open").touch()
        (tmp_path / "healthy").touch()
        daemon.ctl("wait", "web", "--for", "ready", "--timeout", "20")
        assert first(daemon)["said"] == ""


def test_a_line_of_its_output_and_a_newline_at_a_descriptor_tell_it_too(tmp_path: Path) -> None:
    """In the words of the process, and as under s6; the descriptor is closed here, whatever becomes of the process."""
    ini = (
        "[watcher:log]\ncmd = sh -c 'while [ ! -e go ]; do sleep 0.02; done; echo server listens on port 80 >&2; exec sleep 1000'\n"
        f"working_dir = {tmp_path}\nready = log:listens on * 80\nautostart = no\n"
        "[watcher:fd]\ncmd = sh -c 'printf almost >&5; while [ ! -e go ]; do sleep 0.02; done; echo >&5; exec 5>&-; exec sleep 1000'\n"
        f"working_dir = {tmp_path}\nready = fd:5\nautostart = no\n"
        "[watcher:closed]\ncmd = sh -c 'exec 3>&-; exec sleep 1000'\nready = fd:3\nstart_timeout = 0\nautostart = no\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        for name in ("log", "fd", "closed"):
            daemon.ctl("start", name)

        def missing(name: str) -> str:
            return daemon.ctl("explain", name).stdout

        eventually(lambda: "no line of its output has had the text" in missing("log"), within=20)
        eventually(lambda: "written no newline to its descriptor" in missing("fd"), within=20)
        eventually(lambda: "no newline to its descriptor: it has closed it" in missing("closed"), within=20)
        (tmp_path / "go").touch()
        for name in ("log", "fd"):
            daemon.ctl("wait", name, "--for", "ready", "--timeout", "20")
        before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        daemon.ctl("restart", "fd", "--waiting")
        daemon.ctl("stop", "closed", "--waiting")
        eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before, within=20)


def test_a_look_that_hangs_is_ended_and_leaves_nothing(tmp_path: Path) -> None:
    """The command with all that it has started; descriptors are as before."""
    ini = (
        "[watcher:web]\ncmd = sleep 1000\nready = exec:sh -c 'sleep 4321 & wait'\nready_interval = 0.1\n"
        "ready_timeout = 0.2\nautostart = no\n"
    )
    with Daemon(ini, tmp_path) as daemon:

        def count() -> int:
            return len(os.listdir(f"/proc/{daemon.pid}/fd"))

        before = count()
        daemon.ctl("start", "web")
        eventually(lambda: first(daemon)["said"] == "no answer within 0.2 s", within=20)
        daemon.ctl("stop", "web", "--waiting")

        def left() -> list[str]:
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    found += [pid] if b"4321" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
                except OSError:
                    continue
            return found

        eventually(lambda: not left(), within=20)
        # The socket that processes speak to came with the first start.
        eventually(lambda: count() <= before + 1, within=20)


def test_what_the_file_says_wrongly_about_readiness_is_told(tmp_path: Path) -> None:
    """When it is checked, with what is expected."""
    config = tmp_path / "circus.ini"
    config.write_text("[watcher:web]\ncmd = sleep 1\nready = soon\n")
    done = subprocess.run([str(BIN / "circusd"), "--check", str(config)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "auto, started, notify, " in done.stdout + done.stderr
    assert "or where to look" in done.stdout + done.stderr
