"""The live connection: what the daemon pushes reaches each page in order, and never faster than the page takes it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import socketio
from socketio.exceptions import BadNamespaceError

from circusweb import auth
from circusweb.app import person_of
from circusweb.auth import Credential
from circusweb.live import STATE_CREDIT
from circusweb.outputs import CREDIT as OUTPUT_CREDIT
from circusweb.outputs import WINDOW, Outputs
from tests.waiting import eventually
from tests.web.console import COOKIE, Console
from tests.web.staged import ADMIN, VIEWER, process, watcher


class Page:
    """What a page in a browser does, without the browser; ``reads`` off, it acknowledges nothing."""

    def __init__(
        self, console: Console, *, session: str = ADMIN, transport: str = "websocket", reads: bool = True
    ) -> None:
        self.items: list[tuple[int, str, Any]] = []
        self.batches: list[int] = []
        self.told: list[tuple[str, Any]] = []
        self.reads = reads
        self.http = requests.Session()
        self.http.headers["Cookie"] = f"{COOKIE}={session}"
        self.client = socketio.Client(reconnection=False, http_session=self.http)
        for event in ("up", "down", "over", "ended"):
            self.client.on(event, lambda *data, event=event: self.told.append((event, data)))
        self.client.on("live", self._live)
        self.client.connect(
            console.origin,
            headers={"Cookie": f"{COOKIE}={session}"},
            socketio_path="/d/stage/live",
            transports=[transport],
        )
        # Kept, as the library forgets it without closing it when the other side has ended it.
        self.socket = None if self.client.eio.ws is None else self.client.eio.ws.sock

    def _live(self, sequence: int, items: list[tuple[int, str, Any]]) -> None:
        self.batches.append(sequence)
        self.items += [(key, topic, data) for key, topic, data in items]
        if self.reads:
            # The last batch may come while the page is being closed.
            with contextlib.suppress(BadNamespaceError):
                self.client.emit("ack", sequence)

    def of(self, topic: str, key: int = 0) -> list[Any]:
        return [data for k, t, data in self.items if k == key and t == topic]

    def heard(self, event: str) -> bool:
        return any(name == event for name, _ in self.told)

    def open(self, watcher_name: str, key: int = 1, lines: int = 100) -> Any:
        """The answer to opening a log."""
        answers: list[Any] = []
        asked = {"key": key, "watchers": [watcher_name], "lines": lines}
        self.client.emit(
            "open", asked, callback=lambda *answer: answers.append(answer[0] if answer else None)
        )
        eventually(lambda: answers, what="the log is open")
        return answers[0]

    def close(self) -> None:
        """As when a browser closes the page: without a word."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.client.eio.wait()
            self.socket.close()
        else:
            self.client.disconnect()
            self.client.wait()
        self.http.close()


@pytest.fixture
def pages() -> Iterator[Callable[..., Page]]:
    """Opens pages; all are closed after the test."""
    made: list[Page] = []

    def make(console: Console, **more: Any) -> Page:
        made.append(Page(console, **more))
        return made[-1]

    yield make
    for page in made:
        page.close()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_snapshot_comes_first_then_changes(
    console: Console, pages: Callable[..., Page], transport: str
) -> None:
    """A page gets everything, then what changes, in order, and the load each second."""
    page = pages(console, transport=transport)
    eventually(lambda: page.of("state."), what="a snapshot")
    assert page.told[0][0] == "up"
    assert {w["name"] for w in page.of("state.")[0]["snapshot"]["watchers"]} == {"web", "loud"}
    for number in range(30):
        console.daemon.change(watcher("web", [process(1)], detail=str(number)))
    eventually(lambda: len(page.of("state.")) == 31, what="thirty changes")
    assert [data["watcher"]["detail"] for data in page.of("state.")[1:]] == [
        str(number) for number in range(30)
    ]
    eventually(lambda: page.of("load."), what="the load")


def test_batches_are_few(console: Console, pages: Callable[..., Page]) -> None:
    """A thousand pushes in a moment are some batches of 50 ms, not a thousand messages."""
    page = pages(console)
    eventually(lambda: page.of("state."))
    assert page.open("loud") is None
    for number in range(1, 1001):
        console.daemon.write("loud", [(number, f"line {number}")])
    eventually(lambda: len(page.of("output.loud.", 1)) == 1000, within=10)
    assert [row["lines"][0][0] for row in page.of("output.loud.", 1)] == list(range(1, 1001))
    assert len(page.batches) < 100
    assert page.batches == sorted(page.batches)


def test_credit_is_what_the_page_has_taken(console: Console, pages: Callable[..., Page]) -> None:
    """A page that reads gets more; the daemon is given back what was acknowledged, and nothing more."""
    page = pages(console)
    eventually(lambda: page.of("state."))
    page.open("loud")
    (stream,) = [s for s in console.daemon.streams if s.topics == ("output.loud.",)]
    sent = 0
    while stream.sent < 3 * OUTPUT_CREDIT:
        # Never more than what there is room for: nothing may be skipped here.
        eventually(lambda: stream.credit > OUTPUT_CREDIT // 4, what="credit comes back")
        for _ in range(20):
            sent += 1
            console.daemon.write("loud", [(sent, "x" * 1000)])
        eventually(lambda wanted=sent: len(page.of("output.loud.", 1)) == wanted, within=10)
    eventually(lambda: stream.credit > OUTPUT_CREDIT // 2, what="credit comes back")
    given = sum(row["bytes"] for row in console.daemon.asked("credit") if row["followed"] == stream.id)
    assert given <= stream.sent
    assert stream.skipped == 0


def test_page_that_stands_still_is_sent_no_more(console: Console, pages: Callable[..., Page]) -> None:
    """Without acknowledgements a page costs its credit and not a byte more, and learns how much it has missed."""
    page = pages(console, reads=False)
    eventually(lambda: page.of("state."))
    page.open("loud")
    (stream,) = [s for s in console.daemon.streams if s.topics == ("output.loud.",)]
    other = pages(console)
    eventually(lambda: other.of("state."))
    for number in range(1, 1001):
        console.daemon.write("loud", [(number, "x" * 1000)])
    eventually(lambda: stream.skipped > 0, what="the credit is used up")
    assert stream.sent < OUTPUT_CREDIT + 2000
    assert not [row for row in console.daemon.asked("credit") if row["followed"] == stream.id]
    # Nobody else waits for it.
    console.daemon.change(watcher("web", [process(1)], detail="seen"))
    eventually(lambda: any("watcher" in data for data in other.of("state.")), within=2)
    # It reads again, and is told what it has missed.
    page.reads = True
    page.client.emit("ack", page.batches[-1])
    eventually(lambda: stream.credit > 0, what="credit comes back")
    missed = stream.skipped
    console.daemon.write("loud", [(1001, "after")])
    eventually(lambda: page.of("output.loud.", 1)[-1]["lines"][0][2] == "after")
    assert page.of("output.loud.", 1)[-1]["skipped"] == missed


def test_lies_about_acknowledgements_gain_nothing(console: Console, pages: Callable[..., Page]) -> None:
    """What was never sent can't be acknowledged, and nothing twice."""
    page = pages(console, reads=False)
    eventually(lambda: page.of("state."))
    for lie in (10**9, -1, "many", None, 2.5, [1]):
        page.client.emit("ack", lie)
    # Its answer comes after all that was given back before.
    page.open("loud")
    assert sum(row["bytes"] for row in console.daemon.asked("credit")) <= STATE_CREDIT // 4 + 10_000


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {},
        {"key": 0, "watchers": ["web"], "lines": 1},
        {"key": "1", "watchers": ["web"]},
        {"key": 1, "watchers": 2},
        {"key": 1, "watchers": [2]},
    ],
)
def test_wrong_wishes_are_told(console: Console, pages: Callable[..., Page], asked: Any) -> None:
    """What is no log is not opened, and the page lives on."""
    page = pages(console)
    eventually(lambda: page.of("state."))
    answers: list[Any] = []
    page.client.emit("open", asked, callback=lambda *answer: answers.append(answer))
    eventually(lambda: answers)
    assert answers[0][0]["code"] == "bad_request"
    assert page.open("web") is None


def test_logs_at_once_have_a_limit(console: Console, pages: Callable[..., Page]) -> None:
    """Sixteen logs, and no more; one that is closed makes room."""
    page = pages(console)
    eventually(lambda: page.of("state."))
    for key in range(1, 17):
        assert page.open("web", key) is None
    assert page.open("web", 17)["code"] == "bad_request"
    page.client.emit("close", 3)
    assert page.open("web", 17) is None


def test_follows_end_with_the_page(console: Console, pages: Callable[..., Page]) -> None:
    """A page that is gone is followed for no more."""
    page = pages(console)
    page.open("loud")
    assert len(console.daemon.streams) == 2
    page.close()
    eventually(lambda: not console.daemon.streams, what="the daemon was told")


def test_log_that_opens_while_its_page_leaves_is_closed(
    own_console: Console, pages: Callable[..., Page]
) -> None:
    """The daemon's answer comes when the page is gone already: nothing stays open for nobody."""
    page = pages(own_console)
    eventually(lambda: page.of("state."))
    daemon = own_console.daemon
    daemon.gather["follow"] = 2
    page.client.emit("open", {"key": 1, "watchers": ["loud"], "lines": 10})
    eventually(lambda: daemon.waiting == 1, what="the log is asked for")
    assert own_console.post("/logout").status == 200
    eventually(lambda: not daemon.streams, what="the page has left")
    # The second request, of a page of somebody else, lets both have their answer.
    other = pages(own_console, session=VIEWER)
    eventually(lambda: other.of("state."))
    eventually(lambda: [stream.session for stream in daemon.streams] == [VIEWER], what="the log is closed")


def test_pages_that_leave_at_once_leave_nothing(console: Console) -> None:
    """Whatever the moment of the end: before the state is asked for, while it is, and after."""
    for pause in range(40):
        line, connection = console.upgrade()
        assert "101" in line
        with connection:
            connection.sendall(b"\x81\x82\x00\x00\x00\x00" + b"40")
            # The moment is what varies here; nothing is waited for.
            time.sleep(pause * 0.0005)
    eventually(lambda: len(console.daemon.asked("follow")) >= 20, what="they were pages")
    eventually(lambda: not console.daemon.streams, what="nothing is followed for them")


def test_follows_end_with_the_console(own_console: Console, pages: Callable[..., Page]) -> None:
    """A console that is killed leaves nothing that its next life could stumble over."""
    page = pages(own_console)
    eventually(lambda: page.of("state."))
    own_console.stop(9)
    page.client.eio.wait()
    own_console.start()
    again = pages(own_console)
    eventually(lambda: again.of("state."))


def test_page_outlives_the_daemon(own_console: Console, pages: Callable[..., Page]) -> None:
    """While circusd is away the page is told so; when it is back, everything begins anew by itself."""
    page = pages(own_console)
    eventually(lambda: page.of("state."))
    own_console.daemon.stop()
    eventually(lambda: page.heard("down"), what="the page is told")
    page.told.clear()
    page.items.clear()
    own_console.daemon.watchers["late"] = watcher("late", [process(1)])
    own_console.daemon.start()
    eventually(lambda: page.heard("up"), within=3, what="the daemon is back")
    eventually(lambda: page.of("state."))
    assert "late" in {w["name"] for w in page.of("state.")[0]["snapshot"]["watchers"]}


def test_session_that_ends_closes_its_pages(console: Console, pages: Callable[..., Page]) -> None:
    """A logout closes all pages of that session, and no others."""
    first, second, other = pages(console), pages(console), pages(console, session=VIEWER)
    for page in (first, second, other):
        eventually(lambda page=page: page.of("state."))
    assert console.post("/logout").status == 200
    for page in (first, second):
        eventually(lambda page=page: page.heard("over") and not page.client.connected)
    assert other.client.connected
    assert not other.heard("over")


def test_session_that_the_daemon_ends_is_over(own_console: Console, pages: Callable[..., Page]) -> None:
    """When circusd ends the stream, the page is closed."""
    page = pages(own_console)
    eventually(lambda: page.of("state."))
    session = "session-of-an-admin"
    own_console.daemon.answers["follow"] = lambda p: {
        "status": "error", "reason": "over", "errno": 5, "error": {"code": "no_session", "text": "over"},
    }  # fmt: skip
    (stream,) = [s for s in own_console.daemon.streams if s.session == session]
    stream.topics = (*stream.topics, "end.")
    own_console.daemon.push("end.", {"reason": "the session is over"})
    eventually(lambda: page.heard("over"), what="the page is told")


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_page_that_never_reads_is_let_go(console: Console) -> None:
    """A connection that takes no byte is closed after half a minute."""
    line, connection = console.upgrade()
    assert "101" in line
    with connection:
        # As a browser says "connect", and then nothing more: neither acknowledgements nor pongs.
        connection.sendall(b"\x81\x82\x00\x00\x00\x00" + b"40")
        eventually(lambda: console.daemon.streams, what="it is followed for")
        eventually(lambda: not console.daemon.streams, within=45, every=0.5, what="it is let go")


def test_console_lets_nobody_in_where_sessions_do_not_count(own_console: Console) -> None:
    """Before an endpoint that takes every request for its user's, the console stays closed, and says why."""
    own_console.stop()
    own_console.daemon.takes_anybody = True
    own_console.start(answers=503)
    eventually(
        lambda: "does not check sessions" in own_console.get("/session").json["detail"], what="the reason"
    )
    assert own_console.get("/d/stage/").status == 503
    assert own_console.post("/d/stage/api/v1/list", csrf=auth.csrf_token(ADMIN)).status == 503


def written(page: Page, key: int = 1) -> list[int]:
    """The numbers of the lines that have come, once each and in their order, as a page takes them."""
    numbers: list[int] = []
    for k, topic, data in page.items:
        if k == key and topic.startswith("output."):
            numbers += [line[0] for line in data["lines"] if line[0] > (numbers[-1] if numbers else 0)]
    return numbers


def log_streams(console: Console) -> list[Any]:
    """The streams of logs that the console follows."""
    return [stream for stream in console.daemon.streams if stream.topics[0].startswith("output.")]


def test_pages_share_the_stream_of_a_log(console: Console, pages: Callable[..., Page]) -> None:
    """However many follow it, circusd has one stream for it; each page has all lines, those of before and those of now."""
    daemon = console.daemon
    first = {"watcher": "loud", "wid": 1, "stream": "stdout", "pid": 20001, "skipped": 0}
    daemon.history["loud"] = [{**first, "lines": [[n, 1.0, f"old {n}"] for n in range(1, 51)]}]
    opened = [pages(console) for _ in range(4)]
    for page in opened:
        eventually(lambda page=page: page.of("state."))
        assert page.open("loud") is None
    number = 50

    def is_shared() -> bool:
        nonlocal number
        number += 1
        daemon.write("loud", [(number, f"new {number}")])
        return len(log_streams(console)) == 1

    eventually(is_shared, within=20, every=0.05, what="one stream is left")
    for page in opened:
        eventually(
            lambda page=page: written(page) == list(range(1, number + 1)), what="every page has every line"
        )
    opened[0].close()
    daemon.write("loud", [(number + 1, "last")])
    for page in opened[1:]:
        eventually(lambda page=page: written(page)[-1] == number + 1, what="the others go on")


def test_page_that_reads_nothing_leaves_the_others_their_log(
    console: Console, pages: Callable[..., Page]
) -> None:
    """It is passed over, and gets no more than its window; the others miss nothing."""
    daemon = console.daemon
    daemon.history["loud"] = []
    deaf, *others = pages(console), pages(console), pages(console)
    for page in (deaf, *others):
        eventually(lambda page=page: page.of("state."))
        assert page.open("loud") is None
    number = 0

    def write(length: int) -> None:
        nonlocal number
        number += 1
        daemon.write("loud", [(number, "x" * length)])

    def is_shared() -> bool:
        write(10)
        return len(log_streams(console)) == 1

    eventually(is_shared, within=20, every=0.05, what="one stream is left")
    deaf.reads = False
    for _ in range(60):
        write(30_000)
        eventually(lambda: written(others[0])[-1] == number, what="the others read on")
    for page in others:
        eventually(
            lambda page=page: written(page) == list(range(1, number + 1)), what="the others have every line"
        )
    sizes = sum(len(line[2]) for data in deaf.of("output.loud.", 1) for line in data["lines"])
    assert sizes <= WINDOW
    deaf.reads = True
    deaf.client.emit("ack", deaf.batches[-1])

    def reads_again() -> bool:
        if written(deaf)[-1] == number:
            return True
        write(10)
        return False

    eventually(reads_again, within=20, every=0.1, what="it goes on where it reads again")


def test_shared_stream_that_ends_is_followed_by_others(console: Console, pages: Callable[..., Page]) -> None:
    """Where the session that it was opened for is over, the pages of others read on."""
    daemon = console.daemon
    daemon.history["loud"] = []
    opened = [pages(console) for _ in range(3)]
    for page in opened:
        eventually(lambda page=page: page.of("state."))
        assert page.open("loud") is None
    number = 0

    def write() -> None:
        nonlocal number
        number += 1
        daemon.write("loud", [(number, "line")])

    def goes_on(streams: int) -> bool:
        if len(log_streams(console)) <= streams and all(written(page)[-1:] == [number] for page in opened):
            return True
        write()
        return False

    write()
    eventually(lambda: goes_on(1), within=20, every=0.1, what="they share")
    (stream,) = log_streams(console)
    daemon.end(stream)
    write()
    eventually(lambda: goes_on(3), within=20, every=0.1, what="they read on")


class FollowedBridge:
    """A daemon's side of follows: the sessions for which streams are open."""

    def __init__(self) -> None:
        self.sessions: list[str] = []

    def call(self, command: str, *, session: Credential) -> dict[str, Any]:
        return {"person": "ada", "role": "viewer", "token": "t", "watchers": json.loads(session.address)}

    def follow(self, topics: Any, *, session: str, **more: Any) -> Any:
        self.sessions.append(session)
        return SimpleNamespace(id=str(len(self.sessions)), close=lambda: self.sessions.remove(session))


@pytest.mark.parametrize(
    ("first", "second", "streams"),
    [
        ([], [], ["one", "two", "two"]),
        ([["web*"], ["web1"]], [["web*"], ["web1"]], ["one", "two", "two"]),
        ([["web*"], ["web1"]], [["web*", "web1"]], ["one", "two"]),
        ([["web", "queue"]], [["web queue"]], ["one", "two"]),
        ([], [["web"]], ["one", "two"]),
    ],
)
def test_logs_are_shared_by_those_alone_who_see_the_same(
    first: list[list[str]], second: list[list[str]], streams: list[str]
) -> None:
    """Two people have a stream together where their patterns are the same, list by list, whatever else they may do."""
    bridge: Any = FollowedBridge()
    outputs = Outputs()
    for name, role, patterns in (("one", "admin", first), ("two", "viewer", second)):
        told = person_of(bridge, Credential(name, address=json.dumps(patterns)))
        person = replace(told, name=name, role=role)
        outputs.log(bridge, person, ["output."], lambda *push: None, lambda problem: None).open(0)
    assert bridge.sessions == streams
