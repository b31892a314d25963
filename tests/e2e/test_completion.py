"""Completion in real shells, each in a terminal: what Tab makes of a line that was begun."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.cli import completion
from circusd.schema.commands import COMMANDS
from tests.daemon import BIN
from tests.scripted import ScriptedDaemon, scripted_daemon
from tests.terminal import Terminal

READY = "READY>"

WATCHERS = ["web", "plugin:watch", "odd name", "$(touch trap)", "bad\x1b[31m", "two\nlines"]


ROWS = {
    "people": [{"person": "ada"}, {"person": "$(touch trap)"}],
    "tokens": [{"id": 41, "person": "ada", "token": "deploy"}],
    "keys": [{"name": "laptop"}],
    "sessions": [{"id": "3f2a9c01d4e7"}],
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["command"] in ROWS:
        return {request["command"]: ROWS[request["command"]]}
    if request["command"] != "list":
        return {"status": "error", "reason": "no", "errno": 3}
    if request["properties"].get("name") == "web":
        return {"pids": [7701, 8802]}
    return {"watchers": WATCHERS}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedDaemon]:
    with scripted_daemon(tmp_path_factory.mktemp("d"), answer) as running:
        yield running


@pytest.fixture(params=completion.SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name if shutil.which(name) else pytest.skip(f"{name} is not installed")


def environment(home: Path, endpoint: str = "") -> dict[str, str]:
    """A person's whose home is that folder."""
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "CIRCUS_RUNTIME_DIR": str(home / "none"),
        **({"CIRCUSCTL_ENDPOINT": endpoint} if endpoint else {}),
    }


def started(shell: str, home: Path, environ: dict[str, str]) -> Terminal:
    """The shell with our completion, and nothing of whoever runs the tests."""
    words = {
        "bash": ["bash", "--norc", "--noprofile", "-i"],
        "zsh": ["zsh", "-f", "-i"],
        "fish": ["fish", "--no-config", "-i"],
    }[shell]
    set_up = {
        "bash": f'PS1="{READY[:-1]}""> "; bind "set bell-style none"; eval "$(circusctl completion bash)"\r',
        "zsh": f'PS1="{READY[:-1]}""> "; unsetopt beep; autoload -U compinit; compinit -D -u; bindkey -e; '
        'eval "$(circusctl completion zsh)"\r',
        "fish": f'function fish_prompt; printf "%s> " {READY[:-1]}; end; function fish_right_prompt; end; '
        "set -g fish_autosuggestion_enabled 0; circusctl completion fish | source; clear\r",
    }[shell]
    terminal = Terminal(words, environ, cwd=home)
    terminal.press(set_up)
    terminal.until(READY)
    return terminal


def completed(terminal: Terminal, line: str) -> list[str]:
    """The words that the line has become, as the shell would give them to a program."""
    # The line is made one of printf's, which shows each word for itself.
    terminal.press(line + "\x01printf '[%s]' \x05 END\r")
    shown = terminal.until("[END]")
    terminal.until(READY)
    return re.findall(
        r"\[([^\]]*)\]",
        re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\([A-Z]|\x1b[=>]", "", shown).rpartition("[circusctl]")[2],
    )[:-1]


LINES = {
    "numw\t": ["numwatchers"],
    "reload --seq\t": ["reload", "--sequential"],
    "output --stream stdo\t": ["output", "--stream", "stdout"],
    "output --stream=stdo\t": ["output", "--stream=stdout"],
    "get web grace\t": ["get", "web", "graceful_timeout"],
    "get web cmd grace\t": ["get", "web", "cmd", "graceful_timeout"],
    "set web grace\t": ["set", "web", "graceful_timeout"],
    "set web numprocesses 2 grace\t": ["set", "web", "numprocesses", "2", "graceful_timeout"],
    "signal web HU\t": ["signal", "web", "HUP"],
    "kill --signum USR1 w\t": ["kill", "--signum", "USR1", "web"],
    "--timeout 3 status w\t": ["--timeout", "3", "status", "web"],
    "status w\t": ["status", "web"],
    "status plug\t": ["status", "plugin:watch"],
    "status plugin:w\t": ["status", "plugin:watch"],
    "status od\t": ["status", "odd name"],
    "kill web 77\t": ["kill", "web", "7701"],
    "signal web 88\t": ["signal", "web", "8802"],
    "tail -n 3 web od\t": ["tail", "-n", "3", "web", "odd name"],
    "help numw\t": ["help", "numwatchers"],
    "completion fi\t": ["completion", "fish"],
    "add --numpro\t": ["add", "--numprocesses"],
    "add --stop-signal HU\t": ["add", "--stop-signal", "HUP"],
    "add --numprocesses 2 x --stop-chi\t": ["add", "--numprocesses", "2", "x", "--stop-children"],
    "globaloptions pubsub\t": ["globaloptions", "pubsub_endpoint"],
    "keys ad\t": ["keys", "add"],
    "addkey --role op\t": ["addkey", "--role", "operator"],
    "rmkey la\t": ["rmkey", "laptop"],
    "keys rm la\t": ["keys", "rm", "laptop"],
    "password ad\t": ["password", "ada"],
    "addperson ad\t": ["addperson", "ad"],
    "addtoken ad\t": ["addtoken", "ada"],
    "rmtoken 4\t": ["rmtoken", "41"],
    "endsession 3f\t": ["endsession", "3f2a9c01d4e7"],
}


def test_what_was_begun_is_completed(shell: str, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Commands, flags, choices, options and signals of the tables; watchers, processes, people and keys of the daemon."""
    with started(shell, tmp_path, environment(tmp_path, daemon.endpoint)) as terminal:
        assert {line: completed(terminal, "circusctl " + line) for line in LINES} == LINES


def test_a_hostile_name_is_only_a_name(shell: str, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """It is not run, and stands quoted in the line; one that could command the terminal is never shown."""
    with started(shell, tmp_path, environment(tmp_path, daemon.endpoint)) as terminal:
        assert completed(terminal, "circusctl status '$(to\t") == ["status", "$(touch trap)"]
        assert completed(terminal, "circusctl status ba\t") == ["status", "ba"]
    assert not (tmp_path / "trap").exists()


def test_without_a_daemon_nothing_is_said(shell: str, tmp_path: Path) -> None:
    """Tab leaves the line as it is, and the rest is completed all the same."""
    with started(shell, tmp_path, environment(tmp_path)) as terminal:
        terminal.press("circusctl status w\t")
        assert completed(terminal, "") == ["status", "w"]
        assert completed(terminal, "circusctl numw\t") == ["numwatchers"]


def test_another_endpoint_on_the_line_is_asked(shell: str, daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Live names are those of the daemon that the line means."""
    with started(shell, tmp_path, environment(tmp_path)) as terminal:
        words = ["--endpoint", daemon.endpoint, "status", "web"]
        assert completed(terminal, f"circusctl --endpoint {daemon.endpoint} status w\t") == words


def names(*words: str, endpoint: str = "", home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "circusctl"), "--names", *words],
        capture_output=True,
        text=True,
        env=environment(home, endpoint),
        timeout=30,
        check=False,
    )


def test_live_names_are_plain_lines_and_never_a_complaint(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Whatever is asked and whoever answers."""
    done = names("watchers", endpoint=daemon.endpoint, home=tmp_path)
    assert done.stdout.splitlines() == ["web", "plugin:watch", "odd name", "$(touch trap)"]
    assert names("processes", "web", endpoint=daemon.endpoint, home=tmp_path).stdout == "7701\n8802\n"
    assert names("tokens", endpoint=daemon.endpoint, home=tmp_path).stdout == "41\n"
    for words in (["sockets"], ["processes"], ["nonsense"], [], ["watchers", "--endpoint", "nonsense"]):
        done = names(*words, endpoint=daemon.endpoint, home=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names("watchers", home=tmp_path).stderr == ""


def test_daemons_are_named_that_run(shell: str, tmp_path: Path) -> None:
    """For --name, of the runtime folder of whoever asks."""
    base = Path(tempfile.mkdtemp(prefix="circus-"))
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            for name in ("shop", "over"):
                (base / name).mkdir(mode=0o700)
            listening.bind(str(base / "shop" / "commands.sock"))
            listening.listen()
            environ = {**environment(tmp_path), "CIRCUS_RUNTIME_DIR": str(base)}
            with started(shell, tmp_path, environ) as terminal:
                assert completed(terminal, "circusctl --name s\t") == ["--name", "shop"]
                assert completed(terminal, "circusctl --name ove\t") == ["--name", "ove"]
    finally:
        shutil.rmtree(base)


def test_live_names_import_next_to_nothing(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Somebody waits: neither the tables nor the printing of circusctl is loaded for them."""
    program = (
        "import sys; sys.argv[1:] = ['--names', 'watchers']; from circusd.cli.start import main; main(); "
        "heavy = {'zmq', 'gevent', 'argparse', 'subprocess', 'circusd.schema.commands', 'circusd.cli.render'}; "
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(tmp_path, daemon.endpoint),
        timeout=30,
        check=True,
    )
    assert done.stdout.endswith("set()\n"), done.stdout


def test_every_command_and_flag_is_in_every_script() -> None:
    """A new row is completed at once."""
    for shell in completion.SHELLS:
        text = completion.script(shell)
        for row in completion.rows():
            assert re.search(rf"\b{row.name}\b", text)
            for word, _ in completion.own_words(row):
                assert word in text
        assert "--working-dir" in text
    assert {row.name for row in COMMANDS} - {row.name for row in completion.rows()} == {
        row.name for row in COMMANDS if row.where == "door"
    }


def test_the_protocol_of_the_original_is_answered(daemon: ScriptedDaemon, tmp_path: Path) -> None:
    """Its script for bash counts on the names in one line and on the code 1."""
    environ = environment(tmp_path, daemon.endpoint)
    for line, at, shown in (("circusctl numw", 1, "numwatchers\n"), ("circusctl status we", 2, "web\n")):
        done = subprocess.run(
            [str(BIN / "circusctl")],
            capture_output=True,
            text=True,
            env={**environ, "AUTO_COMPLETE": "1", "COMP_WORDS": line, "COMP_CWORD": str(at)},
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (1, shown, "")


@pytest.mark.parametrize("name", completion.SHELLS)
def test_the_script_is_one_of_that_shell(name: str) -> None:
    """The shell itself reads it through."""
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [name, "-n"],
        input=completion.script(name),
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
