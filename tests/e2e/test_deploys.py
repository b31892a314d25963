"""Deploys: no request is lost by one, and a version that does not come up never takes the place of one that serves."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.clients import Clients
from tests.daemon import BIN
from tests.deploys import Site, deploys, goes_on, scaled, served, times
from tests.waiting import eventually


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_no_request_is_lost_by_reloads_and_each_new_version_serves(site: Site) -> None:
    """All at once, one after another, and by batches; refused or cut off is none."""
    with site.daemon, Clients(site.port) as clients:
        site.wait_until_it_serves(2)
        deploys(site, clients, 2)
        deploys(site, clients, 2, "--sequential")
        deploys(site, clients, 1, "--batch", "2")
        assert clients.failed == {}, clients.failed
    assert clients.failed == {}


def test_no_request_is_refused_by_restarts_and_kills(site: Site) -> None:
    """The socket is circusd's and stays open; of a worker that is killed only what it was just answering is lost."""
    with site.daemon, Clients(site.port) as clients:
        site.wait_until_it_serves(2)
        site.daemon.ctl("restart", "web", "--waiting", timeout=60)
        goes_on(clients)
        for _ in range(2):
            pid = site.daemon.pids("web")[0]
            site.daemon.ctl("signal", "web", str(pid), "KILL")
            eventually(lambda gone=pid: gone not in site.daemon.pids("web"), within=20)
            goes_on(clients)
        assert clients.outcomes["refused"] == 0
    assert set(clients.failed) <= {"reset", "empty", "cut"}


def test_no_request_is_lost_when_the_number_of_workers_or_another_socket_changes(site: Site) -> None:
    """Up, down, and a reloadconfig that moves a socket which these workers do not have."""
    with site.daemon, Clients(site.port) as clients:
        site.wait_until_it_serves(2)
        scaled(site, clients, (4, 1, 3))
        before = site.daemon.pids("web")
        times(2, site.move_other_socket, clients)
        assert site.daemon.pids("web") == before
        assert clients.failed == {}
    assert clients.failed == {}


def test_a_version_that_does_not_come_up_costs_nothing_and_is_reported(site: Site) -> None:
    """The old processes go on with the same pids; the command, the event, explain and status say why."""
    with site.daemon as daemon, Clients(site.port) as clients:
        site.wait_until_it_serves(2)
        before = daemon.pids("web")
        site.break_it()
        for words in ((), ("--sequential",)):
            done = daemon.ctl("reload", "web", "--waiting", *words, check=False, timeout=60)
            assert done.returncode == 3
            assert "exited with code 1" in done.stderr
            assert "the old processes stay" in done.stderr
            assert daemon.pids("web") == before
            goes_on(clients)
        assert "Its last reload was given up" in daemon.ctl("explain", "web").stdout
        failed = [
            e for e in daemon.call("events", name="web")["events"] if e["event"] == "watcher.reload_failed"
        ]
        assert len(failed) == 2
        assert "exited with code 1" in failed[0]["text"]
        assert daemon.call("inspect")["lead"]["level"] == "needs"
        site.write(2)
        daemon.ctl("reload", "web", "--waiting", timeout=60)
        served(clients, 2)
        assert "given up" not in daemon.ctl("explain", "web").stdout
        assert clients.failed == {}
    assert clients.failed == {}


def test_options_with_which_nothing_comes_up_are_taken_back(site: Site) -> None:
    """As each process that is started later would fail as well; the number of processes in the same command too."""
    with site.daemon as daemon:
        site.wait_until_it_serves(2)
        before, command = daemon.pids("web"), daemon.watcher("web")["cmd"]
        done = daemon.ctl("set", "web", "cmd", "/bin/false", "numprocesses", "3", "--waiting", check=False)
        assert done.returncode == 3
        assert "the old processes stay, and what was set is taken back" in done.stderr
        assert "circusctl tail web" in done.stderr
        view = daemon.watcher("web")
        assert (view["cmd"], view["numprocesses"]) == (command, 2)
        assert daemon.pids("web") == before
        daemon.ctl("signal", "web", str(before[0]), "KILL")
        eventually(lambda: site.serves(2), within=30)


def test_the_progress_is_live_and_a_reload_that_hangs_can_be_cancelled(site: Site) -> None:
    """Of a new version that never becomes ready: what is waited for, and the old processes stay."""
    site.folder.joinpath("hang.py").write_text("import time\nwhile True: time.sleep(100)\n")
    with site.daemon as daemon:
        site.wait_until_it_serves(2)
        before = daemon.pids("web")
        site._replace("import hang\n")
        with subprocess.Popen(
            [str(BIN / "circusctl"), "reload", "web", "--wait"],
            env=daemon.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as reload:
            job = eventually(
                lambda: [j for j in daemon.call("jobs")["jobs"] if "READY=1" in j["text"]], within=20
            )[0]
            assert (job["done"], job["total"]) == (0, 2)
            sides = [p["side"] for p in daemon.watcher("web")["processes"]]
            assert sides == ["old", "old", "new", "new"]
            assert "has not said READY=1" in daemon.ctl("explain", "web").stdout
            daemon.ctl("cancel", str(job["id"]))
            assert reload.wait(20) == 3
            assert "the old processes stay" in reload.stderr.read()
        assert daemon.pids("web") == before


def test_the_reload_command_shows_how_far_it_is(site: Site) -> None:
    """On the terminal's line, which is gone in the end."""
    site.folder.joinpath("hang.py").write_text("import time\nwhile True: time.sleep(100)\n")
    with site.daemon as daemon:
        site.wait_until_it_serves(2)
        site._replace("import hang\n")
        daemon.ctl("set", "web", "start_timeout", "2")
        done = subprocess.run(
            ["script", "-qec", f"{BIN}/circusctl reload web --wait", "/dev/null"],
            env={**daemon.environ, "TERM": "xterm", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "reload web: 0 of 2, process 3 is not ready yet: it has not said READY=1" in done.stdout
        assert "was not ready within 2 s: it has not said READY=1" in done.stdout
        assert done.returncode == 3


def test_a_stop_ends_a_reload_that_hangs(site: Site) -> None:
    """Nobody has to wait for what may never be ready."""
    with site.daemon as daemon:
        site.wait_until_it_serves(2)
        site._replace("import time\ntime.sleep(1000)\n")
        daemon.ctl("reload", "web")
        eventually(lambda: len(daemon.pids("web")) == 4, within=20)
        daemon.ctl("stop", "web", "--waiting", timeout=60)
        assert daemon.pids("web") == []


def test_a_signal_to_circusd_reloads_as_gently(site: Site) -> None:
    """SIGHUP."""
    with site.daemon as daemon, Clients(site.port, 4) as clients:
        site.wait_until_it_serves(2)
        site.write(2)
        assert daemon.popen is not None
        daemon.popen.send_signal(signal.SIGHUP)
        served(clients, 2)
        eventually(lambda: daemon.watcher("web")["job"] is None, within=30)
        assert clients.failed == {}
