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
