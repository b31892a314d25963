"""reloadconfig with a real daemon: what each change of the file does, what it says before and after, and that nothing is half done."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

WEB = "[watcher:Web]\ncmd = sleep 100000\nnumprocesses = 2\n"


class Reloaded:
    """A daemon whose file is written anew."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def plan(self, ini: str) -> dict[str, Any]:
        """What a reload of this file would do; the file stays."""
        self.daemon.config.write_text(ini)
        return self.daemon.call("reloadconfig", dry_run=True)

    def __call__(self, ini: str) -> dict[str, Any]:
        """The reply after the file was put into force."""
        self.daemon.config.write_text(ini)
        return self.daemon.call("reloadconfig", waiting=True)

    def refused(self, ini: str) -> str:
        """Why the file is not put into force."""
        self.daemon.config.write_text(ini)
        with pytest.raises(Refused) as refusal:
            self.daemon.call("reloadconfig", waiting=True)
        # A mistake of a person is no fault of ours.
        assert "Traceback" not in self.daemon.log.read_text()
        return str(refusal.value)


@pytest.fixture
def reload(tmp_path: Path) -> Iterator[Reloaded]:
    """A daemon with one watcher of two processes."""
    with Daemon(WEB, tmp_path) as daemon:
        yield Reloaded(daemon)


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


def is_free(port: int) -> bool:
    """Nobody listens there."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    return True


def test_a_trial_says_what_a_reload_then_does(reload: Reloaded) -> None:
    """The same steps, and nothing of them is done before."""
    before = reload.daemon.pids("web")
    port = free_port()
    ini = (
        WEB.replace("100000", "200000")
        + f"[watcher:late]\ncmd = sleep 300000\n[socket:in]\nhost = 127.0.0.1\nport = {port}\n"
    )
    trial = reload.plan(ini)
    assert trial["dry_run"] is True
    assert texts(trial["plan"]) == [
        f"socket in is opened at 127.0.0.1:{port}",
        "Web: cmd; 2 processes are replaced",
        "late is added, 1 process is started",
    ]
    assert reload.daemon.pids("web") == before
    assert reload.daemon.call("list")["watchers"] == ["web"]
    assert reload.daemon.call("listsockets")["sockets"] == []
    done = reload(ini)
    assert done["plan"] == trial["plan"]
    assert not set(reload.daemon.pids("web")) & set(before)
    assert len(reload.daemon.pids("late")) == 1
    assert [s["name"] for s in reload.daemon.call("listsockets")["sockets"]] == ["in"]
    assert reload.plan(ini)["plan"] == []


def test_numbers_change_in_place(reload: Reloaded) -> None:
    """Pids are kept; so they are when an option that counts at its next use appears or disappears."""
    before = reload.daemon.pids("web")
    reload(WEB.replace("numprocesses = 2", "numprocesses = 3"))
    after = reload.daemon.pids("web")
    assert set(before) < set(after) and len(after) == 3
    done = reload(
        WEB.replace("numprocesses = 2", "numprocesses = 3") + "graceful_timeout = 7\nstop_children = true\n"
    )
    assert [row["keys"] for row in done["plan"]] == [["graceful_timeout", "stop_children"]]
    assert reload.daemon.call("get", name="web", keys=["graceful_timeout"])["options"] == {
        "graceful_timeout": 7
    }
    reload(WEB.replace("numprocesses = 2", "numprocesses = 3"))
    assert reload.daemon.call("get", name="web", keys=["graceful_timeout"])["options"] == {
        "graceful_timeout": 30
    }
    assert reload.daemon.pids("web") == after


def test_what_was_set_at_run_time_stays_and_is_shown(reload: Reloaded) -> None:
    """Until the file itself says something else of it."""
    reload.daemon.call("incr", name="web", nb=2, waiting=True)
    reload.daemon.call("add", name="extra", cmd="sleep 100000", start=True, waiting=True)
    done = reload(WEB + "graceful_timeout = 9\n")
    assert len(reload.daemon.pids("web")) == 4
    assert texts(done["kept"]) == [
        "Web keeps what was set at run time: numprocesses 2 → 4",
        "extra was added at run time and is in no file",
    ]
    reload(WEB.replace("numprocesses = 2", "numprocesses = 1") + "[watcher:extra]\ncmd = sleep 100000\n")
    assert len(reload.daemon.pids("web")) == 1
    assert reload.plan(reload.daemon.config.read_text())["kept"] == []


WRONG: dict[str, tuple[str, str]] = {
    "a user that is not there": ("uid = no-such-user-here\n", "no-such-user-here"),
    "a hook that can't be imported": (
        "hooks.before_start = no_such_module_here.hook\n",
        "no_such_module_here",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_can_not_be_resolved_changes_nothing(reload: Reloaded, kind: str) -> None:
    """Not even what stands beside it and is right; a trial says the same."""
    before = reload.daemon.pids("web")
    line, words = WRONG[kind]
    ini = WEB.replace("100000", "200000") + f"[watcher:late]\ncmd = sleep 1000\n{line}"
    assert words in reload.refused(ini)
    with pytest.raises(Refused, match=words):
        reload.plan(ini)
    assert reload.daemon.pids("web") == before
    assert reload.daemon.call("list")["watchers"] == ["web"]
    assert reload.plan(WEB)["plan"] == []


def test_a_trial_of_a_taken_address_is_refused_and_leaves_nothing_open(reload: Reloaded) -> None:
    """The other socket of the same file is not left listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, other = taken.getsockname()[1], free_port()
        ini = (
            WEB
            + f"[socket:a]\nhost = 127.0.0.1\nport = {other}\n[socket:b]\nhost = 127.0.0.1\nport = {port}\n"
        )
        with pytest.raises(Refused, match=str(port)):
            reload.plan(ini)
    assert is_free(other)


def test_a_socket_moves_without_a_dead_one_left(reload: Reloaded) -> None:
    """The old address is free, the new one answers, and whoever inherits it was restarted."""
    first, second = free_port(), free_port()
    serving = (
        "[watcher:serve]\ncmd = sleep 100000 $(circus.sockets.in)\nuse_sockets = true\n"
        "[watcher:other]\ncmd = sleep 100000\n[socket:in]\nhost = 127.0.0.1\nport = {}\n"
    )
    reload(WEB + serving.format(first))
    serve, other = reload.daemon.pids("serve"), reload.daemon.pids("other")
    done = reload(WEB + serving.format(second))
    assert [(row["subject"], row["action"]) for row in done["plan"]] == [
        ("socket", "reopen"),
        ("watcher", "restart"),
    ]
    assert reload.daemon.pids("other") == other
    assert reload.daemon.pids("serve") != serve
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", second))
    assert is_free(first)


def test_options_of_the_daemon_count_at_once_or_say_that_they_do_not(reload: Reloaded) -> None:
    """What needs a restart is said again by each reload, until there was one."""
    ini = "[circus]\nwarmup_delay = 0.01\npidfile = /tmp/never-written\n" + WEB
    before = reload.daemon.pids("web")
    for expected in (
        ["[circus] warmup_delay counts at once", "[circus] pidfile: needs a restart of the daemon"],
        ["[circus] pidfile: needs a restart of the daemon"],
    ):
        assert texts(reload(ini)["plan"]) == expected
    assert reload.daemon.call("globaloptions")["options"]["warmup_delay"] == 0.01
    assert reload.daemon.pids("web") == before


def test_the_console_comes_moves_and_goes_with_a_reload(reload: Reloaded) -> None:
    """Nobody else is touched by it."""
    before = reload.daemon.pids("web")

    def answers(port: int) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/login", timeout=5) as page:
            return bool(page.status == 200)

    ports = free_port(), free_port()
    for port in ports:
        reload(f"[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = {port}\n" + WEB)
        eventually(lambda port=port: answers(port), within=20)
        assert f":{port}/" in reload.daemon.call("weblink")["link"]
    reload(WEB)
    assert reload.daemon.call("list")["watchers"] == ["web"]
    for port in ports:
        assert is_free(port)
    assert reload.daemon.pids("web") == before


def test_plugins_come_and_go_with_a_reload(reload: Reloaded, tmp_path: Path) -> None:
    """As watchers do."""
    (tmp_path / "quiet_plugin.py").write_text(
        "from circusd.plugins import CircusPlugin\n\n\nclass Quiet(CircusPlugin):\n    name = 'quiet'\n"
    )
    ini = f"[env]\nPYTHONPATH = {tmp_path}\n[plugin:quiet]\nuse = quiet_plugin.Quiet\n"
    reload(WEB + ini)
    assert reload.daemon.call("list")["watchers"] == ["plugin:quiet", "web"]
    reload(WEB)
    assert reload.daemon.call("list")["watchers"] == ["web"]


def test_two_reloads_at_once_come_one_after_the_other(reload: Reloaded) -> None:
    """Both are answered, and the second finds nothing to do."""
    reload.daemon.config.write_text(WEB + "[watcher:late]\ncmd = sleep 100000\n")
    first, second = (Client(reload.daemon.endpoint, timeout=20) for _ in range(2))
    with first, second:
        first.cast("reloadconfig", {})
        reply = second.call("reloadconfig", {"waiting": True})
    assert len(reload.daemon.pids("late")) == 1
    assert reply["plan"] == [] or texts(reply["plan"]) == ["late is added, 1 process is started"]


def test_circusctl_shows_the_plan(reload: Reloaded) -> None:
    """In words and as JSON; without ``--dry-run`` scripts get the original's word."""
    reload.daemon.config.write_text(WEB + "[watcher:late]\ncmd = sleep 1000\nworking_directory = /tmp\n")
    shown = reload.daemon.ctl("reloadconfig", "--dry-run").stdout
    assert "+ late is added, 1 process is started" in shown
    assert "warning: " in shown and "working_dir" in shown
    assert reload.daemon.call("list")["watchers"] == ["web"]
    told = json.loads(reload.daemon.ctl("--json", "reloadconfig", "--waiting").stdout)
    assert told["summary"] == "late is added, 1 process is started"
    assert reload.daemon.ctl("reloadconfig", "--waiting").stdout.strip() == "ok"


@pytest.mark.parametrize(
    "broken", ["[watcher:x]\ncmd = a\nnumprocesses = many\nuid =\nstop_signal = NO\nmax_age = x\n"]
)
def test_a_file_with_many_mistakes_tells_all_of_them(reload: Reloaded, broken: str) -> None:
    """Each with its line, and nothing has changed."""
    before = reload.daemon.pids("web")
    said = reload.refused(WEB + broken)
    for line in (6, 8, 9):
        assert f"circus.ini:{line}" in said
    assert reload.daemon.pids("web") == before


def test_watchers_are_read_without_holding_up_others(reload: Reloaded) -> None:
    """A file of a thousand watchers is planned while commands are answered."""
    many = WEB + "".join(f"[watcher:w{n}]\ncmd = sleep 1\nautostart = false\n" for n in range(1000))
    reload.daemon.config.write_text(many)
    answered: list[Callable[..., Any]] = []
    with (
        Client(reload.daemon.endpoint, timeout=30) as planning,
        Client(reload.daemon.endpoint, timeout=30) as other,
    ):
        planning.cast("reloadconfig", {"dry_run": True})
        for _ in range(20):
            assert other.call("ping")["pong"]
            answered.append(other.call)
    assert len(answered) == 20
    assert len(reload.daemon.call("reloadconfig", dry_run=True)["plan"]) == 1000
