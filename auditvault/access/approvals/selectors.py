"""Which approvals somebody may see: their own, those that they could decide about, and all of them for an auditor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.approvals.places import check_visible, places_of, visible_operations
from auditvault.access.approvals.store import ApprovalRecord, page
from auditvault.access.credentials import Credential
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.approvals import State
from auditvault.ledger.scope import region_alias, tenant_scope

MAX_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPage:
    """Approvals, newest first, and where the next page begins."""

    records: list[ApprovalRecord]
    next_cursor: str | None


def approval(*, credential: Credential, region: str, approval_id: UUID) -> ApprovalRecord:
    """One approval; raises ApprovalNotFoundError, also where the caller may not see it."""
    record = places_of(credential, region).find(approval_id)
    check_visible(credential, record)
    return record


def approvals(
    *,
    credential: Credential,
    region: str,
    now: datetime,
    states: Collection[State] = tuple(State),
    only_open: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> ApprovalPage:
    """A page of what the caller may see; `only_open` leaves out what is decided or expired.

    Raises CursorError.
    """
    before = id_of(cursor)
    limit = max(1, min(limit, MAX_PAGE))
    found: list[ApprovalRecord] = []
    for tenant_id in places_of(credential, region).tenant_ids:
        with tenant_scope(region_alias(region), tenant_id) as connection:
            found += page(
                connection,
                operations=visible_operations(credential),
                requested_by=credential.human,
                states=states,
                before=before,
                limit=limit + 1,
            )
    found.sort(key=lambda record: record.approval_id, reverse=True)
    shown = found[:limit]
    return ApprovalPage(
        records=[record for record in shown if not only_open or record.is_open(now)],
        next_cursor=page_cursor(shown[-1].approval_id) if len(found) > limit else None,
    )
