"""What is due when, under each law."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.calendar import Period, Unit, day_of
from auditvault.core.policy.regimes import (
    CCPA,
    GDPR,
    LGPD,
    REGIMES,
    UK_GDPR,
    RegimeError,
    clocks,
    regime,
)

BERLIN, LOS_ANGELES = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")
MOMENTS = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001  # Hypothesis adds the zone
    max_value=datetime(2031, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def due(law, received_at, *, zone=UTC, holidays=()):
    return clocks(law, received_at=received_at, zone=zone, holidays=frozenset(holidays))


def test_a_month_from_31_january_ends_in_february():
    # 28 February 2026 is a Saturday: the limit is the Monday after.
    assert due(GDPR, datetime(2026, 1, 31, 9, tzinfo=UTC)).answer_by == date(2026, 3, 2)
    assert due(GDPR, datetime(2028, 1, 31, 9, tzinfo=UTC)).answer_by == date(2028, 2, 29)


def test_an_extension_counts_from_the_receipt():
    assert due(GDPR, datetime(2029, 1, 31, 9, tzinfo=UTC)).extended_by == date(2029, 4, 30)


def test_a_holiday_moves_the_limit_where_the_law_moves_it():
    received = datetime(2026, 5, 1, 9, tzinfo=UTC)
    assert due(GDPR, received).answer_by == date(2026, 6, 1)
    assert due(GDPR, received, holidays=[date(2026, 6, 1)]).answer_by == date(2026, 6, 2)
    assert due(CCPA, received, holidays=[date(2026, 6, 15)]).answer_by == date(2026, 6, 15)


def test_california_acknowledges_in_ten_business_days_and_answers_in_45_or_90():
    found = due(CCPA, datetime(2026, 6, 30, 9, tzinfo=UTC), holidays=[date(2026, 7, 3)])
    assert found.acknowledge_by == date(2026, 7, 15)
    assert found.answer_by == date(2026, 8, 14)
    assert found.extended_by == date(2026, 9, 28)


def test_brazil_has_fifteen_days_and_no_extension():
    found = due(LGPD, datetime(2026, 6, 1, 9, tzinfo=UTC))
    assert (found.answer_by, found.extended_by) == (date(2026, 6, 16), None)
    with pytest.raises(RegimeError):
        found.due_at(is_extended=True)


def test_the_day_of_receipt_is_that_of_the_zone():
    late = datetime(2026, 6, 15, 23, 30, tzinfo=UTC)
    assert due(UK_GDPR, late, zone=BERLIN).answer_by == date(2026, 7, 16)
    assert due(UK_GDPR, late, zone=LOS_ANGELES).answer_by == date(2026, 7, 15)


def test_the_last_day_counts_whole():
    found = due(CCPA, datetime(2026, 6, 1, 9, tzinfo=UTC), zone=LOS_ANGELES)
    assert found.due_at(is_extended=False) == datetime(2026, 7, 17, 7, tzinfo=UTC)


def test_somebody_is_told_at_half_at_four_fifths_and_at_the_end():
    received = datetime(2026, 6, 1, tzinfo=UTC)
    law = replace(LGPD, answer=Period(9, Unit.DAYS))
    assert due(law, received).alerts_at(is_extended=False) == [
        (50, datetime(2026, 6, 6, tzinfo=UTC)),
        (80, datetime(2026, 6, 9, tzinfo=UTC)),
        (100, datetime(2026, 6, 11, tzinfo=UTC)),
    ]


@given(MOMENTS, st.sampled_from(sorted(REGIMES)), st.sampled_from([BERLIN, LOS_ANGELES, UTC]))
def test_every_limit_lies_after_what_comes_before_it(received_at, name, zone):
    found = due(REGIMES[name], received_at, zone=zone)
    alerts = [at for _, at in found.alerts_at(is_extended=False)]
    assert alerts == sorted(alerts)
    assert received_at < alerts[0]
    assert alerts[-1] == found.due_at(is_extended=False)
    assert found.answer_by > day_of(received_at, zone)
    if found.extended_by is not None:
        assert found.extended_by > found.answer_by
    if found.acknowledge_by is not None:
        assert found.acknowledge_by < found.answer_by


@given(MOMENTS)
def test_a_rolled_limit_is_a_working_day_at_most_two_days_on(received_at):
    found = due(GDPR, received_at)
    plain = due(replace(GDPR, rolls_over=False), received_at)
    assert found.answer_by.isoweekday() <= 5
    assert timedelta(0) <= found.answer_by - plain.answer_by <= timedelta(days=2)


def test_an_unknown_regime_is_refused_and_a_custom_one_is_the_tenants():
    own = replace(LGPD, name="custom", answer=Period(20, Unit.DAYS))
    assert regime("custom", own) is own
    assert regime("gdpr") is GDPR
    for name, custom in (("hipaa", own), ("custom", None)):
        with pytest.raises(RegimeError):
            regime(name, custom)


def test_an_extension_that_does_not_extend_is_refused():
    for extended in (Period(1, Unit.MONTHS), Period(30, Unit.DAYS)):
        with pytest.raises(RegimeError):
            replace(GDPR, extended=extended)


def test_every_regime_says_where_it_comes_from():
    assert all(law.source and law.legal_order and law.version for law in REGIMES.values())
