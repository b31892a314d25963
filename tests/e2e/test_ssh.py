"""The client programs by ssh: OpenSSH's own client, a real sshd on this machine, a real circusd behind it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import BIN, Daemon
from tests.elsewhere import PLUGIN, without_daemon
from tests.sshd import MISSING, Sshd
from tests.waiting import eventually
from tests.window import Window

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Daemon]:
    ini = (
        f"[circus]\nendpoint = tcp://127.0.0.1:{port}\n"
        "[watcher:web]\ncmd = sh -c 'echo ready; exec sleep 1000'\ncopy_env = true\nnumprocesses = 2\n"
    )
    with Daemon(ini, tmp_path_factory.mktemp("far")) as running:
        yield running


@pytest.fixture(scope="module")
def far(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    there = {"PATH": f"{BIN}:/usr/bin:/bin", "CIRCUS_RUNTIME_DIR": str(daemon.runtime)}
    with Sshd(tmp_path_factory.mktemp("sshd"), there) as running:
        yield running


@pytest.fixture(autouse=True)
def no_client_of_ssh_is_left(far: Sshd) -> Iterator[None]:
    """Whatever a test did, no ssh is left, and the host is known again."""
    yield
    eventually(lambda: not far.clients(), what="ssh has ended")
    far.know()


@pytest.fixture
def here(far: Sshd, tmp_path: Path) -> dict[str, str]:
    """The environment on this side: no daemon runs here."""
    environ = without_daemon(tmp_path)
    environ.pop("SSH_AUTH_SOCK", None)
    return {**environ, "PATH": f"{far.path}:{os.environ['PATH']}"}


@pytest.fixture
def run(here: dict[str, str]) -> Run:
    def program(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / name), *words], capture_output=True, text=True, env=here, timeout=50, check=False
        )

    return program


def shown(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    while text not in (line := process.stdout.readline()):
        assert line, f"ended without {text!r}"


def test_the_daemon_there_is_found_and_obeys(run: Run, far: Sshd, daemon: Daemon) -> None:
    """By the circusctl of that machine, and with nothing else named."""
    done = run("circusctl", "--ssh", far.server, "status")
    assert (done.returncode, done.stdout, done.stderr) == (0, "web: active\n", "")
    done = run("circusctl", "--ssh", far.server, "incr", "web", "--waiting")
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert daemon.call("numprocesses", name="web")["numprocesses"] == 3
    assert run("circusctl", "--ssh", far.server, "decr", "web", "--waiting").stdout == "2\n"


@pytest.mark.parametrize("kind", ["tcp", "unix", "name", "address"])
def test_endpoints_there_are_reached(run: Run, far: Sshd, daemon: Daemon, port: int, kind: str) -> None:
    """TCP by ssh alone, a unix socket and a name by the circusctl there; or all of it as one endpoint."""
    ways = {
        "tcp": ["--ssh", far.server, "--endpoint", f"tcp://127.0.0.1:{port}"],
        "unix": ["--ssh", far.server, "--endpoint", f"{daemon.runtime}/circus/commands.sock"],
        "name": ["--ssh", far.server, "--name", "circus"],
        "address": ["--endpoint", f"ssh://{far.server}?endpoint=tcp://127.0.0.1:{port}"],
    }
    done = run("circusctl", *ways[kind], "list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "web\n", "")


def test_another_machine_can_be_the_usual_one(here: dict[str, str], far: Sshd) -> None:
    """CIRCUSCTL_ENDPOINT may be one that is reached by ssh, and completion then stays silent."""
    environ = {**here, "CIRCUSCTL_ENDPOINT": f"ssh://{far.server}"}
    for words, shown in ((["list"], "web\n"), (["--names", "watchers"], "")):
        done = subprocess.run(
            [str(BIN / "circusctl"), *words],
            capture_output=True,
            text=True,
            env=environ,
            timeout=50,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_machines_that_name_each_other_do_not_go_round(run: Run, far: Sshd) -> None:
    """The far side goes no further, whatever the environment there names."""
    done = run("circusctl", "--bridge", "--ssh", far.server)
    assert done.returncode == 1
    assert "is on another machine" in done.stderr


def test_a_machine_that_says_nothing_is_a_time_out(run: Run) -> None:
    """The time limit holds for the way there too, and ssh is ended with it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        done = run("circusctl", "--strict", "--timeout", "1", "--ssh", place, "ping")
    assert done.returncode == 6
    assert done.stderr.startswith("Timed out. ")
    assert place in done.stderr


def test_a_login_that_talks_is_told(run: Run, here: dict[str, str], far: Sshd, tmp_path: Path) -> None:
    """What a shell's start-up file prints comes before the daemon's first byte, and is not taken for it."""
    program = tmp_path / "circusctl"
    program.write_text(
        "#!/bin/sh\necho welcome to this machine, which has much to say at every login of everybody\n"
    )
    program.chmod(0o755)
    (tmp_path / "d").mkdir()
    with Sshd(tmp_path / "d", {"PATH": f"{tmp_path}:/usr/bin:/bin"}) as there:
        environ = {**here, "PATH": f"{there.path}:{os.environ['PATH']}"}
        words = [str(BIN / "circusctl"), "--ssh", there.server, "ping"]
        done = subprocess.run(words, capture_output=True, text=True, env=environ, timeout=50, check=False)
        eventually(lambda: not there.clients(), what="ssh has ended")
    assert done.returncode == 1
    assert "the login there prints something" in done.stderr


def test_a_key_can_be_named(run: Run, far: Sshd) -> None:
    """It is the one that is used, and a wrong one is told with what to do."""
    (far.folder / "config").write_text(
        (far.folder / "config").read_text().replace(str(far.key), "/nonexistent")
    )
    try:
        assert run("circusctl", "--ssh", far.server, "--ssh_keyfile", str(far.key), "ping").stdout == "pong\n"
        done = run("circusctl", "--ssh", far.server, "--ssh_keyfile", str(far.other_key), "ping")
    finally:
        (far.folder / "config").write_text(
            (far.folder / "config").read_text().replace("/nonexistent", str(far.key))
        )
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "--ssh_keyfile" in done.stderr


def test_an_unknown_host_and_another_key_are_told(run: Run, far: Sshd) -> None:
    """Nothing is trusted by itself, and nothing asked for."""
    far.know_nobody()
    done = run("circusctl", "--ssh", far.server, "ping")
    assert done.returncode == 1
    assert "is not known here" in done.stderr
    assert f"ssh -p {far.port} {far.user}@127.0.0.1" in done.stderr
    far.know(right=False)
    done = run("circusctl", "--ssh", far.server, "ping")
    assert "is another than the one that is known" in done.stderr
    assert "ssh-keygen -R" in done.stderr


def test_what_is_wrong_there_is_told_in_its_words(run: Run, far: Sshd, tmp_path: Path) -> None:
    """No daemon, nothing that listens, no machine; with --strict by a code of its own."""
    done = run("circusctl", "--ssh", far.server, "--name", "shop", "ping")
    assert done.returncode == 1
    told = f"127.0.0.1 port {far.port} says: no daemon named 'shop' runs; running: circus"
    assert done.stderr == f"circusctl: {told}\n"
    done = run("circusctl", "--strict", "--ssh", far.server, "--endpoint", "tcp://127.0.0.1:1", "ping")
    assert done.returncode == 69
    assert "Connection refused" in done.stderr
    done = run("circusctl", "--ssh", "127.0.0.1:1", "ping")
    assert "no way to 127.0.0.1 port 1 by ssh" in done.stderr
    assert "Connection refused" in done.stderr


def test_a_machine_without_circusctl_is_told(
    here: dict[str, str], far: Sshd, daemon: Daemon, tmp_path: Path
) -> None:
    """With the way that does without; text that comes from there commands no terminal."""
    (tmp_path / "d").mkdir()
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    with Sshd(tmp_path / "d", bare) as there:
        environ = {**here, "PATH": f"{there.path}:{os.environ['PATH']}"}
        words = [str(BIN / "circusctl"), "--ssh", there.server, "ping"]
        done = subprocess.run(words, capture_output=True, text=True, env=environ, timeout=50, check=False)
        eventually(lambda: not there.clients(), what="ssh has ended")
    assert done.returncode == 1
    assert "circusctl is not found on 127.0.0.1" in done.stderr
    assert "--endpoint tcp://" in done.stderr


def test_no_word_of_ours_is_a_command_there(run: Run, far: Sshd, tmp_path: Path) -> None:
    """Quotes, variables and semicolons in a name or an endpoint stay what they are, by the far shell too."""
    trap = tmp_path / "trap"
    for name in (f"x'; touch {trap}; '", f"$(touch {trap})", f"`touch {trap}`", f'"; touch {trap}; "'):
        done = run("circusctl", "--ssh", far.server, "--name", name, "ping")
        assert "no daemon named" in done.stderr
        done = run("circusctl", "--ssh", far.server, "--endpoint", f"ipc:///nowhere/{name}", "ping")
        assert "there is no such socket" in done.stderr
    assert not trap.exists()


def test_streams_come_by_ssh_too(here: dict[str, str], far: Sshd, daemon: Daemon) -> None:
    """Output, events and the raw messages of the event endpoint, each until it is interrupted."""
    for words, waited, act in (
        (["tail", "-f", "web"], "ready", None),
        (["events", "-f"], "watcher.", None),
        (["listen"], "watcher.web.", "signal"),
    ):
        process = subprocess.Popen(
            [str(BIN / "circusctl"), "--ssh", far.server, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=here,
        )
        with process:
            if act:
                # Events are not kept for who comes later: one is made until it is seen.
                eventually(lambda: len(far.clients()) == 2, within=20, what="both connections are there")
                seen = partial(_reads, process, daemon, "watcher.web.updated")
                eventually(seen, within=30, what="an event of ours")
            else:
                shown(process, waited)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == (1 if words == ["listen"] else 130)
        assert far.clients() == []


def _reads(process: subprocess.Popen[str], daemon: Daemon, text: str) -> bool:
    """Whether the process prints the text when an option is set once more."""
    daemon.call("set", name="web", options={"graceful_timeout": 5})
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 0.2)
    return bool(readable) and text in process.stdout.readline()


def test_top_and_a_plugin_go_the_same_way(
    run: Run, here: dict[str, str], far: Sshd, daemon: Daemon, tmp_path: Path
) -> None:
    """A table of the machine there, once and live; a plugin here that hears of what happens there."""
    done = run("circus-top", "--ssh", far.server, "--once")
    assert done.returncode == 0, done.stderr
    assert "web" in done.stdout
    with Window([str(BIN / "circus-top"), "--ssh", far.server], {**here, "TERM": "xterm"}) as window:
        window.see(r"^▾ web +\d")
        window.press("/web\r\x1b[Br")
        window.see(r"^Restart web\? ")
        window.press("ny")
        window.see_no(r"^Restart web")
        window.press("q")
        assert window.until_over() == 0
    (tmp_path / "told.py").write_text(PLUGIN)
    process = subprocess.Popen(
        [str(BIN / "circus-plugin"), "--ssh", far.server, "told.Told"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=here,
        cwd=tmp_path,
    )
    with process:
        shown(process, "watchers ['web']")
        eventually(partial(_reads, process, daemon, "told web updated"), within=30, what="the plugin is told")
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_tunnel_ends_with_the_program(here: dict[str, str], far: Sshd, by: signal.Signals) -> None:
    """However the program ends."""
    process = subprocess.Popen(
        [str(BIN / "circusctl"), "--ssh", far.server, "tail", "-f", "web"],
        stdout=subprocess.PIPE,
        text=True,
        env=here,
    )
    with process:
        shown(process, "ready")
        assert far.clients()
        process.send_signal(by)
        process.wait(20)
    eventually(lambda: not far.clients(), within=20, what="ssh has ended")


def test_json_goes_through_unchanged(run: Run, far: Sshd) -> None:
    """Scripts read the same as on that machine."""
    assert json.loads(run("circusctl", "--json", "--ssh", far.server, "list").stdout)["watchers"] == ["web"]


@pytest.mark.parametrize(
    "server",
    [
        "-oProxyCommand=x",
        "me@-oProxyCommand=x",
        "-l@host",
        "a b",
        "host;id",
        "$(id)",
        "me@`id`",
        "h:0",
        "h:ssh",
        "",
        "@",
    ],
)
def test_what_is_no_place_is_refused_before_ssh_sees_it(run: Run, far: Sshd, server: str) -> None:
    """An option or a command in the place of a host."""
    before = far.log
    done = run("circusctl", f"--ssh={server}", "ping")
    assert done.returncode == 1
    assert "expected USER@HOST:PORT" in done.stderr
    assert far.log == before
