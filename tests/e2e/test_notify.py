"""The plugin notify beside a real circusd, with a real webhook and a real mail server."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from circusd.plugins import notify
from tests.daemon import Daemon
from tests.plugins import said, until_it_hears
from tests.ports import free_port
from tests.waiting import eventually

WEB = "[watcher:web]\ncmd = sh -c 'exec sleep 1000'\n"


class Webhook:
    """What has been posted."""

    def __init__(self) -> None:
        self.port = 0
        self.posted: list[dict[str, Any]] = []
        self.status = 200

    @property
    def text(self) -> str:
        """All messages."""
        return "\n".join(f"{one['title']}\n{one['message']}" for one in self.posted)


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status == 200:
                hook.posted.append(body)
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()


class Mailbox:
    """A mail server's side of aiosmtpd."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], email.message.EmailMessage]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (its name there)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, mail))
        return "250 OK"


def section(hook: Webhook, more: str = "") -> str:
    return f"[plugin:tell]\nuse = notify\nurls = json://127.0.0.1:{hook.port}/hook\ngather = 0.3\n{more}"


def kill(daemon: Daemon, name: str = "web") -> None:
    """The processes of the watcher die, and not because circusd wanted it."""
    for pid in eventually(lambda: daemon.pids(name)):
        os.kill(pid, signal.SIGSEGV)


def test_death_is_told_to_every_address(tmp_path: Path) -> None:
    """By mail and by a webhook; who, what and when; a commanded restart is told to nobody."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        with webhook() as hook:
            mail = f"mailto://127.0.0.1:{port}?from=circus@example.org&to=one@example.org,two@example.org"
            ini = f"[plugin:tell]\nuse = notify\nurls = {mail} json://127.0.0.1:{hook.port}\ngather = 0.3\n{WEB}"
            with Daemon(ini, tmp_path, args=("--name", "circus")) as daemon:
                until_it_hears(daemon, "tell")
                daemon.call("restart", name="web", waiting=True)
                kill(daemon)
                eventually(lambda: hook.posted and len(box.mails) == 2, within=30)
                assert "web: 1 was ended by SIGSEGV" in hook.text
                assert "SIGTERM" not in hook.text
                assert hook.posted[0]["type"] == "warning"
                recipients = sorted(to for tos, _ in box.mails for to in tos)
                assert recipients == ["one@example.org", "two@example.org"]
                body = box.mails[0][1].get_body(("plain", "html"))
                assert body is not None
                assert "web: 1 was ended by SIGSEGV" in body.get_content()
                assert box.mails[0][1]["Subject"].startswith("circus: ")
    finally:
        controller.stop(no_assert=True)


def test_templates_filters_and_levels(tmp_path: Path) -> None:
    """Only the watchers and events that were named, in the words that were given."""
    more = (
        "level = error\nevents = watcher.stopped daemon.reloaded\nwatchers = we*\nrepeat = 0\n"
        "title = [{level}] {count} on {daemon}\ntemplate = {number}|{event}|{watcher}|{text}\n"
    )
    with webhook() as hook:
        ini = section(hook, more) + WEB + WEB.replace("web", "other")
        with Daemon(ini, tmp_path) as daemon:
            until_it_hears(daemon, "tell")
            kill(daemon)
            daemon.call("stop", name="other", waiting=True)
            daemon.call("stop", name="web", waiting=True)
            eventually(lambda: hook.posted, within=20)
            (posted,) = hook.posted
            assert posted["title"] == "[info] 1 on circus"
            number, *rest = posted["message"].split("|")
            assert number.isdigit()
            assert rest == ["watcher.stopped", "web", "stopped"]


def test_flood_becomes_few_messages(tmp_path: Path) -> None:
    """Of a watcher that dies all the time, and one whose name is hostile: some messages, with the number of the rest."""
    with webhook() as hook:
        ini = section(hook, "rate = 2\nper = 4\nrepeat = 3\n") + (
            "[watcher:bad <b>{text}]\ncmd = sh -c 'exit 3'\nbackoff = 0.01\nbackoff_max = 0.01\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            eventually(lambda: "more times" in hook.text, within=30)
            deaths = [
                e for e in daemon.call("events", lines=2000)["events"] if e["event"] == "process.exited"
            ]
            assert len(deaths) > 10
            assert len(hook.posted) <= 4
            assert "bad <b>{text}: 1 exited with code 3" in hook.text


def test_service_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost meanwhile, what failed is said without the address, and the others are told at once."""
    site = tmp_path / "site"
    site.mkdir()
    # The plugin's process tries again after moments, not after minutes.
    site.joinpath("sitecustomize.py").write_text(
        "from circusd.plugins import notify\nnotify.TRY_AGAIN = (0.5, 0.5, 60.0)\n"
    )
    assert len(notify.TRY_AGAIN) == 3
    with webhook() as good, webhook() as bad:
        bad.status = 500
        ini = (
            f"[env:plugin:*]\nPYTHONPATH = {site}\n[plugin:tell]\nuse = notify\ngather = 0.2\nlevel = warning\n"
            f"urls = json://127.0.0.1:{good.port} json://user:pass-word@127.0.0.1:{bad.port}/token-4711\n{WEB}"
        )
        with Daemon(ini, tmp_path) as daemon:
            until_it_hears(daemon, "tell")
            kill(daemon)
            eventually(lambda: "json (address 2) could not be told" in said(daemon, "tell"), within=30)
            eventually(lambda: "tried again in 0.5 s" in said(daemon, "tell"))
            bad.status = 200
            eventually(lambda: bad.posted, within=30)
            assert bad.posted == good.posted
            text = said(daemon, "tell") + daemon.log.read_text() + str(daemon.call("plugins"))
            assert "pass-word" not in text
            assert "token-4711" not in text


def test_what_waits_is_sent_at_the_end(tmp_path: Path) -> None:
    """A stop does not swallow what was gathered."""
    with webhook() as hook:
        ini = section(hook, "level = error\nevents = daemon.stopping\ntemplate = {about}\n").replace(
            "gather = 0.3", "gather = 60"
        )
        with Daemon(ini, tmp_path) as daemon:
            until_it_hears(daemon, "tell")
        eventually(lambda: "circusd is stopping" in hook.text)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("urls = nonsense://host", "urls: address 1 (nonsense:…) is none that Apprise knows"),
        ("urls = json://h\ntemplate = {nobody}", "template: {nobody} is not known; known are time"),
        ("urls = json://h\ntitle = {count:>9}", "title: {count} is not known"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: str, told: str) -> None:
    """In one line, and without the address."""
    with Daemon(f"[plugin:tell]\nuse = notify\n{options}\n", tmp_path) as daemon:
        eventually(lambda: told in said(daemon, "tell"), within=30)
        assert "Traceback" not in said(daemon, "tell")
