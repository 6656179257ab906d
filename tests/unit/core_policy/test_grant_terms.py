"""What is asked for comes out of a plan as it went in, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from auditvault.core.policy.access import PurposeCode
from auditvault.core.policy.grants import (
    GrantScopeError,
    GrantTerms,
    PeriodScope,
    RecordScope,
    SubjectScope,
    TraceScope,
    scope_from,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SCOPES = [
    TraceScope(trace_ids=frozenset({b"t" * 16, b"u" * 16})),
    SubjectScope(subject_ids=frozenset({UUID(int=1)})),
    RecordScope(record_ids=frozenset({UUID(int=1), UUID(int=2)})),
    PeriodScope(recorded_from=NOW - timedelta(hours=6), recorded_before=NOW),
]


@pytest.mark.parametrize("scope", SCOPES)
def test_terms_are_read_as_they_were_written(scope):
    terms = GrantTerms(case="INC-1", codes=frozenset({PurposeCode.INCIDENT}), scope=scope)

    assert GrantTerms.parse(terms.parameters()) == terms


@pytest.mark.parametrize(
    "scope",
    [
        None,
        {},
        [],
        "everything",
        {"traces": []},
        {"traces": "74" * 16},
        {"traces": ["74"]},
        {"traces": [5]},
        {"subjects": ["anna"]},
        {"records": [None]},
        {"records": ["00000000-0000-0000-0000-000000000001"], "traces": ["74" * 16]},
        {"recorded_from": NOW.isoformat()},
        {"recorded_from": NOW.isoformat(), "recorded_before": NOW.isoformat()},
        {"recorded_from": "2026-11-01T00:00:00", "recorded_before": "2026-11-02T00:00:00"},
        {"recorded_from": 5, "recorded_before": 6},
        {"everything": True},
    ],
)
def test_what_is_no_scope_is_refused(scope):
    with pytest.raises(GrantScopeError):
        scope_from(scope)


@pytest.mark.parametrize(
    "change",
    [
        {"codes": []},
        {"codes": "INCIDENT"},
        {"codes": ["CURIOSITY"]},
        {"lifetime_seconds": 0},
        {"lifetime_seconds": 10**12},
        {"lifetime_seconds": "3600"},
        {"lifetime_seconds": 24 * 3600 + 1},
    ],
)
def test_terms_that_allow_too_much_or_nothing_are_refused(change):
    good = GrantTerms(case="INC-1", codes=frozenset({PurposeCode.INCIDENT}), scope=SCOPES[0])
    with pytest.raises(GrantScopeError):
        GrantTerms.parse({**good.parameters(), **change})
