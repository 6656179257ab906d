"""Access reviews: a place's list of who can see content, frozen once a quarter, and what somebody decides of each line.

Rules kept: docs/howto/review-access.md, docs/spec/access-review.md. Pure: storage, and who gave a right, are left to
`auditvault.evidence.reviews`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import HumanId
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import AccessDeniedError, Act
from auditvault.core.tlog.canonical import JsonValue, canonical_bytes

LIST_VERSION = "auditvault/access-review/1"
DECISIONS_VERSION = "auditvault/access-review-decisions/1"
ACTS = (Act.READ_ACCESS_LOG, Act.GRANT_ROLES)
"""Whoever may do any of these may open a review and sign it off."""
TIME_TO_SIGN = timedelta(days=30)
"""How long after the quarter its review may still be signed before it is overdue."""
_QUARTER = re.compile(r"(20[0-9]{2}|21[0-9]{2})-Q([1-4])")
_MONTHS = 3


class ReviewQuarterError(AuditvaultError):
    """That is no quarter of which a review can be opened."""

    code: ClassVar[str] = "review_quarter_invalid"


class ReviewDecisionsError(AuditvaultError):
    """The decisions are not one for each line of the list that was frozen."""

    code: ClassVar[str] = "review_decisions_invalid"


class ReviewerError(AccessDeniedError):
    """The reviewer gave a right that is reviewed, or has one."""

    code: ClassVar[str] = "review_not_independent"


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A quarter of a year, in UTC."""

    year: int
    number: int
    """1 to 4."""

    @property
    def name(self) -> str:
        """Such as `2026-Q4`."""
        return f"{self.year}-Q{self.number}"

    @property
    def ends_at(self) -> datetime:
        """The first instant after it."""
        following = self.following
        return datetime(following.year, 1 + _MONTHS * (following.number - 1), 1, tzinfo=UTC)

    @property
    def due_at(self) -> datetime:
        """When its review is overdue."""
        return self.ends_at + TIME_TO_SIGN

    @property
    def following(self) -> Quarter:
        """The next one."""
        return Quarter(self.year + self.number // 4, self.number % 4 + 1)

    @property
    def previous(self) -> Quarter:
        """The one before."""
        return Quarter(self.year - (self.number == 1), (self.number - 2) % 4 + 1)


def quarter_of(at: datetime) -> Quarter:
    """The quarter that an instant is in."""
    at = at.astimezone(UTC)
    return Quarter(at.year, (at.month - 1) // _MONTHS + 1)


def quarter_to_open(name: str | None, now: datetime) -> Quarter:
    """The quarter of that name, the present one where none is named.

    The list is of now, so only the present quarter and the one before can be opened; raises ReviewQuarterError.
    """
    present = quarter_of(now)
    if name is None:
        return present
    found = _QUARTER.fullmatch(name)
    quarter = Quarter(int(found[1]), int(found[2])) if found else None
    if quarter not in {present, present.previous}:
        raise ReviewQuarterError(
            f"A review is of this quarter or the last: {present.name} or {present.previous.name}."
        )
    return quarter


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What somebody decides of one line."""

    line: int
    """From 0."""
    decision: Literal["keep", "remove"]
    case: str | None = None
    """Where the removal is followed up; needed for one."""


def frozen_list(
    *, tenant: str, region: str, quarter: Quarter, at: str, lines: Sequence[Mapping[str, JsonValue]]
) -> bytes:
    """The list as it is stored and hashed."""
    return canonical_bytes(
        {
            "v": LIST_VERSION,
            "tenant": tenant,
            "region": region,
            "quarter": quarter.name,
            "taken_at": at,
            "lines": [dict(line) for line in lines],
        }
    )


def decided(decisions: Collection[Decision], *, lines: int, list_sha256: str) -> bytes:
    """Decisions as they are stored and hashed, in the order of the lines.

    Raises:
        ReviewDecisionsError: there is not exactly one for each line, or a removal has no case.
        CaseError: a case is no reference.
    """
    by_line = {each.line: each for each in decisions}
    if len(decisions) != lines or set(by_line) != set(range(lines)):
        raise ReviewDecisionsError(f"Decide about each of the {lines} lines once.")
    for each in decisions:
        if each.decision == "remove" and each.case is None:
            raise ReviewDecisionsError("A right that is to be removed needs a case.")
        if each.case is not None:
            check_case(each.case)
    return canonical_bytes(
        {
            "v": DECISIONS_VERSION,
            "list_sha256": list_sha256,
            "decisions": [
                {"decision": by_line[line].decision, "case": by_line[line].case}
                for line in range(lines)
            ],
        }
    )


def check_reviewer(
    human: HumanId, *, granters: Collection[object], holders: Collection[object]
) -> None:
    """Refuse a human who gave one of the reviewed rights or holds one; raises ReviewerError."""
    if human in granters:
        raise ReviewerError("You gave one of these rights: somebody else has to review them.")
    if human in holders:
        raise ReviewerError("You hold one of these rights: somebody else has to review them.")
