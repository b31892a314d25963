"""What reading large log files takes: run by hand, on a machine that does little else; see CONTRIBUTING.rst.

``python -m tests.soak.files tail``, ``search`` and ``back``; each prints what it has measured.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from circusd.client import Client
from circusd.schema.errors import CircusError
from tests.daemon import Daemon
from tests.faults.measures import offspring, processor_seconds
from tests.soak.logs import load, told
from tests.soak.stats import Pings, quantile
from tests.waiting import eventually

MEGABYTE = 1 << 20

# One line, and then nothing any more.
INI = """
[watcher:big]
cmd = sh -c 'echo this is the last line; exec sleep 1000000'
copy_env = true
stdout_stream.class = FileStream
stdout_stream.filename = {log}
"""

LAST = b"this is the last line\n"


def last_bytes(path: Path) -> bytes:
    """As many as the last line has."""
    size = path.stat().st_size if path.exists() else 0
    if size < len(LAST):
        return b""
    with path.open("rb") as file:
        file.seek(size - len(LAST))
        return file.read(len(LAST))


@contextmanager
def daemon_of(folder: Path) -> Iterator[Daemon]:
    """A circusd whose watcher writes to ``big.log`` in that folder."""
    daemon = Daemon(INI.format(log=folder / "big.log"), folder)
    daemon.start_only()
    daemon.wait_until_up(within=600)
    try:
        eventually(lambda: last_bytes(folder / "big.log") == LAST, within=60)
        yield daemon
    finally:
        daemon.__exit__(None, None, None)


def searchers(daemon: Daemon) -> list[int]:
    """Processes that read for somebody."""
    found = []
    for pid in offspring(daemon.pid):
        try:
            if b"circusd.cli.searcher" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            continue
    return found


def most_memory(pid: int) -> dict[str, float]:
    """What a process has had at most, and what is its own of what it has now: MiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "MiB at most": int(status["VmHWM"].split()[0]) / 1024,
        "MiB of its own": int(status["RssAnon"].split()[0]) / 1024,
    }


def lines(start: int, count: int) -> bytes:
    """Lines of a log, which pack about as logs do."""
    return b"".join(
        b"2026-03-01T12:%02d:%02d request %d took %d ms for /app/%x\n"
        % (n // 60 % 60, n % 60, n, n * 7919 % 900, n * 2654435761 % (1 << 32))
        for n in range(start, start + count)
    )


def tail(gigabytes: int = 10, wanted: int = 1000, times: int = 20) -> None:
    """The last lines of a file that is so long: a hole but for its end, which is real."""
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        folder = Path(name)
        end = lines(0, 20_000)
        with (folder / "big.log").open("wb") as file:
            file.truncate(gigabytes << 30)
            file.seek((gigabytes << 30) - len(end))
            file.write(end)
        with daemon_of(folder) as daemon:
            asked = {"names": ["big"], "lines": wanted, "files": True}
            memory: dict[str, float] = {}
            took, ran, kept = [], [], []
            for _ in range(times):
                with Client(daemon.endpoint, timeout=60) as client:
                    began = time.monotonic()
                    reply = client.call("output", {**asked, "key": "tail"})
                    took.append(time.monotonic() - began)
                    assert len(reply["lines"]) == wanted
                    assert reply["lines"][0]["text"] == end.split(b"\n")[20_000 - wanted + 1].decode()
                    (pid,) = searchers(daemon)
                    memory = {k: max(memory.get(k, 0.0), v) for k, v in most_memory(pid).items()}
                    began = time.monotonic()
                    client.call("output", {**asked, "key": "tail", "cursor": reply["older"]})
                    kept.append(time.monotonic() - began)
                began = time.monotonic()
                printed = daemon.ctl("output", "big", "--files", "--lines", str(wanted)).stdout
                ran.append(time.monotonic() - began)
                assert printed.count("\n") == wanted
            figures = {
                "GiB": gigabytes,
                "lines": wanted,
                "ms": quantile(took, 0.5) * 1000,
                "ms at most": max(took) * 1000,
                "ms of the page before": quantile(kept, 0.5) * 1000,
                "ms of circusctl": quantile(ran, 0.5) * 1000,
            }
            print("tail:", told(figures), "| who reads:", told(memory), "|", load(), flush=True)


def packed(folder: Path, files: int, size: int) -> None:
    """So many files that were put aside and packed, each of that many bytes."""
    block = lines(0, 20_000)
    for number in range(1, files + 1):
        path = folder / f"big.log.{number}.gz"
        with gzip.open(path, "wb", compresslevel=6) as file:
            for _ in range(size // len(block) + 1):
                file.write(block)
        os.utime(path, (2e9 - number, 2e9 - number))


class Asked:
    """A search that somebody waits for."""

    def __init__(self, daemon: Daemon, **properties: Any) -> None:
        self.ended = 0.0
        self.reply: dict[str, Any] = {}
        self.problem = ""
        self._client = Client(daemon.endpoint, timeout=600)
        self._thread = threading.Thread(target=self._run, args=(properties,))
        self._thread.start()

    def _run(self, properties: dict[str, Any]) -> None:
        try:
            with self._client as client:
                self.reply = client.call("grep", properties)
        except CircusError as problem:
            self.problem = str(problem)
        self.ended = time.monotonic()

    def join(self) -> None:
        self._thread.join()


def search(files: int = 16, megabytes: int = 64, times: int = 10) -> None:
    """Through so many packed files of so many MiB each: to the end, and cancelled in the middle."""
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        folder = Path(name)
        packed(folder, files, megabytes * MEGABYTE)
        with daemon_of(folder) as daemon:
            nothing = {"name": "big", "pattern": "no line has this: [0-9]+x", "files": True}
            began, used = time.monotonic(), processor_seconds(daemon.pid)
            pings, asked = Pings(daemon), Asked(daemon, **nothing)
            memory: dict[str, float] = {}
            while not asked.ended:
                for pid in searchers(daemon):
                    memory = {k: max(memory.get(k, 0.0), v) for k, v in most_memory(pid).items()}
                time.sleep(0.05)
            asked.join()
            waits = pings.stop()
            figures = {
                "MiB": files * megabytes,
                "s": asked.ended - began,
                "files": asked.reply["searched"]["files"],
                "complete": asked.reply["complete"],
                "s of circusd": processor_seconds(daemon.pid) - used,
            }
            print("search:", told(figures), "| who reads:", told(memory), "|", load())
            print("  asked meanwhile:", told(waits), flush=True)
            answered, gone = [], []
            for turn in range(times):
                asked = Asked(daemon, **nothing)
                jobs = eventually(
                    lambda: [job for job in daemon.call("jobs")["jobs"] if job["done"]], within=60
                )
                # Each time in the middle of something else.
                time.sleep(0.1 * turn)
                (pid,) = searchers(daemon)
                began = time.monotonic()
                daemon.call("cancel", id=jobs[0]["id"])
                while os.path.exists(f"/proc/{pid}"):
                    time.sleep(0.0005)
                gone.append(time.monotonic() - began)
                asked.join()
                answered.append(asked.ended - began)
                assert "cancelled" in asked.problem
            figures = {
                "ms until it is told": quantile(answered, 0.5) * 1000,
                "ms at most": max(answered) * 1000,
                "ms until nothing reads": quantile(gone, 0.5) * 1000,
                "at most": max(gone) * 1000,
            }
            print("  cancelled:", told(figures), flush=True)


def back(megabytes: int = 64, pages: int = 10, wanted: int = 1000) -> None:
    """So many pages back through one packed file, by one who goes on and by one who begins anew for each."""
    with tempfile.TemporaryDirectory(prefix="files-") as name:
        folder = Path(name)
        packed(folder, 1, megabytes * MEGABYTE)
        with daemon_of(folder) as daemon, Client(daemon.endpoint, timeout=600) as client:
            for key in ("back", ""):
                asked: dict[str, Any] = {"names": ["big"], "lines": wanted, "files": True, "key": key}
                took = []
                memory: dict[str, float] = {}
                for _ in range(pages):
                    began = time.monotonic()
                    reply = client.call("output", asked)
                    took.append(time.monotonic() - began)
                    assert len(reply["lines"]) == wanted
                    asked["cursor"] = reply["older"]
                    for pid in searchers(daemon):
                        memory = most_memory(pid)
                figures = {
                    "MiB": megabytes,
                    "ms of the first page": took[0] * 1000,
                    "ms of one after it": quantile(took[1:], 0.5) * 1000,
                    "s of all": sum(took),
                }
                who = "goes on" if key else "begins anew"
                print(f"back, {who}:", told(figures), "| who reads:", told(memory), "|", load(), flush=True)


if __name__ == "__main__":
    tools: dict[str, Callable[..., None]] = {"tail": tail, "search": search, "back": back}
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what in tools:
        tools[what](*map(int, sys.argv[2:]))
    else:
        print(__doc__)
