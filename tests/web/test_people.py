"""The page of people and tokens, and the door with name and password, in a real browser against a real circusd."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.test_access import Looked

PASSWORD = "correct-horse-battery"

INI = """
[circus]
httpd = 1
httpd_port = 0

[watcher:web]
cmd = sleep 1000
graceful_timeout = 2

[watcher:db]
cmd = sleep 1000
"""

LOOKS: tuple[dict[str, Any], ...] = ({}, {"dark": True}, {"width": 390, "height": 844}, {"contrast": True})


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """With ada, an admin, and ben, who operates what begins with web."""
    with Daemon(INI, tmp_path) as running:
        running.call("addperson", person="ada", role="admin", password=PASSWORD)
        running.call("addperson", person="ben", role="operator", watchers="web*", password=PASSWORD)
        yield running


def origin(daemon: Daemon) -> str:
    return f"http://{daemon.call('inspect')['daemon']['httpd']}"


@contextmanager
def at_people(browser: Browser, daemon: Daemon, name: str, **look: Any) -> Iterator[Page]:
    """The page of people, after a login by name and password."""
    with opened(browser, f"{origin(daemon)}/login?next=/d/circus/people/", **look) as page:
        log_in(page, name)
        page.wait_for_url("**/d/circus/people/")
        page.get_by_text("live", exact=True).wait_for(state="attached")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        yield page


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def people(daemon: Daemon) -> dict[str, dict[str, Any]]:
    return {row["person"]: row for row in daemon.call("people")["people"]}


def row(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-person="{name}"]')


def api(
    daemon: Daemon, command: str, properties: Any = None, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One request of a program to the HTTP API."""
    connection = http.client.HTTPConnection(origin(daemon).removeprefix("http://"), timeout=20)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(properties or {}) if method == "POST" else None
        connection.request(
            method, f"/d/circus/api/v1/{command}", body, {"Content-Type": "application/json", **sent}
        )
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read())
    finally:
        connection.close()


# --- the page -----------------------------------------------------------------------------------------------------------


def test_admin_manages_people(browser: Browser, daemon: Daemon) -> None:
    """Adds, changes, sets a password, removes; circusd has it each time, and no password is in the page's lines."""
    with at_people(browser, daemon, "ada") as page:
        page.locator("#add-person").click()
        page.get_by_label("Name").fill("cleo")
        page.get_by_label("Role").select_option("operator")
        page.get_by_role("textbox", name="Watchers").fill("db, web*")
        page.get_by_label("New password", exact=True).fill("short")
        page.locator("#ask-yes").click()
        expect(page.get_by_role("alert")).to_contain_text("at least 8 letters")
        page.get_by_label("New password", exact=True).fill(PASSWORD)
        page.get_by_label("Once more").fill(PASSWORD + "x")
        page.locator("#ask-yes").click()
        expect(page.get_by_role("alert")).to_contain_text("not the same")
        page.get_by_label("Once more").fill(PASSWORD)
        line = page.locator("#ask-yes").get_attribute("data-ctl")
        assert line == "circusctl addperson cleo --role operator --watchers 'db,web*' --password-file -"
        assert {
            field.get_attribute("autocomplete") for field in page.locator('dialog [type="password"]').all()
        } == {"new-password"}
        page.locator("#ask-yes").click()
        expect(row(page, "cleo")).to_contain_text("operator")
        cleo = people(daemon)["cleo"]
        assert (cleo["role"], cleo["watchers"], cleo["password"]) == ("operator", ["db", "web*"], True)

        row(page, "cleo").get_by_role("button", name="Change").click()
        page.get_by_label("Role").select_option("viewer")
        page.get_by_role("textbox", name="Watchers").fill("")
        page.get_by_label("Keep him out").check()
        page.locator("#ask-yes").click()
        expect(row(page, "cleo")).to_contain_text("kept out")
        cleo = people(daemon)["cleo"]
        assert (cleo["role"], cleo["watchers"], cleo["disabled"]) == ("viewer", [], True)

        row(page, "cleo").get_by_role("button", name="Password").click()
        page.get_by_label("New password", exact=True).fill("another-" + PASSWORD)
        page.get_by_label("Once more").fill("another-" + PASSWORD)
        page.locator("#ask-yes").click()
        eventually(lambda: people(daemon)["cleo"]["changed"] > cleo["changed"], within=10)

        row(page, "cleo").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("dialog")).to_contain_text("Remove cleo?")
        page.get_by_role("button", name="Leave it").click()
        assert "cleo" in people(daemon)
        row(page, "cleo").get_by_role("button", name="Remove").click()
        page.locator("#ask-yes").click()
        expect(row(page, "cleo")).to_have_count(0)
        assert "cleo" not in people(daemon)
        # What the daemon refuses stands in the dialog, and what was typed is still there.
        page.locator("#add-person").click()
        page.get_by_label("Name").fill("ben")
        page.locator("#ask-yes").click()
        expect(page.get_by_role("alert")).to_contain_text("there is a person ben already")
        expect(page.get_by_label("Name")).to_have_value("ben")


def test_token_is_shown_once_and_comes_in_without_a_cookie(browser: Browser, daemon: Daemon) -> None:
    """It can be copied, is on the page no more afterwards, does what its role says, and is revoked."""
    with at_people(browser, daemon, "ada", permissions=("clipboard-read", "clipboard-write")) as page:
        page.locator("#make-token").click()
        page.get_by_label("Name").fill("nightly")
        page.get_by_label("Person").select_option("ben")
        page.get_by_label("Role").select_option("viewer")
        page.locator("#ask-yes").click()
        secret = page.locator("[data-secret]").inner_text()
        assert re.fullmatch(r"circus_[\w-]{43}", secret)
        page.get_by_role("dialog").get_by_role("button", name="Copy").click()
        expect(page.get_by_role("dialog").get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == secret
        page.get_by_role("button", name="Done").click()
        expect(page.locator('tr[data-token="nightly"]')).to_contain_text("ben")
        assert secret not in page.content()

        bearer = {"Authorization": f"Bearer {secret}"}
        status, _, told = api(daemon, "list", method="GET", **bearer)
        assert (status, told["watchers"]) == (200, ["web"])
        status, _, told = api(daemon, "stop", {"name": "web"}, **bearer)
        assert (status, told["code"]) == (403, "denied")
        assert daemon.call("status", name="web")["status"] == "active"
        assert any(entry.get("token") == "nightly" for entry in daemon.call("audit")["entries"])
        page.reload()
        expect(page.locator('tr[data-token="nightly"]')).to_contain_text("ago")

        page.locator('tr[data-token="nightly"]').get_by_role("button", name="Revoke").click()
        page.locator("#ask-yes").click()
        expect(page.locator('tr[data-token="nightly"]')).to_have_count(0)
        assert api(daemon, "list", method="GET", **bearer)[0] == 401


def test_person_has_a_page_of_his_own(browser: Browser, daemon: Daemon) -> None:
    """His sessions, his tokens, his password; nobody else's, and nothing of the daemon's people."""
    daemon.call("addtoken", person="ada", token="hers")
    with at_people(browser, daemon, "ben") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Your access")
        expect(page.get_by_text("You are an operator for the watchers web*.")).to_be_visible()
        expect(page.locator("#add-person")).to_have_count(0)
        expect(page.get_by_text("ada")).to_have_count(0)
        page.locator("#make-token").click()
        expect(page.get_by_label("Role").locator("option")).to_have_count(2)
        page.get_by_label("Name").fill("mine")
        page.locator("#ask-yes").click()
        page.get_by_role("button", name="Done").click()
        expect(page.locator('tr[data-token="mine"]')).to_be_visible()

        page.locator("#own-password").click()
        page.get_by_label("The password of now").fill("wrong-wrong")
        page.get_by_label("New password", exact=True).fill("next-" + PASSWORD)
        page.get_by_label("Once more").fill("next-" + PASSWORD)
        page.locator("#ask-yes").click()
        expect(page.get_by_role("alert")).to_contain_text("the password of before is wrong")
        page.get_by_label("The password of now").fill(PASSWORD)
        page.locator("#ask-yes").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        # This session goes on.
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your access")
        page.goto(f"{origin(daemon)}/d/circus/c/addperson")
        expect(page.locator("#barred")).to_contain_text("admin")
        page.get_by_role("button", name="Log out").click()
        log_in(page, "ben")
        expect(page.get_by_role("status")).to_contain_text("The name or the password is wrong")
        log_in(page, "ben", "next-" + PASSWORD)
        page.wait_for_url("**/d/circus/")


def test_person_with_some_watchers_is_led_to_no_page_that_only_says_no(
    browser: Browser, daemon: Daemon
) -> None:
    """Neither by the bar, nor by keys or the palette: every page that is offered has something for him."""
    with at_people(browser, daemon, "ben") as page:
        page.locator(".nav .more").click()
        links = page.locator(".nav a[href]:visible")
        names = links.all_inner_texts()
        assert {name.split("\n")[0] for name in names} == {
            "Dependencies",
            "Watchers",
            "Logs",
            "Events",
            "Sockets",
            "People",
            "Commands",
        }
        for address in {link.get_attribute("href") for link in links.all()}:
            page.goto(origin(daemon) + str(address))
            page.get_by_text("live", exact=True).wait_for(state="attached")
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            expect(page.locator("main [role=alert]")).to_have_count(0)
        page.keyboard.press("g")
        page.keyboard.press("d")
        page.keyboard.press("?")
        expect(page.locator("dialog.keys dl")).to_contain_text("Sockets")
        expect(page.locator("dialog.keys dl")).not_to_contain_text("Daemon")
        assert not page.url.endswith("/daemon/")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.get_by_label("What to find or do").fill("audit")
        expect(page.locator("[role=option] .what", has_text=re.compile("^audit"))).to_have_count(1)
        expect(page.locator("[role=option] .what", has_text=re.compile("^Audit"))).to_have_count(0)


def test_session_is_ended_from_another_one(browser: Browser, daemon: Daemon) -> None:
    """Its page is told at once, and leads to the door."""
    with at_people(browser, daemon, "ben") as his, at_people(browser, daemon, "ada") as page:
        page.locator("tr[data-session]").filter(has_text="ben").get_by_role("button", name="End").click()
        page.locator("#ask-yes").click()
        expect(page.locator("tr[data-session]").filter(has_text="ben")).to_have_count(0)
        expect(his.get_by_role("alert")).to_contain_text("The session is over")
        his.get_by_role("link", name="Log in").click()
        log_in(his, "ben")
        his.wait_for_url("**/d/circus/people/")


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark", "narrow", "contrast"])
def test_axe_finds_nothing_at_people(browser: Browser, daemon: Daemon, look: dict[str, Any]) -> None:
    """The page, each dialog, what is wrong in one, a new token; and nothing is wider than the window."""
    daemon.call("addtoken", person="ben", token="ci", expires=3600, watchers="web-*")
    with at_people(browser, daemon, "ada", **look) as page:
        looked = Looked(page, look)
        expect(row(page, "ben")).to_be_visible()
        looked.finds_nothing("people")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for opener in (
            page.locator("#add-person"),
            row(page, "ben").get_by_role("button", name="Change"),
            row(page, "ben").get_by_role("button", name="Password"),
            row(page, "ben").get_by_role("button", name="Remove"),
            page.locator("#make-token"),
        ):
            opener.click()
            looked.finds_nothing("a dialog")
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_have_count(0)
        page.locator("#make-token").click()
        page.locator("#ask-yes").click()
        expect(page.get_by_role("alert")).to_be_visible()
        looked.finds_nothing("something missing")
        page.get_by_label("Name").fill("new")
        page.locator("#ask-yes").click()
        expect(page.locator("[data-secret]")).to_be_visible()
        looked.finds_nothing("a new token")


def test_names_are_text(browser: Browser, daemon: Daemon) -> None:
    """Whatever an address or the name of a token holds: nothing of it is markup."""
    daemon.call("addtoken", person="ben", token="<img src=x onerror=alert(1)>")
    daemon.call("weblink", person="<b>eve</b>\u202e", role="viewer")
    with at_people(browser, daemon, "ada") as page:
        expect(page.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()


# --- the door -----------------------------------------------------------------------------------------------------------


def test_wrong_passwords_are_slowed_down(browser: Browser, daemon: Daemon) -> None:
    """After some the answer is 429 with the time to wait; the page counts it down; the right one comes in afterwards."""
    with opened(browser, f"{origin(daemon)}/login") as page:
        for _ in range(5):
            log_in(page, "ben", "wrong-wrong")
            expect(page.get_by_role("status")).to_contain_text("The name or the password is wrong")
            expect(page.get_by_label("Password")).to_have_value("")
        # Each further one costs twice as long, from a second on; a slow browser has waited for some of that already.
        for _ in range(4):
            with page.expect_response("**/login") as answered:
                log_in(page, "nobody-of-that-name", "wrong-wrong")
            if answered.value.status == 429:
                break
            expect(page.get_by_label("Password")).to_have_value("")
        assert answered.value.status == 429
        assert int(answered.value.headers["retry-after"]) >= 1
        expect(page.get_by_role("status")).to_contain_text("Too many wrong passwords")
        expect(page.get_by_role("button", name="Log in", exact=True)).to_be_enabled(timeout=15_000)
        log_in(page, "ben")
        page.wait_for_url("**/d/circus/")


def test_door_without_a_name_or_a_password_asks_for_it(browser: Browser, daemon: Daemon) -> None:
    """Nothing is sent; and a browser knows what the fields are for."""
    with opened(browser, f"{origin(daemon)}/login") as page:
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_label("Name")).to_be_focused()
        expect(page.get_by_label("Name")).to_have_attribute("autocomplete", "username")
        expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
        page.get_by_label("Name").fill("ben")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Password")).to_be_focused()
    assert daemon.call("audit")["entries"][-1]["command"] != "login"


# --- what others can make a browser send --------------------------------------------------------------------------------


@contextmanager
def hostile_page(script: str) -> Iterator[str]:
    """A page of another origin of this machine, which does that."""
    text = f"<!doctype html><title>hostile</title><p id=done>at work</p><script>{script}</script>".encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_page_of_another_origin_does_nothing_with_a_browser_that_is_logged_in(
    browser: Browser, daemon: Daemon
) -> None:
    """Neither by fetch, nor by a form, nor over a WebSocket, with whatever type and credentials; nor does it read anything."""
    api_of = f"{origin(daemon)}/d/circus/api/v1"
    live = origin(daemon).replace("http", "ws") + "/d/circus/live/?EIO=4&transport=websocket"
    script = f"""
    const said = [];
    const note = (text) => said.push(text);
    const one = (path, more) => fetch('{api_of}/' + path, {{ credentials: 'include', ...more }})
      .then((a) => a.text()).then((t) => note('read ' + t), () => note('no'));
    const body = JSON.stringify({{ name: 'web' }});
    (async () => {{
      await one('list', {{}});
      await one('stop', {{ method: 'POST', body }});
      await one('stop', {{ method: 'POST', body, headers: {{ 'Content-Type': 'text/plain' }} }});
      await one('stop', {{ method: 'POST', body, headers: {{ 'Content-Type': 'application/json', 'X-CSRF-Token': 'x' }} }});
      await one('stop', {{ method: 'POST', body, mode: 'no-cors' }});
      await new Promise((done) => {{
        const s = new WebSocket('{live}');
        s.onopen = () => {{ note('read open'); done(); }};
        s.onerror = done;
      }});
      document.getElementById('done').textContent = said.join('; ');
    }})();
    """
    with at_people(browser, daemon, "ada") as page, hostile_page(script) as address:
        other = page.context.new_page()
        other.goto(address)
        expect(other.locator("#done")).not_to_have_text("at work")
        # What may be sent without asking is answered with a refusal that the page can't read.
        assert "read {" not in other.locator("#done").inner_text()
        assert "read open" not in other.locator("#done").inner_text()
        assert daemon.call("status", name="web")["status"] == "active"
        other.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer circus_" + "x" * 43},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \x7f"},
        {"Authorization": "Basic YWRhOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ=="},
        {"Authorization": "bearer"},
        {},
    ],
    ids=["unknown", "empty", "odd", "basic", "alone", "none"],
)
def test_what_is_no_token_gets_nothing(daemon: Daemon, headers: dict[str, str]) -> None:
    """401, in the one form of errors."""
    status, told_headers, told = api(daemon, "list", method="GET", **headers)
    assert (status, told["code"]) == (401, "no_session")
    assert told_headers["content-type"] == "application/problem+json"


def test_token_needs_no_proof_and_a_cookie_does(browser: Browser, daemon: Daemon) -> None:
    """No browser sends a token by itself; with a wrong one beside it, a good cookie does not count."""
    secret = daemon.call("addtoken", person="ada", token="ci", role="operator")["secret"]
    assert api(daemon, "stop", {"name": "web"}, Authorization=f"Bearer {secret}")[0] in (200, 202)
    with at_people(browser, daemon, "ada") as page:
        (cookie,) = page.context.cookies()
        csrf = page.evaluate("document.documentElement.dataset.csrf")
    sent = {"Cookie": f"circus_session={cookie['value']}"}
    assert api(daemon, "start", {"name": "web"}, **sent)[0] == 403
    assert api(daemon, "start", {"name": "web"}, **sent, X_CSRF_Token=csrf)[0] in (200, 202)
    wrong = {"Authorization": "Bearer circus_none-at-all"}
    assert api(daemon, "start", {"name": "web"}, **sent, X_CSRF_Token=csrf, **wrong)[0] == 401
