"""What looking costs, and how long circusd lets others wait meanwhile: run by hand, on a machine that does little else.

``python -m tests.soak.stats cost``, ``lag`` and ``scrape``, see CONTRIBUTING.rst; each prints what it has measured.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zmq

from circusd.client import Client as Commands
from tests.daemon import Daemon
from tests.faults.measures import processor_seconds, wakeups
from tests.ports import free_port
from tests.soak.logs import Client, cookies_of, load, told
from tests.waiting import eventually
from tests.web.apiclient import ApiClient

ROOT = Path(__file__).resolve().parents[2]
PING_SECONDS = 0.01
RAISED = -15
PEOPLE = 5

# Lines of 100 letters: so many a second in bursts of 10, or as many as go.
LOUD = """
import os, sys, time
rate = int(sys.argv[1])
burst = (b"x" * 99 + b"\\n") * (10 if rate else 500)
at = time.monotonic()
while True:
    os.write(1, burst)
    if rate:
        at += 10 / rate
        time.sleep(max(0, at - time.monotonic()))
"""

Viewer = Callable[[Daemon], Any]


@contextmanager
def daemon_of(ini: str) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(prefix="stats-") as name:
        folder = Path(name)
        (folder / "loud.py").write_text(LOUD)
        daemon = Daemon(ini.format(folder=folder, python=sys.executable, port=free_port()), folder)
        daemon.start_only()
        daemon.wait_until_up(within=600)
        try:
            yield daemon
        finally:
            daemon.__exit__(None, None, None)


def raised(pid: int) -> None:
    """The process has the processor before others, where that is allowed: as on a machine that does little else."""
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(task), RAISED)
        # Where sessions share the processor evenly, each child that has one of its own counts as much as circusd.
        Path(f"/proc/{pid}/autogroup").write_text(str(RAISED))


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# --- what it costs to look ----------------------------------------------------------------------------------------------


@contextmanager
def nobody(daemon: Daemon) -> Iterator[None]:
    yield


@contextmanager
def original(daemon: Daemon) -> Iterator[None]:
    """A client of the original's stats, which wants all of them."""
    endpoint = daemon.call("globaloptions", option="stats_endpoint")["options"]["stats_endpoint"]
    context = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.linger = 0
    sub.rcvtimeo = 10_000
    sub.subscribe("stat.")
    sub.connect(endpoint)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            sub.recv_multipart()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()
        sub.close()
        context.term()


@contextmanager
def console(daemon: Daemon, topics: Sequence[str] = ("load.",)) -> Iterator[None]:
    """Whoever follows the load, or these topics, as a page of the console does."""
    over = threading.Event()

    def read() -> None:
        with Commands(daemon.endpoint) as client, client.follow(topics) as stream:
            while not over.is_set():
                stream.receive(10)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()


def cost(children: int = 100, seconds: float = 20) -> None:
    """Microseconds of circusd for each child and second, and how often it is woken."""
    ini = f"[watcher:many]\ncmd = sleep 100000\nnumprocesses = {children}\n"
    with daemon_of(ini) as daemon:
        eventually(lambda: len(daemon.pids("many")) == children, within=60)
        for viewer in (nobody, original, console):
            with viewer(daemon):
                time.sleep(3)
                used, woken, began = processor_seconds(daemon.pid), wakeups(daemon.pid), time.monotonic()
                time.sleep(seconds)
                lasted = time.monotonic() - began
                used = (processor_seconds(daemon.pid) - used) / lasted
                woken = int((wakeups(daemon.pid) - woken) / lasted)
            figures = {
                "children": children,
                "us per child and second": used * 1e6 / children,
                "% of a core": used * 100,
                "wake-ups/s": woken,
            }
            print(f"cost, {viewer.__name__}:", told(figures), "|", load(), flush=True)


# --- how long others wait -----------------------------------------------------------------------------------------------


class Pings:
    """Asks a daemon for something again and again, and how long the answers took."""

    def __init__(self, daemon: Daemon, every: float = PING_SECONDS) -> None:
        self.took: list[float] = []
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(daemon,))
        self._thread.start()

    def _ask(self, daemon: Daemon) -> None:
        raised(os.getpid())
        with Commands(daemon.endpoint, timeout=30) as client:
            while not self._over.is_set():
                began = time.monotonic()
                client.call("ping")
                self.took.append(time.monotonic() - began)
                time.sleep(self._every)

    def stop(self) -> dict[str, Any]:
        self._over.set()
        self._thread.join()
        shares = {"p50 ms": 0.5, "p99 ms": 0.99, "max ms": 1.0}
        return {name: quantile(self.took, share) * 1000 for name, share in shares.items()}


def pages(port: int, cookies: Sequence[str], count: int, seconds: float) -> None:
    """So many pages of the console, each with the log of one loud watcher; how many lines each has got a second."""
    made = [Client(port, cookies[n % len(cookies)], watcher=f"loud{n}") for n in range(count)]
    selector = selectors.DefaultSelector()
    for client in made:
        selector.register(client.sock, selectors.EVENT_READ, client)
    until = time.monotonic() + seconds
    got = 0
    while time.monotonic() < until:
        for key, _ in selector.select(0.05):
            key.data.receive()
            got += 1
    print(json.dumps({"open": sum(client._is_open for client in made), "frames/s": got / seconds}))


PEOPLE = 5
"""One alone may not have so many pages open."""


def lag(loud: int = 50, quiet: int = 450, clients: int = 20, rate: int = 1000, seconds: float = 60) -> None:
    """Loud children, quiet ones and pages of the console; an idle daemon beside it shows what the machine does to both."""
    ini = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = {port}\n"
    ini += f"[watcher:quiet]\ncmd = sleep 100000\nnumprocesses = {quiet}\n"
    for n in range(loud):
        ini += f"[watcher:loud{n}]\ncmd = {{python}} {{folder}}/loud.py {rate}\nstdout_stream.class = FileStream\n"
        ini += "stdout_stream.filename = /dev/null\ngraceful_timeout = 2\n"
    with daemon_of(ini) as daemon, daemon_of("[watcher:one]\ncmd = sleep 100000\n") as idle:
        eventually(lambda: len(daemon.pids("quiet")) == quiet, within=120)
        eventually(lambda: daemon.pids(f"loud{loud - 1}"), within=120)
        port, cookies = cookies_of(daemon, PEOPLE)
        words = [
            sys.executable,
            "-m",
            "tests.soak.stats",
            "pages",
            str(port),
            ",".join(cookies),
            str(clients),
        ]
        viewers = subprocess.Popen([*words, str(seconds + 8)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        raised(daemon.pid)
        raised(idle.pid)
        time.sleep(5)
        busy = processor_seconds(daemon.pid)
        pings, others = Pings(daemon), Pings(idle)
        time.sleep(seconds)
        asked, beside = pings.stop(), others.stop()
        busy = (processor_seconds(daemon.pid) - busy) / seconds
        own = daemon.call("daemon")["loop"]
        seen = json.loads(viewers.communicate()[0])
    figures = {"loud": loud, "lines/s of each": rate or "all that go", "quiet": quiet, "pages": seen["open"]}
    print("lag:", told({k: v for k, v in figures.items() if not isinstance(v, str)}), "|", load())
    print("  asked each 10 ms:", told(asked), "| idle daemon beside it:", told(beside))
    print("  told by itself:", told({f"{k} ms": v * 1000 for k, v in own.items() if k != "window"}))
    print("  circusd:", told({"% of a core": busy * 100, "frames/s": seen["frames/s"]}), flush=True)


# --- what a scrape costs ------------------------------------------------------------------------------------------------


def scrape(watchers: int = 500, processes: int = 2000, times: int = 10) -> None:
    """So many watchers with so many processes in all, scraped as Prometheus does."""
    ini = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = {port}\n"
    for n in range(watchers):
        ini += f"[watcher:w{n}]\ncmd = sleep 100000\nnumprocesses = {processes // watchers}\n"
    with daemon_of(ini) as daemon:
        eventually(lambda: daemon.pids(f"w{watchers - 1}"), within=300)
        api = ApiClient.of(daemon)
        (web,) = daemon.pids("circushttpd")
        headers = {"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"}
        raised(daemon.pid)
        raised(web)
        plain = len(api.ask("GET", "/metrics").body)
        pings = Pings(daemon)
        took, used, size = [], [], 0
        for _ in range(times):
            time.sleep(1.5)
            before = processor_seconds(daemon.pid), processor_seconds(web)
            began = time.monotonic()
            answer = api.ask("GET", "/metrics", None, headers)
            took.append(time.monotonic() - began)
            assert answer.status == 200
            size = len(answer.body)
            used.append((processor_seconds(daemon.pid) - before[0], processor_seconds(web) - before[1]))
        asked = pings.stop()
        figures = {
            "watchers": watchers,
            "processes": processes,
            "ms": quantile(took, 0.5) * 1000,
            "ms of circusd": quantile([one for one, _ in used], 0.5) * 1000,
            "ms of circushttpd": quantile([one for _, one in used], 0.5) * 1000,
            "KiB": plain / 1024,
            "KiB packed": size / 1024,
        }
        print("scrape:", told(figures), "| asked meanwhile:", told(asked), "|", load(), flush=True)


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "pages":
        pages(int(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4]), float(sys.argv[5]))
    else:
        tools: dict[str, Callable[..., None]] = {"cost": cost, "lag": lag, "scrape": scrape}
        numbers = [float(word) if "." in word else int(word) for word in sys.argv[2:]]
        tools[what](*numbers) if what in tools else print(__doc__)
