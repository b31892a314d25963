"""The console behind a real nginx, below a path, with TLS of its own, and at addresses that others can reach."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually
from tests.web.browser import opened
from tests.web.frontend import Nginx, location, make_certificate

PASSWORD = "correct-horse-battery"

INI = """
[circus]
httpd = 1
httpd_port = {port}
{more}
[watcher:web]
cmd = sh -c 'while true; do echo tick; sleep 0.2; done'
copy_env = true
"""


@contextmanager
def console(folder: Path, more: str = "") -> Iterator[tuple[Daemon, int]]:
    """A daemon with a console, and its port; ada is an admin."""
    port = free_port()
    with Daemon(INI.format(port=port, more=more), folder) as daemon:
        daemon.call("addperson", person="ada", role="admin", password=PASSWORD)
        yield daemon, port


def log_in(page: Page, origin: str, prefix: str = "") -> None:
    """By name and password, as a person does."""
    page.goto(f"{origin}{prefix}/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{prefix}/d/circus/")
    page.get_by_text("live", exact=True).wait_for(state="attached")


def ask(
    port: int, path: str, *, source: str = "127.0.0.1", method: str = "GET", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of one plain request from that address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json", **sent})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


# --- below a path -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "passed", "header"),
    [
        ("httpd_prefix = /tools/circus", "/", ""),
        ("httpd_prefix = /tools/circus", "", ""),
        ("httpd_trusted_proxies = 127.0.0.1", "/", "proxy_set_header X-Forwarded-Prefix /tools/circus;"),
    ],
    ids=["by option", "by option, with the path passed on", "by header"],
)
def test_console_works_below_a_path_behind_nginx(
    browser: Browser, tmp_path: Path, more: str, passed: str, header: str
) -> None:
    """Pages, files, WebSocket, commands, cookies and redirects: all of it below the path, and nothing beside it."""
    prefix = "/tools/circus"
    with (
        console(tmp_path, more) as (_, port),
        Nginx(location(port, prefix, passed=passed, more=header)) as nginx,
    ):
        with opened(browser, f"{nginx.origin}{prefix}/") as page:
            expect(page).to_have_url(f"{nginx.origin}{prefix}/login?next=/d/circus/")
            log_in(page, nginx.origin, prefix)
            (cookie,) = page.context.cookies()
            assert cookie["path"] == f"{prefix}/"
            expect(page.get_by_text("websocket", exact=True)).to_be_visible()
            page.locator('tr[data-watcher="web"]').get_by_role("link", name="web").click()
            expect(page).to_have_url(f"{nginx.origin}{prefix}/d/circus/w/web")
            expect(page.get_by_text("tick").first).to_be_visible()
            page.locator('button[data-what="stop"]').first.click()
            expect(page.get_by_text("stopped").first).to_be_visible()
            for part, heading in (("c/restart", "restart"), ("people/", "People and tokens")):
                page.goto(f"{nginx.origin}{prefix}/d/circus/{part}")
                expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
            page.goto(f"{nginx.origin}{prefix}/nowhere")
            expect(page.get_by_role("link", name="All watchers")).to_have_attribute("href", f"{prefix}/")
            page.goto(f"{nginx.origin}{prefix}/d/circus")
            expect(page).to_have_url(f"{nginx.origin}{prefix}/d/circus/")
            page.get_by_role("button", name="Log out").click()
            page.wait_for_url(f"{nginx.origin}{prefix}/login")
        asked = re.findall(r'"(?:GET|POST) (\S+) \S+" (\d+)', nginx.log)
        assert len(asked) > 20
        beside = [path for path, _ in asked if not path.startswith(prefix) and path != "/favicon.ico"]
        assert beside == []
        assert {status for path, status in asked if "/static/" in path} == {"200"}
        assert next(status for path, status in asked if "/live" in path and "websocket" in path) == "101"


def test_link_of_a_console_below_a_path_has_the_path(tmp_path: Path) -> None:
    """As it is printed it can be opened, also past the proxy."""
    with console(tmp_path, "httpd_prefix = /tools/circus/") as (daemon, port):
        link = daemon.call("weblink")["link"]
        assert link.startswith(f"http://127.0.0.1:{port}/tools/circus/login#token=") or "localhost" in link
        assert ask(port, "/tools/circus/login")[0] == 200
        assert 'data-prefix="/tools/circus"' in ask(port, "/login")[2]


# --- what proxies say ---------------------------------------------------------------------------------------------------


def test_only_a_trusted_proxy_is_believed(tmp_path: Path) -> None:
    """Where the browser is, the scheme and the path; what others say of that counts for nothing."""
    with console(tmp_path, "httpd_trusted_proxies = 127.0.0.2 10.0.0.0/8") as (daemon, port):
        said = {
            "X_Forwarded_For": "198.51.100.9, 192.0.2.7, 10.1.1.1",
            "X_Forwarded_Proto": "https",
            "X_Forwarded_Prefix": "/tools",
        }
        body = {"person": "ada", "password": PASSWORD}
        for source, address, cookie in (
            ("127.0.0.2", "192.0.2.7", "Path=/tools/; HttpOnly; SameSite=Strict; Expires=.*; Secure"),
            ("127.0.0.3", "127.0.0.3", "Path=/; HttpOnly; SameSite=Strict; Expires=[^;]*"),
        ):
            status, headers, _ = ask(port, "/login", source=source, method="POST", body=body, **said)
            assert status == 200
            assert re.fullmatch(rf"circus_session=[\w-]+; {cookie}", headers["set-cookie"])
            assert daemon.call("sessions")["sessions"][-1]["address"] == address
        wrong = {**said, "X_Forwarded_Prefix": "//evil.example/x", "X_Forwarded_For": "nonsense"}
        status, headers, text = ask(port, "/login", source="127.0.0.2", **wrong)
        assert status == 200
        assert 'data-prefix=""' in text


PROXY = "httpd_trusted_proxies = 127.0.0.2\nhttpd_proxy_header = X-Forwarded-User\n"


def whose(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r'data-(?:person|role)="([^"]*)"', text))


def test_trusted_proxy_names_the_person(tmp_path: Path) -> None:
    """With the rights of the account; nobody else can, and nobody without an account comes in."""
    with console(tmp_path, PROXY) as (daemon, port):
        daemon.call("addperson", person="bén", role="viewer", watchers="nothing*")

        def page(person: str, source: str = "127.0.0.2", **more: str) -> tuple[int, dict[str, str], str]:
            name = person.encode().decode("latin-1")
            return ask(port, "/d/circus/", source=source, X_Forwarded_User=name, **more)

        status, _, text = page("bén")
        assert (status, whose(text)) == (200, ("bén", "viewer"))
        assert whose(page("ada")[2]) == ("ada", "admin")
        assert page("ada", source="127.0.0.1")[0] == 303
        assert page("eve")[0] == 403
        # A role that comes from somewhere is not asked for: no option names its header.
        assert page("eve", X_Forwarded_Role="admin")[0] == 403
        # One of these is the browser's own.
        assert page("ada,eve")[0] == 403
        csrf = re.search(r'data-csrf="(\w+)"', text)
        assert csrf is not None
        reply = ask(
            port, "/d/circus/api/v1/list", source="127.0.0.2", method="POST", body={},
            X_Forwarded_User="bén".encode().decode("latin-1"), X_CSRF_Token=csrf[1],
        )  # fmt: skip
        assert json.loads(reply[2])["watchers"] == []
        # The browser sends nothing by itself that would not be checked: the proof is needed here too.
        assert ask(
            port, "/d/circus/api/v1/list", source="127.0.0.2", method="POST", body={}, X_Forwarded_User="ada"
        )[0] == 403  # fmt: skip
        people = {row["person"] for row in daemon.call("sessions")["sessions"]}
        assert people == {"ada", "bén"}
        daemon.ctl("setperson", "bén", "--disabled", "yes")
        eventually(lambda: page("bén")[0] in (303, 403), within=20)


def test_proxy_may_name_the_role_where_the_file_says_so(tmp_path: Path) -> None:
    """For people without an account; an account's own role wins, and a role that there is not is refused."""
    with console(tmp_path, f"{PROXY}httpd_proxy_role_header = X-Role\n") as (_, port):

        def page(person: str, role: str) -> tuple[int, tuple[str, ...]]:
            sent = {"X_Forwarded_User": person, **({"X_Role": role} if role else {})}
            status, _, text = ask(port, "/d/circus/", source="127.0.0.2", **sent)
            return status, whose(text)

        assert page("eve", "operator") == (200, ("eve", "operator"))
        assert page("ada", "viewer") == (200, ("ada", "admin"))
        assert page("eve", "root")[0] == 400
        assert page("eve", "")[0] == 403


def test_console_s_process_can_name_nobody_by_itself(tmp_path: Path) -> None:
    """Without the option circusd makes no session for a name, and at no other door with it."""
    with console(tmp_path) as (daemon, port):
        assert ask(port, "/d/circus/", X_Forwarded_User="ada")[0] == 303
        for command in ("admit", "login"):
            done = daemon.ctl("ping")
            assert done.returncode == 0
            with pytest.raises(Exception, match="console's process alone"):
                daemon.call(command, person="ada", password=PASSWORD)


def test_header_without_proxies_is_refused_at_the_start(tmp_path: Path) -> None:
    """Anybody could set it."""
    daemon = Daemon(INI.format(port=0, more="httpd_proxy_header = X-User"), tmp_path)
    done = subprocess.run(
        [daemon.program("circusd"), "--check", str(daemon.config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "httpd_trusted_proxies" in done.stdout + done.stderr


# --- TLS ----------------------------------------------------------------------------------------------------------------


def certificate_at(port: int) -> str:
    """What the console shows as its certificate."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def test_console_speaks_tls(browser: Browser, tmp_path: Path) -> None:
    """Cookies are for TLS alone, browsers are told to stay with it, the live connection works; a new certificate is shown
    after reloadconfig, and what is no TLS, or does not come to the end of its handshake, holds up nobody."""
    certificate, key = make_certificate(tmp_path)
    more = f"httpd_certificate = {certificate}\nhttpd_key = {key}"
    with console(tmp_path, more) as (daemon, port):
        origin = f"https://127.0.0.1:{port}"
        link = daemon.call("weblink")["link"]
        assert link.startswith("https://")
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        silent[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        context = browser.new_context(ignore_https_errors=True)
        try:
            page = context.new_page()
            with page.expect_response(f"{origin}/login") as answered:
                log_in(page, origin)
            assert "max-age=" in answered.value.headers["strict-transport-security"]
            (cookie,) = context.cookies()
            assert cookie["secure"]
            assert cookie["httpOnly"]
            expect(page.get_by_text("websocket", exact=True)).to_be_visible()
            before = certificate_at(port)
            make_certificate(tmp_path, "another")
            daemon.ctl("reloadconfig", "--waiting")
            eventually(lambda: certificate_at(port) != before, within=20)
            # By itself, as after any restart of the console.
            eventually(lambda: page.locator(".prompt .link").inner_text().strip() == "live", within=20)
        finally:
            context.close()
            for sock in silent:
                sock.close()


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It says which file, and what to type."""
    certificate, key = make_certificate(tmp_path)
    key.chmod(0o644)
    done = subprocess.run(
        [Daemon("", tmp_path).program("circushttpd"), "--certificate", str(certificate), "--key", str(key), "--port", "0"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"chmod 600 {key}" in done.stderr


# --- where others can reach it --------------------------------------------------------------------------------------------


def test_other_addresses_need_somebody_who_can_show_who_he_is(tmp_path: Path) -> None:
    """Without a password or token the console is not opened there and circusd says how; everything else runs."""
    port = free_port()
    with Daemon(INI.format(port=port, more="httpd_host = 0.0.0.0"), tmp_path) as daemon:
        assert daemon.pids("web")
        assert daemon.call("inspect")["daemon"]["httpd"] is None
        assert "circusctl addperson NAME --role admin" in daemon.log.read_text()
        done = daemon.ctl("weblink", check=False)
        assert done.returncode != 0
        assert "addperson" in done.stderr
        (warning,) = daemon.call("reloadconfig", waiting=True)["warnings"]
        assert "addperson" in warning
        daemon.call("addperson", person="ada", role="admin", password=PASSWORD)
        daemon.ctl("reloadconfig", "--waiting")
        eventually(lambda: ask(port, "/login")[0] == 200, within=20)
        daemon.ctl("rmperson", "ada")
        # It would be taken away: that is an error, and nothing changes.
        assert "addperson" in daemon.ctl("reloadconfig", "--waiting", check=False).stderr
        assert ask(port, "/login")[0] == 200


def test_loopback_needs_nobody(tmp_path: Path) -> None:
    """By every name of it."""
    for host in ("127.0.0.1", "localhost", "127.0.0.7"):
        folder = tmp_path / host
        folder.mkdir()
        with Daemon(INI.format(port=0, more=f"httpd_host = {host}"), folder) as daemon:
            assert daemon.call("inspect")["daemon"]["httpd"]
