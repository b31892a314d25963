"""Outputs of watchers under test: real processes, real pipes, and everything closed afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from circusd.config.model import watcher_from_options
from circusd.config.records import WatcherConfig
from circusd.runtime.history import History, Line, StreamKey
from circusd.runtime.streams import Output, OutputServices
from circusd.runtime.timers import LoopTimer
from tests.waiting import eventually

LAG = 1.0
"""What is too late: a few milliseconds on a machine of one's own, more beside other work, but seconds if the hub waits."""

Events = list[tuple[str, str, dict[str, Any]]]


class Outputs:
    """Services, the outputs made with them, the processes that write to them, and the events that were told."""

    def __init__(self, own_fds: tuple[int, int] | None = None) -> None:
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self.events: Events = []
        self.history = History(stream_bytes=4 << 20)
        self.services = OutputServices.make(
            self.history, lambda *event: self.events.append(event), own_fds or (null, null)
        )
        self._null = null
        self._outputs: list[Output] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def make(self, name: str = "web", **options: Any) -> Output:
        """The output of a watcher with these options; a dot in a key is written ``__``."""
        output = Output(config(name, **options), self.services)
        self._outputs.append(output)
        return output

    def run(self, output: Output, code: str, wid: int = 1, *args: object) -> subprocess.Popen[bytes]:
        """A Python program that writes there."""
        return self.start(output, [sys.executable, "-S", "-E", "-c", code, *map(str, args)], wid)

    def start(
        self, output: Output, argv: list[str], wid: int = 1, pass_fds: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """A program that writes there."""
        ends = output.attach(wid)
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if ends.stdout is None else ends.stdout,
            stderr=subprocess.DEVNULL if ends.stderr is None else ends.stderr,
            pass_fds=pass_fds,
        )
        output.spawned(wid, process.pid)
        self._processes.append(process)
        return process

    def wait(
        self, output: Output, process: subprocess.Popen[bytes], wid: int = 1, within: float = 20.0
    ) -> int:
        """The process has ended and the output knows."""
        until(lambda: process.poll() is not None, within=within, what="the process ends")
        output.ended(wid, process.pid)
        return process.returncode

    def lines(self, stream: str = "stdout", wid: int = 1, watcher: str = "web") -> list[Line]:
        """All lines of a stream that are in the history."""
        return self.history.page(StreamKey(watcher, wid, stream), 0, 1 << 30, 1 << 30).lines

    def texts(self, stream: str = "stdout", wid: int = 1, watcher: str = "web") -> list[bytes]:
        """Their texts."""
        return [line.text for line in self.lines(stream, wid, watcher)]

    def named(self, event: str) -> list[dict[str, Any]]:
        """The fields of all events of that name."""
        return [{"watcher": watcher, **fields} for name, watcher, fields in self.events if name == event]

    def flush(self) -> None:
        """Everything that was read has been written."""
        until(self.services.sinks.drained, what="all sinks have written")

    def close(self) -> None:
        """All processes have ended and nothing is open."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for output in self._outputs:
            output.close()
        assert self.services.close(), "a writer is stuck"
        self.history.close()
        os.close(self._null)


def config(name: str = "web", **options: Any) -> WatcherConfig:
    """The configuration of a watcher; a dot in a key is written ``__``."""
    given = {
        key.replace("__", "."): str(value) if isinstance(value, Path) else value
        for key, value in options.items()
    }
    return watcher_from_options(name, {"cmd": "program", **given})


def until(predicate: Callable[[], Any], *, within: float = 10.0, what: str = "") -> Any:
    """Wait for a state while the hub goes on."""
    return eventually(predicate, within=within, what=what, every=0.002, sleep=gevent.sleep)


class Lag:
    """How late a timer of 5 ms is at worst: how long the hub was kept from it."""

    def __enter__(self) -> Lag:
        self.worst = 0.0
        self._last = time.monotonic()
        self._timer = LoopTimer()
        self._timer.every(0.005, self._tick)
        return self

    def _tick(self) -> None:
        now = time.monotonic()
        self.worst = max(self.worst, now - self._last - 0.005)
        self._last = now

    def __exit__(self, *_: object) -> None:
        self._timer.stop()
