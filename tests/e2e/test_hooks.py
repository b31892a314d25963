"""Hooks of a real circusd: each row of the truth table, and what a bad function can't do to the daemon."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import CircusError, Refused
from tests.daemon import Daemon
from tests.waiting import eventually

MODULE = """
import json, os, signal, sys, time

def note(hook_name, kwargs):
    with open(os.environ["HOOK_LOG"], "a") as file:
        words = {key: value for key, value in kwargs.items() if key != "stats"}
        file.write(json.dumps([hook_name, words]) + "\\n")

def yes(watcher, arbiter, hook_name, **kwargs):
    note(hook_name, kwargs)
    return True

def no(watcher, arbiter, hook_name, **kwargs):
    note(hook_name, kwargs)
    return False

def crash(watcher, arbiter, hook_name, **kwargs):
    note(hook_name, kwargs)
    raise RuntimeError("no database")

def no_for_term(watcher, arbiter, hook_name, pid, signum, **kwargs):
    note(hook_name, {"signum": signum})
    return signum != signal.SIGTERM

def add_load(watcher, arbiter, hook_name, pid, stats, **kwargs):
    stats["load"] = watcher.processes[pid].wid * 10
    return True

def hang(watcher, arbiter, hook_name, **kwargs):
    note(hook_name, {"helper": os.getpid()})
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def exits(watcher, arbiter, hook_name, **kwargs):
    os._exit(5)

def sets_env(watcher, arbiter, hook_name, **kwargs):
    watcher.env["TOKEN"] = "from the hook"
    return True

def sets_numprocesses(watcher, arbiter, hook_name, **kwargs):
    watcher.numprocesses = 3
    return True

def starts_other(watcher, arbiter, hook_name, **kwargs):
    arbiter.get_watcher("Other").start()
    arbiter.add_watcher("made", "sleep 1000", numprocesses=2).start()
    return True

def by_program(watcher, arbiter, hook_name, **kwargs):
    return os.system("circusctl start other") == 0

def prints(watcher, arbiter, hook_name, **kwargs):
    print("hello from the hook")
    os.fork()
    return True
"""

INI = """
[env]
PYTHONPATH = {folder}

[watcher:other]
cmd = sleep 1000
autostart = false
"""


class Stage:
    """A daemon with a module of hooks; tests add watchers that use it."""

    def __init__(self, daemon: Daemon, log: Path) -> None:
        self.daemon = daemon
        self.log = log
        self.added: list[str] = []
        self.marker = 0

    def add(
        self, start: bool = True, *, name: str = "hooked", cmd: str = "sleep 1000", **options: Any
    ) -> None:
        self.log.write_text("")
        events = self.daemon.call("events", lines=2000)["events"]
        self.marker = events[-1]["number"] if events else 0
        keys = {
            f"hooks.{k}" if k in HOOKS else k: f"hooksample.{v}" if k in HOOKS else v
            for k, v in options.items()
        }
        self.daemon.call("add", name=name, cmd=cmd, options={"graceful_timeout": 5, **keys}, waiting=True)
        self.added.append(name)
        if start:
            try:
                self.daemon.call("start", name=name, waiting=True)
            except CircusError:
                return

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        return [(hook, words) for hook, words in map(json.loads, self.log.read_text().splitlines())]

    def called(self) -> list[str]:
        return [hook for hook, _ in self.calls()]

    def status(self, name: str = "hooked") -> str:
        return str(self.daemon.call("status", name=name)["status"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        events = self.daemon.call("events", lines=2000)["events"]
        return [e for e in events if e["number"] > self.marker and e["event"] == kind]

    def pids(self, name: str = "hooked") -> list[int]:
        try:
            return self.daemon.pids(name)
        except Refused:
            return []


HOOKS = (
    "before_start after_start before_spawn after_spawn before_stop after_stop before_signal after_signal before_reap "
    "after_reap extended_stats"
).split()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("hooks")
    folder.joinpath("hooksample.py").write_text(MODULE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"HOOK_LOG": str(folder / "calls"), "PATH": path}
    with Daemon(INI.format(folder=folder), folder, environ=environ) as daemon:
        yield daemon


@pytest.fixture
def stage(daemon: Daemon) -> Iterator[Stage]:
    stage = Stage(daemon, daemon.folder / "calls")
    yield stage
    for name in stage.added:
        daemon.call("rm", name=name, waiting=True)
    daemon.call("stop", name="other", waiting=True)


def started(stage: Stage) -> None:
    assert stage.status() == "active"
    assert len(stage.pids()) == 1


def not_started(stage: Stage) -> None:
    eventually(lambda: stage.status() == "stopped")
    assert stage.pids() == []
    time.sleep(0.3)
    assert stage.pids() == []


def stops_normally(stage: Stage) -> None:
    started(stage)
    (pid,) = stage.pids()
    stage.daemon.call("stop", name="hooked", waiting=True)
    assert stage.status() == "stopped"
    (exited,) = stage.events("process.exited")
    assert (exited["pid"], exited["signal"]) == (pid, signal.SIGTERM)


@pytest.mark.parametrize(
    ("hook", "function", "outcome"),
    [
        *((hook, "yes", stops_normally) for hook in HOOKS),
        ("before_start", "no", not_started),
        ("before_start", "crash", not_started),
        ("before_start", "crash,true", started),
        ("before_start", "no,true", not_started),
        ("after_start", "no", not_started),
        ("after_start", "crash", not_started),
        ("after_start", "crash,true", started),
        ("before_spawn", "no", not_started),
        ("before_spawn", "crash", not_started),
        ("before_spawn", "crash,true", started),
        ("after_spawn", "no", not_started),
        ("after_spawn", "crash", not_started),
        ("after_spawn", "crash,true", started),
        *((hook, "no", stops_normally) for hook in ("before_stop", "after_stop", "after_signal", "before_reap", "after_reap")),
        *((hook, "crash", stops_normally) for hook in ("before_stop", "after_stop", "after_signal", "before_reap", "after_reap")),
    ],
)  # fmt: skip
def test_truth_table(stage: Stage, hook: str, function: str, outcome: Callable[[Stage], None]) -> None:
    """A result has the consequence that it has in the original."""
    stage.add(**{hook: function})
    outcome(stage)
    if hook != "extended_stats":
        eventually(lambda: hook in stage.called())
        told = "hook.succeeded" if function == "yes" else "hook.failed"
        if not (
            function == "no"
            and hook.startswith(("before_stop", "after_stop", "after_signal", "before_reap", "after_reap"))
        ):
            eventually(lambda: [e for e in stage.events(told) if e["hook"] == hook])


def test_hooks_are_called_in_the_original_order_with_its_keywords(stage: Stage) -> None:
    """From the start to the end of one process."""
    stage.add(**dict.fromkeys(HOOKS[:-1], "yes"))
    (pid,) = stage.pids()
    stage.daemon.call("stop", name="hooked", waiting=True)
    eventually(lambda: len(stage.calls()) >= 10)
    calls = stage.calls()
    assert [hook for hook, _ in calls] == [
        "before_start", "before_spawn", "after_spawn", "after_start",
        "before_stop", "before_signal", "after_signal", "before_reap", "after_reap", "after_stop",
    ]  # fmt: skip
    words = dict(calls)
    assert words["before_start"] == words["after_start"] == words["before_spawn"] == words["after_stop"] == {}
    assert words["after_spawn"] == {"pid": pid}
    assert words["before_signal"] == words["after_signal"] == {"pid": pid, "signum": 15}
    assert set(words["before_reap"]) == {"process_pid", "time"}
    after = words["after_reap"]
    assert (after["process_pid"], after["exit_code"]) == (pid, -15)
    assert set(after) == {"process_pid", "time", "exit_code", "process_status"}
    assert abs(after["time"] - time.time()) < 60


def test_signal_that_a_hook_forbids_is_not_sent(stage: Stage) -> None:
    """Neither by the command nor in a stop; SIGKILL always is."""
    stage.add(before_signal="no_for_term", graceful_timeout=0.5)
    (pid,) = stage.pids()
    stage.daemon.call("signal", name="hooked", pid=pid, signum="TERM")
    eventually(lambda: "before_signal" in stage.called())
    time.sleep(0.3)
    assert stage.pids() == [pid]
    stage.daemon.call("stop", name="hooked", waiting=True)
    (exited,) = stage.events("process.exited")
    assert exited["signal"] == signal.SIGKILL


def test_extended_stats_are_what_the_hook_made_of_them(stage: Stage) -> None:
    """Only with ``extended``, for each process."""
    stage.add(extended_stats="add_load", numprocesses=2)
    extended = stage.daemon.call("stats", name="hooked", extended=True)["info"]
    assert sorted(info["load"] for info in extended.values()) == [10, 20]
    plain = stage.daemon.call("stats", name="hooked")["info"]
    assert all("load" not in info for info in plain.values())


def test_variable_that_a_hook_sets_reaches_the_process(stage: Stage) -> None:
    """``watcher.env["X"] = …`` before the start counts for what is started."""
    out = stage.daemon.folder / "environment"
    for hook in ("before_start", "before_spawn"):
        out.unlink(missing_ok=True)
        cmd = f"{sys.executable} -c \"import os,time; open('{out}','w').write(os.environ['TOKEN']); time.sleep(1000)\""
        stage.add(cmd=cmd, name=hook, **{hook: "sets_env"})
        eventually(lambda: out.read_text() == "from the hook")


def test_number_that_a_hook_sets_counts(stage: Stage) -> None:
    """``watcher.numprocesses = 3`` before the start starts three."""
    stage.add(before_start="sets_numprocesses")
    eventually(lambda: len(stage.pids()) == 3)


@pytest.mark.parametrize("hook", ["before_start", "after_start", "before_spawn", "after_spawn"])
def test_hook_can_act_on_other_watchers(stage: Stage, hook: str) -> None:
    """Starting another watcher from a hook, or adding one, does not lock anything up."""
    stage.added.append("made")
    stage.add(**{hook: "starts_other"})
    started(stage)
    eventually(lambda: len(stage.pids("made")) == 2 and len(stage.pids("other")) == 1)


def test_hook_can_use_circusctl(stage: Stage) -> None:
    """The program finds the daemon that called the hook."""
    stage.add(before_start="by_program")
    started(stage)
    eventually(lambda: stage.status("other") == "active")


def test_hook_that_hangs_fails_alone(stage: Stage) -> None:
    """It is ended after its time; meanwhile the daemon answers, and other watchers start."""
    stage.add(False, before_start="hang", hook_timeout=1.5)
    before = time.monotonic()
    stage.daemon.call("start", name="hooked")
    eventually(lambda: "before_start" in stage.called())
    stage.daemon.call("start", name="other", waiting=True)
    assert time.monotonic() - before < 1.4
    eventually(lambda: stage.events("hook.failed"))
    assert "did not come back within 1.5 s" in stage.events("hook.failed")[0]["error"]
    helper = stage.calls()[0][1]["helper"]
    eventually(lambda: not Path(f"/proc/{helper}").exists())
    assert stage.status() == "stopped"


def test_hook_that_ends_its_process_fails_alone(stage: Stage) -> None:
    """The end of the process is the reason that is told."""
    stage.add(before_start="exits")
    not_started(stage)
    assert "ended with code 5" in stage.events("hook.failed")[0]["error"]


def test_hook_may_print_and_fork(stage: Stage) -> None:
    """What it prints is in the daemon's log; a forked child does no harm."""
    stage.add(before_start="prints")
    started(stage)
    eventually(lambda: "hello from the hook" in stage.daemon.log.read_text())


def test_hooks_can_be_set_while_running(stage: Stage) -> None:
    """A hook that is set counts for the next start."""
    stage.add(before_start="yes")
    stage.daemon.call("set", name="hooked", options={"hooks.before_start": "hooksample.no"}, waiting=True)
    started(stage)
    stage.daemon.call("stop", name="hooked", waiting=True)
    with pytest.raises(CircusError, match="before_start"):
        stage.daemon.call("start", name="hooked", waiting=True)
    not_started(stage)


def test_missing_module_is_told_and_others_run(tmp_path: Path) -> None:
    """A watcher whose hook can't be imported does not come up and says why; the rest of the file runs."""
    ini = (
        "[watcher:bad]\ncmd = sleep 1000\nhooks.before_start = nosuchmodule.check\n"
        "[watcher:later]\ncmd = sleep 1000\nhooks.after_stop = math.nosuchfunction\n"
        "[watcher:good]\ncmd = sleep 1000\n"
    )

    def told(daemon: Daemon, watcher: str) -> str:
        events = daemon.call("events", name=watcher, lines=2000)["events"]
        return " ".join(e["error"] for e in events if e["event"] == "hook.failed")

    with Daemon(ini, tmp_path) as daemon:
        assert len(daemon.pids("good")) == 1
        assert daemon.pids("bad") == []
        assert "there is no module named nosuchmodule" in told(daemon, "bad")
        assert "nosuchmodule" in daemon.log.read_text()
        # Told though it is not needed yet; what does not depend on it runs.
        eventually(lambda: "no attribute 'nosuchfunction'" in told(daemon, "later"))
        assert len(daemon.pids("later")) == 1


def test_daemon_that_ends_leaves_no_process_of_hooks(tmp_path: Path) -> None:
    """Hooks of the stop are carried out; then nothing of them is left, also of one that hangs."""
    tmp_path.joinpath("hooksample.py").write_text(MODULE)
    ini = INI.format(folder=tmp_path) + "[watcher:a]\ncmd = sleep 1000\nhooks.after_reap = hooksample.hang\n"
    ini += "hooks.before_stop = hooksample.yes\nhooks.after_stop = hooksample.yes\nhook_timeout = 3\n"
    with Daemon(ini, tmp_path, environ={"HOOK_LOG": str(tmp_path / "calls")}) as daemon:
        assert daemon.stop() == 0
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [hook for hook, _ in calls][:2] == ["before_stop", "after_reap"]
    helper = calls[1][1]["helper"]
    eventually(lambda: not Path(f"/proc/{helper}").exists())
