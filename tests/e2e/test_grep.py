"""Searching what processes wrote: in memory and log files, by people and programs, bounded whatever is asked."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.client import Client
from circusd.kernel import proc
from circusd.schema.errors import CircusError, Refused
from tests.daemon import BIN, Daemon
from tests.waiting import eventually

WRITER = """
import sys, time
for number in range(3000):
    print("line", number, "of the log", flush=number % 500 == 499)
sys.stderr.write("Traceback: it broke\\n")
sys.stdout.write("\\x1b[31mred\\x1b[0m and \\x07 and " + "a" * 40 + "!\\n")
sys.stdout.buffer.write(b"no utf-8: \\xff\\xfe\\n")
sys.stdout.flush()
print("the last line", flush=True)
time.sleep(1000)
"""

CONFIGURATION = """
[circus]
history_bytes = 131072
[watcher:web]
cmd = {python} {folder}/writer.py
copy_env = true
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/logs/web.log
stdout_stream.max_bytes = 30000
stdout_stream.backup_count = 5
[watcher:worker]
cmd = sh -c 'echo line of the worker; exec sleep 1000'
copy_env = true
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Its watcher has written all that it will."""
    folder = tmp_path_factory.mktemp("grep")
    (folder / "logs").mkdir()
    (folder / "writer.py").write_text(WRITER)
    with Daemon(CONFIGURATION.format(python=sys.executable, folder=folder), folder) as running:
        eventually(
            lambda: "last line" in (folder / "logs" / "web.log").read_text("utf-8", "replace"), within=20
        )
        eventually(lambda: running.call("output", names=["worker"])["lines"], within=20)
        oldest = folder / "logs" / "web.log.2"
        status = oldest.stat()
        with gzip.open(f"{oldest}.gz", "wb") as packed:
            packed.write(oldest.read_bytes())
        os.utime(f"{oldest}.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
        oldest.unlink()
        yield running


def searchers(daemon: Daemon) -> list[int]:
    """The searching processes of that daemon."""
    found = []
    for name in Path("/proc").iterdir():
        if not name.name.isdecimal():
            continue
        try:
            words = (name / "cmdline").read_bytes().split(b"\0")
            parent = int((name / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == daemon.pid and b"circusd.cli.searcher" in words:
            found.append(int(name.name))
    return found


def test_what_is_found_is_printed_and_the_exit_code_is_that_of_grep(daemon: Daemon) -> None:
    """0 with a match, 1 without, 2 for an error; all of the files and the memory, oldest first."""
    done = daemon.ctl("grep", "--files", "line [0-9]*7 of", "web")
    assert done.stdout.splitlines() == [f"line {n} of the log" for n in range(7, 3000, 10)]
    assert not done.stderr
    assert daemon.ctl("grep", "no such thing", check=False).returncode == 1
    wrong = daemon.ctl("grep", "(", check=False)
    assert wrong.returncode == 2
    assert "pattern is wrong" in wrong.stderr
    assert daemon.ctl("grep", "x", "nobody", check=False).returncode == 2
    assert daemon.ctl("grep", "x", "--since", "noon-ish", check=False).returncode == 2
    assert daemon.ctl("grep", check=False).returncode == 2


def test_options_of_grep_do_what_they_do(daemon: Daemon) -> None:
    """Case, inversion, plain text, context with its separators, a limit, streams."""
    assert daemon.ctl("grep", "-i", "TRACEBACK", "web").stdout == "Traceback: it broke\n"
    assert daemon.ctl("grep", "--stream", "stdout", "Traceback", check=False).returncode == 1
    assert daemon.ctl("grep", "-v", "line", "web", "--stream", "stderr").stdout == "Traceback: it broke\n"
    assert daemon.ctl("grep", "-F", "[0-9]", "web", check=False).returncode == 1
    around = daemon.ctl("grep", "--files", "-C", "1", "line (10|20) ", "web").stdout.splitlines()
    assert around == [
        *(f"line {n} of the log" for n in (9, 10, 11)),
        "--",
        *(f"line {n} of the log" for n in (19, 20, 21)),
    ]
    last = daemon.ctl("grep", "-m", "2", "line", "web").stdout.splitlines()
    assert last == ["line 2999 of the log", "the last line"]
    first = daemon.ctl("grep", "-m", "2", "--order", "oldest", "--files", "line", "web").stdout.splitlines()
    assert first == ["line 0 of the log", "line 1 of the log"]


def test_lines_of_several_watchers_begin_with_whose_they_are(daemon: Daemon) -> None:
    """And with one watcher they don't."""
    found = daemon.ctl("grep", "of the").stdout
    assert "worker.1 | line of the worker" in found
    assert "web.1 | line 2999 of the log" in found


def test_a_line_can_do_nothing_to_a_terminal(daemon: Daemon) -> None:
    """Colours are left out on a pipe, controls and bytes that are no text are escaped; JSON is JSON."""
    shown = daemon.ctl("grep", "red and", "web").stdout
    assert shown.startswith("red and \\x07 and aaaa")
    assert daemon.ctl("grep", "no utf", "web").stdout == "no utf-8: \\xff\\xfe\n"
    (line,) = daemon.ctl("--json", "grep", "Traceback").stdout.splitlines()
    told = json.loads(line)
    assert (told["watcher"], told["stream"], told["match"]) == ("web", "stderr", True)
    colored = subprocess.run(
        [str(BIN / "circusctl"), "grep", "last", "web"],
        capture_output=True,
        text=True,
        env={**daemon.environ, "CLICOLOR_FORCE": "1"},
    ).stdout
    assert "\x1b[1;31mlast\x1b[0m" in colored


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x\\d{9}q", "((a*)*)*c"])
def test_a_pattern_that_never_ends_is_refused_and_hurts_nobody(daemon: Daemon, pattern: str) -> None:
    """Within the time for one look at the lines; the daemon answers meanwhile, and the process is gone afterwards."""
    with Client(daemon.endpoint, timeout=120) as client:
        asking = subprocess.Popen(
            [str(BIN / "circusctl"), "grep", pattern, "web"],
            env=daemon.environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            eventually(lambda: searchers(daemon) or asking.poll() is not None, within=60)
            assert client.call("ping")["pong"]
            _, told = asking.communicate(timeout=120)
        finally:
            asking.kill()
            asking.communicate()
    # Python's own engine knows some of them.
    assert asking.returncode in (1, 2), told
    if asking.returncode == 2:
        assert "takes too long" in told
    eventually(lambda: not searchers(daemon), within=20)


def put_aside(path: Path) -> Path:
    """A log file that takes a while to be searched, and has no line that matches."""
    with path.open("wb") as file:
        block = b"".join(b"%d nothing of interest is here, as everywhere\n" % n for n in range(20_000))
        for _ in range(300):
            file.write(block)
    os.utime(path, (1000, 1000))
    return path


@pytest.fixture
def endless(daemon: Daemon) -> Iterator[Path]:
    """Such a file of the daemon's watcher."""
    path = put_aside(daemon.folder / "logs" / "web.log.9")
    yield path
    path.unlink()


SLOW = "([a-z ]+){1,2}, as nowhere"
"""It takes minutes for all of such a file, and for what is read at once a tenth of the time that there is for it."""


def search(client: Client, **more: object) -> None:
    client.call("grep", {"pattern": SLOW, "name": "web", "files": True, **more}, timeout=600)


def test_a_search_is_listed_with_its_progress_and_can_be_cancelled(daemon: Daemon, endless: Path) -> None:
    """``jobs`` says how far it is, ``cancel`` ends its process at once, and who asked for it is told by whom."""
    asking = subprocess.Popen(
        [str(BIN / "circusctl"), "grep", "--files", SLOW, "web"],
        env=daemon.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: any(job["done"] > 0 for job in daemon.call("jobs")["jobs"]), within=60)
        (job,) = daemon.call("jobs")["jobs"]
        assert (job["command"], job["unit"]) == ("grep", "byte")
        assert job["total"] > endless.stat().st_size
        assert job["done"] < job["total"]
        assert daemon.call("status")["statuses"]["web"] == "active"
        daemon.ctl("cancel", str(job["id"]))
        eventually(lambda: not searchers(daemon), within=20)
        _, told = asking.communicate(timeout=60)
    finally:
        asking.kill()
        asking.communicate()
    assert "cancelled" in told
    assert asking.returncode == 2


def test_a_search_ends_with_its_client(daemon: Daemon, endless: Path) -> None:
    """Nothing of it is left when the one who asked is gone."""
    asking = subprocess.Popen([str(BIN / "circusctl"), "grep", "--files", SLOW, "web"], env=daemon.environ)
    try:
        eventually(lambda: searchers(daemon), within=60)
    finally:
        asking.send_signal(signal.SIGKILL)
        asking.wait()
    eventually(lambda: not searchers(daemon), within=20)
    assert not [job for job in daemon.call("jobs")["jobs"] if job["command"] == "grep"]


def test_a_client_has_two_searches_and_a_key_replaces_one(daemon: Daemon, endless: Path) -> None:
    """A third is refused; one with the key of an earlier one takes its place; a limit of 0 only ends it."""
    with Client(daemon.endpoint, timeout=600) as client:
        ended: list[str] = []

        def run(key: str) -> None:
            try:
                search(client, key=key)
                ended.append("found")
            except CircusError as problem:
                ended.append(str(problem))

        threads = [threading.Thread(target=run, args=(key,)) for key in ("a", "b")]
        for thread in threads:
            thread.start()
        eventually(lambda: len(searchers(daemon)) == 2, within=60)
        with pytest.raises(Refused, match="2 searches of yours"):
            search(client, key="c")
        threads.append(threading.Thread(target=run, args=("a",)))
        threads[-1].start()
        eventually(lambda: ended, within=60)
        assert "taken its place" in ended[0]
        for key in ("a", "b"):
            assert client.call("grep", {"limit": 0, "key": key})["lines"] == []
        for thread in threads:
            thread.join(60)
        assert len(ended) == 3
        assert all("taken its place" in text for text in ended)
    eventually(lambda: not searchers(daemon), within=20)


def test_a_file_that_may_not_be_read_is_told(daemon: Daemon) -> None:
    """With the reason, on standard error, beside what was found elsewhere."""
    link = daemon.folder / "logs" / "web.log.8"
    link.symlink_to("/etc/passwd")
    try:
        done = daemon.ctl("grep", "--files", "root|line 5 ", "web")
        assert done.stdout.splitlines() == ["line 5 of the log"]
        assert "web.log.8: not searched: it is a symbolic link" in done.stderr
    finally:
        link.unlink()


def test_a_file_that_others_write_to_as_well_is_read_for_nobody_alone(tmp_path: Path) -> None:
    """Lines do not say whose they are; who asks for all of them gets them."""
    both = (
        f"copy_env = true\nstdout_stream.class = FileStream\nstdout_stream.filename = {tmp_path}/both.log\n"
    )
    text = "".join(
        f"[watcher:{name}]\ncmd = sh -c 'echo it is {name}; exec sleep 1000'\n{both}" for name in ("a", "b")
    )
    (tmp_path / "both.log.1").write_text("it is long ago\n")
    with Daemon(text, tmp_path) as daemon:
        eventually(lambda: len(daemon.call("output", lines=9)["lines"]) == 2, within=20)
        one = daemon.call("grep", pattern="it is", name="a", files=True)
        assert [line["text"] for line in one["lines"]] == ["it is a"]
        assert "stdout of b" in one["unsearched"][0]["reason"]
        all_ = daemon.call("grep", pattern="it is", files=True)
        assert {line["text"] for line in all_["lines"]} == {"it is a", "it is b", "it is long ago"}
        assert len(all_["lines"]) == 3
        assert not all_["unsearched"]


def test_tail_goes_on_from_what_was_before(tmp_path: Path) -> None:
    """``-f`` with ``--since``: first what there is, then what comes, each line once."""
    code = "for i in $(seq 400); do echo line $i; sleep 0.01; done; exec sleep 1000"
    text = f"[watcher:web]\ncmd = sh -c '{code}'\ncopy_env = true\n"
    with Daemon(text, tmp_path) as daemon:
        eventually(lambda: daemon.call("output")["lines"], within=20)
        out = tmp_path / "shown"
        with out.open("w") as file:
            process = subprocess.Popen(
                [str(BIN / "circusctl"), "tail", "-f", "--since", "1 h ago", "web"],
                env=daemon.environ,
                stdout=file,
            )
        try:
            eventually(lambda: "line 400" in out.read_text(), within=60)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        assert [line.partition("| ")[2] for line in out.read_text().splitlines()] == [
            f"line {n}" for n in range(1, 401)
        ]


def test_ids_of_lines_lead_back_to_them(daemon: Daemon) -> None:
    """What is before and after a line by its id, over the border of memory and files; and around its time."""
    last = daemon.call("output", names=["web"], lines=1, stream="stdout")
    assert last["lines"][0]["text"] == "the last line"
    before = daemon.call(
        "output", names=["web"], before=last["lines"][0]["id"], lines=5, stream="stdout", files=True
    )
    assert [line["text"] for line in before["lines"]][:3] == [
        f"line {n} of the log" for n in (2997, 2998, 2999)
    ]
    after = daemon.call("output", names=["web"], after=before["lines"][2]["id"], lines=3, stream="stdout")
    assert len(after["lines"]) == 3
    assert after["lines"][-1]["text"] == "the last line"
    page = daemon.call("output", names=["web"], lines=5000, files=True, stream="stdout")
    assert len(page["lines"]) == 3003
    assert page["older"] is None
    around = daemon.call("output", names=["web"], around=str(time.time()), lines=10, stream="stdout")
    assert around["lines"][-1]["text"] == "the last line"
    for wrong in ("x", "1/2/3/4/5", last["lines"][0]["id"].replace("/1/", "/7/")):
        with pytest.raises(Refused):
            daemon.call("output", before=wrong)


def test_tail_shows_a_span_of_time_and_files(daemon: Daemon) -> None:
    """All of it, oldest first, where no number of lines is given."""
    shown = daemon.ctl(
        "tail", "--files", "--since", "1 h ago", "--stream", "stdout", "web"
    ).stdout.splitlines()
    assert [line.partition("| ")[2] for line in shown[:3000]] == [f"line {n} of the log" for n in range(3000)]
    assert len(daemon.ctl("tail", "--files", "-n", "7", "web").stdout.splitlines()) == 7
    assert daemon.ctl("tail", "--until", "yesterday", "web").stdout == ""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_no_searching_process_outlives_the_daemon(tmp_path: Path, signum: int) -> None:
    """Not even one that was killed."""
    log = tmp_path / "web.log"
    put_aside(tmp_path / "web.log.1")
    text = (
        f"[watcher:web]\ncmd = sleep 1000\nstdout_stream.class = FileStream\nstdout_stream.filename = {log}\n"
    )
    with Daemon(text, tmp_path) as daemon:
        (orphan,) = daemon.pids("web")
        asking = subprocess.Popen(
            [str(BIN / "circusctl"), "grep", "--files", SLOW, "web"],
            env=daemon.environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            pids = eventually(lambda: searchers(daemon), within=60)
            starts = {pid: proc.start_time(pid) for pid in pids}
            daemon.stop(signum)
            for pid, start in starts.items():
                eventually(lambda pid=pid, start=start: proc.start_time(pid) != start, within=20)
        finally:
            asking.wait(60)
            if signum == signal.SIGKILL:
                os.kill(orphan, signal.SIGKILL)
