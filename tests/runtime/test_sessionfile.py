"""Sessions on disk: they outlive the daemon, those that ended do not come back, and no file or disk does any harm."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.kernel import files
from circusd.runtime import accounts, clock, sessionfile, statefile
from circusd.runtime.accounts import Accounts
from circusd.runtime.sessionfile import Kept, SessionFile, dump, parse
from circusd.runtime.statefile import StateFolder
from circusd.runtime.tokens import fingerprint
from circusd.schema.commands import ROLES
from circusd.schema.errors import BadRequest, CircusError, Unavailable
from tests.gate import until

NOW = 1_700_000_000.0
DAY = 86_400.0
NOBODY = 65534


def kept(number: int = 0, **more: Any) -> Kept:
    """A session that was begun and used at `NOW`."""
    return Kept(
        **{"key": f"{number:064x}", "person": "ada", "role": "admin", "ends": NOW + 7 * DAY, "used": NOW}
        | more
    )


def content(**more: Any) -> bytes:
    """A file with one session, and what a test puts into it."""
    return json.dumps(
        {"version": 2, "written": NOW, "sessions": [{**kept()._asdict(), **more.pop("row", {})}], **more}
    ).encode()


class Clock:
    """Stands in for both clocks."""

    def __init__(self) -> None:
        self.moment = 1000.0

    def now(self) -> float:
        return self.moment

    def wall(self, moment: float | None = None) -> float:
        return NOW + (self.moment if moment is None else moment)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves."""
    made = Clock()
    monkeypatch.setattr(clock, "now", made.now)
    monkeypatch.setattr(clock, "wall", made.wall)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the state folder of the daemon will be."""
    monkeypatch.setenv(files.STATE_OVERRIDE, str(tmp_path / "state"))
    return tmp_path / "state" / "main"


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[[], Accounts]]:
    """Starts the accounts of a daemon called main, which are closed at the end."""
    made: list[Accounts] = []

    def start() -> Accounts:
        made.append(Accounts(file=SessionFile(StateFolder("main"))))
        until(lambda: made[-1].when_ready(lambda problem: None))
        return made[-1]

    yield start
    for house in made:
        house.close()


def login(house: Accounts, role: str = "admin", person: str = "ada") -> str:
    """The token of a new session, which is in the file."""
    token, _ = house.new_link(role, person)
    session = str(house.redeem(token)["session"])
    house.settle()
    return session


def on_disk(folder: Path) -> list[str]:
    """Keys of the sessions that the file holds, as a daemon that starts now would read it."""
    return [session.key for session in parse((folder / "sessions.json").read_bytes(), clock.wall())]


def put(folder: Path, data: bytes) -> Path:
    """The file of before, with this in it."""
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    path = folder / "sessions.json"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


# --- what they are for ----------------------------------------------------------------------------------------------


def test_session_outlives_the_daemon(begin: Callable[[], Accounts]) -> None:
    """Person, role and end are as they were."""
    first = begin()
    token = login(first, "operator", "ada")
    before = first.check(token)
    first.close()
    after = begin().check(token)
    assert before is not None
    assert after is not None
    assert (after.person, after.role) == ("ada", "operator")
    assert after.expires == pytest.approx(before.expires, abs=0.1)


def test_link_does_not_outlive_it(begin: Callable[[], Accounts]) -> None:
    """It works once, within ten minutes, and in the daemon that made it."""
    first = begin()
    login(first)
    link, _ = first.new_link("admin")
    first.close()
    with pytest.raises(CircusError, match="used up, expired or wrong"):
        begin().redeem(link)


def test_session_that_was_ended_is_off_the_disk_when_that_is_told(
    begin: Callable[[], Accounts], folder: Path
) -> None:
    """By logout, with all of a person, or with all: a daemon that is killed now and started again knows nothing of it."""
    house = begin()
    tokens = [login(house, person=person) for person in ("ada", "ada", "ada", "bob", "eve")]
    house.logout(tokens[0])
    assert house.settle() == ""
    assert on_disk(folder) == [fingerprint(token) for token in tokens[1:]]
    assert house.end_all("ada") == 2
    assert house.settle() == ""
    assert on_disk(folder) == [fingerprint(token) for token in tokens[3:]]
    house.end_all()
    assert house.settle() == ""
    assert on_disk(folder) == []
    house.close()
    after = begin()
    assert [after.check(token) for token in tokens] == [None] * 5


def test_session_that_ran_out_leaves_the_disk(
    begin: Callable[[], Accounts], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself: nobody has to ask for it, and no clock that is set back brings it back."""
    monkeypatch.setattr(accounts, "IDLE_SECONDS", 0.2)
    house = begin()
    login(house)
    until(lambda: on_disk(folder) == [])


def test_only_hashes_are_written_and_nobody_else_can_read_them(
    begin: Callable[[], Accounts], folder: Path
) -> None:
    """No token in the file, mode 0600 in a folder of 0700, whatever the umask."""
    before = os.umask(0)
    try:
        token = login(begin())
    finally:
        os.umask(before)
    text = (folder / "sessions.json").read_text()
    assert token not in text
    assert fingerprint(token) in text
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, folder / "sessions.json")]
    assert modes == [0o700, 0o700, 0o600]


def test_nothing_is_made_before_there_is_something_to_keep(
    begin: Callable[[], Accounts], folder: Path
) -> None:
    """Neither by looking nor by a link that nobody opens."""
    house = begin()
    house.new_link("admin")
    assert house.check("some-token") is None
    assert house.end_all() == 0
    house.close()
    assert not folder.parent.exists()


def test_use_is_written_rarely_and_at_the_end(
    begin: Callable[[], Accounts], folder: Path, time: Clock
) -> None:
    """A page that asks all the time costs one write in five minutes; an ordered stop writes the last use."""
    house = begin()
    token = login(house)
    path = folder / "sessions.json"
    first = path.stat().st_ino, path.read_bytes()
    for _ in range(299):
        time.moment += 1
        house.check(token)
    house.settle()
    assert (path.stat().st_ino, path.read_bytes()) == first
    time.moment += 1
    house.check(token)
    house.settle()
    assert parse(path.read_bytes(), time.wall())[0].used == time.wall()
    time.moment += 100
    house.check(token)
    house.close()
    assert parse(path.read_bytes(), time.wall())[0].used == time.wall()
    assert [entry for entry in os.listdir(folder) if entry.startswith(".")] == []


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_while_the_daemon_was_down_counts(begin: Callable[[], Accounts], time: Clock) -> None:
    """Twelve hours without use, or a week in all, also if nobody was there to see them pass."""
    first = begin()
    token = login(first)
    first.close()
    time.moment += 12 * 3600 - 1
    second = begin()
    assert second.check(token) is not None
    second.close()
    time.moment += 12 * 3600
    assert begin().check(token) is None


@pytest.mark.parametrize("set_back", [1.0, 3600.0, 30 * DAY, NOW + 999])
def test_clock_that_is_set_back_makes_no_session_longer(
    begin: Callable[[], Accounts], time: Clock, set_back: float
) -> None:
    """What was left of it when it was written is what is left of it, at most."""
    first = begin()
    token = login(first)
    time.moment += 6 * 3600
    first.close()
    left = accounts.ABSOLUTE_SECONDS - 6 * 3600
    time.moment -= set_back
    after = begin().check(token)
    assert after is not None
    assert after.expires - time.wall() == pytest.approx(left, abs=0.01)


def test_clock_that_was_wrong_when_it_was_written_makes_no_session_longer_than_a_new_one(
    begin: Callable[[], Accounts], folder: Path, time: Clock
) -> None:
    """Whatever the file says, the end is a week from now at most, and it was used now at the latest."""
    row = {"ends": NOW + 1000 * DAY, "used": NOW + 900 * DAY}
    put(folder, content(row=row))
    house = begin()
    ((_, record),) = house._sessions.items()
    assert record.ends == time.moment + accounts.ABSOLUTE_SECONDS
    assert record.used == time.moment


def test_expired_sessions_are_not_taken_over(
    begin: Callable[[], Accounts], folder: Path, time: Clock
) -> None:
    """Neither one of which the end has passed, nor one that was not used for too long."""
    wall = time.wall()
    rows = [
        kept(1, ends=wall),
        kept(2, ends=wall + 9, used=wall - 12 * 3600),
        kept(3, used=wall - 12 * 3600 + 1),
    ]
    put(folder, dump(rows, wall))
    assert list(begin()._sessions) == [rows[2].key]


def test_number_stays_bounded(begin: Callable[[], Accounts], folder: Path, time: Clock) -> None:
    """Of too many the ones that were used last are taken, and the next login ends the one that was not used for longest."""
    rows = [kept(n, used=NOW + (n * 7919) % 1100 * 0.5) for n in range(1100)]
    put(folder, dump(rows, NOW))
    house = begin()
    latest = sorted(rows, key=lambda row: row.used)[-accounts.SESSIONS :]
    assert list(house._sessions) == [row.key for row in latest]
    login(house)
    assert len(house._sessions) == accounts.SESSIONS
    assert latest[0].key not in on_disk(folder)


def test_longest_names_fit_into_the_file() -> None:
    """What we write we also read; longer names are refused when the link is made."""
    full = [kept(n, person="\U0001f9ff" * sessionfile.PERSON_LIMIT) for n in range(accounts.SESSIONS)]
    data = dump(full, NOW)
    assert len(data) < sessionfile.LIMIT_BYTES
    assert parse(data, NOW) == full
    house = Accounts()
    with pytest.raises(BadRequest, match="200 characters"):
        house.new_link("admin", "x" * 201)
    house.close()


# --- what may be in the file ----------------------------------------------------------------------------------------

WRONG = {
    "empty": b"",
    "no text": b"\xff\xfe\x00",
    "truncated": content()[:-20],
    "nothing but zeros": b"\0" * 4096,
    "a list": b"[]",
    "another version": content(version=1),
    "no version": content().replace(b'"version"', b'"edition"'),
    "no sessions": b'{"version": 2, "written": 1}',
    "sessions are an object": content(sessions={}),
    "a session is a text": content(sessions=["x"]),
    "deep": b"[" * 200_000,
    "deep within": content().replace(b'"ada"', b"[" * 100_000 + b"]" * 100_000),
    "key is a number": content(row={"key": 1}),
    "key is no hash": content(row={"key": "../../etc/passwd"}),
    "key is too long": content(row={"key": "0" * 65}),
    "person is a list": content(row={"person": []}),
    "person is endless": content(row={"person": "x" * 100_000}),
    "role is unknown": content(row={"role": "root"}),
    "role is an object": content(row={"role": {}}),
    "end is a text": content(row={"ends": "never"}),
    "end is true": content(row={"ends": True}),
    "end is missing": content(row={"ends": None}),
    "end is no number": content(row={"ends": float("nan")}),
    "end is never": content(row={"ends": float("inf")}),
    "end is beyond all": content(row={"ends": 10**400}),
    "end has more digits than can be read": content(row={"ends": 0}).replace(b": 0,", b": 1" + b"0" * 10_000 + b","),
    "use is before all": content(row={"used": -1}),
    "time of writing is a list": content(written=[]),
    "huge": content() + b" " * sessionfile.LIMIT_BYTES,
}  # fmt: skip


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_damaged_file_is_ignored_with_one_warning(
    begin: Callable[[], Accounts], folder: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """Nobody is let in by it, it is told where it can be looked up, and the next login writes a good one."""
    path = put(folder, data)
    house = begin()
    assert house.counters()["sessions"] == 0
    assert house.check("x" * 43) is None
    (warning,) = warnings(caplog)
    assert str(path) in warning
    assert str(path) in house.problem
    token = login(house)
    assert house.problem == ""
    assert on_disk(folder) == [fingerprint(token)]
    assert len(warnings(caplog)) == 1


def make_open(path: Path) -> None:
    path.chmod(0o622)


def make_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_foreign(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (make_open, "others may write to it (mode 0622)"),
        (make_link, "symbolic link"),
        (make_fifo, "no regular file"),
        (make_foreign, f"belongs to user {NOBODY}"),
    ],
)
def test_file_that_another_may_have_written_is_ignored(
    begin: Callable[[], Accounts],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
    why: str,
) -> None:
    """Its sessions do not count; the next login replaces it by one of ours, and what a link pointed at is left alone."""
    path = put(folder, dump([kept(used=clock.wall(), ends=clock.wall() + DAY)], clock.wall()))
    spoil(path)
    house = begin()
    assert house.counters()["sessions"] == 0
    (warning,) = warnings(caplog)
    assert why in warning
    elsewhere = folder / "elsewhere"
    before = elsewhere.read_bytes() if elsewhere.exists() else b""
    token = login(house)
    status = path.lstat()
    assert stat.S_ISREG(status.st_mode)
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o600)
    assert on_disk(folder) == [fingerprint(token)]
    assert (elsewhere.read_bytes() if elsewhere.exists() else b"") == before


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["version", "written", "sessions", "key"]), inner),
).map(lambda data: json.dumps(data).encode()))  # fmt: skip
def test_any_bytes_are_sessions_or_a_value_error(data: bytes) -> None:
    """Nothing else comes of them."""
    with contextlib.suppress(ValueError):
        assert all(isinstance(session, Kept) for session in parse(data, NOW))


@given(
    st.lists(
        st.builds(
            Kept,
            key=st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}"),
            person=st.text(max_size=sessionfile.PERSON_LIMIT),
            role=st.sampled_from(ROLES),
            ends=st.integers(0, 10**10).map(float),
            used=st.integers(0, 10**10).map(float),
            began=st.integers(0, 10**10).map(float),
            address=st.text(max_size=64),
            watchers=st.sampled_from([(), ("web*",), ("a", "b-?")]),
        )
    )
)
def test_what_is_written_is_read(sessions: list[Kept]) -> None:
    """Every session, in its order, with every name that one can have."""
    assert parse(dump(sessions, NOW), NOW) == sessions


# --- disks ----------------------------------------------------------------------------------------------------------


def test_folder_that_can_t_be_made_stops_nothing(
    begin: Callable[[], Accounts], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions live in memory, one warning says so, and they are kept as soon as that is possible."""
    folder.parent.parent.mkdir(exist_ok=True)
    folder.parent.write_text("not a folder")
    house = begin()
    assert house.problem == ""
    first, second = login(house), login(house)
    assert house.check(first) is not None
    assert house.logout(second) is True
    assert house.settle() == ""
    (warning,) = warnings(caplog)
    assert "sessions will not outlive circusd" in warning
    assert "it is not a folder" in warning
    assert "it is not a folder" in house.counters()["problem"]
    folder.parent.unlink()
    login(house)
    assert house.problem == ""
    assert fingerprint(first) in on_disk(folder)
    assert len(warnings(caplog)) == 1


def test_without_a_home_sessions_live_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that was given none works all the same, and is told how to choose a place."""
    for name in (files.STATE_OVERRIDE, "HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    house = Accounts(file=SessionFile(StateFolder("main")))
    until(lambda: house.when_ready(lambda problem: None))
    assert house.check(login(house)) is not None
    (warning,) = warnings(caplog)
    assert "HOME is not set; choose one by CIRCUS_STATE_DIR" in warning
    house.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the disk full, or lets it have room again."""
    real = os.fsync
    is_full: list[bool] = []

    def fsync(fd: int) -> None:
        if is_full and stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda full: is_full.append(True) if full else is_full.clear()


def test_full_disk_keeps_what_was_written_and_forgets_who_logged_out(
    begin: Callable[[], Accounts],
    folder: Path,
    full_disk: Callable[[bool], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A login that does not fit leaves the old file; a logout removes it whole rather than bring somebody back."""
    house = begin()
    ada, bob = login(house, person="ada"), login(house, person="bob")
    full_disk(True)
    eve = login(house, person="eve")
    assert house.check(eve) is not None
    assert on_disk(folder) == [fingerprint(ada), fingerprint(bob)]
    house.logout(ada)
    assert house.settle() == ""
    assert not (folder / "sessions.json").exists()
    assert house.check(bob) is not None
    assert len(warnings(caplog)) == 1
    assert "no space left" in house.problem
    full_disk(False)
    house.logout(eve)
    house.settle()
    assert on_disk(folder) == [fingerprint(bob)]


def test_logout_that_can_t_be_written_down_says_so(begin: Callable[[], Accounts], folder: Path) -> None:
    """Where the file can neither be written nor removed, nobody is told that all is well."""
    house = begin()
    token = login(house)
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("in the way")
    house.logout(token)
    assert "it is not a folder" in house.settle()
    assert house.check(token) is None
    folder.unlink()
    aside.rename(folder)
    login(house)
    assert fingerprint(token) not in on_disk(folder)


def test_folder_that_was_removed_is_made_anew(begin: Callable[[], Accounts], folder: Path) -> None:
    """Whoever tidies up while the daemon runs does not end what it keeps."""
    house = begin()
    first = login(house)
    shutil.rmtree(folder.parent)
    second = login(house)
    assert on_disk(folder) == [fingerprint(first), fingerprint(second)]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], threading.Event]]:
    """Makes a call to the disk hang until its event is set."""
    events: list[threading.Event] = []

    def hang(name: str) -> threading.Event:
        event, real = threading.Event(), getattr(os, name)
        events.append(event)

        def wait(*args: Any, **more: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                event.wait()
            return real(*args, **more)

        monkeypatch.setattr(os, name, wait)
        return event

    yield hang
    for event in events:
        event.set()


def test_disk_that_hangs_at_the_start_lets_people_in(
    begin: Callable[[], Accounts],
    folder: Path,
    stuck: Callable[[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a moment the daemon goes on without what was there; what is read too late does not count any more."""
    old = kept(used=clock.wall(), ends=clock.wall() + DAY)
    put(folder, dump([old], clock.wall()))
    monkeypatch.setattr(statefile, "PATIENCE", 0.05)
    event = stuck("listdir")
    house = begin()
    (warning,) = warnings(caplog)
    assert f"the disk of the state folder {folder} does not answer" in warning
    monkeypatch.setattr(statefile, "PATIENCE", 20.0)
    event.set()
    token = login(house)
    assert house.problem == ""
    assert on_disk(folder) == [fingerprint(token)]


def test_disk_that_hangs_holds_nobody_up(
    begin: Callable[[], Accounts],
    folder: Path,
    stuck: Callable[[str], threading.Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hub runs on, a logout says after a moment that it is not written, and many changes become one write."""
    house = begin()
    token = login(house)
    monkeypatch.setattr(statefile, "PATIENCE", 0.05)
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    event, counting = stuck("fsync"), gevent.spawn(count)
    house.logout(token)
    assert "does not answer" in house.settle()
    assert "does not answer" in house.problem
    assert turns > 1
    counting.kill()
    monkeypatch.setattr(statefile, "PATIENCE", 20.0)
    links = [house.new_link("admin")[0] for _ in range(20)]
    sessions = [str(house.redeem(link)["session"]) for link in links]
    writes: list[int] = []
    real = files.atomic_write
    monkeypatch.setattr(files, "atomic_write", lambda *a, **k: (writes.append(1), real(*a, **k)))
    event.set()
    assert house.settle() == ""
    assert on_disk(folder) == [fingerprint(session) for session in sessions]
    assert len(writes) == 1


def test_two_daemons_do_not_share_a_state_folder(
    begin: Callable[[], Accounts], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The second keeps its sessions in memory and says whose the folder is; when that one is gone, it has it."""
    first = begin()
    token = login(first)
    second = begin()
    assert second.check(token) is None
    own = login(second)
    assert f"pid {os.getpid()}" in second.problem
    assert len(warnings(caplog)) == 1
    assert on_disk(folder) == [fingerprint(token)]
    first.close()
    login(second)
    assert second.problem == ""
    assert fingerprint(own) in on_disk(folder)


def test_drafts_of_a_killed_daemon_are_tidied_up(begin: Callable[[], Accounts], folder: Path) -> None:
    """However often it is killed in the middle of writing, they do not pile up; other files are left alone."""
    put(folder, dump([], NOW))
    for name in (".sessions.json.123.abcd", ".sessions.json.9.ef01", ".other", "notes"):
        (folder / name).touch()
    begin()
    assert sorted(os.listdir(folder)) == [".other", "lock", "notes", "sessions.json"]


def test_requests_wait_for_the_file_and_not_without_end(
    folder: Path, stuck: Callable[[str], threading.Event]
) -> None:
    """In their order, and a bounded number of them: a console that asks on and on can't make the daemon grow."""
    put(folder, dump([], NOW))
    event = stuck("listdir")
    house = Accounts(file=SessionFile(StateFolder("main")))
    told: list[int] = []
    refused: list[CircusError | None] = []
    for number in range(accounts.WAITING):
        assert not house.when_ready(lambda problem, number=number: told.append(number))  # type: ignore[misc]
    assert not house.when_ready(refused.append)
    assert isinstance(refused[0], Unavailable)
    event.set()
    until(lambda: len(told) == accounts.WAITING)
    assert told == list(range(accounts.WAITING))
    assert house.when_ready(refused.append)
    assert len(refused) == 1
    house.close()
