"""Works on jobs and logs JSON, one object a line: ``worker.py WID``. Ends its job in order when it is told to stop."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

KINDS = ("thumbnail", "invoice", "newsletter", "import")
stopping = threading.Event()


def log(level: str, message: str, **fields: Any) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "level": level, "message": message, "worker": int(sys.argv[1]), **fields}))


def stop(signum: int, frame: object) -> None:
    stopping.set()


def work(number: int) -> None:
    kind = random.choice(KINDS)
    began = time.monotonic()
    until = began + random.uniform(0.02, 0.25)
    digest = b""
    while time.monotonic() < until:
        digest = hashlib.sha256(digest * 500 + b"work").digest()
    took = round((time.monotonic() - began) * 1000)
    log("warning" if took > 220 else "info", f"{kind} done", job=number, ms=took)
    if random.random() < 0.02:
        log("error", f"{kind} could not be stored", job=number, reason="disk quota exceeded")
        raise RuntimeError(f"job {number} ({kind}): disk quota exceeded")


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    log("info", "worker starts")
    cache: list[bytes] = []
    number = random.randrange(1000, 9000)
    while not stopping.is_set():
        number += 1
        work(number)
        # Memory that grows and is given back.
        cache = [] if len(cache) > 40 else [*cache, bytes(200_000)]
        stopping.wait(random.uniform(0.5, 2.5))
    log("info", "worker ends in order")


if __name__ == "__main__":
    main()
