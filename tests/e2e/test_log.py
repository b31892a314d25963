"""circusd's own log: where it goes, that it can be moved away, and a loggerconfig in place of both."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.daemon import Daemon
from tests.waiting import eventually

WEB = "[watcher:web]\ncmd = echo from-the-child\nrespawn = 0\n"
LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d circus\[\d+\] \[INFO\] circusd runs name=circus pid=\d+", re.M
)

INI = """\
[loggers]
keys = root, circus
[handlers]
keys = own, all
[formatters]
keys = short
[logger_root]
level = ERROR
handlers = all
[logger_circus]
level = INFO
qualname = circus
handlers = own
propagate = 0
[handler_own]
class = FileHandler
formatter = short
args = ({own!r},)
[handler_all]
class = FileHandler
args = ({all!r},)
[formatter_short]
format = %(levelname)s|%(name)s|%(message)s
"""


def mapping(own: Path) -> dict[str, object]:
    """The same as data."""
    return {
        "version": 1,
        "formatters": {"short": {"format": "%(levelname)s|%(name)s|%(message)s"}},
        "handlers": {"own": {"class": "logging.FileHandler", "filename": str(own), "formatter": "short"}},
        "loggers": {"circus": {"level": "INFO", "handlers": ["own"]}},
    }


def write(kind: str, folder: Path, own: Path) -> Path:
    """A loggerconfig of that kind."""
    file = folder / f"logging{kind}"
    if kind == ".ini":
        file.write_text(INI.format(own=str(own), all=str(folder / "all.log")))
    elif kind == ".json":
        file.write_text(json.dumps(mapping(own)))
    else:
        file.write_text(yaml.safe_dump(mapping(own)))
    return file


@pytest.mark.parametrize("kind", [".ini", ".json", ".yaml"])
def test_a_loggerconfig_rules_the_log(kind: str, tmp_path: Path) -> None:
    """Levels, handlers and format are the file's, under the original's name; the output of processes is as it was."""
    own = tmp_path / "own.log"
    config = write(kind, tmp_path, own)
    ini = f"[circus]\nloggerconfig = {config}\nlogoutput = {tmp_path}/not-this.log\n{WEB}"
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: "INFO|circus.daemon|circusd runs name=circus" in own.read_text())
        eventually(lambda: daemon.log.read_text() == "from-the-child\n")
        daemon.call("stop", name="web", waiting=True)
        eventually(lambda: re.search(r"^INFO\|circus\.controller\|command=stop ", own.read_text(), re.M))
        assert daemon.log.read_text() == "from-the-child\n"
    assert not (tmp_path / "not-this.log").exists()
    assert own.read_text().endswith("INFO|circus.daemon|circusd ends name=circus\n")


def test_the_flag_wins_over_the_file_and_default_means_none(tmp_path: Path) -> None:
    """--logger-config default: the log is as level and output say."""
    ini = f"[circus]\nloggerconfig = {tmp_path}/missing.ini\n{WEB}"
    with Daemon(ini, tmp_path, args=("--logger-config", "default")) as daemon:
        eventually(lambda: LINE.search(daemon.log.read_text()))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("missing.ini", None, "No such file or directory"),
        ("logging.conf", "x", "expected a file that ends in .ini, .json, .yaml, .yml, or default"),
        ("empty.ini", "", "there is no 'formatters'"),
        ("wrong.ini", "[loggers", "File contains no section headers"),
        ("broken.json", "{", "Expecting property name"),
        ("broken.yaml", "a: [", "while parsing"),
        ("list.json", "[]", "expected a mapping"),
        ("version.json", "{}", "doesn't specify a version"),
        (
            "handler.json",
            '{"version": 1, "handlers": {"h": {"class": "logging.FileHandler", "filename": "/missing/x/y"}}}',
            "Unable to configure handler 'h': [Errno 2] No such file or directory: '/missing/x/y'",
        ),
        (
            "class.json",
            '{"version": 1, "handlers": {"h": {"class": "no.such.Handler"}}}',
            "Unable to configure handler 'h'",
        ),
        (
            "ours.json",
            '{"version": 1, "handlers": {"h": {"class": "logging.NullHandler"}}, "loggers": {"circusd": {"handlers": ["h"]}}}',
            "it sets up the logger circusd; here it is named circus",
        ),
    ],
)
def test_a_wrong_loggerconfig_is_told_with_its_name(
    name: str, text: str | None, told: str, tmp_path: Path
) -> None:
    """circusd does not start, and says which file and what of it."""
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    daemon = Daemon(WEB, tmp_path)
    done = subprocess.run(
        [*daemon.command(), "--logger-config", str(file)],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"circusd: loggerconfig {file}: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    daemon.__exit__(None, None, None)


@pytest.mark.parametrize("kind", ["logoutput", "loggerconfig"])
def test_a_log_that_was_moved_away_is_written_anew_after_sigusr1(kind: str, tmp_path: Path) -> None:
    """Of circusd's own output and of a loggerconfig's handlers; the old file gets nothing more."""
    own, old = tmp_path / "own.log", tmp_path / "own.log.1"
    option = own if kind == "logoutput" else write(".json", tmp_path, own)
    with Daemon(f"[circus]\n{kind} = {option}\n{WEB}", tmp_path) as daemon:
        eventually(lambda: "circusd runs" in own.read_text())
        own.rename(old)
        os.kill(daemon.pid, signal.SIGUSR1)
        eventually(lambda: "signal=SIGUSR1" in own.read_text())
        before = old.read_text()
    assert "circusd runs" in before
    assert "SIGUSR1" not in before
    assert old.read_text() == before
    assert "circusd ends" in own.read_text()


def test_a_syslog_on_this_machine_gets_the_log(tmp_path: Path) -> None:
    """``syslog:///PATH?FACILITY``, as in the original."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(20)
        ini = f"[circus]\nlogoutput = syslog://{tmp_path}/log?daemon\n{WEB}"
        with Daemon(ini, tmp_path):
            _is_syslog(server.recv(8192), "daemon")


def test_a_syslog_by_udp_gets_the_log(tmp_path: Path) -> None:
    """``syslog://HOST:PORT?FACILITY``; user is the facility when none is named."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        ini = f"[circus]\nlogoutput = syslog://127.0.0.1:{server.getsockname()[1]}\n{WEB}"
        with Daemon(ini, tmp_path):
            _is_syslog(server.recv(8192), "user")


def _is_syslog(message: bytes, facility: str) -> None:
    """A line of the log, with severity info."""
    number = {"user": 1, "daemon": 3}[facility] * 8 + 6
    assert message.startswith(b"<%d>" % number)
    assert b"circus[" in message
    assert b"[INFO]" in message


def test_debug_logs_everything_and_shows_the_output_of_plugins(tmp_path: Path) -> None:
    """``debug = 1``: events and requests that only read stand in the log; a loglevel of the file is stronger."""
    (tmp_path / "loud.py").write_text(
        "from circusd.plugins import CircusPlugin\n"
        "class Loud(CircusPlugin):\n    name = 'loud'\n"
        "    def handle_init(self):\n        print('printed by the plugin', flush=True)\n"
    )
    plugin = "[plugin:loud]\nuse = loud.Loud\n"
    env = f"[env]\nPYTHONPATH = {tmp_path}\n"
    with Daemon(f"[circus]\ndebug = 1\n{WEB}{plugin}{env}", tmp_path) as daemon:
        eventually(lambda: "printed by the plugin" in daemon.log.read_text(), within=20)
        daemon.call("status")
        eventually(lambda: "[DEBUG] command=status" in daemon.log.read_text())
        assert re.search(r"\[DEBUG\] event=process\.started watcher='web' ", daemon.log.read_text())
        assert "--log-level debug" in " ".join(daemon.call("options", name="plugin:loud")["options"]["args"])
    daemon.log.unlink()
    with Daemon(f"[circus]\ndebug = 1\nloglevel = info\n{WEB}", tmp_path) as daemon:
        daemon.call("status")
    assert "circusd ends" in daemon.log.read_text()
    assert "[DEBUG]" not in daemon.log.read_text()
