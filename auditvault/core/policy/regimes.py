"""Which law wants an answer by when, as data with its sources; and the days and instants that come of it.

Pure. Holidays and the zone are handed in. An extension is counted from the receipt, as the laws do, not from the first
limit: 31 January, one month and two more is 30 April. Rules kept: docs/spec/privacy-requests.md section 4.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import ClassVar

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.calendar import (
    Period,
    Unit,
    add_business_days,
    day_of,
    end_of,
    never_shorter,
    next_business_day,
)

ALERTS_AT = (50, 80, 100)
"""Hundredths of the time between receipt and limit at which somebody is told."""
CUSTOM = "custom"


class RegimeError(AuditvaultError):
    """There is no such regime, or one that was made says what cannot be."""

    code: ClassVar[str] = "regime_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A law's time limits; raises RegimeError where an extension would not extend."""

    name: str
    version: str
    """Changes with the numbers: a request keeps the one that it was received under."""
    legal_order: str
    """Whose law it is: EU, UK, US-CA, BR."""
    source: str
    answer: Period
    """From the receipt."""
    extended: Period | None = None
    """From the receipt too, once extended; None where the law knows no extension."""
    acknowledge_business_days: int | None = None
    rolls_over: bool = False
    """Whether a limit on a day on which nobody works is the next business day."""

    def __post_init__(self) -> None:
        if self.extended is not None and (
            self.extended == self.answer or not never_shorter(self.extended, self.answer)
        ):
            raise RegimeError("An extension must be longer than the time without it.")
        if self.acknowledge_business_days is not None and self.acknowledge_business_days < 1:
            raise RegimeError("An acknowledgement has at least one business day.")


GDPR = Regime(
    name="gdpr",
    version="1",
    legal_order="EU",
    source="Regulation (EU) 2016/679 Art. 12(3); Regulation (EEC, Euratom) 1182/71 Art. 3",
    answer=Period(1, Unit.MONTHS),
    extended=Period(3, Unit.MONTHS),
    rolls_over=True,
)
UK_GDPR = Regime(
    name="uk_gdpr",
    version="1",
    legal_order="UK",
    source="UK GDPR Art. 12(3); the ICO's guidance on time limits for responding",
    answer=Period(1, Unit.MONTHS),
    extended=Period(3, Unit.MONTHS),
    rolls_over=True,
)
CCPA = Regime(
    name="ccpa",
    version="1",
    legal_order="US-CA",
    source="Cal. Civ. Code 1798.130(a)(2); 11 CCR 7021",
    answer=Period(45, Unit.DAYS),
    extended=Period(90, Unit.DAYS),
    acknowledge_business_days=10,
)
LGPD = Regime(
    name="lgpd",
    version="1",
    legal_order="BR",
    source="Lei 13.709/2018 Art. 18 and 19(II)",
    answer=Period(15, Unit.DAYS),
)
REGIMES = {regime.name: regime for regime in (GDPR, UK_GDPR, CCPA, LGPD)}


def regime(name: str, custom: Regime | None = None) -> Regime:
    """The regime of that name, or the tenant's own for `custom`; raises RegimeError."""
    found = custom if name == CUSTOM else REGIMES.get(name)
    if found is None:
        raise RegimeError(f"A regime is one of: {', '.join(sorted((*REGIMES, CUSTOM)))}.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """When something is due, by the days of the tenant's zone, and until which instant that lasts."""

    received_at: datetime
    acknowledge_by: date | None
    answer_by: date
    """The last day for an answer, or for saying that it takes longer."""
    extended_by: date | None
    """The last day after an extension; None where there is none."""
    zone: tzinfo

    def due_by(self, *, is_extended: bool) -> date:
        """The last day; raises RegimeError where it was extended and the law knows no extension."""
        if not is_extended:
            return self.answer_by
        if self.extended_by is None:
            raise RegimeError("This regime knows no extension.")
        return self.extended_by

    def due_at(self, *, is_extended: bool) -> datetime:
        """The first instant that is too late, in UTC."""
        return end_of(self.due_by(is_extended=is_extended), self.zone)

    def alerts_at(self, *, is_extended: bool) -> list[tuple[int, datetime]]:
        """(50, 80, 100 hundredths, when somebody is to be told), by elapsed time."""
        return alerts_between(self.received_at, self.due_at(is_extended=is_extended))


def alerts_between(received_at: datetime, due_at: datetime) -> list[tuple[int, datetime]]:
    """(50, 80, 100 hundredths, when they are over) of the time from one instant to the other, both aware."""
    micros = (due_at - received_at) // timedelta(microseconds=1)
    return [
        (part, received_at + timedelta(microseconds=micros * part // 100)) for part in ALERTS_AT
    ]


def clocks(
    law: Regime, *, received_at: datetime, zone: tzinfo, holidays: Collection[date]
) -> Clocks:
    """What is due when, for a request that came at `received_at` (aware). The day of receipt does not count."""
    received = day_of(received_at, zone)

    def last_day(period: Period) -> date:
        day = period.after(received)
        return next_business_day(day, holidays) if law.rolls_over else day

    acknowledge = law.acknowledge_business_days
    return Clocks(
        received_at=received_at,
        acknowledge_by=add_business_days(received, acknowledge, holidays) if acknowledge else None,
        answer_by=last_day(law.answer),
        extended_by=last_day(law.extended) if law.extended else None,
        zone=zone,
    )
