"""A deploy on the pages: how far it is, what it waits for, why it was given up; and the way to end it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.waiting import eventually
from tests.web.console import Console
from tests.web.staged import VIEWER, process, refused, watcher
from tests.web.test_overview import seen

HOSTILE = "<img src=x onerror=\"document.title='hacked'\">\u202e loading"


def deployed(console: Console, **more: Any) -> None:
    """A watcher of which the second of two new processes is not ready."""
    now = time.time()
    job = {"id": 9, "command": "reload", "done": 1, "total": 2, "since": now, "waiting": []}
    console.daemon.watchers = {
        "web": watcher(
            "web",
            [
                process(1, "ready", side="old"),
                process(2, "ready", side="old"),
                process(3, "ready", side="new"),
                process(4, awaits="notify", ready_by=now + 50, side="new", said=HOSTILE),
            ],
            state="starting",
            detail="reloading 1 of 2",
            explain="It is being reloaded: 1 of 2 new processes are ready. Process 4 is not ready yet, and has 50 s left: "
            f"it has not said READY=1, but: {HOSTILE}.",
            numprocesses=2,
            job={**job, "text": f"process 4 is not ready yet: it has not said READY=1, but: {HOSTILE}"},
            **more,
        )
    }


@pytest.mark.parametrize("path", ["/d/stage/w/web", "/d/stage/"])
def test_how_far_it_is_and_what_it_waits_for_is_shown(browser: Browser, console: Console, path: str) -> None:
    """On the watcher's page, with which are old and which are new and how long there is; on the overview in short."""
    deployed(console)
    with seen(browser, console.origin, path) as page:
        expect(page.get_by_text("reloading 1 of 2", exact=True)).to_be_visible()
        if path.endswith("web"):
            strip = page.get_by_role("group", name="Reload of web")
            expect(strip).to_contain_text("reloading, 1 of 2 ready")
            expect(strip).to_contain_text("it has not said READY=1, but: <img src=x")
            states = page.locator(".procs .k-state .st")
            expect(states.first).to_have_text("running, old")
            expect(states.nth(2)).to_have_text("running, new")
            expect(states.nth(3)).to_contain_text("not ready, ")
            expect(page.locator(".explain .now")).to_contain_text("has ")
        assert page.title() != "hacked"
        assert page.locator("img").count() == 0


def test_it_can_be_ended_where_it_is_shown(browser: Browser, console: Console) -> None:
    """By its id; what the daemon says against it stands there. Who may only look sees that he may not."""
    deployed(console)
    console.daemon.answers["cancel"] = lambda p: refused("conflict", "it is being undone")
    with seen(browser, console.origin, "/d/stage/w/web") as page:
        button = page.get_by_role("group", name="Reload of web").get_by_role("button", name="Cancel")
        assert button.get_attribute("data-ctl") == "circusctl cancel 9"
        button.click()
        expect(page.get_by_role("group", name="Reload of web")).to_contain_text("it is being undone")
        assert console.daemon.asked("cancel") == [{"id": 9}]
    with seen(browser, console.origin, "/d/stage/w/web", session=VIEWER) as page:
        button = page.get_by_role("group", name="Reload of web").get_by_role("button", name="Cancel")
        assert button.get_attribute("aria-disabled") == "true"
        button.click(force=True)
        assert console.daemon.asked("cancel") == [{"id": 9}]


def test_one_that_was_given_up_is_told_until_another_goes_well(browser: Browser, console: Console) -> None:
    """With the button that tries it again; nothing of it stays afterwards."""
    said = "All 2 processes run. Its last reload was given up: process 3 exited with code 1; the old processes stay."
    calm = watcher("web", [process(1), process(2)])
    console.daemon.watchers = {
        "web": {
            **calm,
            "setback": "process 3 exited with code 1",
            "explain": said,
            "detail": "reload failed",
        }
    }
    with seen(browser, console.origin, "/d/stage/w/web") as page:
        strip = page.get_by_role("group", name="Reload of web")
        expect(strip).to_contain_text("The last reload was given up")
        expect(page.locator(".explain").first).to_contain_text("process 3 exited with code 1")
        strip.get_by_role("button", name="Reload again").click()
        eventually(lambda: console.daemon.asked("reload"), within=10)
        console.daemon.change({**calm, "setback": ""})
        expect(strip).to_have_count(0)
