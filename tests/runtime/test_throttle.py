"""Sources of tries: what counts as one, and how many tries each has."""

from __future__ import annotations

import pytest

from circusd.runtime import clock
from circusd.runtime.throttle import Tries, network


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_source_is_what_one_can_choose_from(address: str, source: str) -> None:
    """An IPv4 address is the same however it is written; of IPv6 a whole network is one source."""
    assert network(address) == source


def test_each_source_has_its_tries_and_gets_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Used up, there is one more after each span, and never more than at first; not all sources are remembered."""
    moment = 1000.0
    monkeypatch.setattr(clock, "now", lambda: moment)
    tries = Tries(2, 10.0, sources=3)
    for wait in (0.0, 0.0, 10.0):
        assert tries.wait("a") == wait
        tries.use("a")
    assert tries.wait("b") == 0.0
    moment += 4.0
    assert tries.wait("a") == 6.0
    moment += 1000.0
    for wait in (0.0, 0.0, 10.0):
        assert tries.wait("a") == wait
        tries.use("a")
    for source in "bcd":
        tries.use(source)
    assert len(tries) == 3
    assert tries.wait("a") == 0.0
