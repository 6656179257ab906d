"""Quarters, and decisions of which there is one for each line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from auditvault.core.policy.cases import CaseError
from auditvault.core.policy.reviews import (
    Decision,
    Quarter,
    ReviewDecisionsError,
    ReviewerError,
    ReviewQuarterError,
    check_reviewer,
    decided,
    quarter_of,
    quarter_to_open,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_an_instant_is_in_the_quarter_of_its_month():
    for month in range(1, 13):
        assert quarter_of(datetime(2026, month, 1, tzinfo=UTC)) == Quarter(2026, (month + 2) // 3)


def test_a_quarter_ends_where_the_next_begins():
    quarter = Quarter(2025, 1)
    for _ in range(12):
        assert quarter_of(quarter.ends_at) == quarter.following
        assert quarter_of(quarter.ends_at - timedelta(microseconds=1)) == quarter
        assert quarter.following.previous == quarter
        assert quarter.due_at == quarter.ends_at + timedelta(days=30)
        quarter = quarter.following
    assert quarter == Quarter(2028, 1)


def test_this_quarter_and_the_last_can_be_opened():
    assert quarter_to_open(None, NOW).name == "2026-Q4"
    assert quarter_to_open("2026-Q3", NOW) == Quarter(2026, 3)


@pytest.mark.parametrize("name", ["2026-Q2", "2027-Q1", "2026-Q5", "2026", "", "2026-Q4 "])
def test_no_other_quarter_can_be_opened(name):
    with pytest.raises(ReviewQuarterError):
        quarter_to_open(name, NOW)


def test_decisions_are_stored_in_the_order_of_the_lines():
    body = decided(
        [
            Decision(line=1, decision="remove", case="INC-1"),
            Decision(line=0, decision="keep"),
        ],
        lines=2,
        list_sha256="00",
    )
    assert json.loads(body)["decisions"] == [
        {"decision": "keep", "case": None},
        {"decision": "remove", "case": "INC-1"},
    ]


@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [Decision(line=0, decision="keep")],
        [Decision(line=0, decision="keep"), Decision(line=0, decision="keep")],
        [Decision(line=0, decision="keep"), Decision(line=2, decision="keep")],
        [Decision(line=number, decision="keep") for number in range(3)],
        [Decision(line=0, decision="keep"), Decision(line=1, decision="remove")],
    ],
)
def test_each_line_is_decided_about_once_and_a_removal_has_a_case(decisions):
    with pytest.raises(ReviewDecisionsError):
        decided(decisions, lines=2, list_sha256="00")


def test_a_case_is_a_reference():
    with pytest.raises(CaseError):
        decided([Decision(line=0, decision="remove", case="Anna Canary")], lines=1, list_sha256="")


def test_who_gave_or_holds_a_reviewed_right_does_not_review_it():
    reviewer, other = uuid4(), uuid4()
    check_reviewer(reviewer, granters={other, None}, holders={other})
    with pytest.raises(ReviewerError):
        check_reviewer(reviewer, granters={reviewer}, holders=())
    with pytest.raises(ReviewerError):
        check_reviewer(reviewer, granters=(), holders={reviewer})
