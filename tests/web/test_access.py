"""The pages for people who do not see them, see them otherwise, or have no pointer: axe's rules, and the keyboard."""

from __future__ import annotations

import time
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.web import scenes
from tests.web.browser import opened
from tests.web.console import COOKIE, Console
from tests.web.staged import ADMIN, VIEWER, process, refused, watcher

LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"dark": True},
    "narrow": {"width": 390, "height": 844},
    "contrast": {"contrast": True},
    "contrast, dark": {"contrast": True, "dark": True},
}


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How the page looks."""
    return LOOKS[request.param]


@pytest.fixture
def scene(console: Console) -> Console:
    """Something of everything that the pages can show."""
    daemon, now = console.daemon, time.time()
    exit_of_2 = {"text": "exited with code 1 after 6 s", "time": now, "code": 1}
    for shown in (
        watcher(
            "sick",
            [process(1), process(2, "backoff", next_try=now + 600, starts=6, exit=exit_of_2)],
            state="backoff",
            detail="1 in backoff",
            restarts=5,
            sockets=["web"],
        ),
        watcher("dead", [process(1, "failed", exit=exit_of_2)], state="failed", detail="1 failed"),
        watcher("idle", [process(1, "stopped")], status="stopped", state="stopped"),
        watcher("ending", [process(1, "stopping", stop_by=now + 600)], status="stopping", state="stopping"),
        watcher(
            "new",
            [process(1), process(2, "starting")],
            state="starting",
            job={"command": "reload", "done": 1, "total": 2},
        ),
        watcher("many", [process(wid) for wid in range(1, 41)]),
    ):
        daemon.watchers[shown["name"]] = shown
    daemon.lead = {
        "title": "Two things need you",
        "text": "dead: The process failed. sick: 1 of 2 processes runs; it is tried again in 600 s.",
        "level": "needs",
    }
    daemon.sockets.append(
        {"name": "web", "address": "127.0.0.1:8000", "fd": 7, "backlog": 128, "held_by": ["sick"]}
    )
    for number, event in enumerate(
        ("process.exited", "process.failed", "process.started", "watcher.stopped", "process.signalled"), 1
    ):
        daemon.events.append(
            {"event": event, "number": number, "time": now, "watcher": "sick", "wid": 1, "text": f"1 {event}"}
        )
    texts = (
        "INFO fine", "\x1b[1;33mWARNING\x1b[0m \x1b[2mnot\x1b[0m so \x1b[32mfine\x1b[0m", "ERROR \x1b[31mbad\x1b[0m",
        "DEBUG \x1b[90mno\x1b[34mb\x1b[35mo\x1b[36md\x1b[37my\x1b[0m",
        "\x1b[41mon\x1b[42ma\x1b[43mground\x1b[44mof\x1b[45mits\x1b[46mown\x1b[47m!\x1b[0m \x1b[7minverse\x1b[0m",
        "\x1b[38;2;255;255;0myellow\x1b[38;2;20;20;60mnight\x1b[48;2;200;200;255mday\x1b[48;2;40;0;0mblood\x1b[0m",
    )  # fmt: skip
    daemon.history["sick"] = [
        {"watcher": "sick", "wid": wid, "stream": stream, "pid": 20000 + wid, "skipped": 0, "lines": lines}
        for wid, stream in ((1, "stdout"), (2, "stderr"))
        for lines in [[[n if n < 6 else 20, now, text] for n, text in enumerate(texts, 1)]]
    ]
    return console


class Looked:
    """A page that axe looks at, each time that it has changed."""

    def __init__(self, page: Page, look: dict[str, Any]) -> None:
        self.page = page
        self.axe = Axe()
        self.options: dict[str, Any] = {"resultTypes": ["violations"]}
        # What is no matter of colour is the same in all of them.
        if "dark" in look or "contrast" in look:
            self.options["runOnly"] = ["color-contrast", "link-in-text-block"]

    def finds_nothing(self, what: str) -> None:
        found = self.axe.run(self.page, options=self.options).response["violations"]
        told = [
            f"{violation['id']}: {violation['help']}\n    {node['html']}\n    {node['failureSummary']}"
            for violation in found
            for node in violation["nodes"]
        ]
        assert not told, f"{what}:\n" + "\n".join(told)


def go(page: Page, console: Console, path: str, session: str = ADMIN) -> None:
    """The console at a path, with a session, and live."""
    page.context.add_cookies([{"name": COOKIE, "value": session, "url": console.origin}])
    page.goto(console.origin + path)
    page.get_by_text("live", exact=True).wait_for(state="attached")


def test_axe_finds_nothing_at_the_door(browser: Browser, console: Console, look: dict[str, Any]) -> None:
    """Neither before a link is tried nor after one was refused, nor where something is not there."""
    with opened(browser, console.origin + "/login", **look) as page:
        looked = Looked(page, look)
        expect(page.get_by_text("circusctl weblink")).to_be_visible()
        looked.finds_nothing("the door")
        page.evaluate("location.hash = 'token=used'")
        expect(page.get_by_role("status")).to_contain_text("The link was used already")
        looked.finds_nothing("a refused link")
        page.goto(console.origin + "/nowhere")
        expect(page.get_by_role("heading")).to_contain_text("404")
        looked.finds_nothing("an error")


def test_axe_finds_nothing_over_the_watchers(browser: Browser, scene: Console, look: dict[str, Any]) -> None:
    """With every state, an action that did not work, a filter that hides all, the keys, and for one who may only look."""
    scene.daemon.answers["restart"] = lambda p: refused("failed", "Process 2 did not end")
    with opened(browser, "about:blank", **look) as page:
        go(page, scene, "/d/stage/")
        looked = Looked(page, look)
        expect(page.locator("tr[data-watcher]")).to_have_count(8)
        expect(page.locator('tr[data-watcher="many"] .c-cpu')).to_contain_text("%")
        looked.finds_nothing("all watchers")
        page.keyboard.press("j")
        page.keyboard.press("r")
        expect(page.get_by_role("alert")).to_contain_text("did not work")
        looked.finds_nothing("an action that did not work")
        page.locator("#group").select_option("state")
        page.keyboard.press("*")
        expect(page.locator(".picked")).to_be_visible()
        page.locator('.picked [data-what="restart"]').click()
        expect(page.locator(".run")).to_contain_text("Process 2 did not end")
        looked.finds_nothing("groups, some that are chosen, and what came of them")
        page.locator('.picked [data-what="rm"]').click()
        expect(page.locator("#confirm-word")).to_be_visible()
        looked.finds_nothing("a question")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Choose none").click()
        page.locator("#group").select_option("")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        looked.finds_nothing("the keys")
        page.keyboard.press("Escape")
        page.locator("#filter").fill("sikc")
        expect(page.get_by_text("No watcher matches")).to_be_visible()
        looked.finds_nothing("nothing left")
        go(page, scene, "/d/stage/", VIEWER)
        expect(page.locator('button[data-what="restart"]').first).to_have_attribute("aria-disabled", "true")
        looked.finds_nothing("for one who may only look")


def test_axe_finds_nothing_at_a_watcher(browser: Browser, scene: Console, look: dict[str, Any]) -> None:
    """With lines of all levels in all colours, a gap and events among them; held, with one line in full; and not there."""
    now = time.time()
    for shown in (
        watcher(
            "deployed",
            [
                process(1, "ready", side="old"),
                process(2, awaits="notify", ready_by=now + 600, side="new", said="loading"),
            ],
            state="starting",
            detail="reloading 0 of 1",
            explain="Process 2 is not ready yet, and has 600 s left: it has not said READY=1.",
            numprocesses=1,
            job={"id": 9, "command": "reload", "done": 0, "total": 1, "text": "process 2 is not ready yet"},
        ),
        watcher("undone", [process(1)], setback="process 2 exited with code 1; the old processes stay"),
    ):
        scene.daemon.watchers[shown["name"]] = shown
    with opened(browser, "about:blank", **look) as page:
        go(page, scene, "/d/stage/w/sick")
        looked = Looked(page, look)
        expect(page.locator(".gap").first).to_be_visible()
        expect(page.locator(".rows .tx").last).to_be_visible()
        looked.finds_nothing("a watcher")
        page.locator(".rows .tx").last.click()
        expect(page.locator(".whole")).to_be_visible()
        page.keyboard.press("f")
        expect(page.locator(".held")).to_be_visible()
        looked.finds_nothing("held, with one line in full")
        go(page, scene, "/d/stage/w/deployed")
        expect(page.locator(".note.deploy")).to_be_visible()
        looked.finds_nothing("a reload that goes on")
        go(page, scene, "/d/stage/w/undone")
        expect(page.get_by_text("The last reload was given up")).to_be_visible()
        looked.finds_nothing("a reload that was given up")
        go(page, scene, "/d/stage/w/nobody")
        expect(page.get_by_text("There is no watcher")).to_be_visible()
        looked.finds_nothing("no such watcher")


def test_axe_finds_nothing_in_the_logs(browser: Browser, scene: Console, look: dict[str, Any]) -> None:
    """Lines of several watchers, what is chosen of them, the menu, a line in full, and what a search has found."""
    now = time.time()
    texts = [
        'ERROR \x1b[31mit\x1b[0m broke', "Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: no",
        '{"level":"warning","status":404,"route":"/a"}', '{"level":"info","status":200,"route":"/b"}', "WARNING slow",
    ]  # fmt: skip
    scene.daemon.history["web"] = [
        {"watcher": "web", "wid": 1, "stream": stream, "pid": 20001, "skipped": 0,
         "lines": [[n + 1, now - 60 + n, text] for n, text in enumerate(texts)]}
        for stream in ("stdout", "stderr")
    ]  # fmt: skip
    line = {
        "id": "1-1/1/1/stdout/web",
        "watcher": "web",
        "wid": 1,
        "pid": 20001,
        "stream": "stdout",
        "number": 1,
        "time": now - 60,
    }
    scene.daemon.answers["grep"] = lambda p: {
        "lines": [{**line, "text": "ERROR it broke", "match": True}], "matches": 1, "older": "x", "newer": "y", "more": True,
        "searched": {"bytes": 70000, "files": 1, "seconds": 0.1}, "complete": True,
        "unsearched": [{"file": "/a", "reason": "no"}], "notes": ["about"],
    }  # fmt: skip
    with opened(browser, "about:blank", **look) as page:
        go(page, scene, "/d/stage/logs/?w=web&w=loud&find=slow")
        looked = Looked(page, look)
        expect(page.locator(".rows .tx").first).to_be_visible()
        scene.daemon.write("web", [(1000, "after the gap")])
        expect(page.locator(".gap")).to_have_count(1)
        page.locator(".log").focus()
        for key in ("k", "Shift+K", "Shift+K"):
            page.keyboard.press(key)
        expect(page.locator(".taken")).to_be_visible()
        looked.finds_nothing("lines that are chosen")
        page.locator(".reader .bar [aria-expanded]").last.click()
        expect(page.locator(".readmenu")).to_be_visible()
        looked.finds_nothing("the menu")
        page.keyboard.press("Escape")
        page.keyboard.press("t")
        expect(page.locator(".readmenu.time input")).to_be_focused()
        page.keyboard.type("soon")
        page.keyboard.press("Enter")
        expect(page.locator(".readmenu.time [role=alert]")).to_be_visible()
        looked.finds_nothing("a time that is none")
        page.keyboard.press("Escape")
        page.locator(".rows .tx").filter(has_text='"status"').first.click()
        expect(page.locator(".json")).to_be_visible()
        looked.finds_nothing("a line in full")
        page.locator(".json .do button").last.click()
        page.keyboard.press("Escape")
        expect(page.locator(".chip")).to_have_count(1)
        page.get_by_role("button", name="Search history").click()
        expect(page.locator(".found .ln")).to_have_count(1)
        looked.finds_nothing("what was found")


def test_axe_finds_nothing_at_the_commands(browser: Browser, scene: Console, look: dict[str, Any]) -> None:
    """The palette, the list, forms with wrong and changed values, a plan, a question, an answer, a refusal, and what a viewer sees."""
    options = {
        "numprocesses": 2,
        "graceful_timeout": 30,
        "working_dir": "/srv",
        "copy_env": False,
        "env": {"A": "***"},
    }
    scene.daemon.answers["options"] = lambda p: {"options": options}
    scene.daemon.answers["restart"] = lambda p: refused("failed", "Process 2 did not end")
    scene.daemon.answers["listsockets"] = lambda p: {"sockets": scene.daemon.sockets}
    with opened(browser, "about:blank", **look) as page:
        go(page, scene, "/d/stage/")
        looked = Looked(page, look)
        page.keyboard.press("Control+k")
        page.locator(".palette input").press_sequentially("re si")
        expect(page.locator("#found [aria-selected=true]")).to_be_visible()
        looked.finds_nothing("the palette")
        page.locator(".palette input").fill("no such thing")
        expect(page.locator("#found [role=option]")).to_have_count(0)
        looked.finds_nothing("a palette that finds nothing")
        go(page, scene, "/d/stage/c/")
        expect(page.locator(".commands").first).to_be_visible()
        looked.finds_nothing("all commands")
        go(page, scene, "/d/stage/c/set?name=sick")
        page.locator("#o-working_dir").fill("/srv/other")
        page.locator("#o-graceful_timeout").fill("soon")
        expect(page.locator(".oops")).to_be_visible()
        looked.finds_nothing("options with a change and what is wrong")
        go(page, scene, "/d/stage/c/add")
        expect(page.locator("#f-cmd")).to_be_visible()
        looked.finds_nothing("a new watcher")
        go(page, scene, "/d/stage/c/stop")
        page.locator("#run").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        looked.finds_nothing("a question")
        go(page, scene, "/d/stage/c/listsockets")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"] table')).to_be_visible()
        looked.finds_nothing("an answer")
        go(page, scene, "/d/stage/c/restart?name=sick")
        page.locator("#run").click()
        expect(page.locator('[data-state="error"]')).to_contain_text("did not end")
        looked.finds_nothing("a refusal")
        go(page, scene, "/d/stage/c/set?name=sick", VIEWER)
        expect(page.locator("#barred")).to_contain_text("needs operator")
        looked.finds_nothing("for one who may only look")
        go(page, scene, "/d/stage/c/tail")
        expect(page.locator(".leads")).to_be_visible()
        looked.finds_nothing("what is shown elsewhere")


PAGES = {
    "events": ".timeline li",
    "sockets": "tr[data-socket]",
    "graph": "a.node",
    "plugins": "[data-plugin]",
    "daemon": ".options-of > div",
    "audit": ".audit-table tbody tr",
}
"""Pages beside those of watchers and commands, with what is there when they are."""


@pytest.mark.parametrize("part", PAGES)
def test_axe_finds_nothing_at_the_other_pages(
    browser: Browser, scene: Console, look: dict[str, Any], part: str
) -> None:
    """With all that they show, the menus open, and for one who may only look."""
    scenes.set_pages(scene.daemon)
    scenes.set_graph(scene.daemon)
    with opened(browser, "about:blank", **look) as page:
        go(page, scene, f"/d/stage/{part}/")
        looked = Looked(page, look)
        expect(page.locator(PAGES[part]).first).to_be_visible()
        if part == "daemon":
            page.locator("#show-save").click()
            expect(page.locator(".diff")).to_be_visible()
            page.get_by_text("Limits", exact=True).click()
        looked.finds_nothing(part)
        if part == "graph":
            go(page, scene, "/d/stage/graph/start")
            expect(page.locator("tr[data-start]").first).to_be_visible()
            looked.finds_nothing("a start")
        if part == "daemon":
            page.locator("#show-reload").click()
            expect(page.locator(".plan-of").first).to_be_visible()
            looked.finds_nothing("a plan")
        page.locator(".nav .more").click()
        looked.finds_nothing("the pages")
        page.locator(".right .menu > button").click()
        expect(page.locator("#theme")).to_be_visible()
        looked.finds_nothing("the themes")
        go(page, scene, f"/d/stage/{part}/", VIEWER)
        expect(page.locator(PAGES[part] if part != "audit" else "main .blank").first).to_be_visible()
        looked.finds_nothing("for one who may only look")


@pytest.mark.parametrize("look", ["light", "dark", "narrow"], indirect=True)
def test_axe_finds_nothing_where_nothing_is(browser: Browser, console: Console, look: dict[str, Any]) -> None:
    """An empty daemon, and a page that is not live any more."""
    console.daemon.watchers.clear()
    with opened(browser, "about:blank", **look) as page:
        go(page, console, "/d/stage/")
        looked = Looked(page, look)
        expect(page.get_by_role("heading", name="Nothing is watched yet")).to_be_visible()
        looked.finds_nothing("nothing is watched")
        page.locator("#first-cmd").fill("sleep 1000")
        page.locator("#first-number").fill("many")
        expect(page.locator("#first-why")).to_contain_text("numprocesses")
        looked.finds_nothing("a first watcher that can't be started so")
        console.daemon.loads = False
        try:
            expect(page.get_by_role("alert")).to_contain_text("has not answered")
            looked.finds_nothing("not live")
        finally:
            console.daemon.loads = True


# What has the focus: how it is drawn, and whether all of it can be seen between the bars.
FOCUS = """() => {
    const element = document.activeElement;
    if (element === document.body) return null;
    const drawn = [element, element.closest('.in')].some((one) => {
        const style = one && getComputedStyle(one);
        return style && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    });
    const box = element.getBoundingClientRect();
    const fixed = element.closest('.top, .prompt');
    const top = fixed ? 0 : document.querySelector('.top').getBoundingClientRect().bottom;
    const bottom = fixed ? innerHeight : document.querySelector('.prompt').getBoundingClientRect().top;
    const row = element.closest('tr');
    return {
        what: element.getAttribute('aria-label') || element.textContent.trim().slice(0, 40) || element.id,
        row: row ? row.dataset.watcher || row.dataset.wid || 'head' : '',
        drawn,
        seen: box.top >= top - 1 && box.bottom <= bottom + 1 && getComputedStyle(element.closest('.acts') || element).opacity === '1',
    };
}"""


def by_tab(page: Page) -> list[dict[str, Any]]:
    """What Tab comes to from the beginning to the end of the page."""
    stops: list[dict[str, Any]] = []
    while len(stops) < 200:
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUS)
        if stop is None or (stops and stop["what"] == "Skip to the page"):
            return stops
        stops.append(stop)
    raise AssertionError(f"there is no end to it: {stops}")


def test_tab_comes_to_all_that_acts(browser: Browser, console: Console) -> None:
    """Also with many watchers in a few steps; what has the focus is marked, and no bar hides it."""
    for number in range(100):
        console.daemon.watchers[f"x-{number}"] = watcher(f"x-{number}", [process(1)])
    console.daemon.sockets.append(
        {"name": "s", "address": "127.0.0.1:80", "fd": 7, "backlog": 128, "held_by": ["web"]}
    )
    with opened(browser, "about:blank", height=500) as page:
        go(page, console, "/d/stage/")
        expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "103")
        page.keyboard.press("j")
        for _ in range(60):
            page.keyboard.press("j")
        at = "x-58"
        expect(page.locator(f"tr[data-watcher='{at}'][tabindex='0']")).to_be_focused()
        assert page.evaluate(FOCUS)["seen"]
        page.evaluate("document.activeElement.blur()")
        page.evaluate("scrollTo(0, 0); document.querySelector('.skip').focus()")
        stops = by_tab(page)
        assert [stop for stop in stops if not stop["drawn"]] == []
        assert [stop for stop in stops if not stop["seen"]] == []
        assert [stop["what"] for stop in stops if stop["row"] == at][1:] == [
            f"Choose {at}", at, f"Restart: {at}", f"Stop: {at}", f"One process less: {at}", f"One process more: {at}",
        ]  # fmt: skip
        assert {stop["row"] for stop in stops} == {"", "head", at}
        whats = [stop["what"] for stop in stops]
        assert {"circus, all watchers", "Theme: automatic", "Log out", "filter", "copy", "? keys"} <= set(
            whats
        )
        assert sum(stop["row"] == "head" for stop in stops) >= 5
        assert "web" in whats


def test_tab_comes_to_all_of_a_watcher(browser: Browser, scene: Console) -> None:
    """One process is in the order of Tab, keys go from one to the next; the log can be reached, and scrolled by keys."""
    with opened(browser, "about:blank") as page:
        go(page, scene, "/d/stage/w/many")
        expect(page.locator("tr[data-wid]")).to_have_count(40)
        page.keyboard.press("j")
        for _ in range(2):
            page.keyboard.press("j")
        page.keyboard.press("ArrowDown")
        expect(page.locator("tr[data-wid='4'][tabindex='0']")).to_be_focused()
        page.keyboard.press("k")
        expect(page.locator("tr[data-wid='3'][tabindex='0']")).to_be_focused()
        page.evaluate("document.querySelector('.skip').focus()")
        stops = by_tab(page)
        assert [stop for stop in stops if not (stop["drawn"] and stop["seen"])] == []
        assert [stop["what"] for stop in stops if stop["row"] == "3"][1:] == [
            "3python -m many",
            "Restart process 3",
        ]
        assert {stop["row"] for stop in stops} == {"", "3"}
        whats = [stop["what"] for stop in stops]
        for wanted in ("One process less", "numprocesses", "One process more", "filter", "stdout", "stderr"):
            assert wanted in whats
        for begins in ("Restart", "Reload", "Stop", "Following"):
            assert any(what.startswith(begins) for what in whats)
        page.locator(".log").focus()
        assert page.evaluate(FOCUS)["drawn"]


def test_state_is_told_by_shape_and_word(browser: Browser, scene: Console) -> None:
    """Each state has a shape and a word of its own: nobody has to see colours."""
    for name, state in (("done", "completed"), ("broken", "exited")):
        scene.daemon.watchers[name] = watcher(name, [process(1, state)], state=state, status="stopped")
    with opened(browser, "about:blank") as page:
        go(page, scene, "/d/stage/")
        expect(page.locator("tr[data-watcher]")).to_have_count(10)
        told = page.locator("tr[data-watcher]").evaluate_all(
            """rows => Object.fromEntries(rows.map((row) => [row.dataset.watcher, [
                row.querySelector('.c-state use').getAttribute('href'), row.querySelector('.c-state .word').textContent]]))"""
        )
        told["ending"][1] = told["ending"][1].partition(",")[0]
        assert told == {
            "sick": ["#s-wait", "active, 1 in backoff"],
            "dead": ["#s-fail", "active, 1 failed"],
            "idle": ["#s-rest", "stopped"],
            "done": ["#s-rest", "completed"],
            "broken": ["#s-wait", "exited"],
            "ending": ["#s-stopping", "stopping"],
            "new": ["#s-start", "reloading 1 of 2"],
            "many": ["#s-run", "active"],
            "loud": ["#s-run", "active"],
            "web": ["#s-run", "active"],
        }
        expect(page.locator(".nav > a .alarm use")).to_have_attribute("href", "#s-fail")
        expect(page.locator(".nav a").first).to_have_accessible_name("Watchers 3 need you")


def test_nothing_moves_for_whom_motion_is_too_much(browser: Browser, scene: Console) -> None:
    """With reduced motion nothing is animated, also while a pointer goes over rows and buttons."""
    with opened(browser, "about:blank") as page:
        go(page, scene, "/d/stage/")
        page.locator('tr[data-watcher="new"]').hover()
        page.locator('tr[data-watcher="new"] button').first.hover()
        page.get_by_role("button", name="Theme").click()
        assert (
            page.evaluate(
                "document.getAnimations().filter((one) => one.effect.getComputedTiming().duration > 0).length"
            )
            == 0
        )


def test_sentence_is_spoken_when_it_changes(browser: Browser, console: Console) -> None:
    """What stands on the page is not said twice; a new sentence is said, once, and without its countdown."""
    console.daemon.lead["text"] = "3 processes of 2 watchers run."
    with opened(browser, "about:blank") as page:
        go(page, console, "/d/stage/")
        expect(page.locator(".lead .explain")).to_have_text("3 processes of 2 watchers run.")
        expect(page.locator(".lead [aria-live]")).to_have_text("")
        console.daemon.change(
            watcher("web", [process(1)]),
            lead={"title": "All is well", "text": "2 processes run.", "level": "calm"},
        )
        expect(page.locator(".lead [aria-live]")).to_have_text("2 processes run.")
