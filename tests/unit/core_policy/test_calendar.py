"""Months, business days and periods, against slow and obvious ways to count them."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.calendar import (
    CalendarError,
    Period,
    PeriodError,
    Unit,
    add_business_days,
    add_months,
    end_of,
    never_shorter,
    next_business_day,
)

DAYS = st.dates(min_value=date(1900, 1, 1), max_value=date(2200, 12, 31))
HOLIDAYS = st.sets(st.dates(min_value=date(2026, 1, 1), max_value=date(2026, 3, 1)), max_size=12)
IN_2026 = st.dates(min_value=date(2026, 1, 1), max_value=date(2026, 2, 15))


def months_on_by_steps(day: date, months: int) -> date:
    """The oracle: walk to the month day by day, then to the number of the day as far as the month goes."""
    current = day.replace(day=1)
    for _ in range(months):
        current = current.replace(day=28) + timedelta(days=4)
        current = current.replace(day=1)
    while current.day < day.day and (current + timedelta(days=1)).month == current.month:
        current += timedelta(days=1)
    return current


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2100, 1, 31), 1, date(2100, 2, 28)),
        (date(2026, 1, 31), 3, date(2026, 4, 30)),
        (date(2027, 12, 31), 2, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
    ],
)
def test_a_month_ends_where_the_month_ends(day, months, expected):
    assert add_months(day, months) == expected


@given(DAYS, st.integers(min_value=1, max_value=60))
def test_months_are_what_walking_day_by_day_finds(day, months):
    assert add_months(day, months) == months_on_by_steps(day, months)


@given(DAYS, st.integers(min_value=1, max_value=40))
def test_years_are_twelve_months(day, years):
    assert Period(years, Unit.YEARS).after(day) == Period(12 * years, Unit.MONTHS).after(day)


def test_a_day_beyond_the_calendar_is_refused():
    with pytest.raises(CalendarError):
        Period(1, Unit.YEARS).after(date(9999, 6, 1))
    with pytest.raises(CalendarError):
        Period(300, Unit.DAYS).after(date(9999, 6, 1))


@given(IN_2026, st.integers(min_value=1, max_value=15), HOLIDAYS)
def test_business_days_are_those_that_are_left_when_the_others_are_struck(day, count, holidays):
    days = (day + timedelta(days=n) for n in range(1, 120))
    left = [each for each in days if each.isoweekday() <= 5 and each not in holidays]
    assert add_business_days(day, count, holidays) == left[count - 1]


@given(IN_2026, HOLIDAYS)
def test_a_business_day_is_its_own_next(day, holidays):
    found = next_business_day(day, holidays)
    assert next_business_day(found, holidays) == found
    assert found >= day


def test_a_calendar_in_which_nobody_works_is_refused():
    always = {date(2026, 1, 1) + timedelta(days=n) for n in range(500)}
    with pytest.raises(CalendarError):
        next_business_day(date(2026, 1, 1), always)


@pytest.mark.parametrize("text", ["P90D", "P6M", "P7Y", "P1D", "P100Y"])
def test_a_period_is_read_as_it_is_written(text):
    assert str(Period.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "P", "6M", "P0D", "P06M", "P1W", "P-1D", "P6M ", "P1Y6M", "P1.5M", "P101Y", "PT1M"]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(PeriodError):
        Period.parse(text)


@pytest.mark.parametrize("days", [180, 181, 183])
def test_six_months_written_as_days_are_too_few(days):
    assert not never_shorter(Period(days, Unit.DAYS), Period(6, Unit.MONTHS))


def test_only_what_is_never_shorter_than_six_months_will_do():
    six = Period(6, Unit.MONTHS)
    assert never_shorter(Period(184, Unit.DAYS), six)
    assert never_shorter(six, Period(181, Unit.DAYS))
    assert not never_shorter(six, Period(182, Unit.DAYS))
    assert not never_shorter(Period(365, Unit.DAYS), Period(1, Unit.YEARS))
    assert never_shorter(Period(1, Unit.YEARS), Period(12, Unit.MONTHS))


PERIODS = st.one_of(
    st.builds(Period, st.integers(min_value=1, max_value=500), st.just(Unit.DAYS)),
    st.builds(Period, st.integers(min_value=1, max_value=16), st.just(Unit.MONTHS)),
)
# Every kind of year and of neighbour: common, leap, a century that has no leap day.
EVERY_DAY = [
    start + timedelta(days=n)
    for start in (date(2023, 1, 1), date(2099, 1, 1))
    for n in range(365 * 3)
]


@given(PERIODS, PERIODS)
def test_never_shorter_is_what_every_day_says(one, other):
    expected = all(one.after(day) >= other.after(day) for day in EVERY_DAY)
    assert never_shorter(one, other) == expected


@pytest.mark.parametrize("months", [1, 2, 6, 11, 12, 13])
def test_the_fewest_and_the_most_days_are_those_of_a_search(months):
    period = Period(months, Unit.MONTHS)
    lengths = {(period.after(day) - day).days for day in EVERY_DAY}
    assert (period.days_at_least(), period.days_at_most()) == (min(lengths), max(lengths))


def test_the_longest_century_and_the_shortest_differ_by_a_day():
    century = Period(100, Unit.YEARS)
    assert (century.days_at_least(), century.days_at_most()) == (36_524, 36_525)
    assert monthrange(2100, 2)[1] == 28


def test_a_day_ends_by_the_clock_of_its_zone_when_clocks_change_too():
    berlin = ZoneInfo("Europe/Berlin")
    assert end_of(date(2026, 3, 29), berlin) == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert end_of(date(2026, 10, 24), berlin) == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert end_of(date(2026, 10, 25), berlin) == datetime(2026, 10, 25, 23, tzinfo=UTC)
