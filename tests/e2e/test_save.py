"""``save``: what was changed at run time stands in the files, and everything else in them stays as it was."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import Refused
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

MAIN = """\
# The shop's machine.
[circus]
include = more/*.ini

[watcher:web]
; two are enough
cmd = sleep 1000
numprocesses = 2   ; at night
graceful_timeout = 5

[env:web]
TOKEN = old-secret

[socket:front]
host = 127.0.0.1
port = 0

# The end.
"""

MORE = """\
# Written by somebody else.
[watcher:worker]
cmd: sleep 1000

[watcher:leaves]
cmd = sleep 1000

[env]
ALL = 1
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "more.ini").write_text(MORE)
    (folder / "more.ini").chmod(0o640)
    with Daemon(MAIN, tmp_path) as running:
        yield running


def saved(daemon: Daemon, *words: str) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(daemon.ctl("--json", "save", *words).stdout)
    return reply


def kept(daemon: Daemon) -> list[str]:
    """The texts of the files."""
    return [daemon.config.read_text(), (daemon.folder / "more" / "more.ini").read_text()]


def test_each_change_goes_to_its_place_and_nothing_else_changes(daemon: Daemon) -> None:
    """Options, variables, watchers and sockets, each in the file where it stands; and then there is nothing to save."""
    daemon.ctl("set", "web", "numprocesses", "3", "max_age", "1h", "stop_signal", "INT", "--waiting")
    daemon.ctl("set", "web", "env", "ALL=1,TOKEN=new-secret,MORE=x y", "--waiting")
    daemon.ctl("set", "worker", "tags", "slow,night", "--waiting")
    daemon.ctl("rm", "leaves", "--waiting")
    daemon.ctl(
        "add", "--copy-env", "--stdout-stream.filename", "/dev/null", "extra", "sh", "-c", 'echo "a  b"'
    )
    daemon.ctl("addsocket", "api", "--host", "127.0.0.1", "--port", "0", "--backlog", "7")
    shown = daemon.ctl("save", "--dry-run").stdout
    assert kept(daemon) == [MAIN, MORE]
    assert "-numprocesses = 2   ; at night\n+numprocesses = 3   ; at night\n" in shown
    assert "secret" not in shown
    assert "-TOKEN = ********\n" in shown
    reply = saved(daemon, "--yes")
    assert sorted(Path(name).name for name in reply["files"]) == ["circus.ini", "more.ini"]
    assert kept(daemon) == [
        MAIN.replace("numprocesses = 2   ; at", "numprocesses = 3   ; at")
        .replace("graceful_timeout = 5\n", "graceful_timeout = 5\nstop_signal = SIGINT\nmax_age = 3600\n")
        .replace("TOKEN = old-secret\n", "TOKEN = new-secret\nMORE = x y\n")
        + "\n[watcher:extra]\ncmd = sh -c 'echo \"a  b\"'\ncopy_env = true\nstdout_stream.class = FileStream\n"
        "stdout_stream.filename = /dev/null\n\n[socket:api]\nhost = 127.0.0.1\nport = 0\nbacklog = 7\n",
        MORE.replace("cmd: sleep 1000\n", "cmd: sleep 1000\ntags = slow night\n").replace(
            "[watcher:leaves]\ncmd = sleep 1000\n\n", ""
        ),
    ], kept(daemon)
    assert (daemon.folder / "more" / "more.ini").stat().st_mode & 0o777 == 0o640
    assert reply["left"] == ["extra gets ALL of [env] with the next reloadconfig"]
    assert daemon.ctl("save", "--dry-run").stdout == "nothing to save\n"
    pids = daemon.pids("web")
    plan = daemon.call("reloadconfig", waiting=True)["plan"]
    assert [step["name"] for step in plan] == ["extra"], plan
    assert daemon.ctl("get", "extra", "env").stdout == "env: ALL=1\n"
    assert daemon.ctl("save", "--dry-run").stdout == "nothing to save\n"
    assert daemon.pids("web") == pids


def test_a_daemon_that_starts_anew_has_what_was_saved(daemon: Daemon) -> None:
    """As it was in force."""
    daemon.ctl("incr", "web", "--waiting")
    daemon.ctl("set", "web", "working_dir", "/", "--waiting")
    daemon.ctl("save", "--yes")
    daemon.stop()
    daemon.start()
    assert len(daemon.pids("web")) == 3
    assert {os.readlink(f"/proc/{pid}/cwd") for pid in daemon.pids("web")} == {"/"}


def test_a_file_that_changed_on_disk_is_not_written_over(daemon: Daemon) -> None:
    """Unless by force, and then what stands there stays, but for what was changed here."""
    daemon.ctl("incr", "web", "--waiting")
    text = MAIN.replace("graceful_timeout = 5", "graceful_timeout = 9")
    daemon.config.write_text(text)
    done = daemon.ctl("save", "--yes", check=False)
    assert done.returncode == 3
    assert "has changed on disk since it was read; circusctl reloadconfig first" in done.stderr
    assert daemon.config.read_text() == text
    daemon.ctl("save", "--yes", "--force")
    assert daemon.config.read_text() == text.replace("numprocesses = 2 ", "numprocesses = 3 ")
    assert "graceful_timeout" in daemon.call("reloadconfig", waiting=True)["summary"]
    assert daemon.ctl("get", "web", "graceful_timeout").stdout == "graceful_timeout: 9.0\n"
    assert len(daemon.pids("web")) == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("set", "web", "env", "TOKEN=old-secret", "--waiting"), "watcher web: env can't be saved"),
        (
            ("set", "web", "cmd", "sh -c 'exec sleep 1000 ; sleep 1'", "--waiting"),
            "can't be saved, the file would be wrong then",
        ),
    ],
)
def test_what_the_file_would_say_otherwise_is_refused(
    daemon: Daemon, words: tuple[str, ...], text: str
) -> None:
    """A variable of all that one watcher is not to have; a value that the dialect can't hold. Nothing is written."""
    daemon.ctl(*words)
    done = daemon.ctl("save", "--yes", check=False)
    assert done.returncode == 3
    assert text in done.stderr
    assert kept(daemon) == [MAIN, MORE]


def test_another_file_can_be_named_for_what_is_new(daemon: Daemon) -> None:
    """One that is read; another would be lost at the next start."""
    daemon.ctl("add", "extra", "sleep", "1000")
    done = daemon.ctl("save", "--yes", "other.ini", check=False)
    assert (done.returncode, "other.ini is not read by" in done.stderr) == (3, True)
    daemon.ctl("save", "--yes", "more/more.ini")
    assert kept(daemon) == [MAIN, MORE + "\n[watcher:extra]\ncmd = sleep 1000\n"]


TREES = {
    "toml": """\
# The shop's machine.
[circus]
include = "more.yaml"

[watcher.web]
# two are enough
cmd = "sleep 1000"
numprocesses = 2   # at night

[watcher.web.env]
TOKEN = "old-secret"   # of the shop

[socket]
front = { host = "127.0.0.1", port = 0 }

# The end.
""",
    "yaml": """\
# The shop's machine.
circus:
    include:   more.yaml

watcher:
    web:
        # two are enough
        cmd:   sleep 1000
        numprocesses: 2   # at night
        env:
            TOKEN: old-secret   # of the shop

socket:
    front: {host: 127.0.0.1, port: 0}

# The end.
""",
}
TREE_MORE = """\
# Written by somebody else.
watcher:
  worker: {cmd: sleep 1000}   # it has little to do
  leaves:
    cmd: sleep 1000

env:
  ALL: 1
"""
NEW = {
    "toml": """
[watcher.extra]
cmd = "sh -c 'echo \\"a  b\\"'"
copy_env = true
stdout_stream.class = "FileStream"
stdout_stream.filename = "/dev/null"
""",
    "yaml": """\
    extra:
        cmd: sh -c 'echo "a  b"'
        copy_env: true
        stdout_stream:
            class: FileStream
            filename: /dev/null
""",
}


def expected(form: str) -> str:
    """The main file after the changes of the test below."""
    text = TREES[form].replace("old-secret", "new-secret")
    if form == "toml":
        text = text.replace("2   # at night\n", "3   # at night\nmax_age = 3600\n")
        return text.replace("port = 0 }", "port = 0, backlog = 7 }") + NEW[form]
    text = text.replace("2   # at", "3   # at")
    text = text.replace("the shop\n\nsocket", "the shop\n        max_age: 3600\n" + NEW[form] + "\nsocket")
    return text.replace("port: 0}", "port: 0, backlog: 7}")


@pytest.fixture(params=sorted(TREES))
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a main file of that form, which includes another one in YAML."""
    daemon = Daemon("", tmp_path)
    daemon.config.unlink()
    daemon.config = tmp_path / f"circus.{request.param}"
    daemon.config.write_text(TREES[request.param])
    (tmp_path / "more.yaml").write_text(TREE_MORE)
    with daemon:
        yield daemon


def changed(daemon: Daemon) -> None:
    """Options, variables, a watcher that comes and one that goes, a socket that is opened anew with other options."""
    daemon.ctl("set", "web", "numprocesses", "3", "max_age", "1h", "--waiting")
    daemon.ctl("set", "web", "env", "ALL=1,TOKEN=new-secret", "--waiting")
    daemon.ctl("set", "worker", "tags", "slow,night", "--waiting")
    daemon.ctl("rm", "leaves", "--waiting")
    daemon.ctl(
        "add", "--copy-env", "--stdout-stream.filename", "/dev/null", "extra", "sh", "-c", 'echo "a  b"'
    )
    daemon.ctl("rmsocket", "front")
    daemon.ctl("addsocket", "front", "--host", "127.0.0.1", "--port", "0", "--backlog", "7")


def test_files_in_toml_and_yaml_keep_all_that_was_not_changed(tree: Daemon) -> None:
    """Their comments, their order and the way in which they are written; it can be undone, and a new daemon reads it."""
    form, more = tree.config.suffix[1:], tree.folder / "more.yaml"
    changed(tree)
    shown = tree.ctl("save", "--dry-run").stdout
    assert tree.config.read_text() == TREES[form]
    assert "secret" not in shown
    assert "********" in shown
    saved(tree, "--yes")
    assert tree.config.read_text() == expected(form)
    assert more.read_text() == TREE_MORE.replace(
        "{cmd: sleep 1000}", "{cmd: sleep 1000, tags: [slow, night]}"
    ).replace("  leaves:\n    cmd: sleep 1000\n", "")
    assert tree.ctl("save", "--dry-run").stdout == "nothing to save\n"
    shown = tree.ctl("save", "--undo", "--dry-run").stdout
    assert "secret" not in shown
    tree.ctl("save", "--undo", "--yes")
    assert (tree.config.read_text(), more.read_text()) == (TREES[form], TREE_MORE)
    tree.ctl("save", "--yes")
    assert tree.config.read_text() == expected(form)
    tree.stop()
    tree.start()
    assert len(tree.pids("web")) == 3
    assert tree.ctl("save", "--dry-run").stdout == "nothing to save\n"


def test_what_stands_for_several_watchers_is_not_changed_for_one(tmp_path: Path) -> None:
    """An alias has no place for an option of one's own; with a clear text, and nothing written."""
    daemon = Daemon("", tmp_path)
    daemon.config = tmp_path / "circus.yaml"
    text = "x-all: &all {cmd: sleep 1000}\nwatcher:\n  one: *all\n  two: *all\n"
    daemon.config.write_text(text)
    with daemon:
        daemon.ctl("incr", "one", "--waiting")
        done = daemon.ctl("save", "--yes", check=False)
        assert done.returncode == 3
        assert "watcher one can't be saved: has no place, as watcher.one is no table" in done.stderr
        assert daemon.config.read_text() == text


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("[circus]\nwarmup_delay = 0\n", "[circus]\nwarmup_delay = 2\n"),
        ("[circus]\n", "[circus]\ndebug = true\n"),
    ],
)
def test_a_change_of_the_daemons_own_options_is_a_conflict_too(tmp_path: Path, text: str, other: str) -> None:
    """Whoever edited [circus] alone is not passed over either."""
    watcher = "\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(text + watcher, tmp_path) as daemon:
        daemon.ctl("incr", "web", "--waiting")
        before = daemon.config.read_text()
        daemon.config.write_text(before.replace(text, other))
        assert daemon.call("drift")["on_disk"] is True
        done = daemon.ctl("save", "--yes", check=False)
        assert (done.returncode, "has changed on disk since it was read" in done.stderr) == (3, True)
        daemon.ctl("save", "--yes", "--force")
        assert daemon.config.read_text() == before.replace(text, other).replace(
            "cmd = sleep 1000\n", "cmd = sleep 1000\nnumprocesses = 2\n"
        )


def asked(daemon: Daemon, answer: bytes) -> tuple[int, str]:
    """The exit code of a save at a terminal where that is typed, and what was shown."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "rb", 0) as terminal:
        process = subprocess.Popen(
            [str(BIN / "circusctl"), "save"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=daemon.environ,
        )
    try:
        os.write(ours, answer)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return process.returncode, out.decode()


def test_a_person_is_asked_and_a_script_has_to_say_so(daemon: Daemon) -> None:
    """Without --yes nothing is written unless somebody says yes."""
    daemon.ctl("incr", "web", "--waiting")
    done = daemon.ctl("save", check=False)
    assert (done.returncode, "give --yes" in done.stderr) == (1, True)
    code, shown = asked(daemon, b"n\n")
    assert (code, "+numprocesses = 3" in shown, "nothing was written" in shown) == (1, True, True)
    assert kept(daemon) == [MAIN, MORE]
    code, shown = asked(daemon, b"y\n")
    assert (code, "written: " in shown) == (0, True)
    eventually(lambda: "numprocesses = 3" in daemon.config.read_text())


def test_what_was_shown_is_what_is_written(daemon: Daemon) -> None:
    """A change in between is not written unseen."""
    daemon.ctl("incr", "web", "--waiting")
    digest = saved(daemon, "--dry-run")["digest"]
    daemon.ctl("incr", "web", "--waiting")
    done = daemon.ctl("--json", "save", "--yes", "--dry-run")
    assert json.loads(done.stdout)["digest"] != digest
    with pytest.raises(Refused, match="no longer those that were shown"):
        daemon.call("save", digest=digest)
    assert kept(daemon) == [MAIN, MORE]


def test_a_save_can_be_undone(daemon: Daemon) -> None:
    """Every file says what it said, byte for byte; what is in force stays so, and can be saved again."""
    daemon.ctl("incr", "web", "--waiting")
    daemon.ctl("rm", "leaves", "--waiting")
    daemon.ctl("set", "web", "env", "ALL=1,TOKEN=new-secret", "--waiting")
    daemon.ctl("save", "--yes")
    after = kept(daemon)
    assert after != [MAIN, MORE]
    assert daemon.call("drift")["last_save"]["problem"] == ""
    assert daemon.call("drift")["changes"] == []
    shown = daemon.ctl("save", "--undo", "--dry-run").stdout
    assert "-numprocesses = 3   ; at night\n+numprocesses = 2   ; at night\n" in shown
    assert "secret" not in shown
    assert kept(daemon) == after
    daemon.ctl("save", "--undo", "--yes")
    assert kept(daemon) == [MAIN, MORE]
    assert (daemon.folder / "more" / "more.ini").stat().st_mode & 0o777 == 0o640
    assert len(daemon.pids("web")) == 3
    assert daemon.call("drift")["last_save"] is None
    assert len(daemon.call("drift")["changes"]) == 2
    done = daemon.ctl("save", "--undo", "--yes", check=False)
    assert (done.returncode, "there is no save to undo" in done.stderr) == (3, True)
    daemon.ctl("save", "--yes")
    assert kept(daemon) == after


def test_what_was_changed_since_a_save_is_not_undone(daemon: Daemon) -> None:
    """Whoever edits a file after a save does not lose that by an undo."""
    daemon.ctl("incr", "web", "--waiting")
    daemon.ctl("save", "--yes")
    text = daemon.config.read_text() + "; by hand\n"
    daemon.config.write_text(text)
    assert "changed since" in daemon.call("drift")["last_save"]["problem"]
    done = daemon.ctl("save", "--undo", "--yes", check=False)
    assert done.returncode == 3
    assert "has changed since the save" in done.stderr
    assert daemon.config.read_text() == text


def test_a_save_can_be_undone_by_the_next_daemon(daemon: Daemon) -> None:
    """It has read what was saved: the files are as before, and a reload puts that into force."""
    daemon.ctl("incr", "web", "--waiting")
    daemon.ctl("save", "--yes")
    daemon.stop()
    daemon.start()
    assert len(daemon.pids("web")) == 3
    assert "counts with the next reloadconfig" in daemon.ctl("save", "--undo", "--yes").stdout
    assert kept(daemon) == [MAIN, MORE]
    daemon.ctl("reloadconfig", "--waiting")
    assert len(daemon.pids("web")) == 2


def test_what_a_save_keeps_is_for_its_owner_alone(daemon: Daemon) -> None:
    """Files of the configuration hold secrets: the way back lies in a folder that is closed, and is closed itself."""
    daemon.ctl("incr", "web", "--waiting")
    daemon.ctl("save", "--yes")
    (file,) = daemon.state.rglob("save-undo.json")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
