"""The deadline helper says what it saw."""

from __future__ import annotations

import pytest

from tests.waiting import eventually


def test_first_true_value_is_returned() -> None:
    """It polls until a value is true and hands that on."""
    values = iter([0, "", "here"])
    assert eventually(lambda: next(values), every=0) == "here"


def test_last_value_is_shown() -> None:
    """Who reads the failure sees what was waited for and how far it came."""
    with pytest.raises(
        AssertionError, match=r"not within 0\.02 s: two rows; last seen after \d+ tries: \[\]"
    ):
        eventually(list, within=0.02, what="two rows")


def test_error_means_not_yet() -> None:
    """A file that is not there yet is waited for, and its error is shown at the deadline."""

    def missing() -> bool:
        raise FileNotFoundError("pid file")

    with pytest.raises(AssertionError, match=r"missing; .* FileNotFoundError\('pid file'\)"):
        eventually(missing, within=0.02)


def test_unexpected_error_is_not_hidden() -> None:
    """A mistake in the predicate fails at once."""
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)
