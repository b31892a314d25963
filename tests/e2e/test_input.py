"""Text for the standard input of processes: in order, bounded, never waited for, and in no log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.schema.errors import CircusError
from tests.daemon import Daemon
from tests.waiting import eventually

SECRET = "open sesame 4711"
INI = """
[watcher:echo]
cmd = sh -c 'while read -r line; do echo "$$ got $line"; done; echo "$$ ends"; exec sleep 1000'
numprocesses = 2
stdin_pipe = true
copy_env = true
graceful_timeout = 2

[watcher:deaf]
cmd = sleep 1000
stdin_pipe = true

[watcher:sink]
cmd = sh -c 'cat > {folder}/sunk; touch {folder}/over; exec sleep 1000'
stdin_pipe = true
copy_env = true

[watcher:shut]
cmd = sh -c 'exec <&-; touch {folder}/shut; exec sleep 1000'
stdin_pipe = true
copy_env = true

[watcher:plain]
cmd = sleep 1000
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("input")
    with Daemon(INI.format(folder=folder), folder) as running:
        yield running


def lines(daemon: Daemon, name: str) -> list[str]:
    return [line["text"] for line in daemon.call("output", names=[name], lines=200)["lines"]]


def refusal(daemon: Daemon, **properties: object) -> str:
    with pytest.raises(CircusError) as caught:
        daemon.call("input", **properties)
    assert caught.value.code == "conflict"
    return str(caught.value)


def test_text_reaches_all_processes_or_one_and_the_end_of_input_too(daemon: Daemon) -> None:
    """As lines, in order; after the end nothing more can be sent, and a new process has a pipe of its own."""
    first, second = daemon.pids("echo")
    assert daemon.call("input", name="echo", text=SECRET)["sent"] == [first, second]
    daemon.ctl("input", "echo", "only one", "--pid", str(second), "--waiting")
    daemon.call("input", name="echo", text="in ", bare=True)
    daemon.call("input", name="ECHO", text="pieces ✓", eof=True, waiting=True)
    eventually(lambda: {f"{first} ends", f"{second} ends"} <= set(lines(daemon, "echo")))
    said = lines(daemon, "echo")
    assert [line for line in said if line.startswith(f"{first} ")] == [
        f"{first} got {SECRET}", f"{first} got in pieces ✓", f"{first} ends",
    ]  # fmt: skip
    assert f"{second} got only one" in said
    assert f"{first} got only one" not in said
    assert "the end of its input was sent" in refusal(daemon, name="echo", text="more")
    assert {p["stdin"] for p in daemon.watcher("echo")["processes"]} == {"closed"}
    daemon.call("kill", name="echo", pid=first, waiting=True)
    (third,) = (pid for pid in daemon.pids("echo") if pid not in (first, second))
    daemon.call("input", name="echo", pid=third, text="anew")
    eventually(lambda: f"{third} got anew" in lines(daemon, "echo"))


def test_one_that_does_not_read_holds_nobody_up_and_takes_no_more_than_its_queue(daemon: Daemon) -> None:
    """What does not fit is refused whole, with how much waits; who waits for it is told when the process ends."""
    piece = "x" * 60_000
    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    for _ in range(8):
        try:
            daemon.call("input", name="deaf", text=piece, bare=True)
        except CircusError as problem:
            told = str(problem)
            break
    assert "process 1 of deaf does not read what it is sent" in told
    assert "65536 may" in told
    assert daemon.call("ping")["pong"]
    waits = subprocess.Popen(
        [daemon.program("circusctl"), "input", "deaf", "y", "--waiting"],
        env=daemon.environ,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: [job for job in daemon.call("jobs")["jobs"] if job["command"] == "input"])
    daemon.call("restart", name="deaf", waiting=True)
    _, stderr = waits.communicate(timeout=20)
    assert waits.returncode != 0
    assert b"process 1 of deaf: " in stderr
    assert daemon.call("input", name="deaf", text="z", waiting=True)["bytes"] == 2
    eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before)


def test_standard_input_of_circusctl_goes_on_as_fast_as_it_is_taken(daemon: Daemon) -> None:
    """All of it, more than the queue holds, and its end; what is no text is refused."""
    text = "".join(f"line {number} ä€\n" for number in range(60_000))
    subprocess.run(
        [daemon.program("circusctl"), "input", "sink", "-", "--eof"],
        input=text.encode(),
        env=daemon.environ,
        check=True,
        timeout=60,
    )
    eventually(lambda: (daemon.folder / "over").exists())
    assert (daemon.folder / "sunk").read_text() == text
    binary = subprocess.run(
        [daemon.program("circusctl"), "input", "deaf", "-"],
        input=b"\xff\xfe",
        env=daemon.environ,
        capture_output=True,
        timeout=20,
    )
    assert binary.returncode != 0 and b"only text in UTF-8" in binary.stderr


def test_who_can_not_be_sent_anything_says_why(daemon: Daemon) -> None:
    """No pipe, a pipe that the process has closed, no such process, nothing to send, too much at once."""
    refused = daemon.ctl("input", "plain", "x", check=False)
    assert "plain takes no input" in refused.stderr and "stdin_pipe true" in refused.stderr
    eventually(lambda: (daemon.folder / "shut").exists())
    assert "nobody reads its standard input any more" in refusal(daemon, name="shut", text="x", waiting=True)
    assert "nobody reads its standard input any more" in refusal(daemon, name="shut", text="x")
    assert "no such process: 1" in refusal(daemon, name="deaf", text="x", pid=1)
    for properties in ({}, {"text": "x" * 70_000}, {"text": 7.5, "pid": "x"}):
        with pytest.raises(CircusError) as caught:
            daemon.call("input", name="deaf", **properties)
        assert caught.value.code == "bad_request"


def test_what_was_sent_is_in_no_log(daemon: Daemon) -> None:
    """That something was sent is in the audit, with by whom and to whom; not what."""
    entries = [e for e in daemon.call("audit", lines=200)["entries"] if e["command"] == "input"]
    assert {e["watcher"].lower() for e in entries} >= {"echo", "deaf", "sink"}
    assert "ok" in {e["result"] for e in entries}
    assert SECRET not in str(entries)
    for path in [daemon.log, *(daemon.folder / "state").rglob("*.log")]:
        kept = [line for line in Path(path).read_text(errors="replace").splitlines() if SECRET in line]
        assert all(" got " in line for line in kept), kept


def test_contradictions_are_refused(daemon: Daemon, tmp_path: Path) -> None:
    """A pipe and a socket, a pipe and circusd's own standard input: by set, and in a file, each with its line."""
    for options in ({"stdin_socket": "x"}, {"close_child_stdin": False}):
        with pytest.raises(CircusError) as caught:
            daemon.call("set", name="deaf", options=options)
        assert "standard input is a pipe" in str(caught.value)
    file = tmp_path / "wrong.ini"
    file.write_text("[watcher:w]\ncmd = cat\nclose_child_stdin = false\nstdin_pipe = true\n")
    checked = subprocess.run(
        [daemon.program("circusd"), "--check", str(file)], capture_output=True, text=True, timeout=30
    )
    assert checked.returncode != 0
    assert (
        "wrong.ini:4: error: [watcher:w] stdin_pipe: standard input is a pipe"
        in checked.stdout + checked.stderr
    )
