"""Runs one target under a coverage-guided fuzzer until it is told to stop: ``python -m tests.fuzz TARGET [OPTION ...]``.

Needs the package ``atheris``, which the tests do not; its options follow the target's name (``-max_total_time=60``).
"""

from __future__ import annotations

import os
import sys
import tempfile


def main() -> None:
    """Never returns: atheris ends the process."""
    import atheris

    with atheris.instrument_imports(include=["circusd"]):
        from tests.fuzz.targets import SEEDS, TARGETS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz TARGET [OPTION ...]; targets: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    corpus = tempfile.mkdtemp(prefix=f"fuzz-{name}-")
    for number, seed in enumerate(SEEDS[name]):
        with open(os.path.join(corpus, f"seed-{number}"), "wb") as file:
            file.write(seed)
    atheris.Setup([*sys.argv, corpus], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
