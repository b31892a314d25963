"""What processes must not have from circusd or from whoever started it, and rights that they never get by mistake."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from circusd.client import Client, subscribe
from tests.daemon import Daemon
from tests.faults.measures import PYTHON, descriptors, events, report, runs, states
from tests.waiting import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534
OURS = {"CIRCUS_WATCHER", "CIRCUS_WID", "NOTIFY_SOCKET"}
"""Variables that every process gets."""

# Whoever starts circusd does everything that he should not.
CARELESS = """
import json, os, resource, signal, sys
given = json.loads(sys.argv[1])
for word in ("SIGHUP", "SIGQUIT", "SIGUSR1", "SIGCHLD", "SIGALRM"):
    signal.signal(signal.Signals[word], signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
os.dup2(os.open(given["secret"], os.O_RDONLY), 37)
os.dup2(os.open(given["secret"], os.O_RDONLY), 5)
if given["terminal"]:
    os.setsid()
    os.dup2(os.open(given["terminal"], os.O_RDWR), 0)
resource.setrlimit(resource.RLIMIT_NOFILE, given["nofile"])
with open("/proc/self/oom_score_adj", "w") as file:
    file.write(given["oom"])
os.umask(0o22)
os.execv(sys.argv[2], sys.argv[2:])
"""


class CarelesslyStarted(Daemon):
    """A daemon with ignored and blocked signals, open files, a low limit, an out-of-memory score, perhaps a terminal."""

    terminal = ""
    nofile = (300, 4096)
    oom = "123"

    def command(self) -> list[str]:
        secret = self.folder / "secret"
        secret.write_text("hush")
        given = {"secret": str(secret), "terminal": self.terminal, "nofile": self.nofile, "oom": self.oom}
        return [PYTHON, "-c", CARELESS, json.dumps(given), *super().command()]


@dataclass(frozen=True)
class Seen:
    """What the system says that a process has."""

    fds: dict[str, str]
    ignored: int
    blocked: int
    pending: int
    nofile: tuple[int, int]
    oom: str
    environment: dict[str, str]
    umask: str
    session: int
    capabilities: int
    groups: str
    uids: str


def seen(pid: int) -> Seen:
    """Read from outside, as a program in between would ignore and open things of its own."""
    proc = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    (limit,) = (
        line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max open files")
    )
    soft, hard = limit.split()[3:5]
    environment = (proc / "environ").read_text().rstrip("\0")
    # Two are the C library's own, which a make above us may leave ignored; no program hears of them.
    own = 3 << 31
    return Seen(
        fds=descriptors(pid),
        ignored=int(fields["SigIgn"], 16) & ~own,
        blocked=int(fields["SigBlk"], 16),
        pending=int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16),
        nofile=(int(soft), int(hard)),
        oom=(proc / "oom_score_adj").read_text().strip(),
        environment=dict(pair.split("=", 1) for pair in environment.split("\0")) if environment else {},
        umask=fields["Umask"].strip(),
        session=os.getsid(pid),
        capabilities=int(fields["CapEff"], 16),
        groups=fields["Groups"].strip(),
        uids=" ".join(fields["Uid"].split()),
    )


def check(pid: int, environment: dict[str, str], daemon: CarelesslyStarted, nofile: tuple[int, int]) -> Seen:
    """The process has what is declared, and nothing else."""
    found = seen(pid)
    assert set(found.fds) == {"0", "1", "2"}
    assert found.fds["0"] == "/dev/null"
    assert found.fds["1"].startswith("pipe:")
    assert found.fds["2"].startswith("pipe:")
    assert (found.ignored, found.blocked, found.pending) == (0, 0, 0)
    assert found.nofile == nofile
    assert found.oom == daemon.oom
    assert {k: v for k, v in found.environment.items() if k not in OURS} == environment
    assert set(found.environment) >= OURS
    assert found.umask == "0022"
    assert found.session == pid
    return found


@needs_root
def test_f35_children_have_what_was_declared_and_nothing_of_circusd_or_of_whoever_started_it(
    tmp_path: Path,
) -> None:
    """By each way of starting a program, at the start and again while circusd has clients, sockets and logs open."""
    ini = (
        "[watcher:plain]\ncmd = sleep 100000\nsettle_time = 0\n"
        f"[watcher:user]\ncmd = sleep 100000\nuid = {NOBODY}\nsettle_time = 0\n"
        "[watcher:limited]\ncmd = sleep 100000\nrlimit_nproc = 5000\nrlimit_nofile = 77\nsettle_time = 0\n"
        f"[watcher:logged]\ncmd = sleep 100000\nsettle_time = 0\nstdout_stream.filename = {tmp_path}/logged.log\n"
        "[socket:here]\nport = 0\n"
        "[env:plain]\nONE = 1\n"
    )
    secrets = {"TOKEN_OF_CIRCUSD": "hush", "LD_LIBRARY_PATH_OF": "nothing"}
    daemon = CarelesslyStarted(ini, tmp_path, environ=secrets)
    names = ("plain", "user", "limited", "logged")
    with daemon:

        def all_right() -> bool:
            for name in names:
                (pid,) = runs(daemon, name, 1)
                environment = {"ONE": "1"} if name == "plain" else {}
                limit = (77, 77) if name == "limited" else daemon.nofile
                found = check(pid, environment, daemon, limit)
                if name == "user":
                    assert found.capabilities == 0
                    assert found.uids == " ".join([str(NOBODY)] * 4)
                    assert "0" not in found.groups.split()
            return True

        # Where the system is still loading a program, it shows no environment yet.
        eventually(all_right)
        # circusd itself has helped itself: that is what must not be handed down.
        own = seen(daemon.pid)
        # As far as it may: root of a container has no say in its score.
        assert own.oom in ("-900", daemon.oom)
        assert own.nofile[0] > daemon.nofile[0]
        endpoints = daemon.call("inspect")["daemon"]["endpoints"]
        with (
            Client(daemon.endpoint, timeout=20) as client,
            client.follow(["state.", "load.", "output."]),
            subscribe(endpoints["stats"], ["stat."]),
            subscribe(endpoints["output"], ["output."]),
        ):
            before = {name: daemon.pids(name) for name in names}
            for (pid,) in before.values():
                os.kill(pid, signal.SIGKILL)
            for name in names:
                eventually(lambda name=name: daemon.pids(name) not in (before[name], []))
            eventually(all_right)
        report(f"circusd has {len(own.fds)} descriptors, each child three")


@contextmanager
def terminal() -> Iterator[str]:
    """The name of a terminal in which somebody has typed."""
    ours, its = pty.openpty()
    try:
        os.write(ours, b"a line that nobody but circusd's user typed\n")
        yield os.ttyname(its)
    finally:
        os.close(ours)
        os.close(its)


def test_f44_a_process_that_reads_its_standard_input_gets_the_null_device_and_no_terminal(
    tmp_path: Path,
) -> None:
    """Also where circusd has one: what is typed there is not a child's, and nothing waits for it."""
    ini = (
        "[watcher:reads]\ncmd = sh -c 'read -r line; echo got:$line; read -r tty </dev/tty && echo tty:$tty'\n"
        "respawn = false\ncopy_env = true\n"
        "[watcher:web]\ncmd = sleep 100000\n"
    )
    daemon = CarelesslyStarted(ini, tmp_path)
    # Higher than ours would need root.
    daemon.oom = Path("/proc/self/oom_score_adj").read_text().strip()
    with terminal() as name:
        daemon.terminal = name
        with daemon:
            assert descriptors(daemon.pid)["0"] == name
            eventually(lambda: daemon.call("status", name="reads")["status"] == "stopped")
            read = daemon.call("output", names=["reads"])["lines"]
            assert [line["text"] for line in read if line["stream"] == "stdout"] == ["got:"]
            assert not [line for line in read if "typed" in line["text"]]
            (pid,) = runs(daemon, "web", 1)
            assert descriptors(pid)["0"] == "/dev/null"


class Reduced(Daemon):
    """A daemon of root's that lacks a right."""

    reduced: tuple[str, ...] = ()

    def command(self) -> list[str]:
        return [*self.reduced, *super().command()]


def can_reduce(*words: str) -> bool:
    """Whether that way of taking rights away works here."""
    try:
        return subprocess.run([*words, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@needs_root
@pytest.mark.parametrize(
    "reduced",
    [
        ("setpriv", "--bounding-set=-setuid"),
        ("setpriv", "--bounding-set=-setgid"),
        ("setpriv", "--bounding-set=-setuid,-setgid"),
        ("unshare", "--user", "--map-root-user"),
    ],
    ids=["no setuid", "no setgid", "neither", "no such user"],
)
@pytest.mark.parametrize("limited", [False, True], ids=["plain", "limited"])
def test_f68_a_step_of_becoming_another_user_that_fails_runs_nothing_with_more_rights(
    tmp_path: Path, reduced: tuple[str, ...], limited: bool
) -> None:
    """The start is refused and says which step; no program runs as root that should not, and others run as always."""
    if not can_reduce(*reduced):
        pytest.skip(f"not possible here: {' '.join(reduced)}")
    mark = tmp_path / "mark"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nid >> {mark}\nexec sleep 100000\n")
    program.chmod(0o755)
    limit = "rlimit_nproc = 5000\n" if limited else ""
    both = f"uid = {NOBODY}\ngid = {NOBODY}\n"
    ini = (
        f"[watcher:user]\ncmd = {program}\n{both}{limit}backoff = 0.05\nmax_retry = 2\ncopy_env = true\n"
        f"[watcher:named]\ncmd = {program}\nuid = nobody\n{limit}backoff = 0.05\nmax_retry = 2\ncopy_env = true\n"
        "[watcher:web]\ncmd = sleep 100000\n"
    )
    daemon = Reduced(ini, tmp_path)
    daemon.reduced = reduced
    with daemon:
        for name in ("user", "named"):
            eventually(lambda name=name: states(daemon, name) == {"failed": 1}, within=10)
            refused = events(daemon, "process.refused", name)
            assert len(refused) == 3
            assert {e["stage"] for e in refused} <= {"user", "groups", "group"}, refused[0]
            assert all(e["reason"] for e in refused)
        runs(daemon, "web", 1)
    assert not mark.exists(), mark.read_text()
