"""Random histories by their number, as many as there is time for; ``python -m tests.soak.histories`` runs ten thousand of each."""

from __future__ import annotations

import pytest

from tests.histories import KINDS

ONCE_FAILED = {"back-off": (133, 291, 6820), "readiness": (61, 409)}
"""Of those that are run by hand alone."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_hold_does_in_each_history(kind: str) -> None:
    """The same numbers are the same histories each time."""
    for seed in (*range(60), *ONCE_FAILED.get(kind, ())):
        try:
            KINDS[kind](seed)
        except AssertionError as error:
            raise AssertionError(f"history {seed} of {kind}") from error
