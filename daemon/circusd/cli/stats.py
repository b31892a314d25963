"""``circusd-stats``: kept as a name, so that files and scripts which start it go on working.

The original's samples the processes and publishes what it finds. Here the daemon does both by itself, and only while
somebody listens; this program stays until it is told to end, as whoever starts it expects.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from circusd.version import __version__

_TAKES_VALUE = (
    "--endpoint",
    "--pubsub",
    "--statspoint",
    "--log-level",
    "--log-output",
    "--ssh",
    "--ssh_keyfile",
)
_USAGE = (
    "usage: circusd-stats [--endpoint E] [--pubsub E] [--statspoint E] [--log-level L] [--log-output F] "
    "[--ssh S] [--ssh_keyfile F] [--version]"
)
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Wait for a signal to end; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    while words:
        name, equals, _ = words.pop(0).partition("=")
        if name == "--version":
            print(__version__)
            return 0
        if name in ("--help", "-h"):
            print(
                f"{_USAGE}\n\nDoes nothing: circusd samples and publishes by itself. Its options are accepted."
            )
            return 0
        if name not in _TAKES_VALUE or not (equals or words):
            print(f"{_USAGE}\ncircusd-stats: error: unrecognized arguments: {name}", file=sys.stderr)
            return 2
        if not equals:
            words.pop(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    print(
        "circusd-stats: not needed any more: circusd samples by itself and publishes on its stats endpoint",
        file=sys.stderr,
        flush=True,
    )
    signal.sigwait(_ENDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
