"""One-time links and sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import gevent
import pytest

from circusd.runtime import accounts, clock
from circusd.runtime.accounts import Accounts
from circusd.runtime.people import Account, People
from circusd.runtime.statefile import StateFile
from circusd.runtime.tokens import fingerprint
from circusd.schema.errors import BadRequest, Denied, Throttled, Unavailable
from tests.gate import until


class Clock:
    """Stands in for both clocks."""

    def __init__(self) -> None:
        self.moment = 1000.0

    def now(self) -> float:
        return self.moment

    def wall(self, moment: float | None = None) -> float:
        return 1_700_000_000.0 + (self.moment if moment is None else moment)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves."""
    made = Clock()
    monkeypatch.setattr(clock, "now", made.now)
    monkeypatch.setattr(clock, "wall", made.wall)
    return made


@pytest.fixture
def ended() -> list[str]:
    """Fingerprints of the sessions that ended."""
    return []


@pytest.fixture
def house(ended: list[str]) -> Iterator[Accounts]:
    """Accounts of a daemon."""
    made = Accounts(ended.append)
    yield made
    made.close()


def session(house: Accounts, role: str = "admin", person: str = "") -> str:
    """A new session's token."""
    token, _ = house.new_link(role, person)
    return str(house.redeem(token)["session"])


def test_link_opens_once(house: Accounts) -> None:
    """A link's token becomes a session with its person and role, and nothing the second time."""
    token, expires = house.new_link("viewer", "ada")
    assert expires == pytest.approx(clock.wall() + 600, abs=2)
    reply = house.redeem(token)
    assert (reply["person"], reply["role"]) == ("ada", "viewer")
    assert reply["expires"] == pytest.approx(clock.wall() + 7 * 86400, abs=2)
    assert len(token) >= 43 and len(reply["session"]) >= 43
    found = house.check(reply["session"])
    assert found is not None and (found.person, found.role) == ("ada", "viewer")
    with pytest.raises(Denied, match="used up, expired or wrong"):
        house.redeem(token)


def test_link_ends_after_ten_minutes(house: Accounts, time: Clock) -> None:
    """In the last second it opens, afterwards it does not."""
    token, _ = house.new_link("admin")
    late, _ = house.new_link("admin")
    time.moment += 599.9
    house.redeem(token)
    time.moment += 0.1
    with pytest.raises(Denied):
        house.redeem(late)


def test_tokens_are_not_kept(house: Accounts) -> None:
    """Neither a link's token nor a session's can be read out of the daemon's memory of accounts."""
    token, _ = house.new_link("admin")
    assert token not in repr(vars(house)) and fingerprint(token) in repr(vars(house))
    made = house.redeem(token)["session"]
    assert made not in repr(vars(house)) and fingerprint(made) in repr(vars(house))


@pytest.mark.parametrize("token", ["", "x", "x" * 100_000, "\ud800"])
def test_what_is_no_token_opens_nothing(house: Accounts, token: str) -> None:
    """Any text may be tried."""
    house.new_link("admin")
    with pytest.raises(Denied):
        house.redeem(token)
    assert house.check(token) is None
    assert house.logout(token) is False


def test_unknown_role_gets_no_link(house: Accounts) -> None:
    """A link is for one of the roles of the table."""
    with pytest.raises(BadRequest):
        house.new_link("root")


def test_wrong_tries_are_throttled_by_source(house: Accounts, time: Clock) -> None:
    """Beyond ten wrong tries a source is told to wait, longer tries are possible again; others and right ones are not kept."""

    def tries(source: str) -> str:
        with pytest.raises((Denied, Throttled)) as refused:
            house.redeem("wrong", source)
        return refused.value.text

    token, _ = house.new_link("admin")
    assert {tries("198.51.100.7") for _ in range(10)} == {"this link is used up, expired or wrong"}
    assert tries("198.51.100.7") == "too many wrong links"
    assert tries("198.51.100.8") == "this link is used up, expired or wrong"
    time.moment += accounts.TRY_SECONDS
    assert tries("198.51.100.7") == "this link is used up, expired or wrong"
    assert tries("198.51.100.7") == "too many wrong links"
    assert house.redeem(token, "198.51.100.7")["role"] == "admin"
    for n in range(3000):
        tries(str(n))
    assert len(house._tries) <= accounts.SOURCES


def test_token_of_unread_people_is_not_called_unknown() -> None:
    """Where the disk does not answer, nobody is told that there is no such token."""

    class Silent:
        problem = ""

        def read(self, then: Callable[[None], None]) -> None:
            then(None)

    people = People(cast("StateFile[Account]", Silent()))
    with pytest.raises(Unavailable):
        people.find_token(1)


def test_idle_session_ends(house: Accounts, time: Clock, ended: list[str]) -> None:
    """Twelve hours without a request end it; a request begins them anew."""
    token = session(house)
    for _ in range(3):
        time.moment += 12 * 3600 - 1
        assert house.check(token) is not None
    time.moment += 12 * 3600
    assert house.check(token) is None
    assert ended == [fingerprint(token)]


def test_used_session_ends_after_seven_days(house: Accounts, time: Clock, ended: list[str]) -> None:
    """However much it is used, a session is over after a week."""
    token = session(house)
    for _ in range(7 * 24 - 1):
        time.moment += 3600
        assert house.check(token) is not None
    time.moment += 3600
    assert house.check(token) is None
    assert ended == [fingerprint(token)]


def test_end_is_told_without_a_request(
    monkeypatch: pytest.MonkeyPatch, house: Accounts, ended: list[str]
) -> None:
    """A session that nobody asks for again still ends in time, for what was opened with it."""
    monkeypatch.setattr(accounts, "IDLE_SECONDS", 0.15)
    first = session(house)
    gevent.sleep(0.1)
    second = session(house)
    until(lambda: len(ended) == 2)
    assert ended == [fingerprint(first), fingerprint(second)]
    assert not house._timer.is_set


def test_logout_ends_it_at_once(house: Accounts, ended: list[str]) -> None:
    """After a logout the token is worth nothing, and the end is told once."""
    token, other = session(house), session(house)
    assert house.logout(token) is True
    assert house.check(token) is None and house.check(other) is not None
    assert house.logout(token) is False
    assert ended == [fingerprint(token)]


def test_a_person_can_be_shown_out(house: Accounts) -> None:
    """All sessions and links of one person, or of all, end together."""
    ada, bob = session(house, person="ada"), session(house, person="bob")
    link, _ = house.new_link("admin", "ada")
    assert house.end_all("ada") == 1
    assert house.check(ada) is None and house.check(bob) is not None
    with pytest.raises(Denied):
        house.redeem(link)
    assert house.end_all() == 1
    assert house.counters() == {"links": 0, "sessions": 0, "problem": ""}


def test_numbers_are_bounded(house: Accounts, monkeypatch: pytest.MonkeyPatch, ended: list[str]) -> None:
    """Of too many links the oldest is void, of too many sessions the one that was used least recently ends."""
    monkeypatch.setattr(accounts, "SESSIONS", 3)
    first, _ = house.new_link("admin")
    for _ in range(accounts.LINKS):
        last, _ = house.new_link("admin")
    with pytest.raises(Denied):
        house.redeem(first)
    house.redeem(last)
    assert house.counters()["links"] == accounts.LINKS - 1
    house.end_all()
    one, two, three = (session(house) for _ in range(3))
    assert house.check(one) is not None
    session(house)
    assert house.check(two) is None and house.check(one) is not None and house.check(three) is not None
