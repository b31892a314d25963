"""The HTTP API before a real circusd: every command by its case, and streams that go on where they were."""

from __future__ import annotations

import itertools
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from circusd.schema.commands import COMMANDS, WAITING, Command
from circusweb import openapi
from tests.daemon import Daemon
from tests.e2e.test_cases import CONFIGURATION, MAKES_A_SECRET, ask, holds, job_of, set_up
from tests.waiting import eventually
from tests.web.apiclient import ApiClient, Event, Stream

ROWS = [row for row in COMMANDS if row.where == "daemon"]
CHANGING = [row for row in ROWS if row.effect != "read"]
READING = [row for row in ROWS if row.effect == "read"]
MEGABYTE = 1 << 20

ENDS_THE_CONSOLE = ("quit",)
"""What can't be waited for through the console: its own last word is that it ends."""

NUMBERS = """
import sys, time
each = float(sys.argv[1])
for n in range(1, 10**9):
    print(n, "\\x1b[31m<b>&\\x1b[0m", flush=True)
    time.sleep(each)
"""

FLOOD = """
import sys, time
while True:
    sys.stdout.write(("x" * 200 + "\\n") * 500)
    sys.stdout.flush()
    time.sleep(0.02)
"""


def daemon_in(folder: Path, more: str = "") -> Daemon:
    """The daemon of the cases, with its console."""
    return Daemon(CONFIGURATION.format(circus="httpd = 1\nhttpd_port = 0") + more, folder)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with what writes, for commands that only read and for streams."""
    folder = tmp_path_factory.mktemp("api")
    for name, text in (("numbers.py", NUMBERS), ("flood.py", FLOOD)):
        (folder / name).write_text(text)
    more = f"""
[watcher:numbers]
cmd = {sys.executable} {folder}/numbers.py 0.005
copy_env = true
numprocesses = 2
[watcher:flood]
cmd = {sys.executable} {folder}/flood.py
copy_env = true
autostart = false
"""
    with daemon_in(folder, more) as running:
        yield running


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> ApiClient:
    return ApiClient.of(daemon)


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", READING, ids=lambda row: row.name)
def test_a_reading_command_answers_by_get_and_by_post(daemon: Daemon, api: ApiClient, row: Command) -> None:
    """The same of both, in the words that the document has for it."""
    set_up(daemon, row)
    properties = openapi.example_of(row) or {}
    query = "&".join(
        f"{key}={one}"
        for key, value in properties.items()
        for one in (value if isinstance(value, list) else [value])
    )
    by_get, by_post = api.get(f"/{row.name}?{query}"), api.post(f"/{row.name}", properties)
    assert (by_get.status, by_post.status) == (200, 200), (by_get, by_post)
    assert set(by_get.json) == set(by_post.json)
    told = set(by_get.json) - {"status", "time"}
    assert told <= {field.name for field in row.reply} | {"info"}, "the table has no word for it"
    if row.case.setup:
        daemon.call("stop", name="off", waiting=True)


@pytest.mark.parametrize("row", CHANGING, ids=lambda row: row.name)
def test_a_changing_command_does_what_its_case_tells(tmp_path: Path, row: Command) -> None:
    """By its example in the document; the case's own query, asked by circusctl, tells whether it was done."""
    with daemon_in(tmp_path) as daemon:
        api = ApiClient.of(daemon)
        set_up(daemon, row)
        before = ask(daemon, row.case.query) if row.case.query else None
        properties = openapi.example_of(row)
        if properties is None:
            properties = (
                {"session": session_of(daemon, "ada")}
                if row.name == "endsession"
                else {"id": int(job_of(daemon))}
            )
        answer = api.post(f"/{row.name}", properties)
        expected = (
            503
            if row.name in ENDS_THE_CONSOLE
            else 202
            if row.waits and not properties.get(WAITING.name)
            else 200
        )
        assert answer.status == expected, answer
        if row.name in MAKES_A_SECRET:
            assert row.case.after in answer.text
            return
        assert before is not None
        eventually(
            lambda: holds(row.case.after, ask(daemon, row.case.query), before, row), within=20, what=row.name
        )


def session_of(daemon: Daemon, person: str) -> str:
    """The id of the session that the person has."""
    return next(str(row["id"]) for row in daemon.call("sessions")["sessions"] if row["person"] == person)


def test_roles_hold_for_every_command(daemon: Daemon) -> None:
    """A viewer is refused what is for others, by the daemon, with the role that it needs."""
    viewer = ApiClient.of(daemon, "viewer")
    for row in ROWS:
        if row.role != "viewer":
            properties = openapi.example_of(row)
            answer = viewer.post(f"/{row.name}", {"id": 1} if properties is None else properties)
            assert (answer.status, answer.json["code"]) == (403, "denied"), row.name
            assert row.role in answer.json["detail"]


def test_what_is_begun_can_be_looked_after(daemon: Daemon, api: ApiClient) -> None:
    """202 leads to the job, DELETE cancels it, and afterwards it is not there."""
    api.post("/set", {"name": "off", "options": {"numprocesses": 9, "warmup_delay": 600}, "waiting": True})
    begun = api.post("/start", {"name": "off"})
    assert begun.status == 202
    job = begun.headers["location"]
    assert job == f"jobs/{begun.json['job']}"
    shown = api.get(f"/{job}")
    assert (shown.json["command"], shown.json["watcher"], shown.json["total"]) == ("start", "off", 9)
    assert api.ask("DELETE", f"{api.base}/{job}").json["cancelled"] == ["off"]
    eventually(lambda: api.get(f"/{job}").status == 404, what="it is over")
    api.post("/stop", {"name": "off", "waiting": True})
    api.post("/set", {"name": "off", "options": {"numprocesses": 1, "warmup_delay": 0}, "waiting": True})


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
def test_progress_comes_before_the_reply(api: ApiClient, kind: str) -> None:
    """Where a stream is asked for; what is refused at once has a status of its own all the same."""
    headers = {"Accept": kind, "Content-Type": "application/json"}
    body = b'{"name": "web", "waiting": true}'
    with api.follow("/restart", headers, method="POST", body=body) as stream:
        assert stream.kind == kind
        events = list(stream.events())
    assert {event.name for event in events[:-1]} == {"progress"}
    assert events[0].data["command"] == "restart"
    assert events[-1].name == "reply"
    assert len(events[-1].data["info"]["started"]) == 2
    refused = api.follow("/restart", headers, method="POST", body=b'{"name": "wbe", "waiting": true}')
    assert refused.status == 404
    refused.close()


def test_who_leaves_waits_no_longer(daemon: Daemon, api: ApiClient) -> None:
    """A wait is over in circusd when the client is gone; a command that does something goes on."""
    with api.follow("/wait?name=off&state=running", {"Accept": "text/event-stream"}) as stream:
        assert stream.next("progress").data["command"] == "wait"
        assert [job["command"] for job in daemon.call("jobs")["jobs"]] == ["wait"]
    eventually(lambda: daemon.call("jobs")["jobs"] == [], what="nobody waits")


# --- streams ----------------------------------------------------------------------------------------------------------


def test_log_is_followed_line_by_line(api: ApiClient) -> None:
    """Some lines of before, then what comes; numbers without a gap, and text that is only text."""
    with api.follow("/follow/logs/numbers?lines=40&stream=stdout") as stream:
        assert stream.kind == "text/event-stream"
        events = list(itertools.islice(stream.events(), 300))
    assert {event.name for event in events} == {"line"}
    for wid in {event.data["wid"] for event in events}:
        numbers = [event.data["number"] for event in events if event.data["wid"] == wid]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert events[0].data["watcher"] == "numbers"
    assert "\x1b[31m<b>&\x1b[0m" in events[0].data["text"]


@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson"])
def test_log_goes_on_where_it_was(api: ApiClient, kind: str) -> None:
    """With Last-Event-ID each line comes once, wherever the connection broke, of two processes at once."""
    seen: list[tuple[int, int]] = []
    last_id = ""
    for count in (37, 1, 150, 60):
        headers = {"Accept": kind, **({"Last-Event-ID": last_id} if last_id else {})}
        with api.follow("/follow/logs/num*?lines=5", headers) as stream:
            for event in itertools.islice(stream.events(), count):
                assert event.name == "line", event
                seen.append((event.data["wid"], event.data["number"]))
            last_id = stream.last_id
        # Something is written while nobody follows.
        here = api.get("/output?names=numbers&lines=1").json["lines"][0]["number"]
        eventually(
            lambda here=here: api.get("/output?names=numbers&lines=1").json["lines"][0]["number"] > here + 20,
            within=20,
        )
    assert len(set(seen)) == len(seen), "a line came twice"
    for wid in {wid for wid, _ in seen}:
        numbers = [number for one, number in seen if one == wid]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "a line is missing"


def test_events_go_on_where_they_were(daemon: Daemon, api: ApiClient) -> None:
    """By their number; also of one watcher only."""
    with api.follow("/follow/events?lines=3") as stream:
        before = [event.data["number"] for event in itertools.islice(stream.events(), 3)]
        assert before == list(range(before[0], before[0] + 3))
        daemon.call("set", name="off", options={"warmup_delay": 1}, waiting=True)
        assert stream.next("watcher.updated").data["watcher"] == "off"
    daemon.call("set", name="off", options={"warmup_delay": 0}, waiting=True)
    daemon.call("set", name="web", options={"warmup_delay": 0.5}, waiting=True)
    with api.follow("/follow/events", {"Last-Event-ID": stream.last_id}) as later:
        missed = list(itertools.islice(later.events(), 2))
    assert [(event.name, event.data["watcher"]) for event in missed] == [
        ("watcher.updated", "off"),
        ("watcher.updated", "web"),
    ]
    with api.follow("/follow/events/web?lines=2000") as own:
        daemon.call("set", name="web", options={"warmup_delay": 0}, waiting=True)
        events = [own.next("watcher.updated") for _ in range(2)]
        assert {event.data["watcher"] for event in events} == {"web"}


def test_events_of_another_life_are_told(api: ApiClient) -> None:
    """An id of a circusd that is gone: a gap says so, and what there is comes; one that is none is passed over."""
    for path in ("events", "logs/numbers"):
        old = "1-1.7" if path == "events" else "1-1;1000;2000;numbers/1o99"
        with api.follow(f"/follow/{path}", {"Last-Event-ID": old}) as stream:
            first = next(stream.events())
            assert (first.name, first.data["skipped"]) == ("gap", None)
            assert "anew" in first.data["reason"]
        with api.follow(f"/follow/{path}?lines=1", {"Last-Event-ID": "; DROP TABLE"}) as stream:
            assert next(stream.events()).name != "gap"


def test_state_and_load_are_followed(daemon: Daemon, api: ApiClient) -> None:
    """First everything, then what changes; load once a second."""
    with api.follow("/follow/state") as stream:
        snapshot = next(stream.events())
        assert snapshot.name == "snapshot"
        assert {row["name"] for row in snapshot.data["snapshot"]["watchers"]} >= {"web", "off", "numbers"}
        daemon.call("add", name="brief", cmd="sleep 1000")
        assert stream.next("watcher").data["watcher"]["name"] == "brief"
        daemon.call("rm", name="brief", waiting=True)
        assert stream.next("removed").data["removed"] == "brief"
    with api.follow("/follow/load") as load:
        assert "web" in load.next("load").data["watchers"]


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("logs/numbrs", 404, "numbers"),
        ("logs/..%2F..%2Fetc", 404, ""),
        ("logs/numbers?lines=-1", 400, "lines"),
        ("logs/numbers?lines=10001", 400, "lines"),
        ("logs/numbers?stream=stdin", 400, "stdout"),
        ("logs/numbers?match=near", 400, "glob"),
        ("logs/(a%2B)%2B%24?match=regex", 404, ""),
        ("events?nam=web", 400, "name"),
        ("events?lines=x", 400, "lines"),
    ],
)  # fmt: skip
def test_wrong_streams_are_refused(api: ApiClient, path: str, status: int, word: str) -> None:
    """Before anything is sent, with a status and the right name."""
    answer = api.get(f"/follow/{path}")
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert word in answer.text


def test_end_of_the_session_ends_its_streams(daemon: Daemon) -> None:
    """The last word says why; those of others go on."""
    mine, other = ApiClient.of(daemon), ApiClient.of(daemon, "viewer")
    with mine.follow("/follow/events") as stream, other.follow("/follow/load") as going:
        headers = {"Cookie": f"circus_session={mine.token}", "X-CSRF-Token": csrf(mine)}
        assert mine.ask("POST", "/logout", b"", headers).status == 200
        last = list(stream.events())[-1]
        assert (last.name, last.data["code"]) == ("end", "no_session")
        assert going.next("load")
    assert mine.get("/list").status == 401


def csrf(client: ApiClient) -> str:
    """The token that the page of this session carries."""
    page = client.ask("GET", "/d/circus/", None, {"Cookie": f"circus_session={client.token}"})
    return page.text.partition('data-csrf="')[2].partition('"')[0]


def test_who_stops_reading_costs_little_and_is_let_go(daemon: Daemon, api: ApiClient) -> None:
    """Of a flood, circushttpd and circusd keep less than 2 MB for one who does not read; others are served; then he is cut off."""
    daemon.call("start", name="flood", waiting=True)
    (console_pid,) = daemon.pids("circushttpd")
    console, circusd = psutil.Process(console_pid), psutil.Process(daemon.pid)
    with api.follow("/follow/logs/flood") as other:
        for _ in range(2000):
            other.next("line")
        before = console.memory_info().rss
        with api.follow("/follow/logs/flood?lines=10000", timeout=90) as stuck:
            follows = daemon.call("inspect", name="web")["daemon"]
            assert follows
            for _ in range(5000):
                other.next("line")
            grown = console.memory_info().rss - before
            assert grown < 2 * MEGABYTE, f"{grown / MEGABYTE:.1f} MB"
            connection = stuck.connection.sock
            assert connection is not None
            eventually(
                lambda: is_gone(console, connection.getsockname()[1]),
                within=60,
                every=0.5,
                what="it is cut off",
            )
            assert next(event for event in other.events() if event.name in ("line", "gap"))
    daemon.call("stop", name="flood", waiting=True)
    assert circusd.is_running()


def is_gone(console: psutil.Process, port: int) -> bool:
    """Whether the console has no connection to that port any more."""
    return port not in {one.raddr.port for one in console.net_connections("tcp") if one.raddr}


def test_streams_end_with_the_daemon(tmp_path: Path) -> None:
    """At its end the console does not wait for those who follow, and each connection is closed."""
    with daemon_in(tmp_path) as daemon:
        api = ApiClient.of(daemon)
        streams: list[Stream] = [api.follow(f"/follow/{what}") for what in ("events", "state", "logs")]
        began = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10
        for stream in streams:
            last: list[Event | Any] = list(stream.events())[-1:]
            assert (
                last == []
                or last[0].name in ("end", "line")
                or "." in last[0].name
                or last[0].name in ("watcher", "snapshot")
            )
            stream.close()
