"""A grant opens named things of one case to one human for hours, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auditvault.core.policy.access import Purpose, PurposeCode
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.grants import (
    MAX_LIFETIME,
    MAX_NAMED,
    MAX_PERIOD,
    Grant,
    GrantMissingError,
    GrantScopeError,
    PeriodScope,
    RecordScope,
    SubjectScope,
    Target,
    TraceScope,
    grant_for,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANNA, BEN = HumanId(UUID(int=1)), HumanId(UUID(int=2))
TARGET = Target(
    record_id=UUID(int=10), trace_id=b"t" * 16, subject_id=UUID(int=20), recorded_at=NOW - 5 * HOUR
)
OTHER = Target(
    record_id=UUID(int=11), trace_id=b"u" * 16, subject_id=UUID(int=21), recorded_at=NOW - 50 * HOUR
)
PURPOSE = Purpose(code=PurposeCode.INCIDENT, case="INC-1", reason="An answer was complained about")
GRANT = Grant(
    grant_id=UUID(int=30),
    human=ANNA,
    case="INC-1",
    codes=frozenset({PurposeCode.INCIDENT, PurposeCode.COMPLAINT}),
    scope=TraceScope(trace_ids=frozenset({TARGET.trace_id})),
    starts_at=NOW - HOUR,
    expires_at=NOW + HOUR,
)
SCOPES = {
    "trace": TraceScope(trace_ids=frozenset({TARGET.trace_id})),
    "subject": SubjectScope(subject_ids=frozenset({TARGET.subject_id})),
    "record": RecordScope(record_ids=frozenset({TARGET.record_id})),
    "period": PeriodScope(recorded_from=NOW - 6 * HOUR, recorded_before=NOW - 4 * HOUR),
}


def allows(grant=GRANT, *, human=ANNA, purpose=PURPOSE, target=TARGET, now=NOW):
    return grant.allows(human=human, purpose=purpose, target=target, now=now)


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
def test_a_grant_covers_what_its_scope_names_and_nothing_else(scope):
    grant = replace(GRANT, scope=scope)
    assert allows(grant)
    assert not allows(grant, target=OTHER)


@pytest.mark.parametrize(
    "other",
    [
        {"human": BEN},
        {"purpose": replace(PURPOSE, case="INC-2")},
        {"purpose": replace(PURPOSE, code=PurposeCode.LEGAL)},
        {"now": NOW + HOUR},
        {"now": NOW - HOUR - timedelta(microseconds=1)},
    ],
    ids=["human", "case", "code", "over", "not-begun"],
)
def test_a_grant_is_one_humans_for_one_case_its_codes_and_its_hours(other):
    assert not allows(**other)


def test_a_grant_that_was_taken_back_ends_at_once():
    assert not allows(replace(GRANT, revoked_at=NOW))
    assert allows(replace(GRANT, revoked_at=NOW + timedelta(microseconds=1)))


def test_a_period_has_its_beginning_and_not_its_end():
    scope = PeriodScope(recorded_from=NOW - HOUR, recorded_before=NOW)
    assert scope.covers(replace(TARGET, recorded_at=NOW - HOUR))
    assert not scope.covers(replace(TARGET, recorded_at=NOW))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TraceScope(trace_ids=frozenset()),
        lambda: RecordScope(record_ids=frozenset(map(_uuid, range(MAX_NAMED + 1)))),
        lambda: PeriodScope(recorded_from=NOW, recorded_before=NOW),
        lambda: PeriodScope(
            recorded_from=NOW, recorded_before=NOW + MAX_PERIOD + timedelta(microseconds=1)
        ),
        lambda: replace(GRANT, codes=frozenset()),
        lambda: replace(GRANT, expires_at=GRANT.starts_at),
        lambda: replace(
            GRANT, expires_at=GRANT.starts_at + MAX_LIFETIME + timedelta(microseconds=1)
        ),
    ],
    ids=["nothing", "too-many", "no-time", "long-period", "no-code", "no-life", "long-life"],
)
def test_a_grant_is_narrow_and_short(make):
    with pytest.raises(GrantScopeError):
        make()


def _uuid(number):
    return UUID(int=number)


def test_of_several_grants_the_one_that_ends_last_is_used():
    later = replace(GRANT, grant_id=UUID(int=31), expires_at=NOW + 2 * HOUR)
    over = replace(GRANT, grant_id=UUID(int=32), expires_at=NOW)
    found = grant_for([GRANT, later, over], human=ANNA, purpose=PURPOSE, target=TARGET, now=NOW)
    assert found is later


def test_without_a_grant_nothing_is_seen():
    with pytest.raises(GrantMissingError):
        grant_for([GRANT], human=ANNA, purpose=PURPOSE, target=OTHER, now=NOW)


def test_each_scope_says_in_the_plan_what_it_covers():
    said = [scope.parameters() for scope in SCOPES.values()]
    assert [list(parameters) for parameters in said] == [
        ["traces"],
        ["subjects"],
        ["records"],
        ["recorded_from", "recorded_before"],
    ]
    assert said[0] == {"traces": [TARGET.trace_id.hex()]}
