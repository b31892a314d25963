"""Programs that go into the background: what their pid file names is followed, if it is theirs, and nothing else is trusted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.kernel import proc
from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

FORKS = """
import os, signal, sys, time

file, how = sys.argv[1:3]
if how == "fails":
    sys.exit(3)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
def ends(*_):
    print("ends", flush=True)
    os._exit(5)
signal.signal(signal.SIGTERM, ends)
text = str(os.getpid()) if how in ("well", "silent") else open(how).read()
if how != "silent":
    open(file + ".new", "w").write(text + "\\n")
    os.rename(file + ".new", file)
print("in the background", flush=True)
while True:
    time.sleep(1000)
"""
INI = """
[watcher:well]
cmd = {python} {folder}/forks.py {folder}/well-$(circus.wid).pid well
pid_file = {folder}/well-$(circus.wid).pid
numprocesses = 2
graceful_timeout = 5
stdout_stream.filename = {folder}/well.log

[watcher:stranger]
cmd = {python} {folder}/forks.py {folder}/stranger.pid {folder}/said
pid_file = stranger.pid
working_dir = {folder}
start_timeout = 1
backoff = 60
autostart = false

[watcher:silent]
cmd = {python} {folder}/forks.py {folder}/silent.pid silent
pid_file = {folder}/silent.pid
autostart = false

[watcher:stays]
cmd = sh -c 'echo $$ > {folder}/stays.pid; exec sleep 1000'
pid_file = {folder}/stays.pid

[watcher:fails]
cmd = {python} {folder}/forks.py x fails
pid_file = {folder}/fails.pid
respawn = false

[watcher:other]
cmd = sh -c 'sleep 1000 & exec sleep 1000'
stop_children = true
copy_env = true
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("pidfile")
    (folder / "forks.py").write_text(FORKS)
    # Of an earlier start: a process that is there, and is a stranger's.
    (folder / "well-1.pid").write_text(f"{os.getpid()}\n")
    text = INI.format(python=sys.executable, folder=folder)
    with Daemon(text, folder) as running:
        yield running


def marked(daemon: Daemon, watcher: str) -> list[int]:
    """Processes that are children of circusd, bear the mark of a start, and come from that watcher."""
    found = []
    for row in proc.sweep().values():
        if row.ppid != daemon.pid or not row.is_alive:
            continue
        try:
            env = Path(f"/proc/{row.pid}/environ").read_bytes()
        except OSError:
            continue
        if b"CIRCUS_START=" in env and f"CIRCUS_WATCHER={watcher}".encode() in env.split(b"\0"):
            found.append(row.pid)
    return found


def test_what_it_has_left_is_followed_stopped_and_started_again(daemon: Daemon) -> None:
    """Its pid is the slot's; its end is noticed with its code, what it writes is kept, a signal and a stop reach it."""
    named = [int((daemon.folder / f"well-{wid}.pid").read_text()) for wid in (1, 2)]
    assert [p["pid"] for p in daemon.watcher("well")["processes"]] == named
    assert daemon.watcher("well")["state"] == "running"
    assert all(proc.start_time(pid) for pid in named)
    eventually(lambda: (daemon.folder / "well.log").read_text().count("in the background") == 2)
    told = [e for e in daemon.call("events", lines=300)["events"] if e["event"] == "process.followed"]
    assert {e["pid"] for e in told} >= set(named)
    assert str(named[0]) in str(daemon.call("stats", name="well"))
    os.kill(named[0], signal.SIGKILL)
    eventually(lambda: len(daemon.pids("well")) == 2 and named[0] not in daemon.pids("well"))
    eventually(lambda: daemon.watcher("well")["state"] == "running")
    ends = {e["pid"]: e for e in daemon.call("events", lines=300)["events"] if e["event"] == "process.exited"}
    assert ends[named[0]]["signal"] == signal.SIGKILL
    pids = daemon.pids("well")
    daemon.call("stop", name="well", waiting=True)
    assert marked(daemon, "well") == []
    ends = {e["pid"]: e for e in daemon.call("events", lines=300)["events"] if e["event"] == "process.exited"}
    assert [ends[pid]["code"] for pid in pids] == [5, 5]
    eventually(lambda: (daemon.folder / "well.log").read_text().count("ends") == 2)
    daemon.call("start", name="well", waiting=True)
    assert len(marked(daemon, "well")) == 2


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("12 34", "holds no pid"),
        ("{test}", "the file is of an earlier start"),
        ("{gone}", "which is not there"),
        ("{later}", "which the program has not started"),
        ("{orphan}", "which another program has left behind"),
    ],
)
def test_a_file_that_names_a_strangers_process_is_not_trusted(daemon: Daemon, says: str, why: str) -> None:
    """The reason is told by explain; when the time is over the start has failed, and nothing of it is left running."""
    started: list[subprocess.Popen[bytes]] = []
    pids: dict[str, Any] = {"test": os.getpid(), "other": daemon.pids("other")[0], "gone": 4_000_000}
    process = daemon.folder / "said"
    fifo = says in ("{later}", "{orphan}")
    if fifo:
        process.unlink(missing_ok=True)
        os.mkfifo(process)
    else:
        process.write_text(says.format(**pids))
    try:
        daemon.call("start", name="stranger")
        if fifo:
            eventually(lambda: marked(daemon, "stranger"))
            if says == "{later}":
                started.append(subprocess.Popen(["sleep", "1000"]))
                pids["later"] = started[0].pid
            else:
                before = set(proc.children([daemon.pid])[daemon.pid])
                daemon.call(
                    "add",
                    name="leaver",
                    cmd="sh -c 'sleep 999 & sleep 0.2'",
                    start=True,
                    options={"respawn": False, "env": {"PATH": os.environ["PATH"]}},
                )
                eventually(lambda: daemon.watcher("leaver")["state"] == "completed")
                (orphan,) = (
                    set(proc.children([daemon.pid])[daemon.pid])
                    - before
                    - {proc.Identity(pid, proc.start_time(pid) or 0) for pid in marked(daemon, "stranger")}
                )
                pids["orphan"] = orphan.pid
            process.write_text(says.format(**pids))
        eventually(lambda: why in daemon.watcher("stranger")["explain"], within=10)
        eventually(lambda: daemon.watcher("stranger")["state"] == "backoff", within=10)
        said = daemon.watcher("stranger")["explain"]
        assert "not ready within 1 s: its pid file does not name its process" in said and why in said
        eventually(lambda: marked(daemon, "stranger") == [])
        assert os.getpid() and daemon.pids("other")
    finally:
        daemon.call("stop", name="stranger", waiting=True)
        for one in started:
            assert one.poll() is None
            one.kill()
            one.wait()
        if "orphan" in pids:
            assert proc.row(pids["orphan"])
            os.kill(pids["orphan"], signal.SIGKILL)
            daemon.call("rm", name="leaver", waiting=True)
        process.unlink()


def test_a_stop_before_the_file_has_come_leaves_nothing_behind(daemon: Daemon) -> None:
    """What was started is ended though nobody knows which process it is; a reload is a restart where there is one file."""
    daemon.call("start", name="silent")
    eventually(lambda: marked(daemon, "silent"))
    eventually(lambda: "is not there" in daemon.watcher("silent")["explain"])
    assert daemon.watcher("silent")["processes"][0]["pid"] is None
    daemon.call("stop", name="silent", waiting=True)
    assert daemon.call("status", name="silent")["status"] == "stopped"
    eventually(lambda: marked(daemon, "silent") == [])
    before = daemon.pids("stays")
    daemon.call("reload", name="stays", waiting=True)
    assert daemon.pids("stays") != before
    assert daemon.pids("stays") == [int((daemon.folder / "stays.pid").read_text())]


def test_one_that_stays_or_fails_is_known_as_it_is(daemon: Daemon) -> None:
    """A file that names the very process that was started is right; an end with an error is the end of the start."""
    assert daemon.pids("stays") == [int((daemon.folder / "stays.pid").read_text())]
    assert daemon.watcher("stays")["state"] == "running"
    failed = daemon.watcher("fails")
    assert (failed["state"], failed["processes"][0]["exit"]["code"]) == ("exited", 3)


def test_several_processes_need_a_file_each(daemon: Daemon) -> None:
    """Said when the file is read, at its line."""
    wrong = daemon.folder / "wrong.ini"
    wrong.write_text("[watcher:w]\ncmd = x\nnumprocesses = 2\npid_file = one.pid\n")
    checked = subprocess.run(
        [daemon.program("circusd"), "--check", str(wrong)], capture_output=True, text=True
    )
    assert (
        "wrong.ini:4: error: [watcher:w] pid_file: 2 processes have one pid file"
        in checked.stdout + checked.stderr
    )


def test_nginx_is_followed_in_the_background(tmp_path: Path) -> None:
    """The real one, with its workers: it serves, is found by its file, reloads by SIGHUP and ends in good order."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx") or pytest.fail("nginx is not installed")
    folder, port = Path(tempfile.mkdtemp(prefix="circus-nginx-")), free_port()
    try:
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon on; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 2; {user}\n"
            f"events {{}}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 'served\\n'; }} }}\n"
        )
        text = f"[watcher:web]\ncmd = {nginx} -c {folder}/nginx.conf -p {folder}\npid_file = {folder}/nginx.pid\nstop_signal = QUIT\n"
        with Daemon(text, tmp_path) as daemon:
            (pid,) = daemon.pids("web")
            assert pid == int((folder / "nginx.pid").read_text())
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read() == b"served\n"
            workers = set(proc.children([pid])[pid])
            assert len(workers) == 2
            daemon.call("freeze", name="web")
            eventually(lambda: all(proc.is_at_rest(worker.pid) for worker in workers))
            daemon.call("thaw", name="web")
            daemon.call("signal", name="web", signum="HUP")
            eventually(
                lambda: len(new := set(proc.children([pid])[pid])) == 2 and not new & workers, within=20
            )
            daemon.call("restart", name="web", waiting=True)
            (again,) = daemon.pids("web")
            assert again != pid
            ends = [e for e in daemon.call("events", lines=200)["events"] if e["event"] == "process.exited"]
            assert [(e["pid"], e["code"]) for e in ends] == [(pid, 0)]
        eventually(lambda: proc.row(again) is None)
    finally:
        shutil.rmtree(folder)
