"""Every command and every option, for every role, through every door: only what the role reaches is done."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from circusd.config.model import describe, watcher_from_options
from circusd.schema.commands import COMMANDS, ROLES, Command, reaches
from circusd.schema.options import HOOKS, WATCHER, watcher_option
from tests.daemon import Daemon
from tests.e2e.test_sessions import in_session, login
from tests.other_user import OtherUser

UIDS = dict(zip(ROLES, (60001, 60002, 60003), strict=True))
DOORS = ("ipc", "tcp", "console")

Ask = Callable[..., dict[str, Any]]

INI = """
[circus]
endpoint = {endpoint}
allow_viewer = 60001
allow_operator = 60002
allow_admin = 60003
httpd = 1
httpd_host = 127.0.0.1
httpd_port = 0
[watcher:web]
cmd = sleep 1000
numprocesses = 1
"""

# What decides which code runs, as whom, with what, and into which files: written here once more, so that a row of the
# table that loses its role is noticed.
DECIDES = (
    *("cmd", "args", "shell", "shell_args", "executable", "working_dir"),
    *("uid", "gid", "env", "env_file", "copy_env", "copy_path", "virtualenv", "virtualenv_py_ver"),
    *("ready", "alive", "pid_file", "watch", "stop_command"),
    *(f"hooks.{hook}" for hook in HOOKS),
    *(
        f"{stream}.{key}"
        for stream in ("stdout_stream", "stderr_stream")
        for key in ("class", "filename", "anything")
    ),
    *("hooks", "stdout_stream", "stderr_stream"),
    # What it may take from others.
    *("nice", "cpu_affinity", "io_priority", "oom_score_adj"),
)

# None of them is a name of an option, and none must become one.
ODD = (
    "CMD",
    " cmd",
    "cmd ",
    "Uid",
    "__class__",
    "config",
    "credentials",
    "hooks.",
    "hooks.__init__",
    "name",
    "extras",
)

BY_TOKEN = ("redeem", "logout")
"""Commands that go by what is in the request, whatever the role."""

OWN = ("addtoken", "password")
"""Commands that are for everybody's own account, and for an admin's of others: nobody here has one."""

POSSIBLE: dict[str, Any] = {
    "env": {"A": "b"},
    "hooks": {"before_start": "os.getcwd"},
    "stdout_stream": {"class": "FileStream", "filename": "/nowhere"},
    "stderr_stream": {"class": "FileStream", "filename": "/nowhere"},
}


@contextmanager
def through(door: str, role: str, folder: Path) -> Iterator[tuple[Daemon, Ask]]:
    """A daemon, and how somebody with that role asks it through that door."""
    if door != "console" and os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    # Each user can pass the test's daemon's own folder, whose name nobody has to guess.
    daemon = Daemon("", folder)
    daemon.runtime.chmod(0o755)
    endpoint = f"ipc://{daemon.runtime}/ops.sock" if door == "ipc" else "tcp://127.0.0.1:0"
    daemon.config.write_text(INI.format(endpoint=endpoint))
    with daemon:
        if door == "console":
            session = login(daemon, "ada", role)

            def by_page(command: str, **properties: Any) -> dict[str, Any]:
                status, reply = in_session(daemon, session, command, properties)
                return reply if status in (200, 202) else {"status": "error", "code": reply["code"]}

            yield daemon, by_page
            return
        endpoint = daemon.call("inspect")["daemon"]["endpoints"]["commands"]
        with OtherUser(endpoint, UIDS[role]) as person:
            yield daemon, person.ask


def asked_with(row: Command) -> dict[str, Any]:
    """Properties with which a command is understood, and finds nothing to do it to."""
    known = {
        "name": "nowhere",
        "signum": "USR1",
        "keys": ["cmd"],
        "options": {"priority": 1},
        "topics": ["state."],
    }
    by_type = {"int": 1, "strings": ["x"], "object": {}, "bool": False, "signal": "USR1"}
    return {
        field.name: known.get(field.name, by_type.get(field.type, "x"))
        for field in row.args
        if field.required or field.name == "name"
    }


def of_web(row: Command) -> dict[str, Any]:
    """What would be right for the watcher that is there."""
    is_named = any(field.name == "name" for field in row.args)
    return {**asked_with(row), **({"name": "web"} if is_named and row.name != "add" else {})}


def state(daemon: Daemon) -> str:
    """All that a command could have changed."""
    watchers = daemon.call("list")["watchers"]
    options = {name: daemon.call("options", name=name)["options"] for name in watchers}
    pids = {name: daemon.pids(name) for name in watchers}
    return json.dumps([options, pids], sort_keys=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("door", DOORS)
def test_every_command_is_done_for_the_roles_of_its_row_alone(tmp_path: Path, door: str, role: str) -> None:
    """Who may not is told that, and nothing has changed; who may gets an answer of the command itself."""
    rows = [row for row in COMMANDS if row.where == "daemon" or (row.where == "door" and door != "console")]
    with through(door, role, tmp_path) as (daemon, say):
        before = state(daemon)
        for row in rows:
            if reaches(role, row.role):
                continue
            assert say(row.name, **of_web(row)).get("code") == "denied", row.name
        assert state(daemon) == before
        for row in sorted(rows, key=lambda row: row.name == "quit"):
            if row.name in OWN and role != "admin":
                assert say(row.name, **asked_with(row)).get("code") == "denied", row.name
            elif reaches(role, row.role) and row.name not in BY_TOKEN:
                assert say(row.name, **asked_with(row)).get("code") not in ("denied", "no_session"), row.name
        assert daemon.popen is not None
        if reaches(role, "operator"):
            assert daemon.popen.wait(20) == 0
        else:
            assert daemon.call("ping")["pong"]


@pytest.mark.parametrize("door", DOORS)
def test_an_operator_sets_nothing_that_decides_code_or_user(tmp_path: Path, door: str) -> None:
    """Neither by the key of one option nor by that of a family, nor together with one that is his; nor by adding."""
    with through(door, "operator", tmp_path) as (daemon, say):
        before = state(daemon)
        for key in (*DECIDES, *ODD):
            value = POSSIBLE.get(key, "1")
            for options in ({key: value}, {"priority": 5, key: value}, {key: None}):
                reply = say("set", name="web", options=options)
                assert reply["status"] == "error", options
                assert reply["code"] in ("denied", "bad_request", "config"), options
                if watcher_option(key) is not None:
                    assert reply["code"] == "denied", options
        outside = {"depends_on": "tcp://127.0.0.1:1"}
        assert say("set", name="web", options=outside)["code"] == "denied"
        for options in ({}, {"numprocesses": 2}, {"uid": 0}):
            assert say("add", name="more", cmd="sleep 1", options=options)["code"] == "denied"
        for command, properties in (
            ("rm", {"name": "web"}),
            ("reloadconfig", {}),
            ("weblink", {"role": "admin"}),
            ("audit", {}),
        ):
            assert say(command, **properties)["code"] == "denied"
        assert state(daemon) == before


@pytest.mark.parametrize("door", DOORS)
def test_every_option_is_set_by_the_role_of_its_row(tmp_path: Path, door: str) -> None:
    """An operator sets what is an operator's, a viewer nothing."""
    values = describe(watcher_from_options("web", {"cmd": "sleep 1000"}))
    values.update({"rlimit_nofile": 512, "on_demand": False})
    names = ["rlimit_nofile" if row.name == "rlimit_NAME" else row.name for row in WATCHER if not row.legacy]
    with through(door, "operator", tmp_path) as (daemon, say):
        rows = {key: watcher_option(key) for key in names}
        his = [key for key, row in rows.items() if row is not None and row.role == "operator"]
        # At once, as each is looked at anyway; one that is not his would have the whole refused.
        reply = say(
            "set", name="web", options={key: values[key] for key in his if key in values}, waiting=True
        )
        assert reply["status"] == "ok", reply
    (tmp_path / "viewer").mkdir()
    with through(door, "viewer", tmp_path / "viewer") as (daemon, say):
        before = state(daemon)
        for key in (*names, *DECIDES, *ODD):
            assert say("set", name="web", options={key: values.get(key, "1")})["code"] == "denied", key
        assert state(daemon) == before


def test_what_decides_code_or_user_is_an_admin_s_in_the_table() -> None:
    """The list above against the rows, in both directions."""
    for key in DECIDES:
        row = watcher_option(key)
        assert row is None or row.role == "admin", key
    admins = {row.name for row in WATCHER if row.role == "admin" and not row.pattern and not row.legacy}
    assert admins <= set(DECIDES)
