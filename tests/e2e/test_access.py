"""Users and groups that the file lets in, as processes of their own; whom it does not name stays out."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.daemon import Daemon
from tests.other_user import OtherUser
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

READS, RUNS, RULES, STRANGER = 60001, 60002, 60003, 60004
STAFF = 60100

LISTS = f"allow_viewer = {READS}, @{STAFF}\nallow_operator = {RUNS}\nallow_admin = {RULES}\n"
WATCHER = "[watcher:web]\ncmd = sleep 1000\n"

TOPICS = {"events": ("event.", "watcher."), "stats": ("stat.", "load.")}
"""How what is published on a channel begins."""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user can look into, unlike a test's own."""
    folder = Path(tempfile.mkdtemp(prefix="circus-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def endpoint_of(daemon: Daemon) -> str:
    """The file's endpoint, as bound."""
    found: str = daemon.call("inspect")["daemon"]["endpoints"]["commands"]
    return found


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_the_users_that_the_file_names_have_the_role_it_gives(
    tmp_path: Path, open_folder: Path, kind: str
) -> None:
    """Each is told his own role; who is not named is not let in."""
    endpoint = f"ipc://{open_folder}/ops.sock" if kind == "ipc" else "tcp://127.0.0.1:0"
    with Daemon(f"[circus]\nendpoint = {endpoint}\n{LISTS}{WATCHER}", tmp_path) as daemon:
        endpoint = endpoint_of(daemon)
        for uid, role in ((READS, "viewer"), (RUNS, "operator"), (RULES, "admin")):
            with OtherUser(endpoint, uid) as person:
                told = person.ask("whoami")
                assert (told["person"], told["role"]) == (str(uid), role)
                assert person.ask("list")["watchers"] == ["web"]
                assert (person.ask("stop", name="nobody").get("code") == "denied") == (role == "viewer")
        with OtherUser(endpoint, STRANGER) as stranger:
            assert stranger.ask("list")["code"] == "unavailable"
        refused = [e for e in daemon.call("events")["events"] if e["event"] == "client.refused"]
        assert [e["uid"] for e in refused] == [READS, STRANGER]


def test_a_process_is_in_the_groups_that_the_kernel_tells(tmp_path: Path, open_folder: Path) -> None:
    """By its main group or another one; two processes of one user have the role that their groups give them."""
    lists = f"allow_viewer = {READS}\nallow_operator = group:{STAFF}\n"
    ini = f"[circus]\nendpoint = ipc://{open_folder}/ops.sock\n{lists}{WATCHER}"
    with Daemon(ini, tmp_path) as daemon:
        endpoint = endpoint_of(daemon)
        with OtherUser(endpoint, STRANGER, gid=STAFF) as person:
            assert person.ask("whoami")["role"] == "operator"
        with OtherUser(endpoint, READS, groups=(7, STAFF)) as both, OtherUser(endpoint, READS) as alone:
            assert both.ask("whoami")["role"] == "operator"
            assert alone.ask("whoami")["role"] == "viewer"
            assert both.ask("whoami")["role"] == "operator"
            assert alone.ask("stop", name="web")["code"] == "denied"
            assert both.ask("stop", name="web", waiting=True)["status"] == "ok"


def test_only_endpoints_of_the_file_are_open_to_others(tmp_path: Path, open_folder: Path) -> None:
    """Those in the runtime folder keep their mode, and so do all of a file that names nobody."""
    ini = (
        f"[circus]\nendpoint = ipc://{open_folder}/ops.sock\n"
        f"pubsub_endpoint = ipc://{open_folder}/events.sock\n{LISTS}{WATCHER}"
    )
    with Daemon(ini, tmp_path) as daemon:
        own = daemon.runtime / "circus"
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
        assert stat.S_IMODE((own / "commands.sock").stat().st_mode) == 0o600
        for name in ("ops.sock", "events.sock"):
            assert stat.S_IMODE((open_folder / name).stat().st_mode) == 0o666
        daemon.config.write_text(ini.replace(LISTS, ""))
        daemon.call("reloadconfig", waiting=True)
        for name in ("ops.sock", "events.sock"):
            assert stat.S_IMODE((open_folder / name).stat().st_mode) == 0o600


def test_who_may_read_hears_events_and_stats(tmp_path: Path, open_folder: Path) -> None:
    """At the endpoints of the file; others are closed there too."""
    lists = f"allow_viewer = {READS}\n"
    endpoints = f"pubsub_endpoint = ipc://{open_folder}/events.sock\nstats_endpoint = tcp://127.0.0.1:0\n"
    ini = f"[circus]\nendpoint = ipc://{open_folder}/ops.sock\n{endpoints}{lists}{WATCHER}"
    with Daemon(ini, tmp_path) as daemon:
        shown = daemon.call("inspect")["daemon"]["endpoints"]
        for uid, heard in ((READS, TOPICS), (STRANGER, {})):
            with OtherUser(shown["commands"], uid) as person:
                for channel in ("events", "stats"):
                    reply = person.hear(
                        shown[channel], lambda: daemon.call("set", name="web", options={"priority": 1})
                    )
                    if channel in heard:
                        assert reply["topic"].startswith(heard[channel]), reply
                    else:
                        assert reply["code"] == "unavailable"


def test_the_owner_of_an_endpoint_and_others_come_in_by_the_same_door(
    tmp_path: Path, open_folder: Path
) -> None:
    """Each has the most that anything gives him; only the owner adds what runs as himself."""
    lists = f"endpoint_owner = {RUNS}\nallow_viewer = {RUNS} {READS}\nallow_operator = {STRANGER}\n"
    path = open_folder / "ops.sock"
    with Daemon(f"[circus]\nendpoint = ipc://{path}\n{lists}{WATCHER}", tmp_path) as daemon:
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (RUNS, 0o666)
        endpoint = endpoint_of(daemon)
        for uid, role in ((RUNS, "operator"), (READS, "viewer"), (STRANGER, "operator")):
            with OtherUser(endpoint, uid) as person:
                assert person.ask("whoami")["role"] == role
                reply = person.ask("add", name=f"of-{uid}", cmd="sleep 1000", options={"uid": uid})
                assert (reply.get("code") == "denied") == (uid != RUNS), reply


def test_a_reload_lets_in_and_puts_out(tmp_path: Path, open_folder: Path) -> None:
    """Also who is connected: his next request counts by the new file. Others do not notice."""
    ini = f"[circus]\nendpoint = ipc://{open_folder}/ops.sock\n{LISTS}{WATCHER}"
    with Daemon(ini, tmp_path) as daemon:
        endpoint = endpoint_of(daemon)
        with OtherUser(endpoint, RUNS) as person, OtherUser(endpoint, RULES) as admin:
            assert person.ask("whoami")["role"] == "operator"
            daemon.config.write_text(ini.replace(f"allow_operator = {RUNS}\n", ""))
            assert admin.ask("reloadconfig", waiting=True)["status"] == "ok"
            eventually(lambda: person.ask("whoami").get("code") == "unavailable")
            daemon.config.write_text(ini.replace(f"allow_admin = {RULES}", f"allow_admin = {RULES} {RUNS}"))
            assert admin.ask("reloadconfig", waiting=True)["status"] == "ok"
            assert eventually(lambda: person.ask("whoami").get("role")) == "admin"
            assert admin.ask("whoami")["role"] == "admin"


def test_a_name_that_nobody_has_is_told_with_its_place(tmp_path: Path) -> None:
    """circusd does not start with it, and a reload changes nothing."""
    ini = f"[circus]\nendpoint = tcp://127.0.0.1:0\nallow_viewer = {READS}\n{WATCHER}"
    wrong = ini.replace(f"{READS}", "nobody-of-that-name, @no-such-group")
    with Daemon(ini, tmp_path) as daemon:
        daemon.config.write_text(wrong)
        done = daemon.ctl("reloadconfig", "--waiting", check=False)
        assert done.returncode == 3
        for word in ('there is no user "nobody-of-that-name"', 'there is no group "no-such-group"'):
            assert f"circus.ini:3: error: [circus] allow_viewer: {word}" in done.stderr
        assert "Traceback" not in daemon.log.read_text()
        with OtherUser(endpoint_of(daemon), READS) as person:
            assert person.ask("whoami")["role"] == "viewer"
    daemon = Daemon(wrong, tmp_path)
    with pytest.raises(RuntimeError, match=r"circus\.ini:3: error: .* there is no user") as caught:
        daemon.start()
    assert "Traceback" not in str(caught.value)
    shutil.rmtree(daemon.runtime)


def test_the_console_s_own_user_is_never_let_in(tmp_path: Path) -> None:
    """It would have by itself what only the people at the console should have."""
    console = f"httpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\nhttpd_user = {READS}\n"
    for lists in (f"allow_operator = {READS}\n", "allow_viewer = nobody\n"):
        daemon = Daemon(f"[circus]\nendpoint = tcp://127.0.0.1:0\n{console}{lists}", tmp_path)
        with pytest.raises(RuntimeError, match=r"allow_\w+: .*(user of the console|no number of his own)"):
            daemon.start()
        shutil.rmtree(daemon.runtime)


def test_who_looks_for_a_daemon_is_answered_where_the_file_asks_for_it(tmp_path: Path) -> None:
    """With the endpoint as it is written; without the option nothing is bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        group = ("237.219.251.97", sock.getsockname()[1])
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sock.settimeout(10)
        multicast = f"multicast_endpoint = udp://{group[0]}:{group[1] ^ 1}\n"
        group = (group[0], group[1] ^ 1)
        ini = f"[circus]\nendpoint = tcp://*:0\n{multicast}{WATCHER}"
        with Daemon(ini, tmp_path) as daemon:
            if "nobody is answered" in daemon.log.read_text():
                pytest.skip("no interface here takes part in a multicast group")
            assert len(udp_sockets(daemon.pid)) == 1
            sock.sendto(b'""', group)
            assert sock.recv(1000) == b'{"endpoint":"tcp://*:0"}'
    with Daemon(ini.replace(multicast, ""), tmp_path) as daemon:
        assert udp_sockets(daemon.pid) == []


def udp_sockets(pid: int) -> list[object]:
    """Sockets for datagrams that a process has."""
    return list(psutil.Process(pid).net_connections("udp"))
