"""How fast logs can be watched: run by hand, on a machine that does little else; see CONTRIBUTING.rst.

``python -m tests.soak.logs inject`` and ``way``, ``heap``, ``clients``, ``stalled``; each prints what it has measured.
"""

from __future__ import annotations

import base64
import json
import os
import re
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page

from tests.daemon import Daemon
from tests.ports import free_port
from tests.waiting import eventually
from tests.web.browser import chromium, opened

# As live.js has it.
ACK_BYTES, ACK_SECONDS = 1 << 15, 0.25

WRITER = """
import sys, time
rate, step = int(sys.argv[1]), 0.01
began, n = time.monotonic(), 0
while True:
    due = int((time.monotonic() - began) * rate)
    lines = []
    while n < due:
        n += 1
        lines.append(f"\\x1b[32mINFO\\x1b[0m request {n} \\x1b[38;5;208m/app/documents\\x1b[0m took {n % 900} ms at={time.time():.6f}\\n")
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
    time.sleep(step)
"""

INI = """
[circus]
httpd = 1
httpd_host = 127.0.0.1
httpd_port = {port}

[watcher:flood]
cmd = {python} {folder}/writer.py {rate}
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/flood.log
stdout_stream.max_bytes = 16M
stdout_stream.backup_count = 1
"""

# Counts frames and long tasks for some seconds; with a rate, puts so many lines a second into the log of the page.
MEASURE = """async ([seconds, rate]) => {
    const src = document.querySelector('script[type=module]').src;
    const { own } = await import(new URL('pages.js', src));
    const { feed, lines } = own.pane.reading;
    let long = 0;
    const watch = new PerformanceObserver((list) => { for (const task of list.getEntries()) long += task.duration; });
    watch.observe({ entryTypes: ['longtask'] });
    const first = lines.next;
    const began = performance.now();
    let number = 1e9, made = 0, frames = 0, worst = 0, last = began;
    await new Promise((done) => {
        const frame = (now) => {
            frames += 1;
            worst = Math.max(worst, now - last);
            last = now;
            const passed = (performance.now() - began) / 1000;
            const wanted = Math.floor(passed * rate);
            if (wanted > made) {
                const batch = [];
                for (; made < wanted; made += 1) {
                    number += 1;
                    const path = '\\x1b[38;5;208m/app/documents\\x1b[0m';
                    batch.push([number, Date.now() / 1000, `\\x1b[32mINFO\\x1b[0m request ${number} ${path} took ${made % 900} ms`]);
                }
                feed.take({ watcher: 'flood', wid: 1, stream: 'stderr', pid: 7, skipped: 0, lines: batch });
            }
            if (passed < seconds) requestAnimationFrame(frame); else done();
        };
        requestAnimationFrame(frame);
    });
    const passed = (performance.now() - began) / 1000;
    watch.disconnect();
    return {
        frames: frames / passed, worst, long: long / passed / 10, lines: (lines.next - first) / passed,
        heap: performance.memory.usedJSHeapSize / 2 ** 20, held: lines.count,
    };
}"""

# What has come of the flood: lines, those that markers tell of, and the first and the last number.
COUNTED = """async () => {
    const src = document.querySelector('script[type=module]').src;
    const { own } = await import(new URL('pages.js', src));
    const { lines } = own.pane.reading;
    let shown = 0, told = 0, first = 0, last = 0;
    for (let row = lines.first; row < lines.next; row += 1) {
        if (lines.kind(row) === 1) { if (first) told += lines.missing(row); }
        else if (lines.kind(row) === 0) { shown += 1; first ||= lines.number(row); last = lines.number(row); }
    }
    return { shown, told, lost: last - first + 1 - shown - told, last };
}"""


@contextmanager
def flood(rate: int) -> Iterator[Daemon]:
    """A daemon with the console and a process that writes so many lines a second."""
    with tempfile.TemporaryDirectory(prefix="flood-") as name:
        folder = Path(name)
        (folder / "writer.py").write_text(WRITER)
        ini = INI.format(port=free_port(), python=sys.executable, folder=folder, rate=rate)
        with Daemon(ini, folder) as daemon:
            yield daemon


@contextmanager
def log(daemon: Daemon) -> Iterator[Page]:
    """The page of the flood's log, in a browser."""
    link = daemon.call("weblink")["link"]
    with chromium() as browser, opened(browser, link) as page:
        page.get_by_text("live", exact=True).wait_for(state="attached")
        page.goto(page.url + "logs/?w=flood")
        page.locator(".rows .tx").first.wait_for()
        yield page


def load() -> str:
    return "load of the machine " + " ".join(f"{n:.1f}" for n in os.getloadavg())


def shares(daemon: Daemon) -> dict[str, psutil.Process]:
    (console,) = daemon.pids("circushttpd")
    return {"circusd": psutil.Process(daemon.pid), "circushttpd": psutil.Process(console)}


def told(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in figures.items()
    )


def inject(seconds: float = 20, rate: int = 100_000) -> None:
    """Lines that are made in the page itself."""
    with flood(1) as daemon, log(daemon) as page:
        print("inject:", told(page.evaluate(MEASURE, [seconds, rate])), "|", load())


def way(seconds: float = 20, rate: int = 20_000) -> None:
    """Lines that a process writes: from its pipe by circusd and the console to the page."""
    with flood(rate) as daemon, log(daemon) as page:
        measured = shares(daemon)
        for process in measured.values():
            process.cpu_percent()
        figures = page.evaluate(MEASURE, [seconds, 0])
        used = {name: process.cpu_percent() for name, process in measured.items()}
        print("way:", told(figures), "|", told(page.evaluate(COUNTED)), "| CPU %", told(used), "|", load())


def heap(minutes: float = 5, rate: int = 20_000) -> None:
    """The memory of the page, each half minute, after a collection."""
    with flood(rate) as daemon, log(daemon) as page:
        session = page.context.new_cdp_session(page)
        for _ in range(int(minutes * 2) + 1):
            session.send("HeapProfiler.collectGarbage")
            used = session.send("Runtime.getHeapUsage")["usedSize"] / (1 << 20)
            print(f"heap: {used:.1f} MiB,", told(page.evaluate(COUNTED)), "|", load(), flush=True)
            page.wait_for_timeout(30_000)


class Client:
    """What a browser does with a log, and no more: reads frames, finds the newest time, acknowledges."""

    def __init__(self, port: int, cookie: str, *, watcher: str = "flood", reads: bool = True) -> None:
        self.watcher = watcher
        self.reads = reads
        self.delays: list[float] = []
        self.lines = 0
        self.sock = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET /d/circus/live/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nCookie: {cookie}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self._buffer = b""
        self._owed, self._acknowledged = 0, 0.0
        self._upgraded = False
        self._is_open = False

    def send(self, text: str) -> None:
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2)
        # A mask of zeros changes nothing, and is one.
        self.sock.sendall(b"\x81" + size + bytes(4) + data)

    def receive(self) -> None:
        self._buffer += self.sock.recv(1 << 20)
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head, head
            self._upgraded, self._buffer = True, rest
        at = 0
        data = self._buffer
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size == 126:
                size, begin = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, begin = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < begin + size:
                break
            self._frame(data[begin : begin + size])
            at = begin + size
        self._buffer = data[at:]

    def _frame(self, text: bytes) -> None:
        if text[:1] == b"0":
            self.send("40")
        elif text == b"2":
            self.send("3")
        elif text.startswith(b'42["up"') and not self._is_open:
            self._is_open = True
            self.send(f"42{json.dumps(['open', {'key': 1, 'watchers': [self.watcher], 'lines': 0}])}")
        elif found := re.match(rb'42\["live",(\d+),', text):
            now = time.time()
            self._owed += len(text)
            if self.reads and (self._owed > ACK_BYTES or now > self._acknowledged + ACK_SECONDS):
                self._owed, self._acknowledged = 0, now
                self.send(f'42["ack",{int(found[1])}]')
            # The newest line of each push: how long it took to come here.
            for push in text.split(b'"watcher":"%s"' % self.watcher.encode())[1:]:
                at = push.rfind(b"at=")
                if at >= 0:
                    self.delays.append(now - float(push[at + 3 : at + 20]))
                    self.lines += push.count(b"at=")


def cookies_of(daemon: Daemon, people: int) -> tuple[int, list[str]]:
    """The console's port, and a cookie of a session of each of so many people."""
    import http.client

    found = re.match(r"http://127\.0\.0\.1:(\d+)/", daemon.call("weblink")["link"])
    assert found
    port, cookies = int(found[1]), []
    for number in range(people):
        who = {"person": f"person{number}", "password": "as long as it has to be"}
        daemon.call("addperson", role="viewer", **who)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        headers = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
        connection.request("POST", "/login", json.dumps(who), headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        cookies.append(str(answer.headers["Set-Cookie"]).partition(";")[0])
    return port, cookies


def clients(
    count: int = 100, rate: int = 2_000, seconds: float = 20, people: int = 10, stalled: int = 0
) -> None:
    """So many pages of so many people that follow one log; some of them never read."""
    with flood(rate) as daemon:
        port, cookies = cookies_of(daemon, people)
        measured = shares(daemon)
        made = [Client(port, cookies[number % people]) for number in range(count)]
        selector = selectors.DefaultSelector()
        for client in made:
            selector.register(client.sock, selectors.EVENT_READ, client)

        def serve(until: float) -> None:
            while time.monotonic() < until:
                for key, _ in selector.select(0.05):
                    key.data.receive()

        eventually(
            lambda: (serve(time.monotonic() + 0.5), all(client.lines for client in made))[1],
            within=60,
            what="all follow",
        )
        serve(time.monotonic() + 2)
        before = {name: process.memory_info().rss for name, process in measured.items()}
        deaf = [Client(port, cookies[0], reads=False) for _ in range(stalled)]
        for client in deaf:
            # It says what a page says, and then neither reads nor acknowledges.
            eventually(lambda client=client: (client.receive(), client._is_open)[1], what="it is open")
        for client in made:
            client.delays.clear()
            client.lines = 0
        for process in measured.values():
            process.cpu_percent()
        serve(time.monotonic() + seconds)
        used = {name: process.cpu_percent() for name, process in measured.items()}
        grown = {
            name: (process.memory_info().rss - before[name]) / (1 << 20) for name, process in measured.items()
        }
        delays = sorted(delay for client in made for delay in client.delays)
        figures = {
            "clients": count,
            "people": people,
            "stalled": stalled,
            "lines/s of each": sum(client.lines for client in made) / count / seconds,
            "p50 ms": delays[len(delays) // 2] * 1000,
            "p99 ms": delays[len(delays) * 99 // 100] * 1000,
        }
        print("clients:", told(figures), "| CPU %", told(used), "| grown MiB", told(grown), "|", load())
        for client in made + deaf:
            client.sock.close()


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    numbers = [float(word) if "." in word else int(word) for word in sys.argv[2:]]
    tools = {"inject": inject, "way": way, "heap": heap, "clients": clients}
    if what == "stalled":
        clients(5, 20_000, 20, stalled=1)
    elif what in tools:
        tools[what](*numbers)
    else:
        print(__doc__)
