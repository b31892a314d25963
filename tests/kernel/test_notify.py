"""What the service manager is told, over a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.kernel.notify import Notify, monotonic_usec


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address of a service manager, as it stands in the environment, and where it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "path":
            address = str(tmp_path / "n")
            sock.bind(address)
        else:
            address = f"@circus-test-{os.getpid()}"
            sock.bind("\0" + address[1:])
        sock.settimeout(10)
        yield address, sock


def test_what_is_told_arrives_as_lines(manager: tuple[str, socket.socket]) -> None:
    """At a path and at an abstract address; a value can't make a line of its own."""
    address, sock = manager
    notify = Notify(address)
    try:
        assert notify.send(READY=1, STATUS="all\nis\twell, READY=0 \udcff")
        assert sock.recv(4096) == rb"READY=1" + b"\n" + rb"STATUS=all is well, READY=0 \udcff"
        assert notify.send(STATUS="x" * 100_000)
        assert len(sock.recv(1 << 20)) < 2000
    finally:
        notify.close()
    assert notify.send(READY=1)


def test_the_environment_is_emptied_of_it() -> None:
    """Processes that we start must not speak in our name."""
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1", "PATH": "/bin"}
    notify = Notify.take(environ)
    assert environ == {"PATH": "/bin"}
    assert notify == Notify("/x", "20000000", "1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("20000000", str(os.getpid()), 20.0),
        ("500000", "", 0.5),
        ("20000000", str(os.getpid() + 1), None),
        ("", str(os.getpid()), None),
        ("0", "", None),
        ("soon", "", None),
    ],
)
def test_signs_of_life_are_for_whom_they_are_wanted_of(usec: str, pid: str, seconds: float | None) -> None:
    """Of this process or of any; and only where somebody listens."""
    assert Notify("/x", usec, pid).watchdog_seconds == seconds
    assert Notify("", usec, pid).watchdog_seconds is None


def test_a_full_queue_is_told_and_never_waited_for(manager: tuple[str, socket.socket]) -> None:
    """The manager does not read: sending comes back, and says so."""
    address, sock = manager
    notify = Notify(address)
    try:
        sent = 0
        while notify.send(STATUS=sent) and sent < 100_000:
            sent += 1
        assert 0 < sent < 100_000
        sock.recv(100)
        assert notify.send(STATUS="again")
    finally:
        notify.close()


def test_no_manager_is_no_error(tmp_path: Path) -> None:
    """None named, one that is gone, one of a kind that is not known."""
    for address in ("", str(tmp_path / "gone"), "vsock:2:1234"):
        notify = Notify(address)
        assert notify.send(READY=1)
        notify.close()


def test_moments_are_of_the_clock_that_the_manager_uses() -> None:
    """CLOCK_MONOTONIC in microseconds, and it goes forward."""
    first = monotonic_usec()
    with open("/proc/uptime", encoding="ascii") as uptime:
        boot = float(uptime.read().split()[0])
    assert first <= monotonic_usec()
    assert first / 1e6 <= boot + 1
