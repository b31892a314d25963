"""The prompt of circusctl in a terminal: keys in, and what is shown and done."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import BIN
from tests.scripted import ScriptedDaemon, scripted_daemon
from tests.terminal import Terminal
from tests.window import Window

NOT_FOUND = {"status": "error", "reason": "program nope not found", "errno": 3, "tb": None}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    name = request.get("properties", {}).get("name")
    if name == "nope":
        return NOT_FOUND
    if request["command"] == "list":
        return {"pids": [7701]} if name else {"watchers": ["web", "odd name", "bad\x1b[31m"]}
    return {"watchers": [], "daemon": {}, "lead": {}, "numprocesses": 42, "numwatchers": 17}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedDaemon]:
    with scripted_daemon(tmp_path, answer) as running:
        yield running


@pytest.fixture
def environ(daemon: ScriptedDaemon, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "INPUTRC": "/dev/null",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "CIRCUSCTL_ENDPOINT": daemon.endpoint,
    }


def prompt(environ: dict[str, str]) -> Terminal:
    """A prompt that waits for a line."""
    terminal = Terminal([str(BIN / "circusctl")], environ)
    terminal.until("(circusctl) ")
    return terminal


def test_lines_are_there_the_next_time_but_for_secrets(
    environ: dict[str, str], daemon: ScriptedDaemon, tmp_path: Path
) -> None:
    """An arrow key brings them back; a line with a value that nobody is to see goes nowhere."""
    with prompt(environ) as terminal:
        terminal.press("numprocesses\r")
        terminal.until("42")
        terminal.until("(circusctl) ")
        terminal.press("set web env A=sesame\r")
        terminal.until("(circusctl) ")
        terminal.press("\x04")
        assert terminal.end()[1] == 0
    kept = tmp_path / "state" / "circus" / "circusctl.history"
    assert kept.read_text() == "numprocesses\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    with prompt(environ) as terminal:
        terminal.press("\x1b[A\r")
        terminal.until("42")
        terminal.press("exit\r")
        assert terminal.end()[1] == 0
    assert daemon.asked("set")[-1]["options"] == {"env": {"A": "sesame"}}


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(environ: dict[str, str], daemon: ScriptedDaemon) -> None:
    """What was dropped is not carried out."""
    with prompt(environ) as terminal:
        terminal.press("stop web")
        terminal.until("stop web")
        terminal.insist("\x03", "(circusctl) ")
        terminal.press("numprocesses\r")
        terminal.until("42")
        terminal.until("(circusctl) ")
        terminal.press("\x04")
        assert terminal.end()[1] == 0
    assert daemon.asked("stop") == []


def test_a_code_that_is_not_0_stands_before_the_next_line(environ: dict[str, str]) -> None:
    """Until a line goes well."""
    with prompt(environ) as terminal:
        terminal.press("status nope\r")
        terminal.until("program nope not found")
        terminal.until("(circusctl: 3) ")
        terminal.press("lsit\r")
        terminal.until("did you mean list?")
        terminal.until("(circusctl: 2) ")
        terminal.press("numprocesses\r")
        terminal.until("(circusctl) ")


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("numpro\t", "numprocesses "),
        ("start we\t", "start web "),
        ("start od\t", "'odd name' "),
        ("start ba\t\t", "start ba"),
        ("kill web 77\t", "kill web 7701 "),
        ("get web grace\t", "get web graceful_timeout "),
        ("output --stream stdo\t", "output --stream stdout "),
        ("reload --seq\t", "reload --sequential "),
        ("signal web HU\t", "signal web HUP "),
        ("completion z\t", "completion zsh "),
    ],
)
def test_tab_completes(environ: dict[str, str], keys: str, shown: str) -> None:
    """Commands, names, values and flags, quoted where need be."""
    with prompt(environ) as terminal:
        terminal.press(keys + "|")
        text = terminal.until("|")
        assert text.replace("\x07", "").endswith(shown + "|")
        assert "\x1b[31m" not in text


def test_lines_that_are_pasted_together_are_carried_out_one_by_one(
    environ: dict[str, str], daemon: ScriptedDaemon
) -> None:
    """They are never taken for one."""
    with prompt(environ) as terminal:
        terminal.press("\x1b[200~stop web\nnumprocesses\x1b[201~\r")
        terminal.until("42")
    assert [asked.get("name") for asked in daemon.asked("stop")] == ["web"]


def test_open_quotes_are_ended_on_the_next_line(environ: dict[str, str], daemon: ScriptedDaemon) -> None:
    """The line goes on; Ctrl-C drops all of it."""
    with prompt(environ) as terminal:
        terminal.press("add x sh -c 'a\r")
        terminal.until("> ")
        terminal.press("b'\r")
        terminal.until("(circusctl) ")
        terminal.press("stop 'web\r")
        terminal.until("> ")
        terminal.insist("\x03", "(circusctl) ")
        terminal.press("numprocesses\r")
        terminal.until("42")
    assert daemon.asked("add")[-1]["cmd"] == "sh -c 'a\nb'"
    assert daemon.asked("stop") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--name", "nobody", "status"], "circusctl: no daemon named 'nobody' runs; running: none"),
        (["stopp", "web"], "circusctl: no command is named 'stopp'; did you mean stop?"),
        (["stop", "nope"], "error: program nope not found"),
    ],
)
def test_own_lines_end_between_words_on_a_narrow_terminal(
    environ: dict[str, str], tmp_path: Path, words: list[str], told: str
) -> None:
    """On a pipe each is one line, as scripts expect it."""
    if "--name" in words:
        environ = {**environ, "CIRCUS_RUNTIME_DIR": str(tmp_path)}
        del environ["CIRCUSCTL_ENDPOINT"]
    command = [str(BIN / "circusctl"), *words]
    with Window(command, environ, columns=30, lines=12) as window:
        window.until_over()
        shown = [line for line in window.lines if line.strip()]
    piped = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert piped.stderr == told + "\n"
    assert " ".join(line.strip() for line in shown) == told
    assert all(len(line) <= 30 for line in shown)
