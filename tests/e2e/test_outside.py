"""Starts that wait for what is no watcher: real sockets that are opened while circusd looks at them."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import Refused
from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually

INI = """
[watcher:web]
cmd = sleep 1000
depends_on = tcp://localhost:{tcp} db
outside_interval = 0.1

[watcher:worker]
cmd = sleep 1000
depends_on = unix:{folder}/app.sock
outside_interval = 0.1

[watcher:page]
cmd = sleep 1000
depends_on = http://127.0.0.1:{http}/up
outside_interval = 0.1
outside_timeout = 0.3

[watcher:stays]
cmd = sleep 1000
depends_on = tcp://127.0.0.1:{never}
outside_interval = 60

[watcher:db]
cmd = sleep 1000
"""


class Outside:
    """The daemon, and where what it waits for may be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tcp, self.http, self.never = free_port(), free_port(), free_port()
        text = INI.format(folder=folder, tcp=self.tcp, http=self.http, never=self.never)
        self.daemon = Daemon(text, folder)

    def explain(self, name: str) -> str:
        return str(self.daemon.watcher(name)["explain"])

    def need(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.daemon.watcher(name)["needs"][0]
        return found


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    found = Outside(tmp_path_factory.mktemp("outside"))
    with found.daemon:
        yield found


def test_it_says_what_it_waits_for_and_goes_on_when_that_answers(outside: Outside) -> None:
    """How often it was looked at and when next is told, each look is no event; the graph has it as a round box, the timeline as
    what was waited for last."""
    daemon, address = outside.daemon, f"tcp://localhost:{outside.tcp}"
    eventually(lambda: outside.need("web")["asked"] >= 3, within=20, what="it is asked again and again")
    assert f"waits for {address}: connection refused, asked " in outside.explain("web")
    assert " times, next in 0." in outside.explain("web") or "is looked at now" in outside.explain("web")
    waiting = [
        e for e in daemon.call("events", name="web", lines=50)["events"] if e["event"] == "watcher.waiting"
    ]
    assert 1 <= len(waiting) <= 2  # once more where the database was not up yet
    assert f"{address} (not yet), db ready" in daemon.ctl("graph").stdout
    assert '<br>connection refused"])' in daemon.ctl("graph", "web", "--mermaid").stdout
    row = next(row for row in daemon.call("graph", name="web")["watchers"] if row["name"] == address)
    assert (row["status"], row["state"], row["needs"]) == ("outside", "connection refused", [])
    with socket.create_server(("127.0.0.1", outside.tcp)):
        assert daemon.ctl("wait", "web", "--for", "running", "--timeout", "20").returncode == 0
        assert outside.need("web")["met"] is True
        assert outside.need("web")["next"] is None
        assert daemon.ctl("explain", "web").stdout.count(address) == 0
    # Nobody watches it any more, but who asks is told.
    eventually(
        lambda: (
            f"{address}, which it depends on, does not answer now: connection refused."
            in daemon.ctl("explain", "web").stdout
        ),
        what="the look of a moment ago is over",
    )
    assert daemon.watcher("web")["state"] == "running"
    started = next(row for row in daemon.call("timeline")["watchers"] if row["name"] == "web")
    assert started["after"] == address
    # It has answered for that start; the next one asks anew.
    daemon.ctl("restart", "web")
    eventually(lambda: "connection refused" in outside.explain("web"), within=20, what="it waits again")
    daemon.ctl("stop", "web", "--waiting")
    eventually(lambda: outside.need("web")["next"] is None, within=20, what="nobody looks any more")


def test_a_unix_socket_is_waited_for(outside: Outside) -> None:
    """One that is not there, one that nobody listens at, one that takes connections."""
    path = outside.folder / "app.sock"
    eventually(lambda: "no such file or directory, asked" in outside.explain("worker"), within=20)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        eventually(lambda: "connection refused, asked" in outside.explain("worker"), within=20)
        listening.listen()
        assert outside.daemon.ctl("wait", "worker", "--for", "running", "--timeout", "20").returncode == 0


def test_a_page_is_waited_for(outside: Outside) -> None:
    """Neither one that never answers nor one that says no is enough."""
    with socket.create_server(("127.0.0.1", outside.http)):
        eventually(lambda: "no answer within 0.3 s, asked" in outside.explain("page"), within=20)
    status = [503]

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/up" else 404)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", outside.http), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            eventually(lambda: "status 503, asked" in outside.explain("page"), within=20)
            status[0] = 204
            assert outside.daemon.ctl("wait", "page", "--for", "running", "--timeout", "20").returncode == 0
        finally:
            server.shutdown()
            thread.join()


def test_what_waits_long_is_asked_at_once_when_it_is_started_anew_and_can_be_changed(
    outside: Outside,
) -> None:
    """Nobody has to wait for the interval of before; without the address the next start goes ahead."""
    daemon = outside.daemon
    eventually(lambda: "asked once, next in" in outside.explain("stays"), within=20)
    daemon.ctl("stop", "stays", "--waiting")
    daemon.call("set", name="stays", options={"depends_on": f"tcp://127.0.0.1:{outside.never} db"})
    with socket.create_server(("127.0.0.1", outside.never)):
        daemon.ctl("start", "stays", "--waiting", timeout=20)
    daemon.ctl("stop", "stays", "--waiting")
    daemon.call("set", name="stays", options={"depends_on": "db"})
    daemon.ctl("start", "stays", "--waiting", timeout=20)
    for wrong, problem in (
        ("tcp://:1", "has no host"),
        ("tcp://a", "has no port"),
        ("exec:true", "the condition 'true', which there is not"),
    ):
        with pytest.raises(Refused, match=problem):
            daemon.call("set", name="stays", options={"depends_on": wrong})
