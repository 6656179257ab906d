"""Asking for grants, giving them, taking them back.

A grant is asked for as an approval of the operation `content_grant`, and made in the transaction in which somebody else
approves it, which uses the approval up. A crash before that commit leaves a request that waits; after it a grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.approvals import services as approvals
from auditvault.access.approvals.store import ApprovalRecord
from auditvault.access.credentials import Credential
from auditvault.access.grants import store
from auditvault.access.grants.store import GrantNotFoundError, GrantRecord
from auditvault.access.reading import find_headers
from auditvault.core.ids import uuid7
from auditvault.core.policy.access import AccessDeniedError, PurposeError, purposes_of
from auditvault.core.policy.approvals import HumanId, Operation, Plan
from auditvault.core.policy.grants import (
    MAX_NAMED,
    GrantScopeError,
    GrantTerms,
    RecordScope,
    SubjectScope,
)
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.logs import log_within
from auditvault.ledger.scope import region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.traces.selectors import MAX_PAGE, Search
from auditvault.vault.merging import group_of

ENTRY_TYPE_GIVEN = "grant.given"
ENTRY_TYPE_REVOKED = "grant.revoked"


def ask(*, credential: Credential, region: str, terms: GrantTerms, now: datetime) -> ApprovalRecord:
    """Ask for a grant for oneself; somebody else approves it (`approve`).

    A subject in the scope stands for everybody who is one person with it, as it is now.

    Raises:
        HumanRequiredError, SecondFactorRequiredError, AccessDeniedError, SeparationError: the caller may not ask.
        PurposeError: a code that their role may not use.
        CaseError, GrantScopeError: the case is no reference; the scope covers too much.
    """
    credential.require_strong(now)
    role = credential.role_for(Act.RESOLVE_FULL)
    if not terms.codes <= purposes_of(role):
        raise PurposeError("This purpose code is not allowed for your role.")
    plan = Plan(
        operation=Operation.CONTENT_GRANT,
        tenant_id=credential.tenant_id,
        region=region,
        parameters=_whole_people(region, credential.tenant_id, terms).parameters(),
    )
    return approvals.request(credential=credential, plan=plan, case=terms.case, now=now)


def scope_of_query(
    *,
    credential: Credential,
    region: str,
    query: Search,
    names: Mapping[str, str],
    now: datetime,
) -> RecordScope:
    """The records that match now, for a grant: what comes later is not in it. The search is recorded as any other.

    Raises GrantScopeError where none match, or more than MAX_NAMED; and what `find_headers` raises.
    """
    found: list[UUID] = []
    query = replace(query, limit=MAX_PAGE, cursor=None)
    while True:
        page = find_headers(credential=credential, region=region, query=query, names=names, now=now)
        found += [UUID(str(header["id"])) for header in page.headers]
        if page.next_cursor is None:
            break
        if len(found) >= MAX_NAMED:
            raise GrantScopeError(f"More than {MAX_NAMED} records match. Narrow the search.")
        query = replace(query, cursor=page.next_cursor)
    if not found:
        raise GrantScopeError("No record matches.")
    return RecordScope(record_ids=frozenset(found))


def approve(
    *, credential: Credential, region: str, approval_id: UUID, now: datetime
) -> ApprovalRecord:
    """Approve what somebody else asked for; where that is a grant, it is live from now on.

    Raises what `approvals.services.approve` raises.
    """

    def then(connection: psycopg.Connection[Any], record: ApprovalRecord) -> None:
        if record.plan.operation is Operation.CONTENT_GRANT:
            _give(connection, record, credential, now)

    return approvals.approve(
        credential=credential, region=region, approval_id=approval_id, now=now, then=then
    )


def revoke(*, credential: Credential, region: str, grant_id: UUID, now: datetime) -> GrantRecord:
    """Take a grant back, one's own or as who may approve grants; of one that was before, nothing is done or recorded.

    Raises HumanRequiredError, AccessDeniedError, SeparationError, GrantNotFoundError.
    """
    human = credential.require_human()
    if region not in credential.regions:
        raise AccessDeniedError("This credential is not for that region.")
    log = admin_log(region, credential.tenant_id)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        record = store.read(connection, grant_id)
        if record.grant.human != human and not _may_approve(credential):
            raise GrantNotFoundError("There is no such grant.")
        if store.revoke(connection, grant_id, actor=credential.actor, now=now):
            details: dict[str, JsonValue] = {
                "grant": str(grant_id),
                "case": record.grant.case,
                "actor": credential.actor,
            }
            record_in(
                connection,
                log,
                record_id=new_record_id(connection),
                action=ENTRY_TYPE_REVOKED,
                details=details,
            )
        return store.read(connection, grant_id)


def _give(
    connection: psycopg.Connection[Any],
    approved: ApprovalRecord,
    credential: Credential,
    now: datetime,
) -> None:
    """Make the grant, and use its approval up."""
    tenant_id = approved.plan.tenant_id
    terms = GrantTerms.parse(approved.plan.parameters)
    holder = HumanId(approved.approval.requested_by)
    record = GrantRecord(
        grant=terms.grant(grant_id=uuid7(now), human=holder, now=now),
        terms=terms,
        approval_id=approved.approval_id,
        holder=approved.requester,
        approver=credential.actor,
    )
    store.insert(connection, tenant_id, record)
    approvals.use_within(
        connection,
        plan=approved.plan,
        approval_id=approved.approval_id,
        human=credential.human,
        actor=credential.actor,
        now=now,
    )
    record_in(
        connection,
        log_within(connection, tenant_id, "admin"),
        record_id=new_record_id(connection),
        action=ENTRY_TYPE_GIVEN,
        details={
            "grant": str(record.grant.grant_id),
            "approval": str(approved.approval_id),
            "case": terms.case,
            "holder": record.holder,
            "approver": record.approver,
            "expires_at": format_instant(record.grant.expires_at),
        },
    )


def _may_approve(credential: Credential) -> bool:
    try:
        credential.role_for(Act.APPROVE_GRANT)
    except AccessDeniedError:
        return False
    return True


def _whole_people(region: str, tenant_id: UUID, terms: GrantTerms) -> GrantTerms:
    if not isinstance(terms.scope, SubjectScope):
        return terms
    with tenant_scope(region_alias(region), tenant_id) as connection:
        everybody = {
            other
            for subject in terms.scope.subject_ids
            for other in {subject, *group_of(connection, tenant_id, subject)}
        }
    return replace(terms, scope=SubjectScope(subject_ids=frozenset(everybody)))
