"""How soon an application of ten watchers is up, beside what its critical chain takes by itself: run by hand; see CONTRIBUTING.rst.

``python -m tests.soak.application [--times 3]`` prints for each start what it took, the chain, and what circusd has added.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.daemon import Daemon
from tests.waiting import eventually

PROGRAM = r"""
import os, socket, sys, time
name, seconds, kind = sys.argv[1:]
time.sleep(float(seconds))
# Since when it is a process, its interpreter's start included: that is its own time too.
since = int(open("/proc/self/stat").read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
with open(os.path.dirname(__file__) + "/" + name + ".took", "w") as took:
    took.write(str(time.clock_gettime(time.CLOCK_BOOTTIME) - since))
if kind == "task":
    os._exit(0)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
    told.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
time.sleep(10000)
"""

WATCHERS = {
    "db": (2.0, ""),
    "cache": (0.8, ""),
    "queue": (1.2, ""),
    "metrics": (0.4, ""),
    "migrate": (1.5, "db"),
    "api": (1.0, "db cache migrate:completed_successfully"),
    "web": (0.5, "api"),
    "worker-mail": (0.6, "queue db migrate:completed_successfully"),
    "worker-pictures": (0.7, "queue cache migrate:completed_successfully"),
    "scheduler": (0.3, "queue:started worker-mail:started"),
}
"""By name: seconds from its start until it is ready (of the task: until it ends), and what it needs."""

MOST = 1.05


def configuration(folder: Path) -> str:
    """One section for each."""
    (folder / "program.py").write_text(PROGRAM)
    sections = []
    for name, (seconds, needs) in WATCHERS.items():
        task = name == "migrate"
        cmd = f"cmd = {sys.executable} -S -E {folder}/program.py {name} {seconds} {'task' if task else 'service'}"
        kind = "respawn = false" if task else "ready = notify"
        sections.append(f"[watcher:{name}]\n{cmd}\n{kind}\n" + (f"depends_on = {needs}\n" if needs else ""))
    return "\n".join(sections)


def is_up(daemon: Daemon) -> bool:
    """Whether nothing is on its way any more."""
    return bool(daemon.call("timeline")["under_way"] == 0)


def main() -> int:
    """Several starts; 1 when one took more than the chain and 5 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    slow = 0
    for _ in range(parser.parse_args().times):
        with tempfile.TemporaryDirectory(prefix="circus-application-") as name:
            folder = Path(name)
            with Daemon(configuration(folder), folder) as daemon:
                eventually(partial(is_up, daemon), within=60, what="all are up")
                told = daemon.call("timeline")
            own = {one: float((folder / f"{one}.took").read_text()) for one in told["chain"]}
        alone = sum(own.values())
        slow += told["took"] > MOST * alone
        added = 100 * (told["took"] / alone - 1)
        chain = " → ".join(f"{one} {seconds:.3f}" for one, seconds in own.items())
        print(f"up in {told['took']:.3f} s; {chain}: {alone:.3f} s by themselves, {added:+.1f} %", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
