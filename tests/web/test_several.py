"""Several watchers at once: chosen in a real browser, acted on by a real circusd, and what became of each is told."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from circusd.cli import arguments
from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.browser import opened

INI = """
[circus]
httpd = 1
httpd_port = 0

[watcher:web-1]
cmd = sleep 1000
tags = front
numprocesses = 2

[watcher:web-2]
cmd = sleep 1000
tags = front

[watcher:one,two]
cmd = sleep 1000

[watcher:lone]
cmd = sleep 1000
singleton = True
graceful_timeout = 4
tags = late, calm

[env:lone]
COLOR = red

[watcher:broken]
cmd = /nowhere/at/all
autostart = False

[watcher:slow]
cmd = sleep 1000
autostart = False
numprocesses = 9
warmup_delay = 600
"""

NAMES = ["web-1", "web-2", "one,two", "lone", "broken", "slow"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with six watchers and the console."""
    with Daemon(INI, tmp_path_factory.mktemp("several")) as daemon:
        yield daemon


@pytest.fixture
def circusd(standing: Daemon) -> Daemon:
    """The same, with what runs by itself running."""
    standing.call("stop", name="broken,slow", match="list", waiting=True)
    standing.call("start", waiting=True)
    return standing


@contextmanager
def seen(
    browser: Browser, circusd: Daemon, role: str = "admin", person: str = "", **more: Any
) -> Iterator[Page]:
    link = circusd.call("weblink", role=role, person=person)["link"]
    with opened(browser, link, **more) as page:
        page.get_by_text("live", exact=True).wait_for(state="attached")
        yield page


def row(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-watcher="{name}"]')


def choose(page: Page, *names: str, **how: Any) -> None:
    for name in names:
        row(page, name).get_by_role("checkbox").click(**how)


def chosen(page: Page) -> list[str]:
    found: list[str] = page.locator('tr[aria-selected="true"]').evaluate_all(
        "rows => rows.map(row => row.dataset.watcher)"
    )
    return sorted(found)


def expect_chosen(page: Page, names: list[str]) -> None:
    eventually(lambda: chosen(page) == names, what=f"chosen are {names}")


def button(page: Page, what: str) -> Any:
    return page.locator(f'.picked [data-what="{what}"]')


def line_of(page: Page, what: str) -> str:
    """The line for the shell that a button stands for."""
    line: str = button(page, what).get_attribute("data-ctl")
    return line


def done(page: Page, what: str) -> Any:
    return page.locator(f'.run[data-run="{what}"]').first


def test_rows_are_chosen_by_box_range_and_keys(browser: Browser, circusd: Daemon) -> None:
    """A box, with shift all between two; space, shift with arrows and * from the keyboard; Esc chooses none."""
    with seen(browser, circusd) as page:
        order = page.locator("tr[data-watcher]").evaluate_all("rows => rows.map(row => row.dataset.watcher)")
        choose(page, order[1])
        expect_chosen(page, [order[1]])
        choose(page, order[3], modifiers=["Shift"])
        expect_chosen(page, sorted(order[1:4]))
        expect(page.locator(".picked .number")).to_have_text("3 chosen")
        page.keyboard.press("Escape")
        expect(page.locator(".picked")).to_have_count(0)
        row(page, order[0]).focus()
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowDown")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("Space")
        expect_chosen(page, sorted([order[0], order[1], order[3]]))
        expect(row(page, order[3])).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("*")
        # The console itself is not taken with the others.
        expect_chosen(page, sorted(NAMES))
        page.keyboard.press("*")
        expect_chosen(page, [])
        page.locator("#filter").fill("@front")
        page.locator("thead").get_by_role("checkbox").click()
        page.locator("#filter").fill("")
        expect_chosen(page, ["web-1", "web-2"])
        page.locator(".picked [data-all]").click()
        expect_chosen(page, sorted(NAMES))


def test_line_means_exactly_what_is_chosen(browser: Browser, circusd: Daemon) -> None:
    """A name, a tag, a glob or a list: circusctl reads the line as the page does, and circusd takes it for the same watchers."""
    with seen(browser, circusd) as page:
        choose(page, "lone")
        assert line_of(page, "restart") == "circusctl restart --waiting lone"
        choose(page, "lone", "web-1", "web-2")
        assert line_of(page, "restart") == "circusctl restart --waiting @front"
        choose(page, "one,two")
        line = line_of(page, "restart")
        assert line == "circusctl restart --match list --waiting 'one\\,two,web-1,web-2'"
        read = arguments.read(shlex.split(line)[1:])
        explained = circusd.call("explain", name=read.properties["name"], match=read.properties["match"])
        assert [one["name"] for one in explained["watchers"]] == ["one,two", "web-1", "web-2"]
        page.keyboard.press("Escape")
        page.locator("#filter").fill("*o*")
        page.locator("thead").get_by_role("checkbox").click()
        assert line_of(page, "stop") == "circusctl stop --waiting '*o*'"


def test_selection_is_restarted(browser: Browser, circusd: Daemon) -> None:
    """One request for all; when the page says done, all have other processes."""
    with seen(browser, circusd) as page:
        before = {name: circusd.pids(name) for name in ("web-1", "one,two", "lone")}
        choose(page, "web-1", "one,two")
        page.keyboard.press("r")
        expect(done(page, "restart")).to_have_attribute("data-state", "done")
        expect(done(page, "restart").locator(".text")).to_have_text("done 2")
        for name in ("web-1", "one,two"):
            assert len(circusd.pids(name)) == len(before[name])
            assert not set(circusd.pids(name)) & set(before[name])
        assert circusd.pids("lone") == before["lone"]


def test_what_ends_something_asks_first(browser: Browser, circusd: Daemon) -> None:
    """Of a glob: how many processes of which watchers, and the line; a no does nothing, a yes does it."""
    with seen(browser, circusd) as page:
        page.locator("#filter").fill("web-*")
        page.keyboard.press("Tab")
        page.locator("thead").get_by_role("checkbox").click()
        button(page, "stop").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("This ends 3 processes of 2 watchers")
        for pid in circusd.pids("web-1"):
            expect(dialog).to_contain_text(str(pid))
        expect(dialog.locator("pre")).to_contain_text("circusctl stop --waiting 'web-*'")
        page.get_by_role("button", name="Leave it").click()
        expect(dialog).to_have_count(0)
        assert len(circusd.pids("web-1")) == 2
        button(page, "stop").click()
        page.locator("#confirm-yes").click()
        expect(done(page, "stop").locator(".text")).to_have_text("done 2")
        assert circusd.pids("web-1") == circusd.pids("web-2") == []
        assert circusd.pids("one,two") != []


def test_done_is_not_called_well_where_it_is_not(browser: Browser, circusd: Daemon) -> None:
    """Of a watcher that does not come up the result says so, and why; the others are up."""
    circusd.call("stop", name="web-1", waiting=True)
    with seen(browser, circusd) as page:
        choose(page, "web-1", "broken")
        button(page, "start").click()
        expect(done(page, "start")).to_have_attribute("data-state", "error")
        expect(done(page, "start").locator(".text")).to_have_text("done 1, failed 1")
        expect(done(page, "start").get_by_role("listitem")).to_contain_text("/nowhere/at/all")
        expect(row(page, "broken").locator(".c-last")).to_contain_text("/nowhere/at/all")
        assert len(circusd.pids("web-1")) == 2
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".run")).to_have_count(0)


def test_progress_is_shown_and_can_be_cancelled(browser: Browser, circusd: Daemon) -> None:
    """While it goes on, how far it is, and of which watchers; its id cancels it, and what was not done is told."""
    with seen(browser, circusd) as page:
        choose(page, "slow", "lone")
        button(page, "start").click()
        busy = page.locator('.run[data-run="start"][data-state="busy"]')
        expect(busy.locator(".text")).to_contain_text("1 of 2 done; under way: slow")
        expect(row(page, "slow").locator(".st")).to_contain_text("starting")
        cancel = busy.locator('[data-what="cancel"]')
        (job,) = circusd.call("jobs")["jobs"]
        expect(cancel).to_have_attribute("data-ctl", f"circusctl cancel {job['id']}")
        cancel.click()
        expect(done(page, "start")).to_have_attribute("data-state", "error")
        expect(done(page, "start").locator(".bad li")).to_contain_text("cancelled")
        expect(done(page, "start").locator(".text")).to_have_text("done 1, failed 1")
        eventually(lambda: circusd.call("jobs")["jobs"] == [], what="nothing is under way")
        page.get_by_role("button", name="Choose the 1 that failed").click()
        expect_chosen(page, ["slow"])
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator(".run")).to_have_count(0)
    circusd.call("stop", name="slow", waiting=True)
    circusd.call("set", name="slow", options={"numprocesses": 9}, waiting=True)


def test_what_can_not_take_it_stays_and_is_told(browser: Browser, circusd: Daemon) -> None:
    """One process more of several, among them a singleton."""
    with seen(browser, circusd) as page:
        choose(page, "web-2", "lone")
        button(page, "incr").click()
        expect(done(page, "incr").locator(".text")).to_contain_text("1 as before")
        assert len(circusd.pids("web-2")) == 2
        assert len(circusd.pids("lone")) == 1
    circusd.call("decr", name="web-2", waiting=True)


def options_of(circusd: Daemon, names: str) -> dict[str, Any]:
    """All options of those watchers."""
    told = circusd.call("options", name=names, match="list")["results"]
    return {name: shown["options"] for name, shown in told.items()}


def test_removed_watchers_are_added_again(browser: Browser, circusd: Daemon) -> None:
    """After a word that is typed they are gone; for a while one press brings them back with all their options."""
    with seen(browser, circusd) as page:
        before = options_of(circusd, "lone,one\\,two")
        choose(page, "lone", "one,two")
        button(page, "rm").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.locator("#confirm-yes").click(force=True)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.locator("#confirm-word").fill("rm")
        page.locator("#confirm-yes").click()
        expect(done(page, "rm").locator(".text")).to_have_text("done 2")
        expect(row(page, "lone")).to_have_count(0)
        assert "lone" not in circusd.call("list")["watchers"]
        page.get_by_role("button", name="Add the 2 again").click()
        expect(done(page, "rm")).to_contain_text("2 added again as they were")
        assert options_of(circusd, "lone,one\\,two") == before
        assert len(circusd.pids("lone")) == 1
        expect(row(page, "lone").locator(".st")).to_have_text("active")


def test_forms_take_what_is_chosen(browser: Browser, circusd: Daemon) -> None:
    """What needs more than a name has its form, filled with those that are chosen."""
    with seen(browser, circusd) as page:
        choose(page, "web-2", "lone")
        page.get_by_role("link", name="Options…").click()
        expect(page.locator("#f-name")).to_have_value("lone,web-2")
        expect(page.locator("#f-match")).to_have_value("list")
        expect(page.locator(".plan .hits li")).to_have_count(2)
        page.locator("#find-option").fill("graceful_timeout")
        page.locator("#o-graceful_timeout").fill("9")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
    told = circusd.call("get", name="lone,web-2", keys=["graceful_timeout"], match="list")["results"]
    assert [one["options"] for one in told.values()] == [{"graceful_timeout": 9}] * 2
    circusd.call("set", name="lone", options={"graceful_timeout": 4}, waiting=True)


def test_two_people_see_what_the_other_does(browser: Browser, circusd: Daemon) -> None:
    """One acts on several; the other sees them go and come, and what he chose is still chosen."""
    with seen(browser, circusd, person="ana") as one, seen(browser, circusd, person="ben") as other:
        choose(other, "web-1")
        choose(one, "web-1", "web-2")
        button(one, "stop").click()
        one.locator("#confirm-yes").click()
        expect(row(other, "web-1").locator(".st")).to_have_text("stopped")
        expect(row(other, "web-2").locator(".st")).to_have_text("stopped")
        expect(other.locator(".run")).to_have_count(0)
        expect_chosen(other, ["web-1"])
        other.keyboard.press("s")
        expect(row(one, "web-1").locator(".st")).to_have_text("active")
        expect(row(one, "web-1").locator(".ratio")).to_have_text("2 / 2")


def test_viewer_chooses_nothing(browser: Browser, circusd: Daemon) -> None:
    """Whoever may not act is offered no boxes; keys choose nothing."""
    with seen(browser, circusd, "viewer") as page:
        expect(page.locator("tr[data-watcher]")).to_have_count(len(NAMES) + 1)
        assert page.get_by_role("checkbox").count() == 0
        page.keyboard.press("*")
        page.keyboard.press("j")
        page.keyboard.press("Space")
        expect(page.locator(".picked")).to_have_count(0)


def test_operator_is_not_offered_what_is_for_admins(browser: Browser, circusd: Daemon) -> None:
    """Removing is for admins; all else of the bar is there."""
    with seen(browser, circusd, "operator") as page:
        choose(page, "web-1")
        expect(button(page, "restart")).to_be_visible()
        expect(button(page, "rm")).to_have_count(0)


def test_clone_is_filled_from_the_other(browser: Browser, circusd: Daemon) -> None:
    """From the watcher's page: its command and what was given of its options; only the name is left to say."""
    with seen(browser, circusd) as page:
        row(page, "lone").get_by_role("link", name="lone").click()
        page.get_by_role("link", name="Clone").click()
        expect(page.locator("#f-cmd")).to_have_value("sleep 1000")
        expect(page.locator("#f-start")).to_be_checked()
        expect(page.locator("#barred")).to_have_text("Still missing: name")
        page.locator("#f-name").fill("twin")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
    before = circusd.call("options", name="lone")["options"]
    assert circusd.call("options", name="twin")["options"] == before
    assert len(circusd.pids("twin")) == 1
    circusd.call("rm", name="twin", waiting=True)


def test_one_that_is_removed_by_its_form_comes_back(browser: Browser, tmp_path: Path) -> None:
    """The form of rm offers the way back as well."""
    with Daemon(INI, tmp_path) as circusd, seen(browser, circusd) as page:
        page.goto(page.url.partition("/d/")[0] + "/d/circus/c/rm?name=lone")
        page.locator("#run").click()
        page.locator("#confirm-word").fill("rm")
        page.locator("#confirm-yes").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
        assert "lone" not in circusd.call("list")["watchers"]
        page.get_by_role("button", name="Add it again").click()
        expect(page.locator('[data-state="done"]')).to_contain_text("1 added again as it was")
        assert len(circusd.pids("lone")) == 1
        assert circusd.call("get", name="lone", keys=["env"])["options"] == {"env": {"COLOR": "red"}}
