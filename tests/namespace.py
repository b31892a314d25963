"""A daemon in a network of its own, for files that name ports which somebody else may use."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.daemon import Daemon


class InNamespace(Daemon):
    """A daemon whose network is its own loopback; of an ordinary user too, in a user namespace of its own."""

    def command(self) -> list[str]:
        words = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
        return [*words, "sh", "-c", 'ip link set lo up; exec "$0" "$@"', *super().command()]

    def entering(self) -> list[str]:
        """The words before a command that has to run in the daemon's network."""
        return into_network_of(self.pid)

    def inside(self, code: str) -> str:
        """What a Python program prints that runs in the daemon's network."""
        done = subprocess.run(
            [*self.entering(), sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def into_network_of(pid: int) -> list[str]:
    """The words before a command that has to run in the network of that process."""
    words = ["nsenter", "-t", str(pid), "-n"]
    return words if os.getuid() == 0 else [*words, "-U", "--preserve-credentials"]


class Neighbour:
    """Another machine, as far as the network goes: a namespace of its own, with a cable to that of a daemon.

    For an ordinary user it is in the daemon's user namespace, whose root may lay cables between networks.
    """

    HERE, THERE = "10.77.0.2", "10.77.0.1"
    """Its own address, and that of the daemon's end."""

    def __init__(self, daemon: InNamespace) -> None:
        self._holder = subprocess.Popen(
            [*daemon.entering(), "unshare", "-n", "sh", "-c", "ip link set lo up; echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"up\n"
        self._words = into_network_of(self._holder.pid)
        near, far = f"near{self._holder.pid}", f"far{self._holder.pid}"
        for words, line in (
            (self._words, f"link add name {near} type veth peer name {far}"),
            (self._words, f"link set {far} netns {daemon.pid}"),
            (self._words, f"addr add {self.HERE}/24 dev {near}"),
            (self._words, f"link set {near} up"),
            (daemon.entering(), f"addr add {self.THERE}/24 dev {far}"),
            (daemon.entering(), f"link set {far} up"),
        ):
            subprocess.run([*words, "ip", *line.split()], check=True, timeout=20)

    def entering(self, *words: str) -> list[str]:
        """The words of a command that has to run there."""
        return [*self._words, *words]

    def close(self) -> None:
        """The machine is gone, and the cable with it."""
        assert self._holder.stdin is not None and self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(20)
        self._holder.stdout.close()
