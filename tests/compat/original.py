"""The original: its clients in the network of a daemon, and its own daemon for comparison."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.namespace import InNamespace
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "tests" / "fixtures" / "original"
PREFIX = ROOT / ".original"
DRIVER = Path(__file__).with_name("driver.py")

COMMANDS, EVENTS, STATS = (f"tcp://127.0.0.1:{port}" for port in (5555, 5556, 5557))
"""The original's own defaults, which its clients use when they are told nothing."""


def program(name: str) -> str:
    """Path of one of the original's programs, or of its Python."""
    path = PREFIX / "bin" / name
    if not path.exists():
        pytest.fail("the original is not installed; type: sh tools/setup.sh --original", pytrace=False)
    return str(path)


@dataclass(frozen=True)
class Said:
    """What a program answered: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str


class Driver:
    """The original's code, asked over a pipe (see `driver.py`)."""

    def __init__(self, entering: list[str], environ: dict[str, str], folder: Path) -> None:
        self._popen = subprocess.Popen(
            [*entering, program("python"), str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
            cwd=folder,
            text=True,
        )

    def ask(self, order: str, **more: Any) -> Said:
        """One order carried out."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        print(json.dumps({"order": order, **more}), file=self._popen.stdin, flush=True)
        line = self._popen.stdout.readline()
        assert line, "the driver has ended"
        return Said(**json.loads(line))

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen.stdout.close()


def end_all_in(network: str) -> list[int]:
    """The processes of a network namespace, which is not our own; they have got a SIGKILL."""
    assert network != os.readlink("/proc/self/ns/net")
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        with suppress(OSError):
            if os.readlink(link) == network:
                found.append(int(link.parts[2]))
                os.kill(found[-1], signal.SIGKILL)
    return found


class Ours(InNamespace):
    """Our circusd, whose file names the original's ports."""

    is_original = False

    def start(self) -> Self:
        super().start()
        self.network = os.readlink(f"/proc/{self.pid}/ns/net")
        return self

    def __exit__(self, *error: Any) -> None:
        """Nobody of its network is left: neither what the tour leaves running on purpose nor what the original forgets."""
        try:
            super().__exit__(*error)
        finally:
            eventually(lambda: not end_all_in(self.network), within=10, what="the network is empty")

    def driver(self) -> Driver:
        """The original's clients beside it."""
        environ = {k: v for k, v in os.environ.items() if k != "CIRCUSCTL_ENDPOINT"}
        return Driver(self.entering(), environ, self.folder)


class Theirs(Ours):
    """The original's circusd."""

    is_original = True

    def program(self, name: str) -> str:
        return program(name)

    def is_up(self) -> bool:
        assert self.popen is not None
        assert self.popen.poll() is None, self.log.read_text()
        with self.driver() as driver:
            said = driver.ask("circusctl", words=["--timeout", "1", "status"])
        states = dict(line.split(": ") for line in said.out.splitlines() if ": " in line)
        return said.code == 0 and bool(states) and "starting" not in states.values()


BOTH = [pytest.param(Ours, id="ours"), pytest.param(Theirs, id="theirs", marks=pytest.mark.slow)]
"""What a test of the original's clients runs with: with ours, and where slow tests are wanted with the original too."""


def until_up(daemon: Ours, driver: Driver, name: str, count: int) -> None:
    """The watcher has so many processes."""
    eventually(
        lambda: driver.ask("circusctl", words=["numprocesses", name]).out == f"{count}\n",
        within=20,
        what=f"{name} runs {count} processes in {daemon.folder}",
    )
