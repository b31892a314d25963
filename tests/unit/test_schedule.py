"""When a schedule has its moments, over daylight saving and any clock; each is decided at most once, and what is wrong is told."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.config.cron import Cron, wrong, zone_of
from circusd.config.ini import load
from circusd.config.model import watcher_from_options
from circusd.core.schedule import CORRECTION, LATE, OVERLAPS, Agenda, Due, meets, stable
from circusd.schema.errors import ConfigError

BERLIN = "Europe/Berlin"
DAY = 86400.0


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    """The moment that a clock in that zone shows so; with ``fold`` the second time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def moments(schedule: str, begin: float, number: int, zone: str = BERLIN) -> list[float]:
    """So many moments of a schedule, one after the other."""
    cron, found = Cron(schedule, zone), []
    for _ in range(number):
        begin = cron.after(begin) or 0.0
        found.append(begin)
    return found


@pytest.mark.parametrize(
    ("schedule", "begin", "expected"),
    [
        # 02:00 to 03:00 does not come on 29 March: it runs once, at 03:00, and is as ever the day after.
        ("30 2 * * *", "2026-03-28 12:00", [("2026-03-29 03:00", 0), ("2026-03-30 02:30", 0)]),
        ("0 2,3 * * *", "2026-03-28 12:00", [("2026-03-29 03:00", 0), ("2026-03-30 02:00", 0)]),
        ("0 3 * * *", "2026-03-28 12:00", [("2026-03-29 03:00", 0), ("2026-03-30 03:00", 0)]),
        # 02:00 to 03:00 comes twice on 25 October: it runs once, in the first.
        ("30 2 * * *", "2026-10-24 12:00", [("2026-10-25 02:30", 0), ("2026-10-26 02:30", 0)]),
        ("0 3 * * *", "2026-10-24 12:00", [("2026-10-25 03:00", 0), ("2026-10-26 03:00", 0)]),
        # What runs each hour or each few minutes keeps its pace, as crond has it.
        ("0 * * * *", "2026-03-29 00:30", [("2026-03-29 01:00", 0), ("2026-03-29 03:00", 0)]),
        ("0 * * * *", "2026-10-25 01:30", [("2026-10-25 02:00", 0), ("2026-10-25 02:00", 1)]),
        # Ordinary ones.
        ("@daily", "2026-06-01 12:00", [("2026-06-02 00:00", 0), ("2026-06-03 00:00", 0)]),
        ("0 9 * * MON-FRI", "2026-06-05 10:00", [("2026-06-08 09:00", 0), ("2026-06-09 09:00", 0)]),
        ("0 0 L * *", "2026-02-01 00:00", [("2026-02-28 00:00", 0), ("2026-03-31 00:00", 0)]),
        ("*/20 * * * * *", "2026-06-01 12:00", [("2026-06-01 12:00:20", 0), ("2026-06-01 12:00:40", 0)]),
    ],
)
def test_moments_follow_the_clock_on_the_wall(
    schedule: str, begin: str, expected: list[tuple[str, int]]
) -> None:
    """Also where an hour is left out, or comes twice."""
    found = moments(schedule, at(begin), len(expected))
    assert found == [at(text, fold=fold) for text, fold in expected]


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("schedule", ["30 2 * * *", "*/30 1 * * *", "0 * * * *", "15 1,2,3 * * SUN"])
def test_moments_only_rise_and_the_last_one_is_found_again(zone: str, schedule: str) -> None:
    """Over two years, and so over each change of the clocks: none comes twice, none lies before the one before it."""
    cron = Cron(schedule, zone)
    moment = at("2026-01-01 00:00", zone)
    found = []
    while moment < at("2028-01-01 00:00", zone) and len(found) < 900:
        moment = cron.after(moment) or 0.0
        found.append(moment)
    assert all(a < b for a, b in pairwise(found))
    if "*" not in schedule.split()[0]:
        days = {datetime.fromtimestamp(m, ZoneInfo(zone)).date() for m in found}
        each = 1 if schedule.startswith("30 2") else 24
        assert len(found) <= len(days) * (each + 2)
    assert all((cron.last(m) or 0) <= m for m in found[:50])


def test_in_the_second_of_two_hours_what_ran_in_the_first_does_not_come_again() -> None:
    """Asked in the repeated hour, a fixed time of that hour is over."""
    second = at("2026-10-25 02:10", fold=1)
    assert Cron("30 2 * * *", BERLIN).after(second) == at("2026-10-26 02:30")


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("61 * * * *", '"61" is no minute, which is 0-59'),
        ("0 3 * JUNE *", "did you mean JUN?"),
        ("0 3 * * MONDAY", "did you mean MON?"),
        ("0 3 * *", "has 4 fields and not 5, or 6 with seconds first"),
        ("@dayly", "did you mean @daily?"),
        ("@reboot", "has autostart and no schedule"),
        ("0 0 30 2 *", '"0 0 30 2 *" never comes'),
        ("*/0 * * * *", '"*/0" is no minute'),
        ("0 0 * * " + "1," * 600 + "1", "fields and not 5"),
        ("\u0661 * * * *", "is no minute"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_told_with_the_nearest_right_one(schedule: str, told: str) -> None:
    """The option is named, what is wrong with which field, and what it should be."""
    with pytest.raises(ConfigError) as refused:
        watcher_from_options("w", {"cmd": "true", "schedule": schedule})
    assert "schedule" in str(refused.value)
    assert told in str(refused.value)
    assert "such as 0 3 * * 1-5" in str(refused.value)


def test_a_time_zone_that_is_none_is_told_with_the_nearest() -> None:
    """Names of folders and of files elsewhere are none either."""
    for zone, told in (
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("../../etc/passwd", "is no time zone"),
    ):
        with pytest.raises(ConfigError, match="schedule_timezone") as refused:
            watcher_from_options("w", {"cmd": "true", "schedule": "@daily", "schedule_timezone": zone})
        assert told in str(refused.value)
    with pytest.raises(ConfigError, match="one of schedule and on_demand"):
        watcher_from_options("w", {"cmd": "true", "schedule": "@daily", "on_demand": True})


def test_without_a_zone_the_machines_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What TZ says comes before what the machine is set to."""
    monkeypatch.setenv("TZ", ":America/New_York")
    assert zone_of("").key == "America/New_York"
    monkeypatch.setenv("TZ", "nowhere/at-all")
    assert zone_of("")


@given(st.text(max_size=60))
def test_no_text_is_too_strange_for_a_schedule(text: str) -> None:
    """It is a schedule with a moment to come, or something is told."""
    problem, _ = wrong(text)
    if not problem:
        assert Cron(text, "UTC").after(0.0)


@given(
    st.lists(
        st.sampled_from(("*", "*/5", "1-5", "7", "L", "LW", "MON#2", "5L", "31", "2", "?", "-1")), max_size=7
    )
)
def test_no_mixture_of_fields_raises(fields: list[str]) -> None:
    """Each is read or refused in words."""
    problem, _ = wrong(" ".join(fields))
    assert problem or len(fields) in (5, 6)


# --- each moment once, whatever the clock does ----------------------------------------------------------------------


class Each:
    """A calendar of one moment every so many seconds."""

    def __init__(self, period: float) -> None:
        self.period = period

    def after(self, moment: float) -> float | None:
        return (moment // self.period + 1) * self.period

    def last(self, moment: float) -> float | None:
        return moment // self.period * self.period


def test_a_moment_in_time_runs_and_one_that_is_late_is_missed_or_caught_up() -> None:
    """At most one run for any number of moments that have passed."""
    agenda = Agenda(Each(600))
    assert agenda.begin(1000.0) is None
    assert (agenda.next, agenda.due) == (1200.0, 1200.0)
    assert agenda.look(1100.0) is None
    assert agenda.look(1200.5) == Due(1200.0, "planned")
    assert agenda.look(1200.6) is None
    # The machine slept for a day.
    assert agenda.look(1200 + DAY + LATE + 10) == Due(1200.0 + DAY, "", 1800.0)
    assert agenda.next == 1800.0 + DAY
    caught = Agenda(Each(600), catch_up=True)
    caught.begin(1000.0)
    assert caught.look(1000 + DAY) == Due(600.0 * ((1000 + DAY) // 600), "caught up", 1200.0)
    assert caught.look(1001 + DAY) is None


def test_what_an_earlier_circusd_has_decided_is_not_decided_again() -> None:
    """Downtime is caught up once, where that is asked for; a moment that has run does not run again."""
    assert Agenda(Each(600)).begin(1300.0, decided=1200.0) is None
    assert Agenda(Each(600), catch_up=True).begin(5000.0, decided=1200.0) == Due(4800.0, "caught up", 1800.0)
    assert Agenda(Each(600), catch_up=True).begin(5000.0) is None
    assert Agenda(Each(600)).begin(4801.0, decided=1200.0) == Due(4800.0, "planned", 1800.0)


def test_a_clock_that_is_set_back_repeats_nothing_and_one_that_was_wrong_counts_no_more() -> None:
    """By less than three hours what has run does not run again; by more the schedule begins anew from what it shows now."""
    agenda = Agenda(Each(600))
    agenda.begin(10_000 * 600.0)
    assert agenda.look(10_001 * 600.0) == Due(10_001 * 600.0, "planned")
    assert agenda.look(10_001 * 600.0 - 3000) is None
    assert agenda.next == 10_002 * 600.0
    back = 10_001 * 600.0 - CORRECTION - 700
    assert agenda.look(back) is None
    assert agenda.next is not None
    assert agenda.next - back <= 600


def test_jitter_is_the_same_for_one_watcher_and_within_its_bound() -> None:
    """It moves the start and never the planned moment."""
    assert 0 <= stable(0xFFFFFFFF, 60.0) <= 60.0
    assert stable(0, 60.0) == 0.0
    agenda = Agenda(Each(600), 30.0)
    agenda.begin(1201.0)
    assert (agenda.next, agenda.due) == (1200.0, 1230.0)
    assert agenda.look(1229.0) is None
    assert agenda.look(1230.0) == Due(1200.0, "planned")


STEPS = st.lists(
    st.one_of(
        st.floats(0, 700),
        st.floats(0, 5 * DAY),
        st.floats(-CORRECTION / 3, 0),
    ),
    min_size=1,
    max_size=60,
)


@given(STEPS, st.booleans(), st.sampled_from((0.0, 45.0)), st.sampled_from((60.0, 600.0, 86400.0)))
def test_each_planned_moment_runs_at_most_once(
    steps: list[float], catch_up: bool, offset: float, period: float
) -> None:
    """Whatever the clock shows, as long as it is not set back by hours: planned moments rise from run to run."""
    now = highest = 1_000_000.0
    agenda = Agenda(Each(period), offset, catch_up=catch_up)
    agenda.begin(now)
    ran: list[float] = []
    for step in steps:
        now = max(now + step, highest - CORRECTION / 2)
        highest = max(highest, now)
        due = agenda.look(now)
        if due is not None and due.why:
            assert due.planned + offset <= now
            ran.append(due.planned)
        assert agenda.due is not None
        assert agenda.due > now - 0.001
    assert all(a < b for a, b in pairwise(ran))


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_a_run_begins_only_where_none_goes_on(overlap: str, is_running: bool, waits: bool) -> None:
    """Every combination is decided; at most one waits."""
    fate = meets(overlap, is_running=is_running, waits=waits)
    assert (fate == "run") == (not is_running and not waits)
    if fate == "queue":
        assert not waits
    if is_running and overlap == "skip":
        assert fate == "skip"


def test_a_moment_is_said_as_people_say_it() -> None:
    """Near ones by a word, others by their date, always with the zone."""
    cron, now = Cron("0 3 * * *", BERLIN), at("2026-12-04 12:00")
    assert cron.words(at("2026-12-04 13:00"), now) == "today at 13:00 Europe/Berlin"
    assert cron.words(at("2026-12-05 03:00"), now) == "tomorrow at 03:00 Europe/Berlin"
    assert cron.words(at("2026-12-07 03:00:30"), now) == "Mon 7 Dec at 03:00:30 Europe/Berlin"
    assert cron.words(at("2027-01-01 00:00"), now) == "Fri 1 Jan 2027 at 00:00 Europe/Berlin"


def test_nobody_can_wait_for_the_end_of_what_never_ends_for_good(tmp_path: Path) -> None:
    """A need that is never met is an error of the file; that the schedule is in force is a need like any other."""
    file = tmp_path / "circus.ini"
    nightly = "[watcher:nightly]\ncmd = true\nschedule = @daily\n"
    file.write_text(f"{nightly}[watcher:web]\ncmd = true\ndepends_on = nightly:completed\n")
    (problem,) = load(str(file), {}).problems
    assert f"{file}:6: error: [watcher:web] depends_on" in str(problem)
    assert '"nightly" has a schedule, and so is never completed for good' in str(problem)
    file.write_text(f"{nightly}[watcher:web]\ncmd = true\ndepends_on = nightly\n")
    assert load(str(file), {}).problems == ()


def test_what_schedules_need_is_loaded_with_the_first_one() -> None:
    """A daemon without any is none the larger for it."""
    script = (
        "import sys, circusd.runtime.daemon, circusd.runtime.handlers, circusd.config.ini; "
        "print([m for m in ('cronsim', 'zoneinfo', 'circusd.runtime.schedules') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
