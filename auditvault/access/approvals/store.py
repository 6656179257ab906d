"""The rows of approvals: read, locked, inserted, moved on. Whoever calls is in a transaction of the plan's tenant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.core.errors import AuditvaultError
from auditvault.core.policy.approvals import Approval, HumanId, Operation, Plan, State

_COLUMNS = (
    "SELECT approval_id, case_ref, plan, plan_digest, requested_by, requester, requested_at, expires_at, state,"
    " approved_by, approver, approved_at, ended_by, ender, ended_at FROM"
)
_SELECT = f"{_COLUMNS} access_approval"


class ApprovalNotFoundError(AuditvaultError):
    """There is no such approval that the caller may see."""

    code = "approval_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRecord:
    """An approval as it is stored. Actors are `user:<id>`, `token:<id>` or `operator:cli`."""

    approval_id: UUID
    case: str
    plan: Plan
    approval: Approval
    requester: str
    approver: str | None = None
    approved_at: datetime | None = None
    ended_by: HumanId | None = None
    ender: str | None = None
    """Who refused it, withdrew it or used it up."""
    ended_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be decided about or used."""
        return self.ended_at is None and now < self.approval.expires_at


def insert(connection: psycopg.Connection[Any], record: ApprovalRecord) -> None:
    """Store a request."""
    plan, asked = record.plan, record.approval
    connection.execute(
        "INSERT INTO access_approval (tenant_id, approval_id, operation, case_ref, plan, plan_digest,"
        " requested_by, requester, requested_at, expires_at, state)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            plan.tenant_id,
            record.approval_id,
            plan.operation.value,
            record.case,
            plan.body(),
            asked.plan_digest,
            asked.requested_by,
            record.requester,
            asked.requested_at,
            asked.expires_at,
            asked.state.value,
        ),
    )


def locked(connection: psycopg.Connection[Any], approval_id: UUID) -> ApprovalRecord:
    """The approval, until the transaction ends nobody else's to change; raises ApprovalNotFoundError."""
    row = connection.execute(
        f"{_COLUMNS} access_lock_approval(%s)",  # our own words only
        (approval_id,),
    ).fetchone()
    return _found(row)


def read(connection: psycopg.Connection[Any], approval_id: UUID) -> ApprovalRecord:
    """The approval as it is; raises ApprovalNotFoundError."""
    row = connection.execute(
        f"{_SELECT} WHERE approval_id = %s",
        (approval_id,),
    ).fetchone()
    return _found(row)


def page(
    connection: psycopg.Connection[Any],
    *,
    operations: Collection[Operation],
    requested_by: UUID | None,
    states: Collection[State],
    before: UUID | None,
    limit: int,
) -> list[ApprovalRecord]:
    """Approvals of these operations, or asked for by that human, newest first; ids from `before` on are left out."""
    rows = connection.execute(
        f"{_SELECT} WHERE (operation = ANY(%s) OR requested_by = %s) AND state = ANY(%s)"
        " AND (%s::uuid IS NULL OR approval_id < %s) ORDER BY approval_id DESC LIMIT %s",
        (
            [operation.value for operation in operations],
            requested_by,
            [state.value for state in states],
            before,
            before,
            limit,
        ),
    ).fetchall()
    return [_record(row) for row in rows]


def move_on(
    connection: psycopg.Connection[Any],
    record: ApprovalRecord,
    to: Approval,
    *,
    human: HumanId | None,
    actor: str,
    now: datetime,
) -> None:
    """Store the next state of a locked approval, and who brought it there."""
    row = connection.execute(
        "SELECT access_move_approval(%s, %s, %s, %s, %s, %s)",
        (
            record.approval_id,
            record.approval.state.value,
            to.state.value,
            human,
            actor,
            now,
        ),
    ).fetchone()
    if row is None or not row[0]:
        raise ApprovalNotFoundError("There is no such approval.")


def _found(row: tuple[Any, ...] | None) -> ApprovalRecord:
    if row is None:
        raise ApprovalNotFoundError("There is no such approval.")
    return _record(row)


def _record(row: tuple[Any, ...]) -> ApprovalRecord:
    approval_id, case, body, digest, requested_by, requester, requested_at, expires_at = row[:8]
    state, approved_by, approver, approved_at, ended_by, ender, ended_at = row[8:]
    plan = Plan.parse(bytes(body))
    return ApprovalRecord(
        approval_id=approval_id,
        case=case,
        plan=plan,
        approval=Approval(
            operation=plan.operation,
            plan_digest=bytes(digest),
            requested_by=HumanId(requested_by),
            requested_at=requested_at,
            expires_at=expires_at,
            state=State(state),
            approved_by=HumanId(approved_by) if approved_by else None,
        ),
        requester=requester,
        approver=approver,
        approved_at=approved_at,
        ended_by=HumanId(ended_by) if ended_by else None,
        ender=ender,
        ended_at=ended_at,
    )
