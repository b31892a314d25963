"""``wait``: it ends when the watcher is there, when it can't get there, or in time; never by asking again and again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.daemon import BIN, Daemon

CONFIGURATION = """
[watcher:web]
cmd = sleep 1000
numprocesses = 2

[watcher:off]
cmd = sleep 1000
autostart = false

[watcher:missing]
cmd = /no/such/program
max_retry = 0
autostart = false

[watcher:task]
cmd = true
respawn = false
autostart = false
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(CONFIGURATION, tmp_path_factory.mktemp("wait")) as running:
        yield running


class Waiting:
    """circusctl wait, in a process that goes on meanwhile."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.process = subprocess.Popen(
            [str(BIN / "circusctl"), "wait", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=daemon.environ,
        )

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it printed."""
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, out, err


def test_it_ends_when_the_processes_run(daemon: Daemon) -> None:
    """At once for what runs already; for what is started later when it is."""
    assert daemon.ctl("wait", "web").stdout == "web: running\n"
    waiting = Waiting(daemon, "off", "--for", "running")
    daemon.ctl("start", "off")
    assert waiting.end() == (0, "off: running\n", "")
    stopped = Waiting(daemon, "off", "--for", "stopped")
    daemon.ctl("stop", "off")
    assert stopped.end() == (0, "off: stopped\n", "")


def test_a_command_that_was_given_before_counts(daemon: Daemon) -> None:
    """Between a restart that nobody waited for and a wait there is no moment in which the old processes count."""
    old = daemon.pids("web")
    daemon.ctl("restart", "web")
    daemon.ctl("wait", "web", "--for", "running")
    assert len(daemon.pids("web")) == 2
    assert not set(daemon.pids("web")) & set(old)


def test_all_that_match_have_to_be_there(daemon: Daemon) -> None:
    """One that is not keeps it waiting; the time-out says what it saw last."""
    done = daemon.ctl("wait", "[wo]*", "--for", "running", "--timeout", "0.2", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: not running after 0.2 s. off: It is stopped, and stays so until somebody starts it.\n"
    )
    assert daemon.ctl("--strict", "wait", "off", "--timeout", "0.1", check=False).returncode == 6
    assert daemon.ctl("--timeout", "0.1", "wait", "off", check=False).returncode == 1
    daemon.ctl("start", "off")
    assert daemon.ctl("wait", "[wo]*").stdout == "off: running\nweb: running\n"
    daemon.ctl("stop", "off", "--waiting")


def test_what_is_given_up_ends_the_wait_at_once(daemon: Daemon) -> None:
    """Nobody waits for what does not come; the reason is told, and that it failed can be waited for too."""
    waiting, failing = Waiting(daemon, "missing"), Waiting(daemon, "missing", "--for", "failed")
    daemon.ctl("start", "missing")
    code, _, err = waiting.end()
    assert code == 3
    assert "missing does not get to running: It could not be started" in err
    assert failing.end() == (0, "missing: failed\n", "")


@pytest.mark.parametrize(
    ("code", "state", "other"), [("0", "completed", "exited"), ("3", "exited", "completed")]
)
def test_the_end_of_a_task_can_be_waited_for(daemon: Daemon, code: str, state: str, other: str) -> None:
    """What ends otherwise ends the wait with how it did."""
    daemon.call("set", name="task", options={"cmd": f"sh -c 'exit {code}'"}, waiting=True)
    daemon.ctl("start", "task", "--waiting")
    assert daemon.ctl("wait", "task", "--for", state).stdout == f"task: {state}\n"
    done = daemon.ctl("wait", "task", "--for", other, check=False)
    assert done.returncode == 3
    assert f"exited with code {code}" in done.stderr
    respawned = daemon.ctl("wait", "web", "--for", "completed", check=False)
    assert "respawn is on" in respawned.stderr


def test_what_explain_says_is_for_people_and_programs(daemon: Daemon) -> None:
    """A sentence for one, a line for each of several; the same as data."""
    daemon.ctl("wait", "web")
    assert daemon.ctl("explain", "web").stdout == "All 2 processes run.\n"
    assert "off: It is stopped, and stays so until somebody starts it.\n" in daemon.ctl("explain").stdout
    (told,) = json.loads(daemon.ctl("--json", "explain", "off").stdout)["watchers"]
    assert told == {
        "name": "off",
        "state": "stopped",
        "status": "stopped",
        "explain": "It is stopped, and stays so until somebody starts it.",
        "crash": None,
    }
