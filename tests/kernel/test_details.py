"""What one process is and holds: read within bounds, whatever the process has made of itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from circusd.kernel import details, proc
from tests.waiting import eventually

Run = Callable[..., subprocess.Popen[bytes]]
SLEEP = "import time; print(flush=True); time.sleep(600)"


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts a Python that says when it has done what it is for; all are ended after the test."""
    made: list[subprocess.Popen[bytes]] = []

    def start(script: str = SLEEP, *args: str | bytes, **more: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(  # type: ignore[call-overload]
            [sys.executable, "-c", script, *args], stdout=subprocess.PIPE, start_new_session=True, **more
        )
        made.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        return child  # type: ignore[no-any-return]

    yield start
    for child in made:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def identity(pid: int) -> proc.Identity:
    row = proc.row(pid)
    assert row is not None
    return row.identity


def test_a_process_is_told_whole(run: Run, tmp_path: Path) -> None:
    """What it takes, its limits, its variables and what it has open."""
    file = tmp_path / "open file"
    script = "import sys, time; file = open(sys.argv[1], 'w'); print(flush=True); time.sleep(600)"
    child = run(
        script, str(file), env={"PATH": os.environ["PATH"], "COLOR": "red=1", "EMPTY": ""}, cwd=tmp_path
    )
    found = details.all_of(identity(child.pid))
    assert found is not None
    assert found["rss"] > 1 << 20
    assert 0 < found["pss"] < 2 * found["rss"]
    assert found["threads"] == 1
    assert found["cwd"] == str(tmp_path)
    assert found["uid"] == os.getuid()
    assert found["cpu_time"] >= 0
    assert found["wchar"] > 0
    assert str(file) in found["command"]
    assert found["environment"] == ({"COLOR": "red=1", "EMPTY": "", "PATH": os.environ["PATH"]}, True)
    assert str(file) in [one["target"] for one in found["files"]["files"]]
    assert found["files"]["left_out"] == 0
    limits = {row["name"]: row for row in found["limits"]}
    assert limits["Max open files"]["unit"] == "files"
    assert limits["Max open files"]["hard"] >= limits["Max open files"]["soft"] > 0


def test_a_process_that_is_gone_or_another_is_nobody(run: Run) -> None:
    """The pid alone does not count."""
    pid, start = identity(run().pid)
    assert details.all_of(proc.Identity(pid, start + 1)) is None
    assert details.all_of(proc.Identity(1 << 22, 1)) is None
    assert details.environment(1 << 22) is None
    assert details.files(1 << 22) is None
    assert details.limits(1 << 22) == []


@pytest.mark.parametrize("family", ["tcp", "tcp6", "unix"])
def test_connections_are_told_by_their_addresses(run: Run, tmp_path: Path, family: str) -> None:
    """Who listens where, and who is connected to whom."""
    if family == "unix":
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "door"))
        server.listen()
        wanted = {f"unix stream {tmp_path / 'door'}, listens"}
    else:
        kind = socket.AF_INET if family == "tcp" else socket.AF_INET6
        server = socket.create_server(("127.0.0.1" if family == "tcp" else "::1", 0), family=kind)
        near = (
            f"127.0.0.1:{server.getsockname()[1]}" if family == "tcp" else f"[::1]:{server.getsockname()[1]}"
        )
        wanted = {f"{family} {near}, listens"}
    client = socket.socket(server.family)
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    if family != "unix":
        port = client.getsockname()[1]
        far = near.rpartition(":")[0] + f":{port}"
        wanted |= {f"{family} {near} → {far}", f"{family} {far} → {near}"}
    fds = [server.fileno(), client.fileno(), accepted.fileno()]
    child = run(SLEEP, pass_fds=fds)
    found = details.files(child.pid)
    for one in (server, client, accepted):
        one.close()
    assert found is not None
    assert wanted <= {one.get("socket") for one in found["files"]}


def test_text_of_a_stranger_is_cut_and_escaped(run: Run, tmp_path: Path) -> None:
    """Bytes that are no text, a command line of a megabyte, names that would command a terminal: never more than the limits."""
    child = run(SLEEP, b"\xff\x1b[2J", "x" * 100_000, env={"A": "v" * 100_000, "PATH": "/bin"})
    command = details.command_line(child.pid)
    assert len(command) <= details.TEXT_LIMIT
    assert "\\xff" in command
    command.encode()
    told = details.environment(child.pid)
    assert told is not None
    assert len(told[0]["A"]) == details.VALUE_LIMIT


def test_more_variables_than_are_read(run: Run) -> None:
    """The beginning is told, and that it is not all."""
    told = details.environment(run(env={f"N{n}": "v" * 100_000 for n in range(10)}).pid)
    assert told is not None
    assert not told[1]


def test_descriptors_beyond_the_limit_are_counted(run: Run) -> None:
    """As many as are listed, and how many are left out."""
    script = "import os, time; fds = [os.open('/dev/null', 0) for _ in range(400)]; print(flush=True); time.sleep(600)"
    found = details.files(run(script).pid)
    assert found is not None
    assert len(found["files"]) == details.FILES_LIMIT
    assert found["count"] == details.FILES_LIMIT + found["left_out"] > 400


def test_everything_below_is_told_with_its_parents(run: Run) -> None:
    """Depth first, each with its depth, and what it takes since the last look."""
    script = (
        "import subprocess, sys, time; "
        "subprocess.Popen(['sh', '-c', 'sleep 600 & while :; do :; done']); print(flush=True); time.sleep(600)"
    )
    child = run(script)
    below = details.Below()

    def commands() -> list[str]:
        return [one["command"] for one in below.look([child.pid], 0.0).below[child.pid]]

    # A process that was forked is there before its own program is.
    eventually(lambda: commands()[1:] == ["sleep 600"])
    busy = below.look([child.pid], 0.0).below[child.pid][0]["pid"]
    before = proc.use(busy)
    assert before is not None
    first = below.look([child.pid], 100.0)
    assert [one["depth"] for one in first.below[child.pid]] == [1, 2]
    shell, sleep = first.below[child.pid]
    assert sleep["parent"] == shell["pid"]
    assert sleep["command"] == "sleep 600"
    assert not details.Below().look([child.pid], 100.0).is_known
    eventually(lambda: (use := proc.use(busy)) and use.ticks >= before.ticks + 10, within=20)
    second = below.look([child.pid], 101.0)
    assert second.is_known
    assert second.below[child.pid][0]["cpu"] >= 5
    assert second.own[child.pid]["cpu"] <= second.below[child.pid][0]["cpu"]
    again = below.look([child.pid], 101.1)
    assert again.below[child.pid][0]["cpu"] == second.below[child.pid][0]["cpu"]


def test_of_too_many_below_only_the_number_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply has an end whatever a process starts."""
    monkeypatch.setattr(details, "BELOW_LIMIT", 3)
    script = "import subprocess, time; [subprocess.Popen(['sleep', '600']) for _ in range(8)]; print(flush=True); time.sleep(600)"
    child = run(script)
    trees = details.Below().look([child.pid], 0.0)
    assert len(trees.below[child.pid]) == 3
    assert trees.left_out == 5
