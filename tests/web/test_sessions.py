"""Who comes in, and what a request has to prove."""

from __future__ import annotations

import json

import pytest

from circusd.schema.commands import COMMANDS
from circusweb import auth, tables
from tests.web.console import COOKIE, Console
from tests.web.staged import ADMIN, TOKEN, VIEWER, refused


def login(console: Console, token: str = TOKEN, **headers: str) -> tuple[int, str]:
    """Status and cookie of a login with a one-time token."""
    sent = {"Content-Type": "application/json", "Origin": console.origin, **headers}
    answer = console.ask(
        "POST", "/login", body=json.dumps({"token": token}).encode(), headers=sent, session=""
    )
    return answer.status, answer.headers.get("set-cookie", "")


def test_link_becomes_a_session(console: Console) -> None:
    """The token is redeemed by the daemon; the cookie is kept from scripts and from other sites."""
    status, cookie = login(console)
    assert status == 200
    assert cookie.startswith(f"{COOKIE}={ADMIN}; Path=/; HttpOnly; SameSite=Strict; Expires=")
    assert console.daemon.asked("redeem") == [{"token": TOKEN}]


def test_wrong_link_is_refused_with_its_reason(console: Console) -> None:
    """What the daemon says of a token reaches the person."""
    sent = {"Content-Type": "application/json"}
    answer = console.ask("POST", "/login", body=b'{"token": "used"}', headers=sent, session="")
    assert answer.status == 403
    assert "used already" in answer.json["detail"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_other_sites_can_not_log_anybody_in(console: Console, headers: dict[str, str]) -> None:
    """A form or a script of another site gets no session made."""
    status, cookie = login(console, **headers)
    assert status in (403, 415)
    assert cookie == ""
    assert console.daemon.asked("redeem") == []


def test_page_without_session_leads_to_the_door(console: Console) -> None:
    """Whoever has no session, or one that is over, is told how to get a link, and comes back to the page."""
    for session in ("", "session-of-nobody-at-all", "x" * 600, 'a";b'):
        answer = console.get("/d/stage/w/web", session=session)
        assert (answer.status, answer.headers["location"]) == (303, "/login?next=/d/stage/w/web")
    assert "circusctl weblink" in console.get("/login", session="").text


@pytest.mark.parametrize(
    "path", ["//evil.example/", "http://evil.example/", "/login", "/d/..//evil", "/d/x\\y", ""]
)
def test_door_leads_nowhere_else(console: Console, path: str) -> None:
    """After the login one stays here."""
    answer = console.get("/session?next=" + path)
    assert answer.json["next"].startswith("/d/")
    assert "evil" not in answer.json["next"] or answer.json["next"].startswith("/d/..//evil")


def test_session_tells_nothing_but_where_to_go(console: Console) -> None:
    """The address by which a page asks whether it is still let in."""
    assert console.get("/session").json == {"next": "/d/stage/"}
    assert console.get("/session", session="").json == {"next": None}


def test_page_carries_person_and_csrf_token(console: Console) -> None:
    """What the page needs is in it; the session itself is not."""
    text = console.get("/d/stage/").text
    assert 'data-person="ana"' in text
    assert 'data-role="admin"' in text
    assert auth.csrf_token(ADMIN) in text
    assert ADMIN not in text
    assert auth.csrf_token(ADMIN) != auth.csrf_token(VIEWER)


def test_unknown_daemon_is_not_found(console: Console) -> None:
    """Every address carries the daemon's name; another name is not this one."""
    answer = console.get("/d/other/", headers={"Accept": "text/html"})
    assert answer.status == 404
    assert "there is no daemon" in answer.text
    assert console.get("/d/other/api/v1/list").json["code"] == "not_found"


@pytest.mark.parametrize("csrf", ["", "0" * 64, auth.csrf_token(VIEWER), "\u00e4"])
def test_post_needs_the_token_of_its_session(console: Console, csrf: str) -> None:
    """A POST that our page has not sent changes nothing, for every command and for the logout."""
    for path in ("/d/stage/api/v1/stop", "/d/stage/api/v1/list", "/d/stage/check/stop", "/logout"):
        answer = console.post(path, {"name": "web"}, csrf=csrf)
        assert (answer.status, answer.json["code"]) == (403, "denied"), path
    assert console.daemon.asked("stop") == []
    assert console.daemon.asked("logout") == []


def test_post_from_another_site_is_refused(console: Console) -> None:
    """Even with the right token: it would have been stolen."""
    answer = console.post("/d/stage/api/v1/stop", {"name": "web"}, headers={"Origin": "http://evil.example"})
    assert answer.status == 403
    assert console.daemon.asked("stop") == []


def test_tables_hold_all_that_a_form_needs(console: Console) -> None:
    """Every command and every option of the tables, under the version of the page, to be kept; a command's test is not told."""
    version = console.get("/d/stage/").text.partition("/static/")[2].partition("/")[0]
    answer = console.get(f"/static/{version}/tables.json")
    assert "immutable" in answer.headers["cache-control"]
    assert [row["name"] for row in answer.json["commands"]] == [
        row.name for row in COMMANDS if row.where != "door"
    ]
    assert not [row for row in answer.json["commands"] if "case" in row]
    for kind, rows in tables.SECTIONS.items():
        told = {row["name"] for row in answer.json["sections"][kind]}
        assert told == {row.name for row in rows if not (row.legacy or row.file_only or row.pattern)}
    grouped = [name for _, names in tables.GROUPS for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= {row.name for rows in tables.SECTIONS.values() for row in rows}


def test_check_does_nothing(console: Console) -> None:
    """What is wrong is told by field, nothing goes to the daemon but who asks; without a session nothing is told."""
    answer = console.post(
        "/d/stage/check/set", {"name": "web", "options": {"max_age": "old", "stop_signal": "TERM"}}
    )
    assert list(answer.json["problems"]) == ["max_age"]
    assert {request["command"] for request in console.daemon.requests} <= {"whoami"}
    refused = console.post("/d/stage/check/set", {}, session="nobody", csrf="")
    assert (refused.status, refused.json["code"]) == (401, "no_session")
    assert console.post("/d/stage/check/follow", {}).status == 404


def test_page_of_an_unknown_command_names_the_nearest(console: Console) -> None:
    """Each command of the table has an address; another one is not found."""
    assert console.get("/d/stage/c/restart").status == 200
    answer = console.get("/d/stage/c/restrat", headers={"Accept": "text/html"})
    assert answer.status == 404
    assert "did you mean restart?" in answer.text
    assert console.get("/d/stage/c/follow").status == 404


def test_logout_ends_the_session(console: Console) -> None:
    """The daemon is told, and the cookie is gone."""
    answer = console.post("/logout")
    assert answer.status == 200
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert [row["session"] for row in console.daemon.requests if row["command"] == "logout"] == [ADMIN]


@pytest.mark.parametrize("is_there", [True, False])
def test_browser_forgets_the_session_also_where_the_daemon_does_not(
    own_console: Console, is_there: bool
) -> None:
    """The person is told that it went wrong, and this browser has no way in any more."""
    own_console.daemon.answers["logout"] = lambda p: refused("failed", "it may be back")
    csrf = auth.csrf_token(ADMIN)
    if not is_there:
        own_console.daemon.stop()
    answer = own_console.post("/logout", csrf=csrf)
    assert answer.status == (500 if is_there else 503)
    assert "Max-Age=0" in answer.headers["set-cookie"]
    if is_there:
        assert answer.json["detail"] == "it may be back"
    else:
        own_console.daemon.start()


def test_files_are_kept_under_their_version(console: Console) -> None:
    """A file's address changes with any file, so it may be kept for ever; under another version it is not kept."""
    page = console.get("/d/stage/").text
    address = page.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
    kept = console.get(address)
    assert kept.status == 200
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-type"].startswith("text/css")
    packed = console.get(address, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(kept.body) / 2
    assert console.get("/static/old/app.css").headers["cache-control"] == "no-store"
    for wrong in ("../setup.cfg", "%2e%2e/setup.cfg", "js", "vendor/STAMP", "__init__.py"):
        assert console.get(f"/static/old/{wrong}").status == 404, wrong


def test_daemon_that_is_gone_is_told(own_console: Console) -> None:
    """Without circusd the page says so and asks again by itself, and the API answers 503."""
    own_console.daemon.stop()
    page = own_console.get("/d/stage/", headers={"Accept": "text/html"})
    assert page.status == 503
    assert 'http-equiv="refresh"' in page.text
    answer = own_console.post("/d/stage/api/v1/list", csrf=auth.csrf_token(ADMIN))
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    own_console.daemon.start()


def test_cookie_takes_no_other_words() -> None:
    """A session that could break out of its header is never written."""
    with pytest.raises(ValueError, match="session"):
        auth.session_cookie("abcdefgh; Domain=evil", None, secure=False)
    assert auth.session_cookie("abcdefgh", None, secure=True).endswith("; Secure")
    assert auth.session_of({"HTTP_COOKIE": f'{COOKIE}="abcdefgh"; other=1'}) == "abcdefgh"
    assert auth.session_of({"HTTP_COOKIE": "\x00=;=;"}) == ""
