"""What is unusual for somebody, by their own history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditvault.core.policy.baseline import LEAST_COUNT, LEAST_DAYS, judge

STEADY = [10, 12, 9, 11, 10, 8, 10, 11, 9, 10]


def test_a_day_like_the_others_is_usual():
    assert not judge(14, STEADY).is_unusual


def test_three_times_as_much_is_unusual_for_who_is_steady():
    verdict = judge(30, STEADY)
    assert (verdict.is_unusual, verdict.typical, verdict.days) == (True, 10, 10)


def test_the_same_count_is_usual_for_who_varies():
    assert not judge(30, [1, 30, 5, 28, 2, 25, 3, 31]).is_unusual


def test_a_short_history_says_nothing():
    assert judge(10_000, [1] * (LEAST_DAYS - 1)).score is None
    assert not judge(10_000, []).is_unusual
    assert judge(10_000, [1] * LEAST_DAYS).is_unusual


def test_a_history_without_variance_does_not_make_one_look_more_unusual():
    assert not judge(LEAST_COUNT + 1, [LEAST_COUNT] * 30).is_unusual
    assert judge(LEAST_COUNT + 20, [LEAST_COUNT] * 30).is_unusual


def test_a_small_number_is_never_unusual():
    assert not judge(LEAST_COUNT - 1, [1] * 30).is_unusual


@given(
    today=st.integers(0, 10**6),
    history=st.lists(st.integers(1, 10**6), max_size=35),
    more=st.integers(0, 1000),
)
def test_it_has_a_verdict_on_anything_and_more_is_never_less_unusual(today, history, more):
    if judge(today, history).is_unusual:
        assert judge(today + more, history).is_unusual


@pytest.mark.parametrize("history", [[], [1], [5] * 7])
def test_nothing_is_not_unusual(history):
    assert not judge(0, history).is_unusual
