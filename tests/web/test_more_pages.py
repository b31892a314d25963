"""The pages beside those of watchers and commands, before a daemon that answers whatever a test wants answered."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.waiting import eventually
from tests.web import scenes
from tests.web.browser import opened
from tests.web.console import COOKIE, Console
from tests.web.staged import ADMIN, VIEWER, refused

HOSTILE = "<img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture
def scene(console: Console) -> Console:
    """The staged daemon answers all pages."""
    scenes.set_pages(console.daemon)
    return console


@contextmanager
def seen(
    browser: Browser, console: Console, path: str, *, session: str = ADMIN, **more: Any
) -> Iterator[Page]:
    """The console at a page, with a session, and live."""
    with opened(browser, "about:blank", **more) as page:
        page.context.add_cookies([{"name": COOKIE, "value": session, "url": console.origin}])
        page.goto(f"{console.origin}/d/stage/{path}")
        page.get_by_text("live", exact=True).wait_for(state="attached")
        yield page


def said(console: Console, command: str) -> list[dict[str, Any]]:
    """What a page asked for, without that the console wants to hear how far it is."""
    rows = console.daemon.asked(command)
    return [{key: value for key, value in row.items() if key != "progress"} for row in rows]


def heading(page: Page) -> Any:
    return page.get_by_role("heading", level=1)


# --- the way to pages -------------------------------------------------------------------------------------------------


def test_keys_lead_to_every_page(browser: Browser, scene: Console) -> None:
    """g and a letter; the list of keys names them, and each page has its own address and title."""
    goals = {
        "e": "Events",
        "s": "Sockets",
        "d": "Daemon",
        "g": "Dependencies",
        "p": "Plugins",
        "a": "Audit",
        "c": "Commands",
    }
    with seen(browser, scene, "") as page:
        for key, title in goals.items():
            page.keyboard.press("g")
            page.keyboard.press(key)
            expect(heading(page)).to_have_text(title)
            expect(page).to_have_title(re.compile(f"^{title} · "))
        page.keyboard.press("?")
        for key, title in goals.items():
            line = page.locator("dialog.keys dl div").filter(has_text=title).filter(has_text=f"g {key}")
            expect(line).to_be_visible()


@pytest.mark.parametrize("width", [1440, 800, 390])
def test_the_menu_has_what_the_bar_has_no_room_for(browser: Browser, scene: Console, width: int) -> None:
    """At any width each page is in the bar or in the menu, once; arrow keys go through it, Escape gives the focus back."""
    titles = [
        "Watchers",
        "Logs",
        "Events",
        "Sockets",
        "Daemon",
        "Dependencies",
        "Plugins",
        "People",
        "Audit",
        "Commands",
    ]
    with seen(browser, scene, "", width=width) as page:
        bar = [link for link in page.locator(".nav > a:visible").all_inner_texts() if link.strip()]
        button = page.locator(".nav .more")
        expect(button).to_have_attribute("aria-expanded", "false")
        button.focus()
        page.keyboard.press("Enter")
        expect(button).to_have_attribute("aria-expanded", "true")
        listed = page.locator(".nav .pop a:visible").all_inner_texts()
        assert [text.split("\n")[0].split("g ")[0].strip() for text in bar + listed] == titles
        page.keyboard.press("ArrowDown")
        expect(page.locator(".nav .pop a:visible").first).to_be_focused()
        page.keyboard.press("End")
        expect(page.locator(".nav .pop a:visible").last).to_be_focused()
        page.keyboard.press("Escape")
        expect(button).to_be_focused()
        expect(button).to_have_attribute("aria-expanded", "false")
        page.keyboard.press("ArrowDown")
        page.locator(".nav .pop a", has_text="Plugins").click()
        expect(heading(page)).to_have_text("Plugins")
        expect(button).to_have_attribute("aria-label", "Plugins, more pages")
        expect(page.locator(".nav .pop")).to_be_hidden()
        button.click()
        heading(page).click(force=True)
        expect(page.locator(".nav .pop")).to_be_hidden()


def test_a_page_for_others_is_not_offered(browser: Browser, scene: Console) -> None:
    """Who may not see the audit is not led to it, and its address says why."""
    with seen(browser, scene, "", session=VIEWER) as page:
        page.locator(".nav .more").click()
        assert "Audit" not in " ".join(page.locator(".nav .pop a").all_inner_texts())
        page.goto(f"{scene.origin}/d/stage/audit/")
        expect(page.get_by_text("this needs admin")).to_be_visible()
        assert scene.daemon.asked("audit") == []


def test_high_contrast_can_be_chosen(browser: Browser, console: Console) -> None:
    """It is one of four, it is kept, and goes with light and dark as the system is."""
    with seen(browser, console, "", dark=True) as page:
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        button = page.get_by_role("button", name="Theme: automatic")
        button.click()
        page.get_by_role("button", name="High contrast").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(0, 0, 0)" != before
        page.reload()
        assert page.evaluate("document.documentElement.dataset.contrast") == "more"
        page.get_by_role("button", name="Theme: high contrast").click()
        expect(page.get_by_role("button", name="High contrast", exact=False).last).to_have_attribute(
            "aria-pressed", "true"
        )
        page.get_by_role("button", name="Light", exact=True).click()
        assert page.evaluate("document.documentElement.dataset.contrast") is None
        assert page.evaluate("document.documentElement.dataset.theme") == "light"


# --- events -----------------------------------------------------------------------------------------------------------


def event(
    number: int, kind: str = "process.exited", name: str = "web", level: str = "warning", **more: Any
) -> dict[str, Any]:
    return {
        "event": kind,
        "level": level,
        "number": number,
        "time": time.time(),
        "watcher": name,
        "text": f"what {number}",
        **more,
    }


def test_events_come_by_themselves_and_floods_are_one_line(browser: Browser, scene: Console) -> None:
    """What is said again and again by turns is one line for each kind, with how often, however much of it came while the
    page was open; it can be unfolded."""
    stage = scene.daemon
    stage.answers["events"] = lambda p: {"events": [event(1, "watcher.started", level="info")], "more": False}
    with seen(browser, scene, "events/") as page:
        lines = page.locator(".timeline li")
        expect(lines).to_have_count(1)
        for number in range(2, 402):
            kind = ("process.exited", "process.backoff")[number % 2]
            stage.push("event.", event(number, kind, "loud"))
            if number % 100 == 0:
                expect(lines.first).to_contain_text(f"what {number}")
        expect(lines).to_have_count(3)
        expect(lines.first).to_contain_text("what 401")
        expect(lines.nth(0).locator(".times")).to_have_text("×200")
        expect(lines.nth(1).locator(".times")).to_have_text("×200")
        lines.nth(0).locator(".times").click()
        expect(lines).to_have_count(202)
        lines.nth(0).locator(".times").click()
        expect(lines).to_have_count(3)
        page.locator(".timeline a", has_text="loud").first.click()
        page.wait_for_url("**/w/loud")


HIDE = """hidden => {
    Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
    document.dispatchEvent(new Event('visibilitychange'));
}"""
NEWEST = """async () => {
    const name = document.querySelector('link[href$="js/store.js"]').href;
    return (await import(name)).store.events[0]?.number;
}"""


def test_events_that_were_too_many_at_once_are_asked_for(browser: Browser, scene: Console) -> None:
    """Of what came while nobody looked the page has the last ones, and what gets the others."""
    stage = scene.daemon
    stage.answers["events"] = lambda p: {"events": [event(1, level="info")], "more": False}
    with seen(browser, scene, "events/") as page:
        expect(page.locator(".timeline li")).to_have_count(1)
        stage.answers["events"] = lambda p: {
            "events": [event(n, f"k{n}.x") for n in range(601, 801)],
            "more": True,
        }
        page.evaluate(HIDE, True)
        for number in range(401, 801):
            stage.push("event.", event(number, f"k{number}.x"))
        eventually(lambda: page.evaluate(NEWEST) == 800, what="all have come")
        page.evaluate(HIDE, False)
        expect(page.locator(".timeline li")).to_have_count(200)
        expect(page.locator(".timeline li").first).to_contain_text("what 800")
        expect(page.locator("#older")).to_be_visible()


def test_events_are_filtered_by_the_daemon_and_as_they_come(browser: Browser, scene: Console) -> None:
    """What is chosen is asked for, and what comes and does not pass is not shown."""
    stage = scene.daemon
    with seen(browser, scene, "events/?watcher=web") as page:
        expect(page.locator(".timeline li").first).to_be_visible()
        assert {"lines": 200, "name": "web", "match": "simple"} in stage.asked("events")
        page.get_by_role("button", name="Warnings").click()
        page.get_by_label("Kind").select_option("process")
        page.locator("#filter").fill("boom")
        wanted = {"name": "web", "level": "warning", "kind": "process", "text": "boom"}
        stage.answers["events"] = lambda p: {"events": [], "more": False}
        eventually(
            lambda: wanted.items() <= stage.asked("events")[-1].items(), what="the filter is asked for"
        )
        expect(page.get_by_text("No event passes the filter")).to_be_visible()
        stage.push("event.", event(901, text="boom", name="loud"))
        stage.push("event.", event(902, "hook.failed", text="boom"))
        stage.push("event.", event(903, level="info", text="boom"))
        stage.push("event.", event(904, text="nothing"))
        stage.push("event.", event(905, text="a BOOM of web"))
        expect(page.locator(".timeline li")).to_have_count(1)
        expect(page.locator(".timeline li")).to_contain_text("a BOOM of web")


def test_older_events_are_asked_for_page_by_page(browser: Browser, scene: Console) -> None:
    """Each page by the number of the oldest that is there; at the end it says so."""

    def answer(properties: dict[str, Any]) -> dict[str, Any]:
        before = properties.get("before", 401)
        first = max(1, before - 200)
        return {
            "events": [event(n, f"k{n}.x", level="info") for n in range(first, before)],
            "more": first > 1,
        }

    scene.daemon.answers["events"] = answer
    with seen(browser, scene, "events/") as page:
        lines = page.locator(".timeline li")
        expect(lines).to_have_count(200)
        page.locator("#older").click()
        expect(lines).to_have_count(400)
        assert scene.daemon.asked("events")[-1]["before"] == 201
        expect(lines.last).to_contain_text("what 1")
        expect(page.get_by_text("There are no older ones")).to_be_visible()
        expect(page.locator("#older")).to_have_count(0)


def test_lanes_show_each_watcher_over_time(browser: Browser, scene: Console) -> None:
    """A lane for each, told in words too; its name narrows the list to it."""
    with seen(browser, scene, "events/") as page:
        expect(page.locator(".lanes svg[role='img']")).to_have_count(3)
        lane = page.get_by_role("img", name="loud: 11 events", exact=False)
        expect(lane).to_be_visible()
        assert lane.locator("use").count() > 1
        page.locator(".lane-name", has_text="loud").click()
        expect(page.get_by_label("Watcher", exact=True)).to_have_value("loud")


def test_names_and_texts_of_events_are_only_text(browser: Browser, scene: Console) -> None:
    """Whatever a watcher is called and an event says."""
    scene.daemon.answers["events"] = lambda p: {
        "events": [event(1, name=HOSTILE, text=HOSTILE)],
        "more": False,
    }
    with seen(browser, scene, "events/") as page:
        expect(page.locator(".timeline li")).to_contain_text(HOSTILE)
        assert page.locator("main img").count() == 0
        assert "hacked" not in page.title()


# --- sockets ----------------------------------------------------------------------------------------------------------


def test_sockets_tell_who_waits_and_who_holds_them(browser: Browser, scene: Console) -> None:
    """The full one is told first and by its shape; what the kernel does not tell is a dash."""
    with seen(browser, scene, "sockets/") as page:
        expect(page.get_by_text("The queue of full is full")).to_be_visible()
        rows = {
            name: page.locator(f'tr[data-socket="{name}"]') for name in ("api", "full", "local", "datagrams")
        }
        expect(rows["api"]).to_contain_text("127.0.0.1:8001")
        expect(rows["api"].locator(".c-queue")).to_contain_text("2 of 128")
        expect(rows["api"].locator(".c-open")).to_have_text("12")
        expect(rows["full"]).to_contain_text("[::1]:8002")
        expect(rows["full"].locator(".c-queue use")).to_have_attribute("href", "#s-fail")
        expect(rows["full"].locator(".c-dropped")).to_have_text("▲ 41")
        expect(rows["local"].locator(".c-dropped")).to_have_text("–")
        expect(rows["local"].locator(".c-held")).to_have_text("nobody")
        expect(rows["datagrams"].locator(".c-queue")).to_contain_text("832 B")
        expect(rows["api"].get_by_role("link", name="web")).to_have_attribute("href", "/d/stage/w/web")
        expect(rows["api"].get_by_role("link", name="Remove api")).to_have_attribute(
            "href", "/d/stage/c/rmsocket?name=api"
        )
        assert scene.daemon.asked("listsockets")[-1] == {"details": True}


def test_a_page_that_gets_no_answer_says_why(browser: Browser, scene: Console) -> None:
    """With the daemon's words, and it can be asked again."""
    scene.daemon.answers["listsockets"] = lambda p: refused("failed", "no descriptors are left")
    with seen(browser, scene, "sockets/") as page:
        expect(page.get_by_role("alert")).to_contain_text("no descriptors are left")
        scene.daemon.answers["listsockets"] = lambda p: {"sockets": []}
        page.get_by_role("button", name="Ask again").click()
        expect(page.get_by_role("heading", name="No managed sockets")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


# --- plugins ----------------------------------------------------------------------------------------------------------


def test_plugins_tell_what_they_are_and_hear(browser: Browser, scene: Console) -> None:
    """State, process, restarts, what it listens to, options without secrets; and it can be acted on."""
    with seen(browser, scene, "plugins/") as page:
        notes, broken = page.locator('[data-plugin="notes"]'), page.locator('[data-plugin="broken"]')
        expect(notes).to_contain_text("my.notes.Notes")
        expect(notes).to_contain_text("events, for")
        expect(notes).to_contain_text("30 s")
        expect(notes.locator("dl.told div", has_text="token")).to_contain_text("not shown")
        expect(broken).to_contain_text("not connected")
        expect(broken).to_contain_text("backoff")
        expect(broken.locator("dl.told div", has_text="Restarts")).to_contain_text("▲ 4")
        notes.locator('button[data-what="restart"]').click()
        eventually(lambda: scene.daemon.asked("restart"), what="it is restarted")
        assert scene.daemon.asked("restart")[-1]["name"] == "plugin:notes"
        scene.daemon.answers["plugins"] = lambda p: {"plugins": []}
        expect(page.get_by_role("heading", name="No plugins")).to_be_visible()


def test_plugins_tell_what_they_do_and_say(browser: Browser, scene: Console) -> None:
    """What a shipped one is for, each of its options with its meaning, its last lines, hostile ones too, and the others."""
    line = "2026-03-01 12:00:00 circusd.plugin[20001] [WARNING] bad <b>flaps</b> \x1b[31m\u202e"
    said = [line, "Traceback <script>"]
    scene.daemon.answers["output"] = lambda p: {
        "lines": [{"id": str(n), "time": 1772366400.0 + n, "text": text} for n, text in enumerate(said)]
        if p["names"] == ["plugin:broken"]
        else []
    }
    with seen(browser, scene, "plugins/") as page:
        flapping = page.locator('[data-plugin="broken"]')
        expect(flapping.locator(".does")).to_contain_text(
            "Stops a watcher whose processes die again and again."
        )
        expect(flapping.locator(".does code")).to_have_text("flapping.X")
        expect(flapping.locator("dl.told div", has_text="retry_in").first).to_contain_text("4")
        flapping.locator("summary").click()
        expect(flapping.locator("dl.each div", has_text="max_retry")).to_contain_text("-1 for ever again")
        lines = flapping.locator(".said li")
        expect(lines).to_have_count(2)
        expect(lines.first.locator('[role="img"]')).to_have_attribute("aria-label", "warning")
        expect(lines.first.locator("code")).to_contain_text("bad <b>flaps</b>")
        expect(lines.first).not_to_contain_text("circusd.plugin")
        expect(lines.last).to_contain_text("Traceback <script>")
        assert flapping.locator(".said b, .said script").count() == 0
        expect(page.locator('[data-plugin="notes"] .said')).to_contain_text("Nothing so far.")
        further = page.locator(".further details")
        expect(page.locator('[data-known="flapping"]')).to_have_count(0)
        expect(page.locator('[data-known="notify"]')).to_have_count(1)
        further.locator("summary", has_text="notify").click()
        notify = page.locator('[data-known="notify"]')
        expect(notify.locator("pre")).to_have_text("[plugin:notify]\nuse = notify\nurls = …\n")
        expect(notify).to_contain_text("pip install 'circusweb[notify]'")
        expect(notify.locator("dl.each div", has_text="template")).to_be_visible()


# --- the daemon -------------------------------------------------------------------------------------------------------


def test_the_daemon_shows_itself(browser: Browser, scene: Console) -> None:
    """Figures, who is connected, what is under way, and which settings need a restart."""
    with seen(browser, scene, "daemon/") as page:
        expect(page.locator(".figures-of")).to_contain_text("900")
        expect(page.locator(".figures-of")).to_contain_text("of 1,024")
        expect(page.locator(".figures-of")).to_contain_text("p50 0.0, at most 4.2 ms")
        expect(page.locator(".figures-of")).to_contain_text("load 0.42, memory 3 GiB of 16 GiB")
        expect(page.get_by_role("link", name="Figures for Prometheus")).to_have_attribute(
            "href", re.compile("/d/stage/metrics$")
        )
        door = page.get_by_role("region", name="commands")
        expect(door).to_contain_text("ipc:///run/circus/commands.sock")
        expect(door.locator("tbody tr")).to_contain_text("root")
        expect(page.get_by_role("region", name="web")).to_contain_text("the console, by sessions")
        setting = page.locator(".options-of > div", has_text="history_bytes")
        expect(setting).to_contain_text("1MiB")
        expect(setting).to_contain_text("after a restart of circusd")
        expect(
            page.locator(".options-of > div", has=page.get_by_text("warmup_delay", exact=True))
        ).to_contain_text("with the next reload")
        expect(page.locator(".options-of > div", has=page.get_by_text("pidfile", exact=True))).to_have_count(
            0
        )
        page.locator("#find-option").fill("pidfile")
        expect(page.locator(".options-of > div")).to_have_count(1)


def test_what_is_under_way_can_be_cancelled(browser: Browser, scene: Console) -> None:
    """By its number; a refusal stands where the button is."""
    scene.daemon.answers["cancel"] = lambda p: {"cancelled": [], "kept": {"web": "it has the stop signal"}}
    with seen(browser, scene, "daemon/") as page:
        page.get_by_role("button", name="Cancel reload web").click()
        expect(page.locator(".jobs").get_by_role("alert")).to_contain_text("it has the stop signal")
        assert scene.daemon.asked("cancel") == [{"id": 17}]


def test_a_save_is_shown_before_it_is_written(browser: Browser, scene: Console) -> None:
    """What is written is what was shown, by its digest; a conflict is told with what can be done."""
    stage = scene.daemon
    with seen(browser, scene, "daemon/") as page:
        expect(page.locator('[data-drift="run-time"]')).to_contain_text("web changed")
        expect(page.locator('[data-drift="disk"]')).to_contain_text("changed on disk")
        page.locator("#show-save").click()
        expect(page.locator(".diff .come")).to_have_text("+numprocesses = 3")
        expect(page.locator(".diff .go")).to_have_text("-numprocesses = 2")
        assert stage.asked("save") == [{"dry_run": True}]
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_have_text("Written: /etc/circus.ini")
        assert stage.asked("save")[-1] == {"digest": "d1"}
        conflict = refused("conflict", "the configuration has changed on disk")
        stage.answers["save"] = lambda p: scenes.saved(p) if p.get("force") or p.get("undo") else conflict
        page.locator("#show-save").click()
        expect(page.get_by_role("alert")).to_contain_text("has changed on disk")
        page.locator("#show-force").click()
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_be_visible()
        assert stage.asked("save")[-1] == {"force": True, "digest": "d1"}
        page.locator("#show-undo").click()
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_contain_text("As before the save")
        assert stage.asked("save")[-1] == {"undo": True, "digest": "d1"}


def test_a_reload_shows_its_plan_before_it_is_applied(browser: Browser, scene: Console) -> None:
    """Each step with what it does; nothing is done until somebody says so."""
    with seen(browser, scene, "daemon/") as page:
        page.locator("#show-reload").click()
        expect(page.locator(".trial [data-action='add']")).to_contain_text("watcher late")
        expect(page.locator(".trial")).to_contain_text("numprocesses stays 3")
        assert said(scene, "reloadconfig") == [{"dry_run": True}]
        page.locator("#go").click()
        expect(page.locator("#conf-done")).to_have_text("Reloaded: 1 watcher added")
        assert said(scene, "reloadconfig")[-1] == {"waiting": True}


def test_a_viewer_sees_the_daemon_and_changes_nothing(browser: Browser, scene: Console) -> None:
    """What he may not do says so, and is not sent."""
    with seen(browser, scene, "daemon/", session=VIEWER) as page:
        expect(page.locator("#show-save")).to_have_attribute("aria-disabled", "true")
        page.locator("#show-save").click(force=True)
        page.get_by_role("button", name="Cancel reload web").click(force=True)
        expect(page.locator("#show-save")).to_have_attribute("title", "ben is viewer; this needs admin.")
        assert scene.daemon.asked("save") == scene.daemon.asked("cancel") == []


# --- the audit --------------------------------------------------------------------------------------------------------


def test_the_audit_is_filtered_and_paged(browser: Browser, scene: Console) -> None:
    """By person, command and result, asked from the daemon; older ones by how many are there."""
    stage = scene.daemon
    with seen(browser, scene, "audit/") as page:
        rows = page.locator(".audit-table tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("denied")
        expect(rows.nth(0).locator("use")).to_have_attribute("href", "#s-fail")
        expect(rows.nth(1)).to_contain_text("env")
        expect(rows.nth(2)).to_contain_text("uid 1000")
        expect(page.get_by_role("alert")).to_contain_text("the disk is full")
        page.get_by_role("button", name="Not done").click()
        page.get_by_label("Command", exact=True).select_option("set")
        page.locator("#filter").fill("ana")
        wanted = {"person": "ana", "command": "set", "result": "not_ok"}
        eventually(lambda: wanted.items() <= stage.asked("audit")[-1].items(), what="the filter is asked for")
        now = time.time()

        def answer(properties: dict[str, Any]) -> dict[str, Any]:
            skip = properties.get("skip", 0)
            numbers = range(max(0, 150 - skip - 100), 150 - skip)
            entries = [
                {"time": now + n, "person": f"p{n}", "command": "set", "result": "ok"} for n in numbers
            ]
            return {**scenes.audit(), "entries": entries, "problem": ""}

        stage.answers["audit"] = answer
        page.get_by_role("button", name="Done", exact=True).click()
        expect(rows).to_have_count(100)
        page.locator("#older").click()
        expect(rows).to_have_count(150)
        expect(rows.last).to_contain_text("p0")
        assert stage.asked("audit")[-1]["skip"] == 100


# --- the first watcher ------------------------------------------------------------------------------------------------


def test_an_empty_daemon_leads_to_the_first_watcher(browser: Browser, console: Console) -> None:
    """A command is typed and a name comes of it; what is sent, the line and the file say the same."""
    stage = console.daemon
    stage.watchers.clear()
    stage.answers["add"] = lambda p: refused("conflict", "it is there already")
    with seen(browser, console, "") as page:
        expect(heading(page)).to_have_text("Nothing is watched yet")
        expect(page.locator("#first-start")).to_have_attribute("aria-disabled", "true")
        page.locator("#first-start").click(force=True)
        page.locator("#first-cmd").fill("/usr/bin/my-server --port 80")
        expect(page.locator("#first-name")).to_have_value("my-server")
        page.locator("#first-number").fill("many")
        expect(page.locator("#first-number-help")).to_contain_text("expected")
        expect(page.locator("#first-why")).to_contain_text("numprocesses")
        page.locator("#first-number").fill("2")
        expect(page.locator("#first-why")).to_contain_text("can be started")
        expect(page.locator("[data-file]")).to_have_text(
            "[watcher:my-server]\ncmd = /usr/bin/my-server --port 80\nnumprocesses = 2"
        )
        expect(page.locator("[data-line]")).to_have_text(
            "circusctl add --start --numprocesses 2 my-server '/usr/bin/my-server --port 80'"
        )
        page.locator("#first-start").click()
        expect(page.get_by_role("alert")).to_contain_text("it is there already")
        assert said(console, "add") == [
            {
                "name": "my-server",
                "cmd": "/usr/bin/my-server --port 80",
                "start": True,
                "options": {"numprocesses": "2"},
                "waiting": True,
            }
        ]
        page.get_by_role("button", name="A clock").click()
        expect(page.locator("#first-name")).to_have_value("clock")


def test_a_viewer_is_told_who_can_add_the_first_watcher(browser: Browser, console: Console) -> None:
    """And nothing is sent."""
    console.daemon.watchers.clear()
    with seen(browser, console, "", session=VIEWER) as page:
        page.get_by_role("button", name="A clock").click()
        expect(page.locator("#first-why")).to_contain_text("adding a watcher needs admin")
        page.locator("#first-start").click(force=True)
        assert console.daemon.asked("add") == []
