"""The page of dependencies, before a daemon that answers whatever a test wants answered."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web import scenes
from tests.web.console import Console
from tests.web.scenes import outside, tied
from tests.web.staged import watcher
from tests.web.test_modules import ask
from tests.web.test_modules import page as plain
from tests.web.test_more_pages import HOSTILE, heading, seen

__all__ = ["plain"]


@pytest.fixture
def scene(console: Console) -> Console:
    """The staged daemon has an application of several watchers."""
    scenes.set_graph(console.daemon)
    return console


def node(page: Page, name: str) -> Any:
    return page.locator(f'.node[data-node="{name}"]')


def test_who_needs_whom_is_drawn_and_goes_with_what_happens(browser: Browser, scene: Console) -> None:
    """In layers, with the condition of each line, in a picture and in a table; those that stand apart are folded away."""
    stage = scene.daemon
    with seen(browser, scene, "graph/") as page:
        expect(page.locator(".explain").first).to_contain_text(
            "5 watchers need others or are needed. 2 wait for"
        )
        left = {
            name: node(page, name).bounding_box()["x"] for name in ("db", "cache", "migrate", "web", "proxy")
        }
        assert left["db"] == left["cache"] < left["migrate"] < left["web"] < left["proxy"]
        web = node(page, "web")
        expect(web).to_contain_text("waits for migrate, tcp:…")
        expect(web.locator(".how")).to_have_text(["ready", "started", "ended well", "answers"])
        assert "Needs db ready (there), cache started (there), migrate ended well (not yet)" in str(
            web.get_attribute("aria-label")
        )
        expect(page.locator("path.way")).to_have_count(6)
        expect(page.locator("path.way.missing")).to_have_count(3)
        # What is no watcher is there too, and leads nowhere.
        mail = node(page, "tcp://mail:25")
        expect(mail).to_have_attribute(
            "aria-label", "tcp://mail:25: connection refused, asked 3 times, next in 10 min"
        )
        assert mail.get_attribute("href") is None
        expect(page.locator('[data-tied="tcp://mail:25"] .c-users')).to_have_text("web")
        row = page.locator('[data-tied="web"]')
        expect(row).to_contain_text("ended well, not yet")
        expect(row.locator(".c-users")).to_have_text("proxy")
        apart = page.locator(".alone")
        expect(apart.locator("a", has_text="apart")).to_be_hidden()
        apart.locator("summary").click()
        expect(apart.locator("a", has_text="apart")).to_be_visible()
        # One change of what is needed is told of itself alone, and all that need it are drawn anew.
        stage.change(
            tied("migrate", "db:ready", meets=("completed", "completed_successfully"), state="completed")
        )
        expect(page.locator("path.way.missing")).to_have_count(2)
        # Once it has answered it is not watched: when that was is all that is said.
        web_row = stage.watchers["web"]
        answered = outside("tcp://mail:25", met=True, problem="", next=None, answered=time.time())
        stage.change({**web_row, "needs": [*web_row["needs"][:-1], answered]})
        expect(mail).to_have_attribute(
            "aria-label", re.compile(r"^tcp://mail:25: answered at \d\d:\d\d:\d\d$")
        )
        stage.change(tied("web", "db:ready", "migrate:completed_successfully"))
        expect(page.locator("path.way")).to_have_count(4)
        expect(page.locator("path.way.missing")).to_have_count(0)
        expect(row).to_contain_text("active")
        web_row = stage.watchers["web"]
        stage.change({**web_row, "needs": [*web_row["needs"], outside("tcp://mail:25", next=None)]})
        expect(page.locator(".explain").first).to_contain_text(
            "1 runs though what was needed is not there any more."
        )


def test_arrow_keys_go_through_the_picture_and_enter_leads_to_the_watcher(
    browser: Browser, scene: Console
) -> None:
    """It is one stop of Tab; what stands beside the one that has the focus is shown, and the rest is faint."""
    scene.daemon.watchers["odd"] = tied(HOSTILE, "web:ready")
    with seen(browser, scene, "graph/") as page:
        expect(page.locator('.node[tabindex="0"]')).to_have_count(1)
        node(page, "cache").focus()
        expect(page.locator("path.way.near")).to_have_count(1)
        page.keyboard.press("ArrowRight")
        expect(node(page, "web")).to_be_focused()
        expect(page.locator("path.way.near")).to_have_count(6)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        expect(node(page, "db")).to_be_focused()
        expect(page.locator('a.node[tabindex="0"]')).to_have_attribute("data-node", "db")
        page.keyboard.press("Enter")
        page.wait_for_url("**/w/db")
        page.goto(f"{scene.origin}/d/stage/w/web")
        # What was told with a moment goes on counting on the watcher's page.
        expect(page.locator(".now")).to_have_text("next in 10\u00a0min")
        page.keyboard.press("g")
        page.keyboard.press("g")
        expect(heading(page)).to_have_text("Dependencies")
        expect(page.locator("a.node")).to_have_count(6)
        expect(page).to_have_title(re.compile("^Dependencies · "))


def test_where_nobody_needs_anybody_it_says_how(browser: Browser, console: Console) -> None:
    """A watcher of which nothing is told about needs, and one whose need is not to be seen, stand apart."""
    console.daemon.watchers["hidden"] = watcher("hidden", needs=[{"name": "secret", "condition": "ready"}])
    with seen(browser, console, "graph/") as page:
        expect(page.get_by_text("No watcher depends on another")).to_be_visible()
        expect(page.locator(".alone summary")).to_contain_text("3 watchers need nothing")
        expect(page.locator("a.node")).to_have_count(0)


def test_hundreds_are_laid_out_at_once_and_none_on_another(plain: Page) -> None:
    """200 with 400 needs: in columns by depth, no two in one place; a ring is no endless task."""
    assert ask(plain, "layers", "layered", [200, 400]) == [True, True, True]


@pytest.mark.parametrize("width", [1440, 390])
def test_how_the_start_went_is_seen_as_bars(browser: Browser, scene: Console, width: int) -> None:
    """Waiting, starting, ready, with the critical chain by its numbers; what waits or has failed says why."""
    with seen(browser, scene, "graph/", width=width) as page:
        page.get_by_role("link", name="Start of circusd").click()
        rows = page.locator("tr[data-start]")
        expect(rows.locator(".c-name a")).to_have_text(["cache", "db", "migrate", "apart", "web"])
        expect(page.locator(".chain-of")).to_contain_text(
            "It took 4.50 s, and 2 watchers are on the way yet."
        )
        expect(page.locator(".chain-of b")).to_have_text(["db", "migrate"])
        expect(page.locator(".start-step")).to_have_text(["1", "2"])
        bars = {
            name: page.locator(f'[data-start="{name}"] .start-bar')
            for name in ("db", "cache", "migrate", "web", "apart")
        }
        expect(bars["db"]).to_have_attribute("aria-label", "waited 0.00 s, was ready 4.50 s later")
        expect(bars["migrate"]).to_have_attribute("aria-label", "waited 4.50 s, goes on")
        expect(bars["cache"]).to_have_attribute("aria-label", "waited 0.00 s, is not healthy yet")
        expect(page.locator('[data-start="cache"] .c-took')).to_have_text("not healthy yet")
        expect(bars["web"]).to_have_attribute("aria-label", "waits for migrate to end well")
        expect(bars["apart"]).to_have_attribute("aria-label", "could not be started: no such program^[[2J")
        assert bars["db"].locator(".b-chain").bounding_box()["width"] > 40
        assert bars["migrate"].locator(".b-ready").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.get_by_role("link", name="Last starts").click()
        expect(page.locator("#starts-h")).to_have_text("The last start of each watcher")
        expect(page.locator(".start-step")).to_have_count(0)
        assert {"last": True} in [
            {key: v for key, v in row.items() if key == "last"} for row in scene.daemon.asked("timeline")
        ]
