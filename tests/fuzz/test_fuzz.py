"""Bytes that somebody else chose break no promise; a few in each run, very many in the slow ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

PATIENT = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def near(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Anything, and more often something valid with some of it changed, taken out, doubled, or put elsewhere."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(seeds))[:2000])
        for _ in range(draw(st.integers(1, 6))):
            at = draw(st.integers(0, len(data)))
            end = min(len(data), at + draw(st.integers(0, 12)))
            how = draw(st.integers(0, 3))
            if how == 0:
                data[at:end] = draw(st.binary(max_size=8))
            elif how == 1:
                data[at:at] = data[at:end] * draw(st.integers(1, 40))
            elif how == 2:
                data[at:end] = draw(
                    st.sampled_from(
                        [b"\xff" * 9, b"[" * 300, b"\0", b"\n", b"9" * 400, b'"', b"$(circus.", b"-"]
                    )
                )
            else:
                moved = bytes(data[at:end])
                del data[at:end]
                data[: len(moved)] = moved + data[: len(moved)]
        return bytes(data)

    return st.one_of(st.binary(max_size=300), changed(), changed(), changed())


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_a_promise(name: str) -> None:
    """A few hundred, and each seed as it stands."""
    run(name, 200)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_very_many_bytes_break_no_promise(name: str) -> None:
    """As many as a few minutes allow."""
    run(name, 20_000)


def run(name: str, count: int) -> None:
    """The target holds for so many examples."""

    @settings(max_examples=count, **PATIENT)
    @given(near(SEEDS[name]))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    for seed in SEEDS[name]:
        holds = example(seed)(holds)
    holds()
