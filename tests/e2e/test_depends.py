"""An application of several watchers that need each other: real processes, started and stopped in order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import Refused
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

SERVICE = """
import os, signal, sys, time
name, folder = sys.argv[1:3]
log = os.open(folder + "/order", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def ended(signum, frame):
    os.write(log, f"-{name}\\n".encode())
    sys.exit(0)
signal.signal(signal.SIGTERM, ended)
os.write(log, f"+{name}\\n".encode())
while not os.path.exists(f"{folder}/{name}.ready"):
    time.sleep(0.01)
open(f"{folder}/{name}.is", "w").close()
while True:
    signal.pause()
"""

TASK = """
import os, sys, time
name, folder = sys.argv[1:3]
log = os.open(folder + "/order", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, f"+{name}\\n".encode())
while not os.path.exists(f"{folder}/{name}.ready"):
    time.sleep(0.01)
sys.exit(int(open(f"{folder}/{name}.ready").read() or 0))
"""

INI = """
[watcher:web]
cmd = {python} {folder}/service.py web {folder}
depends_on = db cache migrate:completed_successfully
numprocesses = 1
priority = 50

[watcher:worker]
cmd = {python} {folder}/service.py worker {folder}
depends_on = db:ready, migrate:completed_successfully
restart_with_dependencies = true

[watcher:migrate]
cmd = {python} {folder}/task.py migrate {folder}
respawn = false
depends_on = db

[watcher:db]
cmd = {python} {folder}/service.py db {folder}
ready = exec:test -e {folder}/db.is
ready_interval = 0.1

[watcher:cache]
cmd = {python} {folder}/service.py cache {folder}
ready = exec:test -e {folder}/cache.is
ready_interval = 0.1

[watcher:apart]
cmd = {python} {folder}/service.py apart {folder}
"""


class Application:
    """The application in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "service.py").write_text(SERVICE)
        (folder / "task.py").write_text(TASK)
        self.daemon = Daemon(INI.format(python=sys.executable, folder=folder), folder)

    def let(self, name: str, code: int = 0) -> None:
        """A service is ready now, or a task ends with that code."""
        (self.folder / f"{name}.new").write_text(str(code))
        (self.folder / f"{name}.new").rename(self.folder / f"{name}.ready")

    def order(self) -> list[str]:
        """What has been started (+) and ended (-), in order."""
        path = self.folder / "order"
        return path.read_text().split() if path.exists() else []

    def has_started(self, *names: str) -> None:
        eventually(
            lambda: {f"+{name}" for name in names} <= set(self.order()),
            within=20,
            what=f"{names} are started",
        )

    def view(self, name: str) -> dict[str, Any]:
        return self.daemon.watcher(name)


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    found = Application(tmp_path)
    with found.daemon:
        yield found


def test_each_is_started_when_what_it_needs_is_there_and_stopped_before_it(application: Application) -> None:
    """Side by side where they may be; what waits says for what, and does so for whoever asks for that state."""
    application.has_started("db", "cache", "apart")
    eventually(lambda: application.view("web")["state"] == "waiting")
    assert "waits for db to be ready, which is starting" in application.view("web")["explain"]
    assert "and for migrate to end well" in application.view("web")["explain"]
    assert set(application.order()) == {"+db", "+cache", "+apart"}
    application.let("db")
    application.has_started("migrate")
    application.let("cache")
    eventually(lambda: "cache" not in application.view("web")["explain"], within=20)
    assert not {"+web", "+worker"} & set(application.order())
    application.let("migrate")
    application.has_started("web", "worker")
    assert application.daemon.ctl("wait", "web", "--for", "running", "--timeout", "20").returncode == 0
    started = len(application.order())
    application.daemon.stop()
    ended = application.order()[started:]
    assert sorted(ended) == ["-apart", "-cache", "-db", "-web", "-worker"]
    assert ended.index("-db") > max(ended.index("-web"), ended.index("-worker"))
    assert ended.index("-cache") > ended.index("-web")


def test_a_task_that_fails_is_told_as_the_reason(application: Application) -> None:
    """Those that need it are not started, and say why; once it has done well, a start brings up what is missing."""
    application.let("db")
    application.let("cache")
    application.has_started("migrate")
    application.let("migrate", 3)
    eventually(lambda: application.view("web")["state"] == "failed", within=20)
    assert (
        "what it depends on can't be had: migrate: It exited with code 3"
        in application.view("web")["explain"]
    )
    again = application.daemon.ctl("start", "web", "--waiting", check=False, timeout=60)
    assert again.returncode != 0
    assert "migrate" in again.stdout + again.stderr
    application.let("migrate")
    application.daemon.ctl("start", "w*", "--waiting", timeout=60)
    application.has_started("web", "worker")


def test_a_start_starts_what_is_needed(application: Application) -> None:
    """Also after everything was stopped; what is there already is left alone."""
    for name in ("db", "cache", "migrate"):
        application.let(name)
    application.has_started("web")
    application.daemon.ctl("stop", "--waiting")
    (db,) = application.daemon.pids("cache") or [0]
    assert db == 0
    application.daemon.ctl("start", "web", "--waiting", timeout=60)
    assert application.view("db")["status"] == application.view("cache")["status"] == "active"
    assert application.view("worker")["status"] == "stopped"
    pids = application.daemon.pids("db")
    application.daemon.ctl("start", "worker", "--waiting", timeout=60)
    assert application.daemon.pids("db") == pids


def test_the_end_of_one_restarts_those_that_asked_for_it_and_no_others(application: Application) -> None:
    """The worker is restarted with the database, the web is not; it waits until that is ready again."""
    for name in ("db", "cache", "migrate"):
        application.let(name)
    application.has_started("web", "worker")
    daemon = application.daemon
    assert daemon.ctl("wait", "worker", "--for", "running", "--timeout", "20").returncode == 0
    web, worker = daemon.pids("web"), daemon.pids("worker")
    (application.folder / "db.is").unlink()
    (application.folder / "db.ready").unlink()
    daemon.ctl("kill", "db", "--signum", "KILL", "--waiting")
    eventually(lambda: application.view("worker")["state"] == "waiting", within=20)
    assert "db to be ready" in application.view("worker")["explain"]
    application.let("db")
    eventually(lambda: daemon.pids("worker") not in ([], worker), within=20, what="the worker is a new one")
    assert daemon.pids("web") == web


def test_the_graph_is_shown_in_the_order_of_the_start(application: Application) -> None:
    """As a table, as Mermaid, as data; of one watcher with what it needs alone."""
    daemon = application.daemon
    eventually(lambda: application.view("web")["state"] == "waiting")
    rows = daemon.call("graph")["watchers"]
    names = [row["name"] for row in rows]
    assert names.index("db") < names.index("migrate") < names.index("web")
    assert [row["name"] for row in daemon.call("graph", name="migrate")["watchers"]] == ["db", "migrate"]
    web = next(row for row in rows if row["name"] == "web")
    assert web["needs"][2] == {"name": "migrate", "condition": "completed_successfully", "met": False}
    table = daemon.ctl("graph").stdout
    assert "db ready (not yet), cache ready (not yet), migrate completed_successfully (not yet)" in table
    daemon.call("add", name='a"]<b>', cmd="sleep 1", options={"depends_on": "db"})
    drawn = daemon.ctl("graph", "--mermaid").stdout
    assert drawn.startswith("flowchart LR\n")
    assert '["a#34;#93;#60;b#62;<br>stopped"]' in drawn
    assert "-.->|completed_successfully|" in drawn


def test_what_waits_can_be_changed_cancelled_and_stopped(application: Application) -> None:
    """An option counts when it begins; a stop ends the waiting; the reason is an event."""
    daemon = application.daemon
    eventually(lambda: application.view("web")["state"] == "waiting")
    daemon.ctl("set", "web", "numprocesses", "2", "--waiting")
    assert daemon.call("options", name="web")["options"]["numprocesses"] == 2
    assert "watcher.waiting" in [e["event"] for e in daemon.call("events", name="web", lines=10)["events"]]
    daemon.ctl("stop", "web", "--waiting")
    assert application.view("web")["status"] == "stopped"
    # A reload of what does not run is a start, and no way round.
    daemon.ctl("reload", "web")
    eventually(lambda: application.view("web")["state"] == "waiting")
    daemon.ctl("stop", "web", "--waiting")
    job = eventually(lambda: [j for j in daemon.call("jobs")["jobs"] if j["watcher"] == "worker"])[0]
    daemon.ctl("cancel", str(job["id"]))
    eventually(lambda: application.view("worker")["status"] == "stopped")
    for name in ("db", "cache", "migrate"):
        application.let(name)
    application.daemon.ctl("start", "web", "--waiting", timeout=60)
    assert len(daemon.pids("web")) == 2


def test_names_that_are_not_there_and_rings_are_refused(application: Application, tmp_path: Path) -> None:
    """In a file with its line and the path of the ring, and by command; nothing is changed."""
    daemon = application.daemon
    with pytest.raises(Refused, match="there is no watcher dbb"):
        daemon.call("add", name="new", cmd="sleep 1", options={"depends_on": "dbb"})
    with pytest.raises(Refused, match=r"db → web → db"):
        daemon.call("set", name="db", options={"depends_on": "web"})
    with pytest.raises(Refused, match="which there is not: it is one of ready, started, healthy"):
        daemon.call("set", name="db", options={"depends_on": "cache:nonsense"})
    wrong = tmp_path / "wrong.ini"
    wrong.write_text(
        "[watcher:a]\ncmd = x\ndepends_on = b c\n[watcher:b]\ncmd = x\ndepends_on = C:started\n"
        "[watcher:c]\ncmd = x\ndepends_on = a d\n"
    )
    told = subprocess.run([BIN / "circusd", "--check", wrong], capture_output=True, text=True, timeout=60)
    assert told.returncode != 0
    assert "line 9" in told.stderr + told.stdout or ":9" in told.stderr + told.stdout
    assert 'there is no watcher "d"' in told.stderr + told.stdout
    assert "a → b → c → a" in told.stderr + told.stdout


HEALTH = """
[watcher:web]
cmd = sleep 1000
depends_on = db:healthy

[watcher:db]
cmd = sleep 1000
numprocesses = 2
alive = exec:test -e {folder}/well-$(circus.wid)
alive_interval = 0.1
alive_failures = 1
alive_replace = 0
"""


def test_one_that_has_to_be_healthy_is_waited_for_until_all_its_processes_were_found_so(
    tmp_path: Path,
) -> None:
    """That it runs is not enough; the command line and the timeline say what is missing, and since when it is not."""
    with Daemon(HEALTH.format(folder=tmp_path), tmp_path) as daemon:
        eventually(lambda: daemon.watcher("db")["state"] == "unhealthy", within=20)
        (tmp_path / "well-1").touch()
        eventually(lambda: "which is unhealthy" in daemon.watcher("web")["explain"], within=20)
        assert "waits for db to be found healthy" in daemon.watcher("web")["explain"]
        assert "db healthy (not yet)" in daemon.ctl("graph").stdout
        assert "-.->|healthy|" in daemon.ctl("graph", "--mermaid").stdout
        assert daemon.watcher("db")["meets"] == ["started", "ready"]
        with pytest.raises(Refused, match='web depends on it: nobody looks whether "db" is alive'):
            daemon.call("set", name="db", options={"alive": ""})
        (tmp_path / "well-2").touch()
        assert daemon.ctl("wait", "web", "--for", "running", "--timeout", "20").returncode == 0
        assert daemon.watcher("db")["meets"] == ["started", "ready", "healthy"]
        assert "db healthy\n" in daemon.ctl("graph").stdout
        told = {row["name"]: row for row in daemon.call("timeline")["watchers"]}
        db, web = told["db"], told["web"]
        assert (db["until"], web["until"], web["after"]) == ("healthy", "ready", "db")
        assert db["ready"] <= db["healthy"] <= web["begun"] + 0.002
        assert daemon.call("timeline")["chain"] == ["db", "web"]
        # A start of what is there and unhealthy leaves it alone, and waits.
        pids = daemon.pids("db")
        daemon.ctl("stop", "web", "--waiting")
        (tmp_path / "well-1").unlink()
        eventually(lambda: daemon.watcher("db")["state"] == "unhealthy", within=20)
        daemon.ctl("start", "web")
        eventually(lambda: daemon.watcher("web")["state"] == "waiting", within=20)
        (tmp_path / "well-1").touch()
        eventually(lambda: daemon.pids("web"), within=20)
        assert daemon.pids("db") == pids


def test_one_at_which_nobody_looks_is_never_healthy_and_the_file_is_refused(tmp_path: Path) -> None:
    """With what to write in its place; other managers' words are understood well enough to say what is meant."""
    wrong = tmp_path / "wrong.ini"
    wrong.write_text(
        "[watcher:web]\ncmd = x\ndepends_on = db:healthy plugin:Look:healthy\n[watcher:db]\ncmd = x\n"
        "[watcher:a]\ncmd = x\ndepends_on = db:service_healthy\n[watcher:b]\ncmd = x\ndepends_on = db:healty\n"
        "[plugin:Look]\nuse = circus.plugins.watchdog.WatchDog\n"
    )
    told = subprocess.run([BIN / "circusd", "--check", wrong], capture_output=True, text=True, timeout=60)
    text = told.stderr + told.stdout
    assert told.returncode != 0
    for name in ("db", "plugin:Look"):
        assert f'nobody looks whether "{name}" is alive' in text
        assert f"set its option alive, or write {name}:ready" in text
    assert "the condition 'service_healthy', which there is not: did you mean healthy?" in text
    assert "the condition 'healty', which there is not: did you mean healthy?" in text
