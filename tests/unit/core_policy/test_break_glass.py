"""Break-glass: one hour, one at a time, reviewed by somebody else within a business day."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.break_glass import (
    LASTS,
    BreakGlass,
    Review,
    Verdict,
    check_opening,
    check_told,
    due_at,
)
from auditvault.core.policy.grants import GRANT_CODES, GrantScopeError, GrantTerms, RecordScope

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)  # a Wednesday
ANNA, BEN, CLEO = (HumanId(UUID(int=number)) for number in (1, 2, 3))
DUE = due_at(NOW)
OPENED = BreakGlass(
    break_glass_id=UUID(int=9),
    human=ANNA,
    case="INC-1",
    opened_at=NOW,
    expires_at=NOW + LASTS,
    due_at=DUE,
)
REVIEWED = replace(
    OPENED, review=Review(verdict=Verdict.JUSTIFIED, case="REV-1", reviewed_at=NOW + LASTS)
)
TICK = timedelta(microseconds=1)


def code_of(act, *args, **words):
    try:
        act(*args, **words)
    except AuditvaultError as error:
        return error.code
    return "done"


@pytest.mark.parametrize(
    ("opened_at", "due"),
    [
        (datetime(2026, 11, 25, 0, tzinfo=UTC), date(2026, 11, 27)),
        (datetime(2026, 11, 25, 23, 59, tzinfo=UTC), date(2026, 11, 27)),
        # Friday to Sunday: the end of Monday.
        (datetime(2026, 11, 27, 10, tzinfo=UTC), date(2026, 12, 1)),
        (datetime(2026, 11, 29, 10, tzinfo=UTC), date(2026, 12, 1)),
    ],
)
def test_it_is_due_at_the_end_of_the_next_business_day(opened_at, due):
    assert due_at(opened_at) == datetime(due.year, due.month, due.day, tzinfo=UTC)


def test_a_holiday_is_no_business_day_where_one_is_named():
    assert due_at(NOW, holidays={date(2026, 11, 26)}) == datetime(2026, 11, 28, tzinfo=UTC)


def test_it_is_open_for_an_hour_or_until_it_is_ended():
    short = replace(OPENED, ended_at=NOW + timedelta(minutes=5))

    assert [OPENED.is_open(NOW + at) for at in (-TICK, 0 * TICK, LASTS - TICK, LASTS)] == [
        False,
        True,
        True,
        False,
    ]
    assert not short.is_open(NOW + timedelta(minutes=5))
    assert code_of(OPENED.check_ending, NOW + LASTS) == "break_glass_over"
    assert code_of(short.check_ending, NOW + timedelta(minutes=6)) == "break_glass_over"


def test_its_state_goes_from_open_to_reviewed_or_overdue():
    assert [OPENED.state(at).value for at in (NOW, NOW + LASTS, DUE - TICK, DUE)] == [
        "open",
        "waiting",
        "waiting",
        "overdue",
    ]
    assert REVIEWED.state(DUE).value == "justified"


def test_one_open_at_a_time_and_none_while_another_is_overdue():
    def opens(human, *, at, before=OPENED):
        return code_of(check_opening, [before], human=human, now=at)

    assert opens(ANNA, at=NOW + LASTS - TICK) == "break_glass_open"
    assert opens(ANNA, at=NOW - TICK) == "break_glass_open"
    assert opens(BEN, at=NOW) == "done"
    assert opens(ANNA, at=NOW + LASTS) == "done"
    assert opens(BEN, at=DUE - TICK) == "done"
    assert opens(BEN, at=DUE) == "break_glass_unreviewed"
    assert opens(BEN, at=DUE, before=REVIEWED) == "done"


def test_two_others_are_told():
    assert code_of(check_told, ANNA, [ANNA, BEN]) == "break_glass_unseen"
    assert code_of(check_told, ANNA, [BEN, BEN]) == "break_glass_unseen"
    assert code_of(check_told, ANNA, [BEN, CLEO]) == "done"


def test_somebody_else_reviews_it_once_after_it_is_over():
    def reviews(found, human, *, at=NOW + LASTS, opener=None):
        return code_of(found.check_review, human=human, opener=opener, now=at)

    assert reviews(OPENED, BEN) == "done"
    assert reviews(OPENED, BEN, at=DUE + LASTS) == "done"
    assert reviews(OPENED, ANNA) == "break_glass_own"
    assert reviews(OPENED, BEN, opener=BEN) == "break_glass_own"
    assert reviews(OPENED, BEN, at=NOW + LASTS - TICK) == "break_glass_open"
    assert reviews(REVIEWED, BEN) == "break_glass_reviewed"


def test_no_grant_is_for_it():
    assert frozenset(PurposeCode) - GRANT_CODES == {PurposeCode.BREAK_GLASS}
    with pytest.raises(GrantScopeError):
        GrantTerms(
            case="INC-1",
            codes=frozenset({PurposeCode.INCIDENT, PurposeCode.BREAK_GLASS}),
            scope=RecordScope(record_ids=frozenset({UUID(int=1)})),
        )
