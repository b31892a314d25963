"""What the console shows of watchers that run at times of the clock, before a real circusd, and what can be done there."""

from __future__ import annotations

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.web.browser import opened

INI = """\
[circus]
httpd = 1
httpd_port = 0

[watcher:nightly]
cmd = sh -c 'echo "first of <b>$(cat {folder}/code)</b>"; echo last; exit $(cat {folder}/code)'
schedule = 0 0 1 1 *
schedule_timezone = Europe/Berlin
"""


def go(page: Page, circusd: Daemon, part: str) -> None:
    """That page, in by a one-time link, and live."""
    page.goto(circusd.call("weblink", role="admin")["link"])
    page.wait_for_url("**/d/circus/")
    page.goto(f"{page.url}{part}")
    page.get_by_text("live", exact=True).wait_for(state="attached")


def found_by_axe(page: Page) -> list[str]:
    violations = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]]


def test_a_schedule_is_seen_and_driven_on_its_page(browser: Browser, tmp_path: Path) -> None:
    """The next run stands beside the name; a press runs it; each run has its result, and leads to its first line."""
    code = tmp_path / "code"
    code.write_text("0")
    with Daemon(INI.format(folder=tmp_path), tmp_path) as circusd, opened(browser, "about:blank") as page:
        go(page, circusd, "")
        row = page.locator('tr[data-watcher="nightly"]')
        expect(row.locator(".st")).to_have_text(re.compile(r"^next run in \d+ (d|h)$"))
        expect(page.locator("#page")).to_contain_text("1 watcher waits for its time")
        row.hover()
        row.get_by_role("button", name="Run now").click()
        expect(row.locator(".last")).to_contain_text("run 1 succeeded")
        go(page, circusd, "w/nightly?tab=runs")
        shown = page.locator(".runs tbody tr")
        expect(shown).to_have_count(1)
        expect(shown.first).to_contain_text("succeeded")
        expect(page.locator(".runs .facts")).to_contain_text("1 Jan 00:00 Europe/Berlin")
        code.write_text("5")
        page.locator(".face").get_by_role("button", name="Run now").click()
        expect(shown).to_have_count(2)
        expect(shown.first).to_contain_text("failed")
        expect(shown.first).to_contain_text("exited with code 5")
        expect(page.locator(".face .st").first).to_have_text(re.compile("^failed, next in"))
        assert found_by_axe(page) == []
        shown.first.get_by_role("link", name="What run 2 has written").click()
        page.wait_for_url("**/logs/?**")
        expect(page.locator(".rows .tx", has_text="first of <b>5</b>")).to_be_visible()
        go(page, circusd, "w/nightly?tab=runs")
        page.locator(".face").get_by_role("button", name="Stop").click()
        expect(page.locator(".runs .facts")).to_contain_text("not in force")
        expect(page.locator("#page")).to_contain_text("its schedule is not in force until somebody starts it")
        code.write_text("0")
        page.locator(".face").get_by_role("button", name="Run now").click()
        expect(shown).to_have_count(3)
        expect(shown.first).to_contain_text("succeeded")
        assert circusd.call("status", name="nightly")["status"] == "stopped"
