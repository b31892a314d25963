"""The demo runs from wherever it lies, and shows each state that a person should see."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """The demo in a folder of its own, without the console, started from another folder."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("*.log*"))
    text = (folder / "demo" / "circus.ini").read_text()
    assert "\nhttpd = 1\n" in text
    daemon = Daemon("", folder)
    daemon.config = folder / "demo" / "circus.ini"
    daemon.config.write_text(text.replace("\nhttpd = 1\n", "\nhttpd = 0\n"))
    with daemon:
        yield daemon


def lines(demo: Daemon, name: str) -> list[str]:
    found: list[dict[str, Any]] = demo.call("output", names=[name], lines=500)["lines"]
    return [line["text"] for line in found]


def test_everything_is_as_the_file_says(demo: Daemon) -> None:
    """All run but the one that is started by hand, and the one that can't."""
    shown = {w["name"]: w for w in demo.call("inspect")["watchers"]}
    assert set(shown) == {"web", "visitors", "worker", "flaky", "ticker", "backup"}
    assert [len(demo.pids(name)) for name in ("web", "visitors", "worker", "ticker")] == [3, 1, 2, 1]
    assert shown["backup"]["status"] == "stopped"
    eventually(lambda: demo.watcher("flaky")["state"] == "backoff", within=15)
    assert demo.watcher("flaky")["processes"][0]["exit"]["code"] == 3


def test_logs_are_lively_and_of_many_kinds(demo: Daemon) -> None:
    """Coloured requests, JSON with levels, a tick each second, errors; in the history and in files."""
    eventually(lambda: any("GET" in line and "\x1b[32m200" in line for line in lines(demo, "web")), within=20)
    eventually(lambda: lines(demo, "worker"), within=10)
    assert json.loads(lines(demo, "worker")[0])["level"] == "info"
    eventually(lambda: len(lines(demo, "ticker")) >= 2, within=10)
    eventually(lambda: any("connection refused" in line for line in lines(demo, "flaky")), within=10)
    logs = demo.config.parent / "logs"
    eventually(lambda: "GET" in (logs / "web.log").read_text(), within=10)


def test_web_application_answers(demo: Daemon) -> None:
    """A person can look at it at the port that the console shows."""
    (web,) = demo.call("listsockets")["sockets"]
    with urllib.request.urlopen(f"http://127.0.0.1:{web['port']}/place/Oslo", timeout=10) as reply:
        assert b"degrees" in reply.read()


def test_terminal_stays_calm(demo: Daemon) -> None:
    """What the programs print does not push the console's address off the screen."""
    eventually(lambda: len(lines(demo, "ticker")) >= 2, within=10)
    assert "GET" not in demo.log.read_text()
    assert len(demo.log.read_text().splitlines()) < 40


def test_stop_is_quick_and_in_order(demo: Daemon) -> None:
    """The workers end what they are doing."""
    demo.call("stop", name="worker", waiting=True)
    assert any('"worker ends in order"' in line for line in lines(demo, "worker"))
