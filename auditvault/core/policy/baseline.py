"""Is what somebody does today unusual for them? By their own history, not by their colleagues'.

The z-score of today's count among the counts of earlier days on which they looked at anything. A history that is short
says nothing, and a small number is never unusual: whoever had two looks a day has done no harm with seven. A history
without variance would make anything unusual, so the deviation is at least what chance alone gives a count (the root of
its mean, as of a Poisson distribution). Pure; the counts come from the region's database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, pstdev

LEAST_DAYS = 7
"""Days with looks before today, below which nothing is said."""
LEAST_COUNT = 20
"""Looks of today, below which nothing is unusual."""
THRESHOLD = 4.0
"""Deviations above the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What today's count comes to."""

    is_unusual: bool
    score: float | None
    """Deviations above the mean; None where the history is too short."""
    typical: int
    """The mean of the earlier days, rounded."""
    days: int
    """How many earlier days there are."""


def judge(
    today: int,
    history: Sequence[int],
    *,
    threshold: float = THRESHOLD,
    least_days: int = LEAST_DAYS,
    least_count: int = LEAST_COUNT,
) -> Verdict:
    """Judge today's count by the counts of earlier days, each above 0; none of them is negative."""
    mean = fmean(history) if history else 0.0
    if len(history) < least_days:
        return Verdict(is_unusual=False, score=None, typical=round(mean), days=len(history))
    deviation = max(pstdev(history, mean), sqrt(mean), 1.0)
    score = (today - mean) / deviation
    return Verdict(
        is_unusual=score >= threshold and today >= least_count,
        score=score,
        typical=round(mean),
        days=len(history),
    )
