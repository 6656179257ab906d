"""Looking at reviews: for whoever may review, and recorded."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.credentials import Credential
from auditvault.access.events.services import Act as RecordedAct
from auditvault.access.events.services import record_act
from auditvault.access.holdings import staff_snapshot, usernames
from auditvault.access.paging import id_of, page_cursor
from auditvault.evidence.reviews.selectors import Review, ReviewNotFoundError, review, reviews
from auditvault.evidence.reviews.services import first_role
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Reviews, newest first, and where the next page begins."""

    reviews: list[Review]
    next_cursor: str | None


def list_reviews(
    *, credential: Credential, region: str, limit: int, cursor: str | None, now: datetime
) -> Page:
    """One page of the place's reviews, once the look is recorded.

    Raises:
        AccessDeniedError, CursorError, AccessNotRecordedError.
    """
    role = first_role(credential)
    before = id_of(cursor)
    limit = max(1, min(limit, MAX_PAGE))
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        found = reviews(connection, limit=limit + 1, before=before)
    page = found[:limit]
    _record(credential, region, role, now, rows=len(page))
    return Page(
        reviews=page, next_cursor=page_cursor(page[-1].review_id) if len(found) > limit else None
    )


def read_review(*, credential: Credential, region: str, review_id: UUID, now: datetime) -> Review:
    """One review, once the look is recorded; raises as `list_reviews`, and ReviewNotFoundError."""
    role = first_role(credential)
    found = None
    with (
        tenant_scope(region_alias(region), credential.tenant_id) as connection,
        suppress(ReviewNotFoundError),
    ):
        found = review(connection, review_id)
    # A look for what is not there is recorded, too.
    rows = len(found.lines) if found else 0
    _record(credential, region, role, now, rows=rows, review=str(review_id))
    if found is None:
        raise ReviewNotFoundError("There is no such review.")
    return found


def named(found: Review) -> dict[str, str]:
    """Actor -> username, for whoever stands in a review."""
    actors = {str(line["actor"]) for line in found.lines} | {found.opener}
    with staff_snapshot() as staff:
        return usernames(staff, actors | ({found.signer} if found.signer else set()))


def _record(
    credential: Credential, region: str, role: str, now: datetime, **details: str | int
) -> None:
    act = RecordedAct(
        actor=credential.actor,
        actor_role=role,
        action="review",
        outcome="granted",
        details={**details},
    )
    record_act(region=region, tenant_id=credential.tenant_id, act=act, now=now)
