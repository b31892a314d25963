"""Somebody who may see only some watchers learns nothing of the others, and does nothing to them: every command, every push."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from circusd.schema.commands import COMMANDS, Command, reaches
from circusweb.auth import COOKIE, csrf_token
from tests.daemon import Daemon
from tests.waiting import eventually

HIDDEN, NOWHERE = "vault7x", "empty9y"
"""A watcher that is kept from the person, and a name of the same length that no watcher has."""
TAG = "crownjewel"
SOCKET = "vaultsocket"

INI = f"""
[circus]
httpd = 1
httpd_port = 0

[watcher:web]
stderr_stream.filename = $(circus.env.circus_config_dir)/web.err
cmd = sh -c 'while true; do echo tick; sleep 0.1; done'
copy_env = true
graceful_timeout = 2

[watcher:web-2]
cmd = sleep 1000

[watcher:{HIDDEN}]
cmd = sh -c 'while true; do echo {HIDDEN} speaks; sleep 0.1; done'
copy_env = true
tags = {TAG}
use_sockets = true
graceful_timeout = 2

[watcher:{HIDDEN}-2]
cmd = {HIDDEN}-is-no-program
max_retry = 1
args = $(circus.sockets.{SOCKET})

[socket:{SOCKET}]
host = 127.0.0.1
port = 0
"""

PASSWORD = "correct-horse-battery"
WHOLE_DAEMON = {
    "addkey", "addperson", "addsocket", "audit", "daemon", "drift", "ipython", "keys", "people", "plugins", "quit",
    "reloadconfig", "rmkey", "rmperson", "rmsocket", "save", "setperson", "weblink",
}  # fmt: skip
"""What is of the whole daemon, and so refused whatever the role."""
OF_ONE_THING = {
    "add",
    "addtoken",
    "cancel",
    "endsession",
    "freeze",
    "input",
    "password",
    "rm",
    "rmtoken",
    "run",
}
"""What is not carried out here, as it would have to name something that is his or that runs; everything else of the table is."""


class Person:
    """Somebody at the console."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        self.daemon = daemon
        self.base = f"http://{daemon.call('inspect')['daemon']['httpd']}"
        body = json.dumps({"person": name, "password": PASSWORD}).encode()
        request = urllib.request.Request(f"{self.base}/login", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.session = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    def http(self, path: str, body: bytes | None = None) -> str:
        """The text of an answer, whatever its status."""
        headers = {
            "Cookie": f"{COOKIE}={self.session}",
            "Content-Type": "application/json",
            "X-CSRF-Token": csrf_token(self.session),
        }
        request = urllib.request.Request(f"{self.base}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as problem:
            with problem:
                return str(problem.read().decode())

    def say(self, command: str, **properties: Any) -> str:
        """The text of the reply."""
        return self.http(f"/d/circus/api/v1/{command}", json.dumps(properties).encode())


class Live:
    """The live connection of a page, by polling."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self.got: list[str] = []
        opened = person.http("/d/circus/live/?EIO=4&transport=polling")
        self._path = f"/d/circus/live/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
        self.send("40")
        self._over = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, packet: str) -> None:
        self._person.http(self._path, packet.encode())

    def _read(self) -> None:
        while not self._over.is_set():
            for packet in self._person.http(self._path).split("\x1e"):
                if packet == "2":
                    self.send("3")
                elif packet.startswith('42["live"'):
                    self.got.append(packet)
                    self.send(f'42["ack",{json.loads(packet[2:])[1]}]')
                elif packet:
                    self.got.append(packet)

    @property
    def text(self) -> str:
        return "".join(self.got)

    def close(self) -> None:
        self._over.set()
        self.send("1")
        self._reader.join(20)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With two people who may see what begins with web."""
    with Daemon(INI, tmp_path_factory.mktemp("scope")) as running:
        for name, role in (("ben", "operator"), ("ida", "admin")):
            running.call("addperson", person=name, role=role, watchers="web*", password=PASSWORD)
        eventually(lambda: running.watcher(f"{HIDDEN}-2")["state"] == "failed", within=20)
        os.kill(running.pids("web")[0], signal.SIGKILL)
        # Each of both has a crash report.
        eventually(
            lambda: len({row["watcher"] for row in running.call("crashes")["crashes"]}) == 2, within=20
        )
        yield running


def required(row: Command) -> dict[str, Any]:
    """Properties with which a command is understood."""
    known = {
        "id": 1, "keys": ["cmd"], "options": {"priority": 1}, "pattern": ".", "signum": "USR1", "state": "stopped", "timeout": 1,
        "wid": 1,
    }  # fmt: skip
    return {
        field.name: known.get(field.name, "x")
        for field in row.args
        if (field.required or field.name in known) and field.name != "name"
    }


def named(row: Command) -> list[dict[str, Any]]:
    """The ways to name watchers in a command that takes names, and all that a reading one can tell beside."""
    fields = {field.name for field in row.args if field.target == "watcher"}
    ways: list[dict[str, Any]] = [{}]
    if "names" in fields:
        ways += [{"names": ["*"]}, {"names": [HIDDEN[:-1]]}, {"names": [".*"], "match": "regex"}]
    if "name" in fields:
        ways += [{"name": "*"}, {"name": HIDDEN[:-1]}, {"name": ".*", "match": "regex"}]
        ways += [{"name": f"@{TAG[:-1]}"}, {"name": f"*{HIDDEN[1:-1]}?"}]
    if row.effect == "read":
        own: dict[str, Any] = (
            {"names": ["web"]} if "names" in fields else {"name": "web"} if "name" in fields else {}
        )
        switches = {field.name: True for field in row.args if field.type == "bool"}
        ways += [own, switches, {**own, **switches}]
    return ways


def secrets_in(text: str, asked: dict[str, Any]) -> list[str]:
    """What of the hidden watchers is in a reply, beside what was in the request."""
    text = text.lower().replace(json.dumps(asked).lower(), "")
    return [word for word in (HIDDEN, TAG, SOCKET) if word in text]


@pytest.mark.parametrize("name", ["ben", "ida"])
def test_no_reply_of_any_command_names_a_hidden_watcher(daemon: Daemon, name: str) -> None:
    """Each row of the table, with nothing, patterns, near misses and tags; and what is hidden goes on."""
    person = Person(daemon, name)
    pids = daemon.pids(HIDDEN)
    options = daemon.call("options", name=HIDDEN)["options"]
    role = {"ben": "operator", "ida": "admin"}[name]
    denied, carried_out = set(), set()
    for row in COMMANDS:
        if row.where != "daemon":
            continue
        for way in named(row):
            if row.name == "rm" and way.get("name") in ("*", ".*"):
                # Both may be his to remove; they are needed here.
                continue
            asked = {**required(row), **way, **({"waiting": False} if row.waits else {})}
            if "wid" in asked:
                asked["wid"] = daemon.watcher("web")["processes"][0]["wid"]
            told = person.say(row.name, **asked)
            assert secrets_in(told, asked) == [], (row.name, asked, told)
            if '"code":"denied"' in told:
                denied.add(row.name)
            if '"status":"ok"' in told:
                carried_out.add(row.name)
    assert denied >= WHOLE_DAEMON
    in_reach = {row.name for row in COMMANDS if reaches(role, row.role)}
    assert (denied & in_reach) - WHOLE_DAEMON <= {"add", "addtoken", "password", "process", "tokens"}
    his = {row.name for row in COMMANDS if row.where == "daemon" and row.scoped} & in_reach
    assert his - carried_out <= OF_ONE_THING
    assert daemon.pids(HIDDEN) == pids
    assert daemon.call("options", name=HIDDEN)["options"] == options
    daemon.ctl("start", "web*", "--waiting")


@pytest.mark.parametrize("name", ["ben", "ida"])
def test_hidden_watcher_is_as_one_that_is_not_there(daemon: Daemon, name: str) -> None:
    """Asked for by its exact name, each command says the same as for a name that nobody has."""
    person = Person(daemon, name)
    for row in COMMANDS:
        if row.where != "daemon" or not any(field.target == "watcher" for field in row.args):
            continue
        key = next(field.name for field in row.args if field.target == "watcher")
        told = []
        for word in (HIDDEN, NOWHERE):
            value: Any = [word] if key == "names" else word
            told.append(person.say(row.name, **{**required(row), key: value}).replace(word, "NAME"))
        assert told[0] == told[1], row.name
    added = [person.say("add", name=word, cmd="sleep 1").replace(word, "NAME") for word in (HIDDEN, NOWHERE)]
    assert added[0] == added[1]
    assert '"code":"denied"' in added[0]


@pytest.mark.parametrize("name", ["ben", "ida"])
def test_nobody_needs_a_watcher_that_is_hidden_and_who_is_hidden_needs_in_secret(
    daemon: Daemon, name: str
) -> None:
    """It can't be named in ``depends_on``, nearly either; one that needs his is not named in what that forbids."""
    person = Person(daemon, name)

    def depend(need: str) -> str:
        told = person.say("set", name="web-2", options={"depends_on": need})
        assert secrets_in(told, {"need": need}) == [] or need in told
        return told.replace(need, "NEED")

    def arrange(watcher: str, **options: object) -> None:
        daemon.call("set", name=watcher, options=options, waiting=True)

    assert depend(HIDDEN) == depend(NOWHERE)
    assert HIDDEN not in depend(f"{HIDDEN[:-1]}q")
    arrange("web-2", alive="exec:true", alive_interval=100)
    arrange(HIDDEN, depends_on="web-2:healthy")
    told = person.say("set", name="web-2", options={"alive": ""})
    assert ("another watcher depends on it" if name == "ida" else "is for the role admin") in told
    assert HIDDEN not in told
    # What an admin has set stays, and can be said again.
    arrange(HIDDEN, depends_on="")
    arrange("web-2", alive="", depends_on=HIDDEN)
    assert '"status":"ok"' in person.say("set", name="web-2", options={"depends_on": f"{HIDDEN}:started"})
    arrange("web-2", depends_on="")


@pytest.mark.parametrize("name", ["ben", "ida"])
def test_hidden_process_and_line_are_as_ones_that_are_not_there(daemon: Daemon, name: str) -> None:
    """By its pid a process is not reached through a watcher that is seen, and a line that is known by its id tells nothing."""
    person = Person(daemon, name)
    daemon.ctl("start", "web", "--waiting")
    pids = daemon.pids(HIDDEN)
    line = daemon.call("output", names=[HIDDEN], lines=1)["lines"][0]["id"]
    processes, lines = (pids[0], 1 << 30), (line, line.replace(HIDDEN, NOWHERE))
    for command, asked, words in (
        ("kill", {"name": "web", "pid": None, "waiting": True}, processes),
        ("signal", {"name": "web", "pid": None, "signum": "TERM"}, processes),
        ("signal", {"name": "web", "childpid": None, "signum": "TERM"}, processes),
        ("freeze", {"name": "web", "pid": None}, processes),
        ("thaw", {"name": "web", "pid": None}, processes),
        ("stats", {"name": "web", "process": None}, processes),
        ("output", {"names": ["web"], "before": None}, lines),
        ("output", {"names": ["web"], "after": None}, lines),
    ):
        told = []
        for word in words:
            answer = person.say(command, **{k: word if v is None else v for k, v in asked.items()})
            # A small pid may stand within another number.
            alone = rf"(?<![\w.]){re.escape(str(word))}(?![\w.])"
            told.append(re.sub(r'"time":[\d.]+', "", re.sub(alone, "IT", answer)))
        assert told[0] == told[1], asked
    assert daemon.pids(HIDDEN) == pids


def test_no_sum_of_all_watchers_is_told(daemon: Daemon) -> None:
    """What circusd itself takes is told, and how many processes there are in all is not."""
    own = json.loads(Person(daemon, "ben").say("history"))["daemon"]
    assert set(own["processes"]) == set(own["restarts"]) == {None}
    assert own["rss"][-1] > 0
    whole = daemon.call("history")["daemon"]
    assert whole["processes"][-1] >= len(daemon.pids(HIDDEN))


def test_commands_on_their_way_of_hidden_watchers_are_not_there(daemon: Daemon) -> None:
    """Neither in the list, nor to be cancelled; one's own are."""
    ben = Person(daemon, "ben")
    for watcher in (HIDDEN, "web-2"):
        daemon.ctl("start", watcher, "--waiting")
        daemon.ctl("set", watcher, "warmup_delay", "600", "--waiting")
        daemon.ctl("incr", watcher, "3")
    try:
        jobs = {job["watcher"]: job["id"] for job in daemon.call("jobs")["jobs"]}
        assert set(jobs) == {HIDDEN, "web-2"}
        assert [job["watcher"] for job in json.loads(ben.say("jobs"))["jobs"]] == ["web-2"]
        assert json.loads(ben.say("cancel", id=jobs[HIDDEN]))["code"] == "not_found"
        assert json.loads(ben.say("cancel", id=jobs["web-2"]))["cancelled"] == ["web-2"]
        # For all that there are: it is for hidden ones too, and so not his.
        daemon.call("restart", name="*")
        assert HIDDEN not in ben.say("jobs")
    finally:
        for job in daemon.call("jobs")["jobs"]:
            daemon.ctl("cancel", str(job["id"]), check=False)
        daemon.ctl("set", "*", "warmup_delay", "0", "--waiting")
        daemon.ctl("set", "*", "numprocesses", "1", "--waiting")


def test_what_one_waits_for_oneself_is_there(daemon: Daemon) -> None:
    """Also where it is for several watchers and nothing is done to any: it is listed, and can be cancelled."""
    ben = Person(daemon, "ben")
    told: list[str] = []
    waiting = threading.Thread(
        target=lambda: told.append(ben.say("wait", name="web*", state="failed", timeout=20))
    )
    waiting.start()
    try:
        job = eventually(lambda: json.loads(ben.say("jobs"))["jobs"], within=20)[0]
        assert (job["command"], job["watcher"]) == ("wait", "web*")
        assert '"status":"ok"' in ben.say("cancel", id=job["id"])
    finally:
        waiting.join(30)
    assert "cancelled" in told[0]


def test_no_push_tells_of_a_hidden_watcher(daemon: Daemon) -> None:
    """State, load, events and output, while both do the same things; asked for by name, its output is empty."""
    ben = Person(daemon, "ben")
    live = Live(ben)
    try:
        eventually(lambda: '"snapshot"' in live.text, within=20)
        live.send(f'421["open",{{"key":1,"watcher":"{HIDDEN}","lines":100}}]')
        live.send('422["open",{"key":2,"watcher":"web","lines":100}]')
        eventually(lambda: "tick" in live.text and '"load."' in live.text, within=20)
        for watcher in (HIDDEN, "web"):
            daemon.ctl("restart", watcher, "--waiting")
            daemon.ctl("set", watcher, "graceful_timeout", "1", "--waiting")
        daemon.ctl("add", f"{HIDDEN}-3", "sleep 1")
        daemon.ctl("rm", f"{HIDDEN}-3", "--waiting")
        daemon.ctl("add", "web-3", "sleep 1")
        daemon.ctl("rm", "web-3", "--waiting")
        eventually(lambda: '"watcher.updated"' in live.text and '"removed":"web-3"' in live.text, within=20)
        text = live.text.lower()
        assert [word for word in (HIDDEN, TAG, SOCKET) if word in text] == []
    finally:
        live.close()


def test_change_of_a_person_closes_what_is_open(daemon: Daemon) -> None:
    """Whoever may see less from now on does not go on seeing more."""
    daemon.call("addperson", person="eve", role="viewer", password=PASSWORD)
    eve = Person(daemon, "eve")
    live = Live(eve)
    try:
        eventually(lambda: HIDDEN in live.text, within=20)
        daemon.ctl("setperson", "eve", "--watchers", "web")
        eventually(lambda: '42["over"]' in live.text, within=20)
        assert '"no_session"' in eve.say("list")
    finally:
        live.close()
