"""Where ``circusctl`` begins: what a shell asks at each press of Tab is answered before the rest is imported."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the line of this process; returns the exit code."""
    if sys.argv[1:2] == ["--names"]:
        from circusd.cli.names import main as names

        return names(sys.argv[2:])
    if "AUTO_COMPLETE" in os.environ:
        from circusd.cli.prompt import complete_for_the_original

        return complete_for_the_original(os.environ)
    from circusd.cli.circusctl import main as circusctl

    return circusctl()


if __name__ == "__main__":
    sys.exit(main())
