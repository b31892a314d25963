"""Crash reports in the console: what a report shows of hostile processes, and the way from the first page to one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.console import Console
from tests.web.staged import process, watcher
from tests.web.test_access import LOOKS, Looked
from tests.web.test_pages import HOSTILE, seen

INI = """\
[circus]
httpd = 1
httpd_port = 0

[watcher:web]
cmd = sh -c 'printf "\\033[31mERROR\\033[0m no <b>database</b>\\n" >&2; echo out; exit 7'
respawn = false

[watcher:well]
cmd = sleep 1000
"""


def report(number: int, **more: Any) -> dict[str, Any]:
    """One report in full, of a process that wrote and was whatever it liked."""
    now = time.time()
    return {
        "id": number, "watcher": "web", "wid": 1, "pid": 4711, "started": now - 60, "ended": now - 5, "lived": 55.0, "code": None,
        "signal": 11, "signal_name": "SIGSEGV", "stage": "", "errno": 0, "how": f"was ended by SIGSEGV {HOSTILE}", "means": HOSTILE,
        "killer": "", "core": True, "core_dump": {"path": "", "size": None, "handler": "systemd-coredump", "hint": "coredumpctl info 4711"},
        "stop": {"command": "stop", "by": HOSTILE}, "sent": [{"signal": "SIGTERM", "time": now - 6, "by": HOSTILE}],
        "usage": {"user": 1.5, "system": 0.25, "max_rss": 64 << 20, "is_bound": False, "minor_faults": 12345, "major_faults": 2,
                  "voluntary": 3, "involuntary": 4, "blocks_in": 8, "blocks_out": 0},
        "load": {"times": [now - 900, now - 600, now - 60], "cpu": [1.0, None, 97.5], "rss": [1 << 20, None, 5 << 20]},
        "since": now - 3600,
        "changes": [{"option": f"env.{HOSTILE}", "was": None, "now": "********"}, {"option": "cmd", "was": "old", "now": HOSTILE * 3}],
        "files": [{"file": f"/srv/{HOSTILE}", "what": "executable", "was": {"modified": 1.0, "size": 1, "inode": 1}, "now": None}],
        "lines": [
            {"time": now - 6, "stream": "stdout", "number": 1, "text": "\x1b[32mINFO\x1b[0m fine"},
            {"time": now - 5.5, "stream": "stderr", "number": 1, "text": f"\x1b[1;31mERROR\x1b[0m {HOSTILE}\x1b]0;owned\x07 \u202egnp"},
            {"time": now - 5.4, "stream": "stderr", "number": 2, "text": "x" * 2000},
        ],
        "next": f"it is started again in 3 s {HOSTILE}", "next_try": None, "count": 3, "last": now - 1, "last_pid": 4712, "others": 17,
        **more,
    }  # fmt: skip


@pytest.fixture
def crashed(console: Console) -> Console:
    """A watcher with two reports; a third that is asked for is not there."""
    console.daemon.watchers["web"] = watcher(
        "web",
        [process(1, "backoff", next_try=time.time() + 600, exit={"text": "x", "time": 0, "code": 1})],
        state="backoff",
        explain="The process does not run.",
        crash={"id": 2, "time": time.time()},
    )
    rows = {1: report(1, how="exited with code 1", lived=None, since=None, load={}, lines=[]), 2: report(2)}
    console.daemon.answers["crashes"] = lambda p: {"crashes": [rows[2], rows[1]], "problem": HOSTILE}
    console.daemon.answers["crash"] = lambda p: {"crash": rows[p["id"]]}
    return console


@pytest.mark.parametrize("name", ["light", "narrow, dark"])
def test_report_shows_all_and_obeys_nothing(browser: Browser, crashed: Console, name: str) -> None:
    """Lines in their colours, differences, figures, curves; all of it as text; nothing that axe finds or that leaves the page."""
    look = {**LOOKS["narrow"], **LOOKS["dark"]} if name == "narrow, dark" else LOOKS[name]
    permissions = ("clipboard-read", "clipboard-write")
    with seen(browser, crashed, "/d/stage/w/web", permissions=permissions, **look) as page:
        page.locator(".face").get_by_role("link", name="crash report").click()
        shown = page.locator(".crash")
        expect(shown.locator("h3")).to_contain_text("Process 1 was ended by SIGSEGV")
        expect(page.locator(".reports tbody tr")).to_have_count(2)
        expect(page.locator(".reports [aria-current]")).to_have_count(1)
        lines = shown.locator(".last-lines li")
        expect(lines).to_have_count(3)
        expect(lines.nth(1).locator(".fg-1.bold")).to_have_text("ERROR")
        expect(lines.nth(1)).to_contain_text(f"ERROR {HOSTILE}")
        expect(shown.locator(".different tbody tr")).to_have_count(3)
        expect(shown.locator(".different")).to_contain_text("not set")
        expect(shown.locator(".curve")).to_have_count(2)
        for text in (
            "given to systemd-coredump", "coredumpctl info 4711", "12,345 minor, 2 major", "64 MiB", "17 more failures",
            "it was being stopped: stop by", "3 times, the last",
        ):  # fmt: skip
            expect(shown.locator(".known")).to_contain_text(text)
        Looked(page, look).finds_nothing("a crash report")
        wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0
        page.get_by_role("button", name="Copy as text").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert "ERROR <img" in copied
        assert "cmd: old → " in copied
        assert not set("\x1b\x07\u202e") & set(copied)
        page.locator(".reports a").last.click()
        expect(shown.locator("h3")).to_have_text("Process 1 exited with code 1.")
        expect(shown).to_contain_text("nothing to compare with")
        expect(shown).to_contain_text("It has written nothing")
        assert page.url.endswith("report=1")
        assert "hacked" not in page.title()
        page.goto(f"{crashed.origin}/d/stage/w/web?tab=crashes&report=99")
        expect(page.get_by_text("There is no report 99 any more.")).to_be_visible()


def test_what_needs_somebody_leads_to_its_report(browser: Browser, tmp_path: Path) -> None:
    """Of a real process; a watcher that is well says that there is none."""
    with Daemon(INI, tmp_path) as daemon:
        eventually(lambda: daemon.call("crashes")["crashes"], within=20)
        link = json.loads(daemon.ctl("--json", "weblink").stdout)["link"]
        with opened(browser, link) as page:
            page.locator(".lead").get_by_role("link", name="crash report web").click()
            shown = page.locator(".crash")
            expect(shown.locator("h3")).to_contain_text("Process 1 exited with code 7 after")
            # Which of two pipes is read first is nobody's promise.
            said = shown.locator(".last-lines li").filter(has_text="ERROR")
            expect(said.locator(".fg-1")).to_have_text("ERROR")
            expect(shown.locator(".last-lines")).to_contain_text("no <b>database</b>")
            expect(shown.locator(".known")).to_contain_text("it is not started again, as respawn is off")
            page.goto(page.url.replace("/w/web?", "/w/well?").partition("&")[0])
            expect(page.get_by_text("None of its processes has failed")).to_be_visible()
