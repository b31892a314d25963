"""What happens when real processes end: which ends are final, how often it is tried, and in which steps one is stopped."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.e2e.test_supervision import child
from tests.waiting import eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that tests add watchers to."""
    with Daemon("", tmp_path_factory.mktemp("restarts")) as running:
        yield running


def add(daemon: Daemon, name: str, script: str, **options: Any) -> None:
    """A watcher that runs the lines of a shell, started."""
    daemon.call("add", name=name, cmd=f"sh -c {shlex.quote(script)}", options=options, start=True)


def state(daemon: Daemon, name: str) -> str:
    """The state that stands for the watcher."""
    found: str = daemon.watcher(name)["state"]
    return found


def events(daemon: Daemon, name: str) -> list[str]:
    """What has happened to the watcher, by the names of events."""
    return [event["event"] for event in daemon.call("events", name=name, lines=100)["events"]]


def test_only_failures_bring_it_back_where_that_is_asked_for(daemon: Daemon, tmp_path: Path) -> None:
    """It fails twice and is started again, ends with a code that counts as success, and is completed: the watcher is stopped."""
    count = tmp_path / "count"
    script = f"echo x >> {count}; test $(wc -l < {count}) -ge 3 && exit 75; exit 1"
    add(daemon, "job", script, respawn_on="failure", success_exit_codes="0 75", backoff=0.01)
    eventually(lambda: state(daemon, "job") == "completed", within=20)
    assert count.read_text() == "x\n" * 3
    view = daemon.watcher("job")
    assert view["status"] == "stopped"
    assert "exited with code 75" in view["explain"]
    assert "as it has ended well and respawn_on is failure" in view["explain"]
    assert daemon.call("options", name="job")["options"]["success_exit_codes"] == "0 75"


def test_one_that_ends_too_often_is_given_up_and_tried_again(daemon: Daemon, tmp_path: Path) -> None:
    """Its reason and the time of the next try are told; the next try is as good as the first one."""
    count = tmp_path / "count"
    add(
        daemon,
        "ill",
        f"echo x >> {count}; exit 3",
        settle_time=0,
        start_limit_burst=4,
        start_limit_interval=60,
        retry_in=3600,
    )
    eventually(lambda: state(daemon, "ill") == "failed", within=20)
    assert count.read_text() == "x\n" * 4
    view = daemon.watcher("ill")
    assert view["status"] == "active"
    assert "given up: it has ended 4 times within 60 s; it is tried again in" in view["explain"]
    assert events(daemon, "ill").count("process.failed") == 1
    daemon.ctl("set", "ill", "retry_in", "0.1")
    daemon.ctl("restart", "ill")
    eventually(lambda: len(count.read_text()) >= 2 * 12, within=20, what="it has been tried again, and again")
    daemon.ctl("set", "ill", "retry_in", "0")
    eventually(lambda: daemon.watcher("ill")["status"] == "stopped", within=20)
    assert "nothing more happens until somebody starts it" in daemon.watcher("ill")["explain"]


def test_stops_that_were_asked_for_do_not_count_as_ends(daemon: Daemon) -> None:
    """A process that is restarted and killed by command again and again is never given up for it."""
    daemon.call(
        "add",
        name="well",
        cmd="sleep 1000",
        options={"start_limit_burst": 2, "start_limit_interval": 600},
        start=True,
    )
    for _ in range(3):
        assert daemon.ctl("restart", "well", "--waiting").returncode == 0
        assert daemon.ctl("kill", "well", "--waiting").returncode == 0
    eventually(lambda: state(daemon, "well") == "running", within=20)


def test_pause_before_each_start_is_kept_and_needs_nobody(daemon: Daemon) -> None:
    """It is said when it is started again, and that all is well."""
    add(daemon, "calm", "exit 0", settle_time=0, restart_delay=3600)
    view = eventually(lambda: (v := daemon.watcher("calm"))["state"] == "backoff" and v, within=20)
    assert "exited with code 0" in view["explain"]
    assert "it is started again in 59 min" in view["explain"]
    daemon.ctl("rm", "calm", "--waiting")


def test_stop_goes_down_its_ladder(daemon: Daemon, tmp_path: Path) -> None:
    """One signal after the other, SIGKILL last; a stop with a signal of its own does without it."""
    heard = tmp_path / "heard"
    daemon.call(
        "add",
        name="deaf",
        cmd=child("stubborn", heard),
        options={"stop_ladder": "INT 0.3, QUIT 0.3, TERM 0.3", "graceful_timeout": 3600},
        start=True,
    )
    eventually(heard.exists, within=20)
    assert daemon.ctl("stop", "deaf", "--waiting").returncode == 0
    assert heard.read_text().split() == ["SIGINT", "SIGQUIT", "SIGTERM"]
    assert daemon.watcher("deaf")["processes"] == [] or daemon.pids("deaf") == []
    heard.unlink()
    daemon.ctl("start", "deaf", "--waiting")
    eventually(heard.exists, within=20)
    assert (
        daemon.ctl("kill", "deaf", "--signum", "QUIT", "--graceful_timeout", "0.2", "--waiting").returncode
        == 0
    )
    assert heard.read_text().split() in (["SIGQUIT"], [])
    daemon.ctl("rm", "deaf", "--waiting")


def test_processes_take_what_they_may(daemon: Daemon) -> None:
    """The nice value, processors, I/O priority and the score when memory is short, by options; all four are told as written."""
    cpu = min(os.sched_getaffinity(0))
    options = {"nice": 5, "cpu_affinity": str(cpu), "io_priority": "best-effort 6", "oom_score_adj": 700}
    daemon.call("add", name="meek", cmd="sleep 1000", options=options, start=True, waiting=True)
    process = psutil.Process(daemon.pids("meek")[0])
    assert (process.nice(), process.cpu_affinity()) == (5, [cpu])
    assert process.ionice() == (psutil.IOPRIO_CLASS_BE, 6)
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "700\n"
    told = daemon.call("options", name="meek")["options"]
    assert {key: told[key] for key in options} == options
    daemon.ctl("rm", "meek", "--waiting")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"success_exit_codes": "0 256"}, "holds an exit code above 255"),
        ({"success_exit_codes": "0 FOO"}, "is not a signal"),
        ({"stop_ladder": "TERM"}, "has a step that is not a signal with seconds"),
        ({"stop_ladder": [["TERM"]]}, "has a step that is not a signal with seconds"),
        ({"respawn_on": "never"}, "one of exit, failure"),
        ({"start_limit_burst": 1001}, "is more than 1000"),
    ],
)
def test_wrong_values_are_told_with_what_is_expected(
    daemon: Daemon, options: dict[str, Any], said: str
) -> None:
    """And nothing is added."""
    with pytest.raises(Refused, match=said):
        daemon.call("add", name="wrong", cmd="sleep 1", options=options)
    assert "wrong" not in daemon.call("list")["watchers"]
