"""The real programs, each as a process, before a daemon that answers by a script: texts, exit codes, streams, the prompt."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from circusd.version import __version__
from tests.daemon import BIN
from tests.scripted import ScriptedDaemon, scripted_daemon
from tests.terminal import Terminal
from tests.waiting import eventually

NOT_FOUND = {"status": "error", "reason": "program nope not found", "errno": 3, "tb": None}
WATCHER: dict[str, Any] = {
    "name": "web",
    "state": "running",
    "status": "active",
    "detail": "",
    "numprocesses": 1,
    "processes": [{"wid": 1, "pid": 77, "state": "running", "since": 40.0, "started": 40.0, "starts": 1}],
}


def answer(request: dict[str, Any]) -> Any:
    """What a small daemon would say."""
    command, asked = request["command"], request.get("properties", {})
    if asked.get("name") == "nope" or "nope" in asked.get("names", ()):
        return NOT_FOUND
    if command == "slow":
        return None
    if command == "status":
        return {"status": "active"} if asked.get("name") else {"statuses": {"web": "active", "db": "stopped"}}
    if command == "list":
        return {"pids": [77, 78]} if asked.get("name") else {"watchers": ["db", "web"]}
    if command == "inspect":
        return {
            "daemon": {"time": 100.0, "name": "circus", "host": "here"},
            "watchers": [WATCHER],
            "lead": {},
        }
    if command == "output":
        line = {
            "watcher": "web",
            "wid": 1,
            "stream": "stderr",
            "pid": 77,
            "number": 4,
            "time": 1.0,
            "text": "old",
        }
        return {"lines": [line] if asked["lines"] else []}
    if command == "follow":
        return [
            {},
            *[{"push": topic, "data": data} for topic, data in PUSHES if topic[:5] in str(asked["topics"])],
        ]
    if command == "events":
        return {"events": [event(7), event(8)]}
    if command == "reload" and asked.get("waiting"):
        return None
    return {}


def event(number: int) -> dict[str, Any]:
    return {
        "event": "watcher.started",
        "number": number,
        "time": 1.0,
        "watcher": "web",
        "text": f"started {number}",
    }


PUSHES: list[tuple[str, dict[str, Any]]] = [
    ("output.web.", {"watcher": "web", "wid": 1, "stream": "stdout", "pid": 77, "lines": [[5, 2.0, "new"]], "skipped": 3}),
    ("event.", event(8)),
    ("event.", event(10)),
    ("state.", {"snapshot": {"daemon": {"time": 100.0, "name": "circus", "host": "here"}, "watchers": [WATCHER]}}),
    ("load.", {"time": 101.0, "watchers": {"web": {"cpu": 12.5, "rss": 3 << 20, "processes": {"1": [12.5, 3 << 20]}}}}),
]  # fmt: skip

Ctl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedDaemon]:
    with scripted_daemon(tmp_path_factory.mktemp("scripted"), answer) as running:
        yield running


def environment(daemon: ScriptedDaemon, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS")}
    return {**kept, "CIRCUSCTL_ENDPOINT": daemon.endpoint, **more}


@pytest.fixture
def ctl(daemon: ScriptedDaemon) -> Ctl:
    def run(*words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "circusctl"), *words],
            capture_output=True,
            text=True,
            input=stdin,
            env=environment(daemon, **more),
            timeout=30,
            check=False,
        )

    return run


def until(process: subprocess.Popen[str], text: str) -> str:
    """What the process printed, up to the line with that text."""
    assert process.stdout is not None
    read = ""
    while text not in read:
        line = process.stdout.readline()
        assert line, f"ended without {text!r}: {read}"
        read += line
    return read


def start(daemon: ScriptedDaemon, *words: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / words[0]), *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(daemon, **more),
    )


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        (["status"], 0, "db: stopped\nweb: active\n", ""),
        (["status", "web"], 0, "active\n", ""),
        (["status", "nope"], 3, "", "error: program nope not found\n"),
        (["list", "web"], 0, "77,78\n", ""),
        (["start", "web"], 0, "ok\n", ""),
        (
            ["list", "a", "b"],
            1,
            "",
            "circusctl: Invalid number of arguments; expected: list [--match simple|glob|regex|list] [NAME]\n",
        ),
        (["lsit"], 2, "", "circusctl: no command is named 'lsit'; did you mean list?\n"),
        (["list", "--nope"], 2, "", "circusctl: list has no option --nope; circusctl help list lists them\n"),
        (["--strict", "status", "nope"], 1, "", "error: program nope not found\n"),
        (["--strict", "status"], 3, "db: stopped\nweb: active\n", ""),
        (["--version"], 0, f"circusctl {__version__}\n", ""),
    ],
)
def test_texts_and_exit_codes(ctl: Ctl, line: list[str], code: int, out: str, err: str) -> None:
    """0 done, 1 wrong arguments, 2 wrong options, 3 the daemon said no; answers on stdout, complaints on stderr."""
    done = ctl(*line)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_json_is_the_reply_and_always_0(ctl: Ctl) -> None:
    """As with the original, an error reply too; --strict tells it by the code."""
    done = ctl("--json", "status", "nope")
    assert done.returncode == 0
    assert json.loads(done.stdout)["reason"] == "program nope not found"
    assert ctl("--json", "--strict", "status", "nope").returncode != 0
    assert ctl("--json", "--prettify", "list").stdout.startswith('{\n  "id"')


def test_no_answer_in_time_is_1_and_says_what_to_do(ctl: Ctl) -> None:
    """The first words are the original's."""
    done = ctl("--timeout", "0.2", "reload", "--waiting")
    assert done.returncode == 1
    assert done.stderr.startswith("Timed out. ")
    assert "--timeout" in done.stderr


def test_no_daemon_is_1_and_says_where_it_was_looked_for(ctl: Ctl, tmp_path: Path) -> None:
    """At once, not after a time-out; 69 for who wants to know."""
    done = ctl("--endpoint", f"ipc://{tmp_path}/nobody", "status")
    assert done.returncode == 1
    assert "no daemon answers" in done.stderr
    assert "nobody" in done.stderr
    assert ctl("--strict", "-e", f"{tmp_path}/nobody", "status").returncode == 69


def test_help_is_there_for_all_and_for_each(ctl: Ctl) -> None:
    """--help, help, help COMMAND and COMMAND --help."""
    assert ctl("--help").stdout == ctl("help").stdout
    assert "--sequential" in ctl("help", "reload").stdout
    assert ctl("reload", "--help").stdout == ctl("help", "reload").stdout == ctl("--help", "reload").stdout
    assert ctl("help", "relaod").returncode == 2


def test_the_prompt_reads_lines_until_the_end(ctl: Ctl, daemon: ScriptedDaemon) -> None:
    """Version, status, then each line; a wrong one does not end it, and quotes count."""
    done = ctl(stdin="list\nnope\nadd w sh -c 'a b'\nstatus 'web\nexit\nlist\n")
    assert done.returncode == 0
    assert done.stdout.startswith(f"circusctl {__version__}\ndb: stopped\nweb: active\n(circusctl) db,web\n")
    assert done.stdout.count("db,web") == 1
    assert "no command is named 'nope'" in done.stderr
    assert "No closing quotation" in done.stderr
    assert daemon.asked("add")[-1]["cmd"] == "sh -c 'a b'"


def test_tail_shows_what_was_and_what_comes(ctl: Ctl, daemon: ScriptedDaemon) -> None:
    """With the process that wrote it, stderr marked, and what was passed over told."""
    assert ctl("tail", "web").stdout == "web.1 ! old\n"
    line = json.loads(ctl("--json", "tail", "web").stdout)
    assert line["text"] == "old"
    process = start(daemon, "circusctl", "tail", "-f", "-n", "5", "web")
    with process:
        assert until(process, "new") == "web.1 | new\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "3 lines passed over" in err
    assert daemon.asked("follow")[-1]["lines"] == 5
    assert ctl("tail", "-f", "nope").returncode == 3


def test_events_go_on_without_a_gap_or_one_twice(daemon: ScriptedDaemon) -> None:
    """What was asked and what is pushed overlap; each event is shown once."""
    process = start(daemon, "circusctl", "events", "-f", "web")
    with process:
        text = until(process, "started 10")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert re.findall(r"started \d+", text) == ["started 7", "started 8", "started 10"]
    assert process.returncode == 130
    assert daemon.asked("follow")[-1]["topics"] == ["event.web."]


def test_listen_prints_as_the_original_does(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Raw messages of the event endpoint, which may also be given by itself."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.bind(f"ipc://{tmp_path}/events")
    process = start(daemon, "circusctl", "--endpoint", f"ipc://{tmp_path}/events", "listen", "watcher.web.")
    try:
        with process:
            assert publisher.poll(10_000)
            assert publisher.recv() == b"\x01watcher.web."
            publisher.send_multipart([b"watcher.web.start", b'{"time": 1.5}'])
            assert until(process, "start") == "b'watcher.web.start': b'{\"time\": 1.5}'\n"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
        assert process.returncode == 1
    finally:
        publisher.close(0)
        context.term()


def test_a_closed_pipe_is_no_traceback(daemon: ScriptedDaemon) -> None:
    """`circusctl … | head` ends quietly."""
    command = f"{BIN / 'circusctl'} help | true"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment(daemon),
        timeout=30,
        check=False,
    )
    assert done.stderr == ""


def test_top_once_shows_each_watcher_with_its_processes(daemon: ScriptedDaemon) -> None:
    """On a pipe one table is printed."""
    done = subprocess.run(
        [str(BIN / "circus-top")],
        capture_output=True,
        text=True,
        env=environment(daemon),
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +- +- +active +12\.5 +3\.0MiB +61s +web$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^ +77 +1 +running +12\.5 +3\.0MiB +61s +web$", done.stdout, re.MULTILINE), done.stdout


def test_top_reads_what_the_original_publishes(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Its endpoint of stats can be given, and a dead process is not shown for ever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.bind(f"ipc://{tmp_path}/stats")
    process = start(daemon, "circus-top", "--endpoint", f"ipc://{tmp_path}/stats", "--once")
    try:
        with process:
            assert publisher.poll(10_000)
            assert publisher.recv() == b"\x01stat."
            stat = {"pid": 77, "cpu": 1.5, "mem": 0.25, "age": 61, "name": None, "subtopic": 77}
            publisher.send_multipart([b"stat.web.77", json.dumps(stat).encode()])
            publisher.send_multipart([b"stat.web", b'{"pid": [77], "cpu": "N/A", "mem": 0.25, "age": 61}'])
            publisher.send_multipart([b"stat.sockets.5", b'{"fd": 5, "address": "127.0.0.1:80", "reads": 4}'])
            out, err = process.communicate(timeout=10)
        assert err == ""
        assert re.search(r"^ +77 +- +- +1\.5 +0\.2 +61s +web$", out, re.MULTILINE), out
        assert re.search(r"^127\.0\.0\.1:80 +4$", out, re.MULTILINE), out
    finally:
        publisher.close(0)
        context.term()


def test_a_terminal_gets_tables_and_is_given_back(daemon: ScriptedDaemon) -> None:
    """status is a table in colours; circus-top draws on the other screen and leaves it with q."""
    out, code = in_a_terminal([str(BIN / "circusctl"), "status"], daemon, "", "web")
    assert code == 0
    assert re.search(r"web.*active.*1/1.*60 s", out), out
    assert "\x1b[32mactive" in out
    out, code = in_a_terminal([str(BIN / "circus-top")], daemon, "q", "12.5")
    assert code == 0
    assert out.startswith("\x1b[?1049h")
    assert out.endswith("\x1b[?25h\x1b[?1049l")


def in_a_terminal(command: list[str], daemon: ScriptedDaemon, keys: str, shown: str) -> tuple[str, int]:
    """What the command drew on a terminal, where the keys were pressed once the text was shown; and its exit code."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment(daemon, TERM="xterm"),
        start_new_session=True,
    )
    os.close(inner)
    drawn = b""
    try:
        while True:
            try:
                data = os.read(outer, 4096)
            except OSError:
                break  # the terminal's other end is closed
            drawn += data
            if keys and shown.encode() in drawn:
                os.write(outer, keys.encode())
                keys = ""
        code = process.wait(10)
    finally:
        process.kill()
        process.wait()
        os.close(outer)
    assert shown in drawn.decode()
    return drawn.decode(), code


def test_a_terminal_that_cannot_draw_gets_plain_tables(daemon: ScriptedDaemon) -> None:
    """No colours and no other screen with TERM=dumb; circus-top prints once."""
    for words in (["circusctl", "status"], ["circus-top"]):
        with Terminal([str(BIN / words[0]), *words[1:]], environment(daemon, TERM="dumb")) as terminal:
            shown, code = terminal.end()
        assert code == 0
        assert "web" in shown
        assert "\x1b" not in shown


def test_whatever_is_shown_can_be_had_as_json(ctl: Ctl) -> None:
    """What circusctl knows by itself too."""
    assert json.loads(ctl("--json", "help", "reload").stdout)["name"] == "reload"
    assert len(json.loads(ctl("--json", "help").stdout)["commands"]) > 20
    assert "complete -F" in json.loads(ctl("--json", "completion", "bash").stdout)["script"]


def test_circusd_stats_stays_until_it_is_told_to_end() -> None:
    """Files and scripts of the original that start it go on working."""
    words = ["--endpoint", "tcp://127.0.0.1:1", "--pubsub=x", "--statspoint", "y", "--log-level", "info"]
    process = subprocess.Popen(
        [str(BIN / "circusd-stats"), *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    with process:
        assert process.stderr is not None
        assert "samples by itself" in process.stderr.readline()
        assert process.poll() is None
        process.terminate()
        assert process.wait(10) == 0
    assert (
        subprocess.run([str(BIN / "circusd-stats"), "--nope"], capture_output=True, check=False).returncode
        == 2
    )


def test_nothing_heavy_is_imported_for_a_question(daemon: ScriptedDaemon) -> None:
    """Start-up counts: neither libzmq nor gevent, psutil or argparse is loaded for a status."""
    program = (
        "import sys; from circusd.cli.circusctl import main; main(['status']); "
        "print(sorted({'zmq', 'gevent', 'psutil', 'argparse', 'subprocess', 'logging', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(daemon),
        check=False,
        timeout=30,
    )
    assert done.stdout.endswith("web: active\n[]\n"), done.stdout + done.stderr
    eventually(lambda: daemon.requests[-1]["command"] == "status")
