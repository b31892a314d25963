"""Charts of a watcher, its sections, and the page of one process, before a daemon that shows whatever a test wants shown."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.waiting import eventually
from tests.web.console import Console
from tests.web.staged import VIEWER, process, refused, watcher
from tests.web.test_access import LOOKS, Looked
from tests.web.test_pages import HOSTILE, seen

WEB = "/d/stage/w/web"
NAMES = ("cpu", "rss", "count", "restarts")


def history(
    name: str = "web", *, period: int = 60, cpu: float = 40.0, gap: range = range(0)
) -> dict[str, Any]:
    """An hour of one sample a minute; nothing runs in the samples of the gap."""
    now = time.time()
    count = 3600 // period
    times = [now - period * (count - n) for n in range(count)] + [now]
    series = {
        "cpu": [None if n in gap else cpu + n % 7 for n in range(count + 1)],
        "rss": [None if n in gap else (100 + n) << 20 for n in range(count + 1)],
        "processes": [0 if n in gap else 2 for n in range(count + 1)],
        "restarts": [n // 20 for n in range(count + 1)],
    }
    events = [
        event("process.exited", 1, now - 1200, "2 exited with code 1 after 6 s", wid=2, level="warning"),
        event("process.started", 2, now - 1190, "2 started, pid 20002", wid=2),
        event("watcher.updated", 3, now - 100, "graceful_timeout changed"),
    ]
    return {"period": period, "times": times, "watchers": {name: series}, "daemon": series, "events": events}


def event(
    kind: str, number: int, at: float, text: str, *, level: str = "info", **more: Any
) -> dict[str, Any]:
    return {
        "event": kind,
        "number": number,
        "time": at,
        "watcher": "web",
        "text": text,
        "level": level,
        **more,
    }


def told(page: Page, kind: str) -> Locator:
    """What the chart says to who does not see it."""
    return page.locator(f"#ch-{kind}")


def over(page: Page, kind: str) -> dict[str, float]:
    """Where the chart's plot is."""
    box = page.locator(f".p-{kind} .u-over").bounding_box()
    assert box is not None
    return dict(box)


def drag(page: Page, kind: str, start: float, end: float) -> None:
    """From one place of the plot to another, as shares of its width."""
    box = over(page, kind)
    page.mouse.move(box["x"] + box["width"] * start, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, box["y"] + 25, steps=4)
    page.mouse.move(box["x"] + box["width"] * end, box["y"] + 25, steps=4)
    page.mouse.up()


def test_an_hour_is_there_when_the_page_opens(browser: Browser, console: Console) -> None:
    """In four charts, said in words and as a table too; a range of time is chosen by a button."""
    console.daemon.answers["history"] = lambda p: history()
    with seen(browser, console, WEB) as page:
        page.get_by_role("button", name="one hour").click()
        expect(told(page, "cpu")).to_contain_text("one hour:")
        expect(told(page, "cpu")).to_contain_text("and 46.0 %")
        expect(told(page, "rss")).to_contain_text(re.compile("between 100 MiB and 1(59|60) MiB"))
        expect(told(page, "restarts")).to_contain_text("3 restarts.")
        for kind in NAMES:
            expect(page.locator(f".p-{kind} canvas")).to_be_visible()
        page.get_by_text("The figures as a table").click()
        rows = page.locator(".as-table tbody tr")
        expect(rows.first).to_contain_text("%")
        assert 10 <= rows.count() <= 21
        asked = console.daemon.asked("history")
        assert {"name": "web", "match": "simple"} in asked


def test_the_library_is_loaded_where_charts_are(browser: Browser, console: Console) -> None:
    """The first view does not have it, and says nothing against its policy when it comes."""
    with seen(browser, console) as page:
        names = "() => performance.getEntriesByType('resource').map((one) => one.name).join(' ')"
        assert "uplot" not in page.evaluate(names)
        page.locator('tr[data-watcher="web"] .name').click()
        expect(page.locator(".p-cpu canvas")).to_be_visible()
        assert "vendor/uplot.js" in page.evaluate(names)
        assert "vendor/uplot.css" in page.evaluate(names)


def test_one_cursor_is_over_all_charts(browser: Browser, console: Console) -> None:
    """What each process takes stands beside it; the other charts show their figures of that moment."""
    console.daemon.answers["history"] = lambda p: history(cpu=70.0)
    with seen(browser, console, WEB) as page:
        expect(page.locator(".p-cpu .value")).to_have_text("15.0%")
        expect(page.locator(".charts .legend > span")).to_have_count(2)
        box = over(page, "cpu")
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
        expect(page.locator(".p-cpu .value")).to_contain_text("7")
        expect(page.locator(".p-rss .value")).not_to_have_text("128MiB")
        expect(page.locator(".tip")).to_contain_text("mean of 60 s")
        # Where each second was seen, each process is told.
        eventually(lambda: len(console.daemon.asked("history")) > 0)
        page.mouse.move(box["x"] + box["width"] * 0.949, box["y"] + 30)
        expect(page.locator(".tip p")).to_have_count(4)
        page.mouse.move(5, 5)
        expect(page.locator(".tip")).to_have_count(0)
        expect(page.locator(".p-rss .value")).to_have_text("128MiB")


def test_a_range_that_is_dragged_is_zoomed_to_while_the_time_goes_on(
    browser: Browser, console: Console
) -> None:
    """It stays where it is, what comes is kept, and a double click goes back to now."""
    console.daemon.answers["history"] = lambda p: history(period=5)
    with seen(browser, console, WEB) as page:
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        drag(page, "rss", 0.2, 0.5)
        back = page.get_by_role("button", name="Back to now")
        expect(back).to_be_visible()
        held = told(page, "cpu").inner_text()
        assert "95 seconds" in held or "94 seconds" in held
        loads = page.locator(".figures").inner_text
        before = loads()
        console.daemon.change(watcher("web", [process(1), process(2)], restarts=7))
        eventually(lambda: loads() != before)
        assert told(page, "cpu").inner_text() == held
        box = over(page, "cpu")
        page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + 30)
        expect(back).to_have_count(0)
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        expect(told(page, "cpu")).to_contain_text("15.0 % at the end")


def test_a_range_is_chosen_by_a_finger_too(browser: Browser, console: Console) -> None:
    """That goes sideways: less than that is a tap, which takes the log there; upwards the page is scrolled."""
    console.daemon.answers["history"] = lambda p: history(period=5)
    with seen(browser, console, WEB) as page:
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        touch = page.context.new_cdp_session(page)
        touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        box = over(page, "rss")

        def put(kind: str, *at: float) -> None:
            points = [{"x": box["x"] + box["width"] * at[0], "y": box["y"] + at[1]}] if at else []
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        put("touchStart", 0.2, 20)
        for share in (0.25, 0.3, 0.4, 0.5):
            put("touchMove", share, 22)
        expect(page.locator(".p-cpu .u-select")).to_have_css("width", re.compile("[1-9].*px"))
        put("touchEnd")
        expect(page.get_by_role("button", name="Back to now")).to_be_visible()
        assert re.search("9[3-6] seconds", told(page, "cpu").inner_text())
        expect(page.locator(".p-cpu .u-select")).to_have_css("width", "0px")
        page.get_by_role("button", name="Back to now").click()
        put("touchStart", 0.6, 20)
        put("touchEnd")
        expect(page.get_by_role("button", name="Back to now")).to_have_count(0)


def test_the_wheel_with_ctrl_zooms_around_the_pointer(browser: Browser, console: Console) -> None:
    """Without Ctrl the page scrolls, as everywhere."""
    console.daemon.answers["history"] = lambda p: history(period=5)
    with seen(browser, console, WEB) as page:
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        box = over(page, "cpu")
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 30)
        page.mouse.wheel(0, -100)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        expect(told(page, "cpu")).to_contain_text("4 minutes")
        expect(page.get_by_role("button", name="Back to now")).to_be_visible()


def write_lines(console: Console) -> None:
    """Five minutes of lines, ten a second."""
    now = time.time()
    lines = [[n, now - 300 + n / 10, f"line {n}"] for n in range(1, 3001)]
    console.daemon.history["web"] = [
        {
            "watcher": "web",
            "wid": 1,
            "stream": "stdout",
            "pid": 20001,
            "lines": lines[i : i + 500],
            "skipped": 0,
        }
        for i in range(0, 3000, 500)
    ]


def test_keys_move_the_cursor_and_zoom(browser: Browser, console: Console) -> None:
    """And nothing else: plus and minus on a chart start and stop no process."""
    console.daemon.answers["history"] = lambda p: history(period=5)
    write_lines(console)
    with seen(browser, console, WEB) as page:
        expect(page.locator(".rows .tx").last).to_contain_text("line 3000")
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        page.get_by_role("img", name="Memory of web").focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".charts > [role=status]")).to_contain_text("Memory: ")
        page.keyboard.press("+")
        expect(told(page, "cpu")).to_contain_text("3 minutes")
        page.keyboard.press("-")
        page.keyboard.press("-")
        expect(told(page, "cpu")).to_contain_text("8 minutes")
        page.keyboard.press("0")
        expect(told(page, "cpu")).to_contain_text("5 minutes")
        page.get_by_role("img", name="CPU of web").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.locator(".held")).to_be_visible()
        assert console.daemon.asked("incr") == console.daemon.asked("decr") == []


def test_marks_tell_what_happened(browser: Browser, console: Console) -> None:
    """In words on focus and to a screen reader; what comes later has its mark at once."""
    console.daemon.answers["history"] = lambda p: history()
    with seen(browser, console, WEB) as page:
        marks = page.get_by_role("toolbar", name="What happened").get_by_role("button")
        expect(marks).to_have_count(1)
        page.get_by_role("button", name="one hour").click()
        expect(marks).to_have_count(2)
        marks.last.focus()
        expect(page.locator(".tip.said")).to_contain_text("graceful_timeout changed")
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".tip.said")).to_contain_text("process 2 exited with code 1 after 6 s")
        expect(page.locator(".tip.said")).to_contain_text("process 2 started")
        expect(page.locator(".mark:focus")).to_have_attribute("aria-label", re.compile("exited with code 1"))
        console.daemon.push("event.", event("watcher.reloaded", 9, time.time(), "reloaded"))
        expect(marks).to_have_count(3)


def test_dragging_takes_the_log_to_that_moment(browser: Browser, console: Console) -> None:
    """The first line that is shown is of the beginning of the range; so with a mark that is pressed."""
    console.daemon.answers["history"] = lambda p: history(period=5)
    write_lines(console)
    with seen(browser, console, WEB) as page:
        expect(page.locator(".rows .tx").last).to_contain_text("line 3000")
        drag(page, "cpu", 0.5, 0.7)
        expect(page.locator(".held")).to_be_visible()
        first = "() => Number(/\\d+/.exec(document.querySelector('.rows .tx').textContent)[0])"
        eventually(
            lambda: 1300 < page.evaluate(first) < 1700, what="the log is about the middle of five minutes"
        )
        page.locator(".mark").last.click()
        eventually(lambda: 1800 < page.evaluate(first) < 2100, what="the log is a hundred seconds before now")


def test_what_did_not_run_is_a_gap(browser: Browser, console: Console) -> None:
    """Not a zero: the chart says that nothing ran."""
    console.daemon.loads = False
    console.daemon.answers["history"] = lambda p: history(gap=range(25, 35))
    try:
        with seen(browser, console, WEB) as page:
            page.get_by_role("button", name="one hour").click()
            box = over(page, "cpu")
            page.mouse.move(box["x"] + box["width"] * 0.475, box["y"] + 30)
            expect(page.locator(".tip")).to_contain_text("nothing ran")
            expect(page.locator(".p-rss .value")).to_have_text("–")
            expect(page.locator(".p-count .value")).to_contain_text("0")
            # Nothing is drawn there: the pixels of the gap are those of the empty part.
            drawn = """(shares) => { const [canvas, plot] = ['canvas', '.u-over'].map((one) => document.querySelector(`.p-rss ${one}`));
                const y = Math.round((plot.offsetTop + plot.offsetHeight * .8) * devicePixelRatio);
                const row = canvas.getContext('2d').getImageData(0, y, canvas.width, 1).data;
                return shares.map((share) => row[Math.round((plot.offsetLeft + plot.offsetWidth * share) * devicePixelRatio) * 4 + 3]); }"""
            assert [bool(alpha) for alpha in page.evaluate(drawn, [0.3, 0.48, 0.7])] == [True, False, True]
    finally:
        console.daemon.loads = True


# In the frame after the next: which colour lines have, whether each chart has it and that of its words, and how many cells
# are still between two.
DRAWN = """async () => {
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  const moving = document.getAnimations().filter((one) => one.effect.target.matches('td')).length;
  const read = (width, height, draw) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    draw(context);
    const { data } = context.getImageData(0, 0, width, height);
    const found = new Set();
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) found.add(data.slice(i, i + 3).join());
    return found;
  };
  const named = (name) => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = `var(--${name})`;
    const [found] = read(1, 1, (context) => { context.fillStyle = getComputedStyle(probe).color; context.fillRect(0, 0, 1, 1); });
    probe.remove();
    return found;
  };
  return [...document.querySelectorAll('.plot canvas')].map((canvas) => {
    const found = read(canvas.width, canvas.height, (context) => context.drawImage(canvas, 0, 0));
    return [named('rule'), found.has(named('rule')), found.has(named('ink-3')), moving];
  });
}"""


def test_charts_have_the_colours_of_the_theme_at_once(browser: Browser, console: Console) -> None:
    """By the button and when the system becomes dark, also while nothing new comes; and nothing is between two colours meanwhile."""
    console.daemon.answers["history"] = lambda p: history()
    rules = set()

    def is_drawn(page: Page) -> None:
        found = page.evaluate(DRAWN)
        assert len(found) == 4
        assert all(row[1:] == [True, True, 0] for row in found), found
        rules.add(found[0][0])

    with seen(browser, console, WEB) as page:
        expect(told(page, "restarts")).to_contain_text("restart")
        page.emulate_media(reduced_motion="no-preference")
        is_drawn(page)
        page.emulate_media(color_scheme="dark")
        is_drawn(page)
        page.emulate_media(color_scheme="dark", contrast="more")
        is_drawn(page)
        page.emulate_media(color_scheme="light", contrast="no-preference")
        for theme in ("Dark", "Light", "High contrast"):
            page.get_by_role("button", name="Theme").click()
            page.get_by_role("button", name=theme, exact=False).last.click()
            is_drawn(page)
    assert len(rules) == 4


def test_history_that_does_not_come_is_told(browser: Browser, console: Console) -> None:
    """What is live is drawn all the same."""
    console.daemon.answers["history"] = lambda p: refused("failed", "it is not known")
    with seen(browser, console, WEB) as page:
        expect(page.locator(".charts")).to_contain_text("The hour before did not come: it is not known")
        expect(page.locator(".p-cpu .value")).to_have_text("15.0%")


def test_sparklines_begin_with_what_was(browser: Browser, console: Console) -> None:
    """The first view is not empty: five minutes of before stand beside each watcher."""
    console.daemon.answers["history"] = lambda p: history()
    with seen(browser, console) as page:
        line = page.locator('tr[data-watcher="web"] .c-cpu .spark .l')
        eventually(lambda: (line.get_attribute("d") or "").count("L") > 40, what="a line over five minutes")
        assert {"last": 300} in console.daemon.asked("history")


def below(pid: int, depth: int, command: str, parent: int) -> dict[str, Any]:
    return {
        "pid": pid,
        "parent": parent,
        "depth": depth,
        "command": command,
        "state": "S",
        "cpu": 1.5,
        "rss": 5 << 20,
        "age": 61.0,
    }


def family(properties: dict[str, Any]) -> dict[str, Any]:
    branch = {
        "wid": 1,
        "pid": 20001,
        "state": "running",
        "started": 0.0,
        "command": "web",
        "cpu": 1.0,
        "rss": 1,
    }
    kin = [below(30001, 1, f"sh -c {HOSTILE}", 20001), below(30002, 2, "sleep 600", 30001)]
    return {
        "watchers": {"web": [{**branch, "below": kin}, {**branch, "wid": 2, "pid": 20002, "below": []}]},
        "left_out": 0,
    }


def test_processes_are_shown_with_what_they_have_started(browser: Browser, console: Console) -> None:
    """Behind each, folded by a button or by keys; what they say is text."""
    console.daemon.answers["tree"] = family
    with seen(browser, console, WEB) as page:
        rows = page.locator(".tree tr.kin")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("sh -c <img src=x")
        expect(rows.first).to_contain_text("1.5%")
        expect(page.locator(".procs header")).to_contain_text("2 of 2, 2 children")
        page.get_by_role("button", name="What process 1 has started").click()
        expect(rows).to_have_count(0)
        page.locator('tr[data-wid="1"]').focus()
        page.keyboard.press("ArrowRight")
        expect(rows).to_have_count(2)
        assert page.title() != "hacked"


def test_options_are_shown_with_what_the_file_says(browser: Browser, console: Console) -> None:
    """What was changed at run time first; all the others, and their values as text."""
    options = {
        "cmd": HOSTILE,
        "graceful_timeout": 7.0,
        "numprocesses": 2,
        "env": {"A": "hush"},
        "respawn": True,
    }
    console.daemon.answers["options"] = lambda p: {
        "options": options,
        "changed": {"graceful_timeout": 30.0, "numprocesses": None},
    }
    with seen(browser, console, WEB) as page:
        page.get_by_role("link", name="Options", exact=True).first.click()
        rows = page.locator(".options tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("30")
        expect(rows.last).to_contain_text("not in the file")
        page.get_by_role("button", name="All 5").click()
        expect(rows).to_have_count(5)
        expect(page.locator(".options")).to_contain_text("<img src=x")
        page.locator("#find-option").fill("env")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("A=********")
        page.get_by_role("button", name="Show secret values").click()
        expect(rows).to_contain_text("A=hush")
        page.locator("#find-option").fill("")
        page.get_by_role("button", name="Not standard").click()
        expect(rows).to_have_count(4)
        assert page.title() != "hacked"


def test_events_of_a_watcher_lead_to_its_log(browser: Browser, console: Console) -> None:
    """Those of before and those that come; by level; and from each to the log of its moment."""
    now = time.time()
    console.daemon.answers["events"] = lambda p: {"events": history()["events"]}
    console.daemon.history["web"] = [
        {
            "watcher": "web",
            "wid": 1,
            "stream": "stdout",
            "pid": 1,
            "lines": [[n, now - 1500 + n, f"line {n}"] for n in range(1, 1500)],
            "skipped": 0,
        }
    ]
    with seen(browser, console, f"{WEB}?tab=events") as page:
        rows = page.locator(".happened li")
        expect(rows).to_have_count(3)
        expect(rows.last).to_contain_text("process 2 exited with code 1")
        console.daemon.push("event.", event("process.failed", 9, now, "1 given up: no", level="error", wid=1))
        expect(rows).to_have_count(4)
        page.get_by_role("button", name="Errors 1").click()
        expect(rows).to_have_count(1)
        page.get_by_role("button", name="All 4").click()
        rows.last.get_by_role("button").click()
        expect(page.locator(".pane")).to_be_visible()
        first = "() => Number(/\\d+/.exec(document.querySelector('.rows .tx').textContent)[0])"
        eventually(lambda: 250 < page.evaluate(first) < 310, what="the log is at the moment of the event")


def test_one_key_leads_to_the_log(browser: Browser, console: Console) -> None:
    """From each section; also where the log stands beside it."""
    for width in (1440, 1920):
        with seen(browser, console, f"{WEB}?tab=streams", width=width) as page:
            expect(page.locator(".outputs h2")).to_be_visible()
            page.keyboard.press("o")
            expect(page.locator(".pane .log")).to_be_focused()
            expect(page.locator(".live > .outputs")).to_have_count(1 if width > 1680 else 0)


def sink(stream: str, **told: Any) -> dict[str, Any]:
    """A row of the reply of ``sinks``, where all is well."""
    row = {"watcher": "web", "stream": stream, "name": "", "read_bytes": 5 << 20, "class": "FileStream"}
    row |= {
        "place": f"/var/log/web.{stream}",
        "state": "ok",
        "failing": "",
        "since": None,
        "overflow": "drop_oldest",
    }
    row |= {"taken_bytes": 4 << 20, "dropped_bytes": 0, "waiting_bytes": 0, "queue_bytes": 1 << 20}
    return {**row, "rotations": 0, "reopenings": 0, **told}


def test_streams_tell_where_output_goes_and_what_was_lost(browser: Browser, console: Console) -> None:
    """Each place of each stream in its state, with the reason when it can't be written, and since when; nothing of it acts."""
    rows = [
        sink(
            "stdout",
            state="failing",
            failing=f"no space {HOSTILE}",
            since=time.time() - 75,
            dropped_bytes=2048,
        ),
        sink("stdout", name="central", place=HOSTILE, **{"class": "SyslogStream"}, waiting_bytes=512 << 10),
        {"watcher": "web", "stream": "stderr", "name": "", "read_bytes": 0, "place": "", "state": "none"},
    ]
    console.daemon.answers["sinks"] = lambda p: {"sinks": rows}
    with seen(browser, console, f"{WEB}?tab=streams") as page:
        places = page.locator(".stream").first.locator(".place")
        expect(places).to_have_count(2)
        first, second = places.all()
        expect(first).to_contain_text("not written")
        expect(first).to_contain_text("/var/log/web.stdout")
        expect(first).to_contain_text("▲ 2KiB")
        expect(first).to_contain_text("Problem: no space")
        expect(first).to_contain_text(re.compile(r"for \d:\d\d"))
        expect(second).to_contain_text("central, SyslogStream")
        expect(second).to_contain_text("512KiB of 1MiB")
        expect(page.locator(".stream").last).to_contain_text("kept in memory only")
        assert "hacked" not in page.title()


def test_files_are_put_aside_and_opened_again_by_a_press(browser: Browser, console: Console) -> None:
    """Of that watcher; what came of it is said, and why not. Where nothing is a file there is nothing to press."""
    console.daemon.answers["sinks"] = lambda p: {"sinks": [sink("stdout")]}
    console.daemon.answers["rotate"] = lambda p: {"rotated": ["/var/log/web.stdout"], "pending": []}
    console.daemon.answers["reopen"] = lambda p: refused("failed", "/var/log/web.stdout: No such file")
    with seen(browser, console, f"{WEB}?tab=streams") as page:
        page.get_by_role("button", name="Rotate files").click()
        expect(page.locator(".said")).to_contain_text("Put aside: /var/log/web.stdout.")
        assert console.daemon.asked("rotate")[-1] == {"name": "web", "match": "simple"}
        page.get_by_role("button", name="Open files again").click()
        expect(page.get_by_role("alert")).to_contain_text("No such file")
        console.daemon.answers["sinks"] = lambda p: {"sinks": [sink("stdout", **{"class": "SyslogStream"})]}
        expect(page.get_by_role("button", name="Rotate files")).to_have_count(0)


def one_process(properties: dict[str, Any]) -> dict[str, Any]:
    """The reply of ``process``, with hostile text wherever a process can put some."""
    values = bool(properties.get("values"))
    end = {"time": time.time() - 60, "pid": 19999, "code": None, "signal": 9, "lived": 3.0}
    takes = {"cpu": 12.5, "cpu_time": 3.25, "rss": 50 << 20, "threads": 4, "uid": 0}
    files = [
        {"fd": 0, "target": HOSTILE},
        {"fd": 3, "target": "socket:[1]", "socket": "tcp 127.0.0.1:80, listens"},
    ]
    return {
        "watcher": "web",
        "process": process(1),
        "pid": 20001,
        "ends": [{**end, "text": "1 was ended by SIGKILL after 3 s"}],
        "stats": {**takes, "cwd": HOSTILE, "command": HOSTILE},
        "below": [below(30001, 1, HOSTILE, 20001)],
        "left_out": 7,
        "limits": [{"name": "Max open files", "soft": 1024, "hard": None, "unit": "files"}],
        "environment": {"DB_PASSWORD": "hush" if values else "********", HOSTILE: "********"},
        "environment_whole": False,
        "files": {"count": 300, "left_out": 298, "files": files},
    }


def test_a_process_has_a_page(browser: Browser, console: Console) -> None:
    """What it takes, holds and has started, how those before it ended, signals, and a restart of this one alone."""
    console.daemon.answers["process"] = one_process
    with seen(browser, console, WEB) as page:
        page.locator('tr[data-wid="1"] a').first.click()
        page.wait_for_url("**/p/web/1")
        expect(page.get_by_role("heading", level=1)).to_have_text("Process 1")
        for text in (
            "12.5%",
            "50MiB",
            "was ended by SIGKILL after 3 s",
            "open files",
            "tcp 127.0.0.1:80, listens",
            "298 more are not listed",
            "7 more are not listed",
        ):
            expect(page.locator(".parts")).to_contain_text(text)
        expect(page.locator(".parts")).to_contain_text("<img src=x")
        expect(page.locator("[data-ctl='circusctl signal web 20001 HUP']")).to_have_attribute(
            "href", "/d/stage/c/signal?name=web&pid=20001&signum=HUP"
        )
        page.get_by_role("button", name="Restart it").click()
        eventually(lambda: console.daemon.asked("kill"))
        assert int(console.daemon.asked("kill")[0]["pid"]) == 20001
        assert page.title() != "hacked"


def test_values_of_variables_are_shown_when_an_admin_asks(browser: Browser, console: Console) -> None:
    """Not before, and to nobody else; when he has seen enough they are gone."""
    console.daemon.answers["process"] = one_process
    with seen(browser, console, "/d/stage/p/web/1") as page:
        variables = page.locator(".variables")
        expect(variables.first).to_contain_text("DB_PASSWORD")
        expect(variables.first).not_to_contain_text("hush")
        page.get_by_role("button", name="Show secret values").click()
        expect(variables.first).to_contain_text("hush")
        page.get_by_role("button", name="Hide secret values").click()
        expect(variables.first).not_to_contain_text("hush")
    with seen(browser, console, "/d/stage/p/web/1", session=VIEWER) as page:
        expect(page.locator(".variables").first).to_contain_text("The values are for admins.")
        expect(page.get_by_role("button", name="Show secret values")).to_have_count(0)
        expect(page.locator(".signals")).to_have_count(0)
        expect(page.get_by_role("button", name="Restart it")).to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize("address", ["p/web/9", "p/web/x", "p/nobody/1", "p/", "p/web/", "p/%00%ff/1"])
def test_a_process_that_is_not_there_is_told(browser: Browser, console: Console, address: str) -> None:
    """With a way on."""
    with seen(browser, console, f"/d/stage/{address}") as page:
        expect(page.get_by_text("It was removed, or the address is wrong.")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS.values(), ids=list(LOOKS))
def test_axe_finds_nothing_at_charts_sections_and_processes(
    browser: Browser, console: Console, look: dict[str, Any]
) -> None:
    """With marks, a table, zoom, changed options, events, streams, and everything that a process has."""
    console.daemon.answers |= {
        "history": lambda p: history(),
        "tree": family,
        "process": one_process,
        "options": lambda p: {
            "options": {"cmd": "x", "graceful_timeout": 7.0},
            "changed": {"graceful_timeout": 30.0},
        },
        "events": lambda p: {"events": history()["events"]},
        "sinks": lambda p: {
            "sinks": [
                sink("stdout"),
                sink(
                    "stdout", name="central", state="failing", failing="refused", since=1.0, dropped_bytes=9
                ),
                sink("stderr", state="behind"),
            ]
        },
    }
    console.daemon.watchers["web"] = watcher("web", [process(1), process(2)])
    with seen(browser, console, WEB, **look) as page:
        looked = Looked(page, look)
        expect(page.locator(".mark").first).to_be_visible()
        expect(page.locator(".tree tr.kin").first).to_be_attached()
        page.get_by_text("The figures as a table").click()
        page.locator(".mark").first.focus()
        expect(page.locator(".tip.said")).to_be_visible()
        looked.finds_nothing("charts")
        for tab, box in (("options", "options"), ("events", "happened"), ("streams", "outputs")):
            page.goto(f"{console.origin}{WEB}?tab={tab}")
            expect(page.locator(f".{box} h2")).to_be_visible()
            if tab == "streams":
                expect(page.locator(".place")).to_have_count(3)
            looked.finds_nothing(tab)
        page.goto(f"{console.origin}/d/stage/p/web/1")
        expect(page.locator(".facts").first).to_be_visible()
        looked.finds_nothing("a process")
