"""Setting retention policies: at once, or seven days after somebody else has approved what lets records go earlier.

Setting is one transaction in the region: the version, the approval that is used up, both entries. A crash before its
commit leaves the policy as it was. Whoever sets another at the same time waits, and is compared with what is then in
force. Nothing here deletes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from auditvault.access.approvals.services import request, use_within
from auditvault.access.approvals.store import ApprovalRecord, read
from auditvault.access.credentials import Credential
from auditvault.core.policy.approvals import ApprovalMissingError
from auditvault.core.policy.retention import Change, change
from auditvault.core.policy.retention_policy import RetentionPolicy
from auditvault.core.policy.roles import Act
from auditvault.core.tlog.canonical import JsonValue
from auditvault.ledger.admin.services import admin_log, new_record_id, record_in
from auditvault.ledger.scope import RegionUnavailableError, region_alias, tenant_scope
from auditvault.ledger.services import format_instant
from auditvault.privacy.retention.preview import DueClass, due_counts, preview
from auditvault.privacy.retention.selectors import newest_version, policy_in_force

ENTRY_TYPE_SET = "retention.policy_set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """What setting a policy would mean."""

    change: Change
    due: list[DueClass]
    """What would be past its time at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """A version that was set."""

    version: int
    in_force_at: datetime
    record_id: UUID
    """Of its admin record."""


def propose_policy(
    *, region: str, credential: Credential, document: bytes, now: datetime
) -> Proposed:
    """What setting this policy would take, and let go; nothing is changed.

    Raises:
        AccessDeniedError, SeparationError, HumanRequiredError: the caller may not.
        RetentionPolicyError, BelowFloorError: the policy does not hold together.
        PolicyLapsedError: it would not be in force today.
    """
    _allowed(region, credential)
    new = RetentionPolicy.parse(document)
    with tenant_scope(region_alias(region), credential.tenant_id) as connection:
        return _compare(connection, region, credential.tenant_id, new, now=now, as_of=now)


def ask_to_shorten(
    *, region: str, credential: Credential, document: bytes, case: str, now: datetime
) -> ApprovalRecord | None:
    """Ask somebody else to approve it; None where it takes no approval. Raises as `propose_policy`, and CaseError."""
    proposed = propose_policy(region=region, credential=credential, document=document, now=now)
    if proposed.change.plan is None:
        return None
    return request(credential=credential, plan=proposed.change.plan, case=case, now=now)


def set_policy(
    *,
    region: str,
    credential: Credential,
    document: bytes,
    now: datetime,
    approval_id: UUID | None = None,
) -> PolicySet:
    """Set the tenant's policy in the region; older versions are kept.

    What was approved is counted again, as of the day on which it was asked for: whoever approved saw that.

    Raises:
        As `propose_policy`.
        ApprovalMissingError: it lets records go earlier, and nobody else has approved that.
        ApprovalNotFoundError, ApprovalDriftedError, ApprovalNotOpenError: nothing was set.
    """
    _allowed(region, credential)
    tenant_id, new = credential.tenant_id, RetentionPolicy.parse(document)
    log = admin_log(region, tenant_id)
    with tenant_scope(region_alias(region), tenant_id) as connection:
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtext('retention_policy'), hashtext(%s::text))",
            (tenant_id,),
        )
        as_of = read(connection, approval_id).approval.requested_at if approval_id else now
        proposed = _compare(connection, region, tenant_id, new, now=now, as_of=as_of)
        approved = _use(connection, credential, proposed.change, approval_id, now)
        in_force_at = proposed.change.in_force_at(approved or now)
        version, record_id = newest_version(connection) + 1, new_record_id(connection)
        old = policy_in_force(connection, now=now)
        connection.execute(
            "INSERT INTO retention_policy (tenant_id, version, document, old, approval_id, approved_at, in_force_at,"
            " record_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                tenant_id,
                version,
                document,
                bytes.fromhex(old.sha256) if old else None,
                approval_id if approved else None,
                approved,
                in_force_at,
                record_id,
            ),
        )
        details: dict[str, JsonValue] = {
            "version": version,
            "policy": new.sha256,
            "old": old.sha256 if old else "",
            "in_force_at": format_instant(in_force_at),
            "due_at_once": dict(due_counts(proposed.due)),
            "actor": credential.actor,
        }
        if approved:
            details["approval"] = str(approval_id)
        record_in(connection, log, record_id=record_id, action=ENTRY_TYPE_SET, details=details)
    return PolicySet(version=version, in_force_at=in_force_at, record_id=record_id)


def _use(
    connection: psycopg.Connection[Any],
    credential: Credential,
    wanted: Change,
    approval_id: UUID | None,
    now: datetime,
) -> datetime | None:
    """When it was approved; None where that is not needed. An approval that is not needed is left unused."""
    if wanted.plan is None:
        return None
    if approval_id is None:
        raise ApprovalMissingError(
            "Records would go earlier than now. Ask for an approval, and set the policy with it."
        )
    used = use_within(
        connection,
        plan=wanted.plan,
        approval_id=approval_id,
        human=credential.require_human(),
        actor=credential.actor,
        now=now,
    )
    if used.approved_at is None:
        raise ApprovalMissingError("Somebody else has to approve this first.")
    return used.approved_at.astimezone(UTC)


def _compare(
    connection: psycopg.Connection[Any],
    region: str,
    tenant_id: UUID,
    new: RetentionPolicy,
    *,
    now: datetime,
    as_of: datetime,
) -> Proposed:
    due = preview(
        connection,
        new,
        tenant_id=tenant_id,
        region=region,
        today=as_of.astimezone(UTC).date(),
    )
    wanted = change(
        policy_in_force(connection, now=now),
        new,
        tenant_id=tenant_id,
        region=region,
        preview=due_counts(due),
    )
    return Proposed(change=wanted, due=due)


def _allowed(region: str, credential: Credential) -> None:
    credential.role_for(Act.PROPOSE_POLICY)
    credential.require_human()
    if region not in credential.regions:
        raise RegionUnavailableError("The caller has no rights in that region.")
