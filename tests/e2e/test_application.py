"""An application of ten watchers: started in the order of what needs what, side by side where it may be, stopped in reverse."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

# Each writes down when it begins, is ready and ends. What takes time here is waiting for a file that the test makes.
PROGRAM = """
name=$1 folder=$2
trap 'echo "-$name" >> $folder/order; exit 0' TERM
echo "+$name" >> $folder/order
until test -e $folder/$name.go; do sleep 0.05; done
echo "=$name" >> $folder/order
touch $folder/$name.is
test "$3" = task && exit 0
while true; do sleep 0.1; done
"""

NEEDS = {
    "db": "",
    "cache": "",
    "queue": "",
    "migrate": "db",
    "api": "db cache migrate:completed_successfully",
    "web": "api",
    "worker-mail": "queue db migrate:completed_successfully",
    "worker-pictures": "queue cache migrate:completed_successfully",
    "scheduler": "queue:started worker-mail:started",
    "metrics": "",
}
WITH_DATABASE = ("api", "worker-mail")
"""What is restarted with what it needs."""


APART = """
[watcher:p-a]
cmd = sh {folder}/program p-a {folder}
numprocesses = 2
warmup_delay = 0.3
priority = 10
autostart = false
ready = exec:test -e {folder}/p-a.is
ready_interval = 0.1

[watcher:p-b]
cmd = sh {folder}/program p-b {folder}
priority = 10
autostart = false
ready = exec:test -e {folder}/p-b.is
ready_interval = 0.1

[watcher:p-c]
cmd = sh {folder}/program p-c {folder}
priority = 9
autostart = false
"""
"""Three that need nothing, of two priorities."""


def configuration(folder: Path) -> str:
    """Ten sections; all but the task say when they are ready."""
    (folder / "program").write_text(PROGRAM)
    sections = []
    for name, needs in NEEDS.items():
        lines = [
            f"[watcher:{name}]",
            f"cmd = sh {folder}/program {name} {folder} {'task' if name == 'migrate' else ''}",
        ]
        lines += [f"depends_on = {needs}"] if needs else []
        lines += (
            ["respawn = false"]
            if name == "migrate"
            else [f"ready = exec:test -e {folder}/{name}.is", "ready_interval = 0.1", "graceful_timeout = 10"]
        )
        lines += ["restart_with_dependencies = true"] if name in WITH_DATABASE else []
        sections.append("\n".join(lines))
    return "\n\n".join([*sections, APART.format(folder=folder)])


class Application:
    """The daemon with all ten, and what they have written down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemon = Daemon(configuration(folder), folder)

    def let(self, *names: str) -> None:
        for name in names:
            (self.folder / f"{name}.go").touch()

    def order(self) -> list[str]:
        path = self.folder / "order"
        return path.read_text().split() if path.exists() else []

    def has(self, *marks: str) -> None:
        eventually(lambda: set(marks) <= set(self.order()), within=30, what=f"{marks} are written")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    found = Application(tmp_path_factory.mktemp("application"))
    # circusd has started when all that stands apart has.
    found.let("metrics")
    with found.daemon:
        yield found


def test_it_starts_side_by_side_where_it_may_and_in_order_where_it_must(application: Application) -> None:
    """What needs nothing begins at once, though none of it is ready; everything else when what it needs is there, and no sooner."""
    application.has("+db", "+cache", "+queue", "+metrics")
    assert {mark for mark in application.order() if mark.startswith("=")} <= {"=metrics"}
    application.let("db")
    application.has("+migrate")
    application.let("cache", "migrate")
    application.has("+api")
    assert not {"+web", "+worker-mail", "+worker-pictures", "+scheduler"} & set(application.order())
    application.let(*NEEDS)
    application.has(*(f"={name}" for name in NEEDS))
    at = {mark: place for place, mark in reversed(list(enumerate(application.order())))}
    spawned = {row["name"]: row["spawned"] for row in application.daemon.call("timeline")["watchers"]}
    for name, needs in NEEDS.items():
        for need in needs.split():
            other, _, condition = need.partition(":")
            if condition == "started":
                # Which of two processes that run writes first is theirs.
                assert spawned[name] >= spawned[other], (name, need)
            else:
                assert at[f"+{name}"] > at[f"={other}"], (name, need)


def test_the_timeline_tells_what_it_waited_for(application: Application) -> None:
    """A chain from one that needs nothing to the last that was ready, each after the one before; dearest first; as a table too."""
    daemon = application.daemon
    application.let(*NEEDS)
    eventually(lambda: daemon.call("timeline")["under_way"] == 0, within=20, what="all are ready")
    told = daemon.call("timeline")
    rows = {row["name"]: row for row in told["watchers"]}
    assert set(rows) == set(NEEDS)
    for name, row in rows.items():
        assert told["since"] <= row["asked"] <= row["begun"] <= row["spawned"] <= row["ready"], name
        assert (row["ended"] is not None, row["until"] == "ended", row["failed"]) == (
            name == "migrate",
            name == "migrate",
            None,
        )
    chain = told["chain"]
    assert NEEDS[chain[0]] == ""
    assert rows[chain[-1]]["ready"] == max(row["ready"] for row in rows.values())
    for before, after in itertools.pairwise(chain):
        assert rows[after]["after"] == before
        # On a busy machine one that needs nothing waits for its turn after what stands apart.
        needs = [need.partition(":")[0] for need in NEEDS[after].split()] or ["metrics"]
        assert before in needs
    costs = [row["took"] for row in told["watchers"]]
    assert costs == sorted(costs, reverse=True)
    assert daemon.call("timeline", name="w*")["chain"] == chain
    shown = daemon.ctl("timeline").stdout
    assert f"Critical chain: {' → '.join(chain)}" in shown
    assert sum(line.startswith("*") for line in shown.split("\n")) == len(chain)


def test_the_end_of_the_database_restarts_what_asked_for_it_and_nothing_else(
    application: Application,
) -> None:
    """Two are restarted when it is ready again; the task is not done once more, and no other process is touched."""
    daemon = application.daemon
    before = {name: daemon.pids(name) for name in NEEDS}
    (application.folder / "db.go").unlink()
    (application.folder / "db.is").unlink()
    done = len(application.order())
    daemon.ctl("kill", "db", "--signum", "KILL", "--waiting")
    eventually(lambda: "+db" in application.order()[done:], within=20, what="the database is started again")
    for name in WITH_DATABASE:
        eventually(
            lambda name=name: daemon.watcher(name)["state"] == "waiting", within=20, what=f"{name} waits"
        )
    assert not {"+api", "+worker-mail"} & set(application.order()[done:])
    application.let("db")
    for name in ("db", *WITH_DATABASE):
        assert daemon.ctl("wait", name, "--for", "ready", "--timeout", "30").returncode == 0
        assert daemon.pids(name) not in ([], before[name]), name
    again = {mark[1:] for mark in application.order()[done:]}
    assert again == {"db", *WITH_DATABASE}
    assert {n: daemon.pids(n) for n in NEEDS if n not in again} == {
        n: p for n, p in before.items() if n not in again
    }
    last = {row["name"]: row for row in daemon.call("timeline", last=True)["watchers"]}
    assert last["api"]["command"] == "restart with db"
    assert last["api"]["after"] == "db"
    assert last["web"]["command"] == "start"


def test_those_of_one_priority_become_ready_side_by_side(application: Application) -> None:
    """One after the other they get their processes, with all their pauses, as ever; what has a lower priority waits for all of them."""
    daemon, done = application.daemon, len(application.order())
    begun = daemon.call("start", name="p-*")
    assert begun["status"] == "ok"
    # The second process of the one and the first of the other are started together; who writes first is theirs.
    eventually(lambda: sorted(application.order()[done:]) == ["+p-a", "+p-a", "+p-b"], within=20)
    assert application.order()[done] == "+p-a"
    application.let("p-b")
    assert daemon.ctl("wait", "p-b", "--for", "ready", "--timeout", "20").returncode == 0
    assert daemon.watcher("p-c")["status"] == "stopped"
    application.let("p-a")
    application.has("+p-c")
    last = {row["name"]: row for row in daemon.call("timeline", last=True, name="p-*")["watchers"]}
    assert (last["p-b"]["after"], last["p-c"]["after"]) == ("p-a", "p-a")
    assert last["p-b"]["begun"] - last["p-a"]["begun"] >= 0.3
    daemon.ctl("stop", "p-*", "--waiting")


def test_it_stops_in_reverse(application: Application) -> None:
    """What needs others has ended before they are told to."""
    done = len(application.order())
    application.daemon.stop()
    ended = [mark[1:] for mark in application.order()[done:] if mark.startswith("-")]
    assert sorted(ended) == sorted(set(NEEDS) - {"migrate"})
    for name, needs in NEEDS.items():
        for need in needs.split():
            other = need.partition(":")[0]
            if "migrate" not in (name, other):
                assert ended.index(name) < ended.index(other), (name, other)
