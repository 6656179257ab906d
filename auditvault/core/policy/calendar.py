"""Time limits as the law counts them: months that end, business days, and which of two periods is the longer.

Pure: which days are holidays, and in which zone a person's day begins and ends, are handed in. A month is never 30 days
and six months are never 180: 31 January and one month is the last day of February. Which law asks for what stands in
`regimes`. Rules kept: docs/spec/privacy-requests.md section 4, docs/spec/retention-policy.md section 3.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar

from auditvault.core.errors import AuditvaultError

_WEEKEND = frozenset({5, 6})
_MONTHS_OF_YEAR = 12
_PERIOD = re.compile(r"P([1-9][0-9]{0,4})([DMY])")
_MAX_DAYS, _MAX_MONTHS = 36_525, 1200
_FIRST_YEAR, _CYCLE_YEARS = 2000, 400  # the Gregorian calendar repeats after 400 years
_MAX_FREE_DAYS = 400


class PeriodError(AuditvaultError):
    """A text is no period, or a number of days, months or years is none."""

    code: ClassVar[str] = "period_invalid"


class CalendarError(AuditvaultError):
    """A limit cannot be found: the day would be outside the calendar, or nobody ever works."""

    code: ClassVar[str] = "calendar_exceeded"


class Unit(StrEnum):
    """What a period counts; the letter of ISO 8601."""

    DAYS = "D"
    MONTHS = "M"
    YEARS = "Y"


@dataclass(frozen=True, slots=True)
class Period:
    """A number of calendar days, months or years, 1 day to 100 years; raises PeriodError for another."""

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        most = _MAX_DAYS if self.unit is Unit.DAYS else _MAX_MONTHS
        count = self.amount if self.unit is Unit.DAYS else self._months()
        if not 1 <= count <= most:
            raise PeriodError("A period is 1 day to 100 years.")

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `P90D`, `P6M` or `P7Y`: a part of ISO 8601; raises PeriodError for anything else."""
        match = _PERIOD.fullmatch(text)
        if match is None:
            raise PeriodError("A period is written as P90D, P6M or P7Y.")
        return cls(int(match[1]), Unit(match[2]))

    def __str__(self) -> str:
        return f"P{self.amount}{self.unit.value}"

    def after(self, day: date) -> date:
        """The day that lies this period after `day`; raises CalendarError beyond the year 9999."""
        if self.unit is Unit.DAYS:
            return _add_days(day, self.amount)
        return add_months(day, self._months())

    def _months(self) -> int:
        return self.amount * (_MONTHS_OF_YEAR if self.unit is Unit.YEARS else 1)

    def days_at_least(self) -> int:
        """The fewest days that it can be, from whichever day it is counted."""
        return self.amount if self.unit is Unit.DAYS else _days_of(self._months())[0]

    def days_at_most(self) -> int:
        """The most days that it can be."""
        return self.amount if self.unit is Unit.DAYS else _days_of(self._months())[1]


def add_months(day: date, months: int) -> date:
    """The same day of the month so many months on, or the last day of that month where it has none of the number."""
    index = day.year * _MONTHS_OF_YEAR + day.month - 1 + months
    year, month = divmod(index, _MONTHS_OF_YEAR)
    if not date.min.year <= year <= date.max.year:
        raise CalendarError("A day outside the years 1 to 9999 is meant.")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def never_shorter(period: Period, than: Period) -> bool:
    """Whether `period` ends no earlier than `than`, from whichever day both are counted.

    180 days are shorter than six months (181 to 184 days), and so are 183.
    """
    if period.unit is Unit.DAYS or than.unit is Unit.DAYS:
        # One of both has one length only, so its ends are compared with the other's extremes.
        if than.unit is Unit.DAYS:
            return period.days_at_least() >= than.amount
        return period.amount >= than.days_at_most()
    return period._months() >= than._months()  # noqa: SLF001  # months after the same day never cross


def is_business_day(day: date, holidays: Collection[date]) -> bool:
    """Whether it is Monday to Friday, and no holiday."""
    return day.weekday() not in _WEEKEND and day not in holidays


def next_business_day(day: date, holidays: Collection[date]) -> date:
    """`day`, or the first business day after it; raises CalendarError where there is none in 400 days."""
    for _ in range(_MAX_FREE_DAYS):
        if is_business_day(day, holidays):
            return day
        day = _add_days(day, 1)
    raise CalendarError("There is no business day in 400 days: look at the holidays.")


def add_business_days(day: date, count: int, holidays: Collection[date]) -> date:
    """The `count`-th business day after `day`, which itself does not count; `count` is 1 or more."""
    if count < 1:
        raise PeriodError("Business days are counted from 1.")
    for _ in range(count):
        day = next_business_day(_add_days(day, 1), holidays)
    return day


def day_of(instant: datetime, zone: tzinfo) -> date:
    """The day that it is in `zone`; `instant` is aware."""
    return instant.astimezone(zone).date()


def end_of(day: date, zone: tzinfo) -> datetime:
    """The instant at which the day is over in `zone`, in UTC: the first that is too late."""
    return datetime.combine(_add_days(day, 1), time.min, tzinfo=zone).astimezone(UTC)


def _add_days(day: date, count: int) -> date:
    try:
        return day + timedelta(days=count)
    except OverflowError:
        raise CalendarError("A day outside the years 1 to 9999 is meant.") from None


@lru_cache(maxsize=256)
def _days_of(months: int) -> tuple[int, int]:
    """The fewest and the most days that so many months are.

    From the first of a month it is the most; from its last day, where the day is cut to a shorter month, the least.
    """
    found: set[int] = set()
    for index in range(_CYCLE_YEARS * _MONTHS_OF_YEAR):
        year, month = _FIRST_YEAR + index // _MONTHS_OF_YEAR, index % _MONTHS_OF_YEAR + 1
        for day in (date(year, month, 1), date(year, month, monthrange(year, month)[1])):
            found.add((add_months(day, months) - day).days)
    return min(found), max(found)
