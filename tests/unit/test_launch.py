"""The start of a process: words, program, environment and folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from circusd.config.launch import Launch, base_folder, build
from circusd.config.model import WatcherConfig, watcher_from_options
from circusd.config.references import inherited_sockets
from circusd.schema.errors import SpawnError

BASE_ENV = {"PATH": "/daemon/bin:/usr/bin", "HOME": "/my/home", "LANG": "C.UTF-8"}


def files(*names: str) -> Callable[[str], bool]:
    """A test for programs that finds these files."""
    return lambda path: path in names


def anything(path: str) -> bool:
    """Every file is a program."""
    return True


def launch(options: Mapping[str, object], **arguments: Any) -> Launch:
    """The start of process 3 of a watcher with these options."""
    watcher = watcher_from_options("web", {"cmd": "run", **options})
    return build(
        watcher,
        3,
        arguments.pop("sockets", {}),
        **{"base_env": BASE_ENV, "base_dir": "/base", "is_program": anything, **arguments},
    )


def test_words_are_split_as_a_shell_would_and_arguments_come_after() -> None:
    """A list of arguments is taken as it is."""
    assert launch({"cmd": "run 'a b' \"c\""}).argv == ("run", "a b", "c")
    assert launch({"cmd": "run -x", "args": "-y 'z z'"}).argv == ("run", "-x", "-y", "z z")
    assert launch({"cmd": "run", "args": ["a b", "it's"]}).argv == ("run", "a b", "it's")
    assert launch({"cmd": "run\n--first\n--second"}).argv == ("run", "--first", "--second")


def test_names_are_replaced_before_words_are_split() -> None:
    """A value with a space becomes two words, as in the original; within a list it stays one."""
    env = {"FLAGS": "-a -b"}
    assert launch({"cmd": "run $(circus.env.flags)", "env": env}).argv == ("run", "-a", "-b")
    assert launch({"cmd": "run", "args": ["((circus.env.FLAGS))"], "env": env}).argv == ("run", "-a -b")


def test_everything_that_a_command_can_name_is_replaced() -> None:
    """wid, sockets, variables, limits and every built-in option, in both spellings and any case of letters."""
    words = launch(
        {
            "cmd": "run $(circus.wid) ((Circus.Sockets.Web)) $(circus.env.A) $(circus.rlimits.nofile) $(circus.uid)",
            "args": "$(circus.numprocesses) $(circus.working_dir) $(circus.use_fds) $(circus.shell) $(circus.gid) "
            "$(circus.stop_signal) $(circus.graceful_timeout) $(circus.executable) $(circus.warmup_delay)",
            "env": {"A": "1"},
            "rlimit_nofile": 9,
            "numprocesses": 4,
            "uid": "www-data",
        },
        sockets={"web": 7},
        uid=33,
    ).argv
    assert words == tuple("run 3 7 1 9 33 4 /base False False None 15 30.0 None 0".split())


@pytest.mark.parametrize(
    "text",
    [
        "$(circus.mine)",
        "((circus.sockets.no))",
        "$(circus.env.NONE)",
        "$(circus.rlimits.cpu)",
        "$(other.wid)",
    ],
)
def test_what_nobody_knows_is_left_as_it_stands(text: str) -> None:
    """Not an error and not nothing."""
    assert launch({"args": [text]}).argv == ("run", text)


def test_a_replaced_value_is_not_replaced_again() -> None:
    """A variable that holds a name stays text."""
    assert launch({"args": ["$(circus.env.A)"], "env": {"A": "$(circus.wid)"}}).argv == (
        "run",
        "$(circus.wid)",
    )


@pytest.mark.parametrize(
    "text",
    ["a b", " a\t\r\n b ", "a #b; c|d $e &", "a\x0bb\x0cc\x85d\xa0e é", "a 'b c' d", 'a "b" \\ c', "a\\b"],
)
def test_words_are_those_of_a_posix_shell(text: str) -> None:
    """Also where there is nothing to be quoted, which is found out in a shorter way."""
    assert launch({"cmd": text}).argv == tuple(shlex.split(text))


def test_a_shell_gets_one_quoted_line_and_its_own_arguments() -> None:
    """Each word is quoted for it."""
    start = launch(
        {"cmd": "echo 'a b' $HOME", "args": ["x;y"], "shell": True, "shell_args": "-- $(circus.wid)"}
    )
    assert start.argv == ("/bin/sh", "-c", "echo 'a b' '$HOME' 'x;y'", "--", "3")
    assert start.executable == "/bin/sh"


def test_the_executable_stands_for_the_program_under_the_commands_name() -> None:
    """With a shell it stands for the shell."""
    start = launch({"cmd": "name -x", "executable": "/opt/real"})
    assert (start.argv, start.executable) == (("name", "-x"), "/opt/real")
    assert launch({"shell": True, "executable": "/bin/bash"}).executable == "/bin/bash"


def test_a_process_sees_nothing_of_the_daemons_environment() -> None:
    """Only its own variables, and which watcher and slot it is."""
    assert launch({"env": {"A": "1"}}).env == {"A": "1", "CIRCUS_WATCHER": "web", "CIRCUS_WID": "3"}


def test_with_copy_env_its_own_variables_lie_over_the_daemons() -> None:
    """The daemon's mapping is not changed."""
    env = launch({"copy_env": True, "env": {"LANG": "C", "A": "1"}}).env
    assert env == {
        "PATH": "/daemon/bin:/usr/bin",
        "HOME": "/my/home",
        "LANG": "C",
        "A": "1",
        "CIRCUS_WATCHER": "web",
        "CIRCUS_WID": "3",
    }
    assert BASE_ENV["LANG"] == "C.UTF-8"


def test_with_copy_path_the_daemons_module_path_is_given() -> None:
    """Its own PYTHONPATH wins."""
    path = ["", "/lib/a", "/lib/b"]
    assert launch({"copy_path": True}, sys_path=path).env["PYTHONPATH"] == "/lib/a:/lib/b"
    own = launch({"copy_path": True, "env": {"PYTHONPATH": "/own"}}, sys_path=path)
    assert own.env["PYTHONPATH"] == "/own"


def test_a_virtual_environment_is_entered(tmp_path: Path) -> None:
    """bin before PATH, packages and the folders of .pth files before PYTHONPATH, VIRTUAL_ENV set, PYTHONHOME gone."""
    site = tmp_path / "venv/lib/python3.11/site-packages"
    old = tmp_path / "venv/lib/python3.9/site-packages"
    extra = tmp_path / "extra"
    for folder in (site, old, extra):
        folder.mkdir(parents=True)
    (site / "some.pth").write_text(f"# no\nimport sys\n{extra}\n/no/such/folder\n../../../../extra\n\n")
    options = {"virtualenv": str(tmp_path / "venv"), "env": {"PYTHONPATH": "/own", "PYTHONHOME": "/x"}}
    env = launch(options).env
    assert env["VIRTUAL_ENV"] == f"{tmp_path}/venv"
    assert env["PATH"] == f"{tmp_path}/venv/bin:/bin:/usr/bin"
    assert env["PYTHONPATH"] == f"{site}:{extra}:{extra}:/own"
    assert "PYTHONHOME" not in env
    older = launch({**options, "virtualenv_py_ver": "3.9"}).env
    assert older["PYTHONPATH"] == f"{old}:/own"
    copied = launch({**options, "copy_env": True}).env
    assert copied["PATH"] == f"{tmp_path}/venv/bin:/daemon/bin:/usr/bin"


def test_a_virtual_environment_that_is_none_adds_no_packages(tmp_path: Path) -> None:
    """Only bin; a relative one is beside the daemon's folder."""
    env = launch({"virtualenv": "venv"}, base_dir=str(tmp_path)).env
    assert env["PATH"] == f"{tmp_path}/venv/bin:/bin:/usr/bin"
    assert "PYTHONPATH" not in env


def test_a_bare_name_is_looked_up_on_the_processs_own_path() -> None:
    """Not on the daemon's; without a PATH where the C library looks."""
    found = files("/opt/bin/run", "/usr/bin/run", "/daemon/bin/run")
    assert launch({}, is_program=found).executable == "/usr/bin/run"
    assert launch({"env": {"PATH": "/x:/opt/bin"}}, is_program=found).executable == "/opt/bin/run"
    assert launch({"copy_env": True}, is_program=found).executable == "/daemon/bin/run"
    assert launch({"cmd": "x", "executable": "run"}, is_program=found).executable == "/usr/bin/run"


def test_folders_of_the_path_that_are_relative_are_so_to_the_working_folder() -> None:
    """The lookup happens as if in the process."""
    start = launch({"env": {"PATH": "bin"}, "working_dir": "/srv"}, is_program=files("/srv/bin/run"))
    assert start.executable == "/srv/bin/run"


def test_a_program_that_is_nowhere_is_told_with_its_path() -> None:
    """A bare name is never taken from the current folder by accident."""
    with pytest.raises(SpawnError) as caught:
        launch({}, is_program=files())
    assert (caught.value.stage, caught.value.errno, caught.value.program) == ("lookup", 2, "run")
    assert "/bin:/usr/bin" in str(caught.value)


@pytest.mark.parametrize(
    ("cmd", "working_dir", "executable"),
    [
        ("/opt/run", None, "/opt/run"),
        ("bin/run", None, "/base/bin/run"),
        ("bin/run", "/srv", "/srv/bin/run"),
        ("./run", "app", "/base/app/./run"),
    ],
)
def test_a_path_is_relative_to_the_working_folder(cmd: str, working_dir: str | None, executable: str) -> None:
    """And a relative working folder to the daemon's."""
    start = launch({"cmd": cmd, "working_dir": working_dir}, is_program=files())
    assert start.executable == executable
    assert start.cwd == os.path.join("/base", working_dir or "").rstrip("/")


@pytest.mark.parametrize(
    ("cmd", "env"), [("$(circus.env.A)", {"A": " "}), ("run $(circus.env.A)", {"A": "'"})]
)
def test_a_command_that_cannot_be_split_is_told(cmd: str, env: dict[str, str]) -> None:
    """What only shows once names are replaced."""
    with pytest.raises(SpawnError) as caught:
        launch({"cmd": cmd, "env": env})
    assert caught.value.stage == "command"


def test_the_daemons_folder_is_the_one_that_its_user_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$PWD with its links when it is the current folder, else the current folder."""
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "link"
    link.symlink_to(real)
    monkeypatch.chdir(real)
    assert base_folder({"PWD": str(link)}) == str(link)
    for pwd in ("/", "/no/such", "relative", ""):
        assert base_folder({"PWD": pwd}) == str(real)
    assert base_folder({}) == str(real)


def test_a_watcher_gets_the_sockets_that_it_names() -> None:
    """Once each, those that there are; all of them where it only says ``use_sockets``; standard input's always."""
    cmd = "run $(circus.sockets.Web) ((circus.sockets.web))"
    known = ("web", "api", "in", "other")
    watcher = WatcherConfig("w", cmd, args=("$(circus.sockets.api)",), use_sockets=True, stdin_socket="In")
    assert inherited_sockets(watcher, known) == ("web", "api", "in")
    assert inherited_sockets(watcher, ("web", "other")) == ("web",)
    assert inherited_sockets(WatcherConfig("w", "run", use_sockets=True), known) == known
    assert inherited_sockets(WatcherConfig("w", "run", stdin_socket="In"), known) == ("in",)
