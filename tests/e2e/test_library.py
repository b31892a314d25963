"""circusd as a library: the original's get_arbiter and CircusClient, under our names and under its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.library import Arbiter, Watcher, get_arbiter
from circusd.schema.errors import Unavailable
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A runtime folder of this test's own, short enough for sockets."""
    runtime = tempfile.mkdtemp(prefix="circus-")
    own = {"CIRCUS_RUNTIME_DIR": runtime, "CIRCUS_STATE_DIR": f"{runtime}/state"}
    environ = {**os.environ, **own, "TMPDIR": str(tmp_path_factory.mktemp("temporary"))}
    environ.pop("CIRCUSCTL_ENDPOINT", None)
    yield environ
    assert [name for name in os.listdir(runtime) if name.startswith("program-")] == []
    assert os.listdir(environ["TMPDIR"]) == []
    shutil.rmtree(runtime)


def run(text: str, folder: Path, environ: dict[str, str]) -> str:
    """What a program of that text prints; it ends with 0."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, str(program)], env=environ, cwd=folder, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_examples_of_the_documentation_run(tmp_path: Path, environ: dict[str, str]) -> None:
    """Each program under "A daemon of one's own" does what the text says."""
    text = (ROOT / "docs" / "developers.rst").read_text()
    part = text[text.index("A daemon of one's own\n") :]
    part = part[: part.index("\nA client in Python\n")]
    found = re.findall(r"::\n\n((?:    .*\n|\n)+)", part)
    assert len(found) >= 3
    for example in found:
        code = textwrap.dedent(example)
        if "import" in code:
            run(code, tmp_path, environ)


def test_program_of_the_original_runs_with_one_line_more(tmp_path: Path, environ: dict[str, str]) -> None:
    """In the background, with the original's names; hooks and plugins are found in its own folder."""
    (tmp_path / "mine.py").write_text(
        "from circus.plugins import CircusPlugin\n"
        "def before(watcher, arbiter, hook_name, **kwargs):\n"
        "    open('hooked', 'a').write(watcher.name + chr(10))\n    return True\n"
        "class Plugin(CircusPlugin):\n    def handle_init(self):\n        open('plugged', 'w').write(self.config['text'])\n"
        "    def handle_recv(self, data):\n        pass\n"
    )
    out = run(
        """
        import os, time
        from circusd import original
        original.install()
        from circus import get_arbiter
        from circus.client import CircusClient
        from circus.exc import CallError
        import mine

        watchers = [
            {"cmd": "sleep 1000", "numprocesses": 2, "hooks": {"before_start": (mine.before, False)}},
            {"name": "odd \\U0001f600", "cmd": "sh -c 'echo $VALUE > value; exec sleep 1000'",
             "env": {"VALUE": 'a "b" \\u2028 \\U0001f600'}},
        ]
        arbiter = get_arbiter(
            watchers, background=True, plugins=[{"use": "mine.Plugin", "text": "x = 'y' ::: z"}],
            sockets=[{"name": "web", "host": "127.0.0.1", "port": 0}],
        )
        arbiter.start()
        try:
            client = CircusClient()
            print(sorted(client.send_message("list")["watchers"]))
            # Its hook has its time.
            while client.call({"command": "numprocesses", "properties": {"name": "sleep"}})["numprocesses"] != 2:
                time.sleep(0.01)
            print(client.send_message("nosuch")["status"])
            client.stop()
            sleeper = arbiter.get_watcher("sleep")
            sleeper.incr()
            while len(sleeper.pids) < 3:
                time.sleep(0.01)
            print(arbiter.statuses()["sleep"], sleeper.numprocesses)
            while not (os.path.exists("value") and os.path.exists("plugged") and open("plugged").read()):
                time.sleep(0.01)
            pids = list(sleeper.pids)
        finally:
            arbiter.stop()
        arbiter.stop()
        print(arbiter.exit_code, [pid for pid in pids if os.path.exists(f"/proc/{pid}")])
        """,
        tmp_path,
        environ,
    )
    assert out.splitlines() == [
        "['odd 😀', 'plugin:plugin', 'sleep']",
        "error",
        "active 3",
        "0 []",
    ]
    assert (tmp_path / "value").read_text() == 'a "b" \u2028 😀\n'
    assert (tmp_path / "hooked").read_text() == "sleep\n"
    assert (tmp_path / "plugged").read_text() == "x = 'y' ::: z"


FOREGROUND = """
    import os
    from circusd import get_arbiter
    arbiter = get_arbiter([{"name": "web", "cmd": "sh -c 'echo $$ > pid; exec sleep 1000'"}])
    try:
        arbiter.start()
    finally:
        arbiter.stop()
    print("ended", arbiter.exit_code)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_foreground_ends_in_order_by_a_signal(tmp_path: Path, environ: dict[str, str], signum: int) -> None:
    """As the original's start(): everything is stopped when it comes back."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(FOREGROUND))
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    pid = eventually(lambda: int((tmp_path / "pid").read_text()), within=20)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"ended 0\n")
    assert not Path(f"/proc/{pid}").exists()


def test_daemon_ends_with_its_program(tmp_path: Path, environ: dict[str, str]) -> None:
    """Also when that is killed: nobody would be left to stop it."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(FOREGROUND))
    process = subprocess.Popen(
        [sys.executable, str(program)],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pid = eventually(lambda: int((tmp_path / "pid").read_text()), within=20)
    (daemon,) = [
        int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(int(name)) == process.pid
    ]
    process.kill()
    process.wait()
    eventually(lambda: not Path(f"/proc/{pid}").exists() and not Path(f"/proc/{daemon}").exists(), within=20)
    for folder in (environ["TMPDIR"], environ["CIRCUS_RUNTIME_DIR"]):
        for name in os.listdir(folder):
            shutil.rmtree(os.path.join(folder, name))


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def test_what_keeps_it_from_starting_is_raised(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the words of the daemon, and nothing is left behind."""
    for name in ("CIRCUS_RUNTIME_DIR", "CIRCUS_STATE_DIR", "TMPDIR"):
        monkeypatch.setenv(name, environ[name])
    monkeypatch.setattr("tempfile.tempdir", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        for numprocesses, controller, told in (
            ("many", None, '"many" is not a whole number'),
            (1, endpoint, "another process has this address"),
        ):
            arbiter = get_arbiter(
                [{"cmd": "sleep 1", "numprocesses": numprocesses}], controller, background=True
            )
            with pytest.raises(Unavailable, match=told):
                arbiter.start()
            assert not arbiter.is_running()
            with pytest.raises(Unavailable, match="does not run"):
                arbiter.statuses()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: get_arbiter([{"cmd": "x"}], backgroud=True), "backgroud is no option"),
        (lambda: get_arbiter([{"cmd": "x"}], warmup_dely=1), "did you mean warmup_delay"),
        (lambda: get_arbiter([{"cmd": "x"}], loop=object()), "background=True"),
        (lambda: get_arbiter([{"name": "x"}]), "without cmd"),
        (lambda: get_arbiter([{"cmd": "/bin/x 1"}, {"cmd": "x 2"}]), "two are named x"),
        (
            lambda: get_arbiter([{"cmd": "x", "hooks": {"before_start": lambda **_: True}}]),
            "can't be imported",
        ),
        (lambda: get_arbiter([{"cmd": "x", "stdout_stream": {"stream": object()}}]), "can't be handed"),
        (lambda: get_arbiter([{"cmd": "x"}], sockets=[{"port": 1}]), "a socket without name"),
        (lambda: get_arbiter([{"cmd": "x"}], plugins=[{"name": "y"}]), "a plugin without use"),
    ],
)
def test_wrong_arguments_are_told_at_once(make: object, told: str) -> None:
    """Before anything is started, and with what was probably meant."""
    assert callable(make)
    with pytest.raises((TypeError, ValueError), match=told):
        make()


def test_original_classes_take_what_they_took() -> None:
    """Arbiter and Watcher by themselves; arguments without a meaning here are taken."""
    arbiter = Arbiter(
        [Watcher("web", "sleep 1", numprocesses=3, stdout_stream={"class": Watcher})],
        "tcp://127.0.0.1:5555",
        "tcp://127.0.0.1:5556",
        check_delay=1.0,
        context=None,
        proc_name="mine",
    )
    assert arbiter.name == "mine"
    assert not arbiter.is_running()
    arbiter.stop()
