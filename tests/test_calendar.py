"""When something is due and when somebody may be told, in every zone and on every odd night."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_pipeline.policy.calendar import Calendar

ZONES = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
         "America/Sao_Paulo", "Asia/Kathmandu"]  # fmt: skip
WEEK = frozenset(range(5))


def calendar(
    zone: str = "Europe/London", quiet: str = "20:00-08:00", *, off: bool = False,
    holidays: tuple[str, ...] = (), working: frozenset[int] = WEEK,
) -> Calendar:  # fmt: skip
    start, _, end = quiet.partition("-")
    return Calendar(
        ZoneInfo(zone), working, frozenset(date.fromisoformat(day) for day in holidays),
        time.fromisoformat(start) if start else None, time.fromisoformat(end) if end else None, off,
    )  # fmt: skip


def at(text: str, zone: str = "Europe/London") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


CLOCKS = st.times().map(lambda t: t.replace(second=0, microsecond=0))
CALENDARS = st.builds(
    lambda zone, start, end, off, days, holidays: Calendar(
        ZoneInfo(zone), frozenset(days), frozenset(holidays), start, end, off
    ),
    st.sampled_from(ZONES),
    CLOCKS,
    CLOCKS,
    st.booleans(),
    st.sets(st.integers(0, 6), min_size=1),
    st.sets(st.dates(date(2011, 12, 20), date(2012, 1, 10)), max_size=12),
).filter(lambda one: one.quiet_from != one.quiet_to)
# Around the nights in which clocks change, or a whole day is left out.
ODD = ["2011-12-29", "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05",
       "2026-10-04", "2018-11-04", "2018-02-18"]  # fmt: skip
MOMENTS = st.one_of(
    st.integers(1_000_000_000, 2_000_000_000).map(float),
    st.builds(
        lambda day, seconds: at(f"{day}T00:00:00", "UTC") + seconds,
        st.sampled_from(ODD), st.integers(-86_400, 2 * 86_400),
    ),
)  # fmt: skip


@given(CALENDARS, MOMENTS)
def test_nobody_is_told_in_quiet_hours_or_before_the_time(one: Calendar, asked: float) -> None:
    """The next allowed moment is never quiet, never earlier than asked, and asked if allowed."""
    found = one.next_allowed(asked)
    assert found >= asked
    assert not one.is_quiet(found)
    if not one.is_quiet(asked):
        assert found == asked
    assert one.next_allowed(found) == found


@given(CALENDARS, MOMENTS)
def test_the_quiet_stretch_began_when_it_was_not_quiet(one: Calendar, asked: float) -> None:
    """The moment before it is not quiet, and not after the moment that was asked about."""
    found = one.quiet_since(asked)
    assert found <= asked
    assert not one.is_quiet(found)


@given(CALENDARS, MOMENTS, st.integers(0, 40),
       st.sampled_from(["minutes", "hours", "days", "working days"]))  # fmt: skip
def test_what_is_due_is_never_due_before_it_began(
    one: Calendar, start: float, count: int, unit: str
) -> None:
    """More time is never less, and working days end on days that are worked."""
    due = one.due_at(f"{count} {unit}", start)
    assert start <= due <= one.due_at(f"{count + 1} {unit}", start)
    if unit == "working days" and count and str(one.zone) != "Pacific/Apia":
        assert one.is_worked(datetime.fromtimestamp(due, one.zone).date())


@pytest.mark.parametrize(
    ("due", "start", "end"),
    [
        ("at once", "2026-11-27T17:00", "2026-11-27T17:00"),
        ("30 minutes", "2026-11-27T17:00", "2026-11-27T17:30"),
        ("1 working day", "2026-11-27T17:00", "2026-11-30T17:00"),  # a Friday
        ("1 working day", "2026-11-28T10:00", "2026-11-30T10:00"),
        ("3 working days", "2026-12-23T09:00", "2026-12-30T09:00"),  # 25 and 28 are holidays
        ("1 day", "2026-03-28T12:00", "2026-03-29T12:00"),  # 23 hours
        ("1 day", "2026-10-24T12:00", "2026-10-25T12:00"),  # 25 hours
        ("24 hours", "2026-03-28T12:00", "2026-03-29T13:00"),
    ],
)
def test_due_times_are_what_people_would_count(due: str, start: str, end: str) -> None:
    """Working days leave out weekends and holidays; a day is a day when the clock changes."""
    one = calendar(holidays=("2026-12-25", "2026-12-28"))
    assert one.due_at(due, at(start)) == at(end)


@pytest.mark.parametrize(
    ("quiet", "asked", "told"),
    [
        ("20:00-08:00", "2026-11-26T19:59", "2026-11-26T19:59"),
        ("20:00-08:00", "2026-11-26T20:00", "2026-11-27T08:00"),
        ("20:00-08:00", "2026-11-27T07:59", "2026-11-27T08:00"),
        ("20:00-08:00", "2026-11-27T21:00", "2026-11-30T08:00"),  # over the weekend
        ("12:00-13:00", "2026-11-26T12:30", "2026-11-26T13:00"),
        ("20:00-08:00", "2026-03-27T23:00", "2026-03-30T08:00"),  # the clock goes forward
        ("", "2026-11-28T12:00", "2026-11-30T00:00"),
    ],
)
def test_quiet_hours_end_when_people_expect(quiet: str, asked: str, told: str) -> None:
    """Over night, at noon, over the weekend, and over the night in which clocks change."""
    assert calendar(quiet=quiet, off=True).next_allowed(at(asked)) == at(told)


def test_quiet_hours_end_though_their_end_is_left_out_by_the_clock() -> None:
    """01:30 does not exist in the night of 29 March: somebody is told at 02:30, not a day late."""
    one = calendar(quiet="22:00-01:30", working=frozenset(range(7)))
    assert one.next_allowed(at("2026-03-28T23:00")) <= at("2026-03-29T02:30")


def test_a_calendar_of_holidays_alone_comes_to_an_end() -> None:
    """However many holidays a file lists, somebody is told after the last of them."""
    first = date(2026, 1, 5)
    mondays = tuple(str(first + timedelta(weeks=week)) for week in range(60))
    one = calendar(off=True, working=frozenset({0}), holidays=mondays)
    assert one.next_allowed(at("2026-01-05T12:00")) == at("2027-03-01T08:00")
