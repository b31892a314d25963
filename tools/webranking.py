"""Ranks the ways to serve a web application: requests a second of each, against gunicorn as its own manager.

    .venv/bin/python tools/webranking.py [--rounds 7] [--seconds 4] [--connections 32]

Needs wrk (Debian's package of that name) and the packages of the group ``test``. All are asked in turn in each round, so that
what else the machine does hits them alike; the table has the median of each one's ratio to gunicorn in the same round. Prints
the table as ``docs/webapps.rst`` has it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
WORKERS = 2
APPLICATION = """
def app(environ, start_response):
    body = b"hello world\\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"12")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello world\\n"})
"""
YARDSTICK = "gunicorn -k gevent -w 2, without circusd"
CHAUSSETTE = "chaussette --fd $(circus.sockets.web) --backend"
CONTENDERS = {
    YARDSTICK: "",
    "chaussette --backend gevent": f"{CHAUSSETTE} gevent shop.app",
    "chaussette --backend fastgevent": f"{CHAUSSETTE} fastgevent shop.app",
    "chaussette --backend waitress": f"{CHAUSSETTE} waitress shop.app",
    "chaussette --backend tornado": f"{CHAUSSETTE} tornado --log-level warning shop.app",
    "chaussette --backend eventlet": f"{CHAUSSETTE} eventlet --log-level warning shop.app",
    "chaussette --backend uvicorn (ASGI)": f"{CHAUSSETTE} uvicorn --log-level warning shop.asgi",
    "gunicorn -k gevent -w 1, two of circusd's": "gunicorn -k gevent -w 1 -b fd://$(circus.sockets.web) shop:app",
}


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(command: str, folder: Path) -> Iterator[int]:
    """The port at which the contender answers; it is ended afterwards."""
    port = free_port()
    if command:
        (folder / "circus.ini").write_text(
            f"[watcher:web]\ncmd = {command}\nuse_sockets = True\nnumprocesses = {WORKERS}\nworking_dir = {folder}\n"
            f"copy_env = True\ncopy_path = True\n[socket:web]\nhost = 127.0.0.1\nport = {port}\n"
        )
        words = [str(BIN / "circusd"), "--name", "ranking", str(folder / "circus.ini")]
    else:
        words = [
            str(BIN / "gunicorn"),
            "-k",
            "gevent",
            "-w",
            str(WORKERS),
            "-b",
            f"127.0.0.1:{port}",
            "shop:app",
        ]
    environ = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "CIRCUS_RUNTIME_DIR": str(folder),
        "CIRCUS_STATE_DIR": str(folder / "state"),
    }
    with (folder / "out").open("wb") as out:
        popen = subprocess.Popen(words, cwd=folder, env=environ, stdout=out, stderr=out)
    try:
        _wait_until_it_answers(port, popen, folder)
        yield port
    finally:
        popen.send_signal(signal.SIGTERM)
        popen.wait(60)


def _wait_until_it_answers(port: int, popen: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and popen.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as client:
            client.settimeout(5)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if b"200" in client.recv(100):
                # Those that are not up yet.
                time.sleep(1)
                return
        time.sleep(0.1)
    sys.exit(f"it does not answer: {(folder / 'out').read_text()[-2000:]}")


def requests_per_second(port: int, seconds: int, connections: int) -> float:
    """What wrk says."""
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None:
        sys.exit(f"wrk says: {said}")
    return float(found[1])


def table(rates: dict[str, list[float]]) -> str:
    """The ranking, best first."""
    ratios = {
        name: statistics.median(rate / base for rate, base in zip(found, rates[YARDSTICK], strict=True))
        for name, found in rates.items()
    }
    width = max(map(len, ratios)) + 4
    rule = f"{'=' * width}  =====\n"
    rows = [
        f"{f'``{name}``':{width}}  {ratio:.2f}\n"
        for name, ratio in sorted(ratios.items(), key=lambda pair: -pair[1])
    ]
    return rule + "".join(rows) + rule


def main() -> int:
    """Print each figure as it comes, and the table."""
    parser = argparse.ArgumentParser(description="Rank the ways to serve a web application.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.rounds):
        for name, command in CONTENDERS.items():
            with tempfile.TemporaryDirectory(prefix="ranking-") as place:
                (Path(place) / "shop.py").write_text(APPLICATION)
                with served(command, Path(place)) as port:
                    rate = requests_per_second(port, arguments.seconds, arguments.connections)
            rates[name].append(rate)
            sys.stderr.write(f"{rate:9.0f}  {name}\n")
    sys.stdout.write(table(rates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
