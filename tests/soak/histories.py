"""Ten thousand random histories of each kind: run by hand; see CONTRIBUTING.rst.

``python -m tests.soak.histories [--number 10000] [--first 0] [--kind NAME] [--jobs 2]`` prints how many kept what is promised. A
history is its number: one that failed is run again by ``--first NUMBER --number 1``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.histories import KINDS

BLOCK = 100
"""Histories that a process is given at a time."""


def play(kind: str, seeds: range) -> list[tuple[int, str]]:
    """The numbers of those that have failed, each with why."""
    wrong = []
    for seed in seeds:
        try:
            KINDS[kind](seed)
        except AssertionError:
            wrong.append((seed, traceback.format_exc()))
    return wrong


def main() -> int:
    """All of them; 1 when one has failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=tuple(KINDS))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    failed, end = 0, asked.first + asked.number
    blocks = [range(first, min(end, first + BLOCK)) for first in range(asked.first, end, BLOCK)]
    with ProcessPoolExecutor(asked.jobs) as pool:
        for kind in KINDS if asked.kind is None else (asked.kind,):
            began = time.monotonic()
            wrong = [one for found in pool.map(partial(play, kind), blocks) for one in found]
            if wrong:
                print(wrong[0][1], file=sys.stderr)
            failed += len(wrong)
            seeds = [seed for seed, _ in wrong]
            took = time.monotonic() - began
            print(
                f"{kind:14} {asked.number} histories in {took:.1f} s, failed: {len(wrong)} {seeds[:10] or ''}",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
