"""Too many processes, too few descriptors, no process to be had: what fits runs, the rest says why, and circusd answers."""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from circusd.client import Client
from circusd.schema.errors import CircusError, Refused
from tests.daemon import Daemon
from tests.faults.measures import (
    MEGABYTE,
    Pings,
    descriptors,
    events,
    leaves_nothing,
    offspring,
    processor_seconds,
    report,
    rss,
    runs,
    states,
)
from tests.waiting import eventually

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class LimitedDaemon(Daemon):
    """A daemon under limits of the system, as another user if one is given."""

    limits: tuple[str, ...] = ()
    user: int | None = None

    def command(self) -> list[str]:
        limited = ["prlimit", *self.limits, *super().command()]
        return limited if self.user is None else as_user(self.user, *limited)


def soft_limit(daemon: Daemon, kind: int, value: int) -> None:
    """Another limit from now on, while it runs; up to the hard one, which nobody may raise again."""
    _, hard = resource.prlimit(daemon.pid, kind)
    resource.prlimit(daemon.pid, kind, (value, hard))


def as_user(user: int, *command: str) -> list[str]:
    """The command line, to be run as another user."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]


def test_f34_of_400_processes_as_many_start_as_there_are_descriptors_for(tmp_path: Path) -> None:
    """The rest says that descriptors are missing, and control is there as before."""
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 400\nmax_retry = -1\nbackoff_max = 0.5\n"
    ini += "[watcher:first]\ncmd = sleep 100000\npriority = 9\n"
    daemon = LimitedDaemon(ini, tmp_path)
    daemon.limits = ("--nofile=256:256",)
    with daemon:
        found = states(daemon, "many")
        up = found["running"] + found["ready"]
        report(f"256 descriptors: {up} of 400 run, {len(descriptors(daemon.pid))} are open")
        assert up >= 40
        assert set(found) <= {"running", "ready", "backoff", "starting"}
        end = next(p["exit"] for p in daemon.watcher("many")["processes"] if p["state"] == "backoff")
        assert end["stage"] == "descriptors"
        assert "nofile" in end["text"]
        with Pings(daemon, every=0.001) as pings:
            assert "descriptors" in daemon.ctl("inspect", "many").stdout
            assert "first: active" in daemon.ctl("status").stdout
        report(f"meanwhile {pings}")


def test_f34_a_higher_limit_heals_it(tmp_path: Path) -> None:
    """What was refused is tried again, and what ran is left alone."""
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 150\nmax_retry = -1\nbackoff_max = 0.5\n"
    with Daemon(ini + "autostart = false\n", tmp_path) as daemon:
        soft_limit(daemon, resource.RLIMIT_NOFILE, 256)
        with pytest.raises(Refused, match=r"^many: [0-9]+ of 150 processes: .*descriptors"):
            daemon.call("start", name="many", waiting=True)
        before = daemon.pids("many")
        assert 40 <= len(before) < 100
        soft_limit(daemon, resource.RLIMIT_NOFILE, 1024)
        after = eventually(lambda: runs(daemon, "many", 150), within=10)
        assert set(before) <= set(after)


def test_f34_processes_that_can_not_be_had_are_given_up_after_max_retry(tmp_path: Path) -> None:
    """With the usual limit of tries the rest has failed, and says so in the state."""
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 400\nmax_retry = 1\nbackoff = 0.05\n"
    daemon = LimitedDaemon(ini, tmp_path)
    daemon.limits = ("--nofile=256:256",)
    with daemon:
        eventually(lambda: set(states(daemon, "many")) == {"running", "failed"}, within=20)
        view = daemon.watcher("many")
        failed = [p for p in view["processes"] if p["state"] == "failed"]
        assert all(p["exit"]["stage"] == "descriptors" for p in failed)
        assert events(daemon, "process.failed", "many")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may work in."""
    folder = Path(tempfile.mkdtemp(prefix="circus-faults-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_f08_without_a_process_to_be_had_starts_fail_as_events_and_go_on_when_there_is_one(
    open_folder: Path,
) -> None:
    """EAGAIN from fork: the daemon lives, answers, keeps what runs, and resumes by itself."""
    user = 61000 + os.getpid() % 4000
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 30\nmax_retry = -1\nbackoff_max = 0.5\n"
    daemon = LimitedDaemon(ini, open_folder)
    daemon.user = user
    # Threads count too: circusd's own are a handful.
    daemon.limits = ("--nproc=25:400",)
    os.chown(daemon.runtime, user, user)
    daemon.runtime.chmod(0o711)
    with daemon:
        assert daemon.call("ping")["pong"]
        pids = daemon.pids("many")
        assert 5 <= len(pids) < 25
        refused = events(daemon, "process.refused", "many")
        assert {e["stage"] for e in refused} == {"fork"}
        assert {e["errno"] for e in refused} == {11}
        assert "nproc" in refused[-1]["reason"]
        # Only that user and who is mightier than root of a container may change its limits.
        raised = as_user(user, "prlimit", f"--pid={daemon.pid}", "--nproc=400:400")
        subprocess.run(raised, check=True)
        after = eventually(lambda: runs(daemon, "many", 30), within=10)
        assert set(pids) <= set(after)
        assert "Traceback" not in daemon.log.read_text()


def test_f08_without_a_descriptor_circusd_neither_spins_nor_dies(tmp_path: Path) -> None:
    """The last descriptors are taken away while it runs; with them back, all goes on."""
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 20\nmax_retry = -1\nbackoff_max = 0.5\n"
    with Daemon(ini, tmp_path) as daemon:
        before = set(daemon.pids("many"))
        soft, _ = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        # Lower than what is open: nothing can be opened any more, and no connection accepted.
        soft_limit(daemon, resource.RLIMIT_NOFILE, 8)
        for pid in sorted(before)[:10]:
            os.kill(pid, 9)
        with Client(daemon.endpoint, timeout=0.5) as client, pytest.raises(CircusError):
            client.call("ping")
        eventually(lambda: len(offspring(daemon.pid)) == 10)
        cpu = processor_seconds(daemon.pid)
        time.sleep(1)
        cpu = processor_seconds(daemon.pid) - cpu
        report(f"without a descriptor: {100 * cpu:.1f} % of a core")
        soft_limit(daemon, resource.RLIMIT_NOFILE, soft)
        after = eventually(lambda: runs(daemon, "many", 20), within=10)
        assert len(set(after) & before) == 10
        assert cpu < 0.5
        assert len(daemon.log.read_text().splitlines()) < 200


@pytest.mark.timeout(180)
def test_f06_2000_watchers_start_while_control_answers(tmp_path: Path) -> None:
    """All are up, the commands that list them work, and their stop leaves nothing."""
    count = 2000
    ini = "".join(f"[watcher:w{n:04}]\ncmd = sleep 100000\n" for n in range(count))
    ini += "[watcher:z]\ncmd = sleep 100000\nautostart = false\n"
    daemon = Daemon(ini, tmp_path)
    with ExitStack() as stack:
        stack.push(daemon)
        daemon.start_only()
        daemon.wait_until_up(within=100)
        assert len(offspring(daemon.pid)) == count
        daemon.call("stop", waiting=True)
        assert not offspring(daemon.pid)
        before = rss(daemon.pid)
        began = time.monotonic()
        with Pings(daemon) as pings:
            daemon.ctl("start", "--waiting", timeout=60)
            assert "w0000" in daemon.ctl("status").stdout
        took = time.monotonic() - began
        report(f"{count} watchers up after {took:.1f} s; meanwhile {pings}")
        report(
            f"a process that runs: {(rss(daemon.pid) - before) / count / 1024:.1f} KiB; circusd {rss(daemon.pid) >> 20} MB"
        )
        assert len(offspring(daemon.pid)) == count
        assert pings.share(0.5) < 0.2
        assert pings.share(0.99) < 2
        with Pings(daemon) as pings:
            began = time.monotonic()
            daemon.call("stop", waiting=True)
            report(f"all stopped after {time.monotonic() - began:.1f} s; meanwhile {pings}")
        assert not offspring(daemon.pid)


def test_f06_warm_up_is_kept_between_watchers_and_within_them(tmp_path: Path) -> None:
    """Starts keep their distance, by the order of priorities."""
    ini = "[circus]\nwarmup_delay = 0.1\n" + "".join(
        f"[watcher:w{n}]\ncmd = sleep 100000\npriority = {n}\n" for n in range(5)
    )
    with Daemon(ini, tmp_path) as daemon:
        started = events(daemon, "process.started")
        assert [e["watcher"] for e in started] == ["w4", "w3", "w2", "w1", "w0"]
        gaps = [b["time"] - a["time"] for a, b in itertools.pairwise(started)]
        assert min(gaps) >= 0.09


def test_f38_statistics_cost_little_while_somebody_looks_and_nothing_when_nobody_does(tmp_path: Path) -> None:
    """500 processes, each second, one who looks."""
    ini = "[watcher:many]\ncmd = sleep 100000\nnumprocesses = 500\n"
    with Daemon(ini, tmp_path) as daemon:
        assert daemon.popen is not None
        with Client(daemon.endpoint, timeout=10) as client, client.follow(["load."]) as stream:
            stream.receive(5)
            cpu, began = processor_seconds(daemon.pid), time.monotonic()
            for _ in range(4):
                _, data = stream.receive(5)
            took = time.monotonic() - began
            cpu = (processor_seconds(daemon.pid) - cpu) / took
        assert len(data["watchers"]["many"]["processes"]) == 500
        report(f"load of 500 processes each second: {100 * cpu:.2f} % of a core")
        assert cpu < 0.1
        cpu = processor_seconds(daemon.pid)
        eventually(lambda: _grew(daemon, 1) < 0.001, within=10)


def _grew(daemon: Daemon, seconds: float) -> float:
    before = processor_seconds(daemon.pid)
    time.sleep(seconds)
    return processor_seconds(daemon.pid) - before


@pytest.mark.timeout(180)
def test_what_is_not_used_is_given_back(tmp_path: Path) -> None:
    """Memory levels off, however many watchers have come and gone; figures in the report."""
    with Daemon("[watcher:web]\ncmd = sleep 100000\n", tmp_path) as daemon, leaves_nothing(daemon):
        sizes = []
        for _ in range(20):
            for n in range(100):
                daemon.call("add", name=f"w{n}", cmd="sleep 100000", options={"numprocesses": 2}, start=True)
            for n in range(100):
                daemon.call("rm", name=f"w{n}")
            eventually(lambda: daemon.call("numwatchers")["numwatchers"] == 1, within=20)
            sizes.append(rss(daemon.pid))
        report(
            "resident after rounds of 100 watchers: "
            + ", ".join(f"{s / MEGABYTE:.1f}" for s in sizes)
            + " MB"
        )
        # At first it grows: the last events are kept.
        assert sizes[3] - sizes[0] < 4 * MEGABYTE
        assert sizes[-1] - sizes[0] < 8 * MEGABYTE
        assert sizes[-1] - sizes[-6] < MEGABYTE
