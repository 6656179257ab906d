"""How far a count is from others."""

from __future__ import annotations

from decimal import Decimal

import pytest

from auditvault.core.reports.spread import is_outlier, z_score


@pytest.mark.parametrize(
    ("value", "others", "score"),
    [
        (10, [10, 10, 10], "0.00"),
        (13, [10, 10, 10], "3.00"),
        (7, [10, 10, 10], "-3.00"),
        (18, [2, 4, 4, 4, 5, 5, 7, 9], "6.50"),
    ],
)
def test_a_score_is_deviations_above_the_mean_of_the_others(value, others, score):
    assert z_score(value, others) == Decimal(score)


def test_of_too_few_others_nothing_is_said():
    assert z_score(1000, [1, 1]) is None
    assert not is_outlier(None)


def test_an_outlier_is_above_three():
    assert not is_outlier(Decimal("3.00"))
    assert is_outlier(Decimal("3.01"))
