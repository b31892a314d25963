"""Alerts: a person picks a line or types a pattern, and is told when such a line comes; with a real circusd."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.browser import opened

INI = """\
[circus]
httpd = 1
httpd_port = 0

[watcher:web]
cmd = tail -n +1 -F {folder}/web.txt

[watcher:queue]
cmd = tail -n +1 -F {folder}/queue.txt
"""

RECORDED = """
window.notes = [];
const Real = window.Notification;
window.Notification = class extends Real { constructor(title, given) { super(title, given); window.notes.push([title, given.body]); } };
"""


@pytest.fixture
def circusd(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with two watchers that write what is put into a file, and the console."""
    for name in ("web", "queue"):
        (tmp_path / f"{name}.txt").write_text(f"{name} begins\n")
    with Daemon(INI.format(folder=tmp_path), tmp_path) as daemon:
        yield daemon


def write(circusd: Daemon, name: str, *lines: str) -> None:
    """The watcher writes these lines."""
    with (circusd.folder / f"{name}.txt").open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def wrote(circusd: Daemon, name: str, line: str) -> None:
    """circusd has read that line."""
    eventually(lambda: line in [row["text"] for row in circusd.call("output", names=[name])["lines"]])


def go(page: Page, circusd: Daemon, part: str) -> None:
    page.goto(circusd.call("weblink", role="viewer")["link"])
    page.wait_for_url("**/d/circus/")
    page.goto(f"{page.url}{part}")
    page.get_by_text("live", exact=True).wait_for(state="attached")


def marks(page: Page) -> Locator:
    return page.locator(".alerts article")


def ask(page: Page, text: str) -> None:
    """Somebody types it into the form and wants to be told."""
    page.get_by_role("button", name="Tell me when a line comes").click()
    page.get_by_placeholder("Text, /regex/ or !not").fill(text)
    page.get_by_role("button", name="Tell me", exact=True).click()
    expect(page.locator(".alert-box li code").last).to_have_text(text)
    page.keyboard.press("Escape")


def violations(page: Page) -> list[str]:
    return [found["id"] for found in Axe().run(page).response["violations"]]


def test_a_line_is_told_on_whatever_page_one_is(browser: Browser, circusd: Daemon) -> None:
    """Once, with the others counted; not what was there before, nor what others write; its link leads to the line."""
    with opened(browser, "about:blank") as page:
        go(page, circusd, "logs/?w=web")
        expect(page.locator(".ln .tx").last).to_have_text("web begins")
        ask(page, "/no space <left> on \\d+/")
        ask(page, "begins")
        write(circusd, "queue", "no space <left> on 7")
        write(circusd, "web", "all is well", "no space <left> on 1 <img src=x onerror=alert(1)>")
        expect(marks(page)).to_have_count(1)
        expect(marks(page)).to_contain_text("no space <left> on 1 <img src=x onerror=alert(1)>")
        expect(marks(page)).to_contain_text("web 1")
        assert violations(page) == []
        page.goto(page.url.partition("logs/")[0])
        # The page is another one now, and tells of what comes from then on, whether it looks already or not.
        write(circusd, "web", "no space <left> on 2", "no space <left> on 3")
        expect(marks(page)).to_have_count(1)
        expect(marks(page)).not_to_contain_text("on 1")
        write(circusd, "web", *["no space <left> on 4"] * 5)
        expect(marks(page)).to_contain_text("like it")
        expect(marks(page)).to_have_count(1)
        marks(page).get_by_role("link", name="Show it").click()
        page.wait_for_url("**/logs/?w=web&line=*")
        expect(page.locator(".ln.here .tx")).to_contain_text("no space <left> on")
        expect(marks(page)).to_have_count(0)


def test_what_came_while_a_page_was_changed_is_told(browser: Browser, circusd: Daemon) -> None:
    """Or while it had no connection; what came before that is not told again."""
    with opened(browser, "about:blank") as page:
        go(page, circusd, "logs/?w=web")
        expect(page.locator(".ln .tx").last).to_have_text("web begins")
        ask(page, "disk")
        write(circusd, "web", "disk 1")
        write(circusd, "queue", "disk of the queue")
        expect(marks(page)).to_contain_text("disk 1")
        address = page.url.partition("logs/")[0]
        page.goto("about:blank")
        write(circusd, "web", "disk 2", "all is well")
        wrote(circusd, "web", "all is well")
        page.goto(address)
        expect(marks(page)).to_have_count(1)
        expect(marks(page)).to_contain_text("disk 2")
        expect(marks(page)).not_to_contain_text("like it")
        circusd.call("stop", name="circushttpd", waiting=True)
        write(circusd, "web", "disk 3", "disk 4")
        wrote(circusd, "web", "disk 4")
        circusd.call("start", name="circushttpd", waiting=True)
        expect(marks(page)).to_contain_text("and 2 lines like it", timeout=30_000)
        expect(marks(page)).to_have_count(1)


def test_a_line_that_was_picked_stands_for_its_like(browser: Browser, circusd: Daemon) -> None:
    """Its numbers may be others; it is kept for that person, and can be taken back."""
    write(circusd, "web", "job 17 failed after 3.5 s (again)")
    with opened(browser, "about:blank") as page:
        go(page, circusd, "logs/?w=web")
        page.locator(".ln", has_text="job 17 failed").click()
        page.get_by_role("button", name="Tell me of such lines").click()
        page.get_by_role("button", name="Tell me", exact=True).click()
        expect(page.locator(".alert-box li")).to_have_count(1)
        assert violations(page) == []
        # The same again is told so.
        page.get_by_role("button", name="Tell me when a line comes").click()
        page.get_by_role("button", name="Tell me of such lines").click()
        page.get_by_role("button", name="Tell me", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("told of that already")
        write(circusd, "web", "job 4 failed after 11.0 s (again)", "job failed")
        expect(marks(page)).to_contain_text("job 4 failed after 11.0 s (again)")
        page.reload()
        page.get_by_role("button", name="Tell me when a line comes").click()
        expect(page.locator(".alert-box li")).to_have_count(1)
        page.locator(".alert-box li button").click()
        expect(page.locator(".alert-box li")).to_have_count(0)
        assert (
            page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('circus.alerts'))") == []
        )


def test_the_browser_tells_of_it_while_the_page_is_hidden(browser: Browser, circusd: Daemon) -> None:
    """Where it has been allowed to, and the mark waits in the page."""
    with opened(browser, "about:blank", permissions=("notifications",)) as page:
        page.add_init_script(RECORDED)
        go(page, circusd, "logs/")
        ask(page, "disk full")
        write(circusd, "queue", "disk full, in sight")
        expect(marks(page)).to_have_count(1)
        assert page.evaluate("notes") == []
        ask(page, "disk empty")
        page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
        write(circusd, "queue", "disk empty\\u202e, out of sight")
        eventually(lambda: page.evaluate("notes.length") == 1)
        ((title, body),) = page.evaluate("notes")
        assert title == "circus: queue 1"
        assert body.startswith("disk empty")
        expect(marks(page)).to_have_count(2)


def test_a_pattern_that_never_ends_stops_nothing(browser: Browser, circusd: Daemon) -> None:
    """It is told, and the others are looked for."""
    with opened(browser, "about:blank") as page:
        go(page, circusd, "logs/")
        ask(page, "/^(a+)+$/")
        ask(page, "hello")
        write(circusd, "web", "a" * 60 + "!")
        page.get_by_role("button", name="Tell me when a line comes").click()
        expect(page.locator(".alert-box li").first).to_contain_text("takes too long")
        write(circusd, "web", "hello")
        expect(marks(page)).to_contain_text("hello")


INJECTED = """async () => {
    const { own } = await import(new URL('pages.js', document.querySelector('script[type=module]').src));
    const { feed, lines } = own.pane.reading;
    const from = lines.from('web', 1, 0);
    const midnight = (Math.floor(Date.now() / 86400000) + 1) * 86400;
    for (let number = 0; number < 300; number += 1) {
        const time = midnight + 86400 * Math.floor(number / 100) - 5 + (number % 100) * 0.1;
        lines.line(from, 1, 1e6 + number, time, `line ${number}`);
    }
    feed.fresh();
}"""


@pytest.mark.parametrize("wrap", [False, True])
def test_a_day_stands_above_its_first_line(browser: Browser, circusd: Daemon, wrap: bool) -> None:
    """And takes no line's place: what is scrolled to is where it belongs, lines cut or wrapped."""
    with opened(browser, "about:blank") as page:
        habits = json.dumps({"zone": "utc", "wrap": wrap})
        page.add_init_script(f"localStorage.setItem('circus.log', '{habits}')")
        go(page, circusd, "logs/?w=web")
        expect(page.locator(".ln .tx").last).to_have_text("web begins")
        page.evaluate(INJECTED)
        expect(page.locator(".ln .tx").last).to_have_text("line 299")
        page.locator(".log").focus()
        page.keyboard.press("Home")
        expect(page.locator(".ln .tx").first).to_have_text("web begins")
        days = set()
        for _ in range(30):
            days |= set(page.locator(".day").evaluate_all("(all) => all.map((one) => one.dataset.day)"))
            if page.locator(".ln", has_text="line 299").count():
                break
            page.locator(".log").evaluate("(log) => { log.scrollTop += log.clientHeight * 0.7; }")
            page.evaluate(
                "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
        assert len(days) == 3
        rows = page.locator(".rows > *").evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom])"
        )
        assert all(after[0] >= before[1] - 0.5 for before, after in itertools.pairwise(rows))
        assert violations(page) == []
