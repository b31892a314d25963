"""Newlines are counted right, by whatever counts them."""

from __future__ import annotations

import random
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from circusd.runtime import newlines as module
from circusd.runtime.newlines import make_fast, newlines


@pytest.fixture(params=["slow", "fast"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without the library."""
    make_fast()
    if request.param == "slow":
        monkeypatch.setattr(module, "_wide", [])
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("length", [1, 2, 30, 100, 5000])
def test_newlines_of_lines_of_any_length_are_counted(length: int) -> None:
    """Short lines and long ones, few and many."""
    for lines in (0, 1, 70, 70_000 // length):
        data = (b"x" * (length - 1) + b"\n") * lines
        assert newlines(data) == lines
        assert newlines(b"x" * 300 + data + b"x") == lines


@pytest.mark.usefixtures("way")
def test_nothing_else_is_taken_for_a_newline() -> None:
    """Of all bytes, in any order, at any place: as many as there are."""
    random_ = random.Random(5)
    for size in (*range(70), *range(16_300, 16_500), 65_535, 524_288 + 77):
        data = random_.randbytes(size)
        assert newlines(data) == sum(byte == 10 for byte in data)
    everything_else = bytes(byte for byte in range(256) if byte != 10) * 1000
    assert newlines(everything_else) == 0


def test_the_library_is_used_where_it_is_installed() -> None:
    """It is loaded, and was believed."""
    assert make_fast() == (find_spec("stringzilla") is not None)


def test_a_library_that_counts_wrong_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one would that is at odds with a new processor."""
    monkeypatch.setattr(module, "_wide", [])
    liar = SimpleNamespace(translate=lambda data, *_, **__: data, bytesum=len)
    monkeypatch.setitem(sys.modules, "stringzilla", liar)
    assert not make_fast.__wrapped__()
    assert newlines(b"a\n" * 20_000) == 20_000
