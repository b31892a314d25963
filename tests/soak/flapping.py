"""What a watcher costs whose processes die again and again, and what others notice of it: run by hand.

``python -m tests.soak.flapping [PROCESSES] [SECONDS]``, see CONTRIBUTING.rst. The processor time is the scheduler's own count, which other
work on the machine hardly changes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.daemon import Daemon
from tests.faults.measures import processor_seconds, wakeups
from tests.soak.logs import load, told
from tests.soak.stats import Pings, console
from tests.waiting import eventually

KINDS = {"as it is": "", "never later than 5 s": "backoff_max = 5\n"}
"""Options of the watcher: those that nobody has set, and ones with which it never comes to rest."""


TOPICS = ("state.", "load.", "event.")
"""What the page of a watcher follows."""


AT_REST = 100
"""Answers for which is measured what the asking alone costs, before the watcher is started."""


def at_rest(daemon: Daemon) -> float:
    """What circusd takes where nothing dies, asked and looked at likewise, as a share of a core in per cent."""
    pings, used, began = Pings(daemon, every=0.1), processor_seconds(daemon.pid), time.monotonic()
    eventually(lambda: len(pings.took) >= AT_REST, within=60, every=0.5)
    pings.stop()
    return (processor_seconds(daemon.pid) - used) * 100 / (time.monotonic() - began)


def measure(daemon: Daemon, name: str, seconds: float) -> dict[str, float]:
    """From the start of the watcher on."""
    resting = at_rest(daemon)
    others = daemon.pids("calm")
    used, woken, began = processor_seconds(daemon.pid), wakeups(daemon.pid), time.monotonic()
    daemon.call("start", name=name)
    pings = Pings(daemon, every=0.1)
    time.sleep(seconds)
    waits = pings.stop()
    lasted = time.monotonic() - began
    used, woken = processor_seconds(daemon.pid) - used, wakeups(daemon.pid) - woken
    assert daemon.pids("calm") == others
    starts = sum(process["starts"] for process in daemon.watcher(name)["processes"])
    return {
        "% of a core": used * 100 / lasted,
        "of that at rest": resting,
        "starts": starts,
        "ms each": used * 1000 / starts,
        "wake-ups/s": woken / lasted,
        **waits,
    }


def flapping(processes: int = 50, seconds: float = 60) -> None:
    """A watcher that dies at once, with nobody looking and with somebody, beside one that runs."""
    viewers: dict[str, Callable[[Daemon], AbstractContextManager[None]]] = {
        "nobody looks": lambda daemon: nullcontext(),
        "its page is open": lambda daemon: console(daemon, TOPICS),
    }
    for kind, options in KINDS.items():
        for viewer, looking in viewers.items():
            ini = "[watcher:calm]\ncmd = sleep 100000\nnumprocesses = 20\n"
            ini += f"[watcher:ill]\ncmd = false\nautostart = no\nnumprocesses = {processes}\n{options}"
            with (
                tempfile.TemporaryDirectory(prefix="flapping-") as folder,
                Daemon(ini, Path(folder)) as daemon,
            ):
                eventually(lambda: len(daemon.pids("calm")) == 20, within=60)
                with looking(daemon):
                    figures = measure(daemon, "ill", seconds)
            print(f"{kind}, {viewer}:", told(figures), "|", load(), flush=True)


if __name__ == "__main__":
    flapping(*(int(word) for word in sys.argv[1:3]))
