"""Watchers that are started anew when files change: real files, real editors' ways to write them, real processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that tests add watchers to."""
    port = free_port()
    ini = f"[socket:shared]\nhost = 127.0.0.1\nport = {port}\n"
    with Daemon(ini, tmp_path_factory.mktemp("filewatch")) as running:
        yield running


def add(daemon: Daemon, name: str, folder: Path, watch: str, **options: Any) -> None:
    """A watcher that runs, and whose files are watched."""
    chosen = {"watch": watch, "watch_delay": 0.1, "working_dir": str(folder), **options}
    cmd = chosen.pop("cmd", "sleep 1000")
    daemon.call("add", name=name, cmd=cmd, options=chosen, start=True, waiting=True)
    eventually(lambda: daemon.watcher(name)["watched"], within=20)


def changes(daemon: Daemon, name: str, number: int) -> list[list[str]]:
    """The files of each change, the oldest first, once there are so many and the restarts are done."""

    def told() -> list[list[str]]:
        events = daemon.call("events", name=name, lines=200)["events"]
        return [event["files"] for event in events if event["event"] == "watcher.files_changed"]

    eventually(lambda: len(told()) >= number, within=20, what=f"{number} changes are told")
    eventually(lambda: daemon.watcher(name)["job"] is None, within=20)
    assert len(told()) == number, told()
    return told()


def test_each_way_to_write_a_file_is_one_restart(daemon: Daemon, tmp_path: Path) -> None:
    """In place, by the renaming that editors do, a new file, a file that goes: each is told with its name, what is ignored never."""
    app = tmp_path / "app"
    (app / "deep" / "__pycache__").mkdir(parents=True)
    (app / ".git").mkdir()
    views = app / "views.py"
    views.write_text("1")
    add(daemon, "web", tmp_path, "app setup.cfg", numprocesses=2)
    before = daemon.pids("web")

    def ignored() -> None:
        for name in (".git/index", "deep/__pycache__/x.pyc", ".views.py.swp", "views.py~", "out.log"):
            (app / name).write_text("x")

    def in_place() -> None:
        views.write_text("22")

    def with_a_copy() -> None:
        views.rename(app / "views.py~")
        views.write_text("333")
        (app / "views.py~").unlink()

    def at_once() -> None:
        (app / "views.tmp").write_text("4444")
        (app / "views.tmp").replace(views)

    def new() -> None:
        (app / "deep" / "er").mkdir()
        (app / "deep" / "er" / "models.py").write_text("")

    def gone() -> None:
        (app / "deep" / "er" / "models.py").unlink()

    def by_its_name() -> None:
        (tmp_path / "setup.cfg").write_text("")

    def hostile() -> None:
        (app / "a\x1b[2J\udcff.py").write_text("")

    steps = [in_place, with_a_copy, at_once, new, gone, hostile, by_its_name]
    for number, step in enumerate(steps, 1):
        ignored()
        step()
        found = changes(daemon, "web", number)
    views_py, models_py = ["app/views.py"], ["app/deep/er/models.py"]
    assert found == [views_py, views_py, views_py, models_py, models_py, ["app/a [2J .py"], ["setup.cfg"]]
    after = eventually(lambda: len(pids := daemon.pids("web")) == 2 and pids, within=20)
    assert not set(before) & set(after)
    view = daemon.watcher("web")
    assert "All 2 processes run. It was restarted because setup.cfg changed." in view["explain"]
    assert "because setup.cfg changed" in daemon.ctl("explain", "web").stdout
    assert "restart, as files have changed: setup.cfg" in daemon.ctl("events", "web").stdout
    daemon.call("restart", name="web", waiting=True)
    assert "changed" not in daemon.watcher("web")["explain"]
    daemon.call("rm", name="web", waiting=True)


def test_folders_that_go_and_come_again_are_watched_again(daemon: Daemon, tmp_path: Path) -> None:
    """Removed with all above it, moved away, replaced by a link as deployments do: with what is there then there is one restart."""
    shop = tmp_path / "shop"
    app = shop / "current" / "app"
    app.mkdir(parents=True)
    (app / "a.py").write_text("1")
    add(daemon, "shop", tmp_path, "shop/current/app/*.py")
    shutil.rmtree(shop)
    app.mkdir(parents=True)
    (app / "a.py").write_text("1")
    assert changes(daemon, "shop", 1)[-1] == ["shop/current/app/a.py"]
    (shop / "new" / "app").mkdir(parents=True)
    (shop / "new" / "app" / "b.py").write_text("1")
    (shop / "current").rename(shop / "old")
    (shop / "current").symlink_to("new")
    assert changes(daemon, "shop", 2)[-1] == ["shop/current/app/a.py", "shop/current/app/b.py"]
    (shop / "new" / "app" / "b.py").write_text("22")
    assert changes(daemon, "shop", 3)[-1] == ["shop/current/app/b.py"]
    (shop / "new" / "app" / "b.txt").write_text("")
    (shop / "old" / "app" / "a.py").write_text("333")
    (shop / "link").symlink_to("old")
    (shop / "link").replace(shop / "current")
    assert changes(daemon, "shop", 4)[-1] == ["shop/current/app/a.py", "shop/current/app/b.py"]
    daemon.call("rm", name="shop", waiting=True)


def test_what_changes_while_it_is_restarted_is_one_more_restart(daemon: Daemon, tmp_path: Path) -> None:
    """However many changes there are; and the way out of a failure does not wait for the next try."""
    file = tmp_path / "a.py"
    file.write_text("1")
    gate = tmp_path / "gate"
    script = f"trap 'until test -e {gate}; do sleep 0.01; done; exit' TERM; while :; do sleep 0.01; done"
    add(daemon, "slow", tmp_path, "*.py", cmd=f'sh -c "{script}"')
    file.write_text("22")
    eventually(lambda: daemon.watcher("slow")["status"] == "stopping", within=20)
    for number in range(5):
        file.write_text("x" * (3 + number))
        (tmp_path / f"b{number}.py").write_text("")
    gate.touch()
    found = changes(daemon, "slow", 2)
    assert found == [["a.py"], ["a.py", "b0.py", "b1.py", "b2.py", "b3.py"]]
    assert "It was restarted because a.py and 5 more files changed." in daemon.watcher("slow")["explain"]
    daemon.call("rm", name="slow", waiting=True)
    (tmp_path / "run").write_text("exit 1")
    add(daemon, "ill", tmp_path, "run", cmd=f"sh {tmp_path}/run", backoff=3600, backoff_max=3600)
    eventually(lambda: daemon.watcher("ill")["state"] == "backoff", within=20)
    (tmp_path / "run").write_text("exec sleep 1000")
    eventually(lambda: daemon.watcher("ill")["state"] == "running", within=20)
    daemon.call("rm", name="ill", waiting=True)


def test_it_is_a_reload_where_a_new_process_can_run_beside_the_old(daemon: Daemon, tmp_path: Path) -> None:
    """With sockets of circusd's, or by SIGHUP; as watch_action says where that is set. What is stopped stays so."""
    file = tmp_path / "a.py"
    file.write_text("1")
    hup = f"sh -c \"trap 'echo x >> {tmp_path}/heard' HUP; while :; do sleep 0.01; done\""
    add(daemon, "shared", tmp_path, "a.py", use_sockets=True)
    add(daemon, "hup", tmp_path, "a.py", cmd=hup, send_hup=True, watch_action="reload")
    add(daemon, "forced", tmp_path, "a.py", use_sockets=True, watch_action="restart")
    add(daemon, "rests", tmp_path, "a.py")
    daemon.call("stop", name="rests", waiting=True)
    assert daemon.watcher("rests")["watched"] is None
    before = {name: daemon.pids(name) for name in ("shared", "hup", "forced")}
    file.write_text("22")
    for name in before:
        changes(daemon, name, 1)
    words = {name: daemon.watcher(name)["explain"] for name in before}
    assert "It was reloaded because a.py changed." in words["shared"]
    assert "It was reloaded because a.py changed." in words["hup"]
    assert "It was restarted because a.py changed." in words["forced"]
    assert daemon.pids("hup") == before["hup"]
    eventually(lambda: (tmp_path / "heard").read_text() == "x\n", within=20)
    changes(daemon, "rests", 0)
    assert daemon.watcher("rests")["status"] == "stopped"
    daemon.call("set", name="forced", options={"watch": "b.py"}, waiting=True)
    eventually(lambda: (daemon.watcher("forced")["watched"] or {"files": -1})["files"] == 0, within=20)
    (tmp_path / "b.py").write_text("")
    assert changes(daemon, "forced", 2)[-1] == ["b.py"]
    for name in (*before, "rests"):
        daemon.call("rm", name=name, waiting=True)


class Few(Daemon):
    """A daemon whose user may watch three folders."""

    def command(self) -> list[str]:
        few = 'echo 3 > /proc/sys/user/max_inotify_watches; exec "$0" "$@"'
        return ["unshare", "-Ur", "sh", "-c", few, *super().command()]


def test_a_limit_of_the_kernel_is_said_with_its_name(tmp_path: Path) -> None:
    """By explain, status, an event and the log: the watcher runs, and no change of its files is taken for seen."""
    for name in "abcd":
        (tmp_path / "app" / name).mkdir(parents=True)
    ini = f"[watcher:web]\ncmd = sleep 1000\nworking_dir = {tmp_path}\nwatch = app\n"
    with Few(ini, tmp_path) as daemon:
        why = "the limit user.max_inotify_watches (3) is reached: raise it with sysctl"
        eventually(lambda: why in daemon.watcher("web")["explain"], within=20)
        assert daemon.watcher("web")["state"] == "running"
        assert daemon.watcher("web")["detail"] == "watch failed"
        assert daemon.call("inspect")["lead"]["title"] == "One thing needs you"
        (event,) = [e for e in daemon.call("events", name="web")["events"] if "watch_failed" in e["event"]]
        assert event["text"] == f"files are not watched: {why}"
        daemon.call("set", name="web", options={"watch": ""}, waiting=True)
        assert "watch" not in daemon.watcher("web")["explain"]
