"""Output as a file: streamed page by page, with a name that is safe, for who has a session."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from circusd.client import Client
from tests.daemon import Daemon
from tests.e2e.test_grep import searchers
from tests.ports import free_port
from tests.waiting import eventually
from tests.web.console import Console
from tests.web.staged import VIEWER, refused


def line(number: int, text: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": f"e/{number}/1/stdout/web",
        "watcher": "web",
        "wid": 1,
        "pid": 100,
        "stream": "stdout",
        "number": number,
        "time": 1_700_000_000 + number,
        "text": text or f"line {number}",
        **more,
    }


def page(*numbers: int, newer: str = "", **more: Any) -> dict[str, Any]:
    return {
        "status": "ok",
        "lines": [line(n) for n in numbers],
        "more": bool(newer),
        "newer": newer or "end",
        "older": None,
        "unsearched": [],
        "notes": [],
        "complete": True,
        **more,
    }


def test_a_download_is_all_pages_in_their_order(console: Console) -> None:
    """Each is asked for by the cursor of the one before."""
    pages = {None: page(1, 2, newer="b"), "b": page(3, newer="c"), "c": page(4)}
    console.daemon.answers["output"] = lambda p: pages[p.get("cursor")]
    answer = console.get("/d/stage/download/web?files=1&since=yesterday&stream=stdout")
    assert answer.status == 200
    assert answer.text == "line 1\nline 2\nline 3\nline 4\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (
        answer.headers["content-disposition"] == "attachment; filename=\"web.log\"; filename*=UTF-8''web.log"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    first, second, third = console.daemon.asked("output")
    assert {k: first[k] for k in ("names", "files", "since", "stream", "order", "match")} == {
        "names": ["web"],
        "files": True,
        "since": "yesterday",
        "stream": "stdout",
        "order": "oldest",
        "match": "simple",
    }
    assert (second["cursor"], third["cursor"]) == ("b", "c")


def test_what_matches_can_be_downloaded_as_json_lines(console: Console) -> None:
    """With the parameters of grep; what could not be read is a line of its own."""
    unread = [{"file": "/var/log/web.log.1", "reason": "permission denied"}]
    console.daemon.answers["grep"] = lambda p: page(7, unsearched=unread)
    answer = console.get("/d/stage/download/web?pattern=a.b&ignore_case=true&before=2&format=jsonl")
    lines = [json.loads(text) for text in answer.text.splitlines()]
    assert lines[0]["number"] == 7
    assert lines[1] == {"error": "/var/log/web.log.1 was not read: permission denied"}
    assert answer.headers["content-type"] == "application/x-ndjson"
    (asked, *_) = console.daemon.asked("grep")
    assert (asked["pattern"], asked["ignore_case"], asked["before"], asked["name"]) == ("a.b", True, 2, "web")


def test_a_prefix_tells_time_process_and_stream(console: Console) -> None:
    """Where a file has not told them, a question mark stands for it."""
    lines = [line(1), line(2, time=None, wid=None, stream=None)]
    console.daemon.answers["output"] = lambda p: page(lines=lines)
    assert console.get("/d/stage/download/web?prefix=1").text.splitlines() == [
        "2023-11-14T22:13:21.000Z web.1 stdout line 1",
        "- web.? ? line 2",
    ]


@pytest.mark.parametrize("text", ["a b", "null", "[1]", '"', "1e999"])
def test_a_text_is_searched_as_it_stands(console: Console, text: str) -> None:
    """Whatever it would be as JSON."""
    console.daemon.answers["grep"] = lambda p: page(7)
    assert console.get(f"/d/stage/download/web?files=true&text={quote(text)}").status == 200
    assert console.daemon.asked("grep")[0]["text"] == text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("format=exe", "format must be"),
        ("format=text&format=jsonl", "format is there twice"),
        ("cmd=rm", "no property 'cmd'"),
        ("limit=1", "no property 'limit'"),
        ("stream=stdin", "stream must be one of stdout, stderr"),
        ("files=perhaps", "no value for files"),
        ("pattern=x&before=many", "no value for before"),
    ],
)
def test_a_wrong_parameter_is_refused(console: Console, query: str, told: str) -> None:
    """With what would be right, and nothing is asked of the daemon."""
    answer = console.get(f"/d/stage/download/web?{query}")
    assert answer.status == 400
    assert told in answer.json["detail"]
    assert not console.daemon.asked("output") + console.daemon.asked("grep")


def test_what_the_daemon_refuses_has_its_status(console: Console) -> None:
    """As long as nothing was sent; afterwards the last line says it."""
    console.daemon.answers["output"] = lambda p: refused("not_found", "program web not found")
    assert console.get("/d/stage/download/web").status == 404
    assert console.get("/d/stage/download/web", session="").status == 401
    console.daemon.answers["output"] = lambda p: (
        refused("conflict", "circusd is stopping") if p.get("cursor") else page(1, newer="b")
    )
    shown = console.get("/d/stage/download/web").text.splitlines()
    assert shown == ["line 1", "circus: the download ends early: circusd is stopping"]


def test_a_token_downloads_as_a_session_does(console: Console) -> None:
    """A program shows a token and no cookie; where both are there, the token counts."""
    console.daemon.answers["output"] = lambda p: page(1)
    path = "/d/stage/download/web"
    assert console.get(path, session="", headers={"Authorization": f"Bearer {VIEWER}"}).text == "line 1\n"
    assert console.daemon.requests[-1]["session"] == VIEWER
    assert console.get(path, headers={"Authorization": "Bearer nobodys-token"}).status == 401
    without = console.get(path, session="")
    assert (without.status, without.headers["www-authenticate"]) == (401, 'Bearer realm="circus"')


@pytest.mark.parametrize(
    ("watcher", "plain"),
    [
        ("a%09Set-Cookie: x", "a_Set-Cookie_x"),
        ("..%2F..%2Fetc%2Fpasswd", "etc_passwd"),
        ("%22%3B x=%22", "x"),
        ("%D1%84%D0%B0%D0%B9%D0%BB", "output"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_file_name_is_harmless(console: Console, watcher: str, plain: str) -> None:
    """Whatever the watcher is called."""
    console.daemon.answers["output"] = lambda p: page(1)
    answer = console.get(f"/d/stage/download/{watcher.replace(' ', '%20')}")
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    told = answer.headers["content-disposition"]
    assert f'filename="{plain}.log"' in told
    assert "/" not in told.partition("filename*=")[2].replace("UTF-8''", "")
    assert told.count('"') == 2


def test_a_long_download_holds_one_page_and_ends_with_its_reader(console: Console) -> None:
    """No further page is asked for when nobody reads."""
    console.daemon.answers["grep"] = lambda p: (
        page() if p.get("limit") == 0 else page(newer="x", lines=[line(n, "z" * 1000) for n in range(1000)])
    )
    connection = console.connect()
    connection.request(
        "GET", "/d/stage/download/web?pattern=z", headers={"Cookie": f"circus_session={console.session}"}
    )
    response = connection.getresponse()
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert len(response.read(3_000_000)) == 3_000_000
    response.close()
    connection.close()
    eventually(lambda: any(p.get("limit") == 0 for p in console.daemon.asked("grep")), within=20)
    keys = {p["key"] for p in console.daemon.asked("grep")}
    assert len(keys) == 1


WRITER = """
import sys, time
for number in range(20_000):
    print("line", number, "of the log" + " \\u00e9" * (number % 7 == 0), flush=number % 1000 == 999)
time.sleep(1000)
"""

INI = """
[circus]
httpd = 1
httpd_host = 127.0.0.1
httpd_port = {port}
history_bytes = 131072

[watcher:web]
cmd = {python} {folder}/writer.py
copy_env = true
env.PYTHONIOENCODING = utf-8
stdout_stream.filename = {folder}/web.log
stdout_stream.max_bytes = 100000
stdout_stream.backup_count = 10
"""


def test_the_whole_log_comes_through_the_real_daemon(tmp_path: Path) -> None:
    """Memory and files, compressed ones too, each line once and in order; and what matches of it."""
    (tmp_path / "writer.py").write_text(WRITER)
    port = free_port()
    with Daemon(INI.format(port=port, python=sys.executable, folder=tmp_path), tmp_path) as daemon:
        eventually(lambda: "line 19999 " in (tmp_path / "web.log").read_text(), within=30)
        oldest = tmp_path / "web.log.3"
        Path(f"{oldest}.gz").write_bytes(gzip.compress(oldest.read_bytes()))
        oldest.unlink()
        token = daemon.call("weblink", role="viewer")["link"].partition("#token=")[2]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        cookies: list[str] = []

        def logged_in() -> bool:
            sent = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
            connection.request("POST", "/login", json.dumps({"token": token}), sent)
            response = connection.getresponse()
            response.read()
            cookies.append(response.headers.get("Set-Cookie", "").partition(";")[0])
            return response.status == 200

        def get(path: str) -> str:
            connection.request("GET", path, headers={"Cookie": cookies[-1]})
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, body
            return body

        eventually(logged_in, within=30, what="the console takes the link")
        base = "/d/circus/download/web"
        wanted = [f"line {n} of the log" + " é" * (n % 7 == 0) for n in range(20_000)]
        assert get(f"{base}?files=true").splitlines() == wanted
        assert get(f"{base}?files=true&pattern=77%20of").splitlines() == [t for t in wanted if "77 of" in t]
        rows = [json.loads(text) for text in get(f"{base}?files=1&pattern=9999&format=jsonl").splitlines()]
        assert [row["text"] for row in rows] == [wanted[9999], wanted[19999]]
        connection.close()
        eventually(lambda: not searchers(daemon), within=20)


def test_pages_of_one_search_are_made_by_one_process_that_goes_on(tmp_path: Path) -> None:
    """A compressed file is unpacked once for all of them; what was asked for in between changes nothing; a key ends it."""
    (tmp_path / "writer.py").write_text(WRITER)
    ini = INI.replace("httpd = 1", "httpd = 0")
    with Daemon(ini.format(port=0, python=sys.executable, folder=tmp_path), tmp_path) as daemon:
        eventually(lambda: "line 19999 " in (tmp_path / "web.log").read_text(), within=30)
        whole = b"".join(b"old %d %d\n" % (n, n * n * 7919) for n in range(60_000))
        packed = tmp_path / "web.log.9.gz"
        packed.write_bytes(gzip.compress(whole))
        os.utime(packed, (1000, 1000))
        asked = {"names": ["web"], "files": True, "order": "oldest", "lines": 5000}
        with Client(daemon.endpoint, timeout=60) as client:
            lines, read, cursor, pids = [], 0, None, set()
            for _ in range(12):
                reply = client.call(
                    "output", {**asked, "key": "one", **({"cursor": cursor} if cursor else {})}
                )
                lines += [line["text"] for line in reply["lines"]]
                read += reply["searched"]["bytes"]
                cursor = reply["newer"]
                pids |= set(searchers(daemon))
            assert lines == whole.decode().splitlines()
            assert len(pids) == 1
            # The last page has begun with the next file.
            assert read <= packed.stat().st_size + 110_000
            for number in range(6):
                client.call("output", {**asked, "key": f"other {number}"})
            # One that is ended takes a moment for it.
            eventually(lambda: len(searchers(daemon)) == 4)
            assert pids.isdisjoint(searchers(daemon))
            # Its process is gone, and it goes on nevertheless.
            reply = client.call("output", {**asked, "key": "one", "cursor": cursor})
            assert [line["text"] for line in reply["lines"]][:1] == ["line 0 of the log é"]
            assert client.call("grep", {"limit": 0, "key": "one"})["lines"] == []
            eventually(lambda: len(searchers(daemon)) == 3)
        # The others waited for a client that is gone.
        eventually(lambda: not searchers(daemon))
