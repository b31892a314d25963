"""Sessions over the end of circusd, ordered or not, as a browser's cookie would meet them."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from circusweb.auth import COOKIE, csrf_token
from tests.daemon import Daemon
from tests.waiting import eventually

INI = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n"


def ask(daemon: Daemon, path: str, data: Any = None, **headers: str) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and cookie of one request to the console, a POST where there is data."""
    address = daemon.call("inspect")["daemon"]["httpd"]
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(
        f"http://{address}{path}", body, {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            cookie = (answer.headers["Set-Cookie"] or "").partition(f"{COOKIE}=")[2].partition(";")[0]
            return answer.status, json.loads(answer.read()), cookie
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), ""


def login(daemon: Daemon, person: str = "ada", role: str = "operator") -> str:
    """The session of somebody who has opened a new link."""
    token = daemon.call("weblink", role=role, person=person)["link"].partition("#token=")[2]
    status, _, session = ask(daemon, "/login", {"token": token})
    assert status == 200
    return session


def in_session(
    daemon: Daemon, session: str, command: str, properties: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """What the console's API answers to a page of that session."""
    headers = {"Cookie": f"{COOKIE}={session}", "X-CSRF-Token": csrf_token(session)}
    status, reply, _ = ask(daemon, f"/d/{daemon.name}/api/v1/{command}", properties, **headers)
    return status, reply


def logout(daemon: Daemon, session: str) -> tuple[int, dict[str, Any]]:
    """What the console answers to it."""
    status, told, _ = ask(
        daemon, "/logout", {}, Cookie=f"{COOKIE}={session}", **{"X-CSRF-Token": csrf_token(session)}
    )
    return status, told


def whose(daemon: Daemon, session: str) -> tuple[str, ...]:
    """Person and role to whom the console opens its page; nobody where it leads to the door."""
    address = daemon.call("inspect")["daemon"]["httpd"]
    request = urllib.request.Request(
        f"http://{address}/d/{daemon.name}/", headers={"Cookie": f"{COOKIE}={session}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
        is_page = answer.url == request.full_url
        assert is_page or "/login?next=" in answer.url
    return tuple(re.findall(r'data-(?:person|role)="(\w+)"', text)) if is_page else ()


def restart(daemon: Daemon, signum: int) -> None:
    """circusd has ended by that signal, its console too, and another one answers."""
    (console,) = [psutil.Process(pid) for pid in daemon.pids("circushttpd")]
    daemon.stop(signum)
    eventually(
        lambda: not console.is_running() or console.status() == psutil.STATUS_ZOMBIE,
        within=20,
        what="the console has ended",
    )
    daemon.start()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_session_outlives_circusd_and_a_logout_does_too(tmp_path: Path, signum: int) -> None:
    """After an ordered end and after a kill right after the replies; person and role are as they were."""
    with Daemon(INI, tmp_path) as daemon:
        gone, stays = login(daemon, "bob"), login(daemon, "ada", "viewer")
        assert whose(daemon, stays) == ("ada", "viewer")
        assert logout(daemon, gone) == (200, {"status": "ok"})
        restart(daemon, signum)
        assert whose(daemon, stays) == ("ada", "viewer")
        assert whose(daemon, gone) == ()
        assert daemon.call("inspect")["daemon"]["state"] == {
            "folder": f"{daemon.state}/circus",
            "problem": "",
        }
        # Nor does it come back with the daemon after that one.
        restart(daemon, signum)
        assert whose(daemon, gone) == ()
        assert logout(daemon, stays)[0] == 200
        restart(daemon, signal.SIGKILL)
        assert whose(daemon, stays) == ()


def test_link_that_nobody_opened_ends_with_circusd(tmp_path: Path) -> None:
    """And it leaves nothing on disk but who made it."""
    with Daemon(INI, tmp_path) as daemon:
        token = daemon.call("weblink")["link"].partition("#token=")[2]
        restart(daemon, signal.SIGTERM)
        assert ask(daemon, "/login", {"token": token})[0] == 403
    assert set(os.listdir(daemon.state / "circus")) == {"audit.log", "lock"}
    assert token not in (daemon.state / "circus" / "audit.log").read_text()


def test_who_never_opens_the_console_has_no_state_folder(tmp_path: Path) -> None:
    """Pages that are refused make none, and circusd has no thread for it."""
    with Daemon(INI, tmp_path) as daemon:
        before = psutil.Process(daemon.pid).num_threads()
        assert whose(daemon, "") == ()
        assert ask(daemon, "/session")[:2] == (200, {"next": None})
        assert psutil.Process(daemon.pid).num_threads() == before
    assert not daemon.state.exists()


@pytest.mark.parametrize("spoiled", ["{", '{"version": 7, "written": 0, "sessions": []}', "[" * 100_000])
def test_damaged_file_locks_nobody_out(tmp_path: Path, spoiled: str) -> None:
    """circusd starts, says so once, and a new link works."""
    with Daemon(INI, tmp_path) as daemon:
        session = login(daemon)
        daemon.stop()
        (daemon.state / "circus" / "sessions.json").write_text(spoiled)
        daemon.start()
        assert whose(daemon, session) == ()
        assert whose(daemon, login(daemon)) == ("ada", "operator")
        assert daemon.log.read_text().count("sessions of before are not taken over") == 1


def test_state_folder_that_can_t_be_had_stops_nothing(tmp_path: Path) -> None:
    """Everybody gets in, ``inspect`` and one line of the log say that no session outlives circusd."""
    with Daemon(INI, tmp_path, environ={"CIRCUS_STATE_DIR": "/proc/nowhere"}) as daemon:
        sessions = [login(daemon) for _ in range(3)]
        assert all(whose(daemon, session) for session in sessions)
        assert logout(daemon, sessions[0]) == (200, {"status": "ok"})
        problem = daemon.call("inspect")["daemon"]["state"]["problem"]
        assert "could not make the state folder /proc/nowhere" in problem
        told = "sessions will not outlive circusd: could not make the state folder"
        assert eventually(lambda: daemon.log.read_text().count(told)) == 1
        restart(daemon, signal.SIGTERM)
        assert whose(daemon, sessions[1]) == ()


def test_logout_that_could_come_back_is_not_called_done(tmp_path: Path) -> None:
    """Where the disk refuses to forget, the person is told, and is out all the same as long as circusd runs."""
    with Daemon(INI, tmp_path) as daemon:
        session = login(daemon)
        folder = daemon.state / "circus"
        folder.rename(daemon.state / "aside")
        folder.write_text("in the way")
        status, told = logout(daemon, session)
        assert status == 500
        assert "logged out, but the session may be back after a restart" in told["detail"]
        assert "sessions.json" in told["hint"]
        assert whose(daemon, session) == ()


def test_files_are_as_closed_as_they_should_be(tmp_path: Path) -> None:
    """Whatever umask the configuration asks for; and no token is anywhere in them or in the log."""
    with Daemon(INI.replace("[circus]", "[circus]\numask = 0"), tmp_path) as daemon:
        session = login(daemon)
        folder = daemon.state / "circus"
        for path, wanted in ((daemon.state, 0o700), (folder, 0o700), (folder / "sessions.json", 0o600)):
            assert stat.S_IMODE(path.stat().st_mode) == wanted
        assert session not in (folder / "sessions.json").read_text()
        assert session not in daemon.log.read_text()


@pytest.mark.parametrize(
    "options",
    [
        {"hooks": {"before_start": "os.system"}},
        {"hooks": {}},
        {"hooks": None},
        {"stdout_stream": {"class": "FileStream", "filename": "/etc/crontab"}},
        {"stdout_stream": {"max_bytes": 1}},
        {"stderr_stream": {}},
        {"stdout_stream": None},
    ],
)
def test_operator_sets_no_family_that_is_an_admins(tmp_path: Path, options: dict[str, Any]) -> None:
    """Hooks and streams as one object need the role that each of their keys needs, also when they are only taken away."""
    ini = f"{INI}[watcher:web]\ncmd = sleep 1000\nstdout_stream.filename = {tmp_path}/web.log\n"
    with Daemon(ini, tmp_path) as daemon:
        session = login(daemon)
        before = daemon.call("options", name="web")["options"]
        status, told = in_session(daemon, session, "set", {"name": "web", "options": options})
        assert (status, told["code"]) == (403, "denied")
        assert daemon.call("options", name="web")["options"] == before
        allowed = {"name": "web", "options": {"numprocesses": 2}}
        assert in_session(daemon, session, "set", allowed)[0] == 202
