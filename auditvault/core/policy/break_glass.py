"""Break-glass: content of one case at once, without a grant, for an hour; somebody else reviews it afterwards.

It lets somebody look and do nothing else. Pure: storage, alerts and the record of each look are left to
`auditvault.access`. Rules kept: docs/spec/break-glass.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.calendar import add_business_days, day_of, end_of

LASTS = timedelta(minutes=60)
LEAST_TOLD = 2
"""Other people who must be there to be told."""
REVIEW_BUSINESS_DAYS = 1


class BreakGlassError(AuditvaultError):
    """Break-glass is refused; each kind of refusal has its own code."""


class BreakGlassMissingError(BreakGlassError):
    """The person has not opened break-glass for the case, or it is over."""

    code: ClassVar[str] = "break_glass_missing"


class BreakGlassOpenError(BreakGlassError):
    """The person has one open: it is not opened twice, and not reviewed before it is over."""

    code: ClassVar[str] = "break_glass_open"


class BreakGlassUnreviewedError(BreakGlassError):
    """An earlier one should have been reviewed by now."""

    code: ClassVar[str] = "break_glass_unreviewed"


class BreakGlassUnseenError(BreakGlassError):
    """Fewer than two other people would be told."""

    code: ClassVar[str] = "break_glass_unseen"


class BreakGlassOverError(BreakGlassError):
    """It has ended already."""

    code: ClassVar[str] = "break_glass_over"


class BreakGlassReviewedError(BreakGlassError):
    """It was reviewed already."""

    code: ClassVar[str] = "break_glass_reviewed"


class OwnBreakGlassError(BreakGlassError):
    """Nobody reviews their own, by whichever account."""

    code: ClassVar[str] = "break_glass_own"


class Verdict(StrEnum):
    """What a review comes to."""

    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


class ReviewState(StrEnum):
    """How far the review of a break-glass has come."""

    OPEN = "open"
    WAITING = "waiting"
    OVERDUE = "overdue"
    JUSTIFIED = "justified"
    NOT_JUSTIFIED = "not_justified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What somebody else says of it, and under which case they looked into it."""

    verdict: Verdict
    case: str
    reviewed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """That one human may see content of one case, until it ends."""

    break_glass_id: UUID
    human: HumanId
    case: str
    opened_at: datetime
    expires_at: datetime
    due_at: datetime
    """By when it has to be reviewed: the first instant that is too late."""
    ended_at: datetime | None = None
    review: Review | None = None

    @property
    def over_at(self) -> datetime:
        """From when on nothing is seen under it."""
        return self.expires_at if self.ended_at is None else self.ended_at

    def is_open(self, now: datetime) -> bool:
        """Whether its human may see something under it."""
        return self.opened_at <= now < self.over_at

    def is_overdue(self, now: datetime) -> bool:
        """Whether it should have been reviewed by now, and was not."""
        return self.review is None and self.due_at <= now

    def state(self, now: datetime) -> ReviewState:
        """How far its review has come; an open one's is not due."""
        if self.review is not None:
            return ReviewState(self.review.verdict.value)
        if self.is_overdue(now):
            return ReviewState.OVERDUE
        return ReviewState.OPEN if now < self.over_at else ReviewState.WAITING

    def check_ending(self, now: datetime) -> None:
        """Raise BreakGlassOverError where there is nothing to end."""
        if now >= self.over_at:
            raise BreakGlassOverError("It has ended already.")

    def check_review(self, *, human: HumanId, opener: UUID | None, now: datetime) -> None:
        """Raise what keeps `human` from reviewing it; `opener` is who its account belongs to by now.

        Raises OwnBreakGlassError, BreakGlassOpenError, BreakGlassReviewedError.
        """
        if human in {self.human, opener}:
            raise OwnBreakGlassError("Somebody else reviews what you have opened.")
        if now < self.over_at:
            raise BreakGlassOpenError("It is still open: there may be looks to come.")
        if self.review is not None:
            raise BreakGlassReviewedError("It was reviewed already.")


def due_at(opened_at: datetime, *, holidays: Collection[date] = (), zone: tzinfo = UTC) -> datetime:
    """By when one that was opened then must be reviewed: the end of the next business day."""
    opened_on = day_of(opened_at, zone)
    return end_of(add_business_days(opened_on, REVIEW_BUSINESS_DAYS, holidays), zone)


def check_told(human: HumanId, told: Collection[UUID]) -> None:
    """Raise BreakGlassUnseenError where too few others than `human` would hear of an opening."""
    if len(set(told) - {human}) < LEAST_TOLD:
        raise BreakGlassUnseenError(
            "Two other people must be there to be told at once, with an e-mail address."
        )


def check_opening(before: Iterable[BreakGlass], *, human: HumanId, now: datetime) -> None:
    """Raise what keeps `human` from opening one; `before` are the tenant's that are open or were not reviewed.

    Raises BreakGlassOpenError, BreakGlassUnreviewedError.
    """
    known = list(before)
    # Later than now as well: of two that are opened at once, the clocks of their processes may differ.
    if any(each.human == human and now < each.over_at for each in known):
        raise BreakGlassOpenError("You have one open: end it first.")
    if any(each.is_overdue(now) for each in known):
        raise BreakGlassUnreviewedError("An earlier one has to be reviewed first: it is overdue.")
