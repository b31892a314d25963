"""Every row of the command table, by its own case, through the real circusctl against a real circusd."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from circusd.runtime.handlers import Handlers
from circusd.schema.commands import COMMANDS, WAITING, Command, Field
from tests.daemon import BIN, Daemon
from tests.e2e.test_sessions import login
from tests.waiting import eventually

CONFIGURATION = """
[circus]
{circus}
[watcher:web]
cmd = sleep 1000
numprocesses = 2
graceful_timeout = 5

[watcher:loud]
cmd = sh -c 'while true; do echo tick; sleep 0.1; done'
copy_env = true

[watcher:off]
cmd = sleep 1000
autostart = false

[socket:shared]
host = 127.0.0.1
port = 0
"""

ROWS = [row for row in COMMANDS if row.where != "door"]
READING = [row for row in ROWS if row.effect == "read"]
CHANGING = [row for row in ROWS if row.effect != "read"]

ENDLESS = {"listen": "set loud warmup_delay 0"}
"""Commands that go on until they are interrupted, with what is done meanwhile so that they have something to show."""

MAKES_A_SECRET = ("weblink",)
"""What these change can't be asked for, as only its hash is kept."""


@dataclass
class Answer:
    """What a query said: its text without what differs each time, and the pids in it."""

    text: str
    pids: list[int]


def ask(daemon: Daemon, query: str) -> Answer:
    """The query's answer, an error text too."""
    done = daemon.ctl("--json", *shlex.split(query), check=False)
    try:
        reply = json.loads(done.stdout)
    except ValueError:
        return Answer(done.stdout + done.stderr, [])
    pids = reply.get("pids") or []
    return Answer(json.dumps({k: v for k, v in reply.items() if k not in ("time", "id")}), pids)


def holds(told: str, answer: Answer, before: Answer, row: Command) -> bool:
    """Whether the answer is what the case tells; ``{…}`` stands for what is only known at run time."""
    if told == "{pids}":
        return bool(answer.pids) and answer.pids == before.pids
    if told == "{other pids}":
        return len(answer.pids) == len(before.pids) and not set(answer.pids) & set(before.pids)
    if told == "{gone}":
        return row.case.before not in answer.text
    return told in answer.text


def set_up(daemon: Daemon, row: Command) -> None:
    """Carry out the lines of set-up: verbs of this test, or lines of circusctl."""
    for line in row.case.setup:
        words = shlex.split(line)
        if words[0] == "wait-output":
            name, text = words[1:]
            eventually(
                lambda name=name, text=text: text in daemon.ctl("output", name).stdout, within=10, what=line
            )
        elif words[0] == "wait-crash":
            eventually(
                lambda name=words[1]: daemon.call("crashes", name=name)["crashes"], within=10, what=line
            )
        elif words[0] == "append-to-config":
            with daemon.config.open("a") as config:
                config.write(f"\n[watcher:{words[1]}]\ncmd = sleep 1000\n")
        elif words[0] == "write":
            (daemon.folder / words[1]).write_text(words[2] + "\n")
        elif words[0] == "log-in":
            login(daemon, words[1], "viewer")
        elif words[0] != "console":
            daemon.ctl(*words)


def job_of(daemon: Daemon) -> str:
    """The id of the first command on its way, where there is one."""
    return next((str(job["id"]) for job in daemon.call("jobs")["jobs"]), "")


def line_of(daemon: Daemon, row: Command) -> str:
    """The case's line, with what is only known at run time."""
    line = row.case.argv
    if "{job}" in line:
        line = line.replace("{job}", job_of(daemon))
    if "{session}" in line:
        line = line.replace("{session}", str(daemon.call("sessions")["sessions"][0]["id"]))
    return line


def started(row: Command | None, folder: Path) -> Daemon:
    """A daemon for a case; with a console where the case wants one."""
    circus = "httpd = 1\nhttpd_port = 0" if row is not None and "console" in row.case.setup else ""
    return Daemon(CONFIGURATION.format(circus=circus), folder)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for the commands that only read."""
    with started(None, tmp_path_factory.mktemp("reading")) as running:
        yield running


@pytest.mark.parametrize("row", READING, ids=lambda row: row.name)
def test_a_reading_command_shows_what_its_case_tells(daemon: Daemon, row: Command) -> None:
    """Its own output has the text, and the exit code is 0."""
    assert row.case.argv, "a row without a case"
    assert row.case.after, "a case that any output would fulfil"
    set_up(daemon, row)
    if row.name in ENDLESS:
        assert row.case.after in read_while(daemon, row.case.argv, row.case.after, ENDLESS[row.name])
        return
    assert row.case.after in daemon.ctl(*shlex.split(row.case.argv)).stdout


def read_while(daemon: Daemon, argv: str, text: str, meanwhile: str) -> str:
    """What an endless command printed up to the text, while another line is repeated."""
    output = daemon.folder / "endless"
    with output.open("w") as file:
        process = subprocess.Popen(
            [str(BIN / "circusctl"), *shlex.split(argv)], stdout=file, env=daemon.environ, cwd=daemon.folder
        )
    try:

        def is_shown() -> bool:
            daemon.ctl(*shlex.split(meanwhile))
            return text in output.read_text()

        eventually(is_shown, within=15, what=f"{argv} shows {text}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
    return output.read_text()


@pytest.mark.parametrize("row", CHANGING, ids=lambda row: row.name)
def test_a_changing_command_changes_what_its_case_tells(row: Command, tmp_path: Path) -> None:
    """The query answers one thing before and another after; at once where the command was waited for."""
    case = row.case
    assert case.argv, "a row without a case"
    with started(row, tmp_path) as daemon:
        set_up(daemon, row)
        if row.name in MAKES_A_SECRET:
            assert case.after in daemon.ctl(*shlex.split(case.argv)).stdout
            return
        assert case.query, "a command that changes something, and nothing that tells"
        before = ask(daemon, case.query)
        assert holds(case.before, before, before, row), before
        assert not holds(case.after, before, before, row), "the query answers the same before and after"
        daemon.ctl(*shlex.split(line_of(daemon, row)))
        if "--waiting" in case.argv and row.name != "quit":
            after = ask(daemon, case.query)
            assert holds(case.after, after, before, row), (before, after)
        else:
            eventually(lambda: holds(case.after, ask(daemon, case.query), before, row), within=15)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_row_is_only_half_there(row: Command, daemon: Daemon) -> None:
    """Each has a handler, a help text that names all its arguments, a doc, an example and a case."""
    if row.where == "daemon":
        assert callable(getattr(Handlers, f"cmd_{row.name}", None))
    assert row.summary
    assert row.doc
    assert row.example.startswith(f"circusctl {row.name}")
    assert row.case.argv.startswith(row.name)
    shown = daemon.ctl("help", row.name).stdout
    assert row.example in shown
    for field in row.args:
        assert field.doc, f"{field.name} has no doc"
        if is_said(field):
            assert first_words(field.doc) in " ".join(shown.split()), f"{field.name} is not in the help"
    if row.waits:
        assert first_words(WAITING.doc) in " ".join(shown.split())


def is_said(field: Field) -> bool:
    """Whether it can be said on the command line; what is on by default is switched off by another flag."""
    if field.positional:
        return True
    return field.type not in ("json", "object") and not (field.type == "bool" and field.default is True)


def first_words(doc: str) -> str:
    return " ".join(doc.replace("``", "").split()[:4])


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.where == "door"], ids=lambda row: row.name)
def test_what_programs_say_has_a_handler_too(row: Command) -> None:
    """The rows of streams and of the console's door are carried out by the daemon."""
    assert callable(getattr(Handlers, f"cmd_{row.name}", None))
    assert row.summary
    assert row.doc
