"""A web application on an inherited socket: ``web.py DESCRIPTOR WID``. Logs each request in colour."""

from __future__ import annotations

import html
import os
import random
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WID = sys.argv[2]
PLACES = ("Lisbon", "Oslo", "Kyoto", "Nairobi", "Lima", "Wellington")
COLOURS = ((500, "\x1b[31m"), (400, "\x1b[33m"), (300, "\x1b[36m"), (0, "\x1b[32m"))


class Server(ThreadingHTTPServer):
    """Accepts on the descriptor that was handed down."""

    daemon_threads = True

    def __init__(self, fd: int) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=fd)


class Handler(BaseHTTPRequestHandler):
    """A few pages: a list, one place, a slow search, one that fails."""

    def do_GET(self) -> None:
        self.began = time.monotonic()
        path = self.path.partition("?")[0]
        if path == "/":
            self.page(200, "places", "".join(f'<li><a href="/place/{p}">{p}</a>' for p in PLACES))
        elif path.startswith("/place/") and path[7:] in PLACES:
            time.sleep(random.uniform(0.002, 0.02))
            self.page(200, path[7:], f"<p>{random.randint(-5, 35)} degrees")
        elif path == "/search":
            time.sleep(random.uniform(0.1, 0.6))
            self.page(200, "found", f"<p>{random.randint(0, 90)} places")
        elif path == "/old":
            self.page(301, "moved", "")
        elif path == "/broken":
            print(f"\x1b[31mERROR\x1b[0m no answer from the weather service (worker {WID})", file=sys.stderr)
            self.page(500, "sorry", "<p>try again")
        else:
            self.page(404, "not here", "")

    def page(self, status: int, title: str, body: str) -> None:
        data = (
            f"<!doctype html><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1>{body}".encode()
        )
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        if status == 301:
            self.send_header("Location", "/")
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        status = int(code)
        colour = next(c for least, c in COLOURS if status >= least)
        took = (time.monotonic() - self.began) * 1000
        print(f"{colour}{status}\x1b[0m {self.command} {self.path} \x1b[2m{took:.0f} ms, worker {WID}\x1b[0m")


if __name__ == "__main__":
    server = Server(int(sys.argv[1]))
    print(f"worker {WID} (pid {os.getpid()}) takes requests at {server.socket.getsockname()[1]}")
    server.serve_forever()
