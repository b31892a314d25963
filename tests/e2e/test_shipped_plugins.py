"""The shipped plugins that look after watchers, beside a real circusd, by the original's dotted names."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.plugins import Statsd, count, said, until_it_hears
from tests.ports import free_port
from tests.waiting import eventually


def script(path: Path, text: str) -> Path:
    """A program of that text, there at once and whole."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)
    return path


def test_changed_program_is_restarted(tmp_path: Path) -> None:
    """A program, a script behind its interpreter, and where a link leads; a command with arguments too, and nothing else."""
    shell = "#!/bin/sh\nexec sleep 1000\n"
    program = script(tmp_path / "program", shell)
    behind = script(tmp_path / "behind.py", "import time\ntime.sleep(1000)\n")
    script(tmp_path / "first", shell)
    script(tmp_path / "second", shell)
    (tmp_path / "link").symlink_to("first")
    ini = (
        "[plugin:reload]\nuse = circus.plugins.command_reloader.CommandReloader\nloop_rate = 0.2\n"
        f"[watcher:direct]\ncmd = {program} --with 'some arguments'\n"
        f"[watcher:script]\ncmd = {sys.executable} -u behind.py\nworking_dir = {tmp_path}\n"
        f"[watcher:link]\ncmd = {tmp_path}/link\n"
        f"[watcher:stopped]\ncmd = {program}\nautostart = false\n"
        "[watcher:other]\ncmd = sleep 1000\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        until_it_hears(daemon, "reload")

        def restarted(name: str, change: object) -> None:
            (before,) = daemon.pids(name)
            assert callable(change)
            # The plugin may have seen the file for the first time only after this change.
            eventually(
                lambda: change() is not None and daemon.pids(name) not in ([before], []),
                within=20,
                every=1.5,
                what=f"{name} is restarted",
            )

        restarted("direct", lambda: script(program, shell + "# changed\n"))
        restarted("script", lambda: script(behind, behind.read_text() + "# changed\n"))

        def elsewhere() -> bool:
            (tmp_path / "link").unlink()
            (tmp_path / "link").symlink_to("second")
            return True

        restarted("link", elsewhere)
        eventually(lambda: f"direct is restarted: {program} has changed" in said(daemon, "reload"))
        assert daemon.watcher("stopped")["status"] == "stopped"
        assert count(daemon, "other", "process.exited") == 0
        # A watcher that comes later is looked after too.
        late = script(tmp_path / "late", shell)
        daemon.call("add", name="late", cmd=str(late), start=True, waiting=True)
        restarted("late", lambda: script(late, late.read_text() + "#\n"))


BUSY = "while True: pass"


def test_greedy_watcher_is_restarted(tmp_path: Path) -> None:
    """Too much processor, too much memory; one within its limits is left alone; statsd is told."""
    with Statsd() as statsd:
        common = f"use = circus.plugins.resource_watcher.ResourceWatcher\nloop_rate = 0.3\nmax_count = 1\n{statsd.options()}"
        ini = (
            f"[plugin:cpu]\n{common}watcher = busy\nmax_cpu = 1\nhealth_threshold = 0\nmax_mem = 100\n"
            f"[plugin:memory]\n{common}service = fat\nmax_mem = 20M\nmax_cpu = 0\nhealth_threshold = 0\n"
            f"[plugin:fine]\n{common}watcher = fine\nmin_mem = 1K\nmax_mem = 50\n"
            f"[plugin:idle]\n{common}watcher = idle\nmin_mem = 500M\nmax_cpu = 0\nhealth_threshold = 0\n"
            f'[watcher:busy]\ncmd = {sys.executable} -c "{BUSY}"\n'
            f"[watcher:fat]\ncmd = {sys.executable} -c \"import time; x = b'x' * 60_000_000; time.sleep(1000)\"\n"
            "[watcher:fine]\ncmd = sleep 1000\n[watcher:idle]\ncmd = sleep 1000\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            for name in ("busy", "fat", "idle"):
                eventually(lambda name=name: count(daemon, name, "process.exited") > 0, within=30, what=name)
            assert count(daemon, "fine", "process.exited") == 0
            eventually(
                lambda: "fat is restarted: too much memory, 2 times in a row" in said(daemon, "memory")
            )
            eventually(lambda: "busy is restarted: too much processor" in said(daemon, "cpu"))
            for bucket in (
                "busy.over_cpu",
                "busy.restarting",
                "fat.over_memory",
                "idle.under_memory",
            ):
                message = f"circus.app.watcher._resource_watcher.{bucket}:1|c"
                eventually(lambda message=message: message in statsd.texts, what=message)


def test_greedy_child_is_signalled_and_no_other(tmp_path: Path) -> None:
    """The signal goes to the child that is over the limit; its parent and its sibling run on."""
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import subprocess, sys, time\n"
        f"busy = subprocess.Popen([sys.executable, '-c', {BUSY!r}])\n"
        "calm = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        f"open('{tmp_path}/children', 'w').write(f'{{busy.pid}} {{calm.pid}}')\n"
        f"open('{tmp_path}/ended', 'w').write(str(busy.wait()))\n"
        "time.sleep(1000)\n"
    )
    ini = (
        "[plugin:cpu]\nuse = resource_watcher\nwatcher = family\nloop_rate = 0.3\nmax_count = 1\nmax_cpu = 1\n"
        "health_threshold = 0\nprocess_children = 1\nchild_signal = USR1\n"
        f"[watcher:family]\ncmd = {sys.executable} {parent}\nstop_children = true\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: (tmp_path / "ended").read_text() == "-10", within=30)
        busy, calm = (tmp_path / "children").read_text().split()
        eventually(lambda: f"child {busy} of family gets signal 10" in said(daemon, "cpu"))
        assert Path(f"/proc/{calm}").exists()
        assert count(daemon, "family", "process.exited") == 0


def test_events_are_counted_and_loads_sent(tmp_path: Path) -> None:
    """The original's names; whatever a watcher is called, its name is one part of them."""
    with Statsd() as statsd:
        ini = (
            f"[plugin:events]\nuse = circus.plugins.statsd.StatsdEmitter\napplication_name = shop\n{statsd.options()}"
            f"[plugin:loads]\nuse = circus.plugins.statsd.FullStats\nloop_rate = 0.3\n{statsd.options()}"
            f"[plugin:tagged]\nuse = full_stats\nloop_rate = 0.3\n{statsd.options()}application_name = tagged\ndogstatsd = true\n"
            "dogstatsd_tags = env:prod, odd|#1\n"
            "[watcher:web]\ncmd = sleep 1000\nnumprocesses = 2\n"
            "[watcher:odd name:1|c]\ncmd = sleep 1000\n[watcher:down]\ncmd = sleep 1000\nautostart = false\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            until_it_hears(daemon, "events", "loads")
            daemon.call("restart", name="web", waiting=True)
            daemon.call("restart", name="odd name:1|c", waiting=True)
            for name in ("web", "odd_name_1_c"):
                for event in ("start", "spawn", "kill", "reap"):
                    message = f"circus.shop.watcher.{name}.{event}:1|c"
                    eventually(lambda message=message: message in statsd.texts, what=message)
            head = "circus.app.watcher._stats."
            for message in (f"{head}web.watchers_num:2|g", f"{head}down.watchers_num:0|g"):
                eventually(lambda message=message: message in statsd.texts, what=message, within=10)
            tagged = "circus.tagged.watcher._stats.watchers_num:{}|g|#watcher:{},env:prod,odd_1"
            for message in (tagged.format(2, "web"), tagged.format(1, "odd_name:1_c")):
                eventually(lambda message=message: message in statsd.texts, what=message, within=10)
            names = {text.partition(":")[0] for text in statsd.texts}
            for key in ("cpu_max", "cpu_sum", "mem_pct_max", "mem_pct_sum", "mem_max", "mem_sum"):
                assert f"{head}web.{key}" in names
                assert f"{head}down.{key}" not in names
            assert not [name for name in names if name.startswith(f"{head}plugin")]


def test_statsd_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    """The plugin goes on."""
    ini = "[plugin:loads]\nuse = full_stats\nloop_rate = 0.1\nhost = no.such.host.invalid\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        eventually(
            lambda: "nothing reaches statsd at no.such.host.invalid:8125" in said(daemon, "loads"), within=20
        )
        asked = daemon.call("daemon")["counters"]
        eventually(lambda: daemon.call("daemon")["counters"] != asked)
        assert said(daemon, "loads").count("\n") == 0
        assert daemon.pids("plugin:loads")


BEATS = """
import os, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while os.path.exists(sys.argv[2]) or not os.environ["CIRCUS_WID"] == "2":
    sock.sendto(f"{os.getpid()};{time.time()}".encode(), ("127.0.0.1", int(sys.argv[1])))
    time.sleep(0.05)
time.sleep(1000)
"""


def test_silent_process_is_ended(tmp_path: Path) -> None:
    """Those that beat are spared, also the sibling; what is not looked after may be silent; garbage does no harm."""
    port = free_port()
    beats = tmp_path / "beats.py"
    beats.write_text(BEATS)
    flag = tmp_path / "flag"
    flag.touch()
    ini = (
        f"[plugin:dog]\nuse = circus.plugins.watchdog.WatchDog\nloop_rate = 0.5\nmax_count = 3\nport = {port}\n"
        "watchers_regex = ^we\nwatchers_stop_signal = USR1\nwatchers_graceful_timeout = 3\n"
        f"[watcher:web]\ncmd = {sys.executable} {beats} {port} {flag}\nnumprocesses = 2\n[watcher:other]\ncmd = sleep 1000\n"
    )
    with Daemon(ini, tmp_path) as daemon:
        until_it_hears(daemon, "dog")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in (
                b"",
                b"\xff\xfe;x",
                b";",
                b"9" * 900 + b";1",
                os.urandom(60_000),
                b"-1;2",
                b"1;" + b"\0" * 500,
            ):
                sock.sendto(datagram, ("127.0.0.1", port))
        rows = {row["wid"]: row["pid"] for row in daemon.watcher("web")["processes"]}
        flag.unlink()
        eventually(lambda: rows[2] not in daemon.pids("web"), within=20)
        eventually(lambda: f"web: process {rows[2]} sends no heartbeat and is ended" in said(daemon, "dog"))
        assert rows[1] in daemon.pids("web")
        events = daemon.call("events", lines=2000)["events"]
        (exited,) = [e for e in events if e["event"] == "process.exited" and e.get("pid") == rows[2]]
        assert exited["signal"] == 10
        assert count(daemon, "other", "process.exited") == 0
        assert count(daemon, "plugin:dog", "process.exited") == 0


def test_watchdog_that_can_not_listen_ends_nothing(tmp_path: Path) -> None:
    """A deaf one would take all for silent: it says why it does not run, and is tried again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ini = f"[plugin:dog]\nuse = watchdog\nloop_rate = 0.1\nmax_count = 1\nport = {port}\n[watcher:web]\ncmd = sleep 1000\n"
        with Daemon(ini, tmp_path) as daemon:
            told = f"circus-plugin: watchdog: can't listen at UDP 127.0.0.1:{port}"
            eventually(lambda: said(daemon, "dog").count(told) >= 2, within=20)
            assert count(daemon, "web", "process.exited") == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("use = my.own.Plugin\n", "there is no module named my"),
        ("use = raises.Early\n", "ZeroDivisionError"),
        ("use = raises.Late\n", "RuntimeError: too late"),
    ],
)
def test_plugin_that_fails_is_tried_again_ever_more_slowly(tmp_path: Path, options: str, told: str) -> None:
    """It says why; circusd and the rest run on."""
    tmp_path.joinpath("raises.py").write_text(
        "from circus.plugins import CircusPlugin\n"
        "class Early(CircusPlugin):\n    def __init__(self, *args, **config):\n        1 / 0\n"
        "class Late(CircusPlugin):\n    def handle_init(self):\n        raise RuntimeError('too late')\n"
    )
    ini = f"[plugin:bad]\n{options}working_dir = {tmp_path}\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: told in said(daemon, "bad"), within=20)
        eventually(lambda: count(daemon, "plugin:bad", "process.backoff") >= 3, within=20)
        events = [e for e in daemon.call("events", lines=2000)["events"] if e["event"] == "process.backoff"]
        assert events[2]["delay"] > events[0]["delay"]
        assert count(daemon, "web", "process.exited") == 0
