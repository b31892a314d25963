"""Somebody who reads the pages of the web application: ``visitors.py DESCRIPTOR``, the socket that it listens on."""

from __future__ import annotations

import collections
import http.client
import random
import socket
import sys
import time

PATHS = ("/", "/place/Lisbon", "/place/Oslo", "/place/Kyoto", "/search?q=sun", "/old", "/nowhere", "/broken")
WEIGHTS = (30, 20, 15, 10, 10, 3, 3, 1)
REPORT = 10.0


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        host, port = listening.getsockname()[:2]
    print(f"visits http://{host}:{port}/")
    seen: collections.Counter[str] = collections.Counter()
    slowest, report_at = 0.0, time.monotonic() + REPORT
    while True:
        # Busier and calmer by turns, so that there is something to see in the graphs.
        time.sleep(random.expovariate(3 if time.monotonic() % 60 < 40 else 0.7))
        began = time.monotonic()
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            connection.request("GET", random.choices(PATHS, WEIGHTS)[0])
            seen[str(connection.getresponse().status)] += 1
        except OSError as problem:
            seen["failed"] += 1
            print(f"\x1b[33mno answer: {problem}\x1b[0m")
            time.sleep(1)
        finally:
            connection.close()
        slowest = max(slowest, time.monotonic() - began)
        if time.monotonic() >= report_at:
            counts = ", ".join(f"{count} × {what}" for what, count in sorted(seen.items()))
            print(f"{sum(seen.values())} visits in {REPORT:.0f} s: {counts}; slowest {slowest * 1000:.0f} ms")
            seen.clear()
            slowest, report_at = 0.0, time.monotonic() + REPORT


if __name__ == "__main__":
    main()
