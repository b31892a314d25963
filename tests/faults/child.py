"""Processes that misbehave: ``python child.py VERB [ARGUMENT…]``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path


def flood(size: str) -> None:
    """So many bytes of lines, as fast as they are taken; then it waits."""
    line = b"x" * 99 + b"\n"
    block = line * 656
    left = int(size)
    while left > 0:
        left -= os.write(1, block[: min(left, len(block))])
    while True:
        signal.pause()


def clock(every: str) -> None:
    """A line with the monotonic time, again and again."""
    while True:
        os.write(1, f"{time.monotonic():.6f}\n".encode())
        time.sleep(float(every))


def clock_until(every: str, path: str) -> None:
    """The same until the file is there, and then the last line says so."""
    while not os.path.exists(path):
        os.write(1, f"{time.monotonic():.6f}\n".encode())
        time.sleep(float(every))
    os.write(1, b"over\n")


def numbers(path: str, count: str) -> None:
    """Numbered lines, from where the file says; the number is in the file before the line is written.

    At the end of so many lines the process ends; it is ended by itself too, in the middle of everything.
    """
    start = int(Path(path).read_text("ascii")) if os.path.exists(path) else 0
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for number in range(start, start + int(count)):
        os.write(1, f"{number:09d} {'.' * (number % 80)}\n".encode())
        os.pwrite(fd, b"%09d" % (number + 1), 0)
    os.kill(os.getpid(), signal.SIGKILL)


def numbers_for_ever(path: str) -> None:
    """Numbered lines until it is killed; how many were written whole is in the file, give or take the last one."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    number = 0
    while True:
        os.write(1, f"{number:09d} {'.' * (number % 80)}\n".encode())
        number += 1
        os.pwrite(fd, b"%09d" % number, 0)


def steady(path: str, size: str, every: str) -> None:
    """A numbered line of so many bytes each so many seconds; the file says how many have been taken from it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    number = 0
    while True:
        line = f"{number:09d} ".encode().ljust(int(size) - 1, b".") + b"\n"
        while line:
            line = line[os.write(1, line) :]
        number += 1
        os.pwrite(fd, b"%09d" % number, 0)
        time.sleep(float(every))


def forks(path: str) -> None:
    """A chain of three, each in a session of its own; and one whose parent is gone, in the first one's session.

    The middle one ends on SIGTERM, the others do not hear it.
    """
    if os.fork() == 0:
        if os.fork() == 0:
            stay(path)
        os._exit(0)
    os.wait()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            stay(path)
        note(path)
        signal.pause()
    stay(path)


def stay(path: str) -> None:
    """As long as it is not killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(path)
    while True:
        signal.pause()


def deaf(path: str) -> None:
    """It hears nothing that can be ignored."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    note(path)
    while True:
        signal.pause()


def note(path: str) -> None:
    """The pid is a line of the file."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, f"{os.getpid()}\n".encode())
    os.close(fd)


def orphans(path: str, count: str) -> None:
    """So many grandchildren without a parent that end soon; then the file says so."""
    for _ in range(int(count)):
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.2)
            os._exit(0)
        os.wait()
    note(path)
    while True:
        signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
