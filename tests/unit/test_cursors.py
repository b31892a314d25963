"""Where a follower of lines is: what is written down is read again, and nothing else is taken for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circusweb import cursors
from circusweb.cursors import Cursors

MOMENTS = st.integers(0, 4_000_000_000_000).map(lambda milliseconds: round(milliseconds / 1000, 3))
KEYS = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.integers(1, 10_000),
    st.sampled_from(["stdout", "stderr"]),
)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    MOMENTS,
    MOMENTS,
    st.dictionaries(KEYS, st.integers(1, 1 << 40), max_size=8),
)
def test_what_is_written_is_read(
    epoch: str, since: float, latest: float, numbers: dict[cursors.Key, int]
) -> None:
    """Whatever the watchers are called; and it is one line of printable ASCII, as a header needs."""
    text = Cursors(epoch, since, latest, numbers).text
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert cursors.read(text) == Cursors(epoch, since, latest, numbers)


@given(st.text())
def test_anything_else_is_nothing(text: str) -> None:
    """No text that a client makes up is an error."""
    found = cursors.read(text)
    assert found is None or cursors.read(found.text) is not None


def test_lines_are_known_by_number_and_by_time() -> None:
    """A line of before is known; of a stream without a number by its time; one of a watcher that is new again is new."""
    at = Cursors("1", since=100.0, latest=200.0, numbers={("web", 1, "stdout"): 7})
    assert at.has_seen(("web", 1, "stdout"), 7, 150.0)
    assert not at.has_seen(("web", 1, "stdout"), 8, 150.0)
    assert not at.has_seen(("web", 1, "stdout"), 1, 201.0)
    assert at.has_seen(("web", 2, "stdout"), 9, 99.0)
    assert not at.has_seen(("web", 2, "stdout"), 9, 101.0)


def test_of_many_streams_it_tells_a_moment() -> None:
    """The text has an end to its length, and what may be lost by that comes twice instead."""
    at = Cursors("1", since=100.0)
    for wid in range(1, cursors.MOST + 2):
        at.saw(("web", wid, "stdout"), 5, 100.0 + wid)
    assert len(at.text) < 100
    again = cursors.read(at.text)
    assert again is not None
    assert again.has_seen(("web", 1, "stdout"), 5, 101.0)
    assert not again.has_seen(("web", cursors.MOST + 1, "stdout"), 5, 100.0 + cursors.MOST + 1)
