"""What circusd does to processes by itself, on the pages: why one was replaced, and that files are watched."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, expect

from tests.web.console import Console
from tests.web.staged import process, watcher
from tests.web.test_overview import seen

HOSTILE = "<img src=x onerror=\"document.title='hacked'\">.py changed"


def test_why_a_process_was_replaced_is_told_where_it_is_shown(browser: Browser, console: Console) -> None:
    """On the watcher's page with the time that it has left, on its own page, and as text whatever is in it."""
    why = "it held 612 MiB for 30 s, more than 512 MiB"
    console.daemon.watchers = {
        "web": watcher(
            "web",
            [process(1, "stopping", replaced=why, stop_by=time.time() + 50), process(2, replaced=HOSTILE)],
            detail="1 being replaced",
            explain=f"1 of 2 processes runs. Process 1 is being replaced because {why}. It was restarted because {HOSTILE}.",
            watched={"files": 12, "folders": 3, "problem": ""},
        ),
        "lost": watcher(
            "lost",
            [process(1)],
            detail="watch failed",
            explain="The process runs. It is not seen when its files change: the limit is reached.",
            watched={"files": 0, "folders": 0, "problem": "the limit is reached"},
        ),
    }
    with seen(browser, console.origin, "/d/stage/w/web") as page:
        expect(page.locator(".face")).to_contain_text("active, 1 being replaced")
        expect(page.locator(".face")).to_contain_text(f"because {why}. It was restarted because <img src=x")
        expect(page.locator(".face .tag")).to_have_text(["watches 12 files"])
        expect(page.locator(".procs .k-state .st").first).to_contain_text("replaced, ")
        page.goto(f"{console.origin}/d/stage/p/web/1")
        expect(page.locator(".face")).to_contain_text(f"It is being replaced because {why}.")
        page.goto(f"{console.origin}/d/stage/p/web/2")
        expect(page.locator(".face")).to_contain_text("The one before it was replaced because <img src=x")
        page.goto(f"{console.origin}/d/stage/")
        expect(page.get_by_role("button", name="Needs you 1")).to_be_visible()
        assert page.title() != "hacked"
        assert page.locator("img").count() == 0
