"""A real circusd keeps real processes running, and says why when it can't."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import Refused
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

CHILD = Path(__file__).parent.parent / "child.py"
PYTHON = sys.executable


def child(*words: object) -> str:
    """Command line of a test child."""
    return " ".join([PYTHON, str(CHILD), *map(str, words)])


def is_alive(pid: int) -> bool:
    """Whether the process runs and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except FileNotFoundError:
        return False


def report_of(path: Path) -> dict[str, Any]:
    """What a reporting child has written."""
    eventually(path.exists, within=10, what=f"{path} is written")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a few watchers that tests add to."""
    folder = tmp_path_factory.mktemp("shared")
    with Daemon("[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n", folder) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def forgets_what_a_test_added(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails does not leave its watchers to the next one."""
    yield
    if "shared" in request.fixturenames:
        daemon: Daemon = request.getfixturevalue("shared")
        for name in daemon.call("list")["watchers"]:
            if name != "web":
                daemon.call("rm", name=name, waiting=True)


def test_a_killed_process_is_back_at_once_and_the_event_names_the_signal(shared: Daemon) -> None:
    """kill -9 of a process that has lived is healed without a wait."""
    pids = shared.pids("web")
    eventually(lambda: time.time() - shared.watcher("web")["processes"][0]["started"] > 1.05)
    os.kill(pids[0], signal.SIGKILL)
    eventually(lambda: len(set(shared.pids("web")) - set(pids)) == 1, within=2)
    exits = [e for e in shared.call("events", lines=100)["events"] if e["event"] == "process.exited"]
    assert exits[-1]["signal"] == 9
    assert exits[-1]["pid"] == pids[0]


def test_a_process_that_ignores_the_stop_signal_is_killed_when_its_time_is_over(
    shared: Daemon, tmp_path: Path
) -> None:
    """SIGKILL after graceful_timeout."""
    ready = tmp_path / "ready"
    options = {"graceful_timeout": 0.5}
    shared.call("add", name="deaf", cmd=child("deaf", ready), options=options, start=True, waiting=True)
    eventually(ready.exists)
    began = time.monotonic()
    shared.call("stop", name="deaf", waiting=True)
    assert time.monotonic() - began >= 0.45
    last = shared.watcher("deaf")["processes"][0]["exit"]
    assert last["signal"] == 9


def test_with_stop_children_the_whole_tree_is_gone_also_what_left_the_session(
    shared: Daemon, tmp_path: Path
) -> None:
    """Grandchildren in a session of their own do not survive."""
    pids = tmp_path / "pids"
    options = {"stop_children": True, "graceful_timeout": 1}
    shared.call("add", name="family", cmd=child("family", pids), options=options, start=True, waiting=True)
    eventually(lambda: len(pids.read_text().split()) == 2, within=10)
    shared.call("stop", name="family", waiting=True)
    assert not [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)]


def test_a_stopped_process_hears_the_stop_signal(shared: Daemon) -> None:
    """A SIGSTOPped child is woken, and ends in time."""
    shared.call(
        "add", name="frozen", cmd="sleep 1000", options={"graceful_timeout": 20}, start=True, waiting=True
    )
    (pid,) = shared.pids("frozen")
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    shared.call("stop", name="frozen", waiting=True)
    assert time.monotonic() - began < 10
    assert not is_alive(pid)


@pytest.mark.parametrize(
    ("options", "stage", "words"),
    [
        ({"cmd": "/no/such/program"}, "exec", "no folder /no/such"),
        ({"cmd": "no-such-program"}, "lookup", "no-such-program"),
        ({"cmd": "sleep 1", "working_dir": "/no/such/folder"}, "chdir", "/no/such/folder"),
        ({"cmd": "sleep 1", "uid": "nobody-of-that-name"}, "user", "nobody-of-that-name"),
        ({"cmd": "/etc/hostname"}, "exec", "/etc/hostname"),
    ],
)
def test_what_can_not_be_started_says_the_stage_and_harms_nobody(
    shared: Daemon, options: dict[str, str], stage: str, words: str
) -> None:
    """The stage and the reason stand in the state; other watchers run on; it is tried again."""
    web = shared.pids("web")
    settings = {**options, "max_retry": -1}
    cmd = settings.pop("cmd")
    shared.call("add", name="ill", cmd=cmd, options=settings, start=True, waiting=True)
    process = shared.watcher("ill")["processes"][0]
    assert process["state"] == "backoff"
    assert process["next_try"] is not None
    assert process["exit"]["stage"] == stage
    assert words in process["exit"]["text"].lower()
    assert shared.pids("web") == web


def test_a_bad_interpreter_is_named(shared: Daemon, tmp_path: Path) -> None:
    """A script whose first line names no program does not read "no such file" of the script."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    shared.call("add", name="ill", cmd=str(script), start=True, waiting=True)
    end = shared.watcher("ill")["processes"][0]["exit"]
    assert end["stage"] == "interpreter"
    assert "/no/such/interpreter" in end["text"]


def test_max_retry_gives_up_and_start_tries_again(shared: Daemon) -> None:
    """After max_retry it has failed, is stopped on the wire, and explains itself."""
    options = {"max_retry": 1, "backoff": 0.05}
    shared.call("add", name="ill", cmd="/no/such/program", options=options)
    done = shared.ctl("start", "ill", "--waiting", check=False)
    assert (done.returncode, "could not execute /no/such/program" in done.stderr) == (3, True)
    eventually(lambda: shared.watcher("ill")["processes"][0]["state"] == "failed")
    view = shared.watcher("ill")
    assert view["status"] == "stopped"
    assert "/no/such" in view["explain"]
    for command in ("start", "restart"):
        with pytest.raises(Refused, match="could not execute /no/such/program: there is no folder"):
            shared.call(command, name="ill", waiting=True)
        # It counts anew; the next try may have been made already.
        assert shared.watcher("ill")["processes"][0]["attempts"] in (1, 2)


def test_quick_deaths_back_off_and_show_the_next_try(shared: Daemon) -> None:
    """A flapping process is in backoff with a time, and does not spin."""
    shared.call("add", name="flap", cmd="false", start=True, waiting=True)
    eventually(lambda: shared.watcher("flap")["processes"][0]["attempts"] >= 3)
    view = eventually(lambda: (v := shared.watcher("flap"))["processes"][0]["state"] == "backoff" and v)
    assert view["state"] == "backoff"
    assert "tried again in" in view["explain"]
    assert view["processes"][0]["starts"] < 12


def test_the_child_gets_exactly_what_its_options_say(tmp_path: Path) -> None:
    """User, groups, umask, limits, folder, environment, session and descriptors are as declared."""
    out = tmp_path / "report.json"
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    ini = f"""
[circus]
umask = 027
[env]
FOR_ALL = 1
[env:rep*]
FOR_SOME = $HOME
[watcher:report]
cmd = /usr/bin/python3 {CHILD} report {out}
working_dir = {tmp_path}
uid = nobody
rlimit_core = 0
rlimit_nproc = 321
use_sockets = true
args = $(circus.sockets.named) $(circus.wid)
[socket:named]
port = 0
[socket:other]
port = 0
"""
    if os.getuid() != 0:
        ini = ini.replace("uid = nobody\n", "")
    child_is_readable = os.stat(CHILD.parent).st_mode & 0o001
    program = tmp_path / "child.py"
    program.write_text(
        CHILD.read_text().replace("def report(path: str)", "def report(path: str, *rest: str)")
    )
    program.chmod(0o755)
    ini = ini.replace(str(CHILD), str(program))
    assert child_is_readable is not None
    with Daemon(ini, tmp_path, environ={"SECRET_OF_THE_DAEMON": "x"}) as daemon:
        seen = report_of(out)
        named = next(s["fd"] for s in daemon.call("listsockets")["sockets"] if s["name"] == "named")
        assert set(seen["fds"]) - {"3"} <= {"0", "1", "2", str(named)} | {"3", "4"}
        sockets = [t for n, t in seen["fds"].items() if t.startswith("socket:")]
        assert len(sockets) == 1
        assert seen["fds"]["0"] == "/dev/null"
        assert seen["argv"][-2:] == [str(named), "1"]
        if os.getuid() == 0:
            assert seen["uid"] == seen["euid"] == 65534
            assert 0 not in seen["groups"]
        assert seen["umask"] == 0o27
        assert seen["core"] == [0, 0]
        assert seen["nproc"] == [321, 321]
        assert seen["cwd"] == str(tmp_path)
        assert seen["env"]["FOR_ALL"] == "1"
        assert seen["env"]["FOR_SOME"] == os.environ["HOME"]
        assert "SECRET_OF_THE_DAEMON" not in seen["env"]
        assert "PATH" not in seen["env"]
        assert seen["sid"] == seen["pid"]
        assert int(seen["SigBlk"], 16) == 0
        # Python ignores two, and two are the C library's own, which make leaves ignored.
        assert int(seen["SigIgn"], 16) & ~(1 << 12 | 1 << 24 | 3 << 31) == 0


def test_priority_orders_the_start_and_in_reverse_the_stop(tmp_path: Path) -> None:
    """High priority starts first and stops last."""
    notes = tmp_path / "notes"
    ini = "".join(
        f"[watcher:{name}]\ncmd = {child('mark', notes, name)}\npriority = {priority}\nwarmup_delay = 0\n"
        for name, priority in (("low", 1), ("high", 9), ("middle", 5))
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: len(notes.read_text().split()) == 3, within=10)
        starts = [
            e["watcher"]
            for e in daemon.call("events", lines=2000)["events"]
            if e["event"] == "process.started"
        ]
        assert starts == ["high", "middle", "low"]
    assert notes.read_text().split()[3:] == ["-low", "-middle", "-high"]


def test_commands_on_different_watchers_do_not_wait_for_each_other(shared: Daemon, tmp_path: Path) -> None:
    """While one watcher takes long to stop, another is restarted."""
    ready = tmp_path / "ready"
    options = {"graceful_timeout": 3}
    shared.call("add", name="slow", cmd=child("deaf", ready), options=options, start=True, waiting=True)
    eventually(ready.exists)
    shared.call("stop", name="slow")
    began = time.monotonic()
    shared.call("restart", name="web", waiting=True)
    assert time.monotonic() - began < 2
    assert shared.call("status", name="slow")["status"] == "stopping"


def test_a_hundred_commands_at_once_end_and_the_last_one_counts(shared: Daemon) -> None:
    """Ten clients, restarts and scaling in any order: nobody is refused, and the number is right in the end."""
    errors: list[str] = []

    def run(kind: int) -> None:
        for _ in range(10):
            try:
                if kind % 2:
                    shared.call("restart", name="web", waiting=True)
                else:
                    shared.call("incr", name="web", waiting=True)
                    shared.call("decr", name="web", waiting=True)
            except Refused as error:
                errors.append(str(error))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    shared.call("restart", name="web", waiting=True)
    assert shared.call("numprocesses", name="web")["numprocesses"] == 2
    eventually(lambda: all(is_alive(p) for p in shared.pids("web")))


def test_orphans_are_reaped(shared: Daemon, tmp_path: Path) -> None:
    """Grandchildren that lose their parent and end leave no zombie below the daemon."""
    done = tmp_path / "done"
    shared.call(
        "add",
        name="orphans",
        cmd=child("orphans", done, 50),
        options={"copy_env": True},
        start=True,
        waiting=True,
    )
    eventually(done.exists, within=20)

    def zombies() -> list[str]:
        listing = subprocess.run(
            ["ps", "--ppid", str(shared.pid), "-o", "stat="], capture_output=True, text=True, check=False
        )
        return [s for s in listing.stdout.split() if s.startswith("Z")]

    eventually(lambda: not zombies(), within=5)


def test_a_second_daemon_of_the_name_is_refused_and_names_the_first(shared: Daemon) -> None:
    """Nothing is taken over, the first one runs on, and the exit code tells."""
    done = subprocess.run(
        [str(BIN / "circusd"), str(shared.config)],
        capture_output=True,
        text=True,
        env=shared.environ,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert str(shared.pid) in done.stderr
    assert shared.call("ping")["pid"] == shared.pid


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop_signals_end_everything_in_order_with_exit_code_0(tmp_path: Path, signum: int) -> None:
    """All processes are gone, and circusd exits with 0; a second signal changes nothing."""
    with Daemon("[watcher:web]\ncmd = sleep 1000\nnumprocesses = 3\n", tmp_path) as daemon:
        pids = daemon.pids("web")
        assert daemon.popen is not None
        daemon.popen.send_signal(signum)
        daemon.popen.send_signal(signum)
        assert daemon.stop() == 0
        assert not [pid for pid in pids if is_alive(pid)]


def test_nothing_is_started_any_more_once_circusd_stops(tmp_path: Path) -> None:
    """A plugin or a script that answers a stop by a start does not leave a process behind."""
    deaf = tmp_path / "deaf"
    ini = (
        f"[watcher:slow]\ncmd = {child('deaf', deaf)}\ngraceful_timeout = 3\n"
        f"[watcher:later]\ncmd = sh -c 'echo > {tmp_path}/started; exec sleep 1000'\nautostart = false\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(deaf.exists, within=20, what="it does not hear SIGTERM any more")
        os.kill(daemon.pid, signal.SIGTERM)
        eventually(lambda: daemon.call("inspect")["daemon"]["stopping"], within=10)
        for command in ("start", "incr", "restart", "reload"):
            with pytest.raises(Refused, match="circusd is stopping"):
                daemon.call(command, name="later")
        with pytest.raises(Refused, match="circusd is stopping"):
            daemon.call("add", name="more", cmd="sleep 1000", start=True)
        assert daemon.stop() == 0
    assert not (tmp_path / "started").exists()


def test_sighup_reloads_what_runs(tmp_path: Path) -> None:
    """Processes are replaced; a stopped watcher stays stopped."""
    ini = "[watcher:web]\ncmd = sleep 1000\n[watcher:off]\ncmd = sleep 1000\nautostart = false\n"
    with Daemon(ini, tmp_path) as daemon:
        (before,) = daemon.pids("web")
        os.kill(daemon.pid, signal.SIGHUP)
        eventually(lambda: daemon.pids("web") not in ([before], []) and not is_alive(before))
        assert daemon.pids("off") == []


def test_max_age_replaces_a_process(shared: Daemon) -> None:
    """After max_age a process is stopped and started anew."""
    options = {"max_age": 1, "max_age_variance": 0}
    shared.call("add", name="aging", cmd="sleep 1000", options=options, start=True, waiting=True)
    (before,) = shared.pids("aging")
    eventually(lambda: shared.pids("aging") not in ([before], []), within=6)


def test_a_singleton_stays_one(shared: Daemon) -> None:
    """incr answers as the original does, and set refuses."""
    shared.call("add", name="one", cmd="sleep 1000", options={"singleton": True}, start=True, waiting=True)
    assert shared.call("incr", name="one", waiting=True)["singleton"] is True
    assert len(shared.pids("one")) == 1
    with pytest.raises(Refused):
        shared.call("set", name="one", options={"numprocesses": 3}, waiting=True)


def test_without_respawn_a_process_that_ends_stays_down(shared: Daemon) -> None:
    """The watcher becomes stopped, and says how the process ended."""
    options = {"respawn": False}
    shared.call("add", name="once", cmd="sh -c 'exit 3'", options=options, start=True, waiting=True)
    eventually(lambda: shared.call("status", name="once")["status"] == "stopped")
    assert "code 3" in shared.watcher("once")["explain"]


def test_numprocesses_0_is_active_with_no_process(shared: Daemon) -> None:
    """0 is a number like any other."""
    shared.call("add", name="none", cmd="sleep 1000", options={"numprocesses": 0}, start=True, waiting=True)
    assert shared.call("status", name="none")["status"] == "active"
    assert shared.pids("none") == []
    shared.call("incr", name="none", waiting=True)
    assert len(shared.pids("none")) == 1


def test_a_reload_of_the_file_changes_only_what_changed(tmp_path: Path) -> None:
    """One of several watchers changes, one is added, one removed: the others keep their processes."""
    ini = "".join(f"[watcher:w{n}]\ncmd = sleep 100{n}\n" for n in range(5))
    with Daemon(ini, tmp_path) as daemon:
        before = {n: daemon.pids(f"w{n}") for n in range(5)}
        changed = ini.replace("sleep 1001", "sleep 2001").replace("[watcher:w4]\ncmd = sleep 1004\n", "")
        daemon.config.write_text(changed + "[watcher:new]\ncmd = sleep 3000\n")
        daemon.call("reloadconfig", waiting=True)
        assert daemon.call("list")["watchers"] == ["new", "w0", "w1", "w2", "w3"]
        assert {n: daemon.pids(f"w{n}") for n in (0, 2, 3)} == {n: before[n] for n in (0, 2, 3)}
        assert daemon.pids("w1") != before[1]
        daemon.config.write_text("[watcher:w0]\nnumprocesses = many\n")
        with pytest.raises(Refused, match="many"):
            daemon.call("reloadconfig", waiting=True)
        assert daemon.pids("w0") == before[0]


def test_a_thousand_quick_respawns_leave_nothing_behind(tmp_path: Path) -> None:
    """Descriptors, zombies and memory are as before after many respawns."""
    ini = "[watcher:true]\ncmd = true\nbackoff = 0\nnumprocesses = 4\n"
    with Daemon(ini, tmp_path) as daemon:

        def starts() -> int:
            return sum(p["starts"] for p in daemon.watcher("true")["processes"])

        def fds() -> int:
            return len(os.listdir(f"/proc/{daemon.pid}/fd"))

        eventually(lambda: starts() > 100, within=20)
        daemon.call("stop", name="true", waiting=True)
        eventually(lambda: True)
        before = fds()
        daemon.call("start", name="true")
        eventually(lambda: starts() > 1000, within=30)
        daemon.call("stop", name="true", waiting=True)
        eventually(lambda: fds() <= before, what="no descriptor more than before")


def test_what_rm_leaves_running_writes_on_and_is_not_managed_any_more(shared: Daemon, tmp_path: Path) -> None:
    """With --nostop the processes live, their output does not end them, and nobody starts them again."""
    out = tmp_path / "count"
    code = f"import time; n = 0\nwhile True:\n n += 1; print(n, flush=True); open({str(out)!r}, 'w').write(str(n)); time.sleep(0.01)"
    script = tmp_path / "counter.py"
    script.write_text(code)
    shared.call("add", name="counter", cmd=f"{PYTHON} {script}", start=True, waiting=True)
    (pid,) = shared.pids("counter")
    try:
        eventually(out.exists)
        shared.call("rm", name="counter", nostop=True, waiting=True)
        assert "counter" not in shared.call("list")["watchers"]
        seen = int(out.read_text() or 0)
        eventually(lambda: int(out.read_text() or 0) > seen + 20)
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{pid}"))
    assert shared.call("numprocesses")["numprocesses"] == 2
