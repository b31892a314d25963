"""Hooks run outside the daemon: what they answer counts, what they do to their process does not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult

from circusd.config.model import HookConfig
from circusd.runtime import hookprocess
from circusd.runtime.hooks import HookResult, Hooks
from circusd.runtime.reaper import Reaper
from tests.scripted import scripted_daemon
from tests.waiting import eventually

MODULE = """
import os, signal, subprocess, sys, threading, time

seen = []

def truth(watcher, arbiter, hook_name, **kwargs):
    return True

def falsehood(watcher, arbiter, hook_name, **kwargs):
    return False

def nothing(watcher, arbiter, hook_name, **kwargs):
    pass

def crash(watcher, arbiter, hook_name, **kwargs):
    raise RuntimeError("no database")

def leave(watcher, arbiter, hook_name, **kwargs):
    sys.exit(3)

def vanish(watcher, arbiter, hook_name, **kwargs):
    os._exit(7)

def die(watcher, arbiter, hook_name, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def hang(watcher, arbiter, hook_name, **kwargs):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.environ["SCRATCH"], "w") as file:
        print(child.pid, file=file)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    time.sleep(600)

def fork(watcher, arbiter, hook_name, **kwargs):
    os.fork()
    return True

def fork_and_die(watcher, arbiter, hook_name, **kwargs):
    if os.fork() == 0:
        time.sleep(1.5)
        os._exit(0)
    os._exit(9)

def echo(watcher, arbiter, hook_name, **kwargs):
    print("as text", kwargs)
    os.write(1, b"raw \\xff\\n")
    os.system("echo from a shell; echo and its errors >&2")
    return True

def flood(watcher, arbiter, hook_name, **kwargs):
    for number in range(200_000):
        print("line", number)
    return True

def mute(watcher, arbiter, hook_name, **kwargs):
    sys.stdout.close()
    os.close(1)
    return True

def slowly(watcher, arbiter, hook_name, **kwargs):
    time.sleep(0.05)
    seen.append(kwargs["pid"])
    return True

def order(watcher, arbiter, hook_name, stats, **kwargs):
    stats["order"] = seen
    stats["pid"] = os.getpid()
    return True

async def waiting(watcher, arbiter, hook_name, **kwargs):
    return True

def strict(watcher, arbiter, hook_name):
    return True

def look(watcher, arbiter, hook_name, pid, stats, **kwargs):
    stats.update(
        name=watcher.name, cmd=watcher.cmd, numprocesses=watcher.numprocesses, env=watcher.env["A"],
        wid=watcher.processes[pid].wid, pids=watcher.pids(), status=watcher.status(), key=watcher.mykey,
        hook=hook_name,
    )
    return True

def change(watcher, arbiter, hook_name, **kwargs):
    watcher.env["TOKEN"] = 42
    del watcher.env["A"]
    watcher.numprocesses = 5
    return True

def act(watcher, arbiter, hook_name, stats, **kwargs):
    arbiter.get_watcher("other").start()
    new = arbiter.add_watcher("extra", "sleep 1", args=("-x",), copy_env=True)
    new.start()
    watcher.spawn_process()
    stats["missing"] = "no" if "nobody" in arbiter.statuses() else "yes"
    try:
        arbiter.get_watcher("nobody")
    except KeyError:
        stats["key"] = "error"
    stats["all"] = sorted(w.name for w in arbiter.watchers)
    stats["option"] = watcher.graceful_timeout
    return True

def later(watcher, arbiter, hook_name, **kwargs):
    def run():
        time.sleep(0.2)
        arbiter.get_watcher("other").stop()
    threading.Thread(target=run).start()
    return True

def signal_it(watcher, arbiter, hook_name, pid, signum, **kwargs):
    watcher.send_signal(pid, signal.SIGUSR1)
    return True
"""

SNAPSHOT: dict[str, Any] = {
    "name": "Web",
    "cmd": "sleep 100",
    "args": None,
    "numprocesses": 2,
    "env": {"A": "1"},
    "working_dir": None,
    "status": "active",
    "processes": {4711: 1},
    "extras": {"mykey": "mine"},
}


class Called:
    """Hooks with a module of functions, and what they printed."""

    def __init__(self, folder: Path) -> None:
        folder.joinpath("hooksample.py").write_text(MODULE)
        folder.joinpath("hooksbroken.py").write_text("import does_not_exist\n")
        self.scratch = folder / "scratch"
        self.printed: list[tuple[str, str]] = []
        self.endpoint = ""
        self.reaper = Reaper()
        env = {**os.environ, "SCRATCH": str(self.scratch)}
        self.hooks = Hooks(
            self.reaper,
            env,
            (str(folder),),
            lambda: self.endpoint,
            output=lambda watcher, line: self.printed.append((watcher, line.decode("latin-1"))),
        )

    def send(
        self, function: str, hook: str = "before_start", ignore: bool = False, **kw: Any
    ) -> AsyncResult[HookResult]:
        result: AsyncResult[HookResult] = AsyncResult()
        config = HookConfig(function if "." in function else f"hooksample.{function}", ignore)
        snapshot = {**SNAPSHOT, **kw.pop("snapshot", {})}
        timeout = kw.pop("timeout", 20.0)
        self.hooks.call(snapshot, hook, config, kw, timeout, result.set)
        return result

    def __call__(self, function: str, hook: str = "before_start", **kw: Any) -> HookResult:
        found: HookResult = self.send(function, hook, **kw).get(timeout=30)
        return found

    def texts(self) -> list[str]:
        return [text for _, text in self.printed]


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Called]:
    called = Called(tmp_path)
    yield called
    called.hooks.close_all(5.0)
    called.reaper.close()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("function", "hook", "ignore", "ok", "error"),
    [
        ("truth", "before_start", False, True, ""),
        ("falsehood", "before_start", False, False, "it returned False"),
        ("nothing", "before_start", False, False, "it returned None"),
        ("falsehood", "before_start", True, False, "it returned False"),
        ("falsehood", "before_spawn", False, False, "it returned False"),
        ("falsehood", "after_start", False, False, "it returned False"),
        ("falsehood", "after_spawn", False, False, "it returned False"),
        ("falsehood", "before_signal", False, False, "it returned False"),
        ("falsehood", "after_signal", False, True, ""),
        ("nothing", "before_stop", False, True, ""),
        ("falsehood", "after_stop", False, True, ""),
        ("nothing", "before_reap", False, True, ""),
        ("nothing", "after_reap", False, True, ""),
        ("crash", "before_start", False, False, "RuntimeError: no database"),
        ("crash", "before_start", True, True, "RuntimeError: no database"),
        ("crash", "after_stop", False, False, "RuntimeError: no database"),
        ("leave", "before_start", False, False, "SystemExit: 3"),
        ("waiting", "before_start", False, True, ""),
        ("strict", "before_start", False, True, ""),
    ],
)
def test_result_is_that_of_the_truth_table(
    call: Called, function: str, hook: str, ignore: bool, ok: bool, error: str
) -> None:
    """A false result fails where the result decides, an exception everywhere unless the flag is set."""
    result = call(function, hook, ignore=ignore)
    assert (result.ok, result.error) == (ok, error)


def test_function_gets_the_keywords_of_its_hook(call: Called) -> None:
    """A function that does not take a hook's keywords fails, and says which one."""
    result = call("strict", "after_spawn", pid=1)
    assert not result.ok
    assert "unexpected keyword argument 'pid'" in result.error


def test_watcher_can_be_looked_at(call: Called) -> None:
    """Name, command, environment, processes, free-form options: as the original's object has them."""
    result = call("look", "extended_stats", pid=4711, stats={"cpu": 1.0})
    assert result.error == ""
    assert result.changed["stats"] == {
        "cpu": 1.0, "name": "Web", "cmd": "sleep 100", "numprocesses": 2, "env": "1", "wid": 1, "pids": [4711],
        "status": "active", "key": "mine", "hook": "extended_stats",
    }  # fmt: skip


def test_what_a_hook_sets_comes_back(call: Called) -> None:
    """Variables and options that a function sets on its watcher are in the result, and only those."""
    assert call("truth").changed == {}
    assert call("change").changed == {"env": {"TOKEN": "42", "A": None}, "options": {"numprocesses": 5}}


def test_one_process_serves_all_calls_of_a_watcher_in_order(call: Called) -> None:
    """Calls that come together are carried out one after another, by the same process, with their module kept."""
    results = [call.send("slowly", "after_spawn", pid=number) for number in range(5)]
    assert [r.get(timeout=30).ok for r in results] == [True] * 5
    first = call("order", "extended_stats", stats={}).changed["stats"]
    assert first["order"] == [0, 1, 2, 3, 4]
    assert call.hooks.pids() == {"web": first["pid"]}


def test_watchers_do_not_wait_for_each_other(call: Called) -> None:
    """While the hook of one watcher hangs, that of another answers."""
    slow = call.send("hang", timeout=30, snapshot={"name": "slow"})
    assert call("truth", snapshot={"name": "quick"}).ok
    assert not slow.ready()
    call.hooks.close_all(0)
    assert not slow.get(timeout=5).ok


def test_nothing_runs_before_the_first_call(call: Called) -> None:
    """Having hooks costs nothing until one is called."""
    assert call.hooks.pids() == {}


def test_hook_that_hangs_is_ended_with_what_it_started(call: Called) -> None:
    """After its time a function that ignores signals is gone with its children, and the next call works."""
    hanging, after = call.send("hang", timeout=1.5), call.send("truth")
    result = hanging.get(timeout=20)
    assert not result.ok
    assert result.error == "it did not come back within 1.5 s and was ended"
    assert after.get(timeout=20).ok
    child = int(call.scratch.read_text())
    eventually(lambda: not alive(child), sleep=gevent.sleep)


def test_limit_counts_as_an_error_that_can_be_ignored(call: Called) -> None:
    """With the flag a function that hangs does not stand in the way."""
    result = call("hang", ignore=True, timeout=1.0)
    assert result.ok
    assert "within 1 s" in result.error


@pytest.mark.parametrize(
    ("function", "error"),
    [("vanish", "its process ended with code 7"), ("die", "its process was ended by signal 9"),
     ("fork_and_die", "its process ended with code 9")],
)  # fmt: skip
def test_hook_that_takes_its_process_down_fails_alone(call: Called, function: str, error: str) -> None:
    """An end of the process is told as that hook's failure; the next call has a new process."""
    result = call(function)
    assert (result.ok, result.error) == (False, error)
    assert call("truth").ok


def test_hook_that_forks_answers_once(call: Called) -> None:
    """The child that came out of a function ends there; calls after it get their own answers."""
    assert call("fork").ok
    assert not call("falsehood").ok
    assert call("truth").ok


def test_what_a_hook_prints_is_told_line_by_line(call: Called) -> None:
    """Text, raw bytes and the output of programs reach the daemon's log under the watcher's name."""
    assert call("echo", "after_spawn", pid=5).ok
    eventually(lambda: len(call.printed) >= 4, sleep=gevent.sleep)
    assert sorted(call.texts()) == sorted(
        ["as text {'pid': 5}", "raw \xff", "from a shell", "and its errors"]
    )
    assert {watcher for watcher, _ in call.printed} == {"Web"}


def test_flood_of_output_is_counted(call: Called) -> None:
    """More lines than a person could read are counted instead of told, and hold nothing up."""
    assert call("flood").ok
    call.hooks.close("web")

    def told() -> int:
        counted = sum(int(t[1:].split()[0]) for t in call.texts() if t.endswith(" more lines)"))
        return counted + sum(t.startswith("line ") for t in call.texts())

    eventually(lambda: told() == 200_000, within=30, sleep=gevent.sleep)
    assert len(call.printed) < 3000


def test_hook_may_close_its_output(call: Called) -> None:
    """Without a standard output the next calls work."""
    assert call("mute").ok
    assert call("truth").ok


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nosuchmodule.check", "could not import nosuchmodule.check: there is no module named nosuchmodule"),
        ("hooksbroken.check", "could not import hooksbroken.check: there is no module named does_not_exist"),
        ("hooksample.nosuch", "module 'hooksample' has no attribute 'nosuch'"),
        ("hooksample.seen", "hooksample.seen is not a function"),
        ("nodots", "is not a dotted path"),
    ],
)
def test_path_that_leads_nowhere_is_told(call: Called, path: str, text: str) -> None:
    """`check` says what is wrong with which hook; calling it fails with the same words."""
    hooks = {"before_stop": HookConfig(path), "after_stop": HookConfig("hooksample.truth")}
    found = call.hooks.check("Web", hooks)
    assert set(found) == {"before_stop"}
    assert text in found["before_stop"]
    result = call(path if "." in path else f"{path}.", "before_stop")
    assert not result.ok


def test_check_finds_nothing_wrong_with_right_paths(call: Called) -> None:
    """Hooks that can be imported and called are fine, methods of classes too."""
    assert call.hooks.check("Web", {"before_stop": HookConfig("collections.Counter.fromkeys")}) == {}
    assert call.hooks.check("Web", {}) == {}


def test_module_in_the_daemons_folder_hides_nothing(
    call: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file json.py where circusd happens to be started is not taken for the library's."""
    tmp_path.joinpath("elsewhere").mkdir()
    tmp_path.joinpath("elsewhere", "json.py").write_text("raise SystemExit('wrong json')")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call("truth").ok


def test_original_names_can_be_imported(call: Called, tmp_path: Path) -> None:
    """A module of hooks that imports the original's names works without the original."""
    text = "from circus import logger\nfrom circus.plugins import CircusPlugin\nfrom circus.client import CircusClient\n"
    tmp_path.joinpath("oldhooks.py").write_text(
        f"{text}\ndef check(**kwargs):\n    return CircusPlugin.__name__\n"
    )
    assert call("oldhooks.check").ok


def test_close_lets_hooks_end(call: Called) -> None:
    """What was asked for before `close` is still carried out; then the process is gone."""
    results = [call.send("slowly", "after_reap", pid=number) for number in range(3)]
    call.hooks.close("WEB")
    assert [r.get(timeout=20).ok for r in results] == [True] * 3
    eventually(lambda: not call.reaper.known, sleep=gevent.sleep)
    assert call.hooks.pids() == {}


def test_nothing_is_started_after_the_end(call: Called) -> None:
    """A call that comes when the daemon ends fails, and leaves no process."""
    call.hooks.close_all(0)
    assert call("truth").error == "the daemon ends"
    assert not call.reaper.known


def test_process_that_does_not_come_up_is_told(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that can't be started, or ends at once, is a failure with its reason."""
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert "could not be started" in call("truth").error
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert call("truth").error == "its process ended with code 1"


def test_answer_beyond_the_limit_ends_the_process(call: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon never takes more than its limit from a hook."""
    monkeypatch.setattr(hookprocess, "MESSAGE_LIMIT", 100)
    result = call("order", "extended_stats", stats={"text": "x" * 200})
    assert not result.ok
    assert "longer than 100" in result.error
    eventually(lambda: not call.reaper.known, sleep=gevent.sleep)


def test_hook_can_signal_its_process(call: Called, tmp_path: Path) -> None:
    """The signal is there while the hook runs, though the daemon waits for the hook; strangers can't be signalled."""
    from circusd.kernel.spawn import SpawnSpec, spawn

    waits = "import signal, sys; signal.sigwait([signal.SIGUSR1])"
    blocks = f"import signal; signal.pthread_sigmask(0, [signal.SIGUSR1]); print(flush=True); {waits}"
    read, write = os.pipe()
    child = spawn(
        SpawnSpec(argv=(sys.executable, "-c", blocks), executable=sys.executable, env={}, stdout=write)
    )
    os.close(write)
    ended: AsyncResult[Any] = AsyncResult()
    call.reaper.watch(child.pid, child.pidfd, ended.set)
    with gevent.Timeout(10):
        gevent.os.tp_read(read, 1)
    os.close(read)
    known = {"processes": {child.pid: 1}}
    result = call("signal_it", "before_signal", pid=1, signum=15, snapshot=known)
    assert "process 1 of Web not found" in result.error
    assert call("signal_it", "before_signal", pid=child.pid, signum=int(signal.SIGTERM), snapshot=known).ok
    assert ended.get(timeout=10).code == 0


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """A daemon with the watchers web and other."""
    name = request["properties"].get("name")
    if request["command"] == "status":
        if name == "nobody":
            return {"status": "error", "reason": "program nobody not found", "errno": 3}
        return {"statuses": {"web": "active", "other": "stopped"}} if name is None else {"status": "stopped"}
    if request["command"] == "list":
        return {"watchers": ["other", "web"]}
    if request["command"] == "options":
        return {"options": {"graceful_timeout": 30.0}}
    if request["command"] == "inspect":
        return {
            "watchers": [{"numprocesses": 2, "processes": [{"pid": 1, "wid": 1}, {"pid": None, "wid": 2}]}]
        }
    return {}


def test_hook_can_act_on_the_daemon(call: Called, tmp_path: Path) -> None:
    """Watchers are found, added and started by commands; what acts on others does not wait for the end."""
    with scripted_daemon(tmp_path, answer) as daemon:
        call.endpoint = daemon.endpoint
        result: AsyncResult[HookResult] = call.send("act", "extended_stats", stats={})
        found = result.get(timeout=30)
        assert found.error == ""
        assert found.changed["stats"] == {
            "missing": "yes", "key": "error", "all": ["Web", "other"], "option": 30.0,
        }  # fmt: skip
        assert [(p["name"], p.get("waiting")) for p in daemon.asked("start")] == [
            ("other", None),
            ("extra", None),
            ("Web", None),
        ]
        (added,) = daemon.asked("add")
        assert added["options"] == {"args": ["-x"], "copy_env": True}


def test_thread_of_a_hook_can_act_later(call: Called, tmp_path: Path) -> None:
    """What a function left running can use the daemon after the function has returned."""
    with scripted_daemon(tmp_path, answer) as daemon:
        call.endpoint = daemon.endpoint
        assert call("later").ok
        eventually(lambda: daemon.asked("stop"), sleep=gevent.sleep)
        assert daemon.asked("stop") == [{"name": "other", "match": "simple"}]
