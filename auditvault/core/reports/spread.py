"""How far one count is from others: the z-score, and what is called an outlier. Pure."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from statistics import fmean, pstdev

LEAST_OTHERS = 3
"""With fewer others nothing is said."""
OUTLIER = Decimal(3)
_LEAST_DEVIATION = 1.0


def z_score(value: int, others: Collection[int]) -> Decimal | None:
    """How many standard deviations `value` is above the mean of `others`, to two places; None for too few others.

    The value itself is not among the others: in a small group it would hide itself. A deviation below 1 counts as 1,
    so that a second look after many days with one is no outlier.
    """
    if len(others) < LEAST_OTHERS:
        return None
    deviation = max(pstdev(others), _LEAST_DEVIATION)
    return Decimal(f"{(value - fmean(others)) / deviation:.2f}")


def is_outlier(score: Decimal | None) -> bool:
    """Whether a score is above OUTLIER."""
    return score is not None and score > OUTLIER
