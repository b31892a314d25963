"""Reading logs: any watchers on one page, what is shown of them, where one goes, what one takes along."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.waiting import eventually
from tests.web.console import Console
from tests.web.staged import process, refused, watcher
from tests.web.test_pages import HOSTILE, fill, log_lines, seen

EPOCH = "1-1"


def lines(
    name: str, texts: list[str], *, wid: int = 1, stream: str = "stdout", begin: float = 0.0
) -> dict[str, Any]:
    """A push with numbered lines, a second apart."""
    begin = begin or time.time() - 60
    told = [[number, begin + number - 1, text] for number, text in enumerate(texts, 1)]
    return {"watcher": name, "wid": wid, "stream": stream, "pid": 20000 + wid, "lines": told, "skipped": 0}


def kept(name: str, number: int, text: str, when: float) -> dict[str, Any]:
    """A line as ``output`` and ``grep`` reply it."""
    return {
        "id": f"{EPOCH}/{number}/1/stdout/{name}",
        "watcher": name, "wid": 1, "pid": 20001, "stream": "stdout", "number": number, "time": when, "text": text, "match": True,
    }  # fmt: skip


def page_of(found: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A reply of ``output`` or ``grep``."""
    ends = {
        "older": None,
        "newer": "newer",
        "more": False,
        "searched": {"bytes": 0, "files": 0, "seconds": 0},
    }
    return {
        "lines": found,
        "matches": len(found),
        **ends,
        "complete": True,
        "unsearched": [],
        "notes": [],
        **more,
    }


def copied(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


CLIPBOARD = ("clipboard-read", "clipboard-write")


def test_watchers_are_merged_by_time(browser: Browser, console: Console) -> None:
    """Each line has its source's name and colour; boxes, keys, names, globs and tags choose who is read, and the address says it."""
    daemon, begin = console.daemon, time.time() - 60
    daemon.watchers["web"]["tags"] = ["front"]
    daemon.watchers["webhook"] = watcher("webhook", [process(1)])
    for name, offset in (("web", 0.0), ("loud", 0.5), ("webhook", 0.7)):
        daemon.history[name] = [lines(name, [f"{name} {n}" for n in range(1, 4)], begin=begin + offset)]
    with seen(browser, console, "/d/stage/logs/?w=@front&w=loud") as page:
        expect(page.locator(".rows .tx")).to_have_text(
            ["web 1", "loud 1", "web 2", "loud 2", "web 3", "loud 3"]
        )
        expect(page.locator(".rows .name").first).to_have_text("web")
        colours = page.locator(".ln").evaluate_all("all => all.map((one) => /c\\d/.exec(one.className)[0])")
        assert colours[:2] * 3 == colours
        assert colours[0] != colours[1]
        # A name that comes later finds its lines in their places.
        page.get_by_role("textbox", name="Add a name, glob or @tag").fill("web*")
        page.keyboard.press("Enter")
        expect(page.locator(".rows .tx")).to_have_text(
            [f"{name} {n}" for n in (1, 2, 3) for name in ("web", "loud", "webhook")]
        )
        page.wait_for_url("**/logs/?w=%40front&w=loud&w=web*")
        again = page.locator(".ln").evaluate_all("all => all.map((one) => /c\\d/.exec(one.className)[0])")
        assert again[:2] == colours[:2]
        page.locator(".log").focus()
        page.keyboard.press("1")
        expect(page.locator(".rows .name")).to_have_text(["web", "webhook"] * 3)
        page.wait_for_url("**/logs/?w=web&w=webhook")
        page.locator(".side li", has_text="webhook").hover()
        page.get_by_role("button", name="Only webhook").click()
        expect(page.locator(".rows .tx")).to_have_text(["webhook 1", "webhook 2", "webhook 3"])
        page.locator(".side").get_by_role("button", name="all", exact=True).click()
        page.wait_for_url("**/logs/")


def test_what_is_shown_can_be_shared(browser: Browser, console: Console) -> None:
    """Filter, highlight, levels, streams, fields and columns are in the address, and the address shows the same."""
    texts = [
        '{"level":"error","status":502,"route":"/a"}',
        '{"level":"info","status":200,"route":"/b"}',
        "plain",
        "WARNING x",
    ]
    console.daemon.history["loud"] = [lines("loud", texts)]
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        page.locator(".rows .tx").filter(has_text="502").click()
        field = page.locator(".json > div").filter(has_text="status")
        expect(field.locator("dd").first).to_have_text("502")
        field.get_by_role("button", name="only this").click()
        expect(page.locator(".rows .tx")).to_have_text([texts[0]])
        page.locator(".json > div").filter(has_text="route").get_by_role("button", name="as column").click()
        expect(page.locator(".rows .tx")).to_have_text(["/a"])
        page.wait_for_url("**/logs/?w=loud&only=status%3D502&column=route")
    with seen(browser, console, "/d/stage/logs/?w=loud&not=status%3D200&column=route&levels=0") as page:
        expect(page.locator(".rows .tx")).to_have_text(["plain"])
        page.get_by_role("button", name="Remove status 200").click()
        page.get_by_role("group", name="Levels").get_by_role("button", name="INF").click()
        expect(page.locator(".rows .tx")).to_have_text(["/b", "plain"])


def test_fields_are_counted(browser: Browser, console: Console) -> None:
    """The values of fields that few lines differ in stand beside the log, and choose."""
    texts = [f'{{"id":{n},"status":{200 if n % 3 else 404}}}' for n in range(30)]
    console.daemon.history["loud"] = [lines("loud", texts)]
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        facet = page.locator(".side section").filter(has_text="status")
        expect(facet.locator("li")).to_have_text(["20020", "40410"])
        expect(page.locator(".side section h2 code")).to_have_text(["status"])
        facet.get_by_role("button", name="404").click()
        expect(page.locator(".rows .tx")).to_have_count(10)


def test_matches_are_marked_and_gone_to(browser: Browser, console: Console) -> None:
    """Nothing is hidden; n and N go from match to match and round, and the place is told."""
    fill(console.daemon, "loud", 2000, text="line {} of all")
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        expect(page.locator(".rows .tx").last).to_have_text("line 2000 of all")
        page.keyboard.press("n")
        expect(page.locator("#find-line")).to_be_focused()
        page.keyboard.type("/line 7.? of/")
        expect(page.locator("[data-hits]")).to_have_text("11")
        page.locator(".log").focus()
        page.keyboard.press("Shift+N")
        expect(page.locator("[data-hits]")).to_have_text("11 of 11")
        expect(page.locator(".ln.now mark")).to_have_text("line 79 of")
        page.keyboard.press("n")
        expect(page.locator("[data-hits]")).to_have_text("1 of 11")
        expect(page.locator(".ln.now mark")).to_have_text("line 7 of")
        expect(page.locator(".held")).to_be_visible()
        page.locator("#find-line").fill("LINE 2000")
        expect(page.locator("[data-hits]")).to_have_text("1")
        page.locator("#find-line").press("Enter")
        expect(page.locator(".ln.now mark")).to_have_text("line 2000")


def test_expression_without_end_leaves_the_page_alive(browser: Browser, console: Console) -> None:
    """A regular expression that would take for ever is given up, said so, and the page goes on."""
    fill(console.daemon, "loud", 50, text="a" * 60 + "! {}")
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        expect(page.locator(".rows .tx").first).to_be_visible()
        page.locator("#filter").fill("/^(a+)+$/")
        # The page answers while it is looked for.
        page.keyboard.press("Escape")
        page.locator("#filter").fill("/^(a+)+$/")
        expect(page.get_by_role("alert")).to_contain_text("The expression takes too long")
        page.locator("#filter").fill("! 4")
        expect(page.get_by_role("alert")).to_have_count(0)
        page.locator("#filter").fill("/! 4\\d?$/")
        expect(page.locator(".rows .tx mark")).to_have_text(["! 4", *(f"! 4{n}" for n in range(10))])


def test_lines_are_chosen_and_copied(browser: Browser, console: Console) -> None:
    """By shift and click, by keys; what is copied is what is shown."""
    fill(console.daemon, "loud", 100)
    with seen(browser, console, "/d/stage/logs/?w=loud", permissions=CLIPBOARD) as page:
        page.locator("#filter").fill("5")
        expect(page.locator(".rows .tx")).to_have_count(19)
        page.locator(".rows .tx").nth(0).click()
        page.keyboard.press("Escape")
        page.locator(".rows .tx").nth(2).click(modifiers=["Shift"])
        expect(page.locator(".taken b")).to_have_text("3 lines chosen")
        page.get_by_role("button", name="Copy them").click()
        eventually(lambda: copied(page) == "line 5\nline 15\nline 25\n", what="three lines are copied")
        page.locator(".log").focus()
        page.keyboard.press("j")
        expect(page.locator(".taken")).to_have_count(0)
        page.keyboard.press("Shift+J")
        page.keyboard.press("c")
        eventually(lambda: copied(page) == "line 35\nline 45\n", what="two lines are copied")


def test_key_finds_what_is_on_the_screen(browser: Browser, console: Console) -> None:
    """Escape that follows a click at once closes what the click has opened, and leaves the filter."""
    fill(console.daemon, "loud", 100)
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        page.locator("#filter").fill("5")
        expect(page.locator(".rows .tx")).to_have_count(19)
        page.locator(".rows .tx").first.evaluate(
            """async (line) => {
                line.click();
                await null; await null; await null;
                document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
            }"""
        )
        expect(page.locator(".whole")).to_have_count(0)
        expect(page.locator("#filter")).to_have_value("5")


def test_nothing_is_searched_while_no_watcher_is_read(browser: Browser, console: Console) -> None:
    """A search through the log of nobody would find nothing, as if there were nothing; it is offered once there is one."""
    fill(console.daemon, "loud", 100)
    with seen(browser, console, "/d/stage/logs/?w=later&q=line") as page:
        search = page.get_by_role("button", name="Search history")
        expect(page.get_by_text("No watcher matches")).to_be_visible()
        expect(search).to_have_count(0)
        page.locator("[data-source=loud]").click(modifiers=["Shift"])
        expect(search).to_be_visible()


def test_line_has_an_address(browser: Browser, console: Console) -> None:
    """l copies it; it leads to the line where that stands, marked, also when other lines have come since."""
    fill(console.daemon, "loud", 500)
    with seen(browser, console, "/d/stage/w/loud", permissions=CLIPBOARD) as page:
        expect(page.locator(".rows .tx").last).to_have_text("line 500")
        page.locator(".rows .tx").filter(has_text="line 490").click()
        page.keyboard.press("l")
        eventually(lambda: "/logs/?w=loud&line=" in copied(page), what="the address is copied")
        address = copied(page)
    assert "1-1%2F490%2F1%2Fstdout%2Floud" in address
    fill(console.daemon, "loud", 2000)
    with seen(browser, console, address.removeprefix(console.origin)) as page:
        expect(page.locator(".ln.here .tx")).to_have_text("line 490")
        expect(page.locator(".ln.here")).to_be_in_viewport()
        expect(page.locator(".held")).to_be_visible()


def test_address_of_an_old_line_shows_what_was_around_it(browser: Browser, console: Console) -> None:
    """It is asked for where it is not in the page, and shown among its neighbours; Follow goes back to what is written now."""
    daemon, then = console.daemon, time.time() - 9000
    fill(daemon, "loud", 10, first=5000)

    def output(asked: dict[str, Any]) -> dict[str, Any]:
        if "before" in asked:
            return page_of([kept("loud", n, f"old {n}", then + n) for n in range(1, 50)], newer="on")
        if asked.get("cursor") == "on":
            return page_of(
                [kept("loud", n, f"old {n}", then + n) for n in range(50, 2600)], newer="on and on"
            )
        return page_of([])

    daemon.answers["output"] = output
    with seen(browser, console, "/d/stage/logs/?w=loud&line=1-1/50/1/stdout/loud&t=1") as page:
        expect(page.locator(".ln.here .tx")).to_have_text("old 50")
        expect(page.locator(".held")).to_contain_text("Lines of before")
        assert daemon.asked("output")[0]["before"] == "1-1/50/1/stdout/loud"
        page.keyboard.press("f")
        expect(page.locator(".rows .tx").last).to_have_text("line 5009")
        expect(page.locator(".held")).to_have_count(0)


def test_address_of_a_line_that_is_gone_says_so(browser: Browser, console: Console) -> None:
    """Its time is shown, or what is new, with the reason."""
    fill(console.daemon, "loud", 10)
    console.daemon.answers["output"] = lambda p: (
        page_of([]) if "around" in p else refused("bad_request", "the line is of an earlier circusd")
    )
    with seen(browser, console, "/d/stage/logs/?w=loud&line=0-0/50/1/stdout/loud&t=5.5") as page:
        expect(page.get_by_role("alert")).to_contain_text("not there any more")
        expect(page.locator(".rows .tx").last).to_have_text("line 10")
        assert [asked.get("around") for asked in console.daemon.asked("output")] == [None, "5.5"]


def test_older_lines_come_when_one_scrolls_up(browser: Browser, console: Console) -> None:
    """Page by page, in front of what is there, which stays where it is."""
    daemon = console.daemon
    fill(daemon, "loud", 300, first=2001)
    begin = time.time() - 5000

    def output(asked: dict[str, Any]) -> dict[str, Any]:
        last = 1001 if asked.get("cursor") == "more" else 2001
        return page_of(
            [kept("loud", n, f"line {n}", begin) for n in range(last - 1000, last)],
            older="more" if last > 1001 else None,
        )

    daemon.answers["output"] = output
    with seen(browser, console, "/d/stage/w/loud") as page:
        expect(page.locator(".rows .tx").last).to_have_text("line 2300")
        page.locator(".log").focus()
        page.keyboard.press("Home")
        eventually(lambda: len(daemon.asked("output")) == 1, what="older lines are asked for")
        expect(page.locator(".rows .tx").filter(has_text="line 2000")).to_have_count(1)
        expect(page.locator(".rows .tx").filter(has_text="line 2001")).to_be_in_viewport()
        page.keyboard.press("Home")
        eventually(lambda: len(daemon.asked("output")) == 2, what="still older lines are asked for")
        expect(page.locator(".rows .tx").filter(has_text="line 1000")).to_have_count(1)
        page.keyboard.press("Home")
        expect(page.locator(".rows .tx").first).to_have_text("line 1")
        assert daemon.asked("output")[0]["before"] == "1-1/2001/1/stdout/loud"
        assert len(daemon.asked("output")) == 2


def test_moment_is_gone_to_also_while_older_lines_are_on_their_way(
    browser: Browser, console: Console
) -> None:
    """They were asked for by the page; what a person has asked for comes after them, and not never."""
    held: list[Route] = []

    def answer(route: Route) -> None:
        if "around" in route.request.post_data_json:
            then = time.time() - 600
            route.fulfill(json=page_of([kept("loud", n, f"then {n}", then + n) for n in range(1, 9)]))
        else:
            held.append(route)

    fill(console.daemon, "loud", 300, first=2001)
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        page.route("**/api/v1/output", answer)
        expect(page.locator(".rows .tx").last).to_have_text("line 2300")
        page.locator(".log").focus()
        with page.expect_request("**/api/v1/output"):
            page.keyboard.press("Home")
        page.get_by_role("button", name="Go to time").click()
        page.locator(".readmenu.time input").fill("10 min ago")
        page.keyboard.press("Enter")
        held[0].fulfill(json=page_of([]))
        expect(page.locator(".tx").last).to_have_text("then 8")


def test_answer_that_comes_when_the_page_was_left_follows_nothing(browser: Browser, console: Console) -> None:
    """Nobody would end it: each such page would cost the daemon and the browser a log for as long as the tab is open."""
    held: list[Route] = []

    def answer(route: Route) -> None:
        if "around" in route.request.post_data_json:
            then = time.time() - 600
            route.fulfill(json=page_of([kept("web", n, f"web {n}", then + n) for n in range(1, 9)]))
        else:
            held.append(route)

    with seen(browser, console, "/d/stage/logs/?w=web") as page:
        page.route("**/api/v1/output", answer)
        page.get_by_role("button", name="Go to time").click()
        page.locator(".readmenu.time input").fill("10 min ago")
        with page.expect_request(lambda request: "cursor" in (request.post_data or "")):
            page.keyboard.press("Enter")
        expect(page.locator(".tx").last).to_have_text("web 8")
        page.locator(".brand").click()
        expect(page.locator("table[role=grid]")).to_be_visible()
        with page.expect_response("**/api/v1/output"):
            held[0].fulfill(json=page_of([]))
        page.locator('.nav > a[href$="/logs/"]').click()
        page.locator("[data-source=loud]").click(modifiers=["Shift"])

        def followed() -> list[str]:
            return [
                topic for stream in console.daemon.streams for topic in stream.topics if "output" in topic
            ]

        eventually(lambda: followed() == ["output.loud."], what="only that log is followed")


def test_lines_of_a_gap_can_be_fetched(browser: Browser, console: Console) -> None:
    """They take its place; what the daemon has no more stays a gap, and can't be fetched again."""
    daemon = console.daemon
    fill(daemon, "loud", 10)
    with seen(browser, console, "/d/stage/w/loud", height=1300) as page:
        expect(page.locator(".rows .tx")).to_have_count(10)
        now = time.time()
        daemon.write("loud", [(21, "line 21")])
        expect(page.locator(".gap b")).to_have_text("10 lines were skipped")
        daemon.answers["output"] = lambda p: page_of(
            [kept("loud", n, f"line {n}", now) for n in range(14, 21)]
        )
        page.get_by_role("button", name="Fetch them").click()
        expect(page.locator(".rows .tx")).to_have_count(18)
        assert log_lines(page) == [f"line {n}" for n in (*range(1, 11), *range(14, 22))]
        expect(page.locator(".gap")).to_contain_text("3 lines were skipped")
        expect(page.locator(".gap button")).to_have_count(0)
        assert daemon.asked("output")[-1]["before"] == "1-1/21/1/stdout/loud"


def test_history_is_searched(browser: Browser, console: Console) -> None:
    """What is not in the page is found by the daemon, shown with its marks, and gone to; a search that goes on is cancelled."""
    daemon, then = console.daemon, time.time() - 9000
    fill(daemon, "loud", 10, first=5000)
    daemon.answers["grep"] = lambda p: None if p.get("limit") else page_of([])
    with seen(browser, console, "/d/stage/logs/?w=loud&q=old+4") as page:
        page.get_by_role("button", name="Search history").click()
        expect(page.locator(".found [role=status]")).to_have_text("circusd searches")
        page.get_by_role("button", name="Cancel").click()
        eventually(lambda: len(daemon.asked("grep")) == 2, what="the search is cancelled")
        first, last = daemon.asked("grep")
        assert (first["text"], first["name"], first["ignore_case"], first["files"]) == (
            "old 4",
            "loud",
            True,
            True,
        )
        assert (last["key"], last["limit"]) == (first["key"], 0)
        daemon.answers["grep"] = lambda p: page_of([kept("loud", n, f"old {n}", then + n) for n in (4, 40)])
        page.get_by_role("button", name="Search history").click()
        expect(page.locator(".found .tx")).to_have_text(["old 4", "old 40"])
        expect(page.locator(".found mark")).to_have_text(["old 4", "old 4"])
        daemon.answers["output"] = lambda p: page_of(
            [
                kept("loud", n, f"old {n}", then + n)
                for n in (range(1, 40) if "before" in p else range(40, 90))
            ]
        )
        page.locator(".found .tx").last.click()
        expect(page.locator(".found")).to_have_count(0)
        expect(page.locator(".ln.here .tx")).to_have_text("old 40")


def test_traces_are_folded(browser: Browser, console: Console) -> None:
    """One by its button, all by the menu; the choice is remembered."""
    trace = ["Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: no"]
    console.daemon.history["loud"] = [
        lines("loud", ["ERROR broke", *trace, "INFO fine", "ERROR again", *trace])
    ]
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        expect(page.locator(".rows .tx")).to_have_count(9)
        expect(page.get_by_role("group", name="Levels").get_by_role("button", name="ERR")).to_have_text(
            "ERR2"
        )
        page.locator(".fold").first.click()
        expect(page.locator(".rows .ln:not(.more)")).to_have_count(3)
        expect(page.locator(".rows .tx")).to_have_count(6)
        page.get_by_role("button", name="More: time zone").click()
        page.get_by_role("button", name="folded").click()
        expect(page.locator(".rows .tx")).to_have_count(3)
        page.reload()
        expect(page.locator(".rows .tx")).to_have_count(3)


def test_wrapped_lines_have_their_own_heights(browser: Browser, console: Console) -> None:
    """All of a line can be read, the end stays in sight, and the place is kept while one scrolls."""
    fill(console.daemon, "loud", 400, text="line {} " + "word " * 120)
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        expect(page.locator(".rows .tx").last).to_contain_text("line 400")
        page.locator(".log").focus()
        page.keyboard.press("w")
        expect(page.locator(".log")).to_have_class("log one wrap")
        eventually(
            lambda: (page.locator(".ln").last.bounding_box() or {})["height"] > 60, what="lines are wrapped"
        )
        box, last = page.locator(".log").bounding_box(), page.locator(".ln").last.bounding_box()
        assert box
        assert last
        assert abs(box["y"] + box["height"] - last["y"] - last["height"]) < 3
        page.locator(".log").hover()
        page.mouse.wheel(0, -1500)
        expect(page.locator(".held")).to_be_visible()
        tops = page.evaluate(
            """async () => {
                const log = document.querySelector('.log');
                const top = log.getBoundingClientRect().top + 5;
                const edge = [...document.querySelectorAll('.ln')].find((one) => one.getBoundingClientRect().bottom > top);
                const before = edge.getBoundingClientRect().top;
                for (let n = 0; n < 10; n += 1) await new Promise(requestAnimationFrame);
                return [before, edge.getBoundingClientRect().top];
            }"""
        )
        assert abs(tops[0] - tops[1]) < 1
        page.keyboard.press("End")
        expect(page.locator(".rows .tx").last).to_contain_text("line 400")
        page.keyboard.press("Home")
        expect(page.locator(".rows .tx").first).to_contain_text("line 1 word")


def test_time_is_gone_to_and_shown_in_a_zone(browser: Browser, console: Console) -> None:
    """t leads to a moment among the lines, or in the history; the clock is that of a zone that is remembered."""
    begin = 1764244800.0  # 12:00:00 UTC
    console.daemon.history["loud"] = [lines("loud", [f"line {n}" for n in range(1, 601)], begin=begin)]
    console.daemon.answers["output"] = lambda p: page_of(
        [kept("loud", 1, "earlier", begin - 3600)] if "around" in p else []
    )
    with seen(browser, console, "/d/stage/logs/?w=loud") as page:
        page.get_by_role("button", name="More: time zone").click()
        page.get_by_role("button", name="UTC").click()
        page.keyboard.press("Escape")
        page.locator(".log").focus()
        page.keyboard.press("t")
        expect(page.locator(".readmenu.time input")).to_be_focused()
        page.keyboard.type("2025-11-27 12:05")
        page.keyboard.press("Enter")
        expect(page.locator(".ln.at .tx")).to_have_text("line 301")
        expect(page.locator(".ln.at time")).to_have_text("11-27 12:05:00")
        page.keyboard.press("t")
        expect(page.locator(".readmenu.time input")).to_be_focused()
        page.keyboard.type("2025-11-27 11:00")
        page.keyboard.press("Enter")
        # What comes after it is read on.
        expect(page.locator(".rows .tx").first).to_have_text("earlier")
        asked = [p["around"] for p in console.daemon.asked("output") if "around" in p]
        assert asked == [str(int(begin - 3600))]
        page.keyboard.press("t")
        expect(page.locator(".readmenu.time input")).to_be_focused()
        page.keyboard.type("yesterweek")
        page.keyboard.press("Enter")
        expect(page.locator(".readmenu.time").get_by_role("alert")).to_contain_text("Not read as a time")


def test_windows_side_by_side_show_the_same_time(browser: Browser, console: Console) -> None:
    """Each watcher has a window; where one is scrolled, the others go along."""
    begin = time.time() - 5000
    for name in ("web", "loud"):
        console.daemon.history[name] = [lines(name, [f"{name} {n}" for n in range(1, 1001)], begin=begin)]
    with seen(browser, console, "/d/stage/logs/?w=web&w=loud&split=1") as page:
        parts = page.locator(".part")
        expect(parts.locator("h3")).to_have_text(["loud", "web"])
        expect(parts.nth(0).locator(".tx").last).to_have_text("loud 1000")
        parts.nth(1).hover()
        page.mouse.wheel(0, -6000)
        expect(page.locator(".held")).to_be_visible()

        def first_in_sight(at: int) -> int:
            text: str = parts.nth(at).evaluate(
                """(part) => { const top = part.querySelector('.log').getBoundingClientRect().top;
                const rows = [...part.querySelectorAll('.ln')];
                return rows.find((one) => one.getBoundingClientRect().bottom > top + 1).querySelector('.tx').textContent; }"""
            )
            return int(text.split()[1])

        eventually(
            lambda: abs(first_in_sight(0) - first_in_sight(1)) <= 1 and first_in_sight(0) < 900,
            what="both show the same time",
        )


def test_window_that_comes_between_two_shows_its_own_watcher(browser: Browser, console: Console) -> None:
    """Also after what is shown has changed, and when another one has gone."""
    console.daemon.watchers["queue"] = watcher("queue", [process(1)])
    for name in ("loud", "queue", "web"):
        console.daemon.history[name] = [lines(name, [f"{name} {n}" for n in range(1, 6)])]
    with seen(browser, console, "/d/stage/logs/?w=web&w=loud&split=1") as page:
        parts = page.locator(".part")
        expect(parts.locator("h3")).to_have_text(["loud", "web"])
        for names in (["loud", "queue", "web"], ["loud", "web"], ["loud", "queue", "web"]):
            page.locator("[data-source=queue]").click()
            expect(parts.locator("h3")).to_have_text(names)
            for text in ("4", ""):
                page.locator("#filter").fill(text)
                for at, name in enumerate(names):
                    told = [f"{name} 4"] if text else [f"{name} {n}" for n in range(1, 6)]
                    expect(parts.nth(at).locator(".tx")).to_have_text(told)


def test_hostile_lines_are_lines(browser: Browser, console: Console) -> None:
    """Markup, controls, turned text and JSON with such names are shown letter for letter in every place that shows a line."""
    texts = [
        f"ERROR {HOSTILE}\u202e\x1b]8;;javascript:alert(1)\x07 \x00end",
        f'{{"{HOSTILE[:9]}":"\\u202e{HOSTILE[:9]}","__proto__":{{"x":1}}}}'.replace('\\"', "'"),
    ]
    console.daemon.history["loud"] = [lines("loud", [*texts, "x" * 60000])]
    with seen(browser, console, "/d/stage/logs/?w=loud&find=img&column=a") as page:
        expect(page.locator(".rows .tx")).to_have_count(3)
        assert page.locator(".rows .tx").first.inner_text() == f"ERROR {HOSTILE}\ufffd ^@end"
        page.get_by_role("button", name="Remove a").click()
        page.locator(".rows .tx").nth(1).click()
        expect(page.locator(".json dt").first).to_have_text(HOSTILE[:9])
        page.locator(".json .do button").nth(0).click()
        expect(page.locator(".rows .tx")).to_have_count(1)
        page.locator("#filter").fill(HOSTILE)
        page.keyboard.press("Escape")
        assert page.locator("img, .page script").count() == 0
        assert page.title() != "hacked"


def test_download_has_what_is_shown(browser: Browser, console: Console) -> None:
    """The lines that the filter leaves, as a file; and a link to all of them on the server."""
    fill(console.daemon, "loud", 100)
    with seen(browser, console, "/d/stage/logs/?w=loud&q=%219&stream=stdout") as page:
        page.get_by_role("button", name="More: time zone").click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Save what is shown").click()
        saved = waiting.value.path().read_text()
        assert saved == "".join(f"line {n}\n" for n in range(1, 101) if "9" not in str(n))
        link = page.get_by_role("link", name="Save all that match").get_attribute("href")
        assert link == "/d/stage/download/loud?files=true&stream=stdout&text=9&ignore_case=true&invert=true"


@pytest.mark.parametrize("width", [390, 800, 1440, 2560])
def test_page_of_logs_fits(browser: Browser, console: Console, width: int) -> None:
    """No sideways scrolling at any width, and the log has room."""
    fill(console.daemon, "loud", 200, text="line {} " + "x" * 300)
    with seen(browser, console, "/d/stage/logs/", width=width, height=844) as page:
        expect(page.locator(".rows .tx").last).to_contain_text("line 200")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = page.locator(".log").bounding_box()
        assert box
        assert box["height"] > 400
        if width < 1181:
            page.get_by_role("button", name="Sources").click()
            expect(page.locator(".side")).to_be_visible()
            page.locator('[data-source="web"]').click()
            page.wait_for_url("**/logs/?w=loud")
