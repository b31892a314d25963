"""Deploys under load, as many as one likes: run by hand; see CONTRIBUTING.rst.

``python -m tests.soak.deploys [--backend NAME] [--times 20] [--clients 16] [--workers 2]`` prints what has become of each request.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.clients import Clients
from tests.deploys import Site, deploys, goes_on, scaled, times
from tests.waiting import eventually


def main() -> int:
    """Each kind of change under load; 1 when a request was lost where none may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="fastgevent")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="circus-deploys-") as folder:
        site = Site(Path(folder), asked.backend, asked.workers)
        with site.daemon:
            site.wait_until_it_serves(asked.workers)
            for name, act, may_lose in _kinds(site, asked.times, asked.workers):
                with Clients(site.port, asked.clients) as clients:
                    goes_on(clients)
                    act(clients)
                    goes_on(clients)
                wrong = {k: n for k, n in clients.failed.items() if k not in may_lose}
                lost += sum(wrong.values())
                print(
                    f"{name:28} {clients.answered:8} answered, slowest {clients.slowest:5.2f} s, "
                    f"failed: {clients.failed or 'none'}",
                    flush=True,
                )
    return 1 if lost else 0


def _kinds(
    site: Site, number: int, workers: int
) -> list[tuple[str, Callable[[Clients], None], tuple[str, ...]]]:
    cut_off = ("reset", "empty", "cut")

    def kill() -> None:
        pid = site.daemon.pids("web")[0]
        site.daemon.ctl("signal", "web", str(pid), "KILL")
        eventually(lambda: pid not in site.daemon.pids("web"), within=60)

    def broken(clients: Clients) -> None:
        site.break_it()
        for _ in range(number):
            done = site.daemon.ctl("reload", "web", "--waiting", check=False, timeout=120)
            assert done.returncode == 3, done
            goes_on(clients)
        site.write(1)

    return [
        ("reload", lambda c: deploys(site, c, number), ()),
        ("reload --sequential", lambda c: deploys(site, c, number, "--sequential"), ()),
        ("reload --batch 2", lambda c: deploys(site, c, number, "--batch", "2"), ()),
        ("reload of a broken version", broken, ()),
        ("numprocesses", lambda c: scaled(site, c, (*(4, 1, 3) * max(1, number // 3), workers)), ()),
        ("reloadconfig, other socket", lambda c: times(number, site.move_other_socket, c), ()),
        (
            "restart",
            lambda c: times(number, lambda: site.daemon.ctl("restart", "web", "--waiting", timeout=120), c),
            (),
        ),
        ("kill of a worker", lambda c: times(number, kill, c), cut_off),
    ]


if __name__ == "__main__":
    sys.exit(main())
