"""A daemon in a network of its own, for files that name ports which somebody else may use."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.daemon import Daemon


class InNamespace(Daemon):
    """A daemon whose network is its own loopback."""

    def command(self) -> list[str]:
        words = ["unshare", "-n"] if os.getuid() == 0 else ["unshare", "-rn"]
        return [*words, "sh", "-c", 'ip link set lo up; exec "$0" "$@"', *super().command()]

    def entering(self) -> list[str]:
        """The words before a command that has to run in the daemon's network."""
        words = ["nsenter", "-t", str(self.pid), "-n"]
        return words if os.getuid() == 0 else [*words, "-U", "--preserve-credentials"]

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


class Neighbour:
    """Another machine, as far as the network goes: a namespace of its own, with a cable to that of a daemon. Takes root."""

    HERE, THERE = "10.77.0.2", "10.77.0.1"
    """Its own address, and that of the daemon's end."""

    def __init__(self, daemon: InNamespace) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up; echo up; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None and self._holder.stdout.readline() == b"up\n"
        self._words = ["nsenter", "-t", str(self._holder.pid), "-n"]
        names = f"near{self._holder.pid}", f"far{self._holder.pid}"
        self._run([*self._words, "ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]])
        self._run([*self._words, "ip", "link", "set", names[1], "netns", str(daemon.pid)])
        for words, name, address in (
            (self._words, names[0], self.HERE),
            (daemon.entering(), names[1], self.THERE),
        ):
            self._run([*words, "ip", "addr", "add", f"{address}/24", "dev", name])
            self._run([*words, "ip", "link", "set", name, "up"])

    @staticmethod
    def _run(words: list[str]) -> None:
        subprocess.run(words, check=True, timeout=20)

    def entering(self, *words: str) -> list[str]:
        """The words of a command that has to run there."""
        return [*self._words, *words]

    def close(self) -> None:
        """The machine is gone, and the cable with it."""
        assert self._holder.stdin is not None and self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.wait(20)
        self._holder.stdout.close()
