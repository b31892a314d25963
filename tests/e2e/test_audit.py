"""The audit: whoever changes something, or tries to, is on record; and recording is in nobody's way."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.e2e.test_sessions import login
from tests.other_user import OtherUser
from tests.waiting import eventually

WATCHERS = "[watcher:web]\ncmd = sleep 1000\n"
READER = 60001


def recorded(path: Path) -> list[dict[str, Any]]:
    """The lines of the file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def shown(daemon: Daemon, count: int = 100) -> list[dict[str, Any]]:
    """What the command shows."""
    entries: list[dict[str, Any]] = daemon.call("audit", lines=count)["entries"]
    return entries


def test_each_changing_command_is_recorded_with_who_what_and_result(tmp_path: Path) -> None:
    """Of options the names; numbers and signals as they were given; failures by their code. Reading leaves nothing."""
    with Daemon(f"[circus]\n{WATCHERS}", tmp_path) as daemon:
        daemon.ctl("list")
        daemon.ctl("set", "web", "graceful_timeout", "3", "priority", "7")
        daemon.ctl("incr", "web", "2", "--waiting")
        daemon.ctl("signal", "web", "USR1")
        daemon.ctl("stop", "wbe", check=False)
        with pytest.raises(Refused, match="unknown key"):
            daemon.call("set", name="web", options={"no_such_key": 1})
        path = daemon.state / "circus" / "audit.log"
        entries = shown(daemon)
        assert [(e["command"], e["watcher"], e.get("keys"), e.get("args"), e["result"]) for e in entries] == [
            ("set", "web", ["graceful_timeout", "priority"], None, "ok"),
            ("incr", "web", None, {"nb": 2}, "ok"),
            ("signal", "web", None, {"signum": "USR1"}, "ok"),
            ("stop", "wbe", None, None, "not_found"),
            ("set", "web", ["no_such_key"], None, "bad_request"),
        ]
        for entry in entries:
            assert (entry["uid"], entry["role"], entry["door"]) == (os.getuid(), "admin", "commands")
            assert entry["from"] == "unix" and entry["pid"] > 1
        assert recorded(path) == entries
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        view = daemon.call("inspect")["daemon"]["audit"]
        assert view == {"file": str(path), "recorded": 5, "lost": 0, "problem": ""}
        text = daemon.ctl("audit", "-n", "1").stdout
        assert text.rstrip().endswith("set web [no_such_key] bad_request")
        daemon.stop()
        daemon.start()
        assert shown(daemon, 2) == entries[-2:]


def test_who_came_in_by_the_console_is_recorded_by_name(tmp_path: Path) -> None:
    """The link with the role that it gives, the login, and nobody's token."""
    ini = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n"
    with Daemon(ini, tmp_path) as daemon:
        session = login(daemon, "ada", "operator")
        link, redeemed = shown(daemon)
        assert (link["command"], link["args"], link["result"]) == ("weblink", {"role": "operator"}, "ok")
        assert (redeemed["command"], redeemed["person"], redeemed["role"]) == ("redeem", "ada", "operator")
        assert redeemed["door"] == "web"
        assert session not in (daemon.state / "circus" / "audit.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_was_denied_is_recorded_in_sums(tmp_path: Path) -> None:
    """The first at once and the others together, with their number; a command and a connection alike."""
    ini = f"[circus]\nendpoint = tcp://127.0.0.1:0\nallow_viewer = {READER}\n{WATCHERS}"
    with Daemon(ini, tmp_path) as daemon:
        endpoint = daemon.call("inspect")["daemon"]["endpoints"]["commands"]
        with OtherUser(endpoint, READER) as person:
            for _ in range(30):
                assert person.ask("set", name="web", options={"priority": 1})["code"] == "denied"
                assert person.ask("audit")["code"] == "denied"
        with OtherUser(endpoint, READER + 1) as stranger:
            assert stranger.ask("list")["code"] == "unavailable"
        first = shown(daemon)
        assert {(e.get("command"), e["result"], e["uid"]) for e in first} == {
            ("set", "denied", READER),
            ("audit", "denied", READER),
            (None, "refused", READER + 1),
        }
        told = [e["reason"] for e in daemon.call("events")["events"] if e["event"] == "client.refused"]
        assert "set was denied to the role viewer" in told
        daemon.stop()
        entries = recorded(daemon.state / "circus" / "audit.log")
        for command in ("set", "audit"):
            counts = [e["count"] for e in entries if e.get("command") == command]
            assert sum(counts) == 30
            # One at once, and one for each ten seconds that it took.
            assert len(counts) < 10


def test_an_audit_that_can_t_be_written_stops_nothing_and_is_told_once(tmp_path: Path) -> None:
    """In ``inspect``, as one event, and in the log; the entries of this run are shown all the same."""
    with Daemon(f"[circus]\n{WATCHERS}", tmp_path, environ={"CIRCUS_STATE_DIR": "/proc/nowhere"}) as daemon:
        for number in range(5):
            daemon.ctl("set", "web", "priority", str(number), "--waiting")
        problem = eventually(lambda: daemon.call("inspect")["daemon"]["audit"]["problem"])
        assert "could not make the state folder /proc/nowhere" in problem
        told = [e for e in daemon.call("events")["events"] if e["event"] == "audit.failed"]
        assert len(told) == 1
        assert [e["command"] for e in shown(daemon)] == ["set"] * 5
        assert "not recorded at present" in daemon.ctl("audit").stdout
        assert daemon.log.read_text().count("commands are not recorded") == 1


def test_the_file_can_be_another_or_none(tmp_path: Path) -> None:
    """With ``off`` nothing is recorded, and the command says so."""
    path = tmp_path / "who.log"
    with Daemon(f"[circus]\naudit = {path}\n{WATCHERS}", tmp_path) as daemon:
        daemon.ctl("set", "web", "priority", "1", "--waiting")
        assert [e["command"] for e in eventually(lambda: path.exists() and recorded(path))] == ["set"]
        assert not daemon.state.exists()
    path.unlink()
    with Daemon(f"[circus]\naudit = off\n{WATCHERS}", tmp_path) as daemon:
        daemon.ctl("set", "web", "priority", "1", "--waiting")
        assert daemon.ctl("audit").stdout == "nothing is recorded: audit = off\n"
        assert not daemon.state.exists()
    assert not path.exists()
    shutil.rmtree(daemon.runtime, ignore_errors=True)
