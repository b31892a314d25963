"""A process for tests to manage: ``python child.py VERB [ARGUMENT…]``."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time


def report(path: str) -> None:
    """What this process was given, as JSON into a file; then it waits."""
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    with open("/proc/self/status", encoding="ascii") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    mask = os.umask(0)
    data = {
        "fds": fds,
        "uid": os.getuid(),
        "euid": os.geteuid(),
        "gid": os.getgid(),
        "groups": sorted(os.getgroups()),
        "umask": mask,
        "cwd": os.getcwd(),
        "env": dict(os.environ),
        "sid": os.getsid(0),
        "pid": os.getpid(),
        "argv": sys.argv,
        "SigBlk": fields["SigBlk"],
        "SigIgn": fields["SigIgn"],
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "nproc": resource.getrlimit(resource.RLIMIT_NPROC),
    }
    with open(path + ".new", "w", encoding="utf-8") as out:
        json.dump(data, out)
    os.rename(path + ".new", path)
    wait()


def wait() -> None:
    """Until a signal ends it."""
    while True:
        signal.pause()


def deaf(path: str) -> None:
    """It does not hear SIGTERM; the file says that it is ready."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(path)
    wait()


def stubborn(path: str) -> None:
    """It writes down the signals that it gets, one a line, and goes on; the file is there once it is ready."""

    def note(signum: int, frame: object) -> None:
        with open(path, "a", encoding="ascii") as out:
            out.write(f"{signal.Signals(signum).name}\n")

    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(signum, note)
    open(path, "a", encoding="ascii").close()
    while True:
        signal.pause()


def family(path: str) -> None:
    """A child that has a child in a session of its own; their pids are in the file."""
    script = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
with open(sys.argv[1], "a") as out:
    out.write(f"{os.getpid()}\\n")
signal.pause()
"""
    subprocess.Popen([sys.executable, "-c", script, path])
    wait()


def say(path: str) -> None:
    """A line with the pid and the monotonic time is added to the file."""
    with open(path, "a", encoding="ascii") as out:
        out.write(f"{os.getpid()} {time.monotonic()}\n")


def mark(path: str, name: str) -> None:
    """Its name is added to the file at its start, and with a minus at its end."""

    def ended(signum: int, frame: object) -> None:
        note(f"-{name}")
        os._exit(0)

    def note(text: str) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(fd, f"{text}\n".encode())
        os.close(fd)

    signal.signal(signal.SIGTERM, ended)
    note(f"+{name}")
    wait()


def orphans(path: str, count: str) -> None:
    """So many grandchildren whose parent is gone, and that end soon; then the file says so."""
    for _ in range(int(count)):
        subprocess.run(["/bin/sh", "-c", "sleep 0.05 &"], check=True, stdin=subprocess.DEVNULL)
    say(path)
    wait()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
