"""Days on which nobody has to work, by country: from the `holidays` package, for the calendar of `core.policy`."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays

from auditvault.core.errors import AuditvaultError


class CalendarUnknownError(AuditvaultError):
    """There is no such country, part of one, or time zone."""

    code = "calendar_unknown"


@lru_cache(maxsize=256)  # to make them takes milliseconds, and a table asks a thousand times
def holidays_of(country: str, subdivision: str | None, years: range) -> frozenset[date]:
    """The public holidays of these years; `country` and `subdivision` as ISO 3166; raises CalendarUnknownError."""
    known = holidays.list_supported_countries()
    if country not in known or (subdivision is not None and subdivision not in known[country]):
        raise CalendarUnknownError("No holidays are known of that country or part of one.")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=years))


@lru_cache(maxsize=256)  # the names are read from files
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, such as Europe/Berlin; raises CalendarUnknownError."""
    if name not in available_timezones():
        raise CalendarUnknownError("There is no such time zone.")
    return ZoneInfo(name)
