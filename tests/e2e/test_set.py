"""``set``: every option counts, and the reply tells when."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.schema.options import WATCHER, Option
from tests.daemon import Daemon
from tests.waiting import environment, eventually

CONFIGURATION = """
[watcher:web]
cmd = sleep 1000
numprocesses = 2

[watcher:off]
cmd = sleep 1000
autostart = false

[socket:shared]
host = 127.0.0.1
port = 0
"""

VALUES = {
    "cmd": "sleep 1001",
    "args": "0.1",
    "numprocesses": "3",
    "singleton": "false",
    "shell": "true",
    "shell_args": "x",
    "executable": "/bin/sleep",
    "working_dir": "/",
    "uid": str(os.getuid()),
    "gid": str(os.getgid()),
    "env": "A=1,B=2",
    "copy_env": "true",
    "copy_path": "true",
    "virtualenv_py_ver": "3.11",
    "warmup_delay": "0.01",
    "autostart": "false",
    "respawn": "false",
    "respawn_on": "failure",
    "success_exit_codes": "0,75",
    "max_retry": "3",
    "backoff": "0.2",
    "backoff_max": "50",
    "settle_time": "0.5",
    "restart_delay": "0.1",
    "start_limit_burst": "5",
    "start_limit_interval": "30",
    "retry_in": "60",
    "ready": "notify",
    "start_timeout": "30",
    "ready_interval": "0.5",
    "ready_timeout": "2",
    "watchdog": "600",
    "watchdog_signal": "QUIT",
    "alive": "tcp://127.0.0.1:1",
    "alive_interval": "20",
    "alive_timeout": "2",
    "alive_failures": "4",
    "alive_successes": "2",
    "alive_start_period": "30",
    "alive_replace": "2",
    "graceful_timeout": "8",
    "stop_signal": "INT",
    "stop_ladder": "INT 3",
    "stop_command": "kill $(circus.pid)",
    "stop_command_timeout": "5",
    "stop_children": "true",
    "send_hup": "true",
    "max_age": "3600",
    "max_age_variance": "10",
    "max_memory": "2G",
    "max_memory_for": "20",
    "max_cpu": "300",
    "max_cpu_for": "40",
    "nice": str(os.getpriority(os.PRIO_PROCESS, 0) + 1),
    "cpu_affinity": str(min(os.sched_getaffinity(0))),
    "io_priority": "idle",
    "oom_score_adj": "500",
    "priority": "3",
    "watch": "no-such-folder",
    "watch_ignore": "*.x build",
    "watch_delay": "0.2",
    "watch_action": "restart",
    "depends_on": "web:started",
    "restart_with_dependencies": "true",
    "outside_interval": "3",
    "outside_timeout": "1.5",
    "tags": "web,critical",
    "use_sockets": "true",
    "on_demand": "false",
    "idle_timeout": "60",
    "schedule": "0 3 * * 1-5",
    "schedule_timezone": "Europe/Berlin",
    "schedule_overlap": "queue",
    "schedule_jitter": "60",
    "schedule_catch_up": "true",
    "run_timeout": "3600",
    "listen_fds": "true",
    "essential": "true",
    "stdin_socket": "shared",
    "stdin_pipe": "true",
    "close_child_stdin": "false",
    "close_child_stdout": "true",
    "close_child_stderr": "true",
    "stdout_stream.NAME": "stdout_stream.filename {folder}/out.log",
    "stderr_stream.NAME": "stderr_stream.filename {folder}/err.log",
    "rlimit_NAME": "rlimit_nofile 99",
    "hooks.NAME": "hooks.before_start os.path.exists",
    "hook_timeout": "9",
}
NEEDS_MORE = ("virtualenv", "pid_file")
"""Options whose value must lead to something that a test has not."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path_factory.mktemp("set")) as running:
        yield running


@pytest.mark.parametrize(
    "row",
    [row for row in WATCHER if not (row.legacy or row.file_only or row.name in NEEDS_MORE)],
    ids=lambda row: row.name,
)
def test_every_option_counts_and_the_reply_tells_when(daemon: Daemon, row: Option, tmp_path: Path) -> None:
    """By the option table: processes are replaced and the reply says how many, or it says when the value is looked at."""
    name, apply, is_effective = row.name, row.apply, row.effective
    words = VALUES[name].format(folder=tmp_path).split(None, 1) if row.pattern else [name, VALUES[name]]
    # A shell that ends leaves what it has started, as long as nobody says otherwise.
    options = {"numprocesses": 2, "send_hup": True, "stop_children": name == "shell"}
    daemon.call("add", name="new", cmd="sleep 1000", options=options, start=True, waiting=True)
    try:
        before = daemon.pids("new")
        reply = json.loads(daemon.ctl("--json", "set", "new", *words, "--waiting", "--report").stdout)
        assert reply["status"] == "ok", reply
        (text,) = reply["applied"].values()
        assert text.startswith("counts" if is_effective else "accepted"), text
        kept = set(daemon.pids("new")) & set(before)
        if apply == "live":
            assert kept == set(before)
            assert "replaced" not in text
        elif is_effective:
            assert (kept, text) == (set(), "counts: 2 processes replaced")
        assert words[0] in daemon.call("get", name="new", keys=[words[0]])["options"]
    finally:
        daemon.call("rm", name="new", waiting=True)


def test_what_is_set_is_what_the_processes_have(daemon: Daemon) -> None:
    """Also where a reload would only send SIGHUP."""
    daemon.ctl("set", "web", "send_hup", "true", "--waiting")
    daemon.ctl("set", "web", "env", "COLOR=red", "working_dir", "/", "--waiting")
    for pid in daemon.pids("web"):
        assert environment(pid)["COLOR"] == "red"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
    daemon.ctl("set", "web", "send_hup", "false", "--waiting")


def test_a_stopped_watcher_says_that_it_has_to_be_started(daemon: Daemon) -> None:
    """Nothing is started by a set."""
    shown = daemon.ctl("set", "off", "cmd", "sleep 1001", "max_retry", "2", "--waiting", "--report").stdout
    assert shown == "cmd: counts when the watcher is started\nmax_retry: counts at the next failure\n"
    assert daemon.ctl("status", "off").stdout == "stopped\n"


def test_kill_waits_for_the_end_of_the_old_process(daemon: Daemon) -> None:
    """With --waiting the answer comes when it is gone; its own signal was sent."""
    old = daemon.pids("web")
    daemon.ctl("kill", "web", str(old[0]), "--signum", "KILL", "--waiting")
    assert not Path(f"/proc/{old[0]}").exists()
    assert old[1] in daemon.pids("web")
    exits = [
        e for e in daemon.call("events", name="web", lines=50)["events"] if e["event"] == "process.exited"
    ]
    assert (exits[-1]["pid"], exits[-1]["signal"]) == (old[0], signal.SIGKILL)
    eventually(lambda: len(daemon.pids("web")) == 2)
