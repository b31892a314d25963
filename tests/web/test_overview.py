"""All watchers on one page: order, groups and rows of many, what the address keeps, and a page that is always true."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.console import COOKIE, Console
from tests.web.proxy import Proxy
from tests.web.staged import ADMIN, VIEWER, StagedDaemon, process, watcher

HOSTILE = (
    "<img src=x onerror=\"document.title='hacked'\">",
    "\u202eevil\u202d.exe",
    "w" * 200,
    'it\'s "quoted" `and` $(more)',
    "new\\nline",
    "a\u0000b\u001b[31mred",
    "\u2066isolated\u2069",
    "    spaces    ",
    "@tag*[glob]?",
    "--help",
    "مرحبا",
    "emoji 🎪 and e\u0301\u0301\u0301\u0301",
)


@contextmanager
def seen(
    browser: Browser, origin: str, path: str = "/d/stage/", *, session: str = ADMIN, **more: Any
) -> Iterator[Page]:
    """The console at a path, with a session, and live."""
    with opened(browser, "about:blank", **more) as page:
        page.context.add_cookies([{"name": COOKIE, "value": session, "url": origin}])
        page.goto(origin + path)
        page.get_by_text("live", exact=True).wait_for(state="attached")
        yield page


def names(page: Page) -> list[str]:
    found: list[str] = page.locator("tr[data-watcher]").evaluate_all(
        "rows => rows.map(row => row.dataset.watcher)"
    )
    return found


def crowd(daemon: StagedDaemon, number: int) -> None:
    """So many watchers, in the place of those that are there."""
    daemon.watchers = {
        name: watcher(name, [process(1)]) for name in (f"service-{n:04d}" for n in range(number))
    }


@pytest.fixture
def mixed(console: Console) -> Console:
    """Four watchers that differ in every column."""
    now = time.time()
    daemon = console.daemon
    daemon.watchers = {}
    for number, (name, tags, processes, restarts) in enumerate(
        (
            ("web-a", ["front"], 3, 0),
            ("web-b", ["front", "new"], 1, 7),
            ("job", ["back"], 2, 1),
            ("zed", [], 4, 3),
        )
    ):
        shown = [process(wid, started=now - 1000 * (number + 1)) for wid in range(1, processes + 1)]
        daemon.watchers[name] = watcher(
            name,
            shown,
            tags=tags,
            restarts=restarts,
            last_event={"time": now - 60 * (4 - number), "text": "started", "event": "process.started"},
        )
    daemon.watchers["off"] = watcher("off", [], state="stopped", status="stopped", last_event=None)
    return console


def test_every_column_orders(browser: Browser, mixed: Console) -> None:
    """Once the largest first, twice the smallest; of equal ones the names decide."""
    most = {
        "Watcher": ["job", "off", "web-a", "web-b", "zed"],
        "Processes": ["zed", "web-a", "job", "web-b", "off"],
        "CPU": ["zed", "web-a", "job", "web-b", "off"],
        "Memory": ["zed", "web-a", "job", "web-b", "off"],
        "Restarts": ["web-b", "zed", "job", "off", "web-a"],
        "Up": ["zed", "job", "web-b", "web-a", "off"],
        "Last event": ["zed", "job", "web-b", "web-a", "off"],
    }
    with seen(browser, mixed.origin) as page:
        expect(page.locator('tr[data-watcher="zed"] .c-cpu')).to_contain_text("50")
        for label, order in most.items():
            head = page.locator("thead").get_by_role("columnheader", name=label)
            head.get_by_role("button").click()
            expect(head).to_have_attribute("aria-sort", "descending")
            assert names(page) == order, label
            head.get_by_role("button").click()
            expect(head).to_have_attribute("aria-sort", "ascending")
            if label not in ("Restarts",):
                assert names(page) == order[::-1], label


def test_address_keeps_what_is_shown(browser: Browser, mixed: Console) -> None:
    """Filter, order and groups are in the address: another browser that is given it shows the same; the order is remembered."""
    with seen(browser, mixed.origin) as page:
        page.locator("#filter").fill("web-*")
        page.get_by_role("button", name="Restarts").click()
        page.locator("#group").select_option("tag")
        page.wait_for_url("**/d/stage/?q=web-*&sort=restarts&group=tag")
        address = page.url
        shown = names(page)
        page.locator("tr[data-watcher] .name").first.click()
        page.go_back()
        assert page.url == address
        expect(page.locator("tr.group")).to_have_count(1)
        page.goto(mixed.origin + "/d/stage/")
        page.wait_for_url("**/d/stage/?sort=restarts&group=tag")
        expect(page.locator("tr.group")).to_have_count(3)
        assert page.locator("#filter").input_value() == ""
    with seen(browser, mixed.origin, address.removeprefix(mixed.origin)) as page:
        assert names(page) == shown == ["web-b", "web-a"]
        expect(page.locator("#filter")).to_have_value("web-*")
    with seen(browser, mixed.origin, "/d/stage/?sort=<b>&group=__proto__&show=x&down=9") as page:
        assert names(page) == ["job", "off", "web-a", "web-b", "zed"]


def test_groups_have_sums_and_can_be_folded(browser: Browser, mixed: Console) -> None:
    """By tag, by the beginning of names, by state; what a group takes together stands at its head."""
    with seen(browser, mixed.origin, "/d/stage/?group=tag") as page:
        heads = page.locator("tr.group .c-group button")
        expect(heads).to_have_text(["@back 1", "@front 2", "No tag 2"])
        front = page.locator("tr.group").nth(1)
        expect(front.locator(".c-procs")).to_have_text("4 / 4")
        expect(front.locator(".c-restarts")).to_have_text("7")
        expect(front.locator(".c-cpu")).to_contain_text("35.0%")
        expect(front.locator(".c-mem")).to_contain_text("256MiB")
        heads.nth(1).click()
        expect(heads.nth(1)).to_have_attribute("aria-expanded", "false")
        assert names(page) == ["job", "off", "zed"]
        front.get_by_role("checkbox").click()
        expect(page.locator(".picked .number")).to_have_text("2 chosen")
        heads.nth(1).click()
        expect(page.locator('tr[aria-selected="true"]')).to_have_count(2)
        page.locator("#group").select_option("prefix")
        expect(heads).to_have_text(["web 2", "Other names 3"])
        page.locator("#group").select_option("state")
        expect(heads).to_have_text(["running 4", "stopped 1"])
        page.locator("#group").select_option("")
        expect(heads).to_have_count(0)


def test_keys_pass_folded_groups_by(browser: Browser, mixed: Console) -> None:
    """j and k go from row to row as they stand there."""
    with seen(browser, mixed.origin, "/d/stage/?group=tag") as page:
        page.locator("tr.group .c-group button").nth(1).click()
        page.locator("body").click(position={"x": 5, "y": 300})
        for name in ("job", "off", "zed", "zed"):
            page.keyboard.press("j")
            expect(page.locator(f'tr[data-watcher="{name}"]')).to_be_focused()


def test_rows_of_many_are_those_in_sight(browser: Browser, console: Console) -> None:
    """Two thousand watchers: a window of rows is drawn, each knows its place, and any of them can be scrolled and gone to."""
    crowd(console.daemon, 2000)
    with seen(browser, console.origin) as page:
        grid = page.get_by_role("grid")
        expect(grid).to_have_attribute("aria-rowcount", "2001")
        assert page.locator("tr[data-watcher]").count() < 100
        height = page.locator("tbody").first.evaluate("body => body.offsetHeight")
        assert height == pytest.approx(
            2000 * page.locator("tr[data-watcher]").nth(1).evaluate("row => row.offsetHeight"), rel=0.02
        )
        page.evaluate("scrollTo(0, document.querySelector('tbody').offsetHeight / 2)")
        middle = page.locator('tr[data-watcher="service-1000"]')
        expect(middle).to_be_visible()
        expect(middle).to_have_attribute("aria-rowindex", "1002")
        page.evaluate("scrollTo(0, 0)")
        page.keyboard.press("j")
        for _ in range(60):
            page.keyboard.press("j")
        here = page.locator('tr[data-watcher="service-0060"]')
        expect(here).to_be_focused()
        expect(here).to_be_in_viewport()
        # The one that has the focus stays, wherever the page is scrolled to.
        page.evaluate("scrollTo(0, document.querySelector('tbody').offsetHeight)")
        expect(page.locator('tr[data-watcher="service-1999"]')).to_be_visible()
        expect(here).to_be_focused()
        page.keyboard.press("k")
        expect(page.locator('tr[data-watcher="service-0059"]')).to_be_in_viewport()
        page.keyboard.press("*")
        expect(page.locator(".picked .number")).to_have_text("2,000 chosen")
        page.locator("#filter").fill("service-199?")
        expect(page.locator("tr[data-watcher]")).to_have_count(10)


def test_cards_of_many_are_windowed_too(browser: Browser, console: Console) -> None:
    """On a phone rows are cards of other heights; the last of five hundred can be reached."""
    crowd(console.daemon, 500)
    with seen(browser, console.origin, width=390, height=844) as page:
        assert page.locator("tr[data-watcher]").count() < 60
        last = page.locator('tr[data-watcher="service-0499"]')
        for _ in range(3):
            page.evaluate("document.querySelector('.below').scrollIntoView()")
            page.evaluate("new Promise(requestAnimationFrame)")
        page.evaluate("scrollBy(0, -200)")
        expect(last).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False)])
def test_hostile_names_are_text(browser: Browser, console: Console, width: int, dark: bool) -> None:
    """Two hundred names that would like to be something else: each on one row of its own, nothing runs, nothing is wider than the page."""
    console.daemon.watchers = {}
    for number in range(200):
        name = f"{HOSTILE[number % len(HOSTILE)]}{number if number >= len(HOSTILE) else ''}"
        console.daemon.watchers[name] = watcher(name, [process(1)], tags=[name[:60]], detail=name[:80])
    with seen(browser, console.origin, width=width, height=844, dark=dark) as page:
        for group in ("", "tag", "prefix", "state"):
            page.locator("#group").select_option(group)
            page.locator("tr[data-watcher]").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("main img, main script").count() == 0
        page.locator("#group").select_option("")
        page.locator("#sort").select_option("name") if width < 720 else page.get_by_role(
            "button", name="Watcher"
        ).click()
        if width > 720:
            heights = page.locator("tr[data-watcher]").evaluate_all(
                "rows => [...new Set(rows.map(row => Math.round(row.offsetHeight / 2)))]"
            )
            assert len(heights) == 1
        for name in HOSTILE[:4]:
            page.locator("#filter").fill(name)
            found = page.locator(f"tr[data-watcher={_css(name)}]")
            expect(found).to_have_count(1)
        page.keyboard.press("Control+k")
        page.locator(".palette input").fill("restart img")
        expect(page.locator("#found [role=option]").first).to_contain_text("<img src=x onerror=")
        page.keyboard.press("Escape")
        assert page.title() != "hacked"


def _css(text: str) -> str:
    return '"' + "".join(f"\\{ord(letter):x} " for letter in text) + '"'


def test_palette_shows_the_last_ones_first(browser: Browser, mixed: Console) -> None:
    """What was gone to comes first the next time; patterns, tags, sockets and clones are found as well."""
    mixed.daemon.sockets.append(
        {"name": "front", "address": "127.0.0.1:1", "fd": 5, "backlog": 1, "held_by": []}
    )
    with seen(browser, mixed.origin) as page:
        field = page.locator(".palette input")
        option = page.locator("#found [role=option]")
        for typed, first, where in (
            ("reload zed", "reload zed", "**/c/reload?name=zed"),
            ("stop @front", "stop @front", "**/c/stop?name=%40front"),
            ("incr web-*", "incr web-*", "**/c/incr?name=web-*"),
            ("clone job", "clone job", "**/c/add?like=job"),
            ("rmsocket", "rmsocket front", "**/c/rmsocket?name=front"),
        ):
            page.keyboard.press("Control+k")
            field.fill(typed)
            expect(option.filter(has_text=first).first).to_be_visible()
            option.filter(has_text=first).first.click()
            page.wait_for_url(where)
        page.keyboard.press("Control+k")
        expect(option.first).to_contain_text("rmsocket front")
        expect(option.nth(1)).to_contain_text("clone job")
        expect(page.locator(".palette .gh").first).to_have_text("Last")


def test_enter_that_is_held_presses_once(browser: Browser, mixed: Console) -> None:
    """The palette gives the focus back to a form's button: the key that chose an entry does not press that one too."""
    with seen(browser, mixed.origin, "/d/stage/c/restart?name=job") as page:
        expect(page.locator("#run")).to_be_focused()
        page.keyboard.press("Control+k")
        page.locator(".palette input").fill("restart job")
        expect(page.locator('#found [aria-selected="true"]')).to_contain_text("restart job")
        for _ in range(3):
            page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        expect(page.locator("dialog.palette[open]")).to_have_count(0)
        expect(page.locator("#run")).to_be_focused()
        assert mixed.daemon.asked("restart") == []
        page.keyboard.press("Enter")
        eventually(lambda: mixed.daemon.asked("restart"), what="pressed anew, it runs")


def test_keys_are_told_from_their_table(browser: Browser, mixed: Console) -> None:
    """? names what works: the keys of commands from their rows, and those of pages."""
    with seen(browser, mixed.origin) as page:
        page.keyboard.press("?")
        told = page.get_by_role("dialog").locator("dl > div").all_inner_texts()
        shown = {" ".join(text.split()) for text in told}
        for line in (
            "r Restart",
            "x Stop",
            "R Reload",
            "+ One process more",
            "Space choose the row, or not",
            "g w Watchers",
        ):
            assert line in shown
        assert len(told) == len(shown)


def test_connection_that_died_without_a_word_is_made_anew(browser: Browser, console: Console) -> None:
    """As after a laptop has slept: nobody was told, nothing comes; the page asks, finds it out, and is true again by itself."""
    assert console.listening is not None
    with Proxy(console.port) as proxy, seen(browser, proxy.origin) as page:
        page.evaluate("window.stayed = true")
        assert proxy.lose() > 0
        console.daemon.change(watcher("late", [process(1)]))
        expect(page.locator('tr[data-watcher="late"]')).to_have_count(1, timeout=8000)
        expect(page.locator(".notice")).to_have_count(0)
        assert page.evaluate("window.stayed")


def test_page_that_comes_back_to_the_front_asks_at_once(browser: Browser, console: Console) -> None:
    """A tab in the background whose connection has died is true within moments of being looked at."""
    show = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    with Proxy(console.port) as proxy, seen(browser, proxy.origin) as page:
        page.evaluate(show, True)
        proxy.lose()
        console.daemon.change(watcher("late", [process(1)]))
        page.evaluate(show, False)
        expect(page.locator('tr[data-watcher="late"]')).to_have_count(1, timeout=3000)


def test_buttons_come_from_the_table(console: Console) -> None:
    """The module with the rows has what can be done to watchers, and is small."""
    page = console.get("/d/stage/").text
    address = next(part for part in page.split('"') if part.endswith("/js/rows.js"))
    module = console.get(address)
    assert module.headers["content-type"].startswith("text/javascript")
    assert '"name":"restart"' in module.text
    assert '"name":"status"' not in module.text
    assert len(console.get(address, headers={"Accept-Encoding": "gzip"}).body) < 1500


def test_viewer_sees_why_not(browser: Browser, mixed: Console) -> None:
    """Sorting and grouping are for everybody; what acts says which role it needs."""
    with seen(browser, mixed.origin, session=VIEWER) as page:
        page.locator("#group").select_option("state")
        expect(page.locator("tr.group")).to_have_count(2)
        button = page.locator('tr[data-watcher="job"] button[data-what="restart"]')
        expect(button).to_have_attribute("title", "ben is viewer; this needs operator.")
