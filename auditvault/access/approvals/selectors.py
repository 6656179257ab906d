"""Which approvals somebody may see: their own, those that they could decide about, and all of them for an auditor."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auditvault.access.approvals.places import places_of
from auditvault.access.approvals.store import ApprovalNotFoundError, ApprovalRecord, page
from auditvault.access.credentials import Credential
from auditvault.access.paging import id_of, page_cursor
from auditvault.core.policy.approvals import APPROVED_BY, Operation, State
from auditvault.core.policy.roles import Act, acts_of_roles
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
    if record.plan.operation not in _visible(credential) and (
        credential.human is None or record.approval.requested_by != credential.human
    ):
        raise ApprovalNotFoundError("There is no such approval.")
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
                operations=_visible(credential),
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


def _visible(credential: Credential) -> frozenset[Operation]:
    """Operations of which the caller sees every approval."""
    acts = acts_of_roles(credential.roles)
    if Act.READ_ACCESS_LOG in acts:
        return frozenset(Operation)
    return frozenset(operation for operation, needed in APPROVED_BY.items() if needed in acts)
