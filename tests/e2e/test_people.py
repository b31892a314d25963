"""People and tokens on the command line: secrets on their way in, and nowhere else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.e2e.test_sessions import ask
from tests.terminal import Terminal
from tests.waiting import eventually

INI = "[circus]\nhttpd = 1\nhttpd_port = 0\nloglevel = debug\n[watcher:web]\ncmd = sleep 1000\n"
PASSWORD = "hush-correct-horse"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """With a console."""
    with Daemon(INI, tmp_path) as running:
        yield running


def comes_in(daemon: Daemon, person: str, password: str) -> bool:
    """Whether that opens the console."""
    return ask(daemon, "/login", {"person": person, "password": password})[0] == 200


def test_password_comes_from_a_file_or_from_standard_input(daemon: Daemon) -> None:
    """The first line of it, without its end."""
    secret = daemon.folder / "secret"
    secret.write_text(f"{PASSWORD}\r\nand more\n")
    daemon.ctl("addperson", "ada", "--password-file", str(secret))
    assert comes_in(daemon, "ada", PASSWORD)
    for words in (("password", "ada"), ("password", "ada", "--password-file", "-")):
        done = subprocess.run(
            [daemon.program("circusctl"), *words], input=f"{words}-{PASSWORD}\n", text=True, env=daemon.environ,
            capture_output=True, check=True, timeout=30,
        )  # fmt: skip
        assert done.stdout == "ok\n"
        assert comes_in(daemon, "ada", f"{words}-{PASSWORD}")


def test_password_is_asked_for_twice_and_not_shown(daemon: Daemon) -> None:
    """On a terminal; two that differ change nothing."""
    daemon.ctl("addperson", "ada")
    words = [daemon.program("circusctl"), "password", "ada"]
    with Terminal(words, daemon.environ) as terminal:
        terminal.until("password: ")
        terminal.press(f"{PASSWORD}\n")
        shown = terminal.until("password again: ")
        terminal.press(f"{PASSWORD}x\n")
        shown += terminal.until("not the same")
        assert "hush" not in shown
    assert daemon.call("people")["people"][0]["password"] is False
    with Terminal(words, daemon.environ) as terminal:
        for prompt in ("password: ", "password again: "):
            terminal.until(prompt)
            terminal.press(f"{PASSWORD}\n")
        terminal.until("ok")
    assert comes_in(daemon, "ada", PASSWORD)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("password", "ada", "--password-file", "nowhere"), "no such file"),
        (("password", "ada", "--password-file", "empty"), "empty"),
        (("password", "ada", "--password-file", "short"), "8 to 1024 letters"),
        (("password", "ada", "--password", PASSWORD), "no option --password"),
        (("password", "ada", PASSWORD), "Invalid number of arguments"),
        (("password", "eve", "--password-file", "good"), "there is no person 'eve'"),
        (("addperson", "a/b"), "can't be the name of a person"),
        (("setperson", "Ada", "--watchers", "x" * 501), "500 letters"),
        (("addtoken", "ada", "ci", "--role", "admin"), "can't be above"),
    ],
    ids=["no file", "empty", "short", "as a flag", "as an argument", "nobody", "name", "patterns", "role"],
)
def test_what_is_wrong_is_told(daemon: Daemon, words: tuple[str, ...], told: str) -> None:
    """In words that say what to do; nothing changes."""
    daemon.ctl("addperson", "ada", "--role", "operator")
    for name, text in (("empty", ""), ("short", "short"), ("good", PASSWORD)):
        (daemon.folder / name).write_text(text)
    before = daemon.call("people")["people"]
    done = daemon.ctl(*words, check=False)
    assert done.returncode != 0
    assert told in done.stderr
    # An argument that is none of ours may be repeated to who has typed it; the daemon has not seen it.
    assert daemon.call("people")["people"] == before


def test_no_secret_is_anywhere_but_with_whom_it_is_for(daemon: Daemon) -> None:
    """Neither in the log, at its most detailed, nor in the audit, events, state or any file; tokens are in the reply alone."""
    (daemon.folder / "secret").write_text(PASSWORD)
    daemon.ctl("addperson", "ada", "--role", "admin", "--password-file", "secret")
    token = daemon.ctl("addtoken", "ada", "ci").stdout.strip()
    assert token.startswith("circus_")
    assert comes_in(daemon, "ada", PASSWORD)
    assert not comes_in(daemon, "ada", f"wrong-{PASSWORD}")
    status, listed, _ = ask(daemon, "/d/circus/api/v1/list", Authorization=f"Bearer {token}")
    assert (status, listed["status"]) == (200, "ok")
    told = json.dumps(
        [daemon.call(name) for name in ("people", "tokens", "sessions", "audit", "events", "inspect", "jobs")]
    )
    (daemon.folder / "secret").unlink()
    daemon.stop()
    eventually(lambda: (daemon.folder / "state" / "circus" / "people.json").exists(), within=10)
    files = [path for path in daemon.folder.rglob("*") if path.is_file()]
    assert {"people.json", "sessions.json", "audit.log", "circusd.log"} <= {path.name for path in files}
    for secret in (PASSWORD, token, token.removeprefix("circus_")):
        assert secret not in told
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []


def test_people_and_tokens_outlive_circusd(daemon: Daemon) -> None:
    """A token that worked works after a restart, with what was last known of its use; a revoked one does not."""
    daemon.ctl("addperson", "ada", "--role", "operator", "--watchers", "w*")
    kept, revoked = (daemon.ctl("addtoken", "ada", name).stdout.strip() for name in ("kept", "revoked"))
    assert ask(daemon, "/d/circus/api/v1/list", Authorization=f"Bearer {kept}")[0] == 200
    daemon.ctl("rmtoken", "2")
    people, tokens = daemon.call("people")["people"], daemon.call("tokens")["tokens"]
    assert tokens[0]["used"] is not None
    daemon.stop()
    daemon.start()
    assert daemon.call("people")["people"] == people
    assert daemon.call("tokens")["tokens"] == tokens
    eventually(
        lambda: ask(daemon, "/d/circus/api/v1/list", Authorization=f"Bearer {kept}")[0] == 200, within=20
    )
    assert ask(daemon, "/d/circus/api/v1/list", Authorization=f"Bearer {revoked}")[0] == 401


def test_audit_names_person_token_and_address(daemon: Daemon) -> None:
    """Who has done it, with what, and from where."""
    daemon.ctl("addperson", "ada", "--role", "operator")
    token = daemon.ctl("addtoken", "ada", "deploy").stdout.strip()
    status, _, _ = ask(daemon, "/d/circus/api/v1/restart", {"name": "web"}, Authorization=f"Bearer {token}")
    assert status in (200, 202)

    def entry() -> dict[str, object]:
        return next((row for row in daemon.call("audit")["entries"] if row["command"] == "restart"), {})

    eventually(lambda: bool(entry()), within=20)
    assert {key: entry().get(key) for key in ("person", "token", "from", "door", "result")} == {
        "person": "ada", "token": "deploy", "from": "127.0.0.1", "door": "web", "result": "ok",
    }  # fmt: skip
    assert "ada (operator), token deploy, web from 127.0.0.1" in daemon.ctl("audit").stdout
