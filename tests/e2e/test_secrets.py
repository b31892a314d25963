"""Secrets that are planted everywhere they can be, and looked for in everything that is told to who may not know them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client, Subscription, subscribe
from circusd.schema.commands import COMMANDS, reaches
from circusd.schema.errors import CircusError, TimedOut
from circusweb.auth import COOKIE
from tests.daemon import Daemon
from tests.e2e.test_sessions import in_session, login
from tests.other_user import OtherUser
from tests.waiting import environment, eventually

VIEWER, OPERATOR = 60001, 60002

PLANTED = {
    place: f"hush-{place}-{number:02d}"
    for number, place in enumerate(
        (
            *("own-environment", "env-of-all", "env-of-one", "env-file", "env-by-add", "env-by-set"),
            *("watcher-key", "stream-key", "plugin-password", "plugin-token"),
            *("wrong-env-by-set", "wrong-env-by-add", "wrong-name-by-set", "wrong-in-plan", "new-in-plan"),
        )
    )
}

STREAM = """
class Stream:
    def __init__(self, **options):
        assert options["password"]

    def __call__(self, data):
        pass

    def close(self):
        pass
"""

PLUGIN = """
from circusd.plugins import CircusPlugin


class Quiet(CircusPlugin):
    name = "quiet"

    def handle_init(self):
        assert self.config["password"]

    def handle_stop(self):
        pass

    def handle_recv(self, data):
        pass
"""

INI = """
[circus]
endpoint = ipc://{runtime}/ops.sock
pubsub_endpoint = ipc://{runtime}/events.sock
stats_endpoint = ipc://{runtime}/stats.sock
allow_viewer = {viewer}
allow_operator = {operator}
httpd = 1
httpd_host = 127.0.0.1
httpd_port = 0
[env]
ALL_TOKEN = {env-of-all}
PYTHONPATH = {folder}
[env:web]
ONE = {env-of-one}
[watcher:web]
cmd = sleep 1000
copy_env = true
env_file = {folder}/web.env
api_token = {watcher-key}
stdout_stream.class = planted.Stream
stdout_stream.password = {stream-key}
[plugin:quiet]
use = planted_plugin.Quiet
password = {plugin-password}
api_token = {plugin-token}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a secret in every place that takes one, while it starts and while it runs."""
    (tmp_path / "planted.py").write_text(STREAM)
    (tmp_path / "planted_plugin.py").write_text(PLUGIN)
    (tmp_path / "web.env").write_text(f"FROM_FILE={PLANTED['env-file']}\n")
    daemon = Daemon("", tmp_path, environ={"OWN": PLANTED["own-environment"]})
    daemon.runtime.chmod(0o755)
    who = {"viewer": VIEWER, "operator": OPERATOR, "runtime": daemon.runtime, "folder": tmp_path}
    daemon.config.write_text(INI.format_map({**PLANTED, **who}))
    with daemon:
        env = {"ADDED": PLANTED["env-by-add"]}
        daemon.call("add", name="more", cmd="sleep 1000", options={"env": env}, start=True, waiting=True)
        daemon.call("set", name="more", options={"env": {"SET": PLANTED["env-by-set"], **env}}, waiting=True)
        yield daemon


def found_in(text: str) -> list[str]:
    """Which secrets a text holds."""
    return [place for place, secret in PLANTED.items() if secret in text]


def reading(role: str) -> list[tuple[str, dict[str, Any]]]:
    """Every command that only reads and that the role may ask for, about all there is and about each watcher."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for row in COMMANDS:
        if row.where != "daemon" or row.effect != "read" or not reaches(role, row.role):
            continue
        fields = {field.name: field for field in row.args}
        if "keys" in fields:
            keys = ["env", "stdout_stream_conf", "stdout_stream.password", "api_token"]
            asked += [
                (row.name, {"name": "web", "keys": keys}),
                (row.name, {"name": "more", "keys": ["env"]}),
            ]
            continue
        if not any(field.required for field in row.args):
            asked.append((row.name, {"lines": 1000} if "lines" in fields else {}))
        asked += [(row.name, {name: True}) for name in ("details", "all") if name in fields]
        if "name" in fields:
            slot = {"wid": 1} if "wid" in fields else {}
            names = ("web", "more", "plugin:quiet", "circushttpd")
            asked += [(row.name, {"name": name, **slot}) for name in names]
    return asked


def wrong(say: Any) -> Iterator[Any]:
    """What is said to requests that are wrong, with secrets in them."""
    yield say("set", name="web", options={"env": {"A": {"B": PLANTED["wrong-env-by-set"]}}})
    yield say("set", name="web", options={"env": f"A=1,{PLANTED['wrong-env-by-set']}"})
    yield say("set", name="web", options={"env": {f"A={PLANTED['wrong-name-by-set']}": "1"}})
    yield say("set", name="web", options={"env": f"A=1,={PLANTED['wrong-env-by-set']}"})
    yield say("set", name="web", options={"stdout_stream": PLANTED["wrong-env-by-set"]})
    yield say("add", name="x", cmd="sleep 1", options={"env": {"A": [PLANTED["wrong-env-by-add"]]}})
    yield say("add", name="x", cmd="sleep 1", options={"env": PLANTED["wrong-env-by-add"]})


@contextmanager
def listening(*endpoints: str) -> Iterator[list[str]]:
    """All raw messages of these endpoints, as they come."""
    heard: list[str] = []
    over = threading.Event()

    def listen(subscription: Subscription) -> None:
        while not over.is_set():
            with contextlib.suppress(TimedOut):
                topic, body = subscription.receive(0.1)
                heard.append(f"{topic!r} {body!r}")

    subscriptions = [subscribe(endpoint, [], timeout=20) for endpoint in endpoints]
    threads = [threading.Thread(target=listen, args=(one,)) for one in subscriptions]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        over.set()
        for thread in threads:
            thread.join(20)
        for one in subscriptions:
            one.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_f65_no_secret_is_told_to_a_viewer_or_an_operator(daemon: Daemon) -> None:
    """By no command, no event, no sample, no stream, no page and no error."""
    endpoint = daemon.call("inspect")["daemon"]["endpoints"]["commands"]
    told: dict[str, str] = {}
    for role, uid in (("viewer", VIEWER), ("operator", OPERATOR)):
        with OtherUser(endpoint, uid) as person:
            for command, properties in reading(role):
                told[f"{role} {command} {properties}"] = json.dumps(person.ask(command, **properties))
            for number, reply in enumerate(wrong(person.ask)):
                told[f"{role} wrong {number}"] = json.dumps(reply)
        session = login(daemon, "ada", role)
        for command, properties in reading(role):
            status, reply = in_session(daemon, session, command, properties)
            told[f"{role} api {command} {properties}"] = f"{status} {json.dumps(reply)}"
        told[f"{role} pages"] = pages(daemon, session)
    assert {what: found_in(text) for what, text in told.items() if found_in(text)} == {}
    shown = json.loads(told["viewer options {'name': 'web'}"])["options"]
    # It was asked for where it is: names are shown, and what is no secret.
    assert set(shown["env"].values()) == {"********"} and {"ONE", "FROM_FILE", "ALL_TOKEN"} <= set(
        shown["env"]
    )
    assert shown["api_token"] == shown["stdout_stream.password"] == "********"
    assert shown["stdout_stream_conf"]["password"] == "********"
    assert shown["cmd"] == "sleep 1000"
    variables = json.loads(told["operator process {'name': 'web', 'wid': 1}"])["environment"]
    assert set(variables.values()) == {"********"} and {"ONE", "FROM_FILE", "ALL_TOKEN", "OWN"} <= set(
        variables
    )


def pages(daemon: Daemon, session: str) -> str:
    """The pages of the console, as this person has them."""
    address = daemon.call("inspect")["daemon"]["httpd"]
    texts = []
    for path in (
        "",
        "w/web",
        "w/more",
        "w/plugin:quiet",
        "w/web/output",
        "events/",
        "plugins/",
        "daemon/",
        "audit/",
    ):
        request = urllib.request.Request(
            f"http://{address}/d/circus/{path}", headers={"Cookie": f"{COOKIE}={session}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                texts.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            texts.append(error.read().decode())
    return "\n".join(texts)


def test_f65_no_secret_is_in_events_streams_plans_logs_or_files(daemon: Daemon) -> None:
    """Not even where an admin asked for it: only ``options`` and ``get`` show values, and only to him."""
    endpoints = daemon.call("inspect")["daemon"]["endpoints"]
    told: dict[str, str] = {}

    def say(command: str, **properties: Any) -> Any:
        try:
            return daemon.call(command, **properties)
        except CircusError as error:
            return {"error": str(error), **error.as_dict()}

    with (
        listening(endpoints["events"], endpoints["stats"]) as heard,
        Client(daemon.endpoint, timeout=20) as client,
        client.follow(["state.", "event.", "load.", "output.web."]) as follow,
    ):
        for name in ("web", "more"):
            say("restart", name=name, waiting=True)
            say("set", name=name, options={"priority": 3}, waiting=True)
        for number, reply in enumerate(wrong(say)):
            told[f"wrong {number}"] = json.dumps(reply)
        pushed = [f"{topic} {json.dumps(data)}" for (topic, data), _ in zip(follow, range(10), strict=False)]
        told["streams"] = "\n".join(pushed)
        for command, properties in reading("admin"):
            if command not in ("options", "get"):
                told[f"{command} {properties}"] = json.dumps(say(command, **properties))
        told["plan"] = plan(daemon)
        for wanted in ("watcher.web.updated", "stat."):
            eventually(lambda wanted=wanted: any(wanted in line for line in heard), within=20, what=wanted)
        told["events and stats"] = "\n".join(heard)
    for line in ("status web", "inspect", "events -n 1000", "audit -n 1000", "stats", "listsockets"):
        told[f"circusctl {line}"] = daemon.ctl(*line.split()).stdout
    daemon.stop()
    told["log"] = daemon.log.read_text()
    for folder in (daemon.runtime, daemon.state):
        for path in folder.rglob("*"):
            if path.is_file():
                told[str(path)] = path.read_text(errors="replace")
    assert any(path.endswith("audit.log") and '"env"' in text for path, text in told.items())
    assert {what: found_in(text) for what, text in told.items() if found_in(text)} == {}


def plan(daemon: Daemon) -> str:
    """What a reload would do with other secrets in the file, and what it says to a wrong one."""
    written = daemon.config.read_text()
    daemon.config.write_text(written.replace(PLANTED["env-of-one"], PLANTED["new-in-plan"]))
    told = (
        daemon.ctl("reloadconfig", "--dry-run").stdout
        + daemon.ctl("--json", "reloadconfig", "--dry-run").stdout
    )
    assert "env" in told
    bad = f"[env:web]\nONE = {PLANTED['wrong-in-plan']}\n{PLANTED['wrong-in-plan']}\n[watcher:bad]\nnumprocesses = x\n"
    daemon.config.write_text(written.replace("[env:web]\n", bad, 1))
    done = daemon.ctl("reloadconfig", "--dry-run", check=False)
    daemon.config.write_text(written)
    return told + done.stdout + done.stderr


def test_the_daemon_s_user_can_see_what_he_has_set(daemon: Daemon) -> None:
    """Masking is not losing: an admin's ``options`` has the values, and the processes got them."""
    env = daemon.call("options", name="more")["options"]["env"]
    assert env["SET"] == PLANTED["env-by-set"]
    (pid,) = daemon.pids("web")
    assert set(found_in("\n".join(environment(pid).values()))) == {
        "own-environment",
        "env-of-all",
        "env-of-one",
        "env-file",
    }
