"""Health on the pages: that a process is unhealthy, and what its last look has found, as text and never by colour alone."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, expect

from tests.web.console import Console
from tests.web.staged import process, watcher
from tests.web.test_access import Looked
from tests.web.test_overview import seen

HOSTILE = "status 503: <img src=x onerror=\"document.title='hacked'\">\u202e is \x1b[2Jdown"


def staged(console: Console) -> None:
    """A watcher of three: one is well, one is not, one has failed a look."""
    now = time.time()
    known = {"since": now - 60, "failures": 0, "text": ""}
    console.daemon.watchers = {
        "web": watcher(
            "web",
            [
                process(1, health={**known, "state": "healthy"}),
                process(2, health={**known, "state": "unhealthy", "failures": 3, "text": HOSTILE}),
                process(
                    3, health={**known, "state": "healthy", "failures": 1, "text": "no answer within 5 s"}
                ),
            ],
            state="unhealthy",
            detail="1 unhealthy",
            explain=f"All 3 processes run. Process 2 has been unhealthy for 60 s: {HOSTILE}; it is replaced now.",
            numprocesses=3,
        ),
        "plain": watcher("plain", [process(1)]),
    }


def test_who_is_unhealthy_and_why_stands_on_each_page(browser: Browser, console: Console) -> None:
    """First on the overview, in the processes' table, and on the process's own page; what a server said is text."""
    staged(console)
    with seen(browser, console.origin, "/d/stage/") as page:
        expect(page.get_by_text("active, 1 unhealthy", exact=True)).to_be_visible()
        expect(page.get_by_role("img", name="2 running, 1 unhealthy")).to_be_visible()
        expect(page.locator("tbody tr[data-row]").first).to_contain_text("web")
        expect(page.locator("tbody tr[data-row]").first).to_contain_text(
            "2 unhealthy: status 503: <img src=x"
        )
        page.get_by_role("link", name="web", exact=True).first.click()
        states = page.locator(".procs td.k-state")
        expect(states.nth(0)).to_have_text("healthy")
        expect(states.nth(1).locator(".st")).to_have_text("unhealthy")
        expect(states.nth(1)).to_contain_text("status 503: <img src=x")
        expect(states.nth(2)).to_have_text("healthyno answer within 5 s")
        expect(page.locator(".procs tr.ill")).to_have_count(1)
        Looked(page, {}).finds_nothing("a watcher with an unhealthy process")
        page.locator(".procs a.say-not").nth(1).click()
        expect(page.locator(".face .explain")).to_contain_text("It is unhealthy since")
        expect(page.locator(".face .explain")).to_contain_text("status 503: <img src=x")
        assert page.title() != "hacked"
        assert page.locator("img").count() == 0
