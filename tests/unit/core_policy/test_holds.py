"""A hold covers within its scope, now and later, and nothing beyond."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.approvals import HumanId, Operation
from auditvault.core.policy.holds import (
    CaseScope,
    Held,
    Hold,
    HoldNotOpenError,
    HoldScopeError,
    PeriodScope,
    RecordScope,
    SubjectScope,
    TenantScope,
    TraceScope,
    covering,
    parse_scope,
    scope_digest,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)
TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
IDS = [UUID(int=n) for n in range(10, 14)]
TRACES = [bytes([n]) * 16 for n in range(4)]
CASES = ["INC-1", "INC-2"]
DAYS = [NOW + timedelta(days=n) for n in range(5)]


def some(values):
    return st.frozensets(st.sampled_from(values), min_size=1)


PERIODS = st.tuples(st.sampled_from([None, *DAYS[:2]]), st.sampled_from([None, *DAYS[2:]])).filter(
    any
)
SCOPES = st.one_of(
    st.builds(SubjectScope, subject_ids=some(IDS)),
    st.builds(TraceScope, trace_ids=some(TRACES)),
    st.builds(CaseScope, cases=some(CASES)),
    st.builds(RecordScope, record_ids=some(IDS)),
    PERIODS.map(lambda pair: PeriodScope(recorded_from=pair[0], recorded_before=pair[1])),
    st.just(TenantScope()),
)
RECORDS = st.builds(
    Held,
    tenant_id=st.sampled_from([TENANT, OTHER_TENANT]),
    record_id=st.sampled_from(IDS),
    recorded_at=st.sampled_from(DAYS),
    trace_id=st.sampled_from([None, *TRACES]),
    subject_ids=st.frozensets(st.sampled_from(IDS)),
    cases=st.frozensets(st.sampled_from(CASES)),
)


def hold(scope, **changes) -> Hold:
    return replace(
        Hold(
            hold_id=UUID(int=7),
            tenant_id=TENANT,
            region="eu",
            scope=scope,
            placed_by=HumanId(UUID(int=3)),
            custodian=HumanId(UUID(int=4)),
            review_on=date(2027, 5, 1),
            placed_at=NOW,
        ),
        **changes,
    )


def covered_by_the_words(scope, record) -> bool:
    """The oracle: by the scope's members as they are written down."""
    members = scope.parameters()
    match members["kind"]:
        case "subject":
            return any(str(each) in members["subjects"] for each in record.subject_ids)
        case "trace":
            return record.trace_id is not None and record.trace_id.hex() in members["traces"]
        case "case":
            return any(each in members["cases"] for each in record.cases)
        case "records":
            return str(record.record_id) in members["records"]
        case "period":
            at = record.recorded_at.isoformat()
            return (members["from"] or "") <= at < (members["before"] or "9")
    return members == {"kind": "tenant"}


@given(SCOPES, RECORDS)
def test_a_hold_covers_what_its_words_say_and_of_its_tenant_only(scope, record):
    expected = record.tenant_id == TENANT and covered_by_the_words(scope, record)
    assert hold(scope).covers(record) == expected


@given(st.lists(SCOPES, max_size=4), RECORDS)
def test_the_holds_in_the_way_are_those_that_cover(scopes, record):
    holds = [hold(scope, hold_id=UUID(int=n)) for n, scope in enumerate(scopes)]
    found = [each.hold_id for each in covering(holds, record)]
    assert found == [each.hold_id for each in holds if each.covers(record)]


@given(SCOPES, RECORDS)
def test_a_hold_that_was_released_covers_nothing(scope, record):
    assert not hold(scope).release(now=NOW).covers(record)


@given(SCOPES)
def test_what_arrives_later_is_covered_unless_a_query_named_the_records(scope):
    before = Held(
        tenant_id=TENANT,
        record_id=IDS[0],
        recorded_at=DAYS[1],
        trace_id=TRACES[0],
        subject_ids=frozenset(IDS),
        cases=frozenset(CASES),
    )
    later = replace(before, record_id=UUID(int=99), recorded_at=DAYS[1] + timedelta(hours=1))
    kept = hold(scope)
    if isinstance(scope, RecordScope):
        assert not kept.covers(later)
    else:
        assert kept.covers(later) == kept.covers(before)


@given(SCOPES, SCOPES)
def test_a_scope_is_read_as_it_is_written_and_its_digest_is_its_own(one, other):
    assert parse_scope(one.parameters()) == one
    assert (scope_digest(one) == scope_digest(other)) == (one == other)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"kind": "diary"},
        {"kind": []},
        {"kind": "subject", "subjects": []},
        {"kind": "subject", "subjects": ["Erika Mustermann"]},
        {"kind": "subject", "subjects": "a"},
        {"kind": "subject", "subjects": [str(IDS[0])], "traces": []},
        {"kind": "trace", "traces": ["00"]},
        {"kind": "trace", "traces": [5]},
        {"kind": "case", "cases": ["a case with words"]},
        {"kind": "records", "records": []},
        {"kind": "period", "from": None, "before": None},
        {"kind": "period", "from": "2026-01-02T00:00:00", "before": None},
        {"kind": "period", "from": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
        {"kind": "period", "from": 5, "before": None},
    ],
)
def test_what_is_no_scope_is_refused_and_not_repeated(members):
    with pytest.raises(HoldScopeError) as refused:
        parse_scope(members)
    assert "Erika" not in refused.value.message


def test_a_hold_names_only_so_many():
    with pytest.raises(HoldScopeError):
        SubjectScope(subject_ids=frozenset(UUID(int=n) for n in range(1001)))


def test_a_hold_that_nobody_reviewed_goes_on():
    kept = hold(TenantScope())
    assert not kept.is_overdue(date(2027, 4, 30))
    assert kept.is_overdue(date(2027, 5, 1))
    assert not kept.release(now=NOW).is_overdue(date(2027, 5, 1))
    assert kept.covers(Held(tenant_id=TENANT, record_id=IDS[0], recorded_at=DAYS[0]))


def test_the_plan_of_a_release_names_the_hold_its_scope_and_what_waits():
    scope = SubjectScope(subject_ids=frozenset(IDS))
    plan = hold(scope).release_plan(waiting=3)
    assert plan.operation is Operation.HOLD_RELEASE
    assert plan.parameters == {
        "hold": str(UUID(int=7)),
        "scope": scope_digest(scope).hex(),
        "waiting": 3,
    }
    assert plan.digest() != hold(scope).release_plan(waiting=4).digest()
    assert plan.digest() != hold(TenantScope()).release_plan(waiting=3).digest()


def test_what_was_released_is_not_released_again():
    released = hold(TenantScope()).release(now=NOW)
    with pytest.raises(HoldNotOpenError):
        released.release(now=NOW)
    with pytest.raises(HoldNotOpenError):
        released.release_plan(waiting=0)


def test_an_instant_is_the_same_in_every_zone():
    one = parse_scope({"kind": "period", "from": "2026-01-02T00:00:00Z", "before": None})
    other = parse_scope({"kind": "period", "from": "2026-01-02T02:00:00+02:00", "before": None})
    assert scope_digest(one) == scope_digest(other)
