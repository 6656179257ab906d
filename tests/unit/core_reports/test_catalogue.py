"""Which reports there are, and what they can be narrowed to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditvault.core.policy.roles import ALLOWED, Act, Role
from auditvault.core.reports.catalogue import (
    CATALOGUE,
    LOG_FILTERS,
    Filters,
    ReportFilterError,
    ReportName,
    ReportUnknownError,
    read_filters,
    report_named,
    with_period,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_every_report_has_a_rule():
    assert set(CATALOGUE) == set(ReportName)


def test_nobody_who_sees_content_reads_reports_about_looks():
    for role, acts in ALLOWED.items():
        if Act.RESOLVE_FULL in acts:
            assert not any(set(rule.acts) & acts for rule in CATALOGUE.values()), role


def test_what_is_the_persons_own_is_for_those_who_answer_people():
    rule = CATALOGUE[ReportName.SUBJECT_LOOKS]
    assert {role for role in Role if set(rule.acts) & ALLOWED[role]} == {
        Role.PRIVACY_OPERATOR,
        Role.PRIVACY_OFFICER,
    }
    assert [role for role in Role if Act.NAME_STAFF in ALLOWED[role]] == [Role.PRIVACY_OFFICER]


def test_filters_are_read():
    found = read_filters(
        {
            "recorded_from": "2026-11-01T00:00:00+01:00",
            "case": "INC-1",
            "actor": "user:" + "a" * 32,
        },
        allowed=LOG_FILTERS,
    )
    assert found.given() == {
        "recorded_from": "2026-10-31T23:00:00+00:00",
        "case": "INC-1",
        "actor": "user:" + "a" * 32,
    }


@pytest.mark.parametrize(
    "given",
    [
        {"days": 3},
        {"color": "red"},
        {"actor": "anna"},
        {"actor": "user:Anna@example.org"},
        {"target": "sha256:" + "0" * 64},
        {"case": "no reference!"},
        {"case": 3},
        {"outcome": "maybe"},
        {"purpose_code": "CURIOSITY"},
        {"recorded_from": "2026-11-01"},
        {"recorded_from": "0001-01-01T00:00:00Z"},
        {"recorded_from": "yesterday"},
        {"recorded_from": None},
        {"recorded_from": "2026-11-02T00:00:00Z", "recorded_before": "2026-11-01T00:00:00Z"},
    ],
)
def test_what_is_no_filter_is_refused_and_not_repeated(given):
    with pytest.raises(ReportFilterError) as refused:
        read_filters(given, allowed=LOG_FILTERS)
    assert "nna" not in refused.value.message


@pytest.mark.parametrize("days", ["0", "99999999999999999999999", -1, True, 1.5, "٣", [1]])
def test_days_are_a_small_whole_number(days):
    with pytest.raises(ReportFilterError):
        read_filters({"days": days}, allowed=frozenset({"days"}))


def test_a_report_of_records_has_a_period():
    found = with_period(CATALOGUE[ReportName.LOOKS], Filters(), NOW)
    assert (found.recorded_from, found.recorded_before) == (NOW - timedelta(days=90), NOW)


def test_a_persons_own_report_is_from_the_beginning():
    found = with_period(CATALOGUE[ReportName.SUBJECT_LOOKS], Filters(), NOW)
    assert (found.recorded_from, found.recorded_before) == (None, NOW)


def test_looks_of_years_are_refused():
    with pytest.raises(ReportFilterError):
        with_period(
            CATALOGUE[ReportName.LOOKS], Filters(recorded_from=NOW - timedelta(days=367)), NOW
        )


def test_there_is_no_other_report():
    assert report_named("looks") is ReportName.LOOKS
    with pytest.raises(ReportUnknownError):
        report_named("everything")
