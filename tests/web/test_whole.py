"""The whole way: a real circusd starts the console, and a browser sees real processes and acts on them."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.faults.measures import descriptors
from tests.ports import free_port
from tests.waiting import eventually
from tests.web.browser import opened

LOUD = """
import sys, time
n = 0
for n in range(1, 1501):
    print(f"\\x1b[32mINFO\\x1b[0m early {n}", flush=n % 100 == 0)
while True:
    n += 1
    print(f"\\x1b[32mINFO\\x1b[0m tick {n} <b>&amp;</b>", flush=True)
    print(f"WARN tock {n}", file=sys.stderr, flush=True)
    time.sleep(0.1)
"""

INI = """
[circus]
httpd = 1
httpd_host = 127.0.0.1
httpd_port = {port}
httpd_hosts = lab-4

[watcher:web]
cmd = sleep 1000
numprocesses = 2
graceful_timeout = 2

[watcher:loud]
cmd = {python} {folder}/loud.py

[watcher:sick]
cmd = sh -c "echo dying; exit 3"

[watcher:idle]
cmd = sleep 1000
autostart = False
"""


@pytest.fixture(scope="module")
def circusd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with four watchers and the console."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "loud.py").write_text(LOUD)
    ini = INI.format(port=free_port(), python=sys.executable, folder=folder)
    with Daemon(ini, folder) as daemon:
        yield daemon


@contextmanager
def seen(browser: Browser, circusd: Daemon, role: str = "admin", **more: Any) -> Iterator[Page]:
    """The console, opened by a one-time link."""
    link = circusd.call("weblink", role=role)["link"]
    with opened(browser, link, **more) as page:
        page.get_by_text("live", exact=True).wait_for(state="attached")
        yield page


def row(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-watcher="{name}"]')


def press(page: Page, name: str, what: str) -> None:
    row(page, name).hover()
    row(page, name).locator(f'button[data-what="{what}"]').click()


def in_slots(circusd: Daemon, name: str) -> list[int]:
    """The pids of a watcher in the order of its slots."""
    return [process["pid"] for process in circusd.watcher(name)["processes"]]


def console_pid(circusd: Daemon) -> int:
    (pid,) = circusd.pids("circushttpd")
    return pid


def end(circusd: Daemon, signum: int) -> None:
    """circusd has ended by that signal, with all that it ran: systemd and containers see to that after a SIGKILL."""
    console = psutil.Process(console_pid(circusd))
    left = [psutil.Process(pid) for name in ("web", "loud") for pid in circusd.pids(name)]
    circusd.stop(signum)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    eventually(
        lambda: not console.is_running() or console.status() == psutil.STATUS_ZOMBIE,
        within=20,
        what="the console ends",
    )


def test_link_of_circusctl_opens_the_console(browser: Browser, circusd: Daemon) -> None:
    """The address that circusctl prints leads to all watchers, once."""
    link = circusd.ctl("weblink").stdout.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login#token=[\w-]+", link)
    with opened(browser, link) as page:
        page.wait_for_url("**/d/circus/")
        expect(page.locator("tr[data-watcher]")).to_have_count(5)
        expect(row(page, "web").locator(".st")).to_have_text("active")
        expect(row(page, "idle").locator(".st")).to_have_text("stopped")
        expect(page.locator("#lead-h")).to_have_text("One thing needs you")
    with opened(browser, link) as page:
        expect(page.get_by_role("status")).to_contain_text("used up")


def test_page_equals_what_circusctl_says(browser: Browser, circusd: Daemon) -> None:
    """The words of the page are those of the command line."""
    with seen(browser, circusd) as page:
        statuses = circusd.call("status")["statuses"]
        for name in ("web", "loud", "idle", "circushttpd"):
            expect(row(page, name).locator(".st .word")).to_have_text(statuses[name])
        expect(row(page, "web").locator(".ratio")).to_have_text("2 / 2")
        expect(row(page, "loud").locator(".c-mem .meter")).to_contain_text("MiB")
        expect(row(page, "sick").locator(".c-last")).to_contain_text("exited with code 3")


def test_death_and_rebirth_are_seen(browser: Browser, circusd: Daemon) -> None:
    """kill -9 of a process: its event, its new pid and its second start are on the page at once."""
    with seen(browser, circusd) as page:
        row(page, "web").get_by_role("link", name="web").click()
        victim = circusd.pids("web")[0]
        expect(page.locator(".procs .k-pid").filter(has_text=str(victim))).to_have_count(1)
        os.kill(victim, signal.SIGKILL)
        expect(page.locator(".procs .k-pid").filter(has_text=str(victim))).to_have_count(0, timeout=2000)
        expect(page.locator(".procs .k-starts").filter(has_text="2")).to_have_count(1)
        expect(page.locator(".procs .st")).to_have_text(["running", "running"])
        pids = page.locator(".procs tbody .k-pid").all_inner_texts()
        assert sorted(map(int, pids)) == sorted(circusd.pids("web"))
        expect(page.locator(".cut").filter(has_text="SIGKILL")).to_have_count(1)
        page.locator(".crumb a").click()
        expect(page.locator(".events p").filter(has_text="was ended by SIGKILL").first).to_be_visible()


def test_stop_and_start(browser: Browser, circusd: Daemon) -> None:
    """The buttons do it, and the page shows what the daemon says."""
    with seen(browser, circusd) as page:
        press(page, "web", "stop")
        expect(row(page, "web").locator(".st")).to_have_text("stopped")
        assert circusd.call("status", name="web")["status"] == "stopped"
        assert circusd.pids("web") == []
        press(page, "web", "start")
        expect(row(page, "web").locator(".st")).to_have_text("active")
        assert len(circusd.pids("web")) == 2


def test_restart_and_reload(browser: Browser, circusd: Daemon) -> None:
    """Both leave other processes behind, as many as before."""
    with seen(browser, circusd) as page:
        before = circusd.pids("web")
        press(page, "web", "restart")
        button = row(page, "web").locator('button[data-what="restart"]')
        expect(button).not_to_have_attribute("aria-busy", "true")
        after = circusd.pids("web")
        assert len(after) == 2
        assert not set(before) & set(after)
        row(page, "web").get_by_role("link", name="web").click()
        page.keyboard.press("Shift+R")
        eventually(
            lambda: len(circusd.pids("web")) == 2 and not set(after) & set(circusd.pids("web")),
            what="reloaded",
        )
        expect(page.locator(".procs tbody .k-pid")).to_have_text(
            [str(pid) for pid in in_slots(circusd, "web")]
        )


def test_scale(browser: Browser, circusd: Daemon) -> None:
    """More, fewer, and a number."""
    with seen(browser, circusd) as page:
        press(page, "web", "incr")
        expect(row(page, "web").locator(".ratio")).to_have_text("3 / 3")
        press(page, "web", "decr")
        expect(row(page, "web").locator(".ratio")).to_have_text("2 / 2")
        row(page, "web").get_by_role("link", name="web").click()
        field = page.get_by_role("textbox", name="numprocesses")
        field.fill("4")
        field.press("Enter")
        expect(page.locator(".procs tbody tr")).to_have_count(4)
        assert circusd.call("numprocesses", name="web")["numprocesses"] == 4
        field.fill("2")
        field.press("Enter")
        expect(page.locator(".procs tbody tr")).to_have_count(2)


def test_one_process_is_restarted(browser: Browser, circusd: Daemon) -> None:
    """The others stay."""
    with seen(browser, circusd) as page:
        row(page, "web").get_by_role("link", name="web").click()
        first, second = circusd.pids("web")
        page.locator(".procs tbody tr").filter(has_text=str(first)).hover()
        page.locator(".procs tbody tr").filter(has_text=str(first)).get_by_role("button").click()
        eventually(
            lambda: first not in circusd.pids("web") and len(circusd.pids("web")) == 2, what="another process"
        )
        assert second in circusd.pids("web")


def test_log_with_history_colour_and_hold(browser: Browser, circusd: Daemon) -> None:
    """Lines of before the page, in colour and of both streams; what is written is there within moments."""
    with seen(browser, circusd) as page:
        row(page, "loud").get_by_role("link", name="loud").click()
        line = page.locator(".ln").filter(has_text="tick").last
        expect(line.locator(".tx span").first).to_have_class("ansi fg-2")
        assert "<b>&amp;</b>" in str(line.text_content())
        expect(page.locator(".ln.err-stream.lv-wrn").last).to_contain_text("WARN tock")
        page.locator(".log").focus()
        page.keyboard.press("Home")
        # Not always the very first: what came by the other pipe in the same moment may have been read before it.
        expect(page.locator(".rows").get_by_text("INFO early 1", exact=True)).to_have_count(1)
        expect(page.locator(".held b")).to_contain_text("new")
        page.keyboard.press("f")
        written = circusd.call("output", names=["loud"], lines=1)["lines"][-1]
        number = int(re.findall(r"\d+", written["text"].partition("m tick")[2] or written["text"])[0])
        expect(page.locator(".rows")).to_contain_text(f"tick {number}", timeout=1000)
        late = page.evaluate(
            """() => new Promise(done => {
                const seen = [];
                const watch = new MutationObserver(() => {
                    const last = [...document.querySelectorAll('.rows .ln')].pop();
                    const written = last.querySelector('time').textContent;
                    const now = new Date();
                    seen.push((now - new Date(now.toDateString() + ' ' + written)) / 1000);
                    if (seen.length >= 10) { watch.disconnect(); done(seen); }
                });
                watch.observe(document.querySelector('.rows'), { childList: true });
            })"""
        )
        # From the write to the screen; half of them, as one may wait for a turn of a busy machine.
        assert sorted(late)[len(late) // 2] < 0.3, late


def test_console_that_is_killed_comes_back(browser: Browser, circusd: Daemon) -> None:
    """kill -9 of circushttpd: circusd starts it anew, and the page finds it and shows the truth, without a reload."""
    with seen(browser, circusd) as page:
        page.evaluate("window.stayed = true")
        pid = console_pid(circusd)
        os.kill(pid, signal.SIGKILL)
        expect(page.locator(".notice")).to_contain_text("The console has not answered since")
        began = time.monotonic()
        expect(page.locator(".notice")).to_have_count(0, timeout=10_000)
        eventually(lambda: console_pid(circusd) != pid, what="another circushttpd")
        circusd.call("incr", name="web", waiting=True)
        expect(row(page, "web").locator(".ratio")).to_have_text("3 / 3")
        circusd.call("decr", name="web", waiting=True)
        assert time.monotonic() - began < 8
        assert page.evaluate("window.stayed")


def test_viewer_is_refused_by_the_daemon_itself(browser: Browser, circusd: Daemon) -> None:
    """A viewer's request that the page would not send is refused with the role that it needs."""
    with seen(browser, circusd, "viewer") as page:
        told = page.evaluate(
            """async () => {
                const answer = await fetch('/d/circus/api/v1/stop', { method: 'POST', body: '{"name": "web"}',
                    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': document.documentElement.dataset.csrf } });
                return [answer.status, (await answer.json()).detail];
            }"""
        )
        assert told[0] == 403
        assert "operator" in told[1]
        assert len(circusd.pids("web")) == 2


def test_logout_ends_the_session_for_good(browser: Browser, circusd: Daemon) -> None:
    """After a logout the same cookie opens nothing."""
    with seen(browser, circusd) as page:
        cookies = page.context.cookies()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.context.add_cookies(cookies)
        page.goto(page.url.replace("/login", "/d/circus/"))
        page.wait_for_url("**/login?next=/d/circus/")


def test_console_has_no_rights(circusd: Daemon) -> None:
    """Where circusd is root, its console is nobody; in any case it has no descriptor of the daemon's but its own two."""
    console = psutil.Process(console_pid(circusd))
    if os.geteuid() == 0:
        # It is still root while it loads its modules, before it reads from anybody.
        eventually(lambda: console.uids().real != 0, within=20, what="the console is another user")
        assert 0 not in console.uids()
        assert os.stat(circusd.runtime / "circus" / "commands.sock").st_mode & 0o077 == 0
    sockets = [link for link in descriptors(console.pid).values() if link.startswith("socket:")]
    # Its listening socket and its link; more are connections of browsers that are just closing.
    eventually(lambda: len([c for c in console.net_connections("inet") if c.status == "LISTEN"]) == 1)
    assert len(sockets) >= 2


def test_console_ends_with_the_daemon(tmp_path: Path) -> None:
    """circusd that is killed leaves no console behind that would keep the port."""
    with Daemon(INI.format(port=free_port(), python=sys.executable, folder=tmp_path), tmp_path) as daemon:
        (tmp_path / "loud.py").write_text(LOUD)
        pids = [pid for name in ("circushttpd", "web", "loud") for pid in daemon.pids(name)]
        console = psutil.Process(console_pid(daemon))
        daemon.stop(signal.SIGKILL)
        eventually(
            lambda: not console.is_running() or console.status() == psutil.STATUS_ZOMBIE,
            what="the console ends",
        )
        for pid in pids:
            if psutil.pid_exists(pid) and pid != console.pid:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL], ids=["ordered", "killed"])
def test_page_outlives_circusd(browser: Browser, tmp_path: Path, signum: int) -> None:
    """circusd ends and is started again: the open page is back by itself, live and able to act, without a login."""
    (tmp_path / "loud.py").write_text(LOUD)
    with (
        Daemon(INI.format(port=free_port(), python=sys.executable, folder=tmp_path), tmp_path) as daemon,
        seen(browser, daemon) as page,
    ):
        row(page, "loud").get_by_role("link", name="loud").click()
        expect(page.locator(".rows")).to_contain_text("tick")
        page.evaluate("window.stayed = true")
        address = page.url
        end(daemon, signum)
        expect(page.locator(".notice")).to_contain_text("The console has not answered since")
        daemon.start()
        expect(page.locator(".notice")).to_have_count(0, timeout=20_000)
        # What is shown is of the new daemon: its process, and what that one writes.
        (pid,) = daemon.pids("loud")
        expect(page.locator(".procs .k-pid").filter(has_text=str(pid))).to_have_count(1)
        last = page.locator(".rows .ln").last
        expect(last).not_to_have_text(last.text_content() or "")
        # The proof that a POST carries is still the session's.
        page.keyboard.press("Shift+R")
        eventually(lambda: daemon.pids("loud") not in ([], [pid]), within=20, what="reloaded")
        assert page.evaluate("window.stayed")
        assert page.url == address
        # A page that is opened beside it needs no login either.
        other = page.context.new_page()
        other.goto(address)
        other.get_by_text("live", exact=True).wait_for(state="attached")


MANY = 200

STATUSES = """async () => {
    const links = [...document.querySelectorAll('link[rel=modulepreload]')].map(link => link.href);
    const { store, isLive } = await import(links.find(href => href.endsWith('/js/store.js')));
    return isLive() ? Object.fromEntries([...store.watchers.values()].map(one => [one.name, one.status])) : null;
}"""


def test_page_of_many_is_true_again_by_itself(browser: Browser, tmp_path: Path) -> None:
    """Two hundred watchers; what changes while the console is gone, or while circusd is, is on the page when they are back."""
    sections = "".join(
        f"[watcher:w-{number:03d}]\ncmd = sleep 1000\ngraceful_timeout = 2\n" for number in range(MANY)
    )
    ini = f"[circus]\nhttpd = 1\nhttpd_port = {free_port()}\n{sections}"
    with Daemon(ini, tmp_path) as daemon, seen(browser, daemon) as page:
        grid = page.get_by_role("grid")

        def is_true() -> bool:
            statuses = daemon.call("status")["statuses"]
            stopped = sum(status == "stopped" for status in statuses.values())
            return bool(page.evaluate(STATUSES) == statuses) and (
                page.locator(".seg [aria-pressed]").last.text_content() == f"Stopped {stopped}"
            )

        expect(grid).to_have_attribute("aria-rowcount", str(MANY + 2))
        eventually(is_true, within=20, what="the page shows what circusctl says")
        page.evaluate("window.stayed = true")
        os.kill(console_pid(daemon), signal.SIGKILL)
        expect(page.locator(".notice")).to_contain_text("The console has not answered since")
        daemon.call("stop", name="w-01*", waiting=True)
        daemon.call("rm", name="w-199", waiting=True)
        eventually(is_true, within=20, what="true again after the console was killed")
        left = [
            psutil.Process(pid)
            for shown in daemon.call("inspect")["watchers"]
            for pid in daemon.pids(shown["name"])
        ]
        daemon.stop(signal.SIGKILL)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        expect(page.locator(".notice")).to_contain_text("has not answered since")
        daemon.start()
        daemon.call("stop", name="w-10*", waiting=True)
        eventually(is_true, within=20, what="true again after circusd was killed")
        expect(grid).to_have_attribute("aria-rowcount", str(MANY + 2))
        assert page.evaluate("window.stayed")


def test_page_that_was_logged_out_stays_out_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    """Whoever has left is at the door, also when circusd was killed right after that."""
    (tmp_path / "loud.py").write_text(LOUD)
    with (
        Daemon(INI.format(port=free_port(), python=sys.executable, folder=tmp_path), tmp_path) as daemon,
        seen(browser, daemon) as page,
    ):
        cookies = page.context.cookies()
        with page.expect_response("**/logout") as answered:
            page.get_by_role("button", name="Log out").click()
        assert answered.value.status == 200
        end(daemon, signal.SIGKILL)
        daemon.start()
        page.context.add_cookies(cookies)
        link = daemon.call("weblink")["link"]
        page.goto(link.partition("/login")[0] + "/d/circus/")
        page.wait_for_url("**/login?next=/d/circus/")
