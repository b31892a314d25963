"""Moments as people write them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from circusd.kernel.moments import moment

NOW = 1_772_373_909.5  # 2026-03-01 14:05:09.5 UTC


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    """Two hours east of Greenwich, whatever this machine has."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC-2"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("now", NOW),
        ("10 min ago", NOW - 600),
        ("90s ago", NOW - 90),
        ("1 h 30 minutes ago", NOW - 5400),
        ("-2h", NOW - 7200),
        ("2 weeks ago", NOW - 14 * 86400),
        ("0.5 d ago", NOW - 43200),
        ("1700000000.25", 1700000000.25),
        ("@1700000000", 1700000000.0),
        ("5", 5.0),
        ("2026-03-01T14:05:09Z", NOW - 0.5),
        ("2026-03-01 16:05:09", NOW - 0.5),
        ("2026-03-01 15:05:09+01:00", NOW - 0.5),
        ("16:05", NOW - 9.5),
        ("today", NOW - 0.5 - (16 * 3600 + 5 * 60 + 9)),
        ("Yesterday", NOW - 0.5 - (40 * 3600 + 5 * 60 + 9)),
        ("2026-03-01", NOW - 0.5 - (16 * 3600 + 5 * 60 + 9)),
    ],
)
def test_a_moment_is_what_a_person_means(text: str, told: float) -> None:
    """As seen from now, in the zone of this machine; seconds since 1970 may be few."""
    assert moment(text, NOW) == told


@pytest.mark.parametrize(
    "text",
    ["", "ago", "-", "soon", "25:00", "10 parsecs ago", "2026-02-30", "9" * 400, "1e9", "\x00", "5 min"],
)
def test_what_is_no_moment_is_told_with_examples(text: str) -> None:
    """However odd it is."""
    with pytest.raises(ValueError, match="expected such as 10 min ago"):
        moment(text, NOW)
