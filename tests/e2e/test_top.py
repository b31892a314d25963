"""circus-top in a real terminal, with a real circusd: what is seen, what keys do, and that the terminal is given back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import BIN, Daemon
from tests.scripted import ScriptedDaemon, scripted_daemon
from tests.waiting import eventually
from tests.window import Window

INI = """
[circus]
[watcher:web]
cmd = sh -c 'trap "echo got HUP" HUP; echo ready; while :; do sleep 0.1; done'
numprocesses = 2
tags = front
[watcher:nest]
cmd = sh -c 'sleep 1000 & wait'
stop_children = True
[watcher:ill]
cmd = sh -c 'exit 3'
max_retry = 0
[watcher:off]
cmd = sleep 1000
autostart = False
"""

GIVEN_BACK = b"\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(INI, tmp_path_factory.mktemp("top")) as running:
        yield running


def environment(environ: dict[str, str], **more: str) -> dict[str, str]:
    dropped = ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES")
    return {**{k: v for k, v in environ.items() if k not in dropped}, "TERM": "xterm", **more}


def top(daemon: Daemon, *words: str, columns: int = 80, lines: int = 24, **more: str) -> Window:
    """circus-top in a window."""
    environ = environment(daemon.environ, **more)
    return Window([str(BIN / "circus-top"), *words], environ, columns=columns, lines=lines)


def printed(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """circus-top on a pipe."""
    return subprocess.run(
        [str(BIN / "circus-top"), *words],
        env=environment(daemon.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- what is seen --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (40, 12), (80, 24), (120, 40), (300, 100)])
def test_the_table_fits_the_terminal(daemon: Daemon, columns: int, lines: int) -> None:
    """From 40 to 300 columns and 10 to 100 rows: head, table, and the keys on the last line."""
    with top(daemon, columns=columns, lines=lines) as window:
        window.see(r"nest +(\d/\d +)?active")
        window.see(r"^\? help  q quit[^\n]*\Z")
        assert re.search(r"^WATCHER +(PID +)?STATE +CPU%▼", window.text, re.MULTILINE)
        assert re.search(r"(RSS|AGE|LINES/s|RESTARTS|COMMAND)$", window.text, re.MULTILINE), (
            "the last column is whole"
        )
        window.press("q")
        assert window.until_over() == 0


def test_a_new_size_is_filled(daemon: Daemon) -> None:
    """When the window grows or shrinks, the page has the new size at once."""
    with top(daemon, columns=40, lines=12) as window:
        window.see(r"^WATCHER +STATE +CPU%▼ +RSS$")
        window.resize(120, 30)
        window.see(r"^WATCHER +PID +STATE +CPU%▼ +LATELY +RSS +AGE")
        window.see(r"^\? help[^\n]*\Z")
        window.resize(50, 14)
        window.see(r"^WATCHER +PID STATE +CPU%▼ +RSS$")


def test_views_go_from_watchers_to_what_is_below(daemon: Daemon) -> None:
    """t leads from processes to the tree below them, to processes alone, and to watchers alone."""
    with top(daemon, columns=100) as window:
        window.see(r"^▾ nest .*\n    1 +\d+ +running")
        window.press("t")
        window.see(r"^  ▾ 1 +\d+ +running")
        window.see(r"^    └─ sleep 1000 +\d+")
        window.press("t")
        window.see(r"^web 2 +\d+ +running")
        window.press("t")
        window.see(r"^▸ web +2/2 +active")
        window.see_no(r"^    1 ")


def test_rows_are_opened_and_folded(daemon: Daemon) -> None:
    """The left arrow folds what is selected, the right one opens it."""
    with top(daemon, "--sort", "name") as window:
        window.see(r"^▾ web")
        window.press("/web\r\x1b[B\x1b[D")
        window.see(r"^▸ web")
        window.see_no(r"^    1 ")
        window.press("\x1b[C")
        window.see(r"^▾ web.*\n    1 +\d+")


def test_a_filter_leaves_what_has_its_words(daemon: Daemon) -> None:
    """Names, states, pids and tags; Escape brings back what was there."""
    with top(daemon) as window:
        window.see("web")
        window.press("/@front act")
        window.see_no("nest")
        window.see(r"^▾ web")
        window.press("\r")
        window.see(r"^filter: @front act")
        window.press("\x1b")
        window.see("nest")
        pid = daemon.pids("nest")[0]
        window.press(f"/{pid}")
        window.see_no(r"^▾ web")
        window.see(rf"^    1 +{pid}")
        window.press("\x1b")
        window.see(r"^▾ web")


def test_what_needs_somebody_can_be_seen_alone(daemon: Daemon) -> None:
    """! hides what is well."""
    with top(daemon, columns=160) as window:
        window.see("web")
        window.press("!")
        window.see_no(r"^. web")
        window.see(r"ill +0/1 +(failed|backoff)")


def test_the_order_is_chosen(daemon: Daemon) -> None:
    """By a key, by the list, and turned round."""
    with top(daemon, "--sort", "name") as window:
        window.see(r"^WATCHER▼(.*\n)+..ill(.*\n)+..nest(.*\n)+..off(.*\n)+..web")
        window.press("R")
        window.see(r"^WATCHER▲(.*\n)+..web(.*\n)+..off(.*\n)+..nest(.*\n)+..ill")
        window.press("o")
        window.see("What comes first")
        window.press("sta\r")
        window.see(r"STATE▼(.*\n)..ill")


def test_figures_are_of_one_processor_or_of_all(daemon: Daemon) -> None:
    """% changes between them, and says so."""
    with top(daemon, columns=100) as window:
        window.see(r"CPU [\d.]+ % of \d+ %")
        window.press("%")
        window.see(r"CPU in per cent of all processors")
        window.see(r"CPU [\d.]+ % of \d+ processor")


def test_the_help_tells_all_keys(daemon: Daemon) -> None:
    """It is scrolled where it does not fit, and left with Escape."""
    with top(daemon) as window:
        window.see("web")
        window.press("?")
        window.see(r"^Keys$")
        window.press("\x1b[F")
        window.see(r"RESTARTS: in the last hour")
        window.press("\x1b")
        window.see(r"^▾ web")


def test_one_watcher_is_shown_in_full(daemon: Daemon) -> None:
    """Enter: why it is so, its processes, what has happened, and its last lines."""
    with top(daemon, columns=100, lines=40) as window:
        window.see("web")
        window.press("/web\r\x1b[B\r")
        window.see(r"^web  active$")
        window.see(r"^All 2 processes run")
        window.see(r"^ +1 +\d+ +running")
        window.see(r"^web\.1 \| ready")
        window.see(r"started, pid \d+")
        window.press("r")
        window.see(r"^Restart web\? 2 processes")
        window.press("n")
        window.see(r"^esc back .* r restart  x stop")


def test_colours_only_where_they_are_wanted(daemon: Daemon) -> None:
    """With NO_COLOR no colour is drawn; what is chosen is seen all the same."""
    with top(daemon) as window:
        window.see("web")
        assert re.search(rb"\x1b\[3[0-7]m", window.drawn)
    with top(daemon, NO_COLOR="1") as window:
        window.see("web")
        window.press("\x1b[B")
        eventually(lambda: window._take(0.1) and b"\x1b[7m" in window.drawn, within=20)
        assert not re.search(rb"\x1b\[(\d+;)*3[0-7]m", window.drawn)


# --- what is done --------------------------------------------------------------------------------------------------


def choose(window: Window, name: str) -> None:
    """The watcher of that name is selected."""
    window.see(rf"^. {name}")
    window.press(f"/{name}\r\x1b[B")
    window.see(rf"^filter: {name}")


def test_a_restart_is_asked_for_first(daemon: Daemon) -> None:
    """Anything but y leaves everything as it is; y restarts, and what came of it is told."""
    before = daemon.pids("web")
    with top(daemon) as window:
        choose(window, "web")
        window.press("r")
        window.see(r"^Restart web\? 2 processes will be stopped, then started again\.")
        window.press("n")
        window.see_no("Restart web")
        assert daemon.pids("web") == before
        window.press("ry")
        window.see(r"^restart web: 2 started, 2 stopped")
    assert not set(daemon.pids("web")) & set(before)


def test_one_process_is_restarted(daemon: Daemon) -> None:
    """With a process selected, the others of its watcher stay."""
    before = daemon.pids("web")
    with top(daemon) as window:
        choose(window, "web")
        window.press("\x1b[B")
        window.press("r")
        pid = int(window.see(r"^Restart web \d \(pid (\d+)\)\?")[1])
        window.press("y")
        window.see(rf"^restart web \d \(pid {pid}\): done")
        eventually(lambda: len(daemon.pids("web")) == 2, within=20, what="there are two again")
    assert set(before) - set(daemon.pids("web")) == {pid}
    assert len(set(before) & set(daemon.pids("web"))) == 1


def test_a_watcher_is_stopped_and_started(daemon: Daemon) -> None:
    """x asks, s does not: nothing is lost by a start."""
    with top(daemon) as window:
        choose(window, "nest")
        window.press("x")
        window.see(r"^Stop nest\? 1 process will be stopped, and stay so\.")
        window.press("y")
        window.see(r"^. nest +0/1 stopped")
        window.press("s")
        window.see(r"^start nest: 1 started")
        window.see(r"^▾ nest +1/1 active")


def test_there_is_one_more_or_one_fewer(daemon: Daemon) -> None:
    """+ does it at once, also with a process selected; - asks, as a process ends."""
    with top(daemon) as window:
        choose(window, "nest")
        window.press("+")
        window.see(r"^one process more of nest: 2 wanted now")
        window.see(r"^▾ nest +2/2 active")
        window.press("\x1b[B-")
        window.see(r"^One process fewer of nest\? The oldest one is stopped\. It is to have 1")
        window.press("y")
        window.see(r"^one process fewer of nest: 1 wanted now")
        window.see(r"^▾ nest +1/1 active")


def test_something_is_done_to_several_after_one_question(daemon: Daemon) -> None:
    """Space marks, the question says how many and who, Esc marks nothing any more; what came of it is told in one line."""
    before = {name: daemon.pids(name) for name in ("web", "nest")}
    with top(daemon, "--sort", "name", columns=100) as window:
        window.see(r"^▾ web")
        window.press("/nest\r\x1b[H /\x15web\r\x1b[H ")
        window.see(r"^✓ ▾ web")
        window.see(r"^marked: 2 watchers, 1 not shown here, filter: web \(esc: none\)")
        window.press("r")
        window.see(r"^Restart 2 watchers: nest, web\? 3 processes run now\.")
        window.press("n")
        window.see(r"^marked: 2 watchers")
        window.press("ry")
        window.see(r"^restart 2 watchers: 3 started, 3 stopped")
        window.see_no("marked")
        # A question is withdrawn when what it is about is another.
        for pid in daemon.pids("web"):
            window.see(rf"^    \d +{pid} +running")
        window.press("\x1b[H  ")
        window.see(r"^marked: 1 watcher and 1 process")
        window.press("k")
        window.see(r"^Send a signal to 1 watcher: web\? Which one\?")
        window.press("cont\r")
        window.see(r"^SIGCONT to 1 watcher: done")
        window.press("\x1b[H ")
        window.see("marked")
        window.press("\x1b")
        window.see_no("marked")
    for name, pids in before.items():
        assert len(daemon.pids(name)) == len(pids)
        assert not set(daemon.pids(name)) & set(pids)


def test_a_signal_is_chosen_from_a_list(daemon: Daemon) -> None:
    """It goes to the processes of the watcher."""
    with top(daemon) as window:
        choose(window, "web")
        window.press("k")
        window.see(r"^Send a signal to web, 2 running: which one\?")
        window.press("hup\r")
        window.see(r"^SIGHUP to web: done")
    heard = lambda: daemon.ctl("tail", "web", "-n", "20").stdout.count("got HUP") == 2  # noqa: E731
    eventually(heard, within=20, what="both have got it")


def test_what_is_meant_stays_the_same_when_rows_move(daemon: Daemon) -> None:
    """The selection is a watcher or a process, not a place: another order does not change whom a key means."""
    with top(daemon, "--sort", "name") as window:
        window.see(r"^▾ web")
        window.press("\x1b[F")
        window.press("R")
        window.see(r"^WATCHER▲")
        window.press("r")
        window.see(r"^Restart web 2 \(pid \d+\)\?")
        window.press("\x1b")
        window.see_no("Restart web")


def test_what_is_pasted_does_nothing(daemon: Daemon) -> None:
    """A row of letters that would be keys is no row of keys when it is pasted."""
    before = daemon.pids("web")
    with top(daemon) as window:
        choose(window, "web")
        window.press("\x1b[200~xyryq\x1b[201~")
        window.see("what is pasted goes nowhere here")
    assert daemon.pids("web") == before


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("q", 0),
        ("\x03", 0),
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGQUIT, 131),
        (signal.SIGINT, 0),
    ],
)
def test_the_terminal_is_given_back(daemon: Daemon, end: str | int, code: int) -> None:
    """However it is ended, the terminal is as it was."""
    with top(daemon) as window:
        before = window.modes
        window.see("web")
        assert window.modes != before
        if isinstance(end, str):
            window.press(end)
        else:
            window.process.send_signal(end)
        assert window.until_over() == code
        assert window.drawn.rstrip().endswith(GIVEN_BACK)
        assert window.modes == before


CRASH = """
import sys
from circusd.cli import toplive, top
def broken(self, width, height): raise RuntimeError("a fault")
toplive.Live._lines = broken
sys.exit(top.main([]))
"""


def test_the_terminal_is_given_back_after_a_fault_of_ours(daemon: Daemon) -> None:
    """The traceback is written where it can be read."""
    environ = environment(daemon.environ)
    with Window([sys.executable, "-c", CRASH], environ) as window:
        before = window.modes
        assert window.until_over() == 1
        assert GIVEN_BACK in window.drawn
        assert b"a fault" in window.drawn.partition(GIVEN_BACK)[2]
        assert window.modes == before


def test_it_can_be_put_aside(daemon: Daemon) -> None:
    """Ctrl-Z gives the terminal to the shell, fg takes it again, and it goes on."""
    environ = environment(daemon.environ, PS1="$ ", PATH=f"{BIN}:{os.environ['PATH']}")
    with Window(["bash", "--norc", "-i"], environ) as window:
        window.see(r"^\$")
        window.press("circus-top\r")
        window.see(r"^▾ web")
        window.press("\x1a")
        window.see(r"Stopped +circus-top")
        assert GIVEN_BACK in window.drawn
        window.press("stty -a | grep -c ' -icanon'; echo over\r")
        window.see(r"^0\nover")
        window.forget()
        window.press("fg\r")
        window.see(r"^▾ web")
        window.see(r"^\? help")
        window.forget()
        window.press("q")
        window.see(r"^\$")
        window.press("exit\r")
        assert window.until_over() == 0


def test_a_daemon_that_is_gone_comes_back(tmp_path: Path) -> None:
    """That is said, with the figures of before; when it is there again, so are the figures, by themselves."""
    first = Daemon(INI, tmp_path)
    first.start()
    try:
        window = top(first, columns=100)
    finally:
        # Whatever goes wrong, it has ended below.
        started = first
    with window:
        try:
            window.see(r"^▾ web")
        finally:
            started.stop()
        window.see(r"figures are .* old\. The daemon is gone")
        window.see(r"^▾ web")
        with Daemon(INI, tmp_path, runtime=first.runtime):
            window.see_no(r"The daemon is gone")
            window.see(r"^▾ web +2/2")
            window.see(r"up \d+ s")


def test_no_daemon_is_an_error_and_no_screen(tmp_path: Path) -> None:
    """It is told in a line, and nothing is drawn."""
    environ = environment({**os.environ, "CIRCUS_RUNTIME_DIR": str(tmp_path)})
    environ.pop("CIRCUSCTL_ENDPOINT", None)
    with Window([str(BIN / "circus-top"), "--name", "nobody"], environ) as window:
        assert window.until_over() == 1
        assert "no daemon named 'nobody' runs" in window.text
        assert b"\x1b[?1049h" not in window.drawn


# --- on a pipe -----------------------------------------------------------------------------------------------------


def test_a_pipe_gets_columns_that_are_always_the_same(daemon: Daemon) -> None:
    """-b -n 2 prints two tables with the same header; every line has all columns, and the name is the rest of it."""
    done = printed(daemon, "-b", "-n", "2", "-d", "1")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().split("\n\n")
    for text in (first, second):
        about, header, *rows = text.split("\n")
        assert re.match(r"# circus on .*, up .*, watchers 4, processes \d", about), about
        assert header.split() == ["PID", "WID", "STATE", "CPU%", "RSS", "AGE", "NAME"]
        found = [row.split(None, 6) for row in rows]
        assert {len(row) for row in found} == {7}
        assert {row[6] for row in found} == {"web", "nest", "ill", "off"}
        assert {row[0] for row in found if row[6] == "web"} == {"-", *map(str, daemon.pids("web"))}
    assert "\x1b" not in done.stdout


def test_tables_can_be_had_as_json(daemon: Daemon) -> None:
    """One object on a line for each table."""
    lines = printed(daemon, "--json", "-n", "2").stdout.splitlines()
    assert len(lines) == 2
    told: dict[str, Any] = json.loads(lines[1])
    (web,) = (one for one in told["watchers"] if one["name"] == "web")
    assert {process["pid"] for process in web["processes"]} == set(daemon.pids("web"))
    assert web["state"] == "active" and web["rss"] == sum(one["rss"] for one in web["processes"]) > 0
    assert told["daemon"]["rss"] > 0


def test_batches_end_with_who_reads_them(daemon: Daemon) -> None:
    """`circus-top -b | head -1` ends, quietly."""
    command = f"{BIN / 'circus-top'} -b | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=environment(daemon.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("# circus on ")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sort", "colour"), "--sort: 'colour' is not one of cpu, mem, name"),
        (("-n", "0"), "--iterations: '0' is not a number of tables"),
        (("-d", "soon"), "--delay needs a number of seconds"),
        (("--nope",), "unrecognized arguments: --nope"),
        (("-d",), "--delay needs a value"),
    ],
)
def test_wrong_options_are_told(daemon: Daemon, words: tuple[str, ...], told: str) -> None:
    """With exit code 2."""
    done = printed(daemon, *words)
    assert done.returncode == 2
    assert told in done.stderr


# --- before a daemon that says what a test wants ---------------------------------------------------------------------

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "line\nbreak\r\x08\x7f",
    "\u202eright to left\u2066",
    "日本語の名前 " * 40,
    "e" + "\u0301" * 5000,
    "x" * 100_000,
    "\ud800 half",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
)


def view(name: str, count: int = 1, first: int = 100) -> dict[str, Any]:
    """A watcher as ``inspect`` shows it."""
    slots = [
        {"wid": i + 1, "pid": first + i, "state": "running", "started": 40.0, "reason": name}
        for i in range(count)
    ]
    return {
        "name": name,
        "state": "running",
        "status": "active",
        "detail": name,
        "explain": name,
        "cmd": name,
        "tags": [name],
        "numprocesses": count,
        "processes": slots,
    }


def scripted(watchers: list[dict[str, Any]], role: str = "admin", lead: str = "All is well") -> Any:
    """Answers of a daemon with these watchers."""
    daemon = {"time": 100.0, "name": lead, "host": lead, "started": 40.0, "cores": 2}
    snapshot = {
        "daemon": daemon,
        "watchers": watchers,
        "lead": {"level": "needs", "title": lead, "text": lead},
    }
    loads = {
        one["name"]: {
            "cpu": 1.0,
            "rss": 1 << 20,
            "processes": {str(s["wid"]): [1.0, 1 << 20] for s in one["processes"]},
        }
        for one in watchers
    }

    def answer(request: dict[str, Any]) -> Any:
        if request["command"] == "follow":
            pushes = [
                ("state.", {"snapshot": snapshot}),
                ("load.", {"time": 101.0, "watchers": loads, "daemon": {}}),
            ]
            return [{}, *[{"push": topic, "data": data} for topic, data in pushes]]
        if request["command"] == "whoami":
            return {"person": "somebody", "role": role}
        if request["command"] == "tree":
            return {"watchers": {}, "left_out": 7}
        return {}

    return answer


def before(daemon: ScriptedDaemon, *words: str, columns: int = 80, lines: int = 24) -> Window:
    environ = environment({**os.environ, "CIRCUSCTL_ENDPOINT": daemon.endpoint})
    return Window([str(BIN / "circus-top"), *words], environ, columns=columns, lines=lines)


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_nothing_from_outside_commands_the_terminal(tmp_path: Path, columns: int) -> None:
    """Names, texts and commands of any kind: what they hold is shown, nothing is obeyed, and rows stay rows."""
    watchers = [view(name, first=100 + i) for i, name in enumerate(HOSTILE)]
    with (
        scripted_daemon(tmp_path, scripted(watchers, lead="".join(HOSTILE[:3]))) as daemon,
        before(daemon, columns=columns, lines=40) as window,
    ):
        window.see(r"^\? help")
        window.see(r"\\x1b\]0;")
        for keys in ("t", "t", "t", "\x1b[B\r", "\x1b", "r", "n", "k", "\x1b"):
            window.press(keys)
        window.press("?")
        window.see(r"^Keys")
        window.press("qq")
        assert window.until_over() == 0, "all that it draws has come"
        text = window.drawn.decode()
        # Nothing but what draws: places, colours, erased lines, and the modes of the screen itself.
        rest = re.sub(r"\x1b\[(\d+;\d+H|[\d;]*m|2?[JK]|\?\d+[hl])", "", text)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest), rest[:500]
        assert window.screen.title == ""


def test_many_watchers_cost_what_is_seen(tmp_path: Path) -> None:
    """500 watchers with 2,000 processes: what is drawn is a page, and the last line tells how much more there is."""
    watchers = [view(f"w{i:03}", 4, 10_000 + 4 * i) for i in range(500)]
    with scripted_daemon(tmp_path, scripted(watchers)) as daemon, before(daemon) as window:
        window.see(r"500 watchers, 2000 processes")
        window.see(r"^… 24\d\d more")
        size = len(window.drawn)
        assert size < 20_000
        window.press("\x1b[F")
        window.see(r"^    4 +11999")
        assert len(window.drawn) - size < 20_000


def test_a_flood_of_keys_is_survived(tmp_path: Path) -> None:
    """However many come at once, with however many rows: those that nobody can have meant are passed over."""
    watchers = [view(f"w{i:03}", 4, 10_000 + 4 * i) for i in range(500)]
    with scripted_daemon(tmp_path, scripted(watchers)) as daemon, before(daemon) as window:
        window.see(r"^… 24\d\d more")
        window.press("cmtR" * 500)

        def is_left() -> bool:
            # The key may be among those that are passed over.
            if window.process.poll() is None:
                window.press("q")
                window._take(0.2)
            return window.process.poll() == 0

        eventually(is_left, within=30, what="q leaves it")


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    """A daemon without a watcher has an empty table, and keys that mean a row say what is missing."""
    with scripted_daemon(tmp_path, scripted([])) as daemon, before(daemon) as window:
        window.see(r"^no watchers$")
        window.press("\x1b[B\x1b[F\rr")
        window.see(r"choose a row first")


def test_who_may_only_look_is_offered_nothing_else(tmp_path: Path) -> None:
    """The keys are not told to a viewer, and say why they do nothing."""
    with scripted_daemon(tmp_path, scripted([view("web")], "viewer")) as daemon, before(daemon) as window:
        window.see(r"^▾ web")
        window.press("\x1b[B")
        window.see(r"^\? help  q quit  enter details")
        assert "restart" not in window.lines[-1]
        window.press("x")
        window.see(r"^stop is for the role operator; you have viewer")
        assert not daemon.asked("stop")
