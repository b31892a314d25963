"""What the tests of the kernel share: real processes that are gone afterwards, and a look through another user's eyes."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from circusd.kernel import pidfd, proc
from circusd.kernel.pidfd import ExitStatus
from circusd.kernel.proc import Identity
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from tests.waiting import eventually

# Two signals are the C library's own: programs may inherit them ignored (from make, say), and nobody can change that.
LIBC_SIGNALS = 3 << 31

NOBODY = 65534
PR_SET_DUMPABLE = 4
ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with the fixture `as_nobody` need root, as do those that say so by `root`."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if os.geteuid() != 0 and ("as_nobody" in names or "root" in names):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def root() -> None:
    """The test needs root."""


def ended(child: Child, within: float = 10.0) -> ExitStatus:
    """Wait for the end of a child and reap it; its pidfd is closed then."""
    poll = select.poll()
    poll.register(child.pidfd, select.POLLIN)
    if not poll.poll(within * 1000):
        pidfd.send(child.pidfd, signal.SIGKILL)
        poll.poll()
        pidfd.reap(child.pidfd)
        os.close(child.pidfd)
        raise AssertionError(f"process {child.pid} did not end within {within:g} s")
    status = pidfd.reap(child.pidfd)
    os.close(child.pidfd)
    assert status is not None
    return status


class Run:
    """Starts programs; what still runs at the end of the test is killed."""

    def __init__(self) -> None:
        self.children: dict[int, Child] = {}

    def spec(self, *argv: str, **what: Any) -> SpawnSpec:
        return SpawnSpec(**{"argv": argv, "executable": argv[0], "env": ENV, **what})

    def start(self, *argv: str, **what: Any) -> Child:
        child = spawn(self.spec(*argv, **what))
        self.children[child.pid] = child
        return child

    def wait(self, child: Child) -> ExitStatus:
        """The exit status of a child that is about to end."""
        del self.children[child.pid]
        return ended(child)

    def output(self, *argv: str, **what: Any) -> tuple[ExitStatus, str]:
        """How a program ended, and what it wrote to both its outputs."""
        reader, writer = os.pipe()
        with open(reader, "rb") as file:
            try:
                child = self.start(*argv, **{"stdout": writer, "stderr": writer, **what})
            finally:
                os.close(writer)
            data = file.read()
        return self.wait(child), data.decode()

    def report(self, path: str, **what: Any) -> str:
        """What a child reads in a file such as /proc/self/status."""
        status, text = self.output("/bin/cat", path, **what)
        assert status.code == 0, text
        return text


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts programs that are gone when the test ends."""
    runner = Run()
    yield runner
    proc.kill_tree([Identity(child.pid, child.start) for child in runner.children.values()])
    for child in runner.children.values():
        ended(child)


@pytest.fixture
def inherits_orphans() -> Iterator[None]:
    """Orphans become children of this process; those that are left at the end are killed and reaped."""
    before = set(pidfd.children())
    assert pidfd.become_subreaper()
    yield
    ctypes.CDLL(None).prctl(pidfd.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def none_left() -> bool:
        pidfd.reap_orphans(before)
        new = set(pidfd.children()) - before
        for pid in new:
            os.kill(pid, signal.SIGKILL)
        return not new

    eventually(none_left)


class AsNobody(Protocol):
    def __call__(self, function: Callable[[], Any], saved_uid: int = NOBODY) -> Any: ...


@pytest.fixture
def as_nobody() -> AsNobody:
    """Calls a function in a forked process of an ordinary user, and returns what it returns as JSON would carry it."""

    def call(function: Callable[[], Any], saved_uid: int = NOBODY) -> Any:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, saved_uid)
                # As a program that was executed as this user; otherwise /proc/self stays root's.
                ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
                os.chdir("/")
                answer = {"value": function()}
            except BaseException:  # noqa: BLE001 - the parent is to see whatever it was
                answer = {"error": traceback.format_exc()}
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as file:
            answer = json.loads(file.read())
        os.waitpid(pid, 0)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    return call


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that everybody may enter and write to, unlike pytest's own."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="circus-test-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def status_field(status: str, name: str) -> list[str]:
    """The words of one line of /proc/PID/status."""
    return next(line.split()[1:] for line in status.splitlines() if line.startswith(f"{name}:"))
