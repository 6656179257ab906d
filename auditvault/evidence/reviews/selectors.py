"""Reading reviews, and which are overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from auditvault.access.holdings import place_made_at, tenants_of_region
from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.reviews import Quarter, quarter_of
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.scope import region_alias, tenant_scope

_READ = (
    "SELECT r.review_id, r.quarter, r.opened_at, r.opener, r.list, r.list_sha256,"
    " s.signed_at, s.signer, s.decisions"
    " FROM access_review AS r LEFT JOIN access_review_sign_off AS s USING (tenant_id, review_id)"
)


class ReviewNotFoundError(AuditvaultError):
    """The tenant has no such review in the region."""

    code = "review_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A frozen list and, once somebody has signed it off, what they decided."""

    review_id: UUID
    quarter: str
    opened_at: datetime
    opener: str
    lines: list[dict[str, JsonValue]]
    list_sha256: str
    signed_at: datetime | None
    signer: str | None
    decisions: list[dict[str, JsonValue]] | None

    def removed(self) -> list[dict[str, JsonValue]]:
        """The lines that are to go."""
        pairs = zip(self.lines, self.decisions or (), strict=False)
        return [line for line, decision in pairs if decision["decision"] == "remove"]


def reviews(
    connection: psycopg.Connection[Any], *, limit: int = 1000, before: UUID | None = None
) -> list[Review]:
    """Reviews of the transaction's tenant, newest first, from the one `before` on backwards."""
    rows = connection.execute(
        f"{_READ} WHERE r.review_id < coalesce(%s, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)"
        " ORDER BY r.review_id DESC LIMIT %s",
        (before, limit),
    )
    return [_review(*row) for row in rows]


def review(connection: psycopg.Connection[Any], review_id: UUID) -> Review:
    """One of the transaction's tenant; raises ReviewNotFoundError, also for another tenant's."""
    row = connection.execute(f"{_READ} WHERE r.review_id = %s", (review_id,)).fetchone()
    if row is None:
        raise ReviewNotFoundError("There is no such review.")
    return _review(*row)


def unsigned_quarters(
    found: list[Review], staff: psycopg.Connection[Any], tenant_id: UUID, region: str, now: datetime
) -> list[Quarter]:
    """The last quarter and this one, as far as the place was there and no review is opened."""
    made_at = place_made_at(staff, tenant_id, region)
    opened = {each.quarter for each in found}
    present = quarter_of(now)
    return [
        quarter
        for quarter in (present, present.previous)
        if made_at is not None and made_at < quarter.ends_at and quarter.name not in opened
    ]


def overdue_places(region: str, now: datetime) -> int:
    """How many tenants of the region have not signed the newest review off that is due by now."""
    quarter = quarter_of(now).previous
    while quarter.due_at > now:
        quarter = quarter.previous
    with tenant_scope(region_alias(region), UUID(int=0)) as connection:
        rows = connection.execute("SELECT access_reviews_signed(%s)", (quarter.name,)).fetchall()
    signed = {tenant_id for (tenant_id,) in rows}
    return sum(
        made_at < quarter.ends_at and tenant_id not in signed
        for tenant_id, made_at in tenants_of_region(region).items()
    )


def _review(
    review_id: UUID,
    quarter: str,
    opened_at: datetime,
    opener: str,
    frozen: bytes,
    list_sha256: bytes,
    signed_at: datetime | None,
    signer: str | None,
    decisions: bytes | None,
) -> Review:
    return Review(
        review_id=review_id,
        quarter=quarter,
        opened_at=opened_at.astimezone(UTC),
        opener=opener,
        lines=orjson.loads(frozen)["lines"],
        list_sha256=bytes(list_sha256).hex(),
        signed_at=signed_at.astimezone(UTC) if signed_at else None,
        signer=signer,
        decisions=orjson.loads(decisions)["decisions"] if decisions is not None else None,
    )
