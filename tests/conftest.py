"""What holds for every test: it leaves nothing behind."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.leaks import holdings

HERE = Path(__file__).parent

# No gevent in these by the rules of the house, and thousands of quick tests: they are spared the walk of the heap.
WITHOUT_GREENLETS = ("unit", "kernel", "packaging")

# What is on its way out when a test ends (a thread that was told to, a socket that its peer closes) gets this long.
GRACE = 2.0


# A busy machine is slow, not wrong: how long an example takes is no promise of ours.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which there are more descriptors, threads, children or greenlets, and name them.

    Fixtures of a wider scope are made before this one looks for the first time and may hold what they need; those
    of one test are made after it and have to clean up.
    """
    green = request.path.relative_to(HERE).parts[0] not in WITHOUT_GREENLETS
    before = holdings(green=green)
    yield
    deadline = time.monotonic() + GRACE
    is_last = False
    while leaked := holdings(green=green).more_than(before):
        if is_last:
            pytest.fail("left behind:\n  " + "\n  ".join(leaked), pytrace=False)
        gc.collect()
        give_way(0.01)
        # Looked at once more after the time, however long the collection took: a thread that has been joined ends a moment later.
        is_last = time.monotonic() > deadline


def give_way(seconds: float) -> None:
    """Sleep, and let greenlets end meanwhile."""
    if "gevent" in sys.modules:
        import gevent

        gevent.sleep(seconds)
    else:
        time.sleep(seconds)
