"""Logs that reach further back than the page: a real circusd, real files that were put aside, a real browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.test_pages import HOSTILE

LINES = 30_000

FILED = f"""
import time
for n in range(1, {LINES} + 1):
    print(f"INFO line {{n}} of the history, with some words that fill it", flush=n % 1000 == 0)
    if n % 1000 == 0:
        time.sleep(0.02)
time.sleep(1000)
"""

WILD = f"""
import sys, time
sys.stdout.write({HOSTILE!r} * 60000 + "\\x1b[31m\\x00\\x07\\u202e" * 1000 + "\\n")
print("after the long line", flush=True)
n = 0
while True:
    n += 1
    print(f"tick {{n}}", flush=True)
    time.sleep(0.1)
"""

INI = """
[circus]
httpd = 1
httpd_host = 127.0.0.1
httpd_port = {port}

[watcher:filed]
cmd = {python} {folder}/filed.py
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/filed.log
stdout_stream.max_bytes = 400k
stdout_stream.backup_count = 9

[watcher:wild]
cmd = {python} {folder}/wild.py
"""

HELD = """async () => {
    const { own } = await import(new URL('pages.js', document.querySelector('script[type=module]').src));
    const { lines, feed } = own.pane.reading;
    let number = 0, gaps = 0, first = 0;
    for (let row = lines.first; row < lines.next; row += 1) {
        if (lines.kind(row) === 1) gaps += 1;
        if (lines.kind(row) !== 0) continue;
        first ||= lines.number(row);
        if (number && lines.number(row) !== number + 1) gaps += 1;
        number = lines.number(row);
    }
    return { first, last: number, gaps, error: feed.error };
}"""


@pytest.fixture(scope="module")
def circusd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a log that has more than is kept in memory, and one with a line that wants to do harm."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "filed.py").write_text(FILED)
    (folder / "wild.py").write_text(WILD)
    with Daemon(INI.format(port=free_port(), python=sys.executable, folder=folder), folder) as daemon:
        eventually(
            lambda: daemon.call("output", names=["filed"], lines=1)["lines"][0]["number"] == LINES,
            within=30,
            what="all lines are written",
        )
        yield daemon


@contextmanager
def logs(browser: Browser, circusd: Daemon, query: str, **more: Any) -> Iterator[Page]:
    """The page of logs."""
    link = circusd.call("weblink", role="viewer")["link"]
    with opened(browser, link, **more) as page:
        page.wait_for_url("**/d/circus/")
        page.goto(f"{page.url}logs/?{query}")
        page.locator(".reader .log").wait_for()
        yield page


def test_all_that_was_written_can_be_scrolled_to(browser: Browser, circusd: Daemon) -> None:
    """Five thousand lines at once, and the others as one goes up, from memory and from files that were put aside, without a hole."""
    with logs(browser, circusd, "w=filed") as page:
        expect(page.locator(".rows .tx").last).to_contain_text(f"line {LINES} ")
        held = page.evaluate(HELD)
        assert held["last"] == LINES
        assert held["first"] <= LINES - 4900
        page.locator(".log").focus()

        def is_at_the_first() -> bool:
            page.keyboard.press("Home")
            return bool(page.evaluate(HELD)["first"] == 1)

        eventually(is_at_the_first, within=60, every=0.3, what="the first line is there")
        assert page.evaluate(HELD) == {"first": 1, "last": LINES, "gaps": 0, "error": None}
        page.keyboard.press("Home")
        expect(page.locator(".rows .tx").first).to_contain_text("line 1 ")


def test_search_reaches_into_files(browser: Browser, circusd: Daemon) -> None:
    """What was found there is shown among its neighbours, and from there on one reads in both directions."""
    with logs(browser, circusd, "w=filed&q=%2Fline 77.7 %2F") as page:
        page.get_by_role("button", name="Search history").click()
        expect(page.locator(".found .tx")).to_have_count(10, timeout=20_000)
        expect(page.locator(".found mark").first).to_have_text("line 7707 ")
        page.locator("#filter").fill("")
        page.locator(".found .tx").nth(2).click()
        expect(page.locator(".ln.here .tx")).to_contain_text("line 7727 ", timeout=20_000)
        expect(page.locator(".rows .tx").filter(has_text="line 7730 ")).to_be_visible()
        page.keyboard.press("f")
        expect(page.locator(".rows .tx").last).to_contain_text(f"line {LINES} ")


def test_whole_log_is_saved(browser: Browser, circusd: Daemon, tmp_path: Path) -> None:
    """All that matches, as one file, from the server."""
    with logs(browser, circusd, "w=filed&q=line 1234") as page:
        page.get_by_role("button", name="More: time zone").click()
        with page.expect_download() as waiting:
            page.get_by_role("link", name="Save all that match").click()
        waiting.value.save_as(tmp_path / "saved.log")
    saved = (tmp_path / "saved.log").read_text().splitlines()
    assert [int(line.split()[2]) for line in saved] == [1234, *range(12340, 12350)]


def test_five_megabytes_in_one_line_harm_nothing(browser: Browser, circusd: Daemon) -> None:
    """It comes in pieces, as text; what is written after it is read as ever, filtered and wrapped."""
    with logs(browser, circusd, "w=wild") as page:
        expect(page.locator(".rows .tx").last).to_contain_text("tick")
        page.locator("#filter").fill("hacked")
        expect(page.locator(".rows .tx").first).to_contain_text("onerror=")
        page.locator(".rows .tx").last.click()
        expect(page.locator(".whole pre")).to_contain_text("onerror=")
        page.keyboard.press("Escape")
        page.locator(".log").focus()
        page.keyboard.press("w")
        page.locator("#filter").fill("!/hacked/")
        expect(page.locator(".rows .tx").last).to_contain_text("tick")
        assert page.locator("img, .page script").count() == 0
        assert page.title() != "hacked"
