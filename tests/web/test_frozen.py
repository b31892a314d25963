"""What stands still, and what is said to processes, on the pages: seen, done, and refused with the reason."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, expect

from tests.waiting import eventually
from tests.web.console import Console
from tests.web.staged import VIEWER, process, refused, watcher
from tests.web.test_access import Looked
from tests.web.test_overview import seen

HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"


def shown(console: Console) -> None:
    """One process of two is frozen, both have a pipe as standard input; of another watcher both are closed."""
    frozen = process(
        2, "frozen", pid=20002, frozen_by=HOSTILE, thaw_at=time.time() + 90, stdin="open", awaits="probe"
    )
    console.daemon.watchers = {
        "web": watcher(
            "web", [process(1, stdin="open"), frozen], state="frozen", detail="1 frozen", numprocesses=2
        ),
        "shut": watcher("shut", [process(1, stdin="closed")]),
        "plain": watcher("plain", [process(1)]),
    }


def test_a_frozen_process_is_seen_and_thawed_where_it_is_shown(browser: Browser, console: Console) -> None:
    """On the overview, at its watcher and on its own page; by a shape of its own and a word."""
    shown(console)
    with seen(browser, console.origin, "/d/stage/") as page:
        row = page.locator('tr[data-watcher="web"]')
        expect(row.locator(".st").first).to_have_text("active, 1 frozen")
        expect(row.locator(".pips")).to_have_attribute("aria-label", "1 running, 1 frozen")
        expect(row.locator('.st use[href="#s-still"]')).to_have_count(1)
        row.get_by_role("link", name="web").click()
        state = page.locator("tr[data-wid='2'] .k-state .st")
        expect(state).to_contain_text("frozen, ")
        expect(state).to_contain_text("left")
        thaw = page.get_by_role("button", name="Thaw")
        assert thaw.get_attribute("data-ctl") == "circusctl thaw web"
        Looked(page, {}).finds_nothing("a frozen watcher")
        thaw.click()
        eventually(lambda: console.daemon.asked("thaw") == [{"name": "web"}])
        page.goto(page.url.replace("/w/web", "/p/web/2"))
        expect(page.locator(".explain")).to_contain_text("It was frozen by <img src=x")
        page.get_by_role("button", name="Thaw").click()
        eventually(lambda: console.daemon.asked("thaw")[1:] == [{"name": "web", "pid": 20002}])
        page.goto(page.url.replace("/p/web/2", "/w/plain"))
        page.get_by_role("link", name="Freeze…").click()
        expect(page.locator("#f-name")).to_have_value("plain")
        expect(page.locator("#f-seconds")).to_be_visible()
        assert page.title() != "hacked"


def test_a_line_goes_to_the_processes_that_take_input(browser: Browser, console: Console) -> None:
    """To all or to one; what came of it stands below, and what went wrong loses nothing that was typed."""
    shown(console)
    console.daemon.answers["input"] = lambda p: refused(
        "conflict", f"process 1 of web does not read {HOSTILE}"
    )
    with seen(browser, console.origin, "/d/stage/w/web") as page:
        line = page.get_by_label("Input", exact=True).and_(page.locator("input"))
        Looked(page, {}).finds_nothing("the line for input")
        line.fill("save all")
        line.press("Enter")
        expect(page.locator(".send .came")).to_contain_text("does not read <img src=x")
        expect(line).to_have_value("save all")
        console.daemon.answers["input"] = lambda p: {"sent": [20001], "bytes": 9}
        page.get_by_label("To", exact=True).select_option("20001")
        send = page.get_by_role("button", name="Send", exact=True)
        assert send.get_attribute("data-ctl") == "circusctl input --pid 20001 web 'save all'"
        send.click()
        expect(page.locator(".send .came")).to_contain_text("Sent 9 bytes to 1 process")
        expect(line).to_have_value("")
        page.get_by_role("button", name="End input").click()
        expect(page.locator(".send .came")).to_contain_text("has ended")
        asked = [{k: v for k, v in one.items() if k != "progress"} for one in console.daemon.asked("input")]
        assert asked == [
            {"name": "web", "text": "save all"},
            {"name": "web", "text": "save all", "pid": 20001},
            {"name": "web", "pid": 20001, "eof": True},
        ]
        page.goto(page.url.replace("/w/web", "/w/shut"))
        expect(page.locator("#send-text")).to_be_disabled()
        expect(page.locator(".send .came")).to_contain_text("is closed")
        page.goto(page.url.replace("/w/shut", "/w/plain"))
        expect(page.locator("tr[data-wid]")).to_have_count(1)
        expect(page.locator(".send")).to_have_count(0)
        assert page.title() != "hacked"
    with seen(browser, console.origin, "/d/stage/w/web", session=VIEWER) as page:
        expect(page.locator("#send-text")).to_be_disabled()
        expect(page.locator(".send .came")).to_contain_text("this needs admin")
