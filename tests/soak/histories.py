"""Ten thousand random histories of each kind: run by hand; see CONTRIBUTING.rst.

``python -m tests.soak.histories [--number 10000] [--first 0] [--kind NAME]`` prints how many kept what is promised. A history is its
number: one that failed is run again by ``--first NUMBER --number 1``.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.histories import KINDS


def main() -> int:
    """All of them; 1 when one has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=tuple(KINDS))
    asked = parser.parse_args()
    failed = 0
    for kind, play in KINDS.items():
        if asked.kind not in (None, kind):
            continue
        began, wrong = time.monotonic(), []
        for seed in range(asked.first, asked.first + asked.number):
            try:
                play(seed)
            except AssertionError:
                wrong.append(seed)
                if len(wrong) == 1:
                    traceback.print_exc()
        failed += len(wrong)
        took = time.monotonic() - began
        print(
            f"{kind:14} {asked.number} histories in {took:.1f} s, failed: {wrong[:10] or 'none'}", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
