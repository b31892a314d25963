"""The other pages before a real circusd: real sockets with clients, a real plugin, real files, and a first watcher."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.browser import opened

PLUGIN = """
from circus.plugins import CircusPlugin

class Notes(CircusPlugin):
    name = "notes"

    def handle_recv(self, data):
        pass
"""

INI = """\
[circus]
httpd = 1
httpd_port = 0

[env]
PYTHONPATH = {folder}

[plugin:notes]
use = notes.Notes
api_token = not-to-be-seen
graceful_timeout = 5

[socket:front]
host = 127.0.0.1
port = 0
backlog = 5

[watcher:web]
cmd = sleep 1000
; two are enough
numprocesses = 2
use_sockets = true
graceful_timeout = 5
"""


@pytest.fixture
def circusd(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a socket, a plugin, a watcher and the console."""
    (tmp_path / "notes.py").write_text(PLUGIN)
    with Daemon(INI.format(folder=tmp_path), tmp_path) as daemon:
        yield daemon


def go(page: Page, circusd: Daemon, part: str) -> None:
    """That page, in by a one-time link, and live."""
    page.goto(circusd.call("weblink", role="admin")["link"])
    page.wait_for_url("**/d/circus/")
    page.goto(f"{page.url}{part}")
    page.get_by_text("live", exact=True).wait_for(state="attached")


LAZY = """\
[circus]
httpd = 1
httpd_port = 0

[socket:front]
host = 127.0.0.1
port = 0

[watcher:lazy]
cmd = {python} {folder}/serve.py $(circus.sockets.front)
numprocesses = 2
on_demand = true
"""

SERVE = """
import socket, sys
s, held = socket.socket(fileno=int(sys.argv[1])), []
s.setblocking(True)
while True:
    held.append(s.accept()[0])
    held[-1].sendall(b"here")
"""


def test_a_watcher_that_waits_for_a_connection_is_shown_so_until_one_comes(
    browser: Browser, tmp_path: Path
) -> None:
    """In the list, on its own page and among the sockets; a shape and a word, and nobody is needed."""
    (tmp_path / "serve.py").write_text(SERVE)
    with (
        Daemon(LAZY.format(python=sys.executable, folder=tmp_path), tmp_path) as circusd,
        opened(browser, "about:blank") as page,
    ):
        go(page, circusd, "")
        row = page.locator('tr[data-watcher="lazy"]')
        expect(row.locator(".st")).to_have_text("waiting, socket")
        expect(row.locator(".pips")).to_have_attribute("aria-label", "2 waiting")
        expect(page.locator("#page")).to_contain_text("1 watcher waits for a connection")
        go(page, circusd, "sockets/")
        held = page.locator('tr[data-socket="front"] .c-held')
        expect(held).to_contain_text("started by a connection")
        go(page, circusd, "w/lazy")
        expect(page.locator("#page")).to_contain_text("the first one starts its 2 processes")
        expect(page.locator('#page [role="treegrid"] .st').first).to_have_text("waiting")
        port = next(one["port"] for one in circusd.call("listsockets")["sockets"] if one["name"] == "front")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            assert client.recv(10) == b"here"
            expect(page.locator("#page")).to_contain_text("All 2 processes run.")
            go(page, circusd, "sockets/")
            expect(held).to_contain_text("2 processes")


def test_a_client_that_waits_is_seen_in_the_queue(browser: Browser, circusd: Daemon) -> None:
    """Nobody accepts here; a socket that is added by the form stands on the page, and one that is removed does not."""
    with opened(browser, "about:blank") as page:
        go(page, circusd, "sockets/")
        row = page.locator('tr[data-socket="front"]')
        expect(row.locator(".c-queue")).to_contain_text("0 of 5")
        found = next(one for one in circusd.call("listsockets")["sockets"] if one["name"] == "front")
        expect(row.locator(".c-address")).to_have_text(f"127.0.0.1:{found['port']}")
        for pid in circusd.pids("web"):
            expect(row.locator(".c-held")).to_contain_text(str(pid))
        with socket.create_connection(("127.0.0.1", found["port"])):
            expect(row.locator(".c-queue")).to_contain_text("1 of 5")
        page.get_by_role("link", name="Add socket").click()
        page.locator("#f-name").fill("extra")
        page.locator("#find-option").fill("port")
        page.locator("#o-port").fill("0")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
        page.keyboard.press("Escape")
        page.locator("#page").click(position={"x": 4, "y": 4})
        page.keyboard.press("g")
        page.keyboard.press("s")
        page.get_by_role("link", name="Remove extra").click()
        page.locator("#f-force").check()
        page.locator("#run").click()
        page.locator("#confirm-word").fill("rmsocket")
        page.locator("#confirm-yes").click()
        eventually(lambda: "extra" not in str(circusd.call("listsockets")), what="it is closed")


def test_a_plugin_that_hears_is_told_so(browser: Browser, circusd: Daemon) -> None:
    """With its process, until it is stopped; its secret is nowhere on the page."""
    with opened(browser, "about:blank") as page:
        go(page, circusd, "plugins/")
        plugin = page.locator('[data-plugin="notes"]')
        expect(plugin).to_contain_text("events, for", timeout=20_000)
        expect(plugin).to_contain_text(str(circusd.pids("plugin:notes")[0]))
        assert "not-to-be-seen" not in page.content()
        plugin.locator('button[data-what="stop"]').click()
        expect(plugin).to_contain_text("not connected", timeout=10_000)
        expect(plugin.locator(".st").first).to_have_text("stopped")


def test_a_change_is_saved_and_taken_back(browser: Browser, circusd: Daemon) -> None:
    """What is shown is what stands in the file then; a file that somebody has edited is not written over; and the way back."""
    before = circusd.config.read_text()
    with opened(browser, "about:blank") as page:
        go(page, circusd, "daemon/")
        expect(page.locator(".drift")).to_contain_text("What is in force is what the files say")
        circusd.call("incr", name="web", waiting=True)
        expect(page.locator('[data-drift="run-time"]')).to_contain_text("web changed", timeout=15_000)
        page.locator("#show-save").click()
        expect(page.locator(".diff .come")).to_have_text("+numprocesses = 3")
        assert circusd.config.read_text() == before
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("Written")
        assert circusd.config.read_text() == before.replace("numprocesses = 2", "numprocesses = 3")
        page.locator("#show-undo").click()
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("As before the save")
        assert circusd.config.read_text() == before
        edited = before.replace("graceful_timeout = 5\n", "graceful_timeout = 6\n")
        circusd.config.write_text(edited)
        page.locator("#show-save").click()
        expect(page.get_by_role("alert")).to_contain_text("has changed on disk since it was read")
        page.locator("#show-force").click()
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("Written")
        assert circusd.config.read_text() == edited.replace("numprocesses = 2", "numprocesses = 3")
        page.locator("#show-reload").click()
        expect(page.locator(".trial")).to_contain_text("graceful_timeout")
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("Reloaded")
        assert circusd.call("get", name="web", keys=["graceful_timeout"])["options"] == {
            "graceful_timeout": 6
        }


def test_what_is_under_way_is_seen_and_cancelled(browser: Browser, circusd: Daemon) -> None:
    """A start that takes its time ends, and says how far it came."""
    circusd.call("set", name="web", options={"warmup_delay": 600}, waiting=True)
    circusd.call("incr", name="web", nb=3)
    with opened(browser, "about:blank") as page:
        go(page, circusd, "daemon/")
        page.get_by_role("button", name=re.compile("^Cancel incr web")).click()
        expect(page.get_by_text("No command is under way")).to_be_visible()
    assert circusd.call("jobs")["jobs"] == []


def test_from_an_empty_daemon_to_a_running_watcher_that_stays(browser: Browser, tmp_path: Path) -> None:
    """A command is typed, started and seen; then it is written into the file, and the next daemon has it."""
    with (
        Daemon("[circus]\nhttpd = 1\nhttpd_port = 0\n", tmp_path) as circusd,
        opened(browser, "about:blank") as page,
    ):
        go(page, circusd, "")
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is watched yet")
        page.get_by_role("button", name="A clock").click()
        page.locator("#first-start").click()
        page.wait_for_url("**/w/clock")
        expect(page.get_by_role("heading", level=1)).to_have_text("clock")
        expect(page.locator(".rows .tx").first).to_be_visible()
        assert len(circusd.pids("clock")) == 1
        page.keyboard.press("g")
        page.keyboard.press("d")
        page.locator("#show-save").click()
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("Written")
    with Daemon(circusd.config.read_text(), tmp_path) as again:
        assert len(again.pids("clock")) == 1


def test_a_first_watcher_that_cannot_run_leads_to_its_page(browser: Browser, tmp_path: Path) -> None:
    """Which says why."""
    with (
        Daemon("[circus]\nhttpd = 1\nhttpd_port = 0\n", tmp_path) as circusd,
        opened(browser, "about:blank") as page,
    ):
        go(page, circusd, "")
        page.locator("#first-cmd").fill("/no/such/program")
        page.locator("#first-start").click()
        page.wait_for_url("**/w/program")
        expect(page.locator(".explain").first).to_contain_text("/no/such/program")
