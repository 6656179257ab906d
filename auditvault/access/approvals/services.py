"""Asking for approvals, deciding about them, using them up.

Each change is one transaction: the row is locked, moved on, and the entry is written into the admin log of the plan's
tenant; the log's head is locked last. A crash before the commit leaves the approval as it was, after it both are there.
Two people who decide at once queue at the row, and the second finds what the first has made of it.

Humans are counted, not accounts: who asked is compared with who approves as they are linked now, not then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import psycopg

from auditvault.access.approvals.places import (
    OperationDeniedError,
    check_visible,
    place_of,
    places_of,
)
from auditvault.access.approvals.store import ApprovalRecord, insert, locked, move_on, read
from auditvault.access.credentials import Credential
from auditvault.access.humans import human_of_actor
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import AccessDeniedError
from auditvault.core.policy.approvals import (
    APPROVED_BY,
    LIFETIME,
    REQUESTED_BY,
    Approval,
    HumanId,
    OwnApprovalError,
    Plan,
    State,
    request_approval,
)
from auditvault.core.policy.cases import check_case
from auditvault.core.policy.roles import Act
from auditvault.core.policy.separation import SeparationError
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import LogRef, log_within
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant

ENTRY_TYPE_REQUESTED = "approval.requested"
ENTRY_TYPE_APPROVED = "approval.approved"
ENTRY_TYPE_REFUSED = "approval.refused"
ENTRY_TYPE_WITHDRAWN = "approval.withdrawn"
ENTRY_TYPE_USED = "approval.used"
_ENTRY_TYPES = {
    State.REQUESTED: ENTRY_TYPE_REQUESTED,
    State.APPROVED: ENTRY_TYPE_APPROVED,
    State.REFUSED: ENTRY_TYPE_REFUSED,
    State.WITHDRAWN: ENTRY_TYPE_WITHDRAWN,
    State.USED: ENTRY_TYPE_USED,
}

Then: TypeAlias = Callable[[psycopg.Connection[Any], ApprovalRecord], None]
"""What an approval brings about at once, in the same transaction."""


def request(
    *,
    credential: Credential,
    plan: Plan,
    case: str,
    now: datetime,
    lifetime: timedelta = LIFETIME,
) -> ApprovalRecord:
    """Ask to have `plan` approved; it waits for `lifetime`, at most LIFETIME.

    Raises:
        HumanRequiredError, SecondFactorRequiredError: a machine, or somebody who is not proved well enough.
        AccessDeniedError, SeparationError: they may not ask for that, or not there.
        CaseError: the case is no reference.
    """
    human = credential.require_strong(now)
    check_case(case)
    place_of(credential, plan)
    _check_requests(credential, plan)
    asked = request_approval(plan, human=human, now=now, lifetime=lifetime)
    record = ApprovalRecord(
        approval_id=uuid7(now),
        case=case,
        plan=plan,
        approval=asked,
        requester=credential.actor,
    )
    log = admin_log(plan.region, plan.tenant_id)
    with tenant_scope(region_alias(plan.region), plan.tenant_id) as connection:
        insert(connection, record)
        _record(connection, log, record, State.REQUESTED, credential.actor)
    return record


def approve(
    *,
    credential: Credential,
    region: str,
    approval_id: UUID,
    now: datetime,
    then: Then | None = None,
) -> ApprovalRecord:
    """Approve what somebody else asked for; `then` is done in the same transaction.

    Raises:
        HumanRequiredError, SecondFactorRequiredError: as `request`.
        ApprovalNotFoundError: none that the caller may see.
        OwnApprovalError: it is the caller's own, by whatever account.
        AccessDeniedError, SeparationError: they may not approve that.
        ApprovalNotOpenError: it was decided about already, or is expired.
    """
    human = credential.require_strong(now)

    def decide(record: ApprovalRecord) -> Approval:
        return record.approval.approve(
            human=human, acts=_acts_to_decide(credential, record, human), now=now
        )

    return _decide(credential, region, approval_id, decide, now, then)


def refuse(
    *, credential: Credential, region: str, approval_id: UUID, now: datetime
) -> ApprovalRecord:
    """Refuse what somebody else asked for, also where it is approved and not used yet. Raises as `approve`."""
    human = credential.require_strong(now)

    def decide(record: ApprovalRecord) -> Approval:
        return record.approval.refuse(
            human=human, acts=_acts_to_decide(credential, record, human), now=now
        )

    return _decide(credential, region, approval_id, decide, now)


def withdraw(
    *, credential: Credential, region: str, approval_id: UUID, now: datetime
) -> ApprovalRecord:
    """Take one's own request back while it is not used; raises as `approve`."""
    human = credential.require_human()

    def decide(record: ApprovalRecord) -> Approval:
        return record.approval.withdraw(human=human, now=now)

    return _decide(credential, region, approval_id, decide, now)


def use_within(
    connection: psycopg.Connection[Any],
    *,
    plan: Plan,
    approval_id: UUID,
    human: HumanId | None,
    actor: str,
    now: datetime,
) -> ApprovalRecord:
    """Use an approval up for `plan`, in the transaction of the act itself, which is in the plan's tenant and region.

    Comes after what else the transaction writes: it locks the head of the tenant's admin log. `human` is None for a
    command on the service's own machine. What is done outside this transaction is done after its commit: a crash in
    between leaves an approval that was used up and an act that was not done, and somebody asks again.

    Raises:
        ApprovalNotFoundError: the tenant has none of that id here.
        ApprovalDriftedError, ApprovalMissingError, ApprovalNotOpenError: `core.policy.approvals`.
    """
    record = locked(connection, approval_id)
    used = record.approval.use(plan, now=now)
    move_on(connection, record, used, human=human, actor=actor, now=now)
    _record(connection, log_within(connection, plan.tenant_id, "admin"), record, used.state, actor)
    return read(connection, approval_id)


def _decide(
    credential: Credential,
    region: str,
    approval_id: UUID,
    decide: Callable[[ApprovalRecord], Approval],
    now: datetime,
    then: Then | None = None,
) -> ApprovalRecord:
    tenant_id = places_of(credential, region).tenant_of(approval_id)
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        record = locked(connection, approval_id)
        check_visible(credential, record)
        decided = decide(record)
        human = credential.require_human()
        move_on(connection, record, decided, human=human, actor=credential.actor, now=now)
        _record(connection, log, record, decided.state, credential.actor)
        if then is not None:
            then(connection, read(connection, approval_id))
        return read(connection, approval_id)


def _check_requests(credential: Credential, plan: Plan) -> None:
    """Raises AccessDeniedError, or SeparationError where each act that would do is in a conflict."""
    conflict: SeparationError | None = None
    for act in Act:
        if act not in REQUESTED_BY[plan.operation]:
            continue
        try:
            credential.role_for(act)
        except SeparationError as error:
            conflict = error
        except AccessDeniedError:
            continue
        else:
            return
    raise conflict or OperationDeniedError("None of your roles may ask for that.")


def _acts_to_decide(credential: Credential, record: ApprovalRecord, human: HumanId) -> set[Act]:
    """What the caller may do of what deciding takes.

    Raises OwnApprovalError where whoever asked is the same human by now: accounts can be linked after a request.
    """
    if human_of_actor(record.requester) == human:
        raise OwnApprovalError("Somebody else has to decide about what you asked for.")
    needed = APPROVED_BY[record.plan.operation]
    if human != record.approval.requested_by:
        credential.role_for(needed)
    return {needed}


def _record(
    connection: psycopg.Connection[Any],
    log: LogRef,
    record: ApprovalRecord,
    state: State,
    actor: str,
) -> None:
    """The entry of a change. Humans stand in it as their accounts do, by `actor`."""
    details: dict[str, JsonValue] = {
        "approval": str(record.approval_id),
        "operation": record.plan.operation.value,
        "plan": record.approval.plan_digest.hex(),
        "case": record.case,
        "actor": actor,
    }
    if state is State.REQUESTED:
        details["expires_at"] = format_instant(record.approval.expires_at)
    record_in(
        connection,
        log,
        record_id=new_record_id(connection),
        action=_ENTRY_TYPES[state],
        details=details,
    )
