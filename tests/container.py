"""circusd as the first process of a PID namespace, as it is in a container."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.daemon import Daemon
from tests.faults.measures import offspring


class InitDaemon(Daemon):
    """A daemon that is PID 1 of a namespace of its own."""

    @property
    def pid(self) -> int:
        assert self.popen is not None
        found = offspring(self.popen.pid)
        assert len(found) == 1
        return found.pop()

    def command(self) -> list[str]:
        return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *super().command()]

    def stop(self, signum: int = signal.SIGTERM, within: float = 20) -> int:
        assert self.popen is not None
        if self.popen.poll() is None:
            os.kill(self.pid, signum)
        return super().stop(0, within)


def can_be_init() -> bool:
    """Whether namespaces may be made here."""
    try:
        return not subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False
        ).returncode
    except OSError:
        return False
