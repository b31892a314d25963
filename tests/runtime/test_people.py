"""People, their passwords and tokens, who guesses, and which watchers somebody sees."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.kernel import files
from circusd.runtime import accounts, clock, passwords, throttle
from circusd.runtime.accounts import Accounts
from circusd.runtime.passwords import Passwords
from circusd.runtime.people import Account, People, Token
from circusd.runtime.peoplefile import dump, parse, people_in
from circusd.runtime.scope import ALL, Scope, patterns
from circusd.runtime.statefile import StateFolder
from circusd.runtime.throttle import Throttle
from circusd.runtime.tokens import NAME_LIMIT, fingerprint
from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, Conflict, Denied, Failed, NotFound, Throttled, Unavailable
from tests.gate import until

HASH = "$argon2id$stands for one"
DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the state folder of the daemon will be."""
    monkeypatch.setenv(files.STATE_OVERRIDE, str(tmp_path / "state"))
    return tmp_path / "state" / "main"


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[[], People]]:
    """Starts the people of a daemon called main, which are closed at the end."""
    made: list[People] = []

    def begin() -> People:
        made.append(people_in(StateFolder("main")))
        until(lambda: made[-1].is_read)
        return made[-1]

    yield begin
    for house in made:
        house.close()


# --- people ---------------------------------------------------------------------------------------------------------


def test_people_are_there_after_a_restart(begin: Callable[[], People], folder: Path) -> None:
    """With role, patterns, password and tokens; the file is closed to others and holds no secret."""
    house = begin()
    ada = house.add("Ada", "operator", ("web*",), HASH)
    text, token = house.add_token(ada, "ci", "viewer", (), DAY)
    house.settle()
    known = house.rows()
    house.close()
    path = folder / "people.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert text not in path.read_text()
    again = begin()
    assert again.rows() == known
    found = again.by_token(text)
    assert found is not None
    assert (found[0].name, found[1].name) == ("Ada", "ci")
    assert again.find_token(token.id)[1].key == fingerprint(text)


def test_names_differ_in_more_than_the_case_of_letters() -> None:
    """One who is there is not added again; a wrong name is told the nearest right one."""
    house = People()
    house.add("Ada", "viewer", ())
    with pytest.raises(Conflict):
        house.add("ADA", "viewer", ())
    assert house.get("aDa").name == "Ada"
    with pytest.raises(NotFound, match="did you mean Ada"):
        house.get("Adda")


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a/b", "a\x00", "-ada", "a" * 65, " ada", "ada ", "a,b", "\u202eada"]
)
def test_what_can_t_be_a_name_is_refused(name: str) -> None:
    """Names are shown in terminals, logs and headers."""
    with pytest.raises(BadRequest):
        People().add(name, "viewer", ())


def test_damaged_file_lets_nobody_in_and_is_left_as_it_is(begin: Callable[[], People], folder: Path) -> None:
    """It may be all that there is: a change is told that it can't be kept, and does not replace it."""
    house = begin()
    house.add("ada", "admin", (), HASH)
    house.settle()
    house.close()
    path = folder / "people.json"
    path.write_text(path.read_text()[:-20])
    damaged = path.read_bytes()
    again = begin()
    assert again.rows() == []
    assert "people.json" in again.problem
    again.add("ben", "admin", ())
    with pytest.raises(Failed, match=r"people\.json"):
        again.settle()
    assert path.read_bytes() == damaged
    path.unlink()
    again.add("cleo", "viewer", ())
    again.settle()
    assert {row.name for row in parse(path.read_bytes(), 0.0)} == {"ben", "cleo"}


def test_file_of_others_is_not_read(begin: Callable[[], People], folder: Path) -> None:
    """Whoever else could write it could let himself in."""
    house = begin()
    house.add("ada", "admin", (), HASH)
    house.settle()
    house.close()
    (folder / "people.json").chmod(0o620)
    assert begin().rows() == []


def test_disk_that_does_not_answer_is_told_and_loses_nobody(
    begin: Callable[[], People], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody comes in meanwhile, nobody is added in place of those who are there, and later all are there."""
    house = begin()
    house.add("ada", "admin", (), HASH)
    house.settle()
    house.close()
    goes_on = threading.Event()
    real = files.private_read
    monkeypatch.setattr("circusd.runtime.statefile.PATIENCE", 0.05)

    def stuck(path: str, limit: int) -> bytes | None:
        goes_on.wait(20)
        return real(path, limit)

    monkeypatch.setattr(files, "private_read", stuck)
    late = begin()
    try:
        with pytest.raises(Unavailable):
            late.find("ada")
        with pytest.raises(Unavailable):
            late.add("eve", "admin", ())
    finally:
        monkeypatch.setattr("circusd.runtime.statefile.PATIENCE", 20.0)
        goes_on.set()

    def is_there() -> bool:
        try:
            return late.find("ada") is not None
        except Unavailable:
            return False

    until(is_there)


TEXT = st.text(max_size=NAME_LIMIT)
MOMENT = st.integers(0, 10**10).map(float)
WATCHERS = st.sampled_from([(), ("web*",), ("a", "b-?")])
TOKENS = st.builds(
    Token,
    id=st.integers(1, 2**53 - 1),
    name=TEXT,
    key=st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}"),
    role=st.sampled_from(ROLES),
    watchers=WATCHERS,
    created=MOMENT,
    expires=st.none() | MOMENT,
    used=st.none() | MOMENT,
)
ACCOUNTS = st.builds(
    Account,
    name=TEXT,
    role=st.sampled_from(ROLES),
    watchers=WATCHERS,
    password=TEXT,
    disabled=st.booleans(),
    created=MOMENT,
    changed=MOMENT,
    tokens=st.lists(TOKENS, max_size=3).map(tuple),
)


@given(st.lists(ACCOUNTS, max_size=4, unique_by=lambda one: one.name.casefold()))
def test_what_is_written_is_read(rows: list[Account]) -> None:
    """Every value of every account."""
    assert parse(dump(rows, 1.0), 1.0) == rows


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["version", "people", "tokens", "name", "role"]), inner)
        ),
    ).map(lambda data: json.dumps(data).encode())
)
def test_any_bytes_are_people_or_a_value_error(data: bytes) -> None:
    """Nothing else comes of them."""
    try:
        found = parse(data, 1.0)
    except ValueError:
        return
    assert all(isinstance(one, Account) for one in found)


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_token_is_never_above_its_person() -> None:
    """Neither when it is made, nor when the person's role is lowered, nor with patterns of its own."""
    house = Accounts()
    ada = house.people.add("ada", "operator", ("web*", "queue"))
    with pytest.raises(BadRequest):
        house.people.add_token(ada, "all", "admin", (), None)
    text, _ = house.people.add_token(ada, "ci", "operator", ("*1",), None)
    session = house.check(text)
    assert session is not None
    assert (session.role, session.account, session.token) == ("operator", "ada", "ci")
    assert [name for name in ("web", "web1", "queue", "db1") if session.scope.sees(name)] == ["web1"]
    house.people.change(house.people.get("ada"), role="viewer")
    session = house.check(text)
    assert session is not None
    assert session.role == "viewer"
    house.people.change(house.people.get("ada"), disabled=True)
    assert house.check(text) is None
    house.close()


def test_token_ends_in_time_and_when_it_is_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was opened with it is told so."""
    ended: list[str] = []
    house = Accounts(ended.append)
    ada = house.people.add("ada", "viewer", ())
    short, _ = house.people.add_token(ada, "short", "viewer", (), 0.1)
    until(lambda: ended == [fingerprint(short)])
    assert house.check(short) is None
    text, token = house.people.add_token(house.people.get("ada"), "long", "viewer", (), None)
    assert house.check(text) is not None
    house.people.remove_token(house.people.get("ada"), token)
    assert house.check(text) is None
    assert ended == [fingerprint(short), fingerprint(text)]
    house.close()


@pytest.mark.parametrize("text", ["circus_", "circus_x", "circus_" + "a" * 300, "circus_\ud800"])
def test_what_is_no_token_opens_nothing(text: str) -> None:
    """Whatever is given."""
    house = Accounts()
    assert house.check(text) is None
    house.close()


# --- sessions of accounts ---------------------------------------------------------------------------------------------


def test_change_of_a_person_ends_what_bears_the_name() -> None:
    """Role, patterns, password, removal: sessions and links are over, but for the one that changes its own password."""
    ended: list[str] = []
    house = Accounts(ended.append)
    for number, values in enumerate(
        ({"role": "viewer"}, {"watchers": ("a",)}, {"password": "x"}, {"disabled": True})
    ):
        ada = house.people.add(f"ada{number}", "operator", (), HASH)
        session = str(house.begin(ada, "192.0.2.1")["session"])
        link, _ = house.new_link("admin", f"ADA{number}")
        assert house.check(session) is not None
        house.people.change(ada, **values)
        assert house.check(session) is None
        assert ended[-1] == fingerprint(session)
        with pytest.raises(Denied):
            house.redeem(link)
    eve = house.people.add("eve", "viewer", ())
    own, other = (str(house.begin(eve, "")["session"]) for _ in range(2))
    house.sparing = own
    eve = house.people.change(eve, password="another")
    house.sparing = ""
    assert house.check(own) is not None
    assert house.check(other) is None
    house.people.remove(eve)
    assert house.check(own) is None
    house.close()


def test_disabled_person_gets_no_session() -> None:
    """Whoever speaks for him."""
    house = Accounts()
    ada = house.people.change(house.people.add("ada", "viewer", ()), disabled=True)
    with pytest.raises(Denied):
        house.begin(ada, "")
    house.close()


def test_sessions_of_one_account_put_out_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who logs in again and again loses his own oldest ones."""
    monkeypatch.setattr(accounts, "SESSIONS", 10)
    monkeypatch.setattr(accounts, "ACCOUNT_SESSIONS", 3)
    house = Accounts()
    token, _ = house.new_link("viewer", "eve")
    other = str(house.redeem(token)["session"])
    ada = house.people.add("ada", "viewer", ())
    own = [str(house.begin(ada, "")["session"]) for _ in range(20)]
    assert house.check(other) is not None
    assert [house.check(session) is not None for session in own] == [False] * 17 + [True] * 3
    house.close()


def test_limits_of_sessions_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle and absolute time are asked for when they matter."""
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)
    limits = [10.0, 3600.0]
    house = Accounts(limits=lambda: (limits[0], limits[1]))

    def lives(session: str, *steps: float) -> list[bool]:
        nonlocal moment
        found = []
        for seconds in steps:
            moment += seconds
            found.append(house.check(session) is not None)
        return found

    token, _ = house.new_link("viewer")
    assert lives(str(house.redeem(token)["session"]), 9, 9, 11) == [True, True, False]
    limits[:] = [3600.0, 10.0]
    token, _ = house.new_link("viewer")
    assert lives(str(house.redeem(token)["session"]), 4, 4, 4) == [True, True, False]
    house.close()


# --- passwords --------------------------------------------------------------------------------------------------------


def test_password_is_known_by_its_hash_alone() -> None:
    """A right one is right, others and an empty hash are not; two hashes of one password differ."""
    house = Passwords()
    first, second = house.hash("correct-horse"), house.hash("correct-horse")
    assert first != second
    assert "correct" not in first
    assert house.is_right(first, "correct-horse")
    assert not house.is_right(first, "correct-horse ")
    assert not house.is_right("", "correct-horse")
    assert not house.is_right("no hash", "correct-horse")
    assert not house.is_right(first, "x" * 100_000)


@pytest.mark.parametrize("wrong", ["", "seven77", "with\nbreak", "x" * 1025])
def test_what_can_t_be_a_password_is_refused(wrong: str) -> None:
    """Too short, too long, or nothing that one can type again."""
    with pytest.raises(BadRequest):
        Passwords().hash(wrong)


def test_flood_of_passwords_is_checked_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a flood can take is one hash of 19 MiB; who would wait behind too many is told so at once."""
    house = Passwords()
    at_once, most = 0, 0
    go_on = threading.Event()

    def verify(known: str, password: str) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        go_on.wait(20)
        at_once -= 1
        return True

    monkeypatch.setattr(house, "_verify", verify)
    tries = [gevent.spawn(house.is_right, "x", "y") for _ in range(passwords.WAITING * 3)]
    try:
        # One is being checked, and nothing more happens until that is done.
        until(lambda: at_once and sum(one.ready() for one in tries) == passwords.WAITING * 2)
    finally:
        go_on.set()
    gevent.joinall(tries)
    assert most == 1
    refused = [one for one in tries if isinstance(one.exception, Throttled)]
    assert len(refused) == passwords.WAITING * 2
    assert house.is_right("x", "y")


def test_unknown_people_cost_the_same() -> None:
    """The hash that stands for nobody's is made with the same effort as others."""
    house = Passwords()
    assert house.hash("correct-horse").split("$")[:4] == passwords.NOBODY.split("$")[:4]
    assert not house.is_right(passwords.NOBODY, "")


# --- who guesses ------------------------------------------------------------------------------------------------------


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.moment = 1000.0

    def __call__(self) -> float:
        return self.moment


def wait_for(guard: Throttle, person: str, address: str) -> int:
    """The seconds that a try is told to wait; 0 when it is made."""
    try:
        guard.begin(person, address)
    except Throttled as problem:
        return problem.retry_after
    return 0


def test_delay_grows_for_an_address_and_has_an_end() -> None:
    """After five tries 1, 2, 4 … 60 seconds, never more; after a quiet quarter of an hour none."""
    time = Time()
    guard = Throttle(time)
    assert [wait_for(guard, f"p{n}", "192.0.2.1") for n in range(throttle.ADDRESS_FREE + 1)] == [0] * 6
    told = []
    for number in range(9):
        told.append(wait_for(guard, f"q{number}", "192.0.2.1"))
        time.moment += told[-1]
        assert wait_for(guard, f"q{number}", "192.0.2.1") == 0
    assert told == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert wait_for(guard, "other", "192.0.2.2") == 0
    time.moment += throttle.QUIET + 61
    assert wait_for(guard, "p", "192.0.2.1") == 0


def test_delay_grows_for_a_name_whatever_the_address() -> None:
    """Many machines that guess for one person slow each other down."""
    guard = Throttle(Time())
    told = [wait_for(guard, "Ada", f"192.0.2.{n}") for n in range(throttle.PERSON_FREE + 2)]
    assert told == [0] * (throttle.PERSON_FREE + 1) + [1]
    assert wait_for(guard, "ada", "198.51.100.1") == 1
    assert wait_for(guard, "ben", "198.51.100.2") == 0


def test_nobody_locks_another_out() -> None:
    """Where a person has come in before, what others try with his name makes no difference."""
    time = Time()
    guard = Throttle(time)
    guard.begin("ada", "192.0.2.7")
    guard.right("ada", "192.0.2.7")
    for number in range(200):
        wait_for(guard, "ada", f"198.51.100.{number}")
        time.moment += 40
    assert wait_for(guard, "ada", "203.0.113.1") > 0 or wait_for(guard, "ada", "203.0.113.2") > 0
    assert wait_for(guard, "ada", "192.0.2.7") == 0


def test_half_of_an_ipv6_address_is_anybody_s_own() -> None:
    """One who has a network of them is one address."""
    guard = Throttle(Time())
    told = [wait_for(guard, f"p{n}", f"2001:db8::{n:x}") for n in range(throttle.ADDRESS_FREE + 2)]
    assert told[-1] == 1
    assert wait_for(guard, "p", "2001:db8:0:1::1") == 0
    assert throttle.network("::ffff:192.0.2.1") == "192.0.2.1"
    assert throttle.network("no address") == "no address"


def test_tries_are_bounded_in_memory() -> None:
    """Whatever names and addresses are made up."""
    guard = Throttle(Time())
    for number in range(3 * throttle.ROWS):
        wait_for(guard, f"p{number}", f"a{number}")
        guard.right(f"p{number}", f"a{number}")
    assert max(len(guard._addresses), len(guard._people), len(guard._places)) <= throttle.ROWS


# --- which watchers ---------------------------------------------------------------------------------------------------


def test_patterns_choose_watchers_in_any_case() -> None:
    """Each list has to match; without any, all are seen."""
    assert ALL.sees("anything")
    assert Scope.of((), ()).is_all
    web = Scope.of(("web*", "queue"), ())
    assert [n for n in ("WEB", "web-2", "Queue", "aweb", "") if web.sees(n)] == ["WEB", "web-2", "Queue"]
    both = Scope.of(("web*",), ("*2",))
    assert [n for n in ("web", "web2", "db2") if both.sees(n)] == ["web2"]
    assert list(web.of_those({"web": 1, "db": 2})) == ["web"]


def test_patterns_have_one_form_and_a_limit() -> None:
    """As text or as a list, in lower case, each once."""
    assert patterns("Web*, queue web*") == ("web*", "queue")
    assert patterns(["A b", "", "a B"]) == ("a b",)
    assert patterns(None) == ()
    for wrong in (3, [1], "x" * 501, ",".join(f"p{n}" for n in range(21))):
        with pytest.raises(ValueError, match="watchers"):
            patterns(wrong)


def test_clock_of_the_throttle_is_monotonic() -> None:
    """A clock that is set back locks nobody out."""
    assert Throttle().now is clock.now
