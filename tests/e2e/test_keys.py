"""Keys of other machines, as people use them: real programs on the far side of a real network."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd import keyfile
from tests.daemon import BIN, Daemon, lines_of
from tests.elsewhere import PLUGIN, without_daemon
from tests.namespace import InNamespace, Neighbour
from tests.waiting import eventually
from tests.window import Window

INI = """
[circus]
endpoint = tcp://0.0.0.0:5555
pubsub_endpoint = tcp://0.0.0.0:5556
stats_endpoint = tcp://0.0.0.0:5557
[watcher:web]
cmd = sh -c 'echo ready; exec sleep 1000'
copy_env = true
graceful_timeout = 5
[env:web]
DB_PASSWORD = planted-secret
"""

SERVER = f"tcp://{Neighbour.THERE}:5555"

ORIGINAL = """
import json, sys
import zmq, zmq.auth
path, server = sys.argv[1:3]
public, secret = zmq.auth.load_certificate(path)
context = zmq.Context()
def made(kind, port):
    sock = context.socket(kind)
    sock.linger, sock.rcvtimeo = 0, 10000
    sock.curve_publickey, sock.curve_secretkey, sock.curve_serverkey = public, secret, server.encode()
    sock.connect("tcp://10.77.0.1:%d" % port)
    return sock
events, stats, commands = made(zmq.SUB, 5556), made(zmq.SUB, 5557), made(zmq.DEALER, 5555)
events.subscribe(b"watcher."), stats.subscribe(b"stat.")
stats.recv_multipart()
commands.send(json.dumps({"id": "1", "command": "restart", "properties": {"name": "web"}}).encode())
print(json.loads(commands.recv())["status"], events.recv_multipart()[0].decode())
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Follow = Callable[..., "contextlib.AbstractContextManager[tuple[subprocess.Popen[bytes], Path]]"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InNamespace]:
    with InNamespace(INI, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def neighbour(daemon: InNamespace) -> Iterator[Neighbour]:
    made = Neighbour(daemon)
    yield made
    made.close()


@pytest.fixture
def here(tmp_path: Path) -> dict[str, str]:
    """The environment there: no daemon runs on that machine."""
    return without_daemon(tmp_path)


@pytest.fixture
def run(neighbour: Neighbour, here: dict[str, str], tmp_path: Path) -> Run:
    """A program there, until its end."""

    def program(name: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            neighbour.entering(str(BIN / name), *words),
            capture_output=True,
            text=True,
            env={**here, **more},
            cwd=tmp_path,
            timeout=50,
            check=False,
        )

    return program


@pytest.fixture
def follow(neighbour: Neighbour, here: dict[str, str], tmp_path: Path) -> Follow:
    """A program there that goes on until it is told to end, and the file in which is what it says."""

    @contextlib.contextmanager
    def program(name: str, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        output = tmp_path / "output"
        with output.open("w") as file:
            process = subprocess.Popen(
                neighbour.entering(str(BIN / name), *words), stdout=file, stderr=file, env=here, cwd=tmp_path
            )
        try:
            yield process, output
        finally:
            process.terminate()
            process.wait(20)

    return program


@pytest.fixture
def key(daemon: InNamespace, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """The file of a new key, which is revoked after the test."""
    made: list[str] = []

    def make(name: str, role: str = "operator") -> str:
        path = str(tmp_path / f"{name}.key")
        daemon.ctl("keys", "add", name, "--role", role, "--out", path)
        made.append(name)
        return path

    yield make
    for name in made:
        daemon.ctl("keys", "rm", name, check=False)


def beside(daemon: InNamespace, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """circusctl on the daemon's own machine, by its tcp:// endpoint."""
    return subprocess.run(
        [*daemon.entering(), str(BIN / "circusctl"), "--endpoint", "tcp://127.0.0.1:5555", *words],
        capture_output=True,
        text=True,
        env={**daemon.environ, **more},
        timeout=30,
        check=False,
    )


def audit(daemon: InNamespace) -> list[dict[str, Any]]:
    return list(daemon.call("audit", lines=1000)["entries"])


def test_without_a_key_nobody_there_is_obeyed(run: Run, daemon: InNamespace, key: Callable[..., str]) -> None:
    """At none of the endpoints, be there keys of others or not; what is said names the two ways there are."""
    for name in ("somebody", "another"):
        done = run("circusctl", "--endpoint", SERVER, "list")
        assert (done.returncode, done.stdout) == (1, "")
        assert "--key FILE; there: circusctl keys add NAME" in done.stderr and "--ssh" in done.stderr
        key(name, "viewer")
    for port in (5556, 5557):
        done = run("circus-top", "--once", "--endpoint", f"tcp://{Neighbour.THERE}:{port}")
        assert done.returncode == 1
    assert {entry["from"].partition(":")[0] for entry in audit(daemon) if entry["result"] == "refused"} == {
        Neighbour.HERE
    }


def test_a_viewer_reads_and_no_more(run: Run, daemon: InNamespace, key: Callable[..., str]) -> None:
    """States, output, options with their secrets hidden; what changes something is denied, and recorded with name and place."""
    ways = ("--key", key("screen", "viewer"), "--endpoint", SERVER)
    assert run("circusctl", *ways, "status").stdout == "web: active\n"
    assert "ready" in eventually(lambda: run("circusctl", *ways, "tail", "web").stdout)
    shown = run("circusctl", *ways, "options", "web").stdout
    assert "DB_PASSWORD=********" in shown and "planted-secret" not in shown
    done = run("circusctl", *ways, "incr", "web")
    assert done.returncode == 3
    assert "incr is for the role operator; key:screen has viewer" in done.stderr
    assert run("circusctl", *ways, "keys").returncode == 3
    denied = [entry for entry in audit(daemon) if entry["result"] == "denied" and entry["command"] == "incr"]
    assert denied[-1]["person"] == "key:screen" and denied[-1]["from"].startswith(f"{Neighbour.HERE}:")
    assert daemon.call("numprocesses", name="web")["numprocesses"] == 1


def test_an_operator_runs_what_is_there(run: Run, daemon: InNamespace, key: Callable[..., str]) -> None:
    """And decides no code; what he did is in the audit under the name of the key."""
    ways = ("--key", key("ops"), "--endpoint", SERVER)
    assert run("circusctl", *ways, "incr", "web", "--waiting").stdout == "2\n"
    assert daemon.call("numprocesses", name="web")["numprocesses"] == 2
    assert run("circusctl", *ways, "decr", "web", "--waiting").stdout == "1\n"
    assert run("circusctl", *ways, "set", "web", "cmd", "sleep 5").returncode == 3
    assert run("circusctl", *ways, "add", "x", "sleep 5").returncode == 3
    (done,) = [entry for entry in audit(daemon) if entry.get("command") == "incr" and entry["result"] == "ok"]
    assert (done["person"], done["role"], done["door"]) == ("key:ops", "operator", "commands of the file")
    assert "pid" not in done and "uid" not in done


def test_an_admin_decides_also_about_keys(run: Run, daemon: InNamespace, key: Callable[..., str]) -> None:
    """He adds a watcher and sees its secrets, and makes a key for a third machine, whose secret stays where it was made."""
    ways = ("--key", key("boss", "admin"), "--endpoint", SERVER)
    assert run("circusctl", *ways, "add", "extra", "sleep 100").stdout == "ok\n"
    assert "planted-secret" in run("circusctl", *ways, "options", "web").stdout
    assert run("circusctl", *ways, "rm", "extra", "--waiting").returncode == 0
    made = run("circusctl", *ways, "keys", "add", "third", "--out", "third.key")
    assert (made.returncode, made.stderr) == (0, "")
    third = ("--key", "third.key", "--endpoint", SERVER)
    assert run("circusctl", *third, "status").stdout == "web: active\n"
    assert run("circusctl", *ways, "keys", "rm", "third").stdout == "ok\n"
    assert "does not know the key" in run("circusctl", *third, "status").stderr
    assert [e["person"] for e in audit(daemon) if e.get("command") == "addkey"][-1] == "key:boss"


def test_the_live_table_offers_what_the_role_of_a_key_reaches(
    neighbour: Neighbour, here: dict[str, str], daemon: InNamespace, key: Callable[..., str]
) -> None:
    """A viewer's key shows all and does nothing; an operator's restarts, after a question."""
    before = daemon.pids("web")

    def window(path: str) -> Window:
        words = neighbour.entering(str(BIN / "circus-top"), "--key", path, "--endpoint", SERVER)
        return Window(words, {**here, "TERM": "xterm"})

    with window(key("eyes", "viewer")) as looked:
        looked.see(r"^▾ web +\d")
        looked.press("\x1b[B")
        looked.see(r"^\? help  q quit  enter details")
        looked.press("r")
        looked.see(r"^restart is for the role operator; you have viewer")
    assert daemon.pids("web") == before
    with window(key("hands", "operator")) as done:
        done.see(r"^▾ web +\d")
        done.press("\x1b[Br")
        done.see(r"^Restart web\? ")
        done.press("y")
        done.see(r"^restart web: \d started")
    assert not set(daemon.pids("web")) & set(before)


def test_all_programs_go_by_a_key(
    run: Run, follow: Follow, daemon: InNamespace, key: Callable[..., str], tmp_path: Path
) -> None:
    """Events, live figures and published ones, a plugin: each endpoint is found from that of commands."""
    path = key("ops")
    ways = ("--key", path, "--endpoint", SERVER)
    assert "web" in run("circus-top", "--once", *ways).stdout
    assert (
        "web"
        in run("circus-top", "--once", "--key", path, "--endpoint", f"tcp://{Neighbour.THERE}:5557").stdout
    )
    (tmp_path / "told.py").write_text(PLUGIN)
    for words, wanted in (
        (["circusctl", *ways, "listen"], "watcher.web.spawn"),
        (["circusctl", *ways, "events", "-f"], "web process.started"),
        (["circusctl", *ways, "tail", "-f", "web"], "| ready"),
        (["circus-plugin", *ways, "told.Told"], "told web spawn"),
    ):
        with follow(*words) as (_, output):

            def is_shown(output: Path = output, wanted: str = wanted) -> bool:
                daemon.ctl("restart", "web", "--waiting")
                return wanted in output.read_text()

            eventually(is_shown, within=20, what=f"{words} shows {wanted}")


def test_an_unmodified_client_of_libzmq_goes_by_a_key(
    daemon: InNamespace, neighbour: Neighbour, key: Callable[..., str]
) -> None:
    """The file is one of ZeroMQ's certificates; commands, events and stats with pyzmq alone."""
    path = key("script")
    server = daemon.call("keys")["server"]
    done = subprocess.run(
        neighbour.entering(sys.executable, "-c", ORIGINAL, path, server),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok watcher.web.")


def test_a_revoked_key_is_cut(run: Run, follow: Follow, daemon: InNamespace, key: Callable[..., str]) -> None:
    """What is connected by it ends at once, and says why when it comes again."""
    path = key("gone")
    key("other")
    ways = ("--key", path, "--endpoint", SERVER)
    with follow("circusctl", *ways, "tail", "-f", "web") as (process, output):
        eventually(lambda: "ready" in output.read_text(), within=20)
        (row,) = [row for row in daemon.call("keys")["keys"] if row["name"] == "gone"]
        assert [place.partition(":")[0] for place in row["connections"]] == [Neighbour.HERE]
        assert daemon.ctl("keys", "rm", "gone").stdout == "ok; 1 connection ended\n"
        assert process.wait(20) == 1
    assert "closed the connection" in output.read_text()
    done = run("circusctl", *ways, "status")
    assert done.returncode == 1
    assert "does not know the key" in done.stderr and "circusctl keys add gone --public" in done.stderr


def test_the_secret_may_be_made_where_it_stays(run: Run, daemon: InNamespace, tmp_path: Path) -> None:
    """Only public keys are passed on, each by the line that the other side prints."""
    made = run("circusctl", "keys", "new", "laptop")
    line = re.search(r"circusctl (keys add laptop --public) '?([^' \n]{40})'?\n", made.stdout)
    assert line, made.stdout
    assert stat.S_IMODE((tmp_path / "laptop.key").stat().st_mode) == 0o600
    ways = ("--key", "laptop.key", "--endpoint", SERVER)
    assert "does not say the public key of the server" in run("circusctl", *ways, "list").stderr
    added = daemon.ctl("keys", "add", "laptop", "--public", line[2], "--role", "operator")
    back = re.search(r"circusctl keys new laptop --server '?([^' \n]{40})'?\n", added.stdout)
    assert back, added.stdout
    assert run("circusctl", "keys", "new", "laptop", "--server", back[1]).returncode == 0
    assert run("circusctl", *ways, "list").stdout == "web\n"
    assert run("circusctl", "keys", "new", "laptop").stderr.startswith(
        "circusctl: laptop.key is there already"
    )
    assert daemon.ctl("keys", "rm", "laptop").returncode == 0


def test_the_environment_may_name_the_key(run: Run, daemon: InNamespace, key: Callable[..., str]) -> None:
    """It counts for other machines alone: what is on this one is known without."""
    path = key("ops")
    environ = {"CIRCUSCTL_KEY": path, "CIRCUSCTL_ENDPOINT": SERVER}
    assert run("circusctl", "list", **environ).stdout == "web\n"
    local = beside(daemon, "list", CIRCUSCTL_KEY=path)
    assert (local.stdout, local.stderr) == ("web\n", "")


def test_what_is_wrong_with_a_key_is_told(
    run: Run, daemon: InNamespace, key: Callable[..., str], tmp_path: Path
) -> None:
    """Open to others, of another server, none at all, for the wrong endpoint, for this very machine."""
    path = Path(key("ops"))
    ways = ("--endpoint", SERVER, "list")

    def told(*words: str) -> str:
        done = run("circusctl", *words)
        assert done.returncode == 1, done.stdout
        return done.stderr

    path.chmod(0o644)
    assert f"others may read it (mode 0644); chmod 600 {path}" in told("--key", str(path), *ways)
    path.chmod(0o600)
    held = keyfile.read(str(path))
    other = tmp_path / "other.key"
    fd = keyfile.create(str(other))
    os.write(fd, keyfile.dump(held._replace(server=held.public)))
    os.close(fd)
    assert "has another key than the one of" in told("--key", str(other), *ways)
    assert "can't be read: No such file" in told("--key", "nowhere.key", *ways)
    os.close(keyfile.create(str(tmp_path / "empty.key")))
    assert "is no key of circusctl" in told("--key", "empty.key", *ways)
    assert "--key is for a tcp:// endpoint" in told("--key", str(path), "--endpoint", "/run/x.sock", "list")
    assert "two ways" in told("--key", str(path), "--ssh", "there", "list")
    local = beside(daemon, "--key", str(path), "list")
    assert "takes no key here" in local.stderr and "leave --key out" in local.stderr


def test_what_is_shown_of_keys_is_no_secret(
    daemon: InNamespace, key: Callable[..., str], tmp_path: Path
) -> None:
    """Neither half of a secret is in the log, the audit, a reply, an output or the command line of a process."""
    path = key("ops")
    secrets = [
        keyfile.read(path).secret,
        json.loads((daemon.state / "circus" / "keys.json").read_bytes())["server"]["secret"],
    ]
    shown = [daemon.log.read_text(), (daemon.state / "circus" / "audit.log").read_text()]
    shown += [daemon.ctl("--json", *words).stdout for words in (["keys"], ["inspect"], ["audit"], ["events"])]
    made = daemon.ctl("--json", "keys", "add", "more", "--out", str(tmp_path / "more.key")).stdout
    assert keyfile.read(str(tmp_path / "more.key")).secret not in made
    (reply,) = lines_of(made)
    assert set(reply["key"]) == {"name", "role", "public", "added", "by"}
    daemon.ctl("rmkey", "more")
    for text in shown:
        assert not any(secret in text for secret in secrets)
    assert stat.S_IMODE((daemon.state / "circus" / "keys.json").stat().st_mode) == 0o600


def test_no_file_is_left_where_the_daemon_refuses(
    daemon: InNamespace, key: Callable[..., str], tmp_path: Path
) -> None:
    """A name that is taken, or a daemon that is not there; and a file that is there is not written over."""
    key("ops")
    again = tmp_path / "again.key"
    done = daemon.ctl("keys", "add", "ops", "--out", str(again), check=False)
    assert done.returncode == 3 and "there is a key named ops" in done.stderr
    assert not again.exists()
    again.write_text("mine")
    done = daemon.ctl("keys", "add", "fresh", "--out", str(again), check=False)
    assert done.returncode == 1 and again.read_text() == "mine"
    assert "fresh" not in daemon.ctl("keys").stdout


def test_inspect_tells_which_endpoints_take_keys(daemon: InNamespace, key: Callable[..., str]) -> None:
    """Those that other machines can reach, and whether there is anybody to come in."""
    key("ops")
    remote = daemon.call("inspect")["daemon"]["remote"]
    endpoints = {"commands": 5555, "events": 5556, "stats": 5557}
    assert remote["endpoints"] == {channel: f"tcp://0.0.0.0:{port}" for channel, port in endpoints.items()}
    assert (remote["curve"], remote["problem"]) == (True, "")
    assert remote["keys"] >= 1


def told_of_others(daemon: Daemon) -> list[str]:
    """The lines of the log on other machines; it is written by a thread, and may be a little later than an answer."""
    return [line for line in daemon.log.read_text().splitlines() if "other machines" in line]


def test_a_start_tells_who_can_come(tmp_path: Path) -> None:
    """Nobody, and what to do; those with a key, who count again without a command; or nobody, and what is wrong with the keys."""
    ini = "[circus]\nendpoint = tcp://0.0.0.0:0\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        (line,) = eventually(lambda: told_of_others(daemon), what="the log tells who can come")
        assert "WARNING" in line and "circusctl keys add NAME" in line and "circusctl --ssh" in line
        assert daemon.call("inspect")["daemon"]["remote"]["curve"] is False
        daemon.ctl("keys", "add", "laptop", "--out", str(tmp_path / "laptop.key"))
        assert daemon.call("inspect")["daemon"]["remote"]["curve"] is True
    daemon.log.unlink()
    with Daemon(ini, tmp_path) as daemon:
        (line,) = eventually(lambda: told_of_others(daemon), what="the log tells who can come")
        assert "INFO" in line and "with one of 1 keys" in line
        remote = daemon.call("inspect")["daemon"]["remote"]
        assert (remote["curve"], remote["keys"]) == (True, 1)
    daemon.log.unlink()
    (tmp_path / "state" / "circus" / "keys.json").chmod(0o644)
    with Daemon(ini, tmp_path) as daemon:
        (line,) = eventually(lambda: told_of_others(daemon), what="the log tells who can come")
        assert "WARNING" in line and "others may read it (mode 0644)" in line
        assert daemon.call("inspect")["daemon"]["remote"]["curve"] is False
        done = daemon.ctl("keys", check=False)
        assert done.returncode == 3 and "others may read it (mode 0644)" in done.stderr
        (tmp_path / "state" / "circus" / "keys.json").chmod(0o600)
        assert "laptop" in daemon.ctl("keys").stdout


HOSTILE = """
import os, resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
greeting = b"\\xff" + bytes(7) + b"\\x01\\x7f\\x03\\x01" + b"CURVE".ljust(20, b"\\0") + bytes(32)
hello = b"\\x04\\xc8\\x05HELLO\\x01\\x00"
said = [b"", greeting[:11], greeting, greeting + hello, os.urandom(5000), greeting + hello + os.urandom(194),
        greeting + hello + os.urandom(193) + b"\\x06" + bytes(6) + b"\\x0f\\xff\\x08INITIATE"]
held = []
for n in range(1000):
    sock = socket.create_connection((sys.argv[1], 5555 + n % 3), 10)
    try:
        sock.sendall(said[n % len(said)])
    except OSError:
        pass
    held.append(sock)
print("held", flush=True)
sys.stdin.readline()
"""


def test_strangers_there_stall_nobody(
    run: Run, daemon: InNamespace, neighbour: Neighbour, key: Callable[..., str]
) -> None:
    """A thousand handshakes that are none, half-open or garbage: requests here are answered, few lines are logged, and memory
    and descriptors are as before once they are gone."""
    path = key("ops")
    daemon.ctl("status")
    before = _rss(daemon.pid), len(os.listdir(f"/proc/{daemon.pid}/fd"))
    logged = len(daemon.log.read_text().splitlines())
    process = subprocess.Popen(
        neighbour.entering(sys.executable, "-c", HOSTILE, Neighbour.THERE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        assert daemon.ctl("status").stdout == "web: active\n"
        assert len(os.listdir(f"/proc/{daemon.pid}/fd")) - before[1] < 100
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
    eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before[1] + 2, within=15)
    assert _rss(daemon.pid) - before[0] < 8 << 20
    assert len(daemon.log.read_text().splitlines()) - logged < 40
    # The address has to wait, and is then heard again.
    ways = ("--key", path, "--endpoint", SERVER)
    eventually(lambda: run("circusctl", *ways, "list").stdout == "web\n", within=40)


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
