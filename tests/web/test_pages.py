"""What a person sees and does, before a daemon that shows whatever a test wants shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.console import COOKIE, Console
from tests.web.staged import ADMIN, TOKEN, VIEWER, StagedDaemon, process, refused, watcher

HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"


@contextmanager
def seen(
    browser: Browser, console: Console, path: str = "/d/stage/", *, session: str = ADMIN, **more: Any
) -> Iterator[Page]:
    """The console at a path, with a session, and live."""
    with opened(browser, "about:blank", **more) as page:
        page.context.add_cookies([{"name": COOKIE, "value": session, "url": console.origin}])
        page.goto(console.origin + path)
        page.get_by_text("live", exact=True).wait_for(state="attached")
        yield page


def row(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-watcher="{name}"]')


def log_lines(page: Page) -> list[str]:
    return page.locator(".rows .tx").all_inner_texts()


def fill(daemon: StagedDaemon, name: str, count: int, *, first: int = 1, text: str = "line {}") -> None:
    """So many numbered lines in the history of a watcher."""
    now = time.time() - 100
    lines = [[number, now + number / 1000, text.format(number)] for number in range(first, first + count)]
    daemon.history[name] = [
        {
            "watcher": name,
            "wid": 1,
            "stream": "stdout",
            "pid": 20001,
            "lines": lines[i : i + 500],
            "skipped": 0,
        }
        for i in range(0, count, 500)
    ]


def test_one_time_link_opens_the_console(browser: Browser, console: Console) -> None:
    """The token leaves the address before it is used, and the person stands before the watchers."""
    with opened(browser, f"{console.origin}/login#token={TOKEN}") as page:
        page.wait_for_url("**/d/stage/")
        expect(page.locator("tr[data-watcher]")).to_have_count(2)
        assert TOKEN not in page.url
        assert page.evaluate("document.cookie") == ""
        page.go_back()
        assert TOKEN not in page.url


def test_used_link_is_told(browser: Browser, console: Console) -> None:
    """The door says why, and how to get another link; a right one opened there goes in without a reload."""
    with opened(browser, f"{console.origin}/login#token=used") as page:
        expect(page.get_by_role("status")).to_contain_text("The link was used already")
        expect(page.get_by_text("circusctl weblink")).to_be_visible()
        page.evaluate(f"location.hash = 'token={TOKEN}'")
        page.wait_for_url("**/d/stage/")


def test_watchers_are_shown_with_what_needs_you_first(browser: Browser, console: Console) -> None:
    """State, processes and load of each; what is ill stands first, and the page says it in its first sentence."""
    console.daemon.lead = {
        "title": "One thing needs you",
        "text": "sick: 1 of 2 processes runs.",
        "level": "needs",
    }
    ill = process(
        2,
        "backoff",
        next_try=time.time() + 60,
        starts=5,
        exit={"text": "exited with code 1", "time": 0, "code": 1},
    )
    console.daemon.watchers["sick"] = watcher(
        "sick", [process(1), ill], state="backoff", detail="1 in backoff", restarts=5
    )
    with seen(browser, console) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("One thing needs you")
        assert page.locator("tr[data-watcher]").evaluate_all(
            "rows => rows.map(row => row.dataset.watcher)"
        ) == ["sick", "loud", "web"]
        expect(row(page, "sick").locator(".st")).to_have_text("active, 1 in backoff")
        expect(row(page, "sick").locator(".pips")).to_have_attribute("aria-label", "1 running, 1 in backoff")
        expect(row(page, "sick").locator(".ratio")).to_have_text("1 / 2")
        expect(row(page, "web").locator(".c-cpu .meter")).to_contain_text("15.0%")
        expect(row(page, "web").locator(".c-mem .meter")).to_contain_text("128MiB")
        expect(page.locator(".seg [aria-pressed]")).to_have_text(
            ["All 3", "Needs you 1", "Active 3", "Stopped 0"]
        )
        page.get_by_role("button", name="Needs you 1").click()
        expect(page.locator("tr[data-watcher]")).to_have_count(1)


def test_changes_appear_by_themselves(browser: Browser, console: Console) -> None:
    """What the daemon tells is on the page at once, also watchers that come and go."""
    with seen(browser, console) as page:
        console.daemon.change(
            watcher("web", [process(1), process(2, "stopping")], status="stopping", state="stopping")
        )
        expect(row(page, "web").locator(".st")).to_have_text("stopping")
        console.daemon.change(
            watcher("new", [process(1)]), lead={"title": "All is well", "text": "so", "level": "calm"}
        )
        expect(page.locator("tr[data-watcher]")).to_have_count(3)
        del console.daemon.watchers["new"]
        console.daemon.push("state.", {"removed": "new"})
        expect(page.locator("tr[data-watcher]")).to_have_count(2)


def test_filter_by_name_glob_and_state(browser: Browser, console: Console) -> None:
    """/ goes to the filter; what hides all says so, with the nearest name; Esc clears it."""
    console.daemon.watchers["idle"] = watcher(
        "idle", [process(1, "stopped")], status="stopped", state="stopped", tags=["Night"]
    )
    with seen(browser, console) as page:
        page.keyboard.press("/")
        for typed, left in (
            ("we", ["web"]),
            ("*d", ["loud"]),
            ("stopped", ["idle"]),
            ("@nig", ["idle"]),
            ("", ["idle", "loud", "web"]),
        ):
            page.locator("#filter").fill(typed)
            expect(page.locator("tr[data-watcher]")).to_have_count(len(left))
            assert page.locator("tr[data-watcher] .name").all_inner_texts() == left
        page.locator("#filter").fill("lound")
        expect(page.get_by_text("No watcher matches “lound”")).to_be_visible()
        expect(page.locator(".blank a.say")).to_have_text("loud")
        page.keyboard.press("Escape")
        expect(page.locator("tr[data-watcher]")).to_have_count(3)


def test_button_waits_for_the_real_result(browser: Browser, console: Console) -> None:
    """A button is busy until the daemon has answered, and the command waits for its end."""
    console.daemon.gather["restart"] = 2
    with seen(browser, console) as page:
        row(page, "web").hover()
        button = row(page, "web").locator('button[data-what="restart"]')
        button.click()
        expect(button).to_have_attribute("aria-busy", "true")
        row(page, "loud").hover()
        row(page, "loud").locator('button[data-what="restart"]').click()
        expect(button).not_to_have_attribute("aria-busy", "true")
        asked = [{"name": name, "waiting": True, "progress": True} for name in ("web", "loud")]
        assert console.daemon.asked("restart") == asked


def test_error_stands_where_the_action_was(browser: Browser, console: Console) -> None:
    """What went wrong stays until it is dismissed; other pages have it too."""
    console.daemon.answers["stop"] = lambda p: refused("failed", "Process 2 did not end")
    with seen(browser, console) as page:
        row(page, "web").hover()
        row(page, "web").locator('button[data-what="stop"]').click()
        note = page.get_by_role("alert")
        expect(note).to_contain_text("stop of web did not work")
        expect(note).to_contain_text("Process 2 did not end")
        row(page, "web").get_by_role("link", name="web").click()
        expect(page.get_by_role("alert")).to_contain_text("Process 2 did not end")
        page.get_by_role("button", name="Dismiss").click()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_keys_act_on_the_row(browser: Browser, console: Console) -> None:
    """j and k go through the rows; s, r, x, + and - act there; Enter opens; none acts in a field."""
    with seen(browser, console) as page:
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(row(page, "web")).to_be_focused()
        expect(page.locator(".cli code")).to_have_text("circusctl status web")
        for key, command in (
            ("r", "restart"),
            ("x", "stop"),
            ("s", "start"),
            ("+", "incr"),
            ("-", "decr"),
            ("Shift+R", "reload"),
        ):
            page.keyboard.press(key)
            eventually(lambda command=command: console.daemon.asked(command), what=command)
            assert console.daemon.asked(command)[0]["name"] == "web"
        page.keyboard.press("/")
        page.keyboard.type("xrs")
        assert len(console.daemon.asked("stop")) == 1
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        expect(row(page, "web")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/d/stage/w/web")
        page.keyboard.press("g")
        page.keyboard.press("w")
        page.wait_for_url("**/d/stage/")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_prompt_line_says_what_circusctl_would(browser: Browser, console: Console) -> None:
    """The foot has the command line of what is under the pointer, and y copies it."""
    console.daemon.watchers["it's"] = watcher("it's", [process(1)])
    with seen(browser, console, permissions=("clipboard-read", "clipboard-write")) as page:
        row(page, "it's").hover()
        row(page, "it's").locator('button[data-what="restart"]').hover()
        expect(page.locator(".cli code")).to_have_text("circusctl restart --waiting 'it'\\''s'")
        page.keyboard.press("y")
        expect(page.locator("[data-copy]")).to_have_text("copied")
        assert page.evaluate("navigator.clipboard.readText()") == "circusctl restart --waiting 'it'\\''s'"


def test_viewer_may_look_and_not_touch(browser: Browser, console: Console) -> None:
    """Buttons that are not for this person say so, and do nothing."""
    with seen(browser, console, "/d/stage/w/web", session=VIEWER) as page:
        button = page.locator('button[data-what="restart"]').first
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(button).to_have_attribute("title", "ben is viewer; this needs operator.")
        button.click(force=True)
        page.keyboard.press("r")
        page.keyboard.press("x")
        time.sleep(0.2)
        assert console.daemon.asked("restart") == console.daemon.asked("stop") == []


def test_scale_by_number(browser: Browser, console: Console) -> None:
    """A number that is typed is set; a singleton is never more than one."""
    with seen(browser, console, "/d/stage/w/web") as page:
        field = page.get_by_role("textbox", name="numprocesses")
        field.fill("7")
        field.press("Enter")
        eventually(lambda: console.daemon.asked("set"), what="the number is set")
        assert console.daemon.asked("set") == [
            {"name": "web", "options": {"numprocesses": 7}, "waiting": True, "progress": True}
        ]
        console.daemon.change(watcher("web", [process(1)], singleton=True))
        expect(page.get_by_role("button", name="One process more")).to_have_attribute("aria-disabled", "true")


def test_hostile_text_is_text(browser: Browser, console: Console) -> None:
    """Names, sentences, events and output that look like a page are shown, letter for letter, and never run."""
    daemon = console.daemon
    daemon.lead = {"title": HOSTILE, "text": f"{HOSTILE}: {HOSTILE}", "level": "needs"}
    bad = process(1, "backoff", next_try=time.time() + 60, exit={"text": HOSTILE, "time": 0, "code": 1})
    daemon.watchers[HOSTILE] = watcher(
        HOSTILE, [bad], state="backoff", detail=HOSTILE, explain=HOSTILE, cmd=HOSTILE, sockets=[HOSTILE]
    )
    daemon.sockets.append({"name": HOSTILE, "address": HOSTILE, "fd": 1, "backlog": 1, "held_by": [HOSTILE]})
    daemon.events.append(
        {"event": "process.exited", "number": 1, "time": 0, "watcher": HOSTILE, "wid": 1, "text": HOSTILE}
    )
    daemon.answers["restart"] = lambda p: refused("failed", HOSTILE)
    fill(daemon, HOSTILE, 3, text=f"\x1b]8;;javascript:alert(1)\x07\x1b[31m{HOSTILE}\x1b[0m\x1b[2J\x07 {{}}")
    with seen(browser, console) as page:
        page.keyboard.press("j")
        page.keyboard.press("r")
        expect(page.locator(".note")).to_contain_text(HOSTILE)
        expect(page.locator("tr[data-watcher] .name").first).to_have_text(HOSTILE)
        page.locator("tr[data-watcher] .name").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        expect(page.locator(".rows .tx")).to_have_count(3)
        assert page.locator(".rows .tx").first.text_content() == f"{HOSTILE}^G 1"
        page.locator(".rows .tx").first.click()
        assert page.locator(".whole pre").text_content() == f"{HOSTILE}^G 1"
        assert page.locator("img, .page script, .top script").count() == 0
        assert page.title() != "hacked"


def test_log_has_history_in_colour_and_goes_on(browser: Browser, console: Console) -> None:
    """A thousand lines from before, then what comes, at the end of the log; colours are spans."""
    fill(
        console.daemon,
        "loud",
        3000,
        text="\x1b[32mINFO\x1b[0m line {} \x1b[38;5;208morange\x1b[0m \x1b[48;2;0;64;0;38;5;15mboth\x1b[m",
    )
    with seen(browser, console, "/d/stage/w/loud") as page:
        expect(page.locator(".rows .tx").last).to_have_text("INFO line 3000 orange both")
        assert page.locator(".ln").count() < 80
        spans = page.locator(".ln").last.locator(".tx span")
        expect(spans).to_have_class(["ansi fg-2", "ansi fg-own", "ansi fg-15 bg-own"])
        assert spans.nth(1).evaluate("span => span.style.getPropertyValue('--fg')") == "#ff8700"
        console.daemon.write("loud", [(3001, "\x1b[1;31mERROR")])
        console.daemon.write("loud", [(3002, "still red")])
        expect(page.locator(".rows .tx").last).to_have_text("still red")
        expect(page.locator(".ln").last.locator(".tx span")).to_have_class("ansi fg-1 bold")
        page.locator(".log").focus()
        page.keyboard.press("Home")
        expect(page.locator(".rows .tx").first).to_have_text("INFO line 1 orange both")
        texts = log_lines(page)
        assert texts == [f"INFO line {number} orange both" for number in range(1, len(texts) + 1)]


def test_log_is_held_and_followed(browser: Browser, console: Console) -> None:
    """Scrolling up holds the place and counts what is new; f follows again."""
    fill(console.daemon, "loud", 500)
    with seen(browser, console, "/d/stage/w/loud") as page:
        expect(page.locator(".rows .tx").last).to_have_text("line 500")
        page.locator(".log").hover()
        page.mouse.wheel(0, -800)
        expect(page.locator(".held")).to_be_visible()
        before = log_lines(page)
        console.daemon.write("loud", [(number, f"line {number}") for number in range(501, 1735)])
        expect(page.locator(".held b")).to_have_text("1,234 new")
        assert log_lines(page) == before
        page.keyboard.press("f")
        expect(page.locator(".rows .tx").last).to_have_text("line 1734")
        expect(page.locator(".held")).to_have_count(0)
        page.keyboard.press("f")
        expect(page.locator(".held")).to_be_visible()
        page.keyboard.press("End")
        expect(page.locator(".held")).to_have_count(0)


def test_log_is_filtered(browser: Browser, console: Console) -> None:
    """By text, by regular expression, by what is not to be there, by stream and by level."""
    fill(console.daemon, "loud", 100, text="line {}")
    now = time.time()
    lines = [[1, now, "WARNING disk is full"], [2, now, "[error] no disk"]]
    console.daemon.history["loud"].append(
        {"watcher": "loud", "wid": 2, "stream": "stderr", "pid": 2, "lines": lines, "skipped": 0}
    )
    with seen(browser, console, "/d/stage/w/loud") as page:
        expect(page.locator(".rows .tx").last).to_have_text("[error] no disk")
        expect(page.locator(".ln").last).to_have_class("ln c2 lv-err err-stream")
        page.keyboard.press("/")
        for typed, found in (
            ("LINE 7", ["line 7", *(f"line {n}" for n in range(70, 80))]),
            (r"/^line 9\d$/", [f"line {n}" for n in range(90, 100)]),
            ("!line", ["WARNING disk is full", "[error] no disk"]),
        ):
            page.locator("#filter").fill(typed)
            expect(page.locator(".rows .tx")).to_have_text(found)
        expect(page.locator(".filter .dim")).to_have_text("100 hidden")
        page.locator("#filter").fill("/(/")
        expect(page.locator("#l-bad")).to_contain_text("Not a regular expression")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="stdout", exact=True).click()
        expect(page.locator(".rows .tx")).to_have_text(["WARNING disk is full", "[error] no disk"])
        page.get_by_role("group", name="Levels").get_by_role("button", name="WRN").click()
        expect(page.locator(".rows .tx")).to_have_text(["[error] no disk"])
        console.daemon.write("loud", [(3, "[error] still none"), (4, "fine")], wid=2, stream="stderr")
        expect(page.locator(".rows .tx")).to_have_text(["[error] no disk", "[error] still none", "fine"])


def test_missing_lines_are_marked(browser: Browser, console: Console) -> None:
    """Where lines were passed over, the log says how many; what comes twice is shown once."""
    fill(console.daemon, "loud", 10)
    with seen(browser, console, "/d/stage/w/loud") as page:
        expect(page.locator(".rows .tx")).to_have_count(10)
        console.daemon.write("loud", [(9, "again"), (10, "again"), (11, "line 11")])
        console.daemon.write("loud", [(1012, "line 1012")])
        expect(page.locator(".gap")).to_contain_text("1,000 lines were skipped")
        assert log_lines(page)[-2:] == ["line 11", "line 1012"]


def test_events_have_their_places_among_the_lines(browser: Browser, console: Console) -> None:
    """However late the events of before are told, each stands between the lines of its time, and says whose it is."""
    daemon = console.daemon
    fill(daemon, "loud", 4)
    times = [line[1] for line in daemon.history["loud"][0]["lines"]]
    event = {"event": "process.started", "watcher": "loud", "wid": 1, "level": "info"}
    daemon.events += [
        {**event, "number": 1, "time": (times[1] + times[2]) / 2, "text": "1 started, pid 20001"},
        {**event, "number": 2, "time": (times[2] + times[3]) / 2, "text": "started", "wid": None},
        # A death is seen sooner than the last words are read.
        {
            **event,
            "number": 3,
            "time": times[3] - 0.0001,
            "text": "1 exited",
            "pid": 20001,
            "event": "process.exited",
        },
    ]
    daemon.gather["events"] = 2
    with seen(browser, console, "/d/stage/w/loud") as page:
        eventually(lambda: daemon.waiting == 1, what="the page asks for events")
        expect(page.locator(".pane h2")).to_be_visible()
        assert page.locator(".rows > *").count() == 0
        console.get("/d/stage/api/v1/events")
        expect(page.locator(".rows > *")).to_have_count(7)
        # Where a process is meant, the line says so.
        assert page.locator(".rows > *").evaluate_all(
            "rows => rows.map(row => (row.querySelector('.tx') || row).textContent.replace(/^[0-9:.]+ /, ''))"
        ) == [
            "line 1",
            "line 2",
            "process 1 started, pid 20001",
            "line 3",
            "started",
            "line 4",
            "process 1 exited",
        ]


def test_load_is_shown_with_lines_beside_it(browser: Browser, console: Console) -> None:
    """Five minutes of CPU and memory from a laptop's screen on; the lines of output a second, of all and of one watcher."""
    with seen(browser, console, width=1280, height=800) as page:
        for _ in range(20):
            console.daemon.push("load.", console.daemon.load())
        for column in ("c-cpu", "c-mem"):
            expect(row(page, "web").locator(f".{column} .spark")).to_be_visible()
            expect(row(page, "web").locator(f".{column} .spark .l")).to_have_attribute(
                "d", re.compile(r"M.*L")
            )
        expect(page.locator(".vitals")).to_contain_text("Lines/s7.5")
        row(page, "web").get_by_role("link").click()
        expect(page.locator(".figures")).to_have_text("restarts, 1 h0output5 lines/s")
    with seen(browser, console, width=820) as page:
        expect(row(page, "web").locator(".c-mem")).to_contain_text("128MiB")
        assert page.locator(".spark").count() == 0


def test_row_leaves_room_for_its_buttons(browser: Browser, console: Console) -> None:
    """The last event of the row that one is at ends before its buttons; a long name does not push the others away."""
    console.daemon.watchers["w" * 200] = watcher(
        "w" * 200,
        [process(1)],
        sockets=["front"],
        last_event={"time": time.time(), "text": "1 " + "x" * 300, "event": "process.started"},
    )
    console.daemon.sockets.append(
        {"name": "front", "address": "127.0.0.1:8000", "fd": 7, "backlog": 128, "held_by": ["w" * 200]}
    )
    for width in (1024, 1280, 1440, 1920):
        with seen(browser, console, width=width) as page:
            here = row(page, "w" * 200)
            here.hover()
            edges = here.evaluate(
                """row => {
                    const text = row.querySelector('.last > :last-child').getBoundingClientRect();
                    const first = row.querySelector('.acts button').getBoundingClientRect();
                    return [text.right, first.left, text.width];
                }"""
            )
            assert edges[0] <= edges[1]
            assert edges[2] > 40
            assert here.locator(".tag").text_content() == "front:8000"
            inside = "cell => cell.scrollWidth <= cell.clientWidth"
            assert here.locator(".c-name").evaluate(inside)
            assert page.locator(".sockets").evaluate(
                "table => table.offsetWidth <= table.parentElement.clientWidth"
            )


def test_page_that_is_not_live_says_so(browser: Browser, own_console: Console) -> None:
    """While circusd is away a band says since when, buttons do nothing; when it is back, all is true again, without a reload."""
    console = own_console
    fill(console.daemon, "loud", 20)
    with seen(browser, console, "/d/stage/w/loud", height=1400) as page:
        expect(page.locator(".rows .tx")).to_have_count(20)
        console.daemon.stop()
        expect(page.locator(".notice")).to_contain_text("Circusd has not answered since")
        button = page.locator('button[data-what="restart"]').first
        expect(button).to_have_attribute("aria-disabled", "true")
        expect(page.locator("body.stale .page")).to_have_css("filter", "saturate(0.15)")
        fill(console.daemon, "loud", 30)
        console.daemon.watchers["loud"] = watcher("loud", [process(1), process(2)], explain="It has changed.")
        console.daemon.start()
        expect(page.locator(".notice")).to_have_count(0, timeout=3000)
        expect(page.locator(".face .explain")).to_have_text("It has changed.")
        expect(button).not_to_have_attribute("aria-disabled", "true")
        expect(page.locator(".rows .tx")).to_have_count(30)
        assert page.locator(".gap").count() == 0


def test_daemon_that_hangs_is_noticed(browser: Browser, console: Console) -> None:
    """A connection that is there but says nothing is not live."""
    with seen(browser, console) as page:
        console.daemon.loads = False
        try:
            expect(page.locator(".notice")).to_contain_text("has not answered", timeout=8000)
        finally:
            console.daemon.loads = True
        expect(page.locator(".notice")).to_have_count(0)


def test_page_outlives_the_console(browser: Browser, own_console: Console) -> None:
    """A console that was killed and started anew is found again within three seconds, without a reload."""
    console = own_console
    with seen(browser, console) as page:
        page.evaluate("window.stayed = true")
        console.stop(9)
        expect(page.locator(".notice")).to_contain_text("The console has not answered since")
        console.daemon.watchers["late"] = watcher("late", [process(1)])
        console.start()
        expect(page.locator(".notice")).to_have_count(0, timeout=3000)
        expect(page.locator("tr[data-watcher]")).to_have_count(3)
        assert page.evaluate("window.stayed")


def test_session_that_is_over_is_told(browser: Browser, console: Console) -> None:
    """After a logout elsewhere the page says that it is over and how to come back, and asks no more."""
    with seen(browser, console) as page:
        console.post("/logout")
        expect(page.locator(".notice")).to_contain_text("The session is over")
        expect(page.locator(".notice")).to_contain_text("circusctl weblink")
        expect(row(page, "web").locator('button[data-what="restart"]')).to_have_attribute(
            "aria-disabled", "true"
        )
        # A new link that is opened beside it brings this page back too.
        page.evaluate("dispatchEvent(new Event('focus'))")
        expect(page.locator(".notice")).to_have_count(0)


def test_polling_is_shown(browser: Browser, own_console: Console) -> None:
    """Where no WebSocket comes through, the page lives by polling, and says so."""
    console = own_console
    with opened(browser, "about:blank") as page:
        # As behind a proxy that knows no WebSockets.
        page.add_init_script(
            "window.WebSocket = class { constructor() { setTimeout(() => this.onerror({})) } close() {} }"
        )
        page.context.add_cookies([{"name": COOKIE, "value": ADMIN, "url": console.origin}])
        page.goto(console.origin + "/d/stage/")
        expect(page.locator("tr[data-watcher]")).to_have_count(2)
        expect(page.locator(".notice")).to_contain_text("polling")
        console.daemon.change(watcher("web", [process(1)], detail="told by polling"))
        expect(row(page, "web").locator(".st")).to_have_text("active, told by polling")


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1440, True), (820, False)])
def test_page_fits(browser: Browser, console: Console, width: int, dark: bool) -> None:
    """Nothing is wider than the screen, from a phone on; narrow rows are cards; dark is dark."""
    fill(console.daemon, "loud", 100, text="x" * 400)
    for path in ("/d/stage/", "/d/stage/w/loud"):
        with seen(browser, console, path, width=width, height=844, dark=dark) as page:
            page.locator("tr[data-watcher], .rows .tx").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("getComputedStyle(document.querySelector('tr')).display") == (
                "grid"
                if width < 720 and path.endswith("/")
                else page.evaluate("getComputedStyle(document.querySelector('tr')).display")
            )
            shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert shade == ("rgb(19, 17, 22)" if dark else "rgb(245, 243, 238)")


def test_theme_is_kept(browser: Browser, console: Console) -> None:
    """The chosen theme holds over pages and reloads, also in the first picture of a page."""
    with seen(browser, console) as page:
        for theme in ("light", "dark"):
            page.get_by_role("button", name="Theme").click()
            page.get_by_role("button", name=theme.capitalize(), exact=True).click()
            assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_many_watchers_are_shown(browser: Browser, console: Console, request: pytest.FixtureRequest) -> None:
    """Two hundred watchers are there within a second or two, and stay usable."""
    for number in range(200):
        name = f"service-{number:03d}"
        console.daemon.watchers[name] = watcher(name, [process(1), process(2)])
    with seen(browser, console) as page:
        expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "203")
        began = time.monotonic()
        page.locator("#filter").fill("service-19")
        expect(page.locator("tr[data-watcher]")).to_have_count(10)
        assert time.monotonic() - began < 2


def test_first_view_is_light(browser: Browser, console: Console) -> None:
    """All that the first page loads is 120 KB at most on its way, asked for at once; the second time only the page itself."""
    with seen(browser, console) as page:
        loads = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
            .map((one) => ({name: one.name, sent: one.encodedBodySize, whole: one.decodedBodySize, over: one.transferSize,
                by: one.initiatorType}))"""
        first = page.evaluate(loads)
        assert sum(one["sent"] for one in first) < 120_000
        large = [one for one in first if "/static/" in one["name"] and one["whole"] > 1000]
        assert large
        assert [one for one in large if one["sent"] > 0.7 * one["whole"]] == []
        # A module that nothing on the page names would be asked for by the one that imports it.
        named = page.locator("link, script").evaluate_all("all => all.map(one => one.href || one.src)")
        assert {one["name"] for one in first if "/static/" in one["name"]} <= set(named)
        page.reload()
        expect(page.locator("tr[data-watcher]")).to_have_count(2)
        again = [one for one in page.evaluate(loads) if "/static/" in one["name"]]
        assert sum(one["over"] for one in again) == 0


def test_page_in_the_background_is_not_drawn(browser: Browser, console: Console) -> None:
    """What nobody looks at costs nothing; when it comes to the front, it shows what is true."""
    with seen(browser, console) as page:
        show = """hidden => {
            Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        }"""
        page.evaluate(show, True)
        page.evaluate(
            "window.drawn = 0; new MutationObserver(() => { window.drawn += 1; }).observe(document.getElementById('console'), "
            "{subtree: true, childList: true, attributes: true, characterData: true})"
        )
        sent = len(console.daemon.asked("credit"))
        console.daemon.change(watcher("web", [process(1)], detail="seen late"))
        # More than a window's worth, so that credit must come back: the page has taken it.
        for number in range(100):
            console.daemon.change(
                watcher("web", [process(1)], detail="seen late", explain=str(number) + "x" * 9000)
            )
        eventually(lambda: len(console.daemon.asked("credit")) > sent, what="the page takes what is told")
        assert page.evaluate("window.drawn") == 0
        page.evaluate(show, False)
        expect(row(page, "web").locator(".st")).to_have_text("active, seen late")


def test_empty_daemon_is_no_empty_page(browser: Browser, console: Console) -> None:
    """Where nothing is watched, the page says what would be here and how to get it."""
    console.daemon.watchers.clear()
    with seen(browser, console) as page:
        expect(page.get_by_role("heading", name="Nothing is watched yet")).to_be_visible()
        expect(page.get_by_text("circusctl add --start NAME CMD")).to_be_visible()


def test_unknown_watcher_is_told(browser: Browser, console: Console) -> None:
    """An address of a watcher that is not there says so; when it comes, it is shown."""
    with seen(browser, console, "/d/stage/w/later") as page:
        expect(page.get_by_text("There is no watcher “later”")).to_be_visible()
        console.daemon.change(watcher("later", [process(1)]))
        expect(page.locator(".procs tbody tr")).to_have_count(1)


def test_leaving_the_page_ends_its_log(
    browser: Browser, console: Console, make_console: Callable[..., Console]
) -> None:
    """A log that nobody sees is not sent."""
    with seen(browser, console, "/d/stage/w/loud") as page:
        eventually(lambda: len(console.daemon.streams) == 2)
        page.locator(".crumb a").click()
        eventually(lambda: len(console.daemon.streams) == 1)
        page.go_back()
        eventually(lambda: len(console.daemon.streams) == 2)


def test_logout_that_did_not_work_is_told(browser: Browser, own_console: Console) -> None:
    """With the daemon's reason, or that nobody has answered: nobody goes away and leaves the door open."""
    own_console.daemon.answers["logout"] = lambda p: refused("failed", "the session may be back")
    with seen(browser, own_console) as page:
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("alert").filter(has_text="the session may be back")).to_be_visible()
        page.context.set_offline(True)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("alert").filter(has_text="Not logged out")).to_be_visible()
        assert page.url.endswith("/d/stage/")
